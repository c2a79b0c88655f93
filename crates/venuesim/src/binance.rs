//! Binance spot: its WebSocket streams and its public requests, as documented in July 2026 and as captured.
//!
//! Marks in comments say how well a shape or a rule is known: `[C]` from a capture, `[D]` documented by the
//! venue, `[L]` seen live by others and published, `[U]` unconfirmed.
//!
//! All clients count as one address, so that limits per address are those of the whole simulation. Streams
//! that are not simulated (klines, average prices, windows other than 24 hours, reference prices, block trades) are
//! acknowledged and silent, as streams of unknown symbols are `[L for futures, U for spot]`.

mod budget;
mod connection;
mod control;
mod faults;
mod listing;
mod marks;
mod messages;
mod rest;
mod rest_messages;
mod simulated;
mod steer;
mod stream;
mod twist;

use crate::agenda::Agenda;
use crate::clock::{Clock, Stamp};
use crate::config::SimConfig;
use crate::counts::Counts;
use crate::market::{Acted, Market};
use crate::planted::Faults;
use crate::random::Random;
use crate::script::Planned;
use crate::truth::{TruthBook, TruthSymbol, TruthTrade};
use crate::venue::{HttpAnswer, Output, Refusal, Venue};
use budget::Budget;
use connection::Connection;
use listing::Listing;
use messages::Message;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

/// A simulated Binance spot.
#[derive(Debug)]
pub struct BinanceSpot {
    config: SimConfig,
    listings: Vec<Listing>,
    /// Which listing has a symbol.
    by_symbol: HashMap<String, usize>,
    connections: BTreeMap<u64, Connection>,
    /// Connections by the name of a stream, as they subscribed.
    subscribers: HashMap<String, Vec<u64>>,
    agenda: Agenda<Task>,
    outputs: VecDeque<Output>,
    budget: Budget,
    clock: Clock,
    clock_wrong_until: Duration,
    faults: Faults,
    now: Duration,
    random: Random,
}

/// What is due at some time.
#[derive(Debug)]
enum Task {
    /// A market changes.
    Act(usize),
    /// Depth messages of a market; so many were before.
    Depth(usize, u32),
    /// Tickers of a market.
    Ticker(usize),
    /// `!miniTicker@arr`.
    MiniTickers,
    /// Whole books grow old.
    Age,
    /// A ping on a connection.
    Ping(u64),
    /// The answer to that ping must be there.
    PongDue(u64, Vec<u8>),
    /// A connection is too old.
    EndOfLife(u64),
    /// A server shuts down.
    EndOfServer(u64),
    /// A message that was late arrives.
    Late(u64, String),
    /// A symbol trades again.
    Resume(String),
    /// The clock is right again.
    ClockRight,
    /// Something goes wrong.
    Fault(Planned),
}

// === impl BinanceSpot ===

impl BinanceSpot {
    /// A venue that has traded before.
    pub fn new(config: SimConfig) -> Self {
        let mut venue = Self {
            listings: Vec::new(),
            by_symbol: HashMap::new(),
            connections: BTreeMap::new(),
            subscribers: HashMap::new(),
            agenda: Agenda::new(),
            outputs: VecDeque::new(),
            budget: Budget::new(config.limits.clone(), config.start_ms),
            clock: Clock::new(config.start_ms),
            clock_wrong_until: Duration::ZERO,
            faults: Faults::new(config.kept.faults),
            now: Duration::ZERO,
            random: Random::new(config.seed, RANDOM_OF_VENUE),
            config,
        };
        for symbol in venue.config.symbols.clone() {
            venue.list(symbol);
        }
        venue
            .agenda
            .note(venue.config.rates.ticker, Task::MiniTickers);
        venue.agenda.note(AGE_EVERY, Task::Age);
        let script = std::mem::take(&mut venue.config.script);
        venue.follow(&script);
        venue
    }

    /// All symbols, also those that have left the list.
    pub fn symbols(&self) -> Vec<TruthSymbol> {
        let truth = |listing: &Listing| listing.market.truth();
        self.listings.iter().map(truth).collect()
    }

    /// The whole book of a symbol, as it is now.
    pub fn book(&self, symbol: &str) -> Option<TruthBook> {
        Some(self.listing(symbol)?.market.book.truth(usize::MAX))
    }

    /// The best levels of a book as they were behind this change: at the `u` of a depth message, or at the
    /// `lastUpdateId` of an answer. [`Kept`](crate::Kept) says how many are remembered.
    pub fn past_book(&self, symbol: &str, last_update_id: u64) -> Option<TruthBook> {
        self.listing(symbol)?.market.past(last_update_id).cloned()
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
        self.budget.counts().clone()
    }

