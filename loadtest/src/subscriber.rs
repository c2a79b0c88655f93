//! One WebSocket client: from the connection through its acknowledgement to reading.
//!
//! Until it is subscribed every client reads. Then a *parsed* one reads every event and measures its
//! latency, a *checked* one verifies the chain of every frame by its beginning, and a *counted* one only
//! has the kernel count its bytes. A *stalled* one stops reading for a while, a *slow* one reads on a
//! ration; both are parsed, and what they lose is counted apart. Owns its socket and whatever part of a
//! frame has come; the buffer it reads into is the loop's. Nothing is allocated per frame.

use crate::frame::FrameScanner;
use crate::publisher::StampClock;
use crate::scenario::MessageKind;
use crate::socket::{self, Received};
use crate::tally::Tally;
use crate::topics::TopicNames;
use crate::view::{Ending, TopicView};
use crate::ws::{self, Frame, Opcode, WsError};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use tapecast_model::{Mono, clock};

mod frames;
mod talk;

/// The subprotocol of a gateway.
pub const SUBPROTOCOL: &str = "tapecast.v1.json";
/// Room for one read.
const READ_BYTES: usize = 1 << 20;

/// What is spoken on the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Speech {
    /// `tapecast.v1`: welcome, subscribe, data.
    Tapecast,
    /// Frames of the ceiling, from the start.
    Ceiling,
}

/// What a client does once it is subscribed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Reads every event.
    Parsed,
    /// Verifies the chain of every frame.
    Checked,
    /// Counts bytes.
    Counted,
    /// Reads every event, except in the window of stalls.
    Stalled,
    /// Reads every event, a little at a time.
    Slow,
}

/// How far a client is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// The connection is not there yet.
    Connecting,
    /// The handshake is under way, or the welcome missing.
    Upgrading,
    /// It is welcomed and waits to be told to subscribe.
    Welcomed,
    /// Acknowledgements are missing.
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
    #[error("the server sent {0:?} instead of {1}")]
    Unexpected(String, &'static str),
}

/// What all clients of a loop share.
#[derive(Debug)]
pub struct Desk {
    /// What is spoken.
    pub speech: Speech,
    /// The request that asks for a WebSocket.
    pub handshake: Vec<u8>,
    /// The clock of the stamps in events.
    pub clock: StampClock,
    /// Finds what matters in frames.
    pub scanner: FrameScanner,
    /// The names of topics.
    pub names: TopicNames,
    /// What is published.
    pub kind: MessageKind,
    /// Events are somebody else's: their numbers mean nothing.
    pub foreign: bool,
    /// A client that is welcomed waits to be told to subscribe.
    pub hold: bool,
    /// When everybody was told to subscribe.
    pub storm: Option<Mono>,
    /// Where everything is counted.
    pub tally: Tally,
    /// Latencies count.
    pub measuring: bool,
    /// What is read into.
    scratch: Vec<u8>,
    /// What is thrown away into.
    pit: Vec<u8>,
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
    /// When its connection was begun, or was due.
    begun: Mono,
    /// When it asked for its topics.
    asked: Mono,
    reading: Option<Box<Reading>>,
}

#[derive(Debug)]
struct Reading {
    left: Vec<u8>,
    topics: Vec<TopicView>,
    upgraded: bool,
    welcomed: bool,
    unanswered: usize,
}

// === impl Role ===

impl Role {
    /// Whether what it loses is counted apart.
    pub fn is_slow(self) -> bool {
        matches!(self, Self::Stalled | Self::Slow)
    }

    /// Whether every event is read.
    fn is_parsed(self) -> bool {
        !matches!(self, Self::Checked | Self::Counted)
    }
}

// === impl Desk ===

