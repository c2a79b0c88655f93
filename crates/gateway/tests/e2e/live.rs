//! A gateway that is connected to a venue: a simulated one, over real sockets and TLS.

use crate::support::{PATIENCE, connect, gateway, http, next, try_gateway, wait_for_metric};
use tapecast::gateway::Gateway;
use tapecast_client::book::ClientBook;
use tapecast_client::{Client, MessageKind};
use tapecast_venuesim::server::{Server, ServerConfig};
use tapecast_venuesim::{BinanceSpot, Fault, KrakenSpot, SimConfig, Simulated};
use tempfile::TempDir;

pub(crate) struct Venue<V = BinanceSpot> {
    pub(crate) server: Server<V>,
    folder: TempDir,
}

pub(crate) async fn venue() -> Venue {
    serve(BinanceSpot::new(SimConfig::new(11))).await
}

async fn serve<V: Simulated + Send + 'static>(venue: V) -> Venue<V> {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(venue, ServerConfig::default()).await.unwrap();
    std::fs::write(folder.path().join("ca.pem"), server.ca_pem().unwrap()).unwrap();
    Venue { server, folder }
}

impl<V: Simulated + Send + 'static> Venue<V> {
    /// The source that connects to it.
    pub(crate) fn source(&self, more: &str) -> String {
        let (port, ca) = (self.server.addr().port(), self.folder.path().join("ca.pem"));
        let venue = V::NAME;
        format!(
            "[[source]]\nkind = \"live\"\nvenue = \"{venue}\"\nsymbols = [\"BTC-*\", \"ETH-*\"]\n\
             proxy = \"none\"\nca_file = {ca:?}\n{more}\n[source.rules]\n\
             stream_url = \"wss://localhost:{port}\"\nrest_url = \"https://localhost:{port}\"\n"
        )
    }
}

/// Takes messages until one of a topic is of this type, and has this in its text.
async fn until(client: &mut Client, topic: &str, part: &str) -> String {
    tokio::time::timeout(PATIENCE, async {
        loop {
            let message = next(client).await;
            let text = message.text();
            if text.contains(topic) && text.contains(part) {
                return text.to_owned();
            }
        }
    })
    .await
    .unwrap()
}

