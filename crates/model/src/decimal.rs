//! Decimal text to scaled integers and back, without a float anywhere.
//!
//! A venue's number is kept exactly: `61837.64` at scale 2 is the integer 6 183 764. Texts may be
//! padded (`61837.64000000`); digits beyond the scale must be zero, anything else is an error and
//! never a rounding. Canonical spelling (what clients see) has no exponent, no plus sign and no
//! trailing zeros after the point.

use crate::digits;
use std::fmt;

/// Digits after the decimal point, 0 to [`Scale::MAX`]. Chosen per instrument, never per message.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Scale(u8);

/// Why a text is not a decimal of the wanted scale.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecimalError {
    /// There is no digit at all.
    #[error("no digits")]
    Empty,
    /// A byte that has no place in a decimal.
    #[error("unexpected byte at {at}")]
    Syntax {
        /// Offset of the byte in the text.
        at: usize,
    },
    /// A non-zero digit beyond the scale: keeping it would mean rounding.
    #[error("more than {scale} digits after the point")]
    BeyondScale {
        /// The scale that was asked for.
        scale: u8,
    },
    /// The scaled integer does not fit.
    #[error("number too large")]
    Overflow,
}

/// A decimal that brings its own scale: for figures that have none per instrument (24 h volumes,
/// percentages). Always canonical: the mantissa has no trailing decimal zeros.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Decimal {
    mantissa: i128,
    scale: u8,
}

/// The parts of a decimal text: value = `mantissa` × 10^-`digits`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Parsed {
    /// All digits as one integer, trailing zeros included.
    pub mantissa: i128,
    /// Digits after the point as sent (negative after a positive exponent).
    pub digits: i16,
}

// === impl Scale ===

impl Scale {
    /// The largest scale an `i64` mantissa is good for.
    pub const MAX: Self = Self(18);

    /// A scale of `digits`, or none if that is more than [`Scale::MAX`].
    pub const fn new(digits: u8) -> Option<Self> {
        if digits <= Self::MAX.0 {
            Some(Self(digits))
        } else {
            None
        }
    }

    /// A scale of `digits`, cut to [`Scale::MAX`].
    pub const fn saturating(digits: u8) -> Self {
        if digits <= Self::MAX.0 {
            Self(digits)
        } else {
            Self::MAX
        }
    }

