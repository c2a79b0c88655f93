//! Where a key stands in a text. A message about a configuration begins with its key: `limits.ping: …`,
//! `source 2: venue: …`, `source 2: unknown key "x"…`.

use toml::de::{DeTable, DeValue};

/// One step from a table to a value in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step<'m> {
    Key(&'m str),
    /// Of a list, from 0.
    Item(usize),
}

/// The line in which the key that a message begins with stands; or else another key that it names, as
/// the first may have its default; or else the table of the first. None if the text has none of them.
pub(super) fn line_of(text: &str, message: &str) -> Option<usize> {
    let (table, _) = DeTable::parse_recoverable(text);
    let whole = |steps: &[Step<'_>]| {
        let (at, found) = find(table.get_ref(), steps);
        at.filter(|_| found == steps.len())
    };
    let first = steps(message);
    let at = whole(&first)
        .or_else(|| keys_in(message).find_map(|key| whole(&steps(key))))
        .or_else(|| find(table.get_ref(), &first).0)?;
    Some(text.get(..at)?.matches('\n').count() + 1)
}

/// The keys of sections that a message names, in order.
pub(super) fn keys_in(message: &str) -> impl Iterator<Item = &str> {
    let words = message.split([' ', ',', ';']);
    let words = words.map(|word| word.trim_matches([':', '"']));
    words.filter(|word| {
        let named = |c: char| c.is_ascii_lowercase() || matches!(c, '_' | '.');
        word.contains('.') && word.chars().all(named)
    })
}

/// What a message begins with, as steps.
fn steps(message: &str) -> Vec<Step<'_>> {
    let mut parts = message.split(": ");
    let mut steps = Vec::new();
    let mut key = parts.next().unwrap_or_default();
    if let Some(rest) = key.strip_prefix("source ") {
        let number = rest.split(' ').next().and_then(|n| n.parse::<usize>().ok());
        steps.push(Step::Key("source"));
        steps.extend(number.map(|number| Step::Item(number.saturating_sub(1))));
        let Some(part) = parts.next() else {
            return steps;
        };
        key = part;
    }
    if let Some(unknown) = key.strip_prefix("unknown key \"") {
        key = unknown.split('"').next().unwrap_or_default();
    }
    steps.extend(key.split('.').map(Step::Key));
    steps
}

/// The place of the last step that is there, and how many are.
fn find(table: &DeTable<'_>, steps: &[Step<'_>]) -> (Option<usize>, usize) {
    let (mut at, mut found) = (None, 0);
    let mut inside: Option<&DeValue<'_>> = None;
    for step in steps {
        let next = match (step, inside) {
            (Step::Key(name), None) if found == 0 => entry(table, name),
            (Step::Key(name), Some(DeValue::Table(table))) => entry(table, name),
            (Step::Item(number), Some(DeValue::Array(list))) => {
                let item = list.get(*number);
                item.map(|item| (item.span().start, item.get_ref()))
            }
            _ => None,
        };
        let Some((place, value)) = next else { break };
        (at, inside) = (Some(place), Some(value));
        found += 1;
    }
    (at, found)
}

/// Where a key of a table stands, and its value.
fn entry<'t, 'i>(table: &'t DeTable<'i>, name: &str) -> Option<(usize, &'t DeValue<'i>)> {
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
    Some((key.span().start, value.get_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_key_is_found_however_it_is_written() {
        let text = "node = \"x\"\nlimits.ping = \"1s\"\n\n[listen] # here\n\"public\" = \"a\"\n\
                    [[source]]\nkind = \"sim\"\n[[source]]\nkind = \"replay\"\n  path = \"x\"\n\
                    [source.symbols]\nBTC = \"B\"\n";
        for (message, line) in [
            ("node: x", Some(1)),
            ("limits.ping: 1s is not allowed", Some(2)),
            ("listen.public: a", Some(5)),
            ("listen.admin: a is used by listen.public = a", Some(5)),
            ("listen.admin: a", Some(4)),
            ("source 1: seed: 5", Some(6)),
            ("source 1: kind: sim", Some(7)),
            ("source 2: path: \"x\"", Some(10)),
            ("source 2: unknown key \"path\"; did you", Some(10)),
            ("source 2 (replay): it cannot be read", Some(8)),
            ("source 2: symbols.BTC: B", Some(12)),
            ("pipeline.core: 5", None),
            ("", None),
        ] {
            assert_eq!(line_of(text, message), line, "{message}");
        }
        let inline = "source = [\n{ kind = \"sim\" },\n{ kind = \"sim\",\nseed = 1 }\n]\n";
        assert_eq!(line_of(inline, "source 2: seed: 1"), Some(4));
        assert_eq!(line_of(inline, "source 1: seed: 1"), Some(2));
    }
}
