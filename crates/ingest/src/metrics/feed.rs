//! The feeds' counters.

use super::upstream::UpstreamEvent;
use crate::normaliser::Asides;
use crate::venue::{NoTrade, NoUpdate, Reject};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};
use tapecast_model::Venue;

/// The feeds' metrics, registered once per process.
#[derive(Clone, Debug)]
pub struct FeedMetrics {
    messages: IntCounterVec,
    bytes: IntCounterVec,
    rejects: IntCounterVec,
    no_trades: IntCounterVec,
    no_updates: IntCounterVec,
    undated: IntCounterVec,
    reconnects: IntCounterVec,
    answers_dropped: IntCounterVec,
    publishers_refused: IntCounterVec,
    publishers_failed: IntCounterVec,
    upstream: IntCounterVec,
    delay: HistogramVec,
    clock_ahead: IntCounterVec,
}

/// The counters of one venue's feed.
#[derive(Clone, Debug)]
pub struct FeedCounters {
    /// Messages received, of every kind.
    pub messages: IntCounter,
    /// Their bytes.
    pub bytes: IntCounter,
    rejects: [IntCounter; Reject::LABELS.len()],
    no_trades: [IntCounter; NoTrade::ALL.len()],
    no_updates: [IntCounter; NoUpdate::ALL.len()],
    /// Venue times outside the years 1980 to 2200, which were left out.
    pub undated: IntCounter,
    /// Connections given up because of ten refused messages in a row.
    pub reconnects_rejects: IntCounter,
    /// Error lines that a publisher did not read in time.
    pub answers_dropped: IntCounter,
    /// Publishers that were not let in.
    pub publishers_refused: IntCounter,
    /// Publishers that were disconnected by a fault of ours.
    pub publishers_failed: IntCounter,
    upstream: [IntCounter; UpstreamEvent::ALL.len()],
    delay: Histogram,
    clock_ahead: IntCounter,
}

/// Seconds from the venue's stamp to our socket: from the same data centre to a stalled recorder.
const DELAYS: [f64; 14] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

// === impl FeedMetrics ===

impl FeedMetrics {
    /// Makes the metrics and adds them to `registry`.
    ///
    /// # Errors
    /// If one of the names is taken.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let delay = HistogramVec::new(
            HistogramOpts::new(
                "tapecast_venue_delay_seconds",
                "From the venue's time to when its message was received, sampled; 0 if the \
                 venue's clock is ahead.",
            )
            .buckets(DELAYS.to_vec()),
            &["venue"],
        )?;
        registry.register(Box::new(delay.clone()))?;
        Ok(Self {
            messages: counters(
                "tapecast_feed_messages_total",
                "Messages received from a venue, of every kind.",
                &["venue"],
            )?,
            bytes: counters(
                "tapecast_feed_bytes_total",
                "Bytes of the messages received from a venue.",
                &["venue"],
            )?,
            rejects: counters(
                "tapecast_feed_rejects_total",
                "Messages, and parts of messages, that could not be read and were skipped, by reason.",
                &["venue", "reason"],
            )?,
            no_trades: counters(
                "tapecast_feed_no_prints_total",
                "Rows of a venue's tape that are not prints and were not published, by reason.",
                &["venue", "reason"],
            )?,
            no_updates: counters(
                "tapecast_feed_no_updates_total",
                "Quotes and tickers that could be read and were not published, by reason.",
                &["venue", "reason"],
            )?,
            undated: counters(
                "tapecast_feed_times_dropped_total",
                "Venue times outside the years 1980 to 2200, which were left out.",
                &["venue"],
            )?,
            reconnects: counters(
                "tapecast_feed_reconnects_total",
                "Reconnections to a venue, by reason.",
                &["venue", "reason"],
            )?,
            answers_dropped: counters(
                "tapecast_feed_answers_dropped_total",
                "Error lines to a publisher that did not read them in time.",
                &["venue"],
            )?,
            publishers_refused: counters(
                "tapecast_publishers_refused_total",
                "Publishers that were refused: too many, or no file descriptor for them.",
                &["venue"],
            )?,
            publishers_failed: counters(
                "tapecast_publishers_failed_total",
                "Publishers that were disconnected because their task panicked: a fault of the gateway.",
                &["venue"],
            )?,
            upstream: counters(
                "tapecast_upstream_events_total",
                "What happened on connections to a live venue: opened, ended, replaced, refused, repaired.",
                &["venue", "event"],
            )?,
            delay,
            clock_ahead: counters(
                "tapecast_venue_clock_ahead_total",
                "Sampled messages whose venue time was later than their receive time.",
                &["venue"],
            )?,
        })
    }

    /// The handles of one venue; every label value exists from here on, at zero.
    pub fn of_venue(&self, venue: &Venue) -> FeedCounters {
        let venue = venue.as_str();
        FeedCounters {
            messages: self.messages.with_label_values(&[venue]),
            bytes: self.bytes.with_label_values(&[venue]),
            rejects: Reject::LABELS.map(|r| self.rejects.with_label_values(&[venue, r])),
            no_trades: NoTrade::ALL.map(|r| self.no_trades.with_label_values(&[venue, r.label()])),
            no_updates: NoUpdate::ALL
                .map(|r| self.no_updates.with_label_values(&[venue, r.label()])),
            undated: self.undated.with_label_values(&[venue]),
            reconnects_rejects: self.reconnects.with_label_values(&[venue, "rejects"]),
            answers_dropped: self.answers_dropped.with_label_values(&[venue]),
            publishers_refused: self.publishers_refused.with_label_values(&[venue]),
            publishers_failed: self.publishers_failed.with_label_values(&[venue]),
            upstream: UpstreamEvent::ALL
                .map(|event| self.upstream.with_label_values(&[venue, event.label()])),
            delay: self.delay.with_label_values(&[venue]),
            clock_ahead: self.clock_ahead.with_label_values(&[venue]),
        }
    }
}

