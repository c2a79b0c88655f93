//! A venue's id for an instrument, and the symbol that it has in topics.
//!
//! If a venue writes base and quote together, a list of quote currencies splits the id. Each venue has
//! its own list, because a currency that quotes on one venue is the last letters of a base on another. A
//! list must have every currency that ends like another one of its venue: without AEUR, `BTCAEUR` would be
//! BTCA in euros.
//!
//! # Ids that can be split in more than one way
//! `BNBUSD` is BNB in USD, or BN in BUSD. The length does not decide this. A split counts if its base is
//! [known](super::bases), or is the base of another id of the same recording that can be split in only
//! one way. If several splits count, the one whose quote other ids of the recording have is chosen. If
//! none or several are left, the id has no symbol: it is refused by name, with all its splits, and the
//! configuration's `[source.symbols]` decides. Neither has an id that leads to a symbol with an empty part.
//! A quote of one letter (`U`) is the last letter of too many names: its split counts only by its base.

use super::Format;
use super::bases::BASES;
use hashbrown::HashSet;
use std::fmt;
use tapecast_model::Symbol;

/// An id that has no symbol.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unmapped {
    format: Format,
    native: String,
    /// What it may be.
    splits: Vec<String>,
}

/// What the ids of a recording say of each other.
#[derive(Debug, Default)]
pub struct Evidence {
    bases: HashSet<String>,
    quotes: HashSet<&'static str>,
}

/// What Binance quotes in: USD-M futures use some of these.
pub const BINANCE_QUOTES: [&str; 49] = [
    "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "USDS", "USDE", "USD1", "BFUSD", "RLUSD",
    "XUSD", "DAI", "PAX", "UST", "VAI", "BTC", "ETH", "BNB", "SOL", "XRP", "TRX", "DOGE", "DOT",
    "EUR", "AEUR", "EURI", "U", "GBP", "AUD", "JPY", "TRY", "BRL", "RUB", "UAH", "NGN", "ZAR",
    "PLN", "RON", "CZK", "MXN", "ARS", "COP", "BIDR", "IDRT", "BVND", "BKRW", "KZT", "USD",
];

/// What Bybit quotes in.
pub const BYBIT_QUOTES: [&str; 21] = [
    "USDT", "USDC", "USDE", "USD1", "USDQ", "USDR", "RLUSD", "XUSD", "DAI", "BTC", "ETH", "SOL",
    "MNT", "BIT", "BRZ", "EUR", "BRL", "TRY", "PLN", "GBP", "USD",
];

/// The symbol of a venue's id, by what other ids say.
///
/// # Errors
/// If the rules of the venue do not lead to one, or to more than one.
pub fn symbol_of(format: Format, native: &str, evidence: &Evidence) -> Result<Symbol, Unmapped> {
    let splits = spellings(format, native, evidence);
    let symbol = match splits.as_slice() {
        [only] => Symbol::new(only).ok(),
        _ => None,
    };
    symbol.ok_or_else(|| Unmapped {
        format,
        native: native.to_owned(),
        splits,
    })
}

/// What an id may be called; one name if it is clear.
fn spellings(format: Format, native: &str, evidence: &Evidence) -> Vec<String> {
    match format {
        Format::Binance | Format::BinanceUsdm | Format::BybitSpot | Format::BybitLinear => {
            let Some((pair, suffix)) = pair_of(format, native) else {
                return Vec::new();
            };
            let splits = evidence.choose(pair.splits(quotes_of(format)));
            let spell = |(base, quote): &Split| format!("{base}-{quote}{suffix}");
            splits.iter().map(spell).collect()
        }
        Format::Coinbase => coinbase(native).into_iter().collect(),
        Format::Kraken => kraken(native).into_iter().collect(),
        Format::Okx => okx(native).into_iter().collect(),
    }
}

/// A base and a quote.
type Split = (String, &'static str);

/// Base and quote written together, or a base whose quote is known.
enum Pair {
    Together(String),
    InUsdc(String),
}

impl Pair {
    /// All ways to split it.
    fn splits(self, quotes: &'static [&'static str]) -> Vec<Split> {
        let together = match self {
            Self::InUsdc(base) => return vec![(base, "USDC")],
            Self::Together(together) => together,
        };
        let split = |quote: &&'static str| {
            let base = together
                .strip_suffix(*quote)
                .filter(|base| !base.is_empty())?;
            Some((base.to_owned(), *quote))
        };
        quotes.iter().filter_map(split).collect()
    }
}

