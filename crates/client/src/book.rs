//! A topic's price levels as a client sees them, checked with the checksum of every frame.
//!
//! Prices stay the text that was sent, and are compared as numbers, digit by digit: no float, no scale,
//! no limit on length. Both sides are sorted with the best level **last**, as in the server, so that
//! changes near the top move few bytes.
//!
//! # What can be wrong
//! A level that is not a decimal, a book deeper than its topic, or a wrong checksum is a [`BookError`].
//! Do not use the book after it until the next snapshot, which replaces the book. This module does not
//! decide whether a frame applies: see [`crate::stream`].

use crate::message::{Body, DataFrame, Level};
use std::cmp::Ordering;

/// The book of one topic.
#[derive(Clone, Debug)]
pub struct ClientBook {
    depth: usize,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

/// Why a book cannot be trusted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BookError {
    /// The name is not that of a book topic.
    #[error("{0:?} is not a book topic; write book.N:venue:symbol")]
    Topic(String),
    /// The frame carries something else than levels.
    #[error("a frame of {0} contains no book levels")]
    NotLevels(String),
    /// A price or size that is no decimal.
    #[error("{0:?} is not a decimal")]
    Decimal(String),
    /// More levels than the topic shows: levels that fall out should have been removed.
    #[error("one side of the book has {levels} levels, but its depth is {depth}; send resync")]
    TooDeep {
        /// How many there are.
        levels: usize,
        /// How many there may be.
        depth: usize,
    },
    /// The levels are not what the server has.
    #[error(
        "the book's checksum at seq {seq} is {computed}, but the frame says {expected}; send resync"
    )]
    Checksum {
        /// What the frame says.
        expected: u32,
        /// What our levels make.
        computed: u32,
        /// The frame.
        seq: u64,
    },
}

/// How many levels of each side the checksum covers.
const CHECKSUM_LEVELS: usize = 10;

// === impl ClientBook ===

impl ClientBook {
    /// An empty book of a topic, `book.N:venue:symbol`.
    ///
    /// # Errors
    /// If the name is not that of a book topic.
    pub fn new(topic: &str) -> Result<Self, BookError> {
        let depth = topic
            .strip_prefix("book.")
            .and_then(|rest| rest.split(':').next())
            .and_then(|depth| depth.parse().ok());
        let depth = depth.ok_or_else(|| BookError::Topic(topic.to_owned()))?;
        Ok(Self {
            depth,
            bids: Vec::new(),
            asks: Vec::new(),
        })
    }

    /// Applies a frame that the rule for clients lets apply, and verifies the outcome.
    ///
    /// # Errors
    /// If the book cannot be trusted any more: ask for a resync.
    pub fn apply(&mut self, frame: &DataFrame) -> Result<(), BookError> {
        let Body::Book(levels) = &frame.body else {
            return Err(BookError::NotLevels(frame.topic.clone()));
        };
        if frame.is_snapshot() && frame.is_first_part() {
            self.bids.clear();
            self.asks.clear();
        }
        for level in &levels.bids {
            set(&mut self.bids, level, compare)?;
        }
        for level in &levels.asks {
            set(&mut self.asks, level, |a, b| compare(b, a))?;
        }
        let deepest = self.bids.len().max(self.asks.len());
        if deepest > self.depth {
            return Err(BookError::TooDeep {
                levels: deepest,
                depth: self.depth,
            });
        }
        match levels.checksum.filter(|_| frame.is_last_part()) {
            Some(expected) => {
                let computed = self.checksum();
                let seq = frame.seq;
                if expected == computed {
                    Ok(())
                } else {
                    Err(BookError::Checksum {
                        expected,
                        computed,
                        seq,
                    })
                }
            }
            None => Ok(()),
        }
    }

    /// Bids, best first.
    pub fn bids(&self) -> impl ExactSizeIterator<Item = &Level> {
        self.bids.iter().rev()
    }

    /// Asks, best first.
    pub fn asks(&self) -> impl ExactSizeIterator<Item = &Level> {
        self.asks.iter().rev()
    }

    /// CRC-32 (IEEE) of `price:qty:price:qty…` of the best asks rising, then the best bids falling:
    /// ten of each, or as many as the topic shows or there are.
    pub fn checksum(&self) -> u32 {
        let covered = self.depth.min(CHECKSUM_LEVELS);
        let mut crc = crc32fast::Hasher::new();
        let mut first = true;
        for level in self.asks().take(covered).chain(self.bids().take(covered)) {
            if !std::mem::take(&mut first) {
                crc.update(b":");
            }
            crc.update(level.price.as_bytes());
            crc.update(b":");
            crc.update(level.qty.as_bytes());
        }
        crc.finalize()
    }
}

/// Sets the level at a price, or removes it if the size is zero. `order` puts the best level last.
fn set(
    side: &mut Vec<Level>,
    level: &Level,
    order: fn(&str, &str) -> Ordering,
) -> Result<(), BookError> {
    for text in [&level.price, &level.qty] {
        if !is_decimal(text) {
            return Err(BookError::Decimal(text.chars().take(64).collect()));
        }
    }
    let place = side.binary_search_by(|l| order(&l.price, &level.price));
    match (place, is_zero(&level.qty)) {
        (Ok(at), true) => drop(side.remove(at)),
        (Ok(at), false) => side[at] = level.clone(),
        (Err(_), true) => {}
        (Err(at), false) => side.insert(at, level.clone()),
    }
    Ok(())
}

