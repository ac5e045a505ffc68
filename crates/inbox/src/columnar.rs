//! Parquet files: each row is a record, and its number is its line.
//!
//! The end of such a file says where everything is, so it is read twice: first for its hash, then row group by
//! row group. If somebody changes it in between, its time changes too, and the run notices that.

use std::fs::File;
use std::io::{self, Seek as _};

use lakehook_lake::encode::{ParquetBounds, parquet_rows};

use super::definition::FileLimits;
use super::record::{Part, PassedBytes, ReadRecord, ReadStop, TakePart, too_long};
use super::unpacked::Hashed;

/// Passes each row to `take`, and returns the size and the hash of the file.
pub(crate) fn read(
    file: &File,
    limits: &FileLimits,
    take: &mut TakePart<'_>,
) -> Result<(u64, u128), ReadStop> {
    let mut whole = file;
    whole.rewind()?;
    let mut hashed = Hashed::new(whole);
    io::copy(&mut hashed, &mut io::sink())?;
    let bounds = ParquetBounds {
        max_bytes: limits.max_bytes,
        max_ratio: limits.max_ratio,
    };
    let mut stopped = None;
    parquet_rows(file, bounds, &mut |line, json| {
        let part = if json.len() as u64 > limits.max_record {
            let mut passed = PassedBytes::default();
            passed.add(json.as_bytes());
            Part::Bad(passed.refused(line, too_long(limits.max_record), None))
        } else {
            Part::Record(ReadRecord {
                line,
                json,
                sent: None,
                content: None,
                header: None,
            })
        };
        stopped = take(part).err();
        Ok(stopped.is_none())
    })?;
    match stopped {
        Some(stop) => Err(stop),
        None => Ok(hashed.sum()),
    }
}
