//! A session, a pipeline, and a hand that writes what the venue says.

use prometheus::Registry;
use std::sync::Arc;
use std::time::Duration;
use tapecast_ingest::metrics::{FeedCounters, FeedMetrics, PipelineMetrics, UpstreamEvent};
use tapecast_ingest::pipeline::{Pipeline, PipelineConfig, SilenceLimit};
use tapecast_ingest::reseed::{ReseedRequests, ReseedSession};
use tapecast_ingest::session::kraken::KrakenSpot;
use tapecast_ingest::session::venue::VenueRules;
use tapecast_ingest::session::{
    Frame, Session, SessionCommand, SessionConfig, Transmit, WantedSet,
};
use tapecast_model::catalog::Offer;
use tapecast_model::{
    Body, Catalog, ChannelKind, ChannelSet, Mono, Side, StreamKind, UnixNanos, Update, Venue,
};

/// A session, a pipeline, and a hand that writes what the venue says.
pub(crate) struct Hand {
    pub(crate) session: Session,
    pipeline: Pipeline,
    reseed: ReseedSession,
    pub(crate) counters: FeedCounters,
    now: Duration,
    /// What was published, in words.
    pub(crate) said: Vec<String>,
    /// What the session has sent, in short.
    pub(crate) sent: Vec<String>,
    lines: Vec<u32>,
}

pub(crate) const BOOK: &str =
    r#""bids":[{"price":10.0,"qty":1.00}],"asks":[{"price":11.0,"qty":2.00}]"#;
pub(crate) const FAR: &str = r#""bids":[],"asks":[{"price":12.0,"qty":1.00}]"#;
pub(crate) const FINER: &str = r#""bids":[{"price":10.125,"qty":1.00}],"asks":[]"#;
pub(crate) const OTHER: &str =
    r#""bids":[{"price":10.0,"qty":3.00}],"asks":[{"price":11.0,"qty":2.00}]"#;

impl Hand {
    pub(crate) fn new(channels: &[ChannelKind]) -> Self {
        let registry = Registry::new();
        let catalog = Arc::new(Catalog::new(100));
        let name = Venue::new("kraken").unwrap();
        let channels = channels
            .iter()
            .fold(ChannelSet::EMPTY, |all, k| all.with(*k));
        catalog.add_venue(
            &name,
            Offer {
                channels: channels.with(ChannelKind::Status),
                ..Offer::default()
            },
        );
        let reseed = ReseedRequests::default();
        let mut config = PipelineConfig::new(UnixNanos::from_millis(1));
        config.silence = SilenceLimit::ByPace;
        config.reseed = reseed.clone();
        let counters = FeedMetrics::register(&registry).unwrap().of_venue(&name);
        let rules = VenueRules::of("kraken", &toml::Table::new()).unwrap();
        let session = SessionConfig {
            venue: name,
            live: Box::new(KrakenSpot::new(rules)),
            wanted: WantedSet {
                symbols: vec!["*-USD".parse().unwrap()],
                exclude: Vec::new(),
                most: 100,
                channels,
                top: None,
            },
            known: Vec::new(),
            earlier: Default::default(),
            seed: 1,
            catalog: Arc::clone(&catalog),
            counters: counters.clone(),
        };
        let metrics = PipelineMetrics::register(&registry).unwrap();
        let mut hand = Self {
            session: Session::new(session, Mono::default(), UnixNanos::from_millis(1)),
            pipeline: Pipeline::new(catalog, config, metrics),
            reseed: reseed.session(|| {}),
            counters,
            now: Duration::ZERO,
            said: Vec::new(),
            sent: Vec::new(),
            lines: Vec::new(),
        };
        hand.wait(0);
        hand
    }

