//! What the fan-out promises across threads, under every interleaving that loom finds:
//! `RUSTFLAGS="--cfg loom" cargo test -p tapecast-fanout --release --test loom`
#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use loom::thread;
use std::sync::Arc;
use tapecast_fanout::interest::Interests;
use tapecast_fanout::wake::Doorbell;
use tapecast_model::{Instrument, InstrumentId, Scale, Symbol, Venue};
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
                entry.leave(0, Encoding::Json);
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
                entry.leave(0, Encoding::Json);
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
