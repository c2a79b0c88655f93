//! Work that depends on time: heartbeats, pings and timeouts.
//!
//! There is no timer per connection. The shard visits its connections a slice at a time, so that it
//! visits each a few times per heartbeat interval, and at least every [`VISIT_EVERY_MAX`]. So the work is
//! spread evenly, and a long heartbeat interval delays nothing else.
//!
//! Every frame shows that the gateway is alive. A connection that got data within the interval gets only
//! one heartbeat every [`BUSY_INTERVALS`], which names the topics that were silent since the last one. A
//! connection with queued bytes gets one in each interval.
//!
//! The cost of a write does not depend on its size. So the heartbeat of a connection that has just got
//! data waits in its outbox and is sent together with the next data; if none come, it is sent at the next
//! visit.

use super::Shard;
use super::index::{ConnId, Index, Slot, SubState};
use super::session::Session;
use super::socket::Socket;
use std::time::Duration;
use tapecast_model::{Mono, UnixNanos};
use tapecast_wire::{CloseReason, Opcode, frame, reply};

/// What waits for the connections that were visited this time round.
#[derive(Debug, Default)]
pub(super) struct Totals {
    frames: i64,
    bytes: i64,
    blocked: i64,
    /// The shortest time between heartbeats of those visited.
    heartbeat: Option<Duration>,
}

/// What a connection has coming to it.
enum Visit {
    Nothing,
    End(CloseReason),
    Close(CloseReason, String),
    Say { ping: bool, heartbeat: bool },
}

impl<S: Socket> Shard<S> {
    /// Visits the connections whose turn it is. To be called every [`TICK`] or so.
    pub fn handle_time(&mut self, now: Mono, wall: UnixNanos) {
        let round = visit_every(self.heartbeat);
        let since = (now - self.visited_at).min(round);
        let count = self.conns.len() as u128 * since.as_nanos() / round.as_nanos().max(1);
        if count == 0 {
            return;
        }
        self.visited_at = now;
        // After a pause it goes on where it was, and does not make up for it all at once.
        for _ in 0..count.min(VISITS_PER_TICK) {
            if self.visited >= self.conns.len() {
                self.visited = 0;
                self.publish_totals();
            }
            self.visit(self.visited as ConnId, now, wall);
            self.add_to_totals(self.visited);
            self.visited += 1;
        }
        self.apply_effects(now);
    }

    fn visit(&mut self, id: ConnId, now: Mono, wall: UnixNanos) {
        // The kernel says "writable" only when much of a large send buffer is free. A slow reader
        // makes progress long before that: look for it. And what was left for data to take along has
        // waited long enough.
        if let Some(conn) = self.conn_mut(id)
            && conn.outbox.is_some()
        {
            conn.blocked = false;
            self.set_dirty(id);
            self.apply_effects(now);
        }
        self.acknowledge_late(id, now);
        match self.due(id, now) {
            Visit::Nothing => {}
            Visit::End(reason) => self.end(id, reason),
            Visit::Close(reason, message) => self.close(id, reason, &message, now),
            Visit::Say { ping, heartbeat } => {
                if ping {
                    let frame = frame::whole(Opcode::Ping, &[]);
                    self.say_frame(id, frame.into(), now);
                }
                if heartbeat {
                    self.heartbeat(id, now, wall);
                }
            }
        }
    }

    fn due(&mut self, id: ConnId, now: Mono) -> Visit {
        let limits = self.limits(id);
        let (ping_every, beat_every) = (limits.ping, limits.heartbeat);
        let (idle, stall) = (limits.idle_timeout, limits.stall_timeout);
        let silence_from = self.silence_from;
        let Some(Some(conn)) = self.conns.get_mut(id as usize) else {
            return Visit::Nothing;
        };
        let session = &mut conn.session;
        let beat_every = beat_every.min(session.heartbeat);
        if session.ended.is_some() {
            return Visit::Nothing;
        }
        if let Some(closing) = &session.closing {
            return if now >= closing.deadline {
                Visit::End(closing.reason)
            } else {
                Visit::Nothing
            };
        }
        // Behind a full socket our pings wait like everything else: then it is progress that counts.
        // And who is held back is not heard, whatever it says.
        let is_heard = !conn.blocked && now >= session.intake.held_to;
        if is_heard && now - session.last_heard.max(silence_from) >= idle {
            let message = format!(
                "the client sent nothing for {:.1} s; answer pings",
                idle.as_secs_f64()
            );
            return Visit::Close(CloseReason::Idle, message);
        }
        if let Some(outbox) = conn.outbox.as_ref().filter(|_| conn.blocked) {
            let oldest = outbox.oldest().unwrap_or(outbox.progress);
            if now - outbox.progress >= stall {
                let (bytes, age) = (outbox.bytes(), (now - oldest).as_secs_f64());
                let message = format!(
                    "{bytes} bytes are queued, the oldest for {age:.1} s; read faster or subscribe to less"
                );
                return Visit::Close(CloseReason::SlowConsumer, message);
            }
        }
        let ping = now - session.last_ping >= ping_every;
        if ping {
            session.last_ping = now;
        }
        // Behind a full socket one control message at a time is enough.
        let room = !conn
            .outbox
            .as_ref()
            .is_some_and(|o| conn.blocked && o.has_queued_control());
        let due = now - session.last_heartbeat >= beat_every && now >= session.heartbeat_at;
        let queued = conn.outbox.is_some();
        let heartbeat = due && room && !put_off(session, queued, &self.index, beat_every, now);
        if ping || heartbeat {
            Visit::Say { ping, heartbeat }
        } else {
            Visit::Nothing
        }
    }

