//! Requests to the writer, and its answers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use super::arriving::{Append, Appended, Cursor, MAX_CURSOR};
use super::batch::{Limits, SealReason};
use super::entry::Commit;
pub use super::entry::NO_RUN;
use super::lateness::Calendar;
pub use super::packed::Packing;
use super::reservation::Reservation;
use super::state::Contradiction;
use crate::journal::seam::{At, JournalError, Purpose};
use lakehook_base::ids::NodeId;
use lakehook_base::record::{Identity, Lsn, Origin};

/// Settings of the writer.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Size of a segment in bytes.
    pub segment_bytes: u64,
    /// Size in bytes of the first segment after a start, small so that a start is quick.
    pub first_segment_bytes: u64,
    /// Most bytes of segments, spares and id files together.
    pub max_bytes: u64,
    /// Number of newest identities that memory never forgets. A segment takes at most a quarter of
    /// them, so that all others can be in files.
    pub dedup_window: u32,
    /// Number of identities that id files keep.
    pub max_ids: u64,
    /// Bytes of memory for filters over the id files.
    pub filter_bytes: u64,
    /// Id files with fewer identities than this are merged.
    pub ids_per_file: u64,
    /// Limits at which batches are sealed.
    pub limits: Limits,
    /// Which partitions are current.
    pub calendar: Calendar,
    /// Identity of the lake, for seals.
    pub lake: String,
    /// Format of objects, for seals.
    pub format: String,
    /// How rows are compressed on their way into the log, if they are: as in objects of that format.
    pub packing: Option<Packing>,
    /// Makes an object's key from partition, node, first LSN and format.
    pub object_key: fn(&str, NodeId, Lsn, &str) -> String,
    /// Appends the quarantine row of a conflicting record to the buffer, and returns the offset at
    /// which its `lsn` goes.
    pub conflict_row: fn(&Origin, &[u8], &mut Vec<u8>) -> u32,
    /// Gives the quarantine's partition for a conflict of that origin.
    pub conflict_partition: fn(&Origin) -> String,
}

/// The end of a run, as a request states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndRun {
    /// LSN that names the run.
    pub run: Lsn,
    /// Name of the poll.
    pub poll: String,
    /// The poll's cursor after the run.
    pub cursor: Vec<u8>,
    /// Key of the marker.
    pub marker: String,
    /// Content of the marker, besides the objects: the text of a JSON object without its last
    /// brace.
    pub about: Vec<u8>,
}

/// Why a request is not in the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The log is full until shipping frees space.
    #[error("the write-ahead log is full")]
    Full,
    /// The request can never fit into a frame.
    #[error("the request needs {bytes} bytes of the log, at most {max_bytes} fit")]
    TooLarge {
        /// Bytes that the request needs.
        bytes: usize,
        /// Most bytes that a request may need.
        max_bytes: usize,
    },
    /// The request waited so long that the watermark has passed its time of receipt.
    #[error("the request waited too long")]
    Late,
    /// Storage failed; the next start shows whether the request is in the log.
    #[error("storage failed: {0}")]
    Storage(Arc<str>),
    /// The run is not open: it was abandoned meanwhile.
    #[error("the run is not open")]
    NoSuchRun,
    /// No LSNs are reserved for these rows, and none of them is stored: they must be sent whole.
    #[error("the rows must be sent whole")]
    NotReserved,
    /// The log is closed.
    #[error("the service is stopping")]
    Closed,
    /// Nothing was stored: this process does not own the log, and reaches nobody who does.
    #[error("no node can be reached that owns the log: {0}")]
    NoOwner(Arc<str>),
    /// The process that owns the log was asked and gave no answer; the request may be in the log.
    #[error("the node that owns the log gave no answer: {0}")]
    Unanswered(Arc<str>),
}

/// Pause before a request that got [`AppendError::Full`] is repeated.
pub const FULL_PAUSE: Duration = Duration::from_millis(100);

/// A request to the writer.
#[derive(Clone, Debug)]
pub enum Request {
    /// Store the rows of a request.
    Append(Box<Append>),
    /// Reserve LSNs for rows that somebody else packs, and store them when they come.
    Reserve(Reservation),
    /// Note durably that an object is in the lake.
    Commit(Commit),
    /// Seal every open batch that is not held for a run.
    Flush,
    /// Begin a run of the poll of this name.
    BeginRun(Box<str>),
    /// End a run.
    EndRun(Box<EndRun>),
    /// Abandon a run that failed.
    AbandonRun(Lsn),
    /// Note durably that the marker of a run is in the lake.
    Published(Lsn),
    /// Write something, if only that nothing is in flight: whoever is answered owns the log.
    Prove,
    /// Look an identity up: it counts as a duplicate if it is known. Nothing is written.
    Knows(Identity),
}

impl Request {
    /// Whether the request fills the log or helps to free space.
    pub(crate) fn purpose(&self) -> Purpose {
        match self {
            Self::Append(_) | Self::Reserve(_) | Self::BeginRun(_) => Purpose::Requests,
            _ => Purpose::Shipping,
        }
    }
}

/// The answer to a request.
pub type Reply = Result<Appended, AppendError>;

/// Result of a turn of the writer.
#[derive(Debug)]
pub struct Turn<T> {
    /// Answers that can be sent now.
    pub replies: Vec<(T, Reply)>,
    /// Numbers and positions of the seals that became durable.
    pub sealed: Vec<(u64, At)>,
    /// Reasons for these seals.
    pub reasons: Vec<SealReason>,
    /// Runs all of whose objects are in the lake, with the positions of their ends: their markers
    /// are due.
    pub complete: Vec<(Lsn, At)>,
    /// Number of rows written.
    pub rows: u32,
    /// Duration of write and sync; zero if nothing was written.
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
    /// The system gave no random numbers.
    #[error("failed to write the log: {0}")]
    Io(#[from] io::Error),
    /// The state does not follow from the log; a bug or a change of files under a running process.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// The log cannot be read again after a failed sync.
    #[error(transparent)]
    Read(#[from] crate::journal::errors::OpenError),
    /// The log failed before and has taken nothing since.
    #[error("the log failed before: {0}")]
    Broken(Arc<str>),
}
