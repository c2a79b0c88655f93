//! What is counted of a message in addition to its events.

use crate::event::{Event, EventBody, FeedEvent};
use crate::venue::{NoTrade, NoUpdate, Reject};
use smallvec::SmallVec;
use tapecast_model::EventTime;

/// What is counted of a message in addition to its events.
#[derive(Debug, Default)]
pub struct Asides {
    /// Rows of tapes that are not trades.
    pub no_trades: SmallVec<[NoTrade; 1]>,
    /// Quotes and tickers that are no updates.
    pub no_updates: SmallVec<[NoUpdate; 1]>,
    /// Parts that could not be read, while others could.
    pub faults: SmallVec<[Reject; 1]>,
    /// Times outside the years 1980 to 2200, which were left out.
    pub undated: u32,
    /// It was refused and did not come in the stream: it says nothing of the connection.
    pub beside: bool,
}

// === impl Asides ===

impl Asides {
    pub(super) fn clear(&mut self) {
        self.no_trades.clear();
        self.no_updates.clear();
        self.faults.clear();
        self.undated = 0;
        self.beside = false;
    }

    /// Leaves out a time that is none.
    pub(super) fn dated(&mut self, time: Option<EventTime>) -> Option<EventTime> {
        let dated = time.filter(|time| time.is_dated());
        self.undated += u32::from(dated.is_none() && time.is_some());
        dated
    }

    /// A message of which no part could be read is refused; what was lost with it has been said.
    pub(super) fn verdict(&mut self, events: &[Event]) -> Result<(), Reject> {
        let says_loss =
            |event: &Event| matches!(event.body, EventBody::Feed(FeedEvent::Lost { .. }));
        if self.faults.is_empty() || !self.no_trades.is_empty() || !events.iter().all(says_loss) {
            return Ok(());
        }
        Err(self.faults.remove(0))
    }
}
