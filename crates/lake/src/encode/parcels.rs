//! Objects of rows that did not pass the log: they have no LSN, and stay in the order in which they come.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::Encoding;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;

use super::format::{Format, Layout};
use super::ndjson;
use super::parquet::{failed, path_of, properties_of, schema_of, zstd};
use super::typed_rows::TypedRows;
use lakehook_base::columns::ColumnType;
use lakehook_base::tables::{Source, Table};

/// Most bytes of a row group's rows, as lines.
const MAX_GROUP_BYTES: usize = 24 << 20;
/// Rows that a row group's bloom filters are made for.
const EXPECTED_ROWS: u64 = 1 << 17;

/// Rows of files differ more from each other than events do.
const ZSTD_LEVEL: i32 = 3;

/// Writes rows without LSNs to `W`.
pub struct ParcelEncoder<W: Write + Send>(Inner<W>);

enum Inner<W: Write + Send> {
    Lines(Box<ndjson::Encoder<W>>),
    Columns(Box<(SerializedFileWriter<W>, TypedRows)>),
}

impl<W: Write + Send> ParcelEncoder<W> {
    /// An encoder for an object of this format, with the columns of a table.
    pub fn new(format: Format, table: &Arc<Table>, out: W) -> io::Result<Self> {
        Ok(Self(match format.layout() {
            Layout::Lines(codec) => Inner::Lines(Box::new(ndjson::Encoder::new(codec, out)?)),
            Layout::Columns => {
                let schema = Arc::new(schema_of(table).map_err(failed)?);
                let properties = properties_of_parcel(table);
                let writer = SerializedFileWriter::new(out, schema, properties).map_err(failed)?;
                Inner::Columns(Box::new((writer, TypedRows::new(table))))
            }
        }))
    }

    /// Writes one row; `lsn_at` is the offset in it at which an `lsn` would be.
    pub fn row(&mut self, lsn_at: usize, row: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            Inner::Lines(encoder) => encoder.unnumbered(lsn_at, row),
            Inner::Columns(columns) => {
                let (writer, group) = &mut **columns;
                group.push_line(row)?;
                if group.is_full(MAX_GROUP_BYTES) {
                    group.write(writer).map_err(failed)?;
                }
                Ok(())
            }
        }
    }

    /// Writes rows of the same table, which are empty afterwards. The object's format must be one of columns.
    pub fn rows(&mut self, rows: &mut TypedRows) -> io::Result<()> {
        let Inner::Columns(columns) = &mut self.0 else {
            return Err(io::Error::other("rows by column in a format of lines"));
        };
        let (writer, group) = &mut **columns;
        group.append(rows);
        if group.is_full(MAX_GROUP_BYTES) {
            group.write(writer).map_err(failed)?;
        }
        Ok(())
    }

    /// Writes the end of the object, and returns the writer.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            Inner::Lines(encoder) => encoder.finish(),
            Inner::Columns(columns) => {
                let (mut writer, mut group) = *columns;
                group.write(&mut writer).map_err(failed)?;
                writer.into_inner().map_err(failed)
            }
        }
    }
}

/// Numbers that differ in every row, which grow in most files, are kept as differences: that is less for zstd to do.
fn properties_of_parcel(table: &Table) -> WriterPropertiesPtr {
    let properties = Arc::unwrap_or_clone(properties_of(table, EXPECTED_ROWS));
    let mut properties = properties.into_builder().set_compression(zstd(ZSTD_LEVEL));
    for (index, column) in table.columns.iter().enumerate() {
        let is_line = column.source == Source::Member("line".to_owned());
        if column.kind == ColumnType::Integer && (is_line || table.ids.contains(&index)) {
            let encoding = Encoding::DELTA_BINARY_PACKED;
            properties = properties.set_column_encoding(path_of(column), encoding);
        }
    }
    Arc::new(properties.build())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::super::ObjectReader;
    use super::*;
    use lakehook_base::columns::Kinds;
    use lakehook_base::record::row_hash;

    #[test]
    fn rows_of_every_format_have_no_lsn_and_stay_in_order() {
        let schema = r#"{"properties":{"id":{"type":"integer"}}}"#;
        let table = Arc::new(Table::files(Some(schema), &[], &Kinds::new()).unwrap());
        for format in Format::ALL {
            let mut encoder = ParcelEncoder::new(format, &table, Vec::new()).unwrap();
            let mut hash = 0_u128;
            for id in [3, 1, 2] {
                let row = format!(
                    r#"{{"received_at":"2026-11-25T01:00:00.000000Z","file":"a","line":{id},"id":{id},"extra":null}}"#
                );
                encoder.row(45, row.as_bytes()).unwrap();
                hash = hash.wrapping_add(row_hash(row.as_bytes()));
            }
            let bytes = encoder.finish().unwrap();
            let reader = ObjectReader::new(format);
            let sums = reader.sums(bytes.clone()).unwrap();
            let is_typed = format.layout().is_typed();
            assert_eq!((sums.count, sums.lsn_hash), (3, 0), "{format:?}");
            assert_eq!(sums.row_hash, (!is_typed).then_some(hash), "{format:?}");
            let mut ids = Vec::new();
            let mut take = |row: serde_json::Value| {
                assert!(row["lsn"].is_null());
                ids.push(row["id"].as_i64().unwrap());
                Ok(true)
            };
            reader.each(bytes, &mut take).unwrap();
            assert_eq!(ids, [3, 1, 2], "{format:?}");
        }
    }
}
