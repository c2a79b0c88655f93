//! Rules for every text file: no paths of one machine, no open to-do marks, links to files that exist,
//! lock files that name no registry, decisions that are listed, no names that the code has given up. Rules for
//! documents: no words and phrases that are hard to read for people whose first language is not English.

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
    found.extend(sources.iter().flat_map(plain));
    found.extend(sources.iter().flat_map(given_up));
    found.extend(sources.iter().filter_map(moved_file));
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

/// Turns of phrase that a reader's dictionary does not explain, each with a plain word for it.
const UNPLAIN: [(&str, &str); 34] = [
    ("be had", "is available"),
    ("all the same,", "still"),
    ("for good,", "permanently"),
    ("told apart", "distinguished"),
    ("tell apart", "distinguish"),
    ("tell gateways apart", "distinguish gateways"),
    ("hold against", "compare with"),
    ("holds against", "compares with"),
    ("holds results against", "compares results"),
    ("reckoned", "counted, converted"),
    ("whosoever", "everybody who"),
    ("lest", "so that … not"),
    ("thereof", "of it"),
    ("hitherto", "until now"),
    ("heretofore", "until now"),
    ("henceforth", "from now on"),
    ("notwithstanding", "although"),
    ("inasmuch", "because"),
    ("in vain", "without success"),
    ("at one's leisure", "later"),
    ("without a word", "without a message"),
    ("by and large", "mostly"),
    ("whoever", "the client that, the reader that"),
    ("wherein", "in which"),
    ("let go", "free, remove, drop"),
    ("start over", "resync, start again"),
    ("starts over", "resyncs, starts again"),
    ("started over", "resynced, started again"),
    ("going away", "shutting down"),
    ("is told", "receives, is announced to"),
    ("are told", "receive, are announced to"),
    ("hears of", "receives"),
    ("only then", "after that"),
    ("from life to life", "across restarts"),
];

/// Names that the code has given up, because a word had two meanings or is no word of the field, each with the
/// word that took its place. They are found as parts of identifiers, too.
const GIVEN_UP: [(&str, &str); 19] = [
    ("aim", "destination, socket"),
    ("aims", "destinations, sockets"),
    ("dialect", "decoder for what reads, format for what is read"),
    (
        "dialects",
        "decoders for what reads, formats for what is read",
    ),
    ("door", "listener, source"),
    ("doors", "listeners, sources"),
    (
        "lots",
        "batches for events that travel together, portions for parts of a list",
    ),
    ("marker", "resync placeholder"),
    ("markers", "resync placeholders"),
    ("reluctant", "slow"),
    ("shot", "send"),
    ("shots", "sends"),
    ("survey", "scan"),
    ("surveyed", "scanned"),
    ("surveys", "scans"),
    ("tend", "timers for the module; otherwise visit, check"),
    ("tends", "visits, checks"),
    ("volley", "batch of sends"),
    ("volleys", "batches of sends"),
];

/// Names of files that have moved, each with the present one.
const MOVED_FILES: [(&str, &str); 9] = [
    ("ask", "requests"),
    ("coming", "arrivals"),
    ("due", "deadlines"),
    ("print", "trade"),
    ("prints", "trades"),
    ("queue", "outbox"),
    ("reluctant", "slow"),
    ("survey", "scan"),
    ("tend", "timers"),
];

/// The only file that may list the names, and the record of what was.
const LIST_NAMES: [&str; 2] = ["crates/xtask/src/tidy/prose.rs", "CHANGELOG.md"];

/// What readers use: the documents, the documented configuration, dashboards, the page.
fn is_read(source: &Source) -> bool {
    let folders = [
        "docs/",
        "deploy/",
        "dashboards/",
        "loadtest/",
        "tests/clients/",
    ];
    let texts = [".md", ".toml", ".json", ".yml", ".html"];
    let place = !source.path.contains('/')
        || source.path.starts_with("crates/gateway/page/")
        || folders.iter().any(|folder| source.path.starts_with(folder));
    place && texts.iter().any(|ending| source.is(ending))
}

/// Plain English for readers whose first language is another.
fn plain(source: &Source) -> Vec<String> {
    if !is_read(source) || source.is("package-lock.json") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        let line = line.to_lowercase();
        for (phrase, instead) in UNPLAIN {
            if stands_alone(&line, phrase) {
                let number = number + 1;
                found.push(format!(
                    "{}:{number}: {phrase:?} is hard to read; say: {instead}",
                    source.path
                ));
            }
        }
        if let Some(slogan) = slogan(&line) {
            let number = number + 1;
            found.push(format!(
                "{}:{number}: {slogan:?} is a slogan; begin with what the reader finds here",
                source.path
            ));
        }
    }
    found
}

