//! Lines that are good in part, doubled members, and what a refused line costs whom.

use super::*;
use crate::venue::NoTrade;

/// What came, in short: trades by id, losses by channel and number.
fn spell(events: &[Event]) -> Vec<String> {
    let spell = |event: &Event| match &event.body {
        EventBody::Trades { trades, .. } => {
            let ids: Vec<_> = trades
                .iter()
                .map(|trade| format!("{:?}", trade.id))
                .collect();
            format!("trades {}", ids.join(" "))
        }
        EventBody::Feed(FeedEvent::Lost {
            channels, events, ..
        }) => {
            let kinds: Vec<_> = channels.iter().map(|kind| kind.label()).collect();
            format!("lost {} {events:?}", kinds.join(" "))
        }
        other => format!("{other:?}"),
    };
    events.iter().map(spell).collect()
}

#[tokio::test]
async fn good_trades_of_a_line_are_taken_and_the_bad_ones_named_and_said_as_lost() {
    let bench = Bench::new(any(), 100).await;
    let (answers, events) = bench
        .publish(concat!(
            r#"{"channel":"trade","symbol":"X-USD","trades":[{"id":1,"price":1,"qty":1},{"id":2,"price":"x","qty":1},{"id":3,"price":1},{"id":4,"price":-1,"qty":"1e-3"},{"id":5,"price":1,"qty":0},{"id":6,"price":0,"qty":1},7]}"#,
            "
"
        ))
        .await;
    assert_eq!(
        spell(&events),
        [
            "trades 1",
            "lost trade Some(2)",
            "trades 4 6",
            "lost trade Some(1)"
        ]
    );
    let places = [
        "trades[1].price",
        "trades[2].qty",
        "trades[4].qty",
        "expected an object",
    ];
    assert_eq!(answers.len(), places.len(), "{answers:?}");
    for (answer, place) in answers.iter().zip(places) {
        assert!(answer.contains(place), "{answer} does not name {place}");
    }
    assert_eq!(bench.counters.no_trades(NoTrade::NoQuantity), 1);
    assert_eq!(bench.counters.rejected_in_all(), 3);
}

#[tokio::test]
async fn a_line_that_is_refused_is_a_loss_to_whom_it_names() {
    let bench = Bench::new(any(), 100).await;
    for (line, expected) in [
        (
            r#"{"channel":"book","symbol":"X-USD","type":"update","bids":[["1","-1"]]}"#,
            &["lost book Some(1)"][..],
        ),
        (
            r#"{"channel":"quote","symbol":"X-USD","bid":"1","bid_qty":"x"}"#,
            &["lost quote Some(1)"],
        ),
        (
            r#"{"channel":"ticker","symbol":"X-USD","last":"1e"}"#,
            &["lost ticker Some(1)"],
        ),
        (
            r#"{"channel":"trade","symbol":"X-USD","trades":[{"id":"#,
            &["lost trade Some(1)"],
        ),
        (
            r#"{"channel":"trade","symbol":"X-USD","trades":[{"id":1,"price":1,"qty":0}]}"#,
            &[],
        ),
        (
            r#"{"channel":"status","symbol":"X-USD","trading":"ajar"}"#,
            &[],
        ),
        ("GET / HTTP/1.1", &[]),
    ] {
        let (answers, events) = bench
            .publish(&format!(
                "{line}
"
            ))
            .await;
        assert_eq!(spell(&events), expected, "{line}");
        assert_eq!(answers.len(), 1, "{line}: {answers:?}");
    }
}

#[tokio::test]
async fn a_byte_order_mark_before_the_first_line_is_passed_over() {
    let bench = Bench::new(any(), 100).await;
    let line = r#"{"channel":"trade","symbol":"X-USD","trades":[{"id":1,"price":1,"qty":1}]}"#;
    let (answers, events) = bench.publish(&format!("\u{feff}{line}\r\n{line}\n")).await;
    assert_eq!(
        (answers.len(), spell(&events)),
        (0, vec!["trades 1".to_owned(); 2])
    );
    let (answers, events) = bench.publish(&format!("{line}\n\u{feff}{line}\n")).await;
    assert_eq!((answers.len(), events.len()), (1, 2), "{answers:?}");
}

