//! Copies of the frames on the local disk, from which batches are read back.
//!
//! A copy is written after the engine has the frame, and never synced: the engine is what counts.
//! One file holds the frames of one segment, one behind the other. The files of each start have its
//! epoch in their names, so that whoever still reads those of an earlier one never reads other bytes
//! than he began with.
//!
//! If a copy cannot be written, the frame is a *hole*: it is read from the engine, and no more
//! requests are taken until the copy could be written after all.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::engine::{Engine, Item};
use super::envelope::Envelope;
use crate::journal::frames::{At, Frame};
use crate::journal::layout::{FRAME_HEADER, FrameHeader};
use crate::journal::local::OpenFile;
use crate::journal::seam::Frames;
use lakehook_base::files::{File, Files, remove_if_there};

const SUFFIX: &str = ".frames";

/// The name of the file of a segment.
fn file_name(segment: u64, epoch: u64) -> String {
    format!("{segment:020}-{epoch:020}{SUFFIX}")
}

/// Segment and epoch in the name of a file.
fn numbers_of(name: &str) -> Option<(u64, u64)> {
    let (segment, epoch) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    let number = |digits: &str| digits.parse().ok().filter(|_| digits.len() == 20);
    Some((number(segment)?, number(epoch)?))
}

/// Whether a file holds copies of frames.
pub(crate) fn is_copy_of_frames(name: &str) -> bool {
    numbers_of(name).is_some()
}

/// The copies of one epoch.
pub(crate) struct Cache<F: Files> {
    files: F,
    dir: PathBuf,
    epoch: u64,
    open: Option<(u64, F::File)>,
    holes: Holes,
}

/// Frames whose copy could not be written, with their numbers.
type Holes = Arc<Mutex<BTreeMap<At, u64>>>;

fn lock(holes: &Holes) -> MutexGuard<'_, BTreeMap<At, u64>> {
    holes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<F: Files> Cache<F> {
    /// A cache in which nothing is kept yet.
    pub(crate) fn unused(files: F, dir: &Path, epoch: u64) -> Self {
        Self {
            files,
            dir: dir.to_owned(),
            epoch,
            open: None,
            holes: Holes::default(),
        }
    }

    /// An empty cache; removes what earlier starts have left.
    pub(crate) fn begin(files: F, dir: &Path, epoch: u64) -> io::Result<Self> {
        for entry in files.list(dir)? {
            if numbers_of(&entry.name).is_some() {
                remove_if_there(&files, &dir.join(entry.name))?;
            }
        }
        Ok(Self::unused(files, dir, epoch))
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.dir.join(file_name(segment, self.epoch))
    }

    /// Writes the copy of a frame. Those of a segment come in order.
    pub(crate) fn write(&mut self, at: At, frame: &[u8]) -> io::Result<()> {
        let segment = at.segment();
        let file = match self.open.take() {
            Some((number, file)) if number == segment => file,
            _ if self.files.exists(&self.path(segment)) => self.files.open(&self.path(segment))?,
            _ => self.files.create_new(&self.path(segment))?,
        };
        file.write_all_at(frame, at.within())?;
        self.open = Some((segment, file));
        Ok(())
    }

    /// Writes the copy of a frame that is durable. A failure makes a hole.
    pub(crate) fn keep(&mut self, at: At, number: u64, frame: &[u8]) {
        if let Err(error) = self.write(at, frame) {
            let dir = self.dir.display();
            tracing::error!(%error, %dir, number, "failed to keep a copy of a frame; refusing requests");
            lock(&self.holes).insert(at, number);
        }
    }

    /// Whether a copy could not be written.
    pub(crate) fn has_holes(&self) -> bool {
        !lock(&self.holes).is_empty()
    }

    /// Tries to write the copies that could not be written, until one fails again.
    pub(crate) fn fill_holes<E: Engine>(&mut self, engine: &E) {
        let holes: Vec<(At, u64)> = lock(&self.holes).iter().map(|(at, n)| (*at, *n)).collect();
        for (at, number) in holes {
            let Ok(frame) = from_engine(engine, at, number) else {
                return;
            };
            if self.write(at, &frame.bytes).is_err() {
                return;
            }
            lock(&self.holes).remove(&at);
        }
    }

    /// Removes the copies of segments.
    pub(crate) fn forget(&mut self, segments: impl Iterator<Item = u64>) {
        for segment in segments {
            let path = self.path(segment);
            if let Err(error) = remove_if_there(&self.files, &path) {
                let path = path.display();
                tracing::warn!(%error, %path, "failed to remove copies; the next start removes them");
            }
            lock(&self.holes).retain(|at, _| at.segment() != segment);
        }
    }

    /// Reads the copies, and the engine where there is none.
    pub(crate) fn reader<E: Engine>(&self, engine: E) -> CachedFrames<E, F> {
        CachedFrames {
            engine,
            files: self.files.clone(),
            dir: self.dir.as_path().into(),
            epoch: self.epoch,
            holes: Arc::clone(&self.holes),
        }
    }
}

