//! A shard with a real publisher behind it, simulated sockets before it and a clock moved by hand.
//!
//! Clients do nothing but follow the protocol's rule, and panic where something is lost without
//! being announced. Sockets take as much as the test says, in pieces as small as one byte.

mod budgets;
mod client;
mod flood;
mod heartbeats;
mod inspect;
mod interval;
mod linear;
mod lives;
mod log;
mod losses;
mod requests;
mod rig;
mod sealed;
mod settings;
mod simulation;
mod successors;

use super::*;
use client::Client;
use rig::{Rig, TOPICS};
use std::time::Duration;
use tapecast_model::Side;

fn ops(client: &Client) -> Vec<&str> {
    client
        .said
        .iter()
        .filter_map(|m| m["op"].as_str())
        .collect()
}

#[test]
fn acknowledgement_then_snapshot_then_updates() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    rig.level(Side::Bid, 5, 1);
    let client = rig.connect();
    rig.subscribe(client, &TOPICS);
    rig.subscribe(
        client,
        &[
            "book.26:x:A",
            "trade:y:A",
            "ticker:x:A",
            "nonsense",
            "trade:x:B",
        ],
    );
    rig.round();
    rig.pipeline();
    rig.level(Side::Bid, 6, 1);
    rig.trade();
    rig.quote(6);
    rig.settle();
    let client = &rig.clients[client];
    assert_eq!(ops(client), ["welcome", "subscribed", "subscribed"]);
    let starts: Vec<_> = client.said[1]["topics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["start"].clone())
        .collect();
    assert_eq!(starts, ["none", "snapshot", "none"]);
    let errors: Vec<_> = client.said[2]["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["error"].clone())
        .collect();
    assert_eq!(
        errors,
        [
            "depth_not_offered",
            "unknown_symbol",
            "channel_not_offered",
            "bad_topic",
            "unknown_symbol"
        ]
    );
    assert_eq!(client.levels.len(), 2);
    assert_eq!((client.trades, client.bid.as_deref()), (1, Some("6")));
    rig.balance();
}

#[test]
fn all_clients_of_a_topic_are_given_the_same_bytes_at_the_same_address() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let clients = [rig.connect(), rig.connect(), rig.connect()];
    for client in clients {
        rig.subscribe(client, &["trade:x:A"]);
    }
    rig.settle();
    for client in clients {
        rig.clients[client].socket.0.borrow_mut().addresses.clear();
    }
    rig.trade();
    rig.trade();
    rig.pipeline();
    rig.round();
    let written = clients.map(|c| rig.clients[c].socket.0.borrow().addresses.clone());
    assert_eq!(written[0].len(), 1, "two frames in a row are one slice");
    assert!(written.iter().all(|addresses| *addresses == written[0]));
    let bytes = clients.map(|c| rig.clients[c].socket.0.borrow().out.clone());
    assert!(bytes.iter().all(|b| *b == bytes[0]));
}