    /// Connections that are open, oldest number first; half-open ones too.
    pub fn connections(&self) -> Vec<u64> {
        self.connections.keys().copied().collect()
    }

    /// The streams of a connection, in order.
    pub fn streams(&self, conn: u64) -> Vec<String> {
        let connection = self.connections.get(&conn);
        connection.map_or_else(Vec::new, |connection| connection.streams.clone())
    }

    /// The time that the venue has reached.
    pub fn now(&self) -> Duration {
        self.now
    }

    fn listing(&self, symbol: &str) -> Option<&Listing> {
        self.listings.get(*self.by_symbol.get(symbol)?)
    }

    /// Adds a symbol to the list, and begins its market.
    fn list(&mut self, config: crate::config::SymbolConfig) {
        let index = self.listings.len();
        let random = Random::new(self.config.seed, index as u64);
        let market = Market::open(
            config,
            &self.config.kept,
            self.clock.true_ms(self.now),
            random,
        );
        let mut listing = Listing::new(market);
        // Symbols do not speak at the same moment.
        let turn = u32::try_from(index % 16).unwrap_or(0);
        let depth = self.config.rates.depth;
        let first = self.now + depth + depth * turn / 16;
        self.agenda.note(first, Task::Depth(index, 0));
        let ticker = self.config.rates.ticker;
        let first = self.now + ticker + ticker * turn / 16;
        self.agenda.note(first, Task::Ticker(index));
        self.agenda
            .note(self.now + listing.market.wait(), Task::Act(index));
        self.by_symbol
            .insert(listing.market.config.symbol.clone(), index);
        self.listings.push(listing);
    }

