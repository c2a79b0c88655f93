//! The healing of a book whose snapshot comes in its stream: the stream ends and begins anew, and its snapshot
//! replaces the book.
//!
//! Of each book one renewal runs at a time, whatever else asks for one. It has a deadline: if no snapshot comes, it
//! is tried again, after pauses that grow until a book has been good for a while.
//!
//! A silent book is renewed too: if the new snapshot is the book that we have, it was only quiet. And so is each book
//! now and then, because checksums do not cover all of its levels. In both cases the book stands meanwhile.

use super::line::GOOD_AFTER;
use super::subscribe::ANEW_AFTER;
use std::time::Duration;
use tapecast_model::Mono;

/// A snapshot must come so long after its stream was asked for.
pub(super) const SNAPSHOT_WITHIN: Duration = Duration::from_secs(10);
/// Pauses double so often.
const DOUBLINGS: u32 = 4;

/// How far the renewal of a book is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Renewal {
    /// Then the stream is asked for anew, unless a snapshot comes before.
    due: Option<Mono>,
    /// It has been asked for.
    runs: bool,
    why: Why,
    /// Renewals in a row.
    times: u32,
    /// Since when there is a snapshot.
    good: Option<Mono>,
    /// When one would have been due if that snapshot had not come: it may be wrong like those before.
    spared: Option<Mono>,
}

/// Why a book is renewed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Why {
    /// There is none, or it is wrong.
    #[default]
    Needed,
    /// It is silent: perhaps it is only quiet.
    Silent,
    /// It seems right: its deeper levels may not be.
    Checked,
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
            Some(_) if !self.runs => self.why = Why::Needed,
            Some(_) => {}
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
                (self.due, self.why) = (Some(due), Why::Needed);
            }
        }
    }

    /// Another snapshot is needed now: the earlier ones were of another instrument, so to speak.
    pub(super) fn want_now(&mut self, now: Mono) {
        (self.times, self.why, self.good) = (0, Why::Needed, None);
        self.spared = None;
        if !self.runs {
            self.due = Some(now);
        }
    }

    /// The book stands, and is asked about.
    pub(super) fn ask(&mut self, why: Why, now: Mono) {
        if self.due.is_none() {
            (self.due, self.why) = (Some(now), why);
        }
    }

    /// A snapshot came. Whether it answers the question whether a silent book is only quiet.
    pub(super) fn settle(&mut self, now: Mono) -> bool {
        let probes = self.why == Why::Silent && self.runs;
        self.spared = self.due.filter(|_| !self.runs && self.why == Why::Needed);
        (self.due, self.runs, self.why) = (None, false, Why::Needed);
        self.good.get_or_insert(now);
        probes
    }

    /// The stream has ended.
    pub(super) fn end(&mut self) {
        (self.due, self.runs, self.good) = (None, false, None);
        (self.why, self.spared) = (Why::Needed, None);
    }

    /// When something is due.
    pub(super) const fn due(&self) -> Option<Mono> {
        self.due
    }

    /// Why it is there.
    pub(super) const fn why(&self) -> Why {
        self.why
    }

    /// Whether a stream that was asked for has brought no snapshot in time.
    pub(super) fn has_failed(&self, now: Mono) -> bool {
        self.runs && self.due.is_some_and(|due| due <= now)
    }

    /// How many there were in a row.
    pub(super) const fn times(&self) -> u32 {
        self.times
    }

    /// The stream cannot be asked for now, because that is being done already.
    pub(super) fn postpone(&mut self, now: Mono) {
        self.due = Some(now.after(SNAPSHOT_WITHIN));
    }

    /// The stream is asked for anew. Returns whether a question about a book that stands has had no answer.
    pub(super) fn begin(&mut self, now: Mono) -> bool {
        let failed = self.why != Why::Needed && self.runs;
        if failed {
            self.why = Why::Needed;
        }
        if self.why == Why::Needed {
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
            renewal.ask(Why::Silent, at(second));
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
        renewal.ask(Why::Silent, at(0));
        assert!(!renewal.begin(at(0)) && renewal.why() == Why::Silent);
        assert!(renewal.settle(at(1)));
        renewal.ask(Why::Silent, at(40));
        assert!(!renewal.begin(at(40)));
        assert!(renewal.begin(at(50)) && renewal.why() != Why::Silent);
        assert!(!renewal.settle(at(51)));
    }
}
