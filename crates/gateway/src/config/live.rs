//! `[[source]]` tables of kind `live`: which venue, which of its instruments, and how it is reached.

use super::Span;
use super::ranges::late;
use super::tables::LiveTable;
use crate::exchange::{CHANNELS, Exchange};
use std::net::IpAddr;
use std::path::PathBuf;
use tapecast_connect::Proxy;
use tapecast_ingest::session::venue::VenueRules;
use tapecast_ingest::session::{Pattern, Top, WantedSet};
use tapecast_model::{ChannelSet, Venue};

/// A connection to a venue.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveSource {
    /// The venue's name in topics.
    pub venue: Venue,
    /// Which venue it is: its name among the built-in rules.
    pub exchange: Exchange,
    /// Which instruments and channels.
    pub wanted: WantedSet,
    /// Addresses, limits and deadlines.
    pub rules: VenueRules,
    /// Certificates that are trusted beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Through which proxy.
    pub proxy: Proxy,
    /// The local address.
    pub bind: Option<IpAddr>,
    /// Where its messages are written: in a directory of its own there, with the venue's name.
    pub record: Option<PathBuf>,
    /// As in `[pipeline]`, for this source.
    pub stale_after: Option<Span>,
    /// The process is not ready without it.
    pub required: bool,
}

// === impl LiveSource ===

impl LiveSource {
    /// Where its venue is: what is known of it holds for no other address.
    pub fn address(&self) -> String {
        format!("{} {}", self.rules.stream_url, self.rules.rest_url)
    }
}

impl LiveSource {
    /// The directory of its recording, if it has one.
    pub fn record_dir(&self) -> Option<PathBuf> {
        Some(self.record.as_ref()?.join(self.venue.as_str()))
    }
}

/// Instruments of one source at the most.
const SYMBOLS_MAX: usize = 10_000;

/// Reads a table.
pub(super) fn live(table: LiveTable) -> Result<LiveSource, String> {
    let rules = VenueRules::of(&table.venue, &table.rules).map_err(|e| match e {
        tapecast_ingest::session::venue::RulesError::Unknown(..) => format!("venue: {e}"),
        // The key first, so that the error names its line.
        tapecast_ingest::session::venue::RulesError::Wrong(why) => {
            let key = why.split(':').next().unwrap_or_default();
            match table.rules.contains_key(key) {
                true => format!("rules.{why}"),
                false => format!("rules: {why}"),
            }
        }
    })?;
    let exchange = (table.venue.parse()).map_err(|e| format!("venue: {e}"))?;
    let name = table.name.as_deref().unwrap_or(&table.venue);
    let venue = Venue::new(name).map_err(|e| format!("name: {e}"))?;
    if let Some(wrong) = late(table.stale_after) {
        return Err(wrong);
    }
    if table
        .record
        .as_ref()
        .is_some_and(|dir| dir.as_os_str().is_empty())
    {
        return Err("record: it is empty; write a directory, or leave the key out".to_owned());
    }
    let most = table.symbols_max;
    if !(1..=SYMBOLS_MAX).contains(&most) {
        return Err(format!(
            "symbols_max: {most} is not allowed; write 1 to {SYMBOLS_MAX}"
        ));
    }
    let top = top(&table, exchange, &rules)?;
    if table.symbols.is_empty() && top.is_none() {
        return Err(
            "symbols: there is none; write symbols, or patterns such as \"*-USDT\"".to_owned(),
        );
    }
    let proxy = match table.proxy.as_deref() {
        None => Proxy::FromEnvironment,
        Some("none") => Proxy::None,
        Some(url) if url.starts_with("http://") => Proxy::Url(url.to_owned()),
        Some(_) => {
            // It may hold a password, so it is not shown.
            return Err(
                "proxy: it is not allowed; write http://[user:password@]host:port, or \"none\""
                    .to_owned(),
            );
        }
    };
    Ok(LiveSource {
        venue,
        exchange,
        wanted: WantedSet {
            symbols: patterns("symbols", &table.symbols)?,
            exclude: patterns("exclude", &table.exclude)?,
            most,
            channels: channels(&table.channels)?,
            top,
        },
        rules,
        ca_file: table.ca_file,
        proxy,
        bind: table.bind,
        record: table.record,
        stale_after: table.stale_after,
        required: table.required,
    })
}

