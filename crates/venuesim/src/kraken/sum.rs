//! The sum of a book: CRC-32 over the texts of the ten best levels of each side `[D; 3,181 of 3,181 C]`.

/// Levels of each side that the sum covers.
pub(super) const SUMMED: usize = 10;

/// The sum of these levels, best first: texts of prices and quantities, as in messages. Offers come first. What is
/// behind the tenth level of a side does not count.
pub fn sum<'a, L>(asks: L, bids: L) -> u32
where
    L: IntoIterator<Item = (&'a str, &'a str)>,
{
    let mut text = String::new();
    for side in [asks, bids] {
        for (price, qty) in side.into_iter().take(SUMMED) {
            text.push_str(&figures(price));
            text.push_str(&figures(qty));
        }
    }
    crc32fast::hash(text.as_bytes())
}

/// A number without its point and without zeros before the first other figure.
fn figures(number: &str) -> String {
    let figures = number.replace('.', "");
    figures.trim_start_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the venue's guide.
    #[test]
    fn the_known_answer_comes_out() {
        let asks = [
            ("45285.2", "0.00100000"),
            ("45286.4", "1.54571953"),
            ("45286.6", "1.54571109"),
            ("45289.6", "1.54560911"),
            ("45290.2", "0.15890660"),
            ("45291.8", "1.54553491"),
            ("45294.7", "0.04454749"),
            ("45296.1", "0.35380000"),
            ("45297.5", "0.09945542"),
            ("45299.5", "0.18772827"),
        ];
        let bids = [
            ("45283.5", "0.10000000"),
            ("45283.4", "1.54582015"),
            ("45282.1", "0.10000000"),
            ("45281.0", "0.10000000"),
            ("45280.3", "1.54592586"),
            ("45279.0", "0.07990000"),
            ("45277.6", "0.03310103"),
            ("45277.5", "0.30000000"),
            ("45277.3", "1.54602737"),
            ("45276.6", "0.15445238"),
        ];
        assert_eq!(sum(asks, bids), 3_310_070_434);
    }
}
