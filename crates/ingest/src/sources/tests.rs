//! Who has its turn when, and that nothing is lost, changes places or blocks another.

use super::*;
use crate::event::{EventBody, FeedEvent};
use tapecast_model::{InstrumentId, UnixNanos};

mod model;

/// Event number `n` of a source.
fn event(n: u64) -> Event {
    Event {
        instrument: InstrumentId::new(0),
        ts_event: None,
        ts_recv: UnixNanos::default(),
        venue_seq: Some(n),
        body: EventBody::Feed(FeedEvent::Restarted),
    }
}

fn events(numbers: std::ops::Range<u64>) -> Events {
    numbers.map(event).collect()
}

/// The next event alone.
fn next(channels: &mut SourceChannels) -> Option<(LineId, Event)> {
    let mut share = channels.next_share(1)?;
    let event = share.next().expect("a share has an event");
    Some((share.line(), event))
}

/// The source and the number of an event that was taken.
fn spelled((line, event): (LineId, Event)) -> (u32, u64) {
    (line.source.0, event.venue_seq.unwrap())
}

/// What a turn of so many events takes.
fn turn(channels: &mut SourceChannels, most: usize) -> Vec<(u32, u64)> {
    let taken = std::iter::from_fn(|| next(channels));
    taken.take(most).map(spelled).collect()
}

/// How many of them each source gave, in a row.
fn shares(taken: &[(u32, u64)]) -> Vec<(u32, usize)> {
    let runs = taken.chunk_by(|one, other| one.0 == other.0);
    runs.map(|run| (run[0].0, run.len())).collect()
}

const TURN: usize = 4 * SHARE;

#[test]
fn a_quiet_source_waits_for_one_round_behind_one_at_full_speed() {
    let (mut channels, opener) = SourceChannels::new();
    let replay = opener.open(SourceId(1), 4);
    let push = opener.open(SourceId(2), 4);
    let mut sent = 0;
    for quiet in 0..100 {
        // The replay fills its channel before each turn, and the desk has one event.
        while replay.try_send(events(sent..sent + 200)).is_ok() {
            sent += 200;
        }
        push.try_send(events(quiet..quiet + 1)).unwrap();
        let taken = turn(&mut channels, TURN);
        assert_eq!(taken.len(), TURN);
        let at = taken.iter().position(|taken| *taken == (2, quiet));
        assert!(at.unwrap() <= SHARE, "{:?}", shares(&taken));
    }
}

#[test]
fn the_round_goes_on_over_turns_and_a_batch_that_is_half_taken_stays_with_its_source() {
    let (mut channels, opener) = SourceChannels::new();
    let sources = [1, 2, 3].map(|id| opener.open(SourceId(id), 2));
    for tx in &sources {
        tx.try_send(events(0..100)).unwrap();
    }
    assert_eq!(shares(&turn(&mut channels, 40)), [(1, 40)]);
    assert_eq!(shares(&turn(&mut channels, 40)), [(1, 24), (2, 16)]);
    assert_eq!(shares(&turn(&mut channels, 100)), [(2, 48), (3, 52)]);
    let rest = turn(&mut channels, TURN);
    assert_eq!(shares(&rest), [(3, 12), (1, 36), (2, 36), (3, 36)]);
    assert_eq!(rest[12], (1, 64));
    assert!(!channels.has_more());
}

#[test]
fn one_source_alone_fills_turns() {
    let (mut channels, opener) = SourceChannels::new();
    let _quiet = opener.open(SourceId(1), 2);
    let loud = opener.open(SourceId(2), 2);
    loud.try_send(events(0..256)).unwrap();
    loud.try_send(events(256..512)).unwrap();
    let expected: Vec<_> = (0..512).map(|n| (2, n)).collect();
    assert_eq!(turn(&mut channels, TURN), expected[..TURN]);
    assert!(channels.has_more());
    assert_eq!(turn(&mut channels, TURN), expected[TURN..]);
    assert_eq!(
        (turn(&mut channels, TURN).len(), channels.has_more()),
        (0, false)
    );
}

#[test]
fn a_share_ends_with_its_batch_or_with_the_turn_of_its_source() {
    let (mut channels, opener) = SourceChannels::new();
    let sources = [1, 2].map(|id| opener.open(SourceId(id), 2));
    for (tx, batches) in sources.iter().zip([[10, 100], [1, 1]]) {
        for count in batches {
            tx.try_send(events(0..count)).unwrap();
        }
    }
    // What is not taken comes again.
    assert!(channels.next_share(SHARE).is_some());
    let shares: Vec<_> = std::iter::from_fn(|| {
        let share = channels.next_share(TURN)?;
        Some((share.line().source.0, share.count()))
    })
    .collect();
    assert_eq!(shares, [(1, 10), (1, 54), (2, 1), (2, 1), (1, 46)]);
}

