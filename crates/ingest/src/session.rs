//! The session of a live venue, without I/O: which connections there are, what is asked for on them, and what is
//! done when the venue does not do what it should.
//!
//! ```text
//!              handle_connected, handle_message, handle_http …            poll_transmit
//! shell (sockets, TLS, HTTP)  ───────────────────────────────►  Session  ───────────────►  shell
//!                                        handle_time, next_deadline │ poll_event
//!                                                                   ▼
//!                                                         channel to the pipeline
//! ```
//!
//! It has one owner, a thread that also drives it: [`Session::next_deadline`] says when [`Session::handle_time`] is
//! due, and after each call [`Session::poll_transmit`] and [`Session::poll_event`] are asked until they are empty. It
//! has no clock, socket or randomness of its own, so that tests run months in minutes.
//!
//! | file | holds |
//! |---|---|
//! | [`venue`] | what differs between venues: a trait; [`binance`], [`kraken`] |
//! | `definitions` | which instruments are wanted, and the venue's list of them |
//! | `earlier` | what one session leaves to the next |
//! | `top` | the instruments with the most turnover |
//! | `line`, `lines` | connections: connect, ping, replace |
//! | `subscribe` | what is asked for on them, and the venue's answers |
//! | `books`, `book_start`, `book_check` | snapshots that are asked for by HTTP |
//! | `silence`, `agreement` | streams that are accepted and silent: which of them are dead |
//! | `stream_books`, `renewal`, `successor`, `disorder` | books that begin in the stream: healed, taken over from another line |
//! | `requests`, `budget`, `backoff` | what the venue allows, and when to try again |
//! | `messages` | messages with data: read, measured, passed on |
//! | `rotation`, `position` | which message continues, while two lines have the same streams |
//!
//! # What it owns
//! The *wanted* set, which is configuration and the venue's list of instruments, and apart from it what the venue has
//! accepted on each line. A stream that was accepted and has no data is not live. Each line has a decoder of its own.
//!
//! # Wrong
//! * A line that ends, or does not answer a ping, is opened again after a pause that grows; its instruments are `down`.
//! * A request without an answer is sent three times; a refused one is halved until the stream is found that the venue
//!   refuses. Only that one has a gap, and is asked for again after a while.
//! * Ten messages in a row of one stream that cannot be read: this stream is asked for anew. Only if all streams of a
//!   line are affected, the line is opened anew.
//! * A level that the venue has lost shows in no number: now and then each book is compared with the venue's.
//! * A book that breaks in the pipeline, or falls silent, gets a snapshot from the venue, within its weight; if
//!   snapshots come in the stream, this stream is asked for anew.
//! * A number with more digits than the instrument has: the list of instruments is read again, and if the scales have
//!   changed, the instrument is replaced.
//!
//! # Full
//! It holds no data, but for the events of the message at hand. Its queues have at most one entry per instrument,
//! stream or line. It never waits; its owner may, while the channel to the pipeline is full.

mod agreement;
mod backoff;
pub mod binance;
mod book_check;
mod book_start;
mod books;
mod budget;
mod definitions;
mod disorder;
mod earlier;
mod freshness;
mod io;
pub mod kraken;
mod line;
mod lines;
mod listing;
mod messages;
mod position;
mod renewal;
mod report;
mod requests;
mod rotation;
mod samples;
mod silence;
mod stream_books;
mod subscribe;
mod successor;
mod top;
pub mod venue;

pub use definitions::{Pattern, PatternError, Top, VenueInstrument, WantedSet};
pub use earlier::Earlier;
pub use io::{Failure, Frame, HttpAnswer, SessionCommand, SessionEvents, Transmit};
pub use report::{LineReport, SessionReport};
pub use samples::Sample;

use crate::event::{Event, FeedEvent, LineId, Scales};
use crate::metrics::{FeedCounters, UpstreamEvent};
use crate::reseed::Want;
use agreement::Agreement;
use book_check::BookCheck;
use book_start::BookStart;
use budget::Budget;
use disorder::Disorder;
use earlier::Learned;
use freshness::Freshness;
use hashbrown::HashMap;
use line::Line;
use position::Position;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use renewal::Renewal;
use requests::Requests;
use samples::Samples;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use successor::Successor;
use tapecast_model::{
    Catalog, ChannelSet, Instrument, InstrumentId, Mono, RateLimit, Symbol, Terms, TradingState,
    UnixNanos, Venue,
};
use top::Ranking;
use venue::{Control, LiveVenue};

