//! A scenario: what a run does, read from a TOML file and changed by `--set key=value`.
//!
//! Everything has a default, so that a scenario says only what it is about. An unknown key is refused
//! with the nearest known one; a number that makes no sense is refused with what would.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a run does.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Scenario {
    /// Its name in results. Default: the file's name.
    pub name: String,
    /// What it is for, in words.
    pub description: String,
    /// WebSocket clients.
    pub clients: usize,
    /// Topics there are.
    pub topics: u32,
    /// Topics each client subscribes to, chosen at random where there are more.
    pub topics_per_client: u32,
    /// What is published.
    pub kind: MessageKind,
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
    /// Share of clients that stop reading once they are subscribed.
    pub stalled_share: f64,
    /// Connections begun a second. Zero: as fast as they are taken.
    pub connect_rate: f64,
    /// Clients that read and verify every frame; the others are counted by bytes.
    pub parsed_clients: usize,
    /// Threads of the harness that read.
    pub threads: usize,
    /// Shards of the server it starts. Zero: one per processor given to the server.
    pub shards: usize,
    /// Seed of everything random.
    pub seed: u64,
}

/// What is published.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// One trade per event: never merged, so every one can be counted.
    #[default]
    Trade,
}

/// Why a scenario cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read scenario {path}: {source}; the bundled ones are in loadtest/scenarios/")]
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
    #[error("{place}: unknown key {key:?}, did you mean {nearest:?}?")]
    UnknownKey {
        /// The file, or the option.
        place: String,
        /// The key.
        key: String,
        /// The one most like it.
        nearest: &'static str,
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

const KEYS: [&str; 16] = [
    "name",
    "description",
    "clients",
    "topics",
    "topics_per_client",
    "kind",
    "rate",
    "window",
    "duration_s",
    "warm_up_s",
    "stalled_share",
    "connect_rate",
    "parsed_clients",
    "threads",
    "shards",
    "seed",
];

// === impl Scenario ===

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            clients: 100,
            topics: 1,
            topics_per_client: 1,
            kind: MessageKind::Trade,
            rate: 100.0,
            window: 1,
            duration_s: 5.0,
            warm_up_s: 1.0,
            stalled_share: 0.0,
            connect_rate: 0.0,
            parsed_clients: 100,
            threads: 1,
            shards: 0,
            seed: 1,
        }
    }
}

impl Scenario {
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
            scenario.name = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
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
            for (key, value) in read_setting(setting, &place)? {
                table.insert(key, value);
            }
        }
        let scenario: Self =
            table
                .try_into()
                .map_err(|e: toml::de::Error| ScenarioError::Parse {
                    place: place.to_owned(),
                    message: e.message().to_owned(),
                })?;
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&self) -> Result<(), ScenarioError> {
        let rules: [(&'static str, String, bool, &'static str); 11] = [
            (
                "clients",
                self.clients.to_string(),
                self.clients >= 1,
                "at least 1",
            ),
            (
                "topics",
                self.topics.to_string(),
                (1..=1_000_000).contains(&self.topics),
                "1 to 1000000",
            ),
            (
                "topics_per_client",
                self.topics_per_client.to_string(),
                (1..=self.topics).contains(&self.topics_per_client),
                "at least 1 and at most `topics`",
            ),
            (
                "rate",
                self.rate.to_string(),
                (0.0..=1e7).contains(&self.rate),
                "0 to 10000000 a second",
            ),
            (
                "window",
                self.window.to_string(),
                (1..=65_536).contains(&self.window),
                "1 to 65536",
            ),
            (
                "duration_s",
                self.duration_s.to_string(),
                self.duration_s > 0.0 && self.duration_s <= 1e6,
                "more than 0 seconds",
            ),
            (
                "warm_up_s",
                self.warm_up_s.to_string(),
                (0.0..=1e6).contains(&self.warm_up_s),
                "0 or more seconds",
            ),
            (
                "stalled_share",
                self.stalled_share.to_string(),
                (0.0..1.0).contains(&self.stalled_share),
                "0 or more, and below 1",
            ),
            (
                "connect_rate",
                self.connect_rate.to_string(),
                (0.0..=1e6).contains(&self.connect_rate),
                "0 to 1000000 a second",
            ),
            (
                "parsed_clients",
                self.parsed_clients.to_string(),
                self.parsed_clients >= 1,
                "at least 1: somebody must look",
            ),
            (
                "threads",
                self.threads.to_string(),
                (1..=self.clients.min(64)).contains(&self.threads),
                "at least 1, at most 64 and at most `clients`",
            ),
        ];
        match rules.into_iter().find(|(_, _, holds, _)| !holds) {
            Some((key, value, _, rule)) => Err(ScenarioError::Value { key, value, rule }),
            None => Ok(()),
        }
    }

    /// Whether the next event waits for the clients to have the last.
    pub fn is_closed_loop(&self) -> bool {
        self.rate <= 0.0
    }

    /// How many clients stop reading.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count"
    )]
    pub fn stalled_clients(&self) -> usize {
        (self.clients as f64 * self.stalled_share).round() as usize
    }
}

