//! Limits: streams, messages, attempts, pings, the life of a connection.

use crate::driver::Driver;
use std::time::Duration;
use tapecast_venuesim::{Output, SimConfig, Venue};

const LIST: &str = r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#;

#[test]
fn a_connection_has_at_most_1024_streams() {
    let names: Vec<String> = (0..1_025)
        .map(|number| format!("s{number}usdt@trade"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut driver = Driver::new(SimConfig::new(1));
    driver.connect(1, "/stream").unwrap();
    driver.subscribe(1, &names[..1_000]);
    driver.subscribe(1, &names[..1_024]);
    assert_eq!(driver.venue.streams(1).len(), 1_024);
    assert_eq!(driver.end(1), None);
    driver.subscribe(1, &names[1_024..]);
    assert!(matches!(
        driver.end(1),
        Some((_, Output::Close { code: 1008, .. }))
    ));
    let target = format!("/stream?streams={}", names.join("/"));
    assert_eq!(driver.connect(2, &target).unwrap_err().status, 400);
    assert_eq!(driver.venue.counts().streams_max, 1_024);
}

#[test]
fn a_client_may_send_five_messages_a_second() {
    let mut driver = Driver::new(SimConfig::new(1));
    driver.connect(1, "/stream").unwrap();
    for _ in 0..10 {
        for _ in 0..5 {
            driver.send(1, LIST);
        }
        driver.run_secs(1);
    }
    assert_eq!(driver.end(1), None);
    assert_eq!(driver.texts(1).len(), 50);
    // Pings and pongs count too.
    for _ in 0..3 {
        driver.venue.receive_ping(1, b"x", driver.now);
    }
    for _ in 0..2 {
        driver.venue.receive_pong(1, b"", driver.now);
    }
    driver.send(1, LIST);
    let end = Output::Close {
        conn: 1,
        code: 1008,
        reason: "Too many requests".to_owned(),
    };
    assert_eq!(driver.end(1), Some(&(driver.now, end)));
    let pongs = driver
        .outputs
        .iter()
        .filter(|(_, output)| matches!(output, Output::Pong { .. }));
    assert_eq!(pongs.count(), 3);
    assert_eq!(driver.venue.counts().closed_for_messages, 1);
    assert_eq!(driver.venue.counts().stray_pongs, 2);
}

#[test]
fn clients_that_are_closed_again_and_again_are_banned() {
    let mut driver = Driver::new(SimConfig::new(1));
    for conn in 1..=4 {
        driver.connect(conn, "/stream").unwrap();
        for _ in 0..6 {
            driver.send(conn, LIST);
        }
    }
    let refusal = driver.connect(5, "/stream").unwrap_err();
    assert_eq!(refusal.status, 418);
    assert_eq!(
        refusal.headers,
        [("retry-after".to_owned(), "120".to_owned())]
    );
    assert_eq!(driver.get("/api/v3/ping").status, 418);
    driver.run_secs(120);
    driver.connect(6, "/stream").unwrap();
    assert_eq!(driver.venue.counts().bans, 1);
    assert_eq!(driver.venue.counts().impatient, 2);
}

#[test]
fn an_address_may_try_to_connect_300_times_in_five_minutes() {
    let mut driver = Driver::new(SimConfig::new(1));
    for conn in 0..300 {
        driver.connect(conn, "/ws").unwrap();
        driver.run(Duration::from_millis(500));
    }
    let refusal = driver.connect(301, "/ws").unwrap_err();
    assert_eq!(refusal.status, 429);
    assert_eq!(refusal.headers[0].1, "150");
    // It has counted as an attempt itself.
    driver.run_secs(151);
    driver.connect(302, "/ws").unwrap();
    assert_eq!(driver.venue.counts().refused_attempts, 1);
}

#[test]
fn the_venue_pings_every_20_seconds_and_waits_a_minute_for_the_answer() {
    let mut driver = Driver::new(SimConfig::new(1));
    driver.connect(1, "/stream").unwrap();
    driver.connect(2, "/stream").unwrap();
    driver.deaf.insert(2);
    driver.run_secs(79);
    let pings = |driver: &Driver, conn| {
        let of = |output: &Output| matches!(output, Output::Ping { conn: of, .. } if *of == conn);
        driver
            .outputs
            .iter()
            .filter(|(_, output)| of(output))
            .count()
    };
    assert_eq!(pings(&driver, 1), 3);
    // Unasked pongs, and a pong with other content, do not help.
    driver.venue.receive_pong(2, b"other", driver.now);
    driver.run_secs(101);
    assert_eq!(driver.end(1), None);
    assert_eq!(pings(&driver, 1), 9);
    let end = (Duration::from_secs(80), Output::Cut { conn: 2 });
    assert_eq!(driver.end(2), Some(&end));
    assert_eq!(driver.venue.counts().missed_pongs, 1);
    assert_eq!(driver.venue.connections(), [1]);
}

#[test]
fn a_late_pong_answers_older_pings_too() {
    let mut driver = Driver::new(SimConfig::new(1));
    driver.connect(1, "/stream").unwrap();
    driver.deaf.insert(1);
    driver.run_secs(70);
    let last = driver
        .outputs
        .iter()
        .rev()
        .find_map(|(_, output)| match output {
            Output::Ping { payload, .. } => Some(payload.clone()),
            _ => None,
        });
    driver.venue.receive_pong(1, &last.unwrap(), driver.now);
    driver.run_secs(60);
    assert_eq!(driver.end(1), None);
    driver.run_secs(20);
    assert!(driver.end(1).is_some());
}

#[test]
fn a_connection_lives_for_a_day_or_what_the_configuration_says() {
    let mut config = SimConfig::new(1);
    config.symbols.truncate(1);
    config.rates.life = Duration::from_secs(300);
    let mut driver = Driver::new(config);
    driver.run_secs(7);
    driver.connect(1, "/ws/btcusdt@depth").unwrap();
    driver.run_secs(299);
    assert_eq!(driver.end(1), None);
    driver.run_secs(1);
    let (at, end) = driver.end(1).unwrap();
    assert_eq!(*at, Duration::from_secs(307));
    assert!(matches!(end, Output::Close { code: 1001, .. }));
    driver.texts(1);
    driver.run_secs(5);
    assert!(driver.texts(1).is_empty());
    assert_eq!(SimConfig::new(1).rates.life, Duration::from_secs(86_400));
}

#[test]
fn other_paths_are_refused() {
    let mut driver = Driver::new(SimConfig::new(1));
    assert_eq!(driver.connect(1, "/").unwrap_err().status, 404);
    assert_eq!(driver.connect(2, "/stream/").unwrap_err().status, 404);
    assert!(driver.venue.connections().is_empty());
}
