//! Between the sequencer and a socket that has room, nothing is allocated.
//!
//! A publisher, a ring and a shard as in production, on one thread so that an allocator can count;
//! sockets that take everything. After a warm-up in which vectors grow to their size, a million
//! deliveries must not allocate once.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tapecast_edge::shard::Budget;
use tapecast_edge::shard::socket::Socket;
use tapecast_edge::{Admission, Arrival, EdgeMetrics, Limits, Shard, Shared};
use tapecast_fanout::pace::Congestion;
use tapecast_fanout::ring::ring;
use tapecast_fanout::wake::Doorbell;
use tapecast_fanout::{FanoutMetrics, Interests, Publisher, Requests};
use tapecast_model::catalog::{Definition, Offer};
use tapecast_model::clock::mono_now;
use tapecast_model::{
    Aggressor, Body, Book, Catalog, ChannelKind, ChannelSet, Epoch, EventTime, InForce, Instrument,
    Level, Mono, Price, Qty, Quote, Scale, Seq, Side, StreamPos, Symbol, Touched, Trade, TradeId,
    UnixNanos, Update, UpdateSink, Venue,
};
use tapecast_wire::Encoding;

/// Where all connections come from.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50_000);

/// A socket that takes everything and has said what its client says.
struct Sink {
    inward: VecDeque<u8>,
    written: usize,
}

impl Socket for Sink {
    fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        self.written += bytes;
        Ok(bytes)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written += bytes.len();
        Ok(bytes.len())
    }

    fn try_read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.inward.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = bytes.len().min(self.inward.len());
        for (to, from) in bytes.iter_mut().zip(self.inward.drain(..read)) {
            *to = from;
        }
        Ok(read)
    }

    fn shutdown_write(&mut self) {}
}

const CHANNELS: [&str; 3] = ["trade", "quote", "book.10"];

struct Rig {
    shard: Shard<Sink>,
    publisher: Publisher,
    requests: Requests,
    instruments: Vec<Arc<Instrument>>,
    seq: u64,
}

