//! What a recording holds, file by file.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tapecast_ingest::aside::What;
use tapecast_ingest::capture::{Capture, CaptureError, Item};
use tapecast_model::UnixNanos;

/// What a recording holds.
pub(super) struct Content {
    path: PathBuf,
    files: Vec<FileContent>,
}

/// What a file of it holds.
#[derive(Default)]
struct FileContent {
    path: PathBuf,
    venue: Option<String>,
    format: Option<String>,
    first: Option<u64>,
    last: Option<u64>,
    messages: u64,
    /// Of these messages.
    unused: u64,
    answers: u64,
    said: u64,
    opened: u64,
    closed: u64,
    dropped: u64,
    broken: u64,
    symbols: BTreeSet<String>,
}

// === impl Content ===

impl Content {
    /// Reads a recording from beginning to end.
    ///
    /// # Errors
    /// If it is none.
    pub(super) fn read(path: &Path) -> Result<Self, CaptureError> {
        let mut capture = Capture::open(path)?;
        let mut files = vec![FileContent::new(capture.path())];
        while let Some(item) = capture.next_item() {
            let note = Note::of(item);
            if files.last().is_some_and(|file| file.path != capture.path()) {
                files.push(FileContent::new(capture.path()));
            }
            if let Some(file) = files.last_mut() {
                file.take(note);
            }
        }
        let path = path.to_owned();
        Ok(Self { path, files })
    }

    /// All lines can be read, and no row is missing.
    pub(super) fn is_whole(&self) -> bool {
        self.files
            .iter()
            .all(|file| file.broken + file.dropped == 0)
    }

    pub(super) fn json(&self) -> String {
        let files: Vec<_> = self.files.iter().map(FileContent::json).collect();
        json!({"path": self.path, "files": files, "whole": self.is_whole()}).to_string()
    }

    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        for file in &self.files {
            file.write_to(&mut text);
        }
        let sum = |of: fn(&FileContent) -> u64| self.files.iter().map(of).sum::<u64>();
        let (messages, seconds) = (
            sum(|file| file.messages),
            self.files.iter().map(FileContent::seconds).sum::<f64>(),
        );
        let _ = write!(
            text,
            "{} files, {messages} messages, {seconds:.1} s",
            self.files.len()
        );
        match (sum(|file| file.dropped), sum(|file| file.broken)) {
            (0, 0) => text.push_str(": whole"),
            (dropped, broken) => {
                let _ = write!(
                    text,
                    ": {dropped} rows are missing, {broken} lines cannot be read"
                );
            }
        }
        text
    }
}

/// What a row adds.
enum Note {
    Message {
        at: Option<u64>,
        used: bool,
        http: bool,
    },
    Broken,
    Aside(u64, Box<What>),
}

impl Note {
    fn of(item: Item<'_>) -> Self {
        match item {
            Item::Row(row) => match row.message {
                Ok(message) => Self::Message {
                    at: row.ts.map(UnixNanos::get),
                    used: row.used,
                    http: message.http.is_some(),
                },
                Err(_) => Self::Broken,
            },
            Item::Aside(_, aside) => Self::Aside(aside.ts, Box::new(aside.what)),
        }
    }
}

// === impl FileContent ===

impl FileContent {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            ..Self::default()
        }
    }

    fn take(&mut self, note: Note) {
        match note {
            Note::Message { at, http: true, .. } => {
                self.answers += 1;
                self.note_time(at);
            }
            Note::Message { at, used, .. } => {
                self.messages += 1;
                self.unused += u64::from(!used);
                self.note_time(at);
            }
            Note::Broken => self.broken += 1,
            Note::Aside(at, what) => match *what {
                What::Begin { venue, format, .. } => {
                    (self.venue, self.format) = (Some(venue), Some(format));
                }
                What::Instrument(defined) => {
                    self.symbols.insert(defined.symbol);
                }
                What::Open { again: false, .. } => {
                    self.opened += 1;
                    self.note_time(Some(at));
                }
                What::Close { .. } => {
                    self.closed += 1;
                    self.note_time(Some(at));
                }
                What::Said { .. } => self.said += 1,
                What::Dropped { rows } => self.dropped += rows,
                _ => {}
            },
        }
    }

    fn note_time(&mut self, at: Option<u64>) {
        let Some(at) = at else { return };
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
    }

    fn seconds(&self) -> f64 {
        match (self.first, self.last) {
            (Some(first), Some(last)) => (last - first) as f64 / 1e9,
            _ => 0.0,
        }
    }

    fn json(&self) -> Value {
        json!({
            "path": self.path, "venue": self.venue, "format": self.format,
            "first": self.first, "last": self.last, "seconds": self.seconds(),
            "messages": self.messages, "unused": self.unused, "answers": self.answers, "said": self.said,
            "opened": self.opened, "closed": self.closed, "dropped": self.dropped, "broken": self.broken,
            "symbols": self.symbols,
        })
    }

    fn write_to(&self, text: &mut String) {
        let _ = writeln!(text, "{}", self.path.display());
        if let (Some(venue), Some(format)) = (&self.venue, &self.format) {
            let count = self.symbols.len();
            let some: Vec<_> = self.symbols.iter().take(5).map(String::as_str).collect();
            let more = if count > some.len() { ", …" } else { "" };
            let _ = writeln!(
                text,
                "  venue       {venue} ({format}), {count} instruments: {}{more}",
                some.join(", ")
            );
        }
        let seconds = self.seconds();
        let _ = writeln!(
            text,
            "  messages    {} in {seconds:.1} s, {} of them not used",
            self.messages, self.unused
        );
        let _ = writeln!(
            text,
            "  besides     {} answers, {} connections opened, {} ended, {} words of the gateway",
            self.answers, self.opened, self.closed, self.said
        );
        if self.dropped > 0 {
            let _ = writeln!(
                text,
                "  missing     {} rows: the disk was too slow, or full",
                self.dropped
            );
        }
        if self.broken > 0 {
            let _ = writeln!(
                text,
                "  broken      {} lines cannot be read; the end of the file may be missing",
                self.broken
            );
        }
    }
}
