//! `tapecast verify` as a user starts it: what it prints, and with which exit code it ends.

use crate::binary::tapecast;
use crate::support::recording;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Output;

fn run(arguments: &[&str]) -> Output {
    tapecast(&[&["verify"], arguments].concat())
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn book(kind: &str, u: u64, price: &str) -> String {
    json!({
        "topic": "orderbook.50.BTCUSDT", "type": kind, "ts": 1_700_000_000_000_u64,
        "data": { "s": "BTCUSDT", "b": [[price, "1"]], "a": [["200", "1"]], "u": u },
    })
    .to_string()
}

fn trade(id: u64) -> String {
    json!({
        "e": "trade", "E": 1, "s": "BTCUSDT", "t": id, "p": "1.5", "q": "2", "T": 1, "m": false, "M": true,
    })
    .to_string()
}

/// A recording of a book, with these numbers.
fn books(folder: &Path, name: &str, numbers: &[u64]) -> String {
    let rows = numbers.iter().enumerate().map(|(at, number)| match at {
        0 => book("snapshot", *number, "100"),
        _ => book("delta", *number, "100.5"),
    });
    let path = recording(folder, name, &rows.collect::<Vec<_>>());
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_right_recording_ends_with_code_0_and_a_broken_one_with_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let right = books(folder.path(), "right-linear.jsonl.zst", &[1, 2, 3]);
    let broken = books(folder.path(), "broken-linear.jsonl.zst", &[1, 2, 4]);
    let output = run(&[&right]);
    let printed = text(&output.stdout);
    assert_eq!(code(&output), 0, "{output:?}");
    for part in [
        ": verified",
        "Bybit v5 linear, 3 messages",
        "BTC-USDT-PERP",
        "1 recording: 1 verified",
    ] {
        assert!(printed.contains(part), "{part} is missing in\n{printed}");
    }
    assert!(!printed.contains("note"), "{printed}");

    let output = run(&[&right, &broken]);
    let printed = text(&output.stdout);
    assert_eq!(code(&output), 1, "{output:?}");
    for part in [
        "broken-linear.jsonl.zst: SOMETHING IS WRONG",
        "BTC-USDT-PERP: chain broken 1 time, first at row 3: bybit-linear u 4 after 2",
        "2 recordings: 1 verified, 1 with something wrong",
    ] {
        assert!(printed.contains(part), "{part} is missing in\n{printed}");
    }
}

#[test]
fn a_directory_is_its_recordings_in_order_of_name() {
    let folder = tempfile::tempdir().unwrap();
    books(folder.path(), "b-spot.jsonl.zst", &[1, 2]);
    books(folder.path(), "a-spot.jsonl.zst", &[1, 2]);
    std::fs::write(folder.path().join("README.md"), "no recording").unwrap();
    let output = run(&[folder.path().to_str().unwrap(), "--json"]);
    assert_eq!(code(&output), 0, "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verified"], true);
    let recordings = report["recordings"].as_array().unwrap();
    let path = |at: usize| recordings[at]["path"].as_str().unwrap().to_owned();
    assert_eq!(recordings.len(), 2);
    assert!(path(0).ends_with("a-spot.jsonl.zst") && path(1).ends_with("b-spot.jsonl.zst"));
}

