//! Requests over HTTP.

use crate::driver::Driver;
use serde_json::{Value, json};

fn json_of(driver: &mut Driver, target: &str) -> Value {
    let answer = driver.get(target);
    assert_eq!(answer.status, 200);
    serde_json::from_str(&answer.body).unwrap()
}

#[test]
fn pairs_have_their_old_names() {
    let mut driver = Driver::connected(6);
    let list = json_of(&mut driver, "/0/public/AssetPairs");
    assert_eq!(list["error"], json!([]));
    let bitcoin = &list["result"]["XXBTZUSD"];
    for (key, value) in [
        ("altname", json!("XBTUSD")),
        ("wsname", json!("XBT/USD")),
        ("pair_decimals", json!(1)),
        ("lot_decimals", json!(8)),
        ("tick_size", json!("0.1")),
        ("status", json!("online")),
    ] {
        assert_eq!(bitcoin[key], value, "{key}");
    }
    assert_eq!(list["result"]["XETHZUSD"]["wsname"], "ETH/USD");
    assert_eq!(list["result"].as_object().unwrap().len(), 4);
    let tokens = json_of(
        &mut driver,
        "/0/public/AssetPairs?aclass_base=tokenized_asset",
    );
    assert_eq!(tokens["result"]["AAPLxZUSD"]["wsname"], "AAPLx/USD");
    let one = json_of(&mut driver, "/0/public/AssetPairs?pair=XBTUSD");
    assert_eq!(one["result"].as_object().unwrap().len(), 1);
    let none = json_of(&mut driver, "/0/public/AssetPairs?pair=NOPE");
    assert_eq!(none["error"], json!(["EQuery:Unknown asset pair"]));
}

#[test]
fn time_and_status_are_said() {
    let mut driver = Driver::connected(6);
    let time = json_of(&mut driver, "/0/public/Time");
    assert_eq!(time["result"]["unixtime"], 1_796_083_200);
    let status = json_of(&mut driver, "/0/public/SystemStatus");
    assert_eq!(status["result"]["status"], "online");
    let unknown = json_of(&mut driver, "/0/public/Nope");
    assert_eq!(unknown["error"], json!(["EGeneral:Unknown method"]));
}
