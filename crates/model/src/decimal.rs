//! Decimal text to scaled integers and back, without a float anywhere.
//!
//! A venue's number is kept exactly: `61837.64` at scale 2 is the integer 6 183 764. Texts may be
//! padded (`61837.64000000`); digits beyond the scale must be zero, anything else is an error and
//! never a rounding. Canonical spelling (what clients see) has no exponent, no plus sign and no
//! trailing zeros after the point.

use crate::digits;
use crate::scale::{POW10, Scale};
use std::fmt;

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
    /// All digits as one integer, without zeros at its end.
    pub mantissa: i128,
    /// Digits after the decimal point; negative for so many zeros before it.
    pub digits: i64,
}

// === parsing ===

/// Parses `[-]digits[.digits]`, with or without an exponent, to an integer in units of 10^-`scale`.
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
    match parse_digits(text, scale) {
        // What seems too fine or too large may be put right by an exponent behind it.
        Err(DecimalError::BeyondScale { .. } | DecimalError::Overflow)
            if text.iter().any(|b| matches!(b, b'e' | b'E')) =>
        {
            parse_exponent(text, scale)
        }
        result => result,
    }
}

fn parse_digits(text: &[u8], scale: Scale) -> Result<i64, DecimalError> {
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
                Some(n) if n == scale.digits() => {
                    if digit != 0 {
                        return Err(DecimalError::BeyondScale {
                            scale: scale.digits(),
                        });
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
    let missing = scale.digits() - after.unwrap_or(0);
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

/// The slow road for `1e-08` and `2.5e+3`.
fn parse_exponent(text: &[u8], scale: Scale) -> Result<i64, DecimalError> {
    let Parsed { mantissa, digits } = parse_parts(text)?;
    let missing = i64::from(scale.digits()) - digits;
    if missing < 0 {
        return Err(DecimalError::BeyondScale {
            scale: scale.digits(),
        });
    }
    u32::try_from(missing)
        .ok()
        .and_then(|missing| 10_i128.checked_pow(missing))
        .and_then(|unit| mantissa.checked_mul(unit))
        .and_then(|scaled| i64::try_from(scaled).ok())
        .filter(|scaled| *scaled != i64::MIN)
        .ok_or(DecimalError::Overflow)
}

/// Splits a decimal text (exponents allowed) into a number without zeros at its end and its place.
///
/// # Errors
/// If the text is not a decimal, or has more digits than an `i128` holds, zeros at both ends aside.
pub fn parse_parts(text: &[u8]) -> Result<Parsed, DecimalError> {
    let negative = text.first() == Some(&b'-');
    let mut at = usize::from(negative);
    let mut mantissa: i128 = 0;
    // Zeros behind the mantissa that count only if another digit follows.
    let mut zeros: u32 = 0;
    let mut digits: i64 = 0;
    let (mut seen, mut point) = (false, false);
    let mut exponent: i64 = 0;
    while let Some(&byte) = text.get(at) {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            seen = true;
            digits += i64::from(point);
            if digit == 0 {
                zeros = zeros.saturating_add(u32::from(mantissa != 0));
            } else {
                mantissa = 10_i128
                    .checked_pow(zeros.saturating_add(1))
                    .and_then(|shift| mantissa.checked_mul(shift))
                    .and_then(|m| m.checked_add(i128::from(digit)))
                    .ok_or(DecimalError::Overflow)?;
                zeros = 0;
            }
        } else if byte == b'.' && !point && seen {
            point = true;
        } else if (byte == b'e' || byte == b'E') && seen {
            exponent = parse_power(text, at + 1)?;
            break;
        } else {
            return Err(DecimalError::Syntax { at });
        }
        at += 1;
    }
    if !seen {
        return Err(DecimalError::Empty);
    }
    if mantissa == 0 {
        return Ok(Parsed {
            mantissa: 0,
            digits: 0,
        });
    }
    let mantissa = if negative { -mantissa } else { mantissa };
    Ok(Parsed {
        mantissa,
        digits: digits - i64::from(zeros) - exponent,
    })
}

/// The power of ten that stands at `start`, with or without a sign. Absurd ones are cut, far beyond what
/// any text's digits can make good.
fn parse_power(text: &[u8], start: usize) -> Result<i64, DecimalError> {
    const LARGEST: i64 = 1 << 48;
    let negative = text.get(start) == Some(&b'-');
    let signed = matches!(text.get(start), Some(b'-' | b'+'));
    let first = start + usize::from(signed);
    let mut power = 0_i64;
    for at in first..text.len().max(first + 1) {
        match text.get(at).map(|byte| byte.wrapping_sub(b'0')) {
            Some(digit) if digit < 10 => power = (power * 10 + i64::from(digit)).min(LARGEST),
            _ => return Err(DecimalError::Syntax { at }),
        }
    }
    Ok(if negative { -power } else { power })
}

/// Whether a text that is a decimal spells zero: `0`, `0.000`, `-0e5`.
pub fn is_zero(text: &[u8]) -> bool {
    let mut bytes = text.iter().take_while(|b| !matches!(b, b'e' | b'E'));
    !text.is_empty() && bytes.all(|b| matches!(b, b'0' | b'.' | b'-'))
}

/// Digits after the point as the venue spelled them: 8 for `0.10000000`, 0 for `12`, 10 for `1.000e-7`.
pub fn spelled_digits(text: &[u8]) -> u8 {
    let power_at = text.iter().position(|b| matches!(b, b'e' | b'E'));
    let plain = &text[..power_at.unwrap_or(text.len())];
    let behind = match plain.iter().position(|&b| b == b'.') {
        Some(at) => (plain.len() - at - 1) as i64,
        None => 0,
    };
    let power = power_at.map_or(Ok(0), |at| parse_power(text, at + 1));
    let digits = (behind - power.unwrap_or(0)).max(0);
    u8::try_from(digits).unwrap_or(u8::MAX)
}

// === printing ===

/// Appends `mantissa` × 10^-`scale` in canonical spelling.
pub fn write_scaled(out: &mut Vec<u8>, mantissa: i64, scale: Scale) {
    if mantissa < 0 {
        out.push(b'-');
    }
    let mut rest = mantissa.unsigned_abs();
    let mut fraction = usize::from(scale.digits());
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
            return u32::try_from(digits.unsigned_abs())
                .ok()
                .and_then(|zeros| 10_i128.checked_pow(zeros))
                .and_then(|factor| mantissa.checked_mul(factor))
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
        if self.scale > scale.digits() {
            return Err(DecimalError::BeyondScale {
                scale: scale.digits(),
            });
        }
        let factor = i128::from(POW10[usize::from(scale.digits() - self.scale)]);
        self.mantissa
            .checked_mul(factor)
            .and_then(|m| i64::try_from(m).ok())
            .filter(|m| *m != i64::MIN)
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
mod tests;
