//! A scanner for messages as venues' machines write them: compact JSON whose strings have no escapes and
//! whose numbers are whole. It reads frequent messages in one pass and without a tape; all other messages
//! use the general reader.
//!
//! It declines (`None`) at the first thing that it does not support: white space, an escape, a fraction,
//! an exponent, `null`, a syntax error. Declining is not a decision about the message, so that only one
//! reader decides what is wrong with it. What the scanner accepts is JSON, and has the same meaning as in
//! the general parser (compared in `tests/decoders/scanned.rs`). It allocates nothing.

/// A place in a text that may be plain.
#[derive(Clone, Debug)]
pub(crate) struct Plain<'a> {
    text: &'a str,
    at: usize,
}

/// A value that is not a container.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Value<'a> {
    /// A string without escapes.
    Text(&'a str),
    /// A whole number below 10^18.
    Uint(u64),
    /// `true` or `false`.
    Flag(bool),
}

/// Where a string stands in its text, for lists that are read before it is known that the rest of
/// the message is plain as well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

/// Digits of a whole number: so many fit every integer that is used.
const DIGITS_MAX: usize = 18;

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

// === impl Plain ===

impl<'a> Plain<'a> {
    /// At the start of a message; none if it is not text.
    pub(crate) fn new(raw: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(raw).ok()?;
        Some(Self { text, at: 0 })
    }

    /// Passes one byte.
    #[inline(always)]
    pub(crate) fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Passes these bytes, if they are next.
    #[inline(always)]
    pub(crate) fn skip(&mut self, word: &str) -> bool {
        let next = self.text.as_bytes().get(self.at..self.at + word.len());
        let found = next == Some(word.as_bytes());
        if found {
            self.at += word.len();
        }
        found
    }

    /// Whether another member or item follows the one just read; else passes the container's end.
    #[inline(always)]
    pub(crate) fn more(&mut self, end: u8) -> Option<bool> {
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b',' => Some(true),
            _ if byte == end => Some(false),
            _ => None,
        }
    }

    /// Passes a key and its colon.
    #[inline(always)]
    pub(crate) fn key(&mut self) -> Option<&'a str> {
        // Of one letter, as Binance's are?
        if let [b'"', letter, b'"', b':', ..] = self.rest()
            && (0x23..0x5c).contains(letter) | (0x5d..0x7f).contains(letter)
        {
            let key = self.text.get(self.at + 1..self.at + 2);
            self.at += 4;
            return key;
        }
        let key = self.text()?;
        self.take(b':')?;
        Some(key)
    }

    /// Skips a value that is not a container.
    #[inline(always)]
    pub(crate) fn value(&mut self) -> Option<Value<'a>> {
        match self.peek()? {
            b'"' => self.text().map(Value::Text),
            b'0'..=b'9' => self.uint().map(Value::Uint),
            b't' => self.skip("true").then_some(Value::Flag(true)),
            b'f' => self.skip("false").then_some(Value::Flag(false)),
            _ => None,
        }
    }

    /// Passes a string.
    #[inline(always)]
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let Span { start, end } = self.span()?;
        self.text.get(start as usize..end as usize)
    }

    /// Skips a string and returns the place of its content.
    #[inline(always)]
    pub(crate) fn span(&mut self) -> Option<Span> {
        self.take(b'"')?;
        let start = self.at;
        loop {
            let rest = self.rest();
            if let Some(next) = rest.first_chunk::<8>() {
                let found = ends_of_strings(u64::from_le_bytes(*next));
                if found == 0 {
                    self.at += 8;
                    continue;
                }
                self.at += found.trailing_zeros() as usize / 8;
            } else {
                self.at += rest
                    .iter()
                    .position(|b| matches!(b, b'"' | b'\\' | 0..0x20))?;
            }
            break;
        }
        let end = self.at;
        self.take(b'"')?;
        let span = |start, end| {
            Some(Span {
                start: u32::try_from(start).ok()?,
                end: u32::try_from(end).ok()?,
            })
        };
        span(start, end)
    }

    /// The content of a string that was passed.
    #[inline(always)]
    pub(crate) fn at(&self, span: Span) -> Option<&'a str> {
        self.text.get(span.start as usize..span.end as usize)
    }

    /// Skips a string, or the digits of a whole number, and returns it.
    #[inline(always)]
    pub(crate) fn token(&mut self) -> Option<&'a str> {
        if self.peek()? == b'"' {
            return self.text();
        }
        let start = self.at;
        self.uint()?;
        self.text.get(start..self.at)
    }

    /// Skips a whole number.
    #[inline(always)]
    pub(crate) fn uint(&mut self) -> Option<u64> {
        let rest = self.rest();
        let mut number = 0_u64;
        let mut digits = 0;
        while let Some(digit) = rest
            .get(digits)
            .map(|b| b.wrapping_sub(b'0'))
            .filter(|d| *d < 10)
        {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            digits += 1;
        }
        let spelled = digits == 1 || (1..=DIGITS_MAX).contains(&digits) && rest[0] != b'0';
        self.at += digits;
        spelled.then_some(number)
    }

    /// Whether nothing is left.
    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// The next byte.
    #[inline(always)]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline(always)]
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }
}

