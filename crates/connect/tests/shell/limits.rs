//! Sizes, slow sessions, many lines, and the end of a shell.

use crate::peer::{drain, websocket};
use crate::{LONG, Rig, config};
use std::sync::mpsc;
use std::time::Duration;
use tapecast_connect::{Command, ConnectConfig, Frame, Report};
use tapecast_model::clock::mono_now;
use tokio_tungstenite::tungstenite::{Error, Message};

#[test]
fn five_megabytes_are_a_message_and_one_byte_above_the_limit_is_a_close() {
    const LIMIT: usize = 5 << 20;
    let url = websocket(|mut socket| {
        socket.send(Message::text("x".repeat(LIMIT))).unwrap();
        // The shell may close before all of it is written.
        let _ = socket.send(Message::text("x".repeat(LIMIT + 1)));
        drain(&mut socket);
    });
    let rig = Rig::new(ConnectConfig {
        message_bytes_max: LIMIT,
        ..config()
    });
    rig.connected(1, url);
    assert_eq!(rig.text().len(), LIMIT);
    let (_, code, reason) = rig.closed();
    assert_eq!(code, None);
    assert_eq!(
        reason,
        "a message of 5242881 bytes is above the limit of 5242880"
    );
}

#[test]
fn one_frame_may_be_as_large_as_a_message() {
    // More than the library's own limit for frames.
    const BYTES: usize = 20 << 20;
    let url = websocket(|mut socket| {
        socket.send(Message::binary(vec![0; BYTES])).unwrap();
        drain(&mut socket);
    });
    let rig = Rig::new(config());
    rig.connected(1, url);
    let Report::Message { frame, .. } = rig.next() else {
        panic!("a message");
    };
    assert_eq!(frame.payload().len(), BYTES);
}

#[test]
fn fragments_together_have_the_same_limit() {
    use tokio_tungstenite::tungstenite::protocol::frame::Frame as Raw;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    let url = websocket(|mut socket| {
        for n in 0..4 {
            let kind = if n == 0 { Data::Text } else { Data::Continue };
            let frame = Raw::message(vec![b'x'; 400], OpCode::Data(kind), n == 3);
            if socket.send(Message::Frame(frame)).is_err() {
                break;
            }
        }
        drain(&mut socket);
    });
    let rig = Rig::new(ConnectConfig {
        message_bytes_max: 1_000,
        ..config()
    });
    rig.connected(1, url);
    let (_, _, reason) = rig.closed();
    assert!(reason.contains("above the limit of 1000"), "{reason}");
}

