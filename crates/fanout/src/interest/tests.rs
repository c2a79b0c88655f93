//! Topics that linger, end, come back and make room.

use super::*;
use tapecast_model::catalog::Offer;
use tapecast_model::{Catalog, ChannelKind, ChannelSet, Scale, Symbol, Venue};

const LINGER: Duration = Duration::from_secs(60);

const fn at(seconds: u64) -> Mono {
    Mono::new(seconds * 1_000_000_000)
}

/// Interests, what the publisher's side does, and a catalogue where any symbol may be named.
struct Rig {
    catalog: Catalog,
    interests: Interests,
    requests: Requests,
}

impl Rig {
    fn new(topics_max: usize, first_tid: u32) -> Self {
        let catalog = Catalog::new(100_000);
        let offer = Offer {
            channels: ChannelSet::EMPTY.with(ChannelKind::Quote),
            any_symbol: Some((Scale::default(), Scale::default())),
            lossless: false,
        };
        catalog.add_venue(&Venue::new("x").unwrap(), offer);
        let limits = TopicLimits {
            topics_max,
            linger: LINGER,
            first_tid,
        };
        let (interests, requests) = Interests::with_limits(limits);
        Self {
            catalog,
            interests,
            requests,
        }
    }

    /// A symbol that a source has named.
    fn named(&self, symbol: &str) -> Result<Arc<TopicEntry>, TooManyTopics> {
        let (venue, name) = (Venue::new("x").unwrap(), Symbol::new(symbol).unwrap());
        self.catalog.ensure(&venue, &name).unwrap();
        self.invented(symbol)
    }

    fn invented(&self, symbol: &str) -> Result<Arc<TopicEntry>, TooManyTopics> {
        let topic = format!("quote:x:{symbol}").parse().unwrap();
        let resolved = self.catalog.resolve(&topic).unwrap();
        self.interests.entry(&topic, resolved)
    }

    fn join(&self, entry: &Arc<TopicEntry>) {
        self.interests.join(entry, 0, Encoding::Json);
    }

    fn leave(&self, entry: Arc<TopicEntry>, now: Mono) {
        self.interests.leave(&entry, 0, Encoding::Json);
        drop(entry);
        self.turn(now);
    }

    /// What the pipeline's thread does with requests.
    fn turn(&self, now: Mono) {
        while let Some(entry) = self.requests.take() {
            if !entry.is_wanted() {
                self.requests.linger(&entry, now);
            }
        }
    }

    fn sweep(&self, now: Mono) {
        while self.requests.sweep(now, 3) {}
        self.catalog.collect(100);
    }
}

#[test]
fn who_comes_back_while_a_topic_lingers_finds_it_under_its_number() {
    let rig = Rig::new(10, 0);
    let entry = rig.named("A").unwrap();
    rig.join(&entry);
    let (tid, slot) = (entry.tid, entry.slot);
    rig.leave(entry, at(0));
    rig.sweep(at(59));
    let entry = rig.named("A").unwrap();
    assert_eq!((entry.tid, entry.slot), (tid, slot));
    rig.join(&entry);
    rig.turn(at(59));
    rig.sweep(at(1_000));
    assert_eq!(rig.requests.count(), (1, 0), "it is wanted");
    rig.leave(entry, at(1_000));
    rig.sweep(at(1_059));
    assert_eq!(rig.requests.count(), (1, 1));
    rig.sweep(at(1_060));
    assert_eq!(rig.requests.count(), (0, 0));
    let entry = rig.named("A").unwrap();
    assert_eq!((entry.tid, entry.slot.index()), (tid + 1, slot.index()));
    assert_ne!(entry.slot, slot, "the next generation");
    assert_eq!(rig.requests.slots(), 1);
}

#[test]
fn leaving_again_begins_the_time_anew() {
    let rig = Rig::new(10, 0);
    for now in [0, 50] {
        let entry = rig.named("A").unwrap();
        rig.join(&entry);
        rig.leave(entry, at(now));
    }
    rig.sweep(at(109));
    assert_eq!(rig.requests.count(), (1, 1));
    rig.sweep(at(110));
    assert_eq!(rig.requests.count(), (0, 0));
}

