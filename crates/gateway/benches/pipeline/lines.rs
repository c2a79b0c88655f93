//! What the benchmarks read: lines in the venues' documented shapes, written here or taken from the
//! recordings that `TAPECAST_CAPTURES` names, and lines as a desk publishes them.
//!
//! Lines come in batches of [`BATCH`]. Batches follow one another as a connection's messages do:
//! depth and trades are numbered on, trades and quotes of a recording go on where the batch before ended.

use crate::Workload;
use std::fmt::Write as _;
use std::sync::LazyLock;
use tapecast_testkit::{Recording, recordings};

/// Lines of a batch, so that µs per batch read as ns per line.
const BATCH: usize = 1_000;
/// Of books: as long in time, so that whoever else wants the processor disturbs as few.
const BOOK_BATCH: usize = 100;

/// Levels that a change to a book names: half of them bids.
const CHANGED_LEVELS: usize = 20;
/// Levels of each side of a book.
const BOOK_LEVELS: usize = 1_000;
/// The recording that is used, and how many batches of it.
const RECORDED: (&str, usize) = ("binance-spot_btcusdt_20240808-09_", 16);
/// By how much the numbers of a recording rise when it begins again: more than it has.
const ROUND: u64 = 1_000_000_000;
/// Symbols that are written about in turn.
const SYMBOLS: [&str; 8] = [
    "BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT", "LTCUSDT",
];

/// Batches of lines of one workload.
pub(crate) struct Lines {
    workload: Workload,
    batches: Vec<Vec<Vec<u8>>>,
    next: usize,
    /// Changes to the book, trades or quotes so far; of a recording what its numbers have risen by.
    changes: u64,
}

/// Whether there are recordings.
pub(crate) fn is_recorded() -> bool {
    std::env::var_os("TAPECAST_CAPTURES").is_some()
}

// === impl Workload ===

impl Workload {
    /// Lines of a batch.
    pub(crate) fn batch(self) -> usize {
        if self.is_book() { BOOK_BATCH } else { BATCH }
    }
}

// === impl Lines ===

impl Lines {
    /// The lines of a workload.
    pub(crate) fn of(workload: Workload) -> Self {
        let written = |line: fn(usize) -> String| {
            vec![(0..BATCH).map(|n| line(n).into_bytes()).collect::<Vec<_>>()]
        };
        let batches = match workload {
            Workload::Recorded => RECORDED_LINES.clone(),
            Workload::PushTrades => written(push_trade),
            Workload::PushQuotes => written(push_quote),
            Workload::Trades | Workload::Quotes | Workload::Books | Workload::PushBooks => {
                vec![Vec::new()]
            }
        };
        Self {
            workload,
            batches,
            next: 0,
            changes: 0,
        }
    }

    /// What a connection says before the batches, such as a book's snapshot.
    pub(crate) fn first(&self) -> Vec<Vec<u8>> {
        let lines = match self.workload {
            Workload::Books => vec![snapshot("bids", "asks", "\"lastUpdateId\":0")],
            Workload::PushBooks => {
                let head = r#""channel":"book","symbol":"BTC-USDT","type":"snapshot""#;
                vec![snapshot("bids", "asks", head)]
            }
            _ => Vec::new(),
        };
        lines.into_iter().map(String::into_bytes).collect()
    }

    /// Every line there is, for a scan.
    pub(crate) fn all(mut self) -> Vec<Vec<u8>> {
        if self.batches[0].is_empty() {
            return self.batch();
        }
        self.batches.concat()
    }

    /// The next batch.
    pub(crate) fn batch(&mut self) -> Vec<Vec<u8>> {
        if let Workload::Trades | Workload::Quotes = self.workload {
            // Their numbers go on: what comes again is no update.
            let line = match self.workload {
                Workload::Trades => trade,
                _ => quote,
            };
            let first = self.changes as usize;
            self.changes += BATCH as u64;
            return (first..first + BATCH)
                .map(|n| line(n).into_bytes())
                .collect();
        }
        if let Workload::Books | Workload::PushBooks = self.workload {
            let push = self.workload == Workload::PushBooks;
            let batch = self.workload.batch() as u64;
            let changes = self.changes + 1..=self.changes + batch;
            self.changes += batch;
            return changes.map(|n| change(n, push).into_bytes()).collect();
        }
        let mut batch = self.batches[self.next].clone();
        if self.workload == Workload::Recorded {
            for line in &mut batch {
                *line = numbered_on(line, self.changes);
            }
        }
        self.next += 1;
        if self.next == self.batches.len() {
            (self.next, self.changes) = (0, self.changes + ROUND);
        }
        batch
    }
}

/// A recorded line of a later round: with higher numbers of its own, so that it is news.
fn numbered_on(line: &[u8], more: u64) -> Vec<u8> {
    let text = std::str::from_utf8(line).unwrap();
    let key = if text.contains("@trade\"") {
        "\"t\":"
    } else {
        "\"u\":"
    };
    let (head, rest) = text.split_once(key).unwrap();
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
    let number = rest[..digits].parse::<u64>().unwrap() + more;
    format!("{head}{key}{number}{}", &rest[digits..]).into_bytes()
}

