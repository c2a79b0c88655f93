//! What a simulation is made of: its seed, its symbols, the venue's limits and times.

use crate::decimal::ONE;
use crate::script::Script;
use std::time::Duration;

/// A simulated venue's configuration.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// What everything random comes from.
    pub seed: u64,
    /// The wall time at the start, in milliseconds since 1970.
    pub start_ms: u64,
    /// What is traded.
    pub symbols: Vec<SymbolConfig>,
    /// How often the venue says what.
    pub rates: Rates,
    /// What the venue allows.
    pub limits: Limits,
    /// How much of the truth is kept for comparison.
    pub kept: Kept,
    /// What goes wrong.
    pub script: Script,
}

/// A symbol and its market.
#[derive(Clone, Debug)]
pub struct SymbolConfig {
    /// Its name in the venue's messages, in capitals: `BTCUSDT`.
    pub symbol: String,
    /// What is bought and sold.
    pub base: String,
    /// What is paid with.
    pub quote: String,
    /// The first price, in 0.00000001.
    pub price: i64,
    /// Prices are multiples of it.
    pub tick: i64,
    /// Quantities are multiples of it.
    pub step: i64,
    /// A usual quantity.
    pub qty: i64,
    /// The mean time between two changes of the market.
    pub every: Duration,
    /// One change in so many is a taker's order.
    pub taker_one_in: u64,
    /// Levels per side that the book has at least.
    pub levels: usize,
}

/// How often the venue says what.
#[derive(Clone, Debug)]
pub struct Rates {
    /// Between two messages of `@depth@100ms` and `@depth20@100ms`.
    pub depth: Duration,
    /// After so many of them comes one of `@depth`.
    pub slow_depth_one_in: u32,
    /// Between two messages of `@ticker`.
    pub ticker: Duration,
    /// Whether `@ticker` comes although nothing has changed. Both have been seen; unconfirmed.
    pub quiet_tickers: bool,
    /// Between two pings.
    pub ping: Duration,
    /// A client has this long to answer a ping.
    pub pong: Duration,
    /// The life of a connection.
    pub life: Duration,
    /// Between two heartbeats, of venues that send messages as signs of life.
    pub heartbeat: Duration,
    /// A client of such a venue may be silent so long.
    pub idle: Duration,
    /// How long the answer to a request takes, least and most.
    pub answer: (Duration, Duration),
}

/// What the venue allows. All clients count as one address.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Streams per connection.
    pub streams: usize,
    /// Messages of a client per second: text, pings and pongs.
    pub messages: usize,
    /// So many of them at once, of venues that refuse single messages.
    pub burst: usize,
    /// So many connections that were closed for too many messages, within the window of attempts, are a ban.
    pub closed_before_ban: usize,
    /// Attempts to connect per window.
    pub attempts: usize,
    /// The window of attempts.
    pub attempts_window: Duration,
    /// Weight of requests per minute of the wall clock.
    pub weight: u32,
    /// So many requests beyond the weight, in one minute, are a ban.
    pub refused_before_ban: u32,
    /// The first ban; each further one is twice as long as the last.
    pub ban: Duration,
    /// No ban is longer.
    pub ban_max: Duration,
}

/// How much of the truth is kept for comparison.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Trades per symbol; the oldest are forgotten, and requests for trades do not find them either.
    pub trades: usize,
    /// Past states of the book's best levels per symbol.
    pub books: usize,
    /// Levels per side of a past state.
    pub book_levels: usize,
    /// Entries of the log of faults.
    pub faults: usize,
}

// === impl SimConfig ===

impl SimConfig {
    /// Four symbols: two busy ones, a thin one, and one whose name is not ASCII; the venue's documented
    /// limits and times. Nothing goes wrong.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            start_ms: 1_796_083_200_000,
            symbols: vec![
                SymbolConfig::btcusdt(),
                SymbolConfig::ethusdt(),
                SymbolConfig::thin(),
                SymbolConfig::non_ascii(),
            ],
            rates: Rates::default(),
            limits: Limits::default(),
            kept: Kept::default(),
            script: Script::default(),
        }
    }

    /// Five symbols of Kraken spot: two busy ones, a thin one, one with very small prices, and a share as a token; the
    /// venue's limits and times, so far as they are known. Nothing goes wrong.
    pub fn kraken(seed: u64) -> Self {
        Self {
            symbols: vec![
                SymbolConfig::btc_usd(),
                SymbolConfig::eth_usd(),
                SymbolConfig::thin_pair(),
                SymbolConfig::small_pair(),
                SymbolConfig::token(),
            ],
            limits: Limits {
                messages: 20,
                burst: 10,
                attempts: 150,
                attempts_window: Duration::from_secs(600),
                ..Limits::default()
            },
            kept: Kept {
                books: 2_000,
                ..Kept::default()
            },
            ..Self::new(seed)
        }
    }
}

