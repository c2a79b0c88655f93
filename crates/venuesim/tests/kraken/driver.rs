//! A driver for tests: it moves the virtual time from deadline to deadline, pings as a client does, and keeps what
//! each connection got.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tapecast_venuesim::{Fault, HttpAnswer, KrakenSpot, Output, Refusal, SimConfig, Venue};

/// A venue and what came out of it.
pub(crate) struct Driver {
    pub(crate) venue: KrakenSpot,
    pub(crate) now: Duration,
    /// Everything, with its time.
    pub(crate) outputs: Vec<(Duration, Output)>,
    /// What was not taken yet, by connection.
    texts: BTreeMap<u64, Vec<String>>,
}

// === impl Driver ===

impl Driver {
    pub(crate) fn new(config: SimConfig) -> Self {
        Self {
            venue: KrakenSpot::new(config),
            now: Duration::ZERO,
            outputs: Vec::new(),
            texts: BTreeMap::new(),
        }
    }

    /// A venue and a connection whose first message was taken.
    pub(crate) fn connected(seed: u64) -> Self {
        let mut driver = Self::new(SimConfig::kraken(seed));
        driver.connect(1).unwrap();
        driver.texts(1);
        driver
    }

    pub(crate) fn connect(&mut self, conn: u64) -> Result<(), Refusal> {
        self.connect_to(conn, "/v2")
    }

    pub(crate) fn connect_to(&mut self, conn: u64, target: &str) -> Result<(), Refusal> {
        let answer = self.venue.connect(conn, target, self.now);
        self.drain();
        answer
    }

    pub(crate) fn send(&mut self, conn: u64, text: &str) {
        self.venue.receive(conn, text, self.now);
        self.drain();
    }

    /// Sends a request with these parameters.
    pub(crate) fn ask(&mut self, conn: u64, method: &str, params: &Value) {
        let request = json!({"method": method, "params": params, "req_id": 7});
        self.send(conn, &request.to_string());
    }

    /// Subscribes to a channel of these symbols; books have 25 levels, tickers follow the best prices.
    pub(crate) fn subscribe(&mut self, conn: u64, channel: &str, symbols: &[&str]) {
        let mut params = json!({"channel": channel, "symbol": symbols});
        match channel {
            "book" => params["depth"] = json!(25),
            "ticker" => params["event_trigger"] = json!("bbo"),
            _ => {}
        }
        self.ask(conn, "subscribe", &params);
    }

    pub(crate) fn get(&mut self, target: &str) -> HttpAnswer {
        let answer = self.venue.http(target, self.now);
        self.drain();
        answer
    }

    pub(crate) fn plant(&mut self, fault: Fault, symbol: Option<&str>) {
        self.venue.plant(fault, symbol);
        self.drain();
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.venue.next_deadline().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.venue.advance(self.now);
            self.drain();
        }
        self.now = end;
        self.venue.advance(end);
        self.drain();
    }

    pub(crate) fn run_secs(&mut self, seconds: u64) {
        self.run(Duration::from_secs(seconds));
    }

    /// The same for longer, while all clients give signs of life.
    pub(crate) fn run_pinging(&mut self, seconds: u64) {
        for _ in 0..seconds.div_ceil(30) {
            for conn in self.venue.connections() {
                self.send(conn, r#"{"method":"ping"}"#);
            }
            self.run_secs(30);
        }
    }

    /// What came on a connection since the last call.
    pub(crate) fn texts(&mut self, conn: u64) -> Vec<String> {
        self.texts.remove(&conn).unwrap_or_default()
    }

    /// The same of one channel.
    pub(crate) fn texts_of(&mut self, conn: u64, channel: &str) -> Vec<String> {
        let key = format!("\"channel\":\"{channel}\"");
        let mut texts = self.texts(conn);
        texts.retain(|text| text.contains(&key) && !text.contains("\"method\""));
        texts
    }

    /// The same, parsed.
    pub(crate) fn values(&mut self, conn: u64) -> Vec<Value> {
        let texts = self.texts(conn);
        texts
            .iter()
            .map(|text| serde_json::from_str(text).unwrap())
            .collect()
    }

    /// How a connection ended, and when.
    pub(crate) fn end(&self, conn: u64) -> Option<&(Duration, Output)> {
        self.outputs.iter().find(|(_, output)| {
            output.conn() == conn && matches!(output, Output::Close { .. } | Output::Cut { .. })
        })
    }

    fn drain(&mut self) {
        while let Some(output) = self.venue.poll() {
            if let Output::Text { conn, text } = &output {
                self.texts.entry(*conn).or_default().push(text.clone());
            }
            self.outputs.push((self.now, output));
        }
    }
}
