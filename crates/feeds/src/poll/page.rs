//! Reads a page in its format.

use std::io::Read;

use super::facts::PageFacts;
use super::form::BodyFormat;
use super::lines::read_lines;
use super::parse::read_page;
use super::read_error::ReadError;
use super::record::Take;
use super::table::read_table;
use super::wanted::Wanted;

/// Reads a page, and passes each record to `take` as it arrives.
pub(super) fn read<E>(
    stream: impl Read,
    wanted: &Wanted,
    max_record: u64,
    take: &mut Take<'_, E>,
) -> Result<PageFacts, ReadError<E>> {
    match wanted.format {
        BodyFormat::Json => read_page(stream, wanted, max_record, take),
        BodyFormat::Ndjson => read_lines(stream, wanted, max_record, take),
        BodyFormat::Csv => read_table(stream, wanted, wanted.csv, max_record, take),
    }
}
