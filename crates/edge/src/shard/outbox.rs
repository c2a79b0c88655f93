//! The outbox: what is queued for one connection and its socket has not taken yet.
//!
//! It exists only while the socket is full (or an acknowledgement is awaited); a connection that reads
//! fast enough has none. It holds references to frames in the shard's [pool](super::pool); all
//! connections that wait for a frame share it.
//!
//! # Order
//! The order is: the rest of a partly written frame, then control frames, then data in order. So a
//! control frame is never inside a data frame, and never waits behind queued data.
//!
//! # Placeholders
//! A topic that has fallen behind waits in the queue too. Its place is a **resync placeholder**: an entry without
//! bytes, after everything that was queued before. When the socket has taken everything before the
//! placeholder, the topic resyncs ([`Outbox::take_due`]). So frequent frames of other topics cannot keep it
//! from continuing.
//!
//! # Limits
//! The outbox itself has no limits. The [shard](super) decides how much may be queued per topic and in
//! all; it uses [`Outbox::bytes`] and the count of the subscription.

use super::index::SlotId;
use super::pool::Pool;
use super::steps;
use super::turn::{PieceId, Turn};
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;
use tapecast_model::{Mono, StreamPos};

/// Frames that wait for a socket.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// The rest of a frame that is partly written; its topic no longer matters.
    rest: Option<Entry>,
    control: VecDeque<Bytes>,
    data: VecDeque<Entry>,
    /// Data of topics that are not acknowledged yet: they overtake no other data, and no other data wait for them.
    held: VecDeque<Entry>,
    held_bytes: usize,
    bytes: usize,
    /// Frames of `rest` and `data`.
    frames: u32,
    /// `control` contains a pong.
    has_pong: bool,
    /// While the data are evicted, last first: the placeholders behind them.
    evicted: Option<VecDeque<Entry>>,
    /// Topics whose placeholders have been reached.
    due: Vec<SlotId>,
    /// When the socket last took bytes, or the outbox was last empty.
    pub(crate) progress: Mono,
    /// The socket has refused bytes since it last took any.
    pub(crate) was_full: bool,
}

/// Frames of one topic that are contiguous.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) bytes: Bytes,
    /// Whose frames; none for control frames.
    pub(crate) slot: Option<SlotId>,
    /// How many frames.
    pub(crate) frames: u32,
    /// Where the topic stood before them.
    pub(crate) before: StreamPos,
    /// When they were published.
    pub(crate) published: Mono,
}

/// What became of queued frames.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Gone {
    pub(crate) frames: u32,
    pub(crate) bytes: usize,
}

impl Outbox {
    /// An empty outbox.
    pub(crate) fn new(now: Mono) -> Self {
        Self {
            rest: None,
            control: VecDeque::new(),
            data: VecDeque::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            bytes: 0,
            frames: 0,
            has_pong: false,
            evicted: None,
            due: Vec::new(),
            progress: now,
            was_full: false,
        }
    }

    /// Bytes queued.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Frames queued, control frames not counted.
    pub(crate) fn frames(&self) -> u32 {
        self.frames
    }

