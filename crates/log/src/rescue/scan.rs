//! Scans a log for every whole frame, in order, whatever lies between them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::journal::layout::{
    BLOCK, FIRST_FRAME, FrameHeader, HeaderError, SegmentHeader, next_block, number_of,
    segment_path,
};
use crate::journal::seam::{At, Frame};
use lakehook_base::files::{File, Files};

/// A place where frames are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Path of the segment.
    pub path: PathBuf,
    /// Offset at which the unreadable bytes begin.
    pub offset: u64,
    /// What cannot be read there, for messages.
    pub detail: String,
}

/// Receives what a scan finds.
pub(crate) trait See {
    /// Receives a whole frame that counts, and the number of its segment.
    fn frame(&mut self, segment: u64, frame: &Frame) -> io::Result<()>;
    /// Receives a place that should hold frames.
    fn damage(&mut self, damaged: Damaged);
}

/// The segments of a log, and how far each of them counts.
pub(crate) struct Segments {
    /// Extents by number of the segment.
    pub(crate) all: BTreeMap<u64, Extent>,
}

/// How far a segment counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    bytes: u64,
    /// Id of the segment, if its header can be read.
    id: Option<u64>,
    /// Number of the frame before its first one, if the header can be read.
    before: Option<u64>,
    /// Number of its last frame, according to its successor; the newest segment has no such bound.
    last_frame: Option<u64>,
    /// Offset after that frame, if the successor's header can be read.
    end: Option<u64>,
    /// Checksum of that frame.
    end_crc: u32,
    /// The successor's first frame cannot be read. If that was a copy, the original is at the end
    /// of this segment.
    keeps_original: bool,
}

impl Segments {
    /// Reads the headers of all segments.
    pub(crate) fn take<F: Files>(files: &F, dir: &Path) -> io::Result<Self> {
        let mut all = BTreeMap::new();
        for entry in files.list(dir)? {
            let Some(number) = number_of(&entry.name, ".wal") else {
                continue;
            };
            let file = files.open(&dir.join(&entry.name))?;
            let mut block = [0; BLOCK as usize];
            let header = match file.read_exact_at(&mut block, 0) {
                Ok(()) => match SegmentHeader::decode(&block) {
                    // A format that this program cannot read is not damage.
                    Err(error @ HeaderError::Newer(_)) => {
                        return Err(io::Error::other(format!("{}: {error}", entry.name)));
                    }
                    decoded => decoded.ok(),
                },
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
                Err(error) => return Err(error),
            };
            let extent = Extent {
                bytes: entry.bytes,
                id: header.map(|header| header.id),
                before: header.map(|header| header.previous.frame_number),
                last_frame: header.map(|header| header.previous.frame_number),
                end: header.map(|header| header.previous.offset),
                end_crc: header.map_or(0, |header| header.previous.crc),
                keeps_original: false,
            };
            all.insert(number, extent);
        }
        let mut segments = Self { all };
        segments.bound(files, dir)?;
        Ok(segments)
    }

    /// Sets the end of each segment. The header of the next segment gives it; if that header is
    /// damaged, its first whole frame does. A frame that was copied or failed has its number again
    /// in the next segment.
    fn bound<F: Files>(&mut self, files: &F, dir: &Path) -> io::Result<()> {
        // What the next segment, which was visited before, says of the end of this one.
        let mut next = None;
        for (number, extent) in self.all.iter_mut().rev() {
            let own = *extent;
            let first = first_number(files, dir, *number, own.bytes)?;
            (
                extent.last_frame,
                extent.end,
                extent.end_crc,
                extent.keeps_original,
            ) = next.unwrap_or((None, None, 0, false));
            next = Some(match own.before {
                Some(before) => {
                    let lacks_first = first != Some(before + 1);
                    (Some(before), own.end, own.end_crc, lacks_first)
                }
                None => {
                    let before = first.map(|first| first.saturating_sub(1));
                    (before.or(extent.last_frame), None, 0, false)
                }
            });
        }
        Ok(())
    }

    /// Passes every whole frame that counts, and every place between them that should hold frames,
    /// to `see`, in order.
    pub(crate) fn scan<F: Files>(
        &self,
        files: &F,
        dir: &Path,
        see: &mut dyn See,
    ) -> io::Result<()> {
        let mut last: Option<u64> = None;
        let mut expected = self.all.keys().next().copied().unwrap_or(1);
        for (number, extent) in &self.all {
            for missing in expected..*number {
                see.damage(Damaged {
                    path: segment_path(dir, missing),
                    offset: 0,
                    detail: "the segment is missing".to_owned(),
                });
            }
            expected = number + 1;
            scan_segment(files, dir, *number, *extent, &mut last, see)?;
        }
        Ok(())
    }
}

