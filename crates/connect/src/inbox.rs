//! What waits for the session: a queue per line, taken in turn.
//!
//! The shell's thread puts reports in and the session's thread takes them out. One lock protects all queues; it is
//! held for one report, or for one look at the clock of a queue, and what is dropped is freed after it.
//!
//! # Full
//! A queue is limited by bytes and by the age of its oldest message, which is checked when another message comes. A
//! full queue is emptied: one [`Report::Overflow`] takes the place of the messages, and the new one follows it. A
//! second overflow adds to the first while that waits. Reports that are no messages are never dropped; there is at
//! most one of each kind per connection, and answers are as many as the session has asked for.
//!
//! # In turn
//! A line gives [`REPORTS_IN_TURN`] reports or [`BYTES_IN_TURN`] bytes, then the next one does. The answers to
//! requests have a place like a line.
//!
//! # A line that is closed
//! A number has one living connection at a time. When it is told to close, its messages are dropped here at once,
//! and nothing of it comes in any more except its last report. When the number is connected again before that, the
//! report is made here, and the old connection ends unheard.

use crate::outbox::Outbox;
use crate::report::{Frame, Report};
use crate::socket::Moment;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tapecast_model::Mono;

/// The session's side. When it is dropped, the shell goes on until its `Commands` are dropped too.
#[derive(Debug)]
pub struct Reports(Arc<Inbox>);

/// All queues of one shell.
pub(crate) struct Inbox {
    state: Mutex<State>,
    bell: Condvar,
    queue_bytes: usize,
    queue_age: Duration,
}

#[derive(Default)]
struct State {
    lines: BTreeMap<u32, Line>,
    answers: VecDeque<Report>,
    /// Those with something waiting, each once. The first one's turn it is.
    turn: VecDeque<Whose>,
    /// What the first one has given.
    given: Given,
    generations: u64,
    woken: bool,
    ended: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Whose {
    Line(u32),
    Answers,
}

#[derive(Default)]
struct Given {
    reports: u32,
    bytes: usize,
}

/// The queue of one number, and its connection.
#[derive(Default)]
struct Line {
    waiting: VecDeque<Report>,
    messages: u64,
    bytes: usize,
    living: Option<Living>,
}

/// A connection from the command to its last report.
struct Living {
    generation: u64,
    outbox: Arc<Outbox>,
    closing: bool,
}

// === impl Reports ===

impl Reports {
    pub(crate) const fn new(inbox: Arc<Inbox>) -> Self {
        Self(inbox)
    }

    /// The next report. None after `timeout`, when a [waker](Self::waker) was called, or when the shell has ended
    /// and nothing waits.
    pub fn recv_timeout(&self, timeout: Duration) -> Option<Report> {
        self.0.take(timeout)
    }

    /// Makes [`Reports::recv_timeout`] return None at once, also when reports wait: the present call, or the next
    /// one. For flags that the session's thread must look at.
    pub fn waker(&self) -> impl Fn() + Clone + Send + Sync + use<> {
        let inbox = Arc::clone(&self.0);
        move || inbox.wake()
    }

    /// Messages that wait on a line, and their bytes.
    pub fn queued(&self, line: u32) -> (u64, usize) {
        let state = self.0.lock();
        let line = state.lines.get(&line);
        line.map_or((0, 0), |line| (line.messages, line.bytes))
    }

    /// Whether the shell has ended. What it reported before is still there.
    pub fn has_ended(&self) -> bool {
        self.0.lock().ended
    }
}

// === impl Inbox ===

impl Inbox {
    pub(crate) fn new(queue_bytes: usize, queue_age: Duration) -> Self {
        Self {
            state: Mutex::default(),
            bell: Condvar::new(),
            queue_bytes,
            queue_age,
        }
    }

    /// Begins a connection with this number, and gives the generation that its reports carry. None if the number
    /// has one that is not being closed.
    pub(crate) fn begin(&self, number: u32, outbox: Arc<Outbox>) -> Option<u64> {
        let mut state = self.lock();
        state.generations += 1;
        let generation = state.generations;
        let line = state.lines.entry(number).or_default();
        let before = line.living.as_ref();
        if before.is_some_and(|living| !living.closing) {
            return None;
        }
        let replaced = before.is_some();
        line.living = Some(Living {
            generation,
            outbox,
            closing: false,
        });
        if replaced {
            state.add(
                number,
                Report::Closed {
                    line: number,
                    code: None,
                    reason: "the line was connected again before its close was answered".to_owned(),
                },
            );
            drop(state);
            self.bell.notify_one();
        }
        Some(generation)
    }

