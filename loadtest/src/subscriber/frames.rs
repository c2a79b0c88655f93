//! Data frames: the chain of every one, and the events of those that are read to the end.

use super::{Desk, Reading, Role, Subscriber};
use crate::frame::{FrameHead, Levels, SentEvent};
use crate::scenario::MessageKind;
use crate::tally::{self, Tally};
use crate::view::TopicView;
use tapecast_model::Mono;

impl Subscriber {
    pub(super) fn handle_data(
        &mut self,
        payload: &[u8],
        now: Mono,
        reading: &mut Reading,
        desk: &mut Desk,
    ) {
        let slow = self.role.is_slow();
        let tally = &mut desk.tally;
        let head = desk.scanner.head(payload);
        let view = head
            .and_then(|h| desk.names.number(h.topic))
            .and_then(|n| reading.topic(n));
        let (Some(head), Some(view)) = (head, view) else {
            tally.integrity_of(slow).unreadable += 1;
            return;
        };
        if !view.subscribed {
            tally.integrity_of(slow).uninvited += 1;
            return;
        }
        let events = view.note_head(&head, desk.kind, tally.integrity_of(slow));
        if slow {
            tally.slow_events += events;
        } else {
            tally.total.events += events;
            tally.total.frames += u64::from(!head.snapshot);
        }
        if let Some(storm) = desk.storm.filter(|_| head.snapshot && view.snapshots == 1) {
            tally::note(&mut tally.joins.to_snapshot, now - storm);
            tally::note(&mut tally.joins.request_to_snapshot, now - self.asked);
        }
        if self.role == Role::Checked {
            return;
        }
        if desk.foreign {
            self.take_stamps(head.rest, head.snapshot, now, desk);
        } else {
            self.take_events(&head, events, now, view, desk);
        }
    }

    /// Reads events whose numbers are somebody else's.
    fn take_stamps(&self, rest: &[u8], snapshot: bool, now: Mono, desk: &mut Desk) {
        if desk.measuring && !snapshot && !self.role.is_slow() {
            for stamp in desk.scanner.stamps(rest) {
                desk.tally.note_latency(desk.clock.since(stamp, now));
            }
        }
    }

    /// Reads the events of a frame.
    fn take_events(
        &mut self,
        head: &FrameHead<'_>,
        events: u64,
        now: Mono,
        view: &mut TopicView,
        desk: &mut Desk,
    ) {
        let Desk {
            scanner,
            tally,
            clock,
            measuring,
            kind,
            ..
        } = desk;
        let slow = self.role.is_slow();
        let timed = *measuring && !slow && !head.snapshot;
        let mut found = 0;
        let mut take = |event: SentEvent, view: &mut TopicView, tally: &mut Tally| {
            found += 1;
            if head.snapshot {
                view.id = Some(event.id);
            } else {
                view.note_id(event.id, tally.integrity_of(slow));
            }
            self.seen = self.seen.max(event.id + 1);
            if timed {
                tally.note_latency(clock.since(event.stamp, now));
            }
        };
        match kind {
            MessageKind::Trade => {
                for event in scanner.trades(head.rest) {
                    take(event, view, tally);
                }
                if !head.snapshot && found != events {
                    tally.integrity_of(slow).miscounted += 1;
                }
            }
            MessageKind::Quote => match scanner.quote(head.rest) {
                Some(event) => take(event, view, tally),
                None => tally.integrity_of(slow).unreadable += 1,
            },
            MessageKind::Book => {
                let mut levels = view
                    .levels
                    .take()
                    .unwrap_or_else(|| Box::new(Levels::empty()));
                if head.snapshot {
                    *levels = Levels::empty();
                }
                match scanner.book(head.rest, &mut levels) {
                    Some(event) => take(event, view, tally),
                    // A book of which nothing is known yet.
                    None if head.snapshot && *levels == Levels::empty() => {}
                    None => tally.integrity_of(slow).unreadable += 1,
                }
                view.levels = Some(levels);
            }
        }
    }

    pub(super) fn handle_ceiling(&mut self, payload: &[u8], now: Mono, desk: &mut Desk) {
        let Desk {
            scanner,
            tally,
            clock,
            ..
        } = desk;
        let Some(event) = scanner.ceiling(payload) else {
            tally.integrity.unreadable += 1;
            return;
        };
        if self.seen > 0 && event.id != self.seen {
            tally.integrity.gaps += event.id.saturating_sub(self.seen).max(1);
        }
        self.seen = event.id + 1;
        tally.note_latency(clock.since(event.stamp, now));
        tally.total.frames += 1;
        tally.total.events += 1;
    }
}
