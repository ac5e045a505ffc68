//! Reads Parquet objects back: the LSNs of their rows, or the rows as JSON.
//!
//! The library panics on some damaged objects; here such a panic becomes an error.

use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use parquet::column::reader::ColumnReader;
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::{ChunkReader, FileReader as _, RowGroupReader, SerializedFileReader};
use parquet::file::serialized_reader::ReadOptionsBuilder;
use parquet::file::statistics::Statistics;
use parquet::record::Field;
use parquet::schema::types::Type;
use serde_json::{Map, Value};

use super::parquet::failed;
use lakehook_base::clock::Micros;
use lakehook_base::columns::{self, Decimal};

/// Most rows for which memory is reserved before they are read: a damaged object may claim any
/// number.
const MAX_EXPECTED: usize = 1 << 20;
/// Values that are read at once.
const MAX_AT_ONCE: usize = 8192;

/// The number of rows of an object, and the LSNs of those that have one.
pub fn lsns_of(bytes: Bytes) -> io::Result<(u64, Vec<i64>)> {
    guarded(|| read_lsns(bytes))
}

/// Turns a panic of the reader into an error. Nothing that was partly read is used afterwards.
pub(super) fn guarded<T>(read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_panic| Err(io::Error::other("it is not a valid Parquet file")))
}

fn read_lsns(bytes: Bytes) -> io::Result<(u64, Vec<i64>)> {
    let reader = SerializedFileReader::new(bytes).map_err(failed)?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let column = schema
        .columns()
        .iter()
        .position(|column| column.name() == "lsn");
    let column = column.ok_or_else(|| io::Error::other("it has no column lsn"))?;
    let mut lsns = Vec::new();
    let mut count = 0;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(failed)?;
        let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        let ColumnReader::Int64ColumnReader(mut values) =
            group.get_column_reader(column).map_err(failed)?
        else {
            return Err(io::Error::other("its column lsn has another type"));
        };
        let mut there = Vec::with_capacity(rows.min(MAX_EXPECTED));
        let (read, _, _) = values
            .read_records(rows, Some(&mut there), None, &mut lsns)
            .map_err(failed)?;
        count += read as u64;
    }
    Ok((count, lsns))
}

/// Passes each row to `take` as a JSON object, until `take` returns `false`. Times are RFC 3339;
/// columns without a value are null.
pub fn rows_as_json(
    bytes: Bytes,
    take: &mut dyn FnMut(Map<String, Value>) -> io::Result<bool>,
) -> io::Result<()> {
    guarded(|| read_rows(bytes, take))
}

fn read_rows(
    bytes: Bytes,
    take: &mut dyn FnMut(Map<String, Value>) -> io::Result<bool>,
) -> io::Result<()> {
    let reader = SerializedFileReader::new(bytes).map_err(failed)?;
    for row in reader.get_row_iter(None).map_err(failed)? {
        let row = row.map_err(failed)?;
        let columns = row.get_column_iter();
        if !take(
            columns
                .map(|(name, field)| (name.clone(), json_of(field)))
                .collect(),
        )? {
            break;
        }
    }
    Ok(())
}

/// Gives the place of each row in the object, from 1, and the values of some columns to `take`. A column that the object does not have is missing in
/// the rows. Where each row that is wanted has that text in that column (`equals`) or some value in `extra`, row
/// groups that cannot have it are passed over.
pub(super) fn rows_with_columns<R: ChunkReader + 'static>(
    bytes: R,
    columns: &[&str],
    equals: Option<(&str, &str)>,
    take: &mut dyn FnMut(u64, Map<String, Value>) -> io::Result<()>,
) -> io::Result<()> {
    guarded(|| {
        let filters = ReaderProperties::builder().set_read_bloom_filter(true);
        let options = ReadOptionsBuilder::new().with_reader_properties(filters.build());
        let reader = SerializedFileReader::new_with_options(bytes, options.build());
        let reader = reader.map_err(failed)?;
        let schema = reader.metadata().file_metadata().schema().get_fields();
        let wanted = schema
            .iter()
            .filter(|field| columns.contains(&field.name()));
        let projection = Type::group_type_builder("row")
            .with_fields(wanted.cloned().collect())
            .build()
            .map_err(failed)?;
        let mut before = 0;
        for index in 0..reader.num_row_groups() {
            let group = reader.get_row_group(index).map_err(failed)?;
            let first = before + 1;
            before += u64::try_from(group.metadata().num_rows()).unwrap_or(0);
            if equals.is_some_and(|(column, text)| cannot_have(&*group, column, text)) {
                continue;
            }
            let rows = group.get_row_iter(Some(projection.clone()));
            for (row, place) in rows.map_err(failed)?.zip(first..) {
                let row = row.map_err(failed)?;
                let values = row.get_column_iter();
                take(
                    place,
                    values
                        .map(|(name, field)| (name.clone(), json_of(field)))
                        .collect(),
                )?;
            }
        }
        Ok(())
    })
}

/// What was found by ids.
#[derive(Debug, Default)]
pub struct FoundById {
    /// The rows, with their places in the object from 1.
    pub rows: Vec<(u64, Map<String, Value>)>,
    /// Whether any row of the object has a value in `extra`.
    pub has_extra: bool,
}

