//! What commands say on the terminal, and with which exit code they end.
//!
//! Wrong usage ends with exit code 2, and what fails while it is done with exit code 1; both with one line on
//! standard error. A reader that closed its pipe has seen enough: that is no failure. A full disk is one. No
//! command waits long for a reader.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

/// Exit code when something failed while it was done.
pub(crate) const FAILURE: u8 = 1;
/// Exit code of wrong usage or configuration.
pub(crate) const USAGE: u8 = 2;

/// What to do where the system gives no thread or no descriptor.
pub(crate) const RUNTIME_REMEDY: &str = "raise the limits of this process (ulimit -a)";

/// Says what is wrong with the command line or the configuration; the exit code of wrong usage.
pub(crate) fn fail(message: &str) -> ExitCode {
    complain(message);
    ExitCode::from(USAGE)
}

/// Says something to the user.
pub(crate) fn say(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    said(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// The exit code of a command that has only to say something.
pub(crate) fn said(written: io::Result<()>) -> ExitCode {
    match open_still(written) {
        Ok(_) => ExitCode::SUCCESS,
        Err(message) => {
            complain(&message);
            ExitCode::from(FAILURE)
        }
    }
}

/// Whether standard output still has a reader, as the last write to it shows. A closed pipe is the user's
/// way to say that he has seen enough.
///
/// # Errors
/// If it could not be written for another reason, such as a full disk.
pub(crate) fn open_still(written: io::Result<()>) -> Result<bool, String> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!(
            "cannot write to standard output: {error}; make room there, or write to another file"
        )),
    }
}

/// Says what is wrong, on one line.
pub(crate) fn complain(message: &str) {
    let line = message.replace(['\n', '\r'], " ");
    // Who does not read standard error sees the exit code.
    let _ = tell(io::stderr(), format!("tapecast: {line}\n"));
}

/// Writes to a stream whose reader may not read. The program does not wait for a full pipe.
pub(crate) fn tell(mut stream: impl Write + Send + 'static, text: String) -> io::Result<()> {
    let (done, waiting) = crossbeam_channel::bounded(1);
    std::thread::Builder::new().spawn(move || {
        let written = stream
            .write_all(text.as_bytes())
            .and_then(|()| stream.flush());
        // Whoever is not waiting any more has given up.
        let _ = done.send(written);
    })?;
    // In time, or not yet: that is no failure.
    waiting.recv_timeout(TELL_PATIENCE).unwrap_or(Ok(()))
}

/// How long a reader of what is said may take.
const TELL_PATIENCE: Duration = Duration::from_secs(1);
