//! Reads segments: which frames count, what is a torn tail, and what is damage.
//!
//! A frame counts if it follows the one before: it has the same segment id, the next number, and
//! the checksum of its predecessor in its header, and its own checksum is right. The header of the
//! next segment says where a segment ends for good. Only the newest segment has an open end: there
//! a frame that does not count is a torn tail if no later frame chains, and damage to acknowledged
//! data if one does.

use std::io;
use std::path::{Path, PathBuf};

use super::frames::{At, Frame, TornTail};
use crate::journal::layout::{
    BLOCK, FrameHeader, HeaderError, SegmentEnd, SegmentHeader, next_block,
};
use lakehook_base::files::{File, Files};
use lakehook_base::record::Lsn;

/// Acknowledged data cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "damage in {path} at byte {offset}: {detail}; records from LSN {from} {} are affected. \
     Nothing was changed. Restore the file from a backup of the disk, or let `lakehook wal repair` cut the \
     damage out",
    .before.map_or_else(|| "on".to_owned(), |before| format!("to {}", before.0 - 1))
)]
pub struct Damage {
    /// Path of the segment.
    pub path: PathBuf,
    /// Where the first frame that cannot be read begins.
    pub offset: u64,
    /// What is wrong with that frame.
    pub detail: String,
    /// The first LSN that may be lost.
    pub from: Lsn,
    /// The first LSN after the damage, if it is known.
    pub before: Option<Lsn>,
}

/// Why a segment cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Acknowledged data is damaged.
    #[error(transparent)]
    Damage(Box<Damage>),
    /// The segment cannot be used by this program.
    #[error("{path}: {error}")]
    Header {
        /// Path of the segment.
        path: PathBuf,
        /// What is wrong with the header.
        error: HeaderError,
    },
    /// The operating system returned an error.
    #[error("failed to read {path}: {error}")]
    Io {
        /// Path of the segment.
        path: PathBuf,
        /// Error of the operating system.
        error: io::Error,
    },
}

/// A segment that is read from its beginning.
pub struct SegmentReader<H> {
    file: H,
    path: PathBuf,
    header: SegmentHeader,
    /// Where it ends for good; `None` for the newest segment.
    known_end: Option<SegmentEnd>,
    /// End of the last frame that was read and counts.
    end: SegmentEnd,
    next_lsn: Lsn,
}

impl<H: File> SegmentReader<H> {
    /// Opens a segment and checks its header.
    pub fn open<F: Files<File = H>>(
        files: &F,
        path: &Path,
        known_end: Option<SegmentEnd>,
    ) -> Result<Self, ReadError> {
        let io = |error| ReadError::Io {
            path: path.to_owned(),
            error,
        };
        let file = files.open(path).map_err(io)?;
        let mut block = [0; BLOCK as usize];
        file.read_exact_at(&mut block, 0).map_err(io)?;
        let header = SegmentHeader::decode(&block).map_err(|error| ReadError::Header {
            path: path.to_owned(),
            error,
        })?;
        let end = SegmentEnd {
            segment_id: header.id,
            frame_number: header.previous.frame_number,
            offset: BLOCK,
            crc: header.previous.crc,
        };
        Ok(Self {
            file,
            path: path.to_owned(),
            header,
            known_end,
            end,
            next_lsn: Lsn(1),
        })
    }

    /// Sets the LSN that the first row should have, by which damage is reported.
    #[must_use]
    pub fn expecting(mut self, next_lsn: Lsn) -> Self {
        self.next_lsn = next_lsn;
        self
    }

    /// LSN after the last row that was read.
    pub fn next_lsn(&self) -> Lsn {
        self.next_lsn
    }

    /// Header of the segment.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// End of the last frame that was read.
    pub fn end(&self) -> SegmentEnd {
        self.end
    }

    /// The segment's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Asks the kernel to forget cached pages, so that reads come from the device.
    pub fn forget_cache(&self) {
        self.file.forget_cache();
    }

