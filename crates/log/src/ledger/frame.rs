//! A frame under construction: sections of rows by partition, and the entries that are ready.
//!
//! Rows of one partition are kept together, so that a batch is read back in a few large reads,
//! however many partitions are open.

use super::batch::Sums;
use super::entry::{Entry, MAX_ROW_HEADER, RowsEntry, Span, put_row};
use super::facts::RowCounts;
use crate::journal::layout::FRAME_HEADER;
use lakehook_base::clock::Micros;
use lakehook_base::record::{Lsn, RowKind, row_hash};

/// Rows of one partition that wait to become an entry.
#[derive(Debug)]
pub struct Section {
    payload: Vec<u8>,
    /// Sums over the rows, except the hash of their LSNs: they have none yet.
    pub sums: Sums,
    /// Number of rows of each kind.
    pub counts: RowCounts,
    /// Earliest and newest time of receipt.
    pub received: Span,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            payload: Vec::new(),
            sums: Sums::default(),
            counts: RowCounts::default(),
            received: Span::EMPTY,
        }
    }
}

impl Section {
    /// Adds a row.
    pub fn push(&mut self, kind: RowKind, lsn_at: u32, row: &[u8], received: Micros) {
        put_row(&mut self.payload, kind, lsn_at, row);
        self.sums.add(&sums_of(row));
        self.counts.add(kind);
        self.received = self.received.including(received);
    }

    /// The rows with their headers, one after the other.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Removes the rows and keeps the buffer.
    pub fn clear(&mut self) {
        let mut payload = std::mem::take(&mut self.payload);
        payload.clear();
        *self = Self {
            payload,
            ..Self::default()
        };
    }
}

/// Bytes that a row counts for, with its line end.
pub fn row_bytes(row: &[u8]) -> u64 {
    row.len() as u64 + 1
}

/// What a row adds up to, except for its LSN.
pub fn sums_of(row: &[u8]) -> Sums {
    Sums {
        count: 1,
        bytes: row_bytes(row),
        row_hash: row_hash(row),
        lsn_hash: 0,
    }
}

/// Most bytes that a row adds to a frame, besides its own.
pub const ROW_OVERHEAD: usize = MAX_ROW_HEADER;

/// The bytes of a frame: space for the header, then the entries.
#[derive(Debug)]
pub struct FrameBuilder {
    bytes: Vec<u8>,
    /// LSN of the frame's first row, or of the next row to come.
    pub first_lsn: Lsn,
    /// Number of rows in the frame.
    pub rows: u32,
    /// By how much packing made it smaller.
    saved: usize,
}

impl FrameBuilder {
    /// An empty frame.
    pub fn new(first_lsn: Lsn) -> Self {
        Self {
            bytes: vec![0; FRAME_HEADER],
            first_lsn,
            rows: 0,
            saved: 0,
        }
    }

    /// Empties the frame and keeps the buffer.
    pub fn restart(&mut self, first_lsn: Lsn) {
        self.bytes.clear();
        self.bytes.resize(FRAME_HEADER, 0);
        self.first_lsn = first_lsn;
        self.rows = 0;
        self.saved = 0;
    }

    /// Whether the frame has no entry.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == FRAME_HEADER
    }

    /// Bytes so far, header included.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that it would have so far, header included, if no section were packed: these are bounded,
    /// so that reading a frame back is, too.
    pub fn raw_len(&self) -> usize {
        self.bytes.len() + self.saved
    }

    /// The whole frame, for [`crate::journal::layout::FrameHeader::seal`].
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Appends an entry that has no rows.
    pub fn put(&mut self, entry: &Entry<'_>) {
        entry.put(&mut self.bytes);
    }

    /// Appends an entry of rows; returns the offset of its payload in the body.
    pub fn put_rows(&mut self, rows: &RowsEntry<'_>) -> u64 {
        self.rows += u32::try_from(rows.count).unwrap_or(0);
        (rows.put(&mut self.bytes) - FRAME_HEADER) as u64
    }

    /// Appends rows that somebody else may have packed, and that add up to `sums`; returns the offset of
    /// their payload in the body.
    pub(crate) fn put_reserved_rows(&mut self, rows: &RowsEntry<'_>, sums: &Sums) -> u64 {
        let raw = sums.bytes + sums.count * ROW_OVERHEAD as u64;
        let raw = usize::try_from(raw).unwrap_or(usize::MAX);
        self.saved += raw.saturating_sub(rows.payload.len());
        self.put_rows(rows)
    }

    /// Appends the rows of a section, which may be packed; returns the offset of its payload in the
    /// body.
    pub fn put_section(
        &mut self,
        run: Lsn,
        partition: &str,
        section: &Section,
        packed: Option<&[u8]>,
    ) -> u64 {
        let payload = packed.unwrap_or(&section.payload);
        self.saved += section.payload.len() - payload.len();
        self.put_rows(&RowsEntry {
            run,
            partition,
            received: section.received,
            count: section.sums.count,
            payload,
            payload_at: 0,
        })
    }
}
