//! What a pipeline makes of events. The bench writes each update as one short line, so that a test
//! reads as what goes in and what comes out: `book 4: 10x5 | 11x6 from 0,- replaced`.

use super::*;
use crate::book::EventStamp;
use crate::event::{BookEvent, Checksum, EventBody, FeedEvent, Link, TradeIds};
use prometheus::Registry;
use tapecast_model::catalog::{Definition, Offer};
use tapecast_model::{
    Body, ChannelKind, ChannelSet, FeedState, Level, Price, Qty, Quote, Scale, Side, StreamKind,
    Symbol, Ticker, Trade, TradeId, TradingState, Update,
};

mod books;
mod changes;
mod channels;
mod definitions;
mod feeds;
mod lives;
mod losses;
mod redefined;
mod repeats;

const EPOCH: u64 = 7;

struct Bench {
    pipeline: Pipeline,
    registry: Registry,
    now: Mono,
    lines: Vec<String>,
    /// The last status as a line without its number.
    heard: String,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    /// Three instruments: 0 and 1 of venue `one`, 2 of venue `two`; scales zero.
    fn with(adjust: impl FnOnce(&mut PipelineConfig)) -> Self {
        let catalog = Arc::new(Catalog::new(5));
        for (venue, symbol) in [("one", "A-B"), ("one", "C-D"), ("two", "A-B")] {
            let venue = Venue::new(venue).unwrap();
            catalog.add_venue(
                &venue,
                Offer {
                    channels: ChannelSet::EMPTY,
                    ..Offer::default()
                },
            );
            let scale = Scale::new(0).unwrap();
            let symbol = Symbol::new(symbol).unwrap();
            let definition = Definition {
                symbol,
                native: "X".into(),
                price_scale: scale,
                qty_scale: scale,
            };
            catalog.add_instrument(&venue, definition).unwrap();
        }
        let registry = Registry::new();
        let metrics = PipelineMetrics::register(&registry).unwrap();
        let mut config = PipelineConfig::new(UnixNanos::from_millis(EPOCH));
        adjust(&mut config);
        let pipeline = Pipeline::new(catalog, config, metrics);
        Self {
            pipeline,
            registry,
            now: Mono::new(0),
            lines: Vec::new(),
            heard: String::new(),
        }
    }

    /// Writes an update as a line; none of a status that says of channels only: see [`channels`], and none of a
    /// definition: see [`definitions`].
    fn hear(lines: &mut Vec<String>, heard: &mut String, update: &Update<'_>) {
        if update.body.kind() == StreamKind::Instrument {
            return;
        }
        let line = line(update);
        let is_status = update.body.kind() == StreamKind::Status;
        let said = line.split_once(": ").map_or("", |(_, said)| said);
        if !is_status || said != heard {
            lines.push(line.clone());
        }
        if is_status {
            said.clone_into(heard);
        }
    }

    fn give_to(&mut self, instrument: u32, body: EventBody) -> Vec<String> {
        let event = Event {
            instrument: InstrumentId::new(instrument),
            ts_event: None,
            ts_recv: UnixNanos::new(1_000 + self.now.get()),
            venue_seq: None,
            body,
        };
        let (lines, heard) = (&mut self.lines, &mut self.heard);
        self.pipeline
            .handle_event(event, self.now, &mut |u: &Update<'_>| {
                Self::hear(lines, heard, u);
            });
        std::mem::take(&mut self.lines)
    }

    fn give(&mut self, body: EventBody) -> Vec<String> {
        self.give_to(0, body)
    }

    /// A first event that makes the feed live, so that tests see only what they are about.
    fn live() -> Self {
        let mut bench = Self::new();
        assert_eq!(bench.give(trades(&[])), ["status 2: live"]);
        bench
    }

    fn wait(&mut self, millis: u64) -> Vec<String> {
        self.now = self.now.after(Duration::from_millis(millis));
        let (lines, heard) = (&mut self.lines, &mut self.heard);
        self.pipeline
            .handle_time(self.now, &mut |u: &Update<'_>| Self::hear(lines, heard, u));
        std::mem::take(&mut self.lines)
    }

    fn current(&mut self, kind: StreamKind) -> (u64, u64, Option<String>) {
        let stream = StreamKey {
            instrument: InstrumentId::new(0),
            kind,
        };
        let Current { pos, update } = self.pipeline.current(stream);
        (pos.epoch.get(), pos.seq.get(), update.map(|u| line(&u)))
    }

    fn metric(&self, line: &str) -> u64 {
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap();
        let value = text.lines().find_map(|l| l.strip_prefix(line)).expect(line);
        value.trim().parse().unwrap()
    }
}

