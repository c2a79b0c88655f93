//! Lines without TLS: what is sent and received, and every kind of end.

use crate::peer::{self, answer, drain, serve, text, until_end, websocket};
use crate::{LONG, Rig, config};
use socket2::SockRef;
use std::io::Write as _;
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;
use tapecast_connect::{Command, ConnectConfig, FailureKind, Frame, Report};
use tapecast_model::clock::{mono_now, unix_now};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

#[test]
fn a_line_sends_and_receives_in_order_with_times_and_our_name() {
    let (saw, seen) = mpsc::channel();
    let port = serve(move |mut connection| {
        // The head is read twice: here, and by the handshake.
        let mut head = [0; 4_096];
        let n = connection.peek(&mut head).unwrap();
        saw.send(String::from_utf8_lossy(&head[..n]).into_owned())
            .unwrap();
        connection.flush().unwrap();
        let mut socket = peer::accept(connection);
        // Both with one write, so that one read takes them.
        socket.write(Message::text("hello")).unwrap();
        socket.write(Message::text("hello")).unwrap();
        socket.flush().unwrap();
        let asked = text(&mut socket);
        socket.send(Message::text(asked + "!")).unwrap();
        socket.send(Message::binary(vec![1, 2])).unwrap();
        drain(&mut socket);
    });
    let rig = Rig::new(config());
    let before = (mono_now(), unix_now());
    rig.connect(7, format!("ws://127.0.0.1:{port}/ws?streams=a"));
    // Before it is connected: it waits.
    rig.send(7, "subscribe");
    assert_eq!(rig.next(), Report::Connected { line: 7 });
    let Report::Message {
        line,
        frame,
        mono,
        wall,
    } = rig.next()
    else {
        panic!("a message");
    };
    assert_eq!((line, frame), (7, Frame::Text(b"hello".to_vec())));
    assert!(before.0 <= mono && mono <= mono_now());
    assert!(before.1 <= wall && wall <= unix_now());
    let Report::Message { mono: second, .. } = rig.next() else {
        panic!("a message");
    };
    assert_eq!(second, mono, "the time is that of the read");
    assert_eq!(rig.text(), "subscribe!");
    let Report::Message { frame, .. } = rig.next() else {
        panic!("a message");
    };
    assert_eq!(frame, Frame::Binary(vec![1, 2]));
    let head = seen.recv_timeout(LONG).unwrap().to_lowercase();
    assert!(head.starts_with("get /ws?streams=a http/1.1"), "{head}");
    let agent = concat!("user-agent: tapecast/", env!("CARGO_PKG_VERSION"));
    assert!(head.contains(agent), "{head}");
    assert!(!head.contains("extensions"), "{head}");
}

