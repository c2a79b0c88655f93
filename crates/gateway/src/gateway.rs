//! The process: from a configuration to running threads, and back.
//!
//! Each room builds itself from its own part of the configuration, registers its own metrics, and gives others
//! what they need of it. [`Gateway::start`] only connects them, in two rounds. In the first, everything is taken
//! that can be refused, in the order of the data path: [`Ready`] (cores, recordings, symbols: what `config check`
//! does too), `state_dir`, the addresses. So every error of the configuration appears before the first client
//! can connect. In the second round threads start, against the data path: whoever sends finds a receiver.
//!
//! A room ends when it is dropped. So a start that fails half-way ends what has started, in reverse order. Order
//! of the end of a gateway that runs: refuse new handshakes, send `bye` to every client, stop feeds, stop the
//! pipeline.

mod ready;

pub use ready::Ready;

use crate::admin::connections::Connections;
use crate::admin::{self, Admin};
use crate::config::Config;
use crate::faults::Faults;
use crate::listeners::{HANDSHAKES_END, Listeners, Sockets};
use crate::parts::Parts;
use crate::settings::SettingsInForce;
use crate::shards::{self, SPARE, Shards};
use crate::sources::{self, Sources};
use crate::start_error::StartError;
use crate::state_dir::Reservation;
use crate::threads::{self, PipelineHandle};
use crate::{log, pages};
use prometheus::Registry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tapecast_edge::io::listener::Listener;
use tapecast_model::clock::mono_now;
use tokio::task::JoinSet;

/// How long clients wait for venues to say which instruments there are.
const DEFINED_WITHIN: Duration = Duration::from_secs(10);

/// How long the end waits for what is kept of venues.
const KEPT_WITHIN: Duration = Duration::from_secs(1);

/// A running gateway.
pub struct Gateway {
    listeners: Listeners,
    renewal: JoinSet<()>,
    sources: Sources,
    pipeline: PipelineHandle,
    shards: Shards,
    /// Its lock is held as long as the process lives.
    reservation: Arc<Reservation>,
    settings: Arc<SettingsInForce>,
    parts: Parts,
}

impl Gateway {
    /// Starts everything a configuration asks for. Must be called within a tokio runtime, which runs
    /// the control side: listeners, handshakes, push sources, the admin listener.
    ///
    /// # Errors
    /// If anything in the configuration cannot be had. Then nothing is left running.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        Self::start_with(config, &Faults::default()).await
    }

    /// For tests: as [`Gateway::start`], with faults to inject.
    ///
    /// # Errors
    /// As [`Gateway::start`].
    pub async fn start_with(config: &Config, faults: &Faults) -> Result<Self, StartError> {
        let registry = Registry::new();
        log::register(&registry)?;
        let parts = Parts::register(&registry, faults)?;

        // What can be refused, along the data path.
        let Ready { sources } = Ready::new(config, faults)?;
        let catalog = Arc::clone(sources.catalog());
        let reseed = sources.reseed().clone();
        let reservation = Reservation::start(config.state_dir.as_deref(), &registry)?;
        let sources = sources.bind()?;
        let sockets = Sockets::bind(&config.listen)?;
        let settings = SettingsInForce::register(config, &registry)?;

        // What runs, against the data path.
        let around = shards::Around {
            topics: config.limits.topics(),
            node: &config.node,
            catalog: &catalog,
            settings: &settings.edge,
            parts: &parts,
        };
        let edge = Shards::start(&config.shards, around, &registry)?;
        let around = threads::Around {
            catalog: &catalog,
            epochs: reservation.epochs(),
            silence_by_venue: sources::silence_by_venue(
                &config.sources,
                config.pipeline.stale_after,
            ),
            rings: edge.rings,
            reseed,
            requests: edge.requests,
            parts: &parts,
        };
        let market = PipelineHandle::start(&config.pipeline, around, &registry)?;
        let around = sources::Around {
            opener: market.opener,
            waiting_max: config.pipeline.events,
            pacer: edge.pacer,
            parts: &parts,
            venues: reservation.venues(),
        };
        let sources = Sources::start(sources, &around, &registry)?;
        let renewal = reservation.keep_renewed(&parts);
        sources.until_defined(DEFINED_WITHIN).await;

        // Who asks, and is answered.
        let public = Listener::new(
            edge.shards.handles(),
            (&settings.edge, &settings.rules),
            (edge.metrics.listener(), edge.metrics.http("public")),
            pages::pages(&catalog, &settings.rules, faults),
        );
        let around = admin::Around {
            parts: parts.clone(),
            connections: Connections::new(edge.shards.handles()),
            sources: Box::new(sources.reporter()),
            start: Box::new(sources.starter()),
        };
        let admin = Admin::new(
            around,
            &settings.rules,
            edge.metrics.http("admin"),
            &registry,
        )?;
        let listeners = Listeners::start(sockets, public, admin, &parts)?;
        parts.set_started().await;
        Ok(Self {
            listeners,
            renewal,
            sources,
            pipeline: market.pipeline,
            shards: edge.shards,
            reservation,
            settings,
            parts,
        })
    }

    /// Where clients connect.
    pub fn public_address(&self) -> SocketAddr {
        self.listeners.public_address()
    }

    /// Where metrics and probes are.
    pub fn admin_address(&self) -> SocketAddr {
        self.listeners.admin_address()
    }

    /// Waits until something has died that cannot be started again, and says what: then the process
    /// should end too.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn failed(&self) -> String {
        self.parts.failed().await
    }

    /// How long [`Gateway::stop`] takes at most, unless a thread is stuck.
    pub fn patience(&self) -> Duration {
        HANDSHAKES_END + Shards::patience(self.close_timeout()) + KEPT_WITHIN + SPARE
    }

    /// What of the configuration is in force, to change it.
    pub fn settings(&self) -> &Arc<SettingsInForce> {
        &self.settings
    }

    fn close_timeout(&self) -> Duration {
        self.settings.edge.get().limits.close_timeout
    }

    /// Sends every client a `bye`, then stops everything.
    pub async fn stop(self) {
        let close_timeout = self.close_timeout();
        self.parts.end();
        self.listeners.drain().await;
        self.shards.stop(close_timeout).await;
        self.sources.stop().await;
        self.pipeline.stop().await;
        let venues = Arc::clone(self.reservation.venues());
        let kept = tokio::task::spawn_blocking(move || venues.write_all(mono_now()));
        // A disk that hangs does not hold up the end.
        let _ = tokio::time::timeout(KEPT_WITHIN, kept).await;
        // Probes were answered until now.
        drop((self.renewal, self.listeners));
    }
}
