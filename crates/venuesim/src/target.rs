//! Path and query of a request, and what percent signs stand for in them.

/// A path and its query.
#[derive(Debug)]
pub(crate) struct Target {
    /// Decoded.
    pub(crate) path: String,
    /// Names and values, decoded, in order.
    params: Vec<(String, String)>,
}

// === impl Target ===

impl Target {
    pub(crate) fn parse(target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let params = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        Self {
            path: decoded(path),
            params: params.collect(),
        }
    }

    /// The first value of a name.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        let mut params = self.params.iter();
        let found = params.find(|(given, _)| given == name)?;
        Some(&found.1)
    }
}

/// Replaces `%E5` and the like; what is no such thing stays. Bytes that are not UTF-8 are replaced.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let pair = (*first == b'%').then(|| after.get(..2)).flatten();
        let byte = pair
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        let target =
            Target::parse("/stream?streams=btcusdt@trade/%E5%B8%81usdt%40depth&timeUnit=x&a");
        assert_eq!(target.path, "/stream");
        assert_eq!(target.param("streams"), Some("btcusdt@trade/币usdt@depth"));
        assert_eq!(target.param("timeUnit"), Some("x"));
        assert_eq!(target.param("a"), Some(""));
        assert_eq!(target.param("b"), None);
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("%zz"), "%zz");
    }
}
