//! A client against a small server of its own: handshakes, frames in pieces, pings, ends.

use super::talk::requests;
use super::*;
use crate::integrity::Integrity;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

fn topic_name(topic: u32) -> String {
    TopicNames::new(MessageKind::Trade.topic_pattern()).name(topic)
}

/// A client of topics 0 and 1 whose server is the test.
struct Scene {
    client: Subscriber,
    desk: Desk,
    peer: TcpStream,
}

fn wait(socket: &impl AsFd) {
    use rustix::event::{PollFd, PollFlags, poll};
    poll(&mut [PollFd::new(socket, PollFlags::IN)], None).unwrap();
}

impl Scene {
    fn begin(role: Role) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = socket::connect(listener.local_addr().unwrap(), 0, None).unwrap();
        let (peer, _) = listener.accept().unwrap();
        let client = Subscriber::new(socket, role, &[1, 0], clock::mono_now());
        let desk = Desk::new(Speech::Tapecast, "h", "/v1/ws", StampClock::new());
        Self { client, desk, peer }
    }

    fn live(role: Role) -> Self {
        let mut scene = Self::begin(role);
        scene.client.handle_writable(&scene.desk).unwrap();
        scene.expect("GET /v1/ws");
        scene
            .peer
            .write_all(&ws::handshake_answer(Some(SUBPROTOCOL)))
            .unwrap();
        scene.say(r#"{"op":"welcome"}"#).unwrap();
        scene.expect(r#""topics":["trade:bench:T0-USD","trade:bench:T1-USD"]}"#);
        assert_eq!(scene.client.stage(), Stage::Subscribing);
        scene
            .say(r#"{"op":"subscribed","id":1,"topics":[{"topic":"trade:bench:T0-USD"},{"topic":"trade:bench:T1-USD"}]}"#)
            .unwrap();
        assert_eq!(scene.client.stage(), Stage::Live);
        scene
    }

    /// Reads from the client until a text has come.
    fn expect(&mut self, text: &str) {
        let mut got = Vec::new();
        while !String::from_utf8_lossy(&got).contains(text) {
            let mut byte = [0; 1024];
            let length = self.peer.read(&mut byte).unwrap();
            assert_ne!(length, 0, "{:?}", String::from_utf8_lossy(&got));
            got.extend_from_slice(&byte[..length]);
        }
    }

    fn say(&mut self, text: &str) -> Result<(), SubscriberError> {
        let mut frame = Vec::new();
        ws::write_unmasked(&mut frame, text.as_bytes());
        self.send(&frame)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), SubscriberError> {
        self.peer.write_all(bytes).unwrap();
        let before = self.client.bytes();
        while self.client.bytes() < before + bytes.len() as u64 {
            wait(&self.client);
            self.client.handle_readable(&mut self.desk)?;
        }
        Ok(())
    }

    fn trades(&mut self, topic: u32, prev: u64, ids: &[u64]) {
        let seq = prev + ids.len() as u64;
        let one = |id: &u64| {
            format!(r#"{{"id":"{id:010}","price":"1","ts_event":"0000000000000000001"}}"#)
        };
        let trades = ids.iter().map(one).collect::<Vec<_>>().join(",");
        let name = topic_name(topic);
        self.say(&format!(
            r#"{{"topic":"{name}","type":"update","epoch":1,"seq":{seq},"prev":{prev},"trades":[{trades}]}}"#
        ))
        .unwrap();
    }

    fn snapshot(&mut self, topic: u32, seq: u64) {
        let name = topic_name(topic);
        self.say(&format!(
            r#"{{"topic":"{name}","type":"snapshot","epoch":1,"seq":{seq},"trades":[]}}"#
        ))
        .unwrap();
    }
}

#[test]
fn a_clean_stream_is_clean() {
    let mut scene = Scene::live(Role::Parsed);
    scene.snapshot(0, 0);
    scene.snapshot(1, 40);
    scene.trades(0, 0, &[0]);
    scene.trades(1, 40, &[1, 2]);
    scene.trades(0, 1, &[3]);
    assert!(
        scene.desk.tally.integrity.is_clean(),
        "{:?}",
        scene.desk.tally.integrity
    );
    assert_eq!(scene.client.seen(), 4);
    let total = scene.desk.tally.total;
    assert_eq!((total.frames, total.events), (3, 4));
    scene.client.settle(&mut scene.desk.tally);
    let endings = &scene.desk.tally.endings;
    let received: Vec<u64> = endings.iter().map(|e| e.view.received).collect();
    assert_eq!(received, [2, 2]);
    assert!(endings.iter().all(|e| e.parsed && !e.slow && e.view.whole));
}

#[test]
fn every_kind_of_damage_has_its_counter() {
    let mut scene = Scene::live(Role::Parsed);
    scene.snapshot(0, 0);
    scene.trades(0, 0, &[0]);
    scene.trades(0, 3, &[5]); // 2 and 3 are lost
    scene.trades(0, 3, &[5]); // again
    scene
        .say(r#"{"op":"gap","topic":"trade:bench:T0-USD","epoch":1,"from":5,"to":9}"#)
        .unwrap();
    scene.trades(0, 9, &[4]); // fits, but the publisher's numbers go back
    scene.say(r#"{"topic":"trade:bench:T0-USD","type":"update","epoch":1,"seq":12,"prev":10,"trades":[]}"#).unwrap();
    scene
        .say(r#"{"topic":"trade:bench:T9-USD","type":"update","epoch":1,"seq":2,"prev":1}"#)
        .unwrap();
    scene.say("nonsense").unwrap();
    let expected = Integrity {
        gaps: 2,
        duplicates: 1,
        disordered: 2,
        miscounted: 1,
        unreadable: 2,
        announced_lost: 5,
        ..Integrity::default()
    };
    assert_eq!(scene.desk.tally.integrity, expected);
}

#[test]
fn frames_cut_anywhere_are_put_together() {
    let mut scene = Scene::live(Role::Parsed);
    scene.snapshot(0, 0);
    let mut frame = Vec::new();
    let text = r#"{"topic":"trade:bench:T0-USD","type":"update","epoch":1,"seq":1,"prev":0,"trades":[{"id":"0000000000","ts_event":"1"}]}"#;
    ws::write_unmasked(&mut frame, text.as_bytes());
    for piece in frame.chunks(7) {
        scene.send(piece).unwrap();
    }
    assert!(scene.desk.tally.integrity.is_clean());
    assert_eq!(scene.client.seen(), 1);
}

#[test]
fn a_counted_client_counts_and_reads_nothing() {
    let mut scene = Scene::live(Role::Counted);
    let before = scene.client.bytes();
    scene.send(b"anything at all").unwrap();
    assert_eq!(scene.client.bytes() - before, 15);
    assert_eq!(scene.desk.tally.total.verified_bytes, 0);
    assert!(scene.desk.tally.integrity.is_clean());
}

#[test]
fn a_ping_is_answered_and_a_close_is_noted() {
    let mut scene = Scene::live(Role::Parsed);
    scene.send(&[0x89, 2, b'h', b'i']).unwrap();
    scene.expect("hi");
    scene.send(&[0x88, 2, 0x0f, 0xad]).unwrap();
    assert_eq!(scene.client.stage(), Stage::Closed(4013));
}

#[test]
fn a_refused_subscription_ends_the_run_with_the_reason() {
    let mut scene = Scene::live(Role::Parsed);
    let refusal = r#"{"op":"subscribed","id":1,"topics":[],"rejected":[{"topic":"t","error":"unknown_symbol"}]}"#;
    let error = scene.say(refusal).unwrap_err();
    assert!(error.to_string().contains("unknown_symbol"), "{error}");
}

#[test]
fn a_server_that_closes_before_the_acknowledgement_is_an_error() {
    let mut scene = Scene::begin(Role::Counted);
    scene.client.handle_writable(&scene.desk).unwrap();
    scene.expect("GET");
    drop(scene.peer);
    wait(&scene.client);
    let error = scene.client.handle_readable(&mut scene.desk).unwrap_err();
    assert!(matches!(error, SubscriberError::Early(1006)), "{error}");
}

#[test]
fn many_topics_are_asked_for_in_requests_that_every_server_takes() {
    let topics: Vec<u32> = (0..2_000).collect();
    let names = TopicNames::new(MessageKind::Trade.topic_pattern());
    let requests = requests("subscribe", &topics, &names);
    assert!(requests.len() > 1 && requests.iter().all(|r| r.len() <= 16 << 10));
    let named = |request: &Vec<u8>| {
        // Masked with zeros, behind a header of eight bytes.
        let request: Value = serde_json::from_slice(&request[8..]).unwrap();
        request["topics"].as_array().unwrap().len()
    };
    assert_eq!(requests.iter().map(named).sum::<usize>(), 2_000);
}

#[test]
fn a_topic_given_up_is_subscribed_again_and_its_frames_in_between_are_too_many() {
    let mut scene = Scene::live(Role::Parsed);
    scene.snapshot(0, 5);
    assert!(scene.client.unsubscribe(0, &scene.desk).unwrap());
    scene.expect(r#""op":"unsubscribe""#);
    // Until that is acknowledged its frames are welcome.
    scene.trades(0, 5, &[6]);
    assert!(scene.desk.tally.integrity.is_clean());
    scene
        .say(r#"{"op":"unsubscribed","id":1,"topics":["trade:bench:T0-USD"]}"#)
        .unwrap();
    scene.expect(r#"{"op":"subscribe","id":1,"topics":["trade:bench:T0-USD"]}"#);
    scene.trades(0, 6, &[7]);
    assert_eq!(scene.desk.tally.integrity.uninvited, 1);
    scene
        .say(r#"{"op":"subscribed","id":1,"topics":[{"topic":"trade:bench:T0-USD"}]}"#)
        .unwrap();
    scene.snapshot(0, 9);
    scene.trades(0, 9, &[9]);
    assert_eq!(scene.desk.tally.integrity.unexplained(), 1);
    assert_eq!(scene.desk.tally.joins.resubscribes, 1);
}

#[test]
fn a_checked_client_verifies_the_chain_and_reads_no_events() {
    let mut scene = Scene::live(Role::Checked);
    scene.snapshot(0, 0);
    scene.trades(0, 0, &[0, 1]);
    scene.trades(0, 3, &[3]);
    let tally = &scene.desk.tally;
    assert_eq!((tally.integrity.gaps, tally.total.events), (1, 3));
    assert_eq!(scene.client.seen(), 0);
}

#[test]
fn what_a_slow_client_loses_is_counted_apart_and_reading_is_rationed() {
    let mut scene = Scene::live(Role::Slow);
    scene.snapshot(0, 0);
    scene
        .say(r#"{"op":"gap","topic":"trade:bench:T0-USD","epoch":1,"from":1,"to":9}"#)
        .unwrap();
    let Tally {
        integrity, slow, ..
    } = &scene.desk.tally;
    assert_eq!((integrity.announced_lost, slow.announced_lost), (0, 9));
    scene.peer.write_all(&[0x89, 0, 0x89, 0]).unwrap();
    wait(&scene.client);
    assert_eq!(scene.client.read_at_most(1, &mut scene.desk).unwrap(), 1);
    assert_eq!(scene.client.read_at_most(3, &mut scene.desk).unwrap(), 3);
}
