//! One shard with a real publisher behind it, and a clock moved by hand.

use super::super::*;
use super::client::{Client, FakeSocket};
use crate::admission::Admission;
use crate::metrics::EdgeMetrics;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use tapecast_fanout::ring::ring;
use tapecast_fanout::wake::Doorbell;
use tapecast_fanout::{FanoutMetrics, Publisher, Requests, TopicLimits};
use tapecast_model::catalog::{Definition, Offer};
use tapecast_model::{
    Body, Book, ChannelKind, ChannelSet, Epoch, InForce, Instrument, Level, Price, Qty, Quote,
    Scale, Seq, Side, StreamKind, StreamPos, Symbol, Touched, Trade, TradeId, Update, UpdateSink,
    Venue,
};

/// One shard, its publisher, and one instrument.
pub(super) struct Rig {
    pub(super) shard: Shard<FakeSocket>,
    pub(super) publisher: Publisher,
    pub(super) requests: Requests,
    pub(super) admission: Arc<Admission>,
    pub(super) clients: Vec<Client>,
    pub(super) instrument: Arc<Instrument>,
    /// Others, named `A1`, `A2` and so on, which have quotes only.
    pub(super) others: Vec<Arc<Instrument>>,
    pub(super) other_seq: u64,
    pub(super) book: Book,
    pub(super) quote: Quote,
    pub(super) history: Vec<Trade>,
    pub(super) seq: [u64; StreamKind::COUNT],
    /// Whether a stream has a state.
    pub(super) known: [bool; StreamKind::COUNT],
    /// Rises when the instrument is replaced.
    pub(super) epoch: u64,
    /// Epochs and numbers of trades that never came.
    pub(super) lost: BTreeSet<(u64, u64)>,
    pub(super) now: u64,
}

pub(super) const TOPICS: [&str; 3] = ["trade:x:A", "book.10:x:A", "quote:x:A"];
/// The same, conflated.
pub(super) const INTERVAL_TOPICS: [&str; 3] =
    ["trade:x:A@10ms", "book.10:x:A@50ms", "quote:x:A@10ms"];

/// How long topics linger: some rounds.
pub(super) const LINGER: Duration = Duration::from_millis(5);

impl Rig {
    pub(super) fn new(limits: Limits, lossless: bool, ring_items: usize) -> Self {
        Self::with_others(limits, lossless, ring_items, 0)
    }

