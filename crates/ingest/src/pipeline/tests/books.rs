//! Books in the pipeline: gaps and what heals them, sums, crossed books.

use super::*;

#[test]
fn a_snapshot_and_the_changes_kept_for_it_are_one_event_each() {
    let mut bench = Bench::live();
    assert_eq!(
        bench.give(change(at(100), &[(100, 1)], &[])),
        ["status 3: pending (no book data yet)"]
    );
    for n in 101..=102 {
        assert_eq!(
            bench.give(change(at(n), &[(n.cast_signed(), 1)], &[])),
            Vec::<String>::new()
        );
    }
    assert_eq!(bench.current(StreamKind::Book), (EPOCH, 0, None));
    assert_eq!(
        bench.give(snapshot(at(100), &[(99, 1)], &[])),
        [
            "book 1: 99x1 |  from 0,0 replaced",
            "book 2: 101x1 99x1 |  from 0,-",
            "book 3: 102x1 101x1 99x1 |  from 0,-",
            "status 4: live",
        ]
    );
    let now = "book 3: 102x1 101x1 99x1 |  from 0,0 replaced".to_owned();
    assert_eq!(bench.current(StreamKind::Book), (EPOCH, 3, Some(now)));
}

#[test]
fn a_broken_link_drops_the_book_once_and_the_next_snapshot_heals() {
    let mut bench = Bench::live();
    bench.give(with_quote(snapshot(at(15), &[(10, 1)], &[(11, 1)])));
    assert_eq!(
        bench.give(with_quote(change(at(17), &[(10, 2)], &[]))),
        [
            "book 2: 1 lost",
            "quote 2: 1 lost",
            "status 4: gap (one u 17 after 15)"
        ]
    );
    assert_eq!(bench.current(StreamKind::Book), (EPOCH, 2, None));
    assert_eq!(bench.current(StreamKind::Quote), (EPOCH, 2, None));
    assert_eq!(
        bench.give(change(at(18), &[(10, 3)], &[])),
        Vec::<String>::new()
    );
    assert_eq!(
        bench.give(trades(&[1])),
        ["trade 1: 1"],
        "other channels flow"
    );
    assert_eq!(
        bench.metric("tapecast_instruments{feed=\"gap\",venue=\"one\"}"),
        1
    );
    assert_eq!(
        bench.give(with_quote(snapshot(at(17), &[(10, 1)], &[(11, 1)]))),
        [
            "book 3: 10x1 | 11x1 from 0,0 replaced",
            "quote 3: 10x1 11x1",
            "book 4: 10x3 | 11x1 from 0,-",
            "status 5: live",
        ]
    );
    assert_eq!(
        bench.metric("tapecast_book_gaps_total{reason=\"link\",venue=\"one\"}"),
        1
    );
    assert_eq!(
        bench.metric("tapecast_instruments{feed=\"gap\",venue=\"one\"}"),
        0
    );
}

#[test]
fn a_snapshot_too_old_is_said_and_waited_over() {
    let mut bench = Bench::live();
    bench.give(change(at(110), &[(1, 1)], &[]));
    assert_eq!(
        bench.give(snapshot(at(100), &[(2, 2)], &[])),
        ["status 4: gap (one snapshot 100 is older than the changes kept for it, from 110)"]
    );
    let healed = bench.give(snapshot(at(109), &[(2, 2)], &[]));
    assert_eq!(healed.last().unwrap(), "status 5: live");
    assert_eq!(healed.len(), 3);
}

#[test]
fn a_state_whose_checksum_disagrees_is_never_published() {
    let mut bench = Bench::live();
    let check = |theirs, body| match body {
        EventBody::Book(book) => {
            let checksum = Some(Checksum::Kraken(theirs));
            EventBody::Book(Box::new(BookEvent { checksum, ..*book }))
        }
        other => other,
    };
    let right = crc32fast::hash(b"101");
    bench.give(check(right, snapshot(Link::None, &[(10, 1)], &[])));
    let lines = bench.give(check(right, change(Link::None, &[(12, 1)], &[])));
    assert_eq!(lines[0], "book 2: 1 lost");
    assert!(
        lines[1].starts_with("status 4: gap (one book checksum is "),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 2);
    assert_eq!(
        bench.metric("tapecast_checksums_total{result=\"ok\",venue=\"one\"}"),
        1
    );
    assert_eq!(
        bench.metric("tapecast_checksums_total{result=\"bad\",venue=\"one\"}"),
        1
    );
    assert_eq!(
        bench.metric("tapecast_book_gaps_total{reason=\"checksum\",venue=\"one\"}"),
        1
    );
    // A first snapshot that disagrees drops nothing, for nothing was shown.
    let lines = bench.give(check(right, snapshot(Link::None, &[(9, 1)], &[])));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(
        bench.give(change(Link::None, &[(9, 1)], &[])),
        Vec::<String>::new()
    );
    assert_eq!(
        bench.metric("tapecast_book_buffered_dropped_total{venue=\"one\"}"),
        1
    );
}

