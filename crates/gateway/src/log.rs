//! The log: lines go through a bounded queue to a thread that writes them. No other thread waits for the
//! reader of the log.
//!
//! A thread that logs puts its line into the queue and continues. Standard error may be closed, on a full
//! disk, or a pipe without a reader: the process continues, and ends normally.
//!
//! # Full, late and wrong
//! The queue holds [`LINES_MAX`] lines and [`BYTES_MAX`] bytes. A line above these limits is lost, and so
//! is a line that cannot be written. Both are counted in `tapecast_log_lines_lost_total`; before the next
//! line that can be written, a line says how many were lost. At the end of the process, [`Log::finish`]
//! waits a limited time for the remaining lines.
//!
//! We did not use `tracing-appender`: it limits lines but not bytes, does not count lines that it fails
//! to write, and may print to a closed stream when its guard is dropped.

use crossbeam_channel::{Receiver, Sender};
use prometheus::{IntCounter, Registry};
use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tapecast_model::RateLimit;
use tapecast_model::clock::{mono_now, unix_now};
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait to be written.
pub const LINES_MAX: usize = 8_192;
/// Bytes that may wait to be written.
pub const BYTES_MAX: usize = 4 << 20;

/// Where lines are handed over.
#[derive(Clone, Debug)]
pub struct Log {
    lines: Sender<Vec<u8>>,
    /// What was handed over and is neither written nor given up.
    waiting: Arc<Waiting>,
    lost: IntCounter,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: AtomicUsize,
    bytes: AtomicUsize,
}

/// What one thread of the log does.
struct Writer<W> {
    out: W,
    lines: Receiver<Vec<u8>>,
    waiting: Arc<Waiting>,
    lost: IntCounter,
    /// How many of the lost lines the log has told of.
    told: u64,
}

/// Lines of this process's log that were lost.
pub static LOST: LazyLock<IntCounter> = LazyLock::new(|| {
    let name = "tapecast_log_lines_lost_total";
    let help = "Log lines that were lost: the queue had no room, or they could not be written";
    #[expect(clippy::expect_used, reason = "fails only if the name is no name")]
    IntCounter::new(name, help).expect("a name")
});

/// Panics of this process, in whatever thread or task: those of parts are healed or end the process, any
/// other costs the connection or the request that it was in.
pub static PANICS: LazyLock<IntCounter> = LazyLock::new(|| {
    let name = "tapecast_panics_total";
    let help = "Panics of threads and tasks: each is a fault of this program";
    #[expect(clippy::expect_used, reason = "fails only if the name is no name")]
    IntCounter::new(name, help).expect("a name")
});

/// Registers what the log counts.
///
/// # Errors
/// If a name is registered already.
pub fn register(registry: &Registry) -> Result<(), prometheus::Error> {
    registry.register(Box::new(LOST.clone()))?;
    registry.register(Box::new(PANICS.clone()))
}

/// Changes the filter of the log.
pub type SetFilter = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// Starts the log of the process: to standard error, panics included.
///
/// # Errors
/// If the filter is none, the log was started before, or the system gives no thread.
pub fn start(filter: &str) -> Result<(Log, SetFilter), String> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .map_err(|error| format!("log.filter: {error}"))?;
    // A copy of the descriptor: whoever is stuck in writing to it holds no lock that others need.
    let stderr = io::stderr().as_fd().try_clone_to_owned();
    let stderr = stderr.map_err(|error| format!("standard error: {error}"))?;
    let log =
        Log::new(File::from(stderr), LOST.clone()).map_err(|error| format!("log: {error}"))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log.clone())
        .with_ansi(io::stderr().is_terminal())
        .with_filter_reloading();
    let handle = subscriber.reload_handle();
    let subscriber = subscriber.finish();
    tracing::subscriber::set_global_default(subscriber).map_err(|error| error.to_string())?;
    // The usual hook writes to standard error, and so may wait for whoever reads it.
    let limit = RateLimit::of_log_lines();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.inc();
        let Some(more) = limit.pass(mono_now()) else {
            return;
        };
        let thread = std::thread::current();
        let place = panic.location().map(ToString::to_string);
        let message = crate::parts::words(panic.payload());
        tracing::error!(thread = thread.name(), place, message, more, "Panic");
    }));
    let set = move |filter: &str| {
        let filter = tracing_subscriber::EnvFilter::try_new(filter);
        let filter = filter.map_err(|error| format!("log.filter: {error}"))?;
        handle.reload(filter).map_err(|error| error.to_string())
    };
    Ok((log, Box::new(set)))
}

// === impl Log ===

impl Log {
    /// Starts a thread that writes lines to `out`.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn new(out: impl Write + Send + 'static, lost: IntCounter) -> io::Result<Self> {
        let (lines, receiver) = crossbeam_channel::bounded(LINES_MAX);
        let waiting = Arc::new(Waiting::default());
        let mut writer = Writer {
            out,
            lines: receiver,
            waiting: Arc::clone(&waiting),
            told: lost.get(),
            lost: lost.clone(),
        };
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || {
                // A panic costs the line at hand: nobody could be told of it but by this thread.
                while catch_unwind(AssertUnwindSafe(|| writer.run())).is_err() {
                    writer.lost.inc();
                }
            })?;
        Ok(Self {
            lines,
            waiting,
            lost,
        })
    }

    /// Hands over a line; never waits.
    fn hand_over(&self, line: &[u8]) {
        let bytes = self.waiting.bytes.fetch_add(line.len(), Ordering::Relaxed);
        self.waiting.lines.fetch_add(1, Ordering::Relaxed);
        let fits = bytes + line.len() <= BYTES_MAX;
        if !fits || self.lines.try_send(line.to_vec()).is_err() {
            self.waiting.done(line.len());
            self.lost.inc();
        }
    }

    /// Waits until everything is written, at most for `patience`. Returns whether it is.
    pub fn finish(&self, patience: Duration) -> bool {
        let until = mono_now().after(patience);
        while self.waiting.lines.load(Ordering::Acquire) > 0 {
            if mono_now() >= until {
                return false;
            }
            std::thread::sleep(FINISH_CHECK);
        }
        true
    }
}

