//! Kraken v2 spot, when something goes wrong there: one fault at a time, and what subscribers see of it.

use crate::rig::{Rig, kraken, wanted};
use std::time::Duration;
use tapecast_ingest::metrics::UpstreamEvent;
use tapecast_model::{FeedState, StreamKind};
use tapecast_venuesim::{Fault, KrakenSpot};

type Kraken = Rig<KrakenSpot>;

const NATIVES: [&str; 4] = ["BTC/USD", "ETH/USD", "SHIB/USD", "AAPLx/USD"];
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn live(rules: &str) -> Kraken {
    let mut rig: Kraken = Rig::of(kraken(21), wanted(&["*"]), rules);
    rig.run_until_live(MINUTE, &NATIVES);
    rig.run(MINUTE);
    rig
}

/// Everything is live and right again.
fn settle(rig: &mut Kraken) {
    rig.run(MINUTE);
    rig.run_until_live(2 * MINUTE, &NATIVES);
    rig.check_books(&NATIVES);
    for native in NATIVES {
        let missing = rig.check_trades(native);
        assert_eq!(rig.witness.of(native).lost_trades(), missing, "{native}");
    }
}

/// What was lost, without quotes: they are the book's.
fn lost(rig: &Kraken, native: &str) -> Vec<StreamKind> {
    let lost = rig.witness.of(native).lost.iter().map(|(kind, ..)| *kind);
    lost.filter(|kind| *kind != StreamKind::Quote).collect()
}

#[test]
fn a_wrong_sum_is_healed_for_this_book_alone() {
    for fault in [Fault::WrongSum, Fault::SkippedDepth] {
        let mut rig = live("");
        rig.venue.plant(fault, Some("BTC/USD"));
        settle(&mut rig);
        assert_eq!(lost(&rig, "BTC/USD"), [StreamKind::Book], "{fault:?}");
        assert_eq!(lost(&rig, "ETH/USD"), [], "{fault:?}");
        assert_eq!(rig.count(UpstreamEvent::AskedAnew), 1, "{fault:?}");
        assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
    }
}

#[test]
fn sums_that_are_wrong_again_and_again_are_no_storm() {
    let mut rig = live("");
    let before = rig.asked.len();
    for _ in 0..300 {
        rig.venue.plant(Fault::WrongSum, Some("BTC/USD"));
        rig.run(SECOND);
    }
    let sent = rig.asked.len() - before;
    assert!(sent < 60, "{sent} messages in five minutes");
    assert_eq!(lost(&rig, "ETH/USD"), []);
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
    rig.run(MINUTE);
    settle(&mut rig);
}

#[test]
fn what_is_no_fault_of_a_book_stops_nothing() {
    for fault in [
        Fault::AbsentSum,
        Fault::MidSnapshot,
        Fault::ReorderedKeys,
        Fault::DoubledKey,
        Fault::ZeroTime,
        Fault::OldTrades,
        Fault::RepeatedTrade,
        Fault::RepeatedDepth,
        Fault::UnknownKind,
        Fault::HugeUnknown,
        Fault::HugeDepth,
        Fault::AckTwice,
        Fault::UnknownStatus,
    ] {
        let mut rig = live("");
        rig.venue.plant(fault, Some("BTC/USD"));
        settle(&mut rig);
        for native in NATIVES {
            assert_eq!(lost(&rig, native), [], "{fault:?} {native}");
        }
        assert_eq!(rig.count(UpstreamEvent::LineEnded), 0, "{fault:?}");
    }
}

#[test]
fn levels_that_no_sum_covers_are_right_again_after_the_next_whole_book() {
    let mut rig = live("check_seconds = 60");
    rig.witness.tolerant = true;
    for _ in 0..30 {
        rig.run(SECOND);
        rig.venue.plant(Fault::SkippedDeep, None);
        rig.venue.plant(Fault::LostLevel, None);
    }
    rig.run(2 * MINUTE);
    assert!(rig.witness.wrong > 0, "the faults make books wrong");
    rig.witness.tolerant = false;
    rig.run(MINUTE);
    settle(&mut rig);
}

#[test]
fn digits_that_change_are_another_instrument_and_no_two_precisions_mix() {
    for fault in [Fault::FinerTick, Fault::LateTick] {
        let mut rig = live("");
        rig.venue.plant(fault, Some("BTC/USD"));
        settle(&mut rig);
        assert_eq!(rig.witness.of("BTC/USD").replaced, 1, "{fault:?}");
        assert_eq!(rig.witness.of("ETH/USD").replaced, 0);
        assert_eq!(lost(&rig, "ETH/USD"), []);
        assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
    }
}

#[test]
fn a_close_is_a_close_whatever_its_code() {
    for (fault, code) in [
        (Fault::CloseNormal, "1000"),
        (Fault::ClosePolicy, "1008"),
        (Fault::Cut, "reset by peer"),
        (Fault::CutAll, "reset by peer"),
    ] {
        let mut rig = live("");
        rig.venue.plant(fault, None);
        rig.run(SECOND);
        let states = &rig.witness.of("BTC/USD").states;
        let down = states.iter().find(|state| state.starts_with("down"));
        assert!(down.is_some_and(|state| state.contains(code)), "{states:?}");
        settle(&mut rig);
    }
}

