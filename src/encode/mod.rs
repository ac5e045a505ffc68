//! Encoding: the rows of a batch become the bytes of an object, as a stream.
//!
//! Promises bounded memory whatever the size of the batch, and that `Content-Encoding` is never
//! needed: engines choose the codec by the suffix. Knows neither log nor lake.

pub mod ndjson;
pub mod parquet;
pub mod parquet_read;
pub mod rows_back;
mod sorted;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

pub use ndjson::same_content;

use crate::files::Files;
use crate::record::Lsn;
use crate::tables::Table;

/// The format of objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, zstd.
    #[default]
    NdjsonZst,
    /// One JSON object a line, gzip.
    NdjsonGz,
    /// One JSON object a line.
    Ndjson,
    /// Typed columns.
    Parquet,
}

/// How lines are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    Plain,
    /// gzip.
    Gz,
    /// zstd.
    Zst,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::NdjsonZst, Self::NdjsonGz, Self::Ndjson, Self::Parquet];

    /// Its name, which is also the suffix of object keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NdjsonZst => "ndjson.zst",
            Self::NdjsonGz => "ndjson.gz",
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
        }
    }

    /// The format of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }

    /// The format of the object with that key.
    pub fn of_key(key: &str) -> Option<Self> {
        let mut formats = Self::ALL.into_iter();
        formats.find(|format| {
            let stem = key.strip_suffix(format.as_str());
            stem.is_some_and(|stem| stem.ends_with('.'))
        })
    }

    /// The media type of such objects.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::NdjsonZst => "application/zstd",
            Self::NdjsonGz => "application/gzip",
            Self::Ndjson => "application/x-ndjson",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// How its lines are compressed, if it has lines.
    pub fn codec(self) -> Option<Codec> {
        match self {
            Self::NdjsonZst => Some(Codec::Zst),
            Self::NdjsonGz => Some(Codec::Gz),
            Self::Ndjson => Some(Codec::Plain),
            Self::Parquet => None,
        }
    }
}

/// The object that is to be made.
pub struct Making<'a> {
    /// Its format.
    pub format: Format,
    /// Its columns.
    pub table: &'a Arc<Table>,
    /// How many rows it will have.
    pub rows: u64,
    /// The file in the making, beside which others may be made.
    pub path: &'a Path,
}

/// Writes rows to `W`.
pub enum Encoder<W: Write + Send, F: Files> {
    /// As lines.
    Lines(Box<ndjson::Encoder<W>>),
    /// As columns.
    Columns(Box<parquet::Encoder<W, F>>),
}

impl<W: Write + Send, F: Files> Encoder<W, F> {
    /// An encoder for an object.
    pub fn new(making: &Making<'_>, out: W, files: F) -> io::Result<Self> {
        Ok(match making.format.codec() {
            Some(codec) => Self::Lines(Box::new(ndjson::Encoder::new(codec, out)?)),
            None => {
                let (table, rows) = (making.table, making.rows);
                let encoder = parquet::Encoder::new(table, rows, out, files, making.path)?;
                Self::Columns(Box::new(encoder))
            }
        })
    }

    /// Writes one row, whose `lsn` belongs at that place.
    pub fn row(&mut self, lsn: Lsn, lsn_at: usize, row: &[u8]) -> io::Result<()> {
        match self {
            Self::Lines(encoder) => encoder.row(lsn, lsn_at, row),
            Self::Columns(encoder) => encoder.row(lsn, row),
        }
    }

    /// Ends the object and hands the writer back.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Lines(encoder) => encoder.finish(),
            Self::Columns(encoder) => encoder.finish(),
        }
    }
}
