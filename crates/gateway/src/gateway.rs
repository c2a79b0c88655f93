//! The process: from a configuration to running threads, and back.
//!
//! Order of the start: [`Ready`] (cores, recordings, symbols: what `config check` does too), `state_dir`, bind
//! addresses, start threads, start sources. So every error of the configuration appears before the first client
//! can connect. Order of the end: refuse new handshakes, send `bye` to every client, stop feeds, stop the pipeline.

mod ready;

pub use ready::Ready;

use crate::admin::connections::Connections;
use crate::admin::{Admin, AdminState};
use crate::config::Config;
use crate::cores::{self, CoreError};
use crate::faults::Faults;
use crate::log;
use crate::metrics::ProcessMetrics;
use crate::pages;
use crate::parts::{Parts, Watch, keep};
use crate::settings::SettingsInForce;
use crate::sources::{self, SourceError, Sources, Surroundings};
use crate::state_dir::{self, RENEW_EVERY, Reservation, StateDir, StateDirError};
use crate::threads::PipelineThread;
use crate::threads::postponed::Postponed;
use prometheus::Registry;
use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::Duration;
use tapecast_edge::io::listener::Listener;
use tapecast_edge::io::poller::{Poller, ShardHandle};
use tapecast_edge::{EdgeMetrics, Shard, Shared};
use tapecast_fanout::pace::{Congestion, Pacer};
use tapecast_fanout::ring::{RingTx, ring};
use tapecast_fanout::{FanoutMetrics, Interests, Publisher};
use tapecast_ingest::metrics::{FeedMetrics, PipelineMetrics};
use tapecast_ingest::pipeline::{Pipeline, PipelineConfig};
use tapecast_ingest::sources::SourceChannels;
use tapecast_model::clock::unix_now;
use tapecast_model::{Catalog, Fault, Venue};
use tokio::net::TcpListener;
use tokio::task::JoinHandle as Task;

/// A running gateway.
pub struct Gateway {
    public: SocketAddr,
    admin: SocketAddr,
    listener: Arc<Listener>,
    parts: Parts,
    /// Its lock is held as long as the process lives.
    _reservation: Arc<Reservation>,
    tasks: Vec<Task<()>>,
    sources: Sources,
    shards: Vec<(ShardHandle, JoinHandle<io::Result<()>>)>,
    pipeline: JoinHandle<()>,
    stop_pipeline: crossbeam_channel::Sender<()>,
    settings: Arc<SettingsInForce>,
}

/// Why a gateway cannot start: one line that names the place and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A source is not ready.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another address with {key}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The key and flag it comes from.
        key: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The directory for what must outlive the process cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// A core that is not there to be used.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The system gives no thread, poller or descriptor.
    #[error("the system refused a thread or a poller: {0}; check its limits (ulimit -a)")]
    System(#[from] io::Error),
    /// A metric is there twice.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl StartError {
    /// The key that is wrong, such as `source 2: path` or `listen.public`, if one is.
    pub fn key(&self) -> Option<String> {
        match self {
            Self::Source(error) => Some(error.key()),
            Self::Listen { key, .. } => key.split(' ').next().map(str::to_owned),
            Self::StateDir(_) => Some("state_dir".to_owned()),
            Self::Core(error) => Some(error.key().to_owned()),
            Self::System(_) | Self::Metrics(_) => None,
        }
    }
}

