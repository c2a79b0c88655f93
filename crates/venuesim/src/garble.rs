//! How texts go wrong at every venue.

/// The first half of a message.
pub(crate) fn half(text: &str) -> String {
    let mut end = text.len() / 2;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Bytes of a huge message.
pub(crate) const HUGE: usize = 5_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_text_is_a_text() {
        assert!(half("aä").len() == 1 && half("äb").is_empty());
    }
}
