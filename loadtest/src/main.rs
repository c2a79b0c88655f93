//! `loadtest`: see `README.md`, or `loadtest help`.
//!
//! Reads the command line, runs, and writes the result: JSON to `--out` or to standard output, everything
//! meant for a reader's eyes to standard error. Exit code 2 for what was asked wrongly or cannot be had,
//! 1 for a run that was not clean under `--strict`.

use clap::{Args, Parser, Subcommand, ValueEnum};
use loadtest::limit::{self, LimitOptions, Method, ReaderOptions};
use loadtest::machine::{Placement, parse_cpus};
use loadtest::result::{AnyResult, RunResult};
use loadtest::run::{self, RunOptions, Target};
use loadtest::scenario::Scenario;
use loadtest::{compare, server};
use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The bundled load harness of tapecast.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario against a gateway (its own, unless --url names one)
    Run(RunArgs),
    /// Measure the kernel's ceiling: one thread, the same frames to all sockets
    Limit(LimitArgs),
    /// Put two results side by side
    Compare {
        /// The first result
        a: PathBuf,
        /// The second result
        b: PathBuf,
    },
    /// The reading side of `limit`
    #[command(hide = true)]
    LimitReader {
        #[arg(long)]
        connect: SocketAddr,
        #[arg(long)]
        connections: usize,
    },
}

#[derive(Args, Debug)]
struct PlacementArgs {
    /// Processors of the server, like 0,2-3 (default: all but the last)
    #[arg(long, value_name = "CPUS", value_parser = parse_cpu_list)]
    server_cpus: Option<CpuList>,
    /// Processors of the harness (default: the last)
    #[arg(long, value_name = "CPUS", value_parser = parse_cpu_list)]
    own_cpus: Option<CpuList>,
    /// Leave placement to the kernel
    #[arg(long, conflicts_with_all = ["server_cpus", "own_cpus"])]
    no_pin: bool,
}

/// A list of processors as one value.
#[derive(Clone, Debug)]
struct CpuList(Vec<usize>);

#[derive(Args, Debug)]
struct RunArgs {
    /// The scenario, a TOML file
    scenario: PathBuf,
    /// Change a key of the scenario: KEY=VALUE; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// A gateway that runs already: ws://HOST:PORT/v1/ws
    #[arg(long, requires = "push_addr")]
    url: Option<String>,
    /// The push source of that gateway (venue bench, symbols "*")
    #[arg(long, value_name = "HOST:PORT", requires = "url")]
    push_addr: Option<SocketAddr>,
    /// The process of that gateway, to measure what it costs
    #[arg(long, value_name = "PID", requires = "url")]
    server_pid: Option<u32>,
    /// The gateway to start (default: `tapecast` beside this program)
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    server_bin: Option<PathBuf>,
    /// Afterwards measure the ceiling at the same frame size for so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "5")]
    ceiling: Option<f64>,
    /// Exit with 1 unless every event arrived once and in order and nobody was disconnected
    #[arg(long)]
    strict: bool,
    /// Where the JSON result goes (default: standard output)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    placement: PlacementArgs,
}

#[derive(Args, Debug)]
struct LimitArgs {
    /// Sockets
    #[arg(long, default_value_t = 1_000)]
    connections: usize,
    /// Bytes of a frame's payload
    #[arg(long, default_value_t = 200)]
    size: usize,
    /// Frames per system call
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// For how long
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// How frames are written
    #[arg(long, value_enum, default_value_t = MethodArg::Send)]
    method: MethodArg,
    /// Where the JSON result goes (default: standard output)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    placement: PlacementArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MethodArg {
    /// One contiguous run of bytes, through a function like the C library's
    Send,
    /// The same with the system call inlined into the loop
    Inline,
    /// A slice for each frame
    Writev,
}

fn parse_cpu_list(text: &str) -> Result<CpuList, String> {
    parse_cpus(text).map(CpuList)
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) => run_scenario(args),
        Command::Limit(args) => measure_limit(args),
        Command::Compare { a, b } => compare_results(&a, &b),
        Command::LimitReader {
            connect,
            connections,
        } => read_limit(connect, connections),
    };
    outcome.unwrap_or_else(|error| {
        // Standard error may be closed; there is nobody left to tell.
        let _ = writeln!(io::stderr(), "loadtest: {error}");
        ExitCode::from(2)
    })
}

