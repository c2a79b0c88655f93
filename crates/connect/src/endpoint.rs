//! Where to connect: a URL, taken apart and checked. It shows itself without query and user info.

use crate::failure::{Failure, FailureKind};
use hyper::Uri;
use std::fmt;

/// A URL of a peer.
pub(crate) struct Endpoint {
    uri: Uri,
    scheme: &'static str,
    /// Whether it speaks TLS.
    pub(crate) tls: bool,
    /// A name, or an address without brackets.
    pub(crate) host: String,
    /// As written, or that of the scheme.
    pub(crate) port: u16,
}

/// The plain scheme and the one with TLS.
pub(crate) type Schemes = [&'static str; 2];

/// WebSockets.
pub(crate) const WEBSOCKET: Schemes = ["ws", "wss"];
/// Requests.
pub(crate) const HTTP: Schemes = ["http", "https"];

/// The port of a URL, or the usual one if there is none. None if it is no port.
pub(crate) fn port(uri: &Uri, usual: u16) -> Option<u16> {
    let authority = uri.authority()?.as_str();
    let place = authority.rsplit('@').next().unwrap_or_default();
    let port = place.strip_prefix(uri.host()?)?;
    match port.strip_prefix(':') {
        None | Some("") => Some(usual),
        Some(port) => port.parse().ok(),
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// Of a URL with one of the schemes.
    pub(crate) fn parse(url: &str, schemes: Schemes) -> Result<Self, Failure> {
        // The URL itself is not repeated: what cannot be parsed cannot be cleaned of secrets either.
        let wrong = |why: String| {
            let [plain, tls] = schemes;
            let text =
                format!("the address is unusable: {why}; write {tls}://host/path (or {plain}://)");
            Failure::new(FailureKind::Url, text)
        };
        let uri: Uri = url
            .parse()
            .map_err(|error: hyper::http::uri::InvalidUri| wrong(error.to_string()))?;
        let scheme = uri.scheme_str().unwrap_or_default();
        let Some(place) = schemes.iter().position(|known| *known == scheme) else {
            return Err(wrong(format!("its scheme is {:?}", scheme)));
        };
        let tls = place == 1;
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').unwrap_or(host);
        let host = host.strip_suffix(']').unwrap_or(host).to_owned();
        if host.is_empty() {
            return Err(wrong("it has no host".to_owned()));
        }
        let Some(port) = port(&uri, if tls { 443 } else { 80 }) else {
            return Err(wrong("its port is no port".to_owned()));
        };
        Ok(Self {
            scheme: schemes[place],
            tls,
            host,
            port,
            uri,
        })
    }

    /// Host and port, as `CONNECT` has them.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Path and query.
    pub(crate) fn target(&self) -> &str {
        self.uri
            .path_and_query()
            .map_or("/", hyper::http::uri::PathAndQuery::as_str)
    }

    /// What a `Host` header says: without user info.
    pub(crate) fn host_header(&self) -> String {
        let authority = self.authority();
        let usual = if self.tls { ":443" } else { ":80" };
        authority
            .strip_suffix(usual)
            .map_or(authority.clone(), str::to_owned)
    }

    /// A peer's words, without our own query if it repeats it.
    pub(crate) fn without_query(&self, said: &str) -> String {
        match self.uri.query() {
            Some(query) if !query.is_empty() => said.replace(query, "…"),
            _ => said.to_owned(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.uri.path();
        write!(f, "{}://{}{path}", self.scheme, self.host_header())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_shown_without_secrets() {
        let check = |url: &str, shown: &str, authority: &str, target: &str| {
            let endpoint = Endpoint::parse(url, WEBSOCKET).unwrap();
            assert_eq!(endpoint.to_string(), shown);
            assert_eq!(endpoint.authority(), authority);
            assert_eq!(endpoint.target(), target);
        };
        check("wss://v.test", "wss://v.test/", "v.test:443", "/");
        check(
            "wss://me:hunter2@v.test:9443/ws?key=hunter2",
            "wss://v.test:9443/ws",
            "v.test:9443",
            "/ws?key=hunter2",
        );
        check("ws://[::1]/a", "ws://[::1]/a", "[::1]:80", "/a");
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_repeated() {
        for url in [
            "",
            "hunter2",
            "https://v.test/hunter2",
            "wss://",
            "/hunter2",
            "wss://a b/hunter2",
            "wss://v.test:99999/hunter2",
        ] {
            let Err(failure) = Endpoint::parse(url, WEBSOCKET) else {
                panic!("{url} is no address");
            };
            assert_eq!(failure.kind, FailureKind::Url);
            assert!(!failure.text.contains("hunter2"), "{failure}");
        }
    }
}
