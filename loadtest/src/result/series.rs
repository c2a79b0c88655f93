//! The same measured several times: medians, and how far the measurements are apart.

use super::{AnyResult, Heading, LimitResult, RunResult};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Runs of one scenario.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RunSeries {
    /// Where, and when the first began.
    #[serde(flatten)]
    pub heading: Heading,
    /// The figures that matter, over all runs.
    pub summary: BTreeMap<String, Figure>,
    /// Every one of them.
    pub runs: Vec<RunResult>,
}

/// Measurements of the ceiling, of one or several batches.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct LimitSeries {
    /// Where, and when the first began.
    #[serde(flatten)]
    pub heading: Heading,
    /// Deliveries per second of processor time, by batch.
    pub summary: BTreeMap<String, Figure>,
    /// Every measurement.
    pub limits: Vec<LimitResult>,
}

/// A figure over several measurements.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Figure {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// The distance between those two, as a share of the median.
    pub spread: f64,
}

/// What a series of runs is summed up by: name, and place in the JSON of a run.
const SUMMARY: [(&str, &str); 14] = [
    ("deliveries_per_s", "/traffic/deliveries_per_s"),
    ("deliveries_per_cpu_s", "/server/deliveries_per_cpu_s"),
    ("us_per_delivery", "/server/us_per_delivery"),
    ("p50_us", "/latency_us/p50"),
    ("p99_us", "/latency_us/p99"),
    ("p99_9_us", "/latency_us/p99_9"),
    ("max_us", "/latency_us/max"),
    ("stall_p99_ratio", "/stall/p99_ratio"),
    ("welcomed_per_s", "/joins/welcomed_per_s"),
    ("to_welcome_p99_us", "/joins/to_welcome_us/p99"),
    ("to_snapshot_p99_us", "/joins/to_snapshot_us/p99"),
    ("rss_per_connection", "/server/rss_per_connection"),
    ("frames_per_write", "/metrics/window/frames_per_write"),
    ("ceiling_ratio", "/ceiling/ratio"),
];

/// The median; sorts. Zero of nothing.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match values {
        [] => 0.0,
        values if values.len() % 2 == 1 => values[values.len() / 2],
        values => (values[values.len() / 2 - 1] + values[values.len() / 2]) / 2.0,
    }
}

/// Median and spread of values; none of none.
pub fn spread(values: &[f64]) -> Option<Figure> {
    let mut values = values.to_vec();
    let median = median(&mut values);
    let (min, max) = (*values.first()?, *values.last()?);
    let spread = if median.abs() > 0.0 {
        (max - min) / median.abs()
    } else {
        0.0
    };
    Some(Figure {
        median,
        min,
        max,
        spread,
    })
}

// === impl RunSeries ===

impl RunSeries {
    /// Of at least one run.
    pub fn of(heading: Heading, runs: Vec<RunResult>) -> Self {
        let values: Vec<Value> = runs
            .iter()
            .filter_map(|run| serde_json::to_value(run).ok())
            .collect();
        let summary = SUMMARY.iter().filter_map(|(name, place)| {
            let found = values.iter().filter_map(|v| v.pointer(place)?.as_f64());
            Some(((*name).to_owned(), spread(&found.collect::<Vec<_>>())?))
        });
        // What a scenario is not about is zero in all its runs.
        let summary = summary.filter(|(_, figure)| figure.max.abs() > 0.0);
        Self {
            heading,
            summary: summary.collect(),
            runs,
        }
    }
}

// === impl LimitSeries ===

impl LimitSeries {
    /// Of at least one measurement.
    pub fn of(heading: Heading, limits: Vec<LimitResult>) -> Self {
        let mut by_batch: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for limit in &limits {
            let values = by_batch.entry(format!("batch_{}", limit.batch));
            values.or_default().push(limit.deliveries_per_cpu_s);
        }
        let summary = by_batch.into_iter();
        Self {
            heading,
            summary: summary
                .filter_map(|(batch, values)| Some((batch, spread(&values)?)))
                .collect(),
            limits,
        }
    }
}

// === impl AnyResult ===

impl AnyResult {
    /// One run as it is, several as a series. None of none.
    pub fn of_runs(mut runs: Vec<RunResult>) -> Option<Self> {
        if runs.len() == 1 {
            return runs.pop().map(|run| Self::Run(Box::new(run)));
        }
        let heading = runs.first()?.heading.clone();
        Some(Self::RunSeries(Box::new(RunSeries::of(heading, runs))))
    }

    /// One measurement as it is, several as a series. None of none.
    pub fn of_limits(mut limits: Vec<LimitResult>) -> Option<Self> {
        if limits.len() == 1 {
            return limits.pop().map(|limit| Self::Limit(Box::new(limit)));
        }
        let heading = limits.first()?.heading.clone();
        Some(Self::LimitSeries(Box::new(LimitSeries::of(
            heading, limits,
        ))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_the_spread_the_distance_of_the_ends() {
        let figure = spread(&[5.0, 1.0, 4.0]).unwrap();
        let expected = Figure {
            median: 4.0,
            min: 1.0,
            max: 5.0,
            spread: 1.0,
        };
        assert_eq!(figure, expected);
        assert!((spread(&[1.0, 2.0]).unwrap().median - 1.5).abs() < 1e-9);
        assert_eq!(spread(&[]), None);
    }
}
