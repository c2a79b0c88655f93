//! The newest trades of one instrument: what a trade topic begins with.
//!
//! It holds at most [`History::TRADES_MAX`] trades and drops the oldest. It allocates its memory with the
//! first trade, and never again.

mod kept;

use kept::KeptTrades;
use tapecast_model::Trade;

/// The newest trades, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    trades: KeptTrades,
    /// So many of the last have ids of the present numbering. Ids of the others say nothing.
    numbered: usize,
}

// === impl History ===

impl History {
    /// From PROTOCOL: a trade snapshot is the newest trades, up to 50.
    pub(super) const TRADES_MAX: usize = 50;

    /// Adds trades, oldest first.
    pub(super) fn extend(&mut self, trades: &[Trade]) {
        let newest = &trades[trades.len().saturating_sub(Self::TRADES_MAX)..];
        for trade in newest {
            self.trades.push_back(trade);
        }
        self.numbered = (self.numbered + newest.len()).min(Self::TRADES_MAX);
    }

    /// The venue's numbers have started again: ids of trades so far are not compared with new ones.
    pub(super) fn restart(&mut self) {
        self.numbered = 0;
    }

    fn numbered(&self) -> impl Iterator<Item = &Trade> {
        self.trades.iter().rev().take(self.numbered)
    }

    fn ids(&self) -> impl Iterator<Item = u64> {
        self.numbered().filter_map(|trade| trade.id.number())
    }

    /// Adds a trade that is older than the newest, behind the last one that has a lower id. One that
    /// is older than all of a full history is not kept.
    pub(super) fn insert(&mut self, trade: &Trade, id: u64) {
        let is_lower = |other: &Trade| other.id.number().is_some_and(|other| other < id);
        let first = self.trades.len() - self.numbered;
        let behind = self.numbered().position(is_lower);
        let at = behind.map_or(first, |behind| self.trades.len() - behind);
        if self.trades.len() < Self::TRADES_MAX {
            self.trades.insert(at, trade);
            self.numbered += 1;
        } else if at > 0 {
            self.numbered = (self.numbered + 1).min(Self::TRADES_MAX);
            self.trades.insert(at, trade);
        }
    }

    /// Adds a trade behind another that is among them; if they are full, the oldest goes.
    pub(super) fn insert_behind(&mut self, trade: &Trade, other: &Trade) {
        let Some(at) = self.trades.iter().rposition(|kept| kept == other) else {
            return;
        };
        let behind = self.trades.len() - 1 - at;
        self.trades.insert(at + 1, trade);
        let is_numbered = behind < self.numbered;
        self.numbered = (self.numbered + usize::from(is_numbered)).min(self.trades.len());
    }

    /// Whether a trade is among them, by its id. A venue may use an id again, but for another trade.
    pub(super) fn contains(&self, trade: &Trade) -> bool {
        let Trade { id, price, qty, .. } = *trade;
        let is_same = |other: &Trade| (other.id, other.price, other.qty) == (id, price, qty);
        self.numbered().any(is_same)
    }

    /// Whether a trade is among them, with all that is said of it, by ids of any numbering.
    pub(super) fn contains_exact(&self, trade: &Trade) -> bool {
        self.trades.contains(trade)
    }

    /// Removes a trade of the present numbering.
    pub(super) fn remove(&mut self, trade: &Trade) {
        let back = self.numbered().position(|other| other == trade);
        if let Some(back) = back {
            self.trades.remove(self.trades.len() - 1 - back);
            self.numbered -= 1;
        }
    }

    /// Whether one of them has this id.
    pub(super) fn contains_id(&self, id: u64) -> bool {
        self.ids().any(|other| other == id)
    }

    /// How many ids above `low` and below `high` they have.
    pub(super) fn between(&self, low: u64, high: u64) -> u64 {
        let mut ids: Vec<_> = self.ids().filter(|id| low < *id && *id < high).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.len() as u64
    }

    /// Whether one of them has a lower id.
    pub(super) fn has_below(&self, id: u64) -> bool {
        self.ids().min().is_some_and(|lowest| lowest < id)
    }

    /// Whether one of them has a lower id, from `first` on.
    pub(super) fn has_between(&self, first: u64, id: u64) -> bool {
        self.ids().any(|other| first <= other && other < id)
    }

    /// The trades in one piece, oldest first.
    pub(super) fn trades(&mut self) -> &[Trade] {
        self.trades.as_slice()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapecast_model::{Price, Qty, TradeId};

    fn trade(id: u64) -> Trade {
        Trade {
            id: TradeId::from_number(id),
            price: Price::from_mantissa(1),
            qty: Qty::from_mantissa(1),
            aggressor: None,
            ts_event: None,
        }
    }

    fn ids(history: &mut History) -> Vec<u64> {
        let trades = history.trades().iter();
        trades.filter_map(|trade| trade.id.number()).collect()
    }

    #[test]
    fn the_newest_fifty_stay_however_they_come() {
        for batch in [1, 7, 50, 51, 120] {
            let mut history = History::default();
            let all: Vec<_> = (0..120).map(trade).collect();
            for trades in all.chunks(batch) {
                history.extend(trades);
            }
            assert_eq!(history.trades(), &all[70..], "in batches of {batch}");
            assert!(history.trades.capacity() < 2 * History::TRADES_MAX);
        }
    }

    #[test]
    fn an_older_trade_takes_its_place() {
        let mut history = History::default();
        history.extend(&[trade(10), trade(14)]);
        for id in [12, 3, 11] {
            history.insert(&trade(id), id);
        }
        assert_eq!(ids(&mut history), [3, 10, 11, 12, 14]);
        assert_eq!((history.between(10, 14), history.between(14, 99)), (2, 0));
        assert!(history.has_below(4) && !history.has_below(3));
    }

    #[test]
    fn a_full_history_lets_its_oldest_go_for_a_newer_one_only() {
        let mut history = History::default();
        let even: Vec<_> = (50..100).map(|id| trade(2 * id)).collect();
        history.extend(&even);
        history.insert(&trade(99), 99);
        assert_eq!(ids(&mut history)[..2], [100, 102]);
        history.insert(&trade(103), 103);
        assert_eq!(ids(&mut history)[..3], [102, 103, 104]);
        assert_eq!(history.trades().len(), History::TRADES_MAX);
    }
}
