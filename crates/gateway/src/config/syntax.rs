//! What is said of a text that is not TOML: the key, what was given, and what to write. The library says
//! what it expected next, which does not help those who have forgotten a quotation mark.

use super::wrong::Wrong;
use std::num::IntErrorKind;

/// Explains an error of the library.
pub(super) fn explain(text: &str, error: &toml::de::Error) -> Wrong {
    let start = error.span().map_or(text.len(), |span| span.start);
    let before = text.get(..start).unwrap_or(text);
    let mut number = before.matches('\n').count();
    let lines: Vec<&str> = text.lines().collect();
    // The end of the text says little; what stands before it is not complete.
    while number > 0 && lines.get(number).is_none_or(|line| line.trim().is_empty()) {
        number -= 1;
    }
    let library = error.message().replace('\n', " ");
    let message = if library.contains("duplicate key") {
        twice(&lines, number)
    } else {
        let (at, message) = unreadable(&lines, number, &library);
        number = at;
        message
    };
    let ends = text.match_indices('\n').map(|(end, _)| end + 1);
    let at = [0].into_iter().chain(ends).nth(number).unwrap_or(0);
    Wrong {
        message,
        span: Some(at..at),
    }
}

/// What is said of a line that cannot be read, and the number of the line that is meant, from 0.
fn unreadable(lines: &[&str], number: usize, library: &str) -> (usize, String) {
    let line = lines.get(number).map_or("", |line| line.trim());
    let other = other_language(lines, line);
    if let Some(message) = other {
        return (number, message);
    }
    // A list, or a text, that began above.
    let above = (0..number).rev().find(|at| lines[*at].contains('='));
    let begun = above.and_then(|at| Some((at, lines[at].split_once('=')?)));
    if let Some((at, (name, value))) = begun
        && let Some(message) = unclosed(&lines[at..number].join("\n"), value.trim())
    {
        return (at, format!("{}: {message}", key(lines, at, name.trim())));
    }
    if line.starts_with('[') && !line.contains('=') {
        let name = line.trim_matches(['[', ']', ' ']);
        let whole = match line.starts_with("[[") {
            true => format!("[[{name}]]"),
            false => format!("[{name}]"),
        };
        let message = match name.is_empty() || whole == line {
            true => format!(
                "{} is not a section; write [listen] or [[source]]",
                short(line)
            ),
            false => format!("{} is not a section; write {}", short(line), short(&whole)),
        };
        return (number, message);
    }
    if let Some((name, value)) = line.split_once('=') {
        let (name, value) = (name.trim(), value.trim());
        return (
            number,
            unreadable_value(lines, number, (name, value), library),
        );
    }
    let message = format!(
        "{} is neither a key with its value nor a section; write {EXAMPLE}",
        short(line)
    );
    (number, message)
}

/// How a line is written.
const EXAMPLE: &str = "key = value under a [section]; `tapecast config print` prints an example";

/// JSON or YAML.
fn other_language(lines: &[&str], line: &str) -> Option<String> {
    let first = lines.iter().map(|line| line.trim());
    let first = first
        .clone()
        .find(|line| !line.is_empty() && !line.starts_with('#'))?;
    if first.starts_with('{') || first.starts_with("[{") {
        return Some(format!("this is JSON, not TOML; write {EXAMPLE}"));
    }
    if let Some(item) = line.strip_prefix("- ") {
        let item = short(item);
        return Some(format!(
            "{item} is an item of YAML, not TOML; write [[source]] for a source, and [\"a\", \"b\"] for a list"
        ));
    }
    if line == "---" || line.starts_with("%YAML") {
        return Some(format!("this is YAML, not TOML; write {EXAMPLE}"));
    }
    let (name, value) = line.split_once(':')?;
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let is_yaml =
        !name.is_empty() && name.chars().all(named) && (value.is_empty() || value.starts_with(' '));
    is_yaml.then(|| match value.trim() {
        "" => format!("{name}: is YAML, not TOML; write [{name}]"),
        value => format!(
            "{name}: is YAML, not TOML; write {name} = {}",
            quoted(value)
        ),
    })
}

fn unreadable_value(
    lines: &[&str],
    number: usize,
    (name, value): (&str, &str),
    library: &str,
) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'');
    let key = key(lines, number, name);
    if name.is_empty() || !name.chars().all(bare) {
        return format!(
            "{} is not a key; write the key as one word before the =",
            short(name)
        );
    }
    if value.is_empty() || value.starts_with('#') {
        return format!("{key}: it has no value; write {name} = and the value, or delete the line");
    }
    if let Some(message) = unclosed(value, value) {
        return format!("{key}: {message}");
    }
    if library.contains("escape") {
        return format!(
            "{key}: {} has a \\ that begins no escape; write \\\\, or put the text in single quotes",
            short(value)
        );
    }
    if let Some(meant) = without_commas(value) {
        return format!(
            "{key}: {} is not allowed; write {name} = {meant}",
            short(value)
        );
    }
    if let Some(kind) = out_of_range(value) {
        return format!(
            "{key}: {} is not allowed; it is too {kind} for a number: write a {} one",
            short(value),
            if kind == "large" { "smaller" } else { "larger" },
        );
    }
    if value.starts_with(['"', '\'', '[', '{']) {
        return format!(
            "{key}: {} cannot be read; write one text in quotes, one number, or one list in brackets",
            short(value)
        );
    }
    let value = value.split(" #").next().unwrap_or_default().trim_end();
    let lower = value.to_ascii_lowercase();
    match lower.as_str() {
        "true" | "false" => format!("{key}: {value} is not allowed; write {lower}"),
        _ => format!(
            "{key}: {} is not allowed; text stands in quotes: write {name} = {}",
            short(value),
            quoted(value)
        ),
    }
}

