//! The files of a recording: begun, flushed, ended, and begun again.

use super::{FLUSH_EVERY, Row};
use crate::aside::{Aside, Defined, VERSION, What};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tapecast_model::{Mono, RateLimit, UnixNanos};
use zstd::stream::write::Encoder;

/// What is recorded, and where it is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecorderConfig {
    /// The directory; it is made if it is not there.
    pub dir: PathBuf,
    /// The venue's name in topics; the names of files begin with it.
    pub venue: String,
    /// The format of the messages.
    pub format: String,
    /// A file that is larger, before compression, is ended.
    pub file_bytes_max: u64,
    /// A file that is older is ended.
    pub file_span_max: Duration,
}

/// Writes rows to files. It has no thread and no clock.
pub struct Writer {
    config: RecorderConfig,
    open: Open,
    file: Option<Segment>,
    /// Instruments that are served, by the venue's id: they begin each file.
    defined: BTreeMap<String, Defined>,
    /// Open lines, with what begins each file: where to, and what we have sent.
    lines: BTreeMap<u32, Vec<Row>>,
    /// Rows that could not be written and are not yet said in a file.
    unsaid: u64,
    /// Files that were begun.
    begun: u64,
    /// No file is tried before.
    pause: Mono,
    /// Failures in a row.
    failures: u32,
    text: String,
    log: RateLimit,
}

/// A file that is written.
pub(super) type Out = Box<dyn Write + Send>;

/// Makes a file that is not there yet.
pub(super) type Open = fn(&Path) -> io::Result<Out>;

struct Segment {
    path: PathBuf,
    encoder: Encoder<'static, Out>,
    bytes: u64,
    begun: Mono,
    flushed: Mono,
    /// Rows since.
    unflushed: u64,
    /// Rows that it says are missing, since.
    said: u64,
    /// Something of it is on the disk.
    is_on_disk: bool,
}

/// How long after a failure another file is tried; twice as long after each further one.
const RETRY: Duration = Duration::from_secs(1);
/// It is tried at least so often.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Fast enough for every feed, and a tenth of the text.
const LEVEL: i32 = 3;
/// Messages of ours that are kept for the beginning of files, per line.
const SENT_KEPT: usize = 4_096;

// === impl RecorderConfig ===

impl RecorderConfig {
    /// Makes the directory, if it is not there, and sees whether it can be written.
    ///
    /// # Errors
    /// If it cannot.
    pub fn check(&self) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let probe = self.dir.join(format!(".{}.probe", self.venue));
        File::create(&probe)?;
        fs::remove_file(&probe)
    }

    /// Files of an hour or a gigabyte of text.
    pub fn new(dir: &Path, venue: &str, format: &str) -> Self {
        Self {
            dir: dir.to_owned(),
            venue: venue.to_owned(),
            format: format.to_owned(),
            file_bytes_max: 1 << 30,
            file_span_max: Duration::from_secs(3_600),
        }
    }
}

// === impl Writer ===

impl Writer {
    /// A writer without a file yet.
    pub fn new(config: RecorderConfig) -> Self {
        Self::with_open(config, |path| Ok(Box::new(File::create_new(path)?)))
    }

    /// The same with another way to make files.
    pub(super) fn with_open(config: RecorderConfig, open: Open) -> Self {
        Self {
            config,
            open,
            file: None,
            defined: BTreeMap::new(),
            lines: BTreeMap::new(),
            unsaid: 0,
            begun: 0,
            pause: Mono::default(),
            failures: 0,
            text: String::new(),
            log: RateLimit::of_log_lines(),
        }
    }

    /// Files that were begun.
    pub const fn begun(&self) -> u64 {
        self.begun
    }

    /// Writes a row. Returns how many rows are not in any file because of a failure: perhaps some more were not
    /// lost than is said, as the system does not tell.
    pub fn write(&mut self, mut row: Row, now: Mono) -> u64 {
        row.hide_secrets();
        let lost = match self.try_write(&row, now) {
            Ok(true) => 0,
            Ok(false) => {
                self.unsaid += 1;
                1
            }
            Err(error) => {
                self.unsaid += 1;
                1 + self.give_up(&error, now)
            }
        };
        self.note(row);
        lost
    }

    /// Flushes what has waited, and ends a file that is old. Returns how many rows are lost.
    pub fn handle_time(&mut self, now: Mono) -> u64 {
        let Some(segment) = &mut self.file else {
            return 0;
        };
        let RecorderConfig {
            file_bytes_max,
            file_span_max,
            ..
        } = self.config;
        if segment.bytes >= file_bytes_max || now - segment.begun >= file_span_max {
            return self.end(now);
        }
        if segment.unflushed > 0 && now - segment.flushed >= FLUSH_EVERY {
            // Whoever has taken the file away wants another one.
            let flushed = segment
                .encoder
                .flush()
                .and_then(|()| fs::metadata(&segment.path));
            if let Err(error) = flushed {
                return self.give_up(&error, now);
            }
            (segment.flushed, segment.unflushed, segment.said) = (now, 0, 0);
            segment.is_on_disk = true;
            if std::mem::take(&mut self.failures) > 0 {
                let dir = self.config.dir.display();
                tracing::info!(%dir, "The recording is written again");
            }
        }
        0
    }

