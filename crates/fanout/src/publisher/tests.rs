//! The publisher against clients that do nothing but follow the protocol's rule.

mod encodings;
mod lives;
mod losses;

use super::*;
use crate::interest::{Interests, Requests};
use crate::ring::{RingRx, ring};
use crate::wake::Doorbell;
use proptest::prelude::*;
use serde_json::Value;
use tapecast_model::{
    Body, Book, Epoch, Instrument, InstrumentId, Level, Price, Qty, Quote, Scale, Seq, Side,
    Symbol, Topic, Touched, Trade, TradeId, Venue,
};

/// A publisher with its rings, and the one instrument it publishes.
struct Rig {
    publisher: Publisher,
    interests: Interests,
    requests: Requests,
    rings: Vec<RingRx>,
    instrument: Arc<Instrument>,
    book: Book,
    quote: Quote,
    seq: [u64; StreamKind::COUNT],
    history: Vec<Trade>,
}

fn instrument(id: u32, venue: &str, symbol: &str) -> Arc<Instrument> {
    Arc::new(Instrument {
        id: InstrumentId::new(id),
        venue: Venue::new(venue).unwrap(),
        symbol: Symbol::new(symbol).unwrap(),
        native: symbol.into(),
        price_scale: Scale::new(0).unwrap(),
        qty_scale: Scale::new(0).unwrap(),
        lossless: false,
    })
}

impl Rig {
    fn new(shards: usize, ring_items: usize) -> Self {
        let registry = prometheus::Registry::new();
        let metrics = FanoutMetrics::register(&registry, shards).unwrap();
        let (tx, rings): (Vec<_>, Vec<_>) = (0..shards)
            .map(|_| ring(ring_items, Arc::new(Doorbell::new(|| {}))))
            .unzip();
        let (interests, requests) = Interests::new(100);
        let instrument = instrument(3, "okx", "BTC-USDT");
        Self {
            publisher: Publisher::new(tx, metrics),
            interests,
            requests,
            rings,
            instrument,
            book: Book::new(),
            quote: Quote::default(),
            seq: [0; StreamKind::COUNT],
            history: Vec::new(),
        }
    }

    fn entry(&self, topic: &str) -> Arc<TopicEntry> {
        let topic: Topic = topic.parse().unwrap();
        self.interests.entry(&topic, &self.instrument).unwrap()
    }

    fn join(&self, topic: &str, shard: usize) -> Arc<TopicEntry> {
        let entry = self.entry(topic);
        self.interests.join(&entry, shard, Encoding::Json);
        entry
    }

    /// One turn of the pipeline's thread: requests answered, everything handed out.
    fn turn(&mut self) {
        while let Some(entry) = self.requests.take() {
            self.open(&entry);
        }
        self.publisher.flush(Mono::default(), false);
        while let Some(entry) = self.publisher.take_reopened() {
            self.open(&entry);
        }
        self.publisher.flush(Mono::default(), false);
    }

    fn open(&mut self, entry: &Arc<TopicEntry>) {
        let kind = entry.stream().kind;
        let seq = self.seq[kind.index()];
        let body = match kind {
            StreamKind::Trade => (seq > 0).then_some(Body::Trades(&self.history)),
            StreamKind::Quote => (seq > 0).then_some(Body::Quote(&self.quote)),
            _ => (seq > 0).then_some(Body::Book {
                book: &self.book,
                touched: Touched::ALL,
                changes: None,
            }),
        };
        let update = body.map(|body| update(&self.instrument, seq, body));
        let pos = StreamPos {
            epoch: Epoch::new(1),
            seq: Seq::new(seq),
        };
        self.publisher.open(entry, pos, update.as_ref());
    }

    fn level(&mut self, side: Side, price: i64, qty: i64) {
        let mut touched = Touched::NONE;
        let level = Level::new(Price::from_mantissa(price), Qty::from_mantissa(qty));
        if let Some(rank) = self.book.apply(side, level) {
            touched.note(side, rank);
        }
        self.seq[StreamKind::Book.index()] += 1;
        let body = Body::Book {
            book: &self.book,
            touched,
            changes: None,
        };
        let seq = self.seq[StreamKind::Book.index()];
        self.publisher.publish(&update(&self.instrument, seq, body));
    }

