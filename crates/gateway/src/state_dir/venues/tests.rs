//! What is kept of venues, from one process to the next.

use super::*;
use crate::state_dir::{StateDir, register};
use prometheus::Registry;
use proptest::prelude::*;
use std::fs;
use tempfile::TempDir;

const ADDRESS: &str = "wss://x https://x";

fn venue() -> Venue {
    Venue::new("binance").unwrap()
}

/// A life of the process.
fn life(folder: &TempDir) -> KeptVenues {
    let failures = register(&Registry::new()).unwrap();
    let dir = StateDir::open(folder.path(), failures).unwrap();
    KeptVenues::new(Some(Arc::new(dir)))
}

fn failures(kept: &KeptVenues) -> u64 {
    kept.dir.as_ref().unwrap().failures.get()
}

fn instrument(native: &str, digits: u8) -> VenueInstrument {
    let price_scale = Scale::new(digits).unwrap();
    VenueInstrument {
        native: native.into(),
        symbol: Symbol::new("A-B").ok(),
        scales: Scales {
            price_scale,
            qty_scale: Scale::default(),
        },
        trading: TradingState::Open,
        terms: Terms {
            kind: Some(InstrumentKind::Spot),
            tick: Some(Terms::step_of(price_scale)),
            ..Terms::UNKNOWN
        },
    }
}

fn whole(instruments: Vec<VenueInstrument>) -> Listing {
    Listing {
        instruments,
        is_whole: true,
    }
}

fn seconds(seconds: u64) -> Mono {
    Mono::default().after(Duration::from_secs(seconds))
}

fn file(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("venues/binance")
}

#[test]
fn the_next_life_knows_what_the_venue_has_listed_and_until_when_it_wants_to_be_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let first = life(&folder);
    assert_eq!(first.earlier(&venue(), ADDRESS), Earlier::default());
    let (a, b) = (instrument("A\"Ö", 2), instrument("B", 3));
    first.note_listing(&venue(), ADDRESS, whole(vec![a, b.clone()]), seconds(1));
    assert!(first.is_due(seconds(1)));
    // A part of the list: one has changed, and another has come.
    let (finer, new) = (instrument("A\"Ö", 4), instrument("C", 0));
    let part = Listing {
        instruments: vec![finer.clone(), new.clone()],
        is_whole: false,
    };
    first.note_listing(&venue(), ADDRESS, part, seconds(1));
    let until = UnixNanos::new(unix_now().get() + 60_000_000_000);
    first.note_ban(&venue(), ADDRESS, until, seconds(1));
    first.note_top(&venue(), ADDRESS, vec!["B".into()], seconds(1));
    first.write_due(seconds(1));
    assert!(!first.is_due(seconds(1)));
    let known = Earlier {
        instruments: vec![finer, b, new],
        top: vec!["B".into()],
        banned_until: Some(until),
    };
    assert_eq!(first.earlier(&venue(), ADDRESS), known, "for a new run");
    drop(first);
    let next = life(&folder);
    assert_eq!(next.earlier(&venue(), ADDRESS), known);
    assert_eq!(failures(&next), 0);
    let other = Venue::new("kraken").unwrap();
    assert_eq!(next.earlier(&other, ADDRESS), Earlier::default());
}

#[test]
fn a_list_is_written_if_it_has_changed_and_at_most_once_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let kept = life(&folder);
    let note = |digits, at| {
        let list = whole(vec![instrument("A", digits)]);
        kept.note_listing(&venue(), ADDRESS, list, seconds(at));
    };
    note(1, 10);
    kept.write_due(seconds(10));
    note(1, 11);
    assert!(!kept.is_due(seconds(1_000)), "the same again");
    note(2, 12);
    assert!(!kept.is_due(seconds(69)) && kept.is_due(seconds(70)));
    // A ban does not wait, and nor does the end of the process.
    kept.note_ban(&venue(), ADDRESS, unix_now(), seconds(13));
    assert!(kept.is_due(seconds(13)));
    kept.write_due(seconds(13));
    note(3, 14);
    kept.write_all(seconds(15));
    drop(kept);
    let known = life(&folder).earlier(&venue(), ADDRESS);
    assert_eq!(known.instruments, [instrument("A", 3)]);
}

#[test]
fn what_is_of_another_address_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let kept = life(&folder);
    let of = |digits| whole(vec![instrument("A", digits)]);
    kept.note_listing(&venue(), "wss://simulated", of(1), seconds(1));
    assert_eq!(kept.earlier(&venue(), ADDRESS), Earlier::default());
    kept.write_all(seconds(1));
    drop(kept);
    let next = life(&folder);
    assert_eq!(next.earlier(&venue(), ADDRESS), Earlier::default());
    next.note_listing(&venue(), ADDRESS, of(2), seconds(1));
    let known = next.earlier(&venue(), ADDRESS);
    assert_eq!(known.instruments, [instrument("A", 2)]);
}

