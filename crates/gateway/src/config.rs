//! The configuration: defaults, then the file, then the environment, then flags.
//!
//! Every key has a default, so an empty file is valid. `deploy/tapecast.toml` lists all keys with their
//! meaning, and a test compares it with the defaults here. Unknown keys are errors that name the nearest
//! known one. [`Config::load`] returns limits that the rest of the program uses without further checks.

pub mod address;
mod check;
mod effect;
mod keys;
mod live;
mod load;
mod places;
mod ranges;
mod source;
mod syntax;
mod tables;
mod text;
mod wrong;

pub use effect::{Changes, Effect};
pub use live::LiveSource;
pub use load::{ConfigError, Given};
pub use source::{PushSource, ReplaySource, Source};
pub use tables::{SimSource, Start};

use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tapecast_edge::io::http::host::Hosts;
use tapecast_edge::io::http::origin::Origins;
use tapecast_edge::io::listener::Rules;
use tapecast_edge::{Limits, Settings};
use tapecast_fanout::TopicLimits;

/// The defaults as a file, with every key explained.
pub const DEFAULTS: &str = include_str!("../../../deploy/tapecast.toml");

/// Everything that can be chosen.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// This process's name in `welcome`.
    pub node: String,
    /// Where the process keeps what must outlive it; none keeps nothing.
    pub state_dir: Option<PathBuf>,
    /// Addresses.
    pub listen: ListenConfig,
    /// Threads that own client connections.
    pub shards: ShardsConfig,
    /// What clients may have.
    pub limits: LimitsConfig,
    /// Between feeds and shards.
    pub pipeline: PipelineSection,
    /// What is logged.
    pub log: LogConfig,
    /// Where data come from.
    #[serde(rename = "source", deserialize_with = "source::deserialize")]
    pub sources: Vec<Source>,
}

/// Addresses.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct ListenConfig {
    /// Clients and the live page.
    #[serde(deserialize_with = "address::deserialize")]
    pub public: SocketAddr,
    /// Metrics, probes and orders; never to be reachable from outside.
    #[serde(deserialize_with = "address::deserialize")]
    pub admin: SocketAddr,
    /// Origins of pages that may connect, in addition to the pages of this server; `"*"` for all.
    pub allowed_origins: Vec<String>,
    /// Names of this server, in addition to addresses, `localhost` and the hosts of `allowed_origins`; `"*"` for
    /// all.
    pub allowed_hosts: Vec<String>,
}

/// Threads that own client connections.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct ShardsConfig {
    /// How many; 0 is one per core.
    pub count: usize,
    /// Items in the ring of each.
    pub ring_items: usize,
    /// The cores they run on, in turn; empty leaves it to the system.
    pub cores: Vec<usize>,
    /// The shortest time between two writes to the same clients; none writes at once.
    pub flush_interval: Option<Span>,
    /// Write to many sockets with one system call, where the system allows it.
    pub io_uring: bool,
}

