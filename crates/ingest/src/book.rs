//! The verified book: price levels that are right, or no levels.
//!
//! The pipeline owns it, one per instrument. It takes a venue's snapshots and changes in order, and
//! checks the venue's own numbers and checksums before it accepts a level. It never guesses: a broken
//! link or a wrong checksum drops the book, and the next snapshot starts it again.
//!
//! # While there is no book
//! Changes of venues whose snapshots do not come in the stream (Binance) wait in a bounded backlog. They
//! are applied after the snapshot to which they connect: changes that the snapshot already contains are
//! dropped, and the first of the others may overlap the snapshot. A snapshot older than the beginning of
//! the backlog is refused. Changes of all other venues are dropped. The caller gets every loss and counts
//! it.
//!
//! # Old messages
//! A message whose numbers are lower than the book's changes nothing, and neither does an exact repeat of
//! the last applied message. But a venue may start its numbers again, which [`crate::old`] finds out. Then
//! the book is dropped, like any book whose chain broke. A book that is whole in each message
//! ([`Link::Whole`]) needs no chain: a newer message replaces it, and so does the first of new numbers.
//!
//! A snapshot that does not come in the stream may have new numbers before any change has them. So a
//! snapshot with an old number is kept for a limited time ([`OLD_FOR`]), one per book. It becomes the book
//! when the book is dropped and the first waiting change that is not older follows it.
//!
//! # Invariants
//! * [`VerifiedBook::book`] is a state to which the venue's messages lead when they are applied in order.
//! * The caller gets every new state once, in order: the snapshot's, then one per change.
//!
//! It knows nothing of sequence numbers, sinks or crossed books: see [`crate::pipeline`].

mod backlog;
mod chain;
mod checksum;

pub use backlog::BacklogLimits;
pub use chain::LinkBreak;
pub(crate) use chain::bridges;

use crate::event::{BookEvent, Link, Scales};
use crate::old::{OLD_FOR, OldRun};
use backlog::Backlog;
use chain::{Chain, ChainFit};
use checksum::Hasher;
use std::fmt;
use tapecast_model::{Book, BookChanges, EventTime, Instrument, Side, Touched, UnixNanos};

/// When something happened, and the venue's number for it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct EventStamp {
    /// The venue's time.
    pub ts_event: Option<EventTime>,
    /// When the gateway received it.
    pub ts_recv: UnixNanos,
    /// The venue's own number.
    pub venue_seq: Option<u64>,
}

impl EventStamp {
    /// Whether the venue gives both the same number and time.
    pub(crate) fn is_same_moment(self, other: Self) -> bool {
        (self.venue_seq, self.ts_event) == (other.venue_seq, other.ts_event)
    }
}

/// A book whose chain and checksums hold.
#[derive(Debug)]
pub struct VerifiedBook {
    book: Book,
    chain: Chain,
    state: State,
    backlog: Backlog,
    hasher: Hasher,
    /// The last change that was applied, or the last whole book of many, to know it again; while there is
    /// no book, the last change that was dropped.
    last: Option<Box<BookEvent>>,
    /// The venue's time of the last message that was applied.
    last_time: Option<EventTime>,
    old: OldRun,
    /// A snapshot whose numbers did not fit: it may be the first word of new ones.
    early: Option<(EventStamp, Box<BookEvent>)>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BookOutcome {
    /// The book reached a new state.
    Reached {
        /// The best ranks that may differ from before.
        touched: Touched,
        /// A snapshot replaced the whole book; [`VerifiedBook::catch_up`] may have more.
        replaced: bool,
        /// The venue's checksum was there, and agreed.
        checked: bool,
        /// The instrument's quote comes from this book.
        makes_quote: bool,
    },
    /// The message is older than the book: it changes nothing, and does not show that the book is up to date.
    Old,
    /// The message is an exact repeat of the last one: like an old one, it shows nothing.
    Repeated,
    /// The message told nothing new, but shows that the book is up to date: a keep-alive.
    Unchanged {
        /// The venue's checksum was there, and agreed.
        checked: bool,
    },
    /// There is no book to change.
    Waiting {
        /// Changes that were dropped, this one or older ones.
        dropped: u64,
        /// The first time since the book was lost that the backlog was full.
        overflowed: bool,
    },
    /// The message proves that the book is wrong.
    Broken(Break),
}

/// Why there is no right book.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Break {
    /// Messages are missing before this one.
    Link(LinkBreak),
    /// The venue's numbers have started again, or went back permanently.
    StartedOver(LinkBreak),
    /// The message changes levels, but has the number of the message before it.
    StoodStill(i128),
    /// The message has no number, but the book has one.
    Unnumbered(i128),
    /// The snapshot is older than the changes that wait for one.
    SnapshotTooOld(LinkBreak),
    /// The book does not hash to what the venue says.
    Checksum {
        /// What it hashes to.
        ours: u32,
        /// What the venue says.
        theirs: u32,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// No book; whether the backlog has been full since it was lost.
    Waiting { overflowed: bool },
    /// A book, behind a snapshot or changes of a stream that carries its snapshots itself.
    Held,
    /// A book of a stream whose snapshots do not come in the stream.
    HeldBeside,
}

// === impl VerifiedBook ===

impl VerifiedBook {
    /// No book yet, for an instrument.
    pub fn new(instrument: &Instrument, limits: BacklogLimits) -> Self {
        Self::of_scales(
            Scales {
                price_scale: instrument.price_scale,
                qty_scale: instrument.qty_scale,
            },
            limits,
        )
    }

