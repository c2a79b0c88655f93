//! A live source that is recorded: what a replay gives, what `tapecast record` writes, and what is left of it after
//! kill -9.

use crate::binary::tapecast;
use crate::live::venue;
use crate::simulate::start;
use crate::support::{PATIENCE, connect, gateway, next, replay, start_replays, try_gateway};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::Instant;
use tapecast_client::Client;
use tapecast_venuesim::Fault;

const TRADES: &str = "trade:binance:BTC-USDT";

/// Trades as frames say them, without what differs from one process to the next.
async fn trades(client: &mut Client, most: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < most {
        let message = next(client).await;
        let frame: Value = serde_json::from_str(message.text()).unwrap();
        if frame["topic"] == TRADES && frame["type"] == "update" {
            let data = frame["trades"].as_array().unwrap();
            found.extend(
                data.iter()
                    .map(|trade| format!("{} {}", trade["id"], trade["price"])),
            );
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_a_recorded_venue_gives_what_subscribers_got() {
    let (venue, folder) = (venue().await, tempfile::tempdir().unwrap());
    let source = venue.source(&format!("record = {:?}", folder.path()));
    let live = gateway(&source).await;
    let mut client = connect(&live).await;
    client.subscribe(&[TRADES]).await.unwrap();
    let mut seen = trades(&mut client, 10).await;
    venue.server.with(|venue| venue.plant(Fault::Cut, None));
    seen.extend(trades(&mut client, 20).await);
    live.stop().await;

    let dir = folder.path().join("binance");
    let again = gateway(&replay("binance", &dir)).await;
    let mut client = connect(&again).await;
    client.subscribe(&[TRADES]).await.unwrap();
    start_replays(&again).await;
    // The recording begins before the subscription.
    while trades(&mut client, 1).await.last() != seen.first() {}
    assert_eq!(trades(&mut client, seen.len() - 1).await, seen[1..]);
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_written_is_refused_by_its_key() {
    let venue = venue().await;
    let error = try_gateway(&venue.source("record = \"/proc/nowhere\"")).await;
    let error = error.err().unwrap();
    assert_eq!(error.key(), Some("source 1: record"));
    assert!(
        error.to_string().contains("/proc/nowhere/binance"),
        "{error}"
    );
    let folder = tempfile::tempdir().unwrap();
    let source = venue.source(&format!("record = {:?}", folder.path()));
    let twice = try_gateway(&format!("{source}{source}")).await;
    assert_eq!(twice.err().unwrap().key(), Some("source 2: record"));
}

/// What `tapecast record --info --json` says, and its exit code.
fn info(dir: &Path) -> (Value, i32) {
    let output = tapecast(&["record", "--json", "--info", dir.to_str().unwrap()])
        .output()
        .unwrap();
    let value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (value, output.status.code().unwrap())
}

fn sum(info: &Value, key: &str) -> u64 {
    let files = info["files"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    files.iter().filter_map(|file| file[key].as_u64()).sum()
}

/// Records a simulated venue until some messages are in a file, and ends with this signal.
fn record(folder: &Path, signal: Signal) -> (Value, i32) {
    let (_venue, _, address) = start(&["--plain"]);
    let config = folder.join("tapecast.toml");
    let text = format!(
        "[[source]]\nkind = \"live\"\nvenue = \"binance\"\nsymbols = [\"*\"]\nproxy = \"none\"\n[source.rules]\n\
         stream_url = \"ws://{address}\"\nrest_url = \"http://{address}\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let out = folder.join("out");
    let arguments = [
        "record",
        "--config",
        config.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    let mut child = tapecast(&arguments).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = lines.find_map(|line| line.ok().filter(|line| line.contains("records binance")));
    assert!(said.unwrap().contains("out/binance"));
    let (dir, began) = (out.join("binance"), Instant::now());
    while sum(&info(&dir).0, "messages") < 200 {
        assert!(began.elapsed() < PATIENCE, "{:?}", info(&dir));
    }
    kill_process(Pid::from_child(&child), signal).unwrap();
    child.wait().unwrap();
    info(&dir)
}

#[test]
fn a_recording_that_is_told_to_end_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (told, code) = record(folder.path(), Signal::TERM);
    assert_eq!((code, &told["whole"]), (0, &Value::Bool(true)), "{told}");
    for key in ["answers", "said", "opened", "closed"] {
        assert!(sum(&told, key) > 0, "{key}: {told}");
    }
    let file = &told["files"][0];
    assert_eq!(
        (&file["venue"], &file["format"]),
        (&"binance".into(), &"binance".into())
    );
    let dir = folder.path().join("out/binance");
    let verified = tapecast(&["verify", dir.to_str().unwrap()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert_eq!(verified.status.code(), Some(0), "{text}");
}

#[test]
fn after_kill_9_what_was_flushed_can_be_read_and_the_rest_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (told, code) = record(folder.path(), Signal::KILL);
    assert_eq!((code, &told["whole"]), (1, &Value::Bool(false)), "{told}");
    assert!(
        sum(&told, "messages") >= 200 && sum(&told, "broken") == 1,
        "{told}"
    );
}

#[test]
fn wrong_options_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("c.toml");
    std::fs::write(&config, "[[source]]\nkind = \"sim\"\n").unwrap();
    let config = config.to_str().unwrap();
    for (arguments, part) in [
        (vec!["record"], "--config"),
        (vec!["record", "--config", config], "--out"),
        (
            vec!["record", "--config", config, "--out", "/tmp"],
            "none is live",
        ),
        (
            vec!["record", "--info", "/nowhere/at/all"],
            "/nowhere/at/all",
        ),
        (
            vec!["record", "--info", folder.path().to_str().unwrap()],
            "no recordings in this directory",
        ),
    ] {
        let output = tapecast(&arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
}
