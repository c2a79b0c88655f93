//! What a server sends, as our client crate reads it: text messages, and binary records.
//!
//! # Rules
//! * A text that is read keeps its text as it came.
//! * A binary message ends: it gives at most as many records as it has room for.

use super::{Broken, Depth, Target};
use bytes::Bytes;
use std::collections::VecDeque;
use tapecast_client::{BinaryReader, Message, MessageError, MessageKind};

/// The shortest record, in bytes: its header.
const RECORD_BYTES_MIN: usize = 32;

pub(super) struct Text {
    seeds: Vec<Vec<u8>>,
    planted: bool,
}

pub(super) struct Binary {
    seeds: Vec<Vec<u8>>,
    planted: bool,
}

impl Text {
    pub(super) fn new(seeds: Vec<Vec<u8>>) -> Self {
        Self {
            seeds,
            planted: false,
        }
    }
}

impl Target for Text {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }

    fn plant(&mut self) {
        self.planted = true;
    }

    fn run(&mut self, input: &[u8]) -> Result<Depth, Broken> {
        let Ok(text) = std::str::from_utf8(input) else {
            return Ok(Depth::Head);
        };
        match Message::parse(text) {
            Err(MessageError::Shapeless) => Ok(Depth::Head),
            // Serde says no more than that; a text that is an object has a head.
            Err(_) if !text.contains("\"op\"") && !text.contains("\"topic\"") => Ok(Depth::Head),
            Err(_) => Ok(Depth::Body),
            Ok(message) if message.text() != text => {
                Err(Broken(format!("{text} became {}", message.text())))
            }
            Ok(message) => match message.kind() {
                MessageKind::Subscribed(subscribed)
                    if self.planted && subscribed.topics.len() > 1 =>
                {
                    Err(Broken("planted: two topics".to_owned()))
                }
                _ => Ok(Depth::Body),
            },
        }
    }
}

impl Binary {
    pub(super) fn new(seeds: Vec<Vec<u8>>) -> Self {
        Self {
            seeds,
            planted: false,
        }
    }
}

/// Names the topics 0 to 5, one of each channel.
const ACKNOWLEDGED: &str = r#"{"op":"subscribed","id":1,"topics":[
{"topic":"trade:x:A-B","tid":0,"epoch":1,"seq":0,"start":"none","price_scale":2,"qty_scale":3},
{"topic":"quote:x:A-B","tid":1,"epoch":1,"seq":0,"start":"none","price_scale":2,"qty_scale":3},
{"topic":"book.10:x:A-B","tid":2,"epoch":1,"seq":0,"start":"none","price_scale":2,"qty_scale":3},
{"topic":"ticker:x:A-B","tid":3,"epoch":1,"seq":0,"start":"none","price_scale":2,"qty_scale":3},
{"topic":"status:x:A-B","tid":4,"epoch":1,"seq":0,"start":"none","price_scale":2,"qty_scale":3}],"rejected":[]}"#;

impl Target for Binary {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }

    fn plant(&mut self) {
        self.planted = true;
    }

    fn run(&mut self, input: &[u8]) -> Result<Depth, Broken> {
        let mut reader = BinaryReader::new();
        if let Ok(acknowledged) = Message::parse(ACKNOWLEDGED) {
            reader.learn(&acknowledged);
        }
        let mut out = VecDeque::new();
        reader.read(&Bytes::copy_from_slice(input), &mut out);
        if out.len() > input.len() / RECORD_BYTES_MIN + 1 {
            return Err(Broken(format!(
                "{} records in {} bytes",
                out.len(),
                input.len()
            )));
        }
        let read = out.iter().flatten().count();
        if self.planted && read > 1 {
            return Err(Broken("planted: two records".to_owned()));
        }
        // Whatever it was, it can be said as text.
        for message in out.iter().flatten() {
            if message.text().is_empty() {
                return Err(Broken("a record without a text".to_owned()));
            }
        }
        Ok(if read > 0 { Depth::Body } else { Depth::Head })
    }
}
