//! What travels from the publisher to a shard: a frame and what the shard must know to deliver it.

use crate::slot::TopicSlot;
use bytes::Bytes;
use std::ops::Range;
use tapecast_model::{ChannelKind, Epoch, Mono, Seq, StreamPos};
use tapecast_wire::Encoding;

/// A frame on its way to the subscribers that one shard has of one topic.
#[derive(Clone, Debug)]
pub struct Item {
    /// The topic's slot.
    pub slot: TopicSlot,
    /// In which encoding.
    pub encoding: Encoding,
    /// For whom, and what it means.
    pub kind: ItemKind,
    /// The stream's life.
    pub epoch: Epoch,
    /// The number of the last event in it.
    pub seq: Seq,
    /// The block that contains the frame; frames that were published together share one.
    pub block: Bytes,
    /// Where in the block. Empty if there is nothing to send.
    pub range: Range<u32>,
    /// When it was published.
    pub published: Mono,
    /// The topic's [`TopicEntry::begun`](crate::TopicEntry::begun) when a snapshot was made.
    pub begun: u64,
}

/// For whom an item is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ItemKind {
    /// For live subscribers: the next frame of the topic, after the frame with the number `prev`.
    Update {
        /// The number of the frame before it.
        prev: Seq,
    },
    /// For joining subscribers: the position of the topic. The frame is a snapshot, or absent if nothing
    /// is known yet. A trade topic without history has an empty snapshot and `known` is false.
    Snapshot {
        /// Whether anything is known.
        known: bool,
    },
    /// For live subscribers: the topic starts again with this snapshot. Joining ones get a snapshot of their own.
    Reset,
    /// For live subscribers: the events after `prev` and up to this number were lost, on the way to this
    /// shard or before. A notice, as text in every encoding.
    Gap {
        /// The number of the last frame that was not lost.
        prev: Seq,
        /// Some of them never came to the gateway. A part that replaces this notice by its own must say
        /// so in it.
        upstream: bool,
    },
    /// The instrument was replaced, and the topic has a [successor](crate::TopicEntry::successor), which the
    /// shard joins. No frame. Nothing of this topic follows.
    Replaced,
}

/// What becomes of a topic's frames when a client is slow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Delivery {
    /// Kept, up to a bound; then a gap is announced.
    Keep,
    /// The newest replaces older ones.
    Latest,
    /// What is pending is replaced by one snapshot.
    Resync,
}

impl Item {
    /// The word that a topic has a successor.
    pub(crate) const fn replaced(slot: TopicSlot, encoding: Encoding, published: Mono) -> Self {
        Self {
            slot,
            encoding,
            kind: ItemKind::Replaced,
            epoch: Epoch::new(0),
            seq: Seq::ZERO,
            block: Bytes::new(),
            range: 0..0,
            published,
            begun: 0,
        }
    }

    /// Whether it says that events never came.
    pub const fn is_upstream_loss(&self) -> bool {
        matches!(self.kind, ItemKind::Gap { upstream: true, .. })
    }

    /// The frame: header and payload, ready for the socket.
    pub fn frame(&self) -> &[u8] {
        &self.block[self.range.start as usize..self.range.end as usize]
    }

    /// Bytes of the frame.
    pub fn len(&self) -> usize {
        (self.range.end - self.range.start) as usize
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The frame as an owned reference to the shared block.
    pub fn shared(&self) -> Bytes {
        self.block
            .slice(self.range.start as usize..self.range.end as usize)
    }

    /// Its place in the stream.
    pub const fn pos(&self) -> StreamPos {
        StreamPos {
            epoch: self.epoch,
            seq: self.seq,
        }
    }
}

impl Delivery {
    /// The rule of a kind of channel.
    pub const fn of(kind: ChannelKind) -> Self {
        match kind {
            ChannelKind::Trade | ChannelKind::Status => Self::Keep,
            ChannelKind::Book => Self::Resync,
            ChannelKind::Quote
            | ChannelKind::Bar
            | ChannelKind::Ticker
            | ChannelKind::Instrument => Self::Latest,
        }
    }
}