#[test]
fn a_full_channel_holds_back_its_own_source_only() {
    let (mut channels, opener) = SourceChannels::new();
    let [full, other] = [1, 2].map(|id| opener.open(SourceId(id), 2));
    for n in 0..2 {
        full.try_send(events(n..n + 1)).unwrap();
    }
    let refused = full.try_send(events(2..5)).unwrap_err();
    assert_eq!(refused, TrySendError::Full(events(2..5)));
    let late = full.send_timeout(events(2..3), Duration::ZERO).unwrap_err();
    assert_eq!(late, SendTimeoutError::Timeout(events(2..3)));
    other.try_send(events(0..1)).unwrap();
    assert_eq!(turn(&mut channels, TURN), [(1, 0), (1, 1), (2, 0)]);
    full.try_send(events(2..3)).unwrap();
}

#[test]
fn an_ended_source_gives_what_it_has_left_and_is_removed() {
    let (mut channels, opener) = SourceChannels::new();
    let [one, two, three] = [1, 2, 3].map(|id| opener.open(SourceId(id), 4));
    let publisher = two.of_line(1);
    two.try_send(events(0..70)).unwrap();
    drop(two);
    assert_eq!(turn(&mut channels, 1), [(2, 0)]);
    publisher.try_send(events(70..71)).unwrap();
    drop(publisher);
    three.try_send(events(0..1)).unwrap();
    assert_eq!(channels.count(), 3);
    let rest = turn(&mut channels, TURN);
    assert_eq!(shares(&rest), [(2, 63), (3, 1), (2, 7)]);
    assert_eq!((rest[70], channels.count()), ((2, 70), 2));
    drop((one, three));
    assert_eq!((turn(&mut channels, TURN).len(), channels.count()), (0, 0));
    // Without sources it is not woken without end.
    assert!(channels.bell().is_empty());
    drop(opener);
    assert_eq!(channels.bell().try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn a_source_that_runs_again_goes_on_in_its_channel_and_new_ones_come_in() {
    let (mut channels, opener) = SourceChannels::new();
    let supervisor = opener.open(SourceId(1), 10);
    let run = |numbers| {
        let run = supervisor.clone();
        run.try_send(events(numbers)).unwrap();
    };
    run(0..10);
    supervisor.try_send(events(10..11)).unwrap();
    run(11..20);
    assert_eq!(turn(&mut channels, 5).len(), 5);
    // As after a reload of the configuration: the source goes, and another comes.
    drop(supervisor);
    let other = opener.open(SourceId(2), 10);
    other.try_send(events(0..3)).unwrap();
    let expected = (5..20).map(|n| (1, n)).chain((0..3).map(|n| (2, n)));
    assert_eq!(turn(&mut channels, TURN), expected.collect::<Vec<_>>());
    assert_eq!(channels.count(), 1);
}

#[test]
fn a_batch_is_of_one_line_and_the_line_comes_with_each_event() {
    let (mut channels, opener) = SourceChannels::new();
    let desk = opener.open(SourceId(7), 10);
    let publishers = [1, 2].map(|number| desk.of_line(number));
    desk.try_send(events(0..1)).unwrap();
    publishers[1].try_send(events(1..3)).unwrap();
    publishers[0].try_send(events(3..4)).unwrap();
    let taken = std::iter::from_fn(|| next(&mut channels));
    let lines: Vec<_> = taken
        .map(|(line, _)| (line.source.0, line.number))
        .collect();
    assert_eq!(lines, [(7, LineId::FIRST), (7, 2), (7, 2), (7, 1)]);
    assert_eq!(publishers[1].line().number, 2);
}

#[test]
fn after_the_pipeline_sources_cannot_send() {
    let (channels, opener) = SourceChannels::new();
    let before = opener.open(SourceId(1), 1);
    drop(channels);
    for tx in [before, opener.open(SourceId(2), 1)] {
        let refused = tx.try_send(events(0..1)).unwrap_err();
        assert_eq!(refused, TrySendError::Disconnected(events(0..1)));
    }
}

/// With a lost ring the pipeline would sleep for ever beside an event.
#[test]
fn no_event_is_left_beside_a_pipeline_that_sleeps() {
    const EACH: u64 = 20_000;
    let (mut channels, opener) = SourceChannels::new();
    let sources: Vec<_> = (1..=3).map(|id| opener.open(SourceId(id), 2)).collect();
    std::thread::scope(|scope| {
        for tx in sources {
            scope.spawn(move || {
                for n in 0..EACH {
                    let sent = tx.send_timeout(events(n..n + 1), Duration::from_secs(3_600));
                    sent.unwrap();
                }
            });
        }
        let mut expected = [0; 4];
        for _ in 0..3 * EACH {
            let (source, n) = loop {
                match next(&mut channels) {
                    Some(taken) => break spelled(taken),
                    None => channels.bell().recv().unwrap(),
                }
            };
            assert_eq!(n, expected[source as usize]);
            expected[source as usize] += 1;
        }
        assert_eq!(expected, [0, EACH, EACH, EACH]);
    });
}
