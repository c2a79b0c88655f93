//! HTTP to the letter: raw sockets against both listeners.

mod crowds;

use crate::support::{PATIENCE, Raw, gateway, http, metric, recording, replay, start_replays};
use std::net::SocketAddr;
use tapecast::config::Config;
use tapecast::gateway::Gateway;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SIM: &str = "[[source]]\nkind = \"sim\"\nsymbols = 50\n";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Everything that comes until the other side closes; what it reset counts as closed.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read =
        async { while matches!(stream.read_buf(&mut answer).await, Ok(read) if read > 0) {} };
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("it is closed in time");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends bytes as they are; everything that is answered until the other side closes.
async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(&mut stream).await
}

fn status(answer: &str) -> u16 {
    let status = answer
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5));
    status
        .and_then(|code| code.parse().ok())
        .unwrap_or_default()
}

/// The value of a header; none if it is not there.
fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next().unwrap();
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The head without the date, which moves.
fn head(answer: &str) -> Vec<&str> {
    let lines = answer.split("\r\n\r\n").next().unwrap().lines();
    lines
        .filter(|line| !line.to_lowercase().starts_with("date:"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_judged_by_the_letter() {
    let gateway = gateway(&format!(
        "{SIM}[listen]\nallowed_origins = [\"https://desk.example\"]\nallowed_hosts = [\"feed.example\"]\n"
    ))
    .await;
    let both = [gateway.public_address(), gateway.admin_address()];
    for (version, hosts, expected) in [
        ("1.1", &["localhost"][..], 200),
        ("1.1", &["LOCALHOST.:1"], 200),
        ("1.1", &["127.0.0.1"], 200),
        ("1.1", &["[::1]:8080"], 200),
        ("1.1", &["desk.example"], 200),
        ("1.1", &["feed.example:443"], 200),
        ("1.1", &["evil.example"], 421),
        ("1.1", &["127.0.0.1.evil.example"], 421),
        ("1.1", &[], 400),
        ("1.1", &[""], 400),
        ("1.1", &["localhost", "localhost"], 400),
        ("1.1", &["a b"], 400),
        ("1.1", &["localhost:http"], 400),
        ("1.0", &[], 200),
        ("1.0", &["localhost"], 200),
        ("1.0", &["evil.example"], 421),
    ] {
        let hosts: String = hosts
            .iter()
            .map(|host| format!("Host: {host}\r\n"))
            .collect();
        for (address, path) in both
            .into_iter()
            .zip(["/v1/topics?venue=sim", "/livez?full=1"])
        {
            for method in ["GET", "HEAD"] {
                let request =
                    format!("{method} {path} HTTP/{version}\r\n{hosts}Connection: close\r\n\r\n");
                let answer = raw(address, &request).await;
                assert_eq!(status(&answer), expected, "{request}{answer}");
                if expected == 421 && method == "GET" {
                    assert!(answer.contains("listen.allowed_hosts"), "{answer}");
                }
            }
        }
    }
    // The target wins over the header.
    let request =
        "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&raw(both[0], request).await), 421);
    gateway.stop().await;
}

/// Sends a request; the head of what is answered, as the connection may stay open.
async fn head_of(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut answer));
        if read.await.expect("in time").unwrap() == 0 {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_are_judged_by_the_letter() {
    const GOOD: &str =
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    let gateway = gateway(&format!(
        "{SIM}[listen]\nallowed_origins = [\"https://desk.example\"]\n"
    ))
    .await;
    let version = "Sec-WebSocket-Version: 13\r\n";
    for (host, headers, extra, expected) in [
        ("localhost", GOOD, "", 101),
        ("localhost", GOOD, "Content-Length: 0\r\n", 101),
        ("localhost", GOOD, "Sec-WebSocket-Protocol: \r\n", 101),
        (
            "localhost",
            GOOD,
            "Sec-WebSocket-Protocol: tapecast.v1.bin\r\n",
            101,
        ),
        ("localhost", GOOD, "Sec-WebSocket-Protocol: chat\r\n", 400),
        ("localhost", GOOD, "Content-Length: 2\r\n\r\n{}", 400),
        (
            "localhost",
            GOOD,
            "Transfer-Encoding: chunked\r\n\r\n0\r\n",
            400,
        ),
        ("localhost", GOOD, version, 400),
        ("localhost", GOOD, KEY, 400),
        ("localhost", KEY, "", 426),
        ("localhost", KEY, "Sec-WebSocket-Version: 8\r\n", 426),
        ("localhost", version, "", 400),
        (
            "localhost",
            version,
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n",
            400,
        ),
        (
            "localhost",
            version,
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n",
            400,
        ),
        ("localhost", GOOD, "Origin: https://localhost\r\n", 101),
        ("localhost", GOOD, "Origin: http://localhost:9\r\n", 101),
        ("localhost:1", GOOD, "Origin: http://localhost:9\r\n", 403),
        ("localhost", GOOD, "Origin: https://desk.example\r\n", 101),
        ("localhost", GOOD, "Origin: https://evil.example\r\n", 403),
        ("evil.example", GOOD, "Origin: http://evil.example\r\n", 421),
        ("desk.example", GOOD, "", 101),
    ] {
        let request = format!(
            "GET /v1/ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{headers}{extra}\r\n"
        );
        let answer = head_of(gateway.public_address(), &request).await;
        assert_eq!(status(&answer), expected, "{request}{answer}");
        if expected != 101 {
            // It holds no place for handshakes any longer.
            assert_eq!(header(&answer, "connection"), Some("close"), "{answer}");
        }
        let agreed = extra
            .contains("tapecast.v1.bin")
            .then_some("tapecast.v1.bin");
        assert_eq!(header(&answer, "sec-websocket-protocol"), agreed);
    }
    let name = "tapecast_handshakes_refused_total{reason=\"host\"}";
    assert_eq!(metric(&gateway, name).await, Some(1));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn head_is_get_without_a_body_and_options_describe_a_path() {
    let gateway = gateway(SIM).await;
    let (public, admin) = (gateway.public_address(), gateway.admin_address());
    for (address, path) in [
        (public, "/"),
        (public, "/app.js"),
        (public, "/v1/instruments"),
        (public, "/v1/topics?symbol=BTC"),
        (public, "/v1/topics?symbol=%zz"),
        (public, "/nothing"),
        (public, "/v1/ws"),
        (admin, "/livez"),
        (admin, "/readyz"),
        (admin, "/replay/start"),
        (admin, "/nothing"),
    ] {
        let (get, short) = (
            http(address, &format!("GET {path}")).await,
            http(address, &format!("HEAD {path}")).await,
        );
        assert_eq!(head(&get), head(&short), "{path}");
        let (_, body) = get.split_once("\r\n\r\n").unwrap();
        assert_eq!(
            header(&short, "content-length").unwrap(),
            body.len().to_string()
        );
        assert!(short.ends_with("\r\n\r\n"), "{short}");
    }
    // Its length moves with what it says.
    let metrics = http(admin, "HEAD /metrics").await;
    assert_eq!(
        (status(&metrics), metrics.ends_with("\r\n\r\n")),
        (200, true)
    );
    assert!(
        header(&metrics, "content-length")
            .unwrap()
            .parse::<u32>()
            .unwrap()
            > 1_000
    );
    for (address, request, expected, allow) in [
        (public, "OPTIONS /", 204, Some("GET, HEAD, OPTIONS")),
        (
            public,
            "OPTIONS /v1/topics",
            204,
            Some("GET, HEAD, OPTIONS"),
        ),
        (public, "OPTIONS *", 204, Some("GET, HEAD, OPTIONS")),
        (public, "OPTIONS /v1/ws", 204, Some("GET, HEAD, OPTIONS")),
        (public, "POST /", 405, Some("GET, HEAD, OPTIONS")),
        (
            public,
            "DELETE /v1/instruments",
            405,
            Some("GET, HEAD, OPTIONS"),
        ),
        (public, "POST /v1/ws", 405, Some("GET, HEAD, OPTIONS")),
        (public, "BREW /v1/topics", 405, Some("GET, HEAD, OPTIONS")),
        (public, "GET /nothing", 404, None),
        (admin, "OPTIONS /metrics", 204, Some("GET, HEAD, OPTIONS")),
        (admin, "POST /livez", 405, Some("GET, HEAD, OPTIONS")),
        (admin, "GET /replay/start", 405, Some("POST, OPTIONS")),
        (admin, "OPTIONS /replay/start", 204, Some("POST, OPTIONS")),
    ] {
        let answer = http(address, request).await;
        assert_eq!(status(&answer), expected, "{request}: {answer}");
        assert_eq!(header(&answer, "allow"), allow, "{request}: {answer}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_decode_queries_and_are_shared_with_listed_origins_only() {
    let gateway = gateway(&format!(
        "{SIM}[listen]\nallowed_origins = [\"https://desk.example\"]\n"
    ))
    .await;
    let public = gateway.public_address();
    let plain = http(public, "GET /v1/instruments?venue=sim&symbol=BTC-USD").await;
    let escaped = http(public, "GET /v1/instruments?%76enue=s%69m&symbol=BTC%2dUSD").await;
    let body = |answer: &str| answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert!(body(&plain).contains("\"symbol\":\"BTC-USD\""), "{plain}");
    assert_eq!(body(&plain), body(&escaped));
    for query in [
        "venue=%",
        "venue=%4",
        "venue=%zz",
        "symbol=%ff",
        "venue=a&venue=b",
        "limit=3",
        "after=-1",
    ] {
        for list in ["topics", "instruments"] {
            let answer = http(public, &format!("GET /v1/{list}?{query}")).await;
            assert_eq!(status(&answer), 400, "{query}: {answer}");
        }
    }
    for (origin, shared) in [
        ("https://desk.example", true),
        ("https://evil.example", false),
        ("null", false),
    ] {
        for list in ["topics", "instruments"] {
            let asked = |method: &str, extra: &str| {
                let request = format!(
                    "{method} /v1/{list} HTTP/1.1\r\nHost: {public}\r\nOrigin: {origin}\r\n{extra}Connection: close\r\n\r\n"
                );
                async move { raw(public, &request).await }
            };
            let get = asked("GET", "").await;
            assert_eq!(status(&get), 200);
            let expected = shared.then_some(origin);
            assert_eq!(
                header(&get, "access-control-allow-origin"),
                expected,
                "{get}"
            );
            assert_eq!(header(&get, "vary"), Some("Origin"));
            let before = asked("OPTIONS", "Access-Control-Request-Method: GET\r\n").await;
            assert_eq!(status(&before), 204);
            assert_eq!(
                header(&before, "access-control-allow-origin"),
                expected,
                "{before}"
            );
            let methods = shared.then_some("GET, HEAD");
            assert_eq!(header(&before, "access-control-allow-methods"), methods);
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_does_not_exist_is_told_which_do() {
    let gateway = gateway(SIM).await;
    for (address, paths) in [
        (
            gateway.public_address(),
            &["/", "/v1/instruments", "/v1/topics", "/v1/ws", "/metrics"][..],
        ),
        (gateway.admin_address(), &["/metrics", "/replay/start"]),
    ] {
        for asked in ["/v1", "/metric", "/favicon.ico"] {
            let answer = http(address, &format!("GET {asked}")).await;
            assert_eq!(status(&answer), 404, "{answer}");
            let named = |path: &&&str| answer.contains(&format!(" {path}"));
            assert_eq!(paths.iter().filter(named).count(), paths.len(), "{answer}");
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_to_start_replays_says_when_it_starts_none() {
    let none = gateway(SIM).await;
    let answer = http(none.admin_address(), "POST /replay/start").await;
    assert_eq!(status(&answer), 404, "{answer}");
    assert!(answer.contains("start = \"on-command\""), "{answer}");
    none.stop().await;

    let folder = tempfile::tempdir().unwrap();
    let trade = r#"{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1.5","q":"1","T":1}"#.to_owned();
    let path = recording(folder.path(), "r.zst", &[trade]);
    let gateway = gateway(&replay("binance", &path)).await;
    let admin = gateway.admin_address();
    let waiting = http(admin, "GET /debug/sources").await;
    let (_, body) = waiting.split_once("\r\n\r\n").unwrap();
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    let since = json[0]["since"].as_str().unwrap();
    assert!(since.parse::<jiff::Timestamp>().is_ok(), "{since}");
    start_replays(&gateway).await;
    let ended = tokio::time::timeout(PATIENCE, async {
        while !http(admin, "GET /debug/sources")
            .await
            .contains("\"ended\"")
        {
            tokio::task::yield_now().await;
        }
    });
    ended.await.unwrap();
    let answer = http(admin, "POST /replay/start").await;
    assert_eq!(status(&answer), 409, "{answer}");
    assert!(answer.contains("have ended"), "{answer}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_not_taken_from_pages_of_other_sites() {
    let folder = tempfile::tempdir().unwrap();
    let trade = r#"{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1.5","q":"1","T":1}"#.to_owned();
    let path = recording(folder.path(), "r.zst", &[trade]);
    // Without an end, so that the command is always for it.
    let gateway = gateway(&format!("{}loop = true\n", replay("binance", &path))).await;
    let (public, admin) = (gateway.public_address(), gateway.admin_address());
    for (host, extra, expected) in [
        (admin.to_string(), String::new(), 204),
        (
            admin.to_string(),
            format!("Origin: http://{admin}\r\n"),
            204,
        ),
        (
            admin.to_string(),
            "Sec-Fetch-Site: none\r\n".to_owned(),
            204,
        ),
        (
            admin.to_string(),
            format!("Origin: http://{public}\r\n"),
            403,
        ),
        (
            admin.to_string(),
            "Origin: https://evil.example\r\n".to_owned(),
            403,
        ),
        (admin.to_string(), "Origin: null\r\n".to_owned(), 403),
        (
            admin.to_string(),
            "Sec-Fetch-Site: cross-site\r\n".to_owned(),
            403,
        ),
        (
            "evil.example".to_owned(),
            "Origin: http://evil.example\r\n".to_owned(),
            421,
        ),
    ] {
        let request = format!(
            "POST /replay/start HTTP/1.1\r\nHost: {host}\r\n{extra}Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let answer = raw(admin, &request).await;
        assert_eq!(status(&answer), expected, "{request}{answer}");
    }
    let old = raw(admin, "POST /replay/start HTTP/1.0\r\n\r\n").await;
    assert_eq!(status(&old), 400, "an order names whom it is for");
    let name = "tapecast_http_refused_total{listener=\"admin\",reason=\"origin\"}";
    assert_eq!(metric(&gateway, name).await, Some(4));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_ipv6_listen_and_all_of_them_take_ipv4_too() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        // A machine without IPv6 has nothing to test.
        return;
    }
    for (listen, from) in [
        ("[::1]:0", &["[::1]"][..]),
        ("[::]:0", &["[::1]", "127.0.0.1"]),
    ] {
        let text = format!("{SIM}[listen]\npublic = \"{listen}\"\nadmin = \"{listen}\"\n");
        let config = Config::parse(&text, "test", std::iter::empty()).unwrap();
        let gateway = Gateway::start(&config).await.unwrap();
        let (public, admin) = (gateway.public_address(), gateway.admin_address());
        assert!(public.is_ipv6() && admin.is_ipv6(), "{public} {admin}");
        for host in from {
            let at = |port: u16| format!("{host}:{port}").parse::<SocketAddr>().unwrap();
            let answer = http(at(public.port()), "GET /v1/topics").await;
            assert_eq!(status(&answer), 200, "{answer}");
            let answer = http(at(admin.port()), "GET /readyz").await;
            assert_eq!(status(&answer), 200, "{answer}");
            let (_, head) = Raw::handshake(at(public.port()), "GET", "/v1/ws", "").await;
            assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        }
        gateway.stop().await;
    }
}