fn run_scenario(args: RunArgs) -> Result<ExitCode, Box<dyn Error>> {
    let scenario = Scenario::load(&args.scenario, &args.settings)?;
    let own = args.url.is_none();
    let target = match (args.url, args.push_addr) {
        (Some(url), Some(push)) => Target::Running {
            url,
            push,
            pid: args.server_pid,
        },
        _ => Target::Own {
            program: args.server_bin.unwrap_or_else(server::beside_us),
        },
    };
    let mut placement = placement(args.placement);
    if !own {
        // A gateway that runs already stays where it is.
        placement.server_cpus.clear();
    }
    let options = RunOptions {
        scenario,
        target,
        placement,
        ceiling_s: args.ceiling,
    };
    let result = run::run(&options, &mut io::stderr())?;
    let clean = result.integrity.is_clean() && result.closed.is_empty();
    let _ = writeln!(io::stderr(), "{}", summary(&result));
    write_result(&AnyResult::Run(Box::new(result)), args.out.as_deref())?;
    Ok(if args.strict && !clean {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

fn measure_limit(args: LimitArgs) -> Result<ExitCode, Box<dyn Error>> {
    let options = LimitOptions {
        connections: args.connections,
        size: args.size,
        batch: args.batch,
        seconds: args.seconds,
        method: match args.method {
            MethodArg::Send => Method::Send,
            MethodArg::Inline => Method::Inline,
            MethodArg::Writev => Method::Writev,
        },
        placement: placement(args.placement),
    };
    let result = limit::run(&options)?;
    let _ = writeln!(
        io::stderr(),
        "{:.0} deliveries per cpu-second, {:.0} ns each, {:.0} ns per send",
        result.deliveries_per_cpu_s,
        result.ns_per_delivery,
        result.ns_per_send
    );
    write_result(&AnyResult::Limit(Box::new(result)), args.out.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

fn compare_results(a: &Path, b: &Path) -> Result<ExitCode, Box<dyn Error>> {
    io::stdout().write_all(compare::compare(a, b)?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn read_limit(connect: SocketAddr, connections: usize) -> Result<ExitCode, Box<dyn Error>> {
    let seen = limit::read(&ReaderOptions {
        connect,
        connections,
    })?;
    serde_json::to_writer(io::stdout(), &seen)?;
    Ok(ExitCode::SUCCESS)
}

fn placement(args: PlacementArgs) -> Placement {
    if args.no_pin {
        return Placement::default();
    }
    let automatic = Placement::automatic();
    Placement {
        server_cpus: args
            .server_cpus
            .map_or(automatic.server_cpus, |list| list.0),
        own_cpus: args.own_cpus.map_or(automatic.own_cpus, |list| list.0),
    }
}

fn write_result(result: &AnyResult, out: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let mut text = serde_json::to_string_pretty(result)?;
    text.push('\n');
    match out {
        Some(path) => std::fs::write(path, text)
            .map_err(|e| format!("cannot write the result to {}: {e}", path.display()))?,
        None => io::stdout().write_all(text.as_bytes())?,
    }
    Ok(())
}

fn summary(result: &RunResult) -> String {
    let RunResult {
        traffic,
        latency_us,
        integrity,
        server,
        harness,
        ..
    } = result;
    let mut text = format!(
        "{}: {:.0} deliveries/s of {:.0} B, p50 {:.0} us, p99 {:.0} us, p99.9 {:.0} us, max {:.0} us",
        result.scenario.name,
        traffic.deliveries_per_s,
        traffic.bytes_per_event,
        latency_us.p50,
        latency_us.p99,
        latency_us.p99_9,
        latency_us.max
    );
    if let Some(server) = server {
        text += &format!(
            "\nserver: {:.3} us per delivery ({:.0} deliveries per cpu-second), {:.0} % of a processor, {:.0} B resident per connection",
            server.us_per_delivery,
            server.deliveries_per_cpu_s,
            server.cpu_share * 100.0,
            server.rss_per_connection
        );
    }
    if let (Some(ceiling), Some(ratio)) = (&result.ceiling, result.ceiling_ratio) {
        text += &format!(
            "\nceiling: {:.0} deliveries per cpu-second; the server reached {ratio:.3} of it",
            ceiling.deliveries_per_cpu_s
        );
    }
    text += if integrity.is_clean() {
        "\nevery event arrived once and in order"
    } else {
        ""
    };
    if !integrity.is_clean() {
        text += &format!("\nNOT CLEAN: {integrity:?}");
    }
    if !result.closed.is_empty() {
        text += &format!("\nCLOSED by the server, by code: {:?}", result.closed);
    }
    if harness.bottleneck {
        let reasons = harness.bottleneck_reasons.join("; ");
        text += &format!("\nthe harness may have been the bottleneck: {reasons}");
    }
    text
}
