//! The settings in force: what of the configuration is read while the process runs.
//!
//! Shards, the listeners and the pages read values that are swapped as a whole ([`InForce`]), and no part of the
//! process has a copy of its own for longer than a turn, a connection or a request.

use crate::config::Config;
use std::sync::Arc;
use tapecast_edge::Settings;
use tapecast_edge::io::listener::Rules;
use tapecast_model::InForce;

/// What is in force.
#[derive(Debug)]
pub struct SettingsInForce {
    /// For shards and the public listener.
    pub edge: Arc<InForce<Settings>>,
    /// For listeners and pages.
    pub rules: Arc<InForce<Rules>>,
}

impl SettingsInForce {
    /// Those of the start.
    pub fn new(config: &Config) -> Self {
        Self {
            edge: InForce::new(config.edge()),
            rules: InForce::new(config.listen.rules()),
        }
    }
}
