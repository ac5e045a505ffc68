//! What goes into the writer and what comes out of it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::batch::{Limits, SealReason};
use super::entry::Commit;
pub use super::entry::NO_RUN;
use super::lateness::Calendar;
use super::state::Contradiction;
use crate::ids::NodeId;
use crate::record::{Lsn, Origin, Rows};
use crate::wal::journal::seam::{At, JournalError, Purpose};

/// What the writer needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Size of a segment.
    pub segment_bytes: u64,
    /// Size of the first segment after a start, small so that a start is quick.
    pub first_segment_bytes: u64,
    /// Bound on segments, spares and id files together.
    pub max_bytes: u64,
    /// Identities that are never forgotten in memory. A segment takes no more than a quarter of them: the
    /// others are in files.
    pub dedup_window: u32,
    /// Identities kept on disk.
    pub max_ids: u64,
    /// Memory for filters over these.
    pub filter_bytes: u64,
    /// Id files with fewer are merged.
    pub ids_per_file: u64,
    /// When batches are due.
    pub limits: Limits,
    /// Which partitions are current.
    pub calendar: Calendar,
    /// Identity of the lake, for seals.
    pub lake: String,
    /// Format of objects, for seals.
    pub format: String,
    /// Makes an object's key of partition, node, first LSN and format.
    pub object_key: fn(&str, NodeId, Lsn, &str) -> String,
    /// Makes the quarantine row of a conflicting record: appends it, returns where its `lsn` goes.
    pub conflict_row: fn(&Origin, &[u8], &mut Vec<u8>) -> u32,
    /// The quarantine's partition for a conflict of that origin.
    pub conflict_partition: fn(&Origin) -> String,
}

/// What one request brings.
#[derive(Clone, Debug)]
pub struct Append {
    /// Its rows.
    pub rows: Rows,
    /// Valid events that a drop rule took.
    pub dropped: u64,
    /// Where it came from.
    pub origin: Origin,
    /// The run that the rows belong to and are held for, or [`NO_RUN`].
    pub run: Lsn,
    /// How far a poll has got with them; durable together with the rows.
    pub cursor: Option<Cursor>,
}

/// How far a poll has got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The poll's name.
    pub poll: Box<str>,
    /// What it needs to know, in a form of its own; at most [`MAX_CURSOR`] bytes.
    pub bytes: Vec<u8>,
}

/// A cursor has at most so many bytes: all of them are in every checkpoint.
pub const MAX_CURSOR: usize = 8 << 10;

/// What is said of a run when it is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndRun {
    /// The run.
    pub run: Lsn,
    /// Whose run it is.
    pub poll: String,
    /// How far the poll has got with it.
    pub cursor: Vec<u8>,
    /// Key of the marker.
    pub marker: String,
    /// What the marker says, besides the objects: the text of a JSON object without its last brace.
    pub about: Vec<u8>,
}

/// What became of a request; durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Newly stored records.
    pub accepted: u64,
    /// Events that were known already.
    pub duplicates: u64,
    /// Events known with other content; they are in the quarantine.
    pub conflicts: u64,
    /// Quarantined events, conflicts included.
    pub quarantined: u64,
    /// The run that was begun.
    pub run: Lsn,
}

/// Why a request is not in the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The log has no room; shipping makes some.
    #[error("the write-ahead log is full")]
    Full,
    /// The request can never fit into a frame.
    #[error("the request needs {bytes} bytes of the log, at most {max_bytes} fit")]
    TooLarge {
        /// Bytes needed.
        bytes: usize,
        /// Bytes possible.
        max_bytes: usize,
    },
    /// It took so long to arrive here that the watermark has passed it.
    #[error("the request waited too long")]
    Late,
    /// Storage failed; whether the request is in the log shows after a restart.
    #[error("storage failed: {0}")]
    Storage(Arc<str>),
    /// The run is not open: it was abandoned meanwhile.
    #[error("the run is not open")]
    NoSuchRun,
    /// The log is closed.
    #[error("the service is stopping")]
    Closed,
}

/// How long to wait before a request is repeated that met [`AppendError::Full`].
pub const FULL_PAUSE: Duration = Duration::from_millis(100);

/// A request to the writer.
#[derive(Clone, Debug)]
pub enum Request {
    /// Store a request.
    Append(Box<Append>),
    /// Note that an object is in the lake.
    Commit(Commit),
    /// Seal everything that is open and not held for a run.
    Flush,
    /// Begin a run of that poll.
    BeginRun(Box<str>),
    /// A run is complete.
    EndRun(Box<EndRun>),
    /// A run failed.
    AbandonRun(Lsn),
    /// The marker of a run is in the lake.
    Published(Lsn),
}

impl Request {
    /// Whether it fills the log or helps to free space.
    pub(crate) fn purpose(&self) -> Purpose {
        match self {
            Self::Append(_) | Self::BeginRun(_) => Purpose::Requests,
            _ => Purpose::Shipping,
        }
    }
}

/// The answer to a request.
pub type Reply = Result<Appended, AppendError>;

/// What a turn did.
#[derive(Debug)]
pub struct Turn<T> {
    /// Answers, to be given now.
    pub replies: Vec<(T, Reply)>,
    /// Numbers of seals that are durable now, with their places.
    pub sealed: Vec<(u64, At)>,
    /// Why they were sealed.
    pub reasons: Vec<SealReason>,
    /// Runs all of whose objects are in the lake, with the places of their ends: their markers are due.
    pub complete: Vec<(Lsn, At)>,
    /// Rows written.
    pub rows: u32,
    /// How long write and sync took; zero if nothing was written.
    pub sync: Duration,
    /// The log cannot go on: the process must say why, and end.
    pub fatal: Option<WriteError>,
}

/// Why the log cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A frame is not known to be durable. Nothing is retried on the same file: the kernel may have
    /// marked the pages clean.
    #[error("failed to write the log: {0}")]
    Journal(#[from] JournalError),
    /// There are no random numbers.
    #[error("failed to write the log: {0}")]
    Io(#[from] io::Error),
    /// The state does not follow from the log; a bug or a change of files under a running process.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// The log cannot be read again after a failed sync.
    #[error(transparent)]
    Read(#[from] crate::wal::journal::errors::OpenError),
    /// It failed before, and nothing was taken since.
    #[error("the log failed before: {0}")]
    Broken(Arc<str>),
}
