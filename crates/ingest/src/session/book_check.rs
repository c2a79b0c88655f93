//! A book that is compared with its venue from time to time, although nothing shows that it is wrong.
//!
//! A venue without checksums can lose a level, and no rule of it tells. So each book gets the venue's state now and
//! then: a snapshot, and behind it the changes that came since it was asked for. That is the book as it is now, and
//! the pipeline takes it as one.
//!
//! # Limits
//! Changes are kept only while the request is on its way, and requests on their way are few.

use crate::event::{BookEvent, Event, EventBody, Link};
use std::collections::BTreeMap;
use tapecast_model::{Level, Price, Side};

/// The changes of a book since its check was asked for.
#[derive(Debug, Default)]
pub(super) struct BookCheck(Vec<(u64, u64, BookEvent)>);

// === impl BookCheck ===

impl BookCheck {
    /// A change was passed on.
    pub(super) fn note(&mut self, change: &BookEvent) {
        if let Link::Range { first, last } = change.link {
            self.0.push((first, last, change.clone()));
        }
    }

    /// The book at the number `last` of its last change, made of a snapshot with this number; none if changes between
    /// the two are missing.
    pub(super) fn settle(self, snapshot: Event, number: u64, last: u64) -> Option<Event> {
        let EventBody::Book(mut book) = snapshot.body else {
            return None;
        };
        let newer = self.0.into_iter().filter(|(_, end, _)| *end > number);
        let mut reached = number;
        let mut sides = [(Side::Bid, side(&book.bids)), (Side::Ask, side(&book.asks))];
        for (first, end, change) in newer {
            if first > reached + 1 {
                return None;
            }
            reached = end;
            for (side, levels) in &mut sides {
                let changed = match side {
                    Side::Bid => &change.bids,
                    Side::Ask => &change.asks,
                };
                for level in changed {
                    match level.qty.is_zero() {
                        true => levels.remove(&level.price),
                        false => levels.insert(level.price, *level),
                    };
                }
            }
        }
        if reached != last {
            return None;
        }
        let [(_, bids), (_, asks)] = sides;
        book.bids = bids.into_values().rev().collect();
        book.asks = asks.into_values().collect();
        book.link = Link::Range { first: last, last };
        Some(Event {
            ts_event: None,
            venue_seq: Some(last),
            body: EventBody::Book(book),
            ..snapshot
        })
    }
}

fn side(levels: &[Level]) -> BTreeMap<Price, Level> {
    levels.iter().map(|level| (level.price, *level)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapecast_model::{InstrumentId, Qty, UnixNanos};

    fn book(snapshot: bool, link: (u64, u64), bids: &[(i64, i64)]) -> BookEvent {
        let level = |(price, qty): &(i64, i64)| {
            Level::new(Price::from_mantissa(*price), Qty::from_mantissa(*qty))
        };
        BookEvent {
            snapshot,
            bids: bids.iter().map(level).collect(),
            link: Link::Range {
                first: link.0,
                last: link.1,
            },
            ..BookEvent::default()
        }
    }

    fn settle(changes: &[BookEvent], number: u64, last: u64) -> Option<Vec<(i64, i64)>> {
        let mut check = BookCheck::default();
        changes.iter().for_each(|change| check.note(change));
        let snapshot = Event {
            instrument: InstrumentId::new(1),
            ts_event: None,
            ts_recv: UnixNanos::default(),
            venue_seq: Some(number),
            body: EventBody::Book(Box::new(book(true, (number, number), &[(10, 1), (9, 2)]))),
        };
        let settled = check.settle(snapshot, number, last)?;
        assert_eq!(settled.venue_seq, Some(last));
        match settled.body {
            EventBody::Book(book) => {
                let bids = book.bids.iter();
                Some(
                    bids.map(|l| (l.price.mantissa(), l.qty.mantissa()))
                        .collect(),
                )
            }
            _ => None,
        }
    }

    #[test]
    fn changes_behind_the_snapshot_lead_to_the_present_book() {
        let changes = [
            book(false, (95, 99), &[(9, 7)]),
            book(false, (100, 102), &[(10, 0), (8, 3)]),
            book(false, (103, 103), &[(11, 4)]),
        ];
        assert_eq!(
            settle(&changes, 101, 103),
            Some(vec![(11, 4), (9, 2), (8, 3)])
        );
        assert_eq!(settle(&changes, 103, 103), Some(vec![(10, 1), (9, 2)]));
        assert_eq!(settle(&[], 103, 103), Some(vec![(10, 1), (9, 2)]));
        // Something is missing: between the snapshot and the changes, or behind them.
        assert_eq!(settle(&changes, 90, 103), None);
        assert_eq!(settle(&changes[..2], 101, 103), None);
        assert_eq!(settle(&[], 100, 103), None);
        assert_eq!(settle(&[], 104, 103), None);
    }
}
