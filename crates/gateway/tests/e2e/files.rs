//! A process without file descriptors: a real one, its limit lowered while it runs.

use crate::support::{PATIENCE, Raw, http};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A gateway in a process of its own, killed at the end.
struct Process {
    child: Child,
    public: SocketAddr,
    admin: SocketAddr,
    folder: tempfile::TempDir,
}

impl Process {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("t.toml");
        let text = "[[source]]\nkind = \"sim\"\nsymbols = 1\nevents_per_second = 20\n[shards]\ncount = 1\n\
                    [limits]\nhandshake_timeout = \"1m\"\n";
        fs::write(&config, text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tapecast"))
            .args(["serve", "--config", config.to_str().unwrap()])
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let addresses: Vec<SocketAddr> = lines
            .map_while(Result::ok)
            .filter_map(|line| {
                let address = line.split("http://").nth(1)?.split('/').next()?;
                address.parse().ok()
            })
            .take(2)
            .collect();
        Self {
            child,
            public: addresses[0],
            admin: addresses[1],
            folder,
        }
    }

    fn of(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
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
        let pid = Pid::from_child(&self.child);
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

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_file_descriptors_clients_are_told_and_probes_answer() {
    let process = Process::start();
    let mut client = Raw::connect(process.public).await;
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
        held.push(TcpStream::connect(process.public).await.unwrap());
    }
    while told.len() < 5 {
        let mut stream = TcpStream::connect(process.public).await.unwrap();
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
        let answer = http(process.admin, &format!("GET {probe}")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    // Also behind clients of the admin listener that say nothing: they make room.
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(process.admin).await.unwrap());
    }
    let metrics = http(process.admin, "GET /metrics").await;
    assert!(metrics.contains("tapecast_handshakes_refused_total{reason=\"files\"}"));
    // Nobody turns in circles, or fills the log.
    let (began, busy) = (Instant::now(), process.busy());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let share = (process.busy() - busy).as_secs_f64() / began.elapsed().as_secs_f64();
    assert!(share < 0.5, "{share}");
    let failures = process.log().matches("Failed to accept").count();
    assert!((1..=6).contains(&failures), "{}", process.log());
    // Who is connected lives on.
    for _ in 0..5 {
        assert!(client.frame().await.is_some());
    }
    // And who comes when there is room is let in.
    drop(held);
    let let_in = async {
        loop {
            let (_, head) = Raw::handshake(process.public, "GET", "/v1/ws", "").await;
            if head.starts_with("HTTP/1.1 101") {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, let_in)
        .await
        .expect("there is room again");
}
