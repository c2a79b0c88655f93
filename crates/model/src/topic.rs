//! Topics: what a client subscribes to, in their only textual form.
//!
//! ```text
//! topic   = channel ":" venue ":" symbol [ "@" interval ]
//! channel = "trade" | "quote" | "book." depth | "bar." timeframe | "ticker" | "status" | "instrument"
//! ```
//!
//! Parsing refuses by name and never adjusts: a depth of 26 is an error that lists the valid depths. The
//! [`Catalog`](crate::Catalog) decides whether the venue, symbol and channel exist.

use crate::symbol::{Symbol, Venue};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A topic: one channel of one instrument, conflated to an interval or not.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Topic {
    /// What of the instrument.
    pub channel: Channel,
    /// Where it trades.
    pub venue: Venue,
    /// Its name.
    pub symbol: Symbol,
    /// At most one frame per interval; none means every event.
    pub interval: Option<Interval>,
}

/// What a topic carries.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Channel {
    /// Trades.
    Trade,
    /// Best bid and offer.
    Quote,
    /// The best price levels of both sides.
    Book(Depth),
    /// Bars of a timeframe.
    Bar(Timeframe),
    /// 24 h statistics.
    Ticker,
    /// Feed and trading state.
    Status,
    /// The instrument's definition.
    Instrument,
}

/// The kind of a channel: what metrics count by and venues offer.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum ChannelKind {
    /// Trades.
    Trade = 0,
    /// Best bid and offer.
    Quote = 1,
    /// Price levels.
    Book = 2,
    /// Bars.
    Bar = 3,
    /// 24 h statistics.
    Ticker = 4,
    /// Feed and trading state.
    Status = 5,
    /// Definition.
    Instrument = 6,
}

/// A set of channel kinds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ChannelSet(u8);

/// How many levels of each side a book topic shows.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Depth(u16);

/// The length of a bar.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Timeframe {
    /// A second.
    Second = 0,
    /// A minute.
    Minute = 1,
    /// Five minutes.
    FiveMinutes = 2,
    /// A quarter of an hour.
    Quarter = 3,
    /// An hour.
    Hour = 4,
    /// A day.
    Day = 5,
}

/// The shortest time between two frames of a conflated topic.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Interval(u16);

/// Why a text is not a topic.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TopicError {
    /// The shape is wrong.
    #[error("{0}")]
    Malformed(String),
    /// A depth that is not offered.
    #[error("depth {} is not offered; write 1, 10, 25, 50, 100 or 500", shown(.0))]
    Depth(String),
    /// A timeframe that is not offered.
    #[error("timeframe {} is not offered; write 1s, 1m, 5m, 15m, 1h or 1d", shown(.0))]
    Timeframe(String),
    /// An interval that is not offered.
    #[error("interval {} is not offered; write 10ms, 50ms, 100ms, 250ms, 500ms, 1s or 5s", shown(.0))]
    Interval(String),
}

// === impl Topic ===

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let malformed = |why: &str| TopicError::Malformed(format!("{text:?}: {why}"));
        let mut parts = text.splitn(3, ':');
        let (Some(channel), Some(venue), Some(rest)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed(
                "write channel:venue:symbol or channel:venue:symbol@interval, for example \
                 trade:binance:BTC-USDT or book.10:binance:BTC-USDT@100ms",
            ));
        };
        let (symbol, interval) = match rest.split_once('@') {
            Some((symbol, interval)) => (symbol, Some(Interval::parse(interval)?)),
            None => (rest, None),
        };
        if venue.contains('*') || symbol.contains('*') {
            return Err(malformed("patterns are not offered; name each topic"));
        }
        Ok(Self {
            channel: Channel::parse(channel, text)?,
            venue: Venue::new(venue).map_err(|e| malformed(&e.to_string()))?,
            symbol: Symbol::new(symbol).map_err(|e| malformed(&e.to_string()))?,
            interval,
        })
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.channel, self.venue, self.symbol)?;
        match self.interval {
            Some(interval) => write!(f, "@{interval}"),
            None => Ok(()),
        }
    }
}

