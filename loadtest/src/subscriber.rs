//! One WebSocket client: from the connection through its acknowledgement to reading.
//!
//! Until it is subscribed every client reads. Then a *parsed* one goes on reading and verifies every
//! frame: the chain of sequence numbers, the number of trades in it, the publisher's numbers, the
//! latency. A *counted* one only has the kernel count its bytes, and a *stalled* one does nothing at
//! all. Owns its socket and whatever part of a frame has come; the buffer it reads into is the loop's.

use crate::frame::{FrameScanner, topic_name, topic_number};
use crate::publisher::StampClock;
use crate::socket::{self, Received};
use crate::tally::{Integrity, Tally};
use crate::ws::{self, Frame, Opcode, WsError};
use serde_json::Value;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use tapecast_model::clock;

/// The subprotocol of a gateway.
pub const SUBPROTOCOL: &str = "tapecast.v1.json";
/// Bytes of one request that every server takes.
const REQUEST_BYTES: usize = 12 << 10;

/// What is spoken on the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Speech {
    /// `tapecast.v1`: welcome, subscribe, trades.
    Tapecast,
    /// Frames of the ceiling, from the start.
    Ceiling,
}

/// What a client does once it is subscribed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Reads and verifies every frame.
    Parsed,
    /// Counts bytes.
    Counted,
    /// Does not read.
    Stalled,
}

/// How far a client is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// The connection is not there yet.
    Connecting,
    /// The handshake is under way.
    Upgrading,
    /// The welcome or acknowledgements are missing.
    Subscribing,
    /// It has what it asked for.
    Live,
    /// The server is gone, with this close code.
    Closed(u16),
}

