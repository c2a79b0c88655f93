//! The careful client: one connection, two symbols, books and trades.

use crate::book::{Best, Book, Sum};
use crate::streams::micros;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tapecast_venuesim::{Applied, Fault, KrakenSpot, Output, SimConfig, Venue};

pub(crate) const SYMBOLS: [&str; 2] = ["BTC/USD", "ETH/USD"];

/// A channel and a symbol.
type Stream = (&'static str, &'static str);

pub(crate) struct Client {
    pub(crate) venue: KrakenSpot,
    /// Sums that were wrong.
    pub(crate) wrong: usize,
    /// Takes books for right whatever their sums are.
    pub(crate) careless: bool,
    now: Duration,
    midnight: u64,
    connection: Option<Connection>,
    connect_at: Duration,
    ask_rest_at: Duration,
    next_conn: u64,
    symbols: BTreeMap<&'static str, Symbol>,
}

struct Connection {
    conn: u64,
    heard: Duration,
    pinged: Duration,
    streams: BTreeMap<Stream, State>,
    /// Streams that were asked for in vain.
    in_vain: u32,
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// It has to be subscribed from then on.
    Wanted(Duration),
    /// It has to be ended first.
    Unwanted,
    /// It was subscribed, and nothing has come.
    Asked(Duration),
    /// Something came, then for the last time.
    Speaking(Duration),
}

#[derive(Default)]
struct Symbol {
    book: Option<Book>,
    since: Duration,
    /// The time of the last message.
    us: u64,
    trades: Vec<u64>,
    /// The trades before and behind a hole.
    holes: Vec<(u64, u64)>,
}

impl Client {
    pub(crate) fn new(config: SimConfig) -> Self {
        let start = config.start_ms * 1_000;
        Self {
            venue: KrakenSpot::new(config),
            wrong: 0,
            careless: false,
            now: Duration::ZERO,
            midnight: start - start % (24 * 3_600 * 1_000_000),
            connection: None,
            connect_at: Duration::ZERO,
            ask_rest_at: Duration::ZERO,
            next_conn: 1,
            symbols: SYMBOLS.map(|name| (name, Symbol::default())).into(),
        }
    }

    pub(crate) fn run(&mut self, until: Duration) {
        while self.now < until {
            self.now += TURN;
            // Deadlines one by one, so that messages are read at their own time.
            while let Some(next) = self.venue.next_deadline().filter(|next| *next <= self.now) {
                self.venue.advance(next);
                self.read();
            }
            self.venue.advance(self.now);
            self.turn();
            self.read();
        }
    }

    /// Our best levels.
    pub(crate) fn top(&self, symbol: &str) -> Option<(Best, Best)> {
        Some(self.symbols[symbol].book.as_ref()?.best(20))
    }

    /// The truth at the time of our book.
    pub(crate) fn past(&self, symbol: &str) -> Option<(Best, Best)> {
        let past = self
            .venue
            .past_book(symbol, self.midnight + self.symbols[symbol].us)?;
        Some((past.bids, past.asks))
    }

    /// Where it is, for messages.
    pub(crate) fn state(&self) -> String {
        let streams = self.connection.as_ref().map(|c| &c.streams);
        format!("at {:?}, {streams:?}; {:?}", self.now, self.venue.counts())
    }

    pub(crate) fn holes(&self, symbol: &str) -> usize {
        self.symbols[symbol].holes.len()
    }

    /// Each trade came once, or it lies in a hole that was noticed.
    pub(crate) fn check_trades(&self, symbol: &str) {
        let truth = self.venue.trades(symbol);
        let truth: Vec<u64> = truth.iter().map(|trade| trade.id).collect();
        let place = |id: u64| truth.iter().position(|truth| *truth == id).unwrap();
        let state = &self.symbols[symbol];
        let mut came: Vec<usize> = state.trades.iter().map(|id| place(*id)).collect();
        let first = came[0];
        for (before, behind) in &state.holes {
            came.extend(place(*before) + 1..place(*behind));
        }
        came.sort_unstable();
        let all: Vec<usize> = (first..first + came.len()).collect();
        assert_eq!(came, all, "{symbol}");
        // One connection, and something goes wrong with it every few seconds.
        let (got, all) = (state.trades.len(), truth.len());
        assert!(got > all / 4, "{symbol}: {got} of {all}");
    }

