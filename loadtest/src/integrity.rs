//! What was not as it should be: counts of events that were lost, repeated or wrong.

/// What was not as it should be, over the whole run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(default)]
pub struct Integrity {
    /// Events missing in the chain of a topic's sequence numbers, unannounced.
    pub gaps: u64,
    /// Frames that were delivered twice or out of order.
    pub duplicates: u64,
    /// Events whose publisher's number does not follow the one before.
    pub disordered: u64,
    /// Trade frames whose number of events is not what their sequence numbers say.
    pub miscounted: u64,
    /// Frames that could not be read.
    pub unreadable: u64,
    /// Frames of topics that were not subscribed (any more).
    pub uninvited: u64,
    /// Trades that were published and neither received nor announced as lost, by clients that were
    /// there all the time.
    pub missing: u64,
    /// Topics of clients that did not end with the right state.
    pub behind: u64,
    /// Events the server said it would not deliver. Explained, but lost.
    pub announced_lost: u64,
    /// Events replaced by a newer state, on topics where the protocol has it so.
    pub conflated: u64,
}

// === impl Integrity ===

impl Integrity {
    /// Adds what another thread counted.
    pub fn add(&mut self, other: &Self) {
        self.gaps += other.gaps;
        self.duplicates += other.duplicates;
        self.disordered += other.disordered;
        self.miscounted += other.miscounted;
        self.unreadable += other.unreadable;
        self.uninvited += other.uninvited;
        self.missing += other.missing;
        self.behind += other.behind;
        self.announced_lost += other.announced_lost;
        self.conflated += other.conflated;
    }

    /// Everything that the server has not said, and should not have done.
    pub fn unexplained(&self) -> u64 {
        self.gaps
            + self.duplicates
            + self.disordered
            + self.miscounted
            + self.unreadable
            + self.uninvited
            + self.missing
            + self.behind
    }

    /// Whether every event arrived once and in order.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announced_losses_are_explained_and_not_clean() {
        let announced = Integrity {
            announced_lost: 3,
            ..Integrity::default()
        };
        assert!(!announced.is_clean() && announced.unexplained() == 0);
    }
}
