//! Open and ended connections: answers for the admin listener, made in slices.
//!
//! An inspection visits [`VISITS_PER_ROUND`] connections per round, and keeps the lowest ids that match
//! its query. So it delays data by only a few microseconds per round, for any number of connections. At
//! most [`INSPECTIONS_MAX`] run at a time; further ones are refused. The last [`ENDED_MAX`] connections
//! that ended are remembered; each new one replaces the oldest.

use super::socket::Socket;
use super::{Conn, Shard};
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tapecast_model::{Mono, UnixNanos};
use tapecast_wire::{CloseReason, Encoding};

/// Which connections are asked for; what is not said fits all.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Those with higher ids.
    pub after: Option<u64>,
    /// This one.
    pub id: Option<u64>,
    /// Those of this address.
    pub address: Option<IpAddr>,
    /// Those with so many bytes queued, or more.
    pub queued_bytes_min: usize,
    /// Those whose oldest queued frame is as old, or older.
    pub lag_min: Duration,
    /// Those that are slow, or are not.
    pub slow: Option<bool>,
    /// So many at most.
    pub limit: usize,
}

/// A connection, as it was seen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seen {
    /// As in `welcome`.
    pub id: u64,
    /// Where it comes from, if the system knew.
    pub address: SocketAddr,
    /// When it came.
    pub since: UnixNanos,
    /// How its data are encoded.
    pub encoding: Encoding,
    /// Topics it is subscribed to.
    pub topics: usize,
    /// Bytes that wait for its socket.
    pub queued_bytes: usize,
    /// How old the oldest of them is.
    pub lag: Duration,
    /// Its socket is full, or topics of it wait for the socket.
    pub slow: bool,
}

/// A connection that has ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ended {
    /// As it was when it ended, or when its closing began.
    pub seen: Seen,
    /// When it ended.
    pub at: UnixNanos,
    /// Why.
    pub reason: CloseReason,
}

/// What an inspection has found.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// Connections, in order of their ids.
    pub connections: Vec<Seen>,
    /// Connections that have ended, in order of their ends.
    pub ended: Vec<Ended>,
}

/// Takes what an inspection has found.
pub type Answer = Box<dyn FnOnce(Sight) + Send>;

/// An inspection under way.
pub(super) struct Inspection {
    query: Query,
    /// The next place to look at.
    at: usize,
    /// The lowest ids so far, the highest of them on top.
    found: BinaryHeap<ById>,
    answer: Answer,
}

/// Ordered by id.
struct ById(Seen);

impl Query {
    fn fits(&self, seen: &Seen) -> bool {
        self.after.is_none_or(|after| seen.id > after)
            && self.id.is_none_or(|id| seen.id == id)
            && self.address.is_none_or(|ip| seen.address.ip() == ip)
            && seen.queued_bytes >= self.queued_bytes_min
            && seen.lag >= self.lag_min
            && self.slow.is_none_or(|slow| seen.slow == slow)
    }
}

impl<S: Socket> Shard<S> {
    /// Begins an inspection; `answer` is called when it is done, or dropped if there are too many.
    pub fn inspect(&mut self, query: Query, answer: Answer) {
        if self.inspections.len() < INSPECTIONS_MAX {
            self.inspections.push_back(Inspection {
                query,
                at: 0,
                found: BinaryHeap::new(),
                answer,
            });
        }
    }

    /// Goes on with the inspection that came first.
    pub(super) fn inspect_some(&mut self, now: Mono) {
        let Some(mut inspection) = self.inspections.pop_front() else {
            return;
        };
        let end = self.conns.len().min(inspection.at + VISITS_PER_ROUND);
        for conn in self.conns[inspection.at.min(end)..end].iter().flatten() {
            if conn.session.ended.is_none() {
                inspection.note(conn.seen(now));
            }
        }
        inspection.at = end;
        if end < self.conns.len() {
            self.inspections.push_front(inspection);
            return;
        }
        let Inspection {
            query,
            found,
            answer,
            ..
        } = inspection;
        let fits = |ended: &&Ended| query.fits(&ended.seen);
        answer(Sight {
            connections: found.into_sorted_vec().into_iter().map(|f| f.0).collect(),
            ended: self.ended.iter().filter(fits).cloned().collect(),
        });
    }

    /// Remembers a connection that has ended.
    pub(super) fn remember(&mut self, seen: Seen, reason: CloseReason) {
        if self.ended.len() == ENDED_MAX {
            self.ended.pop_front();
        }
        let at = self.wall;
        self.ended.push_back(Ended { seen, at, reason });
    }
}

impl<S> Conn<S> {
    /// Its present state.
    pub(super) fn seen(&self, now: Mono) -> Seen {
        let (session, outbox) = (&self.session, self.outbox.as_deref());
        let oldest = outbox.and_then(|outbox| outbox.oldest());
        Seen {
            id: session.id,
            address: session.permit.address(),
            since: session.since,
            encoding: session.encoding,
            topics: session.subs.len(),
            queued_bytes: outbox.map_or(0, |outbox| outbox.bytes()),
            lag: oldest.map_or(Duration::ZERO, |oldest| now - oldest),
            slow: self.blocked || session.behind > 0,
        }
    }
}

impl Inspection {
    fn note(&mut self, seen: Seen) {
        if self.query.fits(&seen) {
            self.found.push(ById(seen));
            if self.found.len() > self.query.limit {
                self.found.pop();
            }
        }
    }
}

impl fmt::Debug for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspection")
            .field("query", &self.query)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ById {}

impl PartialOrd for ById {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ById {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.id.cmp(&other.0.id)
    }
}

/// Kept of those that have ended.
pub(super) type Past = VecDeque<Ended>;

/// Connections looked at per round.
const VISITS_PER_ROUND: usize = 256;
/// Inspections under way at once.
const INSPECTIONS_MAX: usize = 8;
/// Connections that have ended and are remembered.
pub const ENDED_MAX: usize = 1_000;