/// A value without the comma behind it that other languages have, or a number without its groups.
fn without_commas(value: &str) -> Option<String> {
    let single = value.trim_end_matches([',', ';']);
    let is_value = |text: &str| toml::from_str::<toml::Table>(&format!("v = {text}")).is_ok();
    if single != value && is_value(single) {
        return Some(short(single));
    }
    let digits: String = value
        .chars()
        .filter(|c| !matches!(c, ',' | ' ' | '\''))
        .collect();
    let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    (is_number && is_value(&digits)).then(|| short(&digits))
}

/// How a whole number is beyond what TOML can hold.
fn out_of_range(value: &str) -> Option<&'static str> {
    let value = value.split('#').next().unwrap_or_default().trim_end();
    match value.replace('_', "").parse::<i64>().err()?.kind() {
        IntErrorKind::PosOverflow => Some("large"),
        IntErrorKind::NegOverflow => Some("small"),
        _ => None,
    }
}

/// What is said of a value that has no end; `text` goes as far as the place where the library gave up.
fn unclosed(text: &str, value: &str) -> Option<String> {
    let first = value.chars().next()?;
    match first {
        '"' | '\'' => {
            let long = first.to_string().repeat(3);
            let rest = value.get(1..).unwrap_or_default();
            let (open, end) = match value.starts_with(&long) {
                true => (text.matches(&long).count() % 2 == 1, long),
                false => (!rest.contains(first), first.to_string()),
            };
            open.then(|| {
                let given = short(value);
                format!("{given} is text without an end; add the closing {end}")
            })
        }
        '[' | '{' => {
            let close = if first == '[' { ']' } else { '}' };
            let open = text.matches(first).count() > text.matches(close).count();
            open.then(|| {
                let given = short(value);
                format!("{given} has no end; add the closing {close}")
            })
        }
        _ => None,
    }
}

/// What is said of a key or section that is there twice.
fn twice(lines: &[&str], number: usize) -> String {
    let line = lines.get(number).map_or("", |line| line.trim());
    let name = line.split_once('=').map(|(name, _)| name.trim());
    let section = heading(lines, number);
    let same = |at: &usize| match name {
        Some(name) => {
            let other = lines[*at].split_once('=').map(|(other, _)| other.trim());
            other == Some(name) && heading(lines, *at) == section
        }
        None => lines[*at].trim() == line,
    };
    let first = (0..number)
        .find(same)
        .map_or_else(String::new, |at| format!(", first in line {}", at + 1));
    match name {
        Some(name) => {
            let key = key(lines, number, name);
            format!("{key}: it is there twice{first}; write it once")
        }
        None => format!(
            "{} is there twice{first}; put the keys of both under one of them",
            short(line)
        ),
    }
}

/// The name of a key, with its section or its source.
fn key(lines: &[&str], number: usize, name: &str) -> String {
    match heading(lines, number) {
        (section, _) if section.is_empty() => name.to_owned(),
        (section, 0) => format!("{section}.{name}"),
        (_, source) => format!("source {source}: {name}"),
    }
}

/// The section that a line is in, and the number of its source from 1; 0 outside of sources.
fn heading(lines: &[&str], number: usize) -> (String, usize) {
    let (mut section, mut sources) = (String::new(), 0);
    for line in lines.iter().take(number + 1) {
        let line = line.split('#').next().unwrap_or_default().trim();
        let is_heading = line.starts_with('[') && !line.contains('=');
        if is_heading {
            let name = line.trim_start_matches('[').split(']').next();
            section = name.unwrap_or_default().trim().to_owned();
            sources += usize::from(line.starts_with("[[source]]"));
        }
    }
    let source = if section == "source" || section.starts_with("source.") {
        sources
    } else {
        0
    };
    (section, source)
}

/// A value as text in quotes; what is a number, a word of TOML or in quotes already stays as it is.
fn quoted(value: &str) -> String {
    let is_value = toml::from_str::<toml::Table>(&format!("v = {value}")).is_ok();
    match is_value {
        true => short(value),
        false => format!("\"{}\"", short(value).replace(['"', '\\'], "")),
    }
}

