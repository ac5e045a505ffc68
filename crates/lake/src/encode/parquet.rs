//! Parquet: typed columns, sorted by time, zstd, with statistics, page indexes, and bloom filters on ids.
//!
//! If a value does not fit its column, because the configuration has changed since it was logged,
//! it is null there and kept under `extra`: nothing is lost.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, Type};

use super::sorted::Sorter;
use super::statistics::{self, ColumnStatistics};
use super::typed_rows::{MAX_GROUP_ROWS, TypedRows};
use lakehook_base::columns::ColumnType as Kind;
use lakehook_base::files::Files;
use lakehook_base::record::Lsn;
use lakehook_base::tables::{Column, Table};

pub(super) const ZSTD_LEVEL: i32 = 3;
/// Bytes of a decimal that 64 bits do not hold.
const WIDE_BYTES: i32 = 16;

/// Writes rows to `W`.
pub struct Encoder<W: Write + Send, F: Files> {
    writer: SerializedFileWriter<W>,
    sorter: Sorter<F>,
    group: TypedRows,
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
            group: TypedRows::new(table),
        })
    }

    /// Takes one row.
    pub fn row(&mut self, lsn: Lsn, row: &[u8]) -> io::Result<()> {
        let (time, cells) = self.group.read(row)?;
        self.sorter.push(time, lsn, cells)
    }

    /// Writes everything; returns the writer and the statistics of the columns.
    pub fn finish(self) -> io::Result<(W, Vec<ColumnStatistics>)> {
        let Self {
            mut writer,
            sorter,
            mut group,
        } = self;
        sorter.finish(&mut |lsn, cells| {
            group.push_row(lsn, cells)?;
            if group.is_full() {
                group.write(&mut writer).map_err(failed)?;
            }
            Ok(())
        })?;
        group.write(&mut writer).map_err(failed)?;
        let columns = statistics::of_groups(group.table(), writer.flushed_row_groups());
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
                let physical = if size.is_wide() {
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
            if size.is_wide() {
                field = field.with_length(WIDE_BYTES);
            }
        }
        Ok(Arc::new(field.build()?))
    });
    let fields = fields.collect::<Result<_, ParquetError>>()?;
    Type::group_type_builder("row").with_fields(fields).build()
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

pub(super) fn path_of(column: &Column) -> ColumnPath {
    ColumnPath::new(vec![column.name.clone()])
}

#[cfg(test)]
#[path = "parquet_tests.rs"]
mod tests;