    /// Says that the gateway is alive, and which topics were silent since the last heartbeat.
    fn heartbeat(&mut self, id: ConnId, now: Mono, wall: UnixNanos) {
        let Some(Some(conn)) = self.conns.get_mut(id as usize) else {
            return;
        };
        let (session, index) = (&mut conn.session, &self.index);
        let last = session.last_heartbeat;
        let lag = conn
            .outbox
            .as_ref()
            .and_then(|o| o.oldest())
            .map_or(Duration::ZERO, |o| now - o);
        let queued_bytes = conn.outbox.as_ref().map_or(0, |o| o.bytes());
        let from = session.heartbeat_from as usize;
        let (before, after) = session.subs.split_at(from.min(session.subs.len()));
        let mut looked_at = 0;
        let silent = after
            .iter()
            .chain(before)
            .take(SUBS_PER_HEARTBEAT)
            .filter_map(|sub| {
                looked_at += 1;
                let slot = index.slot(sub.slot)?;
                // What is queued has not been had yet, and this overtakes it. Who was sent nothing has
                // nothing to compare with.
                let is_told = sub.empty_at != slot.frames;
                let has_all = sub.state == SubState::Live && sub.queued == 0 && is_told;
                let silent = has_all && slot.last_frame < last;
                silent.then_some((&*slot.entry.text, slot.pos))
            });
        let silent = silent.take(SILENT_PER_HEARTBEAT);
        let text = reply::heartbeat(wall, silent, queued_bytes, lag.as_millis() as u64);
        let until_next = visit_every(self.heartbeat);
        let just_now = |slot: &Slot| now - slot.last_frame < until_next;
        let mut live = session.subs.iter().take(SUBS_PER_HEARTBEAT);
        let busy = live.any(|sub| index.slot(sub.slot).is_some_and(just_now));
        let subs = session.subs.len().max(1);
        session.heartbeat_from = ((from + looked_at) % subs) as u32;
        session.last_heartbeat = now;
        if busy && session.closing.is_none() {
            let frame = frame::whole(Opcode::Text, &text).into();
            conn.outbox(now).push_control(frame);
        } else {
            self.say(id, &text, now);
        }
    }

    /// Adds what was counted to the shared counters. To be called a few times a second.
    pub fn publish_metrics(&mut self) {
        let count = std::mem::take(&mut self.count);
        let m = &self.metrics;
        m.indexed.inc_by(count.indexed);
        m.delivered.inc_by(count.delivered);
        m.conflated.inc_by(count.conflated);
        m.dropped.inc_by(count.dropped);
        m.snapshots.inc_by(count.snapshots);
        m.bytes.inc_by(count.bytes);
        m.writes.inc_by(count.writes);
        m.connections.set(self.connections() as i64);
        m.subscriptions.set(self.index.subscriptions() as i64);
        m.parked_bytes.set(self.pool.bytes() as i64);
    }

    /// Adds what waits for a connection to the sums of this time round: over all connections at once
    /// they would hold up the data.
    fn add_to_totals(&mut self, at: usize) {
        let Some(Some(conn)) = self.conns.get(at) else {
            return;
        };
        let promised = conn.session.heartbeat;
        let shortest = self.totals.heartbeat.unwrap_or(promised).min(promised);
        self.totals.heartbeat = Some(shortest);
        if let Some(outbox) = &conn.outbox {
            self.totals.frames += i64::from(outbox.frames());
            self.totals.bytes += outbox.bytes() as i64;
            self.totals.blocked += i64::from(conn.blocked);
        }
    }

    /// Tells the sums of the time round that is over.
    fn publish_totals(&mut self) {
        let totals = std::mem::take(&mut self.totals);
        self.metrics.queued.set(totals.frames);
        self.metrics.outbox_bytes.set(totals.bytes);
        self.metrics.blocked.set(totals.blocked);
        let every = self.settings.limits.heartbeat;
        self.heartbeat = totals.heartbeat.unwrap_or(every).min(every);
    }
}

/// Whether a heartbeat that is due is not needed yet: nothing is queued, and data were sent so lately that
/// they will do for it. Notes when to look again.
fn put_off(session: &mut Session, queued: bool, index: &Index, every: Duration, now: Mono) -> bool {
    if queued || now >= session.last_heartbeat.after(every * BUSY_INTERVALS) {
        return false;
    }
    let live = session.subs.iter().take(SUBS_PER_HEARTBEAT);
    let mut sent = live
        .filter(|sub| sub.state == SubState::Live)
        .filter_map(|sub| Some(index.slot(sub.slot)?.last_frame.after(every)));
    let enough_until = sent.find(|until| *until > now);
    session.heartbeat_at = enough_until.unwrap_or(session.heartbeat_at);
    enough_until.is_some()
}

/// How often each connection is visited.
fn visit_every(heartbeat: Duration) -> Duration {
    (heartbeat / VISITS_PER_HEARTBEAT).min(VISIT_EVERY_MAX)
}

/// How often [`Shard::handle_time`] wants to be called.
pub const TICK: Duration = Duration::from_millis(10);

/// A connection that is sent data all the time gets a heartbeat once in so many intervals.
const BUSY_INTERVALS: u32 = 5;
/// Visits of a connection per heartbeat: heartbeats are late by two visits at most, half of it.
const VISITS_PER_HEARTBEAT: u32 = 4;
/// Acknowledgements, pings and timeouts are late by at most this time.
const VISIT_EVERY_MAX: Duration = Duration::from_millis(250);
/// Visits at a time, at most.
const VISITS_PER_TICK: u128 = 1_024;
/// Silent topics named in a heartbeat.
const SILENT_PER_HEARTBEAT: usize = 64;
/// Subscriptions looked at for a heartbeat; with more, the next goes on where this one ended.
const SUBS_PER_HEARTBEAT: usize = 256;