    /// No book yet, for an instrument with these scales.
    pub fn of_scales(scales: Scales, limits: BacklogLimits) -> Self {
        Self {
            book: Book::new(),
            chain: Chain::default(),
            state: State::WAITING,
            backlog: Backlog::new(limits),
            hasher: Hasher::new(scales.price_scale, scales.qty_scale),
            last: None,
            last_time: None,
            old: OldRun::default(),
            early: None,
        }
    }

    /// The book, if there is one.
    pub fn book(&self) -> Option<&Book> {
        (!matches!(self.state, State::Waiting { .. })).then_some(&self.book)
    }

    /// Whether its snapshots do not come in the stream, as far as its changes show.
    pub fn begins_beside(&self) -> bool {
        self.state == State::HeldBeside
    }

    /// Whether a snapshot has the levels of the book; none if there is no book.
    pub fn agrees_with(&self, snapshot: &BookEvent) -> Option<bool> {
        let book = self.book()?;
        let mut other = Book::new();
        other.replace(snapshot.bids.iter().copied(), snapshot.asks.iter().copied());
        if let Some(depth) = snapshot.depth {
            other.truncate(depth);
        }
        let same = |side| {
            let mut levels = book.levels(side).zip(other.levels(side));
            let count = (book.levels(side).len(), other.levels(side).len());
            count.0 == count.1
                && levels.all(|(one, other)| (one.price, one.qty) == (other.price, other.qty))
        };
        Some(same(Side::Bid) && same(Side::Ask))
    }

    /// What the last applied change was; none behind a snapshot.
    pub fn last_change(&self) -> Option<BookChanges<'_>> {
        let is_applied = |last: &&BookEvent| !last.snapshot && self.book().is_some();
        let last = self.last.as_deref().filter(is_applied);
        last.map(BookEvent::changes)
    }

    /// Takes a snapshot or a change. Then call [`VerifiedBook::catch_up`] until it has no more.
    pub fn handle(&mut self, stamp: EventStamp, event: Box<BookEvent>) -> BookOutcome {
        if event.snapshot {
            return self.start(stamp, event);
        }
        match self.state {
            State::Waiting { overflowed } => self.keep(stamp, event, overflowed),
            State::Held | State::HeldBeside => self.go_on(stamp, event, false),
        }
    }

    /// Applies the next change that waited for a snapshot, if there is a book and such a change; if there
    /// is no book, begins with the snapshot that came before its time, if one did.
    pub fn catch_up(&mut self) -> Option<(EventStamp, BookOutcome)> {
        if self.book().is_none() {
            return self.begin_early();
        }
        let (stamp, change) = self.backlog.pop()?;
        Some((stamp, self.go_on(stamp, change, true)))
    }

    /// Forgets the book until the next snapshot; changes that wait for one still do.
    pub fn lose(&mut self) {
        if self.book().is_some() {
            self.book.clear();
            self.chain = Chain::default();
            self.state = State::WAITING;
            self.last = None;
            self.last_time = None;
            self.old = OldRun::default();
        }
    }

    /// Forgets everything, because the messages start again.
    pub fn restart(&mut self) {
        self.lose();
        self.state = State::WAITING;
        self.backlog.clear();
        self.early = None;
        self.last = None;
        self.last_time = None;
        self.old = OldRun::default();
    }

