//! A pull reader over JSON text that returns numbers and strings *exactly as they are written*.
//!
//! It is used where the digits as sent matter (Kraken sends bare numbers and uses their text in
//! checksums), where the text must not be rewritten (lines of a recording), and for the short lines of
//! push sources, where one pass without a tape is fastest. It checks the grammar of everything that it
//! skips, allocates nothing, and accepts a depth of at most [`DEPTH_MAX`].

use super::plain::ends_of_strings;
use std::borrow::Cow;

/// How deep arrays and objects may nest.
pub const DEPTH_MAX: usize = 64;

/// Where and why a text is not JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected {expected} at byte {at}")]
pub struct Syntax {
    /// Offset in the text.
    pub at: usize,
    /// What would have been right there.
    pub expected: &'static str,
}

/// A place in a JSON text.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

/// A value that is not a container, as it is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scalar<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// The token of a number.
    Number(&'a str),
    /// A string.
    Text(Text<'a>),
}

/// A string as it is written between its quotes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Text<'a> {
    raw: &'a str,
    escaped: bool,
}

// === impl Cursor ===

impl<'a> Cursor<'a> {
    /// A cursor at the start of a text.
    pub const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Reads an object; `each` is called at the value of every key and must pass it.
    ///
    /// # Errors
    /// If there is no object here, or `each` fails.
    pub fn object<E: From<Syntax>>(
        &mut self,
        mut each: impl FnMut(&mut Self, Text<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.token(b'{', "an object")?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.token(b':', "':'")?;
            each(self, key)?;
            if self.more(b'}', "',' or '}'")? {
                continue;
            }
            return Ok(());
        }
    }

    /// Reads an array; `each` is called at every item and must pass it.
    ///
    /// # Errors
    /// If there is no array here, or `each` fails.
    pub fn array<E: From<Syntax>>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.token(b'[', "an array")?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            each(self)?;
            if self.more(b']', "',' or ']'")? {
                continue;
            }
            return Ok(());
        }
    }

    /// Reads a value that is not a container.
    ///
    /// # Errors
    /// If there is none here.
    pub fn scalar(&mut self) -> Result<Scalar<'a>, Syntax> {
        match self.peek() {
            Some(b'"') => self.string().map(Scalar::Text),
            Some(b'-' | b'0'..=b'9') => self.number().map(Scalar::Number),
            Some(b't') => self.word("true").map(|()| Scalar::Bool(true)),
            Some(b'f') => self.word("false").map(|()| Scalar::Bool(false)),
            Some(b'n') => self.word("null").map(|()| Scalar::Null),
            _ => Err(self.expected("a string, a number, true, false or null")),
        }
    }

    /// Passes any value and returns its text.
    ///
    /// # Errors
    /// If there is none here.
    pub fn value(&mut self) -> Result<&'a str, Syntax> {
        self.peek();
        let start = self.at;
        self.skip(0)?;
        Ok(&self.text[start..self.at])
    }

    /// Reads a string.
    ///
    /// # Errors
    /// If there is none here.
    pub fn string(&mut self) -> Result<Text<'a>, Syntax> {
        self.token(b'"', "a string")?;
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        loop {
            // Eight bytes at a time where there is nothing to look at.
            if let Some(next) = bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
                match ends_of_strings(u64::from_le_bytes(*next)) {
                    0 => {
                        self.at += 8;
                        continue;
                    }
                    found => self.at += found.trailing_zeros() as usize / 8,
                }
            }
            match bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0..0x20) | None => return Err(self.expected("the end of a string")),
                Some(_) => self.at += 1,
            }
        }
        let raw = &self.text[start..self.at];
        self.at += 1;
        Ok(Text { raw, escaped })
    }

    /// The next byte that is not white space.
    pub fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                other => return Some(*other),
            }
        }
        None
    }

    /// Whether nothing but white space is left.
    ///
    /// # Errors
    /// If there is more.
    pub fn end(&mut self) -> Result<(), Syntax> {
        if self.peek().is_none() {
            Ok(())
        } else {
            Err(self.expected("the end"))
        }
    }

    fn skip(&mut self, depth: usize) -> Result<(), Syntax> {
        if depth > DEPTH_MAX {
            return Err(self.expected("less nesting"));
        }
        match self.peek() {
            Some(b'{') => self.object(|inner, _| inner.skip(depth + 1)),
            Some(b'[') => self.array(|inner| inner.skip(depth + 1)),
            _ => self.scalar().map(|_| ()),
        }
    }

    fn number(&mut self) -> Result<&'a str, Syntax> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut at = start + usize::from(bytes.get(start) == Some(&b'-'));
        let digits = |at: &mut usize| {
            let from = *at;
            while bytes.get(*at).is_some_and(u8::is_ascii_digit) {
                *at += 1;
            }
            *at - from
        };
        let zero = bytes.get(at) == Some(&b'0');
        let whole = digits(&mut at);
        let mut good = whole == 1 || (whole > 1 && !zero);
        if bytes.get(at) == Some(&b'.') {
            at += 1;
            good &= digits(&mut at) > 0;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            at += 1;
            at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
            good &= digits(&mut at) > 0;
        }
        if !good {
            return Err(self.expected("a number"));
        }
        self.at = at;
        Ok(&self.text[start..at])
    }

    fn escape(&mut self) -> Result<(), Syntax> {
        let bytes = self.text.as_bytes();
        match bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') if hex4(bytes, self.at + 2).is_some() => self.at += 6,
            _ => return Err(self.expected("an escape")),
        }
        Ok(())
    }

    fn word(&mut self, word: &'static str) -> Result<(), Syntax> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.expected(word));
        }
        self.at += word.len();
        Ok(())
    }

    fn token(&mut self, byte: u8, expected: &'static str) -> Result<(), Syntax> {
        if self.peek() != Some(byte) {
            return Err(self.expected(expected));
        }
        self.at += 1;
        Ok(())
    }

    /// After a member: whether another follows.
    fn more(&mut self, end: u8, expected: &'static str) -> Result<bool, Syntax> {
        let more = match self.peek() {
            Some(b',') => true,
            Some(byte) if byte == end => false,
            _ => return Err(self.expected(expected)),
        };
        self.at += 1;
        Ok(more)
    }

    const fn expected(&self, expected: &'static str) -> Syntax {
        Syntax {
            at: self.at,
            expected,
        }
    }
}

