//! Reading a configuration. Each error is one line.

use super::Config;
use super::wrong::read;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A configuration that cannot be used: one line that names the place and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file does not say what a configuration says.
    #[error("{place}: {message}")]
    Invalid {
        /// The file and line, or the variable.
        place: String,
        /// What is wrong there.
        message: String,
    },
}

/// Bytes of a configuration file at most: a thousand times the usual size.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Variables of this prefix and at least one `__` are configuration: `TAPECAST_LISTEN__PUBLIC` is
/// `public` in `[listen]`.
const PREFIX: &str = "TAPECAST_";

impl Config {
    /// Reads a file and lays the environment over it.
    ///
    /// # Errors
    /// If the file cannot be read, or it or the environment says something that is not understood.
    pub fn load(
        path: &Path,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let text = read_file(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, &path.display().to_string(), environment)
    }

    /// Reads a text and lays the environment over it; `name` is what errors call the text.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(
        text: &str,
        name: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut table: toml::Table = toml::from_str(text).map_err(|error| {
            let place = place(name, text, error.span());
            invalid(&place, &error.message().replace('\n', " "))
        })?;
        let mut config = read(toml::Deserializer::parse(text), &table).map_err(|wrong| {
            let place = place(name, text, wrong.span);
            invalid(&place, &wrong.message)
        })?;
        let mut variables = Vec::new();
        for (variable, value) in environment {
            if let Some(path) = key_path(&variable) {
                set(&mut table, &path, &value).map_err(|message| invalid(&variable, &message))?;
                // Checked one by one, so that an error names its variable.
                let given = table.clone();
                config =
                    read(Ok(given), &table).map_err(|wrong| invalid(&variable, &wrong.message))?;
                variables.push((path.join("."), variable));
            }
        }
        let Some(wrong) = super::check::problem(&config) else {
            return Ok(config);
        };
        let of_key = |(key, _): &&(String, String)| wrong.starts_with(&format!("{key}: "));
        if let Some((_, variable)) = variables.iter().rev().find(of_key) {
            return Err(invalid(variable, &wrong));
        }
        let line = line_of(text, &wrong).map(|line| format!("{name}:{line}"));
        Err(invalid(line.as_deref().unwrap_or(name), &wrong))
    }

    /// What the types of values do not show. To be called again when flags have changed something.
    ///
    /// # Errors
    /// If a value is out of range, or two do not go together.
    pub fn check(self, name: &str) -> Result<Self, ConfigError> {
        match super::check::problem(&self) {
            Some(wrong) => Err(invalid(name, &wrong)),
            None => Ok(self),
        }
    }
}

/// The line of a text in which the key stands that a message begins with: `limits.ping: …`, or
/// `source 2: venue: …`; or else the one in which its table begins.
fn line_of(text: &str, message: &str) -> Option<usize> {
    let mut parts = message.split(": ");
    let first = parts.next()?;
    let (table, key) = match first.starts_with("source ") {
        true => (first, parts.next().unwrap_or_default()),
        false => first.rsplit_once('.').unwrap_or(("", first)),
    };
    let is_key = |line: &str, at: &str| {
        let name = line.split('=').next().unwrap_or_default().trim();
        at == table && name == key || at.is_empty() && name == first
    };
    let (mut at, mut sources, mut begins) = (String::new(), 0, None);
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.starts_with("[[source]]") {
            sources += 1;
            at = format!("source {sources}");
        } else if let Some(name) = line.strip_prefix('[') {
            at = name.split(']').next().unwrap_or_default().trim().to_owned();
        } else if is_key(line, &at) {
            return Some(number);
        } else {
            continue;
        }
        begins = begins.or_else(|| (at == table).then_some(number));
    }
    begins
}

/// The file, and the line in it if that is known.
fn place(name: &str, text: &str, span: Option<Range<usize>>) -> String {
    let line = span.map(|span| text[..span.start].matches('\n').count() + 1);
    line.map_or_else(|| name.to_owned(), |line| format!("{name}:{line}"))
}

fn invalid(place: &str, message: &str) -> ConfigError {
    ConfigError::Invalid {
        place: place.to_owned(),
        message: message.to_owned(),
    }
}

/// `TAPECAST_LIMITS__PING` to `limits`, `ping`; none if the variable is not configuration.
fn key_path(variable: &str) -> Option<Vec<String>> {
    let path = variable.strip_prefix(PREFIX)?;
    path.contains("__")
        .then(|| path.split("__").map(str::to_lowercase).collect())
}

/// Sets a key to a value written as in the file; what is no TOML value is a string.
fn set(table: &mut toml::Table, path: &[String], value: &str) -> Result<(), String> {
    let [sections @ .., key] = path else {
        return Ok(());
    };
    let mut table = table;
    for section in sections {
        let entry = table
            .entry(section.clone())
            .or_insert_with(|| toml::Value::Table(toml::Table::new()));
        table = entry.as_table_mut().ok_or_else(|| {
            format!("{section} is not a section; correct the name of this variable")
        })?;
    }
    let parsed = toml::from_str::<toml::Table>(&format!("value = {value}"));
    let parsed = parsed.ok().and_then(|mut t| t.remove("value"));
    table.insert(
        key.clone(),
        parsed.unwrap_or_else(|| toml::Value::String(value.to_owned())),
    );
    Ok(())
}

/// Reads a whole file. A device that was named by mistake may have no end, so there is a limit.
fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut file = File::open(path)?.take(FILE_BYTES_MAX + 1);
    file.read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let message = "longer than 4 MiB; is this a configuration file?";
        return Err(io::Error::other(message));
    }
    Ok(text)
}
