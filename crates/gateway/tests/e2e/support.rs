//! What end-to-end tests share: a gateway on free ports, and clients as simple as possible.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tapecast::config::Config;
use tapecast::gateway::Gateway;
use tapecast::start_error::StartError;
use tapecast_client::{Client, ConnectOptions, Encoding, Message, MessageKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// No step of a test takes longer than this, on any machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a gateway with this configuration, on free ports.
pub(crate) async fn gateway(text: &str) -> Gateway {
    try_gateway(text).await.unwrap()
}

/// Starts a gateway with this configuration, on free ports, if it can be started.
pub(crate) async fn try_gateway(text: &str) -> Result<Gateway, StartError> {
    let mut config = Config::parse(text, "test", std::iter::empty()).unwrap();
    config.listen.public = SocketAddr::from(([127, 0, 0, 1], 0));
    config.listen.admin = SocketAddr::from(([127, 0, 0, 1], 0));
    Gateway::start(&config).await
}

/// Connects a client.
pub(crate) async fn connect(gateway: &Gateway) -> Client {
    connect_in(gateway, Encoding::Json).await
}

/// Connects a client that takes data in this encoding.
pub(crate) async fn connect_in(gateway: &Gateway, encoding: Encoding) -> Client {
    let url = format!("ws://{}/v1/ws", gateway.public_address());
    let options = ConnectOptions {
        encoding,
        ..ConnectOptions::default()
    };
    Client::connect(&url, options).await.unwrap()
}

/// The next message that is not a heartbeat.
pub(crate) async fn next(client: &mut Client) -> Message {
    loop {
        let message = tokio::time::timeout(PATIENCE, client.next())
            .await
            .expect("in time")
            .unwrap();
        if !matches!(message.kind(), MessageKind::Heartbeat(_)) {
            return message;
        }
    }
}

/// The next message as JSON.
pub(crate) async fn next_json(client: &mut Client) -> serde_json::Value {
    serde_json::from_str(next(client).await.text()).unwrap()
}

/// One HTTP request; the answer's head and body.
pub(crate) async fn http(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8(answer).unwrap()
}

/// The value of a metric, labels included in the name as exported.
pub(crate) async fn metric(gateway: &Gateway, name: &str) -> Option<i64> {
    let text = http(gateway.admin_address(), "GET /metrics").await;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse::<f64>().ok())
        .map(|value| value as i64)
}

/// Waits until a metric has a value that `wanted` accepts.
pub(crate) async fn wait_for_metric(gateway: &Gateway, name: &str, wanted: impl Fn(i64) -> bool) {
    let looked = tokio::time::timeout(PATIENCE, async {
        while !metric(gateway, name).await.is_some_and(&wanted) {
            tokio::task::yield_now().await;
        }
    });
    looked
        .await
        .unwrap_or_else(|_| panic!("{name} never became what was wanted"));
}

/// A WebSocket without a library, to say what libraries do not let one say.
pub(crate) struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A frame from the server: opcode and payload.
pub(crate) type RawFrame = (u8, Vec<u8>);

impl Raw {
    /// Connects and shakes hands, with extra header lines.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let (raw, head) = Self::handshake(address, "GET", "/v1/ws", "").await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        raw
    }

    /// A handshake as given; returns what was answered.
    pub(crate) async fn handshake(
        address: SocketAddr,
        method: &str,
        path: &str,
        headers: &str,
    ) -> (Self, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
        );
        // The other side may have answered and closed already.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut raw = Self {
            stream,
            buffer: Vec::new(),
        };
        let end = loop {
            if let Some(end) = raw.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            if !raw.read().await {
                break raw.buffer.len();
            }
        };
        let head = String::from_utf8(raw.buffer.drain(..end).collect()).unwrap();
        (raw, head)
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends a frame, masked with zeros.
    pub(crate) async fn send_frame(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.send(&frame).await;
    }

    /// The next frame; none at the end of the stream.
    pub(crate) async fn frame(&mut self) -> Option<RawFrame> {
        loop {
            if let Some((header, length)) = self.header()
                && self.buffer.len() >= header + length
            {
                let frame: Vec<u8> = self.buffer.drain(..header + length).collect();
                return Some((frame[0] & 15, frame[header..].to_vec()));
            }
            if !self.read().await {
                return None;
            }
        }
    }

    /// Reads to the close frame and the end of the stream; returns the code.
    pub(crate) async fn close_code(&mut self) -> u16 {
        let mut code = None;
        while let Some((opcode, payload)) = self.frame().await {
            assert_eq!(code, None, "a frame behind the close frame");
            if opcode == 8 {
                code = Some(u16::from_be_bytes([payload[0], payload[1]]));
            }
        }
        code.expect("a close frame")
    }

    fn header(&self) -> Option<(usize, usize)> {
        match *self.buffer.get(1)? {
            126 => Some((
                4,
                usize::from(u16::from_be_bytes([
                    *self.buffer.get(2)?,
                    *self.buffer.get(3)?,
                ])),
            )),
            127 => {
                let bytes: [u8; 8] = self.buffer.get(2..10)?.try_into().ok()?;
                Some((10, u64::from_be_bytes(bytes) as usize))
            }
            length => Some((2, usize::from(length))),
        }
    }

    async fn read(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.buffer));
        matches!(read.await.expect("in time"), Ok(read) if read > 0)
    }
}

/// Writes a recording of these raw messages; one millisecond between them.
pub(crate) fn recording(folder: &Path, name: &str, messages: &[String]) -> PathBuf {
    let path = folder.join(name);
    let mut text = String::new();
    for (index, raw) in messages.iter().enumerate() {
        let ts = 1_700_000_000_000_000_000_u64 + index as u64 * 1_000_000;
        text.push_str(&serde_json::json!({ "ts": ts, "raw": raw }).to_string());
        text.push('\n');
    }
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(&zstd::encode_all(text.as_bytes(), 1).unwrap())
        .unwrap();
    path
}

/// The configuration of a replay at full speed that waits for its command.
pub(crate) fn replay(format: &str, path: &Path) -> String {
    format!(
        "[[source]]\nkind = \"replay\"\nformat = \"{format}\"\npath = \"{}\"\nspeed = \"max\"\n\
         start = \"on-command\"\n",
        path.display()
    )
}

/// Lets replays go.
pub(crate) async fn start_replays(gateway: &Gateway) {
    let answer = http(gateway.admin_address(), "POST /replay/start").await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
}

/// A free port of this machine. Somebody else may take it meanwhile, which then shows.
pub(crate) fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}
