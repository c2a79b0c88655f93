//! What was counted: one tally per thread, merged at the end.
//!
//! Latency goes into HDR histograms of nanoseconds (three digits, up to ten minutes; more is counted as
//! ten minutes), which merge without loss. Counters of the measured windows and of the whole run are
//! kept apart: rates come from a window, integrity from the whole run. What stalled and slow clients
//! saw is kept apart from what the others saw: losses that are announced to the first are as it should
//! be.

use crate::integrity::Integrity;
use crate::view::Ending;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

const LATENCY_NS_MAX: u64 = 600_000_000_000;
/// The window without stalled clients, and the one with them.
pub const WINDOWS: usize = 2;

/// Bytes and events received by clients that read as fast as they can.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traffic {
    /// Bytes of all clients, slow ones included.
    pub bytes: u64,
    /// Bytes of stalled and slow clients.
    pub slow_bytes: u64,
    /// Bytes of the clients whose frames are verified.
    pub verified_bytes: u64,
    /// Data frames they received.
    pub frames: u64,
    /// Events in those frames.
    pub events: u64,
    /// Reads.
    pub receives: u64,
}

/// What a thread's loop cost in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Length of the window.
    pub length: Duration,
    /// Processor time.
    pub cpu: Duration,
    /// Time it was ready to run and another was running.
    pub waited: Duration,
    /// Time it was not waiting for events.
    pub busy: Duration,
    /// The longest turn.
    pub turn_max: Duration,
}

/// One measured window.
#[derive(Clone, Debug)]
pub struct Window {
    /// What arrived.
    pub traffic: Traffic,
    /// From intended time to arrival, in nanoseconds.
    pub latency: Histogram<u64>,
    /// What it cost, by thread.
    pub costs: Vec<Cost>,
}

/// How connections and subscriptions came about.
#[derive(Clone, Debug)]
pub struct Joins {
    /// Connections begun.
    pub attempts: u64,
    /// Those that were welcomed.
    pub welcomed: u64,
    /// Those that were not, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Connections given up on purpose and begun again.
    pub reconnects: u64,
    /// Topics given up and subscribed again.
    pub resubscribes: u64,
    /// From the beginning of a connection to its welcome, in nanoseconds.
    pub to_welcome: Histogram<u64>,
    /// From the beginning of a subscribe storm to a client's first snapshot.
    pub to_snapshot: Histogram<u64>,
    /// From a client's own request to its first snapshot.
    pub request_to_snapshot: Histogram<u64>,
}

/// What one thread counted.
#[derive(Clone, Debug)]
pub struct Tally {
    /// The measured windows.
    pub windows: [Window; WINDOWS],
    /// In the whole run.
    pub total: Traffic,
    /// Events received by stalled and slow clients.
    pub slow_events: u64,
    /// Latency since the last cut, see [`Tally::cut`].
    current: Histogram<u64>,
    /// Of clients that read as fast as they can.
    pub integrity: Integrity,
    /// Of stalled and slow clients.
    pub slow: Integrity,
    /// Connections the server closed, by close code; 1006 if it just ended.
    pub closed: BTreeMap<u16, u64>,
    /// How clients came.
    pub joins: Joins,
    /// What each verified client had of each topic at the end.
    pub endings: Vec<Ending>,
    /// Bytes of each client that was there to the end and read, over the whole run.
    pub bytes_by_client: Vec<u64>,
    /// The longest a stalled or slow client took to be up to date, once it read on.
    pub caught_up_max: Duration,
}

/// An empty histogram like all others.
///
/// # Panics
/// Never: the bounds are constants.
#[expect(clippy::expect_used, reason = "the bounds are constants")]
pub fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("valid bounds");
    histogram.auto(false);
    histogram
}

/// Adds one histogram to another.
///
/// # Panics
/// Never: all have the same bounds.
#[expect(clippy::expect_used, reason = "all histograms have the same bounds")]
pub fn add_histogram(into: &mut Histogram<u64>, from: &Histogram<u64>) {
    into.add(from).expect("same bounds");
}

/// Notes a length of time.
#[inline]
pub fn note(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
}

// === impl Traffic ===

impl Traffic {
    fn fields(&mut self) -> [&mut u64; 6] {
        let Self {
            bytes,
            slow_bytes,
            verified_bytes,
            frames,
            events,
            receives,
        } = self;
        [bytes, slow_bytes, verified_bytes, frames, events, receives]
    }

    fn add(&mut self, other: &Self) {
        let mut other = *other;
        for (sum, more) in self.fields().into_iter().zip(other.fields()) {
            *sum += *more;
        }
    }

    /// What arrived since an earlier state of the same counters.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let (mut now, mut earlier) = (*self, *earlier);
        for (now, earlier) in now.fields().into_iter().zip(earlier.fields()) {
            *now -= *earlier;
        }
        now
    }

    /// Events delivered to all reading clients: those of verified clients, and the others' bytes by
    /// the bytes an event takes on the verified ones.
    pub fn deliveries(&self) -> f64 {
        let counted = self.bytes - self.verified_bytes - self.slow_bytes;
        let per_event = self.bytes_per_event();
        let estimated = if per_event > 0.0 {
            counted as f64 / per_event
        } else {
            0.0
        };
        self.events as f64 + estimated
    }

    /// Bytes on the wire per event, control messages included.
    pub fn bytes_per_event(&self) -> f64 {
        match self.events {
            0 => 0.0,
            events => self.verified_bytes as f64 / events as f64,
        }
    }

    /// Data frames per event: one, unless the server batches.
    pub fn frames_per_event(&self) -> f64 {
        match self.events {
            0 => 0.0,
            events => self.frames as f64 / events as f64,
        }
    }
}

