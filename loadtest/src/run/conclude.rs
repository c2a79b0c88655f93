//! From what was counted to the result, and the verdicts on it.

use super::leader::{Course, Seen};
use crate::integrity::Integrity;
use crate::metrics::{Counters, MetricsResult};
use crate::process::ThreadTime;
use crate::publisher::Published;
use crate::result::{
    Drift, HarnessCost, Heading, JoinResult, Latency, RunResult, ServerCost, ServerThread,
    SlowResult, StallResult, TrafficResult,
};
use crate::scenario::{Mode, Scenario};
use crate::tally::{Tally, Window};
use crate::view::Ending;

/// The result of a run.
pub(super) fn conclude(
    heading: Heading,
    scenario: &Scenario,
    course: Course,
    tally: &Tally,
    published: &Published,
) -> RunResult {
    let [window, stalled] = &tally.windows;
    let harness = HarnessCost {
        publish_late_max_us: published.late_max.as_secs_f64() * 1e6,
        publish_sent_late_max_us: published.sent_late_max.as_secs_f64() * 1e6,
        publish_blocked: published.blocked,
        window_timeouts: published.stuck,
        receives: window.traffic.receives,
        connect_s: course.connect.as_secs_f64(),
        ..HarnessCost::of(&window.costs)
    };
    let mut limits = harness.limits();
    let during_stall = HarnessCost::of(&stalled.costs).limits();
    limits.extend(
        during_stall
            .iter()
            .map(|why| format!("in the stall: {why}")),
    );
    let metrics = metrics(&course);
    if metrics
        .and_then(|m| m.parked_max)
        .is_some_and(|most| most < 1.0)
    {
        limits.push(
            "the server never noticed the stalled or slow clients: the kernel's buffers took it \
             all; raise `rate`, `stall_s` or `duration_s`"
                .to_owned(),
        );
    }
    let traffic = traffic(scenario, &course.windows[0], window, tally);
    let latency_us = Latency::of(&window.latency);
    let slow = slow_result(scenario, &course, tally);
    let joins = join_result(scenario, &course, tally);
    let failures = failures(tally, slow.as_ref(), &joins);
    RunResult {
        clean: failures.is_empty(),
        failures,
        harness_limited: !limits.is_empty(),
        harness_limited_reasons: limits,
        stall: (scenario.stall_s > 0.0)
            .then(|| stall_result(scenario, &course.windows[1], &latency_us, tally)),
        slow,
        joins,
        integrity: tally.integrity,
        closed: tally.closed.clone(),
        server: course
            .pid
            .map(|pid| server_cost(pid, scenario, &course, traffic.deliveries)),
        metrics,
        harness,
        drift: Drift::of(&course.seconds),
        heading,
        scenario: scenario.clone(),
        traffic,
        latency_us,
        seconds: course.seconds,
        ceiling: None,
    }
}

/// Why a run is not clean.
fn failures(tally: &Tally, slow: Option<&SlowResult>, joins: &JoinResult) -> Vec<String> {
    let mut failures = Vec::new();
    let mut check = |count: u64, what: &str| {
        if count > 0 {
            failures.push(format!("{count} {what}"));
        }
    };
    let mut losses = |integrity: &Integrity, whose: &str| {
        let Integrity {
            gaps,
            duplicates,
            disordered,
            miscounted,
            unreadable,
            uninvited,
            missing,
            behind,
            announced_lost: _,
            conflated: _,
        } = *integrity;
        check(gaps, &format!("events missing unannounced{whose}"));
        check(duplicates, &format!("frames repeated{whose}"));
        check(disordered, &format!("events out of order{whose}"));
        check(miscounted, &format!("frames with other counts{whose}"));
        check(unreadable, &format!("unreadable frames{whose}"));
        check(uninvited, &format!("frames of other topics{whose}"));
        check(missing, &format!("trades that never came{whose}"));
        check(behind, &format!("topics ended in another state{whose}"));
    };
    losses(&tally.integrity, "");
    losses(&tally.slow, " (stalled and slow clients)");
    let closed = tally.closed.values().sum();
    check(closed, "connections closed by the server");
    check(joins.failed.values().sum(), "connections not welcomed");
    if let Some(slow) = slow.filter(|slow| slow.connected < slow.clients) {
        let gone = slow.clients - slow.connected;
        failures.push(format!(
            "{gone} stalled or slow clients were gone in the end"
        ));
    }
    failures
}

fn traffic(scenario: &Scenario, seen: &Seen, window: &Window, tally: &Tally) -> TrafficResult {
    let seconds = seen.length.as_secs_f64().max(f64::MIN_POSITIVE);
    let traffic = &window.traffic;
    let deliveries = traffic.deliveries();
    // Each event goes to so many on average.
    let audience = scenario.readers() as f64 * f64::from(scenario.topics_per_client)
        / f64::from(scenario.topics);
    let owed = seen.published as f64 * audience;
    let bytes = &tally.bytes_by_client;
    let mean = bytes.iter().sum::<u64>() as f64 / bytes.len().max(1) as f64;
    let edge = |value: Option<&u64>| value.copied().unwrap_or(0) as f64;
    TrafficResult {
        seconds,
        published: seen.published,
        published_per_s: seen.published as f64 / seconds,
        deliveries,
        deliveries_per_s: deliveries / seconds,
        frames_per_s: deliveries * traffic.frames_per_event() / seconds,
        bytes: traffic.bytes,
        bytes_per_s: traffic.bytes as f64 / seconds,
        bytes_per_event: traffic.bytes_per_event(),
        verified_frames: traffic.frames,
        delivered_share: if owed > 0.0 { deliveries / owed } else { 0.0 },
        bytes_per_client: [edge(bytes.iter().min()), mean, edge(bytes.iter().max())],
    }
}

