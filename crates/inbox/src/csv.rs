//! Tables: CSV as RFC 4180 and most exports write it, and the same with tabs.
//!
//! Rows without quotes are split where they stand, many at once. Others are read by their quotes, which may hold
//! line ends. Lines end with LF, CR LF or CR. Memory holds a part of the file, and at least one row.

use std::io::Read;

use super::cells::{Heads, MAX_COLUMNS, TableColumns};
use super::definition::TableForm;
use super::record::{Part, PassedBytes, ReadStop, TakePart, bad, too_long};
use super::row_batch::{FoundRows, RowBatch};
use super::table_row::{At, Cells};
use lakehook_contract::quarantine::FieldError;

const BUFFER: usize = 1 << 20;

/// Passes each row of a table to `take`.
pub(crate) fn read(
    stream: &mut dyn Read,
    form: &TableForm,
    columns: &TableColumns,
    max_record: u64,
    take: &mut TakePart<'_>,
) -> Result<(), ReadStop> {
    let mut window = Window::new(stream, form.delimiter, max_record);
    let mut heads: Option<Heads> = None;
    let mut found = FoundRows::default();
    loop {
        if let Some(heads) = &heads {
            window.give_many(&mut found, heads, take)?;
        }
        let Some(span) = window.next()? else {
            break;
        };
        let line = window.line;
        let (start, end, has_quotes) = match (span, &heads) {
            (Span::Blank, None) => continue,
            (Span::Blank, Some(_)) => {
                take(Part::Blank)?;
                continue;
            }
            (Span::Long(_), None) => {
                return Err(ReadStop::Wrong(format!(
                    "the first row has more than {max_record} bytes (max_record)"
                )));
            }
            (Span::Long(passed), Some(heads)) => {
                let header = heads.line.as_deref();
                let refused = passed.refused(line, too_long(max_record), header);
                take(Part::Bad(refused))?;
                continue;
            }
            (Span::Whole(start, end, has_quotes), _) => (start, end, has_quotes),
        };
        let (bytes, raw) = (&window.bytes, &window.bytes[start..end]);
        let cells = found.split(bytes, (line, start, end), form.delimiter, has_quotes);
        if heads.is_none() {
            heads = Some(first(cells, raw, form, columns)?);
            if form.header {
                continue;
            }
        }
        let Some(heads) = &heads else { continue };
        if cells.len() == heads.len() {
            let found = &found;
            let rows = RowBatch {
                bytes,
                found,
                heads,
            };
            take(Part::Rows(rows))?;
        } else {
            let error = FieldError::of_body("csv", other_count(cells, heads));
            take(Part::Bad(bad(line, raw, error, heads.line.as_deref())))?;
        }
    }
    if heads.is_none() && form.header {
        return Err(ReadStop::Wrong(
            "the file is empty; expected a row with the names of the columns".to_owned(),
        ));
    }
    Ok(())
}

/// The columns of a table, by its first row.
fn first(
    row: Cells<'_>,
    raw: &[u8],
    form: &TableForm,
    columns: &TableColumns,
) -> Result<Heads, ReadStop> {
    if row.len() > MAX_COLUMNS {
        return Err(ReadStop::Wrong(format!(
            "the table has more than {MAX_COLUMNS} columns"
        )));
    }
    if !form.header {
        return Ok(columns.numbered(row.len()));
    }
    let names = (0..row.len()).map(|index| std::str::from_utf8(row.get(index)));
    let names: Result<Vec<&str>, _> = names.collect();
    let names = names.ok().zip(std::str::from_utf8(raw).ok());
    let (names, line) = names
        .ok_or_else(|| ReadStop::Wrong("the header is not UTF-8 (csv.encoding)".to_owned()))?;
    columns.named(&names, line).map_err(ReadStop::Wrong)
}

