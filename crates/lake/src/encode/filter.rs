//! Objects without some of their rows: which rows those are, and a copy without them.
//!
//! The rest of the object stays as it is: lines byte for byte, columns value for value, with the schema, the
//! row groups, the order and the filters of the original. Memory holds one row group at most.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Write};
use std::sync::Arc;

use parquet::basic::Encoding;
use parquet::column::reader::ColumnReader;
use parquet::column::writer::ColumnWriter;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::reader::{FileReader as _, RowGroupReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use serde_json::{Map, Value};

use super::format::{Format, Layout};
use super::ndjson::{self, decoder};
use super::parquet::{ZSTD_LEVEL, failed, zstd};
use super::parquet_read::{guarded, rows_with_columns};
use super::reader::{RowSums, lsn_of};
use super::source::Source;
use lakehook_base::files::File;
use lakehook_base::record::Lsn;

/// Which rows are looked for.
pub struct RowFilter<'a> {
    /// The columns, or members of a line, that `matches` looks at.
    pub columns: &'a [&'a str],
    /// A text that one of the columns must equal in every row that matches, if that is known: a row group
    /// whose bloom filter does not have it is not read.
    pub equals: Option<(&'a str, &'a str)>,
    /// Whether a line may match, by its bytes alone.
    pub may_match: &'a dyn Fn(&[u8]) -> bool,
    /// Whether a row matches.
    pub matches: &'a dyn Fn(&Map<String, Value>) -> bool,
}

/// What a copy without some rows has, and what it has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Rows of the copy.
    pub kept: RowSums,
    /// Rows that are left out.
    pub left_out: RowSums,
}

/// The LSNs of the rows of an object that match. Rows of files have none: there, it is the place in the object,
/// from 1.
pub fn find_rows<F: File>(
    format: Format,
    object: &Source<F>,
    filter: &RowFilter<'_>,
) -> io::Result<BTreeSet<Lsn>> {
    let mut found = BTreeSet::new();
    match format.layout() {
        Layout::Lines(codec) => {
            let reader = BufReader::new(decoder(codec, object.reader()?)?);
            for (line, place) in reader.split(b'\n').zip(1..) {
                let line = line?;
                if (filter.may_match)(&line) && (filter.matches)(&serde_json::from_slice(&line)?) {
                    found.insert(lsn_of(&line)?.unwrap_or(Lsn(place)));
                }
            }
        }
        Layout::Columns => {
            let columns: Vec<&str> = filter.columns.iter().copied().chain(["lsn"]).collect();
            rows_with_columns(
                object.clone(),
                &columns,
                filter.equals,
                &mut |place, row| {
                    if (filter.matches)(&row) {
                        let lsn = row.get("lsn").and_then(Value::as_u64);
                        found.insert(Lsn(lsn.unwrap_or(place)));
                    }
                    Ok(())
                },
            )?;
        }
    }
    Ok(found)
}

/// Writes an object without the rows that have these LSNs, or places, to `out`.
pub fn copy_without<F: File, W: Write + Send>(
    format: Format,
    object: &Source<F>,
    without: &BTreeSet<Lsn>,
    out: W,
) -> io::Result<(W, Copied)> {
    match format.layout() {
        Layout::Lines(codec) => {
            let mut copied = Copied::default();
            let mut encoder = ndjson::Encoder::new(codec, out)?;
            let mut reader = BufReader::new(decoder(codec, object.reader()?)?);
            let mut line = Vec::new();
            let mut place = 0;
            while reader.read_until(b'\n', &mut line)? > 0 {
                if line.pop() != Some(b'\n') {
                    return Err(io::Error::other("its last line has no end"));
                }
                place += 1;
                if copied.takes(lsn_of(&line)?, place, without) {
                    encoder.line(&line)?;
                }
                line.clear();
            }
            Ok((encoder.finish()?, copied))
        }
        Layout::Columns => guarded(|| copy_columns(object.clone(), without, out)),
    }
}

impl Copied {
    /// Counts a row; `true` if the copy has it.
    fn takes(&mut self, lsn: Option<Lsn>, place: u64, without: &BTreeSet<Lsn>) -> bool {
        let stays = !without.contains(&lsn.unwrap_or(Lsn(place)));
        let sums = if stays {
            &mut self.kept
        } else {
            &mut self.left_out
        };
        sums.count += 1;
        let hash = lsn.map_or(0, Lsn::hash);
        sums.lsn_hash = sums.lsn_hash.wrapping_add(hash);
        stays
    }
}

fn copy_columns<F: File, W: Write + Send>(
    object: Source<F>,
    without: &BTreeSet<Lsn>,
    out: W,
) -> io::Result<(W, Copied)> {
    let reader = SerializedFileReader::new(object).map_err(failed)?;
    let metadata = reader.metadata();
    let schema = metadata.file_metadata().schema_descr().root_schema_ptr();
    let lsn_column = lsn_column(metadata)?;
    let properties = properties_like(metadata);
    let mut writer = SerializedFileWriter::new(out, schema, properties).map_err(failed)?;
    let mut copied = Copied::default();
    for index in 0..reader.num_row_groups() {
        let group = reader.get_row_group(index).map_err(failed)?;
        let first = copied.kept.count + copied.left_out.count + 1;
        let stays: Vec<bool> = lsns_of(&*group, lsn_column)?
            .into_iter()
            .zip(first..)
            .map(|(lsn, place)| copied.takes(lsn, place, without))
            .collect();
        if !stays.contains(&true) {
            continue;
        }
        let mut to = writer.next_row_group().map_err(failed)?;
        for column in 0..group.num_columns() {
            copy_column(&*group, column, &stays, &mut to)?;
        }
        to.close().map_err(failed)?;
    }
    Ok((writer.into_inner().map_err(failed)?, copied))
}

