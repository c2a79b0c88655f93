//! The careful client: one connection, two symbols, books and trades.

use crate::naive::NaiveBook;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tapecast_venuesim::{
    AnswerEnd, BinanceSpot, Fault, HttpAnswer, Output, Refusal, SimConfig, TruthBook, Venue,
};

pub(crate) const SYMBOLS: [&str; 2] = ["BTCUSDT", "ETHUSDT"];

pub(crate) struct Client {
    pub(crate) venue: BinanceSpot,
    /// Books that did not continue.
    pub(crate) gaps: usize,
    /// Does not compare numbers of depth messages.
    pub(crate) careless: bool,
    now: Duration,
    connection: Option<Connection>,
    connect_at: Duration,
    next_conn: u64,
    /// The request that is under way: its symbol, when the answer comes, and the answer.
    request: Option<(&'static str, Duration, HttpAnswer)>,
    request_at: Duration,
    symbols: BTreeMap<&'static str, Symbol>,
    sent: VecDeque<Duration>,
}

struct Connection {
    conn: u64,
    asked: Option<Duration>,
    acknowledged: bool,
    last_ping: Duration,
    pong: Option<Vec<u8>>,
}

struct Symbol {
    book: Option<NaiveBook>,
    book_since: Duration,
    buffer: Vec<Value>,
    last_depth: Duration,
    last_trade: Duration,
    trades: Vec<u64>,
    /// The trades before and behind a hole.
    holes: Vec<(u64, u64)>,
}

impl Client {
    pub(crate) fn new(config: SimConfig) -> Self {
        let symbol = |name| (name, Symbol::new());
        Self {
            venue: BinanceSpot::new(config),
            gaps: 0,
            careless: false,
            now: Duration::ZERO,
            connection: None,
            connect_at: Duration::ZERO,
            next_conn: 1,
            request: None,
            request_at: Duration::ZERO,
            symbols: SYMBOLS.map(symbol).into(),
            sent: VecDeque::new(),
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
            self.read();
            self.turn();
            self.read();
        }
    }

    pub(crate) fn top(&self, symbol: &str) -> Option<TruthBook> {
        Some(self.symbols[symbol].book.as_ref()?.top(20))
    }

    /// The truth at the number of our book.
    pub(crate) fn past(&self, symbol: &str) -> Option<TruthBook> {
        let last = self.symbols[symbol].book.as_ref()?.last;
        let mut past = self.venue.past_book(symbol, last)?;
        past.bids.truncate(20);
        past.asks.truncate(20);
        Some(past)
    }

    /// Where it is, for messages.
    pub(crate) fn state(&self) -> String {
        let symbols: Vec<String> = self
            .symbols
            .iter()
            .map(|(name, symbol)| {
                let last = symbol.book.as_ref().map(|book| book.last);
                format!(
                    "{name} {last:?} buffer {} depth {:?}",
                    symbol.buffer.len(),
                    symbol.last_depth
                )
            })
            .collect();
        format!(
            "at {:?}, connected {}, request at {:?}, connect at {:?}; {}; {:?}; {:?}",
            self.now,
            self.connection.is_some(),
            self.request_at,
            self.connect_at,
            symbols.join("; "),
            self.venue.counts(),
            self.venue.symbols()
        )
    }

    pub(crate) fn holes(&self, symbol: &str) -> usize {
        self.symbols[symbol].holes.len()
    }