/// One row of a table, given the row that names the columns, as JSON with the hash of what it says.
pub(crate) fn row_as_json(
    raw: &[u8],
    header: Option<&str>,
    form: &TableForm,
    columns: &TableColumns,
) -> Result<(String, u128), String> {
    let (mut names, mut values) = (FoundRows::default(), FoundRows::default());
    let row = split_alone(&mut values, raw, form);
    let heads = match header {
        Some(header) => {
            let names = split_alone(&mut names, header.as_bytes(), form);
            first(names, header.as_bytes(), form, columns).map_err(|stop| format!("{stop:?}"))?
        }
        None => columns.numbered(row.len()),
    };
    if row.len() != heads.len() {
        return Err(other_count(row, &heads));
    }
    let cell = |index| row.get(index);
    let mut json = Vec::new();
    heads.write(cell, &mut json)?;
    let json = String::from_utf8(json).map_err(|_| "values in UTF-8".to_owned())?;
    Ok((json, heads.content(cell, &mut Vec::new())))
}

/// The values of a row that stands alone.
fn split_alone<'s>(found: &'s mut FoundRows, raw: &'s [u8], form: &TableForm) -> Cells<'s> {
    let place = (1, 0, raw.len());
    found.split(raw, place, form.delimiter, raw.contains(&b'"'))
}

/// What is wrong with a row of another number of values.
fn other_count(row: Cells<'_>, heads: &Heads) -> String {
    let (columns, count) = (heads.len(), row.len());
    format!("a row of {columns} values, as there are columns; found {count}")
}

/// A row in the window.
enum Span {
    /// Where it begins and ends, and whether it has quotes.
    Whole(usize, usize, bool),
    /// A row that is too long, and passed.
    Long(Box<PassedBytes>),
    /// A line with nothing on it.
    Blank,
}

/// A part of the file in memory.
struct Window<'s> {
    stream: &'s mut dyn Read,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    has_ended: bool,
    delimiter: u8,
    max_record: usize,
    /// The line on which the last row that was returned begins.
    line: u64,
    next_line: u64,
}

impl<'s> Window<'s> {
    fn new(stream: &'s mut dyn Read, delimiter: u8, max_record: u64) -> Self {
        Self {
            stream,
            bytes: vec![0; BUFFER],
            start: 0,
            end: 0,
            has_ended: false,
            delimiter,
            max_record: usize::try_from(max_record).unwrap_or(usize::MAX),
            line: 0,
            next_line: 1,
        }
    }