    /// Two instruments that are subscribed, with their streams accepted; books have not come.
    pub(crate) fn subscribed(channels: &[ChannelKind]) -> Self {
        let mut hand = Self::new(channels);
        hand.open();
        hand.hear(
            r#"{"method":"subscribe","result":{"channel":"instrument","snapshot":true},"success":true}"#,
        );
        hand.hear(&list("snapshot", &[("A/USD", 1), ("B/USD", 1)], "online"));
        hand
    }

    /// The same, and both books are there.
    pub(crate) fn live() -> Self {
        let mut hand = Self::subscribed(&[ChannelKind::Book]);
        hand.accept("book", &["A/USD", "B/USD"]);
        for symbol in ["A/USD", "B/USD"] {
            hand.book(symbol, "snapshot", BOOK, 1);
        }
        hand.take_sent();
        hand.said.clear();
        hand
    }

    pub(crate) fn clocks(&self) -> (Mono, UnixNanos) {
        let nanos = u64::try_from(self.now.as_nanos()).unwrap();
        (
            Mono::default().after(self.now),
            UnixNanos::new(1_000_000 + nanos),
        )
    }

    pub(crate) fn line(&self) -> u32 {
        *self.lines.last().unwrap()
    }

    /// The last line is open.
    pub(crate) fn open(&mut self) {
        let (mono, wall) = self.clocks();
        self.session.handle_connected(self.line(), mono, wall);
        self.settle();
    }

    pub(crate) fn hear(&mut self, text: &str) {
        self.hear_on(self.line(), text);
    }

    pub(crate) fn hear_on(&mut self, line: u32, text: &str) {
        let (mono, wall) = self.clocks();
        let mut bytes = text.as_bytes().to_vec();
        let frame = Frame::Text(&mut bytes);
        self.session.handle_message(line, frame, mono, wall);
        self.settle();
    }

    pub(crate) fn accept(&mut self, channel: &str, symbols: &[&str]) {
        self.accept_on(self.line(), channel, symbols);
    }

    pub(crate) fn accept_on(&mut self, line: u32, channel: &str, symbols: &[&str]) {
        for symbol in symbols {
            self.hear_on(line, &format!(
                r#"{{"method":"subscribe","result":{{"symbol":"{symbol}","channel":"{channel}","depth":100}},"success":true}}"#
            ));
        }
    }

    /// A message of a book, at this second of the venue.
    pub(crate) fn book(&mut self, symbol: &str, kind: &str, levels: &str, second: u32) {
        let sum = (kind == "snapshot").then(|| sum(levels)).flatten();
        self.book_on(self.line(), symbol, kind, (levels, sum), second);
    }

