//! A log that nobody reads: standard error closed, on a full disk, or a pipe that is full.

use crate::binary::{FREE_PORTS, Served, tapecast};
use crate::support::{Raw, http};
use rustix::process::Signal;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A gateway with a push source, and where that listens.
struct Desk {
    served: Served,
    push: SocketAddr,
    _folder: tempfile::TempDir,
}

fn serve(stderr: Stdio) -> Desk {
    let folder = tempfile::tempdir().unwrap();
    let push = crate::support::free_address();
    let path = folder.path().join("t.toml");
    let text = format!(
        "[log]\nfilter = \"debug\"\n[[source]]\nkind = \"push\"\nvenue = \"desk\"\nlisten = \"{push}\"\n"
    );
    std::fs::write(&path, text).unwrap();
    let arguments = ["serve", "--config", path.to_str().unwrap()];
    let mut command = tapecast(&[&arguments[..], &FREE_PORTS].concat());
    Desk {
        served: Served::start(command.stderr(stderr)),
        push,
        _folder: folder,
    }
}

/// Everything works, and the process ends as it should.
fn check(desk: Desk, name: &str) {
    let (mut served, push) = (desk.served, desk.push);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // Handshakes that are refused are worth a line each at `debug`; with 64 KB in a pipe these fill it.
    for _ in 0..1_500 {
        let mut stream = TcpStream::connect(served.public).unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nbad header\r\n\r\n")
            .unwrap();
        let _ = stream.read(&mut [0; 256]);
    }
    served.signal(Signal::HUP);
    let mut publisher = TcpStream::connect(push).unwrap();
    for _ in 0..100 {
        publisher.write_all(b"{\n").unwrap();
        let mut answer = [0; 8];
        publisher.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"{\"error\"", "{name}: the push source answers");
        // The rest of the line.
        let mut byte = [0];
        while byte != *b"\n" {
            publisher.read_exact(&mut byte).unwrap();
        }
    }
    for probe in ["GET /livez", "GET /readyz"] {
        let answer = runtime.block_on(http(served.admin, probe));
        assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
    }
    let mut client = runtime.block_on(Raw::connect(served.public));
    let told = Instant::now();
    served.signal(Signal::TERM);
    assert_eq!(runtime.block_on(client.close_code()), 1001, "{name}");
    let status = served.wait();
    assert!(status.success(), "{name}: {status}");
    assert!(
        told.elapsed() < Duration::from_secs(10),
        "{name}: {:?}",
        told.elapsed()
    );
}

fn lines_lost(Desk { served, .. }: &Desk) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let text = runtime.block_on(http(served.admin, "GET /metrics"));
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix("tapecast_log_lines_lost_total "));
    line.unwrap().parse().unwrap()
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    // The reader of the pipe is there and does not read.
    let mut desk = serve(Stdio::piped());
    let unread = desk.served.child.stderr.take();
    check(desk, "a pipe that is full");
    drop(unread);
}

#[test]
fn a_log_that_is_closed_stops_nothing() {
    let (binary, ports) = (env!("CARGO_BIN_EXE_tapecast"), FREE_PORTS.join(" "));
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec {binary} serve {ports} 2>&- <&-")]);
    let mut served = Served::start(&mut shell);
    served.signal(Signal::HUP);
    is_ready(&served);
    served.end();
}

#[test]
fn a_log_whose_reader_has_gone_stops_nothing() {
    let mut desk = serve(Stdio::piped());
    drop(desk.served.child.stderr.take());
    // What could not be written is counted.
    desk.served.signal(Signal::HUP);
    let until = Instant::now() + crate::support::PATIENCE;
    while lines_lost(&desk) == 0 {
        assert!(Instant::now() < until, "no line was counted as lost");
    }
    check(desk, "a pipe whose reader has gone");
}

#[test]
fn a_log_on_a_full_disk_stops_nothing() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let desk = serve(full.into());
    assert!(lines_lost(&desk) > 0, "the lines of the start were lost");
    check(desk, "a full disk");
}

#[test]
fn fifty_thousand_bad_lines_are_answered_each_and_make_no_lines_of_the_log_and_no_metrics() {
    const LINES: usize = 50_000;
    let Desk {
        mut served,
        push,
        _folder,
    } = serve(Stdio::piped());
    let stderr = BufReader::new(served.child.stderr.take().unwrap());
    let logged = std::thread::spawn(move || stderr.lines().map_while(Result::ok).count());
    let mut publisher = TcpStream::connect(push).unwrap();
    let answers = BufReader::new(publisher.try_clone().unwrap());
    let reader = std::thread::spawn(move || {
        let answers = answers.lines().map_while(Result::ok);
        answers
            .filter(|answer| answer.starts_with("{\"error\":"))
            .count()
    });
    let text: String = (0..LINES)
        .map(|n| format!("{{\"channel\":\"quote\",\"symbol\":\"SYMBOL{n}-USD\",\"bid\":\"x\"}}\n"))
        .collect();
    publisher.write_all(text.as_bytes()).unwrap();
    publisher.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(reader.join().unwrap(), LINES);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let metrics = runtime.block_on(http(served.admin, "GET /metrics"));
    let rejects = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("tapecast_feed_rejects_total{"))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<usize>().ok());
    assert_eq!(rejects.sum::<usize>(), LINES);
    assert!(!metrics.contains("SYMBOL"), "no series per symbol");
    served.end();
    let logged = logged.join().unwrap();
    assert!(logged < 100, "{logged} lines for {LINES} bad ones");
}

#[test]
fn addresses_of_ipv6_are_listened_on() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        // A machine without IPv6.
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for listen in ["[::1]:0", "[::]:0"] {
        let arguments = ["serve", "--listen", listen, "--admin-listen", "[::1]:0"];
        let mut served = Served::start(tapecast(&arguments).stderr(Stdio::null()));
        let loopback = SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), served.public.port());
        let answer = runtime.block_on(http(loopback, "GET /v1/topics"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{listen}: {answer}");
        let answer = runtime.block_on(http(served.admin, "GET /readyz"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{listen}: {answer}");
        served.end();
    }
}

fn is_ready(served: &Served) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let answer = runtime.block_on(http(served.admin, "GET /readyz"));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
