//! simd-json's tape, with memory that is kept from message to message, and typed access to its nodes.
//!
//! It is used for venues that send decimals as strings. Of numbers, only integers and steps of
//! few digits are read from the tape: a float there has lost further digits.

use super::Reject;
use crate::spare::SPARE_MAX;
use simd_json::Buffers;
use simd_json::prelude::*;
use simd_json::tape::{Tape, Value, array};
use tapecast_model::Decimal;

/// A parser that keeps its memory.
pub struct Json {
    buffers: Buffers,
    tape: Tape<'static>,
}

/// A value of a parsed message.
#[derive(Clone, Copy, Debug)]
pub struct Node<'t, 'i: 't>(Value<'t, 'i>);

/// The items of an array.
pub struct Items<'t, 'i: 't>(Option<array::Iter<'t, 'i>>);

impl Default for Json {
    fn default() -> Self {
        Self {
            buffers: Buffers::default(),
            tape: Tape(Vec::new()),
        }
    }
}

impl Json {
    /// Parses a message, rewriting it, and gives its root to `read`.
    ///
    /// # Errors
    /// If it is not JSON, or `read` fails.
    pub fn read<R>(
        &mut self,
        raw: &mut [u8],
        read: impl FnOnce(Node<'_, '_>) -> Result<R, Reject>,
    ) -> Result<R, Reject> {
        if raw.is_empty() {
            return Err(Reject::Malformed);
        }
        let is_large = raw.len() > SPARE_MAX;
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let filled = simd_json::fill_tape(raw, &mut self.buffers, &mut tape);
        let result = match filled {
            Ok(()) => read(Node(tape.as_value())),
            Err(error) if matches!(error.error(), simd_json::ErrorType::InvalidUtf8) => {
                Err(Reject::Utf8)
            }
            Err(_) => Err(Reject::Malformed),
        };
        if is_large {
            // The memory for a rare large message is not kept, or each line has it.
            self.buffers = Buffers::default();
        } else {
            self.tape = tape.reset();
        }
        result
    }
}

impl<'t, 'i> Node<'t, 'i> {
    /// A member of an object; of a key that is there more than once the last.
    pub fn get(self, key: &'static str) -> Option<Self> {
        let members = self.0.as_object()?.iter();
        let found = members.filter(|(name, _)| *name == key).last();
        found
            .map(|(_, value)| Self(value))
            .filter(|v| !v.0.is_null())
    }

    /// A member of an object, of which a reject names the key.
    ///
    /// # Errors
    /// If it is not there.
    pub fn need(self, key: &'static str) -> Result<Self, Reject> {
        self.get(key).ok_or(Reject::Missing(key))
    }

