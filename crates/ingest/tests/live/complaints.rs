//! What users of other feed handlers complain about in public, each as a scenario that shows that it cannot happen
//! here. Most of them are in the other files: `docs/SCENARIOS.md` has the list.

use crate::rig::{Rig, wanted};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;
use tapecast_ingest::metrics::UpstreamEvent;
use tapecast_ingest::session::{SessionCommand, Transmit};
use tapecast_model::{FeedState, StreamKind};
use tapecast_venuesim::{Fault, SimConfig, SymbolConfig, Venue as _};

const NATIVES: [&str; 3] = ["BTCUSDT", "ETHUSDT", "NKNUSDT"];
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn live(rules: &str) -> Rig {
    let mut rig = Rig::new(SimConfig::new(31), wanted(&["*"]), rules);
    rig.run_until_live(MINUTE, &NATIVES);
    rig.run(MINUTE);
    rig
}

/// Everything is live and right again.
fn settle(rig: &mut Rig) {
    rig.run_until_live(3 * MINUTE, &NATIVES);
    rig.check_books(&NATIVES);
    for native in NATIVES {
        rig.check_trades(native);
    }
}

/// The streams that a message asks for.
fn params(text: &str) -> Vec<String> {
    let message: serde_json::Value = serde_json::from_str(text).unwrap();
    let names = message["params"].as_array().unwrap().iter();
    names
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_is_accepted_and_never_sends_is_asked_for_anew() {
    // The four streams of one instrument, or all streams of the connection.
    for rules in ["batch_max = 4", ""] {
        let mut rig = Rig::new(SimConfig::new(31), wanted(&["*"]), rules);
        rig.venue.plant(Fault::AckWithoutData, None);
        rig.run(4 * MINUTE);
        settle(&mut rig);
        for native in NATIVES {
            let seen = rig.witness.of(native);
            assert!(
                seen.trades.len() > 2 && seen.tickers > 2,
                "{native} has {} trades and {} tickers: {:?}",
                seen.trades.len(),
                seen.tickers,
                seen.states
            );
        }
        let ended = rig.count(UpstreamEvent::LineEnded);
        assert_eq!(
            ended,
            u64::from(rules.is_empty()),
            "nothing came on the connection"
        );
    }
}

#[test]
fn a_connection_that_sends_no_data_is_left_although_it_answers_pings() {
    let mut rig = live("");
    rig.silent = rig.venue.connections();
    let began = rig.now;
    rig.run_until(5 * MINUTE, |rig| rig.count(UpstreamEvent::LineEnded) == 1);
    let seen = rig.witness.of("BTCUSDT");
    assert!(
        seen.states.iter().any(|state| state.starts_with("stale")),
        "{:?}",
        seen.states
    );
    assert!(rig.now - began < 2 * MINUTE, "{:?}", rig.now - began);
    settle(&mut rig);
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 1);
}

#[test]
fn a_trade_stream_that_falls_silent_is_asked_for_anew() {
    let mut rig = live("");
    let silent = Rc::new(RefCell::new(true));
    let is_silent = Rc::clone(&silent);
    rig.filter = Box::new(move |text| !*is_silent.borrow() || !text.contains("btcusdt@trade"));
    let before = rig.count(UpstreamEvent::AskedAnew);
    rig.run_until(2 * MINUTE, |rig| {
        rig.count(UpstreamEvent::AskedAnew) > before
    });
    *silent.borrow_mut() = false;
    rig.run(MINUTE);
    let missing = rig.check_trades("BTCUSDT");
    assert!(missing > 0);
    assert_eq!(rig.witness.of("BTCUSDT").lost_trades(), missing);
    assert_eq!(rig.witness.of("ETHUSDT").lost, []);
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
}

