//! The way back: a book breaks in the pipeline, and the session that serves it is asked for a snapshot, once.
//! The session here is a toy: no venue, no socket, and it answers when the test says so.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

use prometheus::Registry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tapecast_ingest::event::{
    BookEvent, Checksum, Event, EventBody, Events, FeedEvent, Link, SourceId,
};
use tapecast_ingest::metrics::PipelineMetrics;
use tapecast_ingest::pipeline::{Pipeline, PipelineConfig, SilenceLimit};
use tapecast_ingest::reseed::{ReseedRequest, ReseedRequests, ReseedSession, Want};
use tapecast_ingest::sources::{EventTx, SourceChannels};
use tapecast_model::catalog::{Definition, Offer};
use tapecast_model::{
    Body, Catalog, ChannelKind, ChannelSet, InstrumentId, Level, Mono, Price, Qty, Scale,
    StreamKind, Symbol, UnixNanos, Update, Venue,
};

/// A session that serves one book.
struct Session {
    requests: ReseedSession,
    rings: Arc<AtomicUsize>,
    events: EventTx,
    id: InstrumentId,
    /// Snapshots that it has sent since the start.
    sent: u64,
    /// A snapshot is asked for at the venue.
    awaiting: bool,
    /// Requests that made it ask.
    asked: usize,
}

/// A pipeline with the channel and the session of one source.
struct Rig {
    session: Session,
    channels: SourceChannels,
    pipeline: Pipeline,
    now: Mono,
    /// Books that were published, as their best bid.
    books: Vec<i64>,
}

// === impl Session ===

impl Session {
    fn send(&self, body: EventBody) {
        let event = Event {
            instrument: self.id,
            ts_event: None,
            ts_recv: UnixNanos::new(1),
            venue_seq: None,
            body,
        };
        self.events.try_send(Events::from_buf([event])).unwrap();
    }

    fn snapshot(&mut self, number: u64) {
        self.sent += 1;
        self.awaiting = false;
        self.book(true, number, None);
    }

    fn change(&self, number: u64) {
        self.book(false, number, None);
    }

    fn book(&self, snapshot: bool, number: u64, checksum: Option<Checksum>) {
        self.book_with(snapshot, number, checksum, &[]);
    }

    fn book_with(
        &self,
        snapshot: bool,
        number: u64,
        checksum: Option<Checksum>,
        asks: &[(i64, i64)],
    ) {
        let level = |(price, qty)| Level::new(Price::from_mantissa(price), Qty::from_mantissa(qty));
        self.send(EventBody::Book(Box::new(BookEvent {
            snapshot,
            bids: vec![level((number as i64, 1))],
            asks: asks.iter().copied().map(level).collect(),
            link: Link::Step(number),
            checksum,
            ..BookEvent::default()
        })));
    }

    /// What a session does when its bell rings.
    fn look(&mut self) -> Vec<ReseedRequest> {
        let taken: Vec<_> = std::iter::from_fn(|| self.requests.take()).collect();
        for request in &taken {
            assert_eq!(request.instrument, self.id);
            if !self.awaiting && !request.is_answered(self.sent) {
                self.awaiting = true;
                self.asked += 1;
            }
        }
        taken
    }

    fn rings(&self) -> usize {
        self.rings.load(Ordering::Relaxed)
    }
}

// === impl Rig ===

impl Rig {
    fn new() -> Self {
        let catalog = Arc::new(Catalog::new(10));
        let venue = Venue::new("here").unwrap();
        let channels = ChannelSet::EMPTY.with(ChannelKind::Book);
        catalog.add_venue(
            &venue,
            Offer {
                channels,
                ..Offer::default()
            },
        );
        let definition = Definition {
            symbol: Symbol::new("A-USD").unwrap(),
            native: "AUSD".into(),
            price_scale: Scale::default(),
            qty_scale: Scale::default(),
        };
        let id = catalog.add_instrument(&venue, definition).unwrap().id;
        let reseed = ReseedRequests::default();
        let mut config = PipelineConfig::new(UnixNanos::from_millis(1));
        config.silence = SilenceLimit::Fixed(Duration::from_secs(5));
        config.reseed = reseed.clone();
        let metrics = PipelineMetrics::register(&Registry::new()).unwrap();
        let (channels, opener) = SourceChannels::new();
        let rings = Arc::new(AtomicUsize::new(0));
        let rung = Arc::clone(&rings);
        let requests = reseed.session(move || {
            rung.fetch_add(1, Ordering::Relaxed);
        });
        requests.serve(id);
        let session = Session {
            requests,
            rings,
            events: opener.open(SourceId(1), 5_000),
            id,
            sent: 0,
            awaiting: false,
            asked: 0,
        };
        Self {
            session,
            channels,
            pipeline: Pipeline::new(catalog, config, metrics),
            now: Mono::new(1),
            books: Vec::new(),
        }
    }

