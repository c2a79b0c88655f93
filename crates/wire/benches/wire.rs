//! What it costs to write a data frame, header and all: once per update, for everybody. And what it
//! costs to write and to read a record.
//!
//! One iteration is a hundred frames or records into one buffer, as a turn of the pipeline makes them.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop")]

use divan::Bencher;
use divan::counter::ItemsCount;
use std::hint::black_box;
use std::sync::Arc;
use tapecast_model::{
    Aggressor, Body, Book, BookChanges, Epoch, EventTime, Instrument, InstrumentId, Level, Price,
    Qty, Quote, Scale, Seq, Symbol, Touched, Trade, TradeId, UnixNanos, Update, Venue,
};
use tapecast_wire::json::{self, BookLevels, Head, PriceLevel};
use tapecast_wire::record::{Record, Records};
use tapecast_wire::{Opcode, binary, frame};

fn main() {
    divan::main();
}

const FRAMES: usize = 100;

fn instrument() -> Instrument {
    Instrument {
        id: InstrumentId::new(0),
        venue: Venue::new("binance").unwrap(),
        symbol: Symbol::new("BTC-USDT").unwrap(),
        native: "BTCUSDT".into(),
        price_scale: Scale::new(2).unwrap(),
        qty_scale: Scale::new(5).unwrap(),
        lossless: false,
    }
}

fn head(prefix: &[u8], seq: usize) -> Head<'_> {
    Head {
        prefix,
        epoch: Epoch::new(1_723_161_255_342),
        seq: Seq::new(2_000_001 + seq as u64),
        prev: Some(Seq::new(2_000_000 + seq as u64)),
        ts_event: Some(EventTime::from_millis(1_723_161_255_342)),
        ts_recv: Some(UnixNanos::new(1_723_161_255_343_123_456)),
        ts_out: UnixNanos::new(1_723_161_255_343_234_567),
        venue_seq: Some(50_093_239_212),
        tid: 7,
        conflated: false,
    }
}

