//! Numbers that start again, and numbers that stand still.

use super::*;

#[test]
fn levels_that_change_while_the_number_does_not_are_a_break() {
    let previous = |previous, last| Link::Previous {
        first: None,
        previous,
        last,
    };
    let futures = |previous, last| Link::Previous {
        first: Some(last),
        previous,
        last,
    };
    let stood_still = |number| BookOutcome::Broken(Break::StoodStill(number));
    for (start, still) in [
        (previous(-1, 100), previous(100, 100)),
        (previous(-1, 100), futures(100, 100)),
    ] {
        let mut book = book();
        reached(give(&mut book, snapshot(start, &[(1, 1)], &[])));
        assert_eq!(
            give(&mut book, change(still, &[], &[])),
            BookOutcome::Unchanged { checked: false }
        );
        assert_eq!(
            give(&mut book, change(still, &[(2, 2)], &[])),
            stood_still(100)
        );
        assert_eq!(bids(&book), None);
    }
    // A keep-alive does not hide that the message before it comes once more.
    let mut book = book();
    reached(give(&mut book, snapshot(previous(-1, 100), &[(1, 1)], &[])));
    reached(give(&mut book, change(previous(100, 102), &[(2, 2)], &[])));
    let same = BookOutcome::Unchanged { checked: false };
    assert_eq!(give(&mut book, change(previous(102, 102), &[], &[])), same);
    assert_eq!(
        give(&mut book, change(previous(100, 102), &[(2, 2)], &[])),
        BookOutcome::Repeated
    );
    assert_eq!(bids(&book).unwrap(), [(2, 2), (1, 1)]);
}

#[test]
fn a_change_without_a_number_breaks_a_book_that_has_one() {
    let okx = |previous, last| Link::Previous {
        first: None,
        previous,
        last,
    };
    for (start, next) in [
        (okx(-1, 100), okx(100, 107)),
        (at(100), range(101, 107)),
        (Link::Step(106), Link::Step(107)),
    ] {
        let mut book = book();
        reached(give(&mut book, snapshot(start, &[(1, 1)], &[])));
        reached(give(&mut book, change(next, &[(2, 2)], &[])));
        assert_eq!(
            give(&mut book, change(Link::None, &[(3, 3)], &[])),
            BookOutcome::Broken(Break::Unnumbered(107))
        );
        assert_eq!(bids(&book), None);
        // It is nothing that a snapshot could connect to.
        reached(give(&mut book, snapshot(okx(-1, 200), &[(1, 1)], &[])));
        assert_eq!(caught_up(&mut book), []);
    }
}

#[test]
fn a_snapshot_of_new_numbers_may_come_before_their_first_change() {
    let mut book = book();
    reached(book.handle(told(50), snapshot(at(900), &[(1, 1)], &[])));
    reached(book.handle(told(51), change(range(901, 902), &[(2, 2)], &[])));
    // Without a time of its own, as spot's is.
    assert_eq!(
        give(&mut book, snapshot(at(5), &[(7, 7)], &[])),
        BookOutcome::Old
    );
    assert_eq!(book.catch_up(), None);
    // One more of the old numbers was under way.
    reached(book.handle(told(52), change(range(903, 903), &[(3, 3)], &[])));
    let first = book.handle(told(53), change(range(1, 2), &[(8, 8)], &[]));
    assert_eq!(first, started_over(1, 903));
    assert_eq!(
        book.catch_up(),
        None,
        "older than the snapshot: it proves nothing of it"
    );
    assert_eq!(
        book.handle(told(54), change(range(3, 5), &[(8, 9)], &[])),
        KEPT
    );
    assert_eq!(
        book.handle(told(55), change(range(6, 6), &[(9, 9)], &[])),
        KEPT
    );
    let caught_up = caught_up(&mut book);
    let old = [BookOutcome::Old; 2];
    assert_eq!(caught_up[1..3], old);
    assert_eq!(caught_up.len(), 4);
    assert_eq!(bids(&book).unwrap(), [(9, 9), (7, 7)]);
}

