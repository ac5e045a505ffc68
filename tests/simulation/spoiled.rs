//! Frames as shipping reads them, with a bug that is planted between the log and shipping.

use std::io;

use lakehook::wal::batch::{Chunk, Chunks};
use lakehook::wal::entry::{Entry, Seal};
use lakehook::wal::journal::seam::{At, Frame, Frames};
use lakehook::wal::layout::FRAME_HEADER;

use crate::any_journal::AnyFrames;
use crate::shape::Planted;

#[derive(Clone, Debug)]
pub(crate) struct Spoiled {
    pub(crate) frames: AnyFrames,
    pub(crate) planted: Planted,
}

impl Spoiled {
    fn spoil(&self, frame: &Frame) -> Frame {
        let mut bytes = vec![0; FRAME_HEADER];
        for entry in Entry::all(frame.body()) {
            match entry {
                Ok(Entry::Seal(seal)) => Entry::Seal(Box::new(self.seal(*seal))).put(&mut bytes),
                Ok(entry) => entry.put(&mut bytes),
                Err(_) => return frame.clone(),
            }
        }
        Frame { bytes, ..*frame }
    }

    fn seal(&self, seal: Seal) -> Seal {
        if self.planted == Planted::CodecMixed {
            let format = match seal.format.as_str() {
                "ndjson.zst" => "ndjson.gz",
                _ => "ndjson.zst",
            };
            return Seal {
                format: format.to_owned(),
                ..seal
            };
        }
        let mut all: Vec<Chunk> = seal.chunks.iter().collect();
        match self.planted {
            Planted::CopiedTwice => all.insert(0, all[0]),
            Planted::CutWrongly => all[0].rows -= 1,
            Planted::WrongPlace if all.len() > 1 => {
                let Chunk {
                    rows, first_lsn, ..
                } = all[0];
                all[0] = Chunk {
                    rows,
                    first_lsn,
                    ..all[1]
                };
            }
            _ => {}
        }
        let mut chunks = Chunks::default();
        for chunk in &all {
            chunks.push(chunk);
        }
        Seal { chunks, ..seal }
    }
}

impl Frames for Spoiled {
    type Open = <AnyFrames as Frames>::Open;

    fn frame(&self, at: At) -> io::Result<Option<Frame>> {
        Ok(self.frames.frame(at)?.map(|frame| match self.planted {
            Planted::CopiedTwice
            | Planted::CutWrongly
            | Planted::WrongPlace
            | Planted::CodecMixed => self.spoil(&frame),
            _ => frame,
        }))
    }

    fn read(
        &self,
        open: &mut Self::Open,
        at: At,
        offset: u64,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        self.frames.read(open, at, offset, buffer)?;
        if self.planted == Planted::FlippedBit
            && let Some(last) = buffer.last_mut()
        {
            *last ^= 1;
        }
        Ok(())
    }

    fn name(&self) -> String {
        self.frames.name()
    }

    fn name_of_segment(&self, segment: u64) -> String {
        self.frames.name_of_segment(segment)
    }

    fn name_of(&self, at: At) -> String {
        self.frames.name_of(at)
    }
}
