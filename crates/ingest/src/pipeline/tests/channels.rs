//! The health of channels, from events to what status topics say.

use super::*;
use tapecast_model::{Status, UnixNanos};

const BOOK_AND_TRADES: ChannelSet = ChannelSet::EMPTY
    .with(ChannelKind::Trade)
    .with(ChannelKind::Book);

/// A bench of which only statuses are looked at: feed, reason, and each channel with the millisecond since
/// when.
pub(super) struct Statuses(pub(super) Bench);

impl Statuses {
    pub(super) fn by(limit: SilenceLimit) -> Self {
        Self(Bench::with(|config| config.silence = limit))
    }

    fn publish(&mut self, act: impl FnOnce(&mut Pipeline, Mono, &mut Vec<Status>)) -> Vec<String> {
        let mut said = Vec::new();
        act(&mut self.0.pipeline, self.0.now, &mut said);
        said.iter().map(spelled).collect()
    }

    pub(super) fn give(&mut self, body: EventBody) -> Vec<String> {
        self.give_marked(body, None, None)
    }

    pub(super) fn give_marked(
        &mut self,
        body: EventBody,
        number: Option<u64>,
        time: Option<u64>,
    ) -> Vec<String> {
        let event = Event {
            instrument: InstrumentId::new(0),
            ts_event: time.map(tapecast_model::EventTime::from_millis),
            ts_recv: UnixNanos::new(self.0.now.get()),
            venue_seq: number,
            body,
        };
        self.publish(|pipeline, now, said| {
            pipeline.handle_event(event, now, &mut |u: &Update<'_>| note(said, u));
        })
    }

    /// Lets the clock run, with looks at it as often as a pipeline's thread takes them.
    pub(super) fn wait(&mut self, millis: u64) -> Vec<String> {
        let until = self.0.now.after(Duration::from_millis(millis));
        let mut all = Vec::new();
        while self.0.now < until {
            self.0.now = self.0.now.after(Duration::from_millis(500)).min(until);
            all.extend(self.publish(|pipeline, now, said| {
                pipeline.handle_time(now, &mut |u: &Update<'_>| note(said, u));
            }));
        }
        all
    }

    /// What somebody who joins now is told.
    pub(super) fn joiner(&mut self) -> String {
        let stream = StreamKey {
            instrument: InstrumentId::new(0),
            kind: StreamKind::Status,
        };
        match self.0.pipeline.current(stream).update.unwrap().body {
            Body::Status(status) => spelled(status),
            other => panic!("{other:?}"),
        }
    }
}

fn note(said: &mut Vec<Status>, update: &Update<'_>) {
    if let Body::Status(status) = update.body {
        said.push(status.clone());
    }
}

fn spelled(status: &Status) -> String {
    let channels = status.channels.iter().map(|(kind, state)| {
        let since = state.since.get() / 1_000_000;
        format!(", {} {} since {since}", kind.label(), state.feed.label())
    });
    let channels: String = channels.collect();
    let reason = match &*status.reason {
        "" => String::new(),
        reason => format!(" ({reason})"),
    };
    format!("{}{reason}{channels}", status.feed.label())
}

fn asked(kinds: ChannelSet) -> EventBody {
    EventBody::Feed(FeedEvent::Subscribed(kinds))
}

fn down() -> EventBody {
    EventBody::Feed(FeedEvent::Down("connection closed".into()))
}

fn bid(link: Link, price: i64) -> EventBody {
    change(link, &[(price, 1)], &[])
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_book_that_stops_is_told_while_trades_go_on() {
    let mut bench = Statuses::by(SilenceLimit::ByPace);
    let pending = "pending (no data yet), trade pending since 0, book pending since 0";
    assert_eq!(bench.give(asked(BOOK_AND_TRADES)), [pending]);
    assert_eq!(bench.joiner(), pending);
    bench.wait(1_000);
    let live = ["live, trade pending since 0, book live since 1000"];
    assert_eq!(bench.give(snapshot(Link::None, &[(10, 1)], &[])), live);
    let live = ["live, trade live since 1000, book live since 1000"];
    assert_eq!(bench.give(trades(&[1])), live);
    for n in 0..29 {
        assert_eq!(bench.wait(1_000), NOTHING);
        assert_eq!(bench.give(trades(&[2 + n])), NOTHING);
    }
    let stale = "stale (no book data for 30.0 s), trade live since 1000, book stale since 31000";
    assert_eq!(bench.wait(1_000), [stale]);
    assert_eq!(bench.joiner(), stale);
    assert_eq!(bench.give(trades(&[100])), NOTHING);
    assert_eq!(bench.wait(600_000), NOTHING);
    let live = ["live, trade live since 1000, book live since 631000"];
    assert_eq!(bench.give(bid(Link::None, 9)), live);
}

#[test]
fn trades_that_stop_are_no_news() {
    for limit in [
        SilenceLimit::ByPace,
        SilenceLimit::Fixed(Duration::from_secs(60)),
    ] {
        let mut bench = Statuses::by(limit);
        bench.give(trades(&[1]));
        bench.give(snapshot(Link::None, &[(10, 1)], &[]));
        for n in 0..100 {
            assert_eq!(bench.wait(20_000), NOTHING);
            assert_eq!(bench.give(bid(Link::None, n)), NOTHING);
        }
        assert_eq!(
            bench.joiner(),
            "live, trade live since 0, book live since 0"
        );
    }
    let mut alone = Statuses::by(SilenceLimit::Fixed(Duration::from_secs(5)));
    alone.give(trades(&[1]));
    assert_eq!(alone.wait(86_400_000), NOTHING);
}

#[test]
fn a_quote_dies_alone() {
    let mut bench = Statuses::by(SilenceLimit::Fixed(Duration::from_secs(5)));
    bench.give(quote(10, 11));
    bench.give(snapshot(Link::None, &[(10, 1)], &[]));
    bench.wait(4_000);
    bench.give(bid(Link::None, 9));
    assert_eq!(
        bench.wait(2_000),
        ["stale (no quote data for 5.0 s), quote stale since 5000, book live since 0"]
    );
}

#[test]
fn a_gap_of_the_book_is_a_gap_of_the_quote_that_is_taken_from_it() {
    let mut bench = Statuses::by(SilenceLimit::ByPace);
    let both = BOOK_AND_TRADES.with(ChannelKind::Quote);
    bench.give(asked(both));
    let start = with_quote(snapshot(at(15), &[(10, 1)], &[(11, 1)]));
    let live = "live, trade pending since 0, quote live since 0, book live since 0";
    assert_eq!(bench.give(start), [live]);
    bench.wait(1_000);
    assert_eq!(
        bench.give(with_quote(change(at(17), &[(10, 2)], &[]))),
        [
            "gap (one u 17 after 15), trade pending since 0, quote gap since 1000, book gap since 1000"
        ]
    );
    assert_eq!(bench.0.current(StreamKind::Quote).2, None);
    bench.wait(1_000);
    let start = with_quote(snapshot(at(17), &[(10, 1)], &[(11, 1)]));
    let live = "live, trade pending since 0, quote live since 2000, book live since 2000";
    assert_eq!(bench.give(start), [live]);
}

#[test]
fn a_reconnect_brings_back_one_channel_at_a_time() {
    let mut bench = Statuses::by(SilenceLimit::ByPace);
    bench.give(asked(BOOK_AND_TRADES));
    bench.give(trades(&[1]));
    bench.give(snapshot(at(5), &[(10, 1)], &[]));
    bench.wait(1_000);
    let cut = "down (connection closed), trade down since 1000, book down since 1000";
    assert_eq!(bench.give(down()), [cut]);
    bench.wait(60_000);
    let asked_again = "pending (no data yet), trade pending since 61000, book pending since 61000";
    assert_eq!(bench.give(asked(BOOK_AND_TRADES)), [asked_again]);
    let trade = "pending (no book data yet), trade live since 61000, book pending since 61000";
    assert_eq!(bench.give(trades(&[2])), [trade]);
    assert_eq!(bench.wait(9_000), NOTHING);
    assert_eq!(
        bench.give(change(at(9), &[(10, 2)], &[])),
        NOTHING,
        "no book to change"
    );
    let live = "live, trade live since 61000, book live since 70000";
    assert_eq!(bench.give(snapshot(at(9), &[(10, 2)], &[])), [live]);
}

#[test]
fn what_is_old_or_history_is_no_life() {
    let mut bench = Statuses::by(SilenceLimit::ByPace);
    bench.give(asked(BOOK_AND_TRADES));
    bench.give(snapshot(at(50), &[(10, 1)], &[]));
    bench.wait(29_000);
    assert_eq!(bench.give(change(at(49), &[(9, 1)], &[])), NOTHING);
    assert_eq!(bench.give(change(at(50), &[(9, 1)], &[])), NOTHING);
    assert_eq!(bench.give(snapshot(at(40), &[(9, 1)], &[])).len(), 0);
    assert_eq!(bench.give(history([1, 2])), NOTHING);
    assert_eq!(
        bench.wait(1_000),
        ["stale (no book data for 30.0 s), trade pending since 0, book stale since 30000"]
    );
}

#[test]
fn a_halted_market_may_be_silent_and_an_open_one_may_not() {
    let mut bench = Statuses::by(SilenceLimit::ByPace);
    bench.give(snapshot(Link::None, &[(10, 1)], &[]));
    bench.give(EventBody::Trading(TradingState::Auction));
    assert_eq!(bench.wait(3_600_000), NOTHING);
    bench.give(EventBody::Trading(TradingState::Open));
    assert_eq!(bench.wait(29_500), NOTHING);
    assert_eq!(
        bench.wait(500),
        ["stale (no data for 30.0 s), book stale since 3630000"]
    );
}

#[test]
fn a_limit_follows_the_pace_of_its_channel() {
    let mut bench = Statuses::by(SilenceLimit::ByPace);
    bench.give(snapshot(Link::None, &[(10, 1)], &[]));
    for n in 0..20 {
        bench.wait(4_000);
        bench.give(bid(Link::None, n));
    }
    assert_eq!(bench.wait(79_500), NOTHING);
    assert_eq!(
        bench.wait(500),
        ["stale (no data for 80.0 s), book stale since 160000"]
    );
}

#[test]
fn what_is_due_and_never_came_is_counted_until_it_is_live() {
    let mut bench = Statuses::by(SilenceLimit::Fixed(Duration::from_secs(5)));
    let never = |bench: &Statuses| {
        bench
            .0
            .metric("tapecast_instruments_never_live{venue=\"one\"}")
    };
    // Nobody knows which channels it will have.
    assert_eq!(bench.give(asked(ChannelSet::EMPTY)), NOTHING);
    assert_eq!(bench.joiner(), "pending (no data yet)");
    assert_eq!(bench.wait(4_900), NOTHING);
    assert_eq!(never(&bench), 0, "it is not late yet");
    assert_eq!(bench.wait(100), ["stale (no data for 5.0 s)"]);
    assert_eq!(never(&bench), 1);
    let trading = EventBody::Trading(tapecast_model::TradingState::Halted);
    assert_eq!(bench.give(trading), ["stale (no data for 5.0 s)"]);
    assert_eq!(never(&bench), 1, "a word on trading is no data");
    bench.give(snapshot(Link::None, &[(10, 1)], &[]));
    assert_eq!(never(&bench), 0);
    // What was live once is not counted again.
    bench.give(EventBody::Trading(tapecast_model::TradingState::Open));
    assert_eq!(bench.wait(5_000).len(), 1);
    assert!(bench.joiner().starts_with("stale"));
    assert_eq!(never(&bench), 0);
}

#[test]
fn what_only_subscribers_ask_about_is_in_nobodys_count() {
    let mut bench = Statuses::by(SilenceLimit::ByPace);
    let count = |bench: &Statuses, feed: &str| {
        bench.0.metric(&format!(
            "tapecast_instruments{{feed=\"{feed}\",venue=\"one\"}}"
        ))
    };
    assert_eq!(bench.joiner(), "pending (no data yet)");
    for feed in ["pending", "live", "stale", "gap", "down"] {
        assert_eq!(count(&bench, feed), 0, "{feed}");
    }
    bench.give(asked(BOOK_AND_TRADES));
    assert_eq!((count(&bench, "pending"), count(&bench, "live")), (1, 0));
    bench.give(snapshot(Link::None, &[(10, 1)], &[]));
    assert_eq!((count(&bench, "pending"), count(&bench, "live")), (0, 1));
}
