//! The WebSocket handshake (RFC 6455, section 4.2): judged strictly, answered by fastwebsockets.
//!
//! `fastwebsockets::upgrade` looks at the key's presence and the version only; everything else that
//! the RFC asks of a request is refused here, with a status and a sentence that says what is wrong.

use hyper::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Request, StatusCode, Version};
use tapecast_wire::Encoding;

/// Which pages may open connections. Requests without an `Origin`, which browsers always send, and
/// pages that come from this server are always allowed.
#[derive(Clone, Debug, Default)]
pub struct Origins(pub Vec<String>);

/// What was agreed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Agreement {
    /// How data frames are encoded.
    pub encoding: Encoding,
    /// The subprotocol to name in the answer, if the client offered any.
    pub subprotocol: Option<&'static str>,
}

/// A handshake that is refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: StatusCode,
    /// The label it is counted by: one of [`crate::metrics::REFUSALS`].
    pub label: &'static str,
    /// What is wrong, for the client's developer.
    pub message: String,
    /// A header that the answer must carry.
    pub header: Option<(HeaderName, HeaderValue)>,
}

/// Judges an upgrade request.
///
/// # Errors
/// If it is not a WebSocket handshake of version 13, comes from a page that is not allowed, or offers
/// only subprotocols that we do not speak.
pub fn judge<B>(request: &Request<B>, origins: &Origins) -> Result<Agreement, Refusal> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(bad(
            StatusCode::METHOD_NOT_ALLOWED,
            "a WebSocket handshake is a GET request",
        )
        .with(hyper::header::ALLOW, "GET"));
    }
    if request.version() != Version::HTTP_11 {
        let status = StatusCode::HTTP_VERSION_NOT_SUPPORTED;
        return Err(bad(status, "a WebSocket handshake needs HTTP/1.1"));
    }
    if !has_token(headers, &UPGRADE, "websocket") || !has_token(headers, &CONNECTION, "upgrade") {
        let message =
            "this is a WebSocket endpoint: send Upgrade: websocket and Connection: Upgrade";
        return Err(bad(StatusCode::UPGRADE_REQUIRED, message).with(UPGRADE, "websocket"));
    }
    if headers
        .get(SEC_WEBSOCKET_VERSION)
        .is_none_or(|v| v.as_bytes() != b"13")
    {
        return Err(bad(
            StatusCode::UPGRADE_REQUIRED,
            "Sec-WebSocket-Version must be 13",
        )
        .with(SEC_WEBSOCKET_VERSION, "13"));
    }
    let keys = headers.get_all(SEC_WEBSOCKET_KEY);
    let mut keys = keys.iter();
    match (keys.next(), keys.next()) {
        (Some(key), None) if is_key(key.as_bytes()) => {}
        _ => {
            let message = "Sec-WebSocket-Key must be 16 bytes in base64, once";
            return Err(bad(StatusCode::BAD_REQUEST, message));
        }
    }
    if let Some(origin) = headers.get(ORIGIN)
        && !origins.allow(origin, headers.get(HOST))
    {
        return Err(Refusal {
            label: "origin",
            ..bad(
                StatusCode::FORBIDDEN,
                "pages of this origin may not connect; add it to listen.allowed_origins",
            )
        });
    }
    negotiate(headers)
}

/// Agrees on the first subprotocol in the client's list that is spoken here.
fn negotiate(headers: &HeaderMap) -> Result<Agreement, Refusal> {
    let offers = headers.get_all(SEC_WEBSOCKET_PROTOCOL);
    let mut offered = false;
    for offer in offers
        .iter()
        .filter_map(|o| o.to_str().ok())
        .flat_map(|o| o.split(','))
    {
        offered = true;
        let spoken = |encoding: &Encoding| encoding.subprotocol() == offer.trim();
        if let Some(encoding) = Encoding::ALL.into_iter().find(spoken) {
            return Ok(Agreement {
                encoding,
                subprotocol: Some(encoding.subprotocol()),
            });
        }
    }
    if offered {
        let spoken = Encoding::ALL.map(Encoding::subprotocol).join(", ");
        let message = format!("none of the subprotocols offered is spoken here: {spoken}");
        return Err(Refusal {
            label: "subprotocol",
            message,
            ..bad(StatusCode::BAD_REQUEST, "")
        });
    }
    Ok(Agreement {
        encoding: Encoding::default(),
        subprotocol: None,
    })
}

fn bad(status: StatusCode, message: &str) -> Refusal {
    Refusal {
        status,
        label: "bad_request",
        message: message.to_owned(),
        header: None,
    }
}

