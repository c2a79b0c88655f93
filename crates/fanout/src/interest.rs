//! Interest: live topics, the shards that have subscribers, and requests for snapshots.
//!
//! A topic's [`TopicEntry`] is made at its first subscription. Shards set and clear their bit in it; the
//! publisher reads the bits when it publishes, and skips topics without subscribers. After its last
//! subscriber has left, the topic *lingers*: a subscriber that comes back within [`TopicLimits::linger`]
//! finds the same entry, and so the same number (`tid`). Then the topic ends, and its slot is used again:
//! see [`crate::slot`]. ADR 5 (docs/adr) describes the steps and their order.
//!
//! # Requests
//! To join a topic, a shard sets its bit and then asks for a snapshot. To leave it, a shard clears its
//! bit and then says so. Both requests go through one queue, which cannot overflow: a topic is in it at
//! most once, for any number of shards, and the queue has room for every possible topic. A new topic is
//! in the queue too, so the publisher knows every topic, even if no shard ever joins it.
//!
//! # Ordering
//! A shard sets or clears its bit and then swaps `queued`; the publisher clears `queued` and then reads
//! the bits. So a shard that finds `queued` still set knows that the publisher will see its bit (tested
//! under loom: no request is lost, and no topic is left behind).
//!
//! # Coming back
//! A shard that leaves and joins again may receive a snapshot that it asked for before it left. No update
//! follows this snapshot, because updates in between were not sent to the shard. So each time that a
//! shard's interest begins, the topic's count of beginnings rises. A snapshot contains the count at which
//! it was made, and a shard ignores snapshots from before its interest began.
//!
//! # Instruments that are replaced
//! If the scales of an instrument change, another instrument takes its place
//! ([`UpdateSink::replace`](tapecast_model::UpdateSink::replace)), and each of its topics begins again, as a
//! topic with the same text, another slot and another `tid`: its *successor* ([`Requests::succeed`]). From then
//! on new subscribers find the successor. Shards that know the old topic are told in the order of their rings
//! ([`ItemKind::Replaced`](crate::ItemKind::Replaced)), and join the successor then. The old topic ends when no
//! queue and no shard refers to it.
//!
//! # Limits
//! At most `topics_max` topics of instruments that sources have named, and half as many of instruments
//! that subscribers invented. If there is no room, the topic that has lingered longest ends early. If
//! none can, topics that all have left and that the publisher still knows do not count: see
//! [`leaving_max`](tapecast_model::catalog::leaving_max). Beyond this, the topic is refused by name.

mod census;
mod table;

use crate::item::Delivery;
use crate::slot::TopicSlot;
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, Receiver, Sender, bounded};
use census::{Census, Claims};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;
use table::Table;
use tapecast_model::catalog::{Lease, Resolved};
use tapecast_model::{Instrument, Mono, StreamKey, Topic};
use tapecast_wire::Encoding;

/// A set of shards, one bit each.
pub type ShardMask = u64;

/// How many shards a [`ShardMask`] can name.
pub const SHARDS_MAX: usize = 64;

/// A topic that is subscribed, or was a while ago.
#[derive(Debug)]
pub struct TopicEntry {
    /// Its number on the wire, the same for all clients of this process.
    pub tid: u32,
    /// Its place in tables.
    pub slot: TopicSlot,
    /// What it is.
    pub topic: Topic,
    /// Its text.
    pub text: Box<str>,
    /// Of which instrument.
    pub instrument: Arc<Instrument>,
    /// What keeps the instrument in the catalogue if no source has named it.
    lease: Option<Arc<Lease>>,
    wanted: [AtomicU64; Encoding::ALL.len()],
    asked: [AtomicU64; Encoding::ALL.len()],
    queued: AtomicBool,
    /// How often the interest of a shard has begun.
    begun: AtomicU64,
    claims: Claims,
    /// The topic that has taken its place.
    successor: OnceLock<Arc<TopicEntry>>,
}

/// How many topics there may be, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct TopicLimits {
    /// Topics of instruments that sources have named. Half as many of invented ones come on top.
    pub topics_max: usize,
    /// How long a topic lingers when its last subscriber has left.
    pub linger: Duration,
    /// The number on the wire of the first topic.
    pub first_tid: u32,
}

/// All topics of the process: where shards look them up and ask for them.
#[derive(Debug)]
pub struct Interests {
    table: Arc<Mutex<Table>>,
    census: Arc<Census>,
    requests: Sender<Arc<TopicEntry>>,
}

/// The publisher's side: what shards ask for, and what has come to its end.
#[derive(Debug)]
pub struct Requests {
    queue: Receiver<Arc<TopicEntry>>,
    table: Arc<Mutex<Table>>,
}

