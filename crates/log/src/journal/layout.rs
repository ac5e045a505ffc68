//! Byte layout of segments and frames: constants, names and headers. `docs/wal-format.md` describes
//! it in prose; snapshots in the tests keep the two in agreement.
//!
//! All numbers are little-endian.

use std::path::{Path, PathBuf};

use lakehook_base::checksum::crc32c;
use lakehook_base::clock::Micros;
use lakehook_base::ids::NodeId;
use lakehook_base::record::Lsn;

/// Version of everything in this module and of the entries. A newer format is refused with an error
/// that names it. Earlier ones are read but never written: format 1 had no runs and no cursors, and
/// format 2 no packed sections.
pub const FORMAT: u32 = 3;
/// Frames start at multiples of this size, so that no write touches a block with acknowledged
/// bytes.
pub const BLOCK: u64 = 4096;
/// The first block of a segment holds its header.
pub const FIRST_FRAME: u64 = BLOCK;
/// Size of a frame's header in bytes.
pub const FRAME_HEADER: usize = 64;
/// Most bytes of a frame, header included. A request of 12 MiB whose every event conflicts with a
/// known one fits: in the quarantine, its events are escaped and take twice the space.
pub const MAX_FRAME: usize = 32 << 20;

const SEGMENT_MAGIC: &[u8; 8] = b"LHWALSEG";
const FRAME_MAGIC: &[u8; 4] = b"LHF1";
const SEGMENT_HEADER: usize = 96;

/// `offset` rounded up to the next block.
pub fn next_block(offset: u64) -> u64 {
    offset.div_ceil(BLOCK) * BLOCK
}

/// Path of the segment of that number.
pub fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:020}.wal"))
}

/// The number in a file name such as `00000000000000000007.wal`.
pub fn number_of(name: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_suffix(suffix)?;
    if digits.len() == 20 {
        digits.parse().ok()
    } else {
        None
    }
}

/// Where the part of a segment that counts ends for good; what lies beyond is void.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentEnd {
    /// Id of that segment; 0 before the first segment.
    pub segment_id: u64,
    /// Number of its last frame that counts; 0 if there is none.
    pub frame_number: u64,
    /// Offset after that frame, a block boundary.
    pub offset: u64,
    /// Checksum of that frame.
    pub crc: u32,
}

/// The header in the first block of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Number of the segment: from 1, without gaps.
    pub number: u64,
    /// Random, so that bytes of a removed segment are never taken for this one's.
    pub id: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// The node that owns the log.
    pub node: NodeId,
    /// Where the previous segment ends.
    pub previous: SegmentEnd,
    /// Wall time of creation.
    pub created_at: Micros,
}

/// Why a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The header is not one of a segment, or is damaged.
    #[error("it does not begin with a valid header")]
    Invalid,
    /// A newer program wrote it.
    #[error("it has format {0}, and this program knows formats up to {FORMAT}: use a newer one")]
    Newer(u32),
}

impl SegmentHeader {
    /// Encodes the first block of the file.
    pub fn encode(&self) -> [u8; BLOCK as usize] {
        let mut block = [0; BLOCK as usize];
        block[..8].copy_from_slice(SEGMENT_MAGIC);
        block[12..16].copy_from_slice(&FORMAT.to_le_bytes());
        put_u64(&mut block, 16, self.number);
        put_u64(&mut block, 24, self.id);
        put_u64(&mut block, 32, self.bytes);
        put_u64(&mut block, 40, self.node.0);
        put_u64(&mut block, 48, self.previous.segment_id);
        put_u64(&mut block, 56, self.previous.frame_number);
        put_u64(&mut block, 64, self.previous.offset);
        put_u64(&mut block, 72, u64::from(self.previous.crc));
        put_u64(&mut block, 80, self.created_at.0.cast_unsigned());
        let crc = crc32c(&block[12..SEGMENT_HEADER]);
        block[8..12].copy_from_slice(&crc.to_le_bytes());
        block
    }

