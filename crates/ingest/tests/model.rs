//! The pipeline against a naive model of one instrument.
//!
//! Goal: whatever a venue sends (snapshots, changes, holes, repeats, crossed books, wrong sums), the
//! pipeline publishes exactly the states that a naive reader of the same messages reaches and is
//! sure of, in order and densely numbered. Method: random scripts; the model keeps two maps and a
//! list, and is written from the venues' rules rather than from the code.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use tapecast_ingest::event::{BookEvent, Checksum, Event, EventBody, FeedEvent, Link};
use tapecast_ingest::metrics::PipelineMetrics;
use tapecast_ingest::pipeline::{Pipeline, PipelineConfig};
use tapecast_model::catalog::{Definition, Offer};
use tapecast_model::{
    Body, Book, Catalog, InstrumentId, Level, Mono, Price, Qty, Quote, Scale, Side, StreamKey,
    StreamKind, Symbol, UnixNanos, Update, Venue,
};

/// Both sides, best first.
type State = (Vec<(i64, i64)>, Vec<(i64, i64)>);

/// Best bid and best ask.
type Best = (Option<(i64, i64)>, Option<(i64, i64)>);

/// What a test sees of the book stream.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    State {
        seq: u64,
        state: State,
    },
    Dropped,
    Quote {
        bid: Option<(i64, i64)>,
        ask: Option<(i64, i64)>,
    },
}

/// How a script's venue numbers its messages.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Style {
    Spot,
    Futures,
    Okx,
    Bybit,
    Kraken,
}

/// One message of a script, before it is numbered.
#[derive(Clone, Debug)]
enum Step {
    Snapshot {
        behind: u64,
        levels: Vec<(bool, i64, i64)>,
        lie: bool,
    },
    Change {
        skip: u64,
        span: u64,
        levels: Vec<(bool, i64, i64)>,
        lie: bool,
    },
    FeedGap,
    Restart,
}

fn levels() -> impl Strategy<Value = Vec<(bool, i64, i64)>> {
    // Bids mostly below asks, with an overlap that crosses now and then.
    let level = (any::<bool>(), 0_i64..12, 0_i64..4)
        .prop_map(|(bid, place, qty)| (bid, if bid { 20 - place } else { 19 + place }, qty));
    prop::collection::vec(level, 0..6)
}

fn step() -> impl Strategy<Value = Step> {
    let lie = || prop::bool::weighted(0.03);
    prop_oneof![
        3 => (0_u64..6, levels(), lie())
            .prop_map(|(behind, levels, lie)| Step::Snapshot { behind, levels, lie }),
        20 => (prop::sample::select(vec![0_u64, 0, 0, 0, 0, 0, 0, 0, 0, 1]), 1_u64..4, levels(), lie())
            .prop_map(|(skip, span, levels, lie)| Step::Change { skip, span, levels, lie }),
        1 => Just(Step::FeedGap),
        1 => Just(Step::Restart),
    ]
}

fn style() -> impl Strategy<Value = Style> {
    let all = vec![
        Style::Spot,
        Style::Futures,
        Style::Okx,
        Style::Bybit,
        Style::Kraken,
    ];
    prop::sample::select(all)
}

/// Turns steps into messages of one venue. The venue's own book is kept so that its sums are right
/// unless the script lies; a sum lost on the way is right for the venue and wrong for the reader.
struct Script {
    style: Style,
    number: u64,
}

impl Script {
    fn message(&mut self, step: &Step) -> Option<(BookEvent, bool)> {
        let (snapshot, sent, lie) = match step {
            Step::Snapshot { levels, lie, .. } => (true, levels, *lie),
            Step::Change { levels, lie, .. } => (false, levels, *lie),
            Step::FeedGap | Step::Restart => return None,
        };
        let link = match *step {
            Step::Snapshot { behind, .. } => self.snapshot_link(behind),
            Step::Change { skip, span, .. } => self.change_link(skip, span),
            Step::FeedGap | Step::Restart => Link::None,
        };
        let side = |bid| {
            let of_side = sent.iter().filter(move |l| l.0 == bid);
            of_side
                .map(|&(_, p, q)| Level::new(Price::from_mantissa(p), Qty::from_mantissa(q)))
                .collect()
        };
        let depth = (self.style == Style::Kraken).then_some(3);
        let event = BookEvent {
            snapshot,
            bids: side(true),
            asks: side(false),
            link,
            checksum: None,
            depth,
            makes_quote: true,
            is_probe: false,
        };
        Some((event, lie && self.style == Style::Kraken))
    }