/// Names that are to stay away: with two names for one thing, readers look for a difference.
fn given_up(source: &Source) -> Vec<String> {
    let is_ours = [".rs", ".md", ".toml", ".js"]
        .iter()
        .any(|ending| source.is(ending));
    if !is_ours || LIST_NAMES.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        for word in words(line) {
            let known = GIVEN_UP.iter().find(|(name, _)| *name == word);
            if let Some((name, instead)) = known {
                let number = number + 1;
                found.push(format!(
                    "{}:{number}: {name:?} is a name that was given up; say: {instead}",
                    source.path
                ));
            }
        }
    }
    found
}

/// The words of a line in small letters, those of identifiers one by one: `every_dialect`, `NoPrint`.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut last_small = false;
    for c in line.chars() {
        let begins = !c.is_alphabetic() || (c.is_uppercase() && last_small);
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphabetic()) {
            word.extend(c.to_lowercase());
        }
        last_small = c.is_lowercase();
    }
    words
}

fn moved_file(source: &Source) -> Option<String> {
    let (_, now) = MOVED_FILES
        .iter()
        .find(|(before, _)| source.is(".rs") && source.stem() == *before)?;
    Some(format!(
        "{}:1: the file has a name that was given up; call it: {now}",
        source.path
    ))
}

/// A list's bold beginning that sets two things against each other: "right or nothing".
fn slogan(line: &str) -> Option<&str> {
    let bold = line.trim_start().strip_prefix("* **")?.split("**").next()?;
    let words: Vec<&str> = bold.split_whitespace().collect();
    let short = words.len() <= 3 && bold.ends_with('.');
    let pair = words.contains(&"or") || bold.starts_with("as ") || repeats(&words);
    (short && pair).then_some(bold)
}

/// "Quiet is quiet."
fn repeats(words: &[&str]) -> bool {
    let bare = |word: &&str| word.trim_end_matches('.').to_owned();
    matches!(words, [first, _, last] if bare(first) == bare(last))
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
pub(super) fn clean(path: &Path) -> PathBuf {
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
    fn what_readers_use_is_in_plain_words() {
        let found = plain(&source("docs/a.md", "fine\nIt is not to be had here."));
        assert_eq!(
            found,
            ["docs/a.md:2: \"be had\" is hard to read; say: is available"]
        );
        assert!(plain(&source("docs/a.md", "at the latest")).is_empty());
        assert!(plain(&source("crates/x/src/lib.rs", "to be had")).is_empty());
        assert_eq!(
            plain(&source("README.md", "* **Right or nothing.** Books")).len(),
            1
        );
        assert_eq!(
            plain(&source("docs/a.md", "* **Quiet is quiet.** Nothing")).len(),
            1
        );
        assert!(plain(&source("README.md", "* **Verified books.** The gateway")).is_empty());
    }

    #[test]
    fn names_that_were_given_up_stay_away() {
        let check = |line: &str| given_up(&source("crates/x/src/y.rs", &format!("fine\n{line}")));
        assert_eq!(
            check("//! Its dialect."),
            [
                "crates/x/src/y.rs:2: \"dialect\" is a name that was given up; say: decoder for what reads, format for what is read"
            ]
        );
        for line in [
            "trait Dialect {}",
            "struct VenueDialect;",
            "fn of_every_dialect() {}",
            "const LOTS_MAX: usize = 3;",
        ] {
            assert_eq!(check(line).len(), 1, "{line}");
        }
        for line in [
            "a snapshot, a slot, an allotment",
            "there is a lot of it; let lot = 3;",
            "what they intend; an upshot; outdoors; claims",
        ] {
            assert!(check(line).is_empty(), "{line}");
        }
        assert!(given_up(&source("CHANGELOG.md", "the dialect")).is_empty());
        assert!(given_up(&source("a.json", "the dialect")).is_empty());
    }

    #[test]
    fn a_file_does_not_take_back_its_old_name() {
        assert_eq!(
            moved_file(&source("crates/edge/src/shard/ask.rs", "")).unwrap(),
            "crates/edge/src/shard/ask.rs:1: the file has a name that was given up; call it: requests"
        );
        assert!(moved_file(&source("crates/edge/src/shard/requests.rs", "")).is_none());
        assert!(moved_file(&source("docs/ask.md", "")).is_none());
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
