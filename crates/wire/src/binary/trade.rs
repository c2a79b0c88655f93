//! One trade in 48 bytes, and its id, which can be restored exactly as the venue wrote it.
//!
//! Nearly all ids are decimal numbers or UUIDs: they are stored as such, in 16 bytes. Other texts of up
//! to 16 characters fit there too; longer ones follow after the trades, in order, each padded to whole
//! words. A number with leading zeros, or a UUID in capitals, is stored as a text.

use super::error::BinaryError;
use super::{TRADE_BYTES, get, padding, put};
use tapecast_model::{Aggressor, EventTime, Price, Qty, Trade, TradeId, UnixNanos};

/// An id that is a number: 64 bits at the beginning of its place.
const ID_NUMBER: u8 = 1;
/// An id that is a UUID: its 16 bytes in the order in which they are spelled.
const ID_UUID: u8 = 2;
/// An id of at most 16 other characters.
const ID_TEXT: u8 = 3;
/// A longer id, which is stored after the trades.
const ID_LONG: u8 = 4;

/// In a trade's flags: the venue's time is given.
const HAS_TIME: u8 = 1;

const AT_PRICE: usize = 0;
const AT_QTY: usize = 8;
const AT_TIME: usize = 16;
const AT_SIDE: usize = 24;
const AT_ID_KIND: usize = 25;
const AT_ID_LENGTH: usize = 26;
const AT_FLAGS: usize = 27;
const AT_ID: usize = 32;
const ID_BYTES: usize = 16;

/// How many characters a UUID is spelled in.
const UUID_TEXT: usize = 36;

/// The trades of a record, oldest first, each read when it is asked for.
#[derive(Clone, Debug)]
pub struct Trades<'a> {
    records: &'a [[u8; TRADE_BYTES]],
    long: &'a [u8],
}

/// Appends trades, and behind them the ids that are too long for their place.
pub(super) fn write(out: &mut Vec<u8>, trades: &[Trade]) {
    out.reserve(trades.len() * TRADE_BYTES);
    let mut long = false;
    for trade in trades {
        let packed = packed(trade);
        long |= packed[AT_ID_KIND] == ID_LONG;
        out.extend_from_slice(&packed);
    }
    if long {
        for id in trades.iter().map(|trade| trade.id.as_bytes()) {
            if pack(id).0 == ID_LONG {
                out.extend_from_slice(id);
                out.resize(out.len() + padding(id.len()), 0);
            }
        }
    }
}

/// A trade in its place, without an id that is too long for it.
fn packed(trade: &Trade) -> [u8; TRADE_BYTES] {
    let mut packed = [0; TRADE_BYTES];
    put(&mut packed, AT_PRICE, trade.price.mantissa().to_le_bytes());
    put(&mut packed, AT_QTY, trade.qty.mantissa().to_le_bytes());
    if let Some(time) = trade.ts_event {
        put(&mut packed, AT_TIME, time.nanos().get().to_le_bytes());
        packed[AT_FLAGS] = HAS_TIME;
    }
    packed[AT_SIDE] = match trade.aggressor {
        None => 0,
        Some(Aggressor::Buy) => 1,
        Some(Aggressor::Sell) => 2,
    };
    let id = trade.id.as_bytes();
    let (kind, bytes) = pack(id);
    packed[AT_ID_KIND] = kind;
    // An id has at most 39 characters.
    packed[AT_ID_LENGTH] = id.len() as u8;
    put(&mut packed, AT_ID, bytes);
    packed
}

/// The kind of an id, and the bytes in its place.
fn pack(id: &[u8]) -> (u8, [u8; ID_BYTES]) {
    let mut place = [0; ID_BYTES];
    if let Some(number) = canonical_number(id) {
        put(&mut place, 0, number.to_le_bytes());
        return (ID_NUMBER, place);
    }
    if let Some(uuid) = canonical_uuid(id) {
        return (ID_UUID, uuid);
    }
    match place.get_mut(..id.len()) {
        Some(start) => {
            start.copy_from_slice(id);
            (ID_TEXT, place)
        }
        None => (ID_LONG, place),
    }
}

