//! Reads a page of CSV (RFC 4180): one record in each row, whose values are text.
//!
//! Memory holds one row. A row with another number of values than there are columns, or with bytes
//! that are not UTF-8, goes to the quarantine as it was sent.

use std::collections::HashSet;
use std::io::Read;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::facts::PageFacts;
use super::form::CsvForm;
use super::read_error::ReadError;
use super::record::{Giver, Passed, Take};
use super::wanted::Wanted;
use super::window::Window;
use lakehook_base::json::push_json;

/// Most columns of a table.
const MAX_COLUMNS: usize = 4096;

/// Reads the rows of a page, and passes each to `take` as it arrives.
pub(super) fn read_table<E>(
    stream: impl Read,
    wanted: &Wanted,
    form: CsvForm,
    max_record: u64,
    take: &mut Take<'_, E>,
) -> Result<PageFacts, ReadError<E>> {
    let mut table = Table::new(stream, form.delimiter, max_record);
    table.window.skip_mark()?;
    if table.window.peek()?.is_none() {
        return Err(ReadError::NoBody);
    }
    let mut giver = Giver::new(wanted, max_record, take);
    let mut heads: Option<Vec<Vec<u8>>> = None;
    let mut object = Vec::new();
    while let Some(row) = table.row()? {
        let (length, count) = match row {
            Row::Whole { length, count } => (length, count),
            Row::Long(_) if heads.is_none() => {
                let rule = format!(
                    "the first row of the table has more than {max_record} bytes or {MAX_COLUMNS} columns; \
                     expected fewer"
                );
                return Err(ReadError::form(rule));
            }
            Row::Long(passed) => {
                giver.refuse(&passed.too_long(max_record))?;
                continue;
            }
        };
        let is_header = heads.is_none() && form.header;
        let heads = match &mut heads {
            Some(heads) => heads,
            none => none.insert(names(&table, count, form.header)?),
        };
        if !is_header {
            match table.object(heads, count, &mut object) {
                Ok(()) => giver.give(&String::from_utf8_lossy(&object), false)?,
                Err(detail) => {
                    let mut passed = Passed::default();
                    passed.add(table.window.bytes()[..length].trim_ascii());
                    giver.refuse(&passed.refused("csv", detail))?;
                }
            }
        }
        table.window.advance(length);
    }
    giver.into_facts()
}

/// The rows of a page.
struct Table<R> {
    window: Window<R>,
    reader: Reader,
    /// The values of the row, one behind the other, and where each ends.
    values: Vec<u8>,
    ends: Vec<usize>,
    max: usize,
}

enum Row {
    /// The window holds a row of this many bytes with this many values.
    Whole { length: usize, count: usize },
    /// The row has too many bytes or values, and is passed.
    Long(Box<Passed>),
}

impl<R: Read> Table<R> {
    fn new(stream: R, delimiter: u8, max_record: u64) -> Self {
        Self {
            window: Window::new(stream),
            reader: ReaderBuilder::new().delimiter(delimiter).build(),
            values: vec![0; 4 << 10],
            ends: vec![0; 64],
            max: usize::try_from(max_record).unwrap_or(usize::MAX),
        }
    }