fn line(update: &Update<'_>) -> String {
    let epoch = update.epoch.get();
    let epoch = if epoch == EPOCH {
        String::new()
    } else {
        format!("e{epoch} ")
    };
    let seq = update.seq;
    match update.body {
        Body::Trades(trades) => {
            let ids: Vec<_> = trades.iter().map(|p| format!("{:?}", p.id)).collect();
            format!("{epoch}trade {seq}: {}", ids.join(","))
        }
        Body::Quote(Quote { bid, ask }) => {
            let side = |best: &Option<(Price, Qty)>| match best {
                Some((p, q)) => format!("{}x{}", p.mantissa(), q.mantissa()),
                None => "-".to_owned(),
            };
            format!("{epoch}quote {seq}: {} {}", side(bid), side(ask))
        }
        Body::Book {
            book,
            touched,
            changes,
        } => {
            let side = |side| {
                let level = |l: &Level| format!("{}x{}", l.price.mantissa(), l.qty.mantissa());
                book.levels(side).map(level).collect::<Vec<_>>().join(" ")
            };
            let rank = |rank: usize| match rank {
                usize::MAX => "-".to_owned(),
                rank => rank.to_string(),
            };
            let replaced = if changes.is_none() { " replaced" } else { "" };
            let from = format!("{},{}", rank(touched.bid), rank(touched.ask));
            format!(
                "{epoch}book {seq}: {} | {} from {from}{replaced}",
                side(Side::Bid),
                side(Side::Ask)
            )
        }
        Body::Lost { kind, events: 0 } => {
            format!("{epoch}{} {seq}: unknown", kind.channel().label())
        }
        Body::Lost { kind, events } => {
            format!("{epoch}{} {seq}: {events} lost", kind.channel().label())
        }
        Body::Ticker(ticker) => format!("{epoch}ticker {seq}: {}", ticker.last.unwrap_or_default()),
        Body::Definition { terms, trading } => {
            let tick = terms.tick.map_or(String::new(), |tick| format!(" {tick}"));
            format!("{epoch}instrument {seq}: {}{tick}", trading.label())
        }
        Body::Status(status) => {
            let trading = match status.trading {
                TradingState::Unknown => String::new(),
                other => format!(" {}", other.label()),
            };
            let reason = match &*status.reason {
                "" => String::new(),
                reason => format!(" ({reason})"),
            };
            format!(
                "{epoch}status {seq}: {}{trading}{reason}",
                status.feed.label()
            )
        }
    }
}

fn trades(ids: &[u64]) -> EventBody {
    EventBody::Trades {
        trades: ids.iter().map(|&id| trade(id)).collect(),
        history: false,
        ids: TradeIds::Opaque,
    }
}

/// Trades whose ids have no holes at the venue.
fn numbered(body: EventBody) -> EventBody {
    match body {
        EventBody::Trades {
            trades, history, ..
        } => EventBody::Trades {
            trades,
            history,
            ids: TradeIds::Dense,
        },
        other => other,
    }
}

fn history(ids: impl IntoIterator<Item = u64>) -> EventBody {
    EventBody::Trades {
        trades: ids.into_iter().map(trade).collect(),
        history: true,
        ids: TradeIds::Opaque,
    }
}

