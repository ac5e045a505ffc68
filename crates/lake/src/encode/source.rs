//! The bytes of an object in a local file, for readers that need them in any order.

use std::io::{self, BufReader, Read as _};
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use lakehook_base::files::{File, Reader};

/// Bytes that are read at once: most reads are of the header of a page.
const BUFFER_BYTES: usize = 4 << 10;

/// The bytes of an object in a file that does not change.
pub struct Source<F> {
    file: Arc<F>,
    bytes: u64,
}

impl<F: File> Source<F> {
    /// The bytes of that file.
    pub fn new(file: Arc<F>) -> io::Result<Self> {
        let bytes = file.len()?;
        Ok(Self { file, bytes })
    }

    /// Reads from the beginning.
    pub(super) fn reader(&self) -> io::Result<Reader<Arc<F>>> {
        Reader::new(Arc::clone(&self.file))
    }
}

impl<F> Clone for Source<F> {
    fn clone(&self) -> Self {
        Self {
            file: Arc::clone(&self.file),
            bytes: self.bytes,
        }
    }
}

impl<F: File> Length for Source<F> {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl<F: File> ChunkReader for Source<F> {
    type T = BufReader<Reader<Arc<F>>>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let reader = Reader::from(Arc::clone(&self.file), start)?;
        Ok(BufReader::with_capacity(BUFFER_BYTES, reader))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        // A damaged object may name any number of bytes: memory is for those that are there.
        let mut bytes = Vec::new();
        let reader = Reader::from(Arc::clone(&self.file), start)?;
        let left = self.bytes.saturating_sub(start);
        if (length as u64) > left {
            return Err(ParquetError::EOF(format!(
                "{length} bytes expected, {left} left"
            )));
        }
        reader.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }
}