#[test]
fn a_topic_that_nobody_ever_joined_ends_too() {
    let rig = Rig::new(10, 0);
    drop(rig.invented("A").unwrap());
    rig.turn(at(0));
    rig.sweep(at(60));
    assert_eq!((rig.requests.count(), rig.catalog.invented()), ((0, 0), 0));
}

#[test]
fn a_topic_does_not_end_while_anything_refers_to_it() {
    let rig = Rig::new(10, 0);
    let entry = rig.named("A").unwrap();
    rig.turn(at(0));
    rig.sweep(at(60));
    rig.sweep(at(119));
    assert_eq!(rig.requests.count(), (1, 1), "somebody is about to join");
    rig.join(&entry);
    rig.interests.leave(&entry, 0, Encoding::Json);
    drop(entry);
    rig.sweep(at(120));
    assert_eq!(
        rig.requests.count(),
        (1, 1),
        "the queue of requests names it"
    );
    rig.turn(at(120));
    rig.sweep(at(180));
    assert_eq!(rig.requests.count(), (0, 0));
}

#[test]
fn numbers_skip_those_that_live_when_they_wrap() {
    let rig = Rig::new(10, u32::MAX - 1);
    let first = rig.named("A").unwrap();
    assert_eq!(first.tid, u32::MAX - 1);
    rig.join(&first);
    let mut tids = Vec::new();
    for n in 0..3 {
        let entry = rig.named("B").unwrap();
        tids.push(entry.tid);
        rig.join(&entry);
        rig.leave(entry, at(n * 60));
        rig.sweep(at(n * 60 + 60));
    }
    assert_eq!(tids, [u32::MAX, 0, 1]);
    // Once around: the first still has its number.
    let rig = Rig::new(10, u32::MAX);
    let last = rig.named("A").unwrap();
    let zero = rig.named("B").unwrap();
    assert_eq!((last.tid, zero.tid), (u32::MAX, 0));
    let mut table = lock(&rig.requests.table);
    table.set_next_tid(u32::MAX);
    drop(table);
    assert_eq!(rig.named("C").unwrap().tid, 1);
}

#[test]
fn where_there_is_no_room_what_lingers_longest_ends_and_what_is_wanted_stays() {
    let rig = Rig::new(3, 0);
    let wanted = rig.named("A").unwrap();
    rig.join(&wanted);
    for (symbol, now) in [("B", 1), ("C", 2)] {
        let entry = rig.named(symbol).unwrap();
        rig.join(&entry);
        rig.leave(entry, at(now));
    }
    let entry = rig.named("D").unwrap();
    rig.join(&entry);
    let lives = |symbol: &str| {
        let topic = format!("quote:x:{symbol}").parse().unwrap();
        rig.interests.find(&topic).is_some()
    };
    assert_eq!(["A", "B", "C", "D"].map(lives), [true, false, true, true]);
    let other = rig.named("E").unwrap();
    rig.join(&other);
    assert_eq!(["A", "C", "D", "E"].map(lives), [true, false, true, true]);
    assert_eq!(
        rig.named("F").unwrap_err(),
        TooManyTopics(3),
        "all are wanted"
    );
    assert_eq!(rig.requests.slots(), 3);
}

#[test]
fn whoever_invents_names_shuts_out_nobody_who_wants_a_real_one() {
    let rig = Rig::new(4, 0);
    let held: Vec<_> = ["A", "B"]
        .map(|symbol| rig.invented(symbol).unwrap())
        .into();
    held.iter().for_each(|entry| rig.join(entry));
    assert_eq!(rig.invented("C").unwrap_err(), TooManyTopics(2));
    let real: Vec<_> = ["D", "E", "F", "G"].map(|s| rig.named(s).unwrap()).into();
    assert_eq!((real.len(), rig.requests.count().0), (4, 6));
    // Of two that linger, the older one makes room for an invention.
    for (entry, now) in held.into_iter().zip([1, 2]) {
        rig.leave(entry, at(now));
    }
    rig.invented("C").unwrap();
    assert!(rig.interests.find(&"quote:x:A".parse().unwrap()).is_none());
    assert!(rig.interests.find(&"quote:x:B".parse().unwrap()).is_some());
}

