//! The end of a connection, in slices. Its subscriptions and queued frames are removed in steps of at
//! most [`CHORES_PER_ROUND`] per round over all connections, so that many large clients that end at once
//! do not delay other clients.
//!
//! A connection that closes or has ended is **muted**: from this moment it gets only the `bye` and the
//! close frame. Its place becomes free when everything is removed.

use super::index::ConnId;
use super::outbox::{Entry, Outbox};
use super::session::Closing;
use super::socket::Socket;
use super::{Conn, Shard, steps};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use tapecast_model::Mono;
use tapecast_wire::{CloseReason, Opcode, frame, reply};
use tracing::{debug, info};

/// A connection that is taken apart.
#[derive(Debug)]
pub(super) struct Leaving {
    id: ConnId,
    /// What was queued for it.
    data: VecDeque<Entry>,
}

impl<S: Socket> Shard<S> {
    /// Closes every connection: the server is shutting down. Goes on in the rounds that follow.
    pub fn drain(&mut self, now: Mono) {
        self.draining = true;
        self.drained = 0;
        self.drain_some(now);
        self.apply_effects(now);
    }

    /// Whether there is something to clean up: then the next round should come at once.
    pub fn has_chores(&self) -> bool {
        let drains = self.draining && self.drained < self.conns.len();
        drains
            || !self.leaving.is_empty()
            || !self.resyncing.is_empty()
            || !self.evicted.is_empty()
            || !self.resumed.is_empty()
            || !self.inspections.is_empty()
    }

    pub(super) fn drain_some(&mut self, now: Mono) {
        if !self.draining {
            return;
        }
        let end = self.conns.len().min(self.drained + CLOSES_PER_ROUND);
        for id in self.drained..end {
            let id = id as ConnId;
            self.close(id, CloseReason::Drain, "the server is shutting down", now);
        }
        self.drained = end;
    }

    /// Begins to close a connection: says why, gives up what is queued, and waits for the peer.
    pub(super) fn close(&mut self, id: ConnId, reason: CloseReason, message: &str, now: Mono) {
        self.close_with(id, reason, reason.close_code(), message, now);
    }

    pub(super) fn close_with(
        &mut self,
        id: ConnId,
        reason: CloseReason,
        code: u16,
        message: &str,
        now: Mono,
    ) {
        let deadline = now.after(self.limits(id).close_timeout);
        let Some(Some(conn)) = self.conns.get_mut(id as usize) else {
            return;
        };
        if conn.session.closing.is_some() || conn.session.ended.is_some() {
            return;
        }
        if reason == CloseReason::SlowConsumer
            && let Some(more) = self.slow_lines.pass(now)
        {
            let outbox = conn.outbox.as_deref();
            let lag = outbox.and_then(Outbox::oldest).map(|oldest| now - oldest);
            info!(
                connection = format_args!("{:08x}", conn.session.id),
                address = %conn.session.permit.address(),
                topics = conn.session.subs.len(),
                queued_bytes = outbox.map_or(0, Outbox::bytes),
                lag_ms = lag.unwrap_or_default().as_millis() as u64,
                more,
                "Slow client closed"
            );
        }
        let seen = conn.seen(now);
        let peer_done = reason == CloseReason::Client;
        conn.session.closing = Some(Box::new(Closing {
            reason,
            deadline,
            peer_done,
            shut: false,
        }));
        let outbox = conn.outbox(now);
        let (data, frames) = outbox.take_data();
        if let Some(error) = reason.error() {
            outbox.push_control(frame::whole(Opcode::Text, &reply::bye(error, message)).into());
        }
        outbox.push_control(frame::close(code, message).into());
        self.count.dropped += u64::from(frames);
        conn.mute();
        self.leaving.push_back(Leaving { id, data });
        self.remember(seen, reason);
        self.set_dirty(id);
    }

    /// A connection is over: nothing is written to it or read from it any more.
    pub(super) fn end(&mut self, id: ConnId, reason: CloseReason) {
        let Some(Some(conn)) = self.conns.get_mut(id as usize) else {
            return;
        };
        if conn.session.ended.replace(reason).is_some() {
            return;
        }
        let is_leaving = conn.muted && !conn.session.is_apart;
        // Who was told goodbye is remembered as he was then.
        let seen = (!conn.muted).then(|| conn.seen(self.visited_at));
        let mut data = VecDeque::new();
        if let Some(mut outbox) = conn.outbox.take() {
            self.count.dropped += u64::from(outbox.frames());
            (data, _) = outbox.take_data();
        }
        if std::mem::take(&mut conn.congested) {
            self.congested -= 1;
            self.shared.congestion.set(self.number, self.congested);
        }
        conn.mute();
        if !is_leaving {
            conn.session.is_apart = false;
            self.leaving.push_back(Leaving { id, data });
        }
        if let Some(seen) = seen {
            self.remember(seen, reason);
        }
        self.set_dirty(id);
    }

    /// Takes apart what has ended, as far as this round's chores go.
    pub(super) fn reap(&mut self) {
        while self.chores > 0
            && let Some(leaving) = self.leaving.front_mut()
        {
            let some = leaving.data.len().min(self.chores);
            leaving.data.truncate(leaving.data.len() - some);
            steps::visit(some);
            self.chores -= some;
            let id = leaving.id;
            while self.chores > 0
                && let Some(last) = self
                    .conn_mut(id)
                    .and_then(|c| c.session.subs.len().checked_sub(1))
            {
                self.chores -= 1;
                self.unsubscribe(id, last);
            }
            if self.chores > 0 {
                self.chores -= 1;
                self.leaving.pop_front();
                self.remove(id);
            }
        }
    }

    /// Everything of a connection is gone: if it has ended, so is the connection.
    fn remove(&mut self, id: ConnId) {
        let Some(place) = self.conns.get_mut(id as usize) else {
            return;
        };
        let Some(conn) = place else { return };
        conn.session.is_apart = true;
        conn.session.subs = Vec::new();
        let Some(reason) = conn.session.ended else {
            return;
        };
        debug!(
            connection = format_args!("{:08x}", conn.session.id),
            reason = reason.label(),
            "Client closed"
        );
        *place = None;
        self.free.push(id);
        self.load.store(self.connections(), Ordering::Relaxed);
        self.metrics.closed[reason.index()].inc();
    }

    /// Another round's worth of chores may be done.
    pub(super) fn refill_chores(&mut self) {
        self.chores = CHORES_PER_ROUND;
    }
}

impl<S> Conn<S> {
    fn mute(&mut self) {
        self.muted = true;
        self.pending = None;
        self.session.waiting = None;
    }
}

/// Subscriptions ended and queued frames freed per round: some hundred microseconds.
pub(super) const CHORES_PER_ROUND: usize = 1_024;
/// Connections that get a `bye` per round when the server shuts down: a write each.
const CLOSES_PER_ROUND: usize = 64;
