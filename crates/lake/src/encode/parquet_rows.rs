//! Reads Parquet files that others wrote, row by row as JSON: every type, nested ones too.
//!
//! What JSON has no value for becomes text: dates, times, numbers that are not finite, and bytes (base64, unless
//! they are UTF-8). Decimals keep every digit. A time without a zone is taken as UTC.

use std::fs::File;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use parquet::basic::{LogicalType, TimeUnit};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use super::parquet::failed;
use super::parquet_read::{guarded, units_of};
use lakehook_base::clock::{MICROS_PER_SECOND, Micros};
use lakehook_base::columns::{self, Decimal};
use lakehook_base::json::push_json;

/// Most bytes of the metadata at the end of a file.
const MAX_FOOTER: u64 = 64 << 20;
/// Most bytes of a column in a row group, once they are decompressed.
const MAX_CHUNK: i64 = 2 << 30;
/// Below this, a file may be as dense as it likes.
const FREE_BYTES: u64 = 16 << 20;

/// Bounds of what a file may become.
#[derive(Clone, Copy, Debug)]
pub struct ParquetBounds {
    /// Most bytes of the file once it is decompressed.
    pub max_bytes: u64,
    /// How many times larger it may become.
    pub max_ratio: u64,
}

/// Passes the number of each row, from 1, and the row as a JSON object to `take`, until `take` returns `false`.
pub fn parquet_rows(
    file: &File,
    bounds: ParquetBounds,
    take: &mut dyn FnMut(u64, &str) -> io::Result<bool>,
) -> io::Result<()> {
    let bytes = file.metadata()?.len();
    check_footer(file, bytes)?;
    guarded(|| {
        let reader = SerializedFileReader::new(file.try_clone()?).map_err(wrong)?;
        check(reader.metadata(), bytes, bounds)?;
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        let mut number = 0;
        let mut line = Vec::new();
        for group in 0..reader.num_row_groups() {
            let group = reader.get_row_group(group).map_err(wrong)?;
            for row in group.get_row_iter(None).map_err(wrong)? {
                number += 1;
                line.clear();
                push_row(&row.map_err(wrong)?, Some(schema.root_schema()), &mut line);
                let text = std::str::from_utf8(&line).map_err(io::Error::other)?;
                if !take(number, text)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    })
    .map_err(of_file)
}

/// What the library says of a file is wrong with the file, unless the system has said it.
fn wrong(error: parquet::errors::ParquetError) -> io::Error {
    of_file(failed(error))
}

fn of_file(error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::InvalidData {
        return error;
    }
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The last eight bytes say how long the metadata before them is.
fn check_footer(file: &File, bytes: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let Some(at) = bytes.checked_sub(8) else {
        return Err(invalid(
            "the file is not Parquet: it is too short".to_owned(),
        ));
    };
    let mut tail = [0; 8];
    file.read_exact_at(&mut tail, at)?;
    if &tail[4..] != b"PAR1" {
        return Err(invalid(
            "the file is not Parquet: it does not end with PAR1; is it complete?".to_owned(),
        ));
    }
    let footer = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    if footer > at || footer > MAX_FOOTER {
        return Err(invalid(format!(
            "the file claims {footer} bytes of metadata; at most {MAX_FOOTER} are read"
        )));
    }
    Ok(())
}

fn check(metadata: &ParquetMetaData, bytes: u64, bounds: ParquetBounds) -> io::Result<()> {
    let mut whole: u64 = 0;
    for group in metadata.row_groups() {
        for chunk in group.columns() {
            let size = chunk.uncompressed_size();
            if !(0..=MAX_CHUNK).contains(&size) {
                return Err(invalid(format!(
                    "a column of a row group has {size} bytes; write smaller row groups, at most {MAX_CHUNK} are read"
                )));
            }
            whole = whole.saturating_add(size.unsigned_abs());
        }
    }
    let ParquetBounds {
        max_bytes,
        max_ratio,
    } = bounds;
    if whole > max_bytes {
        return Err(invalid(format!(
            "the file has more than {max_bytes} bytes once it is unpacked (max_bytes)"
        )));
    }
    if whole > FREE_BYTES && whole / max_ratio.max(1) > bytes {
        return Err(invalid(format!(
            "the file becomes more than {max_ratio} times larger when it is unpacked (max_ratio)"
        )));
    }
    Ok(())
}

fn push_row(row: &Row, schema: Option<&Type>, out: &mut Vec<u8>) {
    let fields = schema.filter(|schema| schema.is_group());
    let fields = fields.map(Type::get_fields).unwrap_or_default();
    out.push(b'{');
    for (index, (name, field)) in row.get_column_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_json(out, name);
        out.push(b':');
        push_field(field, fields.get(index).map(AsRef::as_ref), out);
    }
    out.push(b'}');
}

fn push_list<'f>(fields: impl Iterator<Item = &'f Field>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, field) in fields.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_field(field, None, out);
    }
    out.push(b']');
}

