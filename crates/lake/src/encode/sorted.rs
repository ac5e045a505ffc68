//! Sorts rows by time in bounded memory: rows that do not fit are sorted in portions, each of which
//! is spilled to a file beside the object; the files are merged at the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lakehook_base::clock::Micros;
use lakehook_base::files::{Appender, Files, Reader, remove_if_there};
use lakehook_base::record::Lsn;

/// Most bytes of rows that are sorted in memory.
const MAX_BUFFER_BYTES: usize = 4 << 20;
/// Bytes that are read at once from the files that are merged, of all of them together …
const MERGE_BYTES: usize = 1 << 20;
/// … and at least from each.
const MIN_READ_BYTES: usize = 4 << 10;
/// Bytes of the time, LSN and length before each row in a file.
const HEAD_BYTES: usize = 20;

/// Takes rows in any order, and returns them sorted.
pub(super) struct Sorter<F: Files> {
    files: F,
    /// Spilled files have this name with a number as extension.
    path: PathBuf,
    max_buffer_bytes: usize,
    buffer: Buffer,
    spilled: Vec<PathBuf>,
}

/// Rows in memory, which can be taken on by the next sorter once they are gone.
#[derive(Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    rows: Vec<BufferedRow>,
}

impl Buffer {
    fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
        // One huge row must not take this memory for good.
        if self.bytes.capacity() > 2 * MAX_BUFFER_BYTES {
            self.bytes = Vec::new();
        }
    }
}

/// A row in the buffer. The order of the fields is the order of rows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct BufferedRow {
    time: Micros,
    lsn: Lsn,
    start: usize,
    end: usize,
}

impl<F: Files> Sorter<F> {
    /// A sorter that spills beside `path`, and uses the memory of an earlier one.
    pub(super) fn new(files: F, path: &Path, mut buffer: Buffer) -> Self {
        buffer.clear();
        Self {
            files,
            path: path.to_owned(),
            max_buffer_bytes: MAX_BUFFER_BYTES,
            buffer,
            spilled: Vec::new(),
        }
    }

    /// Takes a row.
    pub(super) fn push(&mut self, time: Micros, lsn: Lsn, row: &[u8]) -> io::Result<()> {
        let Buffer { bytes, rows } = &self.buffer;
        if !rows.is_empty() && bytes.len() + row.len() > self.max_buffer_bytes {
            self.spill()?;
        }
        let Buffer { bytes, rows } = &mut self.buffer;
        let start = bytes.len();
        bytes.extend_from_slice(row);
        rows.push(BufferedRow {
            time,
            lsn,
            start,
            end: bytes.len(),
        });
        Ok(())
    }

    /// Passes all rows to `see`, sorted by time and then by LSN. Returns its memory.
    pub(super) fn finish(
        mut self,
        see: &mut dyn FnMut(Lsn, &[u8]) -> io::Result<()>,
    ) -> io::Result<Buffer> {
        if self.spilled.is_empty() {
            let Buffer { bytes, rows } = &mut self.buffer;
            rows.sort_unstable();
            for row in rows {
                see(row.lsn, &bytes[row.start..row.end])?;
            }
        } else {
            self.spill()?;
            self.merge(see)?;
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Writes the buffer into a file, sorted. The file need not be durable.
    fn spill(&mut self) -> io::Result<()> {
        self.buffer.rows.sort_unstable();
        let name = format!("sort-{}", self.spilled.len());
        let path = self.path.with_extension(name);
        remove_if_there(&self.files, &path)?;
        let file = Arc::new(self.files.create_new(&path)?);
        self.spilled.push(path);
        let mut out = BufWriter::with_capacity(256 << 10, Appender::new(file));
        for row in &self.buffer.rows {
            let bytes = &self.buffer.bytes[row.start..row.end];
            out.write_all(&row.time.0.to_le_bytes())?;
            out.write_all(&row.lsn.0.to_le_bytes())?;
            out.write_all(&(bytes.len() as u32).to_le_bytes())?;
            out.write_all(bytes)?;
        }
        out.flush()?;
        self.buffer.clear();
        Ok(())
    }

    fn merge(&self, see: &mut dyn FnMut(Lsn, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut readers = Vec::new();
        let mut next = BinaryHeap::new();
        let read_bytes = (MERGE_BYTES / self.spilled.len().max(1)).max(MIN_READ_BYTES);
        for (index, path) in self.spilled.iter().enumerate() {
            let file = Reader::new(self.files.open(path)?)?;
            let mut spilled = SpilledReader {
                input: BufReader::with_capacity(read_bytes, file),
                row: Vec::new(),
            };
            if let Some((time, lsn)) = spilled.advance()? {
                next.push(Reverse((time, lsn, index)));
            }
            readers.push(spilled);
        }
        while let Some(Reverse((_, lsn, index))) = next.pop() {
            let spilled = &mut readers[index];
            see(lsn, &spilled.row)?;
            if let Some((time, lsn)) = spilled.advance()? {
                next.push(Reverse((time, lsn, index)));
            }
        }
        Ok(())
    }
}

impl<F: Files> Drop for Sorter<F> {
    /// Removes the spilled files, however the sort ended; the next attempt replaces one that cannot be removed.
    fn drop(&mut self) {
        for path in &self.spilled {
            let _left_for_the_next = remove_if_there(&self.files, path);
        }
    }
}

/// Reads a spilled file row by row.
struct SpilledReader<R: io::Read> {
    input: BufReader<R>,
    row: Vec<u8>,
}

impl<R: io::Read> SpilledReader<R> {
    /// Reads the next row into `row`; `None` at the end.
    fn advance(&mut self) -> io::Result<Option<(Micros, Lsn)>> {
        let mut head = [0; HEAD_BYTES];
        match self.input.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let mut number = [0; 8];
        number.copy_from_slice(&head[..8]);
        let time = Micros(i64::from_le_bytes(number));
        number.copy_from_slice(&head[8..16]);
        let lsn = Lsn(u64::from_le_bytes(number));
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&head[16..]);
        self.row.resize(u32::from_le_bytes(bytes) as usize, 0);
        self.input.read_exact(&mut self.row)?;
        Ok(Some((time, lsn)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakehook_base::files::Disk;

    #[test]
    fn rows_come_in_order_however_many_files_are_spilled() -> io::Result<()> {
        let mut buffer = Buffer::default();
        for max_buffer_bytes in [1 << 20, 500, 40, 1 << 20] {
            let dir = tempfile::tempdir()?;
            let path = dir.path().join("object.part");
            let mut sorter = Sorter::new(Disk, &path, std::mem::take(&mut buffer));
            sorter.max_buffer_bytes = max_buffer_bytes;
            for n in 0..100_u64 {
                let time = Micros(i64::try_from(n * 37 % 10).unwrap_or(0));
                sorter.push(time, Lsn(n), format!("row {n}").as_bytes())?;
            }
            let mut seen = Vec::new();
            buffer = sorter.finish(&mut |lsn, row| {
                assert_eq!(row, format!("row {}", lsn.0).as_bytes());
                seen.push((lsn.0 * 37 % 10, lsn.0));
                Ok(())
            })?;
            assert_eq!(seen.len(), 100);
            assert!(seen.is_sorted(), "{seen:?}");
            assert_eq!(Disk.list(dir.path())?, [], "spilled files are left");
        }
        Ok(())
    }
}
