//! Faults: their marks, and that each does what it says.

mod messages;

use crate::driver::Driver;
use serde_json::Value;
use std::time::Duration;
use tapecast_venuesim::{
    AnswerEnd, Applied, BinanceSpot, Fault, Mark, Output, Script, SimConfig, Simulated, Venue,
};

const DEPTH: &str = "ethusdt@depth@100ms";

/// A connection with depth and trades of one symbol, ten seconds old.
fn started() -> Driver {
    let mut driver = Driver::new(SimConfig::new(21));
    driver
        .connect(1, "/stream?streams=ethusdt@depth@100ms/ethusdt@trade")
        .unwrap();
    driver.run_secs(10);
    driver.texts(1);
    driver
}

/// Plants a fault, waits, and returns its entry in the log.
fn strike(driver: &mut Driver, fault: Fault) -> Applied {
    driver.plant(fault, None);
    driver.run_secs(30);
    last(&driver.venue, fault)
}

fn last(venue: &BinanceSpot, fault: Fault) -> Applied {
    let applied = venue.applied().pop().unwrap();
    assert_eq!(applied.fault, fault);
    assert_eq!((applied.mark, applied.why), BinanceSpot::mark(fault));
    applied
}

fn depths(driver: &mut Driver) -> Vec<Value> {
    let values = driver.values(1).into_iter();
    values
        .filter(|value| value["stream"] == DEPTH)
        .map(|mut value| value["data"].take())
        .collect()
}

/// Where messages do not continue the one before them.
fn breaks(messages: &[Value]) -> Vec<usize> {
    let number = |value: &Value, key: &str| value[key].as_u64().unwrap();
    let broken =
        |index: &usize| number(&messages[*index], "U") != number(&messages[*index - 1], "u") + 1;
    (1..messages.len()).filter(broken).collect()
}

#[test]
fn every_fault_has_a_mark() {
    use Mark::{Invisible, Visible};
    let listed: Vec<(Fault, Mark)> = BinanceSpot::FAULTS
        .iter()
        .map(|fault| (*fault, BinanceSpot::mark(*fault).0))
        .collect();
    let expected = [
        (Fault::Cut, Visible),
        (Fault::CutAll, Visible),
        (Fault::CloseNormal, Visible),
        (Fault::ClosePolicy, Visible),
        (Fault::HalfOpen, Visible),
        (Fault::ServerShutdown, Visible),
        (Fault::PingStorm, Visible),
        (Fault::LateConnection, Visible),
        (Fault::AckWithheld, Visible),
        (Fault::SubscribeRefused, Visible),
        (Fault::AckWithoutData, Invisible),
        (Fault::SilentStream, Invisible),
        (Fault::SlowedDepth, Invisible),
        (Fault::SkippedDepth, Visible),
        (Fault::RepeatedDepth, Visible),
        (Fault::SwappedDepth, Visible),
        (Fault::LostLevel, Invisible),
        (Fault::LostTrade, Visible),
        (Fault::RepeatedTrade, Visible),
        (Fault::Renumbering, Visible),
        (Fault::GarbageFrame, Visible),
        (Fault::UnknownKind, Visible),
        (Fault::ChangedType, Visible),
        (Fault::Exponents, Visible),
        (Fault::DoubledKey, Visible),
        (Fault::HugeUnknown, Visible),
        (Fault::HugeDepth, Visible),
        (Fault::StaleSnapshot, Visible),
        (Fault::RestTooMany, Visible),
        (Fault::RestBanned, Visible),
        (Fault::RestRegion, Visible),
        (Fault::RestServerError, Visible),
        (Fault::RestTimeout, Visible),
        (Fault::RestTruncated, Visible),
        (Fault::RestGarbage, Visible),
        (Fault::ConnectForbidden, Visible),
        (Fault::ConnectTooMany, Visible),
        (Fault::ConnectUnavailable, Visible),
        (Fault::FinerTick, Visible),
        (Fault::Listing, Visible),
        (Fault::Delisting, Visible),
        (Fault::Halt, Visible),
        (Fault::Break, Visible),
        (Fault::CancelOnly, Visible),
        (Fault::ClockBehind, Visible),
        (Fault::ClockAhead, Visible),
    ];
    assert_eq!(listed, expected);
}

