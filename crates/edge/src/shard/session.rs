//! The state of one connection, without its socket and its queue.
//!
//! Most of ten thousand connections are idle. So state that a connection needs only at times is behind a
//! pointer.

use super::index::{SlotId, SubState, Subscription};
use super::intake::Intake;
use super::reader::Reader;
use super::steps;
use crate::admission::Permit;
use crate::limits::Limits;
use hashbrown::HashTable;
use std::collections::VecDeque;
use std::time::Duration;
use tapecast_model::{Mono, RateLimit, StreamPos, UnixNanos};
use tapecast_wire::reply::{NotResumed, Rejected, Start};
use tapecast_wire::{CloseReason, Encoding, RequestId};

/// A connection's session.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its name in logs and on the admin listener.
    pub(crate) id: u64,
    pub(crate) since: UnixNanos,
    pub(crate) encoding: Encoding,
    pub(crate) reader: Reader,
    pub(crate) subs: Vec<Subscription>,
    /// The place of each slot's subscription in `subs`; empty while there are few.
    places: Option<Box<HashTable<u32>>>,
    /// How many of `subs` wait for the socket.
    pub(crate) behind: u32,
    /// Which of them resync next, if any do.
    pub(super) resyncs: Option<Box<Resyncs>>,
    /// How many of `subs` are of sources that wait for slow readers.
    pub(crate) lossless: u32,
    /// Requests that came while an acknowledgement was awaited, to be answered in order.
    pub(crate) waiting: Option<Box<Waiting>>,
    pub(crate) rate: Rate,
    /// Topics of symbols that no source has named may come into being this often by this client.
    pub(crate) inventions: Option<Box<RateLimit>>,
    pub(crate) last_heard: Mono,
    pub(crate) last_ping: Mono,
    pub(crate) last_heartbeat: Mono,
    /// Until when it does not need another, for it was sent data.
    pub(crate) heartbeat_at: Mono,
    /// Where the next heartbeat's list of silent topics begins.
    pub(crate) heartbeat_from: u32,
    /// So often at least it gets one: `welcome` has promised it.
    pub(crate) heartbeat: Duration,
    pub(crate) closing: Option<Box<Closing>>,
    /// Why it is over, once nothing is read from it or written to it any more.
    pub(crate) ended: Option<CloseReason>,
    /// It is muted, and what it had is all cleaned up.
    pub(crate) is_apart: bool,
    /// How much it says.
    pub(crate) intake: Intake,
    /// Given back when the session is dropped.
    pub(crate) permit: Permit,
}

/// The topics of a connection that may resync.
#[derive(Debug, Default)]
pub(super) struct Resyncs {
    /// Topics whose placeholders have been reached.
    due: VecDeque<SlotId>,
    /// Where the search for the others continues, once everything is written.
    searched: usize,
    /// The connection is one of those that continue in the next round.
    pub(super) continues: bool,
}

/// Requests that wait; bounded by the rate of requests.
#[derive(Debug, Default)]
pub(crate) struct Waiting(pub(crate) VecDeque<Box<[u8]>>);

/// The way out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closing {
    pub(crate) reason: CloseReason,
    /// The latest time at which the connection is dropped.
    pub(crate) deadline: Mono,
    /// The peer has said close: nothing more is awaited from it.
    pub(crate) peer_done: bool,
    /// The socket has been told that nothing more will be written.
    pub(crate) shut: bool,
}

/// A subscription that is acknowledged when each of its topics knows where it starts.
#[derive(Debug)]
pub(crate) struct PendingAck {
    pub(crate) id: RequestId,
    pub(crate) topics: Vec<PendingTopic>,
    pub(crate) rejected: Vec<Rejected>,
    pub(crate) outstanding: usize,
    /// When it was asked for.
    pub(crate) since: Mono,
}

/// A topic of a subscription that is not acknowledged yet.
#[derive(Debug)]
pub(crate) struct PendingTopic {
    pub(crate) slot: SlotId,
    /// Where the client wanted to resume.
    pub(crate) after: Option<StreamPos>,
    pub(crate) started: Option<Started>,
}

/// How a topic starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Started {
    pub(crate) pos: StreamPos,
    pub(crate) start: Start,
    /// Its number on the wire then.
    pub(crate) tid: u32,
}

