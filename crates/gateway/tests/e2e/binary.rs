//! The binary as a user starts it: in a process of its own, which is killed at the end of a test.

use crate::support::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Flags of `serve` that take any free ports.
pub(crate) const FREE_PORTS: [&str; 4] =
    ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];

/// A gateway that serves, and where.
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// The binary with these arguments, nothing to read, and its output kept.
pub(crate) fn tapecast(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tapecast"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

// === impl Served ===

impl Served {
    /// Starts a command that serves and keeps its output, and waits until it says where.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let mut found = lines.map_while(Result::ok).filter_map(|line| {
            let rest = line.split("http://").nth(1)?;
            rest.split('/').next()?.parse::<SocketAddr>().ok()
        });
        let (public, admin) = (found.next().unwrap(), found.next().unwrap());
        Self {
            child,
            public,
            admin,
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Tells it to end, and makes sure that it does so without an error.
    pub(crate) fn end(&mut self) {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Of one that has ended there is nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
