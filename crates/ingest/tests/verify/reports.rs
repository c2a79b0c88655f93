//! Recordings that are right, and recordings with one thing wrong.

use crate::market::{natives, recording};
use crate::{check, of, write};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::path::Path;
use std::time::Duration;
use tapecast_ingest::replay::{ReplayError, likely_formats};
use tapecast_ingest::venue::Format;
use tapecast_ingest::verify::{
    ChainKind, Finding, FindingKind, Place, Recording, Report, VerifyError, verify,
};
use tapecast_model::{UnixNanos, Venue};

/// Findings of all instruments, with the native name.
fn findings(report: &Report) -> Vec<(&str, FindingKind, u64)> {
    let symbols = report.symbols.iter();
    let all = symbols.flat_map(|symbol| symbol.findings().map(|found| (&*symbol.native, found)));
    all.map(|(native, found)| (native, found.kind, found.times))
        .collect()
}

/// The place, from 0, of the `nth` row of an instrument that contains a text.
fn find(rows: &[String], texts: [&str; 2], nth: usize) -> usize {
    let has = |row: &&String| texts.iter().all(|text| row.contains(text));
    let all = rows.iter().enumerate().filter(|(_, row)| has(row));
    all.map(|(at, _)| at).nth(nth).unwrap()
}

fn without(rows: &[String], at: usize) -> Vec<String> {
    let kept = rows.iter().enumerate().filter(|(place, _)| *place != at);
    kept.map(|(_, row)| row.clone()).collect()
}

#[test]
fn a_right_recording_is_verified_and_counted() {
    for format in Format::ALL {
        let rows = recording(format, 1, 300);
        let report = check(format, &rows);
        assert!(report.is_verified(), "{format}: {:?}", findings(&report));
        let (messages, symbols) = (rows.len() as u64, &report.symbols);
        assert_eq!((report.rows, report.messages), (messages, messages));
        assert_eq!(
            report.span.first,
            Some(UnixNanos::new(1_700_000_000_000_000_000))
        );
        let lasted = Duration::from_millis(messages - 1);
        assert_eq!(report.span.duration(), Some(lasted), "{format}");
        let natives = natives(format);
        assert_eq!(
            symbols.iter().map(|s| &*s.native).collect::<Vec<_>>(),
            natives
        );
        // Kraken's recordings begin with the answers to two requests.
        let named: u64 = symbols.iter().map(|symbol| symbol.messages).sum();
        let acknowledged = if format == Format::Kraken { 2 } else { 0 };
        assert_eq!(named + acknowledged, messages, "{format}");
        for native in natives {
            let (book, trades) = (&of(&report, native).book, &of(&report, native).trades);
            let count = |text: &str| rows.iter().filter(|row| row.contains(text)).count() as u64;
            assert!(
                book.snapshots > 1 && book.unbroken > 50,
                "{format}: {book:?}"
            );
            assert_eq!(book.snapshots + book.unbroken, book.messages, "{format}");
            let sums = matches!(format, Format::Kraken | Format::Okx);
            let passed = if sums { book.messages } else { 0 };
            assert_eq!(book.checksums_passed, passed, "{format}");
            assert!(
                trades.trades > 10,
                "{format}: {trades:?} of {}",
                count("trade")
            );
            let chain = match format {
                Format::Kraken => ChainKind::None,
                Format::Coinbase => ChainKind::Connection,
                _ => ChainKind::Numbers,
            };
            assert_eq!(book.chain, chain, "{format}");
            let quotes = of(&report, native).quotes;
            let compared = matches!(format, Format::Binance | Format::BinanceUsdm);
            assert_eq!(quotes.compared > 50, compared, "{format}: {quotes:?}");
            assert_eq!(quotes.compared, quotes.agreed, "{format}");
            assert_eq!(of(&report, native).gaps, Default::default(), "{format}");
        }
    }
}

#[test]
fn a_broken_chain_has_a_place_a_reason_and_a_time_until_it_healed() {
    let rows = recording(Format::BybitLinear, 1, 400);
    let lost = find(&rows, ["orderbook.50.BTCUSDT", "delta"], 20);
    let rows = without(&rows, lost);
    let shows = find(&rows, ["orderbook.50.BTCUSDT", "delta"], 20);
    let report = check(Format::BybitLinear, &rows);
    assert!(!report.is_verified());
    assert_eq!(
        findings(&report),
        [("BTCUSDT", FindingKind::ChainBroken, 1)]
    );
    let symbol = of(&report, "BTCUSDT");
    let place = symbol.book.first_broken.clone().unwrap();
    assert_eq!(place.row, shows as u64 + 1);
    assert!(place.reason.contains(" after "), "{}", place.reason);
    let snapshots = (0..).map(|nth| find(&rows, ["orderbook.50.BTCUSDT", "snapshot"], nth));
    let heals = snapshots.into_iter().find(|at| *at > shows).unwrap();
    // One row of the recording is a millisecond; one is gone.
    let lasted = Duration::from_millis((heals - shows) as u64);
    let gaps = symbol.gaps;
    assert_eq!((gaps.found, gaps.healed), (1, 1));
    assert_eq!((gaps.longest, gaps.total), (lasted, lasted));
    assert!(of(&report, "ETHUSDT").is_verified());
}

