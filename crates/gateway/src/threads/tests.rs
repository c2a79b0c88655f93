//! The pipeline's thread without a thread: what it ends, and what it keeps.

use super::*;
use prometheus::Registry;
use std::sync::Arc;
use tapecast_fanout::ring::{RingRx, ring};
use tapecast_fanout::wake::Doorbell;
use tapecast_fanout::{Interests, ItemKind, TopicEntry, TopicLimits};
use tapecast_ingest::event::{Event, EventBody, Events, Scales, SourceId};
use tapecast_ingest::metrics::PipelineMetrics;
use tapecast_ingest::pipeline::{Pipeline, PipelineConfig};
use tapecast_model::catalog::Offer;
use tapecast_model::market::Current;
use tapecast_model::{
    Catalog, ChannelKind, ChannelSet, Epoch, InstrumentId, Price, Qty, Quote, Scale, Seq,
    StreamKey, StreamPos, UpdateSink, Venue,
};
use tapecast_wire::Encoding;

struct Rig<M: MarketState = Pipeline> {
    thread: PipelineThread<M>,
    catalog: Arc<Catalog>,
    interests: Interests,
    ring: RingRx,
}

impl Rig {
    fn new() -> Self {
        Self::with(|catalog, registry| {
            Pipeline::new(
                catalog,
                PipelineConfig::new(UnixNanos::from_millis(1)),
                PipelineMetrics::register(registry).unwrap(),
            )
        })
    }
}

impl<M: MarketState> Rig<M> {
    fn with(market: impl FnOnce(Arc<Catalog>, &Registry) -> M) -> Self {
        let registry = Registry::new();
        let catalog = Arc::new(Catalog::new(1_000));
        let offer = Offer {
            channels: ChannelSet::EMPTY.with(ChannelKind::Quote),
            any_symbol: Some((Scale::default(), Scale::default())),
            lossless: false,
        };
        catalog.add_venue(&Venue::new("desk").unwrap(), offer);
        let metrics = FanoutMetrics::register(&registry, 1).unwrap();
        let (tx, ring) = ring(1_024, Arc::new(Doorbell::new(|| {})));
        let (interests, requests) = Interests::with_limits(TopicLimits {
            topics_max: 1_000,
            linger: Duration::ZERO,
            first_tid: u32::MAX - 1_000,
        });
        let (_, stop) = crossbeam_channel::bounded(0);
        let (sources, _) = SourceChannels::new();
        let thread = PipelineThread {
            market: market(Arc::clone(&catalog), &registry),
            publisher: Publisher::new(vec![tx], metrics.clone()),
            sources,
            requests,
            stop,
            metrics,
            postponed: Postponed::default(),
            gave_way: Duration::ZERO,
            fault: tapecast_model::Fault::default(),
        };
        Self {
            thread,
            catalog,
            interests,
            ring,
        }
    }

    fn join(&self, topic: &str) -> Arc<TopicEntry> {
        let topic = topic.parse().unwrap();
        let resolved = self.catalog.resolve(&topic).unwrap();
        let entry = self.interests.entry(&topic, resolved).unwrap();
        self.interests.join(&entry, 0, Encoding::Json);
        entry
    }

    /// What the thread does between two sleeps, and the shard with what comes of it.
    fn look(&mut self) {
        while self.thread.turn() {}
        while self.thread.sweep(mono_now()) {}
        while self.ring.try_pop().is_some() {}
    }
}

#[test]
fn a_million_invented_names_take_the_memory_of_those_that_are_there_at_once() {
    let mut rig = Rig::new();
    let real = rig.join("quote:desk:REAL");
    for round in 0..10_000 {
        let names = (0..100).map(|n| format!("quote:desk:N{round}-{n}"));
        let entries: Vec<_> = names.map(|name| rig.join(&name)).collect();
        rig.look();
        assert_eq!(rig.thread.metrics.topics.get(), 101);
        for entry in entries {
            rig.interests.leave(&entry, 0, Encoding::Json);
        }
        rig.look();
        assert_eq!(rig.thread.metrics.topics.get(), 1);
        assert_eq!(rig.thread.requests.count(), (1, 0));
        assert_eq!(rig.catalog.invented(), 1);
    }
    assert!(rig.thread.requests.slots() <= 101);
    let last = rig.join("quote:desk:LAST");
    assert!(last.instrument.id.index() <= 101 && last.slot.index() <= 101);
    assert_ne!((last.tid, last.slot), (real.tid, real.slot));
}

/// A market that asks elsewhere for what it does not know.
#[derive(Default)]
struct Mirror {
    known: Vec<StreamKey>,
    answered: Vec<StreamKey>,
    asked: usize,
    ended: Vec<StreamKey>,
}

impl MarketState for Mirror {
    type Input = (UnixNanos, StreamKey);

    fn received((at, _): &Self::Input) -> UnixNanos {
        *at
    }

    fn handle(&mut self, (_, stream): Self::Input, _now: Mono, _sink: &mut impl UpdateSink) {
        self.known.push(stream);
        self.answered.push(stream);
    }

    fn handle_time(&mut self, _now: Mono, _sink: &mut impl UpdateSink) {}

    fn next_deadline(&self) -> Option<Mono> {
        None
    }

    fn current(&mut self, stream: StreamKey) -> Answer<'_> {
        self.asked += 1;
        if !self.known.contains(&stream) {
            return Answer::Later;
        }
        let pos = StreamPos {
            epoch: Epoch::new(7),
            seq: Seq::new(5),
        };
        Answer::Now(Current { pos, update: None })
    }

    fn take_answered(&mut self) -> Option<StreamKey> {
        self.answered.pop()
    }

    fn end_interest(&mut self, stream: StreamKey) {
        self.ended.push(stream);
    }
}

