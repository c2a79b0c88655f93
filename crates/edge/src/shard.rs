//! A shard: sole owner of its connections, told what happens, synchronous, without a thread or a
//! clock of its own. Hop 7 of an update's life, and the brain of hop 8.
//!
//! * [`index`]: who is subscribed to what.
//! * [`turn`]: a turn's items, grouped so that each touched connection is written once.
//! * [`deliver`]: the turn itself: drain the ring, group, write.
//! * [`outbox`]: what a full socket has been promised; [`queue`]: the rules for it; [`pool`]: its bytes.
//! * [`reader`], [`session`], [`ask`]: what clients say, and what is answered.
//! * [`tend`]: what time brings: heartbeats, pings, timeouts.
//!
//! # When a client is slow
//! Its socket is full: its frames are queued, by reference, up to a bound for each topic. Beyond it a
//! topic falls *behind*: it costs nothing, stands in line behind what is queued, and starts over with a
//! snapshot when the socket has taken that; prints end in a gap. A notice that events never came is queued
//! like a frame; where it is given up, the gap says it, and of a state that is still unknown when its turn
//! comes the notice is made anew: nobody goes on with what is right no more. So a client that is always too slow
//! hears of all its topics in turn. A socket that takes nothing for [`Limits::stall_timeout`] is closed.
//! Nobody else notices.
//!
//! Knows nothing of tokio, mio or threads: [`crate::io::poller`] drives it.

mod ask;
pub use deliver::Budget;
pub use tend::TICK;
mod deliver;
mod index;
mod outbox;
mod pool;
mod queue;
mod reader;
mod session;
mod steps;
mod tend;
mod turn;

#[cfg(test)]
mod tests;

use crate::admission::Permit;
use crate::io::socket::Socket;
use crate::limits::Limits;
use crate::metrics::ShardMetrics;
use bytes::Bytes;
use deliver::Slow;
use index::{ConnId, Index, Slot, SlotId, SubState, Subscriber};
use outbox::Outbox;
use pool::Pool;
use session::{Closing, PendingAck, Session};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tapecast_fanout::{Delivery, Interests, pace::Congestion, ring::RingRx};
use tapecast_model::{Catalog, Mono, UnixNanos};
use tapecast_uring::Volley;
use tapecast_wire::{CloseReason, Encoding, Opcode, frame, reply};
use tracing::debug;
use turn::{Place, Turn};

/// What all shards share.
#[derive(Debug)]
pub struct Shared {
    /// What exists.
    pub catalog: Arc<Catalog>,
    /// Who wants what.
    pub interests: Arc<Interests>,
    /// What lossless replays look at.
    pub congestion: Congestion,
    /// What a connection may have.
    pub limits: Limits,
    /// This process's name in `welcome`.
    pub node: String,
    /// Connection names given out so far.
    pub connection_ids: AtomicU64,
}

/// Connections and the rings they are fed from.
pub struct Shard<S> {
    number: usize,
    shared: Arc<Shared>,
    ring: RingRx,
    conns: Vec<Option<Conn<S>>>,
    free: Vec<ConnId>,
    index: Index,
    turn: Turn,
    /// What is kept for full sockets.
    pool: Pool,
    /// Connections that ended in this round, to be removed when nothing refers to them.
    ended: Vec<(ConnId, CloseReason)>,
    /// Writes to many sockets with one system call, where the system allows it.
    volley: Option<Volley>,
    /// Subscribers that a volley is for.
    aimed: Vec<Subscriber>,
    /// Subscribers that could not take all of a run, and what became of the write.
    slow: Slow,
    /// Connections whose waiting requests can go on.
    resumed: Vec<ConnId>,
    count: Count,
    metrics: ShardMetrics,
    /// Connections held, for whoever gives out new ones.
    load: Arc<AtomicUsize>,
    /// Connections of lossless topics that are over half full.
    congested: u64,
    /// Where the round of [`tend`] stands, and since when it turns.
    tended: usize,
    tended_at: Mono,
    draining: bool,
}

