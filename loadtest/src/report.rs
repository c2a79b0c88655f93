//! Results as one page: verdicts, figures and plots, with everything in the file itself.
//!
//! No script, no font, no picture from elsewhere: the page opens from a file, without a network. The
//! results it shows are in it as JSON, so that nobody has to keep both. Runs of one scenario are drawn
//! over one another.

use crate::compare::spell;
use crate::result::{AnyResult, RunResult};
use std::collections::BTreeMap;
use std::fmt::Write as _;

mod charts;
mod plot;
mod scale;
mod tables;

const STYLE: &str = include_str!("report/page.css");

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Nothing in the results is a run.
    #[error("there is nothing to show; name at least one result of `loadtest run`")]
    NoRuns,
    /// The results cannot be embedded.
    #[error("cannot write the results into the page: {0}")]
    Json(#[from] serde_json::Error),
}

/// Runs of one scenario, and what they are called in legends.
struct Section<'a> {
    name: &'a str,
    runs: Vec<(String, &'a RunResult)>,
}

/// The page.
///
/// # Errors
/// If there is no run among the results.
pub fn page(results: &[AnyResult]) -> Result<String, ReportError> {
    let sections = sections(results);
    if sections.is_empty() {
        return Err(ReportError::NoRuns);
    }
    let names: Vec<&str> = sections.iter().map(|s| s.name).collect();
    let title = format!("loadtest: {}", names.join(", "));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title>\n<style>\n{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n",
        title = escape(&title)
    );
    for (index, section) in sections.iter().enumerate() {
        section.write(index, &mut page);
    }
    // Nothing in JSON but a string may hold this character, and there it may be written so.
    let json = serde_json::to_string(results)?.replace('<', "\\u003c");
    let _ = write!(
        page,
        "<details><summary>All figures, as JSON in this page: the text of the element \
         <code>#results</code></summary></details>\n\
         <script type=\"application/json\" id=\"results\">{json}</script>\n</body></html>\n"
    );
    Ok(page)
}

fn sections(results: &[AnyResult]) -> Vec<Section<'_>> {
    let mut by_name: BTreeMap<&str, Vec<(String, &RunResult)>> = BTreeMap::new();
    for (file, result) in results.iter().enumerate() {
        let runs = result.runs();
        for (number, run) in runs.iter().enumerate() {
            let name = match (results.len(), runs.len()) {
                (1, 1) => String::new(),
                (1, _) => format!("run {}", number + 1),
                (_, 1) => format!("result {}", file + 1),
                _ => format!("result {}, run {}", file + 1, number + 1),
            };
            let section = by_name.entry(run.scenario.name.as_str());
            section.or_default().push((name, run));
        }
    }
    let section = |(name, runs)| Section { name, runs };
    by_name.into_iter().map(section).collect()
}

/// Text as it may stand anywhere in the page.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c => safe.push(c),
        }
    }
    safe
}

// === impl Section ===

impl Section<'_> {
    fn write(&self, index: usize, page: &mut String) {
        let Some((_, first)) = self.runs.first() else {
            return;
        };
        let _ = write!(
            page,
            "<h2>{}</h2>\n<p>{}</p>\n<p class=\"quiet\">{}</p>\n",
            escape(self.name),
            escape(&first.scenario.sentence()),
            escape(&circumstances(first))
        );
        if !first.heading.note.is_empty() {
            let _ = writeln!(page, "<p>{}</p>", escape(&first.heading.note));
        }
        for (name, run) in &self.runs {
            page.push_str(&verdicts(name, run));
        }
        if let [(name, _), _, ..] = self.runs.as_slice() {
            let text = "; all of them are in the table below the plots.";
            let _ = writeln!(
                page,
                "<p class=\"quiet\">Figures of {}{text}</p>",
                escape(name)
            );
        }
        page.push_str(&tables::cards(first));
        page.push_str("<div class=\"plots\">\n");
        for plot in charts::of(index, &self.runs) {
            page.push_str(&plot.figure());
        }
        page.push_str("</div>\n");
        page.push_str(&tables::of(&self.runs));
    }
}

/// Where, when and on what.
fn circumstances(run: &RunResult) -> String {
    let heading = &run.heading;
    let machine = &heading.machine;
    let seconds = heading.started_unix_ms / 1_000;
    let mut text = format!(
        "{}, {} processors, {}, {} MiB, load average {:.1} at the start",
        machine.cpu_model,
        machine.cpus,
        machine.kernel,
        machine.memory_kib / 1024,
        machine.load_1m
    );
    if !machine.governor.is_empty() {
        let _ = write!(text, ", governor {}", machine.governor);
    }
    let placement = &heading.placement;
    let list = |cpus: &[usize]| match cpus {
        [] => "anywhere".to_owned(),
        cpus => {
            let cpus: Vec<String> = cpus.iter().map(usize::to_string).collect();
            format!("on {}", cpus.join(","))
        }
    };
    let _ = write!(
        text,
        "; server {}, harness {}; {} UTC; {}",
        list(&placement.server_cpus),
        list(&placement.own_cpus),
        utc(seconds),
        if heading.server_version.is_empty() {
            "a server that ran already"
        } else {
            &heading.server_version
        }
    );
    text
}

/// Date and time of seconds since 1970, to the minute.
fn utc(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    time.strftime("%Y-%m-%d %H:%M").to_string()
}

fn verdicts(name: &str, run: &RunResult) -> String {
    let mut html = String::new();
    let whose = match name {
        "" => String::new(),
        name => format!("{name}: "),
    };
    let mut say = |class: &str, text: String| {
        let _ = writeln!(
            html,
            "<p class=\"verdict {class}\">{}{}</p>",
            escape(&whose),
            escape(&text)
        );
    };
    if run.clean {
        let verified = run.traffic.verified_frames;
        say(
            "good",
            match verified {
                0 => "Clean: no client was refused or disconnected.".to_owned(),
                _ => format!(
                    "Clean: {verified} frames verified, nothing lost unannounced, everybody ended \
                     with the right state."
                ),
            },
        );
    } else {
        say("bad", format!("Not clean: {}.", run.failures.join("; ")));
    }
    let announced = run.integrity.announced_lost;
    if announced > 0 {
        say(
            "warn",
            format!("{announced} events were lost and announced."),
        );
    }
    if run.harness_limited {
        let reasons = run.harness_limited_reasons.join("; ");
        say(
            "warn",
            format!(
                "The harness may have been the bottleneck, do not trust throughput and latency: \
                 {reasons}."
            ),
        );
    } else {
        let harness = &run.harness;
        let text = format!(
            "The harness was not the bottleneck: its busiest thread computed {:.0} % of the time, \
             its longest turn took {:.1} ms, no event was made more than {:.1} ms late.",
            harness.cpu_share * 100.0,
            harness.turn_max_us / 1e3,
            harness.publish_late_max_us / 1e3
        );
        say("good", text);
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01 00:00");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00");
        assert_eq!(utc(1_786_309_548), "2026-08-09 21:05");
    }

    #[test]
    fn text_cannot_break_out() {
        assert_eq!(escape("<a b=\"c\">&"), "&lt;a b=&quot;c&quot;&gt;&amp;");
    }

    #[test]
    fn nothing_to_show_is_said() {
        let error = page(&[]).unwrap_err().to_string();
        assert!(error.contains("loadtest run"), "{error}");
    }
}
