//! Kraken spot, version 2 of its WebSocket interface: as documented in 2026, as captured, and as seen by others.
//!
//! Marks in comments say how well a shape or a rule is known: `[C]` from a capture, `[D]` documented by the
//! venue, `[L]` seen live by others and published, `[U]` unconfirmed.
//!
//! All clients count as one address. Each change of a market is a message of its own, as captured. Candles and the
//! book of single orders are not simulated; who asks for them is refused.

mod connection;
mod control;
mod faults;
mod listing;
mod marks;
mod messages;
mod number;
mod rest;
mod simulated;
mod steer;
mod strike;
mod sum;
mod time;
mod twist;
mod view;

pub use sum::sum;

use crate::agenda::Agenda;
use crate::attempts::Attempts;
use crate::clock::{Clock, Stamp, Unit};
use crate::config::{SimConfig, SymbolConfig};
use crate::counts::Counts;
use crate::market::{Acted, Market};
use crate::planted::Faults;
use crate::random::Random;
use crate::script::Planned;
use crate::truth::{TruthBook, TruthSymbol, TruthTrade};
use crate::venue::{HttpAnswer, Output, Refusal, Venue};
use connection::{Channel, Connection, Key};
use listing::Listing;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;
use twist::Twisted;
use view::BookMessage;

/// A simulated Kraken spot.
#[derive(Debug)]
pub struct KrakenSpot {
    config: SimConfig,
    listings: Vec<Listing>,
    /// Which listing has a symbol.
    by_symbol: HashMap<String, usize>,
    connections: BTreeMap<u64, Connection>,
    agenda: Agenda<Task>,
    outputs: VecDeque<Output>,
    attempts: Attempts,
    counts: Counts,
    clock: Clock,
    clock_wrong_until: Duration,
    /// What `status` says.
    system: &'static str,
    faults: Faults,
    now: Duration,
    random: Random,
}

/// What is due at some time.
#[derive(Debug)]
enum Task {
    /// A market changes.
    Act(usize),
    /// A sign of life on a connection.
    Heartbeat(u64),
    /// A client must have said something.
    Idle(u64),
    /// The whole book behind one with a few levels.
    Deeper(u64, Key),
    /// The definition says the tick that the market has.
    SayTick(usize),
    /// `status` says something else.
    System(&'static str),
    /// A message that was late arrives.
    Late(u64, String),
    /// A symbol trades again.
    Resume(String),
    /// The clock is right again.
    ClockRight,
    /// Something goes wrong.
    Fault(Planned),
}

// === impl KrakenSpot ===

impl KrakenSpot {
    /// A venue that has traded before.
    pub fn new(config: SimConfig) -> Self {
        let limits = &config.limits;
        let mut venue = Self {
            listings: Vec::new(),
            by_symbol: HashMap::new(),
            connections: BTreeMap::new(),
            agenda: Agenda::new(),
            outputs: VecDeque::new(),
            attempts: Attempts::new(limits.attempts, limits.attempts_window),
            counts: Counts::default(),
            clock: Clock::new(config.start_ms),
            clock_wrong_until: Duration::ZERO,
            system: ONLINE,
            faults: Faults::new(config.kept.faults),
            now: Duration::ZERO,
            random: Random::new(config.seed, RANDOM_OF_VENUE),
            config,
        };
        for symbol in venue.config.symbols.clone() {
            venue.list(symbol);
        }
        let script = std::mem::take(&mut venue.config.script);
        venue.follow(&script);
        venue
    }

    /// All symbols, also those that have left the list.
    pub fn symbols(&self) -> Vec<TruthSymbol> {
        let truth = |listing: &Listing| TruthSymbol {
            status: listing.is_listed().then(|| listing.status()),
            ..listing.market.truth()
        };
        self.listings.iter().map(truth).collect()
    }

    /// The whole book of a symbol, as it is now. The venue has no numbers; the one here is of no meaning.
    pub fn book(&self, symbol: &str) -> Option<TruthBook> {
        Some(self.listing(symbol)?.market.book.truth(usize::MAX))
    }

    /// The best levels of a book as they were at the time of a message, in microseconds since 1970.
    /// [`Kept`](crate::Kept) says how many are remembered.
    pub fn past_book(&self, symbol: &str, us: u64) -> Option<TruthBook> {
        self.listing(symbol)?.market.past(us).cloned()
    }

