//! What the fan-out promises across threads, under every interleaving that loom finds:
//! `cargo xtask loom`
#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use loom::thread;
use std::sync::Arc;
use std::time::Duration;
use tapecast_fanout::wake::Doorbell;
use tapecast_fanout::{Interests, Requests, TopicEntry, TopicLimits, TopicSlot};
use tapecast_model::{Instrument, InstrumentId, Mono, Scale, Symbol, Topic, Venue};
use tapecast_wire::Encoding;

fn instrument() -> Arc<Instrument> {
    Arc::new(Instrument {
        id: InstrumentId::new(0),
        venue: Venue::new("x").unwrap(),
        symbol: Symbol::new("A").unwrap(),
        native: "A".into(),
        price_scale: Scale::default(),
        qty_scale: Scale::default(),
        lossless: false,
    })
}

/// Work that was made visible before the bell is either seen by the sleeper's last look, or wakes it.
#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let work = Arc::new(AtomicU64::new(0));
        let woken = Arc::new(AtomicBool::new(false));
        let bell = {
            let woken = Arc::clone(&woken);
            Arc::new(Doorbell::new(move || woken.store(true, Ordering::Release)))
        };
        let ringer = {
            let (work, bell) = (Arc::clone(&work), Arc::clone(&bell));
            thread::spawn(move || {
                work.store(1, Ordering::Release);
                bell.ring();
            })
        };
        bell.prepare_to_sleep();
        let saw_work = work.load(Ordering::Acquire) == 1;
        ringer.join().unwrap();
        // Going to sleep now without having seen the work must be ended by the bell.
        assert!(saw_work || woken.load(Ordering::Acquire));
    });
}

/// Every shard that asks is answered, however asking and answering interleave, and whoever takes the
/// request sees the interest that was set before it.
#[test]
fn no_request_is_lost() {
    loom::model(|| {
        let (interests, requests) = Interests::new(1);
        let interests = Arc::new(interests);
        let topic = "quote:x:A".parse().unwrap();
        let entry = interests.entry(&topic, &instrument()).unwrap();
        // The publisher knows of it by now.
        answer(&requests);
        let shards: Vec<_> = (0..2)
            .map(|shard| {
                let (interests, entry) = (Arc::clone(&interests), Arc::clone(&entry));
                thread::spawn(move || interests.join(&entry, shard, Encoding::Json))
            })
            .collect();
        let mut answered = 0;
        let mut answer = || {
            while let Some(entry) = requests.take() {
                let asked = entry.take_asked(Encoding::Json);
                assert_eq!(entry.wanted(Encoding::Json) & asked, asked);
                answered |= asked;
            }
        };
        answer();
        for shard in shards {
            shard.join().unwrap();
        }
        answer();
        assert_eq!(answered, 0b11);
    });
}

/// A snapshot that counts as made for a shard's interest was made when that interest was seen, and
/// whoever has asked is never left with a snapshot that does not count.
#[test]
fn a_snapshot_belongs_to_an_interest_that_it_has_seen() {
    loom::model(|| {
        let (interests, requests) = Interests::new(1);
        let interests = Arc::new(interests);
        let topic = "quote:x:A".parse().unwrap();
        let entry = interests.entry(&topic, &instrument()).unwrap();
        interests.join(&entry, 0, Encoding::Json);
        let shard = {
            let (interests, entry) = (Arc::clone(&interests), Arc::clone(&entry));
            thread::spawn(move || {
                interests.leave(&entry, 0, Encoding::Json);
                interests.join(&entry, 0, Encoding::Json).unwrap()
            })
        };
        // Of each snapshot: the count at which it is made, and whether the interest is seen then.
        let mut made = Vec::new();
        let mut answer = || {
            while let Some(entry) = requests.take() {
                if entry.take_asked(Encoding::Json) != 0 {
                    let begun = entry.begun();
                    made.push((begun, entry.wanted(Encoding::Json) != 0));
                }
            }
        };
        answer();
        let began = shard.join().unwrap();
        answer();
        let counting = made.iter().filter(|(begun, _)| *begun >= began);
        assert!(counting.clone().all(|(_, seen)| *seen));
        assert!(counting.count() > 0, "the request is answered");
    });
}