/// A connection. What a delivery touches stands here, the rest behind one pointer.
struct Conn<S> {
    socket: S,
    place: Place,
    /// The socket said that it is full: wait until it says otherwise.
    blocked: bool,
    /// It counts as congested.
    congested: bool,
    /// What waits for the socket; none while it keeps up.
    outbox: Option<Box<Outbox>>,
    /// A subscription whose snapshots have not all come: until then, no data.
    pending: Option<Box<PendingAck>>,
    session: Box<Session>,
}

/// A connection that has completed its handshake.
#[derive(Debug)]
pub struct Arrival<S> {
    /// The socket, in non-blocking mode.
    pub socket: S,
    /// What the client sent right behind its handshake.
    pub early: Vec<u8>,
    /// How data frames are encoded for it.
    pub encoding: Encoding,
    /// Its right to exist.
    pub permit: Permit,
}

/// Counted here, added to the shared counters by [`Shard::publish_metrics`].
#[derive(Debug, Default)]
struct Count {
    indexed: u64,
    delivered: u64,
    conflated: u64,
    dropped: u64,
    snapshots: u64,
    bytes: u64,
    writes: u64,
}

impl<S: Socket> Shard<S> {
    /// A shard without connections.
    pub fn new(number: usize, shared: Arc<Shared>, ring: RingRx, metrics: ShardMetrics) -> Self {
        Self {
            number,
            shared,
            ring,
            conns: Vec::new(),
            free: Vec::new(),
            index: Index::default(),
            turn: Turn::default(),
            pool: Pool::default(),
            ended: Vec::new(),
            volley: None,
            aimed: Vec::new(),
            slow: Vec::new(),
            resumed: Vec::new(),
            count: Count::default(),
            metrics,
            load: Arc::new(AtomicUsize::new(0)),
            congested: 0,
            tended: 0,
            tended_at: Mono::default(),
            draining: false,
        }
    }

    /// Lets it write to many sockets with one system call. The volley must be this thread's own.
    pub fn use_volley(&mut self, volley: Volley) {
        self.volley = Some(volley);
    }

