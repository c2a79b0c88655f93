//! Recordings of venues' messages: JSON lines, zstd or plain, read as a stream.
//!
//! A line is `{"ts":<receive time, ns>,"raw":"<frame text>"}`; rows that were fetched over HTTP also have
//! `http` and `symbol`. A line may also be a message alone, without a receive time. A byte order mark at
//! the beginning of the file, carriage returns and blank lines are skipped. What [`crate::recorder`] writes also says
//! on which `line` a message came and whether it was `used`, and has rows that are no messages: [`Aside`]s.
//!
//! A directory is read as one recording: its files in order of name.
//!
//! # Limits
//! One line of at most [`LINE_BYTES_MAX`] is in memory at a time. A longer line is skipped without being
//! stored, and reported as broken.
//!
//! # Wrong input
//! A file that is not a recording is an error on opening. A broken line is an item like any other, with
//! its number and what is wrong; an incomplete file ends with one. So does a file of a directory that is none, such as
//! one that a crash has left empty; the next one follows.

use crate::aside::{Aside, PREFIX, VERSION, What};
use crate::venue::Message;
use crate::venue::cursor::{Cursor, Scalar, Syntax, Text};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use tapecast_model::UnixNanos;

/// The longest line that is stored.
pub const LINE_BYTES_MAX: usize = 64 << 20;

/// A recording being read.
pub struct Capture {
    reader: Box<dyn BufRead + Send>,
    number: u64,
    line: Vec<u8>,
    row: RowFields,
    ended: bool,
    /// The file that is read.
    path: PathBuf,
    /// Those that follow.
    rest: VecDeque<PathBuf>,
}

/// Why a file cannot be read as a recording.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// It cannot be opened or read.
    #[error("cannot read {}: {source}; correct the source's path{}", path.display(), begins(path))]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory without recordings.
    #[error("{}: no recordings in this directory; their names end in .jsonl, .jsonl.zst or .zst{}", path.display(), named(below))]
    Empty {
        /// The directory.
        path: PathBuf,
        /// Directories in it that have some.
        below: Vec<PathBuf>,
    },
    /// It is neither zstd nor JSON lines.
    #[error(
        "{} is not a recording: it is neither zstd nor plain JSON lines{}; write one JSON object per line",
        path.display(),
        if *.named_zstd { "" } else { ", and its first line is not JSON" }
    )]
    NotACapture {
        /// The file.
        path: PathBuf,
        /// Its name says that it is zstd.
        named_zstd: bool,
    },
}

/// Where a relative path begins, which those who wrote it may not expect.
fn begins(path: &Path) -> &'static str {
    match path.is_relative() {
        true => ", which begins in the directory where the program was started",
        false => "",
    }
}

/// Names directories that have recordings.
fn named(directories: &[PathBuf]) -> String {
    let names: Vec<_> = directories
        .iter()
        .take(5)
        .map(|path| path.display().to_string())
        .collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("; there are some in {}", names.join(", ")),
    }
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BrokenRow {
    /// It is not JSON.
    #[error("not JSON: {0}")]
    Syntax(#[from] Syntax),
    /// It is not UTF-8.
    #[error("not UTF-8")]
    Utf8,
    /// It is not a recording's line.
    #[error("{0}")]
    Shape(&'static str),
    /// It is longer than [`LINE_BYTES_MAX`].
    #[error("longer than 64 MiB")]
    TooLong,
    /// The file cannot be read any further.
    #[error("the file is incomplete or damaged here")]
    CutOff,
}

/// One row: one line of the file.
pub struct Row<'a> {
    /// The file that it is in.
    pub file: &'a Path,
    /// Its number there, from 1.
    pub number: u64,
    /// When the message was received, if the recording says.
    pub ts: Option<UnixNanos>,
    /// The line on which it came, if the recording says.
    pub line: Option<u32>,
    /// Whether what it says was passed on when it was recorded.
    pub used: bool,
    /// Its message, or what is wrong with it and the bytes that were read.
    pub message: Result<Message<'a>, (BrokenRow, &'a [u8])>,
}

