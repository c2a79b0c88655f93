//! The parts that must always run: sources, acceptors, the pipeline, the shards, the renewal of `state_dir`.
//!
//! Each is a [`Part`]. A part that can be restarted restarts after a [pause](Pause): [`keep`] restarts
//! tasks, and [`crate::sources`] restarts feeds. A part that cannot be restarted ends the process: its
//! thread holds a [`Watch`], which reports the end of the thread at once, with or without a panic.
//! [`Parts::verdict`] is the answer of `/readyz`: it names every part that has not started or has ended.

use crate::cores;
use crate::faults::Faults;
use crate::metrics::PartMetrics;
use prometheus::{IntCounter, Registry};
use std::any::Any;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tapecast_client::reconnect::Backoff;
use tapecast_model::clock::{mono_now, unix_now};
use tapecast_model::{Fault, UnixNanos};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::error;

/// All parts of one process.
#[derive(Clone, Debug)]
pub struct Parts {
    parts: Arc<Mutex<Vec<Arc<Part>>>>,
    failed: watch::Sender<Option<String>>,
    ending: Arc<AtomicBool>,
    started: Arc<AtomicBool>,
    metrics: PartMetrics,
    faults: Faults,
}

/// One of them.
#[derive(Debug)]
pub struct Part {
    name: String,
    required: bool,
    restarts: AtomicU64,
    /// Of all parts of its kind.
    restarts_of_kind: IntCounter,
    state: Mutex<(State, UnixNanos)>,
}

/// How a part is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// It has not run yet.
    Starting,
    /// It waits for a command, as it was told to.
    Waiting(&'static str),
    /// It runs.
    Up,
    /// It is dead; why, and what comes next.
    Down(String),
    /// It has done what it was to do.
    Ended(&'static str),
}

/// How long to wait before a part starts again: longer each time, with jitter, unless it ran for long.
#[derive(Debug, Default)]
pub struct Pause {
    attempts: u32,
}

/// A thread that cannot be restarted holds it.
#[derive(Debug)]
pub struct Watch {
    parts: Parts,
    part: Arc<Part>,
    /// Its thread may end by itself, but not in a panic.
    may_end: bool,
}

const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(100),
    max: Duration::from_secs(30),
};
/// A part that ran for so long begins with short pauses again.
const STEADY: Duration = Duration::from_secs(60);
/// So long the start waits for threads to say that they run.
const START_PATIENCE: Duration = Duration::from_secs(1);

// === impl Parts ===

impl Parts {
    /// None yet. Tests give them faults.
    ///
    /// # Errors
    /// If its metric is registered already.
    pub fn register(registry: &Registry, faults: &Faults) -> Result<Self, prometheus::Error> {
        Ok(Self {
            parts: Arc::default(),
            failed: watch::Sender::new(None),
            ending: Arc::default(),
            started: Arc::default(),
            metrics: PartMetrics::register(registry)?,
            faults: faults.clone(),
        })
    }

    /// For tests: what makes a part panic.
    pub fn fault_of(&self, part: &str) -> Fault {
        self.faults.of(part)
    }

    /// Adds a part that has not run yet. While one that is required does not run, the process is not
    /// ready.
    pub fn enter(&self, name: String, kind: &str, required: bool) -> Arc<Part> {
        let part = Arc::new(Part {
            name,
            required,
            restarts: AtomicU64::new(0),
            restarts_of_kind: self.metrics.restarts(kind),
            state: Mutex::new((State::Starting, unix_now())),
        });
        lock(&self.parts).push(Arc::clone(&part));
        part
    }

    /// Their metrics.
    pub fn metrics(&self) -> &PartMetrics {
        &self.metrics
    }

    /// Adds a thread that cannot be restarted; the thread must hold the returned value while it runs.
    pub fn watch(&self, name: &str) -> Watch {
        let part = self.enter(name.to_owned(), name, true);
        part.set(State::Up);
        Watch {
            parts: self.clone(),
            part,
            may_end: false,
        }
    }

    /// For a thread or task that restarts its part after a failure; it must not panic itself.
    pub fn watch_over(&self, part: &Arc<Part>) -> Watch {
        Watch {
            parts: self.clone(),
            part: Arc::clone(part),
            may_end: true,
        }
    }

    /// Everything that is to run was started: waits until each part says that it runs, but not for one
    /// that does not come to it.
    pub async fn set_started(&self) {
        let until = mono_now().after(START_PATIENCE);
        let starting = || lock(&self.parts).iter().any(|part| part.is_starting());
        while starting() && mono_now() < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.started.store(true, Ordering::Relaxed);
    }

