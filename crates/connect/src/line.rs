//! One line: a WebSocket connection from the look-up to its end, as one task.
//!
//! The task reads and writes in one loop, and neither waits for the other. A ping is answered before the next
//! message is read. What is read goes into the line's queue in the [`inbox`](crate::inbox), which never refuses.
//! After [`MESSAGES_AT_ONCE`] messages the task gives way to other lines.
//!
//! # The end
//! * *The peer closes*: reported at once. The answer is sent and the end awaited behind it.
//! * *We close*: what waits is sent, then a close frame; the end is reported when the peer answers, or after the
//!   close timeout.
//! * *The peer breaks a rule*: reported at once; it receives a close frame with the code for it.
//! * *The task ends otherwise*, by a panic or with the runtime: [`Presence`] reports it when it is dropped.

use crate::config::ConnectConfig;
use crate::dial::{Dialer, after, within};
use crate::endpoint::{Endpoint, WEBSOCKET};
use crate::failure::{Failure, FailureKind, causes, retry_after, said};
use crate::inbox::Inbox;
use crate::outbox::{Next, OUTBOX_BYTES_MAX, Outbox};
use crate::report::{Frame, Report};
use crate::socket::Socket;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::header::USER_AGENT;
use hyper::{Response, header};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tapecast_model::clock::unix_now;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// What a line needs of the configuration.
#[derive(Clone, Copy)]
pub(crate) struct LineLimits {
    message_bytes_max: usize,
    connect_timeout: Duration,
    close_timeout: Duration,
}

/// A connection as the session sees it: it reports for one generation of a number, and sees to it that there is a
/// last report.
pub(crate) struct Presence {
    inbox: Arc<Inbox>,
    line: u32,
    generation: u64,
    connected: bool,
    ended: bool,
}

/// The loop of a connected line.
struct Open {
    socket: WebSocketStream<Socket>,
    outbox: Arc<Outbox>,
    presence: Presence,
}

/// How the loop ends.
enum End {
    /// The session wants it, after this has been sent.
    Asked(VecDeque<Message>),
    /// The peer does not read what we send.
    Full,
    /// The peer has said goodbye.
    Peer(Option<CloseFrame>),
    /// It just ended, or something is wrong.
    Error(Error),
}

/// Connects and stays until the end.
pub(crate) async fn run(
    dialer: Arc<Dialer>,
    limits: LineLimits,
    url: String,
    outbox: Arc<Outbox>,
    mut presence: Presence,
) {
    let connecting = Box::pin(connect(&dialer, limits, &url));
    let socket = tokio::select! {
        biased;
        () = outbox.close_asked() => {
            return presence.closed(None, "closed before it was connected".to_owned());
        }
        connected = connecting => match connected {
            Ok(socket) => socket,
            Err(failure) => return presence.failed(failure),
        },
    };
    presence.connected();
    let mut open = Open {
        socket,
        outbox,
        presence,
    };
    let end = poll_fn(|cx| open.poll(cx)).await;
    open.end(end, limits.close_timeout).await;
}

async fn connect(
    dialer: &Dialer,
    limits: LineLimits,
    url: &str,
) -> Result<WebSocketStream<Socket>, Failure> {
    let deadline = after(limits.connect_timeout);
    let endpoint = Endpoint::parse(url, WEBSOCKET)?;
    let mut request = url.into_client_request().map_err(|error| {
        let text = format!("{endpoint}: the address is unusable: {error}");
        Failure::new(FailureKind::Url, text)
    })?;
    request
        .headers_mut()
        .insert(USER_AGENT, dialer.user_agent());
    let socket = dialer.dial(&endpoint, deadline).await?;
    // Small buffers: each read clears its buffer first. What is written goes out at once.
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * OUTBOX_BYTES_MAX)
        .max_message_size(Some(limits.message_bytes_max))
        .max_frame_size(Some(limits.message_bytes_max));
    let handshake = Box::pin(client_async_with_config(request, socket, Some(config)));
    let late = || format!("{endpoint}: the WebSocket handshake was not answered in time");
    match within(deadline, handshake, FailureKind::Timeout, late).await? {
        Ok((socket, _)) => Ok(socket),
        Err(error) => Err(handshake_failure(error, &endpoint)),
    }
}

fn handshake_failure(error: Error, endpoint: &Endpoint) -> Failure {
    let (kind, why) = match error {
        Error::Http(response) => return refusal(&response, endpoint),
        Error::Protocol(ProtocolError::HandshakeIncomplete) => (
            FailureKind::Io,
            "the peer closed the connection during the WebSocket handshake".to_owned(),
        ),
        Error::Io(error) => (
            FailureKind::Io,
            format!(
                "the connection failed during the WebSocket handshake: {}",
                causes(&error)
            ),
        ),
        other => (
            FailureKind::Protocol,
            format!("the peer answered the WebSocket handshake wrongly: {other}"),
        ),
    };
    Failure::new(kind, format!("{endpoint}: {why}"))
}

