//! A second reader of recordings: `serde_json`, two maps per book, the venues' published rules, and
//! nothing of ours.

use serde_json::Value;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead as _, BufReader};
use std::path::Path;

/// How deep the views are that are compared.
pub(crate) const DEPTHS: [usize; 3] = [10, 50, 500];

/// One line of a recording.
pub(crate) struct Row {
    /// The line as it stands in the file.
    pub(crate) line: String,
    /// The message.
    pub(crate) message: Value,
    /// The wrapper's symbol.
    symbol: Option<String>,
}

/// The distinct states of the best levels that a book went through, as digests, by [`DEPTHS`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Views {
    pub(crate) states: [Vec<u64>; 3],
}

/// Price and size at a scale of 18.
pub(crate) type Level = (i128, i128);

/// The best of both sides.
pub(crate) type Top = (Option<Level>, Option<Level>);

#[derive(Default)]
pub(crate) struct Reader {
    /// By native name and depth of stream.
    pub(crate) books: BTreeMap<(String, u64), Book>,
    /// Messages with a checksum that is not zero, on books that exist.
    pub(crate) checksums: u64,
    depth: Option<usize>,
    only: Option<String>,
}

#[derive(Default)]
pub(crate) struct Book {
    bids: BTreeMap<i128, i128>,
    asks: BTreeMap<i128, i128>,
    pub(crate) views: Views,
    started: bool,
    /// Binance: the last number, and whether it is the snapshot's.
    at: (u64, bool),
    kept: Vec<Value>,
}

/// Every line of a recording.
pub(crate) fn rows(path: &Path) -> impl Iterator<Item = Row> {
    let decoder = zstd::Decoder::new(std::fs::File::open(path).unwrap()).unwrap();
    BufReader::new(decoder).lines().map(|line| {
        let line = line.unwrap();
        let row: Value = serde_json::from_str(&line).unwrap();
        let symbol = row["symbol"].as_str().map(str::to_owned);
        let message = match row.get("raw") {
            Some(raw) => serde_json::from_str(raw.as_str().unwrap()).unwrap(),
            None => row,
        };
        Row {
            line,
            message,
            symbol,
        }
    })
}

impl Views {
    /// Notes a view, if it differs from the one before.
    pub(crate) fn note(&mut self, index: usize, bids: &[Level], asks: &[Level]) {
        let depth = DEPTHS[index];
        let mut digest = DefaultHasher::new();
        bids[..depth.min(bids.len())].hash(&mut digest);
        asks[..depth.min(asks.len())].hash(&mut digest);
        let digest = digest.finish();
        if self.states[index].last() != Some(&digest) {
            self.states[index].push(digest);
        }
    }
}

impl Reader {
    /// Reads one message of a format's recording.
    pub(crate) fn read(&mut self, format: &str, row: &Row) {
        let message = &row.message;
        match format {
            "binance" | "binance-usdm" => self.read_binance(message, row.symbol.as_deref()),
            "kraken" => self.read_kraken(message),
            "okx" => self.read_okx(message),
            "coinbase" => self.read_coinbase(message),
            _ => self.read_bybit(message),
        }
    }

    /// Says that a recording has one symbol, for snapshots that do not name it.
    pub(crate) fn only(&mut self, native: &str) {
        self.only = Some(native.to_owned());
    }

    fn read_binance(&mut self, message: &Value, symbol: Option<&str>) {
        let event = message.get("data").unwrap_or(message);
        if event.get("lastUpdateId").is_some() {
            let native = symbol
                .map(str::to_owned)
                .or_else(|| self.only.clone())
                .unwrap();
            let book = self.books.entry((native, 0)).or_default();
            book.start(&event["bids"], &event["asks"], pair);
            book.at = (event["lastUpdateId"].as_u64().unwrap(), true);
            book.look();
            for change in std::mem::take(&mut book.kept) {
                book.change_binance(&change);
            }
        } else if event["e"] == "depthUpdate" {
            let native = event["s"].as_str().unwrap().to_owned();
            self.books
                .entry((native, 0))
                .or_default()
                .change_binance(event);
        }
    }

    fn read_kraken(&mut self, message: &Value) {
        if let Some(depth) = message["result"]["depth"].as_u64() {
            self.depth = usize::try_from(depth).ok();
        }
        if message["channel"] != "book" {
            return;
        }
        for part in message["data"].as_array().unwrap() {
            let native = part["symbol"].as_str().unwrap().to_owned();
            let book = self.books.entry((native, 0)).or_default();
            let named = |level: &Value| (fixed(&level["price"]), fixed(&level["qty"]));
            if message["type"] == "snapshot" {
                book.start(&part["bids"], &part["asks"], named);
            } else {
                book.change(&part["bids"], &part["asks"], named);
            }
            book.cut(self.depth.unwrap());
            book.look();
            self.checksums += u64::from(part.get("checksum").is_some());
        }
    }