/// What clients may have.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Connections in all.
    pub connections_max: usize,
    /// Connections from one address.
    pub connections_per_address_max: usize,
    /// Connections whose first request is not complete.
    pub handshakes_max: usize,
    /// Of these, those of one address.
    pub handshakes_per_address_max: usize,
    /// A handshake must be complete within this time.
    pub handshake_timeout: Span,
    /// Connections that ask for pages and lists.
    pub http_connections_max: usize,
    /// Of these, those of one address.
    pub http_connections_per_address_max: usize,
    /// Requests of one connection.
    pub http_requests_max: usize,
    /// Plain requests a second from one address.
    pub http_requests_per_address_per_s: u32,
    /// An answer must be read within this time.
    pub http_answer_timeout: Span,
    /// The next request must be complete within this time.
    pub http_idle_timeout: Span,
    /// Topics of one connection.
    pub topics_per_connection_max: usize,
    /// Topics at one time, of all clients together.
    pub topics_max: usize,
    /// How long a topic lingers when its last subscriber has left.
    pub topic_linger: Span,
    /// Instruments that sources have named.
    pub instruments_max: usize,
    /// Topics of symbols that no source has named that one connection may bring into being, within
    /// `topic_linger`.
    pub invented_topics_per_connection_max: u32,
    /// Requests a second of one connection.
    pub requests_per_s: u32,
    /// Frames per second of one connection that are not accepted requests.
    pub messages_per_s: u32,
    /// Bytes of one request.
    pub request_bytes_max: usize,
    /// Bytes queued for one connection.
    pub outbox_bytes_max: usize,
    /// Bytes kept for all connections whose sockets are full.
    pub parked_bytes_max: usize,
    /// Bytes that the kernel holds for a connection and has not sent.
    pub unsent_bytes_max: u32,
    /// A connection whose socket takes nothing for so long is closed.
    pub stall_timeout: Span,
    /// A heartbeat comes so often.
    pub heartbeat: Span,
    /// A WebSocket ping comes so often.
    pub ping: Span,
    /// A connection that says nothing for so long, pongs included, is closed.
    pub idle_timeout: Span,
    /// The closing handshake must be complete within this time.
    pub close_timeout: Span,
}

/// Between feeds and shards.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct PipelineSection {
    /// Messages that may wait between the feeds and the pipeline, in equal parts for each source; a push
    /// source's message is all the lines of one read, 256 at most.
    pub events: usize,
    /// The core it runs on; none leaves it to the system.
    pub core: Option<usize>,
    /// A channel without data for so long is stale; sources may say otherwise for theirs. Without it
    /// recordings go by the pace of each channel, other sources by [`STALE_AFTER`].
    pub stale_after: Option<Span>,
}

/// How long a channel of a simulated or published symbol may be silent by default.
pub const STALE_AFTER: Duration = Duration::from_secs(5);

/// What is logged.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, or a filter such as `info,tapecast_edge=debug`.
    pub filter: String,
}

/// A length of time, written `"5s"`, `"250ms"`, `"1m 30s"`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span(pub Duration);

// === impl Config ===

impl Config {
    /// What runs without a configuration: the simulated market.
    pub fn demo() -> Self {
        Self {
            sources: vec![Source::Sim(SimSource::default())],
            ..Self::default()
        }
    }

    /// What shards and listeners read while they run.
    pub fn edge(&self) -> Settings {
        let flush_interval = self.shards.flush_interval;
        Settings {
            limits: self.limits.edge(),
            flush_interval: flush_interval.map_or(Duration::ZERO, |span| span.0),
        }
    }

    /// How many shards there will be.
    pub fn shard_count(&self) -> usize {
        self.shards.threads()
    }
}

impl ListenConfig {
    /// The allowed hosts and origins, in the form that the listeners need.
    pub fn rules(&self) -> Rules {
        let origins = Origins::new(&self.allowed_origins);
        let hosts = Hosts::new(self.allowed_hosts.iter().cloned().chain(origins.hosts()));
        Rules { hosts, origins }
    }
}

impl ShardsConfig {
    /// How many shards there will be.
    pub fn threads(&self) -> usize {
        match self.count {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        }
    }

    /// The core of a shard, if one is configured.
    pub fn core(&self, number: usize) -> Option<usize> {
        let count = self.cores.len();
        (count > 0).then(|| self.cores[number % count])
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: "tapecast".to_owned(),
            state_dir: None,
            listen: ListenConfig::default(),
            shards: ShardsConfig::default(),
            limits: LimitsConfig::default(),
            pipeline: PipelineSection::default(),
            log: LogConfig::default(),
            sources: Vec::new(),
        }
    }
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            public: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin: SocketAddr::from(([127, 0, 0, 1], 8081)),
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
        }
    }
}

