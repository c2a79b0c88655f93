//! Data frames in any encoding: one call per channel, so that the publisher does not need to know the
//! encodings.
//!
//! Each function appends one frame's payload; [`crate::frame`] makes it a frame, with the encoding's
//! [`Opcode`](crate::Opcode).

use crate::definition::Definition;
use crate::encoding::Encoding;
use crate::json::{BookLevels, Head};
use crate::{binary, json};
use tapecast_model::{Instrument, Quote, Status, Ticker, Trade};

/// Appends a `trade` frame.
pub fn trades(
    encoding: Encoding,
    out: &mut Vec<u8>,
    head: &Head<'_>,
    instrument: &Instrument,
    trades: &[Trade],
) {
    match encoding {
        Encoding::Json => json::trades(out, head, instrument, trades),
        Encoding::Bin => binary::trades(out, head, trades),
    }
}

/// Appends a `quote` frame.
pub fn quote(
    encoding: Encoding,
    out: &mut Vec<u8>,
    head: &Head<'_>,
    instrument: &Instrument,
    quote: &Quote,
) {
    match encoding {
        Encoding::Json => json::quote(out, head, instrument, quote),
        Encoding::Bin => binary::quote(out, head, quote),
    }
}

/// Appends a `book.N` frame.
pub fn book(
    encoding: Encoding,
    out: &mut Vec<u8>,
    head: &Head<'_>,
    instrument: &Instrument,
    levels: BookLevels<'_>,
) {
    match encoding {
        Encoding::Json => json::book(out, head, instrument, levels),
        Encoding::Bin => binary::book(out, head, levels),
    }
}

/// Appends a `ticker` frame.
pub fn ticker(encoding: Encoding, out: &mut Vec<u8>, head: &Head<'_>, ticker: &Ticker) {
    match encoding {
        Encoding::Json => json::ticker(out, head, ticker),
        Encoding::Bin => binary::ticker(out, head, ticker),
    }
}

/// Appends a `status` frame.
pub fn status(encoding: Encoding, out: &mut Vec<u8>, head: &Head<'_>, status: &Status) {
    match encoding {
        Encoding::Json => json::status(out, head, status),
        Encoding::Bin => binary::status(out, head, status),
    }
}

/// Appends an `instrument` frame.
pub fn definition(
    encoding: Encoding,
    out: &mut Vec<u8>,
    head: &Head<'_>,
    definition: &Definition<'_>,
) {
    match encoding {
        Encoding::Json => json::definition(out, head, definition),
        Encoding::Bin => binary::definition(out, head, definition),
    }
}
