//! Errors of opening a log, with messages that say what to do.

use std::io;
use std::path::PathBuf;

use super::read::ReadError;

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A segment cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Frames are whole but don't follow from each other.
    #[error("{frame}: {detail}")]
    Contradiction {
        /// Name that the journal gives the frame.
        frame: String,
        /// What contradicts what.
        detail: String,
    },
    /// A segment that is still needed is gone.
    #[error(
        "segment {} is missing and was not yet shipped; restore it from a backup of the disk, or let \
         `lakehook wal repair` go on without it", path.display()
    )]
    Missing {
        /// Path where the segment should be.
        path: PathBuf,
    },
    /// A journal of another kind, which keeps no files, cannot be read.
    #[error("failed to read the write-ahead log in {journal}: {detail}")]
    Unreadable {
        /// Name of the journal.
        journal: String,
        /// Message of the error.
        detail: String,
    },
    /// Another process appends to the journal, or removes frames while they are read. Nothing was
    /// changed.
    #[error("another process uses the write-ahead log in {journal}: {detail}")]
    Contended {
        /// Name of the journal.
        journal: String,
        /// What was noticed.
        detail: String,
    },
    /// The log of a directory is in another place than the configuration says.
    #[error("the log of {} is in {place}: {way_out}", dir.display())]
    Elsewhere {
        /// The directory.
        dir: PathBuf,
        /// Where the log is.
        place: String,
        /// What to do.
        way_out: &'static str,
    },
    /// Another process has taken the log over while this one wanted to.
    #[error("{by} has just taken over the log in {journal}, so this process leaves it alone")]
    Lost {
        /// Name of the journal.
        journal: String,
        /// Who it was, as far as that is known.
        by: String,
    },
    /// A repair was interrupted while its result took the log's place.
    #[error(
        "a repair of the log in {} was interrupted; run `lakehook wal repair` again, which finishes it",
        dir.display()
    )]
    Unfinished {
        /// The log's directory.
        dir: PathBuf,
    },
    /// The operating system returned an error.
    #[error("failed to open the write-ahead log in {}: {error}", dir.display())]
    Io {
        /// The log's directory.
        dir: PathBuf,
        /// Error of the operating system.
        error: io::Error,
    },
}
