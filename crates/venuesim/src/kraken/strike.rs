//! Faults of a connection, of a symbol, and of the whole venue.

use super::{KrakenSpot, Task, messages};
use crate::config::SymbolConfig;
use crate::fault::Fault;
use crate::garble::HUGE;
use crate::venue::Output;
use std::time::Duration;

// === impl KrakenSpot ===

impl KrakenSpot {
    /// A fault of a whole connection.
    pub(super) fn strike_connection(&mut self, fault: Fault, symbol: Option<&str>) {
        let Some(conn) = self.any_connection(symbol) else {
            self.faults.unapplied += 1;
            return;
        };
        self.note_applied(fault, symbol, Some(conn));
        match fault {
            Fault::Cut => self.cut(conn),
            Fault::CloseNormal => self.close(conn, 1000, ""),
            Fault::ClosePolicy => self.close(conn, 1008, "Policy violation"),
            Fault::UnknownKind => self.say(conn, messages::unknown_channel(0)),
            Fault::HugeUnknown => self.say(conn, messages::unknown_channel(HUGE)),
            _ => {
                let now = self.now;
                let Some(connection) = self.connections.get_mut(&conn) else {
                    return;
                };
                match fault {
                    Fault::LateConnection => connection.late.begin(now),
                    Fault::SilentConnection => connection.silent = true,
                    _ => {
                        connection.muted = true;
                        connection.subscriptions.clear();
                        self.outputs.push_back(Output::Mute { conn });
                    }
                }
            }
        }
    }

    /// A fault of a symbol.
    pub(super) fn strike_symbol(&mut self, fault: Fault, symbol: Option<&str>) {
        let Some(symbol) = self.any_symbol(symbol) else {
            self.faults.unapplied += 1;
            return;
        };
        let done = match fault {
            Fault::FinerTick => self.refine_tick(&symbol),
            Fault::LateTick => self.refine_tick_first(&symbol, TICK_SAID_AFTER),
            Fault::Halt => self.halt(&symbol),
            Fault::CancelOnly => self.cancel_only(&symbol),
            Fault::UnknownStatus => self.set_odd_status(&symbol, "auction_only"),
            _ => {
                let index = self.by_symbol.get(&symbol).copied();
                for conn in self.connections() {
                    let connection = self.connections.get(&conn);
                    let has = connection.is_some_and(|connection| {
                        let mut keys = connection.subscriptions.keys();
                        keys.any(|(of, _)| Some(*of) == index)
                    });
                    if has {
                        self.cut(conn);
                    }
                }
                self.renumber(&symbol)
            }
        };
        if !done {
            self.faults.unapplied += 1;
            return;
        }
        if matches!(
            fault,
            Fault::Halt | Fault::CancelOnly | Fault::UnknownStatus
        ) {
            let resume = Task::Resume(symbol.clone());
            self.agenda.note(self.now + HALTED_FOR, resume);
        }
        self.note_applied(fault, Some(&symbol), None);
    }

    /// A fault of the venue.
    pub(super) fn strike_venue(&mut self, fault: Fault) {
        match fault {
            Fault::CutAll => return self.cut_all(),
            Fault::Listing => return self.list_another(),
            Fault::Maintenance => {
                self.set_system("upcoming_maintenance");
                let begin = self.now + super::steer::LEAD;
                self.agenda.note(begin, Task::System("maintenance"));
                let end = begin + HALTED_FOR;
                self.agenda.note(end, Task::System(super::ONLINE));
            }
            Fault::SystemCancelOnly => {
                self.set_system("cancel_only");
                let end = self.now + HALTED_FOR;
                self.agenda.note(end, Task::System(super::ONLINE));
            }
            _ => {
                let by = self.random.between(2_000_000, 8_000_000);
                self.clock.ahead_us = if fault == Fault::ClockAhead { by } else { -by };
                self.clock_wrong_until = self.now + CLOCK_WRONG_FOR;
                self.agenda.note(self.clock_wrong_until, Task::ClockRight);
            }
        }
        self.note_applied(fault, None, None);
    }

    /// The clock is right again, if no later fault says otherwise.
    pub(super) fn right_clock(&mut self) {
        if self.now >= self.clock_wrong_until {
            self.clock.ahead_us = 0;
        }
    }

    /// Half-open connections stay half open.
    fn cut_all(&mut self) {
        let mut open = self.connections();
        open.retain(|conn| self.can_write(*conn));
        if open.is_empty() {
            self.faults.unapplied += 1;
            return;
        }
        for conn in open {
            self.cut(conn);
        }
        self.note_applied(Fault::CutAll, None, None);
    }

    fn list_another(&mut self) {
        if self.faults.listed.len() >= LISTED_MAX {
            self.faults.unapplied += 1;
            return;
        }
        let config = SymbolConfig::pair(900 + self.faults.listed_ever);
        self.faults.listed_ever += 1;
        self.faults.listed.push(config.symbol.clone());
        self.note_applied(Fault::Listing, Some(&config.symbol), None);
        self.list_symbol(config);
    }

    /// The given symbol, or one that a fault has listed.
    pub(super) fn delist_another(&mut self, symbol: Option<&str>) {
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

    /// A connection that can be written to, and that has a subscription of the symbol if one is given.
    fn any_connection(&mut self, symbol: Option<&str>) -> Option<u64> {
        let index = symbol.map(|symbol| self.by_symbol.get(symbol).copied());
        let connections = self.connections.iter();
        let found: Vec<u64> = connections
            .filter(|(_, connection)| {
                let mut keys = connection.subscriptions.keys();
                let fits = index.is_none_or(|index| keys.any(|(of, _)| Some(*of) == index));
                fits && !connection.muted
            })
            .map(|(conn, _)| *conn)
            .collect();
        self.random.pick(&found).copied()
    }

    /// A symbol that trades.
    fn any_symbol(&mut self, symbol: Option<&str>) -> Option<String> {
        let names = self.listings.iter().filter_map(|listing| {
            let name = &listing.market.config.symbol;
            let fits = symbol.is_none_or(|symbol| name == symbol);
            (fits && listing.status() == super::ONLINE).then(|| name.clone())
        });
        let names: Vec<String> = names.collect();
        self.random.pick(&names).cloned()
    }
}

/// A tick that is said late is said behind this time.
const TICK_SAID_AFTER: Duration = Duration::from_secs(5);
/// A halted symbol trades again behind this time; works at the venue end behind it.
const HALTED_FOR: Duration = Duration::from_secs(20);
/// A wrong clock is right again behind this time.
const CLOCK_WRONG_FOR: Duration = Duration::from_secs(30);
/// So many symbols of faults are in the list at most.
const LISTED_MAX: usize = 6;
