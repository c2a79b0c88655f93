//! The binary as a user starts it: exit codes, one-line errors, signals.

use crate::binary::{FREE_PORTS, Served, tapecast};
use crate::support::{PATIENCE, Raw, free_address, recording};
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
fn what_serve_refuses_a_check_refuses_with_the_same_words() {
    let folder = tempfile::tempdir().unwrap();
    let words = folder.path().join("words.txt");
    std::fs::write(&words, "a text\n").unwrap();
    let replay = format!("[[source]]\nkind = \"replay\"\nformat = \"okx\"\npath = {words:?}\n");
    let push = "[limits]\ninstruments_max = 1\n[[source]]\nkind = \"push\"\nvenue = \"x\"\n\
                listen = \"127.0.0.1:0\"\nsymbols = [\"A\", \"B\"]\n";
    let path = folder.path().join("t.toml");
    let file = path.to_str().unwrap();
    let flags = FREE_PORTS;
    for (text, line) in [(replay.as_str(), 4), (push, 7)] {
        std::fs::write(&path, text).unwrap();
        let checked = run(&["config", "check", file]);
        let served = run(&[&["serve", "--config", file][..], &flags].concat());
        assert_eq!(checked.status.code(), Some(2), "{checked:?}");
        assert_eq!(served.status.code(), Some(2), "{served:?}");
        let complaint = |output: Output| {
            let text = String::from_utf8(output.stderr).unwrap();
            let mut lines = text.lines().filter(|line| line.starts_with("tapecast: "));
            lines.next().unwrap().to_owned()
        };
        let (checked, served) = (complaint(checked), complaint(served));
        assert_eq!(checked, served);
        assert!(checked.contains(&format!("t.toml:{line}: ")), "{checked}");
    }
    // An address that another process has is no matter of the check.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let push = format!("[[source]]\nkind = \"push\"\nvenue = \"x\"\nlisten = \"{address}\"\n");
    std::fs::write(&path, push).unwrap();
    let checked = run(&["config", "check", file]);
    assert!(checked.status.success(), "{checked:?}");
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(said.ends_with("t.toml: valid, 1 source\n"), "{said}");
}

#[test]
fn a_check_takes_no_state_from_a_process_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let path = folder.path().join("t.toml");
    let text = format!("state_dir = {state:?}\n[[source]]\nkind = \"sim\"\n");
    std::fs::write(&path, text).unwrap();
    let file = path.to_str().unwrap();
    assert!(run(&["config", "check", file]).status.success());
    assert!(!state.exists(), "the check writes nothing");
    let mut command = tapecast(&[&["serve", "--config", file][..], &FREE_PORTS].concat());
    let _served = Served::start(command.stderr(Stdio::null()));
    assert!(state.exists());
    assert!(run(&["config", "check", file]).status.success());
}

#[test]
fn an_id_that_the_recording_lacks_is_doubted_and_one_that_is_left_out_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let trade =
        |id: &str| format!(r#"{{"e":"trade","E":1,"s":"{id}","t":1,"p":"1.5","q":"1","T":1}}"#);
    let recording = recording(folder.path(), "r.zst", &[trade("BTCUSDT"), trade("A")]);
    let path = folder.path().join("t.toml");
    let check = |symbols: &str| {
        let source = "[[source]]\nkind = \"replay\"\nformat = \"binance\"\n";
        let text = format!("{source}path = {recording:?}\n[source.symbols]\n{symbols}");
        std::fs::write(&path, text).unwrap();
        let checked = run(&["config", "check", path.to_str().unwrap()]);
        assert!(checked.status.success(), "{checked:?}");
        String::from_utf8(checked.stderr).unwrap()
    };
    let said = check("BTCUSTD = \"BTC-USDT\"\nETHUSDT = \"ETH-USDT\"\nBTCUSDT = \"XBT-USDT\"\n");
    assert!(
        said.contains("lacks ids of [source.symbols]") && said.contains("\"BTCUSTD, ETHUSDT\""),
        "{said}"
    );
    for known in [
        "",
        "BTCUSDT = \"XBT-USDT\"\n",
        "A = \"XBT-USDT\"\nBTCUSDT = \"XBT-USDT\"\n",
    ] {
        let said = check(known);
        assert!(!said.contains("lacks ids"), "{said}");
    }
}

