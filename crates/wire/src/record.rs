//! A record: one sequenced event, owned and complete, for a reader in another process or at a later time.
//!
//! A frame is for clients; a record is for gateways. It says all that an
//! [`Update`] says, and what its receiver cannot know: the names of venue and
//! symbol in place of an id, the scales, and which record of its stream came before it. Of a book it has
//! only the changed levels; a whole book is a record of another kind.
//!
//! * [`Record::of`]: an update, or the state of a stream, as a record.
//! * [`Record::encode`], [`Record::decode`]: a record as bytes; [`Records`]: the records of a batch.
//! * [`Record::body`], [`Record::update`]: the update again.
//!
//! # Layout
//! Numbers are little-endian. Each record begins with its length, so that records can follow one another.
//!
//! | offset | size | |
//! |---|---|---|
//! | 0 | u32 | length of the whole record in bytes |
//! | 4 | u8 | version, 1 |
//! | 5 | u8 | kind of content, see below |
//! | 6 | u8 | kind of channel as in binary frames: trade 1, quote 2, book 3, bar 4, ticker 5, status 6, instrument 7 |
//! | 7 | u8 | of a bar: 1s 1, 1m 2, 5m 3, 15m 4, 1h 5, 1d 6; else zero |
//! | 8 | u8 | flags: 1 `prev` is given, 2 `venue_seq` is given |
//! | 9 | u8 | width of `ts_event` in digits, zero if it is not padded; 255: no `ts_event` |
//! | 10 | u8, u8 | scale of prices, scale of quantities |
//! | 12 | u8, u8 | length of the venue's name, length of the symbol |
//! | 14 | u16 | zero |
//! | 16 | u64 | epoch |
//! | 24 | u64 | `seq` |
//! | 32 | u64 | `prev` |
//! | 40 | u64 | `ts_event` |
//! | 48 | u64 | `ts_recv` |
//! | 56 | u64 | `venue_seq` |
//! | 64 | | venue, symbol, content |
//!
//! | kind | content |
//! |---|---|
//! | 1 trades, 2 recent trades | u32 count, then trades: price i64, qty i64, side u8 (0 none, 1 buy, 2 sell), width of its time u8 as above, time u64 if there is one, length of its id u8, id |
//! | 3 quote | u8: 1 bid, 2 ask are given; then price i64 and qty i64 of each |
//! | 4 book | u32 bids, u32 asks, then levels, best first: price i64, qty i64 |
//! | 5 book change | u32 bids, u32 asks, u32 depth to which the venue cuts the book (2³² - 1: it does not), then levels in the order in which they are set |
//! | 6 ticker | u8: which of last, open, high, low, change, change_pct, volume, quote_volume are given, 1 for the first; then each: scale u8, mantissa i128 |
//! | 7 status | feed u8, trading u8, number of channels u8, then each: kind u8, feed u8, since u64; then length of the reason u32, reason |
//! | 8 definition | u8: 1 lossless; trading, kind, unit, inverse u8 each as in binary frames; u8: which of tick, lot, min_qty, contract_size, listed_at, expires_at are given, 1 for the first; then each: figures with scale u8, mantissa i128, times u64; length of the venue's own name u32, name |
//! | 9 bar | start u64, open, high, low, close i64, trades u64, u8: 1 final, 2 quote volume is given; then volume, quote volume: scale u8, mantissa i128 |
//! | 10 loss | events u64 |
//!
//! # Wrong bytes
//! Reading never panics, and allocates no more than a small multiple of the bytes there are. A newer
//! version, an unknown kind, bytes that are missing or left, and numbers out of range are refused with
//! their place. There is one way to write a record: bytes that are read are written the same.

mod cursor;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;
use tapecast_model::{
    Bar, Body, BookChanges, Epoch, EventTime, Instrument, InstrumentId, Level, Quote, Scale, Seq,
    Side, Status, StreamKind, StreamPos, Symbol, Terms, Ticker, Timeframe, Trade, TradingState,
    UnixNanos, Update, Venue,
};

pub use reader::Records;

/// The version that is written, and the newest that is read.
pub const VERSION: u8 = 1;
/// Bytes in front of the names.
pub const HEADER_BYTES: usize = 64;