/// Those with the most turnover, if they are wanted.
fn top(table: &LiveTable, exchange: Exchange, rules: &VenueRules) -> Result<Option<Top>, String> {
    let (count, quote) = match (table.top, &table.top_quote) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err("top: it is missing; write how many instruments".to_owned()),
        (Some(_), None) => {
            return Err(
                "top_quote: it is missing; write the currency in which turnover is compared, such as \"USDT\""
                    .to_owned(),
            );
        }
        (Some(count), Some(quote)) => (count, quote),
    };
    let most = table.symbols_max;
    if !(1..=most).contains(&count) {
        return Err(format!(
            "top: {count} is not allowed; write 1 to {most}, the value of symbols_max"
        ));
    }
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_');
    if quote.is_empty() || !quote.bytes().all(is_part) {
        return Err(format!(
            "top_quote: {quote:?} is not allowed; write a currency, such as \"USDT\""
        ));
    }
    if exchange.connector(rules.clone()).turnover().is_none() {
        return Err(format!(
            "top: {} does not say the turnover of all its instruments; write symbols",
            table.venue
        ));
    }
    Ok(Some(Top {
        count,
        quote: quote.as_str().into(),
    }))
}

fn patterns(key: &str, texts: &[String]) -> Result<Vec<Pattern>, String> {
    let pattern = |text: &String| text.parse().map_err(|e| format!("{key}: {e}"));
    texts.iter().map(pattern).collect()
}

fn channels(names: &[String]) -> Result<ChannelSet, String> {
    let mut channels = ChannelSet::EMPTY;
    for name in names {
        let kind = CHANNELS.into_iter().find(|kind| kind.label() == name);
        let Some(kind) = kind else {
            let all: Vec<_> = CHANNELS.iter().map(|kind| kind.label()).collect();
            return Err(format!(
                "channels: {name:?} is not allowed; write some of {}",
                all.join(", ")
            ));
        };
        channels = channels.with(kind);
    }
    match channels.is_empty() {
        true => Err("channels: there is none; leave the key out for all of them".to_owned()),
        false => Ok(channels),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn parse(text: &str) -> Result<Config, String> {
        let text = format!("[[source]]\nkind = \"live\"\nvenue = \"kraken\"\n{text}");
        let config = Config::parse(&text, "t.toml", std::iter::empty());
        config.map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_by_turnover_are_so_many_in_one_currency() {
        let parse = |text: &str| {
            let text = format!("[[source]]\nkind = \"live\"\nvenue = \"binance\"\n{text}");
            let config = Config::parse(&text, "t.toml", std::iter::empty());
            config.map_err(|error| error.to_string())
        };
        assert!(parse("top = 50\ntop_quote = \"USDT\"").is_ok());
        assert!(parse("symbols = [\"BTC-EUR\"]\ntop = 1000\ntop_quote = \"USDT\"").is_ok());
        for (text, part) in [
            ("top = 50", "top_quote: it is missing"),
            ("top_quote = \"USDT\"", "top: it is missing"),
            ("top = 0\ntop_quote = \"USDT\"", "write 1 to 1000"),
            (
                "top = 60\ntop_quote = \"USDT\"\nsymbols_max = 50",
                "write 1 to 50",
            ),
            ("top = 5\ntop_quote = \"*\"", "top_quote: \"*\""),
            ("top = -5\ntop_quote = \"USDT\"", "t.toml:4"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_wrong_rule_is_named_with_its_line() {
        for (rule, part) in [
            ("wait = 3", "rules.wait: 3 is not allowed"),
            ("weight_max = 0", "rules.weight_max: 0 is not allowed"),
            (
                "weight_max = \"x\"",
                "rules.weight_max: \"x\" is not allowed",
            ),
            ("life_seconds = -1", "rules.life_seconds: -1"),
            ("snapshot_levels = 50", "rules.snapshot_levels: 50"),
        ] {
            // Line 7 of the whole text.
            let error = parse(&format!("symbols = [\"*\"]\n\n[source.rules]\n{rule}")).unwrap_err();
            assert!(error.contains("t.toml:7: source 1: "), "{error}");
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn each_venue_has_its_own_rules_and_wrong_ones_are_refused_by_name() {
        let config = parse("symbols = [\"BTC-USD\"]\n[source.rules]\nsnapshot_levels = 25");
        assert_eq!(config.unwrap().sources.len(), 1);
        for (text, part) in [
            ("symbols = []", "symbols"),
            ("top = 5\ntop_quote = \"USD\"", "top: kraken does not say"),
            ("symbols = [\"BTC/USD\"]", "BTC/USD"),
            ("symbols = [\"*\"]\nchannels = [\"level3\"]", "level3"),
            (
                "symbols = [\"*\"]\n[source.rules]\nsnapshot_levels = 50",
                "[10, 25, 100, 500, 1000]",
            ),
            (
                "symbols = [\"*\"]\n[source.rules]\nping_second = 5",
                "ping_second",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
