//! What one session leaves to the next: the venue's list of instruments, and until when the venue wants to be left
//! alone. Its owner keeps both, also while no process runs.
//!
//! A list that was kept is served at once, before the venue has answered. Its states of trading are of that time, so
//! they are unknown until the venue says them. Then the present list is read, and what differs is changed as at any
//! other time.

use super::venue::Listing;
use super::{Session, VenueInstrument};
use std::collections::BTreeMap;
use std::time::Duration;
use tapecast_model::{TradingState, UnixNanos};

/// What an earlier session knew, of this process or of one before it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Earlier {
    /// The venue's list.
    pub instruments: Vec<VenueInstrument>,
    /// The venue's names of those that were served for their turnover.
    pub top: Vec<Box<str>>,
    /// The venue is left alone until then: it has said so.
    pub banned_until: Option<UnixNanos>,
}

/// What was learnt and is not kept yet.
#[derive(Debug, Default)]
pub(super) struct Learned {
    /// By the venue's name, so that a stream of changes does not grow it.
    instruments: BTreeMap<Box<str>, VenueInstrument>,
    is_whole: bool,
    banned_until: Option<UnixNanos>,
}

// === impl Learned ===

impl Learned {
    /// The venue has sent its list, or a part of it.
    pub(super) fn note_listing(&mut self, listing: Listing) {
        if listing.is_whole {
            self.instruments.clear();
            self.is_whole = true;
        }
        let listed = listing.instruments.into_iter();
        self.instruments
            .extend(listed.map(|instrument| (instrument.native.clone(), instrument)));
    }
}

// === impl Session ===

impl Session {
    /// What the venue has listed since the last call; a part is what changed in the list that was taken before.
    pub fn poll_listing(&mut self) -> Option<Listing> {
        let learned = &mut self.learned;
        if learned.instruments.is_empty() && !learned.is_whole {
            return None;
        }
        let instruments = std::mem::take(&mut learned.instruments);
        Some(Listing {
            instruments: instruments.into_values().collect(),
            is_whole: std::mem::take(&mut learned.is_whole),
        })
    }

    /// Until when the venue wants to be left alone, if it has said so since the last call.
    pub fn poll_ban(&mut self) -> Option<UnixNanos> {
        self.learned.banned_until.take()
    }

    /// Begins with what is known of an earlier time.
    pub(super) fn take_earlier(&mut self, earlier: &Earlier) {
        let wait = |until: UnixNanos| until.get().checked_sub(self.wall.get());
        if let Some(nanos) = earlier.banned_until.and_then(wait) {
            let pause = Duration::from_nanos(nanos);
            let seconds = pause.as_secs();
            tracing::warn!(venue = %self.venue, seconds, "The venue has said before that it wants to be left alone");
            self.requests.pause(pause, self.now);
            self.held = self.now.after(pause);
        }
        let of_then = |listed: &VenueInstrument| VenueInstrument {
            trading: match listed.trading {
                TradingState::Delisted => TradingState::Delisted,
                _ => TradingState::Unknown,
            },
            ..listed.clone()
        };
        let list: Vec<_> = earlier.instruments.iter().map(of_then).collect();
        self.take_definitions(&list, false);
        self.serve_earlier_top(&earlier.top);
    }

    /// No request and no line for so long: the venue has said so.
    pub(super) fn obey_ban(&mut self, pause: Duration) {
        self.requests.pause(pause, self.now);
        self.held = self.held.max(self.now.after(pause));
        let nanos = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
        let until = UnixNanos::new(self.wall.get().saturating_add(nanos));
        self.learned.banned_until = self.learned.banned_until.max(Some(until));
    }
}