// === impl Scalar, Text ===

impl<'a> Scalar<'a> {
    /// The token of a number, or the content of a string without escapes: how decimals, times and
    /// ids are sent.
    pub const fn token(self) -> Option<&'a str> {
        match self {
            Self::Number(token) => Some(token),
            Self::Text(text) => text.plain(),
            Self::Null | Self::Bool(_) => None,
        }
    }
}

impl<'a> Text<'a> {
    /// The content, if nothing in it is escaped.
    pub const fn plain(self) -> Option<&'a str> {
        if self.escaped { None } else { Some(self.raw) }
    }

    /// Whether this is the content.
    pub fn is(self, content: &str) -> bool {
        match self.plain() {
            Some(plain) => plain == content,
            None => self.content() == content,
        }
    }

    /// The content.
    pub fn content(self) -> Cow<'a, str> {
        match self.plain() {
            Some(plain) => Cow::Borrowed(plain),
            None => {
                let mut out = Vec::with_capacity(self.raw.len());
                self.unescape_into(&mut out);
                Cow::Owned(String::from_utf8_lossy(&out).into_owned())
            }
        }
    }

    /// Appends the content. Returns false if it has half a surrogate pair, which no text has.
    pub fn unescape_into(self, out: &mut Vec<u8>) -> bool {
        let mut rest = self.raw;
        let mut whole = true;
        while let Some(at) = rest.bytes().position(|b| b == b'\\') {
            out.extend_from_slice(&rest.as_bytes()[..at]);
            let tail = rest.as_bytes();
            let (plain, length) = match tail.get(at + 1) {
                Some(b'b') => ('\u{8}', 2),
                Some(b'f') => ('\u{c}', 2),
                Some(b'n') => ('\n', 2),
                Some(b'r') => ('\r', 2),
                Some(b't') => ('\t', 2),
                Some(b'u') => match unicode(tail, at) {
                    Some(found) => found,
                    None => {
                        whole = false;
                        (char::REPLACEMENT_CHARACTER, 6)
                    }
                },
                Some(same) => (char::from(*same), 2),
                None => return false,
            };
            out.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes());
            rest = rest.get(at + length..).unwrap_or_default();
        }
        out.extend_from_slice(rest.as_bytes());
        whole
    }
}

