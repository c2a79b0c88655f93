//! Goal: a client keeps its word on a real socket: handshake, welcome, requests, close codes, and
//! coming back. Method: a scripted WebSocket server inside the test, one script per connection; each
//! step either sends a text or expects a request. No timing is relied upon.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::result_large_err,
    reason = "the handshake callback's signature is the library's"
)]

use futures_util::{SinkExt as _, StreamExt as _};
use std::net::SocketAddr;
use std::time::Duration;
use tapecast_client::{
    Backoff, Client, ClientError, ConnectError, ConnectOptions, Event, FinalClose, MessageKind,
    Outcome, Reconnecting, Tracker,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

const WELCOME: &str = r#"{"op":"welcome","protocol":"tapecast.v1","connection":"7f","node":"n","now":"1","heartbeat_ms":1000,"idle_timeout_ms":30000,"limits":{"topics":1024,"requests_per_s":20,"request_bytes":200,"outbox_bytes":4194304}}"#;

/// One step of a connection's script.
enum Step {
    Send(String),
    Ping,
    ExpectPong,
    Expect(&'static str),
    Close(u16),
    Hang,
}

fn send(text: impl Into<String>) -> Step {
    Step::Send(text.into())
}

/// Serves one connection after another, each by its script, then no more.
async fn serve(scripts: Vec<Vec<Step>>) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        for script in scripts {
            let (stream, _) = listener.accept().await.unwrap();
            play(stream, script).await;
        }
    });
    (address, server)
}

fn choose(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    assert_eq!(
        request.headers()["sec-websocket-protocol"],
        "tapecast.v1.json"
    );
    let chosen = HeaderValue::from_static("tapecast.v1.json");
    response
        .headers_mut()
        .insert("sec-websocket-protocol", chosen);
    Ok(response)
}

async fn play(stream: TcpStream, script: Vec<Step>) {
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, choose)
        .await
        .unwrap();
    for step in script {
        match step {
            Step::Send(text) => socket.send(Frame::text(text)).await.unwrap(),
            Step::Ping => socket.send(Frame::Ping("p".into())).await.unwrap(),
            Step::ExpectPong => {
                let frame = socket.next().await.unwrap().unwrap();
                assert_eq!(frame, Frame::Pong("p".into()));
            }
            Step::Expect(expected) => {
                let frame = socket.next().await.unwrap().unwrap();
                assert_eq!(frame.into_text().unwrap().as_str(), expected);
            }
            Step::Close(code) => {
                let frame = CloseFrame {
                    code: code.into(),
                    reason: "why".into(),
                };
                socket.close(Some(frame)).await.unwrap();
                while let Some(Ok(_)) = socket.next().await {}
            }
            Step::Hang => while let Some(Ok(_)) = socket.next().await {},
        }
    }
}

fn url(address: SocketAddr) -> String {
    format!("ws://{address}/v1/ws")
}

async fn connect(address: SocketAddr) -> Client {
    Client::connect(&url(address), ConnectOptions::default())
        .await
        .unwrap()
}

