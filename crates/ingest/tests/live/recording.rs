//! A session that is written down, and what comes of the recording: the same.

use crate::journal::Journal;
use crate::rig::{Rig, Tested, wanted};
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
use tapecast_venuesim::{BinanceSpot, KrakenSpot, Script};

/// A rig of three instruments whose session is written down.
fn recorded<V: Tested>(dir: &Path, file_bytes_max: u64) -> (Rig<V>, Recorder, IntCounter) {
    let mut config = V::config(5);
    config.symbols.truncate(3);
    let mut rig = Rig::<V>::of(config, wanted(&["*"]), "definitions_seconds = 60");
    let dropped = IntCounter::new("dropped", "dropped").unwrap();
    let mut config = RecorderConfig::new(dir, V::NAME, V::NAME);
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
fn played<V: Tested>(path: &Path) -> Vec<String> {
    let (catalog, registry) = (Arc::new(Catalog::new(100)), Registry::new());
    let config = ReplayConfig {
        venue: Venue::new(V::NAME).unwrap(),
        format: V::NAME.parse::<Format>().unwrap(),
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
fn compare(natives: &[String], live: &[String], replayed: &[String]) {
    for native in natives {
        let (live, replayed) = (of(live, native), of(replayed, native));
        assert!(live.len() > 20, "{native}: {}", live.len());
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
fn check_replay<V: Tested>(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let (mut rig, recorder, dropped) = recorded::<V>(folder.path(), 3_000_000);
    let natives = natives(&rig);
    rig.witness.tolerant = true;
    let names: Vec<_> = natives.iter().map(String::as_str).collect();
    rig.run_until_live(Duration::from_secs(60), &names);
    let script = Script::seeded(
        seed,
        Duration::from_millis(1_500),
        Duration::from_secs(150),
        V::FAULTS,
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
    compare(&natives, &live, &played::<V>(folder.path()));
}

#[test]
fn a_replay_says_what_subscribers_got_whatever_happened() {
    (11..13).for_each(check_replay::<BinanceSpot>);
}

#[test]
fn a_replay_says_what_subscribers_of_books_in_the_stream_got() {
    (9..11).for_each(check_replay::<KrakenSpot>);
}

/// Ids of the instruments that the venue has.
fn natives<V: Tested>(rig: &Rig<V>) -> Vec<String> {
    let symbols = rig.venue.symbols();
    symbols.into_iter().map(|symbol| symbol.symbol).collect()
}

/// Each file alone gives the books of its time.
fn check_files<V: Tested>() {
    let folder = tempfile::tempdir().unwrap();
    let (mut rig, recorder, _) = recorded::<V>(folder.path(), 1_500_000);
    let natives = natives(&rig);
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
        let alone = played::<V>(path);
        for native in &natives {
            let (live, alone) = (books(&of(&live, native)), books(&of(&alone, native)));
            // From its first book on, it is the same.
            let from = live.iter().position(|line| Some(line) == alone.first());
            assert!(from.is_some(), "{native}: no book in {}", path.display());
            let live = &live[from.unwrap()..];
            let most = alone.len().min(live.len());
            let differs = (0..most).find(|at| live[*at] != alone[*at]);
            let both = differs.map(|at| (&live[at], &alone[at]));
            assert_eq!(both, None, "{native}: book {differs:?} of {most}");
            assert!(most + 3 > alone.len(), "{native}");
        }
    }
}

#[test]
fn each_file_of_a_recording_has_books_of_its_own() {
    check_files::<BinanceSpot>();
}

#[test]
fn each_file_has_books_although_they_come_in_the_stream() {
    check_files::<KrakenSpot>();
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
