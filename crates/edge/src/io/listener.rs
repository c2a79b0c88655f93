//! The public listener: HTTP until the handshake, then the socket goes to a shard.
//!
//! It runs on the control runtime. A connection is admitted, per address and in all, before a byte of it
//! is read. It must complete its request in time. Then it is either answered (pages, lists) or upgraded.
//! The upgraded socket is taken out of hyper and tokio; only a file descriptor remains, in the shard with
//! the fewest connections.
//!
//! # Limits
//! [`connections_max`] in all, WebSockets included. Until its first request is complete, a
//! connection has one of [`handshakes_max`] places, for at most [`handshake_timeout`]. A
//! connection that asks for a page then takes one of [`http_connections_max`] places, so that
//! pages do not delay handshakes. One address may use only a part of each. A connection without a place
//! gets 429 or 503, `Retry-After` and a sentence. A client gets 101 only after a shard has room for it.
//! If an address asks for pages more often than [`http_requests_per_address_per_s`], it gets 429 and
//! the connection is closed.
//!
//! [`connections_max`]: crate::limits::Limits::connections_max
//! [`handshakes_max`]: crate::limits::Limits::handshakes_max
//! [`handshake_timeout`]: crate::limits::Limits::handshake_timeout
//! [`http_connections_max`]: crate::limits::Limits::http_connections_max
//! [`http_requests_per_address_per_s`]: crate::limits::Limits::http_requests_per_address_per_s

use crate::admission::{Admission, AdmissionError, Permit};
use crate::io::connection::Connection;
use crate::io::handshake::{self, Agreement};
use crate::io::http::connection::{self, End, HttpConnection, Times};
use crate::io::http::host::{self, Hosts};
use crate::io::http::origin::Origins;
use crate::io::http::places::{Evict, Place, Places};
use crate::io::http::rate::Rates;
use crate::io::http::{self, Answer, Refusal};
use crate::io::poller::{Seat, ShardHandle};
use crate::metrics::{HttpMetrics, ListenerMetrics};
use crate::settings::Settings;
use crate::shard::Arrival;
use fastwebsockets::WebSocket;
use fastwebsockets::upgrade::upgrade;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{HeaderValue, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tapecast_listen::{Acceptor, Came, Turnstile, turn_away_now};
use tapecast_model::{Held, InForce, RateLimit, clock::mono_now};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, info, warn};

/// An answer that may take a while to make.
pub type Making = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Answers requests that are not handshakes; none means 404.
pub type Pages = dyn Fn(&Request<Incoming>) -> Option<Making> + Send + Sync;

/// The public listener's part of the process.
pub struct Listener {
    shards: Vec<ShardHandle>,
    admission: Arc<Admission>,
    /// For connections whose first request is not complete, or that no shard has taken yet.
    handshakes: Arc<Places>,
    /// For connections that asked for a page.
    readers: Arc<Places>,
    /// Each client that got 101 and is not in a shard yet takes one.
    agreed: Arc<Semaphore>,
    turnstile: Turnstile,
    /// How often addresses ask for pages.
    rates: Rates,
    settings: Mutex<Held<Settings>>,
    rules: Arc<InForce<Rules>>,
    metrics: (ListenerMetrics, HttpMetrics),
    pages: Box<Pages>,
    /// How often it is said that an origin was refused.
    origin_lines: RateLimit,
    draining: AtomicBool,
}

/// Which hosts and origins may send requests.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// By which names.
    pub hosts: Hosts,
    /// From which pages.
    pub origins: Origins,
}

/// A connection until it is in a shard or gone.
struct Client {
    address: IpAddr,
    connection: Arc<HttpConnection>,
    /// As of its beginning.
    settings: Arc<Settings>,
    /// The upgrade takes it, if there is one; otherwise it is held to the end.
    holds: Mutex<Option<Holds>>,
}

struct Holds {
    permit: Permit,
    place: Place,
    reads_pages: bool,
}

/// Of a refused origin, so much is said in the log.
const ORIGIN_BYTES: usize = 128;
/// The path of the WebSocket endpoint.
pub const WEBSOCKET_PATH: &str = "/v1/ws";

