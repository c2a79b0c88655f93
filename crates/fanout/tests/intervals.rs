//! Goal: what subscribers of interval topics hear is what happened, no oftener than they asked for.
//!
//! Method: a publisher with two shards and a clock moved by hand is fed with random events of one
//! instrument: levels, crossed books, dropped books, quotes, trades, losses of both, restarts. Clients do
//! nothing but follow the protocol's rule; each frame they apply is compared with what the stream's state was at
//! that number. One shard listens from the beginning to the end, and when it hears a frame, and of
//! what number, is compared with a naive conflator that keeps every event. The other shard comes and
//! goes. In the end, when all intervals are over, interval topics say what plain topics say.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "intervals/market.rs"]
mod market;
#[path = "intervals/naive.rs"]
mod naive;
#[path = "intervals/rig.rs"]
mod rig;

use market::Happening;
use proptest::prelude::*;
use rig::Rig;

/// What one turn of the pipeline's thread meets.
#[derive(Clone, Debug)]
struct Step {
    /// How long after the one before, in microseconds.
    after: u64,
    happenings: Vec<Happening>,
    /// The second shard joins, or leaves, this topic.
    toggles: Option<usize>,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        8 => (any::<bool>(), 0_i64..14, 0_i64..3).prop_map(|(b, p, q)| Happening::Level(b, p, q)),
        1 => any::<bool>().prop_map(Happening::Crossed),
        1 => Just(Happening::Dropped),
        1 => Just(Happening::QuoteLost),
        1 => (1_u64..4).prop_map(Happening::TradesLost),
        4 => (0_i64..5).prop_map(Happening::Quote),
        4 => (1_u64..4).prop_map(Happening::Trades),
        1 => (100_u64..700).prop_map(Happening::Trades),
        1 => Just(Happening::Restarted),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let after = prop_oneof![3 => 0_u64..3_000, 3 => 0_u64..20_000, 1 => 0_u64..200_000];
    let toggles = prop::option::weighted(0.3, 0..rig::TOPICS.len());
    (after, prop::collection::vec(happening(), 0..6), toggles).prop_map(
        |(after, happenings, toggles)| Step {
            after,
            happenings,
            toggles,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn interval_topics_say_what_happened_no_oftener_than_asked(steps in prop::collection::vec(step(), 0..80)) {
        let mut rig = Rig::new(1 << 16);
        rig.join_all(0);
        rig.turn();
        for step in steps {
            rig.pass(step.after);
            if let Some(topic) = step.toggles {
                rig.toggle(1, topic);
            }
            rig.publisher_turn(&step.happenings);
            rig.deliver(0);
            rig.deliver(1);
        }
        rig.pass(10_000_000);
        rig.turn();
        rig.deliver(0);
        rig.deliver(1);
        rig.check_times();
        rig.check_nothing_lost();
        rig.check_ends();
    }

    /// With rings that overrun, losses are announced and made good, and the end is the same.
    #[test]
    fn whatever_overruns_interval_topics_end_with_the_truth(
        steps in prop::collection::vec(step(), 0..80),
        drains in prop::collection::vec(any::<bool>(), 80),
        capacity in 2_usize..30,
    ) {
        let mut rig = Rig::new(capacity);
        rig.join_all(0);
        rig.turn();
        for (step, drain) in steps.into_iter().zip(drains) {
            rig.pass(step.after);
            if let Some(topic) = step.toggles {
                // What was meant for who was there before is not for who comes.
                rig.deliver(1);
                rig.toggle(1, topic);
            }
            rig.publisher_turn(&step.happenings);
            if drain {
                rig.deliver(0);
                rig.deliver(1);
            }
        }
        for _ in 0..40 {
            rig.pass(10_000_000);
            rig.turn();
            rig.deliver(0);
            rig.deliver(1);
        }
        rig.check_ends();
    }
}

#[test]
fn a_topic_that_nobody_wants_any_more_ends_with_what_it_held() {
    let mut rig = Rig::new(64);
    rig.toggle(1, rig::QUOTE_100MS);
    rig.turn();
    rig.publisher_turn(&[Happening::Quote(1), Happening::Quote(2)]);
    rig.toggle(1, rig::QUOTE_100MS);
    assert!(rig.publisher.next_deadline().is_some());
    rig.deliver(1);
    let heard = rig.frames_heard(1);
    rig.pass(200_000);
    rig.turn();
    rig.deliver(1);
    assert_eq!(rig.frames_heard(1), heard, "nothing for nobody");
    assert_eq!(rig.publisher.next_deadline(), None, "and no timer is left");
    rig.toggle(1, rig::QUOTE_100MS);
    rig.turn();
    rig.publisher_turn(&[Happening::Quote(3)]);
    rig.deliver(1);
    assert_eq!(
        rig.frames_heard(1),
        heard + 1,
        "it begins anew, published at once"
    );
    assert_eq!(rig.publisher.next_deadline(), None, "and only once");
}

#[test]
fn thousands_of_topics_due_at_once_are_published_in_portions_and_leave_room_for_events() {
    let mut rig = Rig::new(1 << 16);
    let others = rig.other_instruments(3_000, "quote", "10ms");
    rig.join_all(0);
    rig.turn();
    for value in [1, 2] {
        for (index, instrument) in others.iter().enumerate() {
            rig.quote_of(instrument, value + index as i64);
        }
        rig.flush();
    }
    rig.deliver(0);
    rig.pass(20_000);
    let (mut turns, mut heard) = (0, 0);
    while rig.publisher.next_deadline().is_some() {
        assert!(rig.publish_due());
        assert!(!rig.publisher.is_turn_full(), "room for events");
        rig.flush();
        let items = rig.items(0).len();
        assert!((1..=256).contains(&items), "{items}");
        (turns, heard) = (turns + 1, heard + items);
    }
    assert_eq!(heard, 3_000);
    assert!(turns >= 12, "{turns}");
}

#[test]
fn all_shards_share_one_encoding_of_what_was_held() {
    let mut rig = Rig::new(64);
    for shard in [0, 1] {
        rig.toggle(shard, rig::QUOTE_100MS);
    }
    rig.turn();
    rig.publisher_turn(&[
        Happening::Quote(1),
        Happening::Quote(2),
        Happening::Quote(3),
    ]);
    rig.pass(100_000);
    rig.turn();
    let [one, other] = [0, 1].map(|shard| rig.items(shard).pop().unwrap());
    assert_eq!(one.frame().as_ptr(), other.frame().as_ptr());
    assert_eq!(rig.conflated("quote"), 1, "two were held, one went out");
}
