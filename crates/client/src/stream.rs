//! The complete rule for clients: which frames apply, which are old, and when something was lost.
//!
//! *A snapshot is always applied; an update is ignored if `seq <= last`; on `trade` and `book` it applies
//! if `prev == last`, else something was lost; on all other channels it applies whenever `seq > last`; a
//! `gap` sets `last` to its `to`.* After a gap, a state is not current until the next frame; a book needs
//! a snapshot.
//!
//! [`TopicState`] is this rule for one topic, [`Tracker`] for a connection. After a loss, a topic's
//! updates are ignored until a snapshot (or a gap notice) repairs it, so that a caller asks for one
//! resync and not for one per frame. A [`Heartbeat`](crate::message::Heartbeat) that names a later
//! position than ours is a loss too, because the position comes after the frames that it counts.
//!
//! This module knows no sockets and no time. It holds one small entry per topic, and only for topics that
//! the server has acknowledged or sent.

use crate::message::{DataFrame, Message, MessageKind};
use std::collections::HashMap;

/// What to do with a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Apply the frame.
    Apply,
    /// The frame is old, or its topic is waiting for a snapshot: ignore it.
    Ignore,
    /// Something between `last` and this frame was lost: do not apply it, ask for a resync.
    Lost,
    /// It is no frame of a topic.
    Control,
}

/// The position of a client in one topic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TopicState {
    chained: bool,
    /// Its updates change a state: without it they mean nothing.
    changes: bool,
    epoch: u64,
    last: Option<u64>,
    lost: bool,
    /// A gap was the last that came: the state, if it is one, is not current.
    outdated: bool,
}

/// The positions of a client in all its topics.
#[derive(Clone, Debug, Default)]
pub struct Tracker {
    topics: HashMap<String, TopicState>,
    lost: Vec<String>,
}

// === impl TopicState ===

impl TopicState {
    /// Nothing is known of the topic yet. The name decides which rule holds.
    pub fn new(topic: &str) -> Self {
        let channel = topic.split([':', '.']).next().unwrap_or_default();
        Self {
            chained: matches!(channel, "trade" | "book"),
            changes: channel == "book",
            epoch: 0,
            last: None,
            lost: false,
            outdated: false,
        }
    }

    /// The epoch and the number of the last event applied.
    pub fn position(&self) -> Option<(u64, u64)> {
        self.last.map(|last| (self.epoch, last))
    }

    /// Whether the topic waits for a snapshot because something was lost.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// Whether what was had of the topic is not current: events after it are lost, and no frame has come
    /// since. Of trades nothing that was had is wrong; they are only not all.
    pub fn is_outdated(&self) -> bool {
        self.outdated
    }

    /// The rule.
    pub fn handle_frame(&mut self, frame: &DataFrame) -> Outcome {
        if frame.is_snapshot() {
            *self = Self {
                epoch: frame.epoch,
                last: Some(frame.seq),
                lost: false,
                outdated: false,
                ..*self
            };
            return Outcome::Apply;
        }
        if self.lost || frame.epoch < self.epoch {
            return Outcome::Ignore;
        }
        // Numbers of different lives are never compared. A new life begins with a snapshot; on
        // channels whose every frame is the whole state the frame itself will do.
        let last = self.last.filter(|_| frame.epoch == self.epoch);
        if last.is_some_and(|last| frame.seq <= last) {
            return Outcome::Ignore;
        }
        let broken = self.chained && (last.is_none() || frame.prev != last);
        if broken || (self.changes && self.outdated) {
            self.lost = true;
            return Outcome::Lost;
        }
        self.outdated = false;
        self.epoch = frame.epoch;
        self.last = Some(frame.seq);
        Outcome::Apply
    }

    /// A notice that the events up to `to` will not come.
    pub fn handle_gap(&mut self, epoch: u64, to: u64) {
        let older = epoch < self.epoch || (epoch == self.epoch && self.last >= Some(to));
        if !older {
            *self = Self {
                epoch,
                last: Some(to),
                lost: false,
                outdated: true,
                ..*self
            };
        }
    }

    /// The position that the server says it has sent. Returns whether something was lost.
    pub fn handle_heartbeat(&mut self, epoch: u64, seq: u64) -> bool {
        let behind = match self.position() {
            Some((ours, last)) => epoch > ours || (epoch == ours && seq > last),
            None => false,
        };
        let newly = behind && !self.lost;
        self.lost |= behind;
        newly
    }
}

// === impl Tracker ===

