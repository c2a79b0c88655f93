//! Both encodings over real sockets: the same content, and in binary too the same bytes for everybody.

use crate::support::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use tapecast::gateway::Gateway;
use tapecast_client::{Client, DataFrame, Encoding, MessageKind, Outcome, Tracker};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const BINARY: &str = "Sec-WebSocket-Protocol: tapecast.v1.bin, tapecast.v1.json\r\n";

/// A client, and the position at which each of its topics began.
async fn subscribe(
    gateway: &Gateway,
    topics: &[&str],
    encoding: Encoding,
) -> (Client, BTreeMap<String, u64>) {
    let mut client = connect_in(gateway, encoding).await;
    client.subscribe(topics).await.unwrap();
    let acknowledged = next(&mut client).await;
    let MessageKind::Subscribed(ack) = acknowledged.kind() else {
        panic!("{}", acknowledged.text())
    };
    assert_eq!(ack.topics.len(), topics.len(), "{}", acknowledged.text());
    let began = ack.topics.iter();
    let began = began.map(|topic| (topic.topic.clone(), topic.seq.unwrap()));
    (client, began.collect())
}

/// Updates as text by topic and position, and the last frame of each topic.
#[derive(Default)]
struct Heard {
    updates: BTreeMap<(String, u64), String>,
    last: BTreeMap<String, DataFrame>,
}

