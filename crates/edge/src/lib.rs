//! Shards that own client sockets and write shared frames to them. Hops 7 to 9 of an update's life.
//!
//! * [`io::listener`] and [`io::handshake`]: from a TCP connection to an admitted WebSocket.
//! * [`io::poller`]: the thread of a shard: readiness in, work done, sleep.
//! * [`shard`]: who is subscribed to what, what a full socket is promised, what is answered; pure.
//!
//! A shard is the sole owner of its connections; nothing on the way of a frame is shared with another
//! thread but the frame itself. This crate knows nothing of venues.

pub mod admission;
pub mod io;
pub mod limits;
pub mod metrics;
pub mod shard;

pub use admission::Admission;
pub use limits::Limits;
pub use metrics::EdgeMetrics;
pub use shard::{Arrival, Shard, Shared};
