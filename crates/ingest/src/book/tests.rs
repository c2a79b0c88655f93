//! The rules of [`VerifiedBook`], one test per rule. `snapshot(link, bids, asks)` and
//! `change(link, bids, asks)` make messages of small integers at scale zero.

use super::*;
use crate::event::{Checksum, Link};
use crate::old::OLD_MAX;
use tapecast_model::catalog::{Definition, Offer};
use tapecast_model::{Catalog, Level, Price, Qty, Scale, Side, Symbol, Venue};

mod numbers;

type Levels<'a> = &'a [(i64, i64)];

fn new(limits: BacklogLimits) -> VerifiedBook {
    let (catalog, venue) = (Catalog::new(1), Venue::new("test").unwrap());
    catalog.add_venue(&venue, Offer::default());
    let scale = Scale::new(0).unwrap();
    let symbol = Symbol::new("A-B").unwrap();
    let definition = Definition {
        symbol,
        native: "AB".into(),
        price_scale: scale,
        qty_scale: scale,
    };
    VerifiedBook::new(&catalog.add_instrument(&venue, definition).unwrap(), limits)
}

fn book() -> VerifiedBook {
    new(BacklogLimits::default())
}

fn levels(side: Levels<'_>) -> Vec<Level> {
    let level = |&(p, q): &(i64, i64)| Level::new(Price::from_mantissa(p), Qty::from_mantissa(q));
    side.iter().map(level).collect()
}

fn change(link: Link, bids: Levels<'_>, asks: Levels<'_>) -> Box<BookEvent> {
    let (bids, asks) = (levels(bids), levels(asks));
    Box::new(BookEvent {
        bids,
        asks,
        link,
        ..BookEvent::default()
    })
}

fn snapshot(link: Link, bids: Levels<'_>, asks: Levels<'_>) -> Box<BookEvent> {
    Box::new(BookEvent {
        snapshot: true,
        ..*change(link, bids, asks)
    })
}

const fn range(first: u64, last: u64) -> Link {
    Link::Range { first, last }
}

const fn at(last: u64) -> Link {
    range(last, last)
}

fn give(book: &mut VerifiedBook, event: Box<BookEvent>) -> BookOutcome {
    book.handle(EventStamp::default(), event)
}

fn bids(book: &VerifiedBook) -> Option<Vec<(i64, i64)>> {
    let levels = book.book()?.levels(Side::Bid);
    Some(
        levels
            .map(|l| (l.price.mantissa(), l.qty.mantissa()))
            .collect(),
    )
}

fn reached(outcome: BookOutcome) -> Touched {
    match outcome {
        BookOutcome::Reached { touched, .. } => touched,
        other => panic!("{other:?}"),
    }
}

fn caught_up(book: &mut VerifiedBook) -> Vec<BookOutcome> {
    std::iter::from_fn(|| book.catch_up().map(|(_, outcome)| outcome)).collect()
}

const LOST: BookOutcome = BookOutcome::Waiting {
    dropped: 1,
    overflowed: false,
};
const KEPT: BookOutcome = BookOutcome::Waiting {
    dropped: 0,
    overflowed: false,
};

fn link_break(found: i128, after: i128, names_previous: bool) -> BookOutcome {
    BookOutcome::Broken(Break::Link(LinkBreak {
        found,
        after,
        names_previous,
    }))
}

#[test]
fn buffered_changes_follow_the_snapshot_one_state_each() {
    let mut book = book();
    assert_eq!(give(&mut book, change(range(90, 95), &[(1, 1)], &[])), KEPT);
    assert_eq!(
        give(&mut book, change(range(96, 102), &[(2, 2)], &[])),
        KEPT
    );
    assert_eq!(
        give(&mut book, change(range(103, 104), &[(3, 3)], &[])),
        KEPT
    );
    assert_eq!(bids(&book), None);
    let outcome = give(&mut book, snapshot(at(100), &[(10, 10)], &[]));
    assert_eq!(reached(outcome), Touched::ALL);
    assert_eq!(bids(&book).unwrap(), [(10, 10)]);
    assert_eq!(book.catch_up().unwrap().1, BookOutcome::Old);
    assert_eq!(reached(book.catch_up().unwrap().1).bid, 1);
    assert_eq!(bids(&book).unwrap(), [(10, 10), (2, 2)]);
    assert_eq!(reached(book.catch_up().unwrap().1).bid, 1);
    assert_eq!(book.catch_up(), None);
    assert_eq!(
        reached(give(&mut book, change(range(105, 105), &[(11, 1)], &[]))).bid,
        0
    );
}

