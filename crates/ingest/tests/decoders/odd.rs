//! The same news in odd writing, in every format and in published lines: members that are there twice, numbers with exponents
//! and with zeros without end, prices at and below zero, and batches of which a part is bad.
//!
//! Method: what is read of a message in its usual writing is compared with what is read of the odd one.

use crate::published::Desk;
use crate::reading::{check, events};
use tapecast_ingest::push::line::take;
use tapecast_ingest::push::mistake::Mistake;
use tapecast_ingest::venue::Format;
use tapecast_model::UnixNanos;

/// Messages of each format, of every kind that has numbers.
const USUAL: [(Format, &[&str]); 7] = [
    (Format::Binance, &SPOT),
    (
        Format::BinanceUsdm,
        &[
            r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1786310818000,"T":1786310817999,"s":"BTCUSDT","t":100,"p":"65100.10","q":"0.004","X":"MARKET","m":false}}"#,
            r#"{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1721347022504,"T":1721347022503,"s":"BTCUSDT","U":10,"u":20,"pu":9,"b":[["1000.50","569.567"]],"a":[["1001.25","0.5"]]}}"#,
            r#"{"lastUpdateId":15,"E":1721347022759,"T":1721347022750,"bids":[["63943.90","46.372"]],"asks":[]}"#,
        ],
    ),
    (
        Format::Coinbase,
        &[
            r#"{"channel":"market_trades","timestamp":"2026-08-09T21:05:48.5Z","sequence_num":1,"events":[{"type":"update","trades":[{"product_id":"BTC-USD","trade_id":"12","price":"65083.67","size":"0.01034361","time":"2026-08-09T21:05:48.167634Z","side":"SELL"},{"product_id":"BTC-USD","trade_id":"11","price":"65083.6","size":"1.5","time":"2026-08-09T21:05:48Z","side":"BUY"}]}]}"#,
            r#"{"channel":"l2_data","timestamp":"2026-08-09T21:05:48.5Z","sequence_num":2,"events":[{"type":"snapshot","product_id":"BTC-USD","updates":[{"side":"bid","price_level":"65062.5","new_quantity":"0.00583"},{"side":"offer","price_level":"65063.1","new_quantity":"1.0"}]}]}"#,
            r#"{"channel":"ticker","timestamp":"2026-08-09T21:05:48.5Z","sequence_num":3,"events":[{"type":"update","tickers":[{"type":"ticker","product_id":"BTC-USD","price":"1919.41","volume_24_h":"19975.95927439","low_24_h":"1911.04","high_24_h":"1925.0","price_percent_chg_24_h":"0.025"}]}]}"#,
        ],
    ),
    (
        Format::Kraken,
        &[
            r#"{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":63388.7,"qty":0.25761908}],"asks":[{"qty":1.5,"price":63389.1}],"checksum":3726153463,"timestamp":"2026-08-02T03:35:51.302928Z"}]}"#,
            r#"{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":105944.20,"qty":0.00027625,"ord_type":"limit","trade_id":18,"timestamp":"2023-10-06T17:35:55.440295Z"},{"symbol":"ETH/USD","side":"sell","price":1.5,"qty":2.5,"ord_type":"limit","trade_id":19,"timestamp":"2023-10-06T17:35:55.440295Z"}]}"#,
            r#"{"channel":"ticker","type":"update","data":[{"symbol":"ETH/USD","bid":63297.7,"bid_qty":5.45673101,"ask":63297.8,"ask_qty":0.36974422,"last":63297.8,"volume":1020.88391276,"low":63250.0,"high":64409.2,"change":0.7,"change_pct":0.25,"timestamp":"2026-08-12T19:29:02.066592Z"}]}"#,
        ],
    ),
    (
        Format::Okx,
        &[
            r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["8476.98","415.5","0","13"]],"bids":[["8476.9","256.25","0","12"]],"ts":"1597026383085","checksum":7,"prevSeqId":-1,"seqId":123456}]}"#,
            r#"{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1040968613","px":"64040.2","sz":"0.00240857","side":"buy","ts":"1786538760218","count":"2","seqId":79706765242}]}"#,
            r#"{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instType":"SPOT","instId":"BTC-USDT","last":"63707.3","open24h":"63958.9","high24h":"64496.9","low24h":"63309.4","volCcy24h":"229576048.730317321","vol24h":"3601.1585121","ts":"1786613174873"}]}"#,
        ],
    ),
    (Format::BybitSpot, &BYBIT),
    (Format::BybitLinear, &BYBIT),
];

