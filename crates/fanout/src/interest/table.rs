//! The table of topics: their numbers and slots, and which topics linger.
//!
//! The table has one lock, which is used on the control path only: when a client subscribes to a topic,
//! when its last subscriber has left, and when it ends.
//!
//! # When a topic may end
//! A topic may end when it has no subscribers and only the table refers to its entry: no queue, no
//! publisher, no shard and no shard that is about to join. New references come only from here, under the
//! lock, or from existing references. So an entry without other references stays without them.
//!
//! A topic that has a successor is no longer found. It ends when nobody else refers to its entry; there are at
//! most [`leaving_max`] such topics, and until one of them ends, no further topic gets a successor.
//!
//! # When it is full
//! A class that is full makes room for a new topic: its oldest lingering topic ends early. If none can end,
//! the topics that all have left do not count; the new topic is made beyond the limit, up to
//! [`leaving_max`]. When those linger, the table ends the oldest ones until the class is within its limit.

use super::census::{CLASSES, Census, INVENTED, NAMED, class_of};
use super::{TooManyTopics, TopicEntry, TopicLimits};
use crate::slot::Slots;
use crate::sync::{Ordering, fence};
use hashbrown::{HashMap, HashSet};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tapecast_model::catalog::{Resolved, leaving_max};
use tapecast_model::{Instrument, Mono, Topic};

/// All living topics.
#[derive(Debug)]
pub(super) struct Table {
    topics: HashMap<Topic, Held>,
    slots: Slots,
    tids: Tids,
    /// Topics that linger, and since when as far as is known here; by class, the oldest first.
    lingering: [VecDeque<(Mono, Arc<TopicEntry>)>; CLASSES],
    /// Topics that have successors.
    succeeded: Vec<Arc<TopicEntry>>,
    living: [usize; CLASSES],
    max: [usize; CLASSES],
    census: Arc<Census>,
    linger: Duration,
    /// The publisher's clock when it was last here.
    now: Mono,
}

#[derive(Debug)]
struct Held {
    entry: Arc<TopicEntry>,
    /// Since when it lingers, if it is in that queue.
    since: Option<Mono>,
}

/// Numbers for the wire.
#[derive(Debug)]
struct Tids {
    next: u32,
    living: HashSet<u32>,
}

/// What became of the topic that lingers longest.
enum Check {
    Nothing,
    NotYet,
    /// It must not end now: a subscriber has come back, or there is still a reference to it.
    Kept,
    Ended(Arc<TopicEntry>),
}

// === impl Table ===

impl Table {
    pub(super) fn new(limits: &TopicLimits, census: &Arc<Census>) -> Self {
        Self {
            topics: HashMap::new(),
            slots: Slots::default(),
            tids: Tids {
                next: limits.first_tid,
                living: HashSet::new(),
            },
            lingering: Default::default(),
            succeeded: Vec::new(),
            living: [0; CLASSES],
            max: [limits.topics_max, limits.invented_max()],
            census: Arc::clone(census),
            linger: limits.linger,
            now: Mono::default(),
        }
    }

    pub(super) fn find(&self, topic: &Topic) -> Option<Arc<TopicEntry>> {
        self.topics.get(topic).map(|held| Arc::clone(&held.entry))
    }

    /// Makes a new topic. If there is no room, the topic of its class that has lingered longest ends. It
    /// is returned together with the new one, so that the caller drops it outside the lock.
    pub(super) fn make(
        &mut self,
        topic: &Topic,
        resolved: Resolved,
    ) -> Result<(Arc<TopicEntry>, Option<Arc<TopicEntry>>), TooManyTopics> {
        let class = usize::from(resolved.lease.is_some());
        let full = TooManyTopics(self.max[class]);
        let mut ended = None;
        if self.living[class] >= self.max[class] {
            ended = self.evict(class);
            if ended.is_none() && !self.has_leaving(class) {
                return Err(full);
            }
        }
        let slot = self.slots.take().ok_or(full)?;
        let tid = self.tids.take();
        let entry = Arc::new(TopicEntry::new(tid, slot, topic.clone(), resolved));
        let held = Held {
            entry: Arc::clone(&entry),
            since: None,
        };
        self.topics.insert(topic.clone(), held);
        self.living[class] += 1;
        self.census.begin(&entry);
        Ok((entry, ended))
    }

    /// Whether a full class has topics that all have left, and room to wait for their ends.
    fn has_leaving(&self, class: usize) -> bool {
        let max = self.max[class];
        self.census.wanted(class) < max && self.living[class] < max + leaving_max(max)
    }

    /// This topic has no more subscribers, as far as the publisher knows.
    pub(super) fn linger(&mut self, entry: &Arc<TopicEntry>, now: Mono) {
        self.now = now;
        if let Some(held) = self.topics.get_mut(&entry.topic)
            && Arc::ptr_eq(&held.entry, entry)
            && held.since.replace(now).is_none()
        {
            self.lingering[class_of(entry)].push_back((now, Arc::clone(entry)));
        }
    }

