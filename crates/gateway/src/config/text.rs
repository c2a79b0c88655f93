//! Text in quotes that means something, such as an address or a duration.

use serde::Deserializer;
use serde::de::{Error, Visitor};
use std::fmt;

/// Reads a text with `parse`. `expecting` is what to write in its place: what is said of a number, a list or a
/// table.
pub(super) fn deserialize<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expecting: &'static str,
    parse: fn(&str) -> Result<T, String>,
) -> Result<T, D::Error> {
    deserializer.deserialize_str(Text { expecting, parse })
}

struct Text<T> {
    expecting: &'static str,
    parse: fn(&str) -> Result<T, String>,
}

impl<T> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).map_err(E::custom)
    }
}