// === impl Channel ===

impl Channel {
    fn parse(text: &str, topic: &str) -> Result<Self, TopicError> {
        Ok(match text {
            "trade" => Self::Trade,
            "quote" => Self::Quote,
            "ticker" => Self::Ticker,
            "status" => Self::Status,
            "instrument" => Self::Instrument,
            _ => match text.split_once('.') {
                Some(("book", depth)) => Self::Book(Depth::parse(depth)?),
                Some(("bar", timeframe)) => Self::Bar(Timeframe::parse(timeframe)?),
                _ => {
                    return Err(TopicError::Malformed(format!(
                        "{topic:?}: unknown channel {text:?}; write trade, quote, book.N, ticker, \
                         status or instrument"
                    )));
                }
            },
        })
    }

    /// Its kind.
    pub const fn kind(self) -> ChannelKind {
        match self {
            Self::Trade => ChannelKind::Trade,
            Self::Quote => ChannelKind::Quote,
            Self::Book(_) => ChannelKind::Book,
            Self::Bar(_) => ChannelKind::Bar,
            Self::Ticker => ChannelKind::Ticker,
            Self::Status => ChannelKind::Status,
            Self::Instrument => ChannelKind::Instrument,
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Book(depth) => write!(f, "book.{}", depth.0),
            Self::Bar(timeframe) => write!(f, "bar.{}", timeframe.label()),
            other => f.write_str(other.kind().label()),
        }
    }
}

// === impl ChannelKind ===

impl ChannelKind {
    /// All kinds, in order of [`ChannelKind::index`].
    pub const ALL: [Self; 7] = [
        Self::Trade,
        Self::Quote,
        Self::Book,
        Self::Bar,
        Self::Ticker,
        Self::Status,
        Self::Instrument,
    ];

    /// A dense index, below [`ChannelKind::ALL`]'s length.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in topics and metric labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Trade => "trade",
            Self::Quote => "quote",
            Self::Book => "book",
            Self::Bar => "bar",
            Self::Ticker => "ticker",
            Self::Status => "status",
            Self::Instrument => "instrument",
        }
    }

    /// Whether its topics may be conflated to an [`Interval`]. States and definitions change too
    /// seldom for that; bars will be, with every final one kept, once there are bars.
    pub const fn takes_interval(self) -> bool {
        match self {
            Self::Trade | Self::Quote | Self::Book | Self::Ticker => true,
            Self::Bar | Self::Status | Self::Instrument => false,
        }
    }
}

// === impl ChannelSet ===

impl ChannelSet {
    /// No channel.
    pub const EMPTY: Self = Self(0);
    /// Every channel.
    pub const ALL: Self = Self((1 << ChannelKind::ALL.len()) - 1);

    /// This set and one more.
    #[must_use]
    pub const fn with(self, kind: ChannelKind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    /// This set without one.
    #[must_use]
    pub const fn without(self, kind: ChannelKind) -> Self {
        Self(self.0 & !(1 << kind as u8))
    }

    /// Both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is none in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a kind is in it.
    pub const fn contains(self, kind: ChannelKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// Its kinds in order.
    pub fn iter(self) -> impl Iterator<Item = ChannelKind> {
        ChannelKind::ALL
            .into_iter()
            .filter(move |kind| self.contains(*kind))
    }
}

// === impl Depth, Timeframe, Interval ===

impl Depth {
    /// What is offered, shallowest first.
    pub const ALL: [Self; 6] = [Self(1), Self(10), Self(25), Self(50), Self(100), Self(500)];

    fn parse(text: &str) -> Result<Self, TopicError> {
        let known = Self::ALL.into_iter().find(|d| d.0.to_string() == text);
        known.ok_or_else(|| TopicError::Depth(clip(text)))
    }

    /// Levels of each side.
    pub const fn levels(self) -> usize {
        self.0 as usize
    }
}

impl Timeframe {
    /// What is offered, shortest first.
    pub const ALL: [Self; 6] = [
        Self::Second,
        Self::Minute,
        Self::FiveMinutes,
        Self::Quarter,
        Self::Hour,
        Self::Day,
    ];

    /// A dense index, in order of [`Timeframe::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in topics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Second => "1s",
            Self::Minute => "1m",
            Self::FiveMinutes => "5m",
            Self::Quarter => "15m",
            Self::Hour => "1h",
            Self::Day => "1d",
        }
    }

