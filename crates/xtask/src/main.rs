//! `cargo xtask`: the one command for every check. CI runs only `cargo xtask test`, and everyone can run
//! it: [`setup`] installs what a test needs beyond Rust and a C compiler, and says what it installs and
//! where.
//!
//! Each check is a step with a name. All steps run, also after one has failed, and the end says which
//! steps failed. The exit code is 0 only if every step passed.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool speaks on its terminal"
)]

mod clients;
mod gateway;
mod http;
mod metrics;
mod mutants;
mod proxy;
mod readme;
mod recordings;
mod run;
mod setup;
mod soak;
mod steps;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask <command>

  test      run everything that CI runs: setup, then all commands below
  check     run tidy, check the format, run clippy, build the documentation
  tidy      check sizes of files, names, links, wording, dependencies between crates
  rust      run the workspace's tests, doc tests included
  loom      test every interleaving of the fan-out's atomics
  page      run the live page's unit tests
  rules     check the alert and recording rules and run their tests
  verify    compare `tapecast verify` with the verifiers beside the recordings
  clients   run other clients, a browser and the dashboards against a running gateway
  mutants   plant faults in a copy of the code and see that the scenarios of live sessions find them; with
            words, only faults whose names have one of them
  soak      a fault every second against each simulated venue; --seeds N (20), --minutes N (60)
  setup     only install what the tests need";

/// Commands that take more words.
const WITH_WORDS: [&str; 2] = ["mutants", "soak"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = match arguments.as_slice() {
        [command, rest @ ..] if rest.is_empty() || WITH_WORDS.contains(&command.as_str()) => {
            command.as_str()
        }
        _ => "help",
    };
    let steps = match command {
        "mutants" => return exit_code(mutants::run(&arguments[1..])),
        "soak" => return exit_code(soak::run(&arguments[1..])),
        "test" => steps::TEST,
        "check" => steps::CHECK,
        "tidy" => steps::TIDY,
        "rust" => steps::RUST,
        "loom" => steps::LOOM,
        "page" => steps::PAGE,
        "rules" => steps::RULES,
        "verify" => steps::VERIFY,
        "clients" => steps::CLIENTS,
        "setup" => steps::SETUP,
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            return if arguments.len() == 1 {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(2)
            };
        }
        other => {
            eprintln!("unknown command: {other}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run::all(steps) {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn exit_code(outcome: Result<Option<String>, run::Failure>) -> ExitCode {
    match outcome {
        Ok(_) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