fn trade(id: u64) -> Trade {
    Trade {
        id: TradeId::from_number(id),
        price: Price::from_mantissa(10),
        qty: Qty::from_mantissa(1),
        aggressor: None,
        ts_event: None,
    }
}

fn quote(bid: i64, ask: i64) -> EventBody {
    let side = |price| Some((Price::from_mantissa(price), Qty::from_mantissa(1)));
    EventBody::Quote(Quote {
        bid: side(bid),
        ask: side(ask),
    })
}

type Levels<'a> = &'a [(i64, i64)];

fn book(link: Link, bids: Levels<'_>, asks: Levels<'_>) -> BookEvent {
    let levels = |side: Levels<'_>| {
        let level =
            |&(p, q): &(i64, i64)| Level::new(Price::from_mantissa(p), Qty::from_mantissa(q));
        side.iter().map(level).collect()
    };
    BookEvent {
        bids: levels(bids),
        asks: levels(asks),
        link,
        ..BookEvent::default()
    }
}

fn change(link: Link, bids: Levels<'_>, asks: Levels<'_>) -> EventBody {
    EventBody::Book(Box::new(book(link, bids, asks)))
}

fn snapshot(link: Link, bids: Levels<'_>, asks: Levels<'_>) -> EventBody {
    EventBody::Book(Box::new(BookEvent {
        snapshot: true,
        ..book(link, bids, asks)
    }))
}

fn with_quote(body: EventBody) -> EventBody {
    match body {
        EventBody::Book(book) => EventBody::Book(Box::new(BookEvent {
            makes_quote: true,
            ..*book
        })),
        other => other,
    }
}

const fn at(number: u64) -> Link {
    Link::Range {
        first: number,
        last: number,
    }
}

#[test]
fn each_trade_is_an_event_and_history_is_none() {
    let mut bench = Bench::live();
    assert_eq!(bench.current(StreamKind::Trade), (EPOCH, 0, None));
    assert_eq!(bench.give(history(1..=3)), Vec::<String>::new());
    assert_eq!(
        bench.current(StreamKind::Trade),
        (EPOCH, 0, Some("trade 0: 1,2,3".into()))
    );
    assert_eq!(bench.give(trades(&[4])), ["trade 1: 4"]);
    assert_eq!(bench.give(trades(&[5, 6, 6])), ["trade 3: 5,6"]);
    assert_eq!(
        bench.current(StreamKind::Trade).2.unwrap(),
        "trade 3: 1,2,3,4,5,6"
    );
    bench.give(history(100..160));
    assert!(
        bench
            .current(StreamKind::Trade)
            .2
            .unwrap()
            .starts_with("trade 3: 110,111,")
    );
    assert_eq!(bench.metric("tapecast_events_total{channel=\"trade\"}"), 3);
}

#[test]
fn history_alone_does_not_make_a_feed_live() {
    let mut bench = Bench::new();
    assert_eq!(bench.give(history(1..=3)), Vec::<String>::new());
    let status = bench.current(StreamKind::Status);
    assert_eq!(
        status,
        (EPOCH, 1, Some("status 1: pending (no data yet)".into()))
    );
}

#[test]
fn quotes_of_a_stream_of_their_own_are_all_passed_on() {
    let mut bench = Bench::live();
    assert_eq!(bench.give(quote(10, 11)), ["quote 1: 10x1 11x1"]);
    assert_eq!(bench.give(quote(10, 11)), ["quote 2: 10x1 11x1"]);
    assert_eq!(bench.give(quote(12, 13)), ["quote 3: 12x1 13x1"]);
    assert_eq!(
        bench.current(StreamKind::Quote).2.unwrap(),
        "quote 3: 12x1 13x1"
    );
}

