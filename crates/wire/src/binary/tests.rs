//! Whatever bytes come, reading them ends, and says what is wrong.

use super::*;
use crate::Definition;
use crate::json::{BookLevels, Head};
use proptest::prelude::*;
use tapecast_model::{
    ChannelState, ChannelStates, Decimal, Epoch, EventTime, InstrumentKind, Price, Qty, QtyUnit,
    Quote, Scale, Seq, Status, Terms, Ticker, Trade, TradeId, UnixNanos,
};

fn head(prev: Option<u64>) -> Head<'static> {
    Head {
        prefix: b"",
        epoch: Epoch::new(412),
        seq: Seq::new(9),
        prev: prev.map(Seq::new),
        ts_event: None,
        ts_recv: Some(UnixNanos::new(5)),
        ts_out: UnixNanos::new(7),
        venue_seq: None,
        tid: 1,
        conflated: false,
    }
}

/// One record of each kind, back to back.
fn message() -> Vec<u8> {
    let level = (Price::from_mantissa(3), Qty::from_mantissa(4));
    let trade = |id: &[u8]| Trade {
        id: TradeId::new(id).unwrap(),
        price: level.0,
        qty: level.1,
        aggressor: None,
        ts_event: None,
    };
    let timed = Head {
        ts_event: Some(EventTime::from_millis(1)),
        venue_seq: Some(2),
        ..head(None)
    };
    let mut out = Vec::new();
    let two = [trade(b"1"), trade(b"an id of many characters")];
    trades(&mut out, &head(Some(7)), &two);
    trades(&mut out, &timed, &two);
    let both = Quote {
        bid: Some(level),
        ask: None,
    };
    quote(&mut out, &head(Some(8)), &both);
    let levels = BookLevels {
        bids: &[level],
        asks: &[level, level],
        checksum: 1,
    };
    book(&mut out, &timed, levels);
    ticker(&mut out, &head(Some(8)), &Ticker::default());
    let state = ChannelState {
        feed: FeedState::Gap,
        since: UnixNanos::new(3),
    };
    let state = Status {
        feed: FeedState::Live,
        trading: TradingState::Open,
        reason: "because".into(),
        channels: [(ChannelKind::Book, state)].into_iter().collect(),
    };
    status(&mut out, &head(Some(8)), &state);
    definition(&mut out, &head(Some(8)), &a_definition("A/B"));
    out
}

/// A definition in which all is given.
fn a_definition(native: &str) -> Definition<'_> {
    Definition {
        native,
        price_scale: Scale::saturating(2),
        qty_scale: Scale::saturating(3),
        trading: TradingState::Halted,
        terms: Terms {
            kind: Some(InstrumentKind::Future),
            qty_unit: Some(QtyUnit::Quote),
            inverse: Some(true),
            ..Terms::UNKNOWN
        }
        .with_figures([Some(Decimal::new(6, 1)); Terms::FIGURES.len()])
        .with_times([Some(UnixNanos::new(4)); Terms::TIMES.len()]),
    }
}

/// The record of a definition with a byte changed.
fn definition_with(at: usize, value: u8) -> Result<Definition<'static>, BinaryError> {
    let mut bytes = Vec::new();
    definition(&mut bytes, &head(Some(8)), &a_definition("A/B"));
    assert_eq!(bytes.len(), 32 + 112 + 8);
    bytes[at] = value;
    let read = match first(&bytes)?.body {
        RecordBody::Definition(read) => read,
        other => panic!("{other:?}"),
    };
    assert_eq!(read.native, "A/B");
    Ok(Definition {
        native: "A/B",
        ..read
    })
}

/// Reads everything there is; returns how many records were read and how many were not.
fn read_all(message: &[u8]) -> (usize, usize) {
    let (mut good, mut bad) = (0, 0);
    for record in Records::new(message) {
        let Ok(record) = record else {
            bad += 1;
            continue;
        };
        let whole = match record.body {
            RecordBody::Trades(trades) => {
                trades.map(|trade| trade.is_ok()).fold(true, |a, b| a & b)
            }
            RecordBody::Book { bids, asks, .. } => bids.iter().chain(asks.iter()).count() < 1 << 20,
            RecordBody::Quote(_)
            | RecordBody::Ticker(_)
            | RecordBody::Status { .. }
            | RecordBody::Definition(_)
            | RecordBody::Other(_) => true,
        };
        *(if whole { &mut good } else { &mut bad }) += 1;
    }
    (good, bad)
}

fn first(message: &[u8]) -> Result<Record<'_>, BinaryError> {
    Records::new(message).next().unwrap()
}

#[test]
fn records_stand_back_to_back() {
    let message = message();
    assert_eq!(read_all(&message), (7, 0));
    assert_eq!(message.len() % WORD_BYTES, 0);
    assert!(Records::new(&[]).next().is_none());
}

