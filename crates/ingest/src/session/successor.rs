//! The book of a line that takes over, until it does.
//!
//! Without numbers, nothing tells which message of a new line continues the book of the old one. So the new line's
//! book is kept apart, from its own snapshot on, and verified like any book. When it has come as far as the old one,
//! by the venue's times, it takes its place, whole.

use super::disorder::Disorder;
use crate::book::{BacklogLimits, BookOutcome, EventStamp, VerifiedBook};
use crate::event::{BookEvent, Event, EventBody, Scales};
use tapecast_model::{EventTime, InstrumentId, Mono, Side, UnixNanos};

/// A book that takes over.
#[derive(Debug)]
pub(super) struct Successor {
    book: VerifiedBook,
    stamp: EventStamp,
    depth: Option<usize>,
    makes_quote: bool,
    disorder: Disorder,
    /// Since when it is right.
    since: Option<Mono>,
    /// The old line is gone; from then on it is the book, however far it has come.
    pub(super) until: Option<Mono>,
}

// === impl Successor ===

impl Successor {
    /// Of an instrument with these scales; nothing has come.
    pub(super) fn new(scales: Scales) -> Self {
        Self {
            book: VerifiedBook::of_scales(scales, BacklogLimits::default()),
            stamp: EventStamp::default(),
            depth: None,
            makes_quote: false,
            disorder: Disorder::default(),
            since: None,
            until: None,
        }
    }

    /// Takes a message of the book. Whether it is not proved wrong.
    pub(super) fn take(&mut self, stamp: EventStamp, event: Box<BookEvent>, now: Mono) -> bool {
        let times = stamp.ts_event.zip(self.stamp.ts_event);
        let falls = times.is_some_and(|(time, last)| time.nanos() < last.nanos());
        if falls && !event.snapshot && self.since.is_some() && self.disorder.note(now) {
            return false;
        }
        self.depth = event.depth.or(self.depth);
        self.makes_quote = event.makes_quote;
        self.stamp = EventStamp {
            ts_event: stamp.ts_event.or(self.stamp.ts_event),
            ..stamp
        };
        let outcome = self.book.handle(stamp, event);
        if self.book.book().is_none() {
            self.since = None;
        } else {
            self.since.get_or_insert(now);
        }
        !matches!(outcome, BookOutcome::Broken(_))
    }

    /// Since when there is a right book.
    pub(super) const fn since(&self) -> Option<Mono> {
        self.since
    }

    /// Whether it is right, and not older than this.
    pub(super) fn has_reached(&self, time: Option<EventTime>) -> bool {
        let reached = match (self.stamp.ts_event, time) {
            (_, None) => true,
            (Some(ours), Some(time)) => ours.nanos() >= time.nanos(),
            (None, Some(_)) => false,
        };
        reached && self.since.is_some()
    }

    /// The book as a snapshot, if there is one.
    pub(super) fn into_event(self, instrument: InstrumentId, ts_recv: UnixNanos) -> Option<Event> {
        let book = self.book.book()?;
        let levels = |side| book.levels(side).copied().collect();
        let snapshot = BookEvent {
            snapshot: true,
            bids: levels(Side::Bid),
            asks: levels(Side::Ask),
            depth: self.depth,
            makes_quote: self.makes_quote,
            ..BookEvent::default()
        };
        Some(Event {
            instrument,
            ts_event: self.stamp.ts_event,
            ts_recv,
            venue_seq: self.stamp.venue_seq,
            body: EventBody::Book(Box::new(snapshot)),
        })
    }
}
