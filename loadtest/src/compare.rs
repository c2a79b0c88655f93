//! Results side by side, with ratios and verdicts that know how noisy the figures are.
//!
//! Every result is held against the first. Several runs of one thing (`--repeat`) are compared by their
//! medians, and a difference counts if it is larger than both together scatter; single runs are given a
//! tenth. Other scenarios or parameters are refused unless asked for; another machine or kernel is said,
//! and so is a harness that was its own bottleneck.

use crate::result::{AnyResult, Figure, spread};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

mod figures;

use figures::{Better, FigureOf, LIMIT, RUN};

/// Why results cannot be compared.
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
    #[error("{path} is not a result of `loadtest run` or `loadtest limit`: {source}")]
    NoResult {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// One is of a run, the other of the ceiling.
    #[error(
        "one of {0} and {1} is a result of `run` and the other of `limit`; compare two of the same kind"
    )]
    Kinds(PathBuf, PathBuf),
    /// They measured different things.
    #[error(
        "{a} and {b} have different scenarios: {difference}; to compare them anyway, use --allow-different"
    )]
    Different {
        /// The first.
        a: PathBuf,
        /// The other.
        b: PathBuf,
        /// In what they differ.
        difference: String,
    },
}

/// What came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The tables.
    pub text: String,
    /// Figures that are worse than in the first result.
    pub worse: usize,
}

/// Measurements of the same, from one file.
#[derive(Clone, Debug)]
struct Sample {
    path: PathBuf,
    /// `run` or `limit`.
    figures: &'static [FigureOf],
    /// By what was measured: one of a scenario, several of the ceiling's batches.
    groups: BTreeMap<String, Vec<Value>>,
    /// What must be the same for a comparison to make sense.
    parameters: Value,
}

/// Compares results with the first of them.
///
/// # Errors
/// If one is no result, or they measured different things and that was not allowed.
pub fn compare(paths: &[PathBuf], allow_different: bool) -> Result<Comparison, CompareError> {
    let samples: Result<Vec<Sample>, CompareError> =
        paths.iter().map(|p| Sample::read(p)).collect();
    let samples = samples?;
    let mut comparison = Comparison {
        text: String::new(),
        worse: 0,
    };
    for (index, sample) in samples.iter().enumerate() {
        let name = letter(index);
        let _ = writeln!(comparison.text, "{name}: {}", sample.path.display());
        comparison.text += &sample.warnings(&name);
    }
    let Some((first, others)) = samples.split_first() else {
        return Ok(comparison);
    };
    for (index, other) in others.iter().enumerate() {
        first.allows(other, allow_different)?;
        comparison.add(first, other, &letter(index + 1));
    }
    Ok(comparison)
}

