//! A configuration that is read again: a real process that gets SIGHUP.

use crate::binary::{FREE_PORTS, Served, tapecast};
use crate::support::{PATIENCE, Raw, http};
use rustix::process::Signal;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};

/// A gateway, its file and its log.
struct Process {
    served: Served,
    file: PathBuf,
    log: Receiver<String>,
    _folder: tempfile::TempDir,
}

impl Process {
    fn start(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.toml");
        std::fs::write(&file, with_source(text)).unwrap();
        let arguments = ["serve", "--config", file.to_str().unwrap()];
        let mut command = tapecast(&[&arguments[..], &FREE_PORTS].concat());
        let mut served = Served::start(command.stderr(Stdio::piped()));
        let stderr = BufReader::new(served.child.stderr.take().unwrap());
        let (lines, log) = channel();
        std::thread::spawn(move || {
            // Whoever does not listen any more is at his end.
            stderr
                .lines()
                .map_while(Result::ok)
                .all(|line| lines.send(line).is_ok())
        });
        Self {
            served,
            file,
            log,
            _folder: folder,
        }
    }

    /// Writes another file and says so. Returns the log line that has all these parts.
    fn reload(&self, text: &str, parts: &[&str]) -> String {
        std::fs::write(&self.file, with_source(text)).unwrap();
        self.served.signal(Signal::HUP);
        self.line(parts)
    }

    fn line(&self, parts: &[&str]) -> String {
        loop {
            let line = self.log.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("no line of the log has {parts:?}"));
            if parts.iter().all(|part| line.contains(part)) {
                return line;
            }
        }
    }

    async fn metric(&self, name: &str) -> f64 {
        let text = http(self.served.admin, "GET /metrics").await;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is missing"))
            .parse()
            .unwrap()
    }
}

fn with_source(text: &str) -> String {
    format!("[shards]\ncount = 1\n{text}\n[[source]]\nkind = \"sim\"\nsymbols = 2\n")
}

/// The next message that says this.
async fn message(client: &mut Raw, op: &str) -> Value {
    loop {
        let (_, payload) = client.frame().await.expect("it is connected");
        let Ok(message) = serde_json::from_slice::<Value>(&payload) else {
            continue;
        };
        if message["op"] == op {
            return message;
        }
    }
}

/// Asks for two topics until one of them is refused: the shard takes new limits at its next turn.
async fn refused_second(client: &mut Raw) -> Value {
    loop {
        let request = br#"{"op":"subscribe","topics":["quote:sim:BTC-USD","quote:sim:ETH-USD"]}"#;
        client.send_frame(0x81, request).await;
        let answer = message(client, "subscribed").await;
        if let Some(rejected) = answer["rejected"].get(0) {
            return rejected.clone();
        }
        let request = br#"{"op":"unsubscribe","topics":["quote:sim:BTC-USD","quote:sim:ETH-USD"]}"#;
        client.send_frame(0x81, request).await;
        message(client, "unsubscribed").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_limit_holds_for_clients_that_are_connected_and_for_new_ones() {
    let process = Process::start("[limits]\nrequests_per_s = 100000");
    let mut old = Raw::connect(process.served.public).await;
    let welcome = message(&mut old, "welcome").await;
    assert_eq!(welcome["limits"]["topics"], 1_024, "{welcome}");
    let text =
        "[limits]\nrequests_per_s = 100000\ntopics_per_connection_max = 1\nconnections_max = 2\n";
    let line = process.reload(text, &["INFO", "Configuration reloaded"]);
    let changed = "changed=\"limits.topics_per_connection_max, limits.connections_max\"";
    assert!(line.contains(changed), "{line}");
    let rejected = refused_second(&mut old).await;
    assert_eq!(rejected["error"], "too_many_topics", "{rejected}");
    let mut new = Raw::connect(process.served.public).await;
    let welcome = message(&mut new, "welcome").await;
    assert_eq!(welcome["limits"]["topics"], 1, "{welcome}");
    assert_eq!(refused_second(&mut new).await["error"], "too_many_topics");
    let (_, head) = Raw::handshake(process.served.public, "GET", "/v1/ws", "").await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    // Another page may connect, and the log says less, at once.
    let text = "[listen]\nallowed_origins = [\"https://desk.example\"]\n[log]\nfilter = \"warn\"\n";
    let before = process
        .metric("tapecast_config_reloads_total{result=\"taken\"}")
        .await;
    std::fs::write(&process.file, with_source(text)).unwrap();
    process.served.signal(Signal::HUP);
    while process
        .metric("tapecast_config_reloads_total{result=\"taken\"}")
        .await
        <= before
    {
        tokio::task::yield_now().await;
    }
    let origin = "Origin: https://desk.example\r\n";
    let (_, head) = Raw::handshake(process.served.public, "GET", "/v1/ws", origin).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_changes_nothing_and_is_said_with_its_key() {
    let mut process = Process::start("[limits]\nrequests_per_s = 7");
    let (successful, refused) = (
        "tapecast_config_last_reload_successful",
        "tapecast_config_reloads_total{result=\"refused\"}",
    );
    let at = "tapecast_config_last_reload_success_timestamp_seconds";
    assert!(process.metric(successful).await > 0.5);
    let start = process.metric(at).await;
    let wrong = "[limits]\nrequests_per_s = 9\nping = \"40s\"";
    let parts = ["ERROR", "t.toml:5: limits.ping", "limits.idle_timeout"];
    process.reload(wrong, &parts);
    process.reload("[limits]\npong = 1", &["ERROR", "t.toml:4", "pong"]);
    assert!(process.metric(successful).await < 0.5);
    assert!((process.metric(refused).await - 2.0).abs() < 0.1);
    assert!((process.metric(at).await - start).abs() < 1e-3);
    let mut client = Raw::connect(process.served.public).await;
    let welcome = message(&mut client, "welcome").await;
    assert_eq!(welcome["limits"]["requests_per_s"], 7, "{welcome}");
    // A file that is gone is one more; and when all is right again, that is said too.
    std::fs::remove_file(&process.file).unwrap();
    process.served.signal(Signal::HUP);
    process.line(&["ERROR", "t.toml", "config print"]);
    process.reload("[limits]\nrequests_per_s = 7", &["nothing to change"]);
    assert!(process.metric(successful).await > 0.5);
    process.served.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_needs_a_restart_is_named() {
    let mut process = Process::start("");
    let text = "io_uring = false\n[limits]\ntopics_max = 5\nping = \"3s\"";
    process.reload(text, &["reloaded", "changed=\"limits.ping\""]);
    process.line(&[
        "WARN",
        "needs a restart: shards.io_uring, limits.topics_max",
    ]);
    // A flag lies over the file, as at the start.
    process.reload(
        "[listen]\npublic = \"127.0.0.1:1\"",
        &["changed=\"limits.ping\""],
    );
    let ready = http(process.served.admin, "GET /readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    process.served.end();
}
