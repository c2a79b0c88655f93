//! Settings that change while clients are connected.

use super::*;
use crate::Settings;

/// Puts other limits into force; the shard takes them at its next turn.
fn change(rig: &Rig, change: impl FnOnce(&mut Limits)) {
    let settings = &rig.shard.shared.settings;
    let mut limits = settings.get().limits.clone();
    change(&mut limits);
    settings.swap(Settings::from(limits));
}

fn rounds(rig: &mut Rig, count: usize) {
    for _ in 0..count {
        rig.round();
        for client in &mut rig.clients {
            client.socket.0.borrow_mut().room = usize::MAX / 2;
            client.read();
        }
    }
}

fn beats(rig: &Rig, client: usize) -> usize {
    let said = rig.clients[client].said.iter();
    said.filter(|message| message["op"] == "heartbeat").count()
}

/// Answers pings, as every client must.
fn pong(rig: &mut Rig) {
    for client in &rig.clients {
        client.frame(0x8a, &[]);
    }
}

#[test]
fn a_shard_takes_new_limits_at_its_next_turn() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    change(&rig, |limits| limits.topics_per_connection_max = 1);
    assert_eq!(rig.shard.limits(0).topics_per_connection_max, 1_024);
    let now = rig.now();
    rig.shard.turn(Budget::default(), || now);
    assert_eq!(rig.shard.limits(0).topics_per_connection_max, 1);
    // Whoever was connected before is held to them, and whoever comes is told them.
    rig.subscribe(client, &["trade:x:A", "quote:x:A"]);
    let new = rig.connect();
    rig.settle();
    rounds(&mut rig, 1);
    let said = &rig.clients[client].said;
    let answer = said.iter().find(|m| m["op"] == "subscribed").unwrap();
    assert_eq!(
        answer["rejected"][0]["error"], "too_many_topics",
        "{answer}"
    );
    assert_eq!(answer["topics"].as_array().unwrap().len(), 1, "{answer}");
    let welcome = &rig.clients[new].said[0];
    assert_eq!(welcome["limits"]["topics"], 1, "{welcome}");
}

#[test]
fn a_shorter_idle_timeout_does_not_end_clients_that_answer_pings() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let (lives, silent) = (rig.connect(), rig.connect());
    // Shortly before the next ping of both: neither has said anything for long.
    rounds(&mut rig, 9_000);
    change(&rig, |limits| {
        limits.ping = Duration::from_secs(1);
        limits.idle_timeout = Duration::from_secs(3);
    });
    for _ in 0..8 {
        rounds(&mut rig, 500);
        let client = &rig.clients[lives];
        client.frame(0x8a, &[]);
    }
    assert_eq!(rig.clients[lives].closed, None);
    assert_eq!(rig.clients[silent].closed, Some(4008));
}

#[test]
fn heartbeats_never_come_less_often_than_a_client_was_told() {
    let limits = Limits {
        heartbeat: Duration::from_millis(100),
        ..Limits::default()
    };
    let mut rig = Rig::new(limits, false, 64);
    let old = rig.connect();
    rounds(&mut rig, 1_000);
    let before = beats(&rig, old);
    assert!((8..=10).contains(&before), "{before}");
    change(&rig, |limits| limits.heartbeat = Duration::from_secs(1));
    rounds(&mut rig, 1);
    let new = rig.connect();
    rounds(&mut rig, 5_000);
    pong(&mut rig);
    let (of_old, of_new) = (beats(&rig, old) - before, beats(&rig, new));
    assert!((40..=50).contains(&of_old), "{of_old}");
    assert!((4..=5).contains(&of_new), "{of_new}");
    // A shorter time holds for all at once.
    change(&rig, |limits| limits.heartbeat = Duration::from_millis(50));
    let before = beats(&rig, new);
    rounds(&mut rig, 5_000);
    let more = beats(&rig, new) - before;
    assert!((80..=100).contains(&more), "{more}");
    // And when the clients with the short promise are gone, nobody is visited for it.
    assert_eq!(rig.shard.heartbeat, Duration::from_millis(50));
    change(&rig, |limits| limits.heartbeat = Duration::from_secs(2));
    for client in [old, new] {
        rig.shard.end(rig.clients[client].id, CloseReason::Gone);
    }
    rounds(&mut rig, 1);
    rig.connect();
    rounds(&mut rig, 1_000);
    assert!(rig.shard.heartbeat >= Duration::from_secs(1));
}
