//! The counters of shards and of the listener.
//!
//! A shard counts in its own plain integers and adds them to the shared counters a few times per second.
//! Labels are looked up only at the start.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use tapecast_fanout::metrics::LATENCY_BUCKETS;
use tapecast_wire::{CloseReason, ErrorCode, request::OP_LABELS};

/// Handles of one shard.
#[derive(Clone, Debug)]
pub struct ShardMetrics {
    /// Open connections.
    pub connections: IntGauge,
    /// Connections that came.
    pub opened: IntCounter,
    /// Connections that went, by reason.
    pub closed: [IntCounter; CloseReason::ALL.len()],
    /// Open subscriptions.
    pub subscriptions: IntGauge,
    /// Frames times subscribers at the moment of publishing.
    pub indexed: IntCounter,
    /// Of these, completely written to sockets.
    pub delivered: IntCounter,
    /// Of these, replaced by something newer for a slow client.
    pub conflated: IntCounter,
    /// Of these, lost by slow or closing clients, and announced.
    pub dropped: IntCounter,
    /// Of these, waiting for sockets.
    pub queued: IntGauge,
    /// Snapshots written or queued for joining and resyncing clients.
    pub snapshots: IntCounter,
    /// Bytes written.
    pub bytes: IntCounter,
    /// Writes to sockets; with `io_uring` one system call makes many.
    pub writes: IntCounter,
    /// Bytes waiting for sockets.
    pub outbox_bytes: IntGauge,
    /// Bytes kept for full sockets, counted once however many wait for them.
    pub parked_bytes: IntGauge,
    /// Connections whose socket is full.
    pub blocked: IntGauge,
    /// Connections that gave up what was queued because too much was kept in all.
    pub evictions: IntCounter,
    /// Times that a connection was not read because it said too much.
    pub readers_held: IntCounter,
    /// Topics that a client resynced because it was slow.
    pub resyncs_slow: IntCounter,
    /// Topics that a client resynced because it asked for it.
    pub resyncs_asked: IntCounter,
    /// Topics that all clients resynced: first data, a restored book, a new epoch, or a ring overrun.
    pub restarts: IntCounter,
    /// Gap notices.
    pub gaps: IntCounter,
    /// Requests by operation.
    pub requests: [IntCounter; OP_LABELS.len()],
    /// Requests refused, by error.
    pub errors: [IntCounter; ErrorCode::ALL.len()],
    /// From published to written.
    pub write_delay: Histogram,
}

/// Handles of the public listener.
#[derive(Clone, Debug)]
pub struct ListenerMetrics {
    refused: IntCounterVec,
}

/// Handles of a listener, for plain HTTP.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    refused: IntCounterVec,
    listener: &'static str,
}

/// The families of which each shard takes its handles.
#[derive(Clone, Debug)]
pub struct EdgeMetrics {
    gauges: [IntGaugeVec; 6],
    counters: [IntCounterVec; 10],
    resyncs: IntCounterVec,
    closed: IntCounterVec,
    requests: IntCounterVec,
    errors: IntCounterVec,
    refused: IntCounterVec,
    http_refused: IntCounterVec,
    write_delay: Histogram,
}

/// Why a handshake is refused: the closed set of labels.
pub const REFUSALS: [&str; 10] = [
    "bad_request",
    "host",
    "origin",
    "subprotocol",
    "address_cap",
    "all_cap",
    "share",
    "busy",
    "files",
    "draining",
];

/// Why a plain request is refused or its connection cut: the closed set of labels.
pub const HTTP_REFUSALS: [&str; 9] = [
    "bad_request",
    "host",
    "origin",
    "rate",
    "share",
    "busy",
    "evicted",
    "slow_request",
    "slow_answer",
];

const GAUGES: [(&str, &str); 6] = [
    ("tapecast_connections", "Open client connections"),
    ("tapecast_subscriptions", "Open subscriptions"),
    ("tapecast_frames_queued", "Frames waiting for sockets"),
    ("tapecast_outbox_bytes", "Bytes waiting for sockets"),
    (
        "tapecast_parked_connections",
        "Connections whose socket is full",
    ),
    (
        "tapecast_parked_bytes",
        "Bytes kept for full sockets; bytes that several clients wait for count once",
    ),
];

const COUNTERS: [(&str, &str); 10] = [
    (
        "tapecast_connections_opened_total",
        "Client connections accepted",
    ),
    (
        "tapecast_frames_indexed_total",
        "Frames multiplied by their subscribers at the moment of publishing",
    ),
    (
        "tapecast_frames_delivered_total",
        "Frames completely written to client sockets",
    ),
    (
        "tapecast_frames_conflated_total",
        "Frames replaced by something newer for a slow client",
    ),
    (
        "tapecast_frames_dropped_total",
        "Frames lost by slow or closing clients",
    ),
    (
        "tapecast_bytes_sent_total",
        "Bytes written to client sockets",
    ),
    (
        "tapecast_writes_total",
        "Writes to client sockets; with io_uring, one system call makes many",
    ),
    ("tapecast_gaps_total", "Gap notices sent"),
    (
        "tapecast_evictions_total",
        "Connections whose queue was discarded because all queues together held too much",
    ),
    (
        "tapecast_readers_held_total",
        "Times that a connection was not read for a while because it sent too much",
    ),
];

