//! What a client says, and what is said to it besides data: handshake, welcome, subscriptions, notices.

use super::{Desk, Reading, Speech, Stage, Subscriber, SubscriberError};
use crate::socket;
use crate::tally;
use crate::topics::TopicNames;
use crate::ws::{self, Opcode};
use serde_json::Value;
use std::io;
use tapecast_model::{Mono, clock};

/// Bytes of one request that every server takes.
const REQUEST_BYTES: usize = 12 << 10;

impl Subscriber {
    /// Takes the answer to the handshake, if it is there; where it ends.
    pub(super) fn take_upgrade(
        &mut self,
        bytes: &[u8],
        reading: &mut Reading,
        desk: &Desk,
    ) -> Result<Option<usize>, SubscriberError> {
        if reading.upgraded {
            return Ok(Some(0));
        }
        let Some(end) = ws::handshake_end(bytes, desk.subprotocol())? else {
            return Ok(None);
        };
        reading.upgraded = true;
        if desk.speech == Speech::Ceiling {
            self.stage = Stage::Live;
        }
        Ok(Some(end))
    }

    /// Takes a message that is no data frame.
    pub(super) fn handle_control(
        &mut self,
        payload: &[u8],
        now: Mono,
        reading: &mut Reading,
        desk: &mut Desk,
    ) -> Result<(), SubscriberError> {
        let text = || {
            let text = String::from_utf8_lossy(payload);
            text.chars().take(300).collect::<String>()
        };
        let message = match serde_json::from_slice::<Value>(payload) {
            Ok(message) => message,
            Err(_) if self.stage == Stage::Live => {
                desk.tally.integrity_of(self.role.is_slow()).unreadable += 1;
                return Ok(());
            }
            Err(_) => return Err(SubscriberError::Unexpected(text(), "JSON")),
        };
        match message["op"].as_str().unwrap_or_default() {
            "welcome" if !reading.welcomed => {
                reading.welcomed = true;
                desk.tally.joins.welcomed += 1;
                tally::note(&mut desk.tally.joins.to_welcome, now - self.begun);
                self.stage = Stage::Welcomed;
                if !desk.hold {
                    self.ask(reading, &desk.names)?;
                }
            }
            _ if !reading.welcomed => {
                return Err(SubscriberError::Unexpected(text(), "a welcome"));
            }
            "subscribed" => {
                if let Some(refused) = message["rejected"].as_array().and_then(|r| r.first()) {
                    return Err(SubscriberError::Refused(refused.to_string()));
                }
                for entry in message["topics"].as_array().into_iter().flatten() {
                    let topic = entry["topic"].as_str().unwrap_or_default();
                    let number = desk.names.number(topic.as_bytes());
                    if let Some(view) = number.and_then(|n| reading.topic(n)) {
                        view.subscribed = true;
                    }
                }
                // A topic that begins anew is no answer.
                let is_answer = message["topics"][0]["reason"] != "scale";
                reading.unanswered = reading.unanswered.saturating_sub(usize::from(is_answer));
                if reading.unanswered == 0 && self.stage == Stage::Subscribing {
                    self.stage = Stage::Live;
                }
            }
            "unsubscribed" => self.ask_again(&message, reading, desk)?,
            "error" => return Err(SubscriberError::Refused(text())),
            "gap" => {
                let topic = message["topic"].as_str().unwrap_or_default();
                let number = desk.names.number(topic.as_bytes());
                let (from, to) = (message["from"].as_u64(), message["to"].as_u64());
                let integrity = desk.tally.integrity_of(self.role.is_slow());
                match (number.and_then(|n| reading.topic(n)), from, to) {
                    (Some(view), Some(from), Some(to)) => {
                        view.note_gap(from, to, topic.starts_with("trade"), integrity);
                    }
                    _ => integrity.unreadable += 1,
                }
            }
            // Heartbeats, byes and what a later server may say.
            _ => {}
        }
        Ok(())
    }

