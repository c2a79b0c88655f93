//! Rules for Rust files: size, shape, names, and where costly calls are allowed.

use super::Source;

/// Over this many lines a file needs a line `//! Size: …` that says why it is one room.
const LINES_WITHOUT_REASON: usize = 600;
/// No reason is good enough for more.
const LINES_MAX: usize = 1_000;
/// Names that say nothing.
const EMPTY_NAMES: [&str; 8] = [
    "manager", "helper", "helpers", "util", "utils", "common", "data", "info",
];

/// Everything wrong with the Rust files.
pub(super) fn problems(sources: &[Source]) -> Vec<String> {
    let rules = [
        size,
        module_docs,
        library_root,
        file_name,
        metrics_only,
        tokio_free,
    ];
    let rust = sources.iter().filter(|source| source.is(".rs"));
    rust.flat_map(|source| rules.iter().filter_map(move |rule| rule(source)))
        .collect()
}

fn size(source: &Source) -> Option<String> {
    let lines = source.text.lines().count();
    let explained = source
        .text
        .lines()
        .any(|line| line.starts_with("//! Size:"));
    if lines > LINES_MAX {
        return Some(format!("{}: {lines} lines; split it", source.path));
    }
    (lines > LINES_WITHOUT_REASON && !explained).then(|| {
        format!(
            "{}: {lines} lines; split it, or say in its module doc, in a line `//! Size: …`, why it is one room",
            source.path
        )
    })
}

fn module_docs(source: &Source) -> Option<String> {
    let first = source
        .text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    (!first.starts_with("//!")).then(|| {
        format!(
            "{}: begin with a module doc (`//! …`): what it is, what it owns, what it refuses",
            source.path
        )
    })
}

fn library_root(source: &Source) -> Option<String> {
    let logic = ["fn ", "struct ", "enum ", "impl "];
    let is_logic = |line: &&str| {
        let line = line
            .trim_start()
            .trim_start_matches("pub ")
            .trim_start_matches("pub(crate) ");
        logic.iter().any(|start| line.starts_with(start))
    };
    let line = source
        .path
        .ends_with("src/lib.rs")
        .then(|| source.text.lines().position(|line| is_logic(&line)))??;
    Some(format!(
        "{}:{}: a lib.rs holds docs, modules and re-exports; move this into a file of its own",
        source.path,
        line + 1
    ))
}

fn file_name(source: &Source) -> Option<String> {
    if source.is("/mod.rs") {
        return Some(format!(
            "{}: name the file after its folder, beside it",
            source.path
        ));
    }
    EMPTY_NAMES.contains(&source.stem()).then(|| {
        format!(
            "{}: the name says nothing; use a noun of the domain",
            source.path
        )
    })
}

fn metrics_only(source: &Source) -> Option<String> {
    let needle = concat!("with_label", "_values");
    let line = source.text.lines().position(|line| line.contains(needle))?;
    let home = source.path.contains("metrics") || source.path.contains("/tests/");
    (!home).then(|| {
        format!(
            "{}:{}: look labels up once, in metrics.rs, and keep the handle",
            source.path,
            line + 1
        )
    })
}

/// The shards' state machines are pure, so that tests own their time and sockets.
fn tokio_free(source: &Source) -> Option<String> {
    let pure = source.path.starts_with("crates/edge/src/shard/");
    let line = pure.then(|| {
        source
            .text
            .lines()
            .position(|line| line.contains(concat!("tokio", "::")))
    })??;
    Some(format!(
        "{}:{}: edge/src/shard is free of I/O; what needs tokio belongs in edge/src/io",
        source.path,
        line + 1
    ))
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    fn check(path: &str, text: &str, expected: &str) {
        let found = problems(&[source(path, text)]);
        if expected.is_empty() {
            assert!(found.is_empty(), "{found:?}");
        } else {
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(expected), "{found:?}");
        }
    }

    #[test]
    fn a_long_file_needs_a_reason_and_a_very_long_one_has_none() {
        check("a.rs", &format!("//! A.\n{}", "x\n".repeat(599)), "");
        check(
            "a.rs",
            &format!("//! A.\n{}", "x\n".repeat(600)),
            "601 lines",
        );
        check(
            "a.rs",
            &format!("//! A.\n//! Size: a table.\n{}", "x\n".repeat(600)),
            "",
        );
        check(
            "a.rs",
            &format!("//! A.\n//! Size: a table.\n{}", "x\n".repeat(999)),
            "split it",
        );
    }

    #[test]
    fn a_file_begins_with_what_it_is() {
        check("a.rs", "use std::fs;\n", "module doc");
    }

    #[test]
    fn a_library_root_has_no_logic() {
        check(
            "crates/x/src/lib.rs",
            "//! X.\npub mod a;\npub use a::A;\n",
            "",
        );
        check("crates/x/src/lib.rs", "//! X.\npub fn a() {}\n", ":2:");
    }

    #[test]
    fn names_say_something() {
        check("crates/x/src/utils.rs", "//! X.\n", "says nothing");
        check("crates/x/src/a/mod.rs", "//! X.\n", "after its folder");
    }

    #[test]
    fn labels_are_looked_up_in_one_place() {
        let text = concat!("//! X.\nx.with_label", "_values(&[]);\n");
        check("crates/x/src/a.rs", text, ":2:");
        check("crates/x/src/metrics.rs", text, "");
    }

    #[test]
    fn a_shards_state_does_no_io() {
        check(
            "crates/edge/src/shard/index.rs",
            concat!("//! X.\nuse tokio", "::net;\n"),
            "edge/src/io",
        );
    }
}
