//! One WebSocket: it says what the venue says, and tells the venue what the client says.

use super::hub::Hub;
use crate::venue::{Output, Venue};
use futures_util::{SinkExt as _, StreamExt as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::Receiver;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

/// What a connection does next.
enum Next {
    GoOn,
    /// The client or the venue has ended it, with a close frame or without.
    End,
    /// The socket stays and does nothing.
    Mute,
}

/// Serves a connection until one side ends it.
pub(super) async fn serve<V, S>(
    hub: Arc<Hub<V>>,
    conn: u64,
    mut socket: WebSocketStream<S>,
    mut outputs: Receiver<Output>,
) where
    V: Venue + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let next = tokio::select! {
            output = outputs.recv() => match output {
                Some(output) => send(&mut socket, output).await,
                // The queue was full: the client is cut.
                None => Next::End,
            },
            message = socket.next() => receive(&hub, conn, message),
        };
        match next {
            Next::GoOn => {}
            Next::End => break,
            Next::Mute => std::future::pending().await,
        }
    }
    // For a connection that the venue has ended, this says nothing new.
    hub.closed(conn);
}

async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    output: Output,
) -> Next {
    let message = match output {
        Output::Text { text, .. } => Message::text(text),
        Output::Ping { payload, .. } => Message::Ping(payload.into()),
        // The library has answered the ping already.
        Output::Pong { .. } => return Next::GoOn,
        Output::Cut { .. } => return Next::End,
        Output::Mute { .. } => return Next::Mute,
        Output::Close { code, reason, .. } => {
            let frame = CloseFrame {
                code: code.into(),
                reason: reason.into(),
            };
            let closing = async {
                let sent = socket.close(Some(frame)).await;
                // The client's own close frame, so that the end is a clean one.
                while sent.is_ok() && matches!(socket.next().await, Some(Ok(_))) {}
            };
            let _ = tokio::time::timeout(CLOSE_PATIENCE, closing).await;
            return Next::End;
        }
    };
    match tokio::time::timeout(SEND_PATIENCE, socket.send(message)).await {
        Ok(Ok(())) => Next::GoOn,
        Ok(Err(_)) | Err(_) => Next::End,
    }
}

fn receive<V: Venue>(hub: &Hub<V>, conn: u64, message: Option<Result<Message, Error>>) -> Next {
    match message {
        Some(Ok(Message::Text(text))) => hub.call(|venue, now| venue.receive(conn, &text, now)),
        Some(Ok(Message::Ping(payload))) => {
            hub.call(|venue, now| venue.receive_ping(conn, &payload, now));
        }
        Some(Ok(Message::Pong(payload))) => {
            hub.call(|venue, now| venue.receive_pong(conn, &payload, now));
        }
        // The library answers; then the stream ends.
        Some(Ok(Message::Close(_))) => {}
        // The venue has no binary messages; it takes them for text that is none.
        Some(Ok(Message::Binary(_) | Message::Frame(_))) => {
            hub.call(|venue, now| venue.receive(conn, "", now));
        }
        Some(Err(_)) | None => return Next::End,
    }
    Next::GoOn
}

/// A write takes so long at most.
const SEND_PATIENCE: Duration = Duration::from_secs(10);
/// A client has this long to answer a close frame.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);