    fn read_okx(&mut self, message: &Value) {
        let channel = message["arg"]["channel"].as_str().unwrap_or_default();
        if !channel.starts_with("books") || message.get("data").is_none() {
            return;
        }
        for part in message["data"].as_array().unwrap() {
            let native = message["arg"]["instId"].as_str().unwrap().to_owned();
            let book = self.books.entry((native, 0)).or_default();
            if message["action"] == "snapshot" {
                book.start(&part["bids"], &part["asks"], pair);
            } else {
                book.change(&part["bids"], &part["asks"], pair);
            }
            book.look();
            let sum = part["checksum"].as_i64().unwrap_or(0);
            self.checksums += u64::from(sum != 0 && book.started);
        }
    }

    fn read_bybit(&mut self, message: &Value) {
        let topic = message["topic"].as_str().unwrap_or_default();
        let Some(stream) = topic.strip_prefix("orderbook.") else {
            return;
        };
        let (depth, native) = stream.split_once('.').unwrap();
        let key = (native.to_owned(), depth.parse().unwrap());
        let (book, part) = (self.books.entry(key).or_default(), &message["data"]);
        if message["type"] == "snapshot" {
            book.start(&part["b"], &part["a"], pair);
        } else {
            book.change(&part["b"], &part["a"], pair);
        }
        book.look();
    }

    fn read_coinbase(&mut self, message: &Value) {
        if message["channel"] != "l2_data" {
            return;
        }
        for event in message["events"].as_array().unwrap() {
            let native = event["product_id"].as_str().unwrap().to_owned();
            let book = self.books.entry((native, 0)).or_default();
            if event["type"] == "snapshot" {
                book.start(&Value::Null, &Value::Null, pair);
            }
            if !book.started {
                continue;
            }
            for update in event["updates"].as_array().unwrap() {
                let side = if update["side"] == "bid" {
                    &mut book.bids
                } else {
                    &mut book.asks
                };
                set(
                    side,
                    (
                        fixed(&update["price_level"]),
                        fixed(&update["new_quantity"]),
                    ),
                );
            }
            book.look();
        }
    }
}

impl Book {
    fn start(&mut self, bids: &Value, asks: &Value, level: impl Fn(&Value) -> Level) {
        self.bids.clear();
        self.asks.clear();
        self.started = true;
        self.change(bids, asks, level);
    }

    fn change(&mut self, bids: &Value, asks: &Value, level: impl Fn(&Value) -> Level) {
        if !self.started {
            return;
        }
        for (side, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            levels
                .as_array()
                .into_iter()
                .flatten()
                .for_each(|l| set(side, level(l)));
        }
    }

    /// Binance's rules for spot and futures, which differ in how a change names what it follows.
    fn change_binance(&mut self, event: &Value) {
        if !self.started {
            self.kept.push(event.clone());
            return;
        }
        let number = |key: &str| event[key].as_u64();
        let (first, last) = (number("U").unwrap(), number("u").unwrap());
        let (at, fresh) = self.at;
        if last <= at {
            return;
        }
        let follows = match (number("pu"), fresh) {
            (Some(previous), true) => first <= at || previous == at,
            (Some(previous), false) => previous == at,
            (None, true) => first <= at + 1,
            (None, false) => first == at + 1,
        };
        assert!(
            follows,
            "a recording without gaps has one: {first}..{last} after {at}"
        );
        self.at = (last, false);
        self.change(&event["b"], &event["a"], pair);
        self.look();
    }

    fn cut(&mut self, depth: usize) {
        while self.bids.len() > depth {
            self.bids.pop_first();
        }
        while self.asks.len() > depth {
            self.asks.pop_last();
        }
    }

    fn look(&mut self) {
        if !self.started {
            return;
        }
        let deepest = DEPTHS[2];
        let bids: Vec<Level> = self
            .bids
            .iter()
            .rev()
            .take(deepest)
            .map(|(p, q)| (*p, *q))
            .collect();
        let asks: Vec<Level> = self
            .asks
            .iter()
            .take(deepest)
            .map(|(p, q)| (*p, *q))
            .collect();
        for index in 0..DEPTHS.len() {
            self.views.note(index, &bids, &asks);
        }
    }
}

fn set(side: &mut BTreeMap<i128, i128>, (price, qty): Level) {
    if qty == 0 {
        side.remove(&price);
    } else {
        side.insert(price, qty);
    }
}

fn pair(level: &Value) -> Level {
    (fixed(&level[0]), fixed(&level[1]))
}

/// A decimal, text or number, at a scale of 18. (A number has gone through a float; those of the
/// recordings are short enough to come back as they were.)
pub(crate) fn fixed(value: &Value) -> i128 {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap().to_string(),
        other => other.to_string(),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}{fraction:0<18}").parse().unwrap()
}