impl Desk {
    /// The desk of one loop. Trades of the harness's own; nobody waits.
    pub fn new(speech: Speech, host: &str, path: &str, clock: StampClock) -> Self {
        let subprotocol = (speech == Speech::Tapecast).then_some(SUBPROTOCOL);
        Self {
            speech,
            handshake: ws::handshake(host, path, subprotocol),
            clock,
            scanner: FrameScanner::new(),
            names: TopicNames::new(MessageKind::Trade.topic_pattern()),
            kind: MessageKind::Trade,
            foreign: false,
            hold: false,
            storm: None,
            tally: Tally::new(),
            measuring: false,
            scratch: vec![0; READ_BYTES],
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
    /// A client whose connection was begun, or was due, at a moment.
    pub fn new(socket: OwnedFd, role: Role, topics: &[u32], begun: Mono) -> Self {
        let mut topics: Vec<TopicView> = topics.iter().map(|&n| TopicView::new(n)).collect();
        topics.sort_unstable_by_key(|t| t.number);
        let reading = Reading {
            left: Vec::new(),
            topics,
            upgraded: false,
            welcomed: false,
            unanswered: 0,
        };
        Self {
            socket,
            stage: Stage::Connecting,
            role,
            bytes: 0,
            seen: 0,
            begun,
            asked: begun,
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

    /// The position in each topic that it verifies.
    pub fn positions(&self) -> impl Iterator<Item = (usize, Option<u64>)> {
        let views = self.reading.iter().flat_map(|r| &r.topics);
        views.map(|view| (view.number as usize, view.last))
    }

    /// It came, or subscribed, when events had been published: what is owed to it is not known.
    pub fn joins_late(&mut self) {
        for view in self.reading.iter_mut().flat_map(|r| &mut r.topics) {
            view.whole = false;
        }
    }

    /// Adds what a client that was there to the end had of each topic.
    pub fn settle(&mut self, tally: &mut Tally) {
        tally.bytes_by_client.push(self.bytes);
        let (slow, parsed) = (self.role.is_slow(), self.role.is_parsed());
        let views = self.reading.take().into_iter().flat_map(|r| r.topics);
        tally
            .endings
            .extend(
                views
                    .filter(|v| v.subscribed)
                    .map(|view| Ending { view, slow, parsed }),
            );
    }

    /// The connection stands or has failed: asks for a WebSocket.
    ///
    /// # Errors
    /// If the connection failed.
    pub fn handle_writable(&mut self, desk: &Desk) -> Result<(), SubscriberError> {
        if self.stage == Stage::Connecting {
            socket::connected(&self.socket)?;
            self.write(&desk.handshake)?;
            self.stage = Stage::Upgrading;
        }
        Ok(())
    }

    /// There is something to read; how much was read.
    ///
    /// # Errors
    /// If this client cannot take part, or the server breaks the WebSocket protocol.
    pub fn handle_readable(&mut self, desk: &mut Desk) -> Result<usize, SubscriberError> {
        self.read_at_most(READ_BYTES, desk)
    }

    /// Reads so many bytes at most; how many it were.
    ///
    /// # Errors
    /// As [`Subscriber::handle_readable`].
    pub fn read_at_most(
        &mut self,
        limit: usize,
        desk: &mut Desk,
    ) -> Result<usize, SubscriberError> {
        desk.tally.total.receives += 1;
        let Some(mut reading) = self.reading.take() else {
            return match socket::discard(&self.socket, &mut desk.pit)? {
                Received::Bytes(length) => {
                    self.bytes += length as u64;
                    desk.tally.total.bytes += length as u64;
                    Ok(length)
                }
                Received::Nothing => Ok(0),
                Received::End => self.end(1006).map(|()| 0),
            };
        };
        let outcome = self.read(limit, &mut reading, desk);
        if self.stage != Stage::Live || self.role != Role::Counted {
            self.reading = Some(reading);
        }
        outcome
    }

    fn read(
        &mut self,
        limit: usize,
        reading: &mut Reading,
        desk: &mut Desk,
    ) -> Result<usize, SubscriberError> {
        let mut scratch = std::mem::take(&mut desk.scratch);
        let kept = reading.left.len();
        if scratch.len() < kept + (64 << 10) {
            scratch.resize(kept + READ_BYTES, 0);
        }
        scratch[..kept].copy_from_slice(&reading.left);
        let end = scratch.len().min(kept + limit);
        let outcome = match socket::receive(&self.socket, &mut scratch[kept..end]) {
            Ok(Received::Bytes(length)) => {
                self.note_bytes(length as u64, desk);
                let whole = &scratch[..kept + length];
                self.take_frames(whole, reading, desk).map(|taken| {
                    reading.left.clear();
                    reading.left.extend_from_slice(&whole[taken..]);
                    length
                })
            }
            Ok(Received::Nothing) => Ok(0),
            Ok(Received::End) => self.end(1006).map(|()| 0),
            Err(error) => Err(error.into()),
        };
        desk.scratch = scratch;
        outcome
    }

    fn note_bytes(&mut self, length: u64, desk: &mut Desk) {
        self.bytes += length;
        let total = &mut desk.tally.total;
        total.bytes += length;
        match self.role {
            Role::Parsed | Role::Checked => total.verified_bytes += length,
            Role::Stalled | Role::Slow => total.slow_bytes += length,
            Role::Counted => {}
        }
    }

    /// Takes whole frames from the front of `bytes`; how much was taken.
    fn take_frames(
        &mut self,
        bytes: &[u8],
        reading: &mut Reading,
        desk: &mut Desk,
    ) -> Result<usize, SubscriberError> {
        let mut taken = 0;
        // One reading of the clock for everything that came together.
        let now = clock::mono_now();
        if self.stage == Stage::Upgrading && !reading.welcomed {
            if let Some(end) = self.take_upgrade(bytes, reading, desk)? {
                taken = end;
            } else {
                return Ok(0);
            }
        }
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
        now: Mono,
        reading: &mut Reading,
        desk: &mut Desk,
    ) -> Result<(), SubscriberError> {
        match (frame.opcode, desk.speech) {
            (Opcode::Text, Speech::Tapecast) if frame.payload.starts_with(b"{\"topic\"") => {
                self.handle_data(frame.payload, now, reading, desk);
                Ok(())
            }
            (Opcode::Text, Speech::Tapecast) => {
                self.handle_control(frame.payload, now, reading, desk)
            }
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
}

impl AsFd for Subscriber {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

// === impl Reading ===

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

#[cfg(test)]
#[path = "subscriber/tests.rs"]
mod tests;