/// A decimal number in its only valid form: no sign, no leading zeros.
fn canonical_number(id: &[u8]) -> Option<u64> {
    if id.len() > 20 || (id.len() > 1 && id.first() == Some(&b'0')) {
        return None;
    }
    let mut number = 0_u64;
    for byte in id {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    (!id.is_empty()).then_some(number)
}

/// A UUID with hyphens, in lower case.
fn canonical_uuid(id: &[u8]) -> Option<[u8; ID_BYTES]> {
    if id.len() != UUID_TEXT {
        return None;
    }
    let mut uuid = [0; ID_BYTES];
    let mut digits = 0;
    for (at, byte) in id.iter().enumerate() {
        if is_hyphen(at) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        let value = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        uuid[digits / 2] = uuid[digits / 2] << 4 | value;
        digits += 1;
    }
    Some(uuid)
}

const fn is_hyphen(at: usize) -> bool {
    matches!(at, 8 | 13 | 18 | 23)
}

fn spell_uuid(uuid: [u8; ID_BYTES]) -> [u8; UUID_TEXT] {
    let mut text = [b'-'; UUID_TEXT];
    let mut digits = 0;
    for (at, place) in text.iter_mut().enumerate() {
        if is_hyphen(at) {
            continue;
        }
        let value = uuid[digits / 2] >> (4 - digits % 2 * 4) & 15;
        *place = b"0123456789abcdef"[usize::from(value)];
        digits += 1;
    }
    text
}

// === impl Trades ===

impl<'a> Trades<'a> {
    /// `count` trades at the beginning of `bytes`; what is left holds long ids.
    pub(super) fn new(bytes: &'a [u8], count: usize) -> Result<Self, BinaryError> {
        let truncated = BinaryError::Truncated("a print");
        let length = count.checked_mul(TRADE_BYTES);
        let (trades, long) = length
            .and_then(|length| bytes.split_at_checked(length))
            .ok_or(truncated)?;
        let (records, _) = trades.as_chunks();
        Ok(Self { records, long })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn read(&mut self, trade: &'a [u8; TRADE_BYTES]) -> Result<Trade, BinaryError> {
        let word = |at| get(trade, at).unwrap_or_default();
        let aggressor = match trade[AT_SIDE] {
            0 => None,
            1 => Some(Aggressor::Buy),
            2 => Some(Aggressor::Sell),
            value => return Err(BinaryError::unknown("side", value)),
        };
        let time = EventTime::new(UnixNanos::new(u64::from_le_bytes(word(AT_TIME))));
        Ok(Trade {
            id: self.id(trade)?,
            price: Price::from_mantissa(i64::from_le_bytes(word(AT_PRICE))),
            qty: Qty::from_mantissa(i64::from_le_bytes(word(AT_QTY))),
            aggressor,
            ts_event: (trade[AT_FLAGS] & HAS_TIME != 0).then_some(time),
        })
    }

    fn id(&mut self, trade: &'a [u8; TRADE_BYTES]) -> Result<TradeId, BinaryError> {
        let place: [u8; ID_BYTES] = get(trade, AT_ID).unwrap_or_default();
        let length = usize::from(trade[AT_ID_LENGTH]);
        let id = match trade[AT_ID_KIND] {
            ID_NUMBER => {
                let number = u64::from_le_bytes(get(&place, 0).unwrap_or_default());
                Some(TradeId::from_number(number))
            }
            ID_UUID => TradeId::new(&spell_uuid(place)),
            ID_TEXT => place.get(..length).and_then(TradeId::new),
            ID_LONG => {
                let whole = length + padding(length);
                let Some((id, rest)) = self.long.split_at_checked(whole) else {
                    return Err(BinaryError::Truncated("an id"));
                };
                self.long = rest;
                TradeId::new(&id[..length])
            }
            value => return Err(BinaryError::unknown("kind of id", value)),
        };
        id.ok_or(BinaryError::Id)
    }
}

impl Iterator for Trades<'_> {
    type Item = Result<Trade, BinaryError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (trade, rest) = self.records.split_first()?;
        self.records = rest;
        Some(self.read(trade))
    }
}
