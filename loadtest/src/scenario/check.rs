//! Which values of a scenario make sense, alone and together. Each rule says what would.

use super::{Mode, PublisherKind, Scenario, ScenarioError};

type Rule = (&'static str, String, bool, &'static str);

impl Scenario {
    pub(super) fn check(&self) -> Result<(), ScenarioError> {
        let rules = [self.counts(), self.times(), self.together()];
        match rules.into_iter().flatten().find(|(_, _, holds, _)| !holds) {
            Some((key, value, _, rule)) => Err(ScenarioError::Value { key, value, rule }),
            None => Ok(()),
        }
    }

    fn counts(&self) -> Vec<Rule> {
        vec![
            (
                "clients",
                self.clients.to_string(),
                self.clients >= 1,
                "at least 1",
            ),
            (
                "topics",
                self.topics.to_string(),
                (1..=1_000_000).contains(&self.topics),
                "1 to 1000000",
            ),
            (
                "topics_per_client",
                self.topics_per_client.to_string(),
                (1..=self.topics).contains(&self.topics_per_client),
                "at least 1 and at most `topics`",
            ),
            (
                "window",
                self.window.to_string(),
                (1..=65_536).contains(&self.window),
                "1 to 65536",
            ),
            (
                "slow_bytes_per_s",
                self.slow_bytes_per_s.to_string(),
                self.slow_bytes_per_s >= 10,
                "at least 10 bytes a second",
            ),
            (
                "slow_receive_bytes",
                self.slow_receive_bytes.to_string(),
                self.slow_receive_bytes == 0 || self.slow_receive_bytes >= 4096,
                "at least 4096 bytes, or 0",
            ),
            (
                "connecting",
                self.connecting.to_string(),
                (1..=65_536).contains(&self.connecting),
                "1 to 65536",
            ),
            (
                "parsed_clients",
                self.parsed_clients.to_string(),
                self.parsed_clients >= 1,
                "at least 1, so that events are checked",
            ),
            (
                "threads",
                self.threads.to_string(),
                (1..=self.clients.min(64)).contains(&self.threads),
                "at least 1, at most 64 and at most `clients`",
            ),
        ]
    }

    fn times(&self) -> Vec<Rule> {
        vec![
            (
                "rate",
                self.rate.to_string(),
                (0.0..=1e7).contains(&self.rate),
                "0 to 10000000 a second",
            ),
            (
                "duration_s",
                self.duration_s.to_string(),
                self.duration_s > 0.0 && self.duration_s <= 1e6,
                "more than 0 seconds",
            ),
            (
                "warm_up_s",
                self.warm_up_s.to_string(),
                (0.0..=1e6).contains(&self.warm_up_s),
                "0 or more seconds",
            ),
            (
                "stall_s",
                self.stall_s.to_string(),
                (0.0..=1e6).contains(&self.stall_s),
                "0 or more seconds",
            ),
            (
                "recover_s",
                self.recover_s.to_string(),
                (0.0..=3_600.0).contains(&self.recover_s),
                "0 to 3600 seconds",
            ),
            (
                "stalled_share",
                self.stalled_share.to_string(),
                (0.0..1.0).contains(&self.stalled_share),
                "0 or more, and below 1",
            ),
            (
                "churn_per_s",
                self.churn_per_s.to_string(),
                (0.0..=1e5).contains(&self.churn_per_s),
                "0 to 100000 a second",
            ),
            (
                "connect_rate",
                self.connect_rate.to_string(),
                (0.0..=1e6).contains(&self.connect_rate),
                "0 to 1000000 a second",
            ),
        ]
    }

    fn together(&self) -> Vec<Rule> {
        let stalls = self.stalled_share > 0.0;
        let slow = self.slow_clients > 0;
        let numbered = self.topic.is_empty() || self.topic.matches("{n}").count() == 1;
        vec![
            (
                "stall_s",
                self.stall_s.to_string(),
                stalls == (self.stall_s > 0.0),
                "set both `stalled_share` and `stall_s`, or neither",
            ),
            (
                "stalled_share",
                self.stalled_share.to_string(),
                !stalls || self.stalled_clients() >= 1,
                "no client is stalled; raise `stalled_share` or `clients`",
            ),
            (
                "slow_clients",
                self.slow_clients.to_string(),
                self.readers() >= 1,
                "at least one client must read at full speed",
            ),
            (
                "mode",
                format!("{:?}", self.mode),
                self.mode == Mode::Stream || !(stalls || slow || self.churn_per_s > 0.0),
                "stalled, slow and reconnecting clients need `mode = \"stream\"`",
            ),
            (
                "topic",
                format!("{:?}", self.topic),
                numbered || (self.topics == 1 && !self.topic.contains("{n}")),
                "a name with `{n}` once, or without it for one topic",
            ),
            (
                "topic",
                format!("{:?}", self.topic),
                self.topic.is_empty() || self.publisher == PublisherKind::None,
                "the push source has fixed names; set `publisher` to \"none\"",
            ),
            (
                "rate",
                self.rate.to_string(),
                !(self.is_closed_loop() && (stalls || slow || self.churn_per_s > 0.0)),
                "stalled, slow and reconnecting clients need an open loop (`rate` above 0)",
            ),
        ]
    }
}
