//! Goal: a session of a venue whose books begin in the stream does the right thing in each single case.
//!
//! Method: the venue is played by hand: its messages are written here, and what the session sends and publishes is
//! read. What a simulated venue does on its own is in `tests/live`.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod hand;

use hand::{BOOK, FAR, FINER, Hand, OTHER, list};
use tapecast_ingest::metrics::UpstreamEvent;
use tapecast_ingest::session::SessionCommand;
use tapecast_model::ChannelKind;

const THIN: &str = r#""bids":[{"price":10.0,"qty":3.00}],"asks":[]"#;

#[test]
fn the_list_comes_first_and_then_one_request_for_each_channel() {
    let mut hand = Hand::new(&[ChannelKind::Book, ChannelKind::Trade, ChannelKind::Quote]);
    hand.open();
    assert_eq!(hand.take_sent(), ["1 subscribe instrument"]);
    hand.hear(&list(
        "snapshot",
        &[("A/USD", 1), ("B/USD", 1), ("C/EUR", 1)],
        "online",
    ));
    assert_eq!(
        hand.take_sent(),
        [
            "1 subscribe book A/USD B/USD",
            "1 subscribe trade A/USD B/USD"
        ]
    );
}

#[test]
fn a_wrong_sum_is_healed_by_one_request_whatever_comes_meanwhile() {
    let mut hand = Hand::live();
    hand.book_on(hand.line(), "A/USD", "update", (OTHER, Some(7)), 2);
    assert_eq!(
        hand.take_sent(),
        ["1 unsubscribe book A/USD", "1 subscribe book A/USD"]
    );
    let said = hand.take_said();
    assert_eq!(said[0], "A/USD lost book 1");
    // What the old stream still says is no book.
    for second in 3..30 {
        hand.book_on(hand.line(), "A/USD", "update", (OTHER, Some(7)), second);
    }
    hand.wait(5);
    assert_eq!(hand.take_sent(), Vec::<String>::new());
    hand.accept("book", &["A/USD"]);
    hand.book("A/USD", "snapshot", OTHER, 31);
    let said = hand.take_said();
    assert!(
        said.contains(&"A/USD book 100x300 110x200".to_owned()),
        "{said:?}"
    );
    assert!(
        said.iter().all(|line| line.starts_with("A/USD")),
        "{said:?}"
    );
    assert_eq!(hand.count(UpstreamEvent::AskedAnew), 1);
}

#[test]
fn a_book_that_is_wrong_again_and_again_is_asked_for_more_and_more_rarely() {
    for always in [false, true] {
        let (mut hand, mut books, mut lists) = (Hand::live(), 0, 0);
        for second in 0..300 {
            let sent = hand.take_sent();
            let count = |text: &str| sent.iter().filter(|sent| *sent == text).count();
            books += count("1 subscribe book A/USD");
            lists += count("1 subscribe instrument");
            if always || second == 0 || count("1 subscribe book A/USD") > 0 {
                hand.accept("book", &["A/USD"]);
                hand.book_on(1, "A/USD", "snapshot", (OTHER, Some(7)), second % 60);
            }
            hand.book("B/USD", "update", FAR, 2);
            hand.wait(1);
        }
        assert!((8..16).contains(&books), "{books}");
        assert!(lists >= 2, "perhaps the digits have changed");
    }
}

#[test]
fn no_snapshot_in_time_is_asked_for_again() {
    let mut hand = Hand::subscribed(&[ChannelKind::Book]);
    hand.take_sent();
    hand.accept("book", &["A/USD", "B/USD"]);
    hand.book("A/USD", "snapshot", BOOK, 1);
    // Changes without a snapshot are no book.
    hand.book("B/USD", "update", BOOK, 2);
    hand.wait(12);
    assert_eq!(
        hand.take_sent(),
        ["1 unsubscribe book B/USD", "1 subscribe book B/USD"]
    );
}

