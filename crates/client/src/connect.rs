//! One connection, from the handshake to its close.
//!
//! [`Client`] owns the socket. A request is written at once, and its method returns the request's id.
//! Answers come through [`Client::next`] like everything else, in the order of the server. Nothing is
//! queued here: if the caller does not call `next`, the server's outbox grows up to the server's limit.
//!
//! # What can go wrong
//! [`ConnectError`] names what failed while connecting. A connection ends with [`ClientError::Closed`],
//! which contains the close code and the server's `bye`; with [`ClientError::Silent`] if nothing has come
//! for longer than the server may be silent; or with the socket's own error. A single unreadable message
//! is [`ClientError::Message`], and the connection stays usable.
//!
//! # Encoding
//! JSON, unless [`ConnectOptions::encoding`] asks for binary frames, which need less work on both sides.
//! The resulting messages are the same.
//!
//! For automatic reconnects see [`crate::reconnect`].

use crate::binary::BinaryReader;
use crate::message::{Bye, Message, MessageError, MessageKind, Welcome};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use std::collections::VecDeque;
use std::time::Duration;
use tapecast_wire::Encoding;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message as Frame, Utf8Bytes};

/// How to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// From the name look-up to the welcome. Default 10 s.
    pub connect_timeout: Duration,
    /// The largest message taken from the server, in bytes. Default 16 MiB.
    pub message_bytes_max: usize,
    /// How long nothing at all may come before the connection counts as dead: any frame is a sign of
    /// life, and there is one in each heartbeat. Default: ten heartbeats as the welcome has them; the idle
    /// timeout where there are none, during which a living server has pinged.
    pub silence_max: Option<Duration>,
    /// Sent as `Origin`, as browsers do. Default none.
    pub origin: Option<String>,
    /// How data frames are to come. Default JSON.
    pub encoding: Encoding,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is no URL of a WebSocket.
    #[error("{url:?} is not a WebSocket address: {why}; write ws://host:port/v1/ws")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The host cannot be found or reached.
    #[error("cannot connect to {address}")]
    Reach {
        /// Host and port.
        address: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// No welcome in time.
    #[error("{url} sent no welcome within {limit:?}; is it a tapecast gateway?")]
    Timeout {
        /// The address.
        url: String,
        /// The limit.
        limit: Duration,
    },
    /// The server answered, but not with a WebSocket.
    #[error("the server refused the connection with HTTP status {status}: {body}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// The beginning of what it said.
        body: String,
    },
    /// The handshake failed otherwise.
    #[error("the WebSocket handshake failed: {0}")]
    Handshake(#[source] Box<tungstenite::Error>),
    /// The server speaks another protocol.
    #[error("the server chose subprotocol {chosen:?} instead of {wanted:?}")]
    Subprotocol {
        /// What it chose.
        chosen: Option<String>,
        /// What was asked for.
        wanted: &'static str,
    },
    /// The first message was no welcome.
    #[error("the first message should be a welcome, but it is {0}")]
    NoWelcome(String),
    /// The connection ended before the welcome.
    #[error("the connection ended before the welcome: {0}")]
    Ended(#[source] ClientError),
}

/// How a connection was closed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Close {
    /// The close code; none if the connection just ended.
    pub code: Option<u16>,
    /// The reason in the close frame.
    pub reason: String,
    /// The server's last words, where it had time for them.
    pub bye: Option<Bye>,
}

/// Why a connection gives no message.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It was closed.
    #[error("closed: {0}")]
    Closed(Close),
    /// Nothing has come for too long.
    #[error("the connection received nothing for {0:?}")]
    Silent(Duration),
    /// The socket or the framing failed.
    #[error("the connection failed: {0}")]
    Socket(#[source] Box<tungstenite::Error>),
    /// One message could not be read; the next one may be.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A request larger than the server takes; nothing was sent.
    #[error("a request of {bytes} bytes is larger than the server's limit of {limit}: split it")]
    RequestTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

/// One connection to a gateway.
#[derive(Debug)]
pub struct Client {
    socket: WebSocketStream<TcpStream>,
    welcome: Welcome,
    silence_max: Duration,
    last_id: u64,
    bye: Option<Bye>,
    /// None on a JSON connection.
    binary: Option<BinaryReader>,
    /// The rest of a binary message that holds several records.
    read: VecDeque<Result<Message, MessageError>>,
}

/// A position to resume from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResumePoint {
    /// The topic.
    pub topic: String,
    /// The life of its stream.
    pub epoch: u64,
    /// The last event that was applied.
    pub seq: u64,
}

