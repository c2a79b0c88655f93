//! Work that grows with what there is, and not with its square; and marks that never go stale too early.

use super::super::*;
use super::rig::{Rig, TOPICS};

/// A client that is subscribed to so many topics. Requests hold 500 at most.
fn wide(topics: usize) -> (Rig, usize) {
    let limits = Limits {
        topics_per_connection_max: 4_096,
        requests_per_s: 1_000,
        // The rig reads a few bytes at a time.
        messages_per_s: 1_000_000,
        request_bytes_max: 64 * 1_024,
        ..Limits::default()
    };
    let mut rig = Rig::with_others(limits, false, 65_536, topics);
    let client = rig.connect();
    rig.ask_for_others(client, "subscribe", topics);
    (rig, client)
}

/// The same with a full socket, and a frame of each topic queued.
fn full(topics: usize) -> (Rig, usize) {
    let (mut rig, client) = wide(topics);
    rig.settle();
    rig.clients[client].socket.0.borrow_mut().room = 0;
    rig.other_quotes(1);
    rig.pipeline();
    rig.round();
    (rig, client)
}

/// The steps that `work` takes for 2,048 topics are about twice those for 1,024.
fn is_linear(work: impl Fn(usize) -> usize) {
    let (one, two) = (work(1_024), work(2_048));
    assert!(one >= 1_024, "what is counted is what is done: {one}");
    assert!(
        two * 10 <= one * 23,
        "{one} steps for 1,024, {two} for twice as many"
    );
}

#[test]
fn subscribing_takes_steps_in_proportion_to_the_topics() {
    is_linear(|topics| {
        steps::count(|| {
            let (mut rig, client) = wide(topics);
            rig.settle();
            assert_eq!(rig.clients[client].acknowledged.len(), topics);
            // Subscribing again, and asking for what is there already, look each of them up.
            rig.ask_for_others(client, "resync", topics);
            rig.settle();
            assert_eq!(rig.clients[client].acknowledged.len(), 2 * topics);
        })
    });
}

#[test]
fn a_slow_client_that_leaves_its_topics_takes_steps_in_proportion_to_them() {
    is_linear(|topics| {
        let (mut rig, client) = full(topics);
        let steps = steps::count(|| {
            rig.ask_for_others(client, "unsubscribe", topics);
            rig.round();
        });
        assert_eq!(rig.shard.index.subscriptions(), 0);
        rig.balance();
        // A pass over the queue for each request, and requests hold 500 topics.
        steps - topics * (topics / 500)
    });
}

#[test]
fn resetting_slow_clients_takes_steps_in_proportion_to_their_topics() {
    for closes in [false, true] {
        is_linear(|topics| {
            let (mut rig, client) = full(topics);
            let (id, now) = (rig.clients[client].id, rig.now());
            let steps = steps::count(|| {
                if closes {
                    rig.shard.close(id, CloseReason::SlowConsumer, "", now);
                } else {
                    rig.shard.end(id, CloseReason::Gone);
                }
                for _ in 0..topics {
                    rig.round();
                }
            });
            assert_eq!(rig.shard.index.subscriptions(), 0);
            rig.balance();
            steps
        });
    }
}

#[test]
fn a_queue_that_is_written_takes_steps_in_proportion_to_its_frames() {
    is_linear(|topics| {
        let (mut rig, client) = full(topics);
        let steps = steps::count(|| rig.make_room(client, usize::MAX / 2));
        rig.clients[client].read();
        assert_eq!(rig.clients[client].last["quote:x:A1"], 1);
        rig.balance();
        steps
    });
}

/// Marks of a turn long past are not taken for this turn's, whatever bits their numbers share.
#[test]
fn a_day_of_busy_polling_mixes_nothing_up() {
    for start in [u64::from(u32::MAX) - 3, 1 << 32, (1 << 40) - 3] {
        let mut rig = Rig::new(Limits::default(), false, 64);
        rig.shard.turn.number = start;
        let clients: Vec<_> = TOPICS
            .map(|topic| {
                let client = rig.connect();
                rig.subscribe(client, &[topic]);
                client
            })
            .into();
        rig.settle();
        for n in 1..20 {
            rig.trade();
            if n % 2 == 0 {
                rig.quote(n);
            }
            rig.pipeline();
            rig.round();
            // As many turns as 32 bits count: the next one has the same low bits as this one.
            rig.shard.turn.number += (1 << 32) - 1;
        }
        rig.settle();
        rig.balance();
        assert_eq!(rig.clients[clients[0]].trades, 19);
        assert_eq!(
            rig.clients[clients[1]].said.len(),
            2,
            "nothing of other topics"
        );
        assert_eq!(rig.clients[clients[2]].bid.as_deref(), Some("18"));
    }
}
