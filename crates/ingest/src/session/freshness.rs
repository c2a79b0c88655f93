//! How old a venue's messages are when they come, and whether that has changed.
//!
//! The delay is from the venue's time to ours, so it has the difference of both clocks in it, and may be negative. What
//! is usual for a venue is learnt slowly. If the median of ten seconds is far above it, the venue has slowed down; far
//! below zero, a clock is wrong. Each is said once, until it is over.

use std::time::Duration;
use tapecast_model::Mono;

/// Delays of one venue, in nanoseconds.
#[derive(Debug)]
pub(super) struct Freshness {
    /// Of the span that is being measured.
    delays: Vec<i64>,
    began: Mono,
    last: Option<i64>,
    usual: Option<i64>,
    is_slow: bool,
    is_clock_wrong: bool,
}

/// Something that has changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum FreshnessNews {
    /// Messages are far older than they usually are.
    Slow {
        /// What is usual.
        usual: i64,
        /// What it is now.
        now: i64,
    },
    /// They are as fresh as usual again.
    Usual,
    /// The venue's clock is ahead of ours by so much.
    ClockAhead(i64),
}

/// How long delays are gathered.
const SPAN: Duration = Duration::from_secs(10);
/// So many of them are enough, and so many are kept.
const DELAYS: std::ops::RangeInclusive<usize> = 8..=512;
/// A median is slow that is so many times the usual one …
const TIMES: i64 = 4;
/// … and above it by more than this.
const ABOVE: i64 = 400_000_000;
/// A clock that is ahead by more than this is wrong.
const CLOCK: i64 = 1_000_000_000;

// === impl Freshness ===

impl Freshness {
    pub(super) const fn new(now: Mono) -> Self {
        Self {
            delays: Vec::new(),
            began: now,
            last: None,
            usual: None,
            is_slow: false,
            is_clock_wrong: false,
        }
    }

    /// The last median, and what is usual.
    pub(super) const fn delays(&self) -> (Option<i64>, Option<i64>) {
        (self.last, self.usual)
    }

    /// A message had this delay.
    pub(super) fn note(&mut self, delay: i64, now: Mono) -> Option<FreshnessNews> {
        if self.delays.len() < *DELAYS.end() {
            self.delays.push(delay);
        }
        if now < self.began.after(SPAN) || self.delays.len() < *DELAYS.start() {
            return None;
        }
        let middle = self.delays.len() / 2;
        let (_, median, _) = self.delays.select_nth_unstable(middle);
        let median = *median;
        self.delays.clear();
        (self.began, self.last) = (now, Some(median));
        let usual = *self.usual.get_or_insert(median);
        let above = median.saturating_sub(usual);
        let slow = above > ABOVE && median / TIMES > usual.max(0);
        // What lasts becomes usual, in minutes if it is near, in an hour if it is far.
        self.usual = Some(usual + above / if slow { 1_024 } else { 16 });
        let clock_wrong = median < -CLOCK;
        let was_slow = std::mem::replace(&mut self.is_slow, slow);
        let was_wrong = std::mem::replace(&mut self.is_clock_wrong, clock_wrong);
        if clock_wrong && !was_wrong {
            return Some(FreshnessNews::ClockAhead(-median));
        }
        match (was_slow, slow) {
            (false, true) => Some(FreshnessNews::Slow { usual, now: median }),
            (true, false) => Some(FreshnessNews::Usual),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: i64 = 1_000_000;

    /// What is said while the delay is this, in milliseconds, for so many seconds.
    fn say(
        freshness: &mut Freshness,
        now: &mut Mono,
        delay: i64,
        seconds: u32,
    ) -> Vec<FreshnessNews> {
        let mut said = Vec::new();
        for _ in 0..seconds * 10 {
            *now = now.after(Duration::from_millis(100));
            said.extend(freshness.note(delay * MILLI, *now));
        }
        said
    }

    #[test]
    fn a_venue_that_slows_from_half_a_second_to_five_is_said_once_and_so_is_its_return() {
        let mut now = Mono::default();
        let mut freshness = Freshness::new(now);
        assert_eq!(say(&mut freshness, &mut now, 500, 300), []);
        let said = say(&mut freshness, &mut now, 5_000, 600);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(matches!(said[0], FreshnessNews::Slow { now, .. } if now == 5_000 * MILLI));
        assert_eq!(
            say(&mut freshness, &mut now, 500, 60),
            [FreshnessNews::Usual]
        );
    }

    #[test]
    fn small_changes_and_single_late_messages_are_no_news() {
        let mut now = Mono::default();
        let mut freshness = Freshness::new(now);
        assert_eq!(say(&mut freshness, &mut now, 20, 60), []);
        assert_eq!(
            say(&mut freshness, &mut now, 200, 60),
            [],
            "ten times, but fresh"
        );
        for _ in 0..20 {
            assert_eq!(say(&mut freshness, &mut now, 9_000, 2), []);
            assert_eq!(say(&mut freshness, &mut now, 30, 8), []);
        }
    }

    #[test]
    fn a_clock_that_is_ahead_is_said_once() {
        let mut now = Mono::default();
        let mut freshness = Freshness::new(now);
        let said = say(&mut freshness, &mut now, -1_270, 100);
        assert_eq!(said, [FreshnessNews::ClockAhead(1_270 * MILLI)]);
    }
}
