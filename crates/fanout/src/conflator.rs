//! Conflators: what a topic with an interval, such as `book.10:okx:BTC-USDT@100ms`, holds back.
//!
//! A [`Conflator`] is between a stream and one topic, once for all of the topic's subscribers. The first
//! update after a quiet interval passes at once (the leading edge) and begins an interval. Updates in
//! this interval are held and released as one update, which has the number of the last of them. The time
//! between two updates that became frames is never shorter than the interval, except for batches of
//! trades.
//!
//! | kind | what is held |
//! |---|---|
//! | trades | all of them, in order |
//! | quotes, tickers | the newest |
//! | books | the newest state that was published, to the topic's depth, and the changed levels |
//!
//! A held book is a copy, because the pipeline's own book may be crossed or dropped when the interval is
//! over, and clients must not see that. When events are lost, the conflator first releases held trades.
//! It discards a held state, because the state is no longer right. Then it announces the loss, at once.
//!
//! # Limits
//! One quote, one ticker, one book of the topic's depth, or [`BATCH_TRADES_MAX`] trades.
//!
//! # When trades are sent early
//! Trades are never merged or lost. So a batch is sent before its interval is over when it is full, when
//! trades are lost, and when a trade of a new epoch comes. Each such frame begins a new interval. Bars
//! will be held like quotes, and a final bar will be sent early in the same way.
//!
//! The conflator receives the time as an argument; it knows nothing of frames, encodings or shards.

use crate::interest::TopicEntry;
use std::sync::Arc;
use std::time::Duration;
use tapecast_model::{
    Body, Book, Channel, Epoch, EventTime, Instrument, Mono, Quote, Seq, Ticker, Touched, Trade,
    UnixNanos, Update,
};

/// Trades of one batch, unless a single message of the venue has more: about 80 KB of text, which a
/// socket takes at once.
pub const BATCH_TRADES_MAX: usize = 512;

/// What one topic holds back.
#[derive(Debug)]
pub struct Conflator {
    instrument: Arc<Instrument>,
    interval: Duration,
    /// From when the next frame may go out.
    open_at: Mono,
    /// Of the newest update that is held; none if nothing is.
    newest: Option<Newest>,
    held: Held,
}

/// The place and times of an update.
#[derive(Clone, Copy, Debug)]
struct Newest {
    epoch: Epoch,
    seq: Seq,
    ts_event: Option<EventTime>,
    ts_recv: UnixNanos,
    venue_seq: Option<u64>,
}

/// What is held, while anything is; else memory for it.
#[derive(Debug)]
enum Held {
    Trades(Vec<Trade>),
    Quote(Quote),
    Ticker(Box<Ticker>),
    Book(HeldBook),
}

#[derive(Debug)]
struct HeldBook {
    book: Book,
    levels: usize,
    touched: Touched,
}

// === impl Conflator ===

impl Conflator {
    /// The conflator of a topic; none if it has no interval.
    pub fn of(entry: &TopicEntry) -> Option<Self> {
        let interval = entry.topic.interval?;
        let held = match entry.topic.channel {
            Channel::Trade => Held::Trades(Vec::new()),
            Channel::Quote => Held::Quote(Quote::default()),
            Channel::Ticker => Held::Ticker(Box::default()),
            Channel::Book(depth) => Held::Book(HeldBook {
                book: Book::new(),
                levels: depth.levels(),
                touched: Touched::NONE,
            }),
            Channel::Bar(_) | Channel::Status | Channel::Instrument => return None,
        };
        Some(Self {
            instrument: Arc::clone(&entry.instrument),
            interval: interval.length(),
            open_at: Mono::default(),
            newest: None,
            held,
        })
    }