// === impl Window, Joins ===

impl Window {
    fn new() -> Self {
        Self {
            traffic: Traffic::default(),
            latency: histogram(),
            costs: Vec::new(),
        }
    }

    fn merge(&mut self, other: &Self) {
        self.traffic.add(&other.traffic);
        add_histogram(&mut self.latency, &other.latency);
        self.costs.extend_from_slice(&other.costs);
    }
}

impl Joins {
    fn new() -> Self {
        Self {
            attempts: 0,
            welcomed: 0,
            failed: BTreeMap::new(),
            reconnects: 0,
            resubscribes: 0,
            to_welcome: histogram(),
            to_snapshot: histogram(),
            request_to_snapshot: histogram(),
        }
    }

    fn merge(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.welcomed += other.welcomed;
        for (reason, count) in &other.failed {
            *self.failed.entry(reason.clone()).or_default() += count;
        }
        self.reconnects += other.reconnects;
        self.resubscribes += other.resubscribes;
        add_histogram(&mut self.to_welcome, &other.to_welcome);
        add_histogram(&mut self.to_snapshot, &other.to_snapshot);
        add_histogram(&mut self.request_to_snapshot, &other.request_to_snapshot);
    }
}

// === impl Tally ===

impl Tally {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            windows: [(); WINDOWS].map(|()| Window::new()),
            total: Traffic::default(),
            slow_events: 0,
            current: histogram(),
            integrity: Integrity::default(),
            slow: Integrity::default(),
            closed: BTreeMap::new(),
            joins: Joins::new(),
            endings: Vec::new(),
            bytes_by_client: Vec::new(),
            caught_up_max: Duration::ZERO,
        }
    }

    /// Notes one latency.
    #[inline]
    pub fn note_latency(&mut self, nanos: u64) {
        self.current.saturating_record(nanos);
    }

    /// Where losses of one kind of client are counted.
    #[inline]
    pub fn integrity_of(&mut self, slow: bool) -> &mut Integrity {
        if slow {
            &mut self.slow
        } else {
            &mut self.integrity
        }
    }

    /// Ends a second or a phase: the latencies since the last cut belong to `window`, if to any, and
    /// are handed out.
    pub fn cut(&mut self, window: Option<usize>) -> Option<Histogram<u64>> {
        if self.current.is_empty() {
            return None;
        }
        if let Some(window) = window.and_then(|w| self.windows.get_mut(w)) {
            add_histogram(&mut window.latency, &self.current);
        }
        Some(std::mem::replace(&mut self.current, histogram()))
    }

    /// Adds another thread's tally.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.windows.iter_mut().zip(&other.windows) {
            mine.merge(theirs);
        }
        self.total.add(&other.total);
        self.slow_events += other.slow_events;
        self.integrity.add(&other.integrity);
        self.slow.add(&other.slow);
        for (code, count) in &other.closed {
            *self.closed.entry(*code).or_default() += count;
        }
        self.joins.merge(&other.joins);
        self.endings.extend_from_slice(&other.endings);
        self.bytes_by_client
            .extend_from_slice(&other.bytes_by_client);
        self.caught_up_max = self.caught_up_max.max(other.caught_up_max);
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_merge_without_loss() {
        let (mut one, mut two) = (Tally::new(), Tally::new());
        for nanos in 1..=99_u64 {
            one.note_latency(nanos * 1_000);
        }
        two.note_latency(u64::MAX);
        assert_eq!(one.cut(Some(0)).unwrap().len(), 99);
        assert_eq!(two.cut(Some(0)).unwrap().len(), 1);
        two.integrity.gaps = 2;
        two.closed.insert(4013, 3);
        one.closed.insert(4013, 1);
        two.joins.failed.insert("refused".into(), 7);
        one.merge(&two);
        let latency = &one.windows[0].latency;
        assert_eq!(latency.len(), 100);
        assert_eq!(latency.value_at_quantile(0.5) / 1_000, 50);
        assert!(latency.max() >= LATENCY_NS_MAX);
        assert_eq!((one.integrity.gaps, one.closed[&4013]), (2, 4));
        assert_eq!(one.joins.failed["refused"], 7);
    }

    #[test]
    fn what_is_cut_outside_a_window_belongs_to_none() {
        let mut tally = Tally::new();
        assert!(tally.cut(Some(0)).is_none());
        tally.note_latency(5);
        assert_eq!(tally.cut(None).unwrap().len(), 1);
        tally.note_latency(6);
        assert_eq!(tally.cut(Some(1)).unwrap().len(), 1);
        let lengths = tally.windows.each_ref().map(|w| w.latency.len());
        assert_eq!(lengths, [0, 1]);
    }

    #[test]
    fn clients_that_only_count_are_reckoned_by_the_bytes_of_an_event() {
        let traffic = Traffic {
            bytes: 101_000,
            slow_bytes: 1_000,
            verified_bytes: 10_000,
            frames: 25,
            events: 50,
            receives: 0,
        };
        assert!((traffic.deliveries() - 500.0).abs() < 1e-9);
        assert!((traffic.frames_per_event() - 0.5).abs() < 1e-9);
        assert!(Traffic::default().deliveries().abs() < 1e-9);
    }
}
