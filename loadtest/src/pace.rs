//! When the next event is due.
//!
//! **Open loop**: event `n` is due at `start + n / rate`, whatever has happened to the ones before it. Its
//! intended time goes into the event, so a stall anywhere, the harness included, shows in the latency of
//! every event it delayed (no coordinated omission).
//!
//! **Closed loop**: with one topic, the next `window` events are due when all clients have the last;
//! with several, whenever fewer than `window` are on their way. If nothing moves for
//! [`STUCK`] the loop goes on all the same, and counts it: a lost event must not end the run.

use std::time::Duration;
use tapecast_model::Mono;

/// How long a closed loop waits before it takes the events on their way for lost.
pub const STUCK: Duration = Duration::from_millis(300);

/// Decides when the next event is due.
#[derive(Clone, Debug)]
pub struct Pace {
    published: u64,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Open {
        start: Mono,
        interval_ns: f64,
        late_max: Duration,
    },
    Closed {
        window: u64,
        batches: bool,
        allowed: u64,
        seen: u64,
        moved: Mono,
        stuck: u64,
    },
}

// === impl Pace ===

impl Pace {
    /// `rate` events a second from `start` on.
    pub fn open(rate: f64, start: Mono) -> Self {
        let kind = Kind::Open {
            start,
            interval_ns: 1e9 / rate,
            late_max: Duration::ZERO,
        };
        Self { published: 0, kind }
    }

    /// `window` events at a time; in whole batches, or one for each that has arrived.
    pub fn closed(window: u64, batches: bool, start: Mono) -> Self {
        let kind = Kind::Closed {
            window,
            batches,
            allowed: 0,
            seen: 0,
            moved: start,
            stuck: 0,
        };
        Self { published: 0, kind }
    }

    /// Begins now, whenever it was made. Before the first event only.
    pub fn begin(&mut self, now: Mono) {
        match &mut self.kind {
            Kind::Open { start, .. } => *start = now,
            Kind::Closed { moved, .. } => *moved = now,
        }
    }

    /// Whether events have intended times.
    pub fn is_open(&self) -> bool {
        matches!(self.kind, Kind::Open { .. })
    }

    /// Events due so far.
    pub fn published(&self) -> u64 {
        self.published
    }

    /// The intended time of the next event, if it is due; it then counts as published. `seen` is how
    /// many events the clients have.
    pub fn take_due(&mut self, now: Mono, seen: u64) -> Option<Mono> {
        let intended = match &mut self.kind {
            Kind::Open {
                start,
                interval_ns,
                late_max,
            } => {
                let intended = due_at(*start, *interval_ns, self.published);
                if intended > now {
                    return None;
                }
                *late_max = (*late_max).max(now - intended);
                intended
            }
            Kind::Closed {
                window,
                batches,
                allowed,
                seen: before,
                moved,
                stuck,
            } => {
                if seen != *before {
                    (*before, *moved) = (seen, now);
                }
                if self.published == *allowed {
                    let is_stuck = now - *moved > STUCK;
                    if is_stuck {
                        (*moved, *stuck) = (now, *stuck + 1);
                    }
                    if *batches && (seen >= self.published || is_stuck) {
                        *allowed += *window;
                    } else if !*batches {
                        let room = seen.saturating_add(*window);
                        *allowed = (*allowed + u64::from(is_stuck)).max(room);
                    }
                }
                if self.published >= *allowed {
                    return None;
                }
                now
            }
        };
        self.published += 1;
        Some(intended)
    }

    /// When to look again, if time alone decides.
    pub fn wake_at(&self) -> Option<Mono> {
        match &self.kind {
            Kind::Open {
                start, interval_ns, ..
            } => Some(due_at(*start, *interval_ns, self.published)),
            Kind::Closed { .. } => None,
        }
    }

    /// The latest an event was taken after it was due: the harness's own delay.
    pub fn late_max(&self) -> Duration {
        match self.kind {
            Kind::Open { late_max, .. } => late_max,
            Kind::Closed { .. } => Duration::ZERO,
        }
    }

    /// Forgets the delays so far: the warm-up is over.
    pub fn reset_late(&mut self) {
        if let Kind::Open { late_max, .. } = &mut self.kind {
            *late_max = Duration::ZERO;
        }
    }

    /// How often a closed loop went on although not everything had arrived.
    pub fn stuck(&self) -> u64 {
        match self.kind {
            Kind::Open { .. } => 0,
            Kind::Closed { stuck, .. } => stuck,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "exact below 2^53 ns, which is 104 days"
)]
fn due_at(start: Mono, interval_ns: f64, event: u64) -> Mono {
    Mono::new(start.get() + (event as f64 * interval_ns) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Mono {
        Mono::new(millis * 1_000_000)
    }

    fn due(pace: &mut Pace, now: Mono, seen: u64) -> Vec<Mono> {
        std::iter::from_fn(|| pace.take_due(now, seen)).collect()
    }

    #[test]
    fn an_open_loop_keeps_its_schedule_through_a_stall() {
        let mut pace = Pace::open(1_000.0, ms(10));
        assert_eq!(pace.take_due(ms(9), 0), None);
        assert_eq!(due(&mut pace, ms(10), 0), [ms(10)]);
        assert_eq!(pace.wake_at(), Some(ms(11)));
        // A stall of 4 ms: all events of the time are due, each with its own intended time.
        assert_eq!(due(&mut pace, ms(14), 0), [ms(11), ms(12), ms(13), ms(14)]);
        assert_eq!(pace.late_max(), Duration::from_millis(3));
        assert_eq!(pace.published(), 5);
    }

    #[test]
    fn an_open_loop_does_not_drift() {
        let mut pace = Pace::open(3.0, ms(0));
        let last = due(&mut pace, ms(1_000_000), 0).pop().unwrap();
        assert_eq!((pace.published(), last), (3_001, ms(1_000_000)));
    }

    #[test]
    fn a_closed_loop_publishes_the_next_batch_when_all_have_the_last() {
        let mut pace = Pace::closed(3, true, ms(0));
        assert_eq!(due(&mut pace, ms(1), 0), [ms(1); 3]);
        assert!(due(&mut pace, ms(2), 2).is_empty());
        assert_eq!(due(&mut pace, ms(3), 3), [ms(3); 3]);
        assert_eq!((pace.published(), pace.stuck()), (6, 0));
    }

    #[test]
    fn a_window_over_several_topics_slides() {
        let mut pace = Pace::closed(4, false, ms(0));
        assert_eq!(due(&mut pace, ms(1), 0).len(), 4);
        assert_eq!(due(&mut pace, ms(2), 1).len(), 1);
        assert_eq!(due(&mut pace, ms(3), 5).len(), 4);
        assert!(due(&mut pace, ms(4), 5).is_empty());
    }

    #[test]
    fn a_loss_does_not_end_a_closed_loop_but_is_counted() {
        for (batches, more) in [(true, 2), (false, 1)] {
            let mut pace = Pace::closed(2, batches, ms(0));
            assert_eq!(due(&mut pace, ms(1), 0).len(), 2);
            assert!(due(&mut pace, ms(300), 0).is_empty());
            assert_eq!(due(&mut pace, ms(302), 0).len(), more);
            assert_eq!(pace.stuck(), 1);
        }
    }
}
