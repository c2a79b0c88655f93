//! Goal: what comes out of a replay is what stands in the recording, told by a second, naive reader.
//!
//! Method: every recording in the directory that `TAPECAST_CAPTURES` names is scanned and played at
//! full speed; the events are compared with what `serde_json` sees: trades one by one, in order, ids
//! equal and decimals equal to the last digit; books and quotes by number of messages and of levels.
//! Without the variable the tests say so and pass.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop and may talk"
)]

use hashbrown::HashMap;
use prometheus::Registry;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tapecast_ingest::event::{Event, EventBody, FeedEvent};
use tapecast_ingest::feed::{StartGate, Unpaced};
use tapecast_ingest::metrics::{FeedMetrics, PipelineMetrics};
use tapecast_ingest::pipeline::{Pipeline, PipelineConfig};
use tapecast_ingest::replay::{Replay, ReplayConfig, ScanReport, Speed};
use tapecast_ingest::venue::Format;
use tapecast_model::{Body, Catalog, Epoch, Instrument, Mono, Update, Venue};

/// What a name of a recording begins with, and its format.
const NAMES: [(&str, Format); 7] = [
    ("binance-spot_", Format::Binance),
    ("binance-usdm_", Format::BinanceUsdm),
    ("coinbase-advanced_", Format::Coinbase),
    ("kraken-v2_", Format::Kraken),
    ("okx-v5_", Format::Okx),
    ("bybit-v5-spot_", Format::BybitSpot),
    ("bybit-v5-linear_", Format::BybitLinear),
];

fn recordings() -> Vec<(PathBuf, Format)> {
    let Some(dir) = std::env::var_os("TAPECAST_CAPTURES") else {
        println!("skipped: TAPECAST_CAPTURES is not set to a directory of recordings");
        return Vec::new();
    };
    let mut found: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.to_owned();
            let (_, format) = NAMES.iter().find(|(prefix, _)| name.starts_with(prefix))?;
            Some((path, *format))
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(
        !found.is_empty(),
        "TAPECAST_CAPTURES names a directory without recordings"
    );
    found
}

struct Played {
    catalog: Arc<Catalog>,
    events: Vec<Event>,
    instruments: Vec<Arc<Instrument>>,
    report: ScanReport,
    rejects: u64,
}

fn play(path: &Path, format: Format) -> Played {
    let catalog = Arc::new(Catalog::new(10_000));
    let config = ReplayConfig {
        venue: Venue::new(format.label()).unwrap(),
        format,
        path: path.to_owned(),
        speed: Speed::Max,
        looped: false,
        symbols: HashMap::new(),
    };
    let venue = config.venue.clone();
    let replay = Replay::scan(config, &catalog).unwrap();
    let report = replay.report();
    let metrics = FeedMetrics::register(&Registry::new()).unwrap();
    let (tx, rx) = crossbeam_channel::bounded(64);
    let counters = metrics.of_venue(&venue);
    let player = std::thread::spawn(move || {
        let stop = Arc::new(AtomicBool::new(false));
        replay.run(&StartGate::opened(), tx, Box::new(Unpaced), stop, &metrics);
    });
    let events: Vec<_> = rx.iter().collect();
    player.join().unwrap();
    assert_eq!(counters.messages.get(), report.messages);
    let rejects = counters.rejected_in_all();
    let instruments = catalog.instruments();
    Played {
        catalog,
        events,
        instruments,
        report,
        rejects,
    }
}

/// The messages of a recording, read without any code of ours.
fn messages(path: &Path) -> impl Iterator<Item = String> {
    let decoder = zstd::Decoder::new(std::fs::File::open(path).unwrap()).unwrap();
    BufReader::new(decoder).lines().map(|line| {
        let line = line.unwrap();
        let row: Value = serde_json::from_str(&line).unwrap();
        row.get("raw")
            .map_or(line, |raw| raw.as_str().unwrap().to_owned())
    })
}