fn lsn_column(metadata: &ParquetMetaData) -> io::Result<usize> {
    let columns = metadata.file_metadata().schema_descr().columns();
    let column = columns.iter().position(|column| column.name() == "lsn");
    column.ok_or_else(|| io::Error::other("it has no column lsn"))
}

fn lsns_of(group: &dyn RowGroupReader, column: usize) -> io::Result<Vec<Option<Lsn>>> {
    let rows = rows_of(group.metadata());
    let ColumnReader::Int64ColumnReader(mut reader) =
        group.get_column_reader(column).map_err(failed)?
    else {
        return Err(io::Error::other("its column lsn has another type"));
    };
    let (mut lsns, mut there) = (Vec::new(), Vec::new());
    reader
        .read_records(rows, Some(&mut there), None, &mut lsns)
        .map_err(failed)?;
    if there.len() != rows {
        return Err(io::Error::other(
            "its column lsn has another number of rows",
        ));
    }
    let mut lsns = lsns.into_iter().map(|lsn| Lsn(lsn.unsigned_abs()));
    let lsns = there
        .into_iter()
        .map(|there| if there > 0 { lsns.next() } else { None });
    Ok(lsns.collect())
}

fn rows_of(group: &RowGroupMetaData) -> usize {
    usize::try_from(group.num_rows()).unwrap_or(0)
}

/// How the original was written, as far as its metadata tells.
fn properties_like(metadata: &ParquetMetaData) -> WriterPropertiesPtr {
    let file = metadata.file_metadata();
    let first = metadata.row_groups().first();
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("lakehook ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(zstd(ZSTD_LEVEL))
        .set_key_value_metadata(file.key_value_metadata().cloned())
        .set_sorting_columns(first.and_then(|group| group.sorting_columns().cloned()))
        .set_max_row_group_row_count(None);
    for chunk in first.map_or(&[][..], RowGroupMetaData::columns) {
        let path = chunk.column_path().clone();
        let has_dictionary = chunk.dictionary_page_offset().is_some();
        properties = properties.set_column_dictionary_enabled(path.clone(), has_dictionary);
        let differences = Encoding::DELTA_BINARY_PACKED;
        if chunk.encodings().any(|encoding| encoding == differences) {
            properties = properties.set_column_encoding(path.clone(), differences);
        }
        if chunk.bloom_filter_offset().is_some() {
            let rows = u64::try_from(chunk.num_values()).unwrap_or(1).max(1);
            properties = properties
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_max_ndv(path, rows);
        }
    }
    Arc::new(properties.build())
}

fn copy_column<W: Write + Send>(
    group: &dyn RowGroupReader,
    column: usize,
    stays: &[bool],
    to: &mut SerializedRowGroupWriter<'_, W>,
) -> io::Result<()> {
    macro_rules! copy {
        ($reader:ident, $writer:ident) => {{
            let (mut values, mut there) = (Vec::new(), Vec::new());
            $reader
                .read_records(stays.len(), Some(&mut there), None, &mut values)
                .map_err(failed)?;
            if there.is_empty() {
                // The column is required.
                there.resize(values.len(), 1);
            }
            let levels = $writer.get_descriptor().max_def_level() > 0;
            let (values, there) = thin_out(values, &there, stays)?;
            let there = levels.then_some(there.as_slice());
            $writer.write_batch(&values, there, None).map_err(failed)?;
        }};
    }
    let reader = group.get_column_reader(column).map_err(failed)?;
    let Some(mut column) = to.next_column().map_err(failed)? else {
        return Err(io::Error::other("the copy has fewer columns"));
    };
    match (reader, column.untyped()) {
        (
            ColumnReader::ByteArrayColumnReader(mut reader),
            ColumnWriter::ByteArrayColumnWriter(writer),
        ) => copy!(reader, writer),
        (ColumnReader::Int64ColumnReader(mut reader), ColumnWriter::Int64ColumnWriter(writer)) => {
            copy!(reader, writer);
        }
        (ColumnReader::Int32ColumnReader(mut reader), ColumnWriter::Int32ColumnWriter(writer)) => {
            copy!(reader, writer);
        }
        (
            ColumnReader::FixedLenByteArrayColumnReader(mut reader),
            ColumnWriter::FixedLenByteArrayColumnWriter(writer),
        ) => copy!(reader, writer),
        (
            ColumnReader::DoubleColumnReader(mut reader),
            ColumnWriter::DoubleColumnWriter(writer),
        ) => {
            copy!(reader, writer);
        }
        (ColumnReader::BoolColumnReader(mut reader), ColumnWriter::BoolColumnWriter(writer)) => {
            copy!(reader, writer);
        }
        _ => return Err(io::Error::other("a column has a type that we never write")),
    }
    column.close().map_err(failed)
}

/// The values of the rows that stay, and for each of these rows whether it has one.
fn thin_out<T>(values: Vec<T>, there: &[i16], stays: &[bool]) -> io::Result<(Vec<T>, Vec<i16>)> {
    if there.len() != stays.len() {
        return Err(io::Error::other("a column has another number of rows"));
    }
    let mut values = values.into_iter();
    let (mut kept, mut kept_there) = (Vec::new(), Vec::new());
    for (there, stays) in there.iter().zip(stays) {
        let value = if *there > 0 { values.next() } else { None };
        if *stays {
            kept.extend(value);
            kept_there.push(*there);
        }
    }
    Ok((kept, kept_there))
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