    /// Each trade came once, or it lies in a hole that was noticed.
    pub(crate) fn check_trades(&self, symbol: &str) {
        let truth: Vec<u64> = self
            .venue
            .trades(symbol)
            .iter()
            .map(|trade| trade.id)
            .collect();
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
        if let Some((symbol, at, answer)) = self.request.take() {
            if at <= self.now {
                self.take_answer(symbol, answer);
            } else {
                self.request = Some((symbol, at, answer));
            }
        }
        let Some(connection) = &mut self.connection else {
            if self.now >= self.connect_at {
                self.connect();
            }
            return;
        };
        let conn = connection.conn;
        let overdue = connection
            .asked
            .is_some_and(|asked| self.now > asked + ACK_LIMIT);
        if self.now > connection.last_ping + PING_LIMIT || (overdue && !connection.acknowledged) {
            self.venue.receive_close(conn, self.now);
            return self.lose();
        }
        if let Some(payload) = connection.pong.take() {
            if Self::may_send(&mut self.sent, self.now) {
                self.venue.receive_pong(conn, &payload, self.now);
            } else {
                connection.pong = Some(payload);
            }
            return;
        }
        if connection.asked.is_none() {
            let streams = SYMBOLS.map(|symbol| {
                let small = symbol.to_lowercase();
                format!(r#""{small}@depth@100ms","{small}@trade""#)
            });
            connection.asked = Some(self.now);
            self.ask("SUBSCRIBE", &streams.join(","));
            return;
        }
        self.break_silence();
        self.refresh();
    }

    fn connect(&mut self) {
        let conn = self.next_conn;
        self.next_conn += 1;
        self.connect_at = self.now + CONNECT_EVERY;
        self.sent.clear();
        match self.venue.connect(conn, "/stream", self.now) {
            Ok(()) => {
                self.connection = Some(Connection {
                    conn,
                    asked: None,
                    acknowledged: false,
                    last_ping: self.now,
                    pong: None,
                });
                for symbol in self.symbols.values_mut() {
                    symbol.start_again(self.now);
                }
            }
            Err(Refusal {
                status, headers, ..
            }) => self.obey(status, &headers),
        }
    }

    /// Waits as long as the venue asks for.
    fn obey(&mut self, status: u16, headers: &[(String, String)]) {
        let wait = headers.iter().find(|(name, _)| name == "retry-after");
        let wait: u64 = wait.map_or(2, |(_, value)| value.parse().unwrap());
        let until = self.now + Duration::from_secs(wait) + TURN;
        self.request_at = self.request_at.max(until);
        if status == 418 || self.connection.is_none() {
            self.connect_at = self.connect_at.max(until);
        }
    }

    fn lose(&mut self) {
        self.connection = None;
        self.connect_at = self.connect_at.max(self.now + CONNECT_EVERY);
    }

    /// A stream that is silent for too long is subscribed again.
    fn break_silence(&mut self) {
        let now = self.now;
        let mut silent = None;
        for (name, symbol) in &mut self.symbols {
            for (kind, last) in [
                ("depth@100ms", &mut symbol.last_depth),
                ("trade", &mut symbol.last_trade),
            ] {
                if now > *last + SILENCE_LIMIT && silent.is_none() {
                    *last = now;
                    silent = Some((*name, kind));
                }
            }
        }
        let Some((name, kind)) = silent else { return };
        let stream = format!("\"{}@{kind}\"", name.to_lowercase());
        self.ask("UNSUBSCRIBE", &stream);
        self.ask("SUBSCRIBE", &stream);
    }

    /// Asks for a book that is missing, or was not compared for long.
    fn refresh(&mut self) {
        if self.request.is_some() || self.now < self.request_at {
            return;
        }
        let now = self.now;
        let wanted = self.symbols.iter_mut().find_map(|(name, symbol)| {
            if symbol.book.is_some() && now > symbol.book_since + CHECK_EVERY {
                symbol.start_again(symbol.last_depth);
            }
            (symbol.book.is_none() && !symbol.buffer.is_empty()).then_some(*name)
        });
        let Some(symbol) = wanted else { return };
        self.request_at = now + REQUEST_EVERY;
        let target = format!("/api/v3/depth?symbol={symbol}&limit=1000");
        let answer = self.venue.http(&target, now);
        let delay = match answer.end {
            AnswerEnd::Never => ANSWER_LIMIT,
            _ => answer.delay,
        };
        self.request = Some((symbol, now + delay, answer));
    }

    fn take_answer(&mut self, name: &'static str, answer: HttpAnswer) {
        if answer.status != 200 {
            return self.obey(answer.status, &answer.headers);
        }
        let value: Option<Value> = serde_json::from_str(&answer.body).ok();
        let whole = value.filter(|_| answer.end == AnswerEnd::Whole);
        let (Some(value), Some(symbol)) = (whole, self.symbols.get_mut(name)) else {
            return;
        };
        let mut book = NaiveBook::new(&value);
        let first = symbol
            .buffer
            .first()
            .and_then(|message| message["U"].as_u64());
        if symbol.book.is_some() || first.is_none_or(|first| book.last + 1 < first) {
            return;
        }
        if symbol.buffer.drain(..).all(|message| book.apply(&message)) {
            symbol.book = Some(book);
            symbol.book_since = self.now;
        }
    }

    fn may_send(sent: &mut VecDeque<Duration>, now: Duration) -> bool {
        sent.retain(|at| now < *at + Duration::from_millis(1_001));
        sent.len() < 5 && {
            sent.push_back(now);
            true
        }
    }

    fn ask(&mut self, method: &str, streams: &str) {
        let Some(connection) = &self.connection else {
            return;
        };
        if Self::may_send(&mut self.sent, self.now) {
            let text = format!(r#"{{"method":"{method}","params":[{streams}],"id":1}}"#);
            self.venue.receive(connection.conn, &text, self.now);
        }
    }

    fn read(&mut self) {
        while let Some(output) = self.venue.poll() {
            let Some(connection) = self
                .connection
                .as_mut()
                .filter(|connection| connection.conn == output.conn())
            else {
                continue;
            };
            match output {
                Output::Text { text, .. } => self.take(&text),
                Output::Ping { payload, .. } => {
                    connection.last_ping = self.venue.now();
                    connection.pong = Some(payload);
                }
                Output::Close { .. } | Output::Cut { .. } => self.lose(),
                // Nobody says so to a client.
                Output::Mute { .. } | Output::Pong { .. } => {}
            }
        }
    }

    fn take(&mut self, text: &str) {
        let Ok(value) = serde_json::from_str::<Value>(text) else {
            return;
        };
        let Some(stream) = value["stream"].as_str() else {
            let refused = value.get("code").is_some() || value.get("error").is_some();
            if let Some(connection) = &mut self.connection {
                connection.acknowledged |= !refused;
            }
            return;
        };
        let Some((name, kind)) = stream.split_once('@') else {
            return;
        };
        let at = self.venue.now();
        let name = name.to_uppercase();
        let Some(symbol) = self.symbols.get_mut(name.as_str()) else {
            return;
        };
        let data = &value["data"];
        if kind == "trade" {
            symbol.last_trade = at;
            if let Some(id) = data["t"].as_u64() {
                symbol.trade(id);
            }
            return;
        }
        symbol.last_depth = at;
        if data["U"].is_u64() && NaiveBook::is_readable(data) {
            let good = symbol.depth(data, at, self.careless);
            self.gaps += usize::from(!good);
            self.compare(&name);
        }
    }

    /// A good book is the truth, unless a level was lost, which no rule of the venue shows.
    fn compare(&self, name: &str) {
        let state = &self.symbols[name];
        let (Some(ours), Some(truth)) = (self.top(name), self.past(name)) else {
            return;
        };
        let lost = |applied: &tapecast_venuesim::Applied| {
            applied.fault == Fault::LostLevel
                && applied.symbol.as_deref() == Some(name)
                && applied.at + Duration::from_secs(20) > state.book_since
        };
        if ours != truth && !self.careless {
            assert!(
                self.venue.applied().iter().any(lost),
                "{name} at {:?}",
                self.now
            );
        }
    }
}

impl Symbol {
    fn new() -> Self {
        Self {
            book: None,
            book_since: Duration::ZERO,
            buffer: Vec::new(),
            last_depth: Duration::ZERO,
            last_trade: Duration::ZERO,
            trades: Vec::new(),
            holes: Vec::new(),
        }
    }

    fn start_again(&mut self, now: Duration) {
        self.book = None;
        self.buffer.clear();
        self.last_depth = now;
        self.last_trade = self.last_trade.max(now);
    }

    /// Whether the message continues the book.
    fn depth(&mut self, data: &Value, at: Duration, careless: bool) -> bool {
        let Some(book) = &mut self.book else {
            self.buffer.push(data.clone());
            return true;
        };
        if careless {
            book.last = book.last.max(data["U"].as_u64().unwrap() - 1);
        }
        let good = book.apply(data);
        if !good {
            self.start_again(at);
            self.buffer.push(data.clone());
        }
        good
    }

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
const CONNECT_EVERY: Duration = Duration::from_millis(1_500);
const REQUEST_EVERY: Duration = Duration::from_secs(1);
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
const ACK_LIMIT: Duration = Duration::from_secs(8);
const PING_LIMIT: Duration = Duration::from_secs(25);
const SILENCE_LIMIT: Duration = Duration::from_secs(8);
const CHECK_EVERY: Duration = Duration::from_secs(60);
/// Numbers that are so far below have begun again.
const RENUMBERED: u64 = 100_000;