#[test]
fn a_session_that_does_not_read_loses_messages_and_pings_are_still_answered() {
    let (saw, seen) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let url = websocket(move |mut socket| {
        for n in 0..1_000 {
            socket.send(Message::text(format!("{n:0100}"))).unwrap();
        }
        socket
            .send(Message::Ping(b"still there?".to_vec().into()))
            .unwrap();
        saw.send(socket.read().unwrap()).unwrap();
        gone.lock().unwrap().recv().unwrap();
        socket.send(Message::text("after")).unwrap();
        socket.close(None).unwrap();
        drain(&mut socket);
    });
    let rig = Rig::new(ConnectConfig {
        queue_bytes: 10_000,
        ..config()
    });
    rig.connect(1, url);
    // Nothing is taken until the peer has its pong.
    let pong = seen.recv_timeout(LONG).unwrap();
    assert_eq!(pong, Message::Pong(b"still there?".to_vec().into()));
    let answered = mono_now();
    let (messages, bytes) = rig.reports.queued(1);
    assert!(messages > 0 && bytes <= 10_000, "{messages} {bytes}");
    go.send(()).unwrap();
    let mut kept = Vec::new();
    let mut lost = (0, 0);
    let mut overflows = 0;
    assert_eq!(rig.next(), Report::Connected { line: 1 });
    loop {
        match rig.next() {
            Report::Overflow {
                messages, bytes, ..
            } => {
                assert!(kept.is_empty(), "the loss comes before what was kept");
                overflows += 1;
                lost = (lost.0 + messages, lost.1 + bytes);
            }
            Report::Message { frame, mono, .. } => {
                // The times are those of the socket, not of the session.
                let late = frame.payload() == b"after";
                assert_eq!(mono > answered, late, "{frame:?}");
                kept.push(frame);
            }
            Report::Closed { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(overflows, 1);
    // Each message is kept or counted, and what is kept is the end, in order.
    let texts = kept.iter().filter(|frame| frame.payload().len() == 100);
    let numbers: Vec<u64> = texts
        .map(|frame| {
            std::str::from_utf8(frame.payload())
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    assert_eq!(lost.0 + numbers.len() as u64, 1_000);
    assert_eq!(lost.1, lost.0 * 100);
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    assert_eq!(numbers.last(), Some(&999));
    assert_eq!(kept[kept.len() - 2], Frame::Ping(b"still there?".to_vec()));
    assert_eq!(kept[kept.len() - 1], Frame::Text(b"after".to_vec()));
    assert_eq!(rig.reports.queued(1), (0, 0));
}

#[test]
fn a_peer_that_does_not_read_is_closed_when_too_much_waits() {
    let (hold, held) = mpsc::channel();
    let url = websocket(move |socket| hold.send(socket).unwrap());
    let rig = Rig::new(ConnectConfig {
        close_timeout: Duration::from_millis(50),
        ..config()
    });
    rig.connected(1, url);
    let _socket = held.recv_timeout(LONG).unwrap();
    for _ in 0..40 {
        rig.send(1, &"x".repeat(1 << 20));
    }
    let (_, code, reason) = rig.closed();
    assert_eq!(code, None);
    assert!(reason.contains("does not read"), "{reason}");
}

#[test]
fn pings_without_end_to_a_peer_that_does_not_read_pongs_end_nothing() {
    const PINGS: u32 = 150_000;
    let url = websocket(|mut socket| {
        // Their pongs are more than the kernel and the shell hold.
        for n in 0..PINGS {
            let mut payload = n.to_be_bytes().to_vec();
            payload.resize(125, 0);
            let ping = Message::Ping(payload.into());
            if let Err(Error::Io(error)) = socket.write(ping) {
                panic!("{error}");
            }
        }
        socket.send(Message::text("done")).unwrap();
        drain(&mut socket);
    });
    let rig = Rig::new(config());
    rig.connected(1, url);
    let mut pings = 0_u32;
    loop {
        match rig.next() {
            Report::Message {
                frame: Frame::Ping(payload),
                ..
            } => {
                assert_eq!(payload[..4], pings.to_be_bytes());
                pings += 1;
            }
            Report::Message {
                frame: Frame::Text(_),
                ..
            } => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pings, PINGS);
}

#[test]
fn a_busy_line_starves_no_other() {
    let busy = websocket(|mut socket| {
        let text = "x".repeat(1_000);
        while socket.send(Message::text(text.clone())).is_ok() {}
    });
    let echo = websocket(|mut socket| {
        while let Ok(message) = socket.read() {
            if message.is_text() {
                socket.send(message).unwrap();
            }
        }
    });
    let rig = Rig::new(ConnectConfig {
        queue_bytes: 1 << 20,
        ..config()
    });
    rig.connect(0, busy);
    for line in 1..=20 {
        rig.connect(line, echo.clone());
        rig.send(line, "0");
    }
    // Each quiet line goes a hundred times there and back beside the busy one.
    let mut left = 20;
    while left > 0 {
        if let Report::Message {
            line,
            frame: Frame::Text(text),
            ..
        } = rig.next()
            && line > 0
        {
            let n: u32 = std::str::from_utf8(&text).unwrap().parse().unwrap();
            if n == 100 {
                left -= 1;
            } else {
                rig.send(line, &(n + 1).to_string());
            }
        }
    }
}

#[test]
fn a_shell_ends_with_its_commands_and_says_goodbye() {
    let (saw, seen) = mpsc::channel();
    let url = websocket(move |mut socket| {
        saw.send(format!("{:?}", socket.read())).unwrap();
        drain(&mut socket);
    });
    let Rig { commands, reports } = Rig::new(config());
    commands.send(Command::Connect { line: 1, url });
    assert_eq!(
        reports.recv_timeout(LONG),
        Some(Report::Connected { line: 1 })
    );
    assert!(!reports.has_ended());
    drop(commands);
    let goodbye = seen.recv_timeout(LONG).unwrap();
    assert!(
        goodbye.contains("Close") && goodbye.contains("Normal"),
        "{goodbye}"
    );
    let last = reports.recv_timeout(LONG);
    assert!(
        matches!(last, Some(Report::Closed { line: 1, .. })),
        "{last:?}"
    );
    while !reports.has_ended() {
        assert_eq!(reports.recv_timeout(LONG), None);
    }
}

#[test]
fn a_shell_ends_also_with_a_dead_peer_and_an_open_request() {
    let (hold, held) = mpsc::channel();
    let url = websocket(move |socket| hold.send(socket).unwrap());
    let silent = crate::peer::serve(crate::peer::until_end);
    let rig = Rig::new(ConnectConfig {
        close_timeout: Duration::from_millis(50),
        ..config()
    });
    rig.connected(1, url);
    let _socket = held.recv_timeout(LONG).unwrap();
    rig.get(5, format!("http://127.0.0.1:{silent}/"), LONG);
    let Rig { commands, reports } = rig;
    drop(commands);
    let mut ends = Vec::new();
    while let Some(report) = reports.recv_timeout(LONG) {
        ends.push(report);
    }
    assert!(reports.has_ended());
    assert!(
        matches!(ends[0], Report::Closed { line: 1, .. }),
        "{ends:?}"
    );
    assert!(
        matches!(ends[1], Report::HttpFailed { id: 5, .. }),
        "{ends:?}"
    );
}

#[test]
fn nothing_shows_what_is_sent() {
    let secret = "hunter2".to_owned();
    let commands = [
        Command::Connect {
            line: 1,
            url: format!("wss://me:{secret}@v.test/?key={secret}"),
        },
        Command::Send {
            line: 1,
            text: secret.clone(),
        },
        Command::Ping {
            line: 1,
            payload: secret.clone().into_bytes(),
        },
        Command::Http {
            id: 1,
            url: format!("https://v.test/?key={secret}"),
            headers: vec![("X-Key".to_owned(), secret.clone())],
            timeout: LONG,
        },
    ];
    let config = ConnectConfig {
        proxy: tapecast_connect::Proxy::Url(format!("http://me:{secret}@p.test:1")),
        ..config()
    };
    let shown = format!("{commands:?} {config:?}");
    assert!(shown.contains("p.test:1"), "{shown}");
    assert!(!shown.contains(&secret), "{shown}");
    let rig = Rig::new(config);
    let shown = format!("{:?} {:?}", rig.commands, rig.reports);
    assert!(!shown.contains(&secret), "{shown}");
}
