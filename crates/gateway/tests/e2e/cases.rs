//! Goal: what subscribers get of recordings in which a venue does what nobody expects of it.
//!
//! Method: the small recordings of `crates/ingest/tests/recordings` are replayed by a gateway of their own
//! to one client that subscribes to all there is before the start, and to one that joins at the end. What
//! each of them gets of a topic is compared word by word: `snapshot` or `update` and the content, or
//! `gap` and the numbers that are missing. Of states only those that give a reason are compared.

use crate::support::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tapecast::gateway::Gateway;
use tapecast_client::Client;

/// What was heard of each topic, by `channel symbol`.
type Heard = BTreeMap<String, Vec<String>>;

/// What the two clients heard.
struct Case {
    early: Heard,
    late: Heard,
}

impl Case {
    /// Plays a recording.
    async fn play(format: &str, name: &str) -> Self {
        let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ingest/tests/recordings");
        let gateway = gateway(&replay(format, &recordings.join("small").join(name))).await;
        let topics = topics(&gateway).await;
        let (mut client, _) = subscribed(&gateway, &topics, &Heard::new()).await;
        start_replays(&gateway).await;
        let mut early = Heard::new();
        let status = topics.iter().filter(|topic| topic.starts_with("status"));
        let mut running: BTreeSet<_> = status.map(String::as_str).collect();
        while !running.is_empty() {
            let frame = next_json(&mut client).await;
            if frame["reason"] == "end of recording" {
                running.remove(frame["topic"].as_str().unwrap());
            }
            note(&mut early, &frame);
        }
        client.ping().await.unwrap();
        loop {
            let frame = next_json(&mut client).await;
            if frame["op"] == "pong" {
                break;
            }
            note(&mut early, &frame);
        }
        let (_, late) = subscribed(&gateway, &topics, &early).await;
        gateway.stop().await;
        Self { early, late }
    }

    /// Compares what was heard of a topic: by who was there from the start, and by who came late.
    fn check(&self, topic: &str, early: &[&str], late: &[&str]) {
        let of = |heard: &Heard| heard.get(topic).cloned().unwrap_or_default();
        assert_eq!(of(&self.early), early, "{topic}, there from the start");
        assert_eq!(of(&self.late), late, "{topic}, who came late");
    }
}

/// All topics of all instruments.
async fn topics(gateway: &Gateway) -> Vec<String> {
    let answer = http(gateway.public_address(), "GET /v1/instruments").await;
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    let list: Value = serde_json::from_str(body).unwrap();
    let mut topics = Vec::new();
    for instrument in list["instruments"].as_array().unwrap() {
        let text = |key: &str| instrument[key].as_str().unwrap();
        let (venue, symbol) = (text("venue"), text("symbol"));
        for channel in instrument["channels"].as_array().unwrap() {
            let channel = match channel.as_str().unwrap() {
                "book" => "book.10",
                other => other,
            };
            topics.push(format!("{channel}:{venue}:{symbol}"));
        }
    }
    topics
}

/// A client that subscribes, and the snapshots that it begins with: of tapes and states, of what the answer
/// promises, and of what is known to have one.
async fn subscribed(gateway: &Gateway, topics: &[String], known: &Heard) -> (Client, Heard) {
    let mut client = connect(gateway).await;
    client.subscribe(topics).await.unwrap();
    let answer = next_json(&mut client).await;
    let started = answer["topics"].as_array().unwrap();
    assert_eq!(started.len(), topics.len(), "{answer}");
    let is_coming = |topic: &&Value| {
        let name = name(topic["topic"].as_str().unwrap());
        let last = known.get(&name).and_then(|words| words.last());
        name.starts_with("trade")
            || name.starts_with("status")
            || topic["start"] == "snapshot"
            || last.is_some_and(|words| !words.starts_with("gap"))
    };
    let coming = started.iter().filter(is_coming);
    let mut coming: BTreeSet<_> = coming.map(|t| t["topic"].clone().to_string()).collect();
    let mut heard = Heard::new();
    while !coming.is_empty() {
        let frame = next_json(&mut client).await;
        if frame["type"] == "snapshot" {
            coming.remove(&frame["topic"].to_string());
        }
        note(&mut heard, &frame);
    }
    (client, heard)
}

/// `channel symbol` of a topic.
fn name(topic: &str) -> String {
    let parts: Vec<_> = topic.split(':').collect();
    let channel = parts[0].split('.').next().unwrap();
    format!("{channel} {}", parts[2])
}

fn note(heard: &mut Heard, frame: &Value) {
    let name = name(frame["topic"].as_str().unwrap());
    let channel = name.split(' ').next().unwrap();
    if let Some(words) = spell(channel, frame) {
        heard.entry(name).or_default().push(words);
    }
}