/// `[-]digits[.digits]`.
fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    digits(whole) && digits(fraction)
}

fn is_zero(decimal: &str) -> bool {
    decimal.bytes().all(|b| matches!(b, b'0' | b'.' | b'-'))
}

/// Compares two decimal texts as the numbers they spell.
pub(crate) fn compare(left: &str, right: &str) -> Ordering {
    let negative = |text: &str| text.starts_with('-') && !is_zero(text);
    match (negative(left), negative(right)) {
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, false) => compare_magnitude(left, right),
        (true, true) => compare_magnitude(right, left),
    }
}

fn compare_magnitude(left: &str, right: &str) -> Ordering {
    let ((left_whole, left_fraction), (right_whole, right_fraction)) = (parts(left), parts(right));
    (left_whole.len(), left_whole, left_fraction).cmp(&(
        right_whole.len(),
        right_whole,
        right_fraction,
    ))
}

/// The digits before the point without leading zeros, and after it without trailing ones.
fn parts(text: &str) -> (&str, &str) {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    (
        whole.trim_start_matches('0'),
        fraction.trim_end_matches('0'),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    fn frame(kind: &str, seq: u64, rest: &str) -> DataFrame {
        let prev = if kind == "update" {
            format!(r#""prev":{},"#, seq - 1)
        } else {
            String::new()
        };
        let text = format!(
            r#"{{"topic":"book.10:sim:A-B","type":"{kind}","epoch":1,"seq":{seq},{prev}{rest}}}"#
        );
        Message::parse(&text).unwrap().data().unwrap().clone()
    }

    fn book() -> ClientBook {
        ClientBook::new("book.10:sim:A-B@250ms").unwrap()
    }

    fn crc(text: &str) -> u32 {
        crc32fast::hash(text.as_bytes())
    }

    #[test]
    fn numbers_are_compared_and_not_their_spelling() {
        for (left, right, expected) in [
            ("9", "10", Ordering::Less),
            ("1.5", "1.50", Ordering::Equal),
            ("0.00000000001", "0.000000000011", Ordering::Less),
            (
                "100000000000000000000000000000000000000000.1",
                "1",
                Ordering::Greater,
            ),
            ("0.9", "0.10", Ordering::Greater),
            ("-2", "-1", Ordering::Less),
            ("-1", "0", Ordering::Less),
            ("-0", "0", Ordering::Equal),
        ] {
            assert_eq!(compare(left, right), expected, "{left} {right}");
            assert_eq!(compare(right, left), expected.reverse(), "{right} {left}");
        }
    }

    #[test]
    fn the_checksum_of_a_frame_is_verified() {
        let sum = crc("65083.67:0.24290402:65083.66:0.20371215:65083.27:0.02244516");
        let levels = r#""bids":[["65083.66","0.20371215"],["65083.27","0.02244516"]],"asks":[["65083.67","0.24290402"]]"#;
        let mut book = book();
        assert_eq!(book.checksum(), crc(""));
        book.apply(&frame(
            "snapshot",
            1,
            &format!(r#"{levels},"checksum":{sum}"#),
        ))
        .unwrap();
        let sum = crc("65083.67:0.24290402:65083.27:9");
        let change = r#""bids":[["65083.66","0"],["65083.27","9"]],"asks":[]"#;
        let right = frame("update", 2, &format!(r#"{change},"checksum":{sum}"#));
        book.clone().apply(&right).unwrap();
        let wrong = frame("update", 2, &format!(r#"{change},"checksum":1"#));
        let error = BookError::Checksum {
            expected: 1,
            computed: sum,
            seq: 2,
        };
        assert_eq!(book.apply(&wrong), Err(error));
    }

    #[test]
    fn a_snapshot_in_parts_is_one_snapshot() {
        let sum = crc("3:1:4:1");
        let mut book = book();
        book.apply(&frame("snapshot", 1, r#""bids":[["9","1"]],"asks":[]"#))
            .unwrap();
        let first = format!(r#""part":[1,2],"bids":[],"asks":[["4","1"]],"checksum":{sum}"#);
        book.apply(&frame("snapshot", 5, &first)).unwrap();
        let second = format!(r#""part":[2,2],"bids":[],"asks":[["3","1"]],"checksum":{sum}"#);
        book.apply(&frame("snapshot", 5, &second)).unwrap();
        assert_eq!(
            book.asks().map(|l| l.price.as_str()).collect::<Vec<_>>(),
            ["3", "4"]
        );
        assert_eq!(book.bids().len(), 0);
    }

    #[test]
    fn what_cannot_be_right_is_refused() {
        assert!(matches!(
            ClientBook::new("quote:sim:A-B"),
            Err(BookError::Topic(_))
        ));
        let mut shallow = ClientBook::new("book.1:sim:A-B").unwrap();
        let deep = frame("snapshot", 1, r#""bids":[["1","1"],["2","1"]],"asks":[]"#);
        assert_eq!(
            shallow.apply(&deep),
            Err(BookError::TooDeep {
                levels: 2,
                depth: 1
            })
        );
        for price in ["", "1e5", ".5", "1.", "+1", "NaN"] {
            let bad = frame(
                "snapshot",
                1,
                &format!(r#""bids":[["{price}","1"]],"asks":[]"#),
            );
            assert_eq!(book().apply(&bad), Err(BookError::Decimal(price.into())));
        }
    }
}
