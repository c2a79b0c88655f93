//! Trades, quotes and books as most publishers write them, read in one pass: compact lines without
//! escapes, members in any order.
//!
//! It declines (`None`) every other line, and every mistake: [`line::take`](super::line::take) then says
//! what is wrong. It looks up instruments only after it has read the whole line.

use super::names::Instruments;
use crate::event::{BookEvent, Event, EventBody, TradeIds};
use crate::venue::plain::Plain;
use smallvec::SmallVec;
use tapecast_model::{
    Aggressor, EventTime, Instrument, Level, Price, Qty, Quote, Trade, TradeId, UnixNanos,
};

/// Price and size of a level.
type Words<'a> = [&'a str; 2];

/// The members of a line as written; a line with a repeated member is declined.
#[derive(Default)]
struct Line<'a> {
    channel: Option<&'a str>,
    symbol: Option<&'a str>,
    ts_event: Option<&'a str>,
    venue_seq: Option<&'a str>,
    kind: Option<&'a str>,
    /// Price and size, of the bid and of the ask.
    quote: [Option<&'a str>; 4],
    trades: Option<SmallVec<[TradeText<'a>; 1]>>,
    bids: Option<Vec<Words<'a>>>,
    asks: Option<Vec<Words<'a>>>,
}

/// A trade in words.
#[derive(Clone, Copy, Default)]
struct TradeText<'a> {
    id: Option<&'a str>,
    price: Option<&'a str>,
    qty: Option<&'a str>,
    side: Option<&'a str>,
    ts_event: Option<&'a str>,
}

/// Reads a line; none if it is not one of those, or not well.
///
/// One function, by order: the compiler's own choice changes with code elsewhere, and costs up to a fifth.
#[inline(always)]
pub(super) fn read(
    line: &[u8],
    ts_recv: UnixNanos,
    instruments: &mut dyn Instruments,
) -> Option<Event> {
    let line = Line::read(&mut Plain::new(line)?)?;
    let (channel, symbol) = (line.channel?, line.symbol?);
    if !matches!(channel, "trade" | "quote" | "book") {
        return None;
    }
    let instrument = instruments.find(symbol).ok()?;
    let body = match channel {
        "trade" => line.trades(instrument)?,
        "quote" => line.quote(instrument)?,
        _ => line.book(instrument)?,
    };
    Some(Event {
        instrument: instrument.id,
        ts_event: line.ts_event.map(time).transpose_option()?,
        ts_recv,
        venue_seq: line.venue_seq.map(|n| n.parse().ok()).transpose_option()?,
        body,
    })
}

/// `None` if it is there and cannot be read.
trait TransposeOption<T> {
    fn transpose_option(self) -> Option<Option<T>>;
}

impl<T> TransposeOption<T> for Option<Option<T>> {
    #[inline]
    fn transpose_option(self) -> Option<Option<T>> {
        match self {
            Some(None) => None,
            Some(read) => Some(read),
            None => Some(None),
        }
    }
}

/// Puts a value where there is none yet.
#[inline]
fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    let first = place.is_none();
    *place = Some(value);
    first.then_some(())
}

impl<'a> Line<'a> {
    #[inline(always)]
    fn read(plain: &mut Plain<'a>) -> Option<Self> {
        let mut line = Self::default();
        plain.take(b'{')?;
        loop {
            match plain.key()? {
                "channel" => once(&mut line.channel, plain.text()?)?,
                "symbol" => once(&mut line.symbol, plain.text()?)?,
                "type" => once(&mut line.kind, plain.text()?)?,
                "ts_event" => once(&mut line.ts_event, plain.token()?)?,
                "venue_seq" => once(&mut line.venue_seq, plain.token()?)?,
                "bid" => once(&mut line.quote[0], plain.token()?)?,
                "bid_qty" => once(&mut line.quote[1], plain.token()?)?,
                "ask" => once(&mut line.quote[2], plain.token()?)?,
                "ask_qty" => once(&mut line.quote[3], plain.token()?)?,
                "trades" => once(&mut line.trades, trades(plain)?)?,
                "bids" => once(&mut line.bids, levels(plain)?)?,
                "asks" => once(&mut line.asks, levels(plain)?)?,
                _ => drop(plain.value()?),
            }
            if !plain.more(b'}')? {
                return plain.is_at_end().then_some(line);
            }
        }
    }

