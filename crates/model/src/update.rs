//! Normalised updates of an instrument: the same types for every venue.

use crate::book::{Book, BookChanges, Touched};
use crate::decimal::Decimal;
use crate::digits;
use crate::price::{Price, Qty};
use crate::seq::{Epoch, Seq};
use crate::status::{Status, TradingState};
use crate::stream::StreamKind;
use crate::symbol::Instrument;
use crate::terms::Terms;
use crate::time::{EventTime, UnixNanos};
use std::fmt;
use std::sync::Arc;

/// One sequenced update, on its way from the sequencer to the publisher.
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    /// Whose update.
    pub instrument: &'a Arc<Instrument>,
    /// The stream's life.
    pub epoch: Epoch,
    /// The stream's number of the last event in this update.
    pub seq: Seq,
    /// The venue's time; none if it gives none, and for trades, which carry their own.
    pub ts_event: Option<EventTime>,
    /// When the gateway received it.
    pub ts_recv: UnixNanos,
    /// The venue's own number, where it has one.
    pub venue_seq: Option<u64>,
    /// What happened.
    pub body: Body<'a>,
}

/// What happened. The same shapes serve as a stream's current state.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// Trades, oldest first; each is one event. As a state: the newest trades.
    Trades(&'a [Trade]),
    /// A new best bid and offer.
    Quote(&'a Quote),
    /// The book after an event.
    Book {
        /// The whole book in its present state.
        book: &'a Book,
        /// The best ranks that may differ from before.
        touched: Touched,
        /// What makes the last published book of the stream this one. None if only the whole book says
        /// it: the venue replaced the book, or it is a state.
        changes: Option<BookChanges<'a>>,
    },
    /// Events of the stream were lost: at the venue, on the way to us, or because they could not be
    /// read. They have numbers, the last of which is the update's, and nothing else of them is known.
    /// Of trades these are missing, and nothing else; any other state is unknown until the next update,
    /// and the next [`Body::Book`] starts the book over.
    Lost {
        /// Of which stream.
        kind: StreamKind,
        /// How many: what ids prove, else one. None where a new epoch begins with nothing known: then
        /// nothing is said, for the epoch says it.
        events: u64,
    },
    /// 24 h statistics.
    Ticker(&'a Ticker),
    /// Feed and trading state.
    Status(&'a Status),
    /// The instrument's definition, beside its names and scales, which the update's instrument has.
    Definition {
        /// What the venue says of it.
        terms: &'a Terms,
        /// The state of trading, as in [`Body::Status`].
        trading: TradingState,
    },
}

/// One trade.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Trade {
    /// The venue's id, as it was spelled.
    pub id: TradeId,
    /// At what price.
    pub price: Price,
    /// How much.
    pub qty: Qty,
    /// The side that took liquidity, if the venue says so.
    pub aggressor: Option<Aggressor>,
    /// The venue's time of the trade.
    pub ts_event: Option<EventTime>,
}

/// The side of the order that took liquidity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Aggressor {
    /// A buyer lifted the offer.
    Buy,
    /// A seller hit the bid.
    Sell,
}

/// A trade id of at most [`TradeId::MAX`] bytes: a number or a UUID, kept as spelled and inline.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct TradeId {
    bytes: [u8; Self::MAX],
    length: u8,
}

/// The best bid and offer. A side without orders has none.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Quote {
    /// Best bid and its size.
    pub bid: Option<(Price, Qty)>,
    /// Best offer and its size.
    pub ask: Option<(Price, Qty)>,
}

/// 24 h statistics; what a venue does not give is absent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ticker {
    /// Last price.
    pub last: Option<Decimal>,
    /// Price 24 h ago.
    pub open: Option<Decimal>,
    /// Highest price.
    pub high: Option<Decimal>,
    /// Lowest price.
    pub low: Option<Decimal>,
    /// `last - open`.
    pub change: Option<Decimal>,
    /// `change` in per cent of `open`.
    pub change_pct: Option<Decimal>,
    /// Volume in the base currency.
    pub volume: Option<Decimal>,
    /// Volume in the quote currency.
    pub quote_volume: Option<Decimal>,
}

// === impl Ticker ===

impl Ticker {
    /// The names of its figures, in the order that records, frames and published lines share. It never changes.
    pub const FIGURES: [&'static str; 8] = [
        "last",
        "open",
        "high",
        "low",
        "change",
        "change_pct",
        "volume",
        "quote_volume",
    ];

    /// Its figures, in the order of [`Self::FIGURES`].
    pub const fn figures(&self) -> [Option<Decimal>; Self::FIGURES.len()] {
        [
            self.last,
            self.open,
            self.high,
            self.low,
            self.change,
            self.change_pct,
            self.volume,
            self.quote_volume,
        ]
    }