#[test]
fn a_silent_book_that_comes_back_as_it_was_is_quiet_and_its_limit_doubles() {
    let mut hand = Hand::live();
    let wait = |hand: &mut Hand, seconds| {
        for _ in 0..seconds {
            hand.wait(1);
            hand.book("B/USD", "update", FAR, 2);
        }
    };
    wait(&mut hand, 32);
    assert_eq!(
        hand.take_sent(),
        ["1 unsubscribe book A/USD", "1 subscribe book A/USD"]
    );
    assert_eq!(hand.count(UpstreamEvent::Probe), 1);
    hand.said.clear();
    hand.accept("book", &["A/USD"]);
    hand.book("A/USD", "snapshot", BOOK, 1);
    assert_eq!(hand.take_said(), ["A/USD live Open"]);
    wait(&mut hand, 58);
    assert_eq!(hand.count(UpstreamEvent::Probe), 1, "it is left in peace");
    wait(&mut hand, 4);
    assert_eq!(hand.count(UpstreamEvent::Probe), 2);
}

#[test]
fn a_silent_book_that_has_changed_was_dead_and_that_is_said() {
    let mut hand = Hand::live();
    hand.wait(35);
    hand.said.clear();
    hand.accept("book", &["A/USD"]);
    hand.book("A/USD", "snapshot", OTHER, 40);
    assert_eq!(
        hand.take_said(),
        [
            "A/USD lost book 1",
            "A/USD book 100x300 110x200",
            "A/USD live Open"
        ]
    );
}

#[test]
fn a_silent_book_without_an_answer_is_dead_and_asked_for_again() {
    let mut hand = Hand::live();
    hand.wait(35);
    hand.accept("book", &["A/USD", "B/USD"]);
    hand.book("B/USD", "snapshot", BOOK, 40);
    hand.take_sent();
    hand.said.clear();
    hand.wait(15);
    let sent = hand.take_sent();
    let anew = ["1 unsubscribe book A/USD", "1 subscribe book A/USD"];
    assert!(
        anew.iter().all(|one| sent.contains(&(*one).to_owned())),
        "{sent:?}"
    );
    assert!(hand.take_said().contains(&"A/USD lost book 1".to_owned()));
}

#[test]
fn a_snapshot_in_mid_stream_replaces() {
    let mut hand = Hand::live();
    hand.book("A/USD", "snapshot", OTHER, 5);
    assert_eq!(hand.take_said(), ["A/USD book 100x300 110x200"]);
    // A thin one without a sum, and then a deeper one.
    hand.book("A/USD", "snapshot", THIN, 6);
    assert_eq!(hand.take_said(), Vec::<String>::new());
    hand.book("A/USD", "snapshot", BOOK, 6);
    assert_eq!(hand.take_said(), ["A/USD book 100x100 110x200"]);
    // If nothing deeper follows, it is all that there is.
    hand.book("A/USD", "snapshot", THIN, 7);
    hand.book("A/USD", "snapshot", THIN, 8);
    assert_eq!(hand.take_sent(), Vec::<String>::new());
    assert_eq!(hand.take_said(), ["A/USD book 100x300 -"]);
}

#[test]
fn a_change_of_precision_takes_effect_at_once_as_another_instrument() {
    let mut hand = Hand::live();
    hand.hear(&list("update", &[("A/USD", 3)], "online"));
    assert_eq!(
        hand.take_sent(),
        ["1 unsubscribe book A/USD", "1 subscribe book A/USD"]
    );
    hand.accept("book", &["A/USD"]);
    hand.book("A/USD", "snapshot", FINER, 5);
    let said = hand.take_said();
    assert!(
        said.contains(&"A/USD book 10125x100 -".to_owned()),
        "{said:?}"
    );
    assert!(
        said.iter().all(|line| line.starts_with("A/USD")),
        "{said:?}"
    );
}

#[test]
fn more_digits_than_the_list_says_lead_to_the_list() {
    let mut hand = Hand::live();
    for _ in 0..20 {
        hand.wait(2);
        hand.book("A/USD", "update", FAR, 2);
        hand.book("B/USD", "update", FAR, 2);
    }
    hand.take_sent();
    hand.book("A/USD", "snapshot", FINER, 5);
    hand.wait(1);
    let sent = hand.take_sent();
    assert!(
        sent.contains(&"1 subscribe instrument".to_owned()),
        "{sent:?}"
    );
}

