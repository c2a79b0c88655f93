//! A publisher between a market and clients that follow the rule.

use crate::market::{Happening, Market};
use crate::naive::{Expected, Naive};
use serde_json::Value;
use std::sync::Arc;
use tapecast_fanout::interest::{Interests, Requests, TopicEntry};
use tapecast_fanout::ring::{RingRx, ring};
use tapecast_fanout::wake::Doorbell;
use tapecast_fanout::{FanoutMetrics, Item, ItemKind, Publisher};
use tapecast_model::{
    Body, Epoch, Instrument, InstrumentId, Mono, Price, Qty, Quote, Scale, Seq, Symbol, Topic,
    UnixNanos, Update, UpdateSink, Venue,
};
use tapecast_wire::Encoding;

/// The topics: plain ones first, then those with an interval.
pub(crate) const TOPICS: [&str; 10] = [
    "trade:x:A",
    "quote:x:A",
    "book.10:x:A",
    "book.1:x:A",
    "trade:x:A@10ms",
    "trade:x:A@250ms",
    "quote:x:A@100ms",
    "book.10:x:A@10ms",
    "book.10:x:A@500ms",
    "book.1:x:A@50ms",
];
pub(crate) const QUOTE_100MS: usize = 6;

/// The plain topic that each topic conflates.
const PLAIN: [usize; 10] = [0, 1, 2, 3, 0, 0, 1, 2, 2, 3];

pub(crate) struct Rig {
    pub(crate) publisher: Publisher,
    interests: Interests,
    requests: Requests,
    rings: Vec<RingRx>,
    registry: prometheus::Registry,
    market: Market,
    now: u64,
    /// By shard and topic.
    clients: [Vec<Client>; 2],
    naive: Vec<Naive>,
    /// What the first shard was sent, and when, by topic.
    sent: Vec<Vec<Expected>>,
    heard: [usize; 2],
}

/// A client of one topic through one shard.
#[derive(Default)]
struct Client {
    subscribed: bool,
    joined: bool,
    /// Epoch and number of the last frame.
    last: Option<(u64, u64)>,
    levels: [std::collections::BTreeMap<i64, i64>; 2],
    bid: Option<i64>,
    trades: Vec<u64>,
    /// What it was told that it will not get because its shard was overrun.
    lost: u64,
    /// Its state was said to be lost, and there is none again.
    unknown: bool,
}

fn instrument(index: usize) -> Arc<Instrument> {
    let symbol = if index == 0 {
        "A".to_owned()
    } else {
        format!("T{index}")
    };
    Arc::new(Instrument {
        id: InstrumentId::new(index as u32),
        venue: Venue::new("x").unwrap(),
        symbol: Symbol::new(&symbol).unwrap(),
        native: symbol.into(),
        price_scale: Scale::default(),
        qty_scale: Scale::default(),
        lossless: false,
    })
}

impl Rig {
    pub(crate) fn new(ring_items: usize) -> Self {
        let registry = prometheus::Registry::new();
        let metrics = FanoutMetrics::register(&registry, 2).unwrap();
        let (tx, rings): (Vec<_>, Vec<_>) = (0..2)
            .map(|_| ring(ring_items, Arc::new(Doorbell::new(|| {}))))
            .unzip();
        let (interests, requests) = Interests::new(10_000);
        let mut rig = Self {
            publisher: Publisher::new(tx, metrics),
            interests,
            requests,
            rings,
            registry,
            market: Market::new(instrument(0)),
            now: 1_000_000_000,
            clients: [Vec::new(), Vec::new()],
            naive: Vec::new(),
            sent: vec![Vec::new(); TOPICS.len()],
            heard: [0; 2],
        };
        for (tid, topic) in TOPICS.iter().enumerate() {
            assert_eq!(rig.entry(topic).tid as usize, tid);
            rig.naive.push(Naive::of(&topic.parse().unwrap()));
            for clients in &mut rig.clients {
                clients.push(Client::default());
            }
        }
        rig
    }

