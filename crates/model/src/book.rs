//! Price levels of one instrument: plain state, which does not know whether it is right.
//!
//! Both sides are sorted vectors with the best level **last**. So changes near the top, which are almost
//! all changes, move few bytes. Sizes are absolute; zero removes a level; removing an absent level is
//! normal. `ingest` checks the chain of updates before a level gets here.

use crate::price::{Price, Qty};

/// A side of the book.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// Buyers; the highest price is best.
    Bid,
    /// Sellers; the lowest price is best.
    Ask,
}

/// One price and what rests there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Level {
    /// The price.
    pub price: Price,
    /// The absolute size; zero removes the level.
    pub qty: Qty,
    /// Digits after the point of price and size as the venue spelled them: checksums over text
    /// need them.
    pub spelled: [u8; 2],
}

/// The best rank of each side that an event may have changed; `usize::MAX` if it changed none.
/// A view of the best `n` levels is untouched if both ranks are at least `n`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Touched {
    /// Rank among bids, 0 is the best.
    pub bid: usize,
    /// Rank among asks, 0 is the best.
    pub ask: usize,
}

/// Levels that change a book: set one after the other, bids first; then the book is cut.
#[derive(Clone, Copy, Debug, Default)]
pub struct BookChanges<'a> {
    /// Bids, in the order in which they are set; of one price the last counts.
    pub bids: &'a [Level],
    /// Asks, likewise.
    pub asks: &'a [Level],
    /// The venue keeps so many levels of each side, and never says which ones fall out.
    pub depth: Option<usize>,
}

/// Both sides of a book.
#[derive(Clone, Debug, Default)]
pub struct Book {
    bids: Vec<Level>,
    asks: Vec<Level>,
}

// === impl Level ===

impl Level {
    /// A level whose spelling does not matter.
    pub const fn new(price: Price, qty: Qty) -> Self {
        Self {
            price,
            qty,
            spelled: [0, 0],
        }
    }
}

// === impl Touched ===

impl Touched {
    /// Nothing changed.
    pub const NONE: Self = Self {
        bid: usize::MAX,
        ask: usize::MAX,
    };
    /// Anything may have changed.
    pub const ALL: Self = Self { bid: 0, ask: 0 };

    /// Notes a change at `rank` of `side`.
    pub fn note(&mut self, side: Side, rank: usize) {
        let best = match side {
            Side::Bid => &mut self.bid,
            Side::Ask => &mut self.ask,
        };
        *best = rank.min(*best);
    }

    /// Whether the best `levels` of either side may have changed.
    pub const fn within(self, levels: usize) -> bool {
        self.bid < levels || self.ask < levels
    }
}

// === impl Book ===

impl Book {
    /// An empty book.
    pub const fn new() -> Self {
        Self {
            bids: Vec::new(),
            asks: Vec::new(),
        }
    }

