//! What tests need of a simulated venue beyond its protocol: a beginning, the truth, and faults.

use crate::config::SimConfig;
use crate::counts::Counts;
use crate::fault::{Fault, Mark};
use crate::script::{Applied, Script};
use crate::truth::{TruthBook, TruthSymbol, TruthTrade};
use crate::venue::Venue;

/// A simulated venue that can be asked for the truth, and told what goes wrong.
pub trait Simulated: Venue {
    /// Its name, as in the gateway's configuration.
    const NAME: &'static str;

    /// The faults that it has.
    const FAULTS: &'static [Fault];

    /// Whether its books have numbers. If not, [`TruthBook::last_update_id`] is the time of the last change, in
    /// microseconds since 1970.
    const NUMBERED: bool;

    /// Its usual symbols, limits and times. Nothing goes wrong.
    fn config(seed: u64) -> SimConfig;

    /// A venue that has traded before.
    fn open(config: SimConfig) -> Self;

    /// Whether a client can notice a fault by the venue's rules, and by which.
    fn mark(fault: Fault) -> (Mark, &'static str);

    /// All symbols, also those that have left the list.
    fn symbols(&self) -> Vec<TruthSymbol>;

    /// The whole book of a symbol, as it is now.
    fn book(&self, symbol: &str) -> Option<TruthBook>;

    /// The best levels of a book as they were behind the change with this number.
    fn past_book(&self, symbol: &str, number: u64) -> Option<TruthBook>;

    /// The trades of a symbol that are remembered, oldest first.
    fn trades(&self, symbol: &str) -> Vec<TruthTrade>;

    /// What clients have used of what they may.
    fn counts(&self) -> Counts;

    /// Connections that are open, oldest number first; half-open ones too.
    fn connections(&self) -> Vec<u64>;

    /// Lets something go wrong now; with a symbol, it concerns that one. A fault that the venue does not have is
    /// counted as one that found nothing to be applied to.
    fn plant(&mut self, fault: Fault, symbol: Option<&str>);

    /// Follows a script from now on: its times count from here. Other scripts go on.
    fn follow(&mut self, script: &Script);

    /// The faults that were applied, oldest first.
    fn applied(&self) -> Vec<Applied>;

    /// How many faults found nothing to be applied to.
    fn unapplied(&self) -> u64;

    /// Faults that wait for a handshake, a subscription or a request.
    fn waiting(&self) -> Vec<Fault>;
}
