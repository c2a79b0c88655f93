//! Rules for every text file: no traces of one machine, nothing left for later, links that lead
//! somewhere, lock files that name no registry, decisions that can be found.

use super::Source;
use crate::run::root;
use std::path::{Component, Path, PathBuf};

/// The one file that may look beside the checkout.
const LOOKS_OUTSIDE: &str = ".ci/run";
/// Where the decisions are listed.
const DECISIONS: &str = "docs/adr/";
const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";

/// Everything wrong with the texts.
pub(super) fn problems(sources: &[Source]) -> Vec<String> {
    let mut found: Vec<String> = sources.iter().flat_map(lines).collect();
    found.extend(
        sources
            .iter()
            .filter(|source| source.is(".md"))
            .flat_map(links),
    );
    found.extend(sources.iter().filter_map(lock_file));
    found.extend(decisions(sources));
    found
}

/// Words that no line may have, each with the remedy. Written in halves, or this file would have them.
fn forbidden() -> [(String, &'static str); 7] {
    [
        (
            ["/wo", "rk/"].concat(),
            "a path of one machine; use a relative one or an environment variable",
        ),
        (
            ["/ho", "me/"].concat(),
            "a path of one machine; use a relative one or an environment variable",
        ),
        (
            ["/ro", "ot/"].concat(),
            "a path of one machine; use a relative one or an environment variable",
        ),
        (
            ["../sh", "ared"].concat(),
            "only .ci/run looks beside the checkout",
        ),
        (["FIX", "ME"].concat(), "do it, or file it"),
        (["TO", "DO"].concat(), "do it, or file it"),
        (["XX", "X"].concat(), "do it, or file it"),
    ]
}

fn lines(source: &Source) -> Vec<String> {
    if source.path == LOOKS_OUTSIDE || source.is("package-lock.json") || source.is("Cargo.lock") {
        return Vec::new();
    }
    let forbidden = forbidden();
    let mut found = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        for (word, remedy) in &forbidden {
            if stands_alone(line, word) {
                found.push(format!(
                    "{}:{}: has {word:?}: {remedy}",
                    source.path,
                    number + 1
                ));
            }
        }
    }
    found
}

/// Whether a line has the word, and not only as a part of another: `network/` is no path of a
/// machine, and a code of four letters no mark.
fn stands_alone(line: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.');
    line.match_indices(word).any(|(at, _)| {
        let before = part(line[..at].chars().next_back());
        let after = part(line[at + word.len()..].chars().next());
        !before && (word.ends_with('/') || word.contains('/') || !after)
    })
}

/// Relative links of a Markdown file lead to files that exist.
fn links(source: &Source) -> Vec<String> {
    let folder = Path::new(&source.path).parent().unwrap_or(Path::new(""));
    let targets = source
        .text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target);
    let relative = targets.filter(|target| {
        !target.starts_with('#')
            && !target.contains("://")
            && !target.contains(' ')
            && !target.starts_with('<')
    });
    let path = |target: &str| clean(&folder.join(target.split('#').next().unwrap_or_default()));
    let broken = relative.filter(|target| !root().join(path(target)).exists());
    broken
        .map(|target| format!("{}: the link to {target} leads nowhere", source.path))
        .collect()
}

/// Without `.` and `..`.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            part => clean.push(part),
        }
    }
    clean
}

fn lock_file(source: &Source) -> Option<String> {
    let named = source.is("package-lock.json") && source.text.contains("\"resolved\"");
    named.then(|| {
        format!(
            "{}: names a registry; write it with `npm install --omit-lockfile-registry-resolved`",
            source.path
        )
    })
}

fn decisions(sources: &[Source]) -> Vec<String> {
    let Some(map) = sources.iter().find(|source| source.path == ARCHITECTURE) else {
        return vec![format!("{ARCHITECTURE} is missing")];
    };
    let records = sources.iter().filter_map(|source| {
        source
            .path
            .strip_prefix(DECISIONS)
            .filter(|name| name.ends_with(".md"))
    });
    let lost = records.filter(|name| !map.text.contains(*name));
    lost.map(|name| format!("{DECISIONS}{name}: link it from {ARCHITECTURE}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn a_path_of_one_machine_is_found_and_a_folder_of_that_name_is_not() {
        let path = ["/wo", "rk/x"].concat();
        assert_eq!(lines(&source("a.md", &format!("see {path}"))).len(), 1);
        assert!(lines(&source("a.md", &format!("see net{path}"))).is_empty());
        let outside = ["../sh", "ared/x"].concat();
        assert_eq!(lines(&source("a.md", &outside)).len(), 1);
        assert!(lines(&source(".ci/run", &outside)).is_empty());
    }

    #[test]
    fn links_lead_to_files() {
        let text = "[a](../Cargo.toml) [b](../Cargo.toml#x) [c](https://example.org) [d](#d) [e](missing.md)";
        assert_eq!(
            links(&source("docs/a.md", text)),
            ["docs/a.md: the link to missing.md leads nowhere"]
        );
    }

    #[test]
    fn a_lock_file_names_no_registry() {
        assert!(lock_file(&source("a/package-lock.json", "{\"resolved\":\"x\"}")).is_some());
        assert!(lock_file(&source("a/package-lock.json", "{\"integrity\":\"x\"}")).is_none());
    }

    #[test]
    fn a_decision_is_linked_from_the_map() {
        let map = source("docs/ARCHITECTURE.md", "[one](adr/0001-one.md)");
        let (one, two) = (
            source("docs/adr/0001-one.md", ""),
            source("docs/adr/0002-two.md", ""),
        );
        assert_eq!(
            decisions(&[map, one, two]),
            ["docs/adr/0002-two.md: link it from docs/ARCHITECTURE.md"]
        );
    }
}
