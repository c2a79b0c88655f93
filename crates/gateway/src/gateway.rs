//! The process: from a configuration to running threads, and back.
//!
//! Order of start: sources are prepared (recordings scanned, addresses bound), then listeners bound,
//! then threads started, then sources. Whatever is wrong is wrong before the first client can
//! connect. Order of end: new handshakes are refused, every client is told goodbye, feeds stop, the
//! pipeline stops.

use crate::admin::{Admin, AdminState};
use crate::config::Config;
use crate::cores::{self, CoreError};
use crate::metrics::ProcessMetrics;
use crate::pages;
use crate::sources::{self, SourceError};
use crate::threads::PipelineThread;
use prometheus::Registry;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::Duration;
use tapecast_edge::io::handshake::Origins;
use tapecast_edge::io::listener::Listener;
use tapecast_edge::io::poller::{Poller, ShardHandle};
use tapecast_edge::{EdgeMetrics, Shard, Shared};
use tapecast_fanout::pace::{Congestion, Pacer};
use tapecast_fanout::ring::{RingTx, ring};
use tapecast_fanout::{FanoutMetrics, Interests, Publisher};
use tapecast_ingest::event::Lot;
use tapecast_ingest::metrics::{FeedMetrics, PipelineMetrics};
use tapecast_ingest::pipeline::{Pipeline, PipelineConfig};
use tapecast_model::clock::unix_now;
use tapecast_model::{Catalog, Epoch, Venue};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle as Task;

/// A running gateway.
pub struct Gateway {
    public: SocketAddr,
    admin: SocketAddr,
    listener: Arc<Listener>,
    state: Arc<AdminState>,
    tasks: Vec<Task<()>>,
    sources: sources::Running,
    shards: Vec<(ShardHandle, JoinHandle<io::Result<()>>)>,
    pipeline: JoinHandle<()>,
    stop_pipeline: crossbeam_channel::Sender<()>,
    patience: Duration,
}

/// Why a gateway cannot start: one line that names the place and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A source is not ready.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another with {key}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The key and flag it comes from.
        key: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A core that is not there to be used.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The system gives no thread, poller or descriptor.
    #[error("the system refuses a thread or poller: {0}")]
    System(#[from] io::Error),
    /// A metric is there twice.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

struct Metrics {
    registry: Registry,
    fanout: FanoutMetrics,
    edge: EdgeMetrics,
    feed: FeedMetrics,
    pipeline: PipelineMetrics,
}

impl Gateway {
    /// Starts everything a configuration asks for. Must be called within a tokio runtime, which runs
    /// the control side: listeners, handshakes, push sources, the admin listener.
    ///
    /// # Errors
    /// If anything in the configuration cannot be had.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let count = config.shard_count();
        let metrics = Metrics::register(count)?;
        let catalog = Arc::new(Catalog::new(config.limits.instruments_max));
        let prepared = sources::prepare(&config.sources, &catalog).await?;
        let public = bind(config.listen.public, "listen.public or --listen")?;
        let admin = bind(config.listen.admin, "listen.admin or --admin-listen")?;
        let (public_address, admin_address) = (public.local_addr()?, admin.local_addr()?);

        let (interests, requests) = Interests::with_limits(config.limits.topics());
        let shared = Arc::new(Shared {
            catalog: Arc::clone(&catalog),
            interests: Arc::new(interests),
            congestion: Congestion::new(count),
            limits: config.limits.edge(),
            node: config.node.clone(),
            connection_ids: AtomicU64::new(unix_now().get() >> 20 & 0xffff_ffff),
        });
        let (rings, shards) = start_shards(count, config, &shared, &metrics.edge)?;
        let (stop_pipeline, stopped) = crossbeam_channel::bounded::<()>(0);
        let (events_tx, events) = crossbeam_channel::bounded(config.pipeline.events);
        let thread = PipelineThread {
            pipeline: Pipeline::new(
                Arc::clone(&catalog),
                pipeline_config(config),
                metrics.pipeline.clone(),
            ),
            publisher: Publisher::new(rings.clone(), metrics.fanout.clone()),
            events,
            lot: Lot::new().into_iter(),
            requests,
            stop: stopped,
            metrics: metrics.fanout.clone(),
            gave_way: Duration::ZERO,
        };
        if let Some(core) = config.pipeline.core {
            cores::check("pipeline.core", core)?;
        }
        let pipeline = spawn("pipeline", config.pipeline.core, move || thread.run())?;
        let pacer = Pacer::new(rings, shared.congestion.clone());
        let sources = sources::Running::start(prepared, &events_tx, &pacer, &metrics.feed)?;

        let listener = Listener::new(
            shards.iter().map(|(handle, _)| handle.clone()).collect(),
            config.limits.edge(),
            Origins(config.listen.allowed_origins.clone()),
            metrics.edge.listener(),
            pages::pages(Arc::clone(&catalog)),
        );
        let process = ProcessMetrics::register(&metrics.registry)?;
        let state = Arc::new(AdminState::new(metrics.registry, process, sources.gate()));
        let tasks = vec![
            tokio::spawn(Arc::clone(&listener).run(public)),
            tokio::spawn(Admin::new(Arc::clone(&state)).run(admin)),
        ];
        state.set_ready(true);
        Ok(Self {
            public: public_address,
            admin: admin_address,
            listener,
            state,
            tasks,
            sources,
            shards,
            pipeline,
            stop_pipeline,
            patience: config.limits.close_timeout.0 + Duration::from_secs(1),
        })
    }

    /// Where clients connect.
    pub fn public_address(&self) -> SocketAddr {
        self.public
    }

    /// Where metrics and probes are.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Whether a thread that should run for ever has ended: then the process should end too.
    pub fn has_failed(&self) -> bool {
        self.pipeline.is_finished() || self.shards.iter().any(|(_, thread)| thread.is_finished())
    }

    /// Ends: tells every client goodbye, then stops everything.
    pub async fn stop(self) {
        self.state.set_ready(false);
        self.listener.drain();
        // Pages that are kept open look like handshakes: not for long.
        let _ = tokio::time::timeout(HANDSHAKES_END, self.listener.settled()).await;
        for (handle, _) in &self.shards {
            handle.drain(self.patience);
        }
        let threads: Vec<_> = self.shards.into_iter().map(|(_, thread)| thread).collect();
        let ended = tokio::task::spawn_blocking(move || {
            for thread in threads {
                match thread.join() {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::error!(%error, "A shard ended in an error"),
                    Err(_) => tracing::error!("A shard ended in a panic"),
                }
            }
        });
        // The threads end by themselves within their patience.
        let _ = tokio::time::timeout(self.patience + Duration::from_secs(1), ended).await;
        self.sources.stop().await;
        drop(self.stop_pipeline);
        let pipeline = self.pipeline;
        let _ = tokio::task::spawn_blocking(move || pipeline.join()).await;
        for task in self.tasks {
            task.abort();
        }
    }
}

