//! A session, a simulated venue and a pipeline, driven by one virtual clock.

mod checks;

use crate::memory::{measured, uncounted};
use crate::witness::{Seen, Witness};
use prometheus::Registry;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tapecast_ingest::metrics::{FeedCounters, FeedMetrics, PipelineMetrics, UpstreamEvent};
use tapecast_ingest::pipeline::{Pipeline, PipelineConfig, SilenceLimit};
use tapecast_ingest::recorder::Scribe;
use tapecast_ingest::reseed::{ReseedRequests, ReseedSession};
use tapecast_ingest::session::binance::BinanceSpot as Live;
use tapecast_ingest::session::kraken::KrakenSpot as LiveKraken;
use tapecast_ingest::session::venue::{LiveVenue, VenueRules};
use tapecast_ingest::session::{
    Earlier, Failure, Frame, HttpAnswer, Session, SessionCommand, SessionConfig, Transmit,
    WantedSet,
};
use tapecast_model::catalog::Offer;
use tapecast_model::{Catalog, ChannelKind, ChannelSet, Mono, UnixNanos, Venue as VenueName};
use tapecast_venuesim::{AnswerEnd, BinanceSpot, KrakenSpot, Output, SimConfig, Simulated};

/// How long a connection takes.
const CONNECT: Duration = Duration::from_millis(40);

/// How long the answer to a ping waits for a newer ping.
const PONG: Duration = Duration::from_millis(250);

/// So many steps are taken at one time at most.
const STEPS_AT_ONCE: u32 = 10_000;

/// What the shell will report.
#[derive(Debug)]
enum Coming {
    Connected(u32),
    Failed(u32, Failure),
    Http(u64, u16, Vec<(String, String)>, String),
    HttpFailed(u64, String),
}

/// A simulated venue that there is a session for.
pub(crate) trait Tested: Simulated {
    /// The session's side of it.
    fn live(rules: VenueRules) -> Box<dyn LiveVenue>;
}

impl Tested for BinanceSpot {
    fn live(rules: VenueRules) -> Box<dyn LiveVenue> {
        Box::new(Live::new(rules))
    }
}

impl Tested for KrakenSpot {
    fn live(rules: VenueRules) -> Box<dyn LiveVenue> {
        Box::new(LiveKraken::new(rules))
    }
}

/// A simulated Kraken whose markets are not too busy for a test.
pub(crate) fn kraken(seed: u64) -> SimConfig {
    let mut config = SimConfig::kraken(seed);
    for symbol in &mut config.symbols {
        symbol.every = symbol.every.max(Duration::from_millis(150));
        symbol.levels = symbol.levels.min(300);
    }
    config
}

pub(crate) struct Rig<V = BinanceSpot> {
    pub(crate) venue: V,
    pub(crate) session: Session,
    pub(crate) witness: Witness,
    pub(crate) counters: FeedCounters,
    pub(crate) now: Duration,
    pipeline: Pipeline,
    reseed: ReseedSession,
    start_ms: u64,
    coming: Vec<(Duration, Coming)>,
    pongs: Vec<(Duration, u64, Vec<u8>)>,
    /// What the session has asked for, newest last.
    pub(crate) asked: VecDeque<(Duration, Transmit)>,
    /// Texts of a line may be changed, or dropped, on their way.
    pub(crate) filter: Box<dyn FnMut(&mut String) -> bool>,
    /// Answers to requests may be changed on their way.
    pub(crate) answers: Box<dyn FnMut(&mut String)>,
    /// Lines on which no data come; all other frames do.
    pub(crate) silent: Vec<u64>,
    /// Writes down what goes in and out.
    pub(crate) scribe: Option<Scribe>,
    /// What a test is about to do.
    pub(crate) note: String,
    /// Lines that are cut from the world: nothing goes in or out.
    pub(crate) dead: Vec<u64>,
    /// Steps since time last went on.
    steps: u32,
    /// What session and pipeline have allocated since the beginning and not freed.
    pub(crate) bytes: i64,
}