#[test]
fn a_listing_appears_at_once_and_a_delisting_is_said() {
    let mut rig = live("");
    let before = rig.session.instruments().count();
    rig.venue.plant(Fault::Listing, None);
    rig.venue.plant(Fault::Delisting, Some("NMR/EUR"));
    rig.run(10 * SECOND);
    assert_eq!(rig.session.instruments().count(), before + 1);
    let known = |native: &str| NATIVES.contains(&native) || native == "NMR/EUR";
    let mut new = rig.witness.seen.iter().filter(|(native, _)| !known(native));
    let (native, seen) = new.next().unwrap();
    assert!(
        seen.books > 0 && seen.feed == Some(FeedState::Live),
        "{native}"
    );
    assert_eq!(rig.witness.of("NMR/EUR").trading, "Delisted");
    assert_eq!(lost(&rig, "BTC/USD"), []);
}

#[test]
fn states_of_trading_are_said_and_books_go_on() {
    for (fault, trading) in [
        (Fault::Maintenance, "Halted"),
        (Fault::SystemCancelOnly, "CancelOnly"),
        (Fault::Halt, "Halted"),
        (Fault::CancelOnly, "CancelOnly"),
    ] {
        let mut rig = live("");
        let books = rig.witness.of("ETH/USD").books;
        rig.venue.plant(fault, Some("BTC/USD"));
        rig.run_until(30 * SECOND, |rig| {
            rig.witness.of("BTC/USD").trading == trading
        });
        settle(&mut rig);
        assert_eq!(rig.witness.of("BTC/USD").trading, "Open");
        assert!(rig.witness.of("ETH/USD").books > books);
        assert_eq!(lost(&rig, "ETH/USD"), [], "{fault:?}");
        assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
    }
}

#[test]
fn a_symbol_that_is_refused_leaves_the_others_alone_and_is_asked_for_again() {
    let mut rig = live("");
    rig.venue.plant(Fault::SubscribeRefused, None);
    rig.venue.plant(Fault::Cut, None);
    settle(&mut rig);
    assert_eq!(rig.count(UpstreamEvent::Refusal), 1);
    let refused = |native: &&&str| {
        let states = &rig.witness.of(native).states;
        states.iter().any(|state| state.contains("does not serve"))
    };
    assert!(NATIVES.iter().filter(refused).count() <= 1);
}

#[test]
fn streams_that_were_not_read_are_asked_for_later() {
    let mut rig = live("");
    for _ in 0..2 {
        rig.venue.plant(Fault::ExceededRate, None);
    }
    rig.venue.plant(Fault::Cut, None);
    rig.run(SECOND);
    rig.run_until_live(20 * SECOND, &NATIVES);
    settle(&mut rig);
    assert_eq!(rig.count(UpstreamEvent::RateExceeded), 2);
    assert_eq!(rig.count(UpstreamEvent::Refusal), 0);
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 1, "the cut");
}

#[test]
fn answers_that_do_not_come_are_asked_for_again() {
    for fault in [
        Fault::AckWithheld,
        Fault::AckWithoutData,
        Fault::ThinSnapshot,
    ] {
        let mut rig = live("");
        for _ in 0..3 {
            rig.venue.plant(fault, None);
        }
        rig.venue.plant(Fault::Cut, None);
        settle(&mut rig);
        assert_eq!(rig.count(UpstreamEvent::LineEnded), 1, "{fault:?}");
        let books = lost(&rig, "BTC/USD")
            .into_iter()
            .filter(|k| *k == StreamKind::Book);
        assert!(books.count() <= 2, "{fault:?}");
    }
}

#[test]
fn a_connection_that_only_lives_is_left() {
    let mut rig = live("");
    rig.venue.plant(Fault::SilentConnection, None);
    let began = rig.now;
    rig.run_until(3 * MINUTE, |rig| rig.count(UpstreamEvent::LineEnded) == 1);
    assert!(rig.now - began <= 70 * SECOND, "{:?}", rig.now - began);
    settle(&mut rig);
}

#[test]
fn a_connection_that_is_half_open_is_found_by_its_heartbeats() {
    let mut rig = live("");
    rig.venue.plant(Fault::HalfOpen, None);
    let began = rig.now;
    rig.run_until(MINUTE, |rig| rig.count(UpstreamEvent::LineEnded) == 1);
    assert!(rig.now - began <= 8 * SECOND, "{:?}", rig.now - began);
    settle(&mut rig);
}

#[test]
fn whoever_is_told_to_wait_waits() {
    for fault in [
        Fault::ConnectTooMany,
        Fault::ConnectForbidden,
        Fault::ConnectUnavailable,
    ] {
        let mut rig = live("");
        rig.venue.plant(fault, None);
        rig.venue.plant(Fault::Cut, None);
        rig.run(2 * MINUTE);
        settle(&mut rig);
        let counts = rig.venue.counts();
        assert_eq!(
            (counts.bans, counts.impatient),
            (0, 0),
            "{fault:?} {counts:?}"
        );
    }
}
