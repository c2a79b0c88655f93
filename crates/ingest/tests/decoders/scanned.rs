//! Goal: a message read by a venue's scanner comes to the very events, or the very reject, that the
//! general reader makes of it.
//!
//! Method: scanners read compact text only, so a space in front of a message, which changes nothing of
//! what it says, sends it the general way. Both ways are compared: for messages with their members in
//! any order, missing, twice, of other types, among unknown ones; for such messages cut, overwritten
//! and pasted together; and for every message of the recordings, if there are any.

use crate::mutation::{apply, mutation};
use crate::reading::{parser, plan};
use proptest::prelude::*;
use tapecast_ingest::event::Event;
use tapecast_ingest::normaliser::Parser;
use tapecast_ingest::venue::{Format, Message, Reject};
use tapecast_model::UnixNanos;
use tapecast_testkit::recordings;

/// A pair of parsers of one plan: one is given messages as they are, one with a space in front.
struct Ways {
    scanner: Parser,
    general: Parser,
}

impl Ways {
    fn new(format: Format, recorded: &[&str]) -> Self {
        let plan = plan(format, recorded);
        Self {
            scanner: parser(format, &plan),
            general: parser(format, &plan),
        }
    }

    /// What both make of a message.
    fn read(&mut self, raw: &[u8]) -> [(Result<(), Reject>, Vec<Event>); 2] {
        let spaced = [b" ", raw].concat();
        [
            (&mut self.scanner, raw.to_vec()),
            (&mut self.general, spaced),
        ]
        .map(|(parser, mut raw)| {
            let mut events = Vec::new();
            let message = Message {
                raw: &mut raw,
                http: None,
                symbol: None,
            };
            (
                parser.parse(message, UnixNanos::new(1), &mut events),
                events,
            )
        })
    }
}

/// Messages that make the instruments known and let every stream be used.
fn recorded(format: Format) -> Vec<String> {
    let shapes: &[&str] = match format {
        Format::Binance | Format::BinanceUsdm => &[
            r#"{"e":"trade","E":1,"s":"SYMBOL","t":1,"p":"0.00000001","q":"0.00001","T":1,"m":true}"#,
            r#"{"u":1,"s":"SYMBOL","b":"1","B":"1","a":"2","A":"1"}"#,
            r#"{"e":"depthUpdate","E":1,"s":"SYMBOL","U":1,"u":1,"b":[],"a":[]}"#,
        ],
        _ => &[],
    };
    let each = |symbol: &str| {
        shapes
            .iter()
            .map(|s| s.replace("SYMBOL", symbol))
            .collect::<Vec<_>>()
    };
    [each("BTCUSDT"), each("ETHUSDT")].concat()
}

/// One of these texts, most often one of the first.
pub(crate) fn one_of(usual: &[&'static str], odd: &[&'static str]) -> BoxedStrategy<String> {
    let (usual, odd) = (usual.to_vec(), odd.to_vec());
    prop_oneof![9 => prop::sample::select(usual), 1 => prop::sample::select(odd)]
        .prop_map(str::to_owned)
        .boxed()
}

/// A value that a member of this name has, or might be sent with.
fn binance_value(key: &'static str) -> BoxedStrategy<String> {
    let number = ["61837.64000000", "0.00020000", "0", "12", "0.00000001"];
    let odd = [
        "null",
        "1.5",
        "-1",
        "1e3",
        "\"\"",
        "\"x\"",
        "true",
        "{}",
        "[]",
        "[[]]",
        "0123",
        "\"1\\u0030\"",
        "99999999999999999999",
        "\"0.0000000000001\"",
        "\"-1\"",
        "\"99999999999999\"",
        "\"é\"",
    ];
    let quoted = number.map(|n| format!("\"{n}\""));
    let texts = || prop::sample::select(quoted.to_vec());
    let usual: BoxedStrategy<String> = match key {
        "e" => one_of(
            &[
                "\"trade\"",
                "\"aggTrade\"",
                "\"bookTicker\"",
                "\"depthUpdate\"",
            ],
            &["\"kline\"", "\"24hrMiniTicker\"", "\"news\""],
        ),
        "s" => one_of(
            &["\"BTCUSDT\"", "\"ETHUSDT\""],
            &["\"LTCUSDT\"", "\"btcusdt\""],
        ),
        "m" | "M" => one_of(&["true", "false"], &["\"true\""]),
        "p" | "q" | "B" | "A" => texts().boxed(),
        "b" | "a" => prop_oneof![
            texts(),
            (0_u64..1_000_000).prop_map(|n| n.to_string()),
            prop::collection::vec((texts(), texts()), 0..4).prop_map(|levels| {
                let levels: Vec<_> = levels.iter().map(|(p, q)| format!("[{p},{q}]")).collect();
                format!("[{}]", levels.join(","))
            }),
        ]
        .boxed(),
        _ => prop_oneof![
            (0_u64..100).prop_map(|n| n.to_string()),
            (1_723_161_255_000_u64..1_723_161_256_000).prop_map(|n| n.to_string()),
            any::<u64>().prop_map(|n| n.to_string()),
        ]
        .boxed(),
    };
    prop_oneof![30 => usual, 1 => prop::sample::select(odd.to_vec()).prop_map(str::to_owned)]
        .boxed()
}

