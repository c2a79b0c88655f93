//! A fault every second, for as long as wanted: each trade comes once or is inside an announced gap, books are right
//! while they are shown, at the end everything is live again, and memory does not grow.
//!
//! `TAPECAST_SOAK="seeds minutes"` runs more than the one seed and the one minute that the suite runs, and prints a
//! line for each seed; `cargo xtask soak` sets it.

#![expect(clippy::print_stdout, reason = "a longer soak says how far it is")]

use crate::rig::{Rig, Tested, kraken, wanted};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use tapecast_ingest::metrics::UpstreamEvent;
use tapecast_venuesim::{BinanceSpot, Fault, KrakenSpot, Script, SimConfig, SymbolConfig};

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// So many faults wait for a handshake, a subscription or a request at most.
const WAITING_MAX: usize = 3;
/// … and they are planted not more often.
const WAITER_EVERY: Duration = Duration::from_secs(15);

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
    // A level that is missing in a message makes a book wrong until it is compared, by the venue's own rules.
    not_compared: &[Fault::LostLevel],
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

/// What came of one seed.
#[derive(Default)]
struct Soaked {
    faults: BTreeMap<String, usize>,
    opened: u64,
    requests: usize,
    healed: Vec<Duration>,
}

/// A session at this venue that is live.
fn begin<V: Tested>(place: &Place, seed: u64) -> Rig<V> {
    let mut config = (place.config)(seed);
    for symbol in &mut config.symbols {
        symbol.levels = symbol.levels.min(1_200);
    }
    let mut rig = Rig::<V>::of(config, wanted(&["*"]), place.rules);
    rig.run_until_live(minutes(1), &place.natives);
    rig
}

/// A fault every second, for so long.
fn storm<V: Tested>(rig: &mut Rig<V>, seed: u64, span: Duration, faults: &[Fault]) {
    let (from, mut planted_at) = (rig.now, Duration::ZERO);
    let mut waiters = BTreeSet::new();
    let script = Script::seeded(seed, Duration::from_secs(1), span, faults);
    for planned in script.planned() {
        rig.run((from + planned.at).saturating_sub(rig.now));
        let (fault, waiting) = (planned.fault, rig.venue.waiting());
        // Faults that wait for a handshake or a request do not pile up: then there would be no venue at all.
        let fits = waiting.len() < WAITING_MAX
            && !waiting.contains(&fault)
            && planted_at + WAITER_EVERY <= rig.now
            && !rig.venue.connections().is_empty();
        if fits || !waiters.contains(&fault) {
            rig.venue.plant(fault, None);
            if rig.venue.waiting().len() > waiting.len() {
                waiters.insert(fault);
                planted_at = rig.now;
            }
        }
    }
    rig.run((from + span).saturating_sub(rig.now));
}

/// No faults for a while: bans, pauses and closed markets end, and all is as at the venue.
fn calm<V: Tested>(rig: &mut Rig<V>, place: &Place, quiet: Duration) {
    rig.run(quiet);
    let listed: Vec<_> = rig.venue.symbols();
    for symbol in listed.iter().filter(|symbol| symbol.status.is_some()) {
        let native = symbol.symbol.as_str();
        if !place.natives.contains(&native) {
            continue;
        }
        rig.check_trades(native);
        rig.check_books(&[native]);
        rig.check_tapes(&[native], minutes(5));
        // Silence is asked about once in half a minute, and then it is live.
        rig.run_until_live(minutes(1), &[native]);
    }
    let counts = rig.venue.counts();
    assert_eq!(counts.bans, 0, "{counts:?}");
    assert_eq!(counts.closed_for_messages, 0, "{counts:?}");
    assert!(rig.witness.compared > 500);
}

/// One seed: faults, then quiet.
fn soak<V: Tested>(
    place: &Place,
    seed: u64,
    (span, quiet): (Duration, Duration),
    faults: &[Fault],
) -> Soaked {
    let mut rig = begin::<V>(place, seed);
    storm(&mut rig, seed, span, faults);
    calm(&mut rig, place, quiet);
    let mut faults = BTreeMap::new();
    for applied in rig.venue.applied() {
        *faults.entry(format!("{:?}", applied.fault)).or_insert(0) += 1;
    }
    let seen = rig.witness.seen.values();
    Soaked {
        faults,
        opened: rig.count(UpstreamEvent::LineOpened),
        requests: rig.requests(Duration::ZERO).count(),
        healed: seen.flat_map(|seen| seen.healed.iter().copied()).collect(),
    }
}

