//! Goal: a recording in which a book goes silent while trades go on says so, of the book, since when, to
//! those who listen and to those who join.
//!
//! Method: a recording written by hand is scanned and played as a gateway does it; its events go into a
//! pipeline at the times that the recording gives them, so that a minute takes no time.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

use hashbrown::HashMap;
use prometheus::Registry;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tapecast_ingest::event::Event;
use tapecast_ingest::feed::{StartGate, Unpaced};
use tapecast_ingest::metrics::{FeedMetrics, PipelineMetrics};
use tapecast_ingest::pipeline::{Pipeline, PipelineConfig, SilenceLimit};
use tapecast_ingest::replay::{Replay, ReplayConfig, Speed};
use tapecast_ingest::sources::EventTx;
use tapecast_ingest::venue::Format;
use tapecast_model::{
    Body, Catalog, Mono, Status, StreamKey, StreamKind, UnixNanos, Update, Venue,
};

/// The recording begins here, in seconds since 1970.
const START: u64 = 1_700_000_000;

fn row(second: u64, raw: &str) -> String {
    let millis = (START + second) * 1_000;
    let raw = serde_json::to_string(&raw.replace("TIME", &millis.to_string())).unwrap();
    format!("{{\"ts\":{millis}000000,\"raw\":{raw}}}")
}

fn trade(second: u64) -> String {
    row(
        second,
        &format!(
            r#"{{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":TIME,"data":[{{"T":TIME,"s":"BTCUSDT","S":"Buy","v":"1","p":"100.5","i":"{second}"}}]}}"#
        ),
    )
}

fn book(second: u64, kind: &str) -> String {
    let number = second + 10;
    row(
        second,
        &format!(
            r#"{{"topic":"orderbook.50.BTCUSDT","type":"{kind}","ts":TIME,"data":{{"s":"BTCUSDT","b":[["100.5","{number}"]],"a":[["101.5","2"]],"u":{number},"seq":{number}}},"cts":TIME}}"#
        ),
    )
}

/// What a gateway makes of a recording: events, at the times that the recording gives them.
fn events_of(lines: &[String], catalog: &Catalog) -> Vec<Event> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("silent.jsonl.zst");
    let text = zstd::encode_all(lines.join("\n").as_bytes(), 1).unwrap();
    std::fs::write(&path, text).unwrap();
    let config = ReplayConfig {
        venue: Venue::new("here").unwrap(),
        format: Format::BybitLinear,
        path,
        speed: Speed::Max,
        looped: false,
        symbols: HashMap::new(),
    };
    let replay = Replay::scan(config, catalog).unwrap();
    let metrics = FeedMetrics::register(&Registry::new()).unwrap();
    let (tx, rx) = EventTx::alone(1);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let stop = Arc::new(AtomicBool::new(false));
            let played = replay.run(&StartGate::opened(), tx, Box::new(Unpaced), stop, &metrics);
            played.unwrap();
        });
        let mut time = UnixNanos::new(START * 1_000_000_000);
        let timed = rx.iter().flatten().map(|mut event| {
            time = event.ts_event.map_or(time, |t| t.nanos());
            event.ts_recv = time;
            event
        });
        timed.collect()
    })
}

/// A status in one line, with times in seconds of the recording.
fn spelled(status: &Status) -> String {
    let channels = status.channels.iter().map(|(kind, state)| {
        let since = state.since.get() / 1_000_000_000 - START;
        format!(", {} {} since {since}", kind.label(), state.feed.label())
    });
    let channels: String = channels.collect();
    format!("{} ({}){channels}", status.feed.label(), status.reason)
}

/// Each status that is said, and what a joiner is told after each second.
fn play(events: Vec<Event>, catalog: Arc<Catalog>) -> (Vec<String>, Vec<String>) {
    let metrics = PipelineMetrics::register(&Registry::new()).unwrap();
    let mut config = PipelineConfig::new(UnixNanos::from_millis(7));
    config.silence = SilenceLimit::ByPace;
    let mut pipeline = Pipeline::new(catalog, config, metrics);
    let (mut said, mut joined) = (Vec::new(), Vec::new());
    let mut now = Mono::new(0);
    for event in events {
        let at = Mono::new(event.ts_recv.get() - START * 1_000_000_000);
        let mut hear = |update: &Update<'_>| {
            if let Body::Status(status) = update.body {
                said.push(spelled(status));
            }
        };
        while now < at {
            now = now.after(std::time::Duration::from_secs(1)).min(at);
            pipeline.handle_time(now, &mut hear);
        }
        let stream = StreamKey {
            instrument: event.instrument,
            kind: StreamKind::Status,
        };
        pipeline.handle_event(event, at, &mut hear);
        if let Some(Body::Status(status)) = pipeline.current(stream).update.map(|u| u.body) {
            joined.push(spelled(status));
        }
    }
    (said, joined)
}

#[test]
fn a_book_that_goes_silent_in_a_recording_is_told_while_trades_go_on() {
    let mut lines = vec![book(1, "snapshot")];
    lines.extend((2..=10).flat_map(|second| [book(second, "delta"), trade(second)]));
    lines.extend((11..=60).map(trade));
    lines.extend([book(61, "snapshot"), trade(62)]);
    let catalog = Arc::new(Catalog::new(3));
    let events = events_of(&lines, &catalog);
    let (said, joined) = play(events, catalog);
    let state = |feed: &str, trade: &str, book: &str| {
        format!("{feed}, trade {trade}, quote {book}, book {book}")
    };
    assert_eq!(
        said,
        [
            state(
                "pending (no data yet)",
                "pending since 0",
                "pending since 0"
            ),
            state("live ()", "pending since 0", "live since 1"),
            state("live ()", "live since 2", "live since 1"),
            state(
                "stale (no book data for 30.0 s)",
                "live since 2",
                "stale since 40"
            ),
            state("live ()", "live since 2", "live since 61"),
            state("down (end of recording)", "down since 62", "down since 62"),
        ]
    );
    // Who joins at any time is told what was said last.
    let mut distinct = joined;
    distinct.dedup();
    assert_eq!(distinct, said);
}

#[test]
fn a_recording_of_trades_alone_may_be_silent() {
    let lines = [trade(1), trade(2), trade(4_000)];
    let catalog = Arc::new(Catalog::new(3));
    let events = events_of(&lines, &catalog);
    let (said, _) = play(events, catalog);
    assert_eq!(
        said,
        [
            "pending (no data yet), trade pending since 0",
            "live (), trade live since 1",
            "down (end of recording), trade down since 4000",
        ]
    );
}
