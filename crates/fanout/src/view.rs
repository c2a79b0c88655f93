//! The best `n` levels of a book as a topic's subscribers know them, and the changes since then.
//!
//! Every subscriber of a topic has the same view, so the difference is made once for all of them. Levels
//! that leave the depth are removed explicitly; a client never removes levels itself.

use tapecast_model::book::{Side, Touched};
use tapecast_model::{Book, Price, Qty};
use tapecast_wire::json::PriceLevel;

/// The last published view of a book topic, best levels first.
#[derive(Clone, Debug, Default)]
pub struct BookView {
    bids: Vec<PriceLevel>,
    asks: Vec<PriceLevel>,
}

/// What changed between two views, best levels first; a size of zero removes.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Changed bids.
    pub bids: Vec<PriceLevel>,
    /// Changed asks.
    pub asks: Vec<PriceLevel>,
    /// The best rank that changed; `usize::MAX` if none.
    pub best_rank: usize,
}

impl BookView {
    /// Bids, falling.
    pub fn bids(&self) -> &[PriceLevel] {
        &self.bids
    }

    /// Asks, rising.
    pub fn asks(&self) -> &[PriceLevel] {
        &self.asks
    }

    /// Replaces the view by the best `levels` of a book.
    pub fn replace(&mut self, book: &Book, levels: usize) {
        for (view, side) in [(&mut self.bids, Side::Bid), (&mut self.asks, Side::Ask)] {
            view.clear();
            view.extend(book.levels(side).take(levels).map(|l| (l.price, l.qty)));
        }
    }

    /// Takes over the best `levels` of a book that differs from this view at the ranks in `touched`
    /// and below, and writes the difference to `changes`. Returns whether there is any.
    pub fn refresh(
        &mut self,
        book: &Book,
        touched: Touched,
        levels: usize,
        changes: &mut Changes,
    ) -> bool {
        changes.best_rank = usize::MAX;
        changes.bids.clear();
        changes.asks.clear();
        let bid = |a: Price, b: Price| a > b;
        let ask = |a: Price, b: Price| a < b;
        let best = refresh_side(
            &mut self.bids,
            book,
            Side::Bid,
            touched.bid,
            levels,
            bid,
            &mut changes.bids,
        )
        .min(refresh_side(
            &mut self.asks,
            book,
            Side::Ask,
            touched.ask,
            levels,
            ask,
            &mut changes.asks,
        ));
        changes.best_rank = best;
        best != usize::MAX
    }
}

/// Merges one side of the view with the book's, from rank `from` on; returns the best rank that
/// changed.
#[expect(
    clippy::too_many_arguments,
    reason = "a hot loop as a free function of plain arguments"
)]
fn refresh_side(
    view: &mut Vec<PriceLevel>,
    book: &Book,
    side: Side,
    from: usize,
    levels: usize,
    better: impl Fn(Price, Price) -> bool,
    changes: &mut Vec<PriceLevel>,
) -> usize {
    if from >= levels {
        return usize::MAX;
    }
    let mut best = usize::MAX;
    let mut old = view
        .get(from..)
        .unwrap_or_default()
        .iter()
        .copied()
        .peekable();
    let now = book
        .levels(side)
        .take(levels)
        .skip(from)
        .map(|l| (l.price, l.qty));
    for (rank, (price, qty)) in now.clone().enumerate() {
        while let Some((gone, _)) = old.next_if(|(p, _)| better(*p, price)) {
            changes.push((gone, Qty::ZERO));
            best = best.min(from + rank);
        }
        match old.next_if(|(p, _)| *p == price) {
            Some((_, before)) if before == qty => {}
            _ => {
                changes.push((price, qty));
                best = best.min(from + rank);
            }
        }
    }
    let shown = now.len();
    for (gone, _) in old {
        changes.push((gone, Qty::ZERO));
        best = best.min(from + shown);
    }
    if best != usize::MAX {
        view.truncate(best);
        view.extend(
            book.levels(side)
                .take(levels)
                .skip(best)
                .map(|l| (l.price, l.qty)),
        );
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tapecast_model::Level;

    /// A client that does nothing but what frames say.
    fn apply(levels: &mut Vec<PriceLevel>, changes: &[PriceLevel], bids: bool) {
        for &(price, qty) in changes {
            levels.retain(|(p, _)| *p != price);
            if !qty.is_zero() {
                levels.push((price, qty));
            }
        }
        levels.sort_by_key(|(p, _)| if bids { -p.mantissa() } else { p.mantissa() });
    }

    proptest! {
        #[test]
        fn a_client_that_applies_changes_has_the_top_of_the_book(
            levels in 1_usize..6,
            ops in prop::collection::vec((any::<bool>(), 0_i64..12, 0_i64..3), 0..80),
        ) {
            let (mut book, mut view, mut changes) = (Book::new(), BookView::default(), Changes::default());
            let (mut bids, mut asks) = (Vec::new(), Vec::new());
            for (is_bid, price, qty) in ops {
                let side = if is_bid { Side::Bid } else { Side::Ask };
                let level = Level::new(Price::from_mantissa(price), Qty::from_mantissa(qty));
                let mut touched = Touched::NONE;
                if let Some(rank) = book.apply(side, level) {
                    touched.note(side, rank);
                }
                let changed = view.refresh(&book, touched, levels, &mut changes);
                prop_assert_eq!(changed, !changes.bids.is_empty() || !changes.asks.is_empty());
                apply(&mut bids, &changes.bids, true);
                apply(&mut asks, &changes.asks, false);
                let mut fresh = BookView::default();
                fresh.replace(&book, levels);
                prop_assert_eq!(view.bids(), fresh.bids());
                prop_assert_eq!(view.asks(), fresh.asks());
                prop_assert_eq!(&bids[..], fresh.bids());
                prop_assert_eq!(&asks[..], fresh.asks());
            }
        }
    }
}