/// The peer answered with a status. Its words may say why.
fn refusal(response: &Response<Option<Vec<u8>>>, endpoint: &Endpoint) -> Failure {
    let status = response.status();
    let header = |name| {
        let value = response.headers().get(name)?;
        value.to_str().ok()
    };
    let retry_after = header(header::RETRY_AFTER).and_then(|value| retry_after(value, unix_now()));
    let mut text = format!("{endpoint}: the peer refused the WebSocket with status {status}");
    if let Some(after) = retry_after {
        text.push_str(&format!(", to be tried again after {} s", after.as_secs()));
    }
    if let Some(location) = header(header::LOCATION) {
        // A location may have a query, too.
        let location = location.split('?').next().unwrap_or_default();
        text.push_str(&format!(", moved to {}", said(location)));
    }
    let body = response.body().as_deref().unwrap_or_default();
    let body = said(&endpoint.without_query(&String::from_utf8_lossy(body)));
    if !body.is_empty() {
        text.push_str(&format!(": {body}"));
    }
    let kind = FailureKind::Http {
        status: status.as_u16(),
        retry_after,
    };
    Failure::new(kind, text)
}

/// Why a connected line failed, and what to tell the peer.
fn error_reason(error: &Error) -> (String, Option<CloseCode>) {
    match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => (
            "the peer closed the connection without a close frame".to_owned(),
            None,
        ),
        // What the TLS library says of it is for programmers.
        Error::Io(error) if error.kind() == ErrorKind::UnexpectedEof => (
            "the peer closed the connection without a close frame".to_owned(),
            None,
        ),
        Error::Io(error) => (format!("the connection failed: {}", causes(error)), None),
        Error::Capacity(CapacityError::MessageTooLong { size, max_size }) => (
            format!("a message of {size} bytes is above the limit of {max_size}"),
            Some(CloseCode::Size),
        ),
        Error::Utf8(_) => (
            "a text message is not valid UTF-8".to_owned(),
            Some(CloseCode::Invalid),
        ),
        other => (
            format!("the peer broke the WebSocket protocol: {other}"),
            Some(CloseCode::Protocol),
        ),
    }
}

// === impl LineLimits ===

impl LineLimits {
    pub(crate) const fn new(config: &ConnectConfig) -> Self {
        Self {
            message_bytes_max: config.message_bytes_max,
            connect_timeout: config.connect_timeout,
            close_timeout: config.close_timeout,
        }
    }
}

// === impl Presence ===

impl Presence {
    pub(crate) const fn new(inbox: Arc<Inbox>, line: u32, generation: u64) -> Self {
        Self {
            inbox,
            line,
            generation,
            connected: false,
            ended: false,
        }
    }

    fn connected(&mut self) {
        self.connected = true;
        self.report(Report::Connected { line: self.line });
    }

    fn closed(&mut self, code: Option<u16>, reason: String) {
        self.ended = true;
        self.report(Report::Closed {
            line: self.line,
            code,
            reason,
        });
    }

    fn failed(&mut self, failure: Failure) {
        self.ended = true;
        self.report(Report::Failed {
            line: self.line,
            failure,
        });
    }

    fn report(&self, report: Report) {
        self.inbox.report(self.line, self.generation, report);
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let why = if std::thread::panicking() {
            "the task of the line panicked"
        } else {
            "the shell ended"
        };
        if self.connected {
            self.closed(None, why.to_owned());
        } else {
            self.failed(Failure::new(FailureKind::Io, why));
        }
    }
}

// === impl Open ===

