//! How a source learns that it must stop or restart, wherever it waits: threads read a flag, tasks wait
//! for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use tapecast_model::clock::mono_now;
use tokio::sync::watch;

/// Told to one source.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    wish: Mutex<Wish>,
    changed: Condvar,
    /// For threads: the present run is to end.
    flag: Arc<AtomicBool>,
    /// For tasks: the same.
    told: watch::Sender<bool>,
}

/// What is wanted of the source.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wish {
    Run,
    StartOver,
    End,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            wish: Mutex::new(Wish::Run),
            changed: Condvar::new(),
            flag: Arc::default(),
            told: watch::Sender::new(false),
        }
    }
}

impl Stop {
    /// For threads, which look at it from time to time.
    pub fn flag(&self) -> &Arc<AtomicBool> {
        &self.0.flag
    }

    /// For tasks: waits until the present run is to end.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn told(&self) {
        let mut told = self.0.told.subscribe();
        // It cannot be closed while `self` is here.
        let _ = told.wait_for(|told| *told).await;
    }

    /// Whether the source must end permanently.
    pub fn is_end(&self) -> bool {
        *self.0.wish.lock().unwrap_or_else(PoisonError::into_inner) == Wish::End
    }

    /// Ends the source permanently.
    pub fn end(&self) {
        self.set(Wish::End);
    }

    /// Ends the present run, so that the next one begins.
    pub fn start_over(&self) {
        self.set(Wish::StartOver);
    }

    /// Clears the command to restart the run; true if there was one.
    pub(super) fn take_start_over(&self) -> bool {
        let mut wish = self.0.wish.lock().unwrap_or_else(PoisonError::into_inner);
        let was = *wish == Wish::StartOver;
        if was {
            *wish = Wish::Run;
            self.0.flag.store(false, Ordering::Relaxed);
            self.0.told.send_replace(false);
        }
        was
    }

    /// Waits for as long, or until something is wanted of the source.
    pub(super) fn wait(&self, longest: Duration) {
        let until = mono_now().after(longest);
        let mut wish = self.0.wish.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = until - mono_now();
            if *wish != Wish::Run || left.is_zero() {
                return;
            }
            let waited = self.0.changed.wait_timeout(wish, left);
            wish = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn set(&self, to: Wish) {
        let mut wish = self.0.wish.lock().unwrap_or_else(PoisonError::into_inner);
        if *wish == Wish::End {
            return;
        }
        *wish = to;
        self.0.flag.store(true, Ordering::Relaxed);
        self.0.told.send_replace(true);
        self.0.changed.notify_all();
    }
}
