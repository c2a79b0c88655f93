//! What an exchange's own people do: list, halt and delist symbols, change the tick, say that works are planned. Each
//! change of a definition is said in `instrument`, each change of the venue's status in `status` `[D]`.

use super::{KrakenSpot, Task};
use crate::config::SymbolConfig;
use crate::market::Status;
use std::time::Duration;

// === impl KrakenSpot ===

impl KrakenSpot {
    /// A new symbol. A symbol that is in the list stays as it is.
    pub fn list_symbol(&mut self, config: SymbolConfig) {
        let listed = self.listing(&config.symbol);
        if listed.is_none_or(|listing| !listing.is_listed()) {
            let index = self.listings.len();
            self.list(config);
            self.say_pair(index);
        }
    }

    /// A symbol leaves the list: status `delisted`, and nothing is said of it afterwards `[U]`. Whether there was one.
    pub fn delist(&mut self, symbol: &str) -> bool {
        let listed = self.set_status(symbol, Status::Delisted);
        if listed && let Some(index) = self.by_symbol.get(symbol) {
            self.listings[*index].market.clear();
        }
        listed
    }

    /// A symbol stops trading: status `maintenance`. Whether there was one.
    pub fn halt(&mut self, symbol: &str) -> bool {
        self.set_status(symbol, Status::Halt)
    }

    /// Orders of a symbol can only be cancelled: status `cancel_only`. Nothing changes meanwhile. Whether there was
    /// one.
    pub fn cancel_only(&mut self, symbol: &str) -> bool {
        self.set_status(symbol, Status::CancelOnly)
    }

    /// A symbol trades again: status `online`. Whether there was one.
    pub fn resume(&mut self, symbol: &str) -> bool {
        if let Some(index) = self.by_symbol.get(symbol) {
            self.listings[*index].odd_status = None;
        }
        self.set_status(symbol, Status::Trading)
    }

    /// A symbol has this status, whatever it means, and trades on. Whether there was one.
    pub fn set_odd_status(&mut self, symbol: &str, status: &'static str) -> bool {
        let Some(index) = self.by_symbol.get(symbol).copied() else {
            return false;
        };
        self.listings[index].odd_status = Some(status);
        self.say_pair(index);
        true
    }

    /// Prices of a symbol have one more digit from now on; the definition says so first. Whether that is possible.
    pub fn refine_tick(&mut self, symbol: &str) -> bool {
        self.refine_tick_first(symbol, Duration::ZERO)
    }

    /// The same, but the definition says so later.
    pub fn refine_tick_first(&mut self, symbol: &str, said_after: Duration) -> bool {
        let Some(index) = self.by_symbol.get(symbol).copied() else {
            return false;
        };
        if !self.listings[index].refine() {
            return false;
        }
        if said_after.is_zero() {
            self.say_tick(index);
        } else {
            let task = Task::SayTick(index);
            self.agenda.note(self.now + said_after, task);
        }
        true
    }

    /// The numbers of trades begin again below the present ones `[U]`; connections stay here, so cut them if they are
    /// to notice.
    pub fn renumber(&mut self, symbol: &str) -> bool {
        let Some(index) = self.by_symbol.get(symbol) else {
            return false;
        };
        self.listings[*index].market.renumber();
        true
    }

    /// What `status` says from now on, such as `maintenance`: all connections are told. Markets go on.
    pub fn set_system(&mut self, system: &'static str) {
        self.system = system;
        for conn in self.connections() {
            self.say_status(conn);
        }
    }

    /// The definition says the tick that the market has.
    pub(super) fn say_tick(&mut self, index: usize) {
        if let Some(listing) = self.listings.get_mut(index) {
            listing.said_tick = listing.market.config.tick;
            self.say_pair(index);
        }
    }

    fn set_status(&mut self, symbol: &str, status: Status) -> bool {
        let Some(index) = self.by_symbol.get(symbol).copied() else {
            return false;
        };
        if !self.listings[index].is_listed() {
            return false;
        }
        self.listings[index].market.status = status;
        self.say_pair(index);
        true
    }
}

/// Works that are planned begin behind this time.
pub(super) const LEAD: Duration = Duration::from_secs(5);
