//! The mark of a directory that is only a copy of a replicated log: the file `replica` names the engine.
//!
//! Without it, a start that is not told of the engine would begin a log of its own under the same node
//! id, and give LSNs a second time. The other way round, a log whose segments are in a directory is no
//! copy, and an engine does not take its place by itself.

use std::io;
use std::path::Path;

use super::errors::OpenError;
use super::inventory::Inventory;
use lakehook_base::files::{Files, read_whole, remove_if_there, replace_durably};

const FILE: &str = "replica";
const HEAD: &str = "lakehook replica, format 1";
const MAX_BYTES: u64 = 8192;

/// The engine of which a directory is a copy; `None` if it is no copy.
pub fn read<F: Files>(files: &F, dir: &Path) -> io::Result<Option<String>> {
    let bytes = match read_whole(files, &dir.join(FILE), MAX_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    let text = String::from_utf8_lossy(&bytes);
    let engine = text.strip_prefix(HEAD).unwrap_or(&text).trim();
    Ok(Some(engine.to_owned()))
}

/// Marks a directory as a copy.
pub(crate) fn put<F: Files>(files: &F, dir: &Path, engine: &str) -> io::Result<()> {
    let text = format!("{HEAD}\n{engine}\n");
    replace_durably(files, &dir.join(FILE), text.as_bytes())
}

/// Takes the mark away: the directory has a log of its own.
pub(crate) fn remove<F: Files>(files: &F, dir: &Path) -> io::Result<()> {
    remove_if_there(files, &dir.join(FILE))?;
    files.sync_dir(dir)
}

/// Refuses a directory that belongs to a log in another place. `engine` is the configured one.
pub fn check<F: Files>(files: &F, dir: &Path, engine: Option<&str>) -> Result<(), OpenError> {
    let io = |error| OpenError::Io {
        dir: dir.to_owned(),
        error,
    };
    let marked = read(files, dir).map_err(io)?;
    let elsewhere = |place: String, way_out| OpenError::Elsewhere {
        dir: dir.to_owned(),
        place,
        way_out,
    };
    match (marked, engine) {
        (Some(there), None) => Err(elsewhere(
            there,
            "set `wal.replica` again, or bring the log to this disk with `lakehook wal move`",
        )),
        (Some(there), Some(engine)) if there != engine => Err(elsewhere(
            there,
            "use an empty directory for a log in another place",
        )),
        (marked, Some(_)) => {
            let inventory = Inventory::list(files, dir).map_err(io)?;
            if inventory.segments.is_empty() {
                return Ok(());
            }
            Err(elsewhere(
                "its own files".to_owned(),
                if marked.is_some() {
                    "run `lakehook wal move` again, which was interrupted"
                } else {
                    "leave `wal.replica` out until everything is shipped, and move the log with \
                     `lakehook wal move`"
                },
            ))
        }
        _ => Ok(()),
    }
}
