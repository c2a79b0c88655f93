//! The steps of each command, cheapest first.

use crate::run::{Failure, Step, cargo, must, output, program, root};
use crate::{clients, recordings, setup, tidy};
use std::path::PathBuf;

type Outcome = Result<Option<String>, Failure>;

/// Everything that CI runs.
pub(crate) const TEST: &[Step] = &[
    SETUP_STEP,
    TIDY_STEP,
    FORMAT,
    PAGE_STEP,
    RULES_STEP,
    CLIPPY,
    RUST_STEP,
    LOOM_STEP,
    DOC,
    VERIFY_STEP,
    CLIENTS_STEP,
];
/// What needs nothing but Rust.
pub(crate) const CHECK: &[Step] = &[TIDY_STEP, FORMAT, CLIPPY, DOC];
/// What text can tell.
pub(crate) const TIDY: &[Step] = &[TIDY_STEP];
/// The tests of the workspace.
pub(crate) const RUST: &[Step] = &[RUST_STEP];
/// What the fan-out promises across threads.
pub(crate) const LOOM: &[Step] = &[LOOM_STEP];
/// The live page's unit tests.
pub(crate) const PAGE: &[Step] = &[SETUP_STEP, PAGE_STEP];
/// The rules and their tests.
pub(crate) const RULES: &[Step] = &[SETUP_STEP, RULES_STEP];
/// Against the verifiers that lie beside recordings.
pub(crate) const VERIFY: &[Step] = &[VERIFY_STEP];
/// Against a running gateway.
pub(crate) const CLIENTS: &[Step] = &[SETUP_STEP, CLIENTS_STEP];
/// Only installs.
pub(crate) const SETUP: &[Step] = &[SETUP_STEP];

const SETUP_STEP: Step = Step {
    name: "setup",
    run: setup::run,
};
const TIDY_STEP: Step = Step {
    name: "tidy",
    run: tidy::run,
};
const FORMAT: Step = Step {
    name: "format",
    run: format,
};
const CLIPPY: Step = Step {
    name: "clippy",
    run: clippy,
};
const DOC: Step = Step {
    name: "documentation",
    run: documentation,
};
const RUST_STEP: Step = Step {
    name: "tests",
    run: rust,
};
const LOOM_STEP: Step = Step {
    name: "loom",
    run: loom,
};
const PAGE_STEP: Step = Step {
    name: "page",
    run: page,
};
const RULES_STEP: Step = Step {
    name: "rules",
    run: rules,
};
const VERIFY_STEP: Step = Step {
    name: "verify",
    run: recordings::run,
};
const CLIENTS_STEP: Step = Step {
    name: "clients",
    run: clients::run,
};

fn format() -> Outcome {
    must(&mut cargo(&["fmt", "--all", "--check"]))?;
    Ok(None)
}

fn clippy() -> Outcome {
    must(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))?;
    Ok(None)
}

fn documentation() -> Outcome {
    let mut doc = cargo(&[
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
        "--quiet",
    ]);
    must(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(None)
}

fn rust() -> Outcome {
    must(&mut cargo(&["test", "--workspace", "--quiet"]))?;
    let recordings = std::env::var_os("TAPECAST_CAPTURES").is_none();
    Ok(recordings.then(|| {
        "TAPECAST_CAPTURES is not set: tests over recorded venue messages were skipped".to_owned()
    }))
}

/// Every interleaving of the fan-out's atomics, in a target directory of its own: the flag would have
/// everything built anew each time.
fn loom() -> Outcome {
    let mut test = cargo(&[
        "test",
        "--quiet",
        "--package",
        "tapecast-fanout",
        "--test",
        "loom",
        "--target-dir",
        "target/loom",
    ]);
    must(test.env("RUSTFLAGS", "--cfg loom"))?;
    Ok(None)
}

fn page() -> Outcome {
    let mut tests = files("crates/gateway/page/test", ".test.js")?;
    tests.sort();
    must(program("node").arg("--test").args(tests))?;
    Ok(None)
}

fn rules() -> Outcome {
    let promtool = setup::promtool();
    let rules = files("dashboards/rules", ".rules.yml")?;
    must(program(&promtool).args(["check", "rules"]).args(&rules))?;
    // `promtool test rules` says SUCCESS and the like for each file; keep it for failures.
    print!(
        "{}",
        output(
            program(&promtool)
                .args(["test", "rules"])
                .args(files("dashboards/rules", ".test.yml")?)
        )?
    );
    Ok(None)
}

/// The files of a folder whose names end so.
fn files(folder: &str, ending: &str) -> Result<Vec<PathBuf>, Failure> {
    let listed =
        std::fs::read_dir(root().join(folder)).map_err(|error| format!("{folder}: {error}"))?;
    let found: Vec<PathBuf> = listed
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    if found.is_empty() {
        return Err(format!("{folder} has no file *{ending}"));
    }
    Ok(found)
}
