//! Decimal digits several at a time: the fast roads of [`crate::decimal`], which is where to call them.
//!
//! Reading declines what it is not made for and decides nothing about it; then the long road is taken.

use crate::decimal::{POW10, Scale};

/// Reads `digits[.digits]` as an integer in units of 10^-`scale`; none if the text is anything else,
/// has digits beyond the scale, or is too long to be common.
pub(crate) fn parse_plain(text: &[u8], scale: Scale) -> Option<i64> {
    match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            let ends = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
            parse_ends(ends.0, ends.1, text.len(), scale).or_else(|| parse_bytes(text, scale))
        }
        _ => parse_bytes(text, scale),
    }
}

/// The same for a text of at least eight bytes that has at most seven digits before its point and at
/// most eight behind it: `first` has the whole part, `last` the fraction.
#[inline]
fn parse_ends(first: u64, last: u64, length: usize, scale: Scale) -> Option<i64> {
    let point = position(first, b'.')?;
    let fraction = length - point - 1;
    if point == 0 || !(1..=8).contains(&fraction) {
        return None;
    }
    // The first character is the lowest byte, and a digit that is not there counts as a zero in front.
    let whole = (first ^ ZEROS) << (64 - 8 * point);
    let mut behind = (last ^ ZEROS) >> (64 - 8 * fraction) << (64 - 8 * fraction);
    if !are_digits(whole) || !are_digits(behind) {
        return None;
    }
    let digits = usize::from(scale.digits());
    let beyond = fraction.saturating_sub(digits);
    if beyond > 0 {
        if behind >> (64 - 8 * beyond) != 0 {
            return None;
        }
        behind = if beyond == 8 {
            0
        } else {
            behind << (8 * beyond)
        };
    }
    let whole = eight(whole).checked_mul(POW10[digits])?;
    let behind = eight(behind).checked_mul(POW10[digits - (fraction - beyond)])?;
    whole.checked_add(behind)
}

/// The same, byte by byte, for texts so short that a `u64` cannot overflow.
#[inline]
fn parse_bytes(text: &[u8], scale: Scale) -> Option<i64> {
    if text.len() > 19 {
        return None;
    }
    let mut mantissa = 0_u64;
    let mut missing = scale.digits();
    let mut bytes = text.iter();
    let mut point = false;
    for &byte in bytes.by_ref() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            point = byte == b'.';
            if !point {
                return None;
            }
            break;
        }
        mantissa = mantissa * 10 + u64::from(digit);
    }
    // At least one digit, before the point if there is one.
    if text.len() - bytes.len() == usize::from(point) {
        return None;
    }
    for &byte in bytes.by_ref().take(usize::from(scale.digits())) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        mantissa = mantissa * 10 + u64::from(digit);
        missing -= 1;
    }
    if bytes.any(|byte| *byte != b'0') {
        return None;
    }
    let mantissa = i64::try_from(mantissa).ok()?;
    mantissa.checked_mul(POW10[usize::from(missing)])
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
const ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);

/// Where a byte first stands among eight.
#[inline]
const fn position(text: u64, byte: u8) -> Option<usize> {
    let rest = text ^ (ONES * byte as u64);
    let found = rest.wrapping_sub(ONES) & !rest & HIGHS;
    if found == 0 {
        None
    } else {
        Some(found.trailing_zeros() as usize / 8)
    }
}

/// Whether all eight bytes are 0 to 9.
#[inline]
const fn are_digits(values: u64) -> bool {
    // A byte above 9 reaches 0x80 when 0x76 is added, or was above that before.
    (values.wrapping_add(ONES * 0x76) | values) & HIGHS == 0
}

/// The number that eight digits spell, the first in the lowest byte: pairs, then fours, then all.
#[inline]
const fn eight(digits: u64) -> i64 {
    let pairs = digits * 10 + (digits >> 8);
    let even = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(100 + (1_000_000 << 32));
    let odd = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(1 + (10_000 << 32));
    (even.wrapping_add(odd) >> 32) as i64
}

/// The digits of a number with zero bytes behind them, and how many they are.
pub(crate) fn left_aligned(number: u64) -> ([u8; Backwards::MAX], u8) {
    let mut text = Backwards::default();
    text.number(number);
    let mut digits = [0; Backwards::MAX];
    digits.copy_from_slice(&text.bytes[text.at..text.at + Backwards::MAX]);
    (digits, (Backwards::MAX - text.at) as u8)
}

