//! Proxies and bind addresses.

use crate::authority::Authority;
use crate::peer::{accept, answer, drain, head, serve, tls, until_end};
use crate::{LONG, Rig, config};
use std::io::{self, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;
use tapecast_connect::{ConnectConfig, FailureKind, Proxy, Report, Shell};
use tokio_tungstenite::tungstenite::Message;

/// A proxy that connects everything to one port of this machine, whatever its name, if the authorisation is right.
/// Gives its port, and the heads of the requests.
fn proxy(to: u16, authorization: Option<&'static str>) -> (u16, Receiver<String>) {
    let (saw, seen) = mpsc::channel();
    let port = serve(move |mut client| {
        let head = head(&mut client);
        saw.send(head.clone()).unwrap();
        let allowed = authorization
            .is_none_or(|value| head.contains(&format!("Proxy-Authorization: {value}\r\n")));
        if !allowed {
            let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
            client.write_all(refusal.as_bytes()).unwrap();
            return;
        }
        let venue = TcpStream::connect(("127.0.0.1", to)).unwrap();
        client
            .write_all(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
            .unwrap();
        let (from, into) = (client.try_clone().unwrap(), venue.try_clone().unwrap());
        let there = thread::spawn(move || copy(from, into));
        copy(venue, client);
        there.join().unwrap();
    });
    (port, seen)
}

fn copy(mut from: TcpStream, mut into: TcpStream) {
    let _ = io::copy(&mut from, &mut into);
    let _ = into.shutdown(Shutdown::Write);
}

fn through(port: u16, user: &str) -> ConnectConfig {
    ConnectConfig {
        proxy: Proxy::Url(format!("http://{user}127.0.0.1:{port}")),
        ..config()
    }
}

#[test]
fn lines_and_requests_go_through_a_proxy_and_verify_the_venue() {
    let authority = Authority::new();
    let file = authority.file();
    let server = authority.server("venue.test");
    let venue = serve(move |connection| {
        let mut socket = accept(tls(connection, &server));
        socket.send(Message::text("through")).unwrap();
        drain(&mut socket);
    });
    // "me:hunter@2"
    let (port, seen) = proxy(venue, Some("Basic bWU6aHVudGVyQDI="));
    let rig = Rig::new(ConnectConfig {
        ca_file: Some(file.path().to_owned()),
        ..through(port, "me:hunter%402@")
    });
    // No such name exists: the proxy looks it up.
    rig.connected(1, "wss://venue.test/ws");
    assert_eq!(rig.text(), "through");
    let head = seen.recv_timeout(LONG).unwrap();
    assert!(
        head.starts_with("CONNECT venue.test:443 HTTP/1.1\r\nHost: venue.test:443\r\n"),
        "{head}"
    );
    rig.connect(2, "wss://other.test/ws");
    rig.fails(FailureKind::Tls, &["not for the name other.test"]);
}

#[test]
fn plain_requests_go_through_a_configured_proxy_too() {
    let venue = answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let (port, seen) = proxy(venue, None);
    let rig = Rig::new(through(port, ""));
    rig.get(1, "http://venue.test/a", LONG);
    assert!(matches!(rig.next(), Report::Http { status: 200, .. }));
    let head = seen.recv_timeout(LONG).unwrap();
    assert!(head.starts_with("CONNECT venue.test:80 "), "{head}");
    assert!(!head.contains("Authorization"), "{head}");
}

#[test]
fn a_proxy_that_refuses_is_named_without_its_password() {
    let check = |port: u16, user: &str, parts: &[&str]| {
        let rig = Rig::new(ConnectConfig {
            connect_timeout: Duration::from_millis(300),
            ..through(port, user)
        });
        rig.connect(1, "wss://venue.test/ws?key=hunter2");
        let failure = rig.failure();
        assert_eq!(failure.kind, FailureKind::Proxy, "{failure}");
        let named = format!("127.0.0.1:{port}");
        for part in parts.iter().copied().chain([named.as_str()]) {
            assert!(failure.text.contains(part), "{part:?} is not in {failure}");
        }
        assert!(!failure.text.contains("hunter2"), "{failure}");
    };
    let (port, _seen) = proxy(1, Some("Basic x"));
    check(port, "", &["407", "user:password@"]);
    check(port, "me:hunter2@", &["407", "does not accept"]);
    check(
        answer("HTTP/1.1 403 Forbidden\r\n\r\n"),
        "me:hunter2@",
        &["403 Forbidden"],
    );
    check(
        answer("SSH-2.0-OpenSSH\r\n\r\n"),
        "",
        &["does not speak HTTP"],
    );
    check(answer("HTTP/1.1 200"), "", &["closed the connection"]);
    check(answer(vec![b'x'; 20_000]), "", &["too long"]);
    check(serve(until_end), "", &["in time"]);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    check(port, "me:hunter2@", &["proxy cannot be reached"]);
}

#[test]
fn a_proxy_that_cannot_be_used_is_an_error_at_the_start() {
    let config = ConnectConfig {
        proxy: Proxy::Url("socks5://me:hunter2@p.test:1080".to_owned()),
        ..config()
    };
    let text = Shell::start("test", config).unwrap_err().to_string();
    assert!(
        text.contains("configuration") && text.contains("socks5"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_bind_address_is_where_connections_come_from() {
    let (saw, seen) = mpsc::channel();
    let port = serve(move |connection| {
        saw.send(connection.peer_addr().unwrap().ip()).unwrap();
    });
    let bind = |address: &str| ConnectConfig {
        bind: Some(address.parse().unwrap()),
        ..config()
    };
    let rig = Rig::new(bind("127.0.0.7"));
    rig.connect(1, format!("ws://127.0.0.1:{port}/"));
    rig.fails(FailureKind::Io, &[]);
    assert_eq!(seen.recv_timeout(LONG).unwrap().to_string(), "127.0.0.7");
    let rig = Rig::new(bind("::1"));
    rig.connect(1, format!("ws://127.0.0.1:{port}/"));
    rig.fails(FailureKind::Dns, &["family", "::1"]);
    // A documentation address: no machine has it.
    let rig = Rig::new(bind("192.0.2.1"));
    rig.connect(1, format!("ws://127.0.0.1:{port}/"));
    rig.fails(
        FailureKind::Io,
        &["192.0.2.1", "not an address of this machine"],
    );
}

/// The environment belongs to a process, so that each case has one: this program, with only the next test.
#[test]
fn the_environment_names_a_proxy_and_exceptions() {
    let check = |list: &str, expected: &str| {
        let port = answer("HTTP/1.1 403 Forbidden\r\n\r\n");
        let outcome = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "proxy::a_process_with_a_proxy_in_its_environment",
            ])
            .env("HTTPS_PROXY", format!("http://127.0.0.1:{port}"))
            .env("NO_PROXY", list)
            .env(EXPECTED, expected)
            .output();
        let outcome = outcome.unwrap();
        let said = String::from_utf8_lossy(&outcome.stdout);
        assert!(
            outcome.status.success() && said.contains("1 passed"),
            "{said}"
        );
    };
    check("", "Proxy");
    check("other.invalid", "Proxy");
    check("other.invalid,venue.invalid", "Dns");
}

#[test]
#[ignore = "a part of the test above, in a process of its own"]
fn a_process_with_a_proxy_in_its_environment() {
    let rig = Rig::new(ConnectConfig::default());
    rig.connect(1, "wss://venue.invalid/");
    let kind = format!("{:?}", rig.failure().kind);
    assert_eq!(kind, std::env::var(EXPECTED).unwrap());
}

/// What kind of failure the process is to see.
const EXPECTED: &str = "TAPECAST_TEST_EXPECTED";