    /// Puts a topic of this instrument in the place of one whose instrument was replaced. If no shard has
    /// joined it when the old one ends, it lingers. None if the topic has a successor already, or if too many have.
    pub(super) fn succeed(
        &mut self,
        entry: &Arc<TopicEntry>,
        by: &Arc<Instrument>,
    ) -> Option<Arc<TopicEntry>> {
        let held = self.topics.get(&entry.topic)?;
        if !Arc::ptr_eq(&held.entry, entry) || self.succeeded.len() >= self.succeeded_max() {
            return None;
        }
        let slot = self.slots.take()?;
        let tid = self.tids.take();
        let topic = entry.topic.clone();
        // With the old one's claim on the instrument, so that the classes count as before.
        let resolved = Resolved {
            instrument: Arc::clone(by),
            lease: entry.lease.clone(),
        };
        let successor = Arc::new(TopicEntry::new(tid, slot, topic, resolved));
        let held = Held {
            entry: Arc::clone(&successor),
            since: None,
        };
        self.topics.insert(entry.topic.clone(), held);
        self.census.begin(&successor);
        self.succeeded.push(Arc::clone(entry));
        Some(successor)
    }

    fn succeeded_max(&self) -> usize {
        leaving_max(self.max[NAMED])
    }

    /// Ends topics that have successors and to which nobody refers any more.
    fn sweep_succeeded(&mut self, ended: &mut Vec<Arc<TopicEntry>>) {
        let mut at = 0;
        while at < self.succeeded.len() {
            if Arc::strong_count(&self.succeeded[at]) > 1 {
                at += 1;
                continue;
            }
            // As in `look`.
            fence(Ordering::Acquire);
            let entry = self.succeeded.swap_remove(at);
            self.tids.living.remove(&entry.tid);
            self.slots.give_back(entry.slot);
            self.census.end(&entry);
            if let Some(successor) = entry.successor.get().filter(|s| !s.is_wanted()) {
                let successor = Arc::clone(successor);
                self.linger(&successor, self.now);
            }
            ended.push(entry);
        }
    }

    /// Ends topics that have lingered long enough, or that are too many, as far as `most` looks go; they
    /// are added to `ended`, to be dropped outside the lock. Returns whether there may be others.
    pub(super) fn sweep(
        &mut self,
        now: Mono,
        most: usize,
        ended: &mut Vec<Arc<TopicEntry>>,
    ) -> bool {
        self.now = now;
        let (mut looks, before) = (0, ended.len());
        for class in 0..CLASSES {
            // Each at most once: what is kept goes to the end of the queue.
            let waiting = self.lingering[class].len().min(most - looks);
            for _ in 0..waiting {
                looks += 1;
                match self.look(class, self.living[class] > self.max[class]) {
                    Check::Nothing | Check::NotYet => break,
                    Check::Kept => {}
                    Check::Ended(entry) => ended.push(entry),
                }
            }
        }
        // What is kept for now is looked at again soon enough.
        let more = ended.len() - before >= most;
        self.sweep_succeeded(ended);
        more
    }

    /// How many topics there are, and how many of them linger.
    pub(super) fn count(&self) -> (usize, usize) {
        let lingering = self.lingering.iter().map(VecDeque::len).sum();
        (self.topics.len(), lingering)
    }

    /// How many slots there are.
    pub(super) fn slots(&self) -> usize {
        self.slots.made()
    }

    #[cfg(test)]
    pub(super) fn set_next_tid(&mut self, tid: u32) {
        self.tids.next = tid;
    }

    /// Ends the topic of an invented instrument that lingers longest.
    pub(super) fn evict_invented(&mut self) -> Option<Arc<TopicEntry>> {
        self.evict(INVENTED)
    }

    fn evict(&mut self, class: usize) -> Option<Arc<TopicEntry>> {
        for _ in 0..EVICTION_LOOKS {
            match self.look(class, true) {
                Check::Nothing | Check::NotYet => return None,
                Check::Kept => {}
                Check::Ended(entry) => return Some(entry),
            }
        }
        None
    }

    /// Looks at the topic of this class that lingers longest; with `early`, it need not be due.
    fn look(&mut self, class: usize, early: bool) -> Check {
        let Some((queued, entry)) = self.lingering[class].pop_front() else {
            return Check::Nothing;
        };
        let held = self.topics.get_mut(&entry.topic);
        let Some(held) = held.filter(|held| Arc::ptr_eq(&held.entry, &entry)) else {
            // It has a successor.
            return Check::Kept;
        };
        let since = held.since.unwrap_or(queued);
        // Two: the map's, and the one in hand.
        let referred = Arc::strong_count(&entry) > 2;
        // Pairs with the Release in dropping a reference: what was written before is seen below.
        fence(Ordering::Acquire);
        if entry.is_wanted() {
            // Whoever has come back says when it leaves again.
            held.since = None;
            return Check::Kept;
        }
        if !early && self.now < since.after(self.linger) {
            if queued == since {
                self.lingering[class].push_front((queued, entry));
                return Check::NotYet;
            }
            // It came back and left again meanwhile.
            self.lingering[class].push_back((since, entry));
            return Check::Kept;
        }
        if referred {
            held.since = Some(self.now);
            self.lingering[class].push_back((self.now, entry));
            return Check::Kept;
        }
        self.topics.remove(&entry.topic);
        self.tids.living.remove(&entry.tid);
        self.slots.give_back(entry.slot);
        self.living[class] -= 1;
        self.census.end(&entry);
        Check::Ended(entry)
    }
}

// === impl Tids ===

impl Tids {
    /// The next number that no living topic has. There are fewer topics than numbers.
    fn take(&mut self) -> u32 {
        loop {
            let tid = self.next;
            self.next = self.next.wrapping_add(1);
            if self.living.insert(tid) {
                return tid;
            }
        }
    }
}

/// Topics looked at to find one that may end early.
const EVICTION_LOOKS: usize = 16;
