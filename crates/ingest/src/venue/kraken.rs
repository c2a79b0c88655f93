//! Kraken v2: bare numbers, written with the instrument's full precision. The checksum uses their text,
//! so they are read as tokens from the original bytes and never as numbers.
//!
//! The venue keeps as many levels as were subscribed. Only the acknowledgement says this number, and no
//! message says which levels leave the book. It numbers its trades, by one per symbol, and nothing else.
//! The checksum verifies a book, but covers only the best ten levels. So an unreadable book message is
//! announced as a loss.

use super::cursor::{Cursor, Scalar, Syntax};
use super::{
    BookHead, Carries, Decoder, EventVisitor, Message, MessageHead, Reject, TradeRow, VenueStream,
    What, rfc3339_time, trading,
};
use crate::event::{Checksum, TradeIds};
use hashbrown::HashMap;
use std::borrow::Cow;
use tapecast_model::{Aggressor, ChannelKind, Decimal, Scale, Side, Ticker, TradeId};

/// Reads Kraken's messages.
#[derive(Default)]
pub struct Kraken {
    /// What was subscribed, which a new connection would ask for again.
    depths: HashMap<Box<str>, usize>,
}

/// Depths that can be subscribed.
const DEPTHS: [usize; 5] = [10, 25, 100, 500, 1_000];

/// The time of tickers that say nothing.
const ZERO_DATE: &str = "0001-01-01T";

impl From<Syntax> for Reject {
    fn from(_: Syntax) -> Self {
        Self::Malformed
    }
}

impl Decoder for Kraken {
    fn read(&mut self, message: Message<'_>, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
        let text = std::str::from_utf8(message.raw).or(Err(Reject::Utf8))?;
        let mut cursor = Cursor::new(text);
        if cursor.peek() != Some(b'{') {
            cursor.value()?;
            cursor.end()?;
            return if message.http.is_some() {
                Ok(())
            } else {
                Err(Reject::Unknown)
            };
        }
        let root = Fields::of(
            &mut cursor,
            [
                "channel", "type", "data", "method", "result", "Error", "error",
            ],
        )?;
        cursor.end()?;
        let [channel, kind, data, method, result, error, refusal] = root.0;
        let Some(channel) = channel.and_then(content) else {
            if let Some(result) = result {
                self.acknowledged(result)?;
            }
            let control = method.or(error).or(refusal).is_some() || message.http.is_some();
            return if control {
                Ok(())
            } else {
                Err(Reject::Unknown)
            };
        };
        let kind = kind.and_then(content);
        let whole = match kind.as_deref() {
            Some("snapshot") => Ok(true),
            Some("update") => Ok(false),
            _ => Err(Reject::Missing("type")),
        };
        let data = || data.ok_or(Reject::Missing("data"));
        match channel.as_ref() {
            "book" => each(
                data()?,
                VenueStream::new(Carries::Book, 1),
                visitor,
                |item, to| self.book(item, whole?, to),
            ),
            "trade" => trades(data()?, whole == Ok(true), visitor),
            "ticker" => each(
                data()?,
                VenueStream::new(Carries::Ticker, 1),
                visitor,
                ticker,
            ),
            "status" => Cursor::new(data()?).array(|item| {
                system(item.value()?, visitor);
                Ok(())
            }),
            "instrument" => instruments(data()?, visitor),
            "heartbeat" | "ohlc" | "level3" | "pong" => Ok(()),
            _ => Err(Reject::Unknown),
        }
    }

    fn reset(&mut self) {}

    fn words(&self) -> &'static [(&'static str, ChannelKind)] {
        &[
            ("book", ChannelKind::Book),
            ("trade", ChannelKind::Trade),
            ("ticker", ChannelKind::Ticker),
            ("ticker", ChannelKind::Quote),
        ]
    }
}

impl Kraken {
    /// Notes the depth that was subscribed.
    fn acknowledged(&mut self, result: &str) -> Result<(), Reject> {
        let mut cursor = Cursor::new(result);
        if cursor.peek() != Some(b'{') {
            return Ok(());
        }
        let [channel, symbol, depth] = Fields::of(&mut cursor, ["channel", "symbol", "depth"])?.0;
        let depth = depth.and_then(|d| d.parse::<usize>().ok());
        if let (Some("book"), Some(symbol), Some(depth)) = (
            channel.and_then(content).as_deref(),
            symbol.and_then(content),
            depth,
        ) {
            self.depths.insert(symbol.into(), depth);
        }
        Ok(())
    }