/// What a session is made for.
pub struct SessionConfig {
    /// The venue's name in topics.
    pub venue: Venue,
    /// What differs between venues.
    pub live: Box<dyn LiveVenue>,
    /// Which instruments and channels.
    pub wanted: WantedSet,
    /// Instruments that an earlier session of this process has entered in the catalogue.
    pub known: Vec<InstrumentId>,
    /// What an earlier session knew of the venue.
    pub earlier: Earlier,
    /// For pauses.
    pub seed: u64,
    /// Where instruments are entered.
    pub catalog: Arc<Catalog>,
    /// What is counted.
    pub counters: FeedCounters,
}

/// The session of one venue.
pub struct Session {
    venue: Venue,
    live: Box<dyn LiveVenue>,
    wanted: WantedSet,
    known: Vec<Arc<Instrument>>,
    catalog: Arc<Catalog>,
    counters: FeedCounters,
    random: SmallRng,
    /// The time of the last call, by both clocks.
    now: Mono,
    wall: UnixNanos,
    instruments: Vec<LiveInstrument>,
    by_id: HashMap<InstrumentId, usize>,
    by_native: HashMap<Box<str>, usize>,
    lines: BTreeMap<u32, Line>,
    /// The number of the last line.
    last_line: u32,
    /// The number of the last request on a line.
    last_request: u64,
    connects: Budget,
    /// No line is opened before: the venue has said so.
    held: Mono,
    requests: Requests,
    /// When the list of instruments is read next.
    list_due: Option<Mono>,
    /// When it was read last.
    listed: Option<Mono>,
    /// When its stream was asked for last.
    list_asked: Option<Mono>,
    /// What the venue says of trading in all of its instruments.
    system: TradingState,
    /// For the next session.
    learned: Learned,
    ranking: Ranking,
    transmits: VecDeque<Transmit>,
    events: VecDeque<SessionEvents>,
    /// Instruments that are new, or have a new id.
    served: Vec<InstrumentId>,
    /// Memory of the events of the message at hand.
    scratch: Vec<Event>,
    freshness: Freshness,
    /// Messages with data since the last whose delay was measured.
    unmeasured: u32,
    /// Messages that could not be read.
    samples: Samples,
    /// When and why the last request by HTTP failed.
    request_failure: Option<(Mono, String)>,
    log: RateLimit,
    stopped: bool,
}

/// An instrument that is wanted, and known by the venue.
struct LiveInstrument {
    native: Box<str>,
    symbol: Symbol,
    scales: Scales,
    id: InstrumentId,
    channels: ChannelSet,
    /// What the list says of trading, and what was said of it.
    listed: TradingState,
    trading: TradingState,
    terms: Terms,
    /// Channels of which data have come on the present line.
    live: ChannelSet,
    /// The line that has its streams.
    line: u32,
    /// A line that takes over.
    standby: Option<u32>,
    book: BookStart,
    /// Its book begins in the stream.
    in_stream: bool,
    renewal: Renewal,
    /// The book of a line that takes over, if it begins in the stream.
    successor: Option<Box<Successor>>,
    disorder: Disorder,
    /// The last snapshot had a few levels and no sum.
    was_thin: bool,
    agreement: Agreement,
    /// Its quote's stream was asked for anew because it is silent.
    probes_quote: bool,
    position: Position,
    /// The number that the quote stream must have passed by then, or it is dead.
    quote_due: Option<(u64, Mono)>,
    /// The book is being compared with the venue's.
    check: Option<BookCheck>,
    /// When it is compared next.
    check_at: Mono,
}

// === impl Session ===

