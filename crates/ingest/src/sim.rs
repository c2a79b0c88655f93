//! The simulated market: a venue for demos, without a connection.
//!
//! [`Simulation`] is sans-I/O: it receives the time and appends the events that are due; the same seed
//! and the same times give the same events. [`Simulation::run`] is the thread around it. Arrivals
//! [cluster](crowd), and the most active symbols have most of them. Each symbol has its own [character].
//! Its makers quote around a [fair value](fair) that returns to its home, so that after a week a market
//! looks as in its first minute. Books have a chain ([`Link::Step`](crate::event::Link::Step)) that the
//! pipeline verifies like the chain of any venue, and quotes are taken from them. [`VenueClock`] keeps
//! the venue's time rising when the machine's clock is set.
//!
//! # When it is late
//! If a simulation was not called for more than a second (a suspended machine), it skips what it missed:
//! it makes at most the events of one second at once.

mod character;
mod clock;
mod crowd;
mod day;
mod fair;
mod listing;
mod market;
mod random;
mod shape;

use crate::event::{BATCH_EVENTS_MAX, BookEvent, Event, EventBody, Events, TradeIds};
use crate::feed::{Ended, send};
use crate::metrics::{FeedCounters, FeedMetrics};
use crate::sources::EventTx;
use clock::VenueClock;
use crowd::{Arrival, Crowd};
use listing::Listing;
use market::Market;
use random::Random;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tapecast_model::catalog::{CatalogError, Definition, Offer};
use tapecast_model::clock::{mono_now, unix_now};
use tapecast_model::symbol::NameError;
use tapecast_model::{
    Catalog, ChannelKind, ChannelSet, EventTime, Fault, InstrumentId, Symbol, TradingState,
    UnixNanos, Venue,
};

/// What can be chosen about the simulated market.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SimConfig {
    /// Its venue's name in topics. Default `sim`.
    pub venue: String,
    /// How many symbols trade. Default 60, at most 10 000.
    pub symbols: usize,
    /// What chance begins with: the same seed, the same market. Default 1.
    pub seed: u64,
    /// How many events there are per second, all symbols together. Default 2 000, at most 1 000 000.
    pub events_per_second: u64,
}

/// Why there is no such market.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SimError {
    /// Too few or too many symbols.
    #[error("symbols = {0} is not allowed; write 1 to {SYMBOLS_MAX}")]
    Symbols(usize),
    /// Too few or too many events.
    #[error("events_per_second = {0} is not allowed; write 1 to {EVENTS_PER_SECOND_MAX}")]
    EventsPerSecond(u64),
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The catalogue did not take a symbol.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// A simulated market.
#[derive(Debug)]
pub struct Simulation {
    venue: Venue,
    seed: u64,
    events_per_second: u64,
    fault: Fault,
    counters: Option<FeedCounters>,
    random: Random,
    seats: Vec<Seat>,
    crowd: Crowd,
    /// Arrivals are to make so many events per second.
    rate: u64,
    /// Mean time between two of these events in nanoseconds.
    gap: u64,
    /// Time between two tickers in nanoseconds: each symbol has one per second.
    ticker_gap: u64,
    due: Option<Due>,
}

/// What comes next, and when.
#[derive(Clone, Copy, Debug)]
struct Due {
    arrival: UnixNanos,
    ticker: UnixNanos,
    ticker_seat: usize,
}

/// A listed instrument; its market opens with the first step.
#[derive(Debug)]
struct Seat {
    instrument: InstrumentId,
    listing: Listing,
    market: Option<Market>,
}

// === impl SimConfig ===

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            venue: "sim".to_owned(),
            symbols: 60,
            seed: 1,
            events_per_second: 2_000,
        }
    }
}

// === impl Simulation ===

