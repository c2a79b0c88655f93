//! A published line: one event in the words of the client protocol.
//!
//! Read in one pass where `channel` and `symbol` stand before what depends on them, which is how
//! lines are written; otherwise what came too early is read again. Numbers are strings or bare, as
//! their digits stand. Nothing is allocated for a trade or a quote beyond the event. Lines written as
//! most are have a faster reader, [`super::hot`]; what is wrong with a line is said here only.

use crate::event::{BookEvent, Event, EventBody, FeedEvent, Link, TradeIds};
use crate::venue::Reject;
use crate::venue::cursor::{Cursor, Scalar, Syntax};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;
use tapecast_model::{
    Aggressor, Decimal, DecimalError, EventTime, Instrument, Level, Price, Qty, Quote, Side,
    Ticker, Trade, TradeId, TradingState, UnixNanos,
};

/// What is wrong with a line: answered to its publisher.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LineError {
    /// What kind of mistake.
    pub kind: Mistake,
    /// Where it is and what should be there.
    pub message: String,
}

/// A kind of mistake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mistake {
    /// It is no JSON object.
    BadJson,
    /// A field that must be there is not.
    MissingField,
    /// A field is not what it should be.
    BadField,
    /// A number has more digits than the instrument.
    BeyondScale,
    /// There is no such channel here.
    UnknownChannel,
    /// There is no such symbol here.
    UnknownSymbol,
    /// The line is too long.
    TooLarge,
}

/// Finds the instrument of a symbol.
pub trait Instruments {
    /// The instrument of this name.
    ///
    /// # Errors
    /// If there is none and none may be made: why.
    fn find(&mut self, symbol: &str) -> Result<&Instrument, String>;
}

/// Reads a line to an event.
///
/// # Errors
/// If it is not one.
pub fn read(
    line: &[u8],
    ts_recv: UnixNanos,
    instruments: &mut dyn Instruments,
) -> Result<Event, LineError> {
    if let Some(event) = super::hot::read(line, ts_recv, instruments) {
        return Ok(event);
    }
    let text = std::str::from_utf8(line)
        .map_err(|e| LineError::new(Mistake::BadJson, format_args!("{e}")))?;
    let mut fields = Fields::default();
    let mut cursor = Cursor::new(text);
    let mut trades: Option<Prints> = None;
    cursor.object::<LineError>(|member, key| {
        // What is a member of no event is a member of nothing.
        let key = key.plain().unwrap_or_default();
        if key == "trades"
            && let (Some("trade"), Some(symbol)) = (fields.channel()?, fields.symbol)
        {
            let instrument = find(instruments, symbol)?;
            trades = Some(prints(member, instrument)?);
            return Ok(());
        }
        fields.take(key, member.value()?)
    })?;
    cursor.end()?;
    let channel = fields
        .channel()?
        .ok_or_else(|| LineError::missing("channel"))?;
    let symbol = fields.symbol.ok_or_else(|| LineError::missing("symbol"))?;
    let instrument = find(instruments, symbol)?;
    let body = match channel {
        "trade" => fields.trades(trades, instrument)?,
        "quote" => fields.quote(instrument)?,
        "book" => fields.book(instrument)?,
        "ticker" => fields.ticker()?,
        "status" => fields.status()?,
        other => {
            return Err(LineError::new(
                Mistake::UnknownChannel,
                format_args!("no channel {other:?}: trade, quote, book, ticker, status"),
            ));
        }
    };
    Ok(Event {
        instrument: instrument.id,
        ts_event: fields
            .ts_event
            .map(|t| time("ts_event", t))
            .transpose()?
            .flatten(),
        ts_recv,
        venue_seq: fields.venue_seq.map(venue_seq).transpose()?.flatten(),
        body,
    })
}

type Prints = SmallVec<[Trade; 1]>;

/// The texts of a line's members, by name.
#[derive(Default)]
struct Fields<'a> {
    channel: Option<&'a str>,
    symbol: Option<&'a str>,
    ts_event: Option<&'a str>,
    venue_seq: Option<&'a str>,
    kind: Option<&'a str>,
    bids: Option<&'a str>,
    asks: Option<&'a str>,
    trades: Option<&'a str>,
    bid: Option<&'a str>,
    bid_qty: Option<&'a str>,
    ask: Option<&'a str>,
    ask_qty: Option<&'a str>,
    ticker: [Option<&'a str>; TICKER.len()],
    feed: Option<&'a str>,
    trading: Option<&'a str>,
    reason: Option<&'a str>,
}

const TICKER: [&str; 8] = [
    "last",
    "open",
    "high",
    "low",
    "change",
    "change_pct",
    "volume",
    "quote_volume",
];

