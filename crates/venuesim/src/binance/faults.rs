//! Faults: those that wait, and those that are applied at once.

use super::marks::{FAULTS, mark};
use super::twist::Twist;
use super::{BinanceSpot, Task, messages};
use crate::config::SymbolConfig;
use crate::fault::Fault;
use crate::garble::HUGE;
use crate::script::{Applied, Planned, Script};
use crate::venue::Output;
use std::time::Duration;

// === impl BinanceSpot ===

impl BinanceSpot {
    /// Lets something go wrong now; with a symbol, it concerns that one.
    pub fn plant(&mut self, fault: Fault, symbol: Option<&str>) {
        if !FAULTS.contains(&fault) {
            self.faults.unapplied += 1;
            return;
        }
        if let Some(queue) = self.faults.queue(fault) {
            queue.push_back(fault);
            return;
        }
        match fault {
            Fault::SilentStream
            | Fault::SkippedDepth
            | Fault::RepeatedDepth
            | Fault::SwappedDepth
            | Fault::LostLevel
            | Fault::LostTrade
            | Fault::RepeatedTrade
            | Fault::GarbageFrame
            | Fault::ChangedType
            | Fault::Exponents
            | Fault::DoubledKey
            | Fault::HugeDepth => self.twist_stream(fault, symbol),
            Fault::Cut
            | Fault::CloseNormal
            | Fault::ClosePolicy
            | Fault::HalfOpen
            | Fault::ServerShutdown
            | Fault::PingStorm
            | Fault::LateConnection
            | Fault::UnknownKind
            | Fault::HugeUnknown => self.strike_connection(fault, symbol),
            Fault::CutAll => self.cut_all(),
            Fault::ClockBehind | Fault::ClockAhead => self.shift_clock(fault),
            Fault::Listing => self.list_another(),
            Fault::Delisting => self.delist_another(symbol),
            // Of a symbol; those with a queue have returned.
            _ => self.strike_symbol(fault, symbol),
        }
    }

    /// Follows a script from now on: its times count from here. Other scripts go on.
    pub fn follow(&mut self, script: &Script) {
        for planned in script.planned() {
            let task = Task::Fault(planned.clone());
            self.agenda.note(self.now + planned.at, task);
        }
    }

    /// A fault of the script.
    pub(super) fn play(&mut self, planned: &Planned) {
        if planned.alone && self.faults.waits_already(planned.fault) {
            self.faults.unapplied += 1;
        } else {
            self.plant(planned.fault, planned.symbol.as_deref());
        }
    }

    /// The faults that were applied, oldest first.
    pub fn applied(&self) -> Vec<Applied> {
        self.faults.log.iter().cloned().collect()
    }

    /// How many faults found nothing to be applied to.
    pub fn unapplied(&self) -> u64 {
        self.faults.unapplied
    }

    /// Faults that wait for a handshake, a request or an answer.
    pub fn waiting(&self) -> Vec<Fault> {
        self.faults.waiting()
    }

    pub(super) fn note_applied(&mut self, fault: Fault, symbol: Option<&str>, conn: Option<u64>) {
        let symbol = symbol.map(str::to_owned);
        self.faults
            .note((fault, mark(fault)), self.now, symbol, conn);
    }