#[tokio::test]
async fn of_a_member_that_is_there_twice_the_last_counts() {
    let bench = Bench::new(any(), 100).await;
    let (answers, events) = bench
        .publish(concat!(
            r#"{"channel":"trade","symbol":"A-USD","trades":[{"id":1,"price":1,"qty":1}],"symbol":"B-USD","trades":[{"id":2,"price":"x","price":200,"qty":1}]}"#, "
",
            r#"{"channel":"quote","symbol":"B-USD","bid":"1","bid_qty":"1","bid":"1.5","channel":"quote"}"#, "
",
            r#"{"channel":"quote","symbol":"B-USD","bid":"1","bid_qty":"1","ask":"2","ask_qty":"1","bid":null,"bid_qty":null}"#, "
",
            r#"{"channel":"trade","symbol":"B-USD","trades":[{"id":3,"price":7,"qty":1}]}"#, "
",
        ))
        .await;
    assert_eq!(answers, [""; 0]);
    let instruments = bench.catalog.instruments();
    let b = instruments.iter().find(|i| i.symbol.as_str() == "B-USD");
    let b = b.unwrap().id;
    assert!(events.iter().all(|event| event.instrument == b));
    let EventBody::Trades { trades, .. } = &events[0].body else {
        panic!("{events:?}")
    };
    assert_eq!(
        (trades[0].id.number(), trades[0].price.mantissa()),
        (Some(2), 20_000_000_000)
    );
    let EventBody::Quote(quote) = events[1].body else {
        panic!()
    };
    assert_eq!(
        quote.bid.map(|(price, _)| price.mantissa()),
        Some(150_000_000)
    );
    let EventBody::Quote(quote) = events[2].body else {
        panic!()
    };
    assert!(quote.bid.is_none() && quote.ask.is_some());
    let EventBody::Trades { trades, .. } = &events[3].body else {
        panic!()
    };
    assert_eq!(trades[0].price.mantissa(), 700_000_000);
}

