//! Messages of a connection that come late, in order.

use std::time::Duration;

/// How late the messages of a connection are.
#[derive(Debug, Default)]
pub(crate) struct Late {
    until: Duration,
    /// When the last message that was late comes.
    last: Duration,
}

// === impl Late ===

impl Late {
    /// Messages are late from now on, for half a minute.
    pub(crate) fn begin(&mut self, now: Duration) {
        self.until = now + LATE_FOR;
    }

    /// When a message that is sent now arrives, if that is later: messages of a late connection stay in order.
    pub(crate) fn of(&mut self, now: Duration) -> Option<Duration> {
        let at = if now < self.until {
            now + LATE_BY
        } else {
            self.last
        };
        self.last = self.last.max(at);
        // At the very moment of the last late message, others of that moment may still wait.
        let waits = self.last > Duration::ZERO && self.last >= now;
        waits.then_some(self.last)
    }
}

/// A late connection is late for so long.
const LATE_FOR: Duration = Duration::from_secs(30);
/// Messages of a late connection are so late.
const LATE_BY: Duration = Duration::from_secs(5);
