//! Segments: files that are filled frame by frame, and never reused.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frames::Heading;
use super::layout::{
    FIRST_FRAME, FrameHeader, SegmentEnd, SegmentHeader, next_block, segment_path,
};
use super::spares::Spare;
use lakehook_base::files::{File, Files, parent_of};

/// The segment that frames are appended to.
pub struct Segment<F: Files> {
    header: SegmentHeader,
    file: Arc<F::File>,
    /// The temporary name, while the segment has no frame yet and so no name of its own.
    unnamed: Option<PathBuf>,
    path: PathBuf,
    end: SegmentEnd,
}

impl<F: Files> Segment<F> {
    /// Turns a spare into a segment. Nothing is written before its first frame.
    pub fn new(spare: Spare<F>, dir: &Path, header: SegmentHeader) -> Self {
        let end = SegmentEnd {
            segment_id: header.id,
            frame_number: header.previous.frame_number,
            offset: FIRST_FRAME,
            crc: header.previous.crc,
        };
        Self {
            header,
            file: spare.file,
            unnamed: Some(spare.path),
            path: segment_path(dir, header.number),
            end,
        }
    }

    /// Header of the segment.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// End of the last frame that is durable.
    pub fn end(&self) -> SegmentEnd {
        self.end
    }

    /// Whether the first frame, and with it the segment, is durable.
    pub fn is_named(&self) -> bool {
        self.unnamed.is_none()
    }

    /// The temporary name of a segment without frames.
    pub fn temporary(&self) -> Option<&Path> {
        self.unnamed.as_deref()
    }

    /// Bytes left for a frame, header included.
    pub fn room(&self) -> u64 {
        self.header.bytes.saturating_sub(self.end.offset)
    }

    /// Completes the header of a frame, writes it and makes it durable.
    ///
    /// The first frame makes the segment exist: header and frame are synced under the temporary
    /// name, which is then changed to the final one, and the directory is synced. After an error
    /// nothing may be written to this segment any more.
    pub fn append(&mut self, files: &F, heading: Heading, frame: &mut [u8]) -> io::Result<()> {
        if frame.len() as u64 > self.room() {
            // A frame that exceeds the segment would be written, but never found again.
            let message = format!("a frame of {} bytes in {}", frame.len(), self.room());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let number = self.end.frame_number + 1;
        let header = heading.chained(self.header.id, number, self.end.crc);
        let crc = header.seal(frame);
        // The checksum is compared where frames are read.
        debug_assert!(
            FrameHeader::decode(frame).is_some_and(|sealed| sealed.crc == crc
                && sealed.bytes() == frame.len()
                && sealed.number == number),
            "a reader takes the frame for whole"
        );
        match self.unnamed.take() {
            None => {
                self.file.write_all_at(frame, self.end.offset)?;
                self.file.sync()?;
            }
            Some(temporary) => {
                let named = self.name(files, &temporary, frame);
                if named.is_err() {
                    self.unnamed = Some(temporary);
                }
                named?;
                files.sync_dir(parent_of(&self.path))?;
            }
        }
        self.end.frame_number = number;
        self.end.crc = crc;
        self.end.offset = next_block(self.end.offset + frame.len() as u64);
        Ok(())
    }

    /// Writes header and first frame, makes them durable, and gives the segment its name.
    fn name(&self, files: &F, temporary: &Path, frame: &[u8]) -> io::Result<()> {
        self.file.write_all_at(&self.header.encode(), 0)?;
        self.file.write_all_at(frame, FIRST_FRAME)?;
        self.file.sync()?;
        files.rename(temporary, &self.path)
    }
}
