//! One thread with one runtime, and the commands to it.
//!
//! Every line and every request is a task. A command goes straight to its task: into the outbox of a line, or as a
//! new task; there is no queue of commands in between that could fill up.
//!
//! # The end
//! When the commands are dropped, all lines are closed as by `Close`, and requests end. After the close timeout at
//! the latest the thread ends, also if a name look-up hangs.

use crate::command::Command;
use crate::config::ConnectConfig;
use crate::dial::{Dialer, LOOKUPS_AT_ONCE};
use crate::error::ConnectError;
use crate::inbox::{Inbox, Reports};
use crate::line::{self, LineLimits, Presence};
use crate::outbox::Outbox;
use crate::request::{self, Query, RequestLimits};
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tracing::debug;

/// The shell. It has no value of its own: there are [`Commands`] to it and [`Reports`] from it.
#[derive(Debug)]
pub enum Shell {}

/// The way to a shell. Dropping it ends the shell.
pub struct Commands {
    inbox: Arc<Inbox>,
    dialer: Arc<Dialer>,
    line_limits: LineLimits,
    request_limits: RequestLimits,
    runtime: Handle,
    /// Nothing is sent through it. It is dropped with the commands: that is the sign to end.
    _alive: mpsc::Sender<Never>,
    /// Nothing is sent through it. Each line's task has a copy: the shell's end waits for them.
    lines: mpsc::Sender<Never>,
}

/// What is never sent.
enum Never {}

/// Says that the shell has ended, however its thread ends.
struct End<'a>(&'a Inbox);

// === impl Shell ===

impl Shell {
    /// Starts a shell on a thread of this name.
    ///
    /// # Errors
    /// If the configuration names something that cannot be used, or the system gives no thread.
    pub fn start(name: &str, config: ConnectConfig) -> Result<(Commands, Reports), ConnectError> {
        let dialer = Arc::new(Dialer::new(&config)?);
        let thread_error = |why| ConnectError::Thread {
            name: name.to_owned(),
            why,
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(LOOKUPS_AT_ONCE)
            .build()
            .map_err(thread_error)?;
        let inbox = Arc::new(Inbox::new(config.queue_bytes, config.queue_age));
        let (alive, commands_dropped) = mpsc::channel(1);
        let (lines, lines_ended) = mpsc::channel(1);
        let commands = Commands {
            inbox: Arc::clone(&inbox),
            dialer,
            line_limits: LineLimits::new(&config),
            request_limits: RequestLimits {
                body_bytes_max: config.message_bytes_max,
                connect_timeout: config.connect_timeout,
            },
            runtime: runtime.handle().clone(),
            _alive: alive,
            lines,
        };
        let reports = Reports::new(Arc::clone(&inbox));
        let ends = [commands_dropped, lines_ended];
        thread::Builder::new()
            .name(name.replace('\0', ""))
            .spawn(move || run(runtime, ends, &inbox, config.close_timeout))
            .map_err(thread_error)?;
        Ok((commands, reports))
    }
}

/// The shell's thread.
fn run(
    runtime: Runtime,
    [mut commands_dropped, mut lines_ended]: [mpsc::Receiver<Never>; 2],
    inbox: &Inbox,
    close_timeout: Duration,
) {
    let _end = End(inbox);
    runtime.block_on(async {
        commands_dropped.recv().await;
        inbox.close_all();
        // Lines that are still there then are cut off.
        let _ = timeout(close_timeout + END_GRACE, lines_ended.recv()).await;
    });
    // Without waiting for look-ups.
    runtime.shutdown_background();
}

// === impl End ===

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

// === impl Commands ===

impl Commands {
    /// Gives a command. Never waits. Commands to lines that are unknown or being closed are ignored.
    pub fn send(&self, command: Command) {
        match command {
            Command::Connect { line, url } => self.connect(line, url),
            Command::Send { line, text } => self.put(line, Message::text(text)),
            Command::Ping { line, mut payload } => {
                payload.truncate(PING_BYTES_MAX);
                self.put(line, Message::Ping(payload.into()));
            }
            Command::Close { line } => self.inbox.close(line),
            Command::Http {
                id,
                url,
                headers,
                timeout,
            } => {
                let query = Query {
                    id,
                    url,
                    headers,
                    timeout,
                };
                let dialer = Arc::clone(&self.dialer);
                let inbox = Arc::clone(&self.inbox);
                let task = request::run(dialer, self.request_limits, query, inbox);
                self.runtime.spawn(task);
            }
        }
    }

    fn connect(&self, line: u32, url: String) {
        let outbox = Arc::new(Outbox::default());
        let Some(generation) = self.inbox.begin(line, Arc::clone(&outbox)) else {
            debug!(line, "A line was to be connected that has a connection");
            return;
        };
        let presence = Presence::new(Arc::clone(&self.inbox), line, generation);
        let dialer = Arc::clone(&self.dialer);
        let task = line::run(dialer, self.line_limits, url, outbox, presence);
        let lives = self.lines.clone();
        self.runtime.spawn(async move {
            let _lives = lives;
            task.await;
        });
    }

    fn put(&self, line: u32, message: Message) {
        if let Some(outbox) = self.inbox.outbox(line) {
            outbox.push(message);
        }
    }
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commands").finish_non_exhaustive()
    }
}

/// What a ping may carry.
const PING_BYTES_MAX: usize = 125;
/// How much longer than the close timeout the end may take.
const END_GRACE: Duration = Duration::from_millis(200);
