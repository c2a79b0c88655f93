//! Requests from the pipeline to a feed: this instrument needs a snapshot.
//!
//! The feed's side that can ask a venue is a *session*. It names the instruments that it serves. The pipeline
//! asks where it alone knows that something is wrong: a checksum differs or a chain breaks ([`Want::Reseed`]),
//! or a book falls silent ([`Want::Probe`]). What a feed knows by itself, such as a lost connection, it repairs
//! by itself. Recordings, publishers and simulated markets cannot ask anyone. They serve no instruments, and
//! requests for these are dropped.
//!
//! # A request is a hint
//! Between the break and the request, the session may have sent a snapshot that still waits in the source's
//! channel. So both sides count the snapshots of an instrument, from the first one after its last restart, and
//! a request carries the number of the last one that the pipeline has taken. If the session has sent more, the
//! request [is answered](ReseedRequest::is_answered) already. While a session waits for a snapshot from its
//! venue, it may drop requests for the same instrument.
//!
//! # Limits
//! An instrument has at most one request that waits: a new one is merged with it. So there are at most as many as
//! the session serves. The bell rings when the first request comes, and not again before the session has taken
//! all. Requests are rare, and a plain lock protects them; none is held while the bell rings.

use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tapecast_model::InstrumentId;

/// Where the pipeline asks for snapshots: all sessions of the process. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct ReseedRequests {
    /// Who serves an instrument.
    sessions: Arc<Mutex<HashMap<InstrumentId, Arc<Waiting>>>>,
}

/// A session's side. When it is dropped, its instruments are served by nobody.
#[derive(Debug)]
pub struct ReseedSession {
    requests: ReseedRequests,
    waiting: Arc<Waiting>,
}

/// A request for an instrument.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReseedRequest {
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// What is asked for.
    pub want: Want,
    /// The number of the last snapshot that the pipeline had taken.
    pub seen: u64,
}

/// What the pipeline asks for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Want {
    /// The book has been silent for too long: find out whether it is still right.
    Probe,
    /// There is no right book: get a snapshot. Answers a probe too.
    Reseed,
}

/// The requests that wait for a session, and its bell.
struct Waiting {
    requests: Mutex<BTreeMap<InstrumentId, (Want, u64)>>,
    bell: Box<dyn Fn() + Send + Sync>,
}

// === impl ReseedRequests ===

impl ReseedRequests {
    /// A session that is woken by `bell` and serves nothing yet.
    pub fn session(&self, bell: impl Fn() + Send + Sync + 'static) -> ReseedSession {
        ReseedSession {
            requests: self.clone(),
            waiting: Arc::new(Waiting {
                requests: Mutex::default(),
                bell: Box::new(bell),
            }),
        }
    }

    /// Asks whoever serves an instrument; `seen` is the number of the last snapshot that was taken.
    pub fn ask(&self, instrument: InstrumentId, want: Want, seen: u64) {
        let session = lock(&self.sessions).get(&instrument).map(Arc::clone);
        if let Some(session) = session {
            session.add(instrument, want, seen);
        }
    }
}

// === impl ReseedSession ===

impl ReseedSession {
    /// From now on, requests for this instrument go to this session.
    pub fn serve(&self, instrument: InstrumentId) {
        let waiting = Arc::clone(&self.waiting);
        lock(&self.requests.sessions).insert(instrument, waiting);
    }

    /// The next request. After the bell, take all.
    pub fn take(&self) -> Option<ReseedRequest> {
        let (instrument, (want, seen)) = lock(&self.waiting.requests).pop_first()?;
        Some(ReseedRequest {
            instrument,
            want,
            seen,
        })
    }
}

impl Drop for ReseedSession {
    fn drop(&mut self) {
        lock(&self.requests.sessions).retain(|_, waiting| !Arc::ptr_eq(waiting, &self.waiting));
    }
}

// === impl ReseedRequest ===

impl ReseedRequest {
    /// Whether a session that has sent so many snapshots of the instrument has answered it already.
    pub const fn is_answered(&self, sent: u64) -> bool {
        sent > self.seen
    }
}

// === impl Waiting ===

impl Waiting {
    fn add(&self, instrument: InstrumentId, want: Want, seen: u64) {
        let mut requests = lock(&self.requests);
        let first = requests.is_empty();
        let request = requests.entry(instrument).or_insert((want, seen));
        *request = match *request {
            (before, same) if same == seen => (want.max(before), seen),
            // Another snapshot has come since: what was asked before is settled.
            _ => (want, seen),
        };
        drop(requests);
        if first {
            (self.bell)();
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requests = &self.requests;
        f.debug_struct("Waiting")
            .field("requests", requests)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const ONE: InstrumentId = InstrumentId::new(1);
    const TWO: InstrumentId = InstrumentId::new(2);

    fn session(requests: &ReseedRequests) -> (ReseedSession, Arc<AtomicUsize>) {
        let rings = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&rings);
        let session = requests.session(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        (session, rings)
    }

    #[test]
    fn requests_for_one_instrument_are_one_and_the_bell_rings_once() {
        let requests = ReseedRequests::default();
        let (session, rings) = session(&requests);
        [ONE, TWO].into_iter().for_each(|id| session.serve(id));
        for _ in 0..1_000 {
            requests.ask(TWO, Want::Probe, 3);
            requests.ask(ONE, Want::Reseed, 7);
            requests.ask(ONE, Want::Probe, 7);
        }
        assert_eq!(rings.load(Ordering::Relaxed), 1);
        let one = session.take().unwrap();
        assert_eq!((one.instrument, one.want, one.seen), (ONE, Want::Reseed, 7));
        assert!(!one.is_answered(7) && one.is_answered(8));
        assert_eq!(session.take().unwrap().want, Want::Probe);
        assert_eq!(session.take(), None);
        requests.ask(ONE, Want::Reseed, 8);
        assert_eq!(rings.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_snapshot_between_two_requests_settles_the_first() {
        let requests = ReseedRequests::default();
        let (session, _) = session(&requests);
        session.serve(ONE);
        requests.ask(ONE, Want::Reseed, 1);
        requests.ask(ONE, Want::Probe, 2);
        let request = session.take().unwrap();
        assert_eq!((request.want, request.seen), (Want::Probe, 2));
        // Numbers start again with the instrument.
        requests.ask(ONE, Want::Reseed, 9);
        requests.ask(ONE, Want::Reseed, 0);
        assert_eq!(session.take().unwrap().seen, 0);
    }

    #[test]
    fn nobody_is_asked_for_what_nobody_serves() {
        let requests = ReseedRequests::default();
        let (first, rings) = session(&requests);
        requests.ask(ONE, Want::Reseed, 0);
        first.serve(ONE);
        first.serve(TWO);
        let (second, _) = session(&requests);
        second.serve(ONE);
        drop(first);
        requests.ask(TWO, Want::Reseed, 0);
        assert_eq!(rings.load(Ordering::Relaxed), 0);
        requests.ask(ONE, Want::Reseed, 0);
        assert_eq!(second.take().unwrap().instrument, ONE);
        drop(second);
        assert!(lock(&requests.sessions).is_empty());
    }
}
