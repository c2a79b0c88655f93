//! What a message leaves out or says of others: markets that are not ours, sums and times that are zero,
//! numbers that are missing, and changes to books that cannot be read.

use crate::reading::{check, events};
use tapecast_ingest::venue::Format;

/// Messages of COIN-M futures, one for each kind, with what stands between the name and `st`.
const COIN_M: [&str; 5] = [
    r#"{"e":"trade","E":1721347022504,"T":1721347022503,"s":"BTCUSDT","t":1,"p":"2","q":"1","X":"MARKET","m":false,"st":2}"#,
    r#"{"e":"aggTrade","E":1721347022504,"s":"BTCUSDT","a":1,"p":"2","q":"1","f":1,"l":1,"T":1721347022503,"m":false,"st":2}"#,
    r#"{"e":"bookTicker","u":21,"s":"BTCUSDT","b":"2","B":"1","a":"3","A":"1","T":1721347022507,"E":1721347022508,"ps":"BTCUSD","st":2}"#,
    r#"{"e":"depthUpdate","E":1721347022504,"T":1721347022503,"s":"BTCUSDT","U":10,"u":20,"pu":9,"b":[["2","1"]],"a":[],"ps":"BTCUSD","st":2}"#,
    r#"{"e":"24hrTicker","E":1721347022504,"s":"BTCUSDT","c":"2","o":"1","h":"3","l":"1","v":"5","q":"6","st":2}"#,
];

