//! The feed's word on itself, and its silence.

use super::*;

#[test]
fn a_new_round_is_a_new_epoch_of_everything() {
    let mut bench = Bench::live();
    bench.give(trades(&[1]));
    bench.give(quote(10, 11));
    bench.give(snapshot(Link::Step(5), &[(10, 1)], &[]));
    bench.give(EventBody::Ticker(Box::default()));
    let end = EventBody::Feed(FeedEvent::Ended("end of recording".into()));
    assert_eq!(bench.give(end), ["status 6: down (end of recording)"]);
    assert_eq!(
        bench.current(StreamKind::Quote).2.unwrap(),
        "quote 1: 10x1 11x1",
        "nothing is lost where nothing more comes"
    );
    assert_eq!(
        bench.give(EventBody::Feed(FeedEvent::Restarted)),
        [
            "e8 book 0: unknown",
            "e8 quote 0: unknown",
            "e8 ticker 0: unknown"
        ]
    );
    for kind in [
        StreamKind::Trade,
        StreamKind::Quote,
        StreamKind::Book,
        StreamKind::Ticker,
    ] {
        assert_eq!(bench.current(kind), (EPOCH + 1, 0, None), "{kind:?}");
    }
    let status = Some("e8 status 1: down (end of recording)".to_owned());
    assert_eq!(bench.current(StreamKind::Status), (EPOCH + 1, 1, status));
    assert_eq!(bench.give(trades(&[1])), ["e8 trade 1: 1"]);
    assert_eq!(
        bench.give(snapshot(Link::Step(5), &[(10, 1)], &[])),
        ["e8 book 1: 10x1 |  from 0,0 replaced"]
    );
    assert_eq!(
        bench.give(quote(10, 11)),
        ["e8 quote 1: 10x1 11x1", "e8 status 4: live"]
    );
    let again = bench.give(EventBody::Feed(FeedEvent::Restarted));
    assert_eq!(
        again,
        [
            "e9 book 0: unknown",
            "e9 quote 0: unknown",
            "e9 status 1: pending (no book data yet)"
        ]
    );
    assert_eq!(
        bench.give(EventBody::Feed(FeedEvent::Restarted)),
        Vec::<String>::new()
    );
}

#[test]
fn a_new_round_forgets_gaps_and_kept_changes() {
    let mut bench = Bench::live();
    bench.give(snapshot(at(5), &[(10, 1)], &[]));
    bench.give(change(at(7), &[(9, 1)], &[]));
    assert_eq!(
        bench.give(EventBody::Feed(FeedEvent::Restarted)),
        ["e8 status 1: pending (no data yet)"]
    );
    assert_eq!(
        bench.give(snapshot(at(1), &[(10, 1)], &[])),
        ["e8 book 1: 10x1 |  from 0,0 replaced", "e8 status 2: live"]
    );
}

#[test]
fn silence_is_stale_and_data_are_live_again() {
    let mut bench = Bench::live();
    assert_eq!(bench.wait(4_900), Vec::<String>::new());
    bench.give(quote(10, 11));
    assert_eq!(bench.wait(4_900), Vec::<String>::new());
    assert_eq!(
        bench.wait(200),
        ["status 4: stale (no quote data for 5.0 s)"]
    );
    assert_eq!(bench.wait(60_000), Vec::<String>::new());
    assert_eq!(bench.give(history([1])), Vec::<String>::new());
    assert_eq!(
        bench.give(quote(10, 11)),
        ["quote 2: 10x1 11x1", "status 5: live"]
    );
    assert_eq!(
        bench.metric("tapecast_instruments{feed=\"stale\",venue=\"one\"}"),
        0
    );
    assert_eq!(
        bench.metric("tapecast_instruments{feed=\"live\",venue=\"one\"}"),
        1
    );
}

