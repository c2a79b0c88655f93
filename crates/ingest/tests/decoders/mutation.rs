//! Goal: no bytes make a parser panic, and a message that is refused leaves no event behind but a
//! gap. Method: real shapes, cut, overwritten, spliced and pasted together at random places.

use crate::reading::{parser, plan};
use proptest::prelude::*;
use tapecast_ingest::event::{EventBody, FeedEvent};
use tapecast_ingest::venue::{Format, Message};
use tapecast_model::UnixNanos;

/// One of each shape; what is one venue's is another's nonsense.
const SEEDS: [&str; 12] = [
    r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}"#,
    r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255308,"s":"BTCUSDT","U":3,"u":7,"pu":2,"b":[["55653.87000000","0.00000000"]],"a":[["61838.04","0.3"]]}}"#,
    r#"{"lastUpdateId":5,"bids":[["61837.63000000","3.78826000"]],"asks":[["61837.64000000","1.00000000"]]}"#,
    r#"{"e":"24hrTicker","E":1672515782136,"s":"BTCUSDT","p":"0.0015","P":"250.00","c":"0.0025","o":"0.0010","h":"0.0025","l":"0.0010","v":"10000","q":"18"}"#,
    r#"{"channel":"market_trades","timestamp":"2026-08-09T21:05:48.25Z","sequence_num":9,"events":[{"type":"update","trades":[{"product_id":"BTC-USD","trade_id":"1068572091","price":"65083.67","size":"0.01034361","time":"2026-08-09T21:05:48.167634Z","side":"SELL"}]}]}"#,
    r#"{"channel":"l2_data","timestamp":"2026-08-09T21:05:48.5Z","sequence_num":10,"events":[{"type":"snapshot","product_id":"BTC-USD","updates":[{"side":"bid","price_level":"65062.5","new_quantity":"0.00583"}]}]}"#,
    r#"{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":63388.7,"qty":0.25761908}],"asks":[{"price":63389.0,"qty":1.0}],"checksum":3726153463,"timestamp":"2026-08-02T03:35:51.302928Z"}]}"#,
    r#"{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":105944.20,"qty":0.00027625,"ord_type":"limit","trade_id":10218208,"timestamp":"2023-10-06T17:35:55.440295Z"}]}"#,
    r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["8476.98","415","0","13"]],"bids":[["8476.97","256","0","12"]],"ts":"1597026383085","checksum":-5,"prevSeqId":-1,"seqId":123456}]}"#,
    r#"{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1040968613","px":"64040.2","sz":"0.00240857","side":"buy","ts":"1786538760218","seqId":79706765242}]}"#,
    r#"{"topic":"orderbook.1.BTCUSDT","type":"delta","ts":1786310818130,"data":{"s":"BTCUSDT","b":[["65093.10","0"]],"a":[["65116.60","0"]],"u":15076953,"seq":753843913870},"cts":1786310818129}"#,
    r#"{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","price24hPcnt":"0.001624","lastPrice":"65114.30","prevPrice24h":"65008.70"},"cs":1,"ts":1786310817883}"#,
];

#[derive(Clone, Debug)]
pub(crate) enum Mutation {
    Cut(usize),
    Overwrite(usize, u8),
    Insert(usize, &'static str),
    Paste(usize, usize),
}

pub(crate) fn mutation() -> impl Strategy<Value = Mutation> {
    let piece = prop::sample::select(vec![
        "null",
        "{}",
        "[]",
        "\"\"",
        "-1",
        "1e9",
        "1e-300",
        "99999999999999999999999",
        "\\u0000",
        "\\ud83d",
        ",",
        "\"",
        "{\"",
        "[[[[",
        "é",
        "0.000000000000000000000001",
    ]);
    prop_oneof![
        (0_usize..300).prop_map(Mutation::Cut),
        (0_usize..300, any::<u8>()).prop_map(|(at, byte)| Mutation::Overwrite(at, byte)),
        (0_usize..300, piece).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        (0_usize..300, 0..SEEDS.len()).prop_map(|(at, seed)| Mutation::Paste(at, seed)),
    ]
}

pub(crate) fn apply(raw: &mut Vec<u8>, mutation: &Mutation) {
    let length = raw.len();
    let place = |at: usize| at % (length + 1);
    match mutation {
        Mutation::Cut(at) => raw.truncate(place(*at)),
        Mutation::Overwrite(at, byte) if length > 0 => raw[at % length] = *byte,
        Mutation::Overwrite(..) => {}
        Mutation::Insert(at, piece) => drop(raw.splice(place(*at)..place(*at), piece.bytes())),
        Mutation::Paste(at, seed) => {
            raw.truncate(place(*at));
            let tail = &SEEDS[*seed].as_bytes()[*at % SEEDS[*seed].len()..];
            raw.extend_from_slice(tail);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_panics_and_a_refused_message_leaves_only_losses(
        format in prop::sample::select(Format::ALL.to_vec()),
        script in prop::collection::vec((0..SEEDS.len(), prop::collection::vec(mutation(), 0..3)), 1..8),
    ) {
        // Scanned in whole or in mutated shape: a scan must bear both.
        let bytes: Vec<Vec<u8>> = script
            .iter()
            .map(|(seed, mutations)| {
                let mut raw = SEEDS[*seed].as_bytes().to_vec();
                mutations.iter().for_each(|m| apply(&mut raw, m));
                raw
            })
            .collect();
        let lossy: Vec<_> = bytes.iter().map(|raw| String::from_utf8_lossy(raw)).collect();
        let mut recorded = SEEDS.to_vec();
        recorded.extend(lossy.iter().map(AsRef::as_ref));
        let mut parser = parser(format, &plan(format, &recorded));
        let mut events = Vec::new();
        for raw in bytes {
            let mut raw = raw;
            let before = events.len();
            let message = Message { raw: &mut raw, http: None, symbol: None };
            if parser.parse(message, UnixNanos::new(1), &mut events).is_err() {
                let left = &events[before..];
                let losses = left.iter().all(|event| {
                    matches!(event.body, EventBody::Feed(FeedEvent::Gap(_) | FeedEvent::Lost { .. }))
                });
                prop_assert!(losses, "{left:?}");
            }
        }
    }
}
