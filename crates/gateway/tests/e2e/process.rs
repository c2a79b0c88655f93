//! The binary as a user starts it: exit codes, one-line errors, signals.

use crate::binary::{FREE_PORTS, Served, tapecast};
use crate::support::{PATIENCE, Raw, free_address};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

fn run(arguments: &[&str]) -> Output {
    tapecast(arguments).output().unwrap()
}

/// Writes a configuration and serves it; expects a refusal of one line.
fn refusal(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.toml");
    std::fs::write(&path, text).unwrap();
    let admin = free_address().to_string();
    let output = run(&[
        "serve",
        "--config",
        path.to_str().unwrap(),
        "--admin-listen",
        &admin,
    ]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    let complaints: Vec<_> = stderr
        .lines()
        .filter(|l| l.starts_with("tapecast: "))
        .collect();
    assert_eq!(complaints.len(), 1, "{stderr}");
    complaints[0].to_owned()
}

/// A demo on free ports.
fn demo() -> Served {
    let mut command = tapecast(&[&["serve"], &FREE_PORTS[..]].concat());
    Served::start(command.stderr(Stdio::null()))
}

#[test]
fn wrong_configurations_end_with_code_2_and_one_line() {
    let replay = "[[source]]\nkind = \"replay\"\nformat = \"okx\"\npath = \"no-such-file.zst\"\n";
    let error = refusal(replay);
    assert!(
        error.contains("source 1") && error.contains("no-such-file.zst"),
        "{error}"
    );

    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("garbage.zst");
    std::fs::write(
        &garbage,
        [0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    )
    .unwrap();
    let error = refusal(&replay.replace("no-such-file.zst", garbage.to_str().unwrap()));
    assert!(error.contains("garbage.zst"), "{error}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = refusal(&format!("[listen]\npublic = \"{address}\"\n"));
    assert!(
        error.contains(&address.to_string()) && error.contains("--listen"),
        "{error}"
    );

    let error = refusal("[limits]\nconections_max = 5\n");
    assert!(
        error.contains("t.toml:2") && error.contains("\"connections_max\""),
        "{error}"
    );
}

#[test]
fn flags_are_checked_like_the_file() {
    let output = run(&["serve", "--shards", "1000"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("shards.count")
    );
}

#[test]
fn the_configuration_can_be_printed_and_checked() {
    let printed = run(&["config", "print"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("defaults.toml");
    std::fs::write(&path, &printed.stdout).unwrap();
    let checked = run(&["config", "check", path.to_str().unwrap()]);
    assert!(checked.status.success(), "{checked:?}");
    assert_eq!(
        run(&["config", "check", "nowhere.toml"]).status.code(),
        Some(2)
    );
}

#[test]
fn a_signal_ends_the_process_with_a_goodbye_to_everybody() {
    let mut served = demo();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut clients: Vec<Raw> = Vec::new();
    for _ in 0..5 {
        clients.push(runtime.block_on(Raw::connect(served.public)));
    }
    let told = Instant::now();
    // Whoever is impatient says it twice, and changes nothing.
    served.signal(rustix::process::Signal::TERM);
    served.signal(rustix::process::Signal::TERM);
    for client in &mut clients {
        assert_eq!(runtime.block_on(client.close_code()), 1001);
    }
    let status = served.wait();
    assert!(status.success(), "{status}");
    assert!(
        told.elapsed() < Duration::from_secs(10),
        "{:?}",
        told.elapsed()
    );
}

#[test]
fn a_signal_ends_a_process_that_reads_a_recording_still() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.zst");
    // As it is written it is small; to read all of it takes many minutes.
    let line = br#"{"ts":1700000000000000000,"raw":"{\"e\":\"trade\",\"E\":1,\"s\":\"BTCUSDT\",\"t\":1,\"p\":\"1.5\",\"q\":\"1\",\"T\":1}"}
"#;
    let frame = zstd::encode_all(&line.repeat(200_000)[..], 1).unwrap();
    std::fs::write(&path, frame.repeat(5_000)).unwrap();
    let config = folder.path().join("t.toml");
    let text = format!("[[source]]\nkind = \"replay\"\nformat = \"binance\"\npath = {path:?}\n");
    std::fs::write(&config, text).unwrap();
    let arguments = ["serve", "--config", config.to_str().unwrap()];
    let mut child = tapecast(&[&arguments[..], &FREE_PORTS].concat())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + PATIENCE;
    let reads = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| to == path))
    };
    while !std::fs::read_dir(format!("/proc/{}/fd", child.id()))
        .unwrap()
        .any(reads)
    {
        assert!(Instant::now() < until, "it does not read");
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > until {
            child.kill().unwrap();
        }
        std::thread::yield_now();
    };
    assert!(status.success(), "{status}");
}

#[test]
fn an_environment_that_is_no_text_is_none_of_our_business_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.toml");
    std::fs::write(&path, "[[source]]\nkind = \"sim\"\n").unwrap();
    let check = |variable: &str| {
        let mut command = tapecast(&["config", "check", path.to_str().unwrap()]);
        command
            .env(variable, std::ffi::OsStr::from_bytes(b"\xff"))
            .output()
            .unwrap()
    };
    assert!(check("FOREIGN").status.success());
    let ours = check("TAPECAST_LISTEN__PUBLIC");
    assert_eq!(ours.status.code(), Some(2));
    let said = String::from_utf8(ours.stderr).unwrap();
    assert!(
        said.contains("TAPECAST_LISTEN__PUBLIC") && said.lines().count() == 1,
        "{said}"
    );
}

#[test]
fn a_client_in_the_terminal_prints_and_ends() {
    let served = demo();
    let url = format!("ws://{}/v1/ws", served.public);
    for encoding in [None, Some("--binary")] {
        let topic = "trade:sim:BTC-USD";
        let arguments = ["watch", &url, topic, "--count", "3", "--json"];
        let output = run(&[&arguments[..], encoding.as_slice()].concat());
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let updates = text
            .lines()
            .filter(|line| line.starts_with(r#"{"topic":"trade:sim:BTC-USD","type":"update""#));
        assert_eq!(updates.count(), 3, "{text}");
    }
    let output = run(&["watch", &url, "book.10:sim:BTC-USD@10ms", "--count", "3"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("book.10:sim:BTC-USD@10ms #"), "{text}");
    assert_eq!(
        text.lines().count(),
        4,
        "a snapshot and three updates: {text}"
    );
    let refused = run(&["watch", &url, "trade:sim:NOPE", "--count", "1"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("NOPE"));
}
