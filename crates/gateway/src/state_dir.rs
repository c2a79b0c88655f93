//! The directory for data that must survive a restart of the process: `state_dir`.
//!
//! It has one subdirectory for each owner, and a file `lock` that excludes a second process. Every file
//! begins with its owner's name and version, and is replaced as a whole: a temporary file is written,
//! synced to the disk, and renamed. There are two owners. [`Reservation`]: epochs only rise, even if the
//! clock was set back between two runs of the process. [`KeptVenues`]: what live venues have listed, and until
//! when they want to be left alone.
//!
//! # Full, late and wrong
//! If the disk is full, read-only or slow, the process counts it, logs a warning and continues. Then only
//! the guarantee for the next run is missing. A directory that another process uses, and a file of epochs with
//! an unknown version, are refused at the start, because continuing would break their guarantees. A file of a
//! venue that cannot be read is ignored with a warning: the venue is asked.

mod venues;

use crate::parts::{Parts, keep};
use crate::start_error::StartError;
use prometheus::{IntCounter, Registry};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tapecast_model::clock::{mono_now, unix_now};
use tapecast_model::{Epoch, EpochSource, Fault, RateLimit};
use tokio::task::JoinSet;
use tracing::{info, warn};

pub use venues::KeptVenues;

/// A directory that is this process's alone.
#[derive(Debug)]
struct StateDir {
    path: PathBuf,
    failures: IntCounter,
    log: RateLimit,
    /// Held as long as the process lives; none if the disk does not allow it.
    _lock: Option<File>,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Another process has it.
    #[error(
        "state_dir: another process uses {}; end it, or give each process its own directory",
        .0.display()
    )]
    Held(PathBuf),
    /// Something that is no directory is there.
    #[error("state_dir: {} is not a directory; choose another path", .0.display())]
    NoDirectory(PathBuf),
    /// A later version wrote it.
    #[error("state_dir: {} contains {found:?}, but this version reads only {EPOCHS:?}; use the version that wrote it, or another directory", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its first line.
        found: String,
    },
}

/// The epochs up to which no later life of the process may give one.
#[derive(Debug)]
pub struct Reservation {
    dir: Option<Arc<StateDir>>,
    epochs: Arc<EpochSource>,
    venues: Arc<KeptVenues>,
}

/// The first line of the file of epochs: owner and version.
const EPOCHS: &str = "tapecast epochs 1";
/// The highest epoch that JSON clients read exactly: a time far in the future. More is a damaged file.
const EPOCH_MAX: u64 = 1 << 53;
/// Bytes that are read of a state file: it has some tens.
const STATE_BYTES_MAX: u64 = 4_096;
/// What is lost if epochs cannot be read, and if they cannot be written.
const LOST_BEFORE: &str = "this run cannot continue the epochs of the run before";
const LOST_NEXT: &str = "the next start cannot continue the epochs of this run";
/// So far ahead of the last epoch they are reserved.
const AHEAD_MILLIS: u64 = 3_600_000;
/// How often the reservation is renewed: many times within what it is ahead.
const RENEW_EVERY: Duration = Duration::from_secs(60);
/// How often it is looked whether something of a venue is to be kept.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl From<StateDirError> for StartError {
    fn from(error: StateDirError) -> Self {
        Self::of_key("state_dir", error)
    }
}

/// Makes the counter of what could not be kept, which is there with and without a directory.
fn register(registry: &Registry) -> Result<IntCounter, prometheus::Error> {
    let failures = IntCounter::new(
        "tapecast_state_dir_failures_total",
        "Times that state_dir could not be read or written",
    )?;
    registry.register(Box::new(failures.clone()))?;
    Ok(failures)
}

/// Whether a directory can be used, without a lock and without writing to it.
///
/// # Errors
/// If it is not a directory, or a version wrote it that is not known.
pub fn check(path: &Path) -> Result<(), StateDirError> {
    if path.exists() && !path.is_dir() {
        return Err(StateDirError::NoDirectory(path.to_owned()));
    }
    // What cannot be read is no obstacle to the start, and noted there.
    match kept(path) {
        Ok(text) => known(path, &text).map(drop),
        Err(_) => Ok(()),
    }
}

