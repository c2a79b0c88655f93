//! Names of venues and instruments, and the properties of an instrument.

use crate::scale::Scale;
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// A venue's name in topics: lower-case letters, digits and hyphens, at most 32 bytes.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Venue(Arc<str>);

/// An instrument's name in topics: letters, digits, `.`, `_` and `-`, at most 64 bytes. Hyphens stand
/// between its parts, of which none is empty. Needs no escaping in JSON, URLs or logs.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Symbol(Arc<str>);

/// A text that is not a name, and why.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text:?} is not a {noun}; write {rule}")]
pub struct NameError {
    text: String,
    noun: &'static str,
    rule: &'static str,
}

crate::place! {
    /// An instrument's index in the [`Catalog`](crate::Catalog), dense, and its generation: the index of
    /// an instrument that ended is used again, so that an old id must not be taken for the new one's. An
    /// instrument whose scales change keeps its index.
    InstrumentId
}

/// The properties of an instrument. They do not change: if its scales change, another instrument takes its
/// place ([`Catalog::redefine`](crate::Catalog::redefine)).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Instrument {
    /// Its index in the catalogue.
    pub id: InstrumentId,
    /// Where it trades.
    pub venue: Venue,
    /// Its name in topics.
    pub symbol: Symbol,
    /// The venue's own name for it.
    pub native: Box<str>,
    /// Digits after the point of its prices.
    pub price_scale: Scale,
    /// Digits after the point of its quantities.
    pub qty_scale: Scale,
    /// Its source is a replay that waits for slow readers, so nothing of it may be conflated.
    pub lossless: bool,
}

macro_rules! name {
    ($type:ident, $noun:literal, $max:literal, $rule:literal, $allowed:expr, $whole:expr) => {
        impl $type {
            /// Checks and keeps a name.
            ///
            /// # Errors
            /// If it is empty, too long, has a character that names do not have, or lacks a part.
            pub fn new(text: &str) -> Result<Self, NameError> {
                let (allowed, whole): (fn(u8) -> bool, fn(&str) -> bool) = ($allowed, $whole);
                let has_length = (1..=$max).contains(&text.len());
                if !has_length || !text.bytes().all(allowed) || !whole(text) {
                    return Err(NameError {
                        text: text.to_owned(),
                        noun: $noun,
                        rule: $rule,
                    });
                }
                Ok(Self(Arc::from(text)))
            }

            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name!(
    Venue,
    "venue",
    32,
    "1 to 32 lower-case letters, digits and hyphens",
    |b| { b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' },
    |_| true
);
name!(
    Symbol,
    "symbol",
    64,
    "1 to 64 letters, digits, dots, underscores, and hyphens between them",
    |b| { b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-') },
    |text| { text.split('-').all(|part| !part.is_empty()) }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_symbol_is_empty() {
        for good in ["BTC-USDT", "BRK.B", "ETH-USD-220325-8800-P", "_-.", "a"] {
            assert_eq!(Symbol::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "-",
            "-USDT",
            "BTC-",
            "BTC--USDT",
            "BTC-USDT-",
            "--",
            "B C",
        ] {
            let refusal = Symbol::new(bad).unwrap_err().to_string();
            assert!(refusal.contains("hyphens between them"), "{bad}: {refusal}");
        }
    }
}
