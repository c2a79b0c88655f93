//! Clients that say too much, or leave too much behind: what others feel of it is bounded.

use super::super::*;
use super::rig::{Rig, TOPICS};

const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const TEXT: u8 = 0x81;
const TEXT_BEGINS: u8 = 0x01;
const GOES_ON: u8 = 0x00;

/// A round as the poller has it: readable connections wait in a queue.
fn round(rig: &mut Rig) -> bool {
    rig.now += 1_000_000;
    let (now, wall) = (rig.now(), UnixNanos::new(5));
    for client in &rig.clients {
        if !client.socket.0.borrow().inward.is_empty() {
            rig.shard.note_readable(client.id);
        }
    }
    let mut scratch = vec![0; 64 * 1_024];
    let more = rig.shard.handle_readers(&mut scratch, now, wall);
    rig.shard.turn(Budget::default(), || now);
    rig.shard.handle_resumed(now, wall);
    rig.shard.handle_time(now, wall);
    more
}

fn unread(rig: &Rig, client: usize) -> usize {
    rig.clients[client].socket.0.borrow().inward.len()
}

#[test]
fn whatever_a_client_floods_with_the_others_are_heard_in_the_same_round() {
    let floods: [&[(u8, &[u8])]; 6] = [
        &[(PING, b"now")],
        &[(PONG, b"")],
        &[(TEXT_BEGINS, b"x"), (GOES_ON, b""), (0x80, b"")],
        &[(TEXT, b"")],
        &[(TEXT, b"{")],
        &[(TEXT, br#"{"op":"list"}"#)],
    ];
    for flood in floods {
        let mut rig = Rig::new(Limits::default(), false, 64);
        let others: Vec<_> = (0..5).map(|_| rig.connect()).collect();
        let flooders: Vec<_> = (0..40).map(|_| rig.connect()).collect();
        for &flooder in &flooders {
            for _ in 0..5_000 {
                for (first, payload) in flood {
                    rig.clients[flooder].frame(*first, payload);
                }
            }
        }
        let most = unread(&rig, flooders[0]);
        for n in 0..200_u8 {
            for &other in &others {
                rig.clients[other].frame(PING, &[n]);
            }
            let before: usize = flooders.iter().map(|f| unread(&rig, *f)).sum();
            let mut rounds = 1;
            while round(&mut rig) {
                rounds += 1;
            }
            let after: usize = flooders.iter().map(|f| unread(&rig, *f)).sum();
            // All wait in the queue once, then each is read once at most; a round has its measure.
            assert!(rounds <= 45, "{rounds} rounds");
            assert!(before - after <= rounds * (intake::WORK_PER_ROUND + 700) * 22);
            for &other in &others {
                rig.clients[other].read();
                assert_eq!(rig.clients[other].pongs.last(), Some(&vec![n]));
            }
        }
        for &flooder in &flooders {
            rig.clients[flooder].read();
            if rig.clients[flooder].closed.is_none() {
                assert!(unread(&rig, flooder) > most / 2, "it is held back by TCP");
                assert!(
                    rig.clients[flooder].pongs.len() < 40,
                    "pongs are answered together"
                );
            }
        }
        assert!(rig.shard.metrics.readers_held.get() > 0);
    }
}

#[test]
fn a_client_that_is_held_back_gets_its_data_and_is_heard_again() {
    let mut rig = Rig::new(Limits::default(), false, 4_096);
    let client = rig.connect();
    rig.subscribe(client, &TOPICS);
    rig.settle();
    for n in 0..1_200_u16 {
        rig.clients[client].frame(PING, &n.to_be_bytes());
    }
    for n in 1..=1_000 {
        rig.trade();
        rig.pipeline();
        round(&mut rig);
        rig.clients[client].read();
        assert_eq!(rig.clients[client].last[TOPICS[0]], n, "data go on");
    }
    assert!(unread(&rig, client) > 0, "it is still held back");
    for _ in 0..3_000 {
        round(&mut rig);
    }
    rig.clients[client].read();
    assert_eq!(unread(&rig, client), 0);
    assert_eq!(rig.clients[client].closed, None);
    assert_eq!(rig.clients[client].pongs.last(), Some(&vec![0x04, 0xaf]));
}

#[test]
fn a_client_that_never_rests_is_told_and_closed() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    for _ in 0..13_000 {
        while unread(&rig, client) < 8_192 {
            rig.clients[client].frame(PING, b"");
        }
        round(&mut rig);
        rig.clients[client].read();
        if rig.clients[client].closed.is_some() {
            break;
        }
    }
    assert_eq!(rig.clients[client].closed, Some(4029));
    let bye = rig.clients[client].said.last().unwrap();
    assert_eq!(
        (&bye["op"], &bye["error"]),
        (&"bye".into(), &"too_many_requests".into())
    );
    assert!(rig.now >= 11_000_000_000, "not before its time");
}

#[test]
fn bytes_that_drip_are_rated_too() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    let now = rig.now();
    let mut reads = 0;
    for byte in [[0x89, 0xfd, 0, 0, 0, 0].as_slice(), &[b'x'; 125]]
        .concat()
        .repeat(20)
    {
        rig.clients[client]
            .socket
            .0
            .borrow_mut()
            .inward
            .push_back(byte);
        let id = rig.clients[client].id;
        reads += usize::from(
            rig.shard
                .handle_readable(id, &mut [0; 64], now, UnixNanos::new(5)),
        );
    }
    assert!((490..=500).contains(&reads), "{reads} reads of a byte");
}

