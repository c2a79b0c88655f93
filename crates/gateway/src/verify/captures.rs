//! Which recordings are checked, and in which format each is read.

use crate::config::ReplaySource;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use tapecast_ingest::replay::likely_formats;
use tapecast_ingest::venue::Format;
use tapecast_ingest::verify::Recording;
use tapecast_model::{Symbol, Venue};

/// A recording that is to be checked.
pub(super) struct Target {
    /// The file.
    pub(super) path: PathBuf,
    /// How it is read; none if its messages must show it.
    format: Option<Format>,
    /// The venue's name in topics; the format's name by default.
    venue: Option<Venue>,
    symbols: BTreeMap<String, Symbol>,
}

/// The recordings that a path on the command line stands for.
///
/// # Errors
/// If there is none.
pub(super) fn of(path: &Path, format: Option<Format>) -> Result<Vec<Target>, String> {
    if !path.is_dir() {
        return Ok(vec![Target::new(path.to_owned(), format)]);
    }
    let wrong = |error: &dyn Display| format!("{}: {error}", path.display());
    let entries = std::fs::read_dir(path).map_err(|error| wrong(&error))?;
    let mut found = Vec::new();
    for entry in entries {
        let file = entry.map_err(|error| wrong(&error))?.path();
        if file.is_file() && is_recording(&file) {
            found.push(file);
        }
    }
    if found.is_empty() {
        return Err(format!(
            "{}: no recordings in this directory; their names end in .jsonl, .jsonl.zst or .zst",
            path.display()
        ));
    }
    found.sort();
    let targets = found.into_iter().map(|file| Target::new(file, format));
    Ok(targets.collect())
}

fn is_recording(file: &Path) -> bool {
    let ending = file.extension().and_then(|ending| ending.to_str());
    matches!(ending, Some("jsonl" | "zst" | "zstd"))
}

// === impl Target ===

impl Target {
    const fn new(path: PathBuf, format: Option<Format>) -> Self {
        Self {
            path,
            format,
            venue: None,
            symbols: BTreeMap::new(),
        }
    }

    /// What a replay source reads.
    pub(super) fn of_source(source: ReplaySource) -> Self {
        Self {
            path: source.path,
            format: Some(source.format),
            venue: Some(source.venue),
            symbols: source.symbols,
        }
    }

    /// How it is read, and what the user should know of that.
    ///
    /// # Errors
    /// If its messages are of no known format.
    pub(super) fn recording(self) -> Result<(Recording, Vec<String>), String> {
        let path = self.path.display();
        let is_empty = std::fs::metadata(&self.path).is_ok_and(|m| m.is_file() && m.len() == 0);
        if is_empty {
            return Err(format!("{path} is empty"));
        }
        let mut notes = Vec::new();
        let format = match self.format {
            Some(format) => format,
            None => {
                let likely = likely_formats(&self.path).map_err(|error| error.to_string())?;
                let [format, others @ ..] = likely.as_slice() else {
                    return Err(format!(
                        "{path}: not supported: its messages are of no known format; tapecast verify --help lists \
                         the formats"
                    ));
                };
                if !others.is_empty() {
                    notes.push(format!(
                        "read as {format}; {} has the same messages: give --format if it is that",
                        list(others)
                    ));
                }
                *format
            }
        };
        let venue = match self.venue {
            Some(venue) => venue,
            None => Venue::new(format.label()).map_err(|error| error.to_string())?,
        };
        let recording = Recording {
            venue,
            format,
            path: self.path,
            symbols: self.symbols.into_iter().collect(),
        };
        Ok((recording, notes))
    }
}

fn list(formats: &[Format]) -> String {
    let names: Vec<_> = formats.iter().map(|format| format.label()).collect();
    names.join(", ")
}
