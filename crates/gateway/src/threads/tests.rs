//! The pipeline's thread without a thread: what it ends, and what it keeps.

use super::*;
use prometheus::Registry;
use std::sync::Arc;
use tapecast_fanout::ring::{RingRx, ring};
use tapecast_fanout::wake::Doorbell;
use tapecast_fanout::{Interests, TopicEntry, TopicLimits};
use tapecast_ingest::metrics::PipelineMetrics;
use tapecast_ingest::pipeline::PipelineConfig;
use tapecast_model::catalog::Offer;
use tapecast_model::{Catalog, ChannelKind, ChannelSet, Scale, Venue};
use tapecast_wire::Encoding;

struct Rig {
    thread: PipelineThread,
    catalog: Arc<Catalog>,
    interests: Interests,
    ring: RingRx,
}

impl Rig {
    fn new() -> Self {
        let registry = Registry::new();
        let catalog = Arc::new(Catalog::new(1_000));
        let offer = Offer {
            channels: ChannelSet::EMPTY.with(ChannelKind::Quote),
            any_symbol: Some((Scale::default(), Scale::default())),
            lossless: false,
        };
        catalog.add_venue(&Venue::new("desk").unwrap(), offer);
        let metrics = FanoutMetrics::register(&registry, 1).unwrap();
        let (tx, ring) = ring(1_024, Arc::new(Doorbell::new(|| {})));
        let (interests, requests) = Interests::with_limits(TopicLimits {
            topics_max: 1_000,
            linger: Duration::ZERO,
            first_tid: u32::MAX - 1_000,
        });
        let (_, stop) = crossbeam_channel::bounded(0);
        let (_, events) = crossbeam_channel::bounded(1);
        let thread = PipelineThread {
            pipeline: Pipeline::new(
                Arc::clone(&catalog),
                PipelineConfig::new(UnixNanos::from_millis(1)),
                PipelineMetrics::register(&registry).unwrap(),
            ),
            publisher: Publisher::new(vec![tx], metrics.clone()),
            events,
            lot: Lot::new().into_iter(),
            requests,
            stop,
            metrics,
            gave_way: Duration::ZERO,
            fault: tapecast_model::Fault::default(),
        };
        Self {
            thread,
            catalog,
            interests,
            ring,
        }
    }

    fn join(&self, topic: &str) -> Arc<TopicEntry> {
        let topic = topic.parse().unwrap();
        let resolved = self.catalog.resolve(&topic).unwrap();
        let entry = self.interests.entry(&topic, resolved).unwrap();
        self.interests.join(&entry, 0, Encoding::Json);
        entry
    }

    /// What the thread does between two sleeps, and the shard with what comes of it.
    fn look(&mut self) {
        while self.thread.turn() {}
        while self.thread.sweep(mono_now()) {}
        while self.ring.try_pop().is_some() {}
    }
}

#[test]
fn a_million_invented_names_take_the_memory_of_those_that_are_there_at_once() {
    let mut rig = Rig::new();
    let real = rig.join("quote:desk:REAL");
    for lot in 0..10_000 {
        let names = (0..100).map(|n| format!("quote:desk:N{lot}-{n}"));
        let entries: Vec<_> = names.map(|name| rig.join(&name)).collect();
        rig.look();
        assert_eq!(rig.thread.metrics.topics.get(), 101);
        for entry in entries {
            rig.interests.leave(&entry, 0, Encoding::Json);
        }
        rig.look();
        assert_eq!(rig.thread.metrics.topics.get(), 1);
        assert_eq!(rig.thread.requests.count(), (1, 0));
        assert_eq!(rig.catalog.invented(), 1);
    }
    assert!(rig.thread.requests.slots() <= 101);
    let last = rig.join("quote:desk:LAST");
    assert!(last.instrument.id.index() <= 101 && last.slot.index() <= 101);
    assert_ne!((last.tid, last.slot), (real.tid, real.slot));
}