#[test]
fn the_last_of_several_pings_is_answered_and_one_that_waits_is_replaced() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    for n in 0..50_u8 {
        rig.clients[client].frame(PING, &[n]);
    }
    round(&mut rig);
    rig.clients[client].read();
    assert_eq!(rig.clients[client].pongs, [[49]]);
    rig.clients[client].socket.0.borrow_mut().room = 0;
    for n in 50..60_u8 {
        rig.clients[client].frame(PING, &[n]);
        round(&mut rig);
    }
    rig.make_room(client, 1_000);
    rig.clients[client].read();
    assert_eq!(rig.clients[client].pongs, [[49], [59]]);
    // However they are mixed with requests.
    rig.clients[client].frame(PING, &[60]);
    rig.clients[client].ask(r#"{"op":"ping","id":1}"#);
    rig.clients[client].frame(PING, &[61]);
    round(&mut rig);
    rig.clients[client].read();
    assert_eq!(rig.clients[client].pongs[2..], [[61]]);
    assert_eq!(rig.clients[client].said.last().unwrap()["op"], "pong");
    rig.balance();
}

/// Sixty clients with full sockets and a thousand topics each end in one moment.
#[test]
fn many_large_clients_that_end_at_once_are_cleaned_up_in_slices() {
    for closes in [false, true] {
        let limits = Limits {
            request_bytes_max: 64 * 1_024,
            messages_per_s: 1_000_000,
            ..Limits::default()
        };
        let mut rig = Rig::with_others(limits, false, 65_536, 1_000);
        let topics: Vec<String> = (1..=1_000).map(|n| format!("quote:x:A{n}")).collect();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let clients: Vec<_> = (0..60).map(|_| rig.connect()).collect();
        let other = rig.connect();
        rig.subscribe(other, &[TOPICS[0]]);
        for &client in &clients {
            for topics in topics.chunks(400) {
                rig.subscribe(client, topics);
            }
        }
        rig.settle();
        for &client in &clients {
            rig.clients[client].socket.0.borrow_mut().room = 0;
        }
        rig.other_quotes(1);
        rig.pipeline();
        rig.round();
        let now = rig.now();
        for &client in &clients {
            let id = rig.clients[client].id;
            if closes {
                rig.shard.close(id, CloseReason::SlowConsumer, "", now);
            } else {
                rig.shard.end(id, CloseReason::Gone);
            }
        }
        let mut rounds = 0;
        for n in 1.. {
            rig.trade();
            rig.other_quotes(1 + n);
            rig.pipeline();
            let steps = steps::count(|| {
                round(&mut rig);
            });
            // What is taken apart is given nothing more.
            assert!(
                steps <= 2 * leaving::CHORES_PER_ROUND,
                "{steps} steps in a round"
            );
            rig.clients[other].read();
            assert_eq!(rig.clients[other].last[TOPICS[0]], n as u64, "others go on");
            rig.balance();
            rounds += 1;
            if !rig.shard.has_chores() {
                break;
            }
        }
        assert!((59..=118).contains(&rounds), "{rounds} rounds");
        assert_eq!(rig.shard.index.subscriptions(), 1);
        assert_eq!(rig.shard.connections(), if closes { 61 } else { 1 });
    }
}
