//! What a process costs: processor time and memory, from `/proc`.
//!
//! Processor time is the scheduler's, in nanoseconds, thread by thread; a thread that ends between two
//! readings is not in the second, so read a process whose threads stay. Memory is what the process
//! has resident, and its proportional share of what it shares.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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

/// What the threads of one name have had of processors.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ThreadTime {
    /// Time on a processor.
    pub cpu: Duration,
    /// Time ready to run, with another on the processor.
    pub waited: Duration,
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
        self.threads().values().map(|t| t.cpu).sum()
    }

    /// Processor time so far by name of thread.
    pub fn threads(&self) -> BTreeMap<String, ThreadTime> {
        let tasks = std::fs::read_dir(self.folder.join("task"));
        let mut threads: BTreeMap<String, ThreadTime> = BTreeMap::new();
        for task in tasks.into_iter().flatten().flatten() {
            let read = |file| std::fs::read_to_string(task.path().join(file)).ok();
            let Some(times) = read("schedstat") else {
                continue;
            };
            let mut nanos = times.split(' ').filter_map(|n| n.parse::<u64>().ok());
            let name = read("comm").unwrap_or_default().trim().to_owned();
            let thread = threads.entry(name).or_default();
            thread.cpu += Duration::from_nanos(nanos.next().unwrap_or(0));
            thread.waited += Duration::from_nanos(nanos.next().unwrap_or(0));
        }
        threads
    }

    /// Open file descriptors; none if they may not be counted.
    pub fn open_files(&self) -> Option<u64> {
        let files = std::fs::read_dir(self.folder.join("fd")).ok()?;
        Some(files.count() as u64)
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
        assert!(own.open_files().unwrap() >= 3);
    }

    #[test]
    fn threads_are_told_apart_by_name() {
        let (begun, ready) = std::sync::mpsc::channel();
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::Builder::new().name("a-busy-one".into());
        let busy = thread.spawn(move || {
            begun.send(()).unwrap();
            wait.recv().unwrap_err();
        });
        ready.recv().unwrap();
        let threads = Watched::new(std::process::id()).unwrap().threads();
        assert!(threads.contains_key("a-busy-one"), "{threads:?}");
        drop(stop);
        busy.unwrap().join().unwrap();
    }

    #[test]
    fn a_process_that_is_not_there_is_not_watched() {
        assert!(Watched::new(u32::MAX).is_none());
    }
}