const SPOT: [&str; 6] = [
    r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}"#,
    r#"{"e":"aggTrade","E":1633998523963,"s":"NKNUSDT","a":15683430,"p":"0.35280000","q":"58.00000000","f":19862790,"l":19862790,"T":1633998523963,"m":false,"M":true}"#,
    r#"{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}"#,
    r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255308,"s":"BTCUSDT","U":50093239203,"u":50093239207,"b":[["55653.87000000","0.00000000"]],"a":[["61838.04000000","0.32332000"]]}}"#,
    r#"{"lastUpdateId":50093239218,"bids":[["61837.63000000","3.78826000"]],"asks":[["61837.64000000","1.00000000"]]}"#,
    r#"[{"e":"24hrMiniTicker","E":1672515782136,"s":"ETHBTC","c":"0.06","o":"0.05","h":"0.07","l":"0.04","v":"10.0","q":"0.5"}]"#,
];

const BYBIT: [&str; 4] = [
    r#"{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1786309548000,"data":[{"T":1786309548000,"s":"BTCUSDT","S":"Buy","v":"1.25","p":"65000.5","i":"7"},{"T":1786309548001,"s":"BTCUSDT","S":"Sell","v":"0.5","p":"65000.4","i":"8"}]}"#,
    r#"{"topic":"orderbook.50.BTCUSDT","ts":1786310818000,"type":"snapshot","data":{"s":"BTCUSDT","b":[["100.5","1.5"]],"a":[["101.25","2.0"]],"u":5,"seq":50},"cts":1786310818000}"#,
    r#"{"topic":"orderbook.1.BTCUSDT","type":"snapshot","ts":1786310818130,"data":{"s":"BTCUSDT","b":[["100.5","1.5"]],"a":[["101.25","2.0"]],"u":15,"seq":50},"cts":1786310818129}"#,
    r#"{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","price24hPcnt":"0.001624","lastPrice":"65114.30","prevPrice24h":"65008.70","volume24h":"17576.044"},"cs":1,"ts":1786310817883}"#,
];

/// The events, without how their numbers were spelled.
fn read(format: Format, messages: &[&str]) -> Vec<String> {
    let unspelled = |line: String| {
        let words = line.split(' ').map(str::to_owned);
        let mut spelled = 0;
        let kept = words.filter(|word| {
            spelled = match (word.as_str(), spelled) {
                ("spelled", _) => 3,
                (_, left @ 1..) if word.starts_with(|c: char| c.is_ascii_digit()) => left - 1,
                _ => 0,
            };
            spelled == 0
        });
        kept.collect::<Vec<_>>().join(" ")
    };
    events(format, messages)
        .into_iter()
        .map(unspelled)
        .collect()
}

/// Where the tokens of a message begin and end that are strings or numbers, and whether each is a key.
fn tokens(message: &str) -> Vec<(usize, usize, bool)> {
    let bytes = message.as_bytes();
    let (mut at, mut tokens) = (0, Vec::new());
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b'"' => {
                at += 1 + bytes[at + 1..].iter().position(|b| *b == b'"').unwrap() + 1;
                tokens.push((start, at, bytes.get(at) == Some(&b':')));
            }
            b'-' | b'0'..=b'9' => {
                let is_part = |b: &u8| matches!(b, b'-' | b'.' | b'0'..=b'9');
                at += bytes[at..].iter().take_while(|b| is_part(b)).count();
                tokens.push((start, at, false));
            }
            _ => at += 1,
        }
    }
    tokens
}