/// What is wanted of the venue.
pub(crate) fn wanted(symbols: &[&str]) -> WantedSet {
    WantedSet {
        symbols: symbols.iter().map(|text| text.parse().unwrap()).collect(),
        exclude: Vec::new(),
        most: 1_000,
        channels: all(),
        top: None,
    }
}

pub(crate) fn all() -> ChannelSet {
    let kinds = [
        ChannelKind::Trade,
        ChannelKind::Quote,
        ChannelKind::Book,
        ChannelKind::Ticker,
    ];
    kinds.into_iter().fold(ChannelSet::EMPTY, ChannelSet::with)
}

impl Rig<BinanceSpot> {
    pub(crate) fn new(config: SimConfig, wanted: WantedSet, rules: &str) -> Self {
        Self::of(config, wanted, rules)
    }
}

impl<V: Tested> Rig<V> {
    pub(crate) fn of(config: SimConfig, wanted: WantedSet, rules: &str) -> Self {
        Self::after(Earlier::default(), config, wanted, rules)
    }

    /// What an earlier session knew is known.
    pub(crate) fn after(
        earlier: Earlier,
        config: SimConfig,
        wanted: WantedSet,
        rules: &str,
    ) -> Self {
        let start_ms = config.start_ms;
        let registry = Registry::new();
        let catalog = Arc::new(Catalog::new(10_000));
        let name = VenueName::new(V::NAME).unwrap();
        catalog.add_venue(
            &name,
            Offer {
                channels: wanted.channels.with(ChannelKind::Status),
                ..Offer::default()
            },
        );
        let (now, wall) = (Mono::default(), UnixNanos::from_millis(start_ms));
        let reseed = ReseedRequests::default();
        let mut pipeline = PipelineConfig::new(wall);
        pipeline.silence = SilenceLimit::ByPace;
        pipeline.reseed = reseed.clone();
        let counters = FeedMetrics::register(&registry).unwrap().of_venue(&name);
        let rules = VenueRules::of(V::NAME, &rules.parse().unwrap()).unwrap();
        let session = SessionConfig {
            venue: name,
            live: V::live(rules),
            wanted,
            known: Vec::new(),
            earlier,
            seed: config.seed,
            catalog: Arc::clone(&catalog),
            counters: counters.clone(),
        };
        Self {
            venue: V::open(config),
            session: Session::new(session, now, wall),
            witness: Witness::default(),
            counters,
            now: Duration::ZERO,
            pipeline: Pipeline::new(
                catalog,
                pipeline,
                PipelineMetrics::register(&registry).unwrap(),
            ),
            reseed: reseed.session(|| {}),
            start_ms,
            coming: Vec::new(),
            pongs: Vec::new(),
            asked: VecDeque::new(),
            filter: Box::new(|_| true),
            answers: Box::new(|_| ()),
            silent: Vec::new(),
            scribe: None,
            note: String::new(),
            dead: Vec::new(),
            steps: 0,
            bytes: 0,
        }
    }

    /// Messages that were sent since a time: when, on which line, and their text.
    pub(crate) fn sent(&self, since: Duration) -> impl Iterator<Item = (Duration, u32, &str)> {
        let asked = self.asked.iter().filter(move |(at, _)| *at >= since);
        asked.filter_map(|(at, transmit)| match transmit {
            Transmit::Send { line, text } => Some((*at, *line, text.as_str())),
            _ => None,
        })
    }

    /// Addresses that were asked since a time.
    pub(crate) fn requests(&self, since: Duration) -> impl Iterator<Item = &str> {
        let asked = self.asked.iter().filter(move |(at, _)| *at >= since);
        asked.filter_map(|(_, transmit)| match transmit {
            Transmit::Http { url, .. } => Some(url.as_str()),
            _ => None,
        })
    }

    /// When lines were opened, or tried to be, since a time.
    pub(crate) fn connects(&self, since: Duration) -> Vec<Duration> {
        let is_connect = |transmit: &Transmit| matches!(transmit, Transmit::Connect { .. });
        let asked = self.asked.iter();
        let connects = asked.filter(|(at, transmit)| *at >= since && is_connect(transmit));
        connects.map(|(at, _)| *at).collect()
    }

