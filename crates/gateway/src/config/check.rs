//! Checks of a configuration as a whole: invalid values, keys that contradict each other, and, for
//! `config check`, recordings and cores that this machine does not have.

use super::ranges::outside;
use super::{Config, Source};
use crate::cores;
use hashbrown::HashSet;
use std::net::SocketAddr;
use tapecast_edge::io::http::host::Host;
use tapecast_ingest::push::Symbols;

/// The first thing that no machine could use. It begins with its key, behind that of its source.
pub(super) fn problem(config: &Config) -> Option<String> {
    outside(config)
        .or_else(|| together(config))
        .or_else(|| texts(config))
        .or_else(|| addresses(config))
        .or_else(|| config.listen.allowed_origins.iter().find_map(|o| origin(o)))
        .or_else(|| config.listen.allowed_hosts.iter().find_map(|h| host(h)))
        .or_else(|| filter(&config.log.filter))
        .or_else(|| venues(config))
}

/// Two values that do not go together.
fn together(config: &Config) -> Option<String> {
    let (limits, shards) = (&config.limits, &config.shards);
    let (ping, idle) = (limits.ping.0, limits.idle_timeout.0);
    if ping >= idle {
        return Some(format!(
            "limits.ping: {ping:?} must be shorter than limits.idle_timeout, {idle:?}, or quiet clients are \
             closed"
        ));
    }
    let (parked, outbox) = (limits.parked_bytes_max, limits.outbox_bytes_max);
    if parked < outbox {
        return Some(format!(
            "limits.parked_bytes_max: {parked} is not allowed; write at least limits.outbox_bytes_max, {outbox}"
        ));
    }
    let (events, most) = (config.pipeline.events, shards.ring_items / 8);
    (events > most).then(|| {
        format!(
            "pipeline.events: {events} is not allowed; write at most {most}, an eighth of shards.ring_items, \
             so that what is on its way fits the rings"
        )
    })
}

/// Texts that name nothing.
fn texts(config: &Config) -> Option<String> {
    let node = &config.node;
    if node.is_empty() || node.len() > NODE_BYTES_MAX || node.chars().any(char::is_control) {
        return Some(format!(
            "node: {node:?} is not allowed; write 1 to {NODE_BYTES_MAX} characters of one line"
        ));
    }
    let nowhere = |path: &std::path::PathBuf| path.as_os_str().is_empty();
    config.state_dir.as_ref().filter(|path| nowhere(path)).map(|_| {
        "state_dir: \"\" is not allowed; write a directory, or leave the key out to keep nothing".to_owned()
    })
}

/// Sources of one venue that get in each other's way.
fn venues(config: &Config) -> Option<String> {
    for (index, source) in config.sources.iter().enumerate() {
        let (number, venue) = (index + 1, source.venue());
        if venue == "best" {
            return Some(format!(
                "source {number}: venue: \"best\" is kept for consolidated topics; write another"
            ));
        }
        let others = config.sources.iter().enumerate();
        let mut others = others.filter(|(at, other)| *at != index && other.venue() == venue);
        // A venue whose symbols anybody may name belongs to one source alone.
        if source.takes_any_symbol() && others.clone().next().is_some() {
            return Some(format!(
                "source {number}: takes any symbol of venue {venue:?}, which another source serves too; give \
                 one of them another venue"
            ));
        }
        let twice = others.find_map(|(at, other)| Some((at + 1, both(source, other)?)));
        if let Some((other, what)) = twice {
            return Some(format!(
                "source {number}: venue: {venue:?} is that of source {other} too, and both have {what}; give one \
                 of them another venue"
            ));
        }
    }
    None
}

/// What two sources of one venue both have, as far as the configuration says it.
fn both(one: &Source, other: &Source) -> Option<String> {
    match (one, other) {
        (Source::Sim(_), Source::Sim(_)) => Some("simulated markets".to_owned()),
        (Source::Push(one), Source::Push(other)) => match (&one.symbols, &other.symbols) {
            (Symbols::List(one), Symbols::List(other)) => {
                let other: HashSet<_> = other.iter().collect();
                let both = one.iter().find(|symbol| other.contains(symbol));
                both.map(ToString::to_string)
            }
            _ => None,
        },
        _ => None,
    }
}

/// The longest name of a process.
const NODE_BYTES_MAX: usize = 128;

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

/// A name that no request can carry in `Host`.
fn host(text: &str) -> Option<String> {
    let is_host = text == "*" || (!text.is_empty() && Host::parse(text).is_some());
    (!is_host).then(|| {
        format!(
            "listen.allowed_hosts: {text:?} is no name of a host; write it without scheme and path, such as \
             \"desk.example.com\", or \"*\" for all"
        )
    })
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

/// Opens a recording. What is no file may not answer, or never end.
fn readable(path: &std::path::Path) -> std::io::Result<()> {
    match std::fs::metadata(path)?.is_file() {
        true => std::fs::File::open(path).map(drop),
        false => Err(std::io::Error::other("it is not a file")),
    }
}

impl Config {
    /// What this machine does not have: recordings, cores and its `state_dir`. The start finds it too, and whether
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
                && let Err(error) = readable(&replay.path)
            {
                let (number, path) = (index + 1, &replay.path);
                return Err(format!(
                    "source {number}: path: {path:?}: {error}; a relative path begins in the directory where \
                     the program was started"
                ));
            }
        }
        match &self.state_dir {
            Some(path) if path.exists() && !path.is_dir() => Err(format!(
                "state_dir: {path:?} is no directory; write one, or leave the key out"
            )),
            _ => Ok(()),
        }
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