/// One sequenced event, or the state of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Where the instrument trades.
    pub venue: Venue,
    /// Its name.
    pub symbol: Symbol,
    /// Digits after the point of its prices.
    pub price_scale: Scale,
    /// Digits after the point of its quantities.
    pub qty_scale: Scale,
    /// Which of its streams.
    pub stream: StreamKind,
    /// The stream's life.
    pub epoch: Epoch,
    /// The stream's number of the last event in this record.
    pub seq: Seq,
    /// The number of the stream's record before this one, zero for the first of an epoch; numbers of
    /// events that were not published lie between. None for a state, which stands alone.
    pub prev: Option<Seq>,
    /// The venue's time.
    pub ts_event: Option<EventTime>,
    /// When the gateway received it.
    pub ts_recv: UnixNanos,
    /// The venue's own number.
    pub venue_seq: Option<u64>,
    /// What happened.
    pub content: Content,
}

/// What happened, or what is.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Trades, oldest first; each is one event.
    Trades(Vec<Trade>),
    /// The newest trades, oldest first: the state of a stream of trades.
    RecentTrades(Vec<Trade>),
    /// A new best bid and offer.
    Quote(Quote),
    /// A whole book, best levels first.
    Book(Levels),
    /// What makes the last published book the next one.
    BookChange {
        /// The levels, in the order in which they are set.
        levels: Levels,
        /// To how many levels of each side the venue then cuts the book, if it does.
        depth: Option<u32>,
    },
    /// 24 h statistics.
    Ticker(Box<Ticker>),
    /// Feed and trading state.
    Status(Box<Status>),
    /// What an instrument is, beside its symbol and scales.
    Definition {
        /// The venue's own name for it.
        native: Box<str>,
        /// As [`Instrument::lossless`].
        lossless: bool,
        /// What the venue says of trading.
        trading: TradingState,
        /// What else the venue says of it.
        terms: Box<Terms>,
    },
    /// A bar; its stream has its length.
    Bar(Box<Bar>),
    /// As [`Body::Lost`]: so many events never came. With none, nothing is known of the stream: its epoch
    /// begins, or its book is held back.
    Lost(u64),
}

/// Levels of both sides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Levels {
    /// Bids.
    pub bids: Vec<Level>,
    /// Asks.
    pub asks: Vec<Level>,
}

/// Why bytes are not a record. Places are in bytes from the record's beginning.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RecordError {
    /// There are fewer bytes than the length says, or than a record has.
    #[error("the record's length is {length}, with {left} bytes left")]
    Length {
        /// What the length says; zero if it is cut off itself.
        length: usize,
        /// What there is.
        left: usize,
    },
    /// Written by a newer gateway, or by none.
    #[error("version {0} at byte 4 is not known here; {VERSION} is")]
    Version(u8),
    /// Something ends behind the record's end.
    #[error("{what} at byte {at} extends past the record's end")]
    Truncated {
        /// What should be there.
        what: &'static str,
        /// Where it begins.
        at: usize,
    },
    /// A number without a known meaning.
    #[error("unknown {what} {value} at byte {at}")]
    Unknown {
        /// What it should be.
        what: &'static str,
        /// Where it is.
        at: usize,
        /// The number.
        value: u8,
    },
    /// A number that cannot be, or that is not written so.
    #[error("{what} at byte {at} is out of range")]
    Range {
        /// What it is.
        what: &'static str,
        /// Where it is.
        at: usize,
    },
    /// A text that cannot be.
    #[error("{what} at byte {at} is not a valid text")]
    Text {
        /// What it should be.
        what: &'static str,
        /// Where it begins.
        at: usize,
    },
    /// More bytes than the content needs.
    #[error("the content ends at byte {at} of {length}")]
    TooLong {
        /// Where the content ends.
        at: usize,
        /// The record's length.
        length: usize,
    },
}

// === impl Record ===

