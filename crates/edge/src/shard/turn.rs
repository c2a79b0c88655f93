//! One turn's work: what came out of the ring, grouped so that each touched connection is written
//! once.
//!
//! Items become **pieces**: frames of one topic that stand in a row in memory, merged where they
//! touch. The pieces of a topic in this turn are its **run**; every live subscriber gets the whole
//! run, and so the same slices. Who gets something of his own (a snapshot, or a run from its middle)
//! has **links**. All of it lives in vectors that are used again every turn: the steady state
//! allocates nothing.

use super::index::{ConnId, SlotId};
use bytes::Bytes;
use std::io::IoSlice;
use tapecast_fanout::Item;
use tapecast_model::{Mono, StreamPos};

/// The work of one turn.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Counts turns; tells stale marks from fresh ones.
    pub(crate) number: u32,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) runs: Vec<Run>,
    links: Vec<Link>,
    /// Connections that have links.
    pub(crate) touched: Vec<ConnId>,
    /// When the oldest item was published.
    pub(crate) oldest: Option<Mono>,
    /// Bytes of all items.
    pub(crate) bytes: usize,
}

/// Frames of one topic that stand in a row.
#[derive(Debug)]
pub(crate) struct Piece {
    block: Bytes,
    start: u32,
    end: u32,
    pub(crate) frames: u32,
    pub(crate) slot: SlotId,
    /// Where the topic stood before it.
    pub(crate) before: StreamPos,
    pub(crate) published: Mono,
    next: u32,
    /// Nothing may be merged into it any more: somebody's part of the run begins after it.
    sealed: bool,
}

/// The pieces of one topic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) slot: SlotId,
    pub(crate) first: u32,
    /// How many live subscribers the slot had when the run began: they get all of it.
    pub(crate) live: usize,
}

/// A connection's part of the turn.
#[derive(Clone, Copy, Debug)]
struct Link {
    from: From,
    /// Which of the connection's subscriptions it is for.
    sub: u32,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
enum From {
    /// This piece alone.
    Only(u32),
    /// This piece and what follows in its run.
    Piece(u32),
    /// What follows this piece in its run.
    After(u32),
}

/// A connection's place in the turn: its first and last link, good if `turn` is the turn's number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    turn: u32,
    head: u32,
    tail: u32,
}

const NONE: u32 = u32::MAX;

// === impl Turn ===

impl Turn {
    /// Begins the next turn.
    pub(crate) fn begin(&mut self) {
        self.number = self.number.wrapping_add(1);
        self.oldest = None;
        self.bytes = 0;
    }

    /// Lets go of the frames.
    pub(crate) fn end(&mut self) {
        self.pieces.clear();
        self.runs.clear();
        self.links.clear();
        self.touched.clear();
    }

    /// The one run that is all there is to do, the same for all its subscribers.
    pub(crate) fn only_run(&self) -> Option<Run> {
        match (self.runs.as_slice(), self.touched.is_empty()) {
            ([run], true) => Some(*run),
            _ => None,
        }
    }

    /// Adds an item to the run whose last piece is `last`, or begins a run; returns the last piece.
    pub(crate) fn extend_run(
        &mut self,
        slot: SlotId,
        last: Option<u32>,
        item: Item,
        before: StreamPos,
        live: usize,
    ) -> u32 {
        self.note(&item);
        if let Some(piece) = last.map(|last| &mut self.pieces[last as usize])
            && !piece.sealed
            && piece.end == item.range.start
            && piece.block.as_ptr() == item.block.as_ptr()
        {
            piece.end = item.range.end;
            piece.frames += 1;
            return last.unwrap_or_default();
        }
        let at = self.push(slot, item, before);
        match last {
            Some(last) => self.pieces[last as usize].next = at,
            None => self.runs.push(Run {
                slot,
                first: at,
                live,
            }),
        }
        at
    }