/// The number of the first whole frame.
fn first_number<F: Files>(
    files: &F,
    dir: &Path,
    number: u64,
    bytes: u64,
) -> io::Result<Option<u64>> {
    let file = files.open(&segment_path(dir, number))?;
    let mut at = FIRST_FRAME;
    while at + BLOCK <= bytes {
        if let Some(frame) = whole_frame(&file, number, at, bytes)? {
            return Ok(Some(frame.header.number));
        }
        at += BLOCK;
    }
    Ok(None)
}

fn scan_segment<F: Files>(
    files: &F,
    dir: &Path,
    number: u64,
    extent: Extent,
    last: &mut Option<u64>,
    see: &mut dyn See,
) -> io::Result<()> {
    let path = segment_path(dir, number);
    let damaged = |offset, detail: String| Damaged {
        path: path.clone(),
        offset,
        detail,
    };
    let file = files.open(&path)?;
    if extent.id.is_none() {
        see.damage(damaged(0, "its header cannot be read".to_owned()));
    }
    let mut id = extent.id;
    let mut at = FIRST_FRAME;
    let mut good_until = at;
    *last = last.or(extent.before);
    let limit = extent.end.unwrap_or(extent.bytes).min(extent.bytes);
    while at + BLOCK <= limit {
        let frame = whole_frame(&file, number, at, limit)?.filter(|frame| {
            id.is_none_or(|id| id == frame.header.segment_id)
                && last.is_none_or(|last| frame.header.number > last)
                && extent
                    .last_frame
                    .is_none_or(|bound| frame.header.number <= bound)
        });
        let Some(frame) = frame else {
            at += BLOCK;
            continue;
        };
        let before = last.replace(frame.header.number);
        if before.is_some_and(|before| before + 1 != frame.header.number) || good_until != at {
            let count = before.map_or(0, |before| frame.header.number - before - 1);
            see.damage(damaged(
                good_until,
                format!("{count} frames cannot be read"),
            ));
        }
        id = Some(frame.header.segment_id);
        see.frame(number, &frame)?;
        at = next_block(at + frame.bytes.len() as u64);
        good_until = at;
    }
    if let Some(bound) = extent.last_frame
        && last.is_none_or(|last| last < bound)
    {
        let count = bound - last.unwrap_or(0);
        let detail = format!("{count} frames at its end cannot be read");
        see.damage(damaged(good_until, detail));
        *last = Some(bound);
    }
    if extent.last_frame.is_none() && good_until == FIRST_FRAME {
        see.damage(damaged(good_until, "it has no whole frame".to_owned()));
    }
    scan_original(&file, number, extent, id, last, see)
}

/// Scans a frame after the end of its segment, which was copied, if the copy cannot be read.
fn scan_original<H: File>(
    file: &H,
    number: u64,
    extent: Extent,
    id: Option<u64>,
    last: &mut Option<u64>,
    see: &mut dyn See,
) -> io::Result<()> {
    if extent.keeps_original
        && let Some(end) = extent.end
        && let Some(original) = whole_frame(file, number, end, extent.bytes)?
        && id == Some(original.header.segment_id)
        && *last == original.header.number.checked_sub(1)
        && original.header.previous_crc == extent.end_crc
    {
        *last = Some(original.header.number);
        see.frame(number, &original)?;
    }
    Ok(())
}

fn whole_frame<H: File>(file: &H, number: u64, at: u64, limit: u64) -> io::Result<Option<Frame>> {
    let mut bytes = vec![0; BLOCK as usize];
    match file.read_exact_at(&mut bytes, at) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let Some(header) = FrameHeader::decode(&bytes) else {
        return Ok(None);
    };
    if header.bytes() as u64 > limit - at {
        return Ok(None);
    }
    let have = bytes.len();
    bytes.resize(header.bytes(), 0);
    if let Some(rest) = bytes.get_mut(have..)
        && !rest.is_empty()
    {
        file.read_exact_at(rest, at + have as u64)?;
    }
    Ok(header.matches(&bytes).then_some(Frame {
        header,
        at: At::new(number, at / BLOCK),
        bytes,
    }))
}
