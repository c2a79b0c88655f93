//! What an exchange's own people do: list, halt and delist symbols, change the tick, begin numbers again.

use super::BinanceSpot;
use crate::config::SymbolConfig;
use crate::market::Status;

// === impl BinanceSpot ===

impl BinanceSpot {
    /// A new symbol. Connections that have subscribed to it already get its messages from now on `[U]`. A symbol
    /// that is in the list stays as it is.
    pub fn list_symbol(&mut self, config: SymbolConfig) {
        if self.status(&config.symbol).is_none() {
            self.list(config);
        }
    }

    /// A symbol leaves the list: requests find it no more, and nothing is said of it. Whether there was one.
    pub fn delist(&mut self, symbol: &str) -> bool {
        let listed = self.set_status(symbol, Status::Delisted);
        if listed && let Some(index) = self.by_symbol.get(symbol) {
            self.listings[*index].market.clear();
        }
        listed
    }

    /// A symbol stops trading: status HALT. Whether there was one.
    pub fn halt(&mut self, symbol: &str) -> bool {
        self.set_status(symbol, Status::Halt)
    }

    /// A symbol stops trading for longer: status BREAK. Whether there was one.
    pub fn pause(&mut self, symbol: &str) -> bool {
        self.set_status(symbol, Status::Break)
    }

    /// Orders of a symbol can only be cancelled: status CANCEL_ONLY, which the venue has since July 2026 `[D]`. Nothing
    /// changes meanwhile. Whether there was one.
    pub fn cancel_only(&mut self, symbol: &str) -> bool {
        self.set_status(symbol, Status::CancelOnly)
    }

    /// A symbol trades again: status TRADING. Whether there was one.
    pub fn resume(&mut self, symbol: &str) -> bool {
        self.set_status(symbol, Status::Trading)
    }

    /// Prices of a symbol have one more digit from now on. Whether that is possible.
    pub fn refine_tick(&mut self, symbol: &str) -> bool {
        let Some(index) = self.by_symbol.get(symbol) else {
            return false;
        };
        self.listings[*index].market.refine()
    }

    /// All numbers of a symbol begin again below the present ones. The real venue would do so only while nobody
    /// is connected `[U]`; connections stay here, so cut them if they are to notice.
    pub fn renumber(&mut self, symbol: &str) -> bool {
        let Some(index) = self.by_symbol.get(symbol) else {
            return false;
        };
        self.listings[*index].market.renumber();
        true
    }

    fn status(&self, symbol: &str) -> Option<&'static str> {
        self.listing(symbol)?.market.status.name()
    }

    fn set_status(&mut self, symbol: &str, status: Status) -> bool {
        if self.status(symbol).is_none() {
            return false;
        }
        let Some(index) = self.by_symbol.get(symbol) else {
            return false;
        };
        self.listings[*index].market.status = status;
        true
    }
}
