//! A venue's id for an instrument, and the symbol it has in topics.
//!
//! Where a venue writes base and quote together, the id is split at the longest suffix of a list of
//! quote currencies. The lists are per venue: a currency that quotes on one venue is a base's last
//! letters on another (`ADAEUR` is ADA in euros, whatever AEUR is). What cannot be split is an error
//! by name, and the configuration's `[source.symbols]` overrides.

use super::Format;
use tapecast_model::Symbol;

/// An id that has no symbol.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "no symbol for {format} id {native:?}; give it one in [source.symbols]: \"{native}\" = \"BASE-QUOTE\""
)]
pub struct Unmapped {
    format: Format,
    native: String,
}

/// What Binance quotes in: USD-M futures use some of these.
pub const BINANCE_QUOTES: [&str; 47] = [
    "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "USDS", "USDE", "USD1", "BFUSD", "RLUSD",
    "XUSD", "DAI", "PAX", "UST", "VAI", "BTC", "ETH", "BNB", "SOL", "XRP", "TRX", "DOGE", "DOT",
    "EUR", "EURI", "GBP", "AUD", "JPY", "TRY", "BRL", "RUB", "UAH", "NGN", "ZAR", "PLN", "RON",
    "CZK", "MXN", "ARS", "COP", "BIDR", "IDRT", "BVND", "BKRW", "KZT", "USD",
];

/// What Bybit quotes in.
pub const BYBIT_QUOTES: [&str; 21] = [
    "USDT", "USDC", "USDE", "USD1", "USDQ", "USDR", "RLUSD", "XUSD", "DAI", "BTC", "ETH", "SOL",
    "MNT", "BIT", "BRZ", "EUR", "BRL", "TRY", "PLN", "GBP", "USD",
];

/// The symbol of a venue's id.
///
/// # Errors
/// If the rules of the venue do not lead to one.
pub fn symbol_of(format: Format, native: &str) -> Result<Symbol, Unmapped> {
    let text = match format {
        Format::Binance => pair(native, &BINANCE_QUOTES),
        Format::BinanceUsdm => binance_contract(native),
        Format::Coinbase => coinbase(native),
        Format::Kraken => kraken(native),
        Format::Okx => okx(native),
        Format::BybitSpot => pair(native, &BYBIT_QUOTES),
        Format::BybitLinear => bybit_contract(native),
    };
    let unmapped = || Unmapped {
        format,
        native: native.to_owned(),
    };
    text.and_then(|t| Symbol::new(&t).ok()).ok_or_else(unmapped)
}

/// `BTCUSDT` is `BTC-USDT`.
fn pair(native: &str, quotes: &[&str]) -> Option<String> {
    let native = native.to_ascii_uppercase();
    let fits = |quote: &&&str| native.len() > quote.len() && native.ends_with(**quote);
    let quote = quotes.iter().filter(fits).max_by_key(|quote| quote.len())?;
    let base = native.strip_suffix(quote)?;
    Some(format!("{base}-{quote}"))
}

/// `BTCUSDT` is a perpetual, `BTCUSDT_240927` is dated.
fn binance_contract(native: &str) -> Option<String> {
    match native.split_once('_') {
        None => pair(native, &BINANCE_QUOTES).map(|p| p + "-PERP"),
        Some((id, date)) if date.len() == 6 && date.bytes().all(|b| b.is_ascii_digit()) => {
            pair(id, &BINANCE_QUOTES).map(|p| format!("{p}-{date}"))
        }
        Some(_) => None,
    }
}

/// `BTCUSDT` is a perpetual, `BTCUSDT-27JUN25` is dated. Those that settle in USDC name no quote:
/// `BTCPERP`, `BTC-27JUN25`.
fn bybit_contract(native: &str) -> Option<String> {
    if let Some((id, date)) = native.split_once('-') {
        let date = day_month_year(date)?;
        let pair = pair(id, &BYBIT_QUOTES).unwrap_or_else(|| format!("{id}-USDC"));
        return Some(format!("{pair}-{date}"));
    }
    match native.strip_suffix("PERP") {
        Some(base) if !base.is_empty() => Some(format!("{base}-USDC-PERP")),
        _ => pair(native, &BYBIT_QUOTES).map(|p| p + "-PERP"),
    }
}

/// `27JUN25` is `250627`.
fn day_month_year(text: &str) -> Option<String> {
    const MONTHS: [&str; 12] = [
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ];
    let year = text.get(text.len().checked_sub(2)?..)?;
    let month = text.get(text.len().checked_sub(5)?..text.len() - 2)?;
    let day: u8 = text.get(..text.len() - 5)?.parse().ok()?;
    let year: u8 = year.parse().ok()?;
    let month = 1 + MONTHS.iter().position(|m| *m == month)?;
    Some(format!("{year:02}{month:02}{day:02}"))
}