/// There are as many topics as there may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this server has reached its limit of {0} topics; try again later")]
pub struct TooManyTopics(usize);

// === impl TopicEntry ===

impl TopicEntry {
    /// An entry without subscribers.
    pub fn new(tid: u32, slot: TopicSlot, topic: Topic, resolved: impl Into<Resolved>) -> Self {
        let Resolved { instrument, lease } = resolved.into();
        Self {
            tid,
            slot,
            text: topic.to_string().into_boxed_str(),
            topic,
            instrument,
            lease,
            wanted: std::array::from_fn(|_| AtomicU64::new(0)),
            asked: std::array::from_fn(|_| AtomicU64::new(0)),
            queued: AtomicBool::new(false),
            begun: AtomicU64::new(0),
            claims: Claims::default(),
            successor: OnceLock::new(),
        }
    }

    /// The topic that has taken its place, because its instrument was replaced; the last one if there were
    /// several.
    pub fn successor(&self) -> Option<&Arc<TopicEntry>> {
        let mut last = self.successor.get()?;
        while let Some(next) = last.successor.get() {
            last = next;
        }
        Some(last)
    }

    /// Whether only subscribers had named its instrument when it was made.
    pub const fn is_invented(&self) -> bool {
        self.lease.is_some()
    }

    /// The stream it is derived from.
    pub fn stream(&self) -> StreamKey {
        StreamKey {
            instrument: self.instrument.id,
            kind: self.topic.channel.into(),
        }
    }

    /// What becomes of its frames when a client is slow.
    pub fn delivery(&self) -> Delivery {
        Delivery::of(self.topic.channel.kind())
    }

    /// The shards that have subscribers in this encoding.
    pub fn wanted(&self, encoding: Encoding) -> ShardMask {
        // Relaxed: a bit set a moment ago matters only once its request for a snapshot arrives, and
        // that synchronises; so does the word that a shard has left.
        self.wanted[encoding.index()].load(Ordering::Relaxed)
    }

    /// Whether it has any subscriber.
    pub fn is_wanted(&self) -> bool {
        Encoding::ALL.iter().any(|e| self.wanted(*e) != 0)
    }

    /// Puts back a request that was taken and could not be answered.
    pub fn ask_again(&self, shards: ShardMask, encoding: Encoding) {
        self.asked[encoding.index()].fetch_or(shards, Ordering::Release);
    }

    /// How often the interest of a shard has begun. To be read before a snapshot is made.
    pub fn begun(&self) -> u64 {
        // Acquire: pairs with the count in `Interests::join`, so that whoever reads a count sees the
        // interest that it counts.
        self.begun.load(Ordering::Acquire)
    }

    /// Takes the shards that asked for a snapshot in this encoding.
    pub fn take_asked(&self, encoding: Encoding) -> ShardMask {
        // Acquire: pairs with the Release in `Interests::join`.
        self.asked[encoding.index()].swap(0, Ordering::Acquire)
    }
}

// === impl TopicLimits ===

impl TopicLimits {
    /// How many topics of invented instruments there may be.
    pub const fn invented_max(&self) -> usize {
        self.topics_max.div_ceil(2)
    }
}

impl Default for TopicLimits {
    fn default() -> Self {
        Self {
            topics_max: 200_000,
            linger: Duration::from_secs(60),
            first_tid: 0,
        }
    }
}

// === impl Interests ===

impl Interests {
    /// For at most `topics_max` topics, and half as many of invented instruments.
    pub fn new(topics_max: usize) -> (Self, Requests) {
        Self::with_limits(TopicLimits {
            topics_max,
            ..TopicLimits::default()
        })
    }

    /// For topics within these limits.
    pub fn with_limits(limits: TopicLimits) -> (Self, Requests) {
        let (requests, queue) = bounded(limits.entries_max());
        let census = Arc::new(Census::new());
        let table = Arc::new(Mutex::new(Table::new(&limits, &census)));
        let interests = Self {
            table: Arc::clone(&table),
            census,
            requests,
        };
        (interests, Requests { queue, table })
    }

    /// The entry of a topic, if it exists.
    pub fn find(&self, topic: &Topic) -> Option<Arc<TopicEntry>> {
        lock(&self.table).find(topic)
    }

    /// The entry of a topic, made if there is none yet.
    ///
    /// # Errors
    /// If there are as many topics as there may be, and none of them lingers or leaves.
    pub fn entry(
        &self,
        topic: &Topic,
        resolved: impl Into<Resolved>,
    ) -> Result<Arc<TopicEntry>, TooManyTopics> {
        let mut table = lock(&self.table);
        if let Some(entry) = table.find(topic) {
            return Ok(entry);
        }
        let (entry, ended) = table.make(topic, resolved.into())?;
        drop(table);
        drop(ended);
        self.enqueue(&entry);
        Ok(entry)
    }

