//! File descriptors: how many this process may have open, and how many clients that leaves room for.
//!
//! A client takes one. What else needs some is added up here at its most, so that a process at its limit
//! of clients refuses more in words, and never runs out in the middle of something else.

use crate::admin;
use crate::config::{Config, Source};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tapecast_ingest::push::PUBLISHERS_MAX;
use tapecast_listen::LINGERING_MAX;

/// Fewer clients fit in than are configured.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "limits.connections_max: {wanted} clients and all else need {needed} file descriptors, and only {files} may be \
     open: it is lowered to {fit}; raise the limit to {needed} (LimitNOFILE= in the unit, ulimit -n), or write {fit}"
)]
pub struct Squeezed {
    wanted: usize,
    needed: usize,
    files: usize,
    /// So many fit in.
    pub fit: usize,
}

/// The key that says how many clients there may be.
pub const KEY: &str = "limits.connections_max";

/// Raises the limit of open files as far as it goes. Returns it; none if there is none.
pub fn raise() -> Option<usize> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    // The system has the last word on what it takes.
    let limit = match current != maximum && setrlimit(Resource::Nofile, raised).is_err() {
        true => current,
        false => maximum,
    };
    limit.map(saturated)
}

/// How far [`raise`] can get; none if there is no limit.
pub fn limit() -> Option<usize> {
    getrlimit(Resource::Nofile).maximum.map(saturated)
}

/// Whether the clients of a configuration fit in a limit of open files.
///
/// # Errors
/// If they do not: how many do.
pub fn fit(config: &Config, files: Option<usize>) -> Result<(), Squeezed> {
    let Some(files) = files else { return Ok(()) };
    let (wanted, beside) = (config.limits.connections_max, beside_clients(config));
    // Where there are few, clients have half of them: not all else is needed at one time.
    let fit = files - beside.min(files / 2);
    if wanted <= fit {
        return Ok(());
    }
    Err(Squeezed {
        wanted,
        needed: wanted.saturating_add(beside),
        files,
        fit,
    })
}

/// Descriptors that are not clients', at the most.
fn beside_clients(config: &Config) -> usize {
    let of_source = |source: &Source| match source {
        Source::Push(_) => PUBLISHERS_MAX + OF_LISTENER,
        Source::Live(_) => OF_VENUE,
        Source::Replay(_) | Source::Sim(_) => 2,
    };
    OF_PROCESS
        + OF_SHARD * config.shard_count()
        + LINGERING_MAX
        + (admin::CONNECTIONS_MAX + OF_LISTENER)
        + config.sources.iter().map(of_source).sum::<usize>()
}

fn saturated(files: u64) -> usize {
    usize::try_from(files).unwrap_or(usize::MAX)
}

/// The three that every process has, the log's, the runtime's, the public listener's, those of `state_dir`,
/// and what is read from `/proc`.
const OF_PROCESS: usize = 48;
/// A shard's poller, what wakes it, and its ring of io_uring.
const OF_SHARD: usize = 4;
/// A listener, its reserve, and a runtime of its own.
const OF_LISTENER: usize = 16;

/// A runtime of its own, lines and requests to a venue.
const OF_VENUE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use tapecast_edge::Limits;

    fn config(text: &str) -> Config {
        let text = format!("[shards]\ncount = 2\n{text}");
        Config::parse(&text, "test", std::iter::empty()).unwrap()
    }

    #[test]
    fn clients_that_do_not_fit_are_said_with_both_numbers_and_the_remedy() {
        let sim = config("[[source]]\nkind = \"sim\"\n");
        let connections = Limits::default().connections_max;
        assert_eq!(fit(&sim, None), Ok(()));
        assert_eq!(fit(&sim, Some(connections + 400)), Ok(()));
        let squeezed = fit(&sim, Some(4_096)).unwrap_err();
        assert_eq!(squeezed.fit + beside_clients(&sim), 4_096);
        let said = squeezed.to_string();
        for part in [
            "limits.connections_max: 20000 ",
            " 4096 ",
            &format!("raise the limit to {} ", connections + beside_clients(&sim)),
            &format!("write {}", squeezed.fit),
            "LimitNOFILE",
            "ulimit -n",
        ] {
            assert!(said.contains(part), "{said} lacks {part}");
        }
        // What is said to be written fits.
        let text = format!(
            "[limits]\nconnections_max = {}\n[[source]]\nkind = \"sim\"\n",
            squeezed.fit
        );
        assert_eq!(fit(&config(&text), Some(4_096)), Ok(()));
    }

    #[test]
    fn publishers_have_their_descriptors_and_few_descriptors_are_halved() {
        let push = config("[[source]]\nkind = \"push\"\nvenue = \"x\"\nlisten = \"127.0.0.1:1\"\n");
        let without = beside_clients(&config(""));
        assert!(beside_clients(&push) >= without + PUBLISHERS_MAX);
        assert_eq!(fit(&push, Some(100)).unwrap_err().fit, 50);
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_goes() {
        assert_eq!(raise(), limit());
        assert_eq!(getrlimit(Resource::Nofile).current.map(saturated), limit());
    }
}
