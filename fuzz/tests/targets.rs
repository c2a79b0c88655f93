//! Goal: no input breaks a parser of foreign bytes, and the targets would notice if one did.
//!
//! Method: each target runs over its corpus and a few thousand changed inputs; at least three of ten
//! must be read past the head, or the target tests little but the head. Then its fault is planted, and
//! must be found. Longer runs: `cargo run --release -p tapecast-fuzz`.

use tapecast_fuzz::run::{Report, run};
use tapecast_fuzz::targets::{NAMES, named};

const INPUTS: u64 = 3_000;
/// A planted fault is found within so many inputs.
const PLANTED_INPUTS: u64 = 30_000;

fn check(report: &Report, name: &str) {
    let messages: Vec<_> = report
        .findings
        .iter()
        .map(|f| format!("{} <- {:?}", f.message, String::from_utf8_lossy(&f.input)))
        .collect();
    assert!(messages.is_empty(), "{name}: {}", messages.join("\n"));
    assert!(
        report.past_head * 10 >= report.inputs * 3,
        "{name}: {} of {} inputs were read past the head",
        report.past_head,
        report.inputs
    );
}

#[test]
fn no_input_breaks_a_rule_and_most_pass_the_head() {
    for name in NAMES {
        let mut target = named(name).unwrap();
        check(&run(target.as_mut(), INPUTS, 7), name);
    }
}

#[test]
fn each_target_finds_the_fault_that_is_planted_in_it() {
    for name in NAMES {
        let mut target = named(name).unwrap();
        target.plant();
        let report = run(target.as_mut(), PLANTED_INPUTS, 7);
        assert!(!report.findings.is_empty(), "{name} missed its own fault");
    }
}
