//! Sessions that begin with what an earlier one has left.

use crate::rig::{Rig, wanted};
use std::time::Duration;
use tapecast_ingest::metrics::UpstreamEvent;
use tapecast_ingest::session::{Earlier, Transmit, VenueInstrument};
use tapecast_model::{Scale, Symbol, UnixNanos};
use tapecast_venuesim::{Fault, SimConfig};

const NATIVES: [&str; 3] = ["BTCUSDT", "ETHUSDT", "NKNUSDT"];
const SECOND: Duration = Duration::from_secs(1);

fn config() -> SimConfig {
    SimConfig::new(31)
}

fn after(earlier: Earlier) -> Rig {
    Rig::after(earlier, config(), wanted(&["*"]), "")
}

/// The list that a session leaves.
fn list() -> Vec<VenueInstrument> {
    let mut rig = after(Earlier::default());
    rig.run(5 * SECOND);
    let listing = rig.session.poll_listing().unwrap();
    assert!(listing.is_whole && rig.session.poll_listing().is_none());
    listing.instruments
}

fn knowing(instruments: Vec<VenueInstrument>) -> Rig {
    after(Earlier {
        instruments,
        ..Earlier::default()
    })
}

#[test]
fn a_list_that_was_kept_is_served_before_the_venue_answers() {
    let list = list();
    let mut rig = knowing(list.clone());
    assert!(rig.session.is_defined());
    let named = list.iter().filter(|listed| listed.symbol.is_some());
    assert_eq!(rig.session.instruments().count(), named.count());
    assert!(!after(Earlier::default()).session.is_defined());
    rig.run_until_live(10 * SECOND, &NATIVES);
    for native in NATIVES {
        let seen = rig.witness.of(native);
        assert_eq!((seen.lost.len(), seen.replaced), (0, 0), "{native}");
        // Of what was, the state of trading holds no longer: the venue says it.
        assert_eq!(seen.trading, "Open", "{native}");
        assert!(seen.states[0].contains("pending"), "{:?}", seen.states);
    }
    rig.check_books(&NATIVES);
    assert_eq!(rig.session.poll_listing().unwrap().instruments, list);
}

#[test]
fn what_has_changed_since_is_changed_when_the_venue_answers() {
    let mut list = list();
    // Before, prices had a digit less, this one was not listed, and another was.
    let finer = list.iter_mut().find(|listed| &*listed.native == "BTCUSDT");
    let scale = &mut finer.unwrap().scales.price_scale;
    *scale = Scale::new(scale.digits() - 1).unwrap();
    list.retain(|listed| &*listed.native != "ETHUSDT");
    let gone = VenueInstrument {
        native: "OLDUSDT".into(),
        symbol: Symbol::new("OLD-USDT").ok(),
        ..list[0].clone()
    };
    list.push(gone);
    let mut rig = knowing(list);
    rig.run_until_live(30 * SECOND, &NATIVES);
    rig.run(60 * SECOND);
    assert_eq!(rig.witness.of("BTCUSDT").replaced, 1);
    assert_eq!(rig.witness.of("OLDUSDT").trading, "Delisted");
    rig.check_books(&NATIVES);
}

#[test]
fn a_ban_holds_for_the_next_session_too() {
    let mut rig = after(Earlier::default());
    rig.run_until_live(10 * SECOND, &NATIVES);
    assert_eq!(rig.session.poll_ban(), None);
    rig.venue.plant(Fault::RestBanned, None);
    let banned = |rig: &Rig| rig.count(UpstreamEvent::RequestFailed) > 0;
    let begin = config().start_ms * 1_000_000;
    // A comparison with the venue is due within a quarter of an hour.
    rig.run_until(1_000 * SECOND, banned);
    let until = rig.session.poll_ban().unwrap();
    assert!(until.get() > begin + u64::try_from(rig.now.as_nanos()).unwrap());

    let mut next = after(Earlier {
        instruments: list(),
        top: Vec::new(),
        banned_until: Some(UnixNanos::new(begin + 90_000_000_000)),
    });
    next.run(89 * SECOND);
    let asked: Vec<_> = next.asked.iter().collect();
    assert!(asked.is_empty(), "{asked:?}");
    next.run_until_live(60 * SECOND, &NATIVES);
    let first: Vec<_> = next.asked.iter().take(2).map(|(_, asked)| asked).collect();
    let is_line = |asked: &&&Transmit| matches!(asked, Transmit::Connect { .. });
    assert_eq!(first.iter().filter(is_line).count(), 1, "{first:?}");
    // One that is over is forgotten.
    let mut later = after(Earlier {
        banned_until: Some(UnixNanos::new(begin)),
        ..Earlier::default()
    });
    later.run_until_live(10 * SECOND, &NATIVES);
}
