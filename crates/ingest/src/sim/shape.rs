//! The shape of a simulated book: dense and large near the best price, thin and small further away, and
//! empty where the price was long ago.
//!
//! [`Draft`] is a change that is being made: every level goes to the book and to the message. After each
//! change it visits both sides once from the best price outwards: it cancels levels that are too dense or
//! too far away, fills holes, and replaces sizes that belong to another place in the book.

use super::character::Character;
use super::random::Random;
use crate::event::{BookEvent, Link};
use smallvec::SmallVec;
use tapecast_model::{Book, Level, Price, Qty, Side};

/// A change to a book in the making.
pub(super) struct Draft<'a> {
    book: &'a mut Book,
    character: &'a Character,
    event: BookEvent,
}

/// A walk along one side, from the best price outwards.
struct Walk<'a> {
    character: &'a Character,
    side: Side,
    best: i64,
    last: i64,
    kept: usize,
    changes: SmallVec<[(i64, i64); 16]>,
}

// === impl Draft ===

impl<'a> Draft<'a> {
    /// An empty change with the venue's number.
    pub(super) fn new(book: &'a mut Book, character: &'a Character, number: u64) -> Self {
        let event = BookEvent {
            link: Link::Step(number),
            makes_quote: true,
            ..BookEvent::default()
        };
        Self {
            book,
            character,
            event,
        }
    }

    /// Sets a level's size; zero takes it away.
    pub(super) fn set(&mut self, side: Side, price: i64, qty: i64) {
        let level = Level::new(Price::from_mantissa(price), Qty::from_mantissa(qty));
        self.book.apply(side, level);
        match side {
            Side::Bid => self.event.bids.push(level),
            Side::Ask => self.event.asks.push(level),
        }
    }

    /// Makes these the best prices: levels beyond them are cancelled.
    pub(super) fn quote(&mut self, bid: i64, ask: i64, random: &mut Random) {
        for (side, price) in [(Side::Bid, bid), (Side::Ask, ask)] {
            while let Some(best) = self.book.best(side).map(|level| level.price.mantissa()) {
                let beyond = match side {
                    Side::Bid => best > price,
                    Side::Ask => best < price,
                };
                if !beyond {
                    break;
                }
                self.set(side, best, 0);
            }
        }
        for (side, price) in [(Side::Bid, bid), (Side::Ask, ask)] {
            let fresh = self
                .book
                .best(side)
                .is_none_or(|level| level.price.mantissa() != price);
            if fresh {
                let qty = size(self.character.lot, random);
                self.set(side, price, qty);
            }
        }
    }

    /// Changes the size of a few levels, mostly near the best price.
    pub(super) fn stir(&mut self, side: Side, random: &mut Random) {
        for _ in 0..=random.below(2) {
            let depth = self.book.depth(side) as u64;
            let rank = random
                .below(depth)
                .min(random.below(depth))
                .min(random.below(depth));
            let rank = usize::try_from(rank).unwrap_or(0);
            let best = self.book.best(side).map(|level| level.price.mantissa());
            let level = self.book.levels(side).nth(rank);
            let Some((best, price)) = best.zip(level.map(|level| level.price.mantissa())) else {
                return;
            };
            let usual = usual_size(self.character, (price - best).abs());
            self.set(side, price, size(usual, random));
        }
    }

    /// Puts both sides in shape; the message is complete.
    pub(super) fn finish(mut self, random: &mut Random) -> BookEvent {
        for side in [Side::Bid, Side::Ask] {
            let Some(best) = self.book.best(side).map(|level| level.price.mantissa()) else {
                continue;
            };
            let mut walk = Walk {
                character: self.character,
                side,
                best,
                last: best,
                kept: 0,
                changes: SmallVec::new(),
            };
            for level in self.book.levels(side) {
                walk.meet(level.price.mantissa(), level.qty.mantissa(), random);
            }
            while walk.kept < self.character.levels {
                walk.add(random);
            }
            for (price, qty) in walk.changes {
                self.set(side, price, qty);
            }
        }
        self.event
    }
}

