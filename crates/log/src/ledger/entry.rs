//! Entries, in order, are the body of a frame. This module encodes and decodes them; what they mean
//! is decided elsewhere.
//!
//! An entry is a tag byte, the length of its content (LEB128), and the content. Numbers in contents
//! are LEB128 unless a width is named; texts and byte strings have their length before them.

use super::coding::{
    put_all, put_bytes, put_varint, take_array, take_bytes, take_text, take_varint,
};
pub use super::facts::{
    Abandoned, AsOf, Checkpoint, Commit, Counts, LsnSet, RunEnd, Seal, Span, Totals,
};
use lakehook_base::clock::Micros;
pub use lakehook_base::record::NO_RUN;
use lakehook_base::record::{Identity, Lsn, RowKind};

const ROWS: u8 = 1;
const COUNTS: u8 = 2;
const SEAL: u8 = 3;
const COMMIT: u8 = 4;
const VOID: u8 = 5;
const CHECKPOINT: u8 = 6;
const CLOSE: u8 = 7;
const RUN_BEGIN: u8 = 8;
const RUN_ROWS: u8 = 9;
const CUT: u8 = 10;
const RUN_END: u8 = 11;
const RUN_ABANDONED: u8 = 12;
const PUBLISHED: u8 = 13;
const CURSOR: u8 = 14;

const RECORD: u8 = 0;
const QUARANTINED: u8 = 1;
const REFUSED: u8 = 2;
const SNAPSHOT: u8 = 3;

/// The bytes are not an entry of this format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed entry at byte {at} of the frame's body")]
pub struct Malformed {
    /// Offset of the entry in the body.
    pub at: usize,
}

/// One entry of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// Rows of one partition with consecutive LSNs.
    Rows(RowsEntry<'a>),
    /// Counts of the requests that this frame answers.
    Counts(Counts),
    /// Closes a batch.
    Seal(Box<Seal>),
    /// The object of a seal is in the lake.
    Commit(Commit),
    /// LSNs that were assigned in a frame that failed; no row has them.
    Void {
        /// The first of the LSNs.
        first: Lsn,
        /// Number of LSNs.
        count: u64,
    },
    /// The totals so far, and which older files are still needed.
    Checkpoint(Checkpoint),
    /// Nothing was in flight: a clean stop, or a second of idleness.
    Close,
    /// A run of a poll has begun. An LSN is its name; no row will ever have it.
    RunBegin {
        /// The LSN that names the run.
        run: Lsn,
        /// Name of the poll.
        poll: &'a str,
    },
    /// The rows that a run has in a partition so far become an object of their own, if the run is
    /// published.
    Cut {
        /// LSN that names the run.
        run: Lsn,
        /// Partition key of the rows.
        partition: &'a str,
    },
    /// A run is complete: its rows may be sealed.
    RunEnd(Box<RunEnd>),
    /// A run failed or was interrupted: its LSNs are void.
    RunAbandoned(Abandoned),
    /// A run's marker is in the lake.
    Published {
        /// LSN that names the run.
        run: Lsn,
    },
    /// The cursor of a poll.
    Cursor {
        /// Name of the poll.
        poll: &'a str,
        /// The cursor, in the poll's own form.
        cursor: &'a [u8],
    },
}

/// Rows of one partition, as a frame stores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowsEntry<'a> {
    /// The run that they belong to, or [`NO_RUN`].
    pub run: Lsn,
    /// Partition key of the rows.
    pub partition: &'a str,
    /// The earliest and the newest `received_at` of the rows.
    pub received: Span,
    /// Number of rows.
    pub count: u64,
    /// The rows, one after the other or packed; see [`super::packed::SectionReader`].
    pub payload: &'a [u8],
    /// Offset of `payload` in the frame's body.
    pub payload_at: usize,
}

/// One row, as the log stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRow<'a> {
    /// Kind of the row.
    pub kind: RowKind,
    /// Offset in `bytes` at which the `lsn` is inserted.
    pub lsn_at: usize,
    /// The row without its `lsn`.
    pub bytes: &'a [u8],
}

