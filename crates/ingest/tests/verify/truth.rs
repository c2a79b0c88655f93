//! What the rules of the venues show of a recording: the same that a naive client finds out.
//!
//! A book that broke is unknown until its next snapshot, and what comes meanwhile shows nothing; so it is here.

use serde_json::Value;
use std::collections::BTreeMap;
use tapecast_ingest::venue::Format;

/// What is found of one instrument.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Found {
    /// How often its chain broke, and the row of the first time.
    pub(crate) broken: u64,
    pub(crate) first_broken: Option<u64>,
    /// How many checksums failed, and the row of the first.
    pub(crate) failed: u64,
    pub(crate) first_failed: Option<u64>,
    /// Ids that are missing.
    pub(crate) missing: u64,
}

/// A reader of one recording.
pub(crate) struct Truth {
    format: Format,
    row: u64,
    found: BTreeMap<String, Found>,
    books: BTreeMap<String, Book>,
    /// The last id, by instrument and stream of trades.
    ids: BTreeMap<(String, &'static str), u64>,
    missing: BTreeMap<(String, &'static str), u64>,
    depth: usize,
    /// Coinbase: the number of the connection.
    sequence: Option<u64>,
    /// Binance: snapshots that name nobody belong to the only book.
    only: Option<String>,
}

#[derive(Default)]
struct Book {
    held: bool,
    /// The number of the last message, and whether that was a snapshot.
    number: i64,
    at_snapshot: bool,
    /// Price by its mantissa, with price and size as they are spelled.
    bids: BTreeMap<i128, (String, String)>,
    asks: BTreeMap<i128, (String, String)>,
    /// Binance: changes that wait for a snapshot.
    waiting: Vec<Value>,
}

/// One recorded message.
pub(crate) struct Said {
    message: Value,
    symbol: Option<String>,
}

/// Reads a row. Numbers are kept as they are spelled, because sums are made of them.
pub(crate) fn said(row: &str) -> Said {
    let wrapped: Value = serde_json::from_str(row).unwrap();
    let raw = wrapped["raw"].as_str().unwrap_or(row);
    Said {
        message: serde_json::from_str(&quoted(raw)).unwrap_or(Value::Null),
        symbol: wrapped["symbol"].as_str().map(str::to_owned),
    }
}

/// Whether a row says something of a market: what else there is, such as the answer to a request, is not missed.
pub(crate) fn is_market(said: &Said) -> bool {
    let message = &said.message;
    let data = message.get("data").unwrap_or(message);
    message.get("events").is_some()
        || data.get("e").is_some()
        || data.get("u").is_some()
        || data.get("lastUpdateId").is_some()
        || data.is_array()
}

fn quoted(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len() + 64);
    let mut rest = raw;
    loop {
        let keys = ["\"price\":", "\"qty\":"];
        let next = keys
            .iter()
            .filter_map(|key| Some((rest.find(key)?, key.len())))
            .min();
        let Some((at, length)) = next else { break };
        let (head, tail) = rest.split_at(at + length);
        let number = tail.len()
            - tail
                .trim_start_matches(|c: char| "0123456789.-+eE".contains(c))
                .len();
        text.push_str(head);
        match number {
            0 => {}
            _ => text.push_str(&format!("\"{}\"", &tail[..number])),
        }
        rest = &tail[number..];
    }
    text + rest
}

/// What is found in rows.
pub(crate) fn of(format: Format, rows: &[String]) -> BTreeMap<String, Found> {
    let all: Vec<Said> = rows.iter().map(|row| said(row)).collect();
    let name = |said: &Said| {
        let data = said.message.get("data").unwrap_or(&said.message);
        (data["e"] == "depthUpdate").then(|| text(&data["s"]))
    };
    let mut truth = Truth {
        format,
        row: 0,
        found: BTreeMap::new(),
        books: BTreeMap::new(),
        ids: BTreeMap::new(),
        missing: BTreeMap::new(),
        depth: usize::MAX,
        sequence: None,
        only: all.iter().find_map(name),
    };
    for said in &all {
        truth.row += 1;
        truth.read(said);
    }
    // Of two streams of trades the finer one is used.
    for ((native, stream), missing) in &truth.missing {
        let finer = ("trade", "aggTrade");
        if *stream == finer.1 && truth.missing.contains_key(&(native.clone(), finer.0)) {
            continue;
        }
        truth.found.entry(native.clone()).or_default().missing += missing;
    }
    truth.found
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn int(value: &Value) -> i64 {
    text(value).parse().unwrap()
}

/// A decimal as a whole number, for the order of prices.
fn mantissa(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<18}").parse().unwrap()
}

// === impl Truth ===

impl Truth {
    fn found(&mut self, native: &str) -> &mut Found {
        self.found.entry(native.to_owned()).or_default()
    }

