//! What a shard's work costs between its ring and its sockets: turns with many subscribers of one
//! topic, with bursts, with scattered topics; subscribing and unsubscribing; full sockets and their
//! emptying.
//!
//! The sockets are in memory and take what they have room for, so no system call is in the figures.
//! The items of a turn are published before the clock runs.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop")]

use divan::Bencher;
use divan::counter::ItemsCount;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
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
    Aggressor, Body, Catalog, ChannelKind, ChannelSet, Epoch, EventTime, InForce, Instrument,
    Price, Qty, Scale, Seq, StreamPos, Symbol, Trade, TradeId, UnixNanos, Update, UpdateSink as _,
    Venue,
};
use tapecast_wire::Encoding;

fn main() {
    divan::main();
}

/// What all sockets have taken, and whether they take anything.
#[derive(Debug, Default)]
struct Wire {
    bytes: Cell<usize>,
    writes: Cell<usize>,
    full: Cell<bool>,
}

/// A socket in memory that has something to say.
struct Line {
    inward: VecDeque<u8>,
    wire: Rc<Wire>,
}

impl Line {
    fn take(&self, bytes: usize) -> io::Result<usize> {
        if self.wire.full.get() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.wire.bytes.set(self.wire.bytes.get() + bytes);
        self.wire.writes.set(self.wire.writes.get() + 1);
        Ok(bytes)
    }

    /// A request as a client sends it; its text is made long enough for the longer form of length.
    fn say(&mut self, request: &str) {
        let request = format!("{request:126}");
        self.inward.extend([0x81, 0x80 | 126]);
        self.inward.extend((request.len() as u16).to_be_bytes());
        self.inward.extend([0; 4]);
        self.inward.extend(request.as_bytes());
    }
}