    /// What a number's connection has to send, unless it is being closed.
    pub(crate) fn outbox(&self, number: u32) -> Option<Arc<Outbox>> {
        let state = self.lock();
        let living = state.lines.get(&number)?.living.as_ref()?;
        (!living.closing).then(|| Arc::clone(&living.outbox))
    }

    /// Closes a number's connection, if it has one, and drops what it has said.
    pub(crate) fn close(&self, number: u32) {
        let mut state = self.lock();
        let Some(line) = state.lines.get_mut(&number) else {
            return;
        };
        let dropped = line.keep_last();
        if let Some(living) = &mut line.living {
            living.closing = true;
            living.outbox.close();
        }
        state.settle(number);
        drop(state);
        drop(dropped);
    }

    /// Closes all connections.
    pub(crate) fn close_all(&self) {
        let numbers: Vec<u32> = self.lock().lines.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.close(number));
    }

    /// Takes a report of a connection that is no message. It is forgotten if the number has another connection,
    /// or if this one is being closed and the report is not its last.
    pub(crate) fn report(&self, number: u32, generation: u64, report: Report) {
        let mut state = self.lock();
        let Some(living) = state.living(number, generation) else {
            return;
        };
        let report = match report {
            report if !living.closing => report,
            // Who has asked for a close expects its end.
            Report::Failed { line, failure } => Report::Closed {
                line,
                code: None,
                reason: failure.text,
            },
            report if report.is_last() => report,
            _ => return,
        };
        if report.is_last()
            && let Some(line) = state.lines.get_mut(&number)
        {
            line.living = None;
        }
        state.add(number, report);
        drop(state);
        self.bell.notify_one();
    }

    /// Takes a message of a connection.
    pub(crate) fn message(&self, number: u32, generation: u64, frame: Frame, moment: Moment) {
        let mut state = self.lock();
        if state
            .living(number, generation)
            .is_none_or(|living| living.closing)
        {
            return;
        }
        let bytes = frame.payload().len();
        let report = Report::Message {
            line: number,
            frame,
            mono: moment.mono,
            wall: moment.wall,
        };
        let mut dropped = VecDeque::new();
        if let Some(line) = state.lines.get_mut(&number) {
            let full = line.cost() + bytes + MESSAGE_COST > self.queue_bytes;
            let late = line
                .oldest()
                .is_some_and(|oldest| moment.mono - oldest > self.queue_age);
            if full || late {
                dropped = line.overflow(number);
            }
        }
        state.add(number, report);
        // One message alone may be over the limit.
        if let Some(line) = state.lines.get_mut(&number)
            && line.cost() > self.queue_bytes
        {
            dropped.append(&mut line.overflow(number));
        }
        drop(state);
        self.bell.notify_one();
        drop(dropped);
    }

    /// Takes the answer to a request.
    pub(crate) fn answer(&self, report: Report) {
        let mut state = self.lock();
        if state.answers.is_empty() {
            state.turn.push_back(Whose::Answers);
        }
        state.answers.push_back(report);
        drop(state);
        self.bell.notify_one();
    }