    /// The pipeline takes all that waits.
    fn turn(&mut self) {
        let books = &mut self.books;
        let mut sink = |update: &Update<'_>| {
            if let Body::Book { book, .. } = update.body {
                let best = book.best(tapecast_model::Side::Bid).unwrap();
                books.push(best.price.mantissa());
            }
        };
        while let Some(share) = self.channels.next_share(usize::MAX) {
            for event in share {
                self.pipeline.handle_event(event, self.now, &mut sink);
            }
        }
        self.pipeline.handle_time(self.now, &mut sink);
    }

    fn has_book(&mut self) -> bool {
        let stream = tapecast_model::StreamKey {
            instrument: self.session.id,
            kind: StreamKind::Book,
        };
        self.pipeline.current(stream).update.is_some()
    }
}

#[test]
fn a_broken_book_is_asked_for_once_and_not_again_after_its_snapshot() {
    let mut rig = Rig::new();
    rig.session.snapshot(10);
    rig.session.change(11);
    rig.turn();
    assert_eq!((rig.session.look(), rig.session.rings()), (vec![], 0));
    // The numbers jump, and the changes that follow find no book.
    for number in 20..1_000 {
        rig.session.change(number);
    }
    rig.turn();
    assert!(!rig.has_book());
    assert_eq!(rig.session.rings(), 1);
    let [request] = rig.session.look()[..] else {
        panic!()
    };
    assert_eq!((request.want, request.seen), (Want::Reseed, 1));
    rig.session.snapshot(1_000);
    rig.session.change(1_001);
    rig.turn();
    assert!(rig.has_book());
    assert_eq!((rig.session.look(), rig.session.rings()), (vec![], 1));
    assert_eq!(
        (rig.session.asked, &rig.books[..]),
        (1, &[10, 11, 1_000, 1_001][..])
    );
}

#[test]
fn many_breaks_before_the_session_looks_are_one_request() {
    let mut rig = Rig::new();
    rig.session.snapshot(10);
    let wrong = Some(Checksum::Okx(1));
    for number in 11..100 {
        // Snapshots that are wrong themselves: each is a break, and each is newer than what is asked for.
        rig.session.sent += 1;
        rig.session.book(true, number, wrong);
    }
    rig.turn();
    assert_eq!(rig.session.rings(), 1);
    let [request] = rig.session.look()[..] else {
        panic!()
    };
    assert_eq!((request.want, request.seen), (Want::Reseed, 90));
    assert_eq!(rig.session.asked, 1, "the last one was wrong too");
}

#[test]
fn a_request_is_ignored_while_a_later_snapshot_is_in_the_channel() {
    let mut rig = Rig::new();
    rig.session.snapshot(10);
    rig.session.change(12);
    rig.turn();
    // The session has seen the jump itself.
    rig.session.snapshot(13);
    assert_eq!(rig.session.look().len(), 1);
    assert_eq!((rig.session.asked, rig.session.awaiting), (0, false));
    rig.turn();
    assert!(rig.has_book());
    // It asks the venue, and the book breaks once more before the answer.
    rig.session.change(20);
    rig.turn();
    rig.session.look();
    rig.session.book(true, 21, Some(Checksum::Okx(1)));
    rig.turn();
    rig.session.look();
    assert_eq!((rig.session.asked, rig.session.awaiting), (1, true));
}

#[test]
fn a_silent_book_is_probed_once_and_numbers_start_again_with_the_source() {
    let mut rig = Rig::new();
    rig.session.snapshot(10);
    rig.turn();
    for _ in 0..3 {
        rig.now = rig.now.after(Duration::from_secs(6));
        rig.turn();
    }
    let [request] = rig.session.look()[..] else {
        panic!()
    };
    assert_eq!((request.want, request.seen), (Want::Probe, 1));
    assert!(rig.has_book(), "silence drops no book");
    rig.session.send(EventBody::Feed(FeedEvent::Restarted));
    rig.session.sent = 0;
    rig.session.snapshot(1);
    rig.session.change(5);
    rig.turn();
    let [request] = rig.session.look()[..] else {
        panic!()
    };
    assert_eq!((request.want, request.seen), (Want::Reseed, 1));
    // What the feed knows by itself is not asked for.
    rig.session.snapshot(6);
    rig.session
        .send(EventBody::Feed(FeedEvent::Gap("lost".into())));
    rig.session
        .send(EventBody::Feed(FeedEvent::Down("gone".into())));
    rig.turn();
    assert_eq!(rig.session.look(), []);
}

#[test]
fn a_book_that_stays_crossed_is_asked_for_and_one_that_is_crossed_for_a_moment_is_not() {
    let mut rig = Rig::new();
    rig.session.snapshot(10);
    rig.session.book_with(false, 11, None, &[(5, 1)]);
    rig.session.book_with(false, 12, None, &[(5, 0)]);
    rig.turn();
    assert_eq!(&rig.books[..], [10, 12]);
    rig.session.book_with(false, 13, None, &[(5, 1)]);
    rig.turn();
    assert_eq!(rig.session.look(), []);
    rig.now = rig.now.after(Duration::from_millis(2_500));
    rig.session.change(14);
    rig.turn();
    let [request] = rig.session.look()[..] else {
        panic!()
    };
    assert_eq!((request.want, request.seen), (Want::Reseed, 1));
    rig.session.snapshot(15);
    rig.turn();
    assert_eq!(rig.books.last(), Some(&15));
}
