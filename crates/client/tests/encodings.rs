//! Goal: binary says what JSON says, field by field and letter by letter.
//!
//! Method: arbitrary updates of every kind are written in both encodings by the server's own writers.
//! The text is parsed as any JSON frame; the records are read with nothing but an acknowledgement. The
//! two messages must be equal, in what they mean and in their text.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use proptest::prelude::*;
use std::collections::VecDeque;
use tapecast_client::{BinaryReader, Encoding, Message, MessageError};
use tapecast_model::{
    Aggressor, ChannelKind, ChannelState, Decimal, Epoch, EventTime, FeedState, Instrument,
    InstrumentId, InstrumentKind, Price, Qty, QtyUnit, Quote, Scale, Seq, Status, Symbol, Terms,
    Ticker, Trade, TradeId, TradingState, UnixNanos, Venue,
};
use tapecast_wire::json::{BookLevels, PriceLevel};
use tapecast_wire::{Definition, Head, encode, json};

/// What an update of any kind carries.
#[derive(Clone, Debug)]
enum Carried {
    Trades(Vec<Trade>),
    Quote(Quote),
    Book(Vec<PriceLevel>, Vec<PriceLevel>, u32),
    Ticker(Box<Ticker>),
    Status(Status),
    Definition(Box<(Terms, TradingState)>),
}

/// An update, but for its topic.
#[derive(Clone, Debug)]
struct Update {
    epoch: u64,
    seq: u64,
    prev: Option<u64>,
    ts_event: Option<u64>,
    ts_recv: Option<u64>,
    ts_out: u64,
    venue_seq: Option<u64>,
    carried: Carried,
}

/// Any mantissa that a decimal has.
fn mantissa() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), -1_000_i64..1_000, Just(i64::MAX)]
        .prop_filter("no decimal has it", |m| *m != i64::MIN)
}

fn level() -> impl Strategy<Value = PriceLevel> {
    (mantissa(), mantissa()).prop_map(|(p, q)| (Price::from_mantissa(p), Qty::from_mantissa(q)))
}

fn levels() -> impl Strategy<Value = Vec<PriceLevel>> {
    prop::collection::vec(level(), 0..6)
}

fn trade() -> impl Strategy<Value = Trade> {
    let id = "[ -!#-\\[\\]-~]{1,39}|0|[1-9][0-9]{0,19}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}";
    let side = prop_oneof![
        Just(None),
        Just(Some(Aggressor::Buy)),
        Just(Some(Aggressor::Sell))
    ];
    (id, level(), side, any::<Option<u64>>()).prop_map(|(id, (price, qty), aggressor, time)| {
        Trade {
            id: TradeId::new(id.as_bytes()).unwrap(),
            price,
            qty,
            aggressor,
            ts_event: time.map(|t| EventTime::new(UnixNanos::new(t))),
        }
    })
}

fn ticker() -> impl Strategy<Value = Ticker> {
    let number = prop_oneof![any::<i64>().prop_map(i128::from), any::<i128>()];
    let figure = prop::option::of((number, 0_u8..30).prop_map(|(m, s)| Decimal::new(m, s)));
    prop::array::uniform8(figure).prop_map(
        |[
            last,
            open,
            high,
            low,
            change,
            change_pct,
            volume,
            quote_volume,
        ]| Ticker {
            last,
            open,
            high,
            low,
            change,
            change_pct,
            volume,
            quote_volume,
        },
    )
}

fn status() -> impl Strategy<Value = Status> {
    let trading = prop::sample::select(TradingState::ALL.to_vec());
    let feed = || prop::sample::select(FeedState::ALL.to_vec());
    let state = (feed(), any::<u64>()).prop_map(|(feed, since)| ChannelState {
        feed,
        since: UnixNanos::new(since),
    });
    let kind = prop::sample::select(ChannelKind::ALL.to_vec());
    let channels = prop::collection::vec((kind, state), 0..5);
    (feed(), trading, ".{0,20}", channels).prop_map(|(feed, trading, reason, channels)| Status {
        feed,
        trading,
        reason: reason.into(),
        channels: channels.into_iter().collect(),
    })
}

fn definition() -> impl Strategy<Value = (Terms, TradingState)> {
    let figure =
        || prop::option::of((any::<i128>(), 0_u8..30).prop_map(|(m, s)| Decimal::new(m, s)));
    let time = || prop::option::of(any::<u64>().prop_map(UnixNanos::new));
    let words = (
        prop::option::of(prop::sample::select(InstrumentKind::ALL.to_vec())),
        prop::option::of(prop::sample::select(QtyUnit::ALL.to_vec())),
        any::<Option<bool>>(),
        prop::sample::select(TradingState::ALL.to_vec()),
    );
    let figures = [figure(), figure(), figure(), figure()];
    (words, figures, [time(), time()]).prop_map(
        |((kind, qty_unit, inverse, trading), figures, times)| {
            let words = Terms {
                kind,
                qty_unit,
                inverse,
                ..Terms::UNKNOWN
            };
            (words.with_figures(figures).with_times(times), trading)
        },
    )
}

