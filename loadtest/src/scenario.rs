//! A scenario: what a run does, read from a TOML file and changed by `--set key=value`.
//!
//! Everything has a default, so that a scenario says only what it is about. An unknown key is refused
//! with the nearest known one; a number that makes no sense is refused with what would. The table
//! `server` is not ours: it is handed to the gateway that the run starts, which checks it itself.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

mod check;
mod words;

/// What a run does.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Scenario {
    /// Its name in results. Default: the file's name.
    pub name: String,
    /// What it is for, in words.
    pub description: String,
    /// What the clients are there for.
    pub mode: Mode,
    /// WebSocket clients.
    pub clients: usize,
    /// Topics there are.
    pub topics: u32,
    /// Topics each client subscribes to, chosen at random where there are more.
    pub topics_per_client: u32,
    /// Names of topics, `{n}` being the number. Empty: the push source's, of the kind published.
    pub topic: String,
    /// What is published.
    pub kind: MessageKind,
    /// Who publishes.
    pub publisher: PublisherKind,
    /// Events a second over all topics, published on time whatever happens (open loop). Zero: closed
    /// loop, see `window`.
    pub rate: f64,
    /// Closed loop. With one topic, so many events are published whenever all clients have the last.
    /// With several, so many events may be on their way.
    pub window: u64,
    /// Seconds measured.
    pub duration_s: f64,
    /// Seconds of the same load before that, not measured.
    pub warm_up_s: f64,
    /// Share of clients that stop reading in a second window, see `stall_s`.
    pub stalled_share: f64,
    /// Length of a second window, measured apart, in which those clients do not read.
    pub stall_s: f64,
    /// Clients that read no faster than `slow_bytes_per_s` until the end of the windows.
    pub slow_clients: usize,
    /// How fast those read.
    pub slow_bytes_per_s: u64,
    /// Receive buffer of stalled and slow clients: what their kernel takes for them before the server
    /// notices. Zero: as the kernel likes, which may be megabytes.
    pub slow_receive_bytes: usize,
    /// Seconds for which the load goes on after the windows, while stalled and slow clients catch up.
    pub recover_s: f64,
    /// Clients a second that leave and come back, or unsubscribe and subscribe again, in turns.
    pub churn_per_s: f64,
    /// Connections begun a second. Zero: as fast as they are taken.
    pub connect_rate: f64,
    /// Connections under way at once.
    pub connecting: usize,
    /// Which frames are verified.
    pub verify: Verify,
    /// Clients that read every event and measure its latency, beside verifying every frame.
    pub parsed_clients: usize,
    /// Threads of the harness that read.
    pub threads: usize,
    /// Shards of the server it starts. Zero: one per processor given to the server.
    pub shards: usize,
    /// Seed of everything random.
    pub seed: u64,
    /// Configuration that the server needs for this, in its own words.
    pub server: toml::Table,
}

/// What the clients are there for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They subscribe and receive.
    #[default]
    Stream,
    /// They subscribe and nothing is published: what a connection weighs.
    Idle,
    /// They connect, are welcomed, and make room for the next, as fast as it goes.
    ConnectStorm,
    /// They connect and wait; then all subscribe at once.
    SubscribeStorm,
}

/// What is published.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// One trade per event: never merged, so every one can be counted.
    #[default]
    Trade,
    /// Best bid and offer: for a slow client the newest replaces older ones.
    Quote,
    /// One bid and one ask of 20 levels each: for a slow client one snapshot replaces what waits.
    Book,
}

/// Who publishes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PublisherKind {
    /// The harness, through a `push` source.
    #[default]
    Push,
    /// Somebody else: whatever the server has is received and verified.
    None,
}

/// Which frames are verified.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// The chain of every frame of every client.
    #[default]
    All,
    /// Those of the parsed clients; of the others the kernel counts bytes and throws them away.
    Sample,
}

/// The bundled scenarios by name.
pub const BUNDLED: [(&str, &str); 10] = [
    ("burst", include_str!("../scenarios/burst.toml")),
    ("burst_256", include_str!("../scenarios/burst_256.toml")),
    (
        "connect_storm",
        include_str!("../scenarios/connect_storm.toml"),
    ),
    ("fanout", include_str!("../scenarios/fanout.toml")),
    ("idle", include_str!("../scenarios/idle.toml")),
    ("many_topics", include_str!("../scenarios/many_topics.toml")),
    (
        "slow_clients",
        include_str!("../scenarios/slow_clients.toml"),
    ),
    ("slow_reader", include_str!("../scenarios/slow_reader.toml")),
    ("soak", include_str!("../scenarios/soak.toml")),
    (
        "subscribe_storm",
        include_str!("../scenarios/subscribe_storm.toml"),
    ),
];

/// Why a scenario cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error(
        "cannot read scenario {path}: {source}; the bundled ones are {}",
        bundled_names()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The text is no scenario.
    #[error("{place}: {message}")]
    Parse {
        /// The file, or the option.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// A key that does not exist.
    #[error("{place}: unknown key {key:?}; did you mean {nearest:?}?")]
    UnknownKey {
        /// The file, or the option.
        place: String,
        /// The key.
        key: String,
        /// The one most like it.
        nearest: String,
    },
    /// A value that makes no sense.
    #[error("{key} = {value}: {rule}")]
    Value {
        /// The key.
        key: &'static str,
        /// What it is set to.
        value: String,
        /// What it must be.
        rule: &'static str,
    },
}

// === impl MessageKind ===

impl MessageKind {
    /// The names of its topics at the push source.
    pub fn topic_pattern(self) -> &'static str {
        match self {
            Self::Trade => "trade:bench:T{n}-USD",
            Self::Quote => "quote:bench:T{n}-USD",
            Self::Book => "book.25:bench:T{n}-USD",
        }
    }
}

