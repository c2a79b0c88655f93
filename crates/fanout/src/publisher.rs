//! The publisher: sequenced updates in, frames for every shard out.
//!
//! The pipeline's thread owns it. For each update it visits the live topics of the update's stream, and
//! encodes one frame for each encoding that a shard needs. At the end of the turn ([`Publisher::flush`])
//! it writes all frames into one shared block and pushes one item per frame and shard. A topic is live
//! from its first subscriber to its last. During this time its last published view is kept; new
//! subscribers get this view. Topics without subscribers are removed at once ([`Publisher::let_go`]),
//! also if their stream publishes nothing. Topics with an interval have a
//! [`conflator`](crate::conflator).
//!
//! # When a ring is full
//! The publisher never waits. If a shard's ring cannot take an item, the shard has missed it. From then
//! on the topic sends nothing to this shard, until the ring has room for what repairs the topic: a gap
//! notice for topics that keep every event, a snapshot for all others. Missed items are remembered per
//! topic and shard. So a topic that becomes quiet is not forgotten, and the number of topics limits the
//! memory.
//!
//! # Instruments that are replaced
//! The topics of a replaced instrument end here and are opened again; whoever opens them finds the instrument
//! replaced, begins their successors and calls [`Publisher::tell_replaced`]. This goes through the rings in order
//! with the frames, and is tried again until it fits.
//!
//! # Slots
//! Tables use a topic's slot as their index; the slot is used again when the topic has ended. Everything
//! here that lasts longer than a call either holds the topic's entry, and so keeps the topic from ending,
//! or has the generation.

mod deadlines;
mod interval;
mod live;

use crate::chunk::Chunks;
use crate::interest::{ShardMask, TopicEntry};
use crate::item::{Item, ItemKind};
use crate::metrics::FanoutMetrics;
use crate::ring::RingTx;
use crate::slot::TopicSlot;
use crate::view::{BookView, Changes};
use bytes::Bytes;
use deadlines::Deadlines;
use live::{LiveTopic, Missed};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tapecast_model::{
    Instrument, InstrumentId, Mono, StreamKey, StreamKind, StreamPos, UnixNanos, Update, UpdateSink,
};
use tapecast_wire::{Encoding, Opcode, frame, json};

/// Serialises updates once and hands them to the shards.
#[derive(Debug)]
pub struct Publisher {
    /// Live topics, by slot.
    topics: Vec<Option<Box<LiveTopic>>>,
    /// Live topics of each stream, by instrument and kind of stream.
    streams: Vec<[Vec<TopicSlot>; StreamKind::COUNT]>,
    /// Topics of which some shard has missed something.
    behind: Vec<Arc<TopicEntry>>,
    /// Topics to be opened again.
    reopened: Vec<Arc<TopicEntry>>,
    /// The same, a little later, and when they are next.
    reopened_later: Vec<Arc<TopicEntry>>,
    reopen_at: Mono,
    /// Topics that have successors, and the shards that are still to be told.
    replaced: Vec<(Arc<TopicEntry>, Encoding, ShardMask)>,
    /// Interval topics that hold something back.
    due: Deadlines,
    turn: TurnOutput,
    rings: Vec<RingTx>,
    /// Shards that have items they were not woken for.
    unrung: ShardMask,
    chunks: Chunks,
    metrics: FanoutMetrics,
    now: UnixNanos,
    mono: Mono,
    live: usize,
}

/// What one turn has produced and not yet handed out.
#[derive(Debug, Default)]
pub(crate) struct TurnOutput {
    frames: Vec<u8>,
    items: Vec<Pending>,
    scratch: Vec<u8>,
    changes: Changes,
    /// The last checksum, and the state it is of: all depths that cover it have the same best levels.
    checksum: Option<((InstrumentId, StreamPos), u32)>,
}

/// An item for some shards, whose frame is not sealed yet.
#[derive(Clone, Debug)]
struct Pending {
    slot: TopicSlot,
    encoding: Encoding,
    kind: ItemKind,
    pos: StreamPos,
    frame: Frame,
    shards: ShardMask,
    /// Of a snapshot for joiners: see [`TopicEntry::begun`].
    begun: u64,
}

