//! Requests over HTTP: answers, weights, refusals.

use crate::driver::Driver;
use serde_json::{Value, json};
use tapecast_venuesim::{AnswerEnd, HttpAnswer, SimConfig, decimal};

fn header(answer: &HttpAnswer, name: &str) -> Option<String> {
    let mut headers = answer.headers.iter();
    let found = headers.find(|(given, _)| given == name);
    found.map(|(_, value)| value.clone())
}

#[test]
fn weights_are_those_of_the_documentation() {
    let many: Vec<String> = (0..30).map(|_| "\"BTCUSDT\"".to_owned()).collect();
    let many = format!("/api/v3/ticker/24hr?symbols=[{}]", many.join(","));
    for (target, weight) in [
        ("/api/v3/ping", 1),
        ("/api/v3/time", 1),
        ("/api/v3/exchangeInfo", 20),
        ("/api/v3/depth?symbol=BTCUSDT", 5),
        ("/api/v3/depth?symbol=BTCUSDT&limit=100", 5),
        ("/api/v3/depth?symbol=BTCUSDT&limit=101", 25),
        ("/api/v3/depth?symbol=BTCUSDT&limit=1000", 50),
        ("/api/v3/depth?symbol=BTCUSDT&limit=5000", 250),
        ("/api/v3/depth?symbol=BTCUSDT&limit=9999", 250),
        ("/api/v3/trades?symbol=BTCUSDT", 25),
        ("/api/v3/historicalTrades?symbol=BTCUSDT", 25),
        ("/api/v3/aggTrades?symbol=BTCUSDT", 4),
        ("/api/v3/ticker/24hr?symbol=BTCUSDT", 2),
        (
            "/api/v3/ticker/24hr?symbols=[%22BTCUSDT%22,%22ETHUSDT%22]",
            2,
        ),
        (many.as_str(), 40),
        ("/api/v3/ticker/24hr", 80),
    ] {
        let mut driver = Driver::new(SimConfig::new(1));
        let answer = driver.get(target);
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
        assert_eq!(
            header(&answer, "x-mbx-used-weight-1m"),
            Some(weight.to_string()),
            "{target}"
        );
        assert_eq!(answer.end, AnswerEnd::Whole);
    }
}

#[test]
fn a_client_that_asks_too_much_is_refused_until_the_minute_ends_and_banned_if_it_goes_on() {
    let mut driver = Driver::new(SimConfig::new(1));
    driver.run_secs(15);
    for _ in 0..24 {
        assert_eq!(
            driver.get("/api/v3/depth?symbol=BTCUSDT&limit=5000").status,
            200
        );
    }
    let refused = driver.get("/api/v3/time");
    assert_eq!(refused.status, 429);
    assert_eq!(header(&refused, "retry-after").as_deref(), Some("45"));
    assert!(
        refused
            .body
            .starts_with(r#"{"code":-1003,"msg":"Too much request weight used"#)
    );
    driver.run_secs(45);
    assert_eq!(driver.get("/api/v3/time").status, 200);
    assert_eq!(driver.venue.counts().impatient, 0);

    for _ in 0..40 {
        driver.get("/api/v3/depth?symbol=BTCUSDT&limit=5000");
    }
    let banned = driver.get("/api/v3/time");
    assert_eq!(banned.status, 418);
    assert_eq!(header(&banned, "retry-after").as_deref(), Some("120"));
    driver.run_secs(119);
    assert_eq!(driver.get("/api/v3/time").status, 418);
    driver.run_secs(1);
    assert_eq!(driver.get("/api/v3/time").status, 200);
    let counts = driver.venue.counts();
    assert_eq!(counts.weight_max, 6_000);
    assert_eq!(counts.bans, 1);
    assert!(counts.impatient > 10);
}

#[test]
fn a_second_ban_is_longer() {
    let mut driver = Driver::new(SimConfig::new(1));
    let mut bans = Vec::new();
    for _ in 0..3 {
        let banned = loop {
            let answer = driver.get("/api/v3/depth?symbol=BTCUSDT&limit=5000");
            if answer.status == 418 {
                break answer;
            }
        };
        let seconds: u64 = header(&banned, "retry-after").unwrap().parse().unwrap();
        bans.push(seconds);
        driver.run_secs(seconds);
    }
    assert_eq!(bans, [120, 240, 480]);
}

#[test]
fn mistakes_have_the_documented_codes() {
    let mut driver = Driver::new(SimConfig::new(1));
    for (target, status, body) in [
        (
            "/api/v3/depth?symbol=NONE",
            400,
            r#"{"code":-1121,"msg":"Invalid symbol."}"#,
        ),
        (
            "/api/v3/depth?symbol=btcusdt",
            400,
            r#"{"code":-1121,"msg":"Invalid symbol."}"#,
        ),
        (
            "/api/v3/exchangeInfo?symbols=[%22BTCUSDT%22,%22NONE%22]",
            400,
            r#"{"code":-1121,"msg":"Invalid symbol."}"#,
        ),
        (
            "/api/v3/depth",
            400,
            r#"{"code":-1102,"msg":"Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."}"#,
        ),
        (
            "/api/v3/depth?symbol=BTCUSDT&limit=ten",
            400,
            r#"{"code":-1100,"msg":"Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'."}"#,
        ),
        (
            "/api/v3/depth?symbol=BTCUSDT&limit=0",
            400,
            r#"{"code":-1130,"msg":"Data sent for parameter 'limit' is not valid."}"#,
        ),
        ("/api/v1/depth?symbol=BTCUSDT", 404, ""),
    ] {
        let answer = driver.get(target);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (status, body),
            "{target}"
        );
    }
}