// === impl StateDir ===

impl StateDir {
    /// Makes the directory if need be, and takes its lock.
    fn open(path: &Path, failures: IntCounter) -> Result<Self, StateDirError> {
        check(path)?;
        let mut dir = Self {
            path: path.to_owned(),
            failures,
            // The count says how often; the log says it once in a while.
            log: RateLimit::new(2, Duration::from_secs(3_600)),
            _lock: None,
        };
        let lock = fs::create_dir_all(path).and_then(|()| File::create(path.join("lock")));
        match lock {
            Ok(lock) => match lock.try_lock() {
                Ok(()) => dir._lock = Some(lock),
                Err(TryLockError::WouldBlock) => return Err(StateDirError::Held(dir.path)),
                Err(TryLockError::Error(error)) => dir.note("locked", &error, LOST_NEXT),
            },
            Err(error) => dir.note("prepared", &error, LOST_NEXT),
        }
        Ok(dir)
    }

    /// Replaces a file of an owner as a whole. If that fails, this is lost.
    fn replace(&self, owner: &str, name: &str, text: &str, lost: &str) -> bool {
        let folder = self.path.join(owner);
        let (file, temporary) = (folder.join(name), folder.join(format!("{name}.tmp")));
        let write = || -> io::Result<()> {
            fs::create_dir_all(&folder)?;
            let mut out = File::create(&temporary)?;
            out.write_all(text.as_bytes())?;
            out.sync_all()?;
            fs::rename(&temporary, &file)?;
            // The new name is on the disk when the folder is.
            File::open(&folder)?.sync_all()
        };
        match write() {
            Ok(()) => true,
            Err(error) => {
                self.note("written", &error, lost);
                false
            }
        }
    }

    fn note(&self, what: &str, error: &io::Error, lost: &str) {
        self.failures.inc();
        if let Some(more) = self.log.pass(mono_now()) {
            let path = self.path.display();
            warn!(%error, %path, more, "state_dir cannot be {what}: {lost}");
        }
    }
}

// === impl Reservation ===

impl Reservation {
    /// Opens the directory, if one is configured, and reserves epochs for this run.
    ///
    /// # Errors
    /// If the directory cannot be used.
    pub fn start(path: Option<&Path>, registry: &Registry) -> Result<Arc<Self>, StartError> {
        let failures = register(registry)?;
        let dir = path
            .map(|path| StateDir::open(path, failures))
            .transpose()?;
        Ok(Arc::new(Self::open(dir)?))
    }

    /// Reads the reservation of earlier runs, and reserves epochs for this run.
    fn open(dir: Option<StateDir>) -> Result<Self, StateDirError> {
        let dir = dir.map(Arc::new);
        let floor = dir.as_deref().map_or(Ok(Epoch::default()), reserved)?;
        let reservation = Self {
            venues: Arc::new(KeptVenues::new(dir.clone())),
            dir,
            epochs: Arc::new(EpochSource::above(floor)),
        };
        if floor.get() > unix_now().get() / 1_000_000 {
            info!(
                epoch = floor.get(),
                "Epochs continue above those of an earlier run"
            );
        }
        reservation.renew();
        Ok(reservation)
    }

    /// Where epochs come from.
    pub fn epochs(&self) -> &Arc<EpochSource> {
        &self.epochs
    }

    /// What is kept of live venues.
    pub fn venues(&self) -> &Arc<KeptVenues> {
        &self.venues
    }

    /// Renews it for ever, and keeps what sources learn of their venues, until the returned task is dropped.
    pub fn keep_renewed(self: &Arc<Self>, parts: &Parts) -> JoinSet<()> {
        let part = parts.enter("state_dir".to_owned(), "state_dir", false);
        let (reservation, fault) = (Arc::clone(self), parts.fault_of("state_dir"));
        let start = move || Ok(renew(Arc::clone(&reservation), fault.clone()));
        let mut task = JoinSet::new();
        task.spawn(keep(parts.watch_over(&part), start));
        task
    }

