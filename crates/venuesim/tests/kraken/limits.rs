//! What clients may do, and what happens when they do more.

use crate::driver::Driver;
use std::time::Duration;
use tapecast_venuesim::Output;

const PING: &str = r#"{"method":"ping"}"#;

#[test]
fn messages_beyond_the_rate_are_lost_and_that_is_said() {
    let mut driver = Driver::connected(1);
    for _ in 0..25 {
        driver.send(1, PING);
    }
    let texts = driver.texts(1);
    let lost = texts
        .iter()
        .filter(|text| *text == r#"{"Error":"Exceeded msg rate"}"#);
    assert_eq!((lost.count(), texts.len()), (15, 25));
    assert_eq!(driver.venue.counts().refused_messages, 15);
    for _ in 0..100 {
        driver.run(Duration::from_millis(50));
        driver.send(1, PING);
    }
    assert_eq!(
        driver.venue.counts().refused_messages,
        15,
        "20 a second are allowed"
    );
}

#[test]
fn a_client_that_says_nothing_for_a_minute_is_cut() {
    let mut driver = Driver::connected(1);
    driver.run_secs(40);
    driver.send(1, PING);
    driver.run_secs(59);
    assert_eq!(driver.end(1), None);
    driver.run_secs(2);
    let (at, output) = driver.end(1).unwrap();
    assert_eq!(
        (*at, output),
        (Duration::from_secs(100), &Output::Cut { conn: 1 })
    );
    assert_eq!(driver.venue.counts().silent, 1);
}

#[test]
fn a_heartbeat_comes_each_second_behind_a_subscription() {
    let mut driver = Driver::connected(1);
    driver.run_secs(3);
    assert!(driver.texts(1).is_empty());
    driver.subscribe(1, "trade", &["NMR/EUR"]);
    driver.run_secs(10);
    let texts = driver.texts(1);
    let beats = texts
        .iter()
        .filter(|text| *text == r#"{"channel":"heartbeat"}"#);
    assert_eq!(beats.count(), 10);
}

#[test]
fn too_many_attempts_are_refused() {
    let mut driver = Driver::connected(1);
    for conn in 2..=150 {
        driver.connect(conn).unwrap();
    }
    let refusal = driver.connect(151).unwrap_err();
    assert_eq!(refusal.status, 429);
    assert_eq!(
        refusal.headers,
        [("retry-after".to_owned(), "600".to_owned())]
    );
    assert_eq!(driver.connect_to(152, "/").unwrap_err().status, 429);
    driver.run_secs(601);
    driver.connect(153).unwrap();
    assert_eq!(driver.connect_to(154, "/").unwrap_err().status, 404);
}
