//! Goal: a record says all that an update says. What a gateway publishes from records is, byte for byte,
//! what it publishes from the pipeline.
//!
//! Method: recordings go through one pipeline to two publishers: to one directly, to the other as records
//! that are written, read, and applied by a small mirror which has nothing but these records. All frames of
//! all topics are compared in both encodings. So are snapshots for those that join late, and the first
//! snapshots of topics that begin with the present state, which also comes as a record. Recordings are
//! those of `ingest`'s tests, with a gap, silence, and a second round behind them, and those in the
//! directory that `TAPECAST_CAPTURES` names.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod mirror;
mod side;

use hashbrown::HashMap;
use mirror::{Bus, Mirror};
use side::Side;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tapecast_ingest::event::{Event, EventBody, FeedEvent};
use tapecast_ingest::feed::{StartGate, Unpaced};
use tapecast_ingest::metrics::{FeedMetrics, PipelineMetrics};
use tapecast_ingest::pipeline::{Pipeline, PipelineConfig};
use tapecast_ingest::replay::{Replay, ReplayConfig, Speed};
use tapecast_ingest::sources::EventTx;
use tapecast_ingest::venue::Format;
use tapecast_model::{
    Catalog, Instrument, InstrumentId, Mono, UnixNanos, Update, UpdateSink as _, Venue,
};

/// Events of one turn.
const TURN: usize = 64;
/// How often it is looked at what joiners get.
const PROBES: usize = 6;

/// One pipeline, and what is made of its updates on both ways.
struct Proof {
    pipeline: Pipeline,
    instruments: Vec<Arc<Instrument>>,
    direct: Side,
    bus: Bus,
    mirror: Mirror,
    remote: Side,
    /// Nanoseconds, on both clocks.
    now: u64,
    frames: usize,
}

impl Proof {
    fn new(catalog: Arc<Catalog>) -> Self {
        let registry = prometheus::Registry::new();
        let metrics = PipelineMetrics::register(&registry).unwrap();
        let instruments = catalog.instruments();
        let config = PipelineConfig::new(UnixNanos::from_millis(1));
        let (mut bus, mut mirror) = (Bus::default(), Mirror::default());
        for instrument in &instruments {
            bus.define(instrument);
        }
        mirror.take(&bus.take(), &mut |_: &Update<'_>| {});
        let (direct, remote) = (Side::new(&instruments), Side::new(mirror.instruments()));
        let mut proof = Self {
            pipeline: Pipeline::new(catalog, config, metrics),
            instruments,
            direct,
            bus,
            mirror,
            remote,
            now: 1_000_000_000,
            frames: 0,
        };
        proof.set_time();
        proof.open();
        proof.compare();
        proof
    }

    fn set_time(&mut self) {
        self.direct.set_time(self.now);
        self.remote.set_time(self.now);
    }

    fn play(&mut self, events: &[Event]) {
        let step = (events.len() / TURN / PROBES).max(1);
        for (turn, batch) in events.chunks(TURN).enumerate() {
            self.turn(batch);
            if turn % step == 0 {
                self.probe();
            }
        }
        self.probe();
    }

    /// A turn as the pipeline's thread has it.
    fn turn(&mut self, events: &[Event]) {
        self.now += 5_000_000;
        self.set_time();
        self.direct.publisher.publish_due();
        self.remote.publisher.publish_due();
        let (now, publisher, bus) = (
            Mono::new(self.now),
            &mut self.direct.publisher,
            &mut self.bus,
        );
        let mut sink = |update: &Update<'_>| {
            publisher.publish(update);
            bus.publish(update);
        };
        self.pipeline.handle_time(now, &mut sink);
        for event in events {
            self.pipeline.handle_event(event.clone(), now, &mut sink);
        }
        self.mirror
            .take(&self.bus.take(), &mut self.remote.publisher);
        self.compare();
    }

    /// Compares what those get that join now: topics that live, and topics that begin.
    fn probe(&mut self) {
        self.direct.join_late();
        self.remote.join_late();
        self.open();
        self.compare();
        self.direct.leave_late();
        self.remote.leave_late();
        self.open();
        let begun = [
            Side::new(&self.instruments),
            Side::new(self.mirror.instruments()),
        ];
        let [direct, remote] = begun;
        let lived = std::mem::replace(&mut self.direct, direct);
        let mirrored = std::mem::replace(&mut self.remote, remote);
        self.set_time();
        self.open();
        self.compare();
        (self.direct, self.remote) = (lived, mirrored);
    }

