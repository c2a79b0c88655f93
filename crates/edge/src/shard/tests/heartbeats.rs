//! Signs of life: how often they come, and what they name.

use super::*;

#[test]
fn heartbeats_name_silent_topics_and_silence_ends_a_connection() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    rig.subscribe(client, &["trade:x:A"]);
    rig.trade();
    rig.settle();
    for _ in 0..35_000 {
        rig.round();
        rig.clients[client].socket.0.borrow_mut().room = usize::MAX / 2;
    }
    rig.clients[client].read();
    let client = &rig.clients[client];
    let beats: Vec<_> = client
        .said
        .iter()
        .filter(|m| m["op"] == "heartbeat")
        .collect();
    assert!(
        (28..=31).contains(&beats.len()),
        "{} heartbeats in 30 s",
        beats.len()
    );
    assert_eq!(beats[3]["topics"], serde_json::json!([["trade:x:A", 1, 1]]));
    assert_eq!(client.said.last().unwrap()["error"], "idle");
    assert_eq!(client.closed, Some(4008));
    assert_eq!(rig.shard.connections(), 0);
}

#[test]
fn a_heartbeat_that_overtakes_queued_frames_does_not_name_their_topic() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    rig.subscribe(client, &["trade:x:A"]);
    rig.settle();
    rig.clients[client].socket.0.borrow_mut().room = 0;
    for _ in 0..30 {
        rig.trade();
    }
    let mut beats = 0;
    for round in 0..8_000 {
        rig.pipeline();
        rig.round();
        if round % 900 == 0 {
            rig.make_room(client, 200);
        }
        rig.clients[client].read();
        let heard = &rig.clients[client];
        let all = heard.said.iter().filter(|m| m["op"] == "heartbeat");
        for beat in all.clone().skip(beats) {
            let named = beat["topics"].as_array().unwrap().iter();
            for seq in named.map(|topic| topic[2].as_u64().unwrap()) {
                assert!(seq <= heard.last["trade:x:A"], "{beat}");
            }
        }
        beats = all.count();
    }
    assert!(beats > 4 && rig.clients[client].last["trade:x:A"] < 30);
}

#[test]
fn a_busy_connection_hears_a_heartbeat_every_five_intervals_and_it_travels_with_data() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    rig.quote(1);
    let client = rig.connect();
    rig.subscribe(client, &TOPICS);
    rig.settle();
    rig.shard.publish_metrics();
    let before = rig.shard.metrics.writes.get();
    for round in 0..21_000 {
        if round % 50 == 0 {
            rig.trade();
            rig.pipeline();
        }
        rig.round();
    }
    rig.clients[client].read();
    rig.shard.publish_metrics();
    let said = &rig.clients[client].said;
    let beats: Vec<_> = said.iter().filter(|m| m["op"] == "heartbeat").collect();
    assert!((3..=4).contains(&beats.len()), "{}", beats.len());
    for beat in beats {
        // The book never had anything, the trades are not silent.
        assert_eq!(beat["topics"], serde_json::json!([["quote:x:A", 1, 1]]));
    }
    assert_eq!(rig.clients[client].trades, 420);
    // A ping now and then is a write of its own.
    assert!(rig.shard.metrics.writes.get() - before <= 424);
    rig.balance();
}

#[test]
fn a_connection_is_never_without_any_frame_for_much_longer_than_an_interval() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    rig.subscribe(client, &TOPICS);
    rig.settle();
    let mut last = rig.now;
    // Data with longer and longer pauses.
    let (mut next, mut pause) = (rig.now, 0);
    for _ in 0..40_000 {
        if rig.now >= next {
            pause += 40_000_000;
            next = rig.now + pause;
            rig.trade();
            rig.pipeline();
        }
        rig.round();
        if !rig.clients[client].socket.0.borrow().out.is_empty() {
            last = rig.now;
        }
        rig.clients[client].read();
        // A pong now and then, or we were idle.
        if rig.now.is_multiple_of(5_000_000_000) {
            rig.clients[client].ask(r#"{"op":"list"}"#);
        }
        assert!(
            rig.now - last <= 1_550_000_000,
            "silent for {} ns",
            rig.now - last
        );
    }
}