impl Listener {
    /// Gives its connections to these shards.
    pub fn new(
        shards: Vec<ShardHandle>,
        (settings, rules): (&Arc<InForce<Settings>>, &Arc<InForce<Rules>>),
        metrics: (ListenerMetrics, HttpMetrics),
        pages: Box<Pages>,
    ) -> Arc<Self> {
        let settings = settings.hold();
        let limits = &settings.limits;
        Arc::new(Self {
            shards,
            admission: Admission::new(limits.connections_max, limits.connections_per_address_max),
            handshakes: Places::new(limits.handshakes_max, limits.handshakes_per_address_max),
            readers: Places::new(
                limits.http_connections_max,
                limits.http_connections_per_address_max,
            ),
            agreed: Arc::new(Semaphore::new(AGREED_MAX as usize)),
            turnstile: Turnstile::default(),
            rates: Rates::new(limits.http_requests_per_address_per_s),
            settings: Mutex::new(settings),
            rules: Arc::clone(rules),
            metrics,
            pages,
            origin_lines: RateLimit::of_log_lines(),
            draining: AtomicBool::new(false),
        })
    }

    /// From now on every handshake is refused.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Waits until every client that got 101 has a shard, which can send it a `bye`.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn settled(&self) {
        // Fails only if the semaphore is closed, which it never is.
        let _ = self.agreed.acquire_many(AGREED_MAX).await;
    }

    /// The settings in force. Caps are changed here, so that the first connection under new ones meets them.
    fn settings(&self) -> Arc<Settings> {
        let mut held = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        if held.renew().is_some() {
            let limits = &held.limits;
            let (all, of_address) = (limits.connections_max, limits.connections_per_address_max);
            self.admission.set_caps(all, of_address);
            let (all, of_address) = (limits.handshakes_max, limits.handshakes_per_address_max);
            self.handshakes.set_caps(all, of_address);
            let (all, of_address) = (
                limits.http_connections_max,
                limits.http_connections_per_address_max,
            );
            self.readers.set_caps(all, of_address);
            self.rates.set(limits.http_requests_per_address_per_s);
        }
        held.share()
    }

    /// Accepts connections for ever; to be dropped when that is over.
    ///
    /// # Cancellation
    /// Safe: a connection is either not accepted yet or in its own task.
    pub async fn run(self: Arc<Self>, socket: TcpListener) {
        let mut acceptor = Acceptor::new(socket, RESERVE);
        loop {
            let Came {
                stream,
                peer,
                reserved,
            } = acceptor.next().await;
            if reserved {
                self.metrics.0.refuse("files");
                let message = "this server has no room for another connection; try again later";
                let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message).later();
                turn_away_now(&stream, &refusal.bytes());
                continue;
            }
            match self.admit(peer) {
                Ok(client) => {
                    tokio::spawn(Arc::clone(&self).serve(stream, Arc::new(client)));
                }
                Err(refusal) => {
                    self.metrics.0.refuse(refusal.label);
                    self.turnstile.turn_away(stream, refusal.bytes());
                }
            }
        }
    }

    /// Room for a connection from this address, or what it is to be told.
    fn admit(&self, peer: SocketAddr) -> Result<Client, Refusal> {
        let (address, settings) = (peer.ip(), self.settings());
        let permit = self.admission.admit(peer).map_err(|error| {
            let (status, label) = match error {
                AdmissionError::All(_) => (StatusCode::SERVICE_UNAVAILABLE, "all_cap"),
                AdmissionError::Address(_) => (StatusCode::TOO_MANY_REQUESTS, "address_cap"),
            };
            let refusal = Refusal::new(status, &error.to_string());
            refusal.labelled(label).later()
        })?;
        let connection = HttpConnection::new();
        let place = self.handshakes.take(address, &connection, Evict::Nobody);
        let holds = Holds {
            permit,
            place: place.map_err(Refusal::full)?,
            reads_pages: false,
        };
        Ok(Client {
            address,
            connection,
            settings,
            holds: Mutex::new(Some(holds)),
        })
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, client: Arc<Client>) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "Failed to set TCP_NODELAY");
        }
        let unsent = client.settings.limits.unsent_bytes_max;
        if unsent > 0
            && let Err(error) = SockRef::from(&stream).set_tcp_notsent_lowat(unsent)
        {
            debug!(%error, "Failed to set TCP_NOTSENT_LOWAT");
        }
        self.converse(stream, &client).await;
    }

    /// Serves a connection that comes from this address over any stream, as [`Self::run`] does for sockets.
    /// Returns how it ended. One that is upgraded ends too: shards take nothing but sockets.
    ///
    /// # Errors
    /// If there is no room for it.
    ///
    /// # Cancellation
    /// Closes the connection.
    pub async fn attend<S>(self: &Arc<Self>, stream: S, peer: SocketAddr) -> Result<End, Refusal>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let client = Arc::new(self.admit(peer)?);
        Ok(self.converse(stream, &client).await)
    }

    async fn converse<S>(self: &Arc<Self>, stream: S, client: &Arc<Client>) -> End
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let limits = &client.settings.limits;
        let times = Times {
            request: limits.handshake_timeout,
            answer: limits.http_answer_timeout,
            idle: limits.http_idle_timeout,
        };
        let end = connection::serve(stream, &client.connection, &times, |request| {
            let count = client.connection.request();
            let last = count >= limits.http_requests_max || http::has_body(request.headers());
            let version = request.version();
            let making = self.answer(request, client);
            let connection = Arc::clone(&client.connection);
            async move {
                let (mut answer, over) = match making {
                    Ok(making) => (making.await, false),
                    Err((refusal, over)) => (refusal.answer(), over),
                };
                if (last || over) && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                    http::close(&mut answer, version);
                }
                connection.made();
                answer
            }
        })
        .await;
        if let Some(label) = end.label() {
            self.metrics.1.refuse(label);
        }
        if end == End::Garbage {
            debug!("A connection sent bytes that are not HTTP");
        }
        end
    }

    /// What a request gets; or why it gets nothing, and whether that ends its connection.
    fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        client: &Client,
    ) -> Result<Making, (Refusal, bool)> {
        let (settings, rules) = (self.settings(), self.rules.get());
        let is_handshake = request.uri().path() == WEBSOCKET_PATH;
        if !is_handshake || request.headers().get(UPGRADE).is_none() {
            // It is no handshake, or will not become one: it must not hold the place of one.
            let often = self.rates.ask(client.address, mono_now());
            let place = often.map_err(Refusal::too_often);
            let place = place.and_then(|()| client.read_pages(&self.readers));
            place.map_err(|refusal| {
                self.metrics.1.refuse(refusal.label);
                (refusal, true)
            })?;
        }
        if is_handshake {
            let agreed = self
                .shake_hands(request, client, (&settings, &rules))
                .map_err(|refusal| {
                    self.metrics.0.refuse(refusal.label);
                    // Or it would hold a place of handshakes for as long as it sends bad ones.
                    (refusal, true)
                })?;
            return Ok(Box::pin(async move { agreed }));
        }
        http::judge(&request, &rules.hosts).map_err(|refusal| {
            self.metrics.1.refuse(refusal.label);
            (refusal, false)
        })?;
        Ok((self.pages)(&request).unwrap_or_else(|| {
            let nothing = match request.uri().path() {
                "*" => http::method(&Method::OPTIONS, http::READS),
                _ => None,
            };
            let nothing = nothing.unwrap_or_else(|| {
                let message = "this path does not exist; the WebSocket is at /v1/ws";
                http::plain(StatusCode::NOT_FOUND, message)
            });
            Box::pin(async move { nothing })
        }))
    }

    /// Agrees on a WebSocket and sees to it that the socket gets to a shard which has room for it.
    fn shake_hands(
        self: &Arc<Self>,
        mut request: Request<Incoming>,
        client: &Client,
        (settings, rules): (&Settings, &Rules),
    ) -> Result<Answer, Refusal> {
        http::judge(&request, &rules.hosts)?;
        if let Some(answer) = http::method(request.method(), http::READS) {
            return Ok(answer);
        }
        let busy = |message, label| {
            let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message);
            refusal.labelled(label).later()
        };
        let host = host::of(&request)?;
        let agreement = handshake::judge(&request, host.as_ref(), &rules.origins)
            .inspect_err(|refusal| self.note_refusal(&request, client.address, refusal))?;
        // Before the look at `draining`, so that whoever waits until all is settled waits for this one.
        let agreed = self.agree(settings.limits.handshakes_max);
        if self.draining.load(Ordering::SeqCst) {
            return Err(busy("this server is shutting down", "draining"));
        }
        let seat = self.seat();
        let (Some(agreed), Some(seat)) = (agreed, seat) else {
            return Err(busy("this server is busy; try again later", "busy"));
        };
        let Ok((response, upgraded)) = upgrade(&mut request) else {
            let message = "this is not a WebSocket handshake";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, message));
        };
        // Header values are slices of hyper's read buffer: let go of it.
        drop(request);
        let Some(holds) = client.take() else {
            let message = "this connection is already a WebSocket";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, message));
        };
        let listener = Arc::clone(self);
        // The answer must be written within the time of a handshake too.
        let patience = settings.limits.handshake_timeout;
        let upgraded = tokio::time::timeout(patience, upgraded);
        tokio::spawn(async move {
            let Ok(Ok(upgraded)) = upgraded.await else {
                return;
            };
            listener.hand_over(upgraded, agreement, holds, seat);
            drop(agreed);
        });
        let (mut head, _) = response.into_parts();
        if let Some(subprotocol) = agreement.subprotocol {
            let value = HeaderValue::from_static(subprotocol);
            head.headers.insert(SEC_WEBSOCKET_PROTOCOL, value);
        }
        Ok(Response::from_parts(head, Full::default()))
    }

    /// The right to get 101, which at most so many have until a shard has taken them.
    fn agree(&self, max: usize) -> Option<OwnedSemaphorePermit> {
        // Fails only if there are more than there can be.
        let agreed = Arc::clone(&self.agreed).try_acquire_owned().ok()?;
        let taken = AGREED_MAX as usize - self.agreed.available_permits();
        (taken <= max).then_some(agreed)
    }

    /// Logs which origin was refused, because a page does not work or must not connect.
    fn note_refusal(&self, request: &Request<Incoming>, address: IpAddr, refusal: &Refusal) {
        if refusal.label == "origin"
            && let Some(more) = self.origin_lines.pass(mono_now())
        {
            let origin = request.headers().get(ORIGIN).map(HeaderValue::as_bytes);
            let origin = origin.unwrap_or_default();
            let origin = String::from_utf8_lossy(&origin[..origin.len().min(ORIGIN_BYTES)]);
            info!(%address, ?origin, more, "Origin refused: add it to listen.allowed_origins to allow it");
        }
    }

    /// A seat in the least loaded shard, or in any that has one.
    fn seat(&self) -> Option<Seat> {
        let least = self.shards.iter().min_by_key(|shard| shard.load());
        least
            .and_then(ShardHandle::seat)
            .or_else(|| self.shards.iter().find_map(ShardHandle::seat))
    }

    /// Takes the socket out of hyper and tokio and gives it to a shard.
    fn hand_over(
        &self,
        upgraded: WebSocket<TokioIo<Upgraded>>,
        agreement: Agreement,
        holds: Holds,
        seat: Seat,
    ) {
        let Holds {
            permit,
            place: _place,
            ..
        } = holds;
        let upgraded = upgraded.into_inner().into_inner();
        let Some((socket, early)) = connection::into_socket(upgraded) else {
            warn!("The upgraded connection is not the accepted socket");
            return;
        };
        let Ok(socket) = Connection::plain(socket) else {
            return;
        };
        let arrival = Arrival {
            socket,
            early,
            encoding: agreement.encoding,
            permit,
        };
        if seat.give(arrival).is_err() {
            // The shard has ended since it gave the seat, and so will the process.
            self.metrics.0.refuse("busy");
        }
    }
}

impl Client {
    /// Changes from a place of handshakes to one of readers.
    fn read_pages(&self, readers: &Arc<Places>) -> Result<(), Refusal> {
        let mut holds = self.lock();
        let Some(holds) = holds.as_mut().filter(|holds| !holds.reads_pages) else {
            return Ok(());
        };
        let place = readers.take(self.address, &self.connection, Evict::Idle);
        holds.place = place.map_err(Refusal::full)?;
        holds.reads_pages = true;
        Ok(())
    }

    fn take(&self) -> Option<Holds> {
        self.lock().take()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Holds>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Clients that have got 101 and are not in a shard yet: more than `limits.handshakes_max` can be.
const AGREED_MAX: u32 = 1 << 24;
/// File descriptors in reserve, to answer clients when there are no others.
const RESERVE: usize = 2;

#[cfg(test)]
mod tests;
