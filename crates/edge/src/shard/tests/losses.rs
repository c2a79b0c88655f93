//! What never came, told to those who read and to those who do not.

use super::*;
use serde_json::{Value, json};
use tapecast_model::StreamKind;

const QUOTE: &str = "quote:x:A";
const BOOK: &str = "book.10:x:A";
const TRADE: &str = "trade:x:A";

fn beats(client: &Client) -> Vec<&Value> {
    let said = client.said.iter();
    said.filter(|m| m["op"] == "heartbeat").collect()
}

/// Rounds without news, in milliseconds.
fn wait(rig: &mut Rig, rounds: u64) {
    for _ in 0..rounds {
        rig.round();
    }
    for client in &mut rig.clients {
        client.read();
    }
}

#[test]
fn a_topic_of_which_nothing_was_sent_is_never_named_in_a_heartbeat() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    rig.level(Side::Bid, 5, 1);
    let early = rig.connect();
    rig.subscribe(early, &[BOOK]);
    rig.settle();
    rig.lose(StreamKind::Book, 1);
    rig.settle();
    let late = rig.connect();
    rig.subscribe(late, &[BOOK]);
    rig.settle();
    assert_eq!(rig.clients[late].said[1]["topics"][0]["start"], "none");
    wait(&mut rig, 8_000);
    let named =
        |rig: &Rig, client: usize| beats(&rig.clients[client]).last().unwrap()["topics"].clone();
    assert!(beats(&rig.clients[late]).len() >= 5);
    for beat in beats(&rig.clients[late]) {
        assert_eq!(beat["topics"], json!([]), "nothing was sent of it");
    }
    // Who was there was told of the loss, and stands where that ended.
    assert_eq!(named(&rig, early), json!([[BOOK, 1, 2]]));
    assert!(rig.clients[early].levels.is_empty());
    rig.level(Side::Bid, 6, 1);
    rig.settle();
    wait(&mut rig, 4_000);
    for client in [early, late] {
        assert_eq!(named(&rig, client), json!([[BOOK, 1, 3]]));
        assert_eq!(rig.clients[client].levels.len(), 1);
    }
    rig.balance();
}

#[test]
fn a_loss_that_a_slow_client_does_not_hear_in_time_is_in_its_gap() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let (slow, fast) = (rig.connect(), rig.connect());
    for client in [slow, fast] {
        rig.subscribe(client, &[TRADE]);
    }
    rig.settle();
    rig.clients[slow].socket.0.borrow_mut().room = 0;
    let trade = |rig: &mut Rig, count: u64| {
        for _ in 0..count {
            rig.trade();
            rig.pipeline();
            rig.round();
        }
    };
    trade(&mut rig, 500);
    rig.lose(StreamKind::Trade, 3);
    trade(&mut rig, 1_000);
    rig.settle();
    trade(&mut rig, 1);
    rig.settle();
    let notices = |rig: &Rig, client: usize| rig.clients[client].gaps.clone();
    let upstream = (500, 503, "upstream".to_owned(), true);
    assert_eq!(notices(&rig, fast), std::slice::from_ref(&upstream));
    // It was kept in its place; what did not fit behind it was lost after it.
    let heard = notices(&rig, slow);
    assert_eq!(heard[0], upstream);
    assert_eq!(
        (heard.len(), heard[1].2.as_str(), heard[1].3),
        (2, "slow_consumer", false)
    );
    // Once more, beyond what is kept.
    rig.clients[slow].socket.0.borrow_mut().room = 0;
    trade(&mut rig, 1_200);
    rig.lose(StreamKind::Trade, 2);
    trade(&mut rig, 1);
    rig.settle();
    let last = notices(&rig, slow).pop().unwrap();
    assert_eq!((last.2.as_str(), last.3), ("slow_consumer", true));
    assert_eq!(rig.clients[slow].trades, rig.clients[fast].trades);
    rig.balance();
}

/// The socket is full, one state waits, others are left out, and then the state is lost.
fn slow_with_a_lost_state(heals: bool, rejoins: bool) -> (Rig, usize) {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let slow = rig.connect();
    rig.subscribe(slow, &[QUOTE]);
    rig.settle();
    rig.quote(1);
    rig.settle();
    assert_eq!(rig.clients[slow].bid.as_deref(), Some("1"));
    rig.clients[slow].socket.0.borrow_mut().room = 0;
    for price in 2..9 {
        rig.quote(price);
        rig.pipeline();
        rig.round();
    }
    if rejoins {
        // It asks for a snapshot; before it is made, there is nothing to make it of.
        rig.make_room(slow, usize::MAX / 2);
    }
    rig.lose(StreamKind::Quote, 1);
    if heals {
        rig.quote(50);
    }
    rig.pipeline();
    rig.round();
    rig.settle();
    rig.balance();
    (rig, slow)
}

#[test]
fn a_slow_client_is_not_left_with_a_state_that_was_lost() {
    for rejoins in [false, true] {
        let (mut rig, slow) = slow_with_a_lost_state(false, rejoins);
        assert_eq!(rig.clients[slow].bid, None, "rejoins: {rejoins}");
        assert_eq!(rig.clients[slow].last[QUOTE], 9);
        rig.quote(60);
        rig.settle();
        assert_eq!(rig.clients[slow].bid.as_deref(), Some("60"));
        rig.balance();
    }
}

#[test]
fn a_slow_client_hears_of_a_state_that_is_known_again() {
    for rejoins in [false, true] {
        let (rig, slow) = slow_with_a_lost_state(true, rejoins);
        assert_eq!(rig.clients[slow].bid.as_deref(), Some("50"), "{rejoins}");
    }
}

#[test]
fn a_loss_is_heard_in_order_in_both_encodings_from_the_same_bytes() {
    let mut rig = Rig::new(Limits::default(), false, 64);
    let clients = [rig.connect(), rig.connect_in(Encoding::Bin)];
    for client in clients {
        rig.subscribe(client, &TOPICS);
    }
    rig.settle();
    rig.trade();
    rig.level(Side::Bid, 7, 1);
    rig.lose(StreamKind::Trade, 2);
    rig.lose(StreamKind::Book, 1);
    rig.trade();
    rig.level(Side::Bid, 8, 1);
    rig.settle();
    for client in clients {
        let client = &rig.clients[client];
        assert_eq!(client.gaps, [(1, 3, "upstream".to_owned(), true)]);
        assert_eq!((client.last[TRADE], client.last[BOOK]), (4, 3));
        assert_eq!(client.levels.len(), 1, "a snapshot, and nothing of before");
    }
    rig.balance();
}