// === impl LineError ===

impl LineError {
    /// A mistake with its explanation.
    pub fn new(kind: Mistake, message: fmt::Arguments<'_>) -> Self {
        Self {
            kind,
            message: message.to_string(),
        }
    }

    fn missing(field: &str) -> Self {
        Self::new(Mistake::MissingField, format_args!("{field} is missing"))
    }

    fn bad(field: impl fmt::Display, should: &str) -> Self {
        Self::new(
            Mistake::BadField,
            format_args!("{field} should be {should}"),
        )
    }

    fn number(field: impl fmt::Display, error: DecimalError) -> Self {
        let kind = match error {
            DecimalError::BeyondScale { .. } | DecimalError::Overflow => Mistake::BeyondScale,
            DecimalError::Empty | DecimalError::Syntax { .. } => Mistake::BadField,
        };
        Self::new(kind, format_args!("{field}: {error}"))
    }
}

impl From<Syntax> for LineError {
    fn from(syntax: Syntax) -> Self {
        Self::new(Mistake::BadJson, format_args!("{syntax}"))
    }
}

// === impl Mistake ===

impl Mistake {
    /// The name in answers.
    pub const fn label(self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::MissingField => "missing_field",
            Self::BadField => "bad_field",
            Self::BeyondScale => "beyond_scale",
            Self::UnknownChannel => "unknown_channel",
            Self::UnknownSymbol => "unknown_symbol",
            Self::TooLarge => "too_large",
        }
    }

    /// How it is counted.
    pub const fn reject(self) -> Reject {
        match self {
            Self::BadJson => Reject::Malformed,
            Self::MissingField => Reject::Missing("field"),
            Self::BadField => Reject::Number("field"),
            Self::BeyondScale => Reject::Scale,
            Self::UnknownChannel => Reject::Unknown,
            Self::UnknownSymbol => Reject::Symbol,
            Self::TooLarge => Reject::Oversized,
        }
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    fn take(&mut self, key: &str, value: &'a str) -> Result<(), LineError> {
        let place = match key {
            "channel" => &mut self.channel,
            "symbol" => {
                self.symbol = Some(plain_text("symbol", value)?);
                return Ok(());
            }
            "ts_event" => &mut self.ts_event,
            "venue_seq" => &mut self.venue_seq,
            "type" => &mut self.kind,
            "bids" => &mut self.bids,
            "asks" => &mut self.asks,
            "trades" => &mut self.trades,
            "bid" => &mut self.bid,
            "bid_qty" => &mut self.bid_qty,
            "ask" => &mut self.ask,
            "ask_qty" => &mut self.ask_qty,
            "feed" => &mut self.feed,
            "trading" => &mut self.trading,
            "reason" => &mut self.reason,
            _ => match TICKER.iter().position(|name| *name == key) {
                Some(at) => &mut self.ticker[at],
                None => return Ok(()),
            },
        };
        *place = (value != "null").then_some(value);
        Ok(())
    }

    fn channel(&self) -> Result<Option<&'a str>, LineError> {
        self.channel
            .map(|value| plain_text("channel", value))
            .transpose()
    }

    fn trades(
        &self,
        read: Option<Prints>,
        instrument: &Instrument,
    ) -> Result<EventBody, LineError> {
        let prints = match (read, self.trades) {
            (Some(read), _) => read,
            (None, Some(text)) => prints(&mut Cursor::new(text), instrument)?,
            (None, None) => return Err(LineError::missing("trades")),
        };
        if prints.is_empty() {
            return Err(LineError::bad("trades", "an array with at least one trade"));
        }
        Ok(EventBody::Trades {
            prints,
            history: false,
            ids: TradeIds::Opaque,
        })
    }

    fn quote(&self, instrument: &Instrument) -> Result<EventBody, LineError> {
        let side =
            |names: [&'static str; 2], price: Option<&str>, qty: Option<&str>| match (price, qty) {
                (None, None) => Ok(None),
                (None, Some(_)) => Err(LineError::missing(names[0])),
                (Some(_), None) => Err(LineError::missing(names[1])),
                (Some(price), Some(qty)) => {
                    let price = price_of(names[0], token(names[0], price)?, instrument)?;
                    let qty = qty_of(names[1], token(names[1], qty)?, instrument)?;
                    Ok((!qty.is_zero()).then_some((price, qty)))
                }
            };
        let given = self.bid.or(self.bid_qty).or(self.ask).or(self.ask_qty);
        if given.is_none() {
            return Err(LineError::missing("bid or ask"));
        }
        Ok(EventBody::Quote(Quote {
            bid: side(["bid", "bid_qty"], self.bid, self.bid_qty)?,
            ask: side(["ask", "ask_qty"], self.ask, self.ask_qty)?,
        }))
    }

    fn book(&self, instrument: &Instrument) -> Result<EventBody, LineError> {
        let kind = self.kind.ok_or_else(|| LineError::missing("type"))?;
        let snapshot = match plain_text("type", kind)? {
            "snapshot" => true,
            "update" => false,
            _ => return Err(LineError::bad("type", "\"snapshot\" or \"update\"")),
        };
        if self.bids.or(self.asks).is_none() {
            return Err(LineError::missing("bids or asks"));
        }
        let bids = levels(Side::Bid, self.bids, instrument)?;
        let asks = levels(Side::Ask, self.asks, instrument)?;
        // A desk's quotes are the ones it publishes.
        let makes_quote = false;
        let (link, checksum, depth) = (Link::None, None, None);
        let book = BookEvent {
            snapshot,
            bids,
            asks,
            link,
            checksum,
            depth,
            makes_quote,
        };
        Ok(EventBody::Book(Box::new(book)))
    }

    fn ticker(&self) -> Result<EventBody, LineError> {
        if self.ticker.iter().all(Option::is_none) {
            return Err(LineError::missing(
                "last, open, high, low, change, change_pct or volume",
            ));
        }
        let figure = |at: usize| {
            let read = |value| {
                let text = token(TICKER[at], value)?;
                Decimal::parse(text.as_bytes()).map_err(|e| LineError::number(TICKER[at], e))
            };
            self.ticker[at].map(read).transpose()
        };
        Ok(EventBody::Ticker(Box::new(Ticker {
            last: figure(0)?,
            open: figure(1)?,
            high: figure(2)?,
            low: figure(3)?,
            change: figure(4)?,
            change_pct: figure(5)?,
            volume: figure(6)?,
            quote_volume: figure(7)?,
        })))
    }

    /// The desk's word on trading, or on its own feed.
    fn status(&self) -> Result<EventBody, LineError> {
        if let Some(trading) = self.trading {
            if self.feed.is_some() {
                return Err(LineError::bad("feed", "in a line of its own"));
            }
            if self.reason.is_some() {
                return Err(LineError::bad("reason", "given with feed only"));
            }
            let state = TradingState::of_label(plain_text("trading", trading)?);
            let state = state.ok_or_else(|| {
                let known = TradingState::ALL.map(TradingState::label);
                LineError::bad("trading", &format!("one of {}", known.join(", ")))
            })?;
            return Ok(EventBody::Trading(state));
        }
        let feed = self
            .feed
            .ok_or_else(|| LineError::missing("trading or feed"))?;
        let reason = match self.reason.map(|r| Cursor::new(r).scalar()) {
            Some(Ok(Scalar::Text(text))) => Cow::Owned(text.content().into_owned()),
            Some(_) => return Err(LineError::bad("reason", "a string")),
            None => Cow::Borrowed("said by the publisher"),
        };
        Ok(EventBody::Feed(match plain_text("feed", feed)? {
            "gap" => FeedEvent::Gap(reason),
            "down" => FeedEvent::Down(reason),
            _ => {
                let should =
                    "gap or down: live is what data say, and stale what their absence says";
                return Err(LineError::bad("feed", should));
            }
        }))
    }
}