#[test]
fn requests_behind_a_subscription_wait_for_it() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    rig.subscribe(client, &["trade:x:A"]);
    rig.clients[client].ask(r#"{"op":"list","id":2}"#);
    rig.clients[client].ask(r#"{"op":"unsubscribe","id":3,"topics":["trade:x:A","quote:x:A"]}"#);
    rig.clients[client].ask(r#"{"op":"ping","id":4}"#);
    rig.settle();
    let client = &rig.clients[client];
    let want = [
        "welcome",
        "subscribed",
        "subscriptions",
        "unsubscribed",
        "pong",
    ];
    assert_eq!(ops(client), want);
    assert_eq!(client.said[2]["topics"][0]["topic"], "trade:x:A");
    assert_eq!(client.said[3]["rejected"][0]["error"], "not_subscribed");
}

#[test]
fn after_unsubscribed_no_frame_follows_and_the_topic_ends() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    rig.subscribe(client, &["trade:x:A"]);
    rig.settle();
    rig.trade();
    rig.pipeline();
    rig.clients[client].ask(r#"{"op":"unsubscribe","id":3,"topics":["trade:x:A"]}"#);
    rig.settle();
    assert_eq!(rig.clients[client].trades, 0);
    rig.trade();
    rig.trade();
    rig.settle();
    assert_eq!(rig.clients[client].trades, 0);
    assert_eq!(rig.shard.index.subscriptions(), 0);
}

#[test]
fn a_slow_client_gets_the_newest_state_and_a_gap_and_delays_nobody() {
    let mut rig = Rig::new(Limits::default(), false, 4_096);
    let (slow, fast) = (rig.connect(), rig.connect());
    for client in [slow, fast] {
        rig.subscribe(client, &TOPICS);
    }
    rig.settle();
    rig.clients[slow].socket.0.borrow_mut().room = 100;
    for n in 1..=1_500 {
        rig.trade();
        rig.quote(n);
        rig.level(Side::Bid, 1 + n % 7, n);
        rig.pipeline();
        rig.round();
    }
    rig.clients[fast].read();
    assert_eq!(rig.clients[fast].trades, 1_500);
    rig.balance();
    let outbox = rig.shard.conns[0]
        .as_ref()
        .unwrap()
        .outbox
        .as_ref()
        .unwrap();
    assert!(outbox.bytes() < rig.shard.settings.limits.outbox_bytes_max);
    rig.settle();
    rig.balance();
    let (one, other) = (&rig.clients[slow], &rig.clients[fast]);
    assert_eq!(
        (&one.levels, &one.bid, one.trades),
        (&other.levels, &other.bid, other.trades)
    );
    assert!(rig.shard.metrics.gaps.get() == 1 && rig.shard.metrics.resyncs_slow.get() == 2);
}

#[test]
fn frames_that_were_published_apart_are_copied_together_once_for_all_subscribers() {
    let mut rig = Rig::new(Limits::default(), false, 4_096);
    for _ in 0..4 {
        let client = rig.connect();
        rig.subscribe(client, &[TOPICS[0]]);
    }
    rig.settle();
    for client in &rig.clients {
        client.socket.0.borrow_mut().addresses.clear();
    }
    // Each is sealed into a block of its own.
    for _ in 0..5 {
        rig.trade();
        rig.pipeline();
    }
    rig.round();
    let slices: Vec<_> = rig
        .clients
        .iter()
        .map(|c| c.socket.0.borrow().addresses.clone())
        .collect();
    assert_eq!(slices[0].len(), 1, "one slice of five frames");
    assert!(
        slices.iter().all(|s| *s == slices[0]),
        "the same for everybody"
    );
    for client in &mut rig.clients {
        client.read();
        assert_eq!(client.trades, 5);
    }
}

#[test]
fn those_furthest_behind_start_over_when_too_much_is_kept_for_full_sockets() {
    let limits = Limits {
        parked_bytes_max: 20_000,
        ..Limits::default()
    };
    let mut rig = Rig::new(limits, false, 4_096);
    let (first, second, fast) = (rig.connect(), rig.connect(), rig.connect());
    for client in [first, second, fast] {
        rig.subscribe(client, &[TOPICS[0]]);
    }
    rig.settle();
    rig.clients[first].socket.0.borrow_mut().room = 100;
    for n in 0..400 {
        if n == 20 {
            rig.clients[second].socket.0.borrow_mut().room = 100;
        }
        rig.trade();
        rig.pipeline();
        rig.round();
        assert!(rig.shard.pool.bytes() <= 20_000);
    }
    rig.balance();
    // The first is evicted again and again; the second, not so far behind, sees it happen.
    assert!(rig.shard.metrics.evictions.get() >= 2);
    assert_eq!(rig.shard.metrics.blocked.get(), 2);
    rig.settle();
    rig.balance();
    assert_eq!(rig.shard.pool.bytes(), 0);
    for client in &rig.clients {
        assert_eq!((client.closed, client.last[TOPICS[0]]), (None, 400));
        assert_eq!(client.trades, 400, "what was not sent was announced");
    }
}

#[test]
fn a_reader_that_is_always_too_slow_hears_of_every_topic_in_turn() {
    hears_of_every_topic(Limits::default());
}

#[test]
fn so_does_one_that_is_evicted_again_and_again() {
    hears_of_every_topic(Limits {
        parked_bytes_max: 4_000,
        ..Limits::default()
    });
}

fn hears_of_every_topic(limits: Limits) {
    let evicts = limits.parked_bytes_max < Limits::default().parked_bytes_max;
    let mut rig = Rig::new(limits, false, 4_096);
    let client = rig.connect();
    rig.subscribe(client, &TOPICS);
    rig.settle();
    rig.clients[client].socket.0.borrow_mut().room = 0;
    // Some 400 bytes a round are published, and 100 a round are read.
    let mut lags = [0; TOPICS.len()];
    for round in 0..12_000_u32 {
        rig.trade();
        rig.quote(i64::from(round));
        rig.level(Side::Bid, 1 + i64::from(round % 7), i64::from(round) + 1);
        rig.pipeline();
        if round % 10 == 0 {
            rig.make_room(client, 1_000);
        }
        rig.round();
        rig.clients[client].read();
        if round > 8_000 {
            for (lag, topic) in lags.iter_mut().zip(TOPICS) {
                *lag = u64::from(round + 1)
                    .saturating_sub(rig.clients[client].last[topic])
                    .max(*lag);
            }
        }
    }
    // A round is a millisecond: nothing is older than what is kept for slow readers, twice.
    assert!(lags.iter().all(|lag| *lag < 11_000), "{lags:?}");
    assert!(lags[1] < 6_000 && lags[2] < 6_000, "{lags:?}");
    let heartbeats = rig.clients[client]
        .said
        .iter()
        .filter(|m| m["op"] == "heartbeat");
    assert!(heartbeats.skip(3).all(|m| m["lag_ms"].as_u64() > Some(0)));
    assert_eq!(rig.shard.metrics.evictions.get() > 0, evicts);
    rig.settle();
    rig.balance();
    assert_eq!(rig.clients[client].trades, 12_000);
}

#[test]
fn a_reader_of_a_lossless_topic_gets_every_event() {
    let mut rig = Rig::new(Limits::default(), true, 8_192);
    let client = rig.connect();
    rig.subscribe(client, &TOPICS);
    rig.settle();
    rig.clients[client].socket.0.borrow_mut().room = 10;
    for n in 1..=2_000 {
        rig.quote(n);
        rig.trade();
    }
    rig.pipeline();
    rig.round();
    rig.settle();
    assert_eq!(
        (
            rig.clients[client].trades,
            rig.clients[client].last["quote:x:A"]
        ),
        (2_000, 2_000)
    );
    assert_eq!(
        rig.shard.metrics.gaps.get() + rig.shard.metrics.resyncs_slow.get(),
        0
    );
}

#[test]
fn a_lossless_reader_over_half_full_is_told_to_the_replay() {
    let limits = Limits {
        outbox_bytes_max: 2_000,
        ..Limits::default()
    };
    let mut rig = Rig::new(limits, true, 8_192);
    let client = rig.connect();
    rig.subscribe(client, &["trade:x:A"]);
    rig.settle();
    rig.clients[client].socket.0.borrow_mut().room = 0;
    for _ in 0..20 {
        rig.trade();
    }
    rig.pipeline();
    rig.round();
    assert!(!rig.shard.shared.congestion.is_clear());
    assert_eq!(rig.clients[client].closed, None);
    rig.settle();
    assert!(rig.shard.shared.congestion.is_clear());
    assert_eq!(rig.clients[client].trades, 20);
}

#[test]
fn a_socket_that_takes_nothing_is_closed_and_counts_no_longer() {
    let mut rig = Rig::new(Limits::default(), true, 64);
    let client = rig.connect();
    rig.subscribe(client, &["trade:x:A"]);
    rig.settle();
    rig.clients[client].socket.0.borrow_mut().room = 0;
    rig.trade();
    rig.pipeline();
    rig.round();
    rig.now += 10_000_000_000;
    // Not idle: it goes on talking, it only does not read.
    rig.clients[client].ask(r#"{"op":"ping"}"#);
    for _ in 0..600 {
        rig.round();
    }
    rig.now += 3_000_000_000;
    for _ in 0..600 {
        rig.round();
    }
    assert_eq!(rig.shard.connections(), 0);
    assert!(rig.shard.shared.congestion.is_clear());
    assert_eq!(
        rig.shard.metrics.closed[CloseReason::SlowConsumer.index()].get(),
        1
    );
    rig.balance();
}

#[test]
fn a_socket_that_takes_a_little_now_and_then_is_not_closed_and_hears_that_it_is_slow() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    rig.subscribe(client, &["trade:x:A"]);
    rig.settle();
    rig.clients[client].socket.0.borrow_mut().room = 0;
    for round in 0..25_000 {
        if round < 400 {
            rig.trade();
            rig.pipeline();
        }
        // Room comes without word: the kernel says "writable" only when there is a lot of it.
        if round % 500 == 0 {
            rig.clients[client].socket.0.borrow_mut().room = 300;
            rig.clients[client].ask(r#"{"op":"ping"}"#);
        }
        rig.round();
        rig.clients[client].read();
    }
    assert_eq!(rig.clients[client].closed, None);
    assert_eq!(rig.shard.connections(), 1);
    let slow = rig.clients[client]
        .said
        .iter()
        .filter(|m| m["op"] == "heartbeat" && m["queued_bytes"].as_u64() > Some(0));
    assert!(slow.count() > 5);
}

#[test]
fn a_slow_reader_is_not_idle_for_its_pings_wait_too() {
    let limits = Limits {
        stall_timeout: Duration::from_secs(60),
        ..Limits::default()
    };
    let mut rig = Rig::new(limits, false, 64);
    let client = rig.connect();
    rig.subscribe(client, &["trade:x:A"]);
    rig.settle();
    rig.clients[client].socket.0.borrow_mut().room = 0;
    let rounds = |rig: &mut Rig, seconds: u32, room: usize| {
        for round in 0..seconds * 1_000 {
            if round < 100 {
                rig.trade();
                rig.pipeline();
            }
            if round == seconds * 1_000 - 1 {
                rig.make_room(client, room);
            }
            rig.round();
        }
        rig.clients[client].read();
        rig.clients[client].closed
    };
    assert_eq!(rounds(&mut rig, 40, 300), None);
    assert_eq!(rounds(&mut rig, 40, usize::MAX / 2), None);
    // Now it could answer, and does not.
    assert_eq!(rounds(&mut rig, 31, usize::MAX / 2), Some(4008));
}

#[test]
fn draining_says_goodbye_to_everybody() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    rig.subscribe(client, &TOPICS);
    rig.settle();
    let now = rig.now();
    rig.shard.drain(now);
    rig.clients[client].read();
    assert_eq!(rig.clients[client].closed, Some(1001));
    assert_eq!(
        rig.clients[client].said.last().unwrap()["error"],
        "draining"
    );
    assert!(rig.clients[client].socket.0.borrow().shut);
}

#[test]
fn a_flood_of_requests_is_refused_and_then_ended() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    for _ in 0..40 {
        rig.clients[client].ask(r#"{"op":"ping","id":7}"#);
    }
    rig.round();
    rig.clients[client].read();
    let refused = rig.clients[client]
        .said
        .iter()
        .filter(|m| m["error"] == "too_many_requests");
    assert_eq!(refused.count(), 20);
    for _ in 0..400 {
        rig.clients[client].ask(r#"{"op":"ping","id":7}"#);
    }
    rig.round();
    rig.clients[client].read();
    assert_eq!(rig.clients[client].closed, Some(4029));
}

#[test]
fn a_snapshot_that_was_made_for_who_has_left_is_not_given_to_who_comes() {
    let mut rig = Rig::new(Limits::default(), false, 4_096);
    let gone = rig.connect();
    rig.quote(1);
    rig.subscribe(gone, &[TOPICS[2]]);
    rig.settle();
    rig.clients[gone].ask(&format!(r#"{{"op":"resync","topics":["{}"]}}"#, TOPICS[2]));
    rig.round();
    rig.shard.end(rig.clients[gone].id, CloseReason::Gone);
    rig.shard.reap();
    // The snapshot is on its way when nobody wants the topic any more, and so the next quote is not.
    rig.pipeline();
    rig.quote(2);
    let coming = rig.connect();
    rig.subscribe(coming, &[TOPICS[2]]);
    rig.settle();
    assert_eq!(rig.clients[coming].bid.as_deref(), Some("2"));
}
