//! Parquet: typed columns, sorted by time, zstd, with statistics, page indexes, and bloom filters on ids.
//!
//! If a value does not fit its column, because the configuration has changed since it was logged,
//! it is null there and kept under `extra`: nothing is lost.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{ColumnPath, Type};

use super::sorted::Sorter;
use super::statistics::{self, ColumnStatistics};
use lakehook_base::clock::Micros;
use lakehook_base::columns::{self, ColumnType as Kind, Decimal};
use lakehook_base::files::Files;
use lakehook_base::json::{Members, text};
use lakehook_base::record::Lsn;
use lakehook_base::tables::{Column, Source, Table};

/// Most rows of a row group; engines divide work by row groups.
const MAX_GROUP_ROWS: usize = 1 << 17;
/// Most bytes of a row group's rows, as logged.
const MAX_GROUP_BYTES: usize = 24 << 20;
pub(super) const ZSTD_LEVEL: i32 = 3;
/// Most digits of a decimal that is stored in 64 bits; a larger one has [`WIDE_BYTES`].
const MAX_NARROW_DIGITS: u8 = 18;
const WIDE_BYTES: i32 = 16;

/// Writes rows to `W`.
pub struct Encoder<W: Write + Send, F: Files> {
    writer: SerializedFileWriter<W>,
    sorter: Sorter<F>,
    group: RowGroup,
}

impl<W: Write + Send, F: Files> Encoder<W, F> {
    /// An encoder for `rows` rows of a table. Rows that don't fit into memory are kept in files
    /// beside `path` until they are sorted.
    pub fn new(table: &Arc<Table>, rows: u64, out: W, files: F, path: &Path) -> io::Result<Self> {
        let schema = Arc::new(schema_of(table).map_err(failed)?);
        let properties = properties_of(table, rows);
        let writer = SerializedFileWriter::new(out, schema, properties).map_err(failed)?;
        Ok(Self {
            writer,
            sorter: Sorter::new(files, path),
            group: RowGroup::new(table),
        })
    }

    /// Takes one row.
    pub fn row(&mut self, lsn: Lsn, row: &[u8]) -> io::Result<()> {
        let time = self.group.time_of(row);
        self.sorter.push(time, lsn, row)
    }

    /// Writes everything; returns the writer and the statistics of the columns.
    pub fn finish(self) -> io::Result<(W, Vec<ColumnStatistics>)> {
        let Self {
            mut writer,
            sorter,
            mut group,
        } = self;
        sorter.finish(&mut |lsn, row| {
            group.push(Some(lsn), row)?;
            if group.is_full() {
                group.write(&mut writer).map_err(failed)?;
            }
            Ok(())
        })?;
        group.write(&mut writer).map_err(failed)?;
        let columns = statistics::of_groups(&group.table, writer.flushed_row_groups());
        Ok((writer.into_inner().map_err(failed)?, columns))
    }
}

pub(super) fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}

