//! Topics and instruments that end, over real sockets.

use crate::support::*;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tapecast::gateway::Gateway;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// A gateway for a desk that may publish any symbol, and where the desk connects.
async fn desk(limits: &str) -> (Gateway, SocketAddr) {
    let address = free_address();
    let text = format!(
        "[limits]\nrequests_per_s = 10000\n{limits}\n[[source]]\nkind = \"push\"\nvenue = \"desk\"\n\
         listen = \"{address}\"\n"
    );
    (gateway(&text).await, address)
}

/// Asks, and returns the answer with this `id`.
async fn ask(raw: &mut Raw, request: &Value) -> Value {
    raw.send_frame(0x81, request.to_string().as_bytes()).await;
    loop {
        let (opcode, payload) = raw.frame().await.expect("an answer");
        if opcode == 1 {
            let said: Value = serde_json::from_slice(&payload).unwrap();
            if said["id"] == request["id"] && !said["op"].is_null() {
                return said;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_invented_names_shut_nobody_out_and_leave_nothing_behind() {
    let limits = "topics_max = 2000\ninstruments_max = 1000\ntopic_linger = \"300ms\"\n\
                  invented_topics_per_connection_max = 100000\n";
    let (gateway, address) = desk(limits).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Raw::connect(gateway.public_address()).await);
    }
    let mut publisher = TcpStream::connect(address).await.unwrap();
    for round in 0..25 {
        for (number, client) in clients.iter_mut().enumerate() {
            let names: Vec<_> = (0..100)
                .map(|n| format!("quote:desk:INVENTED-{number}-{round}-{n}"))
                .collect();
            let subscribe = json!({"op": "subscribe", "id": round * 2, "topics": names});
            let said = ask(client, &subscribe).await;
            assert_eq!(said["topics"].as_array().unwrap().len(), 100, "{said}");
            let unsubscribe = json!({"op": "unsubscribe", "id": round * 2 + 1, "topics": names});
            ask(client, &unsubscribe).await;
            // Only a topic of which the publisher has let go makes room for another.
            wait_for_metric(&gateway, "tapecast_topics", |live| live == 0).await;
        }
        // In the middle of it all a real symbol is taken.
        let symbol = format!("REAL-{round}");
        let line = json!({"channel": "quote", "symbol": symbol, "bid": "1.5", "bid_qty": "1"});
        publisher
            .write_all(format!("{line}\n").as_bytes())
            .await
            .unwrap();
        let published = "tapecast_events_total{channel=\"quote\"}";
        wait_for_metric(&gateway, published, |events| events == round + 1).await;
        let topic = format!("quote:desk:{symbol}");
        let subscribe = json!({"op": "subscribe", "id": "real", "topics": [topic]});
        let said = ask(&mut clients[0], &subscribe).await;
        assert_eq!(said["topics"][0]["start"], "snapshot", "{said}");
        let unsubscribe = json!({"op": "unsubscribe", "id": "real", "topics": [topic]});
        ask(&mut clients[0], &unsubscribe).await;
    }
    for gauge in [
        "tapecast_topics",
        "tapecast_topics_lingering",
        "tapecast_instruments_invented",
    ] {
        wait_for_metric(&gateway, gauge, |left| left == 0).await;
    }
    let down = "tapecast_instruments{feed=\"down\",venue=\"desk\"}";
    assert_eq!(
        metric(&gateway, down).await,
        Some(0),
        "nobody is alarmed by an invention"
    );
    let live = metric(
        &gateway,
        "tapecast_instruments{feed=\"live\",venue=\"desk\"}",
    )
    .await;
    let stale = metric(
        &gateway,
        "tapecast_instruments{feed=\"stale\",venue=\"desk\"}",
    )
    .await;
    assert_eq!(
        live.unwrap() + stale.unwrap(),
        25,
        "what was published stays"
    );
    let list = http(gateway.public_address(), "GET /v1/instruments").await;
    assert!(list.contains("REAL-24") && !list.contains("INVENTED"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_at_the_limit_changes_its_topics_in_one_go() {
    for limits in ["topics_max = 4", "instruments_max = 4"] {
        let (gateway, _) = desk(limits).await;
        let mut client = Raw::connect(gateway.public_address()).await;
        let names = |n: u32| [n, n + 1].map(|n| format!("quote:desk:N{n}"));
        let first = json!({"op": "subscribe", "id": 0, "topics": names(0)});
        assert_eq!(ask(&mut client, &first).await["rejected"], json!([]));
        let third = json!({"op": "subscribe", "id": 1, "topics": ["quote:desk:X"]});
        let refused = ask(&mut client, &third).await;
        assert_eq!(refused["rejected"][0]["error"], "too_many_topics");
        for n in 1..=20 {
            let unsubscribe = json!({"op": "unsubscribe", "topics": names(n * 2 - 2)});
            let subscribe = json!({"op": "subscribe", "id": n * 2, "topics": names(n * 2)});
            client
                .send_frame(0x81, unsubscribe.to_string().as_bytes())
                .await;
            let said = ask(&mut client, &subscribe).await;
            assert_eq!(said["topics"].as_array().unwrap().len(), 2, "{said}");
            // As many as the limit may leave at one time.
            wait_for_metric(&gateway, "tapecast_topics", |live| live == 2).await;
        }
        gateway.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_symbol_that_is_listed_and_never_comes_is_counted_and_invented_ones_are_not() {
    let address = free_address();
    let source = "[[source]]\nkind = \"push\"\nstale_after = \"50ms\"\n";
    let other = free_address();
    let text = format!(
        "{source}venue = \"desk\"\nlisten = \"{address}\"\nsymbols = [\"A-USD\", \"B-USD\"]\n\
         {source}venue = \"any\"\nlisten = \"{other}\"\n"
    );
    let gateway = gateway(&text).await;
    let mut client = Raw::connect(gateway.public_address()).await;
    let topics = ["status:any:INVENTED", "status:desk:A-USD"];
    ask(
        &mut client,
        &json!({"op": "subscribe", "id": 1, "topics": topics}),
    )
    .await;
    let never = "tapecast_instruments_never_live{venue=\"desk\"}";
    wait_for_metric(&gateway, never, |count| count == 2).await;
    let mut publisher = TcpStream::connect(address).await.unwrap();
    let line = b"{\"channel\":\"quote\",\"symbol\":\"A-USD\",\"bid\":\"1\",\"bid_qty\":\"1\"}\n";
    publisher.write_all(line).await.unwrap();
    wait_for_metric(&gateway, never, |count| count == 1).await;
    // It was live: what is late now is no more than that.
    let stale = "tapecast_instruments{feed=\"stale\",venue=\"desk\"}";
    wait_for_metric(&gateway, stale, |count| count == 2).await;
    assert_eq!(metric(&gateway, never).await, Some(1));
    let metrics = http(gateway.admin_address(), "GET /metrics").await;
    let of_any = metrics
        .lines()
        .filter(|line| line.starts_with("tapecast_instruments") && line.contains("venue=\"any\""));
    assert!(
        of_any.into_iter().all(|line| line.ends_with(" 0")),
        "{metrics}"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_in_an_instrument_that_ended_does_not_fit_when_it_returns() {
    let (gateway, _) = desk("topic_linger = \"50ms\"\n").await;
    let mut client = Raw::connect(gateway.public_address()).await;
    let topic = "status:desk:GONE";
    let first = ask(
        &mut client,
        &json!({"op": "subscribe", "id": 1, "topics": [topic]}),
    )
    .await;
    let first = &first["topics"][0];
    assert_eq!(
        (&first["seq"], &first["start"]),
        (&json!(1), &json!("snapshot"))
    );
    let invented = "tapecast_instruments_invented";
    wait_for_metric(&gateway, invented, |count| count == 1).await;
    ask(
        &mut client,
        &json!({"op": "unsubscribe", "id": 2, "topics": [topic]}),
    )
    .await;
    // Known as long as it lingers, then gone.
    wait_for_metric(&gateway, invented, |count| count == 0).await;
    let resume = json!({"topic": topic, "epoch": first["epoch"], "seq": first["seq"]});
    let back = ask(
        &mut client,
        &json!({"op": "subscribe", "id": 3, "topics": [resume]}),
    )
    .await;
    let back = &back["topics"][0];
    assert!(
        back["epoch"].as_u64() > first["epoch"].as_u64(),
        "{back} after {first}"
    );
    assert_eq!(
        (&back["start"], &back["reason"]),
        (&json!("snapshot"), &json!("epoch"))
    );
    assert_ne!(back["tid"], first["tid"]);
    gateway.stop().await;
}

/// What a gateway whose recording starts over again and again says of it: so many epochs, each of another
/// life of the instrument, and the times at which the states were received.
async fn rounds(folder: &std::path::Path, count: usize) -> Vec<(u64, u64)> {
    let trade = r#"{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":1,"p":"1.5","q":"1","T":1723161255342,"m":true}"#;
    let path = recording(folder, "short.zst", &[trade.to_owned()]);
    let state_dir = folder.join("state");
    let text = format!(
        "state_dir = \"{}\"\n{}loop = true\n",
        state_dir.display(),
        replay("binance", &path)
    );
    // The life before lets go of its directory soon after it has stopped.
    let start = async {
        loop {
            match try_gateway(&text).await {
                Err(error) if error.key() == Some("state_dir") => tokio::task::yield_now().await,
                started => return started.unwrap(),
            }
        }
    };
    let gateway = tokio::time::timeout(PATIENCE, start).await.unwrap();
    let mut client = connect(&gateway).await;
    client
        .subscribe(&["status:binance:BTC-USDT"])
        .await
        .unwrap();
    assert_eq!(next_json(&mut client).await["op"], "subscribed");
    let mut said: Vec<(u64, u64)> = Vec::new();
    let mut started = false;
    while said.len() < count {
        let frame = next_json(&mut client).await;
        if !std::mem::replace(&mut started, true) {
            start_replays(&gateway).await;
        }
        let epoch = frame["epoch"].as_u64().unwrap();
        if said.last().is_none_or(|(last, _)| *last != epoch) {
            let received = frame["ts_recv"].as_str().unwrap().parse().unwrap();
            said.push((epoch, received));
        }
    }
    gateway.stop().await;
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn epochs_only_rise_over_rounds_and_lives_and_times_are_the_times() {
    let folder = tempfile::tempdir().unwrap();
    let now = || tapecast_model::clock::unix_now().get();
    // An earlier life, whose clock was two hours ahead, and which has gone on for long.
    let ahead = now() / 1_000_000 + 7_200_000;
    std::fs::create_dir_all(folder.path().join("state/epochs")).unwrap();
    let file = folder.path().join("state/epochs/state");
    std::fs::write(file, format!("tapecast epochs 1\n{ahead}\n")).unwrap();
    let mut said = Vec::new();
    for _life in 0..2 {
        said.extend(rounds(folder.path(), 20).await);
    }
    assert!(said[0].0 > ahead, "{said:?}");
    let rises = said.is_sorted_by(|(one, _), (next, _)| one < next);
    assert!(rises, "{said:?}");
    assert!(
        said.iter().all(|(_, received)| *received <= now()),
        "{said:?}"
    );
}
