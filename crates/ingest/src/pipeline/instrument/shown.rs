//! An instrument's book, and what of it is published.
//!
//! A published book says what changed since the last published one. Mostly this is the last change of the
//! verified book, which is borrowed. While the book is crossed nothing is published, and the changes are
//! kept here, in order, for the next published book.
//!
//! # Full
//! More changed levels than the book has are not kept: then the next published book is a whole one. The
//! same holds if the venue cuts its book: what was cut between two changes cannot be said by levels.

use crate::book::{BacklogLimits, EventStamp, VerifiedBook};
use tapecast_model::{Body, Book, BookChanges, Instrument, Level, Mono, Side, Touched};

/// The verified book, and what of it has been shown.
#[derive(Debug)]
pub(super) struct BookState {
    pub(super) verified: VerifiedBook,
    /// Of the last message that reached a state.
    pub(super) stamp: EventStamp,
    /// A book message has come: there is a book to lose.
    pub(super) wanted: bool,
    /// A state was published and not dropped since.
    pub(super) shown: bool,
    /// Snapshots since the last restart, right or wrong: the number of the last one.
    pub(super) snapshots: u64,
    /// Since when it is crossed, or since it was asked for because of that.
    pub(super) crossed: Option<Mono>,
    /// What was touched since the last published state.
    touched: Touched,
    held: HeldBack,
}

/// What lies between the last published state and the last change.
#[derive(Debug, Default)]
enum HeldBack {
    #[default]
    Nothing,
    /// Changes that were held back, in order.
    Changes { bids: Vec<Level>, asks: Vec<Level> },
    /// A snapshot, or more than is kept.
    Whole,
}

// === impl BookState ===

impl BookState {
    pub(super) fn new(instrument: &Instrument, backlog: BacklogLimits) -> Self {
        Self {
            verified: VerifiedBook::new(instrument, backlog),
            stamp: EventStamp::default(),
            wanted: false,
            shown: false,
            snapshots: 0,
            crossed: None,
            touched: Touched::NONE,
            held: HeldBack::Nothing,
        }
    }

    /// Adds what an event touched to what is not published yet.
    pub(super) fn note(&mut self, stamp: EventStamp, touched: Touched, replaced: bool) {
        self.stamp = stamp;
        self.touched.note(Side::Bid, touched.bid);
        self.touched.note(Side::Ask, touched.ask);
        if replaced {
            self.held = HeldBack::Whole;
        }
    }

    /// Keeps the last change for the next published state.
    pub(super) fn hold_back(&mut self) {
        if let (Some(book), Some(changes)) = (self.verified.book(), self.verified.last_change()) {
            self.held.add(book, changes);
        }
    }

    /// The book as it is published now: see [`BookState::note_shown`].
    pub(super) fn showable(&mut self) -> Option<(&Book, Body<'_>)> {
        let book = self.verified.book()?;
        let last = self.verified.last_change();
        if let (HeldBack::Changes { .. }, Some(changes)) = (&self.held, last) {
            self.held.add(book, changes);
        }
        let changes = match &self.held {
            HeldBack::Nothing => last,
            HeldBack::Changes { bids, asks } => Some(BookChanges {
                bids,
                asks,
                depth: None,
            }),
            HeldBack::Whole => None,
        };
        let body = Body::Book {
            book,
            touched: self.touched,
            changes,
        };
        Some((book, body))
    }

    /// The book was published.
    pub(super) fn note_shown(&mut self) {
        self.shown = true;
        self.crossed = None;
        self.clear_held();
    }

    /// What is not published never will be. Whether a published state stood.
    pub(super) fn take_shown(&mut self) -> bool {
        self.crossed = None;
        self.clear_held();
        std::mem::take(&mut self.shown)
    }

    /// The book as a topic begins with it: none while it is held back.
    pub(super) fn current(&self) -> Option<(Body<'_>, EventStamp)> {
        let book = self.verified.book().filter(|book| !book.is_crossed())?;
        let body = Body::Book {
            book,
            touched: Touched::ALL,
            changes: None,
        };
        Some((body, self.stamp))
    }

    fn clear_held(&mut self) {
        self.touched = Touched::NONE;
        self.held = HeldBack::Nothing;
    }
}

// === impl HeldBack ===

impl HeldBack {
    fn add(&mut self, book: &Book, changes: BookChanges<'_>) {
        if let Self::Nothing = self {
            *self = Self::Changes {
                bids: Vec::new(),
                asks: Vec::new(),
            };
        }
        let Self::Changes { bids, asks } = self else {
            return;
        };
        bids.extend_from_slice(changes.bids);
        asks.extend_from_slice(changes.asks);
        let shorter = book.depth(Side::Bid) + book.depth(Side::Ask);
        if changes.depth.is_some() || bids.len() + asks.len() > shorter {
            *self = Self::Whole;
        }
    }
}