    /// With so many instruments beside the one.
    pub(super) fn with_others(
        limits: Limits,
        lossless: bool,
        ring_items: usize,
        others: usize,
    ) -> Self {
        let registry = prometheus::Registry::new();
        let catalog = Arc::new(Catalog::new(10 + others));
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
        // Where any symbol may be named, and none is published.
        catalog.add_venue(
            &Venue::new("desk").unwrap(),
            Offer {
                channels,
                any_symbol: Some((Scale::default(), Scale::default())),
                lossless: false,
            },
        );
        let define = |name: String| {
            let definition = Definition {
                symbol: Symbol::new(&name).unwrap(),
                native: name.as_str().into(),
                price_scale: Scale::default(),
                qty_scale: Scale::default(),
            };
            catalog.add_instrument(&venue, definition).unwrap()
        };
        let instrument = define("A".to_owned());
        let others: Vec<_> = (1..=others).map(|n| define(format!("A{n}"))).collect();
        let (interests, requests) = Interests::with_limits(TopicLimits {
            topics_max: 20 + others.len(),
            linger: LINGER,
            first_tid: u32::MAX - 4,
        });
        let (tx, rx) = ring(ring_items, Arc::new(Doorbell::new(|| {})));
        let shared = Arc::new(Shared {
            catalog,
            interests: Arc::new(interests),
            congestion: Congestion::new(1),
            settings: InForce::new(limits.into()),
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
            others,
            other_seq: 0,
            book: Book::new(),
            quote: Quote::default(),
            history: Vec::new(),
            seq: [0; StreamKind::COUNT],
            known: [false; StreamKind::COUNT],
            epoch: 1,
            lost: BTreeSet::new(),
            now: 1_000_000_000,
        }
    }

    pub(super) fn now(&self) -> Mono {
        Mono::new(self.now)
    }

    pub(super) fn connect(&mut self) -> usize {
        self.connect_in(Encoding::Json)
    }

    pub(super) fn connect_in(&mut self, encoding: Encoding) -> usize {
        self.connect_from(SocketAddr::from(([127, 0, 0, 1], 50_000)), encoding)
    }

    pub(super) fn connect_from(&mut self, peer: SocketAddr, encoding: Encoding) -> usize {
        let socket = FakeSocket::default();
        socket.0.borrow_mut().room = usize::MAX / 2;
        let permit = self.admission.admit(peer).unwrap();
        let (now, wall) = (self.now(), UnixNanos::new(5));
        let arrival = Arrival {
            socket: socket.clone(),
            early: vec![],
            encoding,
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

    pub(super) fn subscribe(&mut self, client: usize, topics: &[&str]) {
        let topics = serde_json::to_string(topics).unwrap();
        self.clients[client].ask(&format!(r#"{{"op":"subscribe","id":1,"topics":{topics}}}"#));
    }

    /// Asks for the quotes of the other symbols. Requests hold 500 topics at most.
    pub(super) fn ask_for_others(&mut self, client: usize, op: &str, topics: usize) {
        let topics: Vec<String> = (1..=topics).map(|n| format!("quote:x:A{n}")).collect();
        for topics in topics.chunks(500) {
            let topics = serde_json::to_string(topics).unwrap();
            self.clients[client].ask(&format!(r#"{{"op":"{op}","topics":{topics}}}"#));
        }
    }

    pub(super) fn publish(&mut self, kind: StreamKind, change: impl FnOnce(&mut Self) -> Touched) {
        self.publisher.set_time(UnixNanos::new(5), self.now());
        let touched = change(self);
        self.seq[kind.index()] += 1;
        self.known[kind.index()] = true;
        let seq = self.seq[kind.index()];
        if kind == StreamKind::Trade {
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
            StreamKind::Trade => Body::Trades(&self.history[self.history.len() - 1..]),
            StreamKind::Quote => Body::Quote(&self.quote),
            _ => Body::Book {
                book: &self.book,
                touched,
                changes: None,
            },
        };
        self.publisher
            .publish(&update(&self.instrument, self.epoch, seq, body));
    }

    pub(super) fn trade(&mut self) {
        self.publish(StreamKind::Trade, |_| Touched::NONE);
    }

    pub(super) fn quote(&mut self, price: i64) {
        self.publish(StreamKind::Quote, |rig| {
            rig.quote.bid = Some((Price::from_mantissa(price), Qty::from_mantissa(1)));
            Touched::NONE
        });
    }

    /// A quote of each of the other instruments.
    pub(super) fn other_quotes(&mut self, price: i64) {
        self.publisher.set_time(UnixNanos::new(5), self.now());
        self.other_seq += 1;
        let bid = Some((Price::from_mantissa(price), Qty::from_mantissa(1)));
        let quote = Quote { bid, ask: None };
        for instrument in &self.others {
            let update = update(instrument, 1, self.other_seq, Body::Quote(&quote));
            self.publisher.publish(&update);
        }
    }

    pub(super) fn level(&mut self, side: Side, price: i64, qty: i64) {
        self.publish(StreamKind::Book, |rig| {
            let mut touched = Touched::NONE;
            let level = Level::new(Price::from_mantissa(price), Qty::from_mantissa(qty));
            if let Some(rank) = rig.book.apply(side, level) {
                touched.note(side, rank);
            }
            touched
        });
    }

    /// So many trades never came; or a state is lost, if there is one.
    pub(super) fn lose(&mut self, kind: StreamKind, events: u64) {
        let is_state = kind != StreamKind::Trade;
        if is_state && !std::mem::take(&mut self.known[kind.index()]) {
            return;
        }
        let (events, seq) = (if is_state { 1 } else { events }, self.seq[kind.index()]);
        match kind {
            StreamKind::Trade => self
                .lost
                .extend((seq + 1..=seq + events).map(|seq| (self.epoch, seq))),
            StreamKind::Quote => self.quote = Quote::default(),
            _ => self.book.clear(),
        }
        self.seq[kind.index()] = seq + events;
        self.publisher.set_time(UnixNanos::new(5), self.now());
        let body = Body::Lost { kind, events };
        self.publisher
            .publish(&update(&self.instrument, self.epoch, seq + events, body));
    }

    /// The instrument's scales change: another takes its place, of which nothing is known.
    pub(super) fn redefine(&mut self) {
        let Instrument {
            id,
            price_scale,
            qty_scale,
            ..
        } = *self.instrument;
        let catalog = &self.shard.shared.catalog;
        let by = catalog.redefine(id, price_scale, qty_scale).unwrap();
        self.publisher.replace(id, &by);
        self.instrument = by;
        self.epoch += 1;
        (self.seq, self.known) = Default::default();
        self.history.clear();
        self.book.clear();
        self.quote = Quote::default();
    }

    /// One turn of the pipeline's thread.
    pub(super) fn pipeline(&mut self) {
        self.publisher.set_time(UnixNanos::new(5), self.now());
        self.publisher.publish_due();
        loop {
            while let Some(entry) = self
                .requests
                .take()
                .or_else(|| self.publisher.take_reopened())
            {
                if entry.successor().is_some() {
                    self.publisher.tell_replaced(&entry);
                    continue;
                }
                if self.publisher.let_go(&entry) {
                    self.requests.linger(&entry, self.now());
                    continue;
                }
                self.open(&entry);
            }
            self.publisher.flush(self.now(), false);
            self.requests.sweep(self.now(), 2);
            self.shard.shared.catalog.collect(2);
            match self.publisher.take_reopened() {
                Some(entry) => self.open(&entry),
                None => return,
            }
        }
    }

    /// A topic begins, or is sent again, with the present state.
    pub(super) fn open(&mut self, entry: &Arc<tapecast_fanout::TopicEntry>) {
        let name = |i: &Instrument| (i.venue.clone(), i.symbol.clone());
        let is_other = name(&entry.instrument) != name(&self.instrument);
        if !is_other && entry.instrument.id != self.instrument.id {
            if self.requests.succeed(entry, &self.instrument) {
                self.publisher.tell_replaced(entry);
            } else {
                self.publisher.reopen_later(Arc::clone(entry));
            }
            return;
        }
        if is_other {
            let seq = self.other_seq;
            let quote = update(&entry.instrument, 1, seq, Body::Quote(&self.quote));
            let pos = StreamPos {
                epoch: Epoch::new(1),
                seq: Seq::new(seq),
            };
            self.publisher.open(entry, pos, (seq > 0).then_some(&quote));
            return;
        }
        let kind = entry.stream().kind;
        let seq = self.seq[kind.index()];
        let body = match kind {
            StreamKind::Trade => Body::Trades(&self.history),
            StreamKind::Quote => Body::Quote(&self.quote),
            _ => Body::Book {
                book: &self.book,
                touched: Touched::ALL,
                changes: None,
            },
        };
        let known = self.known[kind.index()];
        let update = known.then(|| update(&self.instrument, self.epoch, seq, body));
        let pos = StreamPos {
            epoch: Epoch::new(self.epoch),
            seq: Seq::new(seq),
        };
        self.publisher.open(entry, pos, update.as_ref());
    }

    /// One round of the shard's thread: it hears everybody, then has a turn.
    pub(super) fn round(&mut self) {
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
    pub(super) fn make_room(&mut self, client: usize, bytes: usize) {
        let Client { socket, id, .. } = &self.clients[client];
        socket.0.borrow_mut().room = bytes;
        let (id, now) = (*id, self.now());
        self.shard.handle_writable(id, now);
    }

    /// Everything that can happen happens, until nothing does.
    pub(super) fn settle(&mut self) {
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

    /// Nobody is forgotten, and the accounting identity: what was indexed has been delivered, conflated, dropped or is queued.
    pub(super) fn balance(&mut self) {
        self.shard.publish_metrics();
        let m = &self.shard.metrics;
        let outboxes = self.shard.conns.iter().flatten();
        let outboxes = outboxes.filter_map(|conn| conn.outbox.as_ref());
        let queued = outboxes.map(|o| u64::from(o.frames())).sum::<u64>();
        let gone = m.delivered.get() + m.conflated.get() + m.dropped.get();
        assert_eq!(m.indexed.get(), gone + queued, "the books balance");
        for conn in self.shard.conns.iter().flatten() {
            for sub in &conn.session.subs {
                let waits = matches!(sub.state, SubState::Behind(_));
                let marked = conn
                    .outbox
                    .as_ref()
                    .is_some_and(|o| o.has_placeholder(sub.slot));
                assert!(!waits || marked, "a topic that is behind has a placeholder");
            }
        }
    }
}

/// A request that could not be answered for want of room is put back to be answered later.
pub(super) fn update<'a>(
    instrument: &'a Arc<Instrument>,
    epoch: u64,
    seq: u64,
    body: Body<'a>,
) -> Update<'a> {
    Update {
        instrument,
        epoch: Epoch::new(epoch),
        seq: Seq::new(seq),
        ts_event: None,
        ts_recv: UnixNanos::new(5),
        venue_seq: None,
        body,
    }
}
