//! What is compared: names, places in the JSON, and which way is better.

/// A figure.
#[derive(Clone, Copy, Debug)]
pub(super) struct FigureOf {
    pub(super) name: &'static str,
    pub(super) place: &'static str,
    pub(super) better: Better,
    /// So much of the JSON's unit is one of the name's.
    pub(super) unit: f64,
    /// Shown even if it is zero on both sides.
    pub(super) always: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Better {
    More,
    Less,
    Neither,
}

use Better::{Less, More, Neither};

const fn figure(name: &'static str, place: &'static str, better: Better) -> FigureOf {
    FigureOf {
        name,
        place,
        better,
        unit: 1.0,
        always: false,
    }
}

const fn always(name: &'static str, place: &'static str, better: Better) -> FigureOf {
    FigureOf {
        always: true,
        ..figure(name, place, better)
    }
}

/// A figure that the JSON has in bytes, and its name in megabytes.
const fn megabytes(name: &'static str, place: &'static str, better: Better) -> FigureOf {
    FigureOf {
        unit: 1e6,
        ..figure(name, place, better)
    }
}

/// Of runs. What is zero on both sides is left out.
pub(super) const RUN: [FigureOf; 35] = [
    figure("published/s", "/traffic/published_per_s", Neither),
    figure("deliveries/s", "/traffic/deliveries_per_s", More),
    megabytes("MB/s", "/traffic/bytes_per_s", Neither),
    figure("bytes per event", "/traffic/bytes_per_event", Less),
    figure("delivered share", "/traffic/delivered_share", More),
    figure("p50 us", "/latency_us/p50", Less),
    figure("p90 us", "/latency_us/p90", Less),
    figure("p99 us", "/latency_us/p99", Less),
    figure("p99.9 us", "/latency_us/p99_9", Less),
    figure("p99.99 us", "/latency_us/p99_99", Neither),
    figure("max us", "/latency_us/max", Neither),
    figure("stall: p50 ratio", "/stall/p50_ratio", Less),
    figure("stall: p99 ratio", "/stall/p99_ratio", Less),
    figure("slow: connected", "/slow/connected", More),
    figure("slow: topics right", "/slow/topics_right", More),
    figure("outbox at most B", "/metrics/outbox_bytes_max", Less),
    figure("welcomed/s", "/joins/welcomed_per_s", More),
    figure("to welcome p50 us", "/joins/to_welcome_us/p50", Less),
    figure("to welcome p99 us", "/joins/to_welcome_us/p99", Less),
    figure("to snapshot p50 us", "/joins/to_snapshot_us/p50", Less),
    figure("to snapshot p99 us", "/joins/to_snapshot_us/p99", Less),
    figure(
        "snapshots encoded",
        "/metrics/run/snapshots_encoded",
        Neither,
    ),
    figure("server cpu share", "/server/cpu_share", Less),
    figure("deliveries/cpu-s", "/server/deliveries_per_cpu_s", More),
    figure("us per delivery", "/server/us_per_delivery", Less),
    figure(
        "frames per write",
        "/metrics/window/frames_per_write",
        Neither,
    ),
    figure("of the ceiling", "/ceiling/ratio", More),
    figure("rss per connection B", "/server/rss_per_connection", Less),
    figure("rss at the end KiB", "/server/memory_end/rss_kib", Less),
    figure("rss KiB per hour", "/drift/rss_kib/per_hour", Neither),
    always("gaps", "/integrity/gaps", Less),
    always("missing", "/integrity/missing", Less),
    always("announced lost", "/integrity/announced_lost", Less),
    always("harness cpu share", "/harness/cpu_share", Neither),
    always("harness turn max us", "/harness/turn_max_us", Neither),
];

/// Of the ceiling.
pub(super) const LIMIT: [FigureOf; 7] = [
    figure("deliveries/s", "/deliveries_per_s", More),
    figure("deliveries/cpu-s", "/deliveries_per_cpu_s", More),
    figure("ns per delivery", "/ns_per_delivery", Less),
    figure("ns per send", "/ns_per_send", Less),
    figure("full", "/full", Neither),
    figure("partial", "/partial", Neither),
    always("failed", "/failed", Less),
];