#[test]
fn what_all_have_left_makes_room_before_the_publisher_knows_of_it() {
    let rig = Rig::new(4, 0);
    let make = |symbol: &str| {
        let entry = rig.invented(symbol)?;
        rig.join(&entry);
        Ok::<_, TooManyTopics>(entry)
    };
    let leave = |entry: Arc<TopicEntry>| rig.interests.leave(&entry, 0, Encoding::Json);
    let (one, two) = (make("A").unwrap(), make("B").unwrap());
    rig.interests.join(&one, 1, Encoding::Bin);
    rig.turn(at(0));
    leave(Arc::clone(&one));
    assert_eq!(make("C").unwrap_err(), TooManyTopics(2), "another wants it");
    rig.interests.leave(&one, 1, Encoding::Bin);
    let three = make("C").unwrap();
    assert_eq!(make("D").unwrap_err(), TooManyTopics(2));
    // Who comes back finds its topic, and counts again.
    rig.join(&one);
    leave(three);
    assert_eq!(make("D").unwrap_err(), TooManyTopics(2));
    leave(one);
    let four = make("D").unwrap();
    assert_eq!(rig.requests.count(), (4, 0));
    leave(two);
    assert_eq!(
        make("E").unwrap_err(),
        TooManyTopics(2),
        "as many may leave"
    );
    // What is too many does not linger.
    rig.turn(at(1));
    rig.sweep(at(1));
    assert_eq!(rig.requests.count(), (2, 1));
    leave(four);
    rig.turn(at(1));
    rig.sweep(at(61));
    assert_eq!((rig.requests.count(), rig.catalog.invented()), ((0, 0), 0));
    assert!(rig.requests.slots() <= 4);
    // Nothing is left of it in the census.
    let held = ["F", "G"].map(|symbol| make(symbol).unwrap());
    assert_eq!(make("H").unwrap_err(), TooManyTopics(2));
    drop(held);
}

#[test]
fn a_topic_that_nobody_joins_counts_until_it_ends() {
    let rig = Rig::new(2, 0);
    let entry = rig.invented("A").unwrap();
    rig.turn(at(0));
    assert_eq!(rig.invented("B").unwrap_err(), TooManyTopics(1));
    drop(entry);
    for symbol in ["B", "C", "D"] {
        drop(rig.invented(symbol).unwrap());
        rig.turn(at(0));
    }
    assert_eq!((rig.requests.count(), rig.requests.slots()), ((1, 1), 1));
}

#[test]
fn thousands_of_lingering_topics_end_a_bounded_number_at_a_time() {
    let rig = Rig::new(10_000, 0);
    for n in 0..3_000 {
        drop(rig.invented(&format!("N{n}")).unwrap());
    }
    rig.turn(at(0));
    let mut calls = 0;
    while rig.requests.sweep(at(60), 256) {
        calls += 1;
        let (left, _) = rig.requests.count();
        assert_eq!(left, 3_000_usize.saturating_sub(calls * 256));
    }
    assert_eq!((rig.requests.count(), calls), ((0, 0), 11));
}

/// A symbol whose instrument is replaced by this, with its topic.
fn replaced(rig: &Rig, entry: &Arc<TopicEntry>) -> Arc<Instrument> {
    let scale = Scale::new(2).unwrap();
    rig.catalog
        .redefine(entry.instrument.id, scale, scale)
        .unwrap()
}

