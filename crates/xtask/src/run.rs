//! Running steps and other programs: what was run, how long it took, and what went wrong in one line.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Why a step failed, ready to be shown.
pub(crate) type Failure = String;

/// One named check.
pub(crate) struct Step {
    /// Its name, in the report.
    pub(crate) name: &'static str,
    /// What it does. An answer of `Some` says what was left out, and why.
    pub(crate) run: fn() -> Result<Option<String>, Failure>,
}

/// Runs all steps and reports; answers how many failed.
pub(crate) fn all(steps: &[Step]) -> usize {
    let mut report = Vec::new();
    for step in steps {
        println!("\n==> {}", step.name);
        let _ = std::io::stdout().flush();
        let started = Instant::now();
        let outcome = (step.run)();
        report.push((step.name, outcome, started.elapsed()));
    }
    println!("\n==> report");
    for (name, outcome, took) in &report {
        let (mark, note) = match outcome {
            Ok(None) => ("ok    ", String::new()),
            Ok(Some(left_out)) => ("ok    ", format!(" ({left_out})")),
            Err(failure) => (
                "FAILED",
                format!("\n       {}", failure.replace('\n', "\n       ")),
            ),
        };
        println!("{mark} {name} [{}]{note}", seconds(*took));
    }
    let failed = report
        .iter()
        .filter(|(_, outcome, _)| outcome.is_err())
        .count();
    println!("checks: {} passed, {failed} failed", report.len() - failed);
    failed
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .unwrap_or_default()
}

/// Where the tests keep what they fetched and made.
pub(crate) fn scratch() -> PathBuf {
    root().join("target/xtask")
}

/// A program to run from the root, without input.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// Cargo, as this very process was started by.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// Runs it, its output going where ours goes.
///
/// # Errors
/// If it cannot be started or does not succeed.
pub(crate) fn must(command: &mut Command) -> Result<(), Failure> {
    println!("    {}", shown(command));
    let _ = std::io::stdout().flush();
    let status = command
        .status()
        .map_err(|error| format!("cannot run {}: {error}", shown(command)))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{} ended with {status}", shown(command)))
}

/// Runs it quietly and answers what it printed; its output is in the error if it fails.
///
/// # Errors
/// If it cannot be started or does not succeed.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command
        .output()
        .map_err(|error| format!("cannot run {}: {error}", shown(command)))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = text.lines().chain(errors.lines()).rev().take(12).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Err(format!(
        "{} ended with {}\n{}",
        shown(command),
        output.status,
        last.join("\n")
    ))
}

/// Whether a program of this name can be started.
pub(crate) fn exists(name: impl AsRef<OsStr>) -> bool {
    program(name)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let text = words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    text.replace(&format!("{}/", root().display()), "")
}

fn seconds(took: Duration) -> String {
    format!("{}.{} s", took.as_secs(), took.subsec_millis() / 100)
}