fn find<'i>(
    instruments: &'i mut dyn Instruments,
    symbol: &str,
) -> Result<&'i Instrument, LineError> {
    let unknown = |why| LineError {
        kind: Mistake::UnknownSymbol,
        message: why,
    };
    instruments.find(symbol).map_err(unknown)
}

fn prints(cursor: &mut Cursor<'_>, instrument: &Instrument) -> Result<Prints, LineError> {
    let mut prints = Prints::new();
    cursor.array::<LineError>(|item| {
        let at = prints.len();
        let field = |name: &'static str| InTrade { at, name };
        let (mut id, mut price, mut qty, mut aggressor, mut ts_event) =
            (None, None, None, None, None);
        item.object::<LineError>(|member, key| {
            match key.plain() {
                Some("id") => {
                    let token = scalar(field("id"), member)?;
                    let read = token.and_then(|t| TradeId::new(t.as_bytes()));
                    let should = "a number or 1 to 39 plain characters";
                    id = Some(read.ok_or_else(|| LineError::bad(field("id"), should))?);
                }
                Some("price") => {
                    let token = scalar(field("price"), member)?;
                    price = token
                        .map(|t| price_of(field("price"), t, instrument))
                        .transpose()?;
                }
                Some("qty") => {
                    let token = scalar(field("qty"), member)?;
                    qty = token
                        .map(|t| qty_of(field("qty"), t, instrument))
                        .transpose()?;
                }
                Some("side") => {
                    aggressor = match scalar(field("side"), member)? {
                        Some("buy") => Some(Aggressor::Buy),
                        Some("sell") => Some(Aggressor::Sell),
                        None => None,
                        _ => return Err(LineError::bad(field("side"), "buy or sell")),
                    };
                }
                Some("ts_event") => ts_event = time(field("ts_event"), member.value()?)?,
                _ => drop(member.value()?),
            }
            Ok(())
        })?;
        let missing = |name| LineError::missing(&field(name).to_string());
        prints.push(Trade {
            id: id.ok_or_else(|| missing("id"))?,
            price: price.ok_or_else(|| missing("price"))?,
            qty: qty.ok_or_else(|| missing("qty"))?,
            aggressor,
            ts_event,
        });
        Ok(())
    })?;
    Ok(prints)
}

