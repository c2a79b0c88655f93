//! The decoders of venues: the content of a received message, in words that are the same for every venue.
//!
//! A [`Decoder`] reads one message and calls an [`EventVisitor`] with its content: the instrument, the stream,
//! and the numbers *as text*. There are two visitors. [`crate::scan::RecordingScan`] learns from a whole
//! recording which instruments and streams there are and how many digits their numbers have.
//! [`crate::normaliser::Normaliser`] makes [`Event`](crate::event::Event)s from the same words. So each
//! decoder is written once, does no I/O and knows no scale.
//!
//! # Wrong input
//! A message that cannot be read is a [`Reject`] and has no effect. Known kinds of messages that we do
//! not use are accepted silently; unknown kinds are [`Reject::Unknown`]. Keys may be in any order,
//! unknown keys are ignored, and numbers are never converted to floats.
//!
//! # State
//! A decoder keeps only state of the connection (Coinbase's `sequence_num`, Bybit's merged tickers);
//! [`Decoder::reset`] clears it. A decoder passes on chains and checksums of books and does not check
//! them: see [`crate::book`].

mod bases;
pub mod binance;
pub mod bybit;
pub mod coinbase;
pub mod cursor;
pub mod kraken;
pub mod okx;
pub(crate) mod plain;
pub mod symbols;
pub mod tape;
pub(crate) mod trading;

use crate::event::{Checksum, Link, TradeIds};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use tapecast_model::{
    Aggressor, ChannelKind, DecimalError, EventTime, Side, Ticker, TradeId, TradingState,
};

/// The largest message that is parsed: Coinbase's book snapshots are 5 MB, with room to grow.
pub const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// The format of a venue's messages, by name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Format {
    /// Binance spot.
    Binance,
    /// Binance USD-M futures.
    BinanceUsdm,
    /// Coinbase Advanced Trade.
    Coinbase,
    /// Kraken v2.
    Kraken,
    /// OKX v5.
    Okx,
    /// Bybit v5 spot.
    BybitSpot,
    /// Bybit v5 linear contracts.
    BybitLinear,
}

/// A name that is not a format.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "unknown format {0:?}; write binance (spot), binance-usdm (USD-M futures), coinbase (Advanced Trade), kraken (v2), okx (v5), bybit-spot (v5) or bybit-linear (v5)"
)]
pub struct FormatError(String);

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Reject {
    /// Cut off, or not the venue's syntax at all.
    #[error("malformed or incomplete")]
    Malformed,
    /// Not UTF-8.
    #[error("not UTF-8")]
    Utf8,
    /// Well-formed, but of an unknown kind.
    #[error("unknown kind of message")]
    Unknown,
    /// A field that must be there is not, or is of another type.
    #[error("{0} is missing or of another type")]
    Missing(&'static str),
    /// A field that should be a number, a time or an id is something else.
    #[error("{0} cannot be read")]
    Number(&'static str),
    /// A number with more digits than its instrument has, or too large.
    #[error("a number has more digits than the instrument's scale allows")]
    Scale,
    /// Longer than [`MESSAGE_BYTES_MAX`].
    #[error("longer than 32 MiB")]
    Oversized,
    /// It names no instrument that we know.
    #[error("names no known instrument")]
    Symbol,
    /// A change that does not follow what came before it, where no one downstream can tell.
    #[error("does not follow the message before it")]
    Chain,
    /// A line of a recording that holds no message.
    #[error("the line has no message")]
    Line,
}

/// One received message, and what a recording says of it.
#[derive(Debug)]
pub struct Message<'a> {
    /// The frame's text; parsing may rewrite it.
    pub raw: &'a mut [u8],
    /// It is the body of an HTTP response to this URL.
    pub http: Option<&'a str>,
    /// The instrument that the recording names.
    pub symbol: Option<&'a str>,
}

/// Reads a venue's messages. Sans I/O.
pub trait Decoder: Send {
    /// Reads one message and calls `visitor` with its content. After an error, the visitor must forget
    /// everything that it got from this message.
    ///
    /// # Errors
    /// If the message cannot be read, or the visitor refuses it.
    fn read(&mut self, message: Message<'_>, visitor: &mut dyn EventVisitor) -> Result<(), Reject>;

    /// The connection is a new one.
    fn reset(&mut self);

    /// Words that show the channel of an unreadable message. A message without any of these words may be
    /// of any channel.
    fn words(&self) -> &'static [(&'static str, ChannelKind)];

    /// Whether an unreadable message is surely a snapshot that does not come in the stream: what the stream
    /// says holds without it.
    fn is_beside(&self, _text: &str) -> bool {
        false
    }
}