impl Tracker {
    /// No topics yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Follows one message and says what to do with it. Every message of the connection belongs here.
    pub fn handle(&mut self, message: &Message) -> Outcome {
        match message.kind() {
            MessageKind::Data(frame) => return self.handle_frame(frame),
            MessageKind::Gap(gap) => self.state(&gap.topic).handle_gap(gap.epoch, gap.to),
            MessageKind::Heartbeat(beat) => {
                for (topic, epoch, seq) in &beat.topics {
                    let state = self.topics.get_mut(topic);
                    if state.is_some_and(|s| s.handle_heartbeat(*epoch, *seq)) {
                        self.lost.push(topic.clone());
                    }
                }
            }
            MessageKind::Subscribed(ack) => {
                for topic in &ack.topics {
                    self.state(&topic.topic);
                }
            }
            MessageKind::Unsubscribed(ack) => {
                for topic in &ack.topics {
                    self.topics.remove(topic);
                }
            }
            MessageKind::Welcome(_)
            | MessageKind::Subscriptions(_)
            | MessageKind::Pong(_)
            | MessageKind::Error(_)
            | MessageKind::Drain(_)
            | MessageKind::Bye(_)
            | MessageKind::Unknown(_) => {}
        }
        Outcome::Control
    }

    fn handle_frame(&mut self, frame: &DataFrame) -> Outcome {
        let outcome = match self.topics.get_mut(&frame.topic) {
            Some(state) => state.handle_frame(frame),
            None => self.state(&frame.topic).handle_frame(frame),
        };
        if outcome == Outcome::Lost {
            self.lost.push(frame.topic.clone());
        }
        outcome
    }