#[tokio::test]
async fn a_line_that_does_not_say_whose_it_is_is_a_loss_of_all_that_its_publisher_has_named() {
    let book = r#"{"channel":"book","symbol":"X-USD","type":"snapshot","bids":[["1","1"]]}"#;
    let quote = r#"{"channel":"quote","symbol":"Y-USD","bid":"1","bid_qty":"1"}"#;
    let other = r#"{"channel":"quote","symbol":"Z-USD","bid":"1","bid_qty":"1"}"#;
    let (all, twice) = ("lost trade quote book ticker None", 2);
    let long = "1".repeat(LINE_BYTES_MAX);
    let longer = "1".repeat(3 * LINE_BYTES_MAX);
    for (line, expected, times) in [
        (b"\xff".to_vec(), all, twice),
        (b"{".to_vec(), all, twice),
        // What is lost cannot be lost again.
        (b"{\n{".to_vec(), all, twice),
        (br#"{"channel":"book"}"#.to_vec(), "lost book None", twice),
        (br#"{"symbol":"X-USD"}"#.to_vec(), all, 1),
        (br#"{"symbol":"Z-USD"}"#.to_vec(), "", 0),
        (
            b"{\"channel\":\"book\",\"symbol\":\"X-USD\",\"type\":\"\xff\"}".to_vec(),
            "lost book Some(1)",
            1,
        ),
        (
            b"{\"channel\":\"book\",\"symbol\":\"\xff\"}".to_vec(),
            "lost book None",
            twice,
        ),
        (format!("{long}1").into_bytes(), all, twice),
        (longer.into_bytes(), all, twice),
        (
            format!(r#"{{"channel":"book","symbol":"X-USD","bids":[{long}]}}"#).into_bytes(),
            "lost book Some(1)",
            1,
        ),
        // These say that they are nobody's loss.
        (br#"{"channel":"news"}"#.to_vec(), "", 0),
        (br#"{"channel":"book","symbol":"?"}"#.to_vec(), "", 0),
    ] {
        let bench = Bench::new(any(), 100).await;
        // What another publisher has named is not concerned.
        bench.publish(&format!("{other}\n")).await;
        let mut text = format!("{book}\n{quote}\n").into_bytes();
        text.extend_from_slice(&line);
        text.push(b'\n');
        let (answers, events) = bench.publish_bytes(&text).await;
        let shown = String::from_utf8_lossy(&line[..line.len().min(60)]);
        let lines = line.split(|byte| *byte == b'\n').count();
        assert_eq!(answers.len(), lines, "{shown}: {answers:?}");
        assert_eq!(spell(&events[2..]), vec![expected; times], "{shown}");
    }
}

#[tokio::test]
async fn an_empty_time_is_as_good_as_none() {
    let bench = Bench::new(any(), 100).await;
    let (answers, events) = bench
        .publish(concat!(
            r#"{"channel":"trade","symbol":"X-USD","ts_event":"","trades":[{"id":1,"price":1,"qty":1,"ts_event":""}]}"#,
            "\n",
            r#"{"channel":"quote","symbol":"X-USD","bid":"1","bid_qty":"1","ts_event":""}"#,
            "\n"
        ))
        .await;
    assert_eq!(answers, [""; 0]);
    let EventBody::Trades { trades, .. } = &events[0].body else {
        panic!("{events:?}")
    };
    assert_eq!((trades[0].ts_event, events[0].ts_event), (None, None));
    assert_eq!((events.len(), events[1].ts_event), (2, None));
}

#[tokio::test]
async fn a_refused_status_line_that_may_have_said_gap_is_a_loss_of_every_channel() {
    let quote = r#"{"channel":"quote","symbol":"X-USD","bid":"1","bid_qty":"1"}"#;
    let other = quote.replace("X-USD", "Y-USD");
    let long = "1".repeat(LINE_BYTES_MAX);
    let said = |members: &str| format!(r#"{{"channel":"status","symbol":"X-USD",{members}}}"#);
    let of_all = said(r#""feed":"gap","reason":1"#).replace("\"X-USD\"", "7");
    for (line, times) in [
        (said(r#""feed":"gap","reason":1"#), 1),
        (said(r#""feed":"down","reason":{}"#), 1),
        (said(r#""feed":"gap","ts_event":"x""#), 1),
        (said(r#""venue_seq":-1,"feed":"gap""#), 1),
        (said(r#""feed":"gap","trading":"open""#), 1),
        (said(r#""feed":"g\u0061p""#), 1),
        (said(r#""feed":7"#), 1),
        (said(r#""feed":"gap","reason":"#), 1),
        (said(&format!(r#""feed":"gap","reason":"{long}""#)), 1),
        // What was said in the rest is not known.
        (said(&format!(r#""reason":"{long}","feed":"gap""#)), 1),
        (said(r#""reason":"x"#), 1),
        (said(r#""trading":"op"#), 1),
        (of_all.clone(), 2),
        (of_all.replace("\"symbol\":7,", ""), 2),
        // Of a symbol that nobody has named before, and of one that cannot be.
        (
            said(r#""feed":"gap","reason":1"#).replace("X-USD", "Z-USD"),
            1,
        ),
        (said(r#""feed":"gap","reason":1"#).replace("X-USD", "?"), 0),
        // These say something else.
        (said(r#""feed":"live""#), 0),
        (said(r#""trading":"ajar""#), 0),
        (said(r#""trading":"open""#).replace("\"}", "\""), 0),
        (said(r#""reason":"x""#), 0),
    ] {
        let bench = Bench::new(any(), 100).await;
        let (answers, events) = bench.publish(&format!("{quote}\n{other}\n{line}\n")).await;
        let shown = &line[..line.len().min(80)];
        assert_eq!(answers.len(), 1, "{shown}: {answers:?}");
        let all = "lost trade quote book ticker None";
        assert_eq!(spell(&events[2..]), vec![all; times], "{shown}");
    }
}

#[tokio::test]
async fn a_symbol_with_an_empty_part_cannot_be_published() {
    let bench = Bench::new(any(), 100).await;
    for symbol in ["-USDT", "BTC-", "BTC--USDT", "BTC-USDT-", "-"] {
        let line = format!(r#"{{"channel":"quote","symbol":"{symbol}","bid":"1","bid_qty":"1"}}"#);
        let (answers, events) = bench.publish(&format!("{line}\n")).await;
        assert!(answers[0].contains("unknown_symbol"), "{answers:?}");
        assert_eq!(spell(&events), [""; 0]);
    }
    assert_eq!(bench.catalog.instruments().len(), 0);
}
