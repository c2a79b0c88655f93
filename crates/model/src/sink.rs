//! The interface between numbering and publishing: the pipeline gives every sequenced update to a sink,
//! for example the publisher of this process or a bus to other processes.

use crate::update::Update;

/// Takes sequenced updates, in order. Never waits and never fails: what it cannot pass on it must
/// count and announce itself.
pub trait UpdateSink {
    /// Takes one update.
    fn publish(&mut self, update: &Update<'_>);
}

impl<F: FnMut(&Update<'_>)> UpdateSink for F {
    fn publish(&mut self, update: &Update<'_>) {
        self(update);
    }
}
