//! Instruments whose scales change: another takes their place, in a higher epoch.

use super::*;
use crate::event::Scales;
use crate::reseed::{ReseedRequests, Want};
use std::cell::RefCell;
use tapecast_model::Instrument;

/// A sink that notes in order what is replaced, and what is published.
#[derive(Default)]
struct Heard(RefCell<Vec<String>>);

impl UpdateSink for &Heard {
    fn publish(&mut self, update: &Update<'_>) {
        let generation = update.instrument.price_scale.digits();
        self.0
            .borrow_mut()
            .push(format!("scale {generation}: {}", line(update)));
    }

    fn replace(&mut self, replaced: InstrumentId, by: &Arc<Instrument>) {
        assert_eq!(replaced.next_generation(), Some(by.id));
        self.0.borrow_mut().push("replaced".to_owned());
    }
}

fn scales(digits: u8) -> EventBody {
    EventBody::Redefined(Scales {
        price_scale: Scale::new(digits).unwrap(),
        qty_scale: Scale::default(),
    })
}

fn give(bench: &mut Bench, id: InstrumentId, body: EventBody) -> Vec<String> {
    let heard = Heard::default();
    let event = Event {
        instrument: id,
        ts_event: None,
        ts_recv: UnixNanos::new(1_000),
        venue_seq: None,
        body,
    };
    bench.pipeline.handle_event(event, bench.now, &mut &heard);
    heard.0.into_inner()
}

const OLD: InstrumentId = InstrumentId::new(0);

fn new() -> InstrumentId {
    OLD.next_generation().unwrap()
}

#[test]
fn all_streams_begin_again_and_nothing_of_the_old_scales_is_published() {
    let mut bench = Bench::new();
    give(&mut bench, OLD, trades(&[1, 2]));
    give(&mut bench, OLD, quote(5, 9));
    let said = give(&mut bench, OLD, scales(2));
    assert_eq!(said.first().map(String::as_str), Some("replaced"));
    let status = said.last().unwrap();
    let epoch = EPOCH + 1;
    assert!(
        status.starts_with(&format!("scale 2: e{epoch} status 1: ")),
        "{said:?}"
    );
    let defined = format!("scale 2: e{epoch} instrument 1: unknown");
    assert_eq!((&said[1], said.len()), (&defined, 3));
    // In the old scales, on its way when they changed.
    assert!(give(&mut bench, OLD, quote(6, 9)).is_empty());
    assert_eq!(bench.metric("tapecast_events_unknown_instrument_total"), 1);
    let said = give(&mut bench, new(), quote(617, 900));
    assert_eq!(said[0], format!("scale 2: e{epoch} quote 1: 617x1 900x1"));
    // The same again is no change.
    assert!(give(&mut bench, new(), scales(2)).is_empty());
    let state = bench.current(StreamKind::Quote);
    assert_eq!(state.2, None, "the old instrument has no state");
}

#[test]
fn topics_of_the_old_instrument_are_told_which_has_taken_its_place() {
    let mut bench = Bench::new();
    give(&mut bench, OLD, quote(5, 9));
    let stream = |instrument| StreamKey {
        instrument,
        kind: StreamKind::Quote,
    };
    for digits in 1..=3 {
        let mut id = OLD;
        for _ in 1..digits {
            id = id.next_generation().unwrap();
        }
        give(&mut bench, id, scales(digits));
        for old in [OLD, id] {
            let answer = MarketState::current(&mut bench.pipeline, stream(old));
            let Answer::Replaced(by) = answer else {
                panic!("{answer:?}");
            };
            assert_eq!(by.price_scale.digits(), digits);
        }
    }
    let other = stream(InstrumentId::new(1));
    let answer = MarketState::current(&mut bench.pipeline, other);
    assert!(matches!(answer, Answer::Now(_)));
}

#[test]
fn ids_of_trades_go_on_and_the_books_snapshot_is_asked_for() {
    let requests = ReseedRequests::default();
    let mut bench = Bench::with(|config| config.reseed = requests.clone());
    let session = requests.session(|| {});
    session.serve(new());
    give(&mut bench, OLD, numbered(trades(&[1, 2])));
    give(&mut bench, OLD, snapshot(Link::None, &[(5, 1)], &[(6, 1)]));
    give(&mut bench, OLD, scales(1));
    let request = session.take().unwrap();
    assert_eq!((request.instrument, request.want), (new(), Want::Reseed));
    assert!(!request.is_answered(1) && request.is_answered(2));
    // 2 is known from before; 4 tells that 3 never came.
    let said = give(&mut bench, new(), numbered(trades(&[2, 4])));
    let epoch = EPOCH + 1;
    let of_trades: Vec<_> = said.iter().filter(|line| line.contains("trade")).collect();
    assert_eq!(
        of_trades,
        [
            &format!("scale 1: e{epoch} trade 1: 1 lost"),
            &format!("scale 1: e{epoch} trade 2: 4"),
        ]
    );
    let said = give(
        &mut bench,
        new(),
        snapshot(Link::None, &[(50, 1)], &[(60, 1)]),
    );
    assert!(said[0].contains("book 1: 50x1 | 60x1"), "{said:?}");
}