impl Metrics {
    fn register(shards: usize) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        Ok(Self {
            fanout: FanoutMetrics::register(&registry, shards)?,
            edge: EdgeMetrics::register(&registry)?,
            feed: FeedMetrics::register(&registry)?,
            pipeline: PipelineMetrics::register(&registry)?,
            registry,
        })
    }
}

type Shards = Vec<(ShardHandle, JoinHandle<io::Result<()>>)>;

fn start_shards(
    count: usize,
    config: &Config,
    shared: &Arc<Shared>,
    metrics: &EdgeMetrics,
) -> Result<(Vec<RingTx>, Shards), StartError> {
    for &core in &config.shards.cores {
        cores::check("shards.cores", core)?;
    }
    let (mut rings, mut shards) = (Vec::new(), Vec::new());
    for number in 0..count {
        let (poller, doorbell) = Poller::new(config.shards.settings())?;
        let (tx, rx) = ring(config.shards.ring_items, doorbell);
        let shard = Shard::new(number, Arc::clone(shared), rx, metrics.shard(number));
        let (handle, mailbox) = poller.mailbox(&shard);
        let core = config.shards.core(number);
        let thread = spawn(&format!("shard-{number}"), core, move || {
            poller.run(shard, &mailbox)
        })?;
        rings.push(tx);
        shards.push((handle, thread));
    }
    Ok((rings, shards))
}

fn pipeline_config(config: &Config) -> PipelineConfig {
    let mut pipeline = PipelineConfig::new(Epoch::new(unix_now().get() / 1_000_000));
    pipeline.stale_after = config.pipeline.stale_after.0;
    for source in &config.sources {
        if let (Ok(venue), Some(span)) = (Venue::new(source.venue()), source.stale_after()) {
            pipeline.stale_after_by_venue.insert(venue, span.0);
        }
    }
    pipeline
}

fn bind(address: SocketAddr, key: &'static str) -> Result<TcpListener, StartError> {
    listen(address).map_err(|source| StartError::Listen {
        address,
        key,
        source,
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // As std does: a restart must not wait for the connections of the last life.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn spawn<T: Send + 'static>(
    name: &str,
    core: Option<usize>,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            if let Some(core) = core {
                cores::pin(core);
            }
            body()
        })
}

/// How long handshakes that are under way may take when the process ends.
const HANDSHAKES_END: Duration = Duration::from_millis(500);
/// Connections that the kernel completes before they are accepted. With the usual 128, a storm of clients
/// overflows it, and those who are dropped try again after a second. The system may allow less
/// (`net.core.somaxconn`).
const BACKLOG: u32 = 4_096;
