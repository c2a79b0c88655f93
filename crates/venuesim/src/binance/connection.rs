//! A connection: how it begins, what it may send, how it ends.

use super::control;
use super::messages::Message;
use super::twist::{Twist, Twisted};
use super::{BinanceSpot, Task};
use crate::clock::Unit;
use crate::late::Late;
use crate::target::Target;
use crate::venue::{Output, Refusal};
use std::collections::VecDeque;
use std::time::Duration;

/// A client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// Streams, as subscribed, in order.
    pub(super) streams: Vec<String>,
    /// Whether messages are wrapped with the name of their stream.
    pub(super) combined: bool,
    unit: Unit,
    /// Half open: nothing is sent or read any more.
    pub(super) muted: bool,
    /// Faults of the next messages.
    pub(super) twists: Vec<Twist>,
    /// Messages that come late.
    pub(super) late: Late,
    /// When the client's last messages came, for the limit.
    messages: VecDeque<Duration>,
    /// Pings without an answer, oldest first.
    pings: VecDeque<Vec<u8>>,
}

// === impl Connection ===

impl Connection {
    /// A message as this connection gets it.
    pub(super) fn wrap(&self, stream: &str, message: &Message) -> String {
        let text = message.text(self.unit);
        if self.combined {
            format!(r#"{{"stream":"{stream}","data":{text}}}"#)
        } else {
            text.to_owned()
        }
    }

    /// Applies the first fault that waits for this stream.
    pub(super) fn twist(&mut self, stream: &str, text: String) -> Twisted {
        let place = self.twists.iter().position(|twist| twist.stream == stream);
        let Some(place) = place else {
            return Twisted::unchanged(text);
        };
        let twisted = self.twists[place].apply(text);
        if !twisted.stays {
            self.twists.remove(place);
        }
        twisted
    }
}

// === impl BinanceSpot ===

impl BinanceSpot {
    /// A handshake.
    pub(super) fn open(&mut self, conn: u64, target: &str) -> Result<(), Refusal> {
        self.budget.attempt(self.now)?;
        self.refuse_handshake(conn)?;
        let target = Target::parse(target);
        let (combined, streams) = match target.path.as_str() {
            "/stream" => (true, target.param("streams").unwrap_or_default()),
            "/ws" | "/ws/" => (false, ""),
            path => match path.strip_prefix("/ws/") {
                Some(streams) => (false, streams),
                None => return Err(Refusal::of(404, "")),
            },
        };
        let unit = match target.param("timeUnit") {
            Some("MICROSECOND" | "microsecond") => Unit::Micro,
            _ => Unit::Milli,
        };
        let streams: Vec<String> = streams
            .split('/')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        // What is answered to too many streams in the address is not documented [U].
        if streams.len() > self.config.limits.streams {
            return Err(Refusal::of(400, ""));
        }
        let connection = Connection {
            streams: Vec::new(),
            combined,
            unit,
            muted: false,
            twists: Vec::new(),
            late: Late::default(),
            messages: VecDeque::new(),
            pings: VecDeque::new(),
        };
        self.connections.insert(conn, connection);
        self.subscribe(conn, streams);
        let rates = &self.config.rates;
        self.agenda.note(self.now + rates.ping, Task::Ping(conn));
        self.agenda
            .note(self.now + rates.life, Task::EndOfLife(conn));
        Ok(())
    }

    /// A handshake fails if a fault waits for one.
    fn refuse_handshake(&mut self, conn: u64) -> Result<(), Refusal> {
        let Some(fault) = self.faults.handshakes.pop_front() else {
            return Ok(());
        };
        self.note_applied(fault, None, Some(conn));
        Err(self.budget.refuse_attempt(fault, self.now))
    }

    /// Adds streams to a connection; those that it has stay.
    pub(super) fn subscribe(&mut self, conn: u64, streams: Vec<String>) {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        for stream in streams {
            if connection.streams.contains(&stream) {
                continue;
            }
            let subscribers = self.subscribers.entry(stream.clone()).or_default();
            subscribers.push(conn);
            connection.streams.push(stream);
        }
        let streams = connection.streams.len();
        self.budget.note_streams(streams);
    }