#[test]
fn a_topic_is_found_as_its_successor_and_ends_when_nobody_refers_to_it() {
    let rig = Rig::new(10, 0);
    let old = rig.named("A").unwrap();
    rig.join(&old);
    rig.turn(at(0));
    let by = replaced(&rig, &old);
    assert!(rig.requests.succeed(&old, &by));
    assert!(rig.requests.succeed(&old, &by), "it has one already");
    let new = rig.named("A").unwrap();
    assert_eq!(old.successor().map(|entry| entry.slot), Some(new.slot));
    assert_eq!(new.instrument, by);
    assert_ne!((old.tid, old.slot), (new.tid, new.slot));
    let (slot, tid) = (old.slot, old.tid);
    rig.sweep(at(1_000));
    assert_eq!(rig.requests.slots(), 2);
    let again = rig.named("B").unwrap();
    assert_eq!(again.slot.index(), 2, "a shard still refers to the old one");
    rig.interests.abandon(&old, 0, Encoding::Json);
    drop(old);
    rig.sweep(at(1_000));
    let third = rig.named("C").unwrap();
    assert_eq!(third.slot.index(), slot.index(), "now it has ended");
    assert_ne!((third.slot, third.tid), (slot, tid));
}

#[test]
fn a_successor_that_nobody_joins_ends_as_topics_do() {
    let rig = Rig::new(10, 0);
    let old = rig.named("A").unwrap();
    rig.join(&old);
    rig.turn(at(0));
    let by = replaced(&rig, &old);
    assert!(rig.requests.succeed(&old, &by));
    rig.leave(old, at(0));
    rig.sweep(at(0));
    assert_eq!(rig.requests.count(), (1, 1), "the successor lingers");
    rig.sweep(at(60));
    rig.sweep(at(120));
    assert_eq!(rig.requests.count(), (0, 0));
    // A topic that nobody wants counts against no limit.
    for n in 0..10 {
        rig.named(&format!("B{n}")).unwrap();
    }
}

#[test]
fn successors_of_successors_are_found_at_once_and_are_not_without_limit() {
    let rig = Rig::new(4, 0);
    let first = rig.named("A").unwrap();
    rig.join(&first);
    rig.turn(at(0));
    let mut entries = vec![Arc::clone(&first)];
    for _ in 0..4 {
        let last = entries.last().unwrap();
        let by = replaced(&rig, last);
        assert!(rig.requests.succeed(last, &by));
        entries.push(rig.named("A").unwrap());
    }
    let last = entries.pop().unwrap();
    assert_eq!(first.successor().map(|entry| entry.slot), Some(last.slot));
    // As many as topics may be leaving; then it must wait.
    let by = replaced(&rig, &last);
    assert!(!rig.requests.succeed(&last, &by));
    assert!(last.successor().is_none());
    rig.interests.abandon(&first, 0, Encoding::Json);
    drop((first, entries));
    rig.sweep(at(0));
    assert!(rig.requests.succeed(&last, &by), "one has ended");
}

#[test]
fn successors_of_invented_topics_stay_within_their_class() {
    let rig = Rig::new(2, 0);
    let mut held = Vec::new();
    for n in 0..20 {
        let Ok(old) = rig.invented(&format!("I{n}")) else {
            break;
        };
        rig.join(&old);
        rig.turn(at(0));
        let by = replaced(&rig, &old);
        assert!(rig.requests.succeed(&old, &by));
        let new = rig.invented(&format!("I{n}")).unwrap();
        rig.join(&new);
        rig.interests.abandon(&old, 0, Encoding::Json);
        drop(old);
        rig.turn(at(0));
        rig.sweep(at(0));
        held.push(new);
    }
    assert_eq!(held.len(), 1, "half as many invented topics as others");
}

#[test]
fn a_topic_that_is_wanted_may_be_replaced_again_and_again() {
    let rig = Rig::new(4, 0);
    // It lingers in front of all others, and is not due.
    rig.named("Z")
        .map(|z| {
            rig.join(&z);
            rig.leave(z, at(0));
        })
        .unwrap();
    let mut entry = rig.named("A").unwrap();
    rig.join(&entry);
    rig.turn(at(0));
    for _ in 0..50 {
        let by = replaced(&rig, &entry);
        assert!(rig.requests.succeed(&entry, &by));
        let next = rig.named("A").unwrap();
        rig.join(&next);
        rig.interests.abandon(&entry, 0, Encoding::Json);
        entry = next;
        rig.turn(at(1));
        rig.sweep(at(1));
    }
    assert!(rig.requests.slots() <= 3);
}
