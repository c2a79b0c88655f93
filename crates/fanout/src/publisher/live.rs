//! A live topic: what its subscribers know, and how the next update becomes a frame for them.

use super::{Frame, Pending, TurnOutput};
use crate::conflator::Conflator;
use crate::interest::{ShardMask, TopicEntry};
use crate::item::{Item, ItemKind};
use crate::metrics::FanoutMetrics;
use crate::view::BookView;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use tapecast_model::{
    Body, Channel, ChannelKind, Epoch, EventTime, Quote, Seq, Status, StreamPos, Terms, Ticker,
    Trade, TradingState, UnixNanos, Update,
};
use tapecast_wire::json::{self, BookLevels, CHECKSUM_LEVELS, Head};
use tapecast_wire::reply::{self, Gap, GapCause};
use tapecast_wire::{Definition, Encoding, Opcode, encode};

/// A topic that has subscribers.
#[derive(Debug)]
pub(super) struct LiveTopic {
    pub(super) entry: Arc<TopicEntry>,
    pub(super) missed: Missed,
    /// What an interval topic holds back; none for other topics. Everything else here is what has
    /// been published.
    pub(super) conflator: Option<Box<Conflator>>,
    prefix: Vec<u8>,
    epoch: Epoch,
    /// The number of the last frame.
    last: Seq,
    view: View,
    /// The checksum of a book view.
    checksum: u32,
    times: Times,
    /// The last snapshots that were sent, one per encoding, good for as long as the view does not
    /// change.
    snapshots: Snapshots,
    /// Shards that asked for its state get their answer after the next update of the stream.
    pub(super) awaits_update: bool,
}

type Snapshots = [Option<(StreamPos, Bytes)>; Encoding::ALL.len()];

/// What every subscriber of the topic knows.
#[derive(Debug)]
enum View {
    Unknown,
    Trades,
    Quote(Quote),
    Book(BookView),
    Ticker(Ticker),
    Status(Status),
    /// With the names and scales of the topic's instrument.
    Definition(Terms, TradingState),
}

/// The times of the last update.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    ts_event: Option<EventTime>,
    ts_recv: Option<UnixNanos>,
    venue_seq: Option<u64>,
}

/// What shards' full rings could not take of a topic.
#[derive(Debug, Default)]
pub(super) struct Missed([MissedIn; Encoding::ALL.len()]);

#[derive(Debug, Default)]
struct MissedIn {
    /// Shards whose subscribers have lost frames.
    frames: ShardMask,
    /// Shards whose joiners were not answered.
    joins: ShardMask,
    /// The last that each shard in `frames` has had.
    since: Vec<Since>,
}

/// What the last frame was that a shard has had of a topic.
#[derive(Clone, Copy, Debug)]
struct Since {
    shard: usize,
    pos: StreamPos,
    /// Among what it has missed is a notice that events never came.
    upstream: bool,
}

// === impl LiveTopic ===

impl LiveTopic {
    /// Begins at the position of the stream.
    pub(super) fn begin(
        entry: &Arc<TopicEntry>,
        pos: StreamPos,
        current: Option<&Update<'_>>,
    ) -> Self {
        let mut topic = Self {
            entry: Arc::clone(entry),
            missed: Missed::default(),
            conflator: Conflator::of(entry).map(Box::new),
            prefix: json::prefix(&entry.topic),
            epoch: pos.epoch,
            last: pos.seq,
            view: View::Unknown,
            checksum: 0,
            times: Times::default(),
            snapshots: Snapshots::default(),
            awaits_update: false,
        };
        if entry.topic.channel.kind() == ChannelKind::Trade {
            topic.view = View::Trades;
        }
        if let Some(update) = current {
            topic.times = Times::of(update);
            topic.view = match update.body {
                Body::Trades(_) => View::Trades,
                Body::Quote(quote) => View::Quote(*quote),
                Body::Ticker(ticker) => View::Ticker(*ticker),
                Body::Status(status) => View::Status(status.clone()),
                Body::Definition { terms, trading } => View::Definition(*terms, trading),
                Body::Lost { .. } => View::Unknown,
                Body::Book { book, .. } => {
                    let mut view = BookView::default();
                    view.replace(book, topic.levels());
                    let mut text = Vec::new();
                    topic.checksum =
                        json::checksum(&mut text, &entry.instrument, view.bids(), view.asks());
                    View::Book(view)
                }
            };
        }
        topic
    }