    fn entry(&self, topic: &str) -> Arc<TopicEntry> {
        let topic: Topic = topic.parse().unwrap();
        self.interests
            .entry(&topic, &self.market.instrument)
            .unwrap()
    }

    pub(crate) fn join_all(&mut self, shard: usize) {
        for topic in 0..TOPICS.len() {
            self.toggle(shard, topic);
        }
    }

    /// A shard's only subscriber of a topic comes or goes.
    pub(crate) fn toggle(&mut self, shard: usize, topic: usize) {
        let entry = self.entry(TOPICS[topic]);
        let client = &mut self.clients[shard][topic];
        let subscribed = !client.subscribed;
        *client = Client {
            subscribed,
            ..Client::default()
        };
        if subscribed {
            self.interests.join(&entry, shard, Encoding::Json);
        } else {
            self.interests.leave(&entry, shard, Encoding::Json);
        }
    }

    /// Time passes, in microseconds.
    pub(crate) fn pass(&mut self, micros: u64) {
        self.now += micros * 1_000;
    }

    /// A turn in which nothing happens.
    pub(crate) fn turn(&mut self) {
        self.publisher_turn(&[]);
    }

    /// A turn as the pipeline's thread has it: what is due, what happens, who asks.
    pub(crate) fn publisher_turn(&mut self, happenings: &[Happening]) {
        for naive in &mut self.naive {
            naive.look(self.now, &self.market);
        }
        self.publish_due();
        for happening in happenings {
            for told in self.market.handle(happening, &mut self.publisher) {
                for naive in &mut self.naive {
                    naive.hear(&told, self.now, &self.market);
                }
            }
        }
        while let Some(entry) = self
            .requests
            .take()
            .or_else(|| self.publisher.take_reopened())
        {
            let (pos, update) = self.market.current(entry.stream().kind);
            self.publisher.open(&entry, pos, update.as_ref());
        }
        self.flush();
    }

    pub(crate) fn publish_due(&mut self) -> bool {
        let now = Mono::new(self.now);
        self.publisher.set_time(UnixNanos::new(self.now), now);
        self.publisher.publish_due()
    }

    pub(crate) fn flush(&mut self) {
        self.publisher.flush(Mono::new(self.now), false);
    }

    pub(crate) fn items(&self, shard: usize) -> Vec<Item> {
        std::iter::from_fn(|| self.rings[shard].try_pop()).collect()
    }

    /// A shard's clients read what has come.
    pub(crate) fn deliver(&mut self, shard: usize) {
        for item in self.items(shard) {
            let Some(client) = self.clients[shard].get_mut(item.slot.index()) else {
                continue;
            };
            let is_frame = match item.kind {
                ItemKind::Update { .. } => true,
                // What starts a topic of trades over precedes its first trade.
                ItemKind::Reset => !TOPICS[item.slot.index()].starts_with("trade"),
                ItemKind::Snapshot { .. } | ItemKind::Gap { .. } | ItemKind::Replaced => false,
            };
            if is_frame {
                self.heard[shard] += 1;
            }
            if is_frame && shard == 0 {
                let at = (item.epoch.get(), item.seq.get());
                self.sent[item.slot.index()].push((item.published.get(), at));
            }
            if client.subscribed {
                client.handle(&item, &self.market);
            }
        }
    }

    /// Updates that a shard was sent.
    pub(crate) fn frames_heard(&self, shard: usize) -> usize {
        self.heard[shard]
    }

    /// Frames of interval topics came when the naive conflator says, and kept their distance.
    pub(crate) fn check_times(&self) {
        for (topic, text) in TOPICS.iter().enumerate().skip(4) {
            let (sent, naive) = (&self.sent[topic], &self.naive[topic]);
            assert_eq!(*sent, naive.frames, "{text}");
            let interval = text.parse::<Topic>().unwrap().interval.unwrap();
            for pair in sent.windows(2).filter(|_| !text.starts_with("trade")) {
                assert!(
                    pair[1].0 - pair[0].0 >= interval.millis() * 1_000_000,
                    "{text}: {pair:?}"
                );
            }
        }
    }

