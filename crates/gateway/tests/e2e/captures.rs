//! Goal: what clients hear of a recording is what the recording says, through the whole process and
//! over real sockets.
//!
//! Method: every recording in the directory that `TAPECAST_CAPTURES` names is replayed at full speed
//! by a gateway of its own to three clients that subscribe to all its books, trades, quotes and states
//! before it starts, the third of them in binary. A naive reader, which shares no code with the gateway, goes through the same
//! file. Compared are the distinct states of the best 10, 50 and 500 levels in order, every trade,
//! the books with the quotes of the same number, and the frames of one client with the others', those
//! that came in binary by the JSON that they stand for.
//! Without the variable the test says so and passes.

use crate::support::*;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use tapecast::gateway::Gateway;
use tapecast_client::message::{BookLevels, Level as Text, Quote};
use tapecast_client::{
    Body, Client, ClientBook, DataFrame, Encoding, Message, MessageKind, Outcome, Tracker,
};
use tapecast_testkit::decimal::fixed;
use tapecast_testkit::{DEPTHS, Level, Reader, Recording, TapeTrade, Top, Views, recordings};

/// What `verify_bbo.py`, which lies beside the recordings, says of the two that have one symbol, a
/// snapshot and quotes: changes whose book was compared with the last quote that is not younger, and
/// those where price and size agreed.
const VERDICTS: [(&str, (usize, usize)); 2] = [
    ("binance-spot_btcusdt_20240808-09_", (6_493, 6_491)),
    ("binance-usdm_btcusdt_20240718-19_", (9_013, 9_013)),
];

