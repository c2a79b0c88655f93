//! Recordings of venues: where they are, what they are called, what stands in them.
//!
//! `TAPECAST_CAPTURES` names the directory. Without it there are none, which is said in one line and
//! is no failure; a directory without recordings is a failure, because somebody meant to have some.
//!
//! A recording is JSON lines, zstd: `{"ts":…,"raw":"…"}`, or the bare message. A line may name its
//! `symbol`, as those of REST answers do.

use serde_json::Value;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

/// What a name of a recording begins with, and the format of its messages.
const NAMES: [(&str, &str); 7] = [
    ("binance-spot_", "binance"),
    ("binance-usdm_", "binance-usdm"),
    ("coinbase-advanced_", "coinbase"),
    ("kraken-v2_", "kraken"),
    ("okx-v5_", "okx"),
    ("bybit-v5-spot_", "bybit-spot"),
    ("bybit-v5-linear_", "bybit-linear"),
];

/// One recorded connection.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The file.
    pub path: PathBuf,
    /// The file's name.
    pub name: String,
    /// The format, as a configuration names it.
    pub format: &'static str,
}

/// One line of a recording.
#[derive(Clone, Debug)]
pub struct Row {
    /// The line as it stands in the file.
    pub line: String,
    /// The message.
    pub message: Value,
    /// The symbol that the line names beside the message.
    pub symbol: Option<String>,
}

/// The recordings of supported formats, sorted by name. None, and a line that says so, if there is no
/// directory of recordings.
pub fn recordings() -> Vec<Recording> {
    let Some(directory) = std::env::var_os("TAPECAST_CAPTURES") else {
        println!("skipped: TAPECAST_CAPTURES is not set to a directory of recordings");
        return Vec::new();
    };
    let found = in_directory(Path::new(&directory));
    assert!(
        !found.is_empty(),
        "TAPECAST_CAPTURES names a directory without recordings"
    );
    found
}

fn in_directory(directory: &Path) -> Vec<Recording> {
    let entries = std::fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = paths.filter_map(recording).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn recording(path: PathBuf) -> Option<Recording> {
    let name = path.file_name()?.to_str()?.to_owned();
    let (_, format) = NAMES.iter().find(|(start, _)| name.starts_with(start))?;
    name.ends_with(".zst")
        .then_some(Recording { path, name, format })
}

// === impl Recording ===

impl Recording {
    /// Its lines.
    pub fn rows(&self) -> impl Iterator<Item = Row> + use<> {
        let decoder = zstd::Decoder::new(File::open(&self.path).unwrap()).unwrap();
        let lines = BufReader::new(decoder).lines();
        lines.map(|line| Row::read(line.unwrap()))
    }

    /// Whether its name says that books cannot be built from it.
    pub fn lacks_snapshots(&self) -> bool {
        self.name.contains("nosnapshot")
    }
}

// === impl Row ===

impl Row {
    fn read(line: String) -> Self {
        let row: Value = serde_json::from_str(&line).unwrap();
        let symbol = row["symbol"].as_str().map(str::to_owned);
        let message = match row.get("raw") {
            Some(raw) => serde_json::from_str(raw.as_str().unwrap()).unwrap(),
            None => row,
        };
        Self {
            line,
            message,
            symbol,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_may_be_wrapped_or_bare() {
        let wrapped = Row::read(r#"{"ts":1,"raw":"{\"a\":2}","symbol":"X"}"#.to_owned());
        assert_eq!(wrapped.message, serde_json::json!({"a": 2}));
        assert_eq!(wrapped.symbol.as_deref(), Some("X"));
        let bare = Row::read(r#"{"a":2}"#.to_owned());
        assert_eq!(bare.message, wrapped.message);
        assert_eq!(bare.symbol, None);
    }

    #[test]
    fn a_name_says_what_is_in_the_file() {
        let format = |name: &str| recording(PathBuf::from(name)).map(|r| r.format);
        assert_eq!(format("a/kraken-v2_x.jsonl.zst"), Some("kraken"));
        assert_eq!(format("bybit-v5-linear_y.jsonl.zst"), Some("bybit-linear"));
        assert_eq!(format("kraken-v1_x.jsonl.zst"), None);
        assert_eq!(format("okx-v5_x.txt"), None);
    }
}