    /// Reads more behind what is there; `false` at the end of the file.
    fn more(&mut self) -> Result<bool, ReadStop> {
        if self.has_ended {
            return Ok(false);
        }
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.bytes.len() {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
        let count = loop {
            match self.stream.read(&mut self.bytes[self.end..]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                count => break count?,
            }
        };
        self.end += count;
        self.has_ended = count == 0;
        Ok(count > 0)
    }

    /// Passes the next rows to `take`, as far as they are in memory and are found together with others.
    fn give_many(
        &mut self,
        found: &mut FoundRows,
        heads: &Heads,
        take: &mut TakePart<'_>,
    ) -> Result<(), ReadStop> {
        loop {
            let bytes = &self.bytes[self.start..self.end];
            let (line, columns) = (self.next_line, heads.len());
            let end = found.find(bytes, line, self.delimiter, columns, self.max_record);
            let rows = RowBatch {
                bytes,
                found,
                heads,
            };
            if end == 0 {
                return Ok(());
            }
            self.next_line += rows.len() as u64;
            take(Part::Rows(rows))?;
            self.start += end;
        }
    }

    /// The next row.
    fn next(&mut self) -> Result<Option<Span>, ReadStop> {
        self.line = self.next_line;
        let mut at = At::Start;
        let mut has_quotes = false;
        let mut seen = 0;
        loop {
            let unseen = &self.bytes[self.start + seen..self.end];
            let found = if has_quotes {
                row_end(unseen, &mut at, self.delimiter)
            } else {
                match memchr::memchr3(b'\n', b'\r', b'"', unseen) {
                    Some(place) if unseen[place] == b'"' => {
                        // It is read again by its quotes.
                        (has_quotes, seen) = (true, 0);
                        continue;
                    }
                    place => place,
                }
            };
            if let Some(place) = found {
                return self.end_row(seen + place, has_quotes).map(Some);
            }
            seen += unseen.len();
            if seen > self.max_record {
                return self.pass(at, has_quotes).map(Some);
            }
            if !self.more()? {
                return self.last(seen, at, has_quotes);
            }
        }
    }

    /// Ends a row of this length, behind which its line ends.
    fn end_row(&mut self, length: usize, has_quotes: bool) -> Result<Span, ReadStop> {
        if self.bytes[self.start + length] == b'\r' && self.start + length + 1 == self.end {
            // A line feed that follows belongs to the same end.
            self.more()?;
        }
        let (start, end) = (self.start, self.start + length);
        let is_pair =
            self.bytes[end] == b'\r' && self.bytes[..self.end].get(end + 1) == Some(&b'\n');
        self.start = end + 1 + usize::from(is_pair);
        Ok(self.whole(start, end, has_quotes))
    }

    /// What a row is that stands between these places.
    fn whole(&mut self, start: usize, end: usize, has_quotes: bool) -> Span {
        let raw = &self.bytes[start..end];
        self.next_line += 1;
        if has_quotes {
            self.next_line += memchr::memchr_iter(b'\n', raw).count() as u64;
        }
        if raw.is_empty() {
            return Span::Blank;
        }
        if raw.len() > self.max_record {
            let mut passed = PassedBytes::default();
            passed.add(raw);
            return Span::Long(Box::new(passed));
        }
        Span::Whole(start, end, has_quotes)
    }

    /// The row at the end of the file, whose line has no end.
    fn last(&mut self, length: usize, at: At, has_quotes: bool) -> Result<Option<Span>, ReadStop> {
        if length == 0 {
            return Ok(None);
        }
        if at == At::Quoted {
            return Err(self.open_quote());
        }
        let (start, end) = (self.start, self.start + length);
        self.start = end;
        Ok(Some(self.whole(start, end, has_quotes)))
    }

    fn open_quote(&self) -> ReadStop {
        ReadStop::Wrong(format!(
            "a quote in the row that begins on line {} is never closed; the file may be cut off",
            self.line
        ))
    }

    /// Passes the rest of a row that is too long; all that the window holds is part of it.
    fn pass(&mut self, mut at: At, has_quotes: bool) -> Result<Span, ReadStop> {
        let mut passed = PassedBytes::default();
        passed.add(&self.bytes[self.start..self.end]);
        if !has_quotes {
            let last = self.bytes[self.end - 1];
            at = At::Plain.next(last, self.delimiter);
        }
        loop {
            let inside = memchr::memchr_iter(b'\n', &self.bytes[self.start..self.end]).count();
            self.next_line += inside as u64;
            (self.start, self.end) = (0, 0);
            if !self.more()? {
                if at == At::Quoted {
                    return Err(self.open_quote());
                }
                self.next_line += 1;
                return Ok(Span::Long(Box::new(passed)));
            }
            if let Some(place) = row_end(&self.bytes[..self.end], &mut at, self.delimiter) {
                passed.add(&self.bytes[..place]);
                let _rest = self.end_row(place, true)?;
                return Ok(Span::Long(Box::new(passed)));
            }
            passed.add(&self.bytes[..self.end]);
        }
    }
}

/// Where a row ends whose quotes count.
fn row_end(bytes: &[u8], at: &mut At, delimiter: u8) -> Option<usize> {
    for (place, byte) in bytes.iter().enumerate() {
        if *at != At::Quoted && matches!(byte, b'\n' | b'\r') {
            return Some(place);
        }
        *at = at.next(*byte, delimiter);
    }
    None
}

#[cfg(test)]
#[path = "csv_tests.rs"]
mod tests;
