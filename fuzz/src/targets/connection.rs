//! Connections at the public listener: hyper and our rules, with the pages, over a stream in memory. The
//! client says all of the input, closes its side and reads to the end.
//!
//! # Rules
//! * Each answer is valid HTTP: a head, a length, a body of that length; nothing behind the last one, and
//!   one word on whether it is the last.
//! * No answer says that we have failed: 505 is the only one of 5xx, and no limit is reached.
//! * 101 answers a request that has all that the RFC asks of a handshake, checked here from the bytes.
//! * The connection ends without waiting for a deadline, and gives back what it held.
//! * However the bytes are cut, the answers are the same, but for what hyper refuses itself: it does not
//!   judge a head that is not whole, and how large one may be depends on what came with it.

use super::{Broken, Depth, Target, push};
use crate::mutate::{self, http};
use prometheus::Registry;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tapecast::faults::Faults;
use tapecast::pages;
use tapecast_edge::io::http::connection::End;
use tapecast_edge::io::http::host::Hosts;
use tapecast_edge::io::http::origin::Origins;
use tapecast_edge::io::listener::{Listener, Rules};
use tapecast_edge::io::poller::{Mailbox, Poller};
use tapecast_edge::{EdgeMetrics, Limits, Settings, Shard, Shared};
use tapecast_fanout::Interests;
use tapecast_fanout::pace::Congestion;
use tapecast_fanout::ring::ring;
use tapecast_model::InForce;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Runtime;

const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50_000);
/// Headers of one request; hyper takes a hundred.
const HEADERS_MAX: usize = 128;
/// What we answer with, apart from 101.
const STATUSES: [u16; 11] = [200, 204, 400, 403, 404, 405, 414, 421, 426, 431, 505];
/// Items in the ring of a shard that never turns.
const RING_ITEMS: usize = 2;

pub(super) struct Connection {
    seeds: Vec<Vec<u8>>,
    runtime: Runtime,
    listener: Arc<Listener>,
    /// Of a shard that takes nothing: it is there so that handshakes have a seat.
    _mailbox: Mailbox,
    planted: bool,
}

/// The client's stream: says what it has in pieces, and keeps what it is told.
struct Script {
    words: Vec<u8>,
    at: usize,
    /// The longest piece read or written at once.
    piece: usize,
    /// Nothing can be read at this moment.
    rests: bool,
    random: SmallRng,
    told: Arc<Mutex<Vec<u8>>>,
}

/// What a client was told, and how its connection ended.
struct Told {
    bytes: Vec<u8>,
    end: End,
}

/// One answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// Head and body, without what may differ.
    bytes: Vec<u8>,
    /// It has no sentence: hyper refused what was asked.
    of_hyper: bool,
}

/// The head of a request, as far as the rules need it.
struct Asked {
    is_head: bool,
    may_upgrade: bool,
}

