//! The subscriptions of one shard.
//!
//! A slot per subscribed topic (and encoding) has two lists: subscribers that are **live** and get every
//! frame, and subscribers that are **joining** and wait for their snapshot. A subscriber that is
//! **behind** (its socket was full and its queued frames were discarded) is in neither list. It costs
//! nothing until its socket takes bytes again, and is only counted.
//!
//! A slot holds its topic's entry. So the topic does not end, and its own slot among all topics is not
//! used again. After that, an item that is still in the ring has an old generation and is ignored.
//!
//! Lists and subscriptions refer to each other, so that adding, moving and removing are O(1).

use super::steps;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher as _;
use std::sync::Arc;
use tapecast_fanout::{Delivery, Item, ItemKind, TopicEntry, TopicSlot};
use tapecast_model::{Mono, StreamPos};
use tapecast_wire::Encoding;

/// A slot's number; stable while the slot has subscribers.
pub(crate) type SlotId = u32;
/// A connection's number on its shard.
pub(crate) type ConnId = u32;

/// Topics by slot, and slots by that of the topic among all topics.
#[derive(Debug, Default)]
pub(crate) struct Index {
    slots: Vec<Option<Slot>>,
    free: Vec<SlotId>,
    by_topic: Vec<[SlotId; Encoding::ALL.len()]>,
    /// By the topic's text, for requests.
    by_text: HashTable<SlotId>,
    hasher: DefaultHashBuilder,
    subscriptions: usize,
}

/// A topic that has a subscriber on this shard.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) entry: Arc<TopicEntry>,
    /// The topic's slot among all topics.
    topic: TopicSlot,
    pub(crate) encoding: Encoding,
    pub(crate) delivery: Delivery,
    /// Subscribers that get every frame.
    pub(crate) live: Vec<Subscriber>,
    /// Subscribers that wait for a snapshot.
    pub(crate) joining: Vec<Subscriber>,
    /// Subscribers that wait for their socket.
    pub(crate) behind: u32,
    /// The position of the topic for live subscribers.
    pub(crate) pos: StreamPos,
    /// The last event that a notice announced as lost. A subscriber with a lower position has not got this notice.
    pub(crate) lost_at: StreamPos,
    /// Counts the items for live subscribers; never zero.
    pub(crate) frames: u32,
    /// The number that its interest has in the topic: an older snapshot is not for its subscribers.
    pub(crate) began: u64,
    /// When the last frame of the topic came by.
    pub(crate) last_frame: Mono,
    /// This turn's run of the topic, valid if the turn has the number next to it.
    pub(crate) run: (u64, u32),
}

/// A subscription, seen from its slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Subscriber {
    pub(crate) conn: ConnId,
    /// Its place among the connection's subscriptions.
    pub(crate) sub: u32,
}

/// A subscription, seen from its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subscription {
    pub(crate) slot: SlotId,
    pub(crate) state: SubState,
    /// Its place in the slot's list of that state.
    place: u32,
    /// Frames of it that are queued.
    pub(crate) queued: u32,
    /// Its place among the topics of an acknowledgement that waits for its snapshot, or [`NOT_AWAITED`].
    pub(crate) awaited: u32,
    /// It joined with nothing known, and was sent nothing until the slot's count of frames is another;
    /// zero: it was sent something.
    pub(crate) empty_at: u32,
    /// The number of the topic on the wire, as its client was last told.
    pub(crate) tid: u32,
}

/// What a subscription waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SubState {
    /// Nothing: it gets every frame.
    Live,
    /// Its snapshot. What it has, and may have to be told is right no more, is this; zero if unknown.
    Joining(StreamPos),
    /// Its socket; the last it got, or has queued, is this.
    Behind(StreamPos),
}

const NONE: SlotId = SlotId::MAX;
/// No acknowledgement waits for the subscription.
pub(crate) const NOT_AWAITED: u32 = u32::MAX;

// === impl Index ===

