//! A shard: sole owner of its connections, synchronous, without its own thread or clock. Its caller tells
//! it what happens and what time it is. Hop 7 of an update's life, and the rules of hop 8.
//!
//! * [`index`]: which connections subscribe to which topics.
//! * [`turn`]: a turn's items, grouped so that each connection with data is written once.
//! * [`deliver`]: the turn itself: drain the ring, group, write.
//! * [`effects`]: the one place that writes to them and ends them.
//! * [`outbox`]: the queue of a full socket; [`backpressure`]: its rules; [`pool`]: its bytes.
//! * [`eviction`]: what is given up when the pool is full; [`resync`]: how topics that are behind go on.
//! * [`reader`], [`session`], [`requests`]: requests of clients, and their answers.
//! * [`intake`]: how much clients may send, and which is read next; [`leaving`]: how connections end.
//! * [`inspect`]: information on connections for the admin listener.
//! * [`timers`]: heartbeats, pings, timeouts.
//!
//! # When a client is slow
//! If its socket is full, its frames are queued by reference, up to a limit for each topic. Above the
//! limit a topic falls *behind*. It then costs nothing, waits after the queued frames, and resyncs with a
//! snapshot when the socket has taken these frames. Trades continue after a gap. A notice that events
//! never came is queued like a frame. If the notice is removed from the queue, the gap includes it. If a
//! state is still unknown when its topic's turn comes, the notice is made again, so that no client keeps
//! a state that is no longer right. So a client that is always too slow gets all its topics in turn. A
//! socket that takes nothing for [`Limits::stall_timeout`] is closed. Other clients are not affected.
//!
//! The shard knows nothing of tokio, mio or threads: [`crate::io::poller`] drives it.

mod requests;
pub use deliver::Budget;
pub use timers::TICK;
mod backpressure;
mod deliver;
mod effects;
mod eviction;
mod index;
pub mod inspect;
mod intake;
mod leaving;
mod outbox;
mod pool;
pub mod reader;
mod resync;
mod session;
pub mod socket;
mod steps;
mod successor;
mod timers;
mod turn;

#[cfg(test)]
mod tests;

use crate::admission::Permit;
use crate::limits::Limits;
use crate::metrics::ShardMetrics;
use crate::settings::Settings;
use bytes::Bytes;
use deliver::Slow;
use index::{ConnId, Index, NOT_AWAITED, Slot, SlotId, SubState, Subscriber};
use inspect::{Inspection, Past};
use leaving::{CHORES_PER_ROUND, Leaving};
use outbox::{Entry, Outbox};
use pool::Pool;
use resync::RESYNCS_PER_ROUND;
use session::{PendingAck, Session};
use socket::Socket;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tapecast_fanout::{Delivery, Interests, Item, pace::Congestion, ring::RingRx};
use tapecast_model::{Catalog, Held, InForce, Mono, RateLimit, UnixNanos};
use tapecast_uring::BatchSend;
use tapecast_wire::{CloseReason, Encoding, Opcode, frame, reply};
use timers::Totals;
use turn::{Parts, Turn};

/// What all shards share.
#[derive(Debug)]
pub struct Shared {
    /// What exists.
    pub catalog: Arc<Catalog>,
    /// The topics that have subscribers.
    pub interests: Arc<Interests>,
    /// What lossless replays look at.
    pub congestion: Congestion,
    /// What a connection may have, and more: swapped as a whole.
    pub settings: Arc<InForce<Settings>>,
    /// This process's name in `welcome`.
    pub node: String,
    /// Connection names given out so far.
    pub connection_ids: AtomicU64,
}

