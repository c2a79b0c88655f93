//! Any order of sends, turns, ends and new sources, against queues of numbers that know no turns.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

#[derive(Clone, Debug)]
enum Step {
    /// A source sends a batch of so many events.
    Send(usize, usize),
    /// The pipeline takes so many events.
    Turn(usize),
    /// A source ends.
    End(usize),
    /// A new source, with room for so many batches.
    Open(usize),
}

/// What a source has sent.
struct Queue {
    tx: Option<EventTx>,
    room: usize,
    /// Events of the batches that wait whole.
    batches: VecDeque<usize>,
    /// Events that are left of the batch in hand.
    hand: usize,
    sent: u64,
    taken: u64,
    /// Events that each other source has given while this one had some, since it gave its last.
    waited: [usize; SOURCES],
    /// How many it may have waited for: it joins at the end of a round.
    patience: usize,
}

const SOURCES: usize = 8;

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..SOURCES;
    prop_oneof![
        6 => (who(), 1..=BATCH_EVENTS_MAX).prop_map(|(who, events)| Step::Send(who, events)),
        6 => (who(), 1..3_usize).prop_map(|(who, events)| Step::Send(who, events)),
        6 => (0..=TURN).prop_map(Step::Turn),
        1 => who().prop_map(Step::End),
        2 => (1..4_usize).prop_map(Step::Open),
    ]
}

// === impl Queue ===

impl Queue {
    fn new(tx: EventTx, room: usize) -> Self {
        Self {
            tx: Some(tx),
            room,
            batches: VecDeque::new(),
            hand: 0,
            sent: 0,
            taken: 0,
            waited: [0; SOURCES],
            patience: 2 * SHARE,
        }
    }

    fn send(&mut self, count: usize) {
        let Some(tx) = &self.tx else { return };
        if !self.has_more() {
            self.waited = [0; SOURCES];
        }
        let sent = tx.try_send(events(self.sent..self.sent + count as u64));
        assert_eq!(sent.is_ok(), self.batches.len() < self.room);
        if sent.is_ok() {
            self.batches.push_back(count);
            self.sent += count as u64;
        }
    }

    fn has_more(&self) -> bool {
        self.taken < self.sent
    }

    /// It has given this event.
    fn give(&mut self, number: u64) {
        if self.hand == 0 {
            self.hand = self.batches.pop_front().unwrap();
        }
        self.hand -= 1;
        assert_eq!(number, self.taken);
        self.taken += 1;
        self.waited = [0; SOURCES];
        self.patience = SHARE;
    }

    /// Another has given an event.
    fn wait_for(&mut self, other: usize) {
        self.waited[other] += usize::from(self.has_more());
        assert!(self.waited[other] <= self.patience);
    }
}

/// Takes events; returns how many sources the channels are left with.
fn take(channels: &mut SourceChannels, sources: &mut [Queue], most: usize) {
    for _ in 0..most {
        let Some(taken) = next(channels) else {
            assert!(!sources.iter().any(Queue::has_more));
            let running = sources.iter().filter(|source| source.tx.is_some());
            assert_eq!(channels.count(), running.count());
            return;
        };
        let (id, number) = spelled(taken);
        sources[id as usize].give(number);
        for (_, other) in (0..).zip(&mut *sources).filter(|(of, _)| *of != id) {
            other.wait_for(id as usize);
        }
    }
}

proptest! {
    #[test]
    fn every_source_gives_all_it_has_in_order_and_waits_for_one_round(
        steps in proptest::collection::vec(step(), 1..80)
    ) {
        let (mut channels, opener) = SourceChannels::new();
        let mut sources: Vec<Queue> = Vec::new();
        for step in steps {
            match step {
                Step::Open(room) if sources.len() < SOURCES => {
                    let tx = opener.open(SourceId(sources.len() as u32), room);
                    sources.push(Queue::new(tx, room));
                }
                Step::Open(_) => {}
                Step::End(who) => sources.get_mut(who).into_iter().for_each(|source| source.tx = None),
                Step::Send(who, count) => {
                    sources.get_mut(who).into_iter().for_each(|source| source.send(count));
                }
                Step::Turn(most) => take(&mut channels, &mut sources, most),
            }
        }
        take(&mut channels, &mut sources, usize::MAX);
    }
}
