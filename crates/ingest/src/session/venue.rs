//! What differs between venues, as far as a session needs it: where they are, what they are told, and how they
//! answer. All of it is text in and text out; the [`Session`](super::Session) holds the state.
//!
//! Messages with data are read by the venue's decoder ([`crate::venue`]). What is left are words about the
//! connection itself ([`Control`]).

use super::VenueInstrument;
use crate::venue::{Format, VenueStream};
use serde::Deserialize;
use std::time::Duration;
use tapecast_model::{ChannelKind, ChannelSet, Decimal, TradingState};

/// A venue that can be connected to.
pub trait LiveVenue: Send {
    /// How its messages are read.
    fn format(&self) -> Format;

    /// Its addresses, limits and deadlines.
    fn rules(&self) -> &VenueRules;

    /// The stream of an instrument that serves a channel, where these channels are wanted of it; none if the venue has
    /// none, or if the stream of another wanted channel makes it. One stream may serve two channels.
    fn stream(&self, native: &str, channel: ChannelKind, wanted: ChannelSet) -> Option<StreamName>;

    /// The streams of all instruments, as the decoder names them.
    fn streams(&self) -> Vec<VenueStream>;

    /// The address of a line for streams of a group.
    fn url(&self, group: u8) -> String;

    /// Whether quotes have the numbers of the book, so that one tells of the other.
    fn shares_numbers(&self) -> bool;

    /// The message that asks for these streams, which are of one [kind](StreamName::request).
    fn subscribe(&self, id: u64, names: &[&str]) -> String;

    /// The message that ends these streams, which are of one kind.
    fn unsubscribe(&self, id: u64, names: &[&str]) -> String;

    /// The message that asks whether the other side lives; none if a WebSocket ping does.
    fn ping(&self, id: u64) -> Option<String>;

    /// What a message says of the connection. Asked for every message, so a message with data must be told apart at
    /// little cost.
    fn control(&self, text: &[u8]) -> Control;

    /// The stream of a message that cannot be read, if it shows.
    fn name_of(&self, text: &[u8]) -> Option<String>;

    /// Where the list of instruments is.
    fn definitions(&self) -> Definitions;

    /// What an answer, or a message of a stream, says of instruments.
    ///
    /// # Errors
    /// If it cannot be read: why.
    fn read_definitions(&self, body: &mut [u8]) -> Result<Listing, String>;

    /// Where the turnover of the last day is, of all instruments; none if the venue does not say it.
    fn turnover(&self) -> Option<Request> {
        None
    }

    /// The turnover of instruments in their quote currency, by the venue's names.
    ///
    /// # Errors
    /// If it cannot be read: why.
    fn read_turnover(&self, _body: &mut [u8]) -> Result<Vec<(Box<str>, Decimal)>, String> {
        Err("the venue does not say it".to_owned())
    }

    /// Where a book's snapshot is; none if it comes in the stream, when the stream begins.
    fn snapshot(&self, native: &str) -> Option<Request>;
}

/// A stream at its venue.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct StreamName {
    /// Streams of different groups cannot be on one line.
    pub group: u8,
    /// Streams of different kinds cannot be asked for by one request.
    pub request: u8,
    /// The name by which it is asked for.
    pub name: String,
}

/// A request by HTTP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// `https://…`
    pub url: String,
    /// What it costs of the venue's weight.
    pub weight: u32,
}

/// Where a venue's list of instruments is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Definitions {
    /// It is asked for by HTTP, now and then.
    Http(Request),
    /// It is a stream: whole when it begins, and then what changes.
    Stream(StreamName),
}

/// What a venue says of its instruments.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Listing {
    /// The instruments.
    pub instruments: Vec<VenueInstrument>,
    /// These are all: others do not exist any more.
    pub is_whole: bool,
}

/// What a message says of the connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Control {
    /// Nothing: it has data, or is of no interest.
    Data,
    /// The other side lives, and that is all.
    Alive,
    /// The answer to [`LiveVenue::ping`].
    Pong,
    /// A request was accepted. That is not data: whether these come is seen later.
    Accepted {
        /// Which request, if the answer says so.
        id: Option<u64>,
        /// Which of its streams, by its name or its instrument's; none: all of them.
        name: Option<String>,
    },
    /// A request was refused, or a stream of it.
    Refused {
        /// Which request, if the answer says so.
        id: Option<u64>,
        /// What of it.
        what: Refused,
        /// Why, in the venue's words.
        reason: String,
    },
    /// We ask too fast. Which requests were not read is not said.
    RateExceeded,
    /// The state of the venue as a whole.
    System {
        /// What it means for trading.
        trading: TradingState,
        /// In the venue's word.
        word: String,
    },
    /// It is the list of instruments, or a part of it.
    Definitions,
    /// The venue will end this line soon.
    EndsSoon,
}

/// What of a request a venue refuses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refused {
    /// The request as a whole.
    All,
    /// This stream of it, by its name or its instrument's.
    One(String),
    /// It does not say: a stream of it, or the whole.
    Unnamed,
}

