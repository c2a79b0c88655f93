//! Hops 2 to 6 of an update's life on one thread: a feed's parser, the pipeline, the publisher with
//! interest on, and one shard's ring, which is drained.

use crate::Workload;
use crate::lines::Lines;
use hashbrown::HashMap;
use std::sync::Arc;
use tapecast_fanout::ring::{RingRx, ring};
use tapecast_fanout::wake::Doorbell;
use tapecast_fanout::{FanoutMetrics, Interests, ItemKind, Publisher, Requests};
use tapecast_ingest::event::{Event, Events, SourceId};
use tapecast_ingest::metrics::PipelineMetrics;
use tapecast_ingest::normaliser::Parser;
use tapecast_ingest::pipeline::{Pipeline, PipelineConfig};
use tapecast_ingest::plan::PlannedInstrument;
use tapecast_ingest::push::line;
use tapecast_ingest::push::names::Names;
use tapecast_ingest::scan::RecordingScan;
use tapecast_ingest::sources::{EventTx, SourceChannels};
use tapecast_ingest::venue::{Format, Message};
use tapecast_model::catalog::{Definition, Offer};
use tapecast_model::clock::{mono_now, unix_now};
use tapecast_model::{
    Catalog, ChannelKind, ChannelSet, Instrument, Scale, Seq, Topic, UnixNanos, Venue,
};
use tapecast_wire::Encoding;

/// Lines that are read at once.
const READ: usize = 250;
/// Items of the ring: more than a batch of changes to three depths of a book.
const RING_ITEMS: usize = 4_096;

/// The hops, each of which can be run by itself.
pub(crate) struct Rig {
    feed: Feed,
    pub(crate) pipeline: Pipeline,
    pub(crate) publisher: Publisher,
    requests: Requests,
    ring: RingRx,
    pub(crate) instruments: Vec<Arc<Instrument>>,
    source: EventTx,
    sources: SourceChannels,
    /// The number of the last frame of each topic.
    last: Vec<Seq>,
}

/// What came out of the ring.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Drained {
    /// Frames that follow the one before them.
    pub(crate) updates: usize,
    /// Their bytes.
    pub(crate) bytes: usize,
}

enum Feed {
    Venue(Box<Parser>),
    Push(Names),
}

// === impl Rig ===

impl Rig {
    /// The hops for a workload, ready for its first batch.
    pub(crate) fn new(workload: Workload, lines: &mut Lines) -> Self {
        let catalog = Arc::new(Catalog::new(1_000));
        let venue = Venue::new("binance").unwrap();
        let first = lines.first();
        let feed = if workload.is_push() {
            Feed::Push(desk(&venue, &catalog))
        } else {
            Feed::Venue(Box::new(parser(&venue, &catalog, &first)))
        };
        let registry = prometheus::Registry::new();
        let metrics = PipelineMetrics::register(&registry).unwrap();
        let config = PipelineConfig::new(UnixNanos::from_millis(1_700_000_000_000));
        let (tx, ring) = ring(RING_ITEMS, Arc::new(Doorbell::new(|| {})));
        let (interests, requests) = Interests::new(1_000);
        let (sources, opener) = SourceChannels::new();
        let mut rig = Self {
            feed,
            pipeline: Pipeline::new(Arc::clone(&catalog), config, metrics),
            publisher: Publisher::new(vec![tx], FanoutMetrics::register(&registry, 1).unwrap()),
            requests,
            ring,
            instruments: Vec::new(),
            source: opener.open(SourceId(1), 1),
            sources,
            last: Vec::new(),
        };
        // Whoever publishes names the symbols, and status is said before anyone listens.
        let mut warm = first;
        if !workload.is_book() {
            warm.extend(lines.batch());
        }
        rig.run(&mut warm);
        rig.instruments = catalog.instruments();
        for instrument in &rig.instruments {
            for channel in workload.channels() {
                let topic = format!(
                    "{channel}:{}:{}",
                    instrument.venue,
                    instrument.symbol.as_str()
                );
                let topic: Topic = topic.parse().unwrap();
                let entry = interests.entry(&topic, instrument).unwrap();
                interests.join(&entry, 0, Encoding::Json);
            }
        }
        while let Some(entry) = rig.requests.take() {
            let current = rig.pipeline.current(entry.stream());
            rig.publisher
                .open(&entry, current.pos, current.update.as_ref());
        }
        rig.hand_over();
        rig.drain();
        rig
    }

