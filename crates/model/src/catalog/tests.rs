//! What is in the catalogue, and what leaves it.

use super::*;
use crate::topic::ChannelKind;

fn names(venue: &str, symbol: &str) -> (Venue, Symbol) {
    (Venue::new(venue).unwrap(), Symbol::new(symbol).unwrap())
}

fn resolve(catalog: &Catalog, topic: &str) -> Result<Arc<Instrument>, CatalogError> {
    let resolved = catalog.resolve(&topic.parse().unwrap());
    resolved.map(|resolved| resolved.instrument)
}

fn invent(catalog: &Catalog, topic: &str) -> Result<Resolved, CatalogError> {
    catalog.resolve(&topic.parse().unwrap())
}

#[test]
fn a_symbol_is_known_only_where_it_trades() {
    let catalog = Catalog::new(10);
    let (okx, btc) = names("okx", "BTC-USDT");
    let channels = ChannelSet::EMPTY.with(ChannelKind::Trade);
    catalog.add_venue(
        &okx,
        Offer {
            channels,
            ..Offer::default()
        },
    );
    let scale = Scale::new(1).unwrap();
    let definition = Definition {
        symbol: btc.clone(),
        native: "BTC-USDT".into(),
        price_scale: scale,
        qty_scale: scale,
    };
    let added = catalog.add_instrument(&okx, definition.clone()).unwrap();
    assert_eq!(resolve(&catalog, "trade:okx:BTC-USDT"), Ok(added));
    let twice = catalog.add_instrument(&okx, definition);
    assert_eq!(
        twice,
        Err(CatalogError::Duplicate(okx.clone(), btc.clone()))
    );
    let (kraken, eth) = names("kraken", "ETH-USD");
    assert_eq!(
        resolve(&catalog, "book.10:okx:BTC-USDT@100ms"),
        Err(CatalogError::ChannelNotOffered(okx.clone(), "book"))
    );
    assert_eq!(
        resolve(&catalog, "trade:okx:ETH-USD"),
        Err(CatalogError::UnknownSymbol(okx, eth.clone()))
    );
    assert_eq!(
        resolve(&catalog, "trade:kraken:ETH-USD"),
        Err(CatalogError::UnknownVenue(kraken))
    );
}

#[test]
fn any_symbol_comes_into_being_by_name_up_to_the_limit() {
    let catalog = Catalog::new(2);
    let (bench, _) = names("bench", "x");
    let scale = Scale::new(8).unwrap();
    let channels = ChannelSet::EMPTY.with(ChannelKind::Quote);
    let any_symbol = Some((scale, scale));
    catalog.add_venue(
        &bench,
        Offer {
            channels,
            any_symbol,
            lossless: false,
        },
    );
    let one = invent(&catalog, "quote:bench:A").unwrap();
    let refused = invent(&catalog, "quote:bench:B").unwrap_err();
    assert_eq!(refused, CatalogError::TooManyInvented(1));
    for name in ["B", "C"] {
        catalog.ensure(&bench, &names("b", name).1).unwrap();
    }
    let full = Err(CatalogError::Full(2));
    assert_eq!(catalog.ensure(&bench, &names("b", "D").1), full);
    // There is no room for it among the named ones, and it lives on among the invented ones.
    assert_eq!(catalog.ensure(&bench, &names("b", "A").1), full);
    assert!(catalog.is_invented(one.instrument.id));
    assert_eq!(catalog.instruments().len(), 2, "lists say what is named");
}

#[test]
fn an_interval_is_refused_where_nothing_is_conflated_and_names_no_symbol() {
    let catalog = Catalog::new(10);
    let scale = Scale::new(8).unwrap();
    let channels = ChannelKind::ALL
        .into_iter()
        .fold(ChannelSet::EMPTY, ChannelSet::with);
    let offer = Offer {
        channels,
        any_symbol: Some((scale, scale)),
        lossless: false,
    };
    catalog.add_venue(&names("desk", "A").0, offer);
    for topic in ["status:desk:A@100ms", "instrument:desk:A@5s"] {
        let refusal = resolve(&catalog, topic).unwrap_err();
        assert!(matches!(refusal, CatalogError::IntervalNotOffered(..)));
        assert!(refusal.to_string().contains("without @"), "{refusal}");
    }
    assert_eq!(catalog.invented(), 0);
    let channels = ["trade", "quote", "book.25", "ticker"];
    let held = channels.map(|channel| invent(&catalog, &format!("{channel}:desk:A@10ms")).unwrap());
    assert!(
        held.iter()
            .all(|resolved| resolved.instrument == held[0].instrument)
    );
    assert_eq!(catalog.invented(), 1);
}

/// A catalogue with one venue where any symbol may be named.
fn desk(instruments_max: usize) -> (Catalog, Venue) {
    let catalog = Catalog::new(instruments_max);
    let venue = names("desk", "A").0;
    let offer = Offer {
        channels: ChannelSet::EMPTY.with(ChannelKind::Quote),
        any_symbol: Some((Scale::default(), Scale::default())),
        lossless: false,
    };
    catalog.add_venue(&venue, offer);
    (catalog, venue)
}

