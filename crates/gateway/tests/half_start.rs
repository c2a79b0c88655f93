//! A start that fails half-way ends what it has started. A process of its own: its threads are counted, and its
//! limit of open files is lowered.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::future::poll_fn;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};
use tapecast::config::Config;
use tapecast::gateway::Gateway;
use tapecast::start_error::StartError;

const PATIENCE: Duration = Duration::from_secs(30);

/// Threads of shards, the pipeline and sources.
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    // A thread may end while it is looked at.
    let names = tasks.filter_map(|task| {
        let name = std::fs::read_to_string(task.unwrap().path().join("comm")).ok()?;
        Some(name.trim_end().to_owned())
    });
    let ours = |name: &String| {
        let starts = ["shard-", "pipeline", "feed-"];
        starts.iter().any(|start| name.starts_with(start))
    };
    let mut names: Vec<_> = names.filter(ours).collect();
    names.sort();
    names
}

/// These threads run. A thread gives itself its name when it begins, and the system may list one that was joined
/// for a moment more.
fn running(expected: &[&str]) {
    let until = Instant::now() + PATIENCE;
    while threads() != expected {
        assert!(Instant::now() < until, "{:?} run", threads());
        std::thread::yield_now();
    }
}

fn nothing_runs() {
    running(&[]);
}

fn free_address() -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap()
}

fn config(state_dir: &Path, shards: usize) -> Config {
    let text = format!(
        "state_dir = {state_dir:?}\n[shards]\ncount = {shards}\nio_uring = false\n\
         [[source]]\nkind = \"sim\"\n[[source]]\nkind = \"push\"\nvenue = \"desk\"\nlisten = \"{}\"\n",
        free_address()
    );
    let mut config = Config::parse(&text, "test", std::iter::empty()).unwrap();
    (config.listen.public, config.listen.admin) = (free_address(), free_address());
    config
}

/// The error of a start that fails.
async fn refusal(config: &Config) -> StartError {
    match Gateway::start(config).await {
        Err(error) => error,
        Ok(_) => panic!("it started"),
    }
}

/// Addresses and the lock are free: the same configuration can be served.
async fn starts(config: &Config) {
    // A task that is ended lets go of the lock when the runtime comes to it.
    let start = async {
        loop {
            match Gateway::start(config).await {
                Err(error) if error.key() == Some("state_dir") => tokio::task::yield_now().await,
                started => return started.unwrap(),
            }
        }
    };
    let gateway = tokio::time::timeout(PATIENCE, start).await.unwrap();
    gateway.stop().await;
    nothing_runs();
}

fn open_files() -> u64 {
    std::fs::read_dir("/proc/self/fd").unwrap().count() as u64
}

// One test: what one starts, another would count.
#[tokio::test]
async fn a_start_that_fails_leaves_nothing_running_and_nothing_taken() {
    let folder = tempfile::tempdir().unwrap();

    // A listener's address is taken: nothing runs yet, and the lock and the push address are held.
    for key in ["listen.public", "listen.admin"] {
        let config = config(&folder.path().join(key), 2);
        let address = match key {
            "listen.public" => config.listen.public,
            _ => config.listen.admin,
        };
        let taken = TcpListener::bind(address).unwrap();
        let error = refusal(&config).await;
        assert_eq!(error.key(), Some(key), "{error}");
        let said = error.to_string();
        assert!(
            said.contains(&address.to_string()) && said.contains(key),
            "{said}"
        );
        nothing_runs();
        drop(taken);
        starts(&config).await;
    }

    // There are file descriptors for some shards, and not for all.
    let many = config(&folder.path().join("many"), 60);
    let before = getrlimit(Resource::Nofile);
    let fewer = Rlimit {
        current: Some(open_files() + 30),
        ..before
    };
    setrlimit(Resource::Nofile, fewer).unwrap();
    let error = refusal(&many).await;
    setrlimit(Resource::Nofile, before).unwrap();
    assert!(matches!(error, StartError::System(_)), "{error}");
    assert_eq!(error.key(), None);
    nothing_runs();

    // All threads run, and the start is not finished.
    let config = config(&folder.path().join("state"), 2);
    {
        let mut start = pin!(Gateway::start(&config));
        // On this runtime of one thread, no acceptor runs before the start waits for it.
        let begun = poll_fn(|context| Poll::Ready(start.as_mut().poll(context))).await;
        assert!(begun.is_pending());
        running(&[
            "feed-1-sim",
            "feed-2-push",
            "pipeline",
            "shard-0",
            "shard-1",
        ]);
    }
    nothing_runs();
    starts(&config).await;
}
