//! A run second by second, and what grew over it.

use serde::{Deserialize, Serialize};

/// Fewer measured seconds say nothing of growth.
const DRIFT_SECONDS_MIN: usize = 8;

/// One second of a run.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Second {
    /// Seconds since the load began, at its end.
    pub at: f64,
    /// `warm-up`, `measured`, `stalled` or `recovering`.
    pub phase: String,
    /// Clients that were there.
    pub clients: usize,
    /// Connections welcomed in it.
    pub welcomed: u64,
    /// Events published in it.
    pub published: u64,
    /// Events delivered in it.
    pub deliveries: f64,
    /// Bytes received in it.
    pub bytes: u64,
    /// Server processor time in it, as a share of one processor.
    pub server_cpu_share: f64,
    /// The harness's, likewise.
    pub harness_cpu_share: f64,
    /// The server's resident memory.
    pub server_rss_kib: u64,
    /// Bytes that wait in the server for sockets; absent where that was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbox_bytes: Option<f64>,
    /// Connections whose socket is full; absent where that was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked: Option<f64>,
    /// Open file descriptors of the server; absent where that was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_files: Option<u64>,
    /// Median latency of what arrived in it; absent if nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<f64>,
    /// Its 99th percentile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<f64>,
    /// Its maximum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_us: Option<f64>,
}

/// What grew over the measured window.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Drift {
    /// Server resident memory, in KiB.
    pub rss_kib: Trend,
    /// Open file descriptors of the server.
    pub server_files: Trend,
    /// Median latency of each second, in microseconds.
    pub p50_us: Trend,
    /// 99th percentile of each second, in microseconds.
    pub p99_us: Trend,
}

/// How a figure went.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Trend {
    /// Median over the first quarter of the window.
    pub first: f64,
    /// Median over its last quarter.
    pub last: f64,
    /// By how much it grew an hour: the straight line nearest to all seconds.
    pub per_hour: f64,
}

// === impl Drift ===

impl Drift {
    /// Of a run's seconds; none if too few were measured.
    pub fn of(seconds: &[Second]) -> Option<Self> {
        let measured: Vec<&Second> = seconds.iter().filter(|s| s.phase == "measured").collect();
        if measured.len() < DRIFT_SECONDS_MIN {
            return None;
        }
        let trend = |figure: fn(&Second) -> Option<f64>| {
            let points = measured.iter().filter_map(|s| Some((s.at, figure(s)?)));
            Trend::of(&points.collect::<Vec<_>>())
        };
        Some(Self {
            rss_kib: trend(|s| Some(s.server_rss_kib as f64)),
            server_files: trend(|s| s.server_files.map(|n| n as f64)),
            p50_us: trend(|s| s.p50_us),
            p99_us: trend(|s| s.p99_us),
        })
    }
}

// === impl Trend ===

impl Trend {
    fn of(points: &[(f64, f64)]) -> Self {
        let quarter = points.len().div_ceil(4);
        let median = |points: &[(f64, f64)]| {
            let mut values: Vec<f64> = points.iter().map(|p| p.1).collect();
            super::series::median(&mut values)
        };
        Self {
            first: median(&points[..quarter]),
            last: median(&points[points.len() - quarter..]),
            per_hour: slope(points) * 3_600.0,
        }
    }
}

/// Of the line with the least squares; zero where there is none.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len().max(1) as f64;
    let mean = |f: fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / count;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let above: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let below: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    if below > 0.0 { above / below } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_found_and_short_runs_say_nothing() {
        let second = |at: u32| Second {
            at: f64::from(at),
            phase: "measured".into(),
            server_rss_kib: u64::from(1_000 + at),
            p99_us: Some(50.0),
            ..Second::default()
        };
        let seconds: Vec<Second> = (0..40).map(second).collect();
        assert!(Drift::of(&seconds[..7]).is_none());
        let drift = Drift::of(&seconds).unwrap();
        assert!((drift.rss_kib.per_hour - 3_600.0).abs() < 1e-6);
        assert!((drift.rss_kib.last - drift.rss_kib.first - 30.0).abs() < 1e-6);
        assert!(drift.p99_us.per_hour.abs() < 1e-9 && (drift.p99_us.first - 50.0).abs() < 1e-9);
        assert_eq!(drift.server_files, Trend::default());
    }
}
