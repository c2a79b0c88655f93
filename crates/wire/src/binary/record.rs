//! Records to model: what clients do with a binary message.
//!
//! Reading borrows and never panics. Lengths and counts are checked against the available bytes. An
//! invalid record is a [`BinaryError`]; the next record of the message is still read if its place is
//! known. A record of an unknown kind is skipped by its length, so that a newer server causes no error.

use super::error::BinaryError;
use super::trade::Trades;
use super::{
    CHANNEL_BYTES, DEFINITION_BYTES, HEADER_BYTES, LEVEL_BYTES, NO_PRICE, SNAPSHOT, TICKER_BYTES,
    TS_EVENT, VENUE_SEQ, WIDE, WORD_BYTES, feed_of, get, kind_code, kind_of, padding, trading_of,
};
use crate::definition::{self, Definition};
use crate::json::PriceLevel;
use tapecast_model::{
    ChannelKind, ChannelState, ChannelStates, Decimal, Epoch, FeedState, Price, Qty, Quote, Scale,
    Seq, Terms, Ticker, TradingState, UnixNanos,
};

/// The records of a message.
#[derive(Clone, Debug)]
pub struct Records<'a>(&'a [u8]);

/// A record.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// All its bytes.
    pub bytes: &'a [u8],
    /// Its flags as written.
    pub flags: u8,
    /// The number of its topic.
    pub tid: u32,
    /// The stream's number of the last event in it.
    pub seq: Seq,
    /// The number of the topic's record before it; none in a snapshot.
    pub prev: Option<Seq>,
    /// In a snapshot, what it says of its epoch.
    pub epoch: Option<EpochMark>,
    /// When the gateway received it; none if nothing has been received yet.
    pub ts_recv: Option<UnixNanos>,
    /// When it was serialised.
    pub ts_out: UnixNanos,
    /// The venue's time.
    pub ts_event: Option<UnixNanos>,
    /// The venue's own number.
    pub venue_seq: Option<u64>,
    /// What happened.
    pub body: RecordBody<'a>,
}

/// What a snapshot says of the epoch that begins with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EpochMark {
    /// All of it.
    Whole(Epoch),
    /// Its low 32 bits.
    Low(u32),
}

/// What a record carries.
#[derive(Clone, Debug)]
pub enum RecordBody<'a> {
    /// Trades, oldest first.
    Trades(Trades<'a>),
    /// Best bid and offer.
    Quote(Quote),
    /// Price levels.
    Book {
        /// Bids, falling.
        bids: Levels<'a>,
        /// Asks, rising.
        asks: Levels<'a>,
        /// Of the best levels after this record.
        checksum: u32,
    },
    /// 24 h statistics.
    Ticker(Figures<'a>),
    /// Feed and trading state.
    Status {
        /// What is known of the feed.
        feed: FeedState,
        /// What the venue says of trading.
        trading: TradingState,
        /// Why, in words.
        reason: &'a str,
        /// What is known of each channel.
        channels: ChannelStates,
    },
    /// The instrument's definition.
    Definition(Definition<'a>),
    /// A kind that is not known here, by its number.
    Other(u8),
}

/// The levels of one side of a book record.
#[derive(Clone, Copy, Debug)]
pub struct Levels<'a>(&'a [[u8; LEVEL_BYTES]]);

/// The figures of a ticker record.
#[derive(Clone, Copy, Debug)]
pub struct Figures<'a>(&'a [u8; TICKER_BYTES]);

// === impl Records ===

