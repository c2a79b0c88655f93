//! The command line.
//!
//! Wrong usage ends with exit code 2 and one line on standard error.

use crate::config::{Config, DEFAULTS, address};
use crate::gateway::Gateway;
use crate::{files, log, watch};
use clap::{Args, Parser, Subcommand};
use std::io::{Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

/// A real-time market-data fan-out gateway.
#[derive(Debug, Parser)]
#[command(version, about, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

const AFTER_HELP: &str = "Without a command, the demo runs: a simulated market with a live page on \
                          http://127.0.0.1:8080/";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway. Without --config, run the demo.
    Serve(Serve),
    /// Subscribe to topics and print their frames.
    Watch(watch::Watch),
    /// Print the default configuration, or check a configuration file.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Ask a running gateway whether it is ready; the exit code is then 0. For container health checks.
    Health {
        /// The address of the admin listener.
        #[arg(long, default_value = "127.0.0.1:8081", value_parser = address::parse)]
        admin: SocketAddr,
    },
}

#[derive(Args, Debug, Default)]
struct Serve {
    /// The configuration file. `tapecast config print` prints an example.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address for clients; overrides listen.public.
    #[arg(long, value_name = "ADDRESS", value_parser = address::parse)]
    listen: Option<SocketAddr>,
    /// The address for metrics, probes and commands; overrides listen.admin.
    #[arg(long, value_name = "ADDRESS", value_parser = address::parse)]
    admin_listen: Option<SocketAddr>,
    /// The number of shards (threads that own client connections); overrides shards.count.
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every key with its default and meaning.
    Print,
    /// Check a configuration file and start nothing.
    Check {
        /// The file.
        file: PathBuf,
    },
}

/// Exit code when a thread died or was stuck.
const FAILURE: u8 = 1;
/// Exit code of wrong usage or configuration.
const USAGE: u8 = 2;

/// Runs what the command line asks for.
pub fn run() -> ExitCode {
    match Cli::parse().command {
        None => serve(&Serve::default()),
        Some(Command::Serve(options)) => serve(&options),
        Some(Command::Watch(options)) => watch::run(&options),
        Some(Command::Config(ConfigCommand::Print)) => {
            say(DEFAULTS.trim_end());
            ExitCode::SUCCESS
        }
        Some(Command::Config(ConfigCommand::Check { file })) => {
            match Config::load(&file, environment()) {
                Ok(config) => {
                    if let Err(wrong) = config.check_machine() {
                        return fail(&format!("{}: {wrong}", file.display()));
                    }
                    let mut doubts = config.doubts();
                    let fit = files::fit(&config, files::limit());
                    // Of this process; the service may have another.
                    doubts.extend(fit.err().map(|squeezed| squeezed.to_string()));
                    for doubt in doubts {
                        complain(&format!("{}: warning: {doubt}", file.display()));
                    }
                    let sources = config.sources.len();
                    say(&format!("{}: valid, {sources} sources", file.display()));
                    ExitCode::SUCCESS
                }
                Err(error) => fail(&error.to_string()),
            }
        }
        Some(Command::Health { admin }) => health(admin),
    }
}

fn serve(options: &Serve) -> ExitCode {
    let config = match &options.config {
        Some(file) => Config::load(file, environment()),
        None => Config::parse("", "environment", environment()).map(|config| Config {
            sources: Config::demo().sources,
            ..config
        }),
    };
    let config = config.and_then(|mut config| {
        config.listen.public = options.listen.unwrap_or(config.listen.public);
        config.listen.admin = options.admin_listen.unwrap_or(config.listen.admin);
        config.shards.count = options.shards.unwrap_or(config.shards.count);
        // systemd's StateDirectory=; it may name several.
        let given = std::env::var_os("STATE_DIRECTORY").unwrap_or_default();
        let given = std::env::split_paths(&given).find(|path| path.is_absolute());
        config.state_dir = config.state_dir.or(given);
        config.check("flags")
    });
    let config = match config {
        Ok(config) => config,
        Err(error) => return fail(&error.to_string()),
    };
    let log = match log::start(&config.log.filter) {
        Ok(log) => log,
        Err(message) => return fail(&message),
    };
    // The control side is light: listeners, handshakes, push sources, probes.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build();
    let code = match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(serve_until_told(config));
            // A task that still reads a recording must not delay the end.
            runtime.shutdown_background();
            code
        }
        Err(error) => fail(&format!("cannot start the runtime: {error}")),
    };
    log.finish(LOG_PATIENCE);
    code
}

/// The environment; bytes that are not UTF-8 are replaced.
fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

/// How long the end of the process waits for the reader of the log.
const LOG_PATIENCE: Duration = Duration::from_millis(500);

