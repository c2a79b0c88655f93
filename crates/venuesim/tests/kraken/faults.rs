//! Faults: their marks, and that each does what it says.

use crate::book::{Book, Sum};
use crate::driver::Driver;
use serde_json::{Value, json};
use tapecast_venuesim::{AnswerEnd, Applied, Fault, KrakenSpot, Mark, Output, Simulated};

/// A connection with all of Ethereum, ten seconds old.
fn started() -> Driver {
    let mut driver = Driver::connected(21);
    for channel in ["book", "trade", "ticker"] {
        driver.subscribe(1, channel, &["ETH/USD"]);
    }
    driver.ask(1, "subscribe", &json!({"channel": "instrument"}));
    driver.run_secs(10);
    driver
}

/// Plants a fault, waits, and returns its entry in the log.
fn strike(driver: &mut Driver, fault: Fault) -> Applied {
    driver.plant(fault, Some("ETH/USD"));
    driver.run_secs(40);
    let applied = driver.venue.applied();
    let last = applied.into_iter().rfind(|applied| applied.fault == fault);
    assert!(last.is_some(), "{fault:?} was not applied");
    let last = last.unwrap();
    assert_eq!((last.mark, last.why), KrakenSpot::mark(fault));
    last
}

/// How the sums of the book came out, in order.
fn sums(texts: &[String]) -> Vec<Sum> {
    let mut book = Book::default();
    let books = texts
        .iter()
        .filter(|text| text.contains(r#""channel":"book""#));
    books
        .filter(|text| !text.contains("\"method\""))
        .map(|text| book.apply(text, 25))
        .collect()
}

fn wrong(texts: &[String]) -> usize {
    let sums = sums(texts);
    sums.iter().filter(|sum| **sum == Sum::Wrong).count()
}

#[test]
fn every_fault_has_a_mark() {
    let all = KrakenSpot::FAULTS;
    let marked: Vec<Fault> = all
        .iter()
        .copied()
        .filter(|fault| KrakenSpot::mark(*fault).0 == Mark::Invisible)
        .collect();
    assert_eq!(
        marked,
        [
            Fault::AckWithoutData,
            Fault::SilentStream,
            Fault::SilentConnection,
            Fault::SkippedDeep,
            Fault::RepeatedDepth,
            Fault::LostLevel,
        ]
    );
    let why = |fault: &&Fault| KrakenSpot::mark(**fault).1.contains("no such fault");
    assert_eq!(all.iter().find(why), None);
    let mut driver = started();
    driver.plant(Fault::PingStorm, None);
    assert_eq!(driver.venue.unapplied(), 1, "the venue has no such fault");
}

#[test]
fn what_is_missing_or_swapped_among_the_best_breaks_the_sum() {
    for fault in [Fault::SkippedDepth, Fault::SwappedDepth] {
        let mut driver = started();
        strike(&mut driver, fault);
        assert!(wrong(&driver.texts(1)) > 0, "{fault:?}");
    }
}

#[test]
fn what_is_missing_far_away_breaks_no_sum_at_once() {
    for fault in [Fault::SkippedDeep, Fault::LostLevel, Fault::RepeatedDepth] {
        let mut driver = started();
        let at = strike(&mut driver, fault).at;
        let texts: Vec<String> = driver
            .outputs
            .iter()
            .filter(|(time, _)| *time <= at + std::time::Duration::from_millis(500))
            .filter_map(|(_, output)| match output {
                Output::Text { text, .. } => Some(text.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(wrong(&texts), 0, "{fault:?}");
    }
}

#[test]
fn sums_are_wrong_or_absent_once_and_the_book_stays_right() {
    for (fault, expected) in [
        (Fault::WrongSum, Sum::Wrong),
        (Fault::AbsentSum, Sum::Absent),
    ] {
        let mut driver = started();
        strike(&mut driver, fault);
        let sums = sums(&driver.texts(1));
        let odd: Vec<_> = sums.iter().filter(|sum| **sum != Sum::Right).collect();
        assert_eq!(odd, [&expected], "{fault:?}");
    }
}

#[test]
fn odd_spellings_are_right_for_who_reads_them() {
    for fault in [
        Fault::ReorderedKeys,
        Fault::DoubledKey,
        Fault::HugeDepth,
        Fault::MidSnapshot,
        Fault::FinerTick,
        Fault::LateTick,
        Fault::Exponents,
        Fault::ClockBehind,
        Fault::LateConnection,
        Fault::OldTrades,
    ] {
        let mut driver = started();
        strike(&mut driver, fault);
        let texts = driver.texts(1);
        if fault == Fault::ReorderedKeys {
            let odd = texts
                .iter()
                .filter(|text| text.starts_with(r#"{"data":[{"timestamp""#));
            assert_eq!(odd.count(), 1);
            continue;
        }
        if matches!(fault, Fault::FinerTick | Fault::LateTick) {
            // A client has to write its old prices with the new digits; here the texts are compared.
            assert!(
                texts
                    .iter()
                    .any(|text| text.contains(r#""price_precision":3"#))
            );
            continue;
        }
        assert_eq!(wrong(&texts), 0, "{fault:?}");
        let snapshots = texts
            .iter()
            .filter(|text| text.contains(r#""book","type":"snapshot""#));
        assert_eq!(
            snapshots.count(),
            1 + usize::from(fault == Fault::MidSnapshot)
        );
        let huge = texts.iter().filter(|text| text.len() > 5_000_000);
        assert_eq!(huge.count(), usize::from(fault == Fault::HugeDepth));
    }
}

#[test]
fn finer_prices_have_sums_with_all_digits() {
    let mut driver = started();
    driver.plant(Fault::FinerTick, Some("ETH/USD"));
    driver.texts(1);
    driver.plant(Fault::MidSnapshot, Some("ETH/USD"));
    driver.run_secs(20);
    let texts = driver.texts(1);
    assert!(sums(&texts).len() > 50 && wrong(&texts) == 0);
    let book = texts
        .iter()
        .find(|text| text.contains(r#""type":"snapshot""#))
        .unwrap();
    let price = book
        .split("\"price\":")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    assert_eq!(price.split_once('.').unwrap().1.len(), 3);
}

#[test]
fn trades_are_lost_repeated_or_old() {
    let ids = |texts: &[String]| -> Vec<u64> {
        let texts = texts
            .iter()
            .filter(|text| text.starts_with(r#"{"channel":"trade","type":"update""#));
        texts
            .flat_map(|text| {
                let value: Value = serde_json::from_str(text).unwrap();
                let trades = value["data"].as_array().unwrap().clone();
                trades
                    .into_iter()
                    .map(|trade| trade["trade_id"].as_u64().unwrap())
            })
            .collect()
    };
    let holes = |ids: &[u64]| ids.windows(2).filter(|two| two[1] > two[0] + 1).count();
    let repeats = |ids: &[u64]| ids.windows(2).filter(|two| two[1] <= two[0]).count();
    for (fault, expected) in [
        (Fault::LostTrade, (1, 0)),
        (Fault::RepeatedTrade, (0, 1)),
        (Fault::OldTrades, (0, 0)),
    ] {
        let mut driver = started();
        strike(&mut driver, fault);
        let ids = ids(&driver.texts(1));
        assert_eq!((holes(&ids), repeats(&ids)), expected, "{fault:?}");
    }
    let mut driver = started();
    driver.texts(1);
    strike(&mut driver, Fault::OldTrades);
    let old = driver.texts_of(1, "trade").remove(0);
    assert!(old.contains(r#""type":"snapshot""#), "{old}");
}

#[test]
fn tickers_and_statuses_say_odd_things() {
    for (fault, part, count) in [
        (Fault::ZeroTime, "\"timestamp\":\"0001-01-01T00", 1),
        (Fault::UnknownStatus, "\"status\":\"auction_only\"", 1),
        (Fault::Halt, "\"status\":\"maintenance\"", 1),
        (Fault::CancelOnly, "\"status\":\"cancel_only\"", 1),
        (Fault::Maintenance, "\"system\":\"upcoming_maintenance\"", 1),
        (Fault::Maintenance, "\"system\":\"maintenance\"", 1),
        (Fault::SystemCancelOnly, "\"system\":\"cancel_only\"", 1),
        (Fault::UnknownKind, "\"channel\":\"something_new\"", 1),
        (Fault::HugeUnknown, "\"channel\":\"something_new\"", 1),
        (Fault::ChangedType, "\"checksum\":\"", 1),
    ] {
        let mut driver = started();
        driver.texts(1);
        strike(&mut driver, fault);
        let texts = driver.texts(1);
        let found = texts.iter().filter(|text| text.contains(part)).count();
        assert_eq!(found, count, "{fault:?}");
    }
    let mut driver = started();
    driver.texts(1);
    strike(&mut driver, Fault::GarbageFrame);
    let texts = driver.texts(1);
    let broken = texts
        .iter()
        .filter(|text| serde_json::from_str::<Value>(text).is_err());
    assert_eq!(broken.count(), 1);
}

#[test]
fn connections_end_or_fall_silent() {
    for (fault, ends) in [
        (Fault::Cut, true),
        (Fault::CutAll, true),
        (Fault::CloseNormal, true),
        (Fault::ClosePolicy, true),
        (Fault::Renumbering, true),
        (Fault::HalfOpen, false),
        (Fault::SilentConnection, false),
        (Fault::SilentStream, false),
    ] {
        let mut driver = started();
        strike(&mut driver, fault);
        assert_eq!(driver.end(1).is_some(), ends, "{fault:?}");
        driver.texts(1);
        driver.send(1, r#"{"method":"ping"}"#);
        driver.run_secs(5);
        let texts = driver.texts(1);
        let beats = texts
            .iter()
            .filter(|text| text.contains("heartbeat"))
            .count();
        let data = texts.len() - beats;
        match fault {
            Fault::SilentConnection => assert_eq!((beats, data), (5, 1), "the pong"),
            Fault::SilentStream => assert!(beats == 5 && data > 1),
            _ => assert_eq!(texts.len(), 0, "{fault:?}"),
        }
    }
}

/// Plants a fault for the next subscription, and returns what comes within five seconds.
fn subscribed(fault: Fault, symbols: &[&str]) -> Vec<String> {
    let mut driver = Driver::connected(22);
    driver.plant(fault, None);
    assert_eq!(driver.venue.waiting(), [fault]);
    driver.subscribe(1, "book", symbols);
    driver.run_secs(5);
    assert_eq!(driver.venue.applied().pop().unwrap().fault, fault);
    driver.texts(1)
}

#[test]
fn answers_are_refused_lost_or_doubled() {
    let all = ["BTC/USD", "ETH/USD", "SHIB/USD", "NMR/EUR"];
    let count =
        |texts: &[String], part: &str| texts.iter().filter(|text| text.contains(part)).count();
    for (fault, accepted, books) in [
        (Fault::AckWithheld, 0, 4),
        (Fault::AckTwice, 8, 4),
        (Fault::AckWithoutData, 4, 0),
        (Fault::SubscribeRefused, 3, 3),
        (Fault::ExceededRate, 2, 2),
        (Fault::ThinSnapshot, 4, 8),
    ] {
        let texts = subscribed(fault, &all);
        assert_eq!(count(&texts, "\"success\":true"), accepted, "{fault:?}");
        assert_eq!(
            count(&texts, r#""book","type":"snapshot""#),
            books,
            "{fault:?}"
        );
        let lost = count(&texts, "Exceeded msg rate");
        assert_eq!(lost, usize::from(fault == Fault::ExceededRate), "{fault:?}");
        let refused = count(&texts, "Currency pair not supported");
        assert_eq!(
            refused,
            usize::from(fault == Fault::SubscribeRefused),
            "{fault:?}"
        );
    }
}

#[test]
fn a_thin_book_has_no_sum_and_the_whole_one_follows() {
    let texts = subscribed(Fault::ThinSnapshot, &["ETH/USD"]);
    let sums = sums(&texts);
    assert_eq!(sums[..2], [Sum::Absent, Sum::Right]);
    assert!(sums[1..].iter().all(|sum| *sum == Sum::Right) && sums.len() > 10);
}

#[test]
fn handshakes_and_requests_fail() {
    let mut driver = Driver::connected(23);
    for (fault, status) in [
        (Fault::ConnectForbidden, 403),
        (Fault::ConnectTooMany, 429),
        (Fault::ConnectUnavailable, 503),
    ] {
        driver.plant(fault, None);
        assert_eq!(driver.connect(9).unwrap_err().status, status);
        driver.run_secs(4);
    }
    for (fault, status, end) in [
        (Fault::RestTooMany, 429, AnswerEnd::Whole),
        (Fault::RestRegion, 451, AnswerEnd::Whole),
        (Fault::RestGarbage, 200, AnswerEnd::Whole),
        (Fault::RestTimeout, 200, AnswerEnd::Never),
        (Fault::RestTruncated, 200, AnswerEnd::Truncated),
    ] {
        driver.plant(fault, None);
        let answer = driver.get("/0/public/AssetPairs");
        assert_eq!((answer.status, answer.end), (status, end), "{fault:?}");
        let right = serde_json::from_str::<Value>(&answer.body).is_ok();
        assert_eq!(
            right,
            matches!(fault, Fault::RestTooMany | Fault::RestTimeout)
        );
    }
    driver.plant(Fault::RestServerError, None);
    assert!(driver.get("/0/public/AssetPairs").status >= 500);
}

#[test]
fn pairs_come_and_go() {
    let mut driver = started();
    driver.texts(1);
    driver.plant(Fault::Listing, None);
    driver.plant(Fault::Delisting, None);
    driver.run_secs(1);
    let texts = driver.texts_of(1, "instrument");
    assert!(texts[0].contains(r#""symbol":"S900/USD""#) && texts[0].contains("online"));
    assert!(texts[1].contains(r#""symbol":"S900/USD""#) && texts[1].contains("delisted"));
    driver.subscribe(1, "book", &["S900/USD"]);
    assert!(
        driver
            .texts(1)
            .pop()
            .unwrap()
            .contains("Currency pair not supported S900/USD")
    );
}
