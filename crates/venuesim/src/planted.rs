//! Faults of a venue that wait for something to be applied to, and the log of those that were applied.

use crate::fault::{Fault, Mark};
use crate::script::Applied;
use std::collections::VecDeque;
use std::time::Duration;

/// Faults that wait, and the log.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// For the next handshakes.
    pub(crate) handshakes: VecDeque<Fault>,
    /// For the next requests to subscribe.
    pub(crate) subscribes: VecDeque<Fault>,
    /// For the next requests over HTTP.
    pub(crate) answers: VecDeque<Fault>,
    pub(crate) log: VecDeque<Applied>,
    kept: usize,
    pub(crate) unapplied: u64,
    /// Symbols that faults have listed.
    pub(crate) listed: Vec<String>,
    pub(crate) listed_ever: u32,
}

// === impl Faults ===

impl Faults {
    pub(crate) fn new(kept: usize) -> Self {
        Self {
            kept,
            ..Self::default()
        }
    }

    /// Where a fault waits for a handshake, a subscription or a request; `None` for other faults.
    pub(crate) fn queue(&mut self, fault: Fault) -> Option<&mut VecDeque<Fault>> {
        match fault {
            Fault::ConnectForbidden | Fault::ConnectTooMany | Fault::ConnectUnavailable => {
                Some(&mut self.handshakes)
            }
            Fault::AckWithheld
            | Fault::SubscribeRefused
            | Fault::AckWithoutData
            | Fault::AckTwice
            | Fault::ExceededRate
            | Fault::ThinSnapshot => Some(&mut self.subscribes),
            Fault::StaleSnapshot
            | Fault::RestTooMany
            | Fault::RestBanned
            | Fault::RestRegion
            | Fault::RestServerError
            | Fault::RestTimeout
            | Fault::RestTruncated
            | Fault::RestGarbage => Some(&mut self.answers),
            _ => None,
        }
    }

    /// Whether another fault waits for the same.
    pub(crate) fn waits_already(&mut self, fault: Fault) -> bool {
        self.queue(fault).is_some_and(|queue| !queue.is_empty())
    }

    /// Notes that a fault was applied.
    pub(crate) fn note(
        &mut self,
        (fault, (mark, why)): (Fault, (Mark, &'static str)),
        at: Duration,
        symbol: Option<String>,
        conn: Option<u64>,
    ) {
        self.log.push_back(Applied {
            at,
            fault,
            symbol,
            conn,
            mark,
            why,
        });
        while self.log.len() > self.kept {
            self.log.pop_front();
        }
    }

    /// All that waits.
    pub(crate) fn waiting(&self) -> Vec<Fault> {
        let waiting = self.handshakes.iter().chain(&self.subscribes);
        waiting.chain(&self.answers).copied().collect()
    }
}
