//! Attempts to connect: how many there may be, and what is answered to more. All clients are one address.

use crate::counts::Counts;
use crate::fault::Fault;
use crate::venue::Refusal;
use std::collections::VecDeque;
use std::time::Duration;

/// The attempts of all clients.
#[derive(Debug)]
pub(crate) struct Attempts {
    most: usize,
    window: Duration,
    times: VecDeque<Duration>,
    /// None succeeds before.
    pause_until: Duration,
}

// === impl Attempts ===

impl Attempts {
    /// So many per window are allowed.
    pub(crate) fn new(most: usize, window: Duration) -> Self {
        Self {
            most,
            window,
            times: VecDeque::new(),
            pause_until: Duration::ZERO,
        }
    }

    /// Counts an attempt.
    pub(crate) fn note(&mut self, now: Duration, counts: &mut Counts) {
        counts.attempts += 1;
        let window = self.window;
        let old = |first: &Duration| now - *first >= window;
        while self.times.front().is_some_and(old) {
            self.times.pop_front();
        }
        self.times.push_back(now);
        counts.attempts_max = counts.attempts_max.max(self.times.len());
    }

    /// Whether the attempt that was just counted succeeds.
    pub(crate) fn judge(&self, now: Duration, counts: &mut Counts) -> Result<(), Refusal> {
        if self.pause_until > now {
            counts.impatient += 1;
            return Err(refusal(429, seconds(self.pause_until - now)));
        }
        // What is answered to too many attempts is not documented [U].
        if self.times.len() > self.most {
            counts.refused_attempts += 1;
            let first = self.times.front().copied().unwrap_or(now);
            return Err(refusal(429, seconds(first + self.window - now)));
        }
        Ok(())
    }

    /// What a fault answers to an attempt.
    pub(crate) fn refuse(&mut self, fault: Fault, now: Duration) -> Refusal {
        match fault {
            Fault::ConnectForbidden => Refusal::of(403, "<html>403 Forbidden</html>"),
            Fault::ConnectTooMany => {
                self.pause_until = now + RETRY_AFTER;
                refusal(429, RETRY_AFTER.as_secs())
            }
            _ => Refusal::of(503, "<html>503 Service Unavailable</html>"),
        }
    }
}

/// A refusal with a time to wait, in seconds.
pub(crate) fn refusal(status: u16, retry_after: u64) -> Refusal {
    let mut refusal = Refusal::of(status, "");
    let header = ("retry-after".to_owned(), retry_after.to_string());
    refusal.headers.push(header);
    refusal
}

/// Whole seconds, rounded up.
pub(crate) fn seconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX)
}

/// A client may come back after this time, when a fault has refused it.
const RETRY_AFTER: Duration = Duration::from_secs(3);
