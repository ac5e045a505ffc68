//! Parquet: typed columns, sorted by time, zstd, with statistics, page indexes, and bloom filters on ids.
//!
//! If a value does not fit its column, because the configuration has changed since it was logged,
//! it is null there and kept under `extra`: nothing is lost.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{
    Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, Type};

use super::sorted::{Buffer, Sorter};
use super::statistics::{self, ColumnStatistics};
use super::typed_rows::{MAX_GROUP_ROWS, TypedRows};
use lakehook_base::columns::ColumnType as Kind;
use lakehook_base::files::Files;
use lakehook_base::record::Lsn;
use lakehook_base::tables::{Column, Source, Table};

/// Measured on events: level 3 takes longer, and makes objects one to two per cent larger.
pub(super) const ZSTD_LEVEL: i32 = 2;
/// Bytes of a decimal that 64 bits do not hold.
const WIDE_BYTES: i32 = 16;
/// Most bytes of a row group's rows, as lines. These rows are in memory while everything else goes on.
const MAX_GROUP_BYTES: usize = 8 << 20;

/// Writes rows to `W`.
pub struct Encoder<W: Write + Send, F: Files> {
    writer: SerializedFileWriter<W>,
    sorter: Sorter<F>,
    group: TypedRows,
}

/// What one encoder leaves to the next one: memory, which every thread would otherwise take for itself and keep.
#[derive(Default)]
pub struct Memory {
    group: Option<TypedRows>,
    sorted: Buffer,
}

impl<W: Write + Send, F: Files> Encoder<W, F> {
    /// An encoder for `rows` rows of a table. Rows that don't fit into memory are kept in files
    /// beside `path` until they are sorted.
    pub fn new(table: &Arc<Table>, rows: u64, out: W, files: F, path: &Path) -> io::Result<Self> {
        Self::with_memory(table, rows, out, (files, path), Memory::default())
    }

    /// The same with the memory of an earlier encoder.
    pub fn with_memory(
        table: &Arc<Table>,
        rows: u64,
        out: W,
        (files, path): (F, &Path),
        memory: Memory,
    ) -> io::Result<Self> {
        let schema = Arc::new(schema_of(table).map_err(failed)?);
        let properties = properties_of(table, rows);
        let writer = SerializedFileWriter::new(out, schema, properties).map_err(failed)?;
        let Memory { group, sorted } = memory;
        let group = group.filter(|group| group.is_of(table));
        Ok(Self {
            writer,
            sorter: Sorter::new(files, path, sorted),
            group: group.unwrap_or_else(|| TypedRows::new(table)),
        })
    }

    /// Takes one row.
    pub fn row(&mut self, lsn: Lsn, row: &[u8]) -> io::Result<()> {
        let (time, cells) = self.group.read(row)?;
        self.sorter.push(time, lsn, cells)
    }

    /// Writes everything; returns the writer, the statistics of the columns, and memory for the next encoder.
    pub fn finish(self) -> io::Result<(W, Vec<ColumnStatistics>, Memory)> {
        let Self {
            mut writer,
            sorter,
            mut group,
        } = self;
        let sorted = sorter.finish(&mut |lsn, cells| {
            group.push_row(lsn, cells)?;
            if group.is_full(MAX_GROUP_BYTES) {
                group.write(&mut writer).map_err(failed)?;
            }
            Ok(())
        })?;
        group.write(&mut writer).map_err(failed)?;
        let columns = statistics::of_groups(group.table(), writer.flushed_row_groups());
        let memory = Memory {
            group: Some(group),
            sorted,
        };
        Ok((writer.into_inner().map_err(failed)?, columns, memory))
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
    let lsn = Source::Member("lsn".to_owned());
    let sorted_by = SortingColumn {
        column_idx: i32::try_from(table.time).unwrap_or(0),
        descending: false,
        nulls_first: true,
    };
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("lakehook ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(zstd(ZSTD_LEVEL))
        .set_sorting_columns(Some(vec![sorted_by]))
        .set_max_row_group_row_count(None);
    for (index, column) in table.columns.iter().enumerate() {
        // Values that are all different gain nothing from a dictionary. Those that grow from row to row are kept as
        // differences: that is less for zstd to do, and takes fewer bytes.
        if matches!(column.kind, Kind::Time | Kind::Integer | Kind::Double) {
            properties = properties.set_column_dictionary_enabled(path_of(column), false);
            if index == table.time || column.source == lsn {
                let encoding = Encoding::DELTA_BINARY_PACKED;
                properties = properties.set_column_encoding(path_of(column), encoding);
            }
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

pub(super) fn zstd(level: i32) -> Compression {
    Compression::ZSTD(ZstdLevel::try_new(level).unwrap_or_default())
}

pub(super) fn path_of(column: &Column) -> ColumnPath {
    ColumnPath::new(vec![column.name.clone()])
}

#[cfg(test)]
#[path = "parquet_tests.rs"]
mod tests;