// === impl SymbolConfig ===

impl SymbolConfig {
    /// Busy, at Kraken; the price and the grain of a capture.
    pub fn btc_usd() -> Self {
        Self {
            symbol: "BTC/USD".to_owned(),
            base: "BTC".to_owned(),
            quote: "USD".to_owned(),
            price: 6_338_870_000_000,
            tick: ONE / 10,
            step: 1,
            levels: 1_100,
            ..Self::btcusdt()
        }
    }

    /// Less busy, at Kraken.
    pub fn eth_usd() -> Self {
        Self {
            symbol: "ETH/USD".to_owned(),
            base: "ETH".to_owned(),
            price: 187_730_000_000,
            tick: ONE / 100,
            qty: 2 * ONE,
            every: Duration::from_millis(90),
            ..Self::btc_usd()
        }
    }

    /// Quiet for many seconds, at Kraken.
    pub fn thin_pair() -> Self {
        Self {
            symbol: "NMR/EUR".to_owned(),
            base: "NMR".to_owned(),
            quote: "EUR".to_owned(),
            price: 1_512_000_000,
            tick: ONE / 1_000,
            qty: 8 * ONE,
            every: Duration::from_secs(8),
            taker_one_in: 6,
            ..Self::btc_usd()
        }
    }

    /// Its prices have many zeros behind the point, and its quantities five digits.
    pub fn small_pair() -> Self {
        Self {
            symbol: "SHIB/USD".to_owned(),
            base: "SHIB".to_owned(),
            price: 82_000,
            tick: 1,
            step: 1_000,
            qty: 900_000 * ONE,
            every: Duration::from_millis(400),
            ..Self::btc_usd()
        }
    }

    /// A share as a token; its name has a small letter.
    pub fn token() -> Self {
        Self {
            symbol: "AAPLx/USD".to_owned(),
            base: "AAPLx".to_owned(),
            price: 23_150_000_000,
            tick: ONE / 100,
            step: 10,
            qty: 3 * ONE,
            every: Duration::from_millis(700),
            ..Self::btc_usd()
        }
    }

    /// Another busy symbol of Kraken, for tests of many: `S7/USD`.
    pub fn pair(number: u32) -> Self {
        Self {
            symbol: format!("S{number}/USD"),
            base: format!("S{number}"),
            price: 100 * ONE + i64::from(number) * ONE,
            tick: ONE / 1_000,
            step: ONE / 1_000,
            qty: 5 * ONE,
            every: Duration::from_millis(120),
            ..Self::btc_usd()
        }
    }

    /// A symbol of Kraken by its name, such as `SOL/EUR`: one of those above, or a busy one. `None` if it is no
    /// pair.
    pub fn named_pair(symbol: &str) -> Option<Self> {
        let known = SimConfig::kraken(0).symbols.into_iter();
        if let Some(known) = known.into_iter().find(|known| known.symbol == symbol) {
            return Some(known);
        }
        let (base, quote) = symbol.split_once('/')?;
        let fits = |name: &str| !name.is_empty() && name.chars().all(char::is_alphanumeric);
        (fits(base) && fits(quote)).then(|| Self {
            symbol: symbol.to_owned(),
            base: base.to_owned(),
            quote: quote.to_owned(),
            ..Self::pair(0)
        })
    }

    /// Busy; the price and the grain of a capture.
    pub fn btcusdt() -> Self {
        Self {
            symbol: "BTCUSDT".to_owned(),
            base: "BTC".to_owned(),
            quote: "USDT".to_owned(),
            price: 6_183_763_000_000,
            tick: 1_000_000,
            step: 1_000,
            qty: ONE / 4,
            every: Duration::from_millis(40),
            taker_one_in: 12,
            levels: 1_600,
        }
    }

    /// Less busy.
    pub fn ethusdt() -> Self {
        Self {
            symbol: "ETHUSDT".to_owned(),
            base: "ETH".to_owned(),
            price: 268_112_000_000,
            step: 10_000,
            qty: 2 * ONE,
            every: Duration::from_millis(90),
            ..Self::btcusdt()
        }
    }