/// A message of the hot kinds, or almost.
fn binance_message() -> impl Strategy<Value = String> {
    let trade = ["e", "E", "s", "t", "p", "q", "T", "m", "M"];
    let agg = ["e", "E", "s", "a", "p", "q", "f", "l", "T", "m"];
    let ticker = ["u", "s", "b", "B", "a", "A"];
    let futures = ["e", "u", "s", "b", "B", "a", "A", "T", "E"];
    let depth = ["e", "E", "T", "s", "U", "u", "pu", "b", "a"];
    let shapes = [&trade[..], &agg, &ticker, &futures, &depth]
        .map(<[_]>::to_vec)
        .to_vec();
    let kinds = [
        "trade",
        "aggTrade",
        "bookTicker",
        "bookTicker",
        "depthUpdate",
    ];
    let extra = prop::sample::select(vec!["X", "st", "x1", "e", "lastUpdateId", "stream", "T"]);
    let member = |key: &'static str| binance_value(key).prop_map(move |value| (key, value));
    let shape = (0..shapes.len()).prop_flat_map(move |at| {
        let members: Vec<_> = shapes[at].iter().map(|key| member(key)).collect();
        // Most often a message is of the kind its members are of.
        (members, any::<u8>()).prop_map(move |(mut members, odds)| {
            for (key, value) in &mut members {
                if *key == "e" && odds > 20 {
                    *value = format!("\"{}\"", kinds[at]);
                }
            }
            members
        })
    });
    let extras = prop_oneof![
        4 => Just(Vec::new()).boxed(),
        1 => prop::collection::vec(extra.prop_flat_map(member), 1..3).boxed(),
    ];
    let stream = prop::sample::select(vec![
        "",
        "btcusdt@trade",
        "btcusdt@depth5",
        "btcusdt@depth@100ms",
    ]);
    (
        shape,
        extras,
        stream,
        any::<bool>(),
        prop::option::weighted(0.1, any::<prop::sample::Index>()),
    )
        .prop_flat_map(|(mut members, extras, stream, shuffled, without)| {
            members.extend(extras);
            if let Some(without) = without {
                members.remove(without.index(members.len()));
            }
            let members = if shuffled {
                Just(members).prop_shuffle().boxed()
            } else {
                Just(members).boxed()
            };
            (members, Just(stream))
        })
        .prop_map(|(members, stream)| {
            let members: Vec<_> = members
                .iter()
                .map(|(key, value)| format!("\"{key}\":{value}"))
                .collect();
            let object = format!("{{{}}}", members.join(","));
            match stream {
                "" => object,
                stream => format!("{{\"stream\":\"{stream}\",\"data\":{object}}}"),
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn binance_is_scanned_as_it_is_read(
        format in prop::sample::select(vec![Format::Binance, Format::BinanceUsdm]),
        messages in prop::collection::vec((binance_message(), prop::collection::vec(mutation(), 0..2)), 1..4),
    ) {
        let recorded = recorded(format);
        let recorded: Vec<_> = recorded.iter().map(String::as_str).collect();
        let mut ways = Ways::new(format, &recorded);
        for (message, mutations) in messages {
            let mut raw = message.into_bytes();
            let [scanned, general] = ways.read(&raw);
            prop_assert_eq!(scanned, general, "{}", String::from_utf8_lossy(&raw));
            mutations.iter().for_each(|m| apply(&mut raw, m));
            let [scanned, general] = ways.read(&raw);
            prop_assert_eq!(scanned, general, "{}", String::from_utf8_lossy(&raw));
        }
    }
}

#[test]
fn every_recorded_message_is_scanned_as_it_is_read() {
    for recording in recordings() {
        let format: Format = recording.format.parse().unwrap();
        let rows = || {
            recording
                .rows()
                .filter(|row| row.symbol.is_none())
                .map(|row| {
                    let line: serde_json::Value = serde_json::from_str(&row.line).unwrap();
                    line["raw"].as_str().map_or(row.line, str::to_owned)
                })
        };
        let lines: Vec<_> = rows().collect();
        let recorded: Vec<_> = lines.iter().map(String::as_str).collect();
        let mut ways = Ways::new(format, &recorded);
        let mut events = 0;
        for line in &lines {
            let [scanned, general] = ways.read(line.as_bytes());
            events += scanned.1.len();
            assert_eq!(scanned, general, "{}: {line}", recording.name);
        }
        assert!(events > 0, "{}", recording.name);
    }
}
