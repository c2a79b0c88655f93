//! Recordings of a small market in the words of every venue: two instruments, each with a book, trades and, where
//! the venue has them, quotes. Chains, checksums and ids are right.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tapecast_ingest::venue::Format;

/// A book by prices in hundredths, with sizes in thousandths.
#[derive(Default)]
struct Sides {
    bids: BTreeMap<u64, u64>,
    asks: BTreeMap<u64, u64>,
}

/// Changed levels: price and size.
type Levels = Vec<(u64, u64)>;

struct Instrument {
    native: &'static str,
    sides: Sides,
    /// The venue's number of the last change.
    number: u64,
    trade: u64,
}

/// What writes a recording.
struct Writer {
    format: Format,
    random: StdRng,
    rows: Vec<String>,
    /// Coinbase: the number of the connection.
    sequence: u64,
}

/// How many levels a side has at most.
const LEVELS: u64 = 30;
/// How deep Kraken's and Bybit's books are.
const DEPTH: usize = 25;
/// A snapshot comes once in so many steps.
const SNAPSHOT_EVERY: usize = 60;

/// The rows of a recording of so many steps.
pub(crate) fn recording(format: Format, seed: u64, steps: usize) -> Vec<String> {
    let mut writer = Writer {
        format,
        random: StdRng::seed_from_u64(seed),
        rows: Vec::new(),
        sequence: 0,
    };
    let mut instruments = natives(format).map(|native| Instrument {
        native,
        sides: Sides::default(),
        number: 1_000,
        trade: 500,
    });
    for instrument in &mut instruments {
        writer.acknowledge(instrument);
        for price in 1..=LEVELS {
            instrument.sides.bids.insert(9_999 - price, price);
            instrument.sides.asks.insert(10_000 + price, price);
        }
        writer.snapshot(instrument);
    }
    for step in 1..=steps {
        let at = writer.random.random_range(0..instruments.len());
        let instrument = &mut instruments[at];
        if step % SNAPSHOT_EVERY == 0 {
            writer.snapshot(instrument);
        }
        match writer.random.random_range(0..4) {
            0 => writer.trade(instrument),
            _ => writer.change(instrument),
        }
    }
    writer.rows
}

/// What a venue calls the two instruments.
pub(crate) const fn natives(format: Format) -> [&'static str; 2] {
    match format {
        Format::Kraken => ["BTC/USD", "ETH/USD"],
        Format::Coinbase => ["BTC-USD", "ETH-USD"],
        Format::Okx => ["BTC-USDT", "ETH-USDT"],
        Format::Binance | Format::BinanceUsdm | Format::BybitSpot | Format::BybitLinear => {
            ["BTCUSDT", "ETHUSDT"]
        }
    }
}

fn price(price: u64) -> String {
    format!("{}.{:02}", price / 100, price % 100)
}

fn qty(qty: u64) -> String {
    format!("{}.{:03}", qty / 1_000, qty % 1_000)
}

fn pairs(levels: &[(u64, u64)]) -> Value {
    levels
        .iter()
        .map(|(p, q)| json!([price(*p), qty(*q)]))
        .collect()
}

// === impl Sides ===

impl Sides {
    fn best(&self) -> (Levels, Levels) {
        let level = |(price, qty): (&u64, &u64)| (*price, *qty);
        let bids = self.bids.iter().rev().map(level).collect();
        (bids, self.asks.iter().map(level).collect())
    }

    fn change(side: &mut BTreeMap<u64, u64>, levels: &[(u64, u64)]) {
        for (price, qty) in levels {
            match qty {
                0 => side.remove(price),
                qty => side.insert(*price, *qty),
            };
        }
    }

    /// Kraken: digits of ten asks, then of ten bids.
    fn kraken(&self) -> u32 {
        let (bids, asks) = self.best();
        let digits = |text: String| text.replace('.', "").trim_start_matches('0').to_owned();
        let level = |(p, q): &(u64, u64)| digits(price(*p)) + &digits(qty(*q));
        let text: String = asks
            .iter()
            .take(10)
            .chain(bids.iter().take(10))
            .map(level)
            .collect();
        crc32fast::hash(text.as_bytes())
    }

    /// OKX: 25 levels of both sides in turn.
    fn okx(&self) -> i32 {
        let (bids, asks) = self.best();
        let level = |(p, q): &(u64, u64)| format!("{}:{}", price(*p), qty(*q));
        let mut parts = Vec::new();
        for at in 0..25 {
            parts.extend(
                [&bids, &asks]
                    .into_iter()
                    .filter_map(|side| side.get(at))
                    .map(level),
            );
        }
        crc32fast::hash(parts.join(":").as_bytes()).cast_signed()
    }
}

