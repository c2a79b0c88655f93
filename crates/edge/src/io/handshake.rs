//! The WebSocket handshake (RFC 6455, section 4.2): checked strictly here, answered by fastwebsockets.
//!
//! `fastwebsockets::upgrade` checks only that the key is present and which version it is. This module
//! checks everything else that the RFC requires of a request. It refuses with a status and a sentence
//! that says what is wrong.

use crate::io::http::host::Host;
use crate::io::http::origin::{self, Origins};
use crate::io::http::{Refusal, has_body};
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Request, StatusCode, Version};
use tapecast_wire::Encoding;

/// What was agreed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Agreement {
    /// How data frames are encoded.
    pub encoding: Encoding,
    /// The subprotocol to name in the answer, if the client offered any.
    pub subprotocol: Option<&'static str>,
}

/// Judges an upgrade request at this host. `HEAD` is answered as `GET` without the upgrade would be.
///
/// # Errors
/// If it is not a WebSocket handshake of version 13, comes from a page that is not allowed, or offers
/// only subprotocols that we do not speak.
pub fn judge<B>(
    request: &Request<B>,
    host: Option<&Host>,
    origins: &Origins,
) -> Result<Agreement, Refusal> {
    let headers = request.headers();
    let bad = |message| Refusal::new(StatusCode::BAD_REQUEST, message);
    if request.version() != Version::HTTP_11 {
        let status = StatusCode::HTTP_VERSION_NOT_SUPPORTED;
        return Err(Refusal::new(status, "a WebSocket handshake needs HTTP/1.1"));
    }
    let asked =
        has_token(headers, &UPGRADE, "websocket") && has_token(headers, &CONNECTION, "upgrade");
    if !asked || request.method() != Method::GET {
        let message =
            "this is a WebSocket endpoint: send Upgrade: websocket and Connection: Upgrade";
        let refusal = Refusal::new(StatusCode::UPGRADE_REQUIRED, message);
        return Err(refusal.with(UPGRADE, "websocket"));
    }
    if has_body(headers) {
        return Err(bad("a WebSocket handshake must not have a body"));
    }
    match only(headers, &SEC_WEBSOCKET_VERSION) {
        Ok(Some(b"13")) => {}
        Ok(_) => {
            let message = "Sec-WebSocket-Version must be 13";
            let refusal = Refusal::new(StatusCode::UPGRADE_REQUIRED, message);
            return Err(refusal.with(SEC_WEBSOCKET_VERSION, "13"));
        }
        Err(refusal) => return Err(refusal),
    }
    if !only(headers, &SEC_WEBSOCKET_KEY)?.is_some_and(is_key) {
        return Err(bad("Sec-WebSocket-Key must be 16 bytes in base64"));
    }
    if let Some(origin) = origin::of(headers)?
        && !origin::is_same(origin, host)
        && !origins.list(origin)
    {
        let message = "pages of this origin may not connect; the operator can add it to listen.allowed_origins";
        return Err(Refusal::new(StatusCode::FORBIDDEN, message).labelled("origin"));
    }
    negotiate(headers)
}

/// The value of a header that may be there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let (value, second) = (values.next(), values.next());
    if second.is_some() {
        let message = format!("the header {name} occurs more than once; send it once");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, &message));
    }
    Ok(value.map(|value| value.as_bytes()))
}

/// Agrees on the first subprotocol in the client's list that is spoken here.
fn negotiate(headers: &HeaderMap) -> Result<Agreement, Refusal> {
    let offers = headers.get_all(SEC_WEBSOCKET_PROTOCOL);
    let mut offered = false;
    for offer in offers
        .iter()
        .filter_map(|o| o.to_str().ok())
        .flat_map(|o| o.split(','))
        .map(str::trim)
        // Nothing between commas is no offer.
        .filter(|offer| !offer.is_empty())
    {
        offered = true;
        let spoken = |encoding: &Encoding| encoding.subprotocol() == offer;
        if let Some(encoding) = Encoding::ALL.into_iter().find(spoken) {
            return Ok(Agreement {
                encoding,
                subprotocol: Some(encoding.subprotocol()),
            });
        }
    }
    if offered {
        let spoken = Encoding::ALL.map(Encoding::subprotocol).join(", ");
        let message =
            format!("this server supports none of the offered subprotocols; offer one of {spoken}");
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, &message);
        return Err(refusal.labelled("subprotocol"));
    }
    Ok(Agreement {
        encoding: Encoding::default(),
        subprotocol: None,
    })
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

