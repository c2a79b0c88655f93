//! The losses of an instrument: numbered, published, and applied to everything that was derived from the
//! lost data.

use super::super::health::{Moment, Reason};
use super::quote::MarkedQuote;
use super::{InstrumentState, Outlet, publish};
use crate::book::EventStamp;
use crate::metrics::{GapReason, LossReason};
use tapecast_model::{Body, ChannelKind, ChannelSet, StreamKind, UpdateSink};

impl InstrumentState {
    /// The states of these channels are not current until the next data repair them.
    pub(super) fn note_gaps(&mut self, channels: ChannelSet, reason: &Reason, at: Moment) {
        let held = [
            (ChannelKind::Book, self.book.wanted),
            (
                ChannelKind::Quote,
                self.quote_crossed || (self.quote.is_some() && !self.quote_of_book),
            ),
            (ChannelKind::Ticker, self.ticker.is_some()),
            (ChannelKind::Trade, self.trades.have_begun()),
        ];
        for (kind, _) in held
            .into_iter()
            .filter(|(kind, held)| *held && channels.contains(*kind))
        {
            if kind == ChannelKind::Book {
                self.counters.count_gap(GapReason::Feed);
            }
            self.health.note_gap(kind, reason.clone(), at);
        }
    }

    /// Events of these streams may never have come: so many, where the feed knows.
    pub(super) fn break_off<S: UpdateSink>(
        &mut self,
        channels: ChannelSet,
        events: Option<u64>,
        reason: LossReason,
        stamp: EventStamp,
        out: &mut Outlet<'_, S>,
    ) {
        if channels.contains(ChannelKind::Book) {
            self.book.verified.lose();
            self.forget_book(reason, stamp, out);
        }
        let states = events.unwrap_or(1).max(1);
        if channels.contains(ChannelKind::Quote) && self.take_quote() {
            self.lose(StreamKind::Quote, states, reason, stamp, out);
        }
        if channels.contains(ChannelKind::Ticker) && self.ticker.take().is_some() {
            self.lose(StreamKind::Ticker, states, reason, stamp, out);
        }
        if channels.contains(ChannelKind::Trade)
            && let Some(trades) = self.trades.note_break(events, reason)
        {
            self.lose(StreamKind::Trade, trades, reason, stamp, out);
        }
    }

    /// The published book is no longer right, and neither is the quote that was taken from it.
    pub(super) fn forget_book<S: UpdateSink>(
        &mut self,
        reason: LossReason,
        stamp: EventStamp,
        out: &mut Outlet<'_, S>,
    ) {
        self.note_uncrossed();
        if self.book.take_shown() {
            self.lose(StreamKind::Book, 1, reason, stamp, out);
        }
        if self.quote_of_book && self.quote.take().is_some() {
            self.marked_quote = MarkedQuote::None;
            self.lose(StreamKind::Quote, 1, reason, stamp, out);
        }
    }

    /// Numbers events of a stream that were lost, and announces the loss to all its subscribers.
    pub(super) fn lose<S: UpdateSink>(
        &mut self,
        kind: StreamKind,
        events: u64,
        reason: LossReason,
        stamp: EventStamp,
        out: &mut Outlet<'_, S>,
    ) {
        out.metrics.count_lost(kind.channel(), reason, events);
        let pos = self.number(kind, events, out.metrics);
        let body = Body::Lost { kind, events };
        publish(out.sink, &self.instrument, pos, stamp, body);
    }
}