#[test]
fn a_book_whose_messages_become_rare_is_said_to_be_stale() {
    let mut rig = live("");
    rig.venue.plant(Fault::SlowedDepth, Some("BTCUSDT"));
    // Every five seconds, where ten a second are usual; the venue confirms that none is missing.
    rig.run(MINUTE);
    settle(&mut rig);
    let before = rig.witness.of("BTCUSDT").states.len();
    rig.filter = Box::new(|text| !text.contains("btcusdt@depth"));
    rig.run(40 * SECOND);
    let states = &rig.witness.of("BTCUSDT").states[before..];
    assert!(
        states.iter().any(|state| state.starts_with("stale")),
        "{states:?}"
    );
}

#[test]
fn whoever_waits_for_a_snapshot_asks_less_and_less_often_and_never_subscribes_again() {
    let mut rig = live("");
    for _ in 0..200 {
        rig.venue.plant(Fault::RestServerError, None);
    }
    rig.venue.plant(Fault::Cut, None);
    let began = rig.now;
    rig.run(5 * MINUTE);
    let requests = rig.requests(began).count();
    // At half a minute between two, and a few at the beginning: three books, five minutes.
    assert!((20..=3 * 25).contains(&requests), "{requests} requests");
    let opened = rig.connects(began).len();
    let sent: Vec<_> = rig.sent(began).collect();
    assert_eq!(
        sent.len(),
        opened,
        "one request to subscribe for each connection: {sent:?}"
    );
    assert_eq!(opened, 1);
    for _ in 0..200 {
        if rig.venue.waiting().is_empty() {
            break;
        }
        rig.run(MINUTE);
    }
    settle(&mut rig);
}

#[test]
fn a_refused_resubscription_is_tried_again_until_it_works() {
    let mut rig = live("");
    let blind = Rc::new(RefCell::new(true));
    let is_blind = Rc::clone(&blind);
    rig.filter = Box::new(move |text| !*is_blind.borrow() || !text.contains("ethusdt@depth"));
    for _ in 0..3 {
        rig.venue.plant(Fault::SubscribeRefused, None);
    }
    rig.run_until(3 * MINUTE, |rig| rig.count(UpstreamEvent::Refusal) > 0);
    *blind.borrow_mut() = false;
    // After each refusal, the pause is longer.
    rig.run_until(15 * MINUTE, |rig| rig.venue.waiting().is_empty());
    rig.run(10 * MINUTE);
    settle(&mut rig);
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
    assert_eq!(rig.witness.of("BTCUSDT").lost, []);
}

#[test]
fn after_a_reconnect_the_same_is_asked_for_as_before() {
    let mut rig = live("batch_max = 5");
    let all = |rig: &Rig, line: u32| {
        let texts = rig
            .sent(Duration::ZERO)
            .filter(|(_, other, _)| *other == line);
        texts
            .flat_map(|(_, _, text)| params(text))
            .collect::<Vec<_>>()
    };
    let line = |rig: &Rig| u32::try_from(rig.venue.connections()[0]).unwrap();
    let first = line(&rig);
    let asked = all(&rig, first);
    assert_eq!(asked.len(), 12);
    for _ in 0..3 {
        rig.venue.plant(Fault::Cut, None);
        rig.run(MINUTE);
        let next = line(&rig);
        assert_ne!(next, first);
        assert_eq!(all(&rig, next), asked);
        assert_eq!(rig.venue.streams(u64::from(next)).len(), asked.len());
    }
    let ids: Vec<_> = rig
        .sent(Duration::ZERO)
        .map(|(_, _, text)| serde_json::from_str::<serde_json::Value>(text).unwrap()["id"].clone())
        .collect();
    let different: BTreeSet<_> = ids.iter().map(ToString::to_string).collect();
    assert_eq!(
        different.len(),
        ids.len(),
        "each request has a number of its own"
    );
}