#[test]
fn an_invented_instrument_ends_with_its_last_lease_and_its_id_is_not_taken_for_the_next() {
    let (catalog, _) = desk(10);
    let one = invent(&catalog, "quote:desk:A").unwrap();
    let again = invent(&catalog, "quote:desk:A").unwrap();
    let old = one.instrument.id;
    drop(one);
    catalog.collect(100);
    assert_eq!(
        catalog.get(old),
        Some(Arc::clone(&again.instrument)),
        "still held"
    );
    drop(again);
    assert_eq!(
        (catalog.invented(), catalog.endings()),
        (1, 0),
        "not yet collected"
    );
    assert!(!catalog.collect(100));
    assert_eq!((catalog.get(old), catalog.invented()), (None, 0));
    assert_eq!(catalog.endings(), 1);
    let next = invent(&catalog, "quote:desk:B").unwrap();
    assert_eq!(next.instrument.id.index(), old.index());
    assert_ne!(next.instrument.id, old);
    assert_eq!(catalog.get(old), None);
    assert_eq!(catalog.get(next.instrument.id), Some(next.instrument));
}

#[test]
fn who_comes_back_before_the_end_keeps_the_instrument() {
    let (catalog, _) = desk(10);
    let before = invent(&catalog, "quote:desk:A").unwrap().instrument;
    assert_eq!(
        catalog
            .find(&"quote:desk:A".parse().unwrap())
            .unwrap()
            .map(|r| r.instrument),
        None
    );
    let back = invent(&catalog, "quote:desk:A").unwrap();
    assert_eq!(back.instrument, before);
    while catalog.collect(1) {}
    assert_eq!(catalog.get(before.id), Some(before));
}

#[test]
fn an_instrument_that_nobody_wants_any_more_does_not_count_though_its_lease_is_held() {
    let (catalog, venue) = desk(4);
    let beyond = |name: &str| catalog.invent_beyond(&venue, &names("desk", name).1);
    let claim = |resolved: &Resolved| resolved.lease.as_ref().unwrap().claim();
    let release = |resolved: &Resolved| resolved.lease.as_ref().unwrap().release();
    let full = CatalogError::TooManyInvented(2);
    let (one, two) = (beyond("A").unwrap(), beyond("B").unwrap());
    assert_eq!(beyond("C").unwrap_err(), full, "both are new");
    for resolved in [&one, &one, &two] {
        claim(resolved);
    }
    release(&one);
    assert_eq!(beyond("C").unwrap_err(), full, "one still wants it");
    release(&one);
    assert_eq!(invent(&catalog, "quote:desk:C").unwrap_err(), full);
    let three = beyond("C").unwrap();
    assert_eq!((catalog.invented(), beyond("D").unwrap_err()), (3, full));
    // Who comes back takes its room again, and only what is about to end makes room.
    claim(&one);
    let full = CatalogError::TooManyInvented(2);
    assert_eq!(beyond("D").unwrap_err(), full);
    drop(three);
    assert_eq!(beyond("D").unwrap_err(), full);
    release(&one);
    drop(one);
    assert!(beyond("D").is_ok(), "its end made room");
    assert_eq!(catalog.invented(), 2);
}

#[test]
fn what_leaves_takes_no_more_room_than_the_limit_itself() {
    let (catalog, venue) = desk(6);
    let mut held = Vec::new();
    let refused = loop {
        let name = names("desk", &format!("N{}", held.len())).1;
        match catalog.invent_beyond(&venue, &name) {
            Ok(resolved) => {
                let lease = resolved.lease.as_ref().unwrap();
                lease.claim();
                lease.release();
                held.push(resolved);
            }
            Err(error) => break error,
        }
    };
    assert_eq!(refused, CatalogError::TooManyInvented(3));
    assert_eq!(
        (held.len(), leaving_max(3), leaving_max(1 << 20)),
        (6, 3, 4_096)
    );
    drop(held);
    assert!(invent(&catalog, "quote:desk:A").is_ok());
    assert!(!catalog.collect(9));
    assert_eq!((catalog.invented(), catalog.released.leaving()), (0, 0));
}

#[test]
fn what_a_source_names_stays() {
    let (catalog, venue) = desk(10);
    let invented = invent(&catalog, "quote:desk:A").unwrap();
    let named = catalog.ensure(&venue, &names("desk", "A").1).unwrap();
    assert_eq!(named, invented.instrument);
    drop(invented);
    catalog.collect(100);
    assert_eq!(catalog.get(named.id), Some(Arc::clone(&named)));
    assert_eq!((catalog.invented(), catalog.endings()), (0, 0));
    assert_eq!(resolve(&catalog, "quote:desk:A"), Ok(named));
}

