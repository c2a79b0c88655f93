//! The checksum of a book, by the rule of its venue.
//!
//! Both venues' rules are CRC-32 (IEEE) over text. The text is made from the scaled integers and the
//! number of digits with which each level was written, into one buffer that is used again. Only the
//! levels that the rule names are read.

use crate::event::Checksum;
use tapecast_model::decimal;
use tapecast_model::{Book, Level, Scale, Side};

/// Makes the text of an instrument's book and hashes it.
#[derive(Clone, Debug)]
pub(super) struct Hasher {
    price_scale: Scale,
    qty_scale: Scale,
    text: Vec<u8>,
    /// The most digits after the point that prices and sizes were spelled with.
    precision: [u8; 2],
}

// === impl Hasher ===

impl Hasher {
    pub(super) const fn new(price_scale: Scale, qty_scale: Scale) -> Self {
        Self {
            price_scale,
            qty_scale,
            text: Vec::new(),
            precision: [0; 2],
        }
    }

    /// What `book` hashes to by the rule of `theirs`, and what it should.
    pub(super) fn compare(&mut self, book: &Book, theirs: Checksum) -> (u32, u32) {
        let (write, theirs): (fn(&mut Self, &Book, _), _) = match theirs {
            Checksum::Kraken(theirs) => (Self::write_kraken, theirs),
            Checksum::Okx(theirs) => (Self::write_okx, theirs),
        };
        self.text.clear();
        write(self, book, None);
        let ours = crc32fast::hash(&self.text);
        if ours == theirs {
            return (ours, theirs);
        }
        // The venue hashes its own digits, which are the instrument's precision however a number was
        // written.
        self.text.clear();
        write(self, book, Some(self.precision));
        let padded = crc32fast::hash(&self.text);
        (if padded == theirs { padded } else { ours }, theirs)
    }

    /// So many digits of price and size, and notes how many there were.
    fn digits(&mut self, level: &Level, precision: Option<[u8; 2]>) -> [u8; 2] {
        for (most, spelled) in self.precision.iter_mut().zip(level.spelled) {
            *most = spelled.max(*most);
        }
        precision.unwrap_or(level.spelled)
    }

    /// Ten asks rising, ten bids falling: digits of price and size, without point, leading zeros or
    /// separators.
    fn write_kraken(&mut self, book: &Book, precision: Option<[u8; 2]>) {
        for side in [Side::Ask, Side::Bid] {
            for level in book.levels(side).take(KRAKEN_LEVELS) {
                let [price_digits, qty_digits] = self.digits(level, precision);
                let price = level.price.mantissa();
                write_digits(&mut self.text, price, self.price_scale, price_digits);
                write_digits(
                    &mut self.text,
                    level.qty.mantissa(),
                    self.qty_scale,
                    qty_digits,
                );
            }
        }
    }

    /// The best 25 levels, bid and ask in turn, joined by colons; where one side is shorter only the
    /// other goes on.
    fn write_okx(&mut self, book: &Book, precision: Option<[u8; 2]>) {
        let mut bids = book.levels(Side::Bid).take(OKX_LEVELS);
        let mut asks = book.levels(Side::Ask).take(OKX_LEVELS);
        loop {
            let (bid, ask) = (bids.next(), asks.next());
            if bid.is_none() && ask.is_none() {
                break;
            }
            for level in [bid, ask].into_iter().flatten() {
                self.write_spelled(level, precision);
            }
        }
        self.text.pop();
    }

    fn write_spelled(&mut self, level: &Level, precision: Option<[u8; 2]>) {
        let [price_digits, qty_digits] = self.digits(level, precision);
        let (price, qty) = (level.price.mantissa(), level.qty.mantissa());
        decimal::write_spelled(&mut self.text, price, self.price_scale, price_digits);
        self.text.push(b':');
        decimal::write_spelled(&mut self.text, qty, self.qty_scale, qty_digits);
        self.text.push(b':');
    }
}

