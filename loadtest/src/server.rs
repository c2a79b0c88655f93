//! The gateway a run starts for itself: its configuration, its process, its end.
//!
//! The configuration holds one `push` source and what the scenario asks for; addresses and shards are
//! flags. The process is told to stop with SIGTERM when the run is over, however it ends, and killed if it does not
//! listen. What it says goes to a file, whose end is shown when it fails.

use crate::{http, machine};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const READY_WITHIN: Duration = Duration::from_secs(20);
const STOP_WITHIN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// A gateway process.
#[derive(Debug)]
pub struct Server {
    child: Child,
    folder: TempDir,
    /// Where clients connect.
    pub public: SocketAddr,
    /// Where events are pushed.
    pub push: SocketAddr,
    /// Where its metrics are.
    pub admin: SocketAddr,
    /// What it calls itself.
    pub version: String,
}

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// There is no such program.
    #[error(
        "cannot start {program}: {source}; build it with `cargo build --release -p tapecast` or name it with --server-bin"
    )]
    Start {
        /// The program.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Its files or ports cannot be prepared.
    #[error("cannot prepare the server: {0}")]
    Prepare(#[from] io::Error),
    /// It cannot be kept to its processors.
    #[error("{0}")]
    Pin(String),
    /// It ended by itself.
    #[error("the server ended unexpectedly ({status}); its last log lines:\n{log}")]
    Ended {
        /// How.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// It runs and is not ready.
    #[error(
        "the server was not ready within {READY_WITHIN:?} (no 200 from http://{admin}/readyz); its last log lines:\n{log}"
    )]
    NotReady {
        /// Its admin listener.
        admin: SocketAddr,
        /// The end of its log.
        log: String,
    },
}

/// How a gateway is to be started.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// The program.
    pub program: &'a Path,
    /// Its shards.
    pub shards: usize,
    /// Its processors; empty for all.
    pub cpus: &'a [usize],
    /// Configuration besides the source.
    pub extra: &'a toml::Table,
}

/// The configuration of the gateway under load.
fn config(push: SocketAddr, extra: &toml::Table) -> String {
    format!(
        "# Written by loadtest.\n\
         {extra}\n\
         [[source]]\n\
         kind = \"push\"\n\
         venue = \"bench\"\n\
         listen = \"{push}\"\n\
         symbols = \"*\"\n"
    )
}

// === impl Server ===

impl Server {
    /// Starts a gateway on free ports and waits until it is ready.
    ///
    /// # Errors
    /// [`ServerError`] says why there is none, with its last words.
    pub fn start(launch: &Launch<'_>) -> Result<Self, ServerError> {
        let Launch {
            program,
            shards,
            cpus,
            extra,
        } = *launch;
        let folder = tempfile::Builder::new().prefix("loadtest-").tempdir()?;
        let [public, admin, push] = free_addresses()?;
        let config_path = folder.path().join("tapecast.toml");
        std::fs::write(&config_path, config(push, extra))?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let missing = |source| ServerError::Start {
            program: program.to_owned(),
            source,
        };
        let version = version_of(program).map_err(missing)?;
        // Affinity is inherited, so it is set here for the moment of starting.
        let own = machine::allowed_cpus();
        machine::pin(cpus).map_err(ServerError::Pin)?;
        let child = Command::new(program)
            .arg("serve")
            .arg("--config")
            .arg(&config_path)
            .args(["--listen", &public.to_string()])
            .args(["--admin-listen", &admin.to_string()])
            .args(["--shards", &shards.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(missing);
        machine::pin(&own).map_err(ServerError::Pin)?;
        let mut server = Self {
            child: child?,
            folder,
            public,
            push,
            admin,
            version,
        };
        server.wait_ready(admin)?;
        Ok(server)
    }

    fn wait_ready(&mut self, admin: SocketAddr) -> Result<(), ServerError> {
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            self.check()?;
            if http::get(admin, "/readyz").is_ok_and(|(status, _)| status == 200) {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        Err(ServerError::NotReady {
            admin,
            log: self.log_end(),
        })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// If it has ended.
    pub fn check(&mut self) -> Result<(), ServerError> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(ServerError::Ended {
                status: status.to_string(),
                log: self.log_end(),
            }),
        }
    }

    fn log_end(&self) -> String {
        const LINES: usize = 20;
        let text = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let deadline = Instant::now() + STOP_WITHIN;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server beside this program.
pub fn beside_us() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name("tapecast")
}

/// What a program calls itself; an empty text if it does not say.
fn version_of(program: &Path) -> io::Result<String> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// Three loopback addresses that were free a moment ago.
fn free_addresses() -> io::Result<[SocketAddr; 3]> {
    // Held together, so that they differ.
    let held = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let [one, two, three] = held;
    Ok([one?.local_addr()?, two?.local_addr()?, three?.local_addr()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(program: &str) -> String {
        let launch = Launch {
            program: Path::new(program),
            shards: 1,
            cpus: &[],
            extra: &toml::Table::new(),
        };
        Server::start(&launch).unwrap_err().to_string()
    }

    #[test]
    fn the_configuration_is_one_push_source_and_what_was_asked_for() {
        let extra = "[limits]\nstall_timeout = \"2m\"".parse().unwrap();
        let text = config("127.0.0.1:7".parse().unwrap(), &extra);
        let table: toml::Table = text.parse().unwrap();
        let source = &table["source"][0];
        assert_eq!(source["kind"].as_str(), Some("push"));
        assert_eq!(source["listen"].as_str(), Some("127.0.0.1:7"));
        assert_eq!(source["symbols"].as_str(), Some("*"));
        assert_eq!(table["limits"]["stall_timeout"].as_str(), Some("2m"));
    }

    #[test]
    fn a_program_that_is_not_there_is_named_with_the_remedy() {
        let error = start("/nowhere/tapecast");
        assert!(
            error.contains("/nowhere/tapecast") && error.contains("--server-bin"),
            "{error}"
        );
    }

    #[test]
    fn a_server_that_ends_at_once_is_quoted() {
        let error = start("/bin/echo");
        assert!(
            error.contains("ended unexpectedly") && error.contains("serve --config"),
            "{error}"
        );
    }

    #[test]
    fn free_addresses_differ() {
        let [one, two, three] = free_addresses().unwrap();
        assert!(one != two && two != three && one != three);
    }
}
