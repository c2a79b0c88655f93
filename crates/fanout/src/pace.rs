//! The pace of a lossless replay: whether it may continue.
//!
//! A replay at `speed = "max"` must lose nothing, and before the sequencer it may wait. It waits while
//! any ring, or the outbox of any subscriber to a lossless topic, is over half full. The other half has
//! room for the events that are already on their way.

use crate::ring::RingTx;
use crate::sync::{AtomicU64, Ordering};
use std::sync::Arc;

/// How many subscribers of lossless topics are over half full, shard by shard.
#[derive(Clone, Debug)]
pub struct Congestion(Arc<[AtomicU64]>);

/// Tells a replay whether it may go on.
#[derive(Clone, Debug)]
pub struct Pacer {
    rings: Vec<RingTx>,
    congestion: Congestion,
}

impl Congestion {
    /// For so many shards.
    pub fn new(shards: usize) -> Self {
        Self((0..shards).map(|_| AtomicU64::new(0)).collect())
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.0.len()
    }

    /// A shard has so many.
    pub fn set(&self, shard: usize, subscribers: u64) {
        // Relaxed: a hint that is looked at again and again.
        self.0[shard].store(subscribers, Ordering::Relaxed);
    }

    /// Whether no shard has any.
    pub fn is_clear(&self) -> bool {
        self.0
            .iter()
            .all(|shard| shard.load(Ordering::Relaxed) == 0)
    }
}

impl Pacer {
    /// Looks at these rings and outboxes.
    pub const fn new(rings: Vec<RingTx>, congestion: Congestion) -> Self {
        Self { rings, congestion }
    }

    /// Whether nothing downstream is over half full.
    pub fn is_clear(&self) -> bool {
        self.congestion.is_clear() && !self.rings.iter().any(RingTx::is_over_half)
    }
}
