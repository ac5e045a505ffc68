//! What entries say: totals, seals, commits, checkpoints, ends of runs, and how each is coded.

use super::batch::{Chunks, Sums};
use super::coding::{
    put_all, put_bytes, put_varint, take_array, take_bytes, take_text, take_varint,
};
use lakehook_base::clock::Micros;
use lakehook_base::record::{Lsn, RowKind};

/// Running totals of a log. Of what was answered 2xx,
/// `received = stored + dropped + duplicate + quarantined`; every LSN is one of `stored`,
/// `quarantined`, `refused`, or void.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Events in requests that were accepted.
    pub received: u64,
    /// New records.
    pub stored: u64,
    /// Valid events that a rule dropped.
    pub dropped: u64,
    /// Events that were known already.
    pub duplicate: u64,
    /// Events of accepted requests that went to the quarantine.
    pub quarantined: u64,
    /// Copies of refused requests; not part of `received`.
    pub refused: u64,
}

/// LSNs and what their hashes add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LsnSet {
    /// How many.
    pub count: u64,
    /// Sum of their hashes modulo 2^128.
    pub hash: u128,
}

/// The state of the log at the moment of a seal; goes into the object's metadata for the audit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AsOf {
    /// The highest LSN so far, and the hash sum of all LSNs up to it.
    pub lsn: Lsn,
    /// Sum of the hashes of the LSNs 1 to `lsn` modulo 2^128.
    pub lsn_hash: u128,
    /// Rows that no seal up to this one covers.
    pub open: LsnSet,
    /// LSNs that no row will ever have.
    pub void: LsnSet,
    /// Running totals.
    pub totals: Totals,
    /// Everything that this node acknowledged with an earlier `received_at` is in a seal up to this
    /// one.
    pub watermark: Micros,
}

/// The durable decision that a batch is closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seal {
    /// From 1, without gaps.
    pub number: u64,
    /// Random; in the object's metadata it tells ours from another's.
    pub nonce: u128,
    /// The partition key.
    pub partition: String,
    /// The object's key, relative to the lake.
    pub key: String,
    /// The object's format.
    pub format: String,
    /// Identity of the lake that it goes to.
    pub lake: String,
    /// LSN of its first row.
    pub first_lsn: Lsn,
    /// LSN of its last row.
    pub last_lsn: Lsn,
    /// What its rows add up to.
    pub sums: Sums,
    /// Where they are.
    pub chunks: Chunks,
    /// The state of the log.
    pub as_of: AsOf,
}

/// The durable note that a batch's object is in the lake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// Number of the seal.
    pub seal: u64,
    /// Size of the object in bytes.
    pub bytes: u64,
    /// CRC-32C of the object.
    pub crc: u32,
}

/// All that recovery needs besides unshipped rows; begins each segment, and precedes each trim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// LSN of the next row.
    pub next_lsn: Lsn,
    /// Sum of the hashes of all LSNs before it.
    pub lsn_hash: u128,
    /// Number of the last seal.
    pub last_seal: u64,
    /// Running totals.
    pub totals: Totals,
    /// LSNs that no row will ever have.
    pub void: LsnSet,
    /// Oldest segment that is needed; those below may be gone.
    pub oldest_segment: u64,
    /// Oldest id file in force; those below may be gone.
    pub oldest_ids: u64,
    /// The newest `received_at` in the log.
    pub newest_received: Micros,
}

/// Counts of answered requests, since the counts before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events.
    pub received: u64,
    /// Taken by a drop rule.
    pub dropped: u64,
    /// Known already.
    pub duplicate: u64,
}

/// Rows of one partition that are not in the log yet, or are just read from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// New records.
    pub stored: u64,
    /// Quarantined events.
    pub quarantined: u64,
    /// Copies of refused requests.
    pub refused: u64,
}