#[test]
fn more_requests_than_the_venue_takes_at_once_are_all_served_after_a_reconnect() {
    let mut config = SimConfig::new(32);
    config.symbols = (0..10).map(SymbolConfig::numbered).collect();
    let natives: Vec<_> = config.symbols.iter().map(|s| s.symbol.clone()).collect();
    let natives: Vec<_> = natives.iter().map(String::as_str).collect();
    let mut rig = Rig::new(config, wanted(&["*"]), "batch_max = 1");
    rig.run_until_live(MINUTE, &natives);
    rig.venue.plant(Fault::Cut, None);
    rig.run(SECOND);
    rig.run_until_live(MINUTE, &natives);
    rig.run(15 * SECOND);
    let line = rig.venue.connections()[0];
    assert_eq!(rig.venue.streams(line).len(), 40);
    let counts = rig.venue.counts();
    assert_eq!(
        (counts.closed_for_messages, counts.bans),
        (0, 0),
        "{counts:?}"
    );
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 1, "the cut");
    rig.check_books(&natives);
}

#[test]
fn our_own_sends_are_no_sign_of_life() {
    let mut rig = live("definitions_seconds = 3");
    let line = rig.venue.connections()[0];
    rig.dead = vec![line];
    let began = rig.now;
    for _ in 0..5 {
        // Its streams are asked for on the line that is dead.
        rig.venue.plant(Fault::Listing, None);
        rig.run(4 * SECOND);
    }
    let sent = rig
        .sent(began)
        .filter(|(_, other, _)| u64::from(*other) == line);
    assert!(sent.count() >= 4);
    rig.run_until(MINUTE, |rig| rig.count(UpstreamEvent::LineEnded) == 1);
    assert!(
        rig.now - began <= 26 * SECOND,
        "noticed after {:?}",
        rig.now - began
    );
    settle(&mut rig);
}

#[test]
fn a_stream_that_nobody_answers_for_is_said_and_stops_no_other() {
    let start = |filter: Box<dyn FnMut(&mut String) -> bool>| {
        let mut rig = Rig::new(SimConfig::new(33), wanted(&["*"]), "batch_max = 1");
        rig.filter = filter;
        rig.run_until_live(MINUTE, &NATIVES);
        rig
    };
    // Which request it is: the same seed asks in the same order.
    let first = start(Box::new(|_| true));
    let asks = |text: &str| params(text) == ["ethusdt@ticker"];
    let at = first
        .sent(Duration::ZERO)
        .position(|(_, _, text)| asks(text));
    let (id, all) = (at.unwrap() + 1, first.sent(Duration::ZERO).count());
    let mut rig = start(Box::new(move |text| {
        let answers = |id: usize| text.ends_with(&format!("\"id\":{id}}}"));
        let again = all + 1..all + 10;
        !text.contains("ethusdt@ticker") && !answers(id) && !again.clone().any(answers)
    }));
    rig.run(2 * MINUTE);
    let states = &rig.witness.of("ETHUSDT").states;
    assert!(
        rig.count(UpstreamEvent::Refusal) > 0,
        "no refusal: {states:?}"
    );
    assert_eq!(rig.witness.of("ETHUSDT").tickers, 0);
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
    for native in NATIVES {
        assert_eq!(rig.witness.of(native).feed, Some(FeedState::Live));
        assert_eq!(rig.check_trades(native), 0);
    }
    // It is asked for again from time to time.
    rig.filter = Box::new(|_| true);
    rig.run(11 * MINUTE);
    assert!(rig.witness.of("ETHUSDT").tickers > 0);
}

#[test]
fn data_of_what_is_not_listed_are_counted() {
    let mut rig = live("");
    let before = rig.counters.rejected_in_all();
    let mut strange = 5;
    rig.filter = Box::new(move |text| {
        if strange > 0 && text.contains("ethusdt@trade") {
            strange -= 1;
            *text = text
                .replace("ethusdt", "xyzusdt")
                .replace("ETHUSDT", "XYZUSDT");
        }
        true
    });
    rig.run(MINUTE);
    assert_eq!(rig.counters.rejected_in_all() - before, 5);
    assert_eq!(rig.check_trades("ETHUSDT"), 5);
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
}

