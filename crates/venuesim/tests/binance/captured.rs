//! Templates compared with captured frames: keys, their order, and how each value is spelled.

use crate::driver::Driver;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tapecast_testkit::recordings;
use tapecast_venuesim::SimConfig;

/// A frame with `N` for numbers, `D` for decimals with eight digits behind the point, `S` for other texts, `B`
/// for truth values, and without levels.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => {
                let word = rest[1..].split('"').next().unwrap();
                let after = &rest[word.len() + 2..];
                if after.starts_with(':') {
                    shape.push_str(word);
                } else {
                    let fraction = word.split_once('.').map(|(_, fraction)| fraction.len());
                    let digits = word.bytes().all(|byte| b"-.0123456789".contains(&byte));
                    shape.push(if digits && fraction == Some(8) {
                        'D'
                    } else {
                        'S'
                    });
                }
                word.len() + 2
            }
            '0'..='9' | '-' => {
                shape.push('N');
                rest.len()
                    - rest
                        .trim_start_matches(|c: char| "-.0123456789".contains(c))
                        .len()
            }
            'a'..='z' => {
                shape.push('B');
                rest.len() - rest.trim_start_matches(char::is_lowercase).len()
            }
            other => {
                shape.push(other);
                other.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    shape.replace("[D,D],", "").replace("[D,D]", "")
}

/// What kind of frame it is: the stream without its symbol, or the answer with a book.
fn kind(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    let stream = value["stream"]
        .as_str()
        .and_then(|name| name.split_once('@'));
    match stream {
        Some((_, kind)) => Some(kind.to_owned()),
        None => value.get("lastUpdateId").map(|_| "answer".to_owned()),
    }
}

#[test]
fn shapes_are_those_of_captured_frames() {
    let mut captured: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for recording in recordings()
        .iter()
        .filter(|recording| recording.format == "binance")
    {
        for row in recording.rows() {
            let line: Value = serde_json::from_str(&row.line).unwrap();
            let text = line["raw"].as_str().unwrap();
            if let Some(kind) = kind(text) {
                captured.entry(kind).or_default().insert(shape(text));
            }
        }
    }
    let mut driver = Driver::new(SimConfig::new(31));
    let streams =
        ["depth@100ms", "trade", "aggTrade", "bookTicker"].map(|kind| format!("btcusdt@{kind}"));
    driver
        .connect(1, &format!("/stream?streams={}", streams.join("/")))
        .unwrap();
    driver.run_secs(30);
    let mut frames = driver.texts(1);
    frames.push(driver.get("/api/v3/depth?symbol=BTCUSDT&limit=1000").body);
    let mut compared = BTreeSet::new();
    for frame in &frames {
        let kind = kind(frame).unwrap();
        // Without recordings, only that all kinds came.
        if let Some(shapes) = captured.get(&kind) {
            assert!(shapes.contains(&shape(frame)), "{frame}: {shapes:?}");
        }
        compared.insert(kind);
    }
    assert_eq!(compared.len(), 5, "{compared:?}");
    assert!(captured.is_empty() || compared.iter().all(|kind| captured.contains_key(kind)));
}

#[test]
fn a_shape_has_keys_and_spellings() {
    let frame = r#"{"stream":"a@b","data":{"E":157,"p":"1.50000000","q":"1.5","b":[["1.00000000","0.00000000"]],"m":true}}"#;
    assert_eq!(shape(frame), "{stream:S,data:{E:N,p:D,q:S,b:[],m:B}}");
}
