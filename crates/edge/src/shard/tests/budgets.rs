//! Slow clients with many topics: what they cost in one round has a limit, and nothing is forgotten.

use super::super::eviction::EVICTIONS_PER_ROUND;
use super::super::resync::RESYNCS_PER_ROUND;
use super::super::*;
use super::rig::Rig;

const TOPICS: usize = 1_024;
const CLIENTS: usize = 6;

/// Clients with full sockets, each behind with all of its topics but for a frame that is queued.
fn slow_clients(limits: Limits) -> Rig {
    let limits = Limits {
        topics_per_connection_max: 4_096,
        requests_per_s: 1_000,
        // The rig reads a few bytes at a time.
        messages_per_s: 1_000_000,
        request_bytes_max: 64 * 1_024,
        ..limits
    };
    let mut rig = Rig::with_others(limits, false, 65_536, TOPICS);
    for _ in 0..CLIENTS {
        let client = rig.connect();
        rig.ask_for_others(client, "subscribe", TOPICS);
    }
    rig.settle();
    for client in &rig.clients {
        client.socket.0.borrow_mut().room = 0;
    }
    rig
}

fn quote_all(rig: &mut Rig, price: i64) {
    rig.other_quotes(price);
    rig.pipeline();
    rig.round();
}

/// What is left to do goes on in rounds until it is done.
fn finish(rig: &mut Rig) {
    for _ in 0..100 {
        rig.pipeline();
        rig.round();
        if !rig.shard.has_chores() {
            break;
        }
    }
    rig.settle();
    rig.balance();
    for client in &mut rig.clients {
        client.read();
        for topic in [1, TOPICS / 2, TOPICS] {
            assert_eq!(client.last[&format!("quote:x:A{topic}")], 3);
        }
    }
}

#[test]
fn a_round_resyncs_some_topics_however_many_clients_read_again() {
    let mut rig = slow_clients(Limits::default());
    for price in 1..=3 {
        quote_all(&mut rig, price);
    }
    let behind = |rig: &Rig| -> usize {
        let conns = rig.shard.conns.iter().flatten();
        conns.map(|conn| conn.session.behind as usize).sum()
    };
    let mut before = behind(&rig);
    assert_eq!(before, CLIENTS * TOPICS);
    for client in 0..CLIENTS {
        rig.make_room(client, usize::MAX / 2);
    }
    let mut rounds = 0;
    loop {
        let now = behind(&rig);
        assert!(before - now <= RESYNCS_PER_ROUND, "{before} - {now}");
        before = now;
        if now == 0 {
            break;
        }
        assert!(rig.shard.has_chores());
        rig.round();
        rounds += 1;
    }
    assert!(rounds >= CLIENTS * TOPICS / RESYNCS_PER_ROUND - 1);
    finish(&mut rig);
}

#[test]
fn topics_that_wait_to_resync_may_be_left_and_clients_may_go() {
    let mut rig = slow_clients(Limits::default());
    for price in 1..=3 {
        quote_all(&mut rig, price);
    }
    for client in 0..CLIENTS {
        rig.make_room(client, usize::MAX / 2);
    }
    assert!(rig.shard.has_chores());
    // One leaves its topics and takes them again, one is closed, and one is gone.
    rig.clients[0]
        .ask(r#"{"op":"unsubscribe","topics":["quote:x:A1","quote:x:A2","quote:x:A1024"]}"#);
    rig.clients[0]
        .ask(r#"{"op":"subscribe","topics":["quote:x:A1024","quote:x:A1","quote:x:A2"]}"#);
    let (closed, gone, now) = (rig.clients[1].id, rig.clients[2].id, rig.now());
    rig.shard.close(closed, CloseReason::SlowConsumer, "", now);
    rig.shard.end(gone, CloseReason::Gone);
    for _ in 0..100 {
        rig.pipeline();
        rig.round();
    }
    assert!(!rig.shard.has_chores());
    rig.settle();
    rig.balance();
    for client in [0, 3, 4, 5] {
        rig.clients[client].read();
        for topic in [1, 2, 512, 1_024] {
            assert_eq!(rig.clients[client].last[&format!("quote:x:A{topic}")], 3);
        }
    }
    assert_eq!(rig.shard.index.subscriptions(), 4 * TOPICS);
}

#[test]
fn a_round_evicts_some_entries_however_many_are_queued() {
    let mut rig = slow_clients(Limits::default());
    quote_all(&mut rig, 1);
    // A little less room than what is kept, which all clients share: all queues have to go.
    let parked_bytes_max = rig.shard.pool.bytes() / 16 * 15;
    let mut rig = slow_clients(Limits {
        parked_bytes_max,
        ..Limits::default()
    });
    quote_all(&mut rig, 1);
    let queued = |rig: &Rig| -> usize {
        let conns = rig.shard.conns.iter().flatten();
        let frames = conns.map(|conn| conn.outbox.as_ref().map_or(0, |o| o.frames() as usize));
        frames.sum()
    };
    let mut before = queued(&rig);
    assert!(before > 0);
    while rig.shard.has_chores() {
        rig.round();
        let now = queued(&rig);
        assert!(before - now <= EVICTIONS_PER_ROUND, "{before} - {now}");
        before = now;
    }
    assert_eq!(before, 0);
    assert_eq!(rig.shard.metrics.evictions.get(), CLIENTS as u64);
    for price in 2..=3 {
        quote_all(&mut rig, price);
    }
    finish(&mut rig);
    assert_eq!(rig.shard.pool.bytes(), 0);
}

#[test]
fn what_is_kept_has_a_limit_however_fast_it_comes() {
    let parked_bytes_max = 32 * 1_024;
    let mut rig = slow_clients(Limits {
        parked_bytes_max,
        ..Limits::default()
    });
    for price in 1..=3 {
        rig.other_quotes(price);
        rig.pipeline();
        let now = rig.now();
        rig.shard.turn(Budget::default(), || now);
        let kept = rig.shard.pool.bytes();
        assert!(
            (1..=parked_bytes_max / 8 * 9 + 256).contains(&kept),
            "{kept}"
        );
    }
    finish(&mut rig);
    assert_eq!(rig.shard.pool.bytes(), 0);
}