#[test]
fn a_buffered_change_keeps_its_own_times() {
    let mut book = book();
    let stamp = EventStamp {
        ts_recv: UnixNanos::new(5),
        venue_seq: Some(101),
        ..EventStamp::default()
    };
    book.handle(stamp, change(at(101), &[(1, 1)], &[]));
    give(&mut book, snapshot(at(100), &[], &[]));
    assert_eq!(book.catch_up().unwrap().0, stamp);
}

#[test]
fn a_snapshot_older_than_the_kept_changes_is_refused_and_they_stay() {
    let mut book = book();
    give(&mut book, change(range(110, 112), &[(1, 1)], &[]));
    let too_old = LinkBreak {
        found: 110,
        after: 100,
        names_previous: false,
    };
    assert_eq!(
        give(&mut book, snapshot(at(100), &[(9, 9)], &[])),
        BookOutcome::Broken(Break::SnapshotTooOld(too_old))
    );
    assert_eq!(bids(&book), None);
    reached(give(&mut book, snapshot(at(109), &[(9, 9)], &[])));
    assert_eq!(caught_up(&mut book).len(), 1);
    assert_eq!(bids(&book).unwrap(), [(9, 9), (1, 1)]);
}

#[test]
fn futures_bridge_by_straddling_or_by_naming_the_snapshot() {
    let futures = |first, previous, last| Link::Previous {
        first: Some(first),
        previous,
        last,
    };
    for bridge in [futures(95, 90, 120), futures(105, 100, 120)] {
        let mut book = book();
        assert_eq!(
            give(&mut book, change(futures(80, 70, 90), &[(1, 1)], &[])),
            KEPT
        );
        assert_eq!(give(&mut book, change(bridge, &[(2, 2)], &[])), KEPT);
        reached(give(&mut book, snapshot(at(100), &[], &[])));
        assert_eq!(caught_up(&mut book).len(), 2);
        assert_eq!(bids(&book).unwrap(), [(2, 2)]);
        reached(give(
            &mut book,
            change(futures(130, 120, 140), &[(3, 3)], &[]),
        ));
        let lost = give(&mut book, change(futures(150, 145, 160), &[(4, 4)], &[]));
        assert_eq!(lost, link_break(145, 140, true));
    }
}

#[test]
fn the_first_live_change_after_a_snapshot_must_bridge_too() {
    let mut book = book();
    reached(give(&mut book, snapshot(at(100), &[(1, 1)], &[])));
    let lost = give(&mut book, change(range(102, 103), &[(2, 2)], &[]));
    assert_eq!(lost, link_break(102, 100, false));
    assert_eq!(bids(&book), None);
}

#[test]
fn a_break_keeps_the_change_for_the_next_snapshot() {
    let mut book = book();
    reached(give(&mut book, snapshot(at(100), &[(1, 1)], &[])));
    reached(give(&mut book, change(range(101, 102), &[(2, 2)], &[])));
    assert_eq!(
        give(&mut book, change(at(105), &[(5, 5)], &[])),
        link_break(105, 102, false)
    );
    assert_eq!(give(&mut book, change(at(106), &[(6, 6)], &[])), KEPT);
    reached(give(&mut book, snapshot(at(104), &[(7, 7)], &[])));
    assert_eq!(caught_up(&mut book).len(), 2);
    assert_eq!(bids(&book).unwrap(), [(7, 7), (6, 6), (5, 5)]);
}

#[test]
fn a_hole_within_the_kept_changes_breaks_when_it_is_reached() {
    let mut book = book();
    for link in [at(101), at(103), at(104)] {
        assert_eq!(give(&mut book, change(link, &[(1, 1)], &[])), KEPT);
    }
    reached(give(&mut book, snapshot(at(100), &[], &[])));
    assert_eq!(
        caught_up(&mut book).last(),
        Some(&link_break(103, 101, false))
    );
    assert_eq!(bids(&book), None);
    reached(give(&mut book, snapshot(at(103), &[], &[])));
    assert_eq!(caught_up(&mut book).len(), 2);
    assert_eq!(bids(&book).unwrap(), [(1, 1)]);
}

#[test]
fn an_old_change_is_no_news_and_an_overlapping_one_is_a_break() {
    let mut book = book();
    reached(give(&mut book, snapshot(at(100), &[(1, 1)], &[])));
    reached(give(&mut book, change(range(99, 103), &[(2, 2)], &[])));
    let old = give(&mut book, change(range(102, 103), &[(2, 9)], &[]));
    assert_eq!(old, BookOutcome::Old);
    assert_eq!(bids(&book).unwrap(), [(2, 2), (1, 1)]);
    let lost = give(&mut book, change(range(103, 104), &[], &[]));
    assert_eq!(lost, link_break(103, 103, false));
}

