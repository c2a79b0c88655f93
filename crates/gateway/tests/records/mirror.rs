//! Both ends of a bus that carries records: what writes them behind a pipeline, and a mirror that has
//! books, instruments and positions from them and from nothing else.

use crate::local;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use tapecast_model::market::Current;
use tapecast_model::{
    Body, Book, Epoch, Instrument, Seq, Side, StreamKey, StreamKind, StreamPos, Symbol, Touched,
    UnixNanos, Update, UpdateSink, Venue,
};
use tapecast_wire::record::{Content, Levels, Record, Records};

/// Writes records into a batch.
#[derive(Default)]
pub(crate) struct Bus {
    /// The last published record of each stream.
    last: HashMap<StreamKey, StreamPos>,
    batch: Vec<u8>,
    sizes: Sizes,
}

/// How many records of each kind there were, of updates and of states, and their bytes.
#[derive(Clone, Default)]
pub(crate) struct Sizes(BTreeMap<(&'static str, &'static str), (usize, usize)>);

/// Applies records and publishes the updates that they were.
#[derive(Default)]
pub(crate) struct Mirror {
    instruments: Vec<Arc<Instrument>>,
    by_name: HashMap<(Venue, Symbol), usize>,
    /// The published book of each instrument.
    books: Vec<Book>,
    last: HashMap<(usize, StreamKind), (Epoch, Seq)>,
}

// === impl Bus ===

impl Bus {
    pub(crate) fn define(&mut self, instrument: &Instrument) {
        let pos = StreamPos {
            epoch: Epoch::new(1),
            seq: Seq::new(1),
        };
        let record = Record::define(instrument, pos, Some(Seq::ZERO), UnixNanos::new(1));
        self.write(&record);
    }

    /// What was written since.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.batch)
    }

    /// The present state of a stream, as the answer to a request.
    pub(crate) fn state(
        &mut self,
        instrument: &Arc<Instrument>,
        kind: StreamKind,
        current: &Current<'_>,
    ) -> Vec<u8> {
        let unknown = Update {
            instrument,
            epoch: current.pos.epoch,
            seq: current.pos.seq,
            ts_event: None,
            ts_recv: UnixNanos::default(),
            venue_seq: None,
            body: Body::Lost { kind, events: 0 },
        };
        let record = Record::of(current.update.as_ref().unwrap_or(&unknown), None);
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        self.sizes.note(&record, bytes.len());
        bytes
    }

    pub(crate) fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    fn write(&mut self, record: &Record) {
        let start = self.batch.len();
        record.encode(&mut self.batch);
        self.sizes.note(record, self.batch.len() - start);
    }
}

impl UpdateSink for Bus {
    fn publish(&mut self, update: &Update<'_>) {
        let (instrument, kind) = (update.instrument.id, update.body.kind());
        let pos = StreamPos {
            epoch: update.epoch,
            seq: update.seq,
        };
        let last = self.last.insert(StreamKey { instrument, kind }, pos);
        let prev = last.filter(|last| last.epoch == pos.epoch);
        let prev = prev.map_or(Seq::ZERO, |last| last.seq);
        self.write(&Record::of(update, Some(prev)));
    }
}

// === impl Mirror ===

impl Mirror {
    pub(crate) fn instruments(&self) -> &[Arc<Instrument>] {
        &self.instruments
    }

    /// Takes a batch of records.
    pub(crate) fn take(&mut self, batch: &[u8], sink: &mut impl UpdateSink) {
        for record in Records::new(batch) {
            self.hear(&record.unwrap(), sink);
        }
    }

    fn hear(&mut self, record: &Record, sink: &mut impl UpdateSink) {
        let id = local(self.instruments.len());
        let known = (record.venue.clone(), record.symbol.clone());
        if !self.by_name.contains_key(&known)
            && let Some(instrument) = record.instrument(id)
        {
            let name = (instrument.venue.clone(), instrument.symbol.clone());
            self.by_name.insert(name, self.instruments.len());
            self.instruments.push(Arc::new(instrument));
            self.books.push(Book::new());
            return;
        }
        let at = self.by_name[&(record.venue.clone(), record.symbol.clone())];
        let before = self
            .last
            .insert((at, record.stream), (record.epoch, record.seq));
        let before = before.filter(|(epoch, _)| *epoch == record.epoch);
        let before = before.map_or(Seq::ZERO, |(_, seq)| seq);
        assert_eq!(
            record.prev,
            Some(before),
            "nothing is missing before {record:?}"
        );
        let book = &mut self.books[at];
        let body = match &record.content {
            Content::Book(levels) => {
                fill(book, levels);
                Body::Book {
                    book,
                    touched: Touched::ALL,
                    changes: None,
                }
            }
            Content::BookChange { levels, depth } => {
                let changes = levels.changes(*depth);
                let touched = book.change(changes);
                Body::Book {
                    book,
                    touched,
                    changes: Some(changes),
                }
            }
            _ => record.body().unwrap(),
        };
        sink.publish(&record.update(&self.instruments[at], body));
    }

    /// Takes the state of a stream; gives its position, and what is known.
    pub(crate) fn answer(&self, bytes: &[u8], open: impl FnOnce(StreamPos, Option<&Update<'_>>)) {
        let (record, rest) = Record::decode(bytes).unwrap();
        assert_eq!((record.prev, rest), (None, &[][..]));
        let at = self.by_name[&(record.venue.clone(), record.symbol.clone())];
        let pos = StreamPos {
            epoch: record.epoch,
            seq: record.seq,
        };
        let mut book = Book::new();
        let body = match &record.content {
            Content::Lost(0) => return open(pos, None),
            Content::Book(levels) => {
                fill(&mut book, levels);
                // Nothing is held back: the mirror has the same one.
                for side in [Side::Bid, Side::Ask] {
                    assert!(self.books[at].levels(side).eq(book.levels(side)));
                }
                Body::Book {
                    book: &book,
                    touched: Touched::ALL,
                    changes: None,
                }
            }
            _ => record.body().unwrap(),
        };
        open(pos, Some(&record.update(&self.instruments[at], body)));
    }
}

fn fill(book: &mut Book, levels: &Levels) {
    book.replace(levels.bids.iter().copied(), levels.asks.iter().copied());
}

// === impl Sizes ===

impl Sizes {
    fn note(&mut self, record: &Record, bytes: usize) {
        let of = record.prev.map_or("state", |_| "update");
        let size = self.0.entry((of, record.content.label())).or_default();
        size.0 += 1;
        size.1 += bytes;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (kind, (records, bytes)) in &other.0 {
            let size = self.0.entry(*kind).or_default();
            size.0 += records;
            size.1 += bytes;
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((of, label), (records, bytes)) in &self.0 {
            let each = bytes / records;
            writeln!(
                f,
                "{of:<6} {label:<13} {records:>8} records, {each:>6} bytes each"
            )?;
        }
        Ok(())
    }
}