/// A decimal as it is spelled without padding.
fn canonical(text: &str) -> String {
    match text.split_once('.') {
        None => text.to_owned(),
        Some((whole, fraction)) => {
            let fraction = fraction.trim_end_matches('0');
            if fraction.is_empty() {
                whole.to_owned()
            } else {
                format!("{whole}.{fraction}")
            }
        }
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Prints by native id: id, price, quantity and side.
type Tape = BTreeMap<String, Vec<[String; 4]>>;

fn flip(side: &str) -> String {
    if side.eq_ignore_ascii_case("buy") {
        "sell".into()
    } else {
        "buy".into()
    }
}

/// The trades of one message by the naive reader, oldest first; history aside.
fn naive_trades(format: Format, message: &Value, tape: &mut Tape) {
    let data = message.get("data").unwrap_or(message);
    let mut add = |native: &Value, row: [String; 4]| {
        let [id, price, qty, side] = row;
        let row = [id, canonical(&price), canonical(&qty), side];
        tape.entry(text(native)).or_default().push(row);
    };
    match format {
        Format::Binance | Format::BinanceUsdm => {
            let id = match data["e"].as_str() {
                Some("trade") => "t",
                Some("aggTrade") => "a",
                _ => return,
            };
            let side = if data["m"].as_bool().unwrap() {
                "sell"
            } else {
                "buy"
            };
            add(
                &data["s"],
                [
                    text(&data[id]),
                    text(&data["p"]),
                    text(&data["q"]),
                    side.into(),
                ],
            );
        }
        Format::Coinbase if message["channel"] == "market_trades" => {
            for event in message["events"].as_array().unwrap() {
                if event["type"] == "snapshot" {
                    continue;
                }
                for t in event["trades"].as_array().unwrap().iter().rev() {
                    let side = flip(t["side"].as_str().unwrap());
                    let row = [
                        text(&t["trade_id"]),
                        text(&t["price"]),
                        text(&t["size"]),
                        side,
                    ];
                    add(&t["product_id"], row);
                }
            }
        }
        Format::Okx if message["arg"]["channel"] == "trades" && data.is_array() => {
            for t in data.as_array().unwrap() {
                let row = [
                    text(&t["tradeId"]),
                    text(&t["px"]),
                    text(&t["sz"]),
                    text(&t["side"]),
                ];
                add(&t["instId"], row);
            }
        }
        Format::BybitSpot | Format::BybitLinear
            if text(&message["topic"]).starts_with("publicTrade") =>
        {
            for t in data.as_array().unwrap() {
                let side = text(&t["S"]).to_lowercase();
                add(&t["s"], [text(&t["i"]), text(&t["p"]), text(&t["v"]), side]);
            }
        }
        _ => {}
    }
}

fn price(instrument: &Instrument, price: tapecast_model::Price) -> String {
    let mut out = Vec::new();
    price.write(&mut out, instrument.price_scale);
    String::from_utf8(out).unwrap()
}

fn qty(instrument: &Instrument, qty: tapecast_model::Qty) -> String {
    let mut out = Vec::new();
    qty.write(&mut out, instrument.qty_scale);
    String::from_utf8(out).unwrap()
}

fn played_trades(played: &Played) -> Tape {
    let mut tape = Tape::new();
    for event in &played.events {
        let EventBody::Trades {
            prints,
            history: false,
        } = &event.body
        else {
            continue;
        };
        let instrument = &played.instruments[event.instrument.index()];
        for print in prints {
            tape.entry(instrument.native.to_string())
                .or_default()
                .push([
                    String::from_utf8(print.id.as_bytes().to_vec()).unwrap(),
                    price(instrument, print.price),
                    qty(instrument, print.qty),
                    print.aggressor.unwrap().label().into(),
                ]);
        }
    }
    tape
}

#[test]
fn every_recording_is_read_without_a_reject_and_its_trades_come_out_as_they_went_in() {
    for (path, format) in recordings() {
        let played = play(&path, format);
        let name = path.file_name().unwrap().to_string_lossy();
        assert_eq!(
            (played.report.broken_lines, played.report.rejected),
            (0, 0),
            "{name}"
        );
        assert_eq!(played.rejects, 0, "{name}");
        let (mut expected, mut count) = (Tape::new(), 0);
        for message in messages(&path) {
            naive_trades(
                format,
                &serde_json::from_str(&message).unwrap(),
                &mut expected,
            );
            count += 1;
        }
        assert_eq!(played.report.messages, count, "{name}");
        let trades = played_trades(&played);
        assert_eq!(
            trades.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>()
        );
        for (native, rows) in &expected {
            assert_eq!(&trades[native], rows, "{name} {native}");
        }
        let last = &played.events.last().unwrap().body;
        assert!(
            matches!(last, EventBody::Feed(FeedEvent::Down(_))),
            "{name}"
        );
        let prints: usize = trades.values().map(Vec::len).sum();
        println!(
            "{name}: {count} messages, {} events, {prints} prints",
            played.events.len()
        );
    }
}

/// Book messages and their levels, and quote messages, by native id.
type Tally = BTreeMap<String, (usize, usize, usize)>;

fn naive_books(format: Format, message: &Value, only: &str, tally: &mut Tally) {
    let data = message.get("data").unwrap_or(message);
    let length = |value: &Value| value.as_array().unwrap().len();
    let mut book = |native: &str, levels: usize| {
        let tally = tally.entry(native.to_owned()).or_default();
        tally.0 += 1;
        tally.1 += levels;
    };
    match format {
        Format::Binance | Format::BinanceUsdm => {
            if data["e"] == "depthUpdate" {
                book(&text(&data["s"]), length(&data["b"]) + length(&data["a"]));
            } else if data.get("lastUpdateId").is_some() {
                book(only, length(&data["bids"]) + length(&data["asks"]));
            } else if data.get("B").is_some() && data.get("A").is_some() {
                tally.entry(text(&data["s"])).or_default().2 += 1;
            }
        }
        Format::Coinbase if message["channel"] == "l2_data" => {
            for event in message["events"].as_array().unwrap() {
                book(&text(&event["product_id"]), length(&event["updates"]));
            }
        }
        Format::Kraken if message["channel"] == "book" => {
            for item in data.as_array().unwrap() {
                let levels = length(&item["bids"]) + length(&item["asks"]);
                book(&text(&item["symbol"]), levels);
            }
        }
        Format::Okx if text(&message["arg"]["channel"]).starts_with("books") && data.is_array() => {
            for item in data.as_array().unwrap() {
                let levels = length(&item["bids"]) + length(&item["asks"]);
                book(&text(&message["arg"]["instId"]), levels);
            }
        }
        Format::BybitSpot | Format::BybitLinear
            if text(&message["topic"]).starts_with("orderbook.") =>
        {
            book(&text(&data["s"]), length(&data["b"]) + length(&data["a"]));
        }
        _ => {}
    }
}

#[test]
fn books_and_quotes_come_out_level_by_level() {
    for (path, format) in recordings() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.contains("orderbook1.") {
            // Repeats of the same number are no event there: tested beside the dialect.
            continue;
        }
        let mut expected = Tally::new();
        let decoder = zstd::Decoder::new(std::fs::File::open(&path).unwrap()).unwrap();
        for line in BufReader::new(decoder).lines() {
            let row: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let only = row.get("symbol").map_or("BTCUSDT".into(), text);
            let message = match row.get("raw") {
                Some(raw) => serde_json::from_str(raw.as_str().unwrap()).unwrap(),
                None => row,
            };
            naive_books(format, &message, &only, &mut expected);
        }
        let played = play(&path, format);
        let mut tally = Tally::new();
        for event in &played.events {
            let native = &played.instruments[event.instrument.index()].native;
            let tally = tally.entry(native.to_string());
            match &event.body {
                EventBody::Book(book) => {
                    let tally = tally.or_default();
                    tally.0 += 1;
                    tally.1 += book.bids.len() + book.asks.len();
                }
                EventBody::Quote(_) => tally.or_default().2 += 1,
                _ => {}
            }
        }
        assert_eq!(tally, expected, "{name}");
    }
}

/// Checksums that a recording's own sums confirm: the numbers of its README, or of its messages.
fn naive_checksums(format: Format, path: &Path) -> u64 {
    let holds = |message: &Value| match format {
        Format::Kraken => message["channel"] == "book",
        Format::Okx => message["data"][0]
            .get("checksum")
            .is_some_and(|sum| *sum != 0),
        _ => false,
    };
    messages(path)
        .filter(|m| holds(&serde_json::from_str(m).unwrap()))
        .count() as u64
}

#[test]
fn every_checksum_holds_and_no_chain_breaks() {
    for (path, format) in recordings() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let played = play(&path, format);
        let registry = Registry::new();
        let metrics = PipelineMetrics::register(&registry).unwrap();
        let config = PipelineConfig::new(Epoch::new(1));
        let mut pipeline = Pipeline::new(played.catalog, config, metrics);
        let (mut books, mut quotes) = (0, 0);
        let mut sink = |update: &Update<'_>| match update.body {
            Body::Book { book, .. } => {
                assert!(!book.is_crossed(), "{name}");
                books += 1;
            }
            Body::BookDropped => panic!("{name}: a book was dropped"),
            Body::Quote(_) => quotes += 1,
            _ => {}
        };
        for event in played.events {
            pipeline.handle_event(event, Mono::new(1), &mut sink);
        }
        let total = |metric: &str, value: &str| -> f64 {
            let families = registry.gather();
            let family = families.iter().filter(|f| f.name() == metric);
            let counted = family
                .flat_map(|f| f.get_metric())
                .filter(|m| value.is_empty() || m.get_label().iter().any(|l| l.value() == value));
            counted.map(|m| m.get_counter().get_value()).sum()
        };
        let expected = naive_checksums(format, &path) as f64;
        assert!(
            (total("tapecast_checksums_total", "ok") - expected).abs() < 0.5,
            "{name}"
        );
        assert!(total("tapecast_checksums_total", "bad") < 0.5, "{name}");
        assert!(total("tapecast_book_gaps_total", "") < 0.5, "{name}");
        assert!(name.contains("nosnapshot") || books > 0, "{name}");
        assert!(quotes > 0, "{name}");
        println!("{name}: {expected} checksums, {books} books, {quotes} quotes");
    }
}