#[test]
fn a_feed_that_lost_messages_drops_books_but_gaps_nothing_without_one() {
    let mut bench = Bench::live();
    let gap = || EventBody::Feed(FeedEvent::Gap("sequence_num 9 after 7".into()));
    assert_eq!(bench.give(gap()), Vec::<String>::new());
    bench.give(snapshot(Link::None, &[(10, 1)], &[]));
    assert_eq!(
        bench.give(gap()),
        ["book 2: 1 lost", "status 4: gap (sequence_num 9 after 7)"]
    );
    assert_eq!(bench.give(gap()), Vec::<String>::new());
    assert_eq!(
        bench.give(change(Link::None, &[(11, 1)], &[])),
        Vec::<String>::new()
    );
    assert_eq!(
        bench.give(snapshot(Link::None, &[(12, 1)], &[])),
        ["book 3: 12x1 |  from 0,0 replaced", "status 5: live"]
    );
    assert_eq!(
        bench.metric("tapecast_book_gaps_total{reason=\"feed\",venue=\"one\"}"),
        2
    );
}

#[test]
fn a_crossed_book_is_numbered_and_held_back_with_all_it_touches() {
    let mut bench = Bench::live();
    let start = &[(10, 1), (9, 1), (8, 1)];
    bench.give(with_quote(snapshot(Link::None, start, &[(11, 1), (12, 1)])));
    assert_eq!(
        bench.give(with_quote(change(Link::None, &[(8, 2), (11, 5)], &[]))),
        ["status 4: live (crossed: bid 11 at or above ask 11)"]
    );
    assert_eq!(bench.current(StreamKind::Book), (EPOCH, 2, None));
    assert_eq!(bench.current(StreamKind::Quote), (EPOCH, 1, None));
    let still = with_quote(change(Link::None, &[], &[(12, 2)]));
    assert_eq!(bench.give(still), Vec::<String>::new());
    assert_eq!(
        bench.give(with_quote(change(Link::None, &[], &[(11, 0)]))),
        [
            "book 4: 11x5 10x1 9x1 8x2 | 12x2 from 0,0",
            "quote 2: 11x5 12x2",
            "status 5: live",
        ]
    );
    assert_eq!(
        bench.metric("tapecast_crossed_books_total{venue=\"one\"}"),
        1
    );
}

#[test]
fn a_snapshot_held_back_is_a_replacement_when_it_is_shown() {
    let mut bench = Bench::live();
    let lines = bench.give(snapshot(Link::None, &[(12, 1)], &[(11, 1)]));
    assert_eq!(
        lines,
        ["status 3: live (crossed: bid 12 at or above ask 11)"]
    );
    assert_eq!(
        bench.give(change(Link::None, &[], &[(11, 0), (13, 1)])),
        ["book 2: 12x1 | 13x1 from 0,0 replaced", "status 4: live"]
    );
}

#[test]
fn a_crossed_book_that_breaks_is_a_gap_and_not_crossed() {
    let mut bench = Bench::live();
    bench.give(snapshot(Link::Step(1), &[(12, 1)], &[(11, 1)]));
    // Nothing of it was shown, so nothing is dropped.
    assert_eq!(
        bench.give(change(Link::Step(3), &[], &[])),
        ["status 4: gap (one u 3 after 1)"]
    );
    let healed = bench.give(snapshot(Link::Step(9), &[(10, 1)], &[(11, 1)]));
    assert_eq!(
        healed,
        ["book 2: 10x1 | 11x1 from 0,0 replaced", "status 5: live"]
    );
}

fn probe(bids: Levels<'_>) -> EventBody {
    let is_probe = true;
    EventBody::Book(Box::new(BookEvent {
        is_probe,
        snapshot: true,
        ..book(Link::None, bids, &[])
    }))
}

#[test]
fn a_silent_book_that_its_venue_repeats_is_quiet_and_one_that_has_changed_was_dead() {
    let mut bench = Bench::live();
    bench.give(snapshot(Link::None, &[(10, 1), (9, 2)], &[]));
    assert_eq!(
        bench.wait(6_000),
        ["status 4: stale (no book data for 5.0 s)"]
    );
    assert_eq!(bench.give(probe(&[(9, 2), (10, 1)])), ["status 5: live"]);
    assert_eq!(bench.wait(6_000), Vec::<String>::new(), "the limit doubles");
    assert_eq!(
        bench.wait(6_000),
        ["status 6: stale (no book data for 10.0 s)"]
    );
    assert_eq!(
        bench.give(probe(&[(10, 3), (9, 2)])),
        [
            "book 2: 1 lost",
            "book 3: 10x3 9x2 |  from 0,0 replaced",
            "status 7: live"
        ]
    );
    assert_eq!(
        bench.metric("tapecast_book_gaps_total{reason=\"feed\",venue=\"one\"}"),
        1
    );
}
