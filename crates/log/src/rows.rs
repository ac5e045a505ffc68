//! Reads a sealed batch back: the seal from its frame, and the rows from their chunks alone.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::journal::frames::Frame;
use super::journal::layout::MAX_FRAME;
use super::journal::local::LocalFrames;
use super::journal::seam::{At, Frames};
use super::ledger::batch::{Chunk, Sums};
use super::ledger::entry::{Entry, StoredRow};
use super::ledger::facts::{RunEnd, Seal};
use super::ledger::frame::sums_of;
use super::ledger::packed::{Head, Packed, SectionError, SectionReader};
use super::ledger::state::lsn_hashes;
use lakehook_base::codec::Codec;
use lakehook_base::files::Files;
use lakehook_base::record::Lsn;

/// Most bytes that are read at once.
const WINDOW: usize = 1 << 20;
/// Most bytes of seals that are kept for those who ask next.
const MAX_BESIDE: usize = 8 << 20;
/// Bytes of a chunk that show what it is; more than most small ones have.
const GLANCE: usize = 4096;

/// Why a batch cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The log no longer holds what the seal covers.
    #[error("the rows of seal {seal} cannot be read back from {source_name}: {detail}")]
    Unreadable {
        /// Number of the seal.
        seal: u64,
        /// The part of the journal that should hold them.
        source_name: String,
        /// What could not be read, or does not match.
        detail: String,
    },
    /// The journal cannot be read for now; nothing is known about the rows.
    #[error("failed to read {source_name}: {error}")]
    Read {
        /// The part of the journal.
        source_name: String,
        /// Error of the operating system.
        error: io::Error,
    },
    /// The caller could not take a row.
    #[error("failed to encode: {0}")]
    Sink(#[from] io::Error),
}

/// A packed section whose piece can be copied; its head is as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The frame.
    pub frame: At,
    /// Offset of the piece in the frame's body.
    pub offset: u64,
    /// The head of the section.
    pub head: Head,
}

/// A part of a batch.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// A row.
    Row(Lsn, &'a StoredRow<'a>),
    /// Rows that are packed with the codec that was asked for. Its bytes have not been read.
    Piece(Piece),
}

/// Reads seals and their rows while the writer goes on appending.
#[derive(Clone, Debug)]
pub struct BatchReader<R> {
    frames: R,
    beside: Arc<Mutex<Beside>>,
}

/// Other seals of the frame that was read last. Where many partitions are sealed at once, the frame would otherwise
/// be read and decoded once for each of them.
#[derive(Debug, Default)]
struct Beside {
    at: At,
    seals: BTreeMap<u64, Seal>,
    /// Bytes of their chunks.
    bytes: usize,
}

impl Beside {
    fn new(at: At) -> Self {
        Self {
            at,
            ..Self::default()
        }
    }

    /// Keeps a seal if there is room for it.
    fn keep(&mut self, seal: Seal) {
        let bytes = seal.chunks.as_bytes().len();
        if self.bytes + bytes <= MAX_BESIDE {
            self.bytes += bytes;
            self.seals.insert(seal.number, seal);
        }
    }

    /// Takes a seal out if it is there.
    fn take(&mut self, number: u64, at: At) -> Option<Seal> {
        if self.at == at {
            self.seals.remove(&number)
        } else {
            None
        }
    }
}

impl<F: Files> BatchReader<LocalFrames<F>> {
    /// Reads the log in a directory.
    pub fn new(files: F, dir: &Path) -> Self {
        Self::of(LocalFrames::new(files, dir))
    }
}

impl<R: Frames> BatchReader<R> {
    /// Reads a journal through these frames.
    pub fn of(frames: R) -> Self {
        Self {
            frames,
            beside: Arc::default(),
        }
    }

    /// Name of the journal, for messages.
    pub fn name(&self) -> String {
        self.frames.name()
    }

