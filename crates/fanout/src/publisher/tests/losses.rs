//! Events that never came: one notice for all, in order with the frames, and no old state for anybody.

use super::*;

fn kinds(items: &[Item]) -> Vec<ItemKind> {
    items.iter().map(|item| item.kind).collect()
}

const fn upstream(prev: u64) -> ItemKind {
    let (prev, upstream) = (Seq::new(prev), true);
    ItemKind::Gap { prev, upstream }
}

const fn update_after(prev: u64) -> ItemKind {
    let prev = Seq::new(prev);
    ItemKind::Update { prev }
}

fn notice(topic: &str, from: u64, to: u64, reason: &str) -> Value {
    serde_json::json!({"op": "gap", "topic": topic, "epoch": 1, "from": from, "to": to, "reason": reason})
}

#[test]
fn a_loss_is_one_notice_for_both_encodings_in_order_with_the_frames() {
    let mut rig = Rig::new(2, 64);
    let entry = rig.join("trade:okx:BTC-USDT", 0);
    rig.interests.join(&entry, 1, Encoding::Bin);
    rig.turn();
    drop((rig.items(0), rig.items(1)));
    rig.trade();
    rig.lose(StreamKind::Trade, 2);
    rig.trade();
    rig.turn();
    let both = [rig.items(0), rig.items(1)];
    for items in &both {
        assert_eq!(
            kinds(items),
            [update_after(0), upstream(1), update_after(3)]
        );
        assert_eq!(items[1].seq, Seq::new(3));
        assert_eq!(items[1].frame()[0], 0x81, "text in every encoding");
    }
    let [json_gap, binary_gap] = [&both[0][1], &both[1][1]];
    assert_eq!(
        json_gap.frame().as_ptr(),
        binary_gap.frame().as_ptr(),
        "encoded once"
    );
    assert_eq!(
        json(json_gap),
        notice("trade:okx:BTC-USDT", 2, 3, "upstream")
    );
}

#[test]
fn after_a_loss_nobody_gets_the_old_state_and_the_next_is_a_snapshot() {
    for (topic, kind) in [
        ("quote:okx:BTC-USDT", StreamKind::Quote),
        ("book.10:okx:BTC-USDT", StreamKind::Book),
    ] {
        let mut rig = Rig::new(2, 64);
        let publish = |rig: &mut Rig, price| match kind {
            StreamKind::Quote => rig.quote(price),
            _ => rig.level(Side::Bid, price, 1),
        };
        publish(&mut rig, 5);
        rig.join(topic, 0);
        rig.turn();
        let first = rig.items(0);
        assert_eq!(kinds(&first), [ItemKind::Snapshot { known: true }]);
        rig.lose(kind, 1);
        rig.turn();
        assert_eq!(kinds(&rig.items(0)), [upstream(1)]);
        rig.join(topic, 1);
        rig.turn();
        let joined = rig.items(1);
        assert_eq!(kinds(&joined), [ItemKind::Snapshot { known: false }]);
        assert!(joined[0].is_empty(), "{topic}: not the sealed one");
        publish(&mut rig, 6);
        rig.turn();
        for shard in [0, 1] {
            let items = rig.items(shard);
            assert_eq!(kinds(&items), [ItemKind::Reset], "{topic}");
            assert_eq!(json(&items[0])["type"], "snapshot");
            assert_eq!(json(&items[0])["seq"], 3);
        }
    }
}

