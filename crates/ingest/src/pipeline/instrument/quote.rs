//! An instrument's quote, and what is held back because it is crossed.

use super::{InstrumentState, Outlet, publish};
use crate::book::EventStamp;
use std::borrow::Cow;
use tapecast_model::{Body, Book, Instrument, Price, Quote, StreamKind, UpdateSink};

/// The last quote of a separate stream, if it has a number at the venue: to know it again. None after a
/// loss: then the same again is news.
#[derive(Debug)]
pub(super) enum MarkedQuote {
    None,
    /// It is what is shown: kept once, as quotes come often.
    Shown,
    /// It is held back, or a quote of the book is shown.
    Aside(Quote, EventStamp),
}

impl InstrumentState {
    /// The book, or the quote, is no longer crossed; publishes this if neither is crossed.
    pub(super) fn note_uncrossed(&mut self) {
        let book = self.book.verified.book();
        if !self.quote_crossed && !book.is_some_and(Book::is_crossed) {
            self.health.note_uncrossed();
        }
    }

    /// Whether a quote is the last one of its stream once more, by the venue's number. Without a number it
    /// may as well be a new one.
    pub(super) fn is_repeated(&self, quote: &Quote, stamp: EventStamp) -> bool {
        let (last, at) = match &self.marked_quote {
            MarkedQuote::None => return false,
            MarkedQuote::Aside(last, at) => (last, at),
            MarkedQuote::Shown => match &self.quote {
                Some((last, at)) => (last, at),
                None => return false,
            },
        };
        at.is_same_moment(stamp) && last == quote
    }

    /// A quote of a separate stream was handled.
    pub(super) fn mark_quote(&mut self, quote: Quote, stamp: EventStamp) {
        self.marked_quote = match stamp.venue_seq {
            None => MarkedQuote::None,
            Some(_) if self.quote.is_some() => MarkedQuote::Shown,
            Some(_) => MarkedQuote::Aside(quote, stamp),
        };
    }

    /// Another quote is about to be shown.
    pub(super) fn set_marked_quote_aside(&mut self) {
        if let (MarkedQuote::Shown, Some((quote, stamp))) = (&self.marked_quote, self.quote) {
            self.marked_quote = MarkedQuote::Aside(quote, stamp);
        }
    }

    /// Forgets the quote. Whether there was one that was shown: a crossed one stands behind such.
    pub(super) fn take_quote(&mut self) -> bool {
        self.marked_quote = MarkedQuote::None;
        let crossed = std::mem::take(&mut self.quote_crossed);
        self.note_uncrossed();
        self.quote.take().is_some() || crossed
    }

    /// The quote as a topic begins with it: none while it, or the book that it comes from, is crossed.
    pub(super) fn current_quote(&self) -> Option<(Body<'_>, EventStamp)> {
        let book = self.book.verified.book();
        if self.quote_of_book && book.is_some_and(Book::is_crossed) {
            return None;
        }
        let (quote, stamp) = self.quote.as_ref()?;
        Some((Body::Quote(quote), *stamp))
    }

    pub(super) fn handle_quote<S: UpdateSink>(
        &mut self,
        quote: Quote,
        stamp: EventStamp,
        out: &mut Outlet<'_, S>,
    ) {
        self.quote_of_book = false;
        let pos = self.number(StreamKind::Quote, 1, out.metrics);
        if let (Some((bid, _)), Some((ask, _))) = (quote.bid, quote.ask)
            && bid >= ask
        {
            // Held back as a crossed book is: nobody begins with it, and what was shown stands until
            // it uncrosses.
            self.quote = None;
            if !std::mem::replace(&mut self.quote_crossed, true) {
                self.counters.count_crossed();
                self.health
                    .note_crossed(crossed(&self.instrument, [Some(bid), Some(ask)]));
            }
            return;
        }
        if std::mem::take(&mut self.quote_crossed) {
            self.note_uncrossed();
        }
        self.quote = Some((quote, stamp));
        publish(out.sink, &self.instrument, pos, stamp, Body::Quote(&quote));
    }
}

/// Says how a book or a quote is crossed, in the numbers clients see.
pub(super) fn crossed(
    instrument: &Instrument,
    [bid, ask]: [Option<Price>; 2],
) -> Cow<'static, str> {
    let mut text = b"crossed: bid ".to_vec();
    for (price, join) in [(bid, &b""[..]), (ask, b" at or above ask ")] {
        text.extend_from_slice(join);
        if let Some(price) = price {
            price.write(&mut text, instrument.price_scale);
        }
    }
    String::from_utf8_lossy(&text).into_owned().into()
}