impl Open {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.outbox.register(cx.waker());
        if let Poll::Ready(end) = self.poll_write(cx) {
            return Poll::Ready(end);
        }
        for _ in 0..MESSAGES_AT_ONCE {
            match self.socket.poll_next_unpin(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(Message::Close(frame)))) => {
                    return Poll::Ready(End::Peer(frame));
                }
                Poll::Ready(Some(Ok(message))) => self.message(message),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(End::Error(error)),
                Poll::Ready(None) => return Poll::Ready(End::Error(Error::ConnectionClosed)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what waits, while the socket has room.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            // A close does not wait for room.
            if !self.outbox.is_closing() {
                match self.socket.poll_ready_unpin(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(End::Error(error)),
                }
            }
            let sent = match self.outbox.next() {
                Next::Write(message) => self.socket.start_send_unpin(message),
                Next::Close(rest) => return Poll::Ready(End::Asked(rest)),
                Next::Full => return Poll::Ready(End::Full),
                Next::Nothing => break,
            };
            if let Err(error) = sent {
                return Poll::Ready(End::Error(error));
            }
        }
        match self.socket.poll_flush_unpin(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(End::Error(error)),
            _ => Poll::Pending,
        }
    }

    fn message(&self, message: Message) {
        // Copied: the buffer that it is a part of is larger.
        let frame = match message {
            Message::Text(text) => Frame::Text(text.as_bytes().to_vec()),
            Message::Binary(bytes) => Frame::Binary(bytes.to_vec()),
            Message::Ping(bytes) => Frame::Ping(bytes.to_vec()),
            Message::Pong(bytes) => Frame::Pong(bytes.to_vec()),
            // Closes end the loop, and raw frames are not read.
            Message::Close(_) | Message::Frame(_) => return,
        };
        let presence = &self.presence;
        let moment = self.socket.get_ref().last_read();
        presence
            .inbox
            .message(presence.line, presence.generation, frame, moment);
    }

    async fn end(mut self, end: End, close_timeout: Duration) {
        match end {
            End::Asked(rest) => {
                let goodbye = Box::pin(goodbye(&mut self.socket, rest, CloseCode::Normal));
                let (code, reason) = match timeout(close_timeout, goodbye).await {
                    Ok(Some(frame)) => words(Some(frame)),
                    Ok(None) => (None, "closed, and the peer ended the connection".to_owned()),
                    Err(_) => (
                        None,
                        format!("closed, and the peer did not answer within {close_timeout:?}"),
                    ),
                };
                self.presence.closed(code, reason);
            }
            End::Full => {
                let reason =
                    format!("the peer does not read: {OUTBOX_BYTES_MAX} bytes wait to be sent");
                self.presence.closed(None, reason);
            }
            End::Peer(frame) => {
                let (code, reason) = words(frame);
                self.presence.closed(code, reason);
                // Sends our answer, and reads to the end of the connection.
                let linger = async { while let Some(Ok(_)) = self.socket.next().await {} };
                // What is left undone then is not worth more.
                let _ = timeout(close_timeout, linger).await;
            }
            End::Error(error) => {
                let (reason, code) = error_reason(&error);
                self.presence.closed(None, reason);
                if let Some(code) = code {
                    let goodbye = Box::pin(goodbye(&mut self.socket, VecDeque::new(), code));
                    let _ = timeout(close_timeout, goodbye).await;
                }
            }
        }
        // Says the end of TLS, if the socket has room for it now.
        let _ = timeout(Duration::ZERO, self.socket.get_mut().shutdown()).await;
    }
}

/// Sends the rest and a close frame, and waits for the peer's. None if the connection ends without one.
async fn goodbye(
    socket: &mut WebSocketStream<Socket>,
    rest: VecDeque<Message>,
    code: CloseCode,
) -> Option<CloseFrame> {
    for message in rest {
        socket.feed(message).await.ok()?;
    }
    let frame = CloseFrame {
        code,
        reason: "".into(),
    };
    socket.send(Message::Close(Some(frame))).await.ok()?;
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Close(frame) = message {
            return frame.or(Some(NO_CODE));
        }
    }
    None
}

/// The code and the words of a close frame.
fn words(frame: Option<CloseFrame>) -> (Option<u16>, String) {
    match frame {
        Some(frame) if frame.code != CloseCode::Status => {
            (Some(frame.code.into()), said(frame.reason.as_str()))
        }
        _ => (None, "a close frame without a code".to_owned()),
    }
}

/// In place of a close frame without a code.
const NO_CODE: CloseFrame = CloseFrame {
    code: CloseCode::Status,
    reason: tokio_tungstenite::tungstenite::Utf8Bytes::from_static(""),
};
/// Messages that a line reads before others have their turn.
const MESSAGES_AT_ONCE: u32 = 64;
/// One read. TLS gives at most 16 KiB at once.
const READ_BUFFER_BYTES: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_line_whose_task_panics_has_an_end() {
        let inbox = Arc::new(Inbox::new(1_000, Duration::from_secs(5)));
        let reports = crate::Reports::new(Arc::clone(&inbox));
        let end = |connected: bool| {
            let generation = inbox.begin(1, Arc::default()).unwrap();
            let mut presence = Presence::new(Arc::clone(&inbox), 1, generation);
            let panicked = catch_unwind(AssertUnwindSafe(move || {
                if connected {
                    presence.connected();
                }
                panic!("as a test wants it");
            }));
            assert!(panicked.is_err());
            std::iter::from_fn(|| reports.recv_timeout(Duration::ZERO)).last()
        };
        let Some(Report::Failed { failure, .. }) = end(false) else {
            panic!("a failure");
        };
        assert!(failure.text.contains("panicked"));
        let Some(Report::Closed {
            code: None, reason, ..
        }) = end(true)
        else {
            panic!("a close");
        };
        assert!(reason.contains("panicked"));
    }
}
