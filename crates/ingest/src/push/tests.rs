//! Publishers on real sockets, port 0.

use super::*;
use crate::event::{Event, EventBatch, EventBody, FeedEvent};
use crossbeam_channel::Receiver;
use prometheus::Registry;
use tapecast_model::{Aggressor, TradingState};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::task::JoinHandle;

mod faults;
mod leaving;
mod lines;

struct Bench {
    at: SocketAddr,
    catalog: Arc<Catalog>,
    rx: Receiver<EventBatch>,
    tx: EventTx,
    metrics: FeedMetrics,
    counters: FeedCounters,
    stop: watch::Sender<bool>,
    push: Arc<PushServer>,
    server: JoinHandle<()>,
}

impl Bench {
    async fn new(symbols: Symbols, room: usize) -> Self {
        Self::with_faults(symbols, room, PushFaults::default()).await
    }

    async fn with_faults(symbols: Symbols, room: usize, faults: PushFaults) -> Self {
        let catalog = Arc::new(Catalog::new(10));
        let scale = Scale::saturating(8);
        let config = PushConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            venue: Venue::new("desk").unwrap(),
            symbols,
            price_scale: scale,
            qty_scale: scale,
        };
        let metrics = FeedMetrics::register(&Registry::new()).unwrap();
        let counters = metrics.of_venue(&config.venue);
        let push = PushServer::bind(config, Arc::clone(&catalog))
            .unwrap()
            .with_faults(faults);
        let (tx, rx) = EventTx::alone(room);
        let mut bench = Self {
            at: push.local_addr().unwrap(),
            catalog,
            rx,
            tx,
            metrics,
            counters,
            stop: watch::Sender::new(false),
            push: Arc::new(push),
            server: tokio::spawn(async {}),
        };
        bench.run();
        bench
    }

    fn run(&mut self) {
        let (push, metrics, tx) = (
            Arc::clone(&self.push),
            self.metrics.clone(),
            self.tx.clone(),
        );
        let mut stopped = self.stop.subscribe();
        self.server = tokio::spawn(async move {
            let stop = async { drop(stopped.wait_for(|stop| *stop).await) };
            push.run(tx, &metrics, stop).await.unwrap();
        });
    }

    /// Sends text, closes, and returns what was answered and what events came; see [`leaving`] for the word
    /// that the publisher has left.
    async fn publish(&self, text: &str) -> (Vec<String>, Vec<Event>) {
        self.publish_bytes(text.as_bytes()).await
    }

    /// The same for bytes that need not be text.
    async fn publish_bytes(&self, bytes: &[u8]) -> (Vec<String>, Vec<Event>) {
        let stream = TcpStream::connect(self.at).await.unwrap();
        let (mut read, mut write) = stream.into_split();
        write.write_all(bytes).await.unwrap();
        drop(write);
        let mut answers = String::new();
        read.read_to_string(&mut answers).await.unwrap();
        (answers.lines().map(str::to_owned).collect(), self.events())
    }

    /// The events that have come, but for those of publishers that left.
    fn events(&self) -> Vec<Event> {
        let says_end = |event: &Event| matches!(event.body, EventBody::Feed(FeedEvent::Ended(_)));
        let events = self.rx.try_iter().flatten();
        events.filter(|event| !says_end(event)).collect()
    }

    /// Sends one line that is wrong and returns the answer to it.
    async fn refusal(&self, line: &str) -> String {
        let (answers, events) = self.publish(&format!("{line}\n")).await;
        let says_loss =
            |event: &Event| matches!(event.body, EventBody::Feed(FeedEvent::Lost { .. }));
        assert!(events.iter().all(says_loss), "{line}: {events:?}");
        assert_eq!(answers.len(), 1, "{line}: {answers:?}");
        answers[0].clone()
    }
}

#[tokio::test]
async fn each_publisher_is_a_line_of_its_own() {
    let mut bench = Bench::new(any(), 10).await;
    let mut numbers = Vec::new();
    for run in 0..2 {
        for _ in 0..2 {
            let stream = TcpStream::connect(bench.at).await.unwrap();
            let (mut read, mut write) = stream.into_split();
            write.write_all(QUOTE.as_bytes()).await.unwrap();
            drop(write);
            read.read_to_end(&mut Vec::new()).await.unwrap();
            let batch = bench.rx.try_recv().unwrap();
            assert_eq!(batch.line.source, bench.tx.line().source);
            let left = bench.rx.try_recv().unwrap();
            assert_eq!(left.line, batch.line);
            numbers.push(batch.line.number);
        }
        if run == 0 {
            bench.stop.send_replace(true);
            let server = std::mem::replace(&mut bench.server, tokio::spawn(async {}));
            server.await.unwrap();
            bench.stop.send_replace(false);
            bench.run();
        }
    }
    assert_eq!(numbers, [1, 2, 3, 4]);
}

