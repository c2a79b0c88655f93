//! The backlog: changes to a book that came before the snapshot to which they belong.
//!
//! A [`VerifiedBook`](super::VerifiedBook) owns it. It is in use only while the book waits for a snapshot
//! of a venue whose snapshots do not come in the stream. When it is full, the oldest change is dropped,
//! because a later snapshot can still connect to the newest ones. The caller counts dropped changes.

use super::EventStamp;
use crate::event::{BookEvent, Link};
use std::collections::VecDeque;

/// How much a backlog holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BacklogLimits {
    /// Changes, default 10 000: more than a minute and a half of the busiest stream there is.
    pub changes: usize,
    /// Levels in all of them together, default 8 MiB worth: with hundreds of symbols waiting at once it adds up.
    pub levels: usize,
}

/// Changes in order of arrival.
#[derive(Debug)]
pub(super) struct Backlog {
    changes: VecDeque<(EventStamp, Box<BookEvent>)>,
    levels: usize,
    limits: BacklogLimits,
}

// === impl BacklogLimits ===

impl Default for BacklogLimits {
    fn default() -> Self {
        let level_bytes = size_of::<tapecast_model::Level>();
        Self {
            changes: 10_000,
            levels: (8 << 20) / level_bytes,
        }
    }
}

// === impl Backlog ===

impl Backlog {
    pub(super) const fn new(limits: BacklogLimits) -> Self {
        Self {
            changes: VecDeque::new(),
            levels: 0,
            limits,
        }
    }

    /// Keeps a change; returns how many had to go for it.
    pub(super) fn push(&mut self, stamp: EventStamp, change: Box<BookEvent>) -> u64 {
        self.levels += levels(&change);
        self.changes.push_back((stamp, change));
        let mut dropped = 0;
        while self.changes.len() > self.limits.changes || self.levels > self.limits.levels {
            if self.pop().is_none() {
                break;
            }
            dropped += 1;
        }
        dropped
    }

    /// Takes the oldest change; the memory goes with the last.
    pub(super) fn pop(&mut self) -> Option<(EventStamp, Box<BookEvent>)> {
        let Some((stamp, change)) = self.changes.pop_front() else {
            self.changes = VecDeque::new();
            return None;
        };
        self.levels -= levels(&change);
        Some((stamp, change))
    }

    /// Puts back what was just taken.
    pub(super) fn put_back(&mut self, stamp: EventStamp, change: Box<BookEvent>) {
        self.levels += levels(&change);
        self.changes.push_front((stamp, change));
    }

    /// The links of its changes, oldest first.
    pub(super) fn links(&self) -> impl Iterator<Item = Link> {
        self.changes.iter().map(|(_, change)| change.link)
    }

    /// Its newest change.
    pub(super) fn newest(&self) -> Option<&BookEvent> {
        self.changes.back().map(|(_, change)| &**change)
    }

    /// Forgets all, and its memory; returns how many there were.
    pub(super) fn clear(&mut self) -> u64 {
        let all = self.changes.len() as u64;
        *self = Self::new(self.limits);
        all
    }
}

fn levels(change: &BookEvent) -> usize {
    change.bids.len() + change.asks.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapecast_model::{Level, Price, Qty};

    fn change(last: u64, levels: usize) -> Box<BookEvent> {
        let level = Level::new(Price::from_mantissa(1), Qty::from_mantissa(1));
        let link = Link::Range { first: last, last };
        Box::new(BookEvent {
            bids: vec![level; levels],
            link,
            ..BookEvent::default()
        })
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let mut backlog = Backlog::new(BacklogLimits {
            changes: 2,
            levels: 100,
        });
        let dropped: Vec<_> = (1..=4)
            .map(|n| backlog.push(EventStamp::default(), change(n, 1)))
            .collect();
        assert_eq!(dropped, [0, 0, 1, 1]);
        let kept: Vec<_> = backlog.links().collect();
        assert_eq!(
            kept,
            [
                Link::Range { first: 3, last: 3 },
                Link::Range { first: 4, last: 4 }
            ]
        );
    }

    #[test]
    fn the_oldest_go_when_they_have_too_many_levels() {
        let mut backlog = Backlog::new(BacklogLimits {
            changes: 100,
            levels: 10,
        });
        assert_eq!(backlog.push(EventStamp::default(), change(1, 6)), 0);
        assert_eq!(backlog.push(EventStamp::default(), change(2, 4)), 0);
        assert_eq!(backlog.push(EventStamp::default(), change(3, 1)), 1);
        assert_eq!(backlog.levels, 5);
        // One change that is larger than all there may be is not kept either.
        assert_eq!(backlog.push(EventStamp::default(), change(4, 11)), 3);
        assert_eq!((backlog.levels, backlog.links().count()), (0, 0));
    }

    #[test]
    fn what_is_put_back_is_the_next_again() {
        let mut backlog = Backlog::new(BacklogLimits::default());
        backlog.push(EventStamp::default(), change(1, 2));
        backlog.push(EventStamp::default(), change(2, 2));
        let (stamp, first) = backlog.pop().unwrap();
        backlog.put_back(stamp, first);
        assert_eq!(
            backlog.pop().unwrap().1.link,
            Link::Range { first: 1, last: 1 }
        );
        assert_eq!(backlog.levels, 2);
    }
}
