//! Goal: a check of a recording says what is right and what is wrong with it, by the venue's own rules.
//!
//! Method: [`market`] writes recordings of every format, which are right. [`cuts`] takes rows out at random and
//! compares the report with [`truth`], a naive reader of the venues' published rules; it does the same with the
//! recordings that `TAPECAST_CAPTURES` names. [`reports`] damages recordings in single ways.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod cuts;
mod market;
mod reports;
mod truth;

use std::path::{Path, PathBuf};
use tapecast_ingest::venue::Format;
use tapecast_ingest::verify::{Recording, Report, SymbolReport, verify};
use tapecast_model::Venue;

/// Writes rows as a recording.
fn write(folder: &Path, rows: &[String]) -> PathBuf {
    let path = folder.join("recording.jsonl.zst");
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    std::fs::write(&path, zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
    path
}

/// Checks rows.
fn check(format: Format, rows: &[String]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let recording = Recording {
        venue: Venue::new("x").unwrap(),
        format,
        path: write(folder.path(), rows),
        symbols: hashbrown::HashMap::new(),
    };
    verify(recording).unwrap()
}

/// The report of the instrument that the venue calls so.
fn of<'a>(report: &'a Report, native: &str) -> &'a SymbolReport {
    let mut symbols = report.symbols.iter();
    symbols.find(|symbol| &*symbol.native == native).unwrap()
}
