//! Binary frames to the same messages as JSON frames.
//!
//! A record names its topic by a number and leaves out what the topic's acknowledgement contains. So a
//! [`BinaryReader`] remembers acknowledgements: give every control message of the connection to
//! [`BinaryReader::learn`], and every binary message to [`BinaryReader::read`]. [`Client`](crate::Client)
//! does both.
//!
//! The text of a binary message is made only on request. It is the text that the server would have sent
//! as JSON, except zeros in front of a publisher's own time, which binary frames do not contain.
//!
//! # What can go wrong
//! A record that cannot be read, or whose topic was never acknowledged, is a [`MessageError`]; the other
//! records of its message are still read. Records of a kind that this SDK does not know are skipped.

use crate::message::origin::{Acknowledged, Origin};
use crate::message::{
    Body, BookLevels, ChannelHealth, DataFrame, Definition, FrameType, Level, Message,
    MessageError, MessageKind, Quote, Status, SubscribedTopic, Ticker, Trade,
};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tapecast_model::{
    ChannelKind, ChannelState, Decimal, Epoch, Instrument, InstrumentId, Price, Qty, Scale, Topic,
    UnixNanos,
};
use tapecast_wire::binary::{BinaryError, Record, RecordBody, Records};
use tapecast_wire::json::{self, PriceLevel};

/// What the acknowledgements of a connection say of its topics, by number.
#[derive(Debug, Default)]
pub struct BinaryReader {
    topics: HashMap<u32, Known>,
}

#[derive(Debug)]
struct Known {
    topic: Arc<Acknowledged>,
    /// The epoch of its updates.
    epoch: Epoch,
}

// === impl BinaryReader ===

impl BinaryReader {
    /// Nothing acknowledged yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes what a control message says of topics.
    pub fn learn(&mut self, message: &Message) {
        match message.kind() {
            MessageKind::Subscribed(ack) => {
                for topic in &ack.topics {
                    if ack.id.is_none() {
                        // It begins anew, and no frame comes with the number that it had.
                        self.topics
                            .retain(|_, known| known.topic.name != topic.topic);
                    }
                    self.acknowledge(topic);
                }
            }
            MessageKind::Unsubscribed(ack) => {
                let gone = |known: &Known| ack.topics.contains(&known.topic.name);
                self.topics.retain(|_, known| !gone(known));
            }
            _ => {}
        }
    }

    fn acknowledge(&mut self, ack: &SubscribedTopic) {
        // Without a number no frame can name it, and a topic that is none has no frames.
        let (Some(tid), Ok(topic)) = (ack.tid, ack.topic.parse::<Topic>()) else {
            return;
        };
        let scale = |digits: Option<u8>| Scale::saturating(digits.unwrap_or(0));
        let topic = Acknowledged {
            prefix: json::prefix(&topic),
            name: ack.topic.clone(),
            instrument: Instrument {
                id: InstrumentId::new(tid),
                venue: topic.venue,
                native: topic.symbol.as_str().into(),
                symbol: topic.symbol,
                price_scale: scale(ack.price_scale),
                qty_scale: scale(ack.qty_scale),
                lossless: false,
            },
        };
        let known = Known {
            topic: Arc::new(topic),
            epoch: Epoch::new(ack.epoch.unwrap_or(0)),
        };
        self.topics.insert(tid, known);
    }

    /// Reads a binary message and appends what it says, in order.
    pub fn read(&mut self, message: &Bytes, out: &mut VecDeque<Result<Message, MessageError>>) {
        for record in Records::new(message) {
            let read = match record {
                Ok(record) => self.read_record(message, &record),
                Err(error) => Err(error.into()),
            };
            out.extend(read.transpose());
        }
    }

    /// None for a record of a kind that is not known.
    fn read_record(
        &mut self,
        message: &Bytes,
        record: &Record<'_>,
    ) -> Result<Option<Message>, MessageError> {
        let unknown = MessageError::UnknownTopic(record.tid);
        let known = self.topics.get_mut(&record.tid).ok_or(unknown)?;
        if let Some(mark) = record.epoch {
            known.epoch = mark.resolve(known.epoch);
        }
        let Some(body) = body(&record.body, record.venue_seq, &known.topic.instrument)? else {
            return Ok(None);
        };
        let frame = DataFrame {
            topic: known.topic.name.clone(),
            frame_type: match record.prev {
                Some(_) => FrameType::Update,
                None => FrameType::Snapshot,
            },
            epoch: known.epoch.get(),
            seq: record.seq.get(),
            prev: record.prev.map(|prev| prev.get()),
            ts_event: record.ts_event.map(UnixNanos::get),
            ts_recv: record.ts_recv.map(UnixNanos::get),
            ts_out: Some(record.ts_out.get()),
            part: None,
            body,
        };
        let origin = Origin {
            record: message.slice_ref(record.bytes),
            topic: Arc::clone(&known.topic),
            epoch: known.epoch,
        };
        Ok(Some(Message::from_binary(origin, frame)))
    }
}