impl RowCounts {
    /// Counts one row.
    pub fn add(&mut self, kind: RowKind) {
        match kind {
            RowKind::Record(_) | RowKind::Snapshot => self.stored += 1,
            RowKind::Quarantined => self.quarantined += 1,
            RowKind::Refused => self.refused += 1,
        }
    }
}

/// A span of time, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The earliest time.
    pub oldest: Micros,
    /// The latest time.
    pub newest: Micros,
}

impl Span {
    /// Of nothing.
    pub const EMPTY: Self = Self {
        oldest: Micros(i64::MAX),
        newest: Micros(i64::MIN),
    };

    /// The span that includes `time` too.
    #[must_use]
    pub fn including(self, time: Micros) -> Self {
        Self {
            oldest: self.oldest.min(time),
            newest: self.newest.max(time),
        }
    }
}

impl Totals {
    /// Whether everything that was answered 2xx is somewhere. Copies of refused requests are beside it.
    pub fn add_up(&self) -> bool {
        self.received == self.stored + self.dropped + self.duplicate + self.quarantined
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_all(out, &[self.received, self.stored, self.dropped]);
        put_all(out, &[self.duplicate, self.quarantined, self.refused]);
    }

    pub(crate) fn take(c: &mut &[u8]) -> Option<Self> {
        Some(Self {
            received: take_varint(c)?,
            stored: take_varint(c)?,
            dropped: take_varint(c)?,
            duplicate: take_varint(c)?,
            quarantined: take_varint(c)?,
            refused: take_varint(c)?,
        })
    }
}

impl LsnSet {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.count);
        out.extend_from_slice(&self.hash.to_le_bytes());
    }

    pub(crate) fn take(c: &mut &[u8]) -> Option<Self> {
        Some(Self {
            count: take_varint(c)?,
            hash: u128::from_le_bytes(take_array(c)?),
        })
    }
}

impl Checkpoint {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.next_lsn.0);
        out.extend_from_slice(&self.lsn_hash.to_le_bytes());
        put_varint(out, self.last_seal);
        self.totals.put(out);
        self.void.put(out);
        put_all(out, &[self.oldest_segment, self.oldest_ids]);
        out.extend_from_slice(&self.newest_received.0.to_le_bytes());
    }

    pub(crate) fn take(c: &mut &[u8]) -> Option<Self> {
        Some(Self {
            next_lsn: Lsn(take_varint(c)?),
            lsn_hash: u128::from_le_bytes(take_array(c)?),
            last_seal: take_varint(c)?,
            totals: Totals::take(c)?,
            void: LsnSet::take(c)?,
            oldest_segment: take_varint(c)?,
            oldest_ids: take_varint(c)?,
            newest_received: Micros(i64::from_le_bytes(take_array(c)?)),
        })
    }
}

impl Seal {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.number);
        out.extend_from_slice(&self.nonce.to_le_bytes());
        for text in [&self.partition, &self.key, &self.format, &self.lake] {
            put_bytes(out, text.as_bytes());
        }
        put_all(
            out,
            &[
                self.first_lsn.0,
                self.last_lsn.0,
                self.sums.count,
                self.sums.bytes,
            ],
        );
        out.extend_from_slice(&self.sums.row_hash.to_le_bytes());
        out.extend_from_slice(&self.sums.lsn_hash.to_le_bytes());
        put_bytes(out, self.chunks.as_bytes());
        put_varint(out, self.as_of.lsn.0);
        out.extend_from_slice(&self.as_of.lsn_hash.to_le_bytes());
        self.as_of.open.put(out);
        self.as_of.void.put(out);
        self.as_of.totals.put(out);
        out.extend_from_slice(&self.as_of.watermark.0.to_le_bytes());
    }

    pub(crate) fn take(c: &mut &[u8]) -> Option<Self> {
        Some(Self {
            number: take_varint(c)?,
            nonce: u128::from_le_bytes(take_array(c)?),
            partition: take_text(c)?.to_owned(),
            key: take_text(c)?.to_owned(),
            format: take_text(c)?.to_owned(),
            lake: take_text(c)?.to_owned(),
            first_lsn: Lsn(take_varint(c)?),
            last_lsn: Lsn(take_varint(c)?),
            sums: Sums {
                count: take_varint(c)?,
                bytes: take_varint(c)?,
                row_hash: u128::from_le_bytes(take_array(c)?),
                lsn_hash: u128::from_le_bytes(take_array(c)?),
            },
            chunks: Chunks::from_bytes(take_bytes(c)?.to_vec()),
            as_of: AsOf {
                lsn: Lsn(take_varint(c)?),
                lsn_hash: u128::from_le_bytes(take_array(c)?),
                open: LsnSet::take(c)?,
                void: LsnSet::take(c)?,
                totals: Totals::take(c)?,
                watermark: Micros(i64::from_le_bytes(take_array(c)?)),
            },
        })
    }
}