    /// The ticker with these figures, in the order of [`Self::FIGURES`].
    pub const fn from_figures(figures: [Option<Decimal>; Self::FIGURES.len()]) -> Self {
        let [
            last,
            open,
            high,
            low,
            change,
            change_pct,
            volume,
            quote_volume,
        ] = figures;
        Self {
            last,
            open,
            high,
            low,
            change,
            change_pct,
            volume,
            quote_volume,
        }
    }
}

// === impl Body ===

impl Body<'_> {
    /// Which stream it belongs to.
    pub const fn kind(&self) -> StreamKind {
        match self {
            Self::Trades(_) => StreamKind::Trade,
            Self::Quote(_) => StreamKind::Quote,
            Self::Book { .. } => StreamKind::Book,
            Self::Ticker(_) => StreamKind::Ticker,
            Self::Status(_) => StreamKind::Status,
            Self::Definition { .. } => StreamKind::Instrument,
            Self::Lost { kind, .. } => *kind,
        }
    }
}

// === impl TradeId ===

impl TradeId {
    /// The longest id kept.
    pub const MAX: usize = 39;

    /// Keeps an id; none if it is empty, too long, or would need escaping in JSON.
    pub fn new(text: &[u8]) -> Option<Self> {
        let plain = |b: &u8| (0x20..0x7f).contains(b) && !matches!(b, b'"' | b'\\');
        if text.is_empty() || text.len() > Self::MAX || !text.iter().all(plain) {
            return None;
        }
        let mut bytes = [0; Self::MAX];
        bytes[..text.len()].copy_from_slice(text);
        Some(Self {
            bytes,
            length: text.len() as u8,
        })
    }

    /// A numeric id.
    pub fn from_number(number: u64) -> Self {
        let mut bytes = [0; Self::MAX];
        if number >= digits::SIXTEEN {
            let mut text = Vec::with_capacity(20);
            digits::write_number(&mut text, number);
            bytes[..text.len()].copy_from_slice(&text);
            let length = text.len() as u8;
            return Self { bytes, length };
        }
        let spelled = digits::sixteen(number);
        let leading = digits::leading_zeros(spelled).min(15);
        // Characters only where digits are: what is behind an id is zero.
        let characters = (spelled | digits::CHARACTERS) >> (8 * leading);
        bytes[..16].copy_from_slice(&characters.to_le_bytes());
        let length = (16 - leading) as u8;
        Self { bytes, length }
    }

    /// The id as a number, if it is one as a number is written: digits without zeros in front.
    pub fn number(&self) -> Option<u64> {
        let digits = self.as_bytes();
        if !digits.iter().all(u8::is_ascii_digit) || (digits.len() > 1 && digits[0] == b'0') {
            return None;
        }
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// The id as spelled; printable ASCII without quotes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Debug for TradeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

// === impl Aggressor ===

impl Aggressor {
    /// The name in frames.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_number_if_it_is_spelled_like_one() {
        for number in [0, 7, 42, u64::MAX] {
            assert_eq!(TradeId::from_number(number).number(), Some(number));
        }
        for text in [
            "042",
            "00",
            "a1",
            "1a",
            "-1",
            "18446744073709551616",
            "a9188a0a-82bc",
        ] {
            assert_eq!(
                TradeId::new(text.as_bytes()).unwrap().number(),
                None,
                "{text}"
            );
        }
    }

    #[test]
    fn trade_ids_are_kept_as_spelled() {
        for text in ["0", "0000000042", "a9188a0a-82bc-50de-be60-03eedbe3cdd7"] {
            assert_eq!(
                TradeId::new(text.as_bytes()).unwrap().as_bytes(),
                text.as_bytes()
            );
        }
        assert_eq!(
            TradeId::from_number(u64::MAX).as_bytes(),
            b"18446744073709551615"
        );
        assert_eq!(TradeId::from_number(0).as_bytes(), b"0");
        for (text, number) in [
            ("42", Some(42)),
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("007", None),
            ("a9188a0a", None),
        ] {
            assert_eq!(TradeId::new(text.as_bytes()).unwrap().number(), number);
        }
        for text in [
            "",
            "a\"b",
            "a\\b",
            "a\nb",
            "0123456789012345678901234567890123456789",
        ] {
            assert_eq!(TradeId::new(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_figures_of_a_ticker_make_it_again() {
        let figures = std::array::from_fn(|at| (at != 4).then(|| Decimal::new(at as i128, 2)));
        let ticker = Ticker::from_figures(figures);
        assert_eq!(ticker.figures(), figures);
        assert_eq!((ticker.last, ticker.change), (figures[0], None));
        assert_eq!(ticker.quote_volume, figures[7]);
    }
}
