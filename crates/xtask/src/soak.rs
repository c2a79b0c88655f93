//! `cargo xtask soak`: a fault every second against each simulated venue, for hours of virtual time.
//!
//! The scenarios of the suite do the same for one seed and one minute. They read how many seeds and minutes are wanted
//! from an environment variable, and then print a line for each seed.

use crate::run::{Failure, cargo, must};

/// Seeds and minutes, if nothing else is said.
const DEFAULT: (u32, u32) = (20, 60);

/// Runs `--seeds N` of `--minutes N` each.
///
/// # Errors
/// If a word is not known, or a seed fails.
pub(crate) fn run(words: &[String]) -> Result<Option<String>, Failure> {
    let (seeds, minutes) = parse(words)?;
    let mut tests = cargo(&["test", "-p", "tapecast-ingest", "--test", "live", "--"]);
    tests.args([
        "a_fault_every_second",
        "memory_does_not_grow",
        "--nocapture",
    ]);
    must(tests.env("TAPECAST_SOAK", format!("{seeds} {minutes}")))?;
    Ok(None)
}

fn parse(words: &[String]) -> Result<(u32, u32), Failure> {
    let (mut seeds, mut minutes) = DEFAULT;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let number = words.next().and_then(|number| number.parse().ok());
        match (word.as_str(), number) {
            ("--seeds", Some(number)) => seeds = number,
            ("--minutes", Some(number)) => minutes = number,
            _ => return Err(format!("{word}: write --seeds N, --minutes N, or nothing")),
        }
    }
    Ok((seeds, minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_say_how_many_seeds_and_minutes() {
        let parse = |text: &str| {
            let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
            parse(&words)
        };
        assert_eq!(parse(""), Ok((20, 60)));
        assert_eq!(parse("--minutes 5"), Ok((20, 5)));
        assert_eq!(parse("--seeds 3 --minutes 5"), Ok((3, 5)));
        for wrong in ["--seeds", "--seeds x", "3 5", "--hours 1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
