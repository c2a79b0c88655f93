//! Goal: a whole run against a gateway that is known to be right, or wrong in a known way, is
//! reported as such. Method: a toy gateway inside the test (a push source, a WebSocket listener, a thread
//! per client) that the program is pointed at with `--url`; its faults are injected by number.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use loadtest::ws::{self, Opcode};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

/// What a toy gateway does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Fault {
    #[default]
    None,
    /// The event of this number is numbered and not delivered.
    Lose(u64),
    /// The event of this number is delivered twice.
    Repeat(u64),
    /// With the event of this number one client is closed with 4013.
    Close(u64),
    /// Lines are refused.
    RefuseLines,
    /// Subscriptions are refused.
    RefuseTopics,
}

#[derive(Default)]
struct State {
    fault: Fault,
    readers: HashMap<String, Vec<TcpStream>>,
    seqs: HashMap<String, u64>,
    events: u64,
}

#[derive(Clone, Copy)]
struct Gateway {
    public: SocketAddr,
    push: SocketAddr,
}

impl Gateway {
    fn start(fault: Fault) -> Self {
        let state = Arc::new(Mutex::new(State {
            fault,
            ..State::default()
        }));
        let (public, push) = (
            TcpListener::bind("127.0.0.1:0").unwrap(),
            TcpListener::bind("127.0.0.1:0").unwrap(),
        );
        let gateway = Self {
            public: public.local_addr().unwrap(),
            push: push.local_addr().unwrap(),
        };
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in public.incoming() {
                let (stream, state) = (stream.unwrap(), Arc::clone(&shared));
                std::thread::spawn(move || serve_client(stream, &state));
            }
        });
        std::thread::spawn(move || {
            for stream in push.incoming() {
                take_events(&stream.unwrap(), &state);
            }
        });
        gateway
    }

    fn run(self, settings: &[&str], options: &[&str]) -> Output {
        let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/fanout.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        command.args(["run", scenario, "--no-pin"]);
        command.args(["--url", &format!("ws://{}/v1/ws", self.public)]);
        command.args(["--push-addr", &self.push.to_string()]);
        command.args(["--server-pid", &std::process::id().to_string()]);
        for setting in ["duration_s=0.5", "warm_up_s=0.1", "clients=20"]
            .iter()
            .chain(settings)
        {
            command.args(["--set", setting]);
        }
        command.args(options).output().unwrap()
    }
}

fn say(stream: &mut TcpStream, message: &Value) {
    let mut frame = Vec::new();
    ws::write_unmasked(&mut frame, message.to_string().as_bytes());
    // A client that has gone is no concern of a toy.
    let _ = stream.write_all(&frame);
}

fn serve_client(mut stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
    }
    stream
        .write_all(&ws::handshake_answer(Some("tapecast.v1.json")))
        .unwrap();
    say(
        &mut stream,
        &json!({"op": "welcome", "protocol": "tapecast.v1"}),
    );
    // One masked text frame follows: the subscription. Pongs may come later and are not read.
    let mut head = [0; 2];
    reader.read_exact(&mut head).unwrap();
    let length = match head[1] & 0x7f {
        126 => {
            let mut long = [0; 2];
            reader.read_exact(&mut long).unwrap();
            usize::from(u16::from_be_bytes(long))
        }
        short => usize::from(short),
    };
    let mut payload = vec![0; 4 + length];
    reader.read_exact(&mut payload).unwrap();
    let request: Value = serde_json::from_slice(&payload[4..]).unwrap();
    let topics = request["topics"].as_array().unwrap();
    let mut state = state.lock().unwrap();
    if state.fault == Fault::RefuseTopics {
        let rejected = json!([{"topic": topics[0], "error": "unknown_symbol", "message": "no"}]);
        say(
            &mut stream,
            &json!({"op": "subscribed", "id": 1, "topics": [], "rejected": rejected}),
        );
        return;
    }
    let accepted: Vec<Value> = topics.iter().map(|t| json!({"topic": t})).collect();
    say(
        &mut stream,
        &json!({"op": "subscribed", "id": request["id"], "topics": accepted}),
    );
    for topic in topics {
        let topic = topic.as_str().unwrap();
        let seq = state.seqs.get(topic).copied().unwrap_or(0);
        let text =
            format!(r#"{{"topic":"{topic}","type":"snapshot","epoch":1,"seq":{seq},"trades":[]}}"#);
        let mut frame = Vec::new();
        ws::write_unmasked(&mut frame, text.as_bytes());
        stream.write_all(&frame).unwrap();
        let reader = stream.try_clone().unwrap();
        state
            .readers
            .entry(topic.to_owned())
            .or_default()
            .push(reader);
    }
}