/// A venue's addresses, limits and deadlines: data that a configuration can override. Those that are built in are
/// in `venues.toml`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct VenueRules {
    /// When, and by what, these rules were known.
    pub known: String,
    /// Where streams are, without path.
    pub stream_url: String,
    /// Where requests go, without path.
    pub rest_url: String,
    /// Addresses that it has left.
    pub retired: Vec<String>,
    /// Streams of one line.
    pub streams_max: usize,
    /// Streams in one request.
    pub batch_max: usize,
    messages_max: u32,
    messages_seconds: f32,
    connects_max: u32,
    connects_seconds: f32,
    weight_max: u32,
    weight_seconds: f32,
    /// The header in which the venue says how much weight is used.
    pub weight_header: Option<String>,
    life_seconds: f32,
    /// Something comes on an open line at least so often.
    heartbeat_seconds: Option<f32>,
    /// We must send something at least so often.
    ping_seconds: Option<f32>,
    definitions_seconds: f32,
    turnover_seconds: f32,
    check_seconds: f32,
    /// Levels of each side in a snapshot, or in a stream that begins with one.
    pub snapshot_levels: u32,
    /// The only numbers of levels that the venue takes; none: any.
    #[serde(default)]
    levels: Vec<u32>,
}

/// So many in so long.
pub type Limit = (u32, Duration);

/// Why rules cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RulesError {
    /// No venue has this name.
    #[error("{0:?} is no venue that can be connected to; write one of {1}")]
    Unknown(String, String),
    /// A key is not there, or has a wrong value.
    #[error("rules: {0}")]
    Wrong(String),
}

/// The rules that are built in, as they are written.
pub const BUILT_IN: &str = include_str!("venues.toml");

// === impl VenueRules ===

impl VenueRules {
    /// The rules of a venue, with some keys overridden.
    ///
    /// # Errors
    /// If the venue is unknown, or a key is.
    pub fn of(venue: &str, overrides: &toml::Table) -> Result<Self, RulesError> {
        let built_in: toml::Table = BUILT_IN.parse().map_err(wrong)?;
        let Some(toml::Value::Table(mut rules)) = built_in.get(venue).cloned() else {
            let names: Vec<_> = built_in.keys().cloned().collect();
            return Err(RulesError::Unknown(venue.to_owned(), names.join(", ")));
        };
        let base = rules.clone();
        for (key, value) in overrides {
            let value = match (rules.get(key), value) {
                (Some(toml::Value::Float(_)), toml::Value::Integer(whole)) => {
                    toml::Value::Float(*whole as f64)
                }
                _ => value.clone(),
            };
            rules.insert(key.clone(), value);
        }
        let rules: Self = rules
            .try_into()
            .map_err(|error| wrong_key(&base, overrides).unwrap_or_else(|| wrong(error)))?;
        let positive = [
            ("messages_seconds", rules.messages_seconds),
            ("connects_seconds", rules.connects_seconds),
            ("weight_seconds", rules.weight_seconds),
            ("life_seconds", rules.life_seconds),
            ("definitions_seconds", rules.definitions_seconds),
            ("turnover_seconds", rules.turnover_seconds),
            ("check_seconds", rules.check_seconds),
            ("heartbeat_seconds", rules.heartbeat_seconds.unwrap_or(1.0)),
            ("ping_seconds", rules.ping_seconds.unwrap_or(1.0)),
        ];
        for (key, value) in positive {
            if !(value > 0.0 && value <= 1e7) {
                return Err(RulesError::Wrong(format!(
                    "{key}: {value} is not allowed; write seconds above 0, at most ten million"
                )));
            }
        }
        for (key, value) in [
            ("messages_max", rules.messages_max),
            ("connects_max", rules.connects_max),
            ("weight_max", rules.weight_max),
            ("snapshot_levels", rules.snapshot_levels),
        ] {
            if value == 0 {
                return Err(RulesError::Wrong(format!(
                    "{key}: 0 is not allowed; write 1 or more"
                )));
            }
        }
        let levels = &rules.levels;
        if !levels.is_empty() && !levels.contains(&rules.snapshot_levels) {
            let value = rules.snapshot_levels;
            return Err(RulesError::Wrong(format!(
                "snapshot_levels: {value} is not allowed; write one of {levels:?}"
            )));
        }
        check_url("stream_url", &rules.stream_url, ["wss://", "ws://"])?;
        check_url("rest_url", &rules.rest_url, ["https://", "http://"])?;
        Ok(rules)
    }

    /// Our messages on one line.
    pub fn messages(&self) -> Limit {
        (self.messages_max, seconds(self.messages_seconds))
    }

    /// Attempts to connect from one address.
    pub fn connects(&self) -> Limit {
        (self.connects_max, seconds(self.connects_seconds))
    }

    /// Weight of requests from one address.
    pub fn weight(&self) -> Limit {
        (self.weight_max, seconds(self.weight_seconds))
    }

    /// A line is replaced after this time, before the venue cuts it.
    pub fn life(&self) -> Duration {
        seconds(self.life_seconds)
    }

