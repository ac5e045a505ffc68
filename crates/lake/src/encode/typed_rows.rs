//! Rows by column, in the types of their table: how they are collected before they are a row group.
//!
//! Values come as lines, or one by one from those who know their types already.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::ParquetError;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};

use lakehook_base::clock::Micros;
use lakehook_base::columns::{self, CellValue, ColumnType as Kind};
use lakehook_base::json::{Members, text};
use lakehook_base::record::Lsn;
use lakehook_base::tables::{Source, Table};

/// Most rows of a row group; engines divide work by row groups.
pub(super) const MAX_GROUP_ROWS: usize = 1 << 17;
/// Most bytes of a row group's rows, as logged.
const MAX_GROUP_BYTES: usize = 24 << 20;

/// Rows by column, such as those of a row group.
pub struct TypedRows {
    table: Arc<Table>,
    columns: Vec<Values>,
    /// Columns by the key of a row's member; `properties` has those by the key of a property.
    members: HashMap<String, usize>,
    properties: HashMap<String, usize>,
    rest: Option<usize>,
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
    Text { bytes: Vec<u8>, ends: Vec<usize> },
    Whole(Vec<i64>),
    Days(Vec<i32>),
    Wide(Vec<i128>),
    Double(Vec<f64>),
    Boolean(Vec<bool>),
}

impl TypedRows {
    /// No rows of a table.
    pub fn new(table: &Arc<Table>) -> Self {
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

    /// Whether they should be written as a row group.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= MAX_GROUP_ROWS || self.bytes >= MAX_GROUP_BYTES
    }

    /// The table that they are rows of.
    pub(super) fn table(&self) -> &Table {
        &self.table
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
        self.members.get(member).copied()
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

    /// Adds a text to a column, for each of so many rows that are not ended yet.
    pub fn push_text(&mut self, column: usize, text: &[u8], rows: usize) {
        let own = &mut self.columns[column];
        if let TypedValues::Text { bytes, ends } = &mut own.of {
            let start = bytes.len();
            bytes.extend_from_slice(&text.repeat(rows));
            ends.extend((1..=rows).map(|row| start + row * text.len()));
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
        self.push(None, row)
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

    /// The time that a row is sorted by; the earliest one if it has none.
    pub(super) fn time_of(&self, row: &[u8]) -> Micros {
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
        self.end_rows(1, row.len());
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
                TypedValues::Text { bytes, ends },
                TypedValues::Text {
                    bytes: more,
                    ends: more_ends,
                },
            ) => {
                let start = bytes.len();
                bytes.append(more);
                ends.extend(more_ends.drain(..).map(|end| start + end));
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
