//! A fault every second, for as long as wanted: each trade comes once or is inside an announced gap, books are right
//! while they are shown, and at the end everything is live again.
//!
//! `TAPECAST_SOAK="seeds minutes"` runs more than the one seed and the one minute that the suite runs.

use crate::rig::{Rig, Tested, kraken, wanted};
use std::time::Duration;
use tapecast_venuesim::{BinanceSpot, Fault, KrakenSpot, Script, SimConfig, SymbolConfig};

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// What a soak needs to know of a venue.
struct Place {
    /// What is simulated, with this seed.
    config: fn(u64) -> SimConfig,
    natives: [&'static str; 4],
    rules: &'static str,
    /// Faults whose outcome is not compared.
    not_compared: &'static [Fault],
}

const BINANCE: Place = Place {
    config: |seed| {
        let mut config = SimConfig::new(seed);
        config.symbols.truncate(3);
        config.symbols.push(SymbolConfig::numbered(7));
        config
    },
    natives: ["BTCUSDT", "ETHUSDT", "NKNUSDT", "S7USDT"],
    rules: "definitions_seconds = 60",
    // A level that is missing in a message makes a book wrong by the venue's own rules, and numbers that begin again do
    // not tell what was lost before them.
    not_compared: &[Fault::LostLevel, Fault::Renumbering],
};

const KRAKEN: Place = Place {
    config: kraken,
    natives: ["BTC/USD", "ETH/USD", "SHIB/USD", "AAPLx/USD"],
    rules: "check_seconds = 60\nlife_seconds = 100",
    // Levels that no sum covers, and requests that the session does not send: they would wait for ever.
    not_compared: &[
        Fault::LostLevel,
        Fault::SkippedDeep,
        Fault::Renumbering,
        Fault::RestTooMany,
        Fault::RestRegion,
        Fault::RestServerError,
        Fault::RestTimeout,
        Fault::RestTruncated,
        Fault::RestGarbage,
    ],
};

/// One seed: faults, then quiet.
fn soak<V: Tested>(
    place: &Place,
    seed: u64,
    (span, quiet): (Duration, Duration),
    faults: &[Fault],
) {
    let mut config = (place.config)(seed);
    for symbol in &mut config.symbols {
        symbol.levels = symbol.levels.min(1_200);
    }
    let mut rig = Rig::<V>::of(config, wanted(&["*"]), place.rules);
    let natives = place.natives;
    rig.run_until_live(minutes(1), &natives);
    let from = rig.now;
    let until = from + span;
    let script = Script::seeded(seed, Duration::from_secs(1), span, faults);
    for planned in script.planned() {
        rig.run((from + planned.at).saturating_sub(rig.now));
        // Faults that wait for a handshake or a request do not pile up: then there would be no venue at all.
        if rig.venue.waiting().len() < 2 {
            rig.venue.plant(planned.fault, None);
        }
    }
    rig.run(until.saturating_sub(rig.now));
    // Bans, pauses and closed markets end.
    rig.run(quiet);
    let listed: Vec<_> = rig.venue.symbols();
    for symbol in listed.iter().filter(|symbol| symbol.status.is_some()) {
        let native = symbol.symbol.as_str();
        if !natives.contains(&native) {
            continue;
        }
        rig.check_trades(native);
        rig.check_books(&[native]);
        rig.check_tapes(&[native], minutes(5));
        // Silence is asked about once in half a minute, and then it is live.
        rig.run_until_live(minutes(1), &[native]);
    }
    let counts = rig.venue.counts();
    assert_eq!(counts.bans, 0, "seed {seed}: {counts:?}");
    assert_eq!(counts.closed_for_messages, 0, "seed {seed}: {counts:?}");
    assert!(rig.witness.compared > 500, "seed {seed}");
}

fn every_second<V: Tested>(place: &Place) {
    let chosen = std::env::var("TAPECAST_SOAK").unwrap_or_else(|_| "1 1".to_owned());
    let mut words = chosen
        .split_whitespace()
        .map(|word| word.parse::<u64>().unwrap());
    let (seeds, span) = (words.next().unwrap(), words.next().unwrap());
    let all = V::FAULTS.iter().copied();
    let faults: Vec<_> = all
        .filter(|fault| !place.not_compared.contains(fault))
        .collect();
    for seed in 1..=seeds {
        soak::<V>(place, seed, (minutes(span), minutes(15)), &faults);
    }
}

/// Each kind of fault alone: which one breaks what is easier to see.
fn alone<V: Tested>(place: &Place) {
    for fault in V::FAULTS.iter().copied() {
        if !place.not_compared.contains(&fault) {
            soak::<V>(place, 3, (Duration::from_secs(10), minutes(3)), &[fault]);
        }
    }
}

#[test]
fn a_fault_every_second() {
    every_second::<BinanceSpot>(&BINANCE);
}

#[test]
fn a_fault_every_second_at_kraken() {
    every_second::<KrakenSpot>(&KRAKEN);
}

#[test]
fn each_fault_alone() {
    alone::<BinanceSpot>(&BINANCE);
}

#[test]
fn each_fault_alone_at_kraken() {
    alone::<KrakenSpot>(&KRAKEN);
}
