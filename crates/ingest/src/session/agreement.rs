//! Whether the trades of an instrument and its ticker agree on the price of the last trade.
//!
//! No silence shows that a stream of trades is dead: a market may be quiet. But the ticker says the price of the last
//! trade. If the two differ, and nothing comes of the one that is behind, then it is dead.

use std::time::Duration;
use tapecast_model::{ChannelKind, Mono};

/// The last prices of both, and until when one must follow the other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Agreement {
    trade: Option<i64>,
    ticker: Option<i64>,
    trade_due: Option<Mono>,
    ticker_due: Option<Mono>,
}

/// How long one may be behind the other.
pub(super) const BEHIND_MAX: Duration = Duration::from_secs(10);

// === impl Agreement ===

impl Agreement {
    /// A trade came, of now or of before.
    pub(super) fn note_trade(&mut self, price: i64, now: Mono) {
        (self.trade, self.trade_due) = (Some(price), None);
        match self.ticker {
            Some(ticker) if ticker == price => self.ticker_due = None,
            _ => {
                self.ticker_due.get_or_insert(now.after(BEHIND_MAX));
            }
        }
    }

    /// A ticker came with the price of the last trade.
    pub(super) fn note_ticker(&mut self, price: i64, now: Mono) {
        let before = self.ticker.replace(price);
        self.ticker_due = None;
        // Without a trade yet, the ticker's own changes show that there was one.
        match self.trade.or(before) {
            Some(trade) if trade != price => {
                self.trade_due.get_or_insert(now.after(BEHIND_MAX));
            }
            Some(_) if self.trade.is_none() => {}
            _ => self.trade_due = None,
        }
    }

    /// When one of them is dead, if nothing comes.
    pub(super) fn due(&self) -> Option<Mono> {
        self.trade_due.into_iter().chain(self.ticker_due).min()
    }

    /// Which of them is dead.
    pub(super) fn take_dead(&mut self, now: Mono) -> Option<ChannelKind> {
        for (due, kind) in [
            (&mut self.trade_due, ChannelKind::Trade),
            (&mut self.ticker_due, ChannelKind::Ticker),
        ] {
            if due.is_some_and(|at| at <= now) {
                *due = None;
                return Some(kind);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::default().after(Duration::from_secs(seconds))
    }

    #[test]
    fn one_that_does_not_follow_the_other_is_dead() {
        let mut agreement = Agreement::default();
        agreement.note_trade(5, at(0));
        agreement.note_ticker(5, at(1));
        assert_eq!(agreement.due(), None);
        agreement.note_ticker(6, at(2));
        agreement.note_trade(6, at(3));
        assert_eq!(agreement.due(), None);
        agreement.note_ticker(7, at(4));
        agreement.note_ticker(8, at(9));
        assert_eq!(agreement.take_dead(at(13)), None);
        assert_eq!(agreement.take_dead(at(14)), Some(ChannelKind::Trade));
        agreement.note_trade(9, at(20));
        assert_eq!(agreement.take_dead(at(30)), Some(ChannelKind::Ticker));
        assert_eq!(agreement.due(), None);
    }

    #[test]
    fn a_stream_that_has_never_spoken_is_found_too() {
        let mut agreement = Agreement::default();
        agreement.note_ticker(5, at(0));
        agreement.note_ticker(5, at(1));
        assert_eq!(agreement.due(), None, "nothing was traded");
        agreement.note_ticker(6, at(2));
        agreement.note_ticker(6, at(3));
        assert_eq!(agreement.take_dead(at(12)), Some(ChannelKind::Trade));
        let mut agreement = Agreement::default();
        agreement.note_trade(5, at(0));
        assert_eq!(agreement.take_dead(at(10)), Some(ChannelKind::Ticker));
    }
}