/// Receives the content of messages. Each event is a call of `begin`, then, if that returns true, its
/// trades or levels, and then `finish`.
pub trait EventVisitor {
    /// An event begins. `Ok(false)`: it is not used; continue with the next.
    ///
    /// # Errors
    /// If it is of an unknown instrument or kind.
    fn begin(&mut self, head: &MessageHead<'_>) -> Result<bool, Reject>;

    /// A row of the tape, oldest first. An error concerns only this row: the rows before it are valid,
    /// and more may follow.
    ///
    /// # Errors
    /// If a number cannot be kept.
    fn trade(&mut self, row: &TradeRow<'_>) -> Result<(), Reject>;

    /// A price level, or a side of a quote.
    ///
    /// # Errors
    /// If a number cannot be kept.
    fn level(&mut self, side: Side, price: &str, qty: &str) -> Result<(), Reject>;

    /// The event is complete.
    ///
    /// # Errors
    /// If it does not fit what came before.
    fn finish(&mut self) -> Result<(), Reject>;

    /// The venue's word on trading: of one instrument, or of all if none is named.
    fn trading(&mut self, native: Option<&str>, state: TradingState);

    /// Messages of this connection were lost: no book of it can be trusted.
    fn gap(&mut self, reason: String);

    /// A part of the message cannot be read: a row of a batch, or the event of one instrument among
    /// several. The other parts are used. If the part names no instrument, it may be of any instrument.
    fn fault(&mut self, native: Option<&str>, stream: VenueStream, reject: Reject);
}

/// The instrument and the kind of an event.
#[derive(Clone, Copy, Debug)]
pub struct MessageHead<'a> {
    /// The venue's name for the instrument; empty if the message names none.
    pub native: &'a str,
    /// The stream it belongs to.
    pub stream: VenueStream,
    /// The venue's time; the visitor drops one that is not [dated](EventTime::is_dated).
    pub ts_event: Option<EventTime>,
    /// The venue's number.
    pub venue_seq: Option<u64>,
    /// What follows.
    pub what: What<'a>,
}

/// One of a venue's streams of an instrument. Several may have the same content; the best one is used.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct VenueStream {
    /// What it carries.
    pub carries: Carries,
    /// Of streams that carry the same, the highest rank is used: deeper, or finer.
    pub rank: u32,
}

/// What a stream carries.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Carries {
    /// Trades.
    Trades,
    /// Best bid and offer.
    Quote,
    /// Best bid and offer as a by-product, used only where there is neither quote nor book.
    SpareQuote,
    /// A book of one level: a quote, and the book where there is no deeper one.
    Top,
    /// A book in changes.
    Book,
    /// A book that is complete in each message.
    WholeBook,
    /// A complete book that does not come in the stream; the changes of the stream build on it.
    Seed,
    /// 24 h statistics.
    Ticker,
}

/// What follows a [`MessageHead`].
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// Trades.
    Trades {
        /// They happened before we came.
        history: bool,
        /// What their ids say of what lies between them.
        ids: TradeIds,
    },
    /// At most one level of each side; a side without orders has none.
    Quote,
    /// Levels of a book.
    Book(BookHead),
    /// Nothing more.
    Ticker {
        /// The statistics, merged with those before them if they are not whole.
        ticker: &'a Ticker,
        /// The message said all of them; otherwise they are as right as those before them.
        whole: bool,
    },
}

/// The fields of a book message except its levels.
#[derive(Clone, Copy, Debug, Default)]
pub struct BookHead {
    /// The levels are the whole book.
    pub snapshot: bool,
    /// What came before.
    pub link: Link,
    /// What the book should hash to.
    pub checksum: Option<Checksum>,
    /// The venue keeps so many levels and does not say which fall out.
    pub depth: Option<usize>,
}

/// One row of a venue's tape, numbers as sent. It is a trade if the venue calls it a trade of
/// the market and its quantity is above zero; the visitor decides that, by one rule for all venues.
#[derive(Clone, Copy, Debug)]
pub struct TradeRow<'a> {
    /// The venue's id.
    pub id: TradeId,
    /// Its price.
    pub price: &'a str,
    /// Its size.
    pub qty: &'a str,
    /// The side that took liquidity.
    pub aggressor: Option<Aggressor>,
    /// The venue's time.
    pub ts_event: Option<EventTime>,
    /// It is what the venue calls a trade of the market: no liquidation by a fund, no placeholder.
    pub market: bool,
    /// The first id that it includes, if the venue merged several fills into one row.
    pub first_id: Option<u64>,
}