    fn book(
        &mut self,
        item: &mut Cursor<'_>,
        snapshot: bool,
        visitor: &mut dyn EventVisitor,
    ) -> Result<(), Reject> {
        let keys = ["symbol", "bids", "asks", "checksum", "timestamp"];
        let [symbol, bids, asks, checksum, timestamp] = Fields::of(item, keys)?.0;
        let symbol = text("symbol", symbol)?;
        let mut depth = self.depths.get(symbol.as_ref()).copied();
        if depth.is_none() && snapshot {
            let levels = count(bids)?.max(count(asks)?);
            depth = Some(DEPTHS.into_iter().find(|d| *d >= levels).unwrap_or(levels));
        }
        let checksum = match checksum {
            None | Some("null") => None,
            Some(token) => {
                let sum = whole(token).and_then(|sum| u32::try_from(sum).ok());
                let sum = sum.ok_or(Reject::Number("checksum"))?;
                // Zero says that there is none.
                (sum != 0).then_some(Checksum::Kraken(sum))
            }
        };
        let head = MessageHead {
            native: &symbol,
            stream: VenueStream::new(Carries::Book, 1),
            ts_event: timestamp.and_then(content).and_then(|t| rfc3339_time(&t)),
            venue_seq: None,
            what: What::Book(BookHead {
                snapshot,
                checksum,
                depth,
                ..BookHead::default()
            }),
        };
        if visitor.begin(&head)? {
            for (side, levels) in [(Side::Bid, bids), (Side::Ask, asks)] {
                let Some(levels) = levels else { continue };
                Cursor::new(levels).array(|level| {
                    let [price, qty] = Fields::of(level, ["price", "qty"])?.0;
                    visitor.level(side, number("price", price)?, number("qty", qty)?)
                })?;
            }
            visitor.finish()?;
        }
        if let (true, Some(depth)) = (snapshot, depth) {
            self.depths.insert(symbol.into(), depth);
        }
        Ok(())
    }
}

/// Reads the items of a message one by one: what is wrong with one concerns it alone.
fn each(
    data: &str,
    stream: VenueStream,
    visitor: &mut dyn EventVisitor,
    mut read: impl FnMut(&mut Cursor<'_>, &mut dyn EventVisitor) -> Result<(), Reject>,
) -> Result<(), Reject> {
    Cursor::new(data).array::<Reject>(|item| {
        let item = item.value()?;
        if let Err(reject) = read(&mut Cursor::new(item), visitor) {
            let fields = Fields::of(&mut Cursor::new(item), ["symbol"]);
            let symbol = fields.ok().and_then(|fields| content(fields.0[0]?));
            visitor.fault(symbol.as_deref(), stream, reject);
        }
        Ok(())
    })
}

/// Trades; adjacent trades of one symbol are one event.
fn trades(data: &str, history: bool, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
    let mut tape = Tape {
        history,
        open: None,
    };
    Cursor::new(data).array::<Reject>(|item| tape.row(item.value()?, visitor))?;
    tape.close(visitor)
}

/// A batch of trades being read.
struct Tape<'a> {
    history: bool,
    /// The instrument of the open event, and whether it is used.
    open: Option<(Cow<'a, str>, bool)>,
}

impl<'a> Tape<'a> {
    const STREAM: VenueStream = VenueStream::new(Carries::Trades, 1);

    /// Reads a row. What is wrong with it concerns it alone.
    fn row(&mut self, row: &'a str, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
        let keys = ["symbol", "side", "price", "qty", "trade_id", "timestamp"];
        let fields = Fields::of(&mut Cursor::new(row), keys);
        let symbol = fields.as_ref().map_err(|reject| *reject);
        let symbol = symbol.and_then(|fields| text("symbol", fields.0[0]));
        let (Fields([_, side, price, qty, id, time]), symbol) = match (fields, symbol) {
            (Ok(fields), Ok(symbol)) => (fields, symbol),
            (_, Err(reject)) | (Err(reject), _) => {
                visitor.fault(None, Self::STREAM, reject);
                return Ok(());
            }
        };
        let trade = trade_row([side, price, qty, id, time]);
        if self.open.as_ref().is_none_or(|(last, _)| *last != symbol) {
            self.close(visitor)?;
            let wanted = visitor.begin(&MessageHead {
                native: &symbol,
                stream: Self::STREAM,
                ts_event: time.and_then(content).and_then(|t| rfc3339_time(&t)),
                venue_seq: None,
                what: What::Trades {
                    history: self.history,
                    ids: TradeIds::Dense,
                },
            });
            let wanted = match wanted {
                Ok(wanted) => wanted,
                Err(reject) => {
                    visitor.fault(Some(&symbol), Self::STREAM, reject);
                    return Ok(());
                }
            };
            self.open = Some((symbol, wanted));
        }
        if let Some((symbol, true)) = &self.open
            && let Err(reject) = trade.and_then(|trade| visitor.trade(&trade))
        {
            visitor.fault(Some(symbol), Self::STREAM, reject);
        }
        Ok(())
    }

    /// Ends the open event.
    fn close(&mut self, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
        match self.open.take() {
            Some((_, true)) => visitor.finish(),
            _ => Ok(()),
        }
    }
}

fn trade_row<'a>(
    [side, price, qty, id, timestamp]: [Option<&'a str>; 5],
) -> Result<TradeRow<'a>, Reject> {
    let id = token(id).and_then(|id| match whole(id) {
        Some(number) => Some(TradeId::from_number(number)),
        // Beyond 64 bits, say.
        None => TradeId::new(id.as_bytes()).filter(|_| id.bytes().all(|b| b.is_ascii_digit())),
    });
    let ts_event = timestamp
        .and_then(content)
        .filter(|t| !t.is_empty())
        .map(|t| rfc3339_time(&t).ok_or(Reject::Number("timestamp")))
        .transpose()?;
    Ok(TradeRow {
        id: id.ok_or(Reject::Number("trade_id"))?,
        price: number("price", price)?,
        qty: number("qty", qty)?,
        aggressor: match side.and_then(content).as_deref() {
            Some("buy") => Some(Aggressor::Buy),
            Some("sell") => Some(Aggressor::Sell),
            _ => None,
        },
        ts_event,
        market: true,
        first_id: None,
    })
}

