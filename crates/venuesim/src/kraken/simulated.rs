//! What tests need of every simulated venue.

use super::KrakenSpot;
use super::marks::{FAULTS, mark};
use crate::config::SimConfig;
use crate::counts::Counts;
use crate::fault::{Fault, Mark};
use crate::script::{Applied, Script};
use crate::simulated::Simulated;
use crate::truth::{TruthBook, TruthSymbol, TruthTrade};

impl Simulated for KrakenSpot {
    const NAME: &'static str = "kraken";
    const FAULTS: &'static [Fault] = &FAULTS;
    const NUMBERED: bool = false;

    fn config(seed: u64) -> SimConfig {
        SimConfig::kraken(seed)
    }

    fn open(config: SimConfig) -> Self {
        Self::new(config)
    }

    fn mark(fault: Fault) -> (Mark, &'static str) {
        mark(fault)
    }

    fn symbols(&self) -> Vec<TruthSymbol> {
        self.symbols()
    }

    fn book(&self, symbol: &str) -> Option<TruthBook> {
        self.book(symbol)
    }

    fn past_book(&self, symbol: &str, number: u64) -> Option<TruthBook> {
        self.past_book(symbol, number)
    }

    fn trades(&self, symbol: &str) -> Vec<TruthTrade> {
        self.trades(symbol)
    }

    fn counts(&self) -> Counts {
        self.counts()
    }

    fn connections(&self) -> Vec<u64> {
        self.connections()
    }

    fn plant(&mut self, fault: Fault, symbol: Option<&str>) {
        self.plant(fault, symbol);
    }

    fn follow(&mut self, script: &Script) {
        self.follow(script);
    }

    fn applied(&self) -> Vec<Applied> {
        self.applied()
    }

    fn unapplied(&self) -> u64 {
        self.unapplied()
    }

    fn waiting(&self) -> Vec<Fault> {
        self.waiting()
    }
}