    /// Reads a seal; the checksum of its frame is verified again, once for seals that are read one after the other.
    pub fn seal(&self, number: u64, at: At) -> Result<Seal, RowsError> {
        let beside = || self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seal) = beside().take(number, at) {
            return Ok(seal);
        }
        let frame = self.frame(number, at)?;
        let mut found = None;
        let mut others = Beside::new(at);
        for entry in Entry::all(frame.body()).flatten() {
            match entry {
                Entry::Seal(seal) if seal.number == number => found = Some(*seal),
                Entry::Seal(seal) => others.keep(*seal),
                _ => {}
            }
        }
        if found.is_some() {
            *beside() = others;
        }
        found.ok_or_else(|| self.not_there(number, at))
    }

    /// Reads the end of a run; the checksum of its frame is verified again.
    pub fn run_end(&self, run: Lsn, at: At) -> Result<RunEnd, RowsError> {
        let frame = self.frame(0, at)?;
        let found = Entry::all(frame.body()).find_map(|entry| match entry.ok()? {
            Entry::RunEnd(end) if end.run == run => Some(*end),
            _ => None,
        });
        found.ok_or_else(|| self.not_there(0, at))
    }

    /// The frame at a position, which should hold something about that seal.
    fn frame(&self, seal: u64, at: At) -> Result<Frame, RowsError> {
        let frame = self.frames.frame(at);
        let frame = frame.map_err(|error| self.read_failed(seal, at, error))?;
        frame.ok_or_else(|| {
            let detail = format!("no valid frame at block {}", at.within());
            self.unreadable(seal, at, detail)
        })
    }

    fn not_there(&self, seal: u64, at: At) -> RowsError {
        self.unreadable(
            seal,
            at,
            format!("not in the frame at block {}", at.within()),
        )
    }

    fn unreadable(&self, seal: u64, at: At, detail: String) -> RowsError {
        RowsError::Unreadable {
            seal,
            source_name: self.frames.name_of_segment(at.segment()),
            detail,
        }
    }

    /// Rows that are gone, too short or damaged stay unreadable; any other error may be temporary.
    fn read_failed(&self, seal: u64, at: At, error: io::Error) -> RowsError {
        let source_name = self.frames.name_of_segment(at.segment());
        let gone = [
            io::ErrorKind::NotFound,
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::InvalidData,
        ];
        if gone.contains(&error.kind()) {
            return RowsError::Unreadable {
                seal,
                source_name,
                detail: error.to_string(),
            };
        }
        RowsError::Read { source_name, error }
    }

    /// Hands each row of a sealed batch to `see`, in the order of the log, and returns what they add up to.
    ///
    /// Packed rows are compared with what their section says of them. Of others only the number in each
    /// chunk is checked here: the caller compares the sums with those of the seal.
    pub fn for_each_row(
        &self,
        seal: &Seal,
        mut see: impl FnMut(Lsn, &StoredRow<'_>) -> io::Result<()>,
    ) -> Result<Sums, RowsError> {
        self.for_each_part(seal, None, &mut |part| match part {
            Part::Row(lsn, row) => see(lsn, row),
            Part::Piece(_) => Ok(()),
        })
    }

    /// Reads single frames.
    pub fn frames(&self) -> &R {
        &self.frames
    }

    /// Hands the parts of a sealed batch to `see`, in the order of the log: what is packed with `codec` as
    /// a piece, everything else row by row. Returns what they add up to: of rows, that is computed from their
    /// bytes as they are handed over, and each is hashed once.
    ///
    /// Each LSN is there at most once, and within the bounds of the seal. The caller compares the sums
    /// with those of the seal.
    pub fn for_each_part(
        &self,
        seal: &Seal,
        codec: Option<Codec>,
        see: &mut dyn FnMut(Part<'_>) -> io::Result<()>,
    ) -> Result<Sums, RowsError> {
        let mut next = seal.first_lsn;
        let mut sums = Sums::default();
        let mut reading = Reading {
            frames: &self.frames,
            open: R::Open::default(),
            window: Vec::new(),
            read: 0,
            sections: SectionReader::default(),
            codec,
        };
        for chunk in seal.chunks.iter() {
            let unreadable = |detail: String| RowsError::Unreadable {
                seal: seal.number,
                source_name: self.frames.name_of_segment(chunk.frame.segment()),
                detail,
            };
            let after = Lsn(chunk.first_lsn.0.saturating_add(chunk.rows));
            if chunk.first_lsn < next || after.0 > seal.last_lsn.0 + 1 {
                let first = chunk.first_lsn;
                return Err(unreadable(format!("LSN {first} is not where it belongs")));
            }
            next = after;
            match reading.chunk(&chunk, see) {
                Ok(read) if read.count == chunk.rows => sums.add(&Sums {
                    lsn_hash: lsn_hashes(chunk.first_lsn, chunk.rows),
                    ..read
                }),
                Ok(read) => {
                    let detail = format!("{} of {} rows", read.count, chunk.rows);
                    return Err(unreadable(detail));
                }
                Err(ChunkError::Damaged(detail)) => return Err(unreadable(detail)),
                Err(ChunkError::Read(error)) => {
                    return Err(self.read_failed(seal.number, chunk.frame, error));
                }
                Err(ChunkError::Sink(error)) => return Err(RowsError::Sink(error)),
            }
        }
        Ok(sums)
    }
}

enum ChunkError {
    Read(io::Error),
    Damaged(String),
    Sink(io::Error),
}

impl From<SectionError<io::Error>> for ChunkError {
    fn from(error: SectionError<io::Error>) -> Self {
        match error {
            SectionError::Damaged(detail) => Self::Damaged(detail),
            SectionError::Sink(error) => Self::Sink(error),
        }
    }
}

/// Reads chunks one after the other, with one set of buffers.
struct Reading<'a, R: Frames> {
    frames: &'a R,
    open: R::Open,
    window: Vec<u8>,
    /// Bytes of the chunk that have been read.
    read: u64,
    sections: SectionReader,
    /// What is packed with it is not unpacked.
    codec: Option<Codec>,
}

