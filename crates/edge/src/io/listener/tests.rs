//! Log lines about pages that may not connect.

use super::*;
use crate::log::Lines;
use crate::metrics::EdgeMetrics;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A handshake of a page of this origin; the status line of the answer.
async fn shake_hands(listener: &Arc<Listener>, origin: &str) -> String {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let request = format!(
        "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: {origin}\r\n\r\n"
    );
    client.write_all(request.as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], 50_000));
    listener.attend(server, address).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_page_that_is_refused_is_said_with_its_origin_at_a_limited_rate() {
    let metrics = EdgeMetrics::register(&prometheus::Registry::new()).unwrap();
    let metrics = (metrics.listener(), metrics.http("public"));
    let (settings, rules) = (
        InForce::new(Settings::default()),
        InForce::new(Rules::default()),
    );
    let mut listener = Listener::new(Vec::new(), (&settings, &rules), metrics, Box::new(|_| None));
    let all = Arc::get_mut(&mut listener).unwrap();
    all.origin_lines = RateLimit::new(2, Duration::from_secs(3_600));
    let lines = Lines::of_this_thread();
    let refused = "HTTP/1.1 403 Forbidden";
    let origin = "https://evil.example";
    assert_eq!(shake_hands(&listener, origin).await, refused);
    assert_eq!(
        lines.take(),
        [
            "INFO tapecast_edge::io::listener: Origin refused: add it to listen.allowed_origins to allow it \
             address=127.0.0.1 origin=\"https://evil.example\" more=0"
        ]
    );
    // Of what a client makes up a piece is enough; and what is over the rate is only counted.
    let long = format!("https://{}", "x".repeat(2_000));
    for origin in [&*long, origin, origin] {
        assert_eq!(shake_hands(&listener, origin).await, refused);
    }
    let said = lines.take();
    assert!(said.len() == 1 && said[0].len() < 300, "{said:?}");
    // Other refusals are counted and not said.
    assert_eq!(
        shake_hands(&listener, "http://localhost").await,
        "HTTP/1.1 503 Service Unavailable"
    );
    assert_eq!(lines.take(), [""; 0]);
}