    /// The topics found lost since the last call: what to ask a resync for.
    pub fn take_lost(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lost)
    }

    /// Where a topic stands.
    pub fn topic(&self, topic: &str) -> Option<&TopicState> {
        self.topics.get(topic)
    }

    /// All positions, to resume from on another connection.
    pub fn positions(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        self.topics
            .iter()
            .filter(|(_, state)| !state.lost)
            .filter_map(|(topic, state)| state.position().map(|(e, s)| (topic.as_str(), e, s)))
    }

    fn state(&mut self, topic: &str) -> &mut TopicState {
        self.topics
            .entry(topic.to_owned())
            .or_insert_with(|| TopicState::new(topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRADE: &str = "trade:sim:A-B";
    const QUOTE: &str = "quote:sim:A-B";

    fn frame(topic: &str, epoch: u64, seq: u64, prev: Option<u64>) -> Message {
        let kind = if prev.is_some() { "update" } else { "snapshot" };
        let prev = prev.map(|p| format!(r#","prev":{p}"#)).unwrap_or_default();
        Message::parse(&format!(
            r#"{{"topic":"{topic}","type":"{kind}","epoch":{epoch},"seq":{seq}{prev},"trades":[]}}"#
        ))
        .unwrap()
    }

    fn check(tracker: &mut Tracker, message: &Message, expected: Outcome) {
        assert_eq!(tracker.handle(message), expected, "{}", message.text());
    }

    #[test]
    fn a_snapshot_is_always_applied() {
        let mut tracker = Tracker::new();
        check(&mut tracker, &frame(TRADE, 5, 10, None), Outcome::Apply);
        check(&mut tracker, &frame(TRADE, 5, 9, None), Outcome::Apply);
        check(&mut tracker, &frame(TRADE, 4, 99, None), Outcome::Apply);
        assert_eq!(tracker.topic(TRADE).unwrap().position(), Some((4, 99)));
    }

    #[test]
    fn an_old_update_is_ignored_and_the_next_applies() {
        for topic in [TRADE, QUOTE] {
            let mut tracker = Tracker::new();
            check(&mut tracker, &frame(topic, 5, 10, None), Outcome::Apply);
            check(&mut tracker, &frame(topic, 5, 10, Some(8)), Outcome::Ignore);
            check(&mut tracker, &frame(topic, 5, 12, Some(10)), Outcome::Apply);
            check(
                &mut tracker,
                &frame(topic, 5, 12, Some(10)),
                Outcome::Ignore,
            );
        }
    }

    #[test]
    fn a_broken_chain_is_lost_once_and_healed_by_a_snapshot() {
        let mut tracker = Tracker::new();
        check(&mut tracker, &frame(TRADE, 5, 10, None), Outcome::Apply);
        check(&mut tracker, &frame(TRADE, 5, 13, Some(12)), Outcome::Lost);
        check(
            &mut tracker,
            &frame(TRADE, 5, 14, Some(13)),
            Outcome::Ignore,
        );
        assert_eq!(tracker.take_lost(), [TRADE]);
        assert!(tracker.take_lost().is_empty());
        check(&mut tracker, &frame(TRADE, 5, 15, None), Outcome::Apply);
        check(&mut tracker, &frame(TRADE, 5, 16, Some(15)), Outcome::Apply);
    }

    #[test]
    fn channels_that_are_whole_states_apply_over_a_hole() {
        let mut tracker = Tracker::new();
        check(&mut tracker, &frame(QUOTE, 5, 10, None), Outcome::Apply);
        check(&mut tracker, &frame(QUOTE, 5, 20, Some(18)), Outcome::Apply);
        check(&mut tracker, &frame(QUOTE, 6, 1, Some(0)), Outcome::Apply);
        check(
            &mut tracker,
            &frame(QUOTE, 5, 30, Some(29)),
            Outcome::Ignore,
        );
        assert!(tracker.take_lost().is_empty());
    }

    #[test]
    fn an_update_of_a_new_epoch_without_its_snapshot_is_lost() {
        let mut tracker = Tracker::new();
        check(&mut tracker, &frame(TRADE, 5, 10, None), Outcome::Apply);
        check(&mut tracker, &frame(TRADE, 6, 11, Some(10)), Outcome::Lost);
    }

    #[test]
    fn a_gap_moves_the_position_to_where_the_next_frame_fits() {
        let gap = |epoch: u64, to: u64| {
            Message::parse(&format!(
                r#"{{"op":"gap","topic":"{TRADE}","epoch":{epoch},"from":11,"to":{to},"reason":"slow_consumer"}}"#
            ))
            .unwrap()
        };
        let mut tracker = Tracker::new();
        check(&mut tracker, &frame(TRADE, 5, 10, None), Outcome::Apply);
        check(&mut tracker, &gap(5, 20), Outcome::Control);
        check(&mut tracker, &frame(TRADE, 5, 22, Some(20)), Outcome::Apply);
        // An old notice does not move it back.
        check(&mut tracker, &gap(5, 21), Outcome::Control);
        check(&mut tracker, &frame(TRADE, 5, 23, Some(22)), Outcome::Apply);
    }

    #[test]
    fn after_a_gap_a_state_is_outdated_and_a_book_waits_for_its_snapshot() {
        const BOOK: &str = "book.10:sim:A-B";
        let gap = |topic: &str| {
            Message::parse(&format!(
                r#"{{"op":"gap","topic":"{topic}","epoch":5,"from":11,"to":12,"reason":"upstream"}}"#
            ))
            .unwrap()
        };
        let mut tracker = Tracker::new();
        for topic in [BOOK, QUOTE] {
            check(&mut tracker, &frame(topic, 5, 10, None), Outcome::Apply);
            check(&mut tracker, &gap(topic), Outcome::Control);
            let state = tracker.topic(topic).unwrap();
            assert!(state.is_outdated() && !state.is_lost(), "{topic}");
            assert_eq!(state.position(), Some((5, 12)));
        }
        check(&mut tracker, &frame(QUOTE, 5, 13, Some(12)), Outcome::Apply);
        assert!(!tracker.topic(QUOTE).unwrap().is_outdated());
        let mut other = tracker.clone();
        check(&mut tracker, &frame(BOOK, 5, 13, None), Outcome::Apply);
        check(&mut tracker, &frame(BOOK, 5, 14, Some(13)), Outcome::Apply);
        // A server that sends a change first is asked for the snapshot.
        check(&mut other, &frame(BOOK, 5, 13, Some(12)), Outcome::Lost);
        assert_eq!(other.take_lost(), [BOOK]);
    }

    #[test]
    fn a_heartbeat_ahead_of_us_shows_a_loss() {
        let beat = |seq: u64| {
            let text = format!(r#"{{"op":"heartbeat","topics":[["{QUOTE}",5,{seq}],["x",1,1]]}}"#);
            Message::parse(&text).unwrap()
        };
        let mut tracker = Tracker::new();
        check(&mut tracker, &frame(QUOTE, 5, 10, None), Outcome::Apply);
        check(&mut tracker, &beat(10), Outcome::Control);
        assert!(tracker.take_lost().is_empty());
        check(&mut tracker, &beat(12), Outcome::Control);
        check(&mut tracker, &beat(12), Outcome::Control);
        assert_eq!(tracker.take_lost(), [QUOTE]);
    }

    #[test]
    fn acknowledgements_begin_and_end_a_topic() {
        let mut tracker = Tracker::new();
        let ack = format!(r#"{{"op":"subscribed","id":1,"topics":[{{"topic":"{TRADE}"}}]}}"#);
        check(
            &mut tracker,
            &Message::parse(&ack).unwrap(),
            Outcome::Control,
        );
        assert_eq!(tracker.topic(TRADE).unwrap().position(), None);
        check(&mut tracker, &frame(TRADE, 5, 1, Some(0)), Outcome::Lost);
        let end = format!(r#"{{"op":"unsubscribed","id":2,"topics":["{TRADE}"]}}"#);
        check(
            &mut tracker,
            &Message::parse(&end).unwrap(),
            Outcome::Control,
        );
        assert!(tracker.topic(TRADE).is_none());
    }

    #[test]
    fn positions_leave_out_what_is_lost() {
        let mut tracker = Tracker::new();
        check(&mut tracker, &frame(TRADE, 5, 10, None), Outcome::Apply);
        check(&mut tracker, &frame(QUOTE, 5, 3, None), Outcome::Apply);
        check(&mut tracker, &frame(TRADE, 5, 13, Some(12)), Outcome::Lost);
        assert_eq!(tracker.positions().collect::<Vec<_>>(), [(QUOTE, 5, 3)]);
    }
}
