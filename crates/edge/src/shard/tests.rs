//! A shard with a real publisher behind it, simulated sockets before it and a clock moved by hand.
//!
//! Clients do nothing but follow the protocol's rule, and panic where something is lost without
//! being announced. Sockets take as much as the test says, in pieces as small as one byte.

use super::*;
use crate::admission::Admission;
use crate::metrics::EdgeMetrics;
use proptest::prelude::*;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::rc::Rc;
use tapecast_fanout::ring::ring;
use tapecast_fanout::wake::Doorbell;
use tapecast_fanout::{FanoutMetrics, Publisher, Requests};
use tapecast_model::catalog::{Definition, Offer};
use tapecast_model::{
    Body, Book, ChannelKind, ChannelSet, Epoch, Instrument, Level, Price, Qty, Quote, Scale, Seq,
    Side, StreamPos, Symbol, Touched, Trade, TradeId, Update, UpdateSink, Venue,
};

/// What the two ends of a simulated socket share.
#[derive(Default)]
struct Wire {
    /// Bytes on their way to the client.
    out: VecDeque<u8>,
    /// How many more bytes the socket takes.
    room: usize,
    /// Bytes on their way to the server.
    inward: VecDeque<u8>,
    shut: bool,
    /// Where slices that were written stood.
    addresses: Vec<usize>,
}

#[derive(Clone, Default)]
struct FakeSocket(Rc<RefCell<Wire>>);

impl Socket for FakeSocket {
    fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        if wire.room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut taken = 0;
        for slice in slices {
            wire.addresses.push(slice.as_ptr() as usize);
            let take = slice.len().min(wire.room);
            wire.out.extend(&slice[..take]);
            wire.room -= take;
            taken += take;
        }
        Ok(taken)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write_vectored(&[IoSlice::new(bytes)])
    }

    fn try_read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        if wire.inward.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut read = 0;
        while read < bytes.len()
            && let Some(byte) = wire.inward.pop_front()
        {
            bytes[read] = byte;
            read += 1;
        }
        Ok(read)
    }

    fn shutdown_write(&mut self) {
        self.0.borrow_mut().shut = true;
    }
}

/// A client that follows the rule.
#[derive(Default)]
struct Client {
    socket: FakeSocket,
    id: u32,
    buffer: Vec<u8>,
    said: Vec<Value>,
    last: HashMap<String, u64>,
    acknowledged: Vec<String>,
    levels: BTreeMap<(bool, i64), i64>,
    bid: Option<String>,
    prints: u64,
    closed: Option<u16>,
}

impl Client {
    fn ask(&self, text: &str) {
        let mut wire = self.socket.0.borrow_mut();
        wire.inward.push_back(0x81);
        if text.len() < 126 {
            wire.inward.push_back(0x80 | text.len() as u8);
        } else {
            wire.inward.push_back(0x80 | 126);
            wire.inward.extend((text.len() as u16).to_be_bytes());
        }
        wire.inward.extend([0; 4]);
        wire.inward.extend(text.as_bytes());
    }

    /// Reads everything that has come.
    fn read(&mut self) {
        self.buffer.extend(self.socket.0.borrow_mut().out.drain(..));
        while self.buffer.len() >= 2 {
            let (header, length) = match self.buffer[1] {
                126 if self.buffer.len() >= 4 => (
                    4,
                    usize::from(u16::from_be_bytes([self.buffer[2], self.buffer[3]])),
                ),
                126 => return,
                n => (2, usize::from(n)),
            };
            if self.buffer.len() < header + length {
                return;
            }
            let opcode = self.buffer[0] & 15;
            let payload: Vec<u8> = self.buffer.drain(..header + length).skip(header).collect();
            match opcode {
                1 => self.hear(serde_json::from_slice(&payload).unwrap()),
                8 => self.closed = Some(u16::from_be_bytes([payload[0], payload[1]])),
                9 | 10 => {}
                other => panic!("opcode {other}"),
            }
        }
    }

