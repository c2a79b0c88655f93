//! The public listener: HTTP until the handshake, then the socket goes to a shard.
//!
//! Runs on the control runtime. A connection is admitted by address and in all before a byte of it is
//! read, must complete its request in time, and is either answered (pages, lists) or upgraded. The
//! upgraded socket is taken out of hyper and tokio altogether: what remains is a file descriptor in
//! the least loaded shard.
//!
//! # Limits
//! [`Limits::connections_max`], [`Limits::connections_per_address_max`], [`Limits::handshakes_max`]
//! at a time, [`Limits::handshake_timeout`] for each. Who is over a limit gets a status and a sentence.

use crate::admission::{Admission, AdmissionError, Permit};
use crate::io::handshake::{Agreement, Origins, Refusal, judge};
use crate::io::poller::ShardHandle;
use crate::limits::Limits;
use crate::metrics::ListenerMetrics;
use crate::shard::Arrival;
use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, warn};

/// An answer to a plain request.
pub type Answer = Response<Full<Bytes>>;

/// Answers requests that are not handshakes; none means 404.
pub type Pages = dyn Fn(&Request<Incoming>) -> Option<Answer> + Send + Sync;

/// The public listener's part of the process.
pub struct Listener {
    shards: Vec<ShardHandle>,
    admission: Arc<Admission>,
    handshakes: Arc<Semaphore>,
    origins: Origins,
    limits: Limits,
    metrics: ListenerMetrics,
    pages: Box<Pages>,
    draining: AtomicBool,
}

/// The path of the WebSocket endpoint.
pub const WEBSOCKET_PATH: &str = "/v1/ws";

impl Listener {
    /// Gives its connections to these shards.
    pub fn new(
        shards: Vec<ShardHandle>,
        limits: Limits,
        origins: Origins,
        metrics: ListenerMetrics,
        pages: Box<Pages>,
    ) -> Arc<Self> {
        Arc::new(Self {
            shards,
            admission: Admission::new(limits.connections_max, limits.connections_per_address_max),
            handshakes: Arc::new(Semaphore::new(limits.handshakes_max)),
            origins,
            limits,
            metrics,
            pages,
            draining: AtomicBool::new(false),
        })
    }