#[derive(Clone, Debug)]
enum Frame {
    /// Stands in the turn's frames.
    Written(Range<u32>),
    /// Was sealed in an earlier turn.
    Sealed(Bytes),
}

// === impl TurnOutput ===

impl TurnOutput {
    /// The checksum of a view of so many levels of a book's state.
    fn checksum(&mut self, update: &Update<'_>, levels: usize, view: &BookView) -> u32 {
        let instrument = update.instrument;
        let (epoch, seq) = (update.epoch, update.seq);
        let state = (instrument.id, StreamPos { epoch, seq });
        let shared = levels >= json::CHECKSUM_LEVELS;
        if let Some((of, checksum)) = self.checksum
            && shared
            && of == state
        {
            return checksum;
        }
        let (bids, asks) = (view.bids(), view.asks());
        let checksum = json::checksum(&mut self.scratch, instrument, bids, asks);
        if shared {
            self.checksum = Some((state, checksum));
        }
        checksum
    }
}

// === impl Publisher ===

impl Publisher {
    /// Publishes to these shards' rings.
    pub fn new(rings: Vec<RingTx>, metrics: FanoutMetrics) -> Self {
        Self {
            topics: Vec::new(),
            streams: Vec::new(),
            behind: Vec::new(),
            reopened: Vec::new(),
            reopened_later: Vec::new(),
            reopen_at: Mono::default(),
            replaced: Vec::new(),
            due: Deadlines::default(),
            turn: TurnOutput::default(),
            rings,
            unrung: 0,
            chunks: Chunks::default(),
            metrics,
            now: UnixNanos::default(),
            mono: Mono::default(),
            live: 0,
        }
    }

    /// Sets the time: what the next frames say they were serialised at, and the clock that intervals
    /// are measured with.
    pub fn set_time(&mut self, now: UnixNanos, mono: Mono) {
        self.now = now;
        self.mono = mono;
    }

    /// Whether the turn has produced so much that it should be handed out before it goes on.
    pub fn is_turn_full(&self) -> bool {
        self.turn.frames.len() >= TURN_BYTES_MAX || self.turn.items.len() >= TURN_ITEMS_MAX
    }

    /// Whether some shard's ring is nearly full; the caller should then give way.
    pub fn is_crowded(&self) -> bool {
        self.rings.iter().any(RingTx::is_nearly_full)
    }

    /// Whether every shard's ring has much room.
    pub fn has_room(&self) -> bool {
        !self.rings.iter().any(RingTx::is_over_half)
    }

    /// Answers shards that asked for a snapshot of a topic. If the topic is not live it begins here,
    /// with `current`, the state of its stream. For a live topic of trades, `current` is its history.
    ///
    /// If there is no `current` state of a quote or book that the topic shows, the state is held back,
    /// because it is crossed: then nobody begins with what was shown before. The shards get their answer
    /// after the next update of the stream.
    pub fn open(&mut self, entry: &Arc<TopicEntry>, pos: StreamPos, current: Option<&Update<'_>>) {
        if self.live_mut(entry.slot).is_none() {
            if !entry.is_wanted() {
                return;
            }
            let index = entry.slot.index();
            if self.topics.len() <= index {
                self.topics.resize_with(index + 1, || None);
            }
            self.topics[index] = Some(Box::new(LiveTopic::begin(entry, pos, current)));
            self.stream_mut(entry.instrument.id)[entry.stream().kind.index()].push(entry.slot);
            self.live += 1;
            self.metrics.topics.set(self.live as i64);
        }
        if let (None, Some(topic)) = (current, self.live_mut(entry.slot))
            && topic.shows_book_or_quote()
        {
            topic.awaits_update = true;
            return;
        }
        let current = current.map(|update| self.as_published(entry.slot, update));
        for encoding in Encoding::ALL {
            let shards = entry.take_asked(encoding);
            if shards != 0 {
                self.send_snapshot(entry.slot, encoding, shards, current.as_ref());
            }
        }
    }

