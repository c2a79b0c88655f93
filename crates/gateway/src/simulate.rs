//! `tapecast simulate`: a venue that is not real, on this machine, for everybody who develops without a network. It
//! speaks the venue's own protocol over TLS; its data are random.

use crate::config::address;
use crate::terminal::{FAILURE, RUNTIME_REMEDY, USAGE, complain, fail, open_still, tell};
use clap::{Args, Subcommand};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tapecast_model::clock::unix_now;
use tapecast_venuesim::{
    BinanceSpot, KrakenSpot, Script, Server, ServerConfig, SimConfig, Simulated, SymbolConfig,
};
use tokio::signal::unix::{SignalKind, signal};

/// The venues that can be simulated.
#[derive(Debug, Subcommand)]
pub enum Simulate {
    /// Binance spot: /stream, /ws and /api/v3.
    Binance(Options),
    /// Kraken spot: /v2 and /0/public.
    Kraken(Options),
}

/// Options of `tapecast simulate`.
#[derive(Args, Debug)]
pub struct Options {
    /// The address for clients [default: 127.0.0.1:9443; Kraken: 127.0.0.1:9444].
    #[arg(long, value_name = "ADDRESS", value_parser = address::parse)]
    listen: Option<SocketAddr>,
    /// The random data come from this number.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Symbols as the venue writes them, such as BTCUSDT,ETHUSDT or BTC/USD,ETH/USD.
    #[arg(long, value_name = "SYMBOLS", value_delimiter = ',')]
    symbols: Vec<String>,
    /// Write the certificate of the authority that clients have to trust to this file.
    #[arg(long, value_name = "FILE", default_value = "simulate-ca.pem")]
    ca_out: PathBuf,
    /// Keep the authority and its key in this directory, so that clients trust it after a restart.
    #[arg(long, value_name = "DIR")]
    authority: Option<PathBuf>,
    /// Speak without TLS.
    #[arg(long, conflicts_with_all = ["ca_out", "authority"])]
    plain: bool,
    /// Let something go wrong so often, in seconds: connections break, messages are lost, requests fail.
    #[arg(long, value_name = "SECONDS")]
    fault_every: Option<u64>,
}

/// What differs between the venues.
struct Product {
    name: &'static str,
    port: u16,
    streams: &'static str,
    requests: &'static str,
    symbol: fn(&str) -> Option<SymbolConfig>,
    /// What is wrong with a symbol.
    remedy: &'static str,
}

const BINANCE: Product = Product {
    name: "Binance spot",
    port: 9443,
    streams: "/stream",
    requests: "/api/v3",
    symbol: SymbolConfig::named,
    remedy: "does not end with a currency; write it like BTCUSDT",
};

const KRAKEN: Product = Product {
    name: "Kraken spot",
    port: 9444,
    streams: "/v2",
    requests: "/0/public",
    symbol: SymbolConfig::named_pair,
    remedy: "is no pair; write it like BTC/USD",
};

/// Runs a simulated venue until the process is told to end.
pub fn run(venue: &Simulate) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    match (runtime, venue) {
        (Ok(runtime), Simulate::Binance(options)) => {
            runtime.block_on(serve::<BinanceSpot>(options, &BINANCE))
        }
        (Ok(runtime), Simulate::Kraken(options)) => {
            runtime.block_on(serve::<KrakenSpot>(options, &KRAKEN))
        }
        (Err(error), _) => {
            complain(&format!(
                "cannot start the runtime: {error}; {RUNTIME_REMEDY}"
            ));
            ExitCode::from(FAILURE)
        }
    }
}

async fn serve<V: Simulated + Send + 'static>(options: &Options, product: &Product) -> ExitCode {
    let config = match options.config::<V>(product) {
        Ok(config) => config,
        Err(message) => return fail(&message),
    };
    let names: Vec<String> = config.symbols.iter().map(|s| s.symbol.clone()).collect();
    let (Ok(mut terminate), seed) = (signal(SignalKind::terminate()), config.seed) else {
        complain(
            "cannot install the signal handler: the system refused it; check its limits (ulimit -a)",
        );
        return ExitCode::from(FAILURE);
    };
    let listen = options.listen;
    let listen = listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], product.port)));
    let mut server = ServerConfig {
        listen,
        tls: !options.plain,
        authority: options.authority.clone(),
        ..ServerConfig::default()
    };
    server.names.push(listen.ip().to_string());
    let server = match Server::start(V::open(config), server).await {
        Ok(server) => server,
        Err(error) => {
            complain(&options.start_error(listen, &error));
            return ExitCode::from(USAGE);
        }
    };
    let mut trust = String::new();
    if let Some(pem) = server.ca_pem() {
        let file = &options.ca_out;
        if let Err(error) = std::fs::write(file, pem) {
            complain(&format!(
                "--ca-out {}: {error}; give a file that can be written",
                file.display()
            ));
            return ExitCode::from(USAGE);
        }
        trust = format!("  authority  {}\n", file.display());
    }
    let secure = if options.plain { "" } else { "s" };
    let address = server.addr();
    let banner = format!(
        "Simulated {}, seed {seed}: {}\n  streams    ws{secure}://{address}{}\n  requests   \
         http{secure}://{address}{}\n{trust}Press Ctrl-C to stop\n",
        product.name,
        names.join(", "),
        product.streams,
        product.requests
    );
    if let Err(message) = open_still(tell(io::stdout(), banner)) {
        complain(&message);
    }
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    server.stop();
    ExitCode::SUCCESS
}

// === impl Options ===

impl Options {
    fn config<V: Simulated>(&self, product: &Product) -> Result<SimConfig, String> {
        let mut config = V::config(self.seed);
        config.start_ms = unix_now().get() / 1_000_000;
        if !self.symbols.is_empty() {
            let named = self.symbols.iter().map(|name| {
                let symbol = (product.symbol)(name);
                symbol.ok_or_else(|| format!("--symbols: {name:?} {}", product.remedy))
            });
            config.symbols = named.collect::<Result<_, _>>()?;
        }
        if let Some(seconds) = self.fault_every {
            let every = Duration::from_secs(seconds.max(1));
            config.script = Script::seeded(self.seed, every, FAULTS_UNTIL, V::FAULTS);
        }
        Ok(config)
    }

    /// What to say if the server does not start. The system refuses addresses; other errors are the authority's.
    fn start_error(&self, listen: SocketAddr, error: &io::Error) -> String {
        match &self.authority {
            Some(directory) if error.kind() == io::ErrorKind::Other => {
                let directory = directory.display();
                format!("--authority {directory}: {error}; remove the directory, or give another")
            }
            _ => format!("--listen {listen}: {error}; give another address"),
        }
    }
}

/// Faults are planned for so long.
const FAULTS_UNTIL: Duration = Duration::from_secs(24 * 3_600);
