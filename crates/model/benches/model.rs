//! What the domain's small operations cost: a decimal read, a decimal written, a level set in a book.
//!
//! One iteration is a thousand operations, so µs per iteration read as ns per operation.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop")]

use divan::Bencher;
use divan::counter::ItemsCount;
use std::hint::black_box;
use tapecast_model::decimal::{parse_scaled, write_integer, write_scaled};
use tapecast_model::{Book, Level, Price, Qty, Scale, Side, TradeId};

fn main() {
    divan::main();
}

const OPERATIONS: usize = 1_000;

/// A number as venues spell it.
#[derive(Clone, Copy, Debug)]
enum Spelling {
    /// `61837.64000000`.
    Padded,
    /// `61837.64`.
    Short,
    /// `0.00001234`.
    Small,
    /// `1e-08`, in definitions only.
    Exponent,
}

impl Spelling {
    const ALL: [Self; 4] = [Self::Padded, Self::Short, Self::Small, Self::Exponent];

    fn of(self, n: usize) -> (String, i64) {
        let cents = 6_100_000 + n as i64 * 7;
        match self {
            Self::Padded => (
                format!("{}.{:02}000000", cents / 100, cents % 100),
                cents * 1_000_000,
            ),
            Self::Short => (
                format!("{}.{:02}", cents / 100, cents % 100),
                cents * 1_000_000,
            ),
            Self::Small => (format!("0.{:08}", 1_000 + n), 1_000 + n as i64),
            Self::Exponent => (format!("{n}e-08"), n as i64),
        }
    }
}

#[divan::bench(args = Spelling::ALL)]
fn decimal_read(bencher: Bencher<'_, '_>, spelling: Spelling) {
    let scale = Scale::new(8).unwrap();
    let (texts, numbers): (Vec<_>, Vec<_>) = (0..OPERATIONS).map(|n| spelling.of(n)).unzip();
    let expected: i64 = numbers.iter().sum();
    bencher
        .counter(ItemsCount::new(OPERATIONS))
        .bench_local(|| {
            let read = |text: &String| parse_scaled(black_box(text.as_bytes()), scale).unwrap();
            let sum: i64 = texts.iter().map(read).sum();
            assert_eq!(sum, expected);
        });
}

#[divan::bench(args = [2, 5, 8])]
fn decimal_written(bencher: Bencher<'_, '_>, scale: u8) {
    let scale = Scale::new(scale).unwrap();
    let numbers: Vec<i64> = (0..OPERATIONS as i64)
        .map(|n| 6_183_764 + n * 7_919)
        .collect();
    let mut out = Vec::new();
    numbers
        .iter()
        .for_each(|n| write_scaled(&mut out, *n, scale));
    let expected = out.len();
    bencher
        .counter(ItemsCount::new(OPERATIONS))
        .bench_local(|| {
            out.clear();
            numbers
                .iter()
                .for_each(|n| write_scaled(&mut out, black_box(*n), scale));
            assert_eq!(out.len(), expected);
        });
}

#[divan::bench]
fn time_written(bencher: Bencher<'_, '_>) {
    let first = 1_723_161_255_342_000_000_u64;
    let mut out = Vec::new();
    bencher
        .counter(ItemsCount::new(OPERATIONS))
        .bench_local(|| {
            out.clear();
            (0..OPERATIONS as u64).for_each(|n| write_integer(&mut out, black_box(first + n)));
            assert_eq!(out.len(), 19 * OPERATIONS);
        });
}

#[divan::bench]
fn trade_id_of_number(bencher: Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(OPERATIONS))
        .bench_local(|| {
            let id = |n: usize| TradeId::from_number(black_box(3_735_683_259 + n as u64));
            let length: usize = (0..OPERATIONS).map(|n| id(n).as_bytes().len()).sum();
            assert_eq!(length, 10 * OPERATIONS);
        });
}

/// Sizes set, levels removed and put back, at most so many ranks from the top of a book of a
/// thousand levels.
#[divan::bench(args = [1, 20, 1_000])]
fn book_apply(bencher: Bencher<'_, '_>, ranks: usize) {
    let level = |rank: usize, qty: usize| {
        let price = Price::from_mantissa(1_000_000 - rank as i64);
        Level::new(price, Qty::from_mantissa(qty as i64))
    };
    let mut book = Book::new();
    book.replace((0..1_000).map(|rank| level(rank, 1)), []);
    let mut round = 1;
    bencher
        .counter(ItemsCount::new(OPERATIONS))
        .bench_local(|| {
            round += 1;
            let mut changed = 0;
            for n in 0..OPERATIONS / 4 {
                let rank = n * 7_919 % ranks;
                // Set, removed, put back, and the same said again.
                for qty in [round + 1, 0, round, round] {
                    changed +=
                        usize::from(book.apply(Side::Bid, black_box(level(rank, qty))).is_some());
                }
            }
            assert_eq!(changed, OPERATIONS / 4 * 3);
            assert_eq!(book.depth(Side::Bid), 1_000);
        });
}

#[divan::bench(args = [10, 50, 1_000])]
fn book_top(bencher: Bencher<'_, '_>, levels: usize) {
    let mut book = Book::new();
    let level = |n: i64| Level::new(Price::from_mantissa(n), Qty::from_mantissa(1));
    book.replace([], (0..1_000).map(level));
    bencher.bench_local(|| {
        let sum: i64 = black_box(&book)
            .levels(Side::Ask)
            .take(levels)
            .map(|l| l.qty.mantissa())
            .sum();
        assert_eq!(sum, levels as i64);
    });
}