/// What a line of a recording is.
pub enum Item<'a> {
    /// A message, or what is wrong with the line.
    Row(Row<'a>),
    /// Something else that its recorder wrote, and the number of its line.
    Aside(u64, Aside),
}

/// What was read.
enum Reading {
    Row(Result<(), BrokenRow>),
    Aside(Aside),
}

/// What a line says, unescaped.
#[derive(Default)]
struct RowFields {
    ts: Option<UnixNanos>,
    raw: Vec<u8>,
    http: Option<String>,
    symbol: Option<String>,
    line: Option<u32>,
    unused: bool,
}

// === impl Capture ===

impl Capture {
    /// Opens a recording.
    ///
    /// # Errors
    /// If there is none.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let io = |source| CaptureError::Io {
            path: path.to_owned(),
            source,
        };
        let metadata = std::fs::metadata(path).map_err(io)?;
        if metadata.is_dir() {
            return Self::open_all(files_of(path)?, path);
        }
        // Other kinds of files may block, or never end.
        if !metadata.is_file() {
            return Err(io(io::Error::other("it is not a file")));
        }
        let file = File::open(path).map_err(io)?;
        Self::read(file, path, READ_BYTES)
    }

    /// Opens the first of the files of a directory that is a recording.
    fn open_all(files: Vec<PathBuf>, directory: &Path) -> Result<Self, CaptureError> {
        let mut rest = VecDeque::from(files);
        let mut wrong = CaptureError::Empty {
            path: directory.to_owned(),
            below: Vec::new(),
        };
        while let Some(path) = rest.pop_front() {
            match Self::open(&path) {
                Ok(capture) => return Ok(Self { rest, ..capture }),
                Err(error) if rest.is_empty() => wrong = error,
                Err(_) => {
                    tracing::warn!(path = %path.display(), "This file is no recording; it is skipped")
                }
            }
        }
        Err(wrong)
    }

    /// The file that is read now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a recording from any source; `path` is its name, `read_bytes` how much is read at a time.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(
        mut source: impl Read + Seek + Send + 'static,
        path: &Path,
        read_bytes: usize,
    ) -> Result<Self, CaptureError> {
        let io = |source| CaptureError::Io {
            path: path.to_owned(),
            source,
        };
        let mut start = [0_u8; 64];
        let length = fill(&mut source, &mut start).map_err(io)?;
        source.rewind().map_err(io)?;
        let extension = path
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default();
        let named_zstd = matches!(extension, "zst" | "zstd");
        let reader: Box<dyn BufRead + Send> = if is_zstd(&start[..length]) {
            let decoder = zstd::Decoder::new(source).map_err(io)?;
            Box::new(BufReader::with_capacity(read_bytes, decoder))
        } else if !named_zstd
            && unmarked(&start[..length]).trim_ascii_start().first() == Some(&b'{')
        {
            Box::new(BufReader::with_capacity(read_bytes, source))
        } else {
            return Err(CaptureError::NotACapture {
                path: path.to_owned(),
                named_zstd,
            });
        };
        Ok(Self {
            reader,
            number: 0,
            line: Vec::new(),
            row: RowFields::default(),
            ended: false,
            path: path.to_owned(),
            rest: VecDeque::new(),
        })
    }

    /// The next message, or line that cannot be read; none at the end.
    pub fn next_row(&mut self) -> Option<Row<'_>> {
        loop {
            match self.advance()? {
                Reading::Row(read) => return Some(self.row(read)),
                Reading::Aside(_) => {}
            }
        }
    }

    /// The next line that is not blank; none at the end.
    pub fn next_item(&mut self) -> Option<Item<'_>> {
        Some(match self.advance()? {
            Reading::Row(read) => Item::Row(self.row(read)),
            Reading::Aside(aside) => Item::Aside(self.number, aside),
        })
    }

    fn advance(&mut self) -> Option<Reading> {
        loop {
            if self.ended {
                return None;
            }
            self.number += 1;
            match read_line(&mut self.reader, &mut self.line) {
                Ok(Reached::End) => {
                    if let Err(broken) = self.open_next() {
                        return Some(Reading::Row(Err(broken)));
                    }
                }
                Ok(Reached::Line) => {
                    let line = match self.number {
                        1 => unmarked(&self.line),
                        _ => &self.line,
                    };
                    if line.starts_with(PREFIX.as_bytes()) {
                        return Some(match Aside::read(line) {
                            Ok(Aside {
                                what: What::Begin { version, .. },
                                ..
                            }) if version > VERSION => Reading::Row(Err(BrokenRow::Shape(
                                "written by a later version of this program",
                            ))),
                            Ok(aside) => Reading::Aside(aside),
                            Err(_) => Reading::Row(Err(BrokenRow::Shape("no row of a recorder"))),
                        });
                    }
                    if !line.trim_ascii().is_empty() {
                        return Some(Reading::Row(self.row.read(line)));
                    }
                }
                Ok(Reached::TooLong) => return Some(Reading::Row(Err(BrokenRow::TooLong))),
                Err(_) => {
                    // What follows in this file cannot be read.
                    self.reader = Box::new(io::empty());
                    return Some(Reading::Row(Err(BrokenRow::CutOff)));
                }
            }
        }
    }

    /// Goes on with the next file, if there is one.
    fn open_next(&mut self) -> Result<(), BrokenRow> {
        let Some(path) = self.rest.pop_front() else {
            self.ended = true;
            return Ok(());
        };
        let opened = Self::open(&path);
        (self.path, self.number) = (path, 0);
        match opened {
            Ok(next) => self.reader = next.reader,
            Err(_) => return Err(BrokenRow::CutOff),
        }
        Ok(())
    }

    fn row(&mut self, read: Result<(), BrokenRow>) -> Row<'_> {
        let RowFields {
            ts,
            raw,
            http,
            symbol,
            line,
            unused,
        } = &mut self.row;
        let is_read = read.is_ok();
        Row {
            file: &self.path,
            number: self.number,
            ts: ts.filter(|_| is_read),
            line: line.filter(|_| is_read),
            used: !(*unused && is_read),
            message: match read {
                Ok(()) => Ok(Message {
                    raw,
                    http: http.as_deref(),
                    symbol: symbol.as_deref(),
                }),
                Err(broken) => Err((broken, &self.line)),
            },
        }
    }
}

