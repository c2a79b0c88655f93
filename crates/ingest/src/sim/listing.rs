//! The instruments of the simulated venue: names, price levels and scales that look real, and a
//! [character](super::character) for each symbol.

use super::character::Character;
use tapecast_model::{InstrumentKind, QtyUnit, Scale, Terms};

/// One instrument of the simulated venue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Listing {
    /// Its name, base and quote joined by a hyphen.
    pub(super) symbol: String,
    /// Where its price begins and returns to, at `price_scale`.
    pub(super) price: i64,
    pub(super) price_scale: Scale,
    pub(super) qty_scale: Scale,
    /// How it trades.
    pub(super) character: Character,
}

// === impl Listing ===

impl Listing {
    /// What the simulated venue says of it.
    pub(super) fn terms(&self) -> Terms {
        let lot = Some(Terms::step_of(self.qty_scale));
        Terms {
            kind: Some(InstrumentKind::Spot),
            qty_unit: Some(QtyUnit::Base),
            tick: Some(Terms::step_of(self.price_scale)),
            lot,
            min_qty: lot,
            ..Terms::UNKNOWN
        }
    }
}

/// The first `count` listings, most active first. Beyond the table its bases trade against other
/// currencies, and then under numbered names.
pub(super) fn listings(count: usize) -> impl Iterator<Item = Listing> {
    (0..count).map(|index| {
        let (round, (base, price, price_digits, qty_digits)) =
            (index / BASES.len(), BASES[index % BASES.len()]);
        let symbol = match QUOTES.get(round) {
            Some(quote) => format!("{base}-{quote}"),
            None => format!("{base}{round}-USD"),
        };
        // Other currencies, other prices: a little lower with every round.
        let price = price - price / 20 * i64::try_from(round % 8).unwrap_or(0);
        let digits = u32::from(price_digits) + u32::from(qty_digits);
        Listing {
            character: Character::new(&symbol, index, price, digits),
            symbol,
            price,
            price_scale: Scale::saturating(price_digits),
            qty_scale: Scale::saturating(qty_digits),
        }
    })
}

/// How many names there are before numbers are needed to tell them apart.
const QUOTES: [&str; 5] = ["USD", "EUR", "GBP", "USDT", "USDC"];

/// Base, price in units of its last digit, digits of price and quantity. The order of magnitude is
/// that of summer 2026; only plausibility matters.
const BASES: [(&str, i64, u8, u8); 60] = [
    ("BTC", 6_312_450, 2, 8),
    ("ETH", 191_941, 2, 8),
    ("SOL", 8_416, 2, 6),
    ("XRP", 11_213, 4, 4),
    ("DOGE", 82_140, 6, 2),
    ("BNB", 61_870, 2, 5),
    ("ADA", 25_310, 5, 4),
    ("LINK", 91_420, 4, 4),
    ("AVAX", 98_310, 4, 4),
    ("LTC", 5_284, 2, 6),
    ("BCH", 44_107, 2, 6),
    ("DOT", 14_230, 4, 5),
    ("TRX", 32_415, 5, 2),
    ("SHIB", 61_234, 10, 0),
    ("PEPE", 38_112, 10, 0),
    ("SUI", 10_432, 4, 4),
    ("NEAR", 13_871, 4, 4),
    ("APT", 12_044, 4, 4),
    ("UNI", 36_512, 4, 4),
    ("ATOM", 19_713, 4, 4),
    ("ETC", 92_310, 4, 4),
    ("XLM", 17_842, 5, 3),
    ("FIL", 11_204, 4, 4),
    ("HBAR", 93_441, 6, 2),
    ("ICP", 27_316, 4, 4),
    ("ARB", 12_873, 5, 3),
    ("OP", 14_662, 5, 3),
    ("AAVE", 10_944, 2, 5),
    ("MKR", 142_312, 2, 6),
    ("INJ", 35_240, 4, 4),
    ("TIA", 43_311, 5, 4),
    ("SEI", 65_312, 6, 2),
    ("RENDER", 15_113, 4, 4),
    ("GRT", 31_245, 6, 2),
    ("ALGO", 91_233, 6, 2),
    ("VET", 78_124, 7, 1),
    ("SAND", 81_934, 6, 2),
    ("MANA", 95_513, 6, 2),
    ("AXS", 11_834, 4, 4),
    ("FTM", 52_147, 5, 3),
    ("EGLD", 56_120, 4, 4),
    ("XTZ", 42_511, 5, 3),
    ("EOS", 31_742, 5, 3),
    ("THETA", 28_433, 5, 3),
    ("FLOW", 14_320, 5, 3),
    ("KAVA", 17_315, 5, 3),
    ("CRV", 29_744, 5, 3),
    ("SNX", 33_910, 5, 3),
    ("COMP", 23_416, 3, 5),
    ("LDO", 41_722, 5, 3),
    ("DYDX", 18_330, 5, 3),
    ("ENS", 68_412, 4, 4),
    ("IMX", 22_715, 5, 3),
    ("STX", 31_290, 5, 3),
    ("BONK", 71_333, 10, 0),
    ("WIF", 24_417, 5, 3),
    ("JUP", 19_344, 5, 3),
    ("PYTH", 57_920, 6, 2),
    ("FET", 21_530, 5, 3),
    ("ZEC", 41_233, 2, 6),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_all_different_and_valid() {
        let all: Vec<_> = listings(1_000).collect();
        let names: HashSet<_> = all.iter().map(|listing| &listing.symbol).collect();
        assert_eq!(names.len(), 1_000);
        for listing in &all {
            assert!(
                tapecast_model::Symbol::new(&listing.symbol).is_ok(),
                "{listing:?}"
            );
        }
        assert_eq!(all[0].symbol, "BTC-USD");
        assert_eq!(all[60].symbol, "BTC-EUR");
        assert_eq!(all[300].symbol, "BTC5-USD");
    }

    #[test]
    fn prices_have_room_for_a_book_below_them() {
        for listing in listings(1_000) {
            assert!(listing.price >= 3_000, "{listing:?}");
        }
    }
}
