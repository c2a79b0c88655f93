//! The venue's clock, which faults can shift, and the units of times in messages.

use std::time::Duration;

/// The venue's clock: it may be wrong.
#[derive(Debug)]
pub(crate) struct Clock {
    start_us: u64,
    /// How far it is ahead of the true time, in microseconds.
    pub(crate) ahead_us: i64,
}

/// A time of the venue's clock, in microseconds since 1970, and how far that clock is ahead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    us: u64,
    ahead_us: i64,
}

/// A unit of times in messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unit {
    Milli,
    Micro,
}

// === impl Clock ===

impl Clock {
    pub(crate) fn new(start_ms: u64) -> Self {
        Self {
            start_us: start_ms * 1_000,
            ahead_us: 0,
        }
    }

    /// What the clock shows.
    pub(crate) fn stamp(&self, now: Duration) -> Stamp {
        Stamp {
            us: self.true_us(now).saturating_add_signed(self.ahead_us),
            ahead_us: self.ahead_us,
        }
    }

    /// The true time, in milliseconds since 1970.
    pub(crate) fn true_ms(&self, now: Duration) -> u64 {
        self.true_us(now) / 1_000
    }

    fn true_us(&self, now: Duration) -> u64 {
        self.start_us + u64::try_from(now.as_micros()).unwrap_or(u64::MAX / 2)
    }
}

// === impl Stamp ===

impl Stamp {
    /// The time.
    pub(crate) fn text(self, unit: Unit) -> u64 {
        unit.of(self.us)
    }

    /// A true time as the clock showed it.
    pub(crate) fn of(self, true_ms: u64, unit: Unit) -> u64 {
        unit.of((true_ms * 1_000).saturating_add_signed(self.ahead_us))
    }

    /// A time before it.
    pub(crate) fn earlier(self, us: u64, unit: Unit) -> u64 {
        unit.of(self.us.saturating_sub(us))
    }
}

// === impl Unit ===

impl Unit {
    fn of(self, us: u64) -> u64 {
        match self {
            Self::Milli => us / 1_000,
            Self::Micro => us,
        }
    }
}
