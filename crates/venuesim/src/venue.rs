//! What a simulated venue takes and gives. It owns no socket and no clock: whoever drives it passes the time,
//! as the time since the start, and does what [`Venue::poll`] says.
//!
//! Times never go back: each call has a `now` that is not before that of the call before it.

use std::time::Duration;

/// A simulated venue without I/O.
///
/// A driver calls one of the methods for what happened, then [`poll`](Self::poll) until it is empty. At
/// [`next_deadline`](Self::next_deadline) at the latest it calls [`advance`](Self::advance). Numbers of
/// connections are the driver's; it uses each only once.
pub trait Venue {
    /// A client asks for a WebSocket with this path and query.
    ///
    /// # Errors
    /// The venue refuses the handshake; there is no connection then.
    fn connect(&mut self, conn: u64, target: &str, now: Duration) -> Result<(), Refusal>;

    /// A text message of a client.
    fn receive(&mut self, conn: u64, text: &str, now: Duration);

    /// A ping frame of a client.
    fn receive_ping(&mut self, conn: u64, payload: &[u8], now: Duration);

    /// A pong frame of a client.
    fn receive_pong(&mut self, conn: u64, payload: &[u8], now: Duration);

    /// A client closed its connection, or it broke. Nothing is said on it afterwards.
    fn receive_close(&mut self, conn: u64, now: Duration);

    /// A GET request with this path and query. The answer's content is that of `now`.
    fn http(&mut self, target: &str, now: Duration) -> HttpAnswer;

    /// Does what is due until `now`.
    fn advance(&mut self, now: Duration);

    /// What the driver has to do next; `None` if there is nothing before the next deadline.
    fn poll(&mut self) -> Option<Output>;

    /// When [`advance`](Self::advance) has something to do.
    fn next_deadline(&self) -> Option<Duration>;
}

/// What the driver does for the venue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Output {
    /// Send a text frame.
    Text {
        /// The connection.
        conn: u64,
        /// The content.
        text: String,
    },
    /// Send a ping frame.
    Ping {
        /// The connection.
        conn: u64,
        /// The content.
        payload: Vec<u8>,
    },
    /// Send a pong frame, unless the driver's library has done it.
    Pong {
        /// The connection.
        conn: u64,
        /// The content of the ping.
        payload: Vec<u8>,
    },
    /// Send a close frame, then end the connection.
    Close {
        /// The connection.
        conn: u64,
        /// The code of the close frame.
        code: u16,
        /// The text of the close frame.
        reason: String,
    },
    /// End the TCP connection without a close frame.
    Cut {
        /// The connection.
        conn: u64,
    },
    /// Keep the socket open, but read nothing and write nothing any more.
    Mute {
        /// The connection.
        conn: u64,
    },
}

/// A handshake that the venue refuses, as an HTTP answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// The answer to a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HttpAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Names and values, without the length.
    pub headers: Vec<(String, String)>,
    /// What arrives of the body.
    pub body: String,
    /// The driver sends the answer this much later.
    pub delay: Duration,
    /// How the answer ends.
    pub end: AnswerEnd,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AnswerEnd {
    /// It arrives whole.
    Whole,
    /// The connection breaks behind what [`HttpAnswer::body`] has; the announced length is larger.
    Truncated,
    /// Nothing ever comes: the client's own time limit has to end it.
    Never,
}

// === impl Output ===

impl Output {
    /// The connection that it is for.
    pub fn conn(&self) -> u64 {
        match self {
            Self::Text { conn, .. }
            | Self::Ping { conn, .. }
            | Self::Pong { conn, .. }
            | Self::Close { conn, .. }
            | Self::Cut { conn }
            | Self::Mute { conn } => *conn,
        }
    }
}

// === impl Refusal ===

impl Refusal {
    /// A refusal without headers.
    pub(crate) fn of(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
        }
    }
}