#[test]
fn a_record_of_an_unknown_kind_is_passed_over() {
    let mut message = message();
    message[2] = 200;
    assert!(matches!(
        first(&message).unwrap().body,
        RecordBody::Other(200)
    ));
    assert_eq!(read_all(&message), (7, 0));
}

#[test]
fn what_cannot_be_right_is_named() {
    let message = message();
    let changed = |at: usize, value: u8| {
        let mut message = message.clone();
        message[at] = value;
        message
    };
    assert_eq!(first(&message[..31]).unwrap_err(), BinaryError::Header(31));
    let length = |length| BinaryError::Length {
        length,
        left: message.len(),
    };
    assert_eq!(first(&changed(0, 3)).unwrap_err(), length(24));
    assert_eq!(first(&changed(1, 255)).unwrap_err().to_string(), {
        let words = usize::from(u16::from_le_bytes([message[0], 255]));
        length(words * 8).to_string()
    });
    assert_eq!(first(&changed(28, 10)).unwrap_err(), BinaryError::Prev);
    let trades = BinaryError::Truncated("a print");
    assert_eq!(first(&changed(32, 4)).unwrap_err(), trades);
    assert_eq!(first(&changed(39, 255)).unwrap_err(), trades);
    // A record that is wrong does not hide the next one.
    assert_eq!(read_all(&changed(32, 4)), (6, 1));
    // Nor do its trades hide each other.
    let odd_side = changed(40 + 24, 3);
    let RecordBody::Trades(read) = first(&odd_side).unwrap().body else {
        panic!("trades")
    };
    let read: Vec<bool> = read.map(|trade| trade.is_ok()).collect();
    assert_eq!(read, [false, true]);
}

#[test]
fn what_is_too_long_for_its_length_ends_with_its_message() {
    let mut out = Vec::new();
    let level = (Price::from_mantissa(1), Qty::from_mantissa(1));
    let levels = vec![level; WORDS_MAX];
    let long = BookLevels {
        bids: &levels,
        asks: &[],
        checksum: 0,
    };
    quote(&mut out, &head(None), &Quote::default());
    book(&mut out, &head(Some(8)), long);
    assert_eq!(out[80..82], [0, 0]);
    let record = Records::new(&out).nth(1).unwrap().unwrap();
    let RecordBody::Book { bids, .. } = record.body else {
        panic!("{record:?}")
    };
    assert_eq!(bids.iter().len(), WORDS_MAX);
}

#[test]
fn what_does_not_fit_a_header_stands_behind_the_body() {
    let late = Head {
        ts_out: UnixNanos::new(5 + (1 << 32)),
        ..head(Some(8))
    };
    let early = Head {
        ts_out: UnixNanos::new(4),
        ..head(None)
    };
    let far = Head {
        seq: Seq::new(1 << 40),
        ..head(Some(1))
    };
    for head in [late, early, far] {
        let mut out = Vec::new();
        quote(&mut out, &head, &Quote::default());
        assert_eq!((out.len(), out[3] & WIDE), (96, WIDE));
        let record = first(&out).unwrap();
        assert_eq!((record.ts_out, record.prev), (head.ts_out, head.prev));
        let epoch = head.prev.is_none().then_some(EpochMark::Whole(head.epoch));
        assert_eq!(record.epoch, epoch);
    }
}

#[test]
fn an_epoch_is_the_next_one_with_its_low_bits() {
    let known = Epoch::new(0x1_ffff_fff0);
    for (low, expected) in [
        (0xffff_fff0, 0x1_ffff_fff0),
        (0xffff_fff1, 0x1_ffff_fff1),
        (3, 0x2_0000_0003),
    ] {
        assert_eq!(EpochMark::Low(low).resolve(known), Epoch::new(expected));
    }
}

