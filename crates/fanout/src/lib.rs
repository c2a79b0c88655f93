//! The fan-out: once per update, never per client. Hops 5 and 6 of an update's life.
//!
//! The [`publisher`] runs on the pipeline's thread. It encodes an update once for each encoding that
//! somebody wants ([`interest`]), or holds it back where a topic has an interval ([`conflator`]), seals what a turn produced into one shared block ([`chunk`]) and
//! hands an [`item`] to each shard that has subscribers, over that shard's bounded [`ring`]. It never
//! waits: what a full ring cannot take is remembered per shard and topic, and made good with a gap
//! notice or a snapshot once there is room. Shards that sleep are rung awake ([`wake`]); replays that
//! must lose nothing look at [`pace`].
//!
//! Shards and the publisher share atomics and channels, and no lock on the path of an update. This crate must not depend on tokio,
//! so that loom can run on it; see [`sync`].

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
