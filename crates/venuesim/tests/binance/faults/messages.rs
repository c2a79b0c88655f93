//! Faults of messages: lost, repeated, swapped, garbled, huge.

use super::{DEPTH, breaks, depths, last, started, strike};
use crate::driver::Driver;
use serde_json::Value;
use tapecast_venuesim::{Fault, Output, SimConfig};

fn trades(driver: &mut Driver) -> Vec<u64> {
    let values = driver.values(1).into_iter();
    values
        .filter_map(|value| value["data"]["t"].as_u64())
        .collect()
}

#[test]
fn a_silent_stream_is_silent_until_it_is_subscribed_again() {
    let mut driver = Driver::new(SimConfig::new(21));
    driver
        .connect(1, &format!("/stream?streams={DEPTH}"))
        .unwrap();
    driver.plant(Fault::SilentStream, Some("ETHUSDT"));
    driver.run_secs(30);
    assert!(driver.texts(1).is_empty());
    assert_eq!(
        last(&driver.venue, Fault::SilentStream).symbol.as_deref(),
        Some("ETHUSDT")
    );
    driver.subscribe(1, &[DEPTH]);
    driver.run_secs(10);
    assert_eq!(driver.texts(1).len(), 1);
    driver.send(
        1,
        &format!(r#"{{"method":"UNSUBSCRIBE","params":["{DEPTH}"],"id":2}}"#),
    );
    driver.subscribe(1, &[DEPTH]);
    driver.run_secs(10);
    assert!(driver.texts(1).len() > 10);
}

#[test]
fn slowed_depth_is_whole_and_rare() {
    let mut driver = started();
    driver.plant(Fault::SlowedDepth, Some("ETHUSDT"));
    driver.run_secs(60);
    let messages = depths(&mut driver);
    assert!((11..=13).contains(&messages.len()), "{}", messages.len());
    driver.run_secs(10);
    let after = depths(&mut driver);
    assert!(after.len() > 50);
    assert_eq!(breaks(&[messages, after].concat()), [0_usize; 0]);
}

#[test]
fn depth_messages_are_lost_repeated_and_swapped() {
    let mut driver = started();
    strike(&mut driver, Fault::SkippedDepth);
    assert_eq!(breaks(&depths(&mut driver)).len(), 0, "the first was lost");
    let before = driver.venue.applied().len();
    driver.run_secs(1);
    driver.plant(Fault::SkippedDepth, None);
    driver.run_secs(10);
    assert_eq!(driver.venue.applied().len(), before + 1);
    assert_eq!(breaks(&depths(&mut driver)).len(), 1);

    strike(&mut driver, Fault::RepeatedDepth);
    let messages = depths(&mut driver);
    assert_eq!(messages[0], messages[1]);
    assert_eq!(breaks(&messages), [1]);

    strike(&mut driver, Fault::SwappedDepth);
    let mut messages = depths(&mut driver);
    assert_eq!(breaks(&messages), [1, 2]);
    messages.swap(0, 1);
    assert_eq!(breaks(&messages), [0_usize; 0]);
}

#[test]
fn trades_are_lost_and_repeated() {
    let mut driver = started();
    let before = driver.venue.trades("ETHUSDT").last().unwrap().id;
    strike(&mut driver, Fault::LostTrade);
    assert_eq!(trades(&mut driver)[0], before + 2);
    strike(&mut driver, Fault::RepeatedTrade);
    let ids = trades(&mut driver);
    assert_eq!(ids[0], ids[1]);
    assert!(ids[1..].windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[test]
fn a_lost_level_leaves_the_chain_whole() {
    let (mut whole, mut lossy) = (started(), started());
    strike(&mut lossy, Fault::LostLevel);
    whole.run_secs(30);
    let (whole, lossy) = (depths(&mut whole), depths(&mut lossy));
    assert_eq!(breaks(&lossy), [0_usize; 0]);
    let levels = |message: &Value| {
        let count = |key: &str| message[key].as_array().unwrap().len();
        count("a") + count("b")
    };
    let different: Vec<usize> = (0..whole.len())
        .filter(|index| whole[*index] != lossy[*index])
        .collect();
    assert_eq!(different.len(), 1);
    assert_eq!(
        levels(&lossy[different[0]]) + 1,
        levels(&whole[different[0]])
    );
}

#[test]
fn numbers_begin_again_behind_a_cut() {
    let mut driver = started();
    let before = driver.venue.book("ETHUSDT").unwrap().last_update_id;
    driver.plant(Fault::Renumbering, Some("ETHUSDT"));
    assert_eq!(
        last(&driver.venue, Fault::Renumbering).symbol.as_deref(),
        Some("ETHUSDT")
    );
    driver.run_secs(1);
    assert!(matches!(driver.end(1), Some((_, Output::Cut { conn: 1 }))));
    let after = driver.json("/api/v3/depth?symbol=ETHUSDT&limit=5");
    assert!(after["lastUpdateId"].as_u64() < Some(before / 2));
}

#[test]
fn messages_are_no_json_or_unknown_or_of_another_type() {
    let mut driver = started();
    strike(&mut driver, Fault::GarbageFrame);
    let bad = driver
        .texts(1)
        .into_iter()
        .filter(|text| serde_json::from_str::<Value>(text).is_err());
    assert_eq!(bad.count(), 1);

    strike(&mut driver, Fault::UnknownKind);
    let unknown = driver
        .values(1)
        .into_iter()
        .filter(|value| value["data"]["e"] == "somethingNew");
    assert_eq!(unknown.count(), 1);

    strike(&mut driver, Fault::ChangedType);
    let changed = driver
        .values(1)
        .into_iter()
        .filter(|value| value["data"]["U"].is_string() || value["data"]["t"].is_string());
    assert_eq!(changed.count(), 1);

    strike(&mut driver, Fault::DoubledKey);
    let twice = r#""e":"depthUpdate","e":"depthUpdate""#;
    let doubled = driver
        .texts(1)
        .into_iter()
        .filter(|text| text.contains(twice));
    assert_eq!(doubled.count(), 1);

    strike(&mut driver, Fault::Exponents);
    let messages = depths(&mut driver);
    assert_eq!(breaks(&messages), [0_usize; 0]);
    let spelled: Vec<&Value> = messages
        .iter()
        .filter(|message| message.to_string().contains("e-"))
        .collect();
    assert_eq!(spelled.len(), 1);
}

#[test]
fn huge_messages_are_valid_and_change_nothing() {
    let (mut plain, mut huge) = (started(), started());
    strike(&mut huge, Fault::HugeDepth);
    plain.run_secs(30);
    let (plain, large) = (depths(&mut plain), depths(&mut huge));
    assert!(large[0].to_string().len() > 5_000_000);
    let own = plain[0]["a"].as_array().unwrap();
    let all = large[0]["a"].as_array().unwrap();
    assert!(all.ends_with(own));
    assert!(
        all[..all.len() - own.len()]
            .iter()
            .all(|level| level[1] == "0.00000000")
    );
    assert_eq!(plain[1..], large[1..]);
    strike(&mut huge, Fault::HugeUnknown);
    let longest = huge.texts(1).iter().map(String::len).max();
    assert!(longest > Some(5_000_000));
}
