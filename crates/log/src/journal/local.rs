//! The journal in files of one directory: as a start finds it, and as frames are appended to it.
//!
//! A start never trusts the last frame: the program may have ended before its sync was answered,
//! and syncing it again proves nothing. So the journal goes on in a new segment whose header ends
//! the old one before that frame, and the caller puts the content of the frame into the first frame
//! there. All earlier frames are durable, because a frame is written only after the sync of the one
//! before.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::inventory::Inventory;
use super::layout::{
    BLOCK, FIRST_FRAME, FRAME_HEADER, SegmentEnd, SegmentHeader, next_block, segment_path,
};
use super::read::{ReadError, SegmentReader};
use super::seam::{
    At, EachFrame, Found, Frame, Frames, Heading, Journal, JournalError, Purpose, TornTail,
};
use super::segment::Segment;
use super::sizes::SegmentSizes;
use super::spares::{Spare, Spares, reserve_of};
use super::torn;
use crate::helper::{Background, is_out_of_space};
use crate::journal::errors::OpenError;
use lakehook_base::clock::Now;
use lakehook_base::files::{File, Files, remove_if_there};
use lakehook_base::ids::{Ids, NodeId};
use lakehook_base::record::Lsn;

/// Fewest bytes that stay free in a segment after the first frame of a start.
const ROOM_BEHIND_FIRST: u64 = 1024;
/// Name of the spare that a start makes; the others are numbered from 1.
const FIRST_SPARE: &str = "spare-0.tmp";

/// Settings of a local journal.
#[derive(Clone, Debug)]
pub struct LocalSettings {
    /// Size of a segment in bytes.
    pub segment_bytes: u64,
    /// Size in bytes of the first segment after a start, small so that a start is quick.
    pub first_segment_bytes: u64,
    /// Most bytes of segments, spares, and the other files of the journal's owner.
    pub max_bytes: u64,
    /// The node that owns the log.
    pub node: NodeId,
    /// Source of the ids of segments.
    pub ids: Ids,
    /// Where the helper that makes spares runs.
    pub background: Background,
}

/// A directory with segments, as a start finds it.
pub struct FoundFiles<F: Files> {
    files: F,
    dir: PathBuf,
    settings: LocalSettings,
    /// Sizes of the segments that exist, by number.
    segments: BTreeMap<u64, u64>,
    /// End of the newest segment without its last frame, once the segment was read.
    end: SegmentEnd,
    torn: Option<TornTail>,
}

impl<F: Files> FoundFiles<F> {
    /// Lists a directory, and removes files that were under construction.
    pub fn open(files: F, dir: &Path, settings: LocalSettings) -> io::Result<Self> {
        let Inventory { segments, .. } = Inventory::take(&files, dir)?;
        Ok(Self {
            files,
            dir: dir.to_owned(),
            settings,
            segments,
            end: SegmentEnd::default(),
            torn: None,
        })
    }

    fn io(&self, error: io::Error) -> OpenError {
        OpenError::Io {
            dir: self.dir.clone(),
            error,
        }
    }

    fn read_newest(
        &mut self,
        newest: u64,
        next_lsn: Lsn,
        each: &mut EachFrame<'_>,
    ) -> Result<(), OpenError> {
        let path = segment_path(&self.dir, newest);
        let mut reader = SegmentReader::open(&self.files, &path, None)?.expecting(next_lsn);
        reader.forget_cache();
        let mut before_last = None;
        loop {
            let before = reader.end();
            let Some(frame) = reader.next_frame()? else {
                break;
            };
            before_last = Some(before);
            each(frame)?;
        }
        // A segment gets its name only when its first frame is durable.
        self.end = before_last.ok_or_else(|| OpenError::Contradiction {
            frame: name_of(&self.dir, At::new(newest, FIRST_FRAME / BLOCK)),
            detail: "the newest segment has no frame".to_owned(),
        })?;
        if self.torn.is_none()
            && let Some(torn) = reader.torn_tail()?
        {
            torn::keep_aside(&self.files, &self.dir, newest, &reader, &torn);
            self.torn = Some(torn);
        }
        Ok(())
    }
}

