//! Several decimal digits at a time: the fast paths of [`crate::decimal`], which calls them.
//!
//! They decline texts that they do not support; the general path then reads these texts.

use crate::scale::{POW10, Scale};

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
    let whole = value_of(whole).checked_mul(POW10[digits])?;
    let behind = value_of(behind).checked_mul(POW10[digits - (fraction - beyond)])?;
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
const fn value_of(digits: u64) -> i64 {
    let pairs = digits * 10 + (digits >> 8);
    let even = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(100 + (1_000_000 << 32));
    let odd = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(1 + (10_000 << 32));
    (even.wrapping_add(odd) >> 32) as i64
}

/// Appends all digits of a number, and at least one.
#[inline]
pub(crate) fn write_number(out: &mut Vec<u8>, number: u64) {
    if number < SIXTEEN {
        write_plain(out, number, 0);
    } else {
        write_plain(out, number / SIXTEEN, 0);
        out.extend_from_slice(&(sixteen(number % SIXTEEN) | CHARACTERS).to_le_bytes());
    }
}

/// Appends `number` × 10^-`fraction` without zeros at its end. Declines numbers of more than sixteen
/// digits, and writes nothing then.
#[inline]
pub(crate) fn write_plain(out: &mut Vec<u8>, number: u64, fraction: usize) -> bool {
    let (mut number, mut fraction) = (number, fraction);
    // Of eight digits behind the point, most venues use few.
    while fraction >= 4 && number.is_multiple_of(10_000) {
        number /= 10_000;
        fraction -= 4;
    }
    while number >= EIGHT && fraction >= 2 && number.is_multiple_of(100) {
        number /= 100;
        fraction -= 2;
    }
    if number < EIGHT && fraction < 8 {
        let digits = eight(number);
        let parts = Parts::new(digits.trailing_zeros(), digits.leading_zeros(), 8, fraction);
        let part = |shift: usize| ((digits >> (8 * shift)) | ZEROS).to_le_bytes();
        parts.append(out, part(parts.leading), part((8 - fraction) & 7));
        true
    } else if number < SIXTEEN && fraction < 16 {
        let digits = sixteen(number);
        let parts = Parts::new(
            digits.trailing_zeros(),
            digits.leading_zeros(),
            16,
            fraction,
        );
        let part = |shift: usize| ((digits >> (8 * shift)) | CHARACTERS).to_le_bytes();
        parts.append(out, part(parts.leading), part((16 - fraction) & 15));
        true
    } else {
        false
    }
}

/// What of eight or sixteen digits is said: all but zeros in front and at the end.
#[derive(Clone, Copy)]
struct Parts {
    /// Zeros in front.
    leading: usize,
    /// Digits before the point, at least one.
    whole: usize,
    /// Digits behind the point.
    behind: usize,
}

impl Parts {
    /// Of so many digits, so many of them behind the point; `low` and `high` are their zero bits at
    /// both ends.
    #[inline]
    fn new(low: u32, high: u32, digits: usize, fraction: usize) -> Self {
        let leading = (low as usize / 8).min(digits - fraction - 1);
        let whole = digits - fraction - leading;
        let behind = fraction - (high as usize / 8).min(fraction);
        Self {
            leading,
            whole,
            behind,
        }
    }

    /// Appends both parts in pieces of fixed length and cuts what is too much: nothing is called to
    /// copy a few bytes, and the next number waits for one length only.
    #[inline]
    fn append<const N: usize>(self, out: &mut Vec<u8>, whole: [u8; N], behind: [u8; N]) {
        let start = out.len();
        out.extend_from_slice(&[b'.'; 2 * 16 + 1]);
        let Some(text) = out.last_chunk_mut::<33>() else {
            return;
        };
        text[..N].copy_from_slice(&whole);
        let mut length = self.whole;
        if self.behind > 0 {
            text[length] = b'.';
            text[length + 1..length + 1 + N].copy_from_slice(&behind);
            length += 1 + self.behind;
        }
        out.truncate(start + length);
    }
}

/// Ten to the eighth.
const EIGHT: u64 = 100_000_000;
/// Ten to the sixteenth: the digits that are made at once.
pub(crate) const SIXTEEN: u64 = 10_000_000_000_000_000;

/// Sixteen digits of a number, the first in the lowest byte.
#[inline]
pub(crate) const fn sixteen(number: u64) -> u128 {
    let (high, low) = (number / EIGHT, number % EIGHT);
    ((eight(low) as u128) << 64) | eight(high) as u128
}

/// Eight digits, the first in the lowest byte: fours, then pairs, then each.
#[inline]
const fn eight(number: u64) -> u64 {
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    // A quotient by multiplication, in both lanes at once: exact for what four digits can be.
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let pairs = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((pairs - 10 * tens) << 8)
}

/// Of sixteen digits, how many zeros are in front; sixteen if there is nothing else.
#[inline]
pub(crate) const fn leading_zeros(digits: u128) -> usize {
    digits.trailing_zeros() as usize / 8
}

/// What makes digits characters.
pub(crate) const CHARACTERS: u128 = u128::from_ne_bytes([b'0'; 16]);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decimal::{Decimal, parse_any, write_integer, write_scaled};
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

    #[test]
    fn all_four_digits_come_out() {
        for number in 0..10_000 {
            let bytes = (eight(number * 10_000 + 9_999 - number) | ZEROS).to_le_bytes();
            let expected = format!("{number:04}{:04}", 9_999 - number);
            assert_eq!(std::str::from_utf8(&bytes), Ok(expected.as_str()));
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
        fn decimals_are_written_as_decimals_with_a_scale_of_their_own_are(
            number in any::<i64>(), shift in 0_u32..64, digits in 0_u8..=18, zeros in 0_u32..18,
        ) {
            let number = (number >> shift) / 10_i64.pow(zeros) * 10_i64.pow(zeros);
            let mut out = b"x".to_vec();
            write_scaled(&mut out, number, Scale::saturating(digits));
            let expected = format!("x{}", Decimal::new(i128::from(number), digits));
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }

        #[test]
        fn integers_are_written_as_the_standard_library_writes_them(number in any::<u64>(), shift in 0_u32..64) {
            let mut out = b"x".to_vec();
            write_integer(&mut out, number >> shift);
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("x{}", number >> shift));
        }
    }
}