// === impl Writer ===

impl Writer {
    fn say(&mut self, message: &str, symbol: Option<&str>) {
        let ts = 1_700_000_000_000_000_000 + self.rows.len() as u64 * 1_000_000;
        let mut row = json!({ "ts": ts, "raw": message });
        if let Some(symbol) = symbol {
            row["http"] = "https://api.example.com/depth".into();
            row["symbol"] = symbol.into();
        }
        self.rows.push(row.to_string());
    }

    fn millis(&self) -> u64 {
        1_700_000_000_000 + self.rows.len() as u64
    }

    fn acknowledge(&mut self, instrument: &Instrument) {
        if self.format == Format::Kraken {
            let result = json!({ "channel": "book", "symbol": instrument.native, "depth": DEPTH });
            let ack = json!({ "method": "subscribe", "success": true, "result": result });
            self.say(&ack.to_string(), None);
        }
    }

    fn snapshot(&mut self, instrument: &mut Instrument) {
        let (mut bids, mut asks) = instrument.sides.best();
        bids.truncate(DEPTH);
        asks.truncate(DEPTH);
        if !matches!(self.format, Format::Binance | Format::BinanceUsdm) {
            // What lies deeper is unknown to those who begin here.
            instrument.sides.bids = bids.iter().copied().collect();
            instrument.sides.asks = asks.iter().copied().collect();
        }
        self.book(instrument, &bids, &asks, true);
    }

    fn change(&mut self, instrument: &mut Instrument) {
        let mut levels = |base: u64, up: bool| -> Levels {
            let many = self.random.random_range(0..=2);
            let mut level = |_| {
                let away = self.random.random_range(1..=LEVELS);
                let price = if up { base + away } else { base - away };
                (price, self.random.random_range(0..10) * 7)
            };
            (0..many).map(&mut level).collect()
        };
        let (bids, mut asks) = (levels(9_999, false), levels(10_000, true));
        if bids.is_empty() && asks.is_empty() {
            asks.push((10_001, instrument.number % 90 + 1));
        }
        Sides::change(&mut instrument.sides.bids, &bids);
        Sides::change(&mut instrument.sides.asks, &asks);
        if matches!(self.format, Format::Kraken) {
            while instrument.sides.bids.len() > DEPTH {
                instrument.sides.bids.pop_first();
            }
            while instrument.sides.asks.len() > DEPTH {
                instrument.sides.asks.pop_last();
            }
        }
        self.book(instrument, &bids, &asks, false);
        if matches!(self.format, Format::Binance | Format::BinanceUsdm) {
            self.quote(instrument);
        }
    }

    fn quote(&mut self, instrument: &Instrument) {
        let (bids, asks) = instrument.sides.best();
        let (Some(bid), Some(ask)) = (bids.first(), asks.first()) else {
            return;
        };
        let mut quote = json!({
            "u": instrument.number, "s": instrument.native,
            "b": price(bid.0), "B": qty(bid.1), "a": price(ask.0), "A": qty(ask.1),
        });
        if self.format == Format::BinanceUsdm {
            quote["e"] = "bookTicker".into();
            quote["E"] = self.millis().into();
        }
        self.say(&quote.to_string(), None);
    }