/// Products are written as we write them; `BTC-PERP-INTX` settles in USDC.
fn coinbase(native: &str) -> Option<String> {
    if let Some(base) = native.strip_suffix("-PERP-INTX") {
        return Some(format!("{base}-USDC-PERP"));
    }
    native.contains('-').then(|| native.to_owned())
}

/// `BTC/USD`, in older parts of the venue `XBT/USD`.
fn kraken(native: &str) -> Option<String> {
    let (base, quote) = native.split_once('/')?;
    let ours = |name: &str| {
        if name == "XBT" {
            "BTC".to_owned()
        } else {
            name.to_owned()
        }
    };
    (!base.is_empty() && !quote.is_empty()).then(|| format!("{}-{}", ours(base), ours(quote)))
}

/// Written as we write them, but for perpetuals.
fn okx(native: &str) -> Option<String> {
    match native.strip_suffix("-SWAP") {
        Some(pair) => Some(format!("{pair}-PERP")),
        None => native.contains('-').then(|| native.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: Format, native: &str, expected: Option<&str>) {
        let symbol = symbol_of(format, native).ok();
        assert_eq!(
            symbol.as_ref().map(Symbol::as_str),
            expected,
            "{format} {native}"
        );
    }

    #[test]
    fn ids_are_split_at_the_longest_quote() {
        for (native, symbol) in [
            ("BTCUSDT", "BTC-USDT"),
            ("SWRVBUSD", "SWRV-BUSD"),
            ("BUSDTRY", "BUSD-TRY"),
            ("TUSDUSDT", "TUSD-USDT"),
            ("BTCFDUSD", "BTC-FDUSD"),
            ("ADAEUR", "ADA-EUR"),
            ("BETHETH", "BETH-ETH"),
            ("1000SHIBUSDT", "1000SHIB-USDT"),
            ("LRCBTC", "LRC-BTC"),
        ] {
            check(Format::Binance, native, Some(symbol));
        }
        check(Format::BybitSpot, "OPUSDC", Some("OP-USDC"));
        check(Format::BybitSpot, "KCSUSDT", Some("KCS-USDT"));
        check(Format::Binance, "USDT", None);
        check(Format::Binance, "FOOBAR", None);
        check(Format::Binance, "币安人生USDT", None);
        let refusal = symbol_of(Format::Binance, "FOOBAR")
            .unwrap_err()
            .to_string();
        assert!(
            refusal.contains("\"FOOBAR\"") && refusal.contains("[source.symbols]"),
            "{refusal}"
        );
    }

    #[test]
    fn contracts_say_so() {
        check(Format::BinanceUsdm, "BTCUSDT", Some("BTC-USDT-PERP"));
        check(Format::BinanceUsdm, "ETHBTC", Some("ETH-BTC-PERP"));
        check(
            Format::BinanceUsdm,
            "BTCUSDT_240927",
            Some("BTC-USDT-240927"),
        );
        check(Format::BinanceUsdm, "BTCUSD_PERP", None);
        check(Format::BybitLinear, "SOLUSDT", Some("SOL-USDT-PERP"));
        check(Format::BybitLinear, "BTCPERP", Some("BTC-USDC-PERP"));
        check(
            Format::BybitLinear,
            "BTCUSDT-27JUN25",
            Some("BTC-USDT-250627"),
        );
        check(Format::BybitLinear, "BTC-5DEC25", Some("BTC-USDC-251205"));
        check(Format::BybitLinear, "BTC-é", None);
        check(Format::Okx, "UNI-USD-SWAP", Some("UNI-USD-PERP"));
    }

    #[test]
    fn what_is_written_our_way_stays() {
        check(Format::Okx, "BTC-USD-220527", Some("BTC-USD-220527"));
        check(
            Format::Okx,
            "ETH-USD-220325-8800-P",
            Some("ETH-USD-220325-8800-P"),
        );
        check(Format::Coinbase, "BTC-USD", Some("BTC-USD"));
        check(Format::Coinbase, "ETH-PERP-INTX", Some("ETH-USDC-PERP"));
        check(Format::Kraken, "XBT/USD", Some("BTC-USD"));
        check(Format::Kraken, "ETH/XBT", Some("ETH-BTC"));
        check(Format::Kraken, "MATIC/GBP", Some("MATIC-GBP"));
        check(Format::Kraken, "BTCUSD", None);
        check(Format::Okx, "", None);
    }
}