#[test]
fn connections_end_in_five_ways() {
    for (fault, end) in [
        (Fault::Cut, Output::Cut { conn: 1 }),
        (
            Fault::CloseNormal,
            Output::Close {
                conn: 1,
                code: 1000,
                reason: String::new(),
            },
        ),
        (
            Fault::ClosePolicy,
            Output::Close {
                conn: 1,
                code: 1008,
                reason: "Policy violation".to_owned(),
            },
        ),
    ] {
        let mut driver = started();
        let applied = strike(&mut driver, fault);
        assert_eq!(applied.conn, Some(1));
        assert_eq!(driver.end(1), Some(&(applied.at, end)));
        assert!(driver.texts(1).is_empty());
        assert!(driver.venue.connections().is_empty());
    }
    let mut driver = started();
    driver.connect(2, "/ws").unwrap();
    strike(&mut driver, Fault::CutAll);
    assert!(driver.end(1).is_some() && driver.end(2).is_some());
    let mut driver = started();
    strike(&mut driver, Fault::HalfOpen);
    assert_eq!(driver.outputs.last().unwrap().1, Output::Mute { conn: 1 });
    driver.subscribe(1, &["ethusdt@trade"]);
    driver.run_secs(200);
    assert!(driver.texts(1).is_empty());
    assert_eq!(driver.end(1), None);
    driver.venue.receive_close(1, driver.now);
    assert!(driver.venue.connections().is_empty());
}