fn recordings_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if matches!(ending, Some("jsonl" | "zst" | "zstd")) && path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

/// The recordings of a directory, in order of name.
///
/// # Errors
/// If it cannot be read, or has none.
pub fn files_of(directory: &Path) -> Result<Vec<PathBuf>, CaptureError> {
    let io = |source| CaptureError::Io {
        path: directory.to_owned(),
        source,
    };
    let mut files = recordings_in(directory).map_err(io)?;
    if files.is_empty() {
        let entries = std::fs::read_dir(directory).map_err(io)?;
        let directories = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let has_some =
            |path: &PathBuf| recordings_in(path).is_ok_and(|recordings| !recordings.is_empty());
        let mut below: Vec<_> = directories.filter(has_some).collect();
        below.sort();
        let path = directory.to_owned();
        return Err(CaptureError::Empty { path, below });
    }
    files.sort();
    Ok(files)
}

// === impl RowFields ===

impl RowFields {
    fn read(&mut self, line: &[u8]) -> Result<(), BrokenRow> {
        self.ts = None;
        self.http = None;
        self.symbol = None;
        (self.line, self.unused) = (None, false);
        self.raw.clear();
        let line = line.trim_ascii();
        let text = std::str::from_utf8(line).or(Err(BrokenRow::Utf8))?;
        let mut cursor = Cursor::new(text);
        match cursor.peek() {
            Some(b'{') => {}
            Some(b'[') => {
                cursor.value()?;
                cursor.end()?;
                self.raw.extend_from_slice(line);
                return Ok(());
            }
            // The one bare frame that is no JSON: OKX's answer to a ping.
            _ if text == "pong" => {
                self.raw.extend_from_slice(line);
                return Ok(());
            }
            _ => {
                cursor.value()?;
                return Err(BrokenRow::Shape("not a JSON object"));
            }
        }
        let (mut raw, mut ts, mut other) = (None, None, false);
        let (mut on_line, mut unused) = (None, false);
        cursor.object::<BrokenRow>(|member, key| {
            match key.content().as_ref() {
                "raw" => raw = Some(member.value()?),
                "ts" => ts = Some(member.value()?),
                "http" => self.http = content(member.value()?),
                "symbol" => self.symbol = content(member.value()?),
                "line" => on_line = member.value()?.parse().ok(),
                "used" => unused = member.value()? == "false",
                _ => {
                    other = true;
                    member.value()?;
                }
            }
            Ok(())
        })?;
        cursor.end()?;
        let Some(raw) = raw else {
            // Bare messages have keys of their own; `ts` among them is the venue's.
            (self.http, self.symbol) = (None, None);
            if !other {
                return Err(BrokenRow::Shape("\"raw\" is missing"));
            }
            self.raw.extend_from_slice(line);
            return Ok(());
        };
        let Some(raw) = as_text(raw) else {
            return Err(BrokenRow::Shape("\"raw\" is not a string"));
        };
        if !raw.unescape_into(&mut self.raw) {
            return Err(BrokenRow::Shape("\"raw\" has half of a surrogate pair"));
        }
        self.ts = ts.map(time).transpose()?;
        (self.line, self.unused) = (on_line, unused);
        Ok(())
    }
}

