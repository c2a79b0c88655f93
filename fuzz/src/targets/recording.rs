//! Files that should be recordings.
//!
//! # Rules
//! * Numbers of lines rise.
//! * However much is read at a time, the same is read.
//! * A message that is written as a recording's line comes back as it was.

use super::{Broken, Depth, Target};
use std::io::Cursor;
use std::path::Path;
use tapecast_ingest::capture::Capture;

/// Bytes read at a time: few, so that lines are in pieces.
const READ_BYTES: [usize; 2] = [512, 5];

pub(super) struct Recording {
    seeds: Vec<Vec<u8>>,
    planted: bool,
}

impl Recording {
    pub(super) fn new(seeds: Vec<Vec<u8>>) -> Self {
        Self {
            seeds,
            planted: false,
        }
    }
}

impl Target for Recording {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }

    fn plant(&mut self) {
        self.planted = true;
    }

    fn run(&mut self, input: &[u8]) -> Result<Depth, Broken> {
        let [Some(lines), Some(same)] = READ_BYTES.map(|bytes| read(input, bytes)) else {
            return Ok(Depth::Head);
        };
        if lines != same {
            return Err(Broken(format!(
                "in other pieces it is something else: {lines:?}, {same:?}"
            )));
        }
        if !lines.is_sorted_by(|one, two| one.number < two.number) {
            return Err(Broken(format!("numbers do not rise: {lines:?}")));
        }
        let messages = || lines.iter().filter_map(|line| line.text.as_deref());
        let written: String = messages()
            .map(|text| format!("{{\"ts\":1,\"raw\":{}}}\n", serde_json::Value::from(text)))
            .collect();
        let back = read(written.as_bytes(), READ_BYTES[0]).unwrap_or_default();
        if !back
            .iter()
            .filter_map(|line| line.text.as_deref())
            .eq(messages())
        {
            return Err(Broken(format!("{written} came back as {back:?}")));
        }
        if self.planted && lines.iter().any(|line| line.is_answer) {
            return Err(Broken("planted: an answer over HTTP".to_owned()));
        }
        Ok(if messages().next().is_some() {
            Depth::Body
        } else {
            Depth::Head
        })
    }
}

/// A line as it was read.
#[derive(Debug, Eq, PartialEq)]
struct Read {
    number: u64,
    /// Its message; none if it is broken.
    text: Option<String>,
    /// Of a message that was fetched, with a receive time.
    is_answer: bool,
}

/// All lines, if it is a recording.
fn read(input: &[u8], read_bytes: usize) -> Option<Vec<Read>> {
    let source = Cursor::new(input.to_vec());
    let mut capture = Capture::read(source, Path::new("fuzz"), read_bytes).ok()?;
    let mut lines = Vec::new();
    while let Some(line) = capture.next_row() {
        let (text, is_answer) = match line.message {
            Ok(message) => (
                String::from_utf8(message.raw.to_vec()).ok(),
                message.http.is_some() && line.ts.is_some(),
            ),
            Err(_) => (None, false),
        };
        lines.push(Read {
            number: line.number,
            text,
            is_answer,
        });
    }
    Some(lines)
}
