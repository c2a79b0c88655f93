//! A driver for tests: it moves the virtual time from deadline to deadline, answers pings as a library does, and
//! keeps what each connection got.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tapecast_venuesim::{BinanceSpot, Fault, HttpAnswer, Output, Refusal, SimConfig, Venue};

/// A venue and what came out of it.
pub(crate) struct Driver {
    pub(crate) venue: BinanceSpot,
    pub(crate) now: Duration,
    /// Everything, with its time.
    pub(crate) outputs: Vec<(Duration, Output)>,
    /// Connections that answer no ping.
    pub(crate) deaf: BTreeSet<u64>,
    /// What was not taken yet, by connection.
    texts: BTreeMap<u64, Vec<String>>,
}

// === impl Driver ===

impl Driver {
    pub(crate) fn new(config: SimConfig) -> Self {
        Self {
            venue: BinanceSpot::new(config),
            now: Duration::ZERO,
            outputs: Vec::new(),
            deaf: BTreeSet::new(),
            texts: BTreeMap::new(),
        }
    }

    pub(crate) fn connect(&mut self, conn: u64, target: &str) -> Result<(), Refusal> {
        let answer = self.venue.connect(conn, target, self.now);
        self.drain();
        answer
    }

    pub(crate) fn send(&mut self, conn: u64, text: &str) {
        self.venue.receive(conn, text, self.now);
        self.drain();
    }

    pub(crate) fn subscribe(&mut self, conn: u64, streams: &[&str]) {
        let params = serde_json::to_string(streams).unwrap();
        self.send(
            conn,
            &format!(r#"{{"method":"SUBSCRIBE","params":{params},"id":1}}"#),
        );
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

    /// The body of an answer that must be one.
    pub(crate) fn json(&mut self, target: &str) -> Value {
        let answer = self.get(target);
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
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

    /// What came on a connection since the last call.
    pub(crate) fn texts(&mut self, conn: u64) -> Vec<String> {
        self.texts.remove(&conn).unwrap_or_default()
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
            match &output {
                Output::Text { conn, text } => {
                    self.texts.entry(*conn).or_default().push(text.clone());
                }
                Output::Ping { conn, payload } if !self.deaf.contains(conn) => {
                    self.venue.receive_pong(*conn, payload, self.now);
                }
                _ => {}
            }
            self.outputs.push((self.now, output));
        }
    }
}