/// Reads a result.
///
/// # Errors
/// If there is none.
pub fn read(path: &Path) -> Result<AnyResult, CompareError> {
    let text = std::fs::read_to_string(path).map_err(|source| CompareError::Read {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|source| CompareError::NoResult {
        path: path.to_owned(),
        source,
    })
}

fn json(result: &impl serde::Serialize) -> Value {
    serde_json::to_value(result).unwrap_or_default()
}

fn letter(index: usize) -> String {
    let letter = u8::try_from(index).ok().filter(|n| *n < 26);
    letter.map_or_else(
        || format!("#{}", index + 1),
        |n| char::from(b'A' + n).to_string(),
    )
}

// === impl Sample ===

impl Sample {
    fn read(path: &Path) -> Result<Self, CompareError> {
        Ok(Self::of(path, &read(path)?))
    }

    fn of(path: &Path, result: &AnyResult) -> Self {
        let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let mut parameters = Value::Null;
        for run in result.runs() {
            parameters = serde_json::to_value(&run.scenario).unwrap_or_default();
            groups.entry(String::new()).or_default().push(json(run));
        }
        for limit in result.limits() {
            let group = format!(
                "{}, {} sockets, {} x {} B",
                limit.method, limit.connections, limit.batch, limit.size
            );
            groups.entry(group).or_default().push(json(limit));
        }
        if let Some(scenario) = parameters.as_object_mut() {
            // What it is called does not matter.
            scenario.remove("name");
            scenario.remove("description");
        }
        Self {
            path: path.to_owned(),
            figures: if result.runs().is_empty() {
                &LIMIT
            } else {
                &RUN
            },
            groups,
            parameters,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Value> {
        self.groups.values().flatten()
    }

    /// What a reader must know before any figure.
    fn warnings(&self, name: &str) -> String {
        let mut text = String::new();
        let total = self.all().count();
        let mut warn = |place: &str, holds: fn(&Value) -> bool, reasons: &str, what: &str| {
            let such: Vec<&Value> = self
                .all()
                .filter(|v| v.pointer(place).is_some_and(holds))
                .collect();
            if let Some(first) = such.first() {
                let list = first.pointer(reasons).and_then(Value::as_array);
                let reasons: Vec<&str> = list
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                let _ = writeln!(
                    text,
                    "!!! {name} {what} ({} of {total}): {}",
                    such.len(),
                    reasons.join("; ")
                );
            }
        };
        let is = |v: &Value| v.as_bool() == Some(true);
        let is_not = |v: &Value| v.as_bool() == Some(false);
        warn("/clean", is_not, "/failures", "WAS NOT CLEAN");
        warn(
            "/harness_limited",
            is,
            "/harness_limited_reasons",
            "WAS LIMITED BY THE HARNESS: do not trust throughput and latency",
        );
        text
    }

    fn allows(&self, other: &Self, allow_different: bool) -> Result<(), CompareError> {
        if self.figures.len() != other.figures.len() {
            return Err(CompareError::Kinds(self.path.clone(), other.path.clone()));
        }
        let mut differences = differences(&self.parameters, &other.parameters);
        if self.groups.keys().ne(other.groups.keys()) {
            let list = |sample: &Self| {
                let keys: Vec<&str> = sample.groups.keys().map(String::as_str).collect();
                keys.join(" / ")
            };
            differences.push(format!("{} and {}", list(self), list(other)));
        }
        if differences.is_empty() || allow_different {
            return Ok(());
        }
        Err(CompareError::Different {
            a: self.path.clone(),
            b: other.path.clone(),
            difference: differences.join(", "),
        })
    }

    /// Which groups are held against which: those of the same name, or the only ones.
    fn pairs<'a>(&'a self, other: &'a Self) -> Vec<(String, &'a [Value], &'a [Value])> {
        if let (Some((a, left)), Some((b, right)), 1, 1) = (
            self.groups.first_key_value(),
            other.groups.first_key_value(),
            self.groups.len(),
            other.groups.len(),
        ) {
            let title = if a == b {
                a.clone()
            } else {
                format!("{a} and {b}")
            };
            return vec![(title, left, right)];
        }
        let shared = self.groups.iter().filter_map(|(name, left)| {
            let right = other.groups.get(name)?;
            Some((name.clone(), left.as_slice(), right.as_slice()))
        });
        shared.collect()
    }
}

/// Keys of two tables whose values differ.
fn differences(a: &Value, b: &Value) -> Vec<String> {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else {
        return Vec::new();
    };
    let null = Value::Null;
    let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let values = |key: &String| {
        (
            a.get(key).unwrap_or(&null).clone(),
            b.get(key).unwrap_or(&null).clone(),
        )
    };
    let differ = keys.into_iter().map(|key| (key, values(key)));
    let differ = differ.filter(|(_, (a, b))| a != b);
    differ
        .map(|(key, (a, b))| format!("{key} is {a} and {b}"))
        .collect()
}

// === impl Comparison ===

const CONDITIONS: [(&str, &str); 6] = [
    ("machine", "/machine/cpu_model"),
    ("processors", "/machine/cpus"),
    ("kernel", "/machine/kernel"),
    ("governor", "/machine/governor"),
    ("placement", "/placement"),
    ("scenario", "/scenario"),
];

impl Comparison {
    fn add(&mut self, first: &Sample, other: &Sample, name: &str) {
        let text = &mut self.text;
        for (what, place) in CONDITIONS {
            let of = |sample: &Sample| sample.all().next().and_then(|v| v.pointer(place).cloned());
            let (a, b) = (of(first), of(other));
            if a == b {
                continue;
            }
            let detail = match what {
                "scenario" => differences(&first.parameters, &other.parameters).join(", "),
                _ => {
                    let show = |v: Option<Value>| v.unwrap_or_default().to_string();
                    format!("{} and {}", show(a), show(b))
                }
            };
            if !detail.is_empty() {
                let _ = writeln!(text, "not the same {what}: {detail}");
            }
        }
        for (title, left, right) in first.pairs(other) {
            let _ = writeln!(
                self.text,
                "{title}\n{:<24}{:>16}{:>16}{:>10}{:>9}",
                "",
                "A",
                name,
                format!("{name}/A"),
                "noise"
            );
            for figure in first.figures {
                self.add_figure(figure, left, right);
            }
        }
    }

    fn add_figure(&mut self, figure: &FigureOf, left: &[Value], right: &[Value]) {
        let values = |side: &[Value]| {
            let numbers = side
                .iter()
                .filter_map(|v| v.pointer(figure.place).and_then(Value::as_f64));
            spread(&numbers.map(|n| n / figure.unit).collect::<Vec<_>>())
        };
        let (Some(a), Some(b)) = (values(left), values(right)) else {
            return;
        };
        if a.max.abs() + b.max.abs() + a.min.abs() + b.min.abs() <= 0.0 && !figure.always {
            return;
        }
        let noise = noise(&a, left.len(), &b, right.len());
        let verdict = verdict(a.median, b.median, noise, figure.better);
        self.worse += usize::from(verdict == "WORSE");
        let line = format!(
            "{:<24}{:>16}{:>16}{:>10}{:>8.0}% {verdict}",
            figure.name,
            spell(a.median),
            spell(b.median),
            ratio(a.median, b.median),
            noise * 100.0,
        );
        let _ = writeln!(self.text, "{}", line.trim_end());
    }
}

/// How far medians may be apart and mean nothing: half of what each side scatters, together; never
/// below a few per cent; a tenth where one side is too few to say.
fn noise(a: &Figure, a_count: usize, b: &Figure, b_count: usize) -> f64 {
    const LEAST: f64 = 0.03;
    const UNKNOWN: f64 = 0.10;
    const ENOUGH: usize = 3;
    let scatter = (a.spread + b.spread) / 2.0;
    if a_count < ENOUGH || b_count < ENOUGH {
        scatter.max(UNKNOWN)
    } else {
        scatter.max(LEAST)
    }
}

fn verdict(a: f64, b: f64, noise: f64, better: Better) -> &'static str {
    let (low, high) = (a * (1.0 - noise), a * (1.0 + noise));
    match better {
        Better::More if b > high => "better",
        Better::More if b < low => "WORSE",
        Better::Less if b < low => "better",
        Better::Less if b > high => "WORSE",
        Better::More | Better::Less | Better::Neither => "",
    }
}

/// A figure in as many digits as say something.
pub fn spell(value: f64) -> String {
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

#[cfg(test)]
#[path = "compare/tests.rs"]
mod tests;
