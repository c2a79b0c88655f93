//! Records to bytes.

use super::{
    AT_CHANNEL, AT_EPOCH, AT_FLAGS, AT_KIND, AT_PREV, AT_PRICE_SCALE, AT_QTY_SCALE, AT_SEQ,
    AT_SYMBOL_LENGTH, AT_TIMEFRAME, AT_TS_EVENT, AT_TS_RECV, AT_VENUE_LENGTH, AT_VENUE_SEQ,
    AT_VERSION, AT_WIDTH, Content, FINAL, HAS_ASK, HAS_BID, HAS_PREV, HAS_QUOTE_VOLUME,
    HAS_VENUE_SEQ, HEADER_BYTES, LOSSLESS, Levels, NO_DEPTH, NO_TIME, Record, VERSION,
    timeframe_code,
};
use crate::binary::{feed_code, kind_code, put, trading_code};
use crate::definition;
use tapecast_model::{
    Aggressor, Bar, Decimal, EventTime, Quote, Status, StreamKind, Terms, Ticker, Trade,
};

/// Appends a record.
pub(super) fn encode(record: &Record, out: &mut Vec<u8>) {
    let start = out.len();
    let (venue, symbol) = (record.venue.as_str(), record.symbol.as_str());
    let flag = |bit: u8, holds: bool| if holds { bit } else { 0 };
    let mut header = [0; HEADER_BYTES];
    header[AT_VERSION] = VERSION;
    header[AT_KIND] = record.content.code();
    header[AT_CHANNEL] = kind_code(record.stream.channel());
    if let StreamKind::Bar(timeframe) = record.stream {
        header[AT_TIMEFRAME] = timeframe_code(timeframe);
    }
    header[AT_FLAGS] =
        flag(HAS_PREV, record.prev.is_some()) | flag(HAS_VENUE_SEQ, record.venue_seq.is_some());
    header[AT_WIDTH] = record.ts_event.map_or(NO_TIME, EventTime::width);
    header[AT_PRICE_SCALE] = record.price_scale.digits();
    header[AT_QTY_SCALE] = record.qty_scale.digits();
    // Names have at most 64 bytes.
    header[AT_VENUE_LENGTH] = venue.len() as u8;
    header[AT_SYMBOL_LENGTH] = symbol.len() as u8;
    let time = record.ts_event.map_or(0, |time| time.nanos().get());
    for (at, number) in [
        (AT_EPOCH, record.epoch.get()),
        (AT_SEQ, record.seq.get()),
        (AT_PREV, record.prev.map_or(0, |prev| prev.get())),
        (AT_TS_EVENT, time),
        (AT_TS_RECV, record.ts_recv.get()),
        (AT_VENUE_SEQ, record.venue_seq.unwrap_or(0)),
    ] {
        put(&mut header, at, number.to_le_bytes());
    }
    out.extend_from_slice(&header);
    out.extend_from_slice(venue.as_bytes());
    out.extend_from_slice(symbol.as_bytes());
    write_content(&record.content, out);
    let length = (out.len() - start) as u32;
    put(&mut out[start..], 0, length.to_le_bytes());
}

fn write_content(content: &Content, out: &mut Vec<u8>) {
    match content {
        Content::Trades(trades) | Content::RecentTrades(trades) => {
            out.extend_from_slice(&(trades.len() as u32).to_le_bytes());
            for trade in trades {
                write_trade(trade, out);
            }
        }
        Content::Quote(quote) => write_quote(quote, out),
        Content::Book(levels) => {
            write_counts(levels, out);
            write_levels(levels, out);
        }
        Content::BookChange { levels, depth } => {
            write_counts(levels, out);
            out.extend_from_slice(&depth.unwrap_or(NO_DEPTH).to_le_bytes());
            write_levels(levels, out);
        }
        Content::Ticker(ticker) => write_ticker(ticker, out),
        Content::Status(status) => write_status(status, out),
        Content::Definition {
            native,
            lossless,
            trading,
            terms,
        } => {
            out.push(if *lossless { LOSSLESS } else { 0 });
            out.push(trading_code(*trading));
            write_terms(terms, out);
            write_text(native, out);
        }
        Content::Bar(bar) => write_bar(bar, out),
        Content::Lost(events) => out.extend_from_slice(&events.to_le_bytes()),
    }
}