impl<F: Files> Found for FoundFiles<F> {
    type Journal = LocalJournal<F>;

    fn frames(&self) -> LocalFrames<F> {
        LocalFrames::new(self.files.clone(), &self.dir)
    }

    fn newest(&self) -> Option<u64> {
        self.segments.keys().next_back().copied()
    }

    fn read(&mut self, first: u64, each: &mut EachFrame<'_>) -> Result<(), OpenError> {
        let Some(newest) = self.newest() else {
            return Ok(());
        };
        if let Some(missing) = (first..=newest).find(|n| !self.segments.contains_key(n)) {
            return Err(OpenError::Missing {
                path: segment_path(&self.dir, missing),
            });
        }
        let mut next_lsn = Lsn(1);
        for number in first..newest {
            let reader = open_closed(&self.files, &self.dir, number)?;
            reader.forget_cache();
            next_lsn = read_all(reader.expecting(next_lsn), each)?;
        }
        self.read_newest(newest, next_lsn, each)
    }

    fn last_is_durable(&self) -> bool {
        false
    }

    fn torn_tail(&self) -> Option<TornTail> {
        self.torn.clone()
    }

    fn trim(&mut self, first: u64) -> Result<(), OpenError> {
        let kept = self.segments.split_off(&first);
        for number in std::mem::replace(&mut self.segments, kept).into_keys() {
            let path = segment_path(&self.dir, number);
            remove_if_there(&self.files, &path).map_err(|error| self.io(error))?;
        }
        Ok(())
    }

    fn next(&self, after: u64) -> At {
        At::new(after + 1, FIRST_FRAME / BLOCK)
    }

    fn go_on(
        self,
        after: u64,
        heading: Heading,
        frame: &mut [u8],
        now: Now,
    ) -> Result<LocalJournal<F>, OpenError> {
        let io = |error| OpenError::Io {
            dir: self.dir.clone(),
            error,
        };
        let bytes = next_block(FIRST_FRAME + frame.len() as u64 + ROOM_BEHIND_FIRST)
            .max(self.settings.first_segment_bytes);
        let spare = Spare::prepare(&self.files, &self.dir.join(FIRST_SPARE), bytes).map_err(io)?;
        let header = SegmentHeader {
            number: after + 1,
            id: self.settings.ids.next().map_err(io)?,
            bytes: spare.bytes,
            node: self.settings.node,
            previous: self.end,
            created_at: now.wall,
        };
        let mut segments = self.segments.clone();
        segments.insert(header.number, spare.bytes);
        let mut segment = Segment::new(spare, &self.dir, header);
        segment.append(&self.files, heading, frame).map_err(io)?;
        let LocalSettings {
            segment_bytes,
            background,
            ..
        } = self.settings;
        let mut spares =
            Spares::new(self.files.clone(), &self.dir, segment_bytes, background).map_err(io)?;
        spares.want();
        Ok(LocalJournal {
            files: self.files,
            dir: self.dir,
            settings: self.settings,
            segments,
            segment,
            sizes: SegmentSizes::new(segment_bytes),
            has_failed: false,
            spares,
        })
    }
}

/// The journal in files of one directory.
pub struct LocalJournal<F: Files> {
    files: F,
    dir: PathBuf,
    settings: LocalSettings,
    /// Sizes of the segments that exist, by number.
    segments: BTreeMap<u64, u64>,
    /// The segment that frames are appended to.
    segment: Segment<F>,
    sizes: SegmentSizes,
    /// After a failed write or sync nothing more may go into the current segment.
    has_failed: bool,
    spares: Spares<F>,
}

impl<F: Files> LocalJournal<F> {
    /// Judges by the segment that ends now how large the next ones should be.
    fn resize(&mut self, need: u64, purpose: Purpose) {
        if self.segment.is_named() && need <= self.room(purpose) {
            self.sizes.ended_early(self.segment.end().offset);
        } else {
            self.sizes.was_full();
        }
        self.spares.resize(self.sizes.next());
    }