    /// Whether nothing is queued.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_none()
            && self.control.is_empty()
            && self.data.is_empty()
            && self.held.is_empty()
            && self.evicted.as_ref().is_none_or(VecDeque::is_empty)
    }

    /// Whether control frames are queued that have not begun.
    pub(crate) fn has_queued_control(&self) -> bool {
        !self.control.is_empty()
    }

    /// When the oldest queued data were published.
    pub(crate) fn oldest(&self) -> Option<Mono> {
        let rest = self.rest.as_ref().filter(|e| e.slot.is_some());
        rest.or(self.data.front()).map(|e| e.published)
    }

    /// Frames of a topic that are partly written: they cannot be given up.
    pub(crate) fn partly_written(&self, slot: SlotId) -> u32 {
        let rest = self.rest.as_ref().filter(|e| e.slot == Some(slot));
        rest.map_or(0, |entry| entry.frames)
    }

    /// Queues a control frame, ahead of all data.
    pub(crate) fn push_control(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.control.push_back(frame);
    }

    /// Queues a pong, in place of one that has not begun to go: of several pings only the most recent
    /// need be answered (RFC 6455, section 5.5.3).
    pub(crate) fn push_pong(&mut self, frame: Bytes) {
        let is_pong = |frame: &Bytes| frame.first() == Some(&PONG_HEAD);
        if self.has_pong
            && let Some(at) = self.control.iter().position(is_pong)
            && let Some(old) = self.control.remove(at)
        {
            self.bytes -= old.len();
        }
        self.has_pong = true;
        self.push_control(frame);
    }

    /// Queues data of a topic that is not acknowledged yet, or its placeholder.
    pub(crate) fn hold(&mut self, entry: Entry) {
        self.bytes += entry.bytes.len();
        self.held_bytes += entry.bytes.len();
        self.frames += entry.frames;
        self.held.push_back(entry);
    }

    /// Puts the held frames after the queued ones: their topics are acknowledged.
    pub(crate) fn release(&mut self) {
        self.data.append(&mut self.held);
        self.held_bytes = 0;
    }

    /// Queues data of a topic, or its placeholder.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.bytes += entry.bytes.len();
        self.frames += entry.frames;
        match &mut self.evicted {
            Some(placeholders) if entry.bytes.is_empty() => placeholders.push_back(entry),
            _ => self.data.push_back(entry),
        }
    }

    /// Whether its data are being evicted: nothing more should be queued.
    pub(crate) fn is_evicted(&self) -> bool {
        self.evicted.is_some()
    }

    /// Takes out the last of the data; what stands before it is still a row without holes for each topic.
    /// The caller gives a topic whose frames these were its placeholder: [`Self::put_placeholder`]. None: all the
    /// data are out, and the eviction is over.
    pub(crate) fn evict_last(&mut self) -> Option<Entry> {
        let placeholders = self.evicted.get_or_insert_default();
        steps::visit(1);
        while let Some(entry) = self.data.pop_back() {
            if entry.bytes.is_empty() {
                placeholders.push_front(entry);
                continue;
            }
            self.bytes -= entry.bytes.len();
            self.frames -= entry.frames;
            return Some(entry);
        }
        self.data = self.evicted.take().unwrap_or_default();
        None
    }

    /// Queues the placeholder of a topic behind the data that are not evicted yet.
    pub(crate) fn put_placeholder(&mut self, placeholder: Entry) {
        if let Some(placeholders) = &mut self.evicted {
            placeholders.push_front(placeholder);
        }
    }

    /// Takes out the topics that may resync now, because everything before their placeholders is written.
    pub(crate) fn take_due(&mut self) -> Vec<SlotId> {
        while self.rest.is_none()
            && self
                .data
                .front()
                .is_some_and(|entry| entry.bytes.is_empty())
        {
            self.due.extend(self.data.pop_front().and_then(|e| e.slot));
        }
        if self.rest.is_none()
            && self.data.is_empty()
            && let Some(placeholders) = self.evicted.take()
        {
            self.due.extend(placeholders.iter().filter_map(|e| e.slot));
        }
        std::mem::take(&mut self.due)
    }

    /// Whether a topic has a placeholder in the queue.
    #[cfg(test)]
    pub(crate) fn has_placeholder(&self, slot: SlotId) -> bool {
        let evicted = self.evicted.iter().flatten();
        let queued = self.data.iter().chain(&self.held).chain(evicted);
        let mut placeholders = queued.filter(|entry| entry.bytes.is_empty());
        placeholders.any(|entry| entry.slot == Some(slot))
    }

    /// Whether there are bytes to write.
    pub(crate) fn has_bytes(&self) -> bool {
        self.bytes > self.held_bytes
    }

    /// Queues data of which `written` bytes are on the socket already. The frame they end in becomes
    /// the rest that must go first.
    pub(crate) fn push_rest(&mut self, entry: Entry, written: usize) -> u32 {
        let (done, in_frame) = frames_within(&entry.bytes, written);
        let start = written - in_frame;
        let mut left = Entry {
            bytes: entry.bytes.slice(start..),
            frames: entry.frames - done,
            ..entry
        };
        if in_frame > 0 && self.rest.is_none() {
            let rest = left.split_rest(in_frame);
            self.bytes += rest.bytes.len();
            self.frames += rest.frames;
            self.rest = Some(rest);
        }
        if !left.bytes.is_empty() {
            self.push(left);
        }
        done
    }

    /// Gives up the queued frames of some topics, but for one that is partly written. One pass over
    /// the queue, however many topics.
    pub(crate) fn give_up(&mut self, mut which: impl FnMut(SlotId) -> bool) -> Gone {
        let mut gone = Gone::default();
        steps::visit(self.data.len() + self.held.len());
        let mut keep = |entry: &Entry| {
            let keep = !entry.slot.is_some_and(&mut which);
            if !keep {
                gone.frames += entry.frames;
                gone.bytes += entry.bytes.len();
            }
            keep
        };
        self.data.retain(&mut keep);
        self.held.retain(&mut keep);
        if let Some(placeholders) = &mut self.evicted {
            placeholders.retain(&mut keep);
        }
        self.held_bytes = self.held.iter().map(|e| e.bytes.len()).sum();
        self.bytes -= gone.bytes;
        self.frames -= gone.frames;
        gone
    }

    /// Takes out all data, but for a frame that is partly written, and tells how many frames they are.
    pub(crate) fn take_data(&mut self) -> (VecDeque<Entry>, u32) {
        self.release();
        self.data.extend(self.evicted.take().unwrap_or_default());
        let data = std::mem::take(&mut self.data);
        let rest = self.rest.as_ref();
        let kept = rest.map_or(0, |e| e.bytes.len());
        self.bytes = kept + self.control.iter().map(Bytes::len).sum::<usize>();
        let frames = self.frames - rest.map_or(0, |e| e.frames);
        self.frames -= frames;
        (data, frames)
    }

    /// Fills `slices` with what goes next.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let queued = self.data.iter().map(|e| &e.bytes);
        let data = queued.filter(|bytes| !bytes.is_empty());
        let rest = self.rest.iter().map(|e| &e.bytes);
        let all = rest.chain(&self.control).chain(data);
        let mut filled = 0;
        for (slice, bytes) in slices.iter_mut().zip(all) {
            *slice = IoSlice::new(bytes);
            filled += 1;
        }
        filled
    }

    /// Takes off `written` bytes; calls `done` for the frames of each topic that are whole now.
    pub(crate) fn advance(&mut self, mut written: usize, mut done: impl FnMut(SlotId, u32, Mono)) {
        self.bytes -= written;
        while written > 0 {
            if let Some(mut entry) = self.rest.take() {
                if written < entry.bytes.len() {
                    entry.bytes.advance(written);
                    self.rest = Some(entry);
                    return;
                }
                written -= entry.bytes.len();
                self.frames -= entry.frames;
                if let Some(slot) = entry.slot {
                    done(slot, entry.frames, entry.published);
                }
            } else if let Some(frame) = self.control.pop_front() {
                self.has_pong &= frame.first() != Some(&PONG_HEAD);
                // A control frame counts as no topic's, partly written or not.
                let entry = Entry {
                    bytes: frame,
                    slot: None,
                    frames: 0,
                    before: StreamPos::default(),
                    published: Mono::default(),
                };
                self.rest = Some(entry);
            } else if let Some(entry) = self.data.pop_front() {
                if entry.bytes.is_empty() {
                    self.due.extend(entry.slot);
                    continue;
                }
                if written >= entry.bytes.len() {
                    self.rest = Some(entry);
                    continue;
                }
                // Cut at the frame that is partly written, so that the others can be given up.
                let (whole, in_frame) = frames_within(&entry.bytes, written);
                self.frames -= whole;
                if let Some(slot) = entry.slot.filter(|_| whole > 0) {
                    done(slot, whole, entry.published);
                }
                let start = written - in_frame;
                let mut left = Entry {
                    bytes: entry.bytes.slice(start..),
                    frames: entry.frames - whole,
                    ..entry
                };
                if in_frame > 0 {
                    self.rest = Some(left.split_rest(in_frame));
                }
                if !left.bytes.is_empty() {
                    self.data.push_front(left);
                }
                return;
            } else {
                debug_assert!(false, "a socket took bytes that were not offered");
                return;
            }
        }
    }
}

