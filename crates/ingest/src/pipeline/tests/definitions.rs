//! What is published of an instrument's definition.

use super::*;
use crate::event::Scales;
use tapecast_model::Terms;

fn tick(digits: u8) -> EventBody {
    let tick = Some(Terms::step_of(Scale::new(digits).unwrap()));
    EventBody::Defined(Box::new(Terms {
        tick,
        ..Terms::UNKNOWN
    }))
}

/// All that is published, definitions included.
fn give(bench: &mut Bench, id: InstrumentId, body: EventBody) -> Vec<String> {
    let event = Event {
        instrument: id,
        ts_event: None,
        ts_recv: UnixNanos::new(1_000),
        venue_seq: None,
        body,
    };
    let mut lines = Vec::new();
    let mut hear = |u: &Update<'_>| lines.push(line(u));
    bench.pipeline.handle_event(event, bench.now, &mut hear);
    lines
}

fn of_definition(lines: Vec<String>) -> Vec<String> {
    let is_definition = |line: &String| line.contains("instrument");
    lines.into_iter().filter(is_definition).collect()
}

const FIRST: InstrumentId = InstrumentId::new(0);

#[test]
fn names_and_scales_are_known_before_anything_comes() {
    let mut bench = Bench::new();
    let (epoch, seq, state) = bench.current(StreamKind::Instrument);
    assert_eq!((epoch, seq), (EPOCH, 1));
    assert_eq!(state.as_deref(), Some("instrument 1: unknown"));
}

#[test]
fn only_a_change_is_an_event() {
    let mut bench = Bench::new();
    assert_eq!(
        give(&mut bench, FIRST, tick(2)),
        ["instrument 2: unknown 0.01"]
    );
    assert!(give(&mut bench, FIRST, tick(2)).is_empty());
    // Data change nothing of it, whatever they do to the status.
    assert!(of_definition(give(&mut bench, FIRST, quote(5, 9))).is_empty());
    assert_eq!(
        give(&mut bench, FIRST, tick(1)),
        ["instrument 3: unknown 0.1"]
    );
    let state = bench.current(StreamKind::Instrument);
    assert_eq!(state.2.as_deref(), Some("instrument 3: unknown 0.1"));
}

#[test]
fn it_says_of_trading_what_the_status_says_and_behind_it() {
    let mut bench = Bench::new();
    give(&mut bench, FIRST, tick(2));
    let said = give(&mut bench, FIRST, EventBody::Trading(TradingState::Halted));
    assert_eq!(
        said,
        [
            "status 2: pending halted (no data yet)",
            "instrument 3: halted 0.01"
        ]
    );
    let halted = EventBody::Trading(TradingState::Halted);
    assert!(give(&mut bench, FIRST, halted).is_empty());
}

#[test]
fn it_is_the_first_event_of_each_epoch() {
    let mut bench = Bench::new();
    give(&mut bench, FIRST, tick(2));
    let restarted = EventBody::Feed(FeedEvent::Restarted);
    let said = of_definition(give(&mut bench, FIRST, restarted));
    let epoch = EPOCH + 1;
    assert_eq!(said, [format!("e{epoch} instrument 1: unknown 0.01")]);
    // Other digits: the old steps hold no longer, and the venue says the new ones.
    let scales = EventBody::Redefined(Scales {
        price_scale: Scale::new(1).unwrap(),
        qty_scale: Scale::default(),
    });
    let epoch = epoch + 1;
    let said = of_definition(give(&mut bench, FIRST, scales));
    assert_eq!(said, [format!("e{epoch} instrument 1: unknown")]);
    let next = FIRST.next_generation().unwrap();
    let said = give(&mut bench, next, tick(1));
    assert_eq!(said, [format!("e{epoch} instrument 2: unknown 0.1")]);
}
