//! A record that is written is read the same; bytes that are not a record are refused with their place.

use super::*;
use proptest::prelude::*;
use tapecast_model::{
    Aggressor, Book, ChannelKind, ChannelState, ChannelStates, Decimal, FeedState, InstrumentKind,
    Price, Qty, QtyUnit, TradeId, TradingState,
};

fn price() -> impl Strategy<Value = Price> {
    any::<i64>().prop_map(Price::from_mantissa)
}

fn time() -> impl Strategy<Value = EventTime> {
    prop_oneof![
        any::<u64>().prop_map(|nanos| EventTime::new(UnixNanos::new(nanos))),
        "[0-9]{1,19}".prop_map(|text| EventTime::parse(text.as_bytes()).unwrap()),
    ]
}

fn decimal() -> impl Strategy<Value = Decimal> {
    (any::<i128>(), any::<u8>()).prop_map(|(mantissa, scale)| Decimal::new(mantissa, scale))
}

fn trade() -> impl Strategy<Value = Trade> {
    let side = prop_oneof![
        Just(None),
        Just(Some(Aggressor::Buy)),
        Just(Some(Aggressor::Sell))
    ];
    let id = "[a-zA-Z0-9/-]{1,39}".prop_map(|text| TradeId::new(text.as_bytes()).unwrap());
    let parts = (id, price(), any::<i64>(), side, prop::option::of(time()));
    parts.prop_map(|(id, price, qty, aggressor, ts_event)| Trade {
        id,
        price,
        qty: Qty::from_mantissa(qty),
        aggressor,
        ts_event,
    })
}

fn trades() -> impl Strategy<Value = Vec<Trade>> {
    prop::collection::vec(trade(), 0..5)
}

fn quote() -> impl Strategy<Value = Quote> {
    let side = || {
        let level = (price(), any::<i64>().prop_map(Qty::from_mantissa));
        prop::option::of(level)
    };
    (side(), side()).prop_map(|(bid, ask)| Quote { bid, ask })
}

fn levels() -> impl Strategy<Value = Vec<Level>> {
    let level = (any::<i64>(), any::<i64>());
    let level = level.prop_map(|(p, q)| Level::new(Price::from_mantissa(p), Qty::from_mantissa(q)));
    prop::collection::vec(level, 0..6)
}

fn change() -> impl Strategy<Value = Levels> {
    (levels(), levels()).prop_map(|(bids, asks)| Levels { bids, asks })
}

fn book() -> impl Strategy<Value = Levels> {
    change().prop_map(|Levels { bids, asks }| {
        let mut book = Book::new();
        book.replace(bids, asks);
        Levels {
            bids: plain(book.levels(Side::Bid)),
            asks: plain(book.levels(Side::Ask)),
        }
    })
}

fn ticker() -> impl Strategy<Value = Ticker> {
    prop::array::uniform8(prop::option::of(decimal())).prop_map(|figures| {
        let [
            last,
            open,
            high,
            low,
            change,
            change_pct,
            volume,
            quote_volume,
        ] = figures;
        Ticker {
            last,
            open,
            high,
            low,
            change,
            change_pct,
            volume,
            quote_volume,
        }
    })
}

fn status() -> impl Strategy<Value = Status> {
    let state = (prop::sample::select(&FeedState::ALL[..]), any::<u64>());
    let states = prop::collection::vec(prop::option::of(state), ChannelKind::ALL.len());
    let channels = states.prop_map(|states| {
        let states = ChannelKind::ALL.into_iter().zip(states);
        let given = states.filter_map(|(kind, state)| {
            let (feed, since) = state?;
            let since = UnixNanos::new(since);
            Some((kind, ChannelState { feed, since }))
        });
        given.collect::<ChannelStates>()
    });
    (
        prop::sample::select(&FeedState::ALL[..]),
        prop::sample::select(&TradingState::ALL[..]),
        ".{0,40}",
        channels,
    )
        .prop_map(|(feed, trading, reason, channels)| Status {
            feed,
            trading,
            reason: reason.into(),
            channels,
        })
}

