//! Frames and their positions, as every journal has them.

use super::layout::{FRAME_HEADER, FrameHeader};
use lakehook_base::clock::Micros;
use lakehook_base::record::Lsn;

/// The position of a frame. It can be compared and stored; only its journal understands the part
/// within the segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    segment: u64,
    within: u64,
}

impl At {
    /// The position that the journal calls `within` in a segment. Later frames of a segment have
    /// larger ones.
    pub fn new(segment: u64, within: u64) -> Self {
        Self { segment, within }
    }

    /// Number of the segment.
    pub fn segment(self) -> u64 {
        self.segment
    }

    /// Position within the segment, as the journal calls it.
    pub fn within(self) -> u64 {
        self.within
    }
}

/// A frame that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The decoded header.
    pub header: FrameHeader,
    /// Position of the frame.
    pub at: At,
    /// Header and body, encoded.
    pub bytes: Vec<u8>,
}

impl Frame {
    /// The encoded entries.
    pub fn body(&self) -> &[u8] {
        &self.bytes[FRAME_HEADER..]
    }

    /// LSN after the frame's last row.
    pub fn next_lsn(&self) -> Lsn {
        Lsn(self.header.first_lsn.0 + u64::from(self.header.rows))
    }
}

/// The part of a frame's header that the ledger decides; the journal adds the part that chains it
/// to the frame before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading {
    /// LSN of its first row, or of the next row to come if it has none.
    pub first_lsn: Lsn,
    /// Number of rows in the frame.
    pub rows: u32,
    /// Wall time of writing.
    pub written_at: Micros,
}

impl Heading {
    /// The header of frame `number`, which follows a frame with the checksum `previous_crc`.
    pub fn chained(&self, segment_id: u64, number: u64, previous_crc: u32) -> FrameHeader {
        FrameHeader {
            crc: 0,
            segment_id,
            number,
            body_bytes: 0,
            previous_crc,
            first_lsn: self.first_lsn,
            rows: self.rows,
            written_at: self.written_at,
        }
    }
}

/// Bytes after the last frame, left by a write that was not completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Offset in the newest segment at which they begin.
    pub offset: u64,
    /// Number of bytes up to the last one that is not zero.
    pub bytes: u64,
}
