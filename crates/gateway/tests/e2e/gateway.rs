//! The whole gateway over real sockets, in this process.

use crate::support::*;
use tapecast_client::{ClientBook, MessageKind, Outcome, Tracker};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

const SIM: &str = "[[source]]\nkind = \"sim\"\nsymbols = 50\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_serves_its_page_and_its_market() {
    let gateway = gateway(SIM).await;
    let page = http(gateway.public_address(), "GET /").await;
    assert!(
        page.starts_with("HTTP/1.1 200") && page.contains("<script type=\"module\""),
        "{page}"
    );
    let list = http(gateway.public_address(), "GET /v1/instruments").await;
    let list: serde_json::Value =
        serde_json::from_str(list.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(list["instruments"].as_array().unwrap().len(), 50);
    assert!(
        http(gateway.public_address(), "GET /nothing")
            .await
            .starts_with("HTTP/1.1 404")
    );
    assert!(
        http(gateway.public_address(), "POST /")
            .await
            .starts_with("HTTP/1.1 405")
    );

    let mut client = connect(&gateway).await;
    let topics = [
        "trade:sim:BTC-USD",
        "book.25:sim:BTC-USD",
        "quote:sim:BTC-USD",
        "ticker:sim:BTC-USD",
        "status:sim:BTC-USD",
    ];
    client.subscribe(&topics).await.unwrap();
    let (mut tracker, mut book) = (Tracker::new(), ClientBook::new(topics[1]).unwrap());
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < topics.len() || !seen.iter().all(|(_, updated)| *updated) {
        let message = next(&mut client).await;
        assert_ne!(
            tracker.handle(&message),
            Outcome::Lost,
            "{}",
            message.text()
        );
        if let Some(frame) = message.data() {
            if frame.topic == topics[1] {
                book.apply(frame).unwrap();
            }
            let updated = !frame.is_snapshot() || frame.topic == topics[4];
            seen.retain(|(topic, _)| *topic != frame.topic || !updated);
            if updated || !seen.iter().any(|(topic, _)| *topic == frame.topic) {
                seen.insert((frame.topic.clone(), updated));
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_answered_and_every_refusal_named() {
    let gateway = gateway(SIM).await;
    let mut raw = Raw::connect(gateway.public_address()).await;
    let welcome = raw.frame().await.unwrap();
    assert!(
        String::from_utf8(welcome.1)
            .unwrap()
            .starts_with(r#"{"op":"welcome","protocol":"tapecast.v1""#)
    );
    for (request, expected) in [
        (r#"{"op":"ping","id":1}"#, r#"{"op":"pong","id":1,"now":""#),
        (
            r#"{"op":"list","id":2}"#,
            r#"{"op":"subscriptions","id":2,"topics":[]}"#,
        ),
        (
            r#"{"op":"fly","id":3}"#,
            r#"{"op":"error","id":3,"error":"unknown_op""#,
        ),
        (
            r#"{"op":"ping" "id":4}"#,
            r#"{"op":"error","error":"bad_json","message":"expected `,` or `}` at byte 13"}"#,
        ),
        (
            r#"{"op":"subscribe","id":5}"#,
            r#"{"op":"error","id":5,"error":"missing_field""#,
        ),
        (
            r#"{"op":"unsubscribe","id":6,"topics":["trade:sim:BTC-USD"]}"#,
            r#"{"op":"unsubscribed","id":6,"topics":[],"rejected":[{"topic":"trade:sim:BTC-USD","error":"not_subscribed""#,
        ),
        (
            r#"{"op":"resync","id":7,"topics":["x"]}"#,
            r#"{"op":"subscribed","id":7,"topics":[],"rejected":[{"topic":"x","error":"not_subscribed""#,
        ),
        (
            r#"{"op":"subscribe","id":8,"topics":["trade:sim:NOPE"]}"#,
            r#"{"op":"subscribed","id":8,"topics":[],"rejected":[{"topic":"trade:sim:NOPE","error":"unknown_symbol""#,
        ),
        (
            r#"{"op":"subscribe","id":9,"topics":["book.7:sim:BTC-USD"]}"#,
            r#"{"op":"subscribed","id":9,"topics":[],"rejected":[{"topic":"book.7:sim:BTC-USD","error":"depth_not_offered","message":"depth 7 is not offered; write 1, 10, 25, 50, 100 or 500"}]}"#,
        ),
        (
            r#"{"op":"subscribe","id":10,"topics":["status:sim:BTC-USD@100ms"]}"#,
            r#"{"op":"subscribed","id":10,"topics":[],"rejected":[{"topic":"status:sim:BTC-USD@100ms","error":"interval_not_offered","message":"interval 100ms is not offered for status; subscribe without @100ms to receive every event"}]}"#,
        ),
        (
            r#"{"op":"subscribe","id":11,"topics":["quote:sim:BTC-USD@20ms"]}"#,
            r#"{"op":"subscribed","id":11,"topics":[],"rejected":[{"topic":"quote:sim:BTC-USD@20ms","error":"interval_not_offered","message":"interval 20ms is not offered; write 10ms, 50ms, 100ms, 250ms, 500ms, 1s or 5s"}]}"#,
        ),
    ] {
        raw.send_frame(0x81, request.as_bytes()).await;
        let answer = loop {
            let (opcode, payload) = raw.frame().await.unwrap();
            let text = String::from_utf8(payload).unwrap();
            if opcode == 1 && !text.contains("heartbeat") {
                break text;
            }
        };
        assert!(answer.starts_with(expected), "{request}\n{answer}");
    }
    raw.send_frame(0x89, b"are you there").await;
    while raw.frame().await.unwrap() != (10, b"are you there".to_vec()) {}
    raw.send_frame(0x88, &1000_u16.to_be_bytes()).await;
    assert_eq!(raw.close_code().await, 1000);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_frames_end_the_connection_with_the_right_code() {
    let gateway = gateway(SIM).await;
    let cases: [(&[u8], u16); 6] = [
        (&[0x81, 2, b'h', b'i'], 1002),
        (&[0xc1, 0x80, 0, 0, 0, 0], 1002),
        (&[0x82, 0x81, 0, 0, 0, 0, 1], 1003),
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
        (&[0x81, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], 1009),
        (&[0x89, 0xfe, 0, 126], 1002),
    ];
    for (bytes, code) in cases {
        let mut raw = Raw::connect(gateway.public_address()).await;
        raw.send(bytes).await;
        assert_eq!(raw.close_code().await, code, "{bytes:?}");
    }
    let mut raw = Raw::connect(gateway.public_address()).await;
    raw.send_frame(0x01, &[b'x'; 9_000]).await;
    raw.send_frame(0x80, &[b'x'; 9_000]).await;
    let bye = loop {
        let text = String::from_utf8(raw.frame().await.unwrap().1).unwrap();
        if text.contains("\"bye\"") {
            break text;
        }
    };
    assert!(
        bye.contains("\"too_large\"") && bye.contains("a request has at most 16384 bytes"),
        "{bye}"
    );
    assert_eq!(raw.close_code().await, 1009);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_connect_is_told_why() {
    let text = format!(
        "{SIM}[limits]\nconnections_max = 20\nconnections_per_address_max = 8\nhandshake_timeout = \"200ms\"\n\
         [listen]\nallowed_origins = [\"https://desk.example\"]\n"
    );
    let gateway = gateway(&text).await;
    let address = gateway.public_address();
    let refused = |headers: &'static str| async move {
        Raw::handshake(address, "GET", "/v1/ws", headers).await.1
    };
    assert!(
        refused("Origin: https://evil.example\r\n")
            .await
            .starts_with("HTTP/1.1 403")
    );
    assert!(
        refused("Sec-WebSocket-Protocol: chat\r\n")
            .await
            .starts_with("HTTP/1.1 400")
    );
    let (_, post) = Raw::handshake(address, "POST", "/v1/ws", "Content-Length: 0\r\n").await;
    assert!(post.starts_with("HTTP/1.1 405"), "{post}");
    let agreed =
        refused("Origin: https://desk.example\r\nSec-WebSocket-Protocol: x, tapecast.v1.json\r\n")
            .await;
    assert!(agreed.starts_with("HTTP/1.1 101"), "{agreed}");
    assert!(
        agreed
            .to_lowercase()
            .contains("sec-websocket-protocol: tapecast.v1.json"),
        "{agreed}"
    );

    // Who says nothing is cut off, and his place is free again.
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut nothing = Vec::new();
    tokio::time::timeout(PATIENCE, silent.read_to_end(&mut nothing))
        .await
        .unwrap()
        .unwrap();

    // Places come free when the server has seen the others go.
    let mut held = Vec::new();
    while held.len() < 8 {
        let (raw, head) = Raw::handshake(address, "GET", "/v1/ws", "").await;
        if head.starts_with("HTTP/1.1 101") {
            held.push(raw);
        }
    }
    let (_, third) = Raw::handshake(address, "GET", "/v1/ws", "").await;
    assert!(third.starts_with("HTTP/1.1 429"), "{third}");
    assert!(third.contains("Retry-After"), "{third}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_publishes_its_own_events() {
    let push = free_address();
    let gateway = gateway(&format!(
        "[[source]]\nkind = \"push\"\nvenue = \"desk\"\nlisten = \"{push}\"\nsymbols = \"*\"\n"
    ))
    .await;
    let mut client = connect(&gateway).await;
    client
        .subscribe(&[
            "trade:desk:T0-USD",
            "quote:desk:T0-USD",
            "book.10:desk:T0-USD",
        ])
        .await
        .unwrap();
    let MessageKind::Subscribed(acknowledged) = next(&mut client).await.kind().clone() else {
        panic!()
    };
    assert!(
        acknowledged
            .topics
            .iter()
            .all(|t| t.start.as_deref() == Some("none"))
    );
    let empty = next_json(&mut client).await;
    assert_eq!(
        (&empty["type"], &empty["trades"]),
        (&"snapshot".into(), &serde_json::json!([]))
    );

    let mut desk = BufReader::new(TcpStream::connect(push).await.unwrap());
    desk.write_all(
        br#"{"channel":"trade","symbol":"T0-USD","trades":[{"id":"0000000001","price":"61837.64","qty":"0.1605","side":"buy","ts_event":"0000012345678901234"}]}
{"channel":"trade","symbol":"T0-USD","trades":[{"id":"2","price":"oops","qty":"1","side":"buy"}]}
{"channel":"quote","symbol":"T0-USD","bid":"1.50","bid_qty":"10","ask":"1.6","ask_qty":"7","ts_event":"5"}
{"channel":"book","type":"snapshot","symbol":"T0-USD","bids":[["1.5","10"]],"asks":[["1.6","7"]]}
"#,
    )
    .await
    .unwrap();
    let mut complaint = String::new();
    desk.read_line(&mut complaint).await.unwrap();
    let complaint: serde_json::Value = serde_json::from_str(&complaint).unwrap();
    assert_eq!(complaint["line"], 2);
    assert!(
        complaint["message"].as_str().unwrap().contains("price"),
        "{complaint}"
    );

    let trade = next_json(&mut client).await;
    assert_eq!(trade["trades"][0]["id"], "0000000001");
    assert_eq!(trade["trades"][0]["ts_event"], "0000012345678901234");
    assert_eq!((&trade["seq"], &trade["prev"]), (&1.into(), &0.into()));
    // The trade that could not be read is lost to its topic.
    let mut quote = next_json(&mut client).await;
    while quote["op"] == "gap" {
        assert_eq!(quote["topic"], "trade:desk:T0-USD");
        quote = next_json(&mut client).await;
    }
    assert_eq!(
        (&quote["bid"], &quote["type"]),
        (&"1.5".into(), &"snapshot".into())
    );
    let book = next_json(&mut client).await;
    assert_eq!(
        (&book["asks"][0][0], &book["type"]),
        (&"1.6".into(), &"snapshot".into())
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_in_the_recording_is_said_and_healed_by_the_next_snapshot() {
    const END: &str = "down: end of recording";
    let message = |kind: &str, u: u64, bid: u64| {
        format!(
            r#"{{"topic":"orderbook.50.BTCUSDT","type":"{kind}","ts":1700000000000,"data":{{"s":"BTCUSDT","b":[["{bid}.5","1"]],"a":[["200","2"]],"u":{u},"seq":{u}}},"cts":1700000000000}}"#
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let messages = [
        message("snapshot", 10, 100),
        message("delta", 11, 101),
        message("delta", 13, 102),
        message("delta", 14, 103),
        message("snapshot", 20, 104),
        message("delta", 21, 105),
    ];
    let path = recording(folder.path(), "gap.zst", &messages);
    let gateway = gateway(&replay("bybit-spot", &path)).await;
    let mut client = connect(&gateway).await;
    client
        .subscribe(&["book.10:bybit-spot:BTC-USDT", "status:bybit-spot:BTC-USDT"])
        .await
        .unwrap();
    assert!(matches!(
        next(&mut client).await.kind(),
        MessageKind::Subscribed(_)
    ));
    start_replays(&gateway).await;
    let (mut books, mut feeds) = (Vec::new(), Vec::new());
    // Each topic is in order; what a turn brings of one may come before what it brings of the other.
    while books.len() < 5 || feeds.last().is_none_or(|feed| feed != END) {
        let frame = next_json(&mut client).await;
        if let Some(feed) = frame["feed"].as_str() {
            feeds.push(format!(
                "{feed}: {}",
                frame["reason"].as_str().unwrap_or_default()
            ));
        } else {
            let best = frame["bids"][0][0].as_str().unwrap_or_default().to_owned();
            let what = frame["type"].as_str().or(frame["op"].as_str());
            books.push((what.unwrap().to_owned(), best));
        }
    }
    let books: Vec<_> = books
        .iter()
        .map(|(kind, bid)| (kind.as_str(), bid.as_str()))
        .collect();
    assert_eq!(
        books,
        [
            ("snapshot", "100.5"),
            ("update", "101.5"),
            ("gap", ""),
            ("snapshot", "104.5"),
            ("update", "105.5")
        ]
    );
    let states: Vec<_> = feeds
        .iter()
        .map(|feed| feed.split(':').next().unwrap())
        .collect();
    assert_eq!(
        states,
        ["pending", "pending", "live", "gap", "live", "down"],
        "{feeds:?}"
    );
    let gaps = metric(
        &gateway,
        "tapecast_book_gaps_total{reason=\"link\",venue=\"bybit-spot\"}",
    )
    .await;
    assert_eq!(gaps, Some(1));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_at_full_speed_waits_for_a_client_that_reads_late() {
    let trades: Vec<String> = (0..60_000)
        .map(|n| {
            format!(
                r#"{{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1700000000000,"data":[{{"T":1700000000000,"s":"BTCUSDT","S":"Buy","v":"1","p":"{n}.5","i":"{n}","BT":false}}]}}"#
            )
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let path = recording(folder.path(), "trades.zst", &trades);
    let text = format!(
        "{}[limits]\noutbox_bytes_max = 131072\n[shards]\ncount = 1\n",
        replay("bybit-spot", &path)
    );
    let gateway = gateway(&text).await;
    let mut client = connect(&gateway).await;
    client
        .subscribe(&["trade:bybit-spot:BTC-USDT"])
        .await
        .unwrap();
    assert!(matches!(
        next(&mut client).await.kind(),
        MessageKind::Subscribed(_)
    ));
    assert!(
        next(&mut client)
            .await
            .data()
            .is_some_and(|frame| frame.is_snapshot())
    );
    start_replays(&gateway).await;
    // The client does not read until its queue here is over half full.
    wait_for_metric(&gateway, "tapecast_outbox_bytes{shard=\"0\"}", |bytes| {
        bytes > 65_536
    })
    .await;
    for expected in 0..60_000 {
        let frame = next_json(&mut client).await;
        assert_eq!(frame["trades"][0]["id"], expected.to_string(), "{frame}");
        assert_eq!(frame["prev"], expected);
    }
    for name in ["conflated", "dropped"] {
        let name = format!("tapecast_frames_{name}_total{{shard=\"0\"}}");
        assert_eq!(metric(&gateway, &name).await, Some(0));
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_symbol_that_falls_silent_is_stale_and_says_so() {
    let push = free_address();
    let gateway = gateway(&format!(
        "[[source]]\nkind = \"push\"\nvenue = \"desk\"\nlisten = \"{push}\"\nstale_after = \"100ms\"\n"
    ))
    .await;
    let mut client = connect(&gateway).await;
    client.subscribe(&["status:desk:A"]).await.unwrap();
    let mut desk = TcpStream::connect(push).await.unwrap();
    let quote = b"{\"channel\":\"quote\",\"symbol\":\"A\",\"bid\":\"1\",\"bid_qty\":\"1\"}\n";
    desk.write_all(quote).await.unwrap();
    let mut wanted = ["live", "stale", "live", "stale"].into_iter().peekable();
    while let Some(want) = wanted.peek() {
        let frame = next_json(&mut client).await;
        if frame["feed"] == **want {
            if frame["feed"] == "stale" {
                assert_eq!(frame["reason"], "no data for 0.1 s");
                desk.write_all(quote).await.unwrap();
            }
            wanted.next();
        }
    }
    gateway.stop().await;
}

/// A desk whose book falls silent while its trades go on: the next trade is sent when the last has come,
/// so that there is always one.
#[tokio::test(flavor = "multi_thread")]
async fn a_book_that_falls_silent_is_told_while_trades_go_on_and_to_those_who_join() {
    let push = free_address();
    let gateway = gateway(&format!(
        "[[source]]\nkind = \"push\"\nvenue = \"desk\"\nlisten = \"{push}\"\nstale_after = \"300ms\"\n"
    ))
    .await;
    let mut client = connect(&gateway).await;
    let topics = ["status:desk:A", "trade:desk:A"];
    client.subscribe(&topics).await.unwrap();
    let mut desk = TcpStream::connect(push).await.unwrap();
    let book = |kind: &str| {
        format!(
            "{{\"channel\":\"book\",\"symbol\":\"A\",\"type\":\"{kind}\",\"bids\":[[\"1\",\"1\"]],\"asks\":[]}}\n"
        )
    };
    let trade = b"{\"channel\":\"trade\",\"symbol\":\"A\",\"trades\":[{\"id\":\"1\",\"price\":\"1\",\"qty\":\"1\"}]}\n";
    let both = [book("snapshot").as_bytes(), trade].concat();
    desk.write_all(&both).await.unwrap();
    let stale = loop {
        let frame = next_json(&mut client).await;
        if frame["topic"] == "trade:desk:A" {
            desk.write_all(trade).await.unwrap();
        } else if frame["feed"] == "stale" {
            break frame;
        }
    };
    assert_eq!(stale["reason"], "no book data for 0.3 s");
    let channels = &stale["channels"];
    assert_eq!(channels["book"]["feed"], "stale");
    assert_eq!(channels["trade"]["feed"], "live", "prints go on");
    let nanos = |value: &serde_json::Value| -> u64 { value.as_str().unwrap().parse().unwrap() };
    assert!(nanos(&channels["trade"]["since"]) < nanos(&channels["book"]["since"]));
    assert!(nanos(&channels["book"]["since"]) <= nanos(&stale["ts_out"]));

    let mut joiner = connect(&gateway).await;
    joiner.subscribe(&["status:desk:A"]).await.unwrap();
    let told = loop {
        let frame = next_json(&mut joiner).await;
        if frame["type"] == "snapshot" {
            break frame;
        }
    };
    assert_eq!(
        (&told["feed"], &told["channels"]),
        (&stale["feed"], channels)
    );

    desk.write_all(book("update").as_bytes()).await.unwrap();
    loop {
        let frame = next_json(&mut joiner).await;
        if frame["feed"] == "live" {
            assert_eq!(frame["channels"]["book"]["feed"], "live");
            break;
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_delivered_once_to_each_and_encoded_once_for_all() {
    let push = free_address();
    let gateway = gateway(&format!(
        "[shards]\ncount = 1\n[[source]]\nkind = \"push\"\nvenue = \"desk\"\nlisten = \"{push}\"\n"
    ))
    .await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = connect(&gateway).await;
        client.subscribe(&["trade:desk:A"]).await.unwrap();
        assert!(matches!(
            next(&mut client).await.kind(),
            MessageKind::Subscribed(_)
        ));
        assert!(next(&mut client).await.data().is_some());
        clients.push(client);
    }
    let mut desk = TcpStream::connect(push).await.unwrap();
    for n in 1..=100 {
        let line = format!(
            "{{\"channel\":\"trade\",\"symbol\":\"A\",\"trades\":[{{\"id\":\"{n}\",\"price\":\"1\",\"qty\":\"1\"}}]}}\n"
        );
        desk.write_all(line.as_bytes()).await.unwrap();
    }
    let mut texts: Vec<Vec<String>> = Vec::new();
    for client in &mut clients {
        let mut had = Vec::new();
        while had.len() < 100 {
            had.push(next(client).await.text().to_owned());
        }
        texts.push(had);
    }
    assert!(
        texts.iter().all(|had| *had == texts[0]),
        "byte-identical frames"
    );
    let encoded = "tapecast_frames_encoded_total{channel=\"trade\",encoding=\"json\"}";
    assert_eq!(metric(&gateway, encoded).await, Some(100));
    // 20 snapshots and 100 frames each; the books balance.
    wait_for_metric(
        &gateway,
        "tapecast_frames_delivered_total{shard=\"0\"}",
        |n| n == 2_020,
    )
    .await;
    assert_eq!(
        metric(&gateway, "tapecast_frames_indexed_total{shard=\"0\"}").await,
        Some(2_020)
    );
    gateway.stop().await;
}
