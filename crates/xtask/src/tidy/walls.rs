//! The allowed dependencies between crates. The rules apply to a crate's `[dependencies]`; tests may use
//! anything.

use super::Source;

/// Crate by folder, and what it must never depend on, with the reason.
const WALLS: &[(&str, &[&str], &str)] = &[
    (
        "crates/model/",
        &["tokio", "mio", "hyper", "tapecast-*"],
        "the domain knows no I/O and nobody else",
    ),
    (
        "crates/wire/",
        &[
            "tokio",
            "mio",
            "hyper",
            "tapecast-ingest",
            "tapecast-fanout",
            "tapecast-edge",
        ],
        "bytes and model only",
    ),
    (
        "crates/fanout/",
        &["tokio", "mio", "hyper", "tapecast-ingest", "tapecast-edge"],
        "it must run under loom",
    ),
    (
        "crates/ingest/",
        &["tapecast-fanout", "tapecast-edge", "tapecast-wire"],
        "the seam is UpdateSink",
    ),
    (
        "crates/uring/",
        &["tokio", "mio", "hyper", "tapecast-*"],
        "unsafe code stays small and knows nobody",
    ),
    (
        "crates/listen/",
        &[
            "tapecast-ingest",
            "tapecast-fanout",
            "tapecast-edge",
            "hyper",
        ],
        "it takes connections, whoever they are for",
    ),
    (
        "crates/connect/",
        &[
            "tapecast-wire",
            "tapecast-ingest",
            "tapecast-fanout",
            "tapecast-edge",
            "tapecast-listen",
            "tapecast-client",
        ],
        "it carries out commands, and knows no venue and no session",
    ),
    (
        "crates/edge/",
        &["tapecast-ingest"],
        "shards know updates, not venues",
    ),
    (
        "crates/client/",
        &["tapecast-ingest", "tapecast-fanout", "tapecast-edge"],
        "a client speaks the protocol, like any other",
    ),
    (
        "crates/venuesim/",
        &["tapecast-*"],
        "a simulator that shared code with a feed would share its mistakes",
    ),
];

/// Dependencies through walls.
pub(super) fn problems(sources: &[Source]) -> Vec<String> {
    let manifests = sources.iter().filter(|source| source.is("Cargo.toml"));
    manifests.flat_map(breaches).collect()
}

fn breaches(manifest: &Source) -> Vec<String> {
    let Some((_, banned, why)) = WALLS
        .iter()
        .find(|(folder, ..)| manifest.path == format!("{folder}Cargo.toml"))
    else {
        return Vec::new();
    };
    let table: toml::Table = match manifest.text.parse() {
        Ok(table) => table,
        Err(error) => return vec![format!("{}: {error}", manifest.path)],
    };
    let Some(dependencies) = table.get("dependencies").and_then(toml::Value::as_table) else {
        return Vec::new();
    };
    let through = dependencies
        .keys()
        .filter(|name| banned.iter().any(|pattern| fits(pattern, name)));
    through
        .map(|name| format!("{}: must not depend on {name}: {why}", manifest.path))
        .collect()
}

fn fits(pattern: &str, name: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == name, |start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn a_wall_holds_for_dependencies_and_not_for_tests() {
        let text = "[dependencies]\ntokio = \"1\"\ncrossbeam-channel = \"0.5\"\n[dev-dependencies]\ntapecast-edge = \"1\"\n";
        let found = problems(&[source("crates/fanout/Cargo.toml", text)]);
        assert_eq!(
            found,
            ["crates/fanout/Cargo.toml: must not depend on tokio: it must run under loom"]
        );
        assert!(problems(&[source("crates/gateway/Cargo.toml", text)]).is_empty());
    }
}
