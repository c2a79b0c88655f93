//! The first reading of a recording: its content, and advice about a recording without usable content.
//!
//! Errors of single lines are reported within a limit, and only after at least one message could be read.

use super::{ReplayConfig, ReplayError, ScanReport};
use crate::aside::What;
use crate::capture::{Capture, CaptureError, Item, Row};
use crate::plan::{FeedPlan, LeftOut};
use crate::scan::RecordingScan;
use crate::venue::{Decoder, Format, MESSAGE_BYTES_MAX, Message, Reject};
use hashbrown::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

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
    let mut complaints = Complaints::default();
    while let Some(item) = capture.next_item() {
        let Row {
            file,
            number,
            used,
            message,
            ..
        } = match item {
            Item::Row(row) => row,
            Item::Aside(_, aside) => {
                if let What::Instrument(defined) = aside.what
                    && let Some((symbol, scales)) = defined.content()
                {
                    scan.define(&defined.native, symbol, scales, &defined.streams);
                }
                continue;
            }
        };
        let message = match message {
            Ok(message) => message,
            Err((broken, _)) => {
                report.broken_lines += 1;
                complaints.note((file, number), &broken, scan.has_heard());
                continue;
            }
        };
        if !used && message.http.is_some() {
            continue;
        }
        report.messages += 1;
        let faults = scan.faults();
        let result = if message.raw.len() > MESSAGE_BYTES_MAX {
            Err(Reject::Oversized)
        } else {
            decoder.read(message, &mut scan)
        };
        report.rejected += scan.faults() - faults + u64::from(result.is_err());
        if let Err(reject) = result {
            complaints.note((file, number), &reject, scan.has_heard());
        } else if scan.faults() > faults {
            let reason = "a part of the message cannot be read";
            complaints.note((file, number), &reason, scan.has_heard());
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
            likely: likely_formats(&config.path).unwrap_or_default(),
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

/// The formats in which most of a recording's first messages can be read, if they contain market data. Where one
/// decoder reads two products, the messages, or else the file's name, say which it is; several are left if neither
/// does.
///
/// # Errors
/// If the file is no recording.
pub fn likely_formats(path: &Path) -> Result<Vec<Format>, CaptureError> {
    let mut capture = Capture::open(path)?;
    let mut readers: Vec<_> = Format::ALL
        .into_iter()
        .map(|format| FormatReader {
            format,
            decoder: format.decoder(),
            scan: RecordingScan::new(format, HashMap::new()),
            read: 0,
            own: 0,
        })
        .collect();
    for _ in 0..SAMPLED_LINES {
        let message = match capture.next_item() {
            Some(Item::Row(Row {
                message: Ok(message),
                ..
            })) => message,
            Some(Item::Row(_)) => continue,
            Some(Item::Aside(_, aside)) => {
                if let What::Begin { format, .. } = aside.what
                    && let Ok(format) = format.parse()
                {
                    return Ok(vec![format]);
                }
                continue;
            }
            None => break,
        };
        readers.iter_mut().for_each(|reader| reader.read(&message));
    }
    readers.retain(|reader| reader.scan.has_heard());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let rank = |reader: &FormatReader| (reader.read, reader.own, named(&name, reader.format));
    let best = readers.iter().map(rank).max();
    readers.retain(|reader| Some(rank(reader)) == best);
    Ok(readers.iter().map(|reader| reader.format).collect())
}

/// One format, and how much of a recording it reads.
struct FormatReader {
    format: Format,
    decoder: Box<dyn Decoder>,
    scan: RecordingScan,
    /// Messages that can be read.
    read: u32,
    /// Messages that only this of two products has.
    own: u32,
}

impl FormatReader {
    fn read(&mut self, message: &Message<'_>) {
        let raw = &mut message.raw.to_vec();
        self.own += u32::from(is_own(self.format, message.raw));
        let Message { http, symbol, .. } = *message;
        let result = self
            .decoder
            .read(Message { raw, http, symbol }, &mut self.scan);
        self.read += u32::from(result.is_ok());
    }
}

/// Whether only this product has such messages, of two that one decoder reads.
fn is_own(format: Format, raw: &[u8]) -> bool {
    let has = |word: &str| memchr::memmem::find(raw, word.as_bytes()).is_some();
    let has_any = |words: &[&str]| words.iter().any(|word| has(word));
    match format {
        // Spot's trades have a flag that means nothing any more.
        Format::Binance => has("\"M\":") || (has("\"depthUpdate\"") && !has("\"pu\":")),
        Format::BinanceUsdm => has_any(&["\"pu\":", "\"X\":", "\"e\":\"bookTicker\""]),
        Format::BybitSpot => has("\"usdIndexPrice\":"),
        Format::BybitLinear => has_any(&["\"fundingRate\":", "\"openInterest\":"]),
        Format::Coinbase | Format::Kraken | Format::Okx => false,
    }
}

/// How much a file's name speaks for a format: words of the format's name and of its product's.
fn named(name: &str, format: Format) -> usize {
    let product = format.product().rsplit(' ').next();
    let words = format.label().split('-').chain(product);
    words.filter(|word| name.contains(word)).count()
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
#[derive(Default)]
struct Complaints {
    count: usize,
    held: Vec<(PathBuf, u64, String)>,
}

impl Complaints {
    /// Notes a line; the first ones are reported, what comes after is only counted.
    fn note(&mut self, (path, line): (&Path, u64), reason: &dyn fmt::Display, format_fits: bool) {
        self.count += 1;
        if self.count <= REPORTED_LINES_MAX + 1 {
            self.held.push((path.to_owned(), line, reason.to_string()));
        }
        if format_fits {
            self.say();
        }
    }

    fn say(&mut self) {
        let said = self.count.min(REPORTED_LINES_MAX + 1) - self.held.len();
        for (at, (path, line, reason)) in self.held.drain(..).enumerate() {
            let place = FilePosition { path: &path, line };
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