    pub(crate) fn count(&self, event: UpstreamEvent) -> u64 {
        self.counters.upstream_count(event)
    }

    fn mono(&self) -> Mono {
        Mono::default().after(self.now)
    }

    fn wall(&self) -> UnixNanos {
        let nanos = u64::try_from(self.now.as_nanos()).unwrap();
        UnixNanos::new(self.start_ms * 1_000_000 + nanos)
    }

    /// Runs for so long.
    pub(crate) fn run(&mut self, span: Duration) {
        let until = self.now + span;
        while self.step(until) {}
    }

    /// Runs until something holds.
    pub(crate) fn run_until(&mut self, most: Duration, mut holds: impl FnMut(&Self) -> bool) {
        let until = self.now + most;
        while !holds(self) {
            let happens = self.step(until);
            assert!(
                happens,
                "it did not happen within {most:?}\n{}",
                self.explain()
            );
        }
    }

    /// How it is, for a test that fails.
    pub(crate) fn explain(&mut self) -> String {
        let mut text = format!("{}{:?}\n", self.note, self.session.report());
        for (native, seen) in self.witness.seen.iter().take(8) {
            let Seen {
                trades,
                books,
                quotes,
                lost,
                states,
                ..
            } = seen;
            let trades = trades.len();
            let _ = writeln!(
                text,
                "{native}: {trades} trades, {books} books, {quotes} quotes, lost {lost:?}, {states:?}"
            );
        }
        for (at, transmit) in self.asked.iter().rev().take(8) {
            let _ = writeln!(text, "{at:?} {transmit:?}");
        }
        text
    }

    /// Until every named instrument is live.
    pub(crate) fn run_until_live(&mut self, most: Duration, natives: &[&str]) {
        let natives: Vec<_> = natives.iter().map(|native| (*native).to_owned()).collect();
        self.run_until(most, |rig| {
            natives.iter().all(|native| {
                let seen = rig.witness.seen.get(native);
                seen.is_some_and(|seen| {
                    seen.feed == Some(tapecast_model::FeedState::Live) && seen.books > 0
                })
            })
        });
    }

    /// Does what is due next, if it is due before `until`; else goes to `until`.
    fn step(&mut self, until: Duration) -> bool {
        let of_mono = |at: Mono| at - Mono::default();
        let session = self.session.next_deadline().map(of_mono);
        let pipeline = self.pipeline.next_deadline().map(of_mono);
        let coming = self.coming.iter().map(|(at, _)| *at).min();
        let pong = self.pongs.iter().map(|(at, ..)| *at).min();
        let next = [session, pipeline, coming, pong, self.venue.next_deadline()];
        let next = next.into_iter().flatten().min().unwrap_or(until);
        if next > until {
            self.now = until;
            return false;
        }
        // A deadline that is past and stays so would keep a real thread busy without end.
        self.steps = if next > self.now { 0 } else { self.steps + 1 };
        let goes_on = self.steps <= STEPS_AT_ONCE;
        assert!(
            goes_on,
            "time stands still: {next:?} is past\n{}",
            self.explain()
        );
        self.now = next.max(self.now);
        self.venue.advance(self.now);
        self.take_outputs();
        while let Some(at) = self.pongs.iter().position(|(at, ..)| *at <= self.now) {
            let (_, conn, payload) = self.pongs.remove(at);
            if !self.dead.contains(&conn) {
                self.venue.receive_pong(conn, &payload, self.now);
            }
        }
        while let Some(at) = self.coming.iter().position(|(at, _)| *at <= self.now) {
            let (_, coming) = self.coming.remove(at);
            self.report(coming);
        }
        let (mono, wall) = (self.mono(), self.wall());
        self.witness.now = self.now;
        measured(&mut self.bytes, || {
            self.session.handle_time(mono, wall);
            self.pipeline.handle_time(mono, &mut self.witness);
        });
        self.settle();
        true
    }

