//! The error for a key with an invalid value: the key's name, the given value, and what to write.

use super::Config;
use super::keys::{known_at_top, quoted, sections};
use super::tables::kinds;
use serde::Deserializer;
use serde::de::DeserializeOwned;
use std::ops::Range;

/// A key that is wrong.
pub(super) struct Wrong {
    /// One line.
    pub(super) message: String,
    /// Where it is in the text, if there is one.
    pub(super) span: Option<Range<usize>>,
}

/// Reads a configuration; `table` is the same, to say what was given.
pub(super) fn read<'de, D>(
    given: Result<D, toml::de::Error>,
    table: &toml::Table,
) -> Result<Config, Wrong>
where
    D: Deserializer<'de, Error = toml::de::Error>,
{
    let wrong = |message: &str, span| Wrong {
        message: message.replace('\n', " "),
        span,
    };
    let given = given.map_err(|error| wrong(error.message(), error.span()))?;
    serde_path_to_error::deserialize(given).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        let message = explain(&path, find(table, &path), error.message());
        wrong(&message, error.span())
    })
}

/// Reads one table of a list, such as a source; an error names the key in it.
pub(super) fn read_table<T: DeserializeOwned>(table: toml::Table) -> Result<T, String> {
    let given = table.clone();
    serde_path_to_error::deserialize(table).map_err(|error| {
        let path = error.path().to_string();
        let message = explain(&path, find(&given, &path), error.into_inner().message());
        // A section within a source.
        message.replace(&format!("[{path}]"), &format!("[source.{path}]"))
    })
}

/// The value at a path such as `limits.ping`.
fn find<'t>(table: &'t toml::Table, path: &str) -> Option<&'t toml::Value> {
    let mut keys = path.split('.');
    let mut value = table.get(keys.next()?)?;
    for key in keys {
        let (name, index) = key.split_once('[').unwrap_or((key, ""));
        value = value.get(name)?;
        if let Ok(index) = index.trim_end_matches(']').parse::<usize>() {
            value = value.get(index)?;
        }
    }
    Some(value)
}

fn explain(path: &str, given: Option<&toml::Value>, message: &str) -> String {
    let message = message.replace('\n', " ");
    // To serde a date is a table of one key.
    if let Some(date) = path.strip_suffix(DATE) {
        let path = date.trim_end_matches('.');
        return format!(
            "{path}: a date is not allowed; write {}",
            allowed("map", path)
        );
    }
    if let Some(unknown) = unknown(path, &message) {
        return unknown;
    }
    // The messages of serde speak of Rust's types.
    let typed = ["invalid type", "invalid value", "unknown variant"];
    let typed = typed.iter().any(|start| message.starts_with(start));
    if let Some((_, expected)) = message.split_once("expected ").filter(|_| typed) {
        let given = given.map_or_else(String::new, |value| format!("{value} is not allowed; "));
        let given = given.replace('\n', " ");
        let known = match message.starts_with("unknown variant") {
            true => format!(
                "one of {}",
                expected.replace('`', "\"").replace(" or ", ", ")
            ),
            false => allowed(expected, path),
        };
        return format!("{path}: {given}write {known}");
    }
    if let Some(missing) = message.strip_prefix("missing field ") {
        return format!("{} is missing; add it", missing.replace('`', ""));
    }
    match path {
        "." | "" => message,
        // A source says which one it is.
        "source" => message,
        path => {
            let given = given.map(ToString::to_string).unwrap_or_default();
            match message.contains(given.trim_matches('"')) {
                true => format!("{path}: {message}"),
                false => format!("{path}: {given} is not allowed; {message}").replace('\n', " "),
            }
        }
    }
}

/// What the key of a date is called.
const DATE: &str = "$__toml_private_datetime";

/// What to write where serde expects this.
fn allowed(expected: &str, path: &str) -> String {
    let whole = expected;
    let expected = expected.trim_start_matches("a ").trim_start_matches("an ");
    if path == "source" {
        return "a table for each source: [[source]]".to_owned();
    }
    let words = match expected.split([' ', ',']).next().unwrap_or_default() {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "i64" | "isize" | "integer" => "a whole number",
        "f64" | "float" | "number" => "a number",
        "boolean" | "bool" => "true or false",
        "string" | "str" | "path" | "borrowed" => "text in quotes",
        "sequence" => return list(path),
        "struct" | "map" => return format!("a section of its own: [{path}]"),
        _ => return whole.replace('`', "\""),
    };
    words.to_owned()
}

/// What to write where a list is expected.
fn list(path: &str) -> String {
    let items = match path.rsplit('.').next().unwrap_or_default() {
        "cores" => "[1, 2]",
        "allowed_origins" => "[\"https://desk.example.com\"]",
        "allowed_hosts" => "[\"desk.example.com\"]",
        _ => "[\"…\"]",
    };
    format!("a list in brackets, such as {items}")
}

/// Where a key belongs that stands in the wrong place.
fn belongs(unknown: &str) -> Option<String> {
    let has = |keys: &[String]| keys.iter().any(|key| key == unknown);
    let section = sections().into_iter().find(|(_, keys)| has(keys));
    if let Some((section, _)) = section {
        return Some(format!("it belongs to [{section}]"));
    }
    let kinds = kinds().into_iter().filter(|(_, keys)| has(keys));
    let kinds: Vec<_> = kinds.map(|(kind, _)| format!("{kind:?}")).collect();
    if !kinds.is_empty() {
        return Some(format!(
            "it belongs to a [[source]] of kind {}",
            kinds.join(" or ")
        ));
    }
    has(&known_at_top()).then(|| match unknown {
        "source" => "write [[source]]".to_owned(),
        section if sections().iter().any(|(name, _)| *name == section) => {
            format!("it is a section: write [{section}]")
        }
        _ => "it belongs above the first [section]".to_owned(),
    })
}

/// An unknown key, with the place it belongs to, or the nearest known one.
fn unknown(path: &str, message: &str) -> Option<String> {
    let rest = message.split_once("unknown field ")?.1;
    let quoted: Vec<&str> = quoted(rest).collect();
    let (unknown, known) = quoted.split_first()?;
    let nearest = known.iter().max_by(|a, b| {
        strsim::jaro_winkler(unknown, a).total_cmp(&strsim::jaro_winkler(unknown, b))
    });
    // The path may end in the key, or in what it is in.
    let section = path.strip_suffix(unknown).unwrap_or(path);
    let section = match section.trim_end_matches('.') {
        "" => String::new(),
        section => format!("{section}: "),
    };
    let hint = match (belongs(unknown), nearest) {
        (Some(place), _) => place,
        (None, Some(nearest)) => format!("did you mean {nearest:?}?"),
        (None, None) => "delete it".to_owned(),
    };
    let known = known.join(", ");
    Some(format!(
        "{section}unknown key {unknown:?}; {hint} (known: {known})"
    ))
}
