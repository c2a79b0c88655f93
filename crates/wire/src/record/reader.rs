//! Bytes to records, bounds-checked.

use super::cursor::Cursor;
use super::{
    AT_CHANNEL, AT_EPOCH, AT_FLAGS, AT_KIND, AT_PREV, AT_PRICE_SCALE, AT_QTY_SCALE, AT_SEQ,
    AT_SYMBOL_LENGTH, AT_TIMEFRAME, AT_TS_EVENT, AT_TS_RECV, AT_VENUE_LENGTH, AT_VENUE_SEQ,
    AT_VERSION, AT_WIDTH, AT_ZERO, BAR, BOOK, BOOK_CHANGE, Content, DEFINITION, FINAL, HAS_ASK,
    HAS_BID, HAS_PREV, HAS_QUOTE_VOLUME, HAS_VENUE_SEQ, HEADER_BYTES, LOSSLESS, LOST, Levels,
    NO_DEPTH, NO_TIME, QUOTE, RECENT_TRADES, Record, RecordError, STATUS, TICKER, TRADES, VERSION,
    timeframe_of,
};
use crate::binary::{feed_of, get, kind_of, trading_code, trading_of};
use crate::definition;
use tapecast_model::{
    Aggressor, Bar, ChannelKind, ChannelState, ChannelStates, Epoch, EventTime, Level, Price, Qty,
    Quote, Scale, Seq, Side, Status, StreamKind, Symbol, Terms, Ticker, Trade, TradeId,
    TradingState, UnixNanos, Venue,
};

/// The fewest bytes of a trade: without time and id.
const TRADE_BYTES_MIN: usize = 19;
/// Bytes of a level.
const LEVEL_BYTES: usize = 16;

/// The records of a batch. After one that cannot be read, the next one is read if its place is known.
#[derive(Clone, Debug)]
pub struct Records<'a>(&'a [u8]);

impl<'a> Records<'a> {
    /// Of records back to back.
    pub const fn new(batch: &'a [u8]) -> Self {
        Self(batch)
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = std::mem::take(&mut self.0);
        if batch.is_empty() {
            return None;
        }
        Some(split(batch).and_then(|(record, rest)| {
            self.0 = rest;
            read(record)
        }))
    }
}

/// The bytes of the first record, and what follows it.
pub(super) fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), RecordError> {
    let left = bytes.len();
    let length = get(bytes, 0).map_or(0, u32::from_le_bytes) as usize;
    match bytes.split_at_checked(length) {
        Some((record, rest)) if length > AT_VERSION => Ok((record, rest)),
        _ => Err(RecordError::Length { length, left }),
    }
}

/// Reads one whole record.
pub(super) fn read(record: &[u8]) -> Result<Record, RecordError> {
    let version = record.get(AT_VERSION).copied().unwrap_or_default();
    if version != VERSION {
        return Err(RecordError::Version(version));
    }
    let header: [u8; HEADER_BYTES] = get(record, 0).ok_or(RecordError::Truncated {
        what: "the header",
        at: record.len(),
    })?;
    let number = |at| get(&header, at).map_or(0, u64::from_le_bytes);
    let flags = Cursor::new(&header, AT_FLAGS).flags("flags", HAS_PREV | HAS_VENUE_SEQ)?;
    let given = |flag: u8, what, at| match (flags & flag != 0, number(at)) {
        (true, number) => Ok(Some(number)),
        (false, 0) => Ok(None),
        (false, _) => Err(RecordError::Range { what, at }),
    };
    if header[AT_ZERO..AT_EPOCH] != [0; AT_EPOCH - AT_ZERO] {
        return Err(out_of_range("what is zero", AT_ZERO));
    }
    let stream = read_stream(&header)?;
    let seq = Seq::new(number(AT_SEQ));
    let prev = given(HAS_PREV, "prev", AT_PREV)?.map(Seq::new);
    if prev.is_some_and(|prev| prev > seq) {
        return Err(out_of_range("prev", AT_PREV));
    }
    let ts_event = read_time(&header)?;
    let venue_seq = given(HAS_VENUE_SEQ, "venue_seq", AT_VENUE_SEQ)?;
    let scale = |at: usize| Scale::new(header[at]).ok_or(out_of_range("a scale", at));
    let (price_scale, qty_scale) = (scale(AT_PRICE_SCALE)?, scale(AT_QTY_SCALE)?);
    let mut cursor = Cursor::new(record, HEADER_BYTES);
    let venue = read_name(&mut cursor, "the venue", header[AT_VENUE_LENGTH], |text| {
        Venue::new(text).ok()
    })?;
    let symbol = read_name(
        &mut cursor,
        "the symbol",
        header[AT_SYMBOL_LENGTH],
        |text| Symbol::new(text).ok(),
    )?;
    // How many events it may be of.
    let events = seq.get() - prev.map_or(0, |prev| prev.get());
    let content = read_content(header[AT_KIND], &mut cursor, prev.is_some(), events)?;
    if !fits(&content, stream) {
        return Err(out_of_range("the kind of its stream", AT_CHANNEL));
    }
    let (at, length) = (cursor.at(), record.len());
    if at != length {
        return Err(RecordError::TooLong { at, length });
    }
    Ok(Record {
        venue,
        symbol,
        price_scale,
        qty_scale,
        stream,
        epoch: Epoch::new(number(AT_EPOCH)),
        seq,
        prev,
        ts_event,
        ts_recv: UnixNanos::new(number(AT_TS_RECV)),
        venue_seq,
        content,
    })
}

