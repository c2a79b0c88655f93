//! The instruments with the most turnover.

use crate::rig::{Rig, wanted};
use std::time::Duration;
use tapecast_ingest::session::{Earlier, Top, Transmit, WantedSet};
use tapecast_venuesim::{Fault, SimConfig, Venue as _};

const SECOND: Duration = Duration::from_secs(1);

fn config() -> SimConfig {
    SimConfig::new(41)
}

fn first(count: usize, named: &[&str]) -> WantedSet {
    WantedSet {
        top: Some(Top {
            count,
            quote: "USDT".into(),
        }),
        ..wanted(named)
    }
}

fn asked(rig: &Rig) -> usize {
    let is_turnover = |(_, asked): &&(Duration, Transmit)| matches!(asked, Transmit::Http { url, .. } if url.contains("/ticker/24hr"));
    rig.asked.iter().filter(is_turnover).count()
}

/// All instruments by the venue's own figures, most first.
fn ranked(rig: &mut Rig) -> Vec<(String, f64)> {
    let answer = rig.venue.http("/api/v3/ticker/24hr?type=MINI", rig.now);
    let all: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let figure = |item: &serde_json::Value| {
        let text = |key: &str| item[key].as_str().unwrap().to_owned();
        (text("symbol"), text("quoteVolume").parse().unwrap())
    };
    let mut all: Vec<(String, f64)> = all.as_array().unwrap().iter().map(figure).collect();
    all.retain(|(symbol, _)| symbol.ends_with("USDT") && symbol.is_ascii());
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all
}

#[test]
fn those_with_the_most_turnover_are_served_and_those_that_are_named() {
    let mut rig = Rig::new(config(), first(2, &[]), "");
    assert!(!rig.session.is_defined());
    rig.run(20 * SECOND);
    assert!(rig.session.is_defined());
    let best: Vec<_> = ranked(&mut rig)
        .into_iter()
        .take(2)
        .map(|(s, _)| s)
        .collect();
    let best: Vec<_> = best.iter().map(String::as_str).collect();
    assert_eq!(rig.session.instruments().count(), 2);
    rig.run_until_live(30 * SECOND, &best);
    let natives: Vec<_> = rig.session.poll_top().unwrap();
    let natives: Vec<_> = natives.iter().map(|native| &**native).collect();
    assert_eq!(natives, best);
    assert_eq!(asked(&rig), 1);
}

#[test]
fn one_that_comes_among_the_first_is_served_when_they_are_ranked_again() {
    // All that there are, and then one more.
    let rules = "definitions_seconds = 20\nturnover_seconds = 60";
    let mut rig: Rig = Rig::new(config(), first(50, &[]), rules);
    rig.run(20 * SECOND);
    let before = rig.session.instruments().count();
    rig.venue.plant(Fault::Listing, None);
    rig.run(30 * SECOND);
    assert_eq!(rig.session.instruments().count(), before);
    assert_eq!(asked(&rig), 1);
    rig.run(30 * SECOND);
    assert_eq!(rig.session.instruments().count(), before + 1);
    assert_eq!(asked(&rig), 2);
}

#[test]
fn a_figure_that_cannot_be_read_is_asked_for_again() {
    let mut rig = Rig::new(config(), first(2, &["BTC-USDT"]), "");
    rig.run_until(10 * SECOND, |rig| rig.session.instruments().count() == 1);
    rig.venue.plant(Fault::RestGarbage, None);
    rig.run_until(60 * SECOND, |rig| rig.session.instruments().count() >= 2);
}

#[test]
fn the_next_process_serves_the_same_before_the_venue_has_said_which_are_first() {
    let mut rig = Rig::new(config(), first(2, &[]), "");
    rig.run(20 * SECOND);
    let (list, top) = (rig.session.poll_listing().unwrap(), rig.session.poll_top());
    let earlier = Earlier {
        instruments: list.instruments,
        top: top.unwrap(),
        banned_until: None,
    };
    let mut next: Rig = Rig::after(earlier.clone(), config(), first(2, &[]), "");
    assert!(next.session.is_defined());
    assert_eq!(next.session.instruments().count(), 2);
    next.run(20 * SECOND);
    assert_eq!(next.session.instruments().count(), 2);
    assert_eq!(next.session.poll_top().unwrap(), earlier.top);
}
