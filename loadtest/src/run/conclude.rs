//! From what was counted to the result.

use super::leader::Course;
use crate::publisher::Published;
use crate::result::{HarnessCost, Heading, Latency, RunResult, ServerCost, TrafficResult};
use crate::scenario::Scenario;
use crate::tally::Tally;

/// The result of a run.
pub(super) fn conclude(
    heading: Heading,
    scenario: &Scenario,
    course: Course,
    tally: &Tally,
    published: &Published,
    pid: Option<u32>,
) -> RunResult {
    let seconds = course.window.as_secs_f64();
    let harness = HarnessCost {
        threads: scenario.threads,
        cpu_s: tally.cpu.as_secs_f64(),
        cpu_share: tally.cpu.as_secs_f64() / (seconds * scenario.threads as f64),
        turn_max_us: tally.turn_max.as_secs_f64() * 1e6,
        publish_late_max_us: published.late_max.as_secs_f64() * 1e6,
        publish_blocked: published.blocked,
        window_timeouts: published.stuck,
        receives: tally.window.receives,
        connect_s: course.connect.as_secs_f64(),
        bottleneck: false,
        bottleneck_reasons: Vec::new(),
    };
    let traffic = traffic(scenario, &course, tally);
    RunResult {
        latency_us: Latency::of(tally),
        integrity: tally.integrity,
        closed: tally.closed.clone(),
        server: pid.map(|pid| server_cost(pid, scenario, &course, traffic.deliveries)),
        harness: harness.judged(),
        heading,
        scenario: scenario.clone(),
        traffic,
        seconds: course.seconds,
        ceiling: None,
        ceiling_ratio: None,
    }
}

fn traffic(scenario: &Scenario, course: &Course, tally: &Tally) -> TrafficResult {
    let seconds = course.window.as_secs_f64();
    let deliveries = tally.deliveries();
    let readers = (scenario.clients - scenario.stalled_clients()) as f64;
    // Each event goes to so many on average.
    let audience = readers * f64::from(scenario.topics_per_client) / f64::from(scenario.topics);
    let owed = course.published as f64 * audience;
    let bytes = &tally.bytes_by_client;
    let mean = bytes.iter().sum::<u64>() as f64 / bytes.len().max(1) as f64;
    let edge = |value: Option<&u64>| value.copied().unwrap_or(0) as f64;
    TrafficResult {
        seconds,
        published: course.published,
        published_per_s: course.published as f64 / seconds,
        deliveries,
        deliveries_per_s: deliveries / seconds,
        frames_per_s: deliveries * tally.frames_per_event() / seconds,
        bytes: tally.window.bytes,
        bytes_per_s: tally.window.bytes as f64 / seconds,
        bytes_per_event: tally.bytes_per_event(),
        parsed_frames: tally.window.parsed_frames,
        delivered_share: if owed > 0.0 { deliveries / owed } else { 0.0 },
        bytes_per_client: [edge(bytes.iter().min()), mean, edge(bytes.iter().max())],
    }
}

fn server_cost(pid: u32, scenario: &Scenario, course: &Course, deliveries: f64) -> ServerCost {
    let cpu_s = course.server_cpu.as_secs_f64();
    let gained = course.memory_idle.rss_kib as f64 - course.memory_before.rss_kib as f64;
    ServerCost {
        pid,
        cpu_s,
        cpu_share: cpu_s / course.window.as_secs_f64(),
        deliveries_per_cpu_s: if cpu_s > 0.0 { deliveries / cpu_s } else { 0.0 },
        us_per_delivery: if deliveries > 0.0 {
            cpu_s * 1e6 / deliveries
        } else {
            0.0
        },
        memory_before: course.memory_before,
        memory_idle: course.memory_idle,
        memory_end: course.memory_end,
        rss_per_connection: gained * 1024.0 / scenario.clients as f64,
    }
}
