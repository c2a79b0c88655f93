//! What never came to us, from a recording to clients in both encodings, with and without intervals.

use super::support::{connect, connect_in, gateway, next_json, recording, replay, start_replays};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tapecast_client::Encoding;

fn kraken_trades(kind: &str, ids: impl IntoIterator<Item = u64>) -> String {
    let trade = |id: u64| {
        json!({"symbol": "BTC/USD", "side": "buy", "price": 65_000.5 + id as f64, "qty": 0.1, "ord_type": "limit",
               "trade_id": id, "timestamp": format!("2026-08-09T21:26:{id:02}.100000Z")})
    };
    let data: Vec<_> = ids.into_iter().map(trade).collect();
    json!({"channel": "trade", "type": kind, "data": data}).to_string()
}

fn coinbase_trades(sequence: u64, kind: &str, ids: &[u64]) -> String {
    let trade = |id: &u64| {
        json!({"trade_id": id.to_string(), "product_id": "BTC-USD", "price": "65083.6", "size": "1", "side": "BUY",
               "time": "2026-08-09T21:05:48.5Z"})
    };
    // The newest first.
    let trades: Vec<_> = ids.iter().rev().map(trade).collect();
    json!({"channel": "market_trades", "timestamp": "2026-08-09T21:05:48Z", "sequence_num": sequence,
           "events": [{"type": kind, "trades": trades}]})
    .to_string()
}

fn ids(frame: &Value) -> Vec<u64> {
    let trades = frame["trades"].as_array().into_iter().flatten();
    trades
        .map(|trade| trade["id"].as_str().unwrap().parse().unwrap())
        .collect()
}

/// Plays a recording to clients of each encoding; each topic ends with the trade `last`. Returns what
/// was heard of each topic behind its snapshot, ids and notices, and what who comes late begins with.
async fn heard(
    format: &str,
    symbol: &str,
    messages: &[String],
    last: u64,
) -> (Vec<Vec<String>>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = recording(folder.path(), "trades.zst", messages);
    let gateway = gateway(&replay(format, &path)).await;
    let topics = ["", "@10ms"].map(|interval| format!("trade:{format}:{symbol}{interval}"));
    let mut clients = [
        connect(&gateway).await,
        connect_in(&gateway, Encoding::Bin).await,
    ];
    for client in &mut clients {
        client.subscribe(&topics).await.unwrap();
        assert_eq!(next_json(client).await["op"], "subscribed");
    }
    start_replays(&gateway).await;
    let mut all = Vec::new();
    for client in &mut clients {
        let mut heard: BTreeMap<String, Vec<String>> = BTreeMap::new();
        while !topics.iter().all(|t| {
            heard
                .get(t)
                .is_some_and(|h| h.last() == Some(&last.to_string()))
        }) {
            let message = next_json(client).await;
            let heard = heard
                .entry(message["topic"].as_str().unwrap().to_owned())
                .or_default();
            if message["op"] == "gap" {
                heard.push(format!(
                    "{} {}-{}",
                    message["reason"].as_str().unwrap(),
                    message["from"],
                    message["to"]
                ));
            } else if message["type"] == "update" {
                heard.extend(ids(&message).iter().map(u64::to_string));
            }
        }
        all.extend(heard.into_values());
    }
    let mut late = connect(&gateway).await;
    late.subscribe(&topics[..1]).await.unwrap();
    assert_eq!(next_json(&mut late).await["op"], "subscribed");
    let snapshot = next_json(&mut late).await;
    gateway.stop().await;
    (all, snapshot)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_kraken_sends_again_brings_each_trade_once() {
    let messages = [
        kraken_trades("snapshot", 1..=3),
        kraken_trades("update", [4]),
        kraken_trades("update", [5]),
        kraken_trades("snapshot", 2..=6),
        kraken_trades("update", [7]),
    ];
    let (heard, late) = Box::pin(heard("kraken", "BTC-USD", &messages, 7)).await;
    for heard in heard {
        assert_eq!(heard, ["4", "5", "6", "7"]);
    }
    assert_eq!(ids(&late), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(late["seq"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_coinbase_reconnect_trades_that_were_missed_are_sent_or_their_hole_is_told() {
    let messages = [
        coinbase_trades(0, "snapshot", &[101, 102, 103]),
        coinbase_trades(1, "update", &[104, 105]),
        // A new connection, whose history reaches what is known.
        coinbase_trades(0, "snapshot", &[104, 105, 106, 107]),
        coinbase_trades(1, "update", &[108]),
        // And one whose history does not.
        coinbase_trades(0, "snapshot", &[112, 113]),
        coinbase_trades(1, "update", &[114]),
    ];
    let (heard, late) = Box::pin(heard("coinbase", "BTC-USD", &messages, 114)).await;
    for heard in heard {
        let expected = [
            "104",
            "105",
            "106",
            "107",
            "108",
            "upstream 6-8",
            "112",
            "113",
            "114",
        ];
        assert_eq!(heard, expected);
    }
    assert_eq!(
        ids(&late),
        [101, 102, 103, 104, 105, 106, 107, 108, 112, 113, 114]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_book_takes_its_quote_with_it() {
    let message = |kind: &str, u: u64, bid: u64| {
        format!(
            r#"{{"topic":"orderbook.50.BTCUSDT","type":"{kind}","ts":1700000000000,"data":{{"s":"BTCUSDT","b":[["{bid}.5","1"]],"a":[["200","2"]],"u":{u},"seq":{u}}},"cts":1700000000000}}"#
        )
    };
    let messages = [message("snapshot", 10, 100), message("delta", 13, 102)];
    let folder = tempfile::tempdir().unwrap();
    let path = recording(folder.path(), "broken.zst", &messages);
    let gateway = gateway(&replay("bybit-spot", &path)).await;
    let topics = ["book.10", "quote"].map(|channel| format!("{channel}:bybit-spot:BTC-USDT"));
    for encoding in [Encoding::Json, Encoding::Bin] {
        let mut early = connect_in(&gateway, encoding).await;
        early.subscribe(&topics).await.unwrap();
        assert_eq!(next_json(&mut early).await["op"], "subscribed");
        if encoding == Encoding::Json {
            start_replays(&gateway).await;
            let mut gaps = Vec::new();
            while gaps.len() < 2 {
                let message = next_json(&mut early).await;
                if message["op"] == "gap" {
                    assert_eq!(
                        (&message["from"], &message["to"]),
                        (&json!(2), &json!(2)),
                        "{message}"
                    );
                    assert_eq!(message["reason"], "upstream");
                    gaps.push(message["topic"].as_str().unwrap().to_owned());
                }
            }
            assert_eq!(gaps, topics);
        }
    }
    let mut late = connect(&gateway).await;
    late.subscribe(&topics).await.unwrap();
    let answer = next_json(&mut late).await;
    for topic in answer["topics"].as_array().unwrap() {
        assert_eq!(
            (&topic["start"], &topic["seq"]),
            (&json!("none"), &json!(2)),
            "{topic}"
        );
    }
    gateway.stop().await;
}