impl Record {
    /// An update as a record, behind the record of its stream with the number `prev`; without `prev`, the
    /// state of a stream. A state of which nothing is known is [`Body::Lost`] without events.
    pub fn of(update: &Update<'_>, prev: Option<Seq>) -> Self {
        let content = match update.body {
            Body::Trades(trades) if prev.is_some() => Content::Trades(trades.to_vec()),
            Body::Trades(trades) => Content::RecentTrades(trades.to_vec()),
            Body::Quote(quote) => Content::Quote(*quote),
            Body::Book {
                changes: Some(changes),
                ..
            } if prev.is_some() => Content::BookChange {
                levels: Levels {
                    bids: plain(changes.bids),
                    asks: plain(changes.asks),
                },
                depth: changes.depth.and_then(|depth| u32::try_from(depth).ok()),
            },
            Body::Book { book, .. } => Content::Book(Levels {
                bids: plain(book.levels(Side::Bid)),
                asks: plain(book.levels(Side::Ask)),
            }),
            Body::Lost { events, .. } => Content::Lost(events),
            Body::Ticker(ticker) => Content::Ticker(Box::new(*ticker)),
            Body::Status(status) => Content::Status(Box::new(status.clone())),
            Body::Definition { terms, trading } => Content::Definition {
                native: update.instrument.native.clone(),
                lossless: update.instrument.lossless,
                trading,
                terms: Box::new(*terms),
            },
        };
        let instrument = update.instrument;
        Self {
            venue: instrument.venue.clone(),
            symbol: instrument.symbol.clone(),
            price_scale: instrument.price_scale,
            qty_scale: instrument.qty_scale,
            stream: update.body.kind(),
            epoch: update.epoch,
            seq: update.seq,
            prev,
            ts_event: update.ts_event,
            ts_recv: update.ts_recv,
            venue_seq: update.venue_seq,
            content,
        }
    }

    /// The definition of an instrument of which nothing else is known.
    pub fn define(
        instrument: &Instrument,
        pos: StreamPos,
        prev: Option<Seq>,
        ts_recv: UnixNanos,
    ) -> Self {
        Self {
            venue: instrument.venue.clone(),
            symbol: instrument.symbol.clone(),
            price_scale: instrument.price_scale,
            qty_scale: instrument.qty_scale,
            stream: StreamKind::Instrument,
            epoch: pos.epoch,
            seq: pos.seq,
            prev,
            ts_event: None,
            ts_recv,
            venue_seq: None,
            content: Content::Definition {
                native: instrument.native.clone(),
                lossless: instrument.lossless,
                trading: TradingState::Unknown,
                terms: Box::default(),
            },
        }
    }

    /// The instrument that a definition defines, under an id of the reader.
    pub fn instrument(&self, id: InstrumentId) -> Option<Instrument> {
        let Content::Definition {
            native, lossless, ..
        } = &self.content
        else {
            return None;
        };
        Some(Instrument {
            id,
            venue: self.venue.clone(),
            symbol: self.symbol.clone(),
            native: native.clone(),
            price_scale: self.price_scale,
            qty_scale: self.qty_scale,
            lossless: *lossless,
        })
    }

    /// The body of the update that it was. None for levels, which the reader applies to its own book, and
    /// for what has no body: bars.
    pub fn body(&self) -> Option<Body<'_>> {
        match &self.content {
            Content::Trades(trades) | Content::RecentTrades(trades) => Some(Body::Trades(trades)),
            Content::Quote(quote) => Some(Body::Quote(quote)),
            Content::Ticker(ticker) => Some(Body::Ticker(ticker)),
            Content::Status(status) => Some(Body::Status(status)),
            Content::Definition { terms, trading, .. } => Some(Body::Definition {
                terms,
                trading: *trading,
            }),
            Content::Lost(events) => Some(Body::Lost {
                kind: self.stream,
                events: *events,
            }),
            Content::Book(_) | Content::BookChange { .. } | Content::Bar(_) => None,
        }
    }

    /// The update that it was, with the reader's instrument.
    pub fn update<'a>(&self, instrument: &'a Arc<Instrument>, body: Body<'a>) -> Update<'a> {
        Update {
            instrument,
            epoch: self.epoch,
            seq: self.seq,
            ts_event: self.ts_event,
            ts_recv: self.ts_recv,
            venue_seq: self.venue_seq,
            body,
        }
    }

    /// Appends its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        writer::encode(self, out);
    }

    /// Reads the first record of some bytes; returns it and what follows it.
    ///
    /// # Errors
    /// If the bytes do not begin with a record, with the place.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), RecordError> {
        let (record, rest) = reader::split(bytes)?;
        Ok((reader::read(record)?, rest))
    }
}