/// Appends the digits of `mantissa` × 10^-`scale` spelled with `digits` after the point, from the
/// first that is not zero.
fn write_digits(text: &mut Vec<u8>, mantissa: i64, scale: Scale, digits: u8) {
    let mut mantissa = mantissa.unsigned_abs();
    let mut have = scale.digits();
    while have > digits && mantissa.is_multiple_of(10) && mantissa != 0 {
        mantissa /= 10;
        have -= 1;
    }
    if mantissa == 0 {
        return;
    }
    text.extend_from_slice(itoa::Buffer::new().format(mantissa).as_bytes());
    text.resize(text.len() + usize::from(digits.saturating_sub(have)), b'0');
}

/// From Kraken's specification of its book checksum.
const KRAKEN_LEVELS: usize = 10;
/// From OKX's specification of its book checksum.
const OKX_LEVELS: usize = 25;

#[cfg(test)]
mod tests {
    use super::*;
    use tapecast_model::{Price, Qty};

    fn level(price: &str, qty: &str, (price_scale, qty_scale): (u8, u8)) -> Level {
        let scaled = |text: &str, scale| {
            decimal::parse_scaled(text.as_bytes(), Scale::new(scale).unwrap()).unwrap()
        };
        Level {
            price: Price::from_mantissa(scaled(price, price_scale)),
            qty: Qty::from_mantissa(scaled(qty, qty_scale)),
            spelled: [price, qty].map(|text| decimal::spelled_digits(text.as_bytes())),
        }
    }

    fn text_of(
        theirs: Checksum,
        scales: (u8, u8),
        bids: &[(&str, &str)],
        asks: &[(&str, &str)],
    ) -> (String, u32) {
        let mut book = Book::new();
        let levels = |side: &[(&str, &str)]| {
            side.iter()
                .map(|(p, q)| level(p, q, scales))
                .collect::<Vec<_>>()
        };
        book.replace(levels(bids), levels(asks));
        let mut hasher = Hasher::new(Scale::new(scales.0).unwrap(), Scale::new(scales.1).unwrap());
        let (ours, _) = hasher.compare(&book, theirs);
        // As it was written before it was compared with other spellings.
        hasher.text.clear();
        match theirs {
            Checksum::Kraken(_) => hasher.write_kraken(&book, None),
            Checksum::Okx(_) => hasher.write_okx(&book, None),
        }
        (String::from_utf8(hasher.text.clone()).unwrap(), ours)
    }

    #[test]
    fn kraken_joins_bare_digits_of_ten_asks_and_ten_bids() {
        let (text, _) = text_of(
            Checksum::Kraken(0),
            (1, 8),
            &[("45283.5", "0.10000000"), ("45284.0", "0.00100000")],
            &[("45285.2", "0.00100000"), ("45286.4", "1.54571953")],
        );
        let expected = ["452852", "100000", "452864", "154571953"].concat()
            + &["452840", "100000", "452835", "10000000"].concat();
        assert_eq!(text, expected);
    }

    /// The example in Kraken's own documentation of the rule, whose sum it publishes.
    #[test]
    fn kraken_agrees_with_its_documented_example() {
        let asks = [
            ("0.05005", "0.00000500"),
            ("0.05010", "0.00000500"),
            ("0.05015", "0.00000500"),
            ("0.05020", "0.00000500"),
            ("0.05025", "0.00000500"),
            ("0.05030", "0.00000500"),
            ("0.05035", "0.00000500"),
            ("0.05040", "0.00000500"),
            ("0.05045", "0.00000500"),
            ("0.05050", "0.00000500"),
        ];
        let bids = [
            ("0.05000", "0.00000500"),
            ("0.04995", "0.00000500"),
            ("0.04990", "0.00000500"),
            ("0.04980", "0.00000500"),
            ("0.04975", "0.00000500"),
            ("0.04970", "0.00000500"),
            ("0.04965", "0.00000500"),
            ("0.04960", "0.00000500"),
            ("0.04955", "0.00000500"),
            ("0.04950", "0.00000500"),
        ];
        // The scales are wider than the spelling, as they are when the venue's definition is.
        let (text, sum) = text_of(Checksum::Kraken(0), (9, 10), &bids, &asks);
        assert!(text.starts_with("5005500501050050155005020500"), "{text}");
        assert_eq!(sum, 974_947_235);
    }

