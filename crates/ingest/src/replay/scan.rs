//! The first reading of a recording: its content, and advice about a recording without usable content.
//!
//! Errors of single lines are reported within a limit, and only after at least one message could be read.

use super::{ReplayConfig, ReplayError, ScanReport};
use crate::capture::{Capture, Row};
use crate::plan::{FeedPlan, LeftOut};
use crate::scan::RecordingScan;
use crate::venue::{Format, MESSAGE_BYTES_MAX, Message, Reject};
use hashbrown::HashMap;
use std::fmt;
use std::path::Path;

/// Lines that are reported one by one; what comes after is only counted.
const REPORTED_LINES_MAX: usize = 20;

/// Lines that show the format of a recording.
const SAMPLED_LINES: usize = 200;

/// The first reading: what the recording holds.
pub(super) fn scan(config: &ReplayConfig) -> Result<(FeedPlan, ScanReport), ReplayError> {
    let mut capture = Capture::open(&config.path)?;
    let mut scan = RecordingScan::new(config.format, config.symbols.clone());
    let mut decoder = config.format.decoder();
    let mut report = ScanReport::default();
    let mut complaints = Complaints::new(&config.path);
    while let Some(Row {
        number, message, ..
    }) = capture.next_row()
    {
        let message = match message {
            Ok(message) => message,
            Err((broken, _)) => {
                report.broken_lines += 1;
                complaints.note(number, &broken, scan.has_heard());
                continue;
            }
        };
        report.messages += 1;
        let faults = scan.faults();
        let result = if message.raw.len() > MESSAGE_BYTES_MAX {
            Err(Reject::Oversized)
        } else {
            decoder.read(message, &mut scan)
        };
        report.rejected += scan.faults() - faults + u64::from(result.is_err());
        if let Err(reject) = result {
            complaints.note(number, &reject, scan.has_heard());
        } else if scan.faults() > faults {
            let reason = "a part of the message cannot be read";
            complaints.note(number, &reason, scan.has_heard());
        }
    }
    let plan = scan.into_plan();
    if let ([], Some(LeftOut { reason, .. })) = (plan.instruments.as_slice(), plan.left_out.first())
    {
        return Err(ReplayError::LeftOut {
            path: config.path.clone(),
            count: plan.left_out.len(),
            first: reason.clone(),
        });
    }
    if plan.instruments.is_empty() {
        // One answer instead of a complaint about each line.
        return Err(ReplayError::Nothing {
            path: config.path.clone(),
            messages: report.messages,
            format: config.format,
            likely: likely_formats(config),
        });
    }
    complaints.say();
    report.left_out = plan.left_out.len() as u64;
    for LeftOut { native, reason } in plan.left_out.iter().take(REPORTED_LINES_MAX) {
        tracing::warn!(path = %config.path.display(), %native, %reason, "An instrument is not served");
    }
    if plan.left_out.len() > REPORTED_LINES_MAX {
        let count = plan.left_out.len();
        tracing::warn!(path = %config.path.display(), count, "More instruments are not served");
    }
    Ok((plan, report))
}

/// The formats in which most of a recording's first messages can be read, if they contain market data.
fn likely_formats(config: &ReplayConfig) -> Vec<Format> {
    let Ok(mut capture) = Capture::open(&config.path) else {
        return Vec::new();
    };
    let others = Format::ALL.into_iter().filter(|f| *f != config.format);
    let mut readers: Vec<_> = others
        .map(|f| (f, f.decoder(), RecordingScan::new(f, HashMap::new()), 0_u32))
        .collect();
    for _ in 0..SAMPLED_LINES {
        let Some(line) = capture.next_row() else {
            break;
        };
        let Ok(Message { raw, http, symbol }) = line.message else {
            continue;
        };
        for (_, decoder, scan, read) in &mut readers {
            let raw = &mut raw.to_vec();
            let result = decoder.read(Message { raw, http, symbol }, scan);
            *read += u32::from(result.is_ok());
        }
    }
    readers.retain(|(_, _, scan, _)| scan.has_heard());
    let most = readers.iter().map(|(.., read)| *read).max();
    let best = readers.iter().filter(|(.., read)| Some(*read) == most);
    best.map(|(format, ..)| *format).collect()
}

/// What to do about a recording of which nothing could be read.
pub(super) fn advice(likely: &[Format]) -> String {
    if likely.is_empty() {
        let known: Vec<_> = Format::ALL.iter().map(|f| f.product()).collect();
        return format!(
            "it has none of any other format either; the formats are {}",
            known.join(", ")
        );
    }
    let products: Vec<_> = likely.iter().map(|f| f.product()).collect();
    let names: Vec<_> = likely.iter().map(|f| format!("\"{f}\"")).collect();
    let (products, names) = (products.join(" or "), names.join(" or "));
    format!("it looks like {products}; set format = {names}")
}

/// What is wrong with single lines. Held back until something was read: a file of another format has
/// nothing but wrong lines, and is answered with one error.
struct Complaints<'a> {
    path: &'a Path,
    count: usize,
    held: Vec<(u64, String)>,
}

impl<'a> Complaints<'a> {
    const fn new(path: &'a Path) -> Self {
        Self {
            path,
            count: 0,
            held: Vec::new(),
        }
    }

    /// Notes a line; the first ones are reported, what comes after is only counted.
    fn note(&mut self, line: u64, reason: &dyn fmt::Display, format_fits: bool) {
        self.count += 1;
        if self.count <= REPORTED_LINES_MAX + 1 {
            self.held.push((line, reason.to_string()));
        }
        if format_fits {
            self.say();
        }
    }

    fn say(&mut self) {
        let said = self.count.min(REPORTED_LINES_MAX + 1) - self.held.len();
        for (at, (line, reason)) in self.held.drain(..).enumerate() {
            let place = FilePosition {
                path: self.path,
                line,
            };
            if said + at < REPORTED_LINES_MAX {
                tracing::warn!(%place, %reason, "Line skipped");
            } else {
                tracing::warn!(%place, "More lines are skipped; they are counted but not logged");
            }
        }
    }
}

/// A line of a file, as compilers write it.
struct FilePosition<'a> {
    path: &'a Path,
    line: u64,
}

impl fmt::Display for FilePosition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}