    /// The trades of a symbol that are remembered, oldest first.
    pub fn trades(&self, symbol: &str) -> Vec<TruthTrade> {
        let listing = self.listing(symbol);
        listing.map_or_else(Vec::new, |listing| {
            listing.market.trades().iter().copied().collect()
        })
    }

    /// What clients have used of what they may.
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Connections that are open, oldest number first; half-open ones too.
    pub fn connections(&self) -> Vec<u64> {
        self.connections.keys().copied().collect()
    }

    /// What a connection has subscribed to: channels and symbols, such as `book BTC/USD`, in no special order.
    pub fn streams(&self, conn: u64) -> Vec<String> {
        let connection = self.connections.get(&conn);
        let keys = connection.map(|connection| connection.subscriptions.keys());
        keys.into_iter()
            .flatten()
            .map(|(index, channel)| {
                let listing = self.listings.get(*index);
                let symbol = listing.map_or("", |listing| &listing.market.config.symbol);
                format!("{} {symbol}", channel.name()).trim_end().to_owned()
            })
            .collect()
    }

    /// The time that the venue has reached.
    pub fn now(&self) -> Duration {
        self.now
    }

    fn listing(&self, symbol: &str) -> Option<&Listing> {
        self.listings.get(*self.by_symbol.get(symbol)?)
    }

    /// Adds a symbol to the list, and begins its market.
    fn list(&mut self, config: SymbolConfig) {
        let index = self.listings.len();
        let random = Random::new(self.config.seed, index as u64);
        let now_ms = self.clock.true_ms(self.now);
        let market = Market::open(config, &self.config.kept, now_ms, random);
        let mut listing = Listing::new(market);
        let first = self.now + listing.market.wait();
        self.agenda.note(first, Task::Act(index));
        self.by_symbol
            .insert(listing.market.config.symbol.clone(), index);
        self.listings.push(listing);
    }

    fn run(&mut self, task: Task) {
        match task {
            Task::Act(index) => self.act(index),
            Task::Heartbeat(conn) => self.heartbeat(conn),
            Task::Idle(conn) => self.check_idle(conn),
            Task::Deeper(conn, key) => self.deeper(conn, key),
            Task::SayTick(index) => self.say_tick(index),
            Task::System(system) => self.set_system(system),
            Task::Late(conn, text) => {
                if self.can_write(conn) {
                    self.outputs.push_back(Output::Text { conn, text });
                }
            }
            Task::Resume(symbol) => {
                self.resume(&symbol);
            }
            Task::ClockRight => self.right_clock(),
            Task::Fault(planned) => self.play(&planned),
        }
    }

    fn act(&mut self, index: usize) {
        let (now_ms, stamp) = (self.clock.true_ms(self.now), self.stamp());
        let us = stamp.text(Unit::Micro);
        let depths = self.depths(index);
        let Some(listing) = self.listings.get_mut(index) else {
            return;
        };
        if !listing.is_listed() {
            return;
        }
        let Acted {
            best,
            trades,
            changed,
            ..
        } = listing.market.act(now_ms);
        let wait = listing.market.wait();
        self.agenda.note(self.now + wait, Task::Act(index));
        if changed.is_empty() {
            return;
        }
        listing.market.remember_as(us);
        let mut messages = listing.view.apply(&changed, &depths);
        if !depths.is_empty() {
            let sum = listing.view.sum(listing.digits);
            let touches = sum != std::mem::replace(&mut listing.last_sum, sum);
            for message in &mut messages {
                (message.sum, message.us, message.touches) = (Some(sum), us, touches);
            }
        }
        for (message, depth) in messages.iter().zip(depths) {
            if !(message.bids.is_empty() && message.asks.is_empty()) {
                self.publish_book(index, depth, message);
            }
        }
        if !trades.is_empty() {
            let text =
                |listing: &Listing| messages::trades(&listing.names(), false, &trades, stamp);
            self.publish((index, Channel::Trade), |_| true, text);
        }
        let wanted = |bbo: bool| if bbo { best } else { !trades.is_empty() };
        let text = |listing: &Listing| messages::ticker(listing, false, stamp);
        self.publish((index, Channel::Ticker), wanted, text);
    }

    /// The depths that clients have of a book.
    fn depths(&self, index: usize) -> Vec<usize> {
        let connections = self.connections.values();
        let subscriptions = connections
            .filter_map(|connection| connection.subscriptions.get(&(index, Channel::Book)));
        let mut depths: Vec<usize> = subscriptions.map(|found| found.depth).collect();
        depths.sort_unstable();
        depths.dedup();
        depths
    }

