//! Through which proxy a connection goes, and the `CONNECT` that opens it.
//!
//! A proxy is an HTTP proxy that is reached without TLS; TLS with the venue goes through it untouched, and names of
//! venues are looked up by the proxy. A configured proxy is used for every peer. The environment's is used as other
//! programs use it: `HTTPS_PROXY`, `https_proxy`, `ALL_PROXY` or `all_proxy`, the first that is set, for peers with
//! TLS that are not on this machine and not in `NO_PROXY`.
//!
//! # Limits
//! The answer to `CONNECT` has at most 16 KiB, and is a part of the time to connect. A password is shown nowhere.

use crate::endpoint::{self, Endpoint};
use crate::error::ConnectError;
use crate::failure::{Failure, FailureKind, causes, said};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::Uri;
use std::fmt;
use std::net::IpAddr;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Through which proxy to connect.
#[derive(Clone, Default, Eq, PartialEq)]
pub enum Proxy {
    /// As `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
    #[default]
    FromEnvironment,
    /// Never through one.
    None,
    /// Always through this one: `http://[user:password@]host:port`.
    Url(String),
}

/// Which peers are reached through which proxy.
#[derive(Debug)]
pub(crate) struct Routes {
    server: Option<ProxyServer>,
    /// The environment's exceptions. None if the proxy is configured: then there are none.
    exceptions: Option<Vec<Exception>>,
}

/// A proxy.
pub(crate) struct ProxyServer {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The value of `Proxy-Authorization`.
    authorization: Option<String>,
}

/// An entry of `NO_PROXY`.
#[derive(Debug, Eq, PartialEq)]
enum Exception {
    All,
    /// A name and all names below it.
    Name(String, Option<u16>),
    /// Addresses with this beginning of so many bits.
    Net(IpAddr, u32, Option<u16>),
}

// === impl Proxy ===

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromEnvironment => f.write_str("FromEnvironment"),
            Self::None => f.write_str("None"),
            Self::Url(url) => match ProxyServer::parse(url) {
                Ok(server) => write!(f, "Url({server})"),
                Err(_) => f.write_str("Url(unusable)"),
            },
        }
    }
}

// === impl Routes ===