/// Why a quote or a ticker that could be read is no update.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoUpdate {
    /// Its number is lower than that of the last one.
    Old,
    /// It is the last one once more.
    Repeated,
    /// It says what changed, and what it changes is unknown: a snapshot is missing.
    NoSnapshot,
}

/// Why a row of a tape is not a trade.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoTrade {
    /// Nothing changed hands: its quantity is zero.
    NoQuantity,
    /// The venue says that it is not a trade of the market.
    NotMarket,
}

// === impl Format ===

impl Format {
    /// All formats.
    pub const ALL: [Self; 7] = [
        Self::Binance,
        Self::BinanceUsdm,
        Self::Coinbase,
        Self::Kraken,
        Self::Okx,
        Self::BybitSpot,
        Self::BybitLinear,
    ];

    /// The name in the configuration, and of the venue unless another is given.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Binance => "binance",
            Self::BinanceUsdm => "binance-usdm",
            Self::Coinbase => "coinbase",
            Self::Kraken => "kraken",
            Self::Okx => "okx",
            Self::BybitSpot => "bybit-spot",
            Self::BybitLinear => "bybit-linear",
        }
    }

    /// A decoder of this format.
    pub fn decoder(self) -> Box<dyn Decoder> {
        match self {
            Self::Binance => Box::new(binance::Binance::new(binance::Product::Spot)),
            Self::BinanceUsdm => Box::new(binance::Binance::new(binance::Product::Usdm)),
            Self::Coinbase => Box::new(coinbase::Coinbase::default()),
            Self::Kraken => Box::new(kraken::Kraken::default()),
            Self::Okx => Box::new(okx::Okx::default()),
            Self::BybitSpot | Self::BybitLinear => Box::new(bybit::Bybit::default()),
        }
    }

    /// Whether its checksums are made over numbers as sent.
    pub const fn spells(self) -> bool {
        matches!(self, Self::Kraken | Self::Okx)
    }
}

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        let known = Self::ALL.into_iter().find(|f| f.label() == text);
        known.ok_or_else(|| FormatError(text.to_owned()))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

impl Format {
    /// The product whose messages have it: a venue has several products, and each has a format of its own.
    pub const fn product(self) -> &'static str {
        match self {
            Self::Binance => "Binance spot",
            Self::BinanceUsdm => "Binance USD-M futures",
            Self::Coinbase => "Coinbase Advanced Trade",
            Self::Kraken => "Kraken v2",
            Self::Okx => "OKX v5",
            Self::BybitSpot => "Bybit v5 spot",
            Self::BybitLinear => "Bybit v5 linear",
        }
    }

    /// Whether what comes later shows that a message of a stream was lost: by ids of trades that are
    /// dense, or by a number of the connection. The chain of a book would show it too, but only with the
    /// next change, and until then a wrong book would count as right.
    pub const fn shows_loss(self, carries: Carries) -> bool {
        match self {
            Self::Coinbase => true,
            Self::Binance | Self::BinanceUsdm | Self::Kraken | Self::Okx => {
                matches!(carries, Carries::Trades)
            }
            Self::BybitSpot | Self::BybitLinear => false,
        }
    }
}

// === impl Reject ===

impl Reject {
    /// The reasons in metrics, in order of [`Reject::index`].
    pub const LABELS: [&'static str; 10] = [
        "malformed",
        "utf8",
        "unknown",
        "missing_field",
        "bad_number",
        "beyond_scale",
        "oversized",
        "symbol",
        "chain",
        "bad_line",
    ];

    /// A dense index, below the length of [`Reject::LABELS`].
    pub const fn index(self) -> usize {
        match self {
            Self::Malformed => 0,
            Self::Utf8 => 1,
            Self::Unknown => 2,
            Self::Missing(_) => 3,
            Self::Number(_) => 4,
            Self::Scale => 5,
            Self::Oversized => 6,
            Self::Symbol => 7,
            Self::Chain => 8,
            Self::Line => 9,
        }
    }

    /// The reason in metrics.
    pub const fn label(self) -> &'static str {
        Self::LABELS[self.index()]
    }

    /// Whether it speaks against the connection. A kind of message that is new to us does not, nor
    /// does a recording's broken line.
    pub const fn is_fault(self) -> bool {
        !matches!(self, Self::Unknown | Self::Line)
    }

    /// A number that could not be kept.
    pub const fn of_number(field: &'static str, error: DecimalError) -> Self {
        match error {
            DecimalError::BeyondScale { .. } | DecimalError::Overflow => Self::Scale,
            DecimalError::Empty | DecimalError::Syntax { .. } => Self::Number(field),
        }
    }
}