    fn run(&mut self, task: Task) {
        match task {
            Task::Act(index) => self.act(index),
            Task::Depth(index, round) => self.depth(index, round),
            Task::Ticker(index) => self.ticker(index),
            Task::MiniTickers => self.mini_tickers(),
            Task::Age => {
                for listing in &mut self.listings {
                    listing.market.age();
                }
                self.agenda.note(self.now + AGE_EVERY, Task::Age);
            }
            Task::Ping(conn) => self.ping(conn),
            Task::PongDue(conn, payload) => self.check_pong(conn, &payload),
            // The code is not documented [U].
            Task::EndOfLife(conn) => self.close(conn, 1001, "connection is too old"),
            Task::EndOfServer(conn) => self.close(conn, 1001, "server is shutting down"),
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
        let now_ms = self.clock.true_ms(self.now);
        let Some(listing) = self.listings.get_mut(index) else {
            return;
        };
        if listing.market.status.name().is_none() {
            return;
        }
        let Acted {
            best,
            trades,
            aggregates,
            ..
        } = listing.market.act(now_ms);
        listing.active |= best;
        let wait = listing.market.wait();
        self.agenda.note(self.now + wait, Task::Act(index));
        let (market, names) = (&listing.market, listing.names.clone());
        let symbol = market.config.symbol.clone();
        // The quote of a trade comes before the trade [C].
        let quote = best.then(|| messages::book_ticker(&symbol, &market.book));
        if let Some(message) = quote {
            self.publish(&names.book_ticker, &message);
        }
        for trade in &trades {
            if self.is_wanted(&names.trade) {
                let message = messages::trade(&symbol, trade, self.stamp());
                self.publish(&names.trade, &message);
            }
        }
        for aggregate in &aggregates {
            if self.is_wanted(&names.agg_trade) {
                let message = messages::agg_trade(&symbol, aggregate, self.stamp());
                self.publish(&names.agg_trade, &message);
            }
        }
    }

    fn depth(&mut self, index: usize, round: u32) {
        let rates = &self.config.rates;
        let slow_due = round.is_multiple_of(rates.slow_depth_one_in.max(1));
        self.agenda
            .note(self.now + rates.depth, Task::Depth(index, round + 1));
        let Some(listing) = self.listings.get_mut(index) else {
            return;
        };
        if self.now < listing.slowed_until && !round.is_multiple_of(SLOWED_ONE_IN) {
            return;
        }
        let fast = listing.market.fast.take();
        let slow = if slow_due {
            listing.market.slow.take()
        } else {
            None
        };
        if fast.is_some() || slow.is_some() {
            listing.market.remember();
        }
        let names = listing.names.clone();
        let stamp = self.stamp();
        for (changes, name, partial) in [
            (fast, &names.depth_fast, &names.partial_fast),
            (slow, &names.depth_slow, &names.partial_slow),
        ] {
            let Some(changes) = changes else { continue };
            if self.is_wanted(name) {
                let message = messages::depth_update(&names.symbol, &changes, stamp);
                self.publish(name, &message);
            }
            for (levels, name) in partial {
                if self.is_wanted(name)
                    && let Some(listing) = self.listings.get(index)
                {
                    let message = messages::partial_depth(&listing.market.book.truth(*levels));
                    self.publish(name, &message);
                }
            }
        }
    }

    fn ticker(&mut self, index: usize) {
        let rates = &self.config.rates;
        self.agenda
            .note(self.now + rates.ticker, Task::Ticker(index));
        let quiet = rates.quiet_tickers;
        let Some(listing) = self.listings.get_mut(index) else {
            return;
        };
        listing.active_lately |= listing.active;
        let active = std::mem::take(&mut listing.active);
        if !(active || quiet) || listing.market.status.name().is_none() {
            return;
        }
        let names = listing.names.clone();
        let stamp = self.clock.stamp(self.now);
        if self.subscribers.contains_key(&names.ticker) {
            let message = messages::ticker(&listing.market, stamp);
            self.publish(&names.ticker, &message);
        }
        if self.is_wanted(&names.mini_ticker)
            && let Some(listing) = self.listings.get(index)
        {
            let message = messages::mini_ticker(&listing.market, stamp);
            self.publish(&names.mini_ticker, &message);
        }
    }

    fn mini_tickers(&mut self) {
        let next = self.now + self.config.rates.ticker;
        self.agenda.note(next, Task::MiniTickers);
        let stamp = self.stamp();
        let changed = self
            .listings
            .iter_mut()
            .filter_map(|listing| std::mem::take(&mut listing.active_lately).then_some(&*listing));
        let messages: Vec<Message> = changed
            .map(|listing| messages::mini_ticker(&listing.market, stamp))
            .collect();
        if !messages.is_empty() && self.is_wanted(stream::MINI_TICKERS) {
            self.publish(stream::MINI_TICKERS, &messages::array(&messages));
        }
    }

    fn stamp(&self) -> Stamp {
        self.clock.stamp(self.now)
    }

    fn is_wanted(&self, stream: &str) -> bool {
        self.subscribers.contains_key(stream)
    }

    /// Sends a message to all that have its stream.
    fn publish(&mut self, stream: &str, message: &Message) {
        let Some(conns) = self.subscribers.get(stream) else {
            return;
        };
        for conn in conns.clone() {
            let Some(connection) = self.connections.get_mut(&conn) else {
                continue;
            };
            let text = connection.wrap(stream, message);
            if connection.twists.is_empty() {
                self.say(conn, text);
                continue;
            }
            let twisted = connection.twist(stream, text);
            if let Some(fault) = twisted.fault {
                let symbol = stream.split('@').next().map(str::to_uppercase);
                self.note_applied(fault, symbol.as_deref(), Some(conn));
            }
            for text in twisted.texts {
                self.say(conn, text);
            }
        }
    }

    /// Sends a message that nobody has asked for.
    fn say_event(&mut self, conn: u64, stream: &str, message: &Message) {
        let connection = self.connections.get(&conn);
        if let Some(text) = connection.map(|connection| connection.wrap(stream, message)) {
            self.say(conn, text);
        }
    }

    /// Sends a text; on a late connection it arrives later.
    fn say(&mut self, conn: u64, text: String) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        match connection.late.of(now) {
            Some(at) => self.agenda.note(at, Task::Late(conn, text)),
            None => self.outputs.push_back(Output::Text { conn, text }),
        }
    }

    fn can_write(&self, conn: u64) -> bool {
        let connection = self.connections.get(&conn);
        connection.is_some_and(|connection| !connection.muted)
    }
}

impl Venue for BinanceSpot {
    fn connect(&mut self, conn: u64, target: &str, now: Duration) -> Result<(), Refusal> {
        self.advance(now);
        self.open(conn, target)
    }

    fn receive(&mut self, conn: u64, text: &str, now: Duration) {
        self.advance(now);
        if self.count_message(conn) {
            self.control(conn, text);
        }
    }

    fn receive_ping(&mut self, conn: u64, payload: &[u8], now: Duration) {
        self.advance(now);
        if self.count_message(conn) {
            let payload = payload.to_vec();
            self.outputs.push_back(Output::Pong { conn, payload });
        }
    }

    fn receive_pong(&mut self, conn: u64, payload: &[u8], now: Duration) {
        self.advance(now);
        if self.count_message(conn) {
            self.take_pong(conn, payload);
        }
    }

    fn receive_close(&mut self, conn: u64, now: Duration) {
        self.advance(now);
        self.forget(conn);
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

/// The venue's own part of the seed; markets have the numbers from 0.
const RANDOM_OF_VENUE: u64 = u64::MAX;
/// One depth message in so many is left of a slowed symbol.
const SLOWED_ONE_IN: u32 = 50;
/// Whole books are kept so often, for answers that come too late.
const AGE_EVERY: Duration = Duration::from_secs(10);
