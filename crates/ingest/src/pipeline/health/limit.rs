//! How long a channel may be silent before it is stale.
//!
//! A publisher knows its own pace, so its limit is configured and fixed. A venue does not state its pace,
//! so the limit of its channels follows the pace that they have shown. For this, the [`Intervals`] of a
//! channel keeps [`Intervals::KEPT`] intervals of four bytes, with one store per event. The median is computed
//! only when a channel has been silent for longer than the shortest limit.

use std::time::Duration;
use tapecast_model::ChannelKind;

/// How long the channels of an instrument may be silent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SilenceLimit {
    /// So long, whatever their pace. Book, quote and ticker are watched from their first event, book
    /// and quote also from when they are asked for.
    Fixed(Duration),
    /// By the pace of each: twenty times its median interval, at least 30 s, at most 10 min; the first
    /// event within 10 s. Book and quote are watched.
    ByPace,
}

/// The newest intervals between events of a channel.
#[derive(Debug)]
pub(super) struct Intervals {
    /// In microseconds, which reach further than the longest limit.
    intervals: [u32; Self::KEPT],
    next: u8,
    filled: u8,
}

// === impl SilenceLimit ===

impl SilenceLimit {
    const FIRST: Duration = Duration::from_secs(10);
    const SHORTEST: Duration = Duration::from_secs(30);
    const LONGEST: Duration = Duration::from_mins(10);
    const MEDIANS: u32 = 20;

    /// How long the first event may take, of a channel that is asked for; none if it may take for ever.
    pub(super) const fn first(self, kind: ChannelKind) -> Option<Duration> {
        match (kind, self) {
            (ChannelKind::Book | ChannelKind::Quote, Self::Fixed(limit)) => Some(limit),
            (ChannelKind::Book | ChannelKind::Quote, Self::ByPace) => Some(Self::FIRST),
            _ => None,
        }
    }

    /// How long the first event may take of an instrument that is asked for, whatever channel it is of.
    pub(super) const fn first_of_any(self) -> Duration {
        match self {
            Self::Fixed(limit) => limit,
            Self::ByPace => Self::FIRST,
        }
    }

    /// The shortest that a channel's limit can be; none if it is not watched. Trades never are: a
    /// market may be quiet.
    pub(super) const fn shortest(self, kind: ChannelKind) -> Option<Duration> {
        match (kind, self) {
            (ChannelKind::Book | ChannelKind::Quote | ChannelKind::Ticker, Self::Fixed(limit)) => {
                Some(limit)
            }
            (ChannelKind::Book | ChannelKind::Quote, Self::ByPace) => Some(Self::SHORTEST),
            _ => None,
        }
    }

    /// A watched channel's limit at its pace; it doubles each time that its venue has said that it is quiet.
    pub(super) fn at_pace(self, pace: Option<&Intervals>, quiet: u8) -> Duration {
        match self {
            Self::Fixed(limit) => limit
                .saturating_mul(1 << quiet.min(10))
                .min(limit.max(Self::LONGEST)),
            Self::ByPace => pace
                .and_then(Intervals::median)
                .map_or(Self::SHORTEST, |median| median * Self::MEDIANS)
                .clamp(Self::SHORTEST, Self::LONGEST)
                .checked_mul(1 << quiet.min(10))
                .map_or(Self::LONGEST, |limit| limit.min(Self::LONGEST)),
        }
    }

    /// Whether a channel's pace matters.
    pub(super) const fn follows_pace(self, kind: ChannelKind) -> bool {
        matches!(self, Self::ByPace) && self.shortest(kind).is_some()
    }
}

// === impl Intervals ===

impl Intervals {
    /// How many intervals are kept; the newest replaces the oldest. Odd, so that one of them is the
    /// median.
    pub(super) const KEPT: usize = 63;

    /// No interval yet.
    pub(super) const fn new() -> Self {
        Self {
            intervals: [0; Self::KEPT],
            next: 0,
            filled: 0,
        }
    }

    /// Takes an interval into account.
    pub(super) fn note(&mut self, interval: Duration) {
        let micros = u32::try_from(interval.as_micros()).unwrap_or(u32::MAX);
        self.intervals[usize::from(self.next)] = micros;
        self.filled = self.filled.max(self.next + 1);
        self.next = (self.next + 1) % Self::KEPT as u8;
    }

    /// The median of the intervals kept, of two the longer; none without any.
    pub(super) fn median(&self) -> Option<Duration> {
        let mut kept = self.intervals;
        let kept = &mut kept[..usize::from(self.filled)];
        if kept.is_empty() {
            return None;
        }
        let middle = kept.len() / 2;
        let (_, median, _) = kept.select_nth_unstable(middle);
        Some(Duration::from_micros(u64::from(*median)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit_after(millis: &[u64]) -> Duration {
        let mut pace = Intervals::new();
        for &millis in millis {
            pace.note(Duration::from_millis(millis));
        }
        SilenceLimit::ByPace.at_pace(Some(&pace), 0)
    }

    #[test]
    fn a_limit_is_twenty_median_intervals_within_bounds() {
        for (intervals, seconds) in [
            (&[][..], 30),
            (&[100, 100, 100], 30),
            (&[1_499], 30),
            (&[2_000], 40),
            (&[2_000, 4_000], 80),
            (&[1, 4_000, 4_000, 60_000, 4_000], 80),
            (&[29_999], 600),
            (&[3_600_000, 3_600_000], 600),
            (&[u64::MAX / 1_000], 600),
        ] {
            let at_least = Duration::from_secs(seconds) - Duration::from_millis(20);
            let limit = limit_after(intervals);
            let expected = at_least..=Duration::from_secs(seconds);
            assert!(expected.contains(&limit), "{intervals:?}: {limit:?}");
        }
    }

    #[test]
    fn a_limit_doubles_with_each_word_that_it_is_only_quiet() {
        let limit = |quiet| SilenceLimit::ByPace.at_pace(None, quiet).as_secs();
        assert_eq!(
            [0, 1, 2, 4, 5, 255].map(limit),
            [30, 60, 120, 480, 600, 600]
        );
        let fixed = |quiet| SilenceLimit::Fixed(Duration::from_secs(5)).at_pace(None, quiet);
        assert_eq!([0, 1, 255].map(|q| fixed(q).as_secs()), [5, 10, 600]);
        let hour = SilenceLimit::Fixed(Duration::from_hours(1));
        assert_eq!(hour.at_pace(None, 3).as_secs(), 3_600);
    }

    #[test]
    fn old_intervals_are_forgotten() {
        let mut intervals = vec![3_000; 1_000];
        assert_eq!(limit_after(&intervals), Duration::from_secs(60));
        intervals.extend([10; Intervals::KEPT / 2]);
        assert_eq!(limit_after(&intervals), Duration::from_secs(60));
        intervals.push(10);
        assert_eq!(limit_after(&intervals), Duration::from_secs(30));
    }

    #[test]
    fn trades_have_no_limit() {
        for limit in [
            SilenceLimit::ByPace,
            SilenceLimit::Fixed(Duration::from_secs(5)),
        ] {
            assert_eq!(limit.first(ChannelKind::Trade), None);
            assert_eq!(limit.shortest(ChannelKind::Trade), None);
        }
    }
}
