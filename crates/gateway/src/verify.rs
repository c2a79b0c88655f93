//! `tapecast verify`: checks recordings and prints what was found. The exit code is 1 if something is wrong in a
//! recording, 2 if one could not be checked, and 0 if all are right.

mod captures;
mod json;
mod table;

use crate::config::{ConfigError, Given, Source};
use crate::terminal::{FAILURE, USAGE, complain, fail, open_still};
use captures::Target;
use clap::Args;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use tapecast_ingest::venue::Format;
use tapecast_ingest::verify::{Report, verify};

/// Options of `tapecast verify`.
#[derive(Args, Debug)]
#[command(after_long_help = JSON_HELP)]
pub struct Verify {
    /// Recordings. A directory stands for all recordings in it (*.jsonl, *.zst), in order of name.
    #[arg(value_name = "CAPTURE", required_unless_present = "config")]
    captures: Vec<PathBuf>,
    /// Check the recordings of this configuration: its replay sources, with their format, venue and symbols.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The format of all CAPTUREs: binance (spot), binance-usdm, coinbase (Advanced Trade), kraken (v2), okx (v5),
    /// bybit-spot or bybit-linear (v5). Without it, their messages say it.
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Print JSON. `tapecast verify --help` lists the keys.
    #[arg(long)]
    json: bool,
}

const JSON_HELP: &str = "\
Exit code: 0 all recordings are right, 1 something is wrong in one, 2 one could not be checked (no file, unknown
format, wrong configuration).

JSON: {\"verified\", \"recordings\"}. Each recording has \"path\" and \"verified\"; one that could not be checked has
only \"error\" besides. Otherwise:
  format, venue, rows, messages, first, last (recorded times), recorded_seconds, messages_per_recorded_second,
  processing_seconds, messages_per_processing_second, rejects (by reason), findings, left_out ([{native, reason}]),
  symbols
Each symbol: symbol, native, verified, messages, first, last, messages_per_recorded_second, rejects, findings, and
  book    chain (numbers, connection, none), messages, snapshots, unbroken, broken, first_broken, checksums_passed,
          checksums_failed, first_failed, crossed, old, dropped
  quotes  quotes, crossed, compared, agreed (states of the book, with the quote of the same number)
  trades  trades, missing, first_missing, repeated
  gaps    found, healed, longest_seconds, total_seconds
A finding: kind (chain_broken, checksum_failed, trades_missing, no_snapshot, unreadable), times, first. What is
first is null or {row, reason}. Keys stay; new ones may come.";

/// What came of one recording.
struct Checked {
    path: PathBuf,
    result: Result<Report, String>,
    /// What the user should know of how it was read.
    notes: Vec<String>,
}

/// Checks recordings.
pub fn run(options: &Verify, environment: impl Iterator<Item = (String, String)>) -> ExitCode {
    let targets = match targets(options, environment) {
        Ok(targets) => targets,
        Err(message) => return fail(&message),
    };
    let mut all = Vec::with_capacity(targets.len());
    for target in targets {
        let checked = check(target);
        // The table grows while it is read; JSON is one value.
        if !options.json {
            match open_still(print(&table::recording(&checked))) {
                Ok(true) => {}
                Ok(false) => break,
                Err(message) => return failed(&message),
            }
        }
        all.push(checked);
    }
    let last = match options.json {
        true => format!("{}\n", json::recordings(&all)),
        false => table::summary(&all),
    };
    if let Err(message) = open_still(print(&last)) {
        return failed(&message);
    }
    verdict(&all)
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn failed(message: &str) -> ExitCode {
    complain(message);
    ExitCode::from(FAILURE)
}

/// What is wrong in a recording counts more than one that could not be checked.
fn verdict(all: &[Checked]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for checked in all {
        match &checked.result {
            Ok(report) if report.is_verified() => {}
            Ok(_) => return ExitCode::from(FAILURE),
            Err(_) => code = ExitCode::from(USAGE),
        }
    }
    code
}

/// What to check: first the configuration's recordings, then those of the command line.
fn targets(
    options: &Verify,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Vec<Target>, String> {
    let mut targets = Vec::new();
    if let Some(file) = &options.config {
        let sources = sources(file.clone(), environment).map_err(|error| error.to_string())?;
        let replays = sources.into_iter().filter_map(|source| match source {
            Source::Replay(replay) => Some(Target::of_source(replay)),
            Source::Sim(_) | Source::Push(_) | Source::Live(_) => None,
        });
        targets.extend(replays);
        if targets.is_empty() {
            return Err(format!(
                "{}: no source is a recording; add a [[source]] with kind = \"replay\", or name a recording",
                file.display()
            ));
        }
    }
    for path in &options.captures {
        targets.extend(captures::of(path, options.format)?);
    }
    Ok(targets)
}

fn sources(
    file: PathBuf,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Vec<Source>, ConfigError> {
    let given = Given::load(&file, environment)?;
    let config = given.config()?;
    given.check(&config)?;
    Ok(config.sources)
}

fn check(target: Target) -> Checked {
    let path = target.path.clone();
    let (recording, notes) = match target.recording() {
        Ok(recognised) => recognised,
        Err(message) => {
            return Checked {
                path,
                result: Err(message),
                notes: Vec::new(),
            };
        }
    };
    Checked {
        path,
        result: verify(recording).map_err(|error| error.to_string()),
        notes,
    }
}
