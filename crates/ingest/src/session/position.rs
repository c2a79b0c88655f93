//! How far the streams of an instrument have come, whichever line they came on.
//!
//! While a line takes over from another, both carry the same streams. Numbers of the venue tell which message
//! continues: it is passed on, whoever brings it. What lies behind is dropped. What is ahead of a hole is dropped if
//! it comes on the new line, because the old one will bring what lies between; and from then on the new
//! line has [joined](Admission) when the old one has come as far.

use crate::event::{Event, EventBody, Link, TradeIds};
use tapecast_model::{ChannelKind, EventTime, Quote};

/// The last numbers that were passed on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position {
    book: Option<u64>,
    trade: Option<u64>,
    quote: Option<u64>,
    /// The last quote itself.
    best: Option<Quote>,
    ticker: Option<u64>,
    /// The time of the last message of a book without numbers.
    book_time: Option<EventTime>,
}

/// What becomes of an event of one of two lines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Admission {
    /// It continues: it is passed on.
    Next,
    /// It was passed on already, from the other line.
    Behind,
    /// Something is missing before it.
    Ahead,
    /// Nothing tells: it has no number, or there is no book that it could change.
    Unknown,
}

// === impl Position ===

impl Position {
    /// The number of the book's last message.
    pub(super) const fn book(&self) -> Option<u64> {
        self.book
    }

    /// The time of the last message of a book without numbers.
    pub(super) const fn book_time(&self) -> Option<EventTime> {
        self.book_time
    }

    /// The last quote, and its number.
    pub(super) const fn quote(&self) -> Option<(u64, Quote)> {
        match (self.quote, self.best) {
            (Some(number), Some(quote)) => Some((number, quote)),
            _ => None,
        }
    }

    /// The last quote.
    pub(super) const fn best(&self) -> Option<Quote> {
        self.best
    }

    /// The line is another one: quotes may have been missed.
    pub(super) const fn forget_quote(&mut self) {
        (self.quote, self.best) = (None, None);
    }

    /// The book begins anew.
    pub(super) const fn forget_book(&mut self) {
        (self.book, self.book_time) = (None, None);
    }

    /// Where an event stands.
    pub(super) fn place(&self, event: &Event) -> Admission {
        let after = |last: Option<u64>, first: u64, end: u64| match last {
            None => Admission::Next,
            Some(last) if end <= last => Admission::Behind,
            Some(last) if first <= last.saturating_add(1) => Admission::Next,
            Some(_) => Admission::Ahead,
        };
        match &event.body {
            EventBody::Book(book) => match book.link {
                Link::Range { first, last } if !book.snapshot && self.book.is_some() => {
                    after(self.book, first, last)
                }
                _ => Admission::Unknown,
            },
            EventBody::Trades {
                trades,
                ids: TradeIds::Dense,
                history: false,
            } => {
                let mut ids = trades.iter().filter_map(|trade| trade.id.number());
                let first = ids.next();
                let last = ids.next_back().or(first);
                match first.zip(last) {
                    Some((first, last)) => after(self.trade, first, last),
                    None => Admission::Unknown,
                }
            }
            EventBody::SkippedIds { first, last } => after(self.trade, *first, *last),
            EventBody::Quote(_) => newer(self.quote, quote_number(event)),
            EventBody::Ticker(_) => newer(self.ticker, time_of(event)),
            _ => Admission::Unknown,
        }
    }

    /// An event is passed on.
    pub(super) fn note(&mut self, event: &Event) {
        match &event.body {
            EventBody::Book(book) => match book.link {
                Link::Range { last, .. } => self.book = Some(last),
                _ => self.book_time = event.ts_event.or(self.book_time),
            },
            EventBody::Trades {
                trades,
                ids: TradeIds::Dense,
                history: false,
            } => {
                let newest = trades.iter().rev().find_map(|trade| trade.id.number());
                self.trade = newest.or(self.trade);
            }
            EventBody::SkippedIds { last, .. } => self.trade = Some(*last),
            EventBody::Quote(quote) => {
                self.quote = quote_number(event).or(self.quote);
                self.best = Some(*quote);
            }
            EventBody::Ticker(_) => self.ticker = time_of(event).or(self.ticker),
            _ => {}
        }
    }
}

/// States replace each other: the newer one counts, and nothing can be missing between two.
fn newer(last: Option<u64>, number: Option<u64>) -> Admission {
    match (last, number) {
        (_, None) => Admission::Unknown,
        (Some(last), Some(number)) if number <= last => Admission::Behind,
        (_, Some(_)) => Admission::Next,
    }
}

/// The number of a quote, or its time where the venue has no numbers.
fn quote_number(event: &Event) -> Option<u64> {
    event.venue_seq.or_else(|| time_of(event))
}

fn time_of(event: &Event) -> Option<u64> {
    event.ts_event.map(|time| time.nanos().get())
}

/// The channel that an event of a venue's stream belongs to.
pub(super) const fn channel_of(event: &Event) -> Option<ChannelKind> {
    match event.body {
        EventBody::Trades { .. } | EventBody::SkippedIds { .. } => Some(ChannelKind::Trade),
        EventBody::Quote(_) => Some(ChannelKind::Quote),
        EventBody::Book(_) => Some(ChannelKind::Book),
        EventBody::Ticker(_) => Some(ChannelKind::Ticker),
        EventBody::Redefined(_)
        | EventBody::Defined(_)
        | EventBody::Trading(_)
        | EventBody::Feed(_) => None,
    }
}
