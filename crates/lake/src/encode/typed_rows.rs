//! Rows by column, in the types of their table: how they are collected before they are a row group.
//!
//! Values come as lines, or one by one from those who know their types already.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use parquet::column::writer::{ColumnWriter, ColumnWriterImpl};
use parquet::data_type::{ByteArray, ByteArrayType, FixedLenByteArray};
use parquet::errors::ParquetError;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};

use super::cells::{CellReader, CellsLeft};
use lakehook_base::clock::Micros;
use lakehook_base::columns::{CellValue, ColumnType as Kind};
use lakehook_base::record::Lsn;
use lakehook_base::tables::Table;

/// Most rows of a row group; engines divide work by row groups.
pub(super) const MAX_GROUP_ROWS: usize = 1 << 17;
/// Texts that are handed to the library at once: as many as it looks at in one go.
const TEXTS_AT_ONCE: usize = 1024;

/// Rows by column, such as those of a row group.
pub struct TypedRows {
    reader: CellReader,
    columns: Vec<Values>,
    lsn: Option<usize>,
    rows: usize,
    /// Bytes of the rows as lines.
    bytes: usize,
}

/// The values of one column, and for each row whether it has one.
struct Values {
    there: Vec<i16>,
    of: TypedValues,
}

enum TypedValues {
    /// The texts one after the other, and how long each is: no row is as long as 4 GiB.
    Text {
        bytes: BytesMut,
        lengths: Vec<u32>,
    },
    Whole(Vec<i64>),
    Days(Vec<i32>),
    Wide(Vec<i128>),
    Double(Vec<f64>),
    Boolean(Vec<bool>),
}

impl TypedRows {
    /// No rows of a table.
    pub fn new(table: &Arc<Table>) -> Self {
        let reader = CellReader::new(table);
        let columns = table.columns.iter();
        Self {
            columns: columns.map(|column| Values::new(column.kind)).collect(),
            lsn: reader.column("lsn"),
            reader,
            rows: 0,
            bytes: 0,
        }
    }

    /// Whether they should be written as a row group, because their lines have at least `group_bytes`.
    pub(super) fn is_full(&self, group_bytes: usize) -> bool {
        self.rows >= MAX_GROUP_ROWS || self.bytes >= group_bytes
    }

    /// Whether they are rows of that table, so that they may be filled again.
    pub(super) fn is_of(&self, table: &Arc<Table>) -> bool {
        self.reader.is_of(table)
    }

    /// The table that they are rows of.
    pub(super) fn table(&self) -> &Table {
        self.reader.table()
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes that they would have as lines, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The column whose values are the members of that name.
    pub fn column(&self, member: &str) -> Option<usize> {
        self.reader.column(member)
    }

    /// Adds values to a column, one for each of the rows that are not ended yet; texts stand beside them.
    pub fn push_cells<'c>(
        &mut self,
        column: usize,
        values: impl Iterator<Item = (CellValue, &'c [u8])>,
    ) {
        let own = &mut self.columns[column];
        for (value, text) in values {
            match value {
                CellValue::Null => own.there.push(0),
                CellValue::Text => own.push_text(text),
                CellValue::Whole(number) => own.push_whole(number),
                other => own.push_other(other),
            }
        }
    }

    /// Adds whole numbers to a column, one for each of the rows that are not ended yet.
    pub fn push_wholes(&mut self, column: usize, numbers: impl Iterator<Item = i64>) {
        let own = &mut self.columns[column];
        if let TypedValues::Whole(values) = &mut own.of {
            let before = values.len();
            values.extend(numbers);
            own.there.resize(own.there.len() + values.len() - before, 1);
        }
    }

    /// Adds the same text to a column for `rows` rows that are not ended yet.
    pub fn push_text(&mut self, column: usize, text: &[u8], rows: usize) {
        let own = &mut self.columns[column];
        if let TypedValues::Text { bytes, lengths } = &mut own.of {
            bytes.extend_from_slice(&text.repeat(rows));
            lengths.resize(lengths.len() + rows, text.len() as u32);
            own.there.resize(own.there.len() + rows, 1);
        }
    }

    /// Ends rows whose values were added, and which would have about so many bytes as lines.
    pub fn end_rows(&mut self, rows: usize, bytes: usize) {
        self.rows += rows;
        self.bytes += bytes;
        let rows = self.rows;
        // A column without a value in a row is null there.
        self.columns
            .iter_mut()
            .for_each(|column| column.there.resize(rows, 0));
    }

    /// Adds a row without an LSN, given as a line.
    pub fn push_line(&mut self, row: &[u8]) -> io::Result<()> {
        let (_, cells) = self.reader.read(row)?;
        let bytes = add_cells(&mut self.columns, cells)?;
        self.end_rows(1, bytes);
        Ok(())
    }

    /// Takes the rows of others of the same columns, which are empty afterwards.
    pub fn append(&mut self, others: &mut Self) {
        if self.rows == 0 {
            std::mem::swap(&mut self.columns, &mut others.columns);
        } else {
            let pairs = self.columns.iter_mut().zip(&mut others.columns);
            pairs.for_each(|(own, other)| own.append(other));
        }
        self.rows += std::mem::take(&mut others.rows);
        self.bytes += std::mem::take(&mut others.bytes);
    }

    /// Reads a row that is given as a line, without adding it: the time that it is sorted by, and its cells.
    pub(super) fn read(&mut self, row: &[u8]) -> io::Result<(Micros, &[u8])> {
        self.reader.read(row)
    }

    /// Adds a row that was read, with its LSN.
    pub(super) fn push_row(&mut self, lsn: Lsn, cells: &[u8]) -> io::Result<()> {
        let bytes = add_cells(&mut self.columns, cells)?;
        if let Some(column) = self.lsn
            && self.columns[column].there.len() == self.rows
        {
            self.columns[column].push_whole(i64::try_from(lsn.0).unwrap_or(i64::MAX));
        }
        self.end_rows(1, bytes);
        Ok(())
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

/// Adds the cells of a row to columns that have none for it yet. Returns the bytes that it has as a line.
fn add_cells(columns: &mut [Values], cells: &[u8]) -> io::Result<usize> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "a row is not as it was read");
    let mut left = CellsLeft(cells);
    let bytes = left.number().ok_or_else(wrong)?;
    while !left.0.is_empty() {
        let column = left.number().and_then(|column| columns.get_mut(column));
        let added = column.and_then(|column| column.push_cell(&mut left));
        added.ok_or_else(wrong)?;
    }
    Ok(bytes)
}

impl Values {
    fn new(kind: Kind) -> Self {
        let of = match kind {
            Kind::Text | Kind::Json => TypedValues::Text {
                bytes: BytesMut::new(),
                lengths: Vec::new(),
            },
            Kind::Date => TypedValues::Days(Vec::new()),
            Kind::Decimal(size) if size.is_wide() => TypedValues::Wide(Vec::new()),
            Kind::Time | Kind::Integer | Kind::Decimal(_) => TypedValues::Whole(Vec::new()),
            Kind::Double => TypedValues::Double(Vec::new()),
            Kind::Boolean => TypedValues::Boolean(Vec::new()),
        };
        Self {
            there: Vec::new(),
            of,
        }
    }

