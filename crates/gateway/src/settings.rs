//! The settings in force: what of the configuration is read while the process runs.
//!
//! Shards, the listeners and the pages read values that are swapped as a whole ([`InForce`]), and no part of the
//! process has a copy of its own for longer than a turn, a connection or a request.
//!
//! A new configuration has passed all checks before it comes here. What can change is put into force, and the
//! log names each key that has changed, and each that needs a restart. A configuration that cannot be used
//! changes nothing: it is logged and counted.

use crate::config::{Changes, Config};
use crate::metrics::ReloadMetrics;
use prometheus::Registry;
use std::sync::{Arc, Mutex, PoisonError};
use tapecast_edge::Settings;
use tapecast_edge::io::listener::Rules;
use tapecast_model::InForce;
use tracing::{error, info, warn};

/// What is in force.
#[derive(Debug)]
pub struct SettingsInForce {
    /// For shards and the public listener.
    pub edge: Arc<InForce<Settings>>,
    /// For listeners and pages.
    pub rules: Arc<InForce<Rules>>,
    /// With what needs a restart as it was at the start.
    config: Mutex<Config>,
    metrics: ReloadMetrics,
}

impl SettingsInForce {
    /// Those of the start.
    ///
    /// # Errors
    /// If a metric is registered already.
    pub fn register(config: &Config, registry: &Registry) -> Result<Arc<Self>, prometheus::Error> {
        Ok(Arc::new(Self {
            edge: InForce::new(config.edge()),
            rules: InForce::new(config.listen.rules()),
            config: Mutex::new(config.clone()),
            metrics: ReloadMetrics::register(registry)?,
        }))
    }

    /// Puts into force what can change of a configuration that has passed all checks. Returns what it changes.
    pub fn take(&self, new: &Config) -> Changes {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = config.take(new);
        if !changes.taken.is_empty() {
            self.edge.swap(config.edge());
            self.rules.swap(config.listen.rules());
        }
        self.metrics.succeed();
        changes
    }

    /// Says what has changed.
    pub fn tell(changes: &Changes) {
        match changes.taken.join(", ") {
            none if none.is_empty() => info!("Configuration reloaded: nothing to change"),
            changed => info!(changed, "Configuration reloaded"),
        }
        if !changes.restart.is_empty() {
            let keys = changes.restart.join(", ");
            warn!("The new configuration needs a restart: {keys}");
        }
    }

    /// Notes that a configuration cannot be used. Everything stays as it is.
    pub fn refuse(&self, why: &str) {
        self.metrics.fail();
        error!("Configuration not reloaded, nothing has changed: {why}");
    }
}