fn stall_result(scenario: &Scenario, seen: &Seen, before: &Latency, tally: &Tally) -> StallResult {
    let latency_us = Latency::of(&tally.windows[1].latency);
    let ratio = |now: f64, before: f64| if before > 0.0 { now / before } else { 0.0 };
    StallResult {
        traffic: traffic(scenario, seen, &tally.windows[1], tally),
        p50_ratio: ratio(latency_us.p50, before.p50),
        p99_ratio: ratio(latency_us.p99, before.p99),
        p99_9_ratio: ratio(latency_us.p99_9, before.p99_9),
        latency_us,
    }
}

fn slow_result(scenario: &Scenario, course: &Course, tally: &Tally) -> Option<SlowResult> {
    let clients = scenario.stalled_clients() + scenario.slow_clients;
    if clients == 0 {
        return None;
    }
    let endings: Vec<&Ending> = tally.endings.iter().filter(|e| e.slow).collect();
    let topics = clients * scenario.topics_per_client as usize;
    let per_client = scenario.topics_per_client.max(1) as usize;
    let behind = usize::try_from(tally.slow.behind).unwrap_or(usize::MAX);
    // Stalled clients are slow in the second window, slow ones in both.
    let phases: &[&str] = match scenario.slow_clients {
        0 => &["stalled"],
        _ => &["measured", "stalled"],
    };
    let during = course.seconds.iter();
    let during = during.filter(|s| phases.contains(&s.phase.as_str()));
    let rss: Vec<u64> = during.map(|s| s.server_rss_kib).collect();
    Some(SlowResult {
        clients,
        connected: endings.len() / per_client,
        topics_right: endings.len().saturating_sub(behind),
        topics,
        integrity: tally.slow,
        caught_up_s: tally.caught_up_max.as_secs_f64(),
        rss_kib: [
            rss.first().copied().unwrap_or(0),
            rss.iter().copied().max().unwrap_or(0),
            rss.last().copied().unwrap_or(0),
        ],
    })
}

fn join_result(scenario: &Scenario, course: &Course, tally: &Tally) -> JoinResult {
    let joins = &tally.joins;
    let window = &course.windows[0];
    let (welcomed, seconds) = if scenario.mode == Mode::ConnectStorm {
        (window.welcomed, window.length)
    } else {
        (
            joins.welcomed - joins.reconnects.min(joins.welcomed),
            course.connect,
        )
    };
    JoinResult {
        attempts: joins.attempts,
        welcomed: joins.welcomed,
        welcomed_per_s: welcomed as f64 / seconds.as_secs_f64().max(1e-9),
        failed: joins.failed.clone(),
        reconnects: joins.reconnects,
        resubscribes: joins.resubscribes,
        to_welcome_us: Latency::of(&joins.to_welcome),
        to_snapshot_us: Latency::of(&joins.to_snapshot),
        request_to_snapshot_us: Latency::of(&joins.request_to_snapshot),
    }
}

fn server_cost(pid: u32, scenario: &Scenario, course: &Course, deliveries: f64) -> ServerCost {
    let window = &course.windows[0];
    let seconds = window.length.as_secs_f64().max(f64::MIN_POSITIVE);
    let thread = |(name, time): (&String, &ThreadTime)| ServerThread {
        name: name.clone(),
        cpu_s: time.cpu.as_secs_f64(),
        cpu_share: time.cpu.as_secs_f64() / seconds,
        waited_s: time.waited.as_secs_f64(),
    };
    let threads: Vec<ServerThread> = window.threads.iter().map(thread).collect();
    let cpu_s: f64 = threads.iter().map(|t| t.cpu_s).sum();
    let per_connection = |kib: u64| {
        let gained = kib as f64 - course.memory_before.rss_kib as f64;
        gained * 1024.0 / scenario.clients as f64
    };
    ServerCost {
        pid,
        cpu_s,
        cpu_share: cpu_s / seconds,
        threads,
        deliveries_per_cpu_s: if cpu_s > 0.0 { deliveries / cpu_s } else { 0.0 },
        us_per_delivery: if deliveries > 0.0 {
            cpu_s * 1e6 / deliveries
        } else {
            0.0
        },
        memory_before: course.memory_before,
        memory_idle: course.memory_idle,
        memory_end: window.memory_end,
        rss_per_connection: per_connection(course.memory_idle.rss_kib),
        rss_per_connection_end: per_connection(window.memory_end.rss_kib),
    }
}

fn metrics(course: &Course) -> Option<MetricsResult> {
    let between = |(before, after): (&Counters, &Counters)| after.since(before);
    let run = course.counters_before.as_ref();
    let window = course.windows[0].counters.as_ref();
    let outbox = course.seconds.iter().filter_map(|s| s.outbox_bytes);
    let parked = course.seconds.iter().filter_map(|s| s.parked);
    Some(MetricsResult {
        run: between(run.zip(course.counters_after.as_ref())?),
        window: window.map(|(b, a)| between((b, a))).unwrap_or_default(),
        outbox_bytes_max: outbox.reduce(f64::max),
        parked_max: parked.reduce(f64::max),
    })
}
