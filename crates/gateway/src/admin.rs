//! The admin listener: metrics, probes and orders. Never to be reachable from outside.

use crate::metrics::ProcessMetrics;
use crate::parts::Parts;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{Encoder as _, Registry, TextEncoder};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tapecast_edge::io::listener::{Answer, plain};
use tapecast_ingest::feed::StartGate;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::debug;

/// What the admin listener can see and do.
pub struct AdminState {
    registry: Registry,
    process: ProcessMetrics,
    gate: Arc<StartGate>,
    parts: Parts,
    sources: Box<dyn Fn() -> String + Send + Sync>,
}

/// The admin listener.
#[derive(Clone)]
pub struct Admin {
    state: Arc<AdminState>,
    connections: Arc<Semaphore>,
}

/// Connections at a time: scrapers and people.
const CONNECTIONS_MAX: usize = 64;
/// A request must be complete within this time.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

impl AdminState {
    /// What there is to see: the metrics, how the parts are, and a report on the sources.
    pub fn new(
        registry: Registry,
        process: ProcessMetrics,
        gate: Arc<StartGate>,
        parts: Parts,
        sources: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        Self {
            registry,
            process,
            gate,
            parts,
            sources: Box::new(sources),
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Answer {
        let (method, path) = (request.method(), request.uri().path());
        match (path, method) {
            ("/metrics", &Method::GET) => self.metrics(),
            ("/livez", &Method::GET) => plain(StatusCode::OK, "alive"),
            ("/readyz", &Method::GET) => match self.parts.verdict() {
                Ok(()) => plain(StatusCode::OK, "ready"),
                Err(why) => plain(StatusCode::SERVICE_UNAVAILABLE, &why),
            },
            ("/debug/sources", &Method::GET) => self.sources(),
            ("/replay/start", &Method::POST) => {
                self.gate.open();
                let mut answer = Response::new(Full::default());
                *answer.status_mut() = StatusCode::NO_CONTENT;
                answer
            }
            ("/metrics" | "/livez" | "/readyz" | "/debug/sources", _) => only("GET"),
            ("/replay/start", _) => only("POST"),
            _ => plain(
                StatusCode::NOT_FOUND,
                "here are GET /metrics, GET /livez, GET /readyz, GET /debug/sources and POST /replay/start",
            ),
        }
    }

    fn sources(&self) -> Answer {
        let mut answer = Response::new(Full::from((self.sources)()));
        let json = HeaderValue::from_static("application/json");
        answer.headers_mut().insert(CONTENT_TYPE, json);
        answer
    }

    fn metrics(&self) -> Answer {
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
}

fn only(method: &'static str) -> Answer {
    let mut answer = plain(
        StatusCode::METHOD_NOT_ALLOWED,
        &format!("this takes {method}"),
    );
    answer
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(method));
    answer
}

impl Admin {
    /// Serves this state.
    pub fn new(state: Arc<AdminState>) -> Self {
        Self {
            state,
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }

    /// Serves for ever; to be dropped when that is over.
    pub async fn run(self, socket: TcpListener) {
        loop {
            let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await else {
                return;
            };
            let Ok((stream, _)) = socket.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let state = Arc::clone(&self.state);
            tokio::spawn(async move {
                let _permit = permit;
                let service = service_fn(|request| {
                    let answer = state.answer(&request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let served = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(REQUEST_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                if let Err(error) = served {
                    debug!(%error, "Admin connection ended");
                }
            });
        }
    }
}