    /// Takes an update: publishes it now or holds it. `publish` says whether it became a frame, which
    /// an update without visible change does not. Returns whether it was merged into, or batched
    /// with, updates that were held already.
    pub fn take(
        &mut self,
        update: &Update<'_>,
        now: Mono,
        mut publish: impl FnMut(&Update<'_>) -> bool,
    ) -> bool {
        if let Body::Lost { .. } = update.body {
            // Trades that were held did come, and go first. A state that was held is right no more.
            if let Held::Trades(_) = self.held {
                self.release(now, &mut publish);
            }
            self.clear();
            publish(update);
            return false;
        }
        if self.must_go_before(update) {
            self.release(now, &mut publish);
        }
        if self.newest.is_none() && (now >= self.open_at || is_full_batch(update)) {
            self.pass(update, now, publish);
            return false;
        }
        let merged = self.newest.is_some();
        self.hold(update);
        if self.is_full() {
            self.release(now, publish);
        }
        merged
    }

    /// Publishes what is held as one update, whether or not it is due.
    pub fn release(&mut self, now: Mono, publish: impl FnOnce(&Update<'_>) -> bool) {
        let Some(stamp) = self.newest.take() else {
            return;
        };
        let Newest {
            epoch,
            seq,
            ts_event,
            ts_recv,
            venue_seq,
        } = stamp;
        let update = Update {
            instrument: &self.instrument,
            epoch,
            seq,
            ts_event,
            ts_recv,
            venue_seq,
            body: self.held.body(),
        };
        if publish(&update) {
            self.open_at = now.after(self.interval);
        }
        self.clear();
    }

    /// When what is held is due; none if nothing is.
    pub fn deadline(&self) -> Option<Mono> {
        self.newest.is_some().then_some(self.open_at)
    }

    /// A history of trades without those that are held: what a joiner may know.
    pub fn without_held<'a>(&self, history: &'a [Trade]) -> &'a [Trade] {
        let Held::Trades(held) = &self.held else {
            return history;
        };
        // No older one can stand in the history still. A venue may have added to it meanwhile, so
        // they need not stand at its end.
        let held = &held[held.len().saturating_sub(history.len())..];
        let known = history.iter().position(|trade| held.contains(trade));
        &history[..known.unwrap_or(history.len())]
    }

    fn pass(&mut self, update: &Update<'_>, now: Mono, publish: impl FnOnce(&Update<'_>) -> bool) {
        if publish(update) {
            self.open_at = now.after(self.interval);
        }
    }

    /// Whether what is held must not wait for this update.
    fn must_go_before(&self, update: &Update<'_>) -> bool {
        match (&self.held, update.body, self.newest) {
            (Held::Trades(held), Body::Trades(trades), Some(newest)) => {
                newest.epoch != update.epoch || held.len() + trades.len() > BATCH_TRADES_MAX
            }
            _ => false,
        }
    }

    fn hold(&mut self, update: &Update<'_>) {
        // The first one says nothing of what it replaces: the copy may be old.
        let is_first = self
            .newest
            .is_none_or(|newest| newest.epoch != update.epoch);
        match (&mut self.held, update.body) {
            (Held::Trades(held), Body::Trades(trades)) => held.extend_from_slice(trades),
            (Held::Quote(held), Body::Quote(quote)) => *held = *quote,
            (Held::Ticker(held), Body::Ticker(ticker)) => **held = *ticker,
            (Held::Book(held), Body::Book { book, touched, .. }) => {
                held.hold(book, touched, is_first)
            }
            // Of another stream: none of ours.
            _ => return,
        }
        self.newest = Some(Newest {
            epoch: update.epoch,
            seq: update.seq,
            ts_event: update.ts_event,
            ts_recv: update.ts_recv,
            venue_seq: update.venue_seq,
        });
    }

    fn is_full(&self) -> bool {
        matches!(&self.held, Held::Trades(held) if held.len() >= BATCH_TRADES_MAX)
    }

    /// Holds nothing, and no more memory than the last batch needed twice over.
    fn clear(&mut self) {
        self.newest = None;
        match &mut self.held {
            Held::Trades(held) => {
                let needed = held.len();
                held.clear();
                held.shrink_to(needed * 2);
            }
            Held::Book(held) => held.touched = Touched::NONE,
            Held::Quote(_) | Held::Ticker(_) => {}
        }
    }
}

/// Whether an update is a batch of its own, which nothing would be added to.
const fn is_full_batch(update: &Update<'_>) -> bool {
    matches!(update.body, Body::Trades(trades) if trades.len() >= BATCH_TRADES_MAX)
}

// === impl Held, HeldBook ===

impl Held {
    fn body(&self) -> Body<'_> {
        match self {
            Self::Trades(trades) => Body::Trades(trades),
            Self::Quote(quote) => Body::Quote(quote),
            Self::Ticker(ticker) => Body::Ticker(ticker),
            Self::Book(held) => Body::Book {
                book: &held.book,
                touched: held.touched,
                changes: None,
            },
        }
    }
}

impl HeldBook {
    fn hold(&mut self, book: &Book, touched: Touched, is_first: bool) {
        let stale = if is_first { Touched::ALL } else { touched };
        self.book.follow(book, stale, self.levels);
        self.touched.bid = self.touched.bid.min(touched.bid);
        self.touched.ask = self.touched.ask.min(touched.ask);
    }
}

#[cfg(test)]
mod tests;
