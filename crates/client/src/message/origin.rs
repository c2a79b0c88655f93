//! Where a message came from that was sent in binary: its record, and its text on request.

use bytes::Bytes;
use std::sync::Arc;
use tapecast_model::{Epoch, EventTime, Instrument};
use tapecast_wire::Head;
use tapecast_wire::binary::{BinaryError, CONFLATED, Record, RecordBody, Records};
use tapecast_wire::json;

/// What stays the same of a topic.
#[derive(Debug)]
pub(crate) struct Acknowledged {
    pub(crate) name: String,
    /// The beginning of its frames as text.
    pub(crate) prefix: Vec<u8>,
    pub(crate) instrument: Instrument,
}

/// Where a message came from that has no text yet.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) record: Bytes,
    pub(crate) topic: Arc<Acknowledged>,
    pub(crate) epoch: Epoch,
}

// === impl Origin ===

impl Origin {
    /// The frame as text.
    pub(crate) fn text(&self) -> String {
        // It was read before, so it can be read again.
        let record = Records::new(&self.record).next();
        let text = record.and_then(|record| self.write(&record.ok()?).ok());
        String::from_utf8(text.unwrap_or_default()).unwrap_or_default()
    }

    fn write(&self, record: &Record<'_>) -> Result<Vec<u8>, BinaryError> {
        let head = Head {
            prefix: &self.topic.prefix,
            epoch: self.epoch,
            seq: record.seq,
            prev: record.prev,
            ts_event: record.ts_event.map(EventTime::new),
            ts_recv: record.ts_recv,
            ts_out: record.ts_out,
            venue_seq: record.venue_seq,
            tid: record.tid,
            conflated: record.flags & CONFLATED != 0,
        };
        let instrument = &self.topic.instrument;
        let mut out = Vec::with_capacity(256);
        match &record.body {
            RecordBody::Trades(trades) => {
                let trades: Result<Vec<_>, _> = trades.clone().collect();
                json::trades(&mut out, &head, instrument, &trades?);
            }
            RecordBody::Quote(quote) => json::quote(&mut out, &head, instrument, quote),
            RecordBody::Book {
                bids,
                asks,
                checksum,
            } => {
                let (bids, asks): (Vec<_>, Vec<_>) = (bids.iter().collect(), asks.iter().collect());
                let levels = json::BookLevels {
                    bids: &bids,
                    asks: &asks,
                    checksum: *checksum,
                };
                json::book(&mut out, &head, instrument, levels);
            }
            RecordBody::Ticker(figures) => {
                json::ticker(&mut out, &head, &figures.ticker());
            }
            RecordBody::Status {
                feed,
                trading,
                reason,
                channels,
            } => {
                let status = tapecast_model::Status {
                    feed: *feed,
                    trading: *trading,
                    reason: (*reason).to_owned().into(),
                    channels: *channels,
                };
                json::status(&mut out, &head, &status);
            }
            RecordBody::Definition(definition) => json::definition(&mut out, &head, definition),
            RecordBody::Other(_) => {}
        }
        Ok(out)
    }
}
