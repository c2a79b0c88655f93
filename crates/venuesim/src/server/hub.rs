//! The venue behind a lock, the real time that it gets, and the sockets that get what it says.

use crate::venue::{Output, Refusal, Venue};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

/// A venue and its sockets.
pub(super) struct Hub<V> {
    inner: Mutex<Inner<V>>,
    tasks: Mutex<JoinSet<()>>,
    /// Rings when the venue may have an earlier deadline.
    bell: Notify,
    start: Instant,
}

struct Inner<V> {
    venue: V,
    sockets: HashMap<u64, Sender<Output>>,
    next: u64,
}

// === impl Hub ===

impl<V: Venue> Hub<V> {
    /// A venue whose time begins now.
    pub(super) fn new(venue: V) -> Self {
        Self {
            inner: Mutex::new(Inner {
                venue,
                sockets: HashMap::new(),
                next: 1,
            }),
            tasks: Mutex::new(JoinSet::new()),
            bell: Notify::new(),
            start: Instant::now(),
        }
    }

    /// Calls the venue, and passes on what it says.
    pub(super) fn call<T>(&self, call: impl FnOnce(&mut V, Duration) -> T) -> T {
        let mut inner = self.lock();
        let answer = call(&mut inner.venue, self.start.elapsed());
        inner.pass_on(self.start.elapsed());
        drop(inner);
        self.bell.notify_one();
        answer
    }

    /// A handshake: the number of the connection, and what it has to do.
    pub(super) fn connect(&self, target: &str) -> Result<(u64, Receiver<Output>), Refusal> {
        let mut inner = self.lock();
        let conn = inner.next;
        inner.next += 1;
        inner.venue.connect(conn, target, self.start.elapsed())?;
        let (sender, receiver) = channel(QUEUED_MAX);
        inner.sockets.insert(conn, sender);
        inner.pass_on(self.start.elapsed());
        drop(inner);
        self.bell.notify_one();
        Ok((conn, receiver))
    }

    /// A client has closed its connection, or it broke.
    pub(super) fn closed(&self, conn: u64) {
        self.call(|venue, now| venue.receive_close(conn, now));
        self.lock().sockets.remove(&conn);
    }

    fn lock(&self) -> MutexGuard<'_, Inner<V>> {
        // A panic of a test's own question does not harm the venue.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Hub<V> {
    /// Runs a task until the server ends.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Ends all tasks.
    pub(super) fn end_tasks(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.abort_all();
    }
}

impl<V> fmt::Debug for Hub<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

// === impl Inner ===

impl<V: Venue> Inner<V> {
    fn pass_on(&mut self, now: Duration) {
        while let Some(output) = self.venue.poll() {
            let conn = output.conn();
            let Some(socket) = self.sockets.get(&conn) else {
                continue;
            };
            let last = matches!(output, Output::Close { .. } | Output::Cut { .. });
            let full = socket.try_send(output).is_err();
            if full {
                // Without a sender the socket is cut.
                self.venue.receive_close(conn, now);
            }
            if full || last {
                self.sockets.remove(&conn);
            }
        }
    }
}

/// Lets the venue do what is due, until it is aborted.
pub(super) async fn drive<V: Venue>(hub: Arc<Hub<V>>) {
    loop {
        let next = {
            let mut inner = hub.lock();
            let now = hub.start.elapsed();
            inner.venue.advance(now);
            inner.pass_on(now);
            inner.venue.next_deadline()
        };
        let rung = hub.bell.notified();
        match next {
            Some(next) => {
                let at = tokio::time::Instant::from_std(hub.start + next);
                tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = rung => {}
                }
            }
            None => rung.await,
        }
    }
}

/// A client whose socket is full may be so many messages behind.
const QUEUED_MAX: usize = 8_192;
