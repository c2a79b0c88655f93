//! Checks of a configuration as a whole: invalid values, keys that contradict each other, and, for
//! `config check`, recordings and cores that this machine does not have.

use super::{Config, Source};
use crate::cores;
use std::net::SocketAddr;

/// The first thing that no machine could use.
pub(super) fn problem(config: &Config) -> Option<String> {
    addresses(config)
        .or_else(|| config.listen.allowed_origins.iter().find_map(|o| origin(o)))
        .or_else(|| filter(&config.log.filter))
}

/// Two listeners on one address.
fn addresses(config: &Config) -> Option<String> {
    let mut seen: Vec<(String, SocketAddr)> = vec![
        ("listen.public".to_owned(), config.listen.public),
        ("listen.admin".to_owned(), config.listen.admin),
    ];
    for (index, source) in config.sources.iter().enumerate() {
        if let Source::Push(push) = source {
            seen.push((format!("source {}: listen", index + 1), push.listen));
        }
    }
    for (at, (key, address)) in seen.iter().enumerate() {
        let taken = seen[..at].iter().find(|(_, other)| clash(*address, *other));
        if let Some((other_key, other)) = taken {
            return Some(format!(
                "{key}: {address} is already used by {other_key} = {other}; give each its own port"
            ));
        }
    }
    None
}

/// Whether two listeners want the same port of one address.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip(), other.ip());
    // [::] takes connections to IPv4 addresses too, as Linux does by default.
    let everything = |all: SocketAddr, ip: std::net::IpAddr| {
        all.ip().is_unspecified() && (all.is_ipv6() || ip.is_ipv4())
    };
    let meet = a == b || everything(one, b) || everything(other, a);
    one.port() == other.port() && one.port() != 0 && meet
}

/// An origin that no browser sends.
fn origin(text: &str) -> Option<String> {
    if text == "*" || text == "null" {
        return None;
    }
    let why = match text.split_once("://") {
        None => "has no scheme",
        Some(("", _)) => "has no scheme",
        Some((_, "")) => "has no host",
        Some((_, host)) if host.contains(['/', '?', '#', '@', ' ']) => {
            "has more than scheme, host and port"
        }
        Some(_) if text.chars().any(char::is_uppercase) => "is not in lower case",
        Some(_) => return None,
    };
    Some(format!(
        "listen.allowed_origins: {text:?} {why}; write it as browsers do, such as \
         \"https://desk.example.com\", or \"*\" for all"
    ))
}

/// A filter of the log that is none, or that names a level there is not.
fn filter(text: &str) -> Option<String> {
    let wrong = |why: String| {
        Some(format!(
            "log.filter: {why}; write error, warn, info, debug or off, and parts of the program as \
             in \"info,tapecast_edge=debug\""
        ))
    };
    let levels = ["error", "warn", "info", "debug", "trace", "off"];
    let word = |directive: &&str| !directive.is_empty() && !directive.contains(['=', '[']);
    let nonsense = text.split(',').map(str::trim).filter(word).find(|word| {
        let level = levels.contains(&word.to_ascii_lowercase().as_str());
        !level && !word.starts_with("tapecast") && !word.chars().all(|c| ('0'..='5').contains(&c))
    });
    if text.trim().is_empty() {
        return wrong("it is empty".to_owned());
    }
    if let Some(word) = nonsense {
        return wrong(format!("{word:?} is not a level"));
    }
    // Last: for a word that is not a level the library would write lines of its own to standard error.
    let read = tracing_subscriber::EnvFilter::try_new(text);
    read.err()
        .and_then(|_| wrong(format!("{text:?} cannot be read")))
}

impl Config {
    /// What this machine does not have: recordings and cores. The start finds it too, and whether
    /// addresses are free.
    ///
    /// # Errors
    /// Names the first key of which that is so.
    pub fn check_machine(&self) -> Result<(), String> {
        for &core in &self.shards.cores {
            cores::check("shards.cores", core).map_err(|error| error.to_string())?;
        }
        if let Some(core) = self.pipeline.core {
            cores::check("pipeline.core", core).map_err(|error| error.to_string())?;
        }
        for (index, source) in self.sources.iter().enumerate() {
            if let Source::Replay(replay) = source
                && let Err(error) = std::fs::File::open(&replay.path)
            {
                let (number, path) = (index + 1, replay.path.display());
                return Err(format!(
                    "source {number}: path: {path}: {error}; a relative path begins in the directory where \
                     the program was started"
                ));
            }
        }
        Ok(())
    }

    /// What is allowed and hardly meant.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.sources.is_empty() {
            doubts.push(
                "there is no [[source]] table, so nothing is served; add one, or run `tapecast` without \
                 arguments for the demo"
                    .to_owned(),
            );
        }
        if self.log.filter.contains("trace") {
            doubts.push("log.filter: this program has no trace lines; write debug".to_owned());
        }
        doubts
    }
}
