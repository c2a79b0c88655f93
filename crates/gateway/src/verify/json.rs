//! A report as JSON. The help of the command lists the keys; they stay.

use super::Checked;
use serde_json::{Value, json};
use std::time::Duration;
use tapecast_ingest::verify::{Finding, Place, Rejects, Report, Span, SymbolReport};
use tapecast_model::UnixNanos;

/// All recordings.
pub(super) fn recordings(all: &[Checked]) -> Value {
    let is_verified = |checked: &Checked| checked.result.as_ref().is_ok_and(Report::is_verified);
    json!({
        "verified": all.iter().all(is_verified),
        "recordings": all.iter().map(recording).collect::<Vec<_>>(),
    })
}

fn recording(checked: &Checked) -> Value {
    let path = checked.path.display().to_string();
    let report = match &checked.result {
        Ok(report) => report,
        Err(error) => return json!({ "path": path, "verified": false, "error": error }),
    };
    let left_out = report.left_out.iter().map(
        |left_out| json!({ "native": left_out.native, "reason": left_out.reason.to_string() }),
    );
    json!({
        "path": path,
        "verified": report.is_verified(),
        "format": report.format.label(),
        "venue": report.venue.as_str(),
        "rows": report.rows,
        "messages": report.messages,
        "first": time(report.span.first),
        "last": time(report.span.last),
        "recorded_seconds": report.span.duration().map(|lasted| lasted.as_secs_f64()),
        "messages_per_recorded_second": recorded_rate(report.messages, report.span),
        "processing_seconds": report.processing.as_secs_f64(),
        "messages_per_processing_second": rate(report.messages, report.processing),
        "rejects": rejects(&report.rejects),
        "findings": report.unreadable().iter().map(finding).collect::<Vec<_>>(),
        "left_out": left_out.collect::<Vec<_>>(),
        "symbols": report.symbols.iter().map(symbol).collect::<Vec<_>>(),
    })
}

fn symbol(report: &SymbolReport) -> Value {
    let SymbolReport {
        book,
        quotes,
        trades,
        gaps,
        ..
    } = report;
    json!({
        "symbol": report.symbol.as_str(),
        "native": report.native,
        "verified": report.is_verified(),
        "messages": report.messages,
        "first": time(report.span.first),
        "last": time(report.span.last),
        "messages_per_recorded_second": recorded_rate(report.messages, report.span),
        "rejects": rejects(&report.rejects),
        "findings": report.findings().map(|found| finding(&found)).collect::<Vec<_>>(),
        "book": {
            "chain": book.chain.label(),
            "messages": book.messages,
            "snapshots": book.snapshots,
            "unbroken": book.unbroken,
            "broken": book.broken,
            "first_broken": place(book.first_broken.as_ref()),
            "checksums_passed": book.checksums_passed,
            "checksums_failed": book.checksums_failed,
            "first_failed": place(book.first_failed.as_ref()),
            "crossed": book.crossed,
            "old": book.old,
            "dropped": book.dropped,
        },
        "quotes": {
            "quotes": quotes.quotes,
            "crossed": quotes.crossed,
            "compared": quotes.compared,
            "agreed": quotes.agreed,
        },
        "trades": {
            "trades": trades.trades,
            "missing": trades.missing,
            "first_missing": place(trades.first_missing.as_ref()),
            "repeated": trades.repeated,
        },
        "gaps": {
            "found": gaps.found,
            "healed": gaps.healed,
            "longest_seconds": (gaps.healed > 0).then_some(gaps.longest.as_secs_f64()),
            "total_seconds": (gaps.healed > 0).then_some(gaps.total.as_secs_f64()),
        },
    })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "kind": finding.kind.label(),
        "times": finding.times,
        "first": place(finding.first.as_ref()),
    })
}

fn place(place: Option<&Place>) -> Value {
    place.map_or(
        Value::Null,
        |place| json!({ "row": place.row, "reason": place.reason }),
    )
}

fn rejects(rejects: &Rejects) -> Value {
    let some = rejects.by_reason().filter(|(_, count)| *count > 0);
    some.map(|(reason, count)| (reason.to_owned(), Value::from(count)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn time(time: Option<UnixNanos>) -> Option<String> {
    let time = jiff::Timestamp::from_nanosecond(i128::from(time?.get()));
    Some(time.ok()?.to_string())
}

/// Messages per second of recorded time; none without two times.
pub(super) fn recorded_rate(messages: u64, span: Span) -> Option<f64> {
    rate(messages, span.duration()?)
}

/// Messages per second; none in no time.
pub(super) fn rate(messages: u64, lasted: Duration) -> Option<f64> {
    let seconds = lasted.as_secs_f64();
    (seconds > 0.0).then(|| messages as f64 / seconds)
}