    fn snapshot_link(&mut self, behind: u64) -> Link {
        let last = self.number.saturating_sub(behind);
        match self.style {
            Style::Spot | Style::Futures => Link::Range { first: last, last },
            Style::Okx => Link::Previous {
                first: None,
                previous: -1,
                last: signed(self.number),
            },
            Style::Bybit => Link::Step(self.number),
            Style::Kraken => Link::None,
        }
    }

    fn change_link(&mut self, skip: u64, span: u64) -> Link {
        let before = self.number + skip;
        self.number = match self.style {
            Style::Bybit => before + 1,
            _ => before + span,
        };
        match self.style {
            Style::Spot => Link::Range {
                first: before + 1,
                last: self.number,
            },
            Style::Futures => Link::Previous {
                first: Some(signed(before + 1)),
                previous: signed(before),
                last: signed(self.number),
            },
            Style::Okx => Link::Previous {
                first: None,
                previous: signed(before),
                last: signed(self.number),
            },
            Style::Bybit => Link::Step(self.number),
            Style::Kraken => Link::None,
        }
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap()
}

/// The naive reader: two maps, the number it is at, and the messages it kept.
#[derive(Default)]
struct Naive {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    at: Option<(i128, bool)>,
    held: bool,
    kept: Vec<BookEvent>,
    shown: bool,
    seq: u64,
    quote: Option<Best>,
    seen: Vec<Seen>,
}

impl Naive {
    fn take(&mut self, event: &BookEvent, lie: bool) {
        if event.snapshot {
            self.take_snapshot(event, lie);
        } else if self.held {
            self.take_change(event, lie);
        } else if beside(event.link) {
            self.kept.push(event.clone());
        }
    }

    fn take_snapshot(&mut self, event: &BookEvent, lie: bool) {
        let at = numbers(event.link).map(|(_, last)| last);
        if let (true, Link::Range { last, .. }, Some((now, _))) = (self.held, event.link, self.at)
            && i128::from(last) < now
        {
            return;
        }
        if let Some(at) = at {
            let news = self
                .kept
                .iter()
                .find(|kept| numbers(kept.link).unwrap().1 > at);
            if news.is_some_and(|first| !bridges(first.link, at)) {
                self.drop_book();
                return;
            }
        }
        self.bids.clear();
        self.asks.clear();
        self.held = true;
        self.at = at.map(|at| (at, true));
        self.apply(event, lie);
        while self.held && !self.kept.is_empty() {
            let change = self.kept.remove(0);
            self.take_change(&change, false);
        }
    }

    fn take_change(&mut self, event: &BookEvent, lie: bool) {
        if let (Some((at, fresh)), Some((_, last))) = (self.at, numbers(event.link)) {
            if beside(event.link) && last <= at {
                return;
            }
            let follows = (fresh && bridges(event.link, at)) || follows(event.link, at);
            if !follows {
                self.drop_book();
                if beside(event.link) {
                    self.kept.insert(0, event.clone());
                }
                return;
            }
            self.at = Some((last, false));
        }
        self.apply(event, lie);
    }

