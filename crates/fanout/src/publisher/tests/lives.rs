//! Topics that end and begin again in the slots of others, against a naive model of two shards: each
//! knows its subscriptions, finds what an item is for by its slot, and reads what the frame says.

use super::*;
use crate::interest::TopicLimits;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const SYMBOLS: [&str; 3] = ["A", "B", "C"];
const CHANNELS: [&str; 3] = ["quote:x:{}", "trade:x:{}", "quote:x:{}@10ms"];
const TOPICS: usize = SYMBOLS.len() * CHANNELS.len();
const LINGER: Duration = Duration::from_millis(30);

/// A subscription as a shard knows it.
struct Sub {
    entry: Arc<TopicEntry>,
    began: u64,
    answered: bool,
}

struct Lives {
    publisher: Publisher,
    interests: Interests,
    requests: Requests,
    rings: Vec<RingRx>,
    instruments: Vec<Arc<Instrument>>,
    seq: [u64; SYMBOLS.len()],
    shards: [BTreeMap<usize, Sub>; 2],
    topics_max: usize,
    now: Mono,
    most: usize,
    /// Items of an old generation that found a new topic in their slot.
    old: usize,
}

impl Lives {
    fn new(topics_max: usize, ring_items: usize) -> Self {
        let registry = prometheus::Registry::new();
        let metrics = FanoutMetrics::register(&registry, 2).unwrap();
        let (tx, rings): (Vec<_>, Vec<_>) = (0..2)
            .map(|_| ring(ring_items, Arc::new(Doorbell::new(|| {}))))
            .unzip();
        let (interests, requests) = Interests::with_limits(TopicLimits {
            topics_max,
            linger: LINGER,
            first_tid: u32::MAX - 5,
        });
        let instruments = SYMBOLS.iter().enumerate();
        let instruments = instruments.map(|(index, symbol)| instrument(index as u32, "x", symbol));
        Self {
            publisher: Publisher::new(tx, metrics),
            interests,
            requests,
            rings,
            instruments: instruments.collect(),
            seq: [0; SYMBOLS.len()],
            shards: Default::default(),
            topics_max,
            now: Mono::default(),
            most: 0,
            old: 0,
        }
    }

    fn text(topic: usize) -> String {
        CHANNELS[topic % CHANNELS.len()].replace("{}", SYMBOLS[topic / CHANNELS.len()])
    }

    /// Returns whether there was room for the topic.
    fn join(&mut self, shard: usize, topic: usize) -> bool {
        if self.shards[shard].contains_key(&topic) {
            return true;
        }
        let name: Topic = Self::text(topic).parse().unwrap();
        let instrument = &self.instruments[topic / CHANNELS.len()];
        let Ok(entry) = self.interests.entry(&name, instrument) else {
            // Only what is wanted may stand in the way, or so much that leaves as there may be.
            let wanted = self.wanted().len();
            let topics = self.requests.count().0;
            assert!(wanted >= self.topics_max || topics == 2 * self.topics_max);
            return false;
        };
        let began = self.interests.join(&entry, shard, Encoding::Json);
        let sub = Sub {
            entry,
            began: began.expect("its interest begins"),
            answered: false,
        };
        self.shards[shard].insert(topic, sub);
        true
    }

    /// Topics that have subscribers.
    fn wanted(&self) -> BTreeSet<usize> {
        self.shards
            .iter()
            .flat_map(|subs| subs.keys().copied())
            .collect()
    }

    fn leave(&mut self, shard: usize, topic: usize) {
        if let Some(sub) = self.shards[shard].remove(&topic) {
            self.interests.leave(&sub.entry, shard, Encoding::Json);
        }
    }

    fn publish(&mut self, symbol: usize) {
        self.seq[symbol] += 1;
        let seq = self.seq[symbol];
        let quote = quote(seq);
        let trade = Trade {
            id: TradeId::from_number(seq),
            price: Price::from_mantissa(1),
            qty: Qty::from_mantissa(1),
            aggressor: None,
            ts_event: None,
        };
        let instrument = &self.instruments[symbol];
        self.publisher.set_time(UnixNanos::new(1), self.now);
        self.publisher
            .publish(&update(instrument, seq, Body::Quote(&quote)));
        self.publisher
            .publish(&update(instrument, seq, Body::Trades(&[trade])));
    }

