//! Binance spot, when something goes wrong there: one fault at a time, and what subscribers see of it.

use crate::rig::{Rig, wanted};
use std::time::Duration;
use tapecast_ingest::metrics::UpstreamEvent;
use tapecast_model::{FeedState, StreamKind};
use tapecast_venuesim::{Fault, SimConfig};

const NATIVES: [&str; 3] = ["BTCUSDT", "ETHUSDT", "NKNUSDT"];
const MINUTE: Duration = Duration::from_secs(60);

fn live(rules: &str) -> Rig {
    let mut rig = Rig::new(SimConfig::new(21), wanted(&["*"]), rules);
    rig.run_until_live(MINUTE, &NATIVES);
    rig.run(MINUTE);
    rig
}

/// Everything is live and right again.
fn settle(rig: &mut Rig) {
    rig.run(MINUTE);
    rig.run_until_live(2 * MINUTE, &NATIVES);
    rig.check_books(&NATIVES);
    for native in NATIVES {
        rig.check_trades(native);
    }
}

#[test]
fn messages_that_were_dropped_unread_are_said_and_books_begin_anew() {
    let mut rig = live("");
    let line = rig.venue.connections()[0];
    rig.overflow(u32::try_from(line).unwrap(), 1_234);
    for native in NATIVES {
        let seen = rig.witness.of(native);
        let last = seen.states.last().unwrap();
        assert!(
            last.starts_with("gap overload: 1234 messages"),
            "not said: {last}"
        );
    }
    settle(&mut rig);
    assert_eq!(rig.count(UpstreamEvent::Overflow), 1_234);
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
}

#[test]
fn a_tick_that_gains_a_digit_is_another_instrument_and_no_two_precisions_mix() {
    let mut rig = live("");
    let before = rig.witness.of("BTCUSDT").terms;
    rig.venue.plant(Fault::FinerTick, Some("BTCUSDT"));
    settle(&mut rig);
    let (old, new) = (
        before.tick.unwrap(),
        rig.witness.of("BTCUSDT").terms.tick.unwrap(),
    );
    assert_eq!(new.scale(), old.scale() + 1, "{new} instead of {old}");
    assert_eq!(rig.witness.of("BTCUSDT").terms.lot, before.lot);
    assert_eq!(rig.witness.of("BTCUSDT").replaced, 1);
    assert_eq!(rig.witness.of("ETHUSDT").replaced, 0);
    assert_eq!(rig.witness.of("ETHUSDT").lost, []);
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
}

#[test]
fn an_end_that_is_announced_leaves_no_gap() {
    let mut rig = live("");
    rig.venue.plant(Fault::ServerShutdown, None);
    settle(&mut rig);
    assert_eq!(rig.count(UpstreamEvent::Rotation), 1, "rotations");
    for native in NATIVES {
        assert_eq!(rig.witness.of(native).lost, [], "{native}");
    }
}

#[test]
fn a_close_is_a_close_whatever_its_code() {
    for (fault, code) in [
        (Fault::CloseNormal, "1000"),
        (Fault::ClosePolicy, "1008"),
        (Fault::Cut, "reset by peer"),
    ] {
        let mut rig = live("");
        rig.venue.plant(fault, None);
        rig.run(Duration::from_secs(1));
        let seen = rig.witness.of("BTCUSDT");
        let down = seen.states.iter().find(|state| state.starts_with("down"));
        assert!(
            down.is_some_and(|state| state.contains(code)),
            "no down with {code}: {:?}",
            seen.states
        );
        settle(&mut rig);
        let missing = rig.check_trades("BTCUSDT");
        assert_eq!(
            rig.witness.of("BTCUSDT").lost_trades(),
            missing,
            "{fault:?}"
        );
    }
}

#[test]
fn a_listing_appears_and_a_delisting_is_said() {
    let mut rig = live("definitions_seconds = 60");
    let before = rig.session.instruments().count();
    rig.venue.plant(Fault::Listing, None);
    rig.venue.plant(Fault::Delisting, Some("NKNUSDT"));
    rig.run(3 * MINUTE);
    assert_eq!(rig.session.instruments().count(), before + 1);
    let new = rig
        .witness
        .seen
        .iter()
        .find(|(native, _)| native.starts_with("S9"));
    let (native, seen) = new.unwrap();
    assert!(
        seen.books > 0 && seen.feed == Some(FeedState::Live),
        "{native} is not served"
    );
    let delisted = rig.witness.of("NKNUSDT");
    assert_eq!(delisted.trading, "Delisted");
    assert_eq!(delisted.defined.last(), Some(&delisted.trading));
    assert_eq!(rig.witness.of("BTCUSDT").lost, []);
}

#[test]
fn a_refused_request_is_halved_and_everything_is_served() {
    let mut rig = live("");
    for _ in 0..2 {
        rig.venue.plant(Fault::SubscribeRefused, None);
    }
    rig.venue.plant(Fault::Cut, None);
    settle(&mut rig);
    let gaps = |native: &str| {
        rig.witness
            .of(native)
            .states
            .iter()
            .any(|s| s.starts_with("gap binance does not serve"))
    };
    assert!(
        !NATIVES.iter().any(|native| gaps(native)),
        "halves are not refused"
    );
}

#[test]
fn five_megabytes_are_a_message_like_others() {
    let mut rig = live("");
    rig.venue.plant(Fault::HugeUnknown, None);
    rig.venue.plant(Fault::HugeDepth, Some("BTCUSDT"));
    settle(&mut rig);
    assert_eq!(rig.witness.of("BTCUSDT").lost, []);
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
}

#[test]
fn a_snapshot_that_is_older_than_the_stream_is_asked_for_again() {
    let mut rig = live("");
    for _ in 0..3 {
        rig.venue.plant(Fault::StaleSnapshot, None);
    }
    rig.venue.plant(Fault::Cut, None);
    settle(&mut rig);
    assert!(rig.count(UpstreamEvent::OldSnapshot) > 0, "old snapshots");
    let gaps = rig.witness.of("BTCUSDT").lost.iter();
    let books = gaps.filter(|(kind, ..)| *kind == StreamKind::Book).count();
    assert_eq!(books, 1, "the cut, and nothing else");
}

#[test]
fn whoever_is_told_to_wait_waits_on_all_ways() {
    let mut rig = live("");
    rig.venue.plant(Fault::ConnectTooMany, None);
    rig.venue.plant(Fault::RestTooMany, None);
    rig.venue.plant(Fault::Cut, None);
    settle(&mut rig);
    let counts = rig.venue.counts();
    assert_eq!(
        (counts.bans, counts.impatient),
        (0, 0),
        "bans, requests in spite of a pause: {counts:?}"
    );
}

#[test]
fn what_is_unknown_or_oddly_spelled_stops_nothing() {
    let mut rig = live("");
    for fault in [
        Fault::UnknownKind,
        Fault::ChangedType,
        Fault::Exponents,
        Fault::DoubledKey,
    ] {
        rig.venue.plant(fault, Some("BTCUSDT"));
        rig.run(Duration::from_secs(5));
    }
    settle(&mut rig);
    assert_eq!(rig.count(UpstreamEvent::LineEnded), 0);
    assert_eq!(rig.witness.of("ETHUSDT").lost, []);
}
