//! What a session can ask of the shell.

use std::fmt;
use std::time::Duration;

/// One thing to do. The shell does not answer a command; it reports what comes of it.
///
/// `Debug` shows no text, no header, and of a URL only its length: each may hold a key.
#[derive(Clone, Eq, PartialEq)]
pub enum Command {
    /// Open a WebSocket. One report follows: `Connected` or `Failed` (or `Closed`, if `Close` comes first).
    ///
    /// A line that is being closed may be connected again at once: its `Closed` comes before. For a line that is
    /// connected or connecting the command is ignored.
    Connect {
        /// The session's number for the line.
        line: u32,
        /// `wss://host[:port]/path?query`, or `ws://`.
        url: String,
    },
    /// Send a text message. While the line connects, it waits.
    Send {
        /// On which line.
        line: u32,
        /// The message.
        text: String,
    },
    /// Send a ping. The peer's answer is reported as a `Pong`.
    Ping {
        /// On which line.
        line: u32,
        /// At most 125 bytes; the rest is cut off.
        payload: Vec<u8>,
    },
    /// Close a line. Its messages that wait are dropped; the next and last report of it is `Closed`, at the latest
    /// after the close timeout.
    Close {
        /// Which line.
        line: u32,
    },
    /// Ask a URL by GET. One report follows: `Http` or `HttpFailed`.
    Http {
        /// The session's number for the request.
        id: u64,
        /// `https://host[:port]/path?query`, or `http://`.
        url: String,
        /// Names and values; `Host` and `User-Agent` are added.
        headers: Vec<(String, String)>,
        /// From the look-up to the last byte of the answer.
        timeout: Duration,
    },
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { line, url } => f
                .debug_struct("Connect")
                .field("line", line)
                .field("url_bytes", &url.len())
                .finish(),
            Self::Send { line, text } => f
                .debug_struct("Send")
                .field("line", line)
                .field("bytes", &text.len())
                .finish(),
            Self::Ping { line, payload } => f
                .debug_struct("Ping")
                .field("line", line)
                .field("bytes", &payload.len())
                .finish(),
            Self::Close { line } => f.debug_struct("Close").field("line", line).finish(),
            Self::Http {
                id,
                url,
                headers,
                timeout,
            } => f
                .debug_struct("Http")
                .field("id", id)
                .field("url_bytes", &url.len())
                .field("headers", &headers.len())
                .field("timeout", timeout)
                .finish(),
        }
    }
}