#[test]
fn a_checksum_that_disagrees_is_found_where_it_is() {
    for (format, of_book) in [(Format::Kraken, "book"), (Format::Okx, "books")] {
        let mut rows = recording(format, 2, 300);
        let native = natives(format)[1];
        let at = find(&rows, [&format!("\\\"{of_book}\\\""), native], 30);
        let (head, tail) = rows[at].split_once("\\\"checksum\\\":").unwrap();
        let rest = tail.trim_start_matches(|c: char| c == '-' || c.is_ascii_digit());
        rows[at] = format!("{head}\\\"checksum\\\":12345{rest}");
        let report = check(format, &rows);
        assert_eq!(
            findings(&report),
            [(native, FindingKind::ChecksumFailed, 1)],
            "{format}"
        );
        let place = of(&report, native).book.first_failed.clone().unwrap();
        assert_eq!(place.row, at as u64 + 1, "{format}");
        assert!(
            place.reason.contains("checksum"),
            "{format}: {}",
            place.reason
        );
    }
}

#[test]
fn trades_that_are_missing_are_a_finding_and_repeated_ones_are_not() {
    let rows = recording(Format::Okx, 3, 300);
    let at = find(&rows, ["\\\"trades\\\"", "BTC-USDT"], 5);
    let report = check(Format::Okx, &without(&rows, at));
    assert_eq!(
        findings(&report),
        [("BTC-USDT", FindingKind::TradesMissing, 1)]
    );
    let mut again = rows.clone();
    again.insert(at + 3, rows[at].clone());
    let report = check(Format::Okx, &again);
    assert!(report.is_verified());
    assert_eq!(of(&report, "BTC-USDT").trades.repeated, 1);
    assert_eq!(of(&report, "ETH-USDT").trades.repeated, 0);
}

#[test]
fn a_book_that_never_begins_is_not_verified() {
    let mut rows = recording(Format::Binance, 4, 200);
    rows.retain(|row| !(row.contains("lastUpdateId") && row.contains("BTCUSDT")));
    let report = check(Format::Binance, &rows);
    let waiting = of(&report, "BTCUSDT").book.messages;
    assert_eq!(
        findings(&report),
        [("BTCUSDT", FindingKind::NoSnapshot, waiting)]
    );
}

#[test]
fn rows_that_cannot_be_read_have_a_reason_and_new_kinds_are_only_counted() {
    let mut rows = recording(Format::Binance, 5, 100);
    let row = |raw: &str| {
        serde_json::json!({ "ts": 1_700_000_000_050_000_000_u64, "raw": raw }).to_string()
    };
    rows.insert(50, row("{\"e\":\"newKind\",\"s\":\"BTCUSDT\"}"));
    let report = check(Format::Binance, &rows);
    assert!(report.is_verified());
    assert_eq!(report.rejects.total(), 1);

    // A trade of a known instrument, an unreadable message, and a row that is none.
    let trade = "{\"e\":\"trade\",\"E\":1,\"s\":\"ETHUSDT\",\"t\":1,\"p\":\"x\",\"q\":\"1\",\"T\":1,\"m\":true}";
    rows.insert(60, row(trade));
    rows.insert(70, row("{\"e\":"));
    rows.insert(80, "{\"ts\":1".to_owned());
    let report = check(Format::Binance, &rows);
    let reasons: Vec<_> = report
        .rejects
        .by_reason()
        .filter(|(_, count)| *count > 0)
        .collect();
    let expected = [
        ("malformed", 1),
        ("unknown", 1),
        ("bad_number", 1),
        ("bad_line", 1),
    ];
    assert_eq!(reasons, expected);
    let place = Place {
        row: 61,
        reason: "price cannot be read".into(),
    };
    let found = Finding {
        kind: FindingKind::Unreadable,
        times: 3,
        first: Some(place),
    };
    assert_eq!(report.unreadable(), Some(found));
    assert_eq!(of(&report, "ETHUSDT").rejects.total(), 1);
    assert_eq!(of(&report, "BTCUSDT").rejects.total(), 0);
    assert_eq!(report.rows, report.messages + 1);
}

