//! Goal: a recording is played whole, in order and in time, whatever is wrong with it, or refused
//! with its place. Method: small recordings written to a temporary directory.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

use hashbrown::HashMap;
use prometheus::Registry;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tapecast_ingest::event::{Event, EventBody, FeedEvent};
use tapecast_ingest::feed::{Pace, StartGate, Unpaced};
use tapecast_ingest::metrics::{FeedCounters, FeedMetrics};
use tapecast_ingest::replay::{Played, Replay, ReplayConfig, ReplayError, ScanReport, Speed};
use tapecast_ingest::sources::EventTx;
use tapecast_ingest::venue::{Format, Reject};
use tapecast_model::{Catalog, ChannelKind, Symbol, Venue};

struct Bench {
    _dir: tempfile::TempDir,
    catalog: Catalog,
    config: ReplayConfig,
    metrics: FeedMetrics,
}

impl Bench {
    fn new(format: Format, lines: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path: PathBuf = dir.path().join("day.jsonl.zst");
        std::fs::write(
            &path,
            zstd::encode_all(lines.join("\n").as_bytes(), 1).unwrap(),
        )
        .unwrap();
        let config = ReplayConfig {
            venue: Venue::new("here").unwrap(),
            format,
            path,
            speed: Speed::Max,
            looped: false,
            symbols: HashMap::new(),
        };
        let metrics = FeedMetrics::register(&Registry::new()).unwrap();
        Self {
            _dir: dir,
            catalog: Catalog::new(100),
            config,
            metrics,
        }
    }

    fn counters(&self) -> FeedCounters {
        self.metrics.of_venue(&self.config.venue)
    }

    fn scan(&self) -> Result<Replay, ReplayError> {
        Replay::scan(self.config.clone(), &self.catalog)
    }

    fn refusal(&self) -> String {
        self.scan().unwrap_err().to_string()
    }

    /// Plays until the end, or until `take` events came.
    fn play(&self, pace: Box<dyn Pace>, take: usize) -> (ScanReport, Vec<Event>) {
        let replay = self.scan().unwrap();
        let report = replay.report();
        let (tx, rx) = EventTx::alone(1);
        let stop = Arc::new(AtomicBool::new(false));
        let events = std::thread::scope(|scope| {
            let stopping = Arc::clone(&stop);
            scope.spawn(move || {
                let played = replay.run(&StartGate::opened(), tx, pace, stopping, &self.metrics);
                played.unwrap();
            });
            let played = rx.iter().flatten().skip_while(asks);
            let events: Vec<_> = played.take(take).collect();
            stop.store(true, Ordering::Relaxed);
            events
        });
        (report, events)
    }

    /// What came of it all, a word each.
    fn words(&self) -> Vec<String> {
        self.play(Box::new(Unpaced), usize::MAX)
            .1
            .iter()
            .map(word)
            .collect()
    }
}

/// What is asked for is said first; `silence.rs` holds that.
fn asks(event: &Event) -> bool {
    matches!(event.body, EventBody::Feed(FeedEvent::Subscribed(_)))
}

fn word(event: &Event) -> String {
    match &event.body {
        EventBody::Trades { trades, .. } => format!("{:?}", trades[0].id),
        EventBody::Book(book) if book.snapshot => "snapshot".into(),
        EventBody::Book(_) => "update".into(),
        EventBody::Feed(FeedEvent::Gap(_)) => "gap".into(),
        EventBody::Feed(FeedEvent::Restarted) => "restarted".into(),
        EventBody::Feed(FeedEvent::Ended(reason)) => reason.to_string(),
        other => format!("{other:?}"),
    }
}