    /// Ends the current segment; returns the number of the last one that has a frame.
    fn settle(&mut self) -> u64 {
        let number = self.segment.header().number;
        if self.segment.is_named() {
            return number;
        }
        // A segment without frames does not count: the next one gets its number.
        if let Some(temporary) = self.segment.temporary()
            && let Err(error) = remove_if_there(&self.files, temporary)
        {
            tracing::warn!(%error, "failed to remove a segment without frames");
        }
        self.segments.remove(&number);
        number - 1
    }

    fn durable_end(&self) -> SegmentEnd {
        if self.segment.is_named() {
            self.segment.end()
        } else {
            self.segment.header().previous
        }
    }
}

impl<F: Files> Journal for LocalJournal<F> {
    type Frames = LocalFrames<F>;

    fn frames(&self) -> LocalFrames<F> {
        LocalFrames::new(self.files.clone(), &self.dir)
    }

    fn next(&self) -> At {
        At::new(
            self.segment.header().number,
            self.segment.end().offset / BLOCK,
        )
    }

    fn room(&self, purpose: Purpose) -> u64 {
        if self.has_failed {
            return 0;
        }
        let room = self.segment.room();
        // Without a spare, the disk may be too full for one, and then only shipping frees space.
        if purpose == Purpose::Shipping || self.spares.keeps_one() {
            room
        } else {
            room.saturating_sub(reserve_of(self.segment.header().bytes))
        }
    }

    fn begin_segment(
        &mut self,
        need: u64,
        purpose: Purpose,
        beside: u64,
        now: Now,
    ) -> Result<bool, JournalError> {
        let usual = self.settings.segment_bytes;
        let is_shipping = purpose == Purpose::Shipping;
        self.resize(need, purpose);
        let reserve = if is_shipping { 0 } else { reserve_of(usual) };
        let least = next_block(FIRST_FRAME + need + reserve);
        let bytes = self.sizes.next().max(least);
        let segments: u64 = self.segments.values().sum();
        // Two more of the usual size: the next spare, and the one that is kept for shipping.
        let with_spares = segments + beside + bytes + 2 * usual;
        if !is_shipping && with_spares > self.settings.max_bytes {
            return Ok(false);
        }
        let Some(spare) = self.spares.take(least, purpose, now) else {
            return Ok(false);
        };
        let header = SegmentHeader {
            number: self.settle() + 1,
            id: self.settings.ids.next().map_err(JournalError::Unknown)?,
            bytes: spare.bytes,
            node: self.settings.node,
            previous: self.durable_end(),
            created_at: now.wall,
        };
        self.segments.insert(header.number, spare.bytes);
        self.segment = Segment::new(spare, &self.dir, header);
        self.has_failed = false;
        self.spares.want();
        Ok(true)
    }

    fn append(&mut self, heading: Heading, frame: &mut [u8]) -> Result<At, JournalError> {
        debug_assert!(!self.has_failed, "a segment that failed takes nothing more");
        let at = self.next();
        match self.segment.append(&self.files, heading, frame) {
            Ok(()) => Ok(at),
            Err(error) => {
                self.has_failed = true;
                // The next segment will say that this one ends before the frame.
                Err(if is_out_of_space(&error) {
                    JournalError::NoSpace(error)
                } else {
                    JournalError::Unknown(error)
                })
            }
        }
    }

    fn read(&self, each: &mut EachFrame<'_>) -> Result<(), OpenError> {
        let current = self.segment.header().number;
        let last = if self.segment.is_named() {
            current
        } else {
            current - 1
        };
        let first = self.segments.keys().next().copied().unwrap_or(last);
        for number in first..last {
            read_all(open_closed(&self.files, &self.dir, number)?, each)?;
        }
        let path = segment_path(&self.dir, last);
        let end = Some(self.durable_end());
        read_all(SegmentReader::open(&self.files, &path, end)?, each)?;
        Ok(())
    }

