//! Binance spot.

use crate::rig::{Rig, wanted};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tapecast_ingest::metrics::UpstreamEvent;
use tapecast_ingest::session::SessionCommand;
use tapecast_ingest::session::Transmit;
use tapecast_model::{FeedState, StreamKind};
use tapecast_venuesim::{Fault, SimConfig, SymbolConfig};

const NATIVES: [&str; 3] = ["BTCUSDT", "ETHUSDT", "NKNUSDT"];
const MINUTE: Duration = Duration::from_secs(60);

fn rig() -> Rig {
    Rig::new(SimConfig::new(1), wanted(&["*"]), "")
}

fn live() -> Rig {
    let mut rig = rig();
    rig.run_until_live(MINUTE, &NATIVES);
    rig
}

#[test]
fn from_cold_to_live() {
    let mut rig = rig();
    rig.run_until_live(Duration::from_secs(10), &NATIVES);
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
        assert_eq!(seen.defined.last(), Some(&seen.trading));
        let steps = [seen.terms.tick, seen.terms.lot, seen.terms.min_qty];
        assert!(steps.iter().all(Option::is_some), "{native}: {steps:?}");
    }
    rig.check_books(&NATIVES);
    assert!(rig.witness.compared > 1_000);
    assert_eq!(rig.count(UpstreamEvent::LineOpened), 1);
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
}

#[test]
fn a_stream_that_is_accepted_and_then_silent_is_found_and_asked_for_anew() {
    let mut rig = live();
    rig.run(MINUTE);
    let asked = Rc::new(Cell::new(false));
    let (before, silent) = (rig.count(UpstreamEvent::AskedAnew), Rc::clone(&asked));
    rig.filter = Box::new(move |text| silent.get() || !text.contains("ethusdt@depth"));
    rig.run_until(2 * MINUTE, |rig| {
        rig.count(UpstreamEvent::AskedAnew) > before
    });
    asked.set(true);
    rig.run(MINUTE);
    let seen = rig.witness.of("ETHUSDT");
    assert_eq!(seen.feed, Some(FeedState::Live));
    assert!(
        seen.states.iter().any(|s| s.starts_with("stale")),
        "{:?}",
        seen.states
    );
    rig.check_books(&["ETHUSDT"]);
    assert_eq!(
        rig.count(UpstreamEvent::LineEnded),
        0,
        "the others are left alone"
    );
    assert_eq!(rig.witness.of("BTCUSDT").lost, []);
}

#[test]
fn a_quiet_book_is_asked_about_and_left_in_peace() {
    let mut config = SimConfig::new(3);
    // Its market moves once in ten minutes.
    config.symbols[2].every = 10 * MINUTE;
    let mut rig = Rig::new(config, wanted(&["*"]), "");
    rig.run_until_live(MINUTE, &NATIVES);
    rig.run(5 * MINUTE);
    assert_eq!(rig.count(UpstreamEvent::AskedAnew), 0, "asked for anew");
    assert_eq!(rig.check_trades("NKNUSDT"), 0);
}

#[test]
fn a_connection_that_dies_without_a_word_is_replaced_and_what_was_missed_is_said() {
    let mut rig = live();
    rig.run(MINUTE);
    rig.dead = rig.venue.connections();
    let began = rig.now;
    rig.run_until(MINUTE, |rig| rig.count(UpstreamEvent::LineEnded) == 1);
    assert!(
        rig.now - began <= Duration::from_secs(26),
        "noticed after {:?}",
        rig.now - began
    );
    rig.run(MINUTE);
    for native in NATIVES {
        let seen = rig.witness.of(native);
        assert_eq!(seen.feed, Some(FeedState::Live), "{native}");
        assert!(
            seen.states
                .iter()
                .any(|s| s.starts_with("down nothing came")),
            "{:?}",
            seen.states
        );
    }
    let missing = rig.check_trades("BTCUSDT");
    let said: u64 = rig.witness.of("BTCUSDT").lost_trades();
    assert!(
        missing > 0 && said == missing,
        "{missing} are missing, {said} were said"
    );
}

#[test]
fn a_hole_in_a_book_is_healed_for_this_book_alone() {
    let mut rig = live();
    rig.run(MINUTE);
    let mut holes = 1;
    rig.filter = Box::new(move |text| {
        let drop = holes > 0 && text.contains("btcusdt@depth");
        holes -= usize::from(drop);
        !drop
    });
    rig.run(Duration::from_secs(10));
    let seen = rig.witness.of("BTCUSDT");
    assert_eq!(seen.feed, Some(FeedState::Live), "it is healed");
    assert!(
        seen.states.iter().any(|s| s.starts_with("gap")),
        "{:?}",
        seen.states
    );
    let kinds: Vec<_> = seen.lost.iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(kinds, [StreamKind::Book]);
    assert_eq!(rig.witness.of("ETHUSDT").lost, []);
    let snapshots = rig.asked.iter().filter(|(at, transmit)| {
        *at > MINUTE && matches!(transmit, Transmit::Http { url, .. } if url.contains("/depth?"))
    });
    assert_eq!(snapshots.count(), 1, "one snapshot heals it");
}

