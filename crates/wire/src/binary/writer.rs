//! Model to records. Each function appends one record and has the inputs of its counterpart in
//! [`crate::json`], except the instrument: only the acknowledgement contains the scales.

use super::{
    CHANNEL_BYTES, CONFLATED, DEFINITION_BYTES, HEADER_BYTES, LEVEL_BYTES, NO_PRICE, SNAPSHOT,
    TICKER_BYTES, TS_EVENT, VENUE_SEQ, WIDE, WORD_BYTES, feed_code, kind_code, padding, put, trade,
    trading_code,
};
use crate::definition::{self, Definition};
use crate::json::{BookLevels, Head, PriceLevel};
use tapecast_model::{ChannelKind, Quote, Status, Ticker, Trade};

/// Appends a `trade` record.
pub fn trades(out: &mut Vec<u8>, head: &Head<'_>, trades: &[Trade]) {
    let record = Open::begin(out, ChannelKind::Trade, head);
    out.extend_from_slice(&(trades.len() as u64).to_le_bytes());
    trade::write(out, trades);
    // Rarely given for trades, so behind them and only where given.
    if let Some(time) = head.ts_event {
        out.extend_from_slice(&time.nanos().get().to_le_bytes());
    }
    if let Some(number) = head.venue_seq {
        out.extend_from_slice(&number.to_le_bytes());
    }
    record.end(out, head);
}

/// Appends a `quote` record.
pub fn quote(out: &mut Vec<u8>, head: &Head<'_>, quote: &Quote) {
    let record = Open::begin(out, ChannelKind::Quote, head);
    let mut body = [0; 48];
    for (at, side) in [(0, quote.bid), (16, quote.ask)] {
        let (price, qty) = side.map_or((NO_PRICE, 0), |(p, q)| (p.mantissa(), q.mantissa()));
        put(&mut body, at, price.to_le_bytes());
        put(&mut body, at + 8, qty.to_le_bytes());
    }
    put(&mut body, 32, stamp(head));
    out.extend_from_slice(&body);
    record.end(out, head);
}

/// Appends a `book.N` record.
pub fn book(out: &mut Vec<u8>, head: &Head<'_>, levels: BookLevels<'_>) {
    let record = Open::begin(out, ChannelKind::Book, head);
    let mut start = [0; 24];
    put(&mut start, 0, stamp(head));
    put(&mut start, 16, levels.checksum.to_le_bytes());
    put(&mut start, 20, (levels.bids.len() as u32).to_le_bytes());
    out.extend_from_slice(&start);
    write_levels(out, levels.bids);
    write_levels(out, levels.asks);
    record.end(out, head);
}

/// Appends a `ticker` record.
pub fn ticker(out: &mut Vec<u8>, head: &Head<'_>, ticker: &Ticker) {
    let record = Open::begin(out, ChannelKind::Ticker, head);
    let mut body = [0; TICKER_BYTES];
    put(&mut body, 0, stamp(head));
    for (index, figure) in ticker.figures().into_iter().enumerate() {
        if let Some(figure) = figure {
            body[16] |= 1 << index;
            body[24 + index] = figure.scale();
            put(&mut body, 32 + index * 16, figure.mantissa().to_le_bytes());
        }
    }
    out.extend_from_slice(&body);
    record.end(out, head);
}

/// Appends a `status` record.
pub fn status(out: &mut Vec<u8>, head: &Head<'_>, status: &Status) {
    let record = Open::begin(out, ChannelKind::Status, head);
    let reason = status.reason.as_bytes();
    let mut start = [0; 24];
    put(&mut start, 0, stamp(head));
    start[16] = feed_code(status.feed);
    start[17] = trading_code(status.trading);
    put(&mut start, 20, (reason.len() as u32).to_le_bytes());
    out.extend_from_slice(&start);
    out.extend_from_slice(reason);
    out.resize(out.len() + padding(reason.len()), 0);
    for (kind, channel) in status.channels.iter() {
        let mut state = [0; CHANNEL_BYTES];
        state[0] = kind_code(kind);
        state[1] = feed_code(channel.feed);
        put(&mut state, 8, channel.since.get().to_le_bytes());
        out.extend_from_slice(&state);
    }
    record.end(out, head);
}

