//! Kraken v2 spot.

use crate::rig::{Rig, kraken, wanted};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tapecast_ingest::metrics::UpstreamEvent;
use tapecast_ingest::session::{SessionCommand, Transmit};
use tapecast_model::{FeedState, StreamKind};
use tapecast_venuesim::{KrakenSpot, SimConfig, SymbolConfig};

type Kraken = Rig<KrakenSpot>;

const NATIVES: [&str; 5] = ["BTC/USD", "ETH/USD", "NMR/EUR", "SHIB/USD", "AAPLx/USD"];
const MINUTE: Duration = Duration::from_secs(60);

fn rig_of(config: SimConfig, rules: &str) -> Kraken {
    Rig::of(config, wanted(&["*"]), rules)
}

fn live() -> Kraken {
    let mut rig = rig_of(kraken(1), "");
    rig.run_until_live(MINUTE, &NATIVES);
    rig
}

/// Messages that asked for a channel of a symbol, since some time.
fn asked_for(rig: &Kraken, since: Duration, channel: &str, symbol: &str) -> usize {
    let is_it = |text: &str| {
        text.contains("\"subscribe\"")
            && text.contains(&format!("\"channel\":\"{channel}\""))
            && text.contains(&format!("\"{symbol}\""))
    };
    let asked = rig.asked.iter().filter(|(at, transmit)| {
        *at >= since && matches!(transmit, Transmit::Send { text, .. } if is_it(text))
    });
    asked.count()
}

#[test]
fn from_cold_to_live() {
    let mut rig = rig_of(kraken(1), "");
    rig.run_until_live(Duration::from_secs(10), &NATIVES);
    assert!(
        rig.asked.len() <= 6,
        "a connection, the list, three channels: {:?}",
        rig.asked
    );
    rig.run(5 * MINUTE);
    for native in NATIVES {
        assert_eq!(rig.check_trades(native), 0, "{native}");
        let seen = rig.witness.of(native);
        assert_eq!(seen.lost, [], "{native}");
        assert!(
            seen.books > 0 && seen.quotes > 0 && seen.tickers > 0,
            "{native}"
        );
        assert_eq!(seen.trading, "Open");
    }
    rig.check_books(&NATIVES);
    assert!(rig.witness.compared > 1_000);
    assert_eq!(rig.count(UpstreamEvent::LineOpened), 1);
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
    assert_eq!(rig.count(UpstreamEvent::AskedAnew), 0);
}

#[test]
fn a_stream_that_is_accepted_and_then_silent_is_found_and_asked_for_anew() {
    let mut rig = live();
    rig.run(MINUTE);
    let asked = Rc::new(Cell::new(false));
    let silent = Rc::clone(&asked);
    rig.filter = Box::new(move |text| {
        silent.get() || !(text.starts_with("{\"channel\":\"book\"") && text.contains("ETH/USD"))
    });
    rig.run_until(2 * MINUTE, |rig| rig.count(UpstreamEvent::AskedAnew) > 0);
    asked.set(true);
    rig.run(MINUTE);
    let seen = rig.witness.of("ETH/USD");
    assert_eq!(seen.feed, Some(FeedState::Live));
    assert!(
        seen.states.iter().any(|s| s.starts_with("stale")),
        "{:?}",
        seen.states
    );
    rig.check_books(&["ETH/USD"]);
    assert_eq!(
        rig.count(UpstreamEvent::LineEnded),
        0,
        "the others are left alone"
    );
    assert_eq!(rig.witness.of("BTC/USD").lost, []);
}

#[test]
fn a_quiet_book_is_asked_about_and_left_in_peace() {
    let mut config = kraken(3);
    // Its market moves once in ten minutes.
    config.symbols[2].every = 10 * MINUTE;
    let mut rig = rig_of(config, "");
    rig.run_until_live(MINUTE, &NATIVES);
    rig.run(9 * MINUTE);
    assert_eq!(rig.count(UpstreamEvent::AskedAnew), 0);
    let probes = rig.count(UpstreamEvent::Probe);
    assert!((2..=5).contains(&probes), "{probes}: its limit doubles");
    assert_eq!(rig.check_trades("NMR/EUR"), 0);
    assert_eq!(rig.witness.of("NMR/EUR").lost, []);
}