impl Session {
    /// A session that has done nothing yet.
    pub fn new(config: SessionConfig, now: Mono, wall: UnixNanos) -> Self {
        let SessionConfig {
            venue,
            live,
            wanted,
            known,
            earlier,
            seed,
            catalog,
            counters,
        } = config;
        let (limit, span) = live.rules().connects();
        let mut session = Self {
            requests: Requests::new(live.rules()),
            venue,
            live,
            wanted,
            known: known.into_iter().filter_map(|id| catalog.get(id)).collect(),
            catalog,
            counters,
            random: SmallRng::seed_from_u64(seed),
            now,
            wall,
            instruments: Vec::new(),
            by_id: HashMap::new(),
            by_native: HashMap::new(),
            lines: BTreeMap::new(),
            last_line: LineId::FIRST,
            last_request: 0,
            connects: Budget::new(limit, span),
            held: Mono::default(),
            list_due: Some(now),
            listed: None,
            list_asked: None,
            system: TradingState::Unknown,
            learned: Learned::default(),
            ranking: Ranking::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            served: Vec::new(),
            scratch: Vec::new(),
            freshness: Freshness::new(now),
            unmeasured: 0,
            samples: Samples::new(now),
            request_failure: None,
            log: RateLimit::of_log_lines(),
            stopped: false,
        };
        session.take_earlier(&earlier);
        session
    }

    /// What is to be done outside, oldest first.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// Events for the pipeline, oldest first.
    pub fn poll_event(&mut self) -> Option<SessionEvents> {
        self.events.pop_front()
    }

    /// An instrument that is served from now on under this id.
    pub fn poll_served(&mut self) -> Option<InstrumentId> {
        self.served.pop()
    }

    /// The instruments that are served.
    pub fn instruments(&self) -> impl Iterator<Item = InstrumentId> {
        self.instruments.iter().map(|instrument| instrument.id)
    }

    /// When [`Session::handle_time`] is due.
    pub fn next_deadline(&self) -> Option<Mono> {
        if self.stopped {
            return None;
        }
        let life = self.live.rules().life();
        let lines = self.lines.values().map(|line| line.next_deadline(life));
        let instruments = self.instruments.iter();
        let instruments = instruments.filter_map(LiveInstrument::next_deadline);
        let joins = self.joins_due();
        let lists = self.list_due.into_iter().chain(self.ranking.due());
        let other = lists.chain(joins);
        let next = lines.chain(instruments).chain(other).min();
        let requests = self.requests.next_deadline(self.now);
        next.into_iter().chain(requests).min()
    }

    /// Time has passed.
    pub fn handle_time(&mut self, now: Mono, wall: UnixNanos) {
        (self.now, self.wall) = (now, wall);
        if self.stopped {
            return;
        }
        self.ask_for_list();
        self.ask_for_turnover();
        self.visit_lines();
        self.visit_rotations();
        self.visit_books();
        self.visit_requests();
    }

    /// The line is open.
    pub fn handle_connected(&mut self, line: u32, now: Mono, wall: UnixNanos) {
        (self.now, self.wall) = (now, wall);
        self.open_line(line);
        self.handle_time(now, wall);
    }

    /// The line could not be opened.
    pub fn handle_failed(&mut self, line: u32, failure: &Failure, now: Mono, wall: UnixNanos) {
        (self.now, self.wall) = (now, wall);
        self.fail_line(line, failure);
        self.handle_time(now, wall);
    }

    /// The line has ended, with a code if the venue closed it.
    pub fn handle_closed(
        &mut self,
        line: u32,
        (code, reason): (Option<u16>, &str),
        now: Mono,
        wall: UnixNanos,
    ) {
        (self.now, self.wall) = (now, wall);
        let why = match code {
            Some(code) if reason.is_empty() => format!("the venue closed the connection ({code})"),
            Some(code) => format!("the venue closed the connection ({code}: {reason})"),
            None => format!("the connection ended: {reason}"),
        };
        self.end_line(line, why);
        self.handle_time(now, wall);
    }

    /// Messages of the line were dropped before they were read, because we are too slow.
    pub fn handle_overflow(&mut self, line: u32, messages: u64, now: Mono, wall: UnixNanos) {
        (self.now, self.wall) = (now, wall);
        let Some(it) = self.lines.get_mut(&line) else {
            return;
        };
        let why = format!("overload: {messages} messages were dropped before they were read");
        let mut events = Vec::new();
        it.parser
            .announce(&FeedEvent::Gap(why.into()), wall, &mut events);
        let instruments = it.instruments();
        self.counters.upstream(UpstreamEvent::Overflow, messages);
        self.pass_on(line, events);
        for at in instruments {
            if self.instruments[at].line == line {
                self.begin_book_anew(at);
            }
        }
        self.handle_time(now, wall);
    }

