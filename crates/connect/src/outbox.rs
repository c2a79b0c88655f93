//! What waits to be sent on one line.
//!
//! Any thread puts messages in; the line's task takes them out when its socket has room. The limit is in bytes: a
//! peer that does not read must not cost memory, and a session sends little. An outbox that is over its limit takes
//! nothing more, and the line is closed.

use futures_util::task::AtomicWaker;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use tokio_tungstenite::tungstenite::Message;

/// One line's.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    task: AtomicWaker,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Message>,
    bytes: usize,
    closing: bool,
    full: bool,
}

/// What the line's task is to do.
pub(crate) enum Next {
    /// Write this.
    Write(Message),
    /// Wait.
    Nothing,
    /// Close the connection, once this is written.
    Close(VecDeque<Message>),
    /// Close the connection: the peer does not read.
    Full,
}

impl Outbox {
    /// Puts a message in. Wakes the task.
    pub(crate) fn push(&self, message: Message) {
        let mut state = self.lock();
        if state.closing || state.full {
            return;
        }
        state.bytes += message.len() + MESSAGE_COST;
        if state.bytes > OUTBOX_BYTES_MAX {
            state.full = true;
            state.waiting.clear();
        } else {
            state.waiting.push_back(message);
        }
        drop(state);
        self.task.wake();
    }

    /// Asks the task to close. Wakes it.
    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.task.wake();
    }

    /// Which task to wake. Comes before [`Outbox::next`], so that nothing put in between is missed.
    pub(crate) fn register(&self, waker: &Waker) {
        self.task.register(waker);
    }

    /// What to do. After [`Next::Close`] and [`Next::Full`] the task does not ask again.
    pub(crate) fn next(&self) -> Next {
        let mut state = self.lock();
        if state.closing {
            return Next::Close(std::mem::take(&mut state.waiting));
        }
        if state.full {
            return Next::Full;
        }
        match state.waiting.pop_front() {
            Some(message) => {
                state.bytes -= message.len() + MESSAGE_COST;
                Next::Write(message)
            }
            None => Next::Nothing,
        }
    }

    /// Whether the task has been asked to close, or must.
    pub(crate) fn is_closing(&self) -> bool {
        let state = self.lock();
        state.closing || state.full
    }

    /// Until the task is to close.
    pub(crate) async fn close_asked(&self) {
        poll_fn(|cx| {
            self.register(cx.waker());
            if self.is_closing() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for State {
    /// Without what is to be sent.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("waiting", &self.waiting.len())
            .field("bytes", &self.bytes)
            .field("closing", &self.closing)
            .field("full", &self.full)
            .finish()
    }
}

/// What may wait to be sent on a line.
pub(crate) const OUTBOX_BYTES_MAX: usize = 4 << 20;
/// What a message costs beside its own bytes.
const MESSAGE_COST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_does_not_read_is_limited() {
        let outbox = Outbox::default();
        let text = "x".repeat(1 << 20);
        for _ in 0..100 {
            outbox.push(Message::text(text.clone()));
        }
        assert!(outbox.is_closing());
        assert!(matches!(outbox.next(), Next::Full));
        assert!(outbox.lock().waiting.is_empty());
    }

    #[test]
    fn empty_messages_are_limited_too() {
        let outbox = Outbox::default();
        for _ in 0..100_000 {
            outbox.push(Message::Ping(Vec::new().into()));
        }
        assert!(outbox.is_closing());
    }

    #[test]
    fn what_was_sent_before_a_close_goes_with_it() {
        let outbox = Outbox::default();
        outbox.push(Message::text("one"));
        outbox.close();
        outbox.push(Message::text("two"));
        let Next::Close(rest) = outbox.next() else {
            panic!("it is to close");
        };
        assert_eq!(rest, [Message::text("one")]);
    }
}