impl Index {
    /// The slot of a topic, if it has subscribers here. Once per item: an old generation has none.
    pub(crate) fn find(&self, topic: TopicSlot, encoding: Encoding) -> Option<SlotId> {
        let id = self.by_topic.get(topic.index())?[encoding.index()];
        let slot = self.slots.get(id as usize)?.as_ref()?;
        (slot.topic == topic).then_some(id)
    }

    /// The slot of a topic by its text, if it has subscribers here.
    pub(crate) fn find_text(&self, text: &str, encoding: Encoding) -> Option<SlotId> {
        let is_it = |id: &SlotId| {
            steps::visit(1);
            self.slot(*id)
                .is_some_and(|slot| slot.encoding == encoding && &*slot.entry.text == text)
        };
        self.by_text
            .find(self.hasher.hash_one(text), is_it)
            .copied()
    }

    /// The slot of a topic, made if it has none.
    pub(crate) fn ensure(&mut self, entry: &Arc<TopicEntry>, encoding: Encoding) -> SlotId {
        if let Some(slot) = self.find(entry.slot, encoding) {
            return slot;
        }
        let index = entry.slot.index();
        if self.by_topic.len() <= index {
            self.by_topic.resize(index + 1, [NONE; Encoding::ALL.len()]);
        }
        let slot = Slot {
            entry: Arc::clone(entry),
            topic: entry.slot,
            encoding,
            delivery: entry.delivery(),
            live: Vec::new(),
            joining: Vec::new(),
            behind: 0,
            pos: StreamPos::default(),
            lost_at: StreamPos::default(),
            frames: 1,
            began: 0,
            last_frame: Mono::default(),
            run: (0, 0),
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = Some(slot);
                id
            }
            None => {
                self.slots.push(Some(slot));
                (self.slots.len() - 1) as SlotId
            }
        };
        self.by_topic[index][encoding.index()] = id;
        let (slots, hasher) = (&self.slots, &self.hasher);
        let text_hash = |id: &SlotId| {
            let slot = slots[*id as usize].as_ref();
            slot.map_or(0, |slot| hasher.hash_one(&*slot.entry.text))
        };
        self.by_text.insert_unique(text_hash(&id), id, text_hash);
        id
    }

    /// The topic that has subscribers here under the same text, if its successor is this one: it is replaced in
    /// the order of the ring, and until then subscribers join it.
    pub(crate) fn predecessor(
        &self,
        entry: &TopicEntry,
        encoding: Encoding,
    ) -> Option<Arc<TopicEntry>> {
        let slot = self.slot(self.find_text(&entry.text, encoding)?)?;
        (slot.topic != entry.slot).then(|| Arc::clone(&slot.entry))
    }

    /// Puts a topic's successor in its place. Its subscribers stay; of the successor, nothing is known yet. Returns
    /// the topic that was there.
    pub(crate) fn replace(
        &mut self,
        id: SlotId,
        successor: &Arc<TopicEntry>,
    ) -> Option<Arc<TopicEntry>> {
        let slot = self.slots.get_mut(id as usize)?.as_mut()?;
        let (old, at) = (slot.topic, successor.slot.index());
        slot.topic = successor.slot;
        (slot.pos, slot.lost_at) = Default::default();
        let replaced = std::mem::replace(&mut slot.entry, Arc::clone(successor));
        let encoding = slot.encoding.index();
        if self.by_topic.len() <= at {
            self.by_topic.resize(at + 1, [NONE; Encoding::ALL.len()]);
        }
        self.by_topic[old.index()][encoding] = NONE;
        self.by_topic[at][encoding] = id;
        Some(replaced)
    }

    /// A slot that has subscribers.
    pub(crate) fn slot(&self, id: SlotId) -> Option<&Slot> {
        self.slots.get(id as usize)?.as_ref()
    }

    /// A slot that has subscribers.
    pub(crate) fn slot_mut(&mut self, id: SlotId) -> Option<&mut Slot> {
        self.slots.get_mut(id as usize)?.as_mut()
    }

    /// Subscriptions on this shard.
    pub(crate) fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// Adds a subscription to a slot, joining.
    pub(crate) fn add(
        &mut self,
        conn: ConnId,
        subs: &mut Vec<Subscription>,
        slot: SlotId,
    ) -> usize {
        let sub = subs.len();
        let tid = self.slot(slot).map_or(0, |slot| slot.entry.tid);
        subs.push(Subscription {
            slot,
            state: SubState::Joining(StreamPos::default()),
            place: 0,
            queued: 0,
            awaited: NOT_AWAITED,
            empty_at: 0,
            tid,
        });
        self.enter(conn, subs, sub);
        self.subscriptions += 1;
        sub
    }

    /// Moves a subscription to another state. Moves within the lists of the slot touch one other
    /// subscription at most, of another connection or of this one: `fix` tells its connection.
    pub(crate) fn set_state(
        &mut self,
        conn: ConnId,
        subs: &mut [Subscription],
        sub: usize,
        state: SubState,
    ) -> Option<Moved> {
        let moved = self.exit(conn, subs, sub);
        subs[sub].state = state;
        self.enter(conn, subs, sub);
        moved
    }

    /// Removes a subscription. Returns what moved in the slot's list, and whether the slot is gone,
    /// in which case the shard has left the topic.
    pub(crate) fn remove(
        &mut self,
        conn: ConnId,
        subs: &mut Vec<Subscription>,
        sub: usize,
    ) -> (Option<Moved>, Option<Slot>) {
        let moved = self.exit(conn, subs, sub);
        let slot = subs[sub].slot;
        subs.swap_remove(sub);
        // The connection's last subscription took the place of the removed one.
        if let Some(&Subscription {
            slot, state, place, ..
        }) = subs.get(sub)
            && let Some(list) = self.slot_mut(slot).and_then(|s| s.list(state))
        {
            list[place as usize].sub = sub as u32;
        }
        self.subscriptions -= 1;
        (moved, self.drop_if_empty(slot))
    }

    fn enter(&mut self, conn: ConnId, subs: &mut [Subscription], sub: usize) {
        let Subscription { slot, state, .. } = subs[sub];
        let Some(slot) = self.slot_mut(slot) else {
            return;
        };
        match slot.list(state) {
            Some(list) => {
                subs[sub].place = list.len() as u32;
                list.push(Subscriber {
                    conn,
                    sub: sub as u32,
                });
            }
            None => slot.behind += 1,
        }
    }

    fn exit(&mut self, conn: ConnId, subs: &mut [Subscription], sub: usize) -> Option<Moved> {
        let Subscription {
            slot, state, place, ..
        } = subs[sub];
        let slot = self.slot_mut(slot)?;
        let Some(list) = slot.list(state) else {
            slot.behind -= 1;
            return None;
        };
        debug_assert_eq!(
            list[place as usize],
            Subscriber {
                conn,
                sub: sub as u32
            }
        );
        list.swap_remove(place as usize);
        let moved = *list.get(place as usize)?;
        if moved.conn == conn {
            subs[moved.sub as usize].place = place;
            return None;
        }
        Some(Moved {
            subscriber: moved,
            place,
        })
    }

    fn drop_if_empty(&mut self, id: SlotId) -> Option<Slot> {
        let slot = self.slot(id)?;
        if !slot.live.is_empty() || !slot.joining.is_empty() || slot.behind > 0 {
            return None;
        }
        let slot = self.slots[id as usize].take()?;
        let text_hash = self.hasher.hash_one(&*slot.entry.text);
        if let Ok(entry) = self.by_text.find_entry(text_hash, |other| *other == id) {
            entry.remove();
        }
        self.by_topic[slot.topic.index()][slot.encoding.index()] = NONE;
        self.free.push(id);
        Some(slot)
    }
}

