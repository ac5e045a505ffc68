//! Chunks: where the rows of a batch lie in the log.

use super::coding::{put_varint, take_varint};
use crate::journal::seam::At;
use lakehook_base::record::Lsn;

/// Where consecutive rows of one partition lie in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The frame.
    pub frame: At,
    /// Offset of the rows in the frame's body.
    pub offset: u64,
    /// Bytes of the rows with their headers.
    pub bytes: u64,
    /// How many.
    pub rows: u64,
    /// LSN of the first; the others follow without gaps.
    pub first_lsn: Lsn,
}

/// Chunks in the order of the log, delta-coded: about ten bytes each.
#[derive(Clone, Debug, Default)]
pub struct Chunks {
    bytes: Vec<u8>,
    /// Where the last chunk is; `None` until that matters.
    last: Option<(At, Lsn)>,
}

impl PartialEq for Chunks {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Chunks {}

impl Chunks {
    /// Takes what [`Chunks::as_bytes`] gave.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { bytes, last: None }
    }

    /// The delta-coded form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds a chunk behind the last one.
    pub fn push(&mut self, chunk: &Chunk) {
        let (last, last_lsn) = self.last.unwrap_or_else(|| {
            let last = self.iter().last();
            last.map_or_else(Default::default, |last| (last.frame, last.first_lsn))
        });
        debug_assert!(chunk.frame >= last, "chunks are in the order of the log");
        debug_assert!(chunk.first_lsn >= last_lsn, "so are their rows");
        let segments = chunk.frame.segment() - last.segment();
        let within = chunk.frame.within();
        put_varint(&mut self.bytes, segments);
        put_varint(
            &mut self.bytes,
            if segments == 0 {
                within - last.within()
            } else {
                within
            },
        );
        put_varint(&mut self.bytes, chunk.offset);
        put_varint(&mut self.bytes, chunk.bytes);
        put_varint(&mut self.bytes, chunk.rows);
        put_varint(&mut self.bytes, chunk.first_lsn.0 - last_lsn.0);
        self.last = Some((chunk.frame, chunk.first_lsn));
    }

    /// The chunks in order; ends early where the bytes are not of the right form.
    pub fn iter(&self) -> impl Iterator<Item = Chunk> + '_ {
        let mut rest = self.bytes.as_slice();
        let (mut last, mut last_lsn) = (At::default(), 0_u64);
        std::iter::from_fn(move || {
            let segment = last.segment().checked_add(take_varint(&mut rest)?)?;
            let within = take_varint(&mut rest)?;
            let within = if segment == last.segment() {
                last.within().checked_add(within)?
            } else {
                within
            };
            let offset = take_varint(&mut rest)?;
            let bytes = take_varint(&mut rest)?;
            let rows = take_varint(&mut rest)?;
            last = At::new(segment, within);
            last_lsn = last_lsn.checked_add(take_varint(&mut rest)?)?;
            Some(Chunk {
                frame: last,
                offset,
                bytes,
                rows,
                first_lsn: Lsn(last_lsn),
            })
        })
    }
}