fn carried() -> impl Strategy<Value = Carried> {
    prop_oneof![
        prop::collection::vec(trade(), 0..5).prop_map(Carried::Trades),
        (prop::option::of(level()), prop::option::of(level()))
            .prop_map(|(bid, ask)| Carried::Quote(Quote { bid, ask })),
        (levels(), levels(), any::<u32>()).prop_map(|(b, a, c)| Carried::Book(b, a, c)),
        ticker().prop_map(|t| Carried::Ticker(Box::new(t))),
        status().prop_map(Carried::Status),
        definition().prop_map(|d| Carried::Definition(Box::new(d))),
    ]
}

fn update() -> impl Strategy<Value = Update> {
    // Mostly as they are: shortly after each other. Sometimes as they might be.
    let step = prop_oneof![4 => 0_u64..100, 1 => any::<u64>()];
    let times = prop_oneof![
        4 => (1_u64 << 60..1 << 61, 0_u64..1_000_000).prop_map(|(r, d)| (Some(r), r + d)),
        1 => (prop::option::of(1_u64..), any::<u64>()),
    ];
    let place = (0_u64..1 << 53, 0_u64..1 << 53, prop::option::of(step));
    (
        place,
        any::<Option<u64>>(),
        times,
        any::<Option<u64>>(),
        carried(),
    )
        .prop_map(
            |((epoch, seq, step), ts_event, (ts_recv, ts_out), venue_seq, carried)| Update {
                epoch,
                seq,
                prev: step.map(|step| seq.saturating_sub(step)),
                ts_event,
                ts_recv,
                ts_out,
                venue_seq,
                carried,
            },
        )
}

fn instrument(price_scale: u8, qty_scale: u8) -> Instrument {
    Instrument {
        id: InstrumentId::new(0),
        venue: Venue::new("okx").unwrap(),
        symbol: Symbol::new("BTC-USDT").unwrap(),
        native: "BTC-USDT".into(),
        price_scale: Scale::new(price_scale).unwrap(),
        qty_scale: Scale::new(qty_scale).unwrap(),
        lossless: false,
    }
}

impl Update {
    fn topic(&self) -> &'static str {
        match self.carried {
            Carried::Trades(_) => "trade:okx:BTC-USDT",
            Carried::Quote(_) => "quote:okx:BTC-USDT@250ms",
            Carried::Book(..) => "book.10:okx:BTC-USDT",
            Carried::Ticker(_) => "ticker:okx:BTC-USDT",
            Carried::Status(_) => "status:okx:BTC-USDT",
            Carried::Definition(_) => "instrument:okx:BTC-USDT",
        }
    }

    fn write(&self, encoding: Encoding, tid: u32, instrument: &Instrument) -> Vec<u8> {
        let prefix = json::prefix(&self.topic().parse().unwrap());
        let head = Head {
            prefix: &prefix,
            epoch: Epoch::new(self.epoch),
            seq: Seq::new(self.seq),
            prev: self.prev.map(Seq::new),
            ts_event: self.ts_event.map(|t| EventTime::new(UnixNanos::new(t))),
            ts_recv: self.ts_recv.map(UnixNanos::new),
            ts_out: UnixNanos::new(self.ts_out),
            venue_seq: self.venue_seq,
            tid,
            conflated: self.topic().contains('@'),
        };
        let mut out = Vec::new();
        match &self.carried {
            Carried::Trades(trades) => {
                encode::trades(encoding, &mut out, &head, instrument, trades);
            }
            Carried::Quote(quote) => encode::quote(encoding, &mut out, &head, instrument, quote),
            Carried::Book(bids, asks, checksum) => {
                let checksum = *checksum;
                let levels = BookLevels {
                    bids,
                    asks,
                    checksum,
                };
                encode::book(encoding, &mut out, &head, instrument, levels);
            }
            Carried::Ticker(ticker) => encode::ticker(encoding, &mut out, &head, ticker),
            Carried::Status(status) => encode::status(encoding, &mut out, &head, status),
            Carried::Definition(carried) => {
                let (terms, trading) = &**carried;
                let definition = Definition::of(instrument, terms, *trading);
                encode::definition(encoding, &mut out, &head, &definition);
            }
        }
        out
    }

    /// What the server says before the first frame of the topic.
    fn acknowledgement(&self, tid: u32, epoch: u64, instrument: &Instrument) -> Message {
        let (price, qty) = (instrument.price_scale, instrument.qty_scale);
        let topic = self.topic();
        Message::parse(&format!(
            r#"{{"op":"subscribed","id":1,"topics":[{{"topic":"{topic}","epoch":{epoch},"seq":0,"start":"snapshot","price_scale":{price},"qty_scale":{qty},"tid":{tid}}}],"rejected":[]}}"#
        ))
        .unwrap()
    }
}