/// Another connection's subscription whose place in a slot's list has changed.
#[must_use = "the other connection's subscription must be told its new place"]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    pub(crate) subscriber: Subscriber,
    place: u32,
}

impl Moved {
    /// Tells the connection it belongs to.
    pub(crate) fn tell(self, subs: &mut [Subscription]) {
        subs[self.subscriber.sub as usize].place = self.place;
    }
}

// === impl Slot ===

impl Slot {
    fn list(&mut self, state: SubState) -> Option<&mut Vec<Subscriber>> {
        match state {
            SubState::Live => Some(&mut self.live),
            SubState::Joining(_) => Some(&mut self.joining),
            SubState::Behind(_) => None,
        }
    }

    /// The position of live subscribers before an item. A notice that was sent late may begin before the
    /// position of an empty snapshot that was sent after the loss.
    pub(crate) fn before(&self, item: &Item) -> StreamPos {
        match item.kind {
            ItemKind::Gap { prev: seq, .. } => {
                let epoch = item.epoch;
                self.pos.min(StreamPos { epoch, seq })
            }
            _ => self.pos,
        }
    }

    /// Counts an item for live subscribers.
    pub(crate) fn note_frame(&mut self, item: &Item, now: Mono) {
        self.pos = item.pos();
        self.last_frame = now;
        self.frames = self.frames.wrapping_add(1).max(1);
        if item.is_upstream_loss() {
            self.lost_at = item.pos();
        }
    }

