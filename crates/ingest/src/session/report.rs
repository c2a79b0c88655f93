//! What a session says of itself, for people who look.

use super::line::Phase;
use super::{Sample, Session};
use tapecast_model::Mono;

/// A session as it is.
#[derive(Clone, Debug, Default)]
pub struct SessionReport {
    /// Each line.
    pub lines: Vec<LineReport>,
    /// Instruments that are served.
    pub instruments: usize,
    /// Books that wait for a snapshot.
    pub books_awaited: usize,
    /// The first of these, by the venue's names.
    pub awaited: Vec<Box<str>>,
    /// Requests that wait, and that are on their way.
    pub requests: (usize, usize),
    /// Weight of requests that is left.
    pub weight_left: u32,
    /// Attempts to connect that are left.
    pub connects_left: u32,
    /// How old messages are, in nanoseconds: the median of the last ten seconds, and what is usual.
    pub delays: (Option<i64>, Option<i64>),
    /// Until when no request is sent, because the venue has said so.
    pub paused_until: Option<Mono>,
    /// When and why the last request failed.
    pub request_failure: Option<(Mono, String)>,
    /// Some of the messages that could not be read.
    pub bad: Vec<Sample>,
}

/// A line as it is.
#[derive(Clone, Debug)]
pub struct LineReport {
    /// Its number.
    pub number: u32,
    /// `waiting`, `connecting`, `open`.
    pub state: &'static str,
    /// Since when it is open, or when it is tried next.
    pub at: Mono,
    /// Streams that are wanted.
    pub wanted: usize,
    /// Streams that the venue has not accepted.
    pub unaccepted: usize,
    /// When and why the one before it ended.
    pub last_end: Option<(Mono, String)>,
    /// When and why the last attempt to connect failed.
    pub last_failure: Option<(Mono, String)>,
}

/// Names of instruments that wait in a report.
const AWAITED_MAX: usize = 10;

impl SessionReport {
    /// Why there is no connection; none if there is one.
    pub fn down(&self) -> Option<String> {
        if self.lines.iter().any(|line| line.state == "open") {
            return None;
        }
        let lines = self.lines.iter();
        let failures = lines.flat_map(|line| [line.last_failure.as_ref(), line.last_end.as_ref()]);
        let newest = failures.flatten().max_by_key(|(at, _)| *at);
        let why = newest.or(self.request_failure.as_ref());
        Some(why.map_or_else(|| "no connection yet".to_owned(), |(_, why)| why.clone()))
    }
}

impl Session {
    /// How it is now.
    pub fn report(&mut self) -> SessionReport {
        let line = |(number, line): (&u32, &super::Line)| {
            let (state, at) = match line.phase {
                Phase::Waiting(until) => ("waiting", until),
                Phase::Connecting(until) => ("connecting", until),
                Phase::Open => ("open", line.opened),
            };
            LineReport {
                number: *number,
                state,
                at,
                wanted: line.subscriptions.len(),
                unaccepted: line.unaccepted(),
                last_end: line.last_end.clone(),
                last_failure: line.last_failure.clone(),
            }
        };
        let awaited = self.instruments.iter().filter(|i| i.book.is_awaiting());
        let first = awaited.clone().take(AWAITED_MAX);
        SessionReport {
            lines: self.lines.iter().map(line).collect(),
            instruments: self.instruments.len(),
            books_awaited: awaited.count(),
            awaited: first.map(|instrument| instrument.native.clone()).collect(),
            requests: self.requests.counts(),
            weight_left: self.requests.weight_left(self.now),
            connects_left: self.connects.left(self.now),
            delays: self.freshness.delays(),
            paused_until: self.requests.paused_until(self.now),
            request_failure: self.request_failure.clone(),
            bad: self.samples.kept().to_vec(),
        }
    }
}
