//! The rules for data that a socket cannot take now: what is queued, what falls behind, and when a queue
//! is too long. They change state only; [effects](super::effects) write.

use super::Shard;
use super::index::{ConnId, SlotId, SubState};
use super::outbox::Entry;
use super::socket::Socket;
use super::turn::{PieceId, Turn};
use std::time::Duration;
use tapecast_fanout::Delivery;
use tapecast_model::Mono;
use tapecast_wire::CloseReason;

/// What the rule for a topic says of one more piece.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rule {
    Queue,
    /// Keep what is queued, and nothing more: a snapshot or a gap will follow.
    Stop,
}

impl<S: Socket> Shard<S> {
    /// Queues a piece for a connection that cannot take it now, or falls behind with its topic.
    pub(super) fn queue(&mut self, turn: &Turn, id: ConnId, sub: usize, at: PieceId, now: Mono) {
        let piece = turn.piece(at);
        let (slot, before, frames) = (piece.slot, piece.before, u64::from(piece.frames));
        let rule = self.rule(id, sub, slot, now);
        let Self { conns, pool, .. } = self;
        let Some(Some(conn)) = conns.get_mut(id as usize) else {
            return;
        };
        if rule == Rule::Queue {
            conn.session.subs[sub].queued += piece.frames;
            conn.enqueue(sub, Entry::of(turn, at, pool), now);
            self.note_congestion(id);
            self.check_outbox(id, now);
        } else {
            // What is queued already stays, or a topic that changes faster than the queue moves would
            // never be sent at all.
            conn.enqueue(sub, Entry::placeholder(slot, before, piece.published), now);
            let delivery = self.index.slot(slot).map(|slot| slot.delivery);
            self.count
                .give_up(delivery.unwrap_or(Delivery::Keep), frames);
            self.set_state(id, sub, SubState::Behind(before));
        }
    }

    fn rule(&self, id: ConnId, sub: usize, slot: SlotId, now: Mono) -> Rule {
        let half = self.limits(id).outbox_bytes_max / 2;
        let Some(slot) = self.index.slot(slot) else {
            return Rule::Queue;
        };
        let (lossless, delivery) = (slot.is_lossless(), slot.delivery);
        let Some(Some(conn)) = self.conns.get(id as usize) else {
            return Rule::Queue;
        };
        let queued = conn.session.subs[sub].queued;
        let outbox = conn.outbox.as_ref();
        let bytes = outbox.map_or(0, |o| o.bytes());
        let is_evicted = outbox.is_some_and(|o| o.is_evicted());
        let (frames_max, kept_for) = match delivery {
            Delivery::Keep => (KEPT_FRAMES_MAX, TRADES_KEPT_FOR),
            Delivery::Latest => (LATEST_FRAMES_MAX, STATES_KEPT_FOR),
            Delivery::Resync => (RESYNC_FRAMES_MAX, STATES_KEPT_FOR),
        };
        // Who only waits for an acknowledgement is not slow.
        let slow = conn.blocked
            && (queued >= frames_max
                || outbox
                    .and_then(|o| o.oldest())
                    .is_some_and(|o| now - o > kept_for));
        match lossless {
            false if slow || bytes > half || is_evicted || self.keeps_too_much() => Rule::Stop,
            _ => Rule::Queue,
        }
    }

    /// Closes a connection whose queue is over the limit. Only frames that are too large for it, or
    /// unread control messages, can cause this. Readers of lossless topics are exempt, because their
    /// source waits for them.
    pub(super) fn check_outbox(&mut self, id: ConnId, now: Mono) {
        let max = self.limits(id).outbox_bytes_max;
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        let queued = conn.outbox.as_ref().map_or(0, |o| o.bytes());
        let bytes = queued + conn.socket.pending();
        if bytes > max && conn.session.lossless == 0 {
            let message = format!(
                "{bytes} bytes are queued, the limit is {max}; read faster or subscribe to less"
            );
            self.close(id, CloseReason::SlowConsumer, &message, now);
        }
    }

    /// Tells lossless replays whether this connection is over half full.
    pub(super) fn note_congestion(&mut self, id: ConnId) {
        let half = self.limits(id).outbox_bytes_max / 2;
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        let bytes = conn.outbox.as_ref().map_or(0, |o| o.bytes());
        let congested = bytes > half && conn.session.lossless > 0;
        if congested != conn.congested {
            conn.congested = congested;
            self.congested = if congested {
                self.congested + 1
            } else {
                self.congested - 1
            };
            self.shared.congestion.set(self.number, self.congested);
        }
    }
}

/// Behind a queue whose head is older than this, no trades are kept.
const TRADES_KEPT_FOR: Duration = Duration::from_secs(5);
/// And no states and changes, which a snapshot of then will say better.
const STATES_KEPT_FOR: Duration = Duration::from_secs(1);
/// Trades and states kept for a full socket, in frames of a topic: some seconds of a busy symbol.
const KEPT_FRAMES_MAX: u32 = 1_024;
/// Of what is replaced by something newer, one is on its way and that is enough.
const LATEST_FRAMES_MAX: u32 = 1;
/// Book changes kept: more of them than this are longer than the snapshot that replaces them.
const RESYNC_FRAMES_MAX: u32 = 32;
