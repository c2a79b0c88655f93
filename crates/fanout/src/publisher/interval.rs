//! Topics with an interval in the publisher: their updates pass a [`Conflator`], and are published when
//! due.

use super::deadlines::Deadlines;
use super::{Publisher, TURN_BYTES_MAX, TURN_ITEMS_MAX, live_mut};
use crate::conflator::Conflator;
use crate::interest::TopicEntry;
use crate::slot::TopicSlot;
use std::sync::Arc;
use tapecast_model::{Body, Mono, Update};

impl Publisher {
    /// Publishes what interval topics have held back long enough, as far as half a turn goes: the
    /// other half is for events, so that neither starves the other. Returns whether anything was due.
    pub fn publish_due(&mut self) -> bool {
        let mut looked = 0;
        while looked < LOOKS_PER_TURN
            && self.turn.frames.len() < TURN_BYTES_MAX / 2
            && self.turn.items.len() < TURN_ITEMS_MAX / 2
            && let Some(entry) = self.due.pop(self.mono)
        {
            looked += 1;
            self.look_at(&entry);
        }
        looked > 0
    }

    /// When [`Publisher::publish_due`] next has something to do.
    pub fn next_deadline(&self) -> Option<Mono> {
        self.due.next()
    }

    /// Looks at a topic that may be due.
    fn look_at(&mut self, entry: &Arc<TopicEntry>) {
        if self.let_go(entry) {
            // What is held goes with it.
            return;
        }
        let now = self.mono;
        self.conflate(entry.slot, |conflator, publish| {
            if conflator
                .deadline()
                .is_some_and(|at| Deadlines::is_due(at, now))
            {
                conflator.release(now, publish);
            }
        });
    }

    /// Takes an update of an interval topic.
    pub(super) fn take_conflated(&mut self, slot: TopicSlot, update: &Update<'_>) {
        let now = self.mono;
        let mut merged = false;
        self.conflate(slot, |conflator, publish| {
            merged = conflator.take(update, now, publish);
        });
        if merged {
            self.metrics.updates_conflated[update.body.kind().channel().index()].inc();
        }
    }

    /// Works a topic's conflator, and sees to it that what it then holds is published in time.
    pub(super) fn conflate(
        &mut self,
        slot: TopicSlot,
        work: impl FnOnce(&mut Conflator, &mut dyn FnMut(&Update<'_>) -> bool),
    ) {
        let Some(topic) = live_mut(&mut self.topics, slot) else {
            return;
        };
        let Some(mut conflator) = topic.conflator.take() else {
            return;
        };
        let (turn, metrics, now) = (&mut self.turn, &self.metrics, self.now);
        work(&mut conflator, &mut |update| {
            topic.publish(update, turn, now, metrics)
        });
        if let Some(at) = conflator.deadline() {
            self.due.add(&topic.entry, at);
        }
        topic.conflator = Some(conflator);
    }

    /// A stream's state as a topic's joiners may know it: a history ends with what was published.
    pub(super) fn as_published<'a>(&mut self, slot: TopicSlot, current: &Update<'a>) -> Update<'a> {
        let mut known = *current;
        if let Body::Trades(history) = current.body
            && let Some(topic) = live_mut(&mut self.topics, slot)
            && let Some(conflator) = &topic.conflator
        {
            known.body = Body::Trades(conflator.without_held(history));
        }
        known
    }
}

/// Topics looked at in one turn: most become a frame, the others cost next to nothing.
const LOOKS_PER_TURN: usize = 256;
