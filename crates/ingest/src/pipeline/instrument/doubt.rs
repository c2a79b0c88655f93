//! Books that no chain and no checksum proves wrong, and that are asked about all the same: silent and crossed ones.

use super::super::health::Moment;
use super::{InstrumentState, Outlet};
use crate::book::EventStamp;
use crate::event::BookEvent;
use crate::metrics::GapReason;
use crate::reseed::Want;
use std::time::Duration;
use tapecast_model::{ChannelKind, UpdateSink};

/// A venue's book may be crossed for so long; a book that is wrong stays so.
const CROSSED_MAX: Duration = Duration::from_secs(2);

impl InstrumentState {
    /// A silent book's snapshot came. Returns whether the book was only quiet; otherwise its stream was dead, and
    /// what was published since is wrong.
    #[cold]
    pub(super) fn settle_probe<S: UpdateSink>(
        &mut self,
        snapshot: &BookEvent,
        stamp: EventStamp,
        at: Moment,
        out: &mut Outlet<'_, S>,
    ) -> bool {
        match self.book.verified.agrees_with(snapshot) {
            Some(true) => {
                self.health.note_quiet(ChannelKind::Book, at);
                true
            }
            Some(false) => {
                let venue = &self.instrument.venue;
                let reason = format!("{venue} was silent, and its book has changed");
                self.counters.count_gap(GapReason::Feed);
                self.drop_book(reason.into(), stamp, at, out);
                false
            }
            None => false,
        }
    }

    /// The book is crossed. If its snapshots come in the stream, checksums cover only its best levels, or there are
    /// none: one that stays crossed is asked for anew.
    #[cold]
    pub(super) fn doubt_crossed<S: UpdateSink>(&mut self, at: Moment, out: &Outlet<'_, S>) {
        let since = *self.book.crossed.get_or_insert(at.now);
        if since.after(CROSSED_MAX) <= at.now && !self.book.verified.begins_beside() {
            self.book.crossed = Some(at.now);
            out.reseed.ask(self.id(), Want::Reseed, self.book.snapshots);
        }
    }
}
