//! What a process costs: processor time and memory, from `/proc`.
//!
//! Processor time is the scheduler's, in nanoseconds, over all threads of the process; a thread that ends
//! between two readings is not in the second, so read a process whose threads stay. Memory is what the
//! process has resident, and its proportional share of what it shares.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// A process that is watched.
#[derive(Clone, Debug)]
pub struct Watched {
    folder: PathBuf,
}

/// Memory in KiB.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Memory {
    /// Resident.
    pub rss_kib: u64,
    /// Resident, shared pages divided among those who share them.
    pub pss_kib: u64,
    /// The most that was ever resident.
    pub rss_peak_kib: u64,
}

// === impl Watched ===

impl Watched {
    /// Watches a process; none if there is no such process.
    pub fn new(pid: u32) -> Option<Self> {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        folder.join("task").is_dir().then_some(Self { folder })
    }

    /// Processor time of all threads so far.
    pub fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(self.folder.join("task"))
            .into_iter()
            .flatten()
            .flatten();
        let nanos = tasks.filter_map(|task| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    /// Memory now.
    pub fn memory(&self) -> Memory {
        let read = |file| std::fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        let (status, rollup) = (read("status"), read("smaps_rollup"));
        Memory {
            rss_kib: kib(&status, "VmRSS:"),
            pss_kib: kib(&rollup, "Pss:"),
            rss_peak_kib: kib(&status, "VmHWM:"),
        }
    }
}

fn kib(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|l| l.strip_prefix(key));
    line.and_then(|l| l.split_whitespace().next())
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_costs_something() {
        let own = Watched::new(std::process::id()).unwrap();
        let memory = own.memory();
        assert!(memory.rss_kib > 0 && memory.pss_kib > 0, "{memory:?}");
        assert!(memory.rss_peak_kib >= memory.pss_kib, "{memory:?}");
        assert!(own.cpu() > Duration::ZERO);
    }

    #[test]
    fn a_process_that_is_not_there_is_not_watched() {
        assert!(Watched::new(u32::MAX).is_none());
    }
}
