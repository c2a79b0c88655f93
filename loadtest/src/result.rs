//! What comes out of a run or a measurement of the ceiling: the JSON that is kept and compared.
//!
//! The schema is described in `README.md`. Fields are only ever added; whatever changes a meaning raises
//! [`SCHEMA`]. Rates and latencies come from the measured window, integrity from the whole run.

use crate::machine::{Machine, Placement};
use crate::process::Memory;
use crate::scenario::Scenario;
use crate::tally::{Integrity, Tally};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the schema.
pub const SCHEMA: u32 = 1;

/// What every result begins with.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Heading {
    /// The version of the schema.
    pub schema: u32,
    /// When it began, in milliseconds since the epoch.
    pub started_unix_ms: u64,
    /// The harness's version.
    pub harness_version: String,
    /// What the server calls itself; empty if it was not started by the harness.
    pub server_version: String,
    /// Where.
    pub machine: Machine,
    /// On which processors.
    pub placement: Placement,
}

/// Any result.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum AnyResult {
    /// Of `loadtest run`.
    Run(Box<RunResult>),
    /// Of `loadtest limit`.
    Limit(Box<LimitResult>),
}

/// What a run came to.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RunResult {
    /// Where and when.
    #[serde(flatten)]
    pub heading: Heading,
    /// What was done.
    pub scenario: Scenario,
    /// What was delivered in the window.
    pub traffic: TrafficResult,
    /// From the publisher's intended time to arrival at a parsed client.
    pub latency_us: Latency,
    /// What was not as it should be.
    pub integrity: Integrity,
    /// Connections closed by the server, by close code (1006: ended without one).
    pub closed: BTreeMap<u16, u64>,
    /// What it cost the server; absent if its process is not known.
    pub server: Option<ServerCost>,
    /// What it cost the harness, and whether that was too much.
    pub harness: HarnessCost,
    /// Second by second, the warm-up included.
    pub seconds: Vec<Second>,
    /// The ceiling at the same frame size, connections and batch, measured after the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<Box<LimitResult>>,
    /// Deliveries per second of server processor time, as a share of the ceiling's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling_ratio: Option<f64>,
}

/// What was delivered in the window.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TrafficResult {
    /// Length of the window.
    pub seconds: f64,
    /// Events published in it.
    pub published: u64,
    /// Events published a second.
    pub published_per_s: f64,
    /// Events delivered, over all clients.
    pub deliveries: f64,
    /// Events delivered a second.
    pub deliveries_per_s: f64,
    /// Data frames delivered a second.
    pub frames_per_s: f64,
    /// Bytes received.
    pub bytes: u64,
    /// Bytes received a second.
    pub bytes_per_s: f64,
    /// Bytes on the wire per event, WebSocket header and control messages included.
    pub bytes_per_event: f64,
    /// Frames that were read and verified.
    pub parsed_frames: u64,
    /// Delivered as a share of what was published times its subscribers (stalled ones left out).
    pub delivered_share: f64,
    /// Least, mean and most bytes a client received over the whole run: how evenly they were served.
    pub bytes_per_client: [f64; 3],
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Mean.
    pub mean: f64,
    /// Half were at most this.
    pub p50: f64,
    /// Nine tenths.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p99_9: f64,
    /// All.
    pub max: f64,
}

/// What a run cost the server.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ServerCost {
    /// Its process.
    pub pid: u32,
    /// Processor time in the window, all threads.
    pub cpu_s: f64,
    /// The same as a share of one processor.
    pub cpu_share: f64,
    /// Events delivered per second of processor time.
    pub deliveries_per_cpu_s: f64,
    /// Processor time per event delivered.
    pub us_per_delivery: f64,
    /// Memory before the first connection.
    pub memory_before: Memory,
    /// Memory with all clients subscribed and nothing published yet.
    pub memory_idle: Memory,
    /// Memory at the end of the window.
    pub memory_end: Memory,
    /// Resident bytes per connection: idle less before.
    pub rss_per_connection: f64,
}

/// What a run cost the harness.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct HarnessCost {
    /// Threads that read.
    pub threads: usize,
    /// Processor time in the window, all of them.
    pub cpu_s: f64,
    /// The busiest it could be seen: processor time as a share of all its threads' time.
    pub cpu_share: f64,
    /// The longest turn of a loop.
    pub turn_max_us: f64,
    /// The latest an event was made after it was due (open loop).
    pub publish_late_max_us: f64,
    /// How often the push source's socket was full.
    pub publish_blocked: u64,
    /// How often a closed loop went on although not everybody had the last event.
    pub window_timeouts: u64,
    /// Reads in the window.
    pub receives: u64,
    /// Seconds until all clients were subscribed.
    pub connect_s: f64,
    /// Whether throughput and latency may say more of the harness than of the server. Processor time
    /// per delivery holds either way.
    pub bottleneck: bool,
    /// Why.
    pub bottleneck_reasons: Vec<String>,
}

