//! How a message of a subscription goes wrong.

use super::listing::Names;
use super::messages;
use super::time;
use super::view::BookMessage;
use crate::decimal::ONE;
use crate::fault::Fault;
use crate::garble::{HUGE, half};
use std::fmt::Write as _;

/// A fault that waits for the messages of a subscription.
#[derive(Debug)]
pub(super) struct Twist {
    fault: Fault,
    /// A message that comes behind the next one.
    held: Option<String>,
    /// Whether it has been applied, and goes on.
    applied: bool,
}

/// What becomes of a message.
#[derive(Debug)]
pub(super) struct Twisted {
    /// What is sent.
    pub(super) texts: Vec<String>,
    /// The fault that was applied with it.
    pub(super) fault: Option<Fault>,
    /// Whether the fault waits for more messages.
    pub(super) stays: bool,
}

// === impl Twist ===

impl Twist {
    pub(super) fn new(fault: Fault) -> Self {
        Self {
            fault,
            held: None,
            applied: false,
        }
    }

    /// What becomes of the next message about the book.
    pub(super) fn book(&mut self, mut message: BookMessage, names: &Names) -> Twisted {
        if let Some(held) = self.held.take() {
            return self.done(vec![messages::book(names, &message), held]);
        }
        let fits = match self.fault {
            Fault::SkippedDeep | Fault::LostLevel => !message.touches,
            Fault::SkippedDepth
            | Fault::SwappedDepth
            | Fault::GarbageFrame
            | Fault::ChangedType
            | Fault::DoubledKey
            | Fault::ReorderedKeys
            | Fault::HugeDepth => message.touches,
            _ => true,
        };
        let text = messages::book(names, &message);
        if !fits {
            return Twisted::waiting(vec![text]);
        }
        let texts = match self.fault {
            Fault::SilentStream | Fault::AckWithoutData => return self.silence(),
            Fault::SwappedDepth => {
                self.held = Some(text);
                return Twisted::waiting(Vec::new());
            }
            Fault::SkippedDepth | Fault::SkippedDeep => Vec::new(),
            Fault::RepeatedDepth => vec![text.clone(), text],
            Fault::LostLevel => {
                let side = if message.bids.is_empty() {
                    &mut message.asks
                } else {
                    &mut message.bids
                };
                side.remove(0);
                vec![messages::book(names, &message)]
            }
            Fault::WrongSum => {
                message.sum = message.sum.map(|sum| !sum);
                vec![messages::book(names, &message)]
            }
            Fault::AbsentSum => {
                message.sum = message.us.is_multiple_of(2).then_some(0);
                vec![messages::book(names, &message)]
            }
            Fault::GarbageFrame => vec![half(&text)],
            Fault::ReorderedKeys => vec![messages::book_reversed(names, &message)],
            Fault::ChangedType => vec![with_a_sum_as_text(&text)],
            Fault::DoubledKey => vec![with_a_key_twice(&text)],
            _ => vec![grown(&text, names, HUGE)],
        };
        self.done(texts)
    }

    /// What becomes of the next message of another channel.
    pub(super) fn text(&mut self, text: String) -> Twisted {
        let texts = match self.fault {
            Fault::SilentStream | Fault::AckWithoutData => return self.silence(),
            Fault::LostTrade => Vec::new(),
            Fault::RepeatedTrade => vec![text.clone(), text],
            Fault::ZeroTime => vec![with_the_time_zero(&text)],
            _ => vec![with_exponents(&text)],
        };
        self.done(texts)
    }

    /// Nothing from now on. Silence behind an acknowledgement was noted with that.
    fn silence(&mut self) -> Twisted {
        let first = !std::mem::replace(&mut self.applied, true);
        Twisted {
            texts: Vec::new(),
            fault: (first && self.fault == Fault::SilentStream).then_some(self.fault),
            stays: true,
        }
    }

    fn done(&self, texts: Vec<String>) -> Twisted {
        Twisted {
            texts,
            fault: Some(self.fault),
            stays: false,
        }
    }
}

// === impl Twisted ===

impl Twisted {
    /// The fault waits for another message.
    pub(super) fn waiting(texts: Vec<String>) -> Self {
        Self {
            texts,
            fault: None,
            stays: true,
        }
    }
}

/// The first number behind a key, and what is before and after it.
fn around<'a>(text: &'a str, key: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let at = text.find(key)? + key.len();
    let length = text[at..].find([',', '}'])?;
    Some((&text[..at], &text[at..at + length], &text[at + length..]))
}

/// `"checksum":157` is `"checksum":"157"`.
fn with_a_sum_as_text(text: &str) -> String {
    let found = around(text, "\"checksum\":");
    found.map_or_else(
        || text.to_owned(),
        |(before, sum, after)| format!("{before}\"{sum}\"{after}"),
    )
}

/// A message that says its symbol twice.
fn with_a_key_twice(text: &str) -> String {
    let found = around(text, "\"symbol\":");
    found.map_or_else(
        || text.to_owned(),
        |(before, symbol, after)| format!("{before}{symbol},\"symbol\":{symbol}{after}"),
    )
}