fn any() -> Symbols {
    Symbols::Any
}

#[tokio::test]
async fn every_kind_of_line_becomes_its_event() {
    let bench = Bench::new(any(), 100).await;
    let (answers, events) = bench
        .publish(concat!(
            r#"{"channel":"trade","symbol":"T0-USD","trades":[{"id":"0000000042","price":"61837.64","qty":"0.1605","side":"buy","ts_event":"0000001723161255401"}]}"#, "\n",
            r#"{"trades":[{"qty":1,"price":1.50,"id":7,"extra":[{}]},{"id":8,"price":"2","qty":"3","side":null}],"symbol":"T0-USD","channel":"trade","ts_event":5}"#, "\r\n\n",
            r#"{"channel":"quote","symbol":"X-USD","bid":"1.5","bid_qty":"10","ask":"1.6","ask_qty":"7","ts_event":"12","venue_seq":9}"#, "\n",
            r#"{"channel":"quote","symbol":"X-USD","bid":null,"ask":"1.6","ask_qty":"7"}"#, "\n",
            r#"{"channel":"book","symbol":"X-USD","type":"snapshot","bids":[["1.5","10"]],"asks":[["1.6",7,"ignored"]],"venue_seq":"18446744073709551615"}"#, "\n",
            r#"{"channel":"book","symbol":"X-USD","type":"update","bids":[["1.5","0"]]}"#, "\n",
            r#"{"channel":"ticker","symbol":"X-USD","last":"1.5","change":"-0.1"}"#, "\n",
            r#"{"channel":"status","symbol":"X-USD","trading":"halted"}"#, "\n",
            r#"{"channel":"status","symbol":"X-USD","feed":"gap","reason":"lost \"it\""}"#,
        ))
        .await;
    assert_eq!(answers, [""; 0]);
    assert_eq!(events.len(), 9);
    let EventBody::Trades {
        trades,
        history: false,
        ..
    } = &events[0].body
    else {
        panic!()
    };
    assert_eq!(trades[0].id.as_bytes(), b"0000000042");
    assert_eq!(
        (trades[0].price.mantissa(), trades[0].qty.mantissa()),
        (6_183_764_000_000, 16_050_000)
    );
    assert_eq!(trades[0].aggressor, Some(Aggressor::Buy));
    let time = trades[0].ts_event.unwrap();
    assert_eq!((time.nanos().get(), time.width()), (1_723_161_255_401, 19));
    let EventBody::Trades { trades, .. } = &events[1].body else {
        panic!()
    };
    assert_eq!(
        (trades[0].id.as_bytes(), trades[0].price.mantissa()),
        (&b"7"[..], 150_000_000)
    );
    assert_eq!((trades.len(), trades[1].aggressor), (2, None));
    assert_eq!(events[1].ts_event.map(|t| t.nanos().get()), Some(5));
    let EventBody::Quote(quote) = events[2].body else {
        panic!()
    };
    assert_eq!(
        quote.bid.map(|(p, q)| (p.mantissa(), q.mantissa())),
        Some((150_000_000, 1_000_000_000))
    );
    assert_eq!(events[2].venue_seq, Some(9));
    let EventBody::Quote(quote) = events[3].body else {
        panic!()
    };
    assert!(quote.bid.is_none() && quote.ask.is_some());
    let EventBody::Book(book) = &events[4].body else {
        panic!()
    };
    assert!(book.snapshot && !book.makes_quote && book.bids.len() == 1 && book.asks.len() == 1);
    assert_eq!(events[4].venue_seq, Some(u64::MAX));
    let EventBody::Book(book) = &events[5].body else {
        panic!()
    };
    assert!(!book.snapshot && book.bids[0].qty.is_zero());
    let EventBody::Ticker(ticker) = &events[6].body else {
        panic!()
    };
    assert_eq!(ticker.change.unwrap().to_string(), "-0.1");
    assert_eq!(events[7].body, EventBody::Trading(TradingState::Halted));
    assert_eq!(
        events[8].body,
        EventBody::Feed(FeedEvent::Gap("lost \"it\"".into()))
    );
    assert_eq!(bench.catalog.instruments().len(), 2);
    assert_eq!(
        (
            bench.counters.messages.get(),
            bench.counters.rejected_in_all()
        ),
        (9, 0)
    );
}

