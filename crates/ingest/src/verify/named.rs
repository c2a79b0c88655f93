//! Notes which instruments a message names, and which of its parts cannot be read: what the events of a message
//! do not say.
//!
//! It stands between a decoder and the visitor of its messages and passes every word on.

use crate::venue::{Decoder, EventVisitor, Message, MessageHead, Reject, TradeRow, VenueStream};
use hashbrown::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tapecast_model::{ChannelKind, Side, TradingState};

/// What one message names.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Places of instruments in the plan, each once.
    pub(super) instruments: Vec<usize>,
    /// Parts that cannot be read, with the place of their instrument if it is known.
    pub(super) faults: Vec<(Option<usize>, Reject)>,
    /// The instrument of the part that was not finished.
    pub(super) open: Option<usize>,
}

/// A [`Named`] that a decoder fills and its owner reads.
#[derive(Clone, Debug, Default)]
pub(super) struct NamedRef(Arc<Mutex<Named>>);

/// A decoder that notes what messages name.
pub(super) struct NamingDecoder {
    decoder: Box<dyn Decoder>,
    /// The places of instruments in the plan, by their names at the venue.
    places: HashMap<Box<str>, usize>,
    named: NamedRef,
}

struct NamingVisitor<'a> {
    visitor: &'a mut dyn EventVisitor,
    places: &'a HashMap<Box<str>, usize>,
    named: MutexGuard<'a, Named>,
}

// === impl NamedRef ===

impl NamedRef {
    /// What the last message named.
    pub(super) fn get(&self) -> MutexGuard<'_, Named> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Named ===

impl Named {
    /// A row begins.
    pub(super) fn clear(&mut self) {
        self.instruments.clear();
        self.faults.clear();
        self.open = None;
    }

    fn add(&mut self, place: usize) {
        if !self.instruments.contains(&place) {
            self.instruments.push(place);
        }
    }
}

// === impl NamingDecoder ===

impl NamingDecoder {
    pub(super) fn new(
        decoder: Box<dyn Decoder>,
        places: HashMap<Box<str>, usize>,
        named: NamedRef,
    ) -> Self {
        Self {
            decoder,
            places,
            named,
        }
    }
}

impl Decoder for NamingDecoder {
    fn read(&mut self, message: Message<'_>, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
        let mut visitor = NamingVisitor {
            visitor,
            places: &self.places,
            named: self.named.get(),
        };
        self.decoder.read(message, &mut visitor)
    }

    fn reset(&mut self) {
        self.decoder.reset();
    }

    fn words(&self) -> &'static [(&'static str, ChannelKind)] {
        self.decoder.words()
    }

    fn is_beside(&self, text: &str) -> bool {
        self.decoder.is_beside(text)
    }
}

// === impl NamingVisitor ===

impl EventVisitor for NamingVisitor<'_> {
    fn begin(&mut self, head: &MessageHead<'_>) -> Result<bool, Reject> {
        let place = self.places.get(head.native).copied();
        self.named.open = place;
        if let Some(place) = place {
            self.named.add(place);
        }
        self.visitor.begin(head)
    }

    fn trade(&mut self, row: &TradeRow<'_>) -> Result<(), Reject> {
        self.visitor.trade(row)
    }

    fn level(&mut self, side: Side, price: &str, qty: &str) -> Result<(), Reject> {
        self.visitor.level(side, price, qty)
    }

    fn finish(&mut self) -> Result<(), Reject> {
        self.visitor.finish()?;
        self.named.open = None;
        Ok(())
    }

    fn trading(&mut self, native: Option<&str>, state: TradingState) {
        if let Some(place) = native.and_then(|native| self.places.get(native)) {
            self.named.add(*place);
        }
        self.visitor.trading(native, state);
    }

    fn gap(&mut self, reason: String) {
        self.visitor.gap(reason);
    }

    fn fault(&mut self, native: Option<&str>, stream: VenueStream, reject: Reject) {
        let place = native.and_then(|native| self.places.get(native).copied());
        if let Some(place) = place {
            self.named.add(place);
        }
        self.named.faults.push((place, reject));
        self.visitor.fault(native, stream, reject);
    }
}
