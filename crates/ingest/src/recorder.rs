//! Writes down what came from a venue and what was sent to it, in files that a replay reads.
//!
//! A [`Tap`] takes rows and never waits; a thread of its own writes them ([`start`]). Files are zstd JSON lines in
//! the format of [`crate::capture`]. Messages are rows with `ts`, `raw` and `line`; answers to requests also have `http`
//! and `symbol`. All else has one key, `tapecast`: see [`crate::aside`]. A [`Scribe`] makes the rows of a session.
//!
//! Each file begins with what is known: instruments, open lines, what was asked for on them. Whoever owns the session
//! sees [`Tap::begun`] and lets it show all books once more, so that each file can be replayed alone.
//!
//! # Full and wrong
//! What waits is bounded in rows and bytes. What does not fit is dropped, counted, and said in the file by a row
//! where it is missing. A file that cannot be written is given up, what is not written is counted in the same way,
//! and another file is tried a second later, and then less often. Nobody else waits for the disk.
//!
//! # After a crash
//! What is older than [`FLUSH_EVERY`] is in the file. A zstd frame that is not finished ends with an item that says so.
//!
//! It knows no venue.

mod row;
mod scribe;
mod writer;

pub use row::Row;
pub use scribe::Scribe;
pub use writer::{RecorderConfig, Writer};

use crate::aside::What;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use prometheus::IntCounter;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tapecast_model::clock::{mono_now, unix_now};

/// What has waited so long is written.
pub const FLUSH_EVERY: Duration = Duration::from_millis(500);

/// Where rows are given to the recorder. It never waits.
#[derive(Debug)]
pub struct Tap {
    rows: Sender<Row>,
    shared: Arc<Shared>,
    bytes_max: usize,
}

/// A thread that writes. It ends when its [`Tap`] is dropped; whoever drops this waits for that.
#[derive(Debug)]
pub struct Recorder(Option<JoinHandle<()>>);

#[derive(Debug)]
struct Shared {
    /// Bytes that wait.
    waiting: AtomicUsize,
    /// Rows that were dropped and are not yet said in the file.
    unsaid: AtomicU64,
    /// Files that were begun.
    begun: AtomicU64,
    dropped: IntCounter,
}

/// Room for what waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Room {
    /// Rows.
    pub rows: usize,
    /// Their bytes.
    pub bytes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            rows: 65_536,
            bytes: 128 << 20,
        }
    }
}

/// Starts a recorder. `dropped` counts rows that are not in any file.
///
/// # Errors
/// If the system gives no thread. A directory that cannot be written costs rows.
pub fn start(
    config: RecorderConfig,
    room: Room,
    dropped: &IntCounter,
) -> io::Result<(Tap, Recorder)> {
    let writer = Writer::new(config);
    let (tap, rows) = tap(room, dropped);
    let shared = Arc::clone(&tap.shared);
    let thread = std::thread::Builder::new().name("recorder".to_owned());
    let thread = thread.spawn(move || write(writer, &rows, &shared))?;
    Ok((tap, Recorder(Some(thread))))
}

fn tap(room: Room, dropped: &IntCounter) -> (Tap, Receiver<Row>) {
    let (tx, rows) = bounded(room.rows.max(1));
    let shared = Arc::new(Shared {
        waiting: AtomicUsize::new(0),
        unsaid: AtomicU64::new(0),
        begun: AtomicU64::new(0),
        dropped: dropped.clone(),
    });
    let tap = Tap {
        rows: tx,
        shared,
        bytes_max: room.bytes,
    };
    (tap, rows)
}

/// The body of the thread.
fn write(mut writer: Writer, rows: &Receiver<Row>, shared: &Shared) {
    loop {
        let got = rows.recv_timeout(FLUSH_EVERY);
        let now = mono_now();
        match got {
            Ok(row) => {
                shared.waiting.fetch_sub(row.bytes(), Ordering::Relaxed);
                shared.dropped.inc_by(writer.write(row, now));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        shared.dropped.inc_by(writer.handle_time(now));
        shared.begun.store(writer.begun(), Ordering::Relaxed);
    }
    let rows = shared.unsaid.swap(0, Ordering::Relaxed);
    if rows > 0 {
        let row = Row::aside(unix_now(), What::Dropped { rows });
        shared.dropped.inc_by(writer.write(row, mono_now()));
    }
    shared.dropped.inc_by(writer.finish());
}

// === impl Tap ===

impl Tap {
    /// Gives a row to the recorder, or drops it if there is no room.
    pub fn put(&self, row: Row) {
        let unsaid = self.shared.unsaid.swap(0, Ordering::Relaxed);
        if unsaid > 0 {
            let rows = unsaid;
            if !self.try_put(Row::aside(row.at(), What::Dropped { rows })) {
                self.shared.unsaid.fetch_add(unsaid, Ordering::Relaxed);
                return self.drop_one();
            }
        }
        if !self.try_put(row) {
            self.drop_one();
        }
    }

    /// Files that were begun. A new one has no books yet.
    pub fn begun(&self) -> u64 {
        self.shared.begun.load(Ordering::Relaxed)
    }

    fn drop_one(&self) {
        self.shared.unsaid.fetch_add(1, Ordering::Relaxed);
        self.shared.dropped.inc();
    }

    fn try_put(&self, row: Row) -> bool {
        let bytes = row.bytes();
        let waiting = self.shared.waiting.fetch_add(bytes, Ordering::Relaxed);
        let fits = waiting.saturating_add(bytes) <= self.bytes_max;
        let put = fits
            && match self.rows.try_send(row) {
                Ok(()) => true,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
            };
        if !put {
            self.shared.waiting.fetch_sub(bytes, Ordering::Relaxed);
        }
        put
    }
}

// === impl Recorder ===

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take()
            && thread.join().is_err()
        {
            tracing::error!("The thread of a recorder panicked");
        }
    }
}

#[cfg(test)]
mod tests;