/// One object of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunObject {
    /// Its key, relative to the lake.
    pub key: String,
    /// LSN of its first row, by which its seal is recognised.
    pub first_lsn: Lsn,
    /// How many rows it has.
    pub count: u64,
}

/// The durable decision that a run is complete, with everything that its marker says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunEnd {
    /// Its name: the LSN that it began with.
    pub run: Lsn,
    /// Whose run it is.
    pub poll: String,
    /// How far the poll has got with it.
    pub cursor: Vec<u8>,
    /// Random; in the marker's metadata it tells ours from another's.
    pub nonce: u128,
    /// Format of the objects.
    pub format: String,
    /// Identity of the lake that they go to.
    pub lake: String,
    /// Key of the marker; empty for a run that has none.
    pub marker: String,
    /// What the marker says, besides the objects: the text of a JSON object without its last brace.
    pub about: Vec<u8>,
    /// The objects.
    pub pieces: Vec<RunObject>,
}

impl RunEnd {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.run.0);
        put_bytes(out, self.poll.as_bytes());
        put_bytes(out, &self.cursor);
        out.extend_from_slice(&self.nonce.to_le_bytes());
        for text in [&self.format, &self.lake, &self.marker] {
            put_bytes(out, text.as_bytes());
        }
        put_bytes(out, &self.about);
        put_varint(out, self.pieces.len() as u64);
        for piece in &self.pieces {
            put_bytes(out, piece.key.as_bytes());
            put_varint(out, piece.first_lsn.0);
            put_varint(out, piece.count);
        }
    }

    pub(crate) fn take(c: &mut &[u8]) -> Option<Self> {
        let mut end = Self {
            run: Lsn(take_varint(c)?),
            poll: take_text(c)?.to_owned(),
            cursor: take_bytes(c)?.to_vec(),
            nonce: u128::from_le_bytes(take_array(c)?),
            format: take_text(c)?.to_owned(),
            lake: take_text(c)?.to_owned(),
            marker: take_text(c)?.to_owned(),
            about: take_bytes(c)?.to_vec(),
            pieces: Vec::new(),
        };
        for _ in 0..take_varint(c)? {
            end.pieces.push(RunObject {
                key: take_text(c)?.to_owned(),
                first_lsn: Lsn(take_varint(c)?),
                count: take_varint(c)?,
            });
        }
        Some(end)
    }
}

/// The durable note that a run failed. A reader of it need not have seen the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abandoned {
    /// Its name.
    pub run: Lsn,
    /// The LSNs of its rows.
    pub void: LsnSet,
    /// What its rows were counted as, and are no longer.
    pub counts: RowCounts,
}

impl Abandoned {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.run.0);
        self.void.put(out);
        put_all(out, &[self.counts.stored, self.counts.quarantined]);
    }

    pub(crate) fn take(c: &mut &[u8]) -> Option<Self> {
        Some(Self {
            run: Lsn(take_varint(c)?),
            void: LsnSet::take(c)?,
            counts: RowCounts {
                stored: take_varint(c)?,
                quarantined: take_varint(c)?,
                refused: 0,
            },
        })
    }
}
