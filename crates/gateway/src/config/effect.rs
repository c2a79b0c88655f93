//! When a change of a key takes effect: one table of all keys, which a test compares with the types of the
//! configuration and with the table in `docs/OPERATIONS.md`.

use super::Config;

/// When a change of a key takes effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// For everybody who is connected, too.
    AtOnce,
    /// For connections that begin after it.
    NewConnections,
    /// When the process starts again.
    Restart,
}

/// What a new configuration changes, by key.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// Keys whose new values are in force.
    pub taken: Vec<String>,
    /// Keys whose new values need a restart.
    pub restart: Vec<String>,
}

/// A key, and what is done with it.
struct Key {
    name: &'static str,
    effect: Effect,
    differs: fn(&Config, &Config) -> bool,
    take: fn(&mut Config, &Config),
}

macro_rules! keys {
    ($($effect:ident: $($($part:ident).+),+;)+) => {
        &[$($(Key {
            name: stringify!($($part).+),
            effect: Effect::$effect,
            differs: |one, other| one$(.$part)+ != other$(.$part)+,
            take: |config, new| config$(.$part)+.clone_from(&new$(.$part)+),
        }),+),+]
    };
}

/// All keys; those of sources are one.
const KEYS: &[Key] = keys! {
    AtOnce:
        listen.allowed_origins, listen.allowed_hosts, shards.flush_interval,
        limits.http_requests_per_address_per_s, limits.topics_per_connection_max,
        limits.invented_topics_per_connection_max, limits.requests_per_s, limits.messages_per_s,
        limits.request_bytes_max, limits.outbox_bytes_max, limits.parked_bytes_max, limits.stall_timeout,
        limits.heartbeat, limits.ping, limits.idle_timeout, limits.close_timeout, log.filter;
    NewConnections:
        limits.connections_max, limits.connections_per_address_max, limits.handshakes_max,
        limits.handshakes_per_address_max, limits.handshake_timeout, limits.http_connections_max,
        limits.http_connections_per_address_max, limits.http_requests_max, limits.http_answer_timeout,
        limits.http_idle_timeout, limits.unsent_bytes_max;
    Restart:
        node, state_dir, listen.public, listen.admin, shards.count, shards.ring_items, shards.cores,
        shards.io_uring, limits.topics_max, limits.topic_linger, limits.instruments_max, pipeline.events,
        pipeline.core, pipeline.stale_after, sources;
};

impl Config {
    /// Takes from a new configuration what can change while the process runs. What needs a restart keeps its
    /// value, and is named.
    pub fn take(&mut self, new: &Self) -> Changes {
        let mut changes = Changes::default();
        for key in KEYS {
            if !(key.differs)(self, new) {
                continue;
            }
            if key.effect != Effect::Restart {
                (key.take)(self, new);
                changes.taken.push(key.name.to_owned());
            } else if key.name == "sources" {
                changes.restart.extend(self.changed_sources(new));
            } else {
                changes.restart.push(key.name.to_owned());
            }
        }
        changes
    }

    /// The sources that differ from those of another configuration, by number.
    fn changed_sources(&self, other: &Self) -> impl Iterator<Item = String> {
        let count = self.sources.len().max(other.sources.len());
        let differs = |at: &usize| self.sources.get(*at) != other.sources.get(*at);
        let changed = (0..count).filter(differs);
        changed.map(|at| format!("source {}", at + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::*;
    use std::collections::BTreeSet;

    /// The keys of the types, by the name that a text gives them.
    fn known() -> BTreeSet<String> {
        let sections = keys::sections();
        let is_section = |key: &String| sections.iter().any(|(section, _)| section == key);
        let top = keys::known_at_top();
        let top = top.into_iter().filter(|key| !is_section(key));
        let below = sections
            .iter()
            .flat_map(|(section, keys)| keys.iter().map(move |key| format!("{section}.{key}")));
        top.chain(below).collect()
    }

    fn name(key: &Key) -> String {
        key.name.replace("sources", "source")
    }

    #[test]
    fn it_is_said_of_every_key_when_its_change_takes_effect() {
        let said: Vec<_> = KEYS.iter().map(name).collect();
        let once: BTreeSet<_> = said.iter().cloned().collect();
        assert_eq!(once.len(), said.len(), "a key is there twice");
        assert_eq!(once, known());
    }

    #[test]
    fn the_table_for_operators_says_the_same() {
        let page = include_str!("../../../../docs/OPERATIONS.md");
        for (effect, row) in [
            (Effect::AtOnce, "at once"),
            (Effect::NewConnections, "for new connections"),
            (Effect::Restart, "after a restart"),
        ] {
            let start = format!("| {row} | ");
            let line = page.lines().find_map(|line| line.strip_prefix(&start));
            let line = line.unwrap_or_else(|| panic!("docs/OPERATIONS.md lacks the row {row:?}"));
            let told: BTreeSet<_> = line.split('`').skip(1).step_by(2).collect();
            let keys = KEYS.iter().filter(|key| key.effect == effect).map(name);
            let keys: BTreeSet<_> = keys.collect();
            let keys: BTreeSet<_> = keys.iter().map(String::as_str).collect();
            assert_eq!(told, keys, "{row}");
        }
    }

    #[test]
    fn what_can_change_is_taken_and_what_needs_a_restart_is_named() {
        let parse = |text: &str| Config::parse(text, "t.toml", std::iter::empty()).unwrap();
        let sim = "[[source]]\nkind = \"sim\"\n";
        let mut config = parse(sim);
        let start = config.clone();
        let new = parse(&format!(
            "node = \"b\"\n[listen]\npublic = \"127.0.0.1:1\"\nallowed_hosts = [\"b\"]\n[limits]\nping = \"1s\"\n\
             topics_max = 7\n{sim}seed = 2\n{}",
            sim.replace("\"sim\"", "\"sim\"\nvenue = \"b\"")
        ));
        let changes = config.take(&new);
        assert_eq!(changes.taken, ["listen.allowed_hosts", "limits.ping"]);
        let restart = [
            "node",
            "listen.public",
            "limits.topics_max",
            "source 1",
            "source 2",
        ];
        assert_eq!(changes.restart, restart);
        assert_eq!(config.listen.allowed_hosts, ["b"]);
        assert_eq!(config.limits.ping, new.limits.ping);
        assert_eq!(
            (&config.node, &config.sources),
            (&start.node, &start.sources)
        );
        // What still needs a restart is named again, and the rest is in force.
        assert_eq!(config.take(&new).taken, [""; 0]);
        assert_eq!(config.take(&new).restart, restart);
        assert_eq!(config.take(&start).restart, [""; 0]);
    }
}