#[test]
fn an_unknown_state_of_trading_stops_nothing() {
    let mut rig = Rig::new(
        SimConfig::new(34),
        wanted(&["*"]),
        "definitions_seconds = 30",
    );
    rig.answers = Box::new(|body| *body = body.replace("\"TRADING\"", "\"ENCHANTED\""));
    rig.run_until_live(MINUTE, &NATIVES);
    rig.run(2 * MINUTE);
    for native in NATIVES {
        assert_eq!(rig.witness.of(native).trading, "Unknown");
        assert_eq!(rig.witness.of(native).feed, Some(FeedState::Live));
        assert_eq!(rig.check_trades(native), 0);
        assert_eq!(rig.witness.of(native).lost, []);
    }
}

#[test]
fn a_venue_that_slows_down_is_noticed() {
    let mut rig = live("");
    rig.run(MINUTE);
    assert_eq!(rig.count(UpstreamEvent::Slowed), 0);
    rig.venue.plant(Fault::LateConnection, None);
    rig.run(25 * SECOND);
    assert_eq!(rig.count(UpstreamEvent::Slowed), 1, "slowed");
    let (now, usual) = rig.session.report().delays;
    let seconds = |delay: Option<i64>| delay.unwrap() / 1_000_000_000;
    assert!(
        seconds(now) >= 1 && seconds(usual) == 0,
        "{now:?}, {usual:?}"
    );
    rig.run(2 * MINUTE);
    assert_eq!(rig.count(UpstreamEvent::Slowed), 1);
}

#[test]
fn a_quiet_connection_is_asked_whether_it_lives_and_kept() {
    let mut config = SimConfig::new(35);
    config.symbols.truncate(2);
    config
        .symbols
        .iter_mut()
        .for_each(|symbol| symbol.every = 10 * MINUTE);
    (config.rates.quiet_tickers, config.rates.ping) = (false, 3 * MINUTE);
    let mut rig = Rig::new(config, wanted(&["*"]), "");
    rig.run(20 * MINUTE);
    let pings = rig.asked.iter();
    let pings = pings.filter(|(_, transmit)| matches!(transmit, Transmit::Ping { .. }));
    assert!(pings.count() > 20, "pings");
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
    rig.run_until_live(3 * MINUTE, &["BTCUSDT", "ETHUSDT"]);
}

#[test]
fn a_venue_that_refuses_connections_is_tried_less_and_less_often() {
    let mut rig = live("");
    for _ in 0..500 {
        rig.venue.plant(Fault::ConnectUnavailable, None);
    }
    rig.venue.plant(Fault::Cut, None);
    let began = rig.now;
    rig.run(10 * MINUTE);
    let connects = rig.connects(began);
    assert!(
        (20..=60).contains(&connects.len()),
        "{} attempts",
        connects.len()
    );
    let longest = connects.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(longest > Some(15 * SECOND), "{longest:?}");
    assert!(connects[1] - connects[0] < SECOND);
}

#[test]
fn attempts_to_connect_have_a_budget() {
    // Three lines, all of which fail.
    let mut rig = live("streams_max = 4\nconnects_max = 10\nconnects_seconds = 60");
    for _ in 0..500 {
        rig.venue.plant(Fault::ConnectUnavailable, None);
    }
    rig.venue.plant(Fault::CutAll, None);
    let began = rig.now;
    rig.run(5 * MINUTE);
    let connects = rig.connects(began);
    let in_a_minute = |at: &Duration| {
        let within = connects
            .iter()
            .filter(|other| *other >= at && **other < *at + MINUTE);
        within.count()
    };
    let most = connects.iter().map(in_a_minute).max();
    assert_eq!(most, Some(10), "attempts in a minute");
}