    /// No report comes any more.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.bell.notify_all();
    }

    fn wake(&self) {
        self.lock().woken = true;
        self.bell.notify_all();
    }

    fn take(&self, timeout: Duration) -> Option<Report> {
        let mut state = self.lock();
        let mut until = None;
        loop {
            if mem::take(&mut state.woken) {
                return None;
            }
            if let Some(report) = state.next() {
                return Some(report);
            }
            if state.ended {
                return None;
            }
            let now = Instant::now();
            let until = *until.get_or_insert_with(|| now + timeout.min(WAIT_MAX));
            let left = until.saturating_duration_since(now);
            if left.is_zero() {
                return None;
            }
            let waited = self.bell.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

// === impl State ===

impl State {
    /// A number's connection, if it is this one.
    fn living(&self, number: u32, generation: u64) -> Option<&Living> {
        let living = self.lines.get(&number)?.living.as_ref()?;
        (living.generation == generation).then_some(living)
    }

    fn add(&mut self, number: u32, report: Report) {
        let line = self.lines.entry(number).or_default();
        if line.waiting.is_empty() {
            self.turn.push_back(Whose::Line(number));
        }
        line.add(report);
    }

    fn next(&mut self) -> Option<Report> {
        let whose = *self.turn.front()?;
        let (report, rest) = match whose {
            Whose::Answers => (self.answers.pop_front(), self.answers.len()),
            Whose::Line(number) => match self.lines.get_mut(&number) {
                Some(line) => (line.take(), line.waiting.len()),
                None => (None, 0),
            },
        };
        self.given.reports += 1;
        self.given.bytes += match &report {
            Some(Report::Message { frame, .. }) => frame.payload().len(),
            Some(Report::Http { body, .. }) => body.len(),
            _ => 0,
        };
        if rest == 0 {
            self.pass_on();
            if let Whose::Line(number) = whose {
                self.forget(number);
            }
        } else if self.given.reports >= REPORTS_IN_TURN || self.given.bytes >= BYTES_IN_TURN {
            self.pass_on();
            self.turn.push_back(whose);
        }
        report
    }

    /// The turn of the first one is over.
    fn pass_on(&mut self) {
        self.turn.pop_front();
        self.given = Given::default();
    }

    /// After something was dropped from a queue: an empty one has no turn.
    fn settle(&mut self, number: u32) {
        let empty = |line: &Line| line.waiting.is_empty();
        if self.lines.get(&number).is_none_or(empty) {
            if self.turn.front() == Some(&Whose::Line(number)) {
                self.pass_on();
            }
            self.turn.retain(|whose| *whose != Whose::Line(number));
            self.forget(number);
        }
    }

    /// A number without connection and reports is not kept.
    fn forget(&mut self, number: u32) {
        let unused = |line: &Line| line.waiting.is_empty() && line.living.is_none();
        if self.lines.get(&number).is_some_and(unused) {
            self.lines.remove(&number);
        }
    }
}

// === impl Line ===

impl Line {
    fn add(&mut self, report: Report) {
        self.count(&report, true);
        self.waiting.push_back(report);
    }

    fn take(&mut self) -> Option<Report> {
        let report = self.waiting.pop_front()?;
        self.count(&report, false);
        // The room for a rush is not kept.
        if self.waiting.is_empty() && self.waiting.capacity() > ROOM_KEPT {
            self.waiting = VecDeque::new();
        }
        Some(report)
    }

    fn count(&mut self, report: &Report, comes: bool) {
        if let Report::Message { frame, .. } = report {
            let bytes = frame.payload().len();
            if comes {
                self.messages += 1;
                self.bytes += bytes;
            } else {
                self.messages -= 1;
                self.bytes -= bytes;
            }
        }
    }

    /// What the queue holds, with what a message costs beside its bytes.
    fn cost(&self) -> usize {
        let messages = usize::try_from(self.messages).unwrap_or(usize::MAX);
        self.bytes
            .saturating_add(messages.saturating_mul(MESSAGE_COST))
    }

    /// When the oldest message came.
    fn oldest(&self) -> Option<Mono> {
        self.waiting.iter().find_map(|report| match report {
            Report::Message { mono, .. } => Some(*mono),
            _ => None,
        })
    }

    /// Empties the queue, with a word in place of each row of messages. Gives what is dropped.
    fn overflow(&mut self, line: u32) -> VecDeque<Report> {
        let mut dropped = VecDeque::new();
        let mut lost = (0, 0);
        let word = |(messages, bytes)| Report::Overflow {
            line,
            messages,
            bytes,
        };
        for report in mem::take(&mut self.waiting) {
            match report {
                Report::Message { ref frame, .. } => {
                    lost = (lost.0 + 1, lost.1 + frame.payload().len() as u64);
                    dropped.push_back(report);
                }
                Report::Overflow {
                    messages, bytes, ..
                } => lost = (lost.0 + messages, lost.1 + bytes),
                report => {
                    if lost.0 > 0 {
                        self.waiting.push_back(word(mem::take(&mut lost)));
                    }
                    self.waiting.push_back(report);
                }
            }
        }
        if lost.0 > 0 {
            self.waiting.push_back(word(lost));
        }
        (self.messages, self.bytes) = (0, 0);
        dropped
    }

    /// Drops all reports except the last ones of connections that have ended. Gives what is dropped.
    fn keep_last(&mut self) -> VecDeque<Report> {
        let waiting = mem::take(&mut self.waiting);
        let (kept, dropped) = waiting.into_iter().partition(Report::is_last);
        self.waiting = kept;
        (self.messages, self.bytes) = (0, 0);
        dropped
    }
}

/// Reports that one line gives before the next one does.
const REPORTS_IN_TURN: u32 = 64;
/// Bytes of messages that one line gives before the next one does; one more than that may be a large one.
const BYTES_IN_TURN: usize = 256 << 10;
/// What a message costs beside its own bytes: its place in the queue, and what the allocator adds.
const MESSAGE_COST: usize = 128;
/// Places that an empty queue keeps.
const ROOM_KEPT: usize = 1_024;
/// The longest wait; a longer one is cut, so that the clock does not overflow.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests;