#[tokio::test]
async fn every_word_for_a_trading_state_is_taken_and_no_other() {
    let bench = Bench::new(any(), 100).await;
    for state in TradingState::ALL {
        let word = state.label();
        let line = format!(r#"{{"channel":"status","symbol":"X-USD","trading":"{word}"}}"#);
        let (answers, events) = bench.publish(&format!("{line}\n")).await;
        assert_eq!(answers, [""; 0], "{word}");
        assert_eq!(events[0].body, EventBody::Trading(state), "{word}");
    }
    let wrong = r#"{"channel":"status","symbol":"X-USD","trading":"frozen"}"#;
    let answer = bench.refusal(wrong).await;
    assert!(
        answer.contains("bad_field") && answer.contains("pre_open, auction"),
        "{answer}"
    );
}

/// Lines that are wrong: what the answer calls it, and what it names.
const BAD_LINES: [(&str, &str, &str); 28] = [
    (r#"[]"#, "bad_json", "an object"),
    (r#"{"symbol":"X-USD"}"#, "missing_field", "channel"),
    (
        r#"{"channel":"status","symbol":"X-USD","trading":"halted","reason":"an auction"}"#,
        "bad_field",
        "reason",
    ),
    (
        r#"{"channel":"status","symbol":"X-USD","trading":"open","feed":"gap"}"#,
        "bad_field",
        "feed",
    ),
    (
        r#"{"channel":"quote","bid":"1"}"#,
        "missing_field",
        "symbol",
    ),
    (
        r#"{"channel":"bar.1m","symbol":"X-USD"}"#,
        "unknown_channel",
        "bar.1m",
    ),
    (r#"{"channel":5,"symbol":"X-USD"}"#, "bad_field", "channel"),
    (
        r#"{"channel":"quote","symbol":"X USD","bid":"1","bid_qty":"1"}"#,
        "unknown_symbol",
        "X USD",
    ),
    (
        r#"{"channel":"quote","symbol":"X-USD"}"#,
        "missing_field",
        "bid or ask",
    ),
    (
        r#"{"channel":"quote","symbol":"X-USD","bid":"1"}"#,
        "missing_field",
        "bid_qty",
    ),
    (
        r#"{"channel":"quote","symbol":"X-USD","bid":"x","bid_qty":"1"}"#,
        "bad_field",
        "bid must be a decimal number, for example 1.5",
    ),
    (
        r#"{"channel":"quote","symbol":"X-USD","bid":"","bid_qty":"1"}"#,
        "bad_field",
        "bid must be a decimal number, for example 1.5",
    ),
    (
        r#"{"channel":"quote","symbol":"X-USD","bid":"1","bid_qty":"1.123456789"}"#,
        "beyond_scale",
        "bid_qty has more than 8 digits after the point; write fewer",
    ),
    (
        r#"{"channel":"quote","symbol":"X-USD","bid":"99999999999999999999","bid_qty":"1"}"#,
        "beyond_scale",
        "bid has more digits than can be kept",
    ),
    (
        r#"{"channel":"quote","symbol":"X-USD","ask":"1","ask_qty":[1]}"#,
        "bad_field",
        "ask_qty",
    ),
    (
        r#"{"channel":"trade","symbol":"X-USD","trades":[{"id":"1","price":"1"}]}"#,
        "missing_field",
        "trades[0].qty",
    ),
    (
        r#"{"channel":"trade","symbol":"X-USD","trades":[{"id":"1","price":"1","qty":"-1"}]}"#,
        "bad_field",
        "trades[0].qty",
    ),
    (
        r#"{"channel":"trade","symbol":"X-USD","trades":[{"id":"1","price":"1.123456789","qty":"1"}]}"#,
        "beyond_scale",
        "trades[0].price",
    ),
    (
        r#"{"channel":"trade","symbol":"X-USD","trades":[{"id":"1","price":"1","qty":"x"}]}"#,
        "bad_field",
        "trades[0].qty",
    ),
    (
        r#"{"channel":"trade","symbol":"X-USD","trades":[{"id":"1","price":"1","qty":"1","side":"up"}]}"#,
        "bad_field",
        "trades[0].side",
    ),
    (
        r#"{"channel":"trade","symbol":"X-USD","trades":[{"id":"1","price":"1","qty":"1","ts_event":"x"}]}"#,
        "bad_field",
        "trades[0].ts_event",
    ),
    (
        r#"{"channel":"trade","symbol":"X-USD","trades":[]}"#,
        "bad_field",
        "trades",
    ),
    (
        r#"{"channel":"trade","symbol":"X-USD"}"#,
        "missing_field",
        "trades",
    ),
    (
        r#"{"channel":"book","symbol":"X-USD","bids":[]}"#,
        "missing_field",
        "type",
    ),
    (
        r#"{"channel":"book","symbol":"X-USD","type":"update","asks":[["1"]]}"#,
        "bad_field",
        "asks[0]",
    ),
    (
        r#"{"channel":"book","symbol":"X-USD","type":"update"}"#,
        "missing_field",
        "bids or asks",
    ),
    (
        r#"{"channel":"ticker","symbol":"X-USD"}"#,
        "missing_field",
        "last",
    ),
    (
        r#"{"channel":"status","symbol":"X-USD","feed":"live"}"#,
        "bad_field",
        "feed",
    ),
];

#[tokio::test]
async fn a_bad_line_is_answered_with_its_place_and_the_next_one_is_taken() {
    let bench = Bench::new(any(), 100).await;
    let good = r#"{"channel":"status","symbol":"X-USD","trading":"open"}"#;
    let (answers, events) = bench
        .publish(&format!("{good}\n{{\"channel\"\n{good}\n"))
        .await;
    // What the bad line was of is unknown: the data so far are lost.
    assert_eq!(events.len(), 3);
    assert_eq!(
        answers,
        [r#"{"error":"bad_json","line":2,"message":"expected ':' at byte 10"}"#]
    );
    for (line, error, place) in BAD_LINES {
        let answer = bench.refusal(line).await;
        let read: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(
            (&read["error"], &read["line"]),
            (&error.into(), &1.into()),
            "{line}: {answer}"
        );
        assert!(
            read["message"].as_str().unwrap().contains(place),
            "{line}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_listed_source_takes_only_what_is_listed() {
    let only = Symbol::new("X-USD").unwrap();
    let bench = Bench::new(Symbols::List(vec![only]), 100).await;
    let (answers, events) = bench
        .publish("{\"channel\":\"status\",\"symbol\":\"X-USD\",\"trading\":\"open\"}\n{\"channel\":\"status\",\"symbol\":\"Y-USD\",\"trading\":\"open\"}\n")
        .await;
    assert_eq!((answers.len(), events.len()), (1, 1));
    assert!(
        answers[0].contains("unknown_symbol") && answers[0].contains("Y-USD"),
        "{answers:?}"
    );
}

#[tokio::test]
async fn a_line_that_is_too_long_is_skipped_to_its_end() {
    let bench = Bench::new(any(), 100).await;
    let good = r#"{"channel":"status","symbol":"X-USD","trading":"open"}"#;
    let long = "x".repeat(3 * LINE_BYTES_MAX);
    let (answers, events) = bench.publish(&format!("{good}\n{long}\n{good}\n")).await;
    assert_eq!(events.len(), 3);
    assert_eq!(answers.len(), 1);
    assert!(
        answers[0].starts_with(r#"{"error":"too_large","line":2,"#),
        "{answers:?}"
    );
}

#[tokio::test]
async fn while_there_is_no_room_publishers_wait_and_nothing_is_lost() {
    let bench = Bench::new(any(), 1).await;
    let lines: String = (0..500)
        .map(|id| format!("{{\"channel\":\"trade\",\"symbol\":\"X-USD\",\"trades\":[{{\"id\":{id},\"price\":1,\"qty\":1}}]}}\n"))
        .collect();
    let rx = bench.rx.clone();
    let reader =
        tokio::task::spawn_blocking(move || rx.iter().flatten().take(1_000).collect::<Vec<_>>());
    let one = async {
        TcpStream::connect(bench.at)
            .await
            .unwrap()
            .write_all(lines.as_bytes())
            .await
    };
    let other = async {
        TcpStream::connect(bench.at)
            .await
            .unwrap()
            .write_all(lines.as_bytes())
            .await
    };
    let (one, other) = tokio::join!(one, other);
    one.unwrap();
    other.unwrap();
    assert_eq!(reader.await.unwrap().len(), 1_000);
}

#[tokio::test]
async fn a_publisher_that_does_not_read_its_answers_is_not_waited_for() {
    let bench = Bench::new(any(), 10).await;
    let stream = TcpStream::connect(bench.at).await.unwrap();
    let (read, mut write) = stream.into_split();
    let bad = "{\n".repeat(200_000);
    write.write_all(bad.as_bytes()).await.unwrap();
    write
        .write_all(b"{\"channel\":\"status\",\"symbol\":\"X-USD\",\"trading\":\"open\"}\n")
        .await
        .unwrap();
    let rx = bench.rx.clone();
    let event = tokio::task::spawn_blocking(move || rx.recv())
        .await
        .unwrap();
    assert_eq!(
        event.unwrap().events[0].body,
        EventBody::Trading(TradingState::Open)
    );
    assert!(bench.counters.answers_dropped.get() > 0);
    // What was kept is whole lines.
    drop(write);
    let mut lines = BufReader::new(read).lines();
    let mut answered = 0;
    while let Some(line) = lines.next_line().await.unwrap() {
        assert!(line.ends_with('}'), "{line}");
        answered += 1;
    }
    assert_eq!(answered + bench.counters.answers_dropped.get(), 200_000);
}

#[tokio::test]
async fn one_publisher_too_many_is_told_so_and_the_others_go_on() {
    let bench = Bench::new(any(), 10).await;
    let mut inside = Vec::new();
    for _ in 0..PUBLISHERS_MAX {
        let mut stream = TcpStream::connect(bench.at).await.unwrap();
        // Once it is answered, it is in.
        stream.write_all(b"{\n").await.unwrap();
        stream.read_exact(&mut [0; 9]).await.unwrap();
        inside.push(stream);
    }
    let mut one_more = TcpStream::connect(bench.at).await.unwrap();
    let mut told = String::new();
    one_more.read_to_string(&mut told).await.unwrap();
    assert_eq!(
        told,
        "{\"error\":\"refused\",\"line\":0,\"message\":\"there are already 256 publishers; try again later\"}\n"
    );
    assert_eq!(bench.counters.publishers_refused.get(), 1);
    inside[0].write_all(b"{\n").await.unwrap();
    inside[0].read_exact(&mut [0; 9]).await.unwrap();
}

#[tokio::test]
async fn when_told_to_stop_it_closes_its_publishers_and_ends() {
    let bench = Bench::new(any(), 10).await;
    let mut stream = TcpStream::connect(bench.at).await.unwrap();
    stream.write_all(b"{\n").await.unwrap();
    let mut answer = [0; 9];
    stream.read_exact(&mut answer).await.unwrap();
    bench.stop.send(true).unwrap();
    bench.server.await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"}\n"));
}

#[tokio::test]
async fn an_address_in_use_is_refused_by_name() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = PushConfig {
        listen: taken.local_addr().unwrap(),
        venue: Venue::new("desk").unwrap(),
        symbols: Symbols::Any,
        price_scale: Scale::default(),
        qty_scale: Scale::default(),
    };
    let refusal = PushServer::bind(config, Arc::new(Catalog::new(1)))
        .unwrap_err()
        .to_string();
    let address = taken.local_addr().unwrap().to_string();
    assert!(
        refusal.contains(&address) && refusal.contains("desk"),
        "{refusal}"
    );
}

#[tokio::test]
async fn fifty_thousand_bad_lines_are_answered_one_by_one_and_counted() {
    const LINES: usize = 50_000;
    let bench = Bench::new(any(), 10).await;
    let stream = TcpStream::connect(bench.at).await.unwrap();
    let (read, mut write) = stream.into_split();
    let reader = tokio::spawn(async move {
        let mut lines = BufReader::new(read).lines();
        let mut answers = 0;
        while let Some(line) = lines.next_line().await.unwrap() {
            answers += 1;
            let place = format!("\"line\":{answers},");
            assert!(line.contains(&place), "{line} lacks {place}");
        }
        answers
    });
    let text: String = (0..LINES)
        .map(|n| format!("{{\"symbol\":\"S{n}\"}}\n"))
        .collect();
    write.write_all(text.as_bytes()).await.unwrap();
    drop(write);
    let answers = reader.await.unwrap();
    let counters = &bench.counters;
    assert_eq!(counters.rejected_in_all(), LINES as u64);
    assert_eq!((answers, counters.answers_dropped.get()), (LINES, 0));
    assert!(
        bench.catalog.instruments().is_empty(),
        "bad lines name nothing"
    );
}

const QUOTE: &str =
    "{\"channel\":\"quote\",\"symbol\":\"A-USD\",\"bid\":\"1\",\"bid_qty\":\"1\"}\n";
