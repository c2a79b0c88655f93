//! The recording of a live source: what its shell reports is written down before the session gets it.

use crate::config::LiveSource;
use std::io;
use std::time::Duration;
use tapecast_connect::{Frame, Report};
use tapecast_ingest::metrics::{FeedCounters, UpstreamEvent};
use tapecast_ingest::recorder::{self, Recorder, RecorderConfig, Room, Scribe};
use tapecast_model::clock::mono_now;
use tapecast_model::{Mono, UnixNanos};

/// What is written down.
pub(super) struct Recording {
    pub(super) scribe: Scribe,
    /// A file has begun whose books have not been asked for.
    needs_books: bool,
    /// When they were asked for last.
    shown: Mono,
    /// Ends, and is waited for, when the scribe is dropped.
    _recorder: Recorder,
}

/// Books are not asked for more often for a recording, however often its files begin.
const BOOKS_EVERY: Duration = Duration::from_secs(60);
/// Where and how its messages are written, if they are.
pub(super) fn recorder_config(source: &LiveSource) -> Option<RecorderConfig> {
    let name = source.venue.as_str();
    let format = source.exchange.connector(source.rules.clone()).format();
    let dir = source.record_dir()?;
    Some(RecorderConfig::new(&dir, name, format.label()))
}

/// Writes down what the shell reports.
pub(super) fn write_down(scribe: &mut Scribe, report: &Report, now: UnixNanos) {
    match report {
        Report::Connected { line } => scribe.opened(*line, now),
        Report::Closed { line, code, reason } => scribe.closed(*line, *code, reason, now),
        Report::Failed { line, failure } => scribe.closed(*line, None, &failure.text, now),
        Report::Message {
            line, frame, wall, ..
        } => match frame {
            Frame::Text(raw) | Frame::Binary(raw) => scribe.message(*line, raw, *wall),
            Frame::Ping(_) | Frame::Pong(_) => {}
        },
        Report::Http {
            id,
            status,
            body,
            wall,
            ..
        } => scribe.answered(*id, *status, body, *wall),
        Report::HttpFailed { id, .. } => scribe.failed(*id),
        // What was dropped, the session says.
        Report::Overflow { .. } => {}
    }
}

// === impl Recording ===

impl Recording {
    /// Starts to write down what a source gets and says, if that is wanted.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(super) fn start(source: &LiveSource, counters: &FeedCounters) -> io::Result<Option<Self>> {
        let Some(config) = recorder_config(source) else {
            return Ok(None);
        };
        let unrecorded = counters.upstream_counter(UpstreamEvent::Unrecorded);
        let (tap, recorder) = recorder::start(config, Room::default(), unrecorded)?;
        Ok(Some(Self {
            scribe: Scribe::new(tap),
            needs_books: false,
            shown: mono_now(),
            _recorder: recorder,
        }))
    }

    /// Whether all books must come once more, because a file has begun that has none.
    pub(super) fn needs_books(&mut self, now: Mono) -> bool {
        self.needs_books |= self.scribe.needs_books();
        let is_due = self.needs_books && now >= self.shown.after(BOOKS_EVERY);
        if is_due {
            (self.needs_books, self.shown) = (false, now);
        }
        is_due
    }
}
