//! Files that should be recordings.
//!
//! # Rules
//! * Lines are numbered from one, without holes.
//! * A message that was written as a recording's line comes back as it was.

use super::{Broken, Depth, Target};
use std::io::{Seek as _, Write as _};
use std::path::PathBuf;
use tapecast_ingest::capture::Capture;

pub(super) struct Recording {
    seeds: Vec<Vec<u8>>,
    file: Option<(std::fs::File, PathBuf)>,
    planted: bool,
}

impl Recording {
    pub(super) fn new(seeds: Vec<Vec<u8>>) -> Self {
        Self {
            seeds,
            file: scratch(),
            planted: false,
        }
    }
}

/// A file that is gone from its folder and still there: nobody has to remove it.
fn scratch() -> Option<(std::fs::File, PathBuf)> {
    use std::os::fd::AsRawFd as _;
    let path = std::env::temp_dir().join(format!("tapecast-fuzz-{}", std::process::id()));
    let file = std::fs::File::options()
        .create_new(true)
        .read(true)
        .write(true)
        .open(&path)
        .ok()?;
    std::fs::remove_file(&path).ok()?;
    let open = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    Some((file, open))
}

impl Target for Recording {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }

    fn plant(&mut self) {
        self.planted = true;
    }

    fn run(&mut self, input: &[u8]) -> Result<Depth, Broken> {
        let Some((file, path)) = &mut self.file else {
            return Err(Broken("no file to write to".to_owned()));
        };
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(input));
        if let Err(error) = written {
            return Err(Broken(format!("no file to write to: {error}")));
        }
        let Ok(mut capture) = Capture::open(path) else {
            return Ok(Depth::Head);
        };
        let (mut depth, mut before) = (Depth::Head, 0);
        while let Some(line) = capture.next_line() {
            if line.number <= before {
                return Err(Broken(format!("line {} after {before}", line.number)));
            }
            before = line.number;
            if let Ok(message) = line.message {
                depth = Depth::Body;
                if self.planted
                    && line.ts.is_some()
                    && message.raw.len() > 3
                    && message.http.is_some()
                {
                    return Err(Broken("planted: an answer over HTTP".to_owned()));
                }
            }
        }
        Ok(depth)
    }
}
