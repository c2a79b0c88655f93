//! The shards: each is a thread of its own, with its poller and its ring.
//!
//! [`Shards::start`] makes what they share (the topics that have subscribers, and how full their clients are)
//! and starts the threads. Whoever drops [`Shards`] ends the threads, and waits for them.

use crate::config::ShardsConfig;
use crate::parts::Parts;
use crate::start_error::StartError;
use prometheus::Registry;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::Duration;
use tapecast_edge::io::poller::{Poller, ShardHandle};
use tapecast_edge::{EdgeMetrics, Settings, Shard, Shared};
use tapecast_fanout::pace::{Congestion, Pacer};
use tapecast_fanout::ring::{RingTx, ring};
use tapecast_fanout::{Interests, Requests, TopicLimits};
use tapecast_model::clock::unix_now;
use tapecast_model::{Catalog, InForce};

/// Shards that run.
#[derive(Debug, Default)]
pub struct Shards {
    handles: Vec<ShardHandle>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

/// What shards have of the process.
pub struct Around<'a> {
    /// How many topics there may be.
    pub topics: TopicLimits,
    /// This process's name in `welcome`.
    pub node: &'a str,
    /// What exists.
    pub catalog: &'a Arc<Catalog>,
    /// What a connection may have.
    pub settings: &'a Arc<InForce<Settings>>,
    /// Where the state of each is kept.
    pub parts: &'a Parts,
}

/// Shards that run, and what others need of them.
pub struct Started {
    /// The shards.
    pub shards: Shards,
    /// Where the publisher puts frames, by shard.
    pub rings: Vec<RingTx>,
    /// Topics that the pipeline is to begin, to send again, or to end.
    pub requests: Requests,
    /// What lossless sources wait for.
    pub pacer: Pacer,
    /// Of shards and listeners, which are registered together.
    pub metrics: EdgeMetrics,
}

impl Shards {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system gives no thread or poller.
    pub fn start(
        config: &ShardsConfig,
        around: Around<'_>,
        registry: &Registry,
    ) -> Result<Started, StartError> {
        let metrics = EdgeMetrics::register(registry)?;
        let (interests, requests) = Interests::with_limits(around.topics);
        let congestion = Congestion::new(config.threads());
        let shared = Arc::new(Shared {
            catalog: Arc::clone(around.catalog),
            interests: Arc::new(interests),
            congestion: congestion.clone(),
            settings: Arc::clone(around.settings),
            node: around.node.to_owned(),
            connection_ids: AtomicU64::new(unix_now().get() >> 20 & 0xffff_ffff),
        });
        let (mut shards, mut rings) = (Self::default(), Vec::new());
        for number in 0..config.threads() {
            let (poller, doorbell) = Poller::new()?;
            let (tx, rx) = ring(config.ring_items, doorbell);
            let shard = Shard::new(number, Arc::clone(&shared), rx, metrics.shard(number));
            let (handle, mailbox) = poller.mailbox(&shard);
            let name = format!("shard-{number}");
            let poller = poller.with_io_uring(config.io_uring);
            let poller = poller.with_fault(around.parts.fault_of(&name));
            let watch = around.parts.watch(&name);
            let thread = watch.spawn(config.core(number), move || poller.run(shard, &mailbox))?;
            rings.push(tx);
            shards.handles.push(handle);
            shards.threads.push(thread);
        }
        Ok(Started {
            pacer: Pacer::new(rings.clone(), congestion),
            shards,
            rings,
            requests,
            metrics,
        })
    }

    /// What gives them connections, and asks for those that they have.
    pub fn handles(&self) -> Vec<ShardHandle> {
        self.handles.clone()
    }

    /// How long [`Shards::stop`] takes at most.
    pub fn patience(close_timeout: Duration) -> Duration {
        close_timeout + 2 * SPARE
    }

    /// Sends every client a `bye`, closes all connections within `close_timeout`, and ends the threads.
    pub async fn stop(mut self, close_timeout: Duration) {
        for handle in &self.handles {
            handle.drain(close_timeout + SPARE);
        }
        let threads = std::mem::take(&mut self.threads);
        let ended = tokio::task::spawn_blocking(move || threads.into_iter().for_each(join));
        // The threads end by themselves within their patience.
        let _ = tokio::time::timeout(Self::patience(close_timeout), ended).await;
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        if self.threads.is_empty() {
            return;
        }
        for handle in &self.handles {
            handle.drain(Duration::ZERO);
        }
        self.threads.drain(..).for_each(join);
    }
}

fn join(thread: JoinHandle<io::Result<()>>) {
    match thread.join() {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "A shard ended with an error"),
        Err(_) => tracing::error!("A shard panicked"),
    }
}

/// How long threads may take beyond what they were told.
pub const SPARE: Duration = Duration::from_secs(1);
