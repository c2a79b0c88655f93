//! What the log says of slow clients.

use super::*;
use crate::log::Lines;

/// Connects from an address of its own, gets data that its socket does not take, and is closed.
fn close_a_slow_one(rig: &mut Rig, number: u16) {
    let peer = format!("[2001:db8:1:2:3:4:5:{number:x}]:{}", 40_000 + number);
    let client = rig.connect_from(peer.parse().unwrap(), Encoding::Json);
    rig.subscribe(client, &["trade:x:A", "quote:x:A"]);
    rig.settle();
    rig.clients[client].socket.0.borrow_mut().room = 0;
    rig.trade();
    rig.pipeline();
    rig.round();
    rig.now += 40_000_000;
    let (id, now) = (rig.clients[client].id, rig.now());
    rig.shard.close(id, CloseReason::SlowConsumer, "", now);
    rig.clients[client].socket.0.borrow_mut().room = usize::MAX / 2;
}

#[test]
fn a_slow_client_that_is_closed_is_said_with_its_own_address_and_what_waited() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let lines = Lines::of_this_thread();
    close_a_slow_one(&mut rig, 6);
    let said = lines.take();
    let [line] = &said[..] else {
        panic!("{said:?}");
    };
    assert!(
        line.starts_with(
            "INFO tapecast_edge::shard::leaving: Slow client closed connection=00000001 "
        ),
        "{line}"
    );
    // Not the network that its connections are counted with.
    for field in [
        "address=[2001:db8:1:2:3:4:5:6]:40006",
        "topics=2",
        "lag_ms=41",
        "more=0",
    ] {
        assert!(
            line.split(' ').any(|said| said == field),
            "{line} lacks {field}"
        );
    }
    let queued = line
        .split(' ')
        .find_map(|said| said.strip_prefix("queued_bytes="));
    assert!(queued.unwrap().parse::<u32>().unwrap() > 50, "{line}");
    // Others that end are not worth a line.
    let client = rig.connect();
    let (id, now) = (rig.clients[client].id, rig.now());
    rig.shard.close(id, CloseReason::Idle, "", now);
    assert_eq!(lines.take(), [""; 0]);
}

#[test]
fn slow_clients_cost_a_burst_of_lines_then_one_a_second_that_counts_the_rest() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let lines = Lines::of_this_thread();
    let before = rig.now;
    for number in 0..25 {
        close_a_slow_one(&mut rig, number);
        rig.now = before;
    }
    assert_eq!(lines.take().len(), 10);
    rig.now = before + 1_000_000_000;
    close_a_slow_one(&mut rig, 30);
    let said = lines.take();
    assert!(said.len() == 1 && said[0].ends_with("more=15"), "{said:?}");
}
