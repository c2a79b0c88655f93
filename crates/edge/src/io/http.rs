//! What both listeners, public and admin, have in common: HTTP up to the answer.
//!
//! * [`places`]: limits connections, per address and in all; [`rate`] limits requests per address.
//! * [`mod@connection`]: serves one connection, with a deadline for each step of its client.
//! * [`host`], [`origin`], [`query`]: check parts of a request.
//!
//! # Limits
//! A connection above a limit gets 429 (limit of its address) or 503 (limit of all), with `Retry-After`
//! and one sentence. A client that sends a request or reads an answer too late is disconnected.

pub mod connection;
pub mod host;
pub mod origin;
pub mod places;
pub mod query;
pub mod rate;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use hyper::{Method, Request, Response, StatusCode, Version};

/// An answer to a plain request.
pub type Answer = Response<Full<Bytes>>;

/// A request that is refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: StatusCode,
    /// The label it is counted by: one of [`crate::metrics::REFUSALS`] or [`crate::metrics::HTTP_REFUSALS`].
    pub label: &'static str,
    /// What is wrong, for the client's developer.
    pub message: String,
    /// A header that the answer must carry.
    pub header: Option<(HeaderName, &'static str)>,
}

impl Refusal {
    /// Counted as a bad request.
    pub fn new(status: StatusCode, message: &str) -> Self {
        Self {
            status,
            label: "bad_request",
            message: message.to_owned(),
            header: None,
        }
    }

    /// Over a limit: the address's own (`"share"`, 429), or that of all (`"busy"`, 503).
    pub fn full(full: places::Full) -> Self {
        let (status, label) = match full {
            places::Full::Share(_) => (StatusCode::TOO_MANY_REQUESTS, "share"),
            places::Full::All(_) => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        };
        Self {
            label,
            ..Self::new(status, &full.to_string())
        }
        .later()
    }

    /// The address asks more often than it may.
    pub fn too_often(often: rate::TooOften) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        let refusal = Self::new(status, &often.to_string());
        refusal.labelled("rate").later()
    }

    /// With the label that it is counted by.
    pub fn labelled(self, label: &'static str) -> Self {
        Self { label, ..self }
    }

    /// With a header.
    pub fn with(self, name: HeaderName, value: &'static str) -> Self {
        let header = Some((name, value));
        Self { header, ..self }
    }

    /// With word that it is worth to try again.
    pub fn later(self) -> Self {
        self.with(RETRY_AFTER, RETRY_AFTER_S)
    }

    /// As it is sent.
    pub fn answer(self) -> Answer {
        let mut answer = plain(self.status, &self.message);
        if let Some((name, value)) = self.header {
            let value = HeaderValue::from_static(value);
            answer.headers_mut().insert(name, value);
        }
        answer
    }

    /// As it is sent where nothing is read and nothing follows.
    pub fn bytes(&self) -> Vec<u8> {
        let later = match &self.header {
            Some((name, value)) if name == RETRY_AFTER => format!("Retry-After: {value}\r\n"),
            _ => String::new(),
        };
        let body = format!("{}\n", self.message);
        format!(
            "HTTP/1.1 {}\r\nConnection: close\r\n{later}Content-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.status,
            body.len()
        )
        .into_bytes()
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

/// Answers requests of a method that a path does not serve, and `OPTIONS`; none if it is to be served.
/// `allow` is the header `Allow` of the path, such as [`READS`].
pub fn method(method: &Method, allow: &'static str) -> Option<Answer> {
    let taken = allow.split(", ").any(|taken| taken == method.as_str());
    let mut answer = match (taken, method) {
        (true, &Method::OPTIONS) => {
            let mut answer = Answer::default();
            *answer.status_mut() = StatusCode::NO_CONTENT;
            answer
        }
        (true, _) => return None,
        (false, _) => plain(
            StatusCode::METHOD_NOT_ALLOWED,
            &format!("this path accepts only {allow}"),
        ),
    };
    answer
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    Some(answer)
}

/// What is asked of every request, whatever it is for: that it names one host, and that this host is ours.
///
/// # Errors
/// If `Host` is missing where it must not be, there twice, not a host or not a name of this server.
pub fn judge<B>(request: &Request<B>, hosts: &host::Hosts) -> Result<(), Refusal> {
    let named = host::of(request)?;
    match named {
        Some(name) => hosts.judge(&name),
        // Only programs of old send none, and they have no pages to rebind.
        None if request.version() < Version::HTTP_11
            && matches!(*request.method(), Method::GET | Method::HEAD) =>
        {
            Ok(())
        }
        None => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "the header Host is missing",
        )),
    }
}

/// Whether a request has a body, or says that it has. It is not read, so that nothing may follow it.
pub fn has_body(headers: &HeaderMap) -> bool {
    let none = |length: &HeaderValue| length.as_bytes().iter().all(|byte| *byte == b'0');
    headers.contains_key(hyper::header::TRANSFER_ENCODING)
        || !headers
            .get_all(hyper::header::CONTENT_LENGTH)
            .iter()
            .all(none)
}

/// Makes an answer the last one of its connection, to a request of this version of HTTP.
pub fn close(answer: &mut Answer, version: Version) {
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(CONNECTION, close);
    // To an answer of 1.1 hyper adds "keep-alive" for a client of 1.0 that asked for it.
    *answer.version_mut() = version;
}

/// What a path takes that is only read.
pub const READS: &str = "GET, HEAD, OPTIONS";
/// What a path takes that is an order.
pub const ORDERS: &str = "POST, OPTIONS";
/// Seconds after which it is worth to try again.
const RETRY_AFTER_S: &str = "5";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_served_described_or_refused() {
        let status = |asked: &Method, allow| {
            method(asked, allow).map(|answer| {
                assert_eq!(answer.headers()[ALLOW], allow);
                answer.status().as_u16()
            })
        };
        for served in [Method::GET, Method::HEAD] {
            assert_eq!(status(&served, READS), None);
            assert_eq!(status(&served, ORDERS), Some(405));
        }
        assert_eq!(status(&Method::POST, ORDERS), None);
        assert_eq!(status(&Method::POST, READS), Some(405));
        assert_eq!(status(&Method::OPTIONS, READS), Some(204));
        assert_eq!(status(&Method::OPTIONS, ORDERS), Some(204));
    }

    #[test]
    fn a_body_is_known_by_its_headers() {
        let of = |name: HeaderName, value| {
            let value = HeaderValue::from_static(value);
            has_body(&HeaderMap::from_iter([(name, value)]))
        };
        assert!(!has_body(&HeaderMap::new()));
        assert!(!of(hyper::header::CONTENT_LENGTH, "0"));
        assert!(of(hyper::header::CONTENT_LENGTH, "10"));
        assert!(of(hyper::header::TRANSFER_ENCODING, "chunked"));
    }

    #[test]
    fn a_refusal_is_the_same_answer_in_bytes() {
        let refusal = Refusal::full(places::Full::Share(3));
        let text = String::from_utf8(refusal.bytes()).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 429 Too Many Requests\r\n"),
            "{text}"
        );
        assert!(text.contains("Retry-After: 5\r\n"), "{text}");
        let answer = refusal.answer();
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.headers()[RETRY_AFTER], "5");
    }
}