    /// From now on every handshake is refused.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Waits until no handshake is under way: until those who were told that they are connected have
    /// a shard that can tell them goodbye.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn settled(&self) {
        let all = u32::try_from(self.limits.handshakes_max).unwrap_or(u32::MAX);
        // Fails only if the semaphore is closed, which it never is.
        let _ = self.handshakes.acquire_many(all).await;
    }

    /// Accepts connections for ever; to be dropped when that is over.
    ///
    /// # Cancellation
    /// Safe: a connection is either not accepted yet or in a task of its own.
    pub async fn run(self: Arc<Self>, socket: TcpListener) {
        loop {
            let (stream, peer) = match socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: others must go before new ones come.
                    warn!(%error, "Failed to accept a connection");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                    continue;
                }
            };
            match self.admission.admit(peer.ip()) {
                Ok(permit) => {
                    let listener = Arc::clone(&self);
                    tokio::spawn(async move { listener.serve(stream, permit).await });
                }
                Err(error) => {
                    self.turn_away(stream, &error);
                }
            }
        }
    }

    /// Answers a connection that is not admitted, without reading from it.
    fn turn_away(&self, mut stream: TcpStream, error: &AdmissionError) {
        let (status, label) = match error {
            AdmissionError::All(_) => ("503 Service Unavailable", "all_cap"),
            AdmissionError::Address(_) => ("429 Too Many Requests", "address_cap"),
        };
        self.metrics.refuse(label);
        let text = error.to_string();
        let answer = format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nRetry-After: 5\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\n\r\n{text}",
            text.len()
        );
        // A few of these at a time; when there are more, the connection is simply closed.
        if let Ok(slot) = Arc::clone(&self.handshakes).try_acquire_owned() {
            tokio::spawn(async move {
                let _slot = slot;
                let _ = tokio::time::timeout(TURN_AWAY_TIMEOUT, async {
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                    // Read what was sent, so that closing does not reset before the answer is read.
                    let mut sink = [0; 1_024];
                    while matches!(
                        tokio::io::AsyncReadExt::read(&mut stream, &mut sink).await,
                        Ok(read) if read > 0
                    ) {}
                })
                .await;
            });
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, permit: Permit) {
        let Ok(handshake) = Arc::clone(&self.handshakes).try_acquire_owned() else {
            self.metrics.refuse("busy");
            return;
        };
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "Failed to set TCP_NODELAY");
        }
        let unsent = self.limits.unsent_bytes_max;
        if unsent > 0
            && let Err(error) = SockRef::from(&stream).set_tcp_notsent_lowat(unsent)
        {
            debug!(%error, "Failed to set TCP_NOTSENT_LOWAT");
        }
        // Taken by the upgrade, if there is one; held to the end otherwise.
        let permit = Arc::new(Mutex::new(Some((permit, handshake))));
        let timeout = self.limits.handshake_timeout;
        let service = service_fn(|request: Request<Incoming>| {
            let answer = self.answer(request, &permit);
            async move { Ok::<_, Infallible>(answer) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(timeout)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
        if let Err(error) = served {
            debug!(%error, "Connection ended before its handshake was complete");
        }
    }

    fn answer(
        self: &Arc<Self>,
        mut request: Request<Incoming>,
        permit: &Mutex<Option<(Permit, OwnedSemaphorePermit)>>,
    ) -> Answer {
        if request.uri().path() != WEBSOCKET_PATH {
            return (self.pages)(&request).unwrap_or_else(|| {
                plain(
                    StatusCode::NOT_FOUND,
                    "there is nothing here; the WebSocket is at /v1/ws",
                )
            });
        }
        if self.draining.load(Ordering::Relaxed) {
            self.metrics.refuse("draining");
            let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, "the server is going away");
            answer
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("5"));
            return answer;
        }
        let agreement = match judge(&request, &self.origins) {
            Ok(agreement) => agreement,
            Err(refusal) => return self.refuse(refusal),
        };
        let Ok((response, upgraded)) = upgrade(&mut request) else {
            self.metrics.refuse("bad_request");
            return plain(StatusCode::BAD_REQUEST, "not a WebSocket handshake");
        };
        // Header values are slices of hyper's read buffer: let go of it.
        drop(request);
        let Some(permits) = permit.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return plain(
                StatusCode::BAD_REQUEST,
                "this connection has been upgraded already",
            );
        };
        let listener = Arc::clone(self);
        tokio::spawn(async move { listener.hand_over(upgraded, agreement, permits).await });
        let (mut head, _) = response.into_parts();
        if let Some(subprotocol) = agreement.subprotocol {
            head.headers.insert(
                SEC_WEBSOCKET_PROTOCOL,
                HeaderValue::from_static(subprotocol),
            );
        }
        Response::from_parts(head, Full::default())
    }

    fn refuse(&self, refusal: Refusal) -> Answer {
        self.metrics.refuse(refusal.label);
        let mut answer = plain(refusal.status, &refusal.message);
        if let Some((name, value)) = refusal.header {
            answer.headers_mut().insert(name, value);
        }
        answer
    }

    /// Takes the socket out of hyper and tokio and gives it to a shard.
    async fn hand_over(
        self: Arc<Self>,
        upgraded: UpgradeFut,
        agreement: Agreement,
        (permit, _handshake): (Permit, OwnedSemaphorePermit),
    ) {
        // The answer must be written within the time of a handshake too.
        let upgraded = tokio::time::timeout(self.limits.handshake_timeout, upgraded).await;
        let Ok(Ok(websocket)) = upgraded else { return };
        let upgraded = websocket.into_inner().into_inner();
        let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
            warn!("Upgraded connection is not the socket it was");
            return;
        };
        let Ok(socket) = parts.io.into_inner().into_std() else {
            return;
        };
        let arrival = Arrival {
            socket,
            early: parts.read_buf.to_vec(),
            encoding: agreement.encoding,
            permit,
        };
        let least = self.shards.iter().min_by_key(|shard| shard.load());
        if least.is_none_or(|shard| shard.give(arrival).is_err()) {
            self.metrics.refuse("busy");
        }
    }
}

/// A plain-text answer.
pub fn plain(status: StatusCode, message: &str) -> Answer {
    let mut answer = Response::new(Full::from(format!("{message}\n")));
    *answer.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, text);
    answer
}

/// The head of a request: browsers with many cookies stay below.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long accepting rests after a failure.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// How long a connection that is turned away may take to read why.
const TURN_AWAY_TIMEOUT: Duration = Duration::from_secs(1);
