//! Definitions: the channel `instrument` and its updates.

use crate::driver::Driver;
use serde_json::{Value, json};

fn started(tokens: bool) -> (Driver, Value) {
    let mut driver = Driver::connected(5);
    let params = json!({"channel": "instrument", "include_tokenized_assets": tokens});
    driver.ask(1, "subscribe", &params);
    let snapshot = driver.values(1).pop().unwrap();
    (driver, snapshot)
}

fn pairs(value: &Value) -> &Vec<Value> {
    value["data"]["pairs"].as_array().unwrap()
}

#[test]
fn all_pairs_come_first_and_tokens_only_if_they_are_asked_for() {
    let (_, few) = started(false);
    let (_, all) = started(true);
    assert_eq!((pairs(&few).len(), pairs(&all).len()), (4, 5));
    assert_eq!(
        (&all["channel"], &all["type"]),
        (&json!("instrument"), &json!("snapshot"))
    );
    let bitcoin = &pairs(&all)[0];
    for (key, value) in [
        ("symbol", json!("BTC/USD")),
        ("status", json!("online")),
        ("price_precision", json!(1)),
        ("price_increment", json!(0.1)),
        ("qty_precision", json!(8)),
        ("qty_increment", json!(1e-8)),
    ] {
        assert_eq!(bitcoin[key], value, "{key}");
    }
    assert_eq!(pairs(&all)[3]["price_increment"], json!(1e-8));
    assert_eq!(pairs(&all)[3]["qty_precision"], 5);
    let assets = all["data"]["assets"].as_array().unwrap();
    assert!(assets.iter().any(|asset| asset["id"] == "AAPLx"));
}

#[test]
fn increments_have_exponents() {
    let mut driver = Driver::connected(5);
    driver.ask(1, "subscribe", &json!({"channel": "instrument"}));
    let text = driver.texts(1).pop().unwrap();
    assert!(
        text.contains(r#""qty_increment":1e-08"#) && text.contains(r#""price_increment":0.1,"#)
    );
    assert!(text.contains(r#""qty_increment":1e-05"#));
}

#[test]
fn changes_are_pushed() {
    let (mut driver, _) = started(false);
    let update = |driver: &mut Driver| {
        let mut texts = driver.texts_of(1, "instrument");
        let value: Value = serde_json::from_str(&texts.remove(0)).unwrap();
        assert_eq!((value["type"].as_str(), texts.len()), (Some("update"), 0));
        pairs(&value)[0].clone()
    };
    driver.venue.halt("ETH/USD");
    driver.run_secs(1);
    assert_eq!(update(&mut driver)["status"], "maintenance");
    driver.venue.resume("ETH/USD");
    driver.run_secs(1);
    assert_eq!(update(&mut driver)["status"], "online");
    driver.venue.refine_tick("BTC/USD");
    driver.run_secs(1);
    let pair = update(&mut driver);
    assert_eq!(
        (&pair["price_precision"], &pair["price_increment"]),
        (&json!(2), &json!(0.01))
    );
    driver
        .venue
        .list_symbol(tapecast_venuesim::SymbolConfig::pair(9));
    driver.run_secs(1);
    assert_eq!(update(&mut driver)["symbol"], "S9/USD");
    driver.venue.delist("S9/USD");
    driver.run_secs(1);
    assert_eq!(update(&mut driver)["status"], "delisted");
    driver.venue.halt("AAPLx/USD");
    driver.run_secs(1);
    assert!(
        driver.texts_of(1, "instrument").is_empty(),
        "it was not asked for"
    );
}