#[test]
fn what_cannot_be_checked_ends_with_code_2_and_the_others_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let right = books(folder.path(), "right-spot.jsonl.zst", &[1, 2, 3]);
    let foreign = recording(
        folder.path(),
        "foreign.jsonl.zst",
        &["{\"a\":1}".to_owned()],
    );
    let (foreign, none) = (foreign.to_str().unwrap(), folder.path().join("none"));
    let output = run(&[foreign, &right, none.to_str().unwrap()]);
    let printed = text(&output.stdout);
    assert_eq!(code(&output), 2, "{output:?}");
    for part in [
        "foreign.jsonl.zst: not supported",
        "none: ",
        "3 recordings: 1 verified, 2 not checked",
    ] {
        assert!(printed.contains(part), "{part} is missing in\n{printed}");
    }
    // What is wrong counts more.
    let broken = books(folder.path(), "broken-spot.jsonl.zst", &[1, 3]);
    assert_eq!(code(&run(&[foreign, &broken])), 1);

    let empty = tempfile::tempdir().unwrap();
    for (arguments, part) in [
        (&[][..], "CAPTURE"),
        (&["--format", "ftx", &right], "unknown format"),
        (
            &[empty.path().to_str().unwrap()],
            "no recordings in this directory",
        ),
        (&["--config", none.to_str().unwrap()], "none"),
    ] {
        let output = run(arguments);
        let said = text(&output.stderr);
        assert_eq!(code(&output), 2, "{output:?}");
        assert!(
            said.starts_with("tapecast: ") && said.contains(part),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_configuration_says_what_is_checked_and_how() {
    let folder = tempfile::tempdir().unwrap();
    let books = books(folder.path(), "books.jsonl.zst", &[1, 2, 3]);
    let trades = recording(
        folder.path(),
        "trades.jsonl.zst",
        &[trade(1), trade(2), trade(5)],
    );
    let config = folder.path().join("t.toml");
    let write = |sources: &str| std::fs::write(&config, sources).unwrap();
    write(&format!(
        "[[source]]\nkind = \"sim\"\n[[source]]\nkind = \"replay\"\nformat = \"bybit-linear\"\nvenue = \"desk\"\n\
         path = \"{books}\"\n[source.symbols]\nBTCUSDT = \"COIN\"\n[[source]]\nkind = \"replay\"\n\
         format = \"binance\"\npath = \"{}\"\n",
        trades.display()
    ));
    let output = run(&["--config", config.to_str().unwrap(), "--json"]);
    assert_eq!(code(&output), 1, "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let recordings = report["recordings"].as_array().unwrap();
    let verified: Vec<_> = recordings.iter().map(|r| r["verified"].clone()).collect();
    assert_eq!(verified, [true, false]);
    let first = &recordings[0];
    assert_eq!(
        (&first["venue"], &first["format"]),
        (&json!("desk"), &json!("bybit-linear"))
    );
    assert_eq!(first["symbols"][0]["symbol"], "COIN");
    assert_eq!(first["symbols"][0]["book"]["unbroken"], 2);
    let symbol = &recordings[1]["symbols"][0];
    assert_eq!(symbol["trades"]["trades"], 3);
    let first = json!({ "row": 3, "reason": "trades are missing before this one" });
    assert_eq!(symbol["trades"]["first_missing"], first);
    assert_eq!(
        symbol["findings"],
        json!([{ "kind": "trades_missing", "times": 2, "first": first }])
    );

    write("[[source]]\nkind = \"sim\"\n");
    let output = run(&["--config", config.to_str().unwrap()]);
    assert_eq!(code(&output), 2);
    assert!(
        text(&output.stderr).contains("no source is a recording"),
        "{output:?}"
    );
}

/// Every key of the JSON is in the help, so that it can be relied upon.
#[test]
fn the_help_lists_every_key() {
    let folder = tempfile::tempdir().unwrap();
    let mixed = [trade(1), "{\"a\":".to_owned(), trade(3)];
    let broken = recording(folder.path(), "x.jsonl.zst", &mixed);
    let foreign = recording(folder.path(), "y.jsonl.zst", &["{\"a\":1}".to_owned()]);
    let output = run(&[
        "--json",
        broken.to_str().unwrap(),
        foreign.to_str().unwrap(),
    ]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let help = text(&run(&["--help"]).stdout);
    let words: Vec<&str> = help
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .collect();
    let mut rest = vec![&report];
    while let Some(value) = rest.pop() {
        rest.extend(value.as_array().into_iter().flatten());
        for (key, value) in value.as_object().into_iter().flatten() {
            assert!(words.contains(&key.as_str()), "{key} is not in the help");
            // Its keys are the reasons.
            if key != "rejects" {
                rest.push(value);
            }
        }
    }
}
