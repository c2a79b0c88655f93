//! Connections of both kinds in one running shard, over real sockets.

use super::*;
use crate::admission::Admission;
use crate::io::poller::Poller;
use crate::limits::Limits;
use crate::metrics::EdgeMetrics;
use crate::settings::Settings;
use crate::shard::{Arrival, Shard, Shared};
use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream as Client};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tapecast_fanout::pace::Congestion;
use tapecast_fanout::ring::ring;
use tapecast_fanout::{Interests, TopicLimits};
use tapecast_model::{Catalog, InForce};
use tapecast_wire::Encoding;

/// Every byte with some bits turned, in both directions.
const SEAL: u8 = 0x5a;

/// A layer that takes all bytes at once and sends them as the socket has room.
#[derive(Debug)]
struct Sealed {
    stream: TcpStream,
    held: Vec<u8>,
}

impl Layer for Sealed {
    fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }
}

impl Socket for Sealed {
    fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut taken = 0;
        for slice in slices {
            taken += self.try_write(slice)?;
        }
        Ok(taken)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend(bytes.iter().map(|byte| byte ^ SEAL));
        match self.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(bytes.len()),
        }
    }

    fn try_read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(bytes)?;
        bytes[..read].iter_mut().for_each(|byte| *byte ^= SEAL);
        Ok(read)
    }

    fn pending(&self) -> usize {
        self.held.len()
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.held.is_empty() {
            let sent = self.stream.write(&self.held)?;
            self.held.drain(..sent);
        }
        Ok(())
    }

    fn shutdown_write(&mut self) {
        drop(self.stream.shutdown(std::net::Shutdown::Write));
    }
}

fn shared() -> Arc<Shared> {
    let (interests, _) = Interests::with_limits(TopicLimits {
        topics_max: 1,
        linger: Duration::ZERO,
        first_tid: 1,
    });
    Arc::new(Shared {
        catalog: Arc::new(Catalog::new(1)),
        interests: Arc::new(interests),
        congestion: Congestion::new(1),
        settings: InForce::new(Settings::from(Limits {
            requests_per_s: 1_000_000,
            messages_per_s: 1_000_000,
            stall_timeout: Duration::from_secs(3_600),
            heartbeat: Duration::from_secs(3_600),
            idle_timeout: Duration::from_secs(3_600),
            ..Limits::default()
        })),
        node: "test".into(),
        connection_ids: AtomicU64::new(1),
    })
}

/// So long that the answers do not fit into a socket's buffers.
fn id(number: usize) -> String {
    format!("{number:0>64}")
}

const PINGS: usize = 20_000;

/// Asks for many answers before it reads the first, then reads all of them; through a seal or none.
fn talk(mut client: Client, seal: u8) {
    for number in 0..PINGS {
        let text = format!(r#"{{"op":"ping","id":"{}"}}"#, id(number));
        // Long enough for the longer form of length.
        let text = format!("{text:150}");
        let mut frame = vec![0x81, 0x80 | 126];
        frame.extend((text.len() as u16).to_be_bytes());
        // A key of zeros masks nothing.
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        frame.iter_mut().for_each(|byte| *byte ^= seal);
        client.write_all(&frame).unwrap();
    }
    let (mut read, mut buffer, mut next) = (Vec::new(), vec![0; 64 * 1024], 0);
    while next < PINGS {
        let count = client.read(&mut buffer).unwrap();
        assert_ne!(count, 0, "closed after {next} answers");
        read.extend(buffer[..count].iter().map(|byte| byte ^ seal));
        let mut at = 0;
        while let Some(frame) = whole_frame(&read[at..]) {
            let text = String::from_utf8_lossy(frame);
            assert!(!text.contains("error"), "{text}");
            if text.contains(r#""op":"pong""#) {
                assert!(text.contains(&id(next)), "{text} in place of {next}");
                next += 1;
            }
            at += frame.len() + if frame.len() < 126 { 2 } else { 4 };
        }
        read.drain(..at);
    }
}

/// The payload of the first frame, if all of it is there.
fn whole_frame(bytes: &[u8]) -> Option<&[u8]> {
    let (head, length) = match *bytes.get(1)? {
        126 => (
            4,
            usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
        ),
        short => (2, usize::from(short)),
    };
    bytes.get(head..head + length)
}

#[test]
fn both_kinds_are_served_by_one_shard() {
    let registry = prometheus::Registry::new();
    let metrics = EdgeMetrics::register(&registry).unwrap();
    let (poller, doorbell) = Poller::new().unwrap();
    let (_tx, rx) = ring(16, doorbell);
    let shard = Shard::new(0, shared(), rx, metrics.shard(0));
    let (handle, mailbox) = poller.mailbox(&shard);
    let thread = std::thread::spawn(move || poller.run(shard, &mailbox));

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let admission = Admission::new(10, 10);
    let clients: Vec<_> = [0, SEAL, SEAL, 0]
        .into_iter()
        .map(|seal| {
            let client = Client::connect(listener.local_addr().unwrap()).unwrap();
            let (accepted, peer) = listener.accept().unwrap();
            let socket = match (seal, Connection::plain(accepted).unwrap()) {
                (SEAL, Connection::Plain(stream)) => {
                    let held = Vec::new();
                    Connection::Layered(Box::new(Sealed { stream, held }))
                }
                (_, plain) => plain,
            };
            let arrival = Arrival {
                socket,
                early: Vec::new(),
                encoding: Encoding::Json,
                permit: admission.admit(peer).unwrap(),
            };
            handle.seat().unwrap().give(arrival).unwrap();
            std::thread::spawn(move || talk(client, seal))
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    handle.drain(Duration::from_secs(60));
    thread.join().unwrap().unwrap();
}