    /// Adds a piece that belongs to no run.
    pub(crate) fn lone_piece(&mut self, slot: SlotId, item: Item, before: StreamPos) -> u32 {
        self.note(&item);
        self.push(slot, item, before)
    }

    fn push(&mut self, slot: SlotId, item: Item, before: StreamPos) -> u32 {
        let (start, end, published) = (item.range.start, item.range.end, item.published);
        self.pieces.push(Piece {
            block: item.block,
            start,
            end,
            frames: 1,
            slot,
            before,
            published,
            next: NONE,
            sealed: false,
        });
        (self.pieces.len() - 1) as u32
    }

    fn note(&mut self, item: &Item) {
        self.oldest.get_or_insert(item.published);
        self.bytes += item.len();
    }

    /// Links a connection to one piece.
    pub(crate) fn link_only(&mut self, conn: ConnId, place: &mut Place, sub: u32, piece: u32) {
        self.link(conn, place, sub, From::Only(piece));
    }

    /// Links a connection to a run.
    pub(crate) fn link_run(&mut self, conn: ConnId, place: &mut Place, sub: u32, first: u32) {
        self.link(conn, place, sub, From::Piece(first));
    }

    /// Links a connection to what will follow in a run that has begun.
    pub(crate) fn link_after(&mut self, conn: ConnId, place: &mut Place, sub: u32, last: u32) {
        self.pieces[last as usize].sealed = true;
        self.link(conn, place, sub, From::After(last));
    }

    fn link(&mut self, conn: ConnId, place: &mut Place, sub: u32, from: From) {
        let at = self.links.len() as u32;
        self.links.push(Link {
            from,
            sub,
            next: NONE,
        });
        self.touch(conn, place);
        match self.links.get_mut(place.tail as usize) {
            Some(last) => last.next = at,
            None => place.head = at,
        }
        place.tail = at;
    }

    /// Makes sure that a connection is written in this turn, whatever for.
    pub(crate) fn touch(&mut self, conn: ConnId, place: &mut Place) {
        if place.turn != self.number {
            *place = Place {
                turn: self.number,
                head: NONE,
                tail: NONE,
            };
            self.touched.push(conn);
        }
    }

    /// The pieces of a run.
    pub(crate) fn run(&self, first: u32) -> impl Iterator<Item = &Piece> {
        self.follow(first)
    }

    /// A connection's pieces in order, each with the subscription it is for.
    pub(crate) fn pieces_of(&self, place: Place) -> impl Iterator<Item = (u32, &Piece)> {
        let head = if place.turn == self.number {
            place.head
        } else {
            NONE
        };
        let links = std::iter::successors(self.links.get(head as usize), |link| {
            self.links.get(link.next as usize)
        });
        links.flat_map(|link| {
            let (first, most) = match link.from {
                From::Only(piece) => (piece, 1),
                From::Piece(piece) => (piece, usize::MAX),
                From::After(piece) => (self.pieces[piece as usize].next, usize::MAX),
            };
            self.follow(first)
                .take(most)
                .map(move |piece| (link.sub, piece))
        })
    }

    fn follow(&self, first: u32) -> impl Iterator<Item = &Piece> {
        std::iter::successors(self.pieces.get(first as usize), |piece| {
            self.pieces.get(piece.next as usize)
        })
    }
}

// === impl Piece ===

impl Piece {
    /// The frames.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.block[self.start as usize..self.end as usize]
    }

    /// The frames as a slice for the socket.
    pub(crate) fn slice(&self) -> IoSlice<'_> {
        IoSlice::new(self.bytes())
    }

    /// The frames as an owned reference to the shared block.
    pub(crate) fn shared(&self) -> Bytes {
        self.block.slice(self.start as usize..self.end as usize)
    }
}

// === impl Place ===

impl Default for Place {
    fn default() -> Self {
        // The first turn is number one.
        Self {
            turn: 0,
            head: NONE,
            tail: NONE,
        }
    }
}