/// A shard that leaves and comes back while the publisher looks is not taken for gone.
#[test]
fn coming_back_is_seen() {
    loom::model(|| {
        let (interests, requests) = Interests::new(1);
        let interests = Arc::new(interests);
        let topic = "quote:x:A".parse().unwrap();
        let entry = interests.entry(&topic, &instrument()).unwrap();
        interests.join(&entry, 0, Encoding::Json);
        let shard = {
            let (interests, entry) = (Arc::clone(&interests), Arc::clone(&entry));
            thread::spawn(move || {
                interests.leave(&entry, 0, Encoding::Json);
                interests.join(&entry, 0, Encoding::Json);
            })
        };
        // The publisher ends a topic that nobody wants at the moment it looks.
        let mut live = false;
        let mut look = || {
            while let Some(entry) = requests.take() {
                let asked = entry.take_asked(Encoding::Json);
                live |= asked != 0;
            }
            live &= entry.is_wanted();
            live
        };
        look();
        shard.join().unwrap();
        assert!(look(), "the topic is live again");
    });
}

/// Interests for one topic that ends as soon as it may.
fn hasty() -> (Arc<Interests>, Requests) {
    let limits = TopicLimits {
        topics_max: 1,
        linger: Duration::ZERO,
        first_tid: 0,
    };
    let (interests, requests) = Interests::with_limits(limits);
    (Arc::new(interests), requests)
}

/// What the pipeline's thread does with requests; returns the topics that were asked for.
fn answer(requests: &Requests) -> Vec<Arc<TopicEntry>> {
    let mut asked = Vec::new();
    while let Some(entry) = requests.take() {
        if !entry.is_wanted() {
            requests.linger(&entry, Mono::default());
        } else if entry.take_asked(Encoding::Json) != 0 {
            asked.push(entry);
        }
    }
    asked
}

/// A topic does not end under somebody who is about to join it: who has joined, and is answered, stands
/// in the entry that everybody else finds.
#[test]
fn who_joins_while_a_topic_ends_is_answered() {
    loom::model(|| {
        let (interests, requests) = hasty();
        let topic: Topic = "quote:x:A".parse().unwrap();
        let entry = interests.entry(&topic, &instrument()).unwrap();
        let tid = entry.tid;
        drop(entry);
        answer(&requests);
        let shard = {
            let (interests, topic) = (Arc::clone(&interests), topic.clone());
            thread::spawn(move || {
                let entry = interests.entry(&topic, &instrument()).unwrap();
                interests.join(&entry, 0, Encoding::Json);
                entry
            })
        };
        requests.sweep(Mono::default(), 2);
        let mut answered = answer(&requests);
        requests.sweep(Mono::default(), 2);
        let joined = shard.join().unwrap();
        answered.extend(answer(&requests));
        requests.sweep(Mono::default(), 2);
        let found = interests.find(&topic).expect("it is wanted");
        assert!(Arc::ptr_eq(&found, &joined));
        assert!(answered.iter().any(|entry| Arc::ptr_eq(entry, &joined)));
        assert_eq!(
            requests.slots(),
            1,
            "one slot, whether or not it was used again"
        );
        assert!(joined.tid == tid || joined.slot != TopicSlot::new(0));
    });
}

