//! The beginning of a book whose snapshot does not come in the stream.
//!
//! Every state but the last has a request that waits or is on its way, so it has a deadline and a way back: an answer,
//! a failure that is tried again, or a new line, with which it all begins again. The pipeline keeps the changes that
//! come before the snapshot, and finds out whether the book is right; here is only what must be asked.

use tapecast_model::Mono;

/// How far a book is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BookStart {
    state: State,
    /// The first number of the first change of this life of its stream.
    first: Option<u64>,
    /// What the venue had when it was asked whether a silent book is right, and until when the stream must have
    /// come as far.
    probe: Option<(u64, Mono)>,
    /// A snapshot is asked for then, or when the first change has come: what is older than the stream can only be told
    /// by a change. None: it has been asked for.
    ask_at: Option<Mono>,
    /// Snapshots that were passed on, as the pipeline counts them.
    pub(super) snapshots: u64,
    /// Snapshots in a row that were older than the stream.
    pub(super) too_old: u32,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    /// There is no stream.
    #[default]
    None,
    /// There is a stream, and no snapshot of it.
    Awaiting,
    /// There is a book.
    Good,
}

/// What a snapshot is worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Worth {
    /// The book begins with it.
    Begins,
    /// It is older than the stream: something is missing in between.
    TooOld,
    /// The book has come as far: nothing has happened at the venue.
    Quiet,
    /// The venue is ahead of the stream; the stream may still come as far.
    AheadOfStream,
    /// The stream is ahead of the snapshot, which says nothing.
    Behind,
}

// === impl BookStart ===

impl BookStart {
    /// The stream begins, or begins anew; without a change, its snapshot is asked for at this time, if it does not
    /// come in the stream.
    pub(super) fn begin(&mut self, ask_at: Option<Mono>) {
        (self.state, self.first, self.probe) = (State::Awaiting, None, None);
        self.ask_at = ask_at;
        self.too_old = 0;
    }

    /// The stream has ended.
    pub(super) fn end(&mut self) {
        (self.state, self.first, self.probe) = (State::None, None, None);
        self.ask_at = None;
    }

    /// Another snapshot is needed, of the same stream.
    pub(super) fn need(&mut self) {
        if self.state == State::Good {
            (self.state, self.first, self.probe) = (State::Awaiting, None, None);
            self.too_old = 0;
        }
    }

    /// A snapshot came in the stream.
    pub(super) fn set_good(&mut self) {
        self.state = State::Good;
    }

    /// Whether a snapshot is needed.
    pub(super) fn is_awaiting(&self) -> bool {
        self.state == State::Awaiting
    }

    /// Whether there is a book.
    pub(super) fn is_good(&self) -> bool {
        self.state == State::Good
    }

    /// A change of the stream came. Returns whether a snapshot must be asked for now.
    pub(super) fn note_change(&mut self, first: u64) -> bool {
        if self.first.is_none() {
            self.first = Some(first);
        }
        self.ask_at.take().is_some()
    }

    /// When a snapshot must be asked for, if no change comes before.
    pub(super) fn ask_at(&self) -> Option<Mono> {
        self.ask_at
    }

    /// Whether a snapshot must be asked for now, without a change.
    pub(super) fn is_due(&mut self, now: Mono) -> bool {
        let due = self.ask_at.is_some_and(|at| at <= now);
        if due {
            self.ask_at = None;
        }
        due
    }

    /// A snapshot with this number came; the last change had `last`.
    pub(super) fn judge(&mut self, number: u64, last: Option<u64>, now: Mono, wait: Mono) -> Worth {
        if self.state == State::Good {
            return match last {
                Some(last) if number < last => Worth::Behind,
                Some(last) if number > last => {
                    self.probe = Some((number, wait.max(now)));
                    Worth::AheadOfStream
                }
                _ => Worth::Quiet,
            };
        }
        if self
            .first
            .is_some_and(|first| number.saturating_add(1) < first)
        {
            self.too_old += 1;
            return Worth::TooOld;
        }
        (self.state, self.too_old) = (State::Good, 0);
        Worth::Begins
    }

    /// When it must be seen whether a silent stream has come as far as its venue.
    pub(super) fn probe_at(&self) -> Option<Mono> {
        self.probe.map(|(_, at)| at)
    }

    /// Whether the stream is dead: its venue had come further a while ago.
    pub(super) fn is_dead(&mut self, last: Option<u64>, now: Mono) -> bool {
        let due = self.probe.filter(|(_, at)| *at <= now);
        let Some((number, _)) = due else { return false };
        self.probe = None;
        last.is_none_or(|last| last < number)
    }
}
