//! The command line.
//!
//! [`crate::terminal`] says what the exit codes mean.

use crate::config::{Config, ConfigError, DEFAULTS, Given, address};
use crate::faults::Faults;
use crate::gateway::{Gateway, Ready};
use crate::log::SetFilter;
use crate::settings::SettingsInForce;
use crate::start_error::StartError;
use crate::terminal::{
    FAILURE, RUNTIME_REMEDY, USAGE, complain, fail, open_still, said, say, tell,
};
use crate::{files, log, record, simulate, venues, verify, watch};
use clap::{Args, Parser, Subcommand};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
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
    /// Check recordings by the numbers and checksums of their venues.
    Verify(verify::Verify),
    /// Record live venues without serving clients, or say what a recording holds.
    Record(record::Record),
    /// List the venues that can be connected to, with what is known of each.
    Venues(venues::Venues),
    /// Run a simulated venue on this machine, for development without a network.
    #[command(subcommand)]
    Simulate(simulate::Simulate),
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

#[derive(Args, Clone, Debug, Default)]
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
    /// Only record, into this directory.
    #[arg(skip)]
    record: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every key with its default and meaning.
    Print,
    /// Check a configuration file as the start does, and start nothing. It reads every recording from
    /// beginning to end. It does not check that the addresses are free.
    Check {
        /// The file.
        file: PathBuf,
    },
}

/// Runs what the command line asks for.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(other) => return not_a_command(&other),
    };
    match cli.command {
        None => serve(&Serve::default()),
        Some(Command::Serve(options)) => serve(&options),
        Some(Command::Watch(options)) => watch::run(&options),
        Some(Command::Verify(options)) => verify::run(&options, environment()),
        Some(Command::Record(options)) => match options.task() {
            record::Task::Done(code) => code,
            record::Task::Run(config, out) => serve(&Serve {
                config: Some(config),
                record: Some(out),
                ..Serve::default()
            }),
        },
        Some(Command::Venues(options)) => venues::run(&options),
        Some(Command::Simulate(venue)) => simulate::run(&venue),
        Some(Command::Config(ConfigCommand::Print)) => say(DEFAULTS.trim_end()),
        Some(Command::Config(ConfigCommand::Check { file })) => check(&file),
        Some(Command::Health { admin }) => health(admin),
    }
}

/// Prints the help and the version, or says on one line what is wrong with the command line.
fn not_a_command(other: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand as NothingGiven;
    if !other.use_stderr() {
        return said(other.print());
    }
    if other.kind() == NothingGiven {
        // It is the help; whoever does not read it cannot be told otherwise.
        let _ = other.print();
        return ExitCode::from(USAGE);
    }
    let text = other.to_string();
    let parts = text.split("\n\n").map(|part| {
        let lines = part.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join(" ")
    });
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    fail(parts.join("; ").trim_start_matches("error: "))
}

/// A configuration with what the environment and flags change in it.
fn choose(file: Option<&Path>, options: &Serve) -> Result<(Given, Config), ConfigError> {
    let mut given = match file {
        Some(file) => Given::load(file, environment())?,
        None => Given::new("", "", environment()),
    };
    let mut config = given.config()?;
    if file.is_none() {
        config.sources = Config::demo().sources;
    }
    if let Some(address) = options.listen {
        config.listen.public = address;
        given.note_flag("listen.public", "--listen");
    }
    if let Some(address) = options.admin_listen {
        config.listen.admin = address;
        given.note_flag("listen.admin", "--admin-listen");
    }
    if let Some(count) = options.shards {
        config.shards.count = count;
        given.note_flag("shards.count", "--shards");
    }
    // systemd's StateDirectory=; it may name several.
    let directories = std::env::var_os("STATE_DIRECTORY").unwrap_or_default();
    let directory = std::env::split_paths(&directories).find(|path| path.is_absolute());
    if config.state_dir.is_none() && directory.is_some() {
        config.state_dir = directory;
        given.note_flag("state_dir", "STATE_DIRECTORY");
    }
    if let Some(out) = &options.record {
        record::only(&mut config, out).map_err(|message| given.error(&message))?;
    }
    given.check(&config)?;
    Ok((given, config))
}

/// Does all that the start does before it takes addresses.
fn check(file: &Path) -> ExitCode {
    let (given, config) = match choose(Some(file), &Serve::default()) {
        Ok(chosen) => chosen,
        Err(error) => return fail(&error.to_string()),
    };
    // What the start would log of recordings.
    let log = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_target(false)
        .with_ansi(false)
        .without_time()
        .with_writer(io::stderr)
        .finish();
    let ready = tracing::subscriber::with_default(log, || Ready::new(&config, &Faults::default()));
    if let Err(error) = ready {
        return fail(&placed(&given, &error));
    }
    for doubt in config.doubts() {
        complain(&format!("{}: warning: {doubt}", given.place(&doubt)));
    }
    for doubt in given.doubts() {
        complain(&format!("environment: warning: {doubt}"));
    }
    // Of this process; the service may have another limit.
    if let Err(squeezed) = files::fit(&config, files::limit()) {
        let kind = match given.names(files::KEY) {
            true => "warning",
            false => "note",
        };
        complain(&format!("{}: {kind}: {squeezed}", given.place(files::KEY)));
    }
    let sources = match config.sources.len() {
        1 => "1 source".to_owned(),
        count => format!("{count} sources"),
    };
    say(&format!("{}: valid, {sources}", file.display()))
}

/// What is wrong, behind the line of the key that is wrong.
fn placed(given: &Given, error: &StartError) -> String {
    let message = error.to_string();
    match error.key() {
        Some(key) => given.error_at(key, &message).to_string(),
        None => message,
    }
}

