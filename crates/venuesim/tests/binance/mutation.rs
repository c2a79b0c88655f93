//! Whatever a client sends, the venue lives on.

use crate::driver::Driver;
use std::time::Duration;
use tapecast_venuesim::{SimConfig, Venue};

const TEXTS: [&str; 6] = [
    r#"{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms","ethusdt@trade"],"id":1}"#,
    r#"{"method":"UNSUBSCRIBE","params":["btcusdt@depth@100ms"],"id":"a"}"#,
    r#"{"method":"LIST_SUBSCRIPTIONS","id":null}"#,
    r#"{"method":"SET_PROPERTY","params":["combined",true],"id":5}"#,
    r#"{"method":"GET_PROPERTY","params":["combined"],"id":-2}"#,
    "[]",
];
const TARGETS: [&str; 6] = [
    "/stream?streams=btcusdt@trade/%E5%B8%81%E5%AE%89usdt@depth&timeUnit=MICROSECOND",
    "/ws/btcusdt@bookTicker",
    "/api/v3/depth?symbol=BTCUSDT&limit=1000",
    "/api/v3/historicalTrades?symbol=ETHUSDT&fromId=1000000000&limit=10",
    "/api/v3/ticker/24hr?symbols=[%22BTCUSDT%22,%22ETHUSDT%22]&type=MINI",
    "/api/v3/aggTrades?symbol=BTCUSDT&startTime=1&endTime=2",
];

/// Numbers from a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }

    /// A text with some bytes changed, removed or doubled.
    fn mutated(&mut self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes.truncate(at),
                1 => bytes.extend_from_within(at..),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                _ => {
                    let byte = b"{}[]\",:%&=?/@0 \xff-a9"[self.below(19)];
                    bytes.insert(at.min(bytes.len()), byte);
                }
            }
            bytes.truncate(2_000);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[test]
fn mutated_requests_end_nothing() {
    let mut config = SimConfig::new(41);
    config.symbols.truncate(2);
    config.limits.messages = usize::MAX;
    config.limits.attempts = usize::MAX;
    config.limits.weight = u32::MAX;
    let mut driver = Driver::new(config);
    let mut numbers = Numbers(41);
    driver.connect(0, "/ws/btcusdt@depth@100ms").unwrap();
    for conn in 1..20_000 {
        let target = TARGETS[numbers.below(TARGETS.len())];
        let target = numbers.mutated(target);
        let text = TEXTS[numbers.below(TEXTS.len())];
        let text = numbers.mutated(text);
        driver.get(&target);
        if driver.connect(conn, &target).is_ok() {
            driver.send(conn, &text);
            driver.venue.receive_pong(conn, text.as_bytes(), driver.now);
            driver.venue.receive_close(conn, driver.now);
            driver.texts(conn);
        }
        driver.send(conn, &text);
        if conn % 1_000 == 0 {
            driver.run(Duration::from_millis(500));
            assert!(!driver.texts(0).is_empty());
        }
    }
    assert_eq!(driver.venue.connections(), [0]);
}
