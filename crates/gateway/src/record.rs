//! `tapecast record`: writes down what live venues send, without serving clients, and says what a recording holds.

mod content;

use crate::config::{Config, Source};
use crate::terminal::{USAGE, complain, fail, say};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options of `tapecast record`.
#[derive(Args, Debug)]
#[command(after_long_help = JSON_HELP)]
pub struct Record {
    /// The configuration file; its live sources are recorded.
    #[arg(
        long,
        value_name = "FILE",
        requires = "out",
        required_unless_present = "info"
    )]
    pub config: Option<PathBuf>,
    /// The directory; each source has a directory of its own there, with the venue's name in topics.
    #[arg(long, value_name = "DIR", requires = "config")]
    pub out: Option<PathBuf>,
    /// Say what a recording holds: a file, or a directory as a whole.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["config", "out"])]
    info: Option<PathBuf>,
    /// With --info, print JSON. `tapecast record --help` lists the keys.
    #[arg(long, requires = "info")]
    json: bool,
}

const JSON_HELP: &str = "\
Exit code of --info: 0 all rows can be read and none is missing, 1 some cannot or are, 2 it is no recording.

JSON: {\"path\", \"files\", \"whole\"}. Each file has
  path, venue, format, first, last (times in nanoseconds since 1970), seconds, messages, unused, answers, said, opened,
  closed, dropped (rows that could not be written), broken (lines that cannot be read), symbols
Keys stay; new ones may come.";

/// What to do.
pub enum Task {
    /// Record with this configuration, into this directory.
    Run(PathBuf, PathBuf),
    /// It is done.
    Done(ExitCode),
}

impl Record {
    /// Answers `--info`, or says what to record.
    pub fn task(self) -> Task {
        match (self.info, self.config, self.out) {
            (Some(path), ..) => Task::Done(tell(&path, self.json)),
            (None, Some(config), Some(out)) => Task::Run(config, out),
            // clap does not let this through.
            (None, ..) => Task::Done(fail(
                "record: write --config FILE --out DIR, or --info PATH",
            )),
        }
    }
}

/// Leaves nothing but live sources, which are recorded, and takes no address that the configuration names: a gateway
/// may run beside it with the same file.
///
/// # Errors
/// If there is none.
pub fn only(config: &mut Config, out: &Path) -> Result<(), String> {
    config.sources.retain_mut(|source| match source {
        Source::Live(live) => {
            live.record = Some(out.to_owned());
            true
        }
        Source::Replay(_) | Source::Sim(_) | Source::Push(_) => false,
    });
    if config.sources.is_empty() {
        return Err("source: none is live; add a [[source]] with kind = \"live\"".to_owned());
    }
    config.listen.public.set_ip([127, 0, 0, 1].into());
    config.listen.public.set_port(0);
    config.listen.admin.set_ip([127, 0, 0, 1].into());
    config.listen.admin.set_port(0);
    config.state_dir = None;
    config.shards.count = 1;
    config.shards.cores.clear();
    Ok(())
}

/// What is printed when it has started.
pub fn banner(config: &Config, admin: std::net::SocketAddr) -> String {
    let mut text = format!("tapecast {}\n", env!("CARGO_PKG_VERSION"));
    for source in &config.sources {
        if let Source::Live(live) = source
            && let Some(out) = &live.record
        {
            let dir = out.join(live.venue.as_str());
            text.push_str(&format!("  records {} to {}\n", live.venue, dir.display()));
        }
    }
    text.push_str(&format!(
        "  metrics http://{admin}/metrics\nPress Ctrl-C to stop\n"
    ));
    text
}

/// Says what a recording holds.
fn tell(path: &Path, json: bool) -> ExitCode {
    let content = match content::Content::read(path) {
        Ok(content) => content,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(USAGE);
        }
    };
    let text = if json {
        content.json()
    } else {
        content.table()
    };
    let printed = say(&text);
    match content.is_whole() {
        true => printed,
        false => ExitCode::from(crate::terminal::FAILURE),
    }
}
