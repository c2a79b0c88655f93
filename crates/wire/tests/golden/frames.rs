//! Frames in the binary encoding are what `docs/PROTOCOL.md` says, byte for byte; the examples in the
//! documentation are these files, word for word.

use crate::hex::{compared, folder};
use std::path::Path;
use tapecast_model::{
    Aggressor, ChannelKind, ChannelState, Decimal, Epoch, EventTime, FeedState, InstrumentKind,
    Price, Qty, QtyUnit, Quote, Scale, Seq, Status, Terms, Ticker, Trade, TradeId, TradingState,
    UnixNanos,
};
use tapecast_wire::binary::{self, EpochMark, Record, RecordBody, Records};
use tapecast_wire::json::{BookLevels, PriceLevel};
use tapecast_wire::{Definition, Head};

const EPOCH: u64 = 1_795_237_251_397;
const RECV: u64 = 1_795_237_252_974_344_959;
const EVENT: u64 = 1_795_237_252_973_905_210;

/// Writes a record, compares it with its file, and reads it.
fn check(name: &str, write: impl FnOnce(&mut Vec<u8>), read: impl FnOnce(Record<'_>)) {
    let mut out = Vec::new();
    write(&mut out);
    let expected = compared("frames", name, &out);
    let mut records = Records::new(&expected);
    let record = records.next().unwrap().unwrap();
    assert!(records.next().is_none(), "one record");
    assert_eq!(record.bytes.len(), expected.len());
    read(record);
}

fn head(tid: u32, seq: u64, prev: Option<u64>) -> Head<'static> {
    Head {
        prefix: b"",
        epoch: Epoch::new(EPOCH),
        seq: Seq::new(seq),
        prev: prev.map(Seq::new),
        ts_event: Some(EventTime::new(UnixNanos::new(EVENT))),
        ts_recv: Some(UnixNanos::new(RECV)),
        ts_out: UnixNanos::new(RECV + 174_269),
        venue_seq: Some(251),
        tid,
        conflated: false,
    }
}

fn level(price: i64, qty: i64) -> PriceLevel {
    (Price::from_mantissa(price), Qty::from_mantissa(qty))
}

fn trade(id: &[u8], side: Option<Aggressor>) -> Trade {
    Trade {
        id: TradeId::new(id).unwrap(),
        price: Price::from_mantissa(6_310_593),
        qty: Qty::from_mantissa(1_661_151),
        aggressor: side,
        ts_event: EventTime::parse(b"1795237252973905210"),
    }
}

#[test]
fn a_quote_has_eighty_bytes() {
    let quote = Quote {
        bid: Some(level(6_310_475, 1_503_223)),
        ask: Some(level(6_310_593, 292_241)),
    };
    let head = head(2, 251, Some(250));
    check(
        "quote",
        |out| binary::quote(out, &head, &quote),
        |record| {
            assert_eq!(record.bytes.len(), 80);
            assert_eq!(
                (record.tid, record.seq, record.prev),
                (2, head.seq, head.prev)
            );
            assert_eq!((record.ts_recv, record.ts_out), (head.ts_recv, head.ts_out));
            assert_eq!(record.ts_event, Some(UnixNanos::new(EVENT)));
            assert_eq!((record.venue_seq, record.epoch), (Some(251), None));
            assert!(matches!(record.body, RecordBody::Quote(read) if read == quote));
        },
    );
}

#[test]
fn trades_keep_their_ids() {
    let trades = [
        trade(b"1175719", Some(Aggressor::Buy)),
        trade(
            b"a9188a0a-82bc-50de-be60-03eedbe3cdd7",
            Some(Aggressor::Sell),
        ),
        Trade {
            ts_event: None,
            ..trade(b"0042", None)
        },
        trade(b"desk-7/2026-11-20/000042", Some(Aggressor::Sell)),
    ];
    let head = Head {
        ts_event: None,
        venue_seq: None,
        ..head(0, 86, Some(82))
    };
    check(
        "trade",
        |out| binary::trades(out, &head, &trades),
        |record| {
            let RecordBody::Trades(read) = record.body else {
                panic!("{record:?}")
            };
            let read: Result<Vec<Trade>, _> = read.collect();
            // A time comes back without the width it was spelled in.
            let unpadded = |trade: &Trade| Trade {
                ts_event: trade.ts_event.map(|time| EventTime::new(time.nanos())),
                ..*trade
            };
            assert_eq!(read.unwrap(), trades.each_ref().map(unpadded));
        },
    );
}

