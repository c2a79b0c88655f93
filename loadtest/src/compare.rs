//! Two results side by side, with ratios.
//!
//! Compares what both have; a figure that one lacks is left out. Says first what makes the two hard to
//! compare: another machine, kernel, scenario or frame size.

use crate::result::AnyResult;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Why two results cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A file holds no result.
    #[error("{path} is no result of `loadtest run` or `loadtest limit`: {source}")]
    NoResult {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// One is of a run, the other of the ceiling.
    #[error("one result is of `run`, the other of `limit`")]
    Kinds,
}

/// Name, place in the JSON, whether more is better.
type Figure = (&'static str, &'static str, Better);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Better {
    More,
    Less,
    Neither,
}

const RUN: [Figure; 22] = [
    ("published/s", "/traffic/published_per_s", Better::Neither),
    ("deliveries/s", "/traffic/deliveries_per_s", Better::More),
    ("MB/s", "/traffic/bytes_per_s", Better::Neither),
    ("bytes per event", "/traffic/bytes_per_event", Better::Less),
    ("delivered share", "/traffic/delivered_share", Better::More),
    ("p50 us", "/latency_us/p50", Better::Less),
    ("p90 us", "/latency_us/p90", Better::Less),
    ("p99 us", "/latency_us/p99", Better::Less),
    ("p99.9 us", "/latency_us/p99_9", Better::Less),
    ("max us", "/latency_us/max", Better::Less),
    ("server cpu share", "/server/cpu_share", Better::Less),
    (
        "deliveries/cpu-s",
        "/server/deliveries_per_cpu_s",
        Better::More,
    ),
    ("us per delivery", "/server/us_per_delivery", Better::Less),
    ("of the ceiling", "/ceiling_ratio", Better::More),
    (
        "rss per connection B",
        "/server/rss_per_connection",
        Better::Less,
    ),
    (
        "rss at the end KiB",
        "/server/memory_end/rss_kib",
        Better::Less,
    ),
    (
        "pss at the end KiB",
        "/server/memory_end/pss_kib",
        Better::Less,
    ),
    ("gaps", "/integrity/gaps", Better::Less),
    ("missing", "/integrity/missing", Better::Less),
    ("announced lost", "/integrity/announced_lost", Better::Less),
    ("harness cpu share", "/harness/cpu_share", Better::Neither),
    (
        "harness turn max us",
        "/harness/turn_max_us",
        Better::Neither,
    ),
];

const LIMIT: [Figure; 7] = [
    ("deliveries/s", "/deliveries_per_s", Better::More),
    ("deliveries/cpu-s", "/deliveries_per_cpu_s", Better::More),
    ("ns per delivery", "/ns_per_delivery", Better::Less),
    ("ns per send", "/ns_per_send", Better::Less),
    ("full", "/full", Better::Neither),
    ("partial", "/partial", Better::Neither),
    ("failed", "/failed", Better::Less),
];

const CONDITIONS: [(&str, &str); 8] = [
    ("machine", "/machine/cpu_model"),
    ("processors", "/machine/cpus"),
    ("kernel", "/machine/kernel"),
    ("placement", "/placement"),
    ("scenario", "/scenario"),
    ("connections", "/connections"),
    ("size", "/size"),
    ("batch", "/batch"),
];

/// Reads two results and puts them side by side.
///
/// # Errors
/// If one is no result, or they are of different kinds.
pub fn compare(left: &Path, right: &Path) -> Result<String, CompareError> {
    let (left, right) = (read(left)?, read(right)?);
    let figures: &[Figure] = match (kind(&left), kind(&right)) {
        (Some("run"), Some("run")) => &RUN,
        (Some("limit"), Some("limit")) => &LIMIT,
        _ => return Err(CompareError::Kinds),
    };
    Ok(table(figures, &left, &right))
}

fn kind(result: &Value) -> Option<&str> {
    result["kind"].as_str()
}

fn read(path: &Path) -> Result<Value, CompareError> {
    let text = std::fs::read_to_string(path).map_err(|source| CompareError::Read {
        path: path.to_owned(),
        source,
    })?;
    let wrong = |source| CompareError::NoResult {
        path: path.to_owned(),
        source,
    };
    // Read as a result first, so that what is none is refused here and not shown half empty.
    serde_json::from_str::<AnyResult>(&text).map_err(wrong)?;
    serde_json::from_str(&text).map_err(wrong)
}

fn table(figures: &[Figure], left: &Value, right: &Value) -> String {
    let mut out = String::new();
    for (name, place) in CONDITIONS {
        let (a, b) = (left.pointer(place), right.pointer(place));
        if a != b {
            let show = |v: Option<&Value>| v.map(Value::to_string).unwrap_or_default();
            let _ = writeln!(out, "not the same {name}: {} and {}", show(a), show(b));
        }
    }
    let _ = writeln!(out, "{:<22}{:>16}{:>16}{:>10}", "", "A", "B", "B/A");
    for (name, place, better) in figures {
        let number = |v: &Value| v.pointer(place).and_then(Value::as_f64);
        let (Some(a), Some(b)) = (number(left), number(right)) else {
            continue;
        };
        let _ = writeln!(
            out,
            "{name:<22}{:>16}{:>16}{:>10} {}",
            spell(a),
            spell(b),
            ratio(a, b),
            verdict(a, b, *better)
        );
    }
    out
}

fn spell(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

fn ratio(a: f64, b: f64) -> String {
    if a == 0.0 {
        "-".into()
    } else {
        format!("{:.3}", b / a)
    }
}

/// A difference under a tenth is within what repeats differ by.
fn verdict(a: f64, b: f64, better: Better) -> &'static str {
    let (low, high) = (a * 0.9, a * 1.1);
    match better {
        Better::More if b > high => "better",
        Better::More if b < low => "WORSE",
        Better::Less if b < low => "better",
        Better::Less if b > high => "WORSE",
        Better::More | Better::Less | Better::Neither => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ratios_and_verdicts_stand_beside_the_figures() {
        let result = |p99: f64, kernel: &str| {
            json!({"kind": "run", "latency_us": {"p99": p99}, "machine": {"kernel": kernel},
                   "integrity": {"gaps": 0}})
        };
        let text = table(&RUN, &result(1_000.0, "a"), &result(1_500.0, "b"));
        assert!(
            text.contains("not the same kernel: \"a\" and \"b\""),
            "{text}"
        );
        let line = text.lines().find(|l| l.starts_with("p99 us")).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words, ["p99", "us", "1000", "1500", "1.500", "WORSE"]);
        assert!(text.contains("gaps"));
        assert!(!text.contains("p50"));
    }

    #[test]
    fn less_than_a_tenth_is_no_difference() {
        assert_eq!(verdict(100.0, 109.0, Better::Less), "");
        assert_eq!(verdict(100.0, 111.0, Better::More), "better");
        assert_eq!(verdict(0.0, 1.0, Better::Less), "WORSE");
    }

    #[test]
    fn what_is_no_result_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.json");
        let error = compare(&file, &file).unwrap_err();
        assert!(error.to_string().starts_with("cannot read "));
        std::fs::write(&file, "{}").unwrap();
        let error = compare(&file, &file).unwrap_err();
        assert!(error.to_string().contains("x.json is no result"), "{error}");
    }
}