/// Writes text frames of a topic again and again.
fn frames(bencher: Bencher<'_, '_>, topic: &str, write: impl Fn(&mut Vec<u8>, &Head<'_>)) {
    let prefix = json::prefix(&topic.parse().unwrap());
    let mut text = Vec::new();
    write(&mut text, &head(&prefix, 0));
    assert!(serde_json::from_slice::<serde_json::Value>(&text).is_ok());
    encoded(bencher, &prefix, Opcode::Text, write);
}

/// Writes frames again and again; each must be as long as the first.
fn encoded(
    bencher: Bencher<'_, '_>,
    prefix: &[u8],
    opcode: Opcode,
    write: impl Fn(&mut Vec<u8>, &Head<'_>),
) {
    let mut out = Vec::new();
    let length = frame::append(&mut out, opcode, |out| write(out, &head(prefix, 0))).len();
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(|| {
        out.clear();
        for seq in 0..FRAMES {
            frame::append(&mut out, opcode, |out| {
                write(out, black_box(&head(prefix, seq)))
            });
        }
        assert_eq!(out.len(), length * FRAMES);
    });
}

fn a_trade() -> Trade {
    Trade {
        id: TradeId::from_number(3_735_683_259),
        price: Price::from_mantissa(6_183_764),
        qty: Qty::from_mantissa(16_050),
        aggressor: Some(Aggressor::Buy),
        ts_event: Some(EventTime::from_millis(1_723_161_255_342)),
    }
}

fn a_quote() -> Quote {
    let side = Some((Price::from_mantissa(6_183_764), Qty::from_mantissa(378_826)));
    Quote {
        bid: side,
        ask: side,
    }
}

#[divan::bench]
fn trade(bencher: Bencher<'_, '_>) {
    let (instrument, trade) = (instrument(), a_trade());
    frames(bencher, "trade:binance:BTC-USDT", |out, head| {
        json::trades(out, head, &instrument, &[trade]);
    });
}

#[divan::bench]
fn quote(bencher: Bencher<'_, '_>) {
    let (instrument, quote) = (instrument(), a_quote());
    frames(bencher, "quote:binance:BTC-USDT", |out, head| {
        json::quote(out, head, &instrument, &quote);
    });
}

#[divan::bench]
fn binary_trade(bencher: Bencher<'_, '_>) {
    let trade = a_trade();
    encoded(bencher, &[], Opcode::Binary, |out, head| {
        binary::trades(out, head, &[trade])
    });
}

#[divan::bench]
fn binary_quote(bencher: Bencher<'_, '_>) {
    let quote = a_quote();
    encoded(bencher, &[], Opcode::Binary, |out, head| {
        binary::quote(out, head, &quote)
    });
}

#[divan::bench(args = [2, 20, 100])]
fn binary_book(bencher: Bencher<'_, '_>, changed: usize) {
    let side = levels(changed / 2);
    encoded(bencher, &[], Opcode::Binary, |out, head| {
        let levels = BookLevels {
            bids: &side,
            asks: &side,
            checksum: 3_726_153_463,
        };
        binary::book(out, head, levels);
    });
}

fn levels(count: usize) -> Vec<PriceLevel> {
    let level = |rank: usize| {
        (
            Price::from_mantissa(6_183_764 - rank as i64),
            Qty::from_mantissa(100_000 + rank as i64 * 7),
        )
    };
    (0..count).map(level).collect()
}

/// A change to a book of so many levels, half of them bids.
#[divan::bench(args = [2, 20, 100])]
fn book(bencher: Bencher<'_, '_>, changed: usize) {
    let (instrument, side) = (instrument(), levels(changed / 2));
    frames(bencher, "book.50:binance:BTC-USDT", |out, head| {
        let levels = BookLevels {
            bids: &side,
            asks: &side,
            checksum: 3_726_153_463,
        };
        json::book(out, head, &instrument, levels);
    });
}

/// The checksum in book frames: ten levels of each side, spelled and hashed.
#[divan::bench]
fn checksum(bencher: Bencher<'_, '_>) {
    let (instrument, side, mut text) = (instrument(), levels(50), Vec::new());
    let expected = json::checksum(&mut text, &instrument, &side, &side);
    bencher.bench_local(|| {
        let sum = json::checksum(&mut text, &instrument, black_box(&side), &side);
        assert_eq!(sum, expected);
    });
}

/// What records are made of: an update of each frequent kind. A book has 500 levels of each side.
const BODIES: [&str; 5] = ["print", "quote", "change of 2", "change of 20", "book"];

/// Calls `run` with the update of a name.
fn updated<T>(name: &str, run: impl FnOnce(&Update<'_>) -> T) -> T {
    let (instrument, trade, quote) = (Arc::new(instrument()), a_trade(), a_quote());
    let side = |count: usize, up: i64| -> Vec<Level> {
        let level = |rank: usize| {
            let price = 6_183_764 + up * (1 + rank as i64);
            Level::new(
                Price::from_mantissa(price),
                Qty::from_mantissa(100_000 + rank as i64 * 7),
            )
        };
        (0..count).map(level).collect()
    };
    let mut book = Book::new();
    book.replace(side(500, -1), side(500, 1));
    let changed = if name == "change of 2" { 1 } else { 10 };
    let (bids, asks) = (side(changed, -1), side(changed, 1));
    let changes = BookChanges {
        bids: &bids,
        asks: &asks,
        depth: None,
    };
    let body = match name {
        "print" => Body::Trades(std::slice::from_ref(&trade)),
        "quote" => Body::Quote(&quote),
        _ => Body::Book {
            book: &book,
            touched: Touched::ALL,
            changes: (name != "book").then_some(changes),
        },
    };
    let head = head(&[], 0);
    run(&Update {
        instrument: &instrument,
        epoch: head.epoch,
        seq: head.seq,
        ts_event: head.ts_event,
        ts_recv: head.ts_recv.unwrap(),
        venue_seq: head.venue_seq,
        body,
    })
}

/// Updates to bytes.
#[divan::bench(args = BODIES)]
fn record_written(bencher: Bencher<'_, '_>, name: &str) {
    updated(name, |update| {
        let mut out = Vec::new();
        let prev = Some(head(&[], 0).prev.unwrap());
        bencher.counter(ItemsCount::new(FRAMES)).bench_local(|| {
            out.clear();
            for _ in 0..FRAMES {
                Record::of(black_box(update), prev).encode(&mut out);
            }
        });
    });
}

/// A batch of bytes to records.
#[divan::bench(args = BODIES)]
fn record_read(bencher: Bencher<'_, '_>, name: &str) {
    let mut batch = Vec::new();
    updated(name, |update| {
        let record = Record::of(update, Some(head(&[], 0).prev.unwrap()));
        (0..FRAMES).for_each(|_| record.encode(&mut batch));
    });
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(|| {
        let read = Records::new(black_box(&batch)).filter(Result::is_ok);
        assert_eq!(read.count(), FRAMES);
    });
}
