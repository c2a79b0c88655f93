//! The header `Host` (RFC 9112, section 3.2), and the names of this server.
//!
//! A page of another site can let its name point to this server (DNS rebinding), and then read data as if
//! this server were that site. Its requests contain that site's name. So a request with a name that is
//! not allowed is refused with 421, and the message names the configuration key. IP addresses and
//! `localhost` are always allowed, because no other site can redirect them.

use super::Refusal;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use std::net::{IpAddr, Ipv6Addr};

/// The names of this server.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Hosts {
    names: Vec<String>,
    any: bool,
}

/// A host as it is named in a request or an origin: in lower case, without the dot of the root.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host {
    /// A name, or an address without brackets.
    pub name: String,
    /// If it is said.
    pub port: Option<u16>,
}

/// The requested host: the authority of the target if there is one, otherwise `Host`. None if the request
/// names no host.
///
/// # Errors
/// If `Host` is there twice, or one of both is not a host.
pub fn of<B>(request: &Request<B>) -> Result<Option<Host>, Refusal> {
    let bad = |message: &str| Refusal::new(StatusCode::BAD_REQUEST, message);
    let mut named = request.headers().get_all(HOST).iter();
    let (first, second) = (named.next(), named.next());
    if second.is_some() {
        return Err(bad("the header Host occurs more than once; send it once"));
    }
    let host =
        match first {
            Some(value) => {
                let host = value.to_str().ok().and_then(Host::parse);
                Some(host.ok_or_else(|| {
                    bad("the header Host is not a host and a port; write host:port")
                })?)
            }
            None => None,
        };
    match request.uri().authority() {
        Some(authority) if host.is_some() => {
            let host = Host::parse(authority.as_str());
            host.map(Some)
                .ok_or_else(|| bad("the request's target names no host"))
        }
        _ => Ok(host),
    }
}

// === impl Hosts ===

impl Hosts {
    /// These names in addition to addresses and `localhost`; `"*"` for every name.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut hosts = Self::default();
        for name in names {
            match Host::parse(&name) {
                _ if name == "*" => hosts.any = true,
                Some(host) => hosts.names.push(host.name),
                None => hosts.names.push(name),
            }
        }
        hosts
    }

    /// Whether this is a name of ours.
    ///
    /// # Errors
    /// If not: 421.
    pub fn judge(&self, host: &Host) -> Result<(), Refusal> {
        let ours = self.any
            || host.is_address()
            || host.name == "localhost"
            || self.names.contains(&host.name);
        if ours {
            return Ok(());
        }
        let message = format!(
            "{:?} is not a name of this server; the operator can add it to listen.allowed_hosts",
            host.name
        );
        Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, &message).labelled("host"))
    }
}

// === impl Host ===

impl Host {
    /// Reads `name`, `name:port`, `1.2.3.4:port` or `[::1]:port`.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                (address, port)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                let (name, port) = text.split_at(end);
                (name.strip_suffix('.').unwrap_or(name), port)
            }
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
        };
        let host = Self {
            name: name.to_ascii_lowercase(),
            port,
        };
        (host.is_address() || is_name(name)).then_some(host)
    }

    fn is_address(&self) -> bool {
        self.name.parse::<IpAddr>().is_ok()
    }
}

/// A registered name (RFC 3986, section 3.2.2), which is wider than what DNS has.
fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let escape = |at: usize| {
        let digits = bytes.get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    !name.is_empty()
        && bytes.iter().enumerate().all(|(at, byte)| match byte {
            b'%' => escape(at),
            other => other.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(other),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::http::judge;
    use hyper::{Method, Version};

    #[test]
    fn hosts_are_read_as_the_rfc_says() {
        let read = |text| Host::parse(text).map(|host| (host.name, host.port));
        let some = |name: &str, port| Some((name.to_owned(), port));
        assert_eq!(read("Desk.Example"), some("desk.example", None));
        assert_eq!(read("desk.example.:8080"), some("desk.example", Some(8080)));
        assert_eq!(read("127.0.0.1:80"), some("127.0.0.1", Some(80)));
        assert_eq!(read("[::1]"), some("::1", None));
        assert_eq!(read("[::1]:8080"), some("::1", Some(8080)));
        assert_eq!(read("desk:"), some("desk", None));
        assert_eq!(read("a%20b"), some("a%20b", None));
        for bad in [
            "",
            ":80",
            "a b",
            "a/b",
            "user@desk",
            "desk:http",
            "desk:+80",
            "desk:65536",
            "[::1",
            "[::1]80",
            "[desk]",
            "::1",
            "a%2",
            "a%zz",
            "http://desk",
            "desk:80:80",
            ".",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn one_host_is_asked_for_and_it_must_be_ours() {
        let hosts = Hosts::new(["Desk.Example:443".to_owned()]);
        let status = |version, method: Method, target: &str, named: &[&str]| {
            let mut request = Request::builder()
                .version(version)
                .method(method)
                .uri(target);
            for host in named {
                request = request.header(HOST, *host);
            }
            let judged = judge(&request.body(()).unwrap(), &hosts);
            judged.map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
        };
        let (new, old, get) = (Version::HTTP_11, Version::HTTP_10, Method::GET);
        for (host, expected) in [
            ("desk.example", 200),
            ("DESK.example.:8080", 200),
            ("127.0.0.1:9", 200),
            ("10.1.2.3", 200),
            ("[2001:db8::1]:80", 200),
            ("LocalHost:80", 200),
            ("evil.example", 421),
            ("desk.example.evil.example", 421),
            ("127.0.0.1.evil.example", 421),
            ("localhost.evil.example", 421),
            ("2130706433", 421),
            ("", 400),
            ("a b", 400),
        ] {
            assert_eq!(status(new, get.clone(), "/", &[host]), expected, "{host:?}");
        }
        assert_eq!(status(new, get.clone(), "/", &[]), 400);
        assert_eq!(
            status(new, get.clone(), "/", &["localhost", "localhost"]),
            400
        );
        assert_eq!(status(old, get.clone(), "/", &[]), 200);
        assert_eq!(status(old, Method::HEAD, "/", &[]), 200);
        assert_eq!(status(old, Method::POST, "/", &[]), 400);
        assert_eq!(status(old, get.clone(), "/", &["evil.example"]), 421);
        // The target wins over the header, which must be there all the same.
        assert_eq!(
            status(new, get.clone(), "http://evil.example/", &["localhost"]),
            421
        );
        assert_eq!(
            status(new, get.clone(), "http://localhost/", &["evil.example"]),
            200
        );
        assert_eq!(status(new, get, "http://localhost/", &[]), 400);
    }

    #[test]
    fn a_refusal_names_the_key_and_a_star_lets_every_name_in() {
        let evil = Host::parse("evil.example").unwrap();
        let refusal = Hosts::default().judge(&evil).unwrap_err();
        assert_eq!(refusal.label, "host");
        assert!(
            refusal.message.contains("listen.allowed_hosts"),
            "{}",
            refusal.message
        );
        assert_eq!(Hosts::new(["*".to_owned()]).judge(&evil), Ok(()));
    }
}