impl Rig {
    /// `clients` clients, each subscribed to the trades, quotes and books of `per_client` of `symbols`
    /// symbols, at an interval or not.
    fn new(clients: usize, symbols: usize, per_client: usize, interval: &str) -> Self {
        let registry = prometheus::Registry::new();
        let catalog = Arc::new(Catalog::new(symbols));
        let venue = Venue::new("x").unwrap();
        let kinds = [ChannelKind::Trade, ChannelKind::Quote, ChannelKind::Book];
        let channels = kinds.into_iter().fold(ChannelSet::EMPTY, ChannelSet::with);
        catalog.add_venue(
            &venue,
            Offer {
                channels,
                any_symbol: None,
                lossless: false,
            },
        );
        let instruments = (0..symbols)
            .map(|n| {
                let symbol = Symbol::new(&format!("S{n}")).unwrap();
                let scale = Scale::new(2).unwrap();
                let native = symbol.as_str().into();
                let definition = Definition {
                    symbol,
                    native,
                    price_scale: scale,
                    qty_scale: scale,
                };
                catalog.add_instrument(&venue, definition).unwrap()
            })
            .collect();
        let (interests, requests) = Interests::new(10 * symbols);
        let (tx, rx) = ring(16_384, Arc::new(Doorbell::new(|| {})));
        let limits = Limits {
            requests_per_s: 1_000,
            ..Limits::default()
        };
        let shared = Arc::new(Shared {
            catalog,
            interests: Arc::new(interests),
            congestion: Congestion::new(1),
            settings: InForce::new(limits.into()),
            node: "test".into(),
            connection_ids: AtomicU64::new(1),
        });
        let edge = EdgeMetrics::register(&registry).unwrap();
        let fanout = FanoutMetrics::register(&registry, 1).unwrap();
        let mut shard = Shard::new(0, shared, rx, edge.shard(0));
        let admission = Admission::new(clients, clients);
        let mut scratch = [0; 4_096];
        for client in 0..clients {
            let topics: Vec<String> = (0..per_client)
                .map(|n| (client * 7 + n) % symbols)
                .flat_map(|n| CHANNELS.map(|c| format!("\"{c}:x:S{n}{interval}\"")))
                .collect();
            let request = format!(r#"{{"op":"subscribe","topics":[{}]}}"#, topics.join(","));
            // At least as long as the form of length below is for.
            let request = format!("{request:126}");
            let mut inward = VecDeque::from([0x81, 0x80 | 126]);
            inward.extend((request.len() as u16).to_be_bytes());
            inward.extend([0; 4]);
            inward.extend(request.as_bytes());
            let permit = admission.admit(PEER).unwrap();
            let socket = Sink { inward, written: 0 };
            let arrival = Arrival {
                socket,
                early: vec![],
                encoding: Encoding::Json,
                permit,
            };
            let (now, wall) = (mono_now(), UnixNanos::new(1));
            let id = shard.accept(arrival, now, wall);
            while shard.handle_readable(id, &mut scratch, now, wall) {}
        }
        let publisher = Publisher::new(vec![tx], fanout);
        let mut rig = Self {
            shard,
            publisher,
            requests,
            instruments,
            seq: 0,
        };
        rig.open();
        rig
    }

    fn open(&mut self) {
        while let Some(entry) = self.requests.take() {
            let pos = StreamPos {
                epoch: Epoch::new(1),
                seq: Seq::new(0),
            };
            self.publisher.open(&entry, pos, None);
        }
        self.hand_over();
    }

    fn hand_over(&mut self) {
        self.publisher.flush(mono_now(), false);
        while self.shard.turn(Budget::default(), mono_now) {}
    }

    /// One update of each kind for each symbol, in one turn, a millisecond after the turn before.
    fn round(&mut self, books: &mut [Book]) {
        self.seq += 1;
        let now = Mono::new(self.seq * 1_000_000);
        self.publisher.set_time(UnixNanos::new(1), now);
        self.publisher.publish_due();
        let (price, qty) = (
            Price::from_mantissa(100),
            Qty::from_mantissa(1 + self.seq as i64),
        );
        let trade = Trade {
            id: TradeId::from_number(self.seq),
            price,
            qty,
            aggressor: Some(Aggressor::Buy),
            ts_event: Some(EventTime::from_millis(5)),
        };
        let quote = Quote {
            bid: Some((price, qty)),
            ask: None,
        };
        for (instrument, book) in self.instruments.iter().zip(books) {
            let rank = book.apply(Side::Bid, Level::new(price, qty)).unwrap();
            let touched = Touched {
                bid: rank,
                ask: usize::MAX,
            };
            for body in [
                Body::Trades(&[trade]),
                Body::Quote(&quote),
                Body::Book {
                    book,
                    touched,
                    changes: None,
                },
            ] {
                self.publisher.publish(&Update {
                    instrument,
                    epoch: Epoch::new(1),
                    seq: Seq::new(self.seq),
                    ts_event: None,
                    ts_recv: UnixNanos::new(1),
                    venue_seq: Some(self.seq),
                    body,
                });
            }
        }
        self.hand_over();
    }

    fn written(&mut self) -> usize {
        (0..self.shard.connections() as u32)
            .filter_map(|conn| self.shard.socket_mut(conn).map(|socket| socket.written))
            .sum()
    }
}

/// At this interval, a frame goes out every so many rounds.
fn check(
    clients: usize,
    symbols: usize,
    per_client: usize,
    rounds: u64,
    (interval, every): (&str, usize),
) {
    let mut rig = Rig::new(clients, symbols, per_client, interval);
    let mut books = vec![Book::new(); symbols];
    // Vectors grow to their size, and the chunks that are then used again are made.
    for _ in 0..1_500 {
        rig.round(&mut books);
    }
    let before = rig.written();
    let counted = allocation_counter::measure(|| {
        for _ in 0..rounds {
            rig.round(&mut books);
        }
    });
    let deliveries = rounds as usize / every * clients * per_client * 3;
    let bytes = rig.written() - before;
    assert!(
        bytes > deliveries * 100,
        "{bytes} bytes for {deliveries} deliveries"
    );
    assert_eq!(
        counted.count_total, 0,
        "allocations in {deliveries} deliveries: {counted:?}"
    );
    let mono: Mono = mono_now();
    assert!(mono > Mono::default());
}

#[test]
fn one_topic_set_shared_by_all_allocates_nothing() {
    check(200, 1, 1, 2_000, ("", 1));
}

#[test]
fn many_scattered_topics_allocate_nothing() {
    check(100, 50, 10, 300, ("", 1));
}

#[test]
fn conflated_topics_allocate_nothing() {
    check(100, 50, 10, 300, ("@10ms", 10));
}
