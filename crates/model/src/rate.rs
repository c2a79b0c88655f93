//! A limit on how often something is done, which counts what it held back: for log lines that other
//! programs can cause.
//!
//! Threads share it without a lock. It cannot be full: calls above the limit are counted, and the next
//! call that passes gets this count, so that the reader of the log sees it.

use crate::time::Mono;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Lets `burst` through at once, and one more each `every`.
#[derive(Debug)]
pub struct RateLimit {
    every: u64,
    tolerance: u64,
    /// When the limit would be whole again if nothing more came: the generic cell rate algorithm.
    whole_at: AtomicU64,
    held_back: AtomicU64,
}

impl RateLimit {
    /// With all of its burst left.
    pub const fn new(burst: u32, every: Duration) -> Self {
        let every = every.as_nanos() as u64;
        let burst = if burst == 0 { 1 } else { burst };
        Self {
            every,
            tolerance: every.saturating_mul(burst as u64 - 1),
            whole_at: AtomicU64::new(0),
            held_back: AtomicU64::new(0),
        }
    }

    /// For log lines: ten at once, then one a second.
    pub const fn of_log_lines() -> Self {
        Self::new(10, Duration::from_secs(1))
    }

    /// Changes the limit. What has passed already counts against the new one.
    pub const fn set(&mut self, burst: u32, every: Duration) {
        let Self {
            every, tolerance, ..
        } = Self::new(burst, every);
        self.every = every;
        self.tolerance = tolerance;
    }

    /// Whether one may pass now; if so, the number that were held back since the last one.
    pub fn pass(&self, now: Mono) -> Option<u64> {
        let now = now.get();
        let next = |whole_at: u64| {
            let free = whole_at <= now.saturating_add(self.tolerance);
            free.then(|| whole_at.max(now).saturating_add(self.every))
        };
        let (seen, done) = (Ordering::Relaxed, Ordering::Relaxed);
        if self.whole_at.fetch_update(done, seen, next).is_ok() {
            Some(self.held_back.swap(0, Ordering::Relaxed))
        } else {
            self.held_back.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Mono {
        Mono::new(millis * 1_000_000)
    }

    #[test]
    fn a_burst_passes_then_one_each_interval_and_the_rest_is_counted() {
        let limit = RateLimit::new(3, Duration::from_secs(1));
        assert_eq!(
            [(); 5].map(|()| limit.pass(at(0))),
            [Some(0), Some(0), Some(0), None, None]
        );
        assert_eq!(limit.pass(at(999)), None);
        assert_eq!(limit.pass(at(1_000)), Some(3));
        assert_eq!(limit.pass(at(1_001)), None);
        // A long rest gives the burst back, and no more than that.
        assert_eq!(
            [(); 4].map(|()| limit.pass(at(60_000))),
            [Some(1), Some(0), Some(0), None]
        );
    }

    #[test]
    fn a_limit_that_changes_counts_what_has_passed() {
        let mut limit = RateLimit::new(3, Duration::from_secs(1));
        assert_eq!([(); 3].map(|()| limit.pass(at(0))), [Some(0); 3]);
        limit.set(5, Duration::from_millis(600));
        assert_eq!(limit.pass(at(599)), None);
        assert_eq!(limit.pass(at(600)), Some(1));
        limit.set(1, Duration::from_secs(3));
        assert_eq!(limit.pass(at(3_599)), None);
        assert_eq!(limit.pass(at(3_600)), Some(1));
    }

    #[test]
    fn threads_share_one_limit_and_nothing_is_lost_of_the_count() {
        let limit = RateLimit::new(10, Duration::from_secs(3_600));
        let told: Vec<u64> = std::thread::scope(|scope| {
            let thread = || {
                (0..1_000)
                    .filter_map(|_| limit.pass(at(1)))
                    .collect::<Vec<_>>()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(thread)).collect();
            threads
                .into_iter()
                .flat_map(|t| t.join().unwrap())
                .collect()
        });
        assert_eq!(told.len(), 10);
        let rest = limit.pass(at(100 * 3_600_000)).unwrap();
        assert_eq!(told.iter().sum::<u64>() + rest, 4_000 - 10);
    }
}
