//! A simulated socket, and a client behind it that does nothing but follow the protocol's rule.

use super::super::socket::Socket;
use bytes::Bytes;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::rc::Rc;
use tapecast_client::{BinaryReader, Message};

/// What the two ends of a simulated socket share.
#[derive(Default)]
pub(super) struct Wire {
    /// Bytes on their way to the client.
    pub(super) out: VecDeque<u8>,
    /// How many more bytes the socket takes.
    pub(super) room: usize,
    /// Bytes on their way to the server.
    pub(super) inward: VecDeque<u8>,
    pub(super) shut: bool,
    /// The socket encrypts: it takes a record whole, and sends it as there is room.
    pub(super) seals: bool,
    /// What it took and has not sent.
    pub(super) sealed: VecDeque<u8>,
    /// The client has said that nothing more will come.
    pub(super) fin: bool,
    /// Where slices that were written stood.
    pub(super) addresses: Vec<usize>,
}

#[derive(Clone, Default)]
pub(super) struct FakeSocket(pub(super) Rc<RefCell<Wire>>);

impl Socket for FakeSocket {
    fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        assert!(
            wire.sealed.is_empty(),
            "nothing new while something is pending"
        );
        assert!(!wire.shut, "nothing after the end");
        if wire.seals {
            for slice in slices {
                let room = RECORD_BYTES.saturating_sub(wire.sealed.len());
                wire.sealed.extend(&slice[..slice.len().min(room)]);
            }
            let taken = wire.sealed.len();
            wire.send_sealed();
            return Ok(taken);
        }
        if wire.room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut taken = 0;
        for slice in slices {
            wire.addresses.push(slice.as_ptr() as usize);
            let take = slice.len().min(wire.room);
            wire.out.extend(&slice[..take]);
            wire.room -= take;
            taken += take;
        }
        Ok(taken)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write_vectored(&[IoSlice::new(bytes)])
    }

    fn try_read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        if wire.inward.is_empty() && wire.fin {
            return Ok(0);
        }
        if wire.inward.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut read = 0;
        while read < bytes.len()
            && let Some(byte) = wire.inward.pop_front()
        {
            bytes[read] = byte;
            read += 1;
        }
        Ok(read)
    }

    fn pending(&self) -> usize {
        self.0.borrow().sealed.len()
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut wire = self.0.borrow_mut();
        wire.send_sealed();
        if wire.sealed.is_empty() {
            Ok(())
        } else {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    fn shutdown_write(&mut self) {
        self.0.borrow_mut().shut = true;
    }
}

impl Wire {
    fn send_sealed(&mut self) {
        let sent = self.sealed.len().min(self.room);
        self.out.extend(self.sealed.drain(..sent));
        self.room -= sent;
    }
}

/// What an encrypting socket takes at once.
const RECORD_BYTES: usize = 1_000;

/// A client that follows the rule.
#[derive(Default)]
pub(super) struct Client {
    pub(super) socket: FakeSocket,
    pub(super) id: u32,
    pub(super) buffer: Vec<u8>,
    pub(super) said: Vec<Value>,
    pub(super) last: HashMap<String, u64>,
    pub(super) acknowledged: Vec<String>,
    /// The lives of topics, as acknowledgements tell them.
    pub(super) epochs: HashMap<String, u64>,
    pub(super) levels: BTreeMap<(bool, i64), i64>,
    pub(super) bid: Option<String>,
    pub(super) trades: u64,
    /// How often it was told that a topic begins anew.
    pub(super) renewed: usize,
    /// Of trades that will not come: the last it had, the last of them, why, and whether it was said
    /// that some never came.
    pub(super) gaps: Vec<(u64, u64, String, bool)>,
    /// Where each of them began: the life and the first number that the notice names.
    pub(super) gap_starts: Vec<(u64, u64)>,
    /// Topics whose state was said to be lost, and is not known again.
    pub(super) unknown: Vec<String>,
    pub(super) closed: Option<u16>,
    pub(super) pongs: Vec<Vec<u8>>,
    /// Binary frames are heard as the JSON that they stand for.
    pub(super) reader: BinaryReader,
    pub(super) records: u64,
}

impl Client {
    pub(super) fn ask(&self, text: &str) {
        let mut wire = self.socket.0.borrow_mut();
        wire.inward.push_back(0x81);
        if text.len() < 126 {
            wire.inward.push_back(0x80 | text.len() as u8);
        } else {
            wire.inward.push_back(0x80 | 126);
            wire.inward.extend((text.len() as u16).to_be_bytes());
        }
        wire.inward.extend([0; 4]);
        wire.inward.extend(text.as_bytes());
    }

    /// Sends one frame, masked with zeros.
    pub(super) fn frame(&self, first: u8, payload: &[u8]) {
        let mut wire = self.socket.0.borrow_mut();
        wire.inward
            .extend([first, 0x80 | payload.len() as u8, 0, 0, 0, 0]);
        wire.inward.extend(payload);
    }

    /// Reads everything that has come.
    pub(super) fn read(&mut self) {
        self.buffer.extend(self.socket.0.borrow_mut().out.drain(..));
        while self.buffer.len() >= 2 {
            let (header, length) = match self.buffer[1] {
                126 if self.buffer.len() >= 4 => (
                    4,
                    usize::from(u16::from_be_bytes([self.buffer[2], self.buffer[3]])),
                ),
                126 => return,
                n => (2, usize::from(n)),
            };
            if self.buffer.len() < header + length {
                return;
            }
            let opcode = self.buffer[0] & 15;
            let payload: Vec<u8> = self.buffer.drain(..header + length).skip(header).collect();
            match opcode {
                1 => {
                    let text = String::from_utf8(payload).unwrap();
                    self.reader.learn(&Message::parse(&text).unwrap());
                    self.hear(serde_json::from_str(&text).unwrap());
                }
                2 => {
                    let mut messages = VecDeque::new();
                    self.reader.read(&Bytes::from(payload), &mut messages);
                    for message in messages {
                        self.records += 1;
                        let message = message.unwrap();
                        self.hear(serde_json::from_str(message.text()).unwrap());
                    }
                }
                8 => self.closed = Some(u16::from_be_bytes([payload[0], payload[1]])),
                9 => {}
                10 => self.pongs.push(payload),
                other => panic!("opcode {other}"),
            }
        }
    }

    /// What it holds of a topic is right no more.
    fn forget(&mut self, topic: &str) {
        if topic.starts_with("book") {
            self.levels.clear();
        } else if topic.starts_with("quote") {
            self.bid = None;
        }
    }

    fn hear_gap(&mut self, topic: String, message: &Value) {
        let number = |key: &str| message[key].as_u64();
        // Who joined while the gap was open may hear of more than he lost, never of less.
        let (last, to) = (self.last[&topic], number("to").unwrap());
        let reason = message["reason"].as_str().unwrap().to_owned();
        if topic.starts_with("trade") {
            assert!(number("from").unwrap() <= last + 1, "{message}");
            self.trades += to.saturating_sub(last);
            let upstream = reason == "upstream" || message["upstream"] == true;
            self.gaps.push((last, to, reason, upstream));
            self.gap_starts
                .push((number("epoch").unwrap(), number("from").unwrap()));
        } else {
            assert_eq!(reason, "upstream", "{message}");
            self.forget(&topic);
            self.unknown.push(topic.clone());
        }
        self.last.insert(topic, to.max(last));
    }

    pub(super) fn hear(&mut self, message: Value) {
        assert_eq!(self.closed, None, "{message} behind the close frame");
        let topic = message["topic"].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| message[key].as_u64();
        if message["op"] == "gap" {
            self.hear_gap(topic, &message);
        } else if message["op"] == "heartbeat" {
            for silent in message["topics"].as_array().unwrap() {
                // Who has less than a heartbeat names has lost something, by the protocol.
                let last = self.last[silent[0].as_str().unwrap()];
                assert!(silent[2].as_u64().unwrap() <= last, "{message} at {last}");
            }
            self.said.push(message);
        } else if message["op"].is_string() {
            for entry in message["topics"].as_array().into_iter().flatten() {
                if let Some(topic) = entry["topic"]
                    .as_str()
                    .filter(|_| message["op"] == "subscribed")
                {
                    self.acknowledged.push(topic.to_owned());
                    let epoch = entry["epoch"].as_u64().unwrap();
                    let before = self.epochs.insert(topic.to_owned(), epoch);
                    assert!(before <= Some(epoch) || epoch == 0, "{message}");
                    if entry["reason"] == "scale" {
                        assert!(message["id"].is_null(), "{message}");
                        assert!(before < Some(epoch), "{message}");
                        self.renewed += 1;
                    }
                    self.unknown.retain(|other| other != topic);
                    if entry["start"] == "none" {
                        self.forget(topic);
                    }
                    if topic.starts_with("trade") {
                        // What was before is history, and counts as had.
                        self.trades = entry["seq"].as_u64().unwrap();
                    }
                    self.last
                        .insert(topic.to_owned(), entry["seq"].as_u64().unwrap());
                }
            }
            self.said.push(message);
        } else {
            assert!(
                self.acknowledged.contains(&topic),
                "{message} before its acknowledgement"
            );
            if let Some(epoch) = number("epoch") {
                let told = self.epochs.insert(topic.clone(), epoch).unwrap();
                // A topic that was acknowledged late did not know its epoch.
                assert!(epoch == told || told == 0, "{message} in {told}");
            }
            let was_unknown = self.unknown.contains(&topic);
            self.unknown.retain(|other| *other != topic);
            if message["type"] == "snapshot" {
                if topic.starts_with("book") {
                    self.levels.clear();
                }
                if topic.starts_with("trade") {
                    self.trades = number("seq").unwrap();
                }
            } else if was_unknown {
                panic!("{message} changes what is not known");
            } else if topic.starts_with("quote") {
                assert!(number("seq").unwrap() > self.last[&topic], "{message}");
            } else {
                assert_eq!(number("prev").unwrap(), self.last[&topic], "{message}");
                self.trades += message["trades"].as_array().map_or(0, Vec::len) as u64;
            }
            self.last.insert(topic, number("seq").unwrap());
            if let Some(bid) = message["bid"].as_str() {
                self.bid = Some(bid.to_owned());
            }
            for (is_bid, side) in [(true, "bids"), (false, "asks")] {
                for level in message[side].as_array().into_iter().flatten() {
                    let at = |i: usize| level[i].as_str().unwrap().parse::<i64>().unwrap();
                    match at(1) {
                        0 => self.levels.remove(&(is_bid, at(0))),
                        qty => self.levels.insert((is_bid, at(0)), qty),
                    };
                }
            }
        }
    }
}