fn ticker(item: &mut Cursor<'_>, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
    let keys = [
        "symbol",
        "bid",
        "bid_qty",
        "ask",
        "ask_qty",
        "last",
        "volume",
        "low",
        "high",
        "change",
        "change_pct",
        "timestamp",
    ];
    let [
        symbol,
        bid,
        bid_qty,
        ask,
        ask_qty,
        last,
        volume,
        low,
        high,
        change,
        change_pct,
        time,
    ] = Fields::of(item, keys)?.0;
    let symbol = text("symbol", symbol)?;
    // The venue has no figures of this pair yet, whatever the other members say.
    if time
        .and_then(content)
        .is_some_and(|t| t.starts_with(ZERO_DATE))
    {
        return Ok(());
    }
    let decimal = |field, token: Option<&str>| match token {
        None | Some("null") => Ok(None),
        some => Decimal::parse(number(field, some)?.as_bytes())
            .map(Some)
            .map_err(|e| Reject::of_number(field, e)),
    };
    let (last, change) = (decimal("last", last)?, decimal("change", change)?);
    let volume = decimal("volume", volume)?;
    let ticker = Ticker {
        last,
        open: opening(last, change, volume),
        high: decimal("high", high)?,
        low: decimal("low", low)?,
        change,
        change_pct: decimal("change_pct", change_pct)?,
        volume,
        quote_volume: None,
    };
    let ts_event = time.and_then(content).and_then(|t| rfc3339_time(&t));
    let stream = VenueStream::new(Carries::Ticker, 1);
    let (native, what) = (symbol.as_ref(), What::whole(&ticker));
    let head = MessageHead {
        native,
        stream,
        ts_event,
        venue_seq: None,
        what,
    };
    if visitor.begin(&head)? {
        visitor.finish()?;
    }
    let sides = [(Side::Bid, bid, bid_qty), (Side::Ask, ask, ask_qty)];
    if sides.iter().all(|(_, price, _)| price.is_none()) {
        return Ok(());
    }
    let head = MessageHead {
        stream: VenueStream::new(Carries::SpareQuote, 1),
        what: What::Quote,
        ..head
    };
    // The figures stand, whatever is wrong with the quote beside them.
    if let Err(reject) = spare_quote(&head, sides, visitor) {
        visitor.fault(Some(&symbol), head.stream, reject);
    }
    Ok(())
}