fn bar() -> impl Strategy<Value = Bar> {
    (
        any::<u64>(),
        prop::array::uniform4(any::<i64>()),
        decimal(),
        prop::option::of(decimal()),
        any::<u64>(),
        any::<bool>(),
    )
        .prop_map(
            |(start, mut prices, volume, quote_volume, trades, is_final)| {
                prices.sort_unstable();
                let [low, open, close, high] = prices.map(Price::from_mantissa);
                Bar {
                    start: UnixNanos::new(start),
                    open,
                    high,
                    low,
                    close,
                    volume,
                    quote_volume,
                    trades,
                    is_final,
                }
            },
        )
}

fn terms() -> impl Strategy<Value = Terms> {
    let figure = || prop::option::of(decimal());
    let time = || prop::option::of(any::<u64>().prop_map(UnixNanos::new));
    (
        prop::option::of(prop::sample::select(&InstrumentKind::ALL[..])),
        prop::option::of(prop::sample::select(&QtyUnit::ALL[..])),
        prop::option::of(any::<bool>()),
        [figure(), figure(), figure(), figure()],
        [time(), time()],
    )
        .prop_map(|(kind, qty_unit, inverse, figures, times)| {
            let words = Terms {
                kind,
                qty_unit,
                inverse,
                ..Terms::UNKNOWN
            };
            words.with_figures(figures).with_times(times)
        })
}

fn definition() -> impl Strategy<Value = Content> {
    let trading = prop::sample::select(&TradingState::ALL[..]);
    (".{0,20}", any::<bool>(), trading, terms()).prop_map(|(native, lossless, trading, terms)| {
        Content::Definition {
            native: native.into(),
            lossless,
            trading,
            terms: Box::new(terms),
        }
    })
}

