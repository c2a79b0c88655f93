//! The health of channels, step by step; against a naive model in [`model`].

mod model;

use super::*;
use tapecast_model::UnixNanos;

const LIMIT: SilenceLimit = SilenceLimit::Fixed(Duration::from_secs(5));

/// What can happen to an instrument.
#[derive(Clone, Copy, Debug)]
enum Step {
    Asked(&'static [ChannelKind]),
    Data(ChannelKind),
    /// A change to a book that nobody has.
    Heard,
    Gap(ChannelKind),
    Healed,
    /// Trades that are known already.
    Repeated,
    Down,
    Restarted,
    Shared,
    Trading(TradingState),
    Time,
}

use ChannelKind::{Book, Quote, Ticker, Trade};
use Step::*;

const fn at(seconds: u64) -> Moment {
    Moment {
        now: Mono::new(seconds * 1_000_000_000),
        wall: UnixNanos::new(seconds * 1_000_000_000),
    }
}

impl Health {
    fn take(&mut self, step: Step, at: Moment) {
        match step {
            Asked(kinds) => {
                let kinds = kinds.iter().fold(ChannelSet::EMPTY, |set, k| set.with(*k));
                self.note_asked(kinds, at);
            }
            Data(kind) => self.note_data(kind, at),
            Heard => self.note_heard(at),
            Gap(kind) => self.note_gap(kind, "lost".into(), at),
            Healed => self.note_healed(Book, at),
            Repeated => self.note_repeated(Trade, at),
            Down => self.note_down("cut".into(), at),
            Restarted => self.note_restarted(at),
            Shared => self.note_shared(),
            Trading(state) => self.note_trading(state, at),
            Time => {
                self.note_time(at);
            }
        }
    }
}

/// A status in one line: the whole, why, and each channel with the second since when.
fn line(status: &Status) -> String {
    let channels = status.channels.iter().map(|(kind, state)| {
        let since = state.since.get() / 1_000_000_000;
        format!("{} {} {since}", kind.label(), state.feed.label())
    });
    let channels: Vec<_> = channels.collect();
    format!(
        "{} ({}) {}",
        status.feed.label(),
        status.reason,
        channels.join(", ")
    )
}

/// Steps, each at its second, and what is said then; nothing where the line is empty.
type Table<'a> = &'a [(u64, Step, &'a str)];

fn check_by(limit: SilenceLimit, table: Table<'_>) {
    let mut health = Health::new(limit);
    for (row, &(second, step, expected)) in table.iter().enumerate() {
        health.take(step, at(second));
        let said = health.take_news().map(|(_, status)| line(status));
        assert_eq!(said.unwrap_or_default(), expected, "row {row}: {step:?}");
    }
}

fn check(table: Table<'_>) {
    check_by(LIMIT, table);
}

#[test]
fn a_channel_is_pending_until_its_first_event() {
    check(&[
        (
            1,
            Asked(&[Book, Trade]),
            "pending (no data yet) trade pending 1, book pending 1",
        ),
        (2, Asked(&[Book, Trade]), ""),
        (
            3,
            Data(Trade),
            "pending (no book data yet) trade live 3, book pending 1",
        ),
        (4, Heard, ""),
        (5, Data(Book), "live () trade live 3, book live 5"),
        (6, Data(Book), ""),
    ]);
}

#[test]
fn what_is_due_and_does_not_come_is_stale_and_trades_may_take_for_ever() {
    let by_pace = SilenceLimit::ByPace;
    check_by(
        by_pace,
        &[
            (
                1,
                Asked(&[Book, Trade]),
                "pending (no data yet) trade pending 1, book pending 1",
            ),
            (10, Heard, ""),
            (10, Time, ""),
            (
                11,
                Time,
                "stale (no book data for 10.0 s) trade pending 1, book stale 11",
            ),
            (12, Heard, ""),
            (13, Data(Book), "live () trade pending 1, book live 13"),
        ],
    );
    check_by(
        by_pace,
        &[
            (
                1,
                Asked(&[Trade, Ticker]),
                "pending (no data yet) trade pending 1, ticker pending 1",
            ),
            (100_000, Time, ""),
            (
                100_001,
                Data(Trade),
                "live () trade live 100001, ticker pending 1",
            ),
        ],
    );
}

#[test]
fn a_dead_book_is_told_while_trades_go_on_and_trades_may_be_rare() {
    check(&[
        (1, Data(Trade), "live () trade live 1"),
        (1, Data(Book), "live () trade live 1, book live 1"),
        (4, Data(Trade), ""),
        (
            6,
            Time,
            "stale (no book data for 5.0 s) trade live 1, book stale 6",
        ),
        (7, Data(Trade), ""),
        (7, Data(Book), "live () trade live 1, book live 7"),
        (11, Data(Book), ""),
        (15, Time, ""),
        (
            16,
            Time,
            "stale (no book data for 5.0 s) trade live 1, book stale 16",
        ),
    ]);
}

#[test]
fn a_dead_quote_is_told_while_the_book_goes_on() {
    check(&[
        (1, Data(Quote), "live () quote live 1"),
        (1, Data(Book), "live () quote live 1, book live 1"),
        (5, Data(Book), ""),
        (
            6,
            Time,
            "stale (no quote data for 5.0 s) quote stale 6, book live 1",
        ),
        (8, Data(Quote), "live () quote live 8, book live 1"),
    ]);
}

#[test]
fn a_dead_ticker_is_told_and_is_not_the_whole() {
    check(&[
        (1, Data(Ticker), "live () ticker live 1"),
        (2, Data(Quote), "live () quote live 2, ticker live 1"),
        (5, Data(Quote), ""),
        (6, Time, "live () quote live 2, ticker stale 6"),
        (7, Data(Ticker), "live () quote live 2, ticker live 7"),
    ]);
}

#[test]
fn a_channel_alone_does_not_say_which() {
    check(&[
        (1, Data(Quote), "live () quote live 1"),
        (9, Time, "stale (no data for 5.0 s) quote stale 6"),
    ]);
}

#[test]
fn a_connection_takes_every_channel_and_data_bring_back_their_own() {
    check(&[
        (1, Data(Trade), "live () trade live 1"),
        (1, Data(Book), "live () trade live 1, book live 1"),
        (2, Down, "down (cut) trade down 2, book down 2"),
        (3, Down, ""),
        (4, Data(Trade), "down (cut) trade live 4, book down 2"),
        (90, Time, ""),
        (91, Data(Book), "live () trade live 4, book live 91"),
    ]);
}

#[test]
fn a_channel_asked_for_again_is_pending_again() {
    check(&[
        (1, Data(Book), "live () book live 1"),
        (2, Gap(Book), "gap (lost) book gap 2"),
        (3, Down, "down (cut) book down 3"),
        (4, Asked(&[Book]), "pending (no data yet) book pending 4"),
        (5, Heard, ""),
        (6, Data(Book), "live () book live 6"),
        (7, Down, "down (cut) book down 7"),
        (8, Asked(&[Book]), "pending (no data yet) book pending 8"),
        (13, Time, "stale (no data for 5.0 s) book stale 13"),
    ]);
}

#[test]
fn a_line_without_book_and_quote_is_what_its_connection_is() {
    check(&[
        (1, Asked(&[Trade]), "pending (no data yet) trade pending 1"),
        (2, Data(Trade), "live () trade live 2"),
        (3, Down, "down (cut) trade down 3"),
        (4, Asked(&[Trade]), "pending (no data yet) trade pending 4"),
        (5, Data(Trade), "live () trade live 5"),
    ]);
    check(&[
        (1, Down, "down (cut) "),
        (2, Data(Quote), "live () quote live 2"),
    ]);
}

#[test]
fn a_gap_waits_for_its_snapshot_and_may_fall_silent() {
    check(&[
        (1, Data(Book), "live () book live 1"),
        (2, Gap(Book), "gap (lost) book gap 2"),
        (3, Heard, ""),
        (8, Time, "stale (no data for 5.0 s) book stale 8"),
        (9, Heard, "gap (lost) book gap 2"),
        (10, Gap(Book), ""),
        (11, Data(Book), ""),
        (11, Healed, "live () book live 11"),
    ]);
}

#[test]
fn what_comes_next_makes_up_for_a_lost_quote() {
    check(&[
        (1, Data(Quote), "live () quote live 1"),
        (2, Gap(Trade), ""),
        (3, Gap(Quote), "gap (lost) quote gap 3"),
        (4, Data(Quote), "live () quote live 4"),
    ]);
}

#[test]
fn a_quote_of_the_book_is_what_the_book_is() {
    check(&[
        (
            1,
            Asked(&[Book, Quote]),
            "pending (no data yet) quote pending 1, book pending 1",
        ),
        (2, Shared, ""),
        (3, Data(Book), "live () quote live 3, book live 3"),
        (4, Gap(Book), "gap (lost) quote gap 4, book gap 4"),
        (5, Healed, "live () quote live 5, book live 5"),
        (
            8,
            Time,
            "stale (no data for 5.0 s) quote stale 8, book stale 8",
        ),
        (
            9,
            Data(Quote),
            "stale (no data for 5.0 s) quote live 9, book stale 8",
        ),
    ]);
}

#[test]
fn no_limit_runs_while_trading_is_not_open() {
    for state in TradingState::ALL {
        let mut health = Health::new(LIMIT);
        health.note_data(Quote, at(1));
        health.note_trading(state, at(2));
        let expects = matches!(state, TradingState::Open | TradingState::Unknown);
        health.note_time(at(100));
        health.take_news();
        let feed = if expects {
            FeedState::Stale
        } else {
            FeedState::Live
        };
        assert_eq!(health.said().feed, feed, "{state:?}");
    }
    let mut health = Health::new(LIMIT);
    health.note_data(Quote, at(1));
    health.note_trading(TradingState::Halted, at(2));
    assert_eq!(health.note_time(at(50)), None);
    health.note_trading(TradingState::Open, at(60));
    assert_eq!(health.take_look(), Some(at(65).now), "from the opening");
    assert_eq!(health.note_time(at(64)), Some(at(65).now));
    health.note_time(at(65));
    health.take_news();
    assert_eq!(
        line(health.said()),
        "stale (no data for 5.0 s) quote stale 65"
    );
}

#[test]
fn a_new_round_is_said_and_pending() {
    check(&[
        (1, Data(Trade), "live () trade live 1"),
        (2, Data(Book), "live () trade live 1, book live 2"),
        (3, Gap(Book), "gap (lost) trade live 1, book gap 3"),
        (
            4,
            Restarted,
            "pending (no data yet) trade pending 4, book pending 4",
        ),
        (
            9,
            Time,
            "stale (no book data for 5.0 s) trade pending 4, book stale 9",
        ),
        (9, Down, "down (cut) trade down 9, book down 9"),
        (10, Restarted, "down (cut) trade down 9, book down 9"),
    ]);
}

#[test]
fn a_limit_follows_the_pace_that_a_channel_has_shown() {
    let mut health = Health::new(SilenceLimit::ByPace);
    for n in 0..10 {
        health.note_data(Book, at(4 * n));
    }
    health.note_data(Trade, at(60));
    // At 36 s came the last; 20 times 4 s later it is silent.
    assert_eq!(health.note_time(at(66)), Some(at(116).now));
    assert_eq!(health.note_time(at(115)), Some(at(116).now));
    assert_eq!(health.note_time(at(117)), None);
    health.take_news();
    let said = "stale (no book data for 80.0 s) trade live 60, book stale 116";
    assert_eq!(line(health.said()), said);
}

#[test]
fn a_pause_is_no_interval() {
    let halted = |health: &mut Health| {
        health.note_trading(TradingState::Halted, at(1));
        health.note_trading(TradingState::Open, at(999));
    };
    let down = |health: &mut Health| health.note_down("cut".into(), at(1));
    let nothing = |_: &mut Health| {};
    let known = Some(at(1_600).now);
    for (pause, look_at) in [
        (nothing as fn(&mut Health), known),
        (halted, None),
        (down, None),
    ] {
        let mut health = Health::new(SilenceLimit::ByPace);
        health.note_data(Book, at(0));
        pause(&mut health);
        health.note_data(Book, at(1_000));
        assert_eq!(health.note_time(at(1_031)), look_at);
        health.take_news();
        let feed = if look_at.is_some() {
            FeedState::Live
        } else {
            FeedState::Stale
        };
        assert_eq!(health.said().feed, feed);
    }
}

#[test]
fn of_what_is_asked_for_without_its_channels_the_first_event_of_any_is_due() {
    check(&[
        (1, Asked(&[]), ""),
        (5, Time, ""),
        (6, Time, "stale (no data for 5.0 s) "),
        (7, Asked(&[]), ""),
        (8, Restarted, "pending (no data yet) "),
        (12, Time, ""),
        (13, Time, "stale (no data for 5.0 s) "),
        (14, Data(Trade), "live () trade live 14"),
        (99, Time, ""),
        (99, Down, "down (cut) trade down 99"),
        (99, Asked(&[]), "pending (no data yet) trade down 99"),
        (104, Time, "stale (no data for 5.0 s) trade down 99"),
        (105, Data(Ticker), "live () trade down 99, ticker live 105"),
    ]);
    // Not before trading opens.
    check(&[
        (1, Asked(&[]), ""),
        (2, Trading(TradingState::Closed), "pending (no data yet) "),
        (60, Time, ""),
        (60, Trading(TradingState::Open), "pending (no data yet) "),
        (64, Time, ""),
        (65, Time, "stale (no data for 5.0 s) "),
    ]);
}

#[test]
fn what_changes_and_changes_back_is_not_said() {
    let mut health = Health::new(LIMIT);
    health.note_data(Book, at(1));
    assert!(health.take_news().is_some());
    health.note_crossed("crossed".into());
    health.note_uncrossed();
    health.note_trading(TradingState::Unknown, at(1));
    assert!(health.take_news().is_none());
    health.note_crossed("crossed".into());
    let (before, said) = health.take_news().unwrap();
    assert_eq!(
        (before, said.feed, &*said.reason),
        (FeedState::Live, FeedState::Live, "crossed")
    );
}

#[test]
fn limits_are_spelled_in_seconds() {
    let limit = Duration::from_millis(1_250);
    assert_eq!(silence(None, limit), "no data for 1.2 s");
    assert_eq!(silence(Some(Ticker), limit), "no ticker data for 1.2 s");
}