#[test]
fn one_line_that_must_wait_makes_the_others_wait() {
    let mut config = SimConfig::new(37);
    config.symbols = (0..10).map(SymbolConfig::numbered).collect();
    let natives: Vec<_> = config.symbols.iter().map(|s| s.symbol.clone()).collect();
    let natives: Vec<_> = natives.iter().map(String::as_str).collect();
    let mut rig = Rig::new(config, wanted(&["*"]), "streams_max = 4");
    rig.run_until_live(MINUTE, &natives);
    assert_eq!(rig.venue.connections().len(), 10);
    rig.venue.plant(Fault::ConnectTooMany, None);
    rig.venue.plant(Fault::CutAll, None);
    let began = rig.now;
    rig.run(MINUTE);
    let connects = rig.connects(began);
    // The first is refused, and the answer is there soon; it says how many seconds to wait.
    let told = connects[0] + Duration::from_millis(50);
    let early = connects
        .iter()
        .filter(|at| **at > told && **at < told + SECOND);
    assert_eq!(early.count(), 0, "attempts in spite of a pause");
    rig.run_until_live(MINUTE, &natives);
    assert_eq!(rig.venue.counts().bans, 0);
}

#[test]
fn a_new_connection_that_is_ahead_waits_for_the_old_one() {
    let mut rig = live("");
    // What is on its way on the old connection comes seconds late.
    rig.venue.plant(Fault::LateConnection, None);
    rig.run(5 * SECOND);
    rig.command(SessionCommand::Rotate);
    rig.run(2 * MINUTE);
    assert_eq!(rig.count(UpstreamEvent::Rotation), 1);
    for native in NATIVES {
        let seen = rig.witness.of(native);
        assert_eq!(seen.lost, [], "{native}");
        let gaps = seen.states.iter().filter(|state| state.starts_with("gap"));
        assert_eq!(gaps.count(), 0, "{native}: {:?}", seen.states);
        assert_eq!(rig.check_trades(native), 0, "{native}");
    }
    assert_eq!(rig.venue.connections().len(), 1);
}

#[test]
fn what_an_unreadable_message_said_of_a_book_is_made_good() {
    let mut rig = live("");
    let mut bad = 1;
    rig.filter = Box::new(move |text| {
        if bad > 0 && text.contains("ethusdt@depth") {
            bad -= 1;
            *text = text
                .replace("\"b\":[[\"", "\"b\":[[\"x")
                .replace("\"a\":[[\"", "\"a\":[[\"x");
        }
        true
    });
    let began = rig.now;
    rig.run(5 * SECOND);
    let snapshots = rig
        .requests(began)
        .filter(|url| url.contains("ETHUSDT"))
        .count();
    assert_eq!(snapshots, 1, "snapshots");
    let kinds: Vec<_> = rig
        .witness
        .of("ETHUSDT")
        .lost
        .iter()
        .map(|(kind, ..)| *kind)
        .collect();
    assert_eq!(kinds, [StreamKind::Book]);
    rig.check_books(&["ETHUSDT"]);
    assert_eq!(rig.witness.of("ETHUSDT").feed, Some(FeedState::Live));
}

#[test]
fn weight_that_others_behind_our_address_spend_is_left_to_them() {
    let mut config = SimConfig::new(36);
    config.symbols = (0..80).map(SymbolConfig::numbered).collect();
    config
        .symbols
        .iter_mut()
        .for_each(|symbol| symbol.levels = 20);
    let natives: Vec<_> = config.symbols.iter().map(|s| s.symbol.clone()).collect();
    let natives: Vec<_> = natives.iter().map(String::as_str).collect();
    let mut rig = Rig::new(config, wanted(&["*"]), "");
    for _ in 0..12 {
        rig.venue
            .http("/api/v3/depth?symbol=S0USDT&limit=5000", rig.now);
    }
    rig.run_until_live(3 * MINUTE, &natives);
    let counts = rig.venue.counts();
    assert_eq!(
        (counts.refused_requests, counts.bans),
        (0, 0),
        "refusals, bans: {counts:?}"
    );
}