    /// Reads the next row.
    fn row<E>(&mut self) -> Result<Option<Row>, ReadError<E>> {
        let (mut seen, mut written, mut count) = (0, 0, 0);
        let mut has_ended = false;
        let mut passed: Option<Passed> = None;
        loop {
            // No input at all tells the reader that there is no more.
            while self.window.bytes().len() == seen && !has_ended {
                has_ended = !self.window.more()?;
            }
            let input = &self.window.bytes()[seen..];
            let (values, ends) = (&mut self.values[written..], &mut self.ends[count..]);
            let (result, read, wrote, ended) = self.reader.read_record(input, values, ends);
            (seen, written, count) = (seen + read, written + wrote, count + ended);
            match result {
                ReadRecordResult::InputEmpty => {
                    if seen > self.max {
                        passed.get_or_insert_default();
                    }
                    if let Some(passed) = &mut passed {
                        passed.add(&self.window.bytes()[..seen]);
                        self.window.advance(seen);
                        seen = 0;
                    }
                }
                ReadRecordResult::OutputFull if self.values.len() <= self.max => {
                    self.values.resize(self.values.len() * 2, 0);
                }
                ReadRecordResult::OutputEndsFull if self.ends.len() < MAX_COLUMNS => {
                    self.ends.resize(self.ends.len() * 2, 0);
                }
                // The rest of the row is read over what was written.
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    passed.get_or_insert_default();
                    (written, count) = (0, 0);
                }
                ReadRecordResult::Record => {
                    return self.end_row(seen, count, has_ended, passed).map(Some);
                }
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    fn end_row<E>(
        &mut self,
        length: usize,
        count: usize,
        has_ended: bool,
        passed: Option<Passed>,
    ) -> Result<Row, ReadError<E>> {
        let raw = &self.window.bytes()[..length];
        if let Some(mut passed) = passed {
            passed.add(raw);
            self.window.advance(length);
            return Ok(Row::Long(Box::new(passed)));
        }
        // A quote that is open at the end shows that the row was cut off.
        let quotes = memchr::memchr_iter(b'"', raw).count();
        if has_ended && quotes % 2 == 1 {
            return Err(ReadError::CutOff);
        }
        if length > self.max {
            let mut passed = Passed::default();
            passed.add(raw);
            self.window.advance(length);
            return Ok(Row::Long(Box::new(passed)));
        }
        Ok(Row::Whole { length, count })
    }

    /// The value with this index.
    fn value(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.values[start..self.ends[index]]
    }

    /// Writes the row as an object, or says why it is none.
    fn object(&self, heads: &[Vec<u8>], count: usize, out: &mut Vec<u8>) -> Result<(), String> {
        if count != heads.len() {
            let columns = heads.len();
            return Err(format!(
                "a row of {columns} values, as there are columns; found {count}"
            ));
        }
        out.clear();
        for (index, head) in heads.iter().enumerate() {
            let text = std::str::from_utf8(self.value(index));
            let text = text.map_err(|_| "values in UTF-8".to_owned())?;
            out.push(if index == 0 { b'{' } else { b',' });
            out.extend_from_slice(head);
            push_json(out, text);
        }
        out.push(b'}');
        Ok(())
    }
}

/// The beginning of each value in an object, `"name":`, by the header or by the number of the column.
fn names<R: Read, E>(
    table: &Table<R>,
    count: usize,
    has_header: bool,
) -> Result<Vec<Vec<u8>>, ReadError<E>> {
    let mut known = HashSet::new();
    let mut heads = Vec::with_capacity(count);
    for index in 0..count {
        let own = std::str::from_utf8(table.value(index)).map(str::trim);
        let own = own.map_err(|_| {
            let rule = "the header of the table is not UTF-8; expected the names of the columns";
            ReadError::form(rule)
        })?;
        let name = if has_header && !own.is_empty() {
            own.to_owned()
        } else {
            format!("column{}", index + 1)
        };
        let mut head = Vec::new();
        push_json(&mut head, &name);
        head.push(b':');
        heads.push(head);
        if !known.insert(name.to_lowercase()) {
            let rule = format!(
                "column {} of the table has the name of one before it; expected each name once, whatever \
                 its case",
                index + 1
            );
            return Err(ReadError::form(rule));
        }
    }
    Ok(heads)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::super::form::PageForm;
    use super::super::record::Record;
    use super::super::wanted::Steering;
    use super::*;

    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let count = out.len().min(self.0.len()).min(self.1);
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn rows(body: &[u8], form: CsvForm) -> Result<Vec<String>, String> {
        let all = rows_by(body, body.len().max(1), form);
        for piece in [1, 2, 3, 7] {
            assert_eq!(rows_by(body, piece, form), all, "by {piece}");
        }
        all
    }

    fn rows_by(body: &[u8], piece: usize, form: CsvForm) -> Result<Vec<String>, String> {
        let wanted = Wanted::new(&PageForm::default(), &Steering::default())?;
        let mut all = Vec::new();
        let mut take = |_: u64, record: Record<'_>| {
            all.push(match record {
                Record::Whole(raw) => raw.to_owned(),
                Record::Refused(refused) => {
                    let first = String::from_utf8_lossy(&refused.first);
                    format!(
                        "{}: {} ({})",
                        refused.code,
                        refused.detail,
                        &first[..5.min(first.len())]
                    )
                }
            });
            Ok::<_, Infallible>(())
        };
        match read_table(Slow(body, piece), &wanted, form, 100, &mut take) {
            Ok(facts) => {
                assert_eq!(facts.records, all.len() as u64);
                Ok(all)
            }
            Err(ReadError::Form { rule, .. }) => Err(rule),
            Err(error) => Err(format!("{error:?}")),
        }
    }

    #[test]
    fn rows_become_objects_of_text() {
        let body =
            b"\xef\xbb\xbfid, Name ,note\r\n1,Ann,\"a \"\"b\"\",\r\nc\"\r\n\r\n007,B\xc3\xa9,\n";
        let expected = [
            r#"{"id":"1","Name":"Ann","note":"a \"b\",\r\nc"}"#,
            r#"{"id":"007","Name":"Bé","note":""}"#,
        ];
        assert_eq!(rows(body, CsvForm::default()).unwrap_or_default(), expected);
        let form = CsvForm {
            delimiter: b';',
            header: false,
        };
        let found = rows(b"1;2,5\n3;4", form).unwrap_or_default();
        assert_eq!(
            found,
            [
                r#"{"column1":"1","column2":"2,5"}"#,
                r#"{"column1":"3","column2":"4"}"#
            ]
        );
        assert_eq!(rows(b"id,name\n", CsvForm::default()), Ok(Vec::new()));
    }

    #[test]
    fn a_row_that_does_not_fit_is_refused_alone() {
        let long = "x".repeat(200);
        let body = format!("a,b\n1,2\n1,2,3\n1\n{long},1\n3,4\n");
        let found = rows(body.as_bytes(), CsvForm::default()).unwrap_or_default();
        assert_eq!(
            found,
            [
                r#"{"a":"1","b":"2"}"#,
                "csv: a row of 2 values, as there are columns; found 3 (1,2,3)",
                "csv: a row of 2 values, as there are columns; found 1 (1)",
                "too_long: a record of at most 100 bytes (max_record) (xxxxx)",
                r#"{"a":"3","b":"4"}"#,
            ]
        );
        let found = rows(b"a\n\xff\n", CsvForm::default()).unwrap_or_default();
        assert!(found[0].starts_with("csv: values in UTF-8"), "{found:?}");
    }

    #[test]
    fn what_is_no_table_says_why() {
        for (body, words) in [
            (&b""[..], "NoBody"),
            (b"a,b\n1,\"2", "CutOff"),
            (
                b"a,A\n",
                "column 2 of the table has the name of one before it",
            ),
            (b"\xff\n", "not UTF-8"),
        ] {
            let error = rows(body, CsvForm::default()).err().unwrap_or_default();
            assert!(error.contains(words), "{error}");
        }
    }
}
