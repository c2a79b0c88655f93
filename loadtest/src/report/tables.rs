//! Figures of the page: the few that matter as cards, the rest in tables.

use super::charts::{bytes, short, time};
use super::{escape, spell};
use crate::result::{RunResult, spread};
use std::fmt::Write as _;

/// A figure, what it is called, and what else is to be said of it.
type Card = (&'static str, String, String);

/// The few figures that matter, of one run.
pub(super) fn cards(run: &RunResult) -> String {
    let mut cards = delivered(run);
    cards.extend(clients(run));
    cards.extend(server(run));
    let mut html = String::from("<dl class=\"cards\">");
    for (name, value, more) in cards {
        let _ = write!(
            html,
            "<div class=\"card\"><dt>{}</dt><dd>{}</dd><small>{}</small></div>",
            escape(name),
            escape(&value),
            escape(&more)
        );
    }
    html.push_str("</dl>\n");
    html
}

fn delivered(run: &RunResult) -> Vec<Card> {
    let (traffic, latency) = (&run.traffic, &run.latency_us);
    let mut cards: Vec<Card> = Vec::new();
    if traffic.deliveries > 0.0 {
        let rate = short(traffic.deliveries_per_s);
        let size = format!("of {:.0} B", traffic.bytes_per_event);
        cards.push(("Deliveries a second", rate, size));
    }
    if latency.count > 0 {
        let from = "from the intended time".to_owned();
        let beyond = format!("p99.9 {}", time(latency.p99_9));
        let count = format!("of {}", short(latency.count as f64));
        cards.push(("p50", time(latency.p50), from));
        cards.push(("p99", time(latency.p99), beyond));
        cards.push(("Maximum", time(latency.max), count));
    }
    if let Some(stall) = &run.stall {
        let ratio = format!("{:.3}", stall.p99_ratio);
        let p99 = format!("p99 {} with stalled clients", time(stall.latency_us.p99));
        cards.push(("p99 against no stalls", ratio, p99));
    }
    cards
}

fn clients(run: &RunResult) -> Vec<Card> {
    let joins = &run.joins;
    let mut cards: Vec<Card> = Vec::new();
    if let Some(slow) = &run.slow {
        let right = format!("{} of {}", slow.topics_right, slow.topics);
        let connected = format!("{} of {} connected", slow.connected, slow.clients);
        cards.push(("Slow clients' topics right", right, connected));
    }
    if joins.to_snapshot_us.count > 0 {
        let encoded = run.metrics.map_or(0.0, |m| m.run.snapshots_encoded);
        let p99 = time(joins.to_snapshot_us.p99);
        cards.push((
            "Time to snapshot, p99",
            p99,
            format!("{encoded:.0} encoded"),
        ));
    }
    let rate = format!(
        "{} a second, p99 {}",
        short(joins.welcomed_per_s),
        time(joins.to_welcome_us.p99)
    );
    cards.push(("Connections welcomed", short(joins.welcomed as f64), rate));
    cards
}

fn server(run: &RunResult) -> Vec<Card> {
    let mut cards: Vec<Card> = Vec::new();
    if let Some(server) = &run.server {
        if server.deliveries_per_cpu_s > 0.0 {
            let rate = short(server.deliveries_per_cpu_s);
            let each = format!("{:.3} us each", server.us_per_delivery);
            cards.push(("Deliveries per CPU-second", rate, each));
        }
        let share = format!("{:.1} %", server.cpu_share * 100.0);
        let end = bytes(server.memory_end.rss_kib as f64 * 1024.0);
        let each = bytes(server.rss_per_connection.max(0.0));
        cards.push(("Server CPU", share, "of one processor".to_owned()));
        cards.push(("Memory per connection", each, format!("{end} at the end")));
    }
    if let Some(ceiling) = &run.ceiling {
        let apart = format!("before and after {:.1} % apart", ceiling.spread * 100.0);
        let ratio = format!("{:.3}", ceiling.ratio);
        cards.push(("Of the kernel's ceiling", ratio, apart));
    }
    if let Some(metrics) = run.metrics.filter(|m| m.window.writes > 0.0) {
        let each = format!("{:.2}", metrics.window.frames_per_write);
        cards.push(("Frames per write", each, String::new()));
    }
    cards
}

/// Everything else: all runs side by side, threads, drift, what was asked.
pub(super) fn of(runs: &[(String, &RunResult)]) -> String {
    let mut html = String::new();
    if runs.len() > 1 {
        html.push_str(&side_by_side(runs));
    }
    let Some((_, first)) = runs.first() else {
        return html;
    };
    html.push_str(&threads(first));
    html.push_str(&drift(first));
    let scenario = serde_json::to_value(&first.scenario).unwrap_or_default();
    let rows = scenario.as_object().into_iter().flatten();
    let rows: Vec<Vec<String>> = rows
        .filter(|(key, _)| !["name", "description"].contains(&key.as_str()))
        .map(|(key, value)| vec![key.clone(), value.to_string()])
        .collect();
    let _ = writeln!(
        html,
        "<details><summary>The scenario</summary>{}</details>",
        table(&["key", "value"], &rows)
    );
    html
}

type Column = (&'static str, fn(&RunResult) -> f64);

fn side_by_side(runs: &[(String, &RunResult)]) -> String {
    let server = |run: &RunResult| run.server.as_ref().map_or(0.0, |s| s.deliveries_per_cpu_s);
    let columns: [Column; 8] = [
        ("deliveries/s", |r| r.traffic.deliveries_per_s),
        ("per CPU-second", server),
        ("p50 us", |r| r.latency_us.p50),
        ("p99 us", |r| r.latency_us.p99),
        ("p99.9 us", |r| r.latency_us.p99_9),
        ("max us", |r| r.latency_us.max),
        ("of the ceiling", |r| {
            r.ceiling.as_ref().map_or(0.0, |c| c.ratio)
        }),
        ("harness CPU %", |r| r.harness.cpu_share * 100.0),
    ];
    let head: Vec<&str> = std::iter::once("").chain(columns.map(|c| c.0)).collect();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (name, run) in runs {
        let figures = columns.map(|(_, figure)| spell(figure(run)));
        rows.push(std::iter::once(name.clone()).chain(figures).collect());
    }
    let over_all = |(_, figure): &Column| {
        let values: Vec<f64> = runs.iter().map(|(_, run)| figure(run)).collect();
        spread(&values).unwrap_or_default()
    };
    let medians = columns.iter().map(|c| spell(over_all(c).median));
    rows.push(
        std::iter::once("median".to_owned())
            .chain(medians)
            .collect(),
    );
    let spreads = columns
        .iter()
        .map(|c| format!("{:.1} %", over_all(c).spread * 100.0));
    rows.push(
        std::iter::once("spread".to_owned())
            .chain(spreads)
            .collect(),
    );
    table(&head, &rows)
}

fn threads(run: &RunResult) -> String {
    let Some(server) = &run.server else {
        return String::new();
    };
    let busy = server.threads.iter().filter(|t| t.cpu_s > 0.0);
    let mut rows: Vec<Vec<String>> = busy
        .map(|thread| {
            vec![
                format!("server: {}", thread.name),
                format!("{:.3}", thread.cpu_s),
                format!("{:.1} %", thread.cpu_share * 100.0),
                format!("{:.3}", thread.waited_s),
            ]
        })
        .collect();
    for (number, thread) in run.harness.threads.iter().enumerate() {
        rows.push(vec![
            format!("harness: {number}"),
            format!("{:.3}", thread.cpu_s),
            format!("{:.1} %", thread.cpu_share * 100.0),
            format!("{:.3}", thread.waited_share * run.traffic.seconds),
        ]);
    }
    let head = ["thread", "CPU s", "of a processor", "ready and waiting s"];
    table(&head, &rows)
}

fn drift(run: &RunResult) -> String {
    let Some(drift) = &run.drift else {
        return String::new();
    };
    let row = |name: &str, trend: crate::result::Trend| {
        vec![
            name.to_owned(),
            spell(trend.first),
            spell(trend.last),
            spell(trend.per_hour),
        ]
    };
    let all = [
        ("resident KiB", drift.rss_kib),
        ("open files", drift.server_files),
        ("p50 us", drift.p50_us),
        ("p99 us", drift.p99_us),
    ];
    // What was not asked for is zero.
    let known = all.into_iter().filter(|(_, trend)| trend.last > 0.0);
    let rows: Vec<Vec<String>> = known.map(|(name, trend)| row(name, trend)).collect();
    let head = ["drift", "first quarter", "last quarter", "per hour"];
    table(&head, &rows)
}

fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut html = String::from("<div class=\"wide\"><table><thead><tr>");
    for cell in head {
        let _ = write!(html, "<th>{}</th>", escape(cell));
    }
    html.push_str("</tr></thead><tbody>");
    for row in rows {
        html.push_str("<tr>");
        for cell in row {
            let _ = write!(html, "<td>{}</td>", escape(cell));
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>\n");
    html
}