    /// The next frame that counts, or `None` at the end.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, ReadError> {
        if let Some(known) = self.known_end
            && self.end.offset >= known.offset
        {
            if self.end == known {
                return Ok(None);
            }
            return Err(self.damage("it ends elsewhere than the next segment says", None));
        }
        match self.frame_at(self.end.offset)? {
            Some(frame) if self.follows(&frame) => {
                self.end.frame_number = frame.header.number;
                self.end.crc = frame.header.crc;
                self.end.offset = next_block(frame.at.within() * BLOCK + frame.bytes.len() as u64);
                self.next_lsn = frame.next_lsn();
                Ok(Some(frame))
            }
            _ if self.known_end.is_some() => {
                Err(self.damage("a frame is not as it was written", None))
            }
            _ => self.end_of_log(),
        }
    }

    /// Bytes after the last frame of the newest segment, unless they are all zeros.
    pub fn torn_tail(&self) -> Result<Option<TornTail>, ReadError> {
        let offset = self.end.offset;
        let mut last = None;
        self.for_each_block(offset, |at, block| {
            if let Some(index) = block.iter().rposition(|byte| *byte != 0) {
                last = Some(at + index as u64 + 1);
            }
            Ok(true)
        })?;
        Ok(last.map(|last| TornTail {
            offset,
            bytes: last - offset,
        }))
    }

    /// The bytes of a range, for keeping a torn tail aside.
    pub fn read(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, ReadError> {
        let mut buffer = vec![0; bytes];
        self.file
            .read_exact_at(&mut buffer, offset)
            .map_err(|error| self.io(error))?;
        Ok(buffer)
    }

    fn follows(&self, frame: &Frame) -> bool {
        frame.header.segment_id == self.header.id
            && frame.header.number == self.end.frame_number + 1
            && frame.header.previous_crc == self.end.crc
    }

    /// Decides what it means that no frame follows: the bytes are damaged if a later frame chains,
    /// otherwise the log ends here.
    fn end_of_log(&self) -> Result<Option<Frame>, ReadError> {
        let mut later = None;
        self.for_each_block(self.end.offset, |at, block| {
            let Some(header) = FrameHeader::decode(block) else {
                return Ok(true);
            };
            let could_chain =
                header.segment_id == self.header.id && header.number > self.end.frame_number;
            if could_chain && self.frame_at(at)?.is_some() {
                later = Some(header);
            }
            Ok(later.is_none())
        })?;
        match later {
            None => Ok(None),
            Some(header) => {
                let detail = format!(
                    "a frame cannot be read, and frame {} follows",
                    header.number
                );
                Err(self.damage(&detail, Some(header.first_lsn)))
            }
        }
    }

    /// The frame that begins at an offset, if its checksum is right.
    pub fn frame_at(&self, offset: u64) -> Result<Option<Frame>, ReadError> {
        let Some(room) = self
            .header
            .bytes
            .checked_sub(offset)
            .filter(|room| *room >= BLOCK)
        else {
            return Ok(None);
        };
        let mut bytes = self.read(offset, BLOCK as usize)?;
        let Some(header) = FrameHeader::decode(&bytes) else {
            return Ok(None);
        };
        let length = header.bytes();
        if length as u64 > room {
            return Ok(None);
        }
        let have = bytes.len();
        bytes.resize(length, 0);
        if length > have {
            self.file
                .read_exact_at(&mut bytes[have..], offset + have as u64)
                .map_err(|error| self.io(error))?;
        }
        Ok(header.matches(&bytes).then_some(Frame {
            header,
            at: At::new(self.header.number, offset / BLOCK),
            bytes,
        }))
    }

    /// Calls `see` for each block from an offset on, until it says `false`.
    fn for_each_block(
        &self,
        from: u64,
        mut see: impl FnMut(u64, &[u8]) -> Result<bool, ReadError>,
    ) -> Result<(), ReadError> {
        const STEP: u64 = 1 << 20;
        let mut at = from;
        while at < self.header.bytes {
            let step = STEP.min(self.header.bytes - at);
            let bytes = self.read(at, usize::try_from(step).unwrap_or(0))?;
            for (index, block) in bytes.chunks(BLOCK as usize).enumerate() {
                if !see(at + index as u64 * BLOCK, block)? {
                    return Ok(());
                }
            }
            at += step;
        }
        Ok(())
    }

    fn io(&self, error: io::Error) -> ReadError {
        ReadError::Io {
            path: self.path.clone(),
            error,
        }
    }

    fn damage(&self, detail: &str, before: Option<Lsn>) -> ReadError {
        ReadError::Damage(Box::new(Damage {
            path: self.path.clone(),
            offset: self.end.offset,
            detail: detail.to_owned(),
            from: self.next_lsn,
            before,
        }))
    }
}
