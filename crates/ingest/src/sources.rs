//! The channels between sources and the pipeline: one for each source, and the order in which the pipeline
//! takes from them.
//!
//! A source sends [`EventBatch`]es through its [`EventTx`]. The pipeline's thread owns the [`SourceChannels`]
//! and asks for one [`Share`] after another. A [`SourceOpener`] opens channels, also while the pipeline runs.
//!
//! # Order
//! Events of one source stay in order; between sources there is no order. The pipeline goes round the
//! sources: each gives at most [`SHARE`] events, then the next source has its turn. The place in the round is
//! kept over turns of the pipeline, however small they are. So an event at the head of its channel waits for
//! at most one round: [`SHARE`] events of each other source. If a batch is taken in part, the rest stays with
//! its source. New sources join at the end of a round.
//!
//! # Full and ended
//! A channel is bounded in batches, each of which has at most [`BATCH_EVENTS_MAX`] events. A full channel
//! holds back its own source and no other. A source has ended when all its [`EventTx`]s are dropped; its
//! channel is removed after its last event was taken. A source that fails and runs again keeps its channel, so
//! that what it sent before is taken before what it says of the failure. When the pipeline's side is gone,
//! sending fails.
//!
//! # Sleeping
//! All channels have one bell, itself a channel with room for one ring. A source rings after it has
//! sent. The pipeline takes the ring only when it has found all channels empty, and then looks at all of them
//! again. So an event without a ring is always seen, and while the pipeline is busy, the bell stays up and
//! ringing costs no system call. To sleep is to wait for [`SourceChannels::bell`].
//!
//! It knows nothing of instruments: health is kept by line, and the pipeline gets the line with each share.

use crate::event::{BATCH_EVENTS_MAX, Event, EventBatch, Events, LineId, SourceId};
use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TryRecvError, TrySendError, bounded};
use std::iter::Take;
use std::time::Duration;

/// Events that a source gives before the next source has its turn: a quarter of a turn of the pipeline.
pub const SHARE: usize = 64;

/// Where the events of one line of a source go. Clones send through the same channel.
#[derive(Clone, Debug)]
pub struct EventTx<T = Event> {
    line: LineId,
    batches: Sender<EventBatch<T>>,
    bell: Sender<()>,
}

/// Opens channels for sources.
#[derive(Clone, Debug)]
pub struct SourceOpener<T = Event> {
    newcomers: Sender<SourceRx<T>>,
    bell: Sender<()>,
}

/// The pipeline's side of the channels of all sources.
#[derive(Debug)]
pub struct SourceChannels<T = Event> {
    sources: Vec<SourceRx<T>>,
    /// Whose turn it is.
    cursor: usize,
    /// How many events it has given in its turn, up to the last share.
    given: usize,
    /// How many events it had in hand when the last share began.
    lent: usize,
    newcomers: Receiver<SourceRx<T>>,
    bell: Receiver<()>,
    /// So that the bell is never disconnected: the pipeline would not sleep.
    _ringer: Sender<()>,
}

/// Events of one line, at least one and at most what its source may give in its turn. What is not taken
/// stays with the source, and its turn goes on with the next share.
#[derive(Debug)]
pub struct Share<'a, T = Event> {
    line: LineId,
    events: Take<&'a mut smallvec::IntoIter<[T; 1]>>,
}

/// The pipeline's side of one source's channel.
#[derive(Debug)]
struct SourceRx<T> {
    batches: Receiver<EventBatch<T>>,
    /// The rest of the batch that was begun, and its line.
    line: LineId,
    hand: smallvec::IntoIter<[T; 1]>,
}

// === impl EventTx ===

impl<T> EventTx<T> {
    /// A channel that is not part of any round, for tests and benchmarks of feeds. The receiver gets the
    /// batches of source 1.
    pub fn alone(batches: usize) -> (Self, Receiver<EventBatch<T>>) {
        let (tx, rx) = bounded(batches);
        let line = LineId {
            source: SourceId(1),
            number: LineId::FIRST,
        };
        let tx = Self {
            line,
            batches: tx,
            bell: bounded(1).0,
        };
        (tx, rx)
    }

    /// The same channel, for another line of the same source.
    #[must_use]
    pub fn of_line(&self, number: u32) -> Self {
        Self {
            line: LineId {
                number,
                ..self.line
            },
            batches: self.batches.clone(),
            bell: self.bell.clone(),
        }
    }

    /// Whose events it sends.
    pub const fn line(&self) -> LineId {
        self.line
    }

    /// Sends events, at most [`BATCH_EVENTS_MAX`], if there is room.
    ///
    /// # Errors
    /// If the channel is full, or the pipeline has ended; the events come back.
    pub fn try_send(&self, events: Events<T>) -> Result<(), TrySendError<Events<T>>> {
        let sent = self.batches.try_send(self.batch(events));
        sent.map_err(|error| match error {
            TrySendError::Full(batch) => TrySendError::Full(batch.events),
            TrySendError::Disconnected(batch) => TrySendError::Disconnected(batch.events),
        })?;
        self.ring();
        Ok(())
    }

    /// Sends events, at most [`BATCH_EVENTS_MAX`], and waits so long for room.
    ///
    /// # Errors
    /// If the channel stays full, or the pipeline has ended; the events come back.
    pub fn send_timeout(
        &self,
        events: Events<T>,
        longest: Duration,
    ) -> Result<(), SendTimeoutError<Events<T>>> {
        let sent = self.batches.send_timeout(self.batch(events), longest);
        sent.map_err(|error| match error {
            SendTimeoutError::Timeout(batch) => SendTimeoutError::Timeout(batch.events),
            SendTimeoutError::Disconnected(batch) => SendTimeoutError::Disconnected(batch.events),
        })?;
        self.ring();
        Ok(())
    }