const fn quotes_of(format: Format) -> &'static [&'static str] {
    match format {
        Format::BybitSpot | Format::BybitLinear => &BYBIT_QUOTES,
        _ => &BINANCE_QUOTES,
    }
}

/// What of an id is a pair, and what follows it in the symbol.
fn pair_of(format: Format, native: &str) -> Option<(Pair, String)> {
    let native = native.to_ascii_uppercase();
    match format {
        Format::BinanceUsdm => binance_contract(&native),
        Format::BybitLinear => bybit_contract(&native),
        _ => Some((Pair::Together(native), String::new())),
    }
}

/// `BTCUSDT` is a perpetual, `BTCUSDT_240927` is dated.
fn binance_contract(native: &str) -> Option<(Pair, String)> {
    match native.split_once('_') {
        None => Some((Pair::Together(native.to_owned()), "-PERP".to_owned())),
        Some((id, date)) if date.len() == 6 && date.bytes().all(|b| b.is_ascii_digit()) => {
            Some((Pair::Together(id.to_owned()), format!("-{date}")))
        }
        Some(_) => None,
    }
}

/// `BTCUSDT` is a perpetual, `BTCUSDT-27JUN25` is dated. Those that settle in USDC name no quote:
/// `BTCPERP`, `BTC-27JUN25`.
fn bybit_contract(native: &str) -> Option<(Pair, String)> {
    if let Some((id, date)) = native.split_once('-') {
        let date = day_month_year(date)?;
        let together = Pair::Together(id.to_owned());
        let pair = if Pair::Together(id.to_owned())
            .splits(&BYBIT_QUOTES)
            .is_empty()
        {
            Pair::InUsdc(id.to_owned())
        } else {
            together
        };
        return (!id.is_empty()).then(|| (pair, format!("-{date}")));
    }
    match native.strip_suffix("PERP") {
        Some(base) if !base.is_empty() => Some((Pair::InUsdc(base.to_owned()), "-PERP".to_owned())),
        _ => Some((Pair::Together(native.to_owned()), "-PERP".to_owned())),
    }
}

// === impl Evidence ===

impl Evidence {
    /// What a recording's ids say: first those that can be split in one way only, then those that
    /// their bases decide.
    pub fn of<'a>(format: Format, natives: impl Iterator<Item = &'a str> + Clone) -> Self {
        let mut evidence = Self::default();
        let splits = |native: &str| match pair_of(format, native) {
            Some((pair, _)) => pair.splits(quotes_of(format)),
            None => Vec::new(),
        };
        for native in natives.clone() {
            if let [(base, quote)] = splits(native).as_slice()
                && quote.len() > 1
            {
                evidence.bases.insert(base.clone());
                evidence.quotes.insert(quote);
            }
        }
        let mut decided = Vec::new();
        for native in natives {
            if let [(_, quote)] = evidence.known(&splits(native)).as_slice() {
                decided.push(*quote);
            }
        }
        evidence.quotes.extend(decided);
        evidence
    }

    /// The splits whose base is known.
    fn known(&self, splits: &[Split]) -> Vec<Split> {
        let known = |base: &str| self.bases.contains(base) || BASES.binary_search(&base).is_ok();
        let known = splits.iter().filter(|(base, _)| known(base));
        known.cloned().collect()
    }

    /// Of several ways to split an id those that cannot be told apart.
    fn choose(&self, splits: Vec<Split>) -> Vec<Split> {
        let clear = |(_, quote): &Split| quote.len() > 1;
        if splits.len() < 2 && splits.iter().all(clear) {
            return splits;
        }
        let known = self.known(&splits);
        if known.is_empty() {
            if splits.len() == 1 {
                return known;
            }
            // The quotes of others decide nothing where nobody knows the base.
            return splits;
        }
        let others_have = |(_, quote): &&Split| self.quotes.contains(quote);
        let quoted: Vec<_> = known.iter().filter(others_have).cloned().collect();
        if quoted.len() == 1 { quoted } else { known }
    }
}