    /// Tells the shards that know a topic, or have asked for it, that it has a successor.
    pub fn tell_replaced(&mut self, entry: &Arc<TopicEntry>) {
        self.end_topic(entry.slot);
        for encoding in Encoding::ALL {
            let shards = entry.take_asked(encoding) | entry.wanted(encoding);
            if shards != 0 {
                self.replaced.push((Arc::clone(entry), encoding, shards));
            }
        }
    }

    /// Removes a topic without subscribers: its view, its held updates, its place in its stream.
    /// Returns whether it is so; if not, it is to be opened.
    pub fn let_go(&mut self, entry: &Arc<TopicEntry>) -> bool {
        if entry.is_wanted() {
            return false;
        }
        self.end_topic(entry.slot);
        true
    }

    /// Whether a topic of this stream is live.
    pub fn has_topics(&self, stream: StreamKey) -> bool {
        let streams = self.streams.get(stream.instrument.index());
        streams.is_some_and(|streams| !streams[stream.kind.index()].is_empty())
    }

    fn send_snapshot(
        &mut self,
        slot: TopicSlot,
        encoding: Encoding,
        shards: ShardMask,
        history: Option<&Update<'_>>,
    ) {
        let Some(topic) = live_mut(&mut self.topics, slot) else {
            return;
        };
        let begun = topic.entry.begun();
        let (known, frame) = match topic.sealed_snapshot(encoding) {
            Some(bytes) => (true, Frame::Sealed(bytes)),
            None => {
                let (known, range) =
                    topic.write_snapshot(encoding, &mut self.turn, self.now, history);
                if !range.is_empty() {
                    let channel = topic.entry.topic.channel.kind();
                    self.metrics.snapshots_encoded.of(channel, encoding).inc();
                }
                (known, Frame::Written(range))
            }
        };
        let kind = ItemKind::Snapshot { known };
        let pos = topic.pos();
        self.turn.items.push(Pending {
            slot,
            encoding,
            kind,
            pos,
            frame,
            shards,
            begun,
        });
    }

    /// Hands out what the turn has produced. With `more` to come at once, a shard that has just had a
    /// long turn is not woken yet: its next batch is the larger.
    pub fn flush(&mut self, now: Mono, more: bool) {
        self.catch_up();
        if !self.reopened_later.is_empty() && now >= self.reopen_at {
            self.reopened.append(&mut self.reopened_later);
            self.reopen_at = now.after(REOPEN_EVERY);
        }
        if !self.turn.items.is_empty() {
            self.hand_out(now);
        }
        if !self.replaced.is_empty() {
            self.hand_out_replaced(now);
        }
        let mut unrung = std::mem::take(&mut self.unrung);
        while unrung != 0 {
            let shard = unrung.trailing_zeros() as usize;
            unrung &= unrung - 1;
            if more && self.rings[shard].may_rest(now) {
                self.unrung |= 1 << shard;
            } else {
                self.rings[shard].wake();
            }
        }
    }

    fn hand_out(&mut self, now: Mono) {
        let block = if self.turn.frames.is_empty() {
            Bytes::new()
        } else {
            self.chunks.seal(&self.turn.frames)
        };
        let mut items = std::mem::take(&mut self.turn.items);
        for pending in items.drain(..) {
            self.push(pending, &block, now);
        }
        self.turn.items = items;
        self.turn.frames.clear();
        for (ring, items) in self.rings.iter().zip(&self.metrics.ring_items) {
            items.set(ring.len() as i64);
        }
    }

    /// Tells shards of topics that have successors, behind all frames of these topics.
    fn hand_out_replaced(&mut self, now: Mono) {
        let Self {
            replaced,
            rings,
            unrung,
            ..
        } = self;
        replaced.retain_mut(|(entry, encoding, shards)| {
            for (shard, ring) in rings.iter_mut().enumerate() {
                let bit = 1 << shard;
                let item = || Item::replaced(entry.slot, *encoding, now);
                if *shards & bit != 0 && ring.try_push(item()).is_ok() {
                    *unrung |= bit;
                    *shards &= !bit;
                }
            }
            *shards != 0
        });
    }