fn take_events(stream: &TcpStream, state: &Mutex<State>) {
    // They stay open: a socket that is dropped with unread bytes resets, and takes the code with it.
    let mut closing = Vec::new();
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let event: Value = serde_json::from_str(&line).unwrap();
        let mut state = state.lock().unwrap();
        let State {
            fault,
            readers,
            seqs,
            events,
        } = &mut *state;
        if *fault == Fault::RefuseLines {
            let _ = (&*stream).write_all(b"line 1: unknown channel \"trade\"\n");
            continue;
        }
        let number = *events;
        *events += 1;
        let topic = format!("trade:bench:{}", event["symbol"].as_str().unwrap());
        let seq = seqs.entry(topic.clone()).or_default();
        *seq += 1;
        if *fault == Fault::Lose(number) {
            continue;
        }
        let trade = &event["trades"][0];
        let text = format!(
            r#"{{"topic":"{topic}","type":"update","epoch":1,"seq":{seq},"prev":{},"trades":[{{"id":{},"price":"1","ts_event":{}}}]}}"#,
            *seq - 1,
            trade["id"],
            trade["ts_event"]
        );
        let mut frame = Vec::new();
        ws::write_unmasked(&mut frame, text.as_bytes());
        if *fault == Fault::Repeat(number) {
            ws::write_unmasked(&mut frame, text.as_bytes());
        }
        let readers = readers.entry(topic).or_default();
        if *fault == Fault::Close(number) {
            let mut close = vec![0x88, 2];
            close.extend_from_slice(&4013_u16.to_be_bytes());
            let mut reader = readers.remove(0);
            let _ = reader.write_all(&close);
            let _ = reader.shutdown(std::net::Shutdown::Write);
            closing.push(reader);
        }
        for reader in readers {
            let _ = reader.write_all(&frame);
        }
    }
}

fn result(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {said}"))
}

fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_clean_run_is_reported_clean() {
    let settings = [
        "topics=4",
        "topics_per_client=2",
        "rate=400",
        "parsed_clients=5",
    ];
    let output = Gateway::start(Fault::None).run(&settings, &["--strict"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let result = result(&output);
    assert_eq!(
        (&result["kind"], &result["schema"]),
        (&json!("run"), &json!(2))
    );
    assert_eq!(result["scenario"]["clients"], 20);
    assert!(
        result["integrity"]
            .as_object()
            .unwrap()
            .values()
            .all(|n| n == 0)
    );
    let published = result["traffic"]["published"].as_u64().unwrap();
    // 200 are due; how exactly the window is met depends on how busy the machine is.
    assert!((100..=400).contains(&published), "{published}");
    let share = result["traffic"]["delivered_share"].as_f64().unwrap();
    assert!((0.7..1.3).contains(&share), "{share}");
    let latency = &result["latency_us"];
    assert!(latency["count"].as_u64().unwrap() > 100);
    assert!(latency["p50"].as_f64() <= latency["max"].as_f64());
    assert!(result["server"]["cpu_s"].as_f64().unwrap() > 0.0);
    assert!(result["server"]["memory_end"]["rss_kib"].as_u64().unwrap() > 0);
    assert!(
        said.contains(" s measured ") && said.contains("every event arrived once"),
        "{said}"
    );
}

#[test]
fn a_closed_loop_publishes_when_all_have_the_last() {
    let settings = ["rate=0", "window=8", "threads=2"];
    let output = Gateway::start(Fault::None).run(&settings, &["--strict"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let result = result(&output);
    assert!(result["harness"]["window_timeouts"].is_u64());
    assert_eq!(result["harness"]["threads"].as_array().unwrap().len(), 2);
    assert!(result["traffic"]["published"].as_u64().unwrap() >= 8);
    // All twenty are parsed: each frame has a latency.
    assert_eq!(
        result["traffic"]["verified_frames"],
        result["latency_us"]["count"]
    );
}

#[test]
fn what_a_gateway_loses_repeats_or_closes_is_counted_and_fails_the_run() {
    // All 20 clients are parsed; the fault falls into the first events, before the window.
    let run = |fault, settings: &[&str]| {
        let output = Gateway::start(fault).run(settings, &[]);
        assert_eq!(output.status.code(), Some(1), "{fault:?}");
        let result = result(&output);
        assert_eq!(result["clean"], false);
        assert!(!result["failures"].as_array().unwrap().is_empty());
        result
    };
    let counts = |result: &Value, keys: [&str; 2]| {
        keys.map(|key| result["integrity"][key].as_u64().unwrap())
    };
    let lost = run(Fault::Lose(5), &[]);
    assert_eq!(counts(&lost, ["gaps", "missing"]), [20, 20]);
    let repeated = run(Fault::Repeat(5), &[]);
    assert_eq!(counts(&repeated, ["duplicates", "gaps"]), [20, 0]);
    let closed = run(Fault::Close(5), &[]);
    assert_eq!(closed["closed"], json!({"4013": 1}));
    assert_eq!(closed["integrity"]["missing"], 0);
    // Clients whose events are not read see a loss by the beginnings of frames.
    let checked = run(Fault::Lose(5), &["parsed_clients=1"]);
    assert_eq!(counts(&checked, ["gaps", "missing"]), [20, 20]);
    // And who only counts bytes sees none.
    let sampled = run(Fault::Lose(5), &["parsed_clients=1", "verify=sample"]);
    assert_eq!(counts(&sampled, ["gaps", "missing"]), [1, 1]);
}

#[test]
fn stalled_clients_stay_connected_and_are_left_out() {
    let settings = ["stalled_share=0.25", "stall_s=0.5", "recover_s=0.3"];
    let output = Gateway::start(Fault::None).run(&settings, &["--strict"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let result = result(&output);
    let share = result["traffic"]["delivered_share"].as_f64().unwrap();
    assert!((0.7..1.3).contains(&share), "{share}");
    let slow = &result["slow"];
    assert_eq!(
        (&slow["connected"], &slow["topics_right"]),
        (&json!(5), &json!(5))
    );
    assert!(result["stall"]["latency_us"]["count"].as_u64().unwrap() > 0);
    assert!(result["stall"]["p99_ratio"].as_f64().unwrap() > 0.0);
    let phases: Vec<&str> = result["seconds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["phase"].as_str().unwrap())
        .collect();
    assert_eq!(phases, ["warm-up", "measured", "stalled", "recovering"]);
}

#[test]
fn somebody_elses_events_are_received_and_verified() {
    let gateway = Gateway::start(Fault::None);
    let feed = TcpStream::connect(gateway.push).unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let publisher = std::thread::spawn(move || {
        // A line every millisecond until somebody says stop, or is gone.
        let pace = std::time::Duration::from_millis(1);
        let mut number = 0;
        while stopped.recv_timeout(pace) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            number += 1;
            let trade = json!({"id": "x", "ts_event": number.to_string()});
            let line = json!({"channel": "trade", "symbol": "ABC-USD", "trades": [trade]});
            writeln!(&feed, "{line}").unwrap();
        }
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(["run", "fanout", "--no-pin", "--publisher", "none"]);
    command.args(["--connections", "5", "--seconds", "0.3"]);
    command.args([
        "--set",
        "warm_up_s=0.1",
        "--set",
        "topic=trade:bench:ABC-USD",
    ]);
    command.args(["--url", &format!("ws://{}/v1/ws", gateway.public)]);
    let output = command.output().unwrap();
    drop(stop);
    publisher.join().unwrap();
    let result = result(&output);
    assert_eq!(
        (&result["clean"], &result["traffic"]["published"]),
        (&json!(true), &json!(0))
    );
    assert!(result["traffic"]["verified_frames"].as_u64().unwrap() > 0);
    assert!(result["latency_us"]["count"].as_u64().unwrap() > 0);
}

#[test]
fn what_makes_a_run_impossible_is_said_in_one_line() {
    let said = refusal(&Gateway::start(Fault::RefuseTopics).run(&[], &[]));
    assert!(said.contains("unknown_symbol"), "{said}");
    let said = refusal(&Gateway::start(Fault::RefuseLines).run(&[], &[]));
    assert!(
        said.contains("the push source refused a line: line 1: unknown channel"),
        "{said}"
    );
    let said = refusal(&Gateway::start(Fault::None).run(&["clinets=3"], &[]));
    assert!(said.contains(r#"did you mean "clients"?"#), "{said}");
    let nobody = Gateway {
        public: free(),
        push: free(),
    };
    assert!(refusal(&nobody.run(&[], &[])).contains("cannot reach the push source"));
    let no_public = Gateway {
        public: free(),
        ..Gateway::start(Fault::None)
    };
    assert!(refusal(&no_public.run(&[], &[])).contains("client 0: "));
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

#[test]
fn the_toy_gateways_frames_are_what_clients_send_masked() {
    let mut frame = Vec::new();
    ws::write_masked(&mut frame, Opcode::Text, b"x");
    assert_eq!(frame, [0x81, 0x81, 0, 0, 0, 0, b'x']);
}