#[test]
fn a_snapshot_of_old_numbers_is_never_the_book_of_new_ones() {
    let mut book = book();
    reached(book.handle(told(50), snapshot(at(900), &[(1, 1)], &[])));
    reached(book.handle(told(51), change(range(901, 902), &[(2, 2)], &[])));
    assert_eq!(
        give(&mut book, snapshot(at(890), &[(6, 6)], &[])),
        BookOutcome::Old
    );
    assert_eq!(
        book.handle(told(53), change(range(1, 2), &[(8, 8)], &[])),
        started_over(1, 902)
    );
    for number in 3..40 {
        let kept = book.handle(told(53 + number), change(at(number), &[(8, 8)], &[]));
        assert_eq!((kept, book.catch_up()), (KEPT, None));
    }
    // Nor is one that waited for long.
    let late = EventStamp {
        ts_recv: UnixNanos::from_millis(1 + OLD_FOR.as_millis() as u64),
        ..told(200)
    };
    assert_eq!(book.handle(late, change(at(40), &[], &[])), KEPT);
    assert!(book.early.is_none());
}

#[test]
fn numbers_may_start_over_while_a_book_is_waited_for() {
    let waiting = || {
        let mut book = book();
        reached(book.handle(told(50), snapshot(at(900), &[(1, 1)], &[])));
        let hole = book.handle(told(51), change(at(905), &[(2, 2)], &[]));
        assert_eq!(hole, link_break(905, 900, false));
        assert_eq!(book.handle(told(52), change(at(906), &[], &[])), KEPT);
        book
    };
    let dropped = |dropped| BookOutcome::Waiting {
        dropped,
        overflowed: false,
    };
    // The snapshot behind the first change of the new numbers.
    let mut book = waiting();
    assert_eq!(
        book.handle(told(53), change(at(5), &[(8, 8)], &[])),
        dropped(2)
    );
    assert_eq!(book.catch_up(), None);
    reached(give(&mut book, snapshot(at(4), &[(7, 7)], &[])));
    assert_eq!(caught_up(&mut book).len(), 1);
    assert_eq!(bids(&book).unwrap(), [(8, 8), (7, 7)]);
    // And before it.
    let mut book = waiting();
    let too_old = give(&mut book, snapshot(at(4), &[(7, 7)], &[]));
    assert!(matches!(
        too_old,
        BookOutcome::Broken(Break::SnapshotTooOld(_))
    ));
    assert_eq!(book.catch_up(), None);
    assert_eq!(
        book.handle(told(53), change(at(5), &[(8, 8)], &[])),
        dropped(2)
    );
    assert_eq!(caught_up(&mut book).len(), 2);
    assert_eq!(bids(&book).unwrap(), [(8, 8), (7, 7)]);
    // A message that is late is no new number.
    let mut book = waiting();
    assert_eq!(book.handle(told(51), change(at(904), &[(8, 8)], &[])), KEPT);
}

#[test]
fn of_whole_books_an_older_one_never_replaces_a_newer_one() {
    let whole = |number, bids: Levels<'_>| snapshot(Link::Whole(number), bids, &[]);
    let mut book = book();
    reached(give(&mut book, whole(160, &[(1, 1)])));
    assert_eq!(give(&mut book, whole(150, &[(9, 9)])), BookOutcome::Old);
    assert_eq!(
        give(&mut book, whole(160, &[(1, 1)])),
        BookOutcome::Repeated
    );
    assert_eq!(bids(&book).unwrap(), [(1, 1)]);
    assert!(book.last_change().is_none());
    // The venue's word counts.
    reached(give(&mut book, whole(160, &[(2, 2)])));
    reached(give(&mut book, whole(161, &[(3, 3)])));
    assert_eq!(bids(&book).unwrap(), [(3, 3)]);
    assert_eq!(book.catch_up(), None);
    // What was dropped begins with any.
    book.lose();
    reached(give(&mut book, whole(155, &[(4, 4)])));
    book.restart();
    reached(give(&mut book, whole(3, &[(5, 5)])));
}

#[test]
fn numbers_of_whole_books_may_start_over() {
    let whole = |number| snapshot(Link::Whole(number), &[(1, 1)], &[]);
    let mut book = book();
    reached(book.handle(told(50), whole(160)));
    assert_eq!(book.handle(told(50), whole(5)), BookOutcome::Old);
    reached(book.handle(told(51), whole(5)));
    reached(book.handle(told(51), whole(6)));
    // Without times of the venue, by many in a row.
    let mut book = self::book();
    reached(give(&mut book, whole(160)));
    for _ in 0..OLD_MAX {
        assert_eq!(give(&mut book, whole(5)), BookOutcome::Old);
    }
    reached(give(&mut book, whole(5)));
    assert_eq!(give(&mut book, whole(4)), BookOutcome::Old);
}
