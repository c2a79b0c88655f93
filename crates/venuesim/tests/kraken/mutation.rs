//! Whatever a client sends, the venue lives on.

use crate::driver::Driver;
use std::time::Duration;
use tapecast_venuesim::{SimConfig, Venue as _};

const TEXTS: [&str; 5] = [
    r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD","ETH/USD"],"depth":25,"snapshot":true},"req_id":7}"#,
    r#"{"method":"unsubscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":25},"req_id":7}"#,
    r#"{"method":"subscribe","params":{"channel":"ticker","symbol":["BTC/USD"],"event_trigger":"bbo"}}"#,
    r#"{"method":"subscribe","params":{"channel":"instrument","include_tokenized_assets":true}}"#,
    r#"{"method":"ping","req_id":1}"#,
];
const TARGETS: [&str; 3] = [
    "/v2",
    "/0/public/AssetPairs?pair=XBTUSD,ETHUSD",
    "/0/public/AssetPairs?aclass_base=tokenized_asset",
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
    let mut config = SimConfig::kraken(41);
    config.symbols.truncate(2);
    config.limits.messages = 1_000_000;
    config.limits.burst = 1_000_000;
    config.limits.attempts = usize::MAX;
    let mut driver = Driver::new(config);
    let mut numbers = Numbers(41);
    driver.connect(0).unwrap();
    driver.subscribe(0, "book", &["BTC/USD"]);
    for conn in 1..20_000 {
        let target = TARGETS[numbers.below(TARGETS.len())];
        let target = numbers.mutated(target);
        let text = TEXTS[numbers.below(TEXTS.len())];
        let text = numbers.mutated(text);
        driver.get(&target);
        if driver.connect_to(conn, &target).is_ok() {
            driver.send(conn, &text);
            driver.venue.receive_ping(conn, text.as_bytes(), driver.now);
            driver.venue.receive_close(conn, driver.now);
            driver.texts(conn);
        }
        driver.send(conn, &text);
        if conn % 1_000 == 0 {
            driver.send(0, r#"{"method":"ping"}"#);
            driver.run(Duration::from_millis(500));
            assert!(driver.texts(0).len() > 1);
        }
    }
    assert_eq!(driver.venue.connections(), [0]);
}