// === impl ConnectOptions ===

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            message_bytes_max: 16 << 20,
            silence_max: None,
            origin: None,
            encoding: Encoding::Json,
        }
    }
}

// === impl Close ===

impl Close {
    /// 4001 (authentication) and 4003 (not entitled): coming back would not help.
    pub fn is_final(&self) -> bool {
        matches!(self.code, Some(4001 | 4003))
    }
}

impl std::fmt::Display for Close {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.code {
            Some(code) => write!(f, "code {code}")?,
            None => f.write_str("without a close frame")?,
        }
        if let Some(bye) = &self.bye {
            write!(f, ", {}: {}", bye.error, bye.message)
        } else if self.reason.is_empty() {
            Ok(())
        } else {
            write!(f, ", {}", self.reason)
        }
    }
}

// === impl Client ===

impl Client {
    /// Connects, checks the subprotocol and waits for the welcome.
    ///
    /// # Errors
    /// [`ConnectError`] says at which step it failed.
    pub async fn connect(url: &str, options: ConnectOptions) -> Result<Self, ConnectError> {
        let limit = options.connect_timeout;
        // Boxed: the handshake's state is large and needed once.
        let attempt = Box::pin(Self::attempt(url, options));
        match tokio::time::timeout(limit, attempt).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ConnectError::Timeout {
                url: url.to_owned(),
                limit,
            }),
        }
    }

    async fn attempt(url: &str, options: ConnectOptions) -> Result<Self, ConnectError> {
        let (request, address) = request(url, &options)?;
        let wanted = options.encoding.subprotocol();
        let unreachable = |source| ConnectError::Reach {
            address: format!("{}:{}", address.0, address.1),
            source,
        };
        let stream = TcpStream::connect((address.0.as_str(), address.1))
            .await
            .map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let mut config = WebSocketConfig::default();
        config.max_message_size = Some(options.message_bytes_max);
        config.max_frame_size = Some(options.message_bytes_max);
        let (socket, response) =
            tokio_tungstenite::client_async_with_config(request, stream, Some(config))
                .await
                .map_err(|error| handshake_error(error, wanted))?;
        let chosen = response.headers().get("sec-websocket-protocol");
        let chosen = chosen.and_then(|v| v.to_str().ok()).map(str::to_owned);
        if chosen.as_deref() != Some(wanted) {
            return Err(ConnectError::Subprotocol { chosen, wanted });
        }
        let mut client = Self {
            socket,
            welcome: Welcome {
                protocol: String::new(),
                connection: String::new(),
                node: String::new(),
                heartbeat_ms: 0,
                idle_timeout_ms: 0,
                limits: crate::message::Limits::default(),
            },
            silence_max: options.connect_timeout,
            last_id: 0,
            bye: None,
            binary: (options.encoding == Encoding::Bin).then(BinaryReader::new),
            read: VecDeque::new(),
        };
        let first = client.next().await.map_err(ConnectError::Ended)?;
        let MessageKind::Welcome(welcome) = first.kind() else {
            return Err(ConnectError::NoWelcome(
                first.text().chars().take(200).collect(),
            ));
        };
        client.silence_max = options
            .silence_max
            .unwrap_or_else(|| silence_allowed(welcome));
        client.welcome = welcome.clone();
        Ok(client)
    }

    /// What is in force on this connection.
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Subscribes to topics. The answer is a `subscribed` with this id: each topic on its own.
    ///
    /// # Errors
    /// If the request is larger than the server takes, or cannot be written.
    pub async fn subscribe(&mut self, topics: &[impl AsRef<str>]) -> Result<u64, ClientError> {
        self.request_topics("subscribe", topics).await
    }

    /// Subscribes to topics from positions reached on an earlier connection. What cannot be resumed
    /// starts with a snapshot.
    ///
    /// # Errors
    /// As [`Client::subscribe`].
    pub async fn resume(&mut self, points: &[ResumePoint]) -> Result<u64, ClientError> {
        let topics: Vec<_> = points
            .iter()
            .map(|p| json!({"topic": p.topic, "epoch": p.epoch, "seq": p.seq}))
            .collect();
        self.request(|id| json!({"op": "subscribe", "id": id, "topics": topics}))
            .await
    }

    /// Ends subscriptions. The answer is an `unsubscribed`; no frame of these topics follows it.
    ///
    /// # Errors
    /// As [`Client::subscribe`].
    pub async fn unsubscribe(&mut self, topics: &[impl AsRef<str>]) -> Result<u64, ClientError> {
        self.request_topics("unsubscribe", topics).await
    }

    /// Asks for fresh snapshots of subscribed topics, after something was lost.
    ///
    /// # Errors
    /// As [`Client::subscribe`].
    pub async fn resync(&mut self, topics: &[impl AsRef<str>]) -> Result<u64, ClientError> {
        self.request_topics("resync", topics).await
    }

    /// Asks what is subscribed. The answer is a `subscriptions`.
    ///
    /// # Errors
    /// As [`Client::subscribe`].
    pub async fn list(&mut self) -> Result<u64, ClientError> {
        self.request(|id| json!({"op": "list", "id": id})).await
    }

    /// Asks for a `pong` with the server's time, behind everything queued before it.
    ///
    /// # Errors
    /// As [`Client::subscribe`].
    pub async fn ping(&mut self) -> Result<u64, ClientError> {
        self.request(|id| json!({"op": "ping", "id": id})).await
    }

    /// The next message. WebSocket pings are answered on the way.
    ///
    /// # Errors
    /// [`ClientError::Message`] concerns one message, any other error is the end.
    ///
    /// # Cancellation
    /// Safe: a message is either returned or still to come.
    pub async fn next(&mut self) -> Result<Message, ClientError> {
        loop {
            if let Some(message) = self.read.pop_front() {
                return Ok(message?);
            }
            let limit = self.silence_max;
            let frame = match tokio::time::timeout(limit, self.socket.next()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(self.ended(error)),
                Ok(None) => return Err(self.closed(None)),
                Err(_) => return Err(ClientError::Silent(limit)),
            };
            match frame {
                Frame::Text(text) => {
                    let message = Message::from_frame(text)?;
                    if let MessageKind::Bye(bye) = message.kind() {
                        self.bye = Some(bye.clone());
                    }
                    if let Some(binary) = &mut self.binary {
                        binary.learn(&message);
                    }
                    return Ok(message);
                }
                Frame::Binary(bytes) => {
                    // On a JSON connection they belong to an encoding that was not asked for.
                    if let Some(binary) = &mut self.binary {
                        binary.read(&bytes, &mut self.read);
                    }
                }
                Frame::Close(close) => {
                    // The library has queued our answer; reading on would only find the end.
                    let _ = self.socket.flush().await;
                    return Err(self.closed(close));
                }
                Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => {}
            }
        }
    }

    /// Closes the connection in good order, waiting for the server's answer at most `limit`.
    pub async fn close(mut self, limit: Duration) {
        let orderly = async {
            if self.socket.close(None).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        };
        let _ = tokio::time::timeout(limit, orderly).await;
    }

    async fn request_topics(
        &mut self,
        op: &str,
        topics: &[impl AsRef<str>],
    ) -> Result<u64, ClientError> {
        let topics: Vec<&str> = topics.iter().map(AsRef::as_ref).collect();
        self.request(|id| json!({"op": op, "id": id, "topics": topics}))
            .await
    }

    async fn request(
        &mut self,
        make: impl FnOnce(u64) -> serde_json::Value,
    ) -> Result<u64, ClientError> {
        let id = self.last_id + 1;
        let text = make(id).to_string();
        let limit = self.welcome.limits.request_bytes;
        if limit != 0 && text.len() > limit {
            return Err(ClientError::RequestTooLarge {
                bytes: text.len(),
                limit,
            });
        }
        self.last_id = id;
        let sent = self.socket.send(Frame::Text(Utf8Bytes::from(text))).await;
        sent.map(|()| id).map_err(|error| self.ended(error))
    }

    fn ended(&mut self, error: tungstenite::Error) -> ClientError {
        use tungstenite::Error::{AlreadyClosed, ConnectionClosed};
        match error {
            ConnectionClosed | AlreadyClosed => self.closed(None),
            other => ClientError::Socket(Box::new(other)),
        }
    }

    fn closed(&mut self, close: Option<CloseFrame>) -> ClientError {
        let (code, reason) = match close {
            Some(frame) => (Some(u16::from(frame.code)), frame.reason.to_string()),
            None => (None, String::new()),
        };
        ClientError::Closed(Close {
            code,
            reason,
            bye: self.bye.take(),
        })
    }
}

