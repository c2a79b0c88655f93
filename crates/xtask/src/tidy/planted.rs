//! The table of planted faults. It must not rot: what a fault replaces is in its file exactly once, and its scenario
//! exists. `cargo xtask tidy` checks this with every change.

use super::Source;
use crate::run::{Failure, root};
use std::fmt;
use std::str::FromStr;

/// Where the table is.
pub(crate) const PATH: &str = "crates/ingest/tests/live/planted.toml";

/// A fault that is planted in the code.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PlantedFault {
    /// What goes wrong.
    pub(crate) name: String,
    /// In which file, from the root.
    pub(crate) file: String,
    /// What is there.
    pub(crate) old: String,
    /// What is there instead.
    pub(crate) new: String,
    /// What must fail then.
    pub(crate) scenario: Scenario,
    /// A part of what it says when it fails.
    pub(crate) says: String,
}

/// A test: `tapecast-ingest live binance::from_cold_to_live`. The second word is `lib`, or a file of tests.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Scenario {
    pub(crate) package: String,
    pub(crate) target: String,
    pub(crate) name: String,
}

/// Reads the table of the checkout.
///
/// # Errors
/// If it cannot be read: why.
pub(crate) fn read() -> Result<Vec<PlantedFault>, Failure> {
    let text =
        std::fs::read_to_string(root().join(PATH)).map_err(|error| format!("{PATH}: {error}"))?;
    parse(&text)
}

/// Everything wrong with the table, as far as text can tell.
pub(crate) fn problems(sources: &[Source]) -> Vec<String> {
    let Some(table) = sources.iter().find(|source| source.path == PATH) else {
        return Vec::new();
    };
    match parse(&table.text) {
        Ok(faults) => {
            let doubled = |at: &usize| {
                faults[..*at]
                    .iter()
                    .any(|other| other.name == faults[*at].name)
            };
            let doubled = (0..faults.len()).filter(doubled);
            let doubled = doubled.map(|at| format!("{PATH}: {} is there twice", faults[at].name));
            let rotten = faults.iter().flat_map(|fault| fault.problems(sources));
            doubled.chain(rotten).collect()
        }
        Err(error) => vec![error],
    }
}

fn parse(text: &str) -> Result<Vec<PlantedFault>, Failure> {
    let table: toml::Table = text.parse().map_err(|error| format!("{PATH}: {error}"))?;
    let faults = table.get("fault").and_then(toml::Value::as_array);
    let faults = faults.ok_or_else(|| format!("{PATH}: there is no [[fault]]"))?;
    faults
        .iter()
        .enumerate()
        .map(|(at, fault)| one(at, fault))
        .collect()
}

fn one(at: usize, fault: &toml::Value) -> Result<PlantedFault, Failure> {
    let word = |key: &str| {
        let value = fault.get(key).and_then(toml::Value::as_str);
        let value = value.ok_or_else(|| format!("{PATH}: fault {}: write {key} = \"…\"", at + 1));
        value.map(|text| text.trim_matches('\n').to_owned())
    };
    let name = word("name")?;
    let scenario = word("scenario")?;
    Ok(PlantedFault {
        file: word("file")?,
        old: word("old")?,
        new: word("new")?,
        scenario: scenario.parse().map_err(|()| {
            format!("{PATH}: {name}: a scenario has a package, lib or a file of tests, and a name")
        })?,
        says: word("says")?,
        name,
    })
}

// === impl PlantedFault ===

impl PlantedFault {
    fn problems(&self, sources: &[Source]) -> Vec<String> {
        let Self { name, file, .. } = self;
        let mut problems = Vec::new();
        match sources.iter().find(|source| source.path == *file) {
            None => problems.push(format!("{PATH}: {name}: there is no {file}")),
            Some(source) => match source.text.matches(&self.old).count() {
                1 => {}
                times => problems.push(format!(
                    "{PATH}: {name}: {file} has its old text {times} times; write what is there now, once, and run \
                     `cargo xtask mutants {name}`"
                )),
            },
        }
        if self.old == self.new {
            problems.push(format!("{PATH}: {name}: old and new are the same"));
        }
        if !self.scenario.exists(sources) {
            problems.push(format!(
                "{PATH}: {name}: there is no test {}",
                self.scenario
            ));
        }
        problems
    }
}

// === impl Scenario ===

impl Scenario {
    /// What has to be built for it.
    pub(crate) fn place(&self) -> (String, String) {
        (self.package.clone(), self.target.clone())
    }

    fn exists(&self, sources: &[Source]) -> bool {
        let folder = self.package.trim_start_matches("tapecast-");
        let within = match self.target.as_str() {
            "lib" => format!("crates/{folder}/src/"),
            target => format!("crates/{folder}/tests/{target}"),
        };
        let name = self.name.rsplit("::").next().unwrap_or_default();
        let head = format!("fn {name}(");
        let mut files = sources
            .iter()
            .filter(|source| source.path.starts_with(&within));
        files.any(|source| source.text.contains(&head))
    }
}

impl FromStr for Scenario {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split_whitespace().map(str::to_owned);
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some(package), Some(target), Some(name), None) => Ok(Self {
                package,
                target,
                name,
            }),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            package,
            target,
            name,
        } = self;
        write!(f, "{package} {target} {name}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    const TABLE: &str = "[[fault]]\nname = \"no-pause\"\nfile = \"crates/x/src/a.rs\"\nold = '''\nwait();\n'''\n\
                         new = ''\nscenario = \"tapecast-x live a::it_waits\"\nsays = \"it did not wait\"\n";

    fn check(code: &str, expected: &str) {
        let test = source("crates/x/tests/live/a.rs", "fn it_waits() {}");
        let found = problems(&[source(PATH, TABLE), source("crates/x/src/a.rs", code), test]);
        match expected {
            "" => assert!(found.is_empty(), "{found:?}"),
            part => assert!(found.len() == 1 && found[0].contains(part), "{found:?}"),
        }
    }

    #[test]
    fn what_a_fault_replaces_is_there_once() {
        check("a();\nwait();\n", "");
        check("a();\n", "0 times");
        check("wait();\nwait();\n", "2 times");
    }

    #[test]
    fn a_scenario_exists_and_names_are_used_once() {
        let code = source("crates/x/src/a.rs", "wait();");
        let found = problems(&[source(PATH, TABLE), code]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("there is no test tapecast-x live a::it_waits"));
        let twice = [TABLE, TABLE].concat();
        assert!(problems(&[source(PATH, &twice)])[0].contains("twice"));
        for (key, part) in [
            ("says", "says"),
            ("scenario", "scenario"),
            ("[[fault", "[[fault"),
        ] {
            let wrong = TABLE.replace(key, &key.replace(char::is_alphabetic, "x"));
            let found = problems(&[source(PATH, &wrong)]);
            assert!(found[0].contains(part), "{found:?}");
        }
    }
}