fn trade(ts: u64, id: u64) -> String {
    row(
        ts,
        &format!(r#"{{"e":"trade","E":1,"s":"BTCUSDT","t":{id},"p":"1.5","q":"1","T":1}}"#),
    )
}

fn row(ts: u64, raw: &str) -> String {
    format!(
        "{{\"ts\":{ts},\"raw\":{}}}",
        serde_json::to_string(raw).unwrap()
    )
}

#[test]
fn broken_lines_and_messages_are_counted_and_the_rest_is_played() {
    let cut = row(2, r#"{"e":"trade","E":1,"s":"BTCUSDT","t":9,"p":"1.5""#);
    let scale = row(
        2,
        r#"{"e":"trade","s":"BTCUSDT","t":9,"p":"1.5","q":"99999999999999999999"}"#,
    );
    let novelty = row(2, r#"{"e":"novelty"}"#);
    let lines = [
        &trade(1, 1),
        "no json",
        &cut,
        "{\"ts\":5}",
        &scale,
        &novelty,
        &trade(3, 2),
    ];
    let bench = Bench::new(Format::Binance, &lines);
    let (report, events) = bench.play(Box::new(Unpaced), usize::MAX);
    assert_eq!(
        report,
        ScanReport {
            messages: 5,
            broken_lines: 2,
            rejected: 2,
            left_out: 0
        }
    );
    let words: Vec<_> = events.iter().map(word).collect();
    assert_eq!(words, ["1", "2", "end of recording"]);
    let counters = bench.counters();
    let counted = [
        Reject::Line,
        Reject::Malformed,
        Reject::Scale,
        Reject::Unknown,
    ];
    assert_eq!(
        counted.map(|reason| counters.rejected(reason)),
        [2, 1, 1, 1]
    );
    assert_eq!(counters.messages.get(), 5);
}

#[test]
fn ten_bad_messages_in_a_row_are_a_lost_connection() {
    let (bad, unknown) = (row(2, "{"), row(2, r#"{"e":"novelty"}"#));
    let mut lines = vec![trade(1, 1)];
    lines.extend(std::iter::repeat_n(bad.clone(), 9));
    lines.push(trade(3, 2));
    lines.extend(std::iter::repeat_n(bad, 10));
    lines.extend(std::iter::repeat_n(unknown, 30));
    lines.push(trade(4, 3));
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let bench = Bench::new(Format::Binance, &lines);
    assert_eq!(bench.words(), ["1", "2", "gap", "3", "end of recording"]);
    assert_eq!(bench.counters().reconnects_rejects.get(), 1);
}

#[test]
fn a_looped_recording_starts_over_until_it_is_stopped() {
    let level = |number: u64| {
        format!(
            r#"{{"channel":"l2_data","sequence_num":{number},"events":[{{"type":"update","product_id":"BTC-USD","updates":[]}}]}}"#
        )
    };
    let (first, second) = (row(1, &level(5)), row(2, &level(6)));
    let mut bench = Bench::new(Format::Coinbase, &[&first, &second]);
    bench.config.looped = true;
    let (_, events) = bench.play(Box::new(Unpaced), 6);
    let words: Vec<_> = events.iter().map(word).collect();
    assert_eq!(
        words,
        [
            "update",
            "update",
            "restarted",
            "update",
            "update",
            "restarted"
        ]
    );
}

#[test]
fn a_lossless_replay_asks_before_each_message_whether_there_is_room() {
    let lines: Vec<_> = (1..=3).map(|id| trade(id, id)).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let bench = Bench::new(Format::Binance, &lines);
    let asked = Arc::new(AtomicU64::new(0));
    let asking = Arc::clone(&asked);
    // Full the first time, and every other time after that.
    let pace = move || asking.fetch_add(1, Ordering::Relaxed) % 2 == 1;
    let (_, events) = bench.play(Box::new(pace), usize::MAX);
    assert_eq!(events.len(), 4);
    assert_eq!(asked.load(Ordering::Relaxed), 6);
    assert!(bench.catalog.instruments()[0].lossless);
}

#[test]
fn at_a_factor_events_come_in_time_and_are_received_when_they_are_sent() {
    let second = 1_000_000_000;
    let mut bench = Bench::new(
        Format::Binance,
        &[
            &trade(5 * second, 1),
            &trade(second, 2),
            &trade(65 * second, 3),
        ],
    );
    bench.config.speed = Speed::Factor(600.0);
    let (_, events) = bench.play(Box::new(Unpaced), usize::MAX);
    let late = |at: usize| events[at].ts_recv.signed_since(events[0].ts_recv);
    assert!(
        late(1) < second as i64 / 20,
        "a time before the first is due at once"
    );
    assert!(
        late(2) >= second as i64 / 10 - 1_000_000,
        "60 s at 600 times are 100 ms: {}",
        late(2)
    );
    assert!(!bench.catalog.instruments()[0].lossless);
    for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        bench.config.speed = Speed::Factor(speed);
        assert!(bench.refusal().contains("\"max\""));
    }
}

#[test]
fn a_replay_that_waits_for_its_start_can_be_stopped() {
    let bench = Bench::new(Format::Binance, &[&trade(1, 1)]);
    let (tx, rx) = EventTx::alone(1);
    let stop = Arc::new(AtomicBool::new(true));
    let replay = bench.scan().unwrap();
    let played = replay.run(
        &StartGate::default(),
        tx,
        Box::new(Unpaced),
        stop,
        &bench.metrics,
    );
    assert_eq!(played, Ok(Played::Stopped));
    assert_eq!(rx.iter().count(), 0);
}

#[test]
fn a_recording_that_is_gone_is_down_and_can_be_played_again_once_it_is_back() {
    let bench = Bench::new(Format::Binance, &[&trade(1, 1)]);
    let replay = bench.scan().unwrap();
    let play = || {
        let (tx, rx) = EventTx::alone(10);
        let stop = Arc::new(AtomicBool::new(false));
        let pace = Box::new(Unpaced);
        let played = replay.run(&StartGate::opened(), tx, pace, stop, &bench.metrics);
        (
            played,
            rx.iter()
                .flatten()
                .skip_while(asks)
                .map(|e| word(&e))
                .collect::<Vec<_>>(),
        )
    };
    let path = &bench.config.path;
    let aside = path.with_extension("aside");
    std::fs::rename(path, &aside).unwrap();
    let (played, words) = play();
    let error = played.unwrap_err().to_string();
    assert!(error.contains("can no longer be read"), "{error}");
    assert_eq!(words.len(), 1, "{words:?}");
    assert!(words[0].contains(&path.display().to_string()), "{words:?}");
    std::fs::rename(&aside, path).unwrap();
    let (played, words) = play();
    assert_eq!(played, Ok(Played::End));
    assert_eq!(
        words,
        ["1", "end of recording"].map(|w| if w == "1" {
            format!("{:?}", tapecast_model::TradeId::new(b"1").unwrap())
        } else {
            w.to_owned()
        })
    );
}

#[test]
fn rows_of_http_responses_find_their_symbol() {
    let depth = |symbol: &str| {
        row(
            1,
            &format!(
                r#"{{"stream":"x@depth@100ms","data":{{"e":"depthUpdate","E":1,"s":"{symbol}","U":1,"u":2,"b":[],"a":[]}}}}"#
            ),
        )
    };
    let response = r#"{\"lastUpdateId\":2,\"bids\":[[\"1.25\",\"1\"]],\"asks\":[]}"#;
    let with = |keys: &str| format!("{{\"ts\":1,\"raw\":\"{response}\"{keys}}}");
    let natives = |lines: &[&str]| {
        let bench = Bench::new(Format::Binance, lines);
        let (_, events) = bench.play(Box::new(Unpaced), usize::MAX);
        let instruments = bench.catalog.instruments();
        let snapshots = events.iter().filter(|e| word(e) == "snapshot");
        let native = |e: &Event| {
            let instrument = &instruments[e.instrument.index()];
            (
                instrument.native.to_string(),
                instrument.price_scale.digits(),
            )
        };
        snapshots.map(native).collect::<Vec<_>>()
    };
    let (btc, eth) = (depth("BTCUSDT"), depth("ETHUSDT"));
    let url = with(",\"http\":\"https://api.binance.com/api/v3/depth?limit=9&symbol=ethusdt\"");
    assert_eq!(natives(&[&btc, &eth, &url]), [("ETHUSDT".to_owned(), 2)]);
    let named = with(",\"symbol\":\"BTCUSDT\",\"http\":\"https://x/?symbol=ETHUSDT\"");
    assert_eq!(natives(&[&btc, &eth, &named]), [("BTCUSDT".to_owned(), 2)]);
    assert_eq!(natives(&[&btc, &with("")]), [("BTCUSDT".to_owned(), 2)]);
    assert_eq!(natives(&[&btc, &eth, &with("")]), []);
}

#[test]
fn a_snapshot_beside_the_stream_that_cannot_be_read_costs_no_book_and_is_counted() {
    let depth = r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255308,"s":"BTCUSDT","U":3,"u":4,"b":[["1.5","2"]],"a":[]}}"#;
    let response = r#"{"lastUpdateId":2,"bids":[["1.25","1"]],"asks":[]}"#;
    let url = "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000";
    let fetched = |raw: &str| {
        let raw = serde_json::to_string(raw).unwrap();
        format!("{{\"ts\":1,\"http\":\"{url}\",\"raw\":{raw}}}")
    };
    let whole = [row(1, response), row(1, depth)];
    for (bad, reason) in [
        (response.replace("1.25", "x"), Reject::Number("price")),
        (
            response.replace("\"1.25\"", "1.25"),
            Reject::Number("level"),
        ),
        (response.replace("[[", "[7,["), Reject::Number("level")),
        (
            response.replace("\"asks\"", "\"x\""),
            Reject::Missing("asks"),
        ),
        (
            response.replace(":2", ":\"x\""),
            Reject::Number("lastUpdateId"),
        ),
        (response[..40].to_owned(), Reject::Malformed),
    ] {
        // Ten in a row are no lost connection either: it is another one.
        for bad in [row(2, &bad), fetched(&bad)] {
            let mut lines = whole.to_vec();
            lines.extend(std::iter::repeat_n(bad.clone(), 10));
            lines.push(row(3, &depth.replace("3,\"u\":4", "5,\"u\":6")));
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            let bench = Bench::new(Format::Binance, &lines);
            let words = ["snapshot", "update", "update", "end of recording"];
            assert_eq!(bench.words(), words, "{bad}");
            assert_eq!(bench.counters().rejected(reason), 10, "{bad}");
        }
    }
    // What is no snapshot at all is known by where it came from.
    let page = fetched("<html>429 Too Many Requests</html>");
    let lines = [whole[0].as_str(), &whole[1], &page];
    let bench = Bench::new(Format::Binance, &lines);
    assert_eq!(bench.words(), ["snapshot", "update", "end of recording"]);
    // A line cut off within a snapshot, and one of which the stream is a part.
    let cut = fetched(response);
    let lost = |line: &str| {
        let bench = Bench::new(Format::Binance, &[&whole[0], &whole[1], line]);
        let words = bench.words();
        words.iter().filter(|word| word.contains("Lost")).count()
    };
    assert_eq!(lost(&cut[..cut.len() - 20]), 0);
    assert_eq!(lost(&whole[1][..whole[1].len() - 20]), 1);
    // Where snapshots are all there is of a book, one that cannot be read is a loss.
    let bad = response.replace("1.25", "x");
    let named = |raw: &str| fetched(raw).replace("\"ts\"", "\"symbol\":\"BTCUSDT\",\"ts\"");
    let bench = Bench::new(Format::Binance, &[&named(response), &named(&bad)]);
    assert!(bench.words()[1].contains("Lost"), "{:?}", bench.words());
}

#[test]
fn what_cannot_be_played_is_refused_with_its_place() {
    let alien = row(
        1,
        r#"{"e":"trade","E":1,"s":"FOOBAR","t":1,"p":"1.5","q":"1","T":1}"#,
    );
    let refusal = Bench::new(Format::Binance, &[&alien]).refusal();
    assert!(
        refusal.contains("day.jsonl.zst: no symbol is known for its 1 ids")
            && refusal.contains("\"FOOBAR\""),
        "{refusal}"
    );
    let mut bench = Bench::new(Format::Binance, &[&trade(1, 1), &alien]);
    assert_eq!(bench.scan().unwrap().report().left_out, 1);
    bench.catalog = Catalog::new(100);
    bench
        .config
        .symbols
        .insert("FOOBAR".into(), Symbol::new("FOO-BAR").unwrap());
    assert_eq!(bench.scan().unwrap().instruments().len(), 2);
    let twice = bench.refusal();
    assert!(twice.contains("two sources"), "{twice}");

    let mut bench = Bench::new(Format::Kraken, &[&trade(1, 1)]);
    let refusal = bench.refusal();
    let advice = "no trades, quotes, books or tickers of Kraken v2 among 1 messages; it looks like Binance spot or Binance USD-M futures; set format = \"binance\" or \"binance-usdm\"";
    assert!(refusal.ends_with(advice), "{refusal}");
    bench.config.path = "/nowhere/x.zst".into();
    assert!(bench.refusal().contains("/nowhere/x.zst"));
}

#[test]
fn channels_and_scales_are_known_before_it_starts() {
    let ticker = row(1, r#"{"e":"24hrTicker","E":1,"s":"ETHBTC","c":"0.0625"}"#);
    let bench = Bench::new(Format::Binance, &[&trade(1, 1), &ticker]);
    bench.scan().unwrap();
    let (_, offer) = bench.catalog.venues().remove(0);
    let kinds: Vec<_> = offer.channels.iter().collect();
    assert_eq!(
        kinds,
        [
            ChannelKind::Trade,
            ChannelKind::Ticker,
            ChannelKind::Status,
            ChannelKind::Instrument,
        ]
    );
    let instruments = bench.catalog.instruments();
    let scales = |at: usize| {
        (
            instruments[at].symbol.to_string(),
            instruments[at].price_scale.digits(),
        )
    };
    assert_eq!(scales(0), ("BTC-USDT".into(), 1));
    assert_eq!(scales(1), ("ETH-BTC".into(), 0));
}
