//! New streams of WebSocket frames: what is changed is a frame's part, and the rest is written to fit, so
//! that what follows is still read as frames.

use super::{change_bytes, change_tokens};
use rand::Rng as _;
use rand::rngs::SmallRng;

/// A frame of a client, unmasked.
#[derive(Clone, Debug)]
struct Frame {
    /// The end, reserved bits and opcode.
    first: u8,
    mask: Option<[u8; 4]>,
    payload: Vec<u8>,
    /// The length that is said, if it is another one.
    claimed: Option<u64>,
    /// Bytes that spell the length, if they are not as few as possible.
    spelled: Option<usize>,
}

const CHANGES_MAX: u32 = 5;
/// Frames of an input; no more are added.
const FRAMES_MAX: usize = 40;
/// Lengths around what headers and limits turn at.
const LENGTHS: [usize; 14] = [
    0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 299, 300, 301, 65_536,
];
const OPCODES: [u8; 8] = [0, 0, 1, 1, 2, 8, 9, 10];
const CODES: [u16; 12] = [
    0, 999, 1000, 1001, 1004, 1005, 1006, 1007, 1015, 3000, 4999, 5000,
];

/// Makes a stream from seeds: one of them, changed one to five times.
pub fn input(seeds: &[Vec<u8>], random: &mut SmallRng) -> Vec<u8> {
    let seed = |random: &mut SmallRng| split(&seeds[random.random_range(0..seeds.len())]);
    let (mut frames, tail) = seed(random);
    for _ in 0..random.random_range(1..=CHANGES_MAX) {
        if frames.len() < FRAMES_MAX && random.random_range(0..12) == 0 {
            frames.extend(seed(random).0);
        }
        change(&mut frames, seeds, random);
    }
    let mut bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
    bytes.extend(tail);
    if random.random_range(0..6) == 0 {
        change_bytes(&mut bytes, seeds, random);
    }
    bytes
}

fn change(frames: &mut Vec<Frame>, seeds: &[Vec<u8>], random: &mut SmallRng) {
    let at = random.random_range(0..=frames.len());
    let room = frames.len() < FRAMES_MAX;
    if at == frames.len() {
        if room {
            frames.push(control(random));
        }
        return;
    }
    match random.random_range(0..16) {
        0..=2 => change_tokens(&mut frames[at].payload, random),
        3 => change_bytes(&mut frames[at].payload, seeds, random),
        4..=5 if room => fragment(frames, at, random),
        6..=7 if room => frames.insert(at, control(random)),
        8 if room => frames.insert(at, frames[at].clone()),
        9 => drop(frames.remove(at)),
        10 => {
            let other = random.random_range(0..frames.len());
            frames.swap(at, other);
        }
        11 => {
            frames[at].mask = Some(if random.random() {
                [0; 4]
            } else {
                random.random()
            })
        }
        12 => {
            let length = LENGTHS[random.random_range(0..LENGTHS.len())];
            frames[at].payload.resize(length, b'x');
        }
        13 => frames[at].first = random.random_range(0..2) << 7 | opcode(random),
        14 => frames[at].close_with(random),
        _ => frames[at].spoil(random),
    }
}

/// Cuts a message into two fragments, at times with a control frame between them.
fn fragment(frames: &mut Vec<Frame>, at: usize, random: &mut SmallRng) {
    let frame = &mut frames[at];
    let half = random.random_range(0..=frame.payload.len());
    let rest = Frame {
        first: frame.first & 0x80,
        payload: frame.payload.split_off(half),
        ..frame.clone()
    };
    frame.first &= 0x7f;
    frames.insert(at + 1, rest);
    if random.random() {
        frames.insert(at + 1, control(random));
    }
}

fn control(random: &mut SmallRng) -> Frame {
    let length = LENGTHS[random.random_range(0..5)];
    Frame {
        first: 0x80 | [9, 9, 10][random.random_range(0..3)],
        mask: Some(random.random()),
        payload: vec![b'p'; length],
        claimed: None,
        spelled: None,
    }
}

fn opcode(random: &mut SmallRng) -> u8 {
    OPCODES[random.random_range(0..OPCODES.len())]
}

impl Frame {
    /// Makes it a close frame with a code and a reason.
    fn close_with(&mut self, random: &mut SmallRng) {
        self.first = 0x88;
        let code = CODES[random.random_range(0..CODES.len())];
        self.payload.truncate(8);
        self.payload.splice(0..0, code.to_be_bytes());
    }

    /// Breaks a rule of headers.
    fn spoil(&mut self, random: &mut SmallRng) {
        match random.random_range(0..5) {
            0 => self.first ^= 1 << random.random_range(0..8),
            1 => self.mask = None,
            2 => self.claimed = Some(random.random::<u64>() >> random.random_range(0..64)),
            3 => self.spelled = Some([2, 8][random.random_range(0..2)]),
            _ => self.first = random.random(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let length = self.claimed.unwrap_or(self.payload.len() as u64);
        let fewest = match length {
            0..126 => 0,
            126..65_536 => 2,
            _ => 8,
        };
        let masked = u8::from(self.mask.is_some()) << 7;
        let (short, spelled) = match self.spelled.unwrap_or(0).max(fewest) {
            0 => (length as u8, &[][..]),
            2 => (126, &length.to_be_bytes()[6..]),
            _ => (127, &length.to_be_bytes()[..]),
        };
        let mut bytes = vec![self.first, masked | short];
        bytes.extend_from_slice(spelled);
        let mask = self.mask.unwrap_or_default();
        bytes.extend(self.mask.iter().flatten());
        bytes.extend(masked_with(mask, &self.payload));
        bytes
    }
}

/// Takes a seed apart: its frames, and what is none.
fn split(mut bytes: &[u8]) -> (Vec<Frame>, Vec<u8>) {
    let mut frames = Vec::new();
    while let Some((frame, rest)) = first(bytes) {
        frames.push(frame);
        bytes = rest;
    }
    (frames, bytes.to_vec())
}

fn first(bytes: &[u8]) -> Option<(Frame, &[u8])> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match second & 0x7f {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from_be_bytes(*length), rest)
        }
        short => (u64::from(short), rest),
    };
    let (mask, rest) = if second & 0x80 == 0 {
        (None, rest)
    } else {
        let (mask, rest) = rest.split_first_chunk()?;
        (Some(*mask), rest)
    };
    let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    let frame = Frame {
        first,
        mask,
        payload: masked_with(mask.unwrap_or_default(), payload).collect(),
        claimed: None,
        spelled: None,
    };
    Some((frame, rest))
}

fn masked_with(mask: [u8; 4], payload: &[u8]) -> impl Iterator<Item = u8> {
    payload
        .iter()
        .zip(mask.into_iter().cycle())
        .map(|(byte, key)| byte ^ key)
}
