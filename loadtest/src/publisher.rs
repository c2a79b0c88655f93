//! The publisher: events as JSON lines into the server's push source.
//!
//! Driven by the loop that reads, never by a thread of its own: on the one core a harness has, a
//! thread would only add a switch. Lines wait in a bounded buffer while the socket is full; that is
//! counted, and the intended time in each line keeps the latency honest. The push source answers bad
//! lines with an error line; the first of them ends the run.

use crate::frame::{LEVELS, Levels};
use crate::pace::Pace;
use crate::scenario::MessageKind;
use crate::socket::{self, Received};
use crate::topics::TopicNames;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tapecast_model::{Mono, clock};

/// Lines made in one go, so that reading is never put off for long.
const LINES_PER_TURN: usize = 512;
/// Bytes waiting for the socket before no more lines are made.
const BUFFER_BYTES: usize = 200_000;

/// The publisher's clock: wall-clock meaning, monotonic steps, so that a clock that is set during a run
/// does not look like latency.
#[derive(Clone, Copy, Debug)]
pub struct StampClock {
    wall_at_zero: u64,
}

/// Publishes through a push source.
#[derive(Debug)]
pub struct Publisher {
    stream: TcpStream,
    pace: Pace,
    clock: StampClock,
    kind: MessageKind,
    symbols: Vec<String>,
    random: SplitMix,
    buffer: Vec<u8>,
    sent: usize,
    /// Intended time of the oldest event in the buffer.
    oldest: Option<Mono>,
    answers: Vec<u8>,
    done: Published,
}

/// What is published, and through which source.
#[derive(Clone, Copy, Debug)]
pub struct Feed {
    /// The push source.
    pub address: SocketAddr,
    /// What.
    pub kind: MessageKind,
    /// Of so many topics.
    pub topics: u32,
    /// Seed of the choice of topics and levels.
    pub seed: u64,
}

/// What the publisher did.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// Events of each topic.
    pub by_topic: Vec<u64>,
    /// The number of the newest event of each topic.
    pub last_id: Vec<Option<u64>>,
    /// The book of each topic, if books are published.
    pub books: Vec<Levels>,
    /// How often the server's socket was full.
    pub blocked: u64,
    /// How often a closed loop went on without everybody.
    pub stuck: u64,
    /// How late an event was made at worst: the harness's own delay.
    pub late_max: Duration,
    /// How late an event left at worst, a full socket of the server's included.
    pub sent_late_max: Duration,
}