impl Entry {
    /// The placeholder of a topic that has fallen behind. `before` is its position, `published` the time when
    /// the first frame was published that it will not get.
    pub(crate) fn placeholder(slot: SlotId, before: StreamPos, published: Mono) -> Self {
        Self {
            bytes: Bytes::new(),
            slot: Some(slot),
            frames: 0,
            before,
            published,
        }
    }

    /// A piece of a turn, kept for longer than the turn.
    pub(crate) fn of(turn: &Turn, at: PieceId, pool: &Pool) -> Self {
        let piece = turn.piece(at);
        Self {
            bytes: turn.keep(at, pool),
            slot: Some(piece.slot),
            frames: piece.frames,
            before: piece.before,
            published: piece.published,
        }
    }

    /// Splits off the first frame, of which `written` bytes are on the socket already. It is copied,
    /// so that one frame of a stalled client does not hold on to all that came with it.
    fn split_rest(&mut self, written: usize) -> Self {
        let first = self.bytes.split_to(frame_len(&self.bytes));
        self.frames -= 1;
        Self {
            bytes: Bytes::copy_from_slice(&first[written..]),
            frames: 1,
            ..self.clone()
        }
    }
}

/// The number of whole frames in the first `written` bytes, and the number of bytes of the next frame.
fn frames_within(bytes: &[u8], written: usize) -> (u32, usize) {
    let (mut frames, mut at) = (0, 0);
    while at < written {
        let length = frame_len(&bytes[at..]);
        if at + length > written {
            break;
        }
        at += length;
        frames += 1;
    }
    (frames, written - at)
}

