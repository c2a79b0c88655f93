//! The publisher's counters. Handles are made once; no label is looked up per update.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use tapecast_model::ChannelKind;
use tapecast_wire::Encoding;

/// The publisher's metrics.
#[derive(Clone, Debug)]
pub struct FanoutMetrics {
    /// Frames serialised, once for everybody, by channel and encoding.
    pub frames_encoded: ByChannel,
    /// Snapshots serialised for joiners, by channel and encoding.
    pub snapshots_encoded: ByChannel,
    /// Bytes of frames serialised, by encoding.
    pub encoded_bytes: [IntCounter; Encoding::ALL.len()],
    /// Updates without subscribers, which were therefore not serialised.
    pub updates_unwanted: IntCounter,
    /// Updates that an interval topic merged into a later frame, or batched with others in it, by
    /// channel.
    pub updates_conflated: [IntCounter; ChannelKind::ALL.len()],
    /// Items a shard's full ring could not take.
    pub ring_overruns: Vec<IntCounter>,
    /// Items waiting in a shard's ring.
    pub ring_items: Vec<IntGauge>,
    /// Topics that have subscribers.
    pub topics: IntGauge,
    /// Topics whose last subscriber left a while ago.
    pub topics_lingering: IntGauge,
    /// From received to published.
    pub publish_delay: Histogram,
}

/// Counters by channel and encoding.
#[derive(Clone, Debug)]
pub struct ByChannel([[IntCounter; Encoding::ALL.len()]; ChannelKind::ALL.len()]);

impl ByChannel {
    /// The counter of a channel and an encoding.
    pub const fn of(&self, channel: ChannelKind, encoding: Encoding) -> &IntCounter {
        &self.0[channel.index()][encoding.index()]
    }
}

/// Bucket bounds of the latency histograms, in seconds: 1 µs to 4 s, by factors of four. Coarse, for
/// they are exported for every hop; the load harness measures finely.
pub const LATENCY_BUCKETS: [f64; 12] = [
    1e-6, 4e-6, 16e-6, 64e-6, 256e-6, 1e-3, 4e-3, 16e-3, 64e-3, 256e-3, 1.0, 4.0,
];

impl FanoutMetrics {
    /// Makes and registers the handles.
    ///
    /// # Errors
    /// If a name is registered already.
    pub fn register(registry: &Registry, shards: usize) -> Result<Self, prometheus::Error> {
        let per_frame = |name: &str, help: &str| {
            let family = IntCounterVec::new(Opts::new(name, help), &["channel", "encoding"])?;
            registry.register(Box::new(family.clone()))?;
            let of = |channel: ChannelKind| {
                Encoding::ALL.map(|e| family.with_label_values(&[channel.label(), e.label()]))
            };
            Ok::<_, prometheus::Error>(ByChannel(ChannelKind::ALL.map(of)))
        };
        let frames_encoded = per_frame(
            "tapecast_frames_encoded_total",
            "Data frames serialised, once for all subscribers",
        )?;
        let snapshots_encoded = per_frame(
            "tapecast_snapshots_encoded_total",
            "Snapshot frames serialised for joining or resyncing subscribers",
        )?;
        let bytes = IntCounterVec::new(
            Opts::new("tapecast_encoded_bytes_total", "Bytes of frames serialised"),
            &["encoding"],
        )?;
        let unwanted = IntCounter::new(
            "tapecast_updates_unwanted_total",
            "Updates not serialised because nobody subscribes",
        )?;
        let conflated = IntCounterVec::new(
            Opts::new(
                "tapecast_updates_conflated_total",
                "Updates that interval topics merged into a frame with others; prints are batched",
            ),
            &["channel"],
        )?;
        let overruns = IntCounterVec::new(
            Opts::new(
                "tapecast_ring_overruns_total",
                "Items a shard's full ring could not take",
            ),
            &["shard"],
        )?;
        let items = IntGaugeVec::new(
            Opts::new("tapecast_ring_items", "Items waiting in a shard's ring"),
            &["shard"],
        )?;
        let topics = IntGauge::new("tapecast_topics", "Topics that have subscribers")?;
        let topics_lingering = IntGauge::new(
            "tapecast_topics_lingering",
            "Topics whose last subscriber left less than limits.topic_linger ago",
        )?;
        let publish_delay = Histogram::with_opts(
            HistogramOpts::new(
                "tapecast_publish_delay_seconds",
                "Time from received to published, sampled once per turn of the pipeline",
            )
            .buckets(LATENCY_BUCKETS.to_vec()),
        )?;
        registry.register(Box::new(bytes.clone()))?;
        registry.register(Box::new(unwanted.clone()))?;
        registry.register(Box::new(conflated.clone()))?;
        registry.register(Box::new(overruns.clone()))?;
        registry.register(Box::new(items.clone()))?;
        registry.register(Box::new(topics.clone()))?;
        registry.register(Box::new(topics_lingering.clone()))?;
        registry.register(Box::new(publish_delay.clone()))?;
        let shard = |index: usize| index.to_string();
        Ok(Self {
            frames_encoded,
            snapshots_encoded,
            encoded_bytes: Encoding::ALL.map(|e| bytes.with_label_values(&[e.label()])),
            updates_unwanted: unwanted,
            updates_conflated: ChannelKind::ALL.map(|c| conflated.with_label_values(&[c.label()])),
            ring_overruns: (0..shards)
                .map(|s| overruns.with_label_values(&[&shard(s)]))
                .collect(),
            ring_items: (0..shards)
                .map(|s| items.with_label_values(&[&shard(s)]))
                .collect(),
            topics,
            topics_lingering,
            publish_delay,
        })
    }
}