// === impl Unmapped ===

impl std::error::Error for Unmapped {}

impl fmt::Display for Unmapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            format,
            native,
            splits,
        } = self;
        write!(f, "no symbol for {format} id {native:?}")?;
        if splits.len() > 1 {
            write!(f, ", which may be {}", splits.join(" or "))?;
        }
        write!(
            f,
            "; give it one in [source.symbols]: \"{native}\" = \"BASE-QUOTE\""
        )
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
        let symbol = symbol_of(format, native, &Evidence::default()).ok();
        assert_eq!(
            symbol.as_ref().map(Symbol::as_str),
            expected,
            "{format} {native}"
        );
    }

    #[test]
    fn ids_are_split_by_the_quotes_of_their_venue() {
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
            ("BNBUSD", "BNB-USD"),
            ("STXUSD", "STX-USD"),
            ("DOTUSD", "DOT-USD"),
            ("BATUSD", "BAT-USD"),
            ("SUSDUSDT", "SUSD-USDT"),
            ("ETHDAI", "ETH-DAI"),
            ("BNBBUSD", "BNB-BUSD"),
            ("btcusdt", "BTC-USDT"),
        ] {
            check(Format::Binance, native, Some(symbol));
        }
        check(Format::BybitSpot, "OPUSDC", Some("OP-USDC"));
        check(Format::BybitSpot, "KCSUSDT", Some("KCS-USDT"));
        check(Format::Binance, "USDT", None);
        check(Format::Binance, "FOOBAR", None);
        check(Format::Binance, "币安人生USDT", None);
        let refusal = symbol_of(Format::Binance, "FOOBAR", &Evidence::default())
            .unwrap_err()
            .to_string();
        assert!(
            refusal.contains("\"FOOBAR\"") && refusal.contains("[source.symbols]"),
            "{refusal}"
        );
    }

    /// What each of a recording's ids is called.
    fn called(format: Format, natives: &[&str]) -> Vec<String> {
        let evidence = Evidence::of(format, natives.iter().copied());
        let call = |native: &&str| match symbol_of(format, native, &evidence) {
            Ok(symbol) => symbol.to_string(),
            Err(unmapped) => unmapped.to_string(),
        };
        natives.iter().map(call).collect()
    }

    #[test]
    fn what_can_be_split_in_several_ways_is_decided_by_evidence_or_named() {
        let refusal = |native: &str, splits: &str| {
            format!(
                "no symbol for binance id \"{native}\", which may be {splits}; give it one in [source.symbols]: \"{native}\" = \"BASE-QUOTE\""
            )
        };
        // Nobody says what QQB is.
        assert_eq!(
            called(Format::Binance, &["QQBUSD"]),
            [refusal("QQBUSD", "QQ-BUSD or QQB-USD")]
        );
        // Another id does.
        assert_eq!(
            called(Format::Binance, &["QQBUSD", "QQBUSDT"]),
            ["QQB-USD", "QQB-USDT"]
        );
        assert_eq!(
            called(Format::Binance, &["QQETH", "QQBUSD"]),
            ["QQ-ETH", "QQ-BUSD"]
        );
        // Both are said: then the quote of others decides.
        assert_eq!(
            called(Format::Binance, &["QQETH", "QQBETH", "QQBUSD", "BTCUSD"]),
            ["QQ-ETH", "QQB-ETH", "QQB-USD", "BTC-USD"]
        );
        assert_eq!(
            called(
                Format::Binance,
                &["QQETH", "QQBETH", "QQBUSD", "BTCUSD", "ETHBUSD"]
            )[2],
            refusal("QQBUSD", "QQ-BUSD or QQB-USD")
        );
        // A quote alone decides nothing.
        assert_eq!(
            called(Format::Binance, &["QQBUSD", "BTCUSD"])[0],
            refusal("QQBUSD", "QQ-BUSD or QQB-USD")
        );
        // AVA and AVAX are both known.
        assert_eq!(
            called(Format::Binance, &["AVAXUSD", "BTCUSD"])[0],
            "AVAX-USD"
        );
        assert_eq!(called(Format::BybitSpot, &["STXUSD"]), ["STX-USD"]);
        assert!(called(Format::BybitSpot, &["QQXUSD"])[0].contains("QQ-XUSD or QQX-USD"));
        assert!(
            called(Format::BybitLinear, &["QQXUSD-27JUN25"])[0]
                .contains("QQ-XUSD-250627 or QQX-USD-250627")
        );
        assert_eq!(
            called(Format::BinanceUsdm, &["BNBUSD_240927"]),
            ["BNB-USD-240927"]
        );
    }

    #[test]
    fn a_quote_that_ends_like_another_is_never_taken_for_it() {
        for (native, symbol) in [
            ("BTCAEUR", "BTC-AEUR"),
            ("ETHAEUR", "ETH-AEUR"),
            ("EURAEUR", "EUR-AEUR"),
            ("AEURUSDT", "AEUR-USDT"),
            ("ADAEUR", "ADA-EUR"),
            ("BTCEUR", "BTC-EUR"),
            ("EURBUSD", "EUR-BUSD"),
            ("BNBU", "BNB-U"),
        ] {
            check(Format::Binance, native, Some(symbol));
        }
        // Nobody says what these are.
        for native in ["QQAEUR", "QQFDUSD", "QQU"] {
            check(Format::Binance, native, None);
        }
        assert_eq!(
            called(Format::Binance, &["QQAEUR", "QQAUSDT"])[0],
            "QQA-EUR"
        );
        assert_eq!(called(Format::Binance, &["QQAEUR", "QQUSDT"])[0], "QQ-AEUR");
        assert_eq!(called(Format::Binance, &["QQU", "QQUSDT"])[0], "QQ-U");
        // GAL and GALA are both known.
        check(Format::Binance, "GALAEUR", None);
        assert_eq!(
            called(Format::Binance, &["GALAEUR", "BTCEUR"])[0],
            "GALA-EUR"
        );
        // Of any two, whoever the base is.
        for (format, quotes) in [
            (Format::Binance, &BINANCE_QUOTES[..]),
            (Format::BybitSpot, &BYBIT_QUOTES),
        ] {
            let pairs = quotes
                .iter()
                .flat_map(|a| quotes.iter().map(move |b| (a, b)));
            for (longer, shorter) in pairs.filter(|(a, b)| a != b && a.ends_with(*b)) {
                let native = format!("QQ{longer}");
                let refusal = symbol_of(format, &native, &Evidence::default()).unwrap_err();
                let text = refusal.to_string();
                assert!(text.contains(&format!("QQ-{longer}")), "{text}");
                assert!(
                    text.contains(&format!("-{shorter};"))
                        || text.contains(&format!("-{shorter} or")),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn the_known_bases_are_in_order() {
        assert!(BASES.is_sorted());
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
    fn an_id_with_an_empty_part_has_no_symbol_at_any_venue() {
        for (format, natives) in [
            (
                Format::Binance,
                &["-USDT", "BTC-USDT", "-BTCUSDT", "BTCUSDT-"][..],
            ),
            (
                Format::BinanceUsdm,
                &["-USDT", "BTC-USDT_240927", "_240927", "BTCUSDT_"],
            ),
            (
                Format::Coinbase,
                &["-USD", "BTC-", "BTC--USD", "BTC-USD-", "-", "-PERP-INTX"],
            ),
            (
                Format::Kraken,
                &["/USD", "BTC/", "BTC-/USD", "BTC/-USD", "BTC//USD", "-/-"],
            ),
            (
                Format::Okx,
                &["-USDT", "BTC-", "BTC--USDT", "BTC-USDT-", "-SWAP", "--SWAP"],
            ),
            (Format::BybitSpot, &["-USDT", "BTC-USDT", "BTCUSDT-"]),
            (
                Format::BybitLinear,
                &["-PERP", "-27JUN25", "-USDT-27JUN25", "BTC--27JUN25"],
            ),
        ] {
            for native in natives {
                check(format, native, None);
                let refusal = symbol_of(format, native, &Evidence::default()).unwrap_err();
                assert!(refusal.to_string().contains(&format!("{native:?}")));
            }
        }
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
