//! Goal: a published line that is read in one pass comes to the very events that the careful reader
//! makes of it, and to the same kinds of mistakes (whose words are the careful reader's in any case).
//!
//! Method: a space behind a line changes nothing of what it says, and sends it to the careful reader. Both readings are compared, and the instruments they made known: for lines with their
//! members in any order, missing, twice, of other types, and for such lines cut and overwritten.

use crate::mutation::{apply, mutation};
use crate::scanned::one_of;
use proptest::prelude::*;
use tapecast_ingest::event::Event;
use tapecast_ingest::push::line::take;
use tapecast_ingest::push::mistake::Mistake;
use tapecast_ingest::push::names::Instruments;
use tapecast_model::{Instrument, InstrumentId, Scale, Symbol, UnixNanos, Venue};

/// A desk that knows some symbols and makes known what is named.
#[derive(Default)]
pub(crate) struct Desk(Vec<Instrument>);

impl Instruments for Desk {
    fn found(&self, symbol: &str) -> Option<InstrumentId> {
        let known = self.0.iter().find(|i| i.symbol.as_str() == symbol);
        known.map(|i| i.id)
    }

    fn find(&mut self, symbol: &str) -> Result<&Instrument, String> {
        if symbol == "UNLISTED" {
            return Err("not here".to_owned());
        }
        let name = Symbol::new(symbol).map_err(|e| e.to_string())?;
        let at = match self.0.iter().position(|i| i.symbol == name) {
            Some(at) => at,
            None => {
                self.0.push(Instrument {
                    id: InstrumentId::new(self.0.len() as u32),
                    venue: Venue::new("desk").unwrap(),
                    symbol: name,
                    native: symbol.into(),
                    price_scale: Scale::new(2).unwrap(),
                    qty_scale: Scale::new(8).unwrap(),
                    lossless: false,
                });
                self.0.len() - 1
            }
        };
        Ok(&self.0[at])
    }
}

/// The events and the mistakes, and what is known after them.
type Reading = (Vec<Event>, Vec<Mistake>, Vec<Instrument>);

fn readings(line: &[u8]) -> [Reading; 2] {
    [line.to_vec(), [line, b" "].concat()].map(|line| {
        let mut desk = Desk::default();
        let taken = take(&line, UnixNanos::new(1), &mut desk);
        let mistakes = taken.mistakes.iter().map(|mistake| mistake.kind);
        (taken.events.into_vec(), mistakes.collect(), desk.0)
    })
}

fn value(key: &'static str) -> BoxedStrategy<String> {
    let number = || {
        one_of(
            &[
                "\"61837.64\"",
                "\"0.10000000\"",
                "\"5\"",
                "12",
                "0",
                "\"0\"",
            ],
            &[
                "1.5",
                "-1",
                "\"-1\"",
                "1e2",
                "\"1e2\"",
                "\"0.001\"",
                "\"99999999999999999999\"",
                "01",
                "\"x\"",
            ],
        )
    };
    let levels = || {
        prop::collection::vec((number(), number()), 0..4).prop_map(|levels| {
            let levels: Vec<_> = levels.iter().map(|(p, q)| format!("[{p},{q}]")).collect();
            format!("[{}]", levels.join(","))
        })
    };
    let usual: BoxedStrategy<String> = match key {
        "channel" => one_of(
            &["\"trade\"", "\"quote\"", "\"book\""],
            &["\"ticker\"", "\"status\"", "\"news\"", "\"tr\\u0061de\""],
        ),
        "symbol" => one_of(
            &["\"X-USD\"", "\"Y-USD\""],
            &["\"UNLISTED\"", "\"no symbol\"", "\"é\"", "7"],
        ),
        "type" => one_of(&["\"snapshot\"", "\"update\""], &["\"delta\"", "1"]),
        "side" => one_of(&["\"buy\"", "\"sell\""], &["\"bid\"", "0"]),
        "ts_event" | "venue_seq" => one_of(
            &["\"0000000000000000106\"", "\"1723161255342000000\"", "106"],
            &[
                "\"99999999999999999999\"",
                "\"1234567890123456789012\"",
                "\"\"",
                "\"+5\"",
                "1723161255342000000",
            ],
        ),
        "id" => one_of(
            &["\"0000000001\"", "17", "\"a9188a0a-82bc\""],
            &["\"\"", "\"a b\"", "\"é\"", "true"],
        ),
        "bids" | "asks" => levels().boxed(),
        "trades" => {
            prop::collection::vec(object(&["id", "price", "qty", "side", "ts_event"]), 0..3)
                .prop_map(|trades| format!("[{}]", trades.join(",")))
                .boxed()
        }
        _ => number(),
    };
    let odd = [
        "null",
        "{}",
        "[]",
        "[[]]",
        "true",
        "\"\"",
        "[{\"id\":null}]",
        "\"\\n\"",
    ];
    prop_oneof![40 => usual, 1 => prop::sample::select(odd.to_vec()).prop_map(str::to_owned)]
        .boxed()
}

/// An object of these members, in any order; at times one is missing or there twice.
fn object(keys: &'static [&'static str]) -> BoxedStrategy<String> {
    let members = || -> Vec<_> {
        let member = |key| value(key).prop_map(move |v| format!("\"{key}\":{v}"));
        keys.iter().map(|key| member(*key)).collect()
    };
    let odd = prop::option::weighted(0.1, (any::<prop::sample::Index>(), any::<bool>()));
    (members(), members(), odd)
        .prop_flat_map(|(mut members, others, odd)| {
            if let Some((at, twice)) = odd {
                let at = at.index(members.len());
                if twice {
                    members.push(others[at].clone());
                } else {
                    members.remove(at);
                }
            }
            prop_oneof![
                Just(members.clone()).boxed(),
                Just(members).prop_shuffle().boxed()
            ]
        })
        .prop_map(|members| format!("{{{}}}", members.join(",")))
        .boxed()
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        object(&["channel", "symbol", "trades"]),
        object(&[
            "channel",
            "symbol",
            "trades",
            "ts_event",
            "venue_seq",
            "note"
        ]),
        object(&[
            "channel", "symbol", "bid", "bid_qty", "ask", "ask_qty", "ts_event"
        ]),
        object(&["channel", "symbol", "bid", "bid_qty", "venue_seq"]),
        object(&[
            "channel",
            "symbol",
            "type",
            "bids",
            "asks",
            "ts_event",
            "venue_seq"
        ]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6_000))]

    #[test]
    fn lines_are_read_alike(
        line in line(),
        channel in prop::option::weighted(0.8, 0_usize..3),
        mutations in prop::collection::vec(mutation(), 1..3),
    ) {
        // Most lines should be of the channel their members are of: then they can be well.
        let mut line = line;
        if channel.is_some() {
            let of = if line.contains("trades") { "trade" } else if line.contains("bids") { "book" } else { "quote" };
            for other in ["trade", "quote", "book"] {
                line = line.replace(&format!("\"channel\":\"{other}\""), &format!("\"channel\":\"{of}\""));
            }
        }
        let mut raw = line.into_bytes();
        let [fast, careful] = readings(&raw);
        prop_assert_eq!(fast, careful, "{}", String::from_utf8_lossy(&raw));
        mutations.iter().for_each(|m| apply(&mut raw, m));
        let [fast, careful] = readings(&raw);
        prop_assert_eq!(fast, careful, "{}", String::from_utf8_lossy(&raw));
    }
}
