//! What it costs to write down a session.
//!
//! `session` is the cost on the session's own thread: a copy and a way into the queue, while another thread writes.
//! `writer` is the whole work of that other thread, from a row to compressed text on the disk: its rows per second are
//! what a source may send without loss.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop")]

use divan::Bencher;
use divan::counter::ItemsCount;
use prometheus::IntCounter;
use std::time::Duration;
use tapecast_ingest::recorder::{RecorderConfig, Room, Row, Scribe, Writer, start};
use tapecast_model::{Mono, UnixNanos};

fn main() {
    divan::main();
}

const MESSAGES: u64 = 1_000;

/// A book ticker, as Binance sends it.
fn message(n: u64) -> String {
    format!(
        "{{\"stream\":\"btcusdt@bookTicker\",\"data\":{{\"u\":{},\"s\":\"BTCUSDT\",\"b\":\"61837.{:02}000000\",\
         \"B\":\"0.{:05}000\",\"a\":\"61838.{:02}000000\",\"A\":\"0.{:05}000\"}}}}",
        37_616_357_234 + n,
        n % 100,
        n * 7_919 % 100_000,
        n * 31 % 100,
        n * 104_729 % 100_000,
    )
}

#[divan::bench]
fn session(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().unwrap();
    let config = RecorderConfig::new(folder.path(), "binance", "binance");
    let dropped = IntCounter::new("dropped", "dropped").unwrap();
    let (tap, recorder) = start(config, Room::default(), &dropped).unwrap();
    let mut scribe = Scribe::new(tap);
    let messages: Vec<_> = (0..MESSAGES).map(message).collect();
    bencher
        .counter(ItemsCount::new(MESSAGES as usize))
        .bench_local(|| {
            for (n, message) in messages.iter().enumerate() {
                scribe.message(1, message.as_bytes(), UnixNanos::new(n as u64));
                scribe.release();
            }
        });
    drop(scribe);
    drop(recorder);
}

#[divan::bench]
fn writer(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(RecorderConfig::new(folder.path(), "binance", "binance"));
    let mut now = Mono::default();
    let messages: Vec<_> = (0..MESSAGES).map(message).collect();
    bencher
        .counter(ItemsCount::new(MESSAGES as usize))
        .bench_local(|| {
            for message in &messages {
                now = now.after(Duration::from_micros(20));
                let row = Row::Message {
                    at: UnixNanos::new(now.get()),
                    line: 1,
                    raw: message.clone().into_bytes(),
                    used: true,
                };
                assert_eq!(writer.write(row, now) + writer.handle_time(now), 0);
            }
        });
}
