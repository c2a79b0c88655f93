//! What goes in and out of a session: commands to the shell that owns sockets, and what the shell reports.

use crate::event::Event;
use crate::reseed::ReseedRequest;
use std::time::Duration;

/// What the session wants done. The shell carries it out in order and never answers at once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Transmit {
    /// Open this line. Answered by `handle_connected` or `handle_failed`.
    Connect {
        /// A number that no other line has had.
        line: u32,
        /// `wss://…`
        url: String,
    },
    /// Send one text message.
    Send {
        /// On which line.
        line: u32,
        /// The message.
        text: String,
    },
    /// Send a WebSocket ping, to learn whether the other side lives.
    Ping {
        /// On which line.
        line: u32,
    },
    /// Close the line. What it still reports is ignored.
    Close {
        /// Which line.
        line: u32,
    },
    /// Get this address. Answered by `handle_http` or `handle_http_failed`.
    Http {
        /// A number that no other request has had.
        id: u64,
        /// `https://…`
        url: String,
        /// The answer must be whole in this time.
        timeout: Duration,
    },
}

/// A message of a line.
#[derive(Debug)]
pub enum Frame<'a> {
    /// Text, which may be changed in place while it is read.
    Text(&'a mut [u8]),
    /// Binary data.
    Binary(&'a mut [u8]),
    /// A ping, which the shell has answered.
    Ping,
    /// The answer to a ping.
    Pong,
}

/// An answer to a request.
#[derive(Debug)]
pub struct HttpAnswer<'a> {
    /// The status.
    pub status: u16,
    /// Names in small letters, and values.
    pub headers: &'a [(String, String)],
    /// The body, which may be changed in place while it is read.
    pub body: &'a mut [u8],
}

/// Why a line or a request failed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Failure {
    /// In words, without secrets.
    pub text: String,
    /// The status of an HTTP answer, if there was one.
    pub status: Option<u16>,
    /// Not before this time has passed, says the venue.
    pub retry_after: Option<Duration>,
}

/// What others ask of a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SessionCommand {
    /// The pipeline needs a snapshot.
    Reseed(ReseedRequest),
    /// Put a new line in the place of each one, without a gap.
    Rotate,
    /// Let each book come as a whole once more, as soon as the venue's limits allow: a recording begins.
    ShowBooks,
    /// Close everything.
    Stop,
}

/// Events for the pipeline.
#[derive(Debug)]
pub struct SessionEvents {
    /// Their line.
    pub line: u32,
    /// At most [`BATCH_EVENTS_MAX`](crate::event::BATCH_EVENTS_MAX), oldest first.
    pub events: Vec<Event>,
    /// They are what the line's message says, as its decoder reads it. Otherwise the session has made them.
    pub of_message: bool,
}

// === impl HttpAnswer ===

impl HttpAnswer<'_> {
    /// The value of a header; its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value.as_str()))
    }

    /// How long the venue wants to be left alone, if it says so in seconds.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.header("retry-after")?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds))
    }
}
