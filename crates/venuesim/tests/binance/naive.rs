//! A book by the venue's own recipe, as two maps.

use serde_json::Value;
use std::collections::BTreeMap;
use tapecast_venuesim::{TruthBook, decimal};

/// A book by the documented recipe.
#[derive(Default)]
pub(crate) struct NaiveBook {
    pub(crate) last: u64,
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
}

impl NaiveBook {
    pub(crate) fn new(answer: &Value) -> Self {
        let mut book = Self {
            last: answer["lastUpdateId"].as_u64().unwrap(),
            ..Self::default()
        };
        Self::set(&mut book.bids, &answer["bids"]);
        Self::set(&mut book.asks, &answer["asks"]);
        book
    }

    /// Whether the message continues the book; older ones are ignored.
    pub(crate) fn apply(&mut self, message: &Value) -> bool {
        let (first, last) = (
            message["U"].as_u64().unwrap(),
            message["u"].as_u64().unwrap(),
        );
        if last <= self.last {
            return true;
        }
        if first > self.last + 1 {
            return false;
        }
        Self::set(&mut self.bids, &message["b"]);
        Self::set(&mut self.asks, &message["a"]);
        self.last = last;
        true
    }

    /// Whether all levels are plain decimals.
    pub(crate) fn is_readable(message: &Value) -> bool {
        let plain = |number: &Value| {
            number
                .as_str()
                .is_some_and(|text| decimal::parse(text).is_some())
        };
        let levels = |side: &str| message[side].as_array().into_iter().flatten();
        let mut all = levels("a").chain(levels("b"));
        all.all(|level| plain(&level[0]) && plain(&level[1]))
    }

    fn set(side: &mut BTreeMap<i64, i64>, levels: &Value) {
        for level in levels.as_array().unwrap() {
            let number = |index: usize| decimal::parse(level[index].as_str().unwrap()).unwrap();
            match number(1) {
                0 => side.remove(&number(0)),
                qty => side.insert(number(0), qty),
            };
        }
    }

    pub(crate) fn top(&self, levels: usize) -> TruthBook {
        let copy = |(price, qty): (&i64, &i64)| (*price, *qty);
        TruthBook {
            last_update_id: self.last,
            bids: self.bids.iter().rev().take(levels).map(copy).collect(),
            asks: self.asks.iter().take(levels).map(copy).collect(),
        }
    }
}