impl Connection {
    pub(super) fn new(seeds: Vec<Vec<u8>>) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|e| failed(&e))?;
        let (catalog, _) = push::catalog().ok_or("no catalogue")?;
        let catalog = Arc::new(catalog);
        let limits = Limits {
            // All inputs come from one address, as fast as the machine reads them.
            http_requests_per_address_per_s: u32::MAX,
            ..Limits::default()
        };
        let metrics = EdgeMetrics::register(&Registry::new()).map_err(|e| failed(&e))?;
        let origins = Origins::new(&["https://desk.example".to_owned()]);
        let settings = InForce::new(Settings::from(limits));
        let rules = InForce::new(Rules {
            hosts: Hosts::new(["desk.example".to_owned()]),
            origins,
        });
        let (interests, _requests) = Interests::new(1);
        let shared = Arc::new(Shared {
            catalog: Arc::clone(&catalog),
            interests: Arc::new(interests),
            congestion: Congestion::new(1),
            settings: Arc::clone(&settings),
            node: "fuzz".to_owned(),
            connection_ids: AtomicU64::new(0),
        });
        let (poller, doorbell) = Poller::new().map_err(|e| failed(&e))?;
        let (_, rx) = ring(RING_ITEMS, doorbell);
        let (handle, mailbox) = poller.mailbox(&Shard::new(0, shared, rx, metrics.shard(0)));
        let listener = Listener::new(
            vec![handle],
            (&settings, &rules),
            (metrics.listener(), metrics.http("public")),
            pages::pages(&catalog, &rules, &Faults::default()),
        );
        Ok(Self {
            seeds,
            runtime,
            listener,
            _mailbox: mailbox,
            planted: false,
        })
    }

    /// Serves a client that says this in pieces of so many bytes at most.
    fn serve(&self, input: &[u8], piece: usize) -> Result<Told, Broken> {
        let told = Arc::new(Mutex::new(Vec::new()));
        let script = Script {
            words: input.to_vec(),
            at: 0,
            piece,
            rests: false,
            random: SmallRng::seed_from_u64(mutate::hash(input)),
            told: Arc::clone(&told),
        };
        let end = self.runtime.block_on(async {
            let end = self.listener.attend(script, ADDRESS).await;
            self.listener.settled().await;
            // What was spawned for it and has nothing to wait for.
            tokio::task::yield_now().await;
            end
        });
        let end = end.map_err(|refusal| {
            Broken(format!("something is not given back: {}", refusal.message))
        })?;
        if !matches!(end, End::Done | End::Garbage) {
            return Err(Broken(format!("did not end by itself: {end:?}")));
        }
        if Arc::strong_count(&told) > 1 {
            return Err(Broken("the stream is still held".to_owned()));
        }
        let bytes = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Told { bytes, end })
    }
}

impl Target for Connection {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }

    fn input(&self, seeds: &[Vec<u8>], random: &mut SmallRng) -> Vec<u8> {
        http::input(seeds, random)
    }

    fn plant(&mut self) {
        self.planted = true;
    }

    fn run(&mut self, input: &[u8]) -> Result<Depth, Broken> {
        let whole = answers(input, &self.serve(input, usize::MAX)?)?;
        let piece = [1, 7, 60, 700][(mutate::hash(input) % 4) as usize];
        let mut other = answers(input, &self.serve(input, piece)?)?;
        if self.planted && other.len() > 1 {
            other.retain(|answer| answer.status != 405);
        }
        if !agree(&whole, &other) {
            return Err(Broken(format!(
                "in pieces of {piece} it is told something else: {}; {}",
                line(&whole),
                line(&other)
            )));
        }
        let past_head = whole.iter().any(|answer| !answer.of_hyper);
        Ok(if past_head { Depth::Body } else { Depth::Head })
    }
}

/// Whether both are the same, up to where hyper refused one of them.
fn agree(one: &[Answer], two: &[Answer]) -> bool {
    let ours = |answers: &[Answer]| answers.iter().take_while(|a| !a.of_hyper).count();
    let (shorter, longer) = if ours(one) <= ours(two) {
        (one, two)
    } else {
        (two, one)
    };
    let count = ours(shorter);
    let same = shorter[..count]
        .iter()
        .zip(longer)
        .all(|(a, b)| a.bytes == b.bytes);
    let too_large = |answer: &Answer| matches!(answer.status, 414 | 431);
    same && (count == ours(longer) || shorter.get(count).is_some_and(too_large))
}

fn line(answers: &[Answer]) -> String {
    let shown = |answer: &Answer| answer.bytes.escape_ascii().to_string();
    answers.iter().map(shown).collect::<Vec<_>>().join(" | ")
}