    /// The text of a string.
    pub fn as_text(self) -> Option<&'i str> {
        self.0.into_string()
    }

    /// A string member, none if it is absent, empty or no string.
    pub fn text_of(self, key: &'static str) -> Option<&'i str> {
        self.get(key)
            .and_then(Self::as_text)
            .filter(|t| !t.is_empty())
    }

    /// A string member that must be there and not empty.
    ///
    /// # Errors
    /// If it is not.
    pub fn text(self, key: &'static str) -> Result<&'i str, Reject> {
        self.text_of(key).ok_or(Reject::Missing(key))
    }

    /// An integer member that must be there, as a number or a string of digits.
    ///
    /// # Errors
    /// If it is not there or no such integer.
    pub fn uint(self, key: &'static str) -> Result<u64, Reject> {
        let node = self.need(key)?;
        node.as_uint().ok_or(Reject::Number(key))
    }

    /// An integer member that need not be there; an empty string says that it is not.
    ///
    /// # Errors
    /// If it is there and no such integer.
    pub fn uint_of(self, key: &'static str) -> Result<Option<u64>, Reject> {
        self.get(key)
            .filter(|node| node.as_text() != Some(""))
            .map(|node| node.as_uint().ok_or(Reject::Number(key)))
            .transpose()
    }

    /// A signed integer member that need not be there; an empty string says that it is not.
    ///
    /// # Errors
    /// If it is there and no such integer.
    pub fn int_of(self, key: &'static str) -> Result<Option<i64>, Reject> {
        let read = |node: Self| {
            let text = || node.as_text().and_then(|t| t.parse().ok());
            node.0.as_i64().or_else(text).ok_or(Reject::Number(key))
        };
        let given = self.get(key).filter(|node| node.as_text() != Some(""));
        given.map(read).transpose()
    }

    /// A boolean member.
    pub fn flag(self, key: &'static str) -> Option<bool> {
        self.get(key).and_then(|node| node.0.as_bool())
    }

    /// The items of an array member that must be there.
    ///
    /// # Errors
    /// If it is not there or no array.
    pub fn items(self, key: &'static str) -> Result<Items<'t, 'i>, Reject> {
        let array = self.get(key).and_then(|node| node.0.as_array());
        array
            .map(|a| Items(Some(a.iter())))
            .ok_or(Reject::Missing(key))
    }

    /// The items of this array; none if it is not an array.
    pub fn elements(self) -> Items<'t, 'i> {
        Items(self.0.as_array().map(|a| a.iter()))
    }

    /// Whether this is an array.
    pub fn is_array(self) -> bool {
        self.0.is_array()
    }

    /// Whether this is an object.
    pub fn is_object(self) -> bool {
        self.0.is_object()
    }

    fn as_uint(self) -> Option<u64> {
        self.0
            .as_u64()
            .or_else(|| self.as_text().and_then(|t| t.parse().ok()))
    }

    /// A decimal member of few digits, as a number or a string; none if it is absent or no such decimal. A number of
    /// at most fifteen digits is spelled as the venue spelled it, so it is exact.
    pub fn few_digits(self, key: &'static str) -> Option<Decimal> {
        let node = self.get(key)?;
        if let Some(text) = node.as_text() {
            return Decimal::parse(text.as_bytes()).ok();
        }
        let spelled = match node.as_uint() {
            Some(whole) => whole.to_string(),
            None => node.0.as_f64()?.to_string(),
        };
        let digits = spelled.trim_start_matches(['-', '0', '.']).bytes();
        let is_exact = digits.filter(u8::is_ascii_digit).count() <= 15;
        let decimal = Decimal::parse(spelled.as_bytes()).ok();
        decimal.filter(|_| is_exact)
    }

    /// The price and the size of a level `["price", "size", …]`.
    ///
    /// # Errors
    /// If it is not such an array.
    pub fn level(self) -> Result<(&'i str, &'i str), Reject> {
        let mut items = self.elements();
        let mut next = || items.next().and_then(Node::as_text);
        match (next(), next()) {
            (Some(price), Some(qty)) => Ok((price, qty)),
            _ => Err(Reject::Number("level")),
        }
    }
}

impl<'t, 'i> Iterator for Items<'t, 'i> {
    type Item = Node<'t, 'i>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.as_mut()?.next().map(Node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_of_few_digits_is_what_was_written() {
        for (text, expected) in [
            ("1e-08", Some("0.00000001")),
            ("0.1", Some("0.1")),
            ("0.00500", Some("0.005")),
            ("25", Some("25")),
            ("1e3", Some("1000")),
            ("\"0.050\"", Some("0.05")),
            ("0.1234567890123456789", None),
            ("\"x\"", None),
            ("null", None),
            ("true", None),
        ] {
            let mut json = Json::default();
            let read = json.read(&mut format!("{{\"a\":{text}}}").into_bytes(), |root| {
                Ok((root.few_digits("a"), root.few_digits("b")))
            });
            let (read, absent) = read.unwrap();
            assert_eq!(read.map(|d| d.to_string()).as_deref(), expected, "{text}");
            assert_eq!(absent, None);
        }
    }

    #[test]
    fn what_is_not_json_says_why() {
        let mut json = Json::default();
        let mut read = |text: &[u8]| json.read(&mut text.to_vec(), |_| Ok(()));
        assert_eq!(read(b""), Err(Reject::Malformed));
        assert_eq!(read(b"{\"a\":"), Err(Reject::Malformed));
        assert_eq!(read(b"{\"a\":\"\xff\"}"), Err(Reject::Utf8));
        assert_eq!(read(b"{} {}"), Err(Reject::Malformed));
        assert_eq!(read(b"{\"a\":1}"), Ok(()));
    }

    #[test]
    fn members_are_typed_and_named_when_they_are_not_there() {
        let mut json = Json::default();
        let mut raw =
            br#"{"u":18446744073709551615,"t":"12","n":null,"f":1.5,"e":"","i":-1,"d":{"d":7},"d":1,"d":2,"g":1,"g":null}"#.to_vec();
        json.read(&mut raw, |root| {
            assert_eq!(root.uint("d"), Ok(2));
            assert!(root.get("g").is_none());
            assert_eq!(root.uint("u"), Ok(u64::MAX));
            assert_eq!(root.uint("t"), Ok(12));
            assert_eq!(root.uint("n"), Err(Reject::Missing("n")));
            assert_eq!(root.uint("f"), Err(Reject::Number("f")));
            assert_eq!(root.text("e"), Err(Reject::Missing("e")));
            assert_eq!(root.int_of("i"), Ok(Some(-1)));
            assert_eq!(root.int_of("x"), Ok(None));
            assert_eq!((root.int_of("e"), root.uint_of("e")), (Ok(None), Ok(None)));
            assert_eq!(root.uint("e"), Err(Reject::Number("e")));
            assert!(root.items("u").is_err());
            Ok(())
        })
        .unwrap();
    }
}
