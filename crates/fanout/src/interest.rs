//! Who wants what: live topics, the shards that have subscribers, and requests for snapshots.
//!
//! A topic's [`TopicEntry`] is made when it is first subscribed and lives as long as the process, so
//! that its number (`tid`) means the same to every client. Shards set and clear their bit in it;
//! the publisher reads the bits when it publishes, and skips what nobody wants.
//!
//! # Requests
//! To join a topic a shard sets its bit, then asks for a snapshot. Requests cannot pile up: a topic
//! stands in the queue at most once, however many shards ask, and the queue has room for every topic
//! there can be.
//!
//! # Ordering
//! The asker sets its mask bit, then swaps `queued`; the publisher clears `queued`, then takes the
//! mask. So an asker that finds `queued` still set knows that its bit will be taken (tested under
//! loom: no request is lost).
//!
//! # Coming back
//! Who leaves and joins again may find a snapshot on its way that it asked for before it left, and
//! that nothing follows: what was published meanwhile nobody wanted. So each time that a shard's
//! interest begins the topic's count of beginnings goes up, a snapshot carries the count at which it
//! was made, and one that was made before the interest began is not the shard's.
//!
//! # Limits
//! At most `topics_max` topics in the life of the process; more are refused by name.

use crate::item::Delivery;
use crate::sync::{AtomicBool, AtomicU64, Ordering, Receiver, Sender, bounded};
use hashbrown::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tapecast_model::catalog::{Lease, Resolved};
use tapecast_model::{Instrument, Stream, Topic};
use tapecast_wire::Encoding;

/// A set of shards, one bit each.
pub type ShardMask = u64;

/// How many shards a [`ShardMask`] can name.
pub const SHARDS_MAX: usize = 64;

/// A topic that is or was subscribed.
#[derive(Debug)]
pub struct TopicEntry {
    /// Its number, the same for all clients of this process.
    pub tid: u32,
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
}

/// All topics of the process: where shards look them up and ask for them.
#[derive(Debug)]
pub struct Interests {
    topics: Mutex<HashMap<Topic, Arc<TopicEntry>>>,
    topics_max: usize,
    requests: Sender<Arc<TopicEntry>>,
}

/// Where the publisher takes requests from.
#[derive(Debug)]
pub struct Requests(Receiver<Arc<TopicEntry>>);

/// There are as many topics as there may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this server has its limit of {0} topics")]
pub struct TooManyTopics(usize);

// === impl TopicEntry ===

impl TopicEntry {
    /// An entry that nobody wants yet.
    pub fn new(tid: u32, topic: Topic, resolved: impl Into<Resolved>) -> Self {
        let Resolved { instrument, lease } = resolved.into();
        Self {
            tid,
            lease,
            text: topic.to_string().into_boxed_str(),
            topic,
            instrument,
            wanted: std::array::from_fn(|_| AtomicU64::new(0)),
            asked: std::array::from_fn(|_| AtomicU64::new(0)),
            queued: AtomicBool::new(false),
            begun: AtomicU64::new(0),
        }
    }

    /// Whether nobody but subscribers had named its instrument when it was made.
    pub const fn is_invented(&self) -> bool {
        self.lease.is_some()
    }

    /// The stream it is derived from.
    pub fn stream(&self) -> Stream {
        let timeframe = match self.topic.channel {
            tapecast_model::Channel::Bar(timeframe) => Some(timeframe),
            _ => None,
        };
        Stream {
            instrument: self.instrument.id,
            kind: self.topic.channel.kind(),
            timeframe,
        }
    }

    /// What becomes of its frames when a client is slow.
    pub fn delivery(&self) -> Delivery {
        Delivery::of(self.topic.channel.kind())
    }

    /// The shards that have subscribers in this encoding.
    pub fn wanted(&self, encoding: Encoding) -> ShardMask {
        // Relaxed: a bit set a moment ago matters only once its request for a snapshot arrives, and
        // that synchronises.
        self.wanted[encoding.index()].load(Ordering::Relaxed)
    }

    /// Whether anybody wants it at all.
    pub fn is_wanted(&self) -> bool {
        Encoding::ALL.iter().any(|e| self.wanted(*e) != 0)
    }

    /// A shard has no subscriber left.
    pub fn leave(&self, shard: usize, encoding: Encoding) {
        // Relaxed: a frame more or less for nobody.
        self.wanted[encoding.index()].fetch_and(!(1 << shard), Ordering::Relaxed);
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

// === impl Interests ===

impl Interests {
    /// For at most `topics_max` topics.
    pub fn new(topics_max: usize) -> (Self, Requests) {
        let (sender, receiver) = bounded(topics_max);
        (
            Self {
                topics: Mutex::default(),
                topics_max,
                requests: sender,
            },
            Requests(receiver),
        )
    }

    /// The entry of a topic, made if there is none yet.
    ///
    /// # Errors
    /// If there are as many topics as there may be.
    pub fn entry(
        &self,
        topic: &Topic,
        resolved: impl Into<Resolved>,
    ) -> Result<Arc<TopicEntry>, TooManyTopics> {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = topics.get(topic) {
            return Ok(Arc::clone(entry));
        }
        let tid = u32::try_from(topics.len())
            .ok()
            .filter(|_| topics.len() < self.topics_max);
        let tid = tid.ok_or(TooManyTopics(self.topics_max))?;
        let entry = Arc::new(TopicEntry::new(tid, topic.clone(), resolved));
        topics.insert(topic.clone(), Arc::clone(&entry));
        Ok(entry)
    }

    /// A shard has a subscriber that needs a snapshot: sets its interest and asks for one. If its
    /// interest begins with this, returns its number: snapshots that were made at a lower
    /// [`TopicEntry::begun`] are older than it.
    pub fn join(&self, entry: &Arc<TopicEntry>, shard: usize, encoding: Encoding) -> Option<u64> {
        let bit = 1 << shard;
        let before = entry.wanted[encoding.index()].fetch_or(bit, Ordering::Relaxed);
        // Release: pairs with the Acquire in `begun`.
        let began = (before & bit == 0).then(|| entry.begun.fetch_add(1, Ordering::Release) + 1);
        // Release: pairs with the Acquire in `take_asked`, so that whoever takes this bit sees the
        // interest above.
        entry.asked[encoding.index()].fetch_or(bit, Ordering::Release);
        self.enqueue(entry);
        began
    }

    fn enqueue(&self, entry: &Arc<TopicEntry>) {
        // AcqRel: pairs with the swap in `Requests::take`. Our mask bit is set before; if the flag
        // was still up, the publisher has yet to clear it and will take the mask after that.
        if !entry.queued.swap(true, Ordering::AcqRel) {
            // There is room: each topic is in the queue at most once, and it holds them all.
            let sent = self.requests.try_send(Arc::clone(entry));
            debug_assert!(sent.is_ok(), "the request queue holds every topic");
        }
    }
}

// === impl Requests ===

impl Requests {
    /// The next topic that somebody asks for.
    pub fn take(&self) -> Option<Arc<TopicEntry>> {
        let entry = self.0.try_recv().ok()?;
        // AcqRel: pairs with the swap in `enqueue`; to be followed by `take_asked`.
        entry.queued.swap(false, Ordering::AcqRel);
        Some(entry)
    }

    /// The queue itself, to wait on.
    #[cfg(not(loom))]
    pub fn channel(&self) -> &Receiver<Arc<TopicEntry>> {
        &self.0
    }

    /// What to do with an entry received from [`Requests::channel`], before its requests are taken.
    pub fn received(entry: &TopicEntry) {
        entry.queued.swap(false, Ordering::AcqRel);
    }
}