// === impl Scenario ===

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            mode: Mode::Stream,
            clients: 100,
            topics: 1,
            topics_per_client: 1,
            topic: String::new(),
            kind: MessageKind::Trade,
            publisher: PublisherKind::Push,
            rate: 100.0,
            window: 1,
            duration_s: 5.0,
            warm_up_s: 1.0,
            stalled_share: 0.0,
            stall_s: 0.0,
            slow_clients: 0,
            slow_bytes_per_s: 1024,
            slow_receive_bytes: 65_536,
            recover_s: 2.0,
            churn_per_s: 0.0,
            connect_rate: 0.0,
            connecting: 256,
            verify: Verify::All,
            parsed_clients: 100,
            threads: 1,
            shards: 0,
            seed: 1,
            server: toml::Table::new(),
        }
    }
}

impl Scenario {
    /// Reads a file, or the bundled scenario of that name.
    ///
    /// # Errors
    /// [`ScenarioError`] names the place and the remedy.
    pub fn find(place: &Path, settings: &[String]) -> Result<Self, ScenarioError> {
        let name = place.to_string_lossy();
        let bundled = BUNDLED.iter().find(|(bundled, _)| *bundled == name);
        match bundled.filter(|_| !place.is_file()) {
            Some((name, text)) => {
                let mut scenario = Self::parse(text, name, settings)?;
                if scenario.name.is_empty() {
                    scenario.name = (*name).to_owned();
                }
                Ok(scenario)
            }
            None => Self::load(place, settings),
        }
    }

    /// Reads a file and applies `key=value` settings over it.
    ///
    /// # Errors
    /// [`ScenarioError`] names the place and the remedy.
    pub fn load(path: &Path, settings: &[String]) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path).map_err(|source| ScenarioError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut scenario = Self::parse(&text, &path.display().to_string(), settings)?;
        if scenario.name.is_empty() {
            let stem = path.file_stem().unwrap_or_default();
            scenario.name = stem.to_string_lossy().into_owned();
        }
        Ok(scenario)
    }

    /// Parses a scenario; `place` is what errors call it.
    ///
    /// # Errors
    /// [`ScenarioError`] names the place and the remedy.
    pub fn parse(text: &str, place: &str, settings: &[String]) -> Result<Self, ScenarioError> {
        let mut table = read_table(text, place)?;
        for setting in settings {
            let place = format!("--set {setting}");
            merge(&mut table, read_setting(setting, &place)?);
        }
        let wrong = |e: toml::de::Error| ScenarioError::Parse {
            place: place.to_owned(),
            message: e.message().to_owned(),
        };
        let scenario: Self = table.try_into().map_err(wrong)?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Whether the next event waits for the clients to have the last.
    pub fn is_closed_loop(&self) -> bool {
        self.rate <= 0.0
    }

    /// Whether the harness publishes.
    pub fn publishes(&self) -> bool {
        self.publisher == PublisherKind::Push
            && matches!(self.mode, Mode::Stream | Mode::SubscribeStorm)
    }

    /// The names of topics, `{n}` being the number.
    pub fn topic_pattern(&self) -> &str {
        match self.topic.as_str() {
            "" => self.kind.topic_pattern(),
            pattern => pattern,
        }
    }

    /// How many clients stop reading for a while.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count"
    )]
    pub fn stalled_clients(&self) -> usize {
        (self.clients as f64 * self.stalled_share).round() as usize
    }

    /// Clients that read as fast as they can all the time.
    pub fn readers(&self) -> usize {
        self.clients
            .saturating_sub(self.stalled_clients() + self.slow_clients)
    }
}

fn bundled_names() -> String {
    BUNDLED.map(|(name, _)| name).join(", ")
}

fn read_table(text: &str, place: &str) -> Result<toml::Table, ScenarioError> {
    let table: toml::Table =
        text.parse()
            .map_err(|error: toml::de::Error| ScenarioError::Parse {
                place: match error.span() {
                    Some(span) => format!("{place}:{}", line_of(text, span.start)),
                    None => place.to_owned(),
                },
                message: error.message().to_owned(),
            })?;
    let keys = keys();
    match table.keys().find(|key| !keys.contains(key)) {
        None => Ok(table),
        Some(key) => {
            let likeness = |known: &String| strsim::jaro_winkler(known, key);
            let nearest = keys
                .iter()
                .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
            Err(ScenarioError::UnknownKey {
                place: place.to_owned(),
                key: key.clone(),
                nearest: nearest.cloned().unwrap_or_default(),
            })
        }
    }
}

/// Every key there is: the defaults have them all.
fn keys() -> Vec<String> {
    let all = toml::Table::try_from(Scenario::default()).unwrap_or_default();
    all.into_iter().map(|(key, _)| key).collect()
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or(text);
    before.matches('\n').count() + 1
}

/// `key=value`; a value that is no TOML is taken as text. Dots lead into tables.
fn read_setting(setting: &str, place: &str) -> Result<toml::Table, ScenarioError> {
    let Some((key, value)) = setting.split_once('=') else {
        return Err(ScenarioError::Parse {
            place: place.to_owned(),
            message: "write a setting as key=value".to_owned(),
        });
    };
    let (key, value) = (key.trim(), value.trim());
    let bare = format!("{key} = {value}");
    if bare.parse::<toml::Table>().is_ok() {
        return read_table(&bare, place);
    }
    let text = toml::Value::String(value.to_owned());
    read_table(&format!("{key} = {text}"), place)
}

/// Puts one table over another, table by table.
fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
#[path = "scenario/tests.rs"]
mod tests;
