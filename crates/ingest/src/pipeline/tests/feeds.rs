//! The feed's word on itself, and its silence.

use super::*;

#[test]
fn a_new_round_is_a_new_epoch_of_everything() {
    let mut bench = Bench::live();
    bench.give(trades(&[1]));
    bench.give(quote(10, 11));
    bench.give(snapshot(Link::Step(5), &[(10, 1)], &[]));
    bench.give(EventBody::Ticker(Box::default()));
    let down = EventBody::Feed(FeedEvent::Down("end of recording".into()));
    assert_eq!(bench.give(down), ["status 3: down (end of recording)"]);
    assert_eq!(
        bench.give(EventBody::Feed(FeedEvent::Restarted)),
        ["e8 book 0 dropped"]
    );
    for kind in [
        ChannelKind::Trade,
        ChannelKind::Quote,
        ChannelKind::Book,
        ChannelKind::Ticker,
    ] {
        assert_eq!(bench.current(kind), (EPOCH + 1, 0, None), "{kind:?}");
    }
    let status = Some("e8 status 1: down (end of recording)".to_owned());
    assert_eq!(bench.current(ChannelKind::Status), (EPOCH + 1, 1, status));
    assert_eq!(
        bench.give(trades(&[1])),
        ["e8 trade 1: 1", "e8 status 2: live"]
    );
    assert_eq!(
        bench.give(snapshot(Link::Step(5), &[(10, 1)], &[])),
        ["e8 book 1: 10x1 |  from 0,0 replaced"]
    );
    let again = bench.give(EventBody::Feed(FeedEvent::Restarted));
    assert_eq!(again, ["e9 book 0 dropped"]);
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
        Vec::<String>::new()
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
    assert_eq!(bench.wait(200), ["status 3: stale (no data for 5.0 s)"]);
    assert_eq!(bench.wait(60_000), Vec::<String>::new());
    assert_eq!(bench.give(history([1])), Vec::<String>::new());
    assert_eq!(
        bench.give(quote(10, 11)),
        ["quote 2: 10x1 11x1", "status 4: live"]
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
    assert_eq!(bench.wait(1_500), ["status 4: stale (no data for 5.0 s)"]);
    let back = bench.give(trades(&[1]));
    assert_eq!(
        back,
        [
            "trade 1: 1",
            "status 5: gap (one u names 6 before it, the book is at 5)"
        ]
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
            .stale_after_by_venue
            .insert(two, Duration::from_millis(1_500));
    });
    bench.give_to(0, trades(&[1]));
    bench.give_to(2, trades(&[1]));
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
    bench.give_to(2, trades(&[1]));
    assert_eq!(
        bench.pipeline.next_deadline(),
        Some(Mono::new(6_500_000_000))
    );
}
