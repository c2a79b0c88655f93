//! What a scenario does, in a sentence made of its values: true also after `--set`.

use super::{MessageKind, Mode, PublisherKind, Scenario};
use std::fmt::Write as _;

impl Scenario {
    /// Who does what, how often and for how long.
    pub fn sentence(&self) -> String {
        let mut text = match self.mode {
            Mode::ConnectStorm => format!(
                "Clients connect and leave, {} at once, for {} s",
                self.connecting, self.duration_s
            ),
            Mode::SubscribeStorm => format!(
                "{} subscribe to {} at the same time",
                clients(self.clients),
                self.subscriptions()
            ),
            Mode::Idle => format!(
                "{} subscribe to {}, nothing is published for {} s",
                clients(self.clients),
                self.subscriptions(),
                self.duration_s
            ),
            Mode::Stream => format!(
                "{} of {}; {} for {} s",
                clients(self.clients),
                self.subscriptions(),
                self.published(),
                self.duration_s
            ),
        };
        self.add_trouble(&mut text);
        text.push('.');
        text
    }

    fn subscriptions(&self) -> String {
        match (self.topics, self.topics_per_client) {
            (1, _) => "one topic".to_owned(),
            (topics, each) if each >= topics => format!("all {topics} topics"),
            (topics, 1) => format!("one of {topics} topics each"),
            (topics, each) => format!("{each} of {topics} topics each"),
        }
    }

    fn published(&self) -> String {
        let kind = match self.kind {
            MessageKind::Trade => "trades",
            MessageKind::Quote => "quotes",
            MessageKind::Book => "book updates",
        };
        if self.publisher == PublisherKind::None {
            "whatever the server publishes".to_owned()
        } else if self.rate > 0.0 {
            format!("{} {kind} a second over all topics", self.rate)
        } else {
            format!("{kind} in a closed loop, {} on their way", self.window)
        }
    }

    fn add_trouble(&self, text: &mut String) {
        // Writing to a text cannot fail.
        if self.stalled_share > 0.0 && self.stall_s > 0.0 {
            let percent = self.stalled_share * 100.0;
            let _ = write!(
                text,
                "; {percent} % of the clients do not read for {} s",
                self.stall_s
            );
        }
        if self.slow_clients > 0 {
            let (count, bytes) = (self.slow_clients, self.slow_bytes_per_s);
            let _ = write!(text, "; {count} more read {bytes} bytes a second at most");
        }
        if self.churn_per_s > 0.0 {
            let _ = write!(text, "; {} a second leave and come back", self.churn_per_s);
        }
    }
}

fn clients(count: usize) -> String {
    match count {
        1 => "One client".to_owned(),
        count => format!("{count} clients"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_sentence_follows_the_values() {
        let bundled = |name: &str, set: &[&str]| {
            let set: Vec<String> = set.iter().map(|&s| s.to_owned()).collect();
            Scenario::find(Path::new(name), &set).unwrap().sentence()
        };
        assert_eq!(
            bundled("fanout", &[]),
            "1000 clients of one topic; 100 trades a second over all topics for 10 s."
        );
        assert_eq!(
            bundled(
                "fanout",
                &[
                    "clients=1",
                    "rate=0",
                    "window=1",
                    "kind=quote",
                    "duration_s=2.5"
                ]
            ),
            "One client of one topic; quotes in a closed loop, 1 on their way for 2.5 s."
        );
        assert_eq!(
            bundled(
                "fanout",
                &["topics=50", "topics_per_client=3", "churn_per_s=5"]
            ),
            "1000 clients of 3 of 50 topics each; 100 trades a second over all topics for 10 s; \
             5 a second leave and come back."
        );
    }
}
