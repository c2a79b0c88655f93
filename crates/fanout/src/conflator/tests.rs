//! One conflator at a time: what it lets pass, when, and what it makes of what it held.

use super::*;
use crate::slot::TopicSlot;
use tapecast_model::{
    InstrumentId, Interval, Level, Price, Qty, Scale, Side, StreamKind, Symbol, TradeId, Venue,
};

/// A conflator, its clock in milliseconds, and what it has published.
struct Rig {
    conflator: Conflator,
    instrument: Arc<Instrument>,
    now: u64,
    epoch: u64,
    seq: u64,
    said: Vec<Said>,
    /// Whether updates become frames.
    visible: bool,
}

/// What was published: when, which epoch and number, and what it says.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Said(u64, u64, u64, String);

fn said(at: u64, seq: u64, text: &str) -> Said {
    Said(at, 1, seq, text.to_owned())
}

impl Rig {
    fn new(topic: &str) -> Self {
        let instrument = Arc::new(Instrument {
            id: InstrumentId::new(0),
            venue: Venue::new("x").unwrap(),
            symbol: Symbol::new("A").unwrap(),
            native: "A".into(),
            price_scale: Scale::default(),
            qty_scale: Scale::default(),
            lossless: false,
        });
        let entry = TopicEntry::new(
            0,
            TopicSlot::new(0),
            topic.parse().unwrap(),
            Arc::clone(&instrument),
        );
        Self {
            conflator: Conflator::of(&entry).unwrap(),
            instrument,
            now: 1_000,
            epoch: 1,
            seq: 0,
            said: Vec::new(),
            visible: true,
        }
    }

    fn mono(&self) -> Mono {
        Mono::new(self.now * 1_000_000)
    }

    fn take(&mut self, events: u64, body: Body<'_>) -> bool {
        self.seq += events;
        let update = Update {
            instrument: &Arc::clone(&self.instrument),
            epoch: Epoch::new(self.epoch),
            seq: Seq::new(self.seq),
            ts_event: None,
            ts_recv: UnixNanos::new(self.now),
            venue_seq: Some(self.seq),
            body,
        };
        let (now, at, visible, said) = (self.mono(), self.now, self.visible, &mut self.said);
        self.conflator.take(&update, now, |update| {
            said.push(Said::of(at, update));
            visible
        })
    }

    fn lost(&mut self, kind: StreamKind, events: u64) {
        let merged = self.take(events, Body::Lost { kind, events });
        assert!(!merged, "a loss is merged with nothing");
    }

    fn quote(&mut self, bid: i64) -> bool {
        let bid = Some((Price::from_mantissa(bid), Qty::from_mantissa(1)));
        self.take(1, Body::Quote(&Quote { bid, ask: None }))
    }

    fn trades(&mut self, count: u64) -> bool {
        let trades = trades(self.seq + 1..self.seq + 1 + count);
        self.take(count, Body::Trades(&trades))
    }

    fn bid(&mut self, book: &mut Book, price: i64, qty: i64) -> bool {
        let mut touched = Touched::NONE;
        let level = Level::new(Price::from_mantissa(price), Qty::from_mantissa(qty));
        if let Some(rank) = book.apply(Side::Bid, level) {
            touched.note(Side::Bid, rank);
        }
        let body = Body::Book {
            book,
            touched,
            changes: None,
        };
        self.take(1, body)
    }

    /// Time passes; what is due by then is published then.
    fn wait(&mut self, millis: u64) {
        self.now += millis;
        let (now, at, visible, said) = (self.mono(), self.now, self.visible, &mut self.said);
        if self.conflator.deadline().is_some_and(|due| due <= now) {
            self.conflator.release(now, |update| {
                said.push(Said::of(at, update));
                visible
            });
        }
    }
}

