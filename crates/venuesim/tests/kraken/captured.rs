//! The simulator compared with captured frames: sums, shapes, and what messages about a book say.

use crate::book::{Book, Sum};
use crate::driver::Driver;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use tapecast_testkit::recordings;

/// Captured frames of the venue, by recording.
fn captured() -> Vec<Vec<String>> {
    let all = recordings();
    let of_venue = all
        .iter()
        .filter(|recording| recording.path.to_string_lossy().contains("kraken-v2_"));
    of_venue
        .map(|recording| {
            let rows = recording.rows();
            rows.map(|row| {
                let line: Value = serde_json::from_str(&row.line).unwrap();
                line["raw"].as_str().unwrap().to_owned()
            })
            .collect()
        })
        .collect()
}

fn books(texts: &[String]) -> impl Iterator<Item = &String> {
    let is_book = |text: &&String| text.starts_with(r#"{"channel":"book""#);
    texts.iter().filter(is_book)
}

/// A frame with `N` for numbers with their digits behind the point, `S` for texts and their length, and one level
/// of each list.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => {
                let word = rest[1..].split('"').next().unwrap();
                if rest[word.len() + 2..].starts_with(':') || word.ends_with("date") {
                    shape.push_str(word);
                } else {
                    let _ = write!(shape, "S{}", word.len());
                }
                word.len() + 2
            }
            '0'..='9' | '-' => {
                let after = rest.trim_start_matches(|c: char| "-.0123456789".contains(c));
                let number = &rest[..rest.len() - after.len()];
                let digits = number.split_once('.').map_or(0, |(_, digits)| digits.len());
                let _ = write!(shape, "N{digits}");
                number.len()
            }
            other => {
                shape.push(other);
                other.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    let level = "{price:N1,qty:N8}";
    while shape.contains(&format!("{level},{level}")) {
        shape = shape.replace(&format!("{level},{level}"), level);
    }
    shape
}

#[test]
fn captured_messages_have_the_sums_that_the_simulator_computes() {
    let captured = captured();
    if captured.is_empty() {
        println!("skipped: TAPECAST_CAPTURES is not set, or has no recordings of Kraken v2");
        return;
    }
    let mut compared = 0;
    for texts in &captured {
        let mut book = Book::default();
        for text in books(texts) {
            assert_eq!(book.apply(text, 25), Sum::Right, "{text}");
            compared += 1;
        }
    }
    assert_eq!(compared, 3_181);
}

#[test]
fn shapes_are_those_of_captured_frames() {
    let captured = captured();
    let of_bitcoin = captured.iter().find(|texts| texts[1].contains("BTC/USD"));
    let mut driver = Driver::connected(31);
    driver.connect(2).unwrap();
    driver.subscribe(1, "book", &["BTC/USD"]);
    driver.run_secs(60);
    let mut frames = driver.texts(1);
    frames.extend(driver.texts(2));
    let kept = |text: &&String| !text.contains("\"method\"");
    let frames: BTreeSet<String> = frames.iter().filter(kept).map(|text| shape(text)).collect();
    assert!(frames.len() >= 5, "{frames:?}");
    let Some(texts) = of_bitcoin else {
        println!("skipped: TAPECAST_CAPTURES is not set, or has no recordings of Kraken v2");
        return;
    };
    // Numbers of connections and sums have no fixed length, texts of status neither.
    let shapes: BTreeSet<String> = texts.iter().filter(kept).map(|text| shape(text)).collect();
    let strange: Vec<_> = frames.difference(&shapes).collect();
    assert!(strange.is_empty(), "{strange:?} are none of {shapes:?}");
}

/// What the levels of a message are to the book before it: new, changed, gone, or come in from behind the depth.
fn deeds(texts: &[String], depth: usize) -> BTreeSet<String> {
    let mut book = Book::default();
    let mut all = BTreeSet::new();
    for text in books(texts) {
        let value: Value = serde_json::from_str(text).unwrap();
        let (before, full) = (book.best(usize::MAX), book.clone());
        let worst = |is_bid: bool| {
            let side = if is_bid { &before.0 } else { &before.1 };
            side.last().map_or(0, |level| level.0)
        };
        book.apply(text, depth);
        if value["type"] == "snapshot" {
            continue;
        }
        for (key, is_bid) in [("bids", true), ("asks", false)] {
            let known = if is_bid { &full.bids } else { &full.asks };
            let mut deed = String::new();
            for level in value["data"][0][key].as_array().unwrap() {
                let price = level["price"].as_f64().unwrap();
                let had = known
                    .iter()
                    .any(|(text, _)| (text.parse::<f64>().unwrap() - price).abs() < 1e-9);
                let edge = worst(is_bid) as f64 / 1e8;
                let far = if is_bid { price < edge } else { price > edge };
                let gone = level["qty"].as_f64() == Some(0.0);
                deed.push(match (had, gone, far) {
                    (true, true, _) => 'D',
                    (true, false, _) => 'C',
                    (false, true, _) => 'd',
                    (false, false, true) => 'F',
                    (false, false, false) => 'N',
                });
            }
            all.insert(deed);
        }
    }
    all
}

#[test]
fn messages_say_what_captured_ones_say() {
    let mut driver = Driver::connected(32);
    driver.subscribe(1, "book", &["BTC/USD"]);
    driver.run_pinging(120);
    let ours = deeds(&driver.texts(1), 25);
    for deed in ["C", "N", "DF"] {
        assert!(ours.contains(deed), "{deed}: {ours:?}");
    }
    // A level that comes in is told behind the one that has gone, and nothing is removed that is not there.
    let odd = |deed: &&String| deed.contains('d') || deed.replace("DF", "").contains(['D', 'F']);
    assert_eq!(ours.iter().find(odd), None);
    for texts in captured() {
        // Of 3,179 captured ones a single one tells of a level that is pushed out at once.
        let theirs = deeds(&texts, 25);
        assert!(theirs.iter().filter(odd).count() <= 1, "{theirs:?}");
    }
}

#[test]
fn a_shape_has_keys_and_digits() {
    let frame = r#"{"channel":"book","type":"update","data":[{"bids":[{"price":63388.7,"qty":0.25761908},{"price":1.1,"qty":0.00000000}],"checksum":7}]}"#;
    let expected = "{channel:S4,type:update,data:[{bids:[{price:N1,qty:N8}],checksum:N0}]}";
    assert_eq!(shape(frame), expected);
}