/// Why publishing cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The push source cannot be reached.
    #[error(
        "cannot reach the push source at {address}: {source}; is a source of kind \"push\" configured there?"
    )]
    Reach {
        /// Its address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The connection failed.
    #[error("the connection to the push source failed: {0}")]
    Socket(#[source] io::Error),
    /// The push source closed the connection.
    #[error("the push source closed the connection")]
    Closed,
    /// A line was refused.
    #[error("the push source refused a line: {0}")]
    Refused(String),
}

/// A small random generator: the same topics for the same seed.
#[derive(Clone, Debug)]
pub struct SplitMix(u64);

// === impl StampClock ===

impl StampClock {
    /// Reads both clocks once.
    pub fn new() -> Self {
        Self {
            wall_at_zero: clock::unix_now()
                .get()
                .saturating_sub(clock::mono_now().get()),
        }
    }

    /// The wall-clock nanoseconds of a moment.
    pub fn stamp(self, at: Mono) -> u64 {
        self.wall_at_zero + at.get()
    }

    /// Nanoseconds from a stamp to now; zero if the stamp is ahead.
    pub fn since(self, stamp: u64, now: Mono) -> u64 {
        self.stamp(now).saturating_sub(stamp)
    }
}

impl Default for StampClock {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Publisher ===

impl Publisher {
    /// Connects to a push source.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub fn connect(feed: Feed, pace: Pace, clock: StampClock) -> Result<Self, PublishError> {
        let Feed {
            address,
            kind,
            topics,
            seed,
        } = feed;
        let reach = |source| PublishError::Reach { address, source };
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).map_err(reach)?;
        stream.set_nodelay(true).map_err(reach)?;
        stream.set_nonblocking(true).map_err(reach)?;
        let names = TopicNames::new(kind.topic_pattern());
        let symbol = |topic| {
            let name = names.name(topic);
            name.rsplit(':').next().unwrap_or_default().to_owned()
        };
        let count = topics as usize;
        let books = if kind == MessageKind::Book { count } else { 0 };
        Ok(Self {
            stream,
            pace,
            clock,
            kind,
            symbols: (0..topics).map(symbol).collect(),
            random: SplitMix::new(seed),
            buffer: Vec::with_capacity(BUFFER_BYTES + 1024),
            sent: 0,
            oldest: None,
            answers: Vec::new(),
            done: Published {
                by_topic: vec![0; count],
                last_id: vec![None; count],
                books: vec![Levels([1; 2 * LEVELS]); books],
                ..Published::default()
            },
        })
    }

    /// Events published so far.
    pub fn published(&self) -> u64 {
        self.pace.published()
    }

    /// When to be called again at the latest.
    pub fn wake_at(&self) -> Option<Mono> {
        self.pace.wake_at()
    }

    /// Whether lines wait for the socket.
    pub fn is_blocked(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The schedule begins now. Books begin with a snapshot that is no event of the schedule.
    pub fn begin(&mut self, now: Mono) {
        self.pace.begin(now);
        let stamp = self.clock.stamp(now);
        for topic in 0..self.done.books.len() {
            self.write_book_line(topic, "snapshot", stamp, |_| true);
        }
    }

    /// The warm-up is over: what was late then does not count.
    pub fn begin_measuring(&mut self) {
        self.pace.reset_late();
        self.done.sent_late_max = Duration::ZERO;
    }

    /// Publishes what is due. `seen` is how many events the clients have.
    ///
    /// # Errors
    /// If the push source is gone or refuses lines.
    pub fn publish(&mut self, now: Mono, seen: u64) -> Result<(), PublishError> {
        if !self.flush()? {
            return Ok(());
        }
        for _ in 0..LINES_PER_TURN {
            if self.buffer.len() > BUFFER_BYTES {
                break;
            }
            let number = self.pace.published();
            let Some(intended) = self.pace.take_due(now, seen) else {
                break;
            };
            self.oldest.get_or_insert(intended);
            self.write_line(number, intended);
        }
        self.flush().map(|_| ())
    }

    fn write_line(&mut self, number: u64, intended: Mono) {
        let topic = match self.symbols.len() {
            1 => 0,
            topics => self.random.below(topics),
        };
        self.done.by_topic[topic] += 1;
        self.done.last_id[topic] = Some(number);
        let stamp = self.clock.stamp(intended);
        let symbol = &self.symbols[topic];
        // Writing to a Vec cannot fail.
        let _ = match self.kind {
            MessageKind::Trade => writeln!(
                self.buffer,
                "{{\"channel\":\"trade\",\"symbol\":\"{symbol}\",\"trades\":[{{\"id\":\"{number:010}\",\
                 \"price\":\"61837.64\",\"qty\":\"0.1605\",\"side\":\"buy\",\
                 \"ts_event\":\"{stamp:019}\"}}]}}"
            ),
            MessageKind::Quote => writeln!(
                self.buffer,
                "{{\"channel\":\"quote\",\"symbol\":\"{symbol}\",\"bid\":\"61837.64\",\"bid_qty\":\"{}\",\
                 \"ask\":\"61837.65\",\"ask_qty\":\"1.5\",\"ts_event\":\"{stamp:019}\"}}",
                number + 1
            ),
            MessageKind::Book => {
                let (bid, ask) = (self.random.below(LEVELS), self.random.below(LEVELS));
                let changed = [bid, LEVELS + ask];
                for place in changed {
                    self.done.books[topic].0[place] = number + 1;
                }
                self.write_book_line(topic, "update", stamp, |place| changed.contains(&place));
                Ok(())
            }
        };
    }

    /// A line with those levels of a book that are chosen by place.
    fn write_book_line(
        &mut self,
        topic: usize,
        kind: &str,
        stamp: u64,
        chosen: impl Fn(usize) -> bool,
    ) {
        let Self {
            buffer,
            symbols,
            done,
            ..
        } = self;
        let quantities = &done.books[topic].0;
        let side = |buffer: &mut Vec<u8>, places: std::ops::Range<usize>| {
            let mut separator = "";
            for place in places.filter(|place| chosen(*place)) {
                let (price, qty) = (Levels::price(place), quantities[place]);
                let _ = write!(buffer, "{separator}[\"{price}\",\"{qty}\"]");
                separator = ",";
            }
        };
        let symbol = &symbols[topic];
        let _ = write!(
            buffer,
            "{{\"channel\":\"book\",\"symbol\":\"{symbol}\",\"type\":\"{kind}\",\"bids\":["
        );
        side(buffer, 0..LEVELS);
        let _ = write!(buffer, "],\"asks\":[");
        side(buffer, LEVELS..2 * LEVELS);
        let _ = writeln!(buffer, "],\"ts_event\":\"{stamp:019}\"}}");
    }

    /// Writes what waits; whether nothing waits any more.
    fn flush(&mut self) -> Result<bool, PublishError> {
        if self.buffer.is_empty() {
            return Ok(true);
        }
        while self.sent < self.buffer.len() {
            let rest = &self.buffer[self.sent..];
            match socket::send(&self.stream, rest).map_err(PublishError::Socket)? {
                0 => {
                    self.done.blocked += 1;
                    return Ok(false);
                }
                sent => self.sent += sent,
            }
        }
        if let Some(oldest) = self.oldest.take().filter(|_| self.pace.is_open()) {
            let late = clock::mono_now() - oldest;
            self.done.sent_late_max = self.done.sent_late_max.max(late);
        }
        self.buffer.clear();
        self.sent = 0;
        Ok(true)
    }

    /// Reads what the push source has to say: it speaks only of bad lines.
    ///
    /// # Errors
    /// If it has said something, or is gone.
    pub fn read_answers(&mut self) -> Result<(), PublishError> {
        let mut bytes = [0; 4096];
        loop {
            match socket::receive(&self.stream, &mut bytes).map_err(PublishError::Socket)? {
                Received::Nothing => return Ok(()),
                Received::End => return Err(PublishError::Closed),
                Received::Bytes(length) => self.answers.extend_from_slice(&bytes[..length]),
            }
            if let Some(end) = memchr::memchr(b'\n', &self.answers) {
                let line = String::from_utf8_lossy(&self.answers[..end])
                    .trim()
                    .to_owned();
                return Err(PublishError::Refused(line));
            }
        }
    }

    /// The socket, to be waited on.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// What was done.
    pub fn outcome(&self) -> Published {
        Published {
            stuck: self.pace.stuck(),
            late_max: self.pace.late_max(),
            ..self.done.clone()
        }
    }
}

// === impl SplitMix ===

impl SplitMix {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    #[expect(clippy::cast_possible_truncation, reason = "below a usize")]
    pub fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next_number()) * limit as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;

    fn pair(pace: Pace, kind: MessageKind) -> (Publisher, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let feed = Feed {
            address: listener.local_addr().unwrap(),
            kind,
            topics: 1,
            seed: 1,
        };
        let publisher = Publisher::connect(feed, pace, StampClock { wall_at_zero: 5 });
        (publisher.unwrap(), listener.accept().unwrap().0)
    }

    fn lines(peer: TcpStream, count: usize) -> Vec<String> {
        let lines = BufReader::new(peer).lines().take(count);
        lines.map(Result::unwrap).collect()
    }

    #[test]
    fn a_quote_carries_its_number_in_the_size_of_the_bid() {
        let (mut publisher, peer) = pair(Pace::open(1e9, Mono::new(100)), MessageKind::Quote);
        publisher.publish(Mono::new(101), 0).unwrap();
        let line = &lines(peer, 2)[1];
        assert!(
            line.contains(r#""bid_qty":"2","#)
                && line.contains(r#""ts_event":"0000000000000000106""#),
            "{line}"
        );
    }

    #[test]
    fn a_book_begins_with_a_snapshot_and_the_publisher_knows_its_state() {
        let (mut publisher, peer) = pair(Pace::open(1e9, Mono::new(100)), MessageKind::Book);
        publisher.begin(Mono::new(100));
        publisher.publish(Mono::new(102), 0).unwrap();
        let lines = lines(peer, 4);
        assert!(lines[0].contains(r#""type":"snapshot","bids":[["1000","1"],["999","1"],"#));
        let mut book = Levels([1; 2 * LEVELS]);
        for (number, line) in lines[1..].iter().enumerate() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            for level in ["bids", "asks"].map(|side| &value[side][0]) {
                let number_at = |at: usize| level[at].as_str().unwrap().parse::<u64>().unwrap();
                assert_eq!(number_at(1), number as u64 + 1);
                book.0[Levels::place(number_at(0)).unwrap()] = number_at(1);
            }
        }
        assert_eq!(publisher.outcome().books, [book]);
        assert_eq!(publisher.outcome().by_topic, [3]);
    }

    #[test]
    fn a_line_carries_its_number_and_its_intended_time() {
        let (mut publisher, peer) = pair(Pace::open(1e9, Mono::new(100)), MessageKind::Trade);
        publisher.publish(Mono::new(101), 0).unwrap();
        assert_eq!(
            lines(peer, 2)[1],
            r#"{"channel":"trade","symbol":"T0-USD","trades":[{"id":"0000000001","price":"61837.64","qty":"0.1605","side":"buy","ts_event":"0000000000000000106"}]}"#
        );
        assert_eq!(publisher.outcome().by_topic, [2]);
    }

    #[test]
    fn a_refused_line_ends_the_run_and_is_shown() {
        let (mut publisher, mut peer) = pair(Pace::open(1.0, Mono::new(0)), MessageKind::Trade);
        publisher.read_answers().unwrap();
        peer.write_all(b"line 1: unknown channel\n").unwrap();
        let stream = publisher.stream().try_clone().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.peek(&mut [0]).unwrap();
        let error = publisher.read_answers().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the push source refused a line: line 1: unknown channel"
        );
    }

    #[test]
    fn a_full_socket_is_counted_and_loses_nothing() {
        let (mut publisher, _peer) = pair(Pace::open(1e9, Mono::new(0)), MessageKind::Trade);
        for now in 1..200_000_u64 {
            publisher.publish(Mono::new(now * 1_000), 0).unwrap();
            if publisher.outcome().blocked > 2 {
                break;
            }
        }
        assert!(publisher.is_blocked());
        assert_eq!(publisher.outcome().by_topic, [publisher.published()]);
    }

    #[test]
    fn random_topics_are_the_same_for_the_same_seed_and_in_range() {
        let draw = |seed| -> Vec<usize> {
            let mut random = SplitMix::new(seed);
            (0..100).map(|_| random.below(7)).collect()
        };
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
        assert!(draw(3).iter().all(|t| *t < 7));
    }
}