    /// Nobody was told of a loss, and whoever was always there has every trade once, in order.
    pub(crate) fn check_nothing_lost(&self) {
        for client in self.clients.iter().flatten() {
            assert_eq!(client.lost, 0);
        }
        for (topic, client) in self.clients[0].iter().enumerate() {
            let plain = &self.clients[0][PLAIN[topic]];
            assert_eq!(client.trades, plain.trades, "{}", TOPICS[topic]);
        }
    }

    /// When all is quiet, a topic says what the plain one says.
    pub(crate) fn check_ends(&self) {
        assert!(!self.publisher.is_behind());
        assert_eq!(self.publisher.next_deadline(), None);
        for (shard, clients) in self.clients.iter().enumerate() {
            for (topic, client) in clients.iter().enumerate() {
                let plain = &self.clients[0][PLAIN[topic]];
                let text = format!("{} of shard {shard}", TOPICS[topic]);
                if !client.subscribed {
                    continue;
                }
                if client.unknown {
                    assert!(!self.is_known(topic), "{text} is known again");
                } else if TOPICS[topic].starts_with("trade") {
                    // Whoever came after the last trade of an old epoch stands there.
                    let late = shard == 1 && client.trades.is_empty();
                    assert!(late || client.last == plain.last, "{text}");
                } else if client.last.is_some() && self.is_known(topic) {
                    assert_eq!(client.levels, plain.levels, "{text}");
                    assert_eq!(client.bid, plain.bid, "{text}");
                }
            }
        }
    }

    /// Whether a topic's stream has a state right now.
    fn is_known(&self, topic: usize) -> bool {
        let entry = self.entry(TOPICS[topic]);
        self.market.current(entry.stream().kind).1.is_some()
    }

    /// How many updates of a channel were merged.
    pub(crate) fn conflated(&self, channel: &str) -> u64 {
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == "tapecast_updates_conflated_total");
        let metrics = family.unwrap().get_metric().iter();
        let of = metrics.filter(|m| m.get_label()[0].value() == channel);
        of.map(|metric| metric.get_counter().get_value() as u64)
            .sum()
    }

    /// Further instruments, each with one topic that the first shard wants.
    pub(crate) fn other_instruments(
        &mut self,
        count: usize,
        channel: &str,
        interval: &str,
    ) -> Vec<Arc<Instrument>> {
        let all: Vec<_> = (1..=count).map(instrument).collect();
        for instrument in &all {
            let text = format!("{channel}:x:{}@{interval}", instrument.symbol);
            let entry = self.interests.entry(&text.parse().unwrap(), instrument);
            self.interests.join(&entry.unwrap(), 0, Encoding::Json);
        }
        all
    }

    /// An instrument is quoted.
    pub(crate) fn quote_of(&mut self, instrument: &Arc<Instrument>, bid: i64) {
        let bid = Some((Price::from_mantissa(bid), Qty::from_mantissa(1)));
        self.publisher.publish(&Update {
            instrument,
            epoch: Epoch::new(1),
            seq: Seq::new(1),
            ts_event: None,
            ts_recv: UnixNanos::new(5),
            venue_seq: None,
            body: Body::Quote(&Quote { bid, ask: None }),
        });
    }
}