// === impl FeedCounters ===

impl FeedCounters {
    /// Counts a refused message.
    pub fn reject(&self, reject: Reject) {
        self.rejects[reject.index()].inc();
    }

    /// Counts a row of a tape that is not a trade.
    pub fn no_trade(&self, reason: NoTrade) {
        self.no_trades[reason as usize].inc();
    }

    /// Counts what a message had beside its events.
    pub fn count_asides(&self, asides: &Asides) {
        let Asides {
            no_trades,
            no_updates,
            faults,
            undated,
            beside: _,
        } = asides;
        self.undated.inc_by(u64::from(*undated));
        faults.iter().for_each(|part| self.reject(*part));
        no_trades.iter().for_each(|reason| self.no_trade(*reason));
        no_updates.iter().for_each(|reason| self.no_update(*reason));
    }

    /// Counts something on the way to the venue.
    pub fn upstream(&self, event: UpstreamEvent, times: u64) {
        self.upstream[event as usize].inc_by(times);
    }

    /// The counter itself, for who counts on another thread.
    pub fn upstream_counter(&self, event: UpstreamEvent) -> &IntCounter {
        &self.upstream[event as usize]
    }

    /// How often this happened on the way to the venue.
    pub fn upstream_count(&self, event: UpstreamEvent) -> u64 {
        self.upstream[event as usize].get()
    }

    /// How many rows of a tape were no trades for this reason.
    pub fn no_trades(&self, reason: NoTrade) -> u64 {
        self.no_trades[reason as usize].get()
    }

    /// Counts a quote or a ticker that is no update.
    pub fn no_update(&self, reason: NoUpdate) {
        self.no_updates[reason as usize].inc();
    }

    /// How many quotes and tickers were no updates for this reason.
    pub fn no_updates(&self, reason: NoUpdate) -> u64 {
        self.no_updates[reason as usize].get()
    }

    /// How many messages were refused for this reason.
    pub fn rejected(&self, reject: Reject) -> u64 {
        self.rejects[reject.index()].get()
    }

    /// How many messages were refused.
    pub fn rejected_in_all(&self) -> u64 {
        self.rejects.iter().map(IntCounter::get).sum()
    }

    /// Notes how long a message was on its way; negative if the venue's clock is ahead of ours.
    pub fn observe_delay(&self, nanos: i64) {
        if nanos < 0 {
            self.clock_ahead.inc();
        }
        self.delay.observe(nanos.max(0) as f64 / 1e9);
    }
}
