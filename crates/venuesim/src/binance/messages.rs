//! Templates of messages. Each has the keys, the order and the spelling of a captured frame, or of the
//! documentation where no capture has one.

use crate::clock::{Stamp, Unit};
use crate::decimal::{text, wide};
use crate::market::{Aggregate, Book, Changes, Market};
use crate::truth::{TruthBook, TruthTrade};

/// A message in both units of time, without a wrapper.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// With times in milliseconds.
    pub(super) ms: String,
    /// With times in microseconds; `None` if it has no times.
    pub(super) us: Option<String>,
}

/// `@depth`, `@depth@100ms` `[C]`.
pub(super) fn depth_update(symbol: &str, changes: &Changes, stamp: Stamp) -> Message {
    let Changes { first, last, .. } = changes;
    let bids = levels(changes.bids.iter().rev().map(|(price, qty)| (*price, *qty)));
    let asks = levels(changes.asks.iter().map(|(price, qty)| (*price, *qty)));
    Message::timed(|unit| {
        let time = stamp.text(unit);
        format!(
            r#"{{"e":"depthUpdate","E":{time},"s":"{symbol}","U":{first},"u":{last},"b":{bids},"a":{asks}}}"#
        )
    })
}

/// `@depth5`, `@depth10`, `@depth20`, and the body of `/api/v3/depth` `[D; C for the latter]`. It has no symbol and
/// no time.
pub(super) fn partial_depth(book: &TruthBook) -> Message {
    let id = book.last_update_id;
    let bids = levels(book.bids.iter().copied());
    let asks = levels(book.asks.iter().copied());
    Message::timeless(format!(
        r#"{{"lastUpdateId":{id},"bids":{bids},"asks":{asks}}}"#
    ))
}

/// `@bookTicker` `[C]`: no kind and no time.
pub(super) fn book_ticker(symbol: &str, book: &Book) -> Message {
    let (bid, ask) = book.best();
    let (bid, ask) = (bid.unwrap_or_default(), ask.unwrap_or_default());
    Message::timeless(format!(
        r#"{{"u":{},"s":"{symbol}","b":"{}","B":"{}","a":"{}","A":"{}"}}"#,
        book.id(),
        text(bid.0),
        text(bid.1),
        text(ask.0),
        text(ask.1)
    ))
}

/// `@trade` `[C, 2024: without the numbers of the orders]`.
pub(super) fn trade(symbol: &str, trade: &TruthTrade, stamp: Stamp) -> Message {
    let (price, qty) = (text(trade.price), text(trade.qty));
    let (id, maker) = (trade.id, trade.buyer_is_maker);
    Message::timed(|unit| {
        let (time, at) = (stamp.text(unit), stamp.of(trade.time_ms, unit));
        format!(
            r#"{{"e":"trade","E":{time},"s":"{symbol}","t":{id},"p":"{price}","q":"{qty}","T":{at},"m":{maker},"M":true}}"#
        )
    })
}

/// `@aggTrade` `[C]`.
pub(super) fn agg_trade(symbol: &str, aggregate: &Aggregate, stamp: Stamp) -> Message {
    let (price, qty) = (text(aggregate.price), text(aggregate.qty));
    let Aggregate {
        id,
        first,
        last,
        buyer_is_maker,
        ..
    } = aggregate;
    Message::timed(|unit| {
        let (time, at) = (stamp.text(unit), stamp.of(aggregate.time_ms, unit));
        format!(
            r#"{{"e":"aggTrade","E":{time},"s":"{symbol}","a":{id},"p":"{price}","q":"{qty}","f":{first},"l":{last},"T":{at},"m":{buyer_is_maker},"M":true}}"#
        )
    })
}