    /// Hop 2: lines to events.
    pub(crate) fn parse(&mut self, lines: &mut [Vec<u8>], now: UnixNanos, events: &mut Vec<Event>) {
        match &mut self.feed {
            Feed::Venue(parser) => {
                for raw in lines {
                    let message = Message {
                        raw,
                        http: None,
                        symbol: None,
                    };
                    parser.parse(message, now, events).unwrap();
                }
            }
            Feed::Push(desk) => {
                events.extend(
                    lines
                        .iter()
                        .flat_map(|raw| line::take(raw, now, desk).events),
                );
            }
        }
    }

    /// Hops 2 to 6: lines to frames in the ring, and out of it.
    pub(crate) fn run(&mut self, lines: &mut [Vec<u8>]) -> Drained {
        let mut drained = Drained::default();
        for read in lines.chunks_mut(READ) {
            let (unix, mono) = (unix_now(), mono_now());
            let mut events = Vec::with_capacity(READ);
            self.parse(read, unix, &mut events);
            // As one batch through the source's channel to the pipeline.
            self.source.try_send(Events::from_vec(events)).unwrap();
            self.publisher.set_time(unix, mono);
            while let Some(share) = self.sources.next_share(READ) {
                for event in share {
                    self.pipeline.handle_event(event, mono, &mut self.publisher);
                }
            }
            self.hand_over();
            drained.add(self.drain());
        }
        drained
    }

    /// Hop 6: frames sealed and pushed.
    pub(crate) fn hand_over(&mut self) {
        self.publisher.flush(mono_now(), false);
    }

    /// What the shard does first: takes the frames, each of which must follow the one before it.
    pub(crate) fn drain(&mut self) -> Drained {
        let mut drained = Drained::default();
        while let Some(item) = self.ring.try_pop() {
            let tid = item.slot.index();
            if self.last.len() <= tid {
                self.last.resize(tid + 1, Seq::ZERO);
            }
            if let ItemKind::Update { prev } = item.kind {
                assert!(prev == self.last[tid] && item.seq > prev);
                drained.updates += 1;
                drained.bytes += item.len();
            }
            self.last[tid] = item.seq;
        }
        drained
    }
}

fn parser(venue: &Venue, catalog: &Catalog, first: &[Vec<u8>]) -> Parser {
    let format = Format::Binance;
    let mut scan = RecordingScan::new(format, HashMap::new());
    let mut decoder = format.decoder();
    let workloads = Workload::all().into_iter().filter(|w| !w.is_push());
    let batches = workloads.flat_map(|workload| Lines::of(workload).all());
    for mut raw in batches.chain(first.iter().cloned()) {
        let message = Message {
            raw: &mut raw,
            http: None,
            symbol: None,
        };
        decoder.read(message, &mut scan).unwrap();
    }
    let plan = scan.into_plan();
    catalog.add_venue(
        venue,
        Offer {
            channels: plan.channels(),
            ..Offer::default()
        },
    );
    let add = |planned: &PlannedInstrument| {
        let definition = Definition {
            symbol: planned.symbol.clone(),
            native: planned.native.clone(),
            price_scale: planned.price_scale,
            qty_scale: planned.qty_scale,
        };
        catalog.add_instrument(venue, definition).unwrap().id
    };
    let ids: Vec<_> = plan.instruments.iter().map(add).collect();
    Parser::new(format, plan, &ids)
}

// === impl Drained ===

impl Drained {
    fn add(&mut self, more: Self) {
        self.updates += more.updates;
        self.bytes += more.bytes;
    }
}

/// The symbols a publisher has named, as the push source keeps them.
fn desk(venue: &Venue, catalog: &Arc<Catalog>) -> Names {
    let kinds = [ChannelKind::Trade, ChannelKind::Quote, ChannelKind::Book];
    let channels = kinds.into_iter().fold(ChannelSet::EMPTY, ChannelSet::with);
    let scale = Scale::saturating(8);
    let offer = Offer {
        channels,
        any_symbol: Some((scale, scale)),
        lossless: false,
    };
    catalog.add_venue(venue, offer);
    Names::new(venue.clone(), Arc::clone(catalog))
}