/// An instrument as the gateway lists it.
#[derive(Deserialize)]
struct Instrument {
    venue: String,
    symbol: String,
    native: String,
    channels: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Instruments {
    instruments: Vec<Instrument>,
}

/// The venue's number, which quotes carry too.
#[derive(Deserialize)]
struct Numbered {
    venue_seq: Option<String>,
}

/// What a client has heard of one topic.
struct Heard {
    /// Digests of the frames since the start of the replay.
    frames: Vec<u64>,
    said: Said,
}

enum Said {
    Book(Box<FollowedBook>),
    Trades(Vec<TapeTrade>),
    /// By the venue's number, in order of arrival.
    Quotes(Vec<(u64, Top)>),
    /// Feed and reason.
    Feeds(Vec<String>),
}

/// A book as a client keeps it, checksums verified, and what it went through.
struct FollowedBook {
    book: ClientBook,
    /// The depth, as an index of [`DEPTHS`].
    index: usize,
    views: Views,
    /// The best levels by the venue's number.
    tops: Vec<(Option<u64>, Top)>,
}

/// A client that follows all its topics.
struct Follower {
    client: Client,
    tracker: Tracker,
    heard: BTreeMap<String, Heard>,
}

#[tokio::test(flavor = "multi_thread")]
async fn three_clients_hear_every_recording_as_a_naive_reader_reads_it() {
    for recording in recordings() {
        let started = std::time::Instant::now();
        let read = {
            let recording = recording.clone();
            tokio::task::spawn_blocking(move || Reader::of(&recording))
        };
        // However busy the machine, no client is too slow.
        let limits = "[limits]\nstall_timeout = \"1h\"\nidle_timeout = \"1h\"\n";
        let source = replay(recording.format, &recording.path);
        let gateway = gateway(&format!("{limits}{source}")).await;
        let instruments = instruments(&gateway).await;
        let mut following = Vec::new();
        for encoding in [Encoding::Json, Encoding::Json, Encoding::Bin] {
            following.push(Follower::subscribe(&gateway, &instruments, encoding).await);
        }
        start_replays(&gateway).await;
        let following: Vec<_> = following
            .into_iter()
            .map(|follower| tokio::spawn(follower.follow()))
            .collect();
        let mut heard = Vec::new();
        for followed in following {
            heard.push(followed.await.unwrap());
        }
        let reader = read.await.unwrap();

        let frames = same_frames(&recording, &heard);
        // What the third heard is the same, word for word.
        for heard in &heard[..2] {
            check_instruments(&recording, &instruments, heard, &reader);
        }
        check_metrics(&recording, &gateway, &reader).await;
        gateway.stop().await;
        let name = &recording.name;
        println!("{name}: {frames} frames to each, {:?}", started.elapsed());
    }
}

/// Everything that was said of each instrument is what the recording says.
fn check_instruments(
    recording: &Recording,
    instruments: &[Instrument],
    heard: &BTreeMap<String, Heard>,
    reader: &Reader,
) {
    let books = reader.books();
    let (mut seen, mut trades) = (0, 0);
    for instrument in instruments {
        let (name, native) = (&recording.name, instrument.native.as_str());
        for (index, depth) in DEPTHS.into_iter().enumerate() {
            let Some(ours) = instrument.book(heard, depth) else {
                continue;
            };
            let (ours, theirs) = (&ours.views, books.get(native).map(|book| &book.views));
            let theirs = theirs.map_or(&[][..], |views| &views.states[index]);
            let differs = ours.states[index]
                .iter()
                .zip(theirs)
                .position(|(a, b)| a != b);
            assert_eq!(differs, None, "{name} {native} at {depth}");
            assert_eq!(
                ours.states[index].len(),
                theirs.len(),
                "{name} {native} at {depth}"
            );
            seen += theirs.len();
        }
        if let Some(Said::Trades(ours)) = instrument.said(heard, "trade") {
            let theirs = reader
                .tapes()
                .get(native)
                .map_or(&[][..], |tape| tape.trades());
            assert_eq!(ours, theirs, "{name} {native}");
            trades += ours.len();
        }
        let Some(Said::Feeds(feeds)) = instrument.said(heard, "status") else {
            panic!("{name} {native}: no status");
        };
        let gaps = feeds.iter().filter(|feed| feed.starts_with("gap"));
        assert!(
            recording.lacks_snapshots() || gaps.count() == 0,
            "{feeds:?}"
        );
        let verdict = VERDICTS.iter().find(|(start, _)| name.starts_with(start));
        if let Some((_, expected)) = verdict {
            let numbers = &books[native].numbers;
            assert_eq!(verdict_of(instrument, heard, numbers), *expected, "{name}");
        }
    }
    let read: usize = reader
        .tapes()
        .values()
        .map(|tape| tape.trades().len())
        .sum();
    assert_eq!(
        trades, read,
        "{}: every print went to a topic",
        recording.name
    );
    assert!(
        recording.lacks_snapshots() || seen > 0,
        "{}: no book",
        recording.name
    );
}

/// Compares, at each change of the book, what the client then saw of it with the last quote that is
/// not younger. Returns how many were compared and how many agreed.
fn verdict_of(
    instrument: &Instrument,
    heard: &BTreeMap<String, Heard>,
    numbers: &[u64],
) -> (usize, usize) {
    let tops = &instrument.book(heard, DEPTHS[0]).unwrap().tops;
    let Some(Said::Quotes(quotes)) = instrument.said(heard, "quote") else {
        panic!("no quotes");
    };
    let mut quotes = quotes.clone();
    quotes.sort_by_key(|(number, _)| *number);
    let (snapshot, changes) = numbers.split_first().unwrap();
    let (mut compared, mut agreed) = (0, 0);
    for number in changes {
        let quote = quotes.partition_point(|(quote, _)| quote <= number);
        let quote = quote.checked_sub(1).map(|at| &quotes[at]);
        let Some((_, quote)) = quote.filter(|(at, _)| at >= snapshot) else {
            continue;
        };
        let top = tops.partition_point(|(top, _)| top.unwrap() <= *number);
        compared += 1;
        agreed += usize::from(tops[top - 1].1 == *quote);
    }
    (compared, agreed)
}

/// All clients heard the same of every topic. Returns how many frames.
fn same_frames(recording: &Recording, heard: &[BTreeMap<String, Heard>]) -> usize {
    let (one, others) = heard.split_first().unwrap();
    for other in others {
        assert_eq!(one.len(), other.len());
        for (topic, heard) in one {
            let (name, theirs) = (&recording.name, &other[topic].frames);
            assert!(heard.frames == *theirs, "{name} {topic}: frames differ");
        }
    }
    one.values().map(|heard| heard.frames.len()).sum()
}

/// Nothing was merged, lost or sent again on the way, and every checksum of the venue held.
async fn check_metrics(recording: &Recording, gateway: &Gateway, reader: &Reader) {
    let text = http(gateway.admin_address(), "GET /metrics").await;
    let sum = |name: &str, label: &str| -> u64 {
        let lines = text.lines().filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(label))
        });
        let values: Vec<u64> = lines
            .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert!(!values.is_empty(), "{name} {label} is not exported");
        values.iter().sum()
    };
    for name in [
        "tapecast_frames_conflated_total",
        "tapecast_frames_dropped_total",
        "tapecast_ring_overruns_total",
        "tapecast_gaps_total",
        "tapecast_feed_rejects_total",
        "tapecast_book_gaps_total",
    ] {
        assert_eq!(sum(name, ""), 0, "{} {name}", recording.name);
    }
    // A topic's first frame, sent to all at once, counts under another reason.
    for reason in ["slow", "asked"] {
        let label = format!("reason=\"{reason}\"");
        let resyncs = sum("tapecast_resyncs_total", &label);
        assert_eq!(resyncs, 0, "{} {reason}", recording.name);
    }
    let checksums = |outcome: &str| sum("tapecast_checksums_total", outcome);
    assert_eq!(
        (checksums("ok"), checksums("bad")),
        (reader.checksums, 0),
        "{}",
        recording.name
    );
}