    /// For tests: as if everything was started.
    #[cfg(test)]
    pub(crate) fn assume_started(&self) {
        self.started.store(true, Ordering::Relaxed);
    }

    /// From now on threads may end.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Whether threads may end.
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// Nothing, if this process should get traffic.
    ///
    /// # Errors
    /// Why it should not, in words.
    pub fn verdict(&self) -> Result<(), String> {
        if self.is_ending() {
            return Err("the process is ending".to_owned());
        }
        let parts = lock(&self.parts);
        let mut reasons: Vec<String> = parts.iter().filter_map(|part| part.fault()).collect();
        if !self.started.load(Ordering::Relaxed) {
            reasons.push("the process is starting".to_owned());
        }
        if reasons.is_empty() {
            Ok(())
        } else {
            Err(reasons.join("; "))
        }
    }

    /// Waits until a part that cannot be restarted has ended. Returns its name and the reason.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn failed(&self) -> String {
        let mut failed = self.failed.subscribe();
        // It cannot be closed while `self` is here.
        let failed = failed.wait_for(Option::is_some).await;
        failed.map_or_else(|_| String::new(), |why| why.clone().unwrap_or_default())
    }
}

// === impl Part ===

impl Part {
    /// Its name, as messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is, and since when.
    pub fn state(&self) -> (State, UnixNanos) {
        lock(&self.state).clone()
    }

    /// How often it was started again.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Acquire)
    }

    /// Notes how it is.
    pub fn set(&self, state: State) {
        *lock(&self.state) = (state, unix_now());
    }

    /// It failed and starts again after `pause`.
    pub fn set_failed(&self, reason: &str, pause: Duration) {
        error!(
            part = self.name,
            reason,
            ?pause,
            "A part failed and restarts"
        );
        self.set(State::Down(format!("{reason}; it restarts")));
        self.restarts_of_kind.inc();
        self.restarts.fetch_add(1, Ordering::Release);
    }

    fn is_starting(&self) -> bool {
        lock(&self.state).0 == State::Starting
    }

    fn fault(&self) -> Option<String> {
        if !self.required {
            return None;
        }
        match &lock(&self.state).0 {
            State::Starting => Some(format!("{} has not started", self.name)),
            State::Down(reason) => Some(format!("{} is down: {reason}", self.name)),
            State::Waiting(_) | State::Up | State::Ended(_) => None,
        }
    }
}

// === impl Pause ===

impl Pause {
    /// The next pause, for a part that ran for `ran`.
    pub fn after(&mut self, ran: Duration) -> Duration {
        if ran >= STEADY {
            self.attempts = 0;
        }
        let ceiling = BACKOFF.ceiling(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        // Chance from the keys of a new hasher: half of it is enough to keep parts apart.
        let chance = std::hash::RandomState::new().build_hasher().finish();
        ceiling / 2 + (ceiling / 2).mul_f64(chance as f64 / u64::MAX as f64)
    }
}

// === impl Watch ===

impl Watch {
    /// The name of the part.
    pub fn name(&self) -> &str {
        &self.part.name
    }

    /// Starts the thread that cannot be restarted, under the name of the part; its end is reported.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn spawn<T: Send + 'static>(
        self,
        core: Option<usize>,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        let thread = std::thread::Builder::new().name(self.name().to_owned());
        thread.spawn(move || {
            let _watch = self;
            if let Some(core) = core {
                cores::pin(core);
            }
            body()
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if (self.may_end || self.parts.is_ending()) && !std::thread::panicking() {
            return;
        }
        let how = if std::thread::panicking() {
            "it panicked"
        } else {
            "it ended"
        };
        self.part.set(State::Down(how.to_owned()));
        let why = format!("{}: {how}", self.part.name);
        self.parts.failed.send_if_modified(|failed| {
            let first = failed.is_none();
            failed.get_or_insert(why);
            first
        });
    }
}

/// Runs a task permanently: when it ends or panics, it restarts. Drop it to end this. If starting the task
/// panics, the process ends, because `watch` reports it: see [`Parts::watch_over`].
///
/// # Cancellation
/// Safe: the task ends with it.
pub async fn keep<F>(watch: Watch, start: impl Fn() -> io::Result<F>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let part = Arc::clone(&watch.part);
    let mut pause = Pause::default();
    loop {
        let began = mono_now();
        let reason = match start() {
            Ok(task) => {
                part.set(State::Up);
                // A set of one: dropping it ends the task.
                let mut tasks = JoinSet::new();
                tasks.spawn(task);
                match tasks.join_next().await {
                    Some(Err(error)) if error.is_panic() => {
                        format!("it panicked: {}", words(error.into_panic().as_ref()))
                    }
                    // Nobody but the runtime cancels it, at its own end.
                    Some(Err(_)) => return,
                    _ => "it ended".to_owned(),
                }
            }
            Err(error) => error.to_string(),
        };
        let pause = pause.after(mono_now() - began);
        part.set_failed(&reason, pause);
        tokio::time::sleep(pause).await;
    }
}

/// What a panic said.
pub fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without words")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Parts {
        Parts::register(&Registry::new(), &Faults::default()).unwrap()
    }