    /// Ends the topic of an invented instrument that has lingered longest, whether or not it is due.
    /// Returns whether there was one.
    pub fn end_invented(&self) -> bool {
        let ended = lock(&self.table).evict_invented();
        ended.is_some()
    }

    /// A shard has a subscriber that needs a snapshot: sets its interest and asks for one. If its
    /// interest begins with this, returns its number: snapshots that were made at a lower
    /// [`TopicEntry::begun`] are older than it.
    pub fn join(&self, entry: &Arc<TopicEntry>, shard: usize, encoding: Encoding) -> Option<u64> {
        let bit = 1 << shard;
        let before = entry.wanted[encoding.index()].fetch_or(bit, Ordering::Relaxed);
        // Release: pairs with the Acquire in `begun`.
        let began = (before & bit == 0).then(|| {
            let earlier = entry.begun.fetch_add(1, Ordering::Release);
            self.census.claim(entry, earlier == 0);
            earlier + 1
        });
        // Release: pairs with the Acquire in `take_asked`, so that whoever takes this bit sees the
        // interest above.
        entry.asked[encoding.index()].fetch_or(bit, Ordering::Release);
        self.enqueue(entry);
        began
    }

    /// A shard has no subscriber left: clears its interest and says so.
    pub fn leave(&self, entry: &Arc<TopicEntry>, shard: usize, encoding: Encoding) {
        self.abandon(entry, shard, encoding);
        self.enqueue(entry);
    }

    /// A shard has joined the successor of a topic in its place: clears its interest. Nobody need be told.
    pub fn abandon(&self, entry: &Arc<TopicEntry>, shard: usize, encoding: Encoding) {
        // Relaxed: a frame more or less for nobody. The publisher sees it once it takes a request.
        let bit = 1 << shard;
        let before = entry.wanted[encoding.index()].fetch_and(!bit, Ordering::Relaxed);
        if before & bit != 0 {
            self.census.release(entry);
        }
    }

    fn enqueue(&self, entry: &Arc<TopicEntry>) {
        // AcqRel: pairs with the swap in `Requests::take`. Our bit is set or cleared before; if the
        // flag was still up, the publisher has yet to clear it and will look at the bits after that.
        if !entry.queued.swap(true, Ordering::AcqRel) {
            // There is room: each topic is in the queue at most once, and it holds them all.
            let sent = self.requests.try_send(Arc::clone(entry));
            debug_assert!(sent.is_ok(), "the request queue holds every topic");
        }
    }
}

// === impl Requests ===

impl Requests {
    /// The next topic of which a shard has something to say.
    pub fn take(&self) -> Option<Arc<TopicEntry>> {
        let entry = self.queue.try_recv().ok()?;
        // AcqRel: pairs with the swap in `enqueue`; to be followed by a look at the bits.
        entry.queued.swap(false, Ordering::AcqRel);
        Some(entry)
    }

    /// The queue itself, to wait on.
    #[cfg(not(loom))]
    pub fn channel(&self) -> &Receiver<Arc<TopicEntry>> {
        &self.queue
    }

    /// Lets a topic without subscribers linger; it ends after the linger time.
    pub fn linger(&self, entry: &Arc<TopicEntry>, now: Mono) {
        lock(&self.table).linger(entry, now);
    }

    /// Begins the successor of a topic whose instrument was replaced by this one, unless it has one. Returns
    /// whether it has one now; if not, too many topics have, and it should be tried again.
    pub fn succeed(&self, entry: &Arc<TopicEntry>, by: &Arc<Instrument>) -> bool {
        if let Some(successor) = lock(&self.table).succeed(entry, by) {
            let _ = entry.successor.set(successor);
        }
        entry.successor.get().is_some()
    }

    /// Ends topics that have lingered long enough, or that are too many, as far as `most` looks go. Returns
    /// whether there may be others.
    pub fn sweep(&self, now: Mono, most: usize) -> bool {
        let mut ended = Vec::new();
        let more = lock(&self.table).sweep(now, most, &mut ended);
        // Dropped here, outside the lock.
        drop(ended);
        more
    }

    /// How many topics there are, and how many of them linger, or have come back a moment ago.
    pub fn count(&self) -> (usize, usize) {
        lock(&self.table).count()
    }

    /// How many slots there are: as many as there were topics at one time.
    pub fn slots(&self) -> usize {
        lock(&self.table).slots()
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
