//! The pipeline as the process sees it: start its thread, and end it.

use super::PipelineThread;
use super::postponed::Postponed;
use crate::config::PipelineSection;
use crate::parts::Parts;
use crate::start_error::StartError;
use hashbrown::HashMap;
use prometheus::Registry;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tapecast_fanout::ring::RingTx;
use tapecast_fanout::{FanoutMetrics, Publisher, Requests};
use tapecast_ingest::metrics::PipelineMetrics;
use tapecast_ingest::pipeline::{Pipeline, PipelineConfig, SilenceLimit};
use tapecast_ingest::reseed::ReseedRequests;
use tapecast_ingest::sources::{SourceChannels, SourceOpener};
use tapecast_model::clock::unix_now;
use tapecast_model::{Catalog, EpochSource, Venue};

/// The pipeline's thread. Whoever drops it ends the thread, and waits for it.
#[derive(Debug)]
pub struct PipelineHandle {
    /// Dropped when it is time to end.
    stop: Option<crossbeam_channel::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the pipeline has of the process.
pub struct Around<'a> {
    /// What exists.
    pub catalog: &'a Arc<Catalog>,
    /// Where epochs come from.
    pub epochs: &'a Arc<EpochSource>,
    /// How long the channels of each venue may be silent.
    pub silence_by_venue: HashMap<Venue, SilenceLimit>,
    /// Where the publisher puts frames, by shard.
    pub rings: Vec<RingTx>,
    /// Where venues are asked for snapshots.
    pub reseed: ReseedRequests,
    /// Topics that shards ask for.
    pub requests: Requests,
    /// Where its state is kept.
    pub parts: &'a Parts,
}

/// A pipeline that runs, and what sources need of it.
pub struct Started {
    /// Its thread.
    pub pipeline: PipelineHandle,
    /// Where each source gets a channel for its events.
    pub opener: SourceOpener,
}

impl PipelineHandle {
    /// Starts the thread, with the market's state and the publisher.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        config: &PipelineSection,
        around: Around<'_>,
        registry: &Registry,
    ) -> Result<Started, StartError> {
        let metrics = FanoutMetrics::register(registry, around.rings.len())?;
        let mut market = PipelineConfig::new(unix_now());
        market.epochs = Arc::clone(around.epochs);
        market.silence_by_venue = around.silence_by_venue;
        market.reseed = around.reseed;
        let of_market = PipelineMetrics::register(registry)?;
        let (stop, stopped) = crossbeam_channel::bounded::<()>(0);
        let (sources, opener) = SourceChannels::new();
        let thread = PipelineThread {
            market: Pipeline::new(Arc::clone(around.catalog), market, of_market),
            publisher: Publisher::new(around.rings, metrics.clone()),
            sources,
            requests: around.requests,
            stop: stopped,
            metrics,
            postponed: Postponed::default(),
            gave_way: Duration::ZERO,
            fault: around.parts.fault_of("pipeline"),
        };
        let watch = around.parts.watch("pipeline");
        let thread = watch.spawn(config.core, move || thread.run())?;
        let pipeline = Self {
            stop: Some(stop),
            thread: Some(thread),
        };
        Ok(Started { pipeline, opener })
    }

    /// Ends the thread.
    pub async fn stop(self) {
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for PipelineHandle {
    fn drop(&mut self) {
        self.stop = None;
        // A panic was reported when it happened: see `Parts::watch`.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