/// Levels without their spelling, which serves the venue's checksum only.
fn plain<'a>(levels: impl IntoIterator<Item = &'a Level>) -> Vec<Level> {
    let levels = levels.into_iter();
    levels.map(|l| Level::new(l.price, l.qty)).collect()
}

// === impl Content ===

impl Content {
    /// The name of its kind.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Trades(_) => "prints",
            Self::RecentTrades(_) => "recent trades",
            Self::Quote(_) => "quote",
            Self::Book(_) => "book",
            Self::BookChange { .. } => "book change",
            Self::Ticker(_) => "ticker",
            Self::Status(_) => "status",
            Self::Definition { .. } => "definition",
            Self::Bar(_) => "bar",
            Self::Lost(_) => "loss",
        }
    }

    const fn code(&self) -> u8 {
        match self {
            Self::Trades(_) => TRADES,
            Self::RecentTrades(_) => RECENT_TRADES,
            Self::Quote(_) => QUOTE,
            Self::Book(_) => BOOK,
            Self::BookChange { .. } => BOOK_CHANGE,
            Self::Ticker(_) => TICKER,
            Self::Status(_) => STATUS,
            Self::Definition { .. } => DEFINITION,
            Self::Bar(_) => BAR,
            Self::Lost(_) => LOST,
        }
    }
}

// === impl Levels ===

impl Levels {
    /// The levels as a change that a book takes.
    pub fn changes(&self, depth: Option<u32>) -> BookChanges<'_> {
        BookChanges {
            bids: &self.bids,
            asks: &self.asks,
            depth: depth.map(|depth| depth as usize),
        }
    }
}

// === impl RecordError ===

impl RecordError {
    /// The place of what is wrong.
    pub const fn at(&self) -> usize {
        match *self {
            Self::Length { .. } => 0,
            Self::Version(_) => AT_VERSION,
            Self::Truncated { at, .. }
            | Self::Unknown { at, .. }
            | Self::Range { at, .. }
            | Self::Text { at, .. }
            | Self::TooLong { at, .. } => at,
        }
    }
}

// === the layout ===

const AT_VERSION: usize = 4;
const AT_KIND: usize = 5;
const AT_CHANNEL: usize = 6;
const AT_TIMEFRAME: usize = 7;
const AT_FLAGS: usize = 8;
const AT_WIDTH: usize = 9;
const AT_PRICE_SCALE: usize = 10;
const AT_QTY_SCALE: usize = 11;
const AT_VENUE_LENGTH: usize = 12;
const AT_SYMBOL_LENGTH: usize = 13;
const AT_ZERO: usize = 14;
const AT_EPOCH: usize = 16;
const AT_SEQ: usize = 24;
const AT_PREV: usize = 32;
const AT_TS_EVENT: usize = 40;
const AT_TS_RECV: usize = 48;
const AT_VENUE_SEQ: usize = 56;

const TRADES: u8 = 1;
const RECENT_TRADES: u8 = 2;
const QUOTE: u8 = 3;
const BOOK: u8 = 4;
const BOOK_CHANGE: u8 = 5;
const TICKER: u8 = 6;
const STATUS: u8 = 7;
const DEFINITION: u8 = 8;
const BAR: u8 = 9;
const LOST: u8 = 10;

/// In the header's flags.
const HAS_PREV: u8 = 1;
const HAS_VENUE_SEQ: u8 = 1 << 1;
/// In a bar's flags.
const FINAL: u8 = 1;
const HAS_QUOTE_VOLUME: u8 = 1 << 1;
/// In a quote's.
const HAS_BID: u8 = 1;
const HAS_ASK: u8 = 1 << 1;
/// In a definition's.
const LOSSLESS: u8 = 1;

/// The width of a time that is not given.
const NO_TIME: u8 = u8::MAX;
/// The depth of a book that the venue does not cut.
const NO_DEPTH: u32 = u32::MAX;

const fn timeframe_code(timeframe: Timeframe) -> u8 {
    match timeframe {
        Timeframe::Second => 1,
        Timeframe::Minute => 2,
        Timeframe::FiveMinutes => 3,
        Timeframe::Quarter => 4,
        Timeframe::Hour => 5,
        Timeframe::Day => 6,
    }
}

fn timeframe_of(code: u8) -> Option<Timeframe> {
    let mut all = Timeframe::ALL.into_iter();
    all.find(|timeframe| timeframe_code(*timeframe) == code)
}
