//! Rows that are missing: each that the venue's rules can show is announced, and no other.

use crate::truth::{Found, is_market, of as truth_of, said};
use crate::{check, market};
use rand::rngs::StdRng;
use rand::seq::index::sample;
use rand::{Rng as _, SeedableRng as _};
use tapecast_ingest::venue::Format;
use tapecast_ingest::verify::Report;
use tapecast_testkit::recordings;

/// Cuts that are tried with each recording of ours, and with each of those that were recorded.
const TRIES: u64 = 15;
const TRIES_OF_RECORDED: u64 = 4;

/// Rows of a recording that are looked at.
const ROWS_MAX: usize = 2_500;

/// The rows without some that are chosen at random; how many were taken out.
fn cut(rows: &[String], random: &mut StdRng) -> (Vec<String>, usize) {
    let market: Vec<usize> = (0..rows.len())
        .filter(|at| is_market(&said(&rows[*at])))
        .collect();
    let many = random.random_range(1..=8.min(market.len()));
    let chosen: Vec<usize> = sample(random, market.len(), many)
        .into_iter()
        .map(|at| market[at])
        .collect();
    let kept = rows
        .iter()
        .enumerate()
        .filter(|(at, _)| !chosen.contains(at));
    (kept.map(|(_, row)| row.clone()).collect(), many)
}

/// Compares a report with what the rules show. Returns how much there was to see.
fn compare(report: &Report, format: Format, rows: &[String], context: &str) -> u64 {
    let truth = truth_of(format, rows);
    // The connection's word is one on every instrument.
    let all = truth.get("").cloned().unwrap_or_default();
    let mut seen = 0;
    for symbol in &report.symbols {
        let of_symbol = truth.get(&*symbol.native).cloned().unwrap_or_default();
        let expected = Found {
            broken: of_symbol.broken + all.broken,
            first_broken: of_symbol.first_broken.or(all.first_broken),
            ..of_symbol
        };
        let row = |place: &Option<tapecast_ingest::verify::Place>| place.as_ref().map(|p| p.row);
        let found = Found {
            broken: symbol.book.broken,
            first_broken: row(&symbol.book.first_broken),
            failed: symbol.book.checksums_failed,
            first_failed: row(&symbol.book.first_failed),
            missing: symbol.trades.missing,
        };
        assert_eq!(found, expected, "{context}: {}", symbol.native);
        seen += expected.broken + expected.failed + expected.missing;
    }
    assert_eq!(report.rejects.total(), 0, "{context}");
    seen
}

fn try_cuts(format: Format, rows: &[String], tries: u64, name: &str) -> (usize, u64) {
    let (mut out, mut seen) = (0, 0);
    for seed in 0..tries {
        let (kept, many) = cut(rows, &mut StdRng::seed_from_u64(seed));
        let report = check(format, &kept);
        seen += compare(&report, format, &kept, &format!("{name}, seed {seed}"));
        out += many;
    }
    (out, seen)
}

#[test]
fn every_row_that_is_missing_is_announced_if_the_rules_show_it() {
    for format in Format::ALL {
        let mut total = (0, 0);
        for seed in 0..2 {
            let rows = market::recording(format, seed, 400);
            let name = format!("{format}, market {seed}");
            assert_eq!(
                compare(&check(format, &rows), format, &rows, &name),
                0,
                "{name}"
            );
            let (out, seen) = try_cuts(format, &rows, TRIES, &name);
            total = (total.0 + out, total.1 + seen);
        }
        println!(
            "{format}: {} rows taken out, {} losses to see",
            total.0, total.1
        );
        // Not every row shows: quotes and Bybit's trades do not, nor a change before a snapshot.
        assert!(total.1 * 4 > total.0 as u64, "{format}: {total:?}");
    }
}

#[test]
fn the_same_holds_of_what_venues_sent() {
    for recording in recordings() {
        let format: Format = recording.format.parse().unwrap();
        let rows: Vec<String> = recording
            .rows()
            .take(ROWS_MAX)
            .map(|row| row.line)
            .collect();
        let (out, seen) = try_cuts(format, &rows, TRIES_OF_RECORDED, &recording.name);
        println!(
            "{}: {out} rows taken out, {seen} losses to see",
            recording.name
        );
    }
}