/// Of eight bytes, marks quotes, backslashes and control characters. The lowest mark is right; above
/// it there may be marks too many.
#[inline(always)]
pub(crate) const fn ends_of_strings(bytes: u64) -> u64 {
    let quotes = bytes ^ (ONES * b'"' as u64);
    let backslashes = bytes ^ (ONES * b'\\' as u64);
    let quotes = quotes.wrapping_sub(ONES) & !quotes;
    let backslashes = backslashes.wrapping_sub(ONES) & !backslashes;
    let controls = bytes.wrapping_sub(ONES * 0x20) & !bytes;
    (quotes | backslashes | controls) & HIGHS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(text: &str) -> Option<Value<'_>> {
        let mut plain = Plain::new(text.as_bytes())?;
        let value = plain.value()?;
        plain.is_at_end().then_some(value)
    }

    #[test]
    fn what_is_plain_is_read_and_the_rest_declined() {
        assert_eq!(value("\"BTCUSDT\""), Some(Value::Text("BTCUSDT")));
        assert_eq!(
            value("\"a longer one, and é\""),
            Some(Value::Text("a longer one, and é"))
        );
        assert_eq!(value("\"\""), Some(Value::Text("")));
        assert_eq!(value("0"), Some(Value::Uint(0)));
        assert_eq!(
            value("999999999999999999"),
            Some(Value::Uint(999_999_999_999_999_999))
        );
        assert_eq!(value("true"), Some(Value::Flag(true)));
        for text in [
            "1000000000000000000",
            "01",
            "-1",
            "1.5",
            "1e9",
            "null",
            "[]",
            "{}",
            "",
            " 1",
            "1 ",
            "tru",
            "\"a\\n\"",
            "\"a\nb\"",
            "\"open",
            "\"a longer one that is open",
            "\"a longer one\\u0041 escaped\"",
        ] {
            assert_eq!(value(text), None, "{text}");
        }
        assert!(Plain::new(b"\"\xff\"").is_none());
    }

    proptest! {
        #[test]
        fn the_first_end_of_a_string_is_found(bytes in any::<[u8; 8]>(), likely in "[a-z\"\\\\\u{1}é]{8}") {
            for bytes in [&bytes[..], &likely.as_bytes()[..8]] {
                let word = u64::from_le_bytes(bytes.try_into().unwrap());
                let found = ends_of_strings(word);
                let found = (found != 0).then(|| found.trailing_zeros() as usize / 8);
                let naive = bytes.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20));
                prop_assert_eq!(found, naive);
            }
        }

        #[test]
        fn what_is_read_is_what_another_parser_reads(text in r#"["a-c\\0-9.e tru]{1,12}"#) {
            if let Some(value) = value(&text) {
                let other: serde_json::Value = serde_json::from_str(&text).unwrap();
                match value {
                    Value::Text(text) => prop_assert_eq!(other.as_str(), Some(text)),
                    Value::Uint(number) => prop_assert_eq!(other.as_u64(), Some(number)),
                    Value::Flag(flag) => prop_assert_eq!(other.as_bool(), Some(flag)),
                }
            }
        }
    }
}
