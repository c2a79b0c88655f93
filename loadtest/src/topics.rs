//! The names of topics and their numbers: a beginning, a number, an end.
//!
//! Names are made once; numbers are read on every frame, by comparing both ends.

use crate::frame::number;

/// Names that differ in a number, or one name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TopicNames {
    prefix: Vec<u8>,
    suffix: Vec<u8>,
    numbered: bool,
}

impl TopicNames {
    /// Of a pattern in which `{n}` stands for the number; without it there is one topic, number 0.
    pub fn new(pattern: &str) -> Self {
        let (prefix, suffix) = pattern.split_once("{n}").unwrap_or((pattern, ""));
        Self {
            prefix: prefix.as_bytes().to_vec(),
            suffix: suffix.as_bytes().to_vec(),
            numbered: pattern.contains("{n}"),
        }
    }

    /// The name of the topic with a number.
    pub fn name(&self, topic: u32) -> String {
        let text = String::from_utf8_lossy;
        if self.numbered {
            format!("{}{topic}{}", text(&self.prefix), text(&self.suffix))
        } else {
            text(&self.prefix).into_owned()
        }
    }

    /// The number of a name; none if it is not one of these.
    #[inline]
    pub fn number(&self, name: &[u8]) -> Option<u32> {
        let rest = name.strip_prefix(self.prefix.as_slice())?;
        let digits = rest.strip_suffix(self.suffix.as_slice())?;
        if !self.numbered {
            return digits.is_empty().then_some(0);
        }
        let (number, rest) = number(digits)?;
        rest.is_empty()
            .then(|| u32::try_from(number).ok())
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        let names = TopicNames::new("trade:bench:T{n}-USD");
        assert_eq!(names.name(17), "trade:bench:T17-USD");
        for topic in [0, 7, 999, u32::MAX] {
            assert_eq!(names.number(names.name(topic).as_bytes()), Some(topic));
        }
        for other in [
            "trade:bench:T-USD",
            "trade:sim:T1-USD",
            "trade:bench:T1-USDT",
            "trade:bench:T99999999999-USD",
        ] {
            assert_eq!(names.number(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn one_name_has_the_number_zero() {
        let names = TopicNames::new("quote:sim:BTC-USD");
        assert_eq!(names.name(0), "quote:sim:BTC-USD");
        assert_eq!(names.number(b"quote:sim:BTC-USD"), Some(0));
        assert_eq!(names.number(b"quote:sim:BTC-USDT"), None);
        assert_eq!(names.number(b"quote:sim:BTC-US"), None);
    }
}
