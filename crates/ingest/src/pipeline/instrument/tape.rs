//! An instrument's prints on their way out: those that are new, late or missed, and what was lost between.

use super::super::health::Moment;
use super::{InstrumentState, Outlet, publish};
use crate::book::EventStamp;
use crate::event::TradeIds;
use tapecast_model::{Body, ChannelKind, StreamKind, Trade, UpdateSink};

impl InstrumentState {
    /// Takes prints of the venue's stream. Repeated ones are no life.
    pub(super) fn handle_trades<S: UpdateSink>(
        &mut self,
        prints: &[Trade],
        ids: TradeIds,
        stamp: EventStamp,
        at: Moment,
        out: &mut Outlet<'_, S>,
    ) {
        if self.take_prints(prints, ids, stamp, out) || prints.is_empty() {
            self.health.note_data(ChannelKind::Trade, at);
        } else {
            self.health.note_repeated(ChannelKind::Trade, at);
        }
    }

    /// A history fills ours; its missed prints are published as updates. It is no life, but it may show that
    /// nothing is missing any more.
    pub(super) fn handle_history<S: UpdateSink>(
        &mut self,
        prints: &[Trade],
        ids: TradeIds,
        stamp: EventStamp,
        at: Moment,
        out: &mut Outlet<'_, S>,
    ) {
        let missed = self.prints.merge(prints, ids);
        self.prints_stamp = EventStamp {
            ts_event: None,
            ..stamp
        };
        if !missed.late.is_empty() {
            self.pass_on(&missed.late, stamp, out);
        }
        self.take_prints(&missed.newer, ids, stamp, out);
        if self.prints.are_whole() {
            self.health.note_healed(ChannelKind::Trade, at);
        }
    }

    /// Ids that have no prints.
    pub(super) fn handle_skipped<S: UpdateSink>(
        &mut self,
        (first, last): (u64, u64),
        stamp: EventStamp,
        at: Moment,
        out: &mut Outlet<'_, S>,
    ) {
        if self.prints.reach(last) {
            self.health.note_repeated(ChannelKind::Trade, at);
        } else {
            self.health.note_data(ChannelKind::Trade, at);
        }
        if let Some((events, reason)) = self.prints.skip(first, last) {
            self.lose(StreamKind::Trade, events, reason, stamp, out);
        }
    }

    /// Passes on what is new of these prints. Returns whether there was any.
    fn take_prints<S: UpdateSink>(
        &mut self,
        prints: &[Trade],
        ids: TradeIds,
        stamp: EventStamp,
        out: &mut Outlet<'_, S>,
    ) -> bool {
        let (mut rest, mut any) = (prints, false);
        while !rest.is_empty() {
            let cut = self.prints.take(rest, ids);
            if let Some((events, reason)) = cut.lost {
                let stamp = EventStamp {
                    ts_event: None,
                    ..stamp
                };
                self.lose(StreamKind::Trade, events, reason, stamp, out);
            }
            let (fresh, others) = rest.split_at(cut.fresh);
            if !fresh.is_empty() {
                any = true;
                self.pass_on(fresh, stamp, out);
            }
            if cut.known > 0 {
                out.metrics.count_repeated(cut.known as u64);
            }
            rest = &others[cut.known..];
        }
        any
    }

    fn pass_on<S: UpdateSink>(
        &mut self,
        prints: &[Trade],
        stamp: EventStamp,
        out: &mut Outlet<'_, S>,
    ) {
        self.prints_stamp = EventStamp {
            ts_event: None,
            ..stamp
        };
        let pos = self.number(StreamKind::Trade, prints.len() as u64, out.metrics);
        let body = Body::Trades(prints);
        publish(out.sink, &self.instrument, pos, self.prints_stamp, body);
    }
}
