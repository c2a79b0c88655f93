//! What it costs a session to take a message of its venue: told apart, read, noted, passed on.
//!
//! One iteration is a hundred messages. Nothing goes wrong in them, and no line takes over.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop")]

use divan::Bencher;
use divan::counter::ItemsCount;
use prometheus::Registry;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use tapecast_ingest::metrics::FeedMetrics;
use tapecast_ingest::session::binance::BinanceSpot;
use tapecast_ingest::session::venue::VenueRules;
use tapecast_ingest::session::{
    Earlier, Frame, HttpAnswer, Session, SessionConfig, Transmit, WantedSet,
};
use tapecast_model::catalog::Offer;
use tapecast_model::{Catalog, ChannelSet, Mono, UnixNanos, Venue};

fn main() {
    divan::main();
}

const MESSAGES: usize = 100;

/// A kind of message.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Trade,
    Quote,
    Book,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Trade, Self::Quote, Self::Book];

    const fn text(self) -> &'static str {
        match self {
            Self::Trade => {
                r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255401001,"s":"BTCUSDT","t":3735683260,"p":"61837.64000000","q":"0.16050000","T":1723161255401000,"m":false,"M":true}}"#
            }
            Self::Quote => {
                r#"{"stream":"btcusdt@bookTicker","data":{"u":50093239224,"s":"BTCUSDT","b":"61837.63000000","B":"4.35020000","a":"61837.64000000","A":"0.92910000"}}"#
            }
            Self::Book => {
                r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255401001,"s":"BTCUSDT","U":50093239208,"u":50093239224,"b":[["61837.63000000","4.35020000"],["61836.00000000","0.00000000"],["61835.12000000","1.20000000"]],"a":[["61837.64000000","0.92910000"],["61840.01000000","0.00000000"]]}}"#
            }
        }
    }
}

const LIST: &str = r#"{"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","filters":[{"filterType":"PRICE_FILTER","tickSize":"0.01000000"},{"filterType":"LOT_SIZE","stepSize":"0.00001000"}]}]}"#;

/// A session with one line that is open. Returns the line too.
fn session() -> (Session, u32) {
    let name = Venue::new("binance").unwrap();
    let catalog = Arc::new(Catalog::new(10));
    catalog.add_venue(&name, Offer::default());
    let rules = VenueRules::of("binance", &toml::Table::new()).unwrap();
    let (now, wall) = (Mono::default(), UnixNanos::from_millis(1_723_161_255_402));
    let config = SessionConfig {
        live: Box::new(BinanceSpot::new(rules)),
        wanted: WantedSet {
            symbols: vec!["*".parse().unwrap()],
            exclude: Vec::new(),
            most: 10,
            channels: ChannelSet::ALL,
            top: None,
        },
        known: Vec::new(),
        earlier: Earlier::default(),
        seed: 1,
        catalog,
        counters: FeedMetrics::register(&Registry::new())
            .unwrap()
            .of_venue(&name),
        venue: name,
    };
    let mut session = Session::new(config, now, wall);
    let mut line = 0;
    for _ in 0..4 {
        session.handle_time(now, wall);
        while let Some(transmit) = session.poll_transmit() {
            match transmit {
                Transmit::Http { id, .. } => {
                    let mut body = LIST.as_bytes().to_vec();
                    let answer = HttpAnswer {
                        status: 200,
                        headers: &[],
                        body: &mut body,
                    };
                    session.handle_http(id, answer, now, wall);
                }
                Transmit::Connect { line: number, .. } => {
                    line = number;
                    session.handle_connected(line, now, wall);
                }
                _ => {}
            }
        }
    }
    (session, line)
}

#[divan::bench(args = Kind::ALL)]
fn take(bencher: Bencher<'_, '_>, kind: Kind) {
    let (mut session, line) = session();
    let mut now = Mono::default();
    let wall = UnixNanos::from_millis(1_723_161_255_402);
    let text = kind.text().as_bytes();
    let mut raw = text.to_vec();
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        for _ in 0..MESSAGES {
            now = now.after(Duration::from_nanos(10));
            raw.copy_from_slice(text);
            session.handle_message(line, Frame::Text(&mut raw), now, wall);
            while let Some(events) = session.poll_event() {
                black_box(events);
            }
        }
        while session.poll_transmit().is_some() {}
    });
}
