//! Trades in order, and marks that tell whether an equal one is among them without reading them.
//!
//! A trade without an order among ids is compared with all kept ones, for each trade that comes. Trades are
//! long; a mark has two bytes. Equal trades have equal marks, so trades are read only if a mark is found: seldom,
//! unless the trade is there. A mark that is left of a trade that is gone does no harm.

use super::History;
use std::collections::VecDeque;
use tapecast_model::Trade;

/// Trades, oldest first.
#[derive(Debug)]
pub(super) struct KeptTrades {
    trades: VecDeque<Trade>,
    /// The marks of the newest trades at least, in a ring. Whoever changes the order of trades makes them anew.
    marks: [u16; Self::MARKS],
    /// How many marks have been written.
    marked: usize,
}

impl Default for KeptTrades {
    fn default() -> Self {
        Self {
            trades: VecDeque::new(),
            marks: [0; Self::MARKS],
            marked: 0,
        }
    }
}

// === impl KeptTrades ===

impl KeptTrades {
    /// As many as trades, or more: a number that the compiler compares at once.
    const MARKS: usize = History::TRADES_MAX.next_power_of_two();

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.trades.len()
    }

    /// Adds the newest; of a full list the oldest goes.
    pub(super) fn push_back(&mut self, trade: &Trade) {
        if self.trades.capacity() == 0 {
            self.trades.reserve_exact(History::TRADES_MAX);
        }
        if self.trades.len() == History::TRADES_MAX {
            self.trades.pop_front();
        }
        self.trades.push_back(*trade);
        self.mark(trade);
    }

    /// Adds one at this place; of a full list, which it must not be the oldest of, the oldest goes.
    pub(super) fn insert(&mut self, at: usize, trade: &Trade) {
        let at = if self.trades.len() == History::TRADES_MAX {
            self.trades.pop_front();
            at - 1
        } else {
            at
        };
        self.trades.insert(at, *trade);
        self.mark_all();
    }

    /// Removes the one at this place.
    pub(super) fn remove(&mut self, at: usize) {
        self.trades.remove(at);
        self.mark_all();
    }

    /// Whether an equal one is among them.
    pub(super) fn contains(&self, trade: &Trade) -> bool {
        let mark = mark(trade);
        // Without an early end, so that many are compared at once.
        let marked = self
            .marks
            .iter()
            .fold(false, |any, other| any | (*other == mark));
        marked && self.trades.iter().any(|other| other == trade)
    }

    /// From the oldest on.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Trade> + ExactSizeIterator {
        self.trades.iter()
    }

    /// All in one piece.
    pub(super) fn as_slice(&mut self) -> &[Trade] {
        self.trades.make_contiguous()
    }

    fn mark(&mut self, trade: &Trade) {
        self.marks[self.marked % Self::MARKS] = mark(trade);
        self.marked += 1;
    }

    fn mark_all(&mut self) {
        self.marked = 0;
        for at in 0..self.trades.len() {
            let trade = self.trades[at];
            self.mark(&trade);
        }
    }

    /// For how many there is memory.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.trades.capacity()
    }
}

/// The mark of a trade, made of what differs most among trades of one instrument.
fn mark(trade: &Trade) -> u16 {
    /// Odd, and without a pattern: from the golden ratio.
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let id = trade.id.as_bytes();
    let end = id.last_chunk().map_or(0, |end| u16::from_le_bytes(*end));
    let numbers = trade.price.mantissa().rotate_left(32) ^ trade.qty.mantissa() ^ i64::from(end);
    (numbers.cast_unsigned().wrapping_mul(MIX) >> 48) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tapecast_model::{Price, Qty, TradeId};

    fn trade(id: u64, price: i64, qty: i64) -> Trade {
        Trade {
            id: TradeId::from_number(id),
            price: Price::from_mantissa(price),
            qty: Qty::from_mantissa(qty),
            aggressor: None,
            ts_event: None,
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(u64),
        Insert(usize, u64),
        Remove(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            9 => (0..400_u64).prop_map(Step::Push),
            2 => (any::<usize>(), 0..40_u64).prop_map(|(at, id)| Step::Insert(at, id)),
            1 => any::<usize>().prop_map(Step::Remove),
        ]
    }

    proptest! {
        #[test]
        fn it_knows_what_a_list_knows(steps in proptest::collection::vec(step(), 0..300)) {
            // Trades that differ in one thing only.
            let of = |n: u64| trade(n % 100, 5 + (n / 100 % 2) as i64, 1 + (n / 200) as i64);
            let (mut kept, mut naive) = (KeptTrades::default(), Vec::new());
            for step in steps {
                match step {
                    Step::Push(id) => {
                        kept.push_back(&of(id));
                        naive.push(of(id));
                    }
                    Step::Insert(at, id) => {
                        let at = 1.max(at % (naive.len() + 1)).min(naive.len());
                        kept.insert(at, &of(id));
                        naive.insert(at, of(id));
                    }
                    Step::Remove(at) if !naive.is_empty() => {
                        let at = at % naive.len();
                        kept.remove(at);
                        naive.remove(at);
                    }
                    Step::Remove(_) => {}
                }
                naive.drain(..naive.len().saturating_sub(History::TRADES_MAX));
                prop_assert_eq!(kept.as_slice(), &naive[..]);
                for id in 0..400 {
                    prop_assert_eq!(kept.contains(&of(id)), naive.contains(&of(id)));
                }
            }
        }
    }

    #[test]
    fn marks_tell_trades_apart_that_differ_in_one_thing() {
        let mut marks: Vec<_> = (0..100).map(|n| mark(&trade(1_000 + n, 5, 1))).collect();
        marks.extend((0..100).map(|n| mark(&trade(1, 6_000_000 + n, 1))));
        marks.extend((0..100).map(|n| mark(&trade(1, 5, 100 + n))));
        marks.sort_unstable();
        marks.dedup();
        assert!(marks.len() > 290, "{} of 300", marks.len());
    }
}