/// Published lines of every kind that has numbers, with as many digits as their instrument.
const PUBLISHED: [&str; 4] = [
    r#"{"channel":"trade","symbol":"X-USD","ts_event":1723161255342000000,"trades":[{"id":"12","price":"61837.64","qty":"0.1605","side":"buy","ts_event":"1723161255342000000"},{"id":13,"price":61837.60,"qty":1.5,"side":"sell"}]}"#,
    r#"{"channel":"quote","symbol":"X-USD","bid":"61837.63","bid_qty":3.78826,"ask":"61837.64","ask_qty":"1.54698","venue_seq":7}"#,
    r#"{"channel":"book","symbol":"X-USD","type":"update","bids":[["61837.60","1.1"],[61837.5,"0.0"]],"asks":[]}"#,
    r#"{"channel":"ticker","symbol":"X-USD","last":"1.25","open":1.5,"volume":"100.125"}"#,
];

/// What a published line comes to: its events, and what is wrong with it.
fn published(line: &str) -> (String, Vec<Mistake>) {
    let taken = take(line.as_bytes(), UnixNanos::new(1), &mut Desk::default());
    let mistakes = taken.mistakes.iter().map(|mistake| mistake.kind).collect();
    (format!("{:?}", taken.events), mistakes)
}

/// The message with the member that begins at `start`, whose name ends at `end`, there twice: `other` first.
fn doubled(message: &str, (start, end): (usize, usize), other: &str) -> String {
    let key = &message[start..end];
    format!("{}{key}:{other},{}", &message[..start], &message[start..])
}

const OTHERS: [&str; 7] = [
    "null",
    "\"7.5\"",
    "7",
    "{}",
    "[[\"7\",\"7\"]]",
    "[]",
    "true",
];

#[test]
fn of_a_doubled_key_the_last_counts_in_published_lines_at_every_depth() {
    for line in PUBLISHED {
        let usual = published(line);
        assert_eq!(usual.1, [], "{line}");
        for (start, end, _) in tokens(line).into_iter().filter(|(.., key)| *key) {
            for other in OTHERS {
                let odd = doubled(line, (start, end), other);
                assert_eq!(published(&odd), usual, "{odd}");
            }
        }
    }
}

#[test]
fn a_number_is_itself_however_it_is_written_in_published_lines() {
    for line in PUBLISHED {
        for way in 0..8 {
            let odd = rewrite(line, way);
            assert_eq!(published(&odd), published(line), "{odd}");
        }
    }
}

#[test]
fn of_a_doubled_key_the_last_counts_in_every_format_at_every_depth() {
    for (format, messages) in USUAL {
        for (index, message) in messages.iter().enumerate() {
            let usual = events(format, messages);
            let mut count = 0;
            for (start, end, _) in tokens(message).into_iter().filter(|(.., key)| *key) {
                for other in OTHERS {
                    let odd = doubled(message, (start, end), other);
                    let mut all = messages.to_vec();
                    all[index] = &odd;
                    assert_eq!(events(format, &all), usual, "{format}: {odd}");
                    count += 1;
                }
            }
            assert!(count >= 21, "{message}");
        }
    }
}

/// Other ways to write a number with a point.
fn rewritten(number: &str, in_quotes: bool) -> [String; 8] {
    let (whole, fraction) = number.split_once('.').unwrap();
    let digits = format!("{whole}{fraction}");
    // JSON's numbers have no zeros in front, and texts may.
    let bare = match digits.trim_start_matches('0') {
        "" => "0",
        significant => significant,
    };
    let (places, zeros) = (fraction.len(), "0".repeat(30));
    [
        format!("{bare}e-{places}"),
        format!("{bare}E-0{places}"),
        format!("{bare}0000e-{}", places + 4),
        format!("{number}{zeros}{zeros}"),
        format!("{number}e0"),
        format!("0.{digits}e{}", whole.len()),
        format!("0.{zeros}{digits}E+{}", whole.len() + 30),
        match in_quotes {
            true => format!("{zeros}{number}"),
            false => format!("{number}E+00"),
        },
    ]
}