#[test]
fn a_status_out_of_silence_tells_the_time_it_was_noticed() {
    let mut bench = Bench::live();
    bench.give(quote(10, 11));
    bench.now = bench.now.after(Duration::from_secs(6));
    let mut times = Vec::new();
    let now = bench.now;
    bench
        .pipeline
        .handle_time(now, &mut |u: &Update<'_>| times.push(u.ts_recv));
    assert_eq!(times, [UnixNanos::new(1_000 + 6_000_000_000)]);
}

#[test]
fn keep_alives_and_lost_changes_are_data_too() {
    let link = |previous, last| Link::Previous {
        first: None,
        previous,
        last,
    };
    let mut bench = Bench::live();
    bench.give(snapshot(link(-1, 5), &[(10, 1)], &[]));
    bench.wait(4_000);
    assert_eq!(
        bench.give(change(link(5, 5), &[], &[])),
        Vec::<String>::new()
    );
    assert_eq!(bench.wait(4_000), Vec::<String>::new());
    bench.give(change(link(6, 7), &[], &[]));
    bench.wait(4_000);
    bench.give(change(link(7, 8), &[], &[]));
    assert_eq!(bench.wait(4_000), Vec::<String>::new());
    assert_eq!(
        bench.wait(1_500),
        ["status 5: stale (no book data for 5.0 s)"]
    );
    assert_eq!(
        bench.give(trades(&[1])),
        ["trade 1: 1"],
        "not the book's life"
    );
    assert_eq!(
        bench.give(change(link(8, 9), &[], &[])),
        ["status 6: gap (one u follows 6, the book is at 5)"]
    );
}

#[test]
fn a_feed_that_is_down_is_not_stale_and_needs_data_to_be_live() {
    let mut bench = Bench::live();
    let down = || EventBody::Feed(FeedEvent::Down("connection closed".into()));
    assert_eq!(bench.give(down()), ["status 3: down (connection closed)"]);
    assert_eq!(bench.give(down()), Vec::<String>::new());
    assert_eq!(bench.wait(60_000), Vec::<String>::new());
    assert_eq!(bench.pipeline.next_deadline(), None);
    let open = EventBody::Trading(TradingState::Open);
    assert_eq!(
        bench.give(open),
        ["status 4: down open (connection closed)"]
    );
    assert_eq!(
        bench.give(trades(&[1])),
        ["trade 1: 1", "status 5: live open"]
    );
    let halted = EventBody::Trading(TradingState::Halted);
    assert_eq!(bench.give(halted.clone()), ["status 6: live halted"]);
    assert_eq!(bench.give(halted), Vec::<String>::new());
}

#[test]
fn each_venue_has_its_own_patience() {
    let mut bench = Bench::with(|config| {
        let two = Venue::new("two").unwrap();
        config
            .silence_by_venue
            .insert(two, SilenceLimit::Fixed(Duration::from_millis(1_500)));
    });
    bench.give_to(0, quote(10, 11));
    bench.give_to(2, quote(10, 11));
    assert_eq!(
        bench.pipeline.next_deadline(),
        Some(Mono::new(1_500_000_000))
    );
    assert_eq!(bench.wait(1_500), ["status 3: stale (no data for 1.5 s)"]);
    assert_eq!(
        bench.pipeline.next_deadline(),
        Some(Mono::new(5_000_000_000))
    );
    assert_eq!(bench.wait(3_500), ["status 3: stale (no data for 5.0 s)"]);
    assert_eq!(bench.pipeline.next_deadline(), None);
    bench.give_to(2, quote(10, 11));
    assert_eq!(
        bench.pipeline.next_deadline(),
        Some(Mono::new(6_500_000_000))
    );
}

#[test]
fn a_lost_connection_is_a_loss_of_every_stream_that_holds_something() {
    let mut bench = Bench::live();
    bench.give(trades(&[1]));
    bench.give(quote(10, 11));
    bench.give(snapshot(Link::Step(5), &[(10, 1)], &[]));
    bench.give(EventBody::Ticker(Box::default()));
    let down = || EventBody::Feed(FeedEvent::Down("connection closed".into()));
    assert_eq!(
        bench.give(down()),
        [
            "book 2: 1 lost",
            "quote 2: 1 lost",
            "ticker 2: 1 lost",
            "trade 2: 1 lost",
            "status 6: down (connection closed)",
        ]
    );
    for kind in [StreamKind::Quote, StreamKind::Book, StreamKind::Ticker] {
        assert_eq!(bench.current(kind), (EPOCH, 2, None), "{kind:?}");
    }
    assert_eq!(bench.give(down()), Vec::<String>::new(), "it is said once");
    assert_eq!(
        bench.give(quote(10, 11)),
        ["quote 3: 10x1 11x1"],
        "the book is down still"
    );
    assert_eq!(
        bench.give(change(Link::Step(6), &[], &[])),
        ["status 8: gap (connection closed)"]
    );
    assert_eq!(
        bench.give(snapshot(Link::Step(6), &[(10, 1)], &[])),
        ["book 3: 10x1 |  from 0,0 replaced", "status 9: live"]
    );
    let lost = "tapecast_events_lost_total{channel=\"quote\",reason=\"connection\"}";
    assert_eq!(bench.metric(lost), 1);
}

#[test]
fn what_a_feed_says_is_lost_is_lost_of_these_channels_only() {
    let mut bench = Bench::live();
    bench.give(trades(&[1]));
    bench.give(quote(10, 11));
    let lost = |channels: ChannelSet, events| {
        EventBody::Feed(FeedEvent::Lost {
            channels,
            events,
            reason: "an element could not be read".into(),
        })
    };
    let of = |kind| ChannelSet::EMPTY.with(kind);
    assert_eq!(
        bench.give(lost(of(ChannelKind::Trade), Some(3))),
        ["trade 4: 3 lost"]
    );
    assert_eq!(
        bench.give(lost(of(ChannelKind::Quote), None)),
        [
            "quote 2: 1 lost",
            "status 5: gap (an element could not be read)"
        ]
    );
    assert_eq!(bench.give(trades(&[2])), ["trade 5: 2"]);
    let counted = "tapecast_events_lost_total{channel=\"trade\",reason=\"unread\"}";
    assert_eq!(bench.metric(counted), 3);
}

/// The small input of a Kraken connection that sends its history again.
#[test]
fn trades_are_passed_on_once_whatever_history_comes_again() {
    let mut bench = Bench::live();
    bench.give(numbered(history(1..=3)));
    assert_eq!(bench.give(numbered(trades(&[4]))), ["trade 1: 4"]);
    assert_eq!(bench.give(numbered(trades(&[5]))), ["trade 2: 5"]);
    assert_eq!(bench.give(numbered(history(2..=6))), ["trade 3: 6"]);
    assert_eq!(bench.give(numbered(trades(&[7]))), ["trade 4: 7"]);
    assert_eq!(
        bench.give(numbered(trades(&[7, 8, 11]))),
        ["trade 5: 8", "trade 7: 2 lost", "trade 8: 11"]
    );
    assert_eq!(
        bench.current(StreamKind::Trade).2.unwrap(),
        "trade 8: 1,2,3,4,5,6,7,8,11"
    );
    assert_eq!(bench.metric("tapecast_prints_repeated_total"), 1);
}
