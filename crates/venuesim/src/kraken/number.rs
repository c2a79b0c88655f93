//! Decimals as the venue writes them: bare, with the digits of the instrument `[C]`; in definitions the shortest form,
//! small ones with an exponent `[D]`. All are whole numbers of 0.00000001 here.

use crate::decimal::ONE;

/// Digits behind the point of an increment: 1 for 0.1.
pub(super) fn digits_of(increment: i64) -> u8 {
    let mut rest = increment;
    let mut digits = MOST_DIGITS;
    while digits > 0 && rest != 0 && rest % 10 == 0 {
        rest /= 10;
        digits -= 1;
    }
    digits
}

/// With so many digits behind the point: `63388.7`, `0.00005100`. More digits are cut off.
pub(super) fn fixed(number: i128, digits: u8) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let size = number.unsigned_abs();
    let one = u128::from(ONE.unsigned_abs());
    let whole = size / one;
    let digits = digits.min(MOST_DIGITS);
    if digits == 0 {
        return format!("{sign}{whole}");
    }
    let fraction = format!("{:08}", size % one);
    format!("{sign}{whole}.{}", &fraction[..usize::from(digits)])
}

/// In the shortest form: `0.1`, `4.0`, `1e-08`.
pub(super) fn shortest(number: i64) -> String {
    let text = fixed(i128::from(number), MOST_DIGITS);
    let text = text.trim_end_matches('0');
    let Some(fraction) = text.strip_prefix("0.0000") else {
        let end = if text.ends_with('.') { "0" } else { "" };
        return format!("{text}{end}");
    };
    let figures = fraction.trim_start_matches('0');
    let exponent = 4 + fraction.len() - figures.len() + 1;
    let (first, rest) = figures.split_at(figures.len().min(1));
    match (first, rest) {
        ("", _) => "0.0".to_owned(),
        (first, "") => format!("{first}e-{exponent:02}"),
        (first, rest) => format!("{first}.{rest}e-{exponent:02}"),
    }
}

/// Prices and quantities have at most so many digits here.
const MOST_DIGITS: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_of_the_instrument() {
        for (number, digits, written) in [
            (6_338_870_000_000, 1, "63388.7"),
            (5_100, 8, "0.00005100"),
            (0, 8, "0.00000000"),
            (6_338_800_000_000, 0, "63388"),
            (-70_000_000, 1, "-0.7"),
        ] {
            assert_eq!(fixed(number, digits), written);
        }
        assert_eq!(digits_of(ONE / 10), 1);
        assert_eq!(digits_of(1), 8);
        assert_eq!(digits_of(ONE), 0);
        assert_eq!(digits_of(5 * ONE / 100), 2);
    }

    #[test]
    fn small_numbers_of_definitions_have_an_exponent() {
        for (number, written) in [
            (1, "1e-08"),
            (25, "2.5e-07"),
            (1_000, "1e-05"),
            (10_000, "0.0001"),
            (ONE / 10, "0.1"),
            (4 * ONE, "4.0"),
            (0, "0.0"),
        ] {
            assert_eq!(shortest(number), written);
        }
    }
}
