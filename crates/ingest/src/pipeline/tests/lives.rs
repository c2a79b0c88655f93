//! Instruments that subscribers invent: they are asked about, and leave nothing behind.

use super::*;
use std::collections::BTreeSet;
use tapecast_model::catalog::Resolved;

fn desk(bench: &Bench) -> Venue {
    let venue = Venue::new("desk").unwrap();
    let offer = Offer {
        channels: ChannelSet::EMPTY.with(ChannelKind::Quote),
        any_symbol: Some((Scale::default(), Scale::default())),
        lossless: false,
    };
    bench.pipeline.catalog.add_venue(&venue, offer);
    venue
}

fn invent(bench: &Bench, venue: &Venue, symbol: &str) -> Resolved {
    let symbol = Symbol::new(symbol).unwrap();
    bench.pipeline.catalog.invent(venue, &symbol).unwrap()
}

fn current(bench: &mut Bench, of: &Resolved, kind: StreamKind) -> (u64, u64, Option<String>) {
    let stream = StreamKey {
        instrument: of.instrument.id,
        kind,
    };
    let Current { pos, update } = bench.pipeline.current(stream);
    (pos.epoch.get(), pos.seq.get(), update.map(|u| line(&u)))
}

const DOWN: &str = "tapecast_instruments{feed=\"down\",venue=\"desk\"}";
const LIVE: &str = "tapecast_instruments{feed=\"live\",venue=\"desk\"}";

#[test]
fn what_nobody_has_published_is_told_of_and_neither_kept_nor_counted() {
    let mut bench = Bench::new();
    let venue = desk(&bench);
    let invented = invent(&bench, &venue, "A");
    let status = current(&mut bench, &invented, StreamKind::Status);
    assert_eq!(
        status,
        (EPOCH, 1, Some("status 1: pending (no data yet)".into()))
    );
    assert_eq!(
        current(&mut bench, &invented, StreamKind::Quote),
        (EPOCH, 0, None)
    );
    assert_eq!(bench.metric(DOWN), 0);
    assert!(bench.pipeline.instruments.is_empty());
    bench.pipeline.collect(10);
    assert_eq!(bench.metric("tapecast_instruments_invented"), 1);
    // A source names it: from its first event on it is like any other.
    let symbol = Symbol::new("A").unwrap();
    let named = bench.pipeline.catalog.ensure(&venue, &symbol).unwrap();
    assert_eq!(named.id, invented.instrument.id);
    let index = named.id.index() as u32;
    assert_eq!(
        bench.give_to(index, trades(&[1])),
        ["trade 1: 1", "status 2: live"]
    );
    assert_eq!((bench.metric(DOWN), bench.metric(LIVE)), (0, 1));
    drop(invented);
    bench.pipeline.collect(10);
    assert_eq!(bench.metric("tapecast_instruments_invented"), 0);
    assert!(bench.pipeline.catalog.get(named.id).is_some());
}

#[test]
fn an_instrument_that_ends_and_returns_begins_a_higher_epoch() {
    let mut bench = Bench::new();
    let venue = desk(&bench);
    let mut last = 0;
    for _ in 0..3 {
        let invented = invent(&bench, &venue, "A");
        let (epoch, ..) = current(&mut bench, &invented, StreamKind::Quote);
        assert!(epoch > last, "a position of its last life does not fit");
        let (again, ..) = current(&mut bench, &invented, StreamKind::Status);
        assert_eq!(again, epoch, "nothing has ended since");
        last = epoch;
        drop(invented);
        bench.pipeline.collect(10);
    }
    // Another one, which a source names, is not below it either.
    let symbol = Symbol::new("B").unwrap();
    let named = bench.pipeline.catalog.ensure(&venue, &symbol).unwrap();
    let index = named.id.index() as u32;
    bench.pipeline.catalog.collect(10);
    let event = Event {
        instrument: named.id,
        ts_event: None,
        ts_recv: UnixNanos::from_millis(50_000),
        venue_seq: None,
        body: trades(&[1]),
    };
    let mut epochs = Vec::new();
    let mut sink = |u: &Update<'_>| epochs.push(u.epoch.get());
    bench.pipeline.handle_event(event, Mono::new(0), &mut sink);
    assert_eq!(index, 3);
    assert!(
        epochs.iter().all(|epoch| *epoch == 50_000),
        "the time is higher: {epochs:?}"
    );
}

#[test]
fn epochs_only_rise_over_many_restarts_and_over_lives_whose_clock_was_set_back() {
    let mut said = Vec::new();
    let mut floor = Epoch::default();
    for started in [9_000, 4_000, 1] {
        let source = EpochSource::above(floor);
        let epochs = Arc::new(source);
        let mut bench = Bench::with(|config| {
            config.epochs = Arc::clone(&epochs);
            config.started = UnixNanos::from_millis(started);
        });
        let mut life = Vec::new();
        for round in 0..50 {
            let mut of_round = BTreeSet::new();
            for instrument in [0, 1] {
                let event = Event {
                    instrument: InstrumentId::new(instrument),
                    ts_event: None,
                    ts_recv: UnixNanos::from_millis(started + round / 10),
                    venue_seq: None,
                    body: EventBody::Feed(FeedEvent::Restarted),
                };
                let mut sink = |u: &Update<'_>| of_round.extend([u.epoch]);
                bench.pipeline.handle_event(event, Mono::new(0), &mut sink);
            }
            assert_eq!(
                of_round.len(),
                1,
                "who starts over together shares an epoch"
            );
            life.extend(of_round);
        }
        assert!(life.is_sorted_by(|a, b| a < b), "{life:?}");
        // What is asked for now is not below them either.
        let venue = desk(&bench);
        drop(invent(&bench, &venue, "A"));
        bench.pipeline.collect(10);
        let invented = invent(&bench, &venue, "A");
        let (epoch, ..) = current(&mut bench, &invented, StreamKind::Quote);
        life.push(Epoch::new(epoch));
        assert_eq!(epochs.last(), Epoch::new(epoch));
        said.extend(life);
        floor = epochs.last();
    }
    assert!(said.is_sorted_by(|a, b| a < b), "{said:?}");
}

#[test]
fn a_million_invented_names_leave_nothing() {
    let mut bench = Bench::new();
    let venue = desk(&bench);
    for n in 0..1_000_000_u32 {
        let invented = invent(&bench, &venue, &format!("N{n}"));
        assert!(
            invented.instrument.id.index() <= 4,
            "an index is used again"
        );
        if n % 50 == 0 {
            current(&mut bench, &invented, StreamKind::Status);
        }
        drop(invented);
        bench.pipeline.collect(2);
    }
    assert!(bench.pipeline.instruments.is_empty());
    assert_eq!(
        (bench.metric(DOWN), bench.pipeline.catalog.invented()),
        (0, 0)
    );
}