impl Write for Log {
    /// The formatter writes each line at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.hand_over(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

// === impl Writer ===

impl<W: Write> Writer<W> {
    /// Writes until no thread can send a line any more.
    fn run(&mut self) {
        while let Ok(line) = self.lines.recv() {
            let taken = Taken {
                waiting: Arc::clone(&self.waiting),
                bytes: line.len(),
            };
            self.tell_of_lost();
            if self.out.write_all(&line).is_err() {
                self.lost.inc();
            }
            drop(taken);
        }
    }

    fn tell_of_lost(&mut self) {
        let lost = self.lost.get();
        if lost == self.told {
            return;
        }
        let time = jiff::Timestamp::from_nanosecond(i128::from(unix_now().get()));
        let time = time.unwrap_or_default();
        let lines = lost - self.told;
        let line =
            format!("{time}  WARN tapecast::log: Lines of the log were lost lines={lines}\n");
        if self.out.write_all(line.as_bytes()).is_ok() {
            self.told = lost;
        }
    }
}

/// A line that the writer has in hand: done with, also by a panic.
struct Taken {
    waiting: Arc<Waiting>,
    bytes: usize,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.waiting.done(self.bytes);
    }
}

impl Waiting {
    fn done(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.lines.fetch_sub(1, Ordering::Release);
    }
}

/// How often [`Log::finish`] looks.
const FINISH_CHECK: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, PoisonError};

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Writes into memory, once it is let; fails or panics on lines that say so.
    #[derive(Clone, Default)]
    struct Sink {
        text: Arc<Mutex<String>>,
        held: Arc<Mutex<()>>,
    }

    impl Write for Sink {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _open = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let line = std::str::from_utf8(line).unwrap();
            match line {
                "fail\n" => return Err(io::ErrorKind::StorageFull.into()),
                "panic\n" => panic!("as the test wants it"),
                line => self.text.lock().unwrap().push_str(line),
            }
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log(sink: &Sink) -> (Log, IntCounter) {
        let lost = IntCounter::new("lost", "lost").unwrap();
        (Log::new(sink.clone(), lost.clone()).unwrap(), lost)
    }

    fn say(log: &Log, line: &str) {
        log.clone().write_all(line.as_bytes()).unwrap();
    }

    /// How many lost lines the text tells of. The writer may tell of them in several parts: it takes a
    /// line whenever its thread runs.
    fn told(text: &str) -> u64 {
        text.lines()
            .filter_map(|line| line.split_once("were lost lines=")?.1.parse::<u64>().ok())
            .sum()
    }

    #[test]
    fn lines_are_written_in_order_and_the_end_waits_for_them() {
        let sink = Sink::default();
        let (log, lost) = log(&sink);
        say(&log, "one\n");
        say(&log, "two\n");
        assert!(log.finish(PATIENCE));
        assert_eq!(*sink.text.lock().unwrap(), "one\ntwo\n");
        assert_eq!(lost.get(), 0);
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_told_once_it_can() {
        let sink = Sink::default();
        let (log, lost) = log(&sink);
        for line in ["fail\n", "panic\n", "fail\n", "good\n", "more\n"] {
            say(&log, line);
        }
        assert!(log.finish(PATIENCE));
        assert_eq!(lost.get(), 3);
        let text = sink.text.lock().unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(told(&text), 3, "{text}");
        assert_eq!(lines[lines.len() - 2..], ["good", "more"], "{text}");
    }

    #[test]
    fn while_nobody_reads_nobody_waits_and_memory_is_bounded() {
        let sink = Sink::default();
        let (log, lost) = log(&sink);
        let held = sink.held.lock().unwrap();
        let line = format!("{}\n", "x".repeat(99));
        for _ in 0..2 * LINES_MAX {
            say(&log, &line);
        }
        // One more may be in the writer's hand.
        let kept = 2 * LINES_MAX as u64 - lost.get();
        assert!(
            (LINES_MAX as u64..=LINES_MAX as u64 + 1).contains(&kept),
            "{kept}"
        );
        assert!(!log.finish(Duration::from_millis(10)));
        drop(held);
        assert!(log.finish(PATIENCE));
        let text = sink.text.lock().unwrap();
        assert_eq!(
            text.lines().filter(|line| line.starts_with('x')).count() as u64,
            kept
        );
        assert_eq!(told(&text), lost.get());
    }

    #[test]
    fn long_lines_are_bounded_in_bytes() {
        let sink = Sink::default();
        let (log, lost) = log(&sink);
        let held = sink.held.lock().unwrap();
        let line = "x".repeat(BYTES_MAX / 4);
        for _ in 0..10 {
            say(&log, &line);
        }
        assert_eq!(lost.get(), 6);
        drop(held);
        assert!(log.finish(PATIENCE));
    }

    #[test]
    fn it_takes_the_lines_of_tracing() {
        let sink = Sink::default();
        let (log, _) = log(&sink);
        let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
        tracing::subscriber::with_default(subscriber, || tracing::info!(answer = 42, "Asked"));
        assert!(log.finish(PATIENCE));
        let text = sink.text.lock().unwrap();
        assert!(
            text.contains("Asked") && text.lines().count() == 1,
            "{text}"
        );
    }
}
