//! How a message of a stream goes wrong.

use crate::fault::Fault;
use crate::garble::{HUGE, half};
use std::fmt::Write as _;

/// A fault that waits for the messages of a stream.
#[derive(Debug)]
pub(super) struct Twist {
    fault: Fault,
    /// The stream's name, as subscribed.
    pub(super) stream: String,
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
    pub(super) fn new(fault: Fault, stream: String) -> Self {
        Self {
            fault,
            stream,
            held: None,
            applied: false,
        }
    }

    /// What becomes of the next message.
    pub(super) fn apply(&mut self, text: String) -> Twisted {
        let texts = match self.fault {
            Fault::SilentStream | Fault::AckWithoutData => {
                // Silence without an acknowledgement before it was noted with the acknowledgement.
                let first = !std::mem::replace(&mut self.applied, true);
                let fault = (first && self.fault == Fault::SilentStream).then_some(self.fault);
                return Twisted {
                    texts: Vec::new(),
                    fault,
                    stays: true,
                };
            }
            Fault::SwappedDepth => match self.held.take() {
                None => {
                    self.held = Some(text);
                    return Twisted::waiting(None);
                }
                Some(held) => vec![text, held],
            },
            Fault::SkippedDepth | Fault::LostTrade => Vec::new(),
            Fault::RepeatedDepth | Fault::RepeatedTrade => vec![text.clone(), text],
            Fault::GarbageFrame => vec![half(&text)],
            Fault::Exponents => vec![with_exponents(&text)],
            Fault::DoubledKey => vec![with_a_key_twice(&text)],
            other => {
                let twisted = match other {
                    Fault::LostLevel => without_a_level(&text),
                    Fault::ChangedType => with_changed_type(&text),
                    _ => grown(&text, HUGE),
                };
                match twisted {
                    Some(twisted) => vec![twisted],
                    None => return Twisted::waiting(Some(text)),
                }
            }
        };
        Twisted {
            texts,
            fault: Some(self.fault),
            stays: false,
        }
    }
}

// === impl Twisted ===

impl Twisted {
    /// No fault waits for the message.
    pub(super) fn unchanged(text: String) -> Self {
        Self::waiting(Some(text))
    }

    /// The fault waits for another message.
    fn waiting(text: Option<String>) -> Self {
        Self {
            texts: text.into_iter().collect(),
            fault: None,
            stays: true,
        }
    }
}

/// Decimals with an exponent: `"61837.63000000"` is written `"6183763e-2"`, `"0.00000000"` is `"0e0"`.
pub(super) fn with_exponents(text: &str) -> String {
    let parts: Vec<String> = text.split('"').map(exponent).collect();
    parts.join("\"")
}

/// A part between quotation marks; what is no decimal stays.
fn exponent(part: &str) -> String {
    let Some((whole, fraction)) = part.split_once('.') else {
        return part.to_owned();
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return part.to_owned();
    }
    let fraction = fraction.trim_end_matches('0');
    let all = format!("{whole}{fraction}");
    let number = all.trim_start_matches('0');
    if number.is_empty() {
        return "0e0".to_owned();
    }
    format!("{number}e-{}", fraction.len())
}

/// A message that says its kind twice.
fn with_a_key_twice(text: &str) -> String {
    let key = "\"e\":\"depthUpdate\",";
    text.replacen(key, &format!("{key}{key}"), 1)
}

/// A number that is a string now: `"U":157` is `"U":"157"`. `None` if there is no such number.
pub(super) fn with_changed_type(text: &str) -> Option<String> {
    for key in ["\"U\":", "\"t\":"] {
        let Some(at) = text.find(key).map(|at| at + key.len()) else {
            continue;
        };
        let length = text[at..].find(|c: char| !c.is_ascii_digit())?;
        let (before, number, after) = (&text[..at], &text[at..at + length], &text[at + length..]);
        return Some(format!("{before}\"{number}\"{after}"));
    }
    None
}

/// A message without its first level. `None` if it has none.
pub(super) fn without_a_level(text: &str) -> Option<String> {
    let begin = text.find("[[")? + 1;
    let mut end = begin + text[begin..].find(']')? + 1;
    if text[end..].starts_with(',') {
        end += 1;
    }
    Some(format!("{}{}", &text[..begin], &text[end..]))
}

/// A depth message that is so large, because it removes offers far away that are not there.
pub(super) fn grown(text: &str, size: usize) -> Option<String> {
    let begin = text.find("\"a\":[")? + "\"a\":[".len();
    let mut grown = String::with_capacity(size + 100);
    grown.push_str(&text[..begin]);
    let mut cents: u64 = 0;
    while grown.len() < size {
        let (whole, rest) = (FAR_AWAY + cents / 100, cents % 100);
        // Writing into a string cannot fail.
        let _ = write!(grown, "[\"{whole}.{rest:02}000000\",\"0.00000000\"],");
        cents += 1;
    }
    let after = &text[begin..];
    if after.starts_with(']') {
        grown.pop();
    }
    grown.push_str(after);
    Some(grown)
}

/// No offer is so high.
const FAR_AWAY: u64 = 500_000;

#[cfg(test)]
mod tests {
    use super::*;

    const DEPTH: &str =
        r#"{"e":"depthUpdate","U":157,"u":160,"b":[["0.0024","10.50"],["0.0020","0.00"]],"a":[]}"#;

    #[test]
    fn texts_go_wrong_as_they_should() {
        let expected =
            r#"{"e":"depthUpdate","U":157,"u":160,"b":[["24e-4","105e-1"],["2e-3","0e0"]],"a":[]}"#;
        assert_eq!(with_exponents(DEPTH), expected);
        assert_eq!(
            with_changed_type(DEPTH),
            Some(DEPTH.replace("157", "\"157\""))
        );
        assert_eq!(with_changed_type("{}"), None);
        let less = without_a_level(DEPTH).unwrap();
        assert_eq!(less, DEPTH.replace(r#"["0.0024","10.50"],"#, ""));
        let none = without_a_level(&less).unwrap();
        assert!(none.contains(r#""b":[],"a":[]"#));
        assert_eq!(without_a_level(&none), None);
        let grown = grown(DEPTH, 2_000).unwrap();
        assert!(grown.len() >= 2_000);
        assert!(serde_json::from_str::<serde_json::Value>(&grown).is_ok());
    }
}
