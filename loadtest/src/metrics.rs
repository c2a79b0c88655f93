//! What the gateway itself counts, read from `/metrics` of its admin listener.
//!
//! Shards add to these counters a few times a second, so a difference over a short window is a little
//! off; figures of the whole run are read when everything is quiet and are exact.

use crate::http;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The state of all counters: by name, and by name and one label's value, over all shards.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters(BTreeMap<String, f64>);

/// What the gateway counted between two moments.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Counted {
    /// Data frames serialised.
    pub frames_encoded: f64,
    /// Snapshots serialised for who joins or resyncs.
    pub snapshots_encoded: f64,
    /// Frames times subscribers at the moment of publishing.
    pub frames_indexed: f64,
    /// Of these, written whole.
    pub frames_delivered: f64,
    /// Of these, replaced by something newer for a slow client.
    pub frames_conflated: f64,
    /// Of these, lost and announced.
    pub frames_dropped: f64,
    /// Of these, more (or fewer) waiting than before.
    pub frames_queued: f64,
    /// System calls that wrote.
    pub writes: f64,
    /// Frames delivered per such call.
    pub frames_per_write: f64,
    /// Bytes written.
    pub bytes_sent: f64,
    /// Gap notices.
    pub gaps: f64,
    /// Topics started over because a client was slow.
    pub resyncs_slow: f64,
    /// Items that a shard's ring could not take.
    pub ring_overruns: f64,
    /// Handshakes refused.
    pub handshakes_refused: f64,
}

/// Of the window and of the whole run.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct MetricsResult {
    /// From the beginning of the measured window to its end.
    pub window: Counted,
    /// From before the first client to after the last event.
    pub run: Counted,
    /// The most bytes that waited for sockets at the end of any second.
    pub outbox_bytes_max: Option<f64>,
    /// The most connections whose socket was full at the end of any second.
    pub parked_max: Option<f64>,
}

// === impl Counters ===

impl Counters {
    /// Asks a gateway; none if it does not answer.
    pub fn read(admin: SocketAddr) -> Option<Self> {
        match http::get(admin, "/metrics") {
            Ok((200, text)) => Some(Self::parse(&text)),
            _ => None,
        }
    }

    fn parse(text: &str) -> Self {
        let mut counters = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with("tapecast_")) {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let Ok(value) = value.parse::<f64>() else {
                continue;
            };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            *counters.entry(name.to_owned()).or_default() += value;
            for label in labels.trim_end_matches('}').split(',') {
                if let Some(reason) = label.strip_prefix("reason=") {
                    let key = format!("{name}/{}", reason.trim_matches('"'));
                    *counters.entry(key).or_default() += value;
                }
            }
        }
        Self(counters)
    }

    /// One of them; zero if there is none of this name.
    pub fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }

    /// What was counted since an earlier moment.
    pub fn since(&self, earlier: &Self) -> Counted {
        let grown = |name: &str| self.get(name) - earlier.get(name);
        let delivered = grown("tapecast_frames_delivered_total");
        let writes = grown("tapecast_writes_total");
        Counted {
            frames_encoded: grown("tapecast_frames_encoded_total"),
            snapshots_encoded: grown("tapecast_snapshots_encoded_total"),
            frames_indexed: grown("tapecast_frames_indexed_total"),
            frames_delivered: delivered,
            frames_conflated: grown("tapecast_frames_conflated_total"),
            frames_dropped: grown("tapecast_frames_dropped_total"),
            frames_queued: grown("tapecast_frames_queued"),
            writes,
            frames_per_write: if writes > 0.0 {
                delivered / writes
            } else {
                0.0
            },
            bytes_sent: grown("tapecast_bytes_sent_total"),
            gaps: grown("tapecast_gaps_total"),
            resyncs_slow: grown("tapecast_resyncs_total/slow"),
            ring_overruns: grown("tapecast_ring_overruns_total"),
            handshakes_refused: grown("tapecast_handshakes_refused_total"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP tapecast_writes_total System calls that wrote
tapecast_writes_total{shard=\"0\"} 10
tapecast_writes_total{shard=\"1\"} 5
tapecast_frames_delivered_total{shard=\"0\"} 30
tapecast_resyncs_total{reason=\"join\",shard=\"0\"} 4
tapecast_resyncs_total{reason=\"slow\",shard=\"0\"} 2
tapecast_resyncs_total{reason=\"slow\",shard=\"1\"} 1
process_open_fds 9
";

    #[test]
    fn counters_are_summed_over_shards_and_told_apart_by_reason() {
        let counters = Counters::parse(TEXT);
        assert!((counters.get("tapecast_writes_total") - 15.0).abs() < 1e-9);
        assert!((counters.get("tapecast_resyncs_total/slow") - 3.0).abs() < 1e-9);
        assert!(counters.get("process_open_fds").abs() < 1e-9);
        let counted = counters.since(&Counters::default());
        assert!((counted.frames_per_write - 2.0).abs() < 1e-9);
        assert!((counted.resyncs_slow - 3.0).abs() < 1e-9);
        assert_eq!(counters.since(&counters), Counted::default());
    }
}