fn trade(n: usize) -> String {
    let symbol = SYMBOLS[n % SYMBOLS.len()];
    let (stream, id, maker) = (
        symbol.to_lowercase(),
        3_735_683_259 + n / SYMBOLS.len(),
        n.is_multiple_of(3),
    );
    let (cents, qty, time) = (n * 7 % 100, 1 + n * 13 % 99_999, 1_723_161_255_342 + n);
    format!(
        r#"{{"stream":"{stream}@trade","data":{{"e":"trade","E":{time},"s":"{symbol}","t":{id},"p":"61837.{cents:02}000000","q":"0.{qty:05}000","T":{time},"m":{maker},"M":true}}}}"#
    )
}

fn quote(n: usize) -> String {
    let symbol = SYMBOLS[n % SYMBOLS.len()];
    let (stream, number) = (symbol.to_lowercase(), 50_093_239_212 + n);
    let (bid, ask, qty) = (n * 7 % 50, 50 + n * 7 % 50, n * 13 % 100_000);
    format!(
        r#"{{"stream":"{stream}@bookTicker","data":{{"u":{number},"s":"{symbol}","b":"61837.{bid:02}000000","B":"3.{qty:05}000","a":"61837.{ask:02}000000","A":"1.{qty:05}000"}}}}"#
    )
}

fn push_trade(n: usize) -> String {
    let (symbol, id, side) = (SYMBOLS[n % SYMBOLS.len()], 1 + n, ["buy", "sell"][n % 2]);
    let (cents, qty, time) = (
        n * 7 % 100,
        1 + n * 13 % 99_999,
        1_723_161_255_342_000_000 + n,
    );
    format!(
        r#"{{"channel":"trade","symbol":"{symbol}","trades":[{{"id":"{id}","price":"61837.{cents:02}","qty":"0.{qty:05}","side":"{side}","ts_event":"{time}"}}]}}"#
    )
}

fn push_quote(n: usize) -> String {
    let symbol = SYMBOLS[n % SYMBOLS.len()];
    let (bid, ask, qty) = (n * 7 % 50, 50 + n * 7 % 50, n * 13 % 100_000);
    let time = 1_723_161_255_342_000_000 + n;
    format!(
        r#"{{"channel":"quote","symbol":"{symbol}","bid":"61837.{bid:02}","bid_qty":"3.{qty:05}","ask":"61837.{ask:02}","ask_qty":"1.{qty:05}","ts_event":"{time}"}}"#
    )
}

/// A level of the book, by rank: the best bid is at 60,000.00 and the best ask one tick above.
fn level(out: &mut String, bid: bool, rank: usize, qty: u64) {
    let cents = if bid {
        6_000_000 - rank
    } else {
        6_000_001 + rank
    };
    let (whole, cents) = (cents / 100, cents % 100);
    let comma = if out.ends_with('[') { "" } else { "," };
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        r#"{comma}["{whole}.{cents:02}000000","{}.{:05}000"]"#,
        qty / 100_000,
        qty % 100_000
    );
}

fn snapshot(bids: &str, asks: &str, head: &str) -> String {
    let mut out = format!("{{{head}");
    for (key, bid) in [(bids, true), (asks, false)] {
        let _ = write!(out, r#","{key}":["#);
        (0..BOOK_LEVELS).for_each(|rank| level(&mut out, bid, rank, 100_000 + rank as u64));
        out.push(']');
    }
    out.push('}');
    out
}

/// The `n`th change: new sizes for the best ten levels of each side; every other change the sixth of
/// them goes, and comes back.
fn change(n: u64, push: bool) -> String {
    let mut out = if push {
        r#"{"channel":"book","symbol":"BTC-USDT","type":"update""#.to_owned()
    } else {
        format!(
            r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1723161255308,"s":"BTCUSDT","U":{n},"u":{n}"#
        )
    };
    for (bid, key) in [(true, ["b", "bids"]), (false, ["a", "asks"])] {
        let _ = write!(out, r#","{}":["#, key[usize::from(push)]);
        for rank in 0..CHANGED_LEVELS / 2 {
            let gone = rank == 5 && n % 2 == 1;
            let qty = 1 + n * 7919 % 1_000_000 + rank as u64;
            level(&mut out, bid, rank, if gone { 0 } else { qty });
        }
        out.push(']');
    }
    out.push_str(if push { "}" } else { "}}" });
    out
}

/// Read once: many benchmarks want them.
static RECORDED_LINES: LazyLock<Vec<Vec<Vec<u8>>>> = LazyLock::new(recorded);

/// Trades and quotes of a recording, in order.
fn recorded() -> Vec<Vec<Vec<u8>>> {
    let (name, batches) = RECORDED;
    let found: Option<Recording> = recordings().into_iter().find(|r| r.name.starts_with(name));
    let rows = found.iter().flat_map(Recording::rows);
    let wrapped = rows.filter_map(|row| {
        let row: serde_json::Value = serde_json::from_str(&row.line).ok()?;
        let raw = row["raw"].as_str()?;
        let simple = raw.contains("@trade\"") || raw.contains("@bookTicker\"");
        simple.then(|| raw.as_bytes().to_vec())
    });
    let lines: Vec<_> = wrapped.take(batches * BATCH).collect();
    let batches: Vec<_> = lines.chunks_exact(BATCH).map(<[_]>::to_vec).collect();
    assert!(
        !batches.is_empty(),
        "no recording {name}… in the directory that TAPECAST_CAPTURES names"
    );
    batches
}
