//! Sockets that take bytes and send them later, as an encrypting socket does with its ciphertext.

use super::super::*;
use super::rig::{Rig, TOPICS};

/// A client whose socket seals, subscribed to trades.
fn sealed() -> (Rig, usize) {
    let mut rig = Rig::new(Limits::default(), false, 4_096);
    let client = rig.connect();
    rig.clients[client].socket.0.borrow_mut().seals = true;
    rig.subscribe(client, &[TOPICS[0]]);
    rig.settle();
    (rig, client)
}

fn trade(rig: &mut Rig) {
    rig.trade();
    rig.pipeline();
    rig.round();
}

#[test]
fn what_is_pending_counts_as_a_full_socket_and_goes_first() {
    let (mut rig, client) = sealed();
    let id = rig.clients[client].id as usize;
    assert!(rig.shard.conns[id].as_ref().unwrap().outbox.is_none());
    rig.clients[client].socket.0.borrow_mut().room = 10;
    trade(&mut rig);
    let conn = rig.shard.conns[id].as_ref().unwrap();
    assert!(conn.blocked && conn.socket.pending() > 0);
    assert_eq!(
        conn.outbox.as_ref().unwrap().frames(),
        0,
        "it took the frame"
    );
    for _ in 0..20 {
        trade(&mut rig);
    }
    rig.balance();
    // The kernel takes some of what is pending, and nothing new is written before the rest.
    rig.make_room(client, 10);
    assert!(rig.shard.conns[id].as_ref().unwrap().blocked);
    rig.settle();
    rig.balance();
    assert!(rig.shard.conns[id].as_ref().unwrap().outbox.is_none());
    assert_eq!(rig.clients[client].trades, 21);
}

#[test]
fn the_end_of_the_stream_waits_for_what_is_pending() {
    let (mut rig, client) = sealed();
    rig.clients[client].socket.0.borrow_mut().room = 10;
    let (id, now) = (rig.clients[client].id, rig.now());
    rig.shard.close(id, CloseReason::Drain, "", now);
    rig.round();
    assert!(!rig.clients[client].socket.0.borrow().shut);
    rig.make_room(client, usize::MAX / 2);
    assert!(rig.clients[client].socket.0.borrow().shut);
    rig.clients[client].read();
    assert_eq!(rig.clients[client].closed, Some(1001));
}

#[test]
fn a_socket_that_only_holds_is_closed_as_slow() {
    let (mut rig, client) = sealed();
    rig.clients[client].socket.0.borrow_mut().room = 10;
    trade(&mut rig);
    let stall = rig.shard.settings.limits.stall_timeout;
    let closed = |rig: &Rig| rig.shard.metrics.closed[CloseReason::SlowConsumer.index()].get();
    rig.now += stall.as_nanos() as u64 / 2;
    rig.round();
    assert_eq!((closed(&rig), rig.shard.connections()), (0, 1));
    for _ in 0..20 {
        rig.now += stall.as_nanos() as u64 / 10;
        rig.round();
    }
    assert_eq!((closed(&rig), rig.shard.connections()), (1, 0));
}