impl EdgeMetrics {
    /// Makes and registers the families.
    ///
    /// # Errors
    /// If a name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge =
            |(name, help): (&str, &str)| IntGaugeVec::new(Opts::new(name, help), &["shard"]);
        let counter = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels)
        };
        let [g0, g1, g2, g3, g4, g5] = GAUGES.map(gauge);
        let [c0, c1, c2, c3, c4, c5, c6, c7, c8, c9] =
            COUNTERS.map(|(name, help)| counter(name, help, &["shard"]));
        let families = Self {
            gauges: [g0?, g1?, g2?, g3?, g4?, g5?],
            counters: [c0?, c1?, c2?, c3?, c4?, c5?, c6?, c7?, c8?, c9?],
            resyncs: counter(
                "tapecast_resyncs_total",
                "Topics that started again with a snapshot, by reason",
                &["shard", "reason"],
            )?,
            closed: counter(
                "tapecast_connections_closed_total",
                "Client connections closed, by reason",
                &["reason"],
            )?,
            requests: counter("tapecast_requests_total", "Client requests", &["op"])?,
            errors: counter(
                "tapecast_request_errors_total",
                "Requests or topics refused, by error",
                &["error"],
            )?,
            refused: counter(
                "tapecast_handshakes_refused_total",
                "Handshakes refused, by reason",
                &["reason"],
            )?,
            http_refused: counter(
                "tapecast_http_refused_total",
                "Plain requests refused and connections cut, by listener and reason",
                &["listener", "reason"],
            )?,
            write_delay: Histogram::with_opts(
                HistogramOpts::new(
                    "tapecast_write_delay_seconds",
                    "Time from published to written, sampled once per turn of a shard",
                )
                .buckets(LATENCY_BUCKETS.to_vec()),
            )?,
        };
        for family in &families.gauges {
            registry.register(Box::new(family.clone()))?;
        }
        let Self {
            counters,
            resyncs,
            closed,
            requests,
            errors,
            refused,
            http_refused,
            ..
        } = &families;
        for family in
            counters
                .iter()
                .chain([resyncs, closed, requests, errors, refused, http_refused])
        {
            registry.register(Box::new(family.clone()))?;
        }
        registry.register(Box::new(families.write_delay.clone()))?;
        Ok(families)
    }

    /// One shard's handles.
    pub fn shard(&self, shard: usize) -> ShardMetrics {
        let shard = shard.to_string();
        let [
            connections,
            subscriptions,
            queued,
            outbox_bytes,
            blocked,
            parked_bytes,
        ] = self
            .gauges
            .each_ref()
            .map(|family| family.with_label_values(&[&shard]));
        let [
            opened,
            indexed,
            delivered,
            conflated,
            dropped,
            bytes,
            writes,
            gaps,
            evictions,
            readers_held,
        ] = self
            .counters
            .each_ref()
            .map(|family| family.with_label_values(&[&shard]));
        let resyncs = |reason: &str| self.resyncs.with_label_values(&[&shard, reason]);
        ShardMetrics {
            connections,
            opened,
            closed: CloseReason::ALL.map(|r| self.closed.with_label_values(&[r.label()])),
            subscriptions,
            indexed,
            delivered,
            conflated,
            dropped,
            queued,
            snapshots: resyncs("join"),
            bytes,
            writes,
            outbox_bytes,
            blocked,
            parked_bytes,
            evictions,
            readers_held,
            resyncs_slow: resyncs("slow"),
            resyncs_asked: resyncs("asked"),
            restarts: resyncs("restart"),
            gaps,
            requests: OP_LABELS.map(|op| self.requests.with_label_values(&[op])),
            errors: ErrorCode::ALL.map(|e| self.errors.with_label_values(&[e.label()])),
            write_delay: self.write_delay.clone(),
        }
    }

    /// The listener's handles.
    pub fn listener(&self) -> ListenerMetrics {
        for reason in REFUSALS {
            self.refused.with_label_values(&[reason]);
        }
        ListenerMetrics {
            refused: self.refused.clone(),
        }
    }
}

impl EdgeMetrics {
    /// A listener's handles for plain HTTP; `listener` is `"public"` or `"admin"`.
    pub fn http(&self, listener: &'static str) -> HttpMetrics {
        for reason in HTTP_REFUSALS {
            self.http_refused.with_label_values(&[listener, reason]);
        }
        HttpMetrics {
            refused: self.http_refused.clone(),
            listener,
        }
    }
}

impl HttpMetrics {
    /// Counts a refused request; `reason` is one of [`HTTP_REFUSALS`].
    pub fn refuse(&self, reason: &'static str) {
        let labels = [self.listener, reason];
        self.refused.with_label_values(&labels).inc();
    }
}

impl ListenerMetrics {
    /// Counts a refused handshake; `reason` is one of [`REFUSALS`].
    pub fn refuse(&self, reason: &'static str) {
        self.refused.with_label_values(&[reason]).inc();
    }
}
