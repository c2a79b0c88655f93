//! The work of one turn: the items from the ring, grouped so that each connection with data is written
//! once.
//!
//! Items become **pieces**: frames of one topic that are contiguous in memory; pieces that touch are
//! merged. The pieces of a topic in this turn are its **run**. Every live subscriber gets the whole run,
//! and so the same slices. A subscriber that gets something different (a snapshot, or the end of a run)
//! has **parts**.
//!
//! # Layout
//! A run whose pieces are not contiguous is copied together, once for all its subscribers, if that costs
//! less than a slice per piece and subscriber ([`Turn::lay_out`]). Then the run, or its end from any
//! piece on, is one **stretch**: one slice of a write.
//!
//! All of this is in vectors that every turn uses again: in the steady state nothing is allocated.

use super::index::{ConnId, SlotId};
use super::pool::Pool;
use bytes::Bytes;
use hashbrown::HashMap;
use std::cell::RefCell;
use tapecast_fanout::Item;
use tapecast_model::{Mono, StreamPos};

/// The work of one turn.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Counts turns; tells stale marks from fresh ones. With 64 bits it never comes round, however
    /// busy the polling: a mark that is as old as the process is stale still.
    pub(crate) number: u64,
    pieces: Vec<Piece>,
    pub(crate) runs: Vec<Run>,
    parts: Vec<Part>,
    /// Runs that were copied together.
    laid: Vec<u8>,
    /// Copies of pieces that outlive the turn, because some socket is full.
    kept: RefCell<HashMap<PieceId, Bytes>>,
    /// Connections that have parts.
    pub(crate) touched: Vec<ConnId>,
    /// When the oldest item was published.
    pub(crate) oldest: Option<Mono>,
    /// Bytes of all items.
    pub(crate) bytes: usize,
    /// Bytes of the longest run.
    pub(crate) longest: usize,
}

/// A piece's number in its turn.
pub(crate) type PieceId = u32;

/// Frames of one topic that are contiguous.
#[derive(Debug)]
pub(crate) struct Piece {
    block: Bytes,
    /// Its place: in its block, or among the turn's laid-out bytes.
    start: u32,
    end: u32,
    laid: bool,
    /// No further frame may be merged into it, because a subscriber's part of the run begins after it.
    sealed: bool,
    pub(crate) frames: u32,
    /// Where the stretch that begins with this piece ends, and how many frames it has.
    stretch_end: u32,
    stretch_frames: u32,
    next: PieceId,
    pub(crate) slot: SlotId,
    /// Where the topic stood before it.
    pub(crate) before: StreamPos,
    pub(crate) published: Mono,
}

/// The pieces of one topic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) slot: SlotId,
    pub(crate) first: PieceId,
    last: PieceId,
    pieces: u32,
    frames: u32,
    bytes: usize,
    /// How many live subscribers the slot had when the run began: they get all of it.
    pub(crate) live: usize,
}

/// A connection's part of the turn.
#[derive(Clone, Copy, Debug)]
struct Part {
    extent: Extent,
    /// Which of the connection's subscriptions it is for.
    sub: u32,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
enum Extent {
    /// This piece alone.
    Only(PieceId),
    /// This piece and what follows in its run.
    Piece(PieceId),
    /// What follows this piece in its run.
    After(PieceId),
}

/// A connection's parts of the turn: the first and the last, good if `turn` is the turn's number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    turn: u64,
    head: u32,
    tail: u32,
}

/// What one slice of a write holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) frames: u32,
}

const NONE: u32 = u32::MAX;

/// What one more slice costs each write, in bytes that could be copied meanwhile: 57 ns at 10 GB/s,
/// less what the copy costs the caches.
const SLICE_COST_BYTES: usize = 400;

// === impl Turn ===

impl Turn {
    /// Begins the next turn.
    pub(crate) fn begin(&mut self) {
        self.number += 1;
        self.oldest = None;
        (self.bytes, self.longest) = (0, 0);
    }

    /// Lets go of the frames.
    pub(crate) fn end(&mut self) {
        self.pieces.clear();
        self.runs.clear();
        self.parts.clear();
        self.laid.clear();
        self.touched.clear();
        let kept = self.kept.get_mut();
        if !kept.is_empty() {
            kept.clear();
        }
    }