impl<'a> Records<'a> {
    /// Of a message as it came.
    pub const fn new(message: &'a [u8]) -> Self {
        Self(message)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, BinaryError>;

    fn next(&mut self) -> Option<Self::Item> {
        // What follows a length that is wrong cannot be found.
        let rest = std::mem::take(&mut self.0);
        let words: [u8; 2] = match get(rest, 0) {
            Some(words) if rest.len() >= HEADER_BYTES => words,
            _ if rest.is_empty() => return None,
            _ => return Some(Err(BinaryError::Header(rest.len()))),
        };
        let length = match u16::from_le_bytes(words) {
            0 => rest.len(),
            words => usize::from(words) * WORD_BYTES,
        };
        match rest.split_at_checked(length) {
            Some((record, rest)) if length >= HEADER_BYTES => {
                self.0 = rest;
                Some(Record::parse(record))
            }
            _ => Some(Err(BinaryError::Length {
                length,
                left: rest.len(),
            })),
        }
    }
}

// === impl Record ===

impl<'a> Record<'a> {
    /// Reads one whole record.
    fn parse(bytes: &'a [u8]) -> Result<Self, BinaryError> {
        let number = |at| get(bytes, at).map(u64::from_le_bytes);
        let half = |at| get(bytes, at).map(u32::from_le_bytes);
        let header = BinaryError::Header(bytes.len());
        let [_, _, kind, flags] = get(bytes, 0).ok_or(header)?;
        let (tid, seq) = (half(4).ok_or(header)?, number(8).ok_or(header)?);
        let recv = number(16).ok_or(header)?;
        let (delay, step) = (half(24).ok_or(header)?, half(28).ok_or(header)?);
        let is_snapshot = flags & SNAPSHOT != 0;
        let (prev, epoch, ts_out, content) = if flags & WIDE == 0 {
            let prev = seq.checked_sub(u64::from(step));
            let prev = prev.map(Seq::new).filter(|_| !is_snapshot);
            if prev.is_none() && !is_snapshot {
                return Err(BinaryError::Prev);
            }
            let epoch = EpochMark::Low(step);
            (prev, epoch, recv.wrapping_add(u64::from(delay)), bytes)
        } else {
            let (content, step) = split_word(bytes)?;
            let (content, ts_out) = split_word(content)?;
            let prev = (!is_snapshot).then_some(Seq::new(step));
            (prev, EpochMark::Whole(Epoch::new(step)), ts_out, content)
        };
        let body = content
            .get(HEADER_BYTES..)
            .ok_or(BinaryError::Truncated("the header"))?;
        let (body, ts_event, venue_seq) = read_body(kind, flags, body)?;
        Ok(Self {
            bytes,
            flags,
            tid,
            seq: Seq::new(seq),
            prev,
            epoch: is_snapshot.then_some(epoch),
            ts_recv: (recv != 0).then_some(UnixNanos::new(recv)),
            ts_out: UnixNanos::new(ts_out),
            ts_event: ts_event.map(UnixNanos::new),
            venue_seq,
            body,
        })
    }
}

/// The last word of a record that has more than its header.
fn split_word(bytes: &[u8]) -> Result<(&[u8], u64), BinaryError> {
    let (rest, word) = bytes
        .split_last_chunk()
        .ok_or(BinaryError::Truncated("a word at the end"))?;
    Ok((rest, u64::from_le_bytes(*word)))
}

type Content<'a> = (RecordBody<'a>, Option<u64>, Option<u64>);

/// Reads the body after the header: the content, the venue's time and the venue's number.
fn read_body(kind: u8, flags: u8, mut body: &[u8]) -> Result<Content<'_>, BinaryError> {
    const TRADE: u8 = kind_code(ChannelKind::Trade);
    const QUOTE: u8 = kind_code(ChannelKind::Quote);
    const BOOK: u8 = kind_code(ChannelKind::Book);
    const TICKER: u8 = kind_code(ChannelKind::Ticker);
    const STATUS: u8 = kind_code(ChannelKind::Status);
    const DEFINITION: u8 = kind_code(ChannelKind::Instrument);
    let (has_time, has_number) = (flags & TS_EVENT != 0, flags & VENUE_SEQ != 0);
    let (mut time, mut number) = (None, None);
    if kind == TRADE {
        if has_number {
            let word;
            (body, word) = split_word(body)?;
            number = Some(word);
        }
        if has_time {
            let word;
            (body, word) = split_word(body)?;
            time = Some(word);
        }
        return Ok((RecordBody::Trades(read_trades(body)?), time, number));
    }
    let (stamp, content) = match kind {
        QUOTE => (32, RecordBody::Quote(read_quote(body)?)),
        BOOK => (0, read_book(body)?),
        TICKER => (0, read_ticker(body)?),
        STATUS => (0, read_status(body)?),
        DEFINITION => (0, RecordBody::Definition(read_definition(body)?)),
        other => return Ok((RecordBody::Other(other), None, None)),
    };
    let word = |at| get(body, at).map(u64::from_le_bytes);
    time = word(stamp).filter(|_| has_time);
    number = word(stamp + 8).filter(|_| has_number);
    Ok((content, time, number))
}

fn read_trades(body: &[u8]) -> Result<Trades<'_>, BinaryError> {
    let (count, rest) = body
        .split_first_chunk()
        .ok_or(BinaryError::Truncated("the number of prints"))?;
    let count = usize::try_from(u64::from_le_bytes(*count));
    Trades::new(rest, count.unwrap_or(usize::MAX))
}

fn read_quote(body: &[u8]) -> Result<Quote, BinaryError> {
    let body: [u8; 48] = get(body, 0).ok_or(BinaryError::Truncated("a quote"))?;
    let side = |at: usize| {
        let level: [u8; LEVEL_BYTES] = get(&body, at).unwrap_or_default();
        let level = level_of(&level);
        (level.0.mantissa() != NO_PRICE).then_some(level)
    };
    Ok(Quote {
        bid: side(0),
        ask: side(16),
    })
}

fn read_book(body: &[u8]) -> Result<RecordBody<'_>, BinaryError> {
    let (start, levels): (&[u8; 24], _) = body
        .split_first_chunk()
        .ok_or(BinaryError::Truncated("a book"))?;
    let half = |at| get(start, at).map_or(0, u32::from_le_bytes);
    let (levels, rest) = levels.as_chunks();
    let bids = usize::try_from(half(20)).unwrap_or(usize::MAX);
    let (bids, asks) = levels
        .split_at_checked(bids)
        .filter(|_| rest.is_empty())
        .ok_or(BinaryError::Truncated("a level"))?;
    Ok(RecordBody::Book {
        bids: Levels(bids),
        asks: Levels(asks),
        checksum: half(16),
    })
}