fn trade(kind: &str, seq: u64, prev: Option<u64>) -> String {
    let prev = prev.map(|p| format!(r#","prev":{p}"#)).unwrap_or_default();
    format!(
        r#"{{"topic":"trade:sim:A-B","type":"{kind}","epoch":1,"seq":{seq}{prev},"trades":[]}}"#
    )
}

#[tokio::test]
async fn a_lost_frame_is_noticed_and_healed_by_a_resync() {
    let (address, server) = serve(vec![vec![
        send(WELCOME),
        Step::Expect(r#"{"id":1,"op":"subscribe","topics":["trade:sim:A-B"]}"#),
        send(
            r#"{"op":"subscribed","id":1,"topics":[{"topic":"trade:sim:A-B","start":"snapshot"}]}"#,
        ),
        send(trade("snapshot", 5, None)),
        Step::Ping,
        send(trade("update", 6, Some(5))),
        send(trade("update", 9, Some(8))),
        Step::ExpectPong,
        Step::Expect(r#"{"id":2,"op":"resync","topics":["trade:sim:A-B"]}"#),
        send(trade("snapshot", 9, None)),
        Step::Close(1001),
    ]])
    .await;
    let mut client = connect(address).await;
    assert_eq!(client.welcome().connection, "7f");
    client.subscribe(&["trade:sim:A-B"]).await.unwrap();
    let mut tracker = Tracker::new();
    let mut outcomes = Vec::new();
    let close = loop {
        match client.next().await {
            Ok(message) => outcomes.push(tracker.handle(&message)),
            Err(ClientError::Closed(close)) => break close,
            Err(error) => panic!("{error}"),
        }
        let lost = tracker.take_lost();
        if !lost.is_empty() {
            client.resync(&lost).await.unwrap();
        }
    };
    use Outcome::{Apply, Control, Lost};
    assert_eq!(outcomes, [Control, Apply, Apply, Lost, Apply]);
    assert_eq!(
        (close.code, close.reason.as_str(), close.is_final()),
        (Some(1001), "why", false)
    );
    server.await.unwrap();
}

#[tokio::test]
async fn requests_are_numbered_and_spelled_as_the_protocol_says() {
    let (address, server) = serve(vec![vec![
        send(WELCOME),
        Step::Expect(r#"{"id":1,"op":"ping"}"#),
        Step::Expect(r#"{"id":2,"op":"list"}"#),
        Step::Expect(r#"{"id":3,"op":"unsubscribe","topics":["a"]}"#),
        Step::Expect(r#"{"id":4,"op":"subscribe","topics":[{"epoch":7,"seq":9,"topic":"a"}]}"#),
        Step::Hang,
    ]])
    .await;
    let mut client = connect(address).await;
    assert_eq!(client.ping().await.unwrap(), 1);
    assert_eq!(client.list().await.unwrap(), 2);
    let huge = "x".repeat(300);
    let refusal = client.subscribe(&[huge]).await.unwrap_err();
    assert!(
        matches!(refusal, ClientError::RequestTooLarge { limit: 200, .. }),
        "{refusal}"
    );
    assert_eq!(client.unsubscribe(&["a"]).await.unwrap(), 3);
    let point = tapecast_client::connect::ResumePoint {
        topic: "a".into(),
        epoch: 7,
        seq: 9,
    };
    assert_eq!(client.resume(&[point]).await.unwrap(), 4);
    client.close(Duration::from_secs(5)).await;
    server.await.unwrap();
}

#[tokio::test]
async fn an_unreadable_message_does_not_end_the_connection() {
    let (address, _server) = serve(vec![vec![
        send(WELCOME),
        send("nonsense"),
        send(r#"{"op":"pong"}"#),
        Step::Hang,
    ]])
    .await;
    let mut client = connect(address).await;
    assert!(matches!(client.next().await, Err(ClientError::Message(_))));
    assert!(matches!(
        client.next().await.unwrap().kind(),
        MessageKind::Pong(_)
    ));
}

#[tokio::test]
async fn the_last_words_of_the_server_come_with_the_close() {
    let bye = r#"{"op":"bye","error":"slow_consumer","message":"too slow"}"#;
    let (address, _server) = serve(vec![vec![send(WELCOME), send(bye), Step::Close(4013)]]).await;
    let mut client = connect(address).await;
    assert!(matches!(
        client.next().await.unwrap().kind(),
        MessageKind::Bye(_)
    ));
    let Err(ClientError::Closed(close)) = client.next().await else {
        panic!()
    };
    assert_eq!(close.to_string(), "code 4013, slow_consumer: too slow");
}

#[tokio::test]
async fn a_server_that_says_nothing_counts_as_dead() {
    let (address, _server) = serve(vec![vec![send(WELCOME), Step::Hang]]).await;
    let silence_max = Some(Duration::from_millis(20));
    let options = ConnectOptions {
        silence_max,
        ..ConnectOptions::default()
    };
    let mut client = Client::connect(&url(address), options).await.unwrap();
    assert!(matches!(client.next().await, Err(ClientError::Silent(_))));
}

#[tokio::test]
async fn a_connection_without_a_welcome_is_none() {
    let (address, _server) = serve(vec![vec![send(r#"{"op":"pong"}"#), Step::Hang]]).await;
    let error = Client::connect(&url(address), ConnectOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::NoWelcome(_)), "{error}");
}

/// A server whose handshake is `answer`.
async fn answering(answer: fn(Response) -> Result<Response, ErrorResponse>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let callback = move |_: &Request, response: Response| answer(response);
        let _ = tokio_tungstenite::accept_hdr_async(stream, callback).await;
    });
    address
}

#[tokio::test]
async fn another_subprotocol_or_status_is_refused_by_name() {
    let address = answering(Ok).await;
    let error = Client::connect(&url(address), ConnectOptions::default())
        .await
        .unwrap_err();
    assert!(
        matches!(error, ConnectError::Subprotocol { chosen: None, .. }),
        "{error}"
    );

    let address = answering(|_| {
        let mut refusal = ErrorResponse::new(Some("go away".into()));
        *refusal.status_mut() = StatusCode::FORBIDDEN;
        Err(refusal)
    })
    .await;
    let error = Client::connect(&url(address), ConnectOptions::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("HTTP status 403"), "{error}");
}

#[tokio::test]
async fn nobody_there_is_said_with_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = Client::connect(&url(address), ConnectOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), format!("cannot connect to {address}"));
}

#[tokio::test]
async fn coming_back_subscribes_anew_until_the_server_refuses_for_good() {
    let first = "trade:sim:A-B";
    let ask = r#"{"id":1,"op":"subscribe","topics":["quote:sim:A-B","trade:sim:A-B"]}"#;
    let (address, server) = serve(vec![
        vec![
            send(WELCOME),
            Step::Expect(r#"{"id":1,"op":"subscribe","topics":["trade:sim:A-B"]}"#),
            send(trade("snapshot", 5, None)),
            Step::Expect(r#"{"id":2,"op":"subscribe","topics":["quote:sim:A-B"]}"#),
            send(r#"{"op":"drain","in_ms":1,"retry_min_ms":1,"retry_max_ms":2}"#),
            Step::Close(1001),
        ],
        vec![
            send(WELCOME),
            Step::Expect(ask),
            send(trade("snapshot", 9, None)),
            Step::Close(4001),
        ],
    ])
    .await;
    let backoff = Backoff {
        first: Duration::from_millis(1),
        max: Duration::from_millis(2),
    };
    let mut client = Reconnecting::new(&url(address), ConnectOptions::default(), backoff);
    client.subscribe(&[first]).await;
    let mut events = Vec::new();
    let end = loop {
        match client.next().await {
            Ok(Event::Connected) => events.push("connected".to_owned()),
            Ok(Event::Disconnected { retry_in, .. }) => {
                assert!(retry_in <= Duration::from_millis(2));
                events.push("disconnected".to_owned());
            }
            Ok(Event::Message(message)) => {
                if let Some(frame) = message.data() {
                    events.push(format!("seq {}", frame.seq));
                    if frame.seq == 5 {
                        client.subscribe(&["quote:sim:A-B"]).await;
                    }
                }
            }
            Ok(Event::Unreadable(error)) => panic!("{error}"),
            Err(end) => break end,
        }
    };
    assert_eq!(
        events,
        ["connected", "seq 5", "disconnected", "connected", "seq 9"]
    );
    assert!(matches!(end, FinalClose::Closed(close) if close.code == Some(4001)));
    server.await.unwrap();
}

#[tokio::test]
async fn a_large_subscription_is_asked_for_in_pieces() {
    // Two of these fit into the welcome's 200 bytes, three do not.
    let topics: Vec<String> = ["a", "b", "c"].iter().map(|t| t.repeat(60)).collect();
    let (address, server) = serve(vec![vec![
        send(WELCOME),
        Step::Expect(
            r#"{"id":1,"op":"subscribe","topics":["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"]}"#,
        ),
        Step::Expect(
            r#"{"id":2,"op":"subscribe","topics":["cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"]}"#,
        ),
    ]])
    .await;
    let mut client =
        Reconnecting::new(&url(address), ConnectOptions::default(), Backoff::default());
    client.subscribe(&topics).await;
    assert!(matches!(client.next().await.unwrap(), Event::Connected));
    server.await.unwrap();
}