/// Waits until `/debug/sources` has all of this. It is made anew a few times a second.
async fn until_shown(gateway: &Gateway, parts: &[&str]) {
    let shown = async {
        loop {
            let sources = http(gateway.admin_address(), "GET /debug/sources").await;
            if parts.iter().all(|part| sources.contains(part)) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, shown).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_book_of_a_venue_is_live_over_tls_and_again_after_a_cut() {
    let venue = venue().await;
    let gateway = gateway(&venue.source("")).await;
    let listed = http(gateway.public_address(), "GET /v1/instruments").await;
    assert!(
        listed.contains("BTC-USDT") && listed.contains("ETH-USDT"),
        "{listed}"
    );
    let mut client = connect(&gateway).await;
    let topics = [
        "book.25:binance:BTC-USDT",
        "trade:binance:ETH-USDT",
        "status:binance:BTC-USDT",
    ];
    client.subscribe(&topics).await.unwrap();
    let mut book = ClientBook::new(topics[0]).unwrap();
    let mut updates = 0;
    while updates < 20 {
        let message = tokio::time::timeout(PATIENCE, client.next())
            .await
            .unwrap()
            .unwrap();
        if let MessageKind::Data(frame) = message.kind()
            && frame.topic == topics[0]
        {
            book.apply(frame).unwrap();
            updates += 1;
        }
    }
    assert_eq!(book.bids().len(), 25);
    venue
        .server
        .with(|venue| venue.plant(Fault::GarbageFrame, None));
    until_shown(&gateway, &["\"bad\":[{\"reason\":\""]).await;
    venue.server.with(|venue| venue.plant(Fault::Cut, None));
    until(&mut client, "status:binance:BTC-USDT", "\"feed\":\"down\"").await;
    until(&mut client, "status:binance:BTC-USDT", "\"feed\":\"live\"").await;
    let lines = "tapecast_upstream_events_total{event=\"line_opened\",venue=\"binance\"}";
    wait_for_metric(&gateway, lines, |opened| opened >= 2).await;
    let parts = [
        "\"kind\":\"live\"",
        "\"state\":\"open\"",
        "\"unaccepted\":0",
        "the connection ended",
    ];
    until_shown(&gateway, &parts).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_venue_says_of_an_instrument_is_told_and_told_again_when_it_changes() {
    let venue = venue().await;
    let source = format!("{}definitions_seconds = 1\n", venue.source(""));
    let gateway = gateway(&source).await;
    let listed = http(gateway.public_address(), "GET /v1/topics").await;
    let topic = "instrument:binance:BTC-USDT";
    assert!(listed.contains(topic), "{listed}");
    let mut json = connect(&gateway).await;
    json.subscribe(&[topic]).await.unwrap();
    let first = until(&mut json, topic, "\"type\":\"snapshot\"").await;
    for part in [
        r#""native":"BTCUSDT","price_scale":2,"qty_scale":5,"trading":"open""#,
        r#""kind":"spot","qty_unit":"base","tick":"0.01","lot":"0.00001""#,
    ] {
        assert!(first.contains(part), "{first}");
    }
    let plant = |fault, symbol| venue.server.with(|venue| venue.plant(fault, Some(symbol)));
    let other = "instrument:binance:ETH-USDT";
    json.subscribe(&[other]).await.unwrap();
    plant(Fault::Halt, "ETHUSDT");
    until(&mut json, other, "\"trading\":\"halted\"").await;
    plant(Fault::FinerTick, "BTCUSDT");
    until(&mut json, "\"reason\":\"scale\"", topic).await;
    let finer = until(&mut json, topic, "\"tick\":\"0.001\"").await;
    assert!(finer.contains("\"price_scale\":3"), "{finer}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn books_that_begin_in_the_stream_are_live_over_tls_and_heal() {
    let venue = serve(KrakenSpot::new(SimConfig::kraken(11))).await;
    let gateway = gateway(&venue.source("")).await;
    let mut client = connect(&gateway).await;
    let topics = [
        "book.25:kraken:BTC-USD",
        "quote:kraken:BTC-USD",
        "trade:kraken:BTC-USD",
        "ticker:kraken:BTC-USD",
        "status:kraken:BTC-USD",
    ];
    client.subscribe(&topics).await.unwrap();
    for topic in &topics[..4] {
        until(&mut client, topic, "\"type\":\"update\"").await;
    }
    let plant = |fault| {
        venue
            .server
            .with(|venue| venue.plant(fault, Some("BTC/USD")))
    };
    plant(Fault::WrongSum);
    until(&mut client, topics[4], "checksum").await;
    until(&mut client, topics[0], "\"type\":\"snapshot\"").await;
    until(&mut client, topics[4], "\"feed\":\"live\"").await;
    plant(Fault::FinerTick);
    until(&mut client, "\"reason\":\"scale\"", topics[0]).await;
    until(&mut client, topics[0], "\"type\":\"update\"").await;
    plant(Fault::Cut);
    until(&mut client, topics[4], "\"feed\":\"down\"").await;
    until(&mut client, topics[4], "\"feed\":\"live\"").await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_instruments_are_known_although_the_venue_cannot_be_reached() {
    let venue = venue().await;
    let state = tempfile::tempdir().unwrap();
    let config = format!("state_dir = {:?}\n{}", state.path(), venue.source(""));
    gateway(&config).await.stop().await;
    let Venue { server, folder } = venue;
    server.stop();
    let began = std::time::Instant::now();
    let gateway = gateway(&config).await;
    assert!(
        began.elapsed().as_secs() < 8,
        "it listens without the venue"
    );
    let mut client = connect(&gateway).await;
    let topics = ["book.10:binance:BTC-USDT", "instrument:binance:BTC-USDT"];
    let status = "status:binance:BTC-USDT";
    client
        .subscribe(&[topics[0], topics[1], status])
        .await
        .unwrap();
    let answer = until(&mut client, "\"op\":\"subscribed\"", topics[0]).await;
    assert!(answer.contains("\"start\":\"none\"") && answer.contains("\"rejected\":[]"));
    let known = until(&mut client, topics[1], "\"type\":\"snapshot\"").await;
    assert!(known.contains("\"tick\":\"0.01\"") && known.contains("\"price_scale\":2"));
    assert!(known.contains("\"trading\":\"unknown\""), "{known}");
    until(&mut client, status, "\"feed\":\"down\"").await;
    gateway.stop().await;
    drop(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_does_not_verify_is_said_and_the_process_runs() {
    let (venue, other) = (venue().await, venue().await);
    let source = venue.source("required = true").replace(
        &format!("{:?}", venue.folder.path().join("ca.pem")),
        &format!("{:?}", other.folder.path().join("ca.pem")),
    );
    // It does not wait longer than ten seconds for a venue's list.
    let gateway = gateway(&source).await;
    let ready = http(gateway.admin_address(), "GET /readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    until_shown(
        &gateway,
        &[
            "\"state\":\"down\"",
            "certificate",
            "\"last_request_failure\"",
        ],
    )
    .await;
    let failures = "tapecast_upstream_events_total{event=\"request_failed\",venue=\"binance\"}";
    wait_for_metric(&gateway, failures, |failed| failed > 0).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_refused_by_its_key() {
    let venue = venue().await;
    let missing = venue.source("").replace("ca.pem", "nothing.pem");
    let error = try_gateway(&missing).await.err().unwrap();
    assert_eq!(error.key(), Some("source 1: ca_file"));
    assert!(error.to_string().contains("nothing.pem"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_venue_that_is_started_again_with_its_authority_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = ServerConfig {
        authority: Some(folder.path().to_owned()),
        ..ServerConfig::default()
    };
    let start = |config: &ServerConfig| {
        let venue = KrakenSpot::new(SimConfig::kraken(12));
        Server::start(venue, config.clone())
    };
    let server = start(&config).await.unwrap();
    config.listen = server.addr();
    std::fs::write(folder.path().join("ca.pem"), server.ca_pem().unwrap()).unwrap();
    let venue = Venue { server, folder };
    let gateway = gateway(&venue.source("")).await;
    let mut client = connect(&gateway).await;
    let topic = "status:kraken:BTC-USD";
    client.subscribe(&[topic]).await.unwrap();
    until(&mut client, topic, "\"feed\":\"live\"").await;
    let Venue { server, folder } = venue;
    server.stop();
    until(&mut client, topic, "\"feed\":\"down\"").await;
    // The address is free as soon as the last task has ended.
    let again = async {
        loop {
            match start(&config).await {
                Ok(server) => return server,
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse),
            }
            tokio::task::yield_now().await;
        }
    };
    let again = tokio::time::timeout(PATIENCE, again).await.unwrap();
    until(&mut client, topic, "\"feed\":\"live\"").await;
    gateway.stop().await;
    drop((again, folder));
}