#[test]
fn a_shutdown_is_announced_and_then_the_connection_is_closed() {
    let mut driver = started();
    let applied = strike(&mut driver, Fault::ServerShutdown);
    let (at, end) = driver.end(1).unwrap();
    assert!(*at > applied.at && *at < applied.at + Duration::from_secs(10));
    assert!(matches!(end, Output::Close { code: 1001, .. }));
    let event = driver
        .values(1)
        .into_iter()
        .find(|value| value["stream"] == "!serverShutdown");
    assert_eq!(event.unwrap()["data"]["e"], "serverShutdown");
    let mut raw = Driver::new(SimConfig::new(1));
    raw.connect(1, "/ws").unwrap();
    raw.plant(Fault::ServerShutdown, None);
    raw.run_secs(1);
    assert!(raw.texts(1)[0].starts_with(r#"{"e":"serverShutdown","E":"#));
}

#[test]
fn whoever_answers_all_pings_of_a_storm_is_closed_and_one_answer_is_enough() {
    let mut driver = started();
    strike(&mut driver, Fault::PingStorm);
    assert!(matches!(
        driver.end(1),
        Some((_, Output::Close { code: 1008, .. }))
    ));
    let mut driver = started();
    driver.deaf.insert(1);
    driver.plant(Fault::PingStorm, None);
    driver.run_secs(1);
    let ping = driver
        .outputs
        .iter()
        .rev()
        .find_map(|(_, output)| match output {
            Output::Ping { payload, .. } => Some(payload.clone()),
            _ => None,
        });
    driver.venue.receive_pong(1, &ping.unwrap(), driver.now);
    driver.deaf.clear();
    driver.run_secs(100);
    assert_eq!(driver.end(1), None);
}

#[test]
fn a_late_connection_is_late_in_order_and_catches_up() {
    let mut driver = started();
    let applied = strike(&mut driver, Fault::LateConnection);
    driver.run_secs(30);
    let start = SimConfig::new(0).start_ms;
    let mut most = 0;
    for (at, output) in driver.outputs.iter().filter(|(at, _)| *at > applied.at) {
        if let Output::Text { text, .. } = output {
            let value: Value = serde_json::from_str(text).unwrap();
            let said = value["data"]["E"].as_u64().unwrap();
            let late = start + u64::try_from(at.as_millis()).unwrap() - said;
            most = most.max(late);
            assert!(late == 0 || *at < applied.at + Duration::from_secs(35));
        }
    }
    assert_eq!(most, 5_000);
    assert_eq!(breaks(&depths(&mut driver)), [0_usize; 0]);
}

#[test]
fn acknowledgements_fail_in_three_ways() {
    let fresh = |fault| {
        let mut driver = Driver::new(SimConfig::new(22));
        driver.connect(1, "/stream").unwrap();
        driver.plant(fault, None);
        assert_eq!(driver.venue.waiting(), [fault]);
        driver.subscribe(1, &[DEPTH]);
        assert_eq!(last(&driver.venue, fault).conn, Some(1));
        let answers = driver.texts(1);
        driver.run_secs(10);
        (driver, answers)
    };
    let (mut driver, answers) = fresh(Fault::AckWithheld);
    assert!(answers.is_empty() && driver.texts(1).len() > 10);

    let (mut driver, answers) = fresh(Fault::SubscribeRefused);
    assert!(answers[0].contains(r#""code":2"#));
    assert!(driver.texts(1).is_empty() && driver.venue.streams(1).is_empty());

    let (mut driver, answers) = fresh(Fault::AckWithoutData);
    assert_eq!(answers, [r#"{"result":null,"id":1}"#]);
    assert!(driver.texts(1).is_empty());
    assert_eq!(driver.venue.streams(1), [DEPTH]);
    driver.send(
        1,
        &format!(r#"{{"method":"UNSUBSCRIBE","params":["{DEPTH}"],"id":2}}"#),
    );
    driver.subscribe(1, &[DEPTH]);
    driver.run_secs(10);
    assert!(driver.texts(1).len() > 10);
}

#[test]
fn requests_fail_in_many_ways() {
    let check = |fault, status: &[u16], end| {
        let mut driver = started();
        driver.plant(fault, None);
        let answer = driver.get("/api/v3/depth?symbol=ETHUSDT&limit=100");
        assert!(
            status.contains(&answer.status),
            "{fault:?}: {}",
            answer.status
        );
        assert_eq!(answer.end, end);
        assert_eq!(
            last(&driver.venue, fault).symbol.as_deref(),
            Some("ETHUSDT")
        );
        let retry = answer
            .headers
            .iter()
            .find(|(name, _)| name == "retry-after");
        let wait: u64 = retry.map_or(0, |(_, value)| value.parse().unwrap());
        if wait > 0 {
            assert_eq!(driver.get("/api/v3/time").status, answer.status);
            assert_eq!(driver.venue.counts().impatient, 1);
            driver.run_secs(wait);
        }
        assert_eq!(driver.get("/api/v3/time").status, 200);
        assert_eq!(driver.venue.counts().bans, 0);
        serde_json::from_str::<Value>(&answer.body).is_ok()
    };
    assert!(check(Fault::RestTooMany, &[429], AnswerEnd::Whole));
    assert!(check(Fault::RestBanned, &[418], AnswerEnd::Whole));
    assert!(check(Fault::RestRegion, &[451], AnswerEnd::Whole));
    check(Fault::RestServerError, &[500, 502, 503], AnswerEnd::Whole);
    check(Fault::RestTimeout, &[200], AnswerEnd::Never);
    assert!(!check(Fault::RestTruncated, &[200], AnswerEnd::Truncated));
    assert!(!check(Fault::RestGarbage, &[200], AnswerEnd::Whole));
}

#[test]
fn a_book_over_http_is_older_than_the_stream() {
    let mut driver = Driver::new(SimConfig::new(21));
    driver.run_secs(60);
    driver
        .connect(1, &format!("/stream?streams={DEPTH}"))
        .unwrap();
    driver.run_secs(5);
    driver.plant(Fault::StaleSnapshot, None);
    // Another request does not take it.
    driver.json("/api/v3/time");
    let answer = driver.json("/api/v3/depth?symbol=ETHUSDT&limit=5000");
    last(&driver.venue, Fault::StaleSnapshot);
    let first = depths(&mut driver).remove(0);
    assert!(answer["lastUpdateId"].as_u64().unwrap() < first["U"].as_u64().unwrap());
    let again = driver.json("/api/v3/depth?symbol=ETHUSDT&limit=5000");
    assert!(again["lastUpdateId"].as_u64() > first["u"].as_u64());
}

#[test]
fn handshakes_are_refused() {
    for (fault, status) in [
        (Fault::ConnectForbidden, 403),
        (Fault::ConnectTooMany, 429),
        (Fault::ConnectUnavailable, 503),
    ] {
        let mut driver = Driver::new(SimConfig::new(1));
        driver.plant(fault, None);
        assert_eq!(driver.connect(1, "/stream").unwrap_err().status, status);
        last(&driver.venue, fault);
        if status == 429 {
            assert_eq!(driver.connect(2, "/stream").unwrap_err().status, 429);
            assert_eq!(driver.venue.counts().impatient, 1);
            driver.run_secs(3);
        }
        driver.connect(3, "/stream").unwrap();
    }
}

#[test]
fn symbols_come_stop_and_go() {
    let mut driver = started();
    let listed = strike(&mut driver, Fault::Listing).symbol.unwrap();
    let status = |driver: &mut Driver, symbol: &str| {
        let info = driver.json("/api/v3/exchangeInfo");
        let symbols = info["symbols"].as_array().unwrap();
        let found = symbols.iter().find(|entry| entry["symbol"] == symbol);
        found.map(|entry| entry["status"].as_str().unwrap().to_owned())
    };
    assert_eq!(status(&mut driver, &listed).as_deref(), Some("TRADING"));
    strike(&mut driver, Fault::Delisting);
    assert_eq!(status(&mut driver, &listed), None);
    driver.plant(Fault::Delisting, None);
    assert_eq!(driver.venue.unapplied(), 1);
    for (fault, name) in [
        (Fault::Halt, "HALT"),
        (Fault::Break, "BREAK"),
        (Fault::CancelOnly, "CANCEL_ONLY"),
    ] {
        driver.plant(fault, Some("ETHUSDT"));
        assert_eq!(status(&mut driver, "ETHUSDT").as_deref(), Some(name));
        driver.run_secs(20);
        assert_eq!(status(&mut driver, "ETHUSDT").as_deref(), Some("TRADING"));
    }
    driver.plant(Fault::FinerTick, Some("ETHUSDT"));
    assert_eq!(
        last(&driver.venue, Fault::FinerTick).symbol.as_deref(),
        Some("ETHUSDT")
    );
    assert_eq!(driver.venue.symbols()[1].tick, 100_000);
}

#[test]
fn the_clock_is_wrong_for_a_while() {
    for (fault, ahead) in [(Fault::ClockBehind, false), (Fault::ClockAhead, true)] {
        let mut driver = started();
        let start = SimConfig::new(0).start_ms;
        driver.plant(fault, None);
        driver.run_secs(5);
        let shown = driver.json("/api/v3/time")["serverTime"].as_u64().unwrap();
        let off = shown.abs_diff(start + 15_000);
        assert!((2_000..=8_000).contains(&off));
        assert_eq!(shown > start + 15_000, ahead);
        driver.run_secs(30);
        assert_eq!(driver.json("/api/v3/time")["serverTime"], start + 45_000);
        assert_eq!(breaks(&depths(&mut driver)), [0_usize; 0]);
    }
}

#[test]
fn a_script_is_played_at_its_times_and_the_same_each_time() {
    let second = Duration::from_secs(1);
    let play = || {
        let mut config = SimConfig::new(23);
        config.symbols.truncate(2);
        config.script = Script::seeded(7, second / 2, second * 100, BinanceSpot::FAULTS).and(
            second * 3,
            Fault::Halt,
            "BTCUSDT",
        );
        let mut driver = Driver::new(config);
        for conn in 0..30 {
            // A client that knows no patience, so that there is something to apply faults to.
            if driver
                .connect(conn, "/stream?streams=btcusdt@depth/ethusdt@trade")
                .is_ok()
            {
                driver.subscribe(conn, &["ethusdt@depth@100ms"]);
            }
            driver.get("/api/v3/depth?symbol=ETHUSDT");
            driver.run_secs(4);
        }
        (
            driver.venue.applied(),
            driver.venue.unapplied(),
            driver.outputs.len(),
        )
    };
    // A venue that runs can follow a script, too.
    let mut driver = started();
    let script = Script::of(vec![(second * 5, Fault::Cut)]);
    driver.venue.follow(&script);
    driver.run_secs(5);
    assert_eq!(last(&driver.venue, Fault::Cut).at, second * 15);

    let (applied, unapplied, outputs) = play();
    assert!(applied.len() > 60, "{} {unapplied}", applied.len());
    assert!(
        applied
            .iter()
            .any(|entry| entry.at == second * 3 && entry.fault == Fault::Halt)
    );
    assert!(applied.windows(2).all(|pair| pair[0].at <= pair[1].at));
    assert_eq!((applied, unapplied, outputs), play());
}