/// Takes apart what a client was told, if it is as it should be.
fn answers(input: &[u8], told: &Told) -> Result<Vec<Answer>, Broken> {
    let wrong = |what: &str| {
        Broken(format!(
            "{what}: {:?} {}",
            told.end,
            told.bytes.escape_ascii()
        ))
    };
    let (mut requests, mut answers) = (input, Vec::new());
    let mut rest = &told.bytes[..];
    while !rest.is_empty() {
        let asked = asked(&mut requests);
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut answer = httparse::Response::new(&mut headers);
        let Ok(httparse::Status::Complete(head)) = answer.parse(rest) else {
            return Err(wrong("an answer that is not HTTP"));
        };
        let status = answer.code.unwrap_or_default();
        let of = |name: &str| {
            let named = |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case(name);
            let mut values = answer.headers.iter().filter(named).map(|h| h.value);
            (values.next(), values.next())
        };
        if status == 101 {
            if !asked.is_some_and(|asked| asked.may_upgrade) {
                return Err(wrong("101 for what is no handshake"));
            }
            if of("sec-websocket-accept").0.is_none() || rest.len() != head {
                return Err(wrong("a strange 101"));
            }
            answers.push(Answer {
                status,
                bytes: lasting(rest),
                of_hyper: false,
            });
            return Ok(answers);
        }
        if !STATUSES.contains(&status) {
            return Err(wrong("an answer that we should not give"));
        }
        let length = match of("content-length") {
            (Some(length), None) => std::str::from_utf8(length)
                .ok()
                .and_then(|l| l.parse().ok()),
            (None, _) if status == 204 => Some(0),
            _ => None,
        };
        let Some(length): Option<usize> = length else {
            return Err(wrong("an answer without one length"));
        };
        let of_hyper = length == 0 && status >= 400;
        let length = if asked.as_ref().is_some_and(|asked| asked.is_head) {
            0
        } else {
            length
        };
        let Some(behind) = rest.get(head + length..) else {
            return Err(wrong("an answer that is cut off"));
        };
        let last = match of("connection") {
            (None | Some(b"keep-alive"), None) => false,
            (Some(b"close"), None) => true,
            _ => return Err(wrong("two words on whether the connection goes on")),
        };
        if !behind.is_empty() && last {
            return Err(wrong("an answer behind the last one"));
        }
        if asked.is_none() && !(status >= 400 && behind.is_empty()) {
            return Err(wrong("an answer to nothing"));
        }
        answers.push(Answer {
            status,
            bytes: lasting(&rest[..head + length]),
            of_hyper,
        });
        rest = behind;
    }
    Ok(answers)
}

/// Takes the next request of an input; none if there is none that can be read.
fn asked(requests: &mut &[u8]) -> Option<Asked> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(head)) = request.parse(requests) else {
        // Nothing that follows can be read either.
        *requests = &[];
        return None;
    };
    *requests = &requests[head..];
    let count = |name: &str| {
        let named = |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case(name);
        request.headers.iter().filter(named).count()
    };
    let names = ["host", "sec-websocket-version", "sec-websocket-key"];
    Some(Asked {
        is_head: request.method == Some("HEAD"),
        may_upgrade: request.method == Some("GET")
            && request.version == Some(1)
            && names.into_iter().all(|name| count(name) == 1)
            && count("upgrade") > 0
            && count("connection") > 0
            && count("transfer-encoding") == 0,
    })
}

/// Without the time of day, and without word that the connection goes on: clients of HTTP/1.0 get that
/// unless hyper has seen the end of what they say.
fn lasting(bytes: &[u8]) -> Vec<u8> {
    let passing = |line: &&[u8]| {
        let line = line.trim_ascii().to_ascii_lowercase();
        line.starts_with(b"date:") || line == b"connection: keep-alive"
    };
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines
        .filter(|line| !passing(line))
        .flatten()
        .copied()
        .collect()
}

// === impl Script ===

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.piece != usize::MAX && std::mem::replace(&mut self.rests, false) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // Now and then two pieces come without a rest between them.
        self.rests = self.random.random_range(0..4) > 0;
        let length = buffer
            .remaining()
            .min(self.piece)
            .min(self.words.len() - self.at);
        let at = self.at;
        buffer.put_slice(&self.words[at..at + length]);
        self.at += length;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let length = bytes.len().min(self.piece.saturating_mul(16));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.extend_from_slice(&bytes[..length]);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