/// One second of a run.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Second {
    /// Seconds since the load began.
    pub at: f64,
    /// It lies in the measured window.
    pub measured: bool,
    /// Events published in it.
    pub published: u64,
    /// Events delivered in it.
    pub deliveries: f64,
    /// Bytes received in it.
    pub bytes: u64,
    /// Server processor time in it, as a share of one processor.
    pub server_cpu_share: f64,
    /// The server's resident memory.
    pub server_rss_kib: u64,
}

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

// === impl Heading ===

impl Heading {
    /// Here and now.
    pub fn new(server_version: &str, machine: Machine, placement: Placement) -> Self {
        Self {
            schema: SCHEMA,
            started_unix_ms: tapecast_model::clock::unix_now().get() / 1_000_000,
            harness_version: env!("CARGO_PKG_VERSION").to_owned(),
            server_version: server_version.to_owned(),
            machine,
            placement,
        }
    }
}

// === impl RunResult ===

impl RunResult {
    /// The payload of a frame: what is on the wire per frame, less the WebSocket header.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a frame's size"
    )]
    pub fn payload_bytes(&self) -> usize {
        let TrafficResult {
            bytes_per_s,
            frames_per_s,
            ..
        } = self.traffic;
        let frame = if frames_per_s > 0.0 {
            bytes_per_s / frames_per_s
        } else {
            0.0
        };
        let header = if frame < 128.0 { 2.0 } else { 4.0 };
        (frame - header).max(0.0).round() as usize
    }
}

// === impl Latency ===

impl Latency {
    /// Of a tally.
    pub fn of(tally: &Tally) -> Self {
        let us = |nanos: u64| nanos as f64 / 1e3;
        let at = |quantile| us(tally.latency.value_at_quantile(quantile));
        if tally.latency.is_empty() {
            return Self::default();
        }
        Self {
            count: tally.latency.len(),
            mean: tally.latency.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: us(tally.latency.max()),
        }
    }
}

// === impl HarnessCost ===

impl HarnessCost {
    /// Judges whether the harness was the bottleneck.
    #[must_use]
    pub fn judged(mut self) -> Self {
        const CPU_SHARE_MAX: f64 = 0.90;
        const TURN_US_MAX: f64 = 50_000.0;
        const LATE_US_MAX: f64 = 20_000.0;
        let mut reasons = Vec::new();
        if self.cpu_share >= CPU_SHARE_MAX {
            reasons.push(format!(
                "its threads were busy {:.0} % of the time",
                self.cpu_share * 100.0
            ));
        }
        if self.turn_max_us >= TURN_US_MAX {
            reasons.push(format!(
                "a turn of its loop took {:.0} ms",
                self.turn_max_us / 1e3
            ));
        }
        if self.publish_late_max_us >= LATE_US_MAX {
            reasons.push(format!(
                "an event was made {:.0} ms late",
                self.publish_late_max_us / 1e3
            ));
        }
        self.bottleneck = !reasons.is_empty();
        self.bottleneck_reasons = reasons;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(cpu_share: f64, turn_max_us: f64) -> HarnessCost {
        HarnessCost {
            threads: 1,
            cpu_s: 1.0,
            cpu_share,
            turn_max_us,
            publish_late_max_us: 0.0,
            publish_blocked: 0,
            window_timeouts: 0,
            receives: 0,
            connect_s: 0.0,
            bottleneck: false,
            bottleneck_reasons: Vec::new(),
        }
        .judged()
    }

    #[test]
    fn a_busy_or_stalled_harness_admits_it() {
        assert!(!cost(0.5, 2_000.0).bottleneck);
        assert_eq!(
            cost(0.95, 2_000.0).bottleneck_reasons,
            ["its threads were busy 95 % of the time"]
        );
        assert_eq!(
            cost(0.5, 60_000.0).bottleneck_reasons,
            ["a turn of its loop took 60 ms"]
        );
    }

    #[test]
    fn latency_is_in_microseconds() {
        let mut tally = Tally::new(1);
        assert_eq!(Latency::of(&tally), Latency::default());
        for ms in 1..=1_000 {
            tally.note_latency(ms * 1_000_000);
        }
        let latency = Latency::of(&tally);
        let near = |value: f64, expected: f64| (value - expected).abs() < expected / 500.0;
        assert!(near(latency.p50, 5e5) && near(latency.p99_9, 9.99e5) && near(latency.max, 1e6));
        assert_eq!(latency.count, 1_000);
    }
}
