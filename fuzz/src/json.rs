//! A small reader of JSON that keeps spelling, order and doubled keys, so that a text can be written
//! again in another form that means the same.
//!
//! It is slow and shares no code with the parsers under test. It refuses what it does not understand;
//! then the target makes no claim about the input.

/// A JSON value; scalars are kept as they are spelled.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Json<'a> {
    /// A string with its quotes, a number, `true`, `false` or `null`.
    Scalar(&'a str),
    /// Elements in order.
    Array(Vec<Self>),
    /// Members in order, keys with their quotes; a key may come twice.
    Object(Vec<(&'a str, Self)>),
}

/// How deep values may be nested.
const DEPTH_MAX: usize = 64;

impl<'a> Json<'a> {
    /// Reads a whole text; none if it is no JSON.
    pub fn read(text: &'a str) -> Option<Self> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.space();
        (reader.at == text.len()).then_some(value)
    }

    /// Whether a key is spelled with an escape: then two keys may be equal and look different.
    pub fn has_escaped_key(&self) -> bool {
        match self {
            Self::Scalar(_) => false,
            Self::Array(items) => items.iter().any(Self::has_escaped_key),
            Self::Object(members) => members
                .iter()
                .any(|(key, value)| key.contains('\\') || value.has_escaped_key()),
        }
    }

    /// Whether a number is beyond a double.
    fn has_huge_number(&self) -> bool {
        match self {
            Self::Scalar(text) => text.parse::<f64>().is_ok_and(f64::is_infinite),
            Self::Array(items) => items.iter().any(Self::has_huge_number),
            Self::Object(members) => members.iter().any(|(_, value)| value.has_huge_number()),
        }
    }

    /// The same with each doubled key once, with its last value, and the members of objects turned
    /// round: for whoever takes the last of a doubled key and any order of keys it means the same.
    #[must_use]
    pub fn turned(self) -> Self {
        match self {
            Self::Scalar(text) => Self::Scalar(text),
            Self::Array(items) => Self::Array(items.into_iter().map(Self::turned).collect()),
            Self::Object(members) => {
                let mut last: Vec<(&str, Self)> = Vec::with_capacity(members.len());
                for (key, value) in members.into_iter().rev() {
                    if !last.iter().any(|(known, _)| *known == key) {
                        last.push((key, value.turned()));
                    }
                }
                Self::Object(last)
            }
        }
    }

    /// The text of an object or array in another form that means the same; none if the input is none, if
    /// keys are spelled so that this reader cannot compare them, or if a number is beyond a double: JSON
    /// libraries refuse such a number also where nobody reads it.
    pub fn in_another_form(input: &[u8], novelty: bool) -> Option<String> {
        let json = Json::read(std::str::from_utf8(input).ok()?)?;
        if matches!(json, Json::Scalar(_)) || json.has_escaped_key() || json.has_huge_number() {
            return None;
        }
        let mut text = String::with_capacity(input.len() * 2);
        json.turned().write(" ", novelty, &mut text);
        Some(text)
    }

    /// Writes it with `space` between tokens. With `novelty` each object has a member more that nobody
    /// knows.
    pub fn write(&self, space: &str, novelty: bool, out: &mut String) {
        match self {
            Self::Scalar(text) => out.push_str(text),
            Self::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    out.push_str(space);
                    item.write(space, novelty, out);
                }
                out.push_str(space);
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    out.push_str(space);
                    out.push_str(key);
                    out.push_str(space);
                    out.push(':');
                    out.push_str(space);
                    value.write(space, novelty, out);
                }
                if novelty {
                    out.push_str(if members.is_empty() { "" } else { "," });
                    out.push_str("\"not_a_field\":[{\"e\":0}]");
                }
                out.push_str(space);
                out.push('}');
            }
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    fn value(&mut self, depth: usize) -> Option<Json<'a>> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.space();
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(Json::Scalar),
            _ => self.word().map(Json::Scalar),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json<'a>> {
        self.take(b'{')?;
        let mut members = Vec::new();
        if self.take(b'}').is_some() {
            return Some(Json::Object(members));
        }
        loop {
            self.space();
            let key = self.string()?;
            self.take(b':')?;
            members.push((key, self.value(depth + 1)?));
            if self.take(b',').is_none() {
                break;
            }
        }
        self.take(b'}')?;
        Some(Json::Object(members))
    }

    fn array(&mut self, depth: usize) -> Option<Json<'a>> {
        self.take(b'[')?;
        let mut items = Vec::new();
        if self.take(b']').is_some() {
            return Some(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.take(b',').is_none() {
                break;
            }
        }
        self.take(b']')?;
        Some(Json::Array(items))
    }

    fn string(&mut self) -> Option<&'a str> {
        let start = self.at;
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.escape()?,
                0..0x20 => return None,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.text.get(start..self.at)
    }

    fn escape(&mut self) -> Option<()> {
        let kind = *self.text.as_bytes().get(self.at + 1)?;
        match kind {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'u' => {
                let digits = self.text.get(self.at + 2..self.at + 6)?;
                let code = u32::from_str_radix(digits, 16).ok()?;
                // Surrogates come in pairs, which is more than this reader looks at.
                if digits.starts_with('+') || (0xd800..0xe000).contains(&code) {
                    return None;
                }
                self.at += 6;
            }
            _ => return None,
        }
        Some(())
    }

    fn word(&mut self) -> Option<&'a str> {
        let rest = self.text.get(self.at..)?;
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')))
            .unwrap_or(rest.len());
        let word = rest.get(..end)?;
        self.at += end;
        (matches!(word, "true" | "false" | "null") || is_number(word)).then_some(word)
    }
}

/// The grammar of RFC 8259, section 6.
fn is_number(word: &str) -> bool {
    let word = word.strip_prefix('-').unwrap_or(word);
    let (mantissa, exponent) = match word.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (word, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(text: &str) -> Option<String> {
        let mut out = String::new();
        Json::read(text)?.turned().write("", false, &mut out);
        Some(out)
    }

    #[test]
    fn spelling_is_kept_and_of_a_doubled_key_the_last_counts() {
        let text = r#" {"a":1.50e+3,"b":[{"x":"\u0041\"","y":-0}],"a":null} "#;
        assert_eq!(
            turned(text).as_deref(),
            Some(r#"{"a":null,"b":[{"y":-0,"x":"\u0041\""}]}"#)
        );
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            "{",
            "{\"a\"}",
            "[1,]",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "nul",
            "\"\u{1}\"",
            "\"\\x\"",
            "{} {}",
            "\"\\ud800\"",
        ] {
            assert_eq!(Json::read(text), None, "{text}");
        }
    }
}