    /// The position of the topic: the number of its last frame.
    pub(super) const fn pos(&self) -> StreamPos {
        StreamPos {
            epoch: self.epoch,
            seq: self.last,
        }
    }

    /// Whether it has a state that may be held back later.
    pub(super) const fn shows_book_or_quote(&self) -> bool {
        matches!(self.view, View::Book(_) | View::Quote(_))
    }

    /// How many levels a book topic shows.
    fn levels(&self) -> usize {
        match self.entry.topic.channel {
            Channel::Book(depth) => depth.levels(),
            _ => 0,
        }
    }

    /// Makes an update into a frame for its subscribers. Returns whether it became one, which an
    /// update without a visible change does not.
    pub(super) fn publish(
        &mut self,
        update: &Update<'_>,
        turn: &mut TurnOutput,
        now: UnixNanos,
        metrics: &FanoutMetrics,
    ) -> bool {
        let starts_over = update.epoch != self.epoch;
        if starts_over {
            self.start_over(update, turn, now);
        }
        let known = match (&mut self.view, update.body) {
            (_, Body::Lost { events, .. }) => {
                self.lose(update.seq, events, turn);
                return false;
            }
            (View::Book(view), Body::Book { book, touched, .. }) => {
                let depth = match self.entry.topic.channel {
                    Channel::Book(depth) => depth.levels(),
                    _ => 0,
                };
                if !view.refresh(book, touched, depth, &mut turn.changes) {
                    return false;
                }
                true
            }
            (_, Body::Book { book, .. }) => {
                let mut view = BookView::default();
                view.replace(book, self.levels());
                turn.changes.best_rank = 0;
                self.view = View::Book(view);
                false
            }
            (_, Body::Trades(_)) => true,
            (view, Body::Quote(quote)) => replace(view, View::Quote(*quote)),
            (view, Body::Ticker(ticker)) => replace(view, View::Ticker(*ticker)),
            (view, Body::Status(status)) => replace(view, View::Status(status.clone())),
            (view, Body::Definition { terms, trading }) => {
                replace(view, View::Definition(*terms, trading))
            }
        };
        self.snapshots = Snapshots::default();
        self.times = Times::of(update);
        let prev = std::mem::replace(&mut self.last, update.seq);
        if let View::Book(view) = &self.view
            && turn.changes.best_rank < CHECKSUM_LEVELS
        {
            self.checksum = turn.checksum(update, self.levels(), view);
        }
        for encoding in Encoding::ALL {
            let shards = self.entry.wanted(encoding) & !self.missed.frames(encoding);
            if shards == 0 {
                continue;
            }
            let (kind, range) = if known {
                (
                    ItemKind::Update { prev },
                    self.write_update(encoding, turn, now, prev, &update.body),
                )
            } else {
                (ItemKind::Reset, self.write_state(encoding, turn, now, &[]))
            };
            let channel = update.body.kind().channel();
            metrics.frames_encoded.of(channel, encoding).inc();
            metrics.encoded_bytes[encoding.index()].inc_by(u64::from(range.end - range.start));
            self.push(turn, encoding, kind, range, shards);
        }
        true
    }