/// 16 bytes in base64 are 22 letters and two equals signs; the last letter carries two bits, and the four
/// that are left over are zero.
fn is_key(key: &[u8]) -> bool {
    let (letters, end) = key.split_at(key.len().min(22));
    let letter = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    letters.len() == 22
        && letters.iter().all(letter)
        && letters.last().is_some_and(|last| b"AQgw".contains(last))
        && end == b"=="
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::http::host;
    use hyper::header::{CONTENT_LENGTH, HOST, HeaderValue, ORIGIN, TRANSFER_ENCODING};

    fn judged(request: &Request<()>, origins: &Origins) -> Result<Agreement, Refusal> {
        let host = host::of(request).unwrap();
        judge(request, host.as_ref(), origins)
    }

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

    fn add(name: HeaderName, value: &'static str) -> impl FnOnce(&mut Request<()>) {
        move |request| {
            let value = HeaderValue::from_static(value);
            request.headers_mut().append(name, value);
        }
    }

    fn status(change: impl FnOnce(&mut Request<()>)) -> u16 {
        let allowed = Origins::new(&["https://app.example".to_owned()]);
        judged(&request(change), &allowed).map_or_else(|r| r.status.as_u16(), |_| 101)
    }

    #[test]
    fn what_the_rfc_asks_is_asked() {
        assert_eq!(status(|_| ()), 101);
        assert_eq!(status(|r| *r.method_mut() = Method::HEAD), 426);
        assert_eq!(status(|r| *r.version_mut() = Version::HTTP_10), 505);
        assert_eq!(status(set(UPGRADE, "h2c")), 426);
        assert_eq!(status(set(CONNECTION, "close")), 426);
        assert_eq!(status(set(SEC_WEBSOCKET_VERSION, "8")), 426);
        for version in ["", "13, 8", "013", "1"] {
            assert_eq!(status(set(SEC_WEBSOCKET_VERSION, version)), 426);
        }
        assert_eq!(
            status(|r| drop(r.headers_mut().remove(SEC_WEBSOCKET_VERSION))),
            426
        );
        assert_eq!(status(add(SEC_WEBSOCKET_VERSION, "13")), 400);
        assert_eq!(
            status(add(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==")),
            400
        );
        assert_eq!(status(add(CONTENT_LENGTH, "0")), 101);
        assert_eq!(status(add(CONTENT_LENGTH, "1")), 400);
        assert_eq!(status(add(TRANSFER_ENCODING, "chunked")), 400);
        assert_eq!(status(set(SEC_WEBSOCKET_KEY, "short")), 400);
        // Base64 as it must be: no letter of another alphabet, no bits in the padding.
        for (key, expected) in [
            ("AAAAAAAAAAAAAAAAAAAAAA==", 101),
            ("/////////////////////w==", 101),
            ("/////////////////////x==", 400),
            ("dGhlIHNhbXBsZSBub25jZR==", 400),
            ("dGhlIHNhbXBsZSBub25jZQ=", 400),
            ("dGhlIHNhbXBsZSBub25jZQ", 400),
            ("dGhlIHNhbXBs-SBub25jZQ==", 400),
            ("dGhlIHNhbXBsZSBub25jZQ= ", 400),
            ("", 400),
        ] {
            assert_eq!(status(set(SEC_WEBSOCKET_KEY, key)), expected, "{key}");
        }
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
        // As an ordinary proxy names us: without the port, and with TLS of its own.
        let behind_proxy = |origin| {
            let behind = request(set(ORIGIN, origin));
            judge(
                &behind,
                Host::parse("desk.example").as_ref(),
                &Origins::default(),
            )
            .is_ok()
        };
        assert!(behind_proxy("https://desk.example") && behind_proxy("http://desk.example"));
        assert!(!behind_proxy("https://evil.example"));
        let twice = |r: &mut Request<()>| {
            set(ORIGIN, "https://app.example")(r);
            add(ORIGIN, "https://app.example")(r);
        };
        assert_eq!(status(twice), 400);
        let any = Origins::new(&["*".to_owned()]);
        assert!(judged(&request(set(ORIGIN, "https://evil.example")), &any).is_ok());
    }

    #[test]
    fn a_subprotocol_is_agreed_on_or_the_handshake_refused() {
        let agreed = |offer: &'static str| {
            let request = request(set(SEC_WEBSOCKET_PROTOCOL, offer));
            judged(&request, &Origins::default())
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
        let none = judged(&request(|_| ()), &Origins::default()).unwrap();
        assert_eq!((none.encoding, none.subprotocol), (Encoding::Json, None));
        for empty in ["", ",", " , "] {
            assert_eq!(agreed(empty), Ok((Encoding::Json, None)), "{empty:?}");
        }
    }

    #[test]
    fn a_list_of_subprotocols_may_stand_in_several_headers() {
        let two = request(|request| {
            for offer in ["other", "tapecast.v1.bin", "tapecast.v1.json"] {
                let offer = HeaderValue::from_static(offer);
                request.headers_mut().append(SEC_WEBSOCKET_PROTOCOL, offer);
            }
        });
        let agreement = judged(&two, &Origins::default()).unwrap();
        assert_eq!(agreement.encoding, Encoding::Bin);
    }
}