    /// A turn of the pipeline's thread, and what it does between turns.
    fn turn(&mut self) {
        self.publisher.set_time(UnixNanos::new(1), self.now);
        self.publisher.publish_due();
        loop {
            let request = self.requests.take();
            let Some(entry) = request.or_else(|| self.publisher.take_reopened()) else {
                break;
            };
            if self.publisher.let_go(&entry) {
                self.requests.linger(&entry, self.now);
            } else {
                let seq = self.seq[entry.instrument.id.index()];
                let pos = StreamPos {
                    epoch: Epoch::new(1),
                    seq: Seq::new(seq),
                };
                let quote = quote(seq);
                let current = update(&entry.instrument, seq, Body::Quote(&quote));
                let is_known = seq > 0 && entry.stream().kind == StreamKind::Quote;
                self.publisher
                    .open(&entry, pos, is_known.then_some(&current));
            }
        }
        self.publisher.flush(self.now, false);
        self.requests.sweep(self.now, 2);
    }

    /// A shard takes what has come.
    fn drain(&mut self, shard: usize) {
        while let Some(item) = self.rings[shard].try_pop() {
            let subs = &mut self.shards[shard];
            let there =
                |sub: &&mut (usize, &mut Sub)| sub.1.entry.slot.index() == item.slot.index();
            let mut subs: Vec<_> = subs.iter_mut().map(|(topic, sub)| (*topic, sub)).collect();
            let mut here = subs.iter_mut().filter(there);
            let Some((topic, sub)) = here.next() else {
                continue;
            };
            assert!(here.next().is_none(), "one topic in a slot");
            if sub.entry.slot != item.slot {
                self.old += 1;
                continue;
            }
            if !item.is_empty() {
                assert_eq!(json(&item)["topic"], Self::text(*topic), "of this topic");
            }
            if let ItemKind::Snapshot { .. } = item.kind
                && item.begun >= sub.began
            {
                sub.answered = true;
            }
        }
    }

    fn check(&mut self) {
        let (topics, lingering) = self.requests.count();
        self.most = self.most.max(topics);
        assert!(topics <= 2 * self.topics_max, "bounded");
        assert!(
            self.requests.slots() <= self.most,
            "as many as lived at once"
        );
        let mut entries: BTreeMap<usize, &Arc<TopicEntry>> = BTreeMap::new();
        for (topic, sub) in self.shards.iter().flatten() {
            let entry = *entries.entry(*topic).or_insert(&sub.entry);
            assert!(Arc::ptr_eq(entry, &sub.entry), "one entry per topic");
        }
        let tids: BTreeSet<u32> = entries.values().map(|entry| entry.tid).collect();
        let slots: BTreeSet<usize> = entries.values().map(|entry| entry.slot.index()).collect();
        assert_eq!((tids.len(), slots.len()), (entries.len(), entries.len()));
        assert!(topics >= entries.len().max(lingering.saturating_sub(1)));
    }
}

#[derive(Clone, Debug)]
enum Op {
    Join(usize, usize),
    Leave(usize, usize),
    Publish(usize),
    Turn,
    Drain(usize),
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0_usize..2, 0..TOPICS).prop_map(|(s, t)| Op::Join(s, t)),
        4 => (0_usize..2, 0..TOPICS).prop_map(|(s, t)| Op::Leave(s, t)),
        4 => (0..SYMBOLS.len()).prop_map(Op::Publish),
        4 => Just(Op::Turn),
        2 => (0_usize..2).prop_map(Op::Drain),
        2 => prop_oneof![Just(1), Just(11), Just(40)].prop_map(Op::Pass),
    ]
}

