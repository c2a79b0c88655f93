//! Streams: their names, their shapes, their rhythm.

use crate::driver::Driver;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tapecast_venuesim::{Output, SimConfig, Venue};

/// Keys in their order, which `serde_json` would sort: taken from the text.
fn keys(text: &str) -> Vec<String> {
    let mut parts = text.split('"');
    let mut keys = Vec::new();
    while let (Some(_), Some(word)) = (parts.next(), parts.next()) {
        let after = parts.clone().next().unwrap_or_default();
        if after.starts_with(':') {
            keys.push(word.to_owned());
        }
    }
    keys
}

/// The second message of a stream.
fn second(stream: &str) -> String {
    let mut driver = Driver::new(SimConfig::new(3));
    driver.connect(1, &format!("/ws/{stream}")).unwrap();
    driver.run_secs(15);
    driver.texts(1).remove(1)
}

#[test]
fn messages_have_the_keys_of_captured_frames_in_their_order() {
    for (stream, expected) in [
        ("btcusdt@depth@100ms", "e E s U u b a"),
        ("btcusdt@depth", "e E s U u b a"),
        ("btcusdt@trade", "e E s t p q T m M"),
        ("btcusdt@aggTrade", "e E s a p q f l T m M"),
        ("btcusdt@bookTicker", "u s b B a A"),
        ("btcusdt@depth20@100ms", "lastUpdateId bids asks"),
        (
            "btcusdt@ticker",
            "e E s p P w x c Q b B a A o h l v q O C F L n",
        ),
        ("btcusdt@miniTicker", "e E s c o h l v q"),
    ] {
        let text = second(stream);
        assert_eq!(keys(&text).join(" "), expected, "{text}");
    }
    let text = second("btcusdt@depth5");
    let book: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(book["bids"].as_array().unwrap().len(), 5);
    assert!(book["bids"][0][0].as_str().unwrap().ends_with("000000"));
}

#[test]
fn all_small_tickers_come_as_one_list_of_those_that_have_changed() {
    let list: Value = serde_json::from_str(&second("!miniTicker@arr")).unwrap();
    assert_eq!(list[0]["e"], "24hrMiniTicker");
    assert!(list.as_array().unwrap().len() >= 2);
}

#[test]
fn times_are_in_microseconds_if_the_address_says_so() {
    let mut driver = Driver::new(SimConfig::new(3));
    driver
        .connect(1, "/ws/btcusdt@trade?timeUnit=MICROSECOND")
        .unwrap();
    driver.connect(2, "/ws/btcusdt@trade").unwrap();
    driver.run_secs(10);
    let (micro, milli) = (driver.values(1), driver.values(2));
    assert!(!micro.is_empty());
    for (micro, milli) in micro.iter().zip(&milli) {
        assert_eq!(micro["t"], milli["t"]);
        for key in ["E", "T"] {
            let micro = micro[key].as_u64().unwrap();
            assert_eq!(micro / 1_000, milli[key].as_u64().unwrap());
        }
    }
}

