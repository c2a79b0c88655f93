//! Whether a message with an old number is late, or the venue's numbers have started again.
//!
//! A message with an old number and a new venue time proves a new start. Without venue times, many old
//! messages in a row for some time count as one ([`OLD_MAX`], [`OLD_FOR`]). So a stream whose numbers
//! start again stands still for a limited time.

use std::time::Duration;
use tapecast_model::{EventTime, UnixNanos};

/// Old messages in a row after which a venue's numbers count as started again.
/// A snapshot that does not come in the stream is ahead of it by fewer messages.
pub(crate) const OLD_MAX: u32 = 1_000;

/// For how long nothing but old messages may come.
pub(crate) const OLD_FOR: Duration = Duration::from_secs(10);

/// Messages in a row whose numbers were old.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OldRun {
    count: u32,
    since: UnixNanos,
}

/// The last of the whole states of a stream, by the venue's number.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Newest {
    number: Option<u64>,
    time: Option<EventTime>,
    old: OldRun,
}

/// How a message that says a whole state compares with the last one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Recency {
    /// It is newer than the last, or the first of new numbers.
    Newer,
    /// It has the number of the last.
    Same,
    /// It is older than the last, and changes nothing.
    Old,
}

// === impl OldRun ===

impl OldRun {
    /// Notes a message that is old by its numbers. Whether it proves, by its venue's time (`last` is the
    /// time of the last message that was not old) or together with those before it, that the numbers have
    /// started again.
    pub(crate) fn has_started_over(
        &mut self,
        last: Option<EventTime>,
        ts_event: Option<EventTime>,
        ts_recv: UnixNanos,
    ) -> bool {
        let nanos = |time: EventTime| time.nanos();
        if let (Some(time), Some(last)) = (ts_event.map(nanos), last.map(nanos))
            && time > last
        {
            return true;
        }
        let time = ts_event.map_or(ts_recv, nanos);
        if self.count == 0 {
            self.since = time;
        }
        self.count += 1;
        let lasted = time.get().saturating_sub(self.since.get());
        self.count > OLD_MAX || u128::from(lasted) > OLD_FOR.as_nanos()
    }
}

// === impl Newest ===

impl Newest {
    /// Compares a message with the last one; if it is not old, it is the last from now on.
    pub(crate) fn note(
        &mut self,
        number: u64,
        ts_event: Option<EventTime>,
        ts_recv: UnixNanos,
    ) -> Recency {
        let recency = match self.number {
            Some(last) if number == last => Recency::Same,
            Some(last)
                if number < last && !self.old.has_started_over(self.time, ts_event, ts_recv) =>
            {
                return Recency::Old;
            }
            _ => Recency::Newer,
        };
        *self = Self {
            number: Some(number),
            time: ts_event.or(self.time),
            old: OldRun::default(),
        };
        recency
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: UnixNanos = UnixNanos::from_millis(1_000_000_000_000);

    fn received(after: Duration) -> UnixNanos {
        UnixNanos::new(T.get() + u64::try_from(after.as_nanos()).unwrap())
    }

    #[test]
    fn a_lower_number_is_old_until_many_came_or_they_lasted() {
        let mut newest = Newest::default();
        let mut take = |number, after| newest.note(number, None, received(after));
        let now = Duration::ZERO;
        assert_eq!(take(10, now), Recency::Newer);
        assert_eq!(take(12, now), Recency::Newer);
        assert_eq!(take(12, now), Recency::Same);
        for _ in 0..OLD_MAX {
            assert_eq!(take(11, now), Recency::Old);
        }
        assert_eq!(take(3, now), Recency::Newer, "numbers started again");
        assert_eq!(take(2, now), Recency::Old);
        assert_eq!(take(2, OLD_FOR), Recency::Old);
        // The last one in between begins the time anew.
        assert_eq!(take(4, OLD_FOR), Recency::Newer);
        assert_eq!(take(2, OLD_FOR * 3), Recency::Old);
        let later = OLD_FOR * 4 + Duration::from_nanos(1);
        assert_eq!(take(2, later), Recency::Newer);
    }

    #[test]
    fn a_lower_number_with_a_newer_time_is_a_new_start() {
        let mut newest = Newest::default();
        let time = |secs| Some(EventTime::from_secs(1_700_000_000_u64 + secs));
        assert_eq!(newest.note(10, time(5), T), Recency::Newer);
        assert_eq!(newest.note(9, time(4), T), Recency::Old);
        assert_eq!(newest.note(9, time(5), T), Recency::Old);
        assert_eq!(newest.note(9, None, T), Recency::Old);
        assert_eq!(newest.note(1, time(6), T), Recency::Newer);
        assert_eq!(newest.note(2, None, T), Recency::Newer);
        assert_eq!(newest.note(1, time(6), T), Recency::Old);
    }
}