fn write_trade(trade: &Trade, out: &mut Vec<u8>) {
    out.extend_from_slice(&trade.price.mantissa().to_le_bytes());
    out.extend_from_slice(&trade.qty.mantissa().to_le_bytes());
    out.push(match trade.aggressor {
        None => 0,
        Some(Aggressor::Buy) => 1,
        Some(Aggressor::Sell) => 2,
    });
    match trade.ts_event {
        None => out.push(NO_TIME),
        Some(time) => {
            out.push(time.width());
            out.extend_from_slice(&time.nanos().get().to_le_bytes());
        }
    }
    let id = trade.id.as_bytes();
    // An id has at most 39 characters.
    out.push(id.len() as u8);
    out.extend_from_slice(id);
}

fn write_quote(quote: &Quote, out: &mut Vec<u8>) {
    let given = |bit: u8, is_given: bool| if is_given { bit } else { 0 };
    out.push(given(HAS_BID, quote.bid.is_some()) | given(HAS_ASK, quote.ask.is_some()));
    for (price, qty) in [quote.bid, quote.ask].into_iter().flatten() {
        out.extend_from_slice(&price.mantissa().to_le_bytes());
        out.extend_from_slice(&qty.mantissa().to_le_bytes());
    }
}

fn write_counts(levels: &Levels, out: &mut Vec<u8>) {
    for side in [&levels.bids, &levels.asks] {
        out.extend_from_slice(&(side.len() as u32).to_le_bytes());
    }
}

fn write_levels(levels: &Levels, out: &mut Vec<u8>) {
    out.reserve((levels.bids.len() + levels.asks.len()) * 16);
    for level in levels.bids.iter().chain(&levels.asks) {
        let mut bytes = [0; 16];
        put(&mut bytes, 0, level.price.mantissa().to_le_bytes());
        put(&mut bytes, 8, level.qty.mantissa().to_le_bytes());
        out.extend_from_slice(&bytes);
    }
}

fn write_ticker(ticker: &Ticker, out: &mut Vec<u8>) {
    let figures = ticker.figures();
    let given = figures.iter().enumerate();
    out.push(given.fold(0, |bits, (at, figure)| {
        bits | u8::from(figure.is_some()) << at
    }));
    for figure in figures.into_iter().flatten() {
        write_decimal(figure, out);
    }
}

fn write_status(status: &Status, out: &mut Vec<u8>) {
    let channels = status.channels.iter().count() as u8;
    out.extend_from_slice(&[
        feed_code(status.feed),
        trading_code(status.trading),
        channels,
    ]);
    for (kind, state) in status.channels.iter() {
        out.extend_from_slice(&[kind_code(kind), feed_code(state.feed)]);
        out.extend_from_slice(&state.since.get().to_le_bytes());
    }
    write_text(&status.reason, out);
}

fn write_terms(terms: &Terms, out: &mut Vec<u8>) {
    out.extend_from_slice(&[
        definition::kind_code(terms.kind),
        definition::unit_code(terms.qty_unit),
        definition::answer_code(terms.inverse),
        definition::given(terms),
    ]);
    for figure in terms.figures().into_iter().flatten() {
        write_decimal(figure, out);
    }
    for time in terms.times().into_iter().flatten() {
        out.extend_from_slice(&time.get().to_le_bytes());
    }
}

fn write_bar(bar: &Bar, out: &mut Vec<u8>) {
    out.extend_from_slice(&bar.start.get().to_le_bytes());
    for price in [bar.open, bar.high, bar.low, bar.close] {
        out.extend_from_slice(&price.mantissa().to_le_bytes());
    }
    out.extend_from_slice(&bar.trades.to_le_bytes());
    let given = |bit: u8, is_given: bool| if is_given { bit } else { 0 };
    out.push(given(FINAL, bar.is_final) | given(HAS_QUOTE_VOLUME, bar.quote_volume.is_some()));
    write_decimal(bar.volume, out);
    if let Some(volume) = bar.quote_volume {
        write_decimal(volume, out);
    }
}

fn write_decimal(decimal: Decimal, out: &mut Vec<u8>) {
    out.push(decimal.scale());
    out.extend_from_slice(&decimal.mantissa().to_le_bytes());
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}
