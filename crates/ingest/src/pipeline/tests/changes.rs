//! What a published book says of its changes since the last published one: `10x1 9x0 | 11x2 to 5`, or
//! `whole`.

use super::*;

fn spell(update: &Update<'_>) -> Option<String> {
    let Body::Book { changes, .. } = update.body else {
        return None;
    };
    let Some(changes) = changes else {
        return Some("whole".to_owned());
    };
    let side = |levels: &[Level]| {
        let level = |l: &Level| format!("{}x{}", l.price.mantissa(), l.qty.mantissa());
        levels.iter().map(level).collect::<Vec<_>>().join(" ")
    };
    let depth = changes
        .depth
        .map_or(String::new(), |depth| format!(" to {depth}"));
    Some(format!(
        "{} | {}{depth}",
        side(changes.bids),
        side(changes.asks)
    ))
}

/// Gives an event and returns what the published books say.
fn give(bench: &mut Bench, body: EventBody) -> Vec<String> {
    let mut said = Vec::new();
    give_with(bench, body, |update| said.extend(spell(update)));
    said
}

fn give_with(bench: &mut Bench, body: EventBody, mut hear: impl FnMut(&Update<'_>)) {
    let event = Event {
        instrument: InstrumentId::new(0),
        ts_event: None,
        ts_recv: UnixNanos::new(1),
        venue_seq: None,
        body,
    };
    let sink = &mut |update: &Update<'_>| hear(update);
    bench.pipeline.handle_event(event, Mono::new(1), sink);
}

fn cut(body: EventBody, depth: usize) -> EventBody {
    match body {
        EventBody::Book(book) => EventBody::Book(Box::new(BookEvent {
            depth: Some(depth),
            ..*book
        })),
        other => other,
    }
}

#[test]
fn a_change_is_the_levels_of_the_event_where_they_are() {
    let mut bench = Bench::live();
    let start = snapshot(Link::None, &[(10, 1)], &[(12, 1)]);
    assert_eq!(give(&mut bench, start), ["whole"]);
    let EventBody::Book(event) = change(Link::None, &[(10, 0), (9, 4)], &[(11, 2)]) else {
        panic!("no book");
    };
    let places = [event.bids.as_ptr(), event.asks.as_ptr()];
    let mut seen = Vec::new();
    give_with(&mut bench, EventBody::Book(event), |update| {
        if let Body::Book { changes, .. } = update.body {
            let changes = changes.unwrap();
            seen.extend([changes.bids.as_ptr(), changes.asks.as_ptr()]);
        }
        assert!(spell(update).is_none_or(|said| said == "10x0 9x4 | 11x2"));
    });
    assert_eq!(seen, places, "nothing is copied");
}

#[test]
fn a_venue_that_cuts_its_book_says_to_which_depth() {
    let mut bench = Bench::live();
    let start = snapshot(Link::None, &[(10, 1), (9, 1)], &[]);
    give(&mut bench, cut(start, 2));
    let next = cut(change(Link::None, &[(11, 1)], &[]), 2);
    assert_eq!(give(&mut bench, next), ["11x1 |  to 2"]);
}

#[test]
fn changes_that_waited_for_a_snapshot_are_said_one_by_one() {
    let mut bench = Bench::live();
    for n in 100..=102 {
        give(&mut bench, change(at(n), &[(n.cast_signed(), 1)], &[]));
    }
    let said = give(&mut bench, snapshot(at(100), &[(99, 1)], &[]));
    assert_eq!(said, ["whole", "101x1 | ", "102x1 | "]);
}

#[test]
fn changes_that_are_held_back_add_up_and_are_said_once() {
    let mut bench = Bench::live();
    let start = &[(10, 1), (9, 1), (8, 1)];
    give(&mut bench, snapshot(Link::None, start, &[(11, 1), (12, 1)]));
    let none: [&str; 0] = [];
    let crossing = change(Link::None, &[(8, 2), (11, 5)], &[]);
    assert_eq!(give(&mut bench, crossing), none);
    assert_eq!(give(&mut bench, change(Link::None, &[], &[(12, 2)])), none);
    let uncrossing = change(Link::None, &[], &[(11, 0)]);
    assert_eq!(give(&mut bench, uncrossing), ["8x2 11x5 | 12x2 11x0"]);
    let next = change(Link::None, &[(8, 3)], &[]);
    assert_eq!(give(&mut bench, next), ["8x3 | "]);
}

#[test]
fn more_changes_than_the_book_has_levels_are_a_whole_book() {
    let mut bench = Bench::live();
    give(
        &mut bench,
        snapshot(Link::None, &[(10, 1)], &[(11, 1), (12, 1)]),
    );
    give(&mut bench, change(Link::None, &[(11, 1)], &[]));
    for qty in 2..=5 {
        give(&mut bench, change(Link::None, &[(11, qty)], &[]));
    }
    let uncrossing = change(Link::None, &[], &[(11, 0)]);
    assert_eq!(give(&mut bench, uncrossing), ["whole"]);
    let next = change(Link::None, &[(10, 2)], &[]);
    assert_eq!(give(&mut bench, next), ["10x2 | "]);
}

#[test]
fn what_was_cut_while_it_was_held_back_is_said_by_a_whole_book() {
    let mut bench = Bench::live();
    let start = snapshot(Link::None, &[(10, 1), (9, 1)], &[(11, 1), (12, 1)]);
    give(&mut bench, cut(start, 2));
    // 9 falls out, and does not come back when 11 goes.
    let crossing = cut(change(Link::None, &[(11, 1)], &[]), 2);
    assert!(give(&mut bench, crossing).is_empty());
    let uncrossing = cut(change(Link::None, &[(11, 0)], &[]), 2);
    assert_eq!(give(&mut bench, uncrossing), ["whole"]);
}

#[test]
fn a_snapshot_that_was_held_back_is_a_whole_book_with_what_follows_it() {
    let mut bench = Bench::live();
    give(&mut bench, snapshot(Link::None, &[(10, 1)], &[(11, 1)]));
    let crossed = snapshot(Link::None, &[(12, 1)], &[(11, 1)]);
    assert!(give(&mut bench, crossed).is_empty());
    let uncrossing = change(Link::None, &[], &[(11, 0), (13, 1)]);
    assert_eq!(give(&mut bench, uncrossing), ["whole"]);
}

#[test]
fn a_dropped_book_takes_what_was_held_back_with_it() {
    let mut bench = Bench::live();
    give(&mut bench, snapshot(Link::None, &[(10, 1)], &[(11, 1)]));
    give(&mut bench, change(Link::None, &[(11, 1)], &[]));
    let gap = EventBody::Feed(FeedEvent::Gap("lost".into()));
    assert!(give(&mut bench, gap).is_empty());
    let healed = snapshot(Link::None, &[(10, 1)], &[(11, 1)]);
    assert_eq!(give(&mut bench, healed), ["whole"]);
    let next = change(Link::None, &[(10, 2)], &[]);
    assert_eq!(give(&mut bench, next), ["10x2 | "]);
}
