//! Points in time. Wall-clock time for payloads, monotonic time for latency and timers: two types, so
//! that they cannot be confused.

use std::ops::Sub;
use std::time::Duration;

/// Wall-clock nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct UnixNanos(u64);

/// Monotonic nanoseconds since an unspecified moment of this process.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Mono(u64);

/// A venue's or publisher's own time, in nanoseconds, as it was spelled.
///
/// A desk may publish times of any clock, zero-padded or not; they pass through unread, so the
/// number of digits is kept with the number.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct EventTime {
    nanos: u64,
    width: u8,
}

// === impl UnixNanos ===

impl UnixNanos {
    /// From nanoseconds since the epoch.
    pub const fn new(nanos: u64) -> Self {
        Self(nanos)
    }

    /// From milliseconds since the epoch; saturates in the year 2554.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// From microseconds since the epoch; saturates.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// Nanoseconds since the epoch.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// `self - earlier` in nanoseconds. Signed: venues' clocks are ahead of ours as often as behind.
    pub const fn signed_since(self, earlier: Self) -> i64 {
        self.0.wrapping_sub(earlier.0) as i64
    }
}

// === impl Mono ===

impl Mono {
    /// From nanoseconds since the process's own zero.
    pub const fn new(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the process's own zero.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// This moment plus `duration`.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub for Mono {
    type Output = Duration;

    /// Zero if `earlier` is later.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

// === impl EventTime ===

impl EventTime {
    /// A time without padding.
    pub const fn new(nanos: UnixNanos) -> Self {
        Self {
            nanos: nanos.0,
            width: 0,
        }
    }

    /// A time that is spelled with at least `width` digits, zero-padded. None if no text of at most
    /// twenty digits is spelled so: the number has more digits than `width`, unless that is zero.
    pub const fn padded(nanos: UnixNanos, width: u8) -> Option<Self> {
        let nanos = nanos.0;
        let digits = match nanos.checked_ilog10() {
            Some(log) => log as u8 + 1,
            None => 1,
        };
        if width == 0 || (digits <= width && width <= Self::WIDTH_MAX) {
            Some(Self { nanos, width })
        } else {
            None
        }
    }

    /// A time of milliseconds since the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self::new(UnixNanos::from_millis(millis))
    }

    /// A time of seconds since the epoch; saturates.
    pub const fn from_secs(secs: u64) -> Self {
        Self::new(UnixNanos::new(secs.saturating_mul(1_000_000_000)))
    }

    /// Whether it lies in the years 1980 to 2200: what a venue calls a time and does not is a
    /// placeholder, or a number in another unit.
    pub const fn is_dated(self) -> bool {
        Self::FIRST <= self.nanos && self.nanos < Self::END
    }

    /// The most digits a time is spelled with: those of the largest number.
    const WIDTH_MAX: u8 = 20;
    /// The beginning of 1980.
    const FIRST: u64 = 315_532_800 * 1_000_000_000;
    /// The end of 2200.
    const END: u64 = 7_289_654_400 * 1_000_000_000;

    /// Parses 1 to 20 decimal digits, keeping leading zeros.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let width = u8::try_from(text.len())
            .ok()
            .filter(|w| (1..=Self::WIDTH_MAX).contains(w))?;
        let mut nanos = 0_u64;
        for &byte in text {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            nanos = nanos.checked_mul(10)?.checked_add(u64::from(digit))?;
        }
        Some(Self { nanos, width })
    }

    /// The number.
    pub const fn nanos(self) -> UnixNanos {
        UnixNanos(self.nanos)
    }

    /// At least so many digits, zero-padded.
    pub const fn width(self) -> u8 {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publishers_time_keeps_its_digits() {
        let time = EventTime::parse(b"0000012345678901234").unwrap();
        assert_eq!((time.nanos().get(), time.width()), (12_345_678_901_234, 19));
        assert_eq!(EventTime::parse(b""), None);
        assert_eq!(EventTime::parse(b"12a"), None);
        assert_eq!(EventTime::parse(b"99999999999999999999"), None);
    }

    #[test]
    fn a_time_of_a_width_is_what_a_text_of_it_says() {
        for text in ["0", "00", "7", "0007", "12345678901234567890"] {
            let time = EventTime::parse(text.as_bytes()).unwrap();
            assert_eq!(EventTime::padded(time.nanos(), time.width()), Some(time));
        }
        let time = UnixNanos::new(1_234);
        assert_eq!(EventTime::padded(time, 0), Some(EventTime::new(time)));
        for width in [3, 21, u8::MAX] {
            assert_eq!(EventTime::padded(time, width), None, "{width}");
        }
    }

    #[test]
    fn a_time_is_dated_from_1980_to_2200() {
        for (secs, dated) in [
            (0, false),
            (315_532_799, false),
            (315_532_800, true),
            (7_289_654_399, true),
            (7_289_654_400, false),
            (u64::MAX, false),
        ] {
            assert_eq!(EventTime::from_secs(secs).is_dated(), dated, "{secs}");
        }
    }

    #[test]
    fn a_venue_clock_ahead_of_ours_gives_a_negative_age() {
        let (recv, exch) = (UnixNanos::from_millis(1_000), UnixNanos::from_millis(2_270));
        assert_eq!(recv.signed_since(exch), -1_270_000_000);
    }
}