// === impl NoTrade ===

impl NoTrade {
    /// All reasons, in order of declaration.
    pub const ALL: [Self; 2] = [Self::NoQuantity, Self::NotMarket];

    /// The reason in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoQuantity => "no_quantity",
            Self::NotMarket => "not_market",
        }
    }
}

// === impl What ===

impl<'a> What<'a> {
    /// A ticker whose message said all of it.
    pub const fn whole(ticker: &'a Ticker) -> Self {
        Self::Ticker {
            ticker,
            whole: true,
        }
    }
}

// === impl NoUpdate ===

impl NoUpdate {
    /// All reasons, in order of declaration.
    pub const ALL: [Self; 3] = [Self::Old, Self::Repeated, Self::NoSnapshot];

    /// The reason in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::Repeated => "repeated",
            Self::NoSnapshot => "no_snapshot",
        }
    }
}

// === impl Carries, VenueStream ===

impl Carries {
    /// The channel that it serves.
    pub const fn channel(self) -> ChannelKind {
        match self {
            Self::Trades => ChannelKind::Trade,
            Self::Quote | Self::SpareQuote => ChannelKind::Quote,
            Self::Top | Self::Book | Self::WholeBook | Self::Seed => ChannelKind::Book,
            Self::Ticker => ChannelKind::Ticker,
        }
    }
}

impl VenueStream {
    /// A stream.
    pub const fn new(carries: Carries, rank: u32) -> Self {
        Self { carries, rank }
    }
}

/// An integer time whose unit the venue does not fix (Binance sends milliseconds, with
/// `timeUnit=MICROSECOND` microseconds, and archives of it have other units): the unit shows in its size.
/// Seconds, milliseconds, microseconds and nanoseconds of the years 1980 to 2200 are apart by far.
pub(crate) const fn integer_time(number: u64) -> EventTime {
    const MILLIS_FROM: u64 = 100_000_000_000;
    const MICROS_FROM: u64 = 100_000_000_000_000;
    const NANOS_FROM: u64 = 100_000_000_000_000_000;
    use tapecast_model::UnixNanos;
    if number < MILLIS_FROM {
        EventTime::from_secs(number)
    } else if number < MICROS_FROM {
        EventTime::from_millis(number)
    } else if number < NANOS_FROM {
        EventTime::new(UnixNanos::from_micros(number))
    } else {
        EventTime::new(UnixNanos::new(number))
    }
}

/// An RFC 3339 time with any number of digits after the second; one before 1970 or after 2554 is as
/// good as the epoch, which is no time of a venue either.
pub(crate) fn rfc3339_time(text: &str) -> Option<EventTime> {
    let time: jiff::Timestamp = text.parse().ok()?;
    let nanos = u64::try_from(time.as_nanosecond()).unwrap_or(0);
    Some(EventTime::new(tapecast_model::UnixNanos::new(nanos)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_print_as_they_parse_and_an_unknown_one_is_told_the_names() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        let refusal = "ftx".parse::<Format>().unwrap_err().to_string();
        assert!(
            Format::ALL.iter().all(|f| refusal.contains(f.label())),
            "{refusal}"
        );
    }

    #[test]
    fn the_unit_of_an_integer_time_shows_in_its_size() {
        for number in [
            1_723_161_255,
            1_723_161_255_000,
            1_723_161_255_000_000,
            1_723_161_255_000_000_000,
        ] {
            let nanos = integer_time(number).nanos().get();
            assert_eq!(nanos, 1_723_161_255_000_000_000);
        }
        for number in [0, 1, 99_999_999_999, 99_999_999_999_999, u64::MAX] {
            assert!(!integer_time(number).is_dated(), "{number}");
        }
    }

    #[test]
    fn rfc3339_times_keep_their_nanoseconds() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(
                rfc3339_time(text).map(|t| t.nanos().get()),
                expected,
                "{text}"
            );
        };
        check(
            "2026-08-09T21:05:48.228846629Z",
            Some(1_786_309_548_228_846_629),
        );
        check(
            "2026-08-09T21:05:48.50436Z",
            Some(1_786_309_548_504_360_000),
        );
        check("2026-08-09T21:05:48Z", Some(1_786_309_548_000_000_000));
        check("0001-01-01T00:00:00Z", Some(0));
        check("9999-01-01T00:00:00Z", Some(0));
        check("2026-08-09 21:05:48.854840045 +0000 UTC m=+41691.2", None);
        check("", None);
    }
}
