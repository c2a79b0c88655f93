//! Certificates that verify, certificates that do not, and peers that are no TLS servers.

use crate::authority::Authority;
use crate::peer::{accept, answer, drain, serve, tls, until_end};
use crate::{Rig, config};
use rustls::ServerConfig;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tapecast_connect::{ConnectConfig, ConnectError, FailureKind, Report, Shell};
use tokio_tungstenite::tungstenite::Message;

/// A WebSocket server with TLS that sends `text`.
fn secure(server: Arc<ServerConfig>, text: String) -> u16 {
    serve(move |connection| {
        let stream = tls(connection, &server);
        // A client that does not trust us ends the handshake.
        let accepted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| accept(stream)));
        if let Ok(mut socket) = accepted {
            socket.send(Message::text(text.clone())).unwrap();
            drain(&mut socket);
        }
    })
}

fn trusting(ca_file: &Path) -> ConnectConfig {
    ConnectConfig {
        ca_file: Some(ca_file.to_owned()),
        ..config()
    }
}

#[test]
fn a_certificate_of_the_configured_authority_verifies_and_large_messages_come() {
    let authority = Authority::new();
    let file = authority.file();
    let port = secure(authority.server("localhost"), "x".repeat(5 << 20));
    let by_address = secure(authority.server("127.0.0.1"), "address".to_owned());
    let rig = Rig::new(trusting(file.path()));
    rig.connected(1, format!("wss://localhost:{port}/"));
    assert_eq!(rig.text().len(), 5 << 20);
    rig.connected(2, format!("wss://127.0.0.1:{by_address}/"));
    assert_eq!(rig.text(), "address");
}

#[test]
fn both_versions_are_spoken_and_the_name_is_sent() {
    let authority = Authority::new();
    let file = authority.file();
    let rig = Rig::new(trusting(file.path()));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let server = authority.server_with("localhost", version);
        let port = serve(move |connection| {
            let mut socket = accept(tls(connection, &server));
            let name = socket.get_ref().conn.server_name().map(str::to_owned);
            let version = socket.get_ref().conn.protocol_version();
            let text = format!("{name:?} {version:?}");
            socket.send(Message::text(text)).unwrap();
            drain(&mut socket);
        });
        rig.connected(1, format!("wss://localhost:{port}/"));
        let expected = format!("Some(\"localhost\") Some({:?})", version.version);
        assert_eq!(rig.text(), expected);
        rig.commands
            .send(tapecast_connect::Command::Close { line: 1 });
        assert_eq!(rig.closed().1, Some(1000));
    }
}

#[test]
fn a_certificate_that_does_not_verify_fails_with_why_and_what_to_do() {
    let (authority, renewed) = (Authority::new(), Authority::new());
    let other = Authority::named("another authority");
    let file = authority.file();
    let check = |server: Arc<ServerConfig>, parts: &[&str]| {
        let port = secure(server, String::new());
        let rig = Rig::new(trusting(file.path()));
        rig.connect(1, format!("wss://localhost:{port}/ws?key=hunter2"));
        let failure = rig.failure();
        assert_eq!(failure.kind, FailureKind::Tls);
        for part in parts {
            assert!(failure.text.contains(part), "{part:?} is not in {failure}");
        }
        assert!(!failure.text.contains("hunter2"), "{failure}");
        // A request says the same.
        rig.get(1, format!("https://localhost:{port}/"), crate::LONG);
        rig.fails(FailureKind::Tls, parts);
    };
    check(
        other.server("localhost"),
        &["localhost", "not trusted", "ca_file"],
    );
    check(
        renewed.server("localhost"),
        &["name, but not the key", "ca_file"],
    );
    check(
        authority.server("venue.test"),
        &["not for the name localhost", "venue.test"],
    );
    check(
        authority.server_until("localhost", 2020),
        &["has expired", "clock"],
    );
}

#[test]
fn a_peer_that_is_no_tls_server_says_so() {
    let http = answer("HTTP/1.1 400 Bad Request\r\n\r\n");
    let plain = serve(|mut connection| {
        connection.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
        until_end(connection);
    });
    let gone = serve(drop);
    let rig = Rig::new(config());
    for port in [http, plain] {
        rig.connect(1, format!("wss://localhost:{port}/"));
        let failure = rig.failure();
        assert_eq!(failure.kind, FailureKind::Tls, "{failure}");
    }
    rig.connect(1, format!("wss://localhost:{gone}/"));
    rig.fails(FailureKind::Tls, &["ended during the TLS handshake"]);
}

#[test]
fn a_tls_handshake_that_never_ends_is_limited() {
    let silent = serve(until_end);
    let rig = Rig::new(ConnectConfig {
        connect_timeout: Duration::from_millis(100),
        ..config()
    });
    rig.connect(1, format!("wss://localhost:{silent}/"));
    rig.fails(FailureKind::Timeout, &["TLS handshake", "in time"]);
    // The next one is not delayed by it.
    rig.connect(1, format!("wss://localhost:{silent}/"));
    rig.commands
        .send(tapecast_connect::Command::Close { line: 1 });
    assert!(matches!(rig.next(), Report::Closed { line: 1, .. }));
}

#[test]
fn a_file_of_certificates_that_holds_none_is_an_error_at_the_start() {
    let check = |content: Option<&str>, parts: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let error = Shell::start("test", trusting(&path)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&path.display().to_string()), "{text}");
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        error
    };
    let missing = check(None, &["cannot read"]);
    assert!(matches!(missing, ConnectError::CaFile { .. }));
    check(Some(""), &["there is none", "BEGIN CERTIFICATE"]);
    check(Some("hunter2"), &["there is none"]);
    let garbage = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    check(Some(garbage), &["no usable certificate"]);
}
