//! An instrument's trades on their way out: those that are new, late or missed, and what was lost between.

use super::super::health::Moment;
use super::{InstrumentState, Outlet, publish};
use crate::book::EventStamp;
use crate::event::TradeIds;
use tapecast_model::{Body, ChannelKind, StreamKind, Trade, UpdateSink};

impl InstrumentState {
    /// Takes trades of the venue's stream. Repeated ones are no life.
    pub(super) fn handle_trades<S: UpdateSink>(
        &mut self,
        trades: &[Trade],
        ids: TradeIds,
        stamp: EventStamp,
        at: Moment,
        out: &mut Outlet<'_, S>,
    ) {
        if self.take_trades(trades, ids, stamp, out) || trades.is_empty() {
            self.health.note_data(ChannelKind::Trade, at);
        } else {
            self.health.note_repeated(ChannelKind::Trade, at);
        }
    }

    /// A history fills ours; its missed trades are published as updates. It is no life, but it may show that
    /// nothing is missing any more.
    pub(super) fn handle_history<S: UpdateSink>(
        &mut self,
        trades: &[Trade],
        ids: TradeIds,
        stamp: EventStamp,
        at: Moment,
        out: &mut Outlet<'_, S>,
    ) {
        let missed = self.trades.merge(trades, ids);
        self.trades_stamp = EventStamp {
            ts_event: None,
            ..stamp
        };
        if !missed.late.is_empty() {
            self.pass_on(&missed.late, stamp, out);
        }
        self.take_trades(&missed.newer, ids, stamp, out);
        if self.trades.are_whole() {
            self.health.note_healed(ChannelKind::Trade, at);
        }
    }

    /// Ids that have no trades.
    pub(super) fn handle_skipped<S: UpdateSink>(
        &mut self,
        (first, last): (u64, u64),
        stamp: EventStamp,
        at: Moment,
        out: &mut Outlet<'_, S>,
    ) {
        if self.trades.reach(last) {
            self.health.note_repeated(ChannelKind::Trade, at);
        } else {
            self.health.note_data(ChannelKind::Trade, at);
        }
        if let Some((events, reason)) = self.trades.skip(first, last) {
            self.lose(StreamKind::Trade, events, reason, stamp, out);
        }
    }

    /// Passes on what is new of these trades. Returns whether there was any.
    fn take_trades<S: UpdateSink>(
        &mut self,
        trades: &[Trade],
        ids: TradeIds,
        stamp: EventStamp,
        out: &mut Outlet<'_, S>,
    ) -> bool {
        let (mut rest, mut any) = (trades, false);
        while !rest.is_empty() {
            let cut = self.trades.take(rest, ids);
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
        trades: &[Trade],
        stamp: EventStamp,
        out: &mut Outlet<'_, S>,
    ) {
        self.trades_stamp = EventStamp {
            ts_event: None,
            ..stamp
        };
        let pos = self.number(StreamKind::Trade, trades.len() as u64, out.metrics);
        let body = Body::Trades(trades);
        publish(out.sink, &self.instrument, pos, self.trades_stamp, body);
    }
}
