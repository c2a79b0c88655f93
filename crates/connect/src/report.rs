//! What the shell reports to a session.

use crate::failure::Failure;
use std::fmt;
use tapecast_model::{Mono, UnixNanos};

/// Something that happened. `Debug` shows sizes in place of what peers sent.
#[derive(Clone, Eq, PartialEq)]
pub enum Report {
    /// A line is connected.
    Connected {
        /// Which line.
        line: u32,
    },
    /// A line that was connected, or was told to close, has ended. It is the last report of that connection.
    Closed {
        /// Which line.
        line: u32,
        /// The peer's close code. None if there was no close frame, or none with a code: the connection ended or
        /// failed.
        code: Option<u16>,
        /// The peer's words, or ours for what failed.
        reason: String,
    },
    /// A line could not be connected.
    Failed {
        /// Which line.
        line: u32,
        /// Why.
        failure: Failure,
    },
    /// The peer sent something.
    Message {
        /// On which line.
        line: u32,
        /// What.
        frame: Frame,
        /// When its last byte was read from the socket.
        mono: Mono,
        /// The same moment.
        wall: UnixNanos,
    },
    /// The line's queue was full and has been emptied here: what was in it is lost.
    Overflow {
        /// Which line.
        line: u32,
        /// Messages that are lost.
        messages: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// The answer to a request, whatever its status.
    Http {
        /// The request.
        id: u64,
        /// Its status.
        status: u16,
        /// Names in small letters, in the order of the answer. Values that are no text are left out.
        headers: Vec<(String, String)>,
        /// All of it.
        body: Vec<u8>,
        /// When its last byte had come.
        mono: Mono,
        /// The same moment.
        wall: UnixNanos,
    },
    /// A request has no complete answer.
    HttpFailed {
        /// The request.
        id: u64,
        /// Why.
        failure: Failure,
    },
}

/// What one WebSocket message holds. Texts are valid UTF-8; they are bytes so that a parser may work in them.
#[derive(Clone, Eq, PartialEq)]
pub enum Frame {
    /// A text.
    Text(Vec<u8>),
    /// Bytes.
    Binary(Vec<u8>),
    /// A ping. The shell has answered it.
    Ping(Vec<u8>),
    /// The answer to a ping.
    Pong(Vec<u8>),
}

// === impl Report ===

impl Report {
    /// Whether it is the last report of a connection.
    pub(crate) const fn is_last(&self) -> bool {
        matches!(self, Self::Closed { .. } | Self::Failed { .. })
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { line } => f.debug_struct("Connected").field("line", line).finish(),
            Self::Closed { line, code, reason } => f
                .debug_struct("Closed")
                .field("line", line)
                .field("code", code)
                .field("reason", reason)
                .finish(),
            Self::Failed { line, failure } => f
                .debug_struct("Failed")
                .field("line", line)
                .field("failure", failure)
                .finish(),
            Self::Message { line, frame, .. } => f
                .debug_struct("Message")
                .field("line", line)
                .field("frame", frame)
                .finish_non_exhaustive(),
            Self::Overflow {
                line,
                messages,
                bytes,
            } => f
                .debug_struct("Overflow")
                .field("line", line)
                .field("messages", messages)
                .field("bytes", bytes)
                .finish(),
            Self::Http {
                id, status, body, ..
            } => f
                .debug_struct("Http")
                .field("id", id)
                .field("status", status)
                .field("bytes", &body.len())
                .finish_non_exhaustive(),
            Self::HttpFailed { id, failure } => f
                .debug_struct("HttpFailed")
                .field("id", id)
                .field("failure", failure)
                .finish(),
        }
    }
}

// === impl Frame ===

impl Frame {
    /// What it holds.
    pub fn payload(&self) -> &[u8] {
        match self {
            Self::Text(bytes) | Self::Binary(bytes) | Self::Ping(bytes) | Self::Pong(bytes) => {
                bytes
            }
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Text(_) => "Text",
            Self::Binary(_) => "Binary",
            Self::Ping(_) => "Ping",
            Self::Pong(_) => "Pong",
        };
        write!(f, "{kind}({} bytes)", self.payload().len())
    }
}