    fn quote(&mut self, price: i64) {
        let side = Some((Price::from_mantissa(price), Qty::from_mantissa(1)));
        self.quote = Quote {
            bid: side,
            ask: None,
        };
        self.seq[StreamKind::Quote.index()] += 1;
        let seq = self.seq[StreamKind::Quote.index()];
        self.publisher
            .publish(&update(&self.instrument, seq, Body::Quote(&self.quote)));
    }

    fn trade(&mut self) {
        self.seq[StreamKind::Trade.index()] += 1;
        let seq = self.seq[StreamKind::Trade.index()];
        let trade = Trade {
            id: TradeId::from_number(seq),
            price: Price::from_mantissa(1),
            qty: Qty::from_mantissa(1),
            aggressor: None,
            ts_event: None,
        };
        self.history.push(trade);
        self.publisher
            .publish(&update(&self.instrument, seq, Body::Trades(&[trade])));
    }

    /// Events never came.
    fn lose(&mut self, kind: StreamKind, events: u64) {
        self.seq[kind.index()] += events;
        let seq = self.seq[kind.index()];
        let body = Body::Lost { kind, events };
        self.publisher.publish(&update(&self.instrument, seq, body));
    }

    fn items(&self, shard: usize) -> Vec<Item> {
        std::iter::from_fn(|| self.rings[shard].try_pop()).collect()
    }
}

fn update<'a>(instrument: &'a Arc<Instrument>, seq: u64, body: Body<'a>) -> Update<'a> {
    Update {
        instrument,
        epoch: Epoch::new(1),
        seq: Seq::new(seq),
        ts_event: None,
        ts_recv: UnixNanos::new(5),
        venue_seq: None,
        body,
    }
}

fn json(item: &Item) -> Value {
    let frame = item.frame();
    let payload = if frame[1] < 126 { 2 } else { 4 };
    serde_json::from_slice(&frame[payload..]).unwrap()
}

/// A client of one topic, through one shard, that follows the rule of the protocol and panics where
/// something was lost without being announced.
#[derive(Default)]
struct Client {
    joined: bool,
    last: Option<u64>,
    levels: std::collections::BTreeMap<(bool, i64), i64>,
    bid: Option<String>,
    trades: Vec<u64>,
    lost: u64,
}

impl Client {
    fn handle(&mut self, item: &Item) {
        match item.kind {
            ItemKind::Snapshot { .. } if self.joined => return,
            ItemKind::Snapshot { .. } => self.joined = true,
            ItemKind::Reset => self.joined = true,
            ItemKind::Update { .. } | ItemKind::Gap { .. } if !self.joined => return,
            ItemKind::Update { .. } | ItemKind::Gap { .. } => {}
            ItemKind::Replaced => panic!("its instrument stays"),
        }
        if item.is_empty() {
            return;
        }
        let frame = json(item);
        let seq = |key: &str| frame[key].as_u64();
        match frame["type"].as_str() {
            None => {
                assert_eq!(frame["op"], "gap");
                assert_eq!(seq("from").unwrap(), self.last.unwrap() + 1, "{frame}");
                self.lost += seq("to").unwrap() + 1 - seq("from").unwrap();
                self.last = seq("to");
                return;
            }
            Some("snapshot") => {
                self.levels.clear();
                self.trades.clear();
            }
            Some(_) => assert_eq!(seq("prev"), self.last, "{frame}"),
        }
        self.last = seq("seq");
        self.bid = frame["bid"].as_str().map(str::to_owned);
        for (is_bid, side) in [(true, "bids"), (false, "asks")] {
            for level in frame[side].as_array().into_iter().flatten() {
                let number = |i: usize| level[i].as_str().unwrap().parse::<i64>().unwrap();
                if number(1) == 0 {
                    self.levels.remove(&(is_bid, number(0)));
                } else {
                    self.levels.insert((is_bid, number(0)), number(1));
                }
            }
        }
        let trades = frame["trades"].as_array().into_iter().flatten();
        self.trades
            .extend(trades.map(|t| t["id"].as_str().unwrap().parse::<u64>().unwrap()));
    }
}