const fn out_of_range(what: &'static str, at: usize) -> RecordError {
    RecordError::Range { what, at }
}

fn read_stream(header: &[u8; HEADER_BYTES]) -> Result<StreamKind, RecordError> {
    let channel = Cursor::new(header, AT_CHANNEL).code("kind of channel", kind_of)?;
    let mut timeframe = Cursor::new(header, AT_TIMEFRAME);
    if channel == ChannelKind::Bar {
        return timeframe
            .code("timeframe", timeframe_of)
            .map(StreamKind::Bar);
    }
    let only = StreamKind::only(channel);
    timeframe.code("timeframe", |code| only.filter(|_| code == 0))
}

fn read_time(header: &[u8; HEADER_BYTES]) -> Result<Option<EventTime>, RecordError> {
    let wrong = out_of_range("ts_event", AT_TS_EVENT);
    let nanos = get(header, AT_TS_EVENT).map_or(0, u64::from_le_bytes);
    match header[AT_WIDTH] {
        NO_TIME if nanos == 0 => Ok(None),
        NO_TIME => Err(wrong),
        width => {
            let time = EventTime::padded(UnixNanos::new(nanos), width);
            time.map(Some).ok_or(wrong)
        }
    }
}

fn read_name<T>(
    cursor: &mut Cursor<'_>,
    what: &'static str,
    length: u8,
    name: impl FnOnce(&str) -> Option<T>,
) -> Result<T, RecordError> {
    let at = cursor.at();
    let bytes = cursor.bytes(what, usize::from(length))?;
    let name = std::str::from_utf8(bytes).ok().and_then(name);
    name.ok_or(RecordError::Text { what, at })
}

/// Whether content of this kind stands in such a stream.
const fn fits(content: &Content, stream: StreamKind) -> bool {
    match content {
        Content::Trades(_) | Content::RecentTrades(_) => matches!(stream, StreamKind::Trade),
        Content::Quote(_) => matches!(stream, StreamKind::Quote),
        Content::Book(_) | Content::BookChange { .. } => matches!(stream, StreamKind::Book),
        Content::Ticker(_) => matches!(stream, StreamKind::Ticker),
        Content::Status(_) => matches!(stream, StreamKind::Status),
        Content::Definition { .. } => matches!(stream, StreamKind::Instrument),
        Content::Bar(_) => matches!(stream, StreamKind::Bar(_)),
        Content::Lost(_) => true,
    }
}

/// Reads what happened, which is of at most so many events.
fn read_content(
    kind: u8,
    cursor: &mut Cursor<'_>,
    is_update: bool,
    events: u64,
) -> Result<Content, RecordError> {
    let at = cursor.at();
    match kind {
        TRADES if is_update => {
            let trades = read_trades(cursor)?;
            if trades.len() as u64 > events {
                return Err(out_of_range("the number of prints", at));
            }
            Ok(Content::Trades(trades))
        }
        RECENT_TRADES if !is_update => read_trades(cursor).map(Content::RecentTrades),
        BOOK_CHANGE if is_update => read_change(cursor),
        // An update has no state of trades, and a state is no change.
        TRADES | RECENT_TRADES | BOOK_CHANGE => Err(out_of_range("prev", AT_PREV)),
        QUOTE => read_quote(cursor).map(Content::Quote),
        BOOK => read_book(cursor).map(Content::Book),
        TICKER => read_ticker(cursor).map(|ticker| Content::Ticker(Box::new(ticker))),
        STATUS => read_status(cursor).map(|status| Content::Status(Box::new(status))),
        DEFINITION => {
            let flags = cursor.flags("flags of a definition", LOSSLESS)?;
            let trading = cursor.code("trading state", known_trading)?;
            let terms = Box::new(read_terms(cursor)?);
            Ok(Content::Definition {
                native: cursor.text("the venue's own name")?.into(),
                lossless: flags & LOSSLESS != 0,
                trading,
                terms,
            })
        }
        BAR => read_bar(cursor).map(|bar| Content::Bar(Box::new(bar))),
        LOST => {
            let lost = cursor.number("the number of lost events")?;
            if lost > events {
                return Err(out_of_range("the number of lost events", at));
            }
            Ok(Content::Lost(lost))
        }
        value => Err(RecordError::Unknown {
            what: "kind of content",
            at: AT_KIND,
            value,
        }),
    }
}

