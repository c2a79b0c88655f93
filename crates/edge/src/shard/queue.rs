//! The rules for queued data, and the way from the queue to the socket.

use super::index::{ConnId, SlotId, SubState};
use super::outbox::Entry;
use super::turn::{PieceId, Turn};
use super::{Conn, Shard};
use crate::io::socket::Socket;
use hashbrown::HashSet;
use std::io::{ErrorKind, IoSlice};
use std::time::Duration;
use tapecast_fanout::Delivery;
use tapecast_model::{ChannelKind, Mono, Seq, StreamPos};
use tapecast_wire::reply::{self, Gap, GapCause};
use tapecast_wire::{CloseReason, Opcode, frame};

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
            conn.enqueue(sub, Entry::marker(slot, before, piece.published), now);
            let delivery = self.index.slot(slot).map(|slot| slot.delivery);
            self.count
                .give_up(delivery.unwrap_or(Delivery::Keep), frames);
            self.set_state(id, sub, SubState::Behind(before));
        }
    }

    fn rule(&self, id: ConnId, sub: usize, slot: SlotId, now: Mono) -> Rule {
        let half = self.shared.limits.outbox_bytes_max / 2;
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
        let (frames_max, kept_for) = match delivery {
            Delivery::Keep => (KEPT_FRAMES_MAX, PRINTS_KEPT_FOR),
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
            false if slow || bytes > half => Rule::Stop,
            _ => Rule::Queue,
        }
    }

    /// Closes a connection whose queue is over the limit. Only frames that are too large for it, or
    /// unread control messages, can cause this. Readers of lossless topics are exempt, because their
    /// source waits for them.
    pub(super) fn check_outbox(&mut self, id: ConnId, now: Mono) {
        let max = self.shared.limits.outbox_bytes_max;
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        let bytes = conn.outbox.as_ref().map_or(0, |o| o.bytes());
        if bytes > max && conn.session.lossless == 0 {
            let message = format!(
                "{bytes} bytes are queued, the limit is {max}; read faster or subscribe to less"
            );
            self.close(id, CloseReason::SlowConsumer, &message, now);
        }
    }

    /// Tells lossless replays whether this connection is over half full.
    pub(super) fn note_congestion(&mut self, id: ConnId) {
        let half = self.shared.limits.outbox_bytes_max / 2;
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

    /// Writes what is queued, as far as the socket takes it.
    pub(super) fn flush(&mut self, id: ConnId, now: Mono) {
        let Self { conns, count, .. } = self;
        let Some(Some(conn)) = conns.get_mut(id as usize) else {
            return;
        };
        let Conn {
            socket,
            outbox,
            session,
            blocked,
            ..
        } = conn;
        let mut due = Vec::new();
        while !*blocked && let Some(queue) = outbox.as_mut() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            if !queue.has_bytes() {
                due.extend(queue.take_due());
            }
            if queue.is_empty() {
                *outbox = None;
                break;
            }
            let filled = queue.slices(&mut slices);
            if filled == 0 {
                break;
            }
            count.writes += 1;
            match socket.try_write_vectored(&slices[..filled]) {
                Ok(0) => {
                    self.end(id, CloseReason::Gone);
                    return;
                }
                Ok(written) => {
                    count.bytes += written as u64;
                    queue.progress = now;
                    // A socket that was full and takes bytes has somebody who reads at its other end.
                    if std::mem::take(&mut queue.was_full) {
                        session.last_heard = now;
                    }
                    queue.advance(written, |slot, frames, _| {
                        count.delivered += u64::from(frames);
                        if let Some(sub) = session.find(slot) {
                            let queued = &mut session.subs[sub].queued;
                            *queued = queued.saturating_sub(frames);
                        }
                    });
                    due.extend(queue.take_due());
                    if queue.is_empty() {
                        *outbox = None;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    *blocked = true;
                    queue.was_full = true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.end(id, CloseReason::Gone);
                    return;
                }
            }
        }
        if !due.is_empty() {
            self.start_over(id, &due, now);
            // Where a gap ends there is a notice to write.
            if self
                .conn_mut(id)
                .is_some_and(|c| c.outbox.is_some() && !c.blocked)
            {
                return self.flush(id, now);
            }
        }
        self.after_flush(id, now);
    }

    /// These topics may resync now.
    fn start_over(&mut self, id: ConnId, due: &[SlotId], now: Mono) {
        for &slot in due {
            if let Some(sub) = self.session_find(id, slot) {
                self.catch_up_topic(id, sub, now);
            }
        }
    }

    fn after_flush(&mut self, id: ConnId, now: Mono) {
        self.note_congestion(id);
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        if conn.outbox.is_some() {
            return;
        }
        if let Some(closing) = conn.session.closing.as_mut() {
            // Everything is said: the peer reads it to the end, then answers.
            if !closing.shut {
                closing.shut = true;
                let (reason, peer_done) = (closing.reason, closing.peer_done);
                conn.socket.shutdown_write();
                if peer_done {
                    self.end(id, reason);
                }
            }
        } else if conn.session.behind > 0 {
            self.catch_up(id, now);
        }
    }

    /// Everything is written: topics that are behind resync, or end their gap.
    fn catch_up(&mut self, id: ConnId, now: Mono) {
        let subs = self.conn_mut(id).map_or(0, |conn| conn.session.subs.len());
        for sub in 0..subs {
            self.catch_up_topic(id, sub, now);
        }
        if self
            .conn_mut(id)
            .is_some_and(|c| c.outbox.is_some() && !c.blocked)
        {
            self.flush(id, now);
        }
    }

    fn catch_up_topic(&mut self, id: ConnId, sub: usize, now: Mono) {
        let Some(subscription) = self
            .conn_mut(id)
            .and_then(|conn| conn.session.subs.get(sub).copied())
        else {
            return;
        };
        if let SubState::Behind(since) = subscription.state
            && let Some(slot) = self.index.slot(subscription.slot)
        {
            let ends_in_notice = if slot.entry.topic.channel.kind() == ChannelKind::Trade {
                since.epoch == slot.pos.epoch
            } else {
                // There is no state to start over with until there is news.
                slot.ends_in_loss()
            };
            if ends_in_notice {
                self.end_gap(id, sub, since, now);
            } else {
                self.metrics.resyncs_slow.inc();
                self.join(id, sub, since);
            }
        }
    }

    /// Announces what was lost since `since`; from here on the topic is live again.
    fn end_gap(&mut self, id: ConnId, sub: usize, since: StreamPos, now: Mono) {
        let Some(Some(conn)) = self.conns.get(id as usize) else {
            return;
        };
        let to = self.index.slot(conn.session.subs[sub].slot).map(|s| s.pos);
        if let Some(to) = to.filter(|to| since < *to) {
            self.tell_gap(id, sub, since, to, now);
        }
        self.set_state(id, sub, SubState::Live);
    }

    /// Queues a notice that the events after `since`, up to `to`, will not come. For prints the reason is
    /// the slow client, even if other events were lost too. For a state, the state is unknown, and the
    /// reason is the loss upstream.
    pub(super) fn tell_gap(
        &mut self,
        id: ConnId,
        sub: usize,
        since: StreamPos,
        to: StreamPos,
        now: Mono,
    ) {
        let Some(Some(conn)) = self.conns.get_mut(id as usize) else {
            return;
        };
        let slot_id = conn.session.subs[sub].slot;
        let Some(slot) = self.index.slot(slot_id) else {
            return;
        };
        let last = if since.epoch == to.epoch {
            since.seq
        } else {
            Seq::ZERO
        };
        if last >= to.seq {
            // A new epoch that has not begun says nothing.
            return;
        }
        let gap = Gap {
            topic: &slot.entry.text,
            epoch: to.epoch,
            from: last.next(),
            to: to.seq,
            cause: match slot.entry.topic.channel.kind() {
                ChannelKind::Trade => GapCause::SlowConsumer,
                _ => GapCause::Upstream,
            },
            upstream: since < slot.lost_at,
        };
        let mut bytes = Vec::new();
        frame::append(&mut bytes, Opcode::Text, |out| reply::write_gap(out, &gap));
        let subscription = &mut conn.session.subs[sub];
        subscription.queued += 1;
        subscription.empty_at = 0;
        let notice = Entry {
            bytes: bytes.into(),
            slot: Some(slot_id),
            frames: 1,
            before: since,
            published: now,
        };
        conn.enqueue(sub, notice, now);
        self.count.indexed += 1;
        self.metrics.gaps.inc();
    }

    /// Resyncs the clients that are furthest behind, while the pool is above its limit.
    pub(super) fn evict(&mut self, now: Mono) {
        let max = self.shared.limits.parked_bytes_max / self.shared.congestion.shards();
        if self.pool.bytes() <= max {
            return;
        }
        let oldest = |conn: &Conn<S>| {
            let outbox = conn.outbox.as_ref().filter(|outbox| outbox.has_bytes())?;
            outbox.oldest()
        };
        let parked = self.conns.iter().enumerate().filter_map(|(id, conn)| {
            let conn = conn.as_ref().filter(|c| c.session.lossless == 0)?;
            Some((oldest(conn)?, id as ConnId))
        });
        let mut parked: Vec<_> = parked.collect();
        parked.sort_unstable();
        for (_, id) in parked {
            // Some room is made at once, so that this is not done again in the next turn.
            if self.pool.bytes() <= max - max / 8 {
                return;
            }
            self.fall_behind(id, now);
            self.metrics.evictions.inc();
            self.flush(id, now);
        }
    }

    /// Gives up all that is queued for a connection. Each topic keeps its place in line by a marker.
    fn fall_behind(&mut self, id: ConnId, now: Mono) {
        let Some(outbox) = self.conn_mut(id).and_then(|conn| conn.outbox.as_mut()) else {
            return;
        };
        let mut marked = HashSet::new();
        for entry in outbox.take_data().0 {
            let Some(slot) = entry.slot else { continue };
            let Some(sub) = self.session_find(id, slot) else {
                continue;
            };
            let delivery = self.index.slot(slot).map(|slot| slot.delivery);
            self.count
                .give_up(delivery.unwrap_or(Delivery::Keep), u64::from(entry.frames));
            let Some(conn) = self.conn_mut(id) else {
                return;
            };
            let subscription = &mut conn.session.subs[sub];
            subscription.queued = subscription.queued.saturating_sub(entry.frames);
            let since = match subscription.state {
                SubState::Live => entry.before,
                // It had stopped queueing already; what is given up now comes before that.
                SubState::Behind(since) => since.min(entry.before),
                SubState::Joining(_) => continue,
            };
            if marked.insert(slot) {
                let marker = Entry::marker(slot, entry.before, entry.published);
                conn.enqueue(sub, marker, now);
            }
            self.set_state(id, sub, SubState::Behind(since));
        }
    }

    fn session_find(&self, id: ConnId, slot: SlotId) -> Option<usize> {
        self.conns.get(id as usize)?.as_ref()?.session.find(slot)
    }

    /// Asks for a snapshot for a subscription that has so much, or nothing that counts.
    pub(super) fn join(&mut self, id: ConnId, sub: usize, had: StreamPos) {
        self.set_state(id, sub, SubState::Joining(had));
        let Some(Some(conn)) = self.conns.get(id as usize) else {
            return;
        };
        if let Some(slot) = self.index.slot_mut(conn.session.subs[sub].slot) {
            let interests = &self.shared.interests;
            let began = interests.join(&slot.entry, self.number, slot.encoding);
            slot.began = began.unwrap_or(slot.began);
        }
    }
}

/// Slices of one vectored write: beyond, the call's fixed cost is spread thin enough.
const SLICES: usize = 64;
/// Behind a queue whose head is older than this, no prints are kept.
const PRINTS_KEPT_FOR: Duration = Duration::from_secs(5);
/// And no states and changes, which a snapshot of then will say better.
const STATES_KEPT_FOR: Duration = Duration::from_secs(1);
/// Prints and states kept for a full socket, in frames of a topic: some seconds of a busy symbol.
const KEPT_FRAMES_MAX: u32 = 1_024;
/// Of what is replaced by something newer, one is on its way and that is enough.
const LATEST_FRAMES_MAX: u32 = 1;
/// Book changes kept: more of them than this are longer than the snapshot that replaces them.
const RESYNC_FRAMES_MAX: u32 = 32;