    /// The stream begins a new epoch: nothing of the old one is valid. A topic of trades starts again
    /// with an empty snapshot, so that its first trade is an update.
    fn start_over(&mut self, update: &Update<'_>, turn: &mut TurnOutput, now: UnixNanos) {
        self.epoch = update.epoch;
        self.snapshots = Snapshots::default();
        let events = match update.body {
            Body::Trades(trades) => trades.len() as u64,
            Body::Lost { events, .. } => events,
            _ => 1,
        };
        self.last = Seq::new(update.seq.get().saturating_sub(events));
        if !matches!(self.view, View::Trades) {
            self.view = View::Unknown;
            return;
        }
        self.times = Times::default();
        for encoding in Encoding::ALL {
            let shards = self.entry.wanted(encoding) & !self.missed.frames(encoding);
            if shards != 0 {
                let range = self.write_state(encoding, turn, now, &[]);
                self.push(turn, encoding, ItemKind::Reset, range, shards);
            }
        }
    }

    /// Events up to `seq` never came. A state is no longer known; subscribers with a state get one notice
    /// for all encodings. There is no notice if a new epoch begins without a state.
    fn lose(&mut self, seq: Seq, events: u64, turn: &mut TurnOutput) {
        self.snapshots = Snapshots::default();
        if !matches!(self.view, View::Trades) {
            self.view = View::Unknown;
        }
        let prev = std::mem::replace(&mut self.last, seq);
        if events == 0 {
            return;
        }
        let mut range = None;
        for encoding in Encoding::ALL {
            let missed = self.missed.frames(encoding);
            self.missed.note_upstream(encoding, missed);
            let shards = self.entry.wanted(encoding) & !missed;
            if shards != 0 {
                let cause = GapCause::Upstream;
                let range = range.get_or_insert_with(|| self.write_gap(turn, prev, cause, true));
                let upstream = true;
                self.push(
                    turn,
                    encoding,
                    ItemKind::Gap { prev, upstream },
                    range.clone(),
                    shards,
                );
            }
        }
    }

    /// Writes a notice that the events after `prev` are lost: text in every encoding.
    fn write_gap(
        &self,
        turn: &mut TurnOutput,
        prev: Seq,
        cause: GapCause,
        upstream: bool,
    ) -> Range<u32> {
        let gap = Gap {
            topic: &self.entry.text,
            epoch: self.epoch,
            from: prev.next(),
            to: self.last,
            cause,
            upstream,
        };
        super::write_frame(&mut turn.frames, Opcode::Text, |out| {
            reply::write_gap(out, &gap);
        })
    }

    /// The last snapshot that was sent, if it is still current.
    pub(super) fn sealed_snapshot(&self, encoding: Encoding) -> Option<Bytes> {
        let (pos, bytes) = self.snapshots[encoding.index()].as_ref()?;
        (*pos == self.pos()).then(|| bytes.clone())
    }

    /// Keeps a copy of a snapshot that was just sent: a few hundred bytes must not keep alive a
    /// whole chunk. Histories of trades are not kept, since a venue may still add to them.
    pub(super) fn keep_snapshot(&mut self, encoding: Encoding, pos: StreamPos, frame: &[u8]) {
        if pos == self.pos() && !matches!(self.view, View::Trades) {
            self.snapshots[encoding.index()] = Some((pos, Bytes::copy_from_slice(frame)));
        }
    }

    /// Writes a snapshot for joiners. Returns whether anything is known, and the frame, which is
    /// empty if there is nothing to send.
    pub(super) fn write_snapshot(
        &self,
        encoding: Encoding,
        turn: &mut TurnOutput,
        now: UnixNanos,
        history: Option<&Update<'_>>,
    ) -> (bool, Range<u32>) {
        match (&self.view, history.map(|update| update.body)) {
            (View::Unknown, _) => (false, 0..0),
            (View::Trades, Some(Body::Trades(trades))) => {
                let range = self.write_state(encoding, turn, now, trades);
                (!trades.is_empty(), range)
            }
            (View::Trades, _) => (false, self.write_state(encoding, turn, now, &[])),
            _ => (true, self.write_state(encoding, turn, now, &[])),
        }
    }

