//! `deploy/tapecast.toml` explains every key there is: none is missing, and each has words before it.
//!
//! What the keys are is asked of the program itself, which lists them where a key is unknown.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use tapecast::config::{Config, DEFAULTS};

const SECTIONS: [&str; 5] = ["listen", "shards", "limits", "pipeline", "log"];

fn known_keys(section: &str) -> Vec<String> {
    let text = if section.is_empty() {
        "no_such_key = 1".to_owned()
    } else {
        format!("[{section}]\nno_such_key = 1")
    };
    let error = Config::parse(&text, "t.toml", std::iter::empty())
        .unwrap_err()
        .to_string();
    let (_, list) = error
        .split_once("(known: ")
        .expect("the error lists what is known");
    list.trim_end_matches(')')
        .split(", ")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_key_is_in_the_documented_file() {
    let documented: toml::Table = DEFAULTS.parse().unwrap();
    for section in [""].into_iter().chain(SECTIONS) {
        let table = match section {
            "" => &documented,
            section => documented[section].as_table().unwrap(),
        };
        let known = known_keys(section);
        assert!(!known.is_empty());
        for key in known {
            // What has no value by default stands there as a comment.
            let optional = format!("\n# {key} = ");
            assert!(
                table.contains_key(&key) || DEFAULTS.contains(&optional),
                "deploy/tapecast.toml lacks {key} in [{section}]"
            );
        }
    }
}

#[test]
fn every_key_of_a_section_is_explained() {
    let mut before = "";
    for line in DEFAULTS.lines() {
        let is_key = line
            .split_once(" = ")
            .is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        // The kind of a source is explained above its table.
        if is_key && !line.starts_with("kind") {
            assert!(
                before.starts_with('#'),
                "deploy/tapecast.toml: {line:?} has no explanation"
            );
        }
        before = line;
    }
}

#[test]
fn the_file_of_live_venues_can_be_served() {
    let text = include_str!("../../../deploy/live-crypto.toml");
    let config = Config::parse(text, "live-crypto.toml", std::iter::empty()).unwrap();
    assert!(!config.sources.is_empty());
}

#[test]
fn the_documented_live_source_can_be_served() {
    let (_, rest) = DEFAULTS.split_once("# kind = \"live\"").unwrap();
    let (lines, _) = rest.split_once("\n\n").unwrap();
    let lines = lines
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap_or(line));
    // What explains a key begins with two marks.
    let text: Vec<_> = lines.filter(|line| !line.starts_with('#')).collect();
    let text = format!("[[source]]\nkind = \"live\"\n{}", text.join("\n"));
    let config = Config::parse(&text, "t.toml", std::iter::empty()).unwrap();
    assert_eq!(config.sources.len(), 1);
}