    fn broke(&mut self, native: &str) {
        let row = self.row;
        let found = self.found(native);
        found.broken += 1;
        found.first_broken.get_or_insert(row);
    }

    fn failed(&mut self, native: &str) {
        let row = self.row;
        let found = self.found(native);
        found.failed += 1;
        found.first_failed.get_or_insert(row);
    }

    /// A trade with an id that is the one before it plus one; it stands for the ids from `first`.
    fn id(&mut self, native: &str, stream: &'static str, (first, id): (u64, u64)) {
        let key = (native.to_owned(), stream);
        let last = self.ids.insert(key.clone(), id);
        let missing = last.map_or(0, |last| first.saturating_sub(last + 1));
        *self.missing.entry(key).or_default() += missing;
        self.found(native);
    }

    fn read(&mut self, said: &Said) {
        match self.format {
            Format::Binance | Format::BinanceUsdm => self.read_binance(said),
            Format::Coinbase => self.read_coinbase(&said.message),
            Format::Kraken => self.read_kraken(&said.message),
            Format::Okx => self.read_okx(&said.message),
            Format::BybitSpot | Format::BybitLinear => self.read_bybit(&said.message),
        }
    }

    fn read_binance(&mut self, said: &Said) {
        let data = said.message.get("data").unwrap_or(&said.message);
        if data.get("lastUpdateId").is_some() {
            let Some(native) = said.symbol.clone().or_else(|| self.only.clone()) else {
                return;
            };
            let (number, book) = (int(&data["lastUpdateId"]), self.books.entry(native.clone()));
            let book = book.or_default();
            if book.held && number < book.number {
                return;
            }
            let rest = |change: &&Value| int(&change["u"]) > number;
            if let Some(first) = book.waiting.iter().find(rest)
                && !follows(first, number, true)
            {
                return self.broke(&native);
            }
            (book.held, book.number, book.at_snapshot) = (true, number, true);
            for change in std::mem::take(&mut book.waiting) {
                self.change_binance(&native, &change);
            }
            return;
        }
        let native = text(&data["s"]);
        match data["e"].as_str() {
            Some("depthUpdate") => self.change_binance(&native, data),
            Some("trade") => {
                let id = data["t"].as_u64().unwrap();
                self.id(&native, "trade", (id, id));
            }
            Some("aggTrade") => {
                let id = data["a"].as_u64().unwrap();
                self.id(&native, "aggTrade", (id, id));
            }
            _ => {}
        }
    }

    fn change_binance(&mut self, native: &str, change: &Value) {
        self.found(native);
        let book = self.books.entry(native.to_owned()).or_default();
        if !book.held {
            book.waiting.push(change.clone());
            return;
        }
        let last = int(&change["u"]);
        if last <= book.number {
            return;
        }
        if follows(change, book.number, book.at_snapshot) {
            (book.number, book.at_snapshot) = (last, false);
            return;
        }
        book.held = false;
        book.waiting.push(change.clone());
        self.broke(native);
    }

    fn read_coinbase(&mut self, message: &Value) {
        let Some(sequence) = message["sequence_num"].as_u64() else {
            return;
        };
        if self.sequence.is_some_and(|last| last + 1 != sequence) {
            // Of all instruments, also of those that come later.
            self.broke("");
        }
        self.sequence = Some(sequence);
        for event in message["events"].as_array().into_iter().flatten() {
            if message["channel"] == "l2_data" {
                self.found(&text(&event["product_id"]));
            }
            let trades = event["trades"].as_array().into_iter().flatten().rev();
            for trade in trades {
                let id = int(&trade["trade_id"]).cast_unsigned();
                self.id(&text(&trade["product_id"]), "trade", (id, id));
            }
        }
    }

