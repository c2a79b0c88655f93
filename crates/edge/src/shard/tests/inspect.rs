//! What the admin listener is told, and what it costs the others.

use super::super::inspect::{ENDED_MAX, Query, Sight};
use super::super::*;
use super::rig::{Rig, TOPICS};
use std::sync::mpsc::channel;

/// Asks, and counts the rounds until the answer is there.
fn ask(rig: &mut Rig, query: Query) -> (Sight, usize) {
    let (sender, receiver) = channel();
    rig.shard
        .inspect(query, Box::new(move |sight| sender.send(sight).unwrap()));
    for rounds in 1.. {
        rig.round();
        if let Ok(sight) = receiver.try_recv() {
            return (sight, rounds);
        }
        assert!(rig.shard.has_chores(), "the next round comes at once");
    }
    unreachable!()
}

fn ids(sight: &Sight) -> Vec<u64> {
    sight.connections.iter().map(|seen| seen.id).collect()
}

#[test]
fn who_is_connected_is_said_page_by_page_and_by_what_is_asked() {
    let mut rig = Rig::new(Limits::default(), false, 4_096);
    let clients: Vec<_> = (0..6).map(|_| rig.connect()).collect();
    let slow = clients[2];
    rig.subscribe(slow, &TOPICS);
    rig.settle();
    rig.clients[slow].socket.0.borrow_mut().room = 0;
    rig.trade();
    rig.pipeline();
    for _ in 0..500 {
        rig.round();
    }
    let page = |after, limit| Query {
        after,
        limit,
        ..Query::default()
    };
    assert_eq!(ids(&ask(&mut rig, page(None, 4)).0), [1, 2, 3, 4]);
    assert_eq!(ids(&ask(&mut rig, page(Some(4), 4)).0), [5, 6]);
    let queries = [
        Query {
            slow: Some(true),
            limit: 9,
            ..Query::default()
        },
        Query {
            queued_bytes_min: 100,
            limit: 9,
            ..Query::default()
        },
        Query {
            lag_min: std::time::Duration::from_millis(400),
            limit: 9,
            ..Query::default()
        },
        Query {
            id: Some(3),
            limit: 9,
            ..Query::default()
        },
    ];
    for query in queries {
        let (sight, _) = ask(&mut rig, query);
        assert_eq!(ids(&sight), [3]);
        let seen = &sight.connections[0];
        assert!(seen.slow && seen.queued_bytes > 100 && seen.lag.as_millis() >= 499);
        assert_eq!((seen.topics, seen.encoding), (3, Encoding::Json));
    }
}

#[test]
fn many_connections_are_looked_at_in_slices() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    rig.admission = crate::Admission::new(2_000, 2_000);
    for _ in 0..1_500 {
        rig.connect();
    }
    let (sight, rounds) = ask(
        &mut rig,
        Query {
            limit: 10,
            ..Query::default()
        },
    );
    assert_eq!(ids(&sight), (1..=10).collect::<Vec<_>>());
    assert_eq!(rounds, 6, "256 connections a round");
}

#[test]
fn the_last_thousand_that_ended_are_remembered_with_their_reasons() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    rig.admission = crate::Admission::new(2_000, 2_000);
    for _ in 0..1_100 {
        let client = rig.connect();
        rig.shard.end(rig.clients[client].id, CloseReason::Gone);
        rig.shard.reap();
        rig.shard.refill_chores();
    }
    let closed = rig.connect();
    let (id, now) = (rig.clients[closed].id, rig.now());
    rig.shard.close(id, CloseReason::SlowConsumer, "", now);
    let (sight, _) = ask(
        &mut rig,
        Query {
            limit: 10,
            ..Query::default()
        },
    );
    assert_eq!(sight.ended.len(), ENDED_MAX);
    assert_eq!(
        (sight.ended[0].seen.id, sight.ended[0].reason),
        (102, CloseReason::Gone)
    );
    let last = sight.ended.last().unwrap();
    assert_eq!(
        (last.seen.id, last.reason),
        (1_101, CloseReason::SlowConsumer)
    );
}