    fn start(&mut self, stamp: EventStamp, snapshot: Box<BookEvent>) -> BookOutcome {
        if matches!(snapshot.link, Link::Whole(_)) {
            return self.replace(stamp, snapshot);
        }
        let chain = Chain::at_snapshot(snapshot.link);
        let beside = self.state == State::HeldBeside || matches!(snapshot.link, Link::Range { .. });
        if beside
            && self.book().is_some()
            && chain.number() < self.chain.number()
            && !self.has_started_over(stamp)
        {
            // It was fetched beside the stream, and the book is ahead of it.
            self.early = Some((stamp, snapshot));
            return BookOutcome::Old;
        }
        if let Some(ChainFit::Broken(broken)) = self.first_behind(chain) {
            self.early = Some((stamp, snapshot));
            return BookOutcome::Broken(Break::SnapshotTooOld(broken));
        }
        self.begin(stamp, chain, &snapshot)
    }

    /// Takes a book of a stream of whole ones.
    fn replace(&mut self, stamp: EventStamp, whole: Box<BookEvent>) -> BookOutcome {
        let chain = Chain::at_snapshot(whole.link);
        if self.last.as_ref() == Some(&whole) {
            return BookOutcome::Repeated;
        }
        if chain.number() < self.chain.number() && !self.has_started_over(stamp) {
            return BookOutcome::Old;
        }
        let outcome = self.begin(stamp, chain, &whole);
        if self.book().is_some() {
            self.last = Some(whole);
        }
        outcome
    }

    /// How the first of the changes that wait, and are not older than a snapshot, fits behind it.
    fn first_behind(&self, snapshot: Chain) -> Option<ChainFit> {
        let fits = self.backlog.links().map(|link| snapshot.fit(link));
        fits.into_iter().find(|fit| *fit != ChainFit::Old)
    }

    fn begin_early(&mut self) -> Option<(EventStamp, BookOutcome)> {
        let chain = Chain::at_snapshot(self.early.as_ref()?.1.link);
        if self.first_behind(chain) != Some(ChainFit::Follows) {
            return None;
        }
        let (stamp, snapshot) = self.early.take()?;
        Some((stamp, self.begin(stamp, chain, &snapshot)))
    }

    fn begin(&mut self, stamp: EventStamp, chain: Chain, snapshot: &BookEvent) -> BookOutcome {
        self.early = None;
        self.chain = chain;
        self.state = State::Held;
        self.last = None;
        self.last_time = stamp.ts_event;
        self.old = OldRun::default();
        self.book
            .replace(snapshot.bids.iter().copied(), snapshot.asks.iter().copied());
        if let Some(depth) = snapshot.depth {
            self.book.truncate(depth);
        }
        self.check(snapshot, Touched::ALL)
    }

    fn keep(&mut self, stamp: EventStamp, change: Box<BookEvent>, overflowed: bool) -> BookOutcome {
        let can_repeat = change.link != Link::None && !is_keep_alive(&change);
        if can_repeat && self.last_kept() == Some(&*change) {
            return BookOutcome::Repeated;
        }
        if !chain::bridges(change.link) {
            if can_repeat {
                self.last = Some(change);
            }
            return BookOutcome::Waiting {
                dropped: 1,
                overflowed: false,
            };
        }
        self.let_early_go(stamp);
        let mut dropped = 0;
        let newest = self
            .backlog
            .newest()
            .map_or(Chain::default(), |change| Chain::at_change(change.link));
        if newest.fit(change.link) != ChainFit::Old {
            self.old = OldRun::default();
        } else if self.has_started_over(stamp) {
            // No snapshot lies before changes of the old numbers and of the new ones.
            dropped = self.backlog.clear();
            self.old = OldRun::default();
        }
        self.last_time = stamp.ts_event.or(self.last_time);
        let pushed_out = self.backlog.push(stamp, change);
        let full = pushed_out > 0;
        self.state = State::Waiting {
            overflowed: overflowed || full,
        };
        BookOutcome::Waiting {
            dropped: dropped + pushed_out,
            overflowed: full && !overflowed,
        }
    }

    /// The last change that waits for a snapshot, or was dropped for want of one.
    fn last_kept(&self) -> Option<&BookEvent> {
        self.last.as_deref().or_else(|| self.backlog.newest())
    }

