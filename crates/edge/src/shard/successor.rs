//! Topics whose instrument was replaced: their subscribers join the successor.
//!
//! The word comes through the ring, behind the last frame of the old topic. The successor takes the old topic's
//! place in the index, and all subscribers wait for its snapshot. Its first message to each of them is a
//! `subscribed` without an id, which has the new number, epoch and scales; the snapshot follows.
//!
//! No frame of the old topic comes after that message. Who has some in its queue falls behind, and joins the
//! successor when they are written. Who has not been acknowledged has not heard of the old topic: its frames
//! are given up, and the acknowledgement speaks of the successor.

use super::Shard;
use super::index::{ConnId, NOT_AWAITED, SubState, Subscriber};
use super::outbox::Entry;
use super::session::PendingAck;
use super::socket::Socket;
use bytes::Bytes;
use std::sync::Arc;
use tapecast_fanout::Item;
use tapecast_model::{Mono, StreamPos};
use tapecast_wire::reply::{self, Acknowledged, Start};
use tapecast_wire::{Opcode, frame};

impl<S: Socket> Shard<S> {
    /// A topic has a successor: joins it for all who subscribe the topic.
    pub(super) fn join_successor(&mut self, item: &Item, now: Mono) {
        let Some(id) = self.index.find(item.slot, item.encoding) else {
            return;
        };
        let Some(slot) = self.index.slot_mut(id) else {
            return;
        };
        let Some(successor) = slot.entry.successor().map(Arc::clone) else {
            return;
        };
        let (had, live) = (slot.pos, slot.live.clone());
        let Some(replaced) = self.index.replace(id, &successor) else {
            return;
        };
        let interests = &self.shared.interests;
        let began = interests.join(&successor, self.number, item.encoding);
        interests.abandon(&replaced, self.number, item.encoding);
        if let (Some(slot), Some(began)) = (self.index.slot_mut(id), began) {
            slot.began = began;
        }
        for Subscriber { conn, sub } in live {
            let sub = sub as usize;
            let state = self.leave_replaced(conn, sub, had, now);
            self.set_state(conn, sub, state);
        }
    }

    /// What a live subscriber of a replaced topic waits for.
    fn leave_replaced(&mut self, id: ConnId, sub: usize, had: StreamPos, now: Mono) -> SubState {
        let Some(Some(conn)) = self.conns.get_mut(id as usize) else {
            return SubState::Joining(had);
        };
        let subscription = &mut conn.session.subs[sub];
        let slot = subscription.slot;
        if conn.muted {
            return SubState::Joining(had);
        }
        if subscription.awaited != NOT_AWAITED {
            if let Some(ack) = &mut conn.pending {
                ack.start_over(subscription.awaited);
            }
            self.give_up_unacknowledged(id, sub);
            return SubState::Joining(StreamPos::default());
        }
        if subscription.queued > 0 {
            conn.enqueue(sub, Entry::placeholder(slot, had, now), now);
            return SubState::Behind(had);
        }
        SubState::Joining(had)
    }

    /// Has topics of an acknowledgement join their successors that were replaced since they started: the
    /// acknowledgement must not speak of two topics at once. Returns whether there are any.
    pub(super) fn start_over_replaced(&mut self, id: ConnId, ack: &mut PendingAck) -> bool {
        let mut any = false;
        for at in 0..ack.topics.len() {
            let topic = &ack.topics[at];
            let tid = self.index.slot(topic.slot).map(|slot| slot.entry.tid);
            let is_replaced = topic
                .started
                .is_some_and(|started| Some(started.tid) != tid);
            let sub = self.conn_mut(id).and_then(|c| c.session.find(topic.slot));
            if let Some(sub) = sub.filter(|_| is_replaced) {
                ack.start_over(at as u32);
                self.give_up_unacknowledged(id, sub);
                self.join(id, sub, StreamPos::default());
                any = true;
            }
        }
        any
    }

    /// Gives up what is queued of a topic that is not acknowledged yet.
    fn give_up_unacknowledged(&mut self, id: ConnId, sub: usize) {
        let Some(Some(conn)) = self.conns.get_mut(id as usize) else {
            return;
        };
        let subscription = &mut conn.session.subs[sub];
        let slot = subscription.slot;
        let Some(outbox) = &mut conn.outbox else {
            return;
        };
        let gone = outbox.give_up(|other| other == slot).frames;
        subscription.queued = outbox.partly_written(slot);
        self.count.conflated += u64::from(gone);
    }

    /// Tells a subscriber that its topic has another number and other scales, if it was told of others; before
    /// the snapshot that it gets in this turn. Returns whether it was. `notice` is the same for all subscribers
    /// of a topic.
    pub(super) fn tell_successor(
        &mut self,
        id: ConnId,
        sub: usize,
        (pos, start): (StreamPos, Start),
        notice: &mut Option<Bytes>,
        now: Mono,
    ) -> bool {
        let Some(Some(conn)) = self.conns.get_mut(id as usize) else {
            return false;
        };
        let subscription = &mut conn.session.subs[sub];
        let Some(slot) = self.index.slot(subscription.slot) else {
            return false;
        };
        let entry = &slot.entry;
        let is_awaited = subscription.awaited != NOT_AWAITED;
        // Behind a close frame nothing is said.
        if subscription.tid == entry.tid || is_awaited || conn.muted {
            return false;
        }
        subscription.tid = entry.tid;
        let notice = notice.get_or_insert_with(|| {
            let topic = Acknowledged {
                topic: &entry.text,
                pos,
                start,
                price_scale: entry.instrument.price_scale,
                qty_scale: entry.instrument.qty_scale,
                tid: entry.tid,
            };
            frame::whole(Opcode::Text, &reply::subscribed_anew(&topic)).into()
        });
        conn.outbox(now).push_control(notice.clone());
        self.turn.touch(id, &mut conn.parts);
        true
    }
}
