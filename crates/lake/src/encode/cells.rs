//! Rows as the cells of a table's columns: read from lines once, sorted in this form, and stored by column.
//!
//! A row in cells is the bytes that it has as a line, and then each value that is there: the number of its
//! column, and the value in the form of the column's type. Only this process reads what it wrote so.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use lakehook_base::clock::Micros;
use lakehook_base::columns::{self, CellValue, ColumnType as Kind};
use lakehook_base::json::{each_member, text};
use lakehook_base::tables::{Source, Table};

/// Most keys of a row whose place is remembered.
const MAX_PLACES: usize = 256;
/// Bytes of a key that is remembered by its place.
const MAX_KEY: usize = 256;

/// Reads lines of a table as cells.
pub(super) struct CellReader {
    table: Arc<Table>,
    /// What belongs to the key of a row's member.
    members: Keys<Member>,
    /// The columns of the keys of properties.
    properties: Keys<usize>,
    cells: Cells,
    /// Members that have no column, as the beginning of an object.
    rest: Vec<u8>,
    rest_column: Option<usize>,
}

/// What becomes of a member of a row.
#[derive(Clone, Copy, Default)]
struct Member {
    column: Option<usize>,
    has_properties: bool,
    has_rest: bool,
}

/// The cells of one row.
struct Cells {
    bytes: Vec<u8>,
    /// For each column the last row that has a value there.
    filled: Vec<u64>,
    row: u64,
    time: Micros,
    /// The column that rows are sorted by.
    time_column: usize,
}

impl CellReader {
    /// A reader of rows of that table.
    pub(super) fn new(table: &Arc<Table>) -> Self {
        let (mut members, mut properties) = (HashMap::new(), HashMap::new());
        let mut rest_column = None;
        for (index, column) in table.columns.iter().enumerate() {
            match &column.source {
                Source::Member(key) => _ = members.insert(key.clone(), Member::of(index)),
                Source::Property(key) => _ = properties.insert(key.clone(), index),
                Source::Rest => rest_column = Some(index),
            }
        }
        if !properties.is_empty() {
            let own: &mut Member = members.entry("properties".to_owned()).or_default();
            own.has_properties = true;
        }
        if rest_column.is_some() {
            let own: &mut Member = members.entry("extra".to_owned()).or_default();
            own.has_rest = true;
        }
        Self {
            members: Keys::new(members),
            properties: Keys::new(properties),
            cells: Cells {
                bytes: Vec::new(),
                filled: vec![0; table.columns.len()],
                row: 0,
                time: Micros(i64::MIN),
                time_column: table.time,
            },
            rest: Vec::new(),
            rest_column,
            table: Arc::clone(table),
        }
    }

    /// The column whose values are the members of that name.
    pub(super) fn column(&self, member: &str) -> Option<usize> {
        self.members.by_name.get(member)?.column
    }

    /// Whether that is the table of the rows.
    pub(super) fn is_of(&self, table: &Arc<Table>) -> bool {
        Arc::ptr_eq(&self.table, table) || self.table == *table
    }

    /// The table of the rows.
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// Reads a line: the time that the row is sorted by, which is the earliest one if it has none, and its cells.
    pub(super) fn read(&mut self, row: &[u8]) -> io::Result<(Micros, &[u8])> {
        let line = std::str::from_utf8(row).map_err(io::Error::other)?;
        let Self {
            table,
            members,
            properties,
            cells,
            rest,
            rest_column,
        } = self;
        cells.begin(row.len());
        rest.clear();
        let mut nth = 0;
        let read = each_member(line, |key, raw| {
            let member = members.find(nth, key).unwrap_or_default();
            nth += 1;
            if member.has_rest {
                // What is no object is null.
                let _null = each_member(raw, |key, raw| push_member(rest, key, raw));
                return;
            }
            if member.has_properties {
                read_properties(table, properties, cells, raw);
            }
            match member.column {
                Some(column) if raw == "null" || cells.take(table, column, raw) => {}
                _ => push_member(rest, key, raw),
            }
        });
        read.ok_or_else(|| io::Error::other("a row is no JSON object"))?;
        if let Some(column) = *rest_column
            && !rest.is_empty()
        {
            rest.push(b'}');
            cells.put(column, CellValue::Text, rest);
        }
        Ok((cells.time, &cells.bytes))
    }
}

/// Fills the columns of properties; a value that does not fit is null there, and is kept in the column
/// `properties` anyway.
fn read_properties(table: &Table, properties: &mut Keys<usize>, cells: &mut Cells, raw: &str) {
    let mut nth = 0;
    let _nothing_if_it_is_no_object = each_member(raw, |key, raw| {
        if let Some(column) = properties.find(nth, key) {
            let _null = cells.take(table, column, raw);
        }
        nth += 1;
    });
}