/// Content, and the stream that has it; an update, a state, or either.
fn content() -> impl Strategy<Value = (Content, StreamKind, Option<bool>)> {
    let timeframe = || prop::sample::select(&Timeframe::ALL[..]).prop_map(StreamKind::Bar);
    let kind = prop_oneof![
        timeframe(),
        prop::sample::select(
            &[
                StreamKind::Trade,
                StreamKind::Quote,
                StreamKind::Book,
                StreamKind::Ticker,
                StreamKind::Status,
                StreamKind::Instrument,
            ][..]
        ),
    ];
    prop_oneof![
        trades().prop_map(|p| (Content::Trades(p), StreamKind::Trade, Some(true))),
        trades().prop_map(|p| (Content::RecentTrades(p), StreamKind::Trade, Some(false))),
        quote().prop_map(|q| (Content::Quote(q), StreamKind::Quote, None)),
        book().prop_map(|levels| (Content::Book(levels), StreamKind::Book, None)),
        (change(), prop::option::of(0..u32::MAX)).prop_map(|(levels, depth)| {
            let content = Content::BookChange { levels, depth };
            (content, StreamKind::Book, Some(true))
        }),
        ticker().prop_map(|t| (Content::Ticker(Box::new(t)), StreamKind::Ticker, None)),
        status().prop_map(|s| (Content::Status(Box::new(s)), StreamKind::Status, None)),
        definition().prop_map(|content| (content, StreamKind::Instrument, None)),
        (bar(), timeframe()).prop_map(|(bar, stream)| (Content::Bar(Box::new(bar)), stream, None)),
        (0_u64..9, kind).prop_map(|(events, stream)| (Content::Lost(events), stream, None)),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    let names = (
        "[a-z0-9-]{1,32}",
        "[a-zA-Z0-9._]{1,31}(-[a-zA-Z0-9._]{1,31})?",
    );
    let scale = || (0..=Scale::MAX.digits()).prop_map(Scale::saturating);
    let place = (any::<u64>(), 9..=u64::MAX, 9_u64..100, any::<bool>());
    let times = (prop::option::of(time()), any::<u64>());
    let number = prop::option::of(any::<u64>());
    (names, (scale(), scale()), place, times, number, content()).prop_map(
        |(names, scales, place, times, venue_seq, (content, stream, is_update))| {
            let (epoch, seq, step, either) = place;
            let is_update = is_update.unwrap_or(either);
            Record {
                venue: Venue::new(&names.0).unwrap(),
                symbol: Symbol::new(&names.1).unwrap(),
                price_scale: scales.0,
                qty_scale: scales.1,
                stream,
                epoch: Epoch::new(epoch),
                seq: Seq::new(seq),
                prev: is_update.then(|| Seq::new(seq.saturating_sub(step))),
                ts_event: times.0,
                ts_recv: UnixNanos::new(times.1),
                venue_seq,
                content,
            }
        },
    )
}

fn encoded(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    bytes
}

/// A trade behind another.
fn a_trade() -> Record {
    Record {
        venue: Venue::new("x").unwrap(),
        symbol: Symbol::new("A-B").unwrap(),
        price_scale: Scale::saturating(2),
        qty_scale: Scale::saturating(3),
        stream: StreamKind::Trade,
        epoch: Epoch::new(412),
        seq: Seq::new(9),
        prev: Some(Seq::new(7)),
        ts_event: None,
        ts_recv: UnixNanos::new(5),
        venue_seq: None,
        content: Content::Trades(vec![Trade {
            id: TradeId::from_number(7),
            price: Price::from_mantissa(3),
            qty: Qty::from_mantissa(4),
            aggressor: Some(Aggressor::Sell),
            ts_event: EventTime::parse(b"0042"),
        }]),
    }
}

/// The content of another kind in the place of a trade.
fn with(stream: StreamKind, content: Content) -> Record {
    Record {
        stream,
        content,
        ..a_trade()
    }
}

/// What is said when one byte of a record is another.
fn refusal(record: &Record, at: usize, value: u8) -> String {
    let mut bytes = encoded(record);
    bytes[at] = value;
    Record::decode(&bytes).unwrap_err().to_string()
}

/// Where the content of [`a_trade`] begins.
const CONTENT: usize = HEADER_BYTES + 4;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_written_is_read_the_same(record in record(), behind in prop::collection::vec(any::<u8>(), 0..9)) {
        let mut bytes = vec![1, 2, 3];
        record.encode(&mut bytes);
        bytes.extend_from_slice(&behind);
        let (read, rest) = Record::decode(&bytes[3..]).unwrap();
        prop_assert_eq!(&read, &record);
        prop_assert_eq!(rest, behind);
    }

    #[test]
    fn what_is_cut_off_is_refused_wherever_it_is_cut(record in record()) {
        let bytes = encoded(&record);
        for end in 0..bytes.len() {
            let length = if end < 4 { 0 } else { bytes.len() };
            let error = RecordError::Length { length, left: end };
            prop_assert_eq!(Record::decode(&bytes[..end]), Err(error));
            // The same with a length that agrees.
            if let Some(length) = u32::try_from(end).ok().filter(|length| *length >= 4) {
                let mut cut = bytes[..end].to_vec();
                cut[..4].copy_from_slice(&length.to_le_bytes());
                let error = Record::decode(&cut).unwrap_err();
                prop_assert!(error.at() <= end, "{}", error);
            }
        }
    }

    #[test]
    fn what_is_too_long_is_refused(record in record(), more in 1_usize..9) {
        let mut bytes = encoded(&record);
        let at = bytes.len();
        bytes.resize(at + more, 0);
        let length = bytes.len();
        bytes[..4].copy_from_slice(&u32::try_from(length).unwrap().to_le_bytes());
        prop_assert_eq!(Record::decode(&bytes), Err(RecordError::TooLong { at, length }));
    }

    #[test]
    fn changed_bytes_are_refused_or_are_another_record(
        record in record(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = encoded(&record);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok((read, rest)) = Record::decode(&bytes) {
            let whole = bytes.len() - rest.len();
            prop_assert_eq!(encoded(&read), &bytes[..whole], "one way to write it");
        }
    }
}

#[test]
fn records_stand_back_to_back_and_a_wrong_one_hides_no_other() {
    let record = a_trade();
    let mut batch = encoded(&record);
    let second = batch.len();
    for _ in 0..2 {
        record.encode(&mut batch);
    }
    batch[second + AT_KIND] = 99;
    let read: Vec<_> = Records::new(&batch).collect();
    let unknown = RecordError::Unknown {
        what: "kind of content",
        at: AT_KIND,
        value: 99,
    };
    assert_eq!(read, [Ok(record.clone()), Err(unknown), Ok(record)]);
    // What follows a length that is wrong cannot be found.
    batch[second + 3] = 99;
    assert_eq!(Records::new(&batch).count(), 2);
    assert_eq!(Records::new(&[]).count(), 0);
}

#[test]
fn what_is_wrong_in_a_header_is_named_with_its_place() {
    let record = a_trade();
    let whole = encoded(&record).len();
    let refused = |at, value, expected: &str| assert_eq!(refusal(&record, at, value), expected);
    let left = format!("the record's length is {}, with {whole} bytes left", 0xff);
    refused(0, 0xff, &left);
    refused(AT_VERSION, 2, "version 2 at byte 4 is not known here; 1 is");
    refused(AT_KIND, 0, "unknown kind of content 0 at byte 5");
    refused(AT_CHANNEL, 0, "unknown kind of channel 0 at byte 6");
    refused(
        AT_CHANNEL,
        3,
        "the kind of its stream at byte 6 is out of range",
    );
    refused(AT_TIMEFRAME, 1, "unknown timeframe 1 at byte 7");
    refused(AT_FLAGS, 4, "unknown flags 4 at byte 8");
    refused(AT_FLAGS, 0, "prev at byte 32 is out of range");
    refused(AT_WIDTH, 21, "ts_event at byte 40 is out of range");
    refused(AT_TS_EVENT, 1, "ts_event at byte 40 is out of range");
    refused(AT_PRICE_SCALE, 19, "a scale at byte 10 is out of range");
    refused(AT_QTY_SCALE, 19, "a scale at byte 11 is out of range");
    refused(AT_ZERO, 1, "what is zero at byte 14 is out of range");
    refused(AT_VENUE_SEQ, 1, "venue_seq at byte 56 is out of range");
    refused(AT_PREV, 10, "prev at byte 32 is out of range");
    refused(
        HEADER_BYTES,
        b'X',
        "the venue at byte 64 is not a valid text",
    );
    refused(
        HEADER_BYTES + 1,
        b' ',
        "the symbol at byte 65 is not a valid text",
    );
}

#[test]
fn what_is_wrong_in_trades_is_named_with_its_place() {
    let record = a_trade();
    let refused = |at, value, expected: &str| assert_eq!(refusal(&record, at, value), expected);
    refused(
        CONTENT,
        3,
        "the number of prints at byte 68 is out of range",
    );
    refused(
        CONTENT + 3,
        255,
        "the number of prints at byte 68 is out of range",
    );
    refused(CONTENT + 20, 3, "unknown side 3 at byte 88");
    refused(
        CONTENT + 21,
        1,
        "the time of a print at byte 89 is out of range",
    );
    refused(CONTENT + 30, 0, "an id at byte 99 is not a valid text");
    refused(CONTENT + 31, b'"', "an id at byte 99 is not a valid text");
    // Two numbers since the last record are not three trades.
    let Content::Trades(trades) = &record.content else {
        panic!("no prints");
    };
    let three = with(StreamKind::Trade, Content::Trades(trades.repeat(3)));
    let expected = "the number of prints at byte 68 is out of range";
    let bytes = encoded(&three);
    assert_eq!(Record::decode(&bytes).unwrap_err().to_string(), expected);
    // Recent trades are a state, and stand in no update.
    refused(AT_KIND, RECENT_TRADES, "prev at byte 32 is out of range");
}

#[test]
fn what_is_wrong_in_a_book_is_named_with_its_place() {
    let level = |price, qty| Level::new(Price::from_mantissa(price), Qty::from_mantissa(qty));
    let levels = Levels {
        bids: vec![level(9, 1), level(8, 1)],
        asks: vec![level(10, 1), level(11, 1)],
    };
    let book = with(StreamKind::Book, Content::Book(levels.clone()));
    let refused = |at, value, expected: &str| assert_eq!(refusal(&book, at, value), expected);
    let first = CONTENT + 8;
    refused(CONTENT, 9, "the number of bids at byte 68 is out of range");
    refused(first + 16, 9, "a level at byte 92 is out of range");
    refused(first + 24, 0, "a level at byte 92 is out of range");
    refused(first + 32, 12, "a level at byte 124 is out of range");
    // A change is in the order of the venue, and removes.
    let Levels { bids, mut asks } = levels;
    asks.push(level(1, 0));
    let levels = Levels {
        bids: asks,
        asks: bids,
    };
    let content = Content::BookChange {
        levels,
        depth: None,
    };
    let change = with(StreamKind::Book, content);
    assert_eq!(Record::decode(&encoded(&change)).unwrap().0, change);
}

#[test]
fn what_is_wrong_in_other_content_is_named_with_its_place() {
    let lost = with(StreamKind::Trade, Content::Lost(2));
    let expected = "the number of lost events at byte 68 is out of range";
    assert_eq!(refusal(&lost, CONTENT, 3), expected);
    let quote = with(StreamKind::Quote, Content::Quote(Quote::default()));
    let expected = "unknown sides of a quote 4 at byte 68";
    assert_eq!(refusal(&quote, CONTENT, 4), expected);
    let status = Status {
        feed: FeedState::Live,
        trading: TradingState::Open,
        reason: "é".into(),
        channels: [ChannelKind::Quote, ChannelKind::Book]
            .map(|kind| {
                let (feed, since) = (FeedState::Gap, UnixNanos::new(3));
                (kind, ChannelState { feed, since })
            })
            .into_iter()
            .collect(),
    };
    let status = with(StreamKind::Status, Content::Status(Box::new(status)));
    let refused = |at, value, expected: &str| assert_eq!(refusal(&status, at, value), expected);
    refused(CONTENT, 5, "unknown feed state 5 at byte 68");
    refused(CONTENT + 1, 12, "unknown trading state 12 at byte 69");
    refused(
        CONTENT + 3,
        3,
        "a kind of channel at byte 81 is out of range",
    );
    refused(CONTENT + 3, 8, "unknown kind of channel 8 at byte 71");
    refused(CONTENT + 23, 9, "a reason at byte 91 is out of range");
    refused(CONTENT + 27, 9, "a reason at byte 95 is not a valid text");
    let ticker = Ticker {
        last: Some(Decimal::new(11, 1)),
        ..Ticker::default()
    };
    let ticker = with(StreamKind::Ticker, Content::Ticker(Box::new(ticker)));
    let expected = "a figure at byte 69 is out of range";
    assert_eq!(refusal(&ticker, CONTENT + 2, 10), expected);
}

#[test]
fn a_count_that_cannot_be_takes_no_memory() {
    let mut bytes = encoded(&a_trade());
    bytes[AT_SEQ..AT_PREV].copy_from_slice(&u64::MAX.to_le_bytes());
    bytes[CONTENT..CONTENT + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = Record::decode(&bytes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the number of prints at byte 68 is out of range"
    );
}