    fn push(&mut self, pending: Pending, block: &Bytes, now: Mono) {
        let Pending {
            slot,
            encoding,
            kind,
            pos,
            frame,
            mut shards,
            begun,
        } = pending;
        let (block, range) = match frame {
            Frame::Written(range) => {
                if let ItemKind::Snapshot { known: true } = kind
                    && let Some(topic) = live_mut(&mut self.topics, slot)
                {
                    let frame = &block[range.start as usize..range.end as usize];
                    topic.keep_snapshot(encoding, pos, frame);
                }
                (block.clone(), range)
            }
            Frame::Sealed(bytes) => {
                let range = 0..bytes.len() as u32;
                (bytes, range)
            }
        };
        let (epoch, seq, published) = (pos.epoch, pos.seq, now);
        let item = Item {
            slot,
            encoding,
            kind,
            epoch,
            seq,
            block,
            range,
            published,
            begun,
        };
        if let ItemKind::Update { .. } | ItemKind::Gap { .. } = kind
            && let Some(topic) = self.live_mut(slot)
        {
            // What follows a frame that did not fit must not arrive either.
            let missed = topic.missed.frames(encoding);
            if item.is_upstream_loss() {
                topic.missed.note_upstream(encoding, shards & missed);
            }
            shards &= !missed;
        }
        while shards != 0 {
            let shard = shards.trailing_zeros() as usize;
            shards &= shards - 1;
            match self.rings[shard].try_push(item.clone()) {
                Ok(()) => self.unrung |= 1 << shard,
                Err(item) => self.note_overrun(shard, &item),
            }
        }
    }

    /// Whether some shard has missed something that is not made good yet: then [`Publisher::flush`]
    /// should be called again soon, also if nothing else happens.
    pub fn is_behind(&self) -> bool {
        !(self.behind.is_empty() && self.replaced.is_empty() && self.reopened_later.is_empty())
    }

    /// Topics whose joiners could not be answered before and can be now: to be opened again.
    pub fn take_reopened(&mut self) -> Option<Arc<TopicEntry>> {
        self.reopened.pop()
    }

    /// Whether there are such topics.
    pub fn has_reopened(&self) -> bool {
        !self.reopened.is_empty()
    }

    /// A topic's successor cannot begin yet: has the topic opened again in a millisecond.
    pub fn reopen_later(&mut self, entry: Arc<TopicEntry>) {
        let mut known = self.reopened_later.iter();
        if !known.any(|other| Arc::ptr_eq(other, &entry)) {
            self.reopened_later.push(entry);
        }
    }

    fn note_overrun(&mut self, shard: usize, item: &Item) {
        self.metrics.ring_overruns[shard].inc();
        let Some(topic) = live_mut(&mut self.topics, item.slot) else {
            return;
        };
        if topic.missed.is_empty() {
            self.behind.push(Arc::clone(&topic.entry));
        }
        topic.missed.note(shard, item);
    }

    /// Makes good what rings could not take, where they have room again. A ring counts as having room
    /// when it is at most half full, so that the repair does not overrun it at once.
    fn catch_up(&mut self) {
        if self.behind.is_empty() {
            return;
        }
        let room = self
            .rings
            .iter()
            .enumerate()
            .fold(0, |mask, (shard, ring)| {
                if ring.is_over_half() {
                    mask
                } else {
                    mask | 1 << shard
                }
            });
        let mut behind = std::mem::take(&mut self.behind);
        behind.retain(|entry| {
            let Some(topic) = live_mut(&mut self.topics, entry.slot) else {
                return false;
            };
            if !entry.is_wanted() {
                // Nobody has missed anything; who comes back gets a snapshot.
                topic.missed = Missed::default();
                return false;
            }
            if topic.catch_up(room, &mut self.turn, self.now) {
                self.reopened.push(Arc::clone(&topic.entry));
            }
            !topic.missed.is_empty()
        });
        self.behind = behind;
    }