    fn batch(&self, events: Events<T>) -> EventBatch<T> {
        debug_assert!(events.len() <= BATCH_EVENTS_MAX, "the channel is bounded");
        EventBatch {
            line: self.line,
            events,
        }
    }

    fn ring(&self) {
        // If it is up already, the pipeline has yet to look.
        let _ = self.bell.try_send(());
    }
}

// === impl SourceOpener ===

impl<T> SourceOpener<T> {
    /// Opens the channel of a source, with room for so many batches. If the pipeline does not look at new
    /// sources for a while, it waits. The source is removed when the sender and all its clones are dropped.
    pub fn open(&self, source: SourceId, batches: usize) -> EventTx<T> {
        let (tx, batches) = bounded(batches);
        let line = LineId {
            source,
            number: LineId::FIRST,
        };
        // If the pipeline has ended, its side is dropped here, and sending fails.
        let _ = self.newcomers.send(SourceRx {
            batches,
            line,
            hand: Events::new().into_iter(),
        });
        EventTx {
            line,
            batches: tx,
            bell: self.bell.clone(),
        }
    }
}

// === impl SourceChannels ===

impl<T> SourceChannels<T> {
    /// No sources yet, and what opens channels for them.
    pub fn new() -> (Self, SourceOpener<T>) {
        let (newcomers_tx, newcomers) = bounded(NEWCOMERS_MAX);
        let (ringer, bell) = bounded(1);
        let opener = SourceOpener {
            newcomers: newcomers_tx,
            bell: ringer.clone(),
        };
        let channels = Self {
            sources: Vec::new(),
            cursor: 0,
            given: 0,
            lent: 0,
            newcomers,
            bell,
            _ringer: ringer,
        };
        (channels, opener)
    }

    /// The next events in turn, `most` at most. If there are none, the thread may wait for [`Self::bell`].
    pub fn next_share(&mut self, most: usize) -> Option<Share<'_, T>> {
        if let Some(source) = self.sources.get(self.cursor) {
            self.given += self.lent - source.hand.len();
        }
        self.lent = 0;
        while !self.find() {
            // The ring is taken before one more look at all channels, so none of its events is missed.
            self.bell.try_recv().ok()?;
        }
        let source = &mut self.sources[self.cursor];
        self.lent = source.hand.len();
        Some(Share {
            line: source.line,
            events: source.hand.by_ref().take(most.min(SHARE - self.given)),
        })
    }

    /// Whether there are events to go on with at once.
    pub fn has_more(&self) -> bool {
        let (before, from) = self.sources.split_at(self.cursor.min(self.sources.len()));
        let in_turn = from.iter().chain(before);
        in_turn.into_iter().any(SourceRx::has_more)
    }

    /// Rings when there may be events, after there were none.
    pub const fn bell(&self) -> &Receiver<()> {
        &self.bell
    }

    /// How many sources there are that have not ended, or have events left.
    pub const fn count(&self) -> usize {
        self.sources.len()
    }

    /// Finds the source whose turn it is and that has events; false if none has, after a look at each.
    fn find(&mut self) -> bool {
        // Sources in a row that have nothing.
        let mut empty = 0;
        loop {
            if self.cursor >= self.sources.len() {
                self.cursor = 0;
                if self.take_in() {
                    empty = 0;
                }
            }
            if empty >= self.sources.len() {
                return false;
            }
            if self.given < SHARE {
                match self.sources[self.cursor].fill_hand() {
                    Ok(()) => return true,
                    Err(TryRecvError::Empty) => empty += 1,
                    Err(TryRecvError::Disconnected) => {
                        self.sources.remove(self.cursor);
                        self.given = 0;
                        continue;
                    }
                }
            }
            self.cursor += 1;
            self.given = 0;
        }
    }

    /// Takes in the sources that were opened since. Returns whether there were any.
    fn take_in(&mut self) -> bool {
        let before = self.sources.len();
        self.sources.extend(self.newcomers.try_iter());
        self.sources.len() > before
    }
}

impl<T> Drop for SourceChannels<T> {
    fn drop(&mut self) {
        // What nobody has taken in stays in the queue as long as there is an opener. Its sources would wait
        // for room instead of ending.
        while self.newcomers.try_recv().is_ok() {}
    }
}

// === impl Share ===

impl<T> Share<'_, T> {
    /// Whose events they are.
    pub const fn line(&self) -> LineId {
        self.line
    }
}

impl<T> Iterator for Share<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.events.next()
    }
}

// === impl SourceRx ===

impl<T> SourceRx<T> {
    /// Takes the next batch in hand if there is none.
    fn fill_hand(&mut self) -> Result<(), TryRecvError> {
        while self.hand.len() == 0 {
            let batch = self.batches.try_recv()?;
            self.line = batch.line;
            self.hand = batch.into_iter();
        }
        Ok(())
    }

    fn has_more(&self) -> bool {
        self.hand.len() > 0 || !self.batches.is_empty()
    }
}

/// Sources that were opened and that the pipeline has not taken in yet: they are in their order within a round.
const NEWCOMERS_MAX: usize = 64;

#[cfg(test)]
mod tests;