/// Threads of the control runtime.
const CONTROL_THREADS: usize = 2;

async fn serve_until_told(mut config: Config) -> ExitCode {
    for doubt in config.doubts() {
        warn!("{doubt}");
    }
    if let Err(squeezed) = files::fit(&config, files::raise()) {
        warn!("{squeezed}");
        config.limits.connections_max = squeezed.fit;
    }
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    );
    let (Ok(mut terminate), Ok(mut hangup)) = signals else {
        return fail("cannot install the signal handlers");
    };
    let (shards, sources) = (config.shard_count(), config.sources.len());
    // In a task of its own: it reads recordings, and does not look up meanwhile.
    let mut start = tokio::spawn(async move { Gateway::start(&config).await });
    let started = tokio::select! {
        started = &mut start => started,
        _ = tokio::signal::ctrl_c() => return ended_early(),
        _ = terminate.recv() => return ended_early(),
    };
    let gateway = match started {
        Ok(Ok(gateway)) => gateway,
        Ok(Err(error)) => return fail(&error.to_string()),
        // The log says where.
        Err(_) => return ExitCode::from(FAILURE),
    };
    let (public, admin) = (gateway.public_address(), gateway.admin_address());
    info!(shards, sources, "Started");
    let banner = format!(
        "tapecast {}\n  live page  http://{public}/\n  clients    ws://{public}/v1/ws\n  metrics    \
         http://{admin}/metrics\nPress Ctrl-C to stop\n",
        env!("CARGO_PKG_VERSION")
    );
    tell(std::io::stdout(), banner);
    // Without a supervisor there is nobody to tell.
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);
    let failed = loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break false,
            _ = terminate.recv() => break false,
            _ = hangup.recv() => warn!("SIGHUP reloads nothing: restart the process to change the configuration"),
            why = gateway.failed() => {
                error!(why, "A thread ended unexpectedly: the process ends");
                break true;
            }
        }
    };
    info!("Stopping");
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]);
    end_in_any_case(gateway.patience());
    gateway.stop().await;
    info!("Stopped");
    if failed {
        ExitCode::from(FAILURE)
    } else {
        ExitCode::SUCCESS
    }
}

fn ended_early() -> ExitCode {
    info!("Told to end while starting: stopped");
    ExitCode::SUCCESS
}

/// Ends the process when stopping takes too long: a thread that is stuck must not keep it.
fn end_in_any_case(patience: Duration) {
    let thread = std::thread::Builder::new().name("end".to_owned());
    let started = thread.spawn(move || {
        std::thread::sleep(patience + END_SPARE);
        error!("Stopping took too long: the process ends without waiting");
        std::process::exit(i32::from(FAILURE));
    });
    if let Err(error) = started {
        warn!(%error, "The timer that limits the time for stopping could not start");
    }
}

/// How much longer than it should the end may take.
const END_SPARE: Duration = Duration::from_secs(2);

/// Bytes that are read of an answer to `health`.
const ANSWER_BYTES_MAX: u64 = 64 * 1_024;

/// Asks `/readyz`, without a library: it must work where nothing else is installed.
fn health(admin: SocketAddr) -> ExitCode {
    let patience = Duration::from_secs(2);
    let asked = TcpStream::connect_timeout(&admin, patience).and_then(|mut stream| {
        stream.set_read_timeout(Some(patience))?;
        let request = format!("GET /readyz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
        Ok(answer)
    });
    match asked {
        Ok(answer) if answer.starts_with("HTTP/1.1 200") => ExitCode::SUCCESS,
        Ok(answer) => {
            complain(&format!(
                "not ready: {}",
                answer.lines().next_back().unwrap_or_default()
            ));
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(&format!("{admin}: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn fail(message: &str) -> ExitCode {
    complain(message);
    ExitCode::from(USAGE)
}

/// Says something to the user.
fn say(text: &str) {
    // A closed pipe is the user's way to say that he has seen enough.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Says what is wrong, on one line.
pub(crate) fn complain(message: &str) {
    tell(std::io::stderr(), format!("tapecast: {message}\n"));
}

/// Writes to a stream whose reader may not read. A closed pipe means that the user has seen enough, and
/// the program does not wait for a full pipe.
fn tell(mut stream: impl Write + Send + 'static, text: String) {
    let (done, waiting) = crossbeam_channel::bounded::<()>(0);
    let telling = std::thread::Builder::new().spawn(move || {
        let _ = stream.write_all(text.as_bytes());
        let _ = stream.flush();
        drop(done);
    });
    if telling.is_ok() {
        // It is closed when all is written.
        let _ = waiting.recv_timeout(TELL_PATIENCE);
    }
}

/// How long a reader of what is said may take.
const TELL_PATIENCE: Duration = Duration::from_secs(1);