impl Routes {
    /// As configured; `variable` reads the environment.
    pub(crate) fn new(
        proxy: &Proxy,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConnectError> {
        let (origin, url, exceptions) = match proxy {
            Proxy::None => return Ok(Self::direct()),
            Proxy::Url(url) => ("the configuration", url.clone(), None),
            Proxy::FromEnvironment => {
                let set = |name: &&str| variable(name).filter(|value| !value.trim().is_empty());
                let named = PROXY_VARIABLES
                    .iter()
                    .find_map(|name| set(name).map(|url| (*name, url)));
                let Some((name, url)) = named else {
                    return Ok(Self::direct());
                };
                let list = ["NO_PROXY", "no_proxy"].iter().find_map(set);
                let list = list.unwrap_or_default();
                let exceptions = list.split(',').filter_map(Exception::parse).collect();
                (name, url, Some(exceptions))
            }
        };
        let server = ProxyServer::parse(url.trim()).map_err(|why| ConnectError::Proxy {
            origin: origin.to_owned(),
            why,
        })?;
        Ok(Self {
            server: Some(server),
            exceptions,
        })
    }

    const fn direct() -> Self {
        Self {
            server: None,
            exceptions: None,
        }
    }

    /// The proxy for a peer.
    pub(crate) fn to(&self, endpoint: &Endpoint) -> Option<&ProxyServer> {
        let server = self.server.as_ref()?;
        let Some(exceptions) = &self.exceptions else {
            return Some(server);
        };
        let address: Option<IpAddr> = endpoint.host.parse().ok();
        let here = address.is_some_and(|address| address.is_loopback())
            || endpoint.host.eq_ignore_ascii_case("localhost");
        let excepted = |exception: &Exception| exception.fits(endpoint, address);
        (endpoint.tls && !here && !exceptions.iter().any(excepted)).then_some(server)
    }
}

// === impl ProxyServer ===

impl ProxyServer {
    /// The reason, if it is none, does not repeat the URL: it may hold a password.
    fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        if !scheme.eq_ignore_ascii_case("http") {
            let scheme: String = scheme.chars().take(10).collect();
            return Err(format!(
                "its scheme is {scheme:?}, and only http:// proxies are spoken to; write http://host:port"
            ));
        }
        let uri: Uri = format!("http://{rest}")
            .parse()
            .map_err(|error| format!("{error}; write http://host:port"))?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let authorization = authority
            .rsplit_once('@')
            .map(|(user, _)| format!("Basic {}", BASE64.encode(percent_decoded(user))));
        let host = uri.host().unwrap_or_default();
        if host.is_empty() {
            return Err("it has no host; write http://host:port".to_owned());
        }
        let Some(port) = endpoint::port(&uri, 80) else {
            return Err("its port is no port; write http://host:port".to_owned());
        };
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            authorization,
        })
    }

    /// Asks for a connection to the peer. After that the socket is the peer's.
    pub(crate) async fn open(
        &self,
        socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
        endpoint: &Endpoint,
        user_agent: &str,
    ) -> Result<(), Failure> {
        let authority = endpoint.authority();
        let mut request = format!(
            "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {user_agent}\r\n"
        );
        if let Some(authorization) = &self.authorization {
            request.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
        }
        request.push_str("\r\n");
        let failed = |why: String| {
            let text = format!("the proxy {self} did not connect to {authority}: {why}");
            Failure::new(FailureKind::Proxy, text)
        };
        let broken = |error: std::io::Error| failed(causes(&error));
        socket.write_all(request.as_bytes()).await.map_err(broken)?;
        socket.flush().await.map_err(broken)?;
        let mut answer = Vec::new();
        // One byte at a time: what follows the answer is the peer's.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() == ANSWER_BYTES_MAX {
                return Err(failed("its answer is too long".to_owned()));
            }
            match socket.read_u8().await {
                Ok(byte) => answer.push(byte),
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return Err(failed("it closed the connection".to_owned()));
                }
                Err(error) => return Err(broken(error)),
            }
        }
        let answer = String::from_utf8_lossy(&answer);
        let line = answer.lines().next().unwrap_or_default();
        let status = line
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split(' ').nth(1))
            .and_then(|status| status.parse::<u16>().ok());
        match status {
            Some(200..=299) => Ok(()),
            Some(407) if self.authorization.is_some() => Err(failed(
                "status 407: it does not accept the user and password".to_owned(),
            )),
            Some(407) => Err(failed(
                "status 407: it wants a user and password; write http://user:password@host:port"
                    .to_owned(),
            )),
            Some(status) => Err(failed(format!("status {status} ({})", said(line)))),
            None => Err(failed(format!("it does not speak HTTP: {}", said(line)))),
        }
    }
}

impl fmt::Display for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyServer({self})")
    }
}

// === impl Exception ===

impl Exception {
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim().to_ascii_lowercase();
        if entry == "*" {
            return Some(Self::All);
        }
        let entry = entry.trim_start_matches("*.").trim_start_matches('.');
        if let Some((net, bits)) = entry.split_once('/') {
            return Some(Self::Net(net.parse().ok()?, bits.parse().ok()?, None));
        }
        let bare = entry.trim_matches(['[', ']']);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Some(Self::Net(address, 128, None));
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (entry, None),
        };
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => Some(Self::Net(address, 128, port)),
            Err(_) => (!host.is_empty()).then(|| Self::Name(host.to_owned(), port)),
        }
    }

    fn fits(&self, endpoint: &Endpoint, address: Option<IpAddr>) -> bool {
        let port_fits = |port: &Option<u16>| port.is_none_or(|port| port == endpoint.port);
        match self {
            Self::All => true,
            Self::Name(name, port) => {
                let host = endpoint.host.to_ascii_lowercase();
                let below = host.strip_suffix(name.as_str());
                let fits = below.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                fits && port_fits(port)
            }
            Self::Net(net, bits, port) => {
                address.is_some_and(|address| in_net(address, *net, *bits)) && port_fits(port)
            }
        }
    }
}

/// Whether the first bits of two addresses of one family are the same.
fn in_net(address: IpAddr, net: IpAddr, bits: u32) -> bool {
    let differing = match (address, net) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros().min(32),
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            return (a.to_bits() ^ b.to_bits()).leading_zeros() >= bits.min(128);
        }
        _ => return false,
    };
    differing >= bits.min(32)
}

/// `%40` is `@`, and so on; what is no such code stays.
fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    decoded
}