/// Ten heartbeats; without any, the idle timeout, within which a living server pings.
fn silence_allowed(welcome: &Welcome) -> Duration {
    let millis = match (welcome.heartbeat_ms, welcome.idle_timeout_ms) {
        (0, 0) => 30_000,
        (0, idle) => idle,
        (heartbeat, _) => heartbeat.saturating_mul(10),
    };
    Duration::from_millis(millis)
}

fn request(url: &str, options: &ConnectOptions) -> Result<(Request, (String, u16)), ConnectError> {
    let bad = |why: &str| ConnectError::Url {
        url: url.to_owned(),
        why: why.to_owned(),
    };
    let mut request = url.into_client_request().map_err(|e| bad(&e.to_string()))?;
    match request.uri().scheme_str() {
        Some("ws") => {}
        Some("wss") => {
            return Err(bad(
                "wss:// is not supported yet; use ws:// in a trusted network",
            ));
        }
        _ => return Err(bad("it must begin with ws://")),
    }
    let host = request
        .uri()
        .host()
        .filter(|h| !h.is_empty())
        .ok_or_else(|| bad("it has no host"))?;
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let port = request.uri().port_u16().unwrap_or(80);
    let headers = request.headers_mut();
    headers.insert(
        "Sec-WebSocket-Protocol",
        HeaderValue::from_static(options.encoding.subprotocol()),
    );
    if let Some(origin) = &options.origin {
        let value = HeaderValue::from_str(origin);
        headers.insert(
            "Origin",
            value.or(Err(bad("the origin is not a valid header value")))?,
        );
    }
    Ok((request, (host, port)))
}