#[test]
fn a_quote_comes_from_the_book_when_its_best_changed() {
    let mut bench = Bench::live();
    let first = with_quote(snapshot(Link::None, &[(10, 1), (9, 1)], &[(11, 1)]));
    assert_eq!(
        bench.give(first),
        [
            "book 1: 10x1 9x1 | 11x1 from 0,0 replaced",
            "quote 1: 10x1 11x1"
        ]
    );
    let deep = with_quote(change(Link::None, &[(9, 2)], &[]));
    assert_eq!(bench.give(deep), ["book 2: 10x1 9x2 | 11x1 from 1,-"]);
    let best = with_quote(change(Link::None, &[], &[(11, 0)]));
    assert_eq!(
        bench.give(best),
        ["book 3: 10x1 9x2 |  from -,0", "quote 2: 10x1 -"]
    );
}

#[test]
fn tickers_are_numbered_and_kept() {
    let mut bench = Bench::live();
    let last = tapecast_model::Decimal::new(42, 1);
    let ticker = Ticker {
        last: Some(last),
        ..Ticker::default()
    };
    assert_eq!(
        bench.give(EventBody::Ticker(Box::new(ticker))),
        ["ticker 1: 4.2"]
    );
    assert_eq!(
        bench.current(StreamKind::Ticker),
        (EPOCH, 1, Some("ticker 1: 4.2".into()))
    );
}

#[test]
fn instruments_are_known_from_the_catalogue_on_first_use() {
    let mut bench = Bench::new();
    let status = bench.current(StreamKind::Status);
    assert_eq!(
        status,
        (EPOCH, 1, Some("status 1: pending (no data yet)".into()))
    );
    for feed in FeedState::ALL {
        let name = format!(
            "tapecast_instruments{{feed=\"{}\",venue=\"one\"}}",
            feed.label()
        );
        assert_eq!(bench.metric(&name), 0, "being asked about is no state");
    }
    assert_eq!(
        bench.give_to(1, trades(&[1])),
        ["trade 1: 1", "status 2: live"]
    );
    assert_eq!(bench.give_to(99, trades(&[1])), Vec::<String>::new());
    assert_eq!(bench.metric("tapecast_events_unknown_instrument_total"), 1);
    let stranger = InstrumentId::new(99);
    let stream = StreamKey {
        instrument: stranger,
        kind: StreamKind::Book,
    };
    let current = bench.pipeline.current(stream);
    assert!(current.update.is_none());
    assert_eq!(current.pos.epoch.get(), EPOCH);
}

#[test]
fn updates_carry_the_events_times_and_numbers() {
    let mut bench = Bench::new();
    let stamp = EventStamp {
        ts_event: Some(tapecast_model::EventTime::from_millis(3)),
        ts_recv: UnixNanos::new(9),
        venue_seq: Some(77),
    };
    let EventStamp {
        ts_event,
        ts_recv,
        venue_seq,
    } = stamp;
    let instrument = InstrumentId::new(0);
    let body = with_quote(snapshot(Link::None, &[(1, 1)], &[]));
    let event = Event {
        instrument,
        ts_event,
        ts_recv,
        venue_seq,
        body,
    };
    let mut stamps = Vec::new();
    bench
        .pipeline
        .handle_event(event, Mono::new(0), &mut |u: &Update<'_>| {
            stamps.push((u.body.kind(), u.ts_event, u.ts_recv, u.venue_seq));
        });
    let own = |kind| (kind, ts_event, ts_recv, venue_seq);
    assert_eq!(stamps[..2], [own(StreamKind::Book), own(StreamKind::Quote)]);
    assert_eq!(stamps[2], (StreamKind::Status, None, ts_recv, None));
    let stream = StreamKey {
        instrument,
        kind: StreamKind::Book,
    };
    let update = bench.pipeline.current(stream).update.unwrap();
    assert_eq!(
        (update.ts_event, update.ts_recv, update.venue_seq),
        (ts_event, ts_recv, venue_seq)
    );
}
