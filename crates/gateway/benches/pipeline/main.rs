//! How long an update takes from a line in memory to a frame in a shard's ring, on one thread, hop
//! by hop and whole: parse, pipeline (verify, number), publish (encode), hand over (seal, push).
//!
//! One iteration is a batch of 1,000 lines, so µs per iteration read as ns per update (of books 100
//! lines, so that it takes as long); of `publish` and
//! `hand_over` it is one turn of the pipeline (200 updates, of books 24), so that they have no more
//! bytes at hand than in production. The throughput is updates per second in any case. Interest is on for every line: trades and quotes make one frame
//! each, a change to a book makes three (`book.10`, `book.25`, `book.50`), each with 20 levels.
//! Every benchmark asserts what came out: a fast way to the wrong frames is no way.
//!
//! `cargo bench -p tapecast --bench pipeline`; docs/BENCHMARKS.md says more.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop")]

mod lines;
mod rig;

use divan::Bencher;
use divan::counter::ItemsCount;
use lines::Lines;
use rig::{Drained, Rig};
use std::cell::RefCell;
use std::hint::black_box;
use tapecast_ingest::event::{Event, Events, SourceId};
use tapecast_ingest::sources::SourceChannels;
use tapecast_model::clock::{mono_now, unix_now};
use tapecast_model::{
    Body, Book, Epoch, Quote, Seq, StreamPos, Touched, Trade, UnixNanos, Update, UpdateSink as _,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

/// Operations of an iteration, where no workload says.
const BATCH: usize = 1_000;

/// What kind of lines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Workload {
    /// Binance trades.
    Trades,
    /// Binance book tickers.
    Quotes,
    /// Binance trades and book tickers as recorded.
    Recorded,
    /// Binance depth, 20 levels changed.
    Books,
    /// Published trades.
    PushTrades,
    /// Published quotes.
    PushQuotes,
    /// Published books, 20 levels changed.
    PushBooks,
}

impl Workload {
    /// All there are lines for.
    pub(crate) fn all() -> Vec<Self> {
        let all = [
            Self::Trades,
            Self::Quotes,
            Self::Recorded,
            Self::Books,
            Self::PushTrades,
            Self::PushQuotes,
            Self::PushBooks,
        ];
        let there = |workload: &Self| *workload != Self::Recorded || lines::is_recorded();
        all.into_iter().filter(there).collect()
    }

    pub(crate) fn is_push(self) -> bool {
        matches!(self, Self::PushTrades | Self::PushQuotes | Self::PushBooks)
    }

    pub(crate) fn is_book(self) -> bool {
        matches!(self, Self::Books | Self::PushBooks)
    }

    /// The channels that are subscribed.
    pub(crate) fn channels(self) -> &'static [&'static str] {
        if self.is_book() {
            &["book.10", "book.25", "book.50"]
        } else {
            &["trade", "quote"]
        }
    }

    /// Updates that the pipeline's thread hands out at once when it is busy: what is about 128 KiB.
    fn turn(self) -> usize {
        if self.is_book() { 24 } else { 200 }
    }

    /// Frames of one update.
    fn frames(self) -> usize {
        if self.is_book() {
            self.channels().len()
        } else {
            1
        }
    }
}

/// A rig and the lines it reads.
struct Bench {
    rig: Rig,
    lines: Lines,
}

impl Bench {
    fn new(workload: Workload) -> RefCell<Self> {
        let mut lines = Lines::of(workload);
        let rig = Rig::new(workload, &mut lines);
        RefCell::new(Self { rig, lines })
    }

    /// The events of the next batch.
    fn events(&mut self) -> Vec<Event> {
        let (mut lines, mut events) = (self.lines.batch(), Vec::new());
        self.rig.parse(&mut lines, UnixNanos::new(1), &mut events);
        events
    }
}

/// What publishing takes: states of one stream, as the pipeline hands them over.
enum State {
    Trades(Vec<Trade>),
    Quote(Quote),
    Book(Book, Touched),
}

#[divan::bench(args = Workload::all(), sample_size = 1)]
fn parse(bencher: Bencher<'_, '_>, workload: Workload) {
    let bench = Bench::new(workload);
    bencher
        .counter(ItemsCount::new(workload.batch()))
        .with_inputs(|| {
            (
                bench.borrow_mut().lines.batch(),
                Vec::with_capacity(workload.batch()),
            )
        })
        .bench_local_refs(|(lines, events)| {
            bench.borrow_mut().rig.parse(lines, unix_now(), events);
            assert_eq!(events.len(), workload.batch());
        });
}

#[divan::bench(args = Workload::all(), sample_size = 1)]
fn pipeline(bencher: Bencher<'_, '_>, workload: Workload) {
    let bench = Bench::new(workload);
    bencher
        .counter(ItemsCount::new(workload.batch()))
        .with_inputs(|| bench.borrow_mut().events())
        .bench_local_values(|events| {
            let mut updates = 0;
            let mut sink = |update: &Update<'_>| {
                black_box(update);
                updates += 1;
            };
            let pipeline = &mut bench.borrow_mut().rig.pipeline;
            let now = mono_now();
            for event in events {
                pipeline.handle_event(event, now, &mut sink);
            }
            assert_eq!(updates, workload.batch());
        });
}