    /// How many connections it holds, as a handle for whoever gives out new ones.
    pub fn load(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.load)
    }

    /// Its end of the ring.
    pub fn ring(&self) -> &RingRx {
        &self.ring
    }

    /// Connections held.
    pub fn connections(&self) -> usize {
        self.conns.len() - self.free.len()
    }

    /// The socket of a connection.
    pub fn socket_mut(&mut self, conn: u32) -> Option<&mut S> {
        self.conns
            .get_mut(conn as usize)?
            .as_mut()
            .map(|c| &mut c.socket)
    }

    /// Takes a connection in: welcomes it and hears what it has said already. Returns its number.
    pub fn accept(&mut self, arrival: Arrival<S>, now: Mono, wall: UnixNanos) -> u32 {
        let Arrival {
            socket,
            mut early,
            encoding,
            permit,
        } = arrival;
        let name = self.shared.connection_ids.fetch_add(1, Ordering::Relaxed);
        let limits = &self.shared.limits;
        let welcome = reply::welcome(&reply::Welcome {
            connection: name,
            node: &self.shared.node,
            now: wall,
            heartbeat_ms: limits.heartbeat.as_millis() as u64,
            idle_timeout_ms: limits.idle_timeout.as_millis() as u64,
            topics: limits.topics_per_connection_max,
            requests_per_s: limits.requests_per_s,
            request_bytes: limits.request_bytes_max,
            outbox_bytes: limits.outbox_bytes_max,
        });
        let session = Box::new(Session::new(
            name,
            encoding,
            permit,
            limits.requests_per_s,
            now,
        ));
        let conn = Conn {
            socket,
            place: Place::default(),
            blocked: false,
            congested: false,
            outbox: None,
            pending: None,
            session,
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.conns[id as usize] = Some(conn);
                id
            }
            None => {
                self.conns.push(Some(conn));
                (self.conns.len() - 1) as ConnId
            }
        };
        self.load.store(self.connections(), Ordering::Relaxed);
        self.metrics.opened.inc();
        self.say(id, &welcome, now);
        if self.draining {
            self.close(id, CloseReason::Drain, "the server is going away", now);
        }
        if !early.is_empty() {
            self.hear(id, &mut early, now, wall);
        }
        self.reap();
        id
    }

    /// Reads what a connection has sent. `scratch` is where it is read to.
    /// Returns whether there may be more to read.
    pub fn handle_readable(
        &mut self,
        id: u32,
        scratch: &mut [u8],
        now: Mono,
        wall: UnixNanos,
    ) -> bool {
        let mut more = true;
        // Bounded, so that a client that never stops talking does not stop the others.
        for _ in 0..READS_PER_EVENT {
            more = false;
            let Some(conn) = self.conn_mut(id) else { break };
            match conn.socket.try_read(scratch) {
                Ok(0) => {
                    let reason = conn.session.closing.as_ref();
                    let reason = reason.map_or(CloseReason::Gone, |c| c.reason);
                    self.end(id, reason);
                    break;
                }
                Ok(read) => {
                    self.hear(id, &mut scratch[..read], now, wall);
                    more = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => more = true,
                Err(_) => {
                    self.end(id, CloseReason::Gone);
                    break;
                }
            }
        }
        self.reap();
        more
    }

    /// A socket that was full takes bytes again.
    pub fn handle_writable(&mut self, id: u32, now: Mono) {
        if let Some(conn) = self.conn_mut(id) {
            conn.blocked = false;
            self.flush(id, now);
        }
        self.reap();
    }

    /// Closes every connection: the server is going away.
    pub fn drain(&mut self, now: Mono) {
        self.draining = true;
        for id in 0..self.conns.len() as ConnId {
            self.close(id, CloseReason::Drain, "the server is going away", now);
        }
        self.reap();
    }

    /// Sends a control message, ahead of queued data.
    fn say(&mut self, id: ConnId, text: &[u8], now: Mono) {
        self.say_frame(id, frame::whole(Opcode::Text, text).into(), now);
    }

    fn say_frame(&mut self, id: ConnId, frame: Bytes, now: Mono) {
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        // Behind a close frame nothing is said.
        if conn.session.closing.is_some() {
            return;
        }
        conn.outbox(now).push_control(frame);
        self.flush(id, now);
        self.check_outbox(id, now);
    }

    /// Begins to close a connection: says why, gives up what is queued, and waits for the peer.
    fn close(&mut self, id: ConnId, reason: CloseReason, message: &str, now: Mono) {
        self.close_with(id, reason, reason.close_code(), message, now);
    }

    fn close_with(&mut self, id: ConnId, reason: CloseReason, code: u16, message: &str, now: Mono) {
        let deadline = now.after(self.shared.limits.close_timeout);
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        if conn.session.closing.is_some() {
            return;
        }
        let peer_done = reason == CloseReason::Client;
        conn.session.closing = Some(Box::new(Closing {
            reason,
            deadline,
            peer_done,
            shut: false,
        }));
        conn.pending = None;
        conn.session.waiting = None;
        let outbox = conn.outbox(now);
        let gone = outbox.take_data();
        if let Some(error) = reason.error() {
            outbox.push_control(frame::whole(Opcode::Text, &reply::bye(error, message)).into());
        }
        outbox.push_control(frame::close(code, message).into());
        self.count.dropped += gone.iter().map(|e| u64::from(e.frames)).sum::<u64>();
        self.unsubscribe_all(id);
        self.flush(id, now);
    }

    /// Marks a connection for removal.
    fn end(&mut self, id: ConnId, reason: CloseReason) {
        if self.conn_mut(id).is_some() && !self.ended.iter().any(|(ended, _)| *ended == id) {
            self.ended.push((id, reason));
        }
    }

    /// Removes the connections that have ended.
    fn reap(&mut self) {
        while let Some((id, reason)) = self.ended.pop() {
            self.unsubscribe_all(id);
            let Some(mut conn) = self.conns.get_mut(id as usize).and_then(Option::take) else {
                continue;
            };
            // All at once, and not topic by topic: that would be the queue times the topics.
            if let Some(outbox) = conn.outbox.take() {
                self.count.dropped += u64::from(outbox.frames());
            }
            if conn.congested {
                self.congested -= 1;
                self.shared.congestion.set(self.number, self.congested);
            }
            conn.socket.shutdown_write();
            debug!(
                connection = conn.session.id,
                reason = reason.label(),
                "Client closed"
            );
            self.free.push(id);
            self.load.store(self.connections(), Ordering::Relaxed);
            self.metrics.closed[reason.index()].inc();
        }
    }

    fn unsubscribe_all(&mut self, id: ConnId) {
        loop {
            let Some(last) = self
                .conn_mut(id)
                .and_then(|c| c.session.subs.len().checked_sub(1))
            else {
                return;
            };
            self.unsubscribe(id, last);
        }
    }

    /// Removes one subscription of a connection, and tells its slot. What is queued of it is to be
    /// given up by the caller, for all topics at once.
    fn unsubscribe(&mut self, id: ConnId, sub: usize) -> Option<SlotId> {
        let Some(Some(conn)) = self.conns.get_mut(id as usize) else {
            return None;
        };
        steps::visit(1);
        let session = &mut conn.session;
        let subscription = session.subs[sub];
        session.count_change(subscription.state, SubState::Live);
        session.forget_place(sub);
        if self
            .index
            .slot(subscription.slot)
            .is_some_and(Slot::is_lossless)
        {
            session.lossless -= 1;
        }
        let (moved, gone) = self.index.remove(id, &mut session.subs, sub);
        if let Some(moved) = moved
            && let Some(Some(other)) = self.conns.get_mut(moved.subscriber.conn as usize)
        {
            moved.tell(&mut other.session.subs);
        }
        if let Some(slot) = gone {
            let interests = &self.shared.interests;
            interests.leave(&slot.entry, self.number, slot.encoding);
        }
        Some(subscription.slot)
    }

    /// Moves a subscription to another state, keeping both sides of the links true.
    fn set_state(&mut self, id: ConnId, sub: usize, state: SubState) {
        let Some(Some(conn)) = self.conns.get_mut(id as usize) else {
            return;
        };
        let session = &mut conn.session;
        session.count_change(session.subs[sub].state, state);
        let moved = self.index.set_state(id, &mut session.subs, sub, state);
        if let Some(moved) = moved
            && let Some(Some(other)) = self.conns.get_mut(moved.subscriber.conn as usize)
        {
            moved.tell(&mut other.session.subs);
        }
    }

    fn conn_mut(&mut self, id: ConnId) -> Option<&mut Conn<S>> {
        self.conns.get_mut(id as usize)?.as_mut()
    }
}

impl Count {
    /// Counts frames that a slow client does not get.
    fn give_up(&mut self, delivery: Delivery, frames: u64) {
        match delivery {
            Delivery::Keep => self.dropped += frames,
            Delivery::Latest | Delivery::Resync => self.conflated += frames,
        }
    }
}

impl<S> Conn<S> {
    fn outbox(&mut self, now: Mono) -> &mut Outbox {
        self.outbox
            .get_or_insert_with(|| Box::new(Outbox::new(now)))
    }

    /// Whether data must wait: the socket is full, something is queued before them, or an
    /// acknowledgement has to go first.
    fn must_wait(&self) -> bool {
        self.blocked || self.outbox.is_some() || self.pending.is_some()
    }
}

/// A client may have this many buffers read in a row before others get their turn.
const READS_PER_EVENT: usize = 4;