/// The supervision of threads, and faults for tests.
#[derive(Clone, Copy)]
struct Watched<'a> {
    parts: &'a Parts,
    faults: &'a Faults,
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
        Self::start_with(config, &Faults::default()).await
    }

    /// For tests: as [`Gateway::start`], with faults to inject.
    ///
    /// # Errors
    /// As [`Gateway::start`].
    pub async fn start_with(config: &Config, faults: &Faults) -> Result<Self, StartError> {
        let count = config.shard_count();
        let metrics = Metrics::register(count)?;
        let parts = Parts::register(&metrics.registry)?;
        let Ready {
            catalog,
            gate,
            sources,
        } = Ready::new(config, faults)?;
        let reservation = reserve(config, &metrics.registry)?;
        let bound = sources::bind(sources)?;
        let public = bind(config.listen.public, "listen.public or --listen")?;
        let admin_socket = bind(config.listen.admin, "listen.admin or --admin-listen")?;
        let (public_address, admin_address) = (public.local_addr()?, admin_socket.local_addr()?);

        let (interests, requests) = Interests::with_limits(config.limits.topics());
        let settings = SettingsInForce::register(config, &metrics.registry)?;
        let shared = shared(config, &settings, &catalog, interests);
        let watched = Watched {
            parts: &parts,
            faults,
        };
        let (rings, shards) = start_shards(count, config, &shared, &metrics.edge, watched)?;
        let (stop_pipeline, stopped) = crossbeam_channel::bounded::<()>(0);
        let (channels, opener) = SourceChannels::new();
        let thread = PipelineThread {
            market: Pipeline::new(
                Arc::clone(&catalog),
                pipeline_config(config, &reservation),
                metrics.pipeline.clone(),
            ),
            publisher: Publisher::new(rings.clone(), metrics.fanout.clone()),
            sources: channels,
            requests,
            stop: stopped,
            metrics: metrics.fanout.clone(),
            postponed: Postponed::default(),
            gave_way: Duration::ZERO,
            fault: faults.of("pipeline"),
        };
        let pipeline = start_pipeline(thread, config, &parts)?;
        let pacer = Pacer::new(rings, shared.congestion.clone());
        let around = Surroundings {
            opener: &opener,
            waiting_max: config.pipeline.events,
            metrics: &metrics.feed,
            pacer: &pacer,
            parts: &parts,
        };
        let sources = Sources::start(bound, &around, gate)?;

        let listener = Listener::new(
            handles(&shards),
            (&settings.edge, &settings.rules),
            (metrics.edge.listener(), metrics.edge.http("public")),
            pages::pages(&catalog, &settings.rules, faults),
        );
        let admin = admin(metrics, &parts, &settings, &shards, &sources)?;
        let acceptors = (&listener, public, admin, admin_socket);
        let tasks = start_tasks(watched, acceptors, &reservation)?;
        parts.set_started().await;
        Ok(Self {
            public: public_address,
            admin: admin_address,
            listener,
            parts,
            _reservation: reservation,
            tasks,
            sources,
            shards,
            pipeline,
            stop_pipeline,
            settings,
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
        HANDSHAKES_END + self.close_patience() + 2 * SPARE
    }

    /// What of the configuration is in force, to change it.
    pub fn settings(&self) -> &Arc<SettingsInForce> {
        &self.settings
    }

    /// How long shards may take to close all connections.
    fn close_patience(&self) -> Duration {
        self.settings.edge.get().limits.close_timeout + SPARE
    }

    /// Sends every client a `bye`, then stops everything.
    pub async fn stop(self) {
        let patience = self.close_patience();
        self.parts.end();
        self.listener.drain();
        let _ = tokio::time::timeout(HANDSHAKES_END, self.listener.settled()).await;
        for (handle, _) in &self.shards {
            handle.drain(patience);
        }
        let threads: Vec<_> = self.shards.into_iter().map(|(_, thread)| thread).collect();
        let ended = tokio::task::spawn_blocking(move || {
            for thread in threads {
                match thread.join() {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::error!(%error, "A shard ended with an error"),
                    Err(_) => tracing::error!("A shard panicked"),
                }
            }
        });
        // The threads end by themselves within their patience.
        let _ = tokio::time::timeout(patience + SPARE, ended).await;
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
        registry.register(Box::new(log::LOST.clone()))?;
        registry.register(Box::new(log::PANICS.clone()))?;
        Ok(Self {
            fanout: FanoutMetrics::register(&registry, shards)?,
            edge: EdgeMetrics::register(&registry)?,
            feed: FeedMetrics::register(&registry)?,
            pipeline: PipelineMetrics::register(&registry)?,
            registry,
        })
    }
}

/// What all shards have.
fn shared(
    config: &Config,
    settings: &SettingsInForce,
    catalog: &Arc<Catalog>,
    interests: Interests,
) -> Arc<Shared> {
    Arc::new(Shared {
        catalog: Arc::clone(catalog),
        interests: Arc::new(interests),
        congestion: Congestion::new(config.shard_count()),
        settings: Arc::clone(&settings.edge),
        node: config.node.clone(),
        connection_ids: AtomicU64::new(unix_now().get() >> 20 & 0xffff_ffff),
    })
}

type Shards = Vec<(ShardHandle, JoinHandle<io::Result<()>>)>;

fn handles(shards: &Shards) -> Vec<ShardHandle> {
    shards.iter().map(|(handle, _)| handle.clone()).collect()
}

fn start_shards(
    count: usize,
    config: &Config,
    shared: &Arc<Shared>,
    metrics: &EdgeMetrics,
    watched: Watched<'_>,
) -> Result<(Vec<RingTx>, Shards), StartError> {
    let (mut rings, mut shards) = (Vec::new(), Vec::new());
    for number in 0..count {
        let (poller, doorbell) = Poller::new()?;
        let (tx, rx) = ring(config.shards.ring_items, doorbell);
        let shard = Shard::new(number, Arc::clone(shared), rx, metrics.shard(number));
        let (handle, mailbox) = poller.mailbox(&shard);
        let (name, core) = (format!("shard-{number}"), config.shards.core(number));
        let poller = poller.with_io_uring(config.shards.io_uring);
        let poller = poller.with_fault(watched.faults.of(&name));
        let watch = watched.parts.watch(&name);
        let thread = spawn(watch, core, move || poller.run(shard, &mailbox))?;
        rings.push(tx);
        shards.push((handle, thread));
    }
    Ok((rings, shards))
}

fn pipeline_config(config: &Config, reservation: &Reservation) -> PipelineConfig {
    let mut pipeline = PipelineConfig::new(unix_now());
    pipeline.epochs = Arc::clone(reservation.epochs());
    for source in &config.sources {
        if let Ok(venue) = Venue::new(source.venue()) {
            let silence = source.silence(config.pipeline.stale_after);
            pipeline.silence_by_venue.insert(venue, silence);
        }
    }
    pipeline
}

fn bind(address: SocketAddr, key: &'static str) -> Result<TcpListener, StartError> {
    tapecast_listen::listen(address).map_err(|source| StartError::Listen {
        address,
        key,
        source,
    })
}

/// The admin listener, with all that it shows.
fn admin(
    metrics: Metrics,
    parts: &Parts,
    settings: &SettingsInForce,
    shards: &Shards,
    sources: &Sources,
) -> Result<Arc<Admin>, StartError> {
    let process = ProcessMetrics::register(&metrics.registry)?;
    let http = metrics.edge.http("admin");
    let seen = (Connections::new(handles(shards)), sources.reporter());
    let (registry, start) = (metrics.registry, sources.starter());
    let state = AdminState::new(registry, process, parts.clone(), seen, start);
    Ok(Admin::new(
        Arc::new(state),
        Arc::clone(&settings.rules),
        http,
    ))
}

/// Starts a thread that cannot be restarted; its end is reported to [`Parts`].
fn spawn<T: Send + 'static>(
    watch: Watch,
    core: Option<usize>,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    std::thread::Builder::new()
        .name(watch.name().to_owned())
        .spawn(move || {
            let _watch = watch;
            if let Some(core) = core {
                cores::pin(core);
            }
            body()
        })
}

