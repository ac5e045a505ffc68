//! Objects of lines, assembled from the sections of the log.
//!
//! What the log has packed with the object's codec is a piece of the object already: only its place and
//! its checksum are kept, and each attempt to put the object reads it from the log again. Rows between
//! two pieces are compressed together here. That is kept in memory as long as it is little, and
//! otherwise the whole object is written into a file.
//!
//! Length and checksum of the object follow from those of its parts. The last byte of a piece is given away
//! only if the checksum of the whole piece is right.

use std::fmt;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use crate::checksum::{Crc32c, combined, crc32c};
use crate::encode::Codec;
use crate::encode::ndjson::Encoder;
use crate::files::{Appender, File, Files, create_dir_durably, parent_of, remove_if_there};
use crate::lake::{Assembled, Found, Object};
use crate::wal::journal::seam::Frames;
use crate::wal::rows::Piece;

/// Most bytes that are made here and kept in memory.
const MOST_MADE: usize = 1 << 20;
/// Bytes that are written at once.
const PIECE_BYTES: usize = 256 << 10;

/// A stretch of an object.
#[derive(Debug)]
enum Stretch {
    /// Bytes that were made here.
    Made(Vec<u8>),
    /// A piece that lies in the log.
    Piece(Piece),
}

impl Stretch {
    fn bytes(&self) -> usize {
        match self {
            Self::Made(bytes) => bytes.len(),
            Self::Piece(piece) => piece.head.stored_bytes,
        }
    }
}

/// The parts of an object, in order.
struct Assembly<R> {
    frames: R,
    parts: Vec<Stretch>,
}

impl<R: Frames> fmt::Debug for Assembly<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} parts from {}", self.parts.len(), self.frames.name())
    }
}

impl<R: Frames> Assembled for Assembly<R> {
    fn open(self: Arc<Self>) -> Box<dyn Read + Send> {
        Box::new(AssemblyReader {
            assembly: self,
            part: 0,
            at: 0,
            crc: Crc32c::default(),
            open: R::Open::default(),
        })
    }
}

/// Reads an assembly from its beginning to its end.
struct AssemblyReader<R: Frames> {
    assembly: Arc<Assembly<R>>,
    part: usize,
    /// Bytes of that part that were read.
    at: usize,
    /// Their checksum, if it is a piece.
    crc: Crc32c,
    open: R::Open,
}

impl<R: Frames> Read for AssemblyReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(part) = self.assembly.parts.get(self.part) else {
            return Ok(0);
        };
        let bytes = buffer.len().min(part.bytes() - self.at);
        let buffer = &mut buffer[..bytes];
        let is_last = self.at + bytes == part.bytes();
        match part {
            Stretch::Made(made) => buffer.copy_from_slice(&made[self.at..self.at + bytes]),
            Stretch::Piece(piece) => {
                let offset = piece.offset + self.at as u64;
                let frames = &self.assembly.frames;
                frames.read(&mut self.open, piece.frame, offset, buffer)?;
                self.crc.update(buffer);
                if is_last && self.crc.value() != piece.head.stored_crc {
                    return Err(damaged(frames, piece));
                }
            }
        }
        self.at += bytes;
        if is_last {
            self.part += 1;
            self.at = 0;
            self.crc = Crc32c::default();
        }
        Ok(bytes)
    }
}

/// A piece is not as it was written. It is in the message, so that it can be told from other errors.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct PieceDamaged(String);

fn damaged<R: Frames>(frames: &R, piece: &Piece) -> io::Error {
    let head = &piece.head;
    let message = format!(
        "{}: the rows of LSN {} to {} are not as they were written",
        frames.name_of(piece.frame),
        head.first_lsn,
        head.last_lsn()
    );
    io::Error::new(io::ErrorKind::InvalidData, PieceDamaged(message))
}

/// Whether an error says that the log has other bytes than it had.
pub(super) fn is_damage(error: &io::Error) -> bool {
    let is_piece = matches!(error.get_ref(), Some(inner) if inner.is::<PieceDamaged>());
    is_piece || matches!(error.kind(), io::ErrorKind::UnexpectedEof)
}

/// What is wrong with the bytes of an object that could not be put, if they come from the log and that
/// can no longer give them.
pub(super) fn damage_of(object: &Object) -> Option<String> {
    let mut from = Arc::clone(object.assembled.as_ref()?).open();
    let error = io::copy(&mut from, &mut io::sink()).err()?;
    let is_gone = error.kind() == io::ErrorKind::NotFound;
    (is_gone || is_damage(&error)).then(|| error.to_string())
}

