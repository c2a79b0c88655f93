//! Requests on a connection: acknowledgements, properties, mistakes.

use crate::driver::Driver;
use tapecast_venuesim::SimConfig;

/// Sends a request on a fresh connection, and compares the answer.
fn check(target: &str, request: &str, expected: &str) {
    let mut driver = Driver::new(SimConfig::new(1));
    driver.connect(1, target).unwrap();
    driver.send(1, request);
    assert_eq!(driver.texts(1), [expected], "{request}");
}

#[test]
fn requests_are_acknowledged_with_their_number() {
    for id in [
        "1",
        "-5",
        "null",
        r#""a1""#,
        r#""123e4567-e89b-12d3-a456-426614174000""#,
    ] {
        check(
            "/stream",
            &format!(r#"{{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":{id}}}"#),
            &format!(r#"{{"result":null,"id":{id}}}"#),
        );
    }
    check(
        "/ws",
        r#"{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":312}"#,
        r#"{"result":null,"id":312}"#,
    );
}

#[test]
fn subscriptions_are_listed_in_order_and_once() {
    let mut driver = Driver::new(SimConfig::new(1));
    driver
        .connect(1, "/stream?streams=btcusdt@depth/ethusdt@trade")
        .unwrap();
    driver.subscribe(1, &["nonsense", "btcusdt@depth"]);
    driver.send(
        1,
        r#"{"method":"UNSUBSCRIBE","params":["ethusdt@trade","other"],"id":2}"#,
    );
    driver.send(1, r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#);
    let last = driver.texts(1).pop().unwrap();
    assert_eq!(last, r#"{"result":["btcusdt@depth","nonsense"],"id":3}"#);
}

#[test]
fn the_path_and_a_property_say_whether_messages_are_wrapped() {
    let ask = r#"{"method":"GET_PROPERTY","params":["combined"],"id":2}"#;
    check("/stream", ask, r#"{"result":true,"id":2}"#);
    check("/ws/btcusdt@kline_1s", ask, r#"{"result":false,"id":2}"#);
    let mut driver = Driver::new(SimConfig::new(1));
    driver.connect(1, "/ws/btcusdt@bookTicker").unwrap();
    driver.run_secs(2);
    assert!(driver.texts(1)[0].starts_with(r#"{"u":"#));
    driver.send(
        1,
        r#"{"method":"SET_PROPERTY","params":["combined",true],"id":5}"#,
    );
    assert_eq!(driver.texts(1), [r#"{"result":null,"id":5}"#]);
    driver.run_secs(2);
    assert!(driver.texts(1)[0].starts_with(r#"{"stream":"btcusdt@bookTicker","data":{"u":"#));
}

#[test]
fn mistakes_have_the_documented_codes_and_words() {
    check(
        "/ws",
        r#"{"method":"SET_PROPERTY","params":["single",true],"id":7}"#,
        r#"{"code":0,"msg":"Unknown property","id":7}"#,
    );
    check(
        "/ws",
        r#"{"method":"SET_PROPERTY","params":["combined","yes"],"id":7}"#,
        r#"{"code":1,"msg":"Invalid value type: expected Boolean"}"#,
    );
    let name = r#"{"code":2,"msg":"Invalid request: property name must be a string"}"#;
    check(
        "/ws",
        r#"{"method":"GET_PROPERTY","params":[1],"id":7}"#,
        name,
    );
    check("/ws", r#"{"method":"GET_PROPERTY","id":7}"#, name);
    let many = r#"{"code":2,"msg":"Invalid request: too many parameters"}"#;
    check(
        "/ws",
        r#"{"method":"LIST_SUBSCRIPTIONS","params":["a"],"id":7}"#,
        many,
    );
    check(
        "/ws",
        r#"{"method":"SUBSCRIBED","params":["a"],"id":1}"#,
        r#"{"code":2,"msg":"Invalid request: unknown variant `SUBSCRIBED`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column 22"}"#,
    );
    check(
        "/ws",
        r#"{"params":["a"],"id":1}"#,
        r#"{"code":2,"msg":"Invalid request: missing field `method` at line 1 column 23"}"#,
    );
    check(
        "/ws",
        "hello",
        r#"{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}"#,
    );
    let long = "x".repeat(37);
    for id in [
        "1.5".to_owned(),
        "true".to_owned(),
        format!("\"{long}\""),
        "\"a b\"".to_owned(),
    ] {
        check(
            "/ws",
            &format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{id}}}"#),
            r#"{"code":2,"msg":"Invalid request: request ID must be an unsigned integer"}"#,
        );
    }
    check(
        "/ws",
        r#"{"method":"LIST_SUBSCRIPTIONS"}"#,
        r#"{"code":2,"msg":"Invalid request: request ID must be an unsigned integer"}"#,
    );
}