    fn hear(&mut self, message: Value) {
        assert_eq!(self.closed, None, "{message} behind the close frame");
        let topic = message["topic"].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| message[key].as_u64();
        if message["op"] == "gap" {
            // Who joined while the gap was open may hear of more than he lost, never of less.
            let last = self.last[&topic];
            assert!(number("from").unwrap() <= last + 1, "{message}");
            self.prints += number("to").unwrap().saturating_sub(last);
            self.last.insert(topic, number("to").unwrap().max(last));
        } else if message["op"].is_string() {
            for entry in message["topics"].as_array().into_iter().flatten() {
                if let Some(topic) = entry["topic"]
                    .as_str()
                    .filter(|_| message["op"] == "subscribed")
                {
                    self.acknowledged.push(topic.to_owned());
                    if topic.starts_with("trade") {
                        // What was before is history, and counts as had.
                        self.prints = entry["seq"].as_u64().unwrap();
                    }
                    self.last
                        .insert(topic.to_owned(), entry["seq"].as_u64().unwrap());
                }
            }
            self.said.push(message);
        } else {
            assert!(
                self.acknowledged.contains(&topic),
                "{message} before its acknowledgement"
            );
            if message["type"] == "snapshot" {
                if topic.starts_with("book") {
                    self.levels.clear();
                }
                if topic.starts_with("trade") {
                    self.prints = number("seq").unwrap();
                }
            } else if topic.starts_with("quote") {
                assert!(number("seq").unwrap() > self.last[&topic], "{message}");
            } else {
                assert_eq!(number("prev").unwrap(), self.last[&topic], "{message}");
                self.prints += message["trades"].as_array().map_or(0, Vec::len) as u64;
            }
            self.last.insert(topic, number("seq").unwrap());
            if let Some(bid) = message["bid"].as_str() {
                self.bid = Some(bid.to_owned());
            }
            for (is_bid, side) in [(true, "bids"), (false, "asks")] {
                for level in message[side].as_array().into_iter().flatten() {
                    let at = |i: usize| level[i].as_str().unwrap().parse::<i64>().unwrap();
                    match at(1) {
                        0 => self.levels.remove(&(is_bid, at(0))),
                        qty => self.levels.insert((is_bid, at(0)), qty),
                    };
                }
            }
        }
    }
}

/// One shard, its publisher, and one instrument.
struct Rig {
    shard: Shard<FakeSocket>,
    publisher: Publisher,
    requests: Requests,
    admission: Arc<Admission>,
    clients: Vec<Client>,
    instrument: Arc<Instrument>,
    book: Book,
    quote: Quote,
    history: Vec<Trade>,
    seq: [u64; ChannelKind::ALL.len()],
    now: u64,
}

const TOPICS: [&str; 3] = ["trade:x:A", "book.10:x:A", "quote:x:A"];

impl Rig {
    fn new(limits: Limits, lossless: bool, ring_items: usize) -> Self {
        let registry = prometheus::Registry::new();
        let catalog = Arc::new(Catalog::new(10));
        let venue = Venue::new("x").unwrap();
        let channels = [ChannelKind::Trade, ChannelKind::Book, ChannelKind::Quote]
            .into_iter()
            .fold(ChannelSet::EMPTY, ChannelSet::with);
        catalog.add_venue(
            &venue,
            Offer {
                channels,
                any_symbol: None,
                lossless,
            },
        );
        let definition = Definition {
            symbol: Symbol::new("A").unwrap(),
            native: "A".into(),
            price_scale: Scale::default(),
            qty_scale: Scale::default(),
        };
        let instrument = catalog.add_instrument(&venue, definition).unwrap();
        let (interests, requests) = Interests::new(10);
        let (tx, rx) = ring(ring_items, Arc::new(Doorbell::new(|| {})));
        let shared = Arc::new(Shared {
            catalog,
            interests: Arc::new(interests),
            congestion: Congestion::new(1),
            limits,
            node: "test".into(),
            connection_ids: AtomicU64::new(1),
        });
        let metrics = EdgeMetrics::register(&registry).unwrap();
        let fanout = FanoutMetrics::register(&registry, 1).unwrap();
        Self {
            shard: Shard::new(0, shared, rx, metrics.shard(0)),
            publisher: Publisher::new(vec![tx], fanout),
            requests,
            admission: Admission::new(100, 100),
            clients: Vec::new(),
            instrument,
            book: Book::new(),
            quote: Quote::default(),
            history: Vec::new(),
            seq: [0; 7],
            now: 1_000_000_000,
        }
    }

