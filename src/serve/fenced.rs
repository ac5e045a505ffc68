//! Who has taken a log from this process: kept in the log's directory, so that it does not take the log back by
//! itself.
//!
//! A supervisor starts a service that has ended again. Two of them, each with a supervisor, would take the log from
//! each other for ever.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::{Disk, read_whole, remove_if_there, replace_durably};

const FILE: &str = "fenced";
const MAX_BYTES: u64 = 1024;

fn path_in(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Who has taken the log over; `None` if nobody has, or that was meant.
pub(super) fn by(dir: &Path) -> io::Result<Option<String>> {
    match read_whole(&Disk, &path_in(dir), MAX_BYTES) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Remembers who has taken the log over. If that fails, a supervisor may start a war.
pub(super) fn remember(dir: &Path, by: &str) {
    if let Err(error) = replace_durably(&Disk, &path_in(dir), by.as_bytes()) {
        tracing::error!(%error, by, "failed to remember who has taken the log over; do not start this service again");
    }
}

/// The log is ours again.
pub(super) fn forget(dir: &Path) -> io::Result<()> {
    remove_if_there(&Disk, &path_in(dir))
}
