//! What every feed needs: where it sends its events, when it may continue, and when it must start or
//! stop.
//!
//! A feed is before the sequencer, so it may wait: in [`send`] while its channel is full, and, if
//! it is a lossless replay, while its [`Pace`] is not clear. It never drops an event. When it is told to
//! stop, it stops soon, wherever it waits.

use crate::event::{BATCH_EVENTS_MAX, Event, EventBody, Events, FeedEvent};
use crate::sources::EventTx;
use crossbeam_channel::SendTimeoutError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;
use tapecast_model::{InstrumentId, UnixNanos};

/// Whether those downstream have room: a lossless replay waits for it.
pub trait Pace: Send {
    /// False while a reader downstream is over half full.
    fn clear(&self) -> bool;
}

/// There is always room: for feeds that may be conflated downstream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unpaced;

/// Holds feeds back until it is opened; it cannot be closed again.
#[derive(Debug, Default)]
pub struct StartGate {
    open: Mutex<bool>,
    opened: Condvar,
}

/// The feed must end: it got the command, or its events have no more receiver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ended;

/// How long a wait lasts before the feed looks whether it should end.
pub(crate) const STOP_CHECK: Duration = Duration::from_millis(20);

impl Pace for Unpaced {
    fn clear(&self) -> bool {
        true
    }
}

impl<F: Fn() -> bool + Send> Pace for F {
    fn clear(&self) -> bool {
        self()
    }
}

// === impl StartGate ===

impl StartGate {
    /// A gate that is already open, for `start = "immediately"`.
    pub fn opened() -> Self {
        Self {
            open: Mutex::new(true),
            opened: Condvar::new(),
        }
    }

    /// Opens the gate; again has no effect.
    pub fn open(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.opened.notify_all();
    }

    /// Whether the gate is open.
    pub fn is_open(&self) -> bool {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the gate opens.
    ///
    /// # Errors
    /// If `stop` is set before.
    pub fn wait(&self, stop: &AtomicBool) -> Result<(), Ended> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        while !*open {
            if stop.load(Ordering::Relaxed) {
                return Err(Ended);
            }
            let waited = self.opened.wait_timeout(open, STOP_CHECK);
            open = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }
}

/// Sends what a feed has, waiting for room.
///
/// # Errors
/// If `stop` is set before there is room, or if there is no receiver.
pub fn send(tx: &EventTx, events: Events, stop: &AtomicBool) -> Result<(), Ended> {
    let mut events = events;
    loop {
        match tx.send_timeout(events, STOP_CHECK) {
            Ok(()) => return Ok(()),
            Err(SendTimeoutError::Disconnected(_)) => return Err(Ended),
            Err(SendTimeoutError::Timeout(_)) if stop.load(Ordering::Relaxed) => return Err(Ended),
            Err(SendTimeoutError::Timeout(back)) => events = back,
        }
    }
}

/// Says the same of every instrument, waiting for room.
///
/// # Errors
/// As [`send`].
pub fn announce(
    tx: &EventTx,
    instruments: &[InstrumentId],
    word: &FeedEvent,
    now: UnixNanos,
    stop: &AtomicBool,
) -> Result<(), Ended> {
    for some in instruments.chunks(BATCH_EVENTS_MAX) {
        send(tx, words(some, word, now), stop)?;
    }
    Ok(())
}

/// The same word of each of these instruments, which must be few enough for a batch.
pub(crate) fn words(instruments: &[InstrumentId], word: &FeedEvent, now: UnixNanos) -> Events {
    let event = |instrument: &InstrumentId| Event {
        instrument: *instrument,
        ts_event: None,
        ts_recv: now,
        venue_seq: None,
        body: EventBody::Feed(word.clone()),
    };
    instruments.iter().map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn some() -> Events {
        Events::from_buf([Event {
            instrument: InstrumentId::new(0),
            ts_event: None,
            ts_recv: UnixNanos::default(),
            venue_seq: None,
            body: EventBody::Feed(FeedEvent::Restarted),
        }])
    }

    #[test]
    fn a_gate_holds_until_it_is_opened_and_stays_open() {
        let gate = Arc::new(StartGate::default());
        let stop = Arc::new(AtomicBool::new(false));
        let waiting = {
            let (gate, stop) = (Arc::clone(&gate), Arc::clone(&stop));
            std::thread::spawn(move || gate.wait(&stop))
        };
        assert!(!gate.is_open());
        gate.open();
        gate.open();
        assert_eq!(waiting.join().unwrap(), Ok(()));
        assert_eq!(gate.wait(&stop), Ok(()));
    }

    #[test]
    fn whoever_waits_ends_when_told_to() {
        let stop = AtomicBool::new(true);
        assert_eq!(StartGate::default().wait(&stop), Err(Ended));
        let (tx, rx) = EventTx::alone(1);
        assert_eq!(send(&tx, some(), &stop), Ok(()));
        assert_eq!(send(&tx, some(), &stop), Err(Ended));
        drop(rx);
        assert_eq!(send(&tx, some(), &AtomicBool::new(false)), Err(Ended));
    }
}