#[test]
fn a_snapshot_fetched_beside_the_stream_does_not_turn_the_book_back() {
    let mut book = book();
    reached(give(&mut book, snapshot(at(100), &[(1, 1)], &[])));
    reached(give(&mut book, change(range(101, 110), &[(2, 2)], &[])));
    let late = give(&mut book, snapshot(at(105), &[(9, 9)], &[]));
    assert_eq!(late, BookOutcome::Old);
    reached(give(&mut book, change(at(111), &[(3, 3)], &[])));
    reached(give(&mut book, snapshot(at(120), &[(9, 9)], &[])));
    assert_eq!(bids(&book).unwrap(), [(9, 9)]);
    reached(give(&mut book, change(range(118, 121), &[(8, 8)], &[])));
}

#[test]
fn a_snapshot_within_the_stream_replaces_the_book_whatever_its_number() {
    for (first, second) in [
        (Link::Step(7), Link::Step(1)),
        (
            Link::Previous {
                first: None,
                previous: -1,
                last: 50,
            },
            Link::Previous {
                first: None,
                previous: -1,
                last: 3,
            },
        ),
        (Link::None, Link::None),
    ] {
        let mut book = book();
        reached(give(&mut book, snapshot(first, &[(1, 1)], &[])));
        assert_eq!(
            reached(give(&mut book, snapshot(second, &[(2, 2)], &[]))),
            Touched::ALL
        );
        assert_eq!(bids(&book).unwrap(), [(2, 2)]);
    }
}

#[test]
fn changes_that_no_snapshot_bridges_to_are_dropped_before_one() {
    for link in [
        Link::None,
        Link::Step(4),
        Link::Previous {
            first: None,
            previous: 3,
            last: 4,
        },
    ] {
        let mut book = book();
        assert_eq!(give(&mut book, change(link, &[(1, 1)], &[])), LOST);
        reached(give(&mut book, snapshot(Link::None, &[], &[])));
        assert_eq!(book.catch_up(), None);
    }
}

#[test]
fn okx_keep_alives_tell_nothing_and_resets_go_on() {
    let link = |previous, last| Link::Previous {
        first: None,
        previous,
        last,
    };
    let mut book = book();
    reached(give(&mut book, snapshot(link(-1, 100), &[(1, 1)], &[])));
    let quiet = give(&mut book, change(link(100, 100), &[], &[]));
    assert_eq!(quiet, BookOutcome::Unchanged { checked: false });
    reached(give(&mut book, change(link(100, 5), &[(2, 2)], &[])));
    reached(give(&mut book, change(link(5, 6), &[(3, 3)], &[])));
    let lost = give(&mut book, change(link(7, 8), &[], &[]));
    assert_eq!(lost, link_break(7, 6, true));
}

#[test]
fn steps_follow_the_snapshot_and_each_other() {
    let mut book = book();
    reached(give(&mut book, snapshot(Link::Step(7), &[(1, 1)], &[])));
    reached(give(&mut book, change(Link::Step(8), &[(2, 2)], &[])));
    let lost = give(&mut book, change(Link::Step(10), &[], &[]));
    assert_eq!(lost, link_break(10, 8, false));
    assert_eq!(give(&mut book, change(Link::Step(11), &[], &[])), LOST);
    reached(give(&mut book, snapshot(Link::Step(20), &[(1, 1)], &[])));
    reached(give(&mut book, change(Link::Step(21), &[(2, 2)], &[])));
}

#[test]
fn a_full_backlog_says_so_once_and_drops_the_oldest() {
    let mut book = new(BacklogLimits {
        changes: 2,
        levels: 1_000,
    });
    let outcomes: Vec<_> = (1..=4)
        .map(|n| give(&mut book, change(at(n), &[(1, 1)], &[])))
        .collect();
    let full = |overflowed| BookOutcome::Waiting {
        dropped: 1,
        overflowed,
    };
    assert_eq!(outcomes, [KEPT, KEPT, full(true), full(false)]);
    assert!(matches!(
        give(&mut book, snapshot(at(1), &[], &[])),
        BookOutcome::Broken(Break::SnapshotTooOld(_))
    ));
    reached(give(&mut book, snapshot(at(2), &[], &[])));
    assert_eq!(caught_up(&mut book).len(), 2);
}

fn checked(mut event: Box<BookEvent>, theirs: u32) -> Box<BookEvent> {
    event.checksum = Some(Checksum::Kraken(theirs));
    event
}

