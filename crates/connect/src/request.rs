//! One GET: a connection of its own, a limit for the body, one deadline for all of it.
//!
//! The status does not matter here: 418 is an answer. Redirections are not followed.

use crate::dial::{Dialer, after, within};
use crate::endpoint::{Endpoint, HTTP};
use crate::failure::{Failure, FailureKind, causes};
use crate::inbox::Inbox;
use crate::report::Report;
use crate::socket::Moment;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What is asked.
pub(crate) struct Query {
    pub(crate) id: u64,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) timeout: Duration,
}

/// The limits of every request.
#[derive(Clone, Copy)]
pub(crate) struct RequestLimits {
    pub(crate) body_bytes_max: usize,
    pub(crate) connect_timeout: Duration,
}

/// Sees to it that there is a report.
struct Answer {
    inbox: Arc<Inbox>,
    id: u64,
    given: bool,
}

/// Asks, and reports the answer.
pub(crate) async fn run(
    dialer: Arc<Dialer>,
    limits: RequestLimits,
    query: Query,
    inbox: Arc<Inbox>,
) {
    let mut answer = Answer {
        inbox,
        id: query.id,
        given: false,
    };
    let report = match ask(&dialer, limits, query).await {
        Ok(report) => report,
        Err(failure) => Report::HttpFailed {
            id: answer.id,
            failure,
        },
    };
    answer.give(report);
}

async fn ask(dialer: &Dialer, limits: RequestLimits, query: Query) -> Result<Report, Failure> {
    let endpoint = Endpoint::parse(&query.url, HTTP)?;
    let deadline = after(query.timeout);
    let late = || {
        format!(
            "{endpoint}: there was no complete answer within {:?}",
            query.timeout
        )
    };
    let exchange = Box::pin(exchange(dialer, limits, &query, &endpoint, deadline));
    within(deadline, exchange, FailureKind::Timeout, late).await?
}

async fn exchange(
    dialer: &Dialer,
    limits: RequestLimits,
    query: &Query,
    endpoint: &Endpoint,
    deadline: Instant,
) -> Result<Report, Failure> {
    let request = request(dialer, query, endpoint)?;
    let connected = deadline.min(after(limits.connect_timeout));
    let socket = dialer.dial(endpoint, connected).await?;
    let broken = |error: hyper::Error| failure(&error, endpoint);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
        .await
        .map_err(broken)?;
    // It ends with this request, however that ends.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status().as_u16();
    let headers = texts(response.headers());
    let body = body(response, limits.body_bytes_max, endpoint).await?;
    let moment = Moment::now();
    Ok(Report::Http {
        id: query.id,
        status,
        headers,
        body,
        mono: moment.mono,
        wall: moment.wall,
    })
}

fn request(
    dialer: &Dialer,
    query: &Query,
    endpoint: &Endpoint,
) -> Result<Request<Empty<Bytes>>, Failure> {
    let unusable = |what: &str| {
        let text = format!("{endpoint}: {what} cannot be sent");
        Failure::new(FailureKind::Url, text)
    };
    let mut headers = HeaderMap::new();
    let host = HeaderValue::try_from(endpoint.host_header())
        .ok()
        .ok_or_else(|| unusable("the host"))?;
    headers.insert(header::HOST, host);
    headers.insert(header::USER_AGENT, dialer.user_agent());
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    for (name, value) in &query.headers {
        let value = HeaderValue::try_from(value)
            .ok()
            .ok_or_else(|| unusable(&format!("the value of the header {name:?}")))?;
        let name = HeaderName::try_from(name)
            .ok()
            .ok_or_else(|| unusable("the name of a header"))?;
        headers.append(name, value);
    }
    let mut request = Request::builder()
        .method(Method::GET)
        .uri(endpoint.target())
        .body(Empty::new())
        .ok()
        .ok_or_else(|| unusable("the path"))?;
    *request.headers_mut() = headers;
    Ok(request)
}

async fn body(
    response: Response<Incoming>,
    bytes_max: usize,
    endpoint: &Endpoint,
) -> Result<Vec<u8>, Failure> {
    let too_large = |bytes: u64| {
        let text = format!(
            "{endpoint}: the answer has {bytes} bytes or more, above the limit of {bytes_max}"
        );
        Failure::new(FailureKind::TooLarge, text)
    };
    let mut rest = response.into_body();
    let announced = hyper::body::Body::size_hint(&rest).lower();
    if announced > bytes_max as u64 {
        return Err(too_large(announced));
    }
    let mut body = Vec::new();
    while let Some(frame) = rest.frame().await {
        let frame = frame.map_err(|error| failure(&error, endpoint))?;
        let Ok(part) = frame.into_data() else {
            continue;
        };
        if body.len() + part.len() > bytes_max {
            return Err(too_large((body.len() + part.len()) as u64));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

/// Headers that are text.
fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = value.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    };
    headers.iter().filter_map(text).collect()
}

fn failure(error: &hyper::Error, endpoint: &Endpoint) -> Failure {
    let causes = causes(error);
    let (kind, why) = if error.is_parse() || error.is_parse_status() {
        (
            FailureKind::Protocol,
            format!("the answer is not HTTP: {causes}"),
        )
    } else {
        (
            FailureKind::Io,
            format!("the connection ended before the answer was complete: {causes}"),
        )
    };
    Failure::new(kind, format!("{endpoint}: {why}"))
}

// === impl Answer ===

impl Answer {
    fn give(&mut self, report: Report) {
        self.given = true;
        self.inbox.answer(report);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.given {
            return;
        }
        let why = if std::thread::panicking() {
            "the task of the request panicked"
        } else {
            "the shell ended"
        };
        let failure = Failure::new(FailureKind::Io, why);
        let id = self.id;
        self.give(Report::HttpFailed { id, failure });
    }
}
