//! Latencies of a result: percentiles, and the curve they lie on.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Latencies in microseconds.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
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
    /// 99.99 %.
    pub p99_99: f64,
    /// All.
    pub max: f64,
    /// Pairs of quantile and latency, denser towards the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<[f64; 2]>,
}

// === impl Latency ===

impl Latency {
    /// Of a histogram of nanoseconds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let us = |nanos: u64| nanos as f64 / 1e3;
        let at = |quantile| us(histogram.value_at_quantile(quantile));
        if histogram.is_empty() {
            return Self::default();
        }
        Self {
            count: histogram.len(),
            mean: histogram.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: us(histogram.max()),
            curve: curve(histogram),
        }
    }
}

/// Ten points to each factor of ten of what remains above, as far as there are values.
fn curve(histogram: &Histogram<u64>) -> Vec<[f64; 2]> {
    const PER_DECADE: i32 = 10;
    let finest = 1.0 / histogram.len() as f64;
    let mut points = Vec::new();
    for step in 0.. {
        let above = 10_f64.powf(-f64::from(step) / f64::from(PER_DECADE));
        if above <= finest || step > 8 * PER_DECADE {
            break;
        }
        let quantile = 1.0 - above;
        points.push([quantile, histogram.value_at_quantile(quantile) as f64 / 1e3]);
    }
    // From here on it is the maximum.
    points.push([1.0 - finest, histogram.max() as f64 / 1e3]);
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::histogram;

    #[test]
    fn latency_is_in_microseconds() {
        let mut nanos = histogram();
        assert_eq!(Latency::of(&nanos), Latency::default());
        for ms in 1..=1_000_u64 {
            nanos.saturating_record(ms * 1_000_000);
        }
        let latency = Latency::of(&nanos);
        let near = |value: f64, expected: f64| (value - expected).abs() < expected / 500.0;
        assert!(near(latency.p50, 5e5) && near(latency.p99_9, 9.99e5) && near(latency.max, 1e6));
        assert_eq!(latency.count, 1_000);
    }

    #[test]
    fn the_curve_rises_from_the_least_to_the_most() {
        let mut nanos = histogram();
        for us in 1..=10_000_u64 {
            nanos.saturating_record(us * 1_000);
        }
        let curve = Latency::of(&nanos).curve;
        assert!(curve.is_sorted_by(|a, b| a[0] < b[0] && a[1] <= b[1]));
        let [quantile, most] = *curve.last().unwrap();
        assert!(curve[0][1] < 2.0 && (quantile - 0.9999).abs() < 1e-9 && most >= 9_999.0);
        // Four decades of ten.
        assert!((40..=42).contains(&curve.len()));
    }
}
