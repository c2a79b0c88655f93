//! The fan-out: work once per update, never once per client. Hops 5 and 6 of an update's life.
//!
//! The [`publisher`] runs on the pipeline's thread. It encodes an update once for each encoding that has
//! subscribers ([`interest`]), or holds it if the topic has an interval ([`conflator`]). It writes all
//! frames of a turn into one shared block ([`chunk`]), and gives an [`item`] to each shard that has
//! subscribers, over that shard's bounded [`ring`]. It never waits. If a ring is full, it remembers what
//! is missing, per shard and topic, and sends a gap notice or a snapshot when there is room again. It
//! wakes shards that sleep ([`wake`]). Replays that must lose nothing use [`pace`].
//!
//! Shards and the publisher share atomics and channels, and no lock on the path of an update. This crate
//! must not depend on tokio, so that loom can run on it; see [`sync`].

pub mod chunk;
pub mod conflator;
pub mod interest;
pub mod item;
pub mod metrics;
pub mod pace;
pub mod publisher;
pub mod ring;
pub mod slot;
pub mod sync;
pub mod view;
pub mod wake;

pub use interest::{Interests, Requests, ShardMask, TopicEntry, TopicLimits};
pub use item::{Delivery, Item, ItemKind};
pub use metrics::FanoutMetrics;
pub use publisher::Publisher;
pub use slot::TopicSlot;