/// Where the environment may name a proxy, the first one first.
const PROXY_VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// The answer to `CONNECT`, headers included.
const ANSWER_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::WEBSOCKET;

    fn routes(variables: &[(&str, &str)]) -> Result<Routes, ConnectError> {
        let variable = |name: &str| {
            let mut variables = variables.iter();
            let found = variables.find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Routes::new(&Proxy::FromEnvironment, variable)
    }

    fn used(routes: &Routes, url: &str) -> Option<String> {
        let endpoint = Endpoint::parse(url, WEBSOCKET).unwrap();
        routes.to(&endpoint).map(ToString::to_string)
    }

    #[test]
    fn the_first_variable_that_is_set_names_the_proxy_of_peers_with_tls() {
        let check = |variables: &[(&str, &str)], url: &str, expected: Option<&str>| {
            let routes = routes(variables).unwrap();
            assert_eq!(used(&routes, url).as_deref(), expected, "{url}");
        };
        let all = ("ALL_PROXY", "http://all.test:1");
        let https = ("HTTPS_PROXY", "https.test:2");
        check(&[], "wss://v.test", None);
        check(&[all], "wss://v.test", Some("all.test:1"));
        check(&[all, https], "wss://v.test", Some("https.test:2"));
        check(
            &[all, ("HTTPS_PROXY", " ")],
            "wss://v.test",
            Some("all.test:1"),
        );
        check(
            &[("https_proxy", "http://p.test")],
            "wss://v.test",
            Some("p.test:80"),
        );
        check(&[all], "ws://v.test", None);
        for here in ["wss://localhost:1", "wss://127.0.0.9", "wss://[::1]"] {
            check(&[all], here, None);
        }
    }

    #[test]
    fn a_socks_proxy_for_other_programs_does_no_harm_beside_one_that_is_used() {
        let socks = ("ALL_PROXY", "socks5://me:hunter2@socks.test:1080");
        assert!(routes(&[socks, ("HTTPS_PROXY", "http://p.test:1")]).is_ok());
        let text = routes(&[socks]).unwrap_err().to_string();
        assert!(
            text.contains("ALL_PROXY") && text.contains("socks5"),
            "{text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn no_proxy_has_names_addresses_nets_and_ports() {
        let check = |list: &str, url: &str, excepted: bool| {
            let routes = routes(&[("HTTPS_PROXY", "http://p.test:1"), ("NO_PROXY", list)]).unwrap();
            assert_eq!(used(&routes, url).is_none(), excepted, "{list} {url}");
        };
        check("*", "wss://v.test", true);
        check("V.test", "wss://v.test", true);
        check("v.test", "wss://a.v.test", true);
        check(".v.test", "wss://a.v.test", true);
        check("*.v.test", "wss://a.V.test", true);
        check("v.test", "wss://av.test", false);
        check("other, v.test:9443", "wss://v.test:9443", true);
        check("v.test:9443", "wss://v.test", false);
        check("10.0.0.0/8", "wss://10.2.3.4", true);
        check("10.0.0.0/8", "wss://11.2.3.4", false);
        check("10.2.3.4:443", "wss://10.2.3.4", true);
        check("10.2.3.4", "wss://10.2.3.5", false);
        check("fd00::/8", "wss://[fd12::1]", true);
        check("fd00::1", "wss://[fd00::1]", true);
        check("fd00::1", "wss://[fd00::2]", false);
        check("0.0.0.0/0", "wss://[fd00::2]", false);
        check(", /,x/,1.2.3.4/x,:,v.test:x", "wss://v.test", false);
    }

    #[test]
    fn a_configured_proxy_is_for_every_peer_and_hides_its_password() {
        let proxy = Proxy::Url("http://me:hunter%402@p.test:3128".to_owned());
        let routes = Routes::new(&proxy, |_| Some("*".to_owned())).unwrap();
        assert_eq!(
            used(&routes, "ws://127.0.0.1").as_deref(),
            Some("p.test:3128")
        );
        let shown = format!("{proxy:?} {routes:?}");
        assert!(
            shown.contains("p.test:3128") && !shown.contains("hunter"),
            "{shown}"
        );
        let authorization = routes.server.unwrap().authorization.unwrap();
        assert_eq!(
            authorization,
            format!("Basic {}", BASE64.encode("me:hunter@2"))
        );
        for wrong in [
            "",
            "https://p.test",
            "http://me:hunter2@",
            "http://me:hunter2@p.test:x",
        ] {
            let proxy = Proxy::Url(wrong.to_owned());
            let text = Routes::new(&proxy, |_| None).unwrap_err().to_string();
            assert!(!format!("{text} {proxy:?}").contains("hunter2"), "{text}");
        }
        assert_eq!(percent_decoded("%41%zz%4"), b"A%zz%4");
        assert_eq!(percent_decoded("é%é"), "é%é".as_bytes());
    }
}