#[test]
fn a_stream_that_cannot_be_read_is_asked_for_anew_and_the_others_go_on() {
    let mut rig = live();
    rig.run(MINUTE);
    let mut bad = 10;
    rig.filter = Box::new(move |text| {
        if bad > 0 && text.contains("ethusdt@trade") {
            bad -= 1;
            *text = text.replace("\"p\":\"", "\"p\":\"x");
        }
        true
    });
    rig.run(3 * MINUTE);
    assert_eq!(rig.count(UpstreamEvent::AskedAnew), 1, "asked for anew");
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
    let missing = rig.check_trades("ETHUSDT");
    assert_eq!(missing, 10);
    assert_eq!(rig.witness.of("BTCUSDT").lost, []);
}

#[test]
fn a_venue_that_answers_nothing_is_left_for_another_connection() {
    let mut rig = rig();
    rig.filter = Box::new(|_| false);
    rig.run(2 * MINUTE);
    assert!(rig.count(UpstreamEvent::LineEnded) >= 2);
    rig.filter = Box::new(|_| true);
    rig.run_until_live(2 * MINUTE, &NATIVES);
}

#[test]
fn a_venue_with_little_weight_is_obeyed_and_does_not_ban() {
    let mut config = SimConfig::new(5);
    config.limits.weight = 80;
    let mut rig = Rig::new(config, wanted(&["*"]), "");
    rig.run_until_live(5 * MINUTE, &NATIVES);
    rig.run(MINUTE);
    let counts = rig.venue.counts();
    assert!(counts.bans == 0 && counts.impatient <= 2, "{counts:?}");
    assert!(
        counts.refused_requests > 0,
        "the venue has said no: {counts:?}"
    );
    assert!(rig.count(UpstreamEvent::RequestFailed) <= 8);
}

#[test]
fn many_small_requests_stay_within_the_messages_of_a_connection() {
    let mut rig = Rig::new(SimConfig::new(6), wanted(&["*"]), "batch_max = 1");
    rig.run_until_live(MINUTE, &NATIVES);
    rig.run(MINUTE);
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
    assert_eq!(rig.count(UpstreamEvent::Refusal), 0);
}

#[test]
fn a_connection_is_replaced_before_the_venue_cuts_it() {
    let mut config = SimConfig::new(7);
    config.rates.life = 3 * MINUTE;
    let mut rig = Rig::new(config, wanted(&["*"]), "life_seconds = 120");
    rig.run_until_live(MINUTE, &NATIVES);
    rig.run(20 * MINUTE);
    assert!(rig.count(UpstreamEvent::Rotation) >= 9, "rotations");
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
    for native in NATIVES {
        assert_eq!(rig.check_trades(native), 0);
        assert_eq!(rig.witness.of(native).lost, [], "{native}");
    }
}

#[test]
fn a_name_that_the_venue_does_not_have_is_left_out_and_the_others_are_served() {
    let mut rig = Rig::new(SimConfig::new(8), wanted(&["BTC-USDT", "NOPE-USDT"]), "");
    rig.run_until_live(MINUTE, &["BTCUSDT"]);
    rig.run(MINUTE);
    assert_eq!(rig.session.instruments().count(), 1);
    assert_eq!(rig.count(UpstreamEvent::Refusal), 0);
}

#[test]
fn five_hundred_books_are_live_as_soon_as_the_weight_allows() {
    let mut config = SimConfig::new(9);
    let symbol = |number| SymbolConfig {
        every: Duration::from_secs(60),
        levels: 20,
        ..SymbolConfig::numbered(number)
    };
    config.symbols = (0..500).map(symbol).collect();
    config.kept.books = 5;
    let natives: Vec<_> = config.symbols.iter().map(|s| s.symbol.clone()).collect();
    let natives: Vec<_> = natives.iter().map(String::as_str).collect();
    let mut rig = Rig::new(config, wanted(&["*"]), "");
    // 25,000 of weight at 6,000 a minute: the last snapshot is allowed after four minutes.
    rig.run_until(4 * MINUTE * 11 / 10, |rig| {
        let has_book = |native: &&str| rig.witness.seen.get(*native).is_some_and(|s| s.books > 0);
        natives.iter().all(has_book)
    });
    let counts = rig.venue.counts();
    assert_eq!(
        (counts.bans, counts.refused_requests, counts.impatient),
        (0, 0, 0),
        "bans, refusals, requests in spite of them: {counts:?}"
    );
    assert_eq!(rig.venue.connections().len(), 3, "800 streams on each");
}

#[test]
fn a_level_that_the_venue_lost_is_found_by_comparing_books() {
    let mut rig = Rig::new(SimConfig::new(4), wanted(&["*"]), "check_seconds = 60");
    rig.run_until_live(MINUTE, &NATIVES);
    rig.witness.tolerant = true;
    for _ in 0..20 {
        rig.run(Duration::from_secs(1));
        rig.venue.plant(Fault::LostLevel, None);
    }
    rig.run(2 * MINUTE);
    assert!(rig.witness.wrong > 0, "the fault makes books wrong");
    rig.witness.tolerant = false;
    rig.run(MINUTE);
    for native in NATIVES {
        assert_eq!(
            rig.witness.of(native).lost,
            [],
            "{native}: nobody notices the comparison"
        );
    }
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
        assert_eq!(seen.lost, [], "{native}");
        assert_eq!(rig.venue.connections().len(), 1);
        assert!(
            seen.states.iter().all(|s| !s.starts_with("down")),
            "{:?}",
            seen.states
        );
    }
}
