//! A ticker in words, for tests that compare words.

use tapecast_model::Ticker;

/// The figures that there are, by name.
pub(crate) fn figures(ticker: &Ticker) -> String {
    let mut line = String::from("ticker");
    for (name, figure) in [
        ("last", ticker.last),
        ("open", ticker.open),
        ("high", ticker.high),
        ("low", ticker.low),
        ("change", ticker.change),
        ("pct", ticker.change_pct),
        ("volume", ticker.volume),
        ("quote", ticker.quote_volume),
    ] {
        line += &figure.map_or(String::new(), |f| format!(" {name} {f}"));
    }
    line
}