#[test]
fn nothing_is_encoded_when_nobody_subscribes() {
    let mut rig = Rig::new(1, 16);
    rig.quote(1);
    rig.turn();
    rig.join("quote:okx:BTC-USDT", 0);
    rig.turn();
    rig.quote(2);
    let entry = rig.entry("quote:okx:BTC-USDT");
    rig.interests.leave(&entry, 0, Encoding::Json);
    rig.quote(3);
    rig.turn();
    let encoded = rig
        .publisher
        .metrics
        .frames_encoded
        .of(tapecast_model::ChannelKind::Quote, Encoding::Json)
        .get();
    assert_eq!(
        (encoded, rig.publisher.metrics.updates_unwanted.get()),
        (1, 1)
    );
    assert_eq!(rig.publisher.metrics.topics.get(), 0);
}

#[test]
fn shards_share_one_encoding_of_an_update() {
    let mut rig = Rig::new(2, 16);
    rig.join("quote:okx:BTC-USDT", 0);
    rig.join("quote:okx:BTC-USDT", 1);
    rig.turn();
    rig.quote(7);
    rig.turn();
    let (one, two) = (rig.items(0), rig.items(1));
    assert_eq!(one[1].frame().as_ptr(), two[1].frame().as_ptr());
    assert_eq!(json(&one[1])["bid"], "7");
    assert_eq!(
        rig.publisher
            .metrics
            .frames_encoded
            .of(tapecast_model::ChannelKind::Quote, Encoding::Json)
            .get(),
        1
    );
}

#[test]
fn a_topic_begins_with_nothing_or_with_the_state_of_its_stream() {
    let mut rig = Rig::new(1, 16);
    rig.join("quote:okx:BTC-USDT", 0);
    rig.join("trade:okx:BTC-USDT", 0);
    rig.turn();
    let items = rig.items(0);
    assert_eq!(items[0].kind, ItemKind::Snapshot { known: false });
    assert!(items[0].is_empty());
    assert_eq!(items[1].kind, ItemKind::Snapshot { known: false });
    assert_eq!(json(&items[1])["trades"], Value::Array(vec![]));
    rig.quote(1);
    rig.trade();
    rig.turn();
    let items = rig.items(0);
    assert_eq!(
        (items[0].kind, json(&items[0])["type"].as_str()),
        (ItemKind::Reset, Some("snapshot"))
    );
    assert_eq!(items[1].kind, ItemKind::Update { prev: Seq::ZERO });
    rig.join("book.10:okx:BTC-USDT", 0);
    rig.level(Side::Bid, 5, 1);
    rig.turn();
    assert_eq!(json(&rig.items(0)[0])["bids"][0][0], "5");
}

#[test]
fn what_a_topic_says_of_a_book_does_not_depend_on_who_subscribes_other_depths() {
    let topics = [
        "book.1:okx:BTC-USDT",
        "book.10:okx:BTC-USDT",
        "book.25:okx:BTC-USDT",
    ];
    let frames = |joined: &[&str]| {
        let mut rig = Rig::new(1, 1_000);
        let slots: Vec<_> = joined.iter().map(|topic| rig.join(topic, 0).slot).collect();
        for n in 0..60 {
            let side = if n % 2 == 0 { Side::Bid } else { Side::Ask };
            let away = n * 7 % 31;
            let price = if side == Side::Bid {
                500 - away
            } else {
                501 + away
            };
            rig.level(side, price, n % 5);
            rig.turn();
        }
        let items = rig.items(0);
        let of = |slot: &TopicSlot| -> Vec<_> {
            let of = items.iter().filter(|item| item.slot == *slot);
            of.map(|item| json(item).to_string()).collect()
        };
        slots.iter().map(of).collect::<Vec<_>>()
    };
    let together = frames(&topics);
    for (topic, frames_of_topic) in topics.iter().zip(together) {
        assert!(frames_of_topic.len() > 5, "{topic}");
        assert_eq!(frames(&[topic]), [frames_of_topic], "{topic}");
    }
}

