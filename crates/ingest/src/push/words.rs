//! The words of a published line: a trade, levels, and single numbers, times and texts, each read to the
//! scales of its instrument. What is wrong with a word is said with the name of its field.

use super::mistake::LineError;
use crate::venue::cursor::{Cursor, Scalar};
use std::fmt;
use tapecast_model::{Aggressor, EventTime, Instrument, Level, Price, Qty, Side, Trade, TradeId};

pub(super) fn trade_row(at: usize, row: &str, instrument: &Instrument) -> Result<Trade, LineError> {
    let field = |name: &'static str| InTrade { at, name };
    let [mut id, mut price, mut qty, mut side, mut ts_event] = [None; 5];
    Cursor::new(row).object::<LineError>(|member, key| {
        let value = member.value()?;
        let place = match key.content().as_ref() {
            "id" => &mut id,
            "price" => &mut price,
            "qty" => &mut qty,
            "side" => &mut side,
            "ts_event" => &mut ts_event,
            _ => return Ok(()),
        };
        *place = (value != "null").then_some(value);
        Ok(())
    })?;
    let id = TradeId::new(needed(field("id"), id)?.as_bytes());
    let should = "a number or 1 to 39 plain characters";
    Ok(Trade {
        id: id.ok_or_else(|| LineError::bad(field("id"), should))?,
        price: price_of(field("price"), needed(field("price"), price)?, instrument)?,
        qty: qty_of(field("qty"), needed(field("qty"), qty)?, instrument)?,
        aggressor: match side.map(|side| scalar(field("side"), side)).transpose()? {
            Some("buy") => Some(Aggressor::Buy),
            Some("sell") => Some(Aggressor::Sell),
            None => None,
            _ => return Err(LineError::bad(field("side"), "buy or sell")),
        },
        ts_event: match ts_event {
            Some(value) => time(field("ts_event"), value)?,
            None => None,
        },
    })
}

fn needed(field: InTrade, value: Option<&str>) -> Result<&str, LineError> {
    let value = value.ok_or_else(|| LineError::missing(&field.to_string()))?;
    scalar(field, value)
}

/// The name of a trade's field in messages.
#[derive(Clone, Copy)]
pub(super) struct InTrade {
    pub(super) at: usize,
    pub(super) name: &'static str,
}

impl fmt::Display for InTrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "trades[{}].{}", self.at, self.name)
    }
}

pub(super) fn levels(
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

/// The token of a number or a plain string.
pub(super) fn scalar(field: impl fmt::Display, value: &str) -> Result<&str, LineError> {
    let token = Cursor::new(value).scalar().ok().and_then(Scalar::token);
    token.ok_or_else(|| LineError::bad(field, "a string or a number"))
}

pub(super) fn plain_text<'a>(field: &'static str, value: &'a str) -> Result<&'a str, LineError> {
    match Cursor::new(value).scalar() {
        Ok(Scalar::Text(text)) => text
            .plain()
            .ok_or_else(|| LineError::bad(field, "a string without escapes")),
        _ => Err(LineError::bad(field, "a string")),
    }
}

pub(super) fn price_of(
    field: impl fmt::Display,
    text: &str,
    instrument: &Instrument,
) -> Result<Price, LineError> {
    Price::parse(text.as_bytes(), instrument.price_scale).map_err(|e| LineError::number(field, e))
}

pub(super) fn qty_of(
    field: impl fmt::Display,
    text: &str,
    instrument: &Instrument,
) -> Result<Qty, LineError> {
    match Qty::parse(text.as_bytes(), instrument.qty_scale) {
        Ok(qty) if qty.mantissa() < 0 => Err(LineError::bad(field, "at least 0")),
        Ok(qty) => Ok(qty),
        Err(error) => Err(LineError::number(field, error)),
    }
}

/// A time; an empty one is as good as none.
pub(super) fn time(field: impl fmt::Display, value: &str) -> Result<Option<EventTime>, LineError> {
    let word = Cursor::new(value).scalar()?;
    if matches!(word, Scalar::Null) || word.token() == Some("") {
        return Ok(None);
    }
    let time = word.token().and_then(|t| EventTime::parse(t.as_bytes()));
    let should = "nanoseconds, 1 to 20 digits below 2^64";
    time.map(Some).ok_or_else(|| LineError::bad(field, should))
}

pub(super) fn venue_seq(value: &str) -> Result<Option<u64>, LineError> {
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
