//! The shell of live venues: it owns the sockets to them, and knows no venue and no session.
//!
//! A session decides what to do, and does no I/O. Its thread gives [`Command`]s to the shell and takes
//! [`Report`]s from it: connect this line, send this text, ask this URL; connected, a message, closed. The shell
//! looks names up, connects (through a proxy, from a bind address), verifies TLS, does handshakes and frames, and
//! answers pings. It never tries again by itself: pauses and budgets are the session's.
//!
//! ```
//! use std::time::Duration;
//! use tapecast_connect::{Command, ConnectConfig, Report, Shell};
//!
//! # fn main() -> Result<(), tapecast_connect::ConnectError> {
//! let (commands, reports) = Shell::start("example", ConnectConfig::default())?;
//! commands.send(Command::Connect { line: 1, url: "ws://127.0.0.1:1/".to_owned() });
//! let report = reports.recv_timeout(Duration::from_secs(10));
//! assert!(matches!(report, Some(Report::Failed { line: 1, .. })));
//! # Ok(())
//! # }
//! ```
//!
//! * [`shell`]: one thread with one runtime, and the [`Commands`] to it.
//! * [`inbox`]: what waits for the session, a queue per line: the [`Reports`].
//! * [`mod@line`]: one WebSocket connection, from the look-up to its end; [`outbox`]: what waits to be sent on it.
//! * [`request`]: one GET.
//! * [`dial`]: a connected, verified [`socket`] to an [`endpoint`], directly or through a [`proxy`]; [`tls`]:
//!   which certificates are trusted.
//! * [`command`], [`report`], [`failure`], [`config`], [`error`]: the words of the interface.
//!
//! # Full, late or wrong
//! * **A slow session** delays nobody. A line's messages wait in a queue of limited bytes and age. If it is full, it
//!   is emptied, and one [`Report::Overflow`] stands where the messages were.
//! * **A slow peer** delays only its own line, and only what is sent: reading and pongs go on. A line that has too
//!   much to send is closed.
//! * **A dead peer** costs at most a limited time: the whole connect, a close and a request each have one. Nothing
//!   waits for it.
//! * **A wrong peer** ends its own line with a reason in words. No message ends the shell; if the task of a line
//!   panics, the line is closed.
//! * **Secrets**: no text, no log line and no `Debug` shows a query or user info of a URL, a header, a message or a
//!   proxy's password.

mod command;
mod config;
mod dial;
mod endpoint;
mod error;
mod failure;
mod inbox;
mod line;
mod outbox;
mod proxy;
mod report;
mod request;
mod shell;
mod socket;
mod tls;

pub use command::Command;
pub use config::{ConnectConfig, MESSAGE_BYTES_MAX};
pub use error::ConnectError;
pub use failure::{Failure, FailureKind, retry_after};
pub use inbox::Reports;
pub use proxy::Proxy;
pub use report::{Frame, Report};
pub use shell::{Commands, Shell};
