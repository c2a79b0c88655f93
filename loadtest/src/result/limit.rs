//! What a measurement of the ceiling comes to.

use super::Heading;
use serde::{Deserialize, Serialize};

/// What the ceiling is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct LimitResult {
    /// Where and when.
    #[serde(flatten)]
    pub heading: Heading,
    /// `send`, `inline` or `writev`.
    pub method: String,
    /// Sockets.
    pub connections: usize,
    /// Bytes of a frame's payload.
    pub size: usize,
    /// Frames per send.
    pub batch: usize,
    /// Length of the measurement.
    pub seconds: f64,
    /// Frames delivered.
    pub deliveries: u64,
    /// Frames delivered a second.
    pub deliveries_per_s: f64,
    /// Bytes written a second.
    pub bytes_per_s: f64,
    /// Processor time of the sending thread.
    pub cpu_s: f64,
    /// Frames delivered per second of that.
    pub deliveries_per_cpu_s: f64,
    /// Processor time per frame.
    pub ns_per_delivery: f64,
    /// Processor time per system call that wrote.
    pub ns_per_send: f64,
    /// Sends that found the socket full: nothing was delivered.
    pub full: u64,
    /// Sends that wrote a part; the rest followed.
    pub partial: u64,
    /// Sends that failed. Must be zero.
    pub failed: u64,
    /// What the reader saw.
    pub reader: LimitReader,
}

/// What the reader of the ceiling saw.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct LimitReader {
    /// Frames read and checked, on a sample of the connections.
    pub parsed_frames: u64,
    /// Frames that could not be read. Must be zero.
    pub unreadable: u64,
    /// Frames that were left out because a socket was full.
    pub skipped: u64,
    /// Its processor time, over its whole life.
    pub cpu_s: f64,
}