async fn instruments(gateway: &Gateway) -> Vec<Instrument> {
    let answer = http(gateway.public_address(), "GET /v1/instruments").await;
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    serde_json::from_str::<Instruments>(body)
        .unwrap()
        .instruments
}

// === impl Instrument ===

impl Instrument {
    /// All its topics of the channels that are compared.
    fn topics(&self) -> Vec<String> {
        let books = DEPTHS.map(|depth| ("book", format!("book.{depth}")));
        let others = ["trade", "quote", "status"].map(|channel| (channel, channel.to_owned()));
        let offered = books.into_iter().chain(others);
        offered
            .filter(|(channel, _)| self.channels.contains(*channel))
            .map(|(_, channel)| self.topic(&channel))
            .collect()
    }

    fn topic(&self, channel: &str) -> String {
        format!("{channel}:{}:{}", self.venue, self.symbol)
    }

    fn said<'a>(&self, heard: &'a BTreeMap<String, Heard>, channel: &str) -> Option<&'a Said> {
        heard.get(&self.topic(channel)).map(|heard| &heard.said)
    }

    fn book<'a>(
        &self,
        heard: &'a BTreeMap<String, Heard>,
        depth: usize,
    ) -> Option<&'a FollowedBook> {
        match self.said(heard, &format!("book.{depth}"))? {
            Said::Book(book) => Some(book),
            _ => None,
        }
    }
}

// === impl Follower ===

impl Follower {
    /// Subscribes to everything and waits for the snapshots that come before there are events: of
    /// trades, which are empty, and of states.
    async fn subscribe(gateway: &Gateway, instruments: &[Instrument], encoding: Encoding) -> Self {
        let topics: Vec<String> = instruments.iter().flat_map(Instrument::topics).collect();
        let mut follower = Self {
            client: connect_in(gateway, encoding).await,
            tracker: Tracker::new(),
            heard: topics.iter().map(|t| (t.clone(), Heard::of(t))).collect(),
        };
        follower.client.subscribe(&topics).await.unwrap();
        let acknowledged = follower.next().await;
        let MessageKind::Subscribed(answer) = acknowledged.kind() else {
            panic!("{}", acknowledged.text());
        };
        assert_eq!(answer.rejected, []);
        let early = |topic: &&String| topic.starts_with("trade") || topic.starts_with("status");
        for _ in topics.iter().filter(early) {
            let snapshot = follower.next().await;
            let frame = snapshot.data().unwrap();
            assert!(frame.is_snapshot(), "{}", snapshot.text());
        }
        follower
    }

    /// Reads until every feed has ended, and what is queued behind that.
    async fn follow(mut self) -> BTreeMap<String, Heard> {
        let feeds = self
            .heard
            .keys()
            .filter(|topic| topic.starts_with("status"));
        let mut running = feeds.count();
        while running > 0 {
            let message = self.next().await;
            running -= usize::from(self.hear(&message));
        }
        self.client.ping().await.unwrap();
        loop {
            let message = self.next().await;
            if matches!(message.kind(), MessageKind::Pong(_)) {
                return self.heard;
            }
            self.hear(&message);
        }
    }

