//! Goal: what comes out of a replay is what stands in the recording, told by a second, naive reader.
//!
//! Method: every recording in the directory that `TAPECAST_CAPTURES` names is scanned and played at
//! full speed; the events are compared with what `serde_json` sees: trades one by one, in order, ids
//! equal and decimals equal to the last digit; books and quotes by number of messages and of levels.
//! Without the variable the tests say so and pass.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

use hashbrown::HashMap;
use prometheus::Registry;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tapecast_ingest::event::{Event, EventBody, FeedEvent};
use tapecast_ingest::feed::{StartGate, Unpaced};
use tapecast_ingest::metrics::{FeedMetrics, PipelineMetrics};
use tapecast_ingest::pipeline::{Pipeline, PipelineConfig};
use tapecast_ingest::replay::{Replay, ReplayConfig, ScanReport, Speed};
use tapecast_ingest::sources::EventTx;
use tapecast_ingest::venue::Format;
use tapecast_model::{Body, Catalog, Instrument, Mono, UnixNanos, Update, Venue};
use tapecast_testkit::{Reader, Recording, TapeTrade, recordings};

fn format_of(recording: &Recording) -> Format {
    recording.format.parse().unwrap()
}

struct Played {
    catalog: Arc<Catalog>,
    events: Vec<Event>,
    instruments: Vec<Arc<Instrument>>,
    report: ScanReport,
    rejects: u64,
}

fn play(recording: &Recording) -> Played {
    let format = format_of(recording);
    let catalog = Arc::new(Catalog::new(10_000));
    let config = ReplayConfig {
        venue: Venue::new(format.label()).unwrap(),
        format,
        path: recording.path.clone(),
        speed: Speed::Max,
        looped: false,
        symbols: HashMap::new(),
    };
    let venue = config.venue.clone();
    let replay = Replay::scan(config, &catalog).unwrap();
    let report = replay.report();
    let metrics = FeedMetrics::register(&Registry::new()).unwrap();
    let (tx, rx) = EventTx::alone(64);
    let counters = metrics.of_venue(&venue);
    let player = std::thread::spawn(move || {
        let stop = Arc::new(AtomicBool::new(false));
        let played = replay.run(&StartGate::opened(), tx, Box::new(Unpaced), stop, &metrics);
        played.unwrap();
    });
    let events: Vec<_> = rx.iter().flatten().collect();
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

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Trades by native id.
type Trades = BTreeMap<String, Vec<TapeTrade>>;

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

fn played_trades(played: &Played) -> Trades {
    let mut tape = Trades::new();
    for event in &played.events {
        let EventBody::Trades {
            trades,
            history: false,
            ..
        } = &event.body
        else {
            continue;
        };
        let instrument = &played.instruments[event.instrument.index()];
        for trade in trades {
            tape.entry(instrument.native.to_string())
                .or_default()
                .push(TapeTrade {
                    id: String::from_utf8(trade.id.as_bytes().to_vec()).unwrap(),
                    price: price(instrument, trade.price),
                    qty: qty(instrument, trade.qty),
                    side: trade.aggressor.unwrap().label().into(),
                });
        }
    }
    tape
}

#[test]
fn every_recording_is_read_without_a_reject_and_its_trades_come_out_as_they_went_in() {
    for recording in recordings() {
        let (played, name) = (play(&recording), &recording.name);
        assert_eq!(
            (played.report.broken_lines, played.report.rejected),
            (0, 0),
            "{name}"
        );
        assert_eq!(played.rejects, 0, "{name}");
        let (reader, count) = (Reader::of(&recording), recording.rows().count());
        assert_eq!(played.report.messages, count as u64, "{name}");
        let trades = played_trades(&played);
        assert_eq!(
            trades.keys().collect::<Vec<_>>(),
            reader.tapes().keys().collect::<Vec<_>>()
        );
        for (native, tape) in reader.tapes() {
            assert_eq!(trades[native], tape.trades(), "{name} {native}");
        }
        let last = &played.events.last().unwrap().body;
        assert!(
            matches!(last, EventBody::Feed(FeedEvent::Ended(_))),
            "{name}"
        );
        let trades: usize = trades.values().map(Vec::len).sum();
        println!(
            "{name}: {count} messages, {} events, {trades} prints",
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
    for recording in recordings() {
        let name = &recording.name;
        if name.contains("orderbook1.") {
            // Repeats of the same number are no event there: tested beside the decoder.
            continue;
        }
        let mut expected = Tally::new();
        for row in recording.rows() {
            let only = row.symbol.as_deref().unwrap_or("BTCUSDT");
            naive_books(format_of(&recording), &row.message, only, &mut expected);
        }
        let played = play(&recording);
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

#[test]
fn every_checksum_holds_and_no_chain_breaks() {
    for recording in recordings() {
        let (name, played) = (&recording.name, play(&recording));
        let registry = Registry::new();
        let metrics = PipelineMetrics::register(&registry).unwrap();
        let config = PipelineConfig::new(UnixNanos::from_millis(1));
        let mut pipeline = Pipeline::new(played.catalog, config, metrics);
        let (mut books, mut quotes) = (0, 0);
        let mut sink = |update: &Update<'_>| match update.body {
            Body::Book { book, .. } => {
                assert!(!book.is_crossed(), "{name}");
                books += 1;
            }
            Body::Lost { kind, .. } => panic!("{name}: {} was lost", kind.channel().label()),
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
        let expected = Reader::of(&recording).checksums as f64;
        assert!(
            (total("tapecast_checksums_total", "ok") - expected).abs() < 0.5,
            "{name}"
        );
        assert!(total("tapecast_checksums_total", "bad") < 0.5, "{name}");
        assert!(total("tapecast_book_gaps_total", "") < 0.5, "{name}");
        assert!(recording.lacks_snapshots() || books > 0, "{name}");
        assert!(quotes > 0, "{name}");
        println!("{name}: {expected} checksums, {books} books, {quotes} quotes");
    }
}