/// A message with the zero date.
fn with_the_time_zero(text: &str) -> String {
    let found = around(text, "\"timestamp\":");
    found.map_or_else(
        || text.to_owned(),
        |(before, _, after)| format!("{before}\"{}\"{after}", time::ZERO),
    )
}

/// Bare decimals with an exponent: `63388.7` is written `633887e-1`, `0.00` is `0e0`.
fn with_exponents(text: &str) -> String {
    let number = |c: char| c.is_ascii_digit() || c == '.' || c == '-';
    let mut written = String::with_capacity(text.len() + 50);
    // Texts are at odd places.
    for (place, part) in text.split('"').enumerate() {
        if place > 0 {
            written.push('"');
        }
        if place % 2 == 1 {
            written.push_str(part);
            continue;
        }
        let begin = part.find(number).unwrap_or(part.len());
        let (before, rest) = part.split_at(begin);
        let end = rest.find(|c| !number(c)).unwrap_or(rest.len());
        written.push_str(before);
        written.push_str(&exponent(&rest[..end]));
        written.push_str(&rest[end..]);
    }
    written
}

fn exponent(number: &str) -> String {
    let Some((whole, fraction)) = number.split_once('.') else {
        return number.to_owned();
    };
    let (sign, whole) = match whole.strip_prefix('-') {
        Some(whole) => ("-", whole),
        None => ("", whole),
    };
    let all = format!("{whole}{fraction}");
    match all.trim_start_matches('0') {
        "" => "0e0".to_owned(),
        figures => format!("{sign}{figures}e-{}", fraction.len()),
    }
}

/// A message that is so large, because it removes offers far away that are not there.
fn grown(text: &str, names: &Names, size: usize) -> String {
    const KEY: &str = "\"asks\":[";
    let Some(begin) = text.find(KEY).map(|at| at + KEY.len()) else {
        return text.to_owned();
    };
    let mut grown = String::with_capacity(size + 200);
    grown.push_str(&text[..begin]);
    let zero = super::number::fixed(0, names.digits.1);
    let mut price = FAR_AWAY;
    while grown.len() < size {
        let written = super::number::fixed(price, names.digits.0);
        // Writing into a string cannot fail.
        let _ = write!(grown, r#"{{"price":{written},"qty":{zero}}},"#);
        price += i128::from(ONE);
    }
    let after = &text[begin..];
    if after.starts_with(']') {
        grown.pop();
    }
    grown.push_str(after);
    grown
}

/// No offer is so high.
const FAR_AWAY: i128 = 5_000_000 * ONE as i128;

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            symbol: "BTC/USD".to_owned(),
            digits: (1, 8),
        }
    }

    fn message(touches: bool) -> BookMessage {
        BookMessage {
            bids: vec![(6_338_870_000_000, 5_100), (6_338_860_000_000, 0)],
            sum: Some(157),
            us: 1,
            touches,
            ..BookMessage::default()
        }
    }

    fn twisted(fault: Fault) -> String {
        let mut twisted = Twist::new(fault).book(message(true), &names());
        assert_eq!(twisted.fault, Some(fault));
        twisted.texts.remove(0)
    }

    #[test]
    fn texts_go_wrong_as_they_should() {
        let text = messages::book(&names(), &message(true));
        let checks = [
            (Fault::WrongSum, text.replace(":157", ":4294967138")),
            (Fault::AbsentSum, text.replace("\"checksum\":157,", "")),
            (Fault::ChangedType, text.replace("157", "\"157\"")),
            (
                Fault::DoubledKey,
                text.replace(
                    "\"symbol\":\"BTC/USD\"",
                    "\"symbol\":\"BTC/USD\",\"symbol\":\"BTC/USD\"",
                ),
            ),
        ];
        for (fault, expected) in checks {
            assert_eq!(twisted(fault), expected);
        }
        let reversed = twisted(Fault::ReorderedKeys);
        assert!(reversed.contains(r#""asks":[],"bids":[{"qty":0.00005100,"price":63388.7}"#));
        let huge = twisted(Fault::HugeDepth);
        assert!(huge.len() >= HUGE);
        assert!(serde_json::from_str::<serde_json::Value>(&huge).is_ok());
        let less = Twist::new(Fault::LostLevel).book(message(false), &names());
        assert!(!less.texts[0].contains("63388.7"));
    }

    #[test]
    fn faults_wait_for_a_message_that_fits() {
        for (fault, fits) in [(Fault::SkippedDepth, true), (Fault::SkippedDeep, false)] {
            let mut twist = Twist::new(fault);
            let waiting = twist.book(message(!fits), &names());
            assert!(waiting.stays && waiting.texts.len() == 1);
            let done = twist.book(message(fits), &names());
            assert!(!done.stays && done.texts.is_empty());
        }
    }

    #[test]
    fn bare_numbers_get_exponents() {
        let text = r#"{"a":[{"x":"2.5","y":63388.7,"z":-0.50}],"n":7,"o":0.00}"#;
        let expected = r#"{"a":[{"x":"2.5","y":633887e-1,"z":-50e-2}],"n":7,"o":0e0}"#;
        assert_eq!(with_exponents(text), expected);
        let dated = r#"{"timestamp":"2026-08-02T03:35:50.983359Z"}"#;
        assert!(with_the_time_zero(dated).contains("0001-01-01T"));
    }
}