impl Said {
    fn of(at: u64, update: &Update<'_>) -> Self {
        let text = match update.body {
            Body::Trades(trades) => {
                let ids = trades.iter().map(|p| format!("{:?}", p.id));
                ids.collect::<Vec<_>>().join(" ")
            }
            Body::Quote(quote) => format!("{}", quote.bid.unwrap().0.mantissa()),
            Body::Book { book, touched, .. } => {
                let bids = book.levels(Side::Bid);
                let bids = bids.map(|l| format!("{}x{}", l.price.mantissa(), l.qty.mantissa()));
                format!(
                    "{} from {}",
                    bids.collect::<Vec<_>>().join(" "),
                    touched.bid
                )
            }
            Body::Lost { events, .. } => format!("{events} lost"),
            other => format!("{other:?}"),
        };
        Self(at, update.epoch.get(), update.seq.get(), text)
    }
}

fn trades(ids: std::ops::Range<u64>) -> Vec<Trade> {
    let trade = |id| Trade {
        id: TradeId::from_number(id),
        price: Price::from_mantissa(1),
        qty: Qty::from_mantissa(1),
        aggressor: None,
        ts_event: None,
    };
    ids.map(trade).collect()
}

#[test]
fn the_first_update_passes_at_once_and_the_newest_when_the_interval_is_over() {
    let mut rig = Rig::new("quote:x:A@100ms");
    assert!(!rig.quote(1));
    rig.wait(10);
    assert!(!rig.quote(2), "held, and nothing was");
    assert!(rig.quote(3));
    rig.wait(89);
    assert_eq!(rig.said, [said(1_000, 1, "1")]);
    rig.wait(1);
    assert_eq!(rig.said[1..], [said(1_100, 3, "3")]);
    assert_eq!(rig.conflator.deadline(), None);
}

#[test]
fn a_held_update_begins_an_interval_as_the_first_one_does() {
    let mut rig = Rig::new("quote:x:A@10ms");
    for bid in 0..25 {
        rig.quote(bid);
        rig.wait(1);
    }
    let times: Vec<_> = rig.said.iter().map(|said| said.0).collect();
    assert_eq!(times, [1_000, 1_010, 1_020]);
    rig.wait(10);
    assert_eq!(rig.said[3], said(1_035, 25, "24"));
    rig.wait(9);
    rig.quote(25);
    assert_eq!(rig.said.len(), 4, "the interval of the last one");
    rig.wait(1);
    rig.wait(10);
    rig.quote(26);
    assert_eq!(rig.said[5], said(1_055, 27, "26"), "quiet: passes at once");
}

#[test]
fn an_update_that_is_late_for_its_deadline_joins_what_is_held() {
    let mut rig = Rig::new("quote:x:A@10ms");
    rig.quote(1);
    rig.quote(2);
    rig.now += 30;
    assert!(rig.quote(3), "nobody has looked yet");
    rig.wait(0);
    assert_eq!(rig.said[1..], [said(1_030, 3, "3")]);
}

#[test]
fn an_update_that_becomes_no_frame_begins_no_interval() {
    let mut rig = Rig::new("book.1:x:A@100ms");
    let mut book = Book::new();
    rig.bid(&mut book, 5, 1);
    rig.wait(100);
    rig.visible = false;
    rig.bid(&mut book, 4, 1);
    rig.visible = true;
    rig.wait(1);
    rig.bid(&mut book, 6, 1);
    assert_eq!(rig.said.len(), 3);
    rig.bid(&mut book, 6, 0);
    rig.visible = false;
    rig.wait(100);
    rig.visible = true;
    rig.bid(&mut book, 5, 2);
    assert_eq!(rig.said.len(), 5, "the one before was not seen");
}

#[test]
fn a_book_is_held_as_it_was_and_what_was_touched_adds_up() {
    let mut rig = Rig::new("book.10:x:A@100ms");
    let mut book = Book::new();
    for price in 1..=4 {
        rig.bid(&mut book, price, 1);
    }
    rig.wait(100);
    assert_eq!(rig.said[1], said(1_100, 4, "4x1 3x1 2x1 1x1 from 0"));
    rig.bid(&mut book, 2, 7);
    rig.bid(&mut book, 1, 8);
    // The venue crosses the book: the pipeline's goes on and is not published.
    let ask = Level::new(Price::from_mantissa(1), Qty::from_mantissa(1));
    book.apply(Side::Ask, ask);
    book.apply(Side::Bid, Level::new(Price::from_mantissa(9), ask.qty));
    rig.wait(100);
    assert_eq!(rig.said[2], said(1_200, 6, "4x1 3x1 2x7 1x8 from 2"));
}

