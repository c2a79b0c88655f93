//! A simulated venue over real sockets: TLS with the private authority, WebSocket and HTTP on one port, and what a
//! client sees of faults.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

use futures_util::{SinkExt as _, StreamExt as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tapecast_venuesim::{BinanceSpot, Fault, KrakenSpot, Server, ServerConfig, SimConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

type Client<S> = WebSocketStream<S>;

async fn started() -> Server<BinanceSpot> {
    let venue = BinanceSpot::new(SimConfig::new(1));
    Server::start(venue, ServerConfig::default()).await.unwrap()
}

async fn secure(server: &Server<BinanceSpot>) -> TlsStream<TcpStream> {
    trusting(server.ca_pem().unwrap(), server.addr())
        .await
        .unwrap()
}

/// A connection of a client that trusts this authority.
async fn trusting(pem: &str, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await
}

async fn websocket(
    server: &Server<BinanceSpot>,
    target: &str,
) -> Result<Client<TlsStream<TcpStream>>, Error> {
    let url = format!("wss://localhost:{}{target}", server.addr().port());
    let stream = secure(server).await;
    // The handshake is a large future.
    let (client, _) = Box::pin(tokio_tungstenite::client_async(url, stream)).await?;
    Ok(client)
}

/// The next message, which must come soon.
async fn next<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<S>,
) -> Option<Result<Message, Error>> {
    tokio::time::timeout(Duration::from_secs(10), client.next())
        .await
        .unwrap()
}

/// The next text that fits.
async fn find<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<S>,
    fits: impl Fn(&Value) -> bool,
) -> Value {
    loop {
        let Message::Text(text) = next(client).await.unwrap().unwrap() else {
            continue;
        };
        let value = serde_json::from_str(&text).unwrap();
        if fits(&value) {
            return value;
        }
    }
}

/// A whole exchange over HTTP: what came until the server closed.
async fn get(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), target: &str) -> String {
    ask(stream, target, "connection: close").await
}

