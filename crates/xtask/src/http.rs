//! A minimal HTTP client for a gateway on this machine: one GET, the status, the body.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks for a path and answers the status and the body.
///
/// # Errors
/// If there is no answer, or it is not HTTP.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<(u16, String), String> {
    let failed = |error: std::io::Error| format!("http://{address}{path}: {error}");
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).map_err(failed)?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(failed)?;
    // HTTP/1.0 keeps the answer free of chunks.
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .map_err(failed)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(failed)?;
    parse(&answer).ok_or_else(|| format!("http://{address}{path}: the answer is not HTTP"))
}

fn parse(answer: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head
        .strip_prefix("HTTP/1.")?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()?;
    Some((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_status_and_body() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\nnot yet\n";
        assert_eq!(parse(answer), Some((503, "not yet\n".to_owned())));
        assert_eq!(parse(b"SSH-2.0-OpenSSH"), None);
    }
}
