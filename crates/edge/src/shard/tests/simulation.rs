//! Random lives of three clients: whatever fills up, overruns or changes its mind, each ends with the
//! truth and the books balance. What never came is told to each of them, whatever else it missed.

use super::super::*;
use super::rig::{INTERVAL_TOPICS, LINGER, Rig, TOPICS};
use proptest::prelude::*;
use std::collections::BTreeMap;
use tapecast_model::{Side, StreamKind};

#[derive(Clone, Debug)]
enum Op {
    Level(bool, i64, i64),
    Trade,
    Quote(i64),
    /// Something of trades, books or quotes never came.
    Lose(usize, u64),
    Pipeline,
    Round,
    Room(usize, usize),
    Unsubscribe(usize, usize),
    Subscribe(usize, usize),
    Resync(usize, usize),
    /// The instrument's scales change.
    Redefine,
    /// Time passes while nobody looks into the ring: longer than topics linger.
    Pause,
}

fn op() -> impl Strategy<Value = Op> {
    let room = prop_oneof![
        Just(0_usize),
        1_usize..4,
        20_usize..500,
        Just(1_000_000_usize)
    ];
    prop_oneof![
        4 => (any::<bool>(), 0_i64..20, 0_i64..3).prop_map(|(b, p, q)| Op::Level(b, p, q)),
        4 => Just(Op::Trade),
        4 => (0_i64..100).prop_map(Op::Quote),
        2 => (0_usize..3, 1_u64..4).prop_map(|(k, n)| Op::Lose(k, n)),
        4 => Just(Op::Pipeline),
        6 => Just(Op::Round),
        6 => (0_usize..3, room).prop_map(|(c, r)| Op::Room(c, r)),
        1 => (0_usize..3, 0_usize..3).prop_map(|(c, t)| Op::Unsubscribe(c, t)),
        1 => (0_usize..3, 0_usize..3).prop_map(|(c, t)| Op::Subscribe(c, t)),
        1 => (0_usize..3, 0_usize..3).prop_map(|(c, t)| Op::Resync(c, t)),
        1 => Just(Op::Pause),
        1 => Just(Op::Redefine),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever fills up, overruns or changes its mind: every client that follows the rule ends with
    /// the truth, meets no hole that was not announced, and the books balance at every step.
    #[test]
    fn clients_end_with_the_truth(
        ops in prop::collection::vec(op(), 0..200),
        outbox in prop_oneof![Just(1_500_usize), Just(4_000_000_usize)],
        parked in prop_oneof![Just(600_usize), Just(256_000_000_usize)],
        // Room for a snapshot of each topic in each encoding, and little more; or for everything.
        ring_items in prop_oneof![Just(8_usize), Just(4_096_usize)],
        encodings in prop::array::uniform3(prop::sample::select(Encoding::ALL.to_vec())),
        topics in prop_oneof![Just(TOPICS), Just(INTERVAL_TOPICS)],
        seals in prop::array::uniform3(any::<bool>()),
    ) {
        let limits = Limits {
            outbox_bytes_max: outbox,
            parked_bytes_max: parked,
            requests_per_s: 10_000,
            ..Limits::default()
        };
        let mut rig = Rig::new(limits, false, ring_items);
        for (encoding, seals) in encodings.into_iter().zip(seals) {
            let client = rig.connect_in(encoding);
            rig.clients[client].socket.0.borrow_mut().seals = seals;
            rig.subscribe(client, &topics);
        }
        let mut subscribed = [[true; 3]; 3];
        let mut most = 0;
        for op in ops {
            match op {
                Op::Level(bid, price, qty) => {
                    rig.level(if bid { Side::Bid } else { Side::Ask }, price, qty);
                }
                Op::Trade => rig.trade(),
                Op::Quote(price) => rig.quote(price),
                Op::Lose(kind, events) => {
                    let kinds = [StreamKind::Trade, StreamKind::Book, StreamKind::Quote];
                    rig.lose(kinds[kind], events);
                }
                Op::Pipeline => rig.pipeline(),
                Op::Round => rig.round(),
                Op::Room(client, bytes) => {
                    rig.make_room(client, bytes);
                    rig.clients[client].read();
                }
                Op::Unsubscribe(client, topic) => {
                    subscribed[client][topic] = false;
                    let topic = topics[topic];
                    rig.clients[client].ask(&format!(r#"{{"op":"unsubscribe","topics":["{topic}"]}}"#));
                }
                Op::Subscribe(client, topic) => {
                    subscribed[client][topic] = true;
                    rig.subscribe(client, &[topics[topic]]);
                }
                Op::Redefine => rig.redefine(),
                Op::Pause => rig.now += 2 * LINGER.as_nanos() as u64,
                Op::Resync(client, topic) => {
                    let topic = topics[topic];
                    rig.clients[client].ask(&format!(r#"{{"op":"resync","topics":["{topic}"]}}"#));
                }
            }
            rig.balance();
            most = most.max(rig.requests.count().0);
            let is_redefined = rig.epoch > 1;
            // A topic and its successors are there together for a while.
            prop_assert!(rig.requests.slots() <= most || is_redefined, "slots are used again");
        }
        // Every interval is over.
        rig.now += 50_000_000;
        rig.settle();
        rig.balance();
        prop_assert_eq!(rig.shard.pool.bytes(), 0, "nothing is kept for sockets that have room");
        let mut truth = BTreeMap::new();
        for (is_bid, side) in [(true, Side::Bid), (false, Side::Ask)] {
            for level in rig.book.levels(side).take(10) {
                truth.insert((is_bid, level.price.mantissa()), level.qty.mantissa());
            }
        }
        for (client, subscribed) in rig.clients.iter().zip(subscribed) {
            if client.closed.is_some() {
                prop_assert!(outbox == 1_500, "closed for no reason");
                continue;
            }
            if subscribed[0] && rig.seq[0] > 0 {
                prop_assert_eq!(client.last[topics[0]], rig.seq[0]);
                prop_assert_eq!(client.trades, rig.seq[0]);
            }
            if subscribed[1] {
                prop_assert_eq!(&client.levels, &truth);
            }
            if subscribed[2] {
                let bid = rig.quote.bid.map(|(price, _)| price.mantissa().to_string());
                prop_assert_eq!(&client.bid, &bid, "a lost quote is none");
            }
            let gaps = || client.gaps.iter().zip(&client.gap_starts);
            for ((last, to, reason, _), &(epoch, _)) in gaps() {
                if to <= last {
                    // It joined while the gap was open: all of it was before its time.
                    continue;
                }
                let never_came = || rig.lost.range((epoch, last + 1)..=(epoch, *to));
                if reason == "upstream" {
                    prop_assert_eq!(never_came().count() as u64, to - last, "they came");
                }
                // A notice that the ring delayed may say it after that of a slow client.
                let is_told = |number: &u64| {
                    gaps().any(|((_, to, reason, upstream), from)| {
                        let says = *upstream || reason == "upstream";
                        says && from.0 == epoch && (from.1..=*to).contains(number)
                    })
                };
                let is_told = never_came().all(|(_, number)| is_told(number));
                prop_assert!(is_told, "a loss upstream is hidden");
            }
        }
    }
}