/// Standard output on a full disk, and then a pipe that is closed.
fn unwritable(arguments: &[&str]) -> (Output, Output) {
    let full = std::fs::File::options().write(true).open("/dev/full");
    let mut command = tapecast(arguments);
    let full = command.stdout(full.unwrap()).output().unwrap();
    let (read, write) = std::io::pipe().unwrap();
    drop(read);
    let closed = tapecast(arguments).stdout(write).output().unwrap();
    (full, closed)
}

#[test]
fn a_full_disk_is_a_failure_and_a_closed_pipe_is_none() {
    let served = demo();
    let url = format!("ws://{}/v1/ws", served.public);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.toml");
    std::fs::write(&path, "[[source]]\nkind = \"sim\"\n").unwrap();
    let topic = "quote:sim:BTC-USD";
    for arguments in [
        &["config", "print"][..],
        &["config", "check", path.to_str().unwrap()],
        &["watch", &url, topic],
        &["watch", &url, topic, "--json"],
        &["watch", &url, topic, "--table"],
        &["--help"],
        &["--version"],
    ] {
        let (full, closed) = unwritable(arguments);
        assert_eq!(full.status.code(), Some(1), "{arguments:?}: {full:?}");
        let said = String::from_utf8(full.stderr).unwrap();
        let said: Vec<_> = said
            .lines()
            .filter(|line| line.contains("output"))
            .collect();
        assert_eq!(said.len(), 1, "{arguments:?}: {said:?}");
        assert!(said[0].starts_with("tapecast: cannot write to standard output: No space"));
        assert!(closed.status.success(), "{arguments:?}: {closed:?}");
    }
}

#[test]
fn a_gateway_that_is_not_there_is_no_wrong_usage() {
    let nothing = free_address().to_string();
    let served = demo();
    let (public, admin) = (served.public.to_string(), served.admin.to_string());
    let topic = "quote:sim:BTC-USD";
    for (arguments, code, part) in [
        (
            vec!["watch", "ws://NOTHING/v1/ws", topic],
            1,
            "start the gateway",
        ),
        (
            // A name that no server is asked for.
            vec!["watch", "ws://a..b:1/v1/ws", topic],
            1,
            "check that the host",
        ),
        (vec!["watch", "ws://PUBLIC", topic], 1, "ws://PUBLIC/v1/ws"),
        (vec!["watch", "ws://PUBLIC/", topic], 1, "ws://PUBLIC/v1/ws"),
        (vec!["watch", "ws://ADMIN/v1/ws", topic], 1, "listen.public"),
        (vec!["watch", "http://PUBLIC", topic], 2, "ws://host:port"),
        (vec!["watch"], 2, "required arguments"),
        (vec!["health", "--admin", "NOTHING"], 1, "start the gateway"),
        (vec!["health", "--admin", "PUBLIC"], 1, "listen.admin"),
        (vec!["health", "--admin", "nowhere"], 2, "localhost:8080"),
        (vec!["health", "--admn", "x"], 2, "--admin"),
    ] {
        let place = |text: &str| {
            let text = text.replace("NOTHING", &nothing);
            text.replace("PUBLIC", &public).replace("ADMIN", &admin)
        };
        let arguments: Vec<_> = arguments.into_iter().map(place).collect();
        let given: Vec<_> = arguments.iter().map(String::as_str).collect();
        let output = run(&given);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{given:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{given:?}: {said}");
        assert!(
            said.contains(&place(part)),
            "{given:?}: {said} lacks {part}"
        );
    }
    assert!(run(&["health", "--admin", &admin]).status.success());
}

#[test]
fn a_gateway_that_goes_is_told_and_no_wrong_usage() {
    let mut served = demo();
    let url = format!("ws://{}/v1/ws", served.public);
    let mut watching = tapecast(&["watch", &url, "quote:sim:BTC-USD"])
        .spawn()
        .unwrap();
    let mut first = [0];
    std::io::Read::read_exact(watching.stdout.as_mut().unwrap(), &mut first).unwrap();
    served.end();
    let output = watching.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("1001")
            && said.contains("run the command again")
            && said.lines().count() == 1,
        "{said}"
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
