//! Where a result was made, and keeping to processors.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a result must be read against.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Machine {
    /// Processors this process may use.
    pub cpus: usize,
    /// What they are.
    pub cpu_model: String,
    /// How their frequency is chosen; empty if the system does not say.
    #[serde(default)]
    pub governor: String,
    /// The kernel's name and release.
    pub kernel: String,
    /// Memory in KiB.
    pub memory_kib: u64,
    /// Load average of the last minute at the start: other work on the machine.
    pub load_1m: f64,
}

/// Which processors server and harness keep to. Empty: wherever the kernel puts them.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Placement {
    /// The server's.
    pub server_cpus: Vec<usize>,
    /// The harness's own.
    pub own_cpus: Vec<usize>,
}

// === impl Machine ===

impl Machine {
    /// This machine.
    pub fn read() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, key: &str| {
            let line = text.lines().find(|l| l.starts_with(key));
            line.and_then(|l| l.split_once(':'))
                .map(|(_, v)| v.trim().to_owned())
                .unwrap_or_default()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let uname = rustix::system::uname();
        Self {
            cpus: allowed_cpus().len(),
            cpu_model: field(&read("/proc/cpuinfo"), "model name"),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
                .trim()
                .to_owned(),
            kernel: format!(
                "{} {}",
                uname.sysname().to_string_lossy(),
                uname.release().to_string_lossy()
            ),
            memory_kib: memory
                .split(' ')
                .next()
                .and_then(|n| n.parse().ok())
                .unwrap_or(0),
            load_1m: read("/proc/loadavg")
                .split(' ')
                .next()
                .and_then(|n| n.parse().ok())
                .unwrap_or(0.0),
        }
    }
}

// === impl Placement ===

impl Placement {
    /// The harness on the last processor, the server on all others; nothing where there is only one.
    pub fn automatic() -> Self {
        let mut cpus = allowed_cpus();
        match cpus.pop() {
            Some(last) if !cpus.is_empty() => Self {
                server_cpus: cpus,
                own_cpus: vec![last],
            },
            _ => Self::default(),
        }
    }
}

/// Reads `0,2-3`.
///
/// # Errors
/// Says what a list of processors looks like.
pub fn parse_cpus(text: &str) -> Result<Vec<usize>, String> {
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.trim().parse::<usize>(), last.trim().parse::<usize>()) {
            (Ok(first), Ok(last)) if first <= last && last < CpuSet::MAX_CPU => {
                cpus.extend(first..=last);
            }
            _ => {
                return Err(format!(
                    "{text:?} is not a list of processors; write it like 0,2-3"
                ));
            }
        }
    }
    Ok(cpus)
}

/// The processors this process may use.
pub fn allowed_cpus() -> Vec<usize> {
    match sched_getaffinity(None) {
        Ok(set) => (0..CpuSet::MAX_CPU)
            .filter(|cpu| set.is_set(*cpu))
            .collect(),
        Err(_) => vec![0],
    }
}

/// Keeps the calling thread, and the threads and processes it starts from now on, to processors.
/// An empty list changes nothing.
///
/// # Errors
/// If the kernel refuses, with what was asked.
pub fn pin(cpus: &[usize]) -> Result<(), String> {
    if cpus.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu);
    }
    sched_setaffinity(None, &set)
        .map_err(|e| format!("cannot keep to processors {cpus:?}: {e}; use --no-pin"))
}

/// Processor time of the calling thread.
pub fn thread_cpu() -> Duration {
    duration(ClockId::ThreadCPUTime)
}

/// Time for which the calling thread was ready to run and did not: others were on its processor.
pub fn thread_waited() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split_whitespace().nth(1).and_then(|n| n.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Processor time of this process.
pub fn process_cpu() -> Duration {
    duration(ClockId::ProcessCPUTime)
}

fn duration(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Allows as many open files as the system lets us, and says if that is too few.
///
/// # Errors
/// If fewer than `needed` can be had, with the remedy.
pub fn raise_open_files(needed: usize) -> Result<(), String> {
    let limit = getrlimit(Resource::Nofile);
    // Root may go beyond; anybody else stays below the hard limit.
    let needed = needed as u64 + 64;
    let hard = limit.maximum.unwrap_or(u64::MAX);
    for maximum in [hard.max(needed), hard] {
        let wanted = Rlimit {
            current: Some(maximum.min(1 << 20)),
            maximum: Some(maximum),
        };
        if setrlimit(Resource::Nofile, wanted).is_ok() {
            break;
        }
    }
    match getrlimit(Resource::Nofile).current {
        Some(current) if current < needed => Err(format!(
            "{needed} open files are needed and {current} allowed: raise it with `ulimit -n {needed}`"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(parse_cpus("0,2-4"), Ok(vec![0, 2, 3, 4]));
        for text in ["", "a", "3-1", "99999"] {
            assert!(parse_cpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn this_machine_has_a_processor_and_a_kernel() {
        let machine = Machine::read();
        assert!(machine.cpus >= 1 && machine.memory_kib > 0);
        assert!(machine.kernel.starts_with("Linux "), "{}", machine.kernel);
    }

    #[test]
    fn work_takes_processor_time() {
        let before = thread_cpu();
        let sum: u64 = (0..2_000_000_u64).map(std::hint::black_box).sum();
        assert!(sum > 0 && thread_cpu() > before && process_cpu() >= thread_cpu());
    }
}
