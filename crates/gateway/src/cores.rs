//! The cores on which threads run, if the configuration names them.
//!
//! Without pinning, threads move between cores, and their caches must be filled again. On a dedicated
//! machine the gateway is faster if each shard has its own core. On a machine with other programs, leave
//! this to the system.

use crate::start_error::StartError;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Why a thread cannot be given a core.
#[derive(Debug, thiserror::Error)]
#[error("{key}: this process may not run on core {core}; choose from {allowed}")]
struct CoreError {
    key: &'static str,
    core: usize,
    allowed: String,
}

/// Makes sure that this process may run on a core that the configuration names under `key`.
///
/// # Errors
/// If the core does not exist, or is not this process's to use (`taskset`, cgroups).
pub fn check(key: &'static str, core: usize) -> Result<(), StartError> {
    // A system that does not say may still allow it: `pin` will see.
    let Ok(allowed) = sched_getaffinity(None) else {
        return Ok(());
    };
    let may = |core: usize| core < CpuSet::MAX_CPU && allowed.is_set(core);
    if may(core) {
        return Ok(());
    }
    let allowed: Vec<_> = (0..CpuSet::MAX_CPU)
        .filter(|core| may(*core))
        .map(|core| core.to_string())
        .collect();
    let error = CoreError {
        key,
        core,
        allowed: allowed.join(", "),
    };
    Err(StartError::of_key(key, error))
}

/// Keeps the calling thread on a core.
pub fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    if let Err(error) = sched_setaffinity(None, &set) {
        tracing::warn!(%error, core, "Failed to pin a thread");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_that_is_not_ours_is_refused_by_name() {
        let error = check("shards.cores", CpuSet::MAX_CPU + 1).unwrap_err();
        assert!(error.to_string().starts_with("shards.cores: "), "{error}");
        let ours = sched_getaffinity(None).unwrap();
        let core = (0..CpuSet::MAX_CPU)
            .find(|core| ours.is_set(*core))
            .unwrap();
        check("pipeline.core", core).unwrap();
        std::thread::spawn(move || {
            pin(core);
            assert_eq!(sched_getaffinity(None).unwrap().count(), 1);
        })
        .join()
        .unwrap();
    }
}
