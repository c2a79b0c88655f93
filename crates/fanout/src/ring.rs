//! A shard's ring: bounded, one producer, one consumer, never waits.
//!
//! It is a `crossbeam_channel::bounded` behind our own interface: 19 ns for a push and a pop, compared
//! with 100 ns for encoding and 2 µs for writing. An own ring would need a benchmark that shows an
//! advantage.

use crate::item::Item;
use crate::sync::{AtomicU64, Ordering};
use crate::wake::Doorbell;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::sync::Arc;
use std::time::Duration;
use tapecast_model::Mono;

/// The publisher's end.
#[derive(Clone, Debug)]
pub struct RingTx {
    items: Sender<Item>,
    doorbell: Arc<Doorbell>,
    rest: Arc<Rest>,
    capacity: usize,
}

/// The shard's end.
#[derive(Debug)]
pub struct RingRx {
    items: Receiver<Item>,
    doorbell: Arc<Doorbell>,
    rest: Arc<Rest>,
}

/// Until when a consumer may rest, in nanoseconds of [`Mono`].
#[derive(Debug, Default)]
struct Rest(AtomicU64);

/// A ring of `capacity` items whose consumer is woken by `doorbell`.
pub fn ring(capacity: usize, doorbell: Arc<Doorbell>) -> (RingTx, RingRx) {
    let (sender, receiver) = bounded(capacity);
    let rest = Arc::new(Rest::default());
    let tx = RingTx {
        items: sender,
        doorbell: Arc::clone(&doorbell),
        rest: Arc::clone(&rest),
        capacity,
    };
    (
        tx,
        RingRx {
            items: receiver,
            doorbell,
            rest,
        },
    )
}

impl RingTx {
    /// Appends an item, or gives it back if the ring is full (or its shard gone).
    ///
    /// # Errors
    /// If there is no room.
    pub fn try_push(&self, item: Item) -> Result<(), Item> {
        self.items.try_send(item).map_err(|error| match error {
            TrySendError::Full(item) | TrySendError::Disconnected(item) => item,
        })
    }

    /// Whether the shard may be left asleep for now, if there is more to come at once: it has just had
    /// a turn, and the ring is not half full.
    pub fn may_rest(&self, now: Mono) -> bool {
        // Relaxed: a hint.
        now < Mono::new(self.rest.0.load(Ordering::Relaxed)) && !self.is_over_half()
    }

    /// Wakes the shard if it sleeps: once after a turn's pushes, not once per push.
    pub fn wake(&self) {
        self.doorbell.ring();
    }

    /// Items in it.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether more than three quarters of it are in use: then what is on its way may just fit.
    pub fn is_nearly_full(&self) -> bool {
        self.items.len() > self.capacity - self.capacity / 4
    }

    /// Whether more than half of it is in use.
    pub fn is_over_half(&self) -> bool {
        self.items.len() > self.capacity / 2
    }
}

impl RingRx {
    /// The oldest item.
    pub fn try_pop(&self) -> Option<Item> {
        self.items.try_recv().ok()
    }

    /// Items in it.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Notes that the consumer's turn took so long and is over now: half as long again it need not be
    /// woken while there is more to come, so that its batches grow with its load.
    pub fn note_turn(&self, began: Mono, ended: Mono) {
        let rest = (ended - began) / 2;
        let until = ended.after(rest.min(REST_MAX));
        self.rest.0.store(until.get(), Ordering::Relaxed);
    }

    /// How its consumer sleeps.
    pub fn doorbell(&self) -> &Doorbell {
        &self.doorbell
    }
}

/// The longest that a consumer is left to rest.
const REST_MAX: Duration = Duration::from_millis(5);