    /// Removes every level, keeping the memory.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    /// Sets the level at a price, or removes it if the size is zero. Returns the rank that changed,
    /// or none if nothing did.
    pub fn apply(&mut self, side: Side, level: Level) -> Option<usize> {
        let levels = match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        };
        // Worst first: bids rise towards the end, asks fall.
        let place = match side {
            Side::Bid => levels.binary_search_by(|l| l.price.cmp(&level.price)),
            Side::Ask => levels.binary_search_by(|l| level.price.cmp(&l.price)),
        };
        match place {
            Ok(at) if level.qty.is_zero() => {
                levels.remove(at);
                Some(levels.len() - at)
            }
            Ok(at) => {
                let same = levels[at].qty == level.qty;
                levels[at] = level;
                (!same).then(|| levels.len() - 1 - at)
            }
            Err(_) if level.qty.is_zero() => None,
            Err(at) => {
                levels.insert(at, level);
                Some(levels.len() - 1 - at)
            }
        }
    }

    /// Sets the levels of a change and cuts the book. Returns the best ranks that changed. What is cut
    /// was pushed out by a level that came in before it, so that its rank is not noted.
    pub fn change(&mut self, changes: BookChanges<'_>) -> Touched {
        let mut touched = Touched::NONE;
        for (side, levels) in [(Side::Bid, changes.bids), (Side::Ask, changes.asks)] {
            for &level in levels {
                if let Some(rank) = self.apply(side, level) {
                    touched.note(side, rank);
                }
            }
        }
        if let Some(depth) = changes.depth {
            self.truncate(depth);
        }
        touched
    }

    /// Replaces the book. Levels may come in any order; a later one of the same price wins.
    pub fn replace(
        &mut self,
        bids: impl IntoIterator<Item = Level>,
        asks: impl IntoIterator<Item = Level>,
    ) {
        self.clear();
        fill(&mut self.bids, bids, |a, b| a.cmp(&b));
        fill(&mut self.asks, asks, |a, b| b.cmp(&a));
    }

    /// Keeps only the best `depth` levels of each side; returns whether any had to go.
    pub fn truncate(&mut self, depth: usize) -> bool {
        let mut cut = false;
        for levels in [&mut self.bids, &mut self.asks] {
            if levels.len() > depth {
                levels.drain(..levels.len() - depth);
                cut = true;
            }
        }
        cut
    }

    /// Takes over the best `levels` of a book that has been touched since this one last did so. What
    /// was not touched within them is left alone; the memory is kept.
    pub fn follow(&mut self, book: &Self, touched: Touched, levels: usize) {
        for (ours, theirs, rank) in [
            (&mut self.bids, &book.bids, touched.bid),
            (&mut self.asks, &book.asks, touched.ask),
        ] {
            if rank < levels {
                ours.clear();
                ours.extend_from_slice(&theirs[theirs.len().saturating_sub(levels)..]);
            }
        }
    }

    /// The levels of a side, best first.
    pub fn levels(
        &self,
        side: Side,
    ) -> impl DoubleEndedIterator<Item = &Level> + ExactSizeIterator + Clone {
        match side {
            Side::Bid => self.bids.iter().rev(),
            Side::Ask => self.asks.iter().rev(),
        }
    }

    /// How many levels a side has.
    pub fn depth(&self, side: Side) -> usize {
        match side {
            Side::Bid => self.bids.len(),
            Side::Ask => self.asks.len(),
        }
    }

    /// The best level of a side.
    pub fn best(&self, side: Side) -> Option<&Level> {
        match side {
            Side::Bid => self.bids.last(),
            Side::Ask => self.asks.last(),
        }
    }

    /// Whether the best bid is at or above the best ask: a venue's book may be so for a moment.
    pub fn is_crossed(&self) -> bool {
        match (self.bids.last(), self.asks.last()) {
            (Some(bid), Some(ask)) => bid.price >= ask.price,
            _ => false,
        }
    }

    /// Whether neither side has a level.
    pub fn is_empty(&self) -> bool {
        self.bids.is_empty() && self.asks.is_empty()
    }
}