    fn book(&mut self, instrument: &mut Instrument, bids: &Levels, asks: &Levels, snapshot: bool) {
        let (native, before) = (instrument.native, instrument.number);
        let step = match self.format {
            _ if snapshot => 0,
            Format::Binance | Format::BinanceUsdm | Format::Okx => self.random.random_range(1..5),
            Format::Coinbase | Format::Kraken | Format::BybitSpot | Format::BybitLinear => 1,
        };
        instrument.number += step;
        let number = instrument.number;
        let kind = if snapshot { "snapshot" } else { "update" };
        let (millis, named) = (self.millis(), snapshot.then_some(native));
        match self.format {
            Format::Binance | Format::BinanceUsdm if snapshot => {
                let depth =
                    json!({ "lastUpdateId": number, "bids": pairs(bids), "asks": pairs(asks) });
                self.say(&depth.to_string(), named);
            }
            Format::Binance | Format::BinanceUsdm => {
                let mut depth = json!({
                    "e": "depthUpdate", "E": millis, "s": native, "U": before + 1, "u": number,
                    "b": pairs(bids), "a": pairs(asks),
                });
                if self.format == Format::BinanceUsdm {
                    depth["pu"] = before.into();
                }
                self.say(&depth.to_string(), None);
            }
            Format::Kraken => {
                let side = |levels: &Levels| -> String {
                    let level = |(p, q): &(u64, u64)| {
                        format!("{{\"price\":{},\"qty\":{}}}", price(*p), qty(*q))
                    };
                    levels.iter().map(level).collect::<Vec<_>>().join(",")
                };
                let (bids, asks, sum) = (side(bids), side(asks), instrument.sides.kraken());
                self.say(
                    &format!(
                        "{{\"channel\":\"book\",\"type\":\"{kind}\",\"data\":[{{\"symbol\":\"{native}\",\
                         \"bids\":[{bids}],\"asks\":[{asks}],\"checksum\":{sum}}}]}}"
                    ),
                    None,
                );
            }
            Format::Okx => {
                let data = json!({
                    "bids": pairs(bids), "asks": pairs(asks), "ts": millis.to_string(),
                    "checksum": instrument.sides.okx(), "seqId": number,
                    "prevSeqId": if snapshot { -1 } else { before.cast_signed() },
                });
                let arg = json!({ "channel": "books", "instId": native });
                let push = json!({ "arg": arg, "action": kind, "data": [data] });
                self.say(&push.to_string(), None);
            }
            Format::BybitSpot | Format::BybitLinear => {
                let kind = if snapshot { "snapshot" } else { "delta" };
                let data = json!({ "s": native, "b": pairs(bids), "a": pairs(asks), "u": number });
                let topic = format!("orderbook.50.{native}");
                let push = json!({ "topic": topic, "type": kind, "ts": millis, "data": data });
                self.say(&push.to_string(), None);
            }
            Format::Coinbase => {
                let update = |side: &'static str| move |(p, q): &(u64, u64)| json!({ "side": side, "price_level": price(*p), "new_quantity": qty(*q) });
                let updates = bids
                    .iter()
                    .map(update("bid"))
                    .chain(asks.iter().map(update("offer")));
                let updates = updates.collect::<Value>();
                let event = json!({ "type": kind, "product_id": native, "updates": updates });
                self.push_coinbase("l2_data", &event);
            }
        }
    }

    fn trade(&mut self, instrument: &mut Instrument) {
        instrument.trade += 1;
        let (native, id, millis) = (instrument.native, instrument.trade, self.millis());
        let message = match self.format {
            Format::Binance | Format::BinanceUsdm => {
                let mut trade = json!({
                    "e": "trade", "E": millis, "s": native, "t": id, "p": "100.00", "q": "0.500",
                    "T": millis, "m": false,
                });
                match self.format {
                    Format::Binance => trade["M"] = true.into(),
                    _ => trade["X"] = "MARKET".into(),
                }
                trade
            }
            Format::Kraken => {
                let trade = json!({
                    "symbol": native, "side": "buy", "price": 100.25, "qty": 0.5, "trade_id": id,
                    "timestamp": "2023-11-14T22:13:20.000000Z",
                });
                json!({ "channel": "trade", "type": "update", "data": [trade] })
            }
            Format::Okx => {
                let trade = json!({
                    "instId": native, "tradeId": id.to_string(), "px": "100.25", "sz": "0.5",
                    "side": "buy", "ts": millis.to_string(),
                });
                json!({ "arg": { "channel": "trades", "instId": native }, "data": [trade] })
            }
            Format::BybitSpot | Format::BybitLinear => {
                let trade = json!({
                    "T": millis, "s": native, "S": "Buy", "v": "0.5", "p": "100.25",
                    "i": format!("00000000-0000-0000-0000-{id:012}"),
                });
                let topic = format!("publicTrade.{native}");
                json!({ "topic": topic, "type": "snapshot", "ts": millis, "data": [trade] })
            }
            Format::Coinbase => {
                let trade = json!({
                    "product_id": native, "trade_id": id.to_string(), "price": "100.25",
                    "size": "0.5", "side": "SELL", "time": "2023-11-14T22:13:20Z",
                });
                let event = json!({ "type": "update", "trades": [trade] });
                return self.push_coinbase("market_trades", &event);
            }
        };
        self.say(&message.to_string(), None);
    }

    fn push_coinbase(&mut self, channel: &str, event: &Value) {
        let push = json!({
            "channel": channel, "timestamp": "2023-11-14T22:13:20Z",
            "sequence_num": self.sequence, "events": [event],
        });
        self.sequence += 1;
        self.say(&push.to_string(), None);
    }
}