    fn apply(&mut self, event: &BookEvent, lie: bool) {
        for (side, levels) in [(&mut self.bids, &event.bids), (&mut self.asks, &event.asks)] {
            for level in levels {
                if level.qty.is_zero() {
                    side.remove(&level.price.mantissa());
                } else {
                    side.insert(level.price.mantissa(), level.qty.mantissa());
                }
            }
        }
        while event.depth.is_some_and(|depth| self.bids.len() > depth) {
            self.bids.pop_first();
        }
        while event.depth.is_some_and(|depth| self.asks.len() > depth) {
            self.asks.pop_last();
        }
        if lie {
            self.drop_book();
            return;
        }
        if !event.snapshot && event.bids.is_empty() && event.asks.is_empty() {
            return;
        }
        self.seq += 1;
        let (bids, asks) = self.state();
        let (bid, ask) = (bids.first().copied(), asks.first().copied());
        if bid.zip(ask).is_some_and(|(bid, ask)| bid.0 >= ask.0) {
            return;
        }
        self.shown = true;
        self.seen.push(Seen::State {
            seq: self.seq,
            state: (bids, asks),
        });
        if self.quote != Some((bid, ask)) {
            self.quote = Some((bid, ask));
            self.seen.push(Seen::Quote { bid, ask });
        }
    }

    fn state(&self) -> State {
        let pair = |(p, q): (&i64, &i64)| (*p, *q);
        (
            self.bids.iter().rev().map(pair).collect(),
            self.asks.iter().map(pair).collect(),
        )
    }

    fn drop_book(&mut self) {
        self.held = false;
        self.at = None;
        self.quote = None;
        if std::mem::take(&mut self.shown) {
            // What never came is an event too.
            self.seq += 1;
            self.seen.push(Seen::Dropped);
        }
    }

