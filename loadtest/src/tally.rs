//! What was counted: one tally per thread, merged at the end.
//!
//! Latency goes into HDR histograms of nanoseconds (three digits, up to ten minutes; more is counted as
//! ten minutes), which merge without loss. Counters of the measured window and of the whole run are
//! kept apart: rates come from the window, integrity from the whole run.

use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

const LATENCY_NS_MAX: u64 = 600_000_000_000;

/// Bytes and events received.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traffic {
    /// Bytes of all clients.
    pub bytes: u64,
    /// Bytes of the clients that read every frame.
    pub parsed_bytes: u64,
    /// Data frames they read.
    pub parsed_frames: u64,
    /// Events in those frames.
    pub parsed_events: u64,
    /// Reads.
    pub receives: u64,
}

/// Everything that was not as it should be, over the whole run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct Integrity {
    /// Events missing in the chain of a topic's sequence numbers, unannounced.
    pub gaps: u64,
    /// Frames that were delivered twice or out of order.
    pub duplicates: u64,
    /// Events whose publisher's number does not follow the one before.
    pub disordered: u64,
    /// Frames whose number of events is not what their sequence numbers say.
    pub miscounted: u64,
    /// Frames that could not be read.
    pub unreadable: u64,
    /// Events the server said it would not deliver.
    pub announced_lost: u64,
    /// Events that were published and never arrived at a client that was there all the time,
    /// announced or not.
    pub missing: u64,
}

/// What one thread counted.
#[derive(Clone, Debug)]
pub struct Tally {
    /// In the measured window.
    pub window: Traffic,
    /// In the whole run.
    pub total: Traffic,
    /// From intended time to arrival, in nanoseconds, in the measured window.
    pub latency: Histogram<u64>,
    /// In the whole run.
    pub integrity: Integrity,
    /// Connections the server closed, by close code; 1006 if it just ended.
    pub closed: BTreeMap<u16, u64>,
    /// Events of each topic that parsed clients received.
    pub received_by_topic: Vec<u64>,
    /// Parsed clients of each topic that were there to the end.
    pub readers_by_topic: Vec<u64>,
    /// Bytes of each client that was there to the end and read, over the whole run.
    pub bytes_by_client: Vec<u64>,
    /// Processor time of the thread in the window.
    pub cpu: Duration,
    /// The longest turn of the thread's loop in the window.
    pub turn_max: Duration,
}

// === impl Traffic ===

impl Traffic {
    fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.parsed_bytes += other.parsed_bytes;
        self.parsed_frames += other.parsed_frames;
        self.parsed_events += other.parsed_events;
        self.receives += other.receives;
    }

    /// What arrived since an earlier state of the same counters.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            bytes: self.bytes - earlier.bytes,
            parsed_bytes: self.parsed_bytes - earlier.parsed_bytes,
            parsed_frames: self.parsed_frames - earlier.parsed_frames,
            parsed_events: self.parsed_events - earlier.parsed_events,
            receives: self.receives - earlier.receives,
        }
    }
}

// === impl Integrity ===

impl Integrity {
    fn add(&mut self, other: &Self) {
        self.gaps += other.gaps;
        self.duplicates += other.duplicates;
        self.disordered += other.disordered;
        self.miscounted += other.miscounted;
        self.unreadable += other.unreadable;
        self.announced_lost += other.announced_lost;
        self.missing += other.missing;
    }

    /// Whether every event arrived once and in order.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

// === impl Tally ===

impl Tally {
    /// Nothing yet, of so many topics.
    ///
    /// # Panics
    /// Never: the histogram's bounds are constants.
    #[expect(clippy::expect_used, reason = "the bounds are constants")]
    pub fn new(topics: u32) -> Self {
        let mut latency = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("valid bounds");
        latency.auto(false);
        Self {
            window: Traffic::default(),
            total: Traffic::default(),
            latency,
            integrity: Integrity::default(),
            closed: BTreeMap::new(),
            received_by_topic: vec![0; topics as usize],
            readers_by_topic: vec![0; topics as usize],
            bytes_by_client: Vec::new(),
            cpu: Duration::ZERO,
            turn_max: Duration::ZERO,
        }
    }

    /// Notes one latency.
    #[inline]
    pub fn note_latency(&mut self, nanos: u64) {
        self.latency.saturating_record(nanos);
    }

