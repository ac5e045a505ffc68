//! Reads one file, whatever its format.

use std::fs::File;
use std::io::Read;

use super::definition::FileFormat;
use super::plan::FilesPlan;
use super::record::{ReadStop, TakePart};
use super::unpacked::unpack;
use super::{columnar, csv, document, ndjson};

/// Passes the parts of a file to `take`, and returns the size and the hash of what was read.
pub(crate) fn read_file(
    file: &File,
    plan: &FilesPlan,
    take: &mut TakePart<'_>,
) -> Result<(u64, u128), ReadStop> {
    if plan.form.format == FileFormat::Parquet {
        return columnar::read(file, &plan.limits, take);
    }
    let max = plan.limits.max_record;
    let read = |stream: &mut dyn Read| match plan.form.format {
        FileFormat::Csv | FileFormat::Tsv => {
            csv::read(stream, &plan.form.table, &plan.columns, max, take)
        }
        FileFormat::Ndjson => ndjson::read(stream, max, take),
        // It is no stream of bytes: it was read above.
        FileFormat::Parquet => Ok(()),
        FileFormat::Json => document::read(stream, plan.records.as_deref(), max, take),
    };
    let ((), bytes, hash) = unpack(file, &plan.limits, plan.encoding, read)?;
    Ok((bytes, hash))
}

/// The hash of a file.
pub(crate) fn hash_file(file: impl Read, plan: &FilesPlan) -> Result<u128, ReadStop> {
    let mut file = super::unpacked::Hashed::new(file);
    let mut buffer = vec![0; 256 << 10];
    let mut left = plan.limits.max_bytes;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(file.sum().1),
            count => {
                left = left.checked_sub(count as u64).ok_or_else(|| {
                    let max = plan.limits.max_bytes;
                    ReadStop::Wrong(format!("the file has more than {max} bytes (max_bytes)"))
                })?;
            }
        }
    }
}
