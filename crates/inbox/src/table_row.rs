//! One row of a table: its values, where they stand.

use super::cells::Heads;

/// A row with as many values as there are columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableRow<'a> {
    /// The line on which it begins, from 1.
    pub(crate) line: u64,
    /// Its bytes.
    pub(crate) raw: &'a [u8],
    /// Its values.
    pub(crate) row: &'a Row,
    /// The columns.
    pub(crate) heads: &'a Heads,
}

/// Memory for a row in other forms.
#[derive(Debug, Default)]
pub(crate) struct RowScratch {
    json: Vec<u8>,
    said: Vec<u8>,
}

impl<'a> TableRow<'a> {
    /// The value of a column.
    pub(crate) fn cell(&self, index: usize) -> &'a [u8] {
        self.row.cell(self.raw, index)
    }

    /// Hash of what it says.
    pub(crate) fn content(&self, scratch: &mut RowScratch) -> u128 {
        let cell = |index| self.cell(index);
        self.heads.content(cell, &mut scratch.said)
    }

    /// The row as JSON, with the hash of what it says, or what is wrong with it.
    pub(crate) fn json<'s>(
        &self,
        scratch: &'s mut RowScratch,
    ) -> Result<(&'s str, u128), &'static str> {
        let cell = |index| self.cell(index);
        self.heads.write(cell, &mut scratch.json)?;
        let content = self.heads.content(cell, &mut scratch.said);
        let json = std::str::from_utf8(&scratch.json).map_err(|_| "values in UTF-8")?;
        Ok((json, content))
    }
}

/// The cells of a row.
#[derive(Debug, Default)]
pub(crate) struct Row {
    cells: Vec<(usize, usize)>,
    /// The values of a row with quotes, without them; the cells are parts of it then.
    plain: Vec<u8>,
    has_quotes: bool,
}

impl Row {
    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// A value; `raw` is the row.
    pub(crate) fn cell<'r>(&'r self, raw: &'r [u8], index: usize) -> &'r [u8] {
        let (start, end) = self.cells[index];
        if self.has_quotes {
            &self.plain[start..end]
        } else {
            &raw[start..end]
        }
    }

    /// Finds the values of a row.
    pub(crate) fn split(&mut self, raw: &[u8], delimiter: u8, has_quotes: bool) {
        self.cells.clear();
        self.has_quotes = has_quotes;
        if has_quotes {
            self.split_quoted(raw, delimiter);
            return;
        }
        let mut start = 0;
        for at in memchr::memchr_iter(delimiter, raw) {
            self.cells.push((start, at));
            start = at + 1;
        }
        self.cells.push((start, raw.len()));
    }

    fn split_quoted(&mut self, raw: &[u8], delimiter: u8) {
        self.plain.clear();
        let mut start = 0;
        let mut at = At::Start;
        for byte in raw {
            let before = at;
            at = at.next(*byte, delimiter);
            match (before, at) {
                (_, At::Start) => {
                    self.cells.push((start, self.plain.len()));
                    start = self.plain.len();
                }
                // A quote that opens or closes.
                (At::Start, At::Quoted) | (At::Quoted, At::Closed) => {}
                _ => self.plain.push(*byte),
            }
        }
        self.cells.push((start, self.plain.len()));
    }
}

/// Where in a row a byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// At the beginning of a value.
    Start,
    /// In a value without quotes, or behind its quotes.
    Plain,
    /// Between quotes.
    Quoted,
    /// Behind a quote between quotes: it closes them, unless another one follows.
    Closed,
}

impl At {
    /// Where the byte behind this one is.
    pub(crate) fn next(self, byte: u8, delimiter: u8) -> Self {
        match self {
            Self::Quoted if byte == b'"' => Self::Closed,
            Self::Quoted => Self::Quoted,
            Self::Closed if byte == b'"' => Self::Quoted,
            _ if byte == delimiter => Self::Start,
            Self::Start if byte == b'"' => Self::Quoted,
            _ => Self::Plain,
        }
    }
}
