//! Starting what data come from: each source in a thread or task of its own.
//!
//! Everything that can fail, fails in [`prepare`], before a listener opens: recordings are scanned,
//! push addresses bound, symbols claimed.

use crate::config::{Source, Start};
use hashbrown::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use tapecast_fanout::pace::Pacer;
use tapecast_ingest::feed::EventTx;
use tapecast_ingest::feed::{Pace, StartGate, Unpaced};
use tapecast_ingest::metrics::FeedMetrics;
use tapecast_ingest::push::{PushConfig, PushError, PushServer};
use tapecast_ingest::replay::{Replay, ReplayConfig, ReplayError, Speed};
use tapecast_ingest::sim::{SimConfig, SimError, Simulation};
use tapecast_model::Catalog;
use tokio::sync::watch;

/// A source that can start.
pub enum Prepared {
    /// A simulated market.
    Sim(Box<Simulation>),
    /// A recording, which may wait for a command and may be lossless.
    Replay {
        /// The recording.
        replay: Replay,
        /// When it starts.
        start: Start,
        /// Whether it waits for slow readers.
        lossless: bool,
    },
    /// A desk's own events.
    Push(PushServer),
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
pub struct Running {
    threads: Vec<JoinHandle<()>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    stop_threads: Option<crossbeam_channel::Sender<()>>,
    stop_tasks: watch::Sender<bool>,
    gate: Arc<StartGate>,
}

/// Makes every source ready to start.
///
/// # Errors
/// If a recording cannot be read, an address is in use, or a symbol comes from two sources.
pub async fn prepare(
    sources: &[Source],
    catalog: &Arc<Catalog>,
) -> Result<Vec<Prepared>, SourceError> {
    let mut prepared = Vec::with_capacity(sources.len());
    for (index, source) in sources.iter().enumerate() {
        let number = index + 1;
        prepared.push(match source.clone() {
            Source::Sim(sim) => {
                let config = SimConfig {
                    venue: sim.venue,
                    symbols: sim.symbols,
                    seed: sim.seed,
                    events_per_second: sim.events_per_second,
                };
                let simulation = Simulation::new(&config, catalog);
                Prepared::Sim(Box::new(
                    simulation.map_err(|e| SourceError::Sim(number, e))?,
                ))
            }
            Source::Replay(replay) => {
                let (start, lossless) = (replay.start, replay.speed == Speed::Max);
                let config = ReplayConfig {
                    venue: replay.venue,
                    format: replay.format,
                    path: replay.path,
                    speed: replay.speed,
                    looped: replay.looped,
                    symbols: replay.symbols.into_iter().collect::<HashMap<_, _>>(),
                };
                let replay = Replay::scan(config, catalog)
                    .map_err(|e| SourceError::Replay(number, Box::new(e)))?;
                Prepared::Replay {
                    replay,
                    start,
                    lossless,
                }
            }
            Source::Push(push) => {
                let config = PushConfig {
                    listen: push.listen,
                    venue: push.venue,
                    symbols: push.symbols,
                    price_scale: push.price_scale,
                    qty_scale: push.qty_scale,
                };
                let server = PushServer::bind(config, Arc::clone(catalog)).await;
                Prepared::Push(server.map_err(|e| SourceError::Push(number, e))?)
            }
        });
    }
    Ok(prepared)
}

impl Running {
    /// Starts every source.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        sources: Vec<Prepared>,
        events: &EventTx,
        pacer: &Pacer,
        metrics: &FeedMetrics,
    ) -> std::io::Result<Self> {
        let (stop_threads, threads_stopped) = crossbeam_channel::bounded::<()>(0);
        let (stop_tasks, tasks_stopped) = watch::channel(false);
        let mut running = Self {
            threads: Vec::new(),
            tasks: Vec::new(),
            stop: Arc::new(AtomicBool::new(false)),
            stop_threads: Some(stop_threads),
            stop_tasks,
            gate: Arc::new(StartGate::default()),
        };
        for source in sources {
            let (events, metrics) = (events.clone(), metrics.clone());
            match source {
                Prepared::Sim(simulation) => {
                    let stopped = threads_stopped.clone();
                    let simulation = simulation.counted(&metrics);
                    running.spawn("sim", move || simulation.run(&events, &stopped))?;
                }
                Prepared::Replay {
                    replay,
                    start,
                    lossless,
                } => {
                    let gate = match start {
                        Start::Immediately => Arc::new(StartGate::opened()),
                        Start::OnCommand => Arc::clone(&running.gate),
                    };
                    let pace: Box<dyn Pace> = if lossless {
                        let pacer = pacer.clone();
                        Box::new(move || pacer.is_clear())
                    } else {
                        Box::new(Unpaced)
                    };
                    let stop = Arc::clone(&running.stop);
                    running.spawn("replay", move || {
                        replay.run(&gate, events, pace, stop, &metrics);
                    })?;
                }
                Prepared::Push(server) => {
                    let mut stopped = tasks_stopped.clone();
                    running.tasks.push(tokio::spawn(async move {
                        let stop = async move {
                            // An error means that whoever would say so is gone.
                            let _ = stopped.wait_for(|stop| *stop).await;
                        };
                        server.run(events, &metrics, stop).await;
                    }));
                }
            }
        }
        Ok(running)
    }

    /// What `POST /replay/start` opens.
    pub fn gate(&self) -> Arc<StartGate> {
        Arc::clone(&self.gate)
    }

    /// Ends every source.
    pub async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.stop_threads.take());
        let _ = self.stop_tasks.send(true);
        for task in self.tasks {
            let _ = task.await;
        }
        let threads = self.threads;
        // They look whether to stop a few dozen times a second.
        let joined = tokio::task::spawn_blocking(move || {
            threads
                .into_iter()
                .filter_map(|thread| thread.join().err())
                .count()
        });
        if joined.await.is_ok_and(|panicked| panicked > 0) {
            tracing::error!("A source ended in a panic");
        }
    }

    fn spawn(&mut self, name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let thread = std::thread::Builder::new()
            .name(format!("feed-{name}"))
            .spawn(body)?;
        self.threads.push(thread);
        Ok(())
    }
}
