//! Goal: a client's book equals the naive one after any sequence of frames, level for level and
//! checksum for checksum. Method: random snapshots and updates over few prices, applied to both; the
//! naive book keeps integers in a map and spells them when asked.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use std::collections::BTreeMap;
use tapecast_client::{ClientBook, Message};

const TOPIC: &str = "book.25:sim:A-B";

#[derive(Clone, Debug, Default)]
struct NaiveBook {
    bids: BTreeMap<u32, u32>,
    asks: BTreeMap<u32, u32>,
}

type Levels = Vec<(u32, u32)>;

impl NaiveBook {
    fn apply(&mut self, snapshot: bool, bids: &Levels, asks: &Levels) {
        if snapshot {
            *self = Self::default();
        }
        for (side, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for &(price, qty) in levels {
                if qty == 0 {
                    side.remove(&price)
                } else {
                    side.insert(price, qty)
                };
            }
        }
    }

    fn best_first(&self) -> (Vec<[String; 2]>, Vec<[String; 2]>) {
        let spell = |(price, qty): (&u32, &u32)| [decimal(*price), decimal(*qty)];
        (
            self.bids.iter().rev().map(spell).collect(),
            self.asks.iter().map(spell).collect(),
        )
    }

    fn checksum(&self) -> u32 {
        let (bids, asks) = self.best_first();
        let best: Vec<String> = asks
            .into_iter()
            .take(10)
            .chain(bids.into_iter().take(10))
            .flatten()
            .collect();
        crc32fast::hash(best.join(":").as_bytes())
    }
}

/// Hundredths, spelled without trailing zeros.
fn decimal(hundredths: u32) -> String {
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn message(snapshot: bool, seq: usize, bids: &Levels, asks: &Levels, checksum: u32) -> Message {
    let spell = |levels: &Levels| {
        let one = |(p, q): &(u32, u32)| format!(r#"["{}","{}"]"#, decimal(*p), decimal(*q));
        levels.iter().map(one).collect::<Vec<_>>().join(",")
    };
    let kind = if snapshot {
        r#""snapshot""#
    } else {
        r#""update""#
    };
    Message::parse(&format!(
        r#"{{"topic":"{TOPIC}","type":{kind},"epoch":1,"seq":{seq},"bids":[{}],"asks":[{}],"checksum":{checksum}}}"#,
        spell(bids),
        spell(asks)
    ))
    .unwrap()
}

fn levels() -> impl Strategy<Value = Levels> {
    prop::collection::vec((90_u32..115, 0_u32..300), 0..12)
}

proptest! {
    #[test]
    fn equals_the_naive_book(
        frames in prop::collection::vec((prop::bool::weighted(0.1), levels(), levels()), 1..40)
    ) {
        let mut naive = NaiveBook::default();
        let mut book = ClientBook::new(TOPIC).unwrap();
        for (seq, (snapshot, bids, asks)) in frames.into_iter().enumerate() {
            naive.apply(snapshot, &bids, &asks);
            let message = message(snapshot, seq, &bids, &asks, naive.checksum());
            prop_assert_eq!(book.apply(message.data().unwrap()), Ok(()));
            let (expected_bids, expected_asks) = naive.best_first();
            let own = |l: &tapecast_client::message::Level| [l.price.clone(), l.qty.clone()];
            prop_assert_eq!(book.bids().map(own).collect::<Vec<_>>(), expected_bids);
            prop_assert_eq!(book.asks().map(own).collect::<Vec<_>>(), expected_asks);
        }
    }
}
