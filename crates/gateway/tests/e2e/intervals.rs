//! Goal: over real sockets, a topic with an interval ends where the plain topic ends, with every trade,
//! in fewer frames.
//!
//! Method: a client follows plain topics and the same with intervals, checking every frame by the rule
//! for clients and every book by its checksum. Fed by a desk, in bursts that wait for each other by
//! what is heard, and by every recording in the directory that `TAPECAST_CAPTURES` names.

use crate::support::*;
use std::collections::BTreeMap;
use tapecast::gateway::Gateway;
use tapecast_client::message::{Level, Quote};
use tapecast_client::{Body, Client, ClientBook, DataFrame, MessageKind, Outcome, Tracker};
use tapecast_testkit::recordings;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// A client of plain topics and of the same with intervals.
struct Follower {
    client: Client,
    tracker: Tracker,
    heard: BTreeMap<String, Heard>,
    /// Topics that have said that their feed is at its end.
    ended: usize,
}

/// What a topic has said.
#[derive(Default)]
struct Heard {
    frames: usize,
    seq: u64,
    trades: Vec<(String, String, String)>,
    quote: Option<Quote>,
    book: Option<ClientBook>,
}

impl Follower {
    async fn subscribe(gateway: &Gateway, topics: &[String]) -> Self {
        let mut follower = Self {
            client: connect(gateway).await,
            tracker: Tracker::new(),
            heard: BTreeMap::new(),
            ended: 0,
        };
        for topic in topics {
            let book = topic
                .starts_with("book")
                .then(|| ClientBook::new(topic).unwrap());
            let heard = Heard {
                book,
                ..Heard::default()
            };
            follower.heard.insert(topic.clone(), heard);
        }
        follower.client.subscribe(topics).await.unwrap();
        let answer = next(&mut follower.client).await;
        let MessageKind::Subscribed(answer) = answer.kind() else {
            panic!("{}", answer.text());
        };
        assert_eq!(answer.rejected, []);
        follower
    }

    /// Takes one frame.
    async fn follow(&mut self) {
        let message = next(&mut self.client).await;
        let outcome = self.tracker.handle(&message);
        assert_eq!(outcome, Outcome::Apply, "{}", message.text());
        let frame = message.data().unwrap();
        if let Body::Status(status) = &frame.body {
            let is_end = status.feed == "down" && status.reason == "end of recording";
            self.ended += usize::from(is_end);
        }
        self.heard.get_mut(&frame.topic).unwrap().hear(frame);
    }

    /// Follows until something holds.
    async fn follow_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let followed = tokio::time::timeout(PATIENCE, async {
            while !holds(self) {
                self.follow().await;
            }
        });
        if followed.await.is_err() {
            panic!("never: {what}; apart: {:?}", self.apart());
        }
    }

    /// Topics with an interval that do not say what the plain ones say.
    fn apart(&self) -> Vec<&str> {
        let interval = self.heard.iter().filter_map(|(topic, heard)| {
            let (plain, _) = topic.split_once('@')?;
            Some((topic, heard, &self.heard[plain]))
        });
        let apart = interval.filter(|(_, heard, plain)| !heard.says_what(plain));
        apart.map(|(topic, ..)| topic.as_str()).collect()
    }
}

impl Heard {
    fn hear(&mut self, frame: &DataFrame) {
        self.seq = frame.seq;
        self.frames += usize::from(!frame.is_snapshot());
        match &frame.body {
            Body::Trades(trades) => {
                let Some(prev) = frame.prev else { return };
                assert_eq!(frame.seq - prev, trades.len() as u64, "{}", frame.topic);
                let trades = trades.iter();
                let trades = trades.map(|p| (p.id.clone(), p.price.clone(), p.qty.clone()));
                self.trades.extend(trades);
            }
            Body::Quote(quote) => self.quote = Some(quote.clone()),
            Body::Book(_) => self.book.as_mut().unwrap().apply(frame).unwrap(),
            _ => {}
        }
    }

    /// Whether this topic stands where the plain one stands. A book may have fewer numbers: what moved
    /// and moved back is no frame.
    fn says_what(&self, plain: &Self) -> bool {
        let levels = |book: &ClientBook| -> [Vec<Level>; 2] {
            [
                book.bids().cloned().collect(),
                book.asks().cloned().collect(),
            ]
        };
        match (&self.book, &plain.book) {
            (Some(ours), Some(theirs)) => levels(ours) == levels(theirs),
            _ => self.seq == plain.seq && self.trades == plain.trades && self.quote == plain.quote,
        }
    }
}

fn texts(topics: &[&str]) -> Vec<String> {
    topics.iter().map(|&topic| topic.to_owned()).collect()
}

const DESK: [&str; 6] = [
    "trade:desk:A",
    "quote:desk:A",
    "book.10:desk:A",
    "trade:desk:A@50ms",
    "quote:desk:A@10ms",
    "book.10:desk:A@100ms",
];