    fn stream_mut(&mut self, instrument: InstrumentId) -> &mut [Vec<TopicSlot>; StreamKind::COUNT] {
        let index = instrument.index();
        if self.streams.len() <= index {
            self.streams.resize_with(index + 1, Default::default);
        }
        &mut self.streams[index]
    }

    fn live_mut(&mut self, slot: TopicSlot) -> Option<&mut LiveTopic> {
        live_mut(&mut self.topics, slot)
    }

    fn end_topic(&mut self, slot: TopicSlot) {
        if self.live_mut(slot).is_none() {
            return;
        }
        let Some(topic) = self.topics[slot.index()].take() else {
            return;
        };
        let stream = topic.entry.stream();
        self.stream_mut(stream.instrument)[stream.kind.index()].retain(|other| *other != slot);
        self.live -= 1;
        self.metrics.topics.set(self.live as i64);
    }
}

impl UpdateSink for Publisher {
    fn replace(&mut self, replaced: InstrumentId, _by: &Arc<Instrument>) {
        let Some(streams) = self.streams.get_mut(replaced.index()) else {
            return;
        };
        let slots: Vec<_> = streams.iter_mut().flat_map(std::mem::take).collect();
        let now = self.mono;
        for &slot in &slots {
            // Numbered and held back: nothing else would bring it.
            self.conflate(slot, |conflator, publish| conflator.release(now, publish));
        }
        // While the topics live, so that one whose frame does not fit gets none after it.
        if !self.turn.items.is_empty() {
            self.hand_out(now);
        }
        for slot in slots {
            if let Some(topic) = self.topics[slot.index()].take_if(|topic| topic.entry.slot == slot)
            {
                self.reopened.push(topic.entry);
                self.live -= 1;
            }
        }
        self.metrics.topics.set(self.live as i64);
    }

    fn publish(&mut self, update: &Update<'_>) {
        let kind = update.body.kind();
        let Some(streams) = self.streams.get_mut(update.instrument.id.index()) else {
            self.metrics.updates_unwanted.inc();
            return;
        };
        if streams[kind.index()].is_empty() {
            self.metrics.updates_unwanted.inc();
            return;
        }
        let mut slots = std::mem::take(&mut streams[kind.index()]);
        slots.retain(|&slot| {
            let Some(topic) = live_mut(&mut self.topics, slot) else {
                return false;
            };
            if !topic.entry.is_wanted() {
                self.end_topic(slot);
                return false;
            }
            if std::mem::take(&mut topic.awaits_update) {
                self.reopened.push(Arc::clone(&topic.entry));
            }
            if topic.conflator.is_none() {
                topic.publish(update, &mut self.turn, self.now, &self.metrics);
            } else {
                self.take_conflated(slot, update);
            }
            true
        });
        self.streams[update.instrument.id.index()][kind.index()] = slots;
    }
}

/// The live topic in a slot, unless it is of another generation.
fn live_mut(topics: &mut [Option<Box<LiveTopic>>], slot: TopicSlot) -> Option<&mut LiveTopic> {
    let topic = topics.get_mut(slot.index())?.as_deref_mut()?;
    (topic.entry.slot == slot).then_some(topic)
}

/// Appends a frame to a turn's frames and returns its place.
fn write_frame(
    frames: &mut Vec<u8>,
    opcode: Opcode,
    write: impl FnOnce(&mut Vec<u8>),
) -> Range<u32> {
    let range = frame::append(frames, opcode, write);
    range.start as u32..range.end as u32
}

/// A turn hands out what it has at this many bytes: what a socket takes in a few writes.
const TURN_BYTES_MAX: usize = 128 * 1024;
/// Or at this many items.
const TURN_ITEMS_MAX: usize = 512;
/// How often a topic that cannot get a successor is tried again.
const REOPEN_EVERY: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests;
