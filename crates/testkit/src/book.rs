//! One book as two sorted maps, and nothing clever: whole sizes replace, zero removes, the best levels
//! are looked at after every message.
//!
//! A book that is crossed, its best bid not below its best ask, is kept but not looked at: the
//! protocol holds it back. A chain that breaks stops the test: recordings have none.

use crate::decimal::fixed_value;
use crate::views::{DEPTHS, Level, Views};
use serde_json::Value;
use std::collections::BTreeMap;

/// A book and what it went through.
#[derive(Clone, Debug, Default)]
pub struct Book {
    bids: BTreeMap<i128, i128>,
    asks: BTreeMap<i128, i128>,
    started: bool,
    /// The states it went through.
    pub views: Views,
    /// Binance: the numbers of the snapshot and of each change applied since.
    pub numbers: Vec<u64>,
    /// Binance: changes that came before the snapshot.
    early: Vec<Value>,
}

impl Book {
    /// Whether a snapshot has come.
    pub fn is_started(&self) -> bool {
        self.started
    }

    /// A snapshot.
    pub(crate) fn start(&mut self, bids: &Value, asks: &Value, level: impl Fn(&Value) -> Level) {
        self.bids.clear();
        self.asks.clear();
        self.started = true;
        self.change(bids, asks, level);
    }

    /// A change; nothing before the first snapshot.
    pub(crate) fn change(&mut self, bids: &Value, asks: &Value, level: impl Fn(&Value) -> Level) {
        if !self.started {
            return;
        }
        for (is_bid, levels) in [(true, bids), (false, asks)] {
            for one in levels.as_array().into_iter().flatten() {
                self.set(is_bid, level(one));
            }
        }
    }

    /// One level.
    pub(crate) fn set(&mut self, is_bid: bool, (price, qty): Level) {
        let side = if is_bid {
            &mut self.bids
        } else {
            &mut self.asks
        };
        if qty == 0 {
            side.remove(&price);
        } else {
            side.insert(price, qty);
        }
    }

    /// Kraken: levels beyond the depth are gone.
    pub(crate) fn cut(&mut self, depth: usize) {
        while self.bids.len() > depth {
            self.bids.pop_first();
        }
        while self.asks.len() > depth {
            self.asks.pop_last();
        }
    }

    /// Binance: a snapshot from elsewhere, and what came before it.
    pub(crate) fn start_numbered(&mut self, snapshot: &Value) {
        self.start(&snapshot["bids"], &snapshot["asks"], pair);
        self.numbers = vec![snapshot["lastUpdateId"].as_u64().unwrap()];
        self.look();
        for change in std::mem::take(&mut self.early) {
            self.change_numbered(&change);
        }
    }

    /// Binance's rules for spot and futures, which differ in how a change names what it follows.
    pub(crate) fn change_numbered(&mut self, event: &Value) {
        let Some(&at) = self.numbers.last() else {
            self.early.push(event.clone());
            return;
        };
        let fresh = self.numbers.len() == 1;
        let number = |key: &str| event[key].as_u64();
        let (first, last) = (number("U").unwrap(), number("u").unwrap());
        if last <= at {
            return;
        }
        let follows = match (number("pu"), fresh) {
            (Some(previous), true) => first <= at || previous == at,
            (Some(previous), false) => previous == at,
            (None, true) => first <= at + 1,
            (None, false) => first == at + 1,
        };
        assert!(
            follows,
            "a recording without gaps has one: {first}..{last} after {at}"
        );
        self.numbers.push(last);
        self.change(&event["b"], &event["a"], pair);
        self.look();
    }

    /// Notes the best levels, unless the book is crossed.
    pub(crate) fn look(&mut self) {
        if !self.started || self.is_crossed() {
            return;
        }
        let deepest = DEPTHS[DEPTHS.len() - 1];
        let level = |(price, qty): (&i128, &i128)| (*price, *qty);
        let bids: Vec<Level> = self.bids.iter().rev().take(deepest).map(level).collect();
        let asks: Vec<Level> = self.asks.iter().take(deepest).map(level).collect();
        for index in 0..DEPTHS.len() {
            self.views.note(index, &bids, &asks);
        }
    }

    fn is_crossed(&self) -> bool {
        let best = (self.bids.last_key_value(), self.asks.first_key_value());
        matches!(best, (Some((bid, _)), Some((ask, _))) if bid >= ask)
    }
}

/// A level that is an array.
pub(crate) fn pair(level: &Value) -> Level {
    (fixed_value(&level[0]), fixed_value(&level[1]))
}

/// A level whose fields have names.
pub(crate) fn named(level: &Value, price: &str, qty: &str) -> Level {
    (fixed_value(&level[price]), fixed_value(&level[qty]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn states(book: &Book) -> [usize; 3] {
        book.views.states.each_ref().map(Vec::len)
    }

    #[test]
    fn changes_before_the_snapshot_are_applied_behind_it() {
        let mut book = Book::default();
        let change = |first: u64, last: u64, price: &str| json!({"U": first, "u": last, "b": [[price, "1"]], "a": []});
        book.change_numbered(&change(5, 8, "10"));
        book.change_numbered(&change(9, 12, "11"));
        book.change_numbered(&change(13, 13, "12"));
        assert_eq!(states(&book), [0, 0, 0]);
        let snapshot = json!({"lastUpdateId": 10, "bids": [["9", "1"]], "asks": [["20", "1"]]});
        book.start_numbered(&snapshot);
        assert_eq!(book.numbers, [10, 12, 13]);
        assert_eq!(states(&book), [3, 3, 3]);
    }

    #[test]
    #[should_panic(expected = "a recording without gaps has one")]
    fn a_broken_chain_stops_the_test() {
        let mut book = Book::default();
        book.start_numbered(&json!({"lastUpdateId": 10, "bids": [], "asks": []}));
        book.change_numbered(&json!({"U": 12, "u": 13, "b": [], "a": []}));
    }

    #[test]
    fn a_crossed_book_is_not_looked_at() {
        let mut book = Book::default();
        book.start(&json!([["9", "1"]]), &json!([["10", "1"]]), pair);
        book.look();
        book.set(true, (crate::decimal::fixed("10"), 1));
        book.look();
        assert_eq!(states(&book), [1, 1, 1]);
        book.set(false, (crate::decimal::fixed("10"), 0));
        book.look();
        assert_eq!(states(&book), [2, 2, 2]);
    }

    #[test]
    fn a_book_of_limited_depth_forgets_what_falls_out() {
        let mut book = Book::default();
        book.start(
            &json!([["1", "1"], ["3", "1"], ["2", "1"]]),
            &json!([["5", "1"], ["4", "1"], ["6", "1"]]),
            pair,
        );
        book.cut(2);
        let scale = crate::decimal::fixed("1");
        assert_eq!(
            book.bids.keys().copied().collect::<Vec<_>>(),
            [2, 3].map(|p| p * scale)
        );
        assert_eq!(
            book.asks.keys().copied().collect::<Vec<_>>(),
            [4, 5].map(|p| p * scale)
        );
    }
}