/// What a desk publishes in one burst: 50 trades, 50 quotes, 50 changes of its book, each of which is
/// seen at its best ask.
fn burst(number: u64) -> String {
    let mut lines = String::new();
    if number == 0 {
        lines.push_str(
            "{\"channel\":\"book\",\"type\":\"snapshot\",\"symbol\":\"A\",\"bids\":[[\"1\",\"1\"]],\"asks\":[[\"99\",\"1\"]]}\n",
        );
    }
    for n in number * 50 + 1..=number * 50 + 50 {
        let (price, qty) = (1 + n * 7 % 40, n % 3);
        lines.push_str(&format!(
            "{{\"channel\":\"trade\",\"symbol\":\"A\",\"trades\":[{{\"id\":\"{n}\",\"price\":\"{price}\",\"qty\":\"1\"}}]}}\n\
             {{\"channel\":\"quote\",\"symbol\":\"A\",\"bid\":\"{n}\",\"bid_qty\":\"1\"}}\n\
             {{\"channel\":\"book\",\"type\":\"update\",\"symbol\":\"A\",\"bids\":[[\"{price}\",\"{qty}\"]],\"asks\":[[\"50\",\"{n}\"],[\"{}\",\"{n}\"]]}}\n",
            price + 50
        ));
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desks_interval_topics_say_what_its_plain_topics_say() {
    let push = free_address();
    let gateway = gateway(&format!(
        "[[source]]\nkind = \"push\"\nvenue = \"desk\"\nlisten = \"{push}\"\nsymbols = \"*\"\n"
    ))
    .await;
    let topics = texts(&DESK);
    let mut followers = vec![Follower::subscribe(&gateway, &topics).await];
    let mut desk = TcpStream::connect(push).await.unwrap();
    for number in 0..10 {
        if number == 5 {
            // Joins in the middle: what it begins with is what the next frame fits.
            followers.push(Follower::subscribe(&gateway, &topics).await);
        }
        desk.write_all(burst(number).as_bytes()).await.unwrap();
        let last = number * 50 + 50;
        for follower in &mut followers {
            let all = |f: &Follower| {
                f.heard[DESK[0]].seq == last
                    && f.heard[DESK[1]].seq == last
                    && f.heard[DESK[2]].seq == last + 1
                    && f.apart().is_empty()
            };
            follower.follow_until("the burst", all).await;
        }
    }
    let [plain, conflated] = [0, 3].map(|topic| &followers[0].heard[DESK[topic]]);
    let ids: Vec<u64> = conflated
        .trades
        .iter()
        .map(|p| p.0.parse().unwrap())
        .collect();
    assert_eq!(ids, (1..=500).collect::<Vec<_>>());
    assert_eq!(plain.frames, 500);
    for (topic, heard) in followers[0].heard.iter().filter(|(t, _)| t.contains('@')) {
        assert!(
            (10..250).contains(&heard.frames),
            "{topic}: {}",
            heard.frames
        );
    }
    for channel in ["trade", "quote", "book"] {
        let name = format!("tapecast_updates_conflated_total{{channel=\"{channel}\"}}");
        assert!(metric(&gateway, &name).await > Some(0), "{name}");
    }
    drop(followers);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interval_topics_of_every_recording_end_where_the_plain_ones_end() {
    for recording in recordings() {
        let gateway = gateway(&replay(recording.format, &recording.path)).await;
        let list = http(gateway.public_address(), "GET /v1/instruments").await;
        let list: serde_json::Value =
            serde_json::from_str(list.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        let instruments = list["instruments"].as_array().unwrap();
        let mut topics = Vec::new();
        for instrument in instruments {
            let name = format!(
                "{}:{}",
                instrument["venue"].as_str().unwrap(),
                instrument["symbol"].as_str().unwrap()
            );
            topics.push(format!("status:{name}"));
            for channel in instrument["channels"].as_array().unwrap() {
                let conflated: &[(&str, &str)] = match channel.as_str().unwrap() {
                    "trade" => &[("trade", "50ms")],
                    "quote" => &[("quote", "10ms")],
                    "book" => &[("book.10", "100ms"), ("book.500", "10ms")],
                    _ => &[],
                };
                for (channel, interval) in conflated {
                    topics.push(format!("{channel}:{name}"));
                    topics.push(format!("{channel}:{name}@{interval}"));
                }
            }
        }
        let mut follower = Follower::subscribe(&gateway, &topics).await;
        start_replays(&gateway).await;
        let ended = |f: &Follower| f.ended == instruments.len() && f.apart().is_empty();
        follower.follow_until(&recording.name, ended).await;
        let frames = |wanted: bool| -> usize {
            let heard = follower.heard.iter();
            let of = heard.filter(|(topic, _)| topic.contains('@') == wanted);
            of.map(|(_, heard)| heard.frames).sum()
        };
        let (plain, conflated) = (frames(false), frames(true));
        println!(
            "{}: {plain} frames, {conflated} with intervals",
            recording.name
        );
        assert!(conflated <= plain, "{}", recording.name);
        drop(follower);
        gateway.stop().await;
    }
}