fn push_field(field: &Field, schema: Option<&Type>, out: &mut Vec<u8>) {
    match field {
        Field::Null => out.extend_from_slice(b"null"),
        Field::Bool(flag) => push_json(out, flag),
        Field::Byte(number) => push_json(out, number),
        Field::Short(number) => push_json(out, number),
        Field::Int(number) => push_json(out, number),
        Field::Long(number) => push_long(*number, schema, out),
        Field::UByte(number) => push_json(out, number),
        Field::UShort(number) => push_json(out, number),
        Field::UInt(number) => push_json(out, number),
        Field::ULong(number) => push_json(out, number),
        Field::Float16(number) => push_double(f64::from(*number), out),
        Field::Float(number) if number.is_finite() => push_json(out, number),
        Field::Float(number) => push_double(f64::from(*number), out),
        Field::Double(number) => push_double(*number, out),
        Field::Decimal(decimal) => match decimal_text(decimal) {
            Some(text) => out.extend_from_slice(text.as_bytes()),
            None => out.extend_from_slice(b"null"),
        },
        Field::Str(text) => push_json(out, text),
        Field::Bytes(bytes) => match bytes.as_utf8() {
            Ok(text) => push_json(out, text),
            Err(_) => push_json(out, &BASE64.encode(bytes.data())),
        },
        Field::Date(days) => push_json(out, &columns::date_text(*days)),
        Field::TimeMillis(millis) => push_json(out, &clock_text(i64::from(*millis) * 1000)),
        Field::TimeMicros(micros) => push_json(out, &clock_text(*micros)),
        Field::TimestampMillis(millis) => push_micros(millis.checked_mul(1000), *millis, out),
        Field::TimestampMicros(micros) => push_micros(Some(*micros), *micros, out),
        Field::Group(row) => push_row(row, schema, out),
        Field::ListInternal(list) => push_list(list.elements().iter(), out),
        Field::MapInternal(map) => push_map(map.entries(), out),
    }
}

/// A number, or a time that the library gives as one.
fn push_long(number: i64, schema: Option<&Type>, out: &mut Vec<u8>) {
    let kind = schema.and_then(|schema| schema.get_basic_info().logical_type_ref());
    let Some(LogicalType::Timestamp(time)) = kind else {
        return push_json(out, &number);
    };
    match time.unit {
        TimeUnit::MILLIS => push_micros(number.checked_mul(1000), number, out),
        TimeUnit::MICROS => push_micros(Some(number), number, out),
        // What is below a microsecond is no part of any column.
        TimeUnit::NANOS => push_micros(Some(number.div_euclid(1000)), number, out),
    }
}

/// A time as text; a number that is no time stays one.
fn push_micros(micros: Option<i64>, number: i64, out: &mut Vec<u8>) {
    match micros.filter(|micros| Micros(*micros).to_utc().is_some()) {
        Some(micros) => push_json(out, &Micros(micros).to_string()),
        None => push_json(out, &number),
    }
}

fn push_double(number: f64, out: &mut Vec<u8>) {
    if number.is_finite() {
        push_json(out, &number);
    } else {
        push_json(out, &number.to_string());
    }
}

/// A map whose keys are text is an object, another one a list of pairs.
fn push_map(entries: &[(Field, Field)], out: &mut Vec<u8>) {
    let is_text = entries.iter().all(|(key, _)| matches!(key, Field::Str(_)));
    out.push(if is_text { b'{' } else { b'[' });
    for (index, (key, value)) in entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if is_text {
            push_field(key, None, out);
            out.push(b':');
            push_field(value, None, out);
        } else {
            push_list([key, value].into_iter(), out);
        }
    }
    out.push(if is_text { b'}' } else { b']' });
}

fn decimal_text(decimal: &parquet::data_type::Decimal) -> Option<String> {
    let precision = u8::try_from(decimal.precision()).ok()?;
    let scale = u8::try_from(decimal.scale()).ok()?;
    Some(Decimal::new(precision, scale)?.text(units_of(decimal.data())))
}

