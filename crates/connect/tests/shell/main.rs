//! The shell against peers on this machine: real sockets on free ports, TLS with a private authority.
//!
//! Peers are threads with blocking sockets and a script each ([`peer`]). No test sleeps: each waits for a report, or
//! for what its peer saw. Limits of time are made short where a test must reach them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of it is a test"
)]

mod authority;
mod http;
mod limits;
mod peer;
mod proxy;
mod tls;
mod websocket;

use std::time::Duration;
use tapecast_connect::{
    Command, Commands, ConnectConfig, Failure, FailureKind, Proxy, Report, Reports, Shell,
};

/// Longer than anything takes here.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A shell of a test.
pub(crate) struct Rig {
    pub(crate) commands: Commands,
    pub(crate) reports: Reports,
}

/// No proxy, whatever the environment of the test says.
pub(crate) fn config() -> ConnectConfig {
    ConnectConfig {
        proxy: Proxy::None,
        ..ConnectConfig::default()
    }
}

impl Rig {
    pub(crate) fn new(config: ConnectConfig) -> Self {
        let (commands, reports) = Shell::start("test-connect", config).unwrap();
        Self { commands, reports }
    }

    pub(crate) fn connect(&self, line: u32, url: impl Into<String>) {
        let url = url.into();
        self.commands.send(Command::Connect { line, url });
    }

    /// Connects, and waits until it is.
    pub(crate) fn connected(&self, line: u32, url: impl Into<String>) {
        self.connect(line, url);
        assert_eq!(self.next(), Report::Connected { line });
    }

    pub(crate) fn send(&self, line: u32, text: &str) {
        let text = text.to_owned();
        self.commands.send(Command::Send { line, text });
    }

    pub(crate) fn next(&self) -> Report {
        self.reports.recv_timeout(LONG).expect("a report in time")
    }

    /// The next report is a text.
    pub(crate) fn text(&self) -> String {
        match self.next() {
            Report::Message {
                frame: tapecast_connect::Frame::Text(bytes),
                ..
            } => String::from_utf8(bytes).unwrap(),
            other => panic!("a text, not {other:?}"),
        }
    }

    pub(crate) fn closed(&self) -> (u32, Option<u16>, String) {
        match self.next() {
            Report::Closed { line, code, reason } => (line, code, reason),
            other => panic!("a close, not {other:?}"),
        }
    }

    pub(crate) fn failure(&self) -> Failure {
        match self.next() {
            Report::Failed { failure, .. } | Report::HttpFailed { failure, .. } => failure,
            other => panic!("a failure, not {other:?}"),
        }
    }

    /// The next report is a failure of this kind, whose words have these parts.
    pub(crate) fn fails(&self, kind: FailureKind, parts: &[&str]) {
        let failure = self.failure();
        assert_eq!(failure.kind, kind, "{failure}");
        for part in parts {
            assert!(failure.text.contains(part), "{part:?} is not in {failure}");
        }
    }

    pub(crate) fn get(&self, id: u64, url: impl Into<String>, timeout: Duration) {
        self.commands.send(Command::Http {
            id,
            url: url.into(),
            headers: Vec::new(),
            timeout,
        });
    }
}