    fn restart(&mut self) {
        self.drop_book();
        self.kept.clear();
        self.seq = 0;
    }
}

fn beside(link: Link) -> bool {
    matches!(
        link,
        Link::Range { .. } | Link::Previous { first: Some(_), .. }
    )
}

fn numbers(link: Link) -> Option<(i128, i128)> {
    match link {
        Link::None => None,
        Link::Range { first, last } => Some((first.into(), last.into())),
        Link::Previous {
            first,
            previous,
            last,
        } => Some((first.unwrap_or(previous).into(), last.into())),
        Link::Step(number) | Link::Whole(number) => Some((number.into(), number.into())),
    }
}

/// The venues' rule for the first change after a snapshot.
fn bridges(link: Link, at: i128) -> bool {
    match link {
        Link::Range { first, last } => i128::from(first) <= at + 1 && at < i128::from(last),
        Link::Previous {
            first: Some(first),
            previous,
            last,
        } => i128::from(first) <= at && at <= i128::from(last) || i128::from(previous) == at,
        other => follows(other, at),
    }
}

/// The venues' rule for every change after that.
fn follows(link: Link, at: i128) -> bool {
    match link {
        Link::None => true,
        Link::Range { first, .. } => i128::from(first) == at + 1,
        Link::Previous { previous, .. } => i128::from(previous) == at,
        Link::Step(number) => i128::from(number) == at + 1,
        Link::Whole(_) => false,
    }
}

/// Kraken's sum over a naive book, at scale zero.
fn sum(naive: &Naive) -> u32 {
    let (bids, asks) = naive.state();
    let levels = asks.iter().take(10).chain(bids.iter().take(10));
    let text: String = levels.map(|(p, q)| format!("{p}{q}")).collect();
    crc32fast::hash(text.as_bytes())
}

fn pipeline() -> Pipeline {
    let (catalog, venue) = (Arc::new(Catalog::new(1)), Venue::new("test").unwrap());
    catalog.add_venue(&venue, Offer::default());
    let scale = Scale::new(0).unwrap();
    let symbol = Symbol::new("A-B").unwrap();
    let definition = Definition {
        symbol,
        native: "AB".into(),
        price_scale: scale,
        qty_scale: scale,
    };
    catalog.add_instrument(&venue, definition).unwrap();
    let metrics = PipelineMetrics::register(&prometheus::Registry::new()).unwrap();
    Pipeline::new(
        catalog,
        PipelineConfig::new(UnixNanos::from_millis(1)),
        metrics,
    )
}

fn state_of(book: &Book) -> State {
    let side = |side| {
        book.levels(side)
            .map(|l| (l.price.mantissa(), l.qty.mantissa()))
            .collect()
    };
    (side(Side::Bid), side(Side::Ask))
}

/// What was published, a view of the best two levels kept by `touched` alone, and a book kept by its
/// changes alone.
#[derive(Default)]
struct Watcher {
    seen: Vec<Seen>,
    top: Option<State>,
    follower: Option<Book>,
    epoch: u64,
}

impl Watcher {
    fn note(&mut self, update: &Update<'_>) {
        assert!(update.epoch.get() >= self.epoch);
        self.epoch = update.epoch.get();
        match update.body {
            Body::Book {
                book,
                touched,
                changes,
            } => {
                let mut top = state_of(book);
                top.0.truncate(2);
                top.1.truncate(2);
                if touched.within(2) {
                    self.top = Some(top);
                } else {
                    assert_eq!(self.top, Some(top), "touched hides a change of the top");
                }
                let state = state_of(book);
                match changes {
                    Some(changes) => drop(self.follower.as_mut().unwrap().change(changes)),
                    None => self.follower = Some(book.clone()),
                }
                let followed = self.follower.as_ref().map(state_of);
                assert_eq!(followed.as_ref(), Some(&state), "changes lead elsewhere");
                self.seen.push(Seen::State {
                    seq: update.seq.get(),
                    state,
                });
            }
            Body::Lost {
                kind: StreamKind::Book,
                ..
            } => {
                self.top = None;
                self.follower = None;
                self.seen.push(Seen::Dropped);
            }
            Body::Quote(Quote { bid, ask }) => {
                let best = |side: &Option<(Price, Qty)>| {
                    side.map(|(price, qty)| (price.mantissa(), qty.mantissa()))
                };
                self.seen.push(Seen::Quote {
                    bid: best(bid),
                    ask: best(ask),
                });
            }
            Body::Lost { .. }
            | Body::Trades(_)
            | Body::Ticker(_)
            | Body::Status(_)
            | Body::Definition { .. } => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_pipeline_publishes_what_a_naive_reader_is_sure_of(
        style in style(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut script = Script { style, number: 100 };
        let (mut naive, mut pipeline) = (Naive::default(), pipeline());
        let mut watcher = Watcher::default();
        for (at, step) in steps.iter().enumerate() {
            let body = match (step, script.message(step)) {
                (_, Some((mut event, lie))) => {
                    naive.take(&event, lie);
                    // A dropped naive book still has the levels the sum is made of.
                    event.checksum = (style == Style::Kraken)
                        .then(|| Checksum::Kraken(sum(&naive) ^ u32::from(lie)));
                    EventBody::Book(Box::new(event))
                }
                (Step::Restart, None) => {
                    naive.restart();
                    EventBody::Feed(FeedEvent::Restarted)
                }
                (_, None) => {
                    naive.drop_book();
                    EventBody::Feed(FeedEvent::Gap("lost".into()))
                }
            };
            let event = Event {
                instrument: InstrumentId::new(0),
                ts_event: None,
                ts_recv: UnixNanos::new(at as u64),
                venue_seq: None,
                body,
            };
            pipeline.handle_event(event, Mono::new(at as u64), &mut |u: &Update<'_>| watcher.note(u));
            prop_assert_eq!(&watcher.seen, &naive.seen, "after step {}: {:?}", at, step);
            let instrument = InstrumentId::new(0);
            let stream = StreamKey { instrument, kind: StreamKind::Book };
            let current = pipeline.current(stream);
            prop_assert_eq!(current.pos.seq.get(), naive.seq);
            let (bids, asks) = naive.state();
            let crossed = bids.first().zip(asks.first()).is_some_and(|(b, a)| b.0 >= a.0);
            let expected = (naive.held && !crossed).then_some((bids, asks));
            let state = current.update.map(|update| match update.body {
                Body::Book { book, .. } => state_of(book),
                _ => State::default(),
            });
            prop_assert_eq!(state, expected);
        }
    }
}
