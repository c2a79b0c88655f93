//! Eviction: while the pool is above its limit, the connections that are furthest behind give up what is
//! queued for them. Their topics resync later.
//!
//! A queue may hold ten thousand entries. So a round evicts [`EVICTIONS_PER_ROUND`] of them, the last of
//! a queue first: the rest of the queue is at any time what the client should get next. Nothing is added
//! to a queue that is being evicted. If the pool grows faster than the rounds evict, nothing more is
//! kept for any full socket.

use super::index::{ConnId, SubState};
use super::outbox::Entry;
use super::socket::Socket;
use super::{Conn, Shard};
use tapecast_fanout::Delivery;
use tapecast_model::Mono;

impl<S: Socket> Shard<S> {
    /// Whether the pool is so far above its limit that nothing more may be kept.
    pub(super) fn keeps_too_much(&self) -> bool {
        let max = self.parked_bytes_max();
        self.pool.bytes() > max + max / 8
    }

    /// Bytes that this shard may keep for full sockets.
    fn parked_bytes_max(&self) -> usize {
        self.settings.limits.parked_bytes_max / self.shared.congestion.shards()
    }

    /// Evicts as much as a round may, while the pool is above its limit.
    pub(super) fn evict(&mut self) {
        let max = self.parked_bytes_max();
        if self.evicted.is_empty() && self.pool.bytes() > max {
            self.evicted = self.furthest_behind();
        }
        let mut left = EVICTIONS_PER_ROUND;
        while let Some(&(_, id)) = self.evicted.last() {
            if !self.evict_one(id, &mut left) {
                return;
            }
            self.evicted.pop();
            // It makes some room at once, so that it does not begin again in the next turn.
            if self.pool.bytes() <= max - max / 8 {
                self.evicted.clear();
            }
        }
    }

    /// The connections for which data are kept, those furthest behind last.
    fn furthest_behind(&self) -> Vec<(Mono, ConnId)> {
        let oldest = |conn: &Conn<S>| {
            let outbox = conn.outbox.as_ref().filter(|outbox| outbox.has_bytes())?;
            outbox.oldest()
        };
        let kept_for = self.conns.iter().enumerate().filter_map(|(id, conn)| {
            let conn = conn.as_ref().filter(|c| c.session.lossless == 0)?;
            Some((oldest(conn)?, id as ConnId))
        });
        let mut kept_for: Vec<_> = kept_for.collect();
        kept_for.sort_unstable_by(|a, b| b.cmp(a));
        kept_for
    }

    /// Gives up what is queued for a connection, the last first, `left` entries at most. Returns whether
    /// all of it is given up.
    fn evict_one(&mut self, id: ConnId, left: &mut usize) -> bool {
        loop {
            let conn = self.conn_mut(id);
            let conn = conn.filter(|c| !c.muted && c.session.lossless == 0);
            let Some(outbox) = conn.and_then(|conn| conn.outbox.as_mut()) else {
                return true;
            };
            if *left == 0 {
                return false;
            }
            *left -= 1;
            let Some(entry) = outbox.evict_last() else {
                self.metrics.evictions.inc();
                self.set_dirty(id);
                return true;
            };
            self.give_up(id, &entry);
        }
    }

    /// Gives up a queued entry. A placeholder keeps the place of its topic in the queue.
    fn give_up(&mut self, id: ConnId, entry: &Entry) {
        let Some(Some(conn)) = self.conns.get_mut(id as usize) else {
            return;
        };
        let Some(slot) = entry.slot else { return };
        let Some(sub) = conn.session.find(slot) else {
            return;
        };
        let delivery = self.index.slot(slot).map(|slot| slot.delivery);
        self.count
            .give_up(delivery.unwrap_or(Delivery::Keep), u64::from(entry.frames));
        let subscription = &mut conn.session.subs[sub];
        subscription.queued = subscription.queued.saturating_sub(entry.frames);
        let since = match subscription.state {
            SubState::Live => {
                let placeholder = Entry::placeholder(slot, entry.before, entry.published);
                if let Some(outbox) = conn.outbox.as_mut() {
                    outbox.put_placeholder(placeholder);
                }
                entry.before
            }
            // It had stopped queueing already; what is given up now comes before that.
            SubState::Behind(since) => since.min(entry.before),
            SubState::Joining(_) => return,
        };
        self.set_state(id, sub, SubState::Behind(since));
    }
}

/// Entries given up in a round: some hundred microseconds.
pub(super) const EVICTIONS_PER_ROUND: usize = 1_024;
