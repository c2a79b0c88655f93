//! The newest prints of one instrument: what a trade topic begins with.
//!
//! It holds at most [`History::PRINTS_MAX`] prints and drops the oldest. It allocates its memory with the
//! first print, and never again.

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

    /// Adds a print that is older than the newest, behind the last one that has a lower id. One that
    /// is older than all of a full history is not kept.
    pub(super) fn insert(&mut self, print: &Trade, id: u64) {
        let is_lower = |other: &Trade| other.id.number().is_some_and(|other| other < id);
        let at = self
            .prints
            .iter()
            .rposition(is_lower)
            .map_or(0, |at| at + 1);
        if self.prints.len() < Self::PRINTS_MAX {
            self.prints.insert(at, *print);
        } else if at > 0 {
            self.prints.pop_front();
            self.prints.insert(at - 1, *print);
        }
    }

    /// Whether a print is among them, by its id. A venue may use an id again, but for another print.
    pub(super) fn contains(&self, print: &Trade) -> bool {
        let Trade { id, price, qty, .. } = *print;
        let is_same = |other: &Trade| (other.id, other.price, other.qty) == (id, price, qty);
        self.prints.iter().any(is_same)
    }

    /// How many of them have an id that is above `low` and below `high`.
    pub(super) fn between(&self, low: u64, high: u64) -> u64 {
        let within = |id: u64| low < id && id < high;
        let ids = self.prints.iter().filter_map(|print| print.id.number());
        ids.filter(|id| within(*id)).count() as u64
    }

    /// Whether one of them has a lower id.
    pub(super) fn has_below(&self, id: u64) -> bool {
        let ids = self.prints.iter().filter_map(|print| print.id.number());
        ids.min().is_some_and(|lowest| lowest < id)
    }

    /// The prints in one piece, oldest first.
    pub(super) fn prints(&mut self) -> &[Trade] {
        self.prints.make_contiguous()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapecast_model::{Price, Qty, TradeId};

    fn print(id: u64) -> Trade {
        Trade {
            id: TradeId::from_number(id),
            price: Price::from_mantissa(1),
            qty: Qty::from_mantissa(1),
            aggressor: None,
            ts_event: None,
        }
    }

    fn ids(history: &mut History) -> Vec<u64> {
        let prints = history.prints().iter();
        prints.filter_map(|print| print.id.number()).collect()
    }

    #[test]
    fn the_newest_fifty_stay_however_they_come() {
        for batch in [1, 7, 50, 51, 120] {
            let mut history = History::default();
            let all: Vec<_> = (0..120).map(print).collect();
            for prints in all.chunks(batch) {
                history.extend(prints);
            }
            assert_eq!(history.prints(), &all[70..], "in batches of {batch}");
            assert!(history.prints.capacity() < 2 * History::PRINTS_MAX);
        }
    }

    #[test]
    fn an_older_print_takes_its_place() {
        let mut history = History::default();
        history.extend(&[print(10), print(14)]);
        for id in [12, 3, 11] {
            history.insert(&print(id), id);
        }
        assert_eq!(ids(&mut history), [3, 10, 11, 12, 14]);
        assert_eq!((history.between(10, 14), history.between(14, 99)), (2, 0));
        assert!(history.has_below(4) && !history.has_below(3));
    }

    #[test]
    fn a_full_history_lets_its_oldest_go_for_a_newer_one_only() {
        let mut history = History::default();
        let even: Vec<_> = (50..100).map(|id| print(2 * id)).collect();
        history.extend(&even);
        history.insert(&print(99), 99);
        assert_eq!(ids(&mut history)[..2], [100, 102]);
        history.insert(&print(103), 103);
        assert_eq!(ids(&mut history)[..3], [102, 103, 104]);
        assert_eq!(history.prints().len(), History::PRINTS_MAX);
    }
}