/// The message with each of its numbers that have a point written in another way.
fn rewrite(message: &str, way: usize) -> String {
    let (mut text, mut end) = (String::new(), 0);
    for (from, to, key) in tokens(message) {
        let quote = usize::from(message.as_bytes()[from] == b'"');
        let content = &message[from + quote..to - quote];
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let has_point = content
            .split_once('.')
            .is_some_and(|(w, f)| is_digits(w) && is_digits(f));
        if !key && has_point {
            text.push_str(&message[end..from + quote]);
            text.push_str(&rewritten(content, quote == 1)[way]);
            end = to - quote;
        }
    }
    assert!(end > 0, "{message} has no number");
    text + &message[end..]
}

#[test]
fn a_number_is_itself_however_it_is_written_in_every_format() {
    for (format, messages) in USUAL {
        let usual = read(format, messages);
        for way in 0..8 {
            let odd: Vec<_> = messages
                .iter()
                .map(|message| rewrite(message, way))
                .collect();
            let odd: Vec<_> = odd.iter().map(String::as_str).collect();
            assert_eq!(read(format, &odd), usual, "{format}: {odd:?}");
        }
    }
}

#[test]
fn whole_numbers_of_kraken_may_have_exponents_and_a_fraction_is_none() {
    let trade = |id: &str| {
        format!(
            r#"{{"channel":"trade","type":"update","data":[{{"symbol":"BTC/USD","side":"buy","price":1,"qty":1,"trade_id":{id},"timestamp":"2023-10-06T17:35:55Z"}}]}}"#
        )
    };
    let book = |sum: &str| {
        format!(
            r#"{{"channel":"book","type":"snapshot","data":[{{"symbol":"BTC/USD","bids":[],"asks":[],"checksum":{sum}}}]}}"#
        )
    };
    let (usual, usual_sum) = (trade("1020"), book("3726153000"));
    for odd in [trade("1.02e3"), trade("102e+1"), trade("\"1020\"")] {
        assert_eq!(
            events(Format::Kraken, &[&odd]),
            events(Format::Kraken, &[&usual]),
            "{odd}"
        );
    }
    for odd in [book("3.726153e9"), book("3726153E3")] {
        assert_eq!(
            events(Format::Kraken, &[&odd]),
            events(Format::Kraken, &[&usual_sum]),
            "{odd}"
        );
    }
    for bad in ["1020.5", "-1", "1e-1"] {
        let lines = events(Format::Kraken, &[&usual, &trade(bad)]);
        assert!(lines[1].contains("lost 1 trade"), "{lines:?}");
        let lines = events(Format::Kraken, &[&usual_sum, &book(bad)]);
        assert!(lines[1].contains("lost 1 book"), "{lines:?}");
    }
}

/// One row of a tape: id, price, quantity.
type Row<'a> = (u64, &'a str, &'a str);