impl Simulation {
    /// Lists the symbols in the catalogue; nothing trades until the first step.
    ///
    /// # Errors
    /// If a number is out of bounds, or the catalogue does not take a symbol.
    pub fn new(config: &SimConfig, catalog: &Catalog) -> Result<Self, SimError> {
        if !(1..=SYMBOLS_MAX).contains(&config.symbols) {
            return Err(SimError::Symbols(config.symbols));
        }
        if !(1..=EVENTS_PER_SECOND_MAX as u64).contains(&config.events_per_second) {
            return Err(SimError::EventsPerSecond(config.events_per_second));
        }
        let venue = Venue::new(&config.venue)?;
        catalog.add_venue(
            &venue,
            Offer {
                channels: channels(),
                ..Offer::default()
            },
        );
        let mut seats = Vec::with_capacity(config.symbols);
        for listing in listing::listings(config.symbols) {
            let definition = Definition {
                symbol: Symbol::new(&listing.symbol)?,
                native: listing.symbol.as_str().into(),
                price_scale: listing.price_scale,
                qty_scale: listing.qty_scale,
            };
            let instrument = catalog.add_instrument(&venue, definition)?.id;
            seats.push(Seat {
                instrument,
                listing,
                market: None,
            });
        }
        let (seed, rate) = (config.seed, config.events_per_second);
        Ok(Self::seated(venue, seed, rate, seats))
    }

    /// The same market from its beginning: the same instruments, of which nothing has traded yet.
    #[must_use]
    pub fn afresh(&self) -> Self {
        let seat = |seat: &Seat| Seat {
            instrument: seat.instrument,
            listing: seat.listing.clone(),
            market: None,
        };
        let seats = self.seats.iter().map(seat).collect();
        Self {
            fault: self.fault.clone(),
            counters: self.counters.clone(),
            ..Self::seated(self.venue.clone(), self.seed, self.events_per_second, seats)
        }
    }

    fn seated(venue: Venue, seed: u64, events_per_second: u64, seats: Vec<Seat>) -> Self {
        let symbols = seats.len() as u64;
        let rate = events_per_second.saturating_sub(symbols).max(1);
        let mut random = Random::new(seed);
        let crowd = Crowd::new(seats.len(), rate, &mut random);
        Self {
            venue,
            seed,
            events_per_second,
            fault: Fault::default(),
            counters: None,
            random,
            seats,
            crowd,
            rate,
            gap: SECOND / rate,
            ticker_gap: SECOND / symbols,
            due: None,
        }
    }

    /// For tests: what makes its thread panic.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    /// The venue's name in topics.
    pub const fn venue(&self) -> &Venue {
        &self.venue
    }

    /// Its instruments.
    pub fn instruments(&self) -> impl Iterator<Item = InstrumentId> {
        self.seats.iter().map(|seat| seat.instrument)
    }

    /// Counts what it makes as a venue's messages, so that a demo shows what a venue would show.
    #[must_use]
    pub fn counted(mut self, metrics: &FeedMetrics) -> Self {
        self.counters = Some(metrics.of_venue(&self.venue));
        self
    }

    /// Appends the events due up to `now`. The first step opens every market: definition,
    /// trading state, history, book and ticker of each symbol.
    pub fn step(&mut self, now: UnixNanos, out: &mut Vec<Event>) {
        let Some(mut due) = self.due else {
            self.open(now, out);
            let arrival = later(now, self.random.exponential(self.gap));
            let ticker = later(now, self.ticker_gap);
            self.due = Some(Due {
                arrival,
                ticker,
                ticker_seat: 0,
            });
            return;
        };
        let earliest = UnixNanos::new(now.get().saturating_sub(SECOND));
        due.arrival = due.arrival.max(earliest);
        due.ticker = due.ticker.max(earliest);
        while due.arrival.min(due.ticker) <= now {
            if due.ticker <= due.arrival {
                self.tick(due.ticker_seat, due.ticker, now, out);
                due.ticker_seat = (due.ticker_seat + 1) % self.seats.len();
                due.ticker = later(due.ticker, self.ticker_gap);
            } else {
                // Who makes two events is waited for twice as long: their rate is what was asked for.
                let events = self.arrive(due.arrival, now, out);
                let gap = self.random.exponential(self.gap * events);
                due.arrival = later(due.arrival, gap);
            }
        }
        self.due = Some(due);
    }

    /// The thread: a step every ten milliseconds, events into `events`, until `stop` is set or there is
    /// no more receiver. It waits while the channel is full.
    pub fn run(mut self, events: &EventTx, stop: &AtomicBool) {
        let mut due = Vec::new();
        let mut venue_clock = VenueClock::new(unix_now(), mono_now());
        while !stop.load(Ordering::Relaxed) {
            self.fault.look();
            let wall = unix_now();
            self.step(venue_clock.read(wall, mono_now()), &mut due);
            for event in &mut due {
                event.ts_recv = wall;
            }
            self.count(&due);
            while !due.is_empty() {
                let batch: Events = due.drain(..due.len().min(BATCH_EVENTS_MAX)).collect();
                if send(events, batch, stop) == Err(Ended) {
                    return;
                }
            }
            std::thread::sleep(TICK);
        }
    }