#[test]
fn many_joiners_of_a_quiet_topic_cost_one_encoding() {
    let mut rig = Rig::new(2, 64);
    rig.level(Side::Ask, 9, 1);
    for shard in [0, 1, 0, 1, 0] {
        rig.join("book.10:okx:BTC-USDT", shard);
        rig.turn();
    }
    let items = [rig.items(0), rig.items(1)].concat();
    assert_eq!(items.len(), 5);
    assert!(items.iter().all(|item| item.frame() == items[0].frame()));
    assert_eq!(
        rig.publisher
            .metrics
            .snapshots_encoded
            .of(tapecast_model::ChannelKind::Book, Encoding::Json)
            .get(),
        1
    );
}

#[test]
fn a_shard_that_was_overrun_is_made_whole_once_it_has_room() {
    let mut rig = Rig::new(1, 4);
    let (mut quotes, mut trades) = (Client::default(), Client::default());
    let (quote, trade) = (
        rig.join("quote:okx:BTC-USDT", 0),
        rig.join("trade:okx:BTC-USDT", 0),
    );
    rig.turn();
    for price in 1..=10 {
        rig.quote(price);
        rig.trade();
        rig.turn();
    }
    assert!(rig.publisher.is_behind());
    assert!(rig.publisher.metrics.ring_overruns[0].get() > 0);
    for _ in 0..2 {
        for item in rig.items(0) {
            if item.slot == quote.slot {
                quotes.handle(&item)
            } else {
                trades.handle(&item)
            }
        }
        // Nothing more is published: the repair comes by itself.
        rig.turn();
    }
    assert!(!rig.publisher.is_behind());
    assert_eq!(quotes.bid.as_deref(), Some("10"));
    assert_eq!(trades.last, Some(10));
    assert_eq!(trades.trades.len() as u64 + trades.lost, 10);
    assert_ne!(trade.tid, quote.tid);
}

#[derive(Clone, Debug)]
enum Op {
    Level(bool, i64, i64),
    Trade,
    Turn,
    Drain(usize),
    Join(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (any::<bool>(), 0_i64..20, 0_i64..3).prop_map(|(b, p, q)| Op::Level(b, p, q)),
        2 => Just(Op::Trade),
        2 => Just(Op::Turn),
        2 => (0_usize..2).prop_map(Op::Drain),
        1 => (0_usize..2).prop_map(Op::Join),
    ]
}

proptest! {
    /// Whatever overruns, every client that follows the rule ends with the truth, and never meets a
    /// hole that was not announced.
    #[test]
    fn clients_end_with_the_truth(ops in prop::collection::vec(op(), 0..150), capacity in 2_usize..12) {
        let mut rig = Rig::new(2, capacity);
        let topics = ["book.10:okx:BTC-USDT", "trade:okx:BTC-USDT"];
        let slots = topics.map(|t| rig.entry(t).slot);
        let mut clients: [[Client; 2]; 2] = Default::default();
        let mut asked = [false; 2];
        let drain = |rig: &Rig, clients: &mut [[Client; 2]; 2], shard: usize| {
            for item in rig.items(shard) {
                let topic = slots.iter().position(|slot| *slot == item.slot).unwrap();
                clients[shard][topic].handle(&item);
            }
        };
        for op in ops {
            match op {
                Op::Level(bid, price, qty) => {
                    rig.level(if bid { Side::Bid } else { Side::Ask }, price, qty);
                }
                Op::Trade => rig.trade(),
                Op::Turn => rig.turn(),
                Op::Drain(shard) => drain(&rig, &mut clients, shard),
                Op::Join(shard) if !asked[shard] => {
                    asked[shard] = true;
                    for topic in topics {
                        rig.join(topic, shard);
                    }
                }
                Op::Join(_) => {}
            }
        }
        for _ in 0..4 {
            rig.turn();
            for shard in 0..2 {
                drain(&rig, &mut clients, shard);
            }
        }
        prop_assert!(!rig.publisher.is_behind());
        for shard in (0..2).filter(|s| asked[*s]) {
            let [book, trades] = &clients[shard];
            let mut truth = std::collections::BTreeMap::new();
            for (is_bid, side) in [(true, Side::Bid), (false, Side::Ask)] {
                for level in rig.book.levels(side).take(10) {
                    truth.insert((is_bid, level.price.mantissa()), level.qty.mantissa());
                }
            }
            prop_assert_eq!(&book.levels, &truth);
            if let Some(last) = trades.last {
                prop_assert_eq!(last, rig.seq[StreamKind::Trade.index()]);
            }
        }
    }
}
