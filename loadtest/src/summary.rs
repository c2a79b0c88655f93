//! A result in a few lines, for whoever watches.

use crate::result::{Figure, LimitResult, RunResult};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A run.
pub fn of_run(result: &RunResult) -> String {
    let mut text = format!("{}: ", result.scenario.name);
    let traffic = &result.traffic;
    let latency = &result.latency_us;
    // Writing to a text cannot fail.
    if traffic.deliveries > 0.0 {
        let _ = write!(
            text,
            "{:.0} deliveries/s of {:.0} B, p50 {:.0} us, p99 {:.0} us, p99.9 {:.0} us, max {:.0} us",
            traffic.deliveries_per_s,
            traffic.bytes_per_event,
            latency.p50,
            latency.p99,
            latency.p99_9,
            latency.max
        );
    } else {
        let _ = write!(text, "{} clients", result.joins.welcomed);
    }
    let joins = &result.joins;
    let _ = write!(
        text,
        "\nconnections: {} welcomed, {:.0} a second, after p50 {:.0} us, p99 {:.0} us",
        joins.welcomed, joins.welcomed_per_s, joins.to_welcome_us.p50, joins.to_welcome_us.p99
    );
    if joins.to_snapshot_us.count > 0 {
        let encoded = result.metrics.map_or(0.0, |m| m.run.snapshots_encoded);
        let _ = write!(
            text,
            "\nsnapshots: {} after p50 {:.0} us, p99 {:.0} us, max {:.0} us, {encoded:.0} encoded",
            joins.to_snapshot_us.count,
            joins.to_snapshot_us.p50,
            joins.to_snapshot_us.p99,
            joins.to_snapshot_us.max
        );
    }
    add_server(&mut text, result);
    add_slow(&mut text, result);
    add_verdicts(&mut text, result);
    text
}

fn add_server(text: &mut String, result: &RunResult) {
    if let Some(server) = &result.server {
        let _ = write!(
            text,
            "\nserver: {:.0} % of a processor, {:.0} B resident per connection",
            server.cpu_share * 100.0,
            server.rss_per_connection
        );
        if server.deliveries_per_cpu_s > 0.0 {
            let _ = write!(
                text,
                ", {:.3} us per delivery ({:.0} deliveries per cpu-second)",
                server.us_per_delivery, server.deliveries_per_cpu_s
            );
        }
    }
    if let Some(metrics) = result.metrics.filter(|m| m.window.writes > 0.0) {
        let per_write = metrics.window.frames_per_write;
        let _ = write!(text, ", {per_write:.2} frames per write");
    }
    if let Some(drift) = &result.drift {
        let rss = drift.rss_kib;
        let _ = write!(
            text,
            "\ndrift: resident {:.0} to {:.0} KiB",
            rss.first, rss.last
        );
        if drift.p99_us.last > 0.0 {
            let p99 = drift.p99_us;
            let _ = write!(text, ", p99 {:.0} to {:.0} us", p99.first, p99.last);
        }
        if drift.server_files.last > 0.0 {
            let files = drift.server_files;
            let _ = write!(text, ", open files {:.0} to {:.0}", files.first, files.last);
        }
    }
    if let Some(ceiling) = &result.ceiling {
        let _ = write!(
            text,
            "\nceiling: {:.0} and {:.0} deliveries per cpu-second; the server reached {:.3} of them",
            ceiling.before.deliveries_per_cpu_s, ceiling.after.deliveries_per_cpu_s, ceiling.ratio
        );
    }
}

fn add_slow(text: &mut String, result: &RunResult) {
    if let Some(stall) = &result.stall {
        let _ = write!(
            text,
            "\nwith stalled clients: p50 {:.0} us ({:.3} of before), p99 {:.0} us ({:.3}), p99.9 {:.0} us ({:.3})",
            stall.latency_us.p50,
            stall.p50_ratio,
            stall.latency_us.p99,
            stall.p99_ratio,
            stall.latency_us.p99_9,
            stall.p99_9_ratio
        );
    }
    if let Some(slow) = &result.slow {
        let _ = write!(
            text,
            "\nslow: {} of {} connected, {} of {} topics right, caught up in {:.2} s, {} lost and announced, {} conflated, server {} to {} KiB",
            slow.connected,
            slow.clients,
            slow.topics_right,
            slow.topics,
            slow.caught_up_s,
            slow.integrity.announced_lost,
            slow.integrity.conflated,
            slow.rss_kib[0],
            slow.rss_kib[1]
        );
        if let Some(metrics) = &result.metrics {
            let waiting = metrics.outbox_bytes_max.unwrap_or(0.0);
            let parked = metrics.parked_max.unwrap_or(0.0);
            let _ = write!(
                text,
                ", at most {waiting:.0} B waiting for {parked:.0} full sockets"
            );
        }
    }
}

fn add_verdicts(text: &mut String, result: &RunResult) {
    if !result.clean {
        let _ = write!(text, "\nNOT CLEAN: {}", result.failures.join("; "));
        if !result.closed.is_empty() {
            let _ = write!(text, " (by code: {:?})", result.closed);
        }
    } else if result.traffic.verified_frames > 0 && result.integrity.is_clean() {
        text.push_str("\nevery event arrived once and in order");
    }
    let integrity = &result.integrity;
    if integrity.announced_lost > 0 {
        let _ = write!(
            text,
            "\n{} events lost and announced",
            integrity.announced_lost
        );
    }
    if result.harness_limited {
        let reasons = result.harness_limited_reasons.join("; ");
        let _ = write!(
            text,
            "\nHARNESS LIMITED, do not trust throughput and latency: {reasons}"
        );
    }
}

/// A measurement of the ceiling.
pub fn of_limit(limit: &LimitResult) -> String {
    format!(
        "{} x {} B: {:.0} deliveries per cpu-second, {:.0} ns each, {:.0} ns per send",
        limit.batch,
        limit.size,
        limit.deliveries_per_cpu_s,
        limit.ns_per_delivery,
        limit.ns_per_send
    )
}

/// Medians and spreads.
pub fn of_series(figures: &BTreeMap<String, Figure>) -> String {
    let mut text = format!(
        "{:<24}{:>14}{:>14}{:>14}{:>9}",
        "", "median", "least", "most", "spread"
    );
    for (name, figure) in figures {
        let Figure {
            median,
            min,
            max,
            spread,
        } = figure;
        let spell = crate::compare::spell;
        let _ = write!(
            text,
            "\n{name:<24}{:>14}{:>14}{:>14}{:>8.1}%",
            spell(*median),
            spell(*min),
            spell(*max),
            spread * 100.0
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_a_table() {
        let figure = crate::result::spread(&[1.0, 2.0, 3.0]).unwrap();
        let text = of_series(&BTreeMap::from([("p99_us".to_owned(), figure)]));
        let words: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(words, ["p99_us", "2.000", "1.000", "3.000", "100.0%"]);
    }
}