    fn head(&self, now: UnixNanos, prev: Option<Seq>) -> Head<'_> {
        let Times {
            ts_event,
            ts_recv,
            venue_seq,
        } = self.times;
        Head {
            prefix: &self.prefix,
            epoch: self.epoch,
            seq: self.last,
            prev,
            ts_event,
            ts_recv,
            ts_out: now,
            venue_seq,
            tid: self.entry.tid,
            conflated: self.entry.topic.interval.is_some(),
        }
    }

    fn write_update(
        &self,
        encoding: Encoding,
        turn: &mut TurnOutput,
        now: UnixNanos,
        prev: Seq,
        body: &Body<'_>,
    ) -> Range<u32> {
        let (head, instrument) = (self.head(now, Some(prev)), &self.entry.instrument);
        let TurnOutput {
            frames, changes, ..
        } = turn;
        super::write_frame(frames, encoding.opcode(), |out| match body {
            Body::Trades(trades) => encode::trades(encoding, out, &head, instrument, trades),
            Body::Quote(quote) => encode::quote(encoding, out, &head, instrument, quote),
            Body::Ticker(ticker) => encode::ticker(encoding, out, &head, ticker),
            Body::Status(status) => encode::status(encoding, out, &head, status),
            Body::Definition { terms, trading } => {
                let definition = Definition::of(instrument, terms, *trading);
                encode::definition(encoding, out, &head, &definition);
            }
            Body::Book { .. } | Body::Lost { .. } => {
                let levels = BookLevels {
                    bids: &changes.bids,
                    asks: &changes.asks,
                    checksum: self.checksum,
                };
                encode::book(encoding, out, &head, instrument, levels);
            }
        })
    }

    /// Writes the view as a snapshot. An unknown view writes nothing.
    fn write_state(
        &self,
        encoding: Encoding,
        turn: &mut TurnOutput,
        now: UnixNanos,
        history: &[Trade],
    ) -> Range<u32> {
        if let View::Unknown = self.view {
            return 0..0;
        }
        let (head, instrument) = (self.head(now, None), &self.entry.instrument);
        super::write_frame(&mut turn.frames, encoding.opcode(), |out| {
            match &self.view {
                View::Unknown => {}
                View::Trades => encode::trades(encoding, out, &head, instrument, history),
                View::Quote(quote) => encode::quote(encoding, out, &head, instrument, quote),
                View::Ticker(ticker) => encode::ticker(encoding, out, &head, ticker),
                View::Status(status) => encode::status(encoding, out, &head, status),
                View::Definition(terms, trading) => {
                    let definition = Definition::of(instrument, terms, *trading);
                    encode::definition(encoding, out, &head, &definition);
                }
                View::Book(view) => {
                    let levels = BookLevels {
                        bids: view.bids(),
                        asks: view.asks(),
                        checksum: self.checksum,
                    };
                    encode::book(encoding, out, &head, instrument, levels);
                }
            }
        })
    }

    fn push(
        &self,
        turn: &mut TurnOutput,
        encoding: Encoding,
        kind: ItemKind,
        range: Range<u32>,
        shards: ShardMask,
    ) {
        turn.items.push(Pending {
            slot: self.entry.slot,
            encoding,
            kind,
            pos: self.pos(),
            frame: Frame::Written(range),
            shards,
            begun: 0,
        });
    }

    /// Makes good what was missed by shards that have room again. Returns whether the topic should be
    /// opened again to answer joiners.
    pub(super) fn catch_up(
        &mut self,
        room: ShardMask,
        turn: &mut TurnOutput,
        now: UnixNanos,
    ) -> bool {
        let mut reopen = false;
        for encoding in Encoding::ALL {
            let (frames, joins) = self.missed.take(encoding, room);
            if joins != 0 {
                self.entry.ask_again(joins, encoding);
                reopen = true;
            }
            let mut reset: ShardMask = 0;
            for since in frames {
                let (shard, upstream) = (since.shard, since.upstream);
                let is_ours = since.pos.epoch == self.epoch;
                let prev = if is_ours { since.pos.seq } else { Seq::ZERO };
                let cause = match &self.view {
                    View::Trades if is_ours => GapCause::ServerOverload,
                    // What they hold is right no more, and there is nothing to replace it. A new epoch
                    // that has not begun says nothing.
                    View::Unknown if upstream && prev < self.last => GapCause::Upstream,
                    _ => {
                        reset |= 1 << shard;
                        continue;
                    }
                };
                let range = self.write_gap(turn, prev, cause, upstream);
                let kind = ItemKind::Gap { prev, upstream };
                self.push(turn, encoding, kind, range, 1 << shard);
            }
            // A view that is unknown right now is published to all as a reset when it is known again.
            if reset != 0 && !matches!(self.view, View::Unknown) {
                let range = self.write_state(encoding, turn, now, &[]);
                self.push(turn, encoding, ItemKind::Reset, range, reset);
            }
        }
        reopen
    }
}

