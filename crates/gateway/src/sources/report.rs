//! The states of the sources, as `GET /debug/sources` returns them.

use super::SourceHandle;
use super::handle::SharedReport;
use crate::parts::{Part, State};
use serde::Serialize;
use std::sync::{Arc, PoisonError};
use tapecast_ingest::metrics::FeedCounters;
use tapecast_ingest::session::{LineReport, Sample};
use tapecast_model::Mono;
use tapecast_model::clock::mono_now;

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
    /// Of a live venue.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Connections>,
}

/// The connections of a live venue. Ages and waits are in seconds.
#[derive(Serialize)]
struct Connections {
    instruments: usize,
    books_awaited: usize,
    /// The first of these, by the venue's names.
    awaited: Vec<Box<str>>,
    requests_waiting: usize,
    requests_sent: usize,
    weight_left: u32,
    connects_left: u32,
    /// How old messages are: the median of the last ten seconds, and what is usual.
    delay_s: Option<f64>,
    usual_delay_s: Option<f64>,
    /// How long no request is sent, because the venue has said so.
    paused_s: Option<f64>,
    last_request_failure: Option<String>,
    last_request_failure_s: Option<f64>,
    lines: Vec<Line>,
    /// Some of the messages that could not be read, of the last hour in which there were any.
    bad: Vec<Bad>,
}

/// One line of a live venue.
#[derive(Serialize)]
struct Line {
    line: u32,
    state: &'static str,
    /// How long it has been open.
    age_s: Option<f64>,
    /// When it is tried next.
    next_try_s: Option<f64>,
    wanted: usize,
    unaccepted: usize,
    last_end: Option<String>,
    last_end_s: Option<f64>,
    last_failure: Option<String>,
    last_failure_s: Option<f64>,
}

/// A message that could not be read.
#[derive(Serialize)]
struct Bad {
    reason: &'static str,
    at: Option<String>,
    text: String,
}

/// What a report is made of.
struct Seen {
    number: usize,
    kind: &'static str,
    venue: String,
    part: Arc<Part>,
    counters: FeedCounters,
    details: Option<SharedReport>,
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
        details: handle.details().cloned(),
    };
    let sources: Vec<Seen> = handles.iter().map(seen).collect();
    move || {
        let reports: Vec<Report<'_>> = sources.iter().map(report).collect();
        // Plain fields: it cannot fail.
        serde_json::to_string(&reports).unwrap_or_default()
    }
}

impl Connections {
    fn of(shared: &SharedReport) -> Self {
        let now = mono_now();
        let report = shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let line = |line: LineReport| {
            let open = line.state == "open";
            let (ended, why) = line.last_end.unzip();
            let (failed, failure) = line.last_failure.unzip();
            Line {
                line: line.number,
                state: line.state,
                age_s: open.then(|| seconds(line.at, now)),
                next_try_s: (!open).then(|| seconds(now, line.at)),
                wanted: line.wanted,
                unaccepted: line.unaccepted,
                last_end: why,
                last_end_s: ended.map(|at| seconds(at, now)),
                last_failure: failure,
                last_failure_s: failed.map(|at| seconds(at, now)),
            }
        };
        let (refused, refusal) = report.request_failure.unzip();
        Self {
            last_request_failure: refusal,
            last_request_failure_s: refused.map(|at| seconds(at, now)),
            instruments: report.instruments,
            books_awaited: report.books_awaited,
            awaited: report.awaited,
            requests_waiting: report.requests.0,
            requests_sent: report.requests.1,
            weight_left: report.weight_left,
            connects_left: report.connects_left,
            delay_s: report.delays.0.map(|nanos| nanos as f64 / 1e9),
            usual_delay_s: report.delays.1.map(|nanos| nanos as f64 / 1e9),
            paused_s: report.paused_until.map(|until| seconds(now, until)),
            lines: report.lines.into_iter().map(line).collect(),
            bad: report.bad.into_iter().map(Bad::of).collect(),
        }
    }
}

impl Bad {
    fn of(sample: Sample) -> Self {
        Self {
            reason: sample.reason,
            at: crate::admin::time(sample.at),
            text: sample.text,
        }
    }
}

/// From one moment to another; 0 if it is past.
fn seconds(from: Mono, to: Mono) -> f64 {
    if to > from {
        (to - from).as_secs_f64()
    } else {
        0.0
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
        session: seen.details.as_ref().map(Connections::of),
    }
}