#[test]
fn a_topic_begins_when_the_market_has_learned_its_state() {
    let mut rig = Rig::with(|_, _| Mirror::default());
    let (sources, opener) = SourceChannels::new();
    rig.thread.sources = sources;
    let events = opener.open(SourceId(1), 4);
    let (one, other) = (rig.join("quote:desk:ONE"), rig.join("quote:desk:OTHER"));
    let conflated = rig.join("quote:desk:ONE@1s");
    assert!(rig.thread.turn());
    assert!(
        rig.ring.try_pop().is_none(),
        "nobody is told what is not known"
    );
    // Asked once more for another subscriber, the topic still begins once.
    rig.interests.join(&one, 0, Encoding::Bin);
    while rig.thread.turn() {}
    assert_eq!(rig.thread.market.asked, 4);

    events
        .try_send(Events::from_buf([(
            UnixNanos::from_millis(1),
            one.stream(),
        )]))
        .unwrap();
    while rig.thread.turn() {}
    let mut begun: Vec<_> = std::iter::from_fn(|| rig.ring.try_pop())
        .map(|item| (item.slot, item.encoding, item.epoch, item.seq))
        .collect();
    begun.sort_unstable_by_key(|(slot, encoding, ..)| (slot.index(), encoding.index()));
    let (epoch, seq) = (Epoch::new(7), Seq::new(5));
    let expected = [
        (one.slot, Encoding::Json, epoch, seq),
        (one.slot, Encoding::Bin, epoch, seq),
        (conflated.slot, Encoding::Json, epoch, seq),
    ];
    assert_eq!(begun, expected);

    // Who leaves before the answer gets none, and the market learns that nobody is left.
    rig.interests.leave(&other, 0, Encoding::Json);
    while rig.thread.turn() {}
    assert_eq!(rig.thread.market.ended, [other.stream()]);
    events
        .try_send(Events::from_buf([(
            UnixNanos::from_millis(1),
            other.stream(),
        )]))
        .unwrap();
    while rig.thread.turn() {}
    assert!(rig.ring.try_pop().is_none());
}

#[test]
fn topics_of_an_instrument_with_other_scales_begin_again_in_the_order_of_the_ring() {
    let mut rig = Rig::new();
    let (sources, opener) = SourceChannels::new();
    rig.thread.sources = sources;
    let events = opener.open(SourceId(1), 8);
    let old = rig.join("quote:desk:A");
    let conflated = rig.join("quote:desk:A@1s");
    let give = |instrument: InstrumentId, body| {
        let event = Event {
            instrument,
            ts_event: None,
            ts_recv: unix_now(),
            venue_seq: None,
            body,
        };
        events.try_send(Events::from_buf([event])).unwrap();
    };
    let quote = |price| {
        let bid = Some((Price::from_mantissa(price), Qty::from_mantissa(1)));
        EventBody::Quote(Quote { bid, ask: None })
    };
    let topic = "quote:desk:A@5s".parse().unwrap();
    let resolved = rig.catalog.resolve(&topic).unwrap();
    let id = old.instrument.id;
    let scale = |digits| Scale::new(digits).unwrap();
    give(id, quote(5));
    rig.look();
    give(id, quote(6));
    give(
        id,
        EventBody::Redefined(Scales {
            price_scale: scale(2),
            qty_scale: scale(1),
        }),
    );
    let next = id.next_generation().unwrap();
    give(next, quote(700));
    while rig.thread.turn() {}
    let items: Vec<_> = std::iter::from_fn(|| rig.ring.try_pop()).collect();
    let of_old: Vec<_> = items.iter().filter(|i| i.slot == old.slot).collect();
    let kinds: Vec<_> = of_old.iter().map(|i| i.kind).collect();
    let prev = Seq::new(1);
    assert_eq!(kinds, [ItemKind::Update { prev }, ItemKind::Replaced]);
    let of_conflated = items.iter().filter(|i| i.slot == conflated.slot);
    assert_eq!(
        of_conflated.last().map(|i| i.kind),
        Some(ItemKind::Replaced)
    );

    // What the shard does with the word.
    for replaced in [&old, &conflated] {
        let successor = replaced.successor().unwrap();
        assert_eq!(successor.instrument.id, next);
        assert_eq!(successor.instrument.price_scale, scale(2));
        rig.interests.join(successor, 0, Encoding::Json);
        rig.interests.abandon(replaced, 0, Encoding::Json);
    }
    while rig.thread.turn() {}
    let items: Vec<_> = std::iter::from_fn(|| rig.ring.try_pop()).collect();
    assert_eq!(items.len(), 2);
    for item in items {
        let payload = String::from_utf8_lossy(item.frame());
        assert!(payload.contains(r#""bid":"7""#), "{payload}");
        assert!(item.epoch > Epoch::new(1) && item.seq == Seq::new(1));
    }

    // Who found the old instrument a moment before it was replaced is told as well.
    let late = rig.interests.entry(&topic, resolved).unwrap();
    rig.interests.join(&late, 0, Encoding::Json);
    while rig.thread.turn() {}
    let item = rig.ring.try_pop().unwrap();
    assert_eq!((item.slot, item.kind), (late.slot, ItemKind::Replaced));
    assert_eq!(late.successor().unwrap().instrument.id, next);
}
