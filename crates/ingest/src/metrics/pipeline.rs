//! The pipeline's counters.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use tapecast_model::{ChannelKind, FeedState, Venue};

/// The pipeline's metrics, registered once per process.
#[derive(Clone, Debug)]
pub struct PipelineMetrics {
    events: [IntCounter; ChannelKind::ALL.len()],
    unknown_instruments: IntCounter,
    gaps: IntCounterVec,
    checksums: IntCounterVec,
    dropped: IntCounterVec,
    old: IntCounterVec,
    crossed: IntCounterVec,
    instruments: IntGaugeVec,
    never_live: IntGaugeVec,
    invented: IntGauge,
    lost: [[IntCounter; LossReason::ALL.len()]; ChannelKind::ALL.len()],
    repeated: IntCounter,
}

/// Why events of a stream never came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LossReason {
    /// There was no connection.
    Connection,
    /// The venue's numbers say that messages of the connection are missing.
    Messages,
    /// Something that came could not be read.
    Unread,
    /// Ids of trades are missing, or have started again.
    Ids,
    /// The book could not be trusted any more, and what was taken from it neither.
    Book,
}

/// Why a book could not be trusted, or changes to it not be kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GapReason {
    /// A message did not follow the one before it.
    Link,
    /// The book did not hash to what the venue said.
    Checksum,
    /// The feed lost messages of its connection.
    Feed,
    /// More changes came before a snapshot than are kept.
    Overflow,
}

/// The counters of one venue, shared by its instruments.
#[derive(Debug)]
pub(crate) struct VenueCounters {
    gaps: [IntCounter; GapReason::ALL.len()],
    checksums_ok: IntCounter,
    checksums_bad: IntCounter,
    dropped: IntCounter,
    old: IntCounter,
    crossed: IntCounter,
    instruments: [IntGauge; FeedState::ALL.len()],
    never_live: IntGauge,
}

/// What was counted so far. The difference over one event is what came of this event.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct PipelineCounts {
    /// Numbers given, by channel.
    pub(crate) events: [u64; ChannelKind::ALL.len()],
    /// Those of them that were given to events that never came.
    pub(crate) lost: [u64; ChannelKind::ALL.len()],
    /// Trades that were known already.
    pub(crate) repeated: u64,
    /// Books that broke, by reason.
    pub(crate) gaps: [u64; GapReason::ALL.len()],
    pub(crate) checksums_ok: u64,
    pub(crate) checksums_bad: u64,
    /// Changes that came before a snapshot and could not be kept.
    pub(crate) dropped: u64,
    /// Messages that changed nothing.
    pub(crate) old: u64,
}

// === impl PipelineMetrics ===