#[test]
fn pings_are_answered_and_reported_and_ours_are_too() {
    let url = websocket(|mut socket| {
        socket
            .send(Message::Ping(b"are you there".to_vec().into()))
            .unwrap();
        let pong = socket.read().unwrap();
        socket.send(Message::text(format!("{pong:?}"))).unwrap();
        drain(&mut socket);
    });
    let rig = Rig::new(config());
    rig.connected(1, url);
    let frame = |report| match report {
        Report::Message { frame, .. } => frame,
        other => panic!("a message, not {other:?}"),
    };
    assert_eq!(frame(rig.next()), Frame::Ping(b"are you there".to_vec()));
    assert_eq!(rig.text(), r#"Pong(b"are you there")"#);
    let payload = vec![7; 300];
    rig.commands.send(Command::Ping { line: 1, payload });
    assert_eq!(frame(rig.next()), Frame::Pong(vec![7; 125]));
}

#[test]
fn the_peers_close_comes_after_its_messages_and_is_answered() {
    let (saw, seen) = mpsc::channel();
    let url = websocket(move |mut socket| {
        for n in 0..1_000 {
            socket.send(Message::text(n.to_string())).unwrap();
        }
        let frame = CloseFrame {
            code: 1012.into(),
            reason: "restart\n".into(),
        };
        socket.close(Some(frame)).unwrap();
        let last = loop {
            if let Err(last) = socket.read() {
                break last;
            }
        };
        saw.send(last).unwrap();
    });
    let rig = Rig::new(config());
    rig.connected(1, url);
    for n in 0..1_000 {
        assert_eq!(rig.text(), n.to_string());
    }
    assert_eq!(rig.closed(), (1, Some(1012), "restart".to_owned()));
    // The peer has our answer.
    let last = seen.recv_timeout(LONG).unwrap();
    assert!(matches!(last, Error::ConnectionClosed), "{last}");
}

#[test]
fn a_connection_that_just_ends_is_closed_without_a_code() {
    let url = websocket(|mut socket| {
        socket.send(Message::text("last")).unwrap();
    });
    let rig = Rig::new(config());
    rig.connected(1, url.clone());
    assert_eq!(rig.text(), "last");
    let (_, code, reason) = rig.closed();
    assert_eq!(code, None);
    assert!(reason.contains("without a close frame"), "{reason}");
    // The number can be used again.
    rig.connected(1, url);
}

#[test]
fn our_close_sends_what_waits_and_is_answered() {
    let (saw, seen) = mpsc::channel();
    let url = websocket(move |mut socket| {
        socket
            .send(Message::text("not to be seen any more"))
            .unwrap();
        let asked = text(&mut socket);
        let Message::Close(Some(frame)) = socket.read().unwrap() else {
            panic!("a close frame");
        };
        saw.send((asked, u16::from(frame.code))).unwrap();
        drain(&mut socket);
    });
    let rig = Rig::new(config());
    rig.connected(1, url);
    rig.send(1, "goodbye");
    rig.commands.send(Command::Close { line: 1 });
    rig.send(1, "too late");
    let (line, code, _) = rig.closed();
    assert_eq!((line, code), (1, Some(1000)));
    assert_eq!(
        seen.recv_timeout(LONG).unwrap(),
        ("goodbye".to_owned(), 1000)
    );
    assert_eq!(rig.reports.recv_timeout(Duration::ZERO), None);
}

#[test]
fn a_dead_peer_delays_neither_its_close_nor_another_connect() {
    // It completes the handshake, then neither reads nor writes.
    let (hold, held) = mpsc::channel();
    let url = websocket(move |socket| {
        let small = SockRef::from(socket.get_ref()).set_recv_buffer_size(4_096);
        small.unwrap();
        hold.send(socket).unwrap();
    });
    let rig = Rig::new(ConnectConfig {
        close_timeout: Duration::from_secs(1),
        ..config()
    });
    rig.connected(1, url.clone());
    let _first = held.recv_timeout(LONG).unwrap();
    // More than the kernel takes, in two steps, so that less than the limit waits to be sent. The close frame
    // cannot be sent after that.
    let text = "x".repeat(1_300_000);
    (0..3).for_each(|_| rig.send(1, &text));
    rig.connected(2, url.clone());
    (0..2).for_each(|_| rig.send(1, &text));
    rig.commands.send(Command::Close { line: 1 });
    rig.connect(3, url.clone());
    assert_eq!(rig.next(), Report::Connected { line: 3 });
    let (line, code, reason) = rig.closed();
    assert_eq!((line, code), (1, None));
    assert!(reason.contains("did not answer within 1s"), "{reason}");
    // The same number at once: its close comes first.
    rig.commands.send(Command::Close { line: 2 });
    rig.connect(2, url);
    assert_eq!(rig.closed().0, 2);
    assert_eq!(rig.next(), Report::Connected { line: 2 });
}

#[test]
fn a_line_can_be_closed_while_it_connects() {
    let port = serve(until_end);
    let rig = Rig::new(config());
    rig.connect(1, format!("ws://127.0.0.1:{port}"));
    // A second connect of the same line is ignored.
    rig.connect(1, format!("ws://127.0.0.1:{port}"));
    rig.commands.send(Command::Close { line: 1 });
    let (line, code, reason) = rig.closed();
    assert_eq!((line, code), (1, None));
    assert!(reason.contains("before it was connected"), "{reason}");
    assert_eq!(rig.reports.recv_timeout(Duration::ZERO), None);
}

#[test]
fn refused_handshakes_say_status_and_retry_after_and_why() {
    let check = |answer_text: &str, status: u16, retry_after: Option<u64>, parts: &[&str]| {
        let port = answer(answer_text);
        let rig = Rig::new(config());
        rig.connect(1, format!("ws://127.0.0.1:{port}/ws?key=hunter2"));
        let retry_after = retry_after.map(Duration::from_secs);
        let failure = rig.failure();
        assert_eq!(
            failure.kind,
            FailureKind::Http {
                status,
                retry_after
            }
        );
        for part in parts {
            assert!(failure.text.contains(part), "{part:?} is not in {failure}");
        }
        assert!(!failure.text.contains("hunter2"), "{failure}");
    };
    check(
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 30\r\nContent-Length: 4\r\n\r\nslow",
        429,
        Some(30),
        &["429", "30 s", "slow", "127.0.0.1"],
    );
    check(
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: Sat, 01 Jan 2000 00:00:00 GMT\r\n\r\n",
        503,
        Some(0),
        &["503"],
    );
    check(
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 29\r\n\r\nnot from here: /ws?key=hunter2",
        403,
        None,
        &["403 Forbidden", "not from here"],
    );
    check(
        "HTTP/1.1 302 Found\r\nLocation: wss://new.test/ws?key=hunter2\r\n\r\n",
        302,
        None,
        &["moved to wss://new.test/ws"],
    );
}

#[test]
fn what_is_no_handshake_fails_by_kind() {
    let check = |port: u16, kind: FailureKind, part: &str| {
        let rig = Rig::new(ConnectConfig {
            connect_timeout: Duration::from_millis(200),
            ..config()
        });
        rig.connect(1, format!("ws://127.0.0.1:{port}"));
        rig.fails(kind, &[part]);
    };
    let garbage = answer("SSH-2.0-OpenSSH_9.2\r\n\r\n");
    check(garbage, FailureKind::Protocol, "wrongly");
    let wrong_key = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";
    check(answer(wrong_key), FailureKind::Protocol, "Accept");
    check(
        answer(vec![0xff; 100_000]),
        FailureKind::Protocol,
        "wrongly",
    );
    check(answer(""), FailureKind::Io, "closed the connection");
    check(
        serve(until_end),
        FailureKind::Timeout,
        "not answered in time",
    );
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    check(port, FailureKind::Refused, "cannot be reached");
    let rig = Rig::new(config());
    rig.connect(1, "https://hunter2");
    let failure = rig.failure();
    assert_eq!(failure.kind, FailureKind::Url);
    assert!(failure.text.contains("wss://"), "{failure}");
    rig.connect(1, "ws://no-such-host.invalid/");
    rig.fails(FailureKind::Dns, &["no-such-host.invalid"]);
}

#[test]
fn a_peer_that_breaks_the_protocol_is_closed_with_a_reason() {
    let check = |bytes: &[u8], part: &str, code: u16| {
        let bytes = bytes.to_vec();
        let (saw, seen) = mpsc::channel();
        let url = websocket(move |mut socket| {
            socket.get_mut().write_all(&bytes).unwrap();
            let close = socket.read();
            let _ = saw.send(format!("{close:?}"));
        });
        let rig = Rig::new(config());
        rig.connected(1, url);
        let (_, ours, reason) = rig.closed();
        assert_eq!(ours, None);
        assert!(reason.contains(part), "{part:?} is not in {reason}");
        let seen = seen.recv_timeout(LONG).unwrap();
        let name = tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode::from(code);
        assert!(seen.contains(&format!("{name:?}")), "{seen}");
    };
    check(b"\x81\x02\xff\xff", "UTF-8", 1007);
    check(b"\xf1\x00", "protocol", 1002);
    check(b"\x83\x00", "protocol", 1002);
    check(b"\x81\x82\x00\x00\x00\x00hi", "protocol", 1002);
    let mut long_ping = b"\x89\x7e\x00\x80".to_vec();
    long_ping.resize(4 + 128, b'x');
    check(&long_ping, "protocol", 1002);
    check(b"\x80\x01x", "protocol", 1002);
    // A frame of 2^63 - 1 bytes.
    check(
        b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff",
        "above the limit",
        1009,
    );
}

#[test]
fn random_bytes_end_at_most_their_own_line() {
    let url = websocket(|mut socket| {
        // Small lengths and all kinds of frames are more frequent than in plain noise.
        let mut state = u64::from(socket.get_ref().peer_addr().unwrap().port()) | 1 << 40;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..50 {
            let first = if random() % 8 == 0 {
                random() as u8
            } else {
                0x80 | (random() % 11) as u8
            };
            let length = (random() % 128) as u8;
            let mut bytes = vec![first, length];
            bytes.extend((0..length).map(|_| random() as u8 & 0x7f));
            if socket.get_mut().write_all(&bytes).is_err() {
                return;
            }
        }
    });
    let rig = Rig::new(config());
    for _ in 0..200 {
        rig.connected(1, url.clone());
        loop {
            match rig.next() {
                Report::Closed { .. } => break,
                Report::Message { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}