    #[tokio::test]
    async fn the_verdict_names_every_required_part_that_does_not_run() {
        let parts = parts();
        let (one, two) = (
            parts.enter("source 1".into(), "sim", true),
            parts.enter("source 2".into(), "push", false),
        );
        assert_eq!(
            parts.verdict(),
            Err("source 1 has not started; the process is starting".to_owned())
        );
        one.set(State::Up);
        two.set(State::Up);
        parts.set_started().await;
        two.set(State::Down("no more".to_owned()));
        assert_eq!(
            parts.verdict(),
            Ok(()),
            "what is not required does not count"
        );
        one.set_failed("no more", Duration::ZERO);
        two.set_failed("no more", Duration::ZERO);
        assert_eq!(
            parts.verdict(),
            Err("source 1 is down: no more; it restarts".to_owned())
        );
        assert_eq!((one.restarts(), two.restarts()), (1, 1));
        one.set(State::Ended("end of recording"));
        assert_eq!(parts.verdict(), Ok(()));
        parts.end();
        assert_eq!(parts.verdict(), Err("the process is ending".to_owned()));
    }

    #[tokio::test]
    async fn a_watched_thread_that_ends_is_told_at_once() {
        for (panics, expected) in [(true, "shard-0: it panicked"), (false, "shard-0: it ended")] {
            let parts = parts();
            let watch = parts.watch("shard-0");
            let thread = std::thread::spawn(move || {
                let _watch = watch;
                assert!(!panics, "as the test wants it");
            });
            assert_eq!(parts.failed().await, expected);
            let _ = thread.join();
            assert!(parts.verdict().unwrap_err().starts_with("shard-0 is down"));
        }
        let parts = parts();
        let watch = parts.watch("shard-0");
        parts.end();
        drop(watch);
        assert!(
            parts.failed.borrow().is_none(),
            "at the end threads may end"
        );
    }

    #[tokio::test]
    async fn a_kept_task_is_started_again_after_a_panic_and_after_an_end() {
        let parts = parts();
        let part = parts.enter("acceptor".into(), "acceptor", true);
        let (fault, starts) = (Fault::armable(), Arc::new(watch::Sender::new(0)));
        fault.arm();
        let started = Arc::clone(&starts);
        let keeper = tokio::spawn(keep(parts.watch_over(&part), move || {
            started.send_modify(|n| *n += 1);
            let (fault, number) = (fault.clone(), *started.borrow());
            Ok(async move {
                fault.look();
                if number > 2 {
                    std::future::pending::<()>().await;
                }
            })
        }));
        starts.subscribe().wait_for(|n| *n == 3).await.unwrap();
        assert_eq!((part.state().0, part.restarts()), (State::Up, 2));
        keeper.abort();
    }

    #[tokio::test]
    async fn a_task_that_cannot_even_be_started_ends_the_process() {
        let parts = parts();
        let part = parts.enter("acceptor".into(), "acceptor", true);
        let start = || -> io::Result<std::future::Ready<()>> { panic!("as the test wants it") };
        let keeper = tokio::spawn(keep(parts.watch_over(&part), start));
        assert_eq!(parts.failed().await, "acceptor: it panicked");
        assert!(keeper.await.unwrap_err().is_panic());
        // One that is told to end does so.
        let parts = self::parts();
        let part = parts.enter("acceptor".into(), "acceptor", true);
        let start = || Ok(std::future::pending());
        let keeper = tokio::spawn(keep(parts.watch_over(&part), start));
        keeper.abort();
        assert!(keeper.await.unwrap_err().is_cancelled());
        assert!(parts.failed.borrow().is_none());
    }

    #[test]
    fn pauses_grow_to_a_limit_and_start_over_after_a_long_run() {
        let mut pause = Pause::default();
        let grown: Vec<_> = (0..12).map(|_| pause.after(Duration::ZERO)).collect();
        for (attempt, pause) in grown.iter().enumerate() {
            let ceiling = BACKOFF.ceiling(attempt as u32);
            assert!(
                (ceiling / 2..=ceiling).contains(pause),
                "{attempt}: {pause:?}"
            );
        }
        assert!(grown[11] >= Duration::from_secs(15));
        assert!(pause.after(STEADY) <= Duration::from_millis(100));
    }
}
