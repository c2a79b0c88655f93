//! Requests: answers of every status, and answers that do not come.

use crate::authority::Authority;
use crate::peer::{answer, head, serve, tls, until_end};
use crate::{LONG, Rig, config};
use std::io::Write as _;
use std::sync::mpsc;
use std::time::Duration;
use tapecast_connect::{Command, ConnectConfig, FailureKind, Report};
use tapecast_model::clock::{mono_now, unix_now};

#[test]
fn an_answer_comes_with_status_headers_body_and_time() {
    let (saw, seen) = mpsc::channel();
    let port = serve(move |mut connection| {
        saw.send(head(&mut connection)).unwrap();
        let answer = "HTTP/1.1 200 OK\r\nX-MBX-Used-Weight-1M: 7\r\nTransfer-Encoding: chunked\r\n\r\n\
                      3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n";
        connection.write_all(answer.as_bytes()).unwrap();
    });
    let rig = Rig::new(config());
    rig.commands.send(Command::Http {
        id: 3,
        url: format!("http://me:hunter2@127.0.0.1:{port}/api/v3/depth?symbol=BTCUSDT&limit=5000"),
        headers: vec![("X-Key".to_owned(), "k".to_owned())],
        timeout: LONG,
    });
    let Report::Http {
        id,
        status,
        headers,
        body,
        mono,
        wall,
    } = rig.next()
    else {
        panic!("an answer");
    };
    assert_eq!(
        (id, status, body.as_slice()),
        (3, 200, b"{\"a\":1}".as_slice())
    );
    let weight = headers
        .iter()
        .find(|(name, _)| name == "x-mbx-used-weight-1m");
    assert_eq!(weight.unwrap().1, "7");
    assert!(mono <= mono_now() && wall <= unix_now());
    let head = seen.recv_timeout(LONG).unwrap();
    let (first, rest) = head.split_once("\r\n").unwrap();
    assert_eq!(
        first,
        "GET /api/v3/depth?symbol=BTCUSDT&limit=5000 HTTP/1.1"
    );
    let rest = rest.to_lowercase();
    assert!(
        rest.contains(&format!("host: 127.0.0.1:{port}\r\n")),
        "{rest}"
    );
    assert!(
        rest.contains("x-key: k\r\n") && rest.contains("user-agent: tapecast/"),
        "{rest}"
    );
    assert!(!rest.contains("hunter2"), "{rest}");
}

#[test]
fn a_refusal_is_an_answer() {
    let port =
        answer("HTTP/1.1 418 I'm a teapot\r\nRetry-After: 120\r\nContent-Length: 6\r\n\r\nbanned");
    let rig = Rig::new(config());
    rig.get(1, format!("http://127.0.0.1:{port}/"), LONG);
    let Report::Http {
        status,
        headers,
        body,
        ..
    } = rig.next()
    else {
        panic!("an answer");
    };
    assert_eq!((status, body.as_slice()), (418, b"banned".as_slice()));
    assert!(headers.contains(&("retry-after".to_owned(), "120".to_owned())));
}

#[test]
fn answers_that_are_not_complete_fail_by_kind() {
    let rig = Rig::new(ConnectConfig {
        message_bytes_max: 1_000,
        ..config()
    });
    let check = |port: u16, kind: FailureKind, part: &str| {
        let url = format!("http://127.0.0.1:{port}/a?key=hunter2");
        rig.get(1, url, Duration::from_millis(300));
        let failure = rig.failure();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.text.contains(part), "{failure}");
        assert!(!failure.text.contains("hunter2"), "{failure}");
    };
    let truncated = answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    check(truncated, FailureKind::Io, "before the answer was complete");
    check(
        answer(""),
        FailureKind::Io,
        "before the answer was complete",
    );
    check(
        answer("SSH-2.0-OpenSSH\r\n\r\n"),
        FailureKind::Protocol,
        "not HTTP",
    );
    let announced = answer("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n");
    check(announced, FailureKind::TooLarge, "1001");
    let endless = serve(|mut connection| {
        head(&mut connection);
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while connection.write_all(&[b'x'; 100]).is_ok() {}
    });
    check(endless, FailureKind::TooLarge, "above the limit of 1000");
    check(serve(until_end), FailureKind::Timeout, "within 300ms");
    let dripping = serve(|mut connection| {
        head(&mut connection);
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        until_end(connection);
    });
    check(dripping, FailureKind::Timeout, "within 300ms");
}

#[test]
fn what_cannot_be_asked_is_refused_without_its_value() {
    let rig = Rig::new(config());
    rig.commands.send(Command::Http {
        id: 1,
        url: "http://127.0.0.1:1/".to_owned(),
        headers: vec![("X-Key".to_owned(), "hunter2\n".to_owned())],
        timeout: Duration::MAX,
    });
    let failure = rig.failure();
    assert_eq!(failure.kind, FailureKind::Url);
    assert!(
        failure.text.contains("X-Key") && !failure.text.contains("hunter2"),
        "{failure}"
    );
    rig.get(2, "wss://127.0.0.1:1/", LONG);
    rig.fails(FailureKind::Url, &["https://"]);
}

#[test]
fn requests_use_the_same_trust() {
    let authority = Authority::new();
    let file = authority.file();
    let server = authority.server("localhost");
    let port = serve(move |connection| {
        let mut stream = tls(connection, &server);
        head(&mut stream);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .unwrap();
        stream.conn.send_close_notify();
        let _ = stream.flush();
    });
    let rig = Rig::new(ConnectConfig {
        ca_file: Some(file.path().to_owned()),
        ..config()
    });
    for id in 0..5 {
        rig.get(id, format!("https://localhost:{port}/"), LONG);
        assert!(matches!(rig.next(), Report::Http { status: 200, .. }));
    }
}
