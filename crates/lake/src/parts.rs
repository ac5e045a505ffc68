//! An object that is read in parts, in any order: for readers of columns, which need little of it.

use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::s3::S3;

/// Bytes of a stored object that are read at once, if the reader does not say how many it needs.
const PART_BYTES: u64 = 64 << 10;

/// An object that does not change.
pub enum ObjectParts {
    /// A file.
    File(std::fs::File),
    /// An object in a bucket.
    Stored {
        /// Where it is.
        store: Arc<S3>,
        /// Its key.
        key: Arc<str>,
        /// Its size.
        bytes: u64,
    },
}

impl ObjectParts {
    pub(super) fn stored(store: Arc<S3>, key: &str, bytes: u64) -> Self {
        let key = Arc::from(key);
        Self::Stored { store, key, bytes }
    }
}

impl Length for ObjectParts {
    fn len(&self) -> u64 {
        match self {
            Self::File(file) => file.metadata().map_or(0, |metadata| metadata.len()),
            Self::Stored { bytes, .. } => *bytes,
        }
    }
}

impl ChunkReader for ObjectParts {
    type T = BufReader<Box<dyn Read>>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let reader: Box<dyn Read> = match self {
            Self::File(file) => {
                let mut own = file.try_clone()?;
                own.seek(SeekFrom::Start(start))?;
                Box::new(own)
            }
            Self::Stored { store, key, bytes } => Box::new(StoredParts {
                store: Arc::clone(store),
                key: Arc::clone(key),
                next: start,
                end: *bytes,
            }),
        };
        Ok(BufReader::new(reader))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let left = self.len().saturating_sub(start);
        // A damaged object may name any number of bytes.
        if (length as u64) > left {
            return Err(ParquetError::EOF(format!(
                "{length} bytes expected, {left} left"
            )));
        }
        match self {
            Self::File(_) => {
                let mut bytes = Vec::new();
                self.get_read(start)?
                    .take(length as u64)
                    .read_to_end(&mut bytes)?;
                Ok(bytes.into())
            }
            Self::Stored { store, key, .. } => Ok(part(store, key, start, length as u64)?.into()),
        }
    }
}

/// Reads on in a stored object.
struct StoredParts {
    store: Arc<S3>,
    key: Arc<str>,
    next: u64,
    end: u64,
}

impl Read for StoredParts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = PART_BYTES
            .min(self.end.saturating_sub(self.next))
            .min(buffer.len() as u64);
        if length == 0 {
            return Ok(0);
        }
        let bytes = part(&self.store, &self.key, self.next, length)?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        self.next += bytes.len() as u64;
        Ok(bytes.len())
    }
}

/// Exactly this part.
fn part(store: &S3, key: &str, start: u64, length: u64) -> io::Result<Vec<u8>> {
    let part = store
        .part(key, start, length)
        .map_err(|error| io::Error::other(error.message))?;
    if part.len() as u64 != length {
        return Err(io::Error::other("the object has changed meanwhile"));
    }
    Ok(part)
}
