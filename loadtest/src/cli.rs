//! The command line: what may be asked, and with which words.

use clap::{Args, Parser, Subcommand, ValueEnum};
use loadtest::limit::Method;
use loadtest::machine::{Placement, parse_cpus};
use loadtest::run::Target;
use loadtest::server;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The bundled load harness of tapecast.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a scenario against a gateway (its own, unless --url names one)
    Run(Box<RunArgs>),
    /// Measure the kernel's ceiling: one thread, the same frames to all sockets
    Limit(LimitArgs),
    /// Compare results with the first of them; exit code 1 if one is worse
    Compare(CompareArgs),
    /// Make a page of results
    Report {
        /// Results of `run`
        #[arg(required = true)]
        results: Vec<PathBuf>,
        /// Where the page goes
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
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
pub(crate) struct CompareArgs {
    /// The result that the others are compared with, then the others
    #[arg(required = true, num_args = 2..)]
    pub(crate) results: Vec<PathBuf>,
    /// Compare even if scenarios or parameters differ
    #[arg(long)]
    pub(crate) allow_different: bool,
}

#[derive(Args, Debug)]
pub(crate) struct PlacementArgs {
    /// Processors of the server, like 0,2-3 (default: all but the last)
    #[arg(long, alias = "server-cpus", value_name = "CPUS", value_parser = parse_cpu_list)]
    server_core: Option<CpuList>,
    /// Processors of the harness (default: the last)
    #[arg(long, alias = "own-cpus", value_name = "CPUS", value_parser = parse_cpu_list)]
    load_core: Option<CpuList>,
    /// Leave placement to the kernel
    #[arg(long, conflicts_with_all = ["server_core", "load_core"])]
    no_pin: bool,
}

/// A list of processors as one value.
#[derive(Clone, Debug)]
struct CpuList(Vec<usize>);

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// The scenario: the name of a bundled one, or a TOML file
    pub(crate) scenario: PathBuf,
    /// Change a key of the scenario: KEY=VALUE; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Short for --set clients=N
    #[arg(long, value_name = "N")]
    connections: Option<usize>,
    /// Short for --set duration_s=S
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// Short for --set rate=EVENTS_PER_SECOND
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Short for --set publisher=…: `push`, or `none` to receive what a running gateway has
    #[arg(long, value_name = "WHO")]
    publisher: Option<String>,
    /// A gateway that runs already: ws://HOST:PORT/v1/ws
    #[arg(long)]
    url: Option<String>,
    /// The push source of that gateway (venue bench, symbols "*")
    #[arg(long, value_name = "HOST:PORT", requires = "url")]
    push_addr: Option<SocketAddr>,
    /// The admin listener of that gateway, for what it counts itself
    #[arg(long, value_name = "HOST:PORT", requires = "url")]
    admin_addr: Option<SocketAddr>,
    /// The process of that gateway, to measure what it costs
    #[arg(long, value_name = "PID", requires = "url")]
    server_pid: Option<u32>,
    /// The gateway to start (default: `tapecast` beside this program)
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    server_bin: Option<PathBuf>,
    /// How often to run; with more than once, medians and spread are reported
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeat: u32,
    /// Measure the ceiling at the same frame size before and after, for so many seconds each
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "3")]
    pub(crate) ceiling: Option<f64>,
    /// Exit with 1 also if losses were announced
    #[arg(long)]
    pub(crate) strict: bool,
    /// What a reader of the result should know, such as what else ran on the machine
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) note: String,
    /// Where the JSON result goes (default: standard output, unless that is a terminal)
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Where a page with plots goes
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    placement: PlacementArgs,
}

#[derive(Args, Debug)]
pub(crate) struct LimitArgs {
    /// Sockets
    #[arg(long, default_value_t = 1_000)]
    pub(crate) connections: usize,
    /// Bytes of a frame's payload
    #[arg(long, default_value_t = 200)]
    pub(crate) size: usize,
    /// Frames per system call: a number, or several with commas
    #[arg(long, value_delimiter = ',', default_values_t = [1])]
    pub(crate) batch: Vec<usize>,
    /// For how long each
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// How often to measure each batch; with more than once, medians and spread are reported
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeat: u32,
    /// How frames are written
    #[arg(long, value_enum, default_value_t = MethodArg::Send)]
    method: MethodArg,
    /// What a reader of the result should know
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) note: String,
    /// Where the JSON result goes (default: standard output, unless that is a terminal)
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
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

// === impl RunArgs ===

impl RunArgs {
    /// What the options change of the scenario, the short ones last.
    pub(crate) fn settings(&self) -> Vec<String> {
        let short = [
            self.connections.map(|n| format!("clients={n}")),
            self.seconds.map(|s| format!("duration_s={s}")),
            self.rate.map(|r| format!("rate={r}")),
            self.publisher.as_ref().map(|p| format!("publisher={p}")),
        ];
        let settings = self.settings.iter().cloned();
        settings.chain(short.into_iter().flatten()).collect()
    }

    pub(crate) fn target(&self) -> Target {
        match &self.url {
            Some(url) => Target::Running {
                url: url.clone(),
                push: self.push_addr,
                admin: self.admin_addr,
                pid: self.server_pid,
            },
            None => Target::Own {
                program: self.server_bin.clone().unwrap_or_else(server::beside_us),
            },
        }
    }

    pub(crate) fn placement(&self) -> Placement {
        let mut placement = self.placement.placement();
        if self.url.is_some() {
            // A gateway that runs already stays where it is.
            placement.server_cpus.clear();
        }
        placement
    }
}

// === impl LimitArgs ===

impl LimitArgs {
    pub(crate) fn method(&self) -> Method {
        match self.method {
            MethodArg::Send => Method::Send,
            MethodArg::Inline => Method::Inline,
            MethodArg::Writev => Method::Writev,
        }
    }

    pub(crate) fn placement(&self) -> Placement {
        self.placement.placement()
    }
}

// === impl PlacementArgs ===

impl PlacementArgs {
    fn placement(&self) -> Placement {
        if self.no_pin {
            return Placement::default();
        }
        let automatic = Placement::automatic();
        let given = |list: &Option<CpuList>| list.as_ref().map(|list| list.0.clone());
        Placement {
            server_cpus: given(&self.server_core).unwrap_or(automatic.server_cpus),
            own_cpus: given(&self.load_core).unwrap_or(automatic.own_cpus),
        }
    }
}