fn read_trades(cursor: &mut Cursor<'_>) -> Result<Vec<Trade>, RecordError> {
    let count = cursor.count("the number of prints", TRADE_BYTES_MIN)?;
    let mut trades = Vec::with_capacity(count);
    for _ in 0..count {
        trades.push(read_trade(cursor)?);
    }
    Ok(trades)
}

fn read_trade(cursor: &mut Cursor<'_>) -> Result<Trade, RecordError> {
    let price = Price::from_mantissa(cursor.signed("a price")?);
    let qty = Qty::from_mantissa(cursor.signed("a quantity")?);
    let aggressor = cursor.code("side", |code| match code {
        0 => Some(None),
        1 => Some(Some(Aggressor::Buy)),
        2 => Some(Some(Aggressor::Sell)),
        _ => None,
    })?;
    let ts_event = cursor.time("the time of a print")?;
    let length = cursor.byte("the length of an id")?;
    let (what, at) = ("an id", cursor.at());
    let id = TradeId::new(cursor.bytes(what, usize::from(length))?);
    Ok(Trade {
        id: id.ok_or(RecordError::Text { what, at })?,
        price,
        qty,
        aggressor,
        ts_event,
    })
}

fn read_quote(cursor: &mut Cursor<'_>) -> Result<Quote, RecordError> {
    let sides = cursor.flags("sides of a quote", HAS_BID | HAS_ASK)?;
    let mut side = |flag: u8| {
        if sides & flag == 0 {
            return Ok(None);
        }
        let level = read_level(cursor)?;
        Ok(Some((level.price, level.qty)))
    };
    Ok(Quote {
        bid: side(HAS_BID)?,
        ask: side(HAS_ASK)?,
    })
}

fn read_level(cursor: &mut Cursor<'_>) -> Result<Level, RecordError> {
    let price = Price::from_mantissa(cursor.signed("a price")?);
    let qty = Qty::from_mantissa(cursor.signed("a quantity")?);
    Ok(Level::new(price, qty))
}

/// How many levels follow of each side, and where the second number is.
fn read_counts(cursor: &mut Cursor<'_>) -> Result<[usize; 2], RecordError> {
    let bids = cursor.count("the number of bids", LEVEL_BYTES)?;
    let asks = cursor.count("the number of asks", LEVEL_BYTES)?;
    Ok([bids, asks])
}

/// So many levels; their bytes are checked before there is room for them.
fn read_levels(
    cursor: &mut Cursor<'_>,
    what: &'static str,
    count: usize,
) -> Result<Vec<Level>, RecordError> {
    let bytes = cursor.bytes(what, count * LEVEL_BYTES)?;
    let (levels, _) = bytes.as_chunks::<LEVEL_BYTES>();
    let level = |level: &[u8; LEVEL_BYTES]| {
        let number = |at| get(level, at).map_or(0, i64::from_le_bytes);
        Level::new(
            Price::from_mantissa(number(0)),
            Qty::from_mantissa(number(8)),
        )
    };
    Ok(levels.iter().map(level).collect())
}

fn read_book(cursor: &mut Cursor<'_>) -> Result<Levels, RecordError> {
    let [bids, asks] = read_counts(cursor)?;
    let mut side = |what, count, side| {
        let at = cursor.at();
        let levels = read_levels(cursor, what, count)?;
        match first_wrong(&levels, side) {
            None => Ok(levels),
            Some(rank) => Err(out_of_range("a level", at + rank * LEVEL_BYTES)),
        }
    };
    Ok(Levels {
        bids: side("bids", bids, Side::Bid)?,
        asks: side("asks", asks, Side::Ask)?,
    })
}

/// The first level that is empty, or not behind the one before it.
fn first_wrong(levels: &[Level], side: Side) -> Option<usize> {
    let follows = |before: &Level, level: &Level| match side {
        Side::Bid => before.price > level.price,
        Side::Ask => before.price < level.price,
    };
    let unordered = levels.windows(2).position(|two| !follows(&two[0], &two[1]));
    let empty = levels.iter().position(|level| level.qty.is_zero());
    [unordered.map(|at| at + 1), empty]
        .into_iter()
        .flatten()
        .min()
}

