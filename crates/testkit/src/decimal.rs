//! Decimals, read digit by digit: as a number at one scale, to compare values, and as text without
//! padding, to compare spellings. What is no decimal stops the test.

use serde_json::Value;

/// Digits after the point of a number that [`fixed`] makes; no venue sends more.
const SCALE: usize = 18;

/// A decimal text as a number at a scale of 18.
pub fn fixed(text: &str) -> i128 {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mut number, mut behind_point) = (0_i128, None);
    for byte in digits.bytes() {
        if byte == b'.' && behind_point.is_none() {
            behind_point = Some(0);
            continue;
        }
        assert!(byte.is_ascii_digit(), "{text:?} is no decimal");
        number = number * 10 + i128::from(byte - b'0');
        behind_point = behind_point.map(|count: usize| count + 1);
    }
    let missing = SCALE.checked_sub(behind_point.unwrap_or(0));
    assert!(missing.is_some() && !digits.is_empty(), "{text:?}");
    for _ in 0..missing.unwrap() {
        number *= 10;
    }
    if negative { -number } else { number }
}

/// A decimal of a message, text or number, at a scale of 18.
pub fn fixed_value(value: &Value) -> i128 {
    match value {
        Value::String(text) => fixed(text),
        other => fixed(&text(other)),
    }
}

/// A text or a number of a message as text. (A number with a point has gone through a float; those
/// of the venues are short enough to come back as they were, without padding.)
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap().to_string(),
        other => other.to_string(),
    }
}

/// A decimal as it is spelled without padding.
pub fn canonical(text: &str) -> String {
    match text.split_once('.') {
        None => text.to_owned(),
        Some((whole, fraction)) => match fraction.trim_end_matches('0') {
            "" => whole.to_owned(),
            fraction => format!("{whole}.{fraction}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_the_number_it_spells() {
        for (text, expected) in [
            ("0", 0),
            ("1", 1_000_000_000_000_000_000),
            ("-1.5", -1_500_000_000_000_000_000),
            ("63381.0", 63_381_000_000_000_000_000_000),
            ("0.000000000000000001", 1),
            (
                "123456789012345678.5",
                123_456_789_012_345_678_500_000_000_000_000_000,
            ),
        ] {
            assert_eq!(fixed(text), expected, "{text}");
            assert_eq!(fixed(text), fixed(&canonical(text)), "{text}");
        }
        assert_eq!(fixed_value(&serde_json::json!(0.1605)), fixed("0.16050"));
        assert_eq!(fixed_value(&serde_json::json!("7")), fixed("7"));
    }

    #[test]
    fn padding_is_left_out() {
        for (text, expected) in [
            ("1.50", "1.5"),
            ("100", "100"),
            ("2.000", "2"),
            ("0.0", "0"),
        ] {
            assert_eq!(canonical(text), expected);
        }
    }

    #[test]
    #[should_panic(expected = "no decimal")]
    fn what_is_no_decimal_stops_the_test() {
        fixed("1e5");
    }
}
