//! Topics with an interval through a shard: nothing of its own, and that is to be shown.

use super::rig::INTERVAL_TOPICS;
use super::*;

#[test]
fn a_slow_client_of_interval_topics_is_treated_as_on_any_other_topic() {
    let limits = Limits {
        outbox_bytes_max: 40_000,
        ..Limits::default()
    };
    let mut rig = Rig::new(limits, false, 4_096);
    let (slow, fast) = (rig.connect(), rig.connect());
    for client in [slow, fast] {
        rig.subscribe(client, &INTERVAL_TOPICS);
        rig.subscribe(client, &["status:x:A@10ms", "quote:x:A@20ms"]);
    }
    rig.settle();
    rig.clients[slow].socket.0.borrow_mut().room = 100;
    for n in 1..=3_000 {
        rig.trade();
        rig.quote(n);
        rig.level(Side::Bid, 1 + n % 7, n);
        rig.pipeline();
        rig.round();
        rig.clients[fast].read();
        rig.make_room(fast, usize::MAX / 2);
    }
    rig.balance();
    // Every interval is over.
    rig.now += 50_000_000;
    rig.settle();
    rig.balance();
    let (one, other) = (&rig.clients[slow], &rig.clients[fast]);
    assert_eq!(
        (&one.levels, &one.bid, one.trades),
        (&other.levels, &other.bid, other.trades)
    );
    assert_eq!((other.trades, other.bid.as_deref()), (3_000, Some("3000")));
    assert_eq!(rig.shard.metrics.gaps.get(), 1);
    assert!(rig.shard.metrics.resyncs_slow.get() > 0);
    let refusals = other.said.iter().flat_map(|m| m["rejected"].as_array());
    let refusals: Vec<_> = refusals.flatten().map(|r| &r["error"]).collect();
    assert_eq!(refusals, ["channel_not_offered", "interval_not_offered"]);
}
