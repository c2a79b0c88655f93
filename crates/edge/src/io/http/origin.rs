//! The header `Origin`: which pages may connect, read lists and send commands.
//!
//! Browsers send it with every handshake and command; it names the page's site. A page belongs to this
//! server if its origin is the host that the request names. Proxies change parts of this: a proxy with
//! TLS changes the scheme, and an ordinary proxy names the host without its port. So the scheme is not
//! compared, the default ports of both schemes are equal, and if `Host` has no port, every port of that
//! host is accepted.

use super::Refusal;
use super::host::Host;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue, ORIGIN};

/// Pages of other sites that may connect.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    allowed: Vec<String>,
    any: bool,
}

/// An origin in parts.
struct Site {
    scheme: String,
    host: Host,
}

/// The one origin of a request, if it has any.
///
/// # Errors
/// If it has more than one.
pub fn of(headers: &HeaderMap) -> Result<Option<&HeaderValue>, Refusal> {
    let mut origins = headers.get_all(ORIGIN).iter();
    let (origin, second) = (origins.next(), origins.next());
    if second.is_some() {
        let message = "the header Origin occurs more than once; send it once";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, message));
    }
    Ok(origin)
}

/// Whether a page is one of this server's, which this request calls `host`.
pub fn is_same(origin: &HeaderValue, host: Option<&Host>) -> bool {
    let site = origin.to_str().ok().and_then(Site::parse);
    let Some((site, host)) = site.zip(host) else {
        return false;
    };
    let default = |port: u16| matches!(port, 80 | 443);
    site.host.name == host.name
        && match (site.port(), host.port) {
            (_, None) => true,
            (Some(page), Some(ours)) => page == ours || (site.has_default_port() && default(ours)),
            (None, Some(_)) => false,
        }
}

/// Whether an order comes from a page of another site: those of this server alone may give orders, and
/// programs, which send no `Origin`.
pub fn is_foreign(headers: &HeaderMap, host: Option<&Host>) -> bool {
    let fetched = headers.get_all("sec-fetch-site");
    let own = |value: &HeaderValue| matches!(value.as_bytes(), b"same-origin" | b"none");
    let mut origins = headers.get_all(ORIGIN).iter();
    !fetched.iter().all(own) || !origins.all(|origin| is_same(origin, host))
}

// === impl Origins ===

impl Origins {
    /// These, as browsers write them; `"*"` for all.
    pub fn new(allowed: &[String]) -> Self {
        let normal =
            |origin: &String| Site::parse(origin).map_or_else(|| origin.clone(), |s| s.normal());
        Self {
            any: allowed.iter().any(|origin| origin == "*"),
            allowed: allowed.iter().map(normal).collect(),
        }
    }

    /// Whether pages of this origin are on the list.
    pub fn list(&self, origin: &HeaderValue) -> bool {
        let site = origin.to_str().ok().and_then(Site::parse);
        self.any || site.is_some_and(|site| self.allowed.contains(&site.normal()))
    }

    /// The names of their hosts: a page of theirs may be served from here. `"*"` if every origin is listed.
    pub fn hosts(&self) -> impl Iterator<Item = String> {
        let sites = self.allowed.iter().filter_map(|origin| Site::parse(origin));
        let any = self.any.then(|| "*".to_owned());
        sites.map(|site| site.host.name).chain(any)
    }
}

// === impl Site ===

impl Site {
    fn parse(origin: &str) -> Option<Self> {
        let (scheme, host) = origin.split_once("://")?;
        let host = Host::parse(host.strip_suffix('/').unwrap_or(host))?;
        let scheme = scheme.to_ascii_lowercase();
        Some(Self { scheme, host })
    }

    fn default_port(&self) -> Option<u16> {
        match self.scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        }
    }

    fn port(&self) -> Option<u16> {
        self.host.port.or_else(|| self.default_port())
    }

    fn has_default_port(&self) -> bool {
        self.port() == self.default_port()
    }

    fn normal(&self) -> String {
        let Self { scheme, host } = self;
        let name = match host.name.contains(':') {
            true => format!("[{}]", host.name),
            false => host.name.clone(),
        };
        match host.port.filter(|port| Some(*port) != self.default_port()) {
            Some(port) => format!("{scheme}://{name}:{port}"),
            None => format!("{scheme}://{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_ours_is_known_behind_proxies_too() {
        for (origin, host, expected) in [
            ("http://desk.example:8080", "desk.example:8080", true),
            ("http://Desk.Example", "desk.example", true),
            ("https://desk.example", "desk.example", true),
            ("https://desk.example:8443", "desk.example", true),
            ("https://desk.example", "desk.example:80", true),
            ("http://desk.example:80", "desk.example", true),
            ("https://desk.example:8443", "desk.example:8443", true),
            ("http://[::1]:8080", "[::1]:8080", true),
            ("http://desk.example:8081", "desk.example:8080", false),
            ("https://desk.example", "desk.example:8080", false),
            ("https://evil.example", "desk.example", false),
            ("https://desk.example.evil.example", "desk.example", false),
            ("https://evil.example/desk.example", "desk.example", false),
            ("null", "desk.example", false),
            ("desk.example", "desk.example", false),
            ("", "desk.example", false),
        ] {
            let value = HeaderValue::from_static(origin);
            let same = is_same(&value, Host::parse(host).as_ref());
            assert_eq!(same, expected, "{origin} at {host}");
            let order = HeaderMap::from_iter([(ORIGIN, value)]);
            assert_eq!(is_foreign(&order, Host::parse(host).as_ref()), !expected);
        }
    }

    #[test]
    fn listed_origins_are_compared_in_their_normal_form() {
        let allowed = ["HTTPS://App.example/", "http://[2001:db8::1]:8080"].map(str::to_owned);
        let origins = Origins::new(&allowed);
        let listed = |origin| origins.list(&HeaderValue::from_static(origin));
        assert!(listed("https://app.example") && listed("https://app.example:443"));
        assert!(listed("http://[2001:db8::1]:8080"));
        assert!(!listed("http://app.example") && !listed("https://app.example:8443"));
        assert!(!listed("null"));
        let hosts: Vec<_> = origins.hosts().collect();
        assert_eq!(hosts, ["app.example", "2001:db8::1"]);
        let any = Origins::new(&["*".to_owned()]);
        assert!(any.list(&HeaderValue::from_static("null")));
        assert_eq!(any.hosts().collect::<Vec<_>>(), ["*"]);
    }

    #[test]
    fn orders_from_elsewhere_are_known_by_what_browsers_say() {
        let host = Host::parse("127.0.0.1:8081");
        let foreign = |name: &'static str, value| {
            let name = hyper::header::HeaderName::from_static(name);
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
            is_foreign(&headers, host.as_ref())
        };
        assert!(!is_foreign(&HeaderMap::new(), host.as_ref()));
        assert!(!foreign("sec-fetch-site", "same-origin"));
        assert!(!foreign("sec-fetch-site", "none"));
        assert!(foreign("sec-fetch-site", "cross-site"));
        assert!(foreign("sec-fetch-site", "same-site"));
        assert!(foreign("origin", "http://127.0.0.1:8080"));
        assert!(!foreign("origin", "http://127.0.0.1:8081"));
    }
}