#[test]
fn a_file_that_is_of_no_use_is_named_and_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let good = {
        let kept = life(&folder);
        let list = vec![instrument("A", 1), instrument("B", 1)];
        kept.note_listing(&venue(), ADDRESS, whole(list), seconds(1));
        kept.write_all(seconds(1));
        fs::read_to_string(file(&folder)).unwrap()
    };
    let log = folder.path().join("log");
    let half = &good[..good.len() / 2];
    let last = &good[..good[..good.len() - 1].rfind('\n').unwrap()];
    let damaged = [
        String::new(),
        half.to_owned(),
        last.to_owned(),
        good.replace("venues 1", "venues 2"),
        good.replace("\"price_scale\":1", "\"price_scale\":99"),
        good.replace("open", "ajar"),
        good.replace("native", "name"),
        "\u{0}\u{1}".to_owned(),
    ];
    for text in damaged {
        fs::write(file(&folder), &text).unwrap();
        let kept = life(&folder);
        let lines = tracing_subscriber::fmt().with_writer(Arc::new(File::create(&log).unwrap()));
        let earlier = || kept.earlier(&venue(), ADDRESS);
        let known = tracing::subscriber::with_default(lines.finish(), earlier);
        assert_eq!(known, Earlier::default(), "{text:?}");
        assert_eq!(failures(&kept), 1, "{text:?}");
        let said = fs::read_to_string(&log).unwrap();
        assert!(said.contains("venues/binance"), "{said}");
        // The next list replaces it.
        kept.note_listing(
            &venue(),
            ADDRESS,
            whole(vec![instrument("A", 1)]),
            seconds(1),
        );
        kept.write_all(seconds(1));
        drop(kept);
        assert_eq!(
            life(&folder).earlier(&venue(), ADDRESS).instruments.len(),
            1
        );
    }
    fs::write(file(&folder), [0xff, 0xfe]).unwrap();
    let kept = life(&folder);
    assert_eq!(kept.earlier(&venue(), ADDRESS), Earlier::default());
}

#[test]
fn a_ban_that_cannot_be_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let kept = life(&folder);
    let far = UnixNanos::new(unix_now().get() + 30 * 86_400_000_000_000);
    kept.note_ban(&venue(), ADDRESS, far, seconds(1));
    kept.write_all(seconds(1));
    drop(kept);
    assert_eq!(life(&folder).earlier(&venue(), ADDRESS), Earlier::default());
}

#[test]
fn a_disk_that_takes_nothing_costs_a_count() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("venues"), "in the way").unwrap();
    let kept = life(&folder);
    kept.note_listing(
        &venue(),
        ADDRESS,
        whole(vec![instrument("A", 1)]),
        seconds(1),
    );
    let before = failures(&kept);
    kept.write_all(seconds(1));
    assert_eq!(failures(&kept), before + 1);
    let known = kept.earlier(&venue(), ADDRESS);
    assert_eq!(known.instruments.len(), 1, "it is still in memory");
    // Without a directory, too.
    let kept = KeptVenues::default();
    kept.note_listing(
        &venue(),
        ADDRESS,
        whole(vec![instrument("A", 1)]),
        seconds(1),
    );
    kept.write_all(seconds(1));
    assert!(!kept.is_due(seconds(9)));
    assert_eq!(kept.earlier(&venue(), ADDRESS).instruments.len(), 1);
}

fn some_instrument() -> impl Strategy<Value = VenueInstrument> {
    let figure = || {
        let decimal = (any::<i64>(), 0_u8..20).prop_map(|(m, s)| Decimal::new(m.into(), s));
        prop::option::of(decimal)
    };
    let time = || prop::option::of(any::<u64>().prop_map(UnixNanos::new));
    let scale = || (0..=Scale::MAX.digits()).prop_map(Scale::saturating);
    let words = (
        prop::option::of(prop::sample::select(&InstrumentKind::ALL[..])),
        prop::option::of(prop::sample::select(&QtyUnit::ALL[..])),
        prop::option::of(any::<bool>()),
        prop::sample::select(&TradingState::ALL[..]),
    );
    let figures = [figure(), figure(), figure(), figure()];
    let names = ("\\PC{0,20}", prop::option::of("[A-Z]{1,6}-[A-Z]{1,6}"));
    (names, words, figures, [time(), time()], [scale(), scale()]).prop_map(
        |((native, symbol), (kind, qty_unit, inverse, trading), figures, times, scales)| {
            let words = Terms {
                kind,
                qty_unit,
                inverse,
                ..Terms::UNKNOWN
            };
            VenueInstrument {
                native: native.into(),
                symbol: symbol.map(|symbol| Symbol::new(&symbol).unwrap()),
                scales: Scales {
                    price_scale: scales[0],
                    qty_scale: scales[1],
                },
                trading,
                terms: words.with_figures(figures).with_times(times),
            }
        },
    )
}

proptest! {
    #[test]
    fn every_list_comes_back(
        list in prop::collection::vec(some_instrument(), 0..8),
        address in "\\PC{0,20}",
    ) {
        let list = list.into_iter().map(|i| (i.native.clone(), i)).collect();
        let kept = Kept { address, list, ..Kept::default() };
        let read = Kept::parse(&kept.text()).unwrap();
        prop_assert_eq!((read.address, read.list), (kept.address, kept.list));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}", rest in "\\PC{0,200}") {
        let _ = Kept::parse(&text);
        let _ = Kept::parse(&format!("{VERSION}\n{text}\n{rest}"));
    }
}