    /// Ends the file. Returns how many rows are lost.
    pub fn finish(mut self) -> u64 {
        self.end(Mono::default())
    }

    fn end(&mut self, now: Mono) -> u64 {
        let Some(segment) = self.file.take() else {
            return 0;
        };
        let (unflushed, said) = (segment.unflushed, segment.said);
        match segment.encoder.finish() {
            Ok(_) => 0,
            Err(error) => {
                self.complain(&error, now);
                self.unsaid += unflushed + said;
                unflushed
            }
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
            self.begun += 1;
            self.write_heading(row.at());
            if let Some(segment) = &mut self.file {
                segment.said = std::mem::take(&mut self.unsaid);
            }
        }
        row.write_to(&mut self.text);
        let Some(segment) = &mut self.file else {
            return Ok(false);
        };
        segment.encoder.write_all(self.text.as_bytes())?;
        segment.bytes += self.text.len() as u64;
        segment.unflushed += 1;
        Ok(true)
    }

    /// What makes a file complete in itself: who wrote it, instruments, open lines and what was asked for on them.
    fn write_heading(&mut self, at: UnixNanos) {
        let RecorderConfig { venue, format, .. } = &self.config;
        let begin = What::Begin {
            version: VERSION,
            venue: venue.clone(),
            format: format.clone(),
            first: self.begun == 1,
        };
        Row::aside(at, begin).write_to(&mut self.text);
        for defined in self.defined.values() {
            Row::aside(at, What::Instrument(defined.clone())).write_to(&mut self.text);
        }
        for row in self.lines.values().flatten() {
            row.write_to(&mut self.text);
        }
        if self.unsaid > 0 {
            let rows = self.unsaid;
            Row::aside(at, What::Dropped { rows }).write_to(&mut self.text);
        }
    }

    /// A new file. Its name sorts by time.
    fn begin(&self, at: UnixNanos, now: Mono) -> io::Result<Segment> {
        let RecorderConfig { dir, venue, .. } = &self.config;
        fs::create_dir_all(dir)?;
        let mut nanos = at.get();
        let (path, file) = loop {
            let path = dir.join(format!("{venue}_{nanos:020}.jsonl.zst"));
            match (self.open)(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => nanos += 1,
                opened => break (path, opened?),
            }
        };
        Ok(Segment {
            path,
            encoder: Encoder::new(file, LEVEL)?,
            bytes: 0,
            begun: now,
            flushed: now,
            unflushed: 0,
            said: 0,
            is_on_disk: false,
        })
    }

    /// Keeps what the next file begins with.
    fn note(&mut self, row: Row) {
        let Row::Aside(Aside { what, ts }) = row else {
            return;
        };
        match what {
            What::Instrument(defined) => {
                self.defined.insert(defined.native.clone(), defined);
            }
            What::Open { line, url, .. } => {
                let again = true;
                let what = What::Open { line, url, again };
                self.lines
                    .insert(line, vec![Row::Aside(Aside { what, ts })]);
            }
            What::Close { line, .. } => {
                self.lines.remove(&line);
            }
            What::Sent { line, .. } => {
                if let Some(kept) = self.lines.get_mut(&line)
                    && kept.len() < SENT_KEPT
                {
                    kept.push(Row::Aside(Aside { what, ts }));
                }
            }
            _ => {}
        }
    }

    /// The file cannot be written: another one is tried later. Returns how many rows may be lost with it.
    fn give_up(&mut self, error: &io::Error, now: Mono) -> u64 {
        let mut lost = 0;
        if let Some(segment) = self.file.take() {
            lost = segment.unflushed;
            self.unsaid += lost + segment.said;
            if !segment.is_on_disk {
                // Nothing can be read of it, and a long outage must not leave thousands.
                let _ = fs::remove_file(&segment.path);
            }
        }
        let pause = RETRY * (1 << self.failures.min(6));
        self.failures = self.failures.saturating_add(1);
        self.pause = now.after(pause.min(RETRY_MAX));
        self.complain(error, now);
        lost
    }

    fn complain(&mut self, error: &io::Error, now: Mono) {
        if let Some(more) = self.log.pass(now) {
            let dir = self.config.dir.display();
            tracing::warn!(%error, %dir, more, "The recording cannot be written; it is tried again, at least once a minute");
        }
    }
}
