//! The names of metrics: which ones dashboards and rules use, which ones a gateway exports.
//!
//! A name counts as exported if the exposition has a `# TYPE` line for it: that holds from the first
//! scrape on, whether or not anything has been counted.

use crate::run::{Failure, root};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const DASHBOARDS: &str = "dashboards";

/// Every metric that a file under `dashboards/` names, with the first file that does.
///
/// # Errors
/// If a file cannot be read, or a dashboard is not JSON.
pub(crate) fn used() -> Result<BTreeMap<String, String>, Failure> {
    let mut names = BTreeMap::new();
    for path in crate::tidy::files_under(&root().join(DASHBOARDS)) {
        let shown = path
            .strip_prefix(root())
            .unwrap_or(&path)
            .display()
            .to_string();
        let text = fs::read_to_string(&path).map_err(|error| format!("{shown}: {error}"))?;
        let expressions = match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => dashboard_expressions(&path, &text)?,
            Some("yml") if !shown.ends_with(".test.yml") => rule_expressions(&text),
            _ => continue,
        };
        for name in expressions
            .iter()
            .flat_map(|expression| names_in(expression))
        {
            names.entry(name).or_insert_with(|| shown.clone());
        }
    }
    if names.is_empty() {
        return Err(format!("no file under {DASHBOARDS}/ names a metric"));
    }
    Ok(names)
}

/// Every metric of an exposition, with its type.
pub(crate) fn exported(exposition: &str) -> BTreeMap<String, String> {
    let types = exposition
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect()
}

/// Which of the names are not there. A histogram is there by its parts' names.
pub(crate) fn missing(
    used: &BTreeMap<String, String>,
    exported: &BTreeMap<String, String>,
) -> Vec<String> {
    let there = |name: &str| {
        exported.contains_key(name)
            || ["_bucket", "_sum", "_count"].iter().any(|part| {
                name.strip_suffix(part)
                    .is_some_and(|base| exported.get(base).is_some_and(|kind| kind == "histogram"))
            })
    };
    used.iter()
        .filter(|(name, _)| !there(name))
        .map(|(name, file)| format!("{name} ({file})"))
        .collect()
}

/// The `expr`, `query` and `definition` texts of a Grafana dashboard, wherever they stand.
fn dashboard_expressions(path: &Path, text: &str) -> Result<Vec<String>, Failure> {
    fn collect(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(object) => {
                for (key, value) in object {
                    match value.as_str() {
                        Some(text) if matches!(key.as_str(), "expr" | "query" | "definition") => {
                            found.push(text.to_owned())
                        }
                        _ => collect(value, found),
                    }
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let dashboard =
        serde_json::from_str(text).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut found = Vec::new();
    collect(&dashboard, &mut found);
    Ok(found)
}

/// All of a rules file but its comments and what is written for people.
fn rule_expressions(text: &str) -> Vec<String> {
    let prose = ["#", "summary:", "description:", "runbook_url:"];
    text.lines()
        .filter(|line| {
            !prose
                .iter()
                .any(|start| line.trim_start().starts_with(start))
        })
        .map(str::to_owned)
        .collect()
}

/// Our metrics' names in an expression. Recorded names carry colons and are not ours to export.
fn names_in(expression: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = expression.split(|c| !word(c));
    let ours = words.filter(|name| name.starts_with("tapecast_") || name.starts_with("process_"));
    ours.filter(|name| !name.contains(':'))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_recorded_ones_left_out() {
        let found = names_in(
            "sum by (shard) (rate(tapecast_writes_total{shard=~\"$shard\"}[5m])) / tapecast:x:rate5m",
        );
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            ["tapecast_writes_total"]
        );
    }

    #[test]
    fn a_histogram_is_there_by_the_names_of_its_parts() {
        let exported = exported(
            "# HELP tapecast_delay_seconds d\n# TYPE tapecast_delay_seconds histogram\n# TYPE tapecast_a_count counter\n",
        );
        let used = |name: &str| BTreeMap::from([(name.to_owned(), "f".to_owned())]);
        assert!(missing(&used("tapecast_delay_seconds_bucket"), &exported).is_empty());
        assert!(missing(&used("tapecast_a_count"), &exported).is_empty());
        assert_eq!(
            missing(&used("tapecast_a_bucket"), &exported),
            ["tapecast_a_bucket (f)"]
        );
    }

    #[test]
    fn what_the_dashboards_name_can_be_read() {
        let used = used().unwrap();
        assert!(
            used.contains_key("tapecast_frames_delivered_total"),
            "{used:?}"
        );
    }
}