    fn now(&self) -> Mono {
        Mono::new(self.now)
    }

    fn connect(&mut self) -> usize {
        let socket = FakeSocket::default();
        socket.0.borrow_mut().room = usize::MAX / 2;
        let permit = self.admission.admit(IpAddr::from([127, 0, 0, 1])).unwrap();
        let (now, wall) = (self.now(), UnixNanos::new(5));
        let arrival = Arrival {
            socket: socket.clone(),
            early: vec![],
            encoding: Encoding::Json,
            permit,
        };
        let id = self.shard.accept(arrival, now, wall);
        self.clients.push(Client {
            socket,
            id,
            ..Client::default()
        });
        self.clients.len() - 1
    }

    fn subscribe(&mut self, client: usize, topics: &[&str]) {
        let topics = serde_json::to_string(topics).unwrap();
        self.clients[client].ask(&format!(r#"{{"op":"subscribe","id":1,"topics":{topics}}}"#));
    }

    fn publish(&mut self, kind: ChannelKind, change: impl FnOnce(&mut Self) -> Touched) {
        let touched = change(self);
        self.seq[kind.index()] += 1;
        let seq = self.seq[kind.index()];
        if kind == ChannelKind::Trade {
            let (price, qty) = (Price::from_mantissa(1), Qty::from_mantissa(1));
            let id = TradeId::from_number(seq);
            self.history.push(Trade {
                id,
                price,
                qty,
                aggressor: None,
                ts_event: None,
            });
        }
        let body = match kind {
            ChannelKind::Trade => Body::Trades(&self.history[self.history.len() - 1..]),
            ChannelKind::Quote => Body::Quote(&self.quote),
            _ => Body::Book {
                book: &self.book,
                touched,
                replaced: false,
            },
        };
        self.publisher.publish(&update(&self.instrument, seq, body));
    }

    fn trade(&mut self) {
        self.publish(ChannelKind::Trade, |_| Touched::NONE);
    }

    fn quote(&mut self, price: i64) {
        self.publish(ChannelKind::Quote, |rig| {
            rig.quote.bid = Some((Price::from_mantissa(price), Qty::from_mantissa(1)));
            Touched::NONE
        });
    }

    fn level(&mut self, side: Side, price: i64, qty: i64) {
        self.publish(ChannelKind::Book, |rig| {
            let mut touched = Touched::NONE;
            let level = Level::new(Price::from_mantissa(price), Qty::from_mantissa(qty));
            if let Some(rank) = rig.book.apply(side, level) {
                touched.note(side, rank);
            }
            touched
        });
    }

    /// One turn of the pipeline's thread.
    fn pipeline(&mut self) {
        loop {
            while let Some(entry) = self
                .requests
                .take()
                .or_else(|| self.publisher.take_reopened())
            {
                let kind = entry.stream().kind;
                let seq = self.seq[kind.index()];
                let body = match kind {
                    ChannelKind::Trade => Body::Trades(&self.history),
                    ChannelKind::Quote => Body::Quote(&self.quote),
                    _ => Body::Book {
                        book: &self.book,
                        touched: Touched::ALL,
                        replaced: true,
                    },
                };
                let update = (seq > 0).then(|| update(&self.instrument, seq, body));
                let pos = StreamPos {
                    epoch: Epoch::new(1),
                    seq: Seq::new(seq),
                };
                self.publisher.open(&entry, pos, update.as_ref());
            }
            self.publisher.flush(self.now());
            match self.publisher.take_reopened() {
                Some(entry) => entry_back(&mut self.publisher, &entry),
                None => return,
            }
        }
    }

    /// One round of the shard's thread: it hears everybody, then has a turn.
    fn round(&mut self) {
        self.now += 1_000_000;
        let (now, wall) = (self.now(), UnixNanos::new(5));
        let mut scratch = [0; 64];
        for client in 0..self.clients.len() {
            let id = self.clients[client].id;
            while self.shard.handle_readable(id, &mut scratch, now, wall) {}
        }
        self.shard.turn(Budget::default(), || now);
        self.shard.handle_resumed(now, wall);
        self.shard.handle_time(now, wall);
    }

    /// The client's socket has room for so many bytes more.
    fn make_room(&mut self, client: usize, bytes: usize) {
        let Client { socket, id, .. } = &self.clients[client];
        socket.0.borrow_mut().room = bytes;
        let (id, now) = (*id, self.now());
        self.shard.handle_writable(id, now);
    }

    /// Everything that can happen happens, until nothing does.
    fn settle(&mut self) {
        for _ in 0..12 {
            for client in 0..self.clients.len() {
                self.make_room(client, usize::MAX / 2);
            }
            self.pipeline();
            self.round();
            for client in &mut self.clients {
                client.read();
            }
        }
    }

    /// The accounting identity: what was indexed has been delivered, conflated, dropped or is queued.
    fn balance(&mut self) {
        self.shard.publish_metrics();
        let m = &self.shard.metrics;
        let queued = u64::try_from(m.queued.get()).unwrap();
        let gone = m.delivered.get() + m.conflated.get() + m.dropped.get();
        assert_eq!(m.indexed.get(), gone + queued, "the books balance");
    }
}

/// A request that could not be answered for want of room is put back to be answered later.
fn entry_back(publisher: &mut Publisher, entry: &Arc<tapecast_fanout::TopicEntry>) {
    let pos = StreamPos {
        epoch: Epoch::new(1),
        seq: Seq::new(0),
    };
    publisher.open(entry, pos, None);
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

fn ops(client: &Client) -> Vec<&str> {
    client
        .said
        .iter()
        .filter_map(|m| m["op"].as_str())
        .collect()
}

#[test]
fn acknowledgement_then_snapshot_then_updates() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    rig.level(Side::Bid, 5, 1);
    let client = rig.connect();
    rig.subscribe(client, &TOPICS);
    rig.subscribe(
        client,
        &[
            "book.26:x:A",
            "trade:y:A",
            "ticker:x:A",
            "nonsense",
            "trade:x:B",
        ],
    );
    rig.round();
    rig.pipeline();
    rig.level(Side::Bid, 6, 1);
    rig.trade();
    rig.quote(6);
    rig.settle();
    let client = &rig.clients[client];
    assert_eq!(ops(client), ["welcome", "subscribed", "subscribed"]);
    let starts: Vec<_> = client.said[1]["topics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["start"].clone())
        .collect();
    assert_eq!(starts, ["none", "snapshot", "none"]);
    let errors: Vec<_> = client.said[2]["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["error"].clone())
        .collect();
    assert_eq!(
        errors,
        [
            "depth_not_offered",
            "unknown_symbol",
            "channel_not_offered",
            "bad_topic",
            "unknown_symbol"
        ]
    );
    assert_eq!(client.levels.len(), 2);
    assert_eq!((client.prints, client.bid.as_deref()), (1, Some("6")));
    rig.balance();
}

#[test]
fn all_clients_of_a_topic_are_given_the_same_bytes_at_the_same_address() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let clients = [rig.connect(), rig.connect(), rig.connect()];
    for client in clients {
        rig.subscribe(client, &["trade:x:A"]);
    }
    rig.settle();
    for client in clients {
        rig.clients[client].socket.0.borrow_mut().addresses.clear();
    }
    rig.trade();
    rig.trade();
    rig.pipeline();
    rig.round();
    let written = clients.map(|c| rig.clients[c].socket.0.borrow().addresses.clone());
    assert_eq!(written[0].len(), 1, "two frames in a row are one slice");
    assert!(written.iter().all(|addresses| *addresses == written[0]));
    let bytes = clients.map(|c| rig.clients[c].socket.0.borrow().out.clone());
    assert!(bytes.iter().all(|b| *b == bytes[0]));
}

#[test]
fn requests_behind_a_subscription_wait_for_it() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    rig.subscribe(client, &["trade:x:A"]);
    rig.clients[client].ask(r#"{"op":"list","id":2}"#);
    rig.clients[client].ask(r#"{"op":"unsubscribe","id":3,"topics":["trade:x:A","quote:x:A"]}"#);
    rig.clients[client].ask(r#"{"op":"ping","id":4}"#);
    rig.settle();
    let client = &rig.clients[client];
    let want = [
        "welcome",
        "subscribed",
        "subscriptions",
        "unsubscribed",
        "pong",
    ];
    assert_eq!(ops(client), want);
    assert_eq!(client.said[2]["topics"][0]["topic"], "trade:x:A");
    assert_eq!(client.said[3]["rejected"][0]["error"], "not_subscribed");
}

#[test]
fn after_unsubscribed_no_frame_follows_and_the_topic_ends() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    rig.subscribe(client, &["trade:x:A"]);
    rig.settle();
    rig.trade();
    rig.pipeline();
    rig.clients[client].ask(r#"{"op":"unsubscribe","id":3,"topics":["trade:x:A"]}"#);
    rig.settle();
    assert_eq!(rig.clients[client].prints, 0);
    rig.trade();
    rig.trade();
    rig.settle();
    assert_eq!(rig.clients[client].prints, 0);
    assert_eq!(rig.shard.index.subscriptions(), 0);
}

#[test]
fn a_slow_client_gets_the_newest_state_and_a_gap_and_delays_nobody() {
    let mut rig = Rig::new(Limits::default(), false, 4_096);
    let (slow, fast) = (rig.connect(), rig.connect());
    for client in [slow, fast] {
        rig.subscribe(client, &TOPICS);
    }
    rig.settle();
    rig.clients[slow].socket.0.borrow_mut().room = 100;
    for n in 1..=1_500 {
        rig.trade();
        rig.quote(n);
        rig.level(Side::Bid, 1 + n % 7, n);
        rig.pipeline();
        rig.round();
    }
    rig.clients[fast].read();
    assert_eq!(rig.clients[fast].prints, 1_500);
    rig.balance();
    let outbox = rig.shard.conns[0]
        .as_ref()
        .unwrap()
        .outbox
        .as_ref()
        .unwrap();
    assert!(outbox.bytes() < rig.shard.shared.limits.outbox_bytes_max);
    rig.settle();
    rig.balance();
    let (one, other) = (&rig.clients[slow], &rig.clients[fast]);
    assert_eq!(
        (&one.levels, &one.bid, one.prints),
        (&other.levels, &other.bid, other.prints)
    );
    assert!(rig.shard.metrics.gaps.get() == 1 && rig.shard.metrics.resyncs_slow.get() == 2);
}

#[test]
fn a_reader_of_a_lossless_topic_gets_every_event() {
    let mut rig = Rig::new(Limits::default(), true, 8_192);
    let client = rig.connect();
    rig.subscribe(client, &TOPICS);
    rig.settle();
    rig.clients[client].socket.0.borrow_mut().room = 10;
    for n in 1..=2_000 {
        rig.quote(n);
        rig.trade();
    }
    rig.pipeline();
    rig.round();
    rig.settle();
    assert_eq!(
        (
            rig.clients[client].prints,
            rig.clients[client].last["quote:x:A"]
        ),
        (2_000, 2_000)
    );
    assert_eq!(
        rig.shard.metrics.gaps.get() + rig.shard.metrics.resyncs_slow.get(),
        0
    );
}

#[test]
fn a_lossless_reader_over_half_full_is_told_to_the_replay() {
    let limits = Limits {
        outbox_bytes_max: 2_000,
        ..Limits::default()
    };
    let mut rig = Rig::new(limits, true, 8_192);
    let client = rig.connect();
    rig.subscribe(client, &["trade:x:A"]);
    rig.settle();
    rig.clients[client].socket.0.borrow_mut().room = 0;
    for _ in 0..20 {
        rig.trade();
    }
    rig.pipeline();
    rig.round();
    assert!(!rig.shard.shared.congestion.is_clear());
    assert_eq!(rig.clients[client].closed, None);
    rig.settle();
    assert!(rig.shard.shared.congestion.is_clear());
    assert_eq!(rig.clients[client].prints, 20);
}

#[test]
fn a_socket_that_takes_nothing_is_closed_and_counts_no_longer() {
    let mut rig = Rig::new(Limits::default(), true, 64);
    let client = rig.connect();
    rig.subscribe(client, &["trade:x:A"]);
    rig.settle();
    rig.clients[client].socket.0.borrow_mut().room = 0;
    rig.trade();
    rig.pipeline();
    rig.round();
    rig.now += 10_000_000_000;
    // Not idle: it goes on talking, it only does not read.
    rig.clients[client].ask(r#"{"op":"ping"}"#);
    for _ in 0..600 {
        rig.round();
    }
    rig.now += 3_000_000_000;
    for _ in 0..600 {
        rig.round();
    }
    assert_eq!(rig.shard.connections(), 0);
    assert!(rig.shard.shared.congestion.is_clear());
    assert_eq!(
        rig.shard.metrics.closed[CloseReason::SlowConsumer.index()].get(),
        1
    );
    rig.balance();
}

#[test]
fn heartbeats_name_silent_topics_and_silence_ends_a_connection() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    rig.subscribe(client, &["trade:x:A"]);
    rig.trade();
    rig.settle();
    for _ in 0..35_000 {
        rig.round();
        rig.clients[client].socket.0.borrow_mut().room = usize::MAX / 2;
    }
    rig.clients[client].read();
    let client = &rig.clients[client];
    let beats: Vec<_> = client
        .said
        .iter()
        .filter(|m| m["op"] == "heartbeat")
        .collect();
    assert!(
        (28..=31).contains(&beats.len()),
        "{} heartbeats in 30 s",
        beats.len()
    );
    assert_eq!(beats[3]["topics"], serde_json::json!([["trade:x:A", 1, 1]]));
    assert_eq!(client.said.last().unwrap()["error"], "idle");
    assert_eq!(client.closed, Some(4008));
    assert_eq!(rig.shard.connections(), 0);
}

#[test]
fn draining_says_goodbye_to_everybody() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    rig.subscribe(client, &TOPICS);
    rig.settle();
    let now = rig.now();
    rig.shard.drain(now);
    rig.clients[client].read();
    assert_eq!(rig.clients[client].closed, Some(1001));
    assert_eq!(
        rig.clients[client].said.last().unwrap()["error"],
        "draining"
    );
    assert!(rig.clients[client].socket.0.borrow().shut);
}

#[test]
fn a_flood_of_requests_is_refused_and_then_ended() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    for _ in 0..40 {
        rig.clients[client].ask(r#"{"op":"ping","id":7}"#);
    }
    rig.round();
    rig.clients[client].read();
    let refused = rig.clients[client]
        .said
        .iter()
        .filter(|m| m["error"] == "too_many_requests");
    assert_eq!(refused.count(), 20);
    for _ in 0..400 {
        rig.clients[client].ask(r#"{"op":"ping","id":7}"#);
    }
    rig.round();
    rig.clients[client].read();
    assert_eq!(rig.clients[client].closed, Some(4029));
}

#[derive(Clone, Debug)]
enum Op {
    Level(bool, i64, i64),
    Trade,
    Quote(i64),
    Pipeline,
    Round,
    Room(usize, usize),
    Unsubscribe(usize, usize),
    Subscribe(usize, usize),
    Resync(usize, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let room = prop_oneof![
        Just(0_usize),
        1_usize..4,
        20_usize..500,
        Just(1_000_000_usize)
    ];
    prop_oneof![
        4 => (any::<bool>(), 0_i64..20, 0_i64..3).prop_map(|(b, p, q)| Op::Level(b, p, q)),
        4 => Just(Op::Trade),
        4 => (0_i64..100).prop_map(Op::Quote),
        4 => Just(Op::Pipeline),
        6 => Just(Op::Round),
        6 => (0_usize..3, room).prop_map(|(c, r)| Op::Room(c, r)),
        1 => (0_usize..3, 0_usize..3).prop_map(|(c, t)| Op::Unsubscribe(c, t)),
        1 => (0_usize..3, 0_usize..3).prop_map(|(c, t)| Op::Subscribe(c, t)),
        1 => (0_usize..3, 0_usize..3).prop_map(|(c, t)| Op::Resync(c, t)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever fills up, overruns or changes its mind: every client that follows the rule ends with
    /// the truth, meets no hole that was not announced, and the books balance at every step.
    #[test]
    fn clients_end_with_the_truth(
        ops in prop::collection::vec(op(), 0..200),
        outbox in prop_oneof![Just(1_500_usize), Just(4_000_000_usize)],
        ring_items in prop_oneof![Just(4_usize), Just(4_096_usize)],
    ) {
        let limits = Limits {
            outbox_bytes_max: outbox,
            requests_per_s: 10_000,
            ..Limits::default()
        };
        let mut rig = Rig::new(limits, false, ring_items);
        for _ in 0..3 {
            let client = rig.connect();
            rig.subscribe(client, &TOPICS);
        }
        let mut subscribed = [[true; 3]; 3];
        for op in ops {
            match op {
                Op::Level(bid, price, qty) => {
                    rig.level(if bid { Side::Bid } else { Side::Ask }, price, qty);
                }
                Op::Trade => rig.trade(),
                Op::Quote(price) => rig.quote(price),
                Op::Pipeline => rig.pipeline(),
                Op::Round => rig.round(),
                Op::Room(client, bytes) => {
                    rig.make_room(client, bytes);
                    rig.clients[client].read();
                }
                Op::Unsubscribe(client, topic) => {
                    subscribed[client][topic] = false;
                    let topic = TOPICS[topic];
                    rig.clients[client].ask(&format!(r#"{{"op":"unsubscribe","topics":["{topic}"]}}"#));
                }
                Op::Subscribe(client, topic) => {
                    subscribed[client][topic] = true;
                    rig.subscribe(client, &[TOPICS[topic]]);
                }
                Op::Resync(client, topic) => {
                    let topic = TOPICS[topic];
                    rig.clients[client].ask(&format!(r#"{{"op":"resync","topics":["{topic}"]}}"#));
                }
            }
            rig.balance();
        }
        rig.settle();
        rig.balance();
        let mut truth = BTreeMap::new();
        for (is_bid, side) in [(true, Side::Bid), (false, Side::Ask)] {
            for level in rig.book.levels(side).take(10) {
                truth.insert((is_bid, level.price.mantissa()), level.qty.mantissa());
            }
        }
        for (client, subscribed) in rig.clients.iter().zip(subscribed) {
            if client.closed.is_some() {
                prop_assert!(outbox == 1_500, "closed for no reason");
                continue;
            }
            if subscribed[0] && rig.seq[0] > 0 {
                prop_assert_eq!(client.last[TOPICS[0]], rig.seq[0]);
                prop_assert_eq!(client.prints, rig.seq[0]);
            }
            if subscribed[1] {
                prop_assert_eq!(&client.levels, &truth);
            }
            if subscribed[2] && rig.seq[1] > 0 {
                let bid = rig.quote.bid.map(|(price, _)| price.mantissa().to_string());
                prop_assert_eq!(&client.bid, &bid);
            }
        }
    }
}
