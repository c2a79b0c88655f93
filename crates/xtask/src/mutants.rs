//! `cargo xtask mutants`: whether the scenarios of live sessions find faults.
//!
//! A committed table ([`planted`]) lists faults that are planted in the code, one at a time, each with the scenario that
//! must fail then, and with words that the scenario must say. The faults are planted in a copy of the checkout below
//! `target/mutants`, which has a build directory of its own. First every scenario has to pass without a fault.
//!
//! A scenario that passes with its fault is an error, and so is one that does not end: nobody learns from a test that
//! hangs what is wrong.

use crate::run::{Failure, output, program, root};
use crate::tidy::planted::{self, PlantedFault, Scenario};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A scenario has so long. The slowest takes a quarter of it.
const LIMIT: Duration = Duration::from_secs(120);
/// How often a running scenario is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What came of a scenario.
enum Verdict {
    Passed,
    /// With its last words.
    Failed(String),
    Hangs,
}

/// The copy of the checkout, and where it is built.
struct Copy {
    tree: PathBuf,
    target: PathBuf,
}

/// Plants the faults whose names have one of these parts, or all.
///
/// # Errors
/// If a scenario fails without a fault, or a fault is not found.
pub(crate) fn run(parts: &[String]) -> Result<Option<String>, Failure> {
    let all = planted::read()?;
    let is_named = |fault: &&PlantedFault| {
        parts.is_empty() || parts.iter().any(|part| fault.name.contains(part))
    };
    let faults: Vec<_> = all.iter().filter(is_named).collect();
    if faults.is_empty() {
        return Err(format!("{} has no such fault", planted::PATH));
    }
    let copy = Copy::make()?;
    let mut problems = Vec::new();
    let mut executables = BTreeMap::new();
    let mut scenarios: Vec<_> = faults.iter().map(|fault| &fault.scenario).collect();
    scenarios.sort_unstable();
    scenarios.dedup();
    for scenario in scenarios {
        let place = scenario.place();
        if !executables.contains_key(&place) {
            executables.insert(place.clone(), copy.build(scenario)?);
        }
        match copy.play(&executables[&place], scenario)? {
            Verdict::Passed => {}
            Verdict::Failed(words) => {
                problems.push(format!("{scenario} fails without a fault:\n{words}"));
            }
            Verdict::Hangs => problems.push(format!("{scenario} does not end, without a fault")),
        }
    }
    if problems.is_empty() {
        println!("    all scenarios pass without a fault");
        for fault in &faults {
            let started = Instant::now();
            let found = copy.plant(fault);
            let took = started.elapsed().as_secs();
            let mark = if found.is_ok() { "found" } else { "MISSED" };
            println!(
                "    {mark:6} {:44} {} [{took} s]",
                fault.name, fault.scenario
            );
            problems.extend(found.err());
        }
    }
    if problems.is_empty() {
        println!("    {} planted faults, all found", faults.len());
        Ok(None)
    } else {
        Err(problems.join("\n"))
    }
}

// === impl Copy ===

