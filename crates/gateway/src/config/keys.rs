//! The keys of the configuration and of its sections, as their types name them.

use super::{Config, LimitsConfig, ListenConfig, LogConfig, PipelineSection, ShardsConfig};
use serde::de::DeserializeOwned;

/// The keys that a table of this type may have, as its type says where one is unknown.
pub(super) fn known<T: DeserializeOwned>() -> Vec<String> {
    let probe = toml::Table::from_iter([("?".to_owned(), toml::Value::Boolean(true))]);
    let Err(error) = T::deserialize(probe) else {
        return Vec::new();
    };
    let keys = quoted(error.message()).skip(1);
    keys.map(str::to_owned).collect()
}

/// The keys that stand above all sections, and the names of sections.
pub(super) fn known_at_top() -> Vec<String> {
    known::<Config>()
}

/// The sections and their keys.
pub(super) fn sections() -> [(&'static str, Vec<String>); 5] {
    [
        ("listen", known::<ListenConfig>()),
        ("shards", known::<ShardsConfig>()),
        ("limits", known::<LimitsConfig>()),
        ("pipeline", known::<PipelineSection>()),
        ("log", known::<LogConfig>()),
    ]
}

/// What stands between backquotes.
pub(super) fn quoted(message: &str) -> impl Iterator<Item = &str> {
    message.split('`').skip(1).step_by(2)
}