fn time(value: &str) -> Result<UnixNanos, BrokenRow> {
    let token = Cursor::new(value).scalar().ok().and_then(Scalar::token);
    let nanos = token.and_then(|t| t.parse().ok()).map(UnixNanos::new);
    nanos.ok_or(BrokenRow::Shape("\"ts\" is not a time in nanoseconds"))
}

fn content(value: &str) -> Option<String> {
    as_text(value).map(|text| text.content().into_owned())
}

fn as_text(value: &str) -> Option<Text<'_>> {
    match Cursor::new(value).scalar() {
        Ok(Scalar::Text(text)) => Some(text),
        _ => None,
    }
}

/// What reading a line came to.
enum Reached {
    Line,
    TooLong,
    End,
}

/// Reads to the next newline, of a line that is too long only the beginning.
fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<Reached> {
    line.clear();
    let mut length = 0_usize;
    loop {
        let chunk = match reader.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if chunk.is_empty() {
            return Ok(match length {
                0 => Reached::End,
                1..=LINE_BYTES_MAX => Reached::Line,
                _ => Reached::TooLong,
            });
        }
        let newline = chunk.iter().position(|b| *b == b'\n');
        let piece = &chunk[..newline.unwrap_or(chunk.len())];
        length += piece.len();
        if length <= LINE_BYTES_MAX {
            line.extend_from_slice(piece);
        } else if line.len() > TOO_LONG_KEPT {
            line.truncate(TOO_LONG_KEPT);
            line.shrink_to_fit();
        }
        let used = piece.len() + usize::from(newline.is_some());
        reader.consume(used);
        if newline.is_some() {
            return Ok(if length <= LINE_BYTES_MAX {
                Reached::Line
            } else {
                Reached::TooLong
            });
        }
    }
}

fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match source.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// What follows a byte order mark, if there is one.
pub(crate) fn unmarked(start: &[u8]) -> &[u8] {
    start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start)
}

/// Whether a file begins with a zstd frame, or with a skippable one.
const fn is_zstd(start: &[u8]) -> bool {
    matches!(
        start,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]
    )
}

/// Bytes decompressed at a time.
const READ_BYTES: usize = 256 << 10;

/// What is kept of a line that is too long: enough to tell what it was.
const TOO_LONG_KEPT: usize = 64 << 10;

#[cfg(test)]
mod tests;
