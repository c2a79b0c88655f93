//! The clock of the simulated venue: it follows the wall clock, never falls, and never stops.
//!
//! The wall clock may be set while the process runs. If it is set forward, the venue's time jumps too,
//! and the simulation skips what it missed. If it is set back by less than a second, the venue's clock
//! runs at half its pace until the wall clock has reached it. If it is set back by more, the venue's
//! clock continues at its pace, ahead of the wall clock, until the process restarts or the wall clock
//! passes it. So `ts_event` always rises, even if `ts_recv` does not.

use std::time::Duration;
use tapecast_model::{Mono, UnixNanos};

/// The venue's time, read together with both clocks of the machine.
#[derive(Debug)]
pub(super) struct VenueClock {
    time: UnixNanos,
    read_at: Mono,
}

/// The wall clock may be set back by so much without being left behind.
const EASED: u64 = 1_000_000_000;

impl VenueClock {
    /// Begins with the wall clock.
    pub(super) const fn new(wall: UnixNanos, mono: Mono) -> Self {
        Self {
            time: wall,
            read_at: mono,
        }
    }

    /// The venue's time now.
    pub(super) fn read(&mut self, wall: UnixNanos, mono: Mono) -> UnixNanos {
        let elapsed = nanos(mono - self.read_at);
        self.read_at = mono;
        self.time = match self.time.get().saturating_sub(wall.get()) {
            0 => wall,
            ahead if ahead < EASED => super::later(self.time, elapsed / 2),
            _ => super::later(self.time, elapsed),
        };
        self.time
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: u64 = 1_786_309_548_000_000_000;
    const TICK: u64 = 10_000_000;
    const HOUR: i64 = 3_600_000_000_000;

    /// Runs for so many ticks, the wall clock set by `step` after the first; the venue's times.
    fn times(step: i64, ticks: u64) -> Vec<u64> {
        let mut clock = VenueClock::new(UnixNanos::new(WALL), Mono::new(7));
        let wall = |tick: u64| WALL + tick * TICK;
        let set = |tick: u64| {
            wall(tick)
                .checked_add_signed(if tick > 1 { step } else { 0 })
                .unwrap()
        };
        (1..=ticks)
            .map(|tick| {
                clock
                    .read(UnixNanos::new(set(tick)), Mono::new(7 + tick * TICK))
                    .get()
            })
            .collect()
    }

    #[test]
    fn it_follows_the_wall_clock() {
        assert_eq!(times(0, 3), [1, 2, 3].map(|n| WALL + n * TICK));
        assert_eq!(
            times(HOUR, 3)[1..],
            [2, 3].map(|n| WALL + n * TICK + HOUR as u64)
        );
    }

    #[test]
    fn set_back_far_it_goes_on_at_its_pace() {
        assert_eq!(
            times(-HOUR, 1_000),
            (1..=1_000).map(|n| WALL + n * TICK).collect::<Vec<_>>()
        );
    }

    #[test]
    fn set_back_a_little_it_runs_slower_until_the_wall_clock_has_caught_up() {
        let times = times(-500_000_000, 200);
        assert!(times.is_sorted());
        assert_eq!(times[1], WALL + TICK + TICK / 2);
        assert_eq!(times[89], WALL + TICK + 89 * TICK / 2);
        assert_eq!(times[199], WALL + 200 * TICK - 500_000_000);
    }
}
