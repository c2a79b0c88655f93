//! Messages of a book whose times fall: they came in the wrong order, unless that happens all the time.

use super::line::GOOD_AFTER;
use tapecast_model::Mono;

/// Times of a book that fell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Disorder {
    times: u32,
    last: Option<Mono>,
}

/// So many in a row are a habit: then it says nothing, until it has not happened for a while.
const HABIT: u32 = 5;

// === impl Disorder ===

impl Disorder {
    /// A time fell. Whether that means something.
    pub(super) fn note(&mut self, now: Mono) -> bool {
        let is_in_row = self.last.is_some_and(|last| now < last.after(GOOD_AFTER));
        self.times = if is_in_row {
            self.times.saturating_add(1)
        } else {
            1
        };
        self.last = Some(now);
        self.times <= HABIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_happens_all_the_time_says_nothing() {
        let at = |seconds| Mono::default().after(Duration::from_secs(seconds));
        let mut disorder = Disorder::default();
        let said: Vec<_> = (0..20).map(|n| disorder.note(at(n * 10))).collect();
        assert_eq!(said.iter().filter(|said| **said).count(), 5);
        assert!(!disorder.note(at(240)) && disorder.note(at(300)));
    }
}
