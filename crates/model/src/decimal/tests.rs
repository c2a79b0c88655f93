//! Decimals against exact values, and every parser of them against pencil and paper.

use super::*;
use proptest::prelude::*;

fn check(text: &str, scale: u8, expected: Result<i64, DecimalError>) {
    assert_eq!(
        parse_scaled(text.as_bytes(), Scale::saturating(scale)),
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
    check("1.5e+06", 0, Ok(1_500_000));
    check("1.2345e+2", 2, Ok(12_345));
    check("2.5e+3", 1, Ok(25_000));
    check("1.000e-7", 7, Ok(1));
    check("9.0e-8", 8, Ok(9));
    check("12E-8", 8, Ok(12));
    check("0e0", 3, Ok(0));
    check("-0.0E+99", 3, Ok(0));
    check("0e-99999999999999999999", 0, Ok(0));
    check("100e-2", 0, Ok(1));
}

#[test]
fn long_runs_of_zeros_count_for_what_they_are() {
    let zeros = "0".repeat(65_536);
    check(&format!("0.{zeros}1e65537"), 0, Ok(1));
    check(&format!("0.{zeros}1e+65538"), 1, Ok(100));
    check(&format!("1{zeros}e-65536"), 2, Ok(100));
    check(&format!("{zeros}1.5{zeros}"), 1, Ok(15));
    check(&format!("1.5{zeros}e{zeros}1"), 0, Ok(15));
    check(&format!("1.5e-{zeros}1"), 2, Ok(15));
    check(
        &format!("0.{zeros}1"),
        18,
        Err(DecimalError::BeyondScale { scale: 18 }),
    );
    check(&format!("1{zeros}"), 0, Err(DecimalError::Overflow));
    assert_eq!(
        Decimal::parse(format!("0.{zeros}1").as_bytes()),
        Err(DecimalError::Overflow)
    );
    assert_eq!(
        Decimal::parse(format!("1.5{zeros}").as_bytes())
            .unwrap()
            .to_string(),
        "1.5"
    );
    assert_eq!(
        Decimal::parse(format!("{zeros}1e-65536").as_bytes()),
        Err(DecimalError::Overflow)
    );
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
    check("1e+", 2, Err(DecimalError::Syntax { at: 3 }));
    check("1e5.5", 2, Err(DecimalError::Syntax { at: 3 }));
    check("1e--5", 2, Err(DecimalError::Syntax { at: 3 }));
    check("e5", 2, Err(DecimalError::Syntax { at: 0 }));
    check("+1", 2, Err(DecimalError::Syntax { at: 0 }));
    check("1e19", 0, Err(DecimalError::Overflow));
    check("1e-3", 2, Err(DecimalError::BeyondScale { scale: 2 }));
    check("1e999999999999999999999", 2, Err(DecimalError::Overflow));
    check("9223372036854775807e0", 0, Ok(i64::MAX));
    check("-9223372036854775808e0", 0, Err(DecimalError::Overflow));
    check("-9223372036854775808", 0, Err(DecimalError::Overflow));
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
        let mantissa = parse_scaled(text.as_bytes(), Scale::saturating(scale)).unwrap();
        let mut out = Vec::new();
        write_spelled(
            &mut out,
            mantissa,
            Scale::saturating(scale),
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

/// What a text says by the rules of pencil and paper: its digits in a row, the point moved by the
/// power of ten, and nothing but zeros beyond the scale. None if it is no decimal or does not fit.
fn on_paper(text: &str, scale: u8) -> Option<i64> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (number, power) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let are_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let power = match power {
        None => 0,
        Some(power) => {
            let unsigned = power.strip_prefix(['+', '-']).unwrap_or(power);
            if unsigned.is_empty() || !are_digits(unsigned) {
                return None;
            }
            let size = unsigned.trim_start_matches('0');
            let size = if size.len() > 9 {
                1_000_000_000
            } else {
                size.parse().unwrap_or(0)
            };
            if power.starts_with('-') { -size } else { size }
        }
    };
    let mut digits = format!("{whole}{fraction}");
    if digits.bytes().all(|b| b == b'0') {
        return Some(0);
    }
    let shift = power + i64::from(scale) - fraction.len() as i64;
    if shift >= 0 {
        digits = digits.trim_start_matches('0').to_owned();
        if shift > 20 {
            return None;
        }
        digits.extend(std::iter::repeat_n('0', shift as usize));
    } else {
        let keep = digits.len().checked_sub(shift.unsigned_abs() as usize)?;
        if digits[keep..].bytes().any(|b| b != b'0') {
            return None;
        }
        digits.truncate(keep);
    }
    let digits = digits.trim_start_matches('0');
    if digits.len() > 19 {
        return None;
    }
    let size: u64 = digits.parse().ok()?;
    i64::try_from(size).ok().map(|size| sign * size)
}

/// Texts that are decimals or nearly so.
fn texts() -> impl Strategy<Value = String> {
    let zeros = || prop_oneof![4 => 0_usize..6, 1 => 15_usize..45];
    let run = |zeros: usize| "0".repeat(zeros);
    (
        "-?[0-9]{0,10}",
        zeros(),
        prop::option::of(("[0-9]{0,10}", zeros(), "[0-9]{0,4}", zeros())),
        prop::option::of("[eE][+-]?0{0,3}[0-9]{1,2}"),
        prop_oneof![9 => Just(String::new()), 1 => "[-+.eEx]{1,2}"],
    )
        .prop_map(move |(whole, whole_zeros, fraction, power, tail)| {
            let fraction = fraction.map_or_else(String::new, |(a, m, b, n)| {
                format!(".{a}{}{b}{}", run(m), run(n))
            });
            format!(
                "{whole}{}{fraction}{}{tail}",
                run(whole_zeros),
                power.unwrap_or_default()
            )
        })
}

proptest! {
    #[test]
    fn every_parser_agrees_with_pencil_and_paper(text in texts(), scale in 0_u8..=18) {
        let expected = on_paper(&text, scale);
        prop_assert_eq!(parse_scaled(text.as_bytes(), Scale::saturating(scale)).ok(), expected, "{}", text);
        prop_assert_eq!(parse_any(text.as_bytes(), Scale::saturating(scale)).ok(), expected, "{}", text);
        let fast = digits::parse_plain(text.as_bytes(), Scale::saturating(scale));
        prop_assert!(fast.is_none() || fast == expected, "{}", text);
        let decimal = Decimal::parse(text.as_bytes());
        let rescaled = decimal.ok().and_then(|d| d.rescale(Scale::saturating(scale)).ok());
        prop_assert_eq!(rescaled, expected, "{}", text);
        if let Ok(decimal) = decimal {
            prop_assert_eq!(Decimal::parse(decimal.to_string().as_bytes()), Ok(decimal));
            prop_assert_eq!(decimal.mantissa() == 0, is_zero(text.as_bytes()), "{}", text);
        }
    }

    #[test]
    fn print_then_parse_is_identity(mantissa in any::<i64>(), scale in 0_u8..=18) {
        prop_assume!(mantissa != i64::MIN);
        let mut out = Vec::new();
        write_scaled(&mut out, mantissa, Scale::saturating(scale));
        prop_assert_eq!(parse_scaled(&out, Scale::saturating(scale)), Ok(mantissa));
        let text = String::from_utf8(out).unwrap();
        prop_assert!(!text.contains('.') || !text.ends_with('0'), "{}", text);
        prop_assert_eq!(Decimal::parse(text.as_bytes()).unwrap().to_string(), text);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,24}", scale in 0_u8..=18) {
        let _ = parse_scaled(text.as_bytes(), Scale::saturating(scale));
        let _ = Decimal::parse(text.as_bytes());
    }
}
