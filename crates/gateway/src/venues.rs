//! `tapecast venues`: which venues can be connected to, and what is known of each.

use crate::exchange::{CHANNELS, Exchange};
use crate::terminal::{fail, say};
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;
use tapecast_ingest::session::venue::{BUILT_IN, Limit, RulesError, VenueRules};
use tapecast_model::{ChannelKind, ChannelSet};

/// Options of `tapecast venues`.
#[derive(Args, Debug)]
pub struct Venues {
    /// Print the rules file: addresses, limits and deadlines. `[source.rules]` in a configuration overrides keys.
    #[arg(long, conflicts_with = "json")]
    rules: bool,
    /// Print JSON: an array of venues.
    #[arg(long)]
    json: bool,
}

/// A venue as it is listed.
struct Listed {
    exchange: Exchange,
    rules: VenueRules,
    channels: Vec<&'static str>,
}

/// Lists the venues.
pub fn run(options: &Venues) -> ExitCode {
    if options.rules {
        return say(BUILT_IN.trim_end());
    }
    let all: Result<Vec<Listed>, RulesError> = Exchange::ALL.into_iter().map(Listed::new).collect();
    match all {
        Ok(all) if options.json => {
            let all: Vec<Value> = all.iter().map(Listed::json).collect();
            say(&format!("{:#}", Value::from(all)))
        }
        Ok(all) => {
            let all: Vec<String> = all.iter().map(Listed::text).collect();
            say(&all.join("\n\n"))
        }
        // The rules are built in, and a test reads them.
        Err(error) => fail(&error.to_string()),
    }
}

// === impl Listed ===

impl Listed {
    fn new(exchange: Exchange) -> Result<Self, RulesError> {
        let rules = VenueRules::of(exchange.label(), &toml::Table::new())?;
        let connector = exchange.connector(rules.clone());
        let has = |kind: &ChannelKind| {
            let alone = ChannelSet::EMPTY.with(*kind);
            connector.stream("X", *kind, alone).is_some()
        };
        let channels = CHANNELS.into_iter().filter(has).map(|kind| kind.label());
        Ok(Self {
            exchange,
            channels: channels.collect(),
            rules,
        })
    }

    fn text(&self) -> String {
        let rules = &self.rules;
        let rows = [
            ("known", rules.known.clone()),
            ("channels", self.channels.join(", ")),
            ("streams", rules.stream_url.clone()),
            ("requests", rules.rest_url.clone()),
            (
                "connection",
                format!(
                    "{} streams, {} in one request, {}, replaced after {} h",
                    rules.streams_max,
                    rules.batch_max,
                    limit("messages", rules.messages()),
                    hours(rules.life())
                ),
            ),
            (
                "address",
                format!(
                    "{}, {}",
                    limit("connects", rules.connects()),
                    limit("weight", rules.weight())
                ),
            ),
            (
                "list",
                format!("read again every {} h", hours(rules.definitions_every())),
            ),
        ];
        let mut text = format!("{} ({})", self.exchange, self.exchange.product());
        for (key, value) in rows {
            text.push_str(&format!("\n  {key:<10}  {value}"));
        }
        text
    }

    fn json(&self) -> Value {
        let rules = &self.rules;
        let limit = |(most, span): Limit| json!({ "max": most, "seconds": span.as_secs_f32() });
        json!({
            "venue": self.exchange.label(),
            "product": self.exchange.product(),
            "known": rules.known,
            "channels": self.channels,
            "stream_url": rules.stream_url,
            "rest_url": rules.rest_url,
            "streams_max": rules.streams_max,
            "batch_max": rules.batch_max,
            "messages": limit(rules.messages()),
            "connects": limit(rules.connects()),
            "weight": limit(rules.weight()),
            "life_seconds": rules.life().as_secs_f32(),
            "definitions_seconds": rules.definitions_every().as_secs_f32(),
            "turnover_seconds": rules.turnover_every().as_secs_f32(),
        })
    }
}

fn limit(of: &str, (most, span): Limit) -> String {
    format!("{most} {of} in {} s", span.as_secs_f32())
}

fn hours(span: Duration) -> f32 {
    span.as_secs_f32() / 3_600.0
}
