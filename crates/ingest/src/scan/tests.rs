//! Scales.

use super::*;

fn scale_of(numbers: &[&str]) -> u8 {
    let mut digits = Digits::default();
    for number in numbers {
        digits.note("price", number).unwrap();
    }
    digits.scale().digits()
}

#[test]
fn a_scale_is_the_most_digits_that_are_not_padding() {
    assert_eq!(scale_of(&["61837.64000000", "0.00000000", "12"]), 2);
    assert_eq!(scale_of(&["0.00000000001"]), 11);
    assert_eq!(scale_of(&["1e-08", "5E2"]), 8);
    assert_eq!(scale_of(&["1.2345e+2", "1.5e+06"]), 2);
    assert_eq!(scale_of(&["1.000e-7", "0.5"]), 7);
    assert_eq!(
        scale_of(&[
            "0.5",
            "1e-99",
            "1e99",
            &format!("0.{}1", "0".repeat(65_536))
        ]),
        1
    );
    assert_eq!(scale_of(&["12345678901.12345678"]), 8);
    assert_eq!(scale_of(&["9223372036.854775807", "0.1"]), 9);
    assert_eq!(scale_of(&["12345678901", "0.12345678"]), 8);
    assert_eq!(scale_of(&[]), 0);
}

#[test]
fn one_absurd_number_does_not_cost_the_others_their_digits() {
    let mut numbers = vec!["61837.64"; 3];
    numbers.push("99999999999999999");
    assert_eq!(scale_of(&numbers), 2);
    numbers.push("99999999999999999999999");
    numbers.push("0.0000000000000000000000001");
    assert_eq!(scale_of(&numbers), 2);
    assert_eq!(
        scale_of(&["123456789012345678", "123456789012345677", "0.12", "0.1"]),
        1
    );
    assert_eq!(
        scale_of(&["923456789012345678", "923456789012345677", "0.1"]),
        0
    );
}

#[test]
fn what_is_no_number_is_refused() {
    let long = format!("0.{}x", "1".repeat(30));
    for text in ["", "x", "1.2.3", "--1", "1,5", "1e", "1e+", "1e5x", &long] {
        assert!(Digits::default().note("price", text).is_err(), "{text}");
    }
}