    /// Subscribes to what it is there for, when it was told to wait.
    ///
    /// # Errors
    /// If the server does not take the request.
    pub fn subscribe(&mut self, desk: &Desk) -> Result<(), SubscriberError> {
        let Some(mut reading) = self.reading.take() else {
            return Ok(());
        };
        let outcome = self.ask(&mut reading, &desk.names);
        self.reading = Some(reading);
        outcome
    }

    fn ask(&mut self, reading: &mut Reading, names: &TopicNames) -> Result<(), SubscriberError> {
        let numbers: Vec<u32> = reading.topics.iter().map(|t| t.number).collect();
        self.asked = clock::mono_now();
        self.stage = Stage::Subscribing;
        for request in requests("subscribe", &numbers, names) {
            self.write(&request)?;
            reading.unanswered += 1;
        }
        Ok(())
    }

    /// Gives up one of its topics, to subscribe to it again once that is acknowledged. Whether it did: a
    /// client that only counts does not read the acknowledgement.
    ///
    /// # Errors
    /// If the server does not take the request.
    pub fn unsubscribe(&mut self, which: usize, desk: &Desk) -> Result<bool, SubscriberError> {
        let Some(reading) = &self.reading else {
            return Ok(false);
        };
        let Some(view) = reading.topics.get(which).filter(|view| view.subscribed) else {
            return Ok(false);
        };
        for request in requests("unsubscribe", &[view.number], &desk.names) {
            self.write(&request)?;
        }
        Ok(true)
    }

    /// A topic is given up: from now on a frame of it would be one too many. Subscribes to it again.
    fn ask_again(
        &mut self,
        message: &Value,
        reading: &mut Reading,
        desk: &mut Desk,
    ) -> Result<(), SubscriberError> {
        for topic in message["topics"].as_array().into_iter().flatten() {
            let number = desk
                .names
                .number(topic.as_str().unwrap_or_default().as_bytes());
            let Some(view) = number.and_then(|n| reading.topic(n)) else {
                continue;
            };
            view.forget();
            for request in requests("subscribe", &[view.number], &desk.names) {
                self.write(&request)?;
            }
            desk.tally.joins.resubscribes += 1;
        }
        Ok(())
    }

    /// Tells the server that this client is alive, which it could not know of one that only counts.
    pub fn keep_alive(&self) {
        let mut pong = Vec::with_capacity(8);
        ws::write_masked(&mut pong, Opcode::Pong, b"");
        // A socket that is full or gone is found out by reading.
        let _ = socket::send(&self.socket, &pong);
    }

    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), SubscriberError> {
        let sent = socket::send(&self.socket, bytes)?;
        if sent == bytes.len() {
            return Ok(());
        }
        // What a client sends fits into any socket whose peer reads at all.
        let full = "the server does not read requests";
        Err(io::Error::new(io::ErrorKind::WouldBlock, full).into())
    }
}

/// Requests for all topics as frames, none larger than every server takes.
pub(super) fn requests(op: &str, topics: &[u32], names: &TopicNames) -> Vec<Vec<u8>> {
    let mut requests: Vec<Vec<u8>> = Vec::new();
    let mut open = String::new();
    for (index, &topic) in topics.iter().enumerate() {
        let separator = if open.is_empty() {
            let id = requests.len() + 1;
            open = format!("{{\"op\":\"{op}\",\"id\":{id},\"topics\":[");
            ""
        } else {
            ","
        };
        open.push_str(separator);
        open.push_str(&format!("\"{}\"", names.name(topic)));
        if open.len() > REQUEST_BYTES || index + 1 == topics.len() {
            open.push_str("]}");
            let mut frame = Vec::with_capacity(open.len() + 16);
            ws::write_masked(&mut frame, Opcode::Text, open.as_bytes());
            requests.push(frame);
            open.clear();
        }
    }
    requests
}