// === impl Walk ===

impl Walk<'_> {
    /// Keeps a level, or cancels it, and fills the missing levels before it.
    fn meet(&mut self, price: i64, qty: i64, random: &mut Random) {
        if self.kept > 0 {
            while self.gap_to(price) > 2 * self.wanted_gap() && self.kept < self.character.levels {
                self.add(random);
            }
            let crowded = self.gap_to(price) * 2 < self.wanted_gap();
            if crowded || self.kept >= self.character.levels {
                self.changes.push((price, 0));
                return;
            }
        }
        self.kept += 1;
        self.last = price;
        let usual = usual_size(self.character, (price - self.best).abs());
        if qty > usual.saturating_mul(SIZE_PARTS) || qty < usual / SIZE_PARTS {
            self.changes.push((price, size(usual, random)));
        }
    }

    /// Adds a level behind the last one.
    fn add(&mut self, random: &mut Random) {
        let ticks = self.wanted_gap() / self.character.tick;
        let gap =
            random.between((ticks * 3 / 4).max(1), (ticks * 5 / 4).max(1)) * self.character.tick;
        let price = match self.side {
            Side::Bid => self.last - gap,
            Side::Ask => self.last + gap,
        };
        let usual = usual_size(self.character, (price - self.best).abs());
        self.changes.push((price, size(usual, random)));
        self.last = price;
        self.kept += 1;
    }

    fn gap_to(&self, price: i64) -> i64 {
        (price - self.last).abs()
    }

    /// Levels are a step apart near the best price, and further apart further away.
    fn wanted_gap(&self) -> i64 {
        let Character { tick, step, .. } = *self.character;
        let far = (self.last - self.best).abs() / NEAR_STEPS;
        (far / tick * tick).max(step)
    }
}

/// A size near the usual one, now and then much larger, and often a round one.
pub(super) fn size(usual: i64, random: &mut Random) -> i64 {
    let parts = random.between(30, 100) * random.between(20, 100);
    let large = if random.one_in(16) {
        random.between(2, 4)
    } else {
        1
    };
    let drawn = i128::from(usual) * i128::from(parts * large) / SIZE_MEAN;
    let drawn = i64::try_from(drawn).unwrap_or(i64::MAX).max(1);
    if random.one_in(3) {
        rounded(drawn)
    } else {
        drawn
    }
}

/// Two significant digits, as people choose them.
fn rounded(size: i64) -> i64 {
    let unit = 10_i64.saturating_pow(size.ilog10().saturating_sub(1));
    size / unit * unit
}

/// The usual size of a level at a distance from the best price.
pub(super) fn usual_size(character: &Character, distance: i64) -> i64 {
    let half = i128::from(character.step * HALF_SIZE_STEPS);
    let usual = i128::from(character.lot) * half / (half + i128::from(distance));
    i64::try_from(usual).unwrap_or(i64::MAX).max(1)
}

/// So many steps from the best price levels stand evenly; behind, gaps grow with the distance.
const NEAR_STEPS: i64 = 32;
/// So many steps from the best price a level is half as large.
const HALF_SIZE_STEPS: i64 = 20;
/// Sizes further than this factor from the usual one of their place are replaced.
const SIZE_PARTS: i64 = 16;
/// The mean of the parts drawn in [`size`].
const SIZE_MEAN: i128 = 65 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_near_the_usual_one_and_often_round() {
        let mut random = Random::new(6);
        let sizes: Vec<i64> = (0..10_000).map(|_| size(1_000_000, &mut random)).collect();
        let mean = sizes.iter().sum::<i64>() / 10_000;
        assert!((1_000_000..1_250_000).contains(&mean), "{mean}");
        assert!(sizes.iter().all(|&s| (140_000..=11_000_000).contains(&s)));
        let round = sizes.iter().filter(|&&s| s % 10_000 == 0).count();
        assert!((3_000..4_000).contains(&round), "{round}");
        assert_eq!((rounded(7), rounded(12), rounded(98_765)), (7, 12, 98_000));
    }
}