#[test]
fn nobody_begins_with_a_state_that_is_held_back() {
    for (topic, kind) in [
        ("quote:okx:BTC-USDT", StreamKind::Quote),
        ("book.10:okx:BTC-USDT", StreamKind::Book),
        ("quote:okx:BTC-USDT@10ms", StreamKind::Quote),
    ] {
        let mut rig = Rig::new(2, 64);
        let publish = |rig: &mut Rig, price| match kind {
            StreamKind::Quote => rig.quote(price),
            _ => rig.level(Side::Bid, price, 1),
        };
        publish(&mut rig, 5);
        rig.join(topic, 0);
        rig.turn();
        assert_eq!(kinds(&rig.items(0)), [ItemKind::Snapshot { known: true }]);
        // It is crossed now: it has numbers, and the pipeline has no state to begin with.
        rig.seq[kind.index()] += 2;
        let pos = StreamPos {
            epoch: Epoch::new(1),
            seq: Seq::new(3),
        };
        rig.join(topic, 1);
        let asked = rig.requests.take().unwrap();
        rig.publisher.open(&asked, pos, None);
        rig.turn();
        assert!(
            rig.items(1).is_empty(),
            "{topic}: not what was shown before"
        );
        publish(&mut rig, 6);
        rig.turn();
        let joined = rig.items(1);
        let begun = joined
            .iter()
            .find(|item| item.kind == ItemKind::Snapshot { known: true });
        assert_eq!(json(begun.unwrap())["seq"], 4, "{topic}");
        assert!(!kinds(&rig.items(0)).contains(&ItemKind::Reset), "{topic}");
        // If it is lost before it uncrosses, there is nothing to begin with.
        rig.join(topic, 1);
        let asked = rig.requests.take().unwrap();
        rig.publisher.open(&asked, pos, None);
        rig.lose(kind, 1);
        rig.seq[kind.index()] = 0;
        rig.turn();
        let kinds = kinds(&rig.items(1));
        assert!(
            kinds.contains(&ItemKind::Snapshot { known: false }),
            "{topic}: {kinds:?}"
        );
    }
}

#[test]
fn an_epoch_that_begins_with_nothing_known_says_nothing_but_forgets() {
    let mut rig = Rig::new(1, 64);
    rig.quote(5);
    let entry = rig.join("quote:okx:BTC-USDT", 0);
    rig.turn();
    drop(rig.items(0));
    let (kind, events) = (StreamKind::Quote, 0);
    let cleared = Update {
        epoch: Epoch::new(2),
        ..update(&rig.instrument, 0, Body::Lost { kind, events })
    };
    rig.publisher.publish(&cleared);
    rig.interests.join(&entry, 0, Encoding::Json);
    rig.turn();
    let items = rig.items(0);
    assert_eq!(kinds(&items), [ItemKind::Snapshot { known: false }]);
    assert_eq!((items[0].epoch, items[0].seq), (Epoch::new(2), Seq::ZERO));
    // Trades may be lost before the first of an epoch: it begins with a snapshot all the same.
    let mut rig = Rig::new(1, 64);
    rig.trade();
    rig.join("trade:okx:BTC-USDT", 0);
    rig.turn();
    drop(rig.items(0));
    let (kind, events) = (StreamKind::Trade, 2);
    let lost = Update {
        epoch: Epoch::new(2),
        ..update(&rig.instrument, 2, Body::Lost { kind, events })
    };
    rig.publisher.publish(&lost);
    rig.turn();
    let items = rig.items(0);
    assert_eq!(kinds(&items), [ItemKind::Reset, upstream(0)]);
    assert_eq!(
        (
            json(&items[0])["epoch"].clone(),
            json(&items[0])["seq"].clone()
        ),
        (2.into(), 0.into())
    );
}

#[test]
fn an_overrun_that_swallows_a_loss_says_so() {
    let mut rig = Rig::new(1, 4);
    for topic in ["trade:okx:BTC-USDT", "quote:okx:BTC-USDT"] {
        rig.join(topic, 0);
    }
    rig.quote(1);
    rig.turn();
    drop(rig.items(0));
    rig.quote(2);
    for _ in 0..6 {
        rig.trade();
    }
    rig.quote(3);
    // In the turn that overruns, and in one that comes later.
    rig.lose(StreamKind::Trade, 1);
    rig.turn();
    rig.lose(StreamKind::Quote, 1);
    rig.turn();
    assert_eq!(rig.items(0).len(), 4, "the ring is full");
    rig.turn();
    let made_good: Vec<_> = rig.items(0).iter().map(json).collect();
    let mut swallowed = notice("trade:okx:BTC-USDT", 4, 7, "server_overload");
    swallowed["upstream"] = true.into();
    // Of the quote nothing is known any more: that is what there is to say.
    let lost = notice("quote:okx:BTC-USDT", 3, 4, "upstream");
    assert_eq!(made_good.len(), 2);
    assert!(made_good.contains(&swallowed), "{made_good:?}");
    assert!(made_good.contains(&lost), "{made_good:?}");
    rig.quote(4);
    rig.turn();
    assert_eq!(kinds(&rig.items(0)), [ItemKind::Reset]);
}
