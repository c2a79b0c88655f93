//! One GET at a time, for a gateway's admin listener: is it ready, and what does it count.

use std::net::SocketAddr;
use std::time::Duration;
use ureq::Agent;

/// For the whole answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The largest answer that is read.
const ANSWER_BYTES_MAX: u64 = 8 << 20;

/// The status and the body of an answer.
///
/// # Errors
/// If nobody answers in time, or not in HTTP.
pub fn get(address: SocketAddr, path: &str) -> Result<(u16, String), ureq::Error> {
    let config = Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .proxy(None);
    let agent = config.build().new_agent();
    let mut answer = agent.get(format!("http://{address}{path}")).call()?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
    Ok((status, body.read_to_string()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    fn answered(answer: &'static str) -> Result<(u16, String), ureq::Error> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            assert!(request.starts_with(b"GET /metrics HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let answer = get(address, "/metrics");
        server.join().unwrap();
        answer
    }

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\nup 1\n", (200, "up 1\n")),
            (
                "HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnot\r\n0\r\n\r\n",
                (503, "not"),
            ),
        ] {
            let (status, body) = answered(answer).unwrap();
            assert_eq!((status, body.as_str()), expected);
        }
    }

    #[test]
    fn what_is_no_http_is_no_answer() {
        for answer in ["nonsense", "SSH-2.0 200 x\r\n\r\nup 1\n"] {
            assert!(answered(answer).is_err(), "{answer}");
        }
    }
}