#[test]
fn coin_m_messages_in_streams_of_usd_m_are_passed_over_by_both_readers() {
    for coin_m in COIN_M {
        let usd_m = coin_m.replace(r#""st":2"#, r#""st":1"#);
        let unsaid = coin_m.replace(r#","st":2"#, "");
        // A space is nothing that the fast reader reads.
        for spaced in [false, true] {
            let [coin_m, usd_m, unsaid] = [coin_m, &usd_m, &unsaid].map(|text| match spaced {
                true => text.replacen(':', ": ", 1),
                false => text.to_owned(),
            });
            let of_us = events(Format::BinanceUsdm, &[&unsaid]);
            assert_eq!(of_us.len(), 1, "{unsaid}");
            assert_eq!(events(Format::BinanceUsdm, &[&usd_m]), of_us);
            assert_eq!(events(Format::BinanceUsdm, &[&usd_m, &coin_m]), of_us);
            let wrapped = format!(r#"{{"stream":"!all","data":{coin_m}}}"#);
            assert_eq!(events(Format::BinanceUsdm, &[&usd_m, &wrapped]), of_us);
            let array = format!("[{coin_m}]");
            assert_eq!(events(Format::BinanceUsdm, &[&usd_m, &array]), of_us);
        }
    }
}

#[test]
fn a_checksum_of_zero_is_none() {
    for sum in ["", r#","checksum":0"#, r#","checksum":null"#] {
        check(
            Format::Kraken,
            &[&format!(
                r#"{{"channel":"book","type":"snapshot","data":[{{"symbol":"A/B","bids":[{{"price":1.5,"qty":2.5}}],"asks":[]{sum}}}]}}"#
            )],
            &["A-B snapshot [1.5x2.5] [] None depth 10 spelled 1.1 quote"],
        );
        if sum.ends_with("null") {
            continue;
        }
        check(
            Format::Okx,
            &[&format!(
                r#"{{"arg":{{"channel":"books","instId":"A-B"}},"action":"snapshot","data":[{{"bids":[["1.5","2.5","0","1"]],"asks":[]{sum}}}]}}"#
            )],
            &["A-B snapshot [1.5x2.5] [] None spelled 1.1 quote"],
        );
    }
}

#[test]
fn a_ticker_of_the_zero_date_says_nothing() {
    let ticker = |time: &str| {
        format!(
            r#"{{"channel":"ticker","type":"update","data":[{{"symbol":"A/B","bid":1.5,"bid_qty":1,"ask":2,"ask_qty":1,"last":1.5,"timestamp":"{time}"}}]}}"#
        )
    };
    let (dated, zero) = (
        ticker("2026-08-12T19:29:02.066592Z"),
        ticker("0001-01-01T00:00:00Z"),
    );
    let of_dated = events(Format::Kraken, &[&dated]);
    assert_eq!(of_dated.len(), 2, "{of_dated:?}");
    assert_eq!(events(Format::Kraken, &[&zero, &dated, &zero]), of_dated);
}

#[test]
fn an_update_with_one_of_its_two_numbers_is_lost_and_not_applied() {
    let book = |action: &str, numbers: &str| {
        format!(
            r#"{{"arg":{{"channel":"books","instId":"A-B"}},"action":"{action}","data":[{{"bids":[["1","2","0","1"]],"asks":[]{numbers}}}]}}"#
        )
    };
    let start = book("snapshot", r#","prevSeqId":-1,"seqId":5"#);
    for (numbers, missing) in [
        (r#","seqId":6"#, "prevSeqId"),
        (r#","prevSeqId":5"#, "seqId"),
    ] {
        let events = events(Format::Okx, &[&start, &book("update", numbers)]);
        let lost = format!("A-B lost 1 book: {missing} is missing or of another type");
        assert_eq!(events[1..], [lost]);
    }
    // A snapshot begins anew: it need not say what it follows, and keeps its number.
    let events = events(Format::Okx, &[&book("snapshot", r#","seqId":5"#)]);
    let begun = "A-B snapshot [1x2] [] Previous { first: None, previous: -1, last: 5 }";
    assert!(events[0].starts_with(begun), "{events:?}");
}

#[test]
fn a_change_to_a_book_that_cannot_be_read_is_a_loss_at_once() {
    let binance = |symbol: &str| {
        format!(
            r#"{{"stream":"{}@depth","data":{{"e":"depthUpdate","E":1,"s":"{symbol}","U":1,"u":2,"pu":0,"b":[["1","1"]],"a":[]}}}}"#,
            symbol.to_ascii_lowercase()
        )
    };
    let bybit = |symbol: &str| {
        format!(
            r#"{{"topic":"orderbook.50.{symbol}","type":"snapshot","ts":1,"data":{{"s":"{symbol}","b":[["1","1"]],"a":[],"u":2}}}}"#
        )
    };
    for (format, [a, b], without_name) in [
        (
            Format::Binance,
            ["BTCUSDT", "ETHUSDT"].map(binance),
            r#"{"stream":"#,
        ),
        (
            Format::BinanceUsdm,
            ["BTCUSDT", "ETHUSDT"].map(binance),
            r#"{"stream":"#,
        ),
        (
            Format::BybitSpot,
            ["BTCUSDT", "ETHUSDT"].map(bybit),
            r#"{"topic":"orderbook.50."#,
        ),
        (
            Format::BybitLinear,
            ["BTCUSDT", "ETHUSDT"].map(bybit),
            r#"{"topic":"orderbook.50."#,
        ),
    ] {
        let losses = |bad: &str| {
            let mut said = events(format, &[&a, &b, bad]);
            said.split_off(2)
                .into_iter()
                .map(|line| line.split(' ').take(4).collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
        };
        let base = events(format, &[&a])[0]
            .split(' ')
            .next()
            .unwrap()
            .to_owned();
        let other = events(format, &[&b])[0]
            .split(' ')
            .next()
            .unwrap()
            .to_owned();
        let book = format!("{base} lost ? book:");
        let bad_level = a.replace(r#"[["1","1"]]"#, r#"[["1","x"]]"#);
        for bad in [&bad_level, &a[..a.len() - 3], &a[..30]] {
            assert_eq!(losses(bad), [book.as_str()], "{format}: {bad}");
        }
        let all = losses(without_name);
        assert_eq!(all, [book, format!("{other} lost ? book:")], "{format}");
    }
}

#[test]
fn a_book_message_of_okx_says_whether_it_is_whole() {
    let book = |action: &str| {
        format!(
            r#"{{"arg":{{"channel":"books","instId":"A-B"}},{action}"data":[{{"bids":[["1","2","0","1"]],"asks":[],"ts":"1597026383085","checksum":0,"prevSeqId":5,"seqId":6}}]}}"#
        )
    };
    let start = book(r#""action":"snapshot","#);
    for unclear in ["", r#""action":"","#, r#""action":"partial","#] {
        let events = events(Format::Okx, &[&start, &book(unclear)]);
        let lost = "A-B lost 1 book: action is missing or of another type";
        assert_eq!(events[1..], [lost], "{unclear}");
    }
}

#[test]
fn a_coinbase_message_without_a_number_is_a_break_of_the_connection() {
    let message = |channel: &str, number: &str| {
        format!(
            r#"{{"channel":"{channel}","timestamp":"2026-08-09T21:05:48Z",{number}"events":[{{"type":"update","product_id":"BTC-USD","updates":[{{"side":"bid","price_level":"5","new_quantity":"1"}}]}}]}}"#
        )
    };
    let of = |number: u64| format!(r#""sequence_num":{number},"#);
    let book = |number: u64| message("l2_data", &of(number));
    let said = |messages: &[&str]| -> Vec<String> {
        let lines = events(Format::Coinbase, messages).into_iter();
        lines
            .filter(|line| line.contains(" gap "))
            .map(|line| line.replace("BTC-USD gap ", ""))
            .collect()
    };
    for unnumbered in ["", r#""sequence_num":null,"#, r#""sequence_num":"x","#] {
        let unnumbered = message("l2_data", unnumbered);
        // Whether the venue gave it a number or not.
        assert_eq!(
            said(&[&book(1), &unnumbered, &book(3)]),
            ["sequence_num 3 after 1"]
        );
        assert_eq!(
            said(&[&book(1), &unnumbered, &book(2), &book(3)]),
            ["no sequence_num before 2"]
        );
    }
    // A break that a message of an unknown kind shows is told with the next one.
    let novelty = message("novelty", &of(4));
    assert_eq!(
        said(&[&book(1), &novelty, &book(5)]),
        ["sequence_num 5 after 1"]
    );
    assert_eq!(said(&[&book(3), &novelty, &book(5)]), [""; 0]);
}

#[test]
fn a_trade_whose_time_is_missing_or_empty_is_published_without_one_in_every_format() {
    let binance = r#"{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":7,"p":"1.5","q":"2","T":1723161255343,"m":true}"#;
    let bybit = r#"{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1723161255343,"data":[{"T":1723161255343,"s":"BTCUSDT","S":"Sell","v":"2","p":"1.5","i":"7"}]}"#;
    for (format, message, times) in [
        (Format::Binance, binance, &["E", "T"][..]),
        (Format::BinanceUsdm, binance, &["E", "T"]),
        (
            Format::Coinbase,
            r#"{"channel":"market_trades","timestamp":"2024-08-08T23:54:15.343Z","sequence_num":0,"events":[{"type":"update","trades":[{"product_id":"BTC-USDT","trade_id":"7","price":"1.5","size":"2","time":"2024-08-08T23:54:15.343Z","side":"BUY"}]}]}"#,
            &["timestamp", "time"],
        ),
        (
            Format::Kraken,
            r#"{"channel":"trade","type":"update","data":[{"symbol":"BTC/USDT","side":"sell","price":1.5,"qty":2,"trade_id":7,"timestamp":"2024-08-08T23:54:15.343Z"}]}"#,
            &["timestamp"],
        ),
        (
            Format::Okx,
            r#"{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"7","px":"1.5","sz":"2","side":"sell","ts":"1723161255343"}]}"#,
            &["ts"],
        ),
        (Format::BybitSpot, bybit, &["ts", "T"]),
        (Format::BybitLinear, bybit, &["ts", "T"]),
    ] {
        let dated = events(format, &[message]);
        let (trade, time) = dated[0].split_once(" @").unwrap();
        assert_eq!((dated.len(), time), (1, "1723161255343"), "{format}");
        for given in ["\"\"", "null"] {
            let odd = times.iter().fold(message.to_owned(), |text, key| {
                let key = format!("\"{key}\":");
                let start = text.find(&key).unwrap() + key.len();
                let end = start + text[start..].find([',', '}']).unwrap();
                format!("{}{given}{}", &text[..start], &text[end..])
            });
            assert_eq!(events(format, &[&odd]), [trade], "{format}: {odd}");
        }
    }
}

#[test]
fn the_opening_price_of_kraken_is_that_of_a_day_ago_or_none() {
    let ticker = |figures: &str| {
        format!(
            r#"{{"channel":"ticker","type":"update","data":[{{"symbol":"A/B",{figures},"timestamp":"2026-08-12T19:29:02.066592Z"}}]}}"#
        )
    };
    for (figures, expected) in [
        (
            r#""last":5,"volume":7,"change":-0.5"#,
            "last 5 open 5.5 change -0.5 volume 7",
        ),
        (
            r#""last":5,"volume":7,"change":0.0"#,
            "last 5 open 5 change 0 volume 7",
        ),
        // Not traded for a day, or never.
        (
            r#""last":5,"volume":0,"low":0,"high":0,"change":0"#,
            "last 5 high 0 low 0 change 0 volume 0",
        ),
        (
            r#""last":0.0,"volume":0,"change":0.0"#,
            "last 0 change 0 volume 0",
        ),
        (r#""last":0,"change":-5"#, "last 0 change -5"),
        // As new as all of its price.
        (
            r#""last":5,"volume":7,"change":5"#,
            "last 5 change 5 volume 7",
        ),
        (r#""last":5,"change":6"#, "last 5 change 6"),
        (r#""last":5,"volume":7"#, "last 5 volume 7"),
        (r#""last":null,"change":1"#, "change 1"),
        (r#""last":5,"change":null"#, "last 5"),
    ] {
        let expected = format!("A-B ticker {expected} @1786562942066");
        check(Format::Kraken, &[&ticker(figures)], &[&expected]);
    }
}

#[test]
fn a_book_message_that_is_neither_whole_nor_a_change_is_lost() {
    let kraken = |kind: &str| {
        format!(
            r#"{{"channel":"book",{kind}"data":[{{"symbol":"A/B","bids":[{{"price":1.5,"qty":2.5}}],"asks":[]}}]}}"#
        )
    };
    let coinbase = |kind: &str| {
        format!(
            r#"{{"channel":"l2_data","timestamp":"2026-08-09T21:05:48Z","sequence_num":1,"events":[{{{kind}"product_id":"A-B","updates":[{{"side":"bid","price_level":"1.5","new_quantity":"2.5"}}]}}]}}"#
        )
    };
    let bybit = |kind: &str| {
        format!(
            r#"{{"topic":"orderbook.50.BTCUSDT",{kind}"ts":1786310818000,"data":{{"s":"BTCUSDT","b":[["1.5","2.5"]],"a":[],"u":5}}}}"#
        )
    };
    let check = |format, message: &dyn Fn(&str) -> String, number: [&str; 2]| {
        let good = message(r#""type":"snapshot","#);
        for kind in ["", r#""type":null,"#, r#""type":"partial","#] {
            let bad = message(kind).replace(number[0], number[1]);
            let lines = events(format, &[&good, &bad]);
            let is_lost = lines[1].contains(" lost ") && lines[1].contains(" book: ");
            assert!(lines.len() == 2 && is_lost, "{bad}: {lines:?}");
        }
    };
    check(Format::Kraken, &kraken, ["", ""]);
    check(Format::Coinbase, &coinbase, [r#"num":1"#, r#"num":2"#]);
    check(Format::BybitSpot, &bybit, [r#""u":5"#, r#""u":6"#]);
}