/// The rows of an object that have one of these texts in a column: at most `max`. Of row groups whose filter has none of
/// them, nothing else is read.
pub fn rows_with_ids<R: ChunkReader + 'static>(
    object: R,
    column: &str,
    ids: &BTreeSet<String>,
    max: usize,
) -> io::Result<FoundById> {
    guarded(|| {
        let filters = ReaderProperties::builder().set_read_bloom_filter(true);
        let options = ReadOptionsBuilder::new().with_reader_properties(filters.build());
        let reader = SerializedFileReader::new_with_options(object, options.build());
        let reader = reader.map_err(failed)?;
        let (mut found, mut before) = (FoundById::default(), 0);
        for index in 0..reader.num_row_groups() {
            let group = reader.get_row_group(index).map_err(failed)?;
            found.has_extra |= !extra_is_empty(&*group);
            if found.rows.len() < max && may_have(&*group, column, ids)? {
                for at in places_of(&*group, column, ids)?
                    .into_iter()
                    .take(max - found.rows.len())
                {
                    let row = group.get_row_iter(None).map_err(failed)?.nth(at);
                    let row =
                        row.ok_or_else(|| io::Error::other("a column is longer than another"))?;
                    let row = row.map_err(failed)?;
                    let values = row.get_column_iter();
                    let values = values.map(|(name, field)| (name.clone(), json_of(field)));
                    found.rows.push((before + at as u64 + 1, values.collect()));
                }
            }
            before += u64::try_from(group.metadata().num_rows()).unwrap_or(0);
        }
        Ok(found)
    })
}

/// Whether a row group may have one of these texts in a column, as its filter says.
fn may_have(group: &dyn RowGroupReader, column: &str, ids: &BTreeSet<String>) -> io::Result<bool> {
    let at = column_at(group, column);
    let at = at.ok_or_else(|| io::Error::other(format!("it has no column {column}")))?;
    let filter = group.get_column_bloom_filter(at);
    Ok(filter.is_none_or(|filter| ids.iter().any(|id| filter.check(id.as_str()))))
}

/// The places of the rows of a group, from 0, that have one of these texts in a column.
fn places_of(
    group: &dyn RowGroupReader,
    column: &str,
    ids: &BTreeSet<String>,
) -> io::Result<Vec<usize>> {
    let at = column_at(group, column).unwrap_or(0);
    let ColumnReader::ByteArrayColumnReader(mut reader) =
        group.get_column_reader(at).map_err(failed)?
    else {
        return Err(io::Error::other(format!(
            "its column {column} has another type"
        )));
    };
    let (mut places, mut first) = (Vec::new(), 0);
    let (mut there, mut values) = (Vec::new(), Vec::new());
    loop {
        there.clear();
        values.clear();
        let read = reader.read_records(MAX_AT_ONCE, Some(&mut there), None, &mut values);
        let (records, _, _) = read.map_err(failed)?;
        if records == 0 {
            return Ok(places);
        }
        // A column in which each row has a value says nothing of which rows have one.
        let is_there = |at: usize| there.get(at).is_none_or(|there| *there > 0);
        let mut left = values.iter();
        for at in (0..records).filter(|at| is_there(*at)) {
            let text = left
                .next()
                .and_then(|value| std::str::from_utf8(value.data()).ok());
            if text.is_some_and(|text| ids.contains(text)) {
                places.push(first + at);
            }
        }
        first += records;
    }
}

fn column_at(group: &dyn RowGroupReader, column: &str) -> Option<usize> {
    let chunks = group.metadata().columns().iter();
    chunks
        .map(|chunk| chunk.column_path().string())
        .position(|name| name == column)
}

/// Whether no row of a group has a value in `extra`, as its statistics say.
fn extra_is_empty(group: &dyn RowGroupReader) -> bool {
    column_at(group, "extra").is_none_or(|extra| {
        let chunk = group.metadata().column(extra);
        let nulls = chunk.statistics().and_then(Statistics::null_count_opt);
        nulls == u64::try_from(group.metadata().num_rows()).ok()
    })
}

/// Whether a row group certainly has no wanted row: the bloom filter of `column` rules out `text`, and no row has
/// a value in `extra`. If the object lacks the metadata to prove it, the answer is `false`.
fn cannot_have(group: &dyn RowGroupReader, column: &str, text: &str) -> bool {
    let filter = column_at(group, column).and_then(|column| group.get_column_bloom_filter(column));
    extra_is_empty(group) && filter.is_some_and(|filter| !filter.check(text))
}

fn json_of(field: &Field) -> Value {
    match field {
        Field::Str(text) => Value::from(text.as_str()),
        Field::Long(number) => Value::from(*number),
        Field::Double(number) => Value::from(*number),
        Field::Bool(flag) => Value::from(*flag),
        Field::TimestampMicros(micros) => Value::from(Micros(*micros).to_string()),
        Field::Date(days) => Value::from(columns::date_text(*days)),
        Field::Decimal(decimal) => {
            let size = u8::try_from(decimal.precision())
                .ok()
                .zip(u8::try_from(decimal.scale()).ok())
                .and_then(|(precision, scale)| Decimal::new(precision, scale));
            let text = size.map(|size| size.text(units_of(decimal.data())));
            text.map_or(Value::Null, Value::from)
        }
        _ => Value::Null,
    }
}

/// The number in these bytes: two's complement, the highest byte first.
pub(super) fn units_of(bytes: &[u8]) -> i128 {
    let is_negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let start: i128 = if is_negative { -1 } else { 0 };
    bytes
        .iter()
        .fold(start, |units, byte| units << 8 | i128::from(*byte))
}
