//! Templates of messages. Each has the keys, the order and the spelling of a captured frame, or of the
//! documentation where no capture has one.

use super::listing::{Listing, Names};
use super::number::{digits_of, fixed, shortest};
use super::time;
use super::view::BookMessage;
use crate::clock::{Stamp, Unit};
use crate::decimal::ONE;
use crate::market::Level;
use crate::truth::TruthTrade;

/// `status` `[C]`; with an effective time for works that are planned `[L, its place U]`.
pub(super) fn status(connection: u64, system: &str, effective_us: Option<u64>) -> String {
    let effective = effective_us.map(|us| format!(r#","effectiveTime":"{}""#, time::text(us)));
    let effective = effective.unwrap_or_default();
    format!(
        r#"{{"channel":"status","type":"update","data":[{{"version":"2.0.10","system":"{system}","api_version":"v2","connection_id":{connection}{effective}}}]}}"#
    )
}

/// `heartbeat` `[C]`.
pub(super) const HEARTBEAT: &str = r#"{"channel":"heartbeat"}"#;

/// Too many messages: it is not said which were lost `[L]`.
pub(super) const EXCEEDED: &str = r#"{"Error":"Exceeded msg rate"}"#;

/// `book` `[C]`.
pub(super) fn book(names: &Names, message: &BookMessage) -> String {
    let Names { symbol, digits } = names;
    let kind = kind(message.snapshot);
    let sum = message.sum.map(|sum| format!(r#""checksum":{sum},"#));
    format!(
        r#"{{"channel":"book","type":"{kind}","data":[{{"symbol":"{symbol}","bids":{},"asks":{},{}"timestamp":"{}"}}]}}"#,
        levels(&message.bids, *digits, false),
        levels(&message.asks, *digits, false),
        sum.unwrap_or_default(),
        time::text(message.us)
    )
}

/// The same with all keys the other way round.
pub(super) fn book_reversed(names: &Names, message: &BookMessage) -> String {
    let Names { symbol, digits } = names;
    let kind = kind(message.snapshot);
    let sum = message.sum.map(|sum| format!(r#""checksum":{sum},"#));
    format!(
        r#"{{"data":[{{"timestamp":"{}",{}"asks":{},"bids":{},"symbol":"{symbol}"}}],"type":"{kind}","channel":"book"}}"#,
        time::text(message.us),
        sum.unwrap_or_default(),
        levels(&message.asks, *digits, true),
        levels(&message.bids, *digits, true),
    )
}

/// `trade` `[D]`. Of the old trades of a snapshot only the kind says that they are old.
pub(super) fn trades(names: &Names, snapshot: bool, trades: &[TruthTrade], stamp: Stamp) -> String {
    let Names { symbol, digits } = names;
    let kind = kind(snapshot);
    let written = trades.iter().map(|trade| {
        let side = if trade.buyer_is_maker { "sell" } else { "buy" };
        let order = if trade.id % 3 == 0 { "limit" } else { "market" };
        // Trades of one millisecond have different microseconds, each time the same.
        let us = stamp.of(trade.time_ms, Unit::Micro) + trade.id % 1_000;
        format!(
            r#"{{"symbol":"{symbol}","side":"{side}","price":{},"qty":{},"ord_type":"{order}","trade_id":{},"timestamp":"{}"}}"#,
            fixed(trade.price.into(), digits.0),
            fixed(trade.qty.into(), digits.1),
            trade.id,
            time::text(us)
        )
    });
    let written: Vec<String> = written.collect();
    format!(
        r#"{{"channel":"trade","type":"{kind}","data":[{}]}}"#,
        written.join(",")
    )
}

/// `ticker` `[D; trades and timestamp L]`.
pub(super) fn ticker(listing: &Listing, snapshot: bool, stamp: Stamp) -> String {
    let Names { symbol, digits } = listing.names();
    let (bid, ask) = listing.market.book.best();
    let (bid, ask) = (bid.unwrap_or_default(), ask.unwrap_or_default());
    let day = &listing.market.day;
    let price = |number: i64| fixed(number.into(), digits.0);
    let qty = |number: i128| fixed(number, digits.1);
    let change = day.last - day.open;
    let percent = i128::from(change) * 100 * i128::from(ONE) / i128::from(day.open.max(1));
    format!(
        r#"{{"channel":"ticker","type":"{}","data":[{{"symbol":"{symbol}","bid":{},"bid_qty":{},"ask":{},"ask_qty":{},"last":{},"volume":{},"vwap":{},"low":{},"high":{},"change":{},"change_pct":{},"trades":{},"timestamp":"{}"}}]}}"#,
        kind(snapshot),
        price(bid.0),
        qty(bid.1.into()),
        price(ask.0),
        qty(ask.1.into()),
        price(day.last),
        qty(day.volume),
        price(day.mean()),
        price(day.low),
        price(day.high),
        price(change),
        fixed(percent, 2),
        day.count,
        time::text(stamp.text(Unit::Micro))
    )
}

/// `instrument` `[D]`.
pub(super) fn instruments(snapshot: bool, assets: &[String], pairs: &[String]) -> String {
    format!(
        r#"{{"channel":"instrument","type":"{}","data":{{"assets":[{}],"pairs":[{}]}}}}"#,
        kind(snapshot),
        assets.join(","),
        pairs.join(",")
    )
}

/// A pair of `instrument` `[D]`. The limits of margins are invented.
pub(super) fn pair(listing: &Listing) -> String {
    let config = &listing.market.config;
    let (symbol, base, quote) = (&config.symbol, &config.base, &config.quote);
    let (tick, step) = (shortest(listing.said_tick), shortest(config.step));
    let marginable = !listing.tokenised();
    let margin = match marginable {
        true => r#","margin_initial":0.2,"position_limit_long":250,"position_limit_short":200"#,
        false => "",
    };
    format!(
        r#"{{"symbol":"{symbol}","base":"{base}","quote":"{quote}","status":"{}","qty_precision":{},"qty_increment":{step},"price_precision":{},"cost_precision":5,"marginable":{marginable},"has_index":true,"cost_min":0.5{margin},"tick_size":{tick},"price_increment":{tick},"qty_min":{}}}"#,
        listing.status(),
        listing.digits.1,
        digits_of(listing.said_tick),
        shortest(config.step.max(10_000))
    )
}

/// An asset of `instrument` `[D]`. Its numbers are invented.
pub(super) fn asset(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","status":"enabled","precision":10,"precision_display":5,"borrowable":true,"collateral_value":1.0,"margin_rate":0.015}}"#
    )
}

/// A channel that nobody knows, at least so large.
pub(super) fn unknown_channel(size: usize) -> String {
    let filling = "0123456789".repeat(size / 10);
    format!(
        r#"{{"channel":"something_new","type":"update","data":[{{"x":[{{"y":null}}],"z":"{filling}"}}]}}"#
    )
}

fn kind(snapshot: bool) -> &'static str {
    if snapshot { "snapshot" } else { "update" }
}

fn levels(levels: &[Level], (price, qty): (u8, u8), reversed: bool) -> String {
    let written = levels.iter().map(|level| {
        let (price, qty) = (fixed(level.0.into(), price), fixed(level.1.into(), qty));
        if reversed {
            format!(r#"{{"qty":{qty},"price":{price}}}"#)
        } else {
            format!(r#"{{"price":{price},"qty":{qty}}}"#)
        }
    });
    let written: Vec<String> = written.collect();
    format!("[{}]", written.join(","))
}