    /// Sends a message about a book to all that have it with this depth.
    fn publish_book(&mut self, index: usize, depth: usize, message: &BookMessage) {
        let Some(names) = self.listings.get(index).map(Listing::names) else {
            return;
        };
        let key = (index, Channel::Book);
        let mut text = None;
        for conn in self.connections() {
            let Some(subscription) = self.speaking(conn, key) else {
                continue;
            };
            if subscription.depth != depth || subscription.held {
                continue;
            }
            if let Some(twist) = subscription.twists.first_mut() {
                let twisted = twist.book(message.clone(), &names);
                self.say_twisted(conn, key, twisted);
            } else {
                let text = text.get_or_insert_with(|| messages::book(&names, message));
                let text = text.clone();
                self.say(conn, text);
            }
        }
    }

    /// Sends a message of another channel to all that have it; of the ticker there are two kinds.
    fn publish(
        &mut self,
        key: Key,
        wanted: impl Fn(bool) -> bool,
        write: impl Fn(&Listing) -> String,
    ) {
        let mut text = None;
        for conn in self.connections() {
            let Some(subscription) = self.speaking(conn, key) else {
                continue;
            };
            if !wanted(subscription.bbo) {
                continue;
            }
            if text.is_none() {
                text = self.listings.get(key.0).map(&write);
            }
            let Some(text) = text.clone() else { return };
            let Some(subscription) = self.speaking(conn, key) else {
                continue;
            };
            match subscription.twists.first_mut() {
                Some(twist) => {
                    let twisted = twist.text(text);
                    self.say_twisted(conn, key, twisted);
                }
                None => self.say(conn, text),
            }
        }
    }

    /// Sends what a fault has made of a message.
    fn say_twisted(&mut self, conn: u64, key: Key, twisted: Twisted) {
        if let Some(fault) = twisted.fault {
            let listing = self.listings.get(key.0);
            let symbol = listing.map(|listing| listing.market.config.symbol.clone());
            self.note_applied(fault, symbol.as_deref(), Some(conn));
        }
        if !twisted.stays
            && let Some(subscription) = self.speaking(conn, key)
        {
            subscription.twists.remove(0);
        }
        for text in twisted.texts {
            self.say(conn, text);
        }
    }

    /// Sends a text; on a late connection it arrives later.
    fn say(&mut self, conn: u64, text: String) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        if connection.muted {
            return;
        }
        match connection.late.of(now) {
            Some(at) => self.agenda.note(at, Task::Late(conn, text)),
            None => self.outputs.push_back(Output::Text { conn, text }),
        }
    }

    fn stamp(&self) -> Stamp {
        self.clock.stamp(self.now)
    }

    fn can_write(&self, conn: u64) -> bool {
        let connection = self.connections.get(&conn);
        connection.is_some_and(|connection| !connection.muted)
    }
}

impl Venue for KrakenSpot {
    fn connect(&mut self, conn: u64, target: &str, now: Duration) -> Result<(), Refusal> {
        self.advance(now);
        self.open_connection(conn, target)
    }

    fn receive(&mut self, conn: u64, text: &str, now: Duration) {
        self.advance(now);
        if self.count_message(conn) {
            self.control(conn, text);
        }
    }

    fn receive_ping(&mut self, conn: u64, payload: &[u8], now: Duration) {
        self.advance(now);
        // Whether frames of this kind are a sign of life is not documented [U]: here they are none.
        if self.can_write(conn) {
            let payload = payload.to_vec();
            self.outputs.push_back(Output::Pong { conn, payload });
        }
    }

    fn receive_pong(&mut self, _conn: u64, _payload: &[u8], now: Duration) {
        self.advance(now);
    }

    fn receive_close(&mut self, conn: u64, now: Duration) {
        self.advance(now);
        self.connections.remove(&conn);
    }

    fn http(&mut self, target: &str, now: Duration) -> HttpAnswer {
        self.advance(now);
        self.answer(target)
    }

    fn advance(&mut self, now: Duration) {
        while let Some((at, task)) = self.agenda.take(now) {
            self.now = at;
            self.run(task);
        }
        self.now = self.now.max(now);
    }

    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.agenda.first()
    }
}

/// What `status` says of a venue in order.
const ONLINE: &str = "online";
/// The venue's own part of the seed; markets have the numbers from 0.
const RANDOM_OF_VENUE: u64 = u64::MAX;