/// The character that `\u` and four hexadecimal digits at `at` spell, or a pair of such, and how many
/// bytes it is written in.
fn unicode(text: &[u8], at: usize) -> Option<(char, usize)> {
    let high = hex4(text, at + 2)?;
    if let Some(plain) = char::from_u32(high) {
        return Some((plain, 6));
    }
    let low = (text.get(at + 6..at + 8)? == b"\\u").then(|| hex4(text, at + 8))??;
    let code = 0x1_0000 + ((high.checked_sub(0xd800)?) << 10) + low.checked_sub(0xdc00)?;
    (high < 0xdc00 && low < 0xe000)
        .then(|| char::from_u32(code))?
        .map(|c| (c, 12))
}

fn hex4(text: &[u8], at: usize) -> Option<u32> {
    let mut code = 0;
    for byte in text.get(at..at + 4)? {
        code = code << 4 | char::from(*byte).to_digit(16)?;
    }
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(text: &str) -> Result<&str, Syntax> {
        let mut cursor = Cursor::new(text);
        let value = cursor.value()?;
        cursor.end()?;
        Ok(value)
    }

    #[test]
    fn numbers_come_as_they_stand() {
        for token in [
            "0",
            "-0",
            "63381.0",
            "0.00000000",
            "1e-08",
            "15113583034416118705",
            "5E+2",
        ] {
            assert_eq!(
                Cursor::new(token).scalar(),
                Ok(Scalar::Number(token)),
                "{token}"
            );
        }
        for text in ["01", "-", "1.", ".5", "1e", "+1", "0x1", "1.5.2"] {
            assert!(whole(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_error_says_where_and_what_was_expected() {
        let refusal = whole("{\"channel\":\"trade\" \"symbol\":1}").unwrap_err();
        assert_eq!(refusal.to_string(), "expected ',' or '}' at byte 19");
        assert_eq!(whole("{\"a\":").unwrap_err().at, 5);
        assert!(whole(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn strings_are_unescaped_only_when_asked() {
        let content = |text: &'static str| match Cursor::new(text).scalar() {
            Ok(Scalar::Text(text)) => text.content().into_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(content(r#""BTC\/USD""#), "BTC/USD");
        assert_eq!(content(r#""a\"\\\n\u00e9\ud83d\ude00""#), "a\"\\\né😀");
        assert_eq!(content(r#""\ud83d""#), "\u{fffd}");
    }

    proptest! {
        #[test]
        fn agrees_with_another_parser_on_what_json_is(text in r#"[\[\]{}:,"a\\0-9.eE+\- tnu]{0,24}"#) {
            let other = serde_json::from_str::<serde_json::Value>(&text);
            // serde_json refuses numbers beyond f64 and lone surrogates, which are JSON all the same.
            match (whole(&text), other) {
                (Err(e), Ok(v)) => prop_assert!(false, "{text}: {e}, but it is {v}"),
                (Ok(_), Err(e)) => prop_assert!(
                    e.to_string().contains("out of range") || text.contains("\\u"), "{text}: {e}"
                ),
                _ => {}
            }
        }

        #[test]
        fn unescaping_undoes_what_another_escapes(text in "\\PC*[\\n\\t\"\\\\]?\\PC*") {
            let escaped = serde_json::to_string(&text).unwrap();
            let Ok(Scalar::Text(read)) = Cursor::new(&escaped).scalar() else { panic!("{escaped}") };
            prop_assert_eq!(read.content(), text);
        }
    }
}
