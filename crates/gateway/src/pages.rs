//! Answers of the public listener other than the WebSocket: the live page, and the lists of instruments
//! and topics.

mod lists;

use crate::faults::Faults;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap,
    HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use lists::{Filter, Kind, Lists, NotMade};
use std::sync::Arc;
use tapecast_edge::io::http::origin::{self, Origins};
use tapecast_edge::io::http::{Answer, READS, method, plain};
use tapecast_edge::io::listener::{Making, Pages, Rules};
use tapecast_model::{Catalog, InForce};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The live page: path, content type, text.
const ASSETS: [(&str, &str, &str); 13] = [
    ("/", HTML, include_str!("../page/index.html")),
    (
        "/style.css",
        "text/css; charset=utf-8",
        include_str!("../page/style.css"),
    ),
    (
        "/favicon.svg",
        "image/svg+xml",
        include_str!("../page/favicon.svg"),
    ),
    ("/app.js", SCRIPT, include_str!("../page/app.js")),
    ("/book.js", SCRIPT, include_str!("../page/book.js")),
    ("/columns.js", SCRIPT, include_str!("../page/columns.js")),
    ("/decimal.js", SCRIPT, include_str!("../page/decimal.js")),
    ("/feed.js", SCRIPT, include_str!("../page/feed.js")),
    ("/ladder.js", SCRIPT, include_str!("../page/ladder.js")),
    ("/position.js", SCRIPT, include_str!("../page/position.js")),
    ("/tape.js", SCRIPT, include_str!("../page/tape.js")),
    ("/view.js", SCRIPT, include_str!("../page/view.js")),
    ("/watch.js", SCRIPT, include_str!("../page/watch.js")),
];

/// What a page of ours may load: nothing but itself.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'";

const NOTHING: &str = "this path does not exist; here are / (the live page), /v1/instruments, /v1/topics and \
    the WebSocket /v1/ws. /metrics, /livez and /readyz are on the admin listener: listen.admin, port 8081 by default";
const NOT_MADE: &str =
    "a fault of the gateway: it could not make this list, and its log says why; try again later";

/// The answers, for the listener. Pages of the origins that are listed may read the lists. The fault
/// `lists` makes a list panic while it is made.
pub fn pages(catalog: &Arc<Catalog>, rules: &Arc<InForce<Rules>>, faults: &Faults) -> Box<Pages> {
    let lists = Arc::new(Lists::new(Arc::clone(catalog), faults.of("lists")));
    let rules = Arc::clone(rules);
    Box::new(move |request| answer(&lists, &rules.get().origins, request))
}

fn answer(lists: &Arc<Lists>, origins: &Origins, request: &Request<Incoming>) -> Option<Making> {
    let (path, asked) = (request.uri().path(), request.method());
    let kind = match path {
        "/v1/instruments" => Kind::Instruments,
        "/v1/topics" => Kind::Topics,
        // Not a path: the listener answers for itself.
        "*" => return None,
        _ => {
            let Some((_, kind, text)) = ASSETS.iter().find(|(at, ..)| *at == path) else {
                return Some(made(plain(StatusCode::NOT_FOUND, NOTHING)));
            };
            let asset = || content(kind, Bytes::from_static(text.as_bytes()));
            return Some(made(method(asked, READS).unwrap_or_else(asset)));
        }
    };
    let shared = sharing(request.headers(), origins);
    let filter = Filter::parse(request.uri().query().unwrap_or_default());
    let early = method(asked, READS).or_else(|| {
        let message = filter.as_ref().err()?;
        Some(plain(StatusCode::BAD_REQUEST, message))
    });
    if let Some(mut answer) = early {
        answer.headers_mut().extend(shared);
        if *asked == Method::OPTIONS {
            preflight(request.headers(), &mut answer);
        }
        return Some(made(answer));
    }
    let (lists, filter) = (Arc::clone(lists), filter.unwrap_or_default());
    Some(Box::pin(async move {
        let mut answer = lists.current().await.map_or_else(
            |NotMade| plain(StatusCode::INTERNAL_SERVER_ERROR, NOT_MADE),
            |list| content("application/json", list.page(kind, &filter)),
        );
        answer.headers_mut().extend(shared);
        answer
    }))
}

fn made(answer: Answer) -> Making {
    Box::pin(async move { answer })
}

/// What tells a browser whether the page that asked may read the answer (CORS).
fn sharing(asked: &HeaderMap, origins: &Origins) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(VARY, HeaderValue::from_static("Origin"));
    if let Ok(Some(origin)) = origin::of(asked)
        && origins.list(origin)
    {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    headers
}

/// Answers a browser that asks before it asks; only where the page may read what comes.
fn preflight(asked: &HeaderMap, answer: &mut Answer) {
    let headers = answer.headers_mut();
    if headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN)
        && asked.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    {
        let methods = HeaderValue::from_static("GET, HEAD");
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
}

fn content(kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    answer
}
