//! Reading a sealed batch back: the seal from its frame, and the rows from just their places.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::{File, Files};
use crate::record::Lsn;
use crate::wal::journal::layout::{BLOCK, FRAME_HEADER, segment_path};
use crate::wal::journal::read::{ReadError, SegmentReader};
use crate::wal::ledger::batch::Place;
use crate::wal::ledger::entry::{Entry, Seal, StoredRow};
use crate::wal::ledger::runs::RunEnd;
use crate::wal::ledger::state::SealAt;

/// How much is read at once.
const WINDOW: usize = 1 << 20;

/// Why a batch cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The log no longer holds what the seal covers.
    #[error("the rows of seal {seal} cannot be read back from {}: {detail}", path.display())]
    Unreadable {
        /// Number of the seal.
        seal: u64,
        /// Where they should be.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The operating system says no for now; nothing is known about the rows.
    #[error("failed to read {}: {error}", path.display())]
    Read {
        /// The segment.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Whoever takes the rows says no.
    #[error("failed to encode: {0}")]
    Sink(#[from] io::Error),
}

/// Reads seals and their rows while the writer goes on appending.
#[derive(Clone, Debug)]
pub struct BatchReader<F> {
    files: F,
    dir: Arc<Path>,
}

impl<F: Files> BatchReader<F> {
    /// For the log in that directory.
    pub fn new(files: F, dir: &Path) -> Self {
        Self {
            files,
            dir: dir.into(),
        }
    }

    /// The log's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Reads a seal; the checksum of its frame is verified again.
    pub fn seal(&self, number: u64, at: SealAt) -> Result<Seal, RowsError> {
        self.find(number, at, |entry| match entry {
            Entry::Seal(seal) if seal.number == number => Some(*seal),
            _ => None,
        })
    }

    /// Reads the end of a run; the checksum of its frame is verified again.
    pub fn run_end(&self, run: Lsn, at: SealAt) -> Result<RunEnd, RowsError> {
        self.find(0, at, |entry| match entry {
            Entry::RunEnd(end) if end.run == run => Some(*end),
            _ => None,
        })
    }

    /// Reads an entry of the frame at that place.
    fn find<T>(
        &self,
        number: u64,
        at: SealAt,
        pick: impl Fn(Entry<'_>) -> Option<T>,
    ) -> Result<T, RowsError> {
        let path = segment_path(&self.dir, at.segment);
        let unreadable = |detail: String| RowsError::Unreadable {
            seal: number,
            path: path.clone(),
            detail,
        };
        let failed = |error: ReadError| match error {
            ReadError::Io { path, error } => read_failed(number, &path, error),
            error => unreadable(error.to_string()),
        };
        let reader = SegmentReader::open(&self.files, &path, None).map_err(failed)?;
        let frame = reader
            .frame_at(at.block * BLOCK)
            .map_err(failed)?
            .ok_or_else(|| unreadable(format!("no valid frame at block {}", at.block)))?;
        let found = Entry::all(frame.body()).find_map(|entry| pick(entry.ok()?));
        found.ok_or_else(|| unreadable(format!("not in the frame at block {}", at.block)))
    }

    /// Hands each row of a sealed batch to `see`, in the order of the log.
    ///
    /// What was read is not trusted here: the caller compares count and hashes with the seal.
    pub fn for_each_row(
        &self,
        seal: &Seal,
        mut see: impl FnMut(Lsn, &StoredRow<'_>) -> io::Result<()>,
    ) -> Result<(), RowsError> {
        let mut open: Option<(u64, F::File)> = None;
        let mut window = Vec::new();
        for place in seal.places.iter() {
            let path = segment_path(&self.dir, place.segment);
            if open
                .as_ref()
                .is_none_or(|(segment, _)| *segment != place.segment)
            {
                match self.files.open(&path) {
                    Ok(file) => open = Some((place.segment, file)),
                    Err(error) => return Err(read_failed(seal.number, &path, error)),
                }
            }
            let Some((_, file)) = &open else { continue };
            match read_place(file, &place, &mut window, &mut see) {
                Ok(rows) if rows == place.rows => {}
                Ok(rows) => {
                    let detail = format!("{rows} of {} rows", place.rows);
                    return Err(RowsError::Unreadable {
                        seal: seal.number,
                        path,
                        detail,
                    });
                }
                Err(PlaceError::Read(error)) => {
                    return Err(read_failed(seal.number, &path, error));
                }
                Err(PlaceError::Sink(error)) => return Err(RowsError::Sink(error)),
            }
        }
        Ok(())
    }
}

/// A file that is gone or too short does not come back; anything else may pass.
fn read_failed(seal: u64, path: &Path, error: io::Error) -> RowsError {
    let path = path.to_owned();
    let gone = [io::ErrorKind::NotFound, io::ErrorKind::UnexpectedEof];
    if gone.contains(&error.kind()) {
        let detail = error.to_string();
        return RowsError::Unreadable { seal, path, detail };
    }
    RowsError::Read { path, error }
}

enum PlaceError {
    Read(io::Error),
    Sink(io::Error),
}

/// Reads the rows of one place through a window; returns how many there were.
fn read_place<H: File>(
    file: &H,
    place: &Place,
    window: &mut Vec<u8>,
    see: &mut impl FnMut(Lsn, &StoredRow<'_>) -> io::Result<()>,
) -> Result<u64, PlaceError> {
    let mut offset = place.block * BLOCK + FRAME_HEADER as u64 + place.at;
    let end = offset + place.bytes;
    let mut rows = 0;
    window.clear();
    while offset < end {
        let step = usize::try_from(end - offset).unwrap_or(WINDOW).min(WINDOW);
        let kept = window.len();
        window.resize(kept + step, 0);
        file.read_exact_at(&mut window[kept..], offset)
            .map_err(PlaceError::Read)?;
        offset += step as u64;
        let mut rest = window.as_slice();
        while let Some(row) = StoredRow::take(&mut rest) {
            see(Lsn(place.first_lsn.0 + rows), &row).map_err(PlaceError::Sink)?;
            rows += 1;
        }
        // What remains is the beginning of a row that the next step completes.
        let taken = window.len() - rest.len();
        window.drain(..taken);
    }
    let trailing = window.is_empty();
    Ok(if trailing { rows } else { 0 })
}
