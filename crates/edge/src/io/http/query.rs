//! The query of a request's target: pairs of key and value, percent-encoded as browsers do it.

/// The pairs, decoded.
///
/// # Errors
/// If an escape is not `%` and two hexadecimal digits, what is escaped is not UTF-8, or a key is there
/// twice.
pub fn pairs(query: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decode(key)?, decode(value)?);
        if pairs.iter().any(|(known, _)| *known == key) {
            return Err(format!("{key}= occurs more than once; send it once"));
        }
        pairs.push((key, value));
    }
    Ok(pairs)
}

fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let digit = |at: usize| char::from(*rest.get(at)?).to_digit(16);
                let (Some(high), Some(low)) = (digit(0), digit(1)) else {
                    return Err(format!(
                        "{text:?} has a % without two hexadecimal digits after it; write %25 for a %"
                    ));
                };
                rest = &rest[2..];
                (high * 16 + low) as u8
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).map_err(|error| format!("{text:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded_or_refused() {
        let read = |query| {
            pairs(query).map(|pairs| {
                let texts: Vec<_> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
                texts.join(" & ")
            })
        };
        for (query, expected) in [
            ("", ""),
            ("&&", ""),
            ("venue=sim", "venue=sim"),
            ("venue=s%69m&symbol=BTC%2dUSD", "venue=sim & symbol=BTC-USD"),
            ("symbol=%C3%84%2B+x", "symbol=Ä+ x"),
            ("%76enue=a=b", "venue=a=b"),
            ("flag", "flag="),
        ] {
            assert_eq!(read(query).unwrap(), expected, "{query:?}");
        }
        for (query, part) in [
            ("venue=%", "%25"),
            ("venue=%4", "%25"),
            ("venue=%zz", "%25"),
            ("venue=%+1", "%25"),
            ("%g0=1", "%25"),
            ("venue=%ff", "utf-8"),
            ("venue=a&v%65nue=b", "more than once"),
        ] {
            let error = read(query).unwrap_err();
            assert!(error.contains(part), "{query:?}: {error}");
        }
    }
}