/// Connections and the rings they are fed from.
pub struct Shard<S> {
    number: usize,
    shared: Arc<Shared>,
    /// The settings in force, as of the start of this turn.
    settings: Held<Settings>,
    /// Silence of clients counts from here at the earliest: `idle_timeout` changed then.
    silence_from: Mono,
    /// The shortest time between heartbeats of any connection.
    heartbeat: Duration,
    ring: RingRx,
    conns: Vec<Option<Conn<S>>>,
    /// Connections that have something to write.
    dirty: VecDeque<ConnId>,
    free: Vec<ConnId>,
    index: Index,
    turn: Turn,
    /// What is kept for full sockets.
    pool: Pool,
    /// Connections that are taken apart, bit by bit.
    leaving: VecDeque<Leaving>,
    /// Connections whose topics did not all resync in the last round.
    resyncing: VecDeque<ConnId>,
    /// Topics that may still resync in this round.
    resyncs_left: usize,
    /// Connections that are evicted, the next last.
    evicted: Vec<(Mono, ConnId)>,
    /// Entries that may be cleaned up in this round.
    chores: usize,
    /// Connections with something to read, in turn.
    readers: VecDeque<ConnId>,
    /// Connections that are not read before a time, because they said too much.
    held: BinaryHeap<Reverse<(Mono, ConnId)>>,
    /// What was read in this round, in frames and topics of requests.
    work: usize,
    /// Accepted requests among the frames that are being read.
    granted: u32,
    /// The last received ping that is not answered yet.
    pinged: Option<Vec<u8>>,
    /// Writes to many sockets with one system call, where the system allows it.
    batch_send: Option<BatchSend>,
    /// Subscribers that a batch of sends is for.
    targets: Vec<Subscriber>,
    /// Subscribers that could not take all of a run, and what became of the write.
    slow: Slow,
    /// This turn's words that topics have successors.
    replaced: Vec<Item>,
    /// Connections whose waiting requests can go on.
    resumed: Vec<ConnId>,
    count: Count,
    metrics: ShardMetrics,
    /// The number of connections, for the listener that distributes new ones.
    load: Arc<AtomicUsize>,
    /// Connections of lossless topics that are over half full.
    congested: u64,
    /// The place of the round of [`timers`], and its start time.
    visited: usize,
    visited_at: Mono,
    totals: Totals,
    /// What the admin listener has asked for.
    inspections: VecDeque<Inspection>,
    /// Connections that have ended, the last of them.
    ended: Past,
    /// The time of day, as of the last round.
    wall: UnixNanos,
    /// How often it is said that a slow client was closed.
    slow_lines: RateLimit,
    /// The server goes away; so many connections have been told.
    draining: bool,
    drained: usize,
}

