//! What messages tell of a book. A message says each level that changes among the best ones of its depth; a level
//! that comes into the depth because another has gone is told with it; a level that is pushed out is not `[C]`.

use super::number::fixed;
use super::sum::{SUMMED, sum};
use crate::market::{Changed, Level};
use crate::truth::TruthBook;
use std::collections::BTreeMap;

/// The book as it was told so far.
#[derive(Debug, Default)]
pub(super) struct View {
    /// Prices with the sign changed, so that the best come first.
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
}

/// A message about a book.
#[derive(Clone, Debug, Default)]
pub(super) struct BookMessage {
    /// Whether it is the whole book.
    pub(super) snapshot: bool,
    pub(super) bids: Vec<Level>,
    pub(super) asks: Vec<Level>,
    /// The sum behind it; `None` if it is not said.
    pub(super) sum: Option<u32>,
    /// The time, in microseconds since 1970.
    pub(super) us: u64,
    /// Whether the ten best levels are others than before.
    pub(super) touches: bool,
}

// === impl View ===

impl View {
    /// The view of a book.
    pub(super) fn of(book: &TruthBook) -> Self {
        let bids = book.bids.iter().map(|(price, qty)| (-price, *qty));
        Self {
            bids: bids.collect(),
            asks: book.asks.iter().copied().collect(),
        }
    }

    /// Applies changes, and says what a message of each depth has to say.
    pub(super) fn apply(&mut self, changes: &[Changed], depths: &[usize]) -> Vec<BookMessage> {
        let mut messages = vec![BookMessage::default(); depths.len()];
        for change in changes {
            let (side, key) = if change.bid {
                (&mut self.bids, -change.price)
            } else {
                (&mut self.asks, change.price)
            };
            // Far levels are nobody's business.
            let deepest = depths.iter().copied().max().unwrap_or(0);
            let rank = side.range(..key).take(deepest).count();
            if change.qty == 0 {
                side.remove(&key);
            } else {
                side.insert(key, change.qty);
            }
            for (message, depth) in messages.iter_mut().zip(depths) {
                if rank >= *depth {
                    continue;
                }
                let told = if change.bid {
                    &mut message.bids
                } else {
                    &mut message.asks
                };
                told.push((change.price, change.qty));
                if change.qty == 0
                    && let Some((key, qty)) = side.iter().nth(depth - 1)
                {
                    told.push((key.abs(), *qty));
                }
            }
        }
        messages
    }

    /// The best levels of both sides.
    pub(super) fn best(&self, depth: usize) -> (Vec<Level>, Vec<Level>) {
        let bids = self.bids.iter().map(|(key, qty)| (-key, *qty));
        let asks = self.asks.iter().map(|(key, qty)| (*key, *qty));
        (bids.take(depth).collect(), asks.take(depth).collect())
    }

    /// The sum, with so many digits of prices and quantities.
    pub(super) fn sum(&self, (price, qty): (u8, u8)) -> u32 {
        let (bids, asks) = self.best(SUMMED);
        let write = |levels: Vec<Level>| -> Vec<(String, String)> {
            let levels = levels.into_iter();
            levels
                .map(|level| (fixed(level.0.into(), price), fixed(level.1.into(), qty)))
                .collect()
        };
        let (bids, asks) = (write(bids), write(asks));
        sum(texts(&asks), texts(&bids))
    }
}

fn texts(levels: &[(String, String)]) -> Vec<(&str, &str)> {
    let texts = levels.iter();
    texts
        .map(|(price, qty)| (price.as_str(), qty.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(bid: bool, price: i64, qty: i64) -> Changed {
        Changed {
            id: 0,
            bid,
            price,
            qty,
        }
    }

    #[test]
    fn what_is_pushed_out_is_not_told_and_what_comes_in_is() {
        let mut view = View::of(&TruthBook {
            last_update_id: 0,
            bids: vec![(90, 1), (80, 2), (70, 3)],
            asks: vec![(100, 1), (110, 2), (120, 3)],
        });
        let better = view.apply(&[change(true, 95, 9)], &[2, 3]);
        assert_eq!(better[0].bids, [(95, 9)]);
        let gone = view.apply(&[change(true, 95, 0)], &[2, 3]);
        assert_eq!(gone[0].bids, [(95, 0), (80, 2)]);
        assert_eq!(gone[1].bids, [(95, 0), (70, 3)]);
        let deep = view.apply(&[change(false, 120, 0)], &[2, 3]);
        assert!(deep[0].asks.is_empty());
        assert_eq!(deep[1].asks, [(120, 0)]);
        assert_eq!(view.best(5).0, [(90, 1), (80, 2), (70, 3)]);
    }
}
