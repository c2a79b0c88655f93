//! What the fan-out's parts cost: an item through a shard's ring, a turn's frames sealed, a book's
//! view brought up to date, an update published and handed out.
//!
//! One iteration is a hundred operations unless it says otherwise.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop")]

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use std::hint::black_box;
use std::sync::Arc;
use tapecast_fanout::chunk::Chunks;
use tapecast_fanout::ring::{RingRx, ring};
use tapecast_fanout::view::{BookView, Changes};
use tapecast_fanout::wake::Doorbell;
use tapecast_fanout::{FanoutMetrics, Interests, Item, ItemKind, Publisher, TopicSlot};
use tapecast_model::{
    Body, Book, Epoch, Instrument, InstrumentId, Level, Mono, Price, Qty, Quote, Scale, Seq, Side,
    StreamPos, Symbol, Touched, UnixNanos, Update, UpdateSink as _, Venue,
};
use tapecast_wire::Encoding;

fn main() {
    divan::main();
}

const OPERATIONS: usize = 100;

#[divan::bench]
fn ring_push_and_pop(bencher: Bencher<'_, '_>) {
    let (tx, rx) = ring(1_024, Arc::new(Doorbell::new(|| {})));
    let block = Chunks::default().seal(&[7; 300 * OPERATIONS]);
    bencher
        .counter(ItemsCount::new(OPERATIONS))
        .bench_local(|| {
            for n in 0..OPERATIONS as u32 {
                let item = Item {
                    slot: TopicSlot::new(n),
                    encoding: Encoding::Json,
                    kind: ItemKind::Update { prev: Seq::ZERO },
                    epoch: Epoch::new(1),
                    seq: Seq::new(1),
                    block: block.clone(),
                    range: n * 300..(n + 1) * 300,
                    published: Mono::default(),
                    begun: 0,
                };
                tx.try_push(item).unwrap();
            }
            let slots: usize = std::iter::from_fn(|| rx.try_pop())
                .map(|item| black_box(item).slot.index())
                .sum();
            assert_eq!(slots, (0..OPERATIONS).sum::<usize>());
        });
}

/// Frames of a turn copied into a block that can be shared, and dropped.
#[divan::bench(args = [300, 30_000, 128 * 1024])]
fn chunk_seal(bencher: Bencher<'_, '_>, bytes: usize) {
    let mut chunks = Chunks::default();
    let frames = vec![7; bytes];
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let block = chunks.seal(black_box(&frames));
        assert_eq!(block.len(), bytes);
    });
}

fn level(side: Side, rank: usize, qty: usize) -> Level {
    let price = match side {
        Side::Bid => 1_000_000 - rank as i64,
        Side::Ask => 1_000_001 + rank as i64,
    };
    Level::new(Price::from_mantissa(price), Qty::from_mantissa(qty as i64))
}

/// Two states of a book that differ in the sizes of the best ten levels of each side.
fn states() -> [Book; 2] {
    [1, 2].map(|qty| {
        let levels =
            |side| (0..1_000).map(move |rank| level(side, rank, if rank < 10 { qty } else { 1 }));
        let mut book = Book::new();
        book.replace(levels(Side::Bid), levels(Side::Ask));
        book
    })
}

/// One change of 20 levels taken over into a view.
#[divan::bench(args = [10, 50, 500])]
fn view_refresh(bencher: Bencher<'_, '_>, levels: usize) {
    let states = states();
    let (mut view, mut changes, mut turn) = (BookView::default(), Changes::default(), 0);
    view.replace(&states[0], levels);
    bencher.bench_local(|| {
        turn += 1;
        let changed = view.refresh(&states[turn % 2], Touched::ALL, levels, &mut changes);
        assert!(changed && changes.bids.len() + changes.asks.len() == 20);
    });
}

/// A publisher of one instrument with interest in some topics.
struct Rig {
    publisher: Publisher,
    ring: RingRx,
    instrument: Arc<Instrument>,
    seq: u64,
}

impl Rig {
    fn new(topics: &[&str]) -> Self {
        let registry = prometheus::Registry::new();
        let (tx, ring) = ring(4_096, Arc::new(Doorbell::new(|| {})));
        let (interests, requests) = Interests::new(100);
        let instrument = Arc::new(Instrument {
            id: InstrumentId::new(0),
            venue: Venue::new("binance").unwrap(),
            symbol: Symbol::new("BTC-USDT").unwrap(),
            native: "BTCUSDT".into(),
            price_scale: Scale::new(2).unwrap(),
            qty_scale: Scale::new(5).unwrap(),
            lossless: false,
        });
        let metrics = FanoutMetrics::register(&registry, 1).unwrap();
        let mut publisher = Publisher::new(vec![tx], metrics);
        for topic in topics {
            let topic = format!("{topic}:binance:BTC-USDT").parse().unwrap();
            let entry = interests.entry(&topic, &instrument).unwrap();
            interests.join(&entry, 0, Encoding::Json);
        }
        let pos = StreamPos {
            epoch: Epoch::new(1),
            seq: Seq::ZERO,
        };
        while let Some(entry) = requests.take() {
            publisher.open(&entry, pos, None);
        }
        Self {
            publisher,
            ring,
            instrument,
            seq: 0,
        }
    }

    fn publish(&mut self, body: Body<'_>) {
        self.seq += 1;
        self.publisher.publish(&Update {
            instrument: &self.instrument,
            epoch: Epoch::new(1),
            seq: Seq::new(self.seq),
            ts_event: None,
            ts_recv: UnixNanos::new(1_723_161_255_343_123_456),
            venue_seq: Some(self.seq),
            body,
        });
    }

    /// Hands out and takes what there is; how many frames.
    fn turn(&mut self) -> usize {
        self.publisher.flush(Mono::default(), false);
        std::iter::from_fn(|| self.ring.try_pop())
            .filter(|item| !item.is_empty())
            .count()
    }
}

/// A hundred quotes published, handed out and taken; or nobody wants them.
#[divan::bench(args = ["quote", "status"])]
fn publish_quotes(bencher: Bencher<'_, '_>, subscribed: &str) {
    let mut rig = Rig::new(&[subscribed]);
    let wanted = if subscribed == "quote" { OPERATIONS } else { 0 };
    rig.publish(Body::Quote(&Quote::default()));
    rig.turn();
    bencher
        .counter(ItemsCount::new(OPERATIONS))
        .bench_local(|| {
            for n in 0..OPERATIONS as i64 {
                let side = Some((
                    Price::from_mantissa(6_183_764 + n),
                    Qty::from_mantissa(378_826 + n),
                ));
                rig.publish(Body::Quote(black_box(&Quote {
                    bid: side,
                    ask: side,
                })));
            }
            assert_eq!(rig.turn(), wanted);
        });
}

/// Changes of 20 levels published to so many depths, handed out and taken: a few, as a turn has.
#[divan::bench(args = [1, 3])]
fn publish_books(bencher: Bencher<'_, '_>, depths: usize) {
    const CHANGES: usize = 20;
    let mut rig = Rig::new(&["book.10", "book.25", "book.50"][..depths]);
    let states = states();
    let body = |book| Body::Book {
        book,
        touched: Touched::ALL,
        changes: None,
    };
    rig.publish(body(&states[1]));
    rig.turn();
    bencher
        .counter(ItemsCount::new(CHANGES * depths))
        .bench_local(|| {
            for n in 0..CHANGES {
                rig.publish(body(&states[n % 2]));
            }
            assert_eq!(rig.turn(), CHANGES * depths);
        });
}
