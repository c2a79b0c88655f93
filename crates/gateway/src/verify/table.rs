//! A report for people: a head, a line for each symbol, and what is wrong.

use super::Checked;
use super::json::{rate, recorded_rate};
use tapecast_ingest::verify::{ChainKind, Finding, FindingKind, Place, Report, Span, SymbolReport};
use tapecast_model::UnixNanos;

const COLUMNS: [&str; 15] = [
    "symbol",
    "messages",
    "per s",
    "refused",
    "chain",
    "checksums",
    "crossed",
    "quotes agree",
    "gaps",
    "healed in",
    "trades",
    "missing",
    "repeated",
    "first",
    "last",
];

/// One recording.
pub(super) fn recording(checked: &Checked) -> String {
    let path = checked.path.display();
    let report = match &checked.result {
        Ok(report) => report,
        Err(error) if error.starts_with(&path.to_string()) => {
            return format!("{error}\n\n");
        }
        Err(error) => return format!("{path}: {error}\n\n"),
    };
    let mut text = format!("{path}: {}\n", head(report));
    let rows: Vec<_> = report.symbols.iter().map(row).collect();
    text.push_str(&aligned(&rows));
    let mut say = |line: String| text.push_str(&format!("  {line}\n"));
    for symbol in &report.symbols {
        for found in symbol.findings() {
            say(format!("{}: {}", symbol.symbol, wrong(&found)));
        }
    }
    if let Some(unreadable) = report.unreadable() {
        let reasons = report.rejects.by_reason().filter(|(_, count)| *count > 0);
        let reasons: Vec<_> = reasons.map(|(reason, n)| format!("{reason} {n}")).collect();
        say(format!("{} ({})", wrong(&unreadable), reasons.join(", ")));
    }
    let unknown = report.rejects.total() - report.rejects.unreadable();
    if unknown > 0 {
        say(format!(
            "note: {} of unknown kinds",
            count(unknown, "message")
        ));
    }
    for left_out in &report.left_out {
        say(format!(
            "note: {} is not checked: {}",
            left_out.native, left_out.reason
        ));
    }
    for note in &checked.notes {
        say(format!("note: {note}"));
    }
    text.push('\n');
    text
}

/// What came of all.
pub(super) fn summary(all: &[Checked]) -> String {
    let right = all
        .iter()
        .filter(|c| c.result.as_ref().is_ok_and(Report::is_verified));
    let right = right.count();
    let unchecked = all.iter().filter(|checked| checked.result.is_err()).count();
    let mut text = format!("{}: {right} verified", count(all.len() as u64, "recording"));
    let wrong = all.len() - right - unchecked;
    if wrong > 0 {
        text.push_str(&format!(", {wrong} with something wrong"));
    }
    if unchecked > 0 {
        text.push_str(&format!(", {unchecked} not checked"));
    }
    text.push('\n');
    text
}

fn head(report: &Report) -> String {
    let verdict = match report.is_verified() {
        true => "verified",
        false => "SOMETHING IS WRONG",
    };
    let mut parts = vec![format!(
        "{}, {}",
        report.format.product(),
        count(report.messages, "message")
    )];
    let Span { first, last } = report.span;
    if let (Some(first), Some(lasted)) = (first, report.span.duration()) {
        parts.push(format!(
            "{} to {}, {:.1} s",
            spelled(first, "%F %T"),
            last.map_or_else(String::new, |last| spelled(last, "%T")),
            lasted.as_secs_f64()
        ));
    }
    let rates = (
        recorded_rate(report.messages, report.span),
        rate(report.messages, report.processing),
    );
    if let (Some(recorded), Some(processing)) = rates {
        parts.push(format!(
            "{recorded:.0}/s recorded, {processing:.0}/s checked"
        ));
    }
    format!("{verdict}\n  {}", parts.join("; "))
}

/// The fields of a symbol; nothing where there is nothing to check.
fn row(report: &SymbolReport) -> [String; COLUMNS.len()] {
    let SymbolReport {
        book,
        quotes,
        trades,
        gaps,
        span,
        ..
    } = report;
    let none = || "-".to_owned();
    let of = |passed: u64, failed: u64| match (passed, failed) {
        (0, 0) => none(),
        (passed, 0) => passed.to_string(),
        (passed, failed) => format!("{passed}/{}", passed + failed),
    };
    let if_any = |any: bool, value: u64| if any { value.to_string() } else { none() };
    let has_trades = trades.trades + trades.missing > 0;
    [
        report.symbol.to_string(),
        report.messages.to_string(),
        recorded_rate(report.messages, *span).map_or_else(none, |rate| format!("{rate:.1}")),
        if_any(report.rejects.total() > 0, report.rejects.total()),
        match book.chain {
            ChainKind::None if book.broken == 0 => none(),
            ChainKind::None | ChainKind::Numbers | ChainKind::Connection => {
                of(book.unbroken, book.broken)
            }
        },
        of(book.checksums_passed, book.checksums_failed),
        (book.crossed + quotes.crossed).to_string(),
        of(quotes.agreed, quotes.compared - quotes.agreed),
        match gaps.found {
            0 => "0".to_owned(),
            found => format!("{}/{found}", gaps.healed),
        },
        match gaps.healed {
            0 => none(),
            _ => format!("{:.3} s", gaps.longest.as_secs_f64()),
        },
        if_any(has_trades, trades.trades),
        if_any(has_trades, trades.missing),
        if_any(has_trades, trades.repeated),
        span.first.map_or_else(none, |time| spelled(time, "%T%.3f")),
        span.last.map_or_else(none, |time| spelled(time, "%T%.3f")),
    ]
}

/// A table without the columns in which no symbol has anything.
fn aligned(rows: &[[String; COLUMNS.len()]]) -> String {
    let is_used = |at: &usize| rows.iter().any(|row| row[*at] != "-");
    let used: Vec<usize> = (0..COLUMNS.len()).filter(is_used).collect();
    let width = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.chain([COLUMNS[at].len()]).max().unwrap_or(0)
    };
    let line = |cells: &dyn Fn(usize) -> String| {
        let cells = used.iter().map(|at| match at {
            0 => format!("{:width$}", cells(*at), width = width(*at)),
            _ => format!("{:>width$}", cells(*at), width = width(*at)),
        });
        format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text = line(&|at| COLUMNS[at].to_owned());
    for row in rows {
        text.push_str(&line(&|at| row[at].clone()));
    }
    text
}

fn wrong(finding: &Finding) -> String {
    let Finding { kind, times, first } = finding;
    let times = *times;
    let what = match kind {
        FindingKind::ChainBroken => format!("chain broken {}", count(times, "time")),
        FindingKind::ChecksumFailed => format!("{} failed", count(times, "checksum")),
        FindingKind::TradesMissing => format!("{} missing", count(times, "trade")),
        FindingKind::NoSnapshot => format!(
            "no snapshot of the book: {} could not be applied",
            count(times, "message")
        ),
        FindingKind::Unreadable => format!("{} cannot be read", count(times, "row")),
    };
    match first {
        Some(Place { row, reason }) => format!("{what}, first at row {row}: {reason}"),
        None => what,
    }
}

fn count(many: u64, noun: &str) -> String {
    match many {
        1 => format!("1 {noun}"),
        _ => format!("{many} {noun}s"),
    }
}

/// A time in UTC; only what the format asks for.
fn spelled(time: UnixNanos, format: &str) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(time.get())) {
        Ok(time) => time.strftime(format).to_string(),
        Err(_) => time.get().to_string(),
    }
}