fn handshake_error(error: tungstenite::Error, wanted: &'static str) -> ConnectError {
    use tungstenite::error::ProtocolError::SecWebSocketSubProtocolError;
    match error {
        tungstenite::Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            let body = String::from_utf8_lossy(body)
                .trim()
                .chars()
                .take(200)
                .collect();
            ConnectError::Refused {
                status: response.status(),
                body,
            }
        }
        tungstenite::Error::Protocol(SecWebSocketSubProtocolError(_)) => {
            ConnectError::Subprotocol {
                chosen: None,
                wanted,
            }
        }
        other => ConnectError::Handshake(Box::new(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        request(url, &ConnectOptions::default())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn an_address_that_cannot_work_is_refused_with_what_would() {
        assert!(refusal("wss://a/v1/ws").contains("use ws://"));
        assert!(refusal("http://a/v1/ws").contains("must begin with ws://"));
        assert!(refusal("not an address").contains("write ws://host:port/v1/ws"));
    }

    #[test]
    fn the_port_is_80_unless_given_and_brackets_are_stripped() {
        let place = |url| request(url, &ConnectOptions::default()).unwrap().1;
        assert_eq!(place("ws://a/v1/ws"), ("a".to_owned(), 80));
        assert_eq!(place("ws://[::1]:9/v1/ws"), ("::1".to_owned(), 9));
    }

    #[test]
    fn silence_is_measured_by_what_the_welcome_promises() {
        let text = r#"{"op":"welcome","protocol":"tapecast.v1","heartbeat_ms":1000,"idle_timeout_ms":30000}"#;
        let MessageKind::Welcome(mut welcome) = Message::parse(text).unwrap().into_kind() else {
            panic!()
        };
        assert_eq!(silence_allowed(&welcome), Duration::from_secs(10));
        welcome.heartbeat_ms = 0;
        assert_eq!(silence_allowed(&welcome), Duration::from_secs(30));
        welcome.idle_timeout_ms = 0;
        assert_eq!(silence_allowed(&welcome), Duration::from_secs(30));
    }

    #[test]
    fn only_authentication_and_entitlement_are_final() {
        for (code, expected) in [(4001, true), (4003, true), (4013, false), (1001, false)] {
            let close = Close {
                code: Some(code),
                ..Close::default()
            };
            assert_eq!(close.is_final(), expected, "{code}");
        }
    }
}