#[test]
fn streams_keep_their_rhythm() {
    let mut driver = Driver::new(SimConfig::new(3));
    let streams = "btcusdt@depth@100ms/btcusdt@depth/btcusdt@ticker/btcusdt@depth10";
    driver
        .connect(1, &format!("/stream?streams={streams}"))
        .unwrap();
    driver.run_secs(60);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for value in driver.values(1) {
        *counts
            .entry(value["stream"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    assert!(
        (500..=600).contains(&counts["btcusdt@depth@100ms"]),
        "{counts:?}"
    );
    assert!((59..=61).contains(&counts["btcusdt@depth"]), "{counts:?}");
    assert!((59..=61).contains(&counts["btcusdt@depth10"]), "{counts:?}");
    assert!((59..=61).contains(&counts["btcusdt@ticker"]), "{counts:?}");
}

#[test]
fn a_thin_symbol_is_quiet_for_many_seconds() {
    let mut driver = Driver::new(SimConfig::new(3));
    driver.connect(1, "/ws/nknusdt@depth@100ms").unwrap();
    driver.run_secs(600);
    let times: Vec<Duration> = driver
        .outputs
        .iter()
        .filter(|(_, output)| matches!(output, Output::Text { .. }))
        .map(|(time, _)| *time)
        .collect();
    assert!((20..200).contains(&times.len()), "{}", times.len());
    let longest = times
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .max()
        .unwrap();
    assert!(longest > Duration::from_secs(15), "{longest:?}");
}

#[test]
fn names_are_small_letters_and_unknown_ones_are_silent() {
    let mut driver = Driver::new(SimConfig::new(3));
    driver.connect(1, "/stream").unwrap();
    driver.subscribe(
        1,
        &[
            "BTCUSDT@trade",
            "xxxusdt@trade",
            "btcusdt@kline_1s",
            "!ticker@arr",
        ],
    );
    driver.run_secs(30);
    assert_eq!(driver.texts(1), [r#"{"result":null,"id":1}"#]);
}

#[test]
fn symbols_need_not_be_ascii_and_may_be_encoded() {
    let mut driver = Driver::new(SimConfig::new(3));
    driver
        .connect(
            1,
            "/stream?streams=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9Fusdt@bookTicker",
        )
        .unwrap();
    driver.connect(2, "/stream").unwrap();
    driver.subscribe(2, &["币安人生usdt@bookTicker"]);
    driver.run_secs(10);
    let (encoded, plain) = (driver.values(1), driver.values(2));
    assert_eq!(encoded[0]["stream"], "币安人生usdt@bookTicker");
    assert_eq!(encoded[0]["data"]["s"], "币安人生USDT");
    assert_eq!(plain[1..], encoded);
}

#[test]
fn the_quote_of_a_trade_comes_before_the_trade() {
    let mut driver = Driver::new(SimConfig::new(3));
    driver
        .connect(1, "/stream?streams=btcusdt@trade/btcusdt@bookTicker")
        .unwrap();
    driver.run_secs(60);
    let values = driver.values(1);
    let trade = |value: &Value| value["stream"] == "btcusdt@trade";
    let trades = values.iter().filter(|value| trade(value)).count();
    assert!(trades > 50);
    for pair in values
        .windows(2)
        .filter(|pair| trade(&pair[1]) && !trade(&pair[0]))
    {
        // The quote shows the size that is left at the trade's price, or the next price.
        let (quote, trade) = (&pair[0]["data"], &pair[1]["data"]);
        let (at, price) = if trade["m"] == true {
            ("b", &trade["p"])
        } else {
            ("a", &trade["p"])
        };
        let quoted: f64 = quote[at].as_str().unwrap().parse().unwrap();
        let traded: f64 = price.as_str().unwrap().parse().unwrap();
        let through = if trade["m"] == true {
            quoted <= traded
        } else {
            quoted >= traded
        };
        assert!(through, "{quote} {trade}");
    }
}

#[test]
fn the_same_seed_says_the_same_and_another_does_not() {
    let play = |seed, step: u64| {
        let mut driver = Driver::new(SimConfig::new(seed));
        driver
            .connect(
                1,
                "/stream?streams=btcusdt@depth@100ms/ethusdt@trade/nknusdt@ticker",
            )
            .unwrap();
        for _ in 0..(30_000 / step) {
            driver.run(Duration::from_millis(step));
        }
        driver.get("/api/v3/depth?symbol=BTCUSDT&limit=1000").body + &driver.texts(1).concat()
    };
    let once = play(5, 30_000);
    assert_eq!(once, play(5, 30_000));
    // It does not matter how the driver cuts the time.
    assert_eq!(once, play(5, 7_500));
    assert_ne!(once, play(6, 30_000));
}

#[test]
fn a_driver_that_is_late_gets_all_of_it_in_order() {
    let mut driver = Driver::new(SimConfig::new(3));
    driver.connect(1, "/ws/btcusdt@depth@100ms").unwrap();
    driver.now = Duration::from_secs(10);
    driver.venue.advance(driver.now);
    driver.run_secs(0);
    let values = driver.values(1);
    assert!(values.len() > 80);
    let chained = |pair: &[Value]| pair[1]["U"].as_u64() == pair[0]["u"].as_u64().map(|u| u + 1);
    assert!(values.windows(2).all(chained));
}
