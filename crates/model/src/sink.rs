//! The interface between numbering and publishing: the pipeline gives every sequenced update to a sink,
//! for example the publisher of this process or a bus to other processes.

use crate::symbol::{Instrument, InstrumentId};
use crate::update::Update;
use std::sync::Arc;

/// Takes sequenced updates, in order. Never waits and never fails: what it cannot pass on it must
/// count and announce itself.
pub trait UpdateSink {
    /// Takes one update.
    fn publish(&mut self, update: &Update<'_>);

    /// From here on another instrument is in the place of this one: its scales have changed. All its streams
    /// begin again, in a higher epoch. No update of the old one follows.
    fn replace(&mut self, replaced: InstrumentId, by: &Arc<Instrument>) {
        let _ = (replaced, by);
    }
}

impl<F: FnMut(&Update<'_>)> UpdateSink for F {
    fn publish(&mut self, update: &Update<'_>) {
        self(update);
    }
}
