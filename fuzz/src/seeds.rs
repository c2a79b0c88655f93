//! Where inputs begin.
//!
//! Each target has a folder of the corpus, `fuzz/corpus/TARGET`; a file is one input. Venues' targets
//! also take short messages from recordings, if `TAPECAST_CAPTURES` names a folder of them.

use std::path::{Path, PathBuf};
use tapecast_ingest::capture::Capture;
use tapecast_ingest::venue::Format;

/// Messages that are taken from one recording.
const MESSAGES_MAX: usize = 400;
/// Longer messages make every input slow and teach nothing more.
const MESSAGE_BYTES_MAX: usize = 2_048;

/// The folder of a target's corpus.
pub fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target)
}

/// The inputs of a target's corpus, in order of their names.
///
/// # Errors
/// If there is none: a target without seeds reaches nothing.
pub fn corpus(target: &str) -> std::io::Result<Vec<Vec<u8>>> {
    let mut paths = std::fs::read_dir(folder(target))?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    paths.iter().map(std::fs::read).collect()
}

/// Short messages of the recordings of a format, evenly from all of them; none without recordings.
pub fn recorded(format: Format) -> Vec<Vec<u8>> {
    let Some(folder) = std::env::var_os("TAPECAST_CAPTURES") else {
        return Vec::new();
    };
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            prefixes(format)
                .iter()
                .any(|prefix| name.starts_with(prefix))
        })
        .collect();
    paths.sort();
    paths.iter().flat_map(|path| messages(path)).collect()
}

fn messages(path: &Path) -> Vec<Vec<u8>> {
    let Ok(mut capture) = Capture::open(path) else {
        return Vec::new();
    };
    let (mut found, mut seen) = (Vec::new(), 0_usize);
    while let Some(line) = capture.next_row() {
        seen += 1;
        // The head of a recording has what is rare; later one of seven will do.
        if let Ok(message) = line.message
            && message.raw.len() <= MESSAGE_BYTES_MAX
            && (seen < 100 || seen.is_multiple_of(7))
        {
            found.push(message.raw.to_vec());
        }
        if found.len() >= MESSAGES_MAX {
            break;
        }
    }
    found
}

/// How names of recordings of a format begin.
const fn prefixes(format: Format) -> &'static [&'static str] {
    match format {
        Format::Binance => &["binance-spot"],
        Format::BinanceUsdm => &["binance-usdm"],
        Format::Coinbase => &["coinbase-advanced"],
        Format::Kraken => &["kraken-v2"],
        Format::Okx => &["okx-v5"],
        Format::BybitSpot => &["bybit-v5-spot"],
        Format::BybitLinear => &["bybit-v5-linear"],
    }
}