    fn turn(&mut self) {
        let now = self.now;
        if now >= self.ask_rest_at {
            self.ask_rest_at = now + REST_EVERY;
            let answer = self.venue.http("/0/public/AssetPairs", now);
            if answer.status == 429 {
                self.ask_rest_at = now + REST_EVERY * 2;
            }
        }
        let Some(connection) = &mut self.connection else {
            return self.connect();
        };
        let conn = connection.conn;
        if now > connection.heard + HEARD_LIMIT || connection.in_vain > 3 {
            self.venue.receive_close(conn, now);
            return self.lose();
        }
        if now > connection.pinged + PING_EVERY {
            connection.pinged = now;
            return self.venue.receive(conn, r#"{"method":"ping"}"#, now);
        }
        let next = connection.streams.iter_mut().find_map(|(stream, state)| {
            let (method, next) = match *state {
                State::Wanted(from) if now >= from => ("subscribe", State::Asked(now)),
                State::Unwanted => ("unsubscribe", State::Wanted(now)),
                State::Asked(at) if now > at + ANSWER_LIMIT => {
                    connection.in_vain += 1;
                    ("unsubscribe", State::Wanted(now))
                }
                State::Speaking(at) if now > at + SILENCE_LIMIT => {
                    ("unsubscribe", State::Wanted(now))
                }
                _ => return None,
            };
            *state = next;
            Some((*stream, method))
        });
        let Some(((channel, symbol), method)) = next else {
            return;
        };
        let mut params = json!({"channel": channel, "symbol": [symbol]});
        if channel == "ticker" {
            params["event_trigger"] = json!("bbo");
        }
        if channel == "book" {
            params["depth"] = json!(25);
            self.symbols.get_mut(symbol).unwrap().book = None;
        }
        let request = json!({"method": method, "params": params, "req_id": 1});
        self.venue.receive(conn, &request.to_string(), now);
    }

    fn connect(&mut self) {
        let now = self.now;
        if now < self.connect_at {
            return;
        }
        let conn = self.next_conn;
        self.next_conn += 1;
        self.connect_at = now + CONNECT_EVERY;
        let streams = SYMBOLS.into_iter().flat_map(|symbol| {
            ["book", "trade", "ticker"].map(|channel| ((channel, symbol), State::Wanted(now)))
        });
        match self.venue.connect(conn, "/v2", now) {
            Ok(()) => {
                self.connection = Some(Connection {
                    conn,
                    heard: now,
                    pinged: now,
                    streams: streams.collect(),
                    in_vain: 0,
                });
            }
            Err(refusal) => {
                let wait = refusal
                    .headers
                    .iter()
                    .find(|(name, _)| name == "retry-after");
                let wait: u64 = wait.map_or(4, |(_, value)| value.parse().unwrap());
                self.connect_at = now + Duration::from_secs(wait);
            }
        }
    }

    fn lose(&mut self) {
        self.connection = None;
        self.connect_at = self.connect_at.max(self.now + CONNECT_EVERY);
        for symbol in self.symbols.values_mut() {
            symbol.book = None;
        }
    }

    fn read(&mut self) {
        while let Some(output) = self.venue.poll() {
            let conn = self.connection.as_ref().map(|connection| connection.conn);
            if conn != Some(output.conn()) {
                continue;
            }
            match output {
                Output::Text { text, .. } => self.take(&text),
                Output::Close { .. } | Output::Cut { .. } => self.lose(),
                // Nobody says so to a client.
                Output::Ping { .. } | Output::Pong { .. } | Output::Mute { .. } => {}
            }
        }
    }

    fn take(&mut self, text: &str) {
        let at = self.venue.now();
        let connection = self.connection.as_mut().unwrap();
        connection.heard = at;
        let Ok(value) = serde_json::from_str::<Value>(text) else {
            return;
        };
        let (channel, name) = match value["method"].as_str() {
            Some("subscribe") if value["success"] == false => (None, &value["symbol"]),
            Some(_) => return,
            None => (value["channel"].as_str(), &value["data"][0]["symbol"]),
        };
        let Some(symbol) = SYMBOLS.into_iter().find(|symbol| name == symbol) else {
            return;
        };
        let stream = |(of, on): &Stream| *on == symbol && channel.is_none_or(|name| name == *of);
        for (_, state) in connection.streams.iter_mut().filter(|(key, _)| stream(key)) {
            match (&state, channel) {
                // The answer does not say which channel was refused.
                (State::Asked(_), None) => *state = State::Unwanted,
                (State::Asked(_) | State::Speaking(_), Some(_)) => *state = State::Speaking(at),
                _ => {}
            }
        }
        match channel {
            Some("book") => self.take_book(symbol, text, &value),
            Some("trade") if value["type"] == "update" => {
                for trade in value["data"].as_array().unwrap() {
                    let id = trade["trade_id"].as_u64().unwrap();
                    self.symbols.get_mut(symbol).unwrap().trade(id);
                }
            }
            _ => {}
        }
    }

    fn take_book(&mut self, name: &'static str, text: &str, value: &Value) {
        let at = self.venue.now();
        let symbol = self.symbols.get_mut(name).unwrap();
        if value["type"] == "snapshot" {
            symbol.book = Some(Book::default());
            symbol.since = at;
        }
        let Some(book) = &mut symbol.book else { return };
        let sum = book.apply(text, 25);
        symbol.us = micros(text);
        let whole = book.bids.len() == 25;
        let stream = ("book", name);
        let connection = self.connection.as_mut().unwrap();
        if sum == Sum::Wrong {
            self.wrong += 1;
            if !self.careless {
                symbol.book = None;
                connection.streams.insert(stream, State::Unwanted);
            }
        } else if at > symbol.since + CHECK_EVERY {
            symbol.since = at;
            connection.streams.insert(stream, State::Unwanted);
        } else if sum == Sum::Right && whole && !self.careless {
            self.compare(name);
        }
    }

    /// A good book is the truth, unless something was lost that no rule of the venue shows.
    fn compare(&self, name: &str) {
        let state = &self.symbols[name];
        let (Some(ours), Some(truth)) = (self.top(name), self.past(name)) else {
            return;
        };
        let lost = |applied: &Applied| {
            matches!(
                applied.fault,
                Fault::LostLevel
                    | Fault::SkippedDeep
                    | Fault::GarbageFrame
                    | Fault::ChangedType
                    | Fault::SkippedDepth
                    | Fault::SwappedDepth
            ) && applied.symbol.as_deref() == Some(name)
                && applied.at + Duration::from_secs(20) > state.since
        };
        if ours != truth {
            assert!(
                self.venue.applied().iter().any(lost),
                "{name} at {:?}",
                self.now
            );
        }
    }
}

impl Symbol {
    fn trade(&mut self, id: u64) {
        let Some(last) = self.trades.last().copied() else {
            return self.trades.push(id);
        };
        let again = id + RENUMBERED < last;
        if id <= last && !again {
            return;
        }
        if id > last + 1 || again {
            self.holes.push((last, id));
        }
        self.trades.push(id);
    }
}

const TURN: Duration = Duration::from_millis(250);
/// 150 attempts in ten minutes are allowed.
const CONNECT_EVERY: Duration = Duration::from_millis(4_200);
const REST_EVERY: Duration = Duration::from_secs(2);
const ANSWER_LIMIT: Duration = Duration::from_secs(4);
const HEARD_LIMIT: Duration = Duration::from_secs(8);
const PING_EVERY: Duration = Duration::from_secs(20);
const SILENCE_LIMIT: Duration = Duration::from_secs(10);
const CHECK_EVERY: Duration = Duration::from_secs(60);
/// Numbers that are so far below have begun again.
const RENUMBERED: u64 = 100_000;
