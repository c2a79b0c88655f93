//! The venues that can be connected to: one table, from which the configuration takes names, a `live` source takes
//! what connects, and `tapecast venues` takes what it lists.
//!
//! Each has a table of rules of the same name in `venues.toml` of the session; a test compares the two.

use std::fmt;
use std::str::FromStr;
use tapecast_ingest::session::binance::BinanceSpot;
use tapecast_ingest::session::kraken::KrakenSpot;
use tapecast_ingest::session::venue::{LiveVenue, VenueRules};
use tapecast_model::ChannelKind;

/// A venue that can be connected to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exchange {
    /// Binance spot.
    Binance,
    /// Kraken v2, spot.
    Kraken,
}

/// A name that is no venue that can be connected to.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no venue that can be connected to; `tapecast venues` lists them")]
pub struct ExchangeError(String);

/// Channels that venues have.
pub const CHANNELS: [ChannelKind; 4] = [
    ChannelKind::Trade,
    ChannelKind::Quote,
    ChannelKind::Book,
    ChannelKind::Ticker,
];

// === impl Exchange ===

impl Exchange {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Binance, Self::Kraken];

    /// The name in the configuration and among the rules.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Binance => "binance",
            Self::Kraken => "kraken",
        }
    }

    /// The venue and its market.
    pub const fn product(self) -> &'static str {
        match self {
            Self::Binance => "Binance spot",
            Self::Kraken => "Kraken spot",
        }
    }

    /// What connects to it, with these rules.
    pub fn connector(self, rules: VenueRules) -> Box<dyn LiveVenue> {
        match self {
            Self::Binance => Box::new(BinanceSpot::new(rules)),
            Self::Kraken => Box::new(KrakenSpot::new(rules)),
        }
    }
}

impl FromStr for Exchange {
    type Err = ExchangeError;

    fn from_str(text: &str) -> Result<Self, ExchangeError> {
        let known = Self::ALL.into_iter().find(|it| it.label() == text);
        known.ok_or_else(|| ExchangeError(text.to_owned()))
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapecast_ingest::session::venue::BUILT_IN;

    #[test]
    fn each_venue_has_rules_and_each_table_of_rules_a_venue() {
        let rules: toml::Table = BUILT_IN.parse().unwrap();
        let mut names: Vec<_> = Exchange::ALL.iter().map(|it| it.label()).collect();
        names.sort_unstable();
        let mut written: Vec<_> = rules.keys().map(String::as_str).collect();
        written.sort_unstable();
        assert_eq!(names, written);
        for exchange in Exchange::ALL {
            assert_eq!(exchange.to_string().parse(), Ok(exchange));
            VenueRules::of(exchange.label(), &toml::Table::new()).unwrap();
        }
    }
}