/// Opens the directory for what must outlive the process, and reserves epochs for this life.
fn reserve(config: &Config, registry: &Registry) -> Result<Arc<Reservation>, StartError> {
    let failures = state_dir::register(registry)?;
    let dir = config.state_dir.as_deref();
    let dir = dir.map(|path| StateDir::open(path, failures));
    Ok(Arc::new(Reservation::open(dir.transpose()?)?))
}

/// Starts what runs on the control runtime for ever.
fn start_tasks(
    Watched { parts, faults }: Watched<'_>,
    (listener, public, admin, admin_socket): (&Arc<Listener>, TcpListener, Arc<Admin>, TcpListener),
    reservation: &Arc<Reservation>,
) -> io::Result<Vec<Task<()>>> {
    let (listener, reservation) = (Arc::clone(listener), Arc::clone(reservation));
    let accept_public = move |socket| Arc::clone(&listener).run(socket);
    let accept_admin = move |socket| Arc::clone(&admin).run(socket);
    let renewal = parts.enter("state_dir".to_owned(), "state_dir", false);
    let fault = faults.of("state_dir");
    let start_renewal = move || Ok(renew(Arc::clone(&reservation), fault.clone()));
    Ok(vec![
        acceptor(parts, "public_acceptor", public, faults, accept_public)?,
        acceptor(parts, "admin_acceptor", admin_socket, faults, accept_admin)?,
        tokio::spawn(keep(parts.watch_over(&renewal), start_renewal)),
    ])
}

fn start_pipeline(
    thread: PipelineThread<Pipeline>,
    config: &Config,
    parts: &Parts,
) -> Result<JoinHandle<()>, StartError> {
    let watch = parts.watch("pipeline");
    Ok(spawn(watch, config.pipeline.core, move || thread.run())?)
}

/// Accepts connections for ever, on one socket: those that knock while the task starts again wait in
/// the kernel's queue.
fn acceptor<F: Future<Output = ()> + Send + 'static>(
    parts: &Parts,
    name: &'static str,
    socket: TcpListener,
    faults: &Faults,
    run: impl Fn(TcpListener) -> F + Send + 'static,
) -> io::Result<Task<()>> {
    let (part, fault) = (parts.enter(name.to_owned(), name, true), faults.of(name));
    let socket = socket.into_std()?;
    let start = move || {
        let task = run(TcpListener::from_std(socket.try_clone()?)?);
        Ok(or_fault(task, fault.clone()))
    };
    Ok(tokio::spawn(keep(parts.watch_over(&part), start)))
}

/// Renews the reservation of epochs for ever. Tests that may arm `fault` need not wait for it.
async fn renew(reservation: Arc<Reservation>, fault: Fault) {
    let every = match fault.is_armable() {
        true => Duration::from_millis(1),
        false => RENEW_EVERY,
    };
    loop {
        tokio::time::sleep(every).await;
        let (reservation, fault) = (Arc::clone(&reservation), fault.clone());
        // The disk may be slow: the runtime does not wait for it.
        let renewed = tokio::task::spawn_blocking(move || {
            fault.look();
            reservation.renew();
        });
        if let Err(error) = renewed.await {
            // A panic is ours, so that whoever watches learns what it said.
            return error
                .try_into_panic()
                .map_or((), |panic| resume_unwind(panic));
        }
    }
}

/// The task, and for tests a panic in it.
async fn or_fault(task: impl Future<Output = ()>, fault: Fault) {
    if !fault.is_armable() {
        return task.await;
    }
    let look = async {
        loop {
            fault.look();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = task => {}
        () = look => {}
    }
}

/// How long handshakes that are under way may take when the process ends.
const HANDSHAKES_END: Duration = Duration::from_millis(500);
/// How long threads may take beyond what they were told.
const SPARE: Duration = Duration::from_secs(1);
