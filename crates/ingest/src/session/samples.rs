//! Some of the messages that could not be read, for people who look why: the first few per reason and hour.

use crate::venue::Reject;
use std::time::Duration;
use tapecast_model::{Mono, UnixNanos};

/// A message that could not be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sample {
    /// Why, as in `tapecast_feed_rejected_total`.
    pub reason: &'static str,
    /// When it came.
    pub at: UnixNanos,
    /// Its beginning, at most 240 characters.
    pub text: String,
}

/// The samples of the hour.
#[derive(Debug)]
pub(super) struct Samples {
    since: Mono,
    kept: Vec<Sample>,
}

/// Samples of one reason in one hour.
const PER_REASON: usize = 5;
/// After so long, new ones take the place of the old ones.
const SPAN: Duration = Duration::from_secs(3_600);
/// Characters of a message that are kept.
const TEXT_MAX: usize = 240;

// === impl Samples ===

impl Samples {
    pub(super) const fn new(now: Mono) -> Self {
        Self {
            since: now,
            kept: Vec::new(),
        }
    }

    /// A message could not be read.
    pub(super) fn note(&mut self, reject: Reject, raw: &[u8], (now, at): (Mono, UnixNanos)) {
        if now >= self.since.after(SPAN) {
            self.since = now;
            self.kept.clear();
        }
        let reason = reject.label();
        let same = self.kept.iter().filter(|sample| sample.reason == reason);
        if same.count() >= PER_REASON {
            return;
        }
        // A character has at most four bytes.
        let begin = &raw[..raw.len().min(4 * TEXT_MAX)];
        let text = String::from_utf8_lossy(begin)
            .chars()
            .take(TEXT_MAX)
            .collect();
        self.kept.push(Sample { reason, at, text });
    }

    /// The samples of the last hour in which something could not be read.
    pub(super) fn kept(&self) -> &[Sample] {
        &self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_per_reason_are_kept_and_an_hour_later_others() {
        let at = |seconds: u64| {
            let now = Mono::default().after(Duration::from_secs(seconds));
            (now, UnixNanos::new(seconds))
        };
        let mut samples = Samples::new(at(0).0);
        for second in 1..=9 {
            samples.note(Reject::Scale, b"{\"p\":\"1.234\"}", at(second));
        }
        let long = "\u{e9}".repeat(1_000);
        samples.note(Reject::Oversized, long.as_bytes(), at(10));
        let times: Vec<_> = samples
            .kept()
            .iter()
            .map(|sample| sample.at.get())
            .collect();
        assert_eq!(times, [1, 2, 3, 4, 5, 10]);
        assert_eq!(samples.kept()[5].text, "\u{e9}".repeat(TEXT_MAX));
        assert_eq!(samples.kept()[0].reason, Reject::Scale.label());
        samples.note(Reject::Scale, b"\xff", at(3_600));
        assert_eq!(samples.kept().len(), 1);
        assert_eq!(samples.kept()[0].text, "\u{fffd}");
    }
}