    /// A message of the line, received at these times.
    pub fn handle_message(&mut self, line: u32, frame: Frame<'_>, now: Mono, wall: UnixNanos) {
        (self.now, self.wall) = (now, wall);
        let Some(it) = self.lines.get_mut(&line).filter(|it| it.is_open()) else {
            return;
        };
        (it.heard, it.pinged) = (now, None);
        let raw = match frame {
            Frame::Ping | Frame::Pong => return,
            Frame::Text(raw) | Frame::Binary(raw) => raw,
        };
        self.counters.messages.inc();
        self.counters.bytes.inc_by(raw.len() as u64);
        match self.live.control(raw) {
            Control::Data => {
                it.data = now;
                self.read_data(line, raw);
            }
            Control::Alive => {}
            Control::Pong => it.pong_due = None,
            Control::Accepted { id, name } => {
                self.accept(line, id, name.as_deref());
                if name.is_some() {
                    // How it was accepted may matter to who reads its data.
                    self.read_data(line, raw);
                }
            }
            Control::Refused { id, what, reason } => self.refuse(line, id, &what, &reason),
            Control::RateExceeded => self.slow_down(line),
            Control::System { trading, word } => self.take_system(trading, &word),
            Control::Definitions => self.take_message_of_list(line, raw),
            Control::EndsSoon => self.rotate(line),
        }
        if !self.transmits.is_empty() || self.requests.counts().0 > 0 {
            self.visit_requests();
        }
    }

    /// An answer to a request.
    pub fn handle_http(&mut self, id: u64, answer: HttpAnswer<'_>, now: Mono, wall: UnixNanos) {
        (self.now, self.wall) = (now, wall);
        self.take_answer(id, answer);
        self.handle_time(now, wall);
    }

    /// A request failed on its way.
    pub fn handle_http_failed(&mut self, id: u64, failure: &Failure, now: Mono, wall: UnixNanos) {
        (self.now, self.wall) = (now, wall);
        if let Some(job) = self.requests.answered(id) {
            self.ask_again(job, &failure.text);
        }
        self.handle_time(now, wall);
    }

    /// What somebody else asks for.
    pub fn handle_command(&mut self, command: SessionCommand, now: Mono, wall: UnixNanos) {
        (self.now, self.wall) = (now, wall);
        match command {
            SessionCommand::Reseed(request) => {
                let at = self.by_id.get(&request.instrument).copied();
                if let Some(at) = at
                    && !request.is_answered(self.instruments[at].book.snapshots)
                {
                    let is_reseed = request.want == Want::Reseed;
                    if is_reseed {
                        self.instruments[at].book.need();
                    }
                    if self.instruments[at].in_stream && !is_reseed {
                        self.probe(at);
                    } else {
                        // A book that is perhaps wrong waits behind those that are not there.
                        self.ask_for_snapshot(at, is_reseed);
                    }
                }
            }
            SessionCommand::Rotate => {
                let lines: Vec<_> = self.lines.keys().copied().collect();
                lines.into_iter().for_each(|line| self.rotate(line));
            }
            SessionCommand::ShowBooks => self.show_books(),
            SessionCommand::Stop => {
                self.stopped = true;
                let lines = std::mem::take(&mut self.lines);
                let open = lines.iter().filter(|(_, line)| line.is_open());
                let close = |(number, _): (&u32, _)| Transmit::Close { line: *number };
                self.transmits = open.map(close).collect();
                return;
            }
        }
        self.handle_time(now, wall);
    }
}

// === impl LiveInstrument ===

impl LiveInstrument {
    /// When something is to do next.
    fn next_deadline(&self) -> Option<Mono> {
        let dead = self.agreement.due().into_iter();
        if self.in_stream {
            let due = dead.chain(self.renewal.due()).chain(self.succeeds_at());
            return due.chain([self.check_at]).min();
        }
        let check = self.book.is_good().then_some(self.check_at);
        let quote = self.quote_due.map(|(_, due)| due);
        let asked = self.book.ask_at().into_iter().chain(self.book.probe_at());
        asked.chain(check).chain(quote).chain(dead).min()
    }

    /// When the book of a line that has taken over must be used.
    fn succeeds_at(&self) -> Option<Mono> {
        self.successor.as_ref()?.until
    }
}
