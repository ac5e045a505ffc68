//! Rows of a table that stand in memory together.
//!
//! The ends of rows without quotes are searched for eight bytes at a time. A caller takes one step for all rows of a
//! batch before it takes the next step, which is much faster than all steps for one row after the other.

use super::cells::Heads;
use super::table_row::{At, Cells, TableRow};

/// Most rows of a batch, …
const MAX_ROWS: usize = 128;
/// … and how many bytes it has at most, besides its last row.
const MAX_BYTES: usize = 64 << 10;

/// Rows with as many values as there are columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowBatch<'a> {
    /// What the rows are parts of.
    pub(crate) bytes: &'a [u8],
    pub(crate) found: &'a FoundRows,
    pub(crate) heads: &'a Heads,
}

/// Where rows stand, and memory for more.
#[derive(Debug, Default)]
pub(crate) struct FoundRows {
    places: Vec<Place>,
    /// Where each value of each row ends, counted from the beginning of its row.
    ends: Vec<usize>,
    /// The values of rows with quotes, without them.
    plain: Vec<u8>,
}

/// Where a row stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    line: u64,
    start: usize,
    end: usize,
    /// Whether its values are in the memory for those without their quotes.
    is_plain: bool,
}

impl<'a> RowBatch<'a> {
    /// Number of rows.
    pub(crate) fn len(self) -> usize {
        self.found.places.len()
    }

    /// A row.
    pub(crate) fn row(self, index: usize) -> TableRow<'a> {
        let place = self.found.places[index];
        let columns = self.heads.len();
        let ends = &self.found.ends[index * columns..(index + 1) * columns];
        let raw = &self.bytes[place.start..place.end];
        let text = if place.is_plain {
            &self.found.plain
        } else {
            raw
        };
        TableRow {
            line: place.line,
            raw,
            cells: Cells { text, ends },
            heads: self.heads,
        }
    }

    /// The line on which a row begins, and how many bytes it has.
    pub(crate) fn line(self, index: usize) -> (u64, usize) {
        let place = self.found.places[index];
        (place.line, place.end - place.start)
    }

    /// The values of a column, one for each row.
    pub(crate) fn cells(self, column: usize) -> impl Iterator<Item = &'a [u8]> {
        let (bytes, found) = (self.bytes, self.found);
        let ends = found.ends.chunks_exact(self.heads.len());
        found.places.iter().zip(ends).map(move |(place, ends)| {
            let text = if place.is_plain {
                &found.plain
            } else {
                &bytes[place.start..place.end]
            };
            Cells { text, ends }.get(column)
        })
    }

    /// All rows, in their order.
    pub(crate) fn rows(self) -> impl Iterator<Item = TableRow<'a>> {
        (0..self.len()).map(move |index| self.row(index))
    }
}

impl FoundRows {
    fn clear(&mut self) {
        self.places.clear();
        self.ends.clear();
        self.plain.clear();
    }

    /// Takes one row, given where it stands in `bytes`, in place of the rows before. Returns its values.
    pub(crate) fn split<'s>(
        &'s mut self,
        bytes: &'s [u8],
        (line, start, end): (u64, usize, usize),
        delimiter: u8,
        has_quotes: bool,
    ) -> Cells<'s> {
        self.clear();
        self.places.push(Place {
            line,
            start,
            end,
            is_plain: has_quotes,
        });
        let raw = &bytes[start..end];
        if has_quotes {
            self.split_quoted(raw, delimiter);
        } else {
            self.ends.extend(memchr::memchr_iter(delimiter, raw));
            self.ends.push(raw.len());
        }
        let text = if has_quotes { &self.plain } else { raw };
        let ends = &self.ends;
        Cells { text, ends }
    }

    fn split_quoted(&mut self, raw: &[u8], delimiter: u8) {
        let mut at = At::Start;
        for byte in raw {
            let before = at;
            at = at.next(*byte, delimiter);
            match (before, at) {
                (_, At::Start) => {
                    self.ends.push(self.plain.len());
                    self.plain.push(delimiter);
                }
                // A quote that opens or closes.
                (At::Start, At::Quoted) | (At::Quoted, At::Closed) => {}
                _ => self.plain.push(*byte),
            }
        }
        self.ends.push(self.plain.len());
    }

    /// Finds the rows at the beginning of `bytes`, and forgets those that were found before. It stops before a row that has
    /// quotes, another number of values than `columns`, or more than `max_record` bytes, and before one whose end is not
    /// in memory. Returns how many bytes the rows take, with the ends of their lines.
    pub(crate) fn find(
        &mut self,
        bytes: &[u8],
        first_line: u64,
        delimiter: u8,
        columns: usize,
        max_record: usize,
    ) -> usize {
        self.clear();
        let marks = Marks::new(delimiter);
        let (mut start, mut line) = (0, first_line);
        'words: for (word, own) in bytes.as_chunks::<8>().0.iter().enumerate() {
            let mut found = marks.of(*own);
            while found != 0 {
                let end = word * 8 + (found.trailing_zeros() / 8) as usize;
                found &= found - 1;
                let next = match bytes[end] {
                    byte if byte == delimiter => {
                        self.ends.push(end - start);
                        continue;
                    }
                    b'\n' if end < start => continue,
                    b'\n' => end + 1,
                    b'\r' => match bytes.get(end + 1) {
                        Some(b'\n') => end + 2,
                        Some(_) => end + 1,
                        None => break 'words,
                    },
                    _ => break 'words,
                };
                self.ends.push(end - start);
                let values = (self.places.len() + 1) * columns;
                let is_whole = self.ends.len() == values && end > start;
                if !is_whole || end - start > max_record {
                    break 'words;
                }
                self.places.push(Place {
                    line,
                    start,
                    end,
                    is_plain: false,
                });
                (start, line) = (next, line + 1);
                if self.places.len() == MAX_ROWS || start >= MAX_BYTES {
                    break 'words;
                }
            }
        }
        self.ends.truncate(self.places.len() * columns);
        start
    }
}