    /// Digits after the point.
    pub const fn digits(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === parsing ===

pub(crate) const POW10: [i64; 19] = {
    let mut table = [1_i64; 19];
    let mut i = 1;
    while i < 19 {
        table[i] = table[i - 1] * 10;
        i += 1;
    }
    table
};

/// Parses `[-]digits[.digits]` to an integer in units of 10^-`scale`.
///
/// # Errors
/// On anything else, on non-zero digits beyond the scale, and if the integer does not fit an `i64`.
pub fn parse_scaled(text: &[u8], scale: Scale) -> Result<i64, DecimalError> {
    match digits::parse_plain(text, scale) {
        Some(mantissa) => Ok(mantissa),
        None => parse_any(text, scale),
    }
}

/// Any text.
pub(crate) fn parse_any(text: &[u8], scale: Scale) -> Result<i64, DecimalError> {
    let (negative, mut at) = match text.first() {
        Some(b'-') => (true, 1),
        Some(_) => (false, 0),
        None => return Err(DecimalError::Empty),
    };
    let mut mantissa: u64 = 0;
    let mut seen = 0_usize; // digits in all
    let mut after: Option<u8> = None; // digits after the point that count
    while let Some(&byte) = text.get(at) {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            seen += 1;
            match after {
                Some(n) if n == scale.0 => {
                    if digit != 0 {
                        return Err(DecimalError::BeyondScale { scale: scale.0 });
                    }
                    at += 1;
                    continue;
                }
                Some(n) => after = Some(n + 1),
                None => {}
            }
            mantissa = mantissa
                .checked_mul(10)
                .and_then(|m| m.checked_add(u64::from(digit)))
                .ok_or(DecimalError::Overflow)?;
        } else if byte == b'.' && after.is_none() && seen > 0 {
            after = Some(0);
        } else if byte == b'e' || byte == b'E' {
            return parse_exponent(text, scale);
        } else {
            return Err(DecimalError::Syntax { at });
        }
        at += 1;
    }
    if seen == 0 {
        return Err(DecimalError::Empty);
    }
    let missing = scale.0 - after.unwrap_or(0);
    let scaled = if mantissa == 0 {
        0
    } else {
        i64::try_from(mantissa)
            .ok()
            .and_then(|m| m.checked_mul(POW10[usize::from(missing)]))
            .ok_or(DecimalError::Overflow)?
    };
    Ok(if negative { -scaled } else { scaled })
}

/// The slow road for `1e-08`, which venues use in definitions only.
fn parse_exponent(text: &[u8], scale: Scale) -> Result<i64, DecimalError> {
    let decimal = Decimal::parse(text)?;
    decimal.rescale(scale)
}

/// Splits a decimal text (exponents allowed) into digits and their place.
///
/// # Errors
/// If the text is not a decimal, or has more digits than an `i128` holds.
pub fn parse_parts(text: &[u8]) -> Result<Parsed, DecimalError> {
    let negative = text.first() == Some(&b'-');
    let mut at = usize::from(negative);
    let mut mantissa: i128 = 0;
    let mut digits: i16 = 0;
    let (mut seen, mut point) = (false, false);
    let mut exponent: i16 = 0;
    while let Some(&byte) = text.get(at) {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            seen = true;
            mantissa = mantissa
                .checked_mul(10)
                .and_then(|m| m.checked_add(i128::from(digit)))
                .ok_or(DecimalError::Overflow)?;
            digits += i16::from(point);
        } else if byte == b'.' && !point && seen {
            point = true;
        } else if (byte == b'e' || byte == b'E') && seen {
            let tail = text.get(at + 1..).unwrap_or_default();
            exponent = std::str::from_utf8(tail)
                .ok()
                .and_then(|t| t.parse::<i8>().ok())
                .map(i16::from)
                .ok_or(DecimalError::Syntax { at: at + 1 })?;
            break;
        } else {
            return Err(DecimalError::Syntax { at });
        }
        at += 1;
    }
    if !seen {
        return Err(DecimalError::Empty);
    }
    let mantissa = if negative { -mantissa } else { mantissa };
    Ok(Parsed {
        mantissa,
        digits: digits - exponent,
    })
}

/// Whether a text that is a decimal spells zero: `0`, `0.000`, `-0e5`.
pub fn is_zero(text: &[u8]) -> bool {
    let mut bytes = text.iter().take_while(|b| !matches!(b, b'e' | b'E'));
    !text.is_empty() && bytes.all(|b| matches!(b, b'0' | b'.' | b'-'))
}

/// Digits after the point as the venue spelled them: 8 for `0.10000000`, 0 for `12`.
pub fn spelled_digits(text: &[u8]) -> u8 {
    match text.iter().position(|&b| b == b'.') {
        Some(at) => u8::try_from(text.len() - at - 1).unwrap_or(u8::MAX),
        None => 0,
    }
}

// === printing ===

/// Appends `mantissa` × 10^-`scale` in canonical spelling.
pub fn write_scaled(out: &mut Vec<u8>, mantissa: i64, scale: Scale) {
    if mantissa < 0 {
        out.push(b'-');
    }
    let mut rest = mantissa.unsigned_abs();
    let mut fraction = usize::from(scale.0);
    if digits::write_plain(out, rest, fraction) {
        return;
    }
    while fraction > 0 && rest.is_multiple_of(10) {
        rest /= 10;
        fraction -= 1;
    }
    let Some(unit) = POW10.get(fraction).filter(|_| fraction > 0) else {
        return write_integer(out, rest);
    };
    let unit = unit.unsigned_abs();
    write_integer(out, rest / unit);
    // A one in front keeps the zeros behind the point; the point takes its place.
    let point = out.len();
    write_integer(out, unit + rest % unit);
    if let Some(one) = out.get_mut(point) {
        *one = b'.';
    }
}