/// The name of a trade's field in messages.
#[derive(Clone, Copy)]
struct InTrade {
    at: usize,
    name: &'static str,
}

impl fmt::Display for InTrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "trades[{}].{}", self.at, self.name)
    }
}

fn levels(
    side: Side,
    text: Option<&str>,
    instrument: &Instrument,
) -> Result<Vec<Level>, LineError> {
    let name = match side {
        Side::Bid => "bids",
        Side::Ask => "asks",
    };
    let mut levels = Vec::new();
    let Some(text) = text else { return Ok(levels) };
    Cursor::new(text).array::<LineError>(|item| {
        let at = levels.len();
        let mut numbers = [None; 2];
        let mut length = 0;
        item.array::<LineError>(|number| {
            let token = number.scalar()?.token();
            if let Some(place) = numbers.get_mut(length) {
                *place = token;
            }
            length += 1;
            Ok(())
        })?;
        let [Some(price), Some(qty)] = numbers else {
            return Err(LineError::bad(
                format_args!("{name}[{at}]"),
                "[\"price\",\"qty\"]",
            ));
        };
        let price = price_of(format_args!("{name}[{at}][0]"), price, instrument)?;
        let qty = qty_of(format_args!("{name}[{at}][1]"), qty, instrument)?;
        levels.push(Level::new(price, qty));
        Ok(())
    })?;
    Ok(levels)
}

/// The token of a number or a plain string; none if it is null.
fn scalar<'a>(
    field: impl fmt::Display,
    cursor: &mut Cursor<'a>,
) -> Result<Option<&'a str>, LineError> {
    match cursor.scalar()? {
        Scalar::Null => Ok(None),
        other => {
            let should = || LineError::bad(field, "a string or a number");
            other.token().map(Some).ok_or_else(should)
        }
    }
}

fn token<'a>(field: &'static str, value: &'a str) -> Result<&'a str, LineError> {
    let token = Cursor::new(value).scalar().ok().and_then(Scalar::token);
    token.ok_or_else(|| LineError::bad(field, "a string or a number"))
}

fn plain_text<'a>(field: &'static str, value: &'a str) -> Result<&'a str, LineError> {
    match Cursor::new(value).scalar() {
        Ok(Scalar::Text(text)) => text
            .plain()
            .ok_or_else(|| LineError::bad(field, "a string without escapes")),
        _ => Err(LineError::bad(field, "a string")),
    }
}

fn price_of(
    field: impl fmt::Display,
    text: &str,
    instrument: &Instrument,
) -> Result<Price, LineError> {
    Price::parse(text.as_bytes(), instrument.price_scale).map_err(|e| LineError::number(field, e))
}

fn qty_of(field: impl fmt::Display, text: &str, instrument: &Instrument) -> Result<Qty, LineError> {
    match Qty::parse(text.as_bytes(), instrument.qty_scale) {
        Ok(qty) if qty.mantissa() < 0 => Err(LineError::bad(field, "at least 0")),
        Ok(qty) => Ok(qty),
        Err(error) => Err(LineError::number(field, error)),
    }
}

fn time(field: impl fmt::Display, value: &str) -> Result<Option<EventTime>, LineError> {
    match Cursor::new(value).scalar()? {
        Scalar::Null => Ok(None),
        other => {
            let time = other.token().and_then(|t| EventTime::parse(t.as_bytes()));
            let should = "nanoseconds, 1 to 20 digits below 2^64";
            time.map(Some).ok_or_else(|| LineError::bad(field, should))
        }
    }
}

fn venue_seq(value: &str) -> Result<Option<u64>, LineError> {
    match Cursor::new(value).scalar()? {
        Scalar::Null => Ok(None),
        other => {
            let number = other.token().and_then(|t| t.parse().ok());
            number
                .map(Some)
                .ok_or_else(|| LineError::bad("venue_seq", "an integer below 2^64"))
        }
    }
}
