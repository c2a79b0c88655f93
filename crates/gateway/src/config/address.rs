//! Addresses as people write them: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`.
//!
//! A name is resolved once, when the configuration is read. If it has several addresses, loopback
//! addresses come first, and IPv4 comes before IPv6, so that `localhost` is 127.0.0.1. The banner at the
//! start shows the chosen address. The error for an invalid address says what to write.

use std::net::{SocketAddr, ToSocketAddrs as _};

/// What is said of text that is no address.
const WRITE: &str =
    "write an address and a port, such as 127.0.0.1:8080, [::1]:8080 or localhost:8080";

/// Reads an address.
///
/// # Errors
/// If it has no port, or is neither an IP address nor a name that resolves to one.
pub fn parse(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let wrong = |why: &str| Err(format!("{text:?} {why}; {WRITE}"));
    let Some((name, port)) = text.rsplit_once(':') else {
        return wrong("has no port");
    };
    let Ok(port) = port.parse::<u16>() else {
        return wrong("has no port from 0 to 65535");
    };
    if name.contains(':') && !name.contains(['[', '/']) {
        return wrong("is an IPv6 address without its brackets");
    }
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if name.is_empty() || !name.chars().all(known) {
        return wrong("is not an address");
    }
    match (name, port).to_socket_addrs() {
        Ok(found) => match preferred(found) {
            Some(address) => Ok(address),
            None => wrong("has no address"),
        },
        Err(error) => wrong(&format!("cannot be resolved ({error})")),
    }
}

/// As [`parse`], for a key of a file.
pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<SocketAddr, D::Error> {
    let expecting = "an address and a port in quotes, such as \"127.0.0.1:8080\"";
    super::text::deserialize(deserializer, expecting, parse)
}

/// The one to use of a name's addresses: loopback first, then IPv4.
fn preferred(addresses: impl Iterator<Item = SocketAddr>) -> Option<SocketAddr> {
    addresses.min_by_key(|address| (!address.ip().is_loopback(), address.is_ipv6()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_read() {
        assert_eq!(parse("127.0.0.1:80").unwrap(), ([127, 0, 0, 1], 80).into());
        assert_eq!(parse("[::1]:0").unwrap().to_string(), "[::1]:0");
        assert_eq!(parse("[::]:8080").unwrap().to_string(), "[::]:8080");
        let local = parse("localhost:8080").unwrap();
        assert!(local.ip().is_loopback() && local.port() == 8080, "{local}");
    }

    #[test]
    fn loopback_and_the_older_family_come_first() {
        let of = |texts: &[&str]| {
            let addresses = texts.iter().map(|text| text.parse().unwrap());
            preferred(addresses).map(|a: SocketAddr| a.to_string())
        };
        assert_eq!(of(&["[::1]:1", "127.0.0.1:1"]).unwrap(), "127.0.0.1:1");
        assert_eq!(
            of(&["[2001:db8::1]:1", "10.0.0.1:1"]).unwrap(),
            "10.0.0.1:1"
        );
        assert_eq!(of(&["10.0.0.1:1", "[::1]:1"]).unwrap(), "[::1]:1");
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn what_is_no_address_is_told_what_to_write() {
        for (text, part) in [
            ("8080", "no port"),
            ("localhost", "no port"),
            ("localhost:http", "from 0 to 65535"),
            ("127.0.0.1:65536", "from 0 to 65535"),
            ("::1:8080", "brackets"),
            (":8080", "not an address"),
            ("http://127.0.0.1:8080", "not an address"),
            ("no such name:1", "not an address"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                error.contains(part) && error.contains("localhost:8080"),
                "{error}"
            );
        }
    }
}