/// What a killed recorder leaves.
#[test]
fn an_incomplete_file_is_read_as_far_as_it_goes() {
    let rows = recording(Format::Okx, 9, 200);
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), &rows);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let report = verify(Recording {
        venue: Venue::new("okx").unwrap(),
        format: Format::Okx,
        path,
        symbols: hashbrown::HashMap::new(),
    });
    // So little may fit in one block that nothing is left.
    let Ok(report) = report else { return };
    let found = report.unreadable().unwrap();
    assert_eq!(found.times, 1);
    let first = found.first.unwrap();
    assert_eq!(first.row, report.rows);
    assert_eq!(&*first.reason, "the file is incomplete or damaged here");
}

/// Whatever stands in a recording, there is a report or an error.
#[test]
fn damaged_recordings_are_checked_without_a_panic() {
    let mut random = StdRng::seed_from_u64(1);
    for format in Format::ALL {
        let rows = recording(format, 10, 150);
        for _ in 0..10 {
            let mut text = rows.join("\n").into_bytes();
            for _ in 0..random.random_range(1..40) {
                let at = random.random_range(0..text.len());
                text[at] = b"0123456789\"{}[],:-x"[random.random_range(0..19)];
            }
            // Ends of rows may be gone, too.
            let left = text.split(|byte| *byte == b'\n').count() as u64;
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("damaged.jsonl");
            std::fs::write(&path, text).unwrap();
            let checked = verify(Recording {
                venue: Venue::new("x").unwrap(),
                format,
                path,
                symbols: hashbrown::HashMap::new(),
            });
            if let Ok(report) = checked {
                assert_eq!(report.rows, left, "{format}");
            }
        }
    }
}

#[test]
fn ten_unreadable_messages_in_a_row_are_no_broken_chain() {
    let mut rows = recording(Format::BybitSpot, 6, 100);
    let row = serde_json::json!({ "ts": 1, "raw": "{" }).to_string();
    rows.splice(50..50, vec![row; 10]);
    let report = check(Format::BybitSpot, &rows);
    assert_eq!(report.unreadable().map(|found| found.times), Some(10));
    assert_eq!(findings(&report), []);
    // The books could not be trusted from then on.
    assert!(report.symbols.iter().all(|symbol| symbol.gaps.found > 0));
}

/// The recorder's clock is not the venue's; where it says nothing, the venue's is taken.
#[test]
fn times_are_those_of_the_recorder_or_else_of_the_venue() {
    let rows = recording(Format::BybitLinear, 7, 100);
    let bare: Vec<String> = rows
        .iter()
        .map(|row| {
            let row: serde_json::Value = serde_json::from_str(row).unwrap();
            row["raw"].as_str().unwrap().to_owned()
        })
        .collect();
    let (report, with_times) = (
        check(Format::BybitLinear, &bare),
        check(Format::BybitLinear, &rows),
    );
    assert!(report.is_verified());
    assert_eq!(report.span, with_times.span);
}

#[test]
fn a_crossed_book_is_counted_and_is_the_venues_own() {
    let report = verify(Recording {
        venue: Venue::new("bybit").unwrap(),
        format: Format::BybitLinear,
        path: Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/recordings/small/bybit_crossed.jsonl"),
        symbols: hashbrown::HashMap::new(),
    })
    .unwrap();
    let crossed: u64 = report
        .symbols
        .iter()
        .map(|symbol| symbol.book.crossed)
        .sum();
    assert!(crossed > 0 && findings(&report).is_empty(), "{report:?}");
}

#[test]
fn the_format_shows_in_the_messages_or_else_in_the_name() {
    let folder = tempfile::tempdir().unwrap();
    for format in Format::ALL {
        let path = write(folder.path(), &recording(format, 8, 100));
        let likely = likely_formats(&path).unwrap();
        match format {
            // Books and trades of the two are the same.
            Format::BybitSpot | Format::BybitLinear => {
                assert_eq!(likely, [Format::BybitSpot, Format::BybitLinear]);
                let named = folder.path().join(format!("{format}.jsonl.zst"));
                std::fs::rename(&path, &named).unwrap();
                assert_eq!(likely_formats(&named).unwrap(), [format]);
            }
            _ => assert_eq!(likely, [format]),
        }
    }
    let foreign = write(
        folder.path(),
        &["{\"type\":\"l2update\",\"product_id\":\"A-B\"}".to_owned()],
    );
    assert_eq!(likely_formats(&foreign).unwrap(), []);
}

#[test]
fn what_is_no_recording_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), &["{\"a\":1}".to_owned()]);
    let recording = |path| Recording {
        venue: Venue::new("x").unwrap(),
        format: Format::Okx,
        path,
        symbols: hashbrown::HashMap::new(),
    };
    let nothing = verify(recording(path)).unwrap_err();
    assert!(
        matches!(nothing, VerifyError::Replay(ReplayError::Nothing { .. })),
        "{nothing}"
    );
    let none = verify(recording(folder.path().join("none"))).unwrap_err();
    assert!(
        matches!(none, VerifyError::Replay(ReplayError::Capture(_))),
        "{none}"
    );
}