/// A frame in words; none of a state that gives no reason.
fn spell(channel: &str, frame: &Value) -> Option<String> {
    if frame["op"] == "gap" {
        let text = |key: &str| frame[key].as_u64().unwrap();
        return Some(format!("gap {}-{}", text("from"), text("to")));
    }
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let pair = |price: &Value, qty: &Value| match price {
        Value::Null => "-".to_owned(),
        price => format!("{}x{}", text(price), text(qty)),
    };
    let list = |key: &str, word: &dyn Fn(&Value) -> String| {
        let items = frame[key].as_array().unwrap().iter().map(word);
        items.collect::<Vec<_>>().join(" ")
    };
    let level = |level: &Value| pair(&level[0], &level[1]);
    let trade = |trade: &Value| {
        let pair = pair(&trade["price"], &trade["qty"]);
        let time = trade.get("ts_event").map_or("-".into(), text);
        format!(
            "{} {pair} {} @{time}",
            text(&trade["id"]),
            text(&trade["side"])
        )
    };
    let content = match channel {
        "trade" => list("trades", &trade),
        "quote" => format!(
            "{} {}",
            pair(&frame["bid"], &frame["bid_qty"]),
            pair(&frame["ask"], &frame["ask_qty"])
        ),
        "book" => format!("[{}] [{}]", list("bids", &level), list("asks", &level)),
        "status" => match text(&frame["reason"]).as_str() {
            "-" | "no data yet" | "end of recording" => return None,
            reason => format!("{} {reason}", text(&frame["feed"])),
        },
        // What the recording does not say of itself.
        "instrument" => return None,
        other => panic!("a frame of {other}: {frame}"),
    };
    Some(format!("{} {content}", text(&frame["type"])))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trade_is_a_trade_of_the_market_with_a_quantity() {
    let case = Case::play("binance-usdm", "futures_rows_of_the_fund.jsonl").await;
    let [first, second] = [
        "100 65100.1x0.004 buy @1786310817999000000",
        "103 65100x0.01 sell @1786310818008000000",
    ];
    case.check(
        "trade BTC-USDT-PERP",
        &[&format!("update {first}"), &format!("update {second}")],
        &[&format!("snapshot {first} {second}")],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_in_dollars_are_split_where_they_are_joined() {
    let case = Case::play("binance", "spot_in_dollars.jsonl").await;
    // FTXUSD may also be FT in XUSD: it is not served.
    let symbols = [
        (1, "BNB-USD"),
        (2, "AVAX-USD"),
        (3, "STX-USD"),
        (4, "DOT-USD"),
        (5, "BAT-USD"),
        (7, "BTC-USD"),
        (8, "SUSD-USDT"),
        (9, "ETH-DAI"),
    ];
    for (number, symbol) in symbols {
        let trade = format!("{number} 1.5x2 buy @1786310818000000000");
        let (update, snapshot) = (format!("update {trade}"), format!("snapshot {trade}"));
        case.check(&format!("trade {symbol}"), &[&update], &[&snapshot]);
    }
    assert_eq!(case.late.len(), symbols.len(), "{:?}", case.late);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_book_whose_numbers_start_over_is_dropped_with_its_quote_and_comes_back() {
    let case = Case::play("binance", "spot_numbers_start_over.jsonl").await;
    case.check(
        "book BTC-USDT",
        &[
            "snapshot [100x1] [101x1]",
            "update [100.5x2] []",
            "gap 3-3",
            "snapshot [90.5x7 90x5] [91x5]",
            "update [90.7x1] []",
        ],
        &["snapshot [90.7x1 90.5x7 90x5] [91x5]"],
    );
    case.check(
        "quote BTC-USDT",
        &[
            "snapshot 100x1 101x1",
            "update 100.5x2 101x1",
            "gap 3-3",
            "snapshot 90.5x7 91x5",
            "update 90.7x1 91x5",
        ],
        &["snapshot 90.7x1 91x5"],
    );
    let reason = "update gap binance numbers started again: u 1 after 900001";
    case.check("status BTC-USDT", &[reason], &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_comes_again_brings_each_trade_once() {
    let case = Case::play("kraken", "kraken_history_again.jsonl").await;
    let trade = |id: u64| {
        format!(
            "{id} {}.5x0.1 buy @{}100000000",
            65_000 + id,
            1_786_310_760 + id
        )
    };
    let update = |id| format!("update {}", trade(id));
    let all: Vec<_> = (1..=7).map(trade).collect();
    case.check(
        "trade BTC-USD",
        &[&update(4), &update(5), &update(6), &update(7)],
        &[&format!("snapshot {}", all.join(" "))],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn exponents_are_numbers_and_agree_with_checksums() {
    let book = "snapshot [0.0000001x1000000 0.00000009x5] [0.00000011x7.5]";
    let quote = "snapshot 0.0000001x1000000 0.00000011x7.5";
    let case = Case::play("kraken", "kraken_exponents.jsonl").await;
    case.check("book PEPE-USD", &[book], &[book]);
    case.check("quote PEPE-USD", &[quote], &[quote]);
    let case = Case::play("bybit-spot", "bybit_exponents.jsonl").await;
    case.check(
        "book PEPE-USDT",
        &[
            "snapshot [0.0000001x100 0.00000009x5] [0.00000011x2500]",
            "update [0.0000001x0] [0.00000011x0]",
            "update [] [0.00000012x100]",
        ],
        &["snapshot [0.00000009x5] [0.00000012x100]"],
    );
    case.check(
        "quote PEPE-USDT",
        &[
            "snapshot 0.0000001x100 0.00000011x2500",
            "update 0.00000009x5 -",
            "update 0.00000009x5 0.00000012x100",
        ],
        &["snapshot 0.00000009x5 0.00000012x100"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_doubled_key_the_last_counts() {
    let case = Case::play("binance", "spot_doubled_keys.jsonl").await;
    case.check(
        "book BTC-USDT",
        &[
            "snapshot [100x1] [101x1]",
            "update [99x1] []",
            "update [] [102x1]",
        ],
        &["snapshot [100x1 99x1] [101x1 102x1]"],
    );
    case.check(
        "quote BTC-USDT",
        &["snapshot 100x1 101x1"],
        &["snapshot 100x1 101x1"],
    );
    let trade = "7 200x1 sell @1786310818000000000";
    case.check(
        "trade BTC-USDT",
        &[&format!("update {trade}")],
        &[&format!("snapshot {trade}")],
    );
    case.check("status BTC-USDT", &[], &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_a_gap_and_nobody_begins_with_what_was_before() {
    for name in [
        "spot_marked.jsonl",
        "spot_carriage_returns.jsonl",
        "spot_nulls.jsonl",
    ] {
        let case = Case::play("binance", name).await;
        let (mut book, mut quote) = (
            vec!["snapshot [100x1] [101x1]"],
            vec!["snapshot 100x1 101x1"],
        );
        if name != "spot_nulls.jsonl" {
            book.push("update [100x2] []");
            quote.push("update 100x2 101x1");
        }
        let gap = format!("gap {0}-{0}", book.len() + 1);
        book.push(&gap);
        quote.push(&gap);
        case.check("book BTC-USDT", &book, &[]);
        case.check("quote BTC-USDT", &quote, &[]);
        let reason = "update gap a message could not be read";
        case.check("status BTC-USDT", &[reason], &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_is_published_as_itself_or_not_at_all_and_ids_to_their_last_digit() {
    let case = Case::play("binance", "spot_times.jsonl").await;
    let known = "1786310818000000000";
    let trades = [
        (1, "-"),
        (2, known),
        (3, known),
        (4, "1786310818000001000"),
        (5, "1786310818000000001"),
        (6, "-"),
        (7, "4102444800000000000"),
        (u64::MAX, known),
    ]
    .map(|(id, time)| format!("{id} 1x1 sell @{time}"));
    let mut early: Vec<_> = trades
        .iter()
        .map(|trade| format!("update {trade}"))
        .collect();
    // The eighth could not be read, and the next id is no number of the same tape.
    early.insert(7, "gap 8-8".to_owned());
    let early: Vec<_> = early.iter().map(String::as_str).collect();
    case.check(
        "trade BTC-USDT",
        &early,
        &[&format!("snapshot {}", trades.join(" "))],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_crossed_is_held_back_and_said_and_an_empty_book_has_no_sides() {
    let case = Case::play("bybit-spot", "bybit_crossed.jsonl").await;
    case.check(
        "book BTC-USDT",
        &[
            "snapshot [100x1] [101x1]",
            // What is not crossed any more is what was shown last: there is nothing to say.
            "update [100x0] [101x0]",
            "update [50x1] []",
        ],
        &["snapshot [50x1] []"],
    );
    case.check(
        "quote BTC-USDT",
        &["snapshot 100x1 101x1", "update - -", "update 50x1 -"],
        &["snapshot 50x1 -"],
    );
    case.check(
        "status BTC-USDT",
        &["update live crossed: bid 101 at or above ask 101"],
        &[],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_message_and_a_keep_alive_change_nothing() {
    let case = Case::play("okx", "okx_control.jsonl").await;
    case.check(
        "book XRP-USDT",
        &[
            "snapshot [1.5x10] [1.6x7]",
            "update [1.5x11] []",
            "update [1.5x12] []",
            "update [1.5x13] []",
        ],
        &["snapshot [1.5x13] [1.6x7]"],
    );
    case.check("status XRP-USDT", &[], &[]);
}
