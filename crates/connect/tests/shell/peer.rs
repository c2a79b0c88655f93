//! Servers that follow a script: one thread accepts, each connection has a thread.

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

/// Serves each connection with the script. Gives the port.
pub(crate) fn serve(script: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = Arc::new(script);
    thread::spawn(move || {
        for connection in listener.incoming() {
            let (script, connection) = (Arc::clone(&script), connection.unwrap());
            thread::spawn(move || script(connection));
        }
    });
    port
}

/// A WebSocket server without TLS.
pub(crate) fn websocket(script: impl Fn(WebSocket<TcpStream>) + Send + Sync + 'static) -> String {
    let port = serve(move |connection| script(accept(connection)));
    format!("ws://127.0.0.1:{port}/")
}

/// The handshake, without a limit for what is sent.
pub(crate) fn accept<S: Read + Write>(connection: S) -> WebSocket<S> {
    let config = WebSocketConfig::default()
        .max_message_size(None)
        .max_frame_size(None);
    let Ok(socket) = tungstenite::accept_with_config(connection, Some(config)) else {
        panic!("no handshake");
    };
    socket
}

/// The server's side of TLS; the handshake happens with the first read.
pub(crate) fn tls(
    connection: TcpStream,
    config: &Arc<ServerConfig>,
) -> StreamOwned<ServerConnection, TcpStream> {
    let tls = ServerConnection::new(Arc::clone(config)).unwrap();
    StreamOwned::new(tls, connection)
}

/// Reads to the end, answering pings and closes.
pub(crate) fn drain<S: Read + Write>(socket: &mut WebSocket<S>) {
    while socket.read().is_ok() {}
}

/// The next text.
pub(crate) fn text<S: Read + Write>(socket: &mut WebSocket<S>) -> String {
    loop {
        if let Message::Text(text) = socket.read().unwrap() {
            return text.to_string();
        }
    }
}

/// The head of a request, as it came.
pub(crate) fn head(connection: &mut impl Read) -> String {
    let mut reader = BufReader::with_capacity(1, connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap() == 0 {
            break;
        }
    }
    head
}

/// Answers each request with these bytes, and closes.
pub(crate) fn answer(bytes: impl Into<Vec<u8>>) -> u16 {
    let bytes = bytes.into();
    serve(move |mut connection| {
        head(&mut connection);
        connection.write_all(&bytes).unwrap();
    })
}

/// Waits until the other side has ended the connection.
pub(crate) fn until_end(mut connection: impl Read) {
    let mut bytes = [0; 4_096];
    while connection.read(&mut bytes).is_ok_and(|n| n > 0) {}
}
