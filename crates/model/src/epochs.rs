//! The origin of epochs: one counter for the whole process, which only rises.
//!
//! An epoch is the time in milliseconds, if it is higher than every epoch before; otherwise it is the
//! last epoch plus one. It must also be higher than every epoch of an earlier run of this process,
//! although the clock may have been set back in between. A caller that has a record of earlier runs gives
//! their highest epoch as the floor. Threads share the counter without a lock.
//! Every new life of a stream takes its epoch here.

use crate::seq::Epoch;
use crate::time::UnixNanos;
use std::sync::atomic::{AtomicU64, Ordering};

/// Gives each epoch once, in rising order.
#[derive(Debug)]
pub struct EpochSource {
    last: AtomicU64,
}

impl EpochSource {
    /// Begins above `floor`: the highest epoch that any earlier life may have given.
    pub const fn above(floor: Epoch) -> Self {
        Self {
            last: AtomicU64::new(floor.get()),
        }
    }

    /// A new epoch: higher than all before, and not below the time.
    pub fn next(&self, now: UnixNanos) -> Epoch {
        let millis = now.get() / 1_000_000;
        let next = |last: u64| millis.max(last.saturating_add(1));
        let before = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(next(last))
            });
        // It never fails: the function always gives a value.
        Epoch::new(next(before.unwrap_or_default()))
    }

    /// An epoch for a life behind `before`: the last one given where that is higher already, so that
    /// all that start again together take one between them; else a new one.
    pub fn after(&self, before: Epoch, now: UnixNanos) -> Epoch {
        let last = self.last();
        if last > before { last } else { self.next(now) }
    }

    /// The highest epoch given so far, or the floor.
    pub fn last(&self) -> Epoch {
        Epoch::new(self.last.load(Ordering::Relaxed))
    }
}

impl Default for EpochSource {
    /// Nothing is known of an earlier life.
    fn default() -> Self {
        Self::above(Epoch::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const fn at(millis: u64) -> UnixNanos {
        UnixNanos::new(millis * 1_000_000)
    }

    #[test]
    fn an_epoch_is_the_time_or_one_more_than_the_last() {
        let epochs = EpochSource::default();
        assert_eq!(epochs.next(at(5_000)), Epoch::new(5_000));
        assert_eq!(epochs.next(at(5_000)), Epoch::new(5_001));
        assert_eq!(epochs.next(at(1)), Epoch::new(5_002));
        assert_eq!(epochs.next(at(9_000)), Epoch::new(9_000));
        assert_eq!(epochs.last(), Epoch::new(9_000));
    }

    #[test]
    fn a_floor_holds_although_the_clock_was_set_back() {
        let epochs = EpochSource::above(Epoch::new(80_000));
        assert_eq!(epochs.next(at(5_000)), Epoch::new(80_001));
        assert_eq!(epochs.next(at(5_000)), Epoch::new(80_002));
    }

    #[test]
    fn those_who_start_over_together_share_an_epoch() {
        let epochs = EpochSource::above(Epoch::new(80));
        let first = epochs.next(at(5));
        assert_eq!(first, Epoch::new(81));
        for round in 1..=3 {
            let before = Epoch::new(80 + round);
            for _ in 0..10 {
                assert_eq!(epochs.after(before, at(5)), Epoch::new(81 + round));
            }
        }
        // Another began meanwhile.
        let other = epochs.next(at(90));
        assert_eq!(epochs.after(Epoch::new(84), at(5)), other);
    }

    #[test]
    fn threads_never_get_the_same() {
        let epochs = EpochSource::default();
        let given: Vec<Vec<Epoch>> = std::thread::scope(|scope| {
            let thread = || (0..1_000).map(|n| epochs.next(at(n / 7))).collect();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(thread)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        for one in &given {
            assert!(one.is_sorted_by(|a, b| a < b));
        }
        assert_eq!(given.iter().flatten().collect::<BTreeSet<_>>().len(), 4_000);
    }
}
