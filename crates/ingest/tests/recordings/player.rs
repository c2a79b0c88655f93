//! Plays a small recording through the pipeline and spells what is published.

use crate::figures::figures;
use hashbrown::HashMap;
use prometheus::Registry;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tapecast_ingest::feed::{StartGate, Unpaced};
use tapecast_ingest::metrics::{FeedCounters, FeedMetrics, PipelineMetrics};
use tapecast_ingest::pipeline::{Pipeline, PipelineConfig};
use tapecast_ingest::replay::{Replay, ReplayConfig, ScanReport, Speed};
use tapecast_ingest::sources::EventTx;
use tapecast_ingest::venue::Format;
use tapecast_model::{
    Body, Book, Catalog, FeedState, Instrument, Mono, Price, Qty, Side, UnixNanos, Update, Venue,
};

/// What came of a recording.
pub(crate) struct Played {
    /// What was published, in order, without what the end of the recording says.
    pub(crate) words: Vec<String>,
    /// The symbols that are served, in order.
    pub(crate) symbols: Vec<String>,
    pub(crate) report: ScanReport,
    pub(crate) counters: FeedCounters,
    registry: Registry,
}

impl Played {
    /// What was published of some kinds.
    pub(crate) fn only(&self, kinds: &[&str]) -> Vec<&str> {
        let words = self.words.iter().map(String::as_str);
        words
            .filter(|word| {
                kinds
                    .iter()
                    .any(|kind| word.split(' ').nth(1) == Some(kind))
            })
            .collect()
    }

    /// The sum of a counter over all that carry a label.
    pub(crate) fn counted(&self, metric: &str, label: &str) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().filter(|family| family.name() == metric);
        let labelled = family
            .flat_map(|family| family.get_metric())
            .filter(|m| label.is_empty() || m.get_label().iter().any(|l| l.value() == label));
        labelled.map(|m| m.get_counter().get_value() as u64).sum()
    }
}

/// Plays a recording of this directory.
pub(crate) fn play(format: Format, name: &str) -> Played {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/small");
    let catalog = Arc::new(Catalog::new(100));
    let venue = Venue::new(format.label()).unwrap();
    let config = ReplayConfig {
        venue: venue.clone(),
        format,
        path: here.join(name),
        speed: Speed::Max,
        looped: false,
        symbols: HashMap::new(),
    };
    let replay = Replay::scan(config, &catalog).unwrap();
    let report = replay.report();
    let registry = Registry::new();
    let feeds = FeedMetrics::register(&registry).unwrap();
    let counters = feeds.of_venue(&venue);
    let (tx, rx) = EventTx::alone(64);
    let player = std::thread::spawn(move || {
        let stop = Arc::new(AtomicBool::new(false));
        replay.run(&StartGate::opened(), tx, Box::new(Unpaced), stop, &feeds)
    });
    let metrics = PipelineMetrics::register(&registry).unwrap();
    let config = PipelineConfig::new(UnixNanos::from_millis(1));
    let mut pipeline = Pipeline::new(Arc::clone(&catalog), config, metrics);
    let mut words = Vec::new();
    let mut sink = |update: &Update<'_>| words.extend(spell(update));
    for event in rx.iter().flatten() {
        pipeline.handle_event(event, Mono::new(1), &mut sink);
    }
    player.join().unwrap().unwrap();
    let instruments = catalog.instruments();
    let symbols = instruments.iter().map(|i| i.symbol.to_string()).collect();
    Played {
        words,
        symbols,
        report,
        counters,
        registry,
    }
}

/// Plays a recording and compares all that is published.
pub(crate) fn check(format: Format, name: &str, expected: &[&str]) -> Played {
    let played = play(format, name);
    assert_eq!(played.words, expected, "{name}");
    played
}

fn spell(update: &Update<'_>) -> Option<String> {
    let instrument = update.instrument;
    let words = match &update.body {
        Body::Trades(trades) => {
            let mut line = String::from("trade");
            for trade in *trades {
                let side = trade.aggressor.map_or("-", |a| a.label());
                let pair = pair(instrument, trade.price, trade.qty);
                line += &format!(" {:?} {pair} {side}", trade.id);
                line += &trade
                    .ts_event
                    .map_or(String::new(), |t| format!(" @{}", t.nanos().get()));
            }
            line
        }
        Body::Quote(quote) => {
            let side =
                |s: Option<(Price, Qty)>| s.map_or("-".into(), |(p, q)| pair(instrument, p, q));
            format!("quote {} {}", side(quote.bid), side(quote.ask))
        }
        Body::Book { book, .. } => {
            format!(
                "book {} {}",
                side(instrument, book, Side::Bid),
                side(instrument, book, Side::Ask)
            )
        }
        Body::Ticker(ticker) => figures(ticker),
        // Recordings say nothing that their plan does not.
        Body::Definition { .. } => return None,
        // Before the first data and behind the last.
        Body::Status(status) if matches!(status.feed, FeedState::Pending | FeedState::Down) => {
            return None;
        }
        Body::Status(status) => {
            let (feed, trading) = (status.feed.label(), status.trading.label());
            format!("status {feed} {trading}: {}", status.reason)
        }
        Body::Lost { kind, .. } => format!("lost {}", kind.channel().label()),
    };
    Some(format!("{} {words}", instrument.symbol))
}

fn pair(instrument: &Instrument, price: Price, qty: Qty) -> String {
    let mut text = Vec::new();
    price.write(&mut text, instrument.price_scale);
    text.push(b'x');
    qty.write(&mut text, instrument.qty_scale);
    String::from_utf8(text).unwrap()
}

fn side(instrument: &Instrument, book: &Book, side: Side) -> String {
    let levels = book.levels(side).map(|l| pair(instrument, l.price, l.qty));
    format!("[{}]", levels.collect::<Vec<_>>().join(" "))
}
