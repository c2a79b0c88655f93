//! What comes out of a run or a measurement of the ceiling: the JSON that is kept, compared and shown.
//!
//! The schema is described in `README.md`. Fields are only ever added; whatever changes a meaning raises
//! [`SCHEMA`]. Rates and latencies come from the measured window, integrity from the whole run.

use crate::integrity::Integrity;
use crate::machine::{Machine, Placement};
use crate::metrics::MetricsResult;
use crate::scenario::Scenario;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod cost;
mod latency;
mod limit;
mod second;
mod series;

pub use cost::{HarnessCost, HarnessThread, ServerCost, ServerThread};
pub use latency::Latency;
pub use limit::{LimitReader, LimitResult};
pub use second::{Drift, Second, Trend};
pub use series::{Figure, LimitSeries, RunSeries, spread};

/// The version of the schema.
pub const SCHEMA: u32 = 2;

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
    /// What whoever measured wants a reader to know.
    #[serde(default)]
    pub note: String,
}

/// Any result.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AnyResult {
    /// Of `loadtest run`.
    Run(Box<RunResult>),
    /// Of `loadtest run --repeat`.
    RunSeries(Box<RunSeries>),
    /// Of `loadtest limit`.
    Limit(Box<LimitResult>),
    /// Of `loadtest limit` with several batches or rounds.
    LimitSeries(Box<LimitSeries>),
}

/// What a run came to.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RunResult {
    /// Where and when.
    #[serde(flatten)]
    pub heading: Heading,
    /// What was done.
    pub scenario: Scenario,
    /// Nothing was lost without being announced, nobody was disconnected, everybody ended with the
    /// right state.
    pub clean: bool,
    /// Why not.
    pub failures: Vec<String>,
    /// Throughput and latency may say more of the harness than of the server. Processor time per
    /// delivery holds either way.
    pub harness_limited: bool,
    /// Why.
    pub harness_limited_reasons: Vec<String>,
    /// What was delivered in the window.
    pub traffic: TrafficResult,
    /// From the publisher's intended time to arrival at a parsed client.
    pub latency_us: Latency,
    /// The window in which some clients were stalled, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall: Option<StallResult>,
    /// What became of stalled and slow clients, if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<SlowResult>,
    /// How connections and subscriptions came about.
    pub joins: JoinResult,
    /// What was not as it should be.
    pub integrity: Integrity,
    /// Connections closed by the server, by close code (1006: ended without one).
    pub closed: BTreeMap<u16, u64>,
    /// What it cost the server; absent if its process is not known.
    pub server: Option<ServerCost>,
    /// What the server counted; absent if its admin listener is not known.
    pub metrics: Option<MetricsResult>,
    /// What it cost the harness.
    pub harness: HarnessCost,
    /// What grew over the window; absent if that was too short to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// Second by second, the warm-up included.
    pub seconds: Vec<Second>,
    /// The ceiling, if it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<Ceiling>,
}

/// What was delivered in a window.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct TrafficResult {
    /// Length of the window.
    pub seconds: f64,
    /// Events published in it.
    pub published: u64,
    /// Events published a second.
    pub published_per_s: f64,
    /// Events delivered, over all clients that read.
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
    /// Frames whose chain was verified.
    pub verified_frames: u64,
    /// Delivered as a share of what was published times its readers (stalled and slow ones left out).
    pub delivered_share: f64,
    /// Least, mean and most bytes a client received over the whole run: how evenly they were served.
    pub bytes_per_client: [f64; 3],
}

/// The window in which some clients were stalled, and what the others noticed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct StallResult {
    /// What was delivered to the others.
    pub traffic: TrafficResult,
    /// Latency of the others.
    pub latency_us: Latency,
    /// Their median against the window without stalls.
    pub p50_ratio: f64,
    /// Their 99th percentile against the window without stalls.
    pub p99_ratio: f64,
    /// Their 99.9th percentile against the window without stalls.
    pub p99_9_ratio: f64,
}

/// What became of stalled and slow clients.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct SlowResult {
    /// How many there were.
    pub clients: usize,
    /// Those that were still connected at the end.
    pub connected: usize,
    /// Topics of theirs that ended with the right state.
    pub topics_right: usize,
    /// All topics of theirs.
    pub topics: usize,
    /// What they lost, announced, conflated or otherwise.
    pub integrity: Integrity,
    /// Seconds until the last of them was up to date, once they read on.
    pub caught_up_s: f64,
    /// Server memory when they began to be slow (or stall), at its highest, and when they read on.
    pub rss_kib: [u64; 3],
}

/// How connections and subscriptions came about.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct JoinResult {
    /// Connections begun.
    pub attempts: u64,
    /// Those that were welcomed.
    pub welcomed: u64,
    /// Welcomed a second: in the window of a connect storm, else until all were there.
    pub welcomed_per_s: f64,
    /// Those that were not welcomed, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Connections given up on purpose and begun again.
    pub reconnects: u64,
    /// Topics given up and subscribed again.
    pub resubscribes: u64,
    /// From the beginning of a connection, or when it was due, to its welcome.
    pub to_welcome_us: Latency,
    /// Subscribe storm: from its beginning to a client's snapshot.
    pub to_snapshot_us: Latency,
    /// Subscribe storm: from a client's own request to its snapshot.
    pub request_to_snapshot_us: Latency,
}

/// The ceiling at the same frame size, connections and batch, measured before the run and after it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Ceiling {
    /// Before.
    pub before: LimitResult,
    /// After.
    pub after: LimitResult,
    /// Deliveries per second of server processor time, as a share of the mean of the two.
    pub ratio: f64,
    /// How far the two are apart, as a share of their mean: what the ratio is worth.
    pub spread: f64,
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
            note: String::new(),
        }
    }
}

// === impl AnyResult ===

impl AnyResult {
    /// The runs in it.
    pub fn runs(&self) -> &[RunResult] {
        match self {
            Self::Run(run) => std::slice::from_ref(&**run),
            Self::RunSeries(series) => &series.runs,
            Self::Limit(_) | Self::LimitSeries(_) => &[],
        }
    }

    /// The measurements of the ceiling in it, those beside runs left out.
    pub fn limits(&self) -> &[LimitResult] {
        match self {
            Self::Limit(limit) => std::slice::from_ref(&**limit),
            Self::LimitSeries(series) => &series.limits,
            Self::Run(_) | Self::RunSeries(_) => &[],
        }
    }
}
