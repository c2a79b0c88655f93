//! The simulated market, stepped by hand: what it promises to a demo, and to the pipeline.

use super::*;
use crate::metrics::PipelineMetrics;
use crate::pipeline::{Pipeline, PipelineConfig};
use prometheus::Registry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tapecast_model::{Aggressor, Body, Book, FeedState, Mono, Quote, Side, Update};

const START: u64 = 1_786_309_548_000_000_000;

fn new(config: &SimConfig) -> (Simulation, Arc<Catalog>) {
    let catalog = Arc::new(Catalog::new(20_000));
    (Simulation::new(config, &catalog).unwrap(), catalog)
}

/// The events of so many steps of ten milliseconds.
fn run(simulation: &mut Simulation, steps: u64) -> Vec<Event> {
    let mut events = Vec::new();
    for step in 0..steps {
        simulation.step(UnixNanos::new(START + step * 10_000_000), &mut events);
    }
    events
}

#[test]
fn the_same_seed_and_times_give_the_same_events() {
    let events = |seed| {
        let config = SimConfig {
            seed,
            ..SimConfig::default()
        };
        run(&mut new(&config).0, 200)
    };
    assert_eq!(events(7), events(7));
    assert_ne!(events(7), events(8));
}

#[test]
fn the_market_does_not_depend_on_how_often_it_is_asked() {
    let config = SimConfig::default();
    let (mut often, mut seldom) = (new(&config).0, new(&config).0);
    let (mut a, mut b) = (Vec::new(), Vec::new());
    seldom.step(UnixNanos::new(START), &mut b);
    seldom.step(UnixNanos::new(START + 500_000_000), &mut b);
    for step in 0..=50 {
        often.step(UnixNanos::new(START + step * 10_000_000), &mut a);
    }
    let bodies = |events: Vec<Event>| events.into_iter().map(|e| e.body).collect::<Vec<_>>();
    assert_eq!(bodies(a), bodies(b));
}

#[test]
fn it_makes_about_as_many_events_as_asked_for_every_symbol() {
    for events_per_second in [500, 2_000, 20_000] {
        let config = SimConfig {
            events_per_second,
            ..SimConfig::default()
        };
        let (mut simulation, catalog) = new(&config);
        assert!(catalog.instruments().len() >= 50);
        run(&mut simulation, 1);
        let events = run(&mut simulation, 1_000);
        let wanted = usize::try_from(events_per_second).unwrap() * 10;
        assert!(
            (wanted * 9 / 10..wanted * 11 / 10).contains(&events.len()),
            "{}",
            events.len()
        );
        let mut of_each: BTreeMap<_, usize> = BTreeMap::new();
        for event in &events {
            *of_each.entry(event.instrument).or_default() += 1;
        }
        assert_eq!(of_each.len(), config.symbols);
        assert!(
            of_each.values().all(|&n| n >= 9),
            "a ticker each second: {of_each:?}"
        );
    }
}