/// A message with these trades, oldest first; of a venue without batches one message for each.
fn tape(format: Format, rows: &[Row<'_>]) -> Vec<String> {
    let join =
        |word: &dyn Fn(&Row<'_>) -> String| rows.iter().map(word).collect::<Vec<_>>().join(",");
    match format {
        Format::Binance | Format::BinanceUsdm => {
            let message = |(id, price, qty): &Row<'_>| {
                format!(
                    r#"{{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":{id},"p":"{price}","q":"{qty}","T":1723161255343,"m":true}}"#
                )
            };
            rows.iter().map(message).collect()
        }
        Format::Coinbase => {
            let row = |(id, price, qty): &Row<'_>| {
                format!(
                    r#"{{"product_id":"BTC-USDT","trade_id":"{id}","price":"{price}","size":"{qty}","time":"2024-08-08T23:54:15.343Z","side":"BUY"}}"#
                )
            };
            let newest_first: Vec<_> = rows.iter().rev().map(row).collect();
            vec![format!(
                r#"{{"channel":"market_trades","timestamp":"2024-08-08T23:54:15.343Z","sequence_num":0,"events":[{{"type":"update","trades":[{}]}}]}}"#,
                newest_first.join(",")
            )]
        }
        Format::Kraken => vec![format!(
            r#"{{"channel":"trade","type":"update","data":[{}]}}"#,
            join(&|(id, price, qty)| format!(
                r#"{{"symbol":"BTC/USDT","side":"sell","price":{price},"qty":{qty},"trade_id":{id},"timestamp":"2024-08-08T23:54:15.343Z"}}"#
            ))
        )],
        Format::Okx => vec![format!(
            r#"{{"arg":{{"channel":"trades","instId":"BTC-USDT"}},"data":[{}]}}"#,
            join(&|(id, price, qty)| format!(
                r#"{{"instId":"BTC-USDT","tradeId":"{id}","px":"{price}","sz":"{qty}","side":"sell","ts":"1723161255343"}}"#
            ))
        )],
        Format::BybitSpot | Format::BybitLinear => vec![format!(
            r#"{{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1723161255343,"data":[{}]}}"#,
            join(&|(id, price, qty)| format!(
                r#"{{"T":1723161255343,"s":"BTCUSDT","S":"Sell","v":"{qty}","p":"{price}","i":"{id}"}}"#
            ))
        )],
    }
}

