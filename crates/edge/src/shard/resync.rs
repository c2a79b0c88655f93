//! Resync of topics that have fallen behind: by a snapshot, or by a notice of what is lost.
//!
//! A topic's turn comes when the socket has taken what was queued before it. A client may have a
//! thousand such topics, and many such clients may wait. So a round resyncs [`RESYNCS_PER_ROUND`]
//! topics, over all connections; the next round continues where it stopped.

use super::Shard;
use super::index::{ConnId, SubState};
use super::outbox::Entry;
use super::socket::Socket;
use tapecast_model::{ChannelKind, Mono, Seq, StreamPos};
use tapecast_wire::reply::{self, Gap, GapCause};
use tapecast_wire::{Opcode, frame};

impl<S: Socket> Shard<S> {
    /// Resyncs topics of a connection, as many as this round may: those whose placeholders have been reached,
    /// and all that are behind if everything is written.
    pub(super) fn resync_due(&mut self, id: ConnId, now: Mono) {
        let Some(conn) = self.conn_mut(id).filter(|conn| !conn.muted) else {
            return;
        };
        let all = conn.outbox.is_none();
        if !conn.session.has_due(all) {
            return;
        }
        let left_before = self.resyncs_left;
        while self.resyncs_left > 0
            && let Some(sub) = self
                .conn_mut(id)
                .and_then(|conn| conn.session.next_due(all))
        {
            self.resyncs_left -= 1;
            self.resync_topic(id, sub, now);
        }
        let Some(Some(conn)) = self.conns.get_mut(id as usize) else {
            return;
        };
        if !conn.session.has_due(all) {
            conn.session.resyncs = None;
        } else {
            let resyncs = conn.session.resyncs.get_or_insert_default();
            if !std::mem::replace(&mut resyncs.continues, true) {
                self.resyncing.push_back(id);
            }
        }
        // Where a gap ends there is a notice to write.
        if self.resyncs_left < left_before && conn.outbox.is_some() && !conn.blocked {
            self.set_dirty(id);
        }
    }

    /// Continues with the connections whose topics did not all resync in the last round.
    pub(super) fn resync_some(&mut self, now: Mono) {
        self.resyncs_left = RESYNCS_PER_ROUND;
        for _ in 0..self.resyncing.len() {
            if self.resyncs_left == 0 {
                return;
            }
            let Some(id) = self.resyncing.pop_front() else {
                return;
            };
            if let Some(conn) = self.conn_mut(id)
                && let Some(resyncs) = &mut conn.session.resyncs
            {
                resyncs.continues = false;
                self.resync_due(id, now);
            }
        }
    }

    fn resync_topic(&mut self, id: ConnId, sub: usize, now: Mono) {
        let Some(subscription) = self
            .conn_mut(id)
            .and_then(|conn| conn.session.subs.get(sub).copied())
        else {
            return;
        };
        if let SubState::Behind(since) = subscription.state
            && let Some(slot) = self.index.slot(subscription.slot)
        {
            let ends_in_notice = if subscription.tid != slot.entry.tid {
                // It has not heard of this topic, and must first.
                false
            } else if slot.entry.topic.channel.kind() == ChannelKind::Trade {
                since.epoch == slot.pos.epoch
            } else {
                // There is no state to resync with until there is news.
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

    /// Queues a notice that the events after `since`, up to `to`, will not come. For trades the reason is
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

/// Topics that resync in a round, over all connections: some hundred microseconds.
pub(super) const RESYNCS_PER_ROUND: usize = 512;
