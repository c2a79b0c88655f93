//! A session that is written down, and what comes of the recording: the same.

use crate::journal::Journal;
use crate::rig::{Rig, wanted};
use hashbrown::HashMap;
use prometheus::{IntCounter, Registry};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tapecast_ingest::capture::files_of;
use tapecast_ingest::feed::{StartGate, Unpaced};
use tapecast_ingest::metrics::{FeedMetrics, PipelineMetrics};
use tapecast_ingest::pipeline::{Pipeline, PipelineConfig};
use tapecast_ingest::recorder::{self, Recorder, RecorderConfig, Room, Scribe};
use tapecast_ingest::replay::{Replay, ReplayConfig, Speed};
use tapecast_ingest::session::SessionCommand;
use tapecast_ingest::sources::EventTx;
use tapecast_ingest::venue::Format;
use tapecast_model::{Catalog, Mono, UnixNanos, Venue};
use tapecast_venuesim::{BinanceSpot, Script, SimConfig, Simulated as _};

const NATIVES: [&str; 3] = ["BTCUSDT", "ETHUSDT", "NKNUSDT"];

/// A rig of three instruments whose session is written down.
fn recorded(dir: &Path, file_bytes_max: u64) -> (Rig, Recorder, IntCounter) {
    let mut config = SimConfig::new(5);
    config.symbols.truncate(3);
    let mut rig = Rig::new(config, wanted(&["*"]), "definitions_seconds = 60");
    let dropped = IntCounter::new("dropped", "dropped").unwrap();
    let mut config = RecorderConfig::new(dir, "binance", "binance");
    config.file_bytes_max = file_bytes_max;
    // Virtual time is fast: nothing may be dropped because of that.
    let room = Room {
        rows: 10_000_000,
        bytes: usize::MAX / 2,
    };
    let (tap, recorder) = recorder::start(config, room, &dropped).unwrap();
    rig.scribe = Some(Scribe::new(tap));
    rig.witness.journal = Some(Journal::default());
    (rig, recorder, dropped)
}

/// What subscribers of a replay get.
fn played(path: &Path) -> Vec<String> {
    let (catalog, registry) = (Arc::new(Catalog::new(100)), Registry::new());
    let config = ReplayConfig {
        venue: Venue::new("binance").unwrap(),
        format: Format::Binance,
        path: path.to_owned(),
        speed: Speed::Max,
        looped: false,
        symbols: HashMap::new(),
    };
    let replay = Replay::scan(config, &catalog).unwrap();
    let feeds = FeedMetrics::register(&registry).unwrap();
    let metrics = PipelineMetrics::register(&registry).unwrap();
    let config = PipelineConfig::new(UnixNanos::from_millis(1));
    let mut pipeline = Pipeline::new(catalog, config, metrics);
    let (tx, rx) = EventTx::alone(64);
    let player = std::thread::spawn(move || {
        let stop = Arc::new(AtomicBool::new(false));
        replay.run(&StartGate::opened(), tx, Box::new(Unpaced), stop, &feeds)
    });
    let mut journal = Journal::default();
    for event in rx.into_iter().flatten() {
        pipeline.handle_event(event, Mono::new(0), &mut journal);
    }
    player.join().unwrap().unwrap();
    journal
        .0
        .retain(|line| !line.ends_with(" down end of recording"));
    journal.0
}

/// Lines of one instrument: between instruments, order is of no interest.
fn of<'a>(journal: &'a [String], native: &str) -> Vec<&'a str> {
    let lines = journal.iter().map(String::as_str);
    lines
        .filter(|line| line.split(' ').next() == Some(native))
        .collect()
}

/// The first place where two journals differ.
fn compare(live: &[String], replayed: &[String]) {
    for native in NATIVES {
        let (live, replayed) = (of(live, native), of(replayed, native));
        assert!(live.len() > 100, "{native}: {}", live.len());
        let differs = live.iter().zip(&replayed).position(|(a, b)| a != b);
        let at = differs.unwrap_or(live.len().min(replayed.len()));
        let around = |lines: &[&str]| -> Vec<String> {
            let some = lines.iter().skip(at.saturating_sub(4)).take(8);
            some.map(|line| line.chars().take(160).collect()).collect()
        };
        assert!(
            live == replayed,
            "{native}, update {at} of {} and {}:\n{:#?}\n{:#?}",
            live.len(),
            replayed.len(),
            around(&live),
            around(&replayed)
        );
    }
}

/// Faults, and then a comparison.
fn check_replay(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let (mut rig, recorder, dropped) = recorded(folder.path(), 3_000_000);
    rig.witness.tolerant = true;
    rig.run_until_live(Duration::from_secs(60), &NATIVES);
    let script = Script::seeded(
        seed,
        Duration::from_millis(1_500),
        Duration::from_secs(150),
        BinanceSpot::FAULTS,
    );
    let from = rig.now;
    for planned in script.planned() {
        rig.run((from + planned.at).saturating_sub(rig.now));
        if rig.venue.waiting().len() < 2 {
            rig.venue.plant(planned.fault, None);
        }
    }
    rig.run(Duration::from_secs(60));
    rig.scribe = None;
    drop(recorder);
    assert_eq!(dropped.get(), 0);
    let live = rig.witness.journal.take().unwrap().0;
    compare(&live, &played(folder.path()));
}

#[test]
fn a_replay_says_what_subscribers_got_whatever_happened() {
    (9..12).for_each(check_replay);
}

#[test]
fn each_file_of_a_recording_has_books_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (mut rig, recorder, _) = recorded(folder.path(), 1_500_000);
    let mut files = 0;
    while files < 3 {
        rig.run(Duration::from_millis(500));
        // What the owner of a session does.
        if rig.scribe.as_mut().is_some_and(Scribe::needs_books) {
            rig.command(SessionCommand::ShowBooks);
            files += 1;
        }
    }
    rig.run(Duration::from_secs(5));
    rig.scribe = None;
    drop(recorder);
    let live = rig.witness.journal.take().unwrap().0;
    for path in files_of(folder.path()).unwrap().iter().skip(1) {
        let alone = played(path);
        for native in NATIVES {
            let (live, alone) = (books(&of(&live, native)), books(&of(&alone, native)));
            // From its first book on, it is the same.
            let from = live.iter().position(|line| Some(line) == alone.first());
            let from = from.unwrap_or_else(|| panic!("{native}: no book in {}", path.display()));
            let most = alone.len().min(live.len() - from);
            let differs = (0..most).find(|at| live[from + at] != alone[*at]);
            if let Some(at) = differs {
                let (live, alone) = (&live[from + at], &alone[at]);
                panic!("{native}, book {at} of {most}:\n{live}\n{alone}");
            }
            assert!(most + 3 > alone.len(), "{native}");
        }
    }
}

/// The books among lines, whether or not they came as a whole.
fn books(lines: &[&str]) -> Vec<String> {
    let books = lines.iter().filter(|line| line.contains(" book "));
    let mut books: Vec<_> = books
        .map(|line| line.replacen(" true ", " false ", 1))
        .collect();
    // A book that was compared with its venue's comes once more.
    books.dedup();
    books
}