    /// Reserves epochs for the time to come; blocks while the disk does.
    fn renew(&self) {
        let now = unix_now().get() / 1_000_000;
        self.write(
            self.epochs
                .last()
                .get()
                .max(now)
                .saturating_add(AHEAD_MILLIS),
        );
    }

    fn write(&self, epoch: u64) {
        if let Some(dir) = &self.dir {
            dir.replace(
                "epochs",
                "state",
                &format!("{EPOCHS}\n{epoch}\n"),
                LOST_NEXT,
            );
        }
    }
}

/// Renews a reservation for ever, and keeps what has changed of venues. Tests that may arm `fault` need not wait
/// for it.
async fn renew(reservation: Arc<Reservation>, fault: Fault) {
    let (every, look_every) = match fault.is_armable() {
        true => (Duration::from_millis(1), Duration::from_millis(1)),
        false => (RENEW_EVERY, LOOK_EVERY),
    };
    let mut renewed_at = mono_now();
    loop {
        tokio::time::sleep(look_every).await;
        let is_due = mono_now() - renewed_at >= every;
        if !is_due && !reservation.venues.is_due(mono_now()) {
            continue;
        }
        if is_due {
            renewed_at = mono_now();
        }
        let (reservation, fault) = (Arc::clone(&reservation), fault.clone());
        // The disk may be slow: the runtime does not wait for it.
        let renewed = tokio::task::spawn_blocking(move || {
            fault.look();
            reservation.venues.write_due(mono_now());
            if is_due {
                reservation.renew();
            }
        });
        if let Err(error) = renewed.await {
            // A panic is ours, so that whoever watches learns what it said.
            return error
                .try_into_panic()
                .map_or((), |panic| resume_unwind(panic));
        }
    }
}

/// The text of the file of epochs.
fn kept(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(epochs_file(path))?;
    file.take(STATE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// What stands behind the first line of the file of epochs.
fn known<'t>(path: &Path, text: &'t str) -> Result<&'t str, StateDirError> {
    let (head, rest) = text.split_once('\n').unwrap_or((text, ""));
    // An empty file is damaged.
    if head == EPOCHS || text.trim_ascii().is_empty() {
        return Ok(rest);
    }
    Err(StateDirError::Version {
        path: epochs_file(path),
        found: head.chars().take(80).collect(),
    })
}

fn epochs_file(path: &Path) -> PathBuf {
    path.join("epochs").join("state")
}

