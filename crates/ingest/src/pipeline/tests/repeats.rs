//! What comes once more: it is no life, and no new event.

use super::channels::Statuses;
use super::*;

const LIMIT: SilenceLimit = SilenceLimit::Fixed(Duration::from_secs(1));

fn okx(previous: i64, last: i64) -> Link {
    Link::Previous {
        first: None,
        previous,
        last,
    }
}

fn ticker() -> EventBody {
    EventBody::Ticker(Box::default())
}

type Marked = (EventBody, Option<u64>, Option<u64>);

/// After the first message that is live, the next one comes every 0.3 s: whether that is life, at first and
/// after the channel is stale.
fn check(before: Vec<EventBody>, last: &Marked, next: &Marked, is_life: bool) {
    let mut bench = Statuses::by(LIMIT);
    for body in before {
        bench.give(body);
    }
    let give = |bench: &mut Statuses, (body, number, time): &Marked| {
        bench.give_marked(body.clone(), *number, *time)
    };
    give(&mut bench, last);
    assert!(bench.joiner().starts_with("live"), "{last:?}");
    let mut said = Vec::new();
    for _ in 0..5 {
        said.extend(bench.wait(300));
        said.extend(give(&mut bench, next));
    }
    let stale = usize::from(!is_life);
    assert_eq!(said.len(), stale, "{next:?}: {said:?}");
    if !is_life {
        assert!(bench.joiner().starts_with("stale"), "{next:?}");
        assert_eq!(
            bench
                .0
                .metric("tapecast_book_old_messages_total{venue=\"one\"}"),
            5
        );
    }
}

#[test]
fn the_last_message_of_a_book_once_more_is_no_life() {
    let range = |first, last| Link::Range { first, last };
    let futures = Link::Previous {
        first: Some(101),
        previous: 100,
        last: 102,
    };
    for (start, link) in [
        (Link::Step(100), Link::Step(101)),
        (at(100), range(101, 102)),
        (at(100), futures),
        (okx(-1, 100), okx(100, 101)),
    ] {
        let start = snapshot(start, &[(10, 1)], &[(12, 1)]);
        let last = (change(link, &[(10, 2)], &[]), Some(101), Some(5));
        check(vec![start], &last, &last, false);
    }
    // A keep-alive is life each time, and so is what has no number.
    let start = || vec![snapshot(okx(-1, 100), &[(10, 1)], &[])];
    let alive = (change(okx(100, 100), &[], &[]), Some(100), Some(5));
    check(start(), &alive, &alive, true);
    let start = || vec![snapshot(Link::None, &[(10, 1)], &[])];
    let last = (change(Link::None, &[(10, 2)], &[]), None, None);
    check(start(), &last, &last, true);
}

#[test]
fn a_message_that_has_no_book_is_life_once() {
    let range = |first, last| Link::Range { first, last };
    for (start, next) in [
        (Link::Step(100), Link::Step(103)),
        (at(100), range(105, 106)),
        (okx(-1, 100), okx(104, 106)),
    ] {
        let mut bench = Statuses::by(LIMIT);
        bench.give(snapshot(start, &[(10, 1)], &[(12, 1)]));
        let next = change(next, &[(10, 2)], &[]);
        assert!(bench.give(next.clone())[0].starts_with("gap"));
        let mut said = Vec::new();
        for _ in 0..5 {
            said.extend(bench.wait(300));
            said.extend(bench.give(next.clone()));
        }
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("stale"), "{said:?}");
    }
    let mut bench = Statuses::by(LIMIT);
    bench.give(snapshot(okx(-1, 100), &[(10, 1)], &[]));
    bench.give(change(okx(104, 106), &[], &[]));
    for _ in 0..5 {
        bench.wait(300);
        bench.give(change(okx(106, 106), &[], &[]));
    }
    assert!(bench.joiner().starts_with("gap"), "keep-alives are life");
}