#[divan::bench(args = Workload::all(), sample_size = 1)]
fn publish(bencher: Bencher<'_, '_>, workload: Workload) {
    let bench = Bench::new(workload);
    let stages = stages(&mut bench.borrow_mut());
    let (seq, turn) = (RefCell::new(1_000_000), workload.turn());
    bencher
        .counter(ItemsCount::new(turn))
        .with_inputs(|| {
            let rig = &mut bench.borrow_mut().rig;
            rig.hand_over();
            rig.drain()
        })
        .bench_local_values(|drained| {
            let seq = &mut *seq.borrow_mut();
            assert!(*seq == 1_000_000 || drained.updates == turn * workload.frames());
            let rig = &mut bench.borrow_mut().rig;
            rig.publisher.set_time(unix_now(), mono_now());
            publish_turn(rig, &stages, seq, turn);
        });
}

#[divan::bench(args = Workload::all(), sample_size = 1)]
fn hand_over(bencher: Bencher<'_, '_>, workload: Workload) {
    let bench = Bench::new(workload);
    let stages = stages(&mut bench.borrow_mut());
    let (seq, turn) = (RefCell::new(1_000_000), workload.turn());
    let drained = RefCell::new(Drained::default());
    bencher
        .counter(ItemsCount::new(turn))
        .with_inputs(|| {
            let rig = &mut bench.borrow_mut().rig;
            *drained.borrow_mut() = rig.drain();
            publish_turn(rig, &stages, &mut seq.borrow_mut(), turn);
        })
        .bench_local_values(|()| bench.borrow_mut().rig.hand_over());
    assert_eq!(
        bench.borrow_mut().rig.drain().updates,
        turn * workload.frames()
    );
}

#[divan::bench(args = Workload::all(), sample_size = 1)]
fn whole(bencher: Bencher<'_, '_>, workload: Workload) {
    let bench = Bench::new(workload);
    bencher
        .counter(ItemsCount::new(workload.batch()))
        .with_inputs(|| bench.borrow_mut().lines.batch())
        .bench_local_refs(|lines| {
            let drained = bench.borrow_mut().rig.run(lines);
            assert_eq!(drained.updates, workload.batch() * workload.frames());
            assert!(drained.bytes > drained.updates * 100);
        });
}

/// Batches of 250 events through the channel between a feed and the pipeline.
#[divan::bench(sample_size = 1)]
fn channel(bencher: Bencher<'_, '_>) {
    let bench = Bench::new(Workload::Trades);
    let (channels, opener) = SourceChannels::new();
    let (tx, channels) = (opener.open(SourceId(1), 4), RefCell::new(channels));
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| {
            let events = bench.borrow_mut().events();
            let batches: Vec<_> = events
                .chunks(BATCH / 4)
                .map(|batch| Events::from_vec(batch.to_vec()))
                .collect();
            batches
        })
        .bench_local_values(|batches| {
            let send = |events| tx.try_send(events).unwrap();
            batches.into_iter().for_each(send);
            let mut channels = channels.borrow_mut();
            let mut received = 0;
            while let Some(share) = channels.next_share(BATCH) {
                for event in share {
                    black_box(event);
                    received += 1;
                }
            }
            assert_eq!(received, BATCH);
        });
}

/// Both clocks, read once per update.
#[divan::bench(sample_size = 1)]
fn clocks(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        let before = (unix_now(), mono_now());
        let last = (0..BATCH).fold(before, |_, _| black_box((unix_now(), mono_now())));
        assert!(last >= before);
    });
}

/// The states that a batch comes to, by index of instrument; of books two, to go to and fro between.
fn stages(bench: &mut Bench) -> Vec<(usize, State)> {
    let events = bench.events();
    let mut states = Vec::new();
    let mut sink = |update: &Update<'_>| {
        let state = match update.body {
            Body::Trades(trades) => State::Trades(trades.to_vec()),
            Body::Quote(quote) => State::Quote(*quote),
            Body::Book { .. } if states.len() >= 2 => return,
            Body::Book { book, touched, .. } => State::Book(book.clone(), touched),
            _ => return,
        };
        states.push((update.instrument.id.index(), state));
    };
    for event in events {
        bench
            .rig
            .pipeline
            .handle_event(event, mono_now(), &mut sink);
    }
    states
}

/// Publishes a turn of updates made of these states, numbered on.
fn publish_turn(rig: &mut Rig, stages: &[(usize, State)], seq: &mut u64, updates: usize) {
    for (index, state) in stages.iter().cycle().take(updates) {
        *seq += 1;
        let body = match state {
            State::Trades(trades) => Body::Trades(trades),
            State::Quote(quote) => Body::Quote(quote),
            State::Book(book, touched) => Body::Book {
                book,
                touched: *touched,
                changes: None,
            },
        };
        let pos = StreamPos {
            epoch: Epoch::new(1_700_000_000_000),
            seq: Seq::new(*seq),
        };
        rig.publisher.publish(&Update {
            instrument: &rig.instruments[*index],
            epoch: pos.epoch,
            seq: pos.seq,
            ts_event: None,
            ts_recv: UnixNanos::new(1_723_161_255_342_000_000),
            venue_seq: Some(*seq),
            body,
        });
    }
}
