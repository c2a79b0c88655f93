//! A second reader of recordings: `serde_json`, the venues' published rules, and nothing of ours.
//!
//! Reads books and trades of every supported format, message by message in the order of the file,
//! and counts the checksums that a book's owner could verify. What a message lacks stops the test.

use crate::book::{Book, named, pair};
use crate::recording::{Recording, Row};
use crate::tape::{Tape, TapeTrade};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a recording says.
#[derive(Debug, Default)]
pub struct Reader {
    /// By native name and depth of the stream, which is zero where a venue has one stream only.
    books: BTreeMap<(String, u64), Book>,
    tapes: BTreeMap<String, Tape>,
    /// Messages with a checksum that is not zero, on books that exist.
    pub checksums: u64,
    /// Kraken: how deep the book was subscribed to.
    depth: Option<usize>,
    /// Binance: a snapshot that names no symbol, before anything has said which there is.
    nameless: Option<Value>,
}

impl Reader {
    /// Reads a recording to its end.
    pub fn of(recording: &Recording) -> Self {
        let mut reader = Self::default();
        for row in recording.rows() {
            reader.read(recording.format, &row);
        }
        reader
    }

    /// The deepest book of each instrument, by native name.
    pub fn books(&self) -> BTreeMap<&str, &Book> {
        let by_depth = self.books.iter();
        by_depth
            .map(|((native, _), book)| (native.as_str(), book))
            .collect()
    }

    /// What traded, by native name.
    pub fn tapes(&self) -> &BTreeMap<String, Tape> {
        &self.tapes
    }

    /// Reads one message of a format's recording.
    fn read(&mut self, format: &str, row: &Row) {
        let message = &row.message;
        match format {
            "binance" | "binance-usdm" => self.read_binance(message, row.symbol.as_deref()),
            "kraken" => self.read_kraken(message),
            "okx" => self.read_okx(message),
            "coinbase" => self.read_coinbase(message),
            _ => self.read_bybit(message),
        }
    }

    fn read_binance(&mut self, message: &Value, symbol: Option<&str>) {
        let event = message.get("data").unwrap_or(message);
        if event.get("lastUpdateId").is_some() {
            match symbol.map(str::to_owned).or_else(|| self.only_book()) {
                Some(native) => self.book(&native).start_numbered(event),
                None => self.nameless = Some(event.clone()),
            }
            return;
        }
        let native = event["s"].as_str().unwrap_or_default();
        let taker = || if event["m"] == true { "sell" } else { "buy" };
        let trade = |id: &str| TapeTrade::read([&event[id], &event["p"], &event["q"]], taker());
        match event["e"].as_str() {
            Some("depthUpdate") => {
                let snapshot = self.nameless.take();
                let book = self.book(native);
                if let Some(snapshot) = snapshot {
                    book.start_numbered(&snapshot);
                }
                book.change_numbered(event);
            }
            Some("trade") => self.tape(native).add_trade(trade("t")),
            Some("aggTrade") => self.tape(native).add_aggregate(trade("a")),
            _ => {}
        }
    }

    /// The one instrument that has a book.
    fn only_book(&self) -> Option<String> {
        let mut names = self.books.keys().map(|(native, _)| native);
        let only = names.next()?.clone();
        assert_eq!(names.next(), None, "a snapshot that names no symbol");
        Some(only)
    }

    fn read_kraken(&mut self, message: &Value) {
        if let Some(depth) = message["result"]["depth"].as_u64() {
            self.depth = usize::try_from(depth).ok();
        }
        let snapshot = message["type"] == "snapshot";
        let parts = message["data"].as_array().into_iter().flatten();
        if message["channel"] == "trade" && !snapshot {
            for one in parts {
                let fields = [&one["trade_id"], &one["price"], &one["qty"]];
                let trade = TapeTrade::read(fields, one["side"].as_str().unwrap());
                self.tape(one["symbol"].as_str().unwrap()).add_trade(trade);
            }
        } else if message["channel"] == "book" {
            let depth = self.depth.unwrap();
            let level = |level: &Value| named(level, "price", "qty");
            for part in parts {
                let book = self.book(part["symbol"].as_str().unwrap());
                if snapshot {
                    book.start(&part["bids"], &part["asks"], level);
                } else {
                    book.change(&part["bids"], &part["asks"], level);
                }
                book.cut(depth);
                book.look();
                self.checksums += u64::from(part.get("checksum").is_some());
            }
        }
    }

    fn read_okx(&mut self, message: &Value) {
        let channel = message["arg"]["channel"].as_str().unwrap_or_default();
        for part in message["data"].as_array().into_iter().flatten() {
            if channel == "trades" {
                let fields = [&part["tradeId"], &part["px"], &part["sz"]];
                let trade = TapeTrade::read(fields, part["side"].as_str().unwrap());
                self.tape(part["instId"].as_str().unwrap()).add_trade(trade);
            } else if channel.starts_with("books") {
                let book = self.book(message["arg"]["instId"].as_str().unwrap());
                if message["action"] == "snapshot" {
                    book.start(&part["bids"], &part["asks"], pair);
                } else {
                    book.change(&part["bids"], &part["asks"], pair);
                }
                book.look();
                let sum = part["checksum"].as_i64().unwrap_or(0);
                let counts = sum != 0 && book.is_started();
                self.checksums += u64::from(counts);
            }
        }
    }