fn read_ticker(body: &[u8]) -> Result<RecordBody<'_>, BinaryError> {
    let body = body.first_chunk();
    let body = body.ok_or(BinaryError::Truncated("a ticker"))?;
    Ok(RecordBody::Ticker(Figures(body)))
}

fn read_status(body: &[u8]) -> Result<RecordBody<'_>, BinaryError> {
    let (start, texts): (&[u8; 24], _) = body
        .split_first_chunk()
        .ok_or(BinaryError::Truncated("a state"))?;
    let length = get(start, 20).map_or(0, u32::from_le_bytes);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let (reason, rest) = texts
        .split_at_checked(length)
        .ok_or(BinaryError::Truncated("a reason"))?;
    let states = rest
        .get(padding(length)..)
        .ok_or(BinaryError::Truncated("a reason"))?;
    let reason = std::str::from_utf8(reason).or(Err(BinaryError::Text))?;
    let (feed, trading) = (start[16], start[17]);
    Ok(RecordBody::Status {
        feed: feed_of(feed).ok_or(BinaryError::unknown("feed state", feed))?,
        trading: trading_of(trading),
        reason,
        channels: read_channels(states)?,
    })
}

fn read_definition(body: &[u8]) -> Result<Definition<'_>, BinaryError> {
    let (start, name): (&[u8; DEFINITION_BYTES], _) = body
        .split_first_chunk()
        .ok_or(BinaryError::Truncated("a definition"))?;
    let length = get(start, 28).map_or(0, u32::from_le_bytes);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let name = name
        .get(..length)
        .ok_or(BinaryError::Truncated("the venue's own name"))?;
    let scale = |at: usize| Scale::new(start[at]).ok_or(BinaryError::unknown("scale", start[at]));
    let given = |bit: usize| start[22] & 1 << bit != 0;
    let figure = |index: usize| {
        let mantissa = get(start, 32 + index * 16).map_or(0, i128::from_le_bytes);
        given(index).then(|| Decimal::new(mantissa, start[24 + index]))
    };
    let time = |index: usize| {
        let nanos = get(start, 96 + index * 8).map_or(0, u64::from_le_bytes);
        given(Terms::FIGURES.len() + index).then_some(UnixNanos::new(nanos))
    };
    let words = Terms {
        kind: definition::kind_of(start[17]),
        qty_unit: definition::unit_of(start[18]),
        inverse: definition::answer_of(start[19]),
        ..Terms::UNKNOWN
    };
    Ok(Definition {
        native: std::str::from_utf8(name).or(Err(BinaryError::Text))?,
        price_scale: scale(20)?,
        qty_scale: scale(21)?,
        trading: trading_of(start[16]),
        terms: words
            .with_figures(std::array::from_fn(figure))
            .with_times(std::array::from_fn(time)),
    })
}

/// The states of channels; those of a kind, or in a state, that is not known here are passed over.
fn read_channels(states: &[u8]) -> Result<ChannelStates, BinaryError> {
    let (states, rest) = states.as_chunks::<CHANNEL_BYTES>();
    if !rest.is_empty() {
        return Err(BinaryError::Truncated("a channel's state"));
    }
    let read = |state: &[u8; CHANNEL_BYTES]| {
        let since = UnixNanos::new(get(state, 8).map_or(0, u64::from_le_bytes));
        let feed = feed_of(state[1])?;
        Some((kind_of(state[0])?, ChannelState { feed, since }))
    };
    Ok(states.iter().filter_map(read).collect())
}

fn level_of(level: &[u8; LEVEL_BYTES]) -> PriceLevel {
    let number = |at| get(level, at).map_or(0, i64::from_le_bytes);
    (
        Price::from_mantissa(number(0)),
        Qty::from_mantissa(number(8)),
    )
}

// === impl EpochMark ===

impl EpochMark {
    /// The epoch, if it is at least `known`; epochs only rise.
    pub const fn resolve(self, known: Epoch) -> Epoch {
        match self {
            Self::Whole(epoch) => epoch,
            Self::Low(low) => {
                let ahead = low.wrapping_sub(known.get() as u32);
                Epoch::new(known.get().wrapping_add(ahead as u64))
            }
        }
    }
}

// === impl Levels ===

impl<'a> Levels<'a> {
    /// The levels in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = PriceLevel> + 'a {
        self.0.iter().map(level_of)
    }
}

// === impl Figures ===

impl Figures<'_> {
    /// All of them.
    pub fn ticker(self) -> Ticker {
        let figure = |index: usize| {
            let mantissa = get(self.0, 32 + index * 16).map_or(0, i128::from_le_bytes);
            let given = self.0[16] & 1 << index != 0;
            given.then(|| Decimal::new(mantissa, self.0[24 + index]))
        };
        Ticker::from_figures(std::array::from_fn(figure))
    }
}