/// Why a client cannot take part.
#[derive(Debug, thiserror::Error)]
pub enum SubscriberError {
    /// The socket failed.
    #[error(transparent)]
    Socket(#[from] io::Error),
    /// The server speaks no WebSocket.
    #[error(transparent)]
    Ws(#[from] WsError),
    /// A subscription was refused.
    #[error("the server refused: {0}")]
    Refused(String),
    /// The connection was closed before it was subscribed.
    #[error("the server closed the connection with code {0} before it was subscribed")]
    Early(u16),
    /// Something else than the protocol has it.
    #[error("the server sent {0:?} where {1} was due")]
    Unexpected(String, &'static str),
}

/// What all clients of a loop share.
#[derive(Debug)]
pub struct Desk {
    /// What is spoken.
    pub speech: Speech,
    /// The address as it stands in the `Host` header.
    pub host: String,
    /// The path of the WebSocket.
    pub path: String,
    /// The clock of the stamps in events.
    pub clock: StampClock,
    /// Finds what matters in frames.
    pub scanner: FrameScanner,
    /// Where everything is counted.
    pub tally: Tally,
    /// Latency counts only in the measured window.
    pub measuring: bool,
    /// What is read into.
    pub scratch: Vec<u8>,
    /// What is thrown away into.
    pub pit: Vec<u8>,
}

/// One client.
#[derive(Debug)]
pub struct Subscriber {
    socket: OwnedFd,
    stage: Stage,
    role: Role,
    bytes: u64,
    /// Events it has seen: the highest publisher's number, plus one.
    seen: u64,
    reading: Option<Box<Reading>>,
}

#[derive(Debug)]
struct Reading {
    left: Vec<u8>,
    topics: Vec<TopicView>,
    welcomed: bool,
    unanswered: usize,
}

/// What a client knows of one topic.
#[derive(Clone, Copy, Debug)]
struct TopicView {
    number: u32,
    epoch: u64,
    last: Option<u64>,
    id: Option<u64>,
    received: u64,
}

// === impl Desk ===

impl Desk {
    /// The desk of one loop.
    pub fn new(speech: Speech, host: String, path: String, clock: StampClock, topics: u32) -> Self {
        Self {
            speech,
            host,
            path,
            clock,
            scanner: FrameScanner::new(),
            tally: Tally::new(topics),
            measuring: false,
            scratch: vec![0; 1 << 20],
            // Never written to, so it takes no memory.
            pit: vec![0; socket::DISCARD_BYTES],
        }
    }

    fn subprotocol(&self) -> Option<&'static str> {
        (self.speech == Speech::Tapecast).then_some(SUBPROTOCOL)
    }
}

// === impl Subscriber ===

impl Subscriber {
    /// A client whose connection was begun.
    pub fn new(socket: OwnedFd, role: Role, topics: &[u32]) -> Self {
        let mut topics: Vec<TopicView> = topics
            .iter()
            .map(|&number| TopicView::new(number))
            .collect();
        topics.sort_unstable_by_key(|t| t.number);
        let reading = Reading {
            left: Vec::new(),
            topics,
            welcomed: false,
            unanswered: 0,
        };
        Self {
            socket,
            stage: Stage::Connecting,
            role,
            bytes: 0,
            seen: 0,
            reading: Some(Box::new(reading)),
        }
    }

    /// How far it is.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// What it does.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Events it has seen.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Bytes received.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds what a client that was there to the end received of each topic.
    pub fn settle(&self, tally: &mut Tally) {
        for topic in self.reading.iter().flat_map(|r| &r.topics) {
            tally.received_by_topic[topic.number as usize] += topic.received;
            tally.readers_by_topic[topic.number as usize] += 1;
        }
    }

    /// The connection stands or has failed: asks for a WebSocket.
    ///
    /// # Errors
    /// If the connection failed.
    pub fn handle_writable(&mut self, desk: &Desk) -> Result<(), SubscriberError> {
        if self.stage == Stage::Connecting {
            socket::connected(&self.socket)?;
            self.write(&ws::handshake(&desk.host, &desk.path, desk.subprotocol()))?;
            self.stage = Stage::Upgrading;
        }
        Ok(())
    }

    /// There is something to read.
    ///
    /// # Errors
    /// If this client cannot take part, or the server breaks the WebSocket protocol.
    pub fn handle_readable(&mut self, desk: &mut Desk) -> Result<(), SubscriberError> {
        desk.tally.total.receives += 1;
        let Some(mut reading) = self.reading.take() else {
            match socket::discard(&self.socket, &mut desk.pit)? {
                Received::Bytes(length) => {
                    self.bytes += length as u64;
                    desk.tally.total.bytes += length as u64;
                }
                Received::Nothing => {}
                Received::End => self.end(1006)?,
            }
            return Ok(());
        };
        let outcome = self.read(&mut reading, desk);
        if self.stage != Stage::Live || self.role == Role::Parsed {
            self.reading = Some(reading);
        }
        outcome
    }

    fn read(&mut self, reading: &mut Reading, desk: &mut Desk) -> Result<(), SubscriberError> {
        let mut scratch = std::mem::take(&mut desk.scratch);
        let kept = reading.left.len();
        if scratch.len() < kept + (64 << 10) {
            scratch.resize(kept + (1 << 20), 0);
        }
        scratch[..kept].copy_from_slice(&reading.left);
        let outcome = match socket::receive(&self.socket, &mut scratch[kept..]) {
            Ok(Received::Bytes(length)) => {
                self.bytes += length as u64;
                desk.tally.total.bytes += length as u64;
                if self.role == Role::Parsed {
                    desk.tally.total.parsed_bytes += length as u64;
                }
                let whole = &scratch[..kept + length];
                self.take_frames(whole, reading, desk).map(|taken| {
                    reading.left.clear();
                    reading.left.extend_from_slice(&whole[taken..]);
                })
            }
            Ok(Received::Nothing) => Ok(()),
            Ok(Received::End) => self.end(1006),
            Err(error) => Err(error.into()),
        };
        desk.scratch = scratch;
        outcome
    }

    /// Takes whole frames from the front of `bytes`; how much was taken.
    fn take_frames(
        &mut self,
        bytes: &[u8],
        reading: &mut Reading,
        desk: &mut Desk,
    ) -> Result<usize, SubscriberError> {
        let mut taken = 0;
        if self.stage == Stage::Upgrading {
            let Some(end) = ws::handshake_end(bytes, desk.subprotocol())? else {
                return Ok(0);
            };
            taken = end;
            self.stage = match desk.speech {
                Speech::Tapecast => Stage::Subscribing,
                Speech::Ceiling => Stage::Live,
            };
        }
        // One reading of the clock for everything that came together.
        let now = clock::mono_now();
        while let Some((frame, length)) = ws::next_frame(&bytes[taken..])? {
            taken += length;
            self.handle_frame(frame, now, reading, desk)?;
            if matches!(self.stage, Stage::Closed(_)) {
                break;
            }
        }
        Ok(taken)
    }

    fn handle_frame(
        &mut self,
        frame: Frame<'_>,
        now: tapecast_model::Mono,
        reading: &mut Reading,
        desk: &mut Desk,
    ) -> Result<(), SubscriberError> {
        match (frame.opcode, desk.speech) {
            (Opcode::Text, Speech::Tapecast) if frame.payload.starts_with(b"{\"topic\"") => {
                self.handle_trades(frame.payload, now, reading, desk);
                Ok(())
            }
            (Opcode::Text, Speech::Tapecast) => self.handle_control(frame.payload, reading, desk),
            (Opcode::Text, Speech::Ceiling) => {
                self.handle_ceiling(frame.payload, now, desk);
                Ok(())
            }
            (Opcode::Ping, _) => {
                let mut pong = Vec::with_capacity(frame.payload.len() + 8);
                ws::write_masked(&mut pong, Opcode::Pong, frame.payload);
                self.write(&pong)
            }
            (Opcode::Close, _) => self.end(ws::close_code(frame.payload)),
            (Opcode::Pong, _) => Ok(()),
            (Opcode::Binary | Opcode::Continuation, _) => {
                desk.tally.integrity.unreadable += 1;
                Ok(())
            }
        }
    }

    fn handle_control(
        &mut self,
        payload: &[u8],
        reading: &mut Reading,
        desk: &mut Desk,
    ) -> Result<(), SubscriberError> {
        let text = || {
            String::from_utf8_lossy(payload)
                .chars()
                .take(300)
                .collect::<String>()
        };
        let message = match serde_json::from_slice::<Value>(payload) {
            Ok(message) => message,
            Err(_) if self.stage == Stage::Live => {
                desk.tally.integrity.unreadable += 1;
                return Ok(());
            }
            Err(_) => return Err(SubscriberError::Unexpected(text(), "JSON")),
        };
        match message["op"].as_str().unwrap_or_default() {
            "welcome" if !reading.welcomed => {
                reading.welcomed = true;
                let numbers: Vec<u32> = reading.topics.iter().map(|t| t.number).collect();
                for request in subscribe_requests(&numbers) {
                    let mut bytes = Vec::with_capacity(request.len() + 16);
                    ws::write_masked(&mut bytes, Opcode::Text, request.as_bytes());
                    self.write(&bytes)?;
                    reading.unanswered += 1;
                }
            }
            _ if !reading.welcomed => {
                return Err(SubscriberError::Unexpected(text(), "a welcome"));
            }
            "subscribed" => {
                if message["rejected"]
                    .as_array()
                    .is_some_and(|r| !r.is_empty())
                {
                    return Err(SubscriberError::Refused(message["rejected"][0].to_string()));
                }
                reading.unanswered = reading.unanswered.saturating_sub(1);
                if reading.unanswered == 0 && self.stage == Stage::Subscribing {
                    self.stage = Stage::Live;
                }
            }
            "error" => return Err(SubscriberError::Refused(text())),
            "gap" => {
                let number = message["topic"]
                    .as_str()
                    .and_then(|t| topic_number(t.as_bytes()));
                let (from, to) = (message["from"].as_u64(), message["to"].as_u64());
                if let (Some(view), Some(from), Some(to)) =
                    (number.and_then(|n| reading.topic(n)), from, to)
                {
                    desk.tally.integrity.announced_lost += (to + 1).saturating_sub(from);
                    view.last = Some(to);
                }
            }
            // Heartbeats, byes and what a later server may say.
            _ => {}
        }
        Ok(())
    }

    fn handle_trades(
        &mut self,
        payload: &[u8],
        now: tapecast_model::Mono,
        reading: &mut Reading,
        desk: &mut Desk,
    ) {
        let Desk {
            scanner,
            tally,
            clock,
            measuring,
            ..
        } = desk;
        let head = scanner.head(payload);
        let view = head
            .and_then(|h| topic_number(h.topic))
            .and_then(|n| reading.topic(n));
        let (Some(head), Some(view)) = (head, view) else {
            tally.integrity.unreadable += 1;
            return;
        };
        if head.snapshot {
            (view.epoch, view.last) = (head.epoch, Some(head.seq));
            return;
        }
        view.note_frame(head.epoch, head.seq, head.prev, &mut tally.integrity);
        let mut events = 0;
        for print in scanner.prints(head.rest) {
            events += 1;
            if view.id.is_some_and(|id| print.id <= id) {
                tally.integrity.disordered += 1;
            }
            view.id = Some(print.id);
            self.seen = self.seen.max(print.id + 1);
            if *measuring {
                tally.note_latency(clock.since(print.stamp, now));
            }
        }
        view.received += events;
        if head.seq.wrapping_sub(head.prev) != events {
            tally.integrity.miscounted += 1;
        }
        if self.role == Role::Parsed {
            tally.total.parsed_frames += 1;
            tally.total.parsed_events += events;
        }
    }

    fn handle_ceiling(&mut self, payload: &[u8], now: tapecast_model::Mono, desk: &mut Desk) {
        let Desk {
            scanner,
            tally,
            clock,
            ..
        } = desk;
        let Some(print) = scanner.ceiling(payload) else {
            tally.integrity.unreadable += 1;
            return;
        };
        if self.seen > 0 && print.id != self.seen {
            tally.integrity.gaps += print.id.saturating_sub(self.seen).max(1);
        }
        self.seen = print.id + 1;
        tally.note_latency(clock.since(print.stamp, now));
        tally.total.parsed_frames += 1;
        tally.total.parsed_events += 1;
    }

    /// Tells the server that this client is alive, which it could not know of one that only counts.
    pub fn keep_alive(&self) {
        let mut pong = Vec::with_capacity(8);
        ws::write_masked(&mut pong, Opcode::Pong, b"");
        // A socket that is full or gone is found out by reading.
        let _ = socket::send(&self.socket, &pong);
    }

    /// The connection is over. Before it was subscribed that is an error, later it is counted.
    ///
    /// # Errors
    /// If the client was not subscribed yet.
    pub fn end(&mut self, code: u16) -> Result<(), SubscriberError> {
        let early = !matches!(self.stage, Stage::Live | Stage::Closed(_));
        self.stage = Stage::Closed(code);
        if early {
            Err(SubscriberError::Early(code))
        } else {
            Ok(())
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<(), SubscriberError> {
        let sent = socket::send(&self.socket, bytes)?;
        if sent == bytes.len() {
            return Ok(());
        }
        // What a client sends fits into any socket whose peer reads at all.
        Err(io::Error::new(
            io::ErrorKind::WouldBlock,
            "the server does not read requests",
        )
        .into())
    }
}

impl AsFd for Subscriber {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

// === impl Reading, TopicView ===

impl Reading {
    #[inline]
    fn topic(&mut self, number: u32) -> Option<&mut TopicView> {
        let at = self
            .topics
            .binary_search_by_key(&number, |t| t.number)
            .ok()?;
        self.topics.get_mut(at)
    }
}

impl TopicView {
    fn new(number: u32) -> Self {
        Self {
            number,
            epoch: 0,
            last: None,
            id: None,
            received: 0,
        }
    }

    /// The rule for clients, counting instead of resyncing.
    fn note_frame(&mut self, epoch: u64, seq: u64, prev: u64, integrity: &mut Integrity) {
        if let Some(last) = self.last.filter(|_| epoch == self.epoch) {
            if seq <= last {
                integrity.duplicates += 1;
            } else if prev != last {
                integrity.gaps += prev.abs_diff(last);
            }
        }
        (self.epoch, self.last) = (epoch, Some(seq));
    }
}

/// Subscribe requests for all topics, none larger than every server takes.
fn subscribe_requests(topics: &[u32]) -> Vec<String> {
    let mut requests: Vec<String> = Vec::new();
    let mut open = String::new();
    for (index, &topic) in topics.iter().enumerate() {
        let separator = if open.is_empty() {
            open = format!(
                "{{\"op\":\"subscribe\",\"id\":{},\"topics\":[",
                requests.len() + 1
            );
            ""
        } else {
            ","
        };
        open.push_str(separator);
        open.push_str(&format!("\"{}\"", topic_name(topic)));
        if open.len() > REQUEST_BYTES || index + 1 == topics.len() {
            open.push_str("]}");
            requests.push(std::mem::take(&mut open));
        }
    }
    requests
}

#[cfg(test)]
#[path = "subscriber/tests.rs"]
mod tests;