#[test]
fn trading_is_the_instruments_unless_the_venue_as_a_whole_is_not_open() {
    let mut hand = Hand::live();
    hand.hear(&list("update", &[("A/USD", 1)], "post_only"));
    assert_eq!(hand.take_said(), ["A/USD live PostOnly"]);
    let system = |word: &str| {
        format!(r#"{{"channel":"status","type":"update","data":[{{"system":"{word}"}}]}}"#)
    };
    hand.hear(&system("maintenance"));
    assert_eq!(hand.take_said(), ["A/USD live Halted", "B/USD live Halted"]);
    hand.book("A/USD", "update", OTHER, 5);
    assert_eq!(hand.take_said(), ["A/USD book 100x300 110x200"]);
    hand.hear(&system("online"));
    assert_eq!(hand.take_said(), ["A/USD live PostOnly", "B/USD live Open"]);
}

#[test]
fn listings_appear_and_delistings_are_said_without_a_poll() {
    let mut hand = Hand::live();
    hand.hear(&list("update", &[("NEW/USD", 2)], "online"));
    assert_eq!(hand.take_sent(), ["1 subscribe book NEW/USD"]);
    hand.said.clear();
    hand.hear(&list("update", &[("A/USD", 1)], "delisted"));
    assert_eq!(hand.take_said(), ["A/USD live Delisted"]);
}

#[test]
fn each_stream_has_an_answer_of_its_own() {
    let mut hand = Hand::subscribed(&[ChannelKind::Book]);
    hand.take_sent();
    hand.accept("book", &["A/USD"]);
    // The other one is refused, without its name.
    hand.hear(r#"{"error":"Something","method":"subscribe","success":false}"#);
    assert_eq!(hand.count(UpstreamEvent::Refusal), 1);
    hand.book("A/USD", "snapshot", BOOK, 1);
    let again = "1 subscribe book B/USD".to_owned();
    for _ in 0..35 {
        if !hand.sent.contains(&again) {
            hand.wait(1);
            hand.book("A/USD", "update", FAR, 2);
        }
    }
    assert_eq!(hand.take_sent(), [again]);
    hand.hear(
        r#"{"error":"Already subscribed","method":"subscribe","success":false,"symbol":"B/USD"}"#,
    );
    hand.book("B/USD", "snapshot", BOOK, 1);
    assert!(
        hand.take_said()
            .contains(&"B/USD book 100x100 110x200".to_owned())
    );
}

#[test]
fn streams_that_were_asked_for_too_fast_are_asked_for_again_later() {
    let mut hand = Hand::subscribed(&[ChannelKind::Book, ChannelKind::Trade]);
    hand.accept("book", &["A/USD"]);
    hand.take_sent();
    for _ in 0..3 {
        hand.hear(r#"{"Error":"Exceeded msg rate"}"#);
    }
    assert_eq!(hand.count(UpstreamEvent::RateExceeded), 3);
    hand.accept("trade", &["A/USD"]);
    assert_eq!(hand.take_sent(), Vec::<String>::new());
    hand.wait(4);
    let mut sent = hand.take_sent();
    sent.sort();
    assert_eq!(sent, ["1 subscribe book B/USD", "1 subscribe trade B/USD"]);
    assert_eq!(hand.count(UpstreamEvent::Refusal), 0);
}

#[test]
fn heartbeats_alone_do_not_keep_a_connection_that_answers_nothing() {
    let mut hand = Hand::subscribed(&[ChannelKind::Book]);
    hand.wait(45);
    assert!(hand.take_sent().contains(&"close 1".to_owned()));
}

#[test]
fn something_is_sent_every_fifty_seconds() {
    let mut hand = Hand::live();
    for _ in 0..120 {
        hand.wait(1);
        hand.book("A/USD", "update", FAR, 2);
        hand.book("B/USD", "update", FAR, 2);
    }
    assert_eq!(hand.take_sent(), ["ping", "ping"]);
}

/// Two lines, of which the second takes over.
fn rotating() -> Hand {
    let mut hand = Hand::live();
    let (mono, wall) = hand.clocks();
    hand.session
        .handle_command(SessionCommand::Rotate, mono, wall);
    hand.wait(0);
    hand.open();
    hand.hear(&list("snapshot", &[("A/USD", 1), ("B/USD", 1)], "online"));
    hand.accept("book", &["A/USD", "B/USD"]);
    hand.take_sent();
    hand.said.clear();
    hand
}

#[test]
fn a_line_takes_over_with_its_own_books_as_snapshots() {
    let mut hand = rotating();
    hand.book_on(1, "A/USD", "update", (OTHER, None), 5);
    // The new line is behind, then not.
    hand.book("A/USD", "snapshot", BOOK, 4);
    hand.book("B/USD", "snapshot", BOOK, 4);
    hand.wait(1);
    assert_eq!(hand.take_said(), ["A/USD book 100x300 110x200"]);
    hand.book("A/USD", "update", OTHER, 5);
    hand.wait(1);
    assert_eq!(hand.take_sent(), ["close 1"]);
    let said = hand.take_said();
    assert_eq!(
        said,
        ["A/USD book 100x300 110x200", "B/USD book 100x100 110x200"]
    );
    hand.book("A/USD", "update", BOOK, 6);
    assert_eq!(hand.take_said(), ["A/USD book 100x100 110x200"]);
}

#[test]
fn a_quiet_book_takes_over_too() {
    let mut hand = rotating();
    hand.book_on(1, "A/USD", "update", (BOOK, None), 9);
    for symbol in ["A/USD", "B/USD"] {
        hand.book(symbol, "snapshot", BOOK, 4);
    }
    hand.wait(7);
    assert_eq!(hand.take_sent(), ["close 1"]);
    assert!(!hand.take_said().iter().any(|line| line.contains("lost")));
}

#[test]
fn the_book_of_a_line_that_takes_over_is_verified_there() {
    let mut hand = rotating();
    let line = hand.line();
    hand.book("B/USD", "snapshot", BOOK, 4);
    hand.book_on(line, "A/USD", "snapshot", (OTHER, Some(7)), 4);
    assert_eq!(
        hand.take_sent(),
        [
            format!("{line} unsubscribe book A/USD"),
            format!("{line} subscribe book A/USD")
        ]
    );
    hand.accept("book", &["A/USD"]);
    hand.book("A/USD", "snapshot", BOOK, 5);
    hand.wait(1);
    assert_eq!(hand.take_sent(), ["close 1"]);
    assert!(!hand.take_said().iter().any(|said| said.contains("lost")));
}

#[test]
fn each_book_comes_whole_again_now_and_then_and_stands_meanwhile() {
    let mut hand = Hand::live();
    let mut books = 0;
    for _ in 0..1_800 {
        hand.wait(1);
        for symbol in ["A/USD", "B/USD"] {
            hand.book(symbol, "update", FAR, 2);
            if hand
                .sent
                .iter()
                .any(|sent| sent.ends_with(&format!(" subscribe book {symbol}")))
            {
                books += 1;
                hand.accept("book", &[symbol]);
                hand.book(symbol, "snapshot", OTHER, 2);
            }
        }
        hand.sent.clear();
    }
    assert!((3..=8).contains(&books), "{books}");
    assert!(
        !hand
            .take_said()
            .iter()
            .any(|said| said.contains("lost") || said.contains("gap"))
    );
    assert_eq!(hand.count(UpstreamEvent::AskedAnew), 0);
}

#[test]
fn changes_in_the_wrong_order_are_a_break_and_a_habit_is_none() {
    let mut hand = Hand::live();
    hand.book("A/USD", "update", FAR, 5);
    hand.said.clear();
    hand.book("A/USD", "update", OTHER, 4);
    assert_eq!(hand.take_said()[0], "A/USD lost book 1");
    for _ in 0..20 {
        hand.accept("book", &["A/USD"]);
        hand.book("A/USD", "snapshot", BOOK, 3);
        hand.book("A/USD", "update", FAR, 5);
        hand.book("A/USD", "update", OTHER, 4);
        hand.wait(2);
    }
    assert!((1..=5).contains(&hand.count(UpstreamEvent::AskedAnew)));
    assert_eq!(
        hand.take_said().last().unwrap(),
        "A/USD book 100x300 110x200"
    );
}
