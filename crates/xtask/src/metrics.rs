//! The names of metrics: which ones dashboards and rules use, which ones a gateway exports.
//!
//! A name counts as exported if the exposition has a `# TYPE` line for it: that holds from the first
//! scrape on, whether or not anything has been counted.
//!
//! Both ways: what is named must be exported, and what is exported must be on a dashboard, or stand in
//! [`NOT_SHOWN`] with the reason. It must also have a row in the table of [`TABLE`].

use crate::run::{Failure, root};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

const DASHBOARDS: &str = "dashboards";
/// The document whose table lists every metric.
pub(crate) const TABLE: &str = "docs/OPERATIONS.md";

/// Metrics that no dashboard shows, each with the reason.
const NOT_SHOWN: [(&str, &str); 0] = [];

/// The metrics that files under `dashboards/` name, each with the first file that does.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// By a dashboard or a rule.
    pub(crate) anywhere: BTreeMap<String, String>,
    /// By a dashboard.
    pub(crate) shown: BTreeMap<String, String>,
}

/// Every metric that a file under `dashboards/` names.
///
/// # Errors
/// If a file cannot be read, or a dashboard is not JSON.
pub(crate) fn named() -> Result<Named, Failure> {
    let mut named = Named::default();
    for path in crate::tidy::files_under(&root().join(DASHBOARDS)) {
        let shown = path
            .strip_prefix(root())
            .unwrap_or(&path)
            .display()
            .to_string();
        let text = fs::read_to_string(&path).map_err(|error| format!("{shown}: {error}"))?;
        let (is_dashboard, expressions) = match path.extension().and_then(OsStr::to_str) {
            Some("json") => (true, dashboard_expressions(&path, &text)?),
            Some("yml") if !shown.ends_with(".test.yml") => (false, rule_expressions(&text)),
            _ => continue,
        };
        for name in expressions
            .iter()
            .flat_map(|expression| names_in(expression))
        {
            if is_dashboard {
                named.shown.insert(name.clone(), shown.clone());
            }
            named.anywhere.entry(name).or_insert_with(|| shown.clone());
        }
    }
    if named.shown.is_empty() {
        return Err(format!("no dashboard under {DASHBOARDS}/ names a metric"));
    }
    Ok(named)
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
    used.iter()
        .filter(|(name, _)| family(name, exported).is_none())
        .map(|(name, file)| format!("{name} ({file})"))
        .collect()
}

/// Which exported metrics no dashboard shows, without a reason for it; and which reasons are for metrics
/// that are not exported, or are shown.
pub(crate) fn unseen(
    shown: &BTreeMap<String, String>,
    exported: &BTreeMap<String, String>,
) -> Vec<String> {
    unseen_but(&NOT_SHOWN, shown, exported)
}

fn unseen_but(
    reasons: &[(&str, &str)],
    shown: &BTreeMap<String, String>,
    exported: &BTreeMap<String, String>,
) -> Vec<String> {
    let shown: BTreeSet<&str> = shown
        .keys()
        .filter_map(|name| family(name, exported))
        .collect();
    let has_reason = |name: &str| reasons.iter().any(|(excused, _)| *excused == name);
    let unseen = exported.keys().map(String::as_str);
    let unseen = unseen.filter(|name| !shown.contains(name) && !has_reason(name));
    let stale = reasons.iter().map(|(excused, _)| *excused);
    let stale = stale.filter(|name| shown.contains(name) || !exported.contains_key(*name));
    unseen
        .map(str::to_owned)
        .chain(stale.map(|name| format!("{name} (its reason is out of date)")))
        .collect()
}

/// Every metric that has a row in the table of the document.
///
/// # Errors
/// If the document cannot be read.
pub(crate) fn documented() -> Result<BTreeSet<String>, Failure> {
    let text =
        fs::read_to_string(root().join(TABLE)).map_err(|error| format!("{TABLE}: {error}"))?;
    Ok(rows(&text))
}

/// The names that a table has in its first column.
fn rows(text: &str) -> BTreeSet<String> {
    let first = text.lines().filter_map(|line| {
        let (name, _) = line.strip_prefix("| `")?.split_once("` |")?;
        let ours = name.starts_with("tapecast_") || name.starts_with("process_");
        ours.then(|| name.to_owned())
    });
    first.collect()
}

/// Which metrics are exported and have no row, and which have a row and are not exported.
pub(crate) fn undocumented(
    documented: &BTreeSet<String>,
    exported: &BTreeMap<String, String>,
) -> Vec<String> {
    let lacking = exported.keys().filter(|name| !documented.contains(*name));
    let stale = documented
        .iter()
        .filter(|name| !exported.contains_key(*name));
    let lacking = lacking.map(|name| format!("{name} has no row"));
    lacking
        .chain(stale.map(|name| format!("{name} is not exported")))
        .collect()
}

/// The exported metric that a name in an expression is of. A histogram is named by its parts.
fn family<'e>(name: &str, exported: &'e BTreeMap<String, String>) -> Option<&'e str> {
    let histogram = |part: &str| {
        let (base, kind) = exported.get_key_value(name.strip_suffix(part)?)?;
        (kind == "histogram").then_some(base.as_str())
    };
    let whole = exported.get_key_value(name);
    whole.map(|(name, _)| name.as_str()).or_else(|| {
        ["_bucket", "_sum", "_count"]
            .into_iter()
            .find_map(histogram)
    })
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
    fn what_no_dashboard_shows_needs_a_reason_that_holds() {
        let exported = exported(
            "# TYPE tapecast_a histogram\n# TYPE tapecast_b counter\n# TYPE tapecast_c counter\n",
        );
        let shown = BTreeMap::from([("tapecast_a_bucket".to_owned(), "f".to_owned())]);
        let unseen = |reasons: &[(&str, &str)]| unseen_but(reasons, &shown, &exported);
        assert_eq!(unseen(&[]), ["tapecast_b", "tapecast_c"]);
        assert_eq!(unseen(&[("tapecast_b", "why")]), ["tapecast_c"]);
        assert_eq!(
            unseen(&[
                ("tapecast_a", "x"),
                ("tapecast_b", "x"),
                ("tapecast_c", "x"),
                ("tapecast_d", "x")
            ]),
            [
                "tapecast_a (its reason is out of date)",
                "tapecast_d (its reason is out of date)"
            ]
        );
    }

    #[test]
    fn the_table_and_the_exported_metrics_are_the_same() {
        let exported = exported("# TYPE tapecast_a histogram\n# TYPE tapecast_b counter\n");
        let table = "| metric | labels |\n|---|---|\n| `tapecast_a` | – |\n| `tapecast_c` | `shard` |\n| `other` | `tapecast_b` |\n";
        assert_eq!(
            undocumented(&rows(table), &exported),
            ["tapecast_b has no row", "tapecast_c is not exported"]
        );
    }

    #[test]
    fn what_the_dashboards_name_has_a_row() {
        let rows = documented().unwrap();
        let named = named().unwrap().anywhere;
        let kinds = rows
            .iter()
            .map(|name| (name.clone(), "histogram".to_owned()));
        assert_eq!(missing(&named, &kinds.collect()), [""; 0]);
    }

    #[test]
    fn what_the_dashboards_name_can_be_read() {
        let named = named().unwrap();
        for names in [&named.anywhere, &named.shown] {
            assert!(
                names.contains_key("tapecast_frames_delivered_total"),
                "{names:?}"
            );
        }
    }
}