/// A bucket of requests that fills with time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    left: u32,
    refused: u32,
    filled: Mono,
}

/// Whether a request may be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Granted,
    Refused,
    /// Refused so often that the connection should end.
    Hopeless,
}

// === impl Session ===

impl Session {
    pub(crate) fn new(
        id: u64,
        encoding: Encoding,
        permit: Permit,
        limits: &Limits,
        now: Mono,
    ) -> Self {
        Self {
            id,
            since: UnixNanos::default(),
            encoding,
            reader: Reader::default(),
            subs: Vec::new(),
            places: None,
            behind: 0,
            resyncs: None,
            lossless: 0,
            waiting: None,
            rate: Rate {
                left: limits.requests_per_s,
                refused: 0,
                filled: now,
            },
            inventions: None,
            last_heard: now,
            last_ping: now,
            last_heartbeat: now,
            heartbeat_at: now,
            heartbeat_from: 0,
            heartbeat: limits.heartbeat,
            closing: None,
            ended: None,
            is_apart: false,
            intake: Intake::new(now),
            permit,
        }
    }

    /// The subscription of a slot.
    pub(crate) fn find(&self, slot: SlotId) -> Option<usize> {
        let Some(places) = &self.places else {
            steps::visit(self.subs.len());
            return self.subs.iter().position(|sub| sub.slot == slot);
        };
        let is_it = |place: &u32| {
            steps::visit(1);
            self.subs[*place as usize].slot == slot
        };
        let place = places.find(hash(slot), is_it);
        place.map(|place| *place as usize)
    }

    /// Notes a subscription that was added at the end of `subs`.
    pub(crate) fn note_place(&mut self, sub: usize) {
        let subs = &self.subs;
        let slot_hash = |place: &u32| hash(subs[*place as usize].slot);
        if let Some(places) = &mut self.places {
            let place = sub as u32;
            places.insert_unique(slot_hash(&place), place, slot_hash);
        } else if subs.len() > FEW_SUBS {
            let mut places = HashTable::with_capacity(subs.capacity());
            for place in 0..subs.len() as u32 {
                places.insert_unique(slot_hash(&place), place, slot_hash);
            }
            self.places = Some(Box::new(places));
        }
    }

    /// Forgets the place of a subscription that is about to be removed from `subs`. The last subscription
    /// will take its place.
    pub(crate) fn forget_place(&mut self, sub: usize) {
        let Some(places) = &mut self.places else {
            return;
        };
        let last = self.subs.len() - 1;
        if last <= FEW_SUBS / 2 {
            self.places = None;
            return;
        }
        let removed = hash(self.subs[sub].slot);
        if let Ok(entry) = places.find_entry(removed, |at| *at == sub as u32) {
            entry.remove();
        }
        let moved = hash(self.subs[last].slot);
        if let Some(place) = places.find_mut(moved, |at| *at == last as u32) {
            *place = sub as u32;
        }
    }

    /// The next request that waits.
    pub(crate) fn next_waiting(&mut self) -> Option<Box<[u8]>> {
        let text = self.waiting.as_mut()?.0.pop_front();
        if text.is_none() {
            self.waiting = None;
        }
        text
    }

    /// Counts a subscription that changes its state.
    pub(crate) fn count_change(&mut self, from: SubState, to: SubState) {
        let is_behind = |state| matches!(state, SubState::Behind(_));
        match (is_behind(from), is_behind(to)) {
            (false, true) => self.behind += 1,
            (true, false) => self.behind -= 1,
            _ => {}
        }
    }

    /// Notes topics whose placeholders have been reached.
    pub(super) fn note_due(&mut self, due: Vec<SlotId>) {
        if !due.is_empty() {
            let resyncs = self.resyncs.get_or_insert_default();
            resyncs.due.extend(due);
        }
    }

    /// The next subscription that resyncs: one whose placeholder has been reached, or any if `all` may.
    pub(super) fn next_due(&mut self, all: bool) -> Option<usize> {
        if self.behind == 0 {
            return None;
        }
        let is_behind = |sub: &Subscription| matches!(sub.state, SubState::Behind(_));
        let mut resyncs = self.resyncs.take().unwrap_or_default();
        let mut next = None;
        while next.is_none()
            && let Some(slot) = resyncs.due.pop_front()
        {
            next = self.find(slot).filter(|&sub| is_behind(&self.subs[sub]));
        }
        if all && next.is_none() {
            let from = resyncs.searched.min(self.subs.len());
            let (before, after) = self.subs.split_at(from);
            let at = after.iter().chain(before).position(is_behind);
            steps::visit(at.unwrap_or(self.subs.len()));
            next = at.map(|at| (from + at) % self.subs.len());
            resyncs.searched = next.map_or(0, |next| next + 1);
        }
        self.resyncs = Some(resyncs);
        next
    }

