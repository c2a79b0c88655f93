//! Which plots there are, and what is in them.

use super::plot::{Band, Line, Plot};
use super::scale::Kind;
use crate::result::{Latency, RunResult, Second};
use crate::scenario::Mode;

type Runs<'a> = [(String, &'a RunResult)];

/// The plots of a section; those without points draw nothing.
pub(super) fn of(section: usize, runs: &Runs<'_>) -> Vec<Plot> {
    let over_time = |id: &str, title: &str, y, spell, lines| {
        time_plot(&format!("{id}-{section}"), title, (y, spell), runs, lines)
    };
    let storm = |run: &RunResult| run.scenario.mode == Mode::ConnectStorm;
    let count = if runs.iter().all(|(_, run)| storm(run)) {
        let figure: [Figure; 1] = [("connections welcomed", false, |s| Some(s.welcomed as f64))];
        over_time(
            "throughput",
            "Connections welcomed per second",
            Kind::Linear,
            short,
            each(runs, &figure),
        )
    } else {
        let figure: [Figure; 1] = [("deliveries", false, |s| Some(s.deliveries))];
        over_time(
            "throughput",
            "Deliveries a second",
            Kind::Linear,
            short,
            each(runs, &figure),
        )
    };
    let latency: [Figure; 3] = [
        ("p99", false, |s| s.p99_us),
        ("p50", false, |s| s.p50_us),
        ("max", true, |s| s.max_us),
    ];
    // Of several runs one figure each, or nobody could tell the lines apart.
    let shown = if runs.len() > 1 { 1 } else { latency.len() };
    let cpu: [Figure; 2] = [
        ("server", false, |s| Some(s.server_cpu_share * 100.0)),
        ("harness", true, |s| Some(s.harness_cpu_share * 100.0)),
    ];
    let memory: [Figure; 1] = [("server, resident", false, |s| {
        Some(s.server_rss_kib as f64 / 1024.0)
    })];
    let outbox: [Figure; 1] = [("waiting for sockets", false, |s| {
        Some(s.outbox_bytes? / 1024.0)
    })];
    let files: [Figure; 1] = [("server", false, |s| s.server_files.map(|n| n as f64))];
    vec![
        percentiles(section, runs),
        count,
        over_time(
            "latency",
            "Latency of each second",
            Kind::Log,
            time,
            each(runs, &latency[..shown]),
        ),
        over_time(
            "memory",
            "Server memory, MiB",
            Kind::Linear,
            short,
            each(runs, &memory),
        ),
        over_time(
            "cpu",
            "Processor time, % of one processor",
            Kind::Linear,
            short,
            each(runs, &cpu),
        ),
        over_time(
            "outbox",
            "KiB waiting for full sockets",
            Kind::Linear,
            short,
            each(runs, &outbox),
        ),
        over_time(
            "files",
            "Open files of the server",
            Kind::Linear,
            short,
            each(runs, &files),
        ),
    ]
}

/// Name, whether it is drawn dashed, and where it is.
type Figure = (&'static str, bool, fn(&Second) -> Option<f64>);

/// A line for each figure of each run.
fn each(runs: &Runs<'_>, figures: &[Figure]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (number, (run_name, run)) in runs.iter().enumerate() {
        for (name, dashed, figure) in figures {
            let points = run.seconds.iter().filter_map(|s| Some([s.at, figure(s)?]));
            lines.push(Line {
                name: label(run_name, name),
                colour: if runs.len() > 1 { number } else { lines.len() },
                dashed: *dashed,
                points: points.collect(),
            });
        }
    }
    lines
}

fn label(run: &str, figure: &str) -> String {
    if run.is_empty() {
        figure.to_owned()
    } else {
        format!("{run}: {figure}")
    }
}

fn time_plot(
    id: &str,
    title: &str,
    (y, spell): (Kind, fn(f64) -> String),
    runs: &Runs<'_>,
    lines: Vec<Line>,
) -> Plot {
    let seconds = runs.first().map_or(&[][..], |(_, run)| &run.seconds);
    Plot {
        id: id.to_owned(),
        title: title.to_owned(),
        across: "seconds since the load began",
        x: Kind::Linear,
        y,
        spell,
        lines,
        bands: bands(seconds),
    }
}