/// Listens until every topic has come to its goal.
async fn listen(mut client: Client, goals: BTreeMap<String, u64>) -> Heard {
    let (mut heard, mut tracker) = (Heard::default(), Tracker::new());
    let mut waiting: BTreeSet<&String> = goals.keys().collect();
    while !waiting.is_empty() {
        let message = next(&mut client).await;
        let outcome = tracker.handle(&message);
        assert_eq!(outcome, Outcome::Apply, "{}", message.text());
        let frame = message.data().unwrap();
        let topic = frame.topic.clone();
        if frame.seq >= goals[&topic] {
            waiting.remove(&topic);
        }
        heard.last.insert(topic.clone(), frame.clone());
        if !frame.is_snapshot() {
            let text = message.text().to_owned();
            heard.updates.insert((topic, frame.seq), text);
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn both_encodings_say_the_same_of_every_channel() {
    let gateway = gateway("[[source]]\nkind = \"sim\"\nsymbols = 5\n").await;
    let topics = [
        ("trade:sim:BTC-USD", 5),
        ("quote:sim:BTC-USD", 20),
        ("book.1:sim:BTC-USD", 10),
        ("book.100:sim:BTC-USD", 20),
        ("ticker:sim:BTC-USD", 2),
        ("status:sim:BTC-USD", 0),
    ];
    let names = topics.map(|(topic, _)| topic);
    let (json, _) = subscribe(&gateway, &names, Encoding::Json).await;
    let (binary, began) = subscribe(&gateway, &names, Encoding::Bin).await;
    let goals: BTreeMap<String, u64> = topics
        .iter()
        .map(|(topic, more)| ((*topic).to_owned(), began[*topic] + more))
        .collect();
    let (json, binary) = tokio::join!(listen(json, goals.clone()), listen(binary, goals.clone()));
    for (topic, more) in topics {
        let both = binary.updates.keys().filter(|key| key.0 == topic);
        let both: Vec<_> = both.filter(|k| json.updates.contains_key(k)).collect();
        assert!(more == 0 || !both.is_empty(), "{topic}: none in common");
        for key in both {
            assert_eq!(binary.updates[key], json.updates[key]);
        }
    }
    // A state that no longer changes: one may have heard it as an update, the other as a snapshot.
    let status = |heard: &Heard| {
        let frame = &heard.last["status:sim:BTC-USD"];
        (frame.epoch, frame.seq, frame.ts_recv, frame.body.clone())
    };
    assert_eq!(status(&binary), status(&json));
    gateway.stop().await;
}

/// A raw client that asks for the binary encoding.
async fn raw(gateway: &Gateway, topics: &str) -> Raw {
    let (mut raw, head) = Raw::handshake(gateway.public_address(), "GET", "/v1/ws", BINARY).await;
    let head = head.to_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(
        head.contains("sec-websocket-protocol: tapecast.v1.bin\r\n"),
        "{head}"
    );
    let request = format!(r#"{{"op":"subscribe","id":1,"topics":{topics}}}"#);
    raw.send_frame(0x81, request.as_bytes()).await;
    raw
}

/// The next so many binary frames; control messages between them are text.
async fn frames(raw: &mut Raw, count: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while frames.len() < count {
        match raw.frame().await.unwrap() {
            (2, payload) => frames.push(payload),
            (1, text) => assert!(text.starts_with(b"{\"op\":"), "{text:?}"),
            (opcode, payload) => assert_eq!(opcode, 9, "{payload:?}"),
        }
    }
    frames
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_clients_get_the_same_bytes_and_json_is_not_made_for_them() {
    let push = free_address();
    let gateway = gateway(&format!(
        "[[source]]\nkind = \"push\"\nvenue = \"desk\"\nlisten = \"{push}\"\nsymbols = \"*\"\n"
    ))
    .await;
    let topics = r#"["trade:desk:A","quote:desk:A","book.10:desk:A"]"#;
    let mut clients = [raw(&gateway, topics).await, raw(&gateway, topics).await];
    // The empty snapshot of the trades: everything is subscribed.
    for client in &mut clients {
        assert_eq!(frames(client, 1).await[0][2..4], [1, 0x21]);
    }
    let mut desk = TcpStream::connect(push).await.unwrap();
    let mut lines = String::new();
    for n in 1..=50 {
        let id = format!("00000000-0000-0000-0000-{n:012}");
        for line in [
            format!(
                r#""trade","trades":[{{"id":"{id}","price":"{n}.5","qty":"1","ts_event":"5"}}]"#
            ),
            format!(r#""quote","bid":"{n}","bid_qty":"1""#),
            format!(r#""book","type":"snapshot","bids":[["{n}","1"]],"asks":[]"#),
        ] {
            writeln!(lines, r#"{{"symbol":"A","channel":{line}}}"#).unwrap();
        }
    }
    desk.write_all(lines.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    for client in &mut clients {
        // No order is promised across topics.
        let mut topics: BTreeMap<u8, Vec<Vec<u8>>> = BTreeMap::new();
        for frame in frames(client, 150).await {
            topics.entry(frame[4]).or_default().push(frame);
        }
        heard.push(topics);
    }
    assert!(heard[0] == heard[1], "byte-identical frames");
    let lengths: BTreeSet<(u8, usize)> = heard[0]
        .values()
        .flatten()
        .map(|frame| (frame[2], frame.len()))
        .collect();
    // A trade with a UUID has 88 bytes, a quote 80, a book as many as it has levels.
    assert_eq!(lengths, [(1, 88), (2, 80), (3, 72), (3, 88)].into());
    for (channel, frames) in [("trade", 50), ("quote", 50), ("book", 50)] {
        let encoded = async |encoding: &str| {
            let labels = format!("channel=\"{channel}\",encoding=\"{encoding}\"");
            let name = format!("tapecast_frames_encoded_total{{{labels}}}");
            metric(&gateway, &name).await
        };
        assert_eq!(encoded("binary").await, Some(frames), "{channel}");
        assert_eq!(encoded("json").await, Some(0), "{channel}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_epoch_is_known_in_both_encodings() {
    let message = |kind: &str, u: u64| {
        format!(
            r#"{{"topic":"orderbook.50.BTCUSDT","type":"{kind}","ts":1700000000000,"data":{{"s":"BTCUSDT","b":[["{u}.5","1"]],"a":[["200","2"]],"u":{u},"seq":{u}}},"cts":1700000000000}}"#
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let messages = [
        message("snapshot", 10),
        message("delta", 11),
        message("delta", 12),
    ];
    let path = recording(folder.path(), "again.zst", &messages);
    let source = replay("bybit-spot", &path) + "loop = true\n";
    let gateway = gateway(&source).await;
    let topics = [
        "book.10:bybit-spot:BTC-USDT",
        "quote:bybit-spot:BTC-USDT",
        "status:bybit-spot:BTC-USDT",
    ];
    let mut clients = Vec::new();
    for encoding in Encoding::ALL {
        clients.push(subscribe(&gateway, &topics, encoding).await.0);
    }
    start_replays(&gateway).await;
    let following = clients.into_iter().map(|mut client| {
        tokio::spawn(async move {
            let mut heard: BTreeMap<String, BTreeMap<u64, Vec<String>>> = BTreeMap::new();
            // Both read all of it: a replay at full speed waits for them.
            while heard.len() < 2 || heard.values().any(|epochs| epochs.len() < 4) {
                let message = next(&mut client).await;
                let frame = message.data().unwrap();
                if !frame.topic.starts_with("status") {
                    let epochs = heard.entry(frame.topic.clone()).or_default();
                    let texts = epochs.entry(frame.epoch).or_default();
                    texts.push(message.text().to_owned());
                }
            }
            heard
        })
    });
    let mut heard = Vec::new();
    for client in following.collect::<Vec<_>>() {
        heard.push(client.await.unwrap());
    }
    for (topic, epochs) in &heard[0] {
        // The last may have been left in the middle.
        let whole: Vec<_> = epochs.iter().take(3).collect();
        let others: Vec<_> = heard[1][topic].iter().take(3).collect();
        assert!(whole.iter().all(|(_, texts)| texts.len() == 3), "{whole:?}");
        assert_eq!(whole, others, "{topic}");
    }
    gateway.stop().await;
}
