//! A publisher with subscribers of every topic: on one shard all the time, on another one now and then.

use std::sync::Arc;
use tapecast_fanout::interest::TopicEntry;
use tapecast_fanout::ring::{RingRx, ring};
use tapecast_fanout::wake::Doorbell;
use tapecast_fanout::{FanoutMetrics, Interests, Item, Publisher, Requests};
use tapecast_model::{Instrument, Mono, Topic, UnixNanos};
use tapecast_wire::Encoding;

const CHANNELS: [&str; 9] = [
    "trade",
    "quote",
    "ticker",
    "status",
    "instrument",
    "book.1",
    "book.10",
    "book.50",
    "book.500",
];
const INTERVALS: [(&str, &str); 4] = [
    ("trade", "50ms"),
    ("quote", "100ms"),
    ("ticker", "100ms"),
    ("book.50", "250ms"),
];
/// More than a turn makes.
const RING_ITEMS: usize = 1 << 16;

pub(crate) struct Side {
    pub(crate) publisher: Publisher,
    pub(crate) requests: Requests,
    interests: Interests,
    entries: Vec<Arc<TopicEntry>>,
    rings: [RingRx; 2],
}

impl Side {
    pub(crate) fn new(instruments: &[Arc<Instrument>]) -> Self {
        let metrics = FanoutMetrics::register(&prometheus::Registry::new(), 2).unwrap();
        let (steady, late) = (
            ring(RING_ITEMS, Arc::new(Doorbell::new(|| {}))),
            ring(RING_ITEMS, Arc::new(Doorbell::new(|| {}))),
        );
        let (interests, requests) = Interests::new(10_000);
        let plain = CHANNELS.map(|channel| (channel, String::new()));
        let conflated = INTERVALS.map(|(channel, length)| (channel, format!("@{length}")));
        let mut entries = Vec::new();
        for instrument in instruments {
            let (venue, symbol) = (&instrument.venue, &instrument.symbol);
            for (channel, interval) in plain.iter().chain(&conflated) {
                let topic = format!("{channel}:{venue}:{symbol}{interval}");
                let topic: Topic = topic.parse().unwrap();
                entries.push(interests.entry(&topic, instrument).unwrap());
            }
        }
        let side = Self {
            publisher: Publisher::new(vec![steady.0, late.0], metrics),
            requests,
            interests,
            entries,
            rings: [steady.1, late.1],
        };
        side.join(0);
        side
    }

    pub(crate) fn set_time(&mut self, now: u64) {
        self.publisher.set_time(UnixNanos::new(now), Mono::new(now));
    }

    fn join(&self, shard: usize) {
        for entry in &self.entries {
            for encoding in Encoding::ALL {
                self.interests.join(entry, shard, encoding);
            }
        }
    }

    /// Subscribers come to the second shard.
    pub(crate) fn join_late(&self) {
        self.join(1);
    }

    /// They go.
    pub(crate) fn leave_late(&self) {
        for entry in &self.entries {
            for encoding in Encoding::ALL {
                self.interests.leave(entry, 1, encoding);
            }
        }
    }

    pub(crate) fn is_wanted(&self, entry: &TopicEntry) -> bool {
        entry.is_wanted()
    }

    /// What the turn has made, for both shards.
    pub(crate) fn flush(&mut self, now: u64) -> Vec<Item> {
        self.publisher.flush(Mono::new(now), false);
        assert!(!self.publisher.is_behind(), "a ring was full");
        let rings = self.rings.iter();
        rings
            .flat_map(|ring| std::iter::from_fn(|| ring.try_pop()))
            .collect()
    }
}