pub(super) fn schema_of(table: &Table) -> Result<Type, ParquetError> {
    let fields = table.columns.iter().map(|column| {
        let (physical, logical) = match column.kind {
            Kind::Text | Kind::Json => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Time => {
                let micros = LogicalType::timestamp(true, TimeUnit::MICROS);
                (Physical::INT64, Some(micros))
            }
            Kind::Integer => (Physical::INT64, None),
            Kind::Double => (Physical::DOUBLE, None),
            Kind::Boolean => (Physical::BOOLEAN, None),
            Kind::Date => (Physical::INT32, Some(LogicalType::Date)),
            Kind::Decimal(size) => {
                let logical = LogicalType::decimal(size.scale().into(), size.precision().into());
                let physical = if is_wide(size) {
                    Physical::FIXED_LEN_BYTE_ARRAY
                } else {
                    Physical::INT64
                };
                (physical, Some(logical))
            }
        };
        let mut field = Type::primitive_type_builder(&column.name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_id(column.field_id)
            .with_logical_type(logical);
        if let Kind::Decimal(size) = column.kind {
            field = field
                .with_precision(size.precision().into())
                .with_scale(size.scale().into());
            if is_wide(size) {
                field = field.with_length(WIDE_BYTES);
            }
        }
        Ok(Arc::new(field.build()?))
    });
    let fields = fields.collect::<Result<_, ParquetError>>()?;
    Type::group_type_builder("row").with_fields(fields).build()
}

/// Whether a decimal has more digits than 64 bits hold.
fn is_wide(size: Decimal) -> bool {
    size.precision() > MAX_NARROW_DIGITS
}

pub(super) fn properties_of(table: &Table, rows: u64) -> WriterPropertiesPtr {
    let zstd = ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default();
    let sorted_by = SortingColumn {
        column_idx: i32::try_from(table.time).unwrap_or(0),
        descending: false,
        nulls_first: true,
    };
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("lakehook ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(zstd))
        .set_sorting_columns(Some(vec![sorted_by]))
        .set_max_row_group_row_count(None);
    for column in &table.columns {
        // Values that are all different gain nothing from a dictionary.
        if matches!(column.kind, Kind::Time | Kind::Integer | Kind::Double) {
            properties = properties.set_column_dictionary_enabled(path_of(column), false);
        }
    }
    for id in &table.ids {
        let path = path_of(&table.columns[*id]);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_max_ndv(path, rows.clamp(1, MAX_GROUP_ROWS as u64));
    }
    Arc::new(properties.build())
}

fn path_of(column: &Column) -> ColumnPath {
    ColumnPath::new(vec![column.name.clone()])
}

/// The rows of one row group, by column.
pub(super) struct RowGroup {
    table: Arc<Table>,
    columns: Vec<Values>,
    /// Columns by the key of a row's member; `properties` has those by the key of a property.
    members: HashMap<String, usize>,
    properties: HashMap<String, usize>,
    rest: Option<usize>,
    lsn: Option<usize>,
    rows: usize,
    bytes: usize,
}

/// The values of one column, and for each row whether it has one.
struct Values {
    there: Vec<i16>,
    of: TypedValues,
}

enum TypedValues {
    Text { bytes: Vec<u8>, ends: Vec<usize> },
    Whole(Vec<i64>),
    Days(Vec<i32>),
    Wide(Vec<i128>),
    Double(Vec<f64>),
    Boolean(Vec<bool>),
}

impl RowGroup {
    pub(super) fn new(table: &Arc<Table>) -> Self {
        let by = |pick: fn(&Source) -> Option<&String>| {
            let columns = table.columns.iter().enumerate();
            let named = columns.filter_map(|(i, column)| Some((pick(&column.source)?.clone(), i)));
            named.collect::<HashMap<_, _>>()
        };
        let members = by(|source| match source {
            Source::Member(key) => Some(key),
            _ => None,
        });
        let properties = by(|source| match source {
            Source::Property(key) => Some(key),
            _ => None,
        });
        let rest = table
            .columns
            .iter()
            .position(|column| column.source == Source::Rest);
        Self {
            columns: table
                .columns
                .iter()
                .map(|column| Values::new(column.kind))
                .collect(),
            lsn: members.get("lsn").copied(),
            table: Arc::clone(table),
            members,
            properties,
            rest,
            rows: 0,
            bytes: 0,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows >= MAX_GROUP_ROWS || self.bytes >= MAX_GROUP_BYTES
    }

    /// The time that a row is sorted by; the earliest one if it has none.
    fn time_of(&self, row: &[u8]) -> Micros {
        let column = &self.table.columns[self.table.time];
        let members = members_of(row).unwrap_or_default();
        let value = members
            .iter()
            .find(|(key, _)| text(key).is_some_and(|key| key == column.name));
        let time = value.and_then(|(_, raw)| columns::time(raw));
        time.unwrap_or(Micros(i64::MIN))
    }

    /// Adds a row, with its LSN if it has one.
    pub(super) fn push(&mut self, lsn: Option<Lsn>, row: &[u8]) -> io::Result<()> {
        let members = members_of(row)?;
        let mut rest: Vec<(&str, &str)> = Vec::new();
        for (key, raw) in members {
            let name = text(key).unwrap_or(Cow::Borrowed(key));
            if name == "extra" && self.rest.is_some() {
                rest.extend(serde_json::from_str::<Members<'_>>(raw).map_or(Vec::new(), |m| m.0));
                continue;
            }
            if name == "properties" && !self.properties.is_empty() {
                self.push_properties(raw);
            }
            match self.members.get(&*name).copied() {
                Some(column) if self.take(column, raw) => {}
                Some(_) if raw == "null" => {}
                _ => rest.push((key, raw)),
            }
        }
        if let Some((column, lsn)) = self.lsn.zip(lsn) {
            self.columns[column].push_whole(i64::try_from(lsn.0).unwrap_or(i64::MAX));
        }
        if let Some(column) = self.rest
            && !rest.is_empty()
        {
            self.columns[column].push_text(object_of(&rest).as_bytes());
        }
        self.rows += 1;
        self.bytes += row.len();
        let rows = self.rows;
        // A column without a value in this row is null.
        self.columns
            .iter_mut()
            .for_each(|column| column.there.resize(rows, 0));
        Ok(())
    }

    /// Adds a raw value to a column that has none for this row yet. Returns `true` if the value
    /// fits the column.
    fn take(&mut self, column: usize, raw: &str) -> bool {
        let kind = self.table.columns[column].kind;
        let values = &mut self.columns[column];
        values.there.len() == self.rows && values.push(kind, raw)
    }

    /// Fills the columns of properties; a value that does not fit is null there, and is kept in the column
    /// `properties` anyway.
    fn push_properties(&mut self, raw: &str) {
        let members = serde_json::from_str::<Members<'_>>(raw).map_or(Vec::new(), |m| m.0);
        for (key, raw) in members {
            let column = text(key).and_then(|key| self.properties.get(&*key).copied());
            if let Some(column) = column {
                let _null = self.take(column, raw);
            }
        }
    }

    /// Writes the rows as a row group, and starts an empty one.
    pub(super) fn write<W: Write + Send>(
        &mut self,
        writer: &mut SerializedFileWriter<W>,
    ) -> Result<(), ParquetError> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = writer.next_row_group()?;
        for values in &mut self.columns {
            let Some(column) = group.next_column()? else {
                break;
            };
            values.write(column)?;
        }
        group.close()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

fn members_of(row: &[u8]) -> io::Result<Vec<(&str, &str)>> {
    let Members(members) = serde_json::from_slice(row)?;
    Ok(members)
}

/// A JSON object with these raw members.
fn object_of(members: &[(&str, &str)]) -> String {
    let inner: Vec<String> = members
        .iter()
        .map(|(key, raw)| format!("{key}:{raw}"))
        .collect();
    format!("{{{}}}", inner.join(","))
}

impl Values {
    fn new(kind: Kind) -> Self {
        let of = match kind {
            Kind::Text | Kind::Json => TypedValues::Text {
                bytes: Vec::new(),
                ends: Vec::new(),
            },
            Kind::Date => TypedValues::Days(Vec::new()),
            Kind::Decimal(size) if is_wide(size) => TypedValues::Wide(Vec::new()),
            Kind::Time | Kind::Integer | Kind::Decimal(_) => TypedValues::Whole(Vec::new()),
            Kind::Double => TypedValues::Double(Vec::new()),
            Kind::Boolean => TypedValues::Boolean(Vec::new()),
        };
        Self {
            there: Vec::new(),
            of,
        }
    }

    /// Adds a raw value; `false` if it is null, or does not fit.
    fn push(&mut self, kind: Kind, raw: &str) -> bool {
        if raw == "null" {
            return false;
        }
        match (kind, &mut self.of) {
            (Kind::Json, _) => self.push_text(raw.as_bytes()),
            (Kind::Text, _) => match text(raw) {
                Some(text) => self.push_text(text.as_bytes()),
                None => return false,
            },
            (Kind::Time, _) => match columns::time(raw) {
                Some(time) => self.push_whole(time.0),
                None => return false,
            },
            (Kind::Integer, _) => match columns::integer(raw) {
                Some(number) => self.push_whole(number),
                None => return false,
            },
            (Kind::Date, TypedValues::Days(values)) => match columns::day(raw) {
                Some(days) => {
                    values.push(days);
                    self.there.push(1);
                }
                None => return false,
            },
            (Kind::Decimal(size), TypedValues::Wide(values)) => match columns::units(raw, size) {
                Some(units) => {
                    values.push(units);
                    self.there.push(1);
                }
                None => return false,
            },
            (Kind::Decimal(size), _) => {
                let units = columns::units(raw, size).and_then(|units| i64::try_from(units).ok());
                match units {
                    Some(units) => self.push_whole(units),
                    None => return false,
                }
            }
            (Kind::Double, TypedValues::Double(values)) => match columns::double(raw) {
                Some(number) => {
                    values.push(number);
                    self.there.push(1);
                }
                None => return false,
            },
            (Kind::Boolean, TypedValues::Boolean(values)) => match raw {
                "true" | "false" => {
                    values.push(raw == "true");
                    self.there.push(1);
                }
                _ => return false,
            },
            _ => return false,
        }
        true
    }

    fn push_text(&mut self, text: &[u8]) {
        if let TypedValues::Text { bytes, ends } = &mut self.of {
            bytes.extend_from_slice(text);
            ends.push(bytes.len());
            self.there.push(1);
        }
    }

    fn push_whole(&mut self, number: i64) {
        if let TypedValues::Whole(values) = &mut self.of {
            values.push(number);
            self.there.push(1);
        }
    }

    /// Writes the values as a column chunk, and clears them.
    fn write(&mut self, mut column: SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let there = Some(self.there.as_slice());
        match (&mut self.of, column.untyped()) {
            (TypedValues::Text { bytes, ends }, ColumnWriter::ByteArrayColumnWriter(writer)) => {
                let all = Bytes::from(std::mem::take(bytes));
                let mut start = 0;
                let values: Vec<ByteArray> = ends
                    .drain(..)
                    .map(|end| {
                        let value = all.slice(start..end);
                        start = end;
                        ByteArray::from(value)
                    })
                    .collect();
                writer.write_batch(&values, there, None)?;
            }
            (TypedValues::Whole(values), ColumnWriter::Int64ColumnWriter(writer)) => {
                writer.write_batch(values, there, None)?;
                values.clear();
            }
            (TypedValues::Days(values), ColumnWriter::Int32ColumnWriter(writer)) => {
                writer.write_batch(values, there, None)?;
                values.clear();
            }
            (TypedValues::Wide(values), ColumnWriter::FixedLenByteArrayColumnWriter(writer)) => {
                let bytes = values.drain(..).map(|units| {
                    FixedLenByteArray::from(ByteArray::from(units.to_be_bytes().to_vec()))
                });
                writer.write_batch(&bytes.collect::<Vec<_>>(), there, None)?;
            }
            (TypedValues::Double(values), ColumnWriter::DoubleColumnWriter(writer)) => {
                writer.write_batch(values, there, None)?;
                values.clear();
            }
            (TypedValues::Boolean(values), ColumnWriter::BoolColumnWriter(writer)) => {
                writer.write_batch(values, there, None)?;
                values.clear();
            }
            _ => {
                return Err(ParquetError::General(
                    "a column is of another type".to_owned(),
                ));
            }
        }
        self.there.clear();
        column.close()
    }
}

#[cfg(test)]
#[path = "parquet_tests.rs"]
mod tests;