/// Adds a member to the beginning of an object.
fn push_member(object: &mut Vec<u8>, key: &str, raw: &str) {
    object.push(if object.is_empty() { b'{' } else { b',' });
    object.extend_from_slice(key.as_bytes());
    object.push(b':');
    object.extend_from_slice(raw.as_bytes());
}

impl Member {
    fn of(column: usize) -> Self {
        Self {
            column: Some(column),
            ..Self::default()
        }
    }
}

impl Cells {
    /// Begins a row whose line has `line_bytes` bytes.
    fn begin(&mut self, line_bytes: usize) {
        self.row += 1;
        self.time = Micros(i64::MIN);
        self.bytes.clear();
        put_number(&mut self.bytes, line_bytes);
    }

    /// Adds a raw value to a column that has none for this row yet. Returns `true` if the value fits the column.
    fn take(&mut self, table: &Table, column: usize, raw: &str) -> bool {
        if raw == "null" || self.filled[column] == self.row {
            return false;
        }
        let kind = table.columns[column].kind;
        let taken = match kind {
            Kind::Json => Some((CellValue::Text, Cow::Borrowed(raw))),
            Kind::Text => text(raw).map(|text| (CellValue::Text, text)),
            _ => value_of(kind, raw).map(|value| (value, Cow::Borrowed(""))),
        };
        if let Some((value, text)) = &taken {
            self.put(column, *value, text.as_bytes());
        }
        taken.is_some()
    }

    fn put(&mut self, column: usize, value: CellValue, text: &[u8]) {
        self.filled[column] = self.row;
        let out = &mut self.bytes;
        put_number(out, column);
        match value {
            CellValue::Null => {}
            CellValue::Text => {
                put_number(out, text.len());
                out.extend_from_slice(text);
            }
            CellValue::Whole(number) => {
                out.extend_from_slice(&number.to_le_bytes());
                if column == self.time_column {
                    self.time = Micros(number);
                }
            }
            CellValue::Wide(units) => out.extend_from_slice(&units.to_le_bytes()),
            CellValue::Days(days) => out.extend_from_slice(&days.to_le_bytes()),
            CellValue::Double(number) => out.extend_from_slice(&number.to_le_bytes()),
            CellValue::Boolean(flag) => out.push(u8::from(flag)),
        }
    }
}

/// A raw value in a column that holds no text; `None` if it does not fit.
fn value_of(kind: Kind, raw: &str) -> Option<CellValue> {
    match kind {
        Kind::Time => columns::time(raw).map(|time| CellValue::Whole(time.0)),
        Kind::Integer => columns::integer(raw).map(CellValue::Whole),
        Kind::Date => columns::day(raw).map(CellValue::Days),
        Kind::Decimal(size) => {
            let units = columns::units(raw, size)?;
            if size.is_wide() {
                return Some(CellValue::Wide(units));
            }
            i64::try_from(units).ok().map(CellValue::Whole)
        }
        Kind::Double => columns::double(raw).map(CellValue::Double),
        Kind::Boolean => {
            matches!(raw, "true" | "false").then_some(CellValue::Boolean(raw == "true"))
        }
        Kind::Text | Kind::Json => None,
    }
}

/// Finds what belongs to keys. Most rows of a table have the same keys in the same order, so a key is first
/// compared with the one that was found in its place before.
struct Keys<T> {
    by_name: HashMap<String, T>,
    places: Vec<(String, Option<T>)>,
}

impl<T: Copy> Keys<T> {
    fn new(by_name: HashMap<String, T>) -> Self {
        Self {
            by_name,
            places: Vec::new(),
        }
    }

    /// What belongs to a raw key, the `nth` of its object.
    fn find(&mut self, nth: usize, raw: &str) -> Option<T> {
        if let Some((key, found)) = self.places.get(nth)
            && key == raw
        {
            return *found;
        }
        let name = text(raw).unwrap_or(Cow::Borrowed(raw));
        let found = self.by_name.get(&*name).copied();
        if raw.len() > MAX_KEY {
            return found;
        }
        if let Some((key, value)) = self.places.get_mut(nth) {
            key.clear();
            key.push_str(raw);
            *value = found;
        } else if nth == self.places.len() && nth < MAX_PLACES {
            self.places.push((raw.to_owned(), found));
        }
        found
    }
}

/// Appends a number, seven bits a byte.
fn put_number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// What is left of a row in cells.
pub(super) struct CellsLeft<'a>(pub(super) &'a [u8]);

impl<'a> CellsLeft<'a> {
    /// Takes a number; `None` if there is none.
    #[inline]
    pub(super) fn number(&mut self) -> Option<usize> {
        let (mut number, mut shift) = (0_usize, 0);
        loop {
            let [byte] = self.array()?;
            number |= usize::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(number);
            }
            shift += 7;
        }
    }

    /// Takes the next `N` bytes.
    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    /// Takes a text.
    #[inline]
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let bytes = self.number()?;
        let (text, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(text)
    }
}

#[cfg(test)]
#[path = "cells_tests.rs"]
mod tests;
