//! Two encodings of a topic: each made once where it is wanted, and not at all where it is not.

use super::*;
use tapecast_model::{ChannelKind, ChannelStates, FeedState, Status, TradingState};
use tapecast_wire::binary::{EpochMark, Record, RecordBody, Records};

impl Rig {
    fn join_in(&self, topic: &str, shard: usize, encoding: Encoding) -> Arc<TopicEntry> {
        let entry = self.entry(topic);
        self.interests.join(&entry, shard, encoding);
        entry
    }

    /// How many frames and snapshots of a channel have been encoded.
    fn encoded(&self, kind: ChannelKind, encoding: Encoding) -> (u64, u64) {
        let metrics = &self.publisher.metrics;
        (
            metrics.frames_encoded.of(kind, encoding).get(),
            metrics.snapshots_encoded.of(kind, encoding).get(),
        )
    }
}

/// The one record of a binary frame.
fn record(item: &Item) -> Record<'_> {
    let frame = item.frame();
    assert_eq!(frame[0], 0x82, "one whole binary frame");
    let payload = if frame[1] < 126 { 2 } else { 4 };
    let mut records = Records::new(&frame[payload..]);
    let record = records.next().unwrap().unwrap();
    assert!(records.next().is_none());
    record
}

fn of(items: &[Item], encoding: Encoding) -> Vec<&Item> {
    items.iter().filter(|i| i.encoding == encoding).collect()
}

#[test]
fn an_encoding_that_nobody_wants_is_not_made() {
    for (wanted, other) in [
        (Encoding::Json, Encoding::Bin),
        (Encoding::Bin, Encoding::Json),
    ] {
        let mut rig = Rig::new(2, 64);
        let topics = ["quote", "book.10", "trade"].map(|c| format!("{c}:okx:BTC-USDT"));
        rig.quote(1);
        rig.level(Side::Bid, 1, 1);
        for topic in &topics {
            rig.join_in(topic, 0, wanted);
            rig.join_in(topic, 1, wanted);
        }
        rig.turn();
        rig.quote(2);
        rig.level(Side::Bid, 2, 1);
        rig.trade();
        rig.turn();
        for kind in [ChannelKind::Quote, ChannelKind::Book, ChannelKind::Trade] {
            assert_eq!(rig.encoded(kind, wanted), (1, 1), "{kind:?}");
            assert_eq!(rig.encoded(kind, other), (0, 0), "{kind:?}");
        }
        assert_eq!(rig.publisher.metrics.encoded_bytes[other.index()].get(), 0);
        for shard in 0..2 {
            let items = rig.items(shard);
            assert_eq!((items.len(), of(&items, wanted).len()), (6, 6));
        }
    }
}

