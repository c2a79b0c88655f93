//! Losses of trades, as status topics say them.

use super::channels::Statuses;
use super::*;

fn lost(kind: ChannelKind) -> EventBody {
    EventBody::Feed(FeedEvent::Lost {
        channels: ChannelSet::EMPTY.with(kind),
        events: None,
        reason: "a bad line".into(),
    })
}

fn gap() -> EventBody {
    EventBody::Feed(FeedEvent::Gap("our upstream lost a message".into()))
}

const LIVE: [&str; 1] = ["live, trade live since 0"];

#[test]
fn lost_trades_are_a_gap_until_the_next_trade() {
    for dense in [false, true] {
        let kind = |body| if dense { numbered(body) } else { body };
        let mut bench = Statuses::by(SilenceLimit::ByPace);
        let none: [&str; 0] = [];
        assert_eq!(
            bench.give(lost(ChannelKind::Trade)),
            none,
            "nothing has come"
        );
        bench.give(kind(trades(&[1])));
        let bad = ["gap (a bad line), trade gap since 0"];
        assert_eq!(bench.give(lost(ChannelKind::Trade)), bad);
        // The ids show that nothing was lost.
        assert_eq!(bench.give(kind(trades(&[2]))), LIVE);
        let told = ["gap (our upstream lost a message), trade gap since 0"];
        assert_eq!(bench.give(gap()), told);
        assert_eq!(bench.joiner(), told[0]);
        assert_eq!(bench.give(kind(trades(&[5]))), LIVE);
    }
}

#[test]
fn lost_trades_do_not_make_a_book_worse() {
    let mut bench = Statuses::by(SilenceLimit::ByPace);
    bench.give(snapshot(Link::None, &[(10, 1)], &[]));
    bench.give(trades(&[1]));
    let gap = ["live, trade gap since 0, book live since 0"];
    assert_eq!(bench.give(lost(ChannelKind::Trade)), gap);
    let live = ["live, trade live since 0, book live since 0"];
    assert_eq!(bench.give(trades(&[2])), live);
}

#[test]
fn a_lost_ticker_alone_is_a_gap_too() {
    let mut bench = Statuses::by(SilenceLimit::ByPace);
    bench.give(EventBody::Ticker(Box::default()));
    let gap = ["gap (a bad line), ticker gap since 0"];
    assert_eq!(bench.give(lost(ChannelKind::Ticker)), gap);
    let live = ["live, ticker live since 0"];
    assert_eq!(bench.give(EventBody::Ticker(Box::default())), live);
}

#[test]
fn a_history_that_shows_what_was_lost_ends_the_gap_and_publishes_it_in_order() {
    let mut bench = Bench::live();
    bench.give(numbered(trades(&[14, 15])));
    assert_eq!(
        bench.give(numbered(trades(&[17]))),
        ["trade 3: 1 lost", "trade 4: 17"]
    );
    assert_eq!(
        bench.give(numbered(history(14..=18))),
        ["trade 5: 16", "trade 6: 18"]
    );
    assert_eq!(bench.give(numbered(trades(&[19]))), ["trade 7: 19"]);
    let mut bench = Statuses::by(SilenceLimit::ByPace);
    bench.give(numbered(trades(&[1])));
    bench.give(gap());
    assert_eq!(bench.give(numbered(history([1]))), LIVE);
    let mut bench = Statuses::by(SilenceLimit::ByPace);
    bench.give(trades(&[1]));
    bench.give(gap());
    let none: [&str; 0] = [];
    assert_eq!(bench.give(history([1])), none, "it shows nothing");
    assert_eq!(bench.give(history([1, 2])), LIVE);
}
