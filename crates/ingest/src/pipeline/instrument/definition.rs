//! The definition of an instrument: what its venue says of it, and what is published of that.
//!
//! It is known from the beginning, at least the names and the scales, and is the first event of each epoch. After
//! that, only a change is an event. The state of trading is that of the status, and is said after it.

use super::{InstrumentState, Outlet, publish};
use crate::book::EventStamp;
use tapecast_model::{Body, StreamKind, Terms, TradingState, UnixNanos, UpdateSink};

/// What is known of an instrument beside its names and scales.
#[derive(Debug)]
pub(super) struct DefinitionState {
    terms: Terms,
    /// As the status says.
    trading: TradingState,
    stamp: EventStamp,
}

// === impl DefinitionState ===

impl DefinitionState {
    /// Nothing is known.
    pub(super) fn new(began: UnixNanos) -> Self {
        let stamp = EventStamp {
            ts_recv: began,
            ..EventStamp::default()
        };
        Self {
            terms: Terms::UNKNOWN,
            trading: TradingState::Unknown,
            stamp,
        }
    }

    /// What was said in digits that hold no longer is not known any more.
    pub(super) const fn forget_steps(&mut self) {
        self.terms = self.terms.without_steps();
    }

    /// The status says this of trading. Returns whether it is news.
    pub(super) fn note_trading(&mut self, trading: TradingState) -> bool {
        std::mem::replace(&mut self.trading, trading) != trading
    }

    /// As a state.
    pub(super) const fn current(&self) -> (Body<'_>, EventStamp) {
        let Self {
            terms,
            trading,
            stamp,
        } = self;
        let trading = *trading;
        (Body::Definition { terms, trading }, *stamp)
    }
}

// === impl InstrumentState ===

impl InstrumentState {
    /// What the venue says of the instrument.
    pub(super) fn handle_defined<S: UpdateSink>(
        &mut self,
        terms: Terms,
        stamp: EventStamp,
        out: &mut Outlet<'_, S>,
    ) {
        if self.definition.terms != terms {
            self.definition.terms = terms;
            self.say_definition(stamp, out);
        }
    }

    /// Numbers and publishes the definition.
    pub(super) fn say_definition<S: UpdateSink>(
        &mut self,
        stamp: EventStamp,
        out: &mut Outlet<'_, S>,
    ) {
        self.definition.stamp = stamp;
        let pos = self.number(StreamKind::Instrument, 1, out.metrics);
        let (body, stamp) = self.definition.current();
        publish(out.sink, &self.instrument, pos, stamp, body);
    }
}