/// A short text that is written from its end.
pub(crate) struct Backwards {
    /// Twice as long as a text, so that the copy to its place has a fixed length.
    bytes: [u8; 2 * Self::MAX],
    at: usize,
}

/// `00` to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut i = 0;
    while i < 100 {
        pairs[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        i += 1;
    }
    pairs
};

// === impl Backwards ===

impl Default for Backwards {
    #[inline]
    fn default() -> Self {
        let bytes = [0; 2 * Self::MAX];
        Self {
            bytes,
            at: Self::MAX,
        }
    }
}

impl Backwards {
    /// A sign, 20 digits and a point, and a bit.
    const MAX: usize = 24;

    /// Any byte.
    #[inline]
    pub(crate) fn byte(&mut self, byte: u8) {
        self.at -= 1;
        self.bytes[self.at] = byte;
    }

    /// Two digits of a number below 100.
    #[inline]
    pub(crate) fn pair(&mut self, number: u32) {
        self.at -= 2;
        let pair = PAIRS[number as usize];
        self.bytes[self.at] = pair[0];
        self.bytes[self.at + 1] = pair[1];
    }

    /// All digits of a number, and at least one.
    #[inline]
    pub(crate) fn number(&mut self, number: u64) {
        const EIGHT: u64 = 100_000_000;
        let mut rest = number;
        while rest >= EIGHT {
            // Divisions of 32 bits, two at a time that do not wait for each other.
            let low = (rest % EIGHT) as u32;
            rest /= EIGHT;
            let (high, low) = (low / 10_000, low % 10_000);
            self.pair(low % 100);
            self.pair(low / 100);
            self.pair(high % 100);
            self.pair(high / 100);
        }
        let mut rest = rest as u32;
        while rest >= 100 {
            self.pair(rest % 100);
            rest /= 100;
        }
        if rest >= 10 {
            self.pair(rest);
        } else {
            self.byte(b'0' + rest as u8);
        }
    }

    /// Appends the text.
    #[inline]
    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        let length = out.len() + Self::MAX - self.at;
        // More than the text, in one piece of fixed length, and then cut: no call to copy a few bytes.
        out.extend_from_slice(&self.bytes[self.at..self.at + Self::MAX]);
        out.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decimal::{parse_any, write_integer};
    use proptest::prelude::*;

    #[test]
    fn what_venues_send_takes_the_fast_road() {
        for (text, digits, number) in [
            ("61837.64000000", 2, 6_183_764),
            ("61837.64000000", 8, 6_183_764_000_000),
            ("0.00000000", 0, 0),
            ("0.00001234", 8, 1_234),
            ("1000.000", 3, 1_000_000),
            ("9999999.99999999", 8, 999_999_999_999_999),
            ("7", 18, 7_000_000_000_000_000_000),
            ("12.", 1, 120),
        ] {
            let scale = Scale::saturating(digits);
            assert_eq!(parse_plain(text.as_bytes(), scale), Some(number), "{text}");
        }
    }

    #[test]
    fn eight_characters_are_digits_only_if_each_is_one() {
        for at in 0..8 {
            for byte in 0..=u8::MAX {
                let mut text = *b"90909090";
                text[at] = byte;
                let read = u64::from_le_bytes(text) ^ ZEROS;
                assert_eq!(are_digits(read), byte.is_ascii_digit(), "{byte} at {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_fast_road_leads_where_the_long_one_does(
            text in "-?[0-9]{0,12}[.]?[0-9]{0,9}0{0,8}[0.e:/-]{0,2}", digits in 0_u8..=18,
        ) {
            let scale = Scale::saturating(digits);
            if let Some(mantissa) = parse_plain(text.as_bytes(), scale) {
                prop_assert_eq!(parse_any(text.as_bytes(), scale), Ok(mantissa));
            }
        }

        #[test]
        fn integers_are_written_as_the_standard_library_writes_them(number in any::<u64>(), shift in 0_u32..64) {
            let mut out = b"x".to_vec();
            write_integer(&mut out, number >> shift);
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("x{}", number >> shift));
        }
    }
}