/// The highest epoch that an earlier life may have given.
fn reserved(dir: &StateDir) -> Result<Epoch, StateDirError> {
    let text = match kept(&dir.path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Epoch::default()),
        Err(error) => {
            dir.note("read", &error, LOST_BEFORE);
            return Ok(Epoch::default());
        }
    };
    let rest = known(&dir.path, &text)?;
    if text.trim_ascii().is_empty() {
        dir.note("read", &io::Error::other("the file is empty"), LOST_BEFORE);
        return Ok(Epoch::default());
    }
    match rest.trim_end().parse() {
        Ok(epoch) if epoch <= EPOCH_MAX => Ok(Epoch::new(epoch)),
        Ok(epoch) => {
            dir.note(
                "read",
                &io::Error::other(format!("{epoch} is not an epoch")),
                LOST_BEFORE,
            );
            Ok(Epoch::default())
        }
        Err(error) => {
            dir.note("read", &io::Error::other(error), LOST_BEFORE);
            Ok(Epoch::default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapecast_model::UnixNanos;

    fn counter() -> IntCounter {
        register(&Registry::new()).unwrap()
    }

    fn open(path: &Path) -> Result<Reservation, StateDirError> {
        Reservation::open(Some(StateDir::open(path, counter())?))
    }

    /// What the file says, and so the next life.
    fn reserved_in(path: &Path) -> u64 {
        let text = fs::read_to_string(path.join("epochs/state")).unwrap();
        let (head, epoch) = text.split_once('\n').unwrap();
        assert_eq!(head, EPOCHS);
        epoch.trim_end().parse().unwrap()
    }

    #[test]
    fn the_next_life_begins_above_this_one_whatever_the_clock_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let life = open(&path).unwrap();
        let epoch = life.epochs().next(unix_now());
        assert!(
            reserved_in(&path) >= epoch.get() + AHEAD_MILLIS - 1_000,
            "reserved before it is used"
        );
        // A life that ends without a word, in which the clock was an hour ahead.
        let ahead = life
            .epochs()
            .next(UnixNanos::new(unix_now().get() + 3_600_000_000_000));
        life.renew();
        drop(life);
        let next = open(&path).unwrap();
        assert!(next.epochs().next(unix_now()) > ahead);
        assert!(reserved_in(&path) > ahead.get() + AHEAD_MILLIS);
    }

    #[test]
    fn a_second_process_is_refused_by_name_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path()).unwrap();
        let error = open(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("another process") && error.contains("state_dir"),
            "{error}"
        );
        drop(first);
        open(folder.path()).unwrap();
    }

    #[test]
    fn a_file_of_another_version_is_refused_and_a_damaged_one_only_noted() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path()).unwrap());
        let file = folder.path().join("epochs/state");
        fs::write(&file, "tapecast epochs 2\n5 6\n").unwrap();
        let error = open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("tapecast epochs 2"), "{error}");
        let head = "tapecast epochs 1";
        for damaged in ["many", "", "-1", "18446744073709551615"] {
            fs::write(&file, format!("{head}\n{damaged}\n")).unwrap();
            check_damaged(folder.path());
        }
        fs::write(&file, "").unwrap();
        check_damaged(folder.path());
    }

    /// A damaged file costs one failure in the count, and epochs rise all the same.
    fn check_damaged(path: &Path) {
        let dir = StateDir::open(path, counter()).unwrap();
        let failures = dir.failures.clone();
        let life = Reservation::open(Some(dir)).unwrap();
        assert_eq!(failures.get(), 1);
        let first = life.epochs().next(unix_now());
        assert!(life.epochs().next(unix_now()) > first);
    }

    #[test]
    fn a_disk_that_takes_nothing_costs_a_count_and_not_the_service() {
        let folder = tempfile::tempdir().unwrap();
        // Also for those who may write anywhere: a file is where the owner's folder should be.
        fs::write(folder.path().join("epochs"), "in the way").unwrap();
        let dir = StateDir::open(folder.path(), counter()).unwrap();
        let failures = dir.failures.clone();
        let life = Reservation::open(Some(dir)).unwrap();
        life.epochs().next(unix_now());
        life.renew();
        assert_eq!(failures.get(), 3, "one reading and two writings");
        let nowhere = StateDir::open(&PathBuf::from("/proc/nowhere/state"), counter());
        let nowhere = nowhere.unwrap();
        assert_eq!(nowhere.failures.get(), 1);
        Reservation::open(Some(nowhere)).unwrap();
        let file = folder.path().join("epochs");
        let error = StateDir::open(&file, counter()).unwrap_err().to_string();
        assert!(error.contains("is not a directory"), "{error}");
    }

    #[test]
    fn a_file_that_was_emptied_costs_this_run_the_epochs_of_the_run_before() {
        let folder = tempfile::tempdir().unwrap();
        let (path, lines) = (folder.path().join("state"), folder.path().join("log"));
        drop(open(&path).unwrap());
        fs::write(path.join("epochs/state"), "").unwrap();
        let log = tracing_subscriber::fmt().with_writer(Arc::new(File::create(&lines).unwrap()));
        tracing::subscriber::with_default(log.finish(), || open(&path).unwrap());
        let said = fs::read_to_string(lines).unwrap();
        for part in [
            "cannot be read",
            "the file is empty",
            "this run cannot continue the epochs of the run before",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn without_a_directory_epochs_are_the_time() {
        let life = Reservation::open(None).unwrap();
        let before = unix_now().get() / 1_000_000;
        assert!(life.epochs().next(unix_now()).get() >= before);
    }
}
