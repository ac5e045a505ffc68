//! The rows of a request, and what has become of them.

use lakehook_base::record::{Lsn, Origin, Rows};

/// The rows of one request, and what is stored together with them.
#[derive(Clone, Debug)]
pub struct Append {
    /// Rows with their partitions.
    pub rows: Rows,
    /// Number of valid events that a drop rule removed.
    pub dropped: u64,
    /// Where the request came from, and when.
    pub origin: Origin,
    /// The run that the rows belong to and are held for, or [`NO_RUN`](lakehook_base::record::NO_RUN).
    pub run: Lsn,
    /// The poll's cursor after these rows; it becomes durable together with them.
    pub cursor: Option<Cursor>,
}

/// A poll's cursor, as a request stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The poll's name.
    pub poll: Box<str>,
    /// The cursor in the poll's own form; at most [`MAX_CURSOR`] bytes.
    pub bytes: Vec<u8>,
}

/// Most bytes of a cursor; every segment begins with all cursors.
pub const MAX_CURSOR: usize = 32 << 10;

/// Result of a request that is durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Number of records that were stored.
    pub accepted: u64,
    /// Number of events that were known already.
    pub duplicates: u64,
    /// Number of duplicates whose content differs from that of the first copy.
    pub changed: u64,
    /// Number of events that are known with other content; they are in the quarantine.
    pub conflicts: u64,
    /// Number of quarantined events, conflicts included.
    pub quarantined: u64,
    /// The run that the request began, or [`NO_RUN`](lakehook_base::record::NO_RUN).
    pub run: Lsn,
}