#[test]
fn a_tape_that_is_silent_is_found_by_the_ticker_and_its_hole_is_filled_by_id() {
    let mut rig = live();
    rig.run(MINUTE);
    let (silent, since) = (Rc::new(Cell::new(true)), rig.now);
    let filter = Rc::clone(&silent);
    rig.filter = Box::new(move |text| {
        !(filter.get() && text.contains("\"channel\":\"trade\"") && text.contains("AAPLx/USD"))
    });
    rig.run_until(2 * MINUTE, |rig| {
        asked_for(rig, since, "trade", "AAPLx/USD") > 0
    });
    silent.set(false);
    rig.run(MINUTE);
    assert_eq!(
        rig.check_trades("AAPLx/USD"),
        0,
        "fewer than fifty were missing"
    );
    assert_eq!(rig.witness.of("AAPLx/USD").lost, []);
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
}

#[test]
fn a_connection_that_dies_without_a_word_is_replaced_and_what_was_missed_is_said() {
    let mut rig = live();
    rig.run(MINUTE);
    rig.dead = rig.venue.connections();
    let began = rig.now;
    rig.run_until(MINUTE, |rig| rig.count(UpstreamEvent::LineEnded) == 1);
    assert!(
        rig.now - began <= Duration::from_secs(8),
        "three heartbeats, and three more"
    );
    rig.run(MINUTE);
    for native in NATIVES {
        let seen = rig.witness.of(native);
        assert_eq!(seen.feed, Some(FeedState::Live), "{native}");
        let said = |state: &String| state.starts_with("down nothing came");
        assert!(seen.states.iter().any(said), "{:?}", seen.states);
        let missing = rig.check_trades(native);
        assert_eq!(seen.lost_trades(), missing, "{native}");
    }
    assert_eq!(rig.check_trades("AAPLx/USD"), 0, "filled by the last fifty");
}

#[test]
fn many_trades_that_are_missing_after_a_reconnect_are_said() {
    let mut rig = live();
    rig.run(MINUTE);
    rig.filter = Box::new(|text| !text.starts_with("{\"channel\":\"trade\""));
    rig.run(9 * Duration::from_secs(1));
    rig.venue.plant(tapecast_venuesim::Fault::Cut, None);
    rig.run(5 * MINUTE);
    rig.filter = Box::new(|_| true);
    rig.venue.plant(tapecast_venuesim::Fault::Cut, None);
    rig.run(MINUTE);
    let missing = rig.check_trades("BTC/USD");
    assert!(missing > 0, "more than fifty");
    assert_eq!(rig.witness.of("BTC/USD").lost_trades(), missing);
}

#[test]
fn a_stream_that_cannot_be_read_is_asked_for_anew_and_the_others_go_on() {
    let mut rig = live();
    rig.run(MINUTE);
    let mut bad = 10;
    rig.filter = Box::new(move |text| {
        if bad > 0 && text.starts_with("{\"channel\":\"trade\"") && text.contains("ETH/USD") {
            bad -= 1;
            *text = text.replace("\"price\":", "\"price\":\"x\",\"p\":");
        }
        true
    });
    rig.run(3 * MINUTE);
    // The ticker shows it too.
    assert!((1..=2).contains(&rig.count(UpstreamEvent::AskedAnew)));
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
    let missing = rig.check_trades("ETH/USD");
    assert_eq!(rig.witness.of("ETH/USD").lost_trades(), missing);
    assert_eq!(rig.witness.of("BTC/USD").lost, []);
}

#[test]
fn a_venue_that_answers_nothing_is_left_for_another_connection() {
    let mut rig = rig_of(kraken(1), "");
    rig.filter = Box::new(|_| false);
    rig.run(2 * MINUTE);
    assert!(rig.count(UpstreamEvent::LineEnded) >= 2);
    rig.filter = Box::new(|_| true);
    rig.run_until_live(2 * MINUTE, &NATIVES);
}

#[test]
fn many_small_requests_stay_within_the_messages_of_a_connection() {
    let mut config = kraken(6);
    config.symbols.extend((0..25).map(SymbolConfig::pair));
    let mut rig = rig_of(config, "batch_max = 1");
    rig.run_until_live(MINUTE, &NATIVES);
    rig.run(MINUTE);
    assert_eq!(rig.count(UpstreamEvent::RateExceeded), 0);
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
    assert_eq!(rig.count(UpstreamEvent::Refusal), 0);
}