fn serve(options: &Serve) -> ExitCode {
    let (given, config) = match choose(options.config.as_deref(), options) {
        Ok(chosen) => chosen,
        Err(error) => return fail(&error.to_string()),
    };
    let (log, set_filter) = match log::start(&config.log.filter) {
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
            let code = runtime.block_on(serve_until_told(config, &given, options, set_filter));
            // A task that still reads a recording must not delay the end.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            complain(&format!(
                "cannot start the runtime: {error}; {RUNTIME_REMEDY}"
            ));
            ExitCode::from(FAILURE)
        }
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

/// Says what is hardly meant, and lowers what does not fit in the limit of open files.
fn prepare(config: &mut Config, given: &Given) {
    for doubt in config.doubts() {
        warn!("{}", given.error(&doubt));
    }
    for doubt in given.doubts() {
        warn!("{doubt}");
    }
    if let Err(squeezed) = files::fit(config, files::raise()) {
        // Nobody has asked for as many as the default allows.
        let squeezed_at = given.error(&squeezed.to_string());
        match given.names(files::KEY) {
            true => warn!("{squeezed_at}"),
            false => info!("{squeezed_at}"),
        }
        config.limits.connections_max = squeezed.fit;
    }
}

async fn serve_until_told(
    mut config: Config,
    given: &Given,
    options: &Serve,
    set_filter: SetFilter,
) -> ExitCode {
    prepare(&mut config, given);
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    );
    let (Ok(mut terminate), Ok(hangup)) = signals else {
        complain(
            "cannot install the signal handlers: the system refused them; check its limits (ulimit -a)",
        );
        return ExitCode::from(FAILURE);
    };
    let (shards, sources) = (config.shard_count(), config.sources.len());
    let recorded = options.record.is_some().then(|| config.clone());
    // In a task of its own: it reads recordings, and does not look up meanwhile.
    let mut start = tokio::spawn(async move { Gateway::start(&config).await });
    let started = tokio::select! {
        started = &mut start => started,
        _ = tokio::signal::ctrl_c() => return ended_early(),
        _ = terminate.recv() => return ended_early(),
    };
    let gateway = match started {
        Ok(Ok(gateway)) => gateway,
        // Without a key it is not the configuration: another try may succeed.
        Ok(Err(error)) => {
            complain(&placed(given, &error));
            return ExitCode::from(error.key().map_or(FAILURE, |_| USAGE));
        }
        Err(_) => {
            complain(
                "the start failed with a panic: a fault of tapecast; please report it with the log",
            );
            return ExitCode::from(FAILURE);
        }
    };
    let (public, admin) = (gateway.public_address(), gateway.admin_address());
    info!(shards, sources, "Started");
    let banner = match &recorded {
        Some(config) => record::banner(config, admin),
        None => format!(
            "tapecast {}\n  live page  http://{public}/\n  clients    ws://{public}/v1/ws\n  metrics    \
             http://{admin}/metrics\nPress Ctrl-C to stop\n",
            env!("CARGO_PKG_VERSION")
        ),
    };
    if let Err(error) = open_still(tell(io::stdout(), banner)) {
        warn!("The addresses could not be printed: {error}");
    }
    // Without a supervisor there is nobody to tell.
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);
    // In a task of its own: the file may be on a disk that does not answer.
    let settings = Arc::clone(gateway.settings());
    let reloads = tokio::spawn(reload(hangup, options.clone(), settings, set_filter));
    let failed = tokio::select! {
        _ = tokio::signal::ctrl_c() => false,
        _ = terminate.recv() => false,
        why = gateway.failed() => {
            error!(why, "A thread ended unexpectedly: the process ends");
            true
        }
    };
    reloads.abort();
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

/// Reads the configuration again at each SIGHUP, with the checks of the start.
///
/// # Cancellation
/// Safe: a configuration that is being read changes nothing.
async fn reload(
    mut hangup: Signal,
    options: Serve,
    settings: Arc<SettingsInForce>,
    set_filter: SetFilter,
) {
    while hangup.recv().await.is_some() {
        let options = options.clone();
        let choose = move || choose(options.config.as_deref(), &options);
        match tokio::task::spawn_blocking(choose).await {
            Ok(Ok((given, mut config))) => {
                prepare(&mut config, &given);
                let changes = settings.take(&config);
                let filter = changes.taken.iter().find(|key| *key == "log.filter");
                // It has passed its check, so that it can only fail with the log itself.
                if filter.is_some()
                    && let Err(error) = set_filter(&config.log.filter)
                {
                    error!("log.filter was not changed: {error}");
                }
                SettingsInForce::tell(&changes);
            }
            Ok(Err(error)) => settings.refuse(&error.to_string()),
            Err(error) => settings.refuse(&format!("a fault of tapecast: {error}")),
        }
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
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    });
    let wrong = match asked {
        Ok(answer) if answer.starts_with("HTTP/1.1 200") => return ExitCode::SUCCESS,
        Ok(answer) if answer.starts_with("HTTP/1.1 503") => {
            format!(
                "not ready: {}",
                answer.lines().next_back().unwrap_or_default()
            )
        }
        Ok(answer) => {
            let first: String = answer
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(80)
                .collect();
            format!(
                "{admin}: {first:?} is not the answer of an admin listener; give the address of listen.admin \
                 with --admin"
            )
        }
        Err(error) => format!(
            "{admin}: {error}; start the gateway, or give the address of its listen.admin with --admin"
        ),
    };
    complain(&wrong);
    ExitCode::from(FAILURE)
}