/// Goal: everything a demo shows hangs together. Method: ten seconds go through the pipeline; every
/// update that comes out is checked against the ones before it.
#[test]
fn what_comes_out_of_the_pipeline_hangs_together() {
    let config = SimConfig {
        events_per_second: 10_000,
        ..SimConfig::default()
    };
    let (mut simulation, catalog) = new(&config);
    let registry = Registry::new();
    let metrics = PipelineMetrics::register(&registry).unwrap();
    let mut pipeline = Pipeline::new(
        Arc::clone(&catalog),
        PipelineConfig::new(UnixNanos::from_millis(1)),
        metrics,
    );
    let mut seen = Seen::default();
    for event in run(&mut simulation, 1_000) {
        let now = Mono::new(event.ts_recv.get() - START);
        seen.note_touch(&event);
        pipeline.handle_event(event, now, &mut |update: &Update<'_>| seen.check(update));
    }
    assert_eq!(seen.books.len(), config.symbols);
    assert!(seen.trades > 10_000, "{}", seen.trades);
    assert!(seen.moves > config.symbols * 5, "{}", seen.moves);
    assert_eq!(seen.lives.len(), config.symbols);
}

#[derive(Default)]
struct Seen {
    books: HashMap<InstrumentId, Book>,
    quotes: HashMap<InstrumentId, Quote>,
    trades: usize,
    moves: usize,
    lives: BTreeSet<InstrumentId>,
}

impl Seen {
    /// A trade takes what rests at the touch of the book as it was before.
    fn note_touch(&mut self, event: &Event) {
        let EventBody::Trades {
            trades,
            history: false,
            ..
        } = &event.body
        else {
            return;
        };
        let book = &self.books[&event.instrument];
        let first = &trades[0];
        let side = match first.aggressor.unwrap() {
            Aggressor::Buy => Side::Ask,
            Aggressor::Sell => Side::Bid,
        };
        let mut levels = book.levels(side);
        for trade in trades {
            let level = levels.next().unwrap();
            assert_eq!(trade.price, level.price);
            assert!(trade.qty.mantissa() > 0 && trade.qty <= level.qty);
        }
        self.trades += trades.len();
    }

    fn check(&mut self, update: &Update<'_>) {
        let id = update.instrument.id;
        match update.body {
            Body::Book { book, .. } => {
                assert!(!book.is_crossed());
                for side in [Side::Bid, Side::Ask] {
                    assert!(
                        (50..=90).contains(&book.depth(side)),
                        "{}",
                        book.depth(side)
                    );
                    assert!(book.levels(side).all(|l| l.price.mantissa() > 0));
                    assert!(book.levels(side).all(|l| l.qty.mantissa() > 0));
                }
                self.books.insert(id, book.clone());
            }
            Body::Quote(quote) => {
                let best = |side| self.books[&id].best(side).map(|l| (l.price, l.qty));
                assert_eq!((quote.bid, quote.ask), (best(Side::Bid), best(Side::Ask)));
                let before = self.quotes.insert(id, *quote);
                self.moves += usize::from(before.is_some_and(|q| q.bid != quote.bid));
            }
            Body::Ticker(ticker) => {
                let figure = |d: Option<tapecast_model::Decimal>| {
                    d.unwrap().rescale(tapecast_model::Scale::MAX)
                };
                let (low, high) = (figure(ticker.low), figure(ticker.high));
                let last = figure(ticker.last);
                if let (Ok(low), Ok(last), Ok(high)) = (low, last, high) {
                    assert!(0 < low && low <= last && last <= high);
                }
                assert!(ticker.volume.unwrap().mantissa() > 0);
            }
            Body::Status(status) => {
                assert_ne!(status.feed, FeedState::Gap, "{}", status.reason);
                assert_ne!(status.feed, FeedState::Gap, "{}", status.reason);
                if status.feed == FeedState::Live {
                    self.lives.insert(id);
                }
            }
            Body::Lost { .. } => panic!("a simulated market lost something"),
            Body::Definition { terms, .. } => {
                let (tick, scale) = (terms.tick, update.instrument.price_scale);
                assert!(tick.is_none_or(|tick| tick == tapecast_model::Terms::step_of(scale)));
            }
            Body::Trades(_) => {}
        }
    }
}

#[test]
fn what_was_missed_for_long_is_skipped() {
    let (mut simulation, _) = new(&SimConfig::default());
    let mut events = Vec::new();
    simulation.step(UnixNanos::new(START), &mut events);
    events.clear();
    simulation.step(UnixNanos::new(START + 3_600 * SECOND), &mut events);
    assert!((1_500..2_500).contains(&events.len()), "{}", events.len());
    events.clear();
    simulation.step(UnixNanos::new(START + 3_600 * SECOND), &mut events);
    assert_eq!(events.len(), 0);
    simulation.step(UnixNanos::new(START), &mut events);
    assert_eq!(events.len(), 0, "a clock that goes back is waited for");
}

#[test]
fn numbers_out_of_bounds_are_refused_by_name() {
    let refusal = |config: SimConfig| {
        Simulation::new(&config, &Catalog::new(100))
            .unwrap_err()
            .to_string()
    };
    let sim = SimConfig::default;
    assert_eq!(
        refusal(SimConfig {
            symbols: 0,
            ..sim()
        }),
        "symbols = 0 is not allowed; write 1 to 10000"
    );
    assert_eq!(
        refusal(SimConfig {
            events_per_second: 2_000_000,
            ..sim()
        }),
        "events_per_second = 2000000 is not allowed; write 1 to 1000000"
    );
    assert_eq!(
        refusal(SimConfig {
            symbols: 101,
            ..sim()
        }),
        "more than 100 instruments; raise limits.instruments_max"
    );
    assert!(
        refusal(SimConfig {
            venue: "Sim".into(),
            ..sim()
        })
        .contains("\"Sim\" is not a venue")
    );
}

#[test]
fn the_thread_stops_when_told_and_when_nobody_listens() {
    let (simulation, _) = new(&SimConfig::default());
    let (events, taken) = EventTx::alone(1);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || simulation.run(&events, &stopped));
    assert!(taken.recv().is_ok());
    // The channel is full and stays so: only the word to stop ends the wait.
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
    let (simulation, _) = new(&SimConfig::default());
    let (events, taken) = EventTx::alone(1);
    drop(taken);
    simulation.run(&events, &AtomicBool::new(false));
}

#[test]
fn a_market_that_starts_afresh_is_the_same_market() {
    let (mut first, _) = new(&SimConfig::default());
    let pristine = first.afresh();
    let events = run(&mut first, 20);
    assert_eq!(run(&mut pristine.afresh(), 20), events);
    assert_eq!(run(&mut first.afresh(), 20), events);
    assert_eq!(first.instruments().count(), 60);
}