    /// The one run that is all there is to do, the same for all its subscribers.
    pub(crate) fn only_run(&self) -> Option<Run> {
        match (self.runs.as_slice(), self.touched.is_empty()) {
            ([run], true) => Some(*run),
            _ => None,
        }
    }

    /// Adds an item to a run of this turn, or begins one; returns the run's number.
    pub(crate) fn extend_run(
        &mut self,
        slot: SlotId,
        run: Option<u32>,
        item: Item,
        before: StreamPos,
        live: usize,
    ) -> u32 {
        self.note(&item);
        let length = item.len();
        let Some(number) = run else {
            let first = self.push(slot, item, before);
            self.longest = self.longest.max(length);
            self.runs.push(Run {
                slot,
                first,
                last: first,
                pieces: 1,
                frames: 1,
                bytes: length,
                live,
            });
            return (self.runs.len() - 1) as u32;
        };
        let run = &mut self.runs[number as usize];
        run.frames += 1;
        run.bytes += length;
        self.longest = self.longest.max(run.bytes);
        let last = &mut self.pieces[run.last as usize];
        if !last.sealed
            && last.end == item.range.start
            && last.block.as_ptr() == item.block.as_ptr()
        {
            last.end = item.range.end;
            last.frames += 1;
            last.stretch_end = last.end;
            last.stretch_frames = last.frames;
            return number;
        }
        run.pieces += 1;
        let before_last = run.last;
        let at = self.push(slot, item, before);
        self.pieces[before_last as usize].next = at;
        self.runs[number as usize].last = at;
        number
    }

    /// Adds a piece that belongs to no run.
    pub(crate) fn lone_piece(&mut self, slot: SlotId, item: Item, before: StreamPos) -> PieceId {
        self.note(&item);
        self.push(slot, item, before)
    }

    fn push(&mut self, slot: SlotId, item: Item, before: StreamPos) -> PieceId {
        let (start, end, published) = (item.range.start, item.range.end, item.published);
        self.pieces.push(Piece {
            block: item.block,
            start,
            end,
            laid: false,
            sealed: false,
            frames: 1,
            stretch_end: end,
            stretch_frames: 1,
            next: NONE,
            slot,
            before,
            published,
        });
        (self.pieces.len() - 1) as PieceId
    }

    fn note(&mut self, item: &Item) {
        self.oldest.get_or_insert(item.published);
        self.bytes += item.len();
    }

    /// Copies runs together where that is cheaper than a slice for each piece and subscriber.
    pub(crate) fn lay_out(&mut self) {
        let Self {
            runs, pieces, laid, ..
        } = self;
        for run in runs.iter() {
            let slices = (run.pieces as usize - 1) * run.live;
            if slices * SLICE_COST_BYTES <= run.bytes {
                continue;
            }
            let mut at = run.first;
            while let Some(piece) = pieces.get_mut(at as usize) {
                let start = laid.len() as u32;
                laid.extend_from_slice(&piece.block[piece.start as usize..piece.end as usize]);
                (piece.start, piece.end) = (start, laid.len() as u32);
                piece.laid = true;
                at = piece.next;
            }
            let (mut at, mut frames) = (run.first, run.frames);
            while let Some(piece) = pieces.get_mut(at as usize) {
                piece.stretch_end = laid.len() as u32;
                piece.stretch_frames = frames;
                frames -= piece.frames;
                at = piece.next;
            }
        }
    }

    /// Links a connection to one piece.
    pub(crate) fn add_only(&mut self, conn: ConnId, parts: &mut Parts, sub: u32, piece: PieceId) {
        self.add_part(conn, parts, sub, Extent::Only(piece));
    }

    /// Links a connection to a run.
    pub(crate) fn add_run(&mut self, conn: ConnId, parts: &mut Parts, sub: u32, first: PieceId) {
        self.add_part(conn, parts, sub, Extent::Piece(first));
    }

    /// Links a connection to what will follow in a run that has begun.
    pub(crate) fn join_after(&mut self, conn: ConnId, parts: &mut Parts, sub: u32, run: u32) {
        let last = self.runs[run as usize].last;
        self.pieces[last as usize].sealed = true;
        self.add_part(conn, parts, sub, Extent::After(last));
    }