/// Fills an empty side, worst first in the order given by `compare`.
fn fill(
    side: &mut Vec<Level>,
    levels: impl IntoIterator<Item = Level>,
    compare: fn(Price, Price) -> std::cmp::Ordering,
) {
    side.extend(levels);
    // Stable, so that of two levels of one price the later stays behind the earlier.
    side.sort_by(|a, b| compare(a.price, b.price));
    side.dedup_by(|later, earlier| {
        let same = later.price == earlier.price;
        if same {
            *earlier = *later;
        }
        same
    });
    side.retain(|l| !l.qty.is_zero());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn level(price: i64, qty: i64) -> Level {
        Level::new(Price::from_mantissa(price), Qty::from_mantissa(qty))
    }

    fn top(book: &Book, side: Side) -> Vec<(i64, i64)> {
        book.levels(side)
            .map(|l| (l.price.mantissa(), l.qty.mantissa()))
            .collect()
    }

    #[derive(Default)]
    struct NaiveSide(BTreeMap<i64, i64>);

    impl NaiveSide {
        fn apply(&mut self, price: i64, qty: i64) {
            if qty == 0 {
                self.0.remove(&price);
            } else {
                self.0.insert(price, qty);
            }
        }
        fn best_first(&self, side: Side) -> Vec<(i64, i64)> {
            let rising = self.0.iter().map(|(p, q)| (*p, *q));
            match side {
                Side::Bid => rising.rev().collect(),
                Side::Ask => rising.collect(),
            }
        }
    }

    proptest! {
        #[test]
        fn equals_the_naive_book(ops in prop::collection::vec((any::<bool>(), 0_i64..40, 0_i64..4), 0..200)) {
            let mut book = Book::new();
            let (mut bids, mut asks) = (NaiveSide::default(), NaiveSide::default());
            for (bid, price, qty) in ops {
                let (side, naive) = if bid { (Side::Bid, &mut bids) } else { (Side::Ask, &mut asks) };
                let before = naive.best_first(side);
                naive.apply(price, qty);
                let after = naive.best_first(side);
                let first_difference = (0..before.len().max(after.len()))
                    .find(|&i| before.get(i) != after.get(i));
                prop_assert_eq!(book.apply(side, level(price, qty)), first_difference);
                prop_assert_eq!(top(&book, side), after);
            }
        }

        #[test]
        fn a_follower_has_the_best_levels(
            ops in prop::collection::vec((any::<bool>(), 0_i64..40, 0_i64..4), 0..100),
            levels in 1_usize..6,
        ) {
            let (mut book, mut follower) = (Book::new(), Book::new());
            for (bid, price, qty) in ops {
                let side = if bid { Side::Bid } else { Side::Ask };
                let mut touched = Touched::NONE;
                if let Some(rank) = book.apply(side, level(price, qty)) {
                    touched.note(side, rank);
                }
                follower.follow(&book, touched, levels);
                for side in [Side::Bid, Side::Ask] {
                    let best: Vec<_> = top(&book, side).into_iter().take(levels).collect();
                    prop_assert_eq!(top(&follower, side), best);
                }
            }
        }

        #[test]
        fn replacing_equals_applying_in_order(levels in prop::collection::vec((0_i64..20, 0_i64..3), 0..40)) {
            let (mut applied, mut replaced) = (Book::new(), Book::new());
            for &(price, qty) in &levels {
                applied.apply(Side::Ask, level(price, qty));
            }
            replaced.replace([], levels.iter().map(|&(p, q)| level(p, q)));
            prop_assert_eq!(top(&applied, Side::Ask), top(&replaced, Side::Ask));
        }
    }

    #[test]
    fn a_change_sets_its_levels_and_cuts_what_they_push_out() {
        let mut book = Book::new();
        book.replace((1..=3).map(|p| level(p, 1)), [level(6, 1)]);
        let touched = book.change(BookChanges {
            bids: &[level(4, 1), level(4, 2), level(9, 0)],
            asks: &[level(6, 1)],
            depth: Some(3),
        });
        assert_eq!((touched.bid, touched.ask), (0, usize::MAX));
        assert_eq!(top(&book, Side::Bid), [(4, 2), (3, 1), (2, 1)]);
        assert_eq!(top(&book, Side::Ask), [(6, 1)]);
    }

    #[test]
    fn truncation_drops_the_worst() {
        let mut book = Book::new();
        book.replace((1..=5).map(|p| level(p, 1)), (6..=7).map(|p| level(p, 1)));
        assert!(book.truncate(2));
        assert_eq!(top(&book, Side::Bid), [(5, 1), (4, 1)]);
        assert_eq!(top(&book, Side::Ask), [(6, 1), (7, 1)]);
        assert!(!book.truncate(2));
        assert!(!book.is_crossed());
    }
}