/// The stretches of time that were not the measured window.
fn bands(seconds: &[Second]) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    let mut from = 0.0;
    let mut open = false;
    for second in seconds {
        let same = bands.last().is_some_and(|b| open && b.name == second.phase);
        open = second.phase != "measured";
        match bands.last_mut() {
            Some(band) if same && open => band.to = second.at,
            _ if open => bands.push(Band {
                from,
                to: second.at,
                name: second.phase.clone(),
            }),
            _ => {}
        }
        from = second.at;
    }
    bands
}

fn percentiles(section: usize, runs: &Runs<'_>) -> Plot {
    let mut lines: Vec<Line> = Vec::new();
    for (number, (run_name, run)) in runs.iter().enumerate() {
        let stall = run.stall.as_ref().map(|s| &s.latency_us);
        let joins = &run.joins;
        let storms = matches!(run.scenario.mode, Mode::ConnectStorm | Mode::Idle);
        let curves: [(&str, bool, Option<&Latency>); 5] = [
            ("intended time to arrival", false, Some(&run.latency_us)),
            ("the same with stalled clients", true, stall),
            (
                "to welcome",
                false,
                Some(&joins.to_welcome_us).filter(|_| storms),
            ),
            ("storm to snapshot", false, Some(&joins.to_snapshot_us)),
            (
                "own request to snapshot",
                true,
                Some(&joins.request_to_snapshot_us),
            ),
        ];
        for (name, dashed, latency) in curves {
            let Some(latency) = latency.filter(|l| l.count > 0) else {
                continue;
            };
            lines.push(Line {
                name: label(run_name, name),
                colour: if runs.len() > 1 { number } else { lines.len() },
                dashed,
                points: latency.curve.clone(),
            });
        }
    }
    Plot {
        id: format!("percentiles-{section}"),
        title: "Latency by percentile".into(),
        across: "share that took at most as long",
        x: Kind::Nines,
        y: Kind::Log,
        spell: time,
        lines,
        bands: Vec::new(),
    }
}

/// Microseconds in a unit that suits them.
pub(super) fn time(us: f64) -> String {
    match us {
        us if us >= 1e6 => format!("{} s", digits(us / 1e6)),
        us if us >= 1e3 => format!("{} ms", digits(us / 1e3)),
        us => format!("{} us", digits(us)),
    }
}

/// Bytes in a unit that suits them.
pub(super) fn bytes(bytes: f64) -> String {
    match bytes {
        b if b >= 1_073_741_824.0 => format!("{} GiB", digits(b / 1_073_741_824.0)),
        b if b >= 1_048_576.0 => format!("{} MiB", digits(b / 1_048_576.0)),
        b if b >= 1024.0 => format!("{} KiB", digits(b / 1024.0)),
        b => format!("{} B", digits(b)),
    }
}

/// A count in a unit that suits it.
pub(super) fn short(count: f64) -> String {
    match count {
        c if c >= 1e9 => format!("{} G", digits(c / 1e9)),
        c if c >= 1e6 => format!("{} M", digits(c / 1e6)),
        c if c >= 1e4 => format!("{} k", digits(c / 1e3)),
        c => digits(c),
    }
}

/// Three digits, and no zeros at the end.
fn digits(value: f64) -> String {
    let text = match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_in_units_that_suit_them() {
        let times = [0.5, 950.0, 1_500.0, 2e6].map(time);
        assert_eq!(times, ["0.5 us", "950 us", "1.5 ms", "2 s"]);
        let sizes = [0.0, 2048.0, 5.5 * 1_048_576.0].map(bytes);
        assert_eq!(sizes, ["0 B", "2 KiB", "5.5 MiB"]);
        let counts = [7.0, 9_999.0, 12_345.0, 14.43e6].map(short);
        assert_eq!(counts, ["7", "9999", "12.3 k", "14.4 M"]);
    }

    #[test]
    fn what_is_not_the_measured_window_is_shaded() {
        let second = |at: u32, phase: &str| Second {
            at: f64::from(at),
            phase: phase.into(),
            ..Second::default()
        };
        let seconds = [
            second(1, "warm-up"),
            second(2, "warm-up"),
            second(3, "measured"),
            second(4, "stalled"),
            second(5, "recovering"),
        ];
        let bands = bands(&seconds);
        let found: Vec<(&str, f64, f64)> = bands
            .iter()
            .map(|b| (b.name.as_str(), b.from, b.to))
            .collect();
        let expected = [
            ("warm-up", 0.0, 2.0),
            ("stalled", 3.0, 4.0),
            ("recovering", 4.0, 5.0),
        ];
        assert_eq!(found, expected);
    }
}
