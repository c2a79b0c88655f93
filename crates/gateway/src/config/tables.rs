//! The keys of each kind of `[[source]]` table, as written.

use super::Span;
use super::keys::known;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// A simulated market.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct SimSource {
    /// The venue's name in topics.
    pub venue: String,
    /// How many symbols.
    pub symbols: usize,
    /// The same seed makes the same market.
    pub seed: u64,
    /// Events a second, all symbols together.
    pub events_per_second: u64,
    /// As in `[pipeline]`, for this source.
    pub stale_after: Option<Span>,
    /// The process is not ready without it.
    pub required: bool,
}

/// When a replay starts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// With the process.
    #[default]
    Immediately,
    /// On `POST /replay/start`.
    OnCommand,
}

/// A recording, as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayTable {
    pub(super) venue: Option<String>,
    pub(super) format: String,
    pub(super) path: PathBuf,
    #[serde(default = "as_recorded")]
    pub(super) speed: toml::Value,
    #[serde(default)]
    pub(super) start: Start,
    #[serde(default, rename = "loop")]
    pub(super) looped: bool,
    #[serde(default)]
    pub(super) symbols: BTreeMap<String, String>,
    pub(super) stale_after: Option<Span>,
    #[serde(default = "yes")]
    pub(super) required: bool,
}

/// A desk's own events, as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PushTable {
    pub(super) venue: String,
    #[serde(deserialize_with = "super::address::deserialize")]
    pub(super) listen: SocketAddr,
    #[serde(default = "any")]
    pub(super) symbols: toml::Value,
    #[serde(default = "eight")]
    pub(super) price_scale: i64,
    #[serde(default = "eight")]
    pub(super) qty_scale: i64,
    pub(super) stale_after: Option<Span>,
    #[serde(default = "yes")]
    pub(super) required: bool,
}

/// A connection to a venue, as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LiveTable {
    pub(super) venue: String,
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) symbols: Vec<String>,
    #[serde(default)]
    pub(super) exclude: Vec<String>,
    pub(super) top: Option<usize>,
    pub(super) top_quote: Option<String>,
    #[serde(default = "thousand")]
    pub(super) symbols_max: usize,
    #[serde(default = "all_channels")]
    pub(super) channels: Vec<String>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) proxy: Option<String>,
    pub(super) bind: Option<IpAddr>,
    pub(super) record: Option<PathBuf>,
    #[serde(default)]
    pub(super) rules: toml::Table,
    pub(super) stale_after: Option<Span>,
    #[serde(default)]
    pub(super) required: bool,
}

const fn thousand() -> usize {
    1_000
}

fn all_channels() -> Vec<String> {
    ["trade", "quote", "book", "ticker"]
        .map(str::to_owned)
        .into()
}

const fn yes() -> bool {
    true
}

const fn eight() -> i64 {
    8
}

fn as_recorded() -> toml::Value {
    toml::Value::Integer(1)
}

fn any() -> toml::Value {
    toml::Value::String("*".to_owned())
}

impl Default for SimSource {
    fn default() -> Self {
        let sim = tapecast_ingest::sim::SimConfig::default();
        Self {
            venue: sim.venue,
            symbols: sim.symbols,
            seed: sim.seed,
            events_per_second: sim.events_per_second,
            stale_after: None,
            required: true,
        }
    }
}

/// The kinds of sources and their keys, in the order in which a key that is in a wrong place is looked for.
pub(super) fn kinds() -> [(&'static str, Vec<String>); 4] {
    [
        ("replay", known::<ReplayTable>()),
        ("push", known::<PushTable>()),
        ("live", known::<LiveTable>()),
        ("sim", known::<SimSource>()),
    ]
}
