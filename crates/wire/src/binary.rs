//! Data frames in the binary encoding, `tapecast.v1.bin`: records of fixed layout, little-endian, each a
//! multiple of eight bytes. `docs/PROTOCOL.md` describes them offset by offset.
//!
//! * [`writer`]: model to bytes, with the same inputs as [`crate::json`].
//! * [`record`]: bytes to model, bounds-checked and without copies.
//! * [`error`]: why bytes are not a record.
//! * [`trade`](mod@trade): one trade and its id, the most complex part.
//!
//! A record has the content of a JSON frame, except three values that the topic's acknowledgement
//! contains: the topic's name, the scales of its numbers, and the epoch of an update. If a publisher
//! padded a time with zeros, the record has only the number.
//!
//! Every frame fits into a record: see [`WORDS_MAX`].

pub mod error;
pub mod record;
pub mod trade;
pub mod writer;

use tapecast_model::{ChannelKind, FeedState, TradingState};

pub use error::BinaryError;
pub use record::{EpochMark, Figures, Levels, Record, RecordBody, Records};
pub use trade::Trades;
pub use writer::{book, definition, quote, status, ticker, trades};

/// Bytes of the header that every record begins with.
pub const HEADER_BYTES: usize = 32;
/// Bytes of a record's length unit.
pub const WORD_BYTES: usize = 8;
/// The most words that a header can say. A longer record says 0 instead: it is the last of its
/// message and ends with it.
pub const WORDS_MAX: usize = u16::MAX as usize;
/// Bytes of one trade.
pub const TRADE_BYTES: usize = 48;
/// Bytes of one price level.
pub const LEVEL_BYTES: usize = 16;
/// Bytes of the state of one channel.
const CHANNEL_BYTES: usize = 16;

/// Bytes of a ticker's body.
const TICKER_BYTES: usize = 160;
/// Bytes of a definition's body in front of the name.
const DEFINITION_BYTES: usize = 112;

/// The record is the topic's state and not a change to it.
pub const SNAPSHOT: u8 = 1;
/// Reserved: the record belongs to a replay that was asked for.
pub const REPLAY: u8 = 1 << 1;
/// The topic has an interval: the record may include several events of its stream.
pub const CONFLATED: u8 = 1 << 2;
/// Reserved: the data are older than their symbol's limit.
pub const STALE: u8 = 1 << 3;
/// Reserved: a part of a snapshot.
pub const PART: u8 = 1 << 4;
/// The values of the header's last eight bytes are in the record's last sixteen, with 64 bits each.
pub const WIDE: u8 = 1 << 5;
/// The venue's time is given.
pub const TS_EVENT: u8 = 1 << 6;
/// The venue's number is given.
pub const VENUE_SEQ: u8 = 1 << 7;

/// The price of a side without orders: none that a decimal can have.
const NO_PRICE: i64 = i64::MIN;

/// The number of a kind of channel in records.
pub const fn kind_code(kind: ChannelKind) -> u8 {
    kind as u8 + 1
}

pub(crate) fn kind_of(code: u8) -> Option<ChannelKind> {
    ChannelKind::ALL
        .into_iter()
        .find(|kind| kind_code(*kind) == code)
}

pub(crate) const fn feed_code(feed: FeedState) -> u8 {
    match feed {
        FeedState::Live => 0,
        FeedState::Stale => 1,
        FeedState::Gap => 2,
        FeedState::Down => 3,
        FeedState::Pending => 4,
    }
}

pub(crate) const fn feed_of(code: u8) -> Option<FeedState> {
    match code {
        0 => Some(FeedState::Live),
        1 => Some(FeedState::Stale),
        2 => Some(FeedState::Gap),
        3 => Some(FeedState::Down),
        4 => Some(FeedState::Pending),
        _ => None,
    }
}

pub(crate) const fn trading_code(trading: TradingState) -> u8 {
    match trading {
        TradingState::Unknown => 0,
        TradingState::Open => 1,
        TradingState::Halted => 2,
        TradingState::CancelOnly => 3,
        TradingState::PostOnly => 4,
        TradingState::PreOpen => 5,
        TradingState::Auction => 6,
        TradingState::LimitOnly => 7,
        TradingState::ReduceOnly => 8,
        TradingState::Settlement => 9,
        TradingState::Closed => 10,
        TradingState::Delisted => 11,
    }
}

/// What is not known here is unknown: a newer server is no error.
pub(crate) const fn trading_of(code: u8) -> TradingState {
    match code {
        1 => TradingState::Open,
        2 => TradingState::Halted,
        3 => TradingState::CancelOnly,
        4 => TradingState::PostOnly,
        5 => TradingState::PreOpen,
        6 => TradingState::Auction,
        7 => TradingState::LimitOnly,
        8 => TradingState::ReduceOnly,
        9 => TradingState::Settlement,
        10 => TradingState::Closed,
        11 => TradingState::Delisted,
        _ => TradingState::Unknown,
    }
}

/// Writes `bytes` into `record` at `at`.
pub(crate) fn put<const N: usize>(record: &mut [u8], at: usize, bytes: [u8; N]) {
    record[at..at + N].copy_from_slice(&bytes);
}

/// The `N` bytes at `at`, if there are so many.
pub(crate) fn get<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// The zeros that fill up `length` bytes to whole words.
const fn padding(length: usize) -> usize {
    length.wrapping_neg() % WORD_BYTES
}

#[cfg(test)]
mod tests;