#[test]
fn a_checksum_that_disagrees_drops_the_book() {
    let mut book = book();
    let right = crc32fast::hash(b"11"); // price 1, size 1
    let outcome = give(
        &mut book,
        checked(snapshot(Link::None, &[(1, 1)], &[]), right),
    );
    assert!(matches!(
        outcome,
        BookOutcome::Reached {
            checked: true,
            replaced: true,
            ..
        }
    ));
    let quiet = give(&mut book, checked(change(Link::None, &[], &[]), right));
    assert_eq!(quiet, BookOutcome::Unchanged { checked: true });
    let ours = crc32fast::hash(b"2211");
    assert_eq!(
        give(
            &mut book,
            checked(change(Link::None, &[(2, 2)], &[]), right)
        ),
        BookOutcome::Broken(Break::Checksum {
            ours,
            theirs: right
        })
    );
    assert_eq!(bids(&book), None);
    assert_eq!(give(&mut book, change(Link::None, &[(3, 3)], &[])), LOST);
    let outcome = give(&mut book, checked(snapshot(Link::None, &[(1, 1)], &[]), 1));
    assert_eq!(
        outcome,
        BookOutcome::Broken(Break::Checksum {
            ours: right,
            theirs: 1
        })
    );
    assert_eq!(bids(&book), None);
}

#[test]
fn the_checksum_is_that_of_the_book_cut_to_its_depth() {
    let mut book = book();
    let with_depth = |event: Box<BookEvent>, theirs| {
        Box::new(BookEvent {
            depth: Some(2),
            ..*checked(event, theirs)
        })
    };
    let first = with_depth(
        snapshot(Link::None, &[(5, 1), (4, 1)], &[]),
        crc32fast::hash(b"5141"),
    );
    reached(give(&mut book, first));
    let second = with_depth(change(Link::None, &[(6, 1)], &[]), crc32fast::hash(b"6151"));
    reached(give(&mut book, second));
    assert_eq!(bids(&book).unwrap(), [(6, 1), (5, 1)]);
    // What fell out does not come back.
    let third = with_depth(change(Link::None, &[(6, 0)], &[]), crc32fast::hash(b"51"));
    reached(give(&mut book, third));
}

#[test]
fn the_same_price_twice_in_one_message_is_applied_in_order() {
    let mut book = book();
    reached(give(
        &mut book,
        snapshot(Link::None, &[(5, 1), (4, 1)], &[]),
    ));
    let touched = reached(give(
        &mut book,
        change(Link::None, &[(4, 0), (4, 3), (3, 1), (3, 0)], &[]),
    ));
    assert_eq!(
        touched,
        Touched {
            bid: 1,
            ask: usize::MAX
        }
    );
    assert_eq!(bids(&book).unwrap(), [(5, 1), (4, 3)]);
}

#[test]
fn a_lost_book_waits_and_a_restart_forgets_what_was_kept() {
    let mut book = book();
    reached(give(&mut book, snapshot(at(100), &[(1, 1)], &[])));
    book.lose();
    assert_eq!(bids(&book), None);
    assert_eq!(give(&mut book, change(at(101), &[(2, 2)], &[])), KEPT);
    book.restart();
    reached(give(&mut book, snapshot(at(50), &[], &[])));
    assert_eq!(book.catch_up(), None);
}

#[test]
fn breaks_say_what_was_found_and_expected() {
    let check = |broken: Break, expected: &str| assert_eq!(broken.to_string(), expected);
    let link = |found, after, names_previous| LinkBreak {
        found,
        after,
        names_previous,
    };
    check(Break::Link(link(17, 15, false)), "u 17 after 15");
    check(
        Break::Link(link(17, 15, true)),
        "u follows 17, the book is at 15",
    );
    check(
        Break::SnapshotTooOld(link(110, 100, false)),
        "snapshot 100 is older than the changes kept for it, from 110",
    );
    check(
        Break::StoodStill(17),
        "levels changed, but the number 17 did not",
    );
    check(
        Break::Checksum { ours: 1, theirs: 2 },
        "book checksum is 1, the venue says 2",
    );
}

fn started_over(found: i128, after: i128) -> BookOutcome {
    BookOutcome::Broken(Break::StartedOver(LinkBreak {
        found,
        after,
        names_previous: false,
    }))
}

/// A stamp of a time that the venue gives, in milliseconds.
fn told(millis: u64) -> EventStamp {
    EventStamp {
        ts_event: Some(EventTime::from_millis(millis)),
        ..EventStamp::default()
    }
}

