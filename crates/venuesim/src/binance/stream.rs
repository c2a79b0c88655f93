//! Names of streams: the symbol in small letters, then what and how fast `[D]`.

/// The streams of one symbol.
#[derive(Debug)]
pub(super) struct Names {
    /// The symbol, as messages write it.
    pub(super) symbol: String,
    pub(super) depth_fast: String,
    pub(super) depth_slow: String,
    /// Best levels, by their number.
    pub(super) partial_fast: [(usize, String); 3],
    pub(super) partial_slow: [(usize, String); 3],
    pub(super) trade: String,
    pub(super) agg_trade: String,
    pub(super) book_ticker: String,
    pub(super) ticker: String,
    pub(super) mini_ticker: String,
}

/// Small tickers of all symbols that have changed. `!ticker@arr` was retired in March 2026 `[D]`.
pub(super) const MINI_TICKERS: &str = "!miniTicker@arr";

// === impl Names ===

impl Names {
    pub(super) fn new(symbol: &str) -> Self {
        let small = symbol.to_lowercase();
        let partial =
            |end: &str| PARTIAL.map(|levels| (levels, format!("{small}@depth{levels}{end}")));
        Self {
            symbol: symbol.to_owned(),
            depth_fast: format!("{small}@depth@100ms"),
            depth_slow: format!("{small}@depth"),
            partial_fast: partial("@100ms"),
            partial_slow: partial(""),
            trade: format!("{small}@trade"),
            agg_trade: format!("{small}@aggTrade"),
            book_ticker: format!("{small}@bookTicker"),
            ticker: format!("{small}@ticker"),
            mini_ticker: format!("{small}@miniTicker"),
        }
    }
}

/// How many levels the partial streams may have `[D]`.
const PARTIAL: [usize; 3] = [5, 10, 20];