/// Finds the bytes that mean something in a table: delimiters, quotes, and ends of lines.
struct Marks([u64; 4]);

/// The lowest bit of each byte.
const LOW: u64 = 0x0101_0101_0101_0101;
/// All bits of each byte but the highest.
const BELOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;

impl Marks {
    fn new(delimiter: u8) -> Self {
        Self([delimiter, b'"', b'\n', b'\r'].map(|byte| u64::from(byte) * LOW))
    }

    /// The highest bit of each byte that means something, and no other bit.
    fn of(&self, bytes: [u8; 8]) -> u64 {
        let word = u64::from_le_bytes(bytes);
        let zeros = self.0.map(|mark| {
            let differs = word ^ mark;
            // A carry into the highest bit tells that one of the others is set.
            !(((differs & BELOW) + BELOW) | differs | BELOW)
        });
        zeros[0] | zeros[1] | zeros[2] | zeros[3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::TableColumns;

    fn found(bytes: &[u8], columns: usize, max_record: usize) -> (Vec<String>, usize) {
        let mut found = FoundRows::default();
        let end = found.find(bytes, 5, b',', columns, max_record);
        let heads = TableColumns::default().numbered(columns);
        let batch = RowBatch {
            bytes,
            found: &found,
            heads: &heads,
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let rows = batch.rows().map(|row| {
            let cells: Vec<String> = (0..columns).map(|index| text(row.cell(index))).collect();
            format!("{} {} {}", row.line, text(row.raw), cells.join("|"))
        });
        (rows.collect(), end)
    }

    #[test]
    fn rows_are_found_up_to_the_first_one_that_differs() {
        let lines = ["5 1,2 1|2", "6 ,345678901 |345678901", "7 5, 5|"];
        let begin = b"1,2\n,345678901\r\n5,\r";
        for (rest, at) in [
            (&b"\n7,8\n"[..], 1),
            (b"\"7\",8\n        ", 0),
            (b"7\n              ", 0),
            (b"7,8,9\n          ", 0),
            (b"7,8\"\n           ", 0),
            (b"12345678,90\n   ", 0),
            (b"7,8              ", 0),
        ] {
            let bytes = [begin, rest].concat();
            let (rows, end) = found(&bytes, 2, 10);
            assert_eq!(rows[..3], lines, "{rest:?}");
            let is_next = rows.len() == 4 && rest[0] == b'\n';
            assert!(
                is_next || rows.len() == 3 && end == begin.len() + at,
                "{rows:?}"
            );
        }
        // What follows a CR is not there yet, and a blank line is no row.
        assert_eq!(
            found(b"1,2\n3,456\r", 2, 10),
            (vec!["5 1,2 1|2".to_owned()], 4)
        );
        assert_eq!(
            found(b"1\n\n2\n     ", 1, 10),
            (vec!["5 1 1".to_owned()], 2)
        );
    }

    #[test]
    fn batches_are_bounded() {
        let (rows, end) = found("1,2\n".repeat(1000).as_bytes(), 2, 10);
        assert_eq!((rows.len(), end), (MAX_ROWS, MAX_ROWS * 4));
        let long = format!("{}\n", "x".repeat(40_000)).repeat(5);
        let (rows, end) = found(long.as_bytes(), 1, 100_000);
        assert_eq!((rows.len(), end), (2, 80_002));
    }

    #[test]
    fn marks_are_the_bytes_that_mean_something() {
        let marks = Marks::new(b';');
        for byte in 0..=u8::MAX {
            for before in [0, 1, b'"', 0x80, u8::MAX] {
                let mut bytes = [before; 8];
                bytes[5] = byte;
                let expected = bytes.map(|byte| matches!(byte, b';' | b'"' | b'\n' | b'\r'));
                let own = marks.of(bytes).to_le_bytes();
                assert_eq!(own.map(|mark| mark == 0x80), expected, "{bytes:?}");
                assert!(own.iter().all(|mark| matches!(mark, 0 | 0x80)));
            }
        }
    }
}