    fn parse(text: &str) -> Result<Self, TopicError> {
        let known = Self::ALL.into_iter().find(|t| t.label() == text);
        known.ok_or_else(|| TopicError::Timeframe(clip(text)))
    }
}

impl Interval {
    /// What is offered, shortest first.
    pub const ALL: [Self; 7] = [
        Self(10),
        Self(50),
        Self(100),
        Self(250),
        Self(500),
        Self(1_000),
        Self(5_000),
    ];

    fn parse(text: &str) -> Result<Self, TopicError> {
        let known = Self::ALL.into_iter().find(|i| i.to_string() == text);
        known.ok_or_else(|| TopicError::Interval(clip(text)))
    }

    /// Its length in milliseconds.
    pub const fn millis(self) -> u64 {
        self.0 as u64
    }

    /// Its length.
    pub const fn length(self) -> Duration {
        Duration::from_millis(self.millis())
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= 1_000 {
            write!(f, "{}s", self.0 / 1_000)
        } else {
            write!(f, "{}ms", self.0)
        }
    }
}

/// A word of a client in a message; one that is not there is shown as such.
fn shown(word: &str) -> &str {
    if word.is_empty() { "\"\"" } else { word }
}

/// A client's text, short enough to send back.
fn clip(text: &str) -> String {
    text.chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn topics_print_as_they_parse() {
        for text in [
            "trade:binance:BTC-USDT",
            "book.25:coinbase:BTC-USD@250ms",
            "bar.1m:okx:ETH-USDT",
            "quote:best:BTC-USD@5s",
            "ticker:okx:ETH-USD-220325-8800-P",
            "status:bench:T0-USD",
        ] {
            assert_eq!(text.parse::<Topic>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_offered_is_refused_by_name() {
        let refusal = |text: &str| text.parse::<Topic>().unwrap_err();
        assert_eq!(
            refusal("book.26:coinbase:BTC-USD"),
            TopicError::Depth("26".into())
        );
        assert_eq!(
            refusal("book.010:coinbase:BTC-USD"),
            TopicError::Depth("010".into())
        );
        assert_eq!(
            refusal("bar.2m:okx:A-B"),
            TopicError::Timeframe("2m".into())
        );
        assert_eq!(
            refusal("trade:okx:A-B@20ms"),
            TopicError::Interval("20ms".into())
        );
        for (text, part) in [
            ("book.:okx:A-B", "depth \"\" is not offered"),
            ("trade:okx:A-B@", "interval \"\" is not offered"),
            ("trade:okx:A-B@1m", "interval 1m is not offered"),
            ("x", "\"x\": write channel:venue:symbol"),
            ("x", "for example trade:binance:BTC-USDT"),
        ] {
            let message = refusal(text).to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
        for text in [
            "",
            "trade",
            "trade:okx",
            "trades:okx:A-B",
            "trade:OKX:A-B",
            "trade:okx:",
            "trade:okx:BTC-",
            "quote:*:BTC-*",
        ] {
            assert!(matches!(refusal(text), TopicError::Malformed(_)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            if let Ok(topic) = text.parse::<Topic>() {
                prop_assert_eq!(topic.to_string(), text);
            }
        }
    }
}
