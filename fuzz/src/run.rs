//! Runs a target over many inputs.

use crate::targets::{Depth, Target};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Inputs that were run.
    pub inputs: u64,
    /// Inputs that were read past their head.
    pub past_head: u64,
    /// Inputs that broke a rule or stopped the parser.
    pub findings: Vec<Finding>,
    /// How long it took.
    pub took: Duration,
}

/// An input that broke a rule.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The input.
    pub input: Vec<u8>,
    /// What the rule says, or how the parser stopped.
    pub message: String,
}

/// A run ends with this many findings: they are mostly the same one.
const FINDINGS_MAX: usize = 5;

/// Runs a target over its seeds as they are, then over `inputs` changed ones.
pub fn run(target: &mut dyn Target, inputs: u64, seed: u64) -> Report {
    let began = Instant::now();
    let (seeds, mut report) = (target.seeds(), Report::default());
    for input in &seeds {
        one(target, input, &mut report);
    }
    let mut random = SmallRng::seed_from_u64(seed);
    while report.inputs < inputs && report.findings.len() < FINDINGS_MAX {
        let input = target.input(&seeds, &mut random);
        one(target, &input, &mut report);
    }
    report.took = began.elapsed();
    report
}

/// Runs a target over one input.
pub fn one(target: &mut dyn Target, input: &[u8], report: &mut Report) {
    report.inputs += 1;
    match catch_unwind(AssertUnwindSafe(|| target.run(input))) {
        Ok(Ok(Depth::Head)) => {}
        Ok(Ok(Depth::Body)) => report.past_head += 1,
        Ok(Err(broken)) => report.findings.push(Finding {
            input: input.to_vec(),
            message: broken.0,
        }),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            report.findings.push(Finding {
                input: input.to_vec(),
                message: format!("panic: {}", text.unwrap_or_default()),
            });
        }
    }
}