/// Most bytes of a row's header.
pub const MAX_ROW_HEADER: usize = 1 + 8 + 4 + 5 + 5;

/// Appends a row to the payload of a rows entry.
pub fn put_row(out: &mut Vec<u8>, kind: RowKind, lsn_at: u32, bytes: &[u8]) {
    put_row_header(out, kind, lsn_at, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends what is stored of a row besides its bytes.
pub(crate) fn put_row_header(out: &mut Vec<u8>, kind: RowKind, lsn_at: u32, bytes: usize) {
    match kind {
        RowKind::Record(identity) => {
            out.push(RECORD);
            out.extend_from_slice(&identity.tag.to_le_bytes());
            out.extend_from_slice(&identity.content.to_le_bytes());
        }
        RowKind::Snapshot => out.push(SNAPSHOT),
        RowKind::Quarantined => out.push(QUARANTINED),
        RowKind::Refused => out.push(REFUSED),
    }
    put_varint(out, u64::from(lsn_at));
    put_varint(out, bytes as u64);
}

/// Takes a header off the front: the row's kind, the offset at which its `lsn` is inserted, and its
/// bytes.
pub(crate) fn take_row_header(headers: &mut &[u8]) -> Option<(RowKind, usize, usize)> {
    let (kind, rest) = headers.split_first()?;
    let mut rest = rest;
    let kind = match *kind {
        RECORD => {
            let tag = u64::from_le_bytes(take_array(&mut rest)?);
            let content = u32::from_le_bytes(take_array(&mut rest)?);
            RowKind::Record(Identity { tag, content })
        }
        SNAPSHOT => RowKind::Snapshot,
        QUARANTINED => RowKind::Quarantined,
        REFUSED => RowKind::Refused,
        _ => return None,
    };
    let lsn_at = usize::try_from(take_varint(&mut rest)?).ok()?;
    let bytes = usize::try_from(take_varint(&mut rest)?).ok()?;
    *headers = rest;
    (lsn_at <= bytes).then_some((kind, lsn_at, bytes))
}

impl<'a> StoredRow<'a> {
    /// Takes a row off the front of a payload; `None` if the bytes do not begin with one.
    pub fn take(payload: &mut &'a [u8]) -> Option<Self> {
        let mut rest = *payload;
        let (kind, lsn_at, bytes) = take_row_header(&mut rest)?;
        let (bytes, rest) = rest.split_at_checked(bytes)?;
        *payload = rest;
        Some(Self {
            kind,
            lsn_at,
            bytes,
        })
    }
}

impl<'a> RowsEntry<'a> {
    /// Appends the entry; returns the payload's offset in `body`.
    pub fn put(&self, body: &mut Vec<u8>) -> usize {
        let mut head = Vec::with_capacity(self.partition.len() + 40);
        if self.run == NO_RUN {
            body.push(ROWS);
        } else {
            body.push(RUN_ROWS);
            put_varint(&mut head, self.run.0);
        }
        put_bytes(&mut head, self.partition.as_bytes());
        head.extend_from_slice(&self.received.oldest.0.to_le_bytes());
        head.extend_from_slice(&self.received.newest.0.to_le_bytes());
        put_varint(&mut head, self.count);
        put_varint(body, (head.len() + self.payload.len()) as u64);
        body.extend_from_slice(&head);
        let payload_at = body.len();
        body.extend_from_slice(self.payload);
        payload_at
    }

    /// Decodes the rest of the content of an entry that ends at `content_end` of the body.
    fn take(c: &mut &'a [u8], run: Lsn, content_end: usize) -> Option<Self> {
        let partition = take_text(c)?;
        let oldest = Micros(i64::from_le_bytes(take_array(c)?));
        let newest = Micros(i64::from_le_bytes(take_array(c)?));
        let count = take_varint(c)?;
        let payload_at = content_end - c.len();
        Some(Self {
            run,
            partition,
            received: Span { oldest, newest },
            count,
            payload: std::mem::take(c),
            payload_at,
        })
    }
}

impl<'a> Entry<'a> {
    /// Appends an entry of any kind; [`RowsEntry::put`] writes rows.
    pub fn put(&self, body: &mut Vec<u8>) {
        let mut content = Vec::new();
        let tag = match self {
            Self::Rows(rows) => {
                rows.put(body);
                return;
            }
            Self::Counts(counts) => {
                put_all(
                    &mut content,
                    &[counts.received, counts.dropped, counts.duplicate],
                );
                COUNTS
            }
            Self::Seal(seal) => {
                seal.put(&mut content);
                SEAL
            }
            Self::Commit(commit) => {
                put_all(
                    &mut content,
                    &[commit.seal, commit.bytes, u64::from(commit.crc)],
                );
                COMMIT
            }
            Self::Void { first, count } => {
                put_all(&mut content, &[first.0, *count]);
                VOID
            }
            Self::Checkpoint(checkpoint) => {
                checkpoint.put(&mut content);
                CHECKPOINT
            }
            Self::Close => CLOSE,
            Self::RunBegin { run, poll } => {
                put_varint(&mut content, run.0);
                put_bytes(&mut content, poll.as_bytes());
                RUN_BEGIN
            }
            Self::Cut { run, partition } => {
                put_varint(&mut content, run.0);
                put_bytes(&mut content, partition.as_bytes());
                CUT
            }
            Self::RunEnd(end) => {
                end.put(&mut content);
                RUN_END
            }
            Self::RunAbandoned(abandoned) => {
                abandoned.put(&mut content);
                RUN_ABANDONED
            }
            Self::Published { run } => {
                put_varint(&mut content, run.0);
                PUBLISHED
            }
            Self::Cursor { poll, cursor } => {
                put_bytes(&mut content, poll.as_bytes());
                put_bytes(&mut content, cursor);
                CURSOR
            }
        };
        body.push(tag);
        put_bytes(body, &content);
    }

    /// The entries of a frame's body, in order; ends after the first malformed one.
    pub fn all(body: &'a [u8]) -> impl Iterator<Item = Result<Self, Malformed>> {
        let mut rest = body;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let at = body.len() - rest.len();
            let entry = Self::take(&mut rest, body.len());
            if entry.is_none() {
                rest = &[];
            }
            Some(entry.ok_or(Malformed { at }))
        })
    }

    fn take(rest: &mut &'a [u8], body_bytes: usize) -> Option<Self> {
        let (tag, after) = rest.split_first()?;
        *rest = after;
        let content = take_bytes(rest)?;
        let content_end = body_bytes - rest.len();
        let mut content = content;
        let c = &mut content;
        let entry = match *tag {
            ROWS => Self::Rows(RowsEntry::take(c, NO_RUN, content_end)?),
            RUN_ROWS => {
                let run = Lsn(take_varint(c)?);
                Self::Rows(RowsEntry::take(c, run, content_end)?)
            }
            COUNTS => Self::Counts(Counts {
                received: take_varint(c)?,
                dropped: take_varint(c)?,
                duplicate: take_varint(c)?,
            }),
            SEAL => Self::Seal(Box::new(Seal::take(c)?)),
            COMMIT => Self::Commit(Commit {
                seal: take_varint(c)?,
                bytes: take_varint(c)?,
                crc: u32::try_from(take_varint(c)?).ok()?,
            }),
            VOID => Self::Void {
                first: Lsn(take_varint(c)?),
                count: take_varint(c)?,
            },
            CHECKPOINT => Self::Checkpoint(Checkpoint::take(c)?),
            CLOSE => Self::Close,
            RUN_BEGIN => Self::RunBegin {
                run: Lsn(take_varint(c)?),
                poll: take_text(c)?,
            },
            CUT => Self::Cut {
                run: Lsn(take_varint(c)?),
                partition: take_text(c)?,
            },
            RUN_END => Self::RunEnd(Box::new(RunEnd::take(c)?)),
            RUN_ABANDONED => Self::RunAbandoned(Abandoned::take(c)?),
            PUBLISHED => Self::Published {
                run: Lsn(take_varint(c)?),
            },
            CURSOR => Self::Cursor {
                poll: take_text(c)?,
                cursor: take_bytes(c)?,
            },
            _ => return None,
        };
        content.is_empty().then_some(entry)
    }
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
