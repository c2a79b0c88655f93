//! Which instruments have a connected publisher: for each, the number of publishers that have named it since
//! they connected.
//!
//! When the last of them has left, its feed is down. Nothing is lost by this: what it said still stands. A
//! publisher that names the instrument at the same time sends its events after this word, because the word is
//! sent while nobody can be noted.

use super::FULL_PAUSE;
use crate::event::{BATCH_EVENTS_MAX, FeedEvent};
use crate::feed::words;
use crate::sources::EventTx;
use crossbeam_channel::TrySendError;
use hashbrown::HashMap;
use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tapecast_model::InstrumentId;
use tapecast_model::clock::unix_now;

/// How many connected publishers each instrument has; none is never kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Served(Arc<Mutex<HashMap<InstrumentId, usize>>>);

// === impl Served ===

impl Served {
    /// A publisher names an instrument for the first time.
    pub(super) fn enter(&self, id: InstrumentId) {
        *self.lock().entry(id).or_default() += 1;
    }

    /// A publisher that named these has left: says so of those that nobody serves any more. Waits for room.
    pub(super) async fn leave(&self, ids: &[InstrumentId], tx: &EventTx) {
        self.note_left(ids);
        let mut rest = ids;
        while !rest.is_empty() {
            let (some, others) = rest.split_at(rest.len().min(BATCH_EVENTS_MAX));
            match self.say_down(some, tx) {
                Ok(()) => rest = others,
                Err(TrySendError::Disconnected(())) => return,
                Err(TrySendError::Full(())) => tokio::time::sleep(FULL_PAUSE).await,
            }
        }
    }

    fn note_left(&self, ids: &[InstrumentId]) {
        let mut counts = self.lock();
        for id in ids {
            if let Some(count) = counts.get_mut(id) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(id);
                }
            }
        }
    }

    fn say_down(&self, ids: &[InstrumentId], tx: &EventTx) -> Result<(), TrySendError<()>> {
        let counts = self.lock();
        let left = ids.iter().filter(|id| !counts.contains_key(*id));
        let left: Vec<_> = left.copied().collect();
        if left.is_empty() {
            return Ok(());
        }
        let word = FeedEvent::Ended(Cow::Borrowed("its publisher has disconnected"));
        tx.try_send(words(&left, &word, unix_now()))
            .map_err(|error| match error {
                TrySendError::Full(_) => TrySendError::Full(()),
                TrySendError::Disconnected(_) => TrySendError::Disconnected(()),
            })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<InstrumentId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