/// `@ticker` `[D]`.
pub(super) fn ticker(market: &Market, stamp: Stamp) -> Message {
    let (bid, ask) = market.book.best();
    let (bid, ask) = (bid.unwrap_or_default(), ask.unwrap_or_default());
    let day = &market.day;
    let symbol = &market.config.symbol;
    Message::timed(|unit| {
        let (time, open_time) = (stamp.text(unit), stamp.earlier(DAY_US, unit));
        format!(
            r#"{{"e":"24hrTicker","E":{time},"s":"{symbol}","p":"{}","P":"{}","w":"{}","x":"{}","c":"{}","Q":"{}","b":"{}","B":"{}","a":"{}","A":"{}","o":"{}","h":"{}","l":"{}","v":"{}","q":"{}","O":{open_time},"C":{time},"F":{},"L":{},"n":{}}}"#,
            text(day.last - day.open),
            day.percent(),
            text(day.mean()),
            text(day.previous),
            text(day.last),
            text(day.last_qty),
            text(bid.0),
            text(bid.1),
            text(ask.0),
            text(ask.1),
            text(day.open),
            text(day.high),
            text(day.low),
            wide(day.volume),
            wide(day.quote_volume),
            day.first_id(),
            day.last_id,
            day.count
        )
    })
}

/// `@miniTicker` `[D]`.
pub(super) fn mini_ticker(market: &Market, stamp: Stamp) -> Message {
    let day = &market.day;
    let symbol = &market.config.symbol;
    Message::timed(|unit| {
        let time = stamp.text(unit);
        format!(
            r#"{{"e":"24hrMiniTicker","E":{time},"s":"{symbol}","c":"{}","o":"{}","h":"{}","l":"{}","v":"{}","q":"{}"}}"#,
            text(day.last),
            text(day.open),
            text(day.high),
            text(day.low),
            wide(day.volume),
            wide(day.quote_volume)
        )
    })
}

/// `serverShutdown` `[D]`.
pub(super) fn server_shutdown(stamp: Stamp) -> Message {
    Message::timed(|unit| {
        let time = stamp.text(unit);
        format!(r#"{{"e":"serverShutdown","E":{time}}}"#)
    })
}

/// A kind that nobody knows, at least so large. The venue adds kinds from time to time `[D]`.
pub(super) fn unknown_kind(size: usize, stamp: Stamp) -> Message {
    let filling = "0123456789".repeat(size / 10);
    Message::timed(|unit| {
        let time = stamp.text(unit);
        format!(r#"{{"e":"somethingNew","E":{time},"x":[{{"y":null}}],"z":"{filling}"}}"#)
    })
}

/// Several messages as one.
pub(super) fn array(messages: &[Message]) -> Message {
    let join = |unit| {
        let texts: Vec<&str> = messages.iter().map(|message| message.text(unit)).collect();
        format!("[{}]", texts.join(","))
    };
    Message::timed(join)
}

/// Levels as the venue writes them: `[["61737.63000000","0.00000000"]]` `[C]`.
fn levels(levels: impl Iterator<Item = (i64, i64)>) -> String {
    let mut written = String::from("[");
    for (price, qty) in levels {
        if written.len() > 1 {
            written.push(',');
        }
        written.push_str("[\"");
        written.push_str(&text(price));
        written.push_str("\",\"");
        written.push_str(&text(qty));
        written.push_str("\"]");
    }
    written.push(']');
    written
}

// === impl Message ===

impl Message {
    /// A message that is written for each unit of times.
    pub(super) fn timed(write: impl Fn(Unit) -> String) -> Self {
        Self {
            ms: write(Unit::Milli),
            us: Some(write(Unit::Micro)),
        }
    }

    /// A message without times.
    pub(super) fn timeless(text: String) -> Self {
        Self { ms: text, us: None }
    }

    /// The text with this unit.
    pub(super) fn text(&self, unit: Unit) -> &str {
        match (unit, &self.us) {
            (Unit::Micro, Some(us)) => us,
            _ => &self.ms,
        }
    }
}

const DAY_US: u64 = 24 * 3_600 * 1_000_000;