#[test]
fn a_million_invented_names_take_the_room_of_those_that_are_held_at_once() {
    let (catalog, venue) = desk(10);
    let mut held = std::collections::VecDeque::new();
    for n in 0..1_000_000 {
        held.push_back(
            catalog
                .invent(&venue, &names("desk", &format!("N{n}")).1)
                .unwrap(),
        );
        if held.len() == 4 {
            held.pop_front();
        }
    }
    let inner = catalog.read();
    let left = catalog.released.len();
    assert!(
        inner.records.len() <= 6 && inner.free.len() <= 6 && left <= 6,
        "{left}"
    );
    assert!(inner.venues[&venue].symbols.len() <= 6);
}

#[test]
fn the_version_moves_with_each_change_and_portions_cover_all() {
    let catalog = Catalog::new(10);
    let (desk, _) = names("desk", "x");
    let scale = Scale::new(8).unwrap();
    let mut versions = vec![catalog.version()];
    let offer = Offer {
        channels: ChannelSet::EMPTY.with(ChannelKind::Quote),
        any_symbol: Some((scale, scale)),
        lossless: false,
    };
    catalog.add_venue(&desk, offer);
    versions.push(catalog.version());
    for symbol in ["A", "B", "C", "A"] {
        catalog.ensure(&desk, &names("x", symbol).1).unwrap();
        versions.push(catalog.version());
    }
    assert_eq!(versions, [0, 1, 2, 3, 4, 4]);
    let portions: Vec<usize> = [0, 2, 3, 9]
        .map(|from| catalog.portion(from, 2).len())
        .into();
    assert_eq!(portions, [2, 1, 0, 0]);
    assert_eq!(catalog.portion(1, 2), catalog.instruments()[1..]);
    // An invented one is passed over, and an index that is free again.
    let held = invent(&catalog, "quote:desk:D").unwrap();
    catalog.ensure(&desk, &names("x", "E").1).unwrap();
    drop(held);
    for _ in 0..2 {
        assert_eq!(catalog.portion(2, 9).len(), 2);
        catalog.collect(10);
    }
}

#[test]
fn the_version_moves_with_what_lists_say_and_with_nothing_else() {
    let (catalog, venue) = desk(10);
    let before = catalog.version();
    let held = invent(&catalog, "quote:desk:A").unwrap();
    drop(held);
    catalog.collect(100);
    assert_eq!(
        catalog.version(),
        before,
        "lists do not show what is invented"
    );
    catalog.ensure(&venue, &names("desk", "A").1).unwrap();
    let named = catalog.version();
    assert!(named > before);
    catalog.ensure(&venue, &names("desk", "A").1).unwrap();
    assert_eq!(catalog.version(), named);
    catalog.add_venue(&names("other", "A").0, Offer::default());
    assert!(catalog.version() > named);
}

/// Any symbol may be named.
fn any_symbol() -> Offer {
    Offer {
        channels: ChannelSet::EMPTY.with(ChannelKind::Quote),
        any_symbol: Some((Scale::default(), Scale::default())),
        lossless: false,
    }
}

#[test]
fn an_instrument_with_other_scales_has_the_same_name_and_index() {
    let catalog = Catalog::new(2);
    let (desk, a) = names("desk", "A");
    let scale = Scale::default();
    catalog.add_venue(&desk, any_symbol());
    let before = catalog.ensure(&desk, &a).unwrap();
    let version = catalog.version();
    let (price, qty) = (Scale::new(3).unwrap(), Scale::new(4).unwrap());
    let after = catalog.redefine(before.id, price, qty).unwrap();
    assert_eq!(after.id.index(), before.id.index());
    assert_eq!(Some(after.id), before.id.next_generation());
    assert_eq!((after.price_scale, after.qty_scale), (price, qty));
    assert_eq!(
        (&after.symbol, &after.native),
        (&before.symbol, &before.native)
    );
    assert!(catalog.version() > version);
    assert_eq!(catalog.get(before.id), None);
    assert_eq!(resolve(&catalog, "quote:desk:A"), Ok(Arc::clone(&after)));
    assert_eq!(catalog.instruments(), [Arc::clone(&after)]);
    // The old one is gone, and cannot be redefined.
    assert_eq!(catalog.redefine(before.id, scale, scale), None);
    let again = catalog.redefine(after.id, scale, scale).unwrap();
    assert_eq!(catalog.get(again.id), Some(again));
}

#[test]
fn an_invented_instrument_that_is_redefined_is_named() {
    let catalog = Catalog::new(1);
    let (desk, b) = names("desk", "B");
    let scale = Scale::default();
    catalog.add_venue(&desk, any_symbol());
    let Resolved { instrument, lease } = invent(&catalog, "quote:desk:A").unwrap();
    let after = catalog.redefine(instrument.id, scale, scale).unwrap();
    assert!(!catalog.is_invented(after.id));
    assert_eq!(catalog.invented(), 0);
    // Its subscribers' claims end nothing.
    drop(lease);
    assert!(!catalog.collect(10));
    assert_eq!(catalog.get(after.id), Some(after));
    // Where all named ones are taken, another cannot be.
    let Resolved { instrument, lease } = invent(&catalog, "quote:desk:B").unwrap();
    assert_eq!(catalog.redefine(instrument.id, scale, scale), None);
    assert_eq!(instrument.symbol, b);
    drop(lease);
}
