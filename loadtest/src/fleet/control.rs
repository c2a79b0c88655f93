//! What threads and whoever leads them share: the phase, the second, a few counts.
//!
//! All of it is advisory: counts may be read a moment late, and nothing else is guarded by them, so every
//! access is relaxed. Latencies are handed over second by second, behind a lock that each thread takes
//! once a second.

use super::FleetError;
use hdrhistogram::Histogram;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

/// What a run is doing.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Phase {
    /// Clients connect and, unless they are told to wait, subscribe.
    Connecting,
    /// The load runs and is not measured.
    WarmUp,
    /// The load runs and is measured.
    Measuring,
    /// The same with some clients not reading.
    Stalling,
    /// The load runs, everybody reads, and nothing is measured.
    Recovering,
    /// Nothing more is published; what is on its way arrives.
    Draining,
    /// Over.
    Done,
}

/// What threads and whoever leads them share.
#[derive(Debug)]
pub struct Control {
    phase: AtomicU8,
    second: AtomicU64,
    live: AtomicUsize,
    failure: Mutex<Option<String>>,
    /// Latencies by second, one post per thread and second.
    posts: Mutex<Vec<(u64, Histogram<u64>)>>,
    /// One meter per thread.
    pub meters: Vec<Meter>,
}

/// What a thread shows while it runs.
#[derive(Debug, Default)]
pub struct Meter {
    /// Bytes received.
    pub bytes: AtomicU64,
    /// Bytes received by clients whose frames are verified.
    pub verified_bytes: AtomicU64,
    /// Bytes received by stalled and slow clients.
    pub slow_bytes: AtomicU64,
    /// Events received by clients whose frames are verified.
    pub events: AtomicU64,
    /// Events received by stalled and slow clients.
    pub slow_events: AtomicU64,
    /// Losses of every kind.
    pub losses: AtomicU64,
    /// Events published.
    pub published: AtomicU64,
    /// Connections that were welcomed.
    pub welcomed: AtomicU64,
    /// Stalled and slow clients that read on and are not known to be up to date.
    pub catching_up: AtomicU64,
    /// Events that every parsed client has (one topic), or the newest that any has (several).
    pub(super) seen: AtomicU64,
}

// === impl Phase ===

impl Phase {
    const ALL: [Self; 7] = [
        Self::Connecting,
        Self::WarmUp,
        Self::Measuring,
        Self::Stalling,
        Self::Recovering,
        Self::Draining,
        Self::Done,
    ];

    /// Which measured window it is, if any.
    pub fn window(self) -> Option<usize> {
        match self {
            Self::Measuring => Some(0),
            Self::Stalling => Some(1),
            _ => None,
        }
    }

    /// Whether events are published in it.
    pub fn has_load(self) -> bool {
        (Self::WarmUp..=Self::Recovering).contains(&self)
    }

    /// Its name in results.
    pub fn label(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::WarmUp => "warm-up",
            Self::Measuring => "measured",
            Self::Stalling => "stalled",
            Self::Recovering => "recovering",
            Self::Draining => "draining",
            Self::Done => "done",
        }
    }
}

// === impl Control ===

impl Control {
    /// For so many threads.
    pub fn new(threads: usize) -> Self {
        Self {
            phase: AtomicU8::new(Phase::Connecting as u8),
            second: AtomicU64::new(0),
            live: AtomicUsize::new(0),
            failure: Mutex::new(None),
            posts: Mutex::new(Vec::new()),
            meters: (0..threads).map(|_| Meter::default()).collect(),
        }
    }

    /// What the run is doing.
    pub fn phase(&self) -> Phase {
        let phase = self.phase.load(Ordering::Relaxed);
        Phase::ALL
            .get(usize::from(phase))
            .copied()
            .unwrap_or(Phase::Done)
    }

    /// Moves the run on. There is no way back.
    pub fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::Relaxed);
    }

    /// Which second of the load it is.
    pub fn second(&self) -> u64 {
        self.second.load(Ordering::Relaxed)
    }

    /// A second is over.
    pub fn next_second(&self) {
        self.second.fetch_add(1, Ordering::Relaxed);
    }

    /// Hands over the latencies of a second, or of a part of it.
    pub fn post(&self, second: u64, latency: Histogram<u64>) {
        if let Ok(mut posts) = self.posts.lock() {
            posts.push((second, latency));
        }
    }

    /// Takes what was handed over since the last time.
    pub fn take_posts(&self) -> Vec<(u64, Histogram<u64>)> {
        let posts = self.posts.lock();
        posts
            .map(|mut p| std::mem::take(&mut *p))
            .unwrap_or_default()
    }

    /// Clients that are where they should be: subscribed, or welcomed if they wait.
    pub fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    pub(super) fn came(&self) {
        self.live.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn went(&self) {
        self.live.fetch_sub(1, Ordering::Relaxed);
    }

    /// Ends the run with an error; the first one is kept.
    pub fn fail(&self, error: &FleetError) {
        if let Ok(mut failure) = self.failure.lock() {
            failure.get_or_insert_with(|| error.to_string());
        }
        self.enter(Phase::Done);
    }

    /// What ended the run before its time.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().ok().and_then(|f| f.clone())
    }

    /// The sum of one figure over all threads.
    pub fn sum(&self, figure: fn(&Meter) -> &AtomicU64) -> u64 {
        let figures = self.meters.iter().map(figure);
        figures.map(|f| f.load(Ordering::Relaxed)).sum()
    }

    pub(super) fn seen(&self, one_topic: bool) -> u64 {
        let seen = self.meters.iter().map(|m| m.seen.load(Ordering::Relaxed));
        let all = if one_topic { seen.min() } else { seen.max() };
        all.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_in_order_and_there_is_no_way_back() {
        let control = Control::new(1);
        for phase in Phase::ALL {
            control.enter(phase);
            assert_eq!(control.phase(), phase);
        }
        control.enter(Phase::WarmUp);
        assert_eq!(control.phase(), Phase::Done);
    }

    #[test]
    fn latencies_are_handed_over_once() {
        let control = Control::new(1);
        control.post(0, crate::tally::histogram());
        control.next_second();
        control.post(control.second(), crate::tally::histogram());
        let seconds: Vec<u64> = control.take_posts().iter().map(|p| p.0).collect();
        assert_eq!(seconds, [0, 1]);
        assert!(control.take_posts().is_empty());
    }
}