    /// Whether [`Self::next_due`] may find one.
    pub(super) fn has_due(&self, all: bool) -> bool {
        let due = self.resyncs.as_ref().is_some_and(|r| !r.due.is_empty());
        self.behind > 0 && (all || due)
    }
}

// === impl PendingAck ===

impl PendingAck {
    /// Notes where a topic starts, by its place in the pending acknowledgement; takes the
    /// acknowledgement if that was the last.
    pub(crate) fn resolve(
        pending: &mut Option<Box<Self>>,
        awaited: u32,
        started: Started,
    ) -> Option<Box<Self>> {
        let ack = pending.as_mut()?;
        let topic = ack.topics.get_mut(awaited as usize)?;
        steps::visit(1);
        if topic.started.is_none() {
            topic.started = Some(started);
            ack.outstanding -= 1;
        }
        if ack.outstanding == 0 {
            pending.take()
        } else {
            None
        }
    }

    /// It is not known any more where a topic starts.
    pub(crate) fn start_over(&mut self, awaited: u32) {
        if let Some(topic) = self.topics.get_mut(awaited as usize)
            && topic.started.take().is_some()
        {
            self.outstanding += 1;
        }
    }
}

// === impl PendingTopic ===

impl PendingTopic {
    /// Why the client cannot resume where it wanted to.
    pub(crate) fn not_resumed(&self) -> Option<NotResumed> {
        let (after, Started { pos, .. }) = (self.after?, self.started?);
        if after.epoch != pos.epoch {
            Some(NotResumed::Epoch)
        } else {
            Some(NotResumed::TooOld)
        }
    }
}

// === impl Rate ===

impl Rate {
    /// Asks for one request.
    pub(crate) fn ask(&mut self, per_second: u32, now: Mono) -> Verdict {
        let since = now - self.filled;
        let step = Duration::from_secs(1) / per_second.max(1);
        let gained = since.as_nanos() / step.as_nanos().max(1);
        if gained > 0 {
            let gained = u32::try_from(gained).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(gained).min(per_second);
            self.refused = self.refused.saturating_sub(gained);
            self.filled = self.filled.after(step.saturating_mul(gained)).max(
                // After a long silence the whole past is forgotten at once.
                if gained >= per_second {
                    now
                } else {
                    Mono::default()
                },
            );
        }
        if self.left > 0 {
            self.left -= 1;
            return Verdict::Granted;
        }
        self.refused += 1;
        if self.refused > per_second.saturating_mul(HOPELESS_SECONDS) {
            Verdict::Hopeless
        } else {
            Verdict::Refused
        }
    }
}

/// Spreads slot numbers over a table.
fn hash(slot: SlotId) -> u64 {
    let product = u64::from(slot).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ product >> 32
}

/// Up to so many subscriptions are looked through one by one.
const FEW_SUBS: usize = 16;
/// A client that was refused for this many seconds' worth of requests does not listen.
const HOPELESS_SECONDS: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_in_bursts_and_fill_up_again() {
        let at = |ms: u64| Mono::new(ms * 1_000_000);
        let mut rate = Rate {
            left: 20,
            refused: 0,
            filled: at(0),
        };
        let granted = (0..30)
            .filter(|_| rate.ask(20, at(1)) == Verdict::Granted)
            .count();
        assert_eq!(granted, 20);
        assert_eq!(rate.ask(20, at(51)), Verdict::Granted);
        assert_eq!(rate.ask(20, at(52)), Verdict::Refused);
        let granted = (0..30)
            .filter(|_| rate.ask(20, at(60_000)) == Verdict::Granted)
            .count();
        assert_eq!(granted, 20);
        let hopeless = (0..300).any(|_| rate.ask(20, at(60_001)) == Verdict::Hopeless);
        assert!(hopeless);
    }
}
