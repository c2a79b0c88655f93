//! The newest prints of one instrument: what a trade topic begins with.
//!
//! Holds at most [`History::PRINTS_MAX`]; the oldest goes. Its memory is taken with the first print
//! and never grows again.

use std::collections::VecDeque;
use tapecast_model::Trade;

/// The newest prints, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    prints: VecDeque<Trade>,
}

// === impl History ===

impl History {
    /// From PROTOCOL: a trade snapshot is the newest prints, up to 50.
    pub(super) const PRINTS_MAX: usize = 50;

    /// Adds prints, oldest first.
    pub(super) fn extend(&mut self, prints: &[Trade]) {
        if self.prints.capacity() == 0 {
            self.prints.reserve_exact(Self::PRINTS_MAX);
        }
        let newest = &prints[prints.len().saturating_sub(Self::PRINTS_MAX)..];
        let surplus = (self.prints.len() + newest.len()).saturating_sub(Self::PRINTS_MAX);
        self.prints.drain(..surplus);
        self.prints.extend(newest);
    }

    /// The prints in one piece, oldest first.
    pub(super) fn prints(&mut self) -> &[Trade] {
        self.prints.make_contiguous()
    }

    pub(super) fn clear(&mut self) {
        self.prints.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapecast_model::{Price, Qty, TradeId};

    fn prints(ids: std::ops::Range<u64>) -> Vec<Trade> {
        let print = |id| Trade {
            id: TradeId::from_number(id),
            price: Price::from_mantissa(1),
            qty: Qty::from_mantissa(1),
            aggressor: None,
            ts_event: None,
        };
        ids.map(print).collect()
    }

    #[test]
    fn the_newest_fifty_stay_however_they_come() {
        for batch in [1, 7, 50, 51, 120] {
            let mut history = History::default();
            let all = prints(0..120);
            for prints in all.chunks(batch) {
                history.extend(prints);
            }
            assert_eq!(history.prints(), &all[70..], "in batches of {batch}");
            assert!(history.prints.capacity() < 2 * History::PRINTS_MAX);
        }
    }

    #[test]
    fn cleared_it_is_empty() {
        let mut history = History::default();
        history.extend(&prints(0..3));
        history.clear();
        assert_eq!(history.prints(), &[]);
    }
}