#[test]
fn a_topic_of_trades_without_history_begins_with_a_wide_record() {
    let head = Head {
        ts_event: None,
        ts_recv: None,
        venue_seq: None,
        ..head(0, 0, None)
    };
    check(
        "trade-empty",
        |out| binary::trades(out, &head, &[]),
        |record| {
            assert_eq!((record.ts_recv, record.ts_out), (None, head.ts_out));
            assert_eq!(record.epoch, Some(EpochMark::Whole(head.epoch)));
            assert!(matches!(record.body, RecordBody::Trades(trades) if trades.is_empty()));
        },
    );
}

#[test]
fn a_snapshot_of_a_book_says_which_epoch_begins() {
    let levels = BookLevels {
        bids: &[level(6_310_475, 1_503_223), level(6_310_265, 1_662_953)],
        asks: &[level(6_310_593, 1_953_392)],
        checksum: 3_352_834_234,
    };
    let head = head(1, 250, None);
    check(
        "book",
        |out| binary::book(out, &head, levels),
        |record| {
            let mark = record.epoch.unwrap();
            assert_eq!(mark, EpochMark::Low(EPOCH as u32));
            assert_eq!(mark.resolve(Epoch::new(EPOCH - 5)), head.epoch);
            assert_eq!(record.prev, None);
            let RecordBody::Book {
                bids,
                asks,
                checksum,
            } = record.body
            else {
                panic!("{record:?}")
            };
            assert_eq!(bids.iter().collect::<Vec<_>>(), levels.bids);
            assert_eq!(asks.iter().collect::<Vec<_>>(), levels.asks);
            assert_eq!(checksum, levels.checksum);
        },
    );
}

#[test]
fn a_ticker_brings_its_own_scales() {
    let ticker = Ticker {
        last: Some(Decimal::new(6_309_349, 2)),
        change: Some(Decimal::new(-78_024, 2)),
        quote_volume: Some(Decimal::new(159_324_425_763_869_474, 9)),
        ..Ticker::default()
    };
    let head = Head {
        venue_seq: None,
        ..head(3, 4, Some(3))
    };
    check(
        "ticker",
        |out| binary::ticker(out, &head, &ticker),
        |record| {
            assert!(matches!(record.body, RecordBody::Ticker(read) if read.ticker() == ticker));
            assert_eq!((record.venue_seq, record.prev), (None, head.prev));
        },
    );
}

#[test]
fn a_state_says_why_and_of_which_channel() {
    let state = |feed, since| ChannelState {
        feed,
        since: UnixNanos::new(since),
    };
    let states = [
        (ChannelKind::Trade, state(FeedState::Live, EVENT)),
        (ChannelKind::Book, state(FeedState::Stale, RECV)),
    ];
    let status = Status {
        feed: FeedState::Stale,
        trading: TradingState::Open,
        reason: "no book data for 5.0 s".into(),
        channels: states.into_iter().collect(),
    };
    let head = Head {
        ts_event: None,
        venue_seq: None,
        ..head(4, 3, Some(2))
    };
    check(
        "status",
        |out| binary::status(out, &head, &status),
        |record| {
            let RecordBody::Status {
                feed,
                trading,
                reason,
                channels,
            } = record.body
            else {
                panic!("{record:?}")
            };
            assert_eq!(
                (feed, trading, reason),
                (status.feed, status.trading, &*status.reason)
            );
            assert_eq!(channels, status.channels);
        },
    );
}

#[test]
fn a_definition_says_what_the_venue_says() {
    let figure = |mantissa, scale| Some(Decimal::new(mantissa, scale));
    let terms = Terms {
        kind: Some(InstrumentKind::Perpetual),
        qty_unit: Some(QtyUnit::Contract),
        inverse: Some(false),
        tick: figure(1, 1),
        lot: figure(1, 2),
        contract_size: figure(1, 2),
        listed_at: Some(UnixNanos::new(EVENT)),
        ..Terms::UNKNOWN
    };
    let definition = Definition {
        native: "BTC-USDT-SWAP",
        price_scale: Scale::saturating(1),
        qty_scale: Scale::saturating(2),
        trading: TradingState::Open,
        terms,
    };
    let head = Head {
        ts_event: None,
        venue_seq: None,
        ..head(5, 2, None)
    };
    check(
        "instrument",
        |out| binary::definition(out, &head, &definition),
        |record| {
            assert!(matches!(record.body, RecordBody::Definition(read) if read == definition));
            assert_eq!(record.prev, None);
        },
    );
}

#[test]
fn the_documentation_shows_these_files() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/PROTOCOL.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    for file in std::fs::read_dir(folder("frames")).unwrap() {
        let path = file.unwrap().path();
        let golden = std::fs::read_to_string(&path).unwrap();
        assert!(docs.contains(&golden), "docs/PROTOCOL.md lacks {path:?}");
    }
}