    fn trades(&self, instrument: &Instrument) -> Option<EventBody> {
        let read = |trade: &TradeText<'_>| {
            let aggressor = match trade.side {
                Some("buy") => Some(Aggressor::Buy),
                Some("sell") => Some(Aggressor::Sell),
                Some(_) => return None,
                None => None,
            };
            let (price, qty) = numbers([trade.price?, trade.qty?], instrument)?;
            if qty.is_zero() {
                return None;
            }
            Some(Trade {
                id: TradeId::new(trade.id?.as_bytes())?,
                price,
                qty,
                aggressor,
                ts_event: trade.ts_event.map(time).transpose_option()?,
            })
        };
        let words = self.trades.as_ref().filter(|trades| !trades.is_empty())?;
        let mut trades = SmallVec::new();
        for trade in words {
            trades.push(read(trade)?);
        }
        Some(EventBody::Trades {
            trades,
            history: false,
            ids: TradeIds::Opaque,
        })
    }

    fn quote(&self, instrument: &Instrument) -> Option<EventBody> {
        let side = |words: [Option<&str>; 2]| match words {
            [None, None] => Some(None),
            [Some(price), Some(qty)] => {
                let (price, qty) = numbers([price, qty], instrument)?;
                Some((!qty.is_zero()).then_some((price, qty)))
            }
            _ => None,
        };
        let [bid, bid_qty, ask, ask_qty] = self.quote;
        bid.or(ask)?;
        Some(EventBody::Quote(Quote {
            bid: side([bid, bid_qty])?,
            ask: side([ask, ask_qty])?,
        }))
    }

    fn book(&self, instrument: &Instrument) -> Option<EventBody> {
        let snapshot = match self.kind? {
            "snapshot" => true,
            "update" => false,
            _ => return None,
        };
        self.bids.as_ref().or(self.asks.as_ref())?;
        let side = |words: &Option<Vec<Words<'_>>>| {
            let words = words.as_deref().unwrap_or_default();
            let mut levels = Vec::with_capacity(words.len());
            for words in words {
                let (price, qty) = numbers(*words, instrument)?;
                levels.push(Level::new(price, qty));
            }
            Some(levels)
        };
        Some(EventBody::Book(Box::new(BookEvent {
            snapshot,
            bids: side(&self.bids)?,
            asks: side(&self.asks)?,
            ..BookEvent::default()
        })))
    }
}

fn trades<'a>(plain: &mut Plain<'a>) -> Option<SmallVec<[TradeText<'a>; 1]>> {
    let mut trades = SmallVec::new();
    plain.take(b'[')?;
    loop {
        let mut trade = TradeText::default();
        plain.take(b'{')?;
        loop {
            match plain.key()? {
                "id" => once(&mut trade.id, plain.token()?)?,
                "price" => once(&mut trade.price, plain.token()?)?,
                "qty" => once(&mut trade.qty, plain.token()?)?,
                "side" => once(&mut trade.side, plain.token()?)?,
                "ts_event" => once(&mut trade.ts_event, plain.token()?)?,
                _ => drop(plain.value()?),
            }
            if !plain.more(b'}')? {
                break;
            }
        }
        trades.push(trade);
        if !plain.more(b']')? {
            return Some(trades);
        }
    }
}

fn levels<'a>(plain: &mut Plain<'a>) -> Option<Vec<Words<'a>>> {
    let mut levels = Vec::with_capacity(LEVELS);
    plain.take(b'[')?;
    if plain.peek()? == b']' {
        plain.take(b']')?;
        return Some(levels);
    }
    loop {
        plain.take(b'[')?;
        let price = plain.token()?;
        plain.take(b',')?;
        levels.push([price, plain.token()?]);
        plain.take(b']')?;
        if !plain.more(b']')? {
            return Some(levels);
        }
    }
}

/// Levels of a side that most changes have room in.
const LEVELS: usize = 16;

fn numbers([price, qty]: Words<'_>, instrument: &Instrument) -> Option<(Price, Qty)> {
    let price = Price::parse(price.as_bytes(), instrument.price_scale).ok()?;
    let qty = Qty::parse(qty.as_bytes(), instrument.qty_scale).ok()?;
    (qty.mantissa() >= 0).then_some((price, qty))
}

fn time(text: &str) -> Option<EventTime> {
    EventTime::parse(text.as_bytes())
}
