//! Records are what the layout in their module says, byte for byte.

use crate::hex::{compared, folder};
use tapecast_model::{
    Aggressor, Bar, ChannelKind, ChannelState, Decimal, Epoch, EventTime, FeedState,
    InstrumentKind, Level, Price, Qty, Quote, Scale, Seq, Status, StreamKind, Symbol, Terms,
    Ticker, Timeframe, Trade, TradeId, TradingState, UnixNanos, Venue,
};
use tapecast_wire::record::{Content, Levels, Record};

const RECV: u64 = 1_795_237_252_974_344_959;
const EVENT: u64 = 1_795_237_252_973_905_210;

/// A record behind number 250 of its stream.
fn update(stream: StreamKind, content: Content) -> Record {
    Record {
        venue: Venue::new("sim").unwrap(),
        symbol: Symbol::new("BTC-USD").unwrap(),
        price_scale: Scale::saturating(2),
        qty_scale: Scale::saturating(8),
        stream,
        epoch: Epoch::new(1_795_237_251_397),
        seq: Seq::new(252),
        prev: Some(Seq::new(250)),
        ts_event: Some(EventTime::new(UnixNanos::new(EVENT))),
        ts_recv: UnixNanos::new(RECV),
        venue_seq: Some(251),
        content,
    }
}

/// The state of a stream, without time and number of the venue.
fn state(stream: StreamKind, content: Content) -> Record {
    Record {
        prev: None,
        ts_event: None,
        venue_seq: None,
        ..update(stream, content)
    }
}

fn level(price: i64, qty: i64) -> Level {
    Level::new(Price::from_mantissa(price), Qty::from_mantissa(qty))
}

fn trade(id: &[u8], aggressor: Option<Aggressor>, ts_event: Option<EventTime>) -> Trade {
    Trade {
        id: TradeId::new(id).unwrap(),
        price: Price::from_mantissa(6_310_593),
        qty: Qty::from_mantissa(1_661_151),
        aggressor,
        ts_event,
    }
}

fn ticker() -> Ticker {
    Ticker {
        last: Some(Decimal::new(6_309_349, 2)),
        change: Some(Decimal::new(-78_024, 2)),
        quote_volume: Some(Decimal::new(159_324_425_763_869_474, 9)),
        ..Ticker::default()
    }
}

fn status() -> Status {
    let (feed, since) = (FeedState::Stale, UnixNanos::new(RECV));
    Status {
        feed,
        trading: TradingState::Open,
        reason: "no data for 5.0 s".into(),
        channels: [(ChannelKind::Book, ChannelState { feed, since })]
            .into_iter()
            .collect(),
    }
}

fn bar() -> Bar {
    Bar {
        start: UnixNanos::new(1_795_237_200_000_000_000),
        open: Price::from_mantissa(6_310_475),
        high: Price::from_mantissa(6_310_593),
        low: Price::from_mantissa(6_309_349),
        close: Price::from_mantissa(6_309_349),
        volume: Decimal::new(2_317, 1),
        quote_volume: Some(Decimal::new(4_448_123, 1)),
        trades: 310,
        is_final: true,
    }
}

/// One of each kind, by the name of its file.
fn records() -> [(&'static str, Record); 11] {
    let levels = Levels {
        bids: vec![level(6_310_475, 1_503_223), level(6_310_265, 1_662_953)],
        asks: vec![level(6_310_593, 1_953_392)],
    };
    let trades = vec![
        trade(b"1175719", Some(Aggressor::Buy), EventTime::parse(b"0042")),
        trade(b"a9188a0a-82bc", None, None),
    ];
    let change = Content::BookChange {
        levels: Levels {
            bids: vec![level(6_310_265, 0)],
            asks: Vec::new(),
        },
        depth: Some(10),
    };
    let quote = Quote {
        bid: Some((
            Price::from_mantissa(6_310_475),
            Qty::from_mantissa(1_503_223),
        )),
        ask: None,
    };
    let definition = Content::Definition {
        native: "BTC/USD".into(),
        lossless: true,
        trading: TradingState::Open,
        terms: Box::new(Terms {
            kind: Some(InstrumentKind::Spot),
            tick: Some(Decimal::new(1, 1)),
            lot: Some(Decimal::new(1, 8)),
            listed_at: Some(UnixNanos::new(RECV)),
            ..Terms::UNKNOWN
        }),
    };
    let bars = StreamKind::Bar(Timeframe::Minute);
    let (book, trade) = (StreamKind::Book, StreamKind::Trade);
    [
        ("prints", update(trade, Content::Trades(trades.clone()))),
        ("recent-trades", state(trade, Content::RecentTrades(trades))),
        ("quote", update(StreamKind::Quote, Content::Quote(quote))),
        ("book", state(book, Content::Book(levels))),
        ("book-change", update(book, change)),
        (
            "ticker",
            update(StreamKind::Ticker, Content::Ticker(Box::new(ticker()))),
        ),
        (
            "status",
            update(StreamKind::Status, Content::Status(Box::new(status()))),
        ),
        ("definition", state(StreamKind::Instrument, definition)),
        ("bar", update(bars, Content::Bar(Box::new(bar())))),
        ("loss", update(book, Content::Lost(1))),
        ("unknown", state(StreamKind::Quote, Content::Lost(0))),
    ]
}

#[test]
fn records_are_these_bytes_and_are_read_from_them() {
    for (name, record) in records() {
        let mut out = Vec::new();
        record.encode(&mut out);
        let expected = compared("records", name, &out);
        assert_eq!(Record::decode(&expected), Ok((record, &[][..])), "{name}");
    }
}

#[test]
fn every_kind_has_a_file() {
    let mut kinds: Vec<_> = records().iter().map(|(_, r)| r.content.label()).collect();
    kinds.dedup();
    assert_eq!(kinds.len(), 10);
    let files = std::fs::read_dir(folder("records")).unwrap();
    assert_eq!(files.count(), records().len());
}
