//! `loadtest`: see `README.md`, or `loadtest help`.
//!
//! Reads the command line, runs, and writes the result: JSON to `--out`, or to standard output unless that
//! is a terminal; everything meant for a reader's eyes to standard error. Exit code 2 for what was asked
//! wrongly or cannot be had, 1 for a run that was not clean or a comparison that found something worse.

use clap::Parser as _;
use cli::{Cli, Command, CompareArgs, LimitArgs, RunArgs};
use loadtest::compare::{self, CompareError};
use loadtest::limit::{self, LimitOptions, ReaderOptions};
use loadtest::result::{AnyResult, LimitResult, RunResult};
use loadtest::run::{self, RunOptions, ceiling};
use loadtest::scenario::Scenario;
use loadtest::{report, summary};
use std::error::Error;
use std::io::{self, IsTerminal as _, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod cli;

type Outcome = Result<ExitCode, Box<dyn Error>>;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) => run_scenario(&args),
        Command::Limit(args) => measure_limit(&args),
        Command::Compare(args) => compare_results(&args),
        Command::Report { results, out } => make_report(&results, &out),
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

fn run_scenario(args: &RunArgs) -> Outcome {
    let options = RunOptions {
        scenario: Scenario::find(&args.scenario, &args.settings())?,
        target: args.target(),
        placement: args.placement(),
        note: args.note.clone(),
    };
    // Refused before the first run, not after it.
    for path in [&args.report, &args.out].into_iter().flatten() {
        std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|e| format!("cannot write the result to {}: {e}", path.display()))?;
    }
    let limit = args
        .ceiling
        .map(|seconds| ceiling::options(&options.scenario, seconds, &options.placement))
        .transpose()?;
    let measure = || limit.as_ref().map(limit::run).transpose();
    let mut before = measure()?;
    let mut runs = Vec::new();
    for _ in 0..args.repeat {
        let mut result = run::run(&options, &mut io::stderr())?;
        let after = measure()?;
        if let (Some(before), Some(after)) = (before.take(), &after) {
            ceiling::add(&mut result, before, after.clone());
        }
        before = after;
        let _ = writeln!(io::stderr(), "{}", summary::of_run(&result));
        runs.push(result);
    }
    let announced = |run: &RunResult| run.integrity.announced_lost > 0;
    let clean = runs
        .iter()
        .all(|run| run.clean && !(args.strict && announced(run)));
    let Some(result) = AnyResult::of_runs(runs) else {
        return Ok(ExitCode::SUCCESS);
    };
    if let AnyResult::RunSeries(series) = &result {
        let _ = writeln!(io::stderr(), "{}", summary::of_series(&series.summary));
    }
    if let Some(path) = &args.report {
        write_file(path, &report::page(std::slice::from_ref(&result))?)?;
    }
    write_result(&result, args.out.as_deref())?;
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn measure_limit(args: &LimitArgs) -> Outcome {
    let mut limits = Vec::new();
    for round in 0..args.repeat {
        for &batch in &args.batch {
            let options = LimitOptions {
                connections: args.connections,
                size: args.size,
                batch,
                seconds: args.seconds,
                method: args.method(),
                placement: args.placement(),
            };
            // All are checked before the first is measured.
            if round == 0 && limits.is_empty() {
                check_all(&options, &args.batch)?;
            }
            let mut limit: LimitResult = limit::run(&options)?;
            limit.heading.note.clone_from(&args.note);
            let _ = writeln!(io::stderr(), "{}", summary::of_limit(&limit));
            limits.push(limit);
        }
    }
    let Some(result) = AnyResult::of_limits(limits) else {
        return Ok(ExitCode::SUCCESS);
    };
    if let AnyResult::LimitSeries(series) = &result {
        let _ = writeln!(io::stderr(), "{}", summary::of_series(&series.summary));
    }
    write_result(&result, args.out.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

fn check_all(options: &LimitOptions, batches: &[usize]) -> Result<(), Box<dyn Error>> {
    for &batch in batches {
        let options = LimitOptions {
            batch,
            ..options.clone()
        };
        options.check()?;
    }
    Ok(())
}

fn compare_results(args: &CompareArgs) -> Outcome {
    let comparison = compare::compare(&args.results, args.allow_different)?;
    say(comparison.text.as_bytes())?;
    Ok(if comparison.worse > 0 {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

fn make_report(paths: &[PathBuf], out: &Path) -> Outcome {
    let read = |path: &PathBuf| compare::read(path);
    let results: Result<Vec<AnyResult>, CompareError> = paths.iter().map(read).collect();
    write_file(out, &report::page(&results?)?)?;
    Ok(ExitCode::SUCCESS)
}

fn read_limit(connect: SocketAddr, connections: usize) -> Outcome {
    let seen = limit::read(&ReaderOptions {
        connect,
        connections,
    })?;
    serde_json::to_writer(io::stdout(), &seen)?;
    Ok(ExitCode::SUCCESS)
}

fn write_result(result: &AnyResult, out: Option<&Path>) -> Result<(), Box<dyn Error>> {
    if out.is_none() && io::stdout().is_terminal() {
        // It is hundreds of lines, and the summary would scroll away.
        let hint = "For the whole result as JSON use --out FILE, or send standard output to a file or a program.";
        let _ = writeln!(io::stderr(), "{hint}");
        return Ok(());
    }
    let mut text = serde_json::to_string_pretty(result)?;
    text.push('\n');
    match out {
        Some(path) => write_file(path, &text)?,
        None => say(text.as_bytes())?,
    }
    Ok(())
}

/// Writes to standard output. Whoever has seen enough closes the pipe: that is no error.
fn say(text: &[u8]) -> io::Result<()> {
    match io::stdout().write_all(text) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn write_file(path: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    std::fs::write(path, text)
        .map_err(|e| format!("cannot write the result to {}: {e}", path.display()).into())
}
