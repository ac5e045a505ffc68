//! Reads a sealed batch back: the seal from its frame, and the rows from their chunks alone.

use std::io;
use std::path::Path;

use super::journal::local::LocalFrames;
use super::journal::seam::{At, Frames};
use super::ledger::batch::Chunk;
use super::ledger::entry::{Entry, StoredRow};
use super::ledger::facts::{RunEnd, Seal};
use lakehook_base::files::Files;
use lakehook_base::record::Lsn;

/// Most bytes that are read at once.
const WINDOW: usize = 1 << 20;

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

/// Reads seals and their rows while the writer goes on appending.
#[derive(Clone, Debug)]
pub struct BatchReader<R> {
    frames: R,
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
        Self { frames }
    }

    /// Name of the journal, for messages.
    pub fn name(&self) -> String {
        self.frames.name()
    }

    /// Reads a seal; the checksum of its frame is verified again.
    pub fn seal(&self, number: u64, at: At) -> Result<Seal, RowsError> {
        self.find(number, at, |entry| match entry {
            Entry::Seal(seal) if seal.number == number => Some(*seal),
            _ => None,
        })
    }

    /// Reads the end of a run; the checksum of its frame is verified again.
    pub fn run_end(&self, run: Lsn, at: At) -> Result<RunEnd, RowsError> {
        self.find(0, at, |entry| match entry {
            Entry::RunEnd(end) if end.run == run => Some(*end),
            _ => None,
        })
    }

    /// Finds the entry that `pick` takes, in the frame at a position.
    fn find<T>(
        &self,
        number: u64,
        at: At,
        pick: impl Fn(Entry<'_>) -> Option<T>,
    ) -> Result<T, RowsError> {
        let unreadable = |detail: String| RowsError::Unreadable {
            seal: number,
            source_name: self.frames.name_of_segment(at.segment()),
            detail,
        };
        let block = at.within();
        let frame = self.frames.frame(at);
        let frame = frame
            .map_err(|error| self.read_failed(number, at, error))?
            .ok_or_else(|| unreadable(format!("no valid frame at block {block}")))?;
        let found = Entry::all(frame.body()).find_map(|entry| pick(entry.ok()?));
        found.ok_or_else(|| unreadable(format!("not in the frame at block {block}")))
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

    /// Hands each row of a sealed batch to `see`, in the order of the log.
    ///
    /// Only the number of rows in each chunk is checked here: the caller compares count and hashes
    /// with the seal.
    pub fn for_each_row(
        &self,
        seal: &Seal,
        mut see: impl FnMut(Lsn, &StoredRow<'_>) -> io::Result<()>,
    ) -> Result<(), RowsError> {
        let mut open = R::Open::default();
        let mut window = Vec::new();
        for chunk in seal.chunks.iter() {
            let read = read_chunk(&self.frames, &mut open, &chunk, &mut window, &mut see);
            match read {
                Ok(rows) if rows == chunk.rows => {}
                Ok(rows) => {
                    return Err(RowsError::Unreadable {
                        seal: seal.number,
                        source_name: self.frames.name_of_segment(chunk.frame.segment()),
                        detail: format!("{rows} of {} rows", chunk.rows),
                    });
                }
                Err(ChunkError::Read(error)) => {
                    return Err(self.read_failed(seal.number, chunk.frame, error));
                }
                Err(ChunkError::Sink(error)) => return Err(RowsError::Sink(error)),
            }
        }
        Ok(())
    }
}

enum ChunkError {
    Read(io::Error),
    Sink(io::Error),
}

/// Reads the rows of one chunk through a window; returns how many there were.
fn read_chunk<R: Frames>(
    frames: &R,
    open: &mut R::Open,
    chunk: &Chunk,
    window: &mut Vec<u8>,
    see: &mut impl FnMut(Lsn, &StoredRow<'_>) -> io::Result<()>,
) -> Result<u64, ChunkError> {
    let mut offset = chunk.offset;
    let end = offset + chunk.bytes;
    let mut rows = 0;
    window.clear();
    while offset < end {
        let step = usize::try_from(end - offset).unwrap_or(WINDOW).min(WINDOW);
        let kept = window.len();
        window.resize(kept + step, 0);
        frames
            .read(open, chunk.frame, offset, &mut window[kept..])
            .map_err(ChunkError::Read)?;
        offset += step as u64;
        let mut rest = window.as_slice();
        while let Some(row) = StoredRow::take(&mut rest) {
            see(Lsn(chunk.first_lsn.0 + rows), &row).map_err(ChunkError::Sink)?;
            rows += 1;
        }
        // What remains is the beginning of a row that the next step completes.
        let taken = window.len() - rest.len();
        window.drain(..taken);
    }
    let trailing = window.is_empty();
    Ok(if trailing { rows } else { 0 })
}