    /// Removes streams of a connection.
    pub(super) fn unsubscribe(&mut self, conn: u64, streams: &[String]) {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        connection
            .streams
            .retain(|stream| !streams.contains(stream));
        connection
            .twists
            .retain(|twist| !streams.contains(&twist.stream));
        for stream in streams {
            self.remove_subscriber(conn, stream);
        }
    }

    /// Counts a message of a client. Whether it may be read: a client that sends too much is closed.
    pub(super) fn count_message(&mut self, conn: u64) -> bool {
        let (now, most) = (self.now, self.config.limits.messages);
        let Some(connection) = self.connections.get_mut(&conn) else {
            return false;
        };
        if connection.muted {
            return false;
        }
        let messages = &mut connection.messages;
        while messages.front().is_some_and(|first| now - *first >= SECOND) {
            messages.pop_front();
        }
        messages.push_back(now);
        let count = messages.len();
        self.budget.note_messages(count);
        if count <= most {
            return true;
        }
        self.budget.closed_for_messages(now);
        // The code was seen on violations [L]; the text is not known.
        self.close(conn, 1008, "Too many requests");
        false
    }

    /// Sends a ping with the time as its content, and expects the answer.
    pub(super) fn ping(&mut self, conn: u64) {
        let payload = self.clock.true_ms(self.now).to_string().into_bytes();
        if self.send_ping(conn, payload) {
            let next = self.now + self.config.rates.ping;
            self.agenda.note(next, Task::Ping(conn));
        }
    }

    /// Sends a ping and expects the answer. Whether the connection can have one.
    pub(super) fn send_ping(&mut self, conn: u64, payload: Vec<u8>) -> bool {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return false;
        };
        if connection.muted {
            return false;
        }
        connection.pings.push_back(payload.clone());
        let due = self.now + self.config.rates.pong;
        let task = Task::PongDue(conn, payload.clone());
        self.agenda.note(due, task);
        self.outputs.push_back(Output::Ping { conn, payload });
        true
    }

    /// A pong. Only the content of a ping that waits answers; one that answers, answers older pings too.
    pub(super) fn take_pong(&mut self, conn: u64, payload: &[u8]) {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        let pings = &mut connection.pings;
        match pings.iter().position(|ping| ping == payload) {
            Some(answered) => drop(pings.drain(..=answered)),
            None => self.budget.note_stray_pong(),
        }
    }

    /// Ends a connection whose client did not answer a ping. How the venue ends it is not documented `[U]`.
    pub(super) fn check_pong(&mut self, conn: u64, payload: &[u8]) {
        let connection = self.connections.get(&conn);
        let waits = connection.is_some_and(|connection| {
            !connection.muted && connection.pings.iter().any(|ping| ping == payload)
        });
        if waits {
            self.budget.note_missed_pong();
            self.cut(conn);
        }
    }

    /// Ends a connection with a close frame.
    pub(super) fn close(&mut self, conn: u64, code: u16, reason: &str) {
        let reason = reason.to_owned();
        if self.forget(conn) {
            self.outputs.push_back(Output::Close { conn, code, reason });
        }
    }

    /// Ends a connection without a close frame.
    pub(super) fn cut(&mut self, conn: u64) {
        if self.forget(conn) {
            self.outputs.push_back(Output::Cut { conn });
        }
    }

    /// Removes a connection. Whether it was there and could be written to.
    pub(super) fn forget(&mut self, conn: u64) -> bool {
        let Some(connection) = self.connections.remove(&conn) else {
            return false;
        };
        for stream in &connection.streams {
            self.remove_subscriber(conn, stream);
        }
        !connection.muted
    }

    /// Too many streams on a connection; what happens then is not documented `[U]`.
    pub(super) fn over_streams(&mut self, conn: u64) {
        self.close(conn, 1008, control::TOO_MANY_STREAMS);
    }

    pub(super) fn remove_subscriber(&mut self, conn: u64, stream: &str) {
        let Some(subscribers) = self.subscribers.get_mut(stream) else {
            return;
        };
        subscribers.retain(|subscriber| *subscriber != conn);
        if subscribers.is_empty() {
            self.subscribers.remove(stream);
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