/// A connection. The fields that a delivery needs are here, the others are behind one pointer.
struct Conn<S> {
    socket: S,
    parts: Parts,
    /// The socket said that it is full: wait until it says otherwise.
    blocked: bool,
    /// It waits for [`Shard::apply_effects`].
    dirty: bool,
    /// It counts as congested.
    congested: bool,
    /// It is closing or has ended, and is given nothing more.
    muted: bool,
    /// What waits for the socket; none while it keeps up.
    outbox: Option<Box<Outbox>>,
    /// A subscription whose snapshots have not all come: until then, no data of its topics.
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
        let settings = shared.settings.hold();
        Self {
            number,
            shared,
            silence_from: Mono::default(),
            heartbeat: settings.limits.heartbeat,
            settings,
            ring,
            conns: Vec::new(),
            dirty: VecDeque::new(),
            free: Vec::new(),
            index: Index::default(),
            turn: Turn::default(),
            pool: Pool::default(),
            leaving: VecDeque::new(),
            resyncing: VecDeque::new(),
            resyncs_left: RESYNCS_PER_ROUND,
            evicted: Vec::new(),
            chores: CHORES_PER_ROUND,
            readers: VecDeque::new(),
            held: BinaryHeap::new(),
            work: 0,
            granted: 0,
            pinged: None,
            batch_send: None,
            targets: Vec::new(),
            slow: Vec::new(),
            replaced: Vec::new(),
            resumed: Vec::new(),
            count: Count::default(),
            metrics,
            load: Arc::new(AtomicUsize::new(0)),
            congested: 0,
            visited: 0,
            visited_at: Mono::default(),
            totals: Totals::default(),
            inspections: VecDeque::new(),
            ended: Past::new(),
            wall: UnixNanos::default(),
            slow_lines: RateLimit::of_log_lines(),
            draining: false,
            drained: 0,
        }
    }

    /// Lets it write to many sockets with one system call. It must be this thread's own.
    pub fn use_batch_send(&mut self, batch_send: BatchSend) {
        self.batch_send = Some(batch_send);
    }

    /// The number of its connections, for the listener that distributes new ones.
    pub fn load(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.load)
    }

    /// The settings in force, as of its last turn.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The limits of a connection. Rules ask for them here and nowhere else: today all connections have the same.
    fn limits(&self, _conn: ConnId) -> &Limits {
        &self.settings.limits
    }

    /// Takes the settings that are in force now.
    fn renew_settings(&mut self, now: Mono) {
        let Some(before) = self.settings.renew() else {
            return;
        };
        let limits = &self.settings.limits;
        if limits.idle_timeout != before.limits.idle_timeout {
            // Clients answer pings, which came as often as the old timeout needed.
            self.silence_from = now;
        }
        self.heartbeat = self.heartbeat.min(limits.heartbeat);
    }

    /// Its end of the ring.
    pub fn ring(&self) -> &RingRx {
        &self.ring
    }

    /// Open connections.
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

    /// Adds a connection: sends `welcome` and reads what it has already sent. Returns its number.
    pub fn accept(&mut self, arrival: Arrival<S>, now: Mono, wall: UnixNanos) -> u32 {
        let Arrival {
            socket,
            mut early,
            encoding,
            permit,
        } = arrival;
        let name = self.shared.connection_ids.fetch_add(1, Ordering::Relaxed);
        let limits = &self.settings.limits;
        let welcome = reply::welcome(&reply::Welcome {
            connection: name,
            node: &self.shared.node,
            now: wall,
            heartbeat_ms: limits.heartbeat.as_millis() as u64,
            idle_timeout_ms: limits.idle_timeout.as_millis() as u64,
            topics: limits.topics_per_connection_max,
            requests_per_s: limits.requests_per_s,
            messages_per_s: limits.messages_per_s,
            request_bytes: limits.request_bytes_max,
            outbox_bytes: limits.outbox_bytes_max,
        });
        let mut session = Session::new(name, encoding, permit, limits, now);
        session.since = wall;
        let session = Box::new(session);
        let conn = Conn {
            socket,
            parts: Parts::default(),
            blocked: false,
            dirty: false,
            congested: false,
            muted: false,
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
            self.close(id, CloseReason::Drain, "the server is shutting down", now);
        }
        if !early.is_empty() {
            let frames = self.hear(id, &mut early, now, wall);
            self.allow(id, frames, now);
        }
        self.apply_effects(now);
        self.reap();
        id
    }

    /// A socket that was full takes bytes again.
    pub fn handle_writable(&mut self, id: u32, now: Mono) {
        if let Some(conn) = self.conn_mut(id) {
            conn.blocked = false;
            self.set_dirty(id);
            self.apply_effects(now);
        }
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
        if conn.muted {
            return;
        }
        conn.outbox(now).push_control(frame);
        self.set_dirty(id);
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

    /// Queues an entry of a subscription; it waits if the acknowledgement must go first.
    fn enqueue(&mut self, sub: usize, entry: Entry, now: Mono) {
        let holds = self.pending.is_some() && self.session.subs[sub].awaited != NOT_AWAITED;
        let outbox = self.outbox(now);
        if holds {
            outbox.hold(entry);
        } else {
            outbox.push(entry);
        }
    }

    /// Whether data must wait: the socket is full, something is queued before them, an acknowledgement
    /// has to go first, or nothing more is to be written at all.
    fn must_wait(&self) -> bool {
        self.blocked || self.muted || self.outbox.is_some() || self.pending.is_some()
    }
}
