//! Frames and their positions, as every journal has them.

use super::layout::{FRAME_HEADER, FrameHeader};
use lakehook_base::clock::Micros;
use lakehook_base::record::Lsn;

/// The position of a frame. It can be compared and stored; what lies within a segment only its journal
/// understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    segment: u64,
    within: u64,
}

impl At {
    /// The position in that segment which its journal calls `within`. Later frames of a segment have
    /// larger ones.
    pub fn new(segment: u64, within: u64) -> Self {
        Self { segment, within }
    }

    /// Number of the segment.
    pub fn segment(self) -> u64 {
        self.segment
    }

    /// Where in the segment, as the journal calls it.
    pub fn within(self) -> u64 {
        self.within
    }
}

/// A frame that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its header.
    pub header: FrameHeader,
    /// Where it is.
    pub at: At,
    /// Header and body.
    pub bytes: Vec<u8>,
}

impl Frame {
    /// The entries.
    pub fn body(&self) -> &[u8] {
        &self.bytes[FRAME_HEADER..]
    }

    /// LSN after its last row.
    pub fn next_lsn(&self) -> Lsn {
        Lsn(self.header.first_lsn.0 + u64::from(self.header.rows))
    }
}

/// What the ledger says of a frame in its header; the journal adds what chains it to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading {
    /// LSN of its first row, or of the next row to come if it has none.
    pub first_lsn: Lsn,
    /// How many rows it has.
    pub rows: u32,
    /// Wall time of writing.
    pub written_at: Micros,
}

impl Heading {
    /// The header of frame `number`, behind a frame with that checksum.
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

/// Bytes behind the last frame that never became a frame that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Where in the newest segment they begin.
    pub offset: u64,
    /// From there to the last byte that is not zero.
    pub bytes: u64,
}