fn read(reader: &mut BinaryReader, message: Vec<u8>) -> Vec<Result<Message, MessageError>> {
    let mut out = VecDeque::new();
    reader.read(&Bytes::from(message), &mut out);
    out.into()
}

proptest! {
    #[test]
    fn binary_says_what_json_says(
        updates in prop::collection::vec((update(), 0_u32..), 1..6),
        (price_scale, qty_scale) in (0_u8..=18, 0_u8..=18),
    ) {
        let instrument = instrument(price_scale, qty_scale);
        let mut reader = BinaryReader::new();
        let (mut together, mut expected) = (Vec::new(), Vec::new());
        for (number, (update, rise)) in updates.iter().enumerate() {
            let tid = number as u32 * 1_000_003;
            // A snapshot may begin a later life than the one that was acknowledged.
            let epoch = match update.prev {
                Some(_) => update.epoch,
                None => update.epoch.saturating_sub(u64::from(*rise)),
            };
            reader.learn(&update.acknowledgement(tid, epoch, &instrument));
            let text = String::from_utf8(update.write(Encoding::Json, tid, &instrument)).unwrap();
            expected.push(Message::parse(&text).unwrap());
            let record = update.write(Encoding::Bin, tid, &instrument);
            prop_assert_eq!(record.len() % 8, 0);
            together.extend(record);
        }
        let messages = read(&mut reader, together);
        prop_assert_eq!(messages.len(), expected.len());
        for (message, expected) in messages.into_iter().zip(expected) {
            let message = message.unwrap();
            prop_assert_eq!(message.data(), expected.data());
            prop_assert_eq!(message.text(), expected.text());
        }
    }
}

fn quote(epoch: u64, seq: u64, prev: Option<u64>) -> Update {
    Update {
        epoch,
        seq,
        prev,
        ts_event: None,
        ts_recv: Some(5),
        ts_out: 6,
        venue_seq: None,
        carried: Carried::Quote(Quote::default()),
    }
}

#[test]
fn updates_belong_to_the_epoch_of_the_last_snapshot() {
    let instrument = instrument(2, 8);
    let mut reader = BinaryReader::new();
    reader.learn(&quote(0, 0, None).acknowledgement(7, 412, &instrument));
    let frames = [
        quote(412, 8, Some(7)),
        quote(413, 0, None),
        quote(413, 1, Some(0)),
    ];
    let message: Vec<u8> = frames
        .iter()
        .flat_map(|frame| frame.write(Encoding::Bin, 7, &instrument))
        .collect();
    let epochs: Vec<u64> = read(&mut reader, message)
        .into_iter()
        .map(|message| message.unwrap().data().unwrap().epoch)
        .collect();
    assert_eq!(epochs, [412, 413, 413]);
}

#[test]
fn a_record_that_cannot_be_read_does_not_hide_the_others() {
    let instrument = instrument(2, 8);
    let mut reader = BinaryReader::new();
    let known = quote(412, 9, Some(8));
    reader.learn(&known.acknowledgement(7, 412, &instrument));
    let mut message = known.write(Encoding::Bin, 8, &instrument);
    let mut short = known.write(Encoding::Bin, 7, &instrument);
    // A quote without its last word, and one of a kind from the future.
    short.truncate(72);
    short[0] = 9;
    message.extend(short);
    let mut later = known.write(Encoding::Bin, 7, &instrument);
    later[2] = 99;
    message.extend(later);
    message.extend(known.write(Encoding::Bin, 7, &instrument));
    let outcomes = read(&mut reader, message);
    assert_eq!(outcomes.len(), 3);
    assert!(matches!(outcomes[0], Err(MessageError::UnknownTopic(8))));
    assert!(matches!(outcomes[1], Err(MessageError::Binary(_))));
    assert_eq!(outcomes[2].as_ref().unwrap().data().unwrap().seq, 9);

    let gone = r#"{"op":"unsubscribed","id":2,"topics":["quote:okx:BTC-USDT@250ms"]}"#;
    reader.learn(&Message::parse(gone).unwrap());
    let outcomes = read(&mut reader, known.write(Encoding::Bin, 7, &instrument));
    assert!(matches!(outcomes[0], Err(MessageError::UnknownTopic(7))));
}