#[test]
fn exchange_info_says_what_can_be_traded_and_how() {
    let mut driver = Driver::new(SimConfig::new(1));
    let all = driver.json("/api/v3/exchangeInfo");
    assert_eq!(all["symbols"].as_array().unwrap().len(), 4);
    let one = driver.json("/api/v3/exchangeInfo?symbol=BTCUSDT");
    let symbol = &one["symbols"][0];
    assert_eq!(*symbol, all["symbols"][0]);
    assert_eq!(symbol["status"], "TRADING");
    assert_eq!(
        (&symbol["baseAsset"], &symbol["quoteAsset"]),
        (&json!("BTC"), &json!("USDT"))
    );
    let filter = |kind: &str| {
        let filters = symbol["filters"].as_array().unwrap();
        filters
            .iter()
            .find(|filter| filter["filterType"] == kind)
            .unwrap()
    };
    assert_eq!(filter("PRICE_FILTER")["tickSize"], "0.01000000");
    assert_eq!(filter("LOT_SIZE")["stepSize"], "0.00001000");
    let two = driver.json("/api/v3/exchangeInfo?symbols=[%22ETHUSDT%22,%22BTCUSDT%22]");
    assert_eq!(two["symbols"][0]["symbol"], "ETHUSDT");
    let trading = driver.json("/api/v3/exchangeInfo?symbolStatus=HALT");
    assert_eq!(trading["symbols"], json!([]));
    let chinese =
        driver.json("/api/v3/exchangeInfo?symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT");
    assert_eq!(chinese["symbols"][0]["symbol"], "币安人生USDT");
}

#[test]
fn trades_are_found_by_number() {
    let mut driver = Driver::new(SimConfig::new(1));
    driver.run_secs(300);
    let truth = driver.venue.trades("BTCUSDT");
    let last = driver.json("/api/v3/trades?symbol=BTCUSDT&limit=10");
    let ids = |list: &Value, key: &str| -> Vec<u64> {
        list.as_array()
            .unwrap()
            .iter()
            .map(|trade| trade[key].as_u64().unwrap())
            .collect()
    };
    let expected: Vec<u64> = truth[truth.len() - 10..]
        .iter()
        .map(|trade| trade.id)
        .collect();
    assert_eq!(ids(&last, "id"), expected);
    let from = truth[5].id;
    let found = driver.json(&format!(
        "/api/v3/historicalTrades?symbol=BTCUSDT&fromId={from}&limit=3"
    ));
    assert_eq!(ids(&found, "id"), [from, from + 1, from + 2]);
    assert_eq!(found[0]["price"], decimal::text(truth[5].price));
    assert_eq!(found[0]["isBuyerMaker"], truth[5].buyer_is_maker);
    let all = driver.json("/api/v3/aggTrades?symbol=BTCUSDT&limit=1000");
    let first = ids(&all, "a")[3];
    let some = driver.json(&format!(
        "/api/v3/aggTrades?symbol=BTCUSDT&fromId={first}&limit=2"
    ));
    assert_eq!(ids(&some, "a"), [first, first + 1]);
    let time = some[0]["T"].as_u64().unwrap();
    let timed = driver.json(&format!(
        "/api/v3/aggTrades?symbol=BTCUSDT&startTime={time}&endTime={time}"
    ));
    assert!(ids(&timed, "a").contains(&first));
    let firsts = ids(&all, "f");
    let lasts = ids(&all, "l");
    assert!(
        firsts[1..]
            .iter()
            .zip(&lasts)
            .all(|(next, last)| *next == last + 1)
    );
}

#[test]
fn tickers_come_whole_or_small_for_one_or_all() {
    let mut driver = Driver::new(SimConfig::new(1));
    driver.connect(1, "/ws/btcusdt@ticker").unwrap();
    driver.run_secs(20);
    let one = driver.json("/api/v3/ticker/24hr?symbol=BTCUSDT");
    let stream = driver.values(1).pop().unwrap();
    for (key, short) in [
        ("openPrice", "o"),
        ("highPrice", "h"),
        ("firstId", "F"),
        ("prevClosePrice", "x"),
    ] {
        assert_eq!(one[key], stream[short], "{key}");
    }
    assert!(one["quoteVolume"].as_str().unwrap().len() > 12);
    let mini = driver.json("/api/v3/ticker/24hr?type=MINI");
    assert_eq!(mini.as_array().unwrap().len(), 4);
    assert_eq!(mini[0]["lastPrice"], one["lastPrice"]);
    assert!(mini[0].get("bidPrice").is_none());
}

#[test]
fn the_time_is_the_wall_time() {
    let config = SimConfig::new(1);
    let start = config.start_ms;
    let mut driver = Driver::new(config);
    driver.run_secs(5);
    assert_eq!(driver.json("/api/v3/time")["serverTime"], start + 5_000);
    assert_eq!(driver.json("/api/v3/ping"), json!({}));
}
