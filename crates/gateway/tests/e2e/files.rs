//! A process without file descriptors: a real one, its limit lowered while it runs.

use crate::binary::{FREE_PORTS, Served};
use crate::support::{PATIENCE, Raw, free_address, http};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A gateway in a process of its own, and where its log is.
struct Process {
    served: Served,
    folder: tempfile::TempDir,
}

impl Process {
    /// With more configuration, in a shell that has done this before.
    fn start(before: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("t.toml");
        let text = format!(
            "[shards]\ncount = 1\n[limits]\nhandshake_timeout = \"1m\"\n\
             [[source]]\nkind = \"sim\"\nsymbols = 1\nevents_per_second = 20\n{more}"
        );
        fs::write(&config, text).unwrap();
        let binary = env!("CARGO_BIN_EXE_tapecast");
        let serve = format!(
            "{before} exec {binary} serve --config {} {}",
            config.display(),
            FREE_PORTS.join(" ")
        );
        let log = File::create(folder.path().join("log")).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", &serve]).stdin(Stdio::null()).stderr(log);
        Self {
            served: Served::start(&mut shell),
            folder,
        }
    }

    fn of(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.served.child.id())
    }

    fn open_files(&self) -> usize {
        fs::read_dir(self.of("fd")).unwrap().count()
    }

    /// Lets it have no more than this.
    fn limit_files(&self, files: usize) {
        let limit = Rlimit {
            current: Some(files as u64),
            maximum: Some(files as u64),
        };
        let pid = Pid::from_child(&self.served.child);
        prlimit(Some(pid), Resource::Nofile, limit).unwrap();
    }

    /// Processor time so far.
    fn busy(&self) -> Duration {
        let stat = fs::read_to_string(self.of("stat")).unwrap();
        let fields = stat.rsplit(')').next().unwrap().split(' ');
        let ticks: u64 = fields
            .skip(12)
            .take(2)
            .map(|n| n.parse::<u64>().unwrap())
            .sum();
        Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_file_descriptors_clients_are_told_and_probes_answer() {
    let push = free_address();
    let desk = format!("[[source]]\nkind = \"push\"\nvenue = \"desk\"\nlisten = \"{push}\"\n");
    let process = Process::start("", &desk);
    let mut publisher = TcpStream::connect(push).await.unwrap();
    assert!(
        refused_line(&mut publisher)
            .await
            .starts_with("{\"error\":\"bad_json\"")
    );
    let mut client = Raw::connect(process.served.public).await;
    client
        .send_frame(
            0x81,
            br#"{"op":"subscribe","id":1,"topics":["quote:sim:BTC-USD"]}"#,
        )
        .await;
    process.limit_files(process.open_files() + 12);
    // More than there are descriptors for: they stay until they are told or cut.
    let (mut held, mut told) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        held.push(TcpStream::connect(process.served.public).await.unwrap());
    }
    while told.len() < 5 {
        let mut stream = TcpStream::connect(process.served.public).await.unwrap();
        let _ = stream
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await;
        let mut answer = String::new();
        // It may be reset behind the answer.
        let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer));
        let _ = read.await.expect("it is answered");
        told.push(answer);
    }
    for answer in &told {
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("Retry-After: "), "{answer}");
    }
    for probe in ["/livez", "/readyz", "/metrics"] {
        let answer = http(process.served.admin, &format!("GET {probe}")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let desk = publishers_until_one_is_told(&mut publisher, push).await;
    assert!(!desk.is_empty());
    // Also behind clients of the admin listener that say nothing: they make room.
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(process.served.admin).await.unwrap());
    }
    let metrics = http(process.served.admin, "GET /metrics").await;
    assert!(metrics.contains("tapecast_handshakes_refused_total{reason=\"files\"}"));
    // Nobody turns in circles, or fills the log.
    let (began, busy) = (Instant::now(), process.busy());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let share = (process.busy() - busy).as_secs_f64() / began.elapsed().as_secs_f64();
    assert!(share < 0.5, "{share}");
    let failures = process.log().matches("Failed to accept").count();
    assert!((1..=9).contains(&failures), "{}", process.log());
    // Who is connected lives on.
    for _ in 0..5 {
        assert!(client.frame().await.is_some());
    }
    // And who comes when there is room is let in.
    drop(held);
    let let_in = async {
        loop {
            let (_, head) = Raw::handshake(process.served.public, "GET", "/v1/ws", "").await;
            if head.starts_with("HTTP/1.1 101") {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, let_in)
        .await
        .expect("there is room again");
}

/// A desk goes on, those who come find what is in reserve, and when that is used up they are told.
async fn publishers_until_one_is_told(desk: &mut TcpStream, push: SocketAddr) -> Vec<TcpStream> {
    assert!(refused_line(desk).await.contains("bad_json"));
    let mut others = Vec::new();
    let told = async {
        loop {
            let mut publisher = TcpStream::connect(push).await.unwrap();
            let answer = refused_line(&mut publisher).await;
            if answer.contains("no file descriptors") {
                break;
            }
            // Whoever is told may be reset behind it, and read nothing.
            assert!(answer.is_empty() || answer.contains("bad_json"), "{answer}");
            others.extend((!answer.is_empty()).then_some(publisher));
        }
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap();
    others
}

/// Sends a bad line; what comes first.
async fn refused_line(publisher: &mut TcpStream) -> String {
    // It may have been told and closed already.
    let _ = publisher.write_all(b"{\n").await;
    let (mut answer, mut byte) = (Vec::new(), [0]);
    loop {
        let read = tokio::time::timeout(PATIENCE, publisher.read(&mut byte)).await;
        if read.unwrap().unwrap_or(0) == 0 || byte == *b"\n" {
            break;
        }
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_clients_do_not_fit_in_the_limit_of_open_files_fewer_are_let_in() {
    let process = Process::start("ulimit -Sn 100; ulimit -Hn 300;", "");
    let log = process.log();
    let squeezed = log
        .lines()
        .find(|line| line.contains("limits.connections_max: 20000 "));
    let squeezed = squeezed.unwrap_or_else(|| panic!("{log}"));
    // Nobody has asked for as many as the default allows.
    for part in ["INFO", " 300 ", "lowered to 150", "LimitNOFILE"] {
        assert!(squeezed.contains(part), "{squeezed} lacks {part}");
    }
    let metrics = http(process.served.admin, "GET /metrics").await;
    assert!(
        metrics.contains("process_max_fds 300\n"),
        "the soft limit is raised"
    );
    let mut clients = Vec::new();
    for _ in 0..150 {
        clients.push(Raw::connect(process.served.public).await);
    }
    let (_, head) = Raw::handshake(process.served.public, "GET", "/v1/ws", "").await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    let metrics = http(process.served.admin, "GET /metrics").await;
    assert!(
        metrics.contains("tapecast_handshakes_refused_total{reason=\"all_cap\"} 1\n"),
        "by the limit, not for want of descriptors: {metrics}"
    );
}

#[test]
fn a_check_warns_of_clients_that_do_not_fit_in_the_limit_of_open_files() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("t.toml");
    fs::write(&config, "[[source]]\nkind = \"sim\"\n").unwrap();
    let check = |files: usize| {
        let binary = env!("CARGO_BIN_EXE_tapecast");
        let script = format!(
            "ulimit -n {files}; exec {binary} config check {}",
            config.display()
        );
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let source = "[[source]]\nkind = \"sim\"\n";
    for (limits, kind) in [
        ("", ": note"),
        ("[limits]\nconnections_max = 20000\n", ":2: warning"),
    ] {
        fs::write(&config, format!("{limits}{source}")).unwrap();
        let said = check(1_000);
        let place = format!("t.toml{kind}: limits.connections_max: 20000 ");
        assert!(said.contains(&place) && said.contains(" 1000 "), "{said}");
    }
    fs::write(
        &config,
        "[limits]\nconnections_max = 100\n[[source]]\nkind = \"sim\"\n",
    )
    .unwrap();
    assert_eq!(check(1_000), "");
}