#[test]
fn the_last_quote_once_more_is_no_life_and_no_event() {
    let last = (quote(10, 11), Some(900), None);
    check(vec![], &last, &last, false);
    let timed = (quote(10, 11), Some(10), Some(5));
    check(vec![], &timed, &timed, false);
    let crossed = (quote(12, 11), Some(10), Some(5));
    check(vec![], &crossed, &crossed, false);
    for next in [
        (quote(10, 11), Some(901), None),
        (quote(10, 11), Some(900), Some(6)),
        (quote(9, 11), Some(900), None),
    ] {
        let mut bench = Statuses::by(LIMIT);
        bench.give_marked(quote(10, 11), Some(900), None);
        bench.wait(1_000);
        let (body, number, time) = next.clone();
        assert_eq!(bench.give_marked(body, number, time).len(), 1, "{next:?}");
    }
    let unmarked = (quote(10, 11), None, Some(5));
    check(vec![], &unmarked, &unmarked, true);
    // It is no event either; after a loss it is one.
    let mut bench = Statuses::by(LIMIT);
    for event in [
        None,
        Some(FeedEvent::Gap("lost".into())),
        Some(FeedEvent::Ended("over".into())),
    ] {
        let (_, before, _) = bench.0.current(StreamKind::Quote);
        let lost = matches!(event, Some(FeedEvent::Gap(_)));
        if let Some(event) = event {
            bench.give(EventBody::Feed(event));
        }
        bench.give_marked(quote(10, 11), Some(900), None);
        bench.give_marked(quote(10, 11), Some(900), None);
        let (_, after, _) = bench.0.current(StreamKind::Quote);
        assert_eq!(after - before, 1 + u64::from(lost));
        assert!(bench.joiner().starts_with("live"));
    }
}

#[test]
fn a_quote_is_known_again_behind_one_of_the_book_until_that_is_lost() {
    let mut bench = Statuses::by(LIMIT);
    let events = |bench: &mut Statuses| bench.0.current(StreamKind::Quote).1;
    let own = |bench: &mut Statuses| {
        bench.give_marked(quote(10, 11), Some(900), None);
        bench.0.current(StreamKind::Quote).1
    };
    assert_eq!(own(&mut bench), 1);
    bench.give(with_quote(snapshot(Link::Step(100), &[(9, 1)], &[(12, 1)])));
    assert_eq!(events(&mut bench), 2);
    assert_eq!(own(&mut bench), 2, "it is the last of its stream");
    bench.give(change(Link::Step(105), &[(8, 1)], &[]));
    assert_eq!(events(&mut bench), 3, "lost with its book");
    assert_eq!(own(&mut bench), 4, "after a loss the same is news");
}

#[test]
fn the_last_ticker_once_more_is_no_life() {
    for (number, time) in [(Some(7), None), (None, Some(5))] {
        let mut bench = Statuses::by(LIMIT);
        bench.give_marked(ticker(), number, time);
        bench.wait(900);
        bench.give_marked(ticker(), number, time);
        assert!(bench.wait(200)[0].contains("ticker stale"));
        bench.give_marked(ticker(), number, time);
        assert!(bench.joiner().contains("ticker stale"));
        let (_, seq, _) = bench.0.current(StreamKind::Ticker);
        assert_eq!(seq, 1);
        bench.give_marked(ticker(), number, Some(6));
        assert!(bench.joiner().contains("ticker live"));
    }
    let mut bench = Statuses::by(LIMIT);
    bench.give(ticker());
    for _ in 0..5 {
        bench.wait(300);
        bench.give(ticker());
    }
    assert!(
        bench.joiner().contains("ticker live"),
        "it may be a new one"
    );
}

#[test]
fn trades_once_more_do_not_bring_back_a_channel() {
    let mut bench = Statuses::by(LIMIT);
    bench.give(trades(&[1, 2]));
    bench.give(EventBody::Feed(FeedEvent::Gap("lost".into())));
    assert!(bench.joiner().starts_with("gap (lost)"));
    let none: [&str; 0] = [];
    assert_eq!(bench.give(trades(&[2])), none);
    assert_eq!(bench.give(trades(&[2, 3])), ["live, trade live since 0"]);
    // A publisher that is back sends its lines again: there is a connection.
    bench.give(EventBody::Feed(FeedEvent::Ended("it left".into())));
    assert_eq!(bench.joiner(), "down (it left), trade down since 0");
    assert_eq!(bench.give(trades(&[3])), ["live, trade pending since 0"]);
    assert_eq!(bench.give(trades(&[4])), ["live, trade live since 0"]);
}
