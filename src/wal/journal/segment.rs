//! Segments: files that are made ahead, filled frame by frame, and never reused.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::{File, Files, parent_of, remove_if_there};
use crate::wal::journal::layout::{
    FIRST_FRAME, FrameHeader, SegmentEnd, SegmentHeader, next_block, segment_path,
};

/// How much is zero-filled in one step.
const ZERO_STEP: usize = 1 << 20;
/// So much of it waits for the disk at most: a frame's sync waits behind it.
const ZERO_SYNC: u64 = 4 << 20;

/// A file full of zeros under a temporary name, waiting to become a segment.
pub struct Spare<F: Files> {
    /// The file.
    pub file: Arc<F::File>,
    /// Its temporary name.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

impl<F: Files> Spare<F> {
    /// Fills a new file with zeros, so that later syncs have no new lengths or extents to record.
    pub fn prepare(files: &F, path: &Path, bytes: u64) -> io::Result<Self> {
        remove_if_there(files, path)?;
        let file = files.create_new(path)?;
        if let Err(error) = fill_with_zeros(&file, bytes) {
            // Its space is needed more than the file.
            remove_if_there(files, path)?;
            return Err(error);
        }
        Ok(Self {
            file: Arc::new(file),
            path: path.to_owned(),
            bytes,
        })
    }
}

/// Durable when it returns.
fn fill_with_zeros<H: File>(file: &H, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; ZERO_STEP];
    let mut offset = 0;
    while offset < bytes {
        let step = usize::try_from(bytes - offset)
            .unwrap_or(ZERO_STEP)
            .min(ZERO_STEP);
        file.write_all_at(&zeros[..step], offset)?;
        offset += step as u64;
        if offset.is_multiple_of(ZERO_SYNC) || offset == bytes {
            file.sync()?;
        }
    }
    Ok(())
}

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

    /// Its header.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// Where the part that counts ends.
    pub fn end(&self) -> SegmentEnd {
        self.end
    }

    /// Whether its first frame is durable, and with it the segment.
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
    /// The first frame brings the segment itself into being: header and frame are synced under the
    /// temporary name, which is then changed to the final one, and the directory is synced.
    /// After an error nothing may be written to this segment any more.
    pub fn append(
        &mut self,
        files: &F,
        mut header: FrameHeader,
        frame: &mut [u8],
    ) -> io::Result<()> {
        if frame.len() as u64 > self.room() {
            // It would be written, and never found again.
            let message = format!("a frame of {} bytes in {}", frame.len(), self.room());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        header.segment_id = self.header.id;
        header.number = self.end.frame_number + 1;
        header.previous_crc = self.end.crc;
        let crc = header.seal(frame);
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
        self.end.frame_number = header.number;
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
