//! Topics that end and come back, as a connection sees them.

use super::rig::LINGER;
use super::*;

fn answers<'a>(client: &'a Client, key: &str) -> Vec<&'a serde_json::Value> {
    let subscribed = client.said.iter().filter(|m| m["op"] == "subscribed");
    let lists = subscribed.flat_map(|m| m[key].as_array());
    lists.flatten().collect()
}

#[test]
fn a_topic_that_ends_and_comes_back_has_another_number_and_nothing_of_the_old_one() {
    let limits = Limits {
        requests_per_s: 1_000,
        ..Limits::default()
    };
    let mut rig = Rig::new(limits, false, 64);
    let client = rig.connect_in(Encoding::Bin);
    let mut tids = std::collections::BTreeSet::new();
    for n in 1..=20 {
        let topic = TOPICS[n % TOPICS.len()];
        rig.subscribe(client, &[topic]);
        rig.settle();
        let last = answers(&rig.clients[client], "topics")
            .last()
            .copied()
            .cloned();
        let last = last.expect("it is acknowledged");
        assert_eq!(last["topic"], topic);
        assert!(tids.insert(last["tid"].as_u64()), "a number of its own");
        rig.trade();
        rig.quote(n as i64);
        rig.level(Side::Bid, 5, n as i64);
        // Half of the time its last frames are still in the ring when it is left.
        rig.pipeline();
        if n % 2 == 0 {
            rig.round();
        }
        let ask = format!(r#"{{"op":"unsubscribe","topics":["{topic}"]}}"#);
        rig.clients[client].ask(&ask);
        rig.settle();
        rig.settle();
        assert_eq!(rig.requests.count(), (0, 0));
        rig.balance();
    }
    assert_eq!(rig.requests.slots(), 1, "one slot was enough");
}

#[test]
fn who_comes_back_in_time_finds_the_number_it_knows() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    for _ in 0..3 {
        rig.subscribe(client, &["quote:x:A"]);
        rig.clients[client].ask(r#"{"op":"unsubscribe","topics":["quote:x:A"]}"#);
        rig.round();
        rig.pipeline();
        rig.round();
        rig.pipeline();
    }
    rig.clients[client].read();
    let tids: Vec<_> = answers(&rig.clients[client], "topics");
    assert_eq!(tids.len(), 3);
    assert!(tids.iter().all(|entry| entry["tid"] == tids[0]["tid"]));
}

#[test]
fn a_connection_invents_so_many_topics_and_no_more_until_time_has_passed() {
    let limits = Limits {
        invented_topics_max: 3,
        topic_linger: LINGER,
        ..Limits::default()
    };
    let mut rig = Rig::new(limits, false, 64);
    let (one, other) = (rig.connect(), rig.connect());
    let names = [
        "quote:desk:A",
        "trade:desk:A",
        "quote:desk:B",
        "quote:desk:C",
        "quote:x:A",
    ];
    rig.subscribe(one, &names);
    rig.settle();
    let granted: Vec<_> = answers(&rig.clients[one], "topics");
    assert_eq!(granted.len(), 4, "three invented ones, and the real one");
    let refused: Vec<_> = answers(&rig.clients[one], "rejected");
    assert_eq!(refused.len(), 1);
    assert_eq!(
        (&refused[0]["topic"], &refused[0]["error"]),
        (&"quote:desk:C".into(), &"too_many_topics".into())
    );
    let message = refused[0]["message"].as_str().unwrap();
    assert_eq!(
        message,
        "more than 3 topics of symbols that no source has published, within 0.005 s; try again later"
    );
    // What is there already is nobody's invention.
    rig.subscribe(other, &names[..4]);
    rig.settle();
    assert_eq!(answers(&rig.clients[other], "topics").len(), 4);
    // By now the first may again.
    rig.subscribe(one, &["quote:desk:D"]);
    rig.settle();
    assert_eq!(answers(&rig.clients[one], "topics").len(), 5);
    assert_eq!(rig.shard.shared.catalog.invented(), 4);
    for client in [one, other] {
        let all = ["quote:desk:C", "quote:desk:D"].into_iter().chain(names);
        let all = serde_json::to_string(&all.collect::<Vec<_>>()).unwrap();
        rig.clients[client].ask(&format!(r#"{{"op":"unsubscribe","topics":{all}}}"#));
    }
    rig.settle();
    rig.settle();
    assert_eq!(rig.requests.count(), (0, 0));
    assert_eq!(
        rig.shard.shared.catalog.invented(),
        0,
        "nothing is left behind"
    );
}

/// What a client says in one go, before the pipeline hears of any of it.
fn swap(rig: &mut Rig, client: usize, from: &str, to: &str) {
    let leave = format!(r#"{{"op":"unsubscribe","topics":["{from}"]}}"#);
    rig.clients[client].ask(&leave);
    rig.subscribe(client, &[to]);
    rig.round();
    rig.clients[client].read();
}

fn refusals(rig: &Rig, client: usize) -> Vec<&str> {
    let refused = answers(&rig.clients[client], "rejected");
    refused
        .iter()
        .filter_map(|said| said["message"].as_str())
        .collect()
}

#[test]
fn who_leaves_an_invented_symbol_has_room_for_another_in_the_same_batch() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let (one, other) = (rig.connect(), rig.connect());
    // Five symbols may be invented.
    let names: Vec<String> = (0..5).map(|n| format!("quote:desk:N{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    rig.subscribe(one, &names);
    rig.settle();
    assert_eq!(answers(&rig.clients[one], "topics").len(), 5);
    // Another one is refused as long as all five are wanted, also if one of them loses a topic.
    rig.subscribe(one, &["trade:desk:N0"]);
    rig.settle();
    swap(&mut rig, one, "trade:desk:N0", "quote:desk:N5");
    let full = "more than 5 symbols that no source has published; subscribe to a published symbol";
    rig.settle();
    assert_eq!(refusals(&rig, one), [full]);
    for n in 0..4 {
        let (from, to) = (format!("quote:desk:N{n}"), format!("quote:desk:N{}", n + 5));
        swap(&mut rig, one, &from, &to);
        assert_eq!(rig.shard.shared.catalog.invented(), 6, "the old one leaves");
        // The room goes to one of two.
        rig.subscribe(other, &[&format!("quote:desk:M{n}")]);
        rig.settle();
        assert_eq!(refusals(&rig, other).len(), n + 1);
        assert_eq!(answers(&rig.clients[one], "topics").len(), n + 7);
    }
    assert_eq!(refusals(&rig, one), [full]);
    // All at once, and without a turn of the pipeline between.
    let names: Vec<String> = (4..9).map(|n| format!("quote:desk:N{n}")).collect();
    let names = serde_json::to_string(&names).unwrap();
    rig.clients[one].ask(&format!(r#"{{"op":"unsubscribe","topics":{names}}}"#));
    let others: Vec<String> = (0..6).map(|n| format!("quote:desk:O{n}")).collect();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    rig.subscribe(other, &others);
    rig.settle();
    assert_eq!(answers(&rig.clients[other], "topics").len(), 5);
    assert_eq!(refusals(&rig, other), [full; 5]);
    rig.balance();
}

#[test]
fn who_leaves_an_invented_topic_has_room_for_another_in_the_same_batch() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let client = rig.connect();
    // Ten topics of invented symbols may be there.
    let name = |n: usize| {
        let channel = ["quote", "trade", "book.10", "book.25"][n / 4 % 4];
        format!("{channel}:desk:N{}", n % 4)
    };
    let names: Vec<String> = (0..10).map(name).collect();
    rig.subscribe(
        client,
        &names.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    rig.subscribe(client, &[&name(10)]);
    rig.settle();
    let full = "this server has reached its limit of 10 topics; try again later";
    assert_eq!(refusals(&rig, client), [full]);
    for n in 0..6 {
        swap(&mut rig, client, &name(n), &name(n + 10));
        rig.settle();
        assert_eq!(answers(&rig.clients[client], "topics").len(), n + 11);
        assert_eq!(rig.requests.count().0, 10, "within the limit again");
    }
    assert_eq!(refusals(&rig, client), [full]);
    rig.balance();
}

#[test]
fn a_snapshot_of_a_topic_that_ended_meanwhile_answers_nobody_who_joins_another() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    rig.trade();
    rig.quote(7);
    let hear = |rig: &mut Rig, client: usize| {
        let (id, now) = (rig.clients[client].id, rig.now());
        let mut scratch = [0; 64];
        while rig
            .shard
            .handle_readable(id, &mut scratch, now, UnixNanos::new(5))
        {}
    };
    let first = rig.connect();
    rig.subscribe(first, &["trade:x:A"]);
    hear(&mut rig, first);
    rig.pipeline();
    // Its snapshot waits in the ring when it goes, and its topic ends.
    let close = [0x88, 0x80, 0, 0, 0, 0];
    let wire = &rig.clients[first].socket.0;
    wire.borrow_mut().inward.extend(close);
    hear(&mut rig, first);
    rig.pipeline();
    rig.now += 2 * LINGER.as_nanos() as u64;
    rig.pipeline();
    assert_eq!(rig.requests.count(), (0, 0));
    let second = rig.connect();
    rig.subscribe(second, &["quote:x:A"]);
    hear(&mut rig, second);
    rig.pipeline();
    assert_eq!(
        rig.shard.ring().len(),
        2,
        "the old snapshot, and the new one"
    );
    rig.settle();
    assert_eq!(rig.requests.slots(), 1, "both stood in the same slot");
    let client = &rig.clients[second];
    assert_eq!(answers(client, "topics")[0]["topic"], "quote:x:A");
    assert_eq!((client.bid.as_deref(), client.trades), (Some("7"), 0));
    rig.balance();
}
