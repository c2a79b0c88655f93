//! What is answered in which order, what waits for what, and how half-open connections end.

use super::super::*;
use super::ops;
use super::rig::{Rig, TOPICS};

/// Publishes what there is, and answers so many requests for snapshots only.
fn pipeline_answering(rig: &mut Rig, requests: usize) {
    for _ in 0..requests {
        let entry = rig.requests.take().unwrap();
        rig.open(&entry);
    }
    let now = rig.now();
    rig.publisher.flush(now, false);
}

#[test]
fn live_topics_go_on_while_a_subscription_waits_for_a_snapshot() {
    let mut rig = Rig::new(Limits::default(), false, 4_096);
    let client = rig.connect();
    rig.subscribe(client, &[TOPICS[0]]);
    rig.settle();
    rig.subscribe(client, &[TOPICS[1], TOPICS[2]]);
    rig.clients[client].ask(r#"{"op":"ping","id":2}"#);
    rig.round();
    // One of the two snapshots comes, and the other does not.
    for n in 1..=100 {
        rig.trade();
        pipeline_answering(&mut rig, usize::from(n == 1));
        rig.round();
        rig.clients[client].read();
        assert_eq!(rig.clients[client].last[TOPICS[0]], n, "in the same round");
        rig.balance();
    }
    assert_eq!(ops(&rig.clients[client]), ["welcome", "subscribed"]);
    rig.settle();
    rig.balance();
    assert_eq!(
        ops(&rig.clients[client]),
        ["welcome", "subscribed", "subscribed", "pong"]
    );
    assert_eq!(
        rig.clients[client].said[2]["topics"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_snapshot_that_does_not_come_holds_nobody_for_long() {
    wait_for_a_snapshot(Limits::default());
    // However rarely there are heartbeats.
    wait_for_a_snapshot(Limits {
        heartbeat: std::time::Duration::from_hours(1),
        ..Limits::default()
    });
}

fn wait_for_a_snapshot(limits: Limits) {
    let mut rig = Rig::new(limits, false, 4_096);
    let client = rig.connect();
    rig.quote(7);
    rig.level(tapecast_model::Side::Bid, 5, 1);
    rig.subscribe(client, &[TOPICS[1], TOPICS[2]]);
    rig.clients[client].ask(r#"{"op":"ping","id":2}"#);
    rig.clients[client].ask(r#"{"op":"list","id":3}"#);
    for _ in 0..600 {
        rig.round();
    }
    rig.clients[client].read();
    let said = &rig.clients[client].said;
    assert_eq!(
        ops(&rig.clients[client]),
        ["welcome", "subscribed", "pong", "subscriptions"]
    );
    for topic in said[1]["topics"].as_array().unwrap() {
        assert_eq!(topic["start"], "none");
    }
    // Then the first frame is a snapshot.
    rig.settle();
    rig.balance();
    assert_eq!(rig.clients[client].bid.as_deref(), Some("7"));
    assert_eq!(rig.clients[client].levels.len(), 1);
}

#[test]
fn many_requests_at_once_are_answered_in_order_and_nothing_follows_an_end() {
    let mut rig = Rig::new(Limits::default(), false, 4_096);
    let client = rig.connect();
    for id in 0..5 {
        let topic = TOPICS[id % 3];
        for (n, op) in ["subscribe", "unsubscribe"].into_iter().enumerate() {
            let id = 4 * id + n;
            let request = format!(r#"{{"op":"{op}","id":{id},"topics":["{topic}"]}}"#);
            rig.clients[client].ask(&request);
        }
        for (n, op) in ["list", "ping"].into_iter().enumerate() {
            rig.clients[client].ask(&format!(r#"{{"op":"{op}","id":{}}}"#, 4 * id + 2 + n));
        }
    }
    for n in 1..200 {
        rig.trade();
        rig.quote(n);
        rig.pipeline();
        rig.round();
        rig.clients[client].read();
        rig.balance();
    }
    let ids: Vec<_> = rig.clients[client].said[1..]
        .iter()
        .map(|m| m["id"].as_u64())
        .collect();
    assert_eq!(ids[..20], (0..20).map(Some).collect::<Vec<_>>());
    for answer in rig.clients[client]
        .said
        .iter()
        .filter(|m| m["op"] == "subscriptions")
    {
        assert_eq!(answer["topics"], serde_json::json!([]));
    }
    assert_eq!(rig.shard.index.subscriptions(), 0);
}

#[test]
fn a_client_that_ends_its_side_is_gone_at_once() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    rig.subscribe(client, &TOPICS);
    rig.settle();
    rig.clients[client].socket.0.borrow_mut().fin = true;
    rig.round();
    assert_eq!(rig.shard.connections(), 0);
    assert_eq!(rig.shard.metrics.closed[CloseReason::Gone.index()].get(), 1);
    rig.balance();
}

#[test]
fn a_client_that_only_pings_stays() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    for _ in 0..7 {
        for _ in 0..10_000 {
            rig.round();
        }
        rig.clients[client].frame(0x89, b"");
        rig.clients[client].read();
    }
    assert_eq!(rig.clients[client].closed, None);
    assert_eq!(rig.shard.connections(), 1);
}

#[test]
fn zeros_that_drip_behind_half_a_frame_are_a_broken_protocol() {
    let halves: [&[u8]; 4] = [
        &[0x81],
        &[0x81, 0x85],
        &[0x81, 0x85, 1, 2, 3, 4, 5],
        &[0x89, 0x81],
    ];
    for half in halves {
        let mut rig = Rig::new(Limits::default(), false, 64);
        let client = rig.connect();
        rig.clients[client]
            .socket
            .0
            .borrow_mut()
            .inward
            .extend(half);
        for _ in 0..20 {
            rig.clients[client]
                .socket
                .0
                .borrow_mut()
                .inward
                .push_back(0);
            rig.round();
        }
        rig.clients[client].read();
        assert_eq!(rig.clients[client].closed, Some(1002), "{half:?}");
    }
}