    /// What the venue sends.
    fn take_outputs(&mut self) {
        while let Some(output) = self.venue.poll() {
            let conn = output.conn();
            if self.dead.contains(&conn) {
                continue;
            }
            let line = u32::try_from(conn).unwrap();
            let (mono, wall) = (self.mono(), self.wall());
            match output {
                Output::Text { mut text, .. } => {
                    let is_silent = self.silent.contains(&conn) && text.starts_with("{\"stream");
                    if !is_silent && (self.filter)(&mut text) {
                        let mut bytes = text.into_bytes();
                        self.write_down(|scribe| scribe.message(line, &bytes, wall));
                        measured(&mut self.bytes, || {
                            let frame = Frame::Text(&mut bytes);
                            self.session.handle_message(line, frame, mono, wall);
                        });
                    }
                }
                Output::Ping { payload, .. } => {
                    measured(&mut self.bytes, || {
                        self.session.handle_message(line, Frame::Ping, mono, wall);
                    });
                    // The newest ping is answered, a quarter of a second later at most.
                    let pong = self.pongs.iter_mut().find(|(_, other, _)| *other == conn);
                    match pong {
                        Some((_, _, newest)) => *newest = payload,
                        None => self.pongs.push((self.now + PONG, conn, payload)),
                    }
                }
                Output::Pong { .. } => {
                    measured(&mut self.bytes, || {
                        self.session.handle_message(line, Frame::Pong, mono, wall);
                    });
                }
                Output::Close { code, reason, .. } => {
                    self.write_down(|scribe| scribe.closed(line, Some(code), &reason, wall));
                    let end = (Some(code), reason.as_str());
                    measured(&mut self.bytes, || {
                        self.session.handle_closed(line, end, mono, wall);
                    });
                }
                Output::Cut { .. } => {
                    self.write_down(|scribe| scribe.closed(line, None, "reset by peer", wall));
                    let end = (None, "reset by peer");
                    measured(&mut self.bytes, || {
                        self.session.handle_closed(line, end, mono, wall);
                    });
                }
                Output::Mute { .. } => self.dead.push(conn),
            }
            self.settle();
        }
    }

    /// What the session wants, until it wants nothing more.
    fn settle(&mut self) {
        loop {
            while let Some(transmit) = self.poll_transmit() {
                self.asked.push_back((self.now, transmit.clone()));
                let wall = self.wall();
                self.write_down(|scribe| scribe.transmit(&transmit, wall));
                self.carry_out(transmit);
            }
            let (mono, wall) = (self.mono(), self.wall());
            while let Some(id) = self.session.poll_served() {
                if let Some(defined) = self.session.defined(id) {
                    self.write_down(|scribe| scribe.served(id, defined, wall));
                }
                self.reseed.serve(id);
            }
            self.witness.now = self.now;
            while let Some(events) = measured(&mut self.bytes, || self.session.poll_event()) {
                self.write_down(|scribe| scribe.events(&events, wall));
                measured(&mut self.bytes, || {
                    for event in events.events {
                        self.pipeline.handle_event(event, mono, &mut self.witness);
                    }
                });
            }
            self.write_down(Scribe::release);
            self.witness.compare(&self.venue);
            let Some(request) = self.reseed.take() else {
                return;
            };
            let command = SessionCommand::Reseed(request);
            measured(&mut self.bytes, || {
                self.session.handle_command(command, mono, wall)
            });
        }
    }

    /// What the session wants, as a copy that is not counted.
    fn poll_transmit(&mut self) -> Option<Transmit> {
        measured(&mut self.bytes, || {
            let transmit = self.session.poll_transmit();
            uncounted(|| transmit.clone())
        })
    }