    fn add_part(&mut self, conn: ConnId, parts: &mut Parts, sub: u32, extent: Extent) {
        let at = self.parts.len() as u32;
        self.parts.push(Part {
            extent,
            sub,
            next: NONE,
        });
        self.touch(conn, parts);
        match self.parts.get_mut(parts.tail as usize) {
            Some(last) => last.next = at,
            None => parts.head = at,
        }
        parts.tail = at;
    }

    /// Makes sure that a connection is written in this turn.
    pub(crate) fn touch(&mut self, conn: ConnId, parts: &mut Parts) {
        if parts.turn != self.number {
            *parts = Parts {
                turn: self.number,
                head: NONE,
                tail: NONE,
            };
            self.touched.push(conn);
        }
    }

    /// A piece of this turn.
    pub(crate) fn piece(&self, id: PieceId) -> &Piece {
        &self.pieces[id as usize]
    }

    /// The frames of a piece.
    pub(crate) fn bytes(&self, id: PieceId) -> &[u8] {
        let piece = self.piece(id);
        self.memory(piece, piece.end)
    }

    /// The frames of a piece, to be kept for longer than the turn.
    pub(crate) fn keep(&self, id: PieceId, pool: &Pool) -> Bytes {
        let mut kept = self.kept.borrow_mut();
        let copy = kept.entry(id).or_insert_with(|| pool.keep(self.bytes(id)));
        copy.clone()
    }

    /// The pieces of a run.
    pub(crate) fn run(&self, first: PieceId) -> impl Iterator<Item = PieceId> {
        self.follow(first)
    }

    /// The slices of a run, or of the rest of it.
    pub(crate) fn stretches(&self, first: PieceId) -> impl Iterator<Item = Stretch<'_>> {
        let start = self.pieces.get(first as usize);
        let stretches = std::iter::successors(start, |piece| match piece.laid {
            true => None,
            false => self.pieces.get(piece.next as usize),
        });
        stretches.map(|piece| Stretch {
            bytes: self.memory(piece, piece.stretch_end),
            frames: piece.stretch_frames,
        })
    }

    /// A connection's pieces in order, each with the subscription it is for.
    pub(crate) fn pieces_of(&self, parts: Parts) -> impl Iterator<Item = (u32, PieceId)> {
        self.parts_of(parts).flat_map(|part| {
            let (first, most) = self.bounds(part.extent);
            self.follow(first)
                .take(most)
                .map(move |piece| (part.sub, piece))
        })
    }

    /// A connection's slices in order.
    pub(crate) fn stretches_of(&self, parts: Parts) -> impl Iterator<Item = Stretch<'_>> {
        self.parts_of(parts).flat_map(|part| {
            let (first, most) = self.bounds(part.extent);
            self.stretches(first).take(most)
        })
    }

    fn parts_of(&self, parts: Parts) -> impl Iterator<Item = &Part> {
        let head = if parts.turn == self.number {
            parts.head
        } else {
            NONE
        };
        std::iter::successors(self.parts.get(head as usize), |part| {
            self.parts.get(part.next as usize)
        })
    }

    /// Where a part of the turn begins, and how many pieces it has at most.
    fn bounds(&self, extent: Extent) -> (PieceId, usize) {
        match extent {
            Extent::Only(piece) => (piece, 1),
            Extent::Piece(piece) => (piece, usize::MAX),
            Extent::After(piece) => (self.piece(piece).next, usize::MAX),
        }
    }

    fn follow(&self, first: PieceId) -> impl Iterator<Item = PieceId> {
        let exists = |id: PieceId| ((id as usize) < self.pieces.len()).then_some(id);
        std::iter::successors(exists(first), move |id| exists(self.piece(*id).next))
    }

    fn memory<'a>(&'a self, piece: &'a Piece, end: u32) -> &'a [u8] {
        let memory = if piece.laid {
            &self.laid
        } else {
            &piece.block[..]
        };
        &memory[piece.start as usize..end as usize]
    }
}

// === impl Parts ===

impl Default for Parts {
    fn default() -> Self {
        // The first turn is number one.
        Self {
            turn: 0,
            head: NONE,
            tail: NONE,
        }
    }
}