/// The number and the checksum of the newest frame of which an earlier start kept a copy.
pub(crate) fn newest_copy<F: Files>(files: &F, dir: &Path) -> io::Result<Option<(u64, u32)>> {
    let names = files.list(dir)?.into_iter();
    let mut kept: Vec<_> = names
        .filter_map(|entry| Some((numbers_of(&entry.name)?, entry)))
        .collect();
    kept.sort_unstable_by_key(|((segment, epoch), _)| (*epoch, *segment));
    // After a power cut, any copy may be missing, or be something else.
    for (_, entry) in kept.into_iter().rev() {
        let file = files.open(&dir.join(&entry.name))?;
        let (mut offset, mut newest) = (0, None);
        while let Some((header, bytes)) = whole_frame(&file, offset, entry.bytes) {
            newest = Some((header.number, header.crc));
            offset += bytes.len() as u64;
        }
        if newest.is_some() {
            return Ok(newest);
        }
    }
    Ok(None)
}

/// The frame at an offset of a file, if there is a whole one.
fn whole_frame<H: File>(file: &H, offset: u64, length: u64) -> Option<(FrameHeader, Vec<u8>)> {
    let mut bytes = vec![0; FRAME_HEADER];
    if offset + FRAME_HEADER as u64 > length {
        return None;
    }
    file.read_exact_at(&mut bytes, offset).ok()?;
    let header = FrameHeader::decode(&bytes)?;
    if offset + header.bytes() as u64 > length {
        return None;
    }
    bytes.resize(header.bytes(), 0);
    file.read_exact_at(&mut bytes[FRAME_HEADER..], offset + FRAME_HEADER as u64)
        .ok()?;
    header.matches(&bytes).then_some((header, bytes))
}

/// The frame of that number, which must be the one at that position.
pub(crate) fn from_engine<E: Engine>(engine: &E, at: At, number: u64) -> io::Result<Frame> {
    let item = engine.read(Item::Frame(number))?;
    let item = item.ok_or(io::ErrorKind::NotFound)?;
    let (_, frame) =
        Envelope::open(item).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    if frame.at == at && frame.header.number == number {
        Ok(frame)
    } else {
        let message = format!("frame {number} is another one");
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }
}

/// Reads single frames of a replicated journal.
#[derive(Clone, Debug)]
pub struct CachedFrames<E, F> {
    engine: E,
    files: F,
    dir: Arc<Path>,
    epoch: u64,
    holes: Holes,
}

impl<E: Engine, F: Files> CachedFrames<E, F> {
    fn path(&self, segment: u64) -> PathBuf {
        self.dir.join(file_name(segment, self.epoch))
    }

    fn hole(&self, at: At) -> Option<u64> {
        lock(&self.holes).get(&at).copied()
    }
}

impl<E: Engine, F: Files> Frames for CachedFrames<E, F> {
    type Open = OpenFile<F::File>;

    fn frame(&self, at: At) -> io::Result<Option<Frame>> {
        if let Some(number) = self.hole(at) {
            return from_engine(&self.engine, at, number).map(Some);
        }
        let file = self.files.open(&self.path(at.segment()))?;
        let frame = whole_frame(&file, at.within(), file.len()?);
        Ok(frame.map(|(header, bytes)| Frame { header, at, bytes }))
    }

    fn read(
        &self,
        open: &mut OpenFile<F::File>,
        at: At,
        offset: u64,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        if let Some(number) = self.hole(at) {
            let frame = from_engine(&self.engine, at, number)?;
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            let part = frame
                .body()
                .get(from..)
                .and_then(|rest| rest.get(..buffer.len()));
            buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
            return Ok(());
        }
        let segment = at.segment();
        if open.0.as_ref().is_none_or(|(number, _)| *number != segment) {
            open.0 = Some((segment, self.files.open(&self.path(segment))?));
        }
        let Some((_, file)) = &open.0 else {
            return Ok(());
        };
        let body = at.within() + FRAME_HEADER as u64;
        file.read_exact_at(buffer, body + offset)
    }

    fn name(&self) -> String {
        self.engine.name()
    }

    fn name_of_segment(&self, segment: u64) -> String {
        format!("{}, segment {segment}", self.engine.name())
    }

    fn name_of(&self, at: At) -> String {
        let (segment, within) = (at.segment(), at.within());
        format!(
            "{}, segment {segment}, frame at byte {within}",
            self.engine.name()
        )
    }
}