    /// Whether nothing has come since the last loss: of a state, nothing is known.
    pub(crate) fn ends_in_loss(&self) -> bool {
        self.pos == self.lost_at && self.lost_at != StreamPos::default()
    }

    /// Whether its source waits for slow readers, so that nothing of it may be given up.
    pub(crate) fn is_lossless(&self) -> bool {
        self.entry.instrument.lossless
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tapecast_model::{Instrument, InstrumentId, Scale, Symbol, Venue};

    fn entry(tid: u32) -> Arc<TopicEntry> {
        let instrument = Arc::new(Instrument {
            id: InstrumentId::new(0),
            venue: Venue::new("sim").unwrap(),
            symbol: Symbol::new("A").unwrap(),
            native: "A".into(),
            price_scale: Scale::default(),
            qty_scale: Scale::default(),
            lossless: false,
        });
        Arc::new(TopicEntry::new(
            tid,
            TopicSlot::new(tid),
            "trade:sim:A".parse().unwrap(),
            instrument,
        ))
    }

    proptest! {
        /// Any sequence of joining, moving and leaving keeps both directions of the links true.
        #[test]
        fn links_stay_true(ops in prop::collection::vec((0_u32..4, 0_u32..5, 0_u8..4), 0..200)) {
            let entries: Vec<_> = (0..5).map(entry).collect();
            let mut index = Index::default();
            let mut conns: Vec<Vec<Subscription>> = vec![Vec::new(); 4];
            for (conn, tid, what) in ops {
                let slot = index.find(TopicSlot::new(tid), Encoding::Json);
                let subs = &mut conns[conn as usize];
                let sub = slot.and_then(|slot| subs.iter().position(|s| s.slot == slot));
                let moved = match (sub, what) {
                    (None, _) => {
                        let slot = index.ensure(&entries[tid as usize], Encoding::Json);
                        index.add(conn, subs, slot);
                        None
                    }
                    (Some(sub), 0) => index.remove(conn, subs, sub).0,
                    (Some(sub), 1) => index.set_state(conn, subs, sub, SubState::Live),
                    (Some(sub), 2) => {
                        let joining = SubState::Joining(StreamPos::default());
                        index.set_state(conn, subs, sub, joining)
                    }
                    (Some(sub), _) => {
                        index.set_state(conn, subs, sub, SubState::Behind(StreamPos::default()))
                    }
                };
                if let Some(moved) = moved {
                    moved.tell(&mut conns[moved.subscriber.conn as usize]);
                }
                let mut counted = 0;
                for (conn, subs) in conns.iter().enumerate() {
                    for (at, sub) in subs.iter().enumerate() {
                        counted += 1;
                        let slot = index.slot_mut(sub.slot).unwrap();
                        if let Some(list) = slot.list(sub.state) {
                            let here = Subscriber { conn: conn as u32, sub: at as u32 };
                            prop_assert_eq!(list[sub.place as usize], here);
                        }
                    }
                }
                let listed: usize = index.slots.iter().flatten()
                    .map(|s| s.live.len() + s.joining.len() + s.behind as usize).sum();
                prop_assert_eq!(listed, counted);
                prop_assert_eq!(index.subscriptions(), counted);
            }
        }
    }
}