impl PipelineMetrics {
    /// Makes the metrics and adds them to `registry`.
    ///
    /// # Errors
    /// If one of the names is taken.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            registered(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let counter = |name: &str, help: &str| registered(registry, IntCounter::new(name, help));
        let events = counters(
            "tapecast_events_total",
            "Events that were given a sequence number, by channel.",
            &["channel"],
        )?;
        let unknown_instruments = counter(
            "tapecast_events_unknown_instrument_total",
            "Events of an instrument that is not in the catalogue: a fault of the gateway.",
        )?;
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            registered(registry, IntGaugeVec::new(Opts::new(name, help), labels))
        };
        let instruments = gauges(
            "tapecast_instruments",
            "Instruments by the state of their feed.",
            &["venue", "feed"],
        )?;
        let never_live = gauges(
            "tapecast_instruments_never_live",
            "Instruments that nothing came of within their limit, and that were never live yet.",
            &["venue"],
        )?;
        let invented = registered(
            registry,
            IntGauge::new(
                "tapecast_instruments_invented",
                "Instruments that subscribers have named and no source has.",
            ),
        )?;
        let lost = counters(
            "tapecast_events_lost_total",
            "Sequence numbers of events that never came to the gateway: each is announced as a gap.",
            &["channel", "reason"],
        )?;
        let repeated = counter(
            "tapecast_prints_repeated_total",
            "Prints that a venue sent again and that were not published again.",
        )?;
        Ok(Self {
            invented,
            lost: ChannelKind::ALL.map(|kind| {
                LossReason::ALL.map(|r| lost.with_label_values(&[kind.label(), r.label()]))
            }),
            repeated,
            events: ChannelKind::ALL.map(|kind| events.with_label_values(&[kind.label()])),
            unknown_instruments,
            gaps: counters(
                "tapecast_book_gaps_total",
                "Books that failed verification and were dropped or could not start.",
                &["venue", "reason"],
            )?,
            checksums: counters(
                "tapecast_checksums_total",
                "Book checksums compared with the venue's.",
                &["venue", "result"],
            )?,
            dropped: counters(
                "tapecast_book_buffered_dropped_total",
                "Book changes that came before a snapshot and could not be kept for it.",
                &["venue"],
            )?,
            old: counters(
                "tapecast_book_old_messages_total",
                "Messages that changed nothing: of books, older than the book; of books, quotes and tickers, the last one once more.",
                &["venue"],
            )?,
            crossed: counters(
                "tapecast_crossed_books_total",
                "Times that a venue's own book or quote was locked or crossed and was held back.",
                &["venue"],
            )?,
            instruments,
            never_live,
        })
    }

    /// Counts numbered events of a channel.
    pub(crate) fn count_events(&self, kind: ChannelKind, events: u64) {
        self.events[kind.index()].inc_by(events);
    }

    /// So many instruments are invented.
    pub(crate) fn set_invented(&self, instruments: usize) {
        self.invented.set(instruments as i64);
    }

    /// Counts numbers given to events that never came.
    pub(crate) fn count_lost(&self, kind: ChannelKind, reason: LossReason, events: u64) {
        self.lost[kind.index()][reason as usize].inc_by(events);
    }

    /// Counts trades that were known already.
    pub(crate) fn count_repeated(&self, trades: u64) {
        self.repeated.inc_by(trades);
    }

    /// Counts an event of an unknown instrument.
    pub(crate) fn count_unknown_instrument(&self) {
        self.unknown_instruments.inc();
    }

    /// What was counted so far of all instruments of one venue, if there is no other venue.
    pub(crate) fn counts(&self, venue: &VenueCounters) -> PipelineCounts {
        let lost = |of_kind: &[IntCounter; LossReason::ALL.len()]| {
            of_kind.iter().map(IntCounter::get).sum::<u64>()
        };
        PipelineCounts {
            events: self.events.each_ref().map(IntCounter::get),
            lost: self.lost.each_ref().map(lost),
            repeated: self.repeated.get(),
            gaps: venue.gaps.each_ref().map(IntCounter::get),
            checksums_ok: venue.checksums_ok.get(),
            checksums_bad: venue.checksums_bad.get(),
            dropped: venue.dropped.get(),
            old: venue.old.get(),
        }
    }

    /// The handles of one venue; every label value exists from here on, at zero.
    pub(crate) fn of_venue(&self, venue: &Venue) -> VenueCounters {
        let venue = venue.as_str();
        VenueCounters {
            gaps: GapReason::ALL.map(|r| self.gaps.with_label_values(&[venue, r.label()])),
            checksums_ok: self.checksums.with_label_values(&[venue, "ok"]),
            checksums_bad: self.checksums.with_label_values(&[venue, "bad"]),
            dropped: self.dropped.with_label_values(&[venue]),
            old: self.old.with_label_values(&[venue]),
            crossed: self.crossed.with_label_values(&[venue]),
            instruments: FeedState::ALL
                .map(|feed| self.instruments.with_label_values(&[venue, feed.label()])),
            never_live: self.never_live.with_label_values(&[venue]),
        }
    }
}

