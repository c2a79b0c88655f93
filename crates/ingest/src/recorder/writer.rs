//! The files of a recording: begun, flushed, ended, and begun again.

use super::{FLUSH_EVERY, Row};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tapecast_model::{Mono, RateLimit, UnixNanos};
use zstd::stream::write::Encoder;

/// Where a recording is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecorderConfig {
    /// The directory; it is made if it is not there.
    pub dir: PathBuf,
    /// The names of files begin with it.
    pub name: String,
    /// A file that is larger, before compression, is ended.
    pub file_bytes_max: u64,
    /// A file that is older is ended.
    pub file_span_max: Duration,
}

/// Writes rows to files. It has no thread and no clock.
pub struct Writer {
    config: RecorderConfig,
    file: Option<Segment>,
    /// Open lines, with what begins each file: where to, and what we have sent.
    lines: BTreeMap<u32, Vec<Row>>,
    /// Rows that could not be written and are not yet said in a file.
    unsaid: u64,
    /// No file is tried before.
    pause: Mono,
    text: String,
    log: RateLimit,
}

struct Segment {
    encoder: Encoder<'static, File>,
    bytes: u64,
    begun: Mono,
    flushed: Mono,
    /// Something was written since.
    is_dirty: bool,
}

/// How long after a failure another file is tried.
const RETRY: Duration = Duration::from_secs(1);
/// Fast enough for every feed, and a tenth of the text.
const LEVEL: i32 = 3;
/// Messages of ours that are kept for the beginning of files, per line.
const SENT_KEPT: usize = 4_096;

// === impl RecorderConfig ===

impl RecorderConfig {
    /// Files of an hour or a gigabyte of text.
    pub fn new(dir: &Path, name: &str) -> Self {
        Self {
            dir: dir.to_owned(),
            name: name.to_owned(),
            file_bytes_max: 1 << 30,
            file_span_max: Duration::from_secs(3_600),
        }
    }
}

// === impl Writer ===

impl Writer {
    /// A writer without a file yet.
    ///
    /// # Errors
    /// If the directory cannot be written.
    pub fn new(config: RecorderConfig) -> io::Result<Self> {
        fs::create_dir_all(&config.dir)?;
        let probe = config.dir.join(format!(".{}.probe", config.name));
        File::create(&probe)?;
        fs::remove_file(&probe)?;
        Ok(Self {
            config,
            file: None,
            lines: BTreeMap::new(),
            unsaid: 0,
            pause: Mono::default(),
            text: String::new(),
            log: RateLimit::of_log_lines(),
        })
    }

    /// Writes a row. Returns how many rows are not in any file because of a failure.
    pub fn write(&mut self, row: Row, now: Mono) -> u64 {
        let written = self.try_write(&row, now);
        self.note(row);
        match written {
            Ok(true) => 0,
            Ok(false) => {
                self.unsaid += 1;
                1
            }
            Err(error) => {
                self.unsaid += 1;
                self.give_up(&error, now);
                1
            }
        }
    }

    /// Flushes what has waited, and ends a file that is old.
    pub fn handle_time(&mut self, now: Mono) {
        let Some(segment) = &mut self.file else {
            return;
        };
        let RecorderConfig {
            file_bytes_max,
            file_span_max,
            ..
        } = self.config;
        if segment.bytes >= file_bytes_max || now - segment.begun >= file_span_max {
            return self.end(now);
        }
        if segment.is_dirty && now - segment.flushed >= FLUSH_EVERY {
            (segment.flushed, segment.is_dirty) = (now, false);
            if let Err(error) = segment.encoder.flush() {
                self.give_up(&error, now);
            }
        }
    }

    /// Ends the file.
    pub fn finish(mut self) {
        self.end(Mono::default());
    }

    fn end(&mut self, now: Mono) {
        if let Some(segment) = self.file.take()
            && let Err(error) = segment.encoder.finish()
        {
            self.give_up(&error, now);
        }
    }

    /// False: it is too early for another try.
    fn try_write(&mut self, row: &Row, now: Mono) -> io::Result<bool> {
        self.text.clear();
        if self.file.is_none() {
            if now < self.pause {
                return Ok(false);
            }
            self.file = Some(self.begin(row.at(), now)?);
            for row in self.lines.values().flatten() {
                row.write_to(&mut self.text);
            }
            if self.unsaid > 0 {
                let (at, rows) = (row.at(), self.unsaid);
                Row::Dropped { at, rows }.write_to(&mut self.text);
            }
        }
        row.write_to(&mut self.text);
        let Some(segment) = &mut self.file else {
            return Ok(false);
        };
        segment.encoder.write_all(self.text.as_bytes())?;
        segment.bytes += self.text.len() as u64;
        segment.is_dirty = true;
        self.unsaid = 0;
        Ok(true)
    }

    /// A new file. Its name sorts by time.
    fn begin(&self, at: UnixNanos, now: Mono) -> io::Result<Segment> {
        let RecorderConfig { dir, name, .. } = &self.config;
        let mut nanos = at.get();
        let file = loop {
            let path = dir.join(format!("{name}_{nanos:020}.jsonl.zst"));
            match File::create_new(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => nanos += 1,
                opened => break opened?,
            }
        };
        Ok(Segment {
            encoder: Encoder::new(file, LEVEL)?,
            bytes: 0,
            begun: now,
            flushed: now,
            is_dirty: false,
        })
    }

    /// Keeps what the next file begins with.
    fn note(&mut self, row: Row) {
        match row {
            Row::Open { line, .. } => {
                self.lines.insert(line, vec![row]);
            }
            Row::Close { line, .. } => {
                self.lines.remove(&line);
            }
            Row::Sent { line, .. } => {
                if let Some(kept) = self.lines.get_mut(&line)
                    && kept.len() < SENT_KEPT
                {
                    kept.push(row);
                }
            }
            Row::Message { .. } | Row::Answer { .. } | Row::Dropped { .. } => {}
        }
    }

    /// The file cannot be written: another one is tried later.
    fn give_up(&mut self, error: &io::Error, now: Mono) {
        self.file = None;
        self.pause = now.after(RETRY);
        if let Some(more) = self.log.pass(now) {
            let dir = self.config.dir.display();
            tracing::warn!(%error, %dir, more, "The recording cannot be written; it is tried again every second");
        }
    }
}