    fn count(&self, made: &[Event]) {
        let Some(counters) = &self.counters else {
            return;
        };
        counters.messages.inc_by(made.len() as u64);
        // One in a step is sample enough.
        if let Some((event, at)) = made.last().and_then(|e| Some((e, e.ts_event?))) {
            counters.observe_delay(event.ts_recv.signed_since(at.nanos()));
        }
    }

    fn open(&mut self, now: UnixNanos, out: &mut Vec<Event>) {
        for (at, seat) in self.seats.iter_mut().enumerate() {
            let random = &mut self.random;
            let trades = self.crowd.share(at, self.rate * TRADES_A_DAY_PER_EVENT);
            let (mut market, trades) = Market::open(&seat.listing, trades, now, random);
            let mut push = |body| out.push(event(seat.instrument, now, now, body));
            push(EventBody::Defined(Box::new(seat.listing.terms())));
            push(EventBody::Trading(TradingState::Open));
            push(EventBody::Trades {
                trades,
                history: true,
                ids: TradeIds::Dense,
            });
            push(EventBody::Ticker(Box::new(market.ticker(now))));
            let snapshot = market.snapshot(now, random);
            out.push(book_event(seat.instrument, now, now, snapshot));
            seat.market = Some(market);
        }
    }

    fn tick(&mut self, seat: usize, due: UnixNanos, now: UnixNanos, out: &mut Vec<Event>) {
        let Some(seat) = self.seats.get_mut(seat) else {
            return;
        };
        if let Some(market) = &mut seat.market {
            let ticker = EventBody::Ticker(Box::new(market.ticker(due)));
            out.push(event(seat.instrument, due, now, ticker));
        }
    }

    /// One arrival at one of the markets; returns how many events it made.
    fn arrive(&mut self, due: UnixNanos, now: UnixNanos, out: &mut Vec<Event>) -> u64 {
        let random = &mut self.random;
        let Arrival { seat, taker } = self.crowd.next(random);
        let Some(seat) = self.seats.get_mut(seat) else {
            return 1;
        };
        let Some(market) = &mut seat.market else {
            return 1;
        };
        let instrument = seat.instrument;
        if let Some(taker) = taker
            && let Some((trades, change)) = market.take(taker, due, random)
        {
            let trades = EventBody::Trades {
                trades,
                history: false,
                ids: TradeIds::Dense,
            };
            out.push(event(instrument, due, now, trades));
            out.push(book_event(instrument, due, now, change));
            return 2;
        }
        out.push(book_event(
            instrument,
            due,
            now,
            market.requote(due, random),
        ));
        1
    }
}

fn channels() -> ChannelSet {
    let kinds = [
        ChannelKind::Trade,
        ChannelKind::Quote,
        ChannelKind::Book,
        ChannelKind::Ticker,
        ChannelKind::Status,
        ChannelKind::Instrument,
    ];
    kinds.into_iter().fold(ChannelSet::EMPTY, ChannelSet::with)
}

fn event(instrument: InstrumentId, due: UnixNanos, now: UnixNanos, body: EventBody) -> Event {
    let ts_event = Some(EventTime::new(due));
    Event {
        instrument,
        ts_event,
        ts_recv: now,
        venue_seq: None,
        body,
    }
}

fn book_event(instrument: InstrumentId, due: UnixNanos, now: UnixNanos, book: BookEvent) -> Event {
    let venue_seq = match book.link {
        crate::event::Link::Step(number) => Some(number),
        _ => None,
    };
    Event {
        venue_seq,
        ..event(instrument, due, now, EventBody::Book(Box::new(book)))
    }
}

fn later(time: UnixNanos, nanos: u64) -> UnixNanos {
    UnixNanos::new(time.get().saturating_add(nanos))
}

/// A catalogue of more is not a demo.
pub const SYMBOLS_MAX: usize = 10_000;
/// About what one thread can make.
pub const EVENTS_PER_SECOND_MAX: usize = 1_000_000;
const SECOND: u64 = 1_000_000_000;
/// Of five events four are books and one is a trade.
const TRADES_A_DAY_PER_EVENT: u64 = 24 * 3_600 / 5;
/// Fine enough for the eye, coarse enough for the scheduler.
const TICK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests;
#[cfg(test)]
mod week;