    /// Adds the value of a cell; `None` if there is none.
    fn push_cell(&mut self, cells: &mut CellsLeft<'_>) -> Option<()> {
        match &mut self.of {
            TypedValues::Text { bytes, lengths } => {
                let text = cells.text()?;
                bytes.extend_from_slice(text);
                lengths.push(text.len() as u32);
            }
            TypedValues::Whole(values) => values.push(i64::from_le_bytes(cells.array()?)),
            TypedValues::Days(values) => values.push(i32::from_le_bytes(cells.array()?)),
            TypedValues::Wide(values) => values.push(i128::from_le_bytes(cells.array()?)),
            TypedValues::Double(values) => values.push(f64::from_le_bytes(cells.array()?)),
            TypedValues::Boolean(values) => values.push(cells.array()? == [1]),
        }
        self.there.push(1);
        Some(())
    }

    fn push_text(&mut self, text: &[u8]) {
        if let TypedValues::Text { bytes, lengths } = &mut self.of {
            bytes.extend_from_slice(text);
            lengths.push(text.len() as u32);
            self.there.push(1);
        }
    }

    fn push_whole(&mut self, number: i64) {
        if let TypedValues::Whole(values) = &mut self.of {
            values.push(number);
            self.there.push(1);
        }
    }

    fn push_other(&mut self, value: CellValue) {
        match (value, &mut self.of) {
            (CellValue::Days(days), TypedValues::Days(values)) => values.push(days),
            (CellValue::Wide(units), TypedValues::Wide(values)) => values.push(units),
            (CellValue::Double(number), TypedValues::Double(values)) => values.push(number),
            (CellValue::Boolean(flag), TypedValues::Boolean(values)) => values.push(flag),
            _ => return,
        }
        self.there.push(1);
    }

    /// Takes the values of another column of the same type, which is empty afterwards.
    fn append(&mut self, other: &mut Self) {
        self.there.append(&mut other.there);
        match (&mut self.of, &mut other.of) {
            (
                TypedValues::Text { bytes, lengths },
                TypedValues::Text {
                    bytes: more,
                    lengths: more_lengths,
                },
            ) => {
                bytes.extend_from_slice(more);
                more.clear();
                lengths.append(more_lengths);
            }
            (TypedValues::Whole(own), TypedValues::Whole(more)) => own.append(more),
            (TypedValues::Days(own), TypedValues::Days(more)) => own.append(more),
            (TypedValues::Wide(own), TypedValues::Wide(more)) => own.append(more),
            (TypedValues::Double(own), TypedValues::Double(more)) => own.append(more),
            (TypedValues::Boolean(own), TypedValues::Boolean(more)) => own.append(more),
            _ => debug_assert!(false, "columns of one table have one type"),
        }
    }

    /// Writes the values as a column chunk, and clears them.
    fn write(&mut self, mut column: SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let there = Some(self.there.as_slice());
        match (&mut self.of, column.untyped()) {
            (TypedValues::Text { bytes, lengths }, ColumnWriter::ByteArrayColumnWriter(writer)) => {
                let all = std::mem::take(bytes).freeze();
                write_texts(writer, &self.there, &all, lengths)?;
                column.close()?;
                // Whoever kept a value has a copy of it by now, so the memory is ours again.
                if let Ok(mut own) = all.try_into_mut() {
                    own.clear();
                    *bytes = own;
                }
                lengths.clear();
                self.there.clear();
                return Ok(());
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

/// Writes texts, some at a time: a value takes more memory in the form that the library wants than it has bytes.
fn write_texts(
    writer: &mut ColumnWriterImpl<'_, ByteArrayType>,
    there: &[i16],
    all: &Bytes,
    lengths: &[u32],
) -> Result<(), ParquetError> {
    let mut values = Vec::with_capacity(TEXTS_AT_ONCE);
    let (mut start, mut lengths) = (0, lengths.iter());
    for there in there.chunks(TEXTS_AT_ONCE) {
        let count = there.iter().filter(|there| **there == 1).count();
        values.clear();
        values.extend(lengths.by_ref().take(count).map(|length| {
            let end = start + *length as usize;
            let value = all.slice(start..end);
            start = end;
            ByteArray::from(value)
        }));
        writer.write_batch(&values, Some(there), None)?;
    }
    Ok(())
}
