//! `cargo run --release -p tapecast-fuzz -- --help`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool speaks on its terminal"
)]

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use tapecast_fuzz::run::{self, Report};
use tapecast_fuzz::targets;

/// Runs parsers of foreign bytes over changed inputs.
#[derive(Parser)]
struct Arguments {
    /// Targets; none means all of them.
    targets: Vec<String>,
    /// Inputs for each target.
    #[arg(long, default_value_t = 1_000_000)]
    inputs: u64,
    /// The seed of the random numbers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Plant each target's fault, and fail if it is not found.
    #[arg(long)]
    plant: bool,
    /// Where inputs that were found are written to.
    #[arg(long, default_value = "fuzz-findings")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let names: Vec<&str> = if arguments.targets.is_empty() {
        targets::NAMES.to_vec()
    } else {
        arguments.targets.iter().map(String::as_str).collect()
    };
    // A finding is reported with its input; the place of a panic is worth a line too.
    let mut failed = false;
    for name in names {
        let mut target = match targets::named(name) {
            Ok(target) => target,
            Err(message) => {
                eprintln!("{message}");
                return ExitCode::from(2);
            }
        };
        if arguments.plant {
            target.plant();
        }
        let report = run::run(target.as_mut(), arguments.inputs, arguments.seed);
        println!("{}", line(name, &report));
        failed |= report.findings.is_empty() == arguments.plant;
        if !arguments.plant {
            keep(name, &report, &arguments.out);
        }
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn line(name: &str, report: &Report) -> String {
    let share = report.past_head as f64 * 100.0 / report.inputs.max(1) as f64;
    let speed = report.inputs as f64 / report.took.as_secs_f64().max(1e-9);
    format!(
        "{name:<20} {:>9} inputs, {share:>5.1} % past the head, {} findings, {speed:>8.0} a second",
        report.inputs,
        report.findings.len()
    )
}

fn keep(name: &str, report: &Report, out: &std::path::Path) {
    for (at, finding) in report.findings.iter().enumerate() {
        let path = out.join(format!("{name}-{at}"));
        let written =
            std::fs::create_dir_all(out).and_then(|()| std::fs::write(&path, &finding.input));
        let clipped: String = finding.message.chars().take(2_000).collect();
        match written {
            Ok(()) => println!("  {}: {clipped}", path.display()),
            Err(error) => println!("  {error}; {clipped}"),
        }
    }
}