    /// Reads what [`SegmentHeader::encode`] wrote.
    pub fn decode(block: &[u8; BLOCK as usize]) -> Result<Self, HeaderError> {
        if &block[..8] != SEGMENT_MAGIC {
            return Err(HeaderError::Invalid);
        }
        let format = get_u32(block, 12);
        if format > FORMAT {
            return Err(HeaderError::Newer(format));
        }
        if get_u32(block, 8) != crc32c(&block[12..SEGMENT_HEADER]) {
            return Err(HeaderError::Invalid);
        }
        Ok(Self {
            number: get_u64(block, 16),
            id: get_u64(block, 24),
            bytes: get_u64(block, 32),
            node: NodeId(get_u64(block, 40)),
            previous: SegmentEnd {
                segment_id: get_u64(block, 48),
                frame_number: get_u64(block, 56),
                offset: get_u64(block, 64),
                crc: get_u32(block, 72),
            },
            created_at: Micros(get_u64(block, 80).cast_signed()),
        })
    }
}

/// The header of a frame. Its checksum covers header and body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Checksum of the rest of the header and of the body.
    pub crc: u32,
    /// Id of the segment that the frame was written into.
    pub segment_id: u64,
    /// Number of the frame: from 1, without gaps over the whole log.
    pub number: u64,
    /// Bytes after the header.
    pub body_bytes: u32,
    /// Checksum of the frame before.
    pub previous_crc: u32,
    /// LSN of the frame's first row, or of the next row to come if it has none.
    pub first_lsn: Lsn,
    /// Number of rows in the frame.
    pub rows: u32,
    /// Wall time of writing.
    pub written_at: Micros,
}

impl FrameHeader {
    /// Writes the header into the first [`FRAME_HEADER`] bytes of `frame`, whose rest is the body,
    /// and returns the checksum. Only `crc` and `body_bytes` are computed here.
    pub fn seal(&self, frame: &mut [u8]) -> u32 {
        let body_bytes = u32::try_from(frame.len() - FRAME_HEADER).unwrap_or(u32::MAX);
        frame[..4].copy_from_slice(FRAME_MAGIC);
        put_u64(frame, 8, self.segment_id);
        put_u64(frame, 16, self.number);
        put_u32(frame, 24, body_bytes);
        put_u32(frame, 28, self.previous_crc);
        put_u64(frame, 32, self.first_lsn.0);
        put_u64(frame, 40, self.written_at.0.cast_unsigned());
        put_u32(frame, 48, self.rows);
        put_u32(frame, 52, FORMAT);
        put_u64(frame, 56, 0);
        let crc = crc32c(&frame[8..]);
        put_u32(frame, 4, crc);
        crc
    }

    /// Reads a header; `None` if the bytes are not one. [`FrameHeader::matches`] checks the
    /// checksum.
    pub fn decode(header: &[u8]) -> Option<Self> {
        if header.len() < FRAME_HEADER || &header[..4] != FRAME_MAGIC {
            return None;
        }
        let body_bytes = get_u32(header, 24);
        let fits = body_bytes as usize <= MAX_FRAME - FRAME_HEADER;
        let is_known = (1..=FORMAT).contains(&get_u32(header, 52));
        (fits && is_known).then(|| Self {
            crc: get_u32(header, 4),
            segment_id: get_u64(header, 8),
            number: get_u64(header, 16),
            body_bytes,
            previous_crc: get_u32(header, 28),
            first_lsn: Lsn(get_u64(header, 32)),
            written_at: Micros(get_u64(header, 40).cast_signed()),
            rows: get_u32(header, 48),
        })
    }

    /// Whether `frame` has the length and the checksum that this header gives. The checksum covers all bytes
    /// after itself, in header and body.
    pub fn matches(&self, frame: &[u8]) -> bool {
        frame.len() == self.bytes() && crc32c(&frame[8..]) == self.crc
    }

    /// Bytes of the frame, header included.
    pub fn bytes(&self) -> usize {
        FRAME_HEADER + self.body_bytes as usize
    }
}

fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn get_u32(bytes: &[u8], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

fn get_u64(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