impl Default for ShardsConfig {
    fn default() -> Self {
        Self {
            count: 0,
            ring_items: 16_384,
            cores: Vec::new(),
            flush_interval: None,
            io_uring: true,
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let (edge, topics) = (Limits::default(), TopicLimits::default());
        Self {
            connections_max: edge.connections_max,
            connections_per_address_max: edge.connections_per_address_max,
            handshakes_max: edge.handshakes_max,
            handshakes_per_address_max: edge.handshakes_per_address_max,
            handshake_timeout: Span(edge.handshake_timeout),
            http_connections_max: edge.http_connections_max,
            http_connections_per_address_max: edge.http_connections_per_address_max,
            http_requests_max: edge.http_requests_max,
            http_requests_per_address_per_s: edge.http_requests_per_address_per_s,
            http_answer_timeout: Span(edge.http_answer_timeout),
            http_idle_timeout: Span(edge.http_idle_timeout),
            topics_per_connection_max: edge.topics_per_connection_max,
            topics_max: topics.topics_max,
            topic_linger: Span(topics.linger),
            instruments_max: 100_000,
            invented_topics_per_connection_max: edge.invented_topics_max,
            requests_per_s: edge.requests_per_s,
            messages_per_s: edge.messages_per_s,
            request_bytes_max: edge.request_bytes_max,
            outbox_bytes_max: edge.outbox_bytes_max,
            parked_bytes_max: edge.parked_bytes_max,
            unsent_bytes_max: edge.unsent_bytes_max,
            stall_timeout: Span(edge.stall_timeout),
            heartbeat: Span(edge.heartbeat),
            ping: Span(edge.ping),
            idle_timeout: Span(edge.idle_timeout),
            close_timeout: Span(edge.close_timeout),
        }
    }
}

impl Default for PipelineSection {
    fn default() -> Self {
        Self {
            events: 1_024,
            core: None,
            stale_after: None,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
        }
    }
}

// === impl LimitsConfig ===

impl LimitsConfig {
    /// As the fan-out takes them.
    pub fn topics(&self) -> TopicLimits {
        TopicLimits {
            topics_max: self.topics_max,
            linger: self.topic_linger.0,
            ..TopicLimits::default()
        }
    }

    /// As the edge takes them.
    pub fn edge(&self) -> Limits {
        Limits {
            connections_max: self.connections_max,
            connections_per_address_max: self.connections_per_address_max,
            handshakes_max: self.handshakes_max,
            handshakes_per_address_max: self.handshakes_per_address_max,
            handshake_timeout: self.handshake_timeout.0,
            http_connections_max: self.http_connections_max,
            http_connections_per_address_max: self.http_connections_per_address_max,
            http_requests_max: self.http_requests_max,
            http_requests_per_address_per_s: self.http_requests_per_address_per_s,
            http_answer_timeout: self.http_answer_timeout.0,
            http_idle_timeout: self.http_idle_timeout.0,
            topics_per_connection_max: self.topics_per_connection_max,
            invented_topics_max: self.invented_topics_per_connection_max,
            topic_linger: self.topic_linger.0,
            requests_per_s: self.requests_per_s,
            messages_per_s: self.messages_per_s,
            request_bytes_max: self.request_bytes_max,
            outbox_bytes_max: self.outbox_bytes_max,
            parked_bytes_max: self.parked_bytes_max,
            unsent_bytes_max: self.unsent_bytes_max,
            stall_timeout: self.stall_timeout.0,
            heartbeat: self.heartbeat.0,
            ping: self.ping.0,
            idle_timeout: self.idle_timeout.0,
            close_timeout: self.close_timeout.0,
        }
    }
}

// === impl Span ===

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(
            deserializer,
            "a duration in quotes, such as \"5s\"",
            Self::parse,
        )
    }
}

impl Span {
    fn parse(text: &str) -> Result<Self, String> {
        let span = text.parse::<jiff::SignedDuration>().ok();
        let span = span.and_then(|span| Duration::try_from(span).ok());
        let span = span.filter(|span| !span.is_zero());
        span.map(Self)
            .ok_or_else(|| format!("{text:?} is not a duration; write \"5s\" or \"250ms\""))
    }
}

#[cfg(test)]
mod tests;
