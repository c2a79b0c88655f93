//! When interval topics are due: one queue for all of them, no timer per topic.
//!
//! A topic that holds something stands in the queue once, so the queue is bounded by the topics, however
//! often they begin and end. An entry says *look no later than then*: a topic that has ended, or holds
//! nothing by then, costs one look, and one that is due later goes back.
//!
//! Moments are rounded up to [`TICK`]s, so that topics that fall due close to each other share one turn,
//! one wake-up and, where a client has several of them, one write.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use tapecast_model::Mono;

/// How finely moments are told apart, in nanoseconds: 1 ms, a tenth of the shortest interval.
pub(super) const TICK: u64 = 1_000_000;

/// Interval topics that hold something, the next one first.
#[derive(Debug, Default)]
pub(super) struct Due {
    queue: BinaryHeap<Reverse<(Mono, u32)>>,
    /// Whether a topic stands in the queue.
    queued: Vec<bool>,
}

impl Due {
    /// Looks at a topic no earlier than at `at`, and soon after. If it stands in the queue already, that
    /// look comes first, and is to be followed by another.
    pub(super) fn add(&mut self, tid: u32, at: Mono) {
        let index = tid as usize;
        if self.queued.len() <= index {
            self.queued.resize(index + 1, false);
        }
        if !std::mem::replace(&mut self.queued[index], true) {
            self.queue.push(Reverse((tick(at), tid)));
        }
    }

    /// Takes a topic that is to be looked at by now.
    pub(super) fn pop(&mut self, now: Mono) -> Option<u32> {
        let Reverse((at, tid)) = *self.queue.peek()?;
        if at > now {
            return None;
        }
        self.queue.pop();
        self.queued[tid as usize] = false;
        Some(tid)
    }

    /// Whether what was added for `at` is to be looked at by now: a look may come early.
    pub(super) fn is_due(at: Mono, now: Mono) -> bool {
        tick(at) <= now
    }

    /// The next moment to look.
    pub(super) fn next(&self) -> Option<Mono> {
        self.queue.peek().map(|Reverse((at, _))| *at)
    }
}

/// The first tick that is not before `at`.
fn tick(at: Mono) -> Mono {
    Mono::new(at.get().div_ceil(TICK).saturating_mul(TICK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_come_in_order_and_those_of_one_tick_together() {
        let mut due = Due::default();
        for (tid, at) in [(3, 5 * TICK + 1), (1, 2 * TICK), (2, 5 * TICK + 9)] {
            due.add(tid, Mono::new(at));
        }
        assert_eq!(due.next(), Some(Mono::new(2 * TICK)));
        assert_eq!(due.pop(Mono::new(2 * TICK - 1)), None);
        assert_eq!(due.pop(Mono::new(2 * TICK)), Some(1));
        assert_eq!(due.pop(Mono::new(6 * TICK - 1)), None, "never early");
        assert_eq!(due.next(), Some(Mono::new(6 * TICK)));
        let both = [due.pop(Mono::new(6 * TICK)), due.pop(Mono::new(6 * TICK))];
        assert_eq!(both, [Some(2), Some(3)]);
        assert_eq!(due.next(), None);
    }

    #[test]
    fn a_topic_stands_in_the_queue_once_however_often_it_begins() {
        let mut due = Due::default();
        for life in 0..1_000 {
            due.add(7, Mono::new(TICK + life));
        }
        assert_eq!(due.queue.len(), 1);
        assert_eq!(due.pop(Mono::new(TICK)), Some(7));
        due.add(7, Mono::new(9 * TICK));
        assert_eq!(due.next(), Some(Mono::new(9 * TICK)));
    }
}
