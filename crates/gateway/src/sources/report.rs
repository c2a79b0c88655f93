//! The states of the sources, as `GET /debug/sources` returns them.

use super::SourceHandle;
use crate::parts::{Part, State};
use serde::Serialize;
use std::sync::Arc;
use tapecast_ingest::metrics::FeedCounters;

/// One source.
#[derive(Serialize)]
struct Report<'a> {
    source: usize,
    kind: &'static str,
    venue: &'a str,
    state: &'static str,
    reason: String,
    /// RFC 3339.
    since: Option<String>,
    restarts: u64,
    /// Of all sources of its venue.
    messages: u64,
    rejected: u64,
}

/// What a report is made of.
struct Seen {
    number: usize,
    kind: &'static str,
    venue: String,
    part: Arc<Part>,
    counters: FeedCounters,
}

/// Something that reports on these sources, also when they are held elsewhere.
pub(super) fn reporter(
    handles: &[SourceHandle],
) -> impl Fn() -> String + Send + Sync + 'static + use<> {
    let seen = |handle: &SourceHandle| Seen {
        number: handle.number(),
        kind: handle.kind(),
        venue: handle.venue().as_str().to_owned(),
        part: Arc::clone(handle.part()),
        counters: handle.counters().clone(),
    };
    let sources: Vec<Seen> = handles.iter().map(seen).collect();
    move || {
        let reports: Vec<Report<'_>> = sources.iter().map(report).collect();
        // Plain fields: it cannot fail.
        serde_json::to_string(&reports).unwrap_or_default()
    }
}

fn report(seen: &Seen) -> Report<'_> {
    let (state, since) = seen.part.state();
    let (state, reason) = match state {
        State::Starting => ("starting", String::new()),
        State::Waiting(what) => ("waiting", what.to_owned()),
        State::Up => ("up", String::new()),
        State::Down(reason) => ("down", reason),
        State::Ended(reason) => ("ended", reason.to_owned()),
    };
    Report {
        source: seen.number,
        kind: seen.kind,
        venue: &seen.venue,
        state,
        reason,
        since: crate::admin::time(since),
        restarts: seen.part.restarts(),
        messages: seen.counters.messages.get(),
        rejected: seen.counters.rejected_in_all(),
    }
}