/// The beginning of what was given, on one line.
fn short(given: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut text: String = given.chars().map(clean).take(GIVEN_CHARS_MAX).collect();
    if given.chars().nth(GIVEN_CHARS_MAX).is_some() {
        text.push('…');
    }
    text
}

/// So much of what was given is repeated.
const GIVEN_CHARS_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use crate::config::Config;

    /// Each text is refused with one line that has all parts, and nothing of the library.
    fn check(cases: &[(&str, &[&str])]) {
        for (text, parts) in cases {
            // As editors on Windows write it, too.
            for text in [(*text).to_owned(), text.replace('\n', "\r\n")] {
                let error = Config::parse(&text, "t.toml", std::iter::empty());
                let error = error.unwrap_err().to_string();
                assert_eq!(error.lines().count(), 1, "{error}");
                for part in *parts {
                    assert!(error.contains(part), "{text}: {error} lacks {part}");
                }
                for library in ["expected", "invalid", "unquoted"] {
                    assert!(!error.contains(library), "{error} says {library}");
                }
            }
        }
    }

    #[test]
    fn a_value_that_cannot_be_read_is_said_with_its_key_and_what_to_write() {
        check(&[
            (
                "[listen]\npublic = 127.0.0.1:8080\n",
                &[
                    "t.toml:2: listen.public: 127.0.0.1:8080",
                    "public = \"127.0.0.1:8080\"",
                ],
            ),
            (
                "[limits]\nping = 5s # five",
                &["t.toml:2: limits.ping: 5s", "ping = \"5s\""],
            ),
            (
                "[shards]\nio_uring = True\n",
                &["t.toml:2: shards.io_uring: True", "write true"],
            ),
            (
                "\nnode = \"desk\n[listen]\n",
                &["t.toml:2: node: \"desk", "closing \""],
            ),
            ("node = 'desk\n", &["t.toml:1: node: 'desk", "closing '"]),
            (
                "node = \"\"\"desk\n\n",
                &["t.toml:1: node: ", "closing \"\"\""],
            ),
            (
                "node = \"\"\"desk\nx = 1\n",
                &["t.toml:1: node: ", "closing \"\"\""],
            ),
            ("node =\n", &["t.toml:1: node: it has no value"]),
            (
                "[limits]\nconnections_max = 99999999999999999999 # many\n",
                &[
                    "t.toml:2: limits.connections_max: 99999999999999999999",
                    "too large",
                    "write a smaller one",
                ],
            ),
            (
                "[limits]\nconnections_max = -99_999_999_999_999_999_999\n",
                &["t.toml:2: limits.connections_max: ", "too small"],
            ),
            (
                "[limits]\nconnections_max = 20_000,\n",
                &[
                    "t.toml:2: limits.connections_max: 20_000,",
                    "write connections_max = 20_000",
                ],
            ),
            (
                "[limits]\nconnections_max = 20,000\n",
                &[
                    "t.toml:2: limits.connections_max: ",
                    "write connections_max = 20000",
                ],
            ),
            (
                "[listen]\nallowed_hosts = [\"a\"\n[log]\n",
                &["t.toml:2: listen.allowed_hosts", "closing ]"],
            ),
            (
                "node = \"C:\\desk\"\n",
                &["t.toml:1: node: ", "single quotes"],
            ),
            (
                "[shards]\ncores = [1,\n2\ncount = 1\n",
                &["t.toml:2: shards.cores", "closing ]"],
            ),
        ]);
    }

    #[test]
    fn what_is_there_twice_and_other_languages_are_named() {
        check(&[
            (
                "[limits]\nping = \"1s\"\n[log]\n[limits]\n",
                &["t.toml:4: [limits] is there twice", "line 1"],
            ),
            (
                "[limits]\nping = \"1s\"\n\nping = \"2s\"\n",
                &["t.toml:4: limits.ping: it is there twice", "line 2"],
            ),
            (
                "[[source]]\nkind = \"sim\"\n[[source]]\nkind = \"sim\"\nkind = \"sim\"\n",
                &["t.toml:5: source 2: kind: it is there twice", "line 4"],
            ),
            (
                "listen:\n  public: a\n",
                &["t.toml:1: listen: is YAML", "[listen]"],
            ),
            (
                "# x\nnode: desk\n",
                &["t.toml:2: node: is YAML", "node = \"desk\""],
            ),
            ("---\nnode: desk\n", &["t.toml:1: this is YAML"]),
            ("node = \"x\"\n- kind: sim\n", &["t.toml:2: ", "[[source]]"]),
            (
                "{\n  \"node\": \"x\"\n}\n",
                &["t.toml:1: this is JSON", "config print"],
            ),
            ("[listen\n", &["t.toml:1: [listen", "write [listen]"]),
            (
                "[[source]\nkind = 1\n",
                &["t.toml:1: [[source]", "write [[source]]"],
            ),
            ("nothing\n", &["t.toml:1: nothing", "key = value"]),
            ("my node = \"x\"\n", &["t.toml:1: my node", "one word"]),
        ]);
    }
}