    fn read_bybit(&mut self, message: &Value) {
        let topic = message["topic"].as_str().unwrap_or_default();
        if let Some(stream) = topic.strip_prefix("orderbook.") {
            let (depth, native) = stream.split_once('.').unwrap();
            let key = (native.to_owned(), depth.parse().unwrap());
            let (book, part) = (self.books.entry(key).or_default(), &message["data"]);
            if message["type"] == "snapshot" {
                book.start(&part["b"], &part["a"], pair);
            } else {
                book.change(&part["b"], &part["a"], pair);
            }
            book.look();
        } else if topic.starts_with("publicTrade.") {
            for one in message["data"].as_array().unwrap() {
                let side = one["S"].as_str().unwrap();
                let trade = TapeTrade::read([&one["i"], &one["p"], &one["v"]], side);
                self.tape(one["s"].as_str().unwrap()).add_trade(trade);
            }
        }
    }

    fn read_coinbase(&mut self, message: &Value) {
        let events = message["events"].as_array().into_iter().flatten();
        for event in events {
            let snapshot = event["type"] == "snapshot";
            if message["channel"] == "l2_data" {
                self.read_coinbase_book(event, snapshot);
            } else if message["channel"] == "market_trades" && !snapshot {
                // Newest first; the side is the maker's.
                for one in event["trades"].as_array().unwrap().iter().rev() {
                    let taker = if one["side"] == "BUY" { "sell" } else { "buy" };
                    let fields = [&one["trade_id"], &one["price"], &one["size"]];
                    let native = one["product_id"].as_str().unwrap();
                    self.tape(native).add_trade(TapeTrade::read(fields, taker));
                }
            }
        }
    }

    fn read_coinbase_book(&mut self, event: &Value, snapshot: bool) {
        let book = self.book(event["product_id"].as_str().unwrap());
        if snapshot {
            book.start(&Value::Null, &Value::Null, pair);
        }
        if !book.is_started() {
            return;
        }
        for update in event["updates"].as_array().unwrap() {
            let level = named(update, "price_level", "new_quantity");
            book.set(update["side"] == "bid", level);
        }
        book.look();
    }

    fn book(&mut self, native: &str) -> &mut Book {
        self.books.entry((native.to_owned(), 0)).or_default()
    }

    fn tape(&mut self, native: &str) -> &mut Tape {
        self.tapes.entry(native.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(format: &str, messages: &[Value]) -> Reader {
        let mut reader = Reader::default();
        for message in messages {
            let row = Row {
                line: String::new(),
                message: message.clone(),
                symbol: None,
            };
            reader.read(format, &row);
        }
        reader
    }

    fn trades(reader: &Reader, native: &str) -> Vec<String> {
        let tape = reader.tapes()[native].trades().iter();
        tape.map(|p| format!("{} {} {} {}", p.id, p.price, p.qty, p.side))
            .collect()
    }

    #[test]
    fn trades_are_read_in_order_with_the_takers_side() {
        let coinbase = |kind: &str, trades: Value| json!({"channel": "market_trades", "events": [{"type": kind, "trades": trades}]});
        let trade = |id: &str, side: &str| json!({"product_id": "A-B", "trade_id": id, "price": "1.50", "size": "2", "side": side});
        let reader = read(
            "coinbase",
            &[
                coinbase("snapshot", json!([trade("1", "BUY")])),
                coinbase("update", json!([trade("3", "BUY"), trade("2", "SELL")])),
            ],
        );
        assert_eq!(trades(&reader, "A-B"), ["2 1.5 2 buy", "3 1.5 2 sell"]);

        let kraken = json!({"channel": "trade", "type": "update", "data": [
            {"symbol": "A/B", "side": "sell", "price": 4136.4, "qty": 0.00000001, "trade_id": 7}]});
        let reader = read("kraken", &[kraken]);
        assert_eq!(trades(&reader, "A/B"), ["7 4136.4 0.00000001 sell"]);
    }

    #[test]
    fn single_trades_come_before_aggregates() {
        let event = |kind: &str, id: u64| json!({"e": kind, "s": "AB", "t": id, "a": id, "p": "1", "q": "1", "m": false});
        let reader = read("binance", &[event("aggTrade", 1), event("trade", 2)]);
        assert_eq!(trades(&reader, "AB"), ["2 1 1 buy"]);
        let reader = read("binance", &[event("aggTrade", 1)]);
        assert_eq!(trades(&reader, "AB"), ["1 1 1 buy"]);
    }

    #[test]
    fn a_snapshot_without_a_name_is_that_of_the_only_book() {
        let snapshot = json!({"lastUpdateId": 10, "bids": [["1", "1"]], "asks": [["3", "1"]]});
        let change =
            json!({"e": "depthUpdate", "s": "AB", "U": 11, "u": 12, "b": [["2", "1"]], "a": []});
        for order in [[&snapshot, &change], [&change, &snapshot]] {
            let reader = read("binance", &order.map(Clone::clone));
            assert_eq!(reader.books()["AB"].views.states[0].len(), 2);
        }
    }

    #[test]
    fn the_deepest_stream_is_the_book() {
        let message = |depth: u64, bids: Value| json!({"topic": format!("orderbook.{depth}.AB"), "type": "snapshot", "data": {"b": bids, "a": []}});
        let reader = read(
            "bybit-spot",
            &[
                message(200, json!([["1", "1"], ["2", "1"]])),
                message(1, json!([["2", "1"]])),
                message(1, json!([["3", "1"]])),
            ],
        );
        assert_eq!(reader.books()["AB"].views.states[0].len(), 1);
    }
}