    fn read_kraken(&mut self, message: &Value) {
        if let Some(depth) = message["result"]["depth"].as_u64() {
            self.depth = usize::try_from(depth).unwrap();
        }
        for part in message["data"].as_array().into_iter().flatten() {
            let native = text(&part["symbol"]);
            if message["channel"] == "trade" {
                let id = int(&part["trade_id"]).cast_unsigned();
                self.id(&native, "trade", (id, id));
            } else if message["channel"] == "book" {
                self.found(&native);
                let depth = self.depth;
                let book = self.books.entry(native.clone()).or_default();
                book.take(part, message["type"] == "snapshot", depth);
                if book.held && i64::from(book.kraken()) != int(&part["checksum"]) {
                    book.held = false;
                    self.failed(&native);
                }
            }
        }
    }

    fn read_okx(&mut self, message: &Value) {
        let channel = text(&message["arg"]["channel"]);
        for part in message["data"].as_array().into_iter().flatten() {
            let native = text(&message["arg"]["instId"]);
            if channel == "trades" {
                let id = int(&part["tradeId"]).cast_unsigned();
                let count = part
                    .get("count")
                    .map_or(1, |count| int(count).cast_unsigned());
                self.id(&native, "trade", (id + 1 - count, id));
            } else if channel.starts_with("books") {
                self.found(&native);
                let snapshot = message["action"] == "snapshot";
                let book = self.books.entry(native.clone()).or_default();
                if let (true, Some(previous)) = (book.held && !snapshot, part.get("prevSeqId"))
                    && int(previous) != book.number
                {
                    book.held = false;
                    self.broke(&native);
                    continue;
                }
                book.take(part, snapshot, usize::MAX);
                book.number = part.get("seqId").map_or(0, int);
                let sum = int(&part["checksum"]);
                if book.held && sum != 0 && i64::from(book.okx().cast_signed()) != sum {
                    book.held = false;
                    self.failed(&native);
                }
            }
        }
    }

    fn read_bybit(&mut self, message: &Value) {
        let topic = text(&message["topic"]);
        if !topic.starts_with("orderbook.") {
            return;
        }
        let native = text(&message["data"]["s"]);
        self.found(&native);
        let (book, number) = (
            self.books.entry(native.clone()).or_default(),
            int(&message["data"]["u"]),
        );
        if message["type"] == "snapshot" {
            (book.held, book.number) = (true, number);
        } else if book.held {
            let follows = number == book.number + 1;
            (book.held, book.number) = (follows, number);
            if !follows {
                self.broke(&native);
            }
        }
    }
}

/// Whether a change that is not older than the book follows it.
fn follows(change: &Value, at: i64, at_snapshot: bool) -> bool {
    let first = int(&change["U"]);
    match change.get("pu") {
        Some(previous) => int(previous) == at || (at_snapshot && first <= at),
        None => first == at + 1 || (at_snapshot && first <= at),
    }
}

// === impl Book ===

impl Book {
    fn take(&mut self, part: &Value, snapshot: bool, depth: usize) {
        if snapshot {
            self.held = true;
            self.bids.clear();
            self.asks.clear();
        }
        if !self.held {
            return;
        }
        for (side, key) in [(&mut self.bids, "bids"), (&mut self.asks, "asks")] {
            for level in part[key].as_array().into_iter().flatten() {
                let (price, qty) = match level.as_array() {
                    Some(pair) => (text(&pair[0]), text(&pair[1])),
                    None => (text(&level["price"]), text(&level["qty"])),
                };
                match mantissa(&qty) {
                    0 => side.remove(&mantissa(&price)),
                    _ => side.insert(mantissa(&price), (price, qty)),
                };
            }
        }
        while self.bids.len() > depth {
            self.bids.pop_first();
        }
        while self.asks.len() > depth {
            self.asks.pop_last();
        }
    }

    fn kraken(&self) -> u32 {
        let digits = |text: &str| text.replace('.', "").trim_start_matches('0').to_owned();
        let levels = self
            .asks
            .values()
            .take(10)
            .chain(self.bids.values().rev().take(10));
        let sum: String = levels
            .map(|(price, qty)| digits(price) + &digits(qty))
            .collect();
        crc32fast::hash(sum.as_bytes())
    }

    fn okx(&self) -> u32 {
        let (mut bids, mut asks) = (self.bids.values().rev(), self.asks.values());
        let mut parts = Vec::new();
        for _ in 0..25 {
            for (price, qty) in [bids.next(), asks.next()].into_iter().flatten() {
                parts.push(format!("{price}:{qty}"));
            }
        }
        crc32fast::hash(parts.join(":").as_bytes())
    }
}
