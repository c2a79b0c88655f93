//! Topics of an instrument whose scales change, as connections see them.

use super::*;

fn notices(client: &Client) -> Vec<&serde_json::Value> {
    let acks = client.said.iter().filter(|m| m["op"] == "subscribed");
    acks.filter(|ack| ack["topics"][0]["reason"] == "scale")
        .collect()
}

#[test]
fn a_topic_begins_anew_with_one_notice_and_then_its_snapshot() {
    for encoding in Encoding::ALL {
        let mut rig = Rig::new(Limits::default(), false, 64);
        let clients = [rig.connect_in(encoding), rig.connect_in(encoding)];
        for client in clients {
            rig.subscribe(client, &TOPICS);
        }
        rig.settle();
        rig.trade();
        rig.level(Side::Bid, 5, 1);
        rig.quote(5);
        rig.redefine();
        rig.quote(7);
        rig.settle();
        for client in &rig.clients {
            assert_eq!(client.renewed, 3, "{encoding:?}");
            let quote = notices(client).into_iter().map(|n| &n["topics"][0]);
            let quote = quote.clone().find(|t| t["topic"] == "quote:x:A").unwrap();
            assert_eq!((&quote["epoch"], &quote["seq"]), (&2.into(), &1.into()));
            assert_eq!(
                (&quote["start"], &quote["reason"]),
                (&"snapshot".into(), &"scale".into())
            );
            assert_eq!(client.bid.as_deref(), Some("7"));
            assert!(client.levels.is_empty(), "the book is not known again yet");
        }
        rig.trade();
        rig.level(Side::Ask, 9, 2);
        rig.quote(8);
        rig.settle();
        for client in &rig.clients {
            assert_eq!((client.trades, client.bid.as_deref()), (1, Some("8")));
            assert_eq!(client.levels.len(), 1);
            assert_eq!(client.renewed, 3, "told once");
        }
        rig.balance();
        rig.settle();
        assert_eq!(rig.requests.count().0, 3, "the old topics have ended");
        assert_eq!(rig.requests.slots(), 6);
        rig.redefine();
        rig.settle();
        rig.settle();
        assert_eq!(rig.requests.slots(), 6, "their slots are used again");
    }
}

#[test]
fn who_subscribes_while_the_topic_is_replaced_is_told_of_the_new_one_only() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let early = rig.connect();
    rig.subscribe(early, &["quote:x:A"]);
    rig.settle();
    rig.quote(5);
    rig.pipeline();
    rig.round();
    // The word waits in the ring while another comes.
    rig.redefine();
    rig.pipeline();
    let late = rig.connect();
    rig.subscribe(late, &["quote:x:A"]);
    rig.subscribe(early, &["quote:x:A"]);
    rig.settle();
    rig.quote(6);
    rig.settle();
    let late = &rig.clients[late];
    assert_eq!((late.renewed, late.bid.as_deref()), (0, Some("6")));
    assert_eq!(late.epochs["quote:x:A"], 2);
    assert_eq!(rig.clients[early].bid.as_deref(), Some("6"));
    assert_eq!(rig.shard.index.subscriptions(), 2);
    rig.balance();
}

#[test]
fn a_slow_client_gets_what_is_queued_then_the_notice_and_the_snapshot() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect_in(Encoding::Bin);
    rig.subscribe(client, &["trade:x:A"]);
    rig.settle();
    rig.make_room(client, 10);
    for _ in 0..5 {
        rig.trade();
    }
    rig.pipeline();
    rig.round();
    rig.redefine();
    rig.pipeline();
    rig.round();
    rig.trade();
    rig.pipeline();
    rig.round();
    rig.balance();
    assert_eq!(rig.clients[client].renewed, 0);
    rig.settle();
    let client = &rig.clients[client];
    // Frames of the old topic behind the notice would not be known to the client.
    assert_eq!((client.renewed, client.trades), (1, 1));
    assert_eq!(client.epochs["trade:x:A"], 2);
    rig.balance();
}

#[test]
fn trades_that_an_interval_held_back_come_before_the_notice() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    rig.subscribe(client, &["trade:x:A@10ms"]);
    rig.settle();
    for _ in 0..4 {
        rig.trade();
    }
    rig.redefine();
    // All of them in one turn of the shard, before it hears of the successor.
    rig.pipeline();
    rig.round();
    rig.clients[client].read();
    assert_eq!(
        (rig.clients[client].trades, rig.clients[client].renewed),
        (4, 0)
    );
    rig.settle();
    assert_eq!(
        (rig.clients[client].trades, rig.clients[client].renewed),
        (0, 1)
    );
    rig.balance();
}

#[test]
fn nothing_is_said_of_a_successor_behind_a_close_frame() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    rig.subscribe(client, &["quote:x:A"]);
    rig.settle();
    rig.quote(5);
    rig.settle();
    let (id, now) = (rig.clients[client].id, rig.now());
    rig.shard.close(id, CloseReason::Drain, "the end", now);
    rig.redefine();
    rig.pipeline();
    rig.shard.turn(Budget::default(), || now);
    rig.quote(6);
    rig.pipeline();
    rig.shard.turn(Budget::default(), || now);
    rig.shard.apply_effects(now);
    // The client panics if anything comes behind the close frame.
    rig.clients[client].read();
    assert_eq!(rig.clients[client].renewed, 0);
    assert!(rig.clients[client].closed.is_some());
}

#[test]
fn a_full_ring_delays_the_word_and_does_not_lose_it() {
    let mut rig = Rig::new(Limits::default(), false, 8);
    let client = rig.connect();
    rig.subscribe(client, &TOPICS);
    rig.settle();
    for round in 0..20 {
        rig.trade();
        rig.pipeline();
        if round % 3 == 0 {
            rig.redefine();
            rig.pipeline();
        }
    }
    rig.quote(3);
    rig.settle();
    rig.settle();
    let client = &rig.clients[client];
    assert_eq!(client.epochs["quote:x:A"], rig.epoch);
    assert_eq!(client.bid.as_deref(), Some("3"));
    rig.balance();
}
