//! The census: how many topics are wanted, so that topics that all have left do not count against a limit.
//!
//! The publisher lets go of a topic some time after its last subscriber has left. In this time the topic is
//! *leaving*: it cannot end yet. Therefore the limits of topics and of invented instruments count what is
//! wanted, and allow so many that leave in addition ([`leaving_max`]). Shards keep the census without the
//! table's lock, at the first subscriber and at the last.
//!
//! A new topic counts as wanted from the start, on behalf of the shard that is about to join it. The first
//! interest takes this claim over. If nobody ever joins, the claim ends with the topic.
//!
//! # Ordering
//! All operations on one topic's claims are in one order, so exactly one shard sees the first claim begin
//! or the last one end. Shards may enter both in the census in either order; their sum is right as soon as
//! both have done it.

use super::{TopicEntry, TopicLimits};
use crate::sync::{AtomicI64, AtomicU64, Ordering};
use tapecast_model::catalog::leaving_max;

/// Topics of named and of invented instruments are counted apart.
pub(super) const CLASSES: usize = 2;
pub(super) const NAMED: usize = 0;
pub(super) const INVENTED: usize = 1;

/// How many topics are wanted, by class.
#[derive(Debug)]
pub(super) struct Census([AtomicI64; CLASSES]);

/// How many shards want a topic, each encoding counted apart.
#[derive(Debug)]
pub(super) struct Claims(AtomicU64);

// === impl Census ===

impl Census {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicI64::new(0)))
    }

    /// How many topics of a class are wanted.
    pub(super) fn wanted(&self, class: usize) -> usize {
        // Acquire: pairs with the Release below, so that whoever hears of a topic's end by other means
        // finds it here as well.
        let wanted = self.0[class].load(Ordering::Acquire);
        usize::try_from(wanted).unwrap_or(0)
    }

    /// A topic is made, with the claim of the shard that is about to join it.
    pub(super) fn begin(&self, entry: &TopicEntry) {
        self.add(entry, 1);
    }

    /// A shard's interest begins, which is the first one that this topic ever had, or not.
    pub(super) fn claim(&self, entry: &TopicEntry, is_first_ever: bool) {
        if !is_first_ever && entry.claims.0.fetch_add(1, Ordering::AcqRel) == 0 {
            self.add(entry, 1);
        }
    }

    /// A shard's interest ends.
    pub(super) fn release(&self, entry: &TopicEntry) {
        if entry.claims.0.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.add(entry, -1);
        }
    }

    /// A topic ends to which nobody refers any more.
    pub(super) fn end(&self, entry: &TopicEntry) {
        if entry.begun() == 0 {
            self.release(entry);
        }
    }

    fn add(&self, entry: &TopicEntry, change: i64) {
        if let Some(lease) = &entry.lease {
            if change > 0 {
                lease.claim();
            } else {
                lease.release();
            }
        }
        self.0[class_of(entry)].fetch_add(change, Ordering::AcqRel);
    }
}

// === impl Claims ===

impl Default for Claims {
    /// With the claim of the shard that is about to join.
    fn default() -> Self {
        Self(AtomicU64::new(1))
    }
}

// === impl TopicLimits ===

impl TopicLimits {
    /// How many entries there may be at one moment: wanted ones, lingering ones and leaving ones, and those
    /// that have successors.
    pub(super) fn entries_max(&self) -> usize {
        let classes = [self.topics_max, self.invented_max()];
        let living: usize = classes.map(|max| max + leaving_max(max)).iter().sum();
        living + leaving_max(self.topics_max)
    }
}

pub(super) fn class_of(entry: &TopicEntry) -> usize {
    usize::from(entry.is_invented())
}