fn read_change(cursor: &mut Cursor<'_>) -> Result<Content, RecordError> {
    let [bids, asks] = read_counts(cursor)?;
    let depth = cursor.word("the depth")?;
    let levels = Levels {
        bids: read_levels(cursor, "bids", bids)?,
        asks: read_levels(cursor, "asks", asks)?,
    };
    let depth = (depth != NO_DEPTH).then_some(depth);
    Ok(Content::BookChange { levels, depth })
}

fn read_ticker(cursor: &mut Cursor<'_>) -> Result<Ticker, RecordError> {
    let given = cursor.byte("which figures are given")?;
    let mut figures = [None; Ticker::FIGURES.len()];
    for (bit, figure) in figures.iter_mut().enumerate() {
        if given & 1 << bit != 0 {
            *figure = Some(cursor.decimal("a figure")?);
        }
    }
    Ok(Ticker::from_figures(figures))
}

fn read_status(cursor: &mut Cursor<'_>) -> Result<Status, RecordError> {
    let feed = cursor.code("feed state", feed_of)?;
    let trading = cursor.code("trading state", known_trading)?;
    let count = cursor.byte("the number of channels")?;
    let mut channels = ChannelStates::NONE;
    let mut last = None;
    for _ in 0..count {
        let at = cursor.at();
        let kind = cursor.code("kind of channel", kind_of)?;
        if last.is_some_and(|last| last >= kind) {
            return Err(out_of_range("a kind of channel", at));
        }
        last = Some(kind);
        let feed = cursor.code("feed state", feed_of)?;
        let since = UnixNanos::new(cursor.number("since when")?);
        channels.set(kind, ChannelState { feed, since });
    }
    let reason = cursor.text("a reason")?.to_owned().into();
    Ok(Status {
        feed,
        trading,
        reason,
        channels,
    })
}

/// A trading state of this version: what clients take for unknown is refused here.
fn known_trading(code: u8) -> Option<TradingState> {
    let trading = trading_of(code);
    (trading_code(trading) == code).then_some(trading)
}

fn read_terms(cursor: &mut Cursor<'_>) -> Result<Terms, RecordError> {
    // Zero says that nothing is given; what clients take for that is refused here.
    let known = |word: u8, is_known: bool| word == 0 || is_known;
    let kind = cursor.code("kind of instrument", |code| {
        let kind = definition::kind_of(code);
        known(code, kind.is_some()).then_some(kind)
    })?;
    let qty_unit = cursor.code("unit of quantities", |code| {
        let unit = definition::unit_of(code);
        known(code, unit.is_some()).then_some(unit)
    })?;
    let inverse = cursor.code("answer", |code| {
        let answer = definition::answer_of(code);
        known(code, answer.is_some()).then_some(answer)
    })?;
    let given = cursor.flags("figures of a definition", definition::GIVEN)?;
    let is_given = |bit: usize| given & 1 << bit != 0;
    let (mut figures, mut times) = ([None; Terms::FIGURES.len()], [None; Terms::TIMES.len()]);
    for (bit, figure) in figures.iter_mut().enumerate() {
        if is_given(bit) {
            *figure = Some(cursor.decimal("a figure")?);
        }
    }
    for (bit, time) in times.iter_mut().enumerate() {
        if is_given(Terms::FIGURES.len() + bit) {
            *time = Some(UnixNanos::new(cursor.number("a time")?));
        }
    }
    let words = Terms {
        kind,
        qty_unit,
        inverse,
        ..Terms::UNKNOWN
    };
    Ok(words.with_figures(figures).with_times(times))
}

fn read_bar(cursor: &mut Cursor<'_>) -> Result<Bar, RecordError> {
    let start = UnixNanos::new(cursor.number("the start of a bar")?);
    let at = cursor.at();
    let mut price = || cursor.signed("a price of a bar").map(Price::from_mantissa);
    let (open, high, low, close) = (price()?, price()?, price()?, price()?);
    if open.max(close) > high || open.min(close) < low {
        return Err(out_of_range("the prices of a bar", at));
    }
    let trades = cursor.number("the number of trades")?;
    let flags = cursor.flags("flags of a bar", FINAL | HAS_QUOTE_VOLUME)?;
    let volume = cursor.decimal("the volume")?;
    let has_quote_volume = flags & HAS_QUOTE_VOLUME != 0;
    let quote_volume = has_quote_volume.then(|| cursor.decimal("the quote volume"));
    Ok(Bar {
        start,
        open,
        high,
        low,
        close,
        volume,
        quote_volume: quote_volume.transpose()?,
        trades,
        is_final: flags & FINAL != 0,
    })
}
