//! Leases: they keep an invented instrument alive.
//!
//! Dropping the last lease only leaves a note, because the catalogue may be locked at that moment. So an
//! instrument ends a little later, if there is no new lease by then.

use crate::symbol::InstrumentId;
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps an invented instrument in the catalogue, and so its id from being used again.
#[derive(Debug)]
pub struct Lease {
    id: InstrumentId,
    released: Arc<Released>,
}

/// Instruments whose last lease was dropped. There are at most as many as there are leases, because
/// making a new lease of an instrument first checks this list.
#[derive(Debug, Default)]
pub(super) struct Released(Mutex<Vec<InstrumentId>>);

// === impl Lease ===

impl Lease {
    pub(super) fn new(id: InstrumentId, released: &Arc<Released>) -> Arc<Self> {
        Arc::new(Self {
            id,
            released: Arc::clone(released),
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.released.lock().push(self.id);
    }
}

// === impl Released ===

impl Released {
    pub(super) fn take(&self) -> Option<InstrumentId> {
        self.lock().pop()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<InstrumentId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