#[test]
fn old_messages_are_bounded_in_number() {
    let mut book = book();
    reached(give(&mut book, snapshot(at(100), &[(1, 1)], &[])));
    reached(give(&mut book, change(range(101, 110), &[(2, 2)], &[])));
    for _ in 0..OLD_MAX {
        let old = give(&mut book, change(range(3, 5), &[(9, 9)], &[]));
        assert_eq!(old, BookOutcome::Old);
    }
    let one_more = give(&mut book, change(range(3, 5), &[(9, 9)], &[]));
    assert_eq!(one_more, started_over(3, 110));
    assert_eq!(bids(&book), None);
    // The message that proved it is kept for the snapshot to come.
    reached(give(&mut book, snapshot(at(4), &[(7, 7)], &[])));
    assert_eq!(caught_up(&mut book).len(), 1);
    assert_eq!(bids(&book).unwrap(), [(9, 9), (7, 7)]);
}

#[test]
fn old_messages_are_bounded_in_time() {
    let mut book = book();
    reached(give(&mut book, snapshot(at(100), &[(1, 1)], &[])));
    let received = |millis: u64| EventStamp {
        ts_recv: UnixNanos::from_millis(millis),
        ..EventStamp::default()
    };
    let limit = OLD_FOR.as_millis() as u64;
    let old = |book: &mut VerifiedBook, millis: u64| {
        book.handle(received(millis), change(range(3, 5), &[(9, 9)], &[]))
    };
    assert_eq!(old(&mut book, 5), BookOutcome::Old);
    assert_eq!(old(&mut book, 5 + limit), BookOutcome::Old);
    // A message that follows ends the run.
    reached(give(&mut book, change(range(101, 101), &[(2, 2)], &[])));
    assert_eq!(old(&mut book, 6 + limit), BookOutcome::Old);
    assert_eq!(old(&mut book, 7 + 2 * limit), started_over(3, 101));
}

#[test]
fn what_is_old_by_its_number_and_new_by_its_time_starts_over() {
    let mut book = book();
    reached(book.handle(told(50), snapshot(at(100), &[(1, 1)], &[])));
    let covered = book.handle(told(40), change(range(90, 95), &[(5, 5)], &[]));
    assert_eq!(covered, BookOutcome::Old);
    reached(book.handle(told(60), change(range(101, 110), &[(2, 2)], &[])));
    let late = book.handle(told(60), change(range(102, 109), &[(5, 5)], &[]));
    assert_eq!(late, BookOutcome::Old);
    let again = book.handle(told(61), change(range(1, 2), &[(5, 5)], &[]));
    assert_eq!(again, started_over(1, 110));
    // What it names as the number before it counts first.
    let link = |previous, last| Link::Previous {
        first: Some(previous + 1),
        previous,
        last,
    };
    let mut book = self::book();
    reached(book.handle(told(50), snapshot(link(-1, 100), &[(1, 1)], &[])));
    reached(book.handle(told(51), change(link(100, 3), &[(2, 2)], &[])));
    reached(book.handle(told(52), change(link(3, 5), &[(3, 3)], &[])));
    assert_eq!(bids(&book).unwrap(), [(3, 3), (2, 2), (1, 1)]);
}

#[test]
fn the_last_message_once_more_changes_nothing() {
    let previous = |previous, last| Link::Previous {
        first: None,
        previous,
        last,
    };
    let futures = |previous, last| Link::Previous {
        first: Some(previous + 1),
        previous,
        last,
    };
    for (start, first, second) in [
        (at(100), range(101, 102), range(103, 103)),
        (previous(-1, 100), previous(100, 102), previous(102, 103)),
        (previous(-1, 100), futures(100, 102), futures(102, 103)),
        (Link::Step(100), Link::Step(101), Link::Step(102)),
    ] {
        let mut book = book();
        reached(give(&mut book, snapshot(start, &[(1, 1)], &[])));
        reached(give(&mut book, change(first, &[(2, 2)], &[])));
        let again = give(&mut book, change(first, &[(2, 2)], &[]));
        assert_eq!(again, BookOutcome::Repeated, "{first:?}");
        reached(give(&mut book, change(second, &[(3, 3)], &[])));
        assert_eq!(bids(&book).unwrap(), [(3, 3), (2, 2), (1, 1)], "{first:?}");
    }
    // The same number with other levels is another message.
    let mut book = book();
    reached(give(&mut book, snapshot(Link::Step(100), &[(1, 1)], &[])));
    reached(give(&mut book, change(Link::Step(101), &[(2, 2)], &[])));
    let other = give(&mut book, change(Link::Step(101), &[(2, 3)], &[]));
    assert_eq!(other, link_break(101, 101, false));
}
