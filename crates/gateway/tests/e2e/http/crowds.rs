//! Clients that are late, deaf or too many, on both listeners.

use super::{SIM, header, raw, rest, status};
use crate::support::{PATIENCE, Raw, gateway, http, metric, wait_for_metric};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// Short times, so that nobody waits long for what is late.
const HASTY: &str = "[[source]]\nkind = \"sim\"\nsymbols = 50\n[limits]\nhandshake_timeout = \"400ms\"\n\
                     http_answer_timeout = \"400ms\"\nhttp_idle_timeout = \"400ms\"\nhttp_requests_max = 5\n\
                     http_requests_per_address_per_s = 1000000\n";

/// Connects from one of this machine's addresses.
async fn connect_from(address: [u8; 4], to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::from(address), 0))?;
    socket.connect(to).await
}

/// One request from an address; what is answered.
async fn ask_from(address: [u8; 4], to: SocketAddr, path: &str) -> String {
    let mut stream = connect_from(address, to).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(request.as_bytes()).await;
    rest(&mut stream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_late_is_cut() {
    let gateway = gateway(HASTY).await;
    let public = gateway.public_address();
    // Who says nothing; who trickles; who asked once and trickles the next request.
    let begin = "GET /style.css HTTP/1.1\r\nHost: localhost\r\n";
    for first in ["", "G", begin, &format!("{begin}\r\n")] {
        let stream = TcpStream::connect(public).await.unwrap();
        let (mut reads, mut writes) = stream.into_split();
        writes.write_all(first.as_bytes()).await.unwrap();
        let trickle = tokio::spawn(async move {
            while writes.write_all(b"X").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let mut answer = Vec::new();
        let read = async { while matches!(reads.read_buf(&mut answer).await, Ok(n) if n > 0) {} };
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("it is cut");
        trickle.abort();
    }
    let name = "tapecast_http_refused_total{listener=\"public\",reason=\"slow_request\"}";
    wait_for_metric(&gateway, name, |count| count >= 2).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_no_answer_is_cut_and_a_connection_has_so_many_requests() {
    let many = HASTY.replace("http_requests_max = 5", "http_requests_max = 100000");
    let first = gateway(&many).await;
    let public = first.public_address();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut deaf = socket.connect(public).await.unwrap();
    let request = "GET /app.js HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(50);
    let sent = async { while deaf.write_all(request.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, sent)
        .await
        .expect("it is cut");
    let name = "tapecast_http_refused_total{listener=\"public\",reason=\"slow_answer\"}";
    wait_for_metric(&first, name, |count| count == 1).await;
    first.stop().await;

    let gateway = gateway(HASTY).await;
    let request = "GET /favicon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(40);
    let answers = raw(gateway.public_address(), &request).await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 5, "{answers}");
    assert_eq!(
        answers.to_lowercase().matches("connection: close").count(),
        1
    );
    // What has a body is the last one, for the body is not read.
    let body = "GET /favicon.svg HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc";
    let answers = raw(gateway.public_address(), &body.repeat(3)).await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 1, "{answers}");
    gateway.stop().await;
}

/// Opens connections from an address until one is told to come later; answers how many and with what.
async fn fill(from: [u8; 4], to: SocketAddr, say: &str, held: &mut Vec<TcpStream>) -> String {
    for _ in 0..1_100 {
        let mut stream = connect_from(from, to).await.unwrap();
        // It may have been told and closed already.
        let _ = stream.write_all(say.as_bytes()).await;
        held.push(stream);
    }
    ask_from(from, to, "/").await
}

/// With 1,100 connections of one address that say so, others get in and the same is told to come later.
async fn one_address_holds_its_share_only(say: &str) {
    // Nobody is cut while this test looks.
    let text = format!(
        "{SIM}[limits]\nhandshake_timeout = \"1m\"\nhttp_answer_timeout = \"1m\"\nhttp_idle_timeout = \"1m\"\n\
         http_requests_per_address_per_s = 1000000\n"
    );
    let gateway = gateway(&text).await;
    let public = gateway.public_address();
    let mut held = Vec::new();
    let told = fill([127, 0, 0, 2], public, say, &mut held).await;
    assert!(matches!(status(&told), 429 | 503), "{told}");
    assert!(header(&told, "retry-after").is_some(), "{told}");
    let other = ask_from([127, 0, 0, 3], public, "/v1/topics").await;
    assert_eq!(status(&other), 200, "{other}");
    let (_, head) = Raw::handshake(public, "GET", "/v1/ws", "").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert_eq!(
        status(&http(gateway.admin_address(), "GET /readyz").await),
        200
    );
    drop(held);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_of_one_address_hold_up_nobody_else() {
    one_address_holds_its_share_only("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelining_connections_of_one_address_hold_up_nobody_else() {
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    one_address_holds_its_share_only(&request.repeat(20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_all_makes_the_idle_go_and_refuses_with_a_word() {
    let text = format!(
        "{SIM}[limits]\nhandshakes_max = 4\nhandshakes_per_address_max = 4\nhttp_connections_max = 2\n\
         handshake_timeout = \"1m\"\nhttp_idle_timeout = \"1m\"\n\
         http_requests_per_address_per_s = 1000000\n"
    );
    let gateway = gateway(&text).await;
    let public = gateway.public_address();
    let mut idle = Vec::new();
    for last in 2..4 {
        let mut stream = connect_from([127, 0, 0, last], public).await.unwrap();
        stream
            .write_all(b"GET /favicon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        idle.push(stream);
    }
    // Who has just been answered is left in peace; who has been idle for a second makes room.
    let answered = async {
        loop {
            let answer = ask_from([127, 0, 0, 9], public, "/favicon.svg").await;
            if status(&answer) == 200 {
                break;
            }
            assert_eq!(status(&answer), 503, "{answer}");
            assert!(header(&answer, "retry-after").is_some(), "{answer}");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.unwrap();
    rest(&mut idle[0]).await;
    // Handshakes: all places taken is 503, and the book of reasons knows it.
    let mut silent = Vec::new();
    let busy = async {
        loop {
            silent.push(TcpStream::connect(public).await.unwrap());
            let name = "tapecast_handshakes_refused_total{reason=\"share\"}";
            if metric(&gateway, name).await.unwrap() > 0 {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, busy).await.unwrap();
    let (_, head) = Raw::handshake(public, "GET", "/v1/ws", "").await;
    assert_eq!(status(&head), 429, "{head}");
    let other = ask_from([127, 0, 0, 8], public, "/v1/ws").await;
    assert_eq!(status(&other), 503, "{other}");
    assert!(header(&other, "retry-after").is_some(), "{other}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_told_when_to_come_back_and_others_notice_nothing() {
    let text = format!("{SIM}[limits]\nhttp_requests_per_address_per_s = 2\n");
    let gateway = gateway(&text).await;
    let public = gateway.public_address();
    let request = "GET /favicon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20);
    // However slow this machine is, some of them come within the same second.
    let told = async {
        loop {
            let mut stream = connect_from([127, 0, 0, 2], public).await.unwrap();
            let _ = stream.write_all(request.as_bytes()).await;
            let answers = rest(&mut stream).await;
            if answers.contains("HTTP/1.1 429") {
                break answers;
            }
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await.unwrap();
    let refusal = &told[told.find("HTTP/1.1 429").unwrap()..];
    assert!(header(refusal, "retry-after").is_some(), "{refusal}");
    assert!(refusal.contains("more than 2 times a second"), "{refusal}");
    assert_eq!(
        refusal.matches("HTTP/1.1").count(),
        1,
        "its connection ends: {refusal}"
    );
    let name = "tapecast_http_refused_total{listener=\"public\",reason=\"rate\"}";
    assert!(metric(&gateway, name).await.unwrap() > 0);
    let other = ask_from([127, 0, 0, 3], public, "/v1/topics").await;
    assert_eq!(status(&other), 200, "{other}");
    // Data are not pages.
    for _ in 0..10 {
        let (_, head) = Raw::handshake(public, "GET", "/v1/ws", "").await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_with_five_pages_and_probes_of_one_address_are_not_too_often() {
    let gateway = gateway(SIM).await;
    let (public, admin) = (gateway.public_address(), gateway.admin_address());
    for _ in 0..5 * 13 {
        let answer = http(public, "GET /app.js").await;
        assert_eq!(status(&answer), 200, "{answer}");
    }
    for _ in 0..100 {
        for probe in ["GET /livez", "GET /readyz"] {
            assert_eq!(status(&http(admin, probe).await), 200);
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_answer_behind_clients_that_read_nothing() {
    let gateway = gateway(SIM).await;
    let admin = gateway.admin_address();
    let mut held = Vec::new();
    for say in ["", "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        for _ in 0..100 {
            let mut stream = TcpStream::connect(admin).await.unwrap();
            let _ = stream.write_all(say.repeat(30).as_bytes()).await;
            held.push(stream);
        }
        for probe in ["/livez", "/readyz", "/metrics"] {
            let answer = http(admin, &format!("GET {probe}")).await;
            assert_eq!(status(&answer), 200, "{answer}");
        }
    }
    let name = "tapecast_http_refused_total{listener=\"admin\",reason=\"evicted\"}";
    assert!(metric(&gateway, name).await.unwrap() > 50);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_kept_open_do_not_delay_the_end() {
    let gateway = gateway(SIM).await;
    let mut held = Vec::new();
    for say in ["", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        let mut stream = TcpStream::connect(gateway.public_address()).await.unwrap();
        stream.write_all(say.as_bytes()).await.unwrap();
        held.push(stream);
    }
    let mut client = Raw::connect(gateway.public_address()).await;
    let stopped = tokio::spawn(gateway.stop());
    assert_eq!(client.close_code().await, 1001);
    tokio::time::timeout(PATIENCE, stopped)
        .await
        .unwrap()
        .unwrap();
}
