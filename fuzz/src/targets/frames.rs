//! WebSocket frames of clients, as shards read them.
//!
//! # Rules
//! * However the bytes are cut, the same is said, and the same violation ends it. Each input is read
//!   whole, byte by byte, and in pieces of other sizes.
//! * Whoever stops listening has heard the beginning of it, and no more.
//! * What is heard is allowed: texts are UTF-8 and within the limit, pings are short, close codes are for
//!   the wire.
//! * What is held for messages that are cut off has a bound; between two messages nothing is held.

use super::{Broken, Depth, Target};
use crate::mutate::{self, frames};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tapecast_edge::shard::reader::{Incoming, Reader, Violation};

/// The longest message, in bytes: short, so that inputs reach it.
const MESSAGE_BYTES_MAX: usize = 300;
/// The longest header of a frame, in bytes.
const HEADER_BYTES_MAX: usize = 14;
/// What may be held for one connection: a message and a frame, each in a vector that has grown by doubling,
/// and what they are held in.
const HELD_BYTES_MAX: usize = 2 * (2 * MESSAGE_BYTES_MAX + HEADER_BYTES_MAX) + 64;

pub(super) struct Frames {
    seeds: Vec<Vec<u8>>,
    planted: bool,
}

/// What a client said.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Said {
    Text(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

/// What was heard of some bytes.
#[derive(Debug, Eq, PartialEq)]
struct Heard {
    said: Vec<Said>,
    end: Result<(), Violation>,
    idle: bool,
}

impl Frames {
    pub(super) fn new(seeds: Vec<Vec<u8>>) -> Self {
        Self {
            seeds,
            planted: false,
        }
    }
}

impl Target for Frames {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }

    fn input(&self, seeds: &[Vec<u8>], random: &mut SmallRng) -> Vec<u8> {
        frames::input(seeds, random)
    }

    fn plant(&mut self) {
        self.planted = true;
    }

    fn run(&mut self, input: &[u8]) -> Result<Depth, Broken> {
        let mut random = SmallRng::seed_from_u64(mutate::hash(input));
        let (whole, _) = hear([input], usize::MAX)?;
        let (mut bytes, frames) = hear(input.chunks(1), usize::MAX)?;
        if self.planted {
            forget_long_ping(&mut bytes.said);
        }
        let (pieces, _) = hear(cut(input, &mut random), usize::MAX)?;
        for other in [&bytes, &pieces] {
            if *other != whole {
                return Err(Broken(format!(
                    "cut in another way it says something else: {whole:?}, {other:?}"
                )));
            }
        }
        let some = random.random_range(0..=whole.said.len());
        let (stopped, _) = hear(cut(input, &mut random), some)?;
        if some > 0 && stopped.said[..] != whole.said[..some] {
            return Err(Broken(format!(
                "stopped after {some}: {whole:?}, {stopped:?}"
            )));
        }
        Ok(if frames > 0 { Depth::Body } else { Depth::Head })
    }
}

/// The planted fault: behind something else, a ping of over a hundred bytes is forgotten.
fn forget_long_ping(said: &mut Vec<Said>) {
    let long = |said: &Said| matches!(said, Said::Ping(bytes) if bytes.len() > 100);
    if let Some(at) = said.iter().skip(1).position(long) {
        said.remove(at + 1);
    }
}

/// Reads pieces until `most` things are said; and how many frames were read before the piece that ended it.
fn hear<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    most: usize,
) -> Result<(Heard, u32), Broken> {
    let (mut reader, mut frames) = (Reader::default(), 0);
    let mut heard = Heard {
        said: Vec::new(),
        end: Ok(()),
        idle: true,
    };
    for piece in pieces {
        let mut scratch = piece.to_vec();
        let fed = reader.feed(&mut scratch, MESSAGE_BYTES_MAX, |incoming| {
            heard.said.push(Said::from(incoming));
            heard.said.len() < most
        });
        let held = reader.held_bytes();
        if held > HELD_BYTES_MAX {
            return Err(Broken(format!("{held} bytes are held")));
        }
        match fed {
            Ok(fed) => frames += fed,
            Err(violation) => {
                heard.end = Err(violation);
                break;
            }
        }
        if heard.said.len() >= most {
            break;
        }
    }
    if let Some(said) = heard.said.iter().find(|said| !said.is_allowed()) {
        return Err(Broken(format!("heard what is not allowed: {said:?}")));
    }
    // What is held behind a violation is of no meaning: the connection ends.
    heard.idle = heard.end.is_err() || reader.held_bytes() == 0;
    Ok((heard, frames))
}

/// Cuts bytes into pieces of a few sizes, empty ones among them.
fn cut<'a>(mut rest: &'a [u8], random: &mut SmallRng) -> Vec<&'a [u8]> {
    let most = [3, 8, 40, 200][random.random_range(0..4)];
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(random.random_range(0..=most).min(rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    pieces
}

impl Said {
    fn is_allowed(&self) -> bool {
        match self {
            Self::Text(text) => {
                text.len() <= MESSAGE_BYTES_MAX && std::str::from_utf8(text).is_ok()
            }
            Self::Ping(bytes) => bytes.len() <= 125,
            Self::Pong | Self::Close(None) => true,
            Self::Close(Some(code)) => {
                matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
            }
        }
    }
}

impl From<Incoming<'_>> for Said {
    fn from(incoming: Incoming<'_>) -> Self {
        match incoming {
            Incoming::Text(text) => Self::Text(text.to_vec()),
            Incoming::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Incoming::Pong => Self::Pong,
            Incoming::Close(code) => Self::Close(code),
        }
    }
}
