//! Waking a shard, only if it sleeps.
//!
//! A busy shard checks its ring without a wake-up. A wake-up is a system call, and is made only when the
//! shard has said that it is about to sleep.
//!
//! # Ordering
//! The shard stores `asleep` and then checks its ring once more; the publisher pushes to the ring and
//! then reads `asleep`. This is store-then-load on both sides, so each side has a sequentially consistent
//! fence between the two: at least one of them sees the other (tested under loom).

use crate::sync::{AtomicBool, Ordering, fence};

/// One sleeper's doorbell.
pub struct Doorbell {
    asleep: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Doorbell {
    /// A doorbell of a sleeper that `wake` wakes.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            asleep: AtomicBool::new(false),
            wake: Box::new(wake),
        }
    }

    /// The sleeper is about to sleep. It must look for work once more after this call, and sleep only
    /// if there is none.
    pub fn prepare_to_sleep(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        // Pairs with the fence in `ring`.
        fence(Ordering::SeqCst);
    }

    /// The sleeper is awake.
    pub fn awake(&self) {
        // Relaxed: a ringer that still sees `true` rings once too often, which is harmless.
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// Wakes the sleeper if it sleeps. To be called after the work was made visible.
    pub fn ring(&self) {
        // Pairs with the fence in `prepare_to_sleep`.
        fence(Ordering::SeqCst);
        // The plain load keeps the cache line shared while the sleeper is busy.
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            (self.wake)();
        }
    }
}

impl std::fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doorbell").finish_non_exhaustive()
    }
}
