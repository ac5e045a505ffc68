//! One encoder for every format.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::format::{Format, Layout};
use super::parquet::Memory;
use super::statistics::ColumnStatistics;
use super::{ndjson, parquet};
use lakehook_base::files::Files;
use lakehook_base::record::Lsn;
use lakehook_base::tables::Table;

/// What an encoder needs to know of the object that it writes.
pub struct ObjectSpec<'a> {
    /// The object's format.
    pub format: Format,
    /// The columns of its rows.
    pub table: &'a Arc<Table>,
    /// Number of rows that it will have.
    pub rows: u64,
    /// The local file that it is written to; temporary files may be created beside it.
    pub path: &'a Path,
}

/// Writes rows to `W`.
pub enum Encoder<W: Write + Send, F: Files> {
    /// Writes rows as lines.
    Lines(Box<ndjson::Encoder<W>>),
    /// Writes rows as columns.
    Columns(Box<parquet::Encoder<W, F>>),
}

/// An object that is written completely.
pub struct Encoded<W> {
    /// The writer that took the object's bytes.
    pub out: W,
    /// Statistics of the columns; empty if rows are lines.
    pub columns: Vec<ColumnStatistics>,
    /// Memory for the next encoder.
    pub memory: Memory,
}

impl<W: Write + Send, F: Files> Encoder<W, F> {
    /// An encoder for an object.
    pub fn new(spec: &ObjectSpec<'_>, out: W, files: F) -> io::Result<Self> {
        Self::with_memory(spec, out, files, Memory::default())
    }

    /// The same with the memory of an earlier encoder.
    pub fn with_memory(
        spec: &ObjectSpec<'_>,
        out: W,
        files: F,
        memory: Memory,
    ) -> io::Result<Self> {
        Ok(match spec.format.layout() {
            Layout::Lines(codec) => Self::Lines(Box::new(ndjson::Encoder::new(codec, out)?)),
            Layout::Columns => {
                let (table, rows) = (spec.table, spec.rows);
                let place = (files, spec.path);
                let encoder = parquet::Encoder::with_memory(table, rows, out, place, memory)?;
                Self::Columns(Box::new(encoder))
            }
        })
    }

    /// Writes one row; `lsn_at` is the offset in it at which its `lsn` belongs.
    pub fn row(&mut self, lsn: Lsn, lsn_at: usize, row: &[u8]) -> io::Result<()> {
        match self {
            Self::Lines(encoder) => encoder.row(lsn, lsn_at, row),
            Self::Columns(encoder) => encoder.row(lsn, row),
        }
    }

    /// Writes the end of the object.
    pub fn finish(self) -> io::Result<Encoded<W>> {
        let (out, columns, memory) = match self {
            Self::Lines(encoder) => (encoder.finish()?, Vec::new(), Memory::default()),
            Self::Columns(encoder) => encoder.finish()?,
        };
        Ok(Encoded {
            out,
            columns,
            memory,
        })
    }
}