impl<R: Frames> Reading<'_, R> {
    /// Reads one chunk; returns what its rows add up to, except for their LSNs. A packed section is read as a
    /// whole, unless it is one to be copied; rows are read through a window.
    fn chunk(
        &mut self,
        chunk: &Chunk,
        see: &mut dyn FnMut(Part<'_>) -> io::Result<()>,
    ) -> Result<Sums, ChunkError> {
        self.window.clear();
        self.read = 0;
        self.read_on(chunk, if self.codec.is_some() { GLANCE } else { WINDOW })?;
        if Packed::is_one(&self.window) {
            return self.section(chunk, see);
        }
        let mut sums = Sums::default();
        loop {
            let mut rest = self.window.as_slice();
            while let Some(row) = StoredRow::take(&mut rest) {
                let lsn = Lsn(chunk.first_lsn.0 + sums.count);
                sums.add(&sums_of(row.bytes));
                see(Part::Row(lsn, &row)).map_err(ChunkError::Sink)?;
            }
            // What remains is the beginning of a row that the next step completes.
            let taken = self.window.len() - rest.len();
            self.window.drain(..taken);
            if self.read >= chunk.bytes {
                let is_whole = self.window.is_empty();
                return Ok(if is_whole { sums } else { Sums::default() });
            }
            self.read_on(chunk, WINDOW)?;
        }
    }

    fn section(
        &mut self,
        chunk: &Chunk,
        see: &mut dyn FnMut(Part<'_>) -> io::Result<()>,
    ) -> Result<Sums, ChunkError> {
        let is_it = |head: &Head| {
            let says = (head.bytes() as u64, head.sums.count, head.first_lsn);
            says == (chunk.bytes, chunk.rows, chunk.first_lsn)
        };
        let first_lsn = chunk.first_lsn;
        let damaged =
            |what: &str| ChunkError::Damaged(format!("the section from LSN {first_lsn} on {what}"));
        let head = Head::decode(&self.window).filter(is_it);
        let head = head.ok_or_else(|| damaged("is not there"))?;
        if self.codec != Some(head.codec) {
            self.read_on(chunk, MAX_FRAME)?;
            let mut see = |lsn: Lsn, row: &StoredRow<'_>| see(Part::Row(lsn, row));
            return Ok(self.sections.for_each(&self.window, first_lsn, &mut see)?);
        }
        let stored_at = head.stored_at();
        self.read_on(chunk, stored_at.saturating_sub(self.window.len()))?;
        if !head.covers(&self.window[..stored_at]) {
            return Err(damaged("is not as it was written"));
        }
        let piece = Piece {
            frame: chunk.frame,
            offset: chunk.offset + stored_at as u64,
            head,
        };
        see(Part::Piece(piece)).map_err(ChunkError::Sink)?;
        Ok(head.sums)
    }

    /// Reads the next bytes of the chunk, at most so many.
    fn read_on(&mut self, chunk: &Chunk, most: usize) -> Result<(), ChunkError> {
        let left = chunk.bytes - self.read;
        let step = usize::try_from(left).unwrap_or(most).min(most);
        let kept = self.window.len();
        self.window.resize(kept + step, 0);
        let offset = chunk.offset + self.read;
        self.frames
            .read(
                &mut self.open,
                chunk.frame,
                offset,
                &mut self.window[kept..],
            )
            .map_err(ChunkError::Read)?;
        self.read += step as u64;
        Ok(())
    }
}
