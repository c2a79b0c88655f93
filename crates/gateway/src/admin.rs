//! The admin listener: metrics, probes and commands. It must never be reachable from outside.
//!
//! It must answer also when nothing else does, so it accepts every connection. If all places are taken,
//! or those of the address, or all file descriptors, the connection that has waited longest for its
//! client is closed. So clients that read nothing or send nothing cannot exclude others. Requests have no
//! limit per second, because a probe may have the same address as a client that asks too often.

pub mod connections;

use crate::metrics::ProcessMetrics;
use crate::parts::Parts;
use crate::sources::NotStarted;
use connections::Connections;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use prometheus::{Encoder as _, Registry, TextEncoder};
use std::sync::Arc;
use std::time::Duration;
use tapecast_edge::io::http::connection::{self, HttpConnection, Times};
use tapecast_edge::io::http::host;
use tapecast_edge::io::http::places::{Evict, Places};
use tapecast_edge::io::http::{self, Answer, ORDERS, READS, Refusal, origin, plain};
use tapecast_edge::io::listener::Rules;
use tapecast_edge::metrics::HttpMetrics;
use tapecast_listen::Acceptor;
use tapecast_model::{InForce, UnixNanos};
use tokio::net::{TcpListener, TcpStream};

/// What the admin listener shows of the process, and can do with it.
pub struct Around {
    /// For probes.
    pub parts: Parts,
    /// Those of clients.
    pub connections: Connections,
    /// A report on the sources, as JSON.
    pub sources: Box<dyn Fn() -> String + Send + Sync>,
    /// Starts the replays that wait for it.
    pub start: Box<dyn Fn() -> Result<(), NotStarted> + Send + Sync>,
}

/// The admin listener.
pub struct Admin {
    registry: Registry,
    process: ProcessMetrics,
    around: Around,
    places: Arc<Places>,
    rules: Arc<InForce<Rules>>,
    metrics: HttpMetrics,
}

/// Connections at a time: scrapers and people.
pub const CONNECTIONS_MAX: usize = 64;
/// Those of one address.
const SHARE_MAX: usize = 32;
/// Requests of one connection.
const REQUESTS_MAX: usize = 10_000;
/// File descriptors in reserve: for a few connections, and for what `/metrics` reads.
const RESERVE: usize = 6;
const TIMES: Times = Times {
    request: Duration::from_secs(5),
    answer: Duration::from_secs(10),
    // Longer than scrapers usually pause.
    idle: Duration::from_secs(75),
};

/// A time as this listener's answers write it: RFC 3339, in UTC.
pub fn time(at: UnixNanos) -> Option<String> {
    let at = jiff::Timestamp::from_nanosecond(i128::from(at.get())).ok()?;
    Some(at.to_string())
}

impl Admin {
    /// Shows this to requests that have an allowed `Host`, and all metrics of the registry.
    ///
    /// # Errors
    /// If a metric of the process is registered already.
    pub fn new(
        around: Around,
        rules: &Arc<InForce<Rules>>,
        metrics: HttpMetrics,
        registry: &Registry,
    ) -> Result<Arc<Self>, prometheus::Error> {
        Ok(Arc::new(Self {
            registry: registry.clone(),
            process: ProcessMetrics::register(registry)?,
            around,
            places: Places::new(CONNECTIONS_MAX, SHARE_MAX),
            rules: Arc::clone(rules),
            metrics,
        }))
    }