/// A time of day.
fn clock_text(micros: i64) -> String {
    let (seconds, rest) = (micros / MICROS_PER_SECOND, micros % MICROS_PER_SECOND);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{rest:06}", seconds % 60)
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::disallowed_methods,
        reason = "a failed unwrap is a failed test, and tests make their own files"
    )]
    use std::sync::Arc;

    use super::super::{Format, ParcelEncoder};
    use super::*;
    use lakehook_base::columns::Kinds;
    use lakehook_base::tables::Table;

    const BOUNDS: ParquetBounds = ParquetBounds {
        max_bytes: 1 << 30,
        max_ratio: 1000,
    };

    fn rows_of(bytes: &[u8], bounds: ParquetBounds) -> io::Result<Vec<String>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("file");
        std::fs::write(&path, bytes)?;
        let mut rows = Vec::new();
        parquet_rows(&File::open(&path)?, bounds, &mut |number, row| {
            rows.push(format!("{number} {row}"));
            Ok(true)
        })?;
        Ok(rows)
    }

    fn file() -> Vec<u8> {
        let schema = r#"{"properties":{"id":{"type":"integer"},"at":{"type":"string","format":"date-time"},
            "price":{"x-lakehook-type":"decimal(12,2)"}}}"#;
        let table = Arc::new(Table::files(Some(schema), &[], &Kinds::new()).unwrap());
        let mut encoder = ParcelEncoder::new(Format::Parquet, &table, Vec::new()).unwrap();
        let row = r#"{"received_at":"2026-11-25T01:00:00.000000Z","file":"a","line":1,"id":7,"at":"2026-11-25T02:00:00.5Z","price":1.50,"extra":null}"#;
        encoder.row(45, row.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn rows_are_read_with_every_digit() {
        let rows = rows_of(&file(), BOUNDS).unwrap();
        assert_eq!(rows.len(), 1);
        let row = rows[0].strip_prefix("1 ").unwrap();
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        assert_eq!(row["id"], 7);
        assert_eq!(row["at"], "2026-11-25T02:00:00.500000Z");
        assert!(rows[0].contains("\"price\":1.50"), "{}", rows[0]);
    }

    #[test]
    fn what_is_no_parquet_or_too_much_says_so() {
        let whole = file();
        for (bytes, words) in [
            (&b"short"[..], "too short"),
            (&b"id,name\n1,A and more"[..], "does not end with PAR1"),
            (&whole[..whole.len() - 1], "does not end with PAR1"),
            (&b"\xff\xff\xff\x7fPAR1"[..], "metadata"),
        ] {
            let error = rows_of(bytes, BOUNDS).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().contains(words), "{error}");
        }
        let bounds = ParquetBounds {
            max_bytes: 10,
            ..BOUNDS
        };
        let error = rows_of(&whole, bounds).unwrap_err();
        assert!(error.to_string().contains("max_bytes"), "{error}");
        // A damaged file is never read as if it were whole, and never ends the program.
        let mut read = 0;
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            read += u32::from(rows_of(&damaged, BOUNDS).is_ok());
        }
        assert!(usize::try_from(read).unwrap() < whole.len());
    }

    #[test]
    fn row_groups_that_claim_too_much_are_refused_before_they_are_read() {
        let reader = SerializedFileReader::new(bytes::Bytes::from(file())).unwrap();
        let metadata = reader.metadata();
        let claiming = |size: i64| {
            let group = metadata.row_group(0);
            let columns = group.columns().iter().map(|column| {
                let column = column.clone().into_builder();
                column.set_total_uncompressed_size(size).build().unwrap()
            });
            let columns: Vec<_> = columns.collect();
            let group = group.clone().into_builder().set_column_metadata(columns);
            let groups = vec![group.build().unwrap()];
            ParquetMetaData::new(metadata.file_metadata().clone(), groups)
        };
        assert!(check(&claiming(1 << 20), 1 << 20, BOUNDS).is_ok());
        for (size, words) in [
            (MAX_CHUNK + 1, "write smaller row groups"),
            (-1, "write smaller row groups"),
            (512 << 20, "max_bytes"),
            (100 << 20, "max_ratio"),
        ] {
            let error = check(&claiming(size), 1000, BOUNDS).unwrap_err();
            assert!(error.to_string().contains(words), "{size}: {error}");
        }
    }

    #[test]
    fn times_and_numbers_that_json_lacks_are_text() {
        let mut out = Vec::new();
        for field in [
            Field::Double(f64::NAN),
            Field::Double(0.1),
            Field::TimeMillis(3_723_004),
            Field::TimestampMillis(i64::MAX),
            Field::Bytes(vec![0xff].into()),
            Field::Date(1),
        ] {
            push_field(&field, None, &mut out);
            out.push(b' ');
        }
        let expected = format!(
            "\"NaN\" 0.1 \"01:02:03.004000\" {} \"/w==\" \"1970-01-02\" ",
            i64::MAX
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
