//! Reads the rows of a recording to events, as a feed reads the messages of its venue: counts them, and gives
//! up the connection after too many refused messages in a row.

use crate::capture::Row;
use crate::event::{Event, FeedEvent};
use crate::metrics::FeedCounters;
use crate::normaliser::Parser;
use crate::venue::Reject;
use std::borrow::Cow;
use tapecast_model::UnixNanos;

/// Reads the rows of a recording.
pub(crate) struct RowReader {
    /// Reads their messages.
    pub(crate) parser: Parser,
    /// Counts them.
    pub(crate) counters: FeedCounters,
    /// Refused messages in a row.
    faults: u32,
}

/// What became of a row, besides its events.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TakenRow {
    /// Why its message was refused, if it was.
    pub(crate) refused: Option<Reject>,
    /// Too many messages in a row were refused: every instrument has got a gap.
    pub(crate) gave_up: bool,
}

/// Refused messages in a row that count as a lost connection.
const REJECTS_IN_A_ROW: u32 = 10;

// === impl RowReader ===

impl RowReader {
    pub(crate) const fn new(parser: Parser, counters: FeedCounters) -> Self {
        Self {
            parser,
            counters,
            faults: 0,
        }
    }

    /// The recording begins again.
    pub(crate) fn reset(&mut self) {
        self.parser.reset();
        self.faults = 0;
    }

    /// Appends the events of a row's message, received at `now`, to `out`, which must be empty.
    pub(crate) fn take(&mut self, row: Row<'_>, now: UnixNanos, out: &mut Vec<Event>) -> TakenRow {
        let message = match row.message {
            Ok(message) => message,
            Err((_, raw)) => {
                self.counters.reject(Reject::Line);
                self.parser.lost(raw, now, out);
                return TakenRow {
                    refused: Some(Reject::Line),
                    gave_up: false,
                };
            }
        };
        self.counters.messages.inc();
        self.counters.bytes.inc_by(message.raw.len() as u64);
        let result = self.parser.parse(message, now, out);
        let asides = self.parser.asides();
        self.counters.count_asides(asides);
        let beside = asides.beside;
        let mut gave_up = false;
        match result {
            Ok(()) => self.faults = 0,
            Err(reject) => {
                self.counters.reject(reject);
                self.faults += u32::from(reject.is_fault() && !beside);
                if self.faults == REJECTS_IN_A_ROW {
                    self.faults = 0;
                    gave_up = true;
                    self.reconnect(now, out);
                }
            }
        }
        TakenRow {
            refused: result.err(),
            gave_up,
        }
    }

    /// What a live feed would do after too many refused messages, as far as a recording can.
    fn reconnect(&mut self, now: UnixNanos, out: &mut Vec<Event>) {
        self.counters.reconnects_rejects.inc();
        self.parser.reset();
        out.clear();
        let gap = FeedEvent::Gap(Cow::Borrowed("ten messages in a row could not be read"));
        self.parser.announce(&gap, now, out);
    }
}