    /// Answers a request that may be made. A path is in both matches: what it takes, and what it does.
    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, Refusal> {
        let path = request.uri().path();
        let allow = match path {
            "/metrics" | "/livez" | "/readyz" | "/debug/sources" | "/debug/connections" | "*" => {
                READS
            }
            "/replay/start" => ORDERS,
            _ => "",
        };
        if allow.is_empty() {
            return Ok(plain(
                StatusCode::NOT_FOUND,
                "here are GET /metrics, GET /livez, GET /readyz, GET /debug/sources, GET /debug/connections and \
                 POST /replay/start",
            ));
        }
        if let Some(answer) = http::method(request.method(), allow) {
            return Ok(answer);
        }
        if allow == ORDERS && origin::is_foreign(request.headers(), host::of(&request)?.as_ref()) {
            let message = "commands from pages of other sites are refused";
            return Err(Refusal::new(StatusCode::FORBIDDEN, message).labelled("origin"));
        }
        Ok(match path {
            "/metrics" => self.gather(),
            "/livez" => plain(StatusCode::OK, "alive"),
            "/readyz" => match self.around.parts.verdict() {
                Ok(()) => plain(StatusCode::OK, "ready"),
                Err(why) => plain(StatusCode::SERVICE_UNAVAILABLE, &why),
            },
            "/debug/sources" => self.sources(),
            "/debug/connections" => {
                let query = request.uri().query().unwrap_or_default();
                self.around.connections.answer(query).await
            }
            "/replay/start" => self.start(),
            _ => plain(StatusCode::NOT_FOUND, "this path does not exist"),
        })
    }

    fn start(&self) -> Answer {
        match (self.around.start)() {
            Ok(()) => {
                let mut answer = Response::new(Full::default());
                *answer.status_mut() = StatusCode::NO_CONTENT;
                answer
            }
            Err(none @ NotStarted::NoneWaits) => plain(StatusCode::NOT_FOUND, &none.to_string()),
            Err(ended @ NotStarted::AllEnded) => plain(StatusCode::CONFLICT, &ended.to_string()),
        }
    }

    fn sources(&self) -> Answer {
        let mut answer = Response::new(Full::from((self.around.sources)()));
        let json = HeaderValue::from_static("application/json");
        answer.headers_mut().insert(CONTENT_TYPE, json);
        answer
    }

    fn gather(&self) -> Answer {
        self.process.refresh();
        let encoder = TextEncoder::new();
        let mut text = Vec::new();
        match encoder.encode(&self.registry.gather(), &mut text) {
            Ok(()) => {
                let mut answer = Response::new(Full::new(Bytes::from(text)));
                let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                answer.headers_mut().insert(CONTENT_TYPE, kind);
                answer
            }
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }

    /// Serves for ever; to be dropped when that is over.
    ///
    /// # Cancellation
    /// Safe: a connection is either not accepted yet or in its own task.
    pub async fn run(self: Arc<Self>, socket: TcpListener) {
        let mut acceptor = Acceptor::new(socket, RESERVE);
        loop {
            let came = acceptor.next().await;
            if acceptor.spare() <= RESERVE / 2 {
                // The next ones need descriptors: let whoever is cut give his back.
                self.places.evict_one();
                tokio::task::yield_now().await;
            }
            let connection = HttpConnection::new();
            let place = self
                .places
                .take(came.peer.ip(), &connection, Evict::Anybody);
            let admin = Arc::clone(&self);
            tokio::spawn(async move {
                let _place = place;
                admin.serve(came.stream, &connection).await;
            });
        }
    }

    async fn serve(&self, stream: TcpStream, connection: &Arc<HttpConnection>) {
        let end = connection::serve(stream, connection, &TIMES, |request| {
            let last = connection.request() >= REQUESTS_MAX || http::has_body(request.headers());
            let judged = http::judge(&request, &self.rules.get().hosts);
            let version = request.version();
            async move {
                let answered = match judged {
                    Ok(()) => self.answer(request).await,
                    Err(refusal) => Err(refusal),
                };
                let mut answer = answered.unwrap_or_else(|refusal| {
                    self.metrics.refuse(refusal.label);
                    refusal.answer()
                });
                if last {
                    http::close(&mut answer, version);
                }
                connection.made();
                answer
            }
        });
        if let Some(label) = end.await.label() {
            self.metrics.refuse(label);
        }
    }
}