fn body(
    body: &RecordBody<'_>,
    venue_seq: Option<u64>,
    instrument: &Instrument,
) -> Result<Option<Body>, BinaryError> {
    let venue_seq = venue_seq.map(|number| number.to_string());
    let price = |price: Price| spelled(|out| price.write(out, instrument.price_scale));
    let qty = |qty: Qty| spelled(|out| qty.write(out, instrument.qty_scale));
    let level = |(p, q): PriceLevel| Level {
        price: price(p),
        qty: qty(q),
    };
    Ok(Some(match body {
        RecordBody::Trades(trades) => {
            let spelled = |trade: tapecast_model::Trade| Trade {
                id: String::from_utf8_lossy(trade.id.as_bytes()).into_owned(),
                price: price(trade.price),
                qty: qty(trade.qty),
                side: trade.aggressor.map(|side| side.label().to_owned()),
                ts_event: trade.ts_event.map(|time| time.nanos().get()),
            };
            let trades: Result<Vec<Trade>, _> =
                trades.clone().map(|trade| trade.map(spelled)).collect();
            Body::Trades(trades?)
        }
        RecordBody::Quote(quote) => {
            let split =
                |side: Option<PriceLevel>| side.map(level).map(|l| (l.price, l.qty)).unzip();
            let ((bid, bid_qty), (ask, ask_qty)) = (split(quote.bid), split(quote.ask));
            Body::Quote(Quote {
                bid,
                bid_qty,
                ask,
                ask_qty,
                venue_seq,
            })
        }
        RecordBody::Book {
            bids,
            asks,
            checksum,
        } => Body::Book(BookLevels {
            bids: bids.iter().map(level).collect(),
            asks: asks.iter().map(level).collect(),
            checksum: Some(*checksum),
            venue_seq,
        }),
        RecordBody::Ticker(figures) => {
            let (ticker, text) = (figures.ticker(), |d: Option<Decimal>| {
                d.map(|d| d.to_string())
            });
            Body::Ticker(Ticker {
                last: text(ticker.last),
                open: text(ticker.open),
                high: text(ticker.high),
                low: text(ticker.low),
                change: text(ticker.change),
                change_pct: text(ticker.change_pct),
                volume: text(ticker.volume),
                quote_volume: text(ticker.quote_volume),
            })
        }
        RecordBody::Status {
            feed,
            trading,
            reason,
            channels,
        } => Body::Status(Status {
            feed: feed.label().to_owned(),
            trading: trading.label().to_owned(),
            reason: (*reason).to_owned(),
            channels: channels.iter().map(health).collect(),
        }),
        RecordBody::Definition(read) => Body::Definition(Box::new(definition(read))),
        RecordBody::Other(_) => return Ok(None),
    }))
}

fn definition(read: &tapecast_wire::Definition<'_>) -> Definition {
    let terms = &read.terms;
    let [tick, lot, min_qty, contract_size] =
        terms.figures().map(|figure| figure.map(|f| f.to_string()));
    let [listed_at, expires_at] = terms.times().map(|time| time.map(UnixNanos::get));
    Definition {
        native: read.native.to_owned(),
        price_scale: read.price_scale.digits(),
        qty_scale: read.qty_scale.digits(),
        trading: read.trading.label().to_owned(),
        kind: terms.kind.map(|kind| kind.label().to_owned()),
        qty_unit: terms.qty_unit.map(|unit| unit.label().to_owned()),
        inverse: terms.inverse,
        tick,
        lot,
        min_qty,
        contract_size,
        listed_at,
        expires_at,
    }
}

fn health((kind, state): (ChannelKind, ChannelState)) -> (String, ChannelHealth) {
    let health = ChannelHealth {
        feed: state.feed.label().to_owned(),
        since: Some(state.since.get()),
    };
    (kind.label().to_owned(), health)
}

fn spelled(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut text = Vec::with_capacity(24);
    write(&mut text);
    // Digits, a point and a sign.
    String::from_utf8(text).unwrap_or_default()
}
