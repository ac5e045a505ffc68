//! Exchanges a log for a new one, in steps that survive a crash.
//!
//! A log is many files, so no single rename can exchange it. A note in the directory says how far
//! the exchange is; while the note exists, the log refuses to open. With `rescue-out`, the old
//! files move aside; with `rescue-in`, the new ones move in. Each step can be repeated.

use std::io;
use std::path::{Path, PathBuf};

use super::layout::number_of;
use crate::dedup::id_files::ids_range_of;
use lakehook_base::files::{Files, create_dir_durably, read_whole, remove_if_there, write_durably};
use lakehook_base::ids::NodeId;

/// The directory in which a new log is made.
pub(crate) const NEW: &str = "rescue";
const OUT: &str = "rescue-out";
const IN: &str = "rescue-in";
const NODE: &str = "node";
/// Most bytes of a note, which holds the name of a directory.
const MAX_NOTE: u64 = 256;

/// Whether an exchange has begun and not been finished.
pub fn is_unfinished<F: Files>(files: &F, dir: &Path) -> bool {
    files.exists(&dir.join(OUT)) || files.exists(&dir.join(IN))
}

/// Removes a new log that was not finished.
pub(crate) fn clear<F: Files>(files: &F, new_dir: &Path) -> io::Result<()> {
    if files.exists(new_dir) {
        for entry in files.list(new_dir)? {
            remove_if_there(files, &new_dir.join(entry.name))?;
        }
    }
    Ok(())
}

/// Directory for the old files, relative to the log's directory.
pub(crate) fn aside_of(new: NodeId) -> String {
    format!("before-{new}")
}

/// Begins the exchange: once the note is durable, the new log counts.
pub(crate) fn begin<F: Files>(files: &F, dir: &Path, aside: &str) -> io::Result<()> {
    create_dir_durably(files, &dir.join(aside), true)?;
    write_durably(files, &dir.join(OUT), aside.as_bytes())
}

/// Finishes an exchange; `false` if none has begun. The caller holds the lock.
pub fn finish<F: Files>(files: &F, dir: &Path) -> io::Result<bool> {
    if !is_unfinished(files, dir) {
        return Ok(false);
    }
    let (out, into) = (dir.join(OUT), dir.join(IN));
    if files.exists(&out) {
        let aside = dir.join(note(files, &out)?);
        move_all(files, dir, &aside)?;
        files.rename(&out, &into)?;
        files.sync_dir(dir)?;
    }
    // A crash may have left the note under a name that is not durable yet.
    files.sync_dir(dir)?;
    let new_dir = dir.join(NEW);
    if files.exists(&new_dir) {
        move_all(files, &new_dir, dir)?;
        clear(files, &new_dir)?;
        files.remove_dir(&new_dir)?;
    }
    files.remove(&into)?;
    files.sync_dir(dir)?;
    Ok(true)
}

fn note<F: Files>(files: &F, path: &Path) -> io::Result<PathBuf> {
    let bytes = read_whole(files, path, MAX_NOTE)?;
    let name = String::from_utf8(bytes).map_err(io::Error::other)?;
    Ok(PathBuf::from(name))
}

/// Moves the files of a log. The new names are made durable before the removal of the old ones.
fn move_all<F: Files>(files: &F, from: &Path, to: &Path) -> io::Result<()> {
    for entry in files.list(from)? {
        let name = entry.name.as_str();
        let is_log =
            name == NODE || number_of(name, ".wal").is_some() || ids_range_of(name).is_some();
        if is_log {
            files.rename(&from.join(name), &to.join(name))?;
        }
    }
    files.sync_dir(to)?;
    files.sync_dir(from)
}