#[test]
fn only_as_much_of_a_book_is_held_as_the_topic_shows() {
    let mut rig = Rig::new("book.1:x:A@100ms");
    let mut book = Book::new();
    rig.bid(&mut book, 1, 1);
    for price in 2..=9 {
        rig.bid(&mut book, price, 1);
    }
    rig.wait(100);
    assert_eq!(rig.said[1], said(1_100, 9, "9x1 from 0"));
}

#[test]
fn a_dropped_book_takes_what_was_held_with_it() {
    let mut rig = Rig::new("book.10:x:A@100ms");
    let mut book = Book::new();
    rig.bid(&mut book, 1, 1);
    rig.bid(&mut book, 2, 1);
    rig.lost(StreamKind::Book, 1);
    assert_eq!(rig.said[1], said(1_000, 3, "1 lost"));
    assert_eq!(rig.conflator.deadline(), None);
    rig.wait(50);
    let mut book = Book::new();
    rig.bid(&mut book, 7, 1);
    rig.wait(50);
    assert_eq!(rig.said[2..], [said(1_100, 4, "7x1 from 0")]);
}

#[test]
fn a_lost_quote_takes_what_was_held_with_it() {
    let mut rig = Rig::new("quote:x:A@100ms");
    rig.quote(1);
    rig.quote(2);
    rig.lost(StreamKind::Quote, 1);
    assert_eq!(rig.said[1..], [said(1_000, 3, "1 lost")]);
    assert_eq!(rig.conflator.deadline(), None);
    rig.wait(500);
    assert_eq!(rig.said.len(), 2, "the old price is not said any more");
}

#[test]
fn trades_that_are_held_go_before_those_that_are_lost() {
    let mut rig = Rig::new("trade:x:A@100ms");
    rig.trades(1);
    rig.trades(2);
    rig.lost(StreamKind::Trade, 4);
    rig.trades(1);
    rig.wait(100);
    let texts: Vec<_> = rig.said.iter().map(|s| (s.2, s.3.as_str())).collect();
    assert_eq!(texts, [(1, "1"), (3, "2 3"), (7, "4 lost"), (8, "8")]);
}

#[test]
fn trades_are_batched_in_order() {
    let mut rig = Rig::new("trade:x:A@50ms");
    for count in [1, 2, 1, 3] {
        rig.trades(count);
        rig.wait(10);
    }
    rig.wait(10);
    assert_eq!(
        rig.said,
        [said(1_000, 1, "1"), said(1_050, 7, "2 3 4 5 6 7")]
    );
}

#[test]
fn a_full_batch_goes_early_and_none_is_cut() {
    let mut rig = Rig::new("trade:x:A@5s");
    let sizes =
        |rig: &Rig| -> Vec<usize> { rig.said.iter().map(|s| s.3.split(' ').count()).collect() };
    rig.trades(1);
    for _ in 0..BATCH_TRADES_MAX - 1 {
        rig.trades(1);
    }
    assert_eq!(sizes(&rig), [1]);
    rig.trades(1);
    assert_eq!(sizes(&rig), [1, 512]);
    rig.trades(300);
    rig.trades(300);
    assert_eq!(sizes(&rig), [1, 512, 300]);
    rig.trades(9_000);
    assert_eq!(sizes(&rig), [1, 512, 300, 300, 9_000]);
    rig.trades(2);
    rig.wait(4_999);
    assert_eq!(sizes(&rig).len(), 5);
    rig.wait(1);
    let all: Vec<String> = rig.said.iter().map(|said| said.3.clone()).collect();
    let expected: Vec<String> = (1..=rig.seq).map(|id| id.to_string()).collect();
    assert_eq!(all.join(" "), expected.join(" "));
}

