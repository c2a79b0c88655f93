//! The sources of data: each on its own thread, behind a [`SourceHandle`].
//!
//! Everything that can fail at the start fails in [`prepare`], before a listener opens: it scans
//! recordings, binds push addresses and reserves symbols. A source that fails later restarts: see
//! [`handle`]. A kind of source is a [`Feed`]; each kind has its own file.

mod handle;
mod push;
mod replay;
mod report;
mod sim;
mod stop;

pub use handle::{Feed, Finish, Run, SourceHandle};
pub use stop::Stop;

use crate::config::Source;
use crate::faults::Faults;
use crate::parts::Parts;
use std::io;
use std::sync::Arc;
use tapecast_fanout::pace::Pacer;
use tapecast_ingest::feed::{EventTx, StartGate};
use tapecast_ingest::metrics::FeedMetrics;
use tapecast_ingest::push::PushError;
use tapecast_ingest::replay::ReplayError;
use tapecast_ingest::sim::SimError;
use tapecast_model::Catalog;

/// A source that can start, and whether the process is ready without it.
pub struct Prepared {
    feed: Box<dyn Feed>,
    required: bool,
}

/// Why a source cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A simulated market.
    #[error("source {0} (sim): {1}")]
    Sim(usize, SimError),
    /// A recording.
    #[error("source {0} (replay): {1}")]
    Replay(usize, Box<ReplayError>),
    /// A desk's own events.
    #[error("source {0} (push): {1}")]
    Push(usize, PushError),
}

/// Sources that run.
#[derive(Debug)]
pub struct Sources {
    handles: Vec<SourceHandle>,
    gate: Arc<StartGate>,
}

/// What sources share.
pub struct Surroundings<'a> {
    /// Where events go.
    pub events: &'a EventTx,
    /// Where counters are.
    pub metrics: &'a FeedMetrics,
    /// What lossless ones wait for.
    pub pacer: &'a Pacer,
    /// Where the state of each is kept.
    pub parts: &'a Parts,
}

/// Makes every source ready to start.
///
/// # Errors
/// If a recording cannot be read, an address is in use, or a symbol comes from two sources.
pub async fn prepare(
    sources: &[Source],
    catalog: &Arc<Catalog>,
    gate: &Arc<StartGate>,
    faults: &Faults,
) -> Result<Vec<Prepared>, SourceError> {
    let mut prepared = Vec::with_capacity(sources.len());
    for (index, source) in sources.iter().enumerate() {
        let number = index + 1;
        let required = source.is_required();
        let feed: Box<dyn Feed> = match source.clone() {
            Source::Sim(source) => {
                let made = sim::SimFeed::new(source, catalog, faults);
                Box::new(made.map_err(|e| SourceError::Sim(number, e))?)
            }
            Source::Replay(source) => {
                let made = replay::ReplayFeed::new(source, catalog, gate, faults);
                Box::new(made.map_err(|e| SourceError::Replay(number, Box::new(e)))?)
            }
            Source::Push(source) => {
                let made = push::PushFeed::new(source, catalog, faults);
                Box::new(made.map_err(|e| SourceError::Push(number, e))?)
            }
        };
        prepared.push(Prepared { feed, required });
    }
    Ok(prepared)
}

impl Sources {
    /// Starts every source.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        prepared: Vec<Prepared>,
        around: &Surroundings<'_>,
        gate: Arc<StartGate>,
    ) -> io::Result<Self> {
        let start = |(index, prepared): (usize, Prepared)| {
            let Prepared { feed, required } = prepared;
            let number = index + 1;
            let metrics = around.parts.metrics();
            let gauge = metrics.source_up(number, feed.kind(), feed.venue());
            let name = format!("source {number} ({})", feed.kind());
            let part = around.parts.enter(name, feed.kind(), required);
            let (events, metrics) = (around.events.clone(), around.metrics.clone());
            let watch = around.parts.watch_over(&part);
            let run = Run::new(events, metrics, around.pacer.clone(), part, gauge);
            SourceHandle::start(number, feed, run, watch)
        };
        let handles = prepared.into_iter().enumerate().map(start);
        Ok(Self {
            handles: handles.collect::<io::Result<_>>()?,
            gate,
        })
    }

    /// What `POST /replay/start` opens.
    pub fn gate(&self) -> Arc<StartGate> {
        Arc::clone(&self.gate)
    }

    /// The answer of `GET /debug/sources`, made for each request.
    pub fn reporter(&self) -> impl Fn() -> String + Send + Sync + 'static {
        report::reporter(&self.handles)
    }

    /// The sources, in order of the configuration.
    pub fn handles(&self) -> &[SourceHandle] {
        &self.handles
    }

    /// Ends every source.
    pub async fn stop(self) {
        for handle in &self.handles {
            handle.tell_to_stop();
        }
        // They look whether to stop a few dozen times a second.
        let joined = tokio::task::spawn_blocking(move || {
            self.handles.into_iter().for_each(SourceHandle::join);
        });
        let _ = joined.await;
    }
}