#[test]
fn subscribers_of_both_encodings_are_told_the_same() {
    let mut rig = Rig::new(1, 64);
    rig.publisher.set_time(UnixNanos::new(9), Mono::default());
    let topics = ["quote", "book.10", "trade"].map(|c| format!("{c}:okx:BTC-USDT"));
    for encoding in Encoding::ALL {
        for topic in &topics {
            rig.join_in(topic, 0, encoding);
        }
    }
    rig.turn();
    for price in 1..4 {
        rig.quote(price);
        rig.level(Side::Ask, 10 - price, price);
        rig.trade();
        rig.turn();
    }
    let items = rig.items(0);
    let (texts, records) = (of(&items, Encoding::Json), of(&items, Encoding::Bin));
    assert_eq!(texts.len(), records.len());
    assert_eq!(texts.len(), 12);
    for (text, binary) in texts.into_iter().zip(records) {
        assert_eq!(
            (text.slot, text.kind, text.pos()),
            (binary.slot, binary.kind, binary.pos())
        );
        if text.is_empty() {
            assert!(binary.is_empty());
            continue;
        }
        let (text, record) = (json(text), record(binary));
        let entry = rig.entry(text["topic"].as_str().unwrap());
        assert_eq!((record.tid, binary.slot), (entry.tid, entry.slot));
        assert_eq!(Some(record.seq.get()), text["seq"].as_u64());
        assert_eq!(record.prev.map(Seq::get), text["prev"].as_u64());
        assert_eq!(record.ts_out, UnixNanos::new(9));
        if let Some(mark) = record.epoch {
            assert_eq!(mark.resolve(Epoch::new(1)), Epoch::new(1));
        }
        match record.body {
            RecordBody::Quote(quote) => {
                let bid = quote.bid.unwrap().0.mantissa().to_string();
                assert_eq!(text["bid"], bid);
            }
            RecordBody::Book { asks, checksum, .. } => {
                let asks: Vec<_> = asks
                    .iter()
                    .map(|(p, q)| [p.mantissa().to_string(), q.mantissa().to_string()])
                    .collect();
                assert_eq!(text["asks"], serde_json::to_value(asks).unwrap());
                assert_eq!(text["checksum"], checksum);
            }
            RecordBody::Trades(trades) => {
                assert_eq!(text["trades"].as_array().unwrap().len(), trades.len());
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn each_encoding_keeps_a_snapshot_of_its_own() {
    let mut rig = Rig::new(1, 64);
    rig.level(Side::Ask, 9, 1);
    for encoding in [Encoding::Json, Encoding::Bin, Encoding::Json, Encoding::Bin] {
        rig.join_in("book.10:okx:BTC-USDT", 0, encoding);
        rig.turn();
    }
    let items = rig.items(0);
    for encoding in Encoding::ALL {
        assert_eq!(rig.encoded(ChannelKind::Book, encoding).1, 1);
        let own = of(&items, encoding);
        assert_eq!((own.len(), own[0].frame()), (2, own[1].frame()));
    }
    assert_eq!(
        record(of(&items, Encoding::Bin)[0]).epoch,
        Some(EpochMark::Whole(Epoch::new(1))),
        "a test's clock stands at zero, behind the time of receipt"
    );
    rig.level(Side::Ask, 8, 1);
    rig.join_in("book.10:okx:BTC-USDT", 0, Encoding::Bin);
    rig.turn();
    assert_eq!(rig.encoded(ChannelKind::Book, Encoding::Bin).1, 2);
}

#[test]
fn an_overrun_of_one_encoding_is_made_good_in_that_encoding() {
    let mut rig = Rig::new(1, 4);
    rig.join_in("trade:okx:BTC-USDT", 0, Encoding::Bin);
    rig.join_in("quote:okx:BTC-USDT", 0, Encoding::Bin);
    rig.turn();
    for price in 1..=10 {
        rig.quote(price);
        rig.trade();
        rig.turn();
    }
    assert!(rig.publisher.is_behind());
    rig.items(0);
    rig.turn();
    let items = rig.items(0);
    let gap = items
        .iter()
        .find(|item| matches!(item.kind, ItemKind::Gap { .. }))
        .unwrap();
    // A notice is a control message: text for everybody.
    assert_eq!((gap.encoding, gap.frame()[0]), (Encoding::Bin, 0x81));
    assert_eq!(json(gap)["op"], "gap");
    let reset = items
        .iter()
        .find(|item| item.kind == ItemKind::Reset)
        .unwrap();
    let record = record(reset);
    assert!(record.prev.is_none());
    let RecordBody::Quote(quote) = record.body else {
        panic!("{record:?}")
    };
    assert_eq!(quote.bid.unwrap().0, Price::from_mantissa(10));
    for kind in [ChannelKind::Quote, ChannelKind::Trade] {
        assert_eq!(rig.encoded(kind, Encoding::Json), (0, 0));
    }
}

/// Channels and streams have indices of their own, which differ behind the book.
#[test]
fn snapshots_are_counted_under_their_channel() {
    let mut rig = Rig::new(1, 64);
    let status = Status {
        feed: FeedState::Live,
        trading: TradingState::Open,
        reason: "".into(),
        channels: ChannelStates::default(),
    };
    let entry = rig.join("status:okx:BTC-USDT", 0);
    let pos = StreamPos {
        epoch: Epoch::new(1),
        seq: Seq::new(1),
    };
    let update = Update {
        instrument: &entry.instrument,
        epoch: pos.epoch,
        seq: pos.seq,
        ts_event: None,
        ts_recv: UnixNanos::new(1),
        venue_seq: None,
        body: Body::Status(&status),
    };
    rig.publisher.open(&entry, pos, Some(&update));
    for channel in ChannelKind::ALL {
        let expected = u64::from(channel == ChannelKind::Status);
        let (_, snapshots) = rig.encoded(channel, Encoding::Json);
        assert_eq!(snapshots, expected, "{}", channel.label());
    }
}
