//! What is read of a moment, and what happened between two of them.

use crate::fleet::{Control, Meter, Phase};
use crate::result::Second;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// A moment of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) began: Instant,
    pub(super) at: Duration,
    pub(super) published: u64,
    pub(super) welcomed: u64,
    pub(super) bytes: u64,
    pub(super) slow_bytes: u64,
    pub(super) verified_bytes: u64,
    pub(super) events: u64,
    pub(super) clients: usize,
    pub(super) server_cpu: Duration,
    pub(super) own_cpu: Duration,
    pub(super) rss_kib: u64,
    pub(super) outbox_bytes: Option<f64>,
    pub(super) parked: Option<f64>,
    pub(super) files: Option<u64>,
}

impl Sample {
    /// What the threads show.
    pub(super) fn of_meters(control: &Control, began: Instant) -> Self {
        let sum = |figure: fn(&Meter) -> &AtomicU64| control.sum(figure);
        Self {
            began,
            at: began.elapsed(),
            published: sum(|m| &m.published),
            welcomed: sum(|m| &m.welcomed),
            bytes: sum(|m| &m.bytes),
            slow_bytes: sum(|m| &m.slow_bytes),
            verified_bytes: sum(|m| &m.verified_bytes),
            events: sum(|m| &m.events),
            clients: control.live(),
            server_cpu: Duration::ZERO,
            own_cpu: Duration::ZERO,
            rss_kib: 0,
            outbox_bytes: None,
            parked: None,
            files: None,
        }
    }

    /// The second that lies between an earlier moment and this one.
    pub(super) fn since(&self, last: &Self, phase: Phase) -> Second {
        let seconds = (self.at - last.at).as_secs_f64().max(1e-9);
        let share =
            |now: Duration, before: Duration| now.saturating_sub(before).as_secs_f64() / seconds;
        let bytes = self.bytes - last.bytes;
        let read = bytes - (self.slow_bytes - last.slow_bytes);
        let verified = self.verified_bytes - last.verified_bytes;
        let events = (self.events - last.events) as f64;
        Second {
            at: self.at.as_secs_f64(),
            phase: phase.label().to_owned(),
            clients: self.clients,
            welcomed: self.welcomed - last.welcomed,
            published: self.published - last.published,
            deliveries: match verified {
                0 => 0.0,
                verified => events * read as f64 / verified as f64,
            },
            bytes,
            server_cpu_share: share(self.server_cpu, last.server_cpu),
            harness_cpu_share: share(self.own_cpu, last.own_cpu),
            server_rss_kib: self.rss_kib,
            outbox_bytes: self.outbox_bytes,
            parked: self.parked,
            server_files: self.files,
            ..Second::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_the_difference_of_two_moments() {
        let control = Control::new(1);
        let began = Instant::now();
        let first = Sample {
            at: Duration::from_secs(1),
            ..Sample::of_meters(&control, began)
        };
        let second = Sample {
            at: Duration::from_secs(3),
            bytes: 1_100,
            slow_bytes: 100,
            verified_bytes: 500,
            events: 5,
            server_cpu: Duration::from_secs(1),
            rss_kib: 7,
            ..first
        };
        let second = second.since(&first, Phase::Measuring);
        assert_eq!(
            (second.phase.as_str(), second.server_rss_kib),
            ("measured", 7)
        );
        assert!((second.deliveries - 10.0).abs() < 1e-9);
        assert!((second.server_cpu_share - 0.5).abs() < 1e-9);
    }
}