    /// The next message that says something; the rule for clients holds for it.
    async fn next(&mut self) -> Message {
        let said = async {
            loop {
                let message = self.client.next().await.unwrap();
                let outcome = self.tracker.handle(&message);
                let fits = matches!(outcome, Outcome::Apply | Outcome::Control);
                assert!(fits, "{outcome:?}: {}", message.text());
                assert_eq!(self.tracker.take_lost(), [""; 0], "{}", message.text());
                if !matches!(message.kind(), MessageKind::Heartbeat(_)) {
                    return message;
                }
            }
        };
        tokio::time::timeout(PATIENCE, said).await.expect("in time")
    }

    /// Notes a frame. Returns whether it says that a feed has ended.
    fn hear(&mut self, message: &Message) -> bool {
        let Some(frame) = message.data() else {
            panic!("{}", message.text());
        };
        let heard = self.heard.get_mut(&frame.topic).unwrap();
        let mut digest = DefaultHasher::new();
        message.text().hash(&mut digest);
        heard.frames.push(digest.finish());
        heard.said.hear(frame, message.text())
    }
}

// === impl Heard ===

impl Heard {
    /// Nothing of a topic yet.
    fn of(topic: &str) -> Self {
        let channel = topic.split(':').next().unwrap();
        let said = match channel.split('.').next().unwrap() {
            "book" => Said::Book(Box::new(FollowedBook::of(topic, channel))),
            "trade" => Said::Trades(Vec::new()),
            "quote" => Said::Quotes(Vec::new()),
            _ => Said::Feeds(Vec::new()),
        };
        Self {
            frames: Vec::new(),
            said,
        }
    }
}

impl Said {
    /// Notes a frame. Returns whether it says that a feed has ended.
    fn hear(&mut self, frame: &DataFrame, text: &str) -> bool {
        match (self, &frame.body) {
            (Self::Book(book), Body::Book(levels)) => book.hear(frame, levels),
            (Self::Trades(heard), Body::Trades(trades)) => {
                let counted = frame.seq - frame.prev.expect("an update");
                assert_eq!(counted, trades.len() as u64, "{text}");
                heard.extend(trades.iter().map(|trade| TapeTrade {
                    id: trade.id.clone(),
                    price: trade.price.clone(),
                    qty: trade.qty.clone(),
                    side: trade.side.clone().expect("every venue says so"),
                }));
            }
            (Self::Quotes(quotes), Body::Quote(quote)) => {
                let Numbered { venue_seq } = serde_json::from_str(text).unwrap();
                let number = venue_seq.map_or(0, |number| number.parse().unwrap());
                quotes.push((number, top_of(quote)));
            }
            (Self::Feeds(feeds), Body::Status(status)) => {
                feeds.push(format!("{}: {}", status.feed, status.reason));
                return status.feed == "down" && status.reason == "end of recording";
            }
            _ => panic!("a frame of another channel: {text}"),
        }
        false
    }
}

fn top_of(quote: &Quote) -> Top {
    let level = |price: &Option<String>, qty: &Option<String>| {
        let (price, qty) = price.as_deref().zip(qty.as_deref())?;
        Some((fixed(price), fixed(qty)))
    };
    (
        level(&quote.bid, &quote.bid_qty),
        level(&quote.ask, &quote.ask_qty),
    )
}

// === impl FollowedBook ===

impl FollowedBook {
    fn of(topic: &str, channel: &str) -> Self {
        let depth: usize = channel.strip_prefix("book.").unwrap().parse().unwrap();
        Self {
            book: ClientBook::new(topic).unwrap(),
            index: DEPTHS.iter().position(|d| *d == depth).unwrap(),
            views: Views::default(),
            tops: Vec::new(),
        }
    }

    fn hear(&mut self, frame: &DataFrame, levels: &BookLevels) {
        assert!(levels.checksum.is_some(), "{}", frame.topic);
        self.book.apply(frame).unwrap();
        if !frame.is_last_part() {
            return;
        }
        let level = |level: &Text| (fixed(&level.price), fixed(&level.qty));
        let bids: Vec<Level> = self.book.bids().map(level).collect();
        let asks: Vec<Level> = self.book.asks().map(level).collect();
        self.views.note(self.index, &bids, &asks);
        let number = levels.venue_seq.as_deref();
        let top = (bids.first().copied(), asks.first().copied());
        self.tops.push((number.map(|n| n.parse().unwrap()), top));
    }
}