fn read_table(text: &str, place: &str) -> Result<toml::Table, ScenarioError> {
    let table: toml::Table = text
        .parse()
        .map_err(|e: toml::de::Error| ScenarioError::Parse {
            place: match e.span() {
                Some(span) => format!("{place}:{}", text[..span.start].lines().count().max(1)),
                None => place.to_owned(),
            },
            message: e.message().to_owned(),
        })?;
    if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let likeness = |known: &str| strsim::jaro_winkler(known, key);
        let nearest = KEYS
            .into_iter()
            .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        return Err(ScenarioError::UnknownKey {
            place: place.to_owned(),
            key: key.clone(),
            nearest: nearest.unwrap_or_default(),
        });
    }
    Ok(table)
}

/// `key=value`; a value that is no TOML is taken as text.
fn read_setting(setting: &str, place: &str) -> Result<toml::Table, ScenarioError> {
    let Some((key, value)) = setting.split_once('=') else {
        let message = "a setting is key=value".to_owned();
        return Err(ScenarioError::Parse {
            place: place.to_owned(),
            message,
        });
    };
    let (key, value) = (key.trim(), value.trim());
    let bare = format!("{key} = {value}");
    if bare.parse::<toml::Table>().is_ok() {
        return read_table(&bare, place);
    }
    read_table(
        &format!("{key} = {}", toml::Value::String(value.to_owned())),
        place,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Scenario, ScenarioError> {
        Scenario::parse(text, "x.toml", &[])
    }

    fn refusal(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_one() {
        let expected = r#"x.toml: unknown key "clinets", did you mean "clients"?"#;
        assert_eq!(refusal("clinets = 5"), expected);
        let refusal = Scenario::parse("", "x.toml", &["durations=5".into()]).unwrap_err();
        assert!(
            refusal
                .to_string()
                .ends_with(r#"did you mean "duration_s"?"#),
            "{refusal}"
        );
    }

    #[test]
    fn every_key_is_known_and_every_known_key_exists() {
        let table = toml::Table::try_from(Scenario::default()).unwrap();
        let mut keys: Vec<&str> = table.keys().map(String::as_str).collect();
        let mut known = KEYS.to_vec();
        keys.sort_unstable();
        known.sort_unstable();
        assert_eq!(keys, known);
    }

    #[test]
    fn settings_win_over_the_file() {
        let settings = [
            "rate=0".to_owned(),
            "window = 32".to_owned(),
            "name=my name".to_owned(),
        ];
        let scenario = Scenario::parse("rate = 5\nclients = 7", "x.toml", &settings).unwrap();
        assert!(scenario.is_closed_loop());
        assert_eq!((scenario.window, scenario.clients), (32, 7));
        assert_eq!(scenario.name, "my name");
    }

    #[test]
    fn values_that_make_no_sense_are_refused_with_what_would() {
        assert_eq!(refusal("clients = 0"), "clients = 0: at least 1");
        let expected = "topics_per_client = 3: at least 1 and at most `topics`";
        assert_eq!(refusal("topics = 2\ntopics_per_client = 3"), expected);
        assert!(refusal("stalled_share = 1.0").contains("below 1"));
        assert!(refusal("clients = \"many\"").starts_with("x.toml: invalid type"));
        assert!(refusal("clients = 1\nrate = = 2").starts_with("x.toml:2: "));
        assert!(refusal("kind = \"quote\"").contains("unknown variant"));
    }

    #[test]
    fn the_bundled_scenarios_are_valid() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let scenario = Scenario::load(&entry.unwrap().path(), &[]).unwrap();
            assert!(!scenario.description.is_empty(), "{}", scenario.name);
            seen += 1;
        }
        assert!(seen >= 1);
    }
}
