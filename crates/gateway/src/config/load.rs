//! Reading a configuration. Each error is one line.

use super::Config;
use super::wrong::read;
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
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
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
        for (variable, value) in environment {
            if let Some(path) = key_path(&variable) {
                set(&mut table, &path, &value).map_err(|message| invalid(&variable, &message))?;
                // Checked one by one, so that an error names its variable.
                let given = table.clone();
                config =
                    read(Ok(given), &table).map_err(|wrong| invalid(&variable, &wrong.message))?;
            }
        }
        config.check(name)
    }

    /// What no single key shows. To be called again when flags have changed something.
    ///
    /// # Errors
    /// If a value is out of range, or two do not go together.
    pub fn check(self, name: &str) -> Result<Self, ConfigError> {
        self.check_venues(name)?;
        let wrong = super::check::problem(&self);
        if let Some(wrong) = wrong {
            return Err(invalid(name, &wrong));
        }
        let limits = &self.limits;
        let wrong = if self.shards.count > tapecast_fanout::interest::SHARDS_MAX {
            "shards.count: must be at most 64"
        } else if self.shards.ring_items < 1_024 {
            "shards.ring_items: must be at least 1024"
        } else if self
            .shards
            .flush_interval
            .is_some_and(|s| s.0 > FLUSH_INTERVAL_MAX)
        {
            "shards.flush_interval: must be at most 100ms; for fewer frames, clients subscribe to @interval topics"
        } else if self.pipeline.events == 0 || self.pipeline.events > self.shards.ring_items / 8 {
            "pipeline.events: must be at least 1 and at most an eighth of shards.ring_items, so that all \
             waiting events fit into the rings"
        } else if limits.ping.0 >= limits.idle_timeout.0 {
            "limits.ping: must be shorter than limits.idle_timeout; otherwise quiet clients are closed"
        } else if limits.outbox_bytes_max < 64 * 1024 {
            "limits.outbox_bytes_max: must be at least 65536, so that a snapshot fits"
        } else if limits.parked_bytes_max < limits.outbox_bytes_max {
            "limits.parked_bytes_max: must be at least limits.outbox_bytes_max"
        } else if limits.topics_max == 0 || limits.instruments_max == 0 {
            "limits.topics_max, limits.instruments_max: must be at least 1"
        } else if limits.topics_max > TOPICS_MAX || limits.instruments_max > TOPICS_MAX {
            "limits.topics_max, limits.instruments_max: must be at most 100000000"
        } else if limits.topic_linger.0 > LINGER_MAX {
            "limits.topic_linger: must be at most 1h"
        } else if limits.invented_topics_per_connection_max == 0 {
            "limits.invented_topics_per_connection_max: must be at least 1"
        } else if limits.requests_per_s == 0 || limits.messages_per_s == 0 {
            "limits.requests_per_s, limits.messages_per_s: must be at least 1"
        } else if limits.request_bytes_max < 256 {
            "limits.request_bytes_max: must be at least 256"
        } else if limits.handshakes_per_address_max == 0
            || limits.http_connections_per_address_max == 0
            || limits.http_requests_max == 0
        {
            "limits.handshakes_per_address_max, limits.http_connections_per_address_max, \
             limits.http_requests_max: must be at least 1, so that clients can connect"
        } else {
            return Ok(self);
        };
        Err(invalid(name, wrong))
    }
}

impl Config {
    /// A venue that accepts any symbol must belong to only one source.
    fn check_venues(&self, name: &str) -> Result<(), ConfigError> {
        for (index, source) in self.sources.iter().enumerate() {
            let (number, venue) = (index + 1, source.venue());
            let others = self
                .sources
                .iter()
                .filter(|other| other.venue() == venue)
                .count()
                > 1;
            if others && source.takes_any_symbol() {
                let message = format!(
                    "source {number}: takes any symbol of venue {venue:?}, which another source \
                     serves too; give one of them another venue"
                );
                return Err(invalid(name, &message));
            }
            if venue == "best" {
                let message =
                    format!("source {number}: venue \"best\" is reserved; choose another name");
                return Err(invalid(name, &message));
            }
        }
        Ok(())
    }
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

/// So many topics, and as many instruments, have numbers of 32 bits to spare.
const TOPICS_MAX: usize = 100_000_000;
/// A longer linger time has no use.
const LINGER_MAX: std::time::Duration = std::time::Duration::from_secs(3_600);
/// Clients wait that long in the middle for a frame that has come.
const FLUSH_INTERVAL_MAX: std::time::Duration = std::time::Duration::from_millis(100);