impl Client {
    fn handle(&mut self, item: &Item, market: &Market) {
        match item.kind {
            ItemKind::Snapshot { .. } if self.joined => return,
            ItemKind::Snapshot { .. } | ItemKind::Reset => self.joined = true,
            ItemKind::Update { .. } | ItemKind::Gap { .. } if !self.joined => return,
            ItemKind::Update { .. } | ItemKind::Gap { .. } => {}
            ItemKind::Replaced => unreachable!("its instrument stays"),
        }
        if item.is_empty() {
            return;
        }
        let frame = item.frame();
        let payload = match frame[1] {
            0..126 => 2,
            126 => 4,
            _ => 10,
        };
        let frame: Value = serde_json::from_slice(&frame[payload..]).unwrap();
        let number = |key: &str| frame[key].as_u64();
        let epoch = number("epoch").unwrap();
        let Some(kind) = frame["type"].as_str() else {
            return self.handle_gap(&frame, market);
        };
        let seq = number("seq").unwrap();
        if kind == "snapshot" {
            (self.levels, self.unknown) = (Default::default(), false);
        } else {
            assert!(
                !self.unknown,
                "what is known again begins with a snapshot: {frame}"
            );
            let prev = number("prev").unwrap();
            assert_eq!(Some((epoch, prev)), self.last, "{frame}");
        }
        self.last = Some((epoch, seq));
        self.apply(&frame, kind == "snapshot", (epoch, seq), market);
    }

    fn handle_gap(&mut self, frame: &Value, market: &Market) {
        let number = |key: &str| frame[key].as_u64().unwrap();
        let (epoch, from, to) = (number("epoch"), number("from"), number("to"));
        // Who joined while his shard was behind may be told of losses before his time.
        let last = match self.last {
            Some((ours, last)) if ours == epoch => last,
            _ => from - 1,
        };
        assert!(from <= last + 1 && to >= last, "{frame} at {last}");
        self.last = Some((epoch, to));
        let told = frame["reason"] == "upstream";
        if !frame["topic"].as_str().unwrap().starts_with("trade") {
            assert!(told, "{frame}");
            (self.levels, self.bid, self.unknown) = (Default::default(), None, true);
            return;
        }
        let never_came = (last + 1..=to).filter(|seq| market.lost.contains(&(epoch, *seq)));
        let never_came = never_came.count() as u64;
        if told {
            assert_eq!(never_came, to - last, "{frame} of prints that came");
        } else {
            self.lost += to - last;
            let said = frame["upstream"] == true;
            assert!(said || never_came == 0, "{frame} hides a loss upstream");
        }
    }

    fn apply(&mut self, frame: &Value, is_snapshot: bool, at: (u64, u64), market: &Market) {
        let number = |value: &Value| value.as_str().unwrap().parse::<i64>().unwrap();
        let topic = frame["topic"].as_str().unwrap();
        if let Some(trades) = frame["trades"].as_array() {
            let ids = trades.iter().map(|trade| number(&trade["id"]) as u64);
            let ids: Vec<_> = ids.collect();
            let first = frame["prev"].as_u64().map(|prev| prev + 1);
            // No frame of news holds what never came; a history goes on before it.
            let came = |seq: &u64| !is_snapshot || !market.lost.contains(&(at.0, *seq));
            let seqs = (1..=at.1).rev().filter(came).take(ids.len());
            let mut expected: Vec<_> = seqs.map(|seq| Market::trade_id(at.0, seq)).collect();
            expected.reverse();
            assert_eq!(ids, expected, "{frame}");
            let holds = ids.len() as u64;
            assert!(
                first.is_none_or(|first| first + holds == at.1 + 1),
                "{frame}"
            );
            if !is_snapshot {
                self.trades.extend(ids);
            }
        } else if topic.starts_with("quote") {
            self.bid = Some(number(&frame["bid"]));
            assert_eq!(self.bid, Some(market.quotes[&at]), "{frame}");
        } else {
            for (levels, key) in self.levels.iter_mut().zip(["bids", "asks"]) {
                for level in frame[key].as_array().unwrap() {
                    match number(&level[1]) {
                        0 => levels.remove(&number(&level[0])),
                        qty => levels.insert(number(&level[0]), qty),
                    };
                }
            }
            let depth = if topic.starts_with("book.10:") { 10 } else { 1 };
            for (side, truth) in market.books[&at].iter().enumerate() {
                let mut best: Vec<_> = self.levels[side].clone().into_iter().collect();
                if side == 0 {
                    best.reverse();
                }
                assert_eq!(best, truth[..truth.len().min(depth)], "{frame}");
            }
        }
    }
}