/// Whether a comma-separated header has a token, in any case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name);
    values
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// 16 bytes in base64 are 22 letters and two equals signs.
fn is_key(key: &[u8]) -> bool {
    let (letters, end) = key.split_at(key.len().min(22));
    let letter = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    letters.len() == 22 && letters.iter().all(letter) && end == b"=="
}

impl Refusal {
    fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, HeaderValue::from_static(value)));
        self
    }
}

impl Origins {
    fn allow(&self, origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        let same = origin
            .split_once("://")
            .zip(host.and_then(|h| h.to_str().ok()))
            .is_some_and(|((_, from), host)| from.eq_ignore_ascii_case(host));
        same || self
            .0
            .iter()
            .any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(change: impl FnOnce(&mut Request<()>)) -> Request<()> {
        let mut request = Request::builder()
            .uri("/v1/ws")
            .header(HOST, "desk.example:8080")
            .header(UPGRADE, "WebSocket")
            .header(CONNECTION, "keep-alive, Upgrade")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==")
            .body(())
            .unwrap();
        change(&mut request);
        request
    }

    fn set(name: HeaderName, value: &'static str) -> impl FnOnce(&mut Request<()>) {
        move |request| {
            request
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
    }

    fn status(change: impl FnOnce(&mut Request<()>)) -> u16 {
        let allowed = Origins(vec!["https://app.example".into()]);
        judge(&request(change), &allowed).map_or_else(|r| r.status.as_u16(), |_| 101)
    }

    #[test]
    fn what_the_rfc_asks_is_asked() {
        assert_eq!(status(|_| ()), 101);
        assert_eq!(status(|r| *r.method_mut() = Method::POST), 405);
        assert_eq!(status(|r| *r.version_mut() = Version::HTTP_10), 505);
        assert_eq!(status(set(UPGRADE, "h2c")), 426);
        assert_eq!(status(set(CONNECTION, "close")), 426);
        assert_eq!(status(set(SEC_WEBSOCKET_VERSION, "8")), 426);
        assert_eq!(status(set(SEC_WEBSOCKET_KEY, "short")), 400);
        assert_eq!(
            status(set(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ===")),
            400
        );
        assert_eq!(
            status(|r| drop(r.headers_mut().remove(SEC_WEBSOCKET_KEY))),
            400
        );
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        assert_eq!(status(set(ORIGIN, "http://desk.example:8080")), 101);
        assert_eq!(status(set(ORIGIN, "https://app.example")), 101);
        assert_eq!(status(set(ORIGIN, "https://evil.example")), 403);
        assert_eq!(status(set(ORIGIN, "null")), 403);
        let any = Origins(vec!["*".into()]);
        assert!(judge(&request(set(ORIGIN, "https://evil.example")), &any).is_ok());
    }

    #[test]
    fn a_subprotocol_is_agreed_on_or_the_handshake_refused() {
        let agreed = |offer: &'static str| {
            judge(
                &request(set(SEC_WEBSOCKET_PROTOCOL, offer)),
                &Origins::default(),
            )
            .map(|agreement| (agreement.encoding, agreement.subprotocol))
            .map_err(|refusal| refusal.message)
        };
        let json = Ok((Encoding::Json, Some("tapecast.v1.json")));
        let bin = Ok((Encoding::Bin, Some("tapecast.v1.bin")));
        assert_eq!(agreed("other, tapecast.v1.json"), json);
        assert_eq!(agreed("tapecast.v1.bin"), bin);
        // The client's order decides.
        assert_eq!(agreed("tapecast.v1.bin,tapecast.v1.json"), bin);
        assert_eq!(agreed("other, tapecast.v1.json, tapecast.v1.bin"), json);
        let refusal = agreed("graphql-ws, tapecast.v1.BIN").unwrap_err();
        assert!(
            refusal.contains("tapecast.v1.json, tapecast.v1.bin"),
            "{refusal}"
        );
        let none = judge(&request(|_| ()), &Origins::default()).unwrap();
        assert_eq!((none.encoding, none.subprotocol), (Encoding::Json, None));
    }

    #[test]
    fn a_list_of_subprotocols_may_stand_in_several_headers() {
        let two = request(|request| {
            for offer in ["other", "tapecast.v1.bin", "tapecast.v1.json"] {
                let offer = HeaderValue::from_static(offer);
                request.headers_mut().append(SEC_WEBSOCKET_PROTOCOL, offer);
            }
        });
        let agreement = judge(&two, &Origins::default()).unwrap();
        assert_eq!(agreement.encoding, Encoding::Bin);
    }
}