/// A change to a book: bids.
fn bids(format: Format, levels: &[(&str, &str)]) -> String {
    let pair = |(price, qty): &(&str, &str)| match format {
        Format::Coinbase => {
            format!(r#"{{"side":"bid","price_level":"{price}","new_quantity":"{qty}"}}"#)
        }
        Format::Kraken => format!(r#"{{"price":{price},"qty":{qty}}}"#),
        _ => format!(r#"["{price}","{qty}"]"#),
    };
    let levels = levels.iter().map(pair).collect::<Vec<_>>().join(",");
    match format {
        Format::Binance | Format::BinanceUsdm => format!(
            r#"{{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":1,"b":[{levels}],"a":[]}}"#
        ),
        Format::Coinbase => format!(
            r#"{{"channel":"l2_data","sequence_num":0,"events":[{{"type":"update","product_id":"BTC-USDT","updates":[{levels}]}}]}}"#
        ),
        Format::Kraken => format!(
            r#"{{"channel":"book","type":"update","data":[{{"symbol":"BTC/USDT","bids":[{levels}],"asks":[]}}]}}"#
        ),
        Format::Okx => format!(
            r#"{{"arg":{{"channel":"books","instId":"BTC-USDT"}},"action":"update","data":[{{"asks":[],"bids":[{levels}]}}]}}"#
        ),
        Format::BybitSpot | Format::BybitLinear => format!(
            r#"{{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1,"data":{{"s":"BTCUSDT","b":[{levels}],"a":[],"u":5}}}}"#
        ),
    }
}

/// What is said of the trades, the losses and the ids without trades, in short. Coinbase's messages are
/// numbered in order.
fn said(format: Format, messages: &[String]) -> Vec<String> {
    let number = |(at, message): (usize, &String)| {
        message.replace("\"sequence_num\":0", &format!("\"sequence_num\":{at}"))
    };
    let messages: Vec<_> = messages.iter().enumerate().map(number).collect();
    let messages: Vec<_> = messages.iter().map(String::as_str).collect();
    let short = |line: String| {
        let words = line.split(' ').skip(1);
        let words = words.filter(|word| *word != "opaque" && !word.starts_with(['@', '#']));
        let is_link = |word: &&str| matches!(*word, "None" | "Range" | "Step(5)");
        words
            .take_while(|word| !is_link(word))
            .collect::<Vec<_>>()
            .join(" ")
    };
    events(format, &messages).into_iter().map(short).collect()
}

#[test]
fn a_trade_may_cost_nothing_or_less_and_its_quantity_is_above_zero_in_every_format() {
    for format in Format::ALL {
        let rows = [
            (1, "-37.63", "1.5"),
            (2, "0", "2"),
            (3, "0.00", "1"),
            (4, "5", "0.0"),
            (5, "5", "0"),
            (6, "5.25", "1"),
        ];
        let said = said(format, &tape(format, &rows)).join(" ");
        let trades = "trade -37.63x1.5 sell 1 0x2 sell 2 0x1 sell 3";
        let expected = match format {
            Format::Binance | Format::BinanceUsdm => "trade -37.63x1.5 sell 1 trade 0x2 sell 2 trade 0x1 sell 3 skipped 4..4 skipped 5..5 trade 5.25x1 sell 6".to_owned(),
            Format::BybitSpot | Format::BybitLinear => format!("{trades} trade 5.25x1 sell 6"),
            _ => format!("{trades} skipped 4..4 skipped 5..5 trade 5.25x1 sell 6"),
        };
        assert_eq!(said, expected, "{format}");
    }
}

#[test]
fn a_bad_row_of_a_batch_is_lost_alone_in_every_format_that_has_batches() {
    for format in Format::ALL {
        if matches!(format, Format::Binance | Format::BinanceUsdm) {
            // One trade in each message, whose id shows that it is missing.
            continue;
        }
        for bad in ["-1", "1e99", "{}", "1.5.5"] {
            let good = tape(format, &[(1, "37.63", "1.5")]);
            let batch = tape(
                format,
                &[
                    (2, "37.63", "1"),
                    (3, "37.63", bad),
                    (4, "37.63", bad),
                    (5, "37.63", "2"),
                ],
            );
            let batch = match bad {
                // No text at all, in the venues that write texts.
                "{}" => batch
                    .iter()
                    .map(|text| text.replace("\"{}\"", "{}"))
                    .collect(),
                _ => batch,
            };
            if format == Format::Kraken && bad == "1.5.5" {
                continue;
            }
            let said = said(format, &[good, batch].concat());
            let losses = said
                .iter()
                .filter(|line| line.starts_with("lost 2 trade"))
                .count();
            let trades: Vec<_> = said
                .iter()
                .filter(|line| line.starts_with("trade"))
                .collect();
            let expected = [
                "trade 37.63x1.5 sell 1",
                "trade 37.63x1 sell 2",
                "trade 37.63x2 sell 5",
            ];
            assert_eq!((losses, said.len()), (1, 4), "{format} {bad}: {said:?}");
            assert_eq!(trades, expected, "{format} {bad}");
        }
    }
}

#[test]
fn a_level_may_cost_nothing_or_less_and_its_size_is_not_below_zero_in_every_format() {
    for format in Format::ALL {
        let good = bids(
            format,
            &[("-37.63", "1.5"), ("0", "2"), ("0.25", "0"), ("37", "-0")],
        );
        let bad = bids(format, &[("37.63", "1.5"), ("37.5", "-1.5")]);
        let said = said(format, &[good, bad]);
        assert_eq!(
            said[0], "update [-37.63x1.5 0x2 0.25x0 37x0] []",
            "{format}"
        );
        let told = match format {
            Format::Binance | Format::BinanceUsdm | Format::BybitSpot | Format::BybitLinear => {
                "lost ? book: a message could not be read"
            }
            _ => "lost 1 book: quantity cannot be read",
        };
        assert_eq!(said[1..], [told], "{format}");
    }
}

#[test]
fn a_bad_ticker_among_others_is_lost_alone() {
    let coinbase = |first: &str| {
        format!(
            r#"{{"channel":"ticker","timestamp":"2026-08-09T21:05:48.5Z","sequence_num":0,"events":[{{"type":"update","tickers":[{{"product_id":"BTC-USD","price":"{first}"}},{{"product_id":"ETH-USD","price":"2"}}]}}]}}"#
        )
    };
    let okx = |first: &str| {
        format!(
            r#"{{"arg":{{"channel":"tickers","instId":"BTC-USD"}},"data":[{{"instId":"BTC-USD","last":"{first}"}},{{"instId":"ETH-USD","last":"2"}}]}}"#
        )
    };
    let kraken = |first: &str| {
        format!(
            r#"{{"channel":"ticker","type":"update","data":[{{"symbol":"BTC/USD","last":{first}}},{{"symbol":"ETH/USD","last":2}}]}}"#
        )
    };
    let check = |format, message: &dyn Fn(&str) -> String, reason: &str| {
        let bad = message("\"x\"").replace("\"\"", "\"");
        let expected = [
            "ticker last 1",
            "ticker last 2",
            &format!("lost 1 ticker: {reason} cannot be read"),
            "ticker last 2",
        ];
        assert_eq!(said(format, &[message("1"), bad]), expected, "{format}");
    };
    check(Format::Coinbase, &coinbase, "price");
    check(Format::Okx, &okx, "last");
    check(Format::Kraken, &kraken, "last");
}

#[test]
fn figures_stand_whatever_is_wrong_with_the_quote_beside_them() {
    let ticker = |bid: &str| {
        format!(
            r#"{{"channel":"ticker","type":"update","data":[{{"symbol":"BTC/USD","last":1.5,"bid":{bid},"bid_qty":1,"ask":3,"ask_qty":1}}]}}"#
        )
    };
    check(
        Format::Kraken,
        &[&ticker("2"), &ticker("\"x\""), &ticker("2.5")],
        &[
            "BTC-USD ticker last 1.5",
            "BTC-USD quote 2x1 3x1",
            "BTC-USD ticker last 1.5",
            "BTC-USD lost 1 quote: price cannot be read",
            "BTC-USD ticker last 1.5",
            "BTC-USD quote 2.5x1 3x1",
        ],
    );
}

#[test]
fn what_says_nothing_of_trading_does_not_hide_what_does() {
    let ticker = r#"{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","last":1.5}]}"#;
    check(
        Format::Kraken,
        &[
            ticker,
            r#"{"channel":"status","type":"update","data":[7,null,{"system":null},{"system":"maintenance"}]}"#,
            r#"{"channel":"instrument","type":"update","data":{"pairs":[null,"x",{"symbol":"BTC/USD","status":"online"}]}}"#,
        ],
        &[
            "BTC-USD ticker last 1.5",
            "BTC-USD trading halted",
            "BTC-USD trading open",
        ],
    );
}

#[test]
fn a_top_whose_number_starts_over_twice_is_no_repetition() {
    let top = |kind: &str, number: u64, bid: &str| {
        format!(
            r#"{{"topic":"orderbook.1.BTCUSDT","type":"{kind}","ts":1786310818130,"data":{{"s":"BTCUSDT","b":[["{bid}","1"]],"a":[["9","1"]],"u":{number},"seq":1}}}}"#
        )
    };
    let quote = |bid: &str, number: u64| {
        format!("BTC-USDT snapshot [{bid}x1] [9x1] Step({number}) quote #{number} @1786310818130")
    };
    let (first, again, other) = (
        top("snapshot", 1, "5"),
        top("snapshot", 1, "6"),
        top("delta", 1, "6"),
    );
    check(
        Format::BybitSpot,
        &[&first, &first, &again, &again, &other, &first],
        &[&quote("5", 1), &quote("6", 1), &quote("5", 1)],
    );
    // A change that has the number of the one before it, and other levels, is a break.
    let (two, still) = (top("delta", 2, "7"), top("delta", 2, "8"));
    let lines = events(Format::BybitSpot, &[&first, &two, &two, &still]);
    let kinds: Vec<_> = lines.iter().map(|l| l.split(' ').nth(1).unwrap()).collect();
    assert_eq!(kinds, ["snapshot", "update", "lost"]);
}