impl Socket for Line {
    fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.take(slices.iter().map(|slice| slice.len()).sum())
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.take(bytes.len())
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

/// A shard with its clients, and the publisher that feeds it.
struct Rig {
    shard: Shard<Line>,
    publisher: Publisher,
    requests: Requests,
    instruments: Vec<Arc<Instrument>>,
    clients: Vec<u32>,
    wire: Rc<Wire>,
    seqs: Vec<u64>,
    scratch: Vec<u8>,
}

impl Rig {
    /// So many clients, each of which hears the trades of `per_client` of `symbols` symbols.
    fn new(clients: usize, symbols: usize, per_client: usize) -> Self {
        let registry = prometheus::Registry::new();
        let catalog = Arc::new(Catalog::new(symbols));
        let venue = Venue::new("x").unwrap();
        let channels = ChannelSet::EMPTY.with(ChannelKind::Trade);
        catalog.add_venue(
            &venue,
            Offer {
                channels,
                ..Offer::default()
            },
        );
        let scale = Scale::new(2).unwrap();
        let instruments = (0..symbols).map(|n| {
            let symbol = Symbol::new(&format!("S{n}")).unwrap();
            let native = symbol.as_str().into();
            let definition = Definition {
                symbol,
                native,
                price_scale: scale,
                qty_scale: scale,
            };
            catalog.add_instrument(&venue, definition).unwrap()
        });
        let instruments = instruments.collect();
        let (interests, requests) = Interests::new(symbols);
        let (tx, rx) = ring(16_384, Arc::new(Doorbell::new(|| {})));
        let limits = Limits {
            requests_per_s: 1_000_000,
            ..Limits::default()
        };
        let shared = Arc::new(Shared {
            catalog,
            interests: Arc::new(interests),
            congestion: Congestion::new(1),
            settings: InForce::new(limits.into()),
            node: "bench".into(),
            connection_ids: AtomicU64::new(1),
        });
        let edge = EdgeMetrics::register(&registry).unwrap();
        let fanout = FanoutMetrics::register(&registry, 1).unwrap();
        let mut rig = Self {
            shard: Shard::new(0, shared, rx, edge.shard(0)),
            publisher: Publisher::new(vec![tx], fanout),
            requests,
            instruments,
            clients: Vec::new(),
            wire: Rc::default(),
            seqs: vec![0; symbols],
            scratch: vec![0; 16_384],
        };
        let admission = Admission::new(clients, clients);
        for client in 0..clients {
            let permit = admission
                .admit(SocketAddr::from(([127, 0, 0, 1], 50_000)))
                .unwrap();
            let socket = Line {
                inward: VecDeque::new(),
                wire: Rc::clone(&rig.wire),
            };
            let arrival = Arrival {
                socket,
                early: vec![],
                encoding: Encoding::Json,
                permit,
            };
            let id = rig.shard.accept(arrival, mono_now(), UnixNanos::new(1));
            rig.clients.push(id);
            // Scattered, and every symbol as often as another.
            let topic = |n: usize| format!("\"trade:x:S{}\"", (client * 7 + n * 389) % symbols);
            let topics: Vec<_> = (0..per_client).map(topic).collect();
            rig.ask(
                client,
                &format!(r#"{{"op":"subscribe","topics":[{}]}}"#, topics.join(",")),
            );
        }
        rig.turn();
        rig
    }

    /// A client sends a request, and what it asks for is answered.
    fn ask(&mut self, client: usize, request: &str) {
        // A connection's number counts the lives of its place; the place is in its lower half.
        self.shard.socket_mut(client as u32).unwrap().say(request);
        let (id, now, wall) = (self.clients[client], mono_now(), UnixNanos::new(1));
        while self.shard.handle_readable(id, &mut self.scratch, now, wall) {}
        while let Some(entry) = self.requests.take() {
            let seq = Seq::new(self.seqs[entry.instrument.id.index()]);
            let pos = StreamPos {
                epoch: Epoch::new(1),
                seq,
            };
            self.publisher.open(&entry, pos, None);
        }
        self.publisher.flush(mono_now(), false);
    }

    /// Publishes one trade of a symbol.
    fn publish(&mut self, symbol: usize) {
        self.seqs[symbol] += 1;
        let trade = Trade {
            id: TradeId::from_number(self.seqs[symbol]),
            price: Price::from_mantissa(6_183_764),
            qty: Qty::from_mantissa(16),
            aggressor: Some(Aggressor::Buy),
            ts_event: Some(EventTime::from_millis(1_723_161_255_342)),
        };
        self.publisher.publish(&Update {
            instrument: &self.instruments[symbol],
            epoch: Epoch::new(1),
            seq: Seq::new(self.seqs[symbol]),
            ts_event: None,
            ts_recv: UnixNanos::new(1_723_161_255_343_123_456),
            venue_seq: None,
            body: Body::Trades(&[trade]),
        });
    }

    fn turn(&mut self) {
        while self.shard.turn(Budget::default(), mono_now) {}
    }

    /// Writes and bytes since the last call.
    fn written(&self) -> (usize, usize) {
        (self.wire.writes.take(), self.wire.bytes.take())
    }
}

/// Turns of a shard to which so many trades were published, of one symbol after the other.
fn turns(bencher: Bencher<'_, '_>, rig: Rig, trades: usize, deliveries: usize) {
    let (rig, next) = (RefCell::new(rig), Cell::new(0));
    bencher
        .counter(ItemsCount::new(deliveries))
        .with_inputs(|| {
            let rig = &mut *rig.borrow_mut();
            for _ in 0..trades {
                rig.publish(next.get() % rig.instruments.len());
                next.set(next.get() + 1);
            }
            rig.publisher.flush(mono_now(), false);
            rig.written();
        })
        .bench_local_values(|()| {
            let rig = &mut *rig.borrow_mut();
            rig.turn();
            let (writes, bytes) = rig.written();
            assert!(writes > 0 && writes <= deliveries);
            assert!(
                (200 * deliveries..300 * deliveries).contains(&bytes),
                "{bytes} bytes"
            );
        });
}

/// One topic, 1,000 subscribers, so many frames at once.
#[divan::bench(args = [1, 32, 256], sample_size = 1)]
fn turn_of_one_topic(bencher: Bencher<'_, '_>, frames: usize) {
    turns(bencher, Rig::new(1_000, 1, 1), frames, frames * 1_000);
}

/// 1,000 symbols, 1,000 clients who hear 20 each, so many trades of different symbols at once.
#[divan::bench(args = [1, 50, 1_000], sample_size = 1)]
fn turn_of_many_topics(bencher: Bencher<'_, '_>, frames: usize) {
    turns(bencher, Rig::new(1_000, 1_000, 20), frames, frames * 20);
}

/// One of 1,000 clients leaves a topic and comes back, in two requests, answers and snapshot written.
#[divan::bench(args = [1, 1_000], sample_size = 1)]
fn unsubscribe_and_subscribe(bencher: Bencher<'_, '_>, symbols: usize) {
    let (rig, next) = (RefCell::new(Rig::new(1_000, symbols, 1)), Cell::new(0));
    rig.borrow().written();
    bencher.counter(ItemsCount::new(2_usize)).bench_local(|| {
        let rig = &mut *rig.borrow_mut();
        let client = next.get() % 1_000;
        next.set(next.get() + 1);
        let topic = client * 7 % symbols;
        rig.ask(
            client,
            &format!(r#"{{"op":"unsubscribe","topics":["trade:x:S{topic}"]}}"#),
        );
        rig.ask(
            client,
            &format!(r#"{{"op":"subscribe","topics":["trade:x:S{topic}"]}}"#),
        );
        rig.turn();
        let (writes, bytes) = rig.written();
        assert!(
            (2..=3).contains(&writes) && bytes > 200,
            "{writes} writes, {bytes} bytes"
        );
    });
}

/// 100 clients whose sockets are full while so many frames come, and then have room: blocked, emptied.
#[divan::bench(args = [1, 32, 256], sample_size = 1)]
fn full_and_emptied(bencher: Bencher<'_, '_>, frames: usize) {
    let rig = RefCell::new(Rig::new(100, 1, 1));
    bencher
        .counter(ItemsCount::new(frames * 100))
        .with_inputs(|| {
            let rig = &mut *rig.borrow_mut();
            (0..frames).for_each(|_| rig.publish(0));
            rig.publisher.flush(mono_now(), false);
            rig.written();
        })
        .bench_local_values(|()| {
            let rig = &mut *rig.borrow_mut();
            rig.wire.full.set(true);
            rig.turn();
            assert_eq!(rig.written(), (0, 0));
            rig.wire.full.set(false);
            for id in &rig.clients {
                rig.shard.handle_writable(*id, mono_now());
            }
            rig.turn();
            let (_, bytes) = rig.written();
            assert!(
                (200 * 100 * frames..300 * 100 * frames).contains(&bytes),
                "{bytes} bytes"
            );
        });
}
