//! The checks of the house style that need only text: one rule per function; each message names the place
//! and the remedy. At most they split Rust into tokens; clippy and the compiler check everything else.

mod circles;
mod image;
mod named_tests;
pub(crate) mod planted;
mod prose;
mod rust;
mod walls;

use crate::run::{Failure, root};
use std::fs;
use std::path::{Path, PathBuf};

/// A file of the checkout and its text.
pub(crate) struct Source {
    /// From the root.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

/// What is not ours to judge: folders, and the file `.git` of a second work tree.
const SKIPPED: [&str; 5] = ["target", ".git", "node_modules", ".venv", "corpus"];

/// Runs every rule over every text file.
pub(crate) fn run() -> Result<Option<String>, Failure> {
    let sources = sources();
    let rules = [
        rust::problems,
        prose::problems,
        walls::problems,
        circles::problems,
        image::problems,
        named_tests::problems,
        planted::problems,
    ];
    let problems: Vec<String> = rules.iter().flat_map(|rules| rules(&sources)).collect();
    println!("    {} files read", sources.len());
    if problems.is_empty() {
        Ok(None)
    } else {
        Err(problems.join("\n"))
    }
}

/// The files below a folder, generated and foreign ones left out, in order of path.
pub(crate) fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let skipped = SKIPPED.iter().any(|skipped| name == *skipped);
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !skipped => folders.push(entry.path()),
                Ok(kind) if kind.is_file() && !skipped => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<Source> {
    let root = root();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).ok()?;
        let path = path
            .strip_prefix(&root)
            .unwrap_or(&path)
            .to_string_lossy()
            .into_owned();
        Some(Source { path, text })
    };
    files_under(&root).into_iter().filter_map(read).collect()
}

// === impl Source ===

impl Source {
    /// The name without folders and ending.
    pub(crate) fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.split('.').next().unwrap_or_default()
    }

    /// Whether its name ends so.
    pub(crate) fn is(&self, ending: &str) -> bool {
        self.path.ends_with(ending)
    }
}

#[cfg(test)]
pub(crate) fn source(path: &str, text: &str) -> Source {
    Source {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}
