//! Requests over HTTP/1.1, and the handshakes of WebSockets (RFC 6455, section 4.2).

use super::hub::Hub;
use super::socket;
use crate::venue::{AnswerEnd, HttpAnswer, Refusal, Venue};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, UPGRADE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

type Reply = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// Serves a connection until the client ends it, or it is a WebSocket.
pub(super) async fn serve<V: Venue + Send + 'static>(
    hub: Arc<Hub<V>>,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) {
    let service = service_fn(move |request| {
        let hub = Arc::clone(&hub);
        async move { Ok::<_, Infallible>(reply(hub, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // What breaks here is the client's business, or a fault that was asked for.
    let _ = connection.await;
}

async fn reply<V: Venue + Send + 'static>(hub: Arc<Hub<V>>, request: Request<Incoming>) -> Reply {
    let target = request.uri().path_and_query();
    let target = target.map_or("/", |target| target.as_str()).to_owned();
    if request.method() != Method::GET {
        return whole(405, &[], String::new());
    }
    if request.headers().contains_key(UPGRADE) {
        return upgrade(hub, request, &target);
    }
    let answer = hub.call(|venue, now| venue.http(&target, now));
    let HttpAnswer {
        status,
        headers,
        body,
        delay,
        end,
    } = answer;
    match end {
        AnswerEnd::Never => std::future::pending().await,
        AnswerEnd::Whole => {
            tokio::time::sleep(delay).await;
            whole(status, &headers, body)
        }
        AnswerEnd::Truncated => {
            tokio::time::sleep(delay).await;
            truncated(status, &headers, body)
        }
    }
}

/// A handshake. The connection's task begins when the answer has been sent.
fn upgrade<V: Venue + Send + 'static>(
    hub: Arc<Hub<V>>,
    mut request: Request<Incoming>,
    target: &str,
) -> Reply {
    let Some(key) = request.headers().get("sec-websocket-key") else {
        return whole(400, &[], String::new());
    };
    let accept = derive_accept_key(key.as_bytes());
    let (conn, outputs) = match hub.connect(target) {
        Ok(connected) => connected,
        Err(Refusal {
            status,
            headers,
            body,
        }) => return whole(status, &headers, body),
    };
    let upgraded = hyper::upgrade::on(&mut request);
    let task_hub = Arc::clone(&hub);
    hub.spawn(async move {
        match upgraded.await {
            Ok(upgraded) => {
                let io = TokioIo::new(upgraded);
                let socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
                socket::serve(task_hub, conn, socket, outputs).await;
            }
            Err(_) => task_hub.closed(conn),
        }
    });
    let headers = [
        (CONNECTION.to_string(), "Upgrade".to_owned()),
        (UPGRADE.to_string(), "websocket".to_owned()),
        ("sec-websocket-accept".to_owned(), accept),
    ];
    whole(101, &headers, String::new())
}

fn whole(status: u16, headers: &[(String, String)], body: String) -> Reply {
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {});
    with_head(status, headers, body.boxed_unsync())
}

/// Announces more than comes.
fn truncated(status: u16, headers: &[(String, String)], body: String) -> Reply {
    let length = body.len() * 2 + 1;
    let first = stream::iter([Ok(Frame::data(Bytes::from(body)))]);
    let broken = stream::once(async {
        // So that what came before has been sent.
        tokio::time::sleep(BREAK_AFTER).await;
        Err(io::Error::other("a fault that was asked for"))
    });
    let body = StreamBody::new(first.chain(broken)).boxed_unsync();
    let mut headers = headers.to_vec();
    headers.push((CONTENT_LENGTH.to_string(), length.to_string()));
    with_head(status, &headers, body)
}

fn with_head(
    status: u16,
    headers: &[(String, String)],
    body: UnsyncBoxBody<Bytes, io::Error>,
) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<hyper::header::HeaderName>(), value.parse()) {
            reply.headers_mut().append(name, value);
        }
    }
    reply
}

/// An answer that breaks off does so this long behind its last byte.
const BREAK_AFTER: Duration = Duration::from_millis(50);