/// An object under construction, between two parts.
pub(super) enum Underway<'a, F: Files, R: Frames> {
    /// The last part was a piece, or there is none.
    Pieces(Assembling<'a, F, R>),
    /// Rows are being compressed.
    Lines(Box<Encoder<Assembling<'a, F, R>>>),
    /// A part could not be added.
    Nothing,
}

impl<'a, F: Files, R: Frames> Underway<'a, F, R> {
    /// Goes on with rows.
    pub(super) fn lines(self, codec: Codec) -> io::Result<Box<Encoder<Assembling<'a, F, R>>>> {
        match self {
            Self::Pieces(pieces) => Encoder::new(codec, pieces).map(Box::new),
            Self::Lines(lines) => Ok(lines),
            Self::Nothing => Err(io::Error::other("a part before it is missing")),
        }
    }

    /// Goes on with a piece, or ends.
    pub(super) fn pieces(self) -> io::Result<Assembling<'a, F, R>> {
        match self {
            Self::Pieces(pieces) => Ok(pieces),
            Self::Lines(lines) => lines.finish(),
            Self::Nothing => Err(io::Error::other("a part before it is missing")),
        }
    }
}

/// An object that is being assembled. What is written to it comes between the pieces.
pub(super) struct Assembling<'a, F: Files, R> {
    files: F,
    frames: R,
    /// The file that it is written to if it is not kept in memory.
    path: &'a Path,
    parts: Vec<Stretch>,
    made: usize,
    found: Found,
    out: Option<BufWriter<Appender<F::File>>>,
}

impl<'a, F: Files, R: Frames> Assembling<'a, F, R> {
    pub(super) fn new(files: F, frames: R, path: &'a Path) -> Self {
        Self {
            files,
            frames,
            path,
            parts: Vec::new(),
            made: 0,
            found: Found { bytes: 0, crc: 0 },
            out: None,
        }
    }

    /// Adds a piece.
    pub(super) fn piece(&mut self, piece: Piece) -> io::Result<()> {
        let bytes = piece.head.stored_bytes as u64;
        self.count(piece.head.stored_crc, bytes);
        self.parts.push(Stretch::Piece(piece));
        if self.out.is_some() {
            self.drain()?;
        }
        Ok(())
    }

    /// Ends the object: its size and checksum, and its parts unless it is in the file, durably.
    pub(super) fn finish(
        mut self,
        into_file: bool,
    ) -> io::Result<(Found, Option<Arc<dyn Assembled>>)> {
        if into_file {
            self.drain()?;
        }
        let Some(out) = self.out else {
            let Self { frames, parts, .. } = self;
            return Ok((self.found, Some(Arc::new(Assembly { frames, parts }))));
        };
        let out = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        if out.written() != self.found.bytes {
            return Err(io::Error::other(
                "an object has another length than its parts",
            ));
        }
        out.file().sync()?;
        Ok((self.found, None))
    }

    fn count(&mut self, crc: u32, bytes: u64) {
        self.found.crc = combined(self.found.crc, crc, bytes);
        self.found.bytes += bytes;
    }

    /// Writes the parts so far into the file.
    fn drain(&mut self) -> io::Result<()> {
        let mut out = match self.out.take() {
            Some(out) => out,
            None => {
                create_dir_durably(&self.files, parent_of(self.path), true)?;
                remove_if_there(&self.files, self.path)?;
                let file = Arc::new(self.files.create_new(self.path)?);
                BufWriter::with_capacity(PIECE_BYTES, Appender::new(file))
            }
        };
        self.made = 0;
        let parts = std::mem::take(&mut self.parts);
        let frames = self.frames.clone();
        let mut from = Arc::new(Assembly { frames, parts }).open();
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            match from.read(&mut buffer)? {
                0 => break,
                bytes => out.write_all(&buffer[..bytes])?,
            }
        }
        self.out = Some(out);
        Ok(())
    }
}

impl<F: Files, R: Frames> Write for Assembling<'_, F, R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.count(crc32c(bytes), bytes.len() as u64);
        if let Some(out) = &mut self.out {
            out.write_all(bytes)?;
            return Ok(bytes.len());
        }
        match self.parts.last_mut() {
            Some(Stretch::Made(made)) => made.extend_from_slice(bytes),
            _ => self.parts.push(Stretch::Made(bytes.to_vec())),
        }
        self.made += bytes.len();
        if self.made > MOST_MADE {
            self.drain()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "assembly_tests.rs"]
mod tests;