impl fmt::Display for Soaked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: usize = self.faults.values().sum();
        let (opened, requests) = (self.opened, self.requests);
        write!(f, "{all} faults, {opened} connections, {requests} requests")?;
        let mut healed = self.healed.clone();
        healed.sort_unstable();
        if let Some(worst) = healed.last() {
            let (median, times) = (healed[healed.len() / 2].as_secs_f64(), healed.len());
            let worst = worst.as_secs_f64();
            write!(
                f,
                ", healed {times} times: {median:.1} s (median), {worst:.1} s (worst)"
            )?;
        }
        for (fault, times) in &self.faults {
            write!(f, " · {fault} {times}")?;
        }
        Ok(())
    }
}

/// Seeds and minutes, if somebody wants more than the suite runs.
fn chosen() -> Option<(u64, u64)> {
    let chosen = std::env::var("TAPECAST_SOAK").ok()?;
    let mut words = chosen.split_whitespace().map(|word| word.parse().unwrap());
    Some((words.next().unwrap(), words.next().unwrap()))
}

/// The faults of a venue, without some.
fn faults_of<V: Tested>(left_out: &[Fault]) -> Vec<Fault> {
    let all = V::FAULTS.iter().copied();
    all.filter(|fault| !left_out.contains(fault)).collect()
}

fn a_fault_every_second<V: Tested>(place: &Place) {
    let (chosen, faults) = (chosen(), faults_of::<V>(place.not_compared));
    let (seeds, span) = chosen.unwrap_or((1, 1));
    let mut failed = Vec::new();
    for seed in 1..=seeds {
        let run = || soak::<V>(place, seed, (minutes(span), minutes(15)), &faults);
        let soaked = catch_unwind(AssertUnwindSafe(run));
        if chosen.is_some() {
            match &soaked {
                Ok(soaked) => println!("{} seed {seed}: ok: {soaked}", V::NAME),
                Err(_) => println!("{} seed {seed}: FAILED", V::NAME),
            }
        }
        if soaked.is_err() {
            failed.push(seed);
        }
    }
    assert_eq!(failed, [0; 0], "seeds that failed");
}

/// Each kind of fault alone: which one breaks what is easier to see.
fn each_fault_alone<V: Tested>(place: &Place) {
    for fault in faults_of::<V>(place.not_compared) {
        soak::<V>(place, 3, (Duration::from_secs(10), minutes(3)), &[fault]);
    }
}

/// What is allocated after an hour of faults is hardly more than after ten minutes. Instruments that were listed or
/// delisted are kept for the subscribers of their topics, so there are none.
fn memory_does_not_grow<V: Tested>(place: &Place) {
    let kept = [Fault::Listing, Fault::Delisting];
    let faults = faults_of::<V>(&[place.not_compared, &kept].concat());
    let (early, late) = if chosen().is_some() { (10, 50) } else { (2, 8) };
    let mut rig = begin::<V>(place, 1);
    let mut bytes = Vec::new();
    for (seed, span) in [(1, early), (2, late)] {
        storm(&mut rig, seed, minutes(span), &faults);
        calm(&mut rig, place, minutes(15));
        // A new connection each time, so that the same is in memory that is kept from message to message.
        rig.venue.plant(Fault::Cut, None);
        calm(&mut rig, place, minutes(5));
        bytes.push(rig.bytes);
    }
    if chosen().is_some() {
        println!(
            "{} memory: {} bytes after {early} minutes, {} after {} more",
            V::NAME,
            bytes[0],
            bytes[1],
            late
        );
    }
    assert!(bytes[1] * 100 <= bytes[0] * 105, "{bytes:?}");
}

#[test]
fn a_fault_every_second_at_binance() {
    a_fault_every_second::<BinanceSpot>(&BINANCE);
}

#[test]
fn numbers_that_begin_again_hide_no_missing_trade() {
    // A quarter of the numbers is left each time, so it must not happen too often.
    let mut faults = [Fault::LostTrade, Fault::Cut, Fault::LostTrade].repeat(5);
    faults.push(Fault::Renumbering);
    for seed in 1..=12 {
        soak::<BinanceSpot>(&BINANCE, seed, (minutes(1), minutes(3)), &faults);
    }
}

#[test]
fn each_fault_alone_at_binance() {
    each_fault_alone::<BinanceSpot>(&BINANCE);
}

#[test]
fn memory_does_not_grow_at_binance() {
    memory_does_not_grow::<BinanceSpot>(&BINANCE);
}

#[test]
fn a_fault_every_second_at_kraken() {
    a_fault_every_second::<KrakenSpot>(&KRAKEN);
}

#[test]
fn each_fault_alone_at_kraken() {
    each_fault_alone::<KrakenSpot>(&KRAKEN);
}

#[test]
fn memory_does_not_grow_at_kraken() {
    memory_does_not_grow::<KrakenSpot>(&KRAKEN);
}