    /// A fault waits for the next message of a stream.
    fn twist_stream(&mut self, fault: Fault, symbol: Option<&str>) {
        let kinds: &[&str] = match fault {
            Fault::LostTrade | Fault::RepeatedTrade => &["trade", "aggTrade"],
            Fault::ChangedType => &["depth@100ms", "depth", "trade"],
            Fault::SilentStream => &["depth@100ms", "depth", "trade", "aggTrade", "bookTicker"],
            _ => &["depth@100ms", "depth"],
        };
        let symbols = self.names_of(symbol);
        let mut found = Vec::new();
        for (conn, connection) in &self.connections {
            for stream in connection.streams.iter().filter(|_| !connection.muted) {
                let Some((symbol, kind)) = stream.split_once('@') else {
                    continue;
                };
                if kinds.contains(&kind) && symbols.iter().any(|name| name == symbol) {
                    found.push((*conn, stream.clone()));
                }
            }
        }
        let Some((conn, stream)) = self.random.pick(&found).cloned() else {
            self.faults.unapplied += 1;
            return;
        };
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.twists.push(Twist::new(fault, stream));
        }
    }

    /// A fault of a whole connection.
    fn strike_connection(&mut self, fault: Fault, symbol: Option<&str>) {
        let Some(conn) = self.any_connection(symbol) else {
            self.faults.unapplied += 1;
            return;
        };
        self.note_applied(fault, symbol, Some(conn));
        match fault {
            Fault::Cut => self.cut(conn),
            Fault::CloseNormal => self.close(conn, 1000, ""),
            Fault::ClosePolicy => self.close(conn, 1008, "Policy violation"),
            Fault::HalfOpen => {
                if let Some(connection) = self.connections.get_mut(&conn) {
                    connection.muted = true;
                    for stream in std::mem::take(&mut connection.streams) {
                        self.remove_subscriber(conn, &stream);
                    }
                }
                self.outputs.push_back(Output::Mute { conn });
            }
            Fault::ServerShutdown => {
                let event = messages::server_shutdown(self.stamp());
                self.say_event(conn, "!serverShutdown", &event);
                // No lead time is promised [D].
                let lead = Duration::from_millis(self.random.below(10_000));
                self.agenda.note(self.now + lead, Task::EndOfServer(conn));
            }
            Fault::PingStorm => {
                for number in 0..STORM_PINGS {
                    let payload = format!("{}-{number}", self.now.as_millis());
                    self.send_ping(conn, payload.into_bytes());
                }
            }
            Fault::LateConnection => {
                if let Some(connection) = self.connections.get_mut(&conn) {
                    connection.late.begin(self.now);
                }
            }
            _ => {
                let size = if fault == Fault::HugeUnknown { HUGE } else { 0 };
                let event = messages::unknown_kind(size, self.stamp());
                self.say_event(conn, "!somethingNew", &event);
            }
        }
    }

    /// A fault of a symbol.
    fn strike_symbol(&mut self, fault: Fault, symbol: Option<&str>) {
        let Some(symbol) = self.any_symbol(symbol) else {
            self.faults.unapplied += 1;
            return;
        };
        let done = match fault {
            Fault::FinerTick => self.refine_tick(&symbol),
            Fault::Halt => self.halt(&symbol),
            Fault::Break => self.pause(&symbol),
            Fault::CancelOnly => self.cancel_only(&symbol),
            Fault::SlowedDepth => {
                let until = self.now + SLOWED_FOR;
                let index = self.by_symbol.get(&symbol);
                if let Some(listing) = index.and_then(|index| self.listings.get_mut(*index)) {
                    listing.slowed_until = until;
                }
                true
            }
            _ => {
                let prefix = format!("{}@", symbol.to_lowercase());
                let connections = self.connections.iter();
                let of_symbol: Vec<u64> = connections
                    .filter(|(_, connection)| {
                        connection
                            .streams
                            .iter()
                            .any(|stream| stream.starts_with(&prefix))
                    })
                    .map(|(conn, _)| *conn)
                    .collect();
                for conn in of_symbol {
                    self.cut(conn);
                }
                self.renumber(&symbol)
            }
        };
        if !done {
            self.faults.unapplied += 1;
            return;
        }
        if matches!(fault, Fault::Halt | Fault::Break | Fault::CancelOnly) {
            let resume = Task::Resume(symbol.clone());
            self.agenda.note(self.now + HALTED_FOR, resume);
        }
        self.note_applied(fault, Some(&symbol), None);
    }

    /// Half-open connections stay half open.
    fn cut_all(&mut self) {
        let connections = self.connections.iter();
        let open: Vec<u64> = connections
            .filter(|(_, connection)| !connection.muted)
            .map(|(conn, _)| *conn)
            .collect();
        if open.is_empty() {
            self.faults.unapplied += 1;
            return;
        }
        for conn in open {
            self.cut(conn);
        }
        self.note_applied(Fault::CutAll, None, None);
    }

    fn shift_clock(&mut self, fault: Fault) {
        let by = self.random.between(2_000_000, 8_000_000);
        self.clock.ahead_us = if fault == Fault::ClockAhead { by } else { -by };
        self.clock_wrong_until = self.now + CLOCK_WRONG_FOR;
        self.agenda.note(self.clock_wrong_until, Task::ClockRight);
        self.note_applied(fault, None, None);
    }

    /// The clock is right again, if no later fault says otherwise.
    pub(super) fn right_clock(&mut self) {
        if self.now >= self.clock_wrong_until {
            self.clock.ahead_us = 0;
        }
    }

    fn list_another(&mut self) {
        if self.faults.listed.len() >= LISTED_MAX {
            self.faults.unapplied += 1;
            return;
        }
        let config = SymbolConfig::numbered(900 + self.faults.listed_ever);
        self.faults.listed_ever += 1;
        self.faults.listed.push(config.symbol.clone());
        self.note_applied(Fault::Listing, Some(&config.symbol), None);
        self.list_symbol(config);
    }

    /// The given symbol, or one that a fault has listed.
    fn delist_another(&mut self, symbol: Option<&str>) {
        let symbol = match symbol {
            Some(symbol) => Some(symbol.to_owned()),
            None => self.random.pick(&self.faults.listed).cloned(),
        };
        let Some(symbol) = symbol.filter(|symbol| self.delist(symbol)) else {
            self.faults.unapplied += 1;
            return;
        };
        self.faults.listed.retain(|listed| *listed != symbol);
        self.note_applied(Fault::Delisting, Some(&symbol), None);
    }

    /// A connection that can be written to, and that has a stream of the symbol if one is given.
    fn any_connection(&mut self, symbol: Option<&str>) -> Option<u64> {
        let prefix = symbol.map(|symbol| format!("{}@", symbol.to_lowercase()));
        let connections = self.connections.iter();
        let found: Vec<u64> = connections
            .filter(|(_, connection)| {
                let fits = |prefix: &String| {
                    let mut streams = connection.streams.iter();
                    streams.any(|stream| stream.starts_with(prefix.as_str()))
                };
                !connection.muted && prefix.as_ref().is_none_or(fits)
            })
            .map(|(conn, _)| *conn)
            .collect();
        self.random.pick(&found).copied()
    }

    /// A symbol that trades.
    fn any_symbol(&mut self, symbol: Option<&str>) -> Option<String> {
        let trading = self.listings.iter().filter(|listing| {
            listing.market.status.name() == Some("TRADING")
                && symbol.is_none_or(|symbol| listing.names.symbol == symbol)
        });
        let trading: Vec<String> = trading
            .map(|listing| listing.names.symbol.clone())
            .collect();
        self.random.pick(&trading).cloned()
    }

    /// Small names of the symbols that trade.
    fn names_of(&self, symbol: Option<&str>) -> Vec<String> {
        let listings = self.listings.iter().filter(|listing| {
            listing.market.status.name() == Some("TRADING")
                && symbol.is_none_or(|symbol| listing.names.symbol == symbol)
        });
        listings
            .map(|listing| listing.names.symbol.to_lowercase())
            .collect()
    }
}

/// Pings of a storm.
const STORM_PINGS: u32 = 10;
/// A slowed symbol is slow for so long.
const SLOWED_FOR: Duration = Duration::from_secs(60);
/// A halted symbol trades again behind this time.
const HALTED_FOR: Duration = Duration::from_secs(20);
/// A wrong clock is right again behind this time.
const CLOCK_WRONG_FOR: Duration = Duration::from_secs(30);
/// So many symbols of faults are in the list at most.
const LISTED_MAX: usize = 6;
