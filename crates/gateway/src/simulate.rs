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
    BinanceSpot, Script, Server, ServerConfig, SimConfig, Simulated, SymbolConfig,
};
use tokio::signal::unix::{SignalKind, signal};

/// The venues that can be simulated.
#[derive(Debug, Subcommand)]
pub enum Simulate {
    /// Binance spot: /stream, /ws and /api/v3.
    Binance(Binance),
}

/// Options of `tapecast simulate binance`.
#[derive(Args, Debug)]
pub struct Binance {
    /// The address for clients.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9443", value_parser = address::parse)]
    listen: SocketAddr,
    /// The random data come from this number.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Symbols, such as BTCUSDT,ETHUSDT.
    #[arg(long, value_name = "SYMBOLS", value_delimiter = ',')]
    symbols: Vec<String>,
    /// Write the certificate of the authority that clients have to trust to this file.
    #[arg(long, value_name = "FILE", default_value = "simulate-ca.pem")]
    ca_out: PathBuf,
    /// Speak without TLS.
    #[arg(long, conflicts_with = "ca_out")]
    plain: bool,
    /// Let something go wrong so often, in seconds: connections break, messages are lost, requests fail.
    #[arg(long, value_name = "SECONDS")]
    fault_every: Option<u64>,
}

/// Runs a simulated venue until the process is told to end.
pub fn run(venue: &Simulate) -> ExitCode {
    let Simulate::Binance(options) = venue;
    let config = match options.config() {
        Ok(config) => config,
        Err(message) => return fail(&message),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve(options, config)),
        Err(error) => {
            complain(&format!(
                "cannot start the runtime: {error}; {RUNTIME_REMEDY}"
            ));
            ExitCode::from(FAILURE)
        }
    }
}

async fn serve(options: &Binance, config: SimConfig) -> ExitCode {
    let names: Vec<String> = config.symbols.iter().map(|s| s.symbol.clone()).collect();
    let (Ok(mut terminate), seed) = (signal(SignalKind::terminate()), config.seed) else {
        complain(
            "cannot install the signal handler: the system refused it; check its limits (ulimit -a)",
        );
        return ExitCode::from(FAILURE);
    };
    let mut server = ServerConfig {
        listen: options.listen,
        tls: !options.plain,
        ..ServerConfig::default()
    };
    server.names.push(options.listen.ip().to_string());
    let server = match Server::start(BinanceSpot::new(config), server).await {
        Ok(server) => server,
        Err(error) => {
            complain(&format!(
                "--listen {}: {error}; give another address",
                options.listen
            ));
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
        "Simulated Binance spot, seed {seed}: {}\n  streams    ws{secure}://{address}/stream\n  requests   \
         http{secure}://{address}/api/v3\n{trust}Press Ctrl-C to stop\n",
        names.join(", ")
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

// === impl Binance ===

impl Binance {
    fn config(&self) -> Result<SimConfig, String> {
        let mut config = SimConfig::new(self.seed);
        config.start_ms = unix_now().get() / 1_000_000;
        if !self.symbols.is_empty() {
            let named = self.symbols.iter().map(|name| {
                SymbolConfig::named(name).ok_or_else(|| {
                    format!(
                        "--symbols: {name:?} does not end with a currency; write it like BTCUSDT"
                    )
                })
            });
            config.symbols = named.collect::<Result<_, _>>()?;
        }
        if let Some(seconds) = self.fault_every {
            let every = Duration::from_secs(seconds.max(1));
            config.script = Script::seeded(self.seed, every, FAULTS_UNTIL, BinanceSpot::FAULTS);
        }
        Ok(config)
    }
}

/// Faults are planned for so long.
const FAULTS_UNTIL: Duration = Duration::from_secs(24 * 3_600);