async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    target: &str,
    headers: &str,
) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // An answer that breaks off ends with an error.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_client_rebuilds_a_book_over_tls() {
    let server = started().await;
    let mut client = websocket(&server, "/stream").await.unwrap();
    let request = r#"{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":"a"}"#;
    client.send(Message::text(request)).await.unwrap();
    let acknowledged = find(&mut client, |_| true).await;
    assert_eq!(acknowledged["id"], "a");
    let first = find(&mut client, |value| {
        value["stream"] == "btcusdt@depth@100ms"
    })
    .await;
    let answer = get(
        &mut secure(&server).await,
        "/api/v3/depth?symbol=BTCUSDT&limit=1000",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(answer.contains("x-mbx-used-weight-1m: 50\r\n"));
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let book: Value = serde_json::from_str(body).unwrap();
    let last = book["lastUpdateId"].as_u64().unwrap();
    assert!(last >= first["data"]["u"].as_u64().unwrap());
    let next = find(&mut client, |value| {
        value["data"]["u"].as_u64() > Some(last)
    })
    .await;
    assert!(next["data"]["U"].as_u64().unwrap() <= last + 1);
    let truth = server
        .with(|venue| venue.past_book("BTCUSDT", last))
        .unwrap();
    let best = tapecast_venuesim::decimal::text(truth.bids[0].0);
    assert_eq!(book["bids"][0][0], best);
    client.close(None).await.unwrap();
    while let Some(Ok(_)) = client.next().await {}
    tokio::time::timeout(Duration::from_secs(10), async {
        while !server.with(|venue| venue.connections()).is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    server.stop();
}

#[tokio::test]
async fn an_authority_that_is_kept_is_trusted_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = ServerConfig {
        authority: Some(folder.path().join("authority")),
        ..ServerConfig::default()
    };
    let venue = BinanceSpot::new(SimConfig::new(1));
    let first = Server::start(venue, config.clone()).await.unwrap();
    let pem = first.ca_pem().unwrap().to_owned();
    trusting(&pem, first.addr()).await.unwrap();
    first.stop();
    let venue = KrakenSpot::new(SimConfig::kraken(1));
    let second = Server::start(venue, config).await.unwrap();
    let stream = trusting(&pem, second.addr()).await.unwrap();
    let url = format!("wss://localhost:{}/v2", second.addr().port());
    let handshake = tokio_tungstenite::client_async(url, stream);
    let (mut client, _) = Box::pin(handshake).await.unwrap();
    let status = find(&mut client, |_| true).await;
    assert_eq!(status["data"][0]["system"], "online");
    let stranger = started().await;
    trusting(&pem, stranger.addr()).await.unwrap_err();
}

#[tokio::test]
async fn without_tls_it_speaks_plainly() {
    let venue = BinanceSpot::new(SimConfig::new(1));
    let config = ServerConfig {
        tls: false,
        ..ServerConfig::default()
    };
    let server = Server::start(venue, config).await.unwrap();
    assert_eq!(server.ca_pem(), None);
    let stream = TcpStream::connect(server.addr()).await.unwrap();
    let url = format!("ws://{}/ws/btcusdt@bookTicker", server.addr());
    let (mut client, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    assert!(find(&mut client, |_| true).await["u"].is_u64());
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    assert!(
        get(&mut stream, "/api/v3/time")
            .await
            .contains("serverTime")
    );
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    assert!(get(&mut stream, "/other").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn handshakes_are_refused_with_a_status() {
    let server = started().await;
    server.with(|venue| venue.plant(Fault::ConnectTooMany, None));
    match websocket(&server, "/stream").await {
        Err(Error::Http(answer)) => {
            assert_eq!(answer.status(), 429);
            assert_eq!(answer.headers()["retry-after"], "3");
        }
        other => panic!("{other:?}"),
    }
    let headers = "upgrade: websocket\r\nconnection: upgrade, close";
    let answer = ask(&mut secure(&server).await, "/stream", headers).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn connections_end_as_the_venue_says() {
    let server = started().await;
    let target = "/stream?streams=btcusdt@depth@100ms";
    let mut closed = websocket(&server, target).await.unwrap();
    server.with(|venue| venue.plant(Fault::ClosePolicy, None));
    let frame = loop {
        match next(&mut closed).await {
            Some(Ok(Message::Close(frame))) => break frame.unwrap(),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        (u16::from(frame.code), frame.reason.as_str()),
        (1008, "Policy violation")
    );

    let mut cut = websocket(&server, target).await.unwrap();
    server.with(|venue| venue.plant(Fault::Cut, None));
    let end = loop {
        match next(&mut cut).await {
            Some(Ok(Message::Close(frame))) => panic!("{frame:?}"),
            Some(Ok(_)) => {}
            end => break end,
        }
    };
    assert!(matches!(end, Some(Err(_))));

    let mut silent = websocket(&server, target).await.unwrap();
    find(&mut silent, |_| true).await;
    server.with(|venue| venue.plant(Fault::HalfOpen, None));
    let rest = async { while let Some(Ok(_)) = silent.next().await {} };
    // It neither ends nor says more: only time can show it.
    assert!(
        tokio::time::timeout(Duration::from_secs(1), rest)
            .await
            .is_err()
    );
    let quiet = tokio::time::timeout(Duration::from_millis(500), silent.next()).await;
    assert!(quiet.is_err());
}

#[tokio::test]
async fn pings_are_answered_and_huge_messages_arrive() {
    let server = started().await;
    let mut client = websocket(&server, "/stream?streams=btcusdt@depth@100ms")
        .await
        .unwrap();
    client.send(Message::Ping("hello".into())).await.unwrap();
    loop {
        if let Message::Pong(payload) = next(&mut client).await.unwrap().unwrap() {
            assert_eq!(payload, "hello");
            break;
        }
    }
    server.with(|venue| venue.plant(Fault::HugeDepth, Some("BTCUSDT")));
    let huge = find(&mut client, |value| {
        value["data"]["a"]
            .as_array()
            .is_some_and(|asks| asks.len() > 10_000)
    })
    .await;
    assert_eq!(huge["data"]["s"], "BTCUSDT");
}

#[tokio::test]
async fn answers_break_off_or_never_come() {
    let server = started().await;
    server.with(|venue| venue.plant(Fault::RestTruncated, None));
    let answer = get(&mut secure(&server).await, "/api/v3/depth?symbol=BTCUSDT").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    assert!(body.len() < length.unwrap().parse().unwrap());
    server.with(|venue| venue.plant(Fault::RestTimeout, None));
    let mut stream = secure(&server).await;
    let never = get(&mut stream, "/api/v3/depth?symbol=BTCUSDT");
    assert!(
        tokio::time::timeout(Duration::from_secs(1), never)
            .await
            .is_err()
    );
    let applied = server.with(|venue| venue.applied());
    assert_eq!(applied.len(), 2);
}