    /// Something comes on an open line at least so often.
    pub fn heartbeat(&self) -> Option<Duration> {
        self.heartbeat_seconds.map(seconds)
    }

    /// We send something at least so often.
    pub fn ping_every(&self) -> Option<Duration> {
        self.ping_seconds.map(seconds)
    }

    /// How often the list of instruments is read.
    pub fn definitions_every(&self) -> Duration {
        seconds(self.definitions_seconds)
    }

    /// How often instruments are ranked by turnover.
    pub fn turnover_every(&self) -> Duration {
        seconds(self.turnover_seconds)
    }

    /// How often a book that seems right is compared with the venue's.
    pub fn check_every(&self) -> Duration {
        seconds(self.check_seconds)
    }

    /// An address of these rules that the venue has left, if there is one.
    pub fn retired_url(&self) -> Option<&str> {
        let mut urls = [&self.stream_url, &self.rest_url].into_iter();
        let is_retired = |url: &&String| self.retired.iter().any(|old| url.contains(old.as_str()));
        urls.find(is_retired).map(String::as_str)
    }
}

fn seconds(seconds: f32) -> Duration {
    Duration::from_secs_f32(seconds)
}

/// What is wrong with the first override that cannot be used alone.
fn wrong_key(base: &toml::Table, overrides: &toml::Table) -> Option<RulesError> {
    let is_wrong = |(key, value): &(&String, &toml::Value)| {
        let mut rules = base.clone();
        let is_whole_float = matches!(
            (base.get(*key), value),
            (Some(toml::Value::Float(_)), toml::Value::Integer(_))
        );
        rules.insert((*key).clone(), (*value).clone());
        !is_whole_float && rules.try_into::<VenueRules>().is_err()
    };
    let (key, value) = overrides.iter().find(is_wrong)?;
    Some(RulesError::Wrong(match base.get(key) {
        Some(usual) => {
            let kind = match usual {
                toml::Value::Integer(_) => "a whole number",
                toml::Value::Float(_) => "a number",
                toml::Value::Array(_) => "a list",
                _ => "a text in quotes",
            };
            format!("{key}: {value} is not allowed; write {kind}, such as {usual}")
        }
        None => {
            format!("{key}: {value} is not allowed; `tapecast venues --rules` prints all rules")
        }
    }))
}

/// An address has a scheme and a host, and nothing that the venue's file adds or that nobody would send.
fn check_url(key: &str, url: &str, schemes: [&str; 2]) -> Result<(), RulesError> {
    let [first, second] = schemes;
    let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    match rest {
        Some(place) if !place.is_empty() && place.chars().all(is_part) => Ok(()),
        // It may hold a password, so it is not shown.
        _ => Err(RulesError::Wrong(format!(
            "{key}: it is not allowed; write {first} or {second}, a host and perhaps a port, without path, query and password"
        ))),
    }
}

fn wrong(error: toml::de::Error) -> RulesError {
    RulesError::Wrong(error.message().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_keys_are_overridden_and_wrong_ones_refused() {
        let of = |text: &str| VenueRules::of("binance", &text.parse().unwrap());
        let rules = of("rest_url = \"https://x\"\nlife_seconds = 60").unwrap();
        assert_eq!(
            (rules.rest_url.as_str(), rules.life().as_secs()),
            ("https://x", 60)
        );
        assert_eq!(rules.weight(), (5_900, Duration::from_secs(61)));
        for (text, part) in [
            ("rest_ur = 1", "rest_ur"),
            (
                "rest_url = 1",
                "rest_url: 1 is not allowed; write a text in quotes",
            ),
            (
                "life_seconds = 7\nweight_max = \"x\"",
                "weight_max: \"x\" is not allowed; write a whole number",
            ),
            ("weight_max = 0", "weight_max"),
            ("life_seconds = -1", "life_seconds"),
            ("stream_url = \"http://x\"", "stream_url"),
            ("stream_url = \"x y\"", "stream_url"),
            ("stream_url = \"wss://x/v2\"", "stream_url"),
            ("rest_url = \"https://u:p@x\"", "rest_url"),
            ("rest_url = \"https://x?token=1\"", "rest_url"),
            ("rest_url = \"https://\"", "rest_url"),
        ] {
            let error = of(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let of = |text: &str| VenueRules::of("kraken", &text.parse().unwrap());
        assert_eq!(of("snapshot_levels = 10").unwrap().snapshot_levels, 10);
        let error = of("snapshot_levels = 50").unwrap_err().to_string();
        assert!(error.contains("[10, 25, 100, 500, 1000]"), "{error}");
        let error = VenueRules::of("ftx", &toml::Table::new()).unwrap_err();
        assert!(error.to_string().contains("binance"), "{error}");
    }

    #[test]
    fn an_address_that_a_venue_has_left_is_found() {
        let text = "retired = [\"old.example\"]\nstream_url = \"wss://old.example:9443\"";
        let rules = VenueRules::of("binance", &text.parse().unwrap()).unwrap();
        assert_eq!(rules.retired_url(), Some("wss://old.example:9443"));
    }
}