impl Copy {
    /// Copies what git knows of the checkout, and what is new in it. Files that are the same keep their times, so that
    /// little is built again.
    fn make() -> Result<Self, Failure> {
        let place = root().join("target/mutants");
        let copy = Self {
            tree: place.join("tree"),
            target: place.join("target"),
        };
        let listed = output(program("git").args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]))?;
        let files: Vec<&str> = listed.split('\0').filter(|file| !file.is_empty()).collect();
        for path in crate::tidy::files_under(&copy.tree) {
            let known = path.strip_prefix(&copy.tree).ok().and_then(Path::to_str);
            if !known.is_some_and(|known| files.contains(&known)) {
                fs::remove_file(&path).map_err(|error| said(&path, &error))?;
            }
        }
        for file in files {
            // A file that was removed and not yet committed is still listed.
            if let Ok(bytes) = fs::read(root().join(file)) {
                write(&copy.tree.join(file), &bytes)?;
            }
        }
        Ok(copy)
    }

    /// Builds the tests to which a scenario belongs. Returns the executable.
    fn build(&self, scenario: &Scenario) -> Result<PathBuf, Failure> {
        let Scenario {
            package, target, ..
        } = scenario;
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.tree).stdin(Stdio::null());
        cargo.args([
            "test",
            "--no-run",
            "--quiet",
            "--message-format=json-render-diagnostics",
            "-p",
            package,
        ]);
        match target.as_str() {
            "lib" => cargo.arg("--lib"),
            name => cargo.args(["--test", name]),
        };
        let built = output(cargo.env("CARGO_TARGET_DIR", &self.target))?;
        let messages = built
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let mut tests = messages.filter_map(|message: Value| {
            let executable = message.get("executable")?.as_str()?;
            let is_test = message.get("profile")?.get("test")?.as_bool()?;
            is_test.then(|| PathBuf::from(executable))
        });
        tests
            .next_back()
            .ok_or_else(|| format!("{package} has no tests {target}"))
    }

    /// Runs one scenario.
    fn play(&self, executable: &Path, scenario: &Scenario) -> Result<Verdict, Failure> {
        let log = self.target.join("scenario.log");
        let create = || File::create(&log).map_err(|error| said(&log, &error));
        let folder = scenario.package.trim_start_matches("tapecast-");
        let mut child = Command::new(executable)
            .current_dir(self.tree.join("crates").join(folder))
            .args([scenario.name.as_str(), "--exact"])
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(create()?)
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| said(executable, &error))?;
        let started = Instant::now();
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if started.elapsed() > LIMIT => {
                    let ended = child.kill().and_then(|()| child.wait());
                    return ended
                        .map(|_| Verdict::Hangs)
                        .map_err(|error| said(executable, &error));
                }
                Ok(None) => std::thread::sleep(LOOK_EVERY),
                Err(error) => return Err(said(executable, &error)),
            }
        };
        let words = fs::read(&log).map_err(|error| said(&log, &error))?;
        let words = String::from_utf8_lossy(&words);
        if !words.contains("running 1 test") {
            return Err(format!("there is no scenario {scenario}"));
        }
        Ok(match status.success() {
            true => Verdict::Passed,
            false => Verdict::Failed(words.into_owned()),
        })
    }

    /// Plants a fault, and takes it out again.
    fn plant(&self, fault: &PlantedFault) -> Result<(), Failure> {
        let path = self.tree.join(&fault.file);
        let text = fs::read_to_string(&path).map_err(|error| said(&path, &error))?;
        write(&path, text.replacen(&fault.old, &fault.new, 1).as_bytes())?;
        let found = self.seek(fault);
        write(&path, text.as_bytes())?;
        found
    }

    fn seek(&self, fault: &PlantedFault) -> Result<(), Failure> {
        let PlantedFault { name, says, .. } = fault;
        let scenario = &fault.scenario;
        let executable = self
            .build(scenario)
            .map_err(|error| format!("{name}: the code with the fault cannot be built\n{error}"))?;
        match self.play(&executable, scenario)? {
            Verdict::Passed => Err(format!(
                "{name}: {scenario} passes, and so does not find it"
            )),
            Verdict::Hangs => {
                let seconds = LIMIT.as_secs();
                Err(format!(
                    "{name}: {scenario} does not end within {seconds} s"
                ))
            }
            Verdict::Failed(words) if words.contains(says) => Ok(()),
            Verdict::Failed(words) => Err(format!(
                "{name}: {scenario} fails, but does not say {says:?}:\n{}",
                shortened(&words)
            )),
        }
    }
}

/// The lines of a failed test that matter.
fn shortened(words: &str) -> String {
    let from = words.find("panicked at").unwrap_or(0);
    words[from..].chars().take(700).collect()
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, bytes))
        .map_err(|error| said(path, &error))
}

fn said(path: &Path, error: &std::io::Error) -> Failure {
    format!("{}: {error}", path.display())
}