#[test]
fn a_new_epoch_lets_the_trades_of_the_old_one_go_first() {
    let mut rig = Rig::new("trade:x:A@100ms");
    rig.trades(1);
    rig.trades(2);
    (rig.epoch, rig.seq) = (2, 0);
    rig.wait(10);
    rig.trades(1);
    assert_eq!(rig.said[1..], [said(1_010, 3, "2 3")]);
    rig.wait(99);
    assert_eq!(rig.said.len(), 2, "an interval from the early one on");
    rig.wait(1);
    assert_eq!(rig.said[2], Said(1_110, 2, 1, "1".into()));
}

#[test]
fn a_new_epoch_replaces_a_quote_and_a_book_that_are_held() {
    let mut rig = Rig::new("quote:x:A@100ms");
    rig.quote(1);
    rig.quote(2);
    (rig.epoch, rig.seq) = (2, 0);
    rig.quote(3);
    rig.wait(100);
    assert_eq!(rig.said[1..], [Said(1_100, 2, 1, "3".into())]);

    let mut rig = Rig::new("book.10:x:A@100ms");
    let (mut old, mut new) = (Book::new(), Book::new());
    new.replace(
        [Level::new(Price::from_mantissa(8), Qty::from_mantissa(1))],
        [],
    );
    rig.bid(&mut old, 1, 1);
    rig.bid(&mut old, 2, 1);
    (rig.epoch, rig.seq) = (2, 0);
    rig.bid(&mut new, 7, 1);
    rig.wait(100);
    assert_eq!(rig.said[1..], [Said(1_100, 2, 1, "8x1 7x1 from 0".into())]);
}

#[test]
fn a_joiner_is_not_told_of_held_trades() {
    let mut rig = Rig::new("trade:x:A@100ms");
    rig.trades(3);
    rig.trades(2);
    let ids = |range| trades(range);
    assert_eq!(rig.conflator.without_held(&ids(1..6)), ids(1..4));
    assert_eq!(rig.conflator.without_held(&ids(4..6)), []);
    assert_eq!(
        rig.conflator.without_held(&ids(5..6)),
        [],
        "the older is gone already"
    );
    let with_more = [ids(1..6), ids(100..103)].concat();
    assert_eq!(rig.conflator.without_held(&with_more), ids(1..4));
    rig.wait(100);
    assert_eq!(rig.conflator.without_held(&ids(1..6)), ids(1..6));
}

#[test]
fn a_large_batch_does_not_keep_its_memory() {
    let mut rig = Rig::new("trade:x:A@100ms");
    let capacity = |rig: &Rig| match &rig.conflator.held {
        Held::Trades(trades) => trades.capacity(),
        other => panic!("{other:?}"),
    };
    rig.trades(1);
    rig.trades(500);
    rig.wait(100);
    rig.trades(2);
    rig.wait(100);
    assert!(capacity(&rig) <= 4, "{}", capacity(&rig));
}

#[test]
fn what_takes_an_interval_has_a_conflator() {
    let rig = Rig::new("trade:x:A@100ms");
    for channel in [
        "trade",
        "quote",
        "book.10",
        "bar.1m",
        "ticker",
        "status",
        "instrument",
    ] {
        let topic = |text: String| -> tapecast_model::Topic { text.parse().unwrap() };
        let plain = topic(format!("{channel}:x:A"));
        let takes = plain.channel.kind().takes_interval();
        let entry = TopicEntry::new(0, TopicSlot::new(0), plain, Arc::clone(&rig.instrument));
        assert!(Conflator::of(&entry).is_none());
        for interval in Interval::ALL {
            let topic = topic(format!("{channel}:x:A@{interval}"));
            let entry = TopicEntry::new(0, TopicSlot::new(0), topic, Arc::clone(&rig.instrument));
            assert_eq!(Conflator::of(&entry).is_some(), takes, "{channel}");
        }
    }
}
