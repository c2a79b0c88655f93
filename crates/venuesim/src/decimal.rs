//! Decimals as the venue counts and writes them: whole numbers of 0.00000001, always eight digits behind the
//! point.

/// 1.00000000.
pub const ONE: i64 = 100_000_000;

/// A number as the venue writes it: `61837.63000000`.
pub fn text(number: i64) -> String {
    wide(i128::from(number))
}

/// The same for sums, which may be larger.
pub(crate) fn wide(number: i128) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let size = number.unsigned_abs();
    let one = u128::from(ONE.unsigned_abs());
    format!("{sign}{}.{:08}", size / one, size % one)
}

/// Reads `61837.63`; `None` if it is not a number of at most eight digits behind the point.
pub fn parse(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 8 || !plain(whole) || !plain(fraction) {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let fraction: i64 = format!("{fraction:0<8}").parse().ok()?;
    let size = whole.checked_mul(ONE)?.checked_add(fraction)?;
    Some(if negative { -size } else { size })
}

/// Price times quantity, rounded down.
pub(crate) fn product(price: i64, qty: i64) -> i128 {
    i128::from(price) * i128::from(qty) / i128::from(ONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_and_read() {
        for (number, written) in [
            (6_183_763_000_000, "61837.63000000"),
            (2_000_000, "0.02000000"),
            (-1, "-0.00000001"),
            (0, "0.00000000"),
        ] {
            assert_eq!(text(number), written);
            assert_eq!(parse(written), Some(number));
        }
        assert_eq!(parse("12"), Some(12 * ONE));
        for wrong in ["", "1e5", "1.123456789", ".5", "1.-5", "999999999999999"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