    /// Takes the next change; one that was `kept` came before the snapshot, so that it may be older.
    fn go_on(&mut self, stamp: EventStamp, change: Box<BookEvent>, kept: bool) -> BookOutcome {
        let broken = match self.chain.fit(change.link) {
            ChainFit::Follows if chain::stands_still(change.link) && has_levels(&change) => {
                Some(Break::StoodStill(self.chain.number().unwrap_or_default()))
            }
            ChainFit::Follows => None,
            _ if self.last.as_ref() == Some(&change) => return BookOutcome::Repeated,
            ChainFit::Old if kept || !self.has_started_over(stamp) => return BookOutcome::Old,
            ChainFit::Old => Some(Break::StartedOver(self.chain.beginning(change.link))),
            ChainFit::Broken(broken) => Some(Break::Link(broken)),
            ChainFit::Unplaced => Some(Break::Unnumbered(self.chain.number().unwrap_or_default())),
        };
        if let Some(broken) = broken {
            self.lose();
            if chain::bridges(change.link) {
                // The next snapshot may lie right before or within this change.
                self.last_time = stamp.ts_event;
                self.backlog.put_back(stamp, change);
            } else if change.link != Link::None {
                self.last = Some(change);
            }
            return BookOutcome::Broken(broken);
        }
        self.chain.advance(change.link);
        self.old = OldRun::default();
        self.let_early_go(stamp);
        self.last_time = stamp.ts_event.or(self.last_time);
        if chain::bridges(change.link) {
            self.state = State::HeldBeside;
        }
        let touched = self.book.change(change.changes());
        let outcome = self.check(&change, touched);
        // A keep-alive stands between nothing and its repetition.
        if self.book().is_some() && !chain::stands_still(change.link) {
            self.last = Some(change);
        }
        outcome
    }

    /// Forgets a snapshot that has waited too long for changes that follow it.
    fn let_early_go(&mut self, now: EventStamp) {
        let waited =
            |(stamp, _): &(EventStamp, _)| now.ts_recv.get().saturating_sub(stamp.ts_recv.get());
        let too_long = |early| u128::from(waited(early)) > OLD_FOR.as_nanos();
        if self.early.as_ref().is_some_and(too_long) {
            self.early = None;
        }
    }

    /// Notes a message that is old by its numbers. Whether it proves, by its venue's time or together
    /// with those before it, that the numbers have started again.
    fn has_started_over(&mut self, stamp: EventStamp) -> bool {
        let EventStamp {
            ts_event, ts_recv, ..
        } = stamp;
        self.old.has_started_over(self.last_time, ts_event, ts_recv)
    }

    /// Compares the book with the venue's checksum.
    fn check(&mut self, event: &BookEvent, touched: Touched) -> BookOutcome {
        if let Some(checksum) = event.checksum {
            let (ours, theirs) = self.hasher.compare(&self.book, checksum);
            if ours != theirs {
                self.lose();
                return BookOutcome::Broken(Break::Checksum { ours, theirs });
            }
        }
        let (checked, replaced) = (event.checksum.is_some(), event.snapshot);
        if !replaced && !has_levels(event) {
            return BookOutcome::Unchanged { checked };
        }
        BookOutcome::Reached {
            touched,
            replaced,
            checked,
            makes_quote: event.makes_quote,
        }
    }
}

impl State {
    const WAITING: Self = Self::Waiting { overflowed: false };
}

fn is_keep_alive(event: &BookEvent) -> bool {
    chain::stands_still(event.link) && !has_levels(event)
}

fn has_levels(event: &BookEvent) -> bool {
    !event.bids.is_empty() || !event.asks.is_empty()
}

// === impl Break ===

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(link) => link.fmt(f),
            Self::StartedOver(link) => write!(f, "numbers started again: {link}"),
            Self::StoodStill(number) => {
                write!(f, "levels changed, but the number {number} did not")
            }
            Self::Unnumbered(number) => {
                write!(f, "a change without a number, the book is at {number}")
            }
            Self::SnapshotTooOld(LinkBreak { found, after, .. }) => {
                write!(
                    f,
                    "snapshot {after} is older than the changes kept for it, from {found}"
                )
            }
            Self::Checksum { ours, theirs } => {
                write!(f, "book checksum is {ours}, the venue says {theirs}")
            }
        }
    }
}

#[cfg(test)]
mod tests;