    fn carry_out(&mut self, transmit: Transmit) {
        match transmit {
            Transmit::Connect { line, url } => {
                let target = url.splitn(4, '/').nth(3).map(|path| format!("/{path}"));
                let target = target.unwrap_or_default();
                let coming = match self.venue.connect(u64::from(line), &target, self.now) {
                    Ok(()) => Coming::Connected(line),
                    Err(refusal) => {
                        let after = refusal
                            .headers
                            .iter()
                            .find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
                        let seconds = after.and_then(|(_, value)| value.parse().ok());
                        let failure = Failure {
                            text: refusal.body,
                            status: Some(refusal.status),
                            retry_after: seconds.map(Duration::from_secs),
                        };
                        Coming::Failed(line, failure)
                    }
                };
                self.coming.push((self.now + CONNECT, coming));
            }
            Transmit::Send { line, text } => {
                let conn = u64::from(line);
                if !self.dead.contains(&conn) {
                    self.venue.receive(conn, &text, self.now);
                }
            }
            Transmit::Ping { line } => {
                let conn = u64::from(line);
                if !self.dead.contains(&conn) {
                    self.venue.receive_ping(conn, b"", self.now);
                }
            }
            Transmit::Close { line } => {
                let conn = u64::from(line);
                if !self.dead.contains(&conn) {
                    self.venue.receive_close(conn, self.now);
                }
            }
            Transmit::Http { id, url, timeout } => {
                let target = url.splitn(4, '/').nth(3).map(|path| format!("/{path}"));
                let mut answer = self.venue.http(&target.unwrap_or_default(), self.now);
                (self.answers)(&mut answer.body);
                let (after, coming) = match answer.end {
                    AnswerEnd::Whole => (
                        answer.delay.min(timeout),
                        Coming::Http(id, answer.status, answer.headers, answer.body),
                    ),
                    AnswerEnd::Truncated => (
                        answer.delay,
                        Coming::HttpFailed(id, "the answer was cut off".into()),
                    ),
                    AnswerEnd::Never => (timeout, Coming::HttpFailed(id, "no answer".into())),
                };
                self.coming.push((self.now + after, coming));
            }
        }
    }

    /// Writes something down, if somebody does.
    fn write_down(&mut self, what: impl FnOnce(&mut Scribe)) {
        if let Some(scribe) = &mut self.scribe {
            what(scribe);
        }
    }

    fn report(&mut self, coming: Coming) {
        let (mono, wall) = (self.mono(), self.wall());
        self.write_down(|scribe| match &coming {
            Coming::Connected(line) => scribe.opened(*line, wall),
            Coming::Failed(line, failure) => scribe.closed(*line, None, &failure.text, wall),
            Coming::Http(id, status, _, body) => {
                scribe.answered(*id, *status, body.as_bytes(), wall);
            }
            Coming::HttpFailed(id, _) => scribe.failed(*id),
        });
        match coming {
            Coming::Connected(line) => measured(&mut self.bytes, || {
                self.session.handle_connected(line, mono, wall)
            }),
            Coming::Failed(line, failure) => {
                measured(&mut self.bytes, || {
                    self.session.handle_failed(line, &failure, mono, wall)
                });
            }
            Coming::Http(id, status, headers, body) => {
                let mut body = body.into_bytes();
                let answer = HttpAnswer {
                    status,
                    headers: &headers,
                    body: &mut body,
                };
                measured(&mut self.bytes, || {
                    self.session.handle_http(id, answer, mono, wall)
                });
            }
            Coming::HttpFailed(id, text) => {
                let failure = Failure {
                    text,
                    ..Failure::default()
                };
                measured(&mut self.bytes, || {
                    self.session.handle_http_failed(id, &failure, mono, wall)
                });
            }
        }
        self.settle();
    }

    /// Messages of a line were dropped before they were read.
    pub(crate) fn overflow(&mut self, line: u32, messages: u64) {
        let (mono, wall) = (self.mono(), self.wall());
        measured(&mut self.bytes, || {
            self.session.handle_overflow(line, messages, mono, wall)
        });
        self.settle();
    }

    /// Somebody asks for something.
    pub(crate) fn command(&mut self, command: SessionCommand) {
        let (mono, wall) = (self.mono(), self.wall());
        measured(&mut self.bytes, || {
            self.session.handle_command(command, mono, wall)
        });
        self.settle();
    }
}
