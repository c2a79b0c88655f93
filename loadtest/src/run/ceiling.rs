//! The ceiling around a run: measured before and after it, at the same frame size, connections and batch.
//!
//! The size of a frame must be known before the run, so it is reckoned from what will be published and
//! how the protocol frames it; only trades, whose frames all look alike, can be held against a
//! ceiling. On a machine that others use, two measurements that differ say how much their ratio is worth.

use crate::limit::{self, LimitError, LimitOptions, Method};
use crate::machine::Placement;
use crate::result::{Ceiling, LimitResult, RunResult};
use crate::scenario::{MessageKind, Mode, Scenario};
use crate::topics::TopicNames;

/// What is measured to hold a scenario against.
///
/// # Errors
/// If the scenario has no ceiling.
pub fn options(
    scenario: &Scenario,
    seconds: f64,
    placement: &Placement,
) -> Result<LimitOptions, LimitError> {
    if scenario.kind != MessageKind::Trade || scenario.mode != Mode::Stream || !scenario.publishes()
    {
        return Err(LimitError::NoCeiling);
    }
    let batch = if scenario.is_closed_loop() && scenario.topics == 1 {
        scenario.window.min(limit::BATCH_MAX)
    } else {
        1
    };
    Ok(LimitOptions {
        connections: scenario.readers(),
        size: trade_payload_bytes(scenario),
        batch: usize::try_from(batch).unwrap_or(1),
        seconds,
        method: Method::Send,
        placement: placement.clone(),
    })
}

/// A frame with one trade, as the protocol has it, of the middle one of the topics.
fn trade_payload_bytes(scenario: &Scenario) -> usize {
    let topic = TopicNames::new(scenario.topic_pattern()).name(scenario.topics / 2);
    // Numbers of streams that have lived for some seconds; times have 19 digits, ids ten.
    let frame = format!(
        "{{\"topic\":\"{topic}\",\"type\":\"update\",\"epoch\":1786309548228,\"seq\":12345,\
         \"prev\":12344,\"ts_recv\":\"1786309548228568804\",\"ts_out\":\"1786309548228568804\",\
         \"trades\":[{{\"id\":\"0000012345\",\"price\":\"61837.64\",\"qty\":\"0.1605\",\
         \"side\":\"buy\",\"ts_event\":\"1786309548228568804\"}}]}}"
    );
    frame.len()
}

/// Holds a run against the ceiling before and after it.
pub fn add(result: &mut RunResult, before: LimitResult, after: LimitResult) {
    let (a, b) = (before.deliveries_per_cpu_s, after.deliveries_per_cpu_s);
    let mean = f64::midpoint(a, b);
    let reached = result
        .server
        .as_ref()
        .map_or(0.0, |s| s.deliveries_per_cpu_s);
    let share = |part: f64| if mean > 0.0 { part / mean } else { 0.0 };
    result.ceiling = Some(Ceiling {
        ratio: share(reached),
        spread: share((a - b).abs()),
        before,
        after,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_is_as_wide_and_as_long_as_the_run() {
        let scenario = Scenario {
            clients: 50,
            rate: 0.0,
            window: 32,
            ..Scenario::default()
        };
        let options = options(&scenario, 1.0, &Placement::default()).unwrap();
        assert_eq!((options.connections, options.batch), (50, 32));
        assert!((200..300).contains(&options.size), "{}", options.size);
    }

    #[test]
    fn only_trades_have_a_ceiling() {
        let scenario = Scenario {
            kind: MessageKind::Book,
            ..Scenario::default()
        };
        let error = options(&scenario, 1.0, &Placement::default()).unwrap_err();
        assert!(error.to_string().contains("trades"), "{error}");
    }
}
