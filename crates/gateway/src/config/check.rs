//! Checks of a configuration as a whole: invalid values, and keys that contradict each other. What this machine
//! does not have, such as a recording or a core, [`crate::gateway::Ready`] finds.

use super::ranges::outside;
use super::{Config, Source};
use hashbrown::HashSet;
use std::net::{IpAddr, SocketAddr};
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
    let everything =
        |all: SocketAddr, ip: IpAddr| all.ip().is_unspecified() && (all.is_ipv6() || ip.is_ipv4());
    let meet = a == b || everything(one, b) || everything(other, a);
    one.port() == other.port() && one.port() != 0 && meet
}

/// An origin that no browser sends.
fn origin(text: &str) -> Option<String> {
    if text == "*" {
        return None;
    }
    let why = match text.split_once("://") {
        None if text == "null" => "is what many different pages send",
        None => "has no scheme",
        Some(("", _)) => "has no scheme",
        Some((_, "")) => "has no host",
        Some((_, host)) if host.contains('*') => "has a * for a part of the host; list each host",
        Some((_, host)) if host.contains(['/', '?', '#', '@', ' ']) => {
            "has more than scheme, host and port"
        }
        Some(_) if text.chars().any(char::is_uppercase) => "is not in lower case",
        Some((scheme, _)) if !is_scheme_of_pages(scheme) => "has a scheme that pages do not have",
        Some((_, host)) => match Host::parse(host) {
            Some(parsed) if is_name(&parsed.name) => return None,
            Some(_) => "has a host with other characters than letters, digits, dots and hyphens",
            None => "has no host and port that there can be",
        },
    };
    Some(format!(
        "listen.allowed_origins: {text:?} {why}; write it as browsers do, such as \
         \"https://desk.example.com\", or \"*\" for all"
    ))
}

/// Schemes that browsers send as the origin of pages: of sites, of their extensions, and of programs that
/// are made of pages.
fn is_scheme_of_pages(scheme: &str) -> bool {
    scheme.ends_with("-extension")
        || matches!(
            scheme,
            "http" | "https" | "app" | "capacitor" | "ionic" | "tauri"
        )
}

/// A name that no request can carry in `Host`.
fn host(text: &str) -> Option<String> {
    if text == "*" {
        return None;
    }
    let parsed = Host::parse(text);
    if parsed.is_some_and(|host| is_name(&host.name)) {
        return None;
    }
    let why = match text {
        "" => "names nothing",
        text if text.contains("://") => "has a scheme",
        text if text.contains('*') => "has a * for a part of the name; list each name",
        _ => "is no name of a host",
    };
    // What can be meant, without what is too much.
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let rest = rest.split('/').next().and_then(Host::parse);
    let meant = rest.map(|host| host.name).filter(|name| is_name(name));
    let meant = meant.unwrap_or_else(|| "desk.example.com".to_owned());
    Some(format!(
        "listen.allowed_hosts: {text:?} {why}; write it without scheme and path, such as {meant:?}, or \"*\" \
         for all"
    ))
}

/// A name as hosts have it, or an address.
fn is_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    name.parse::<IpAddr>().is_ok() || name.chars().all(known) && !name.split('.').any(str::is_empty)
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

/// A filter for a part that this program does not have. A filter holds for all parts whose names begin with its
/// word, so a known name may be cut short.
fn unknown_part(filter: &str) -> Option<String> {
    // Fields of spans may contain commas; this program has no spans.
    let mut directives = filter.split(',').filter(|_| !filter.contains('{'));
    let unknown = directives.find_map(|directive| {
        let (part, _) = directive.split_once('=').unwrap_or_else(|| {
            let is_part = directive.starts_with("tapecast");
            (if is_part { directive } else { "" }, "")
        });
        let part = part.split('[').next().unwrap_or_default();
        let of_crate = part.split("::").next().unwrap_or_default();
        let known = match of_crate == part {
            true => PARTS.iter().any(|known| known.starts_with(part)),
            false => PARTS.contains(&of_crate),
        };
        (!known).then(|| part.to_owned())
    })?;
    let parts = PARTS.join(", ");
    Some(format!(
        "log.filter: this program has no part {unknown:?}; its parts are {parts}"
    ))
}

/// The parts of this program that a filter can name.
const PARTS: [&str; 9] = [
    "tapecast",
    "tapecast_client",
    "tapecast_edge",
    "tapecast_fanout",
    "tapecast_ingest",
    "tapecast_listen",
    "tapecast_model",
    "tapecast_uring",
    "tapecast_wire",
];

/// A host with a port, which has no effect.
fn with_port(host: &str) -> Option<String> {
    let Host { name, port } = Host::parse(host)?;
    port.map(|_| {
        format!(
            "listen.allowed_hosts: {host:?} names a port, which has no effect: all ports of {name:?} are allowed; \
             write {name:?}"
        )
    })
}

impl Config {
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
        doubts.extend(unknown_part(&self.log.filter));
        doubts.extend(
            self.listen
                .allowed_hosts
                .iter()
                .filter_map(|h| with_port(h)),
        );
        let cores = &self.shards.cores;
        let twice = (1..cores.len()).find(|at| cores[..*at].contains(&cores[*at]));
        if let Some(at) = twice {
            doubts.push(format!(
                "shards.cores: {} is there twice, so shards share it while others may be idle; write each core once",
                cores[at]
            ));
        }
        if let Some(core) = self.pipeline.core.filter(|core| cores.contains(core)) {
            doubts.push(format!(
                "pipeline.core: {core} is in shards.cores too, so the pipeline waits for a shard; give it a core of \
                 its own"
            ));
        }
        doubts
    }
}
