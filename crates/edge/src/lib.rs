//! Shards that own client sockets and write shared frames to them. Hops 7 to 9 of an update's life.
//!
//! * [`io::listener`] and [`io::handshake`]: from a TCP connection to an admitted WebSocket.
//! * [`io::poller`]: the thread of a shard: wait for readiness, do the work, sleep.
//! * [`shard`]: subscriptions, queues of full sockets, answers to requests; without I/O.
//!
//! A shard is the sole owner of its connections. On the path of a frame it shares only the frame itself
//! with other threads. This crate knows nothing of venues.

pub mod admission;
pub mod io;
pub mod limits;
#[cfg(test)]
mod log;
pub mod metrics;
pub mod settings;
pub mod shard;

pub use admission::Admission;
pub use limits::Limits;
pub use metrics::EdgeMetrics;
pub use settings::Settings;
pub use shard::{Arrival, Shard, Shared};
