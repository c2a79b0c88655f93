//! What clients get is the truth: a naive client that follows the venue's own recipe ends with the venue's book
//! and the venue's trades.

use crate::driver::Driver;
use crate::naive::NaiveBook;
use serde_json::Value;
use tapecast_venuesim::{SimConfig, decimal};

#[test]
fn a_naive_client_rebuilds_the_whole_book_from_an_answer_and_the_changes() {
    for (symbol, speed) in [
        ("BTCUSDT", "@100ms"),
        ("ETHUSDT", ""),
        ("NKNUSDT", "@100ms"),
        ("币安人生USDT", "@100ms"),
    ] {
        let mut driver = Driver::new(SimConfig::new(11));
        driver.connect(1, "/stream").unwrap();
        driver.subscribe(1, &[&format!("{}@depth{speed}", symbol.to_lowercase())]);
        // The change that comes next has begun before the answer; so wait for one.
        driver.run_secs(40);
        let answer = driver.json(&format!("/api/v3/depth?symbol={symbol}&limit=5000"));
        let mut book = NaiveBook::new(&answer);
        assert_eq!(
            Some(book.top(50)),
            driver.venue.past_book(symbol, book.last)
        );
        for _ in 0..60 {
            driver.run_secs(10);
            let messages = driver.values(1);
            for message in messages
                .iter()
                .filter(|message| message["stream"].is_string())
            {
                assert!(book.apply(&message["data"]), "{symbol}: {message}");
            }
            // The book now may be ahead of the last message.
            let truth = driver.venue.past_book(symbol, book.last).unwrap();
            assert_eq!(book.top(50), truth);
        }
        // When nothing is under way, all levels are equal.
        let truth = loop {
            driver.run(std::time::Duration::from_millis(10));
            for message in driver.values(1) {
                assert!(book.apply(&message["data"]));
            }
            let truth = driver.venue.book(symbol).unwrap();
            if truth.last_update_id == book.last {
                break truth;
            }
        };
        assert_eq!(book.top(usize::MAX), truth);
        assert!(truth.bids.len() >= 1_500 && truth.asks.len() >= 1_500);
    }
}

#[test]
fn best_levels_and_quotes_are_of_the_same_numbers() {
    let mut driver = Driver::new(SimConfig::new(12));
    let streams = "btcusdt@depth@100ms/btcusdt@depth20@100ms/btcusdt@bookTicker";
    driver
        .connect(1, &format!("/stream?streams={streams}"))
        .unwrap();
    driver.run_secs(5);
    let mut book = NaiveBook::new(&driver.json("/api/v3/depth?symbol=BTCUSDT&limit=1000"));
    let (mut partial, mut quotes) = (0, 0);
    let mut quote: Option<Value> = None;
    for _ in 0..30 {
        driver.run_secs(1);
        for message in driver.values(1) {
            let data = &message["data"];
            match message["stream"].as_str().unwrap() {
                "btcusdt@bookTicker" => quote = Some(data.clone()),
                "btcusdt@depth20@100ms" if data["lastUpdateId"] == book.last => {
                    partial += 1;
                    assert_eq!(NaiveBook::new(data).top(20), book.top(20));
                }
                "btcusdt@depth20@100ms" => assert!(data["lastUpdateId"].as_u64() < Some(book.last)),
                _ => {
                    assert!(book.apply(data));
                    // Older messages are ignored, and say nothing of the book.
                    if data["u"] != book.last {
                        continue;
                    }
                    let Some(quote) = quote
                        .as_ref()
                        .filter(|quote| quote["u"].as_u64() <= Some(book.last))
                    else {
                        continue;
                    };
                    quotes += 1;
                    let number = |key: &str| decimal::parse(quote[key].as_str().unwrap()).unwrap();
                    let best = book.top(1);
                    assert_eq!(best.bids, [(number("b"), number("B"))]);
                    assert_eq!(best.asks, [(number("a"), number("A"))]);
                }
            }
        }
    }
    assert!(partial > 200 && quotes > 200, "{partial} {quotes}");
}

#[test]
fn numbers_rise_by_more_than_one_a_message() {
    let mut driver = Driver::new(SimConfig::new(12));
    driver.connect(1, "/ws/btcusdt@depth@100ms").unwrap();
    driver.run_secs(60);
    let messages = driver.values(1);
    let wide = messages
        .iter()
        .filter(|message| message["u"].as_u64() > message["U"].as_u64());
    assert!(wide.count() * 2 > messages.len());
}

#[test]
fn trades_are_complete_and_equal_to_the_truth() {
    let mut driver = Driver::new(SimConfig::new(13));
    driver.connect(1, "/ws/ethusdt@trade").unwrap();
    driver.connect(2, "/ws/ethusdt@aggTrade").unwrap();
    driver.run_secs(600);
    let truth = driver.venue.trades("ETHUSDT");
    let trades = driver.values(1);
    assert!(trades.len() > 100);
    assert_eq!(trades.len(), truth.len());
    for (trade, truth) in trades.iter().zip(&truth) {
        assert_eq!(trade["t"], truth.id);
        assert_eq!(trade["p"], decimal::text(truth.price));
        assert_eq!(trade["q"], decimal::text(truth.qty));
        assert_eq!(trade["T"], truth.time_ms);
        assert_eq!(trade["m"], truth.buyer_is_maker);
    }
    assert!(truth.windows(2).all(|pair| pair[1].id == pair[0].id + 1));
    let aggregates = driver.values(2);
    assert!(
        aggregates
            .windows(2)
            .all(|pair| pair[1]["a"].as_u64() == pair[0]["a"].as_u64().map(|a| a + 1))
    );
    assert_eq!(aggregates[0]["f"], truth[0].id);
    assert_eq!(aggregates.last().unwrap()["l"], truth.last().unwrap().id);
}
