//! Frames of topics: position, times and data.
//!
//! Decimals stay the text that was sent. A value that a venue does not give is `None`, never an empty
//! text.

use super::{MessageError, nanos};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use tapecast_model::TradingState;

/// A frame of a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct DataFrame {
    /// The topic.
    pub topic: String,
    /// Whether it is the state or a change to it.
    pub frame_type: FrameType,
    /// The life of the stream.
    pub epoch: u64,
    /// The stream's number of the last event it includes.
    pub seq: u64,
    /// The `seq` of the topic's frame before it; none in a snapshot.
    pub prev: Option<u64>,
    /// The venue's time in nanoseconds; none where it gives none, and for trades, which carry their own.
    pub ts_event: Option<u64>,
    /// Arrival at the gateway.
    pub ts_recv: Option<u64>,
    /// The moment it was serialised.
    pub ts_out: Option<u64>,
    /// Which part of how many, of a snapshot too large for one frame. The first part replaces.
    pub part: Option<(u32, u32)>,
    /// What happened.
    pub body: Body,
}

/// Whether a frame is the state or a change to it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum FrameType {
    /// The state of the topic.
    Snapshot,
    /// What changed since `prev`.
    Update,
}

/// What a data frame carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Trades, oldest first; in a snapshot they are history.
    Trades(Vec<Trade>),
    /// Best bid and offer.
    Quote(Quote),
    /// Price levels.
    Book(BookLevels),
    /// A bar.
    Bar(Bar),
    /// 24 h statistics.
    Ticker(Ticker),
    /// Feed and trading state.
    Status(Status),
    /// What the venue says of the instrument.
    Definition(Box<Definition>),
    /// A channel this SDK does not know: read it from [`Message::text`](super::Message::text).
    Other,
}

/// One trade.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Trade {
    /// The venue's id.
    pub id: String,
    /// At what price.
    pub price: String,
    /// How much.
    pub qty: String,
    /// The side that took liquidity, `buy` or `sell`, if the venue says so.
    #[serde(default)]
    pub side: Option<String>,
    /// The venue's time in nanoseconds.
    #[serde(default, deserialize_with = "nanos")]
    pub ts_event: Option<u64>,
}

/// Best bid and offer. A side without orders has none.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct Quote {
    /// Best bid.
    pub bid: Option<String>,
    /// What rests there.
    pub bid_qty: Option<String>,
    /// Best offer.
    pub ask: Option<String>,
    /// What rests there.
    pub ask_qty: Option<String>,
    /// The venue's own number.
    pub venue_seq: Option<String>,
}

/// A price and the absolute size that rests there; size `0` removes it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Level {
    /// The price.
    pub price: String,
    /// The size.
    pub qty: String,
}

/// Levels of a book frame.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct BookLevels {
    /// Bids, falling.
    pub bids: Vec<Level>,
    /// Asks, rising.
    pub asks: Vec<Level>,
    /// CRC-32 of the best levels of the view after this frame.
    pub checksum: Option<u32>,
    /// The venue's own number.
    pub venue_seq: Option<String>,
}

/// A bar.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[expect(missing_docs, reason = "the fields are the domain's own words")]
pub struct Bar {
    #[serde(default, deserialize_with = "nanos")]
    pub start: Option<u64>,
    pub open: String,
    pub high: String,
    pub low: String,
    pub close: String,
    pub volume: String,
    #[serde(default)]
    pub quote_volume: Option<String>,
    #[serde(default)]
    pub trades: Option<u64>,
    #[serde(rename = "final", default)]
    pub is_final: bool,
}

/// 24 h statistics; what a venue does not give is absent.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the domain's own words")]
pub struct Ticker {
    pub last: Option<String>,
    pub open: Option<String>,
    pub high: Option<String>,
    pub low: Option<String>,
    pub change: Option<String>,
    pub change_pct: Option<String>,
    pub volume: Option<String>,
    pub quote_volume: Option<String>,
}

/// Feed and trading state.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct Status {
    /// `pending`, `live`, `stale`, `gap` or `down`: the worst of the book's and the quote's; without
    /// both, the line's.
    pub feed: String,
    /// What the venue says of trading; `unknown` also where it is in a word that this SDK does not know.
    #[serde(deserialize_with = "trading")]
    pub trading: String,
    /// Why, in words.
    pub reason: String,
    /// What is known of each channel that is watched, by its name: `book`, `quote`, `trade`, `ticker`.
    pub channels: BTreeMap<String, ChannelHealth>,
}