/// The length of the server frame that `bytes` begins with.
fn frame_len(bytes: &[u8]) -> usize {
    match bytes.get(1) {
        Some(126) => 4 + usize::from(u16::from_be_bytes([bytes[2], bytes[3]])),
        Some(127) => {
            let mut length = [0; 8];
            length.copy_from_slice(&bytes[2..10]);
            10 + u64::from_be_bytes(length) as usize
        }
        Some(&length) => 2 + usize::from(length),
        None => bytes.len(),
    }
}

/// The first byte of a pong: it is whole, and a pong.
const PONG_HEAD: u8 = 0x8a;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tapecast_wire::{Opcode, frame};

    #[derive(Clone, Debug)]
    enum Op {
        Data(SlotId, Vec<usize>),
        Control(usize),
        Write(usize),
        GiveUp(SlotId),
        EvictLast,
    }

    fn op() -> impl Strategy<Value = Op> {
        let payload = prop_oneof![0_usize..10, 120_usize..130, Just(70_000_usize)];
        prop_oneof![
            (0_u32..3, prop::collection::vec(payload, 1..4)).prop_map(|(s, p)| Op::Data(s, p)),
            (0_usize..20).prop_map(Op::Control),
            (1_usize..400).prop_map(Op::Write),
            (0_u32..3).prop_map(Op::GiveUp),
            Just(Op::EvictLast),
        ]
    }

    proptest! {
        /// For every sequence of queueing, discarding and partial writes: the socket sees whole frames,
        /// each topic's in order, and every frame is either written or discarded.
        #[test]
        fn the_socket_sees_whole_frames(ops in prop::collection::vec(op(), 0..60)) {
            let mut outbox = Outbox::new(Mono::default());
            let mut wire = Vec::new();
            let (mut serial, mut queued, mut written, mut given_up) = (0_u32, 0_u32, 0_u32, 0_u32);
            let write = |outbox: &mut Outbox, wire: &mut Vec<u8>, most: usize, written: &mut u32| {
                let mut slices = [IoSlice::new(&[]); 4];
                let filled = outbox.slices(&mut slices);
                let mut taken = Vec::new();
                for slice in &slices[..filled] {
                    taken.extend_from_slice(slice);
                }
                taken.truncate(most);
                wire.extend_from_slice(&taken);
                outbox.advance(taken.len(), |_, frames, _| *written += frames);
            };
            for op in ops {
                match op {
                    Op::Data(slot, payloads) => {
                        let mut bytes = Vec::new();
                        for size in &payloads {
                            serial += 1;
                            let mut payload = format!("{slot} {serial} ").into_bytes();
                            payload.resize(payload.len() + size, b'x');
                            bytes.extend(frame::whole(Opcode::Text, &payload));
                        }
                        let frames = payloads.len() as u32;
                        queued += frames;
                        let entry = Entry { bytes: bytes.into(), slot: Some(slot), frames, before: StreamPos::default(), published: Mono::default() };
                        outbox.push(entry);
                    }
                    Op::Control(size) => {
                        outbox.push_control(frame::whole(Opcode::Pong, &vec![b'p'; size]).into());
                    }
                    Op::Write(most) => write(&mut outbox, &mut wire, most, &mut written),
                    Op::EvictLast => given_up += outbox.evict_last().map_or(0, |e| e.frames),
                    Op::GiveUp(slot) => given_up += outbox.give_up(|other| other == slot).frames,
                }
                let rest = outbox.rest.iter();
                let there: u32 = rest.chain(&outbox.data).map(|e| e.frames).sum();
                prop_assert_eq!(outbox.frames(), there);
                prop_assert_eq!(outbox.frames() + written + given_up, queued);
            }
            while !outbox.is_empty() {
                write(&mut outbox, &mut wire, 1_000, &mut written);
            }
            prop_assert_eq!(outbox.bytes(), 0);
            prop_assert_eq!(written + given_up, queued);
            let mut last = [0_u32; 3];
            let (mut at, mut seen) = (0, 0);
            while at < wire.len() {
                let length = frame_len(&wire[at..]);
                let frame = &wire[at..at + length];
                at += length;
                if frame[0] == 0x8a {
                    continue;
                }
                let payload = &frame[if frame[1] < 126 { 2 } else if frame[1] == 126 { 4 } else { 10 }..];
                let text = std::str::from_utf8(payload).unwrap();
                let mut words = text.split(' ');
                let slot: usize = words.next().unwrap().parse().unwrap();
                let serial: u32 = words.next().unwrap().parse().unwrap();
                prop_assert!(serial > last[slot]);
                last[slot] = serial;
                seen += 1;
            }
            prop_assert_eq!(seen, written);
        }

        #[test]
        fn a_write_that_ends_within_a_frame_leaves_its_rest(written in 0_usize..60) {
            let bytes: Bytes = [[1; 10], [2; 10], [3; 10]]
                .iter().flat_map(|p| frame::whole(Opcode::Text, p)).collect::<Vec<_>>().into();
            let written = written.min(bytes.len());
            let mut outbox = Outbox::new(Mono::default());
            let entry = Entry { bytes: bytes.clone(), slot: Some(1), frames: 3, before: StreamPos::default(), published: Mono::default() };
            let done = outbox.push_rest(entry, written);
            prop_assert_eq!(done as usize, written / 12);
            prop_assert_eq!(outbox.frames() + done, 3);
            prop_assert_eq!(outbox.bytes(), bytes.len() - written);
            let mut slices = [IoSlice::new(&[]); 4];
            let filled = outbox.slices(&mut slices);
            let left: Vec<u8> = slices[..filled].iter().flat_map(|s| s.to_vec()).collect();
            prop_assert_eq!(&left[..], &bytes[written..]);
        }
    }
}