    /// Quiet for many seconds.
    pub fn thin() -> Self {
        Self {
            symbol: "NKNUSDT".to_owned(),
            base: "NKN".to_owned(),
            price: 35_200_000,
            tick: 1_000,
            step: ONE,
            qty: 800 * ONE,
            every: Duration::from_secs(8),
            taker_one_in: 6,
            ..Self::btcusdt()
        }
    }

    /// Its name has letters that are not ASCII; such symbols are listed since December 2025 `[D]`.
    pub fn non_ascii() -> Self {
        Self {
            symbol: "币安人生USDT".to_owned(),
            base: "币安人生".to_owned(),
            price: 14_310_000,
            tick: 1_000,
            step: ONE / 10,
            qty: 300 * ONE,
            every: Duration::from_millis(400),
            ..Self::btcusdt()
        }
    }

    /// A symbol by its name: one of those above, or a busy one whose name ends with a known currency. `None` if it
    /// does not.
    pub fn named(symbol: &str) -> Option<Self> {
        let known = [
            Self::btcusdt(),
            Self::ethusdt(),
            Self::thin(),
            Self::non_ascii(),
        ];
        if let Some(known) = known.into_iter().find(|known| known.symbol == symbol) {
            return Some(known);
        }
        let quote = QUOTES.iter().find(|quote| symbol.ends_with(*quote))?;
        let base = symbol.strip_suffix(quote)?;
        let fits = |c: char| c.is_alphanumeric() && !c.is_lowercase();
        if base.is_empty() || !base.chars().all(fits) {
            return None;
        }
        Some(Self {
            symbol: symbol.to_owned(),
            base: base.to_owned(),
            quote: (*quote).to_owned(),
            ..Self::numbered(0)
        })
    }

    /// Another busy symbol, for tests of many: `S7USDT`.
    pub fn numbered(number: u32) -> Self {
        Self {
            symbol: format!("S{number}USDT"),
            base: format!("S{number}"),
            price: 100 * ONE + i64::from(number) * ONE,
            tick: ONE / 1_000,
            step: ONE / 1_000,
            qty: 5 * ONE,
            every: Duration::from_millis(120),
            ..Self::btcusdt()
        }
    }
}

// === impl Rates ===

impl Default for Rates {
    /// As documented by the venue `[D]`.
    fn default() -> Self {
        Self {
            depth: Duration::from_millis(100),
            slow_depth_one_in: 10,
            ticker: Duration::from_secs(1),
            quiet_tickers: true,
            ping: Duration::from_secs(20),
            pong: Duration::from_secs(60),
            life: Duration::from_secs(24 * 3_600),
            heartbeat: Duration::from_secs(1),
            idle: Duration::from_secs(60),
            answer: (Duration::from_millis(20), Duration::from_millis(120)),
        }
    }
}

// === impl Limits ===

impl Default for Limits {
    /// As documented by the venue `[D]`; how many violations are a ban is not documented `[U]`.
    fn default() -> Self {
        Self {
            streams: 1_024,
            messages: 5,
            burst: 5,
            closed_before_ban: 4,
            attempts: 300,
            attempts_window: Duration::from_secs(300),
            weight: 6_000,
            refused_before_ban: 10,
            ban: Duration::from_secs(120),
            ban_max: Duration::from_secs(3 * 24 * 3_600),
        }
    }
}

// === impl Kept ===

impl Default for Kept {
    fn default() -> Self {
        Self {
            trades: 100_000,
            books: 200,
            book_levels: 50,
            faults: 100_000,
        }
    }
}

/// Currencies that prices are in; longer ones before those that they end with.
const QUOTES: [&str; 11] = [
    "FDUSD", "USDT", "USDC", "TUSD", "EUR", "TRY", "BRL", "BTC", "ETH", "BNB", "USD",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_at_their_currency() {
        let split = |name| SymbolConfig::named(name).map(|config| (config.base, config.quote));
        let pair = |base: &str, quote: &str| Some((base.to_owned(), quote.to_owned()));
        assert_eq!(split("SOLFDUSD"), pair("SOL", "FDUSD"));
        assert_eq!(split("SOLBTC"), pair("SOL", "BTC"));
        assert_eq!(split("币安人生USDT"), pair("币安人生", "USDT"));
        for wrong in ["", "USDT", "solusdt", "SOL/USDT", "SOL"] {
            assert_eq!(split(wrong), None, "{wrong}");
        }
    }
}