/// The record of a status whose one channel is a book in a gap, with a byte changed.
fn status_with(at: usize, value: u8) -> Result<(TradingState, ChannelStates), BinaryError> {
    let mut bytes = Vec::new();
    let state = ChannelState {
        feed: FeedState::Gap,
        since: UnixNanos::new(3),
    };
    let gap = Status {
        feed: FeedState::Gap,
        trading: TradingState::Auction,
        reason: "because".into(),
        channels: [(ChannelKind::Book, state)].into_iter().collect(),
    };
    status(&mut bytes, &head(Some(8)), &gap);
    assert_eq!(bytes.len(), 32 + 24 + 8 + 16);
    bytes[at] = value;
    match first(&bytes)?.body {
        RecordBody::Status {
            trading, channels, ..
        } => Ok((trading, channels)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_newer_server_says_of_states_is_no_error() {
    let (trading, channels) = status_with(0, 10).unwrap();
    assert_eq!(trading, TradingState::Auction);
    assert_eq!(channels.get(ChannelKind::Book).unwrap().since.get(), 3);
    let (trading, _) = status_with(49, 99).unwrap();
    assert_eq!(trading, TradingState::Unknown);
    for (at, value) in [(64, 99), (65, 99)] {
        let (_, channels) = status_with(at, value).unwrap();
        assert_eq!(channels, ChannelStates::NONE, "byte {at}");
    }
    let cut = BinaryError::Truncated("a channel's state");
    assert_eq!(status_with(52, 9).unwrap_err(), cut);
}

#[test]
fn what_a_newer_server_says_of_a_definition_is_no_error() {
    assert_eq!(definition_with(0, 19), Ok(a_definition("A/B")));
    let terms = |at| definition_with(at, 99).map(|read| read.terms);
    assert_eq!(terms(49).map(|terms| terms.kind), Ok(None));
    assert_eq!(terms(50).map(|terms| terms.qty_unit), Ok(None));
    assert_eq!(terms(51).map(|terms| terms.inverse), Ok(None));
    let none = definition_with(54, 0xc0).map(|read| read.terms);
    assert_eq!(
        none.map(|terms| (terms.figures(), terms.times())),
        Ok(([None; 4], [None; 2]))
    );
    assert_eq!(
        definition_with(52, 99),
        Err(BinaryError::unknown("scale", 99))
    );
    let cut = BinaryError::Truncated("the venue's own name");
    assert_eq!(definition_with(60, 9), Err(cut));
}

#[test]
fn every_state_has_a_number_of_its_own() {
    for feed in FeedState::ALL {
        assert_eq!(feed_of(feed_code(feed)), Some(feed));
    }
    for trading in TradingState::ALL {
        assert_eq!(trading_of(trading_code(trading)), trading);
    }
    for kind in ChannelKind::ALL {
        assert_eq!(kind_of(kind_code(kind)), Some(kind));
    }
}

/// A definition of any words, figures and times.
fn some_definition() -> impl Strategy<Value = (String, Definition<'static>)> {
    let figure =
        || prop::option::of((any::<i128>(), 0_u8..20).prop_map(|(m, s)| Decimal::new(m, s)));
    let time = || prop::option::of(any::<u64>().prop_map(UnixNanos::new));
    let scale = || (0..=Scale::MAX.digits()).prop_map(Scale::saturating);
    let words = (
        prop::option::of(prop::sample::select(&InstrumentKind::ALL[..])),
        prop::option::of(prop::sample::select(&QtyUnit::ALL[..])),
        prop::option::of(any::<bool>()),
        prop::sample::select(&TradingState::ALL[..]),
    );
    let figures = [figure(), figure(), figure(), figure()];
    (
        ".{0,20}",
        words,
        figures,
        [time(), time()],
        [scale(), scale()],
    )
        .prop_map(
            |(native, (kind, qty_unit, inverse, trading), figures, times, scales)| {
                let terms = Terms {
                    kind,
                    qty_unit,
                    inverse,
                    ..Terms::UNKNOWN
                };
                let definition = Definition {
                    native: "",
                    price_scale: scales[0],
                    qty_scale: scales[1],
                    trading,
                    terms: terms.with_figures(figures).with_times(times),
                };
                (native, definition)
            },
        )
}

proptest! {
    #[test]
    fn every_definition_comes_back((native, rest) in some_definition(), prev in prop::option::of(0_u64..9)) {
        let written = Definition { native: &native, ..rest };
        let mut out = Vec::new();
        definition(&mut out, &head(prev), &written);
        prop_assert_eq!(out.len() % WORD_BYTES, 0);
        let RecordBody::Definition(read) = first(&out).unwrap().body else {
            panic!("a definition")
        };
        prop_assert_eq!(read, written);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_all(&bytes);
    }

    #[test]
    fn no_mutation_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut message = message();
        for (at, value) in changes {
            let at = at.index(message.len());
            message[at] = value;
        }
        read_all(&message);
        message.truncate(cut.index(message.len()));
        read_all(&message);
    }

    #[test]
    fn every_id_comes_back(id in "[ -!#-\\[\\]-~]{1,39}|[0-9]{1,20}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}") {
        let trade = Trade {
            id: TradeId::new(id.as_bytes()).unwrap(),
            price: Price::ZERO,
            qty: Qty::ZERO,
            aggressor: None,
            ts_event: None,
        };
        let mut out = Vec::new();
        trades(&mut out, &head(Some(7)), &[trade, trade]);
        let RecordBody::Trades(read) = first(&out).unwrap().body else {
            panic!("trades")
        };
        let read: Result<Vec<Trade>, _> = read.collect();
        prop_assert_eq!(read.unwrap(), [trade, trade]);
    }
}
