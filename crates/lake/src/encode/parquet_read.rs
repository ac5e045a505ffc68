//! Reads Parquet objects back: the LSNs of their rows, or the rows as JSON.
//!
//! The library panics on some damaged objects; here such a panic becomes an error.

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

/// Whether a row group certainly has no wanted row: the bloom filter of `column` rules out `text`, and no row has
/// a value in `extra`. If the object lacks the metadata to prove it, the answer is `false`.
fn cannot_have(group: &dyn RowGroupReader, column: &str, text: &str) -> bool {
    let chunks = group.metadata().columns();
    let of = |name: &str| {
        chunks
            .iter()
            .position(|chunk| chunk.column_path().string() == name)
    };
    let extra_is_empty = of("extra").is_none_or(|extra| {
        let nulls = chunks[extra]
            .statistics()
            .and_then(Statistics::null_count_opt);
        nulls == u64::try_from(group.metadata().num_rows()).ok()
    });
    let filter = of(column).and_then(|column| group.get_column_bloom_filter(column));
    extra_is_empty && filter.is_some_and(|filter| !filter.check(text))
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