#[test]
fn a_venue_that_allows_less_than_it_says_is_obeyed_and_all_streams_come() {
    let mut config = kraken(6);
    config.symbols.extend((0..25).map(SymbolConfig::pair));
    (config.limits.messages, config.limits.burst) = (2, 4);
    let natives: Vec<_> = config.symbols.iter().map(|s| s.symbol.clone()).collect();
    let natives: Vec<_> = natives.iter().map(String::as_str).collect();
    let mut rig = rig_of(config, "batch_max = 2");
    rig.run_until_live(3 * MINUTE, &natives);
    rig.run(MINUTE);
    assert!(rig.count(UpstreamEvent::RateExceeded) > 0);
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
    assert_eq!(rig.count(UpstreamEvent::Refusal), 0);
    let report = rig.session.report();
    assert!(
        report.lines.iter().all(|line| line.unaccepted == 0),
        "{report:?}"
    );
}

#[test]
fn two_hundred_books_are_live_in_seconds_on_connections_of_three_hundred_streams() {
    let mut config = kraken(9);
    let symbol = |number| SymbolConfig {
        every: Duration::from_secs(10),
        levels: 120,
        ..SymbolConfig::pair(number)
    };
    config.symbols = (0..200).map(symbol).collect();
    config.kept.books = 5;
    let natives: Vec<_> = config.symbols.iter().map(|s| s.symbol.clone()).collect();
    let natives: Vec<_> = natives.iter().map(String::as_str).collect();
    let mut rig = rig_of(config, "");
    rig.run_until_live(Duration::from_secs(15), &natives);
    assert_eq!(rig.venue.connections().len(), 3, "601 streams");
    assert_eq!(rig.count(UpstreamEvent::RateExceeded), 0);
}

#[test]
fn a_name_that_the_venue_does_not_have_is_left_out_and_the_others_are_served() {
    let mut rig: Kraken = Rig::of(kraken(8), wanted(&["BTC-USD", "NO-PE"]), "");
    rig.run_until_live(MINUTE, &["BTC/USD"]);
    rig.run(MINUTE);
    assert_eq!(rig.session.instruments().count(), 1);
    assert_eq!(rig.count(UpstreamEvent::Refusal), 0);
}

#[test]
fn a_planned_end_every_minute_leaves_no_gap_and_no_duplicate() {
    let mut rig = live();
    for _ in 0..10 {
        rig.run(MINUTE);
        rig.command(SessionCommand::Rotate);
    }
    rig.run(MINUTE);
    assert_eq!(rig.count(UpstreamEvent::Rotation), 10);
    for native in NATIVES {
        assert_eq!(rig.check_trades(native), 0, "{native}");
        let seen = rig.witness.of(native);
        assert_eq!(seen.lost, [], "{native} {:?}", seen.states);
        assert_eq!(rig.venue.connections().len(), 1);
        let is_down = |state: &String| state.starts_with("down");
        assert!(!seen.states.iter().any(is_down), "{:?}", seen.states);
    }
    rig.check_books(&NATIVES);
    assert_eq!(rig.count(UpstreamEvent::AskedAnew), 0);
}

#[test]
fn a_connection_is_replaced_when_it_is_old() {
    let mut rig = rig_of(kraken(7), "life_seconds = 120");
    rig.run_until_live(MINUTE, &NATIVES);
    rig.run(20 * MINUTE);
    assert!(rig.count(UpstreamEvent::Rotation) >= 9);
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
    for native in NATIVES {
        assert_eq!(rig.check_trades(native), 0);
        assert_eq!(rig.witness.of(native).lost, [], "{native}");
    }
}

#[test]
fn what_the_pipeline_was_not_given_in_time_is_said_and_books_begin_anew() {
    let mut rig = live();
    rig.run(MINUTE);
    let since = rig.now;
    let line = rig.venue.connections()[0];
    rig.overflow(u32::try_from(line).unwrap(), 1_234);
    for native in NATIVES {
        let last = rig.witness.of(native).states.last().unwrap();
        assert!(last.starts_with("gap overload: 1234 messages"), "{last}");
    }
    rig.run_until_live(Duration::from_secs(5), &NATIVES);
    assert_eq!(asked_for(&rig, since, "book", "BTC/USD"), 1);
    let messages = rig.asked.iter().filter(|(at, _)| *at >= since).count();
    assert_eq!(messages, 2, "all books end and begin anew together");
    rig.check_books(&NATIVES);
    let kinds: Vec<_> = rig
        .witness
        .of("BTC/USD")
        .lost
        .iter()
        .map(|(kind, ..)| *kind)
        .collect();
    assert!(kinds.contains(&StreamKind::Book));
}