/// Appends an integer.
pub fn write_integer(out: &mut Vec<u8>, number: u64) {
    digits::write_number(out, number);
}

/// Appends `mantissa` × 10^-`scale` with exactly `digits` digits after the point: how a venue
/// spelled it, for checksums made over text. `digits` may be less or more than the scale.
pub fn write_spelled(out: &mut Vec<u8>, mantissa: i64, scale: Scale, digits: u8) {
    let start = out.len();
    write_scaled(out, mantissa, scale);
    let have = spelled_digits(&out[start..]);
    if digits > have {
        if have == 0 {
            out.push(b'.');
        }
        out.resize(out.len() + usize::from(digits - have), b'0');
    }
}

// === impl Decimal ===

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self {
        mantissa: 0,
        scale: 0,
    };

    /// `mantissa` × 10^-`scale`, made canonical.
    pub fn new(mantissa: i128, scale: u8) -> Self {
        let (mut mantissa, mut scale) = (mantissa, scale);
        if mantissa == 0 {
            scale = 0;
        }
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Self { mantissa, scale }
    }

    /// Parses a decimal text; exponents are allowed.
    ///
    /// # Errors
    /// If the text is not a decimal or too long to keep.
    pub fn parse(text: &[u8]) -> Result<Self, DecimalError> {
        let Parsed { mantissa, digits } = parse_parts(text)?;
        if digits < 0 {
            let factor = 10_i128
                .checked_pow(u32::from(digits.unsigned_abs()))
                .ok_or(DecimalError::Overflow)?;
            return mantissa
                .checked_mul(factor)
                .map(|m| Self::new(m, 0))
                .ok_or(DecimalError::Overflow);
        }
        u8::try_from(digits)
            .map(|scale| Self::new(mantissa, scale))
            .or(Err(DecimalError::Overflow))
    }

    /// The integer in units of 10^-[`Decimal::scale`].
    pub const fn mantissa(self) -> i128 {
        self.mantissa
    }

    /// Digits after the point; the last of them is not zero.
    pub const fn scale(self) -> u8 {
        self.scale
    }

    /// The same number as an integer in units of 10^-`scale`.
    ///
    /// # Errors
    /// If digits would be lost or the integer does not fit.
    pub fn rescale(self, scale: Scale) -> Result<i64, DecimalError> {
        if self.scale > scale.0 {
            return Err(DecimalError::BeyondScale { scale: scale.0 });
        }
        let factor = i128::from(POW10[usize::from(scale.0 - self.scale)]);
        self.mantissa
            .checked_mul(factor)
            .and_then(|m| i64::try_from(m).ok())
            .ok_or(DecimalError::Overflow)
    }

    /// The difference, exactly; none if it does not fit.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let left = self
            .mantissa
            .checked_mul(10_i128.checked_pow(u32::from(scale - self.scale))?)?;
        let right = other
            .mantissa
            .checked_mul(10_i128.checked_pow(u32::from(scale - other.scale))?)?;
        Some(Self::new(left.checked_sub(right)?, scale))
    }

    /// `self` / `divisor` × 100, rounded half away from zero to `digits` digits after the point;
    /// none if the divisor is zero or the numbers are too large.
    pub fn percent_of(self, divisor: Self, digits: u8) -> Option<Self> {
        if divisor.mantissa == 0 {
            return None;
        }
        // (a·10^-sa / b·10^-sb) · 100 · 10^digits, with everything on the numerator's side.
        let up = u32::from(divisor.scale) + 2 + u32::from(digits);
        let mut top = self.mantissa.checked_mul(10_i128.checked_pow(up)?)?;
        let bottom = divisor
            .mantissa
            .checked_mul(10_i128.checked_pow(u32::from(self.scale))?)?;
        let half = bottom.checked_abs()? / 2;
        top = if top < 0 {
            top.checked_sub(half)?
        } else {
            top.checked_add(half)?
        };
        Some(Self::new(top / bottom, digits))
    }

    /// Appends the canonical spelling.
    pub fn write(self, out: &mut Vec<u8>) {
        use std::io::Write as _;
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{self}");
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = self.mantissa.unsigned_abs().to_string();
        let scale = usize::from(self.scale);
        if scale == 0 {
            write!(f, "{sign}{digits}")
        } else if digits.len() > scale {
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            write!(f, "{sign}{whole}.{fraction}")
        } else {
            write!(f, "{sign}0.{digits:0>scale$}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, scale: u8, expected: Result<i64, DecimalError>) {
        assert_eq!(
            parse_scaled(text.as_bytes(), Scale(scale)),
            expected,
            "{text} at {scale}"
        );
    }

    #[test]
    fn scaled_integers_are_exact() {
        check("61837.64000000", 2, Ok(6_183_764));
        check("0.1605", 8, Ok(16_050_000));
        check("-251.6", 1, Ok(-2516));
        check("12345678901.12345678", 8, Ok(1_234_567_890_112_345_678));
        check("0.00000000001", 11, Ok(1));
        check("7", 0, Ok(7));
        check("7.", 0, Ok(7));
        check("0", 18, Ok(0));
        check("1e-08", 8, Ok(1));
        check("5E2", 0, Ok(500));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_never_rounded() {
        check("1.005", 2, Err(DecimalError::BeyondScale { scale: 2 }));
        check("99999999999.123456789", 9, Err(DecimalError::Overflow));
        check("", 2, Err(DecimalError::Empty));
        check("-", 2, Err(DecimalError::Empty));
        check(".5", 2, Err(DecimalError::Syntax { at: 0 }));
        check("1.2.3", 2, Err(DecimalError::Syntax { at: 3 }));
        check("0x10", 2, Err(DecimalError::Syntax { at: 1 }));
        check("1e", 2, Err(DecimalError::Syntax { at: 2 }));
        check("NaN", 2, Err(DecimalError::Syntax { at: 0 }));
    }

    #[test]
    fn spelling_as_sent_comes_back() {
        for (text, scale) in [
            ("63381.0", 2),
            ("0.00005100", 8),
            ("30261", 4),
            ("12.50", 1),
        ] {
            let mantissa = parse_scaled(text.as_bytes(), Scale(scale)).unwrap();
            let mut out = Vec::new();
            write_spelled(
                &mut out,
                mantissa,
                Scale(scale),
                spelled_digits(text.as_bytes()),
            );
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn differences_and_percentages() {
        let last = Decimal::parse(b"63707.3").unwrap();
        let open = Decimal::parse(b"63958.9").unwrap();
        let change = last.checked_sub(open).unwrap();
        assert_eq!(change.to_string(), "-251.6");
        assert_eq!(change.percent_of(open, 4).unwrap().to_string(), "-0.3934");
        assert_eq!(Decimal::ZERO.percent_of(Decimal::ZERO, 4), None);
    }

    proptest! {
        #[test]
        fn print_then_parse_is_identity(mantissa in any::<i64>(), scale in 0_u8..=18) {
            prop_assume!(mantissa != i64::MIN);
            let mut out = Vec::new();
            write_scaled(&mut out, mantissa, Scale(scale));
            prop_assert_eq!(parse_scaled(&out, Scale(scale)), Ok(mantissa));
            let text = String::from_utf8(out).unwrap();
            prop_assert!(!text.contains('.') || !text.ends_with('0'), "{}", text);
            prop_assert_eq!(Decimal::parse(text.as_bytes()).unwrap().to_string(), text);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,24}", scale in 0_u8..=18) {
            let _ = parse_scaled(text.as_bytes(), Scale(scale));
            let _ = Decimal::parse(text.as_bytes());
        }
    }
}
