//! A careful client lives through a fault a second and ends with the truth. So the venue is hard but fair: nothing
//! that it does is beyond repair, and no limit is broken by a client that keeps to the rules.

mod client;

use client::{Client, SYMBOLS};
use std::collections::BTreeMap;
use std::time::Duration;
use tapecast_venuesim::{BinanceSpot, Fault, Script, SimConfig, Simulated};

/// Plays faults for a while, then lets the client rest, and compares.
fn survive(seed: u64, faults: &[Fault], minutes: u32) -> Client {
    let second = Duration::from_secs(1);
    let until = second * 60 * minutes;
    let mut config = SimConfig::new(seed);
    config.symbols.truncate(2);
    config.rates.life = second * 240;
    config.kept.books = 5_000;
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
    assert_eq!(counts.bans, 0, "seed {seed}: {counts:?}");
    assert_eq!(counts.closed_for_messages, 0, "seed {seed}: {counts:?}");
    assert_eq!(counts.impatient, 0, "seed {seed}: {counts:?}");
    assert_eq!(counts.refused_requests, 0, "seed {seed}: {counts:?}");
    assert_eq!(counts.missed_pongs, 0, "seed {seed}: {counts:?}");
    client
}

#[test]
fn a_careful_client_survives_all_faults() {
    let mut seen: BTreeMap<Fault, usize> = BTreeMap::new();
    for seed in 1..=3 {
        let client = survive(seed, BinanceSpot::FAULTS, 8);
        for applied in client.venue.applied() {
            *seen.entry(applied.fault).or_default() += 1;
        }
    }
    let missing = BinanceSpot::FAULTS
        .iter()
        .filter(|fault| !seen.contains_key(fault));
    assert_eq!(missing.count(), 0, "{seen:?}");
}

#[test]
fn without_faults_nothing_is_lost_and_nothing_is_asked_twice() {
    let client = survive(4, &[], 5);
    assert_eq!(client.gaps, 0);
    // One more for each life of a connection.
    assert_eq!(client.venue.counts().attempts, 2);
    for symbol in SYMBOLS {
        assert!(client.holes(symbol) <= 1);
    }
}

#[test]
fn a_client_that_does_not_check_the_chain_is_found_out() {
    let second = Duration::from_secs(1);
    let mut config = SimConfig::new(5);
    config.symbols.truncate(2);
    config.script = Script::seeded(5, second * 5, second * 60, &[Fault::SkippedDepth]);
    let mut client = Client::new(config);
    client.careless = true;
    // Its books are not compared with the venue's before a minute is over.
    client.run(second * 55);
    let wrong = SYMBOLS
        .iter()
        .filter(|symbol| client.top(symbol) != client.past(symbol));
    assert!(wrong.count() > 0);
}
