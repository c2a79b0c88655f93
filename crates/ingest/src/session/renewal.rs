//! The healing of a book whose snapshot comes in its stream: the stream ends and begins anew, and its snapshot
//! replaces the book.
//!
//! Of each book one renewal runs at a time, whatever else asks for one. It has a deadline: if no snapshot comes, it
//! is tried again, after pauses that grow until a book has been good for a while.
//!
//! A silent book is renewed too: if the new snapshot is the book that we have, it was only quiet.

use super::line::GOOD_AFTER;
use super::subscribe::ANEW_AFTER;
use std::time::Duration;
use tapecast_model::Mono;

/// A snapshot must come so long after its stream was asked for.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(10);
/// Pauses double so often.
const DOUBLINGS: u32 = 4;

/// How far the renewal of a book is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Renewal {
    /// Then the stream is asked for anew, unless a snapshot comes before.
    due: Option<Mono>,
    /// It has been asked for.
    runs: bool,
    /// It was silent: perhaps it is only quiet.
    probes: bool,
    /// Renewals in a row.
    times: u32,
    /// Since when there is a snapshot.
    good: Option<Mono>,
    /// When one would have been due if that snapshot had not come: it may be wrong like those before.
    spared: Option<Mono>,
}

// === impl Renewal ===

impl Renewal {
    /// The stream is asked for: its snapshot is waited for.
    pub(super) fn expect(&mut self, now: Mono) {
        let times = self.times_at(now);
        let due = Some(now.after(SNAPSHOT_WITHIN));
        *self = Self {
            due,
            runs: true,
            times,
            ..Self::default()
        };
    }

    /// Another snapshot is needed.
    pub(super) fn want(&mut self, now: Mono) {
        self.times = self.times_at(now);
        self.good = None;
        match self.due {
            // It was only asked about; now it is needed.
            Some(_) => self.probes &= self.runs,
            None => {
                let pause = match self.times {
                    0 => Duration::ZERO,
                    times => ANEW_AFTER * (1 << (times - 1).min(DOUBLINGS)),
                };
                let due = now.after(pause);
                let due = self
                    .spared
                    .take()
                    .map_or(due, |spared| spared.clamp(now, due));
                (self.due, self.probes) = (Some(due), false);
            }
        }
    }

    /// Another snapshot is needed now: the earlier ones were of another instrument, so to speak.
    pub(super) fn want_now(&mut self, now: Mono) {
        (self.times, self.probes, self.good) = (0, false, None);
        self.spared = None;
        if !self.runs {
            self.due = Some(now);
        }
    }

    /// The book is silent.
    pub(super) fn probe(&mut self, now: Mono) {
        if self.due.is_none() {
            (self.due, self.probes) = (Some(now), true);
        }
    }

    /// A snapshot came. Whether it answers a probe.
    pub(super) fn settle(&mut self, now: Mono) -> bool {
        let probes = self.probes && self.runs;
        self.spared = self.due.filter(|_| !self.runs && !self.probes);
        (self.due, self.runs, self.probes) = (None, false, false);
        self.good.get_or_insert(now);
        probes
    }

    /// The stream has ended.
    pub(super) fn end(&mut self) {
        (self.due, self.runs, self.probes, self.good) = (None, false, false, None);
        self.spared = None;
    }

    /// When something is due.
    pub(super) const fn due(&self) -> Option<Mono> {
        self.due
    }

    /// Whether it only asks about a silent book.
    pub(super) const fn is_probe(&self) -> bool {
        self.probes
    }

    /// How many there were in a row.
    pub(super) const fn times(&self) -> u32 {
        self.times
    }

    /// The stream cannot be asked for now, because that is being done already.
    pub(super) fn postpone(&mut self, now: Mono) {
        self.due = Some(now.after(SNAPSHOT_WITHIN));
    }

    /// The stream is asked for anew. Returns whether a probe before has had no answer.
    pub(super) fn begin(&mut self, now: Mono) -> bool {
        let failed = self.probes && self.runs;
        self.probes &= !failed;
        if !self.probes {
            self.times += 1;
        }
        self.runs = true;
        self.due = Some(now.after(SNAPSHOT_WITHIN));
        failed
    }

    fn times_at(&self, now: Mono) -> u32 {
        match self.good {
            Some(since) if since.after(GOOD_AFTER) <= now => 0,
            _ => self.times,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::default().after(Duration::from_secs(seconds))
    }

    #[test]
    fn one_runs_at_a_time_and_is_tried_again_without_a_snapshot() {
        let mut renewal = Renewal::default();
        renewal.want(at(0));
        assert_eq!(renewal.due(), Some(at(0)));
        assert!(!renewal.begin(at(0)));
        for second in 1..10 {
            renewal.want(at(second));
            renewal.probe(at(second));
            assert_eq!(renewal.due(), Some(at(10)), "it runs");
        }
        assert!(!renewal.begin(at(10)));
        assert!(!renewal.settle(at(11)));
        assert_eq!(renewal.due(), None);
    }

    #[test]
    fn pauses_grow_until_the_book_has_been_good_for_a_while() {
        let (mut renewal, mut now) = (Renewal::default(), 0);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            renewal.want(at(now));
            let due = renewal.due().unwrap();
            pauses.push((due - at(now)).as_secs());
            renewal.begin(due);
            renewal.settle(due);
            now = (due - Mono::default()).as_secs() + 1;
        }
        assert_eq!(pauses, [0, 2, 4, 8, 16, 32, 32, 32]);
        renewal.want(at(now + 60));
        assert_eq!(renewal.due(), Some(at(now + 60)));
    }

    #[test]
    fn a_probe_is_answered_by_a_snapshot_or_fails() {
        let mut renewal = Renewal::default();
        renewal.probe(at(0));
        assert!(!renewal.begin(at(0)) && renewal.is_probe());
        assert!(renewal.settle(at(1)));
        renewal.probe(at(40));
        assert!(!renewal.begin(at(40)));
        assert!(renewal.begin(at(50)) && !renewal.is_probe());
        assert!(!renewal.settle(at(51)));
    }
}
