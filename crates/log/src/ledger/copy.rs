//! Copies a frame into another segment: the same entries, and seals that name the new chunks of the
//! rows.
//!
//! Recovery copies the last frame of a log if it is not known to be durable where it is. A seal in
//! it may cover rows of the same frame; in the copy it covers the rows of the copy.

use super::batch::{Chunk, Chunks};
use super::entry::{Entry, Malformed, Seal};
use super::frame::FrameBuilder;
use crate::journal::seam::At;

/// Where a frame was, and where its copy is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Move {
    pub(crate) from: At,
    pub(crate) to: At,
}

impl Move {
    /// Appends the entries of `body` to a frame at the new position.
    ///
    /// Checkpoints at the beginning are left out: the caller has put one with the same content.
    pub(crate) fn copy(&self, body: &[u8], out: &mut FrameBuilder) -> Result<(), Malformed> {
        // Offsets of payloads in the old body and in the new one.
        let mut payloads: Vec<(u64, u64)> = Vec::new();
        let mut leading = true;
        for entry in Entry::all(body) {
            let entry = entry?;
            leading &= matches!(entry, Entry::Checkpoint(_));
            match entry {
                Entry::Checkpoint(_) if leading => {}
                Entry::Rows(rows) => {
                    payloads.push((rows.payload_at as u64, out.put_rows(&rows)));
                }
                Entry::Seal(seal) => out.put(&Entry::Seal(Box::new(self.seal(*seal, &payloads)))),
                entry => out.put(&entry),
            }
        }
        Ok(())
    }

    fn seal(&self, seal: Seal, payloads: &[(u64, u64)]) -> Seal {
        let mut chunks = Chunks::default();
        for chunk in seal.chunks.iter() {
            chunks.push(&self.chunk(chunk, payloads));
        }
        Seal { chunks, ..seal }
    }

    fn chunk(&self, chunk: Chunk, payloads: &[(u64, u64)]) -> Chunk {
        if chunk.frame != self.from {
            return chunk;
        }
        let moved = payloads.iter().find(|(from, _)| *from == chunk.offset);
        Chunk {
            frame: self.to,
            offset: moved.map_or(chunk.offset, |(_, to)| *to),
            ..chunk
        }
    }
}
