//! Leases: they keep an invented instrument alive.
//!
//! Dropping the last lease only leaves a note, because the catalogue may be locked at that moment. So an
//! instrument ends a little later, if there is no new lease by then.
//!
//! # Claims
//! Whoever wants the instrument has a claim in its lease. If all claims have been released, the instrument is
//! *leaving*: the lease is still held, by parts that let go of it a little later. A new lease counts as
//! claimed, and the first claim takes this over. If a source names the instrument, its claims go on: an
//! instrument that stays may count as leaving, which [`leaving_max`](super::leaving_max) bounds.

use crate::symbol::InstrumentId;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps an invented instrument in the catalogue, and so its id from being used again.
#[derive(Debug)]
pub struct Lease {
    id: InstrumentId,
    released: Arc<Released>,
    claims: AtomicU64,
    was_claimed: AtomicBool,
}

/// Instruments whose last lease was dropped, and how many will follow soon.
#[derive(Debug, Default)]
pub(super) struct Released {
    /// There are at most as many as there are leases, because making a new lease of an instrument first
    /// checks this list.
    notes: Mutex<Vec<InstrumentId>>,
    /// Leases whose claims have all been released. Below zero for a moment if one who comes back is
    /// counted before the one who left.
    leaving: AtomicI64,
}

// === impl Lease ===

impl Lease {
    pub(super) fn new(id: InstrumentId, released: &Arc<Released>) -> Arc<Self> {
        Arc::new(Self {
            id,
            released: Arc::clone(released),
            claims: AtomicU64::new(1),
            was_claimed: AtomicBool::new(false),
        })
    }

    /// One more wants the instrument.
    pub fn claim(&self) {
        if self.was_claimed.swap(true, Ordering::AcqRel)
            && self.claims.fetch_add(1, Ordering::AcqRel) == 0
        {
            self.released.leaving.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// One who had claimed the instrument wants it no longer.
    pub fn release(&self) {
        if self.claims.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.released.leaving.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.released.lock().push(self.id);
        // After the note: at every moment either of them shows that there will be room.
        if *self.claims.get_mut() == 0 {
            self.released.leaving.fetch_sub(1, Ordering::AcqRel);
        }
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

    /// How many instruments nobody wants whose leases are still held.
    pub(super) fn leaving(&self) -> usize {
        usize::try_from(self.leaving.load(Ordering::Acquire)).unwrap_or(0)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<InstrumentId>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
