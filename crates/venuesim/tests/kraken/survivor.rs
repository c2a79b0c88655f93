//! A careful client lives through a fault a second and ends with the truth. So the venue is hard but fair: nothing
//! that it does is beyond repair, and no limit is broken by a client that keeps to the rules.

mod client;

use client::{Client, SYMBOLS};
use std::collections::BTreeMap;
use std::time::Duration;
use tapecast_venuesim::{Fault, KrakenSpot, Script, SimConfig, Simulated};

fn config(seed: u64) -> SimConfig {
    let mut config = SimConfig::kraken(seed);
    config.symbols.truncate(2);
    config.kept.books = 20_000;
    config.kept.book_levels = 20;
    config
}

/// Plays faults for a while, then lets the client rest, and compares.
fn survive(seed: u64, faults: &[Fault], minutes: u32) -> Client {
    let second = Duration::from_secs(1);
    let until = second * 60 * minutes;
    let mut config = config(seed);
    config.script = Script::seeded(seed, second, until, faults);
    let mut client = Client::new(config);
    client.run(until + second * 150);
    for symbol in SYMBOLS {
        let truth = client.past(symbol);
        assert!(truth.is_some(), "seed {seed}: {symbol}: {}", client.state());
        assert_eq!(client.top(symbol), truth, "seed {seed}: {symbol}");
        client.check_trades(symbol);
    }
    let counts = client.venue.counts();
    assert_eq!(counts.refused_messages, 0, "seed {seed}: {counts:?}");
    assert_eq!(counts.refused_attempts, 0, "seed {seed}: {counts:?}");
    assert_eq!(counts.impatient, 0, "seed {seed}: {counts:?}");
    assert_eq!(counts.silent, 0, "seed {seed}: {counts:?}");
    client
}

#[test]
fn a_careful_client_survives_all_faults() {
    let mut seen: BTreeMap<Fault, usize> = BTreeMap::new();
    for seed in 1..=3 {
        let client = survive(seed, KrakenSpot::FAULTS, 8);
        for applied in client.venue.applied() {
            *seen.entry(applied.fault).or_default() += 1;
        }
    }
    let missing: Vec<_> = KrakenSpot::FAULTS
        .iter()
        .filter(|fault| !seen.contains_key(fault))
        .collect();
    assert!(missing.is_empty(), "{missing:?}: {seen:?}");
}

#[test]
fn without_faults_nothing_is_lost_and_nothing_is_asked_twice() {
    let client = survive(4, &[], 5);
    assert_eq!((client.wrong, client.venue.counts().attempts), (0, 1));
    for symbol in SYMBOLS {
        assert_eq!(client.holes(symbol), 0);
    }
}

#[test]
fn a_client_that_does_not_check_sums_is_found_out() {
    let second = Duration::from_secs(1);
    let mut config = config(5);
    config.script = Script::seeded(5, second * 2, second * 50, &[Fault::SkippedDepth]);
    let mut client = Client::new(config);
    client.careless = true;
    // Its books are not asked for anew before a minute is over.
    client.run(second * 55);
    let wrong = SYMBOLS
        .iter()
        .filter(|symbol| client.top(symbol) != client.past(symbol));
    assert!(wrong.count() > 0 && client.wrong > 10);
}
