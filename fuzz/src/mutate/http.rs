//! New HTTP requests: lines are changed, taken away and added, requests follow each other, bodies come.

use super::{change_bytes, change_tokens};
use rand::Rng as _;
use rand::rngs::SmallRng;

const CHANGES_MAX: u32 = 4;
/// Inputs are not grown beyond this.
const GROWN_MAX: usize = 64 * 1024;

const HEADERS: [&str; 34] = [
    "Host: localhost",
    "Host: 127.0.0.1:8080",
    "Host: evil.example",
    "Host: [::1]:8080",
    "Host:",
    "Upgrade: websocket",
    "Upgrade: h2c, websocket",
    "Upgrade:",
    "Connection: Upgrade",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: keep-alive, Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Version: 8",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAB==",
    "Sec-WebSocket-Protocol: tapecast.v1.json",
    "Sec-WebSocket-Protocol: nobody.speaks.this, tapecast.v1.bin",
    "Sec-WebSocket-Protocol: nobody.speaks.this",
    "Sec-WebSocket-Extensions: permessage-deflate",
    "Origin: https://desk.example",
    "Origin: http://evil.example",
    "Origin: null",
    "Content-Length: 0",
    "Content-Length: 5",
    "Content-Length: 18446744073709551616",
    "Content-Length: -1",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Expect: 100-continue",
    "Access-Control-Request-Method: GET",
    " folded: line",
    "no colon",
];

const STARTS: [&str; 18] = [
    "GET /v1/ws HTTP/1.1",
    "GET /v1/ws HTTP/1.0",
    "HEAD /v1/ws HTTP/1.1",
    "POST /v1/ws HTTP/1.1",
    "GET / HTTP/1.1",
    "HEAD /app.js HTTP/1.1",
    "GET /v1/topics HTTP/1.1",
    "GET /v1/topics?venue=desk&symbol=X-USD HTTP/1.1",
    "GET /v1/instruments?after=0&limit=1 HTTP/1.1",
    "GET /v1/topics?venue=%zz&venue=a&= HTTP/1.1",
    "OPTIONS /v1/topics HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "DELETE /nothing HTTP/1.1",
    "GET http://localhost/v1/topics HTTP/1.1",
    "CONNECT localhost:8080 HTTP/1.1",
    "GET /v1/ws HTTP/2.0",
    "PRI * HTTP/2.0",
    "get / HTTP/1.1",
];

const BODIES: [&str; 5] = [
    "hello",
    "5\r\nhello\r\n0\r\n\r\n",
    "ffffffffffffffff\r\n",
    "GET /v1/topics HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "\r\n\r\n",
];

/// Makes requests from seeds: one of them, changed one to four times.
pub fn input(seeds: &[Vec<u8>], random: &mut SmallRng) -> Vec<u8> {
    let seed = |random: &mut SmallRng| &seeds[random.random_range(0..seeds.len())];
    let mut bytes = seed(random).clone();
    for _ in 0..random.random_range(1..=CHANGES_MAX) {
        match random.random_range(0..10) {
            0 => change_bytes(&mut bytes, seeds, random),
            1 => change_tokens(&mut bytes, random),
            2 if bytes.len() < GROWN_MAX => bytes.extend_from_slice(seed(random)),
            3 => bytes.extend_from_slice(one_of(&BODIES, random).as_bytes()),
            _ => change_lines(&mut bytes, random),
        }
    }
    bytes
}

fn change_lines(bytes: &mut Vec<u8>, random: &mut SmallRng) {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    if lines.is_empty() || bytes.len() > GROWN_MAX {
        return;
    }
    let at = random.random_range(0..lines.len());
    let mut lines: Vec<Vec<u8>> = lines.into_iter().map(<[u8]>::to_vec).collect();
    let is_start = at == 0 || lines[at - 1].trim_ascii().is_empty();
    let line = |text: &str| format!("{text}\r\n").into_bytes();
    match random.random_range(0..12) {
        0..=1 => lines[at] = line(one_of(if is_start { &STARTS } else { &HEADERS }, random)),
        2..=4 => {
            let behind = at.max(1).min(lines.len());
            lines.insert(behind, line(one_of(&HEADERS, random)));
        }
        5 => lines.insert(at, lines[at].clone()),
        6..=7 => drop(lines.remove(at)),
        8 => {
            let other = random.random_range(0..lines.len());
            lines.swap(at, other);
        }
        9 => {
            // Heads and lists of headers have a limit.
            let length = [100, 4_000, 16_300, 16_400, 40_000][random.random_range(0..5)];
            lines.insert(at.max(1), line(&format!("X: {}", "x".repeat(length))));
        }
        10 => {
            let count = [10, 95, 101, 300][random.random_range(0..4)];
            lines.insert(at.max(1), "A: b\r\n".repeat(count).into_bytes());
        }
        _ => {
            let end = lines[at].trim_ascii_end().len();
            lines[at].truncate(end);
            lines[at]
                .extend_from_slice(one_of(&["\n", "\r", "", " \r\n", "\0\r\n"], random).as_bytes());
        }
    }
    *bytes = lines.concat();
}

fn one_of<'a>(texts: &[&'a str], random: &mut SmallRng) -> &'a str {
    texts[random.random_range(0..texts.len())]
}
