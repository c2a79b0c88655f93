//! An instrument's ticker.

use super::super::health::Moment;
use super::{InstrumentState, Outlet, publish};
use crate::book::EventStamp;
use tapecast_model::{Body, ChannelKind, StreamKind, Ticker, UpdateSink};

impl InstrumentState {
    /// Publishes a ticker, unless it is the last one once more, by the venue's number or time. Without either
    /// it may as well be a new one.
    pub(super) fn handle_ticker<S: UpdateSink>(
        &mut self,
        ticker: Ticker,
        stamp: EventStamp,
        at: Moment,
        out: &mut Outlet<'_, S>,
    ) {
        let is_marked = stamp.venue_seq.is_some() || stamp.ts_event.is_some();
        let last = self
            .ticker
            .as_ref()
            .filter(|_| is_marked && self.ticker_repeats);
        if last.is_some_and(|(last, at)| at.is_same_moment(stamp) && *last == ticker) {
            self.counters.count_old();
            return;
        }
        self.health.note_data(ChannelKind::Ticker, at);
        self.ticker = Some((ticker, stamp));
        self.ticker_repeats = true;
        let pos = self.number(StreamKind::Ticker, 1, out.metrics);
        let body = Body::Ticker(&ticker);
        publish(out.sink, &self.instrument, pos, stamp, body);
    }
}