/// Replaces a view; says whether there was one of the same kind before.
fn replace(view: &mut View, next: View) -> bool {
    let known = std::mem::discriminant(view) == std::mem::discriminant(&next);
    *view = next;
    known
}

// === impl Times ===

impl Times {
    const fn of(update: &Update<'_>) -> Self {
        Self {
            ts_event: update.ts_event,
            ts_recv: Some(update.ts_recv),
            venue_seq: update.venue_seq,
        }
    }
}

// === impl Missed ===

impl Missed {
    /// Whether nothing is missed.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|m| m.frames | m.joins == 0)
    }

    /// The shards whose subscribers have lost frames; they get no frames until this is repaired.
    pub(super) fn frames(&self, encoding: Encoding) -> ShardMask {
        self.0[encoding.index()].frames
    }

    /// Notes an item that a shard's ring could not take.
    pub(super) fn note(&mut self, shard: usize, item: &Item) {
        let missed = &mut self.0[item.encoding.index()];
        let bit = 1 << shard;
        let since = match item.kind {
            ItemKind::Snapshot { .. } => {
                missed.joins |= bit;
                return;
            }
            ItemKind::Update { prev } | ItemKind::Gap { prev, .. } => prev,
            ItemKind::Reset => Seq::ZERO,
            // Its topic is not live; the publisher keeps those who are still to be told.
            ItemKind::Replaced => return,
        };
        if missed.frames & bit == 0 {
            missed.frames |= bit;
            // A missed reset cannot be made good by a gap: an epoch that never was says so.
            let epoch = if item.kind == ItemKind::Reset {
                Epoch::default()
            } else {
                item.epoch
            };
            missed.since.push(Since {
                shard,
                pos: StreamPos { epoch, seq: since },
                upstream: item.is_upstream_loss(),
            });
        }
    }

    /// Notes that these shards, which have missed frames, miss a notice that events never came.
    pub(super) fn note_upstream(&mut self, encoding: Encoding, shards: ShardMask) {
        let missed = self.0[encoding.index()].since.iter_mut();
        for since in missed.filter(|since| shards & 1 << since.shard != 0) {
            since.upstream = true;
        }
    }

    /// Takes what can be made good now: shards that lost frames and since when, and shards whose
    /// joiners wait.
    fn take(&mut self, encoding: Encoding, room: ShardMask) -> (Vec<Since>, ShardMask) {
        let missed = &mut self.0[encoding.index()];
        let joins = missed.joins & room;
        missed.joins &= !room;
        missed.frames &= !room;
        let (now, later) = missed
            .since
            .drain(..)
            .partition(|since| room & (1 << since.shard) != 0);
        missed.since = later;
        (now, joins)
    }
}
