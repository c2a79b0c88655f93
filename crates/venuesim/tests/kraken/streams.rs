//! What subscriptions bring, compared with the truth.

use crate::book::{Book, Sum};
use crate::driver::Driver;
use serde_json::{Value, json};
use tapecast_venuesim::decimal;

/// The time of a message in microseconds of its day.
pub(crate) fn micros(text: &str) -> u64 {
    let at = text.rfind("\"timestamp\":\"").unwrap() + 13 + 11;
    let number = |from: usize, length: usize| -> u64 {
        text[at + from..at + from + length].parse().unwrap()
    };
    (number(0, 2) * 3_600 + number(3, 2) * 60 + number(6, 2)) * 1_000_000 + number(9, 6)
}

#[test]
fn books_of_all_depths_and_symbols_are_right_at_each_message() {
    for (conn, depth) in [(1, 10), (2, 25), (3, 100), (4, 500), (5, 1_000)] {
        let mut driver = Driver::connected(2);
        if conn > 1 {
            driver.connect(conn).unwrap();
        }
        let symbols = ["BTC/USD", "ETH/USD", "SHIB/USD", "AAPLx/USD"];
        let params = json!({"channel": "book", "symbol": symbols, "depth": depth});
        driver.ask(conn, "subscribe", &params);
        driver.run_secs(30);
        let start = tapecast_venuesim::SimConfig::kraken(2).start_ms * 1_000;
        let midnight = start - start % (24 * 3_600 * 1_000_000);
        let texts = driver.texts_of(conn, "book");
        for symbol in symbols {
            let key = format!("\"symbol\":\"{symbol}\"");
            let mut book = Book::default();
            let (mut messages, mut compared) = (0, 0);
            for text in texts.iter().filter(|text| text.contains(&key)) {
                assert_eq!(
                    book.apply(text, depth),
                    Sum::Right,
                    "{symbol} {depth}: {text}"
                );
                messages += 1;
                let past = driver.venue.past_book(symbol, midnight + micros(text));
                let Some(mut truth) = past else { continue };
                let levels = depth.min(50);
                truth.bids.truncate(levels);
                truth.asks.truncate(levels);
                assert_eq!(
                    book.best(levels),
                    (truth.bids, truth.asks),
                    "{symbol} {depth}"
                );
                compared += 1;
            }
            assert!(
                messages > 10 && compared == messages,
                "{symbol}: {compared} of {messages}"
            );
            assert_eq!(book.bids.len(), depth, "{symbol}");
        }
    }
}

#[test]
fn without_the_cut_sums_are_wrong() {
    let mut driver = Driver::connected(2);
    let params = json!({"channel": "book", "symbol": ["BTC/USD"], "depth": 10});
    driver.ask(1, "subscribe", &params);
    driver.run_pinging(300);
    let mut book = Book::default();
    let texts = driver.texts_of(1, "book");
    let wrong = texts
        .iter()
        .filter(|text| book.apply(text, 10_000) == Sum::Wrong);
    assert!(
        wrong.count() > 10,
        "levels that are pushed out are never removed"
    );
}

#[test]
fn trades_are_those_of_the_truth() {
    let mut driver = Driver::connected(3);
    driver.run_pinging(120);
    let params = json!({"channel": "trade", "symbol": ["BTC/USD"], "snapshot": true});
    driver.ask(1, "subscribe", &params);
    let old = driver.venue.trades("BTC/USD").len();
    driver.run_secs(60);
    let truth = driver.venue.trades("BTC/USD");
    let mut came: Vec<Value> = Vec::new();
    let texts = driver.texts_of(1, "trade");
    for text in &texts {
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(value["type"] == "snapshot", came.is_empty());
        came.extend(value["data"].as_array().unwrap().iter().cloned());
    }
    let expected = &truth[old - 50..];
    assert_eq!(came.len(), expected.len());
    for (trade, truth) in came.iter().zip(expected) {
        assert_eq!(trade["trade_id"], truth.id);
        let side = if truth.buyer_is_maker { "sell" } else { "buy" };
        assert_eq!(trade["side"], side);
        let price = format!("{:.1}", truth.price as f64 / decimal::ONE as f64);
        let text = texts
            .iter()
            .find(|text| text.contains(&truth.id.to_string()));
        assert!(
            text.unwrap().contains(&format!("\"price\":{price}")),
            "{price}"
        );
    }
}

#[test]
fn tickers_follow_the_best_prices_or_the_trades() {
    let mut driver = Driver::connected(4);
    driver.connect(2).unwrap();
    driver.subscribe(1, "ticker", &["ETH/USD"]);
    driver.ask(
        2,
        "subscribe",
        &json!({"channel": "ticker", "symbol": ["ETH/USD"]}),
    );
    driver.subscribe(2, "trade", &["ETH/USD"]);
    driver.run_secs(55);
    let best = driver.texts_of(1, "ticker");
    let after_trades = driver.texts(2);
    let count = |key: &str| {
        after_trades
            .iter()
            .filter(|text| text.starts_with(key))
            .count()
    };
    let (tickers, trades) = (
        count(r#"{"channel":"ticker""#),
        count(r#"{"channel":"trade""#),
    );
    assert_eq!(tickers, trades + 1, "one is the snapshot");
    assert!(best.len() > 2 * tickers, "{} {tickers}", best.len());
    let last: Value = serde_json::from_str(best.last().unwrap()).unwrap();
    let book = driver.venue.book("ETH/USD").unwrap();
    let number = |key: &str| last["data"][0][key].to_string();
    assert_eq!(decimal::parse(&number("bid")), Some(book.bids[0].0));
    assert_eq!(decimal::parse(&number("ask")), Some(book.asks[0].0));
    let keys: Vec<_> = last["data"][0].as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 14);
}