fn quote(seq: u64) -> Quote {
    Quote {
        bid: Some((Price::from_mantissa(1), Qty::from_mantissa(seq as i64))),
        ask: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Whatever ends, begins, overruns and wraps: no frame of an old topic reaches who has subscribed
    /// a new one, nobody's request is lost, and there are as many slots as topics lived at once.
    #[test]
    fn nothing_of_an_old_topic_reaches_a_new_one(
        ops in prop::collection::vec(op(), 0..200),
        topics_max in 2_usize..6,
        ring_items in prop_oneof![Just(4_usize), Just(64_usize)],
    ) {
        let mut lives = Lives::new(topics_max, ring_items);
        for op in ops {
            match op {
                Op::Join(shard, topic) => drop(lives.join(shard, topic)),
                Op::Leave(shard, topic) => lives.leave(shard, topic),
                Op::Publish(symbol) => lives.publish(symbol),
                Op::Turn => lives.turn(),
                Op::Drain(shard) => lives.drain(shard),
                Op::Pass(millis) => lives.now = lives.now.after(Duration::from_millis(millis)),
            }
            lives.check();
        }
        for _ in 0..12 {
            // Intervals end, which keep topics from ending.
            lives.now = lives.now.after(Duration::from_millis(5));
            lives.turn();
            lives.drain(0);
            lives.drain(1);
            lives.check();
        }
        // What nobody wants is beyond the limit for a moment only.
        let (topics, wanted) = (lives.requests.count().0, lives.wanted().len());
        prop_assert!(topics <= topics_max.max(wanted), "{topics}, {wanted} wanted");
        let unanswered = lives.shards.iter().flatten().filter(|(_, sub)| !sub.answered);
        prop_assert_eq!(unanswered.count(), 0);
        // Everybody leaves: nothing stays.
        for (shard, topic) in (0..2).flat_map(|shard| (0..TOPICS).map(move |t| (shard, t))) {
            lives.leave(shard, topic);
        }
        for _ in 0..TOPICS * 4 {
            lives.now = lives.now.after(LINGER);
            lives.turn();
        }
        prop_assert_eq!(lives.requests.count(), (0, 0));
        prop_assert_eq!(lives.publisher.metrics.topics.get(), 0);
        prop_assert!(lives.publisher.topics.iter().all(Option::is_none));
        prop_assert!(lives.publisher.streams.iter().flatten().all(Vec::is_empty));
        prop_assert!(lives.publisher.next_deadline().is_none());
        prop_assert!(!lives.publisher.is_behind());
    }
}

#[test]
fn an_item_that_outlives_its_topic_is_not_the_next_topics() {
    let mut lives = Lives::new(1, 64);
    assert!(lives.join(0, 0));
    lives.turn();
    lives.publish(0);
    lives.turn();
    // The shard has not looked into its ring yet when its subscriber leaves and another comes.
    lives.leave(0, 0);
    lives.turn();
    assert!(lives.join(0, 1));
    lives.turn();
    lives.drain(0);
    assert_eq!(lives.old, 2, "the snapshot and the update of the old topic");
    assert!(lives.shards[0][&1].answered);
    assert_eq!(lives.requests.slots(), 1);
}

#[test]
fn who_leaves_one_topic_has_room_for_another_at_once() {
    let mut lives = Lives::new(2, 64);
    for topic in 0..2 {
        assert!(lives.join(0, topic));
    }
    lives.turn();
    for topic in 2..TOPICS {
        assert!(!lives.join(0, topic), "both are wanted");
        lives.leave(0, topic - 2);
        assert!(lives.join(0, topic), "its end is not known yet");
        lives.check();
        lives.turn();
        lives.drain(0);
        assert!(lives.shards[0][&topic].answered);
        assert_eq!(lives.publisher.metrics.topics.get(), 2);
        assert_eq!(lives.requests.count(), (2, 0));
    }
    assert_eq!(lives.requests.slots(), 3);
}

#[test]
fn a_topic_whose_stream_says_nothing_is_let_go_of() {
    let mut lives = Lives::new(10, 64);
    for topic in 0..TOPICS {
        lives.join(0, topic);
    }
    lives.turn();
    assert_eq!(lives.publisher.metrics.topics.get(), TOPICS as i64);
    for topic in 0..TOPICS {
        lives.leave(0, topic);
    }
    lives.turn();
    assert_eq!(lives.publisher.metrics.topics.get(), 0);
    assert_eq!(lives.requests.count(), (TOPICS, TOPICS));
}