/// Adds a metric to a registry.
fn registered<M: Collector + Clone + 'static>(
    registry: &Registry,
    made: Result<M, prometheus::Error>,
) -> Result<M, prometheus::Error> {
    let metric = made?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

// === impl LossReason, GapReason ===

impl LossReason {
    /// All reasons, in order of declaration.
    pub const ALL: [Self; 5] = [
        Self::Connection,
        Self::Messages,
        Self::Unread,
        Self::Ids,
        Self::Book,
    ];

    /// The label value.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Messages => "messages",
            Self::Unread => "unread",
            Self::Ids => "ids",
            Self::Book => "book",
        }
    }
}

impl GapReason {
    /// All reasons, in order of declaration.
    pub const ALL: [Self; 4] = [Self::Link, Self::Checksum, Self::Feed, Self::Overflow];

    /// The label value.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Checksum => "checksum",
            Self::Feed => "feed",
            Self::Overflow => "overflow",
        }
    }
}

// === impl VenueCounters ===

impl VenueCounters {
    pub(crate) fn count_gap(&self, reason: GapReason) {
        self.gaps[reason as usize].inc();
    }

    pub(crate) fn count_checksum(&self, ok: bool) {
        if ok {
            self.checksums_ok.inc()
        } else {
            self.checksums_bad.inc()
        }
    }

    pub(crate) fn count_dropped(&self, changes: u64) {
        self.dropped.inc_by(changes);
    }

    pub(crate) fn count_old(&self) {
        self.old.inc();
    }

    pub(crate) fn count_crossed(&self) {
        self.crossed.inc();
    }

    /// An instrument comes into being in state `feed`.
    pub(crate) fn enter(&self, feed: FeedState) {
        self.gauge(feed).inc();
    }

    /// An instrument's feed goes from one state to another.
    pub(crate) fn move_between(&self, from: FeedState, to: FeedState) {
        self.gauge(from).dec();
        self.gauge(to).inc();
    }

    /// So many more instruments have never been live.
    pub(crate) fn count_never_live(&self, more: i64) {
        self.never_live.add(more);
    }

    fn gauge(&self, feed: FeedState) -> &IntGauge {
        &self.instruments[feed as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_is_exported_once_its_venue_is_known() {
        let registry = Registry::new();
        let metrics = PipelineMetrics::register(&registry).unwrap();
        let venue = metrics.of_venue(&Venue::new("okx").unwrap());
        for feed in FeedState::ALL {
            venue.enter(feed);
        }
        for (number, feed) in FeedState::ALL.into_iter().enumerate() {
            (0..number).for_each(|_| venue.enter(feed));
        }
        venue.count_gap(GapReason::Overflow);
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap();
        for line in [
            "tapecast_book_gaps_total{reason=\"overflow\",venue=\"okx\"} 1",
            "tapecast_book_gaps_total{reason=\"link\",venue=\"okx\"} 0",
            "tapecast_checksums_total{result=\"bad\",venue=\"okx\"} 0",
            "tapecast_instruments{feed=\"pending\",venue=\"okx\"} 1",
            "tapecast_instruments{feed=\"live\",venue=\"okx\"} 2",
            "tapecast_instruments{feed=\"stale\",venue=\"okx\"} 3",
            "tapecast_instruments{feed=\"gap\",venue=\"okx\"} 4",
            "tapecast_instruments{feed=\"down\",venue=\"okx\"} 5",
            "tapecast_instruments_never_live{venue=\"okx\"} 0",
            "tapecast_events_total{channel=\"trade\"} 0",
            "tapecast_book_buffered_dropped_total{venue=\"okx\"} 0",
            "tapecast_crossed_books_total{venue=\"okx\"} 0",
            "tapecast_events_unknown_instrument_total 0",
            "tapecast_events_lost_total{channel=\"trade\",reason=\"ids\"} 0",
            "tapecast_prints_repeated_total 0",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_second_registration_is_refused() {
        let registry = Registry::new();
        PipelineMetrics::register(&registry).unwrap();
        assert!(PipelineMetrics::register(&registry).is_err());
    }
}