    fn trim(&mut self, first: u64) {
        debug_assert!(
            first <= self.segment.header().number,
            "the current segment is needed"
        );
        let kept = self.segments.split_off(&first);
        let gone = std::mem::replace(&mut self.segments, kept).into_keys();
        let paths: Vec<PathBuf> = gone.map(|n| segment_path(&self.dir, n)).collect();
        if !paths.is_empty() {
            self.spares.remove(paths);
        }
    }

    fn used(&self) -> u64 {
        self.segments.values().sum::<u64>() + self.spares.used()
    }

    fn closed_bytes(&self, first: u64) -> u64 {
        let sizes = self.segments.range(first..).map(|(_, bytes)| bytes);
        sizes.rev().skip(1).sum()
    }

    fn tend(&mut self, now: Now) {
        self.spares.tend(now);
    }

    fn is_short_of_space(&self) -> bool {
        self.spares.has_failed()
    }

    fn give_up_space(&mut self) {
        self.spares.give_up();
    }
}

/// Calls `each` for every frame of a segment; returns the LSN after the last row.
fn read_all<H: File>(
    mut reader: SegmentReader<H>,
    each: &mut EachFrame<'_>,
) -> Result<Lsn, OpenError> {
    while let Some(frame) = reader.next_frame()? {
        each(frame)?;
    }
    Ok(reader.next_lsn())
}

/// Opens a segment that another one follows.
pub(crate) fn open_closed<F: Files>(
    files: &F,
    dir: &Path,
    number: u64,
) -> Result<SegmentReader<F::File>, ReadError> {
    let next = SegmentReader::open(files, &segment_path(dir, number + 1), None)?;
    let known_end = Some(next.header().previous);
    SegmentReader::open(files, &segment_path(dir, number), known_end)
}

fn name_of(dir: &Path, at: At) -> String {
    let path = segment_path(dir, at.segment());
    format!("{}, frame at byte {}", path.display(), at.within() * BLOCK)
}

/// Reads single frames of the journal in a directory.
#[derive(Clone, Debug)]
pub struct LocalFrames<F> {
    files: F,
    dir: Arc<Path>,
}

impl<F: Files> LocalFrames<F> {
    /// Reads the journal in a directory.
    pub fn new(files: F, dir: &Path) -> Self {
        Self {
            files,
            dir: dir.into(),
        }
    }
}

/// A segment that stays open from one read to the next.
pub struct OpenFile<H>(pub(crate) Option<(u64, H)>);

impl<H> Default for OpenFile<H> {
    fn default() -> Self {
        Self(None)
    }
}

impl<F: Files> Frames for LocalFrames<F> {
    type Open = OpenFile<F::File>;

    fn frame(&self, at: At) -> io::Result<Option<Frame>> {
        let path = segment_path(&self.dir, at.segment());
        let plain = |error: ReadError| match error {
            ReadError::Io { error, .. } => error,
            error => io::Error::new(io::ErrorKind::InvalidData, error),
        };
        let reader = SegmentReader::open(&self.files, &path, None).map_err(plain)?;
        reader.frame_at(at.within() * BLOCK).map_err(plain)
    }

    fn read(
        &self,
        open: &mut OpenFile<F::File>,
        at: At,
        offset: u64,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let segment = at.segment();
        if open.0.as_ref().is_none_or(|(number, _)| *number != segment) {
            let file = self.files.open(&segment_path(&self.dir, segment))?;
            open.0 = Some((segment, file));
        }
        let Some((_, file)) = &open.0 else {
            return Ok(());
        };
        let body = at.within() * BLOCK + FRAME_HEADER as u64;
        file.read_exact_at(buffer, body + offset)
    }

    fn name(&self) -> String {
        self.dir.display().to_string()
    }

    fn name_of_segment(&self, segment: u64) -> String {
        segment_path(&self.dir, segment).display().to_string()
    }

    fn name_of(&self, at: At) -> String {
        name_of(&self.dir, at)
    }
}
