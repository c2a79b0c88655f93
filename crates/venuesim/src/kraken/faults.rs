//! Faults: where each of them goes, and those of a subscription.

use super::connection::{Channel, Key};
use super::marks::{FAULTS, mark};
use super::twist::Twist;
use super::{KrakenSpot, Task};
use crate::fault::Fault;
use crate::script::{Applied, Planned, Script};

// === impl KrakenSpot ===

impl KrakenSpot {
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
            Fault::SkippedDepth
            | Fault::SkippedDeep
            | Fault::RepeatedDepth
            | Fault::SwappedDepth
            | Fault::LostLevel
            | Fault::WrongSum
            | Fault::AbsentSum
            | Fault::GarbageFrame
            | Fault::ChangedType
            | Fault::DoubledKey
            | Fault::ReorderedKeys
            | Fault::HugeDepth
            | Fault::MidSnapshot => self.twist(fault, &[Channel::Book], symbol),
            Fault::LostTrade | Fault::RepeatedTrade | Fault::OldTrades => {
                self.twist(fault, &[Channel::Trade], symbol);
            }
            Fault::ZeroTime => self.twist(fault, &[Channel::Ticker], symbol),
            Fault::Exponents => {
                self.twist(fault, &[Channel::Trade, Channel::Ticker], symbol);
            }
            Fault::SilentStream => {
                let all = [Channel::Book, Channel::Trade, Channel::Ticker];
                self.twist(fault, &all, symbol);
            }
            Fault::Cut
            | Fault::CloseNormal
            | Fault::ClosePolicy
            | Fault::HalfOpen
            | Fault::LateConnection
            | Fault::SilentConnection
            | Fault::UnknownKind
            | Fault::HugeUnknown => self.strike_connection(fault, symbol),
            Fault::CutAll
            | Fault::ClockBehind
            | Fault::ClockAhead
            | Fault::Listing
            | Fault::Maintenance
            | Fault::SystemCancelOnly => self.strike_venue(fault),
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
        let marked = (fault, mark(fault));
        self.faults.note(marked, self.now, symbol, conn);
    }

    /// A fault waits for the next message of a subscription, or makes one.
    fn twist(&mut self, fault: Fault, channels: &[Channel], symbol: Option<&str>) {
        let mut found: Vec<(u64, Key)> = Vec::new();
        for (conn, connection) in &self.connections {
            if connection.muted || connection.silent {
                continue;
            }
            for key in connection.subscriptions.keys() {
                let Some(listing) = self.listings.get(key.0) else {
                    continue;
                };
                let name = &listing.market.config.symbol;
                let fits = listing.status() == super::ONLINE && symbol.is_none_or(|s| s == name);
                if fits && channels.contains(&key.1) {
                    found.push((*conn, *key));
                }
            }
        }
        let Some((conn, key)) = self.random.pick(&found).copied() else {
            self.faults.unapplied += 1;
            return;
        };
        if matches!(fault, Fault::MidSnapshot | Fault::OldTrades) {
            let symbol = self.listings[key.0].market.config.symbol.clone();
            self.note_applied(fault, Some(&symbol), Some(conn));
            match key.1 {
                Channel::Book => self.say_snapshot(conn, key),
                _ => self.say_old_trades(conn, key.0),
            }
        } else if let Some(subscription) = self.speaking(conn, key) {
            subscription.twists.push(Twist::new(fault));
        }
    }
}
