//! A record as the reader of a file hands it on.

use xxhash_rust::xxh3::Xxh3;

use super::row_batch::RowBatch;
use super::table_row::{RowScratch, TableRow};
use lakehook_contract::quarantine::FieldError;

/// Most bytes of a record that is too long which are kept.
const MAX_FIRST: usize = 4 << 10;

/// What stands in a file, from its beginning to its end.
#[derive(Debug)]
pub(crate) enum Part<'a> {
    /// A record.
    Record(ReadRecord<'a>),
    /// Records that are rows of a table.
    Rows(RowBatch<'a>),
    /// A record that cannot be read.
    Bad(BadRecord),
    /// A line with nothing on it.
    Blank,
}

/// A record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadRecord<'a> {
    /// The line on which it begins, from 1.
    pub(crate) line: u64,
    /// The record as JSON.
    pub(crate) json: &'a str,
    /// Its bytes in the file, if they are not that.
    pub(crate) sent: Option<&'a [u8]>,
    /// Hash of what it says, if it is not that of the JSON.
    pub(crate) content: Option<u128>,
    /// The line that names its columns.
    pub(crate) header: Option<&'a str>,
}

impl<'a> ReadRecord<'a> {
    /// The record that a row of a table is, or what is wrong with it.
    pub(crate) fn of_row(
        row: TableRow<'a>,
        scratch: &'a mut RowScratch,
    ) -> Result<Self, BadRecord> {
        let header = row.heads.line.as_deref();
        match row.json(scratch) {
            Ok((json, content)) => Ok(Self {
                line: row.line,
                json,
                sent: Some(row.raw),
                content: Some(content),
                header,
            }),
            Err(what) => {
                let error = FieldError::of_body("csv", what);
                Err(bad(row.line, row.raw, error, header))
            }
        }
    }
}

/// A record that cannot be read.
#[derive(Debug)]
pub(crate) struct BadRecord {
    pub(crate) line: u64,
    pub(crate) error: FieldError,
    /// Its first bytes.
    pub(crate) first: Vec<u8>,
    /// Its length and its hash.
    pub(crate) bytes: u64,
    pub(crate) hash: u128,
    pub(crate) header: Option<String>,
}

/// Takes the parts of a file, one after the other.
pub(crate) type TakePart<'t> = dyn FnMut(Part<'_>) -> Result<(), ReadStop> + 't;

/// Why a file is not read to its end.
#[derive(Debug)]
pub(crate) enum ReadStop {
    /// The file itself is wrong: another attempt would fail too.
    Wrong(String),
    /// It is too large to be taken together with others.
    Large,
    /// It cannot be read now.
    Io(std::io::Error),
    /// The run cannot go on.
    Run(lakehook_feeds::errors::RunError),
}

impl From<std::io::Error> for ReadStop {
    /// What is wrong with the content of a file comes as an error of these kinds, or with an inner error.
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        match error.kind() {
            InvalidData | InvalidInput => Self::Wrong(error.to_string()),
            UnexpectedEof => Self::Wrong(format!("the file is cut off: {error}")),
            _ => Self::Io(error),
        }
    }
}

/// Bytes that are passed by, of which only the first are kept.
#[derive(Default)]
pub(crate) struct PassedBytes {
    first: Vec<u8>,
    bytes: u64,
    hash: Xxh3,
}

impl PassedBytes {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let room = MAX_FIRST.saturating_sub(self.first.len());
        self.first
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
    }

    /// The record that they are.
    pub(crate) fn refused(self, line: u64, error: FieldError, header: Option<&str>) -> BadRecord {
        BadRecord {
            line,
            error,
            first: self.first,
            bytes: self.bytes,
            hash: self.hash.digest128(),
            header: header.map(str::to_owned),
        }
    }
}

/// A whole record that cannot be read.
pub(crate) fn bad(line: u64, raw: &[u8], error: FieldError, header: Option<&str>) -> BadRecord {
    let mut passed = PassedBytes::default();
    passed.add(raw);
    passed.first = raw.to_vec();
    passed.refused(line, error, header)
}

/// The error of a record that is too long.
pub(crate) fn too_long(max: u64) -> FieldError {
    FieldError::of_body(
        "too_long",
        format!("a record of at most {max} bytes (max_record)"),
    )
}
