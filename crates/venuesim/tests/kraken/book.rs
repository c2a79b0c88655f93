//! A book as a client keeps it: texts of numbers, cut to the depth, compared with the sum of each message.

use serde_json::Value;
use tapecast_venuesim::decimal;

/// A price and its quantity, as in messages.
type Level = (String, String);

/// Prices and quantities, best first.
pub(crate) type Best = Vec<(i64, i64)>;

/// A client's book.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    pub(crate) bids: Vec<Level>,
    pub(crate) asks: Vec<Level>,
}

/// What a message did to a book.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sum {
    Right,
    Wrong,
    Absent,
}

// === impl Book ===

impl Book {
    /// Applies a message, cuts the book, and compares the sum.
    pub(crate) fn apply(&mut self, text: &str, depth: usize) -> Sum {
        let value: Value = serde_json::from_str(text).unwrap();
        if value["type"] == "snapshot" {
            *self = Self::default();
        }
        for (key, is_bid) in [("bids", true), ("asks", false)] {
            let side = if is_bid {
                &mut self.bids
            } else {
                &mut self.asks
            };
            for (price, qty) in levels(text, key) {
                let found = side.iter().position(|level| level.0 == price);
                let gone = qty.bytes().all(|byte| b"0.".contains(&byte));
                match (found, gone) {
                    (Some(place), true) => drop(side.remove(place)),
                    (None, true) => {}
                    (Some(place), false) => side[place].1 = qty,
                    (None, false) => side.push((price, qty)),
                }
            }
            let worth = |level: &Level| decimal::parse(&level.0).unwrap();
            side.sort_by_cached_key(|level| if is_bid { -worth(level) } else { worth(level) });
            side.truncate(depth);
        }
        match value["data"][0]["checksum"].as_u64() {
            None | Some(0) => Sum::Absent,
            Some(sum) if sum == u64::from(self.sum()) => Sum::Right,
            Some(_) => Sum::Wrong,
        }
    }

    fn sum(&self) -> u32 {
        tapecast_venuesim::kraken::sum(texts(&self.asks), texts(&self.bids))
    }

    /// The best levels as numbers.
    pub(crate) fn best(&self, levels: usize) -> (Best, Best) {
        let number = |text: &str| decimal::parse(text).unwrap();
        let best = |side: &[Level]| {
            let levels = side.iter().take(levels);
            levels
                .map(|(price, qty)| (number(price), number(qty)))
                .collect()
        };
        (best(&self.bids), best(&self.asks))
    }
}

fn texts(side: &[Level]) -> Vec<(&str, &str)> {
    let levels = side.iter();
    levels
        .map(|(price, qty)| (price.as_str(), qty.as_str()))
        .collect()
}

/// Levels of a side: texts of numbers, which a JSON reader would change.
fn levels(text: &str, key: &str) -> Vec<Level> {
    let key = format!("\"{key}\":[");
    let Some(begin) = text.find(&key).map(|at| at + key.len()) else {
        return Vec::new();
    };
    let end = begin + text[begin..].find(']').unwrap();
    let number = |level: &str, key: &str| {
        let begin = level.find(key).unwrap() + key.len();
        let number = level[begin..].split([',', '}']).next().unwrap();
        number.to_owned()
    };
    text[begin..end]
        .split_inclusive('}')
        .filter(|level| level.contains('{'))
        .map(|level| (number(level, "\"price\":"), number(level, "\"qty\":")))
        .collect()
}
