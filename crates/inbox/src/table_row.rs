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
    pub(crate) cells: Cells<'a>,
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
        self.cells.get(index)
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

/// The values of a row: parts of a text, with one byte between each two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cells<'a> {
    pub(crate) text: &'a [u8],
    /// Where each of them ends.
    pub(crate) ends: &'a [usize],
}

impl<'a> Cells<'a> {
    /// Number of values.
    pub(crate) fn len(self) -> usize {
        self.ends.len()
    }

    /// A value.
    #[inline]
    pub(crate) fn get(self, index: usize) -> &'a [u8] {
        let start = index
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] + 1);
        &self.text[start..self.ends[index]]
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