    /// Adds another thread's tally of the same topics.
    ///
    /// # Panics
    /// Never: all histograms have the same bounds.
    #[expect(clippy::expect_used, reason = "all histograms have the same bounds")]
    pub fn merge(&mut self, other: &Self) {
        self.window.add(&other.window);
        self.total.add(&other.total);
        self.latency.add(&other.latency).expect("same bounds");
        self.integrity.add(&other.integrity);
        for (code, count) in &other.closed {
            *self.closed.entry(*code).or_default() += count;
        }
        add_each(&mut self.received_by_topic, &other.received_by_topic);
        add_each(&mut self.readers_by_topic, &other.readers_by_topic);
        self.bytes_by_client
            .extend_from_slice(&other.bytes_by_client);
        self.cpu += other.cpu;
        self.turn_max = self.turn_max.max(other.turn_max);
    }

    /// Compares what was published with what arrived.
    pub fn settle(&mut self, published_by_topic: &[u64]) {
        let owed = published_by_topic
            .iter()
            .zip(&self.readers_by_topic)
            .map(|(p, r)| p * r);
        let missing = owed
            .zip(&self.received_by_topic)
            .map(|(o, got)| o.saturating_sub(*got));
        self.integrity.missing = missing.sum();
    }

    /// Events delivered to all clients in the window: those of parsed clients, and the others' bytes
    /// by the bytes an event takes on the parsed ones.
    pub fn deliveries(&self) -> f64 {
        let counted = (self.window.bytes - self.window.parsed_bytes) as f64;
        let per_event = self.bytes_per_event();
        let estimated = if per_event > 0.0 {
            counted / per_event
        } else {
            0.0
        };
        self.window.parsed_events as f64 + estimated
    }

    /// Bytes on the wire per event, control messages included.
    pub fn bytes_per_event(&self) -> f64 {
        let Traffic {
            parsed_bytes,
            parsed_events,
            ..
        } = self.window;
        if parsed_events == 0 {
            0.0
        } else {
            parsed_bytes as f64 / parsed_events as f64
        }
    }

    /// Data frames per event: one, unless the server batches.
    pub fn frames_per_event(&self) -> f64 {
        let Traffic {
            parsed_frames,
            parsed_events,
            ..
        } = self.window;
        if parsed_events == 0 {
            0.0
        } else {
            parsed_frames as f64 / parsed_events as f64
        }
    }
}

fn add_each(into: &mut Vec<u64>, from: &[u64]) {
    into.resize(into.len().max(from.len()), 0);
    for (sum, more) in into.iter_mut().zip(from) {
        *sum += more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_merge_without_loss() {
        let (mut one, mut two) = (Tally::new(2), Tally::new(2));
        for nanos in 1..=99_u64 {
            one.note_latency(nanos * 1_000);
        }
        two.note_latency(u64::MAX);
        two.integrity.gaps = 2;
        two.closed.insert(4013, 3);
        one.closed.insert(4013, 1);
        two.received_by_topic[1] = 7;
        one.turn_max = Duration::from_millis(2);
        one.merge(&two);
        assert_eq!(one.latency.len(), 100);
        assert_eq!(one.latency.value_at_quantile(0.5) / 1_000, 50);
        assert!(one.latency.max() >= LATENCY_NS_MAX);
        assert_eq!((one.integrity.gaps, one.closed[&4013]), (2, 4));
        assert_eq!(one.received_by_topic, [0, 7]);
        assert_eq!(one.turn_max, Duration::from_millis(2));
    }

    #[test]
    fn clients_that_only_count_are_reckoned_by_the_bytes_of_an_event() {
        let mut tally = Tally::new(1);
        tally.window = Traffic {
            bytes: 100_000,
            parsed_bytes: 10_000,
            parsed_frames: 25,
            parsed_events: 50,
            receives: 0,
        };
        assert!((tally.deliveries() - 500.0).abs() < 1e-9);
        assert!((tally.frames_per_event() - 0.5).abs() < 1e-9);
        assert!(Tally::new(1).deliveries().abs() < 1e-9);
    }

    #[test]
    fn what_was_published_and_never_came_is_missing() {
        let mut tally = Tally::new(2);
        tally.readers_by_topic = vec![3, 1];
        tally.received_by_topic = vec![29, 5];
        tally.settle(&[10, 5]);
        assert_eq!(tally.integrity.missing, 1);
        assert!(!tally.integrity.is_clean());
    }
}