    #[test]
    fn levels_beyond_the_tenth_do_not_count_for_kraken() {
        let asks: Vec<String> = (1..=11).map(|p| p.to_string()).collect();
        let side = |n: usize| {
            asks[..n]
                .iter()
                .map(|p| (p.as_str(), "1"))
                .collect::<Vec<_>>()
        };
        let sum = |n| text_of(Checksum::Kraken(0), (0, 0), &[], &side(n)).1;
        assert_eq!(sum(10), sum(11));
        assert_ne!(sum(9), sum(10));
    }

    #[test]
    fn a_venue_hashes_its_own_digits_however_a_number_was_written() {
        let scales = (9, 8);
        let usual = (&[("0.0000001000", "1.50")], &[("0.0000001100", "2.50")]);
        let odd = (&[("1.000e-7", "15e-1")], &[("1.1E-7", "2.50")]);
        for rule in [Checksum::Kraken, Checksum::Okx] {
            let (_, theirs) = text_of(rule(0), scales, usual.0, usual.1);
            let mut hasher = Hasher::new(Scale::new(9).unwrap(), Scale::new(8).unwrap());
            for (bids, asks) in [usual, odd] {
                let mut book = Book::new();
                book.replace(
                    bids.iter().map(|(p, q)| level(p, q, scales)),
                    asks.iter().map(|(p, q)| level(p, q, scales)),
                );
                let (ours, compared) = hasher.compare(&book, rule(theirs));
                assert_eq!((ours, compared), (theirs, theirs), "{bids:?}");
            }
            // What disagrees in every spelling disagrees.
            let other = text_of(rule(0), scales, &[("0.0000001000", "1.51")], usual.1).1;
            assert_ne!(other, theirs);
        }
    }

    #[test]
    fn okx_alternates_sides_and_keeps_the_spelling() {
        let check = |bids: &[(&str, &str)], asks: &[(&str, &str)], expected: &str| {
            let (text, sum) = text_of(Checksum::Okx(0), (4, 4), bids, asks);
            assert_eq!(text, expected);
            assert_eq!(sum, crc32fast::hash(expected.as_bytes()));
        };
        check(
            &[("3366.1", "7"), ("3366", "6")],
            &[("3366.80", "9"), ("3368", "8")],
            "3366.1:7:3366.80:9:3366:6:3368:8",
        );
        check(
            &[("3366.1", "7")],
            &[("3366.8", "9"), ("3368", "8.0"), ("3372", "8")],
            "3366.1:7:3366.8:9:3368:8.0:3372:8",
        );
        check(&[], &[], "");
    }

    #[test]
    fn okx_looks_at_25_levels_of_a_side() {
        let prices: Vec<String> = (1..=26).map(|p| p.to_string()).collect();
        let side: Vec<_> = prices.iter().map(|p| (p.as_str(), "1")).collect();
        let (text, _) = text_of(Checksum::Okx(0), (0, 0), &[], &side);
        assert!(text.ends_with("24:1:25:1"), "{text}");
    }

    #[test]
    fn digits_are_those_of_the_spelling() {
        let check = |mantissa, scale, digits, expected: &str| {
            let mut text = Vec::new();
            write_digits(&mut text, mantissa, Scale::new(scale).unwrap(), digits);
            assert_eq!(
                String::from_utf8(text).unwrap(),
                expected,
                "{mantissa} {scale} {digits}"
            );
        };
        check(452_852, 1, 1, "452852");
        check(4_528_520, 2, 1, "452852");
        check(45_285, 0, 1, "452850");
        check(0, 8, 8, "");
        check(1_234_567_890_112_345_678, 8, 8, "1234567890112345678");
        check(i64::MAX, 0, 3, "9223372036854775807000");
        check(100_000, 8, 8, "100000");
    }
}