/// The price of a day ago, which the venue does not say: the last price without its change. There is none
/// if either is missing or the pair has no last price, nor for a pair so new that all of its price is
/// change, nor if nothing was traded for a day: the change is zero then because there is none.
fn opening(
    last: Option<Decimal>,
    change: Option<Decimal>,
    volume: Option<Decimal>,
) -> Option<Decimal> {
    let (last, change) = (last.filter(|last| last.mantissa() > 0)?, change?);
    let is_zero = |number: Decimal| number.mantissa() == 0;
    if is_zero(change) && volume.is_some_and(is_zero) {
        return None;
    }
    last.checked_sub(change).filter(|open| open.mantissa() > 0)
}

/// A side, its price and its quantity.
type Offer<'a> = (Side, Option<&'a str>, Option<&'a str>);

fn spare_quote(
    head: &MessageHead<'_>,
    sides: [Offer<'_>; 2],
    visitor: &mut dyn EventVisitor,
) -> Result<(), Reject> {
    if !visitor.begin(head)? {
        return Ok(());
    }
    for (side, price, qty) in sides {
        if price.is_some_and(|p| p != "null") {
            visitor.level(side, number("bid or ask", price)?, number("quantity", qty)?)?;
        }
    }
    visitor.finish()
}

/// Passes over what says nothing of trading.
fn system(item: &str, visitor: &mut dyn EventVisitor) {
    let system = Fields::of(&mut Cursor::new(item), ["system"]).map(|Fields([system])| system);
    let state = system.ok().flatten().and_then(content);
    if let Some(state) = state.and_then(|state| trading::kraken(&state)) {
        visitor.trading(None, state);
    }
}

fn instruments(data: &str, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
    let mut cursor = Cursor::new(data);
    if cursor.peek() != Some(b'{') {
        return Ok(());
    }
    let [pairs] = Fields::of(&mut cursor, ["pairs"])?.0;
    let Some(pairs) = pairs else { return Ok(()) };
    Cursor::new(pairs).array(|pair| {
        let Ok(fields) = Fields::of(&mut Cursor::new(pair.value()?), ["symbol", "status"]) else {
            return Ok(());
        };
        let [symbol, status] = fields.0;
        let state = status.and_then(content).and_then(|s| trading::kraken(&s));
        if let (Some(symbol), Some(state)) = (symbol.and_then(content), state) {
            visitor.trading(Some(&symbol), state);
        }
        Ok(())
    })
}

/// The texts of some members of an object, in the order asked for; of a repeated key the last.
struct Fields<'a, const N: usize>([Option<&'a str>; N]);

impl<'a, const N: usize> Fields<'a, N> {
    fn of(cursor: &mut Cursor<'a>, keys: [&str; N]) -> Result<Self, Reject> {
        let mut fields = [None; N];
        cursor.object::<Reject>(|member, key| {
            let value = member.value()?;
            if let Some(at) = keys.iter().position(|k| key.is(k)) {
                fields[at] = Some(value);
            }
            Ok(())
        })?;
        Ok(Self(fields))
    }
}

/// The content of a string's text.
fn content(value: &str) -> Option<Cow<'_, str>> {
    match Cursor::new(value).scalar() {
        Ok(Scalar::Text(text)) => Some(text.content()),
        _ => None,
    }
}

fn text<'a>(field: &'static str, value: Option<&'a str>) -> Result<Cow<'a, str>, Reject> {
    value
        .and_then(content)
        .filter(|t| !t.is_empty())
        .ok_or(Reject::Missing(field))
}

/// A number's token; in quotes is also well.
fn token(value: Option<&str>) -> Option<&str> {
    Cursor::new(value?).scalar().ok()?.token()
}

fn number<'a>(field: &'static str, value: Option<&'a str>) -> Result<&'a str, Reject> {
    match value {
        None | Some("null") => Err(Reject::Missing(field)),
        some => token(some).ok_or(Reject::Number(field)),
    }
}

/// The whole number that a token stands for, with an exponent or without.
fn whole(token: &str) -> Option<u64> {
    token.parse().ok().or_else(|| {
        let number = Decimal::parse(token.as_bytes()).ok()?;
        let number = number.rescale(Scale::default()).ok()?;
        u64::try_from(number).ok()
    })
}

fn count(levels: Option<&str>) -> Result<usize, Reject> {
    let mut count = 0;
    let Some(levels) = levels else { return Ok(0) };
    Cursor::new(levels).array::<Reject>(|level| {
        count += 1;
        level.value()?;
        Ok(())
    })?;
    Ok(count)
}