/// What the venue says of the instrument; what it does not say is `None`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct Definition {
    /// The venue's own name for it.
    pub native: String,
    /// Digits after the point of its prices.
    pub price_scale: u8,
    /// Digits after the point of its quantities.
    pub qty_scale: u8,
    /// As in [`Status`].
    #[serde(deserialize_with = "trading")]
    pub trading: String,
    /// `spot`, `perpetual`, `future`, `option` or `equity`.
    pub kind: Option<String>,
    /// What quantities count: `base`, `quote` or `contract`.
    pub qty_unit: Option<String>,
    /// Whether profit is paid in the base currency.
    pub inverse: Option<bool>,
    /// The step of prices.
    pub tick: Option<String>,
    /// The step of quantities.
    pub lot: Option<String>,
    /// The least quantity of an order.
    pub min_qty: Option<String>,
    /// What one contract is.
    pub contract_size: Option<String>,
    /// When it began, or begins, to trade, in nanoseconds.
    #[serde(deserialize_with = "nanos")]
    pub listed_at: Option<u64>,
    /// When it ends.
    #[serde(deserialize_with = "nanos")]
    pub expires_at: Option<u64>,
}

/// What is known of one channel.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct ChannelHealth {
    /// `pending`, `live`, `stale`, `gap` or `down`.
    pub feed: String,
    /// When this state began.
    #[serde(deserialize_with = "nanos")]
    pub since: Option<u64>,
}

#[derive(Deserialize)]
struct DataHead {
    topic: String,
    #[serde(rename = "type")]
    frame_type: FrameType,
    epoch: u64,
    seq: u64,
    #[serde(default)]
    prev: Option<u64>,
    #[serde(default, deserialize_with = "nanos")]
    ts_event: Option<u64>,
    #[serde(default, deserialize_with = "nanos")]
    ts_recv: Option<u64>,
    #[serde(default, deserialize_with = "nanos")]
    ts_out: Option<u64>,
    #[serde(default)]
    part: Option<(u32, u32)>,
}

#[derive(Deserialize)]
struct Trades {
    trades: Vec<Trade>,
}

/// A word for a trading state; what is not known is `unknown`.
fn trading<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let word = Cow::<'de, str>::deserialize(deserializer)?;
    let known = TradingState::of_label(&word).unwrap_or_default();
    Ok(known.label().to_owned())
}

// === impl DataFrame ===

impl DataFrame {
    pub(super) fn parse(text: &str, topic: &str) -> Result<Self, MessageError> {
        let head: DataHead = serde_json::from_str(text)?;
        let channel = topic.split([':', '.']).next().unwrap_or_default();
        let body = match channel {
            "trade" => Body::Trades(serde_json::from_str::<Trades>(text)?.trades),
            "quote" => Body::Quote(serde_json::from_str(text)?),
            "book" => Body::Book(serde_json::from_str(text)?),
            "bar" => Body::Bar(serde_json::from_str(text)?),
            "ticker" => Body::Ticker(serde_json::from_str(text)?),
            "status" => Body::Status(serde_json::from_str(text)?),
            "instrument" => Body::Definition(serde_json::from_str(text)?),
            _ => Body::Other,
        };
        Ok(Self {
            topic: head.topic,
            frame_type: head.frame_type,
            epoch: head.epoch,
            seq: head.seq,
            prev: head.prev,
            ts_event: head.ts_event,
            ts_recv: head.ts_recv,
            ts_out: head.ts_out,
            part: head.part,
            body,
        })
    }

    /// Whether it is the state rather than a change to it.
    pub fn is_snapshot(&self) -> bool {
        self.frame_type == FrameType::Snapshot
    }

    /// Whether no further part of the same snapshot follows.
    pub fn is_last_part(&self) -> bool {
        self.part.is_none_or(|(part, of)| part >= of)
    }

    /// Whether it begins a new frame: an update, a whole snapshot, or a snapshot's first part.
    pub fn is_first_part(&self) -> bool {
        self.part.is_none_or(|(part, _)| part <= 1)
    }
}
