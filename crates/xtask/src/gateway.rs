//! A gateway on this machine for the duration of a step: the binary of the workspace, on ports that were
//! free before. SIGTERM stops it, and it is killed if it does not stop.

use crate::http;
use crate::run::{Failure, cargo, must, program, root, scratch};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const READY_WITHIN: Duration = Duration::from_secs(30);
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

/// A running gateway.
pub(crate) struct Gateway {
    /// Where clients connect.
    pub(crate) public: SocketAddr,
    /// Where metrics are.
    pub(crate) admin: SocketAddr,
    /// Where its `push` source listens.
    pub(crate) push: SocketAddr,
    process: Child,
}

// === impl Gateway ===

impl Gateway {
    /// Builds it, starts it with `tests/clients/gateway.toml`, and waits until it is ready.
    ///
    /// # Errors
    /// If it does not build, does not start, or is not ready in time.
    pub(crate) fn start() -> Result<Self, Failure> {
        must(&mut cargo(&["build", "--quiet", "--package", "tapecast"]))?;
        let [public, admin, push] = free_ports()?;
        let template = fs::read_to_string(root().join("tests/clients/gateway.toml"))
            .map_err(|error| format!("tests/clients/gateway.toml: {error}"))?;
        let config = scratch().join("gateway.toml");
        fs::write(&config, template.replace("127.0.0.1:0", &push.to_string()))
            .map_err(|error| format!("{}: {error}", config.display()))?;
        let mut command = program(binary());
        command.args(["serve", "--config"]).arg(&config);
        command.args([
            "--listen",
            &public.to_string(),
            "--admin-listen",
            &admin.to_string(),
        ]);
        let log = fs::File::create(scratch().join("gateway.log"))
            .map_err(|error| format!("gateway.log: {error}"))?;
        let errors = log
            .try_clone()
            .map_err(|error| format!("gateway.log: {error}"))?;
        let process = command
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("cannot start tapecast: {error}"))?;
        let mut gateway = Self {
            public,
            admin,
            push,
            process,
        };
        gateway.wait_ready()?;
        Ok(gateway)
    }

    /// Ends it as an operator would.
    ///
    /// # Errors
    /// If it does not end by itself in time, or not with success.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        must(Command::new("kill").args(["-TERM", &self.process.id().to_string()]))?;
        let started = Instant::now();
        while started.elapsed() < STOPPED_WITHIN {
            match self.process.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => {
                    return Err(format!("after SIGTERM the gateway ended with {status}"));
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => return Err(error.to_string()),
            }
        }
        Err(format!(
            "the gateway still ran {} s after SIGTERM",
            STOPPED_WITHIN.as_secs()
        ))
    }

    fn wait_ready(&mut self) -> Result<(), Failure> {
        let started = Instant::now();
        loop {
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(format!(
                    "the gateway ended at start with {status}\n{}",
                    log_end()
                ));
            }
            if matches!(http::get(self.admin, "/readyz"), Ok((200, _))) {
                return Ok(());
            }
            if started.elapsed() > READY_WITHIN {
                return Err(format!(
                    "the gateway was not ready within {} s\n{}",
                    READY_WITHIN.as_secs(),
                    log_end()
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The development build of the gateway.
pub(crate) fn binary() -> std::path::PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    target.join("debug/tapecast")
}

/// One port that is free now.
pub(crate) fn free_port() -> Result<SocketAddr, Failure> {
    let [port, ..] = free_ports()?;
    Ok(port)
}

/// Ports that are free now; all are held until all are known, so that they differ.
fn free_ports() -> Result<[SocketAddr; 3], Failure> {
    let held: Vec<TcpListener> = (0..3)
        .map(|_| TcpListener::bind(("127.0.0.1", 0)))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("no free port: {error}"))?;
    let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); 3];
    for (address, listener) in addresses.iter_mut().zip(&held) {
        *address = listener.local_addr().map_err(|error| error.to_string())?;
    }
    Ok(addresses)
}

fn log_end() -> String {
    let log = fs::read_to_string(scratch().join("gateway.log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