    /// Opens what is asked for, with the present state.
    fn open(&mut self) {
        while let Some(entry) = self.direct.requests.take() {
            let mirrored = self.remote.requests.take().unwrap();
            assert_eq!(entry.topic, mirrored.topic);
            if !self.direct.is_wanted(&entry) {
                assert!(!self.remote.is_wanted(&mirrored));
                continue;
            }
            let current = self.pipeline.current(entry.stream());
            let (pos, update) = (current.pos, current.update.as_ref());
            self.direct.publisher.open(&entry, pos, update);
            let bytes = self
                .bus
                .state(&entry.instrument, entry.stream().kind, &current);
            let publisher = &mut self.remote.publisher;
            self.mirror.answer(&bytes, |pos, update| {
                publisher.open(&mirrored, pos, update);
            });
        }
        assert!(self.remote.requests.take().is_none());
    }

    /// Hands out what both publishers have made: the same.
    fn compare(&mut self) {
        let (direct, remote) = (self.direct.flush(self.now), self.remote.flush(self.now));
        assert_eq!(direct.len(), remote.len(), "items");
        for (direct, remote) in direct.iter().zip(&remote) {
            let same = direct.frame() == remote.frame();
            let text = |frame: &[u8]| String::from_utf8_lossy(frame).into_owned();
            assert!(
                same,
                "{}\nis from records\n{}",
                text(direct.frame()),
                text(remote.frame())
            );
            let head = |item: &tapecast_fanout::Item| {
                (item.slot, item.encoding, item.kind, item.pos(), item.begun)
            };
            assert_eq!(head(direct), head(remote));
        }
        self.frames += direct.len();
    }

    /// An event of a feed about itself, of every instrument.
    fn feed(&mut self, event: &FeedEvent) {
        let of = |instrument: &Arc<Instrument>| Event {
            instrument: instrument.id,
            ts_event: None,
            ts_recv: UnixNanos::new(self.now),
            venue_seq: None,
            body: EventBody::Feed(event.clone()),
        };
        let events: Vec<_> = self.instruments.iter().map(of).collect();
        self.turn(&events);
    }
}

/// The events of a recording, and its instruments.
fn events(path: PathBuf, format: Format) -> (Arc<Catalog>, Vec<Event>) {
    let catalog = Arc::new(Catalog::new(10_000));
    let config = ReplayConfig {
        venue: Venue::new(format.label()).unwrap(),
        format,
        path,
        speed: Speed::Max,
        looped: false,
        symbols: HashMap::new(),
    };
    let replay = Replay::scan(config, &catalog).unwrap();
    let feeds = FeedMetrics::register(&prometheus::Registry::new()).unwrap();
    let (tx, rx) = EventTx::alone(64);
    let player = std::thread::spawn(move || {
        let stop = Arc::new(AtomicBool::new(false));
        replay.run(&StartGate::opened(), tx, Box::new(Unpaced), stop, &feeds)
    });
    let events = rx.into_iter().flatten().collect();
    player.join().unwrap().unwrap();
    (catalog, events)
}

/// What names of recordings of `ingest`'s tests begin with.
const FORMATS: [(&str, Format); 5] = [
    ("spot_", Format::Binance),
    ("futures_", Format::BinanceUsdm),
    ("kraken_", Format::Kraken),
    ("okx_", Format::Okx),
    ("bybit_", Format::BybitSpot),
];

fn format_of(name: &str) -> Format {
    let mut formats = FORMATS.into_iter();
    let (_, format) = formats.find(|(start, _)| name.starts_with(start)).unwrap();
    format
}

#[test]
fn small_recordings_are_published_from_records_as_from_the_pipeline() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ingest/tests/recordings/small");
    let mut frames = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let format = format_of(path.file_stem().unwrap().to_str().unwrap());
        let (catalog, events) = events(path, format);
        let mut proof = Proof::new(catalog);
        // One event a turn, so that every state is looked at.
        for event in &events {
            proof.turn(std::slice::from_ref(event));
            proof.probe();
        }
        proof.feed(&FeedEvent::Gap("lost".into()));
        proof.probe();
        proof.now += 60_000_000_000;
        proof.turn(&[]);
        proof.feed(&FeedEvent::Restarted);
        proof.probe();
        proof.play(&events);
        proof.feed(&FeedEvent::Down("no connection".into()));
        proof.probe();
        frames += proof.frames;
    }
    assert!(frames > 1_000, "{frames} frames");
}

#[test]
fn captures_are_published_from_records_as_from_the_pipeline() {
    let mut sizes = mirror::Sizes::default();
    for recording in tapecast_testkit::recordings() {
        let (catalog, events) = events(recording.path.clone(), recording.format.parse().unwrap());
        let mut proof = Proof::new(catalog);
        proof.play(&events);
        let (name, frames) = (&recording.name, proof.frames);
        println!("{name}: {} events, {frames} frames", events.len());
        assert!(frames > 0, "{name}");
        sizes.add(proof.bus.sizes());
    }
    print!("{sizes}");
}

/// A reader's ids are its own: the mirror's differ from the pipeline's.
const fn local(index: usize) -> InstrumentId {
    InstrumentId::new(index as u32 + 7)
}