/// However shards leave, the publisher hears of the last one, and the topic ends.
#[test]
fn a_topic_that_all_have_left_ends() {
    loom::model(|| {
        let (interests, requests) = hasty();
        let topic = "quote:x:A".parse().unwrap();
        let entry = interests.entry(&topic, &instrument()).unwrap();
        for shard in 0..2 {
            interests.join(&entry, shard, Encoding::Json);
        }
        answer(&requests);
        let shards: Vec<_> = (0..2)
            .map(|shard| {
                let (interests, entry) = (Arc::clone(&interests), Arc::clone(&entry));
                thread::spawn(move || interests.leave(&entry, shard, Encoding::Json))
            })
            .collect();
        drop(entry);
        answer(&requests);
        requests.sweep(Mono::default(), 2);
        for shard in shards {
            shard.join().unwrap();
        }
        answer(&requests);
        while requests.sweep(Mono::default(), 2) {}
        assert_eq!(requests.count(), (0, 0));
    });
}

/// A shard that needs room ends a topic early while the publisher ends it in time: it ends once.
#[test]
fn a_topic_ends_once() {
    loom::model(|| {
        let (interests, requests) = hasty();
        let topic = "quote:x:A".parse().unwrap();
        drop(interests.entry(&topic, &instrument()).unwrap());
        answer(&requests);
        let shard = {
            let interests = Arc::clone(&interests);
            thread::spawn(move || {
                let other = "trade:x:A".parse().unwrap();
                let entry = interests.entry(&other, &instrument()).unwrap();
                interests.join(&entry, 0, Encoding::Json);
                entry
            })
        };
        requests.sweep(Mono::default(), 2);
        let mut answered = answer(&requests);
        let joined = shard.join().unwrap();
        answered.extend(answer(&requests));
        assert!(answered.iter().any(|entry| Arc::ptr_eq(entry, &joined)));
        assert_eq!((requests.count().0, requests.slots()), (1, 1));
        assert_ne!(joined.slot, TopicSlot::new(0), "the next generation");
    });
}

/// Whoever leaves its topic has room for another, at whatever moment the publisher hears of it.
#[test]
fn who_leaves_has_room_for_another() {
    loom::model(|| {
        let (interests, requests) = hasty();
        let entry = interests
            .entry(&"quote:x:A".parse().unwrap(), &instrument())
            .unwrap();
        interests.join(&entry, 0, Encoding::Json);
        answer(&requests);
        let shard = {
            let interests = Arc::clone(&interests);
            thread::spawn(move || {
                interests.leave(&entry, 0, Encoding::Json);
                drop(entry);
                let other = "trade:x:A".parse().unwrap();
                let entry = interests.entry(&other, &instrument()).expect("room");
                interests.join(&entry, 0, Encoding::Json);
                entry
            })
        };
        let mut answered = answer(&requests);
        requests.sweep(Mono::default(), 2);
        let joined = shard.join().unwrap();
        answered.extend(answer(&requests));
        assert!(answered.iter().any(|entry| Arc::ptr_eq(entry, &joined)));
        requests.sweep(Mono::default(), 2);
        assert_eq!(requests.count(), (1, 0), "within the limit again");
    });
}

/// However shards leave and come back, a topic counts as wanted exactly if one of them wants it.
#[test]
fn a_wanted_topic_counts_once() {
    loom::model(|| {
        let (interests, requests) = hasty();
        let entry = interests
            .entry(&"quote:x:A".parse().unwrap(), &instrument())
            .unwrap();
        let shard = {
            let (interests, entry) = (Arc::clone(&interests), Arc::clone(&entry));
            thread::spawn(move || {
                interests.join(&entry, 1, Encoding::Bin);
                interests.leave(&entry, 1, Encoding::Bin);
            })
        };
        interests.join(&entry, 0, Encoding::Json);
        interests.leave(&entry, 0, Encoding::Json);
        interests.join(&entry, 0, Encoding::Json);
        shard.join().unwrap();
        let other = "trade:x:A".parse().unwrap();
        assert!(interests.entry(&other, &instrument()).is_err(), "wanted");
        interests.leave(&entry, 0, Encoding::Json);
        assert!(interests.entry(&other, &instrument()).is_ok(), "not wanted");
        drop(requests);
    });
}