/// Appends an `instrument` record.
pub fn definition(out: &mut Vec<u8>, head: &Head<'_>, definition: &Definition<'_>) {
    let record = Open::begin(out, ChannelKind::Instrument, head);
    let Definition {
        native,
        price_scale,
        qty_scale,
        trading,
        terms,
    } = definition;
    let mut body = [0; DEFINITION_BYTES];
    put(&mut body, 0, stamp(head));
    body[16] = trading_code(*trading);
    body[17] = definition::kind_code(terms.kind);
    body[18] = definition::unit_code(terms.qty_unit);
    body[19] = definition::answer_code(terms.inverse);
    (body[20], body[21]) = (price_scale.digits(), qty_scale.digits());
    body[22] = definition::given(terms);
    put(&mut body, 28, (native.len() as u32).to_le_bytes());
    for (index, figure) in terms.figures().into_iter().enumerate() {
        if let Some(figure) = figure {
            body[24 + index] = figure.scale();
            put(&mut body, 32 + index * 16, figure.mantissa().to_le_bytes());
        }
    }
    for (index, time) in terms.times().into_iter().enumerate() {
        let nanos = time.map_or(0, |time| time.get());
        put(&mut body, 96 + index * 8, nanos.to_le_bytes());
    }
    out.extend_from_slice(&body);
    out.extend_from_slice(native.as_bytes());
    out.resize(out.len() + padding(native.len()), 0);
    record.end(out, head);
}

fn write_levels(out: &mut Vec<u8>, levels: &[PriceLevel]) {
    out.reserve(levels.len() * LEVEL_BYTES);
    for (price, qty) in levels {
        let mut level = [0; LEVEL_BYTES];
        put(&mut level, 0, price.mantissa().to_le_bytes());
        put(&mut level, 8, qty.mantissa().to_le_bytes());
        out.extend_from_slice(&level);
    }
}

/// The venue's time and number, zero where the flags say that there is none.
fn stamp(head: &Head<'_>) -> [u8; 16] {
    let mut stamp = [0; 16];
    let time = head.ts_event.map_or(0, |time| time.nanos().get());
    put(&mut stamp, 0, time.to_le_bytes());
    put(&mut stamp, 8, head.venue_seq.unwrap_or(0).to_le_bytes());
    stamp
}

/// A record whose header is written and whose length is not known yet.
struct Open {
    start: usize,
    wide: bool,
}

// === impl Open ===

impl Open {
    fn begin(out: &mut Vec<u8>, kind: ChannelKind, head: &Head<'_>) -> Self {
        let start = out.len();
        let recv = head.ts_recv.map_or(0, |time| time.get());
        let delay = head.ts_out.get().checked_sub(recv);
        let delay = delay.and_then(|delay| u32::try_from(delay).ok());
        let step = match head.prev {
            None => Some(head.epoch.get() as u32),
            Some(prev) => {
                let step = head.seq.get().checked_sub(prev.get());
                step.and_then(|step| u32::try_from(step).ok())
            }
        };
        let narrow = delay.zip(step);
        let flag = |bit: u8, holds: bool| if holds { bit } else { 0 };
        let mut header = [0; HEADER_BYTES];
        header[2] = kind_code(kind);
        header[3] = flag(SNAPSHOT, head.prev.is_none())
            | flag(CONFLATED, head.conflated)
            | flag(WIDE, narrow.is_none())
            | flag(TS_EVENT, head.ts_event.is_some())
            | flag(VENUE_SEQ, head.venue_seq.is_some());
        put(&mut header, 4, head.tid.to_le_bytes());
        put(&mut header, 8, head.seq.get().to_le_bytes());
        put(&mut header, 16, recv.to_le_bytes());
        if let Some((delay, step)) = narrow {
            put(&mut header, 24, delay.to_le_bytes());
            put(&mut header, 28, step.to_le_bytes());
        }
        out.extend_from_slice(&header);
        Self {
            start,
            wide: narrow.is_none(),
        }
    }

    fn end(self, out: &mut Vec<u8>, head: &Head<'_>) {
        if self.wide {
            let step = head.prev.map_or(head.epoch.get(), |prev| prev.get());
            out.extend_from_slice(&head.ts_out.get().to_le_bytes());
            out.extend_from_slice(&step.to_le_bytes());
        }
        let words = (out.len() - self.start) / WORD_BYTES;
        // What is too long to say ends with its message.
        let words = u16::try_from(words).unwrap_or(0);
        put(&mut out[self.start..], 0, words.to_le_bytes());
    }
}
