//! When topics with an interval are due: one queue for all of them, no timer per topic.
//!
//! A topic that holds an update is in the queue once, so the number of topics limits the queue, however
//! often topics begin and end. An entry means *check the topic at this time at the latest*. A topic
//! without subscribers, or one that holds nothing at that time, costs one check; a topic that is due
//! later goes back into the queue. The queue holds the topic's entry: until the check the topic does not
//! end, and its slot is not used again.
//!
//! Times are rounded up to [`TICK`]s, so that topics that are due at nearly the same time share one turn,
//! one wake-up and, if a client has several of them, one write.

use crate::interest::TopicEntry;
use crate::slot::TopicSlot;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use tapecast_model::Mono;

/// The resolution of times, in nanoseconds: 1 ms, a tenth of the shortest interval.
pub(super) const TICK: u64 = 1_000_000;

/// Interval topics that hold something, the next one first.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    queue: BinaryHeap<Reverse<Check>>,
    /// Whether the topic of a slot is in the queue.
    queued: Vec<bool>,
}

/// When to look at a topic.
#[derive(Debug)]
struct Check {
    at: Mono,
    entry: Arc<TopicEntry>,
}

impl Deadlines {
    /// Checks a topic not before `at`, and soon after it. If the topic is already in the queue, that
    /// check comes first, and the caller adds another one after it.
    pub(super) fn add(&mut self, entry: &Arc<TopicEntry>, at: Mono) {
        let index = entry.slot.index();
        if self.queued.len() <= index {
            self.queued.resize(index + 1, false);
        }
        if !std::mem::replace(&mut self.queued[index], true) {
            let (at, entry) = (tick(at), Arc::clone(entry));
            self.queue.push(Reverse(Check { at, entry }));
        }
    }

    /// Takes a topic that is to be looked at by now.
    pub(super) fn pop(&mut self, now: Mono) -> Option<Arc<TopicEntry>> {
        if self.next()? > now {
            return None;
        }
        let Reverse(Check { entry, .. }) = self.queue.pop()?;
        self.queued[entry.slot.index()] = false;
        Some(entry)
    }

    /// Whether what was added for `at` is to be looked at by now: a look may come early.
    pub(super) fn is_due(at: Mono, now: Mono) -> bool {
        tick(at) <= now
    }

    /// The next moment to look.
    pub(super) fn next(&self) -> Option<Mono> {
        self.queue.peek().map(|Reverse(look)| look.at)
    }
}

// === impl Check ===

impl Check {
    /// By time; topics of one moment in the order of their slots.
    fn key(&self) -> (Mono, TopicSlot) {
        (self.at, self.entry.slot)
    }
}

impl Ord for Check {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Check {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Check {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Check {}

/// The first tick that is not before `at`.
fn tick(at: Mono) -> Mono {
    Mono::new(at.get().div_ceil(TICK).saturating_mul(TICK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapecast_model::{Instrument, InstrumentId, Scale, Symbol, Venue};

    fn entry(slot: u32) -> Arc<TopicEntry> {
        let scale = Scale::default();
        let instrument = Arc::new(Instrument {
            id: InstrumentId::new(0),
            venue: Venue::new("x").unwrap(),
            symbol: Symbol::new("A").unwrap(),
            native: "A".into(),
            price_scale: scale,
            qty_scale: scale,
            lossless: false,
        });
        let topic = "quote:x:A@10ms".parse().unwrap();
        Arc::new(TopicEntry::new(
            slot,
            TopicSlot::new(slot),
            topic,
            instrument,
        ))
    }

    fn pop(due: &mut Deadlines, now: u64) -> Option<usize> {
        due.pop(Mono::new(now)).map(|entry| entry.slot.index())
    }

    #[test]
    fn topics_come_in_order_and_those_of_one_tick_together() {
        let mut due = Deadlines::default();
        for (slot, at) in [(3, 5 * TICK + 1), (1, 2 * TICK), (2, 5 * TICK + 9)] {
            due.add(&entry(slot), Mono::new(at));
        }
        assert_eq!(due.next(), Some(Mono::new(2 * TICK)));
        assert_eq!(pop(&mut due, 2 * TICK - 1), None);
        assert_eq!(pop(&mut due, 2 * TICK), Some(1));
        assert_eq!(pop(&mut due, 6 * TICK - 1), None, "never early");
        assert_eq!(due.next(), Some(Mono::new(6 * TICK)));
        let both = [pop(&mut due, 6 * TICK), pop(&mut due, 6 * TICK)];
        assert_eq!(both, [Some(2), Some(3)]);
        assert_eq!(due.next(), None);
    }

    #[test]
    fn a_topic_stands_in_the_queue_once_however_often_it_begins() {
        let (mut due, entry) = (Deadlines::default(), entry(7));
        for life in 0..1_000 {
            due.add(&entry, Mono::new(TICK + life));
        }
        assert_eq!(due.queue.len(), 1);
        assert_eq!(pop(&mut due, TICK), Some(7));
        due.add(&entry, Mono::new(9 * TICK));
        assert_eq!(due.next(), Some(Mono::new(9 * TICK)));
    }
}