    pub(crate) fn book_on(
        &mut self,
        line: u32,
        symbol: &str,
        kind: &str,
        (levels, sum): (&str, Option<u32>),
        second: u32,
    ) {
        let sum = sum.map_or(String::new(), |sum| format!(r#","checksum":{sum}"#));
        self.hear_on(line, &format!(
            r#"{{"channel":"book","type":"{kind}","data":[{{"symbol":"{symbol}",{levels}{sum},"timestamp":"2026-11-28T10:00:{second:02}.000000Z"}}]}}"#
        ));
    }

    /// Time passes; heartbeats come, and pings are answered.
    pub(crate) fn wait(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        loop {
            let (mono, wall) = self.clocks();
            self.session.handle_time(mono, wall);
            let said = &mut self.said;
            self.pipeline
                .handle_time(mono, &mut |update: &Update<'_>| note(said, update));
            self.settle();
            if self.now >= until {
                return;
            }
            self.now += Duration::from_millis(500);
            for line in self.lines.clone() {
                self.hear_on(line, r#"{"channel":"heartbeat"}"#);
            }
        }
    }

    pub(crate) fn settle(&mut self) {
        loop {
            let (mono, wall) = self.clocks();
            while let Some(transmit) = self.session.poll_transmit() {
                match transmit {
                    Transmit::Connect { line, .. } => self.lines.push(line),
                    Transmit::Close { line } => {
                        self.lines.retain(|open| *open != line);
                        self.sent.push(format!("close {line}"));
                    }
                    Transmit::Send { line, text } if text.contains("\"ping\"") => {
                        self.sent.push("ping".to_owned());
                        let mut pong = br#"{"method":"pong"}"#.to_vec();
                        let frame = Frame::Text(&mut pong);
                        self.session.handle_message(line, frame, mono, wall);
                    }
                    Transmit::Send { line, text } => self.sent.push(short(line, &text)),
                    other => self.sent.push(format!("{other:?}")),
                }
            }
            while let Some(id) = self.session.poll_served() {
                self.reseed.serve(id);
            }
            while let Some(events) = self.session.poll_event() {
                for event in events.events {
                    let said = &mut self.said;
                    self.pipeline
                        .handle_event(event, mono, &mut |update: &Update<'_>| note(said, update));
                }
            }
            let Some(request) = self.reseed.take() else {
                return;
            };
            let command = SessionCommand::Reseed(request);
            self.session.handle_command(command, mono, wall);
        }
    }

    pub(crate) fn take_sent(&mut self) -> Vec<String> {
        std::mem::take(&mut self.sent)
    }

    pub(crate) fn take_said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    pub(crate) fn count(&self, event: UpstreamEvent) -> u64 {
        self.counters.upstream_count(event)
    }
}

/// The sum of these books.
fn sum(levels: &str) -> Option<u32> {
    let text = match levels {
        BOOK => "110200100100",
        OTHER => "110200100300",
        FINER => "10125100",
        _ => return None,
    };
    Some(crc32fast::hash(text.as_bytes()))
}

/// A list of instruments with so many digits of their prices.
pub(crate) fn list(kind: &str, pairs: &[(&str, u8)], status: &str) -> String {
    let pair = |(symbol, digits): &(&str, u8)| {
        let (base, quote) = symbol.split_once('/').unwrap();
        format!(
            r#"{{"symbol":"{symbol}","base":"{base}","quote":"{quote}","status":"{status}","qty_precision":2,"price_precision":{digits},"qty_increment":1e-02}}"#
        )
    };
    let pairs: Vec<_> = pairs.iter().map(pair).collect();
    format!(
        r#"{{"channel":"instrument","type":"{kind}","data":{{"assets":[],"pairs":[{}]}}}}"#,
        pairs.join(",")
    )
}

/// A request in short: line, method, channel, symbols.
fn short(line: u32, text: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    let params = &value["params"];
    let symbols = params["symbol"].as_array().cloned().unwrap_or_default();
    let symbols: Vec<_> = symbols
        .iter()
        .map(|s| s.as_str().unwrap().to_owned())
        .collect();
    let (method, channel) = (value["method"].as_str().unwrap(), &params["channel"]);
    let words = [method, channel.as_str().unwrap(), &symbols.join(" ")].join(" ");
    format!("{line} {}", words.trim_end())
}

fn note(said: &mut Vec<String>, update: &Update<'_>) {
    let native = &update.instrument.native;
    said.push(match &update.body {
        Body::Book { book, .. } => {
            let best = |side| {
                let level = book.best(side);
                level.map_or("-".to_owned(), |level| {
                    format!("{}x{}", level.price.mantissa(), level.qty.mantissa())
                })
            };
            format!("{native} book {} {}", best(Side::Bid), best(Side::Ask))
        }
        // The quote is the book's, and the definition the list's.
        Body::Quote(_)
        | Body::Definition { .. }
        | Body::Lost {
            kind: StreamKind::Quote,
            ..
        } => return,
        Body::Trades(trades) => format!("{native} trades {}", trades.len()),
        Body::Ticker(_) => format!("{native} ticker"),
        Body::Lost { kind, events } => format!("{native} lost {} {events}", kind.channel().label()),
        Body::Status(status) => {
            let reason = &status.reason;
            let text = format!(
                "{native} {} {:?} {reason}",
                status.feed.label(),
                status.trading
            );
            text.trim_end().to_owned()
        }
    });
}
