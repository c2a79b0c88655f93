//! Requests on a connection: acknowledgements and mistakes.

use crate::driver::Driver;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Sends a request on a fresh connection, and compares the answer without its times.
fn check(request: &Value, expected: &Value) {
    let mut driver = Driver::connected(1);
    driver.send(1, &request.to_string());
    let mut answer = driver.values(1).remove(0);
    let fields = answer.as_object_mut().unwrap();
    let times = ["time_in", "time_out"].map(|key| fields.remove(key).unwrap());
    assert!(times[0].as_str() < times[1].as_str(), "{times:?}");
    assert_eq!(answer, *expected, "{request}");
}

#[test]
fn the_first_message_is_the_status() {
    let mut driver = Driver::connected(1);
    driver.connect(2).unwrap();
    let status = driver.values(2).remove(0);
    assert_eq!(status["channel"], "status");
    let data = &status["data"][0];
    assert_eq!(
        (&data["system"], &data["api_version"]),
        (&json!("online"), &json!("v2"))
    );
    assert!(data["connection_id"].as_u64() > Some(1 << 53));
}

#[test]
fn requests_are_acknowledged_by_symbol() {
    let mut driver = Driver::connected(1);
    driver.subscribe(1, "book", &["BTC/USD", "NOPE/USD", "ETH/USD"]);
    let answers = driver.values(1);
    let answers: Vec<_> = answers
        .iter()
        .filter(|value| value.get("method").is_some())
        .collect();
    assert_eq!(answers.len(), 3);
    assert_eq!(
        answers[0]["result"],
        json!({"channel": "book", "depth": 25, "snapshot": true, "symbol": "BTC/USD"})
    );
    assert_eq!(answers[1]["success"], false);
    assert_eq!(answers[1]["error"], "Currency pair not supported NOPE/USD");
    assert_eq!(answers[1]["symbol"], "NOPE/USD");
    assert_eq!(answers[2]["success"], true);
    assert!(answers.iter().all(|answer| answer["req_id"] == 7));
    assert_eq!(driver.venue.streams(1), ["book BTC/USD", "book ETH/USD"]);
}

#[test]
fn each_channel_says_its_own() {
    let subscribe = |params: Value| json!({"method": "subscribe", "params": params, "req_id": 3});
    let done = |result: Value| json!({"method": "subscribe", "req_id": 3, "result": result, "success": true});
    check(
        &subscribe(json!({"channel": "trade", "symbol": ["BTC/USD"]})),
        &done(json!({"channel": "trade", "snapshot": false, "symbol": "BTC/USD"})),
    );
    check(
        &subscribe(
            json!({"channel": "ticker", "symbol": ["BTC/USD"], "event_trigger": "bbo", "snapshot": false}),
        ),
        &done(
            json!({"channel": "ticker", "event_trigger": "bbo", "snapshot": false, "symbol": "BTC/USD"}),
        ),
    );
    check(
        &subscribe(json!({"channel": "instrument"})),
        &done(json!({"channel": "instrument", "snapshot": true,
            "warnings": ["tick_size is deprecated, use price_increment"]})),
    );
    check(
        &json!({"method": "ping", "req_id": 101}),
        &json!({"method": "pong", "req_id": 101}),
    );
    check(&json!({"method": "ping"}), &json!({"method": "pong"}));
}

#[test]
fn mistakes_are_said() {
    let wrong = |params: Value, error: &str| {
        check(
            &json!({"method": "subscribe", "params": params}),
            &json!({"error": error, "method": "subscribe", "success": false}),
        );
    };
    wrong(
        json!({"channel": "book", "symbol": ["BTC/USD"], "depth": 26}),
        "Subscription depth not supported",
    );
    wrong(
        json!({"channel": "level3", "symbol": ["BTC/USD"]}),
        "Channel not supported level3",
    );
    wrong(
        json!({"channel": "trade", "symbol": []}),
        "Symbol(s) not found",
    );
    check(
        &json!("hello"),
        &json!({"error": "Malformed request", "method": "error", "success": false}),
    );
    let mut driver = Driver::connected(1);
    driver.subscribe(1, "trade", &["BTC/USD"]);
    driver.texts(1);
    driver.subscribe(1, "trade", &["BTC/USD"]);
    assert_eq!(driver.values(1)[0]["error"], "Already subscribed");
}

#[test]
fn what_is_unsubscribed_is_silent() {
    let mut driver = Driver::connected(1);
    driver.subscribe(1, "book", &["BTC/USD"]);
    driver.run_secs(2);
    let params = json!({"channel": "book", "symbol": ["BTC/USD"], "depth": 10});
    driver.texts(1);
    driver.ask(1, "unsubscribe", &params);
    assert_eq!(driver.values(1)[0]["error"], "Subscription Not Found");
    let params = json!({"channel": "book", "symbol": ["BTC/USD"], "depth": 25});
    driver.ask(1, "unsubscribe", &params);
    let answer = driver.values(1).remove(0);
    assert_eq!(
        answer["result"],
        json!({"channel": "book", "depth": 25, "symbol": "BTC/USD"})
    );
    driver.run_secs(5);
    assert!(driver.texts_of(1, "book").is_empty());
}

#[test]
fn the_order_of_keys_varies() {
    let mut driver = Driver::connected(1);
    let mut orders = BTreeSet::new();
    for number in 0..20 {
        driver.send(1, &format!(r#"{{"method":"ping","req_id":{number}}}"#));
        let text = driver.texts(1).remove(0);
        orders.insert(text.split('"').nth(1).unwrap().to_owned());
        driver.run_secs(1);
        driver.texts(1);
    }
    assert!(orders.len() > 1, "{orders:?}");
}
