//! How a symbol trades: its tick, its spread, the size of its book and of its orders, and its daily price
//! range.
//!
//! The most active symbols have narrow spreads and deep books. Two symbols of the same rank still differ:
//! the difference comes from their names, so that a symbol is the same with every seed.

/// What makes one symbol different from another. Prices in units of their last digit, sizes too.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Character {
    /// All prices are multiples of it.
    pub(super) tick: i64,
    /// The usual distance of the best bid and the best ask, a multiple of the tick.
    pub(super) spread: i64,
    /// The distance of two levels near the best price, a multiple of the tick.
    pub(super) step: i64,
    /// Levels of each side.
    pub(super) levels: usize,
    /// The usual size of a level near the best price.
    pub(super) lot: i64,
    /// The usual size of a taker's order.
    pub(super) order: i64,
    /// The standard deviation of a day's move, in basis points of the price.
    pub(super) sway: i64,
}

/// What symbols of about the same activity have in common.
struct Tier {
    /// The tier ends before this rank.
    end: usize,
    /// Spread in thousandths of a basis point.
    spread: i64,
    /// What a level near the best price is worth, in the quote currency.
    level: i64,
    /// What a taker's order is worth, in the quote currency.
    order: i64,
    sway: i64,
}

const TIERS: [Tier; 4] = [
    Tier {
        end: 3,
        spread: 200,
        level: 25_000,
        order: 900,
        sway: 220,
    },
    Tier {
        end: 15,
        spread: 1_000,
        level: 8_000,
        order: 420,
        sway: 300,
    },
    Tier {
        end: 40,
        spread: 3_000,
        level: 2_500,
        order: 230,
        sway: 360,
    },
    Tier {
        end: usize::MAX,
        spread: 7_000,
        level: 900,
        order: 130,
        sway: 440,
    },
];

// === impl Character ===

impl Character {
    /// The character of a symbol of the given rank by activity; `digits` are those of its price and
    /// its quantities together.
    pub(super) fn new(symbol: &str, rank: usize, price: i64, digits: u32) -> Self {
        let [first, ..] = &TIERS;
        let tier = TIERS.iter().find(|tier| rank < tier.end).unwrap_or(first);
        let mut traits = Traits(crc32fast::hash(symbol.as_bytes()));
        let spread = parts(price, traits.percent(tier.spread), 10_000_000);
        let size = |worth: i64| {
            let units = 10_i128.saturating_pow(digits) * i128::from(worth);
            let size = units / i128::from(price.max(1));
            i64::try_from(size).unwrap_or(i64::MAX / SIZE_ROOM).max(10)
        };
        // A tick of five or ten units where the spread has room for it: not every venue's price moves by one.
        let tick = [1, 5, 10, 1][traits.one_of(4)];
        let tick = if spread >= 4 * tick { tick } else { 1 };
        let whole = |distance: i64| (distance / tick).max(1) * tick;
        Self {
            tick,
            spread: whole(spread),
            step: whole(spread / 3),
            levels: 55 + traits.one_of(21),
            lot: size(traits.percent(tier.level)),
            order: size(traits.percent(tier.order)),
            sway: traits.percent(tier.sway),
        }
    }
}

/// A symbol's name as a source of small differences.
struct Traits(u32);

// === impl Traits ===

impl Traits {
    fn one_of(&mut self, count: u32) -> usize {
        // The constants of Numerical Recipes' generator: enough to spread sixty names.
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        usize::try_from((self.0 >> 16) % count).unwrap_or(0)
    }

    /// 70 to 150 per cent of a figure.
    fn percent(&mut self, figure: i64) -> i64 {
        let percent = 70 + i64::try_from(self.one_of(81)).unwrap_or(0);
        figure * percent / 100
    }
}

/// A part of a whole, in units of `of`.
fn parts(whole: i64, parts: i64, of: i128) -> i64 {
    let part = i128::from(whole) * i128::from(parts) / of;
    i64::try_from(part).unwrap_or(i64::MAX)
}

/// A size has room to be multiplied so many times.
const SIZE_ROOM: i64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::super::listing;
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn symbols_have_characters_of_their_own() {
        let all: Vec<Character> = listing::listings(60).map(|l| l.character).collect();
        let different =
            |figure: fn(&Character) -> i64| all.iter().map(figure).collect::<HashSet<_>>().len();
        assert!(different(|c| c.spread) >= 10, "{}", different(|c| c.spread));
        assert!(different(|c| c.sway) >= 30, "{}", different(|c| c.sway));
        assert!(different(|c| c.lot) >= 50 && different(|c| c.order) >= 50);
        assert!(different(|c| c.tick) >= 2);
        assert!(different(|c| i64::try_from(c.levels).unwrap()) >= 10);
    }

    #[test]
    fn prices_are_on_ticks_and_books_have_room_below() {
        for listing in listing::listings(1_000) {
            let Character {
                tick,
                spread,
                step,
                levels,
                lot,
                order,
                sway,
            } = listing.character;
            assert!(
                tick >= 1 && spread % tick == 0 && step % tick == 0,
                "{listing:?}"
            );
            assert!(
                spread >= tick && step >= tick && step <= spread,
                "{listing:?}"
            );
            assert!((50..=80).contains(&levels), "{listing:?}");
            assert!(lot > order && order >= 10, "{listing:?}");
            assert!((100..=700).contains(&sway), "{listing:?}");
            // The widest book, at the lowest price: see `shape.rs`.
            assert!(400 * step < listing.price / 2, "{listing:?}");
        }
    }
}
